"""Works that run beside each other: all told in order, never more at a time than allowed, never longer than allowed."""

from __future__ import annotations

import threading

import pytest

from ocp_node.http.lanes import gather


def test_results_come_in_the_order_of_the_works() -> None:
    assert gather([lambda number=number: number * 2 for number in range(50)], 4, 10.0) == [number * 2 for number in range(50)]
    assert gather([], 4, 10.0) == []


def test_a_work_that_fails_gives_its_exception_and_the_others_their_results() -> None:
    def fails() -> None:
        raise ValueError("no")

    first, second, third = gather([lambda: 1, fails, lambda: 3], 2, 10.0)
    assert (first, third) == (1, 3) and isinstance(second, ValueError)


@pytest.mark.parametrize("parallel", [1, 3, 8])
def test_no_more_run_at_one_time_than_allowed(parallel: int) -> None:
    lock, running, most = threading.Lock(), [0], [0]
    met = threading.Barrier(parallel)

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        met.wait(10)
        with lock:
            running[0] -= 1

    assert gather([work] * parallel * 4, parallel, 20.0) == [None] * parallel * 4
    assert most[0] == parallel


def test_what_is_not_done_in_time_is_a_timeout_and_what_waits_is_not_begun() -> None:
    release, begun = threading.Event(), []

    def stalls() -> str:
        begun.append(1)
        release.wait(10)
        return "late"

    outcomes = gather([lambda: "quick", stalls, stalls], 1, 0.3)
    assert outcomes[0] == "quick" and all(isinstance(outcome, TimeoutError) for outcome in outcomes[1:]) and len(begun) == 1
    release.set()
    assert len(begun) == 1
