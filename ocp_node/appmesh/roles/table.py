"""Where roles are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from ...base import jsontext


def everything(connection: sqlite3.Connection) -> dict[str, frozenset[str]]:
    rows = connection.execute("SELECT name, permissions FROM appmesh_role ORDER BY name")
    return {name: frozenset(jsontext.load(text)) for name, text in rows}          # type: ignore[call-overload]


def put(connection: sqlite3.Connection, name: str, permissions: Iterable[str]) -> None:
    connection.execute("INSERT OR REPLACE INTO appmesh_role(name, permissions) VALUES (?, ?)",
                       (name, jsontext.ascii_text(sorted(permissions))))


def delete(connection: sqlite3.Connection, name: str) -> None:
    connection.execute("DELETE FROM appmesh_role WHERE name = ?", (name,))


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM appmesh_role").fetchone()[0])
