"""Listeners: topics that long polls wait on, and the sinks of server-sent events and WebSockets.  All of it runs on the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..base import jsontext


class Signals:
    """Topics and who waits for them.  `stir` is called on the loop, after a commit."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[object, Callable[[], None]]] = {}

    def listen(self, topics: Iterable[str], act: Callable[[], None]) -> Callable[[], None]:
        """`act` runs whenever one of `topics` stirs, until the returned function is called."""
        key, names = object(), tuple(topics)
        for name in names:
            self._waiting.setdefault(name, {})[key] = act

        def stop() -> None:
            for name in names:
                waiting = self._waiting.get(name)
                if waiting is not None:
                    waiting.pop(key, None)
                    if not waiting:
                        del self._waiting[name]

        return stop

    def heard(self, topic: str) -> bool:
        """Does anybody wait for the topic?  A caller that has gone away does not."""
        return topic in self._waiting

    def stir(self, topic: str) -> None:
        for act in list(self._waiting.get(topic, {}).values()):
            act()


class Sink(Protocol):
    """One listener of a stream."""

    @property
    def closed(self) -> bool: ...

    @property
    def waiting(self) -> int:
        """Bytes that the listener has not taken yet."""

    def send(self, data: bytes) -> None:
        """The bytes go out in order; a listener that does not keep up is dropped."""

    def close(self) -> None:
        """What was sent goes out, then the connection ends."""


class Fan:
    """A set of sinks that hear the same bytes: an event is encoded once, however many listen."""

    def __init__(self) -> None:
        self._sinks: set[Sink] = set()

    def __len__(self) -> int:
        return len(self._sinks)

    def add(self, sink: Sink) -> Callable[[], None]:
        """The sink hears what is published from now on, until the returned function is called."""
        self._sinks.add(sink)
        return lambda: self._sinks.discard(sink)

    def remove(self, sink: Sink) -> None:
        """The sink hears no more of this; harmless when it did not."""
        self._sinks.discard(sink)

    def sinks(self) -> list[Sink]:
        """Who listens now."""
        return list(self._sinks)

    def publish(self, data: bytes) -> None:
        for sink in list(self._sinks):
            sink.send(data)


def sse(event: str, data: Any, event_id: str | int = "") -> bytes:
    """One server-sent event: `id`, `event` and one line of JSON (HTML Living Standard, section 9.2)."""
    lines = [f"id: {event_id}\n" if event_id != "" else "", f"event: {event}\n" if event else ""]
    return ("".join(lines) + "data: ").encode() + jsontext.compact(data) + b"\n\n"


SSE_KEEPALIVE = b": keepalive\n\n"
