"""What travels under `/mesh/artifacts`."""

from __future__ import annotations

from ...base.records import record, wire
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
    content_base64: str | None = wire(default=None, length_max=1 << 40, about="only from the route that shows one artifact, for who may read it")


@record
class ArtifactList:
    """Artifacts, newest first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    artifacts: list[Artifact] = wire()
    filters: dict[str, str] = wire(about="all properties as they were compared")
