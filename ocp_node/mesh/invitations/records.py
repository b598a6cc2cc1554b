"""What travels with an invitation."""

from __future__ import annotations

from ...base.records import record, wire


@record
class NewInvitation:
    """Whom the invitation makes of the device that uses it, and for how long it is good."""
    trust_tier: str = wire(default="trusted", length_max=40)
    seconds: int = wire(default=600, minimum=30, maximum=86_400)
    base_url: str = wire(default="", length_max=2048, about="where the other device reaches this node; \"\": the advertised URL")


@record
class Invitation:
    """The code to hand over.  It is shown once: the node itself keeps no copy of it in clear."""
    status: str = wire()
    id: str = wire()
    code: str = wire()
    base_url: str = wire()
    trust_tier: str = wire()
    fingerprint: str = wire(about="of this node's key: the first 16 bytes of its SHA-256")
    certificate: str = wire(about="SHA-256 fingerprint of its self-signed certificate, which will be pinned; \"\" for none")
    expires_at: str = wire()


@record
class InvitationState:
    """`open`, `used` or `expired`; once it is used, by whom, and the words that both devices show."""
    status: str = wire()
    id: str = wire()
    state: str = wire(choices=("open", "used", "expired"))
    trust_tier: str = wire()
    expires_at: str = wire()
    peer_id: str = wire()
    words: list[str] = wire()


@record
class Code:
    """The code, as it was handed over."""
    code: str = wire(length_min=1, length_max=4096)
    timeout: float = wire(default=5.0, about="seconds for each call, 0.1 to 30")


@record
class Joined:
    """Both nodes are peers of each other now.  The words must be the same on both devices."""
    status: str = wire()
    peer_id: str = wire()
    display_name: str = wire()
    base_url: str = wire()
    trust_tier: str = wire()
    words: list[str] = wire()
