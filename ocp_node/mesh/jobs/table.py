"""What is kept of jobs: the job, its attempts, and the inline secrets it may still need."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ...base import jsontext

Members = dict[str, Any]

_TEXTS = ("id", "request_id", "origin_peer_id", "target_peer_id", "kind", "status", "lease_id", "executor", "created_at",
          "updated_at",
          "finished_at")
_SMALL = ("requirements", "policy", "payload_ref", "artifact_inputs", "metadata", "result_ref")      # JSON, read with the row
_LARGE = ("payload_inline", "spec")                                                                  # JSON, read when asked for
_JOB = (*_TEXTS, *_SMALL, *_LARGE)
_JOB_COLUMNS = ", ".join(_JOB)


class Job:
    """One job; changed in place inside a change, then saved.  The code and payload of a job are read only when needed."""

    __slots__ = (*_TEXTS, *_SMALL, "inline", "_large", "_read")
    id: str
    request_id: str
    origin_peer_id: str
    target_peer_id: str
    kind: str
    status: str
    lease_id: str
    executor: str
    created_at: str
    updated_at: str
    finished_at: str
    requirements: Members
    policy: Members
    payload_ref: Members
    artifact_inputs: list[Members]
    metadata: Members
    result_ref: Members

    def __init__(self, inline: bool, payload_inline: str, spec: str, **values: Any) -> None:
        for name in (*_TEXTS, *_SMALL):
            setattr(self, name, values[name])
        self.inline = inline
        self._large = {"payload_inline": payload_inline, "spec": spec}
        self._read: Members = {}

    @property
    def payload_inline(self) -> Any:
        return self._value("payload_inline")

    @property
    def spec(self) -> Members:
        """What is run; nobody changes it."""
        found: Members = self._value("spec")
        return found

    def large_text(self, name: str) -> str:
        return self._large[name]

    def _value(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = jsontext.load(self._large[name])
        return self._read[name]


class Attempt:
    """One attempt; changed in place inside a change, then saved."""

    __slots__ = ("id", "job_id", "attempt_number", "worker_id", "status", "lease_id", "executor", "result_ref", "error",
                 "metadata",
                 "child", "started_at", "heartbeat_at", "finished_at")
    id: str
    job_id: str
    attempt_number: int
    worker_id: str
    status: str
    lease_id: str
    executor: str
    result_ref: Members
    error: str
    metadata: Members
    child: Members
    started_at: str
    heartbeat_at: str
    finished_at: str

    def __init__(self, **values: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, values[name])


_ATTEMPT = Attempt.__slots__
_ATTEMPT_COLUMNS = ", ".join(_ATTEMPT)
SHOWN = tuple(name for name in _ATTEMPT if name != "child")


def attempt_json(attempt: Attempt) -> Members:
    """The attempt as it is shown."""
    return {name: getattr(attempt, name) for name in SHOWN}


# --- jobs

def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_JOB, row, strict=False))
    for name in _SMALL:
        values[name] = jsontext.load(values[name])
    return Job(inline=bool(row[-1]), **values)


def add(connection: sqlite3.Connection, job: Job) -> None:
    values = [getattr(job, name) for name in _TEXTS] + [jsontext.ascii_text(getattr(job, name)) for name in _SMALL]
    values += [job.large_text(name) for name in _LARGE]
    connection.execute(f"INSERT INTO mesh_job({_JOB_COLUMNS}, inline) VALUES ({', '.join('?' * (len(_JOB) + 1))})",
                       (*values, job.inline))


def save(connection: sqlite3.Connection, job: Job) -> None:
    """What can change of a job."""
    connection.execute("UPDATE mesh_job SET status = ?, inline = ?, metadata = ?, result_ref = ?, lease_id = ?, executor = ?, "
                       "updated_at = ?, finished_at = ? WHERE id = ?",
                       (job.status, job.inline, jsontext.ascii_text(job.metadata), jsontext.ascii_text(job.result_ref),
                        job.lease_id,
                        job.executor, job.updated_at, job.finished_at, job.id))


def find(connection: sqlite3.Connection, job_id: str) -> Job | None:
    row = connection.execute(f"SELECT {_JOB_COLUMNS}, inline FROM mesh_job WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else _job(row)


def by_request(connection: sqlite3.Connection, origin: str, request_id: str) -> Job | None:
    """The job that this sender has asked for under this name."""
    row = connection.execute(f"SELECT {_JOB_COLUMNS}, inline FROM mesh_job WHERE origin_peer_id = ? AND request_id = ?",
                             (origin, request_id)).fetchone()
    return None if row is None else _job(row)


def status_of(connection: sqlite3.Connection, job_id: str) -> str:
    """The job's status; "" when there is no such job."""
    row = connection.execute("SELECT status FROM mesh_job WHERE id = ?", (job_id,)).fetchone()
    return "" if row is None else str(row[0])


def last_job(connection: sqlite3.Connection) -> int:
    """The number of the newest job."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM mesh_job").fetchone()[0])


def inline_running(connection: sqlite3.Connection, up_to: int) -> list[Job]:
    """Jobs up to that number that were being run for a waiting caller."""
    rows = connection.execute(f"SELECT {_JOB_COLUMNS}, inline FROM mesh_job WHERE inline = 1 AND status = 'running' "
                              "AND number <= ? ORDER BY number LIMIT 1000", (up_to,))
    return [_job(row) for row in rows]


def outcomes(connection: sqlite3.Connection, limit: int) -> list[str]:
    """How the last jobs ended, newest first."""
    rows = connection.execute("SELECT status FROM mesh_job WHERE status IN ('completed', 'failed') "
                              "ORDER BY updated_at DESC, number DESC LIMIT ?", (limit,))
    return [row[0] for row in rows]


def ended_before(connection: sqlite3.Connection, before: str, limit: int) -> list[str]:
    """Jobs that ended before this time, the longest ended first."""
    rows = connection.execute("SELECT id FROM mesh_job WHERE finished_at <> '' AND finished_at < ? ORDER BY finished_at LIMIT ?",
                              (before, limit))
    return [row[0] for row in rows]


def forget(connection: sqlite3.Connection, job_ids: Iterable[str], before: str) -> None:
    """The jobs are forgotten, with their attempts and messages, unless somebody has begun them anew meanwhile."""
    connection.executemany("DELETE FROM mesh_job WHERE id = ? AND finished_at <> '' AND finished_at < ?",
                           [(job_id, before) for job_id in job_ids])


# --- attempts

def _attempt(row: Sequence[Any]) -> Attempt:
    values = dict(zip(_ATTEMPT, row, strict=True))
    for name in ("result_ref", "metadata"):
        values[name] = jsontext.load(values[name])
    values["child"] = jsontext.load(values["child"]) if values["child"] else {}
    return Attempt(**values)


def _attempt_values(attempt: Attempt) -> Members:
    values = {name: getattr(attempt, name) for name in _ATTEMPT}
    for name in ("result_ref", "metadata"):
        values[name] = jsontext.ascii_text(values[name])
    values["child"] = jsontext.ascii_text(attempt.child) if attempt.child else ""
    return values


def add_attempt(connection: sqlite3.Connection, attempt: Attempt) -> None:
    values = _attempt_values(attempt)
    connection.execute(f"INSERT INTO mesh_attempt({_ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * len(_ATTEMPT))})",
                       tuple(values[name] for name in _ATTEMPT))


def save_attempt(connection: sqlite3.Connection, attempt: Attempt) -> None:
    values = _attempt_values(attempt)
    connection.execute("UPDATE mesh_attempt SET status = ?, executor = ?, result_ref = ?, error = ?, metadata = ?, child = ?, "
                       "heartbeat_at = ?, finished_at = ? WHERE id = ?",
                       (*(values[name] for name in ("status", "executor", "result_ref", "error", "metadata", "child",
                                                    "heartbeat_at",
                                                    "finished_at")), attempt.id))


def attempt(connection: sqlite3.Connection, attempt_id: str) -> Attempt | None:
    row = connection.execute(f"SELECT {_ATTEMPT_COLUMNS} FROM mesh_attempt WHERE id = ?", (attempt_id,)).fetchone()
    return None if row is None else _attempt(row)


ATTEMPTS_SHOWN_MAX = 100


def attempts_of(connection: sqlite3.Connection, job_id: str, limit: int = ATTEMPTS_SHOWN_MAX) -> list[Attempt]:
    """The job's attempts by number; of very many the last."""
    rows = connection.execute(f"SELECT {_ATTEMPT_COLUMNS} FROM mesh_attempt WHERE job_id = ? "
                              "ORDER BY attempt_number DESC LIMIT ?", (job_id, limit))
    return [_attempt(row) for row in rows][::-1]


def last_number(connection: sqlite3.Connection, job_id: str) -> int:
    """The number of the job's last attempt, 0 before the first."""
    return int(connection.execute("SELECT coalesce(max(attempt_number), 0) FROM mesh_attempt WHERE job_id = ?",
                                  (job_id,)).fetchone()[0])


def open_of(connection: sqlite3.Connection, worker_id: str) -> list[Attempt]:
    """Attempts that this worker holds."""
    rows = connection.execute(f"SELECT {_ATTEMPT_COLUMNS} FROM mesh_attempt WHERE worker_id = ? "
                              "AND status IN ('claimed', 'running') LIMIT 1000", (worker_id,))
    return [_attempt(row) for row in rows]


# --- inline secrets

def put_secret(connection: sqlite3.Connection, job_id: str, variable: str, sealed: str) -> None:
    connection.execute("INSERT INTO mesh_job_secret VALUES (?, ?, ?)", (job_id, variable, sealed))


def secrets_of(connection: sqlite3.Connection, job_id: str) -> dict[str, str]:
    """The sealed values by variable."""
    return dict(connection.execute("SELECT env_var, sealed FROM mesh_job_secret WHERE job_id = ?", (job_id,)).fetchall())


def drop_secrets(connection: sqlite3.Connection, job_id: str) -> None:
    connection.execute("DELETE FROM mesh_job_secret WHERE job_id = ?", (job_id,))
