"""Copies of a peer's artifacts (OCP 0.1 replication); the steps are shared with copies of whole graphs.

Bytes are fetched and checked first, then everything is recorded in one change: a request leaves all of it or nothing.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed, Refusal
from ...contract.route import Call, Reply
from ..parts import optional
from ..peers.peer import compatibility
from . import governance, rules, upkeep
from .remote import Remote, Source, source_of

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection
    from .blobs import Blob
    from .room import Artifacts

Members = dict[str, Any]

WAIT_SECONDS = 120.0                 # for another request that copies the same content
PAYLOAD_BYTES_MAX = 4 * 1024 * 1024  # of a JSON content that is read for treaties and links


class Member:
    """One artifact of a request, on its way here."""

    def __init__(self, remote: Remote, reason: str = "", role: str = "") -> None:
        self.remote = remote
        self.reason = reason
        self.role = role
        self.blob: Blob | None = None            # fetched, and to be recorded
        self.payload: Any = None                 # its content, when that is JSON
        self.governance: Members = {}
        self.artifact: Members = {}              # as it is stored here
        self.healing = False                     # what was stored here is spoiled
        self.blob_id = ""                        # the id it will have here, where that is chosen before


class Replication:
    """Copies what an operator asks for."""

    def __init__(self, core: Core, rooms: Rooms, room: Artifacts) -> None:
        self._core = core
        self._rooms = rooms
        self._room = room
        self._locks: weakref.WeakValueDictionary[str, _Lock] = weakref.WeakValueDictionary()
        self._door = threading.Lock()

    # --- one artifact

    def replicate(self, call: Call) -> Reply:
        """POST /mesh/artifacts/replicate."""
        asked = call.body
        artifact_id, digest = wanted(asked)
        local = self.local(digest) if digest else None
        if local is not None:
            return Reply(self._core.writer.run(lambda connection: self._hit(connection, local, asked, {})))
        source = self.source(call)
        remote = source.described(artifact_id, digest)
        if digest and remote.digest != digest:
            raise Refusal("peer_refused", "remote artifact digest mismatch")
        member = Member(remote)
        member.governance = self.govern(source, remote.metadata, None)
        with self.one_at_a_time(remote.digest):
            if self.local(remote.digest) is None:
                self.fetch(source, member)
            return Reply(self._core.writer.run(lambda connection: self._store(connection, source, member, asked)))

    def _store(self, connection: WriteConnection, source: Source, member: Member, asked: Any) -> Members:
        """The answer for what is here now: it was there, or somebody else was faster, or it was fetched."""
        local = None if member.healing else self._room.with_digest(connection, member.remote.digest)
        if local is not None:
            return self._hit(connection, local, asked, source.proof, member.remote.id)
        if member.blob is None:
            raise Refusal("conflict", "the artifact was removed meanwhile")
        return self.record(connection, source, member, asked.pin, source.proof)

    def source(self, call: Call) -> Source:
        """The peer that the request names, with a proven way to it."""
        asked = call.body
        return source_of(self._core, self._rooms, asked.peer_id.strip(), asked.base_url.strip(), asked.remote_auth or {},
                         call.caller.loopback)

    def _hit(self, connection: WriteConnection, local: Members, asked: Any, proof: Members, source_id: str = "") -> Members:
        """It is here already; a pin that is asked for is set."""
        connection.event("mesh.artifact.sync.local_hit", peer_id=asked.peer_id.strip(),
                         payload={"artifact_id": local["id"], "digest": local["digest"]})
        artifact = self.pinned(connection, local, asked.pin)
        source = {"peer_id": asked.peer_id.strip(), "artifact_id": source_id or asked.artifact_id.strip(), "digest": local["digest"]}
        return {"status": "already_present", "artifact": artifact, "source": source, **({"route_proof": proof} if proof else {})}

    def pinned(self, connection: WriteConnection, local: Members, pin: bool) -> Members:
        """The local artifact, pinned if that is asked for."""
        if not pin or local["pinned"]:
            return local
        return upkeep.pin(self._room, connection, local["id"], True, "replicate_pin")

    def local(self, digest: str) -> Members | None:
        """An artifact here with that content, if its bytes are sound."""
        with self._room.snapshot() as connection:
            found = self._room.with_digest(connection, digest)
        return found if found is not None and self._room.delivery.is_sound(found) else None

    @contextmanager
    def one_at_a_time(self, digest: str) -> Iterator[None]:
        """Nobody else copies this content meanwhile; who comes second finds what the first has stored."""
        with self._door:
            lock = self._locks.get(digest)
            if lock is None:
                lock = self._locks[digest] = _Lock()
        if not lock.lock.acquire(timeout=WAIT_SECONDS):
            raise Refusal("conflict", "this artifact is being transferred already")
        try:
            yield
        finally:
            lock.lock.release()

    # --- steps that a graph shares

    def govern(self, source: Source, metadata: Mapping[str, Any], payload: object) -> Members:
        """The governance record of an artifact that treaties bind, {} of one they do not; `Refusal` when they forbid the copy."""
        required = governance.requirements(metadata, payload)
        if not required:
            return {}
        treaties = optional(self._rooms, "mesh.treaties")
        validation = governance.unmet(required)
        if treaties is not None:
            with self._room.snapshot() as connection:
                validation = treaties.validate(connection, required, governance.OPERATION)
        return governance.admit(required, validation, compatibility(source.peer, self._rooms["mesh.device_profile"].custody()))

    def fetch(self, source: Source, member: Member) -> None:
        """The member's bytes are here, with the announced digest, and nothing in them forbids the copy."""
        remote = member.remote
        self._room.check_size(remote.size)
        self._room.check_room(remote.size)
        with self._room.snapshot() as connection:
            member.healing = self._room.with_digest(connection, remote.digest) is not None
        member.blob = source.fetch(remote, self._room.blobs)
        member.payload = self.payload(remote.media_type, remote.digest, remote.size)
        member.governance = self.govern(source, remote.metadata, member.payload) or member.governance

    def payload(self, media_type: str, digest: str, size: int) -> Any:
        """The content as a JSON value; None when it is none, or too large to be looked into."""
        kind = media_type.partition(";")[0].strip().lower()
        if size > PAYLOAD_BYTES_MAX or not (kind == rules.JSON_TYPE or kind.endswith("+json")):
            return None
        try:
            return jsontext.parse(self._room.blobs.read(digest, size))
        except Malformed:
            return None

    def record(self, connection: WriteConnection, source: Source, member: Member, pin: bool, proof: Members,
               known_as: Mapping[str, str] | None = None) -> Members:
        """The member is an artifact of this node now, marked as a copy; gives the answer of the protocol."""
        remote, blob, now = member.remote, member.blob, connection.clock.text()
        assert blob is not None
        auth = source.auth.summary(source.granted)
        verification = verification_json("verified", "replicated_from_peer", now, source.peer.peer_id, remote.id, blob.digest,
                                         remote.digest, (True, True, True))
        sync = {"mode": "pull-through", "pinned": pin, "source_peer_id": source.peer.peer_id, "source_artifact_id": remote.id,
                "source_digest": remote.digest, "route_proof": proof, "remote_auth": auth, "synced_at": now, "verified_at": now,
                "verification_status": "verified", **({"source_ids": dict(known_as)} if known_as else {})}
        metadata = {**{name: value for name, value in remote.metadata.items() if name != "integrity"},
                    "replicated_from_peer_id": source.peer.peer_id, "replicated_from_artifact_id": remote.id,
                    "replicated_from_download_url": remote.download_url, "cas_origin_digest": remote.digest, "pinned": pin,
                    "mirror_verification": verification, "artifact_sync": sync}
        artifact = self._room.record(connection, {
            "media_type": remote.media_type, "owner_peer_id": remote.owner_peer_id or source.peer.peer_id, "metadata": metadata,
            "policy": rules.stricter(remote.policy, rules.DEFAULT_POLICY), "id": member.blob_id},
            blob, remote=True, lenient=True)
        member.artifact = artifact
        connection.event("mesh.artifact.replicated", peer_id=source.peer.peer_id, payload={
            "artifact_id": artifact["id"], "digest": blob.digest, "source_artifact_id": remote.id, "pinned": pin, "route_proof": proof,
            "remote_auth": auth, "treaty_requirements": member.governance.get("treaty_requirements", [])})
        return {"status": "replicated", "artifact": artifact, "source": source_json(source, remote), "verification": verification,
                "route_proof": proof, "remote_auth": auth, **({"governance": member.governance} if member.governance else {})}


class _Lock:
    """Held by the request that copies one content."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


def verification_json(status: str, reason: str, checked_at: str, peer_id: str, source_artifact_id: str, local_digest: str,
                      remote_digest: str, same: tuple[bool, bool, bool]) -> Members:
    """How a copy compares with its source (OCP 0.1 mirror verification); `same`: size, media type, descriptor."""
    return {"status": status, "verified": status == "verified", "reason": reason, "checked_at": checked_at, "peer_id": peer_id,
            "source_artifact_id": source_artifact_id, "local_digest": local_digest, "remote_digest": remote_digest,
            "size_match": same[0], "media_type_match": same[1], "descriptor_match": same[2]}


def wanted(asked: Any) -> tuple[str, str]:
    """The id and the bare digest that a request names; `Refusal` when it names too little."""
    artifact_id, digest = asked.artifact_id.strip(), rules.bare(asked.digest)
    if not asked.peer_id.strip():
        raise Refusal("invalid_request", "peer_id is required")
    if not artifact_id and not digest:
        raise Refusal("invalid_request", "artifact_id or digest is required")
    return artifact_id, digest


def source_json(source: Source, remote: Remote) -> Members:
    """Where a copy came from."""
    return {"peer_id": source.peer.peer_id, "artifact_id": remote.id, "digest": remote.digest}
