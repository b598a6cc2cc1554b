"""One line of JSON per event on standard error, for the system's journal.

No line ever holds a body, a token or a secret: callers name what they log.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TextIO

from .clock import Clock

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Writes events at or above `level`.  Members must be JSON values."""

    def __init__(self, clock: Clock, level: str = "info", stream: TextIO | None = None) -> None:
        self._clock = clock
        self._floor = LEVELS.index(level)
        self._stream = stream or sys.stderr

    def _line(self, level: str, event: str, members: dict[str, object]) -> None:
        if not self.shows(level):
            return
        line = {"at": self._clock.text(), "level": level, "event": event, **members}
        try:
            self._stream.write(json.dumps(line, default=str) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._floor = len(LEVELS)       # standard error is gone: a log must never take the node down

    def shows(self, level: str) -> bool:
        """Would an event of this level be written?  For those whose members cost something."""
        return LEVELS.index(level) >= self._floor

    def debug(self, event: str, **members: object) -> None:
        self._line("debug", event, members)

    def info(self, event: str, **members: object) -> None:
        self._line("info", event, members)

    def warning(self, event: str, **members: object) -> None:
        self._line("warning", event, members)

    def error(self, event: str, **members: object) -> None:
        self._line("error", event, members)

    def fault(self, event: str, fault: BaseException, **members: object) -> None:
        """An unforeseen exception with its traceback; what a caller sees is only the `error_id` among `members`."""
        import traceback
        text = "".join(traceback.format_exception(fault))
        self._line("error", event, {**members, "traceback": text})


def say(line: str, stream: TextIO) -> None:
    """The line is on the stream, if that takes anything: a full disk behind it, or a reader that has gone, stops no node."""
    try:
        stream.write(f"ocp: {line}\n")
        stream.flush()
    except (OSError, ValueError):
        pass


def silent() -> Log:
    """A log that writes nothing."""
    log = Log(Clock())
    log._floor = len(LEVELS)
    return log


Logger = Callable[..., None]
