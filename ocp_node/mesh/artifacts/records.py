"""What travels under `/mesh/artifacts`."""

from __future__ import annotations

from ...base.records import record, wire
from ..peers.records import TreatyCompatibility
from . import rules


@record
class Search:
    """Which artifacts a list shows."""
    limit: int = wire(default=25, about="at most so many, newest first; 0 counts as 25")
    artifact_kind: str = wire(default="", length_max=256)
    digest: str = wire(default="", length_max=256, about="SHA-256, with or without `sha256:`")
    job_id: str = wire(default="", length_max=256)
    attempt_id: str = wire(default="", length_max=256)
    parent_artifact_id: str = wire(default="", length_max=256)
    owner_peer_id: str = wire(default="", length_max=256)
    media_type: str = wire(default="", length_max=256)
    retention_class: str = wire(default="", length_max=64, about="a word that is none counts as durable")

    def filters(self) -> dict[str, str]:
        """All properties as they are compared."""
        return {"artifact_kind": self.artifact_kind.strip().lower(), "digest": rules.bare(self.digest), "job_id": self.job_id.strip(),
                "attempt_id": self.attempt_id.strip(), "parent_artifact_id": self.parent_artifact_id.strip(),
                "owner_peer_id": self.owner_peer_id.strip(), "media_type": self.media_type.strip(),
                "retention_class": rules.class_word(self.retention_class) if self.retention_class.strip() else ""}


@record
class Policy:
    """Who may read, and how the artifact came to be."""
    classification: str = wire(choices=rules.CLASSIFICATIONS)
    mode: str = wire(choices=rules.MODES)
    secret_scopes: list[str] = wire()
    retention: object = wire(default=None)
    notes: object = wire(default=None)
    max_runtime_seconds: object = wire(default=None)


@record
class OciDescriptor:
    """The content as the OCI image specification names one."""
    media_type: str = wire("mediaType")
    digest: str = wire(pattern="sha256:[0-9a-f]{64}")
    size: int = wire(minimum=0)
    annotations: dict = wire()
    urls: list[str] = wire()


@record
class Artifact:
    """Bytes with a digest, and who published them."""
    id: str = wire()
    digest: str = wire(pattern="[0-9a-f]{64}", about="SHA-256 of the bytes")
    media_type: str = wire()
    size_bytes: int = wire(minimum=0)
    owner_peer_id: str = wire()
    policy: Policy = wire()
    path: str = wire(default="", about="informative; only operators see it")
    created_at: str = wire()
    metadata: dict = wire(about="what the publisher said, and what the node knows of the bytes")
    retention_class: str = wire(choices=tuple(rules.RETENTION_SECONDS))
    retention_deadline_at: str = wire(about="empty: none")
    download_url: str = wire()
    artifact_kind: str = wire()
    artifact_type: str = wire()
    pinned: bool = wire()
    artifact_sync: dict = wire(about="of a replica: where and how it was copied from")
    mirror_verification: dict = wire(about="of a replica: how it last compared with its source")
    oci_descriptor: OciDescriptor = wire()
    content_base64: str | None = wire(default=None, length_max=1 << 40,
                                      about="only from the route that shows one artifact, for who may read it")


@record
class ArtifactList:
    """Artifacts, newest first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    artifacts: list[Artifact] = wire()
    filters: dict[str, str] = wire(about="all properties as they were compared")


@record
class Show:
    """How an artifact is shown."""
    include_content: bool = wire(default=True, about="`0`, `false`, `no`, `off`: metadata alone, which everybody may have")
    raw: bool = wire(default=False, about="the bytes themselves; so does `Accept: application/octet-stream`.  Ranges are served")
    peer_id: str = wire(default="", length_max=256, about="sent by peers; gives no right")


@record
class Published:
    """The artifact as it was stored."""
    status: str = wire(choices=("published",))
    artifact: Artifact = wire()
    deduped: bool = wire(default=False, about="the same request had been carried out before")


@record
class Upload:
    """What is said of the bytes in the body; their media type is the request's Content-Type."""
    digest: str = wire(default="", length_max=128, about="SHA-256 that the bytes must have")
    media_type: str = wire(default="", length_max=256, about="where Content-Type cannot say it")
    classification: str = wire(default="trusted", choices=rules.CLASSIFICATIONS)
    artifact_kind: str = wire(default="", length_max=128)
    artifact_type: str = wire(default="", length_max=256)
    name: str = wire(default="", length_max=512, about="for people; never a path")
    job_id: str = wire(default="", length_max=256)
    parent_artifact_id: str = wire(default="", length_max=128)
    retention_class: str = wire(default="", choices=("", *rules.RETENTION_SECONDS))
    retention_seconds: str = wire(default="", length_max=16)
    pinned: bool = wire(default=False)

    def metadata(self) -> dict[str, object]:
        """What is stored beside the bytes."""
        texts = {name: getattr(self, name).strip() for name in ("artifact_kind", "artifact_type", "name", "job_id", "parent_artifact_id",
                                                                "retention_class", "retention_seconds")}
        return {**{name: text for name, text in texts.items() if text}, **({"pinned": True} if self.pinned else {})}


@record
class Pin:
    """Which artifact is kept for good, or let go."""
    artifact_id: str = wire(default="", length_max=256)
    pinned: object = wire(default=True, about="a boolean, or a word for one")
    reason: str = wire(default="operator_pin", length_max=512)


@record
class Pinned:
    """The artifact as it is kept now."""
    status: str = wire(choices=("ok",))
    artifact: Artifact = wire()


@record
class Purge:
    """How many artifacts may go."""
    limit: object = wire(default=100, about="at most so many, the oldest deadline first")


@record
class Purged:
    """What went."""
    status: str = wire(choices=("ok",))
    peer_id: str = wire()
    purged: int = wire(minimum=0)
    kept: int = wire(minimum=0, about="expired and pinned")
    freed_bytes: int = wire(minimum=0)


@record
class Deleted:
    """The artifact is gone."""
    status: str = wire(choices=("deleted",))
    artifact_id: str = wire()
    freed_bytes: int = wire(minimum=0, about="0 while another artifact has the same content")


@record
class Replicate:
    """Which artifact of which peer is copied, and with which credential."""
    peer_id: str = wire(default="", length_max=128)
    artifact_id: str = wire(default="", length_max=256, about="its id at the peer")
    digest: str = wire(default="", length_max=128, about="SHA-256, with or without `sha256:`")
    base_url: str = wire(default="", length_max=2048, about="where the peer is, when it is not where it was")
    pin: bool = wire(default=False, about="keep the copy for good")
    remote_auth: dict | None = wire(default=None, about="operator_token with `token`, or capability_grant with `grant`; never stored")


@record
class ReplicateGraph:
    """Which artifact of which peer is copied with all it refers to."""
    peer_id: str = wire(default="", length_max=128)
    artifact_id: str = wire(default="", length_max=256, about="its id at the peer")
    digest: str = wire(default="", length_max=128, about="SHA-256, with or without `sha256:`")
    base_url: str = wire(default="", length_max=2048, about="where the peer is, when it is not where it was")
    pin: bool = wire(default=False, about="keep the copies for good")
    remote_auth: dict | None = wire(default=None, about="operator_token with `token`, or capability_grant with `grant`; never stored")
    allow_partial: bool = wire(default=False, about="go on without members that cannot be had")
    depth: int = wire(default=1, about="links are followed so deep, 1 to 5")


@record
class RouteProof:
    """How it was known that the address led to the peer."""
    status: str = wire(choices=("fresh", "skipped"))
    best_route: str = wire(default="")
    source: str = wire(default="", about="explicit_probe, probe or route_health")
    checked_at: str = wire(default="")
    last_success_at: str = wire(default="")
    reason: str = wire(default="")


@record
class AuthSummary:
    """What is shown of a credential."""
    type: str = wire(choices=("none", "operator_token", "capability_grant"))
    status: str = wire(choices=("not_used", "used", "declared"), about="declared: the content came without the grant being needed")
    redacted: bool = wire(default=False)
    grant_id: str = wire(default="")
    issuer_peer_id: str = wire(default="")
    subject_peer_id: str = wire(default="")
    audience_peer_id: str = wire(default="")
    scope: dict = wire(factory=dict)
    expires_at: str = wire(default="")


@record
class SourceRef:
    """Where a copy came from."""
    peer_id: str = wire()
    artifact_id: str = wire()
    digest: str = wire()


@record
class Verification:
    """How a copy compares with its source."""
    status: str = wire(choices=("verified", "mismatch", "missing_remote"))
    verified: bool = wire()
    reason: str = wire()
    checked_at: str = wire()
    peer_id: str = wire()
    source_artifact_id: str = wire()
    local_digest: str = wire()
    remote_digest: str = wire()
    size_match: bool = wire()
    media_type_match: bool = wire()
    descriptor_match: bool = wire()


@record
class TreatyValidation:
    """The treaties an artifact is bound to, as they stand here."""
    satisfied: bool = wire()
    operation: str = wire()
    required: list[str] = wire()
    matched: list[dict] = wire()
    missing: list[str] = wire()
    inactive: list[str] = wire()


@record
class Governance:
    """Why treaties allowed the copy."""
    treaty_requirements: list[str] = wire()
    treaty_validation: TreatyValidation = wire()
    peer_treaty_compatibility: TreatyCompatibility = wire()
    requires_custody: bool = wire()


@record
class Replicated:
    """The copy, or what was here already."""
    status: str = wire(choices=("replicated", "already_present"))
    artifact: Artifact = wire()
    source: SourceRef = wire()
    verification: Verification | None = wire(default=None)
    route_proof: RouteProof | None = wire(default=None)
    remote_auth: AuthSummary | None = wire(default=None)
    governance: Governance | None = wire(default=None)


@record
class LinkedCopy:
    """One member of a graph."""
    status: str = wire(choices=("replicated", "already_present"))
    artifact: Artifact = wire()
    source: SourceRef = wire()
    reason: str = wire(about="what led to it")
    role: str = wire()


@record
class MissingMember:
    """A member that could not be had."""
    artifact_id: str = wire()
    digest: str = wire()
    reason: str = wire()
    role: str = wire()
    error: str = wire()


@record
class Graph:
    """What was copied with the root."""
    root_artifact_id: str = wire()
    root_digest: str = wire()
    count: int = wire(minimum=1)
    linked: list[LinkedCopy] = wire()
    missing: list[MissingMember] = wire(factory=list)


@record
class GraphReplicated:
    """The root and its members."""
    status: str = wire(choices=("replicated", "partial"))
    root: Replicated = wire()
    artifacts: list[Artifact] = wire(about="the root first")
    graph: Graph = wire()
    route_proof: RouteProof = wire()
    remote_auth: AuthSummary = wire()
    governance: Governance | None = wire(default=None)


@record
class VerifyMirror:
    """Which copy is compared, and with what; what is missing is known from when it was made."""
    artifact_id: str = wire(default="", length_max=256)
    peer_id: str = wire(default="", length_max=128)
    source_artifact_id: str = wire(default="", length_max=256)
    digest: str = wire(default="", length_max=128)
    deep: bool = wire(default=False, about="read the peer's bytes too")
    remote_auth: dict | None = wire(default=None, about="for `deep`; never stored")


@record
class MirrorVerified:
    """What the comparison came to."""
    status: str = wire(choices=("verified", "mismatch", "missing_remote"))
    artifact: Artifact = wire()
    verification: Verification = wire()
