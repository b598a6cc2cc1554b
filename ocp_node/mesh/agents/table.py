"""The inbox of hand-offs; all SQL of the room."""

from __future__ import annotations

import sqlite3

from ...base import jsontext
from .rules import Handoff

_COLUMNS = ", ".join(Handoff._fields)
_JSON = ("constraints", "artifact_refs")


def find(connection: sqlite3.Connection, from_peer_id: str, request_id: str) -> Handoff | None:
    """What the peer handed over under that request id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_handoff WHERE from_peer_id = ? AND request_id = ?",
                             (from_peer_id, request_id)).fetchone()
    return _handoff(row) if row else None


def add(connection: sqlite3.Connection, handoff: Handoff) -> None:
    """The hand-off is in the inbox."""
    values = [jsontext.ascii_text(value) if name in _JSON else value for name, value in handoff._asdict().items()]
    connection.execute(f"INSERT INTO mesh_handoff({_COLUMNS}) VALUES ({','.join('?' * len(values))})", values)


def newest(connection: sqlite3.Connection, limit: int) -> list[Handoff]:
    """The newest hand-offs, newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_handoff ORDER BY number DESC LIMIT ?", (limit,))
    return [_handoff(row) for row in rows]


def prune(connection: sqlite3.Connection, keep: int) -> None:
    """The newest `keep` hand-offs are left."""
    connection.execute("DELETE FROM mesh_handoff WHERE number <= (SELECT max(number) FROM mesh_handoff) - ?", (keep,))


def _handoff(row: tuple[object, ...]) -> Handoff:
    members = dict(zip(Handoff._fields, row, strict=True))
    return Handoff(**{name: jsontext.load(str(value)) if name in _JSON else value for name,
                      value in members.items()})  # type: ignore[arg-type]
