"""Bytes of an answer, sans-IO, as strict as `wire.py` is with requests (RFC 9112): any doubt about where an answer ends
would let one peer's bytes pass for another's on a kept connection."""

from __future__ import annotations

import re

from ..base.limits import CHUNK_LINE_MAX, HEAD_BYTES_MAX, HEADERS_MAX
from .calls import OutboundError
from .wire import BadRequest, ChunkedBody

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_DIGITS = re.compile(r"[0-9]{1,18}")
_ONCE = frozenset({"content-length", "transfer-encoding", "content-type", "content-encoding", "location", "retry-after"})
INTERIM_MAX = 8                      # answers 1xx before the real one
REFUSAL_BYTES_MAX = 65_536           # of an error's or redirect's body; what is beyond is cut off, the status counts


class AnswerReader:
    """Reads one answer.  `receive` gives the content in the bytes; `done` is True after the last of it.

    `status` is 0 until the head is whole.  `keep`: the connection can carry another request.
    """

    __slots__ = ("status", "headers", "done", "keep", "begun", "_bodyless", "_bytes_max", "_buffer", "_left", "_chunks", "_size",
                 "_interim")

    def __init__(self, method: str, bytes_max: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self.keep = False
        self.begun = False
        self._bodyless = method == "HEAD"
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._left: int | None = None            # content bytes still to come; None: until the connection ends
        self._chunks: ChunkedBody | None = None
        self._size = 0
        self._interim = 0

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def receive(self, data: bytes) -> bytes:
        """The content in `data`, maybe none.  OutboundError for what is no answer, or too large a one."""
        self.begun = self.begun or bool(data)
        if self.status:
            return self._content(data)
        self._buffer += data
        while not self.status:
            end = self._buffer.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX)
            if end < 0:
                if len(self._buffer) >= HEAD_BYTES_MAX:
                    raise _bad("its head is too large")
                self._check_beginning()
                return b""
            raw = bytes(self._buffer[:end])
            del self._buffer[:end + 4]
            self._head(raw)
        rest, self._buffer = bytes(self._buffer), bytearray()
        return self._content(rest)

    def ended(self) -> None:
        """The connection has ended; OutboundError `closed` unless the answer is whole by that."""
        if self.done:
            return
        if not self.status or self._chunks is not None or self._left is not None:
            raise OutboundError("closed", "the peer ended the connection before its answer was whole")
        self.done = True

    def _check_beginning(self) -> None:
        """Something that is not HTTP is told at once, not after the deadline."""
        beginning = bytes(self._buffer[:7])
        if beginning != b"HTTP/1."[:len(beginning)]:
            raise _bad("it is not HTTP/1.1")

    def _head(self, raw: bytes) -> None:
        lines = raw.decode("latin-1").split("\r\n")
        parts = _STATUS_LINE.fullmatch(lines[0])
        if parts is None:
            raise _bad("its status line is malformed")
        if len(lines) > HEADERS_MAX + 1:
            raise _bad("it has too many headers")
        headers = _fields(lines[1:])
        status, minor = int(parts[2]), parts[1] == "1"
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > INTERIM_MAX:
                raise _bad("it switches protocols or does not come to an end")
            return
        self.status, self.headers = status, headers
        words = {word.strip().lower() for word in headers.get("connection", "").split(",")}
        self.keep = "close" not in words if minor else "keep-alive" in words
        if not self.good:
            self._bytes_max = min(self._bytes_max, REFUSAL_BYTES_MAX)
        self._framing(headers, minor)

    def _framing(self, headers: dict[str, str], minor: bool) -> None:
        """How long the content is (RFC 9112 section 6.3)."""
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is not None and (length is not None or not minor or coding.lower() != "chunked"):
            raise _bad("its length is told in more than one way, or in one that is not read")
        if length is not None and not _DIGITS.fullmatch(length):
            raise _bad("its length is malformed")
        if self._bodyless or self.status in (204, 304):
            self.done = True
            return
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise _bad("it is compressed, which was not asked for")
        if coding is not None:
            self._chunks = ChunkedBody(self._bytes_max)
        elif length is not None:
            self._left = int(length)
            if self._left > self._bytes_max and self.good:
                raise too_large()
            self.done = not self._left
        else:
            self.keep = False

    def _content(self, data: bytes) -> bytes:
        if self.done:
            piece, rest = b"", data
        elif self._chunks is not None:
            piece, rest = self._chunked(data)
        elif self._left is not None:
            piece, rest = data[:self._left], data[self._left:]
            self._left -= len(piece)
            self.done = not self._left
        else:
            piece, rest = data, b""
        if rest:
            self.keep = False                    # bytes nobody asked for: whose answer would they be?
        return self._bounded(piece)

    def _chunked(self, data: bytes) -> tuple[bytes, bytes]:
        chunks = self._chunks
        assert chunks is not None
        pieces = []
        try:
            for at in range(0, len(data), CHUNK_LINE_MAX * 16):          # small bites: the decoder copies its rest at each chunk
                pieces.append(chunks.feed(data[at:at + CHUNK_LINE_MAX * 16]))
                if chunks.ended:
                    self.done = True
                    return b"".join(pieces), chunks.rest + data[at + CHUNK_LINE_MAX * 16:]
        except BadRequest as fault:
            if fault.status != 413:
                raise _bad("its chunks are malformed") from None
            if self.good:
                raise too_large() from None
            self._cut()
        return b"".join(pieces), b""

    def _bounded(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size <= self._bytes_max:
            return piece
        if self.good:
            raise too_large()
        self._cut()
        return piece[:len(piece) - (self._size - self._bytes_max)]

    def _cut(self) -> None:
        """An error's body is not worth more: its beginning is kept, the connection is not."""
        self.done, self.keep = True, False


def too_large() -> OutboundError:
    return OutboundError("too_large", "the answer is too large")


def _bad(reason: str) -> OutboundError:
    return OutboundError("bad_answer", f"the answer is not one we read: {reason}")


def _fields(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        parts = _FIELD.fullmatch(line)
        if parts is None:                                        # also folded lines, and blanks before the colon
            raise _bad("a header is malformed")
        name, value = parts[1].lower(), parts[2].rstrip(" \t")
        if name in headers:
            if name in _ONCE:
                raise _bad("a header is repeated")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers
