"""Side effects after the commit: a change writes what is to be sent into a table, and the outbox sends it, repeatedly if it must.

A crash between the two only delays a delivery.  The same delivery can happen twice (the node died, or the disk was full, between
sending and noting it), so what is sent carries a name by which the receiver knows it.
"""

from __future__ import annotations

import functools
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ..base import jsontext, limits
from ..base.clock import Clock
from ..base.errors import Busy
from ..base.log import Log

if TYPE_CHECKING:
    from .reader import Reader
    from .writer import WriteConnection, Writer

Payload = dict[str, object]
Send = Callable[[Payload], None]
Outcome = Callable[["WriteConnection"], None]


class GiveUp(Exception):
    """A sender says that trying again is of no use: the receiver is gone, or refused for good."""


class Delivery:
    """A row that waits."""

    __slots__ = ("number", "kind", "key", "payload", "attempts")

    def __init__(self, number: int, kind: str, key: str, payload: Payload, attempts: int) -> None:
        self.number = number
        self.kind = kind
        self.key = key
        self.payload = payload
        self.attempts = attempts             # that have failed


def add(connection: sqlite3.Connection, kind: str, payload: Payload, key: str, due_at: float, clock: Clock) -> int:
    """The delivery waits, in the transaction of `connection`; it replaces one of the same kind and key.  Gives its number."""
    text = jsontext.ascii_text(payload)
    if len(text) > limits.OUTBOX_BYTES_MAX:
        raise ValueError(f"a delivery of {len(text)} bytes is too large")
    if key:
        connection.execute("DELETE FROM outbox WHERE kind = ? AND key = ?", (kind, key))
    if waiting(connection) >= limits.OUTBOX_ROWS_MAX:
        raise Busy("the outbox", retry_after_seconds=60)
    cursor = connection.execute("INSERT INTO outbox(kind, key, payload, due_at, created_at) VALUES (?, ?, ?, ?, ?)",
                                (kind, key, text, due_at or clock.time(), clock.text()))
    return cursor.lastrowid or 0


def waiting(connection: sqlite3.Connection) -> int:
    """How many deliveries wait."""
    return int(connection.execute("SELECT count(*) FROM outbox WHERE state = 'waiting'").fetchone()[0])


def due(connection: sqlite3.Connection, now: float, limit: int, kinds: Sequence[str],
        besides: Collection[int] = ()) -> list[Delivery]:
    """Up to `limit` deliveries of `kinds` whose time has come, the longest due first, leaving out the numbers in `besides`."""
    rows = connection.execute("SELECT number, kind, key, payload, attempts FROM outbox WHERE state = 'waiting' "
                              f"AND kind IN ({_marks(kinds)}) AND due_at <= ? ORDER BY due_at, number LIMIT ?",
                              (*kinds, now, limit + len(besides)))
    found = [Delivery(number, kind, key, jsontext.load(payload), attempts)  # type: ignore[arg-type]
             for number, kind, key, payload, attempts in rows if number not in besides]
    return found[:limit]


def next_due(connection: sqlite3.Connection, kinds: Sequence[str], besides: Collection[int] = ()) -> float | None:
    """When the next delivery of `kinds` is due, None when none waits."""
    row = connection.execute(f"SELECT min(due_at) FROM outbox WHERE state = 'waiting' AND kind IN ({_marks(kinds)}) "
                             f"AND number NOT IN ({_marks(besides)})", (*kinds, *besides)).fetchone()
    return None if row[0] is None else float(row[0])


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))


def done(connection: sqlite3.Connection, number: int) -> None:
    """The delivery has happened and is forgotten."""
    connection.execute("DELETE FROM outbox WHERE number = ?", (number,))


def retry(connection: sqlite3.Connection, number: int, due_at: float, error: str) -> None:
    """The delivery failed once more and waits until `due_at`."""
    connection.execute("UPDATE outbox SET attempts = attempts + 1, due_at = ?, error = ? WHERE number = ?",
                       (due_at, error[:limits.OUTBOX_ERROR_LENGTH_MAX], number))


def give_up(connection: sqlite3.Connection, number: int, error: str) -> None:
    """The delivery is not tried again; the newest of its like stay for the operator to see."""
    connection.execute("UPDATE outbox SET attempts = attempts + 1, state = 'failed', error = ? WHERE number = ?",
                       (error[:limits.OUTBOX_ERROR_LENGTH_MAX], number))
    connection.execute("DELETE FROM outbox WHERE state = 'failed' AND number <= "
                       "(SELECT number FROM outbox WHERE state = 'failed' ORDER BY number DESC LIMIT 1 OFFSET ?)",
                       (limits.OUTBOX_FAILED_KEPT,))


def failed(connection: sqlite3.Connection, limit: int = 100) -> list[dict[str, object]]:
    """Deliveries that were given up, newest first; their payloads stay where they are, they may hold secrets."""
    rows = connection.execute("SELECT number, kind, key, attempts, error, created_at FROM outbox WHERE state = 'failed' "
                              "ORDER BY number DESC LIMIT ?", (min(limit, limits.OUTBOX_FAILED_KEPT),))
    return [dict(row) for row in rows]


def delay_seconds(failures: int, chance: float) -> float:
    """How long to wait after so many failures: doubled each time, up to a bound, then 50 to 100 % of it by `chance` (0 to 1),
    so that many nodes whose common peer was away do not all come back to it at once."""
    longest = min(limits.OUTBOX_DELAY_SECONDS * 2 ** min(failures - 1, 30), limits.OUTBOX_DELAY_SECONDS_MAX)
    return float(longest * (0.5 + chance / 2))


class Outbox:
    """Sends what waits.  `step` is the step of a ticker; `wake` is that ticker's.

    Without `spread`, deliveries happen one after the other in the thread that calls `step`.  With it (a pool's way to run a
    function), a few happen beside each other, so that one silent receiver does not hold up the others.
    """

    def __init__(self, writer: Writer, reader: Reader, clock: Clock, log: Log, chance: Callable[[], float], *,
                 spread: Callable[[Callable[[], None]], None] | None = None,
                 attempts_max: int = limits.OUTBOX_ATTEMPTS_MAX) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._log = log
        self._chance = chance
        self._spread = spread
        self._attempts_max = attempts_max
        self._senders: dict[str, Send] = {}
        self._sending: set[int] = set()      # being sent, or sent and the outcome not stored yet
        self._owed: dict[int, Outcome] = {}      # their outcomes
        self._lock = threading.Lock()
        writer.outbox_wake = lambda: self.wake()

    def on(self, kind: str, send: Send) -> None:
        """`send` delivers payloads of `kind`: returning means delivered, `GiveUp` never again, any other exception try later.

        It runs on a background thread and must have a time-out of its own.  A kind without a sender waits.
        """
        self._senders[kind] = send
        self.wake()

    def step(self) -> float | None:
        """What is due has been tried.  Gives the seconds until something is due again, None when nothing waits.

        As long as outcomes cannot be stored nothing is sent, or a full disk would send the same things again and again.
        """
        self._store_owed()
        kinds = tuple(self._senders)
        busy = self._busy()
        room = limits.OUTBOX_SENDING_MAX - len(busy) if self._spread else limits.OUTBOX_TAKEN_MAX
        with self._reader.snapshot() as connection:
            deliveries = due(connection, self._clock.time(), room, kinds, busy) if kinds and room > 0 else []
        for delivery in deliveries:
            self._start(delivery)
        return self._pause(kinds)

    def _pause(self, kinds: Sequence[str]) -> float | None:
        busy = self._busy()
        if not kinds or self._spread and len(busy) >= limits.OUTBOX_SENDING_MAX:
            return None                      # the end of a delivery wakes us
        with self._reader.snapshot() as connection:
            at = next_due(connection, kinds, busy)
        return None if at is None else max(0.0, at - self._clock.time())

    def _busy(self) -> frozenset[int]:
        with self._lock:
            return frozenset(self._sending)

    def _start(self, delivery: Delivery) -> None:
        with self._lock:
            self._sending.add(delivery.number)
        if self._spread is None:
            self._deliver(delivery)
            return
        try:
            self._spread(lambda: self._beside(delivery))
        except Busy:                         # the pool is full: it waits for the next step
            with self._lock:
                self._sending.discard(delivery.number)

    def _beside(self, delivery: Delivery) -> None:
        try:
            self._deliver(delivery)
        except Exception as fault:           # on a pool's thread: the outcome is owed, and stored by a later step
            self._log.fault("outbox.fault", fault, kind=delivery.kind)
        self.wake()

    def _deliver(self, delivery: Delivery) -> None:
        """The delivery was tried and its outcome is stored, or owed."""
        try:
            self._senders[delivery.kind](delivery.payload)
            outcome: Outcome = functools.partial(done, number=delivery.number)
        except GiveUp as refusal:
            outcome = self._given_up(delivery, str(refusal))
        except Exception as fault:           # the supervisor of deliveries: whatever a sender met, the others go on
            outcome = self._failed(delivery, f"{type(fault).__name__}: {fault}")
        with self._lock:
            self._owed[delivery.number] = outcome
        self._store_owed()

    def _failed(self, delivery: Delivery, error: str) -> Outcome:
        failures = delivery.attempts + 1
        if failures >= self._attempts_max:
            return self._given_up(delivery, error)
        due_at = self._clock.time() + delay_seconds(failures, self._chance())
        self._log.info("outbox.retry", kind=delivery.kind, number=delivery.number, failures=failures)
        return lambda connection: retry(connection, delivery.number, due_at, error)

    def _given_up(self, delivery: Delivery, error: str) -> Outcome:
        self._log.warning("outbox.given_up", kind=delivery.kind, number=delivery.number, attempts=delivery.attempts + 1)

        def change(connection: WriteConnection) -> None:
            give_up(connection, delivery.number, error)
            facts = {"kind": delivery.kind, "attempts": delivery.attempts + 1, "error": error[:limits.OUTBOX_ERROR_LENGTH_MAX]}
            connection.event("node.outbox.given_up", surface="node", subject=delivery.key, payload=facts)

        return change

    def _store_owed(self) -> None:
        """Every outcome met so far is stored; when that fails they stay owed."""
        with self._lock:
            owed, self._owed = self._owed, {}
        if not owed:
            return

        def change(connection: WriteConnection) -> None:
            for outcome in owed.values():
                outcome(connection)

        try:
            self._writer.run(change)
        except BaseException:
            with self._lock:
                self._owed = {**owed, **self._owed}
            raise
        with self._lock:
            self._sending.difference_update(owed)
