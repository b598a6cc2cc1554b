"""Where samples are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from typing import Any

from ...base import jsontext

Members = dict[str, Any]

SAMPLES_KEPT = 10_000            # the newest; at one a minute this is a week
COLUMNS = ("id", "sampled_at", "node_id", "setup_status", "mesh_score", "known_peer_count", "route_count", "healthy_route_count",
           "latest_proof_status", "execution_ready_targets", "local_ready_workers", "artifact_verified_count",
           "pending_approvals", "payload")


def add(connection: sqlite3.Connection, sample: Members) -> None:
    """The sample is kept; only the newest ones stay."""
    values = [jsontext.ascii_text(sample[name]) if name == "payload" else sample[name] for name in COLUMNS]
    connection.execute(f"INSERT INTO mesh_app_sample({', '.join(COLUMNS)}) VALUES ({','.join('?' * len(COLUMNS))})", values)
    connection.execute("DELETE FROM mesh_app_sample WHERE number <= (SELECT max(number) FROM mesh_app_sample) - ?",
                       (SAMPLES_KEPT,))


def newest(connection: sqlite3.Connection, limit: int) -> list[Members]:
    """The newest samples, oldest first."""
    rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM mesh_app_sample ORDER BY number DESC LIMIT ?",
                              (limit,)).fetchall()
    samples = [dict(zip(COLUMNS, row, strict=True)) for row in reversed(rows)]
    return [{**sample, "payload": jsontext.load(sample["payload"])} for sample in samples]
