"""Where notifications are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...base import jsontext
from .rules import Notification

_JSON = frozenset({"target_device_classes", "metadata"})
_COLUMNS = ", ".join(Notification._fields)


def add(connection: sqlite3.Connection, notification: Notification) -> None:
    """The notification stands at the end of the table."""
    marks = ",".join("?" * len(notification))
    connection.execute(f"INSERT INTO mesh_notification({_COLUMNS}) VALUES ({marks})", _values(notification))


def save(connection: sqlite3.Connection, notification: Notification) -> None:
    """What can change of a notification is as it is here."""
    values = (notification.status, jsontext.ascii_text(notification.metadata), notification.updated_at, notification.acked_at)
    connection.execute("UPDATE mesh_notification SET status = ?, metadata = ?, updated_at = ?, acked_at = ? WHERE id = ?",
                       (*values, notification.id))


def find(connection: sqlite3.Connection, notification_id: str) -> Notification | None:
    """The notification of that id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_notification WHERE id = ?", (notification_id,)).fetchone()
    return _notification(row) if row else None


def newest(connection: sqlite3.Connection, limit: int, status: str = "", target_peer_id: str = "",
           target_agent_id: str = "") -> list[Notification]:
    """The newest notifications that fit, newest first; an empty word narrows nothing."""
    named = {"target_agent_id": target_agent_id, "target_peer_id": target_peer_id, "status": status}
    wanted = [(name, value) for name, value in named.items() if value]
    where = " AND ".join(f"{name} = ?" for name, _ in wanted) or "1"
    where += " AND target_agent_id <> ''" if target_agent_id else ""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_notification WHERE {where} ORDER BY number DESC LIMIT ?",
                              (*(value for _, value in wanted), limit))
    return [_notification(row) for row in rows]


def prune(connection: sqlite3.Connection, done_before: str, limit: int) -> int:
    """Notifications dealt with before then are forgotten, at most `limit`.  Gives how many were."""
    return connection.execute(
        "DELETE FROM mesh_notification WHERE number IN (SELECT number FROM mesh_notification "
        "WHERE status <> 'unread' AND updated_at < ? ORDER BY updated_at LIMIT ?)", (done_before, limit)).rowcount


def trim(connection: sqlite3.Connection, keep: int) -> None:
    """At most `keep` notifications are left: those dealt with go first, then unread ones, oldest first; costs by their number.

    So whoever makes this node notify often (strangers that knock) cannot push out what nobody has read yet.
    """
    for which in ("status <> 'unread'", "1"):
        count = int(connection.execute("SELECT count(*) FROM mesh_notification").fetchone()[0])
        if count > keep:
            connection.execute("DELETE FROM mesh_notification WHERE number IN (SELECT number FROM mesh_notification "
                               f"WHERE {which} ORDER BY number LIMIT ?)", (count - keep,))


def _values(notification: Notification) -> list[object]:
    return [jsontext.ascii_text(value) if name in _JSON else value for name, value in notification._asdict().items()]


def _notification(row: Sequence[object]) -> Notification:
    return Notification(*(jsontext.load(str(value)) if name in _JSON else value  # type: ignore[arg-type]
                          for name, value in zip(Notification._fields, row, strict=True)))
