"""The one client for calls to other machines (OCP 0.1, outgoing requests).

Nothing goes out that the caller did not give: no token of ours, no cookie, no proxy, nothing of the environment.  A name
is resolved once per call, each address is judged, and the connection is made to the very address that was judged.
Redirects are answers.  The deadline holds for the whole call.  Calls block: they are for worker and long lanes and
tickers.  One step cannot be cut short, the system's name look-up; it is bounded by the resolver's own time-outs
(a few seconds), and the deadline is checked right after it.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ..base import jsontext, limits
from ..base.clock import Clock
from ..base.log import Log
from .answer import AnswerReader
from .calls import Answer, OutboundError, peer_error, peer_refusal
from .link import Deadline, Key, Link, Links, Trust, open_link
from .target import Target, address_fault, target_of

if TYPE_CHECKING:
    import ssl

__all__ = ["Answer", "Outbound", "OutboundError", "Stream", "peer_error", "peer_refusal"]

Headers = Sequence[tuple[str, str]]
Resolver = Callable[[str, int], Sequence[str]]
Sink = Callable[[bytes], object]

_METHOD = re.compile(r"(?!CONNECT\Z)[A-Z]{1,16}")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade",
                   "expect", "accept-encoding", "user-agent", "proxy-authorization", "proxy-connection"})
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})     # RFC 9110 section 9.2.2
_BODIES = frozenset({"POST", "PUT", "PATCH"})
_BROKEN = frozenset({"reset", "closed"})


def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of a name, as the system finds them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


class Outbound:
    """Calls other machines.  For many threads at once."""

    def __init__(self, clock: Clock, log: Log, user_agent: str, allow_loopback: bool = False, ca_file: str = "",
                 resolve: Resolver = system_addresses) -> None:
        self._clock = clock
        self._log = log
        self._user_agent = user_agent
        self._allow_loopback = allow_loopback
        self._ca_file = ca_file
        self._resolve = resolve
        self._links = Links(clock)
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._closed = False

    def request(self, method: str, url: str, *, headers: Headers = (), body: bytes | None = None, json: object = None,
                timeout: float, bytes_max: int, connect_timeout: float | None = None, allow_loopback: bool | None = None,
                allow_private: bool = True, pin_sha256: str = "", insecure: bool = False, stream_to: Sink | None = None,
                body_file: BinaryIO | None = None, body_length: int = 0) -> Answer:
        """The peer's answer, whatever its status; OutboundError when there is none.

        `stream_to` gets the content of a 2xx answer piece by piece, all in all at most `bytes_max`; `body_file` is sent
        from where it stands, `body_length` bytes of it.  `pin_sha256` replaces the authorities' judgement by the
        certificate's fingerprint (hex, or `sha256:` and base64url).
        """
        target = target_of(url)
        call = self._call(method, target, headers, body, json, body_file, body_length)
        deadline = Deadline(self._clock, _clamped(timeout, limits.OUTBOUND_LONG_SECONDS_MAX))
        keys = self._keys(target, allow_loopback, allow_private, _trust(pin_sha256, insecure))
        content: list[bytes] = []
        try:
            link, reader = self._perform(call, keys, bytes_max, content, stream_to, deadline, connect_timeout)
        except OutboundError as fault:
            self._log.debug("outbound.failed", peer=target.place, kind=fault.kind)
            raise
        return Answer(reader.status, reader.headers, b"".join(content), url, link.key.address)

    def json(self, method: str, url: str, *, headers: Headers = (), json: object = None, timeout: float,
             bytes_max: int = limits.OUTBOUND_ANSWER_BYTES_MAX, connect_timeout: float | None = None,
             allow_loopback: bool | None = None, allow_private: bool = True, pin_sha256: str = "",
             insecure: bool = False) -> dict[str, object] | list[object]:
        """The JSON object or array of a 2xx answer.  Every other answer is an OutboundError that holds it."""
        if not any(name.lower() == "accept" for name, _ in headers):
            headers = (*headers, ("Accept", "application/json"))
        answer = self.request(method, url, headers=headers, json=json, timeout=_clamped(timeout, limits.OUTBOUND_SECONDS_MAX),
                              bytes_max=bytes_max, connect_timeout=connect_timeout, allow_loopback=allow_loopback,
                              allow_private=allow_private, pin_sha256=pin_sha256, insecure=insecure)
        _check_status(answer)
        return answer.document()

    def open_stream(self, url: str, *, headers: Headers = (), timeout: float, chunk_timeout: float,
                    bytes_max: int = limits.OUTBOUND_STREAM_BYTES_MAX, allow_loopback: bool | None = None,
                    allow_private: bool = True, pin_sha256: str = "", insecure: bool = False) -> Stream:
        """A 2xx answer whose content comes as it comes (server-sent events): `timeout` is for its head, then
        `chunk_timeout` for each piece.  The caller closes it."""
        target = target_of(url)
        call = self._call("GET", target, headers, None, None, None, 0)
        deadline = Deadline(self._clock, _clamped(timeout, limits.OUTBOUND_SECONDS_MAX))
        keys = self._keys(target, allow_loopback, allow_private, _trust(pin_sha256, insecure))
        link = self._open(keys, deadline, None)
        try:
            reader = AnswerReader("GET", bytes_max)
            link.send(call.head, deadline)
            first = b""
            while not reader.status or (not reader.good and not reader.done):
                first += self._receive(link, reader, deadline)
            _check_status(Answer(reader.status, reader.headers, first, url, link.key.address))
        except BaseException:
            link.close()
            raise
        return Stream(link, reader, first, self._clock, chunk_timeout)

    def sweep(self) -> None:
        """Connections that were idle too long are closed; calls do this by themselves, a ticker may."""
        self._links.sweep()

    def close(self) -> None:
        """No call is begun any more, idle connections are closed; calls on their way keep their deadline."""
        self._closed = True
        self._links.close()

    # --- before anything is sent

    def _call(self, method: str, target: Target, headers: Headers, body: bytes | None, json: object,
              body_file: BinaryIO | None, body_length: int) -> _Call:
        if not _METHOD.fullmatch(method):
            raise OutboundError("bad_request", "the method is not one that is sent")
        if json is not None:
            body = jsontext.compact(json)
        lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {self._user_agent}",
                 "Accept-Encoding: identity", *_header_lines(headers)]
        if json is not None and not any(name.lower() == "content-type" for name, _ in headers):
            lines.append("Content-Type: application/json")
        length = body_length if body_file is not None else len(body or b"")
        if length or body is not None or body_file is not None or method in _BODIES:
            lines.append(f"Content-Length: {length}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        return _Call(method, head, body or b"", body_file, body_length)

    def _keys(self, target: Target, allow_loopback: bool | None, allow_private: bool, trust: Trust) -> list[Key]:
        """The connections that may carry the call, one per allowed address of its host."""
        if self._closed:
            raise OutboundError("closed", "this node is stopping")
        allow_loopback = self._allow_loopback if allow_loopback is None else allow_loopback
        addresses = [target.host] if target.literal else list(self._resolve(target.host, target.port))
        if not addresses:
            raise OutboundError("unresolved", f"the name {target.host} has no address")
        faults = [address_fault(address, allow_loopback, allow_private) for address in addresses]
        if all(faults):
            raise OutboundError("address_refused", f"{target.host} is not called: its address is {faults[0]}")
        trust = trust if target.scheme == "https" else Trust()
        return [Key(target.scheme, target.host, target.port, address, trust)
                for address, fault in zip(addresses, faults, strict=True) if not fault][:limits.OUTBOUND_ADDRESSES_MAX]

    # --- the exchange

    def _perform(self, call: _Call, keys: list[Key], bytes_max: int, content: list[bytes], sink: Sink | None,
                 deadline: Deadline, connect_timeout: float | None) -> tuple[Link, AnswerReader]:
        """Over a kept connection if there is one; when that turns out dead, once more over a new one, if that cannot
        make the peer do the same thing twice."""
        link = None if call.file is not None else next(filter(None, map(self._links.take, keys)), None)
        if link is not None:
            try:
                return link, self._exchange(call, link, bytes_max, content, sink, deadline)
            except _Dead:
                pass
        link = self._open(keys, deadline, connect_timeout)
        return link, self._exchange(call, link, bytes_max, content, sink, deadline)

    def _open(self, keys: list[Key], deadline: Deadline, connect_timeout: float | None) -> Link:
        """A new connection to the first address that takes one; each has its share of the time."""
        within = deadline if connect_timeout is None else deadline.within(_clamped(connect_timeout, limits.OUTBOUND_SECONDS_MAX))
        for number, key in enumerate(keys):
            last = number == len(keys) - 1
            try:
                share = within if last else within.within(within.left() / (len(keys) - number))
                return open_link(key, self._context(key), share)
            except OutboundError as fault:
                fault.sent = False
                if last:
                    raise
        raise AssertionError("no address is no case: _keys has refused it")

    def _context(self, key: Key) -> ssl.SSLContext | None:
        """The judge of certificates for the connection; made once, for loading the authorities takes a while."""
        if key.scheme != "https":
            return None
        blind = bool(key.trust.pin) or key.trust.insecure
        with self._lock:
            context = self._contexts.get(blind)
            if context is None:
                context = self._contexts[blind] = _client_context(blind, self._ca_file)
            return context

    def _exchange(self, call: _Call, link: Link, bytes_max: int, content: list[bytes], sink: Sink | None,
                  deadline: Deadline) -> AnswerReader:
        reader = AnswerReader(call.method, bytes_max)
        try:
            broken = self._send(call, link, deadline)
            while not reader.done:
                try:
                    piece = self._receive(link, reader, deadline)
                except OutboundError as fault:
                    if link.used and not reader.begun and fault.kind in _BROKEN and (call.method in _IDEMPOTENT or not link.sent):
                        raise _Dead from None
                    raise broken or fault from None
                if piece and sink is not None and reader.good:
                    sink(piece)
                elif piece:
                    content.append(piece)
        except BaseException:
            link.close()
            raise
        if reader.keep and broken is None:
            self._links.give(link)
        else:
            link.close()
        return reader

    def _send(self, call: _Call, link: Link, deadline: Deadline) -> OutboundError | None:
        """The request is sent.  A peer that breaks off is heard first: it may have answered (413, 401) without reading on."""
        try:
            for piece in call.pieces():
                link.send(piece, deadline)
        except OutboundError as fault:
            if fault.kind not in _BROKEN:
                raise
            return fault
        return None

    def _receive(self, link: Link, reader: AnswerReader, deadline: Deadline) -> bytes:
        """The content in what came next; the reader is done, or it is asked again."""
        data = link.receive(deadline)
        if data:
            return reader.receive(data)
        reader.ended()
        return b""


class _Dead(Exception):
    """A kept connection was gone before it was used."""


class _Call:
    """What is sent."""

    __slots__ = ("method", "head", "body", "file", "length")

    def __init__(self, method: str, head: bytes, body: bytes, file: BinaryIO | None, length: int) -> None:
        self.method = method
        self.head = head
        self.body = body
        self.file = file
        self.length = length

    def pieces(self) -> Iterator[bytes]:
        """Head and body, a small body in one piece with the head."""
        if self.file is not None:
            yield self.head
            yield from self._file_pieces(self.file)
        elif len(self.body) <= limits.OUTBOUND_RECEIVE_BYTES:
            yield self.head + self.body
        else:
            yield self.head
            yield self.body

    def _file_pieces(self, file: BinaryIO) -> Iterator[bytes]:
        left = self.length
        while left:
            piece = file.read(min(left, limits.OUTBOUND_RECEIVE_BYTES))
            if not piece:
                raise OutboundError("bad_request", "the file is shorter than was announced")
            left -= len(piece)
            yield piece


class Stream:
    """An answer that goes on.  One thread iterates; `close` may be called from any."""

    def __init__(self, link: Link, reader: AnswerReader, first: bytes, clock: Clock, chunk_timeout: float) -> None:
        self.status: int = reader.status
        self.headers: Mapping[str, str] = reader.headers
        self.address = link.key.address
        self._link = link
        self._reader = reader
        self._first = first
        self._clock = clock
        self._chunk_timeout = chunk_timeout
        self._lock = threading.Lock()
        self._closed = False
        self._reading = False

    def __iter__(self) -> Iterator[bytes]:
        """The pieces as they come, until the answer's end or `close`; OutboundError when it breaks off or falls silent."""
        with self._lock:
            if self._closed or self._reading:
                return
            self._reading = True
        try:
            yield from self._pieces()
        except OutboundError:
            if not self._closed:
                raise
        finally:
            with self._lock:
                self._closed = True
            self._link.close()

    def _pieces(self) -> Iterator[bytes]:
        if self._first:
            yield self._first
        while not self._reader.done and not self._closed:
            data = self._link.receive(Deadline(self._clock, self._chunk_timeout))
            piece = self._reader.receive(data) if data else b""
            if not data:
                self._reader.ended()
            if piece:
                yield piece

    def close(self) -> None:
        """The connection ends; a thread that iterates comes to its end at once and puts it away."""
        with self._lock:
            reading, closed, self._closed = self._reading, self._closed, True
        if closed:
            return
        if reading:
            self._link.wake()
        else:
            self._link.close()


def _check_status(answer: Answer) -> None:
    if 300 <= answer.status < 400:
        raise OutboundError("redirect", "the peer points to another address, which is not followed", answer)
    if not answer.good:
        raise OutboundError("status", f"the peer refused with status {answer.status}", answer)


def _clamped(seconds: float, most: float) -> float:
    return max(limits.OUTBOUND_SECONDS_MIN, min(seconds, most))


def _header_lines(headers: Headers) -> list[str]:
    """The caller's headers as lines; none of them may end the line, or speak for the connection."""
    if len(headers) > limits.HEADERS_MAX:
        raise OutboundError("bad_request", "too many headers")
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
            raise OutboundError("bad_request", "a header has a name that is not sent")
        if not _HEADER_VALUE.fullmatch(value) or len(value) > limits.OUTBOUND_HEADER_LENGTH_MAX:
            raise OutboundError("bad_request", f"the header {name} has a value that is not sent")
    return [f"{name}: {value}" for name, value in headers]


def _trust(pin: str, insecure: bool) -> Trust:
    """`pin` as the bytes of the fingerprint."""
    if not pin:
        return Trust(insecure=insecure)
    import binascii
    try:
        if pin.startswith("sha256:") and len(pin) == 50:
            digest = binascii.a2b_base64(pin[7:].replace("-", "+").replace("_", "/") + "=", strict_mode=True)
        else:
            digest = bytes.fromhex(pin.removeprefix("sha256:").replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise OutboundError("bad_request", "the certificate pin is no SHA-256 fingerprint")
    return Trust(digest)


def _client_context(blind: bool, ca_file: str) -> ssl.SSLContext:
    """TLS 1.2 or later; certificates judged by the system's authorities and those of `ca_file`, or not at all."""
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if blind:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_default_certs()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError:
            raise OutboundError("tls", "the file of certificate authorities cannot be read") from None
    return context
