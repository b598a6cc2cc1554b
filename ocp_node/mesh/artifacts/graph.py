"""Copies of a peer's artifact with all it refers to (OCP 0.1 graph replication).

First everything is described and judged, then the bytes are fetched and checked, then one change records all of it.
Ids in copied documents are those of the producing node; `source_ids` of the root says what they are called here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...contract.route import Call, Reply
from . import rules
from .remote import Remote, Source, remote_of
from .replication import Member, Replication, source_json, wanted

if TYPE_CHECKING:
    from ...core import Core
    from ...store.writer import WriteConnection
    from .room import Artifacts

Members = dict[str, Any]

MEMBERS_MAX = 200
DEPTH_MAX = 5
ATTEMPT_SET_MAX = 20
WITHOUT_ROUTE = {"status": "skipped", "reason": "in_process_client"}
LINK_KEYS = ("primary_artifact_id", "subject_artifact_id", "config_artifact_id", "attestation_artifact_id")


class Link(NamedTuple):
    """What one artifact says of another."""
    id: str
    digest: str
    reason: str
    role: str
    item: Members | None = None          # the peer's description, when its list had it


class Graphs:
    """Copies roots with their members."""

    def __init__(self, core: Core, room: Artifacts, replication: Replication) -> None:
        self._core = core
        self._room = room
        self._replication = replication

    def replicate(self, call: Call) -> Reply:
        """POST /mesh/artifacts/replicate-graph."""
        asked = call.body
        if not asked.peer_id.strip():
            raise Refusal("invalid_request", "peer_id is required")
        source = self._replication.source(call)
        artifact_id, digest = wanted(asked)
        remote = source.described(artifact_id, digest)
        if digest and remote.digest != digest:
            raise Refusal("peer_refused", "remote artifact digest mismatch")
        walk = Walk(self._replication, source, asked.allow_partial)
        walk.go(Member(remote), max(1, min(asked.depth, DEPTH_MAX)))
        return Reply(self._core.writer.run(lambda connection: self._record(connection, source, walk, asked.pin)))

    def _record(self, connection: WriteConnection, source: Source, walk: Walk, pin: bool) -> Members:
        """Every member is an artifact here, the root last, as it knows what the others are called."""
        for member in walk.members:
            member.artifact = member.artifact or self._room.with_digest(connection, member.remote.digest) or {}
            if not member.artifact or member.healing:
                member.artifact, member.blob_id = {}, connection.ids.uuid()
        known_as = {name: member.artifact.get("id") or member.blob_id for name, member in walk.names if name}
        links = [self._stored(connection, source, member, pin, None) for member in walk.members[1:]]
        root = self._stored(connection, source, walk.root, pin, known_as)
        auth = source.auth.summary(source.granted)
        connection.event("mesh.artifact.graph.replicated", peer_id=source.peer.peer_id, payload={
            "root_artifact_id": walk.root.artifact["id"], "root_digest": walk.root.remote.digest, "replicated_count": len(walk.members),
            "pinned": pin, "route_proof": source.proof, "remote_auth": auth})
        linked = [{"status": answer["status"], "artifact": answer["artifact"], "source": answer["source"], "reason": member.reason,
                   "role": member.role} for member, answer in zip(walk.members[1:], links, strict=True)]
        graph = {"root_artifact_id": walk.root.artifact["id"], "root_digest": walk.root.remote.digest, "count": len(walk.members),
                 "linked": linked, **({"missing": walk.missing} if walk.missing else {})}
        return {"status": "partial" if walk.missing else "replicated", "root": root,
                "artifacts": [root["artifact"], *(answer["artifact"] for answer in links)], "graph": graph, "route_proof": source.proof,
                "remote_auth": auth, **({"governance": walk.root.governance} if walk.root.governance else {})}

    def _stored(self, connection: WriteConnection, source: Source, member: Member, pin: bool,
                known_as: Mapping[str, str] | None) -> Members:
        """The protocol's answer for one member, which is here now."""
        if not member.artifact:
            return self._replication.record(connection, source, member, pin, WITHOUT_ROUTE, known_as)
        artifact = self._replication.pinned(connection, member.artifact, pin)
        return {"status": "already_present", "artifact": artifact, "source": source_json(source, member.remote),
                "route_proof": WITHOUT_ROUTE}


class Walk:
    """What belongs to a root, found by its links and fetched."""

    def __init__(self, replication: Replication, source: Source, allow_partial: bool) -> None:
        self._replication = replication
        self._source = source
        self._allow_partial = allow_partial
        self.members: list[Member] = []              # one for each content, the root first
        self.names: list[tuple[str, Member]] = []    # every id at the peer, and which content it has
        self.missing: list[Members] = []
        self._ids: set[str] = set()
        self._digests: dict[str, Member] = {}

    @property
    def root(self) -> Member:
        return self.members[0]

    def go(self, root: Member, depth: int) -> None:
        """The root and what it links to, `depth` links deep, is described, allowed, and here."""
        self._take(root)
        self._judge(root)
        self._bring(root)
        level = [root]
        for _ in range(depth):
            found = [member for parent in level for link in self._links(parent) if (member := self._found(link)) is not None]
            allowed = [member for member in found if self._tried(member, self._judge)]      # all are judged before any is fetched
            level = [member for member in allowed if self._tried(member, self._bring)]

    def _take(self, member: Member) -> None:
        self._ids.add(member.remote.id)
        self._digests[member.remote.digest] = member
        self.members.append(member)
        self.names.append((member.remote.id, member))

    def _found(self, link: Link) -> Member | None:
        """The member a link leads to, unless it is known or cannot be had."""
        if link.id and link.id in self._ids or not link.id and link.digest in self._digests:
            return None
        if len(self.members) + len(self.missing) >= MEMBERS_MAX:
            raise Refusal("too_large", f"an artifact graph may have at most {MEMBERS_MAX} members")
        self._ids.add(link.id)
        try:
            member = self._described(link)
        except Refusal as fault:
            self._miss(link, fault)
            return None
        twin = self._digests.get(member.remote.digest)
        if twin is not None:                         # the same content under another id
            self.names.append((member.remote.id, twin))
            return None
        self._take(member)
        return member

    def _described(self, link: Link) -> Member:
        """The member; one whose content is here already is not asked for."""
        local = self._replication.local(link.digest) if link.digest else None
        if local is not None:
            member = Member(local_remote(local, link.id), link.reason, link.role)
            member.artifact = local
            return member
        remote = remote_of(link.item, link.id) if link.item is not None else self._source.described(link.id, link.digest)
        if link.digest and remote.digest != link.digest:
            raise Refusal("peer_refused", "remote artifact digest mismatch")
        return Member(remote, link.reason, link.role)

    def _judge(self, member: Member) -> None:
        if not member.artifact:
            member.governance = self._replication.govern(self._source, member.remote.metadata, None)

    def _bring(self, member: Member) -> None:
        """The member's bytes are here, fetched or found."""
        with self._replication.one_at_a_time(member.remote.digest):
            local = member.artifact or self._replication.local(member.remote.digest)
            if not local:
                self._replication.fetch(self._source, member)
                return
        member.artifact = local
        member.payload = self._replication.payload(local["media_type"], local["digest"], local["size_bytes"])

    def _tried(self, member: Member, act: Callable[[Member], None]) -> bool:
        """Did it succeed?  A member that cannot be had is taken off again."""
        try:
            act(member)
        except Refusal as fault:
            self._miss(Link(member.remote.id, member.remote.digest, member.reason, member.role), fault)
            self.members.remove(member)
            self.names = [(name, other) for name, other in self.names if other is not member]
            return False
        return True

    def _miss(self, link: Link, fault: Refusal) -> None:
        """A member that cannot be had ends the request, unless a part of the graph was asked for."""
        if not self._allow_partial or fault.code in ("busy", "invalid_request"):
            raise fault
        self.missing.append({"artifact_id": link.id, "digest": link.digest, "reason": link.reason, "role": link.role,
                             "error": fault.message})

    def _links(self, member: Member) -> Iterator[Link]:
        yield from links_of(member.remote.metadata, member.payload)
        if member is not self.root:
            return
        job_id, attempt_id = (rules.text_of(member.remote.metadata, name) for name in ("job_id", "attempt_id"))
        if job_id:
            listed = self._source.listed({"limit": str(ATTEMPT_SET_MAX), "job_id": job_id, "attempt_id": attempt_id})
            for item in listed[:ATTEMPT_SET_MAX]:
                if linked := rules.text_of(item, "id"):
                    yield Link(linked, "", "attempt_artifact_set", rules.text_of(item, "artifact_kind"), item)


def local_remote(local: Mapping[str, Any], source_id: str) -> Remote:
    """What is here, as if the peer had described it."""
    return Remote(source_id, local["digest"], local["size_bytes"], local["media_type"], local["owner_peer_id"], local["policy"],
                  local["metadata"], local["download_url"], local["oci_descriptor"]["digest"])


def links_of(metadata: Mapping[str, Any], payload: Any) -> Iterator[Link]:
    """What an artifact refers to: by its metadata, and by its content when that is one of the protocol's documents."""
    if parent := rules.text_of(metadata, "parent_artifact_id"):
        yield Link(parent, "", "parent_artifact", "")
    for key in LINK_KEYS:
        if linked := rules.text_of(metadata, key):
            yield Link(linked, "", f"metadata:{key}", key.removesuffix("_artifact_id"))
    if isinstance(payload, Mapping):
        yield from _content_links(payload)


def _content_links(payload: Mapping[str, Any]) -> Iterator[Link]:
    kind = payload.get("kind")
    if kind == "ocp.artifact.bundle":
        yield from _link(payload.get("primary"), "id", "bundle_primary", "primary")
        yield from _link(payload.get("config"), "", "bundle_config", "config")
        yield from _link(payload.get("subject"), "", "bundle_subject", "subject")
        described = payload.get("descriptors")
        for each in described[:MEMBERS_MAX + 1] if isinstance(described, list) else ():
            yield from _link(each, "id", "bundle_descriptor", "")
    elif kind == "ocp.execution.attestation":
        yield from _link(payload.get("subject"), "artifact_id", "attestation_subject", "subject")
    elif kind == "ocp.artifact.config":
        yield from _link(payload.get("result"), "artifact_id", "config_result", "result")


def _link(given: object, id_name: str, reason: str, role: str) -> Iterator[Link]:
    """The link that an object of a document is, if it names an id or a whole digest."""
    if not isinstance(given, Mapping):
        return
    linked, digest = rules.text_of(given, id_name) if id_name else "", rules.bare(given.get("digest"))
    if linked or rules.is_digest(digest):
        yield Link(linked, digest if rules.is_digest(digest) else "", reason, rules.text_of(given, "role") or role)
