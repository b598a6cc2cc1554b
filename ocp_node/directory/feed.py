"""The incremental feed in three forms: a page, a page that is waited for, and a stream of server-sent events.

Positions are given in commit order inside the writer's transaction, so a reader that stands at one can never later find
something new at or before it.  A page and the position it ends at are read in one snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.digest import sha256
from ..base.errors import Refusal
from ..contract.route import Events, Reply, Wait
from ..crypto import base64url
from . import rules, table
from .admission import TOPIC
from .dialect import ANYONE
from .shape import MICROSECONDS

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..base.loop import Loop
    from ..http.stream import Sink
    from ..store.reader import Reader
    from .rules import FeedQuery, Policy

ROWS_MAX = 1_000              # looked at for one page: a long run of expired rows is passed in steps of this size
KEPT_PAGES = 64
KEPT_PAGE_BYTES_MAX = 262_144     # so that the kept pages stay under 16 MiB
NEVER_US = 2**63 - 1
WAITING_BYTES_MAX = 262_144   # what a stream's listener may leave untaken before it gets more of the past
CATCH_UP_SECONDS = 0.02       # between two looks at a listener that does not keep up
EVENT_LINE = b"event: advertisement\ndata: "


class Page(NamedTuple):
    """A run of artifacts.  `until_us` is when the first of them stops being served."""
    items: tuple[tuple[int, bytes], ...]      # position, artifact
    next: int
    highest: int                              # the last position given when this was read
    read_us: int
    until_us: int

    def body(self, epoch: str, max_items: int) -> bytes:
        return b'{"items":[%b],"next":"%b","max-items":%d}' % (
            b",".join([text for _, text in self.items]), rules.cursor_text(epoch, self.next).encode(), max_items)


def read_page(connection: sqlite3.Connection, position: int, limit: int, bytes_max: int, now_us: int) -> Page:
    """Up to `limit` artifacts after `position` that are served now.

    A full page ends at its last artifact, one that has looked at too many rows at the last of them; otherwise it ends at the
    highest position there is, which passes expired rows at the end.
    """
    highest = table.state(connection).position
    items: list[tuple[int, bytes]] = []
    size, until_us, at, looked = 0, NEVER_US, position, 0
    for at, held_until_us, text in table.after(connection, position, now_us, ROWS_MAX):
        looked += 1
        if text is None:
            continue
        if items and size + len(text) > bytes_max:
            return Page(tuple(items), items[-1][0], highest, now_us, until_us)
        items.append((at, text))
        size, until_us = size + len(text), min(until_us, held_until_us)
        if len(items) == limit:
            return Page(tuple(items), at, highest, now_us, until_us)
    return Page(tuple(items), at if looked == ROWS_MAX else highest, highest, now_us, until_us)


class Feed:
    """Pages of one directory, kept for as long as they are right, and its streams.  On the loop."""

    def __init__(self, policy: Policy, reader: Reader, clock: Clock, loop: Loop) -> None:
        self.epoch = ""
        self._policy = policy
        self._reader = reader
        self._clock = clock
        self._loop = loop
        self._pages: dict[tuple[int, int, int], tuple[bytes, str, Page]] = {}
        self._listeners: set[_Listener] = set()
        self.made = 0                       # pages that were read, not found among the kept ones

    # --- one page

    def answer(self, query: FeedQuery, if_none_match: str) -> Reply:
        """The page that the query asks for."""
        return self._reply(*self._page(query), if_none_match)

    def page(self, query: FeedQuery) -> tuple[Page, bool]:
        """The page, read anew, and whether the reader's cursor was not ours.  On any thread."""
        with self._reader.snapshot() as connection:
            position, _ = self._position(connection, query)
            return self._read(connection, position or 0, query), position is None

    def limit(self, query: FeedQuery) -> int:
        """How many items the page may have."""
        return query.limit or self._policy.page_items

    def _position(self, connection: sqlite3.Connection, query: FeedQuery) -> tuple[int | None, int]:
        """After which position the reader goes on, None when its cursor is not ours; and the highest position there is."""
        highest = table.state(connection).position
        position = rules.cursor_position(query.since, self.epoch, highest)
        if position is None and self._policy.unknown_cursor == "gone":
            raise Refusal("cursor-unknown", detail={"next": rules.cursor_text(self.epoch, 0)})
        return position, highest

    def _read(self, connection: sqlite3.Connection, position: int, query: FeedQuery) -> Page:
        return read_page(connection, position, self.limit(query), self._policy.page_bytes, self._now_us())

    def _now_us(self) -> int:
        return int(self._clock.time() * MICROSECONDS)

    def _page(self, query: FeedQuery) -> tuple[bytes, str, Page, bool]:
        """Body, entity tag and page; found among the kept ones when nothing was stored, and nothing has expired, since."""
        with self._reader.snapshot() as connection:
            position, highest = self._position(connection, query)
            key = (position or 0, self.limit(query), highest)
            kept = self._pages.get(key)
            if kept is not None and kept[2].read_us <= self._now_us() < kept[2].until_us:
                return (*kept, position is None)
            page = self._read(connection, position or 0, query)
        self.made += 1
        body = page.body(self.epoch, self.limit(query))
        tag = rules.etag(base64url.encode(sha256(body).digest()))
        self._keep(key, (body, tag, page))
        return body, tag, page, position is None

    def _keep(self, key: tuple[int, int, int], made: tuple[bytes, str, Page]) -> None:
        if len(made[0]) > KEPT_PAGE_BYTES_MAX:
            return
        self._pages.pop(key, None)
        if len(self._pages) >= KEPT_PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[key] = made

    def _reply(self, body: bytes, tag: str, page: Page, reset: bool, if_none_match: str) -> Reply:
        headers = (("ETag", tag), ("Cache-Control", "no-cache"), *ANYONE)
        if reset:
            headers = (*headers, ("Adv-Cursor", "reset"))
        if rules.has(if_none_match, tag):
            return Reply(None, 304, headers)
        return Reply(body, 200, headers, "application/json")

    # --- waiting for a page

    def wait(self, query: FeedQuery, if_none_match: str) -> Wait:
        """A page with something new, or at the deadline the page as it is."""
        def ready() -> Reply | None:
            body, tag, page, reset = self._page(query)
            moved = reset or rules.cursor_text(self.epoch, page.next) != query.since
            return self._reply(body, tag, page, reset, if_none_match) if moved else None

        return Wait(ready, lambda: self.answer(query, if_none_match), query.wait_seconds, (TOPIC,))

    # --- a stream of the feed

    def stream(self, query: FeedQuery, last_event_id: str) -> Events:
        """Everything after the cursor as server-sent events, then what is stored from now on.

        `Last-Event-ID` counts before `since`.
        """
        since = last_event_id or query.since
        with self._reader.snapshot() as connection:
            position = rules.cursor_position(since, self.epoch, table.state(connection).position)
        headers = (*ANYONE, ("Adv-Cursor", "reset")) if position is None else ANYONE

        def start(sink: Sink) -> Callable[[], None]:
            listener = _Listener(sink, position or 0)
            self._listeners.add(listener)
            self._advance(listener)
            return lambda: self._listeners.discard(listener)

        return Events(start, headers)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def stirred(self) -> None:
        """Something was stored: listeners that stand at the same place get the same bytes, read and encoded once."""
        encoded: dict[int, tuple[bytes, Page]] = {}
        for listener in list(self._listeners):
            if not listener.behind:
                self._advance(listener, encoded)

    def _advance(self, listener: _Listener, encoded: dict[int, tuple[bytes, Page]] | None = None) -> None:
        """The next page has gone to the listener; a longer past follows as it takes it."""
        if listener.sink.closed or listener not in self._listeners:
            self._listeners.discard(listener)
            return
        if listener.sink.waiting > WAITING_BYTES_MAX:
            self._again(listener)
            return
        found = encoded.get(listener.position) if encoded is not None else None
        data, page = found or self._events_after(listener.position)
        if encoded is not None:
            encoded[listener.position] = (data, page)
        listener.position = page.next
        if data:
            listener.sink.send(data)
        if page.next < page.highest:
            self._again(listener)
        else:
            listener.behind = False

    def _again(self, listener: _Listener) -> None:
        listener.behind = True
        self._loop.call_later(CATCH_UP_SECONDS if listener.sink.waiting > WAITING_BYTES_MAX else 0.0,
                              lambda: self._advance(listener))

    def _events_after(self, position: int) -> tuple[bytes, Page]:
        with self._reader.snapshot() as connection:
            page = read_page(connection, position, self._policy.page_items, self._policy.page_bytes, self._now_us())
        return b"".join([b"id: %b\n%b%b\n\n" % (rules.cursor_text(self.epoch, at).encode(), EVENT_LINE, text) for at,
                         text in page.items]), page


class _Listener:
    """One reader of the stream, and where it stands."""

    __slots__ = ("sink", "position", "behind")

    def __init__(self, sink: Any, position: int) -> None:
        self.sink = sink
        self.position = position
        self.behind = False        # gets its past page by page, and comes back by itself
