"""An engine with a loop of its own for tests that run real programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ocp_node.base.clock import Clock
from ocp_node.base.log import Log
from ocp_node.processes.child import Child
from ocp_node.processes.engine import Engine
from ocp_node.processes.records import ChildRecord, Exit, Start

from .loop import TestLoop

PYTHON = sys.executable


class Said(Log):
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Clock())
        self.lines: list[tuple[str, dict[str, object]]] = []

    def _line(self, level: str, event: str, members: dict[str, object]) -> None:
        self.lines.append((event, members))


class Run:
    """One start and what came of it."""

    def __init__(self) -> None:
        self.child: Any = None
        self.exits: list[Exit] = []
        self.heard: list[tuple[str, bytes]] = []

    @property
    def text(self) -> bytes:
        """All that was heard, in order."""
        return b"".join(data for _, data in self.heard)


class Workshop:
    """An engine, its loop and its log; everything it started is gone after `close`."""

    def __init__(self, **named: Any) -> None:
        self.loop = TestLoop()
        self.log = Said()
        named.setdefault("cgroup_root", "")
        clock, environment = named.pop("clock", None) or Clock(), {"PATH": os.environ["PATH"], "SECRET": "token"}
        self.engine = Engine(self.loop, clock, self.log, environment=environment, **named)

    def start(self, command: list[str], listen: bool = False, **named: Any) -> Run:
        """The command runs."""
        run = Run()
        heard = (lambda stream, data: run.heard.append((stream, data))) if listen else None
        run.child = self.engine.start(Start(command=command, **named), run.exits.append, heard)
        return run

    def adopt(self, record: ChildRecord) -> Run | None:
        run = Run()
        run.child = self.engine.adopt(record, run.exits.append, lambda stream, data: run.heard.append((stream, data)))
        return run if run.child is not None else None

    def ended(self, run: Run, seconds: float = 20.0) -> Exit:
        """How the run ended, once it has."""
        assert self.loop.run_until(lambda: run.exits, seconds), "the run has not ended"
        assert len(run.exits) == 1
        return run.exits[0]

    def run(self, command: list[str], **named: Any) -> Exit:
        return self.ended(self.start(command, **named))

    def until(self, predicate: Callable[[], object], seconds: float = 20.0) -> None:
        assert self.loop.run_until(predicate, seconds), "it has not come to this"

    def close(self) -> None:
        for child in self.engine.children():
            child.kill()
        self.loop.run_until(lambda: not self.engine.children(), 10.0)
        self.engine.close()
        self.loop.close()


def state(pid: int) -> str:
    """The letter of a process's state, "" when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """The process runs; one that waits to be reaped does not."""
    return state(pid) not in ("", "Z", "X")


def descriptors() -> set[str]:
    """What this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue
    return found


def pids_in(child: Child) -> list[int]:
    return [one.pid for one in child.processes()]
