"""Small facts by name: `meta` is the program's own, `switch` is what an operator switched while the node ran."""

from __future__ import annotations

import sqlite3

from ..base import jsontext


def get(connection: sqlite3.Connection, name: str, default: str = "") -> str:
    """The fact of that name."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else default


def put(connection: sqlite3.Connection, name: str, value: str) -> None:
    """The fact is kept, in the transaction of `connection`."""
    connection.execute("INSERT INTO meta(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                       (name, value))


def switches(connection: sqlite3.Connection) -> dict[str, object]:
    """Every switch with its value."""
    return {row[0]: jsontext.load(row[1]) for row in connection.execute("SELECT name, value FROM switch ORDER BY name")}


def put_switch(connection: sqlite3.Connection, name: str, value: object, changed_at: str, changed_by: str = "") -> None:
    """The switch holds `value`, a JSON value."""
    connection.execute("INSERT INTO switch(name, value, changed_at, changed_by) VALUES (?, ?, ?, ?) ON CONFLICT(name) DO UPDATE "
                       "SET value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by",
                       (name, jsontext.ascii_text(value), changed_at, changed_by))


def drop_switch(connection: sqlite3.Connection, name: str) -> bool:
    """The switch is gone: the setting's own value counts again.  Says whether there was one."""
    return connection.execute("DELETE FROM switch WHERE name = ?", (name,)).rowcount > 0
