"""Listeners that follow the event log: each hears every event after its cursor, once, in order, in messages of bounded size.

All of it runs on the loop.  Listeners that want the same and stand at the same cursor are one group: a message is made and
encoded once for all of them, so hundreds of listeners cost one query for each event.  One who comes with an older cursor is a
group of its own until it has caught up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..base.buckets import Buckets
from ..core import Core
from ..http.stream import Fan, Sink
from ..store.events import Event

ROUNDS_AT_ONCE = 5


class Wish(NamedTuple):
    """What a listener wants; listeners with equal wishes and cursors share their messages."""
    limit: int                       # events of one message at most
    trusted: bool                    # sees everything
    silence_seconds: float = 0.0     # after so long without a message it hears a keepalive; 0 = never


Render = Callable[[Sequence[Event], int, Wish], bytes]      # the message for these events, after which the cursor stands there


class _Group:
    __slots__ = ("wish", "cursor", "fan", "sent_at")

    def __init__(self, wish: Wish, cursor: int, sent_at: float) -> None:
        self.wish = wish
        self.cursor = cursor
        self.fan = Fan()
        self.sent_at = sent_at


class Following:
    """The listeners of one stream.  `render` makes a message; rounds of messages are `pause_seconds` apart, so that a busy log
    costs no more than that many, but after a quiet while the first few events are told at once."""

    def __init__(self, core: Core, render: Render, pause_seconds: float, keepalive: bytes = b"") -> None:
        self._core = core
        self._render = render
        self._pace = Buckets(ROUNDS_AT_ONCE, 1.0 / pause_seconds, core.clock.monotonic)
        self._keepalive = keepalive
        self._groups: dict[tuple[Wish, int], _Group] = {}
        self._heard: dict[Sink, _Group] = {}
        self._timer: Any = None
        self._silence: Any = None
        self._silence_due = 0.0
        self.head = 0                                           # number of the newest event of the mesh
        core.feed.listen(self._hear)
        with core.reader.snapshot() as connection:
            newest = core.feed.newest(connection)
        core.loop.call_soon(lambda: self._raise(newest))

    def __len__(self) -> int:
        return len(self._heard)

    def join(self, sink: Sink, cursor: int, wish: Wish) -> Callable[[], None]:
        """The sink hears of every event after `cursor`, until the returned function is called."""
        group = self._group(wish, cursor)
        self._put(sink, group)
        self._watch_silence((group,))
        if cursor < self.head:
            self._plan()
        return lambda: self._leave(sink)

    def _group(self, wish: Wish, cursor: int) -> _Group:
        group = self._groups.get((wish, cursor))
        if group is None:
            group = self._groups[(wish, cursor)] = _Group(wish, cursor, self._core.clock.monotonic())
        return group

    def _put(self, sink: Sink, group: _Group) -> None:
        group.fan.add(sink)
        self._heard[sink] = group

    def _leave(self, sink: Sink) -> None:
        group = self._heard.pop(sink, None)
        if group is not None:
            group.fan.remove(sink)
            place = (group.wish, group.cursor)
            if not len(group.fan) and self._groups.get(place) is group:
                del self._groups[place]

    # --- rounds

    def _hear(self, events: Sequence[Event]) -> None:
        """Committed events: those of the mesh move the head."""
        self._raise(max((event.seq for event in events if event.surface == "mesh"), default=0))

    def _raise(self, head: int) -> None:
        if head > self.head:
            self.head = head
            if any(group.cursor < head for group in self._groups.values()):
                self._plan()

    def _plan(self) -> None:
        """A round of messages now, or as soon as one may be."""
        if self._timer is not None:
            return
        wait = self._pace.take("")
        if wait <= 0:
            self._round()
        else:
            self._timer = self._core.loop.call_later(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self._plan()

    def _round(self) -> None:
        """Every group that stands behind the head hears its next message."""
        behind = [group for group in self._groups.values() if group.cursor < self.head]
        found = self._read({(group.cursor, group.wish.limit) for group in behind})
        for group in behind:
            self._tell(group, found[(group.cursor, group.wish.limit)])
        if any(group.cursor < self.head for group in self._groups.values()):
            self._plan()

    def _read(self, places: set[tuple[int, int]]) -> dict[tuple[int, int], list[Event]]:
        if not places:
            return {}
        with self._core.reader.snapshot() as connection:
            return {(cursor, limit): self._core.feed.since(connection, cursor, limit) for cursor, limit in places}

    def _tell(self, group: _Group, events: list[Event]) -> None:
        if self._groups.pop((group.wish, group.cursor), None) is not group:
            return                                             # its last listener has left meanwhile
        cursor = group.cursor = events[-1].seq if events else self.head
        if events:
            group.fan.publish(self._render(events, cursor, group.wish))
            group.sent_at = self._core.clock.monotonic()
        self._merge(group)

    def _merge(self, group: _Group) -> None:
        """Groups that have come to stand at one cursor are one from now on."""
        there = self._groups.get((group.wish, group.cursor))
        if there is None:
            if len(group.fan):
                self._groups[(group.wish, group.cursor)] = group
            return
        for sink in group.fan.sinks():
            self._put(sink, there)

    # --- silence

    def _watch_silence(self, groups: Iterable[_Group]) -> None:
        """The next keepalive is due when the first of these groups needs one, or before."""
        due = min((group.sent_at + group.wish.silence_seconds for group in groups if group.wish.silence_seconds),
                  default=None) if self._keepalive else None
        if due is None or self._silence is not None and self._silence_due <= due:
            return
        if self._silence is not None:
            self._silence.cancel()
        self._silence_due = due
        self._silence = self._core.loop.call_later(max(0.0, due - self._core.clock.monotonic()), self._speak)

    def _speak(self) -> None:
        """Whoever heard nothing for as long as it bears hears that we are there."""
        self._silence = None
        now = self._core.clock.monotonic()
        for group in list(self._groups.values()):
            if group.wish.silence_seconds and now - group.sent_at >= group.wish.silence_seconds - 0.001:
                group.sent_at = now
                group.fan.publish(self._keepalive)
        self._watch_silence(self._groups.values())
