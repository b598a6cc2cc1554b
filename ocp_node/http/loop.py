"""The one loop: readiness of descriptors, actions handed over by other threads, and deadlines.  It knows no protocol."""

from __future__ import annotations

import heapq
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..base.clock import Clock
from ..base.log import Log

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Ready(Protocol):
    """What the loop calls when a registered descriptor can be read or written."""

    def ready(self, mask: int) -> None: ...


class Deadline:
    """An action at an instant of the monotonic clock."""

    __slots__ = ("due", "act")

    def __init__(self, due: float, act: Callable[[], None] | None) -> None:
        self.due = due
        self.act = act

    def cancel(self) -> None:
        self.act = None

    def __lt__(self, other: Deadline) -> bool:
        return self.due < other.due


class _Watch:
    __slots__ = ("act",)

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def ready(self, mask: int) -> None:
        self.act()


class EdgeLoop:
    """Implements `base.loop.Loop`.  `now` is the monotonic time of the present turn."""

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Callable[[], None]] = deque()
        self._deadlines: list[Deadline] = []
        self._sleeping = False
        self._stopping = False
        self._thread = 0
        self.now = clock.monotonic()
        self.second = 0                       # whole seconds of the wall clock, for what is formatted once a second
        self._wake_in, self._wake_out = _wake_pair()
        self._selector.register(self._wake_in, READ, _Watch(self._drain_wake))

    # --- from any thread

    def call_soon(self, act: Callable[[], None]) -> None:
        self._soon.append(act)
        if self._sleeping:                      # another thread, or a signal's handler inside our own wait
            self._wake()

    def call_later(self, seconds: float, act: Callable[[], None]) -> Deadline:
        deadline = Deadline(self._clock.monotonic() + max(0.0, seconds), act)
        if threading.get_ident() == self._thread:
            heapq.heappush(self._deadlines, deadline)
        else:
            self.call_soon(lambda: heapq.heappush(self._deadlines, deadline))
        return deadline

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        self._here(lambda: self.register(descriptor, READ, _Watch(act)))

    def unwatch(self, descriptor: int) -> None:
        if threading.get_ident() == self._thread:
            self.unregister(descriptor)
            return
        done = threading.Event()                # the descriptor may be closed as soon as we return

        def act() -> None:
            self.unregister(descriptor)
            done.set()

        self.call_soon(act)
        if not self._stopping and self._thread:
            done.wait(1.0)

    def stop(self) -> None:
        """The loop ends after its present turn."""
        def act() -> None:
            self._stopping = True
        self.call_soon(act)
        self._wake()

    def _here(self, act: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            act()
        else:
            self.call_soon(act)

    def _wake(self) -> None:
        try:
            os.write(self._wake_out, b"\1\0\0\0\0\0\0\0")
        except (BlockingIOError, OSError):
            pass                                # already awake, or closed

    def _drain_wake(self) -> None:
        try:
            os.read(self._wake_in, 4096)
        except (BlockingIOError, OSError):
            pass

    # --- on the loop

    def register(self, descriptor: int, mask: int, ready: Ready) -> None:
        self._selector.register(descriptor, mask, ready)

    def modify(self, descriptor: int, mask: int, ready: Ready) -> None:
        self._selector.modify(descriptor, mask, ready)

    def unregister(self, descriptor: int) -> None:
        try:
            self._selector.unregister(descriptor)
        except (KeyError, ValueError, OSError):
            pass

    def run(self) -> None:
        """Take turns until `stop`."""
        self._thread = threading.get_ident()
        self._turn_times()
        select = self._selector.select
        while not self._stopping:
            self._sleeping = True
            timeout = 0.0 if self._soon else self._timeout()
            happened = select(timeout)
            self._sleeping = False
            self._turn_times()
            for key, mask in happened:
                try:
                    key.data.ready(mask)
                except Exception as fault:    # one broken connection must not end the loop that serves all others
                    self._broken(key.data, fault)
            if self._soon:
                self._run_soon()
            if self._deadlines and self._deadlines[0].due <= self.now:
                self._run_due()

    def finish(self) -> None:
        """What was handed to the loop before it ended has been done; in its thread, after `run` has returned."""
        self._turn_times()
        self._run_soon()

    def close(self) -> None:
        """Descriptors of the loop itself are closed; call after `run` has returned."""
        self._stopping = True
        self._selector.close()
        for descriptor in {self._wake_in, self._wake_out}:
            os.close(descriptor)

    def _turn_times(self) -> None:
        self.now = self._clock.monotonic()
        self.second = int(self._clock.time())

    def _timeout(self) -> float | None:
        while self._deadlines and self._deadlines[0].act is None:
            heapq.heappop(self._deadlines)
        return max(0.0, self._deadlines[0].due - self._clock.monotonic()) if self._deadlines else None

    def _broken(self, ready: Any, fault: Exception) -> None:
        self._log.fault("loop.fault", fault)
        abandon = getattr(ready, "abandon", None)
        if abandon:
            abandon()

    def _run_soon(self) -> None:
        for _ in range(len(self._soon)):      # what these add waits for the next turn
            act = self._soon.popleft()
            try:
                act()
            except Exception as fault:
                self._log.fault("loop.fault", fault)

    def _run_due(self) -> None:
        now = self.now
        while self._deadlines and self._deadlines[0].due <= now:
            act = heapq.heappop(self._deadlines).act
            if act is not None:
                try:
                    act()
                except Exception as fault:
                    self._log.fault("loop.fault", fault)


def _wake_pair() -> tuple[int, int]:
    """A descriptor to read and one to write that wakes it."""
    if hasattr(os, "eventfd"):
        descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return descriptor, descriptor
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    return read_end, write_end
