"""What rooms and the process engine may ask of the one loop (`http/server.py`); a test passes a small one of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None:
        """The action will not run; harmless when it already has."""


class Loop(Protocol):
    """Actions run on the loop's thread, one after the other; none may wait."""

    def call_soon(self, act: Callable[[], None]) -> None:
        """`act` runs on the loop soon.  From any thread."""

    def call_later(self, seconds: float, act: Callable[[], None]) -> Timer:
        """`act` runs on the loop after `seconds`.  From any thread."""

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        """`act` runs on the loop whenever `descriptor` can be read.  From any thread; one watch per descriptor."""

    def unwatch(self, descriptor: int) -> None:
        """No more calls for `descriptor`.  Call before closing it.  From any thread."""
