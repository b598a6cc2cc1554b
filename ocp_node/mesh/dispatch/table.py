"""Where jobs that peers have are remembered; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...base import jsontext

Members = dict[str, Any]
KEPT_MAX = 10_000                 # the newest are remembered
_COLUMNS = "job_id, peer_id, request_id, kind, status, open, snapshot, sent_at, updated_at"


class RemoteJob(NamedTuple):
    """One job that a peer has."""
    job_id: str
    peer_id: str
    request_id: str
    kind: str
    status: str
    open: bool
    snapshot: Members
    sent_at: str
    updated_at: str


def _made(row: Sequence[Any]) -> RemoteJob:
    values = dict(zip(RemoteJob._fields, row, strict=True))
    return RemoteJob(**{**values, "open": bool(row[5]), "snapshot": jsontext.load(row[6])})


def find(connection: sqlite3.Connection, job_id: str) -> RemoteJob | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_remote_job WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else _made(row)


def by_request(connection: sqlite3.Connection, request_id: str) -> RemoteJob | None:
    """The newest job that went out under this name."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_remote_job WHERE request_id = ? ORDER BY number DESC LIMIT 1",
                             (request_id,)).fetchone()
    return None if row is None else _made(row)


def put(connection: sqlite3.Connection, job: RemoteJob) -> None:
    """The job stands in the table as it is here; at most `KEPT_MAX` do."""
    connection.execute(
        f"INSERT INTO mesh_remote_job({_COLUMNS}) VALUES ({', '.join('?' * 9)}) ON CONFLICT(job_id) DO UPDATE SET "
        "status = excluded.status, open = excluded.open, snapshot = excluded.snapshot, updated_at = excluded.updated_at",
        (*job[:5], int(job.open), jsontext.ascii_text(job.snapshot), *job[7:]))
    # Not by the cursor's last row: of a row that was there already it is the last one made in whatever table.
    connection.execute("DELETE FROM mesh_remote_job WHERE number <= (SELECT max(number) FROM mesh_remote_job) - ?", (KEPT_MAX,))


def open_jobs(connection: sqlite3.Connection, limit: int) -> list[tuple[str, str]]:
    """Peer and id of jobs that may still change, oldest first."""
    found: list[tuple[str, str]] = connection.execute(
        "SELECT peer_id, job_id FROM mesh_remote_job WHERE open = 1 ORDER BY number LIMIT ?", (limit,)).fetchall()
    return found


def open_of(connection: sqlite3.Connection, peer_id: str, limit: int) -> list[str]:
    """Ids of jobs of this peer that may still change."""
    return [str(row[0]) for row in connection.execute(
        "SELECT job_id FROM mesh_remote_job WHERE peer_id = ? AND open = 1 ORDER BY number LIMIT ?", (peer_id, limit))]
