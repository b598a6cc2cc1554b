"""The one writer: groups, refusals, what follows a commit, full and broken disks, the end."""

from __future__ import annotations

import gc
import os
import resource
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from ocp_node.base import limits
from ocp_node.base.errors import Busy, NotStored, Refusal, Unusable
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.store.connection import for_writing
from ocp_node.store.writer import WriteConnection, Writer
from tests.support.store import Answers, HandLoop, Heard, Trial, note

Made = Callable[..., Trial]
Told = dict[object, tuple[object, BaseException | None]]


def refuse_after(text: str) -> Callable[[WriteConnection], None]:
    def change(connection: WriteConnection) -> None:
        note(text)(connection)
        connection.event("mesh.note.added", payload={"text": text})
        connection.after_commit(lambda: pytest.fail("an act of a refused change ran"))
        connection.stir("notes")
        connection.outbox("mail", {"text": text})
        raise Refusal("not_wanted", "no")

    return change


def submitted_together(trial: Trial, changes: dict[object, Callable[[WriteConnection], object]]) -> Told:
    """All changes wait before the writer starts, so they are one group."""
    answers = Answers()
    for name, change in changes.items():
        trial.writer.submit(change, answers.of(name))
    trial.start()
    return answers.wait(len(changes))


# --- a group of changes

def test_one_refusal_does_not_undo_its_neighbours(made: Made) -> None:
    trial = made()
    told = submitted_together(trial, {"a": note("a"), "b": refuse_after("b"), "c": note("c")})
    assert told["a"] == (1, None)
    assert isinstance(told["b"][1], Refusal) and told["b"][1].code == "not_wanted" and told["b"][0] is None
    assert told["c"] == (2, None)
    assert trial.notes() == ["a", "c"]


def test_a_fault_of_one_change_reaches_its_caller_alone(made: Made) -> None:
    trial = made()

    def broken(connection: WriteConnection) -> None:
        note("lost")(connection)
        raise ZeroDivisionError("a bug")

    told = submitted_together(trial, {"a": note("a"), "b": broken, "c": note("c")})
    assert isinstance(told["b"][1], ZeroDivisionError)
    assert trial.notes() == ["a", "c"]


def test_a_broken_constraint_undoes_its_change_alone(made: Made) -> None:
    trial = made()

    def twice(connection: WriteConnection) -> None:
        connection.execute("INSERT INTO note(number, text) VALUES (50, 'first')")
        connection.execute("INSERT INTO note(number, text) VALUES (50, 'second')")

    told = submitted_together(trial, {"a": note("a"), "b": twice, "c": note("c")})
    assert isinstance(told["b"][1], sqlite3.IntegrityError)
    assert trial.notes() == ["a", "c"]


def test_changes_that_wait_together_are_one_commit(made: Made) -> None:
    trial = made()
    told = submitted_together(trial, {number: note(str(number)) for number in range(100)})
    assert all(fault is None for _, fault in told.values())
    assert trial.writer.commits == 1
    assert trial.notes() == [str(number) for number in range(100)]


def test_a_group_is_bounded(made: Made) -> None:
    trial = made()
    submitted_together(trial, {number: note("x") for number in range(limits.GROUP_CHANGES_MAX + 1)})
    assert trial.writer.commits == 2


def test_a_later_change_of_a_group_sees_what_an_earlier_one_did(made: Made) -> None:
    trial = made()
    count = submitted_together(trial, {"a": note("a"), "b": refuse_after("b"),
                                       "c": lambda found: found.execute("SELECT count(*) FROM note").fetchone()[0]})["c"]
    assert count == (1, None)


def test_two_threads_that_race_for_a_name_get_one_winner(trial: Trial) -> None:
    """Read-then-write inside a change: nothing can come between the two."""
    wins, losses = [], []
    start = threading.Barrier(4)

    def take(name: str, who: int) -> Callable[[WriteConnection], int]:
        def change(connection: WriteConnection) -> int:
            if connection.execute("SELECT 1 FROM note WHERE text = ?", (name,)).fetchone():
                raise Refusal("taken")
            connection.execute("INSERT INTO note(text) VALUES (?)", (name,))
            return who

        return change

    def race(who: int) -> None:
        start.wait()
        for number in range(50):
            try:
                wins.append((number, trial.writer.run(take(f"name-{number}", who))))
            except Refusal:
                losses.append((number, who))

    threads = [threading.Thread(target=race, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in wins) == list(range(50))
    assert len(losses) == 150
    assert sorted(trial.notes()) == sorted(f"name-{number}" for number in range(50))


def test_changes_are_durable_before_anyone_is_answered(trial: Trial) -> None:
    """WAL with synchronous=FULL flushes the log at each COMMIT; another connection sees it at the moment of the answer."""
    seen: list[object] = []
    answers = Answers()
    settle = answers.of("a")

    def look(result: object, fault: BaseException | None) -> None:
        seen.extend(trial.notes())
        settle(result, fault)

    trial.writer.submit(note("a"), look)
    answers.wait(1)
    assert seen == ["a"]
    modes = trial.writer.run(lambda connection: [connection.execute(f"PRAGMA {name}").fetchone()[0]
                                                 for name in ("synchronous", "journal_mode", "foreign_keys", "trusted_schema")])
    assert modes == [2, "wal", 1, 0]


def test_a_change_that_stands_alone_is_committed_at_once(trial: Trial) -> None:
    for number in range(5):
        trial.writer.run(note(str(number)))
        assert trial.writer.commits == number + 1


def test_a_refusal_does_not_hold_on_to_the_request_it_answers(made: Made) -> None:
    """A traceback would: its frames hold the change, and the change holds the request, until the collector runs."""
    trial = made()

    class Request:
        pass

    def about(request: Request) -> Callable[[WriteConnection], None]:
        def change(connection: WriteConnection) -> None:
            assert request is not None
            raise Refusal("no")

        return change

    request = Request()
    gone = weakref.ref(request)
    gc.disable()
    try:
        submitted_together(trial, {"a": about(request)})
        trial.writer.run(note("next group"))
        del request
        assert gone() is None
    finally:
        gc.enable()


def test_a_refused_run_leaves_nothing_for_the_collector(trial: Trial) -> None:
    class Request:
        pass

    def ask(request: Request) -> None:
        def change(connection: WriteConnection) -> None:
            assert request is not None
            raise Refusal("no")

        trial.writer.run(change)

    request = Request()
    gone = weakref.ref(request)
    gc.disable()
    try:
        with pytest.raises(Refusal):
            ask(request)
        del request
        deadline = threading.Event()
        for _ in range(100):                         # the writer's thread may still be on its way out of the change
            if gone() is None:
                break
            deadline.wait(0.05)
        assert gone() is None
    finally:
        gc.enable()


# --- what a change must not do

@pytest.mark.parametrize("misuse", [
    lambda connection: connection.commit(),
    lambda connection: connection.rollback(),
    lambda connection: connection.executescript("SELECT 1"),
])
def test_a_change_cannot_end_its_transaction(made: Made, misuse: Callable[[WriteConnection], None]) -> None:
    trial = made()
    told = submitted_together(trial, {"a": note("a"), "b": misuse, "c": note("c")})
    assert isinstance(told["b"][1], RuntimeError)
    assert trial.notes() == ["a", "c"]


def test_a_change_that_ends_its_transaction_behind_our_back_fails_its_group_and_no_later_one(made: Made) -> None:
    trial = made(log=Heard())
    told = submitted_together(trial, {"a": note("a"), "b": lambda connection: connection.execute("ROLLBACK"), "c": note("c")})
    assert all(isinstance(fault, NotStored) for _, fault in told.values())
    assert trial.writer.run(note("later")) == 1
    assert trial.notes() == ["later"]


def test_a_change_cannot_wait_for_another_one(trial: Trial) -> None:
    with pytest.raises(RuntimeError):
        trial.writer.run(lambda connection: trial.writer.run(note("inner")))


# --- waiting for one's own change

def test_run_gives_the_result_or_raises_what_the_change_raised(trial: Trial) -> None:
    assert trial.writer.run(note("a")) == 1
    with pytest.raises(Refusal):
        trial.writer.run(refuse_after("b"))
    with pytest.raises(sqlite3.OperationalError):
        trial.writer.run(lambda connection: connection.execute("SELECT nothing"))


def test_run_needs_no_loop_before_the_loop_runs(made: Made) -> None:
    loop = HandLoop()
    trial = made(settle_on=loop.call_soon).start()
    acted: list[int] = []

    def change(connection: WriteConnection) -> int:
        connection.after_commit(lambda: acted.append(1))
        return note("a")(connection)

    assert trial.writer.run(change) == 1
    assert not acted and trial.writer.commits == 0
    loop.turn()
    assert acted == [1] and trial.writer.commits == 1


def test_run_returns_after_the_acts_of_its_change_once_the_loop_runs(made: Made) -> None:
    loop = HandLoop()
    trial = made(settle_on=loop.call_soon).start()
    trial.writer.run(note("first"))
    loop.turn()
    memory: list[str] = []

    def change(connection: WriteConnection) -> None:
        connection.after_commit(lambda: memory.append("followed"))

    thread = threading.Thread(target=lambda: (trial.writer.run(change), memory.append("returned")))
    thread.start()
    loop.turn()
    thread.join()
    assert memory == ["followed", "returned"]


def test_run_does_not_wait_for_a_loop_that_has_ended(made: Made) -> None:
    loop = HandLoop()
    trial = made(settle_on=loop.call_soon).start()
    trial.writer.run(note("first"))
    loop.turn()
    trial.writer.loop_ended()

    def change(connection: WriteConnection) -> int:
        connection.after_commit(lambda: None)
        return note("a")(connection)

    thread = threading.Thread(target=lambda: trial.writer.run(change))
    thread.start()
    thread.join(limits.CHANGE_LOOP_SECONDS / 2)
    assert not thread.is_alive()


def on_a_loop(made: Made) -> tuple[HandLoop, Trial]:
    """A store whose loop has followed a commit in this thread."""
    loop = HandLoop()
    trial = made(settle_on=loop.call_soon).start()
    trial.writer.run(note("first"))
    loop.turn()
    return loop, trial


def test_what_the_loop_submits_in_one_turn_is_one_commit(made: Made) -> None:
    loop, trial = on_a_loop(made)
    answers, before = Answers(), trial.writer.commits
    for name in "abc":
        trial.writer.submit(note(name), answers.of(name))
        assert trial.notes() == ["first"]
    assert trial.writer.waiting == 3
    loop.turn()                                     # the end of this turn
    loop.turn()                                     # the writer's answer
    assert answers.wait(3) == {"a": (2, None), "b": (3, None), "c": (4, None)}
    assert trial.writer.commits == before + 1


def test_what_the_loop_submitted_last_is_stored_when_it_ends(made: Made) -> None:
    _, trial = on_a_loop(made)
    trial.writer.submit(note("last"), lambda result, fault: None)
    trial.writer.loop_ended()
    trial.writer.submit(note("later"), lambda result, fault: None)
    trial.writer.close()
    assert trial.notes() == ["first", "last", "later"]


def test_what_the_loop_submitted_as_the_store_was_closed_is_refused(made: Made) -> None:
    loop, trial = on_a_loop(made)
    answers = Answers()
    trial.writer.submit(note("late"), answers.of("late"))
    trial.writer.close()
    with pytest.raises(Busy):
        trial.writer.submit(note("later"), lambda result, fault: None)
    loop.turn()
    assert isinstance(answers.wait(1)["late"][1], Busy) and trial.notes() == ["first"]


def test_a_full_queue_refuses_the_loop_too(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    _, trial = on_a_loop(made)
    monkeypatch.setattr(limits, "QUEUE_CHANGES_MAX", 2)
    for name in "ab":
        trial.writer.submit(note(name), lambda result, fault: None)
    with pytest.raises(Busy):
        trial.writer.submit(note("c"), lambda result, fault: None)


def test_run_gives_up_waiting_in_the_end(trial: Trial) -> None:
    held = threading.Event()
    trial.writer.submit(lambda connection: held.wait(10), lambda result, fault: None)
    with pytest.raises(TimeoutError):
        trial.writer.run(note("late"), timeout=0.05)
    held.set()


# --- what follows a commit

def test_acts_run_before_callers_are_answered_and_events_are_heard_last(made: Made) -> None:
    order: list[str] = []
    trial = made(stir=lambda topic: order.append(f"stir {topic}"))
    trial.writer.feed.listen(lambda heard: order.append("heard " + ",".join(event.event_type for event in heard)))

    def change(name: str) -> Callable[[WriteConnection], str]:
        def made_change(connection: WriteConnection) -> str:
            connection.stir("notes", f"note:{name}")
            connection.event(f"mesh.note.{name}")
            connection.after_commit(lambda: order.append(f"act {name} at {trial.writer.commits}"))
            return name

        return made_change

    answers = Answers()
    for name in ("a", "b"):
        settle = answers.of(name)
        trial.writer.submit(change(name), lambda result, fault, settle=settle: (
            order.append(f"answer {result} at {trial.writer.commits}"), settle(result, fault))[0])
    trial.start()
    answers.wait(2)
    trial.writer.run(lambda connection: None)
    assert order == ["act a at 0", "act b at 0", "answer a at 1", "answer b at 1", "heard mesh.note.a,mesh.note.b",
                     "stir notes", "stir note:a", "stir note:b"]


def test_a_refused_change_leaves_no_event_no_act_no_delivery_and_stirs_nobody(made: Made) -> None:
    stirred: list[str] = []
    heard: list[str] = []
    trial = made(stir=stirred.append)
    trial.writer.feed.listen(lambda events: heard.extend(event.payload["text"] for event in events))

    def added(connection: WriteConnection) -> None:
        connection.event("mesh.note.added", payload={"text": "kept"})

    submitted_together(trial, {"a": refuse_after("a"), "b": added, "c": refuse_after("c")})
    trial.writer.run(lambda connection: None)
    assert heard == ["kept"] and stirred == []
    with trial.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone()[0] == 1
        assert connection.execute("SELECT count(*) FROM outbox").fetchone()[0] == 0


def test_a_group_of_refusals_changes_nothing_and_keeps_cached_documents(made: Made) -> None:
    trial = made()
    submitted_together(trial, {"a": refuse_after("a"), "b": refuse_after("b")})
    assert trial.writer.commits == 0


def test_refusals_alone_write_nothing_to_the_disk(trial: Trial) -> None:
    """Or anyone who is always refused could wear out a memory card."""
    trial.writer.run(note("a"))
    before = log_bytes(trial), os.stat(f"{trial.path}-wal").st_mtime_ns
    for number in range(5):
        with pytest.raises(Refusal):
            trial.writer.run(refuse_after("x" * 10_000 * number))
    assert (log_bytes(trial), os.stat(f"{trial.path}-wal").st_mtime_ns) == before


def test_bump_counts_as_a_change(trial: Trial) -> None:
    trial.writer.bump()
    assert trial.writer.commits == 1


def test_acts_settles_listeners_and_topics_that_fail_do_not_stop_the_others(made: Made) -> None:
    log = Heard()

    def fail(*_: object) -> None:
        raise ZeroDivisionError("an act's bug")

    trial = made(log=log, stir=fail)
    heard: list[object] = []
    trial.writer.feed.listen(fail)
    trial.writer.feed.listen(heard.append)
    acted: list[str] = []

    def change(connection: WriteConnection) -> None:
        connection.after_commit(fail)
        connection.after_commit(lambda: acted.append("second"))
        connection.event("mesh.note.added")
        connection.stir("notes")

    trial.writer.submit(note("a"), fail)
    trial.start()
    trial.writer.run(change)
    assert acted == ["second"] and len(heard) == 1
    assert trial.writer.run(note("goes on")) == 2
    assert log.events().count("store.act_failed") == 3 and log.events().count("feed.fault") == 1


def test_the_answers_of_a_group_are_one_call_to_the_loop(made: Made) -> None:
    loop = HandLoop()
    calls: list[Callable[[], None]] = []

    def settle_on(act: Callable[[], None]) -> None:
        calls.append(act)
        loop.call_soon(act)

    trial = made(settle_on=settle_on)
    answers = Answers()
    for number in range(200):
        trial.writer.submit(note("x"), answers.of(number))
    trial.start()
    loop.turn()
    assert len(answers.told) == 200 and len(calls) == 1


def test_a_loop_that_is_gone_does_not_end_the_writer(made: Made) -> None:
    log = Heard()

    def gone(act: Callable[[], None]) -> None:
        raise RuntimeError("the loop has ended")

    trial = made(log=log, settle_on=gone).start()
    assert trial.writer.run(note("a")) == 1
    assert trial.writer.run(note("b")) == 2
    assert "store.loop_gone" in log.events()


# --- full, broken and busy

def test_a_full_disk_is_told_to_every_caller_and_the_writer_goes_on(made: Made) -> None:
    trial = made(log=Heard())

    def shrink(connection: WriteConnection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()

    trial.writer.submit(shrink, lambda *_: None)
    answers = Answers()
    trial.writer.submit(note("small"), answers.of("small"))
    trial.writer.submit(note("x" * 100_000), answers.of("large"))
    trial.writer.submit(note("after"), answers.of("after"))
    trial.start()
    told = answers.wait(3)
    assert all(isinstance(fault, NotStored) for _, fault in told.values())
    assert told["large"][1].__cause__.sqlite_errorname == "SQLITE_FULL"     # type: ignore[union-attr]
    assert trial.notes() == [] and trial.writer.commits == 0 and "full" in trial.writer.trouble
    trial.writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1073741823").fetchone())
    assert trial.writer.run(note("x" * 100_000)) == 1
    assert trial.writer.trouble == "" and len(trial.notes()) == 1


def test_a_commit_that_the_disk_refuses_is_told_to_every_caller_and_the_writer_goes_on(made: Made) -> None:
    """The kernel refuses to let the log grow, as a full disk does, at COMMIT."""
    trial = made(log=Heard()).start()
    trial.writer.run(note("before"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    held, answers = threading.Event(), Answers()
    trial.writer.submit(lambda connection: held.wait(10), answers.of("holds the writer"))
    for number in range(3):
        trial.writer.submit(note(f"lost {number}"), answers.of(number))
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(f"{trial.path}-wal").st_size + 100, hard))
    try:
        held.set()
        told = answers.wait(4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    lost = [fault for name, (_, fault) in told.items() if name in (0, 1, 2)]
    assert len(lost) == 3 and all(isinstance(fault, NotStored) for fault in lost)
    assert len({id(fault) for fault in lost}) == 3, "each caller has an exception of its own"
    assert trial.writer.run(note("after")) == 2
    assert trial.notes() == ["before", "after"]


class Sick(WriteConnection):
    """A connection whose COMMIT and ROLLBACK fail while the disk is sick."""

    sick = False

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:     # type: ignore[override]
        if Sick.sick and sql in ("COMMIT", "ROLLBACK"):
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *values)        # type: ignore[arg-type]


def test_a_connection_that_cannot_even_undo_is_opened_anew(made: Made) -> None:
    log = Heard()
    trial = made(log=log, opened=lambda path, _: for_writing(path, Sick)).start()
    trial.writer.run(note("before"))
    Sick.sick = True
    try:
        with pytest.raises(NotStored):
            trial.writer.run(note("lost"))
    finally:
        Sick.sick = False
    assert trial.writer.run(note("after")) == 2
    assert trial.notes() == ["before", "after"] and "store.reopened" in log.events()


def test_a_full_queue_is_busy_and_says_when_to_come_back(made: Made) -> None:
    trial = made()
    for _ in range(limits.QUEUE_CHANGES_MAX):
        trial.writer.submit(note("x"), lambda result, fault: None)
    assert trial.writer.waiting == limits.QUEUE_CHANGES_MAX
    with pytest.raises(Busy) as caught:
        trial.writer.submit(note("one too many"), lambda result, fault: None)
    assert dict(caught.value.headers)["Retry-After"]
    trial.start()
    trial.writer.close()
    plain = for_writing(trial.path)
    assert plain.execute("SELECT count(*) FROM note").fetchone()[0] == limits.QUEUE_CHANGES_MAX
    plain.close()


# --- the end

def test_closing_settles_everything_that_waits_and_leaves_one_whole_file(made: Made) -> None:
    trial = made()
    answers = Answers()
    for number in range(1500):
        trial.writer.submit(note(str(number)), answers.of(number))
    trial.start()
    trial.writer.close()
    assert len(answers.told) == 1500 and all(fault is None for _, fault in answers.told.values())
    assert not os.path.exists(f"{trial.path}-wal")
    plain = sqlite3.connect(trial.path)
    assert plain.execute("SELECT count(*) FROM note").fetchone()[0] == 1500
    plain.close()


def test_after_the_end_changes_are_refused_and_closing_again_is_harmless(trial: Trial) -> None:
    trial.writer.close()
    trial.writer.close()
    with pytest.raises(Busy):
        trial.writer.submit(note("late"), lambda result, fault: None)
    with pytest.raises(Busy):
        trial.writer.run(note("late"))


def test_no_submission_is_lost_between_the_last_one_and_the_end(made: Made) -> None:
    """Either refused on the spot or settled: never neither."""
    trial = made().start()
    taken: list[int] = []
    settled: list[int] = []

    def offer(base: int) -> None:
        for number in range(base, base + 2000):
            try:
                trial.writer.submit(note(str(number)), lambda result, fault, number=number: settled.append(number))
            except Busy:
                if trial.writer._closed:
                    return
            else:
                taken.append(number)

    threads = [threading.Thread(target=offer, args=(base,)) for base in (0, 10_000, 20_000)]
    for thread in threads:
        thread.start()
    while not settled:
        pass
    trial.writer.close()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(settled)


def test_a_database_that_is_missing_is_unusable_and_not_made(tmp_path: Path) -> None:
    from ocp_node.base.clock import SetClock
    writer = Writer(tmp_path / "none.db", SetClock(), Ids(), silent(), lambda act: act())
    with pytest.raises(Unusable):
        writer.start()
    assert not (tmp_path / "none.db").exists()


# --- the log of SQLite

LARGE = "x" * 100_000


def log_bytes(trial: Trial) -> int:
    return os.stat(f"{trial.path}-wal").st_size


def test_the_log_stays_small_under_constant_work(trial: Trial) -> None:
    largest, written = 0, 0
    while written < 3 * limits.WAL_BUSY_BYTES:
        trial.writer.run(note(LARGE))
        written += len(LARGE)
        largest = max(largest, log_bytes(trial))
    assert largest < limits.WAL_BUSY_BYTES + 2 * limits.WAL_KEPT_BYTES


def test_a_reader_that_holds_its_snapshot_stops_neither_the_writer_nor_in_the_end_the_log_from_shrinking(trial: Trial) -> None:
    trial.writer.run(note("old"))
    with trial.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM note").fetchone()[0] == 1
        while log_bytes(trial) < limits.WAL_LARGE_BYTES + 2 * limits.WAL_KEPT_BYTES:
            trial.writer.run(note(LARGE))
        assert connection.execute("SELECT count(*) FROM note").fetchone()[0] == 1
    for _ in range(2 * limits.WAL_KEPT_BYTES // len(LARGE)):
        trial.writer.run(note(LARGE))
    assert log_bytes(trial) < limits.WAL_BUSY_BYTES


def test_an_idle_writer_folds_a_grown_log_into_the_database(made: Made) -> None:
    folded = threading.Event()

    class Watched(Writer):
        def _checkpoint(self, mode: str) -> None:
            super()._checkpoint(mode)
            folded.set()

    trial = made()
    writer = Watched(trial.path, trial.clock, Ids(), trial.log, lambda act: act())
    writer.start()
    try:
        while not os.path.exists(f"{trial.path}-wal") or log_bytes(trial) < limits.WAL_IDLE_BYTES:
            writer.run(note(LARGE))
        assert folded.wait(5)
        assert os.stat(trial.path).st_size > limits.WAL_IDLE_BYTES
    finally:
        writer.close()
