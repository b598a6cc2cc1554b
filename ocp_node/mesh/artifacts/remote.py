"""A peer as a source of artifacts (OCP 0.1 replication): the way to it, what it says of an artifact, and the bytes.

Nothing it says is believed but that it said so: sizes are bounds, digests are checked over the bytes themselves, paths are ignored.
A credential goes only to the address that has shown the peer's pinned key, on the one call that needs it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from ...base import jsontext
from ...base.clock import instant_seconds
from ...base.errors import Malformed, Refusal
from ...crypto import grants
from ...http.calls import OutboundError, peer_error, peer_refusal
from ...http.gates import is_loopback
from ...http.target import target_of
from ..peers import pins
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...http.outbound import Stream
    from ..peers.peer import Peer
    from .blobs import Blob, Blobs, Draft

Members = dict[str, Any]

PROOF_SECONDS = 300                  # a route that worked so lately needs no new proof
PROBE_SECONDS = 3.0
CANDIDATES_MAX = 4
CALL_SECONDS = 8.0
CONTENT_SECONDS = 30.0               # until the head of a content answer: the peer reads a large file through before
PIECE_SECONDS = 15.0                 # without a byte of it
TRANSFER_SECONDS = 3_600.0
RESUMES_MAX = 4                      # in one request, as long as each brings something
METADATA_ANSWER_BYTES_MAX = 1_048_576
JSON_ROOM_BYTES = 1_048_576          # of a JSON answer, for what stands around the base64
NO_AUTH = {"type": "none", "status": "not_used"}
_CUT = frozenset({"timeout", "reset", "closed", "unreachable", "refused"})


class RemoteAuth(NamedTuple):
    """What the operator gave for this very peer; it is never stored nor shown."""
    kind: str                        # none, operator_token, capability_grant
    token: str
    grant: Members

    def summary(self, used: bool = False) -> Members:
        """What may be stored and shown of it."""
        if self.kind == "operator_token":
            return {"type": self.kind, "status": "used", "redacted": True}
        if self.kind == "capability_grant":
            return grants.redacted(self.grant, "used" if used else "declared")
        return dict(NO_AUTH)


def remote_auth(given: Mapping[str, Any], now: float) -> RemoteAuth:
    """The credential of a request; `Refusal("invalid_request")` for one that cannot be used (OCP 0.1 remote_auth)."""
    kind = str(given.get("type") or "").strip().lower()
    if kind in ("", "none"):
        return RemoteAuth("none", "", {})
    if kind == "operator_token":
        token = str(given.get("token") or "").strip()
        if not token:
            raise Refusal("invalid_request", "remote_auth.operator_token requires a token")
        return RemoteAuth(kind, token, {})
    if kind == "signed_delegation":
        raise Refusal("invalid_request", "signed artifact delegation is reserved for a future protocol layer")
    if kind != "capability_grant":
        raise Refusal("invalid_request", f"unsupported remote_auth type: {kind[:64]}")
    inline = {name: value for name, value in given.items() if name not in ("type", "grant", "token", "status", "redacted")}
    grant = given["grant"] if isinstance(given.get("grant"), dict) else inline
    issues = grants.validate(grant, now)["issues"]
    if issues:
        raise Refusal("invalid_request", f"remote_auth.capability_grant {issues[0]['message']}")
    return RemoteAuth(kind, "", dict(grant))


class Remote(NamedTuple):
    """What a peer says of one of its artifacts, as far as it is taken over."""
    id: str
    digest: str
    size: int
    media_type: str
    owner_peer_id: str
    policy: Members
    metadata: Members
    download_url: str
    oci_digest: str


def remote_of(answer: object, artifact_id: str = "") -> Remote:
    """The peer's description; `Refusal("peer_refused")` for one that says too little."""
    if not isinstance(answer, dict):
        raise _told("remote artifact is not an object")
    digest, size, metadata = rules.bare(answer.get("digest")), answer.get("size_bytes"), answer.get("metadata")
    if not rules.is_digest(digest):
        raise _told("remote artifact missing digest")
    if type(size) is not int or not 0 <= size < 2**53:
        raise _told("remote artifact missing size")
    try:
        media_type = rules.media_type(answer.get("media_type"), rules.BYTES_TYPE)
        metadata = metadata if isinstance(metadata, dict) else {}
        policy = rules.policy(answer["policy"] if isinstance(answer.get("policy"), dict) else None)
        rules.check_sizes(metadata, None, policy)
    except Refusal as reason:
        raise _told(f"remote {reason.message}") from None
    descriptor = answer.get("oci_descriptor")
    return Remote(artifact_id or _text(answer, "id", 256), digest, size, media_type, _text(answer, "owner_peer_id", 128),
                  policy, metadata, _text(answer, "download_url", 2048), _text(descriptor, "digest", 80) if isinstance(descriptor, dict) else "")


def _text(members: Mapping[str, Any], name: str, length: int) -> str:
    value = members.get(name)
    return value.strip()[:length] if isinstance(value, str) else ""


def _told(text: str) -> Refusal:
    """The peer answered, and not as it should."""
    return Refusal("peer_refused", text)


def not_found() -> Refusal:
    return Refusal("not_found", "remote artifact not found")


class Source:
    """One peer while artifacts are copied from it.  Everything here waits: for long lanes."""

    def __init__(self, core: Core, rooms: Rooms, peer: Peer, base_url: str, proof: Members, auth: RemoteAuth, loopback: bool) -> None:
        self._core = core
        self._calls = rooms["mesh.calls"]
        self.peer = peer
        self.base_url = base_url
        self.proof = proof
        self.auth = auth
        self.granted = False             # the grant has opened something
        self._loopback = self._calls.may_loop(peer, loopback or None) if peer.base_urls else loopback or None
        self._certificate = pins.pin(peer, base_url)
        self._until = core.clock.monotonic() + TRANSFER_SECONDS

    # --- what it says

    def described(self, artifact_id: str, digest: str) -> Remote:
        """The artifact of that id, or else one with that content."""
        if artifact_id:
            return remote_of(self._asked(artifact_id), artifact_id)
        for item in self.listed({"limit": "1", "digest": digest}):
            if rules.bare(item.get("digest")) == digest and (found := _text(item, "id", 256)):
                return remote_of(self._asked(found), found)
        raise not_found()

    def listed(self, query: Mapping[str, str]) -> list[Members]:
        """The peer's artifacts with these properties; without a credential."""
        answer = self._json("/mesh/artifacts?" + urlencode({name: value for name, value in query.items() if value}), "list")
        items = answer.get("artifacts")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []

    def named(self, artifact_id: str) -> list[Members]:
        """The peer's artifact of that id, or none."""
        try:
            return [self._asked(artifact_id)]
        except Refusal as fault:
            if fault.code == "not_found":
                return []
            raise

    def _asked(self, artifact_id: str) -> Members:
        """Metadata are asked for without a credential; only a peer that wants one even for those gets it."""
        path = self._path(artifact_id)
        target = f"{path}?{urlencode({'peer_id': self._core.identity.node_id, 'include_content': '0'})}"
        try:
            return self._json(target, "metadata", self._grant_headers(path))
        except Refusal as reason:
            if reason.detail.get("peer_status") != 401 or self.auth.kind != "operator_token":
                raise
            return self._json(target, "metadata", self._token_headers())

    @staticmethod
    def _path(artifact_id: str) -> str:
        return "/mesh/artifacts/" + quote(artifact_id, safe="")

    def _json(self, path: str, what: str, headers: tuple[tuple[str, str], ...] = ()) -> Members:
        if self._core.clock.monotonic() > self._until:
            raise Refusal("peer_timeout", "the transfer took too long")
        try:
            answer = self._core.outbound.json("GET", self.base_url + path, headers=headers, timeout=CALL_SECONDS,
                                              bytes_max=METADATA_ANSWER_BYTES_MAX * (8 if what == "list" else 1),
                                              allow_loopback=self._loopback, pin_sha256=self._certificate)
        except OutboundError as error:
            raise self._refusal(error, what) from None
        if not isinstance(answer, dict):
            raise _told("remote artifact is not an object")
        return answer

    def _refusal(self, error: OutboundError, what: str) -> Refusal:
        """What our own caller is told of a call that failed."""
        if error.answer is not None and (error.answer.status == 404 or error.answer.status == 400
                                         and peer_error(error.answer).endswith("not found")):
            return not_found()
        made = peer_refusal(error)
        made.detail["peer_id"] = self.peer.peer_id
        if made.code == "peer_refused":
            status = error.answer.status if error.answer is not None else 0
            return Refusal(made.code, f"remote peer refused artifact {what} ({status})", made.detail)
        if made.code == "peer_unreachable" and error.kind != "tls":      # a certificate that is not right is told as it is
            return Refusal(made.code, "remote peer unreachable", made.detail)
        return made

    # --- credentials

    def _token_headers(self) -> tuple[tuple[str, str], ...]:
        """The peer's operator token, which the operator gave for it; on a line that others may hear only when that is allowed."""
        if self.auth.kind != "operator_token":
            return ()
        target = target_of(self.base_url)
        loopback = target.host == "localhost" or target.literal and is_loopback(target.host)
        if target.scheme != "https" and not loopback and not self._core.settings.allow_plain_token:
            raise Refusal("invalid_request", "remote_auth.operator_token is sent over https or to loopback, unless allow_plain_token "
                          "is set")
        return (("X-OCP-Operator-Token", self.auth.token),)

    def _grant_headers(self, path: str) -> tuple[tuple[str, str], ...]:
        """The grant with a fresh proof for this one request."""
        if self.auth.kind != "capability_grant":
            return ()
        return tuple(grants.present(self._core.identity, self.auth.grant, "GET", path, self._core.clock, self._core.ids).items())

    # --- the bytes

    def fetch(self, remote: Remote, blobs: Blobs) -> Blob:
        """The content on our disk, whose digest is the announced one; else nothing of it is kept but what a later try can go on from."""
        from .blobs import HEX
        assert HEX.fullmatch(remote.digest)
        with blobs.draft(remote.size, resume=remote.digest) as draft:
            resumed = draft.size > 0
            self._transfer(remote, draft)
            if resumed and (draft.size, draft.digest) != (remote.size, remote.digest):
                draft.restart()              # what an earlier try had left was not its beginning
                self._transfer(remote, draft)
            if draft.size != remote.size:
                draft.drop()
                raise _told("replicated artifact size mismatch")
            if draft.digest != remote.digest:
                draft.drop()
                raise _told("replicated artifact digest mismatch")
            return draft.keep()

    def digest_of(self, remote: Remote) -> str:
        """SHA-256 of what the peer sends for it; nothing is kept."""
        hashed = Hashed()
        self._transfer(remote, hashed)
        return hashed.digest

    def _transfer(self, remote: Remote, draft: Draft | Hashed) -> None:
        """The draft has everything, or the peer said that there is no more; cuts are mended as long as each try brings something."""
        for left in range(RESUMES_MAX, -1, -1):
            if remote.size and draft.size == remote.size:
                return
            before = draft.size
            try:
                self._receive(remote, draft)
                return
            except OutboundError as error:
                if error.answer is not None and error.answer.status == 416 and before and left:
                    draft.restart()
                elif error.kind not in _CUT or not left or draft.size == before:
                    raise self._broken_off(error, remote, draft) from None

    def _broken_off(self, error: OutboundError, remote: Remote, draft: Draft | Hashed) -> Refusal:
        """Why the content did not come; what came stays for a later try, unless the peer sent what it should not."""
        if error.kind == "too_large":
            draft.drop()
            return _told("replicated artifact size mismatch")
        if error.kind == "bad_answer":
            draft.drop()
        refusal = self._refusal(error, "content")
        if error.kind in _CUT:
            refusal.detail |= {"transferred_bytes": draft.size, "size_bytes": remote.size}
        return refusal

    def _receive(self, remote: Remote, draft: Draft | Hashed) -> None:
        with closing(self._opened(remote, draft.size)) as stream:
            self.granted |= self.auth.kind == "capability_grant" and \
                stream.headers.get("x-ocp-grant-used", "") == self.auth.grant.get("grant_id")
            if stream.headers.get("content-type", "").partition(";")[0].strip().lower() != rules.BYTES_TYPE:
                draft.restart()
                draft.write(self._from_json(stream, remote))
                return
            if draft.size and not _goes_on(stream, draft.size):
                draft.restart()
            for piece in self._pieces(stream):
                if draft.size + len(piece) > remote.size:
                    draft.drop()
                    raise _told("replicated artifact size mismatch")
                draft.write(piece)

    def _opened(self, remote: Remote, start: int) -> Stream:
        path = self._path(remote.id)
        query = urlencode({"peer_id": self._core.identity.node_id, "include_content": "1"})
        headers = [("Accept", "application/octet-stream, application/json;q=0.5"), *self._token_headers(), *self._grant_headers(path)]
        if start:
            headers += [("Range", f"bytes={start}-"), ("If-Range", f'"sha256:{remote.digest}"')]
        return self._core.outbound.open_stream(f"{self.base_url}{path}?{query}", headers=headers, timeout=CONTENT_SECONDS,
                                               chunk_timeout=PIECE_SECONDS, bytes_max=_answer_bytes_max(remote.size),
                                               allow_loopback=self._loopback, pin_sha256=self._certificate)

    def _pieces(self, stream: Stream) -> Iterator[bytes]:
        for piece in stream:
            if self._core.clock.monotonic() > self._until:
                raise OutboundError("timeout", "the transfer took too long")
            yield piece

    def _from_json(self, stream: Stream, remote: Remote) -> bytes:
        """The content in the protocol's JSON form, from a peer that does not send the bytes themselves."""
        raw = b"".join(self._pieces(stream))
        try:
            answer = jsontext.parse(raw)
        except Malformed:
            raise OutboundError("bad_answer", "the answer is not valid JSON") from None
        text = answer.get("content_base64") if isinstance(answer, dict) else None
        if not isinstance(text, str) or not text and remote.size:
            raise _told("remote artifact content missing")
        try:
            content = binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
        except ValueError:
            raise _told("remote artifact content is not valid base64") from None
        if len(content) != remote.size:
            raise _told("replicated artifact size mismatch")
        return content


class Hashed:
    """Takes bytes like a draft and keeps only their digest."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        import hashlib
        self._hash, self.size = hashlib.sha256(), 0

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)

    def drop(self) -> None:
        """There is nothing to drop."""

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _goes_on(stream: Stream, start: int) -> bool:
    """Is this the part that was asked for?"""
    return stream.status == 206 and stream.headers.get("content-range", "").startswith(f"bytes {start}-")


def _answer_bytes_max(size: int) -> int:
    return size // 3 * 4 + JSON_ROOM_BYTES


# --- the way to it

def source_of(core: Core, rooms: Rooms, peer_id: str, base_url: str, given_auth: Mapping[str, Any], loopback: bool) -> Source:
    """The peer, at an address that has lately answered as that peer with its pinned key.  The credential was looked at."""
    peer = rooms["mesh.peers"].find(peer_id)
    proof = _proof(core, rooms, peer, base_url, loopback) if peer is not None and peer.public_key else None
    if peer is None or proof is None:
        raise Refusal("peer_unreachable", "fresh reachable route required before artifact replication", {"peer_id": peer_id})
    return Source(core, rooms, peer, proof["best_route"], proof, remote_auth(given_auth, core.clock.time()), loopback)


def _proof(core: Core, rooms: Rooms, peer: Peer, base_url: str, loopback: bool) -> Members | None:
    """How we know that a route leads to the peer now (OCP 0.1 route proof), or None.  What a probe finds is kept with the peer."""
    known = {} if base_url else _known(peer, core.clock.time())
    if known:
        return known
    probing = rooms["mesh.routes"].probing()
    explicit = rooms["mesh.calls"].base_url(base_url) if base_url else ""
    found = probing.peers([peer], explicit, PROBE_SECONDS, 1 if explicit else CANDIDATES_MAX, loopback or None)[0]
    best = found["best_route"]
    return {"status": "fresh", "best_route": best, "source": "explicit_probe" if explicit else "probe", "checked_at": core.clock.text()} \
        if best else None


def _known(peer: Peer, now: float) -> Members:
    """The proof of a route that has lately led to the peer's key, or {}."""
    health = peer.metadata.get("route_health")
    if not isinstance(health, dict) or health.get("status") != "reachable":
        return {}
    try:
        age = now - instant_seconds(str(health.get("last_success_at") or ""))
    except (ValueError, OverflowError):
        return {}
    best = health.get("best_route")
    if not -PROOF_SECONDS <= age <= PROOF_SECONDS or not best or best != peer.metadata.get("last_reachable_base_url"):
        return {}
    return {"status": "fresh", "best_route": best, "source": "route_health", "checked_at": health.get("checked_at") or "",
            "last_success_at": health["last_success_at"]}


def likeliest(peer: Peer) -> str:
    """Where the peer probably is, "" when nothing is known."""
    return next((url.rstrip("/") for url in peer.base_urls if url.startswith(("http://", "https://"))), "")
