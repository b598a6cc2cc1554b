"""Background loops: each sleeps until its next deadline and is woken when there is something to do.

A ticker is a step that does what is due and says in how many seconds it wants to be called again;
what is due is decided by pure functions of the room, so only this loop needs a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .log import Log

AFTER_FAULT_SECONDS = 30.0
SLEEP_SECONDS_MAX = 3600.0


class Ticker:
    """Runs `step()` in a thread of its own; `step` returns the seconds until it is due again, None for "when woken"."""

    def __init__(self, name: str, step: Callable[[], float | None], log: Log) -> None:
        self.name = name
        self._step = step
        self._log = log
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"ticker-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """The step runs as soon as it can; wakes during a step are not lost."""
        self._wake.set()

    def stop(self, seconds: float = 5.0) -> None:
        """The loop has ended, or `seconds` have passed (a step that waits for a peer is left to its own time-out)."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                seconds = self._step()
            except Exception as fault:              # the supervisor of background loops: one bad step must not end them
                self._log.fault("ticker.fault", fault, ticker=self.name)
                seconds = AFTER_FAULT_SECONDS
            if not self._stopping:
                self._wake.wait(SLEEP_SECONDS_MAX if seconds is None else max(0.0, min(seconds, SLEEP_SECONDS_MAX)))


class Tickers:
    """All background loops of a node: started together once the node answers, stopped before the store closes."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tickers: list[Ticker] = []
        self._running = self._over = False
        self._lock = threading.Lock()

    def add(self, name: str, step: Callable[[], float | None]) -> Ticker:
        """A new loop; it starts now when the node already runs."""
        ticker = Ticker(name, step, self._log)
        with self._lock:
            self._tickers.append(ticker)
            running = self._running
        if running:
            ticker.start()
        return ticker

    def running(self) -> list[Ticker]:
        """All loops there are."""
        with self._lock:
            return list(self._tickers)

    def start(self) -> None:
        """Every loop runs; none when the node has been stopped meanwhile."""
        with self._lock:
            if self._over:
                return
            self._running, waiting = True, list(self._tickers)
        for ticker in waiting:
            ticker.start()

    def stop(self) -> None:
        with self._lock:
            self._running, self._over, running = False, True, list(self._tickers)
        for ticker in running:
            ticker._stopping = True
            ticker.wake()
        for ticker in running:
            ticker.stop()
