"""What is kept of placement decisions."""

from __future__ import annotations

import sqlite3
from typing import Any

from ...base import jsontext

Members = dict[str, Any]
_SHOWN = ("id", "request_id", "job_id", "job_kind", "status", "strategy", "target_type", "peer_id", "score", "placement",
          "selected",
          "candidates", "created_at")
_JSON = ("placement", "selected", "candidates")
_COLUMNS = ", ".join(_SHOWN)
KEPT_MAX = 500


def add(connection: sqlite3.Connection, decision: Members) -> None:
    """The decision is the newest; at most `KEPT_MAX` are kept."""
    values = [jsontext.ascii_text(decision[name]) if name in _JSON else decision[name] for name in _SHOWN]
    cursor = connection.execute(f"INSERT INTO mesh_scheduler_decision({_COLUMNS}) VALUES ({', '.join('?' * len(_SHOWN))})",
                                values)
    connection.execute("DELETE FROM mesh_scheduler_decision WHERE number <= ?", ((cursor.lastrowid or 0) - KEPT_MAX,))


def listed(connection: sqlite3.Connection, limit: int, status: str, target_type: str) -> list[Members]:
    """Decisions, newest first; the table never holds more than `KEPT_MAX`."""
    where, values = "1", []
    for name, value in (("status", status), ("target_type", target_type)):
        if value:
            where += f" AND {name} = ?"
            values.append(value)
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_scheduler_decision WHERE {where} ORDER BY number DESC LIMIT ?",
                              (*values, limit))
    found = []
    for row in rows:
        decision = dict(zip(_SHOWN, row, strict=True))
        found.append(decision | {name: jsontext.load(decision[name]) for name in _JSON})
    return found
