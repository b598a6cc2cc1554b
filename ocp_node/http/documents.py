"""Stored bytes of answers that are the same for every caller: encoded once per version, with ETag and a gzip copy.

Two levels.  A document is a body by route and target; an answer is a whole response by the exact bytes of its request
head, checked by its version and the second of its Date header, so that a repeated GET costs two comparisons.
"""

from __future__ import annotations

from typing import Any

from ..base import limits
from ..base.digest import sha256
from ..contract.route import Headers, Route
from .responses import Responses, connection_line, lines
from .wire import Head


class Document:
    """One body of one version; `gzipped` is made when first asked for."""

    __slots__ = ("version", "body", "media_type", "etag", "gzipped", "headers")

    def __init__(self, version: int, body: bytes, media_type: str, headers: Headers) -> None:
        self.version = version
        self.body = body
        self.media_type = media_type
        self.etag = '"' + sha256(body).hexdigest()[:32] + '"'
        self.gzipped: bytes | None = None
        self.headers = headers


class Answer:
    """A whole response but for its Date line."""

    __slots__ = ("version", "status", "before", "after", "second", "whole", "hits", "route_id")

    def __init__(self, version: int, status: int, before: bytes, after: bytes) -> None:
        self.route_id = ""
        self.version = version
        self.status = status
        self.before = before
        self.after = after
        self.second = -1
        self.whole = b""
        self.hits = 0

    def bytes(self, date: bytes) -> bytes:
        return self.before + date + self.after


class Documents:
    """The documents and answers of one node; bounded, oldest out first."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses
        self._documents: dict[tuple[str, str], Document] = {}
        self.answers: dict[bytes, Answer] = {}
        self._hits: dict[tuple[str, int], int] = {}      # of answers that made room for others

    def find(self, route: Route, head: Head, version: int) -> Document | None:
        """The stored document for this route and target, if it is still current."""
        document = self._documents.get((route.id, head.target))
        return document if document is not None and document.version == version else None

    def keep(self, route: Route, head: Head, version: int, body: bytes, media_type: str, headers: Headers) -> Document:
        """The body is stored for the next caller."""
        document = Document(version, body, media_type, headers)
        _room(self._documents, limits.DOCUMENTS_MAX)
        self._documents[(route.id, head.target)] = document
        return document

    def hits(self) -> dict[tuple[str, int], int]:
        """How often answers were found again, by route id and status."""
        for answer in list(self.answers.values()):
            self._count(answer)
        return dict(self._hits)

    def _count(self, answer: Answer) -> None:
        key, hits, answer.hits = (answer.route_id, answer.status), answer.hits, 0
        if hits:
            self._hits[key] = self._hits.get(key, 0) + hits

    def answer(self, document: Document, head: Head, raw_head: bytes, route_id: str) -> Answer:
        """The response to this head: 304 when the caller has the document, compressed when it may be."""
        answer = self._made(document, head)
        answer.route_id = route_id
        if len(raw_head) <= limits.ANSWER_HEAD_BYTES_MAX and head.keep and _impersonal(head):
            received = raw_head + b"\r\n\r\n"        # as it comes from the socket
            for gone in (*_room(self.answers, limits.ANSWERS_MAX), self.answers.get(received)):
                if gone is not None:
                    self._count(gone)
            self.answers[received] = answer
        return answer

    def _made(self, document: Document, head: Head) -> Answer:
        body, coding, etag = document.body, b"", document.etag
        if len(body) >= limits.GZIP_BYTES_MIN:
            coding = b"Vary: Accept-Encoding\r\n"
            if _takes_gzip(head.headers.get("accept-encoding", "")):
                body, coding = _gzipped(document), coding + b"Content-Encoding: gzip\r\n"
                etag = etag[:-1] + '-gz"'
        status = 304 if _has(head.headers.get("if-none-match", ""), etag) else 200
        media_type = document.media_type if status == 200 else ""
        before = self._responses.start(status, media_type)
        length = b"Content-Length: %d\r\n" % len(body) if status == 200 else b""
        cache = b"" if any(name.lower() == "cache-control" for name, _ in document.headers) else b"Cache-Control: no-cache\r\n"
        after = (f"ETag: {etag}\r\n".encode() + cache + coding + lines(document.headers) + length + connection_line(head) + b"\r\n")
        if status == 200 and head.method != "HEAD":
            after += body
        return Answer(document.version, status, before, after)


def _impersonal(head: Head) -> bool:
    """A head without credentials, whose answer may be found again by its bytes; GET alone, with no body behind it."""
    headers = head.headers
    return (head.method == "GET" and not head.has_body
            and not any(name in headers for name in ("authorization", "cookie", "x-ocp-operator-token", "x-ocp-control-token",
                                                     "expect", "upgrade")))


def _gzipped(document: Document) -> bytes:
    if document.gzipped is None:
        import gzip
        document.gzipped = gzip.compress(document.body, 6, mtime=0)
    return document.gzipped


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.lower().split(","):
        name, _, rest = part.strip().partition(";")
        if name.strip() == "gzip":
            return rest.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _has(if_none_match: str, etag: str) -> bool:
    if not if_none_match:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


def _room(kept: dict[Any, Any], count_max: int) -> list[Any]:
    """There is room for one more; gives what had to go, the oldest."""
    return [kept.pop(key) for key in list(kept)[: count_max // 8]] if len(kept) >= count_max else []
