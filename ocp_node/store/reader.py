"""Read-only connections, one for each thread that reads at this moment, and snapshots: several selects that see one moment."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ..base import limits
from .connection import for_reading


class Snapshot:
    """A connection inside a read transaction of one thread; entering it again in the same thread shares the moment."""

    __slots__ = ("connection", "_depth", "_done", "__weakref__")

    def __init__(self, connection: sqlite3.Connection, done: Callable[[Snapshot], None]) -> None:
        self.connection = connection
        self._depth = 0
        self._done = done

    def __enter__(self) -> sqlite3.Connection:
        if not self._depth:
            self.connection.execute("BEGIN")
        self._depth += 1
        return self.connection

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth:
            return
        if self.connection.in_transaction:                          # an I/O error may have ended it already
            self.connection.execute("ROLLBACK")
        self._done(self)

    def __del__(self) -> None:
        self.connection.close()              # nobody keeps it, or its thread has ended inside it


class _Own(threading.local):
    snapshot: Snapshot | None = None


class Reader:
    """Snapshots of the database at `path`.

    A thread has a connection while it reads and leaves it to the next: a node has many threads that rarely read, and each
    connection keeps the whole schema in memory.  A few are kept open, the one that was used last is taken first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _Own()
        self._idle: list[Snapshot] = []
        self._open: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def snapshot(self) -> Snapshot:
        """For `with`: gives a connection whose selects all see the moment of the first one.  What it reads, it cannot change.

        Keep it short: as long as a snapshot is open, the log that the writer fills cannot start over.
        """
        return self._own.snapshot or self._taken()

    def _taken(self) -> Snapshot:
        try:
            taken = self._idle.pop()         # one step of the interpreter: two threads never get the same
        except IndexError:
            taken = self._opened()
        self._own.snapshot = taken
        return taken

    def _opened(self) -> Snapshot:
        with self._lock:
            if self._closed:
                raise sqlite3.ProgrammingError("the store is closed")
            made = Snapshot(for_reading(self._path), self._left)
            self._open.add(made)
        return made

    def _left(self, snapshot: Snapshot) -> None:
        """The thread is done with it: the next that reads may have it, or it is closed because enough are open."""
        self._own.snapshot = None
        if len(self._idle) < limits.READERS_KEPT:
            self._idle.append(snapshot)

    def close(self) -> None:
        """All connections are closed; a snapshot that is still open fails at its next select."""
        with self._lock:
            self._closed = True
            self._idle.clear()
            for each in list(self._open):
                each.connection.close()
