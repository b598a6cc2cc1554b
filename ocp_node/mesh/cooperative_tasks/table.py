"""What is kept of cooperative tasks and their shards; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...base import jsontext

Members = dict[str, Any]
KEPT_MAX = 2_000                  # the newest tasks; one that is under way is never dropped


class Task(NamedTuple):
    """One task."""
    number: int
    id: str
    request_id: str
    origin_peer_id: str
    mission_id: str
    name: str
    strategy: str
    base_job: Members
    target_peers: list[str]
    metadata: Members
    shard_count: int
    state: str
    created_at: str
    updated_at: str


class Shard(NamedTuple):
    """One part of a task."""
    task_number: int
    shard_index: int
    label: str
    peer_id: str
    request_id: str
    placement: Members
    job_id: str
    status: str
    error: str
    snapshot: Members


_TASK_JSON = frozenset({"base_job", "target_peers", "metadata"})
_SHARD_JSON = frozenset({"placement", "snapshot"})
_TASK = ", ".join(Task._fields)
_NEW_TASK = ", ".join(Task._fields[1:])
_SHARD = ", ".join(Shard._fields)


def _texts(values: dict[str, Any], json_names: frozenset[str]) -> list[Any]:
    return [jsontext.ascii_text(value) if name in json_names else value for name, value in values.items()]


def _task(row: Sequence[Any]) -> Task:
    values = dict(zip(Task._fields, row, strict=True))
    return Task(**values | {name: jsontext.load(values[name]) for name in _TASK_JSON})


def _shard(row: Sequence[Any]) -> Shard:
    values = dict(zip(Shard._fields, row, strict=True))
    return Shard(**values | {name: jsontext.load(values[name]) for name in _SHARD_JSON})


def add(connection: sqlite3.Connection, task: Task) -> Task | None:
    """The task with its number; None when the register is full of tasks that are under way."""
    if connection.execute("SELECT count(*) FROM mesh_cooperative_task").fetchone()[0] >= KEPT_MAX:
        gone = connection.execute("DELETE FROM mesh_cooperative_task WHERE number = (SELECT min(number) FROM "
                                  "mesh_cooperative_task WHERE state IN ('completed', 'cancelled', 'attention'))").rowcount
        if not gone:
            return None
    values = _texts({name: value for name, value in task._asdict().items() if name != "number"}, _TASK_JSON)
    cursor = connection.execute(f"INSERT INTO mesh_cooperative_task({_NEW_TASK}) VALUES ({', '.join('?' * len(values))})", values)
    return task._replace(number=cursor.lastrowid or 0)


def forget(connection: sqlite3.Connection, before: str, limit: int) -> None:
    """At most so many tasks that were started before that time and are not under way are gone."""
    connection.execute("DELETE FROM mesh_cooperative_task WHERE number IN (SELECT number FROM mesh_cooperative_task WHERE "
                       "created_at < ? AND state IN ('completed', 'cancelled', 'attention') ORDER BY number LIMIT ?)",
                       (before, limit))


def add_shard(connection: sqlite3.Connection, shard: Shard) -> None:
    connection.execute(f"INSERT INTO mesh_cooperative_shard({_SHARD}) VALUES ({', '.join('?' * len(Shard._fields))})",
                       _texts(shard._asdict(), _SHARD_JSON))


def find(connection: sqlite3.Connection, task_id: str) -> Task | None:
    row = connection.execute(f"SELECT {_TASK} FROM mesh_cooperative_task WHERE id = ?", (task_id,)).fetchone()
    return None if row is None else _task(row)


def numbered(connection: sqlite3.Connection, number: int) -> Task | None:
    row = connection.execute(f"SELECT {_TASK} FROM mesh_cooperative_task WHERE number = ?", (number,)).fetchone()
    return None if row is None else _task(row)


def by_request(connection: sqlite3.Connection, origin: str, request_id: str) -> Task | None:
    """The task that this node has started under this name."""
    row = connection.execute(f"SELECT {_TASK} FROM mesh_cooperative_task WHERE origin_peer_id = ? AND request_id = ?",
                             (origin, request_id)).fetchone()
    return None if row is None else _task(row)


def listed(connection: sqlite3.Connection, limit: int, state: str) -> list[Task]:
    """Tasks, newest first; all of them for ""."""
    where, values = ("WHERE state = ?", (state,)) if state else ("", ())
    return [_task(row) for row in connection.execute(
        f"SELECT {_TASK} FROM mesh_cooperative_task {where} ORDER BY number DESC LIMIT ?", (*values, limit))]


def set_state(connection: sqlite3.Connection, number: int, state: str) -> None:
    connection.execute("UPDATE mesh_cooperative_task SET state = ? WHERE number = ?", (state, number))


def shards(connection: sqlite3.Connection, number: int) -> list[Shard]:
    """The shards of a task, in their order."""
    return [_shard(row) for row in connection.execute(
        f"SELECT {_SHARD} FROM mesh_cooperative_shard WHERE task_number = ? ORDER BY shard_index", (number,))]


def statuses(connection: sqlite3.Connection, number: int) -> list[str]:
    """How the shards of a task stand, in their order."""
    return [str(row[0]) for row in connection.execute(
        "SELECT status FROM mesh_cooperative_shard WHERE task_number = ? ORDER BY shard_index", (number,))]


def places(connection: sqlite3.Connection, number: int) -> list[tuple[int, str, str, str, str]]:
    """Index, node, job, status and error of each shard of a task, in their order."""
    return connection.execute("SELECT shard_index, peer_id, job_id, status, error FROM mesh_cooperative_shard "
                              "WHERE task_number = ? ORDER BY shard_index", (number,)).fetchall()


def set_shard(connection: sqlite3.Connection, number: int, index: int, job_id: str, status: str, error: str,
              snapshot: Members) -> None:
    """What became of the sending of a shard."""
    connection.execute("UPDATE mesh_cooperative_shard SET job_id = ?, status = ?, error = ?, snapshot = ? "
                       "WHERE task_number = ? AND shard_index = ?",
                       (job_id, status, error, jsontext.ascii_text(snapshot), number, index))


def tasks_with(connection: sqlite3.Connection, job_id: str) -> list[int]:
    """The tasks of which this job is a shard."""
    return [int(row[0]) for row in connection.execute(
        "SELECT DISTINCT task_number FROM mesh_cooperative_shard WHERE job_id = ? AND job_id <> ''", (job_id,))]


def set_status(connection: sqlite3.Connection, job_id: str, status: str) -> int:
    """The shard's job stands so now.  Gives how many shards that changed."""
    return connection.execute("UPDATE mesh_cooperative_shard SET status = ? WHERE job_id = ? AND job_id <> '' AND status <> ?",
                              (status, job_id, status)).rowcount


def pending(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Task and index of shards that are being sent, or were when the node died."""
    found: list[tuple[int, int]] = connection.execute(
        "SELECT task_number, shard_index FROM mesh_cooperative_shard WHERE status = 'pending'").fetchall()
    return found
