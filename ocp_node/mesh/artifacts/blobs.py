"""The bytes of artifacts: one file per content, named by its SHA-256, in `artifacts/sha256/<2 hex>/<62 hex>` of the data folder.

A blob is written under another name, brought to the disk and only then given its name, so a file under its name is whole.
Whoever was given a `Blob` holds it: it is not removed while the value is alive, so between storing bytes and committing the
row that counts them nothing can sweep them away.  No path is ever taken from outside: only digests are, and they are checked.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import Refusal
from ...store import folder

if TYPE_CHECKING:
    from ...base.clock import Clock
    from ...base.ids import Ids

HEX = re.compile(r"[0-9a-f]{64}")
PIECE_BYTES = 262_144
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Hold:
    """Alive while anybody has a `Blob` of one digest."""

    __slots__ = ("__weakref__",)


class Blob:
    """Bytes that are on the disk, and stay there while this value is alive or an artifact has them."""

    __slots__ = ("digest", "size", "_hold")

    def __init__(self, digest: str, size: int, hold: object = None) -> None:
        self.digest = digest              # SHA-256, 64 lower-case hex digits
        self.size = size
        self._hold = hold

    def __repr__(self) -> str:
        return f"Blob({self.digest[:12]}…, {self.size})"


def full() -> Refusal:
    """There is no room for more bytes."""
    return Refusal("busy", "artifact store is full", headers=(("Retry-After", "60"),))


class Blobs:
    """The blobs under one folder.  For many threads at once; never on the loop."""

    def __init__(self, root: Path, clock: Clock, ids: Ids) -> None:
        self._root = root
        self._clock = clock
        self._ids = ids
        self._lock = threading.Lock()      # held for a look-up or one unlink, never while bytes move
        self._holds: weakref.WeakValueDictionary[str, _Hold] = weakref.WeakValueDictionary()
        self._drafts: set[str] = set()     # names in `incoming` that this process is writing
        self._fresh: set[str] = set()      # digests of files made by this process that may not be counted yet
        self.on_fresh: Callable[[], None] = lambda: None       # called when there is the first of those

    # --- writing

    def put(self, content: bytes) -> Blob:
        """The bytes are on the disk."""
        return self.put_all([content])[0]

    def put_all(self, contents: Iterable[bytes]) -> list[Blob]:
        """All of them are on the disk; each folder they are in was brought there once."""
        import hashlib
        blobs, touched = [], set()
        for content in contents:
            blob = self._held(hashlib.sha256(content).hexdigest(), len(content))
            if not self._sound(blob):
                with self.draft() as draft:
                    draft.write(content)
                    draft.name(blob.digest)
                touched.add(self.path(blob.digest).parent)
            blobs.append(blob)
        for place in touched:
            folder.sync(place)
        return blobs

    @contextmanager
    def draft(self, bytes_max: int | None = None, resume: str = "") -> Iterator[Draft]:
        """Bytes on their way in; what was not `keep`t is gone at the end.

        With `resume` the draft bears that name and goes on where an earlier one with it stopped; it is left when cut off.
        """
        incoming = folder.make_private(self._root / "incoming")
        name = f"{resume or self._ids.hex(32)}.part"
        with self._lock:
            if name in self._drafts:
                raise Refusal("conflict", "this artifact is being transferred already")
            self._drafts.add(name)
        made = None
        try:
            with worded():
                made = Draft(self, incoming / name, bytes_max, bool(resume))
            yield made
        finally:
            if made is not None:
                made.close(self._clock.time())
            with self._lock:
                self._drafts.discard(name)

    def _held(self, digest: str, size: int) -> Blob:
        """From now on nobody removes the file of that digest."""
        with self._lock:
            hold = self._holds.get(digest)
            if hold is None:
                hold = self._holds[digest] = _Hold()
            return Blob(digest, size, hold)

    def _sound(self, blob: Blob) -> bool:
        """Is the blob there already, as it should be?  One that a disk has spoiled is written anew."""
        try:
            os.close(self.verified(blob.digest, blob.size))
        except Refusal:
            return False
        return True

    # --- reading

    def path(self, digest: str) -> Path:
        """Where the blob's file is or would be."""
        assert HEX.fullmatch(digest), digest
        return self._root / "sha256" / digest[:2] / digest[2:]

    def open(self, digest: str, size: int) -> int:
        """A descriptor of the blob's file.  `Refusal("not_found")` when it is gone, `corrupted` when its size is another."""
        try:
            descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            raise Refusal("not_found", "artifact content unavailable") from None
        if os.fstat(descriptor).st_size != size:
            os.close(descriptor)
            raise corrupted()
        return descriptor

    def verified(self, digest: str, size: int) -> int:
        """A descriptor of the blob's file, whose bytes have just been seen to have that digest.  The caller closes it."""
        descriptor = self.open(digest, size)
        try:
            self.check(descriptor, digest)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def check(self, descriptor: int, digest: str) -> None:
        """The file's bytes have that digest, or `Refusal("corrupted")`; read piece by piece, left at its start."""
        if _digest_of(descriptor) != digest:
            raise corrupted()

    def read(self, digest: str, size: int) -> bytes:
        """The blob's bytes, which have that digest."""
        import hashlib
        descriptor = self.open(digest, size)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(size)
        if hashlib.sha256(content).hexdigest() != digest:
            raise corrupted()
        return content

    # --- sweeping

    def remove(self, digest: str, unused: Callable[[str], bool]) -> bool:
        """The file is gone, if nobody holds it and `unused` (asked after that was seen) says that no artifact has it."""
        with self._lock:
            if digest in self._holds or not unused(digest):
                return False
            self.path(digest).unlink(missing_ok=True)
            return True

    def sort_out(self, unused: Callable[[str], bool]) -> bool:
        """Files made lately that were never counted, as their change was refused, are gone.  True while some are still held."""
        with self._lock:
            fresh = list(self._fresh)
        for digest in fresh:
            with self._lock:
                if digest in self._holds:
                    continue
                if unused(digest):
                    self.path(digest).unlink(missing_ok=True)
                self._fresh.discard(digest)
        with self._lock:
            return bool(self._fresh)

    def note_fresh(self, digest: str) -> None:
        """A file of that name was made."""
        with self._lock:
            first = not self._fresh
            self._fresh.add(digest)
        if first:
            self.on_fresh()

    def every(self) -> Iterator[str]:
        """The digests of all files, in order; other names are not looked at."""
        for outer in sorted(_names(self._root / "sha256")):
            for inner in sorted(_names(self._root / "sha256" / outer)):
                if HEX.fullmatch(outer + inner):
                    yield outer + inner

    def drop_abandoned(self) -> None:
        """Drafts that cannot be resumed, of a process that is no more, are gone."""
        for name in _names(self._root / "incoming"):
            with self._lock:
                if name not in self._drafts and not HEX.fullmatch(name.removesuffix(".part")):
                    (self._root / "incoming" / name).unlink(missing_ok=True)

    def drop_drafts(self, older_than: float) -> int:
        """Drafts that nobody writes, untouched since that second (since 1970), are gone.  Gives how many were."""
        gone = 0
        for name in _names(self._root / "incoming"):
            path = self._root / "incoming" / name
            with self._lock:
                if name not in self._drafts and _modified(path) < older_than:
                    path.unlink(missing_ok=True)
                    gone += 1
        return gone


class Draft:
    """Bytes on their way in, hashed as they come."""

    def __init__(self, blobs: Blobs, path: Path, bytes_max: int | None, resumable: bool) -> None:
        import hashlib
        self._blobs = blobs
        self._path = path
        self._bytes_max = bytes_max
        self._resumable = resumable
        self._hash = hashlib.sha256()
        self.size = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if resumable else os.O_EXCL)
        self._descriptor = os.open(path, flags, 0o600)
        try:
            self._read_earlier()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _read_earlier(self) -> None:
        """What an earlier draft left counts, as far as it is allowed to."""
        while piece := os.read(self._descriptor, PIECE_BYTES):
            self._hash.update(piece)
            self.size += len(piece)
            if self._bytes_max is not None and self.size > self._bytes_max:
                self.restart()
                return

    def restart(self) -> None:
        """As if nothing had come yet."""
        import hashlib
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash, self.size = hashlib.sha256(), 0

    def write(self, piece: bytes) -> None:
        """The next bytes.  `Refusal("too_large")` beyond the bound, `busy` when the disk is full."""
        if self._bytes_max is not None and self.size + len(piece) > self._bytes_max:
            raise Refusal("too_large", "artifact too large")
        self._hash.update(piece)
        rest = memoryview(piece)
        with worded():
            while rest:
                rest = rest[os.write(self._descriptor, rest):]
        self.size += len(piece)

    @property
    def digest(self) -> str:
        """SHA-256 of what has come so far."""
        return self._hash.hexdigest()

    def name(self, digest: str) -> None:
        """The file has its final name and its bytes are on the disk; its folder is the caller's to bring there."""
        target = self._blobs.path(digest)
        with worded():
            os.fsync(self._descriptor)
            if not target.parent.is_dir():
                folder.make_private(target.parent)
                folder.sync(target.parent.parent)
                folder.sync(target.parent.parent.parent)
            os.replace(self._path, target)
        self._blobs.note_fresh(digest)

    def keep(self) -> Blob:
        """What has come is a blob now, durable, and held."""
        blob = self._blobs._held(self.digest, self.size)
        if not self._blobs._sound(blob):
            self.name(blob.digest)
            folder.sync(self._blobs.path(blob.digest).parent)
        return blob

    def drop(self) -> None:
        """Nothing of it stays, even if it could be resumed: it was not what it should be."""
        self._resumable = False

    def close(self, now: float) -> None:
        """The draft is gone, or left to be resumed, with the time it was left."""
        if self._resumable:
            os.utime(self._descriptor, (now, now))
        else:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def corrupted() -> Refusal:
    return Refusal("corrupted", "artifact content is corrupted")


@contextmanager
def worded() -> Iterator[None]:
    """A full disk is a refusal; any other error of the disk is a fault."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise full() from None
        raise


def _digest_of(descriptor: int) -> str:
    """SHA-256 of the whole file, read piece by piece, from its start; the position is left at its start."""
    import hashlib
    made = hashlib.sha256()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, PIECE_BYTES):
        made.update(piece)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return made.hexdigest()


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return []


def _modified(path: Path) -> float:
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return float("inf")
