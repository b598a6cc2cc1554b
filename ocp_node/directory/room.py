"""The seed directory: a signed cache of the newest advertisement of each node.  It is no authority; readers verify again."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.buckets import Buckets, source_key
from ..base.clock import instant_seconds, instant_text
from ..base.errors import Malformed, Refusal
from ..contract.route import Auth, Call, Events, Reply, Route, Wait, Write
from . import rules, table
from .admission import TOPIC, Admission, Stored, limited
from .dialect import ANYONE, TRACE_CODES
from .feed import Feed
from .rules import Policy
from .shape import MICROSECONDS, is_node_id

if TYPE_CHECKING:
    from ..core import Core, Rooms
    from ..http.app import Exchange
    from ..http.wire import Head

BODY_BYTES_UNBOUNDED = 16 << 20
ATTESTABLE = frozenset({"directory.fetch", "directory.feed"})
POSITION_FILE = "directory.position"
SWEEP_SECONDS = 60.0
SWEEP_BATCHES_MAX = 200
NEW_IDENTITY_SECONDS = 60.0          # a key so young, where nothing was stored before, was made by this start
REJECTED, ERROR = "advertisement/rejected", "error/occurred"
_JSON = re.compile(r'application/json[ \t]*(?:;[ \t]*(?:charset=(?:utf-8|"utf-8")[ \t]*)?)?\Z', re.IGNORECASE)


def build(core: Core, rooms: Rooms) -> Directory:
    """The directory of this node, with its sweep."""
    room = Directory(core, Policy(core.settings), rooms)
    room.begin(core)
    core.signals.listen((TOPIC,), room.stirred)
    core.tickers.add("directory-sweep", room.sweep)
    _measure(core, room)
    return room


def _measure(core: Core, room: Directory) -> None:
    measures = core.measures
    measures.counter("ocp_directory_events_total", "What happened in the directory, for refusals by reason.",
                     lambda: {(("what", what), ("why", why)): float(count) for (what, why), count in sorted(room.counts.items())})
    measures.counter("ocp_directory_equivocations_total", "Different artifacts under one number.",
                     lambda: float(room.admission.equivocations))
    measures.gauge("ocp_directory_nodes", "Nodes whose artifact is kept, served or not.", lambda: float(room.state().nodes))
    measures.gauge("ocp_directory_highwaters", "Nodes whose highest number is remembered.",
                   lambda: float(room.state().highwaters))
    measures.gauge("ocp_directory_position", "The last position in the feed.", lambda: float(room.state().position))
    measures.gauge("ocp_directory_listeners", "Streams of the feed.", lambda: float(room.feed.listeners))
    measures.gauge("ocp_directory_buckets", "Callers and nodes whose share is counted.",
                   lambda: float(len(room.writes) + len(room.reads) + room.admission.buckets))


class Directory:
    """One node's directory: what it takes, what it serves, and its counters."""

    def __init__(self, core: Core, policy: Policy, rooms: Rooms) -> None:
        self.policy = policy
        self.rooms = rooms
        self.clock, self.log, self.reader, self.writer = core.clock, core.log, core.reader, core.writer
        self._core = core
        self.admission = Admission(policy, core.clock, core.log, self.noted)
        self.feed = Feed(policy, core.reader, core.clock, core.loop)
        self.writes = Buckets(*policy.source_writes, core.clock.monotonic)
        self.reads = Buckets(*policy.source_reads, core.clock.monotonic)
        self.counts: dict[tuple[str, str], int] = {}      # what happened, and for refusals why
        self._counting = threading.Lock()
        self.position = 0                                 # the last one that was given, as the loop knows it
        self._side = PositionFile(core.data / POSITION_FILE)
        self._ids = core.ids
        self._watch = rules.ClockWatch(core.clock.time(), core.clock.monotonic())
        self._clock_back = False
        self._newest_us = 0

    @property
    def self_id(self) -> str:
        """This node as the directory names it: by the key that it has now."""
        return self._core.identity.did

    # --- at start

    def begin(self, core: Core) -> None:
        """The epoch stands.  It is a new one when this database is a copy that lags behind what was given out before."""
        with self.reader.snapshot() as connection:
            state = table.state(connection)
            self._newest_us = table.newest_stored_us(connection)
        log_id = core.feed.log_id
        self.position, self.feed.epoch = state.position, state.epoch
        self.trace("identity/generated" if not state.log_id and self._young(core.identity.created_at) else "identity/loaded", "")
        restored = bool(state.log_id) and state.log_id != log_id or self._side.position(state.epoch) > state.position
        if restored:
            self.feed.epoch = core.ids.hex(16)
            self.log.warning("directory.restored", position=state.position, epoch=self.feed.epoch)
        if restored or state.log_id != log_id:
            epoch = self.feed.epoch
            self.writer.submit(lambda connection: table.begin_epoch(connection, epoch, log_id), self._begun)
        else:
            self._begun(None, None)

    def _young(self, created_at: str) -> bool:
        try:
            return abs(self.clock.time() - instant_seconds(created_at)) < NEW_IDENTITY_SECONDS
        except ValueError:
            return False

    def _begun(self, result: Any, fault: BaseException | None) -> None:
        if fault is None:
            self._side.note(self.feed.epoch, self.position)

    # --- before a body is read

    def admit(self, exchange: Exchange) -> None:
        """Everything that the head alone decides, in the order of the protocol: the id in the path, the caller's share, how the
        body comes."""
        head, route, caller = exchange.head, exchange.route, exchange.caller
        assert head is not None and route is not None and caller is not None
        try:
            if route.auth is Auth.LOCAL_ADMIN:                # the operator's own: the gate behind this one asks who it is
                if head.has_body:
                    self._framing(head)
                return
            if route.id in ("directory.publish", "directory.fetch") and not is_node_id(exchange.values["node_id"]):
                raise Refusal("invalid-node-id")
            reads = head.method in ("GET", "HEAD")
            wait = (self.reads if reads else self.writes).take(source_key(caller.address))
            if wait:
                raise limited("source-rate-limit", wait)
            if not reads:
                self._framing(head)
                exchange.bytes_max = self.policy.body_bytes or BODY_BYTES_UNBOUNDED
            elif "attest=" in head.target and route.id in ATTESTABLE:
                self._attest(exchange, route, head)
        except Refusal as refusal:
            raise self.refused(refusal, event=ERROR if head.method in ("GET", "HEAD") else REJECTED) from None

    def _attest(self, exchange: Exchange, route: Route, head: Head) -> None:
        """A signed answer is made in the worker lane, by another room."""
        from .attestation import room as attestation
        if attestation.asked(head.target):
            exchange.route = attestation.wanted(route)

    def _framing(self, head: Head) -> None:
        media_type = head.headers.get("content-type")
        if media_type is not None and not _JSON.match(media_type):
            raise Refusal("unsupported-media-type")
        if head.length is None and not head.chunked:
            raise Refusal("length-required")
        if self.policy.body_bytes and (head.length or 0) > self.policy.body_bytes:
            raise Refusal("body-too-large", detail={"max-bytes": self.policy.body_bytes})

    # --- what happened

    def refused(self, refusal: Refusal, peer: str = "", event: str = REJECTED) -> Refusal:
        """The refusal, counted and traced; an error that is none of a write has to have a code and a class to be traced."""
        self.count("refused", refusal.code)
        if event != ERROR or refusal.code in TRACE_CODES:
            self.trace(event, peer, refusal.code)
        return refusal

    def count(self, what: str, why: str = "", count: int = 1) -> None:
        key = (what, why)
        with self._counting:                              # workers, the writer and the loop count
            self.counts[key] = self.counts.get(key, 0) + count

    def trace(self, event_type: str, peer: str, reason: str = "") -> None:
        """One trace event; bounded, no bodies, no addresses."""
        if not self.log.shows("debug"):
            return
        detail = {}
        if reason in TRACE_CODES:
            code, kind = TRACE_CODES[reason]
            detail = {"detail": {"code": code, "class": kind, "reason": reason}}
        elif reason:
            detail = {"detail": {"reason": reason}}
        self.log.debug(event_type, **{"trace/id": "tr:" + self._ids.hex(16), "node/self": self.self_id,
                                      **({"peer": peer} if peer else {}), **detail})

    def noted(self, stored: Stored) -> None:
        """On the loop, after the commit and before the publisher is answered."""
        self.position = max(self.position, stored.position)
        self.count("stored", "created" if stored.created else "replaced")
        self.trace("advertisement/published", stored.advertisement.node_id)
        if stored.stored_us < self._newest_us - rules.CLOCK_BACK_US and not self._clock_back:
            self._clock_back = True
            self.log.warning("directory.clock_went_back", seconds=(self._newest_us - stored.stored_us) // MICROSECONDS)
        elif stored.stored_us >= self._newest_us:
            self._newest_us, self._clock_back = stored.stored_us, False

    def stirred(self) -> None:
        """On the loop, once for each group of stored artifacts."""
        self._side.note(self.feed.epoch, self.position)
        self.feed.stirred()

    def sweep(self) -> float:
        """What nobody can need any more is gone; nothing while the clock is in doubt."""
        if self._watch.settled(self.clock.time(), self.clock.monotonic()):
            from . import sweep
            for _ in range(SWEEP_BATCHES_MAX):
                swept = self.writer.run(lambda connection: sweep.batch(connection, self.admission.now_us()))
                self.count("swept", count=swept)
                if not swept:
                    break
        return SWEEP_SECONDS

    def state(self) -> table.State:
        """The directory's counts as stored."""
        with self.reader.snapshot() as connection:
            return table.state(connection)

    def figures(self) -> dict[str, Any]:
        """The directory in numbers, for the operator."""
        with self.reader.snapshot() as connection:
            state = table.state(connection)
            live = table.live(connection, self.admission.now_us())
        return {"live": live, "nodes": state.nodes, "highwaters": state.highwaters, "position": state.position,
                "epoch": self.feed.epoch, "listeners": self.feed.listeners, "equivocations": self.admission.equivocations,
                "counts": {f"{what} {why}".strip(): count for (what, why), count in sorted(self.counts.items())}}


# --- the routes -------------------------------------------------------------------------------------------------------

def publish(room: Directory, call: Call) -> Write:
    """PUT /adv/{node_id}: publish or replace one advertisement."""
    node_id = call.path["node_id"]
    try:
        if room.policy.body_bytes and len(call.raw) > room.policy.body_bytes:
            raise Refusal("body-too-large", detail={"max-bytes": room.policy.body_bytes})
        submitted = room.admission.verified(call.raw, node_id)
    except Refusal as refusal:
        raise room.refused(refusal, node_id) from None
    except Malformed as malformed:
        room.refused(Refusal(malformed.code), node_id)
        raise
    store = room.admission.change(submitted, source_key(call.caller.address))

    def change(connection: Any) -> Stored:
        try:
            return store(connection)
        except Refusal as refusal:
            raise room.refused(refusal, node_id) from None

    return Write(change, _stored)


def _stored(stored: Stored) -> Reply:
    it = stored.advertisement
    body = {"status": "stored", "node/id": it.node_id, "advertisement/id": it.advertisement_id, "sequence/no": it.sequence_no,
            "stored-at": instant_text(stored.stored_us // MICROSECONDS), "expires-at": it.expires_at}
    headers = (("ETag", rules.etag(it.digest)),)
    if stored.created:
        return Reply(body, 201, (*headers, ("Location", f"/adv/{it.node_id}")))
    return Reply(body, 200, headers)


def fetch(room: Directory, call: Call) -> Reply:
    """GET /adv/{node_id}: what is served now; an expired artifact looks like one that never was."""
    node_id, now_us = call.path["node_id"], room.admission.now_us()
    with room.reader.snapshot() as connection:
        current = table.fetch(connection, node_id, now_us)
    room.trace("advertisement/fetched", node_id, "" if current else "not-found")
    if current is None:
        room.count("fetched", "not-found")
        return Reply({"status": "not-found", "node/id": node_id}, 404, (("Cache-Control", "no-store"), *ANYONE))
    room.count("fetched", "found")
    tag = rules.etag(current.digest)
    headers = (("ETag", tag), ("Cache-Control", f"public, max-age={rules.max_age(current.held_until_us, now_us)}"), *ANYONE)
    if rules.has(call.headers.get("if-none-match", ""), tag):
        return Reply(None, 304, headers)
    return Reply(current.text, 200, headers, "application/json")


def feed(room: Directory, call: Call) -> Reply | Wait | Events:
    """GET /adv: a page of the feed; `wait=` seconds for one with something new; server-sent events where they are asked for."""
    room.count("polled")
    try:
        query = rules.feed_query(call.target.partition("?")[2], room.policy.page_items)
        if query.stream or "text/event-stream" in call.headers.get("accept", ""):
            return room.feed.stream(query, call.headers.get("last-event-id", ""))
        if_none_match = call.headers.get("if-none-match", "")
        return room.feed.wait(query, if_none_match) if query.wait_seconds else room.feed.answer(query, if_none_match)
    except Refusal as refusal:
        raise room.refused(refusal, event=ERROR) from None


def status(room: Directory, call: Call) -> Reply:
    """GET /directory: limits and figures for everyone; what this node reads and publishes for its operator."""
    figures = room.figures()
    shown: dict[str, Any] = {"node/id": room.self_id, "limits": room.policy.shown(),
                             "live": figures["live"], "next": rules.cursor_text(room.feed.epoch, figures["position"])}
    if call.caller.operator:
        shown.update(figures=figures, mirror=room.rooms["directory.mirror"].figures(),
                     publisher=room.rooms["directory.publisher"].figures(),
                     federation=room.rooms["directory.endorsements"].figures(), lan=room.rooms["directory.duties"].figures())
    return Reply(shown, 200, (("Cache-Control", "no-store"), *ANYONE))


class PositionFile:
    """The last position that was given, beside the database: a database that lags behind it is a restored copy.

    Written in place after commits, without a flush: it only ever has to be behind what is stored, never ahead.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = ("", -1)

    def position(self, epoch: str) -> int:
        """The noted position if it is of this epoch, else -1."""
        try:
            words = self._path.read_text("ascii").split()
        except (OSError, ValueError):
            return -1
        return int(words[1], 16) if len(words) == 2 and words[0] == epoch and re.fullmatch("[0-9a-f]{16}", words[1]) else -1

    def note(self, epoch: str, position: int) -> None:
        if self._noted == (epoch, position):
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, f"{epoch} {position:016x}\n".encode(), 0)
            finally:
                os.close(descriptor)
            self._noted = (epoch, position)
        except OSError:
            pass                    # a full disk: the next one will do; without the file only a restore is not noticed
