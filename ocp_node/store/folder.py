"""The data folder: private, writable, with room left; and how the system's refusals are worded for the operator."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..base import limits
from ..base.errors import Unusable

_WORDS = {
    errno.EACCES: "no permission for {path}; check its owner and mode, or name another folder with --data-dir",
    errno.EPERM: "no permission for {path}; check its owner and mode, or name another folder with --data-dir",
    errno.EROFS: "{path} is on a read-only file system; name another folder with --data-dir",
    errno.ENOSPC: "no space left for {path}; free some space and start again",
    errno.EDQUOT: "the disk quota is used up for {path}; free some space and start again",
    errno.ENOTDIR: "{path} cannot be a folder: a part of its path is a file",
    errno.EEXIST: "{path} is a file, not a folder; name another one with --data-dir",
    errno.ENAMETOOLONG: "the path {path} is too long",
    errno.ELOOP: "{path} is a symbolic link that is not followed",
    errno.ENOENT: "{path} does not exist and cannot be made; name another folder with --data-dir",
    errno.EIO: "the disk reports an error for {path}; it may be failing",
}


def worded(path: Path, fault: OSError) -> Unusable:
    """The operator's line for an error of the system."""
    words = _WORDS.get(fault.errno or 0, "{path} cannot be used: " + (fault.strerror or "unknown error"))
    return Unusable(words.format(path=path))


def prepare(path: Path) -> Path:
    """The folder exists, belongs to its owner alone when we made it, can be written, and has room.  Gives its absolute path."""
    folder = Path(os.path.abspath(path))
    try:
        make_private(folder)
        _try_out(folder / f".write-test-{os.getpid()}")
    except OSError as fault:
        raise worded(Path(fault.filename or folder), fault) from None
    if free_bytes(folder) < limits.FREE_BYTES_MIN:
        raise Unusable(f"only {free_bytes(folder) // 1024} KiB are left for {folder}; free some space and start again")
    return folder


def _try_out(path: Path) -> None:
    """A file can be made, filled and removed here; mode bits alone do not tell (read-only mounts, quotas, full disks)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, bytes(4096))
    finally:
        os.close(descriptor)
        os.unlink(path)


def free_bytes(path: Path) -> int:
    """What may still be written on the file system of `path`."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def create_private(path: Path) -> int:
    """A new file that only its owner may read, as a descriptor.  FileExistsError when the name is taken, by a link too."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def make_private(path: Path) -> Path:
    """The folder exists; of those on the way that we had to make, too, only the owner may enter."""
    if not path.is_dir():
        make_private(path.parent)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not path.is_dir():        # a file; another thread's folder is as good as ours
                raise
    return path


def sync(path: Path) -> None:
    """The file, or the names in the folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
