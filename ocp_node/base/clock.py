"""Time comes from here and is passed in; no other module reads a clock."""

from __future__ import annotations

import functools
import time
from datetime import datetime, timedelta, timezone

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The system's clocks.  `time` is seconds since 1970 (UTC), `monotonic` never goes back."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """So much time has passed.  For programs that look again and again; nothing inside a node sleeps."""
        time.sleep(seconds)

    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        return EPOCH + timedelta(seconds=self.time())

    def text(self) -> str:
        """The present as `YYYY-MM-DDTHH:MM:SSZ`, the form of the mesh."""
        return instant_text(self.time())


class SetClock(Clock):
    """A clock that stands still until it is moved: for tests and simulation."""

    def __init__(self, seconds: float = 1_800_000_000.0) -> None:
        self.seconds = seconds
        self.ticks = 1_000.0

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        """Both clocks have moved on by `seconds`."""
        self.seconds += seconds
        self.ticks += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock alone was set by hand, forward or back."""
        self.seconds += seconds


def instant_text(seconds: float) -> str:
    """Whole seconds since 1970 as `YYYY-MM-DDTHH:MM:SSZ`."""
    return _second_text(int(seconds))


@functools.lru_cache(maxsize=64)             # a change asks for the present and for ends of spans, again and again
def _second_text(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(whole))


def instant_seconds(text: str) -> float:
    """The instant an ISO-8601 text with a zone names, in seconds since 1970.  ValueError when it is none."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time needs a zone")
    return (at - EPOCH).total_seconds()
