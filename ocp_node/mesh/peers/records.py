"""What travels under `/mesh/peers`."""

from __future__ import annotations

from ...base.records import record, whole, wire
from ..device_profile.records import DeviceProfile, SyncPolicy
from ..manifest.records import Reliability


@record
class Page:
    """Which part of a list."""
    limit: int = wire(default=25, about="at most so many, latest seen first")


@record
class TreatyCompatibility:
    """How far a peer's treaties and ours work together."""
    advisory_state: str = wire(choices=("full", "advisory", "limited"))
    shared_treaty_validation: bool = wire()
    remote_custody_review: bool = wire()
    custody_pairing_ready: bool = wire()
    reasons: list[str] = wire()
    summary: str = wire()


@record
class PeerAdvisory:
    """What an operator should know about a peer after a contact."""
    peer_id: str = wire()
    display_name: str = wire()
    source: str = wire(choices=("handshake.accepted", "handshake.sent", "peer.synced", "connect.device", "connect.all"))
    habitat_roles: list[str] = wire()
    continuity_capabilities: dict = wire(about="as on its card, else as its profile implies")
    treaty_capabilities: dict = wire(about="as on its card, else as its profile implies")
    treaty_compatibility: TreatyCompatibility = wire()
    governance_summary: dict = wire(about="as on its card")
    missing_capabilities: list[str] = wire()
    recommended_action: str = wire()
    operator_summary: str = wire()


@record
class Load:
    """How busy a peer was when last asked."""
    queue_depth: int = wire(minimum=0)
    queued: int = wire(minimum=0)
    inflight: int = wire(minimum=0)
    pressure: str = wire()
    backlog_ratio: float | None = wire()
    scheduler_penalty: int = wire(minimum=0)
    total_slots: int = wire(minimum=0)
    active_attempts: int = wire(minimum=0)
    available_slots: int = wire(minimum=0)
    utilization: float | None = wire()


@record
class SyncState:
    """How far we have read a peer's log."""
    remote_cursor: int = wire(minimum=0)
    last_sync_at: str = wire()
    last_imported_event_count: int = wire(minimum=0)
    last_sync_error: str = wire()


@record
class Peer:
    """A node this one knows."""
    peer_id: str = wire()
    organism_id: str = wire()
    display_name: str = wire()
    public_key: str = wire(pattern="([0-9a-f]{64})?")
    signature_scheme: str = wire()
    endpoint_url: str = wire()
    stream_url: str = wire()
    trust_tier: str = wire(choices=("trusted", "partner", "market", "public", "blocked"))
    reachability: str = wire()
    status: str = wire(choices=("connected", "degraded", "pending"))
    mesh_session_id: str = wire()
    protocol_version: str = wire()
    capability_cards: list[dict] = wire(about="as on its card")
    card: dict = wire(about="as it came")
    device_profile: DeviceProfile = wire()
    sync_policy: SyncPolicy = wire()
    habitat_roles: list[str] = wire()
    continuity_capabilities: dict = wire(about="as on its card, else as its profile implies")
    treaty_capabilities: dict = wire(about="as on its card")
    treaty_compatibility: TreatyCompatibility = wire()
    governance_summary: dict = wire(about="as on its card")
    metadata: dict = wire(about="what it last told us, and how it was reached")
    reliability: Reliability = wire()
    load: Load = wire()
    sync_state: SyncState = wire()
    heartbeat: dict = wire(about="its state at the last sync; empty before the first")
    remote_execution: bool | None = wire()
    created_at: str = wire()
    updated_at: str = wire()
    last_seen_at: str = wire()
    last_handshake_at: str = wire()


@record
class Health:
    """The listed peers in numbers."""
    connected: int = wire(minimum=0)
    synced_recently: int = wire(minimum=0)
    degraded: int = wire(minimum=0)
    intermittent: int = wire(minimum=0)
    trust_tiers: dict[str, int] = wire()
    device_classes: dict[str, int] = wire()


@record
class PeerList:
    """The known peers, latest seen first."""
    organism_id: str = wire()
    peer_id: str = wire()
    count: int = wire(minimum=0)
    peers: list[Peer] = wire()
    health: Health = wire()
    generated_at: str = wire()


@record
class TrustChange:
    """What the operator orders of a peer; null forgets the switch for remote execution."""
    trust_tier: str | None = wire(default=None, length_max=40)
    remote_execution: bool | None = wire(default=None)
    reset_key: bool = wire(default=False, about="the next handshake pins a new key")
    document: dict = whole()


@record
class TrustChanged:
    """The peer after the order."""
    status: str = wire()
    peer: Peer = wire()
