"""Background loops: woken, bounded, never ended by a fault.  Each wait has a bound, none is for time to pass."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.log import Log, silent
from ocp_node.base.ticker import Ticker, Tickers

PATIENCE = 10.0


class Steps:
    """Counts its calls; `reached(n)` waits until there were so many."""

    def __init__(self, *answers: object) -> None:
        self.calls = 0
        self._answers = answers
        self._changed = threading.Condition()

    def __call__(self) -> float | None:
        with self._changed:
            self.calls += 1
            self._changed.notify_all()
            answer = self._answers[min(self.calls, len(self._answers)) - 1] if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer                                           # type: ignore[return-value]

    def reached(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.calls >= count, PATIENCE)


@pytest.fixture
def tick() -> object:
    made: list[Ticker] = []

    def begin(step: Callable[[], float | None], log: Log | None = None) -> Ticker:
        ticker = Ticker("trial", step, log or silent())
        made.append(ticker)
        ticker.start()
        return ticker

    yield begin
    for ticker in made:
        ticker.stop(PATIENCE)


def test_a_step_runs_at_once_and_again_when_due(tick: Callable[..., Ticker]) -> None:
    steps = Steps(0.0, 0.0, None)
    tick(steps)
    assert steps.reached(3)


def test_a_step_that_waits_is_woken(tick: Callable[..., Ticker]) -> None:
    steps = Steps(None)
    ticker = tick(steps)
    assert steps.reached(1)
    ticker.wake()
    assert steps.reached(2)


def test_a_wake_during_a_step_is_not_lost(tick: Callable[..., Ticker]) -> None:
    begun, go_on = threading.Event(), threading.Event()
    steps = Steps(None)

    def slow() -> float | None:
        begun.set()
        go_on.wait(PATIENCE)
        return steps()

    ticker = tick(slow)
    assert begun.wait(PATIENCE)
    ticker.wake()
    go_on.set()
    assert steps.reached(2)


def test_a_fault_is_logged_and_does_not_end_the_loop(tick: Callable[..., Ticker]) -> None:
    stream = io.StringIO()
    steps = Steps(ValueError("broken"), None)
    ticker = tick(steps, Log(SetClock(), "info", stream))
    assert steps.reached(1)
    ticker.wake()
    assert steps.reached(2)
    found = json.loads(stream.getvalue().splitlines()[0])
    assert (found["event"], found["ticker"]) == ("ticker.fault", "trial")


def test_stop_ends_a_loop_that_sleeps(tick: Callable[..., Ticker]) -> None:
    steps = Steps(None)
    ticker = tick(steps)
    assert steps.reached(1)
    ticker.stop(PATIENCE)
    assert not ticker._thread.is_alive()
    assert steps.calls == 1


def test_a_step_may_stop_its_own_loop() -> None:
    ticker = Ticker("trial", lambda: ticker.stop(), silent())
    ticker.start()
    ticker._thread.join(PATIENCE)
    assert not ticker._thread.is_alive()


def test_stopping_what_never_started_is_harmless() -> None:
    Ticker("trial", lambda: None, silent()).stop()


def test_tickers_start_together_and_late_ones_at_once() -> None:
    tickers = Tickers(silent())
    early, late = Steps(None), Steps(None)
    tickers.add("early", early)
    assert early.calls == 0
    tickers.start()
    try:
        assert early.reached(1)
        tickers.add("late", late)
        assert late.reached(1)
        assert [ticker.name for ticker in tickers.running()] == ["early", "late"]
    finally:
        tickers.stop()
    assert not any(ticker._thread.is_alive() for ticker in tickers.running())


def test_what_is_started_after_the_end_does_not_run() -> None:
    tickers = Tickers(silent())
    steps = Steps(None)
    tickers.add("steps", steps)
    tickers.stop()
    tickers.start()
    tickers.add("late", steps)
    assert steps.calls == 0 and not any(ticker._thread.is_alive() for ticker in tickers.running())
