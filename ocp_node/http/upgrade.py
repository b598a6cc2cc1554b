"""A WebSocket on its connection: frames in, events out; pings, silence and the closing handshake (RFC 6455).

A route answers `WebSocket(start)`; `start(socket)` gets a `Socket` and gives a receiver with
`text(str)`, `binary(bytes)` and `closed()`.  All of it runs on the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..base import limits
from ..base.errors import Refusal
from ..base.ids import Ids
from ..contract.route import WebSocket
from . import websocket
from .wire import Head


class Receiver(Protocol):
    """What hears a WebSocket's messages."""

    def text(self, text: str) -> None: ...

    def binary(self, data: bytes) -> None: ...

    def closed(self) -> None: ...


_STATUS_CODES = {400: "invalid_request", 405: "method_not_allowed", 426: "upgrade_required"}


def handshake(head: Head, wanted: WebSocket) -> tuple[bytes, Refusal | None]:
    """The 101 answer, or why there is none."""
    answer = websocket.handshake(head.method, head.headers, wanted.protocol)
    if isinstance(answer, websocket.Unaccepted):
        return b"", Refusal(_STATUS_CODES.get(answer.status, "invalid_request"), answer.reason, headers=answer.headers)
    return answer, None


class Socket:
    """One upgraded connection.  `text` and `binary` send; a peer that is silent too long is closed."""

    def __init__(self, connection: Any, wanted: WebSocket) -> None:
        self._connection = connection
        self._wanted = wanted
        self._protocol = websocket.Connection(websocket.Role.SERVER, wanted.message_bytes_max, Ids())
        self._receiver: Receiver | None = None
        self._heard = connection.server.loop.now
        self._timer: Any = None
        self.address = connection.address

    def start(self) -> Callable[[], None]:
        """The receiver hears this socket from now on; gives what to call when the connection is gone."""
        self._timer = self._connection.call_later(limits.WEBSOCKET_PING_SECONDS, self._tick)
        self._receiver = self._wanted.start(self)
        return self._gone

    @property
    def closed(self) -> bool:
        return bool(self._connection.closed)

    def text(self, text: str) -> None:
        self._connection.send(self._protocol.text(text))

    def binary(self, data: bytes) -> None:
        self._connection.send(self._protocol.binary(data))

    def send(self, frame: bytes) -> None:
        """A frame that was encoded once for many listeners (`websocket.frame`); none follows a Close."""
        if self._protocol.state is websocket.State.OPEN:
            self._connection.send(frame)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Our Close goes out, then the connection ends."""
        self._connection.send(self._protocol.close(code, reason))
        self._connection.close()

    def going_away(self) -> None:
        """The node stops."""
        self._connection.send(self._protocol.close(1001, "the node stops"))

    def received(self, data: bytes) -> None:
        """Bytes of the peer."""
        self._heard = self._connection.server.loop.now
        for event in self._protocol.receive(data):
            owed = self._protocol.answer(event)
            if owed:
                self._connection.send(owed)
            if isinstance(event, (websocket.Close, websocket.ProtocolFault)):
                self._connection.close()
                return
            self._hear(event)

    def _hear(self, event: Any) -> None:
        if self._receiver is None:
            return
        if isinstance(event, websocket.Text):
            self._receiver.text(event.text)
        elif isinstance(event, websocket.Binary):
            self._receiver.binary(event.data)

    def _tick(self) -> None:
        if self.closed:
            return
        if self._connection.server.loop.now - self._heard > limits.WEBSOCKET_SILENCE_SECONDS:
            self._connection.abandon()
            return
        self._connection.send(self._protocol.ping())
        self._timer = self._connection.call_later(limits.WEBSOCKET_PING_SECONDS, self._tick)

    def _gone(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._receiver is not None:
            self._receiver.closed()
