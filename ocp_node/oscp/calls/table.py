"""Where calls wait; all SQL of the room."""

from __future__ import annotations

import sqlite3

from .rules import Call

_COLUMNS = ", ".join(Call._fields)


def add(connection: sqlite3.Connection, call: Call) -> None:
    connection.execute(f"INSERT INTO oscp_call({', '.join(Call._fields[1:])}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", call[1:])


def waiting(connection: sqlite3.Connection) -> list[Call]:
    """The first call of each party, the longest due first: a party gets one at a time, in order."""
    return [Call(*row) for row in connection.execute(
        f"SELECT {_COLUMNS} FROM oscp_call WHERE number IN (SELECT min(number) FROM oscp_call GROUP BY party_id) ORDER BY not_before LIMIT 200")]


def waits(connection: sqlite3.Connection, number: int) -> bool:
    """Is the call still to be made?"""
    return connection.execute("SELECT 1 FROM oscp_call WHERE number = ?", (number,)).fetchone() is not None


def count(connection: sqlite3.Connection, party_id: str) -> int:
    return int(connection.execute("SELECT count(*) FROM oscp_call WHERE party_id = ?", (party_id,)).fetchone()[0])


def later(connection: sqlite3.Connection, number: int, not_before: float) -> None:
    connection.execute("UPDATE oscp_call SET not_before = ?, attempts = attempts + 1 WHERE number = ?", (not_before, number))


def done(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM oscp_call WHERE number = ?", (number,))


def drop(connection: sqlite3.Connection, party_id: str) -> None:
    connection.execute("DELETE FROM oscp_call WHERE party_id = ?", (party_id,))
