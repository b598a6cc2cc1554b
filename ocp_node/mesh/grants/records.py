"""What travels under `/mesh/grants`."""

from __future__ import annotations

from ...base import limits
from ...base.records import record, wire


@record
class Scope:
    """What a grant opens: one artifact by id or content; without either, any artifact of this node."""
    action: str = wire(default="", length_max=64, about="`artifact.read`")
    artifact_id: str = wire(default="", length_max=128)
    digest: str = wire(default="", length_max=128, about="SHA-256, with or without `sha256:`")
    path: str = wire(default="", length_max=512, about="the only request path it may be shown for")
    max_uses: int = wire(default=1, about=f"deliveries of content, 1 to {limits.GRANT_USES_MAX}")
    constraints: dict = wire(factory=dict, about="none is supported")


@record
class Issue:
    """Who may read what, and for how long."""
    subject_peer_id: str = wire(default="", length_max=limits.SIGNED_ID_LENGTH_MAX, about="the peer that may present the grant")
    scope: Scope = wire(factory=Scope)
    expires_in_seconds: int = wire(default=3600, about=f"1 to {limits.GRANT_LIFETIME_SECONDS_MAX}")


@record
class IssuedScope:
    """What the grant opens, as it was signed."""
    action: str = wire(choices=("artifact.read",))
    artifact_id: str = wire(default="")
    digest: str = wire(default="")
    path: str = wire(default="")
    max_uses: int = wire(default=1)


@record
class Grant:
    """A permission, signed by the node that serves the artifact; to be given to the subject's operator."""
    grant_id: str = wire()
    issuer_peer_id: str = wire()
    subject_peer_id: str = wire()
    audience_peer_id: str = wire()
    scope: IssuedScope = wire()
    issued_at: str = wire()
    expires_at: str = wire()
    nonce: str = wire()
    signature_scheme: str = wire(choices=("ed25519-sha512-v1",))
    signature: str = wire(pattern="[0-9a-f]{128}")


@record
class Issued:
    """The grant, shown once: the node keeps no copy of its signature."""
    status: str = wire(choices=("ok",))
    grant: Grant = wire()


@record
class Revoked:
    """The grant opens nothing any more."""
    status: str = wire(choices=("revoked",))
    grant_id: str = wire()
