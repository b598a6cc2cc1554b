"""Small private files that must survive a power cut and never be seen half-written or by others.

A file is written under another name, brought to the disk, and only then given its name.  Whatever goes wrong,
the old file stands as it was, and what is raised is one line for the operator (`Unusable`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import limits
from ..base.errors import Unusable

if TYPE_CHECKING:
    from ..base.ids import Ids

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
_OTHERS = 0o077


def make_directory(path: Path) -> None:
    """The directory exists and only its owner may enter it."""
    try:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
            path.chmod(DIRECTORY_MODE)
    except OSError as fault:
        raise _unusable("make or protect", path, fault) from None


def read(path: Path, *, refuse_shared: bool = False) -> bytes | None:
    """The whole file, or None when there is none.

    A file that others can read is taken back from them, or with `refuse_shared` refused: then its secret may be known.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)     # a pipe in its place must not hold us
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _unusable("read", path, fault) from None
    try:
        _protect(path, descriptor, refuse_shared)
        raw = _read_all(descriptor)
    except OSError as fault:
        raise _unusable("read", path, fault) from None
    finally:
        os.close(descriptor)
    if len(raw) > limits.PRIVATE_FILE_BYTES_MAX:
        raise Unusable(f"{path} is too large to be what its name says; move it away or restore it from a backup")
    return raw


def _protect(path: Path, descriptor: int, refuse_shared: bool) -> None:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise Unusable(f"{path} is not a regular file; move it away")
    if stat.S_IMODE(mode) & _OTHERS:
        if refuse_shared:
            raise Unusable(f"{path} can be read by other users; if its secret is still yours alone: chmod 600 {path}")
        os.fchmod(descriptor, FILE_MODE)


def _read_all(descriptor: int) -> bytes:
    raw = b""
    while len(raw) <= limits.PRIVATE_FILE_BYTES_MAX:
        part = os.read(descriptor, limits.PRIVATE_FILE_BYTES_MAX + 1 - len(raw))
        if not part:
            break
        raw += part
    return raw


def create(path: Path, raw: bytes, ids: Ids) -> None:
    """The file holds `raw` and is on the disk; FileExistsError when the name was taken, and then it is untouched."""
    draft = _draft(path, raw, ids)
    try:
        _link(draft, path)
    except FileExistsError:
        raise
    except OSError as fault:
        raise _unusable("write", path, fault) from None
    finally:
        draft.unlink(missing_ok=True)
    _settle(path.parent)


def replace(path: Path, raw: bytes, ids: Ids) -> None:
    """The file holds `raw` and is on the disk; until then it holds what it held."""
    draft = _draft(path, raw, ids)
    try:
        os.replace(draft, path)
    except OSError as fault:
        draft.unlink(missing_ok=True)
        raise _unusable("write", path, fault) from None
    _settle(path.parent)


def _draft(path: Path, raw: bytes, ids: Ids) -> Path:
    """A new private file beside `path` that holds `raw`, on the disk."""
    draft = path.with_name(f".{path.name}.{ids.hex(16)}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except OSError as fault:
        raise _unusable("write", path, fault) from None
    try:
        os.fchmod(descriptor, FILE_MODE)            # whatever the umask took away
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(descriptor, rest):]
        os.fsync(descriptor)
    except OSError as fault:
        draft.unlink(missing_ok=True)
        raise _unusable("write", path, fault) from None
    finally:
        os.close(descriptor)
    return draft


def _link(draft: Path, path: Path) -> None:
    """`path` is now the draft; unlike a rename, a link fails when the name is taken."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:                                 # a file system without links (FAT): the best it offers
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(draft, path)


def _settle(directory: Path) -> None:
    """The directory's new entry is on the disk too, where the file system can promise that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass                                        # some file systems refuse; the file itself is synced
    finally:
        os.close(descriptor)


def _unusable(verb: str, path: Path, fault: OSError) -> Unusable:
    return Unusable(f"cannot {verb} {path}: {fault.strerror or type(fault).__name__}")
