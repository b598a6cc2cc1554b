"""Read-only connections, one for each thread that reads, and snapshots: several selects that see one moment."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from pathlib import Path
from types import TracebackType

from .connection import for_reading


class Snapshot:
    """One thread's connection inside a read transaction; entering it again in the same thread shares the moment."""

    __slots__ = ("connection", "_depth", "__weakref__")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._depth = 0

    def __enter__(self) -> sqlite3.Connection:
        if not self._depth:
            self.connection.execute("BEGIN")
        self._depth += 1
        return self.connection

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth and self.connection.in_transaction:      # an I/O error may have ended it already
            self.connection.execute("ROLLBACK")

    def __del__(self) -> None:
        self.connection.close()              # its thread has ended


class _Own(threading.local):
    snapshot: Snapshot | None = None


class Reader:
    """Snapshots of the database at `path`.  A connection is opened once per thread, and closed when the thread ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = _Own()
        self._open: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def snapshot(self) -> Snapshot:
        """For `with`: gives a connection whose selects all see the moment of the first one.  What it reads, it cannot change.

        Keep it short: as long as a snapshot is open, the log that the writer fills cannot start over.
        """
        return self._own.snapshot or self._opened()

    def _opened(self) -> Snapshot:
        with self._lock:
            if self._closed:
                raise sqlite3.ProgrammingError("the store is closed")
            made = self._own.snapshot = Snapshot(for_reading(self._path))
            self._open.add(made)
        return made

    def close(self) -> None:
        """The connections of all threads are closed; a snapshot that is still open fails at its next select."""
        with self._lock:
            self._closed = True
            for each in list(self._open):
                each.connection.close()
