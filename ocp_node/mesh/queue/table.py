"""What the queue keeps: one message for each queued job, counts that never have to be counted again, and which events tell of
whom."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...store.events import Event

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

Members = dict[str, Any]
SHOWN = ("id", "job_id", "queue_name", "status", "dedupe_key", "ack_deadline_seconds", "dead_letter_queue", "delivery_attempts",
         "visibility_timeout_at", "available_at", "claimed_at", "acked_at", "replay_deadline_at", "retention_deadline_at",
         "lease_id",
         "worker_id", "current_attempt_id", "last_error", "metadata", "created_at", "updated_at")
COLUMNS = (*SHOWN, "origin_peer_id", "demand", "priority", "position", "hold", "changed")
_ALL = ", ".join(COLUMNS)
_MARKS = ", ".join("?" * len(COLUMNS))
_SET = ", ".join(f"{name} = ?" for name in COLUMNS if name != "id")


class Message:
    """One message; changed in place inside a change, then saved."""

    __slots__ = COLUMNS
    id: str
    job_id: str
    queue_name: str
    status: str
    dedupe_key: str
    ack_deadline_seconds: int
    dead_letter_queue: str
    delivery_attempts: int
    visibility_timeout_at: str
    available_at: str
    claimed_at: str
    acked_at: str
    replay_deadline_at: str
    retention_deadline_at: str
    lease_id: str
    worker_id: str
    current_attempt_id: str
    last_error: str
    metadata: Members
    created_at: str
    updated_at: str
    origin_peer_id: str
    demand: str
    priority: int
    position: int
    hold: Members                     # why it waits although it is queued: {"reason": ..., ...}
    changed: int

    def __init__(self, **values: Any) -> None:
        for name in COLUMNS:
            setattr(self, name, values[name])


def message_json(message: Message) -> Members:
    """The message as it is shown."""
    shown = {name: getattr(message, name) for name in SHOWN}
    if message.hold:
        shown["metadata"] = {**message.metadata, "hold": message.hold}
    return shown


def _made(row: Sequence[Any]) -> Message:
    values = dict(zip(COLUMNS, row, strict=True))
    values["metadata"] = jsontext.load(values["metadata"])
    values["hold"] = jsontext.load(values["hold"]) if values["hold"] else {}
    return Message(**values)


def _values(message: Message) -> dict[str, Any]:
    values = {name: getattr(message, name) for name in COLUMNS}
    values["metadata"] = jsontext.ascii_text(message.metadata)
    values["hold"] = jsontext.ascii_text(message.hold) if message.hold else ""
    return values


def add(connection: sqlite3.Connection, message: Message) -> None:
    values = _values(message)
    connection.execute(f"INSERT INTO mesh_queue_message({_ALL}) VALUES ({_MARKS})", tuple(values[name] for name in COLUMNS))


def save(connection: sqlite3.Connection, message: Message) -> None:
    values = _values(message)
    connection.execute(f"UPDATE mesh_queue_message SET {_SET} WHERE id = ?",
                       (*(values[name] for name in COLUMNS if name != "id"), message.id))


def delete(connection: sqlite3.Connection, message_id: str) -> None:
    connection.execute("DELETE FROM mesh_queue_message WHERE id = ?", (message_id,))


# --- reading

def _one(connection: sqlite3.Connection, where: str, *values: object) -> Message | None:
    row = connection.execute(f"SELECT {_ALL} FROM mesh_queue_message WHERE {where}", values).fetchone()
    return None if row is None else _made(row)


def _many(connection: sqlite3.Connection, index: str, where: str, *values: object) -> list[Message]:
    """`index` is named because SQLite, without statistics, takes one that it has to sort or filter after."""
    rows = connection.execute(f"SELECT {_ALL} FROM mesh_queue_message INDEXED BY {index} WHERE {where}", values)
    return [_made(row) for row in rows]


def find(connection: sqlite3.Connection, message_id: str) -> Message | None:
    return _one(connection, "id = ?", message_id)


def of_job(connection: sqlite3.Connection, job_id: str) -> Message | None:
    return _one(connection, "job_id = ?", job_id)


def of_attempt(connection: sqlite3.Connection, attempt_id: str) -> Message | None:
    return _one(connection, "current_attempt_id = ? AND current_attempt_id <> ''", attempt_id)


def same_key(connection: sqlite3.Connection, origin: str, queue_name: str, key: str) -> Message | None:
    """The live message that a repeated submission means."""
    return _one(connection, "origin_peer_id = ? AND queue_name = ? AND dedupe_key = ? AND dedupe_key <> '' "
                "AND status IN ('queued', 'inflight', 'acked')", origin, queue_name, key)


def listed(connection: sqlite3.Connection, limit: int, status: str) -> list[Message]:
    """Latest change first; of one status unless that is ""."""
    if status:
        return _many(connection, "mesh_queue_status", "status = ? ORDER BY changed DESC LIMIT ?", status, limit)
    return _many(connection, "mesh_queue_listed", "1 ORDER BY changed DESC LIMIT ?", limit)


def last_change(connection: sqlite3.Connection) -> int:
    """The highest number that a change was given."""
    return int(connection.execute("SELECT coalesce(max(changed), 0) FROM mesh_queue_message").fetchone()[0])


# --- whose turn it is

_HEAD = "FROM mesh_queue_message INDEXED BY mesh_queue_ready WHERE status = 'queued' AND hold = ''"
_READY = "FROM mesh_queue_message INDEXED BY mesh_queue_demand WHERE status = 'queued' AND hold = ''"
_LINE = "ORDER BY available_at, priority, position"


def head(connection: sqlite3.Connection, now: str, limit: int) -> list[tuple[str, str]]:
    """The first of the line: job id and demand."""
    return connection.execute(f"SELECT job_id, demand {_HEAD} AND available_at <= ? {_LINE} LIMIT ?", (now, limit)).fetchall()


def demands(connection: sqlite3.Connection, limit: int) -> list[str]:
    """The different demands in the line, each by one step through its index, however many messages make it."""
    rows = connection.execute(
        f"WITH RECURSIVE other(demand) AS (SELECT min(demand) {_READY} UNION ALL "
        f"SELECT (SELECT min(demand) {_READY} AND demand > other.demand) FROM other WHERE other.demand IS NOT NULL) "
        "SELECT demand FROM other WHERE demand IS NOT NULL LIMIT ?", (limit,))
    return [row[0] for row in rows]


def first_of(connection: sqlite3.Connection, demand: str, now: str, limit: int) -> list[tuple[str, int, int, str]]:
    """The first messages with this demand: when available, priority, position, job id."""
    return connection.execute(f"SELECT available_at, priority, position, job_id {_READY} AND demand = ? AND available_at <= ? "
                              f"{_LINE} LIMIT ?", (demand, now, limit)).fetchall()


def next_available(connection: sqlite3.Connection, now: str) -> str:
    """When the next message becomes available that is not yet; "" when none does."""
    row = connection.execute(f"SELECT available_at {_HEAD} AND available_at > ? ORDER BY available_at LIMIT 1",
                             (now,)).fetchone()
    return "" if row is None else str(row[0])


# --- what is due

def expired(connection: sqlite3.Connection, now: str, limit: int) -> list[Message]:
    """Messages whose holder has been silent too long."""
    return _many(connection, "mesh_queue_visible", "status = 'inflight' AND visibility_timeout_at <= ? "
                 "ORDER BY visibility_timeout_at LIMIT ?", now, limit)


def outlived(connection: sqlite3.Connection, now: str, limit: int) -> list[Message]:
    """Messages that need not be kept any longer."""
    return _many(connection, "mesh_queue_retained", "retention_deadline_at <> '' AND retention_deadline_at <= ? "
                 "ORDER BY retention_deadline_at LIMIT ?", now, limit)


def anything_due(connection: sqlite3.Connection, now: str) -> bool:
    """Is there a message that has to be delivered again, or deleted?"""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM mesh_queue_message WHERE status = 'inflight' AND visibility_timeout_at <= ?1) OR "
        "EXISTS (SELECT 1 FROM mesh_queue_message WHERE retention_deadline_at <> '' AND retention_deadline_at <= ?1)",
        (now,)).fetchone()
    return bool(row[0])


# --- figures

def counts(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Messages by queue and status, as they are kept."""
    return connection.execute("SELECT queue_name, status, amount FROM mesh_queue_count "
                              "WHERE queue_name <> '' AND amount > 0").fetchall()


def amount(connection: sqlite3.Connection, what: str) -> int:
    """One of the figures over all queues: redelivered, failed_attempts."""
    row = connection.execute("SELECT amount FROM mesh_queue_count WHERE queue_name = '' AND status = ?", (what,)).fetchone()
    return 0 if row is None else int(row[0])


def oldest(connection: sqlite3.Connection) -> str:
    """When the longest available queued message became so; "" when none is queued."""
    row = connection.execute("SELECT available_at FROM mesh_queue_message INDEXED BY mesh_queue_oldest WHERE status = 'queued' "
                             "ORDER BY available_at LIMIT 1").fetchone()
    return "" if row is None else str(row[0])


# --- events

def note_event(connection: WriteConnection, seq: int, job_id: str, message_id: str) -> None:
    """The event with this number tells of this message."""
    connection.execute("INSERT INTO mesh_queue_event(seq, job_id, queue_message_id) VALUES (?, ?, ?)", (seq, job_id, message_id))


_EVENT = ("SELECT event.seq, event.id, event.surface, event.event_type, event.subject, event.peer_id, event.request_id, "
          "event.payload, event.created_at FROM mesh_queue_event JOIN event ON event.seq = mesh_queue_event.seq "
          "WHERE mesh_queue_event.seq > ?")


def events(connection: sqlite3.Connection, since: int, limit: int, job_id: str, message_id: str) -> Iterable[Event]:
    """Events of the queue after `since`, oldest first; only those of a job or a message when one is named."""
    where, values = "", []
    for name, value in (("job_id", job_id), ("queue_message_id", message_id)):
        if value:
            where += f" AND mesh_queue_event.{name} = ?"
            values.append(value)
    rows = connection.execute(f"{_EVENT}{where} ORDER BY mesh_queue_event.seq LIMIT ?", (since, *values, limit))
    return [Event(*row) for row in rows]
