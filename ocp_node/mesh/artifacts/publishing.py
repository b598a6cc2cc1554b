"""How bytes come in: in a peer's signed envelope (OCP 0.1 publish), or streamed by an operator."""

from __future__ import annotations

import binascii
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...base.errors import Busy, Refusal
from ...contract.route import Call, Reply, Write
from .. import values
from . import rules, table
from .blobs import Blob

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Artifacts

Members = dict[str, Any]

PUBLISH_ROUTE = "/mesh/artifacts/publish"
TIERS_REFUSED = frozenset({"market", "public"})
REQUEST_SECONDS = 86_400                 # a request that is sent again within a day gets the same artifact
LARGE_BYTES = 4 * 1024 * 1024            # of a request body; larger ones are taken apart one at a time
LARGE_AT_ONCE = 1


class Content:
    """What a publisher sent."""

    __slots__ = ("data", "media_type")

    def __init__(self, data: bytes, media_type: str) -> None:
        self.data = data
        self.media_type = media_type

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        import hashlib
        return hashlib.sha256(self.data).hexdigest()


class Publishing:
    """Takes contents in."""

    def __init__(self, room: Artifacts) -> None:
        self._room = room
        self._large = threading.Semaphore(LARGE_AT_ONCE)

    def publish(self, call: Call) -> Write:
        """What a peer signed is stored, once for each of its requests."""
        from ..dialect import DIALECT
        with self._taking(len(call.raw)):
            envelope = DIALECT.read(call.route, call.raw)
            DIALECT.check(call.route, envelope)
            signed = self._room.envelopes.open(PUBLISH_ROUTE, envelope)
            if signed.peer.trust_tier in TIERS_REFUSED:
                raise Refusal("policy_denied", "peer trust tier may not publish artifacts")
            artifact = _object(signed.body, "artifact")
            content = content_of(artifact, self._room.bytes_max)
            own = {"request_id": signed.request_id, "source_peer_id": signed.node_id}
            descriptor = described(artifact, content, own) | {"owner_peer_id": signed.node_id, "request_id": signed.request_id}
            rules.retention(descriptor["metadata"], descriptor["policy"], pinned=False, now=0)      # refused before bytes are kept
            check_expected(artifact, content)
            blob = self._room.put(content.data)
        return Write(lambda connection: self._publish(connection, signed, descriptor, blob), Reply)

    @contextmanager
    def _taking(self, size: int) -> Iterator[None]:
        """A large body needs several times its size for a moment: one at a time may have that."""
        if size <= LARGE_BYTES:
            yield
            return
        if not self._large.acquire(blocking=False):
            raise Busy("the artifact store", 2)
        try:
            yield
        finally:
            self._large.release()

    def _publish(self, connection: WriteConnection, signed: Any, descriptor: Members, blob: Blob) -> Members:
        room, now = self._room, int(connection.clock.time())
        room.envelopes.claim(connection, signed)
        earlier = table.answered(connection, signed.node_id, signed.request_id, now - REQUEST_SECONDS)
        found = room.find(connection, earlier) if earlier else None
        if found is not None:
            return {"status": "published", "artifact": found, "deduped": True}
        made = room.record(connection, descriptor, blob, remote=True)
        table.remember(connection, signed.node_id, signed.request_id, made["id"], now)
        return {"status": "published", "artifact": made}

    def upload(self, call: Call) -> Write:
        """The request's body is an artifact of this node; at no time is more than a piece of it in memory."""
        room, asked, reader = self._room, call.query, call.reader
        assert reader is not None
        expected = rules.bare(asked.digest)
        if asked.digest and not rules.is_digest(expected):
            raise Refusal("invalid_request", "digest must be a SHA-256 digest in hex")
        media_type = rules.media_type(asked.media_type or call.headers.get("content-type", ""), rules.BYTES_TYPE)
        descriptor = {"media_type": media_type, "metadata": asked.metadata(), "policy": {"classification": asked.classification}}
        rules.retention(descriptor["metadata"], descriptor["policy"], pinned=asked.pinned, now=0)
        room.check_room(reader.length or 0)
        with room.blobs.draft(room.streamed_max) as draft:
            for piece in reader:
                draft.write(piece)
            if expected and draft.digest != expected:
                raise Refusal("invalid_request", "artifact digest mismatch")
            blob = draft.keep()
        return Write(lambda connection: room.record(connection, descriptor, blob),
                     lambda made: Reply({"status": "published", "artifact": made}, 201))


def content_of(artifact: Mapping[str, Any], bytes_max: int) -> Content:
    """The bytes that the publisher means, of the first of `json`, `content_base64`, `content` that is there."""
    if artifact.get("json") is not None:
        made = rules.stored_bytes(artifact["json"]), rules.JSON_TYPE
    elif artifact.get("content_base64"):
        made = _decoded(artifact["content_base64"], bytes_max), rules.BYTES_TYPE
    elif artifact.get("content") is not None:
        made = rules.stored_bytes(artifact["content"]), rules.TEXT_TYPE
    elif artifact.get("content_base64") == "":
        made = b"", rules.BYTES_TYPE
    else:
        raise Refusal("invalid_request", "artifact content is required")
    if len(made[0]) > bytes_max:
        raise Refusal("too_large", "artifact too large")
    return Content(made[0], rules.media_type(artifact.get("media_type"), made[1]))


def _decoded(text: object, bytes_max: int) -> bytes:
    """Strict: a padded text of the standard alphabet and nothing else (RFC 4648 section 4)."""
    if isinstance(text, str) and len(text) // 4 * 3 - 2 > bytes_max:
        raise Refusal("too_large", "artifact too large")
    try:
        if isinstance(text, str):
            return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        pass
    raise Refusal("invalid_request", "content_base64 is not valid base64")


def described(artifact: Mapping[str, Any], content: Content, own: Mapping[str, Any]) -> Members:
    """What is stored beside the bytes, of what the publisher said."""
    given, provided, policy = (_object(artifact, name) for name in ("metadata", "descriptor", "policy"))
    rules.check_sizes(given, provided, policy)
    metadata = rules.published_metadata(given, {**own, "provided_descriptor": provided})
    return {"media_type": content.media_type, "metadata": metadata, "policy": policy or dict(rules.DEFAULT_POLICY)}


def check_expected(artifact: Mapping[str, Any], content: Content) -> None:
    """The bytes are what the publisher said they are, in the protocol's order; before any of them is stored."""
    provided = _object(artifact, "descriptor")
    sizes = [values.integer(each, "size_bytes") for each in (artifact.get("size_bytes"), provided.get("size"))]
    if any(size and size != len(content.data) for size in sizes):
        raise Refusal("invalid_request", "artifact size mismatch")
    if provided.get("mediaType") not in (None, "", content.media_type):
        raise Refusal("invalid_request", "artifact media type mismatch")
    for given, what in ((artifact.get("digest"), "artifact digest"), (provided.get("digest"), "artifact descriptor digest")):
        if given not in (None, "") and rules.bare(given) != content.digest:
            raise Refusal("invalid_request", f"{what} mismatch")


def _object(members: Mapping[str, Any], name: str) -> Members:
    value = members.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal("invalid_request", f"{name} must be an object")
    return value
