"""The node's events after a cursor, once or as they come (OCP 0.1 event log).

A request that asks for a WebSocket gets the snapshot as its first message, and then every further event as it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...base import jsontext
from ...base.errors import Refusal
from ...contract.route import Call, Reply, WebSocket
from ...core import Core, Rooms
from ...http import websocket
from ...store.events import Event
from ..following import Following, Wish
from ..lists import bounded
from ..moment import Moment
from ..redaction import events_json, events_text

Members = dict[str, Any]
PAUSE_SECONDS = 0.02             # between two messages: events that come together travel together
STATE_SECONDS = 1.0              # a state without commits is built anew after so long
CLIENT_BYTES_MAX = 4_096         # what a listener sends is not read; more than this ends the connection
PRESENT_MAX, BEACONS_MAX, WORKERS_MAX, PEERS_MAX = 50, 12, 20, 25


class Stream:
    """Snapshots of the log."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._manifest = rooms["mesh.manifest"]
        self._profile = rooms["mesh.device_profile"]
        self._agents = rooms["mesh.agents"]
        self._peers = rooms["mesh.peers"]
        self.following = Following(core, self._message, PAUSE_SECONDS)
        self._shared = Moment(core, lambda trusted: jsontext.compact(self._state(trusted)), STATE_SECONDS)

    def _message(self, events: Sequence[Event], cursor: int, wish: Wish) -> bytes:
        """A WebSocket frame with these events, the same bytes for every listener of one kind."""
        return websocket.frame(websocket.TEXT, b'{"events":%b,"next_cursor":%d,"generated_at":%b}' % (
            events_text(events, wish.trusted), cursor, jsontext.compact(self._core.clock.text())))

    def after(self, since: int, limit: int, trusted: bool) -> tuple[bytes, int]:
        """The first `limit` events after `since` and the state at that moment, as JSON; and the cursor after them."""
        with self._core.reader.snapshot() as connection:
            last, events = self._events(connection, max(0, since), limit, trusted)
            newest = self._core.feed.newest(connection)
        cursor = last or since
        return b'%b,"events":%b,"next_cursor":%d,"latest_seq":%d,"generated_at":%b}' % (
            self._shared.value(trusted)[:-1], events, cursor, newest,
            jsontext.compact(self._core.clock.text())), max(0, min(cursor, newest))

    def _events(self, connection: Any, since: int, limit: int, trusted: bool) -> tuple[int, bytes]:
        """The number of the last of the events, and all of them as JSON for this kind of caller."""
        if trusted:
            last, texts = self._core.feed.texts_since(connection, since, limit)
            return last, f"[{texts}]".encode()
        events = self._core.feed.since(connection, since, limit)
        return events[-1].seq if events else 0, events_text(events, trusted)

    def latest(self, limit: int, trusted: bool) -> Members:
        """The newest `limit` events, oldest first, and the state at that moment; 0 gives none."""
        with self._core.reader.snapshot() as connection:
            events = self._core.feed.latest(connection, limit, "mesh")[::-1] if limit else []
            newest = self._core.feed.newest(connection)
        return self._made(events, newest, newest, trusted)

    def _made(self, events: Sequence[Event], cursor: int, newest: int, trusted: bool) -> Members:
        return {**self._state(trusted), "events": events_json(events, trusted), "next_cursor": cursor, "latest_seq": newest,
                "generated_at": self._core.clock.text()}

    def _state(self, trusted: bool) -> Members:
        """Who is here, beside the events."""
        node_id, parts = self._core.identity.node_id, self._manifest.parts
        peers = [self._peers.json(peer) for peer in self._peers.all()[:PEERS_MAX]] if trusted else []
        return {"organism_id": node_id, "peer_id": node_id, "device_profile": self._profile.profile(),
                "sync_policy": self._profile.sync_policy(),
                "transport": {"route": "/mesh/stream", "mode": "snapshot", "websocket_bootstrap": True},
                "log_id": self._core.feed.log_id,
                "agent_presence": self._agents.present(PRESENT_MAX), "beacons": self._agents.beacons(BEACONS_MAX),
                "workers": parts.value("workers", trusted)[:WORKERS_MAX], "peers": peers,
                "queue_metrics": parts.value("queue_metrics")}


def build(core: Core, rooms: Rooms) -> Stream:
    """The room."""
    return Stream(core, rooms)


class Listener:
    """The receiving end of a WebSocket; what a listener sends is of no interest."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def text(self, text: str) -> None:
        """Not read."""

    def binary(self, data: bytes) -> None:
        """Not read."""

    def closed(self) -> None:
        self._stop()


def read(room: Stream, call: Call) -> Reply | WebSocket:
    """GET /mesh/stream: one snapshot, or one and all that follows."""
    limit, trusted = bounded(call.query.limit), call.caller.trusted_view
    snapshot, cursor = room.after(call.query.since, limit, trusted)
    if not websocket.asks_upgrade(call.headers):
        return Reply(snapshot, media_type="application/json")
    if not call.headers.get("sec-websocket-key"):
        raise Refusal("invalid_request", "Sec-WebSocket-Key is required for websocket upgrade")
    first = snapshot.decode()

    def start(socket: Any) -> Listener:
        socket.text(first)
        return Listener(room.following.join(socket, cursor, Wish(limit, trusted)))

    return WebSocket(start, message_bytes_max=CLIENT_BYTES_MAX)
