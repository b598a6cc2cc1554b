"""Everything that must happen, in this order, before a node may use its data folder, and in reverse when it leaves it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..base.clock import Clock
from ..base.ids import Ids
from ..base.log import Log
from . import folder, migrate
from .lock import NodeLock
from .reader import Reader
from .writer import Writer


class Store:
    """A data folder in use."""

    __slots__ = ("data", "lock", "writer", "reader")

    def __init__(self, data: Path, lock: NodeLock, writer: Writer, reader: Reader) -> None:
        self.data = data
        self.lock = lock
        self.writer = writer
        self.reader = reader

    def close(self) -> None:
        """Every change is settled, the database is one whole file, another process may have the folder."""
        self.reader.close()
        self.writer.close()
        self.lock.release()


def open_store(data: Path, clock: Clock, ids: Ids, log: Log, settle_on: Callable[[Callable[[], None]], None], *,
               database: Path | None = None, stir: Callable[[str], None] | None = None) -> Store:
    """The folder is ours alone, an interrupted restore is finished, the database is up to date and takes changes.

    `Unusable` otherwise, with the folder given back.
    """
    data = folder.prepare(data)
    path = database or data / "ocp.db"
    lock = NodeLock(data).acquire()
    try:
        if (data / "restore.ready").exists():
            from .restore import finish
            finish(data)
        if database is not None:
            folder.prepare(database.parent)
        migrate.prepare(path, data / "backups", clock, ids, log)
        writer = Writer(path, clock, ids, log, settle_on, stir=stir)
        writer.start()
    except BaseException:
        lock.release()
        raise
    return Store(data, lock, writer, Reader(path))
