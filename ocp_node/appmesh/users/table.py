"""Where users are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3

from ...base import jsontext
from .rules import User

_FACTS = tuple(name for name in User._fields if name not in ("name", "password"))


def everyone(connection: sqlite3.Connection) -> list[User]:
    return [_user(*row) for row in connection.execute("SELECT name, password, facts FROM appmesh_user ORDER BY name")]


def find(connection: sqlite3.Connection, name: str) -> User | None:
    """The user as it stands in this very transaction."""
    row = connection.execute("SELECT name, password, facts FROM appmesh_user WHERE name = ?", (name,)).fetchone()
    return _user(*row) if row else None


def put(connection: sqlite3.Connection, user: User) -> None:
    facts = jsontext.ascii_text({name: getattr(user, name) for name in _FACTS})
    connection.execute("INSERT INTO appmesh_user(name, password, facts) VALUES (?, ?, ?) "
                       "ON CONFLICT(name) DO UPDATE SET password = excluded.password, facts = excluded.facts",
                       (user.name, user.password, facts))


def delete(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM appmesh_user WHERE name = ?", (name,))


def _user(name: str, password: str, facts: str) -> User:
    loaded = jsontext.load(facts)
    members = {field: value for field, value in loaded.items() if field in _FACTS} if isinstance(loaded, dict) else {}
    return User(name, password, **{**members, "roles": tuple(members.get("roles", ()))})
