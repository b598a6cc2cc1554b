"""Bytes of a request head and body, sans-IO (RFC 9110, RFC 9112).  Stricter than the standard library on purpose:
whatever two servers could read differently is refused, so nothing can be smuggled past one of them."""

from __future__ import annotations

import re

from ..base import limits

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_TARGET = re.compile(r"[!-~]+\Z")                              # visible ASCII; a blank would split the request line
_VALUE_REFUSED = re.compile("[\x00-\x08\x0a-\x1f\x7f]")        # bare CR, LF, NUL and other controls (RFC 9110 section 5.5)
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\Z")
_LINE_REFUSED = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:")
_REPEATABLE_NEVER = frozenset({"content-length", "transfer-encoding", "host", "content-type", "authorization", "origin",
                               "expect"})

FORWARDING = frozenset({"x-forwarded-for", "forwarded", "x-real-ip", "x-forwarded-host", "via"})


class BadRequest(Exception):
    """The bytes are no request we read.  The connection is closed after `status` is answered."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason        # words of our own: nothing of the input


class Head:
    """One request head.  `headers` has lower-case names; `length` is None when none was given."""

    __slots__ = ("method", "target", "path", "query", "headers", "length", "chunked", "keep", "version_minor", "host",
                 "forwarded")

    method: str
    target: str                     # as sent
    path: str                       # before `?`, not decoded
    query: str                      # after `?`
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keep: bool
    version_minor: int
    host: str                       # the name or address of the Host header, without port; lower-case
    forwarded: bool                 # some proxy says that it stands in front


    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)

    def last(self) -> Head:
        """The same head as the last of its connection.  A copy: parsed heads are shared by requests with the same bytes."""
        made = Head()
        for name in Head.__slots__:
            setattr(made, name, getattr(self, name))
        made.keep = False
        return made


def parse_head(raw: bytes) -> Head:
    """The head that `raw` spells: everything before the blank line, without it."""
    lines = raw.decode("latin-1").split("\r\n")
    head = Head()
    _request_line(lines[0], head)
    head.headers = headers = _headers(lines)
    if head.target[0] != "/":
        _absolute_form(head)
    _host(head)
    _framing(head, headers)
    connection = headers.get("connection", "").lower()
    words = {word.strip() for word in connection.split(",")} if connection else ()
    head.keep = "close" not in words if head.version_minor else "keep-alive" in words
    return head


def _request_line(line: str, head: Head) -> None:
    parts = line.split(" ")
    if len(parts) != 3:
        raise BadRequest(400, "malformed request line")
    method, target, version = parts
    if version == "HTTP/1.1":
        head.version_minor = 1
    elif version == "HTTP/1.0":
        head.version_minor = 0
    elif re.match(r"HTTP/[0-9]\.[0-9]\Z", version):
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    else:
        raise BadRequest(400, "malformed request line")
    if not _TOKEN.match(method) or len(method) > 32:
        raise BadRequest(400, "malformed method")
    if len(target) > limits.TARGET_LENGTH_MAX:
        raise BadRequest(414, "request target too long")
    if not _TARGET.match(target) or "#" in target:
        raise BadRequest(400, "malformed request target")
    head.method, head.target = method, target
    head.path, _, head.query = target.partition("?")


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > limits.HEADERS_MAX + 1:
        raise BadRequest(431, "too many headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.match(name):                 # also refuses folded lines and blanks before the colon
            raise BadRequest(400, "malformed header")
        if _VALUE_REFUSED.search(value):
            raise BadRequest(400, "malformed header value")
        name, value = name.lower(), value.strip(" \t")
        if name in headers:
            if name in _REPEATABLE_NEVER:
                raise BadRequest(400, f"repeated header {name}")
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    return headers


def _absolute_form(head: Head) -> None:
    """`GET http://host/path`: the authority of the target counts, not the Host header (RFC 9112 section 3.2.2)."""
    if head.target == "*" and head.method == "OPTIONS":
        return
    scheme, mark, rest = head.target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        raise BadRequest(400, "malformed request target")
    authority, _, path = rest.partition("/")
    if not authority or "?" in authority or "@" in authority:
        raise BadRequest(400, "malformed request target")
    head.headers["host"] = authority
    head.target = "/" + path
    head.path, _, head.query = head.target.partition("?")


def _host(head: Head) -> None:
    host = head.headers.get("host")
    if host is None:
        if head.version_minor:
            raise BadRequest(400, "Host header is required")
        head.headers["host"] = ""
    elif "," in host or " " in host or "/" in host or "@" in host:
        raise BadRequest(400, "malformed Host header")
    head.host = host_name(head.headers["host"])
    head.forwarded = not FORWARDING.isdisjoint(head.headers)


def host_name(host: str) -> str:
    """The name or address of a `Host` value, lower-case, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") <= 1 else host


def _framing(head: Head, headers: dict[str, str]) -> None:
    """How long the body is (RFC 9112 section 6.3); any doubt is refused."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    head.length, head.chunked = None, False
    if coding is not None:
        if length is not None:
            raise BadRequest(400, "Content-Length together with Transfer-Encoding")
        if not head.version_minor:
            raise BadRequest(400, "Transfer-Encoding under HTTP/1.0")
        if coding.lower() != "chunked":
            raise BadRequest(501, "only the chunked transfer coding is read")
        head.chunked = True
    elif length is not None:
        if not _DIGITS.match(length):                            # int() would also take +5, 1_0 and blanks
            raise BadRequest(400, "malformed Content-Length")
        head.length = int(length)


class ChunkedBody:
    """Decodes one chunked body (RFC 9112 section 7.1) as its bytes arrive, never holding more than `bytes_max` of content.

    `feed` returns the content that became known; `ended` is then True once the last chunk and its trailers were read,
    and `rest` holds what came after them.
    """

    __slots__ = ("_bytes_max", "_buffer", "_at", "_need", "_step", "ended", "rest", "size", "_trailer")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._buffer = b""
        self._at = 0                  # what of the buffer has been read; it is cut once per `feed`, not once per chunk
        self._need = 0                # content bytes still missing of this chunk
        self._step = "size"           # size -> data -> edge -> size ... -> trailer
        self._trailer = 0
        self.size = 0
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The content in `data`.  BadRequest for bytes that are no chunks, or too many."""
        self._buffer += data
        made: list[bytes] = []
        while not self.ended and self._advance(made):
            pass
        self._buffer, self._at = self._buffer[self._at:], 0
        if self.ended:
            self.rest, self._buffer = self._buffer, b""
        return b"".join(made)

    def _advance(self, made: list[bytes]) -> bool:
        if self._step == "data":
            return self._data(made)
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            if len(self._buffer) - self._at > limits.CHUNK_LINE_MAX or self._buffer.find(b"\n", self._at) >= 0:
                raise BadRequest(400, "malformed chunk")
            return False
        line, self._at = self._buffer[self._at:end], end + 2
        if _LINE_REFUSED.search(line):                           # a bare LF would end the line for another reader
            raise BadRequest(400, "malformed chunk")
        if self._step == "size":
            self._size(line)
        elif self._step == "edge":
            if line:
                raise BadRequest(400, "malformed chunk")
            self._step = "size"
        else:
            self._trailers(line)
        return True

    def _size(self, line: bytes) -> None:
        if len(line) > limits.CHUNK_LINE_MAX:
            raise BadRequest(400, "malformed chunk")
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not _CHUNK_SIZE.match(digits):
            raise BadRequest(400, "malformed chunk size")
        self._need = int(digits, 16)
        self.size += self._need
        if self.size > self._bytes_max:
            raise BadRequest(413, "request body too large")
        self._step = "data" if self._need else "trailer"

    def _data(self, made: list[bytes]) -> bool:
        taken = self._buffer[self._at:self._at + self._need]
        if not taken:
            return False
        made.append(taken)
        self._at += len(taken)
        self._need -= len(taken)
        if not self._need:
            self._step = "edge"
        return True

    def _trailers(self, line: bytes) -> None:
        self._trailer += len(line) + 2
        if self._trailer > limits.TRAILER_BYTES_MAX:
            raise BadRequest(431, "trailers too large")
        if line and not _TRAILER.match(line):
            raise BadRequest(400, "malformed trailer")
        self.ended = not line                                    # trailer fields are read past and dropped
