"""Where the kernel tells of no exit (no pidfd: Linux before 5.3, other systems), children are asked one after the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from . import rules

if TYPE_CHECKING:
    from ..base.loop import Timer
    from .child import Child
    from .engine import Engine


class Poller:
    """Asks often while something happens, and seldom once nothing does; not at all without children."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._children: dict[Child, None] = {}
        self._timer: Timer | None = None
        self._busy_until = 0.0

    def add(self, child: Child) -> None:
        """The child is asked from now on.  From any thread."""
        with self._lock:
            self._children[child] = None
            first = len(self._children) == 1
        if first:
            self._engine.loop.call_soon(self._tick)

    def forget(self, child: Child) -> None:
        """The child has exited."""
        with self._lock:
            if self._children.pop(child, self) is None:
                self._busy_until = self._engine.clock.monotonic() + rules.POLL_BUSY_SECONDS

    def close(self) -> None:
        """Nobody is asked any more."""
        with self._lock:
            self._children.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        with self._lock:
            asked = list(self._children)
        for child in asked:
            child.look()
        now = self._engine.clock.monotonic()
        busy = now < self._busy_until or any(child.stopping or now - child.began < rules.POLL_BUSY_SECONDS for child in asked)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if asked:
            self._timer = self._engine.loop.call_later(rules.POLL_SECONDS if busy else rules.POLL_SECONDS_QUIET, self._tick)
