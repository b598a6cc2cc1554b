"""A small loop for tests of what rooms ask of the node's loop (`ocp_node/base/loop.py`), without a node."""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator


class LoopTimer:
    def __init__(self, due: float, act: Callable[[], None]) -> None:
        self.due = due
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None

    def __lt__(self, other: LoopTimer) -> bool:
        return self.due < other.due


class TestLoop:
    """Implements `Loop` by real time.  The test turns it with `run_until`, or has it turn in a thread with `running`.

    What a callback raises comes out of `run_until`, or is kept in `faults` when a thread turns it.
    """
    __test__ = False

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Callable[[], None]] = deque()
        self._timers: list[LoopTimer] = []
        self._lock = threading.Lock()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._woken)
        self.faults: list[BaseException] = []

    def call_soon(self, act: Callable[[], None]) -> None:
        self._soon.append(act)
        self._wake()

    def call_later(self, seconds: float, act: Callable[[], None]) -> LoopTimer:
        timer = LoopTimer(time.monotonic() + seconds, act)
        with self._lock:
            heapq.heappush(self._timers, timer)
        self._wake()
        return timer

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        with self._lock:
            self._selector.register(descriptor, selectors.EVENT_READ, act)
        self._wake()

    def unwatch(self, descriptor: int) -> None:
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    @property
    def watched(self) -> int:
        """How many descriptors are watched, the loop's own not counted."""
        return len(self._selector.get_map()) - 1

    def turn(self, seconds: float) -> None:
        """One turn, which waits no longer than `seconds` for something to happen."""
        with self._lock:
            due = self._timers[0].due - time.monotonic() if self._timers else seconds
        for key, _ in self._selector.select(0 if self._soon else max(0.0, min(seconds, due))):
            key.data()
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        while (timer := self._due()) is not None:
            if timer.act is not None:
                timer.act()

    def run_until(self, predicate: Callable[[], object], seconds: float = 20.0) -> bool:
        """Turns until `predicate()` holds, at most `seconds`; whether it did."""
        end = time.monotonic() + seconds
        while not predicate():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.turn(min(left, 0.05))
        return True

    @contextlib.contextmanager
    def running(self) -> Iterator[TestLoop]:
        """A thread turns the loop inside the `with` block."""
        stopping = threading.Event()

        def run() -> None:
            while not stopping.is_set():
                try:
                    self.turn(0.05)
                except Exception as fault:
                    self.faults.append(fault)

        thread = threading.Thread(target=run, name="test-loop", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stopping.set()
            self._wake()
            thread.join(10)

    def close(self) -> None:
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _due(self) -> LoopTimer | None:
        with self._lock:
            return heapq.heappop(self._timers) if self._timers and self._timers[0].due <= time.monotonic() else None

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_out, b"\0")

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_in, 4096)
