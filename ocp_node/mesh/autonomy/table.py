"""Where runs are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...base import jsontext
from .rules import FAILED, RUNNING, Run

RUNS_KEPT = 200                  # the newest; a repeated request id finds its run among these
_JSON = frozenset({"actions", "result", "metadata"})
_COLUMNS = ", ".join(Run._fields)


def add(connection: sqlite3.Connection, run: Run) -> None:
    """The run stands in the table; only the newest ones stay."""
    connection.execute(f"INSERT INTO mesh_autonomy_run({_COLUMNS}) VALUES ({','.join('?' * len(Run._fields))})", _values(run))
    connection.execute("DELETE FROM mesh_autonomy_run WHERE number <= (SELECT max(number) FROM mesh_autonomy_run) - ?",
                       (RUNS_KEPT,))


def save(connection: sqlite3.Connection, run: Run) -> bool:
    """The run stands as it is here.  False when it was over already, and then nothing changed."""
    updates = ", ".join(f"{name} = ?" for name in Run._fields)
    return connection.execute(f"UPDATE mesh_autonomy_run SET {updates} WHERE id = ? AND status = ?",
                              (*_values(run), run.id, RUNNING)).rowcount > 0


def asked(connection: sqlite3.Connection, request_id: str) -> Run | None:
    """The run of that request."""
    return _one(connection, "WHERE request_id = ?", (request_id,))


def running(connection: sqlite3.Connection) -> Run | None:
    """The run that is not over; there is one at most."""
    return _one(connection, "WHERE status = ?", (RUNNING,))


def newest(connection: sqlite3.Connection) -> Run | None:
    """The latest run."""
    return _one(connection, "ORDER BY number DESC LIMIT 1", ())


def fail(connection: sqlite3.Connection, run_id: str, summary: str, now: str) -> bool:
    """The run has failed, unless it was over.  True when it had not been."""
    return connection.execute("UPDATE mesh_autonomy_run SET status = ?, summary = ?, updated_at = ? WHERE id = ? AND status = ?",
                              (FAILED, summary, now, run_id, RUNNING)).rowcount > 0


def _one(connection: sqlite3.Connection, where: str, values: Sequence[object]) -> Run | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_autonomy_run {where}", values).fetchone()
    if row is None:
        return None
    named = zip(Run._fields, row, strict=True)
    return Run(*(jsontext.load(value) if name in _JSON else value for name, value in named))  # type: ignore[arg-type]


def _values(run: Run) -> list[object]:
    return [jsontext.ascii_text(value) if name in _JSON else value for name, value in run._asdict().items()]
