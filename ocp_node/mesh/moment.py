"""A value of the present moment that many callers share: made once for those who see everything, and once for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from ..core import Core

T = TypeVar("T")


class Moment(Generic[T]):
    """What `make(trusted)` gave last: no older than the last commit, and than `seconds`, as parts may count what is no commit."""

    def __init__(self, core: Core, make: Callable[[bool], T], seconds: float) -> None:
        self._core = core
        self._make = make
        self._seconds = seconds
        self._kept: dict[bool, tuple[int, float, T]] = {}

    def value(self, trusted: bool) -> T:
        """The value as this kind of caller sees it; nobody changes it."""
        version, now = self._core.writer.commits, self._core.clock.monotonic()
        kept = self._kept.get(trusted)
        if kept is None or kept[0] != version or now - kept[1] >= self._seconds:
            kept = self._kept[trusted] = (version, now, self._make(trusted))
        return kept[2]
