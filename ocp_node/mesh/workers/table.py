"""What is kept of workers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ...base import jsontext

Members = dict[str, Any]
SHOWN = ("id", "peer_id", "agent_id", "status", "capabilities", "resources", "labels", "max_concurrent_jobs", "metadata",
         "created_at",
         "updated_at", "last_heartbeat_at", "active_attempts")
_JSON = ("capabilities", "resources", "labels", "metadata")
_COLUMNS = ", ".join((*SHOWN, "built_in"))


class Worker:
    """One worker; changed in place inside a change, then saved."""

    __slots__ = (*SHOWN, "built_in")
    id: str
    peer_id: str
    agent_id: str
    status: str
    capabilities: list[str]
    resources: Members
    labels: list[str]
    max_concurrent_jobs: int
    metadata: Members
    created_at: str
    updated_at: str
    last_heartbeat_at: str
    active_attempts: int
    built_in: bool

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, values[name])


def _made(row: Sequence[Any]) -> Worker:
    values = dict(zip((*SHOWN, "built_in"), row, strict=True))
    for name in _JSON:
        values[name] = jsontext.load(values[name])
    values["built_in"] = bool(values["built_in"])
    return Worker(**values)


def put(connection: sqlite3.Connection, worker: Worker) -> None:
    """The worker stands as it is here; how many attempts it holds is not ours to say, and when it was first seen stays."""
    names = [name for name in (*SHOWN, "built_in") if name != "active_attempts"]
    values = [jsontext.ascii_text(getattr(worker, name)) if name in _JSON else getattr(worker, name) for name in names]
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("id", "created_at"))
    connection.execute(f"INSERT INTO mesh_worker({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
                       f"ON CONFLICT(id) DO UPDATE SET {updates}", values)


def touch(connection: sqlite3.Connection, worker_id: str, now: str) -> None:
    """The worker has spoken."""
    connection.execute("UPDATE mesh_worker SET last_heartbeat_at = ?, updated_at = ? WHERE id = ? AND last_heartbeat_at < ?",
                       (now, now, worker_id, now))


def set_status(connection: sqlite3.Connection, worker_ids: Iterable[str], status: str, now: str) -> None:
    connection.executemany("UPDATE mesh_worker SET status = ?, updated_at = ? WHERE id = ?",
                           [(status, now, each) for each in worker_ids])


def find(connection: sqlite3.Connection, worker_id: str) -> Worker | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_worker WHERE id = ?", (worker_id,)).fetchone()
    return None if row is None else _made(row)


def listed(connection: sqlite3.Connection, limit: int) -> list[Worker]:
    """Who spoke last comes first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_worker ORDER BY last_heartbeat_at DESC, updated_at DESC, number DESC "
                              "LIMIT ?", (limit,))
    return [_made(row) for row in rows]


def built_in(connection: sqlite3.Connection) -> list[str]:
    """The ids that a pool of this node has worked under."""
    return [row[0] for row in connection.execute("SELECT id FROM mesh_worker WHERE built_in = 1 LIMIT 100")]


def count(connection: sqlite3.Connection, most: int) -> int:
    """How many workers there are, up to `most`."""
    return int(connection.execute("SELECT count(*) FROM (SELECT 1 FROM mesh_worker LIMIT ?)", (most,)).fetchone()[0])


def capacity(connection: sqlite3.Connection, spoken_after: str) -> tuple[int, int]:
    """The slots of workers that serve and have spoken since then, and how many of them are taken."""
    row = connection.execute("SELECT coalesce(sum(max_concurrent_jobs), 0), coalesce(sum(active_attempts), 0) FROM mesh_worker "
                             "WHERE status IN ('active', 'ready') AND last_heartbeat_at > ?", (spoken_after,)).fetchone()
    return int(row[0]), int(row[1])
