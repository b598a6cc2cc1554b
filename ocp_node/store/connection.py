"""How a database is opened, in the only two ways there are, and how its errors are worded for the operator."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..base import limits
from ..base.errors import Unusable

APPLICATION_ID = 0x4F43504E          # "OCPN" in the file's header (SQLite file format, offset 68)
Factory = type[sqlite3.Connection]

# The schema of a file may be hostile: no function of ours runs from it, and a cell that lies about its size is an error.
_BOTH = ("PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA temp_store = MEMORY")
_WRITING = (*_BOTH, "PRAGMA synchronous = FULL", "PRAGMA fullfsync = ON", "PRAGMA checkpoint_fullfsync = ON",
            "PRAGMA foreign_keys = ON", "PRAGMA wal_autocheckpoint = 0", f"PRAGMA journal_size_limit = {limits.WAL_KEPT_BYTES}",
            f"PRAGMA cache_size = -{limits.WRITER_CACHE_KIB}")
_READING = (*_BOTH, "PRAGMA query_only = ON", f"PRAGMA cache_size = -{limits.READER_CACHE_KIB}")


def _uri(path: Path, mode: str) -> str:
    text = os.path.abspath(path).lstrip("/")
    for character, escaped in (("%", "%25"), ("?", "%3f"), ("#", "%23")):
        text = text.replace(character, escaped)
    return f"file:///{text}?mode={mode}"


def _connect(name: str, factory: Factory) -> sqlite3.Connection:
    # Threads are told apart by us: the writer's connection is opened by the thread that starts it,
    # a reader's is closed by the thread that stops it.
    made = sqlite3.connect(name, uri=True, isolation_level=None, timeout=limits.DATABASE_BUSY_SECONDS, factory=factory,
                           cached_statements=limits.STATEMENTS_KEPT, check_same_thread=False)
    made.row_factory = sqlite3.Row
    return made


def _told(connection: sqlite3.Connection, pragmas: tuple[str, ...]) -> sqlite3.Connection:
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def for_writing(path: Path, factory: Factory = sqlite3.Connection) -> sqlite3.Connection:
    """A connection that may change the existing database at `path`; what it commits is on the disk when COMMIT returns."""
    return _told(_connect(_uri(path, "rw"), factory), _WRITING)


def for_reading(path: Path, factory: Factory = sqlite3.Connection) -> sqlite3.Connection:
    """A connection that cannot change anything."""
    return _told(_connect(_uri(path, "ro"), factory), _READING)


def in_memory(factory: Factory = sqlite3.Connection) -> sqlite3.Connection:
    """An empty database that is gone when its connection is closed: simulation and tests."""
    return _told(_connect(":memory:", factory), _WRITING)


def unusable(path: Path, fault: BaseException) -> Unusable:
    """The operator's line for an error of SQLite: what is wrong, what to do."""
    name = getattr(fault, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return Unusable(f"the database {path} is damaged ({fault}); put a backup back with `python3 ocp.py restore FILE`, "
                        "or move the file away to start empty; nothing was changed")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE")):
        return Unusable(f"no space left for the database {path}; free some space and start again")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return Unusable(f"the database {path} cannot be opened for writing ({fault}); "
                        "check its owner and mode, and those of its folder")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Unusable(f"the database {path} is in use by another program; stop that program and start again")
    return Unusable(f"the database {path} cannot be used ({fault}); the disk may be failing")
