"""The append-only event table that every change may add to, and who hears of what was committed.

One table serves every surface: a surface's own numbers grow strictly but have gaps.  An event stands in the table exactly
when the change it tells of does, because both are one transaction; listeners hear of it after the commit, in order.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence

from ..base import jsontext, limits
from ..base.clock import Clock
from ..base.ids import Ids
from ..base.jsontext import quoted
from ..base.log import Log
from . import facts

Payload = dict[str, object]
_COLUMNS = "seq, id, surface, event_type, subject, peer_id, request_id, payload, created_at"


class Event:
    """One event.  `payload_text` is its payload as JSON text without blanks, ready to be sent; `payload` is read from it."""

    __slots__ = ("seq", "id", "surface", "event_type", "subject", "peer_id", "request_id", "payload_text", "created_at",
                 "_payload")

    def __init__(self, seq: int, id: str, surface: str, event_type: str, subject: str, peer_id: str, request_id: str,
                 payload: str | Payload, created_at: str) -> None:
        self.seq = seq
        self.id = id
        self.surface = surface
        self.event_type = event_type
        self.subject = subject
        self.peer_id = peer_id
        self.request_id = request_id
        self.payload_text = payload if isinstance(payload, str) else jsontext.ascii_text(payload)
        self.created_at = created_at
        self._payload: Payload | None = None

    @property
    def payload(self) -> Payload:
        if self._payload is None:
            self._payload = jsontext.load(self.payload_text)  # type: ignore[assignment]
        return self._payload  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"Event({self.seq}, {self.surface!r}, {self.event_type!r}, {self.subject!r})"


def event_json(event: Event) -> dict[str, object]:
    """The event as the mesh shows it (OCP 0.1, event log)."""
    return {"seq": event.seq, "id": event.id, "event_type": event.event_type, "peer_id": event.peer_id,
            "request_id": event.request_id, "payload": event.payload, "created_at": event.created_at}


def event_text(event: Event) -> str:
    """`event_json` as JSON text.  The payload goes into it as it is stored; id, type and time are ours and need no escapes."""
    return (f'{{"seq":{event.seq},"id":"{event.id}","event_type":"{event.event_type}","peer_id":{quoted(event.peer_id)},'
            f'"request_id":{quoted(event.request_id)},"payload":{event.payload_text},"created_at":"{event.created_at}"}}')


def append(connection: sqlite3.Connection, event_type: str, surface: str, subject: str, peer_id: str, request_id: str,
           payload: Payload | None, clock: Clock, ids: Ids) -> Event:
    """The event stands in the table, in the transaction of `connection`.  A payload that is too large leaves only its size."""
    text = jsontext.ascii_text(payload) if payload else "{}"
    if len(text) > limits.EVENT_PAYLOAD_BYTES_MAX:
        text = jsontext.ascii_text({"truncated": True, "bytes": len(text)})
    name, created_at = ordered_uuid(clock.time(), ids.bytes(10)), clock.text()
    cursor = connection.execute(
        "INSERT INTO event(id, surface, event_type, subject, peer_id, request_id, payload, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (name, surface, event_type, subject, peer_id, request_id, text, created_at))
    return Event(cursor.lastrowid or 0, name, surface, event_type, subject, peer_id, request_id, text, created_at)


def ordered_uuid(seconds: float, chance: bytes) -> str:
    """A version 7 UUID (RFC 9562 section 5.7): as ids grow, many events share a page of their index, and a flush is small."""
    raw = bytearray((int(seconds * 1000) & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + chance)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def since(connection: sqlite3.Connection, seq: int, limit: int, surface: str = "mesh", types: Sequence[str] = ()) -> list[Event]:
    """The first `limit` events after `seq`, oldest first; of every surface for ""; only of `types` when any are named."""
    count = _bounded(limit)
    if not types:
        where, values = ("surface = ? AND", (surface,)) if surface else ("", ())
        return _events(connection, f"{where} seq > ? ORDER BY seq LIMIT ?", (*values, seq, count))
    found = [event for kind in tuple(dict.fromkeys(types))[:limits.EVENT_TYPES_PER_READ_MAX]
             for event in _events(connection, "event_type = ? AND (? = '' OR surface = ?) AND seq > ? ORDER BY seq LIMIT ?",
                                  (kind, surface, surface, seq, count))]
    return sorted(found, key=lambda event: event.seq)[:count]


# As `event_text` words it.  The rows of a page are never made into objects, and half the page's time was making them.
_TEXTS = """SELECT coalesce(max(seq), 0), coalesce(group_concat(text), '') FROM (
  SELECT seq, printf('{"seq":%d,"id":"%s","event_type":"%s","peer_id":%s,"request_id":%s,"payload":%s,"created_at":"%s"}',
                     seq, id, event_type, json_quote(peer_id), json_quote(request_id), payload, created_at) AS text
  FROM event WHERE surface = ? AND seq > ? ORDER BY seq LIMIT ?)"""


def texts_since(connection: sqlite3.Connection, seq: int, limit: int, surface: str = "mesh") -> tuple[int, str]:
    """The number of the last event that `since` would give, 0 when it gives none, and their JSON texts with commas between."""
    last, texts = connection.execute(_TEXTS, (surface, seq, _bounded(limit))).fetchone()
    return last, texts


def latest(connection: sqlite3.Connection, limit: int, surface: str = "", before: int = 0) -> list[Event]:
    """The newest `limit` events, newest first; with `before`, those older than that number: a page of a time-line."""
    where, values = ("surface = ? AND", (surface,)) if surface else ("", ())
    end = before if before > 0 else 2**63 - 1
    return _events(connection, f"{where} seq < ? ORDER BY seq DESC LIMIT ?", (*values, end, _bounded(limit)))


def _bounded(limit: int) -> int:
    return max(1, min(limit, limits.EVENTS_PER_READ_MAX))


def _events(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[Event]:
    return [Event(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM event WHERE {where}", values)]


def newest(connection: sqlite3.Connection, surface: str = "mesh") -> int:
    """The number of the surface's newest event (of all for ""), 0 when there never was one; a sweep never removes it."""
    return _edge(connection, "max", surface)


def oldest(connection: sqlite3.Connection, surface: str = "mesh") -> int:
    """The number of the surface's oldest event still kept, 0 when there is none."""
    return _edge(connection, "min", surface)


def _edge(connection: sqlite3.Connection, which: str, surface: str) -> int:
    where, values = ("WHERE surface = ?", (surface,)) if surface else ("", ())
    return int(connection.execute(f"SELECT coalesce({which}(seq), 0) FROM event {where}", values).fetchone()[0])


def log_id(connection: sqlite3.Connection) -> str:
    """The random name of this log.  Another one means that numbers start over: the database was made anew, or restored."""
    return facts.get(connection, "log_id")


def renew_log_id(connection: sqlite3.Connection, ids: Ids) -> str:
    """The log has a new name: its numbers may be given a second time from here on."""
    name = ids.hex(32)
    facts.put(connection, "log_id", name)
    return name


def prune(connection: sqlite3.Connection, keep: int = limits.EVENTS_KEPT) -> int:
    """At most the newest `keep` events of each surface are left, or one call's worth has been removed.  Gives how many went.

    Counted per surface, so that a talkative one cannot push out another's history.  The newest of each always stays.
    """
    removed = 0
    for (surface,) in connection.execute(_SURFACES).fetchall():
        row = connection.execute("SELECT seq FROM event WHERE surface = ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
                                 (surface, max(1, keep))).fetchone()
        if row is not None and removed < limits.EVENTS_PRUNED_MAX:
            removed += connection.execute(
                "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE surface = ? AND seq <= ? ORDER BY seq LIMIT ?)",
                (surface, row[0], limits.EVENTS_PRUNED_MAX - removed)).rowcount
    return removed


# Each surface by one step through the index, however many events there are.
_SURFACES = """WITH RECURSIVE surfaces(name) AS (
  SELECT min(surface) FROM event
  UNION ALL SELECT (SELECT min(surface) FROM event WHERE surface > name) FROM surfaces WHERE name IS NOT NULL)
SELECT name FROM surfaces WHERE name IS NOT NULL LIMIT 100"""


Act = Callable[[list[Event]], None]


class Feed:
    """Who hears of committed events, on the loop, group after group; and how events are read again."""

    since = staticmethod(since)
    texts_since = staticmethod(texts_since)
    latest = staticmethod(latest)
    newest = staticmethod(newest)
    oldest = staticmethod(oldest)
    prune = staticmethod(prune)

    def __init__(self, log: Log) -> None:
        self._log = log
        self._listeners: tuple[tuple[object, Act], ...] = ()
        self._lock = threading.Lock()
        self.log_id = ""                     # set when the writer has opened the database

    def listen(self, act: Act) -> Callable[[], None]:
        """`act` gets the events of each group from now on, in order, until the returned function is called."""
        key = object()
        with self._lock:
            self._listeners = (*self._listeners, (key, act))
        return lambda: self._stop(key)

    def _stop(self, key: object) -> None:
        with self._lock:
            self._listeners = tuple(each for each in self._listeners if each[0] is not key)

    def published(self, events: Iterable[Event]) -> None:
        """Every listener has heard of `events`; one that fails does not keep the others from hearing."""
        heard = list(events)
        for _, act in self._listeners:
            try:
                act(heard)
            except Exception as fault:       # part of the writer's last line of defence: what follows a commit must go on
                self._log.fault("feed.fault", fault)
