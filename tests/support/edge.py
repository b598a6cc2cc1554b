"""A real server on port 0 with a few routes of its own, for tests of the edge alone."""

from __future__ import annotations

import socket
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from ocp_node.base.clock import Clock
from ocp_node.base.ids import Ids
from ocp_node.base.log import Log, silent
from ocp_node.contract.route import Auth, Lane, Route
from ocp_node.http.app import App
from ocp_node.http.dialect import Dialect
from ocp_node.http.gates import Gates
from ocp_node.http.lanes import Workers
from ocp_node.http.loop import EdgeLoop
from ocp_node.http.responses import Responses
from ocp_node.http.router import Router
from ocp_node.http.server import NodeServer
from ocp_node.http.stream import Signals


class MemoryWriter:
    """Carries out changes on the spot, on a value instead of a database; enough for the edge, which never looks inside."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self.commits = 0
        self.state: dict[str, Any] = {}
        self._call_soon = call_soon

    def submit(self, change: Callable[[Any], Any], settle: Callable[[Any, Any], None]) -> None:
        try:
            result, fault = change(self.state), None
            self.commits += 1
        except Exception as caught:
            result, fault = None, caught
        self._call_soon(lambda: settle(result, fault))

    def run(self, change: Callable[[Any], Any], timeout: float = 30.0) -> Any:
        self.commits += 1
        return change(self.state)


class Edge:
    """The server, serving in a thread until `stop`."""

    def __init__(self, handlers: dict[str, Callable[..., Any]], routes: list[dict[str, Any]], *, dialect: Dialect | None = None,
                 log: Log | None = None, token: str = "", streams_max: int = 100, tls: Any = None, records: dict[str, type] | None = None) -> None:
        module = types.ModuleType("ocp_node.trial.room")
        module.__dict__.update(handlers)
        shapes = types.ModuleType("ocp_node.trial.records")
        shapes.__dict__.update(records or {})
        sys.modules.update({"ocp_node.trial": types.ModuleType("ocp_node.trial"), "ocp_node.trial.room": module, "ocp_node.trial.records": shapes})
        made = tuple(Route(**{"summary": "A trial.", "auth": Auth.PUBLIC, "lane": Lane.INLINE, **facts}) for facts in routes)
        clock = Clock()
        self.log = log or silent()
        self.loop = EdgeLoop(clock, self.log)
        self.writer = MemoryWriter(self.loop.call_soon)
        self.signals = Signals()
        self.gates = Gates(clock, operator_token=token)
        responses = Responses(lambda: self.loop.second)
        self.workers = Workers(self.log)
        self.app = App(Router(made), self.gates, [_trial(dialect or Dialect())], {"trial": self}, responses, self.log, Ids(), self.writer,  # type: ignore[arg-type]
                       self.loop.call_soon, self.workers)
        self.server = NodeServer(("127.0.0.1", 0), self.app, self.loop, self.signals, clock, self.log, tls=tls, streams_max=streams_max)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, name="edge", daemon=True)
        self.thread.start()

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        return sock

    def ask(self, raw: bytes, *, end: bool = False) -> bytes:
        """All that comes back for these bytes until the server closes, or a whole answer with a length has come."""
        with self.connect() as sock:
            sock.sendall(raw)
            if end:
                sock.shutdown(socket.SHUT_WR)
            return read_answer(sock)

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()
        self.workers.close()
        self.loop.close()


def _trial(dialect: Dialect) -> Dialect:
    class Trial(type(dialect)):      # type: ignore[misc]
        surface = "trial"
    return Trial()


def read_answer(sock: socket.socket) -> bytes:
    """One whole answer: to its Content-Length, or to the end of the connection."""
    data = b""
    while True:
        head, mark, body = data.partition(b"\r\n\r\n")
        if mark and not head.startswith(b"HTTP/1.1 100"):
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), None)
            if length is not None and len(body) >= length:
                return data
            if b" 204 " in head.split(b"\r\n")[0] or b" 304 " in head.split(b"\r\n")[0]:
                return data
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]
