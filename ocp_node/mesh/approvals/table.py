"""Where approvals are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...base import jsontext
from .rules import EXPIRED, PENDING, Approval

_JSON = frozenset({"target_device_classes", "resolution", "metadata"})
_COLUMNS = ", ".join(Approval._fields)
_ENDING = "mesh_approval INDEXED BY mesh_approval_due"       # however many wait without an end, those with one are found at once
_DUE = "status = 'pending' AND expires_at <> '' AND expires_at < ?"


def add(connection: sqlite3.Connection, approval: Approval) -> None:
    """The approval stands at the end of the table."""
    values = [jsontext.ascii_text(value) if name in _JSON else value for name, value in approval._asdict().items()]
    connection.execute(f"INSERT INTO mesh_approval({_COLUMNS}) VALUES ({','.join('?' * len(values))})", values)


def settle(connection: sqlite3.Connection, approval: Approval, before: str) -> bool:
    """The approval is as decided here; False, and nothing changed, when its status is no longer `before`."""
    texts = jsontext.ascii_text(approval.resolution), jsontext.ascii_text(approval.metadata)
    return connection.execute(
        "UPDATE mesh_approval SET status = ?, resolution = ?, metadata = ?, updated_at = ?, resolved_at = ? "
        "WHERE id = ? AND status = ?",
        (approval.status, *texts, approval.updated_at, approval.resolved_at, approval.id, before)).rowcount == 1


def find(connection: sqlite3.Connection, approval_id: str) -> Approval | None:
    """The approval of that id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_approval WHERE id = ?", (approval_id,)).fetchone()
    return _approval(row) if row else None


def asked(connection: sqlite3.Connection, request_id: str) -> Approval | None:
    """The approval that was asked for under that name."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_approval WHERE request_id = ? AND request_id <> ''",
                             (request_id,)).fetchone()
    return _approval(row) if row else None


def newest(connection: sqlite3.Connection, limit: int, now: str, status: str = "", target_peer_id: str = "",
           target_agent_id: str = "") -> list[Approval]:
    """The newest approvals that fit as of `now`, newest first; an empty word narrows nothing."""
    targets = {"target_agent_id": target_agent_id, "target_peer_id": target_peer_id}
    where = " AND ".join(["1", *(f"{name} = ? AND {name} <> ''" for name, value in targets.items() if value)])
    values = [value for value in targets.values() if value]
    select = f"SELECT number, {_COLUMNS} FROM mesh_approval WHERE {where}"
    if status == PENDING:
        sql, given = f"{select} AND status = ? AND (expires_at = '' OR expires_at >= ?)", [*values, status, now]
    elif status == EXPIRED:         # those the clock has ended a moment ago are still written as pending
        ending = select.replace("mesh_approval", _ENDING)
        sql, given = f"{select} AND status = ? UNION ALL {ending} AND {_DUE}", [*values, status, *values, now]
    else:
        sql, given = (f"{select} AND status = ?", [*values, status]) if status else (select, values)
    rows = connection.execute(f"{sql} ORDER BY number DESC LIMIT ?", (*given, limit))
    return [_approval(row[1:]) for row in map(tuple, rows)]


def pending(connection: sqlite3.Connection, now: str) -> int:
    """How many wait for a decision; costs by their number."""
    return int(connection.execute("SELECT count(*) FROM mesh_approval WHERE status = 'pending' "
                                  "AND (expires_at = '' OR expires_at >= ?)", (now,)).fetchone()[0])


def due(connection: sqlite3.Connection, now: str, limit: int) -> list[Approval]:
    """Approvals whose time has run out, the longest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {_ENDING} WHERE {_DUE} ORDER BY expires_at LIMIT ?", (now, limit))
    return [_approval(row) for row in rows]


def next_expiry(connection: sqlite3.Connection, since: str = "") -> str:
    """When the next pending approval runs out, not before `since`; "" when none does."""
    row = connection.execute(f"SELECT min(expires_at) FROM {_ENDING} "
                             "WHERE status = 'pending' AND expires_at <> '' AND expires_at >= ?", (since,)).fetchone()
    return str(row[0] or "")


def count(connection: sqlite3.Connection) -> int:
    """How many approvals are kept."""
    return int(connection.execute("SELECT count(*) FROM mesh_approval").fetchone()[0])


def drop_settled(connection: sqlite3.Connection, limit: int) -> int:
    """The oldest approvals on which nothing is left to decide are forgotten, at most `limit`.  Gives how many were."""
    return connection.execute("DELETE FROM mesh_approval WHERE number IN (SELECT number FROM mesh_approval "
                              "WHERE status NOT IN ('pending', 'deferred') ORDER BY number LIMIT ?)", (limit,)).rowcount


def _approval(row: Sequence[object]) -> Approval:
    return Approval(*(jsontext.load(str(value)) if name in _JSON else value  # type: ignore[arg-type]
                      for name, value in zip(Approval._fields, row, strict=True)))
