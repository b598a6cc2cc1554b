"""A mark that every process of a run bears, whatever group, session or parent it moves to.

Linux hands resource limits down to every descendant and keeps them over `exec`.  One of them, the processor time of real-time
threads (RLIMIT_RTTIME), means nothing to ordinary programs, and a value of thousands of years means nothing to real-time ones:
its lower bits name the run.  The mark is on before the program runs its first instruction, because the node bears it itself
while it forks.  A program could take its mark off on purpose; a cgroup holds that one too, where there is one (`cgroup.py`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable

from ..base.loop import Loop
from .usage import PROC, every_pid, read_bytes, stat

WIDE = sys.maxsize > 2**32                        # a 32-bit kernel keeps 32 bits of a limit
BASE = 1 << 62 if WIDE else 1 << 31               # microseconds: 146,000 years, else half an hour without one wait
SERIAL_BITS = 32 if WIDE else 20
NUMBER_BITS = 28 if WIDE else 10
NEWER_MAX = 512                                   # numbers tried one by one before all processes are listed instead


class Marks:
    """Gives marks out and finds who bears them.  `number` sets this engine's marks apart from another's."""

    def __init__(self, number: int, loop: Callable[[], Loop]) -> None:
        self.lock = threading.Lock()              # the node bears one mark at a time: starts follow one another
        self._first = BASE + ((number & (1 << NUMBER_BITS) - 1) << SERIAL_BITS)
        self._serial = 0
        self._starting: set[int] = set()          # on the way from fork to being known: nobody else may reap these
        self._loop = loop
        self._seen: dict[int, list[int]] | None = None
        self._own = _limit(0)
        self.usable = self._own is not None and (self._own[1] < 0 or self._own[1] >= self._first + (1 << SERIAL_BITS))

    def reserve(self) -> int:
        """A mark for a run that is yet to be started; 0 where the system has no such thing."""
        with self.lock:
            return self._next() if self.usable else 0

    def _next(self) -> int:
        self._serial = (self._serial + 1) & (1 << SERIAL_BITS) - 1
        return self._first + self._serial

    def put_on(self, reserved: int = 0) -> int:
        """This process bears a new mark, and so does what it forks until `take_off`; 0 where the system has no such thing.
        The caller holds the lock."""
        if not self.usable:
            return 0
        mark = reserved or self._next()
        if not self._set(0, mark):
            self.usable = False
            return 0
        self._starting.add(mark)
        return mark

    def starting(self, mark: int) -> bool:
        """A child with this mark may be there that is not known yet."""
        return mark in self._starting

    def arrived(self, mark: int) -> None:
        """The child is known by its number, or there is none."""
        with self.lock:
            self._starting.discard(mark)

    def take_off(self) -> None:
        """This process bears what it bore before."""
        if self._own is not None and self.usable:
            import resource
            resource.prlimit(0, resource.RLIMIT_RTTIME, self._own)

    def repeat(self, pid: int, mark: int) -> None:
        """The child bears this very mark, should another engine of the same process have forked at the same moment."""
        if mark and of(pid) != mark:
            self._set(pid, mark)

    def _set(self, pid: int, mark: int) -> bool:
        import resource
        try:
            resource.prlimit(pid, resource.RLIMIT_RTTIME, (mark, self._own[1] if self._own else -1))
        except (OSError, ValueError):
            return False
        return True

    def bearers(self, mark: int) -> list[int]:
        """Who bears this mark, those dead and not yet reaped included; never this process.

        On the loop: one look at all processes serves a whole turn, because ends are asked for by the hundred.
        """
        if not mark:
            return []
        if self._seen is None:
            self._seen = by_mark(every_other())
            self._loop().call_soon(self._forget)
        return self._seen.get(mark, [])

    def _forget(self) -> None:
        self._seen = None

    def gave(self, mark: int) -> bool:
        """The mark is one of this engine's."""
        return self._first <= mark < self._first + (1 << SERIAL_BITS)


def every_other() -> list[int]:
    """All processes but this one: it bears a child's mark for the moment of a fork."""
    own = os.getpid()
    return [pid for pid in every_pid() if pid != own]


def newer(pid: int, mark: int, parents: Collection[int]) -> list[int]:
    """Who bears this mark, or is a child of one of `parents` that took it off, and was born after `pid`.

    One small file says whether anything was, so it mostly costs no search.
    """
    words = (read_bytes("/proc/loadavg", 128) or b"").split()
    last = int(words[-1]) if words and words[-1].isdigit() else 0
    born = range(pid + 1, last + 1) if 0 <= last - pid <= NEWER_MAX else every_pid()
    return [other for other in born if other not in (pid, os.getpid()) and (mark and of(other) == mark or _parent(other) in parents)]


def _parent(pid: int) -> int:
    found = stat(pid)
    return found.parent if found is not None else 0


def by_mark(pids: Iterable[int]) -> dict[int, list[int]]:
    """The bearers of each mark among `pids`; those without one, or not ours to ask, are left out."""
    found: dict[int, list[int]] = {}
    for pid in pids:
        mark = of(pid)
        if mark:
            found.setdefault(mark, []).append(pid)
    return found


def of(pid: int) -> int:
    """The mark of a process; 0 when it bears none or cannot be asked."""
    limit = _limit(pid)
    return limit[0] if limit is not None and limit[0] >= BASE else 0


def _limit(pid: int) -> tuple[int, int] | None:
    import resource
    try:
        return resource.prlimit(pid, resource.RLIMIT_RTTIME)
    except PermissionError:                       # another user's: a node that starts programs as others may still read it
        return parse_limit(read_bytes(f"{PROC}/{pid}/limits", 4096) or b"") if os.geteuid() == 0 else None
    except (OSError, AttributeError, ValueError):
        return None


def parse_limit(text: bytes) -> tuple[int, int] | None:
    """The limit that marks are made of, of `/proc/<pid>/limits`; None when it is not in there."""
    for line in text.splitlines():
        if line.startswith(b"Max realtime timeout"):
            words = line.split()[3:5]
            soft, hard = (int(word) if word.isdigit() else -1 for word in words)
            return soft, hard
    return None
