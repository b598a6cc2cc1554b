"""The one writer: changes wait in a queue, and all that wait are made durable together.

A change is a function of a `WriteConnection`.  Up to 512 waiting changes become one transaction, each in a savepoint of its
own, so that a refusal undoes that change alone; one COMMIT, and so one flush to the disk, stands for all of them.  A change that
is alone is committed at once: nothing waits for company.  Nobody is answered before COMMIT has returned.

What follows a commit happens on the loop, in this order: the acts that changes asked for, then `commits` grows, then callers
are answered, then listeners hear of the events and topics stir.  So whoever is answered finds memory as the change left it,
and a document that was kept under an older number of `commits` is never shown after the change it does not know.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ..base import limits
from ..base.clock import Clock
from ..base.errors import Busy, NotStored, Refusal
from ..base.ids import Ids
from ..base.log import Log
from . import events, outbox
from .connection import for_writing, unusable
from .events import Event, Feed

T = TypeVar("T")
Settle = Callable[[Any, BaseException | None], None]


class Effects:
    """What the changes of one group want to happen after its commit."""

    __slots__ = ("acts", "events", "topics", "deliveries")

    def __init__(self) -> None:
        self.acts: list[Callable[[], None]] = []
        self.events: list[Event] = []
        self.topics: list[str] = []
        self.deliveries: list[int] = []

    def mark(self) -> tuple[int, int, int, int]:
        return len(self.acts), len(self.events), len(self.topics), len(self.deliveries)

    def undo(self, mark: tuple[int, int, int, int]) -> None:
        """What was added since `mark` is forgotten."""
        del self.acts[mark[0]:], self.events[mark[1]:], self.topics[mark[2]:], self.deliveries[mark[3]:]


class WriteConnection(sqlite3.Connection):
    """What a change gets: the database, and ways to say what follows the commit."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.clock = Clock()
        self.ids = Ids()
        self.effects = Effects()

    def event(self, event_type: str, *, surface: str = "mesh", subject: str = "", peer_id: str = "", request_id: str = "",
              payload: dict[str, object] | None = None) -> None:
        """The event stands in the table with this change, and is told to listeners once it is committed."""
        self.effects.events.append(
            events.append(self, event_type, surface, subject, peer_id, request_id, payload, self.clock, self.ids))

    def after_commit(self, act: Callable[[], None]) -> None:
        """`act` runs on the loop after the commit and before the caller is answered; never when this change is refused."""
        self.effects.acts.append(act)

    def stir(self, *topics: str) -> None:
        """Who waits for one of `topics` is woken after the commit."""
        self.effects.topics.extend(topics)

    def outbox(self, kind: str, payload: dict[str, object], *, key: str = "", due_at: float = 0.0) -> None:
        """`payload` is delivered by the sender of `kind` after the commit, not before `due_at` (seconds since 1970).

        A delivery of the same kind and key that still waits is replaced.
        """
        self.effects.deliveries.append(outbox.add(self, kind, payload, key, due_at, self.clock))

    def commit(self) -> None:
        raise _Misuse("a change does not end its transaction")

    def rollback(self) -> None:
        raise _Misuse("a change does not end its transaction: raise instead")

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        raise _Misuse("executescript ends the transaction: execute the statements one by one")


Change = Callable[[WriteConnection], T]


class _Misuse(RuntimeError):
    """A change did what only the writer does."""


class _Waiter:
    """A thread that waits for its own change: woken by the writer, and then, when acts follow, by the loop."""

    __slots__ = ("stored", "followed", "acts", "result", "fault")

    def __init__(self) -> None:
        self.stored = threading.Event()
        self.followed = threading.Event()
        self.acts = False
        self.result: Any = None
        self.fault: BaseException | None = None

    def store(self, result: Any, fault: BaseException | None, acts: bool) -> None:
        self.result, self.fault, self.acts = result, fault, acts
        self.stored.set()

    def settle(self, result: Any, fault: BaseException | None) -> None:
        self.followed.set()


_Item = tuple[Callable[[Any], Any], Settle, "_Waiter | None"]
_Settled = tuple[Settle, Any, "BaseException | None", "_Waiter | None"]


class Writer:
    """Owns the only connection that changes the database, and the thread it is used in.

    `settle_on` runs a function on the loop soon (`Loop.call_soon`).  `stir` wakes a topic (`Signals.stir`), on the loop.
    `outbox_wake` is called, on any thread, when a delivery was added.
    """

    def __init__(self, path: Path, clock: Clock, ids: Ids, log: Log, settle_on: Callable[[Callable[[], None]], None], *,
                 feed: Feed | None = None, stir: Callable[[str], None] | None = None,
                 opened: Callable[[Path, type[WriteConnection]], sqlite3.Connection] = for_writing) -> None:
        self.feed = feed or Feed(log)
        self.stir: Callable[[str], None] = stir or (lambda topic: None)
        self.outbox_wake: Callable[[], None] = lambda: None
        self.commits = 0                     # grows with every group that changed something, and with every `bump`
        self.trouble = ""                    # why the last group could not be stored; "" once one could again
        self._path = path
        self._clock = clock
        self._ids = ids
        self._log = log
        self._settle_on = settle_on
        self._open = opened
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._door = threading.Lock()        # held for moments: what comes before the end of the queue, and `commits`
        self._closed = False
        self._loop_lives = False             # the loop has run what followed some commit, so it will do so again
        self._loop_ended = False
        self._loop_thread = 0
        self._turn: list[_Item] = []         # of the loop's thread alone
        self._connection: WriteConnection | None = None
        self._wal = f"{path}-wal"
        self._wal_bytes = 0
        self._checkpoint_at = limits.WAL_BUSY_BYTES
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """The database is open and changes are taken.  `Unusable` when it cannot be opened."""
        try:
            self._connection = self._opened()
            self.feed.log_id = events.log_id(self._connection)
        except sqlite3.Error as fault:
            raise unusable(self._path, fault) from None
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many changes wait."""
        return self._queue.qsize() + len(self._turn)

    def submit(self, change: Callable[[Any], T], settle: Callable[[T | None, BaseException | None], None]) -> None:
        """Queue `change`; `settle` gets its result, or its fault, on the loop, once it is durable.

        Never waits; a full queue, or a store that is closed, is `Busy`.  What the loop submits in one turn goes to the writer
        together at the end of it: the two would only take the interpreter from each other, and make small groups.
        """
        item: _Item = (change, settle, None)
        if threading.get_ident() != self._loop_thread:
            self._put(item)
            return
        if self._closed or self.waiting >= limits.QUEUE_CHANGES_MAX:
            raise Busy("the store")
        self._turn.append(item)
        if len(self._turn) == 1:
            self._settle_on(self._hand_over)

    def _hand_over(self) -> None:
        """On the loop: what was submitted in this turn waits in the queue now."""
        items, self._turn = self._turn, []
        with self._door:
            closed = self._closed
            if not closed:
                for item in items:
                    self._queue.put(item)
        if closed:
            for _, settle, _ in items:
                self._guarded(settle, None, Busy("the store"))

    def run(self, change: Callable[[Any], T], timeout: float = limits.CHANGE_SECONDS) -> T:
        """The result of `change`, which is durable, and what it asked for after the commit has been done.

        For background loops and long requests: never on the loop (which would wait for itself) nor inside a change.
        """
        if threading.current_thread() is self._thread:
            raise _Misuse("a change cannot wait for another one")
        waiter = _Waiter()
        self._put((change, waiter.settle, waiter))
        if not waiter.stored.wait(timeout):
            raise TimeoutError(f"a change was not stored within {timeout} seconds")
        if waiter.acts and self._loop_lives and not self._loop_ended:
            waiter.followed.wait(limits.CHANGE_LOOP_SECONDS)
        result, fault = waiter.result, waiter.fault
        del waiter
        if fault is None:
            return result
        try:
            raise fault
        finally:
            del fault                          # it holds this frame: a circle would keep what its callers had until the collector comes

    def bump(self) -> None:
        """What is kept under an older `commits` is out of date: memory changed without a commit."""
        with self._door:
            self.commits += 1

    def loop_ended(self) -> None:
        """The loop follows no commit any more: threads that wait for a change from now on wait for the disk alone."""
        self._loop_ended, self._loop_thread = True, 0
        if self._turn:
            self._hand_over()

    def close(self) -> None:
        """Everything queued is settled, the log is folded into the database, the file is closed.  Harmless when repeated."""
        with self._door:
            first, self._closed = not self._closed, True
            if first:
                self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()
        elif first and self._connection is not None:
            self._finish()

    def _put(self, item: _Item) -> None:
        with self._door:
            if self._closed or self._queue.qsize() >= limits.QUEUE_CHANGES_MAX:
                raise Busy("the store")
            self._queue.put(item)

    # --- on the writer's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._group():
            pass
        self._finish()

    def _group(self) -> bool:
        """What waits is settled; False after the end of the queue.  Nothing of it is kept while the next change is waited for."""
        first = self._next()
        if first is None:
            return False
        group, ended = self._gather(first)
        self._commit(group)
        self._checkpoint_when_large()
        return not ended

    def _gather(self, first: _Item) -> tuple[list[_Item], bool]:
        """All that waits now, up to a bound, and whether the end of the queue was met.  Waits for nobody."""
        group = [first]
        while len(group) < limits.GROUP_CHANGES_MAX and not self._queue.empty():    # only this thread takes from it
            item = self._queue.get_nowait()
            if item is None:
                return group, True
            group.append(item)
        return group, False

    def _next(self) -> _Item | None:
        """The next item; a log that has grown is folded into the database when none comes for a moment."""
        if self._wal_bytes < limits.WAL_IDLE_BYTES:
            return self._queue.get()
        try:
            return self._queue.get(timeout=limits.WAL_IDLE_SECONDS)
        except Empty:
            self._checkpoint("PASSIVE")
            self._wal_bytes = 0              # not again before something was written
            return self._queue.get()

    def _commit(self, group: list[_Item]) -> None:
        """Every change of the group is durable or undone, and every caller will be told which."""
        effects, changed = Effects(), False
        try:
            connection = self._ready()
            connection.effects = effects
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            settled = [self._attempt(connection, item) for item in group]
            kept = any(raised is None for _, _, raised, _ in settled)
            connection.execute("COMMIT" if kept else "ROLLBACK")       # refusals alone must not cost a flush
            changed = kept and (connection.total_changes != before or bool(effects.acts))
            self.trouble = ""
        except BaseException as fault:       # the group failed as one: tell every caller
            settled = [(settle, None, _not_stored(fault), waiter) for _, settle, waiter in group]
            effects = Effects()
            self._undo_group(fault)
        self._tell(effects, settled, changed)

    def _attempt(self, connection: WriteConnection, item: _Item) -> _Settled:
        change, settle, waiter = item
        connection.execute("SAVEPOINT change")
        mark = connection.effects.mark()
        try:
            result, raised = change(connection), None
        except Exception as fault:           # a refusal, or a fault of this change: its neighbours have nothing to do with it
            if not connection.in_transaction:
                raise                        # the disk is full or broken, and SQLite undid the whole group
            connection.execute("ROLLBACK TO change")
            connection.effects.undo(mark)
            result, raised = None, fault
            if isinstance(fault, Refusal):
                fault.__traceback__ = None   # nobody reads it, and its frames would keep the request until the collector comes
        connection.execute("RELEASE change")
        return settle, result, raised, waiter

    def _undo_group(self, fault: BaseException) -> None:
        self.trouble = str(fault) or type(fault).__name__
        self._log.fault("store.group_failed", fault)
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            self._log.fault("store.reopened", worse)
            self._forget()

    def _ready(self) -> WriteConnection:
        """The connection, opened anew when the last one could not even undo its work."""
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> WriteConnection:
        connection = self._open(self._path, WriteConnection)
        assert isinstance(connection, WriteConnection)
        connection.clock, connection.ids = self._clock, self._ids
        return connection

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error as fault:
            self._log.warning("store.close_failed", error=str(fault))

    def _tell(self, effects: Effects, settled: list[_Settled], changed: bool) -> None:
        """The loop has been handed what follows; threads that wait for their own change are awake."""
        try:
            self._settle_on(functools.partial(self._follow, effects, settled, changed))
            if effects.deliveries:
                self.outbox_wake()
        except Exception as fault:           # the loop is gone: only waiting threads are left to be told
            self._log.fault("store.loop_gone", fault)
        for _, result, raised, waiter in settled:
            if waiter is not None:
                waiter.store(result, raised, bool(effects.acts))

    # --- the log of SQLite -----------------------------------------------------------------------------------------

    def _checkpoint_when_large(self) -> None:
        """The log is kept from growing without end under constant work; callers have been told before this is paid for."""
        try:
            self._wal_bytes = os.stat(self._wal).st_size
        except OSError:
            self._wal_bytes = 0
        if self._wal_bytes >= self._checkpoint_at:
            self._checkpoint("TRUNCATE" if self._wal_bytes >= limits.WAL_LARGE_BYTES else "PASSIVE")
            # What readers still hold cannot be reused; trying again at every group would copy nothing and cost a flush.
            self._checkpoint_at = max(limits.WAL_BUSY_BYTES, self._wal_bytes + limits.WAL_KEPT_BYTES)
        elif self._wal_bytes < limits.WAL_BUSY_BYTES:
            self._checkpoint_at = limits.WAL_BUSY_BYTES

    def _checkpoint(self, mode: str) -> None:
        if self._connection is None:
            return
        wait = limits.WAL_WAIT_MILLISECONDS if mode == "TRUNCATE" else 0        # for readers, while writers wait
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {wait}")
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as fault:       # nothing is lost: the log holds what the database file lacks
            self._log.warning("store.checkpoint_failed", error=str(fault))
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {int(limits.DATABASE_BUSY_SECONDS * 1000)}")

    def _finish(self) -> None:
        self._checkpoint("TRUNCATE")
        self._forget()

    # --- on the loop -----------------------------------------------------------------------------------------------

    def _follow(self, effects: Effects, settled: list[_Settled], changed: bool) -> None:
        """Memory follows the commit, then callers are answered, then listeners hear."""
        self._loop_lives = True
        if not self._loop_ended:
            self._loop_thread = threading.get_ident()
        for act in effects.acts:
            self._guarded(act)
        if changed:
            self.bump()
        for settle, result, raised, _ in settled:
            self._guarded(settle, result, raised)
        if effects.events:
            self.feed.published(effects.events)
        for topic in dict.fromkeys(effects.topics):
            self._guarded(self.stir, topic)

    def _guarded(self, act: Callable[..., None], *values: Any) -> None:
        try:
            act(*values)
        except Exception as fault:           # one bad act must not keep the callers of the group from being answered
            self._log.fault("store.act_failed", fault)


def _not_stored(fault: BaseException) -> NotStored:
    """One for each caller: an exception that several threads raise would gather all their tracebacks."""
    told = NotStored("the change could not be stored")
    told.__cause__ = fault
    return told
