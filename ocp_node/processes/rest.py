"""What a stopped child has left behind, watched: the loop is told as soon as one of them has gone, without asking for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from ..base.loop import Loop

WATCHED_MAX = 64                  # of one run; for more, and where there is no pidfd, the run is looked at now and then


class Rest:
    """Pidfds of processes that are not our children.  All on the loop."""

    __slots__ = ("_loop", "_told", "_open")

    def __init__(self, loop: Loop, told: Callable[[], None]) -> None:
        self._loop = loop
        self._told = told
        self._open: dict[int, int] = {}

    def watch(self, pids: Iterable[int]) -> None:
        """`told` is called when one of these has gone."""
        for pid in islice(pids, WATCHED_MAX):
            try:
                descriptor = os.pidfd_open(pid)
            except (OSError, AttributeError):
                continue
            self._open[pid] = descriptor
            self._loop.watch(descriptor, partial(self._gone, pid))

    def close(self) -> None:
        """Nobody is watched any more."""
        for descriptor in self._open.values():
            self._loop.unwatch(descriptor)
            os.close(descriptor)
        self._open.clear()

    def _gone(self, pid: int) -> None:
        descriptor = self._open.pop(pid, -1)
        if descriptor >= 0:
            self._loop.unwatch(descriptor)
            os.close(descriptor)
            self._told()
