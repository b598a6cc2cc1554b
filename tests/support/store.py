"""A store in a temporary folder, and a loop that runs when the test says so."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ocp_node.base.clock import SetClock
from ocp_node.base.ids import Ids
from ocp_node.base.log import Log, silent
from ocp_node.store import migrate
from ocp_node.store.connection import for_writing
from ocp_node.store.reader import Reader
from ocp_node.store.writer import WriteConnection, Writer


class Heard(Log):
    """A log that remembers the names of what it was told."""

    def __init__(self) -> None:
        super().__init__(SetClock(), "debug")
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def _line(self, level: str, event: str, members: dict[str, object]) -> None:
        self.lines.append((level, event, members))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


class HandLoop:
    """Keeps what it is given, until the test turns it."""

    def __init__(self) -> None:
        self._acts: list[Callable[[], None]] = []
        self._some = threading.Condition()

    def call_soon(self, act: Callable[[], None]) -> None:
        with self._some:
            self._acts.append(act)
            self._some.notify_all()

    def turn(self, seconds: float = 5.0) -> None:
        """Everything that was given has run; waits for the first when there is none yet."""
        with self._some:
            assert self._some.wait_for(lambda: self._acts, seconds), "nothing was handed to the loop"
            acts, self._acts = self._acts, []
        for act in acts:
            act()


class Answers:
    """A `settle` for each question, and what became of it."""

    def __init__(self) -> None:
        self.told: dict[object, tuple[Any, BaseException | None]] = {}
        self._more = threading.Condition()

    def of(self, name: object) -> Callable[[Any, BaseException | None], None]:
        def settle(result: Any, fault: BaseException | None) -> None:
            with self._more:
                assert name not in self.told, f"{name} was answered twice"
                self.told[name] = (result, fault)
                self._more.notify_all()

        return settle

    def wait(self, count: int, seconds: float = 20.0) -> dict[object, tuple[Any, BaseException | None]]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.told) >= count, seconds), f"{len(self.told)} of {count} answers came"
            return dict(self.told)


class Trial:
    """A database with one table `note`, its writer and reader; what follows a commit runs at once unless a loop is given."""

    def __init__(self, folder: Path, log: Log | None = None,
                 settle_on: Callable[[Callable[[], None]], None] = lambda act: act(), **named: Any) -> None:
        self.path = folder / "ocp.db"
        self.clock = SetClock()
        self.log = log or silent()
        migrate.prepare(self.path, folder / "backups", self.clock, Ids(), self.log)
        plain = for_writing(self.path)
        plain.execute("CREATE TABLE IF NOT EXISTS note(number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
        plain.close()
        self.writer = Writer(self.path, self.clock, Ids(), self.log, settle_on, **named)
        self.reader = Reader(self.path)

    def start(self) -> Trial:
        self.writer.start()
        return self

    def notes(self) -> list[str]:
        with self.reader.snapshot() as connection:
            return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY number")]

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


def note(text: str) -> Callable[[WriteConnection], int]:
    """A change that adds one row."""
    def change(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO note(text) VALUES (?)", (text,)).lastrowid or 0

    return change


def rows(folder: Path) -> dict[str, int]:
    """How much the node on `folder` has stored, by table; also while it runs."""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/ocp.db?mode=ro", uri=True)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables}
