"""The bytes of an answer: status line, our headers, one write."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from ..contract.route import Headers, Reply

if TYPE_CHECKING:
    from .dialect import Dialect
    from .wire import Head

# On every answer: no sniffing, no referrer, no framing by strangers.
FIXED = b"Server: ocp\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: SAMEORIGIN\r\n"
SECURE = b"Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({204, 304})


class Responses:
    """Formats answers; the Date header is made once a second."""

    def __init__(self, second: Callable[[], int], secure: bool = False) -> None:
        self._second = second
        self._secure = SECURE if secure else b""
        self._date: tuple[int, bytes] = (0, b"")
        self._starts: dict[tuple[int, str], bytes] = {}

    def second(self) -> int:
        return self._second()

    def date(self) -> bytes:
        """The Date header line of this second (RFC 9110 section 6.6.1)."""
        second = self._second()
        if self._date[0] != second:
            text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second))
            self._date = (second, f"Date: {text}\r\n".encode())
        return self._date[1]

    def start(self, status: int, media_type: str) -> bytes:
        """Status line and the headers that never change for this status and media type."""
        key = (status, media_type)
        made = self._starts.get(key)
        if made is None:
            kind = f"Content-Type: {media_type}\r\n".encode() if media_type else b""
            made = f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode() + FIXED + self._secure + kind
            if len(self._starts) < 512:
                self._starts[key] = made
        return made

    def whole(self, reply: Reply, body: bytes, dialect: Dialect, head: Head | None) -> bytes:
        """The whole answer, with its length; HEAD gets the head alone."""
        media_type = reply.media_type or (dialect.media_type if body else "")
        first = self.start(reply.status, media_type)
        length = b"" if reply.status in _BODILESS else b"Content-Length: %d\r\n" % len(body)
        answer = first + self.date() + lines(reply.headers) + length + connection_line(head)
        if reply.status in _BODILESS or (head is not None and head.method == "HEAD"):
            return answer + b"\r\n"
        return answer + b"\r\n" + body

    def head_only(self, reply: Reply, media_type: str, extra: bytes) -> bytes:
        """The head of an answer whose body follows in pieces."""
        return self.start(reply.status, media_type) + self.date() + lines(reply.headers) + extra + b"\r\n"


def connection_line(head: Head | None) -> bytes:
    """What the caller must know about the connection's future."""
    if head is None or not head.keep:
        return b"Connection: close\r\n"
    return b"" if head.version_minor else b"Connection: keep-alive\r\n"


def lines(headers: Headers) -> bytes:
    """Header lines; a value that would break out of its line is a bug and stops here."""
    made = []
    for name, value in headers:
        if "\r" in value or "\n" in value:
            raise ValueError(f"header {name} holds a line break")
        made.append(f"{name}: {value}\r\n")
    return "".join(made).encode("latin-1", "replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
