"""What is kept of placement decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...base import jsontext

Members = dict[str, Any]
_SHOWN = ("id", "request_id", "job_id", "job_kind", "status", "strategy", "target_type", "peer_id", "score", "placement",
          "selected",
          "candidates", "created_at")
_JSON = ("placement", "selected", "candidates")
_COLUMNS = ", ".join(_SHOWN)
KEPT_MAX = 500
ERROR_LENGTH_MAX = 500


def add(connection: sqlite3.Connection, decision: Members) -> None:
    """The decision is the newest; at most `KEPT_MAX` are kept."""
    values = [jsontext.ascii_text(decision[name]) if name in _JSON else decision[name] for name in _SHOWN]
    cursor = connection.execute(f"INSERT INTO mesh_scheduler_decision({_COLUMNS}) VALUES ({', '.join('?' * len(_SHOWN))})",
                                values)
    connection.execute("DELETE FROM mesh_scheduler_decision WHERE number <= ?", ((cursor.lastrowid or 0) - KEPT_MAX,))


def set_job(connection: sqlite3.Connection, decision_id: str, job_id: str) -> None:
    """The job of the decision has this id."""
    connection.execute("UPDATE mesh_scheduler_decision SET job_id = ? WHERE id = ?", (job_id, decision_id))


def set_failed(connection: sqlite3.Connection, decision_id: str, error: str) -> None:
    """The job did not get where the decision wanted it."""
    connection.execute("UPDATE mesh_scheduler_decision SET status = 'failed', error = ? WHERE id = ?",
                       (error[:ERROR_LENGTH_MAX], decision_id))


def by_request(connection: sqlite3.Connection, request_id: str) -> Members | None:
    """The decision by which this request got its job, else the newest one about it."""
    row = connection.execute(f"SELECT {_COLUMNS}, error FROM mesh_scheduler_decision WHERE request_id = ? "
                             "ORDER BY job_id <> '' DESC, number DESC LIMIT 1", (request_id,)).fetchone()
    return None if row is None else _made(row)


def listed(connection: sqlite3.Connection, limit: int, status: str, target_type: str) -> list[Members]:
    """Decisions, newest first; the table never holds more than `KEPT_MAX`."""
    where, values = "1", []
    for name, value in (("status", status), ("target_type", target_type)):
        if value:
            where += f" AND {name} = ?"
            values.append(value)
    rows = connection.execute(f"SELECT {_COLUMNS}, error FROM mesh_scheduler_decision WHERE {where} ORDER BY number DESC LIMIT ?",
                              (*values, limit))
    return [_made(row) for row in rows]


def _made(row: Sequence[Any]) -> Members:
    decision = dict(zip(_SHOWN, row, strict=False))
    return decision | {name: jsontext.load(decision[name]) for name in _JSON} | ({"error": row[-1]} if row[-1] else {})
