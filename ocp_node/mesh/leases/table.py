"""Where leases are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3

from ...base import jsontext
from .rules import ACTIVE, Lease

_COLUMNS = ", ".join(Lease._fields)
_PUT = (f"INSERT INTO mesh_lease({_COLUMNS}) VALUES ({','.join('?' * len(Lease._fields))}) ON CONFLICT(id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in Lease._fields if name != "id"))


def find(connection: sqlite3.Connection, lease_id: str) -> Lease | None:
    """The lease of that id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_lease WHERE id = ?", (lease_id,)).fetchone()
    return _lease(row) if row else None


def _lease(row: sqlite3.Row | tuple[object, ...]) -> Lease:
    members = dict(zip(Lease._fields, row, strict=True))
    return Lease(**{**members, "metadata": jsontext.load(str(members["metadata"]))})


def put(connection: sqlite3.Connection, lease: Lease) -> None:
    """The lease stands in the table as it is here."""
    values = lease._replace(metadata=jsontext.ascii_text(lease.metadata))  # type: ignore[arg-type]
    connection.execute(_PUT, values)


def newest(connection: sqlite3.Connection, limit: int) -> list[Lease]:
    """The leases that end last."""
    return [_lease(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM mesh_lease ORDER BY expires_at DESC LIMIT ?",
                                                      (limit,))]


def held_by_other(connection: sqlite3.Connection, resource: str, peer_id: str, now: str) -> Lease | None:
    """The newest lease of another peer that holds the resource now."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_lease WHERE resource = ? AND status = ? AND expires_at > ? "
                             "AND peer_id <> ? ORDER BY expires_at DESC LIMIT 1", (resource, ACTIVE, now, peer_id)).fetchone()
    return _lease(row) if row else None


def prune(connection: sqlite3.Connection, ended_before: str, limit: int) -> int:
    """Leases over for that long are forgotten, at most `limit`.  Gives how many were."""
    return connection.execute("DELETE FROM mesh_lease WHERE id IN (SELECT id FROM mesh_lease WHERE expires_at < ? "
                              "ORDER BY expires_at LIMIT ?)", (ended_before, limit)).rowcount
