"""One request on its way through the rooms: head → route → caller → typed call → handler → answer → bytes.

Nothing here knows a socket.  The server hands in a head and a body and gets told what to send;
each kind of failure is caught in one place (`_answer_fault`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..base import limits
from ..base.errors import Malformed, NotStored, Refusal
from ..base.ids import Ids
from ..base.log import Log
from ..contract.route import Auth, Call, Caller, Events, Lane, Reply, Route, Stability, Wait, WebSocket, Write
from . import documents
from .dialect import Dialect, fold
from .gates import Gates
from .lanes import BodyReader, Workers
from .responses import Responses
from .router import Match, Router, query_texts
from .wire import BadRequest, Head, parse_head

if TYPE_CHECKING:
    from ..store.writer import Writer

class Finds(Protocol):
    """The rooms of a node by folder name with dots."""

    def __getitem__(self, name: str) -> Any: ...


Read = Callable[[Any], Any]           # gives a record, or raises `Malformed`
Deliver = Callable[[Any], None]       # gets bytes to send, or a Wait, Events or WebSocket to set up; on the loop


class Exchange:
    """One request being answered."""

    __slots__ = ("head", "raw_head", "route", "values", "caller", "dialect", "reply", "deliver", "connection", "reader",
                 "bytes_max")

    def __init__(self, head: Head | None, raw_head: bytes, dialect: Dialect) -> None:
        self.head = head
        self.raw_head = raw_head
        self.dialect = dialect
        self.route: Route | None = None
        self.values: Mapping[str, str] = {}
        self.caller: Caller | None = None
        self.reply: Reply | None = None           # set when the head alone decided the answer
        self.deliver: Deliver = _nowhere
        self.connection: Any = None
        self.reader: BodyReader | None = None
        self.bytes_max: int | None = None         # of the body, where the surface has a bound of its own

    @property
    def lane(self) -> Lane:
        return self.route.lane if self.route is not None else Lane.INLINE

    @property
    def body_bytes_max(self) -> int:
        if self.bytes_max is not None:
            return self.bytes_max
        return self.route.body_bytes_max if self.route is not None else 0

    @property
    def keeps(self) -> bool:
        """May the connection carry another request?"""
        return self.head is not None and self.head.keep


def _nowhere(answer: Any) -> None:
    """Nobody waits for this answer any more."""


class App:
    """Everything between a request's bytes and the rooms of one node."""

    def __init__(self, router: Router, gates: Gates, dialects: list[Dialect], rooms: Finds, responses: Responses,
                 log: Log, ids: Ids, writer: Writer, call_soon: Callable[[Callable[[], None]], None], workers: Workers, *,
                 before: Callable[[Route], None] = lambda route: None) -> None:
        self.router = router
        self.gates = gates
        self._dialects = sorted(((prefix, dialect) for dialect in dialects for prefix in dialect.prefixes),
                                key=lambda entry: -len(entry[0]))
        self._by_surface = {dialect.surface: dialect for dialect in dialects}
        self._rooms = rooms
        self.responses = responses
        self._log = log
        self._ids = ids
        self.writer = writer
        self._call_soon = call_soon
        self.workers = workers
        self._before = before                     # is called before the first request of a route is handled
        self._heads: dict[bytes, tuple[Head, Any]] = {}
        self._bound: dict[str, tuple[Callable[..., Any], Any, Read | None, Read | None]] = {}
        self.documents = documents.Documents(responses)
        self.counts: dict[tuple[str, int], int] = {}

    # --- the head ---------------------------------------------------------------------------------------------------

    def open(self, raw_head: bytes, address: str, secure: bool) -> Exchange:
        """The exchange for one head; its `reply` is set when the head alone settles the answer."""
        try:
            head, match = self._head(raw_head)
        except BadRequest as refused:
            exchange = Exchange(None, raw_head, self._dialect(_target(raw_head)))
            exchange.reply = exchange.dialect.wire(refused.status, refused.reason)
            return exchange
        exchange = Exchange(head, raw_head, self._by_surface[match.route.surface]
                            if isinstance(match, Match) else self._dialect(head.path))
        try:
            self._admit(exchange, match, address, secure)
        except Exception as fault:                        # the last line of defence of what the head alone settles
            exchange.reply = self._answer_fault(exchange, fault)
        return exchange

    def _head(self, raw: bytes) -> tuple[Head, Any]:
        known = self._heads.get(raw)
        if known is None:
            head = parse_head(raw)
            head.path = self._dialect(fold(head.path)).path(head.path)
            known = (head, self.router.match(head.method, head.path))
            if len(raw) <= limits.ANSWER_HEAD_BYTES_MAX:
                if len(self._heads) >= limits.HEADS_MAX:
                    self._heads.clear()
                self._heads[raw] = known
        return known

    def _dialect(self, path: str) -> Dialect:
        return next(dialect for prefix, dialect in self._dialects if path.startswith(prefix) or prefix == "/")

    def _admit(self, exchange: Exchange, match: Any, address: str, secure: bool) -> None:
        """Everything that is settled before a byte of body is read, in the order the protocols demand."""
        head, dialect, gates = exchange.head, exchange.dialect, self.gates
        assert head is not None
        if not isinstance(match, Match):
            exchange.reply = dialect.unmatched(head.method, head.path, match.allowed)
            return
        route = exchange.route = match.route
        exchange.values = match.values
        if dialect.host_check:
            gates.check_host(head)
        if dialect.origin_check:
            gates.check_origin(head)
        exchange.caller = gates.caller(address, secure, head)
        dialect.admit(exchange, self._rooms)
        self._framing(exchange, route, head, dialect)
        gates.admit(route, head, exchange.caller)
        if route.stability is Stability.PLANNED:
            raise Refusal("planned", "this endpoint is planned and not built yet")

    def _framing(self, exchange: Exchange, route: Route, head: Head, dialect: Dialect) -> None:
        if route.body and dialect.length_required and head.length is None and not head.chunked:
            raise Refusal("length_required", "Content-Length is required")
        if (head.length or 0) > exchange.body_bytes_max:
            raise Refusal("too_large", "request body too large")
        json_only = dialect.json_only or route.auth is Auth.LOCAL_ADMIN      # what else there is, a foreign page may send unasked
        decoded = bool(route.body) and not route.body_stream
        if head.has_body and decoded and json_only and not _is_json(head.headers.get("content-type")):
            raise Refusal("unsupported_media_type", "Content-Type must be application/json")

    # --- the handler ------------------------------------------------------------------------------------------------

    def run(self, exchange: Exchange, body: bytes) -> None:
        """Carry out the exchange in its lane (any but LONG); its `deliver` is called on the loop, now or later."""
        if exchange.route is None or exchange.reply is not None:
            self._reply(exchange, exchange.reply or exchange.dialect.unmatched("", "", ()))
        elif exchange.lane is Lane.WORKER:
            try:
                self.workers.submit(lambda: self._work(exchange, body))
            except Refusal as busy:
                self._reply(exchange, exchange.dialect.refusal(busy, exchange.route, exchange.head))
        else:
            self._here(exchange, body)

    def _here(self, exchange: Exchange, body: bytes) -> None:
        route = exchange.route
        assert route is not None and exchange.head is not None
        if route.cached and self._cacheable(route):
            stored = self.documents.find(route, exchange.head, self._version(route))
            if stored is not None:
                self._stored(exchange, stored)
                return
        try:
            answer = self._handle(exchange, body)
        except Exception as fault:                        # the last line of defence of the loop's lanes
            answer = self._answer_fault(exchange, fault)
        self._settle(exchange, answer)

    def _work(self, exchange: Exchange, body: bytes) -> None:
        """On a worker thread: the handler, and the bytes of what it answers.  A change goes by the loop, where it meets others."""
        try:
            answer = self._handle(exchange, body)
        except Exception as fault:                        # the last line of defence of the worker lane
            answer = self._answer_fault(exchange, fault)
        if isinstance(answer, Reply):
            rendered = self._rendered(exchange, answer)
            self._call_soon(lambda: exchange.deliver(rendered))
        else:
            self._call_soon(lambda: self._settle(exchange, answer))

    def handle_long(self, exchange: Exchange) -> Reply:
        """On a long thread: the handler's Reply; a Write it returns is committed first."""
        try:
            raw = b""
            if exchange.reader is not None and exchange.route is not None and not exchange.route.body_stream:
                raw = b"".join(exchange.reader)
            answer = self._handle(exchange, raw)
            if isinstance(answer, Write):
                answer = answer.then(self.writer.run(answer.change))
            if not isinstance(answer, Reply):
                raise TypeError(f"a long handler answered {type(answer)}")
        except Exception as fault:                        # the last line of defence of the long lane
            answer = self._answer_fault(exchange, fault)
        self.count(exchange, answer.status)
        return answer

    def _handle(self, exchange: Exchange, raw: bytes) -> Any:
        route = exchange.route
        assert route is not None
        handler, room, _, _ = self._binding(route)
        return handler(room, self._call(exchange, raw))

    def _binding(self, route: Route) -> tuple[Callable[..., Any], Any, Read | None, Read | None]:
        bound = self._bound.get(route.id)
        if bound is None:
            self._before(route)
            bound = self._bound[route.id] = (route.function(), self._rooms[route.room], *_readers(route))
        return bound

    def _call(self, exchange: Exchange, raw: bytes) -> Call:
        """The typed call: path, query record, body record."""
        route, head = exchange.route, exchange.head
        assert route is not None and head is not None and exchange.caller is not None
        _, _, read_query, read_body = self._binding(route)
        texts = query_texts(head.query) if head.query else {}
        query = read_query(texts) if read_query is not None else None
        body: Any = None
        if read_body is not None and not route.body_raw and not route.body_stream:
            value = exchange.dialect.read(route, raw)
            exchange.dialect.check(route, value)
            body = read_body(value)
        return Call(route, exchange.caller, exchange.values, query, body, head.headers, head.target, raw, texts, exchange.reader)

    # --- the answer -------------------------------------------------------------------------------------------------

    def _settle(self, exchange: Exchange, answer: Any) -> None:
        """On the loop: turn what a handler returned into what the connection does next."""
        if isinstance(answer, Reply):
            self._reply(exchange, answer)
        elif isinstance(answer, Write):
            try:
                self._submit(exchange, answer)
            except Refusal as busy:
                self._reply(exchange, exchange.dialect.refusal(busy, exchange.route, exchange.head))
        elif isinstance(answer, (Wait, Events, WebSocket)):
            exchange.deliver(answer)
        else:
            self._reply(exchange,
                        self._answer_fault(exchange,
                                           TypeError(f"{exchange.route and exchange.route.id} returned {type(answer)}")))

    def _submit(self, exchange: Exchange, write: Write) -> None:
        """The change waits for the writer, its caller for the commit.  Busy when too much waits."""
        self.writer.submit(write.change, lambda result, fault: self._committed(exchange, write, result, fault))

    def _committed(self, exchange: Exchange, write: Write, result: Any, fault: BaseException | None) -> None:
        try:
            answer = write.then(result) if fault is None else self._answer_fault(exchange, fault)
        except Exception as broken:                       # the change is committed; `then` only says what follows
            answer = self._answer_fault(exchange, broken)
        self._settle(exchange, answer)

    def answer_refusal(self, exchange: Exchange, fault: BaseException) -> bytes:
        """The bytes that answer a failure of a stream's set-up or of a long poll's `ready`."""
        return self._rendered(exchange, self._answer_fault(exchange, fault))

    def _answer_fault(self, exchange: Exchange, fault: BaseException) -> Reply:
        """The one place that turns a failure into an answer."""
        dialect, route, head = exchange.dialect, exchange.route, exchange.head
        if isinstance(fault, Malformed):
            return dialect.malformed(fault, route, head)
        if isinstance(fault, Refusal):
            return dialect.refusal(fault, route, head)
        if isinstance(fault, BadRequest):
            return dialect.wire(fault.status, fault.reason)
        error_id = self._ids.hex(12)
        self._log.fault("request.fault", fault, error_id=error_id, route=route.id if route else "")
        return dialect.unstored(error_id) if isinstance(fault, NotStored) else dialect.fault(error_id)

    def _reply(self, exchange: Exchange, reply: Reply) -> None:
        route = exchange.route
        if route is not None and route.cached and reply.status == 200 and exchange.reply is None and self._cacheable(route):
            assert exchange.head is not None
            stored = self.documents.keep(route, exchange.head, self._version(route), self._body(exchange, reply),
                                         reply.media_type or exchange.dialect.media_type,
                                         reply.headers)
            self._stored(exchange, stored)
            return
        exchange.deliver(self._rendered(exchange, reply))

    def _stored(self, exchange: Exchange, stored: documents.Document) -> None:
        assert exchange.head is not None
        answer = self.documents.answer(stored, exchange.head, exchange.raw_head, exchange.route.id if exchange.route else "")
        self.count(exchange, answer.status)
        exchange.deliver(answer.bytes(self.responses.date()))

    def _cacheable(self, route: Route) -> bool:
        return route.auth is Auth.PUBLIC and self.gates.answers_all_alike(route)

    def _version(self, route: Route) -> int:
        return -1 if route.static else self.writer.commits

    def render(self, exchange: Exchange, reply: Reply) -> bytes:
        """The bytes of an answer that did not come from a handler's return."""
        return self._rendered(exchange, reply)

    def dialect_of(self, exchange: Exchange | None) -> Dialect:
        """The dialect in which to refuse what follows on a connection."""
        return exchange.dialect if exchange is not None else self._dialect("/")

    def _rendered(self, exchange: Exchange, reply: Reply) -> bytes:
        """The bytes of an answer; of a fault's, when this one cannot be encoded: nobody is left without an answer."""
        try:
            answer = self.responses.whole(reply, self._body(exchange, reply), exchange.dialect, exchange.head)
        except (ValueError, TypeError, RecursionError) as fault:
            reply = self._answer_fault(exchange, fault)
            answer = self.responses.whole(reply, self._body(exchange, reply), exchange.dialect, exchange.head)
        self.count(exchange, reply.status)
        return answer

    def _body(self, exchange: Exchange, reply: Reply) -> bytes:
        return body_bytes(exchange.dialect, reply)

    def totals(self) -> dict[tuple[str, int], int]:
        """Answers so far by route id and status, those that were found again by their head included."""
        made = dict(self.counts)
        for key, hits in self.documents.hits().items():
            made[key] = made.get(key, 0) + hits
        return made

    def count(self, exchange: Exchange, status: int) -> None:
        """Requests by route id and status, for `/metrics`; an id is a bounded label, a path is not."""
        key = (exchange.route.id if exchange.route is not None else "", status)
        self.counts[key] = self.counts.get(key, 0) + 1


def _readers(route: Route) -> tuple[Read | None, Read | None]:
    """What makes records of the query's texts and of the body's value; None where there are none, so that records need not be
    loaded to answer."""
    if not (route.query or route.body):
        return None, None
    from ..base.records import decode, decode_texts
    return (functools.partial(decode_texts, route.record(route.query)) if route.query else None,
            functools.partial(decode, route.record(route.body)) if route.body else None)


def body_bytes(dialect: Dialect, reply: Reply) -> bytes:
    """The bytes of a reply's body."""
    body = reply.body
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return dialect.encode(body)


def _target(raw_head: bytes) -> str:
    """Where a head that cannot be read was most likely meant for, so that it is refused in that surface's words."""
    words = raw_head[:256].split(b" ", 2)
    return words[1].decode("latin-1") if len(words) == 3 and words[1].startswith(b"/") else "/"


def _is_json(media_type: str | None) -> bool:
    if media_type is None:
        return False
    kind, _, rest = media_type.partition(";")
    charset = rest.strip().lower()
    return kind.strip().lower() == "application/json" and charset in ("", "charset=utf-8", 'charset="utf-8"')
