"""Nodes as a stranger runs them: `python3 ocp.py --data-dir …` in a process of its own, found by its ready line."""

from __future__ import annotations

import http.client
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ocp_node.base.clock import Clock

from .node import WAIT_SECONDS, Answer, ask

ROOT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    """The variables a node gets: ours, without settings of a node."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("OCP_")}, **more}


class Refused(NamedTuple):
    """A node that did not start: its exit code and what it said."""
    code: int
    out: str
    err: str


class ProcessNode:
    """A running node.  It is killed at the end of the `with` block unless the test has ended it before.

    With a `token` it has that operator token, and `get` and `post` present it.
    """

    def __init__(self, folder: Path, *flags: str, token: str = "", port: int = 0, **variables: str) -> None:
        self.folder = folder
        self.clock = Clock()
        self.token = token
        if token:
            variables["OCP_OPERATOR_TOKEN"] = token
        self._flags, self._port, self._variables = flags, port, variables
        self._errors = folder.with_name(folder.name + ".stderr")
        self.start()

    def start(self, *flags: str) -> ProcessNode:
        """It runs (again), and is ready."""
        with open(self._errors, "wb") as errors:
            self.process = subprocess.Popen(command(self.folder, "--port", str(self._port), *self._flags, *flags),
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                            env=environment(**self._variables))
        try:
            self.ready = self._first_line()
            words = self.ready.split()
            assert words[0] == "ocp:" and words[2] == "node" and words[4] == "state", self.ready
            self.url, self.node_id = words[1], words[3]
            self._port = self.port                       # started again, it is found where it was
        except BaseException:
            self.kill()
            raise
        return self

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(WAIT_SECONDS), f"no ready line within {WAIT_SECONDS} seconds"
        line = self.process.stdout.readline().decode()
        assert line, f"the node did not start: {self.errors}"
        return line.strip()

    # --- requests

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def errors(self) -> str:
        """What it has said on standard error since it was started last."""
        return self._errors.read_text()

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        return ask(self.url, method, path, body, headers, **more)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=self._presented(headers))

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, body if body is not None else {}, self._presented(headers))

    def _presented(self, headers: Mapping[str, str] | None) -> Mapping[str, str]:
        return {"X-OCP-Operator-Token": self.token} if self.token and headers is None else headers or {}

    def until(self, question: Callable[[], Any], what: str = "the event") -> Any:
        return until(question, what)

    # --- its end

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code = self.process.wait(WAIT_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def stop(self) -> None:
        """It was told to end, did so in order, and had nothing to complain about."""
        self.signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0 and "Traceback" not in self.errors, (code, self.errors)

    def kill(self) -> None:
        """It has ended this moment, whatever it was doing; harmless when it has ended before."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def __enter__(self) -> ProcessNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Asking(threading.Thread):
    """One request in a thread; `answer` once there is one."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answer: Any = None
        self.fault: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except (OSError, http.client.HTTPException) as fault:
            self.fault = fault


def command(folder: Path, *flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "ocp.py"), "--data-dir", str(folder), *flags]


def refused(folder: Path, *flags: str, through: tuple[str, ...] = (), **variables: str) -> Refused:
    """A start that must fail, to its end; `through` is a command that runs it."""
    done = subprocess.run([*through, *command(folder, *flags)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=WAIT_SECONDS, check=False, env=environment(**variables))
    return Refused(done.returncode, done.stdout, done.stderr)


def until(question: Callable[[], Any], what: str = "the event", seconds: float = WAIT_SECONDS) -> Any:
    """The first true answer of `question()`, which asks another process; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = question()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} seconds")
