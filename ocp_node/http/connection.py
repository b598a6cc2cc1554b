"""One connection: its bytes, its state, its deadlines.  Everything but `run_long` happens on the loop.

    HEAD      waiting for, or reading, a request head
    BODY      reading the body of an admitted request
    BUSY      a handler, a worker, the writer or a long poll will answer
    STREAM    an event stream or a WebSocket listens
    LONG      a thread of the long lane owns the socket
    LINGER    answered and done; what the caller still sends is read past, so that it sees the answer
    CLOSED    gone
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..base import limits
from ..contract.route import Events, File, Lane, Reply, Wait, WebSocket
from .app import Exchange, body_bytes
from .lanes import BodyReader
from .loop import READ, WRITE
from .responses import CONTINUE, connection_line
from .wire import BadRequest, ChunkedBody

if TYPE_CHECKING:
    from .server import NodeServer

HEAD, BODY, BUSY, STREAM, LONG, LINGER, CLOSED = range(7)
_NOTHING = b""
# What a stream's head says unless its handler says otherwise.
_OF_A_STREAM = (("cache-control", b"Cache-Control: no-cache\r\n"), ("x-accel-buffering", b"X-Accel-Buffering: no\r\n"),
                ("connection", b"Connection: close\r\n"))


class Connection:
    """A caller's socket.  `buffer` holds what was read and not yet used, `out` what the caller has not taken yet."""

    __slots__ = ("server", "sock", "address", "state", "buffer", "out", "exchange", "deadline", "timer", "mask", "chunks", "body",
                 "closing", "ended", "advancing", "plain", "stopping", "lingered", "handshaking", "listener", "waiting_for",
                 "__weakref__")

    def __init__(self, server: NodeServer, sock: Any, address: str) -> None:
        self.server = server
        self.sock = sock
        self.address = address
        self.state = HEAD
        self.buffer: bytes | bytearray = _NOTHING
        self.out: bytearray | None = None
        self.exchange: Exchange | None = None
        self.chunks: ChunkedBody | None = None
        self.body: list[bytes] | None = None
        self.closing = False              # close once `out` is sent
        self.ended = False                # the peer sends no more
        self.advancing = False
        self.stopping: Callable[[], None] | None = None     # what to call when a stream or a wait is over
        self.listener: Any = None         # the WebSocket behind this connection
        self.waiting_for: _Waiting | None = None            # the long poll that will answer
        self.lingered = 0
        self.handshaking = server.tls is not None
        self.plain = server.tls is None
        self.mask = READ
        self.deadline = server.loop.now + limits.HEAD_SECONDS
        self.timer = server.loop.call_later(limits.HEAD_SECONDS, self._due)

    # --- readiness --------------------------------------------------------------------------------------------------

    def ready(self, mask: int) -> None:
        if mask == READ and self.state == HEAD and not self.buffer and self.plain and self.out is None:
            self._receive_head()                     # nine of ten calls; the rest is below
            return
        if self.handshaking and not self._handshake():
            return
        if mask & WRITE:
            self._flush()
        if mask & READ and self.state != CLOSED:
            self._receive()

    def _receive_head(self) -> None:
        """A whole request in one piece, most often; one that was answered before is answered by two comparisons."""
        try:
            data = self.sock.recv(limits.RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abandon()
            return
        server = self.server
        answer = server.answers.get(data)
        if answer is not None and (answer.version == -1 or answer.version == server.writer.commits):
            loop = server.loop
            if answer.second != loop.second:
                answer.whole, answer.second = answer.bytes(server.app.responses.date()), loop.second
            answer.hits += 1
            self.deadline = loop.now + limits.IDLE_SECONDS
            self._send(answer.whole)
        elif data:
            self.buffer = data
            self._advance()
        else:
            self._peer_ended()

    def _handshake(self) -> bool:
        """Step the TLS handshake; True once it is done.  Its deadline is the head's."""
        import ssl
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._interest(READ)
            return False
        except ssl.SSLWantWriteError:
            self._interest(WRITE)
            return False
        except (OSError, ValueError):
            self.abandon()
            return False
        self.handshaking = False
        self._interest(READ)
        return True

    def _receive(self) -> None:
        while True:
            try:
                data = self.sock.recv(limits.RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as fault:
                if self.server.tls is not None and _wants_more(fault):
                    return
                self.abandon()
                return
            if not data:
                self._peer_ended()
                return
            self._take(data)
            if self.server.tls is None or self.state in (CLOSED, LONG):
                return
            if not self.sock.pending():
                return

    def _take(self, data: bytes) -> None:
        if self.state == HEAD:
            self.buffer = _extended(self.buffer, data) if self.buffer else data
            if self.out is not None:
                self._read_ahead()
            else:
                self._advance()
        elif self.state == BODY:
            self._take_body(data)
        elif self.state == STREAM:
            if self.listener is not None:
                self.listener.received(data)
        elif self.state == LINGER:
            self.lingered += len(data)
            if self.lingered > limits.LINGER_BYTES_MAX:
                self.abandon()
        else:
            self.buffer = bytes(self.buffer) + data
            self._read_ahead()

    def _read_ahead(self) -> None:
        """What came before its time waits, up to a bound; the rest stays with the caller."""
        if len(self.buffer) > limits.PIPELINED_BYTES_MAX:
            self._interest(self.mask & ~READ)

    # --- requests ---------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Serve what the buffer holds, one request after the other; returns when bytes or an answer are missing, or when the
        caller has not taken the answer before: one who sends requests and never reads must not fill our memory with answers."""
        if self.advancing:
            return
        self.advancing = True
        try:
            while self.state == HEAD and self.buffer and not self.closing and self.out is None:
                if not self._next_request():
                    break
        finally:
            self.advancing = False
        if self.state == HEAD and self.ended and not self.closing:
            if not self.buffer:
                self._finish()
            elif self.out is None:
                self._refuse(400, "request ended early")

    def _next_request(self) -> bool:
        buffer = self.buffer
        if buffer[:1] == b"\r":
            buffer = self.buffer = _without_blank_lines(buffer)
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or end > limits.HEAD_BYTES_MAX:
            return self._head_unfinished(len(buffer) if end < 0 else end)
        raw = bytes(buffer[:end])
        self.buffer = bytes(buffer[end + 4:]) if len(buffer) > end + 4 else _NOTHING
        exchange = self.server.app.open(raw, self.address, self.server.tls is not None)
        exchange.connection = self
        exchange.deliver = self._deliver
        self.exchange = exchange
        if exchange.reply is None:
            self._admitted(exchange)
        else:
            self._refuse_early(exchange)
        return self.state == HEAD

    def _head_unfinished(self, length: int) -> bool:
        if length > limits.HEAD_BYTES_MAX:
            self._refuse(431, "request head too large")
        elif bytes(self.buffer[:1]) and not _begins_like_http(self.buffer):
            self._refuse(400, "malformed request line")
        elif self.deadline > self.server.loop.now + limits.HEAD_SECONDS:
            self._expect_by(limits.HEAD_SECONDS)
        return False

    def _refuse_early(self, exchange: Exchange) -> None:
        """The head alone settled it.  A body that is on its way is not read: the connection ends."""
        head = exchange.head
        if head is not None and head.has_body:
            exchange.head = head.last()
        self.state = BUSY
        self.server.app.run(exchange, b"")

    def _refuse(self, status: int, reason: str) -> None:
        exchange = Exchange(None, b"", self.server.app.dialect_of(self.exchange))
        exchange.reply = exchange.dialect.wire(status, reason)
        exchange.deliver = self._deliver
        self.exchange, self.state = exchange, BUSY
        self.server.app.run(exchange, b"")

    def _admitted(self, exchange: Exchange) -> None:
        head, route = exchange.head, exchange.route
        assert head is not None and route is not None
        expect = head.headers.get("expect", "").lower()
        if expect and expect != "100-continue":
            exchange.head = head.last()
            exchange.reply = exchange.dialect.wire(417, "only 100-continue can be expected")
            self._refuse_early(exchange)
            return
        if route.lane is Lane.LONG:
            self._go_long(exchange, expect)
        elif not head.has_body:
            self._run(exchange, b"")
        else:
            if expect:
                self._send(CONTINUE)
            self._start_body(exchange)

    def _start_body(self, exchange: Exchange) -> None:
        head = exchange.head
        assert head is not None
        self.state, waiting = BODY, bytes(self.buffer)
        self.buffer = _NOTHING
        if head.chunked:
            self.chunks, self.body = ChunkedBody(exchange.body_bytes_max), []
        else:
            self.chunks, self.body = None, None
            if len(waiting) < (head.length or 0):
                self.buffer = bytearray(waiting)
                self._expect_by(exchange.dialect.body_seconds or limits.BODY_SECONDS)
                return
        if waiting or head.chunked:
            self._take_body(waiting)
        if self.state == BODY:
            self._expect_by(exchange.dialect.body_seconds or limits.BODY_SECONDS)

    def _take_body(self, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None and exchange.head is not None
        if self.chunks is not None:
            self._take_chunks(exchange, data)
            return
        length = exchange.head.length or 0
        self.buffer = _extended(self.buffer, data) if self.buffer else data
        if len(self.buffer) >= length:
            body = bytes(self.buffer[:length])
            self.buffer = bytes(self.buffer[length:]) if len(self.buffer) > length else _NOTHING
            self._run(exchange, body)

    def _take_chunks(self, exchange: Exchange, data: bytes) -> None:
        assert self.chunks is not None and self.body is not None
        try:
            piece = self.chunks.feed(data)
        except BadRequest as refused:
            self.chunks = self.body = None
            self._refuse(refused.status, refused.reason)
            return
        if piece:
            self.body.append(piece)
        if self.chunks.ended:
            body, self.buffer = b"".join(self.body), self.chunks.rest
            self.chunks = self.body = None
            self._run(exchange, body)

    def _run(self, exchange: Exchange, body: bytes) -> None:
        self.state = BUSY
        self.deadline = _NEVER
        self.server.app.run(exchange, body)
        if self.state == HEAD and not self.advancing:
            self._advance()

    # --- answers ----------------------------------------------------------------------------------------------------

    def _deliver(self, answer: Any) -> None:
        """The app's answer to the present request."""
        if self.state == CLOSED:
            return
        if type(answer) is bytes:
            self._answered(answer)
        elif isinstance(answer, Wait):
            self._wait(answer)
        elif isinstance(answer, Events):
            self._listen(answer)
        elif isinstance(answer, WebSocket):
            self._upgrade(answer)

    def _answered(self, data: bytes) -> None:
        exchange = self.exchange
        keep = exchange is not None and exchange.keeps and not self.server.draining
        unread = exchange is None or exchange.head is None or (exchange.head.has_body and exchange.reply is not None)
        self.exchange = None
        self.state = HEAD
        self._send(data)
        if self.state == CLOSED:
            return
        if not keep:
            self._finish(linger=unread)
            return
        self.deadline = self.server.loop.now + limits.IDLE_SECONDS
        if not self.mask & READ and not self.ended:
            self._interest(self.mask | READ)
        if self.buffer and not self.advancing:
            self._advance()
        elif self.ended and not self.buffer:
            self._finish()

    def _wait(self, wait: Wait) -> None:
        """A long poll: ask now, whenever a topic stirs, and at the deadline."""
        server, exchange = self.server, self.exchange
        assert exchange is not None
        waiting = _Waiting(self, wait, exchange)
        if waiting.ask() or self.state != BUSY:
            return
        if server.streams >= server.streams_max:
            self._deliver(server.app.render(exchange, exchange.dialect.busy("the stream budget")))
            return
        server.streams += 1
        waiting.start()

    def _listen(self, events: Events) -> None:
        server, exchange = self.server, self.exchange
        assert exchange is not None and exchange.head is not None
        if server.streams >= server.streams_max:
            self._deliver(server.app.render(exchange, exchange.dialect.busy("the stream budget")))
            return
        reply = Reply(None, 200, events.headers)
        named = {name.lower() for name, _ in events.headers}
        usual = b"".join(line for name, line in _OF_A_STREAM if name not in named)
        self._send(server.app.responses.head_only(reply, events.media_type, usual))
        server.app.count(exchange, 200)
        if exchange.head.method == "HEAD":
            self._finish()
            return
        self._start_stream(lambda: events.start(self))

    def _start_stream(self, start: Callable[[], Callable[[], None]]) -> None:
        if self.state == CLOSED:
            return
        self.state, self.deadline = STREAM, _NEVER
        self.server.streams += 1
        self.stopping = self._stream_over
        stop = start()
        if self.state == STREAM and stop is not None:
            over = self.stopping

            def stopping() -> None:
                stop()
                over()

            self.stopping = stopping
        elif stop is not None:
            stop()

    def _stream_over(self) -> None:
        self.server.streams -= 1

    def _upgrade(self, wanted: WebSocket) -> None:
        from .upgrade import Socket, handshake
        server, exchange = self.server, self.exchange
        assert exchange is not None and exchange.head is not None
        answer, refusal = handshake(exchange.head, wanted)
        if refusal is not None or server.streams >= server.streams_max:
            reply = exchange.dialect.refusal(refusal, exchange.route,
                                             exchange.head) if refusal else exchange.dialect.busy("the stream budget")
            self._deliver(server.app.render(exchange, reply))
            return
        self._send(answer)
        server.app.count(exchange, 101)
        self.listener = Socket(self, wanted)
        self._start_stream(self.listener.start)
        waiting, self.buffer = bytes(self.buffer), _NOTHING
        if waiting and self.state == STREAM:
            self.listener.received(waiting)

    # --- the sink of a stream ---------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self.state != STREAM

    @property
    def waiting(self) -> int:
        return len(self.out) if self.out is not None else 0

    def send(self, data: bytes) -> None:
        """The bytes of an event; a listener that lets too much wait is dropped."""
        if self.state != STREAM:
            return
        self._send(data)
        if self.out is not None and len(self.out) > limits.SEND_BUFFER_BYTES_MAX:
            self.abandon()

    def close(self) -> None:
        """What was sent goes out, then the connection ends; a WebSocket's Close must not be lost to bytes that nobody reads."""
        if self.state == STREAM:
            self._finish(linger=self.listener is not None)

    def call_later(self, seconds: float, act: Callable[[], None]) -> Any:
        return self.server.loop.call_later(seconds, act)

    # --- sending ----------------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        if self.out is not None:
            self.out += data
            return
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as fault:
            if not (self.server.tls is not None and _wants_more(fault)):
                self.abandon()
                return
            sent = 0
        if sent < len(data):
            self.out = bytearray(memoryview(data)[sent:])
            self._interest(self.mask | WRITE)
            self._expect_by(limits.SEND_SECONDS)

    def _flush(self) -> None:
        if self.out is None:
            return
        try:
            sent = self.sock.send(self.out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            if not (self.server.tls is not None and _wants_more(fault)):
                self.abandon()
            return
        del self.out[:sent]
        if self.out:
            self.deadline = self.server.loop.now + limits.SEND_SECONDS
            return
        self.out = None
        self._interest(self.mask & ~WRITE)
        self.deadline = _NEVER if self.state in (BUSY, STREAM) else self.server.loop.now + limits.IDLE_SECONDS
        if self.closing:
            self._end()
        elif self.state == HEAD and self.buffer:
            if not self.mask & READ and not self.ended:
                self._interest(self.mask | READ)
            self._advance()                      # requests that waited for their answers' turn

    # --- ending -----------------------------------------------------------------------------------------------------

    def _finish(self, linger: bool = False) -> None:
        """No more requests: what is in `out` is sent, then the connection ends."""
        self._stop_stream()
        self.closing = True
        self.lingered = -1 if not linger else 0
        if self.out is None:
            self._end()

    def _end(self) -> None:
        if self.lingered < 0 or self.ended:
            self.abandon()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abandon()
            return
        self.state, self.buffer, self.closing = LINGER, _NOTHING, False
        self._interest(READ)
        self._expect_by(limits.LINGER_SECONDS)

    def _peer_ended(self) -> None:
        """The peer sends no more.  An answer on its way is still sent, and what is cut short is refused: the peer may still read.
        A listener or a waiting poll is gone."""
        self.ended = True
        if self.state == BUSY and self.stopping is None:
            self._interest(self.mask & ~READ)
        elif self.state == BODY:
            self._interest(self.mask & ~READ)
            self.chunks = self.body = None
            self._refuse(400, "request body ended early")
        elif self.state == HEAD and (self.buffer or self.out is not None):
            self._interest(self.mask & ~READ)
            self._advance()
        else:
            self.abandon()

    def wind_down(self) -> None:
        """The node stops: idle connections, streams and long polls end now, an answer on its way is still sent."""
        exchange = self.exchange
        if exchange is not None and exchange.head is not None:
            exchange.head = exchange.head.last()
        if self.state == HEAD and not self.buffer:
            self._finish()
        elif self.state == STREAM:
            if self.listener is not None:
                self.listener.going_away()
            self._finish()
        elif self.waiting_for is not None and not self.waiting_for.works:
            self.waiting_for.late()

    def give_up(self) -> None:
        """The node cannot wait any longer: who waits for work is told how it stands."""
        if self.waiting_for is not None:
            self.waiting_for.late()

    def abandon(self) -> None:
        """The socket is closed, whatever was going on."""
        if self.state in (CLOSED, LONG):
            return
        self.state = CLOSED
        self.timer.cancel()
        self.server.loop.unregister(self.sock.fileno())
        self._stop_stream()
        self.buffer, self.out, self.exchange, self.listener = _NOTHING, None, None, None
        try:
            self.sock.close()
        except OSError:
            pass
        self.server.gone(self)

    def _stop_stream(self) -> None:
        stopping, self.stopping = self.stopping, None
        if stopping is not None:
            stopping()

    # --- interest and deadlines -------------------------------------------------------------------------------------

    def _interest(self, mask: int) -> None:
        if mask == self.mask or self.state in (CLOSED, LONG):
            return
        if not mask:
            self.server.loop.unregister(self.sock.fileno())
        elif not self.mask:
            self.server.loop.register(self.sock.fileno(), mask, self)
        else:
            self.server.loop.modify(self.sock.fileno(), mask, self)
        self.mask = mask

    def _expect_by(self, seconds: float) -> None:
        """The present step must end within `seconds`; the timer is set anew, as it may be due later than that."""
        self.deadline = self.server.loop.now + seconds
        self.timer.cancel()
        self.timer = self.server.loop.call_later(seconds, self._due)

    def _due(self) -> None:
        """The timer ran out.  Deadlines move with every request; the timer is only set again here."""
        left = self.deadline - self.server.loop.now
        if self.state == CLOSED:
            return
        if left > 0:
            self.timer = self.server.loop.call_later(min(left, limits.IDLE_SECONDS) + 0.001, self._due)
        elif self.state == BODY or (self.state == HEAD and self.buffer and self.out is None):
            self._refuse(408, "request took too long")
        else:
            self.abandon()

    # --- the long lane ----------------------------------------------------------------------------------------------

    def _go_long(self, exchange: Exchange, expect: str) -> None:
        """Hand the socket to a thread; it comes back by `return_to_loop`."""
        head = exchange.head
        assert head is not None
        self.state = BUSY
        self.server.loop.unregister(self.sock.fileno())
        self.mask, self.state = 0, LONG
        if not self.server.start_long(exchange, self):
            self.state = BUSY
            if head.has_body:
                exchange.head = head.last()
            self._interest(READ)
            exchange.reply = exchange.dialect.busy("the long lane")
            self._deliver(self.server.app.render(exchange, exchange.reply))

    def run_long(self, exchange: Exchange) -> None:
        """On a thread: run the handler with the body as a reader, and send its answer."""
        head = exchange.head
        assert head is not None
        first = bytes(self.buffer)
        self.buffer = _NOTHING
        reader = exchange.reader = BodyReader(first, self._receiver(exchange), head.length, head.chunked, exchange.body_bytes_max)
        reply = self.server.app.handle_long(exchange)
        try:
            if not self._pass_body(reader, head):
                exchange.head = head.last()
            self._send_long(exchange, reply)
            self.buffer = reader.rest
        except (OSError, BadRequest):
            exchange.head, self.closing = head.last(), True
        finally:
            _release(reply.body)

    def _receiver(self, exchange: Exchange) -> Callable[[int], bytes]:
        """Reads from the socket; tells the caller to go on before the first read, when it waits for that.

        A body that its handler gets whole is due as in other lanes; a streamed one may take as long as it keeps coming.
        """
        pending = [exchange.head is not None and exchange.head.headers.get("expect", "").lower() == "100-continue"]
        now = self.server.clock.monotonic
        streamed = exchange.route is not None and exchange.route.body_stream
        until = _NEVER if streamed else now() + (exchange.dialect.body_seconds or limits.BODY_SECONDS)

        def receive(count: int) -> bytes:
            left = min(until - now(), limits.LONG_BODY_SECONDS)
            try:
                if left <= 0:
                    raise TimeoutError
                self.sock.settimeout(left)
                if pending[0]:
                    pending[0] = False
                    self.sock.sendall(CONTINUE)
                data: bytes = self.sock.recv(count)
            except TimeoutError:
                raise BadRequest(408, "request took too long") from None
            except OSError:
                raise BadRequest(400, "request body ended early") from None
            return data

        return receive

    def _pass_body(self, reader: BodyReader, head: Any) -> bool:
        """A body the handler did not want is read past when it is short; else (False) the connection ends after the answer."""
        if reader.broken:
            return False
        if reader.ended:
            reader.read(1)
            return True
        if reader.length is None or reader.length > limits.RECEIVE_BYTES or "expect" in head.headers:
            return False
        for _ in reader:
            pass
        return True

    def _send_long(self, exchange: Exchange, reply: Reply) -> None:
        app, head, body = self.server.app, exchange.head, reply.body
        assert head is not None
        self.sock.settimeout(limits.SEND_SECONDS)
        media_type = reply.media_type or exchange.dialect.media_type
        if isinstance(body, File):
            extra = b"Content-Length: %d\r\n" % (body.stop - body.start) + connection_line(head)
            self.sock.sendall(app.responses.head_only(reply, media_type, extra))
            if head.method != "HEAD":
                self._send_file(body)
        elif hasattr(body, "__next__"):
            self._send_pieces(exchange, reply, media_type, body)
        else:
            self._send_whole(app.responses.whole(reply, body_bytes(exchange.dialect, reply), exchange.dialect, head))

    def _send_whole(self, data: bytes) -> None:
        """All of it is sent.  A reader may be slow as long as it takes something: `sendall` would count the time of the whole."""
        view = memoryview(data)
        while view:
            view = view[self.sock.send(view[:limits.SEND_BYTES]):]

    def _send_file(self, body: File) -> None:
        """The kernel copies the file; under TLS its bytes pass through us."""
        with open(body.descriptor, "rb", buffering=0, closefd=False) as source:
            sent = self.sock.sendfile(source, body.start, body.stop - body.start) if body.stop > body.start else 0
        if sent != body.stop - body.start:
            raise OSError("the file became shorter while it was sent")

    def _send_pieces(self, exchange: Exchange, reply: Reply, media_type: str, pieces: Iterator[bytes]) -> None:
        head = exchange.head
        assert head is not None
        chunked = bool(head.version_minor)
        if not chunked:
            head = exchange.head = head.last()
        extra = (b"Transfer-Encoding: chunked\r\n" if chunked else b"") + connection_line(head)
        self.sock.sendall(self.server.app.responses.head_only(reply, media_type, extra))
        if head.method == "HEAD":
            return
        for piece in pieces:
            if piece:
                self.sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.sock.sendall(b"0\r\n\r\n")

    def return_to_loop(self) -> None:
        """The thread is done with the socket."""
        exchange, self.exchange = self.exchange, None
        self.state = HEAD
        keep = exchange is not None and exchange.keeps and not self.closing and not self.server.draining
        unread = exchange is not None and exchange.reader is not None and not exchange.reader.ended
        try:
            self.sock.setblocking(False)
            self.server.loop.register(self.sock.fileno(), READ, self)
        except (OSError, ValueError):
            self.mask = 0
            self.abandon()
            return
        self.mask = READ
        if not keep:
            self._finish(linger=unread and not self.closing)
            return
        self.deadline = self.server.loop.now + limits.IDLE_SECONDS
        self._advance()
        if self.server.tls is not None and self.state != CLOSED and self.mask & READ and self.sock.pending():
            self._receive()                      # deciphered with the body already: no readiness will tell of it


class _Waiting:
    """One long poll on its connection."""

    __slots__ = ("_connection", "_wait", "_exchange", "_stop", "_timer")

    def __init__(self, connection: Connection, wait: Wait, exchange: Exchange) -> None:
        self._connection = connection
        self._wait = wait
        self._exchange = exchange
        self._stop: Callable[[], None] = lambda: None
        self._timer: Any = None

    def start(self) -> None:
        connection = self._connection
        connection.stopping = self._over
        connection.waiting_for = self
        self._stop = connection.server.signals.listen(self._wait.topics, self._stirred)
        self._timer = connection.call_later(min(self._wait.seconds, limits.WAIT_SECONDS_MAX), self.late)
        if connection.server.draining:
            connection.wind_down()

    def ask(self) -> bool:
        """True when the wait is over, answered."""
        return self._answer(self._wait.ready)

    def _answer(self, question: Callable[[], Reply | None]) -> bool:
        connection = self._connection
        try:
            reply = question()
        except Exception as fault:              # a refusal, or a bug: answered like any handler's
            data: bytes | None = connection.server.app.answer_refusal(self._exchange, fault)
        else:
            data = connection.server.app.render(self._exchange, reply) if reply is not None else None
        if data is None:
            return False
        if connection.stopping is not None:
            connection._stop_stream()
        connection._deliver(data)
        return True

    def _stirred(self) -> None:
        if self._connection.exchange is self._exchange:
            self._answer(self._wait.ready)

    @property
    def works(self) -> bool:
        """Is something being done for the answer?"""
        return self._wait.work

    def late(self) -> None:
        """Nothing more is waited for; what is known now is the answer."""
        if self._connection.exchange is self._exchange and self._connection.state == BUSY:
            self._answer(self._wait.late)

    def _over(self) -> None:
        self._stop()
        if self._timer is not None:
            self._timer.cancel()
        self._connection.waiting_for = None
        self._connection.server.streams -= 1


_NEVER = float("inf")


def _extended(buffer: bytearray | bytes, data: bytes) -> bytearray:
    made = buffer if isinstance(buffer, bytearray) else bytearray(buffer)
    made += data
    return made


def _without_blank_lines(buffer: bytes | bytearray) -> bytes | bytearray:
    """Blank lines before a request are read past (RFC 9112 section 2.2), a few at a time: more are no request."""
    end = 0
    while buffer[end:end + 2] == b"\r\n" and end < 2 * limits.BLANK_LINES_MAX:
        end += 2
    return buffer[end:]


def _begins_like_http(buffer: bytes | bytearray) -> bool:
    """A first byte that no method has (TLS to a plain port, binary junk) is answered at once instead of at the deadline."""
    return 0x41 <= buffer[0] <= 0x5A or 0x61 <= buffer[0] <= 0x7A or buffer[:1] == b"\r" or chr(buffer[0]) in "!#$%&'*+-.^_`|~0123456789"


def _wants_more(fault: OSError) -> bool:
    """TLS has to read or write first; not a failure."""
    return type(fault).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _release(body: Any) -> None:
    """An answer's file or iterator is closed, sent or not."""
    if isinstance(body, File):
        import os
        os.close(body.descriptor)
    elif hasattr(body, "close") and hasattr(body, "__next__"):
        body.close()
