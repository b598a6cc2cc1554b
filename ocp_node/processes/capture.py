"""One pipe of a child, read by the loop: whatever is at its other end, the loop never waits and the memory is bounded."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ..base.loop import Loop, Timer
from .rules import FLOOD_BYTES, PAUSE_SECONDS, READ_BYTES, READ_TURNS_MAX

LAST_READS_MAX = 32               # full reads when the child has gone: what a pipe holds at most (1 MiB), and as much again


class Sink(Protocol):
    """Takes output and never fails or waits."""
    came: int

    @property
    def truncated(self) -> bool: ...

    def put(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Nowhere:
    """Output that nobody keeps is still read, for those who listen."""

    __slots__ = ("came",)
    truncated = False

    def __init__(self) -> None:
        self.came = 0

    def put(self, data: bytes) -> None:
        self.came += len(data)

    def close(self) -> None:
        """There is nothing to close."""


class Capture:
    """Reads one pipe into its sink until its end.  All methods run on the loop, but for `start`."""

    __slots__ = ("stream", "sink", "_loop", "_descriptor", "_heard", "_ended", "_full_turns", "_pause")

    def __init__(self, loop: Loop, stream: str, descriptor: int, sink: Sink, heard: Callable[[str, bytes], None] | None) -> None:
        self.stream = stream
        self.sink = sink
        self._loop = loop
        self._descriptor = descriptor
        self._heard = heard
        self._ended: Callable[[], object] | None = None
        self._full_turns = 0
        self._pause: Timer | None = None

    @property
    def open(self) -> bool:
        """The pipe's end has not been seen."""
        return self._descriptor >= 0

    def start(self, ended: Callable[[], object]) -> None:
        """The loop reads; `ended` is called once, at the pipe's end."""
        self._ended = ended
        self._loop.watch(self._descriptor, self._ready)

    def _ready(self) -> None:
        if self._descriptor >= 0 and self._pause is None:
            length = self._read()
            self._full_turns = self._full_turns + 1 if length == READ_BYTES else 0
            if self._full_turns >= READ_TURNS_MAX and self.sink.came > FLOOD_BYTES:
                self._wait()

    def _read(self) -> int:
        """One read, handed on; how long it was, -1 when there is nothing yet."""
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return -1
        except OSError:
            data = b""
        if not data:
            self._end()
            return 0
        self.sink.put(data)
        if self._heard is not None:                  # apart, so that a listener that fails leaves the run as it is
            self._loop.call_soon(partial(self._heard, self.stream, data))
        return len(data)

    def _wait(self) -> None:
        """A child that floods its pipe is slowed down, so that the loop has time for others."""
        self._full_turns = 0
        self._loop.unwatch(self._descriptor)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        if self._descriptor >= 0:
            self._loop.watch(self._descriptor, self._ready)

    def drain(self) -> bool:
        """What stands in the pipe has been read; True when its end was among it."""
        for _ in range(LAST_READS_MAX):
            if self._descriptor < 0 or self._read() < 0:
                break
        return self._descriptor < 0

    def close(self) -> None:
        """The pipe is no longer read, and nobody is told."""
        if self._descriptor >= 0:
            if self._pause is None:
                self._loop.unwatch(self._descriptor)
            else:
                self._pause.cancel()
                self._pause = None
            os.close(self._descriptor)
            self._descriptor = -1
            self.sink.close()
        self._ended = None

    def _end(self) -> None:
        ended = self._ended
        self.close()
        if ended is not None:
            ended()
