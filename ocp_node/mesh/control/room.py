"""The control deck's state as server-sent events (OCP 0.1 control stream).

The state is built once for each moment of the log, encoded once for those who see everything and once for others, and shared by
every listener; what differs between them is only the list of events before it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ...base import jsontext
from ...contract.route import Call, Events
from ...core import Core, Rooms
from ...http.stream import SSE_KEEPALIVE, Sink, sse
from ...store.events import Event
from ..following import Following, Wish
from ..lists import bounded
from ..manifest.rules import RELEASE
from ..moment import Moment
from ..parts import Parts, Provider
from ..redaction import events_text
from . import empty, rules

Members = dict[str, Any]
ROUTE = "/mesh/control/stream"
RETRY = b"retry: 2500\n"
LASTING = (("Connection", "keep-alive"),)      # the protocol's word for a stream that goes on
PAUSE_SECONDS = 0.1              # between two states: a busy log is told in groups
STATE_SECONDS = 2.0              # a state without commits is built anew after so long
PEERS_SHOWN = 8
REFRESH_SECONDS = 60


class Control:
    """The deck's state and who listens to it."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._manifest = rooms["mesh.manifest"]
        self._profile = rooms["mesh.device_profile"]
        self._peers = rooms["mesh.peers"]
        node_id = core.identity.node_id
        self.parts = Parts(rooms, core.log, empty.HOMES, empty.parts(
            node_id, lambda: core.base_url, lambda: core.bound, lambda: self._profile.profile()["offload_policy"],
            core.clock.text))
        for name in ("workers", "queue", "jobs"):
            self.parts.part(name, functools.partial(self._work, name))
        self.following = Following(core, self._message, PAUSE_SECONDS, SSE_KEEPALIVE)
        self._encoded = Moment(core, self._made, STATE_SECONDS)

    def part(self, name: str, provider: Provider, public: Provider | None = None) -> None:
        """`provider` gives a part of the state from now on; the names are those of `empty.HOMES`."""
        self.parts.part(name, provider, public)

    def _work(self, name: str) -> Members:
        """Workers, queue messages, and the jobs of those messages: what the rooms of work show, shortened."""
        if name == "workers":
            workers = self._rooms["mesh.workers"].listed(empty.LISTS[name][1])
            return {"peer_id": self._core.identity.node_id, "count": len(workers), "workers": workers}
        listed: Members = self._rooms["mesh.queue"].listed(empty.LISTS["queue"][1], "")
        return listed if name == "queue" else self._jobs([message["job_id"] for message in listed["messages"]])

    def _jobs(self, job_ids: Sequence[str]) -> Members:
        jobs = self._rooms["mesh.jobs"]
        with self._core.reader.snapshot() as connection:
            found = [jobs.find(connection, job_id) for job_id in job_ids]
            return {job.id: jobs.json(connection, job) for job in found if job is not None}

    def state(self, trusted: bool) -> Members:
        """The whole state but for `control_stream`, as this kind of caller sees it."""
        profile, value = self._profile.profile(), self.parts.value
        identity = self._core.identity
        listed = self._peers.listed(PEERS_SHOWN)
        members = {"node_id": identity.node_id, "display_name": identity.display_name, "role_label": "Sovereign Node",
                   "version": f"Sovereign Mesh {RELEASE}", "device_class": profile["device_class"], "device_profile": profile,
                   "sync_policy": self._profile.sync_policy(), "manifest": self._manifest.document(),
                   "peers": listed if trusted else {**listed, "peers": self._peers.redacted(listed["peers"])},
                   "queue_metrics": self._manifest.parts.value("queue_metrics")}
        return {**members, **{name: value(name, trusted) for name in empty.HOMES}}

    def _made(self, trusted: bool) -> tuple[bytes, bytes]:
        """The state and the advisories, encoded."""
        state = self.state(trusted)
        advised = rules.advisories(state["peers"]["peers"], state["discovery_candidates"].get("candidates", ()))
        return jsontext.compact(state), jsontext.compact(advised)

    def _message(self, events: Sequence[Event], cursor: int, wish: Wish) -> bytes:
        """The event `control-state` for these events; the state that is shared goes into it as it was encoded."""
        state, advised = self._encoded.value(wish.trusted)
        stream = jsontext.compact({"route": ROUTE, "cursor": cursor, "transport": "sse",
                                   "fallback_refresh_seconds": REFRESH_SECONDS,
                                   "recent_event_count": len(events)})
        told = events_text(events, wish.trusted)
        return b"".join((b"id: %d\nevent: control-state\ndata: " % cursor,
                         b'{"type":"control_state","cursor":%d,"events":' % cursor, told,
                         b',"peer_advisories":', advised, b',"state":', state[:-1], b',"control_stream":', stream,
                         b'},"generated_at":"', self._core.clock.text().encode(), b'"}\n\n'))

    def first(self, since: int, last_event_id: str, wish: Wish) -> tuple[bytes, int]:
        """What a new listener hears at once, and the cursor after it."""
        with self._core.reader.snapshot() as connection:
            start = rules.start(since, last_event_id, self._core.feed.newest(connection))
            events = self._core.feed.since(connection, start, wish.limit)
        cursor = events[-1].seq if events else start
        opened = sse("stream-open", {"status": "ok", "cursor": start, "route": ROUTE}, start)
        return RETRY + opened + self._message(events, cursor, wish), cursor


def build(core: Core, rooms: Rooms) -> Control:
    """The room."""
    return Control(core, rooms)


def stream(room: Control, call: Call) -> Events:
    """GET /mesh/control/stream."""
    query = call.query
    wish = Wish(bounded(query.limit), call.caller.trusted_view, rules.silence(query.heartbeat))
    first, cursor = room.first(query.since, call.headers.get("last-event-id", ""), wish)

    def begin(sink: Sink) -> Any:
        sink.send(first)
        if rules.once(query.once):
            sink.close()
            return None
        return room.following.join(sink, cursor, wish)

    return Events(begin, () if rules.once(query.once) else LASTING)
