"""All SQL of successions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from ...base import jsontext
from ..shape import instant_us

ROWS_MAX = 1_000


def find(connection: sqlite3.Connection, succession_id: str) -> tuple[str, int, str] | None:
    """State, end and artifact of one succession."""
    row = connection.execute("SELECT state, expires_us, artifact_json FROM node_succession WHERE succession_id = ?",
                             (succession_id,)).fetchone()
    return (row[0], row[1], row[2]) if row is not None else None


def put(connection: sqlite3.Connection, succession_id: str, old: str, new: str, expires_us: int, stored_us: int,
        text: str) -> None:
    """The succession is imported."""
    connection.execute("INSERT INTO node_succession VALUES (?, ?, ?, 'imported', ?, ?, ?)",
                       (succession_id, old, new, expires_us, stored_us, text))


def accept(connection: sqlite3.Connection, succession_id: str) -> None:
    connection.execute("UPDATE node_succession SET state = 'accepted' WHERE succession_id = ?", (succession_id,))


def keep_own(connection: sqlite3.Connection, statements: Iterable[Mapping[str, Any]], now_us: int) -> None:
    """The steps of this node's own key are accepted: its operator ordered them.  A full register leaves them out."""
    for statement in statements:
        name = str(statement["succession/id"])
        if find(connection, name) is None and count(connection) < ROWS_MAX:
            put(connection, name, statement["old/node-id"], statement["new/node-id"], instant_us(statement["expires-at"]), now_us,
                jsontext.compact(statement).decode())
        accept(connection, name)


def successor(connection: sqlite3.Connection, old: str) -> str:
    """The node that an accepted succession names after `old`, "" when there is none."""
    row = connection.execute("SELECT new_node_id FROM node_succession WHERE old_node_id = ? AND state = 'accepted' ORDER BY "
                             "stored_us DESC LIMIT 1", (old,)).fetchone()
    return str(row[0]) if row is not None else ""


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM node_succession").fetchone()[0])


def every(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """State and artifact of all, the newest first."""
    return [(row[0], row[1])
            for row in connection.execute("SELECT state, artifact_json FROM node_succession ORDER BY stored_us DESC, "
                                          "succession_id "
                                                           "LIMIT ?", (ROWS_MAX,))]
