"""The database at start: ours, sound, and with every migration applied; otherwise refused with nothing overwritten.

Migrations are `sql/NNNN_name.sql`, run in the order of their numbers, all in one transaction.  Which of them have run stands in
the table `migration`, so a script that is added later may have a lower number than one that has run.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import limits
from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.ids import Ids
from ..base.log import Log
from . import events, folder
from .connection import APPLICATION_ID, for_reading, for_writing, in_memory, unusable

if TYPE_CHECKING:
    from .writer import WriteConnection

SCRIPTS = Path(__file__).parent / "sql"
_MAGIC = b"SQLite format 3\0"
_DISK = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_READONLY")


class Script:
    """One migration."""

    __slots__ = ("number", "name", "path")

    def __init__(self, path: Path) -> None:
        digits, _, rest = path.stem.partition("_")
        if not (len(digits) == 4 and digits.isdigit() and rest):
            raise Unusable(f"the migration {path} is not named NNNN_name.sql")
        self.number = int(digits)
        self.name = rest
        self.path = path

    def text(self) -> str:
        return self.path.read_text("utf-8")

    def sha256(self) -> str:
        import hashlib
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def scripts(where: Path = SCRIPTS) -> list[Script]:
    """Every migration, lowest number first."""
    names = sorted(name for name in os.listdir(where) if name.endswith(".sql"))
    found = [Script(where / name) for name in names]
    twice = [after.path.name for before, after in itertools.pairwise(found) if before.number == after.number]
    if twice:
        raise Unusable(f"another migration has the number of {twice[0]}")
    return found


def prepare(path: Path, backups: Path, clock: Clock, ids: Ids, log: Log, where: Path = SCRIPTS) -> None:
    """The database at `path` is ours, sound and up to date; it was made when there was none.

    `Unusable` when it is another program's, damaged, or written by a newer program.  The node's lock is held.
    """
    try:
        if not path.exists() or path.stat().st_size == 0 and not _beside(path, "-journal").exists():
            _create(path, scripts(where), clock, ids)
            log.info("store.created", path=str(path))
        else:
            check_ours(path)
            _upgrade(path, backups, scripts(where), clock, ids, log)
    except sqlite3.Error as fault:
        raise unusable(path, fault) from None
    except OSError as fault:
        raise folder.worded(path, fault) from None


def check_ours(path: Path) -> None:
    """The file is a SQLite database of ours, by its header.  Its bytes are read without SQLite, which might change a foreign file
    by finishing what another program's crash left."""
    with open(path, "rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise Unusable(f"{path} is not a database, or is damaged; move it away, or put a backup back with "
                       "`python3 ocp.py restore FILE`; nothing was changed")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise Unusable(f"{path} is the database of another program; name another file with --db-path")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _create(path: Path, todo: Sequence[Script], clock: Clock, ids: Ids) -> None:
    """A new database stands at `path`: made under another name, so that it is there whole or not at all."""
    new = _beside(path, ".new")
    for ending in ("", "-journal", "-wal", "-shm"):
        _beside(new, ending).unlink(missing_ok=True)
    os.close(folder.create_private(new))
    connection = for_writing(new)
    try:
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")         # one flush of the whole file follows
        _apply(connection, todo, clock, ids)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    folder.sync(new)
    with contextlib.suppress(FileNotFoundError):               # the log of a database that was moved away: not this one's
        os.replace(_beside(path, "-wal"), _beside(path, "-wal.left"))
    _beside(path, "-shm").unlink(missing_ok=True)
    os.replace(new, path)
    folder.sync(path.parent)


def _upgrade(path: Path, backups: Path, known: Sequence[Script], clock: Clock, ids: Ids, log: Log) -> None:
    unclean = _size(_beside(path, "-wal")) > 0                 # a node that stops in order folds its log into the database
    connection = for_writing(path)
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise Unusable(f"{path} is the database of another program; name another file with --db-path")
        check_known(connection, path, known)
        _check_at_start(connection, path, unclean, log)
        applied = _applied(connection)
        pending = [script for script in known if script.number not in applied]
        if pending:
            _back_up(connection, backups, pending[-1].number, clock)
            for name in changed(connection, known):
                log.warning("store.migration_changed", script=name)
            _apply(connection, pending, clock, ids)
            log.info("store.upgraded", path=str(path), applied=[script.path.name for script in pending])
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise Unusable(f"the file system of {path} cannot hold a shared database; name another folder with --data-dir")
    finally:
        connection.close()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def check_known(connection: sqlite3.Connection, path: Path, known: Sequence[Script]) -> None:
    """No migration has run that this program does not have."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").fetchone() is None:
        raise _damaged(path, "its list of migrations is missing")
    numbers = {script.number for script in known}
    newer = [f"{number:04}_{name}" for number, name in connection.execute("SELECT number, name FROM migration ORDER BY number")
             if number not in numbers]
    if newer or connection.execute("PRAGMA user_version").fetchone()[0] > max(numbers, default=0):
        named = f" ({newer[-1]})" if newer else ""
        raise Unusable(f"the database {path} was written by a newer version of this program{named}; "
                       "update this one, or name another folder with --data-dir; nothing was changed")


def _applied(connection: sqlite3.Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT number, sha256 FROM migration").fetchall())


def changed(connection: sqlite3.Connection, known: Sequence[Script]) -> list[str]:
    """Scripts whose text is no longer what was applied: a new number is the way to change a table."""
    applied = _applied(connection)
    return [script.path.name for script in known if script.number in applied and script.sha256() != applied[script.number]]


def _check_at_start(connection: sqlite3.Connection, path: Path, unclean: bool, log: Log) -> None:
    """A small database is looked through at every start, a larger one after a stop that was not clean.

    A file that is cut short, or whose first page is broken, is found by opening it, at any size.
    """
    size = _size(path)
    if not unclean and size % connection.execute("PRAGMA page_size").fetchone()[0]:
        raise _damaged(path, "its last page is cut short")
    if size > (limits.CHECKED_UNCLEAN_BYTES_MAX if unclean else limits.CHECKED_BYTES_MAX):
        if unclean:
            log.info("store.not_checked", path=str(path), bytes=size, hint="python3 ocp.py doctor")
        return
    found = damage(connection)
    if found:
        raise _damaged(path, found)


def _damaged(path: Path, what: str) -> Unusable:
    return Unusable(f"the database {path} is damaged ({what}); put a backup back with `python3 ocp.py restore FILE`, "
                    "or move the file away to start empty; nothing was changed")


def damage(connection: sqlite3.Connection) -> str:
    """What is wrong with the database, "" when nothing is.  Reads all of it."""
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as fault:
        return str(fault)
    return "" if found == "ok" else found.replace("\n", " ")


def check(path: Path) -> str:
    """What is wrong with the whole database at `path`, "" when nothing is: for `doctor`, and for what a backup wrote."""
    check_ours(path)
    connection = for_reading(path)
    try:
        found = damage(connection)
        if not found and connection.execute("PRAGMA foreign_key_check").fetchone():
            found = "a row points to one that is missing"
        return found
    finally:
        connection.close()


def _back_up(connection: sqlite3.Connection, backups: Path, number: int, clock: Clock) -> None:
    """The database as it is before these migrations stands in `backups`; older ones of the same kind are few."""
    from .backup import copy_database
    stamp = clock.text().replace("-", "").replace(":", "")
    target = folder.make_private(backups) / f"ocp-{stamp}-before-{number:04}.db"
    copy_database(connection, target)
    for old in sorted(backups.glob("ocp-*-before-*.db"))[:-limits.UPGRADE_BACKUPS_KEPT]:
        old.unlink(missing_ok=True)


def _apply(connection: sqlite3.Connection, todo: Sequence[Script], clock: Clock, ids: Ids) -> None:
    """Every script of `todo` has run, or none has."""
    connection.execute("PRAGMA foreign_keys = OFF")            # tables may be rebuilt; what they point to is checked at the end
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for script in todo:
            _run(connection, script, clock)
        if not events.log_id(connection):
            events.renew_log_id(connection, ids)
        highest = connection.execute("SELECT max(number) FROM migration").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {int(highest)}")
        broken = connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise Unusable(f"after the migrations a row of {broken[0]} points to a missing one of {broken[2]}; "
                           "nothing was changed")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _run(connection: sqlite3.Connection, script: Script, clock: Clock) -> None:
    try:
        for statement in statements(script.text()):
            connection.execute(statement)
    except sqlite3.DatabaseError as fault:
        if str(getattr(fault, "sqlite_errorname", "")).startswith(_DISK):
            raise                            # nothing is wrong with the script
        raise Unusable(f"the migration {script.path.name} failed: {fault}; nothing was changed") from fault
    if not connection.in_transaction:
        raise Unusable(f"the migration {script.path.name} ends the transaction it runs in")
    connection.execute("INSERT INTO migration(number, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
                       (script.number, script.name, script.sha256(), clock.text()))


def statements(text: str) -> Iterator[str]:
    """The SQL statements of a script, one by one: SQLite's own way to run a script would end our transaction."""
    gathered = ""
    *parts, rest = text.split(";")
    for part in parts:
        gathered += part + ";"
        if sqlite3.complete_statement(gathered):
            yield gathered
            gathered = ""
    if any(line.strip() and not line.strip().startswith("--") for line in (gathered + rest).splitlines()):
        raise sqlite3.OperationalError("the last statement does not end")


def memory(clock: Clock, ids: Ids, where: Path = SCRIPTS) -> WriteConnection:
    """A database that is gone when it is closed, with every migration applied: simulation, and the tests of rooms."""
    from .writer import WriteConnection
    connection = in_memory(WriteConnection)
    assert isinstance(connection, WriteConnection)
    connection.clock, connection.ids = clock, ids
    _apply(connection, scripts(where), clock, ids)
    return connection
