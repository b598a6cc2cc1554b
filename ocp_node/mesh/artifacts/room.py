"""Artifacts of this node (OCP 0.1 artifacts): bytes with a digest, and records of who published them.

Bytes are stored first and counted second:

    blob = artifacts.put(content)                                    # any thread but the loop, never inside a change
    ... in the change: artifact = artifacts.record(connection, {"media_type": ..., "metadata": {...}}, blob)

A blob whose record is never made is swept; a record whose change is undone was never there.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...base import limits
from ...base.errors import Busy, Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...store import folder
from .. import values
from ..lists import bounded
from . import rules, table, upkeep
from .blobs import Blob, Blobs, full
from .upkeep import Sweeper

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .delivery import Delivery
    from .gate import Gate
    from .graph import Graphs
    from .mirror import Mirrors
    from .publishing import Publishing
    from .replication import Replication

__all__ = ["Artifacts", "Blob", "build"]

Members = dict[str, Any]

PURGED_PER_READ = 20                 # expired artifacts that a reader's visit removes, besides the sweep
PURGED_MAX = 1_000                   # ... and that one request to purge removes
QUICK_BYTES = 262_144                # of a content that no thread of its own is needed for (`delivery.SMALL_BYTES`)
GRANT_HEADER = "x-ocp-capability-grant"
LIST_BYTES_MAX = 8 * 1024 * 1024     # of metadata in one list, so that a page fits the memory of a small device


class Artifacts:
    """The store.  Blobs are files, records are rows."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._settings = core.settings
        self.node_id = core.identity.node_id
        self.blobs = Blobs(core.data / "artifacts", core.clock, core.ids)
        self.sweeper = Sweeper(core, self)
        self._asked: set[str] = set()        # changes that readers have caused and that are not made yet
        self._parts: dict[str, Any] = {}
        self._making = threading.RLock()

    # --- what does the work; loaded when first needed, for the room itself is there from the start

    @property
    def delivery(self) -> Delivery:
        """How contents leave."""
        return self._part("delivery", lambda module: module.Delivery(self.blobs, self._core.clock))

    @property
    def gate(self) -> Gate:
        """Who may have them."""
        return self._part("gate", lambda module: module.Gate(self._core, self._rooms))

    @property
    def publishing(self) -> Publishing:
        """How contents come in."""
        return self._part("publishing", lambda module: module.Publishing(self))

    @property
    def replication(self) -> Replication:
        """How they are copied."""
        return self._part("replication", lambda module: module.Replication(self._core, self._rooms, self))

    @property
    def graphs(self) -> Graphs:
        """... with all they refer to."""
        return self._part("graph", lambda module: module.Graphs(self._core, self, self.replication))

    @property
    def mirrors(self) -> Mirrors:
        """How copies are compared with their source."""
        return self._part("mirror", lambda module: module.Mirrors(self._core, self._rooms, self))

    def _part(self, name: str, make: Callable[[Any], Any]) -> Any:
        """The part of that module, made once however many ask at the same moment."""
        made = self._parts.get(name)
        if made is None:
            with self._making:
                made = self._parts.get(name)
                if made is None:
                    made = self._parts[name] = make(importlib.import_module(f"{__package__}.{name}"))
        return made

    @property
    def envelopes(self) -> Any:
        """Opens what peers sign."""
        return self._rooms["mesh.envelopes"]

    # --- bounds

    @property
    def bytes_max(self) -> int:
        """Of one artifact that comes in one message, or from a peer."""
        return int(self._settings.artifacts_max_bytes)

    @property
    def streamed_max(self) -> int:
        """Of one artifact that an operator streams in: what the store holds, unless the operator has set a bound for all."""
        named = self._settings.origin("artifacts_max_bytes") != "default"
        return int(self._settings.artifacts_max_bytes if named else self._settings.artifacts_max_total_bytes)

    @property
    def envelope_bytes_max(self) -> int:
        """Of a request that publishes: base64 takes a third more, and JSON stands around it."""
        return self.bytes_max * 7 // 5 + 1_048_576

    @property
    def remote_seconds_max(self) -> float:
        """How long a peer's artifact is kept at most."""
        return float(self._settings.artifacts_max_remote_retention_seconds)

    def check_size(self, size: int) -> None:
        """`Refusal` for more bytes than one artifact may have."""
        if size > self.bytes_max:
            raise Refusal("too_large", "artifact too large")

    def check_room(self, size: int) -> None:
        """`Refusal` when so many more bytes cannot be kept at all."""
        if size > self.streamed_max:
            raise Refusal("too_large", "artifact too large")
        if size > self._settings.artifacts_max_total_bytes or size + limits.FREE_BYTES_MIN > folder.free_bytes(self._core.data):
            raise full()

    def is_quick(self, path: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Will the content asked for be answered at once: is it small, and opened without a grant, which costs a change?  On the loop."""
        if GRANT_HEADER in headers:
            return False
        with self.snapshot() as connection:
            return table.size_of(connection, path["artifact_id"]) <= QUICK_BYTES

    # --- storing

    def put(self, content: bytes) -> Blob:
        """The bytes are on the disk, and stay there while the blob is held.  `Refusal` when they are too many or the disk is full."""
        return self.put_all([content])[0]

    def put_all(self, contents: Iterable[bytes]) -> list[Blob]:
        """The same for several contents, for less than one by one."""
        contents = list(contents)
        for content in contents:
            self.check_size(len(content))
        return self.blobs.put_all(contents)

    def record(self, connection: WriteConnection, descriptor: Mapping[str, Any], blob: Blob, *, remote: bool = False,
               lenient: bool = False) -> Members:
        """The blob is an artifact now, with an event that says so; inside a change.

        `descriptor`: id, media_type, policy, metadata, owner_peer_id, request_id; each may be missing.  `remote`: a peer published
        it or it is a copy of a peer's, so it is kept no longer than peers may ask for, unless it is pinned.  `lenient`: what cannot be read of its retention is passed over.
        """
        stored = self._made(connection, descriptor, blob, remote, lenient)
        if not table.counted(connection, blob.digest):
            upkeep.make_room(connection, self.sweeper, blob.size, self._settings.artifacts_max_total_bytes)
        self._add(connection, stored)
        connection.event("mesh.artifact.published", peer_id=stored["owner_peer_id"], request_id=str(descriptor.get("request_id") or ""),
                         payload={"artifact_id": stored["id"], "digest": blob.digest, "media_type": stored["media_type"],
                                  "retention_class": stored["retention_class"]})
        return self.shown(stored)

    def _made(self, connection: WriteConnection, descriptor: Mapping[str, Any], blob: Blob, remote: bool, lenient: bool) -> Members:
        media_type = rules.media_type(descriptor.get("media_type"), rules.BYTES_TYPE)
        metadata = rules.with_facts(descriptor.get("metadata") or {}, blob.digest, blob.size, media_type)
        rules.check_sizes(metadata)
        given = descriptor.get("policy")
        kept = rules.retention(metadata, given or {}, pinned=rules.pinned(metadata), now=connection.clock.time(), lenient=lenient,
                               remote_seconds_max=self.remote_seconds_max if remote else None)
        return {"id": descriptor.get("id") or connection.ids.uuid(), "digest": blob.digest, "media_type": media_type,
                "size_bytes": blob.size, "owner_peer_id": descriptor.get("owner_peer_id") or self.node_id, "policy": rules.policy(given),
                "metadata": metadata, "retention_class": kept.retention_class, "retention_deadline_at": kept.deadline_at,
                "created_at": connection.clock.text()}

    def _add(self, connection: WriteConnection, stored: Members) -> None:
        metadata = stored["metadata"]
        searched = {"artifact_kind": rules.kind_of(metadata),
                    **{name: rules.text_of(metadata, name) for name in ("job_id", "attempt_id", "parent_artifact_id")}}
        table.add(connection, stored, searched, rules.pinned(metadata))

    # --- finding

    def find(self, connection: Any, artifact_id: str) -> Members | None:
        """The artifact as operators see it, or None; inside a change or a snapshot."""
        stored = table.find(connection, artifact_id, self._core.clock.text())
        return self.shown(stored) if stored else None

    def with_digest(self, connection: Any, digest: str) -> Members | None:
        """The newest artifact with that content, or None."""
        stored = table.newest_of(connection, rules.bare(digest), self._core.clock.text())
        return self.shown(stored) if stored else None

    def content(self, artifact: Mapping[str, Any]) -> bytes:
        """The artifact's bytes, which have its digest; not on the loop.  `Refusal` when they are gone or spoiled."""
        try:
            return self.blobs.read(artifact["digest"], artifact["size_bytes"])
        except Refusal as fault:
            self.note_spoiled(artifact, fault)
            raise

    def note_spoiled(self, artifact: Mapping[str, Any], fault: Refusal) -> None:
        """That the bytes are not what they were is remembered, and told."""
        if fault.code == "corrupted":
            self._soon(artifact["id"], lambda connection: self._mark_corrupted(connection, artifact["id"]))

    def _mark_corrupted(self, connection: WriteConnection, artifact_id: str) -> None:
        stored = table.find(connection, artifact_id, connection.clock.text())
        if stored is None or (stored["metadata"].get("integrity") or {}).get("status") == "corrupted":
            return
        integrity = {"status": "corrupted", "checked_at": connection.clock.text()}
        table.set_metadata(connection, artifact_id, {**stored["metadata"], "integrity": integrity})
        connection.event("mesh.artifact.corrupted", payload={"artifact_id": artifact_id, "digest": stored["digest"]})

    def shown(self, stored: Mapping[str, Any]) -> Members:
        """A row as operators see it."""
        return rules.shown(stored, self._core.base_url)

    def json_bytes(self, value: object) -> bytes:
        """How a JSON value is stored (OCP 0.1 artifact encodings)."""
        return rules.stored_bytes(value)

    # --- what is over

    def purge(self, connection: WriteConnection, limit: int, until: str = "") -> Members:
        """At most `limit` artifacts whose time is over (by `until`, else by now) are gone, the oldest first.  Gives the counts."""
        return upkeep.purge(connection, self.sweeper, limit, until)

    def visit(self, connection: Any, limit: int) -> None:
        """A reader came by: what is over goes, though the reader does not wait for it (it is not shown in any case)."""
        deadline = table.next_deadline(connection)
        if deadline and deadline <= self._core.clock.text():
            self._soon("visit", lambda change: self.purge(change, limit))

    def _soon(self, name: str, change: Callable[[WriteConnection], object]) -> None:
        """The change is made when the store comes to it, once however many readers ask; a store that is busy leaves it to the next."""
        if name in self._asked:
            return
        self._asked.add(name)
        try:
            self._core.writer.submit(change, lambda result, fault: self._asked.discard(name))
        except Busy:
            self._asked.discard(name)

    def weight(self) -> tuple[int, int]:
        """What all contents weigh, in bytes, and how many there are."""
        with self.snapshot() as connection:
            return table.weight(connection)

    def search(self, connection: Any, filters: Mapping[str, str], limit: int, private: bool = True) -> list[Members]:
        """The newest artifacts with these properties."""
        found = table.matching(connection, filters, self._core.clock.text(), limit, private=private, bytes_max=LIST_BYTES_MAX)
        return [self.shown(stored) for stored in found]

    def snapshot(self) -> Any:
        """One moment of the store, for `with`."""
        return self._core.reader.snapshot()


def build(core: Core, rooms: Rooms) -> Artifacts:
    """The room; its sweep runs from now on, and what it holds is measured."""
    room = Artifacts(core, rooms)
    core.measures.gauge("ocp_artifact_bytes", "What the contents of all artifacts weigh.", lambda: float(room.weight()[0]))
    core.measures.gauge("ocp_artifact_blobs", "Contents that artifacts have.", lambda: float(room.weight()[1]))
    return room


def list_all(room: Artifacts, call: Call) -> Reply:
    """GET /mesh/artifacts."""
    filters = call.query.filters()
    limit = bounded(call.query.limit, when_zero=25)
    trusted = call.caller.trusted_view
    with room.snapshot() as connection:
        found = room.search(connection, filters, limit, private=trusted)
        room.visit(connection, max(PURGED_PER_READ, limit))
    shown = found if trusted else [rules.public_view(artifact) for artifact in found]
    return Reply({"peer_id": room.node_id, "count": len(shown), "artifacts": shown, "filters": filters})


def show(room: Artifacts, call: Call) -> Reply:
    """GET /mesh/artifacts/{artifact_id}: the metadata, or the content as well for who may have it."""
    if not call.query.include_content:
        return _metadata(room, call)
    from . import delivery
    artifact = _visited(room, call.path["artifact_id"])
    part = delivery.asked_part(call.headers.get("range", ""), artifact["size_bytes"]) if artifact else None
    raw = call.query.raw or delivery.wants_bytes(call.headers)
    presented = room.gate.admit_content(call, artifact)
    if artifact is None:
        raise Refusal("not_found", "artifact not found")
    descriptor = _opened(room, artifact)
    try:
        grant_id = room.gate.spend(call, presented, artifact["id"], resumed=bool(raw and part and part[0] > 0))
    except BaseException:
        os.close(descriptor)
        raise
    used = (("X-OCP-Grant-Used", grant_id),) if grant_id.isascii() and grant_id else ()
    if raw:
        return delivery.raw_reply(artifact, descriptor, call.headers, used)
    return delivery.json_reply(_view(call, artifact), descriptor, artifact["size_bytes"], used)


def _opened(room: Artifacts, artifact: Members) -> int:
    try:
        return room.delivery.open(artifact)
    except Refusal as fault:
        room.note_spoiled(artifact, fault)
        raise


def _metadata(room: Artifacts, call: Call) -> Reply:
    artifact = _visited(room, call.path["artifact_id"])
    room.gate.admit_metadata(call, artifact)
    if artifact is None:
        raise Refusal("not_found", "artifact not found")
    return Reply(_view(call, artifact))


def _visited(room: Artifacts, artifact_id: str) -> Members | None:
    with room.snapshot() as connection:
        found = room.find(connection, artifact_id)
        room.visit(connection, PURGED_PER_READ)
    return found


def _view(call: Call, artifact: Members) -> Members:
    return artifact if call.caller.trusted_view else rules.public_view(artifact)


def publish(room: Artifacts, call: Call) -> Write:
    """POST /mesh/artifacts/publish."""
    return room.publishing.publish(call)


def upload(room: Artifacts, call: Call) -> Write:
    """PUT /mesh/artifacts/content."""
    return room.publishing.upload(call)


def pin(room: Artifacts, call: Call) -> Write:
    """POST /mesh/artifacts/pin."""
    artifact_id, reason = call.body.artifact_id.strip(), call.body.reason.strip() or "operator_pin"
    pinned = values.boolean(call.body.pinned, "pinned", True)
    return Write(lambda connection: upkeep.pin(room, connection, artifact_id, pinned, reason),
                 lambda artifact: Reply({"status": "ok", "artifact": artifact}))


def purge(room: Artifacts, call: Call) -> Write:
    """POST /mesh/artifacts/purge."""
    limit = max(1, min(values.integer(call.body.limit, "limit", 100), PURGED_MAX))
    return Write(lambda connection: room.purge(connection, limit),
                 lambda counts: Reply({"status": "ok", "peer_id": room.node_id, **counts}))


def delete(room: Artifacts, call: Call) -> Write:
    """DELETE /mesh/artifacts/{artifact_id}."""
    artifact_id = call.path["artifact_id"]
    return Write(lambda connection: upkeep.delete(connection, room.sweeper, artifact_id),
                 lambda freed: Reply({"status": "deleted", "artifact_id": artifact_id, "freed_bytes": freed}))


def replicate(room: Artifacts, call: Call) -> Reply:
    """POST /mesh/artifacts/replicate."""
    return room.replication.replicate(call)


def replicate_graph(room: Artifacts, call: Call) -> Reply:
    """POST /mesh/artifacts/replicate-graph."""
    return room.graphs.replicate(call)


def verify_mirror(room: Artifacts, call: Call) -> Reply:
    """POST /mesh/artifacts/verify-mirror."""
    return room.mirrors.verify(call)
