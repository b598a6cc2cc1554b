"""Snapshots: one moment, a connection for each thread that reads, no way to change anything."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ocp_node.base import limits
from ocp_node.store.reader import Reader
from tests.support.store import Trial, note


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM note").fetchone()[0])


def test_a_snapshot_sees_one_moment_however_much_is_written_meanwhile(trial: Trial) -> None:
    trial.writer.run(note("a"))
    with trial.reader.snapshot() as connection:
        assert count(connection) == 1
        trial.writer.run(note("b"))
        assert count(connection) == 1
    with trial.reader.snapshot() as connection:
        assert count(connection) == 2


def test_a_nested_snapshot_shares_the_moment_of_the_outer_one(trial: Trial) -> None:
    trial.writer.run(note("a"))
    with trial.reader.snapshot() as outer:
        assert count(outer) == 1
        trial.writer.run(note("b"))
        with trial.reader.snapshot() as inner:
            assert inner is outer and count(inner) == 1
        assert count(outer) == 1
    with trial.reader.snapshot() as connection:
        assert count(connection) == 2


def test_an_error_inside_a_nested_snapshot_leaves_the_thread_able_to_read(trial: Trial) -> None:
    with pytest.raises(ZeroDivisionError), trial.reader.snapshot(), trial.reader.snapshot():
        raise ZeroDivisionError
    trial.writer.run(note("a"))
    with trial.reader.snapshot() as connection:
        assert connection.in_transaction and count(connection) == 1
    assert not connection.in_transaction


@pytest.mark.parametrize("sql", ["INSERT INTO note(text) VALUES ('x')", "DROP TABLE note", "CREATE TABLE other(a)",
                                 "PRAGMA user_version = 9"])
def test_a_snapshot_cannot_change_anything(trial: Trial, sql: str) -> None:
    with trial.reader.snapshot() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute(sql)


def test_threads_that_read_at_one_time_have_a_connection_each(trial: Trial) -> None:
    seen: list[sqlite3.Connection] = []
    together = threading.Barrier(4, timeout=5)

    def look() -> None:
        with trial.reader.snapshot() as connection:
            seen.append(connection)
            together.wait()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    look()
    for thread in threads:
        thread.join()
    assert len({id(connection) for connection in seen}) == 4


def test_a_thread_that_has_read_leaves_its_connection_to_the_next(trial: Trial) -> None:
    seen: list[sqlite3.Connection] = []

    def look() -> None:
        with trial.reader.snapshot() as connection:
            seen.append(connection)

    for _ in range(3):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert len({id(connection) for connection in seen}) == 1 and len(trial.reader._open) == 1


def test_no_more_connections_stay_open_than_are_kept(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READERS_KEPT", 1)
    together = threading.Barrier(3, timeout=5)

    def look() -> None:
        with trial.reader.snapshot():
            together.wait()

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert len(trial.reader._open) == 1
    with trial.reader.snapshot() as connection:
        assert count(connection) == 0


def test_closing_closes_the_connections_of_all_threads(trial: Trial) -> None:
    seen: list[sqlite3.Connection] = []
    stay, here = threading.Event(), threading.Event()

    def look() -> None:
        with trial.reader.snapshot() as connection:
            seen.append(connection)
        here.set()
        stay.wait(5)

    thread = threading.Thread(target=look)
    thread.start()
    here.wait(5)
    trial.reader.close()
    with pytest.raises(sqlite3.ProgrammingError):
        seen[0].execute("SELECT 1")
    stay.set()
    thread.join()
    with pytest.raises(sqlite3.ProgrammingError), trial.reader.snapshot():
        pass


def test_rows_can_be_read_by_name(trial: Trial) -> None:
    trial.writer.run(note("a"))
    with trial.reader.snapshot() as connection:
        assert connection.execute("SELECT * FROM note").fetchone()["text"] == "a"
    assert trial.writer.run(lambda connection: connection.execute("SELECT * FROM note").fetchone()["text"]) == "a"


@pytest.mark.parametrize("name", ["a b.db", "per%20cent.db", "what?.db", "hash#1.db", "ünï.db"])
def test_any_file_name_can_be_opened(made: Callable[..., Trial], tmp_path: Path, name: str) -> None:
    trial = made()
    trial.path.rename(tmp_path / name)
    reader = Reader(tmp_path / name)
    with reader.snapshot() as connection:
        assert count(connection) == 0
    reader.close()
