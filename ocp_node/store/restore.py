"""Putting a backup back: unpacked and checked beside the living state first, then swapped in; what was there is kept.

The swap is several renames.  Before the first one, everything stands ready in a folder of a fixed name; whoever starts next
(a node, or another restore) finishes what a crash interrupted.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import IO, Any

from ..base import jsontext, limits
from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.ids import Ids
from . import events, facts, folder, migrate
from .backup import BLOBS, DATABASE, ITEMS, MANIFEST, Places, read_manifest, stamp
from .connection import for_writing, unusable
from .lock import NodeLock

STAGING = "restore.part"                     # being unpacked; worthless after a crash
READY = "restore.ready"                      # unpacked and checked: it will be swapped in
PLAN = "plan.json"
_KEPT = (DATABASE, *ITEMS, *BLOBS)           # what a backup may hold, as first parts of names


def restore(data: Path, source: Path, clock: Clock, ids: Ids, *, places: Places | None = None) -> list[str]:
    """The node's state is that of the backup `source`; what was there stays as `NAME.before-restore-TIME`.

    Gives the names of what was put back.  `Unusable`, with nothing changed, when a node runs on the folder, or the backup
    is damaged, foreign or newer.
    """
    places = places or Places(data)
    if not source.is_file():
        raise Unusable(f"the backup {source} does not exist, or is no file; nothing was changed")
    folder.prepare(data)
    with NodeLock(data):
        finish(data)
        try:
            _unpack(data / STAGING, source)
            _check(data / STAGING / DATABASE, clock, ids)
            items = _make_ready(data, places, clock)
            finish(data)
        except sqlite3.Error as fault:
            raise unusable(source, fault) from None
        except OSError as fault:
            raise folder.worded(Path(fault.filename or data), fault) from None
        finally:
            _remove(data / STAGING)
    return items


def _unpack(staging: Path, source: Path) -> None:
    """The backup's members stand in `staging`, each as the list says; nothing else was written."""
    import tarfile
    _remove(staging)
    os.mkdir(staging, 0o700)
    try:
        with tarfile.open(source, "r:") as archive:
            found, listed = _extract(archive, staging)
    except (tarfile.TarError, ValueError, KeyError, TypeError, EOFError) as fault:
        raise Unusable(f"{source} is not a backup of a node, or is damaged ({fault}); nothing was changed") from None
    if listed is None:
        raise Unusable(f"{source} is not a backup of a node, or is cut short; nothing was changed")
    wrong = sorted(name for name in found.keys() | listed.keys() | {DATABASE} if found.get(name, 0) != listed.get(name))
    if wrong:
        raise Unusable(f"{source} is damaged ({wrong[0]} is not as it was written); nothing was changed")


def _extract(archive: Any, staging: Path) -> tuple[dict[str, tuple[int, str]], dict[str, tuple[int, str]] | None]:
    found: dict[str, tuple[int, str]] = {}
    listed = None
    room = folder.free_bytes(staging) - limits.FREE_BYTES_MIN
    for member in archive:
        room -= member.size
        if len(found) >= limits.BACKUP_MEMBERS_MAX or room < 0:
            raise Unusable(f"the backup is larger than what is free for {staging}; nothing was changed")
        if member.name == MANIFEST:
            listed = read_manifest(archive, member)
        else:
            place = _place(staging, member)
            found[member.name] = _extract_one(archive.extractfile(member), place)
    return found, listed


def _place(staging: Path, member: Any) -> Path:
    """Where a member goes: a plain file, below `staging`, in a place that a backup has.  A hostile archive names others."""
    parts = member.name.split("/")
    if not member.isreg() or any(part in ("", ".", "..") for part in parts) or "\0" in member.name:
        raise Unusable(f"the backup holds {member.name!r}, which is not a plain file; nothing was changed")
    single = parts[0] in (DATABASE, "ocp.toml")
    if parts[0] not in _KEPT or single != (len(parts) == 1):
        raise Unusable(f"the backup holds {member.name!r}, which is no part of a node's state; nothing was changed")
    return staging.joinpath(*parts)


def _extract_one(data: IO[bytes], path: Path) -> tuple[int, str]:
    import hashlib
    folder.make_private(path.parent)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(folder.create_private(path), "wb") as file:
        while piece := data.read(limits.COPY_BYTES):
            digest.update(piece)
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def _check(database: Path, clock: Clock, ids: Ids) -> None:
    """The unpacked database is sound and not newer than this program, and its event log has a new name:
    numbers that were given since the backup will be given again, and whoever followed the old log must notice."""
    found = migrate.check(database)
    if found:
        raise Unusable(f"the database in the backup is damaged ({found}); nothing was changed")
    connection = for_writing(database)
    try:
        migrate.check_known(connection, database, migrate.scripts())
        events.renew_log_id(connection, ids)
        facts.put(connection, "restored_at", clock.text())
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _make_ready(data: Path, places: Places, clock: Clock) -> list[str]:
    """From here on the restore will be finished, whatever happens: the plan says what goes where."""
    staging = data / STAGING
    items = {item: str(places.of(item)) for item in _KEPT if (staging / item).exists()}
    plan = {"stamp": _unused(stamp(clock), [Path(target) for target in items.values()]), "items": items}
    with os.fdopen(folder.create_private(staging / PLAN), "wb") as file:
        file.write(jsontext.compact(plan))
        file.flush()
        os.fsync(file.fileno())
    folder.sync(staging)
    os.rename(staging, data / READY)
    folder.sync(data)
    return list(items)


def _unused(at: str, targets: list[Path]) -> str:
    """A time that no earlier restore has used: what it kept must not be lost."""
    text, number = at, 1
    while any(os.path.lexists(_aside(target, text)) for target in targets):
        number += 1
        text = f"{at}-{number}"
    return text


def _aside(path: Path, at: str) -> Path:
    return path.with_name(f"{path.name}.before-restore-{at}")


def finish(data: Path) -> bool:
    """A restore that was ready is in place; says whether there was one.  The node's lock is held, and no database is open.

    Every step may be repeated: an item is moved aside once, and counts as placed when it is no longer in the ready folder.
    """
    ready = data / READY
    found = (ready / PLAN).exists()
    try:
        if found:
            plan: Any = jsontext.load((ready / PLAN).read_text("utf-8"))
            for item, target in plan["items"].items():
                _swap(ready / item, Path(target), plan["stamp"], item == DATABASE)
            folder.sync(data)
        _remove(ready)                       # all that it held is in place, also when a crash came in the middle of this line
    except OSError as fault:
        raise folder.worded(Path(fault.filename or ready), fault) from None
    return found


def _swap(staged: Path, target: Path, at: str, database: bool) -> None:
    if not staged.exists():
        return
    aside = _aside(target, at)
    if database:
        _log_aside(target, aside)
    if os.path.lexists(target) and not os.path.lexists(aside):
        os.rename(target, aside)
    folder.make_private(target.parent)
    _move(staged, target)
    folder.sync(target.parent)


def _log_aside(target: Path, aside: Path) -> None:
    """The log of the old database is named after what that is called from now on.  Before the database itself is moved:
    beside the new one it would be taken for that one's."""
    log = target.with_name(target.name + "-wal")
    if log.exists() and log.stat().st_size:
        os.replace(log, aside.with_name(aside.name + "-wal"))
    log.unlink(missing_ok=True)
    target.with_name(target.name + "-shm").unlink(missing_ok=True)          # only an index of the log


def _move(staged: Path, target: Path) -> None:
    try:
        os.rename(staged, target)
    except OSError as fault:
        if fault.errno not in (errno.EXDEV, errno.ENOTEMPTY, errno.EEXIST):
            raise
        import shutil  # a setting moved it to another file system: copied, then taken from the ready folder
        part = target.with_name(target.name + ".part")
        _remove(part)
        if staged.is_dir():
            shutil.copytree(staged, part)
            _remove(target)
        else:
            shutil.copy2(staged, part)
            folder.sync(part)
        os.replace(part, target)
        _remove(staged)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
