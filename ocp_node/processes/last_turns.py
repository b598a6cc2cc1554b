"""Stands in for the loop once it has ended: children that are stopped after it are looked at by whoever stops them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..base.loop import Loop


class LastTimer:
    """An action that is due when so much time has been counted."""

    def __init__(self, due: float, act: Callable[[], None]) -> None:
        self.due = due
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None


class LastTurns:
    """Implements `base.loop.Loop` without waiting for anything; `turn` does what was handed over and what has become due."""

    def __init__(self, ended: Loop) -> None:
        self._ended = ended
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[LastTimer] = []
        self._counted = 0.0

    def call_soon(self, act: Callable[[], None]) -> None:
        self._soon.append(act)

    def call_later(self, seconds: float, act: Callable[[], None]) -> LastTimer:
        self._timers.append(LastTimer(self._counted + seconds, act))
        return self._timers[-1]

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        """Nothing is watched: every child is asked in every turn."""

    def unwatch(self, descriptor: int) -> None:
        self._ended.unwatch(descriptor)

    def turn(self, seconds: float) -> None:
        """`seconds` have passed since the last turn."""
        self._counted += seconds
        due = [timer for timer in self._timers if timer.due <= self._counted]
        self._timers = [timer for timer in self._timers if timer.due > self._counted]
        for timer in due:
            if timer.act is not None:
                timer.act()
        for _ in range(len(self._soon)):
            self._soon.popleft()()
