"""One node at a time uses a data folder: two writers of one identity would answer for each other."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..base.errors import Unusable
from .folder import worded

NAME = "node.lock"


class NodeLock:
    """The folder's lock.  The system lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def acquire(self) -> NodeLock:
        """This process holds the folder.  `Unusable` names the process that already does."""
        path = self._folder / NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise worded(path, fault) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise Unusable(f"a node{f' (process {holder})' if holder.isdigit() else ''} already uses {self._folder}; "
                           "stop it, or name another folder with --data-dir") from None
        except OSError as fault:
            os.close(descriptor)
            raise worded(path, fault) from None
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        """Another process may have the folder.  The file stays: to remove it would let two processes hold one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> NodeLock:
        return self if self._descriptor >= 0 else self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
