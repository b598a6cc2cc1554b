"""How a node describes itself: the manifest and the cards in it (OCP 0.1 manifest)."""

from __future__ import annotations

from ...base.records import record, wire
from ..agents.records import AgentPresence, Beacon
from ..device_profile.records import DeviceProfile, SyncPolicy


@record
class CapabilityCard:
    """One thing the node offers; job requirements name it."""
    name: str = wire()
    kind: str = wire()
    available: bool = wire()
    description: str = wire()
    metadata: dict = wire()


@record
class ContinuityCapabilities:
    """What a node can do to keep missions alive."""
    mission_continuity: bool = wire()
    vessel_export: bool = wire()
    vessel_storage: bool = wire()
    restore_dry_run: bool = wire()
    witness_artifacts: bool = wire()
    long_sleep: bool = wire()
    custody_review: bool = wire()
    habitat_roles: list[str] = wire()


@record
class TreatyCapabilities:
    """What a node can do with treaties."""
    treaty_documents: bool = wire()
    continuity_validation: bool = wire()
    custody_review: bool = wire()


@record
class RecentTreaty:
    """One of the newest treaties."""
    id: str = wire()
    title: str = wire()
    status: str = wire()
    treaty_type: str = wire()
    updated_at: str = wire()


@record
class Governance:
    """The node's treaties in short."""
    count: int = wire(minimum=0)
    counts_by_status: dict[str, int] = wire()
    active_treaty_ids: list[str] = wire()
    recent: list[RecentTreaty] = wire()


@record
class Transport:
    """A way to speak to the node."""
    name: str = wire()
    mode: str = wire()


@record
class PolicySummary:
    """Which peers may touch which class of data, in short."""
    private_requires_trusted_peer: bool = wire()
    trusted_requires_trusted_peer: bool = wire()
    public_allows_market_peers: bool = wire()
    secret_scopes_default: list[str] = wire()


@record
class OrganismCard:
    """Who a node is, as others keep it."""
    organism_id: str = wire(length_max=128)
    node_id: str = wire(length_max=128)
    display_name: str = wire()
    public_key: str = wire(pattern="[0-9a-f]{64}")
    signature_scheme: str = wire()
    endpoint_url: str = wire()
    stream_url: str = wire()
    protocol_version: str = wire()
    trust_tier: str = wire()
    reachability: str = wire()
    supported_features: list[str] = wire()
    transports: list[Transport] = wire()
    capability_cards: list[CapabilityCard] = wire()
    policy_summary: PolicySummary = wire()
    device_profile: DeviceProfile = wire()
    habitat_roles: list[str] = wire()
    continuity_capabilities: ContinuityCapabilities = wire()
    treaty_capabilities: TreatyCapabilities = wire()
    governance_summary: Governance = wire()


@record
class Reliability:
    """How well work has ended lately."""
    source: str = wire(choices=("local_jobs", "remote_events"))
    completed: int = wire(minimum=0)
    failed: int = wire(minimum=0)
    retried: int = wire(minimum=0)
    total: int = wire(minimum=0)
    success_rate: float | None = wire()
    score: int = wire(minimum=-120, maximum=120)


@record
class QueueCounts:
    """Messages by state."""
    queued: int = wire(minimum=0)
    inflight: int = wire(minimum=0)
    acked: int = wire(minimum=0)
    dead_letter: int = wire(minimum=0)
    cancelled: int = wire(minimum=0)


@record
class WorkerSlots:
    """How much the registered workers can take."""
    registered: int = wire(minimum=0)
    total_slots: int = wire(minimum=0)
    active_attempts: int = wire(minimum=0)
    available_slots: int = wire(minimum=0)


@record
class QueueMetrics:
    """How full the queue is."""
    peer_id: str = wire()
    counts: QueueCounts = wire()
    queues: list[dict] = wire()
    workers: WorkerSlots = wire()
    pressure: str = wire()
    backlog_ratio: float | None = wire()
    scheduler_penalty: int = wire()
    oldest_queued_at: str = wire()
    redelivery_count: int = wire(minimum=0)


@record
class Implementation:
    """What speaks."""
    name: str = wire()
    wire_protocol_version: str = wire()


@record
class Manifest:
    """Who this node is and what it offers."""
    protocol: str = wire()
    protocol_short_name: str = wire()
    protocol_release: str = wire()
    spec_status: str = wire()
    protocol_version: str = wire()
    implementation: Implementation = wire()
    device_profile: DeviceProfile = wire()
    sync_policy: SyncPolicy = wire()
    habitat_roles: list[str] = wire()
    continuity_capabilities: ContinuityCapabilities = wire()
    treaty_capabilities: TreatyCapabilities = wire()
    governance_summary: Governance = wire()
    continuity_overlay_fields: list[str] = wire()
    organism_card: OrganismCard = wire()
    reliability: Reliability = wire()
    queue_metrics: QueueMetrics = wire()
    agent_presence: list[AgentPresence] = wire()
    beacons: list[Beacon] = wire()
    workers: list[dict] = wire(items_max=20, about="registered workers, as under /mesh/workers")
