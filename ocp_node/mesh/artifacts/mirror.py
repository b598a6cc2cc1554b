"""How a copy compares with its source (OCP 0.1 mirror verification): our bytes are read again, the peer's description is compared,
and on request its bytes as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply
from . import rules, table
from .remote import Remote, Source, likeliest, remote_auth, remote_of
from .replication import verification_json

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection
    from .room import Artifacts

Members = dict[str, Any]

NOTHING_SAME = (False, False, False)


class Mirrors:
    """Compares copies with their sources."""

    def __init__(self, core: Core, rooms: Rooms, room: Artifacts) -> None:
        self._core = core
        self._rooms = rooms
        self._room = room

    def verify(self, call: Call) -> Reply:
        """POST /mesh/artifacts/verify-mirror.  What was found is kept; that the peer could not be asked is kept as well."""
        asked = call.body
        with self._room.snapshot() as connection:
            artifact = self._room.find(connection, asked.artifact_id.strip())
        if artifact is None:
            raise Refusal("not_found", "artifact not found")
        peer_id, source_id, digest = named_source(asked, artifact)
        try:
            found = self._compared(call, artifact, peer_id, source_id, digest)
        except Refusal as fault:
            if fault.code in ("peer_unreachable", "peer_timeout", "peer_refused"):
                code, text = fault.code, fault.message
                self._core.writer.run(lambda connection: self._note_error(connection, artifact["id"], code, text))
            raise
        return Reply(self._core.writer.run(lambda connection: self._note(connection, artifact["id"], found)))

    def _compared(self, call: Call, artifact: Members, peer_id: str, source_id: str, digest: str) -> Members:
        source = self._source(call, peer_id)
        items = [item for item in source.listed({"limit": "10", "digest": digest}) if not source_id or item.get("id") == source_id]
        if not items and source_id and artifact["policy"]["classification"] == "private":
            items = [item for item in source.named(source_id) if rules.bare(item.get("digest")) == digest]      # no list shows those
        if not items:
            return self._verification("missing_remote", "remote_artifact_not_found", artifact, peer_id, source_id, "", NOTHING_SAME)
        item = items[0]
        remote_digest, same = rules.bare(item.get("digest")), compared(artifact, item)
        source_id = source_id or str(item.get("id") or "")[:256]
        status, reason = "mismatch", "remote_descriptor_mismatch"
        if not self._room.delivery.is_sound(artifact):
            reason = "local_content_corrupted"
        elif all(same) and remote_digest == artifact["digest"]:
            status, reason = self._deep(source, remote_of(item, source_id)) if call.body.deep else ("verified", "remote_descriptor_match")
        return self._verification(status, reason, artifact, peer_id, source_id, remote_digest, same)

    def _deep(self, source: Source, remote: Remote) -> tuple[str, str]:
        """The peer's own bytes are read as well."""
        same = source.digest_of(remote) == remote.digest
        return ("verified", "remote_content_match") if same else ("mismatch", "remote_content_mismatch")

    def _source(self, call: Call, peer_id: str) -> Source:
        """The peer where it was last; it is not asked to prove itself, for nothing it says is taken over."""
        peer = self._rooms["mesh.peers"].find(peer_id)
        url = likeliest(peer) if peer is not None else ""
        if peer is None or not url:
            raise Refusal("not_found", "peer endpoint_url is unavailable", {"peer_id": peer_id})
        auth = remote_auth(call.body.remote_auth or {}, self._core.clock.time()) if call.body.deep else remote_auth({}, 0)
        return Source(self._core, self._rooms, peer, url, {}, auth, call.caller.loopback)

    def _verification(self, status: str, reason: str, artifact: Members, peer_id: str, source_id: str, remote_digest: str,
                      same: tuple[bool, bool, bool]) -> Members:
        return verification_json(status, reason, self._core.clock.text(), peer_id, source_id, artifact["digest"], remote_digest, same)

    def _note(self, connection: WriteConnection, artifact_id: str, found: Members) -> Members:
        """What was found stands beside the copy, in place of what an earlier check had found."""
        stored = self._stored(connection, artifact_id)
        sync = {name: value for name, value in _sync(stored).items() if name != "last_check_error"}
        sync |= {"verified_at": found["checked_at"], "verification_status": found["status"]}
        metadata = {**stored["metadata"], "mirror_verification": found, "artifact_sync": sync}
        table.set_metadata(connection, artifact_id, metadata)
        connection.event("mesh.artifact.mirror.verified", peer_id=found["peer_id"], payload={
            "artifact_id": artifact_id, "digest": stored["digest"], "status": found["status"],
            "source_artifact_id": found["source_artifact_id"]})
        return {"status": found["status"], "artifact": self._room.shown({**stored, "metadata": metadata}), "verification": found}

    def _note_error(self, connection: WriteConnection, artifact_id: str, code: str, text: str) -> None:
        stored = self._stored(connection, artifact_id)
        error = {"at": connection.clock.text(), "code": code, "error": text}
        table.set_metadata(connection, artifact_id, {**stored["metadata"],
                                                     "artifact_sync": {**_sync(stored), "last_check_error": error}})

    def _stored(self, connection: WriteConnection, artifact_id: str) -> Members:
        stored = table.find(connection, artifact_id, connection.clock.text())
        if stored is None:
            raise Refusal("not_found", "artifact not found")
        return stored


def named_source(asked: Any, artifact: Mapping[str, Any]) -> tuple[str, str, str]:
    """Peer, id and digest of the source: as the request names them, else as the copy was made."""
    sync, metadata = artifact["artifact_sync"], artifact["metadata"]
    peer_id = asked.peer_id.strip() or rules.text_of(sync, "source_peer_id") or rules.text_of(metadata, "replicated_from_peer_id")
    if not peer_id:
        raise Refusal("invalid_request", "peer_id is required for mirror verification")
    source_id = (asked.source_artifact_id.strip() or rules.text_of(sync, "source_artifact_id")
                 or rules.text_of(metadata, "replicated_from_artifact_id"))
    return peer_id, source_id, rules.bare(asked.digest) or rules.text_of(sync, "source_digest") or artifact["digest"]


def compared(artifact: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Size, media type and descriptor of the copy and of what the peer lists: which are the same?"""
    descriptor = item.get("oci_descriptor")
    named = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return (item.get("size_bytes") == artifact["size_bytes"], item.get("media_type") == artifact["media_type"],
            named == f"sha256:{rules.bare(item.get('digest'))}")


def _sync(stored: Mapping[str, Any]) -> Members:
    sync = stored["metadata"].get("artifact_sync")
    return sync if isinstance(sync, dict) else {}
