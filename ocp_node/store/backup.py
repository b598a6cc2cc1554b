"""Backups: one file that holds what makes this node itself, taken while it runs, and checked before it counts.

Copying the file of a live database loses what still stands in its log, so the copy is made by SQLite from one moment.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..base import jsontext, limits
from ..base.clock import Clock
from ..base.errors import Unusable
from . import folder, migrate
from .connection import for_reading, for_writing, unusable

if TYPE_CHECKING:
    import tarfile

FORMAT = "ocp-backup/1"
DATABASE = "ocp.db"
MANIFEST = "backup.json"
ITEMS = ("identity", "tls", "ocp.toml")      # of the data folder, besides the database; with blobs also:
BLOBS = ("artifacts", "files")              # the bytes of artifacts, and what App Mesh users uploaded


class Places:
    """Where each part of a node's state lives: in its data folder, unless a setting moved it."""

    __slots__ = ("data", "_moved")

    def __init__(self, data: Path, *, database: Path | None = None, identity: Path | None = None,
                 settings: Path | None = None) -> None:
        self.data = data
        self._moved = {DATABASE: database, "identity": identity, "ocp.toml": settings}

    def of(self, item: str) -> Path:
        return self._moved.get(item) or self.data / item


def copy_database(source: sqlite3.Connection, target: Path) -> None:
    """`target` is a whole, checked copy of the database as it was at one moment; only its owner may read it.

    The source may be written to meanwhile: the copy is read inside one read transaction, so it need not start over.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    os.close(folder.create_private(part))
    try:
        _copy_pages(source, part)
        found = migrate.check(part)
        if found:
            raise Unusable(f"the copy of the database is damaged ({found}), so the database probably is too; "
                           "run `python3 ocp.py doctor`")
        folder.sync(part)
        os.replace(part, target)
        folder.sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _copy_pages(source: sqlite3.Connection, part: Path) -> None:
    copy = for_writing(part)
    opened = not source.in_transaction
    try:
        copy.execute("PRAGMA synchronous = OFF")               # flushed once, at the end
        if opened:
            source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()          # from here on, one moment
        source.backup(copy, pages=limits.BACKUP_PAGES_PER_STEP)
        copy.execute("PRAGMA journal_mode = DELETE")           # a single file, that needs no log beside it to be read
    finally:
        if opened and source.in_transaction:
            source.execute("ROLLBACK")
        copy.close()


def backup(data: Path, target: Path, clock: Clock, *, places: Places | None = None, blobs: bool = False) -> Path:
    """One new file holds the database, the identity with its keys, the settings, and with `blobs` artifacts and uploaded files.

    The node may run.  `target` is a folder, or the file's name; nothing that exists is overwritten.  Gives the file.
    It holds private keys: only its owner may read it, and it should be kept like a key.
    """
    places = places or Places(data)
    final = target / f"ocp-backup-{stamp(clock)}.tar" if target.is_dir() else target
    part = final.with_name(f".{final.name}.part")
    copy = final.with_name(f".{final.name}.db")
    try:
        if os.path.lexists(final):
            raise Unusable(f"{final} exists; name another file")
        _copy_live(places.of(DATABASE), copy)
        with _private(part) as file:
            _fill(file, copy, places, blobs, clock)
        os.replace(part, final)
        folder.sync(final.parent)
    except OSError as fault:
        raise folder.worded(final, fault) from None
    finally:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
    return final


def stamp(clock: Clock) -> str:
    return clock.text().replace("-", "").replace(":", "")


def _copy_live(database: Path, copy: Path) -> None:
    if not database.exists():
        raise Unusable(f"there is no database at {database}")
    migrate.check_ours(database)
    try:
        source = for_reading(database)
        try:
            copy_database(source, copy)
        finally:
            source.close()
    except sqlite3.Error as fault:
        raise unusable(database, fault) from None


@contextlib.contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new file that is on the disk when the block ends."""
    path.unlink(missing_ok=True)
    with os.fdopen(folder.create_private(path), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


class _Hashed:
    """A file whose bytes are counted and hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        import hashlib
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(count)
        self.digest.update(data)
        return data


def _fill(file: IO[bytes], copy: Path, places: Places, blobs: bool, clock: Clock) -> None:
    """The archive is written; its list of members, with their digests, is its last member, so a file cut short has none."""
    import tarfile
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        members = [_add(archive, DATABASE, copy, clock)]
        for item in (*ITEMS, *(BLOBS if blobs else ())):
            members += [_add(archive, name, path, clock) for name, path in _files(item, places.of(item))]
        manifest = {"format": FORMAT, "created_at": clock.text(), "blobs": blobs, "members": [each for each in members if each]}
        _add_bytes(archive, MANIFEST, jsontext.compact(manifest), clock)


def _files(item: str, root: Path) -> list[tuple[str, Path]]:
    """The regular files of an item, with their names in the archive; links are not followed."""
    if root.is_file() and not root.is_symlink():
        return [(item, root)]
    found = []
    for where, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(where, name)
            if path.is_file() and not path.is_symlink() and not name.endswith(".part"):
                found.append((f"{item}/{path.relative_to(root).as_posix()}", path))
    return sorted(found)


def _add(archive: tarfile.TarFile, name: str, path: Path, clock: Clock) -> dict[str, object] | None:
    """The member is in the archive; None when its file went away meanwhile (an artifact that was purged)."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return None
    with file:
        facts, hashed = _facts(name, os.fstat(file.fileno()).st_size, clock), _Hashed(file)
        archive.addfile(facts, hashed)
        return {"name": name, "size": facts.size, "sha256": hashed.digest.hexdigest()}


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes, clock: Clock) -> None:
    import io
    archive.addfile(_facts(name, len(data), clock), io.BytesIO(data))


def _facts(name: str, size: int, clock: Clock) -> tarfile.TarInfo:
    import tarfile
    facts = tarfile.TarInfo(name)
    facts.size, facts.mode, facts.mtime = size, 0o600, int(clock.time())
    return facts


def read_manifest(archive: Any, member: Any) -> dict[str, tuple[int, str]]:
    """Size and digest of every member, by name.  `Unusable` when the list is not ours."""
    if member.size > limits.BACKUP_MANIFEST_BYTES_MAX:
        raise Unusable("the backup's list of members is too long")
    value = jsontext.load(archive.extractfile(member).read().decode("utf-8", "replace"))
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("members"), list):
        raise Unusable("the backup was written by another program, or by a newer version of this one")
    return {str(each["name"]): (int(each["size"]), str(each["sha256"])) for each in value["members"]}
