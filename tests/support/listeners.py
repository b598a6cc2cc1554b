"""Listeners of event streams and WebSockets, reading from real sockets with a deadline."""

from __future__ import annotations

import json
import socket
from typing import Any

from ocp_node.base.ids import Ids
from ocp_node.http import websocket

from .node import WAIT_SECONDS, TrialNode


class SseListener:
    """One event stream; `head` is the answer's status line and headers."""

    def __init__(self, node: TrialNode, path: str, headers: dict[str, str] | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", node.port), timeout=WAIT_SECONDS)
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file = self._socket.makefile("rb")
        self.head = self._block(b"\r\n")
        self.status = int(self.head.split()[1])

    def _block(self, end: bytes) -> str:
        lines = []
        while (line := self._file.readline()) not in (b"", end):
            lines.append(line)
        if not lines and line == b"":
            raise EOFError("the stream has ended")
        return b"".join(lines).decode()

    def block(self) -> str:
        """The next event or comment as it came."""
        return self._block(b"\n")

    def event(self) -> tuple[str, int, dict[str, Any]]:
        """Name, id and data of the next event; comments are read past."""
        while True:
            members = dict(line.partition(": ")[::2] for line in self.block().splitlines() if not line.startswith(":"))
            if "event" in members:
                return members["event"], int(members["id"]), json.loads(members["data"])

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> SseListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class WebSocketListener:
    """One WebSocket; `status` is 101 when it was accepted."""

    def __init__(self, node: TrialNode, path: str, headers: dict[str, str] | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", node.port), timeout=WAIT_SECONDS)
        key = websocket.client_key(Ids())
        sent = [*websocket.client_headers(key), *(headers or {}).items()]
        self._socket.sendall(("\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost",
                                           *(f"{name}: {value}" for name, value in sent)])
                              + "\r\n\r\n").encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._socket.recv(65536)
            assert piece, "no answer to the upgrade"
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        self.status, self.head = int(head.split()[1]), head.decode()
        self._protocol = websocket.Connection(websocket.Role.CLIENT, 1 << 24, Ids())
        self._events = list(self._protocol.receive(rest)) if self.status == 101 else []

    def message(self) -> Any:
        """The next message: JSON of a text, else the event itself (a Close, a Ping)."""
        while not self._events:
            piece = self._socket.recv(65536)
            if not piece:
                raise EOFError("the connection has ended")
            self._events = list(self._protocol.receive(piece))
        event = self._events.pop(0)
        return json.loads(event.text) if isinstance(event, websocket.Text) else event

    def send(self, text: str) -> None:
        self._socket.sendall(self._protocol.text(text))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> WebSocketListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
