"""Deliveries after the commit: once it works, again when it does not, never more often than the bound."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import pytest

from ocp_node.base import limits
from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Busy, NotStored, Refusal
from ocp_node.base.ids import Ids
from ocp_node.store import events, migrate, outbox
from ocp_node.store.outbox import GiveUp, Outbox
from ocp_node.store.writer import WriteConnection
from tests.support.store import Heard, Trial


class Post:
    """A receiver that remembers what came, and fails as told."""

    def __init__(self, *faults: Exception) -> None:
        self.came: list[dict[str, object]] = []
        self.faults = list(faults)

    def send(self, payload: dict[str, object]) -> None:
        self.came.append(payload)
        if self.faults:
            raise self.faults.pop(0)


def opened(trial: Trial, **named: object) -> Outbox:
    return Outbox(trial.writer, trial.reader, trial.clock, trial.log, lambda: 1.0, **named)  # type: ignore[arg-type]


def put(trial: Trial, *words: str, **named: object) -> None:
    def change(connection: WriteConnection) -> None:
        for word in words:
            connection.outbox("mail", {"word": word}, **named)  # type: ignore[arg-type]

    trial.writer.run(change)


def left(trial: Trial) -> int:
    with trial.reader.snapshot() as connection:
        return outbox.waiting(connection)


def test_a_delivery_happens_once_and_is_forgotten(trial: Trial) -> None:
    box, post = opened(trial), Post()
    box.on("mail", post.send)
    put(trial, "a", "b")
    assert box.step() is None
    assert box.step() is None
    assert post.came == [{"word": "a"}, {"word": "b"}] and left(trial) == 0


def test_a_delivery_wakes_the_outbox_only_once_its_change_is_committed(trial: Trial) -> None:
    box, woken = opened(trial), []
    box.wake = lambda: woken.append(left(trial))

    def refused(connection: WriteConnection) -> None:
        connection.outbox("mail", {"word": "never"})
        raise Refusal("no")

    with pytest.raises(Refusal):
        trial.writer.run(refused)
    assert woken == []
    put(trial, "a")
    assert woken == [1]


def test_a_delivery_waits_for_its_time(trial: Trial) -> None:
    box, post = opened(trial), Post()
    box.on("mail", post.send)
    put(trial, "a", due_at=trial.clock.time() + 90)
    assert box.step() == 90 and not post.came
    trial.clock.advance(90)
    assert box.step() is None and len(post.came) == 1


def test_a_kind_without_a_sender_waits_until_it_has_one(trial: Trial) -> None:
    box, post, woken = opened(trial), Post(), []
    put(trial, "a")
    assert box.step() is None
    box.wake = lambda: woken.append(1)
    box.on("mail", post.send)
    assert woken == [1] and box.step() is None and len(post.came) == 1


def test_a_failed_delivery_is_tried_again_later_and_later(trial: Trial) -> None:
    box, post = opened(trial), Post(OSError("down"), TimeoutError("slow"), Refusal("busy"))
    box.on("mail", post.send)
    put(trial, "a")
    waits = []
    while (pause := box.step()) is not None:
        waits.append(pause)
        trial.clock.advance(pause)
    assert waits == [2, 4, 8] and len(post.came) == 4 and left(trial) == 0


def test_after_the_last_attempt_it_is_given_up_with_an_event_and_kept_to_be_seen(trial: Trial) -> None:
    box, post = opened(trial, attempts_max=3), Post(*[OSError("down")] * 9)
    box.on("mail", post.send)
    put(trial, "a", key="k")
    while (pause := box.step()) is not None:
        trial.clock.advance(pause)
    assert len(post.came) == 3
    with trial.reader.snapshot() as connection:
        kept = outbox.failed(connection)
        told = events.since(connection, 0, 10, surface="node")
    assert [(row["key"], row["attempts"], row["error"]) for row in kept] == [("k", 3, "OSError: down")]
    assert [(event.event_type, event.subject) for event in told] == [("node.outbox.given_up", "k")]


def test_a_sender_can_say_that_it_is_of_no_use(trial: Trial) -> None:
    box, post = opened(trial), Post(GiveUp("gone for good"))
    box.on("mail", post.send)
    put(trial, "a")
    assert box.step() is None and len(post.came) == 1
    with trial.reader.snapshot() as connection:
        assert outbox.failed(connection)[0]["error"] == "gone for good"


def test_one_that_fails_does_not_hold_up_the_others(trial: Trial) -> None:
    box, post = opened(trial), Post(OSError("down"))
    box.on("mail", post.send)
    put(trial, "a", "b", "c")
    box.step()
    assert [each["word"] for each in post.came] == ["a", "b", "c"] and left(trial) == 1


def test_a_newer_delivery_of_the_same_key_replaces_the_waiting_one(trial: Trial) -> None:
    box, post = opened(trial), Post()
    box.on("mail", post.send)
    put(trial, "old", key="k", due_at=trial.clock.time() + 60)
    put(trial, "new", key="k")
    put(trial, "other", key="k2")
    box.step()
    trial.clock.advance(120)
    box.step()
    assert [each["word"] for each in post.came] == ["new", "other"]


def test_a_delivery_that_is_replaced_while_it_is_sent_does_not_take_the_new_one_with_it(trial: Trial) -> None:
    box, came = opened(trial), []

    def send(payload: dict[str, object]) -> None:
        came.append(payload["word"])
        if payload["word"] == "old":
            put(trial, "new", key="k")

    box.on("mail", send)
    put(trial, "old", key="k")
    box.step()
    assert box.step() is None and came == ["old", "new"]


def test_deliveries_survive_a_restart(made: Callable[..., Trial]) -> None:
    trial = made().start()
    put(trial, "a")
    trial.close()
    again = made().start()
    box, post = opened(again), Post()
    box.on("mail", post.send)
    box.step()
    assert post.came == [{"word": "a"}]


def test_nothing_is_sent_twice_while_its_outcome_cannot_be_stored(made: Callable[..., Trial]) -> None:
    trial = made(log=Heard()).start()
    box, post = opened(trial), Post()
    box.on("mail", post.send)
    put(trial, "a")
    real = trial.writer.run

    def full(change: object, timeout: float = 30.0) -> None:
        raise NotStored("the disk is full")

    trial.writer.run = full  # type: ignore[method-assign, assignment]
    for _ in range(3):
        with pytest.raises(NotStored):
            box.step()
    assert len(post.came) == 1
    trial.writer.run = real  # type: ignore[method-assign]
    assert box.step() is None and len(post.came) == 1 and left(trial) == 0


def test_deliveries_run_beside_each_other_when_a_pool_is_given(trial: Trial) -> None:
    """One receiver that does not answer holds up nobody else, and no more are under way than the bound."""
    threads: list[threading.Thread] = []

    def spread(act: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=act))
        threads[-1].start()

    box, came, woken = opened(trial, spread=spread), [], threading.Semaphore(0)
    silent = threading.Event()

    def send(payload: dict[str, object]) -> None:
        if payload["word"] == "silent":
            silent.wait(10)
        came.append(payload["word"])

    box.on("mail", send)
    put(trial, "silent", *(f"w{number}" for number in range(20)))
    box.wake = woken.release
    box.step()
    assert len(threads) == limits.OUTBOX_SENDING_MAX
    while left(trial) > 1:
        assert woken.acquire(timeout=10)
        box.step()
    assert "silent" not in came and len(came) == 20
    silent.set()
    for thread in threads:
        thread.join()
    assert box.step() is None and left(trial) == 0
    assert sorted(came) == sorted(["silent", *(f"w{number}" for number in range(20))])


def test_a_full_pool_leaves_the_delivery_for_later(trial: Trial) -> None:
    def spread(act: Callable[[], None]) -> None:
        raise Busy("the workers")

    box = opened(trial, spread=spread)
    box.on("mail", lambda payload: pytest.fail("it ran"))
    put(trial, "a")
    assert box.step() == 0 and left(trial) == 1


def test_the_outbox_is_bounded() -> None:
    connection = migrate.memory(SetClock(), Ids())
    connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                       "INSERT INTO outbox(kind, payload, due_at, created_at) SELECT 'mail', '{}', 0, '' FROM n",
                       (limits.OUTBOX_ROWS_MAX,))
    with pytest.raises(Busy):
        connection.outbox("mail", {})
    with pytest.raises(ValueError, match="too large"):
        connection.outbox("mail", {"a": "x" * limits.OUTBOX_BYTES_MAX})


def test_given_up_deliveries_are_bounded() -> None:
    connection = migrate.memory(SetClock(), Ids())
    for _ in range(limits.OUTBOX_FAILED_KEPT + 5):
        connection.outbox("mail", {})
        outbox.give_up(connection, connection.effects.deliveries[-1], "x" * 5000)
    assert connection.execute("SELECT count(*), max(length(error)) FROM outbox").fetchone()[:] == (limits.OUTBOX_FAILED_KEPT, 500)


@pytest.mark.parametrize("failures, chance, expected", [
    (1, 1.0, 2.0), (1, 0.0, 1.0), (2, 1.0, 4.0), (5, 0.5, 24.0), (9, 1.0, 512.0), (10, 1.0, 900.0), (500, 1.0, 900.0),
    (500, 0.0, 450.0),
])
def test_delays_double_up_to_a_bound_and_are_spread(failures: int, chance: float, expected: float) -> None:
    assert outbox.delay_seconds(failures, chance) == expected


def test_delays_never_leave_their_bounds() -> None:
    chance = random.Random(7)
    for _ in range(1000):
        assert 1.0 <= outbox.delay_seconds(chance.randrange(1, 10_000), chance.random()) <= limits.OUTBOX_DELAY_SECONDS_MAX
