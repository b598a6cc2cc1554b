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


@record
class ConnectOptions:
    """How much is answered."""
    compact: bool = wire(default=False, about="without the copies of manifests, peers and streams inside")


@record
class Connect:
    """Whom to connect to: a URL, or a peer that is known or was discovered."""
    base_url: str = wire(default="", length_max=2048)
    peer_id: str = wire(default="", length_max=128, about="refused when another node answers")
    trust_tier: str = wire(default="trusted", length_max=40, about="for a node that is new; a stored tier stays")
    timeout: float = wire(default=3.0, about="seconds for each call, 0.1 to 30")
    refresh_manifest: bool = wire(default=True)
    certificate: str = wire(default="", length_max=128,
                            about="SHA-256 fingerprint, in hex, that its certificate must have, which is pinned then; "
                                  "\"\": as it is pinned already, else the authorities judge")


@record
class Sync:
    """Whose log to read on."""
    peer_id: str = wire(default="", length_max=128)
    limit: int = wire(default=50, about="events at most")
    refresh_manifest: bool = wire(default=False)


@record
class ConnectAll:
    """How to look for nodes and connect to them."""
    trust_tier: str = wire(default="trusted", length_max=40)
    timeout: float = wire(default=3.0, about="seconds for each call")
    scan_timeout: float = wire(default=0.8, about="seconds for each address that is tried")
    limit: int = wire(default=24, about="addresses at most")
    port: int = wire(default=0, minimum=0, maximum=65535, about="0: the port of this node")
    refresh_manifest: bool = wire(default=True)


@record
class Synced:
    """What a sync brought.  After a failed one that followed a connect only `status`, `error` and `code` are there."""
    status: str = wire(choices=("ok", "error"))
    peer: Peer | None = wire(default=None)
    peer_advisory: PeerAdvisory | None = wire(default=None)
    operator_summary: str = wire(default="")
    recommended_action: str = wire(default="")
    imported_events: int = wire(default=0, minimum=0)
    next_cursor: int = wire(default=0, minimum=0)
    log_reset: bool = wire(default=False, about="the peer's log had begun anew and was read from its start")
    heartbeat: dict = wire(factory=dict)
    remote_stream: dict | None = wire(default=None, about="the peer's answer")
    remote_manifest: dict | None = wire(default=None, about="the peer's manifest, if it was asked for")
    error: str = wire(default="")
    code: str = wire(default="")
    peer_id: str = wire(default="")
    peer_status: int = wire(default=0, about="the status with which the peer refused")
    peer_error: str = wire(default="", about="what the peer said")


@record
class Connection:
    """What was exchanged to connect."""
    status: str = wire()
    peer: Peer | None = wire(default=None)
    peer_advisory: PeerAdvisory = wire()
    operator_summary: str = wire()
    recommended_action: str = wire()
    accepted_peer_advisory: dict = wire(about="what the peer thinks of us")
    remote_manifest: dict | None = wire(default=None)
    response: dict = wire(factory=dict, about="the peer's answer to the handshake")


@record
class Connected:
    """The node is a peer."""
    status: str = wire()
    peer: Peer = wire()
    peer_advisory: PeerAdvisory = wire()
    operator_summary: str = wire()
    recommended_action: str = wire()
    peer_id: str = wire()
    base_url: str = wire(about="the URL that led there")
    connection: Connection = wire()
    sync: Synced = wire()


@record
class ConnectResult:
    """What became of one candidate."""
    status: str = wire(choices=("connected", "already_connected", "error"))
    peer_id: str = wire()
    base_url: str = wire()
    peer: Peer | None = wire(default=None)
    peer_advisory: PeerAdvisory | None = wire(default=None)
    error: str = wire(default="")
    code: str = wire(default="")


@record
class MeshSize:
    """The peers after it."""
    peer_count: int = wire(minimum=0)
    peer_ids: list[str] = wire()


@record
class ConnectedAll:
    """What became of every candidate."""
    status: str = wire()
    scan: dict = wire(about="as answered by /mesh/discovery/scan-local")
    results: list[ConnectResult] = wire()
    connected: int = wire(minimum=0)
    already_connected: int = wire(minimum=0)
    errors: int = wire(minimum=0)
    count: int = wire(minimum=0)
    operator_summary: str = wire()
    treaty_ready: int = wire(minimum=0)
    mesh: MeshSize = wire()
