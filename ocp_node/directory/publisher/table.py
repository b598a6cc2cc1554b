"""All SQL of this node's own advertisement."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class Own(NamedTuple):
    """The newest advertisement this node made."""
    sequence_no: int
    made_us: int
    text: bytes


def own(connection: sqlite3.Connection) -> Own | None:
    row = connection.execute("SELECT sequence_no, made_us, CAST(artifact_json AS BLOB) FROM adv_own").fetchone()
    return Own(*row) if row is not None else None


def keep(connection: sqlite3.Connection, made: Own) -> None:
    """This is the newest, and its number is used up."""
    connection.execute("INSERT INTO adv_own VALUES (1, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET sequence_no = "
                       "excluded.sequence_no, made_us = excluded.made_us, artifact_json = excluded.artifact_json",
                       (made.sequence_no, made.made_us, made.text.decode()))
