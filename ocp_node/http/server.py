"""The listening server: a `ThreadingHTTPServer` whose accept and dispatch are one loop.

The loop owns every connection that is idle, being read, or listening to a stream; the stock thread-per-request path
(`process_request`) stays in use for the long lane, whose requests wait or move many bytes.
"""

from __future__ import annotations

import errno
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

_SSL = sys.modules.get("ssl", False)
if _SSL is False:
    sys.modules["ssl"] = None        # type: ignore[assignment]   # http.client would load OpenSSL: 6 MB that a node without TLS never uses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: E402

if _SSL is False:
    del sys.modules["ssl"]

from ..base import limits  # noqa: E402
from ..base.clock import Clock  # noqa: E402
from ..base.log import Log  # noqa: E402
from .app import App, Exchange  # noqa: E402
from .connection import Connection  # noqa: E402
from .gates import is_loopback  # noqa: E402
from .loop import READ, EdgeLoop  # noqa: E402
from .stream import Signals  # noqa: E402

_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TlsWrap = Callable[[socket.socket], Any]


class NodeServer(ThreadingHTTPServer):
    """Listens on `address`; `serve_forever` runs the loop in the calling thread until `shutdown`."""

    request_queue_size = limits.BACKLOG
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], app: App, loop: EdgeLoop, signals: Signals, clock: Clock, log: Log, *,
                 tls: TlsWrap | None = None,
                 streams_max: int = 10_000) -> None:
        self.app = app
        self.answers = app.documents.answers      # beside what else every request looks at
        self.writer = app.writer
        self.loop = loop
        self.signals = signals
        self.clock = clock
        self.log = log
        self.tls = tls
        self.streams_max = streams_max
        self.streams = 0
        self.longs = 0
        self._longs_of: dict[str, int] = {}
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.draining = False
        self._by_address: dict[str, int] = {}
        self._connections_max = _connections_max()
        self._ended = threading.Event()
        self._ended.set()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, BaseHTTPRequestHandler)     # the handler class is never called: `finish_request` runs ours
        self.socket.setblocking(False)
        loop.register(self.socket.fileno(), READ, self)

    def server_bind(self) -> None:
        """Bind without looking our own name up: that look-up can hang for seconds."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if self.server_address[0] == "::" else 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    # --- accepting

    def ready(self, mask: int) -> None:
        """The listening socket has callers: take a batch, so that those already served are not kept waiting."""
        for _ in range(limits.ACCEPTS_PER_WAKE):
            try:
                sock, peer = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as fault:
                if fault.errno in _USED_UP:
                    self._pause(fault.errno)
                    return
                continue                                      # a caller that is already gone
            self._welcome(sock, str(peer[0]))

    def _pause(self, number: int) -> None:
        """Nobody is accepted for a moment: the socket stays ready as long as someone waits, and would keep the loop busy."""
        self.log.warning("accept.paused", reason=errno.errorcode.get(number, str(number)), connections=len(self.connections),
                         seconds=limits.ACCEPT_PAUSE_SECONDS)
        self.loop.unregister(self.socket.fileno())
        self.loop.call_later(limits.ACCEPT_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if not self.draining and self.socket.fileno() >= 0:
            self.loop.register(self.socket.fileno(), READ, self)

    def _welcome(self, sock: socket.socket, address: str) -> None:
        if address.startswith("::ffff:"):
            address = address[7:]
        if len(self.connections) >= self._connections_max or not self._one_more(address):
            _turn_away(sock)
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted += 1
        wrapped = sock
        if self.tls is not None:
            try:
                wrapped = self.tls(sock)
            except OSError:
                sock.close()
                self._one_less(address)
                return
        connection = Connection(self, wrapped, address)
        self.connections.add(connection)
        self.loop.register(wrapped.fileno(), READ, connection)

    def _one_more(self, address: str) -> bool:
        if is_loopback(address):
            return True
        count = self._by_address.get(address, 0)
        if count >= limits.CONNECTIONS_PER_ADDRESS:
            return False
        self._by_address[address] = count + 1
        return True

    def _one_less(self, address: str) -> None:
        count = self._by_address.get(address, 0)
        if count <= 1:
            self._by_address.pop(address, None)
        else:
            self._by_address[address] = count - 1

    def gone(self, connection: Connection) -> None:
        """A connection has been closed."""
        if connection in self.connections:
            self.connections.discard(connection)
            self._one_less(connection.address)
        if self.draining and not self.connections:
            self.loop.stop()

    # --- the long lane: the stock thread-per-request path

    def start_long(self, exchange: Exchange, connection: Connection) -> bool:
        """The exchange goes on in a thread of its own; False when the budget, or this address's part of it, is used up."""
        address = connection.address
        taken = self._longs_of.get(address, 0)
        if self.longs >= limits.LONG_THREADS_MAX or (taken >= limits.LONG_THREADS_PER_ADDRESS and not is_loopback(address)):
            return False
        self.longs += 1
        self._longs_of[address] = taken + 1
        self.process_request((exchange, connection), connection.address)   # type: ignore[arg-type]
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        exchange, connection = request
        threading.current_thread().name = f"lane-long-{self.longs}"
        connection.run_long(exchange)

    def shutdown_request(self, request: Any) -> None:
        _, connection = request

        def back() -> None:
            self.longs -= 1
            left = self._longs_of.pop(connection.address, 1) - 1
            if left:
                self._longs_of[connection.address] = left
            connection.return_to_loop()

        self.loop.call_soon(back)

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exc_info()[1]
        if fault is not None and not isinstance(fault, OSError):
            self.log.fault("long.fault", fault)

    # --- running

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown` (from another thread) or `drain` has ended."""
        self._ended.clear()
        try:
            self.loop.run()
        finally:
            self._ended.set()

    def drain(self, seconds: float = 5.0) -> None:
        """Refuse new callers, let requests on their way finish, end streams; the loop ends when all are gone or after `seconds`."""
        def begin() -> None:
            if self.draining:
                return
            self.draining = True
            self.loop.unregister(self.socket.fileno())
            self.socket.close()
            for connection in list(self.connections):
                connection.wind_down()
            if not self.connections:
                self.loop.stop()
            self.loop.call_later(seconds, end)

        def end() -> None:
            for connection in list(self.connections):
                connection.give_up()
            self.loop.stop()
        self.loop.call_soon(begin)

    def shutdown(self) -> None:
        """The loop has ended; from another thread."""
        self.loop.stop()
        self._ended.wait(10.0)

    def server_close(self) -> None:
        """Every socket is closed; after the loop has ended."""
        self.draining = False
        for connection in list(self.connections):
            connection.abandon()
        self.loop.unregister(self.socket.fileno())
        super().server_close()


def _connections_max() -> int:
    """As many as we want, or as the process may open (128 descriptors stay for files, children and peers)."""
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS_MAX + 512
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard))
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        except (ValueError, OSError):
            pass
    return max(32, min(limits.CONNECTIONS_MAX, soft - 128))


_FULL = (b"HTTP/1.1 503 Service Unavailable\r\nServer: ocp\r\nContent-Type: application/json\r\nRetry-After: 2\r\nContent-Length: 52\r\n"
         b"Connection: close\r\n\r\n" + b'{"error":"too many connections","code":"busy"}      ')


def _turn_away(sock: socket.socket) -> None:
    try:
        sock.setblocking(False)
        sock.send(_FULL)
    except OSError:
        pass
    sock.close()


