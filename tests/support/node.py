"""Whole nodes for tests: on port 0, in a temporary folder, with a clock that the test moves."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ocp_node.base import settings as settings_table
from ocp_node.base.clock import Clock, SetClock
from ocp_node.base.ids import Ids
from ocp_node.base.log import Log, silent
from ocp_node.node.node import Node

WAIT_SECONDS = 20.0         # a test that waits longer than this for an event has failed


class Answer:
    """What came back: `status`, lower-case `headers`, `body` bytes, `json` when it is JSON."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.body[:600]!r})"


def ask(url: str, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *,
        raw: bytes | None = None, timeout: float = WAIT_SECONDS) -> Answer:
    """One request on a connection of its own.  A `body` is sent as JSON, `raw` as it is."""
    data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
    sent = dict(headers or {})
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    connection = _connection(url, timeout)
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    """To a node of the test, whatever its certificate."""
    scheme, _, place = url.partition("://")
    if scheme == "http":
        return http.client.HTTPConnection(place, timeout=timeout)
    import ssl
    return http.client.HTTPSConnection(place, timeout=timeout, context=ssl._create_unverified_context())


class TrialNode:
    """A node that serves until `stop`.  `clock` stands still unless the test advances it.  Its rooms with duties are built,
    unless the test wants to see that (`duties` False); `before` runs when they are, before the first turn of the loop."""

    def __init__(self, folder: Path, *, clock: Clock | None = None, ids: Ids | None = None, log: Log | None = None,
                 environment: Mapping[str, str] | None = None, duties: bool = True,
                 before: Callable[[Node], object] = lambda node: None, **settings: Any) -> None:
        import server_contract
        self.folder = folder
        self.clock = clock or SetClock()
        named = {"port": 0, "workers": 0, "node_id": "trial-node", "display_name": "Trial", **settings}
        self.settings = settings_table.of(folder, **named)
        self.node = Node(self.settings, server_contract.ROUTES, environment=environment or {"PATH": "/usr/bin:/bin"}, clock=self.clock, ids=ids,
                         log=log or silent())
        self.node.open()
        if duties:
            self.node.rooms.complete()
        before(self.node)
        self.thread = threading.Thread(target=self.node.run, name="edge", daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.node.server.server_port

    @property
    def url(self) -> str:
        return f"{'https' if self.node.server.tls is not None else 'http'}://127.0.0.1:{self.port}"

    @property
    def core(self) -> Any:
        return self.node.core

    @property
    def rooms(self) -> Any:
        return self.node.rooms

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, raw: bytes | None = None,
                timeout: float = WAIT_SECONDS) -> Answer:
        """One request on a connection of its own.  A `body` is sent as JSON, `raw` as it is."""
        return ask(self.url, method, path, body, headers, raw=raw, timeout=timeout)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, body if body is not None else {}, headers)

    def advance(self, seconds: float) -> None:
        """Time has moved on by `seconds`, and whatever became due has been told to look."""
        assert isinstance(self.clock, SetClock)
        self.clock.advance(seconds)
        self.wake()

    def wake(self) -> None:
        """The loop and every ticker look at the clock again."""
        self.node.loop.call_soon(lambda: None)
        for ticker in self.node.tickers.running():
            ticker.wake()

    def on_loop(self, act: Any) -> Any:
        """The result of `act()` on the loop's thread; whatever was handed to the loop before has run then."""
        done, box = threading.Event(), []

        def run() -> None:
            box.append(act())
            done.set()

        self.node.loop.call_soon(run)
        assert done.wait(WAIT_SECONDS), "the loop did not answer"
        return box[0]

    def until(self, question: Any, what: str = "the event") -> Any:
        """The first true answer of `question()`; asks again after each commit or turn of the loop, fails after WAIT_SECONDS."""
        stirred = threading.Event()
        stop = self.core.feed.listen(lambda events: stirred.set())
        deadline = Clock().monotonic() + WAIT_SECONDS
        try:
            while Clock().monotonic() < deadline:
                answer = question()
                if answer:
                    return answer
                stirred.wait(0.02)
                stirred.clear()
        finally:
            stop()
        raise AssertionError(f"{what} did not happen within {WAIT_SECONDS} seconds")

    def stop(self) -> None:
        """The node has ended in order; its folder can be opened again."""
        self.node.stop()
        self.thread.join(WAIT_SECONDS)
        self.node.close()

    def __enter__(self) -> TrialNode:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


FROM_LAN = {"X-Forwarded-For": "192.168.77.10"}       # with trusted_proxies=("127.0.0.1",): the caller is not on loopback
