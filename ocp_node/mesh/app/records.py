"""What travels under `/mesh/app`."""

from __future__ import annotations

from ...base.records import record, wire
from ..routes.records import RouteList


@record
class Source:
    """Who asks for a sample."""
    source: str = wire(default="app", length_max=1000)


@record
class HistoryPage:
    """How many samples to list."""
    limit: int = wire(default=240, about="1 to 1000; 0 for 240")


@record
class Node:
    """This node."""
    node_id: str = wire()
    display_name: str = wire()
    device_class: str = wire()
    form_factor: str = wire()
    protocol_release: str = wire()
    protocol_version: str = wire()


@record
class AppUrls:
    """The pages of this node by the address that others can use."""
    base_url: str = wire()
    app_url: str = wire()
    setup_url: str = wire()
    control_url: str = wire()
    phone_url: str = wire()
    lan_urls: list[str] = wire()
    sharing_mode: str = wire(choices=("lan", "local"))
    share_advice: str = wire()


@record
class Quality:
    """The mesh in a word."""
    status: str = wire(choices=("strong", "usable", "attention", "isolated"))
    label: str = wire()
    peer_count: int = wire(minimum=0)
    route_count: int = wire(minimum=0)
    healthy_routes: int = wire(minimum=0)
    operator_summary: str = wire()


@record
class Protocol:
    """What is spoken here."""
    release: str = wire()
    version: str = wire()
    schema_version: str = wire()
    contract_url: str = wire()
    operator_summary: str = wire()


@record
class PrimaryPeer:
    """The peer to work with first; all members are missing while there is none."""
    peer_id: str = wire(default="")
    display_name: str = wire(default="")
    role: str = wire(default="", choices=("", "compute", "artifact_source", "peer"))
    status: str = wire(default="")
    route: str = wire(default="")
    summary: str = wire(default="")


@record
class DeviceRole:
    """What a device is to this mesh."""
    peer_id: str = wire()
    display_name: str = wire()
    role: str = wire(choices=("local_command", "compute", "approval_only", "artifact_source", "route_verified"))
    status: str = wire()
    summary: str = wire()


@record
class TimelineEvent:
    """One thing that happened, or stands proven."""
    kind: str = wire()
    status: str = wire()
    summary: str = wire()
    peer_id: str = wire()
    created_at: str = wire()
    details: dict = wire()


@record
class Setup:
    """How far the set-up is, what stands in the way and what to do about it."""
    status: str = wire(choices=("proving", "strong", "needs_attention", "local_only", "ready"))
    label: str = wire()
    primary_action: str = wire()
    bind_mode: str = wire(choices=("lan", "local", "unknown"))
    phone_url: str = wire()
    token_status: str = wire(choices=("configured", "loopback_only"))
    known_peer_count: int = wire(minimum=0)
    healthy_route_count: int = wire(minimum=0)
    route_count: int = wire(minimum=0)
    latest_proof_status: str = wire()
    recovery_state: str = wire(choices=("repairing", "needs_attention", "repaired", "healthy"))
    primary_peer: PrimaryPeer = wire()
    device_roles: list[DeviceRole] = wire(items_max=6)
    blocking_issue: str = wire()
    blocker_code: str = wire(choices=("", "proof_failed", "token_missing", "identity_changed", "firewall_suspected",
                                      "stale_route", "local_only"))
    next_fix: str = wire()
    operator_summary: str = wire()
    story: list[str] = wire(items_max=4)
    timeline: list[TimelineEvent] = wire(items_max=8)


@record
class BriefAction:
    """One action of a pass, without its details."""
    id: str = wire()
    kind: str = wire()
    status: str = wire()
    summary: str = wire()
    peer_id: str = wire()
    created_at: str = wire()


@record
class BriefRun:
    """The latest pass in short; all members are missing before the first."""
    id: str = wire(default="")
    request_id: str = wire(default="")
    mode: str = wire(default="")
    status: str = wire(default="")
    summary: str = wire(default="")
    actions: list[BriefAction] = wire(factory=list)
    created_at: str = wire(default="")
    updated_at: str = wire(default="")


@record
class AutonomyBrief:
    """How far the mesh runs itself."""
    status: str = wire()
    mode: str = wire()
    operator_summary: str = wire()
    last_run: BriefRun = wire()


@record
class LocalWorkers:
    """The workers here."""
    worker_count: int = wire(minimum=0)
    ready_worker_count: int = wire(minimum=0)


@record
class Target:
    """Where work can run."""
    peer_id: str = wire()
    display_name: str = wire()
    role: str = wire(choices=("local", "remote"))
    status: str = wire(choices=("ready", "no_worker_capacity", "needs_attention"))
    worker_count: int = wire(minimum=0)
    route_status: str = wire(default="")
    route_freshness: str = wire(default="")
    reasons: list[str] = wire()


@record
class Capacity:
    """A worker that takes work."""
    worker_id: str = wire()
    peer_id: str = wire()
    status: str = wire()
    capabilities: list[str] = wire()
    resources: dict = wire()
    max_concurrent_jobs: int = wire()
    available_slots: int = wire(minimum=0)
    operator_summary: str = wire()


@record
class Readiness:
    """Where work can run."""
    status: str = wire(choices=("ready", "needs_worker", "isolated"))
    local: LocalWorkers = wire()
    targets: list[Target] = wire(items_max=24)
    worker_capacity: list[Capacity] = wire(items_max=24)
    operator_summary: str = wire()


@record
class SyncedArtifact:
    """An artifact that came from a peer."""
    artifact_id: str = wire()
    digest: str = wire()
    source_peer_id: str = wire()
    verification_status: str = wire()
    pinned: bool = wire()
    synced_at: str = wire()
    remote_auth: dict = wire(about="how the peer was asked, never with what")


@record
class ArtifactSync:
    """The artifacts that came from peers."""
    status: str = wire(choices=("verified", "none", "attention"))
    replicated_count: int = wire(minimum=0)
    verified_count: int = wire(minimum=0)
    latest_synced_at: str = wire()
    items: list[SyncedArtifact] = wire(items_max=5)
    operator_summary: str = wire()


@record
class Proof:
    """The newest test mission; while there is none only the first members are there."""
    status: str = wire()
    mission_id: str = wire()
    request_id: str = wire()
    title: str = wire()
    updated_at: str = wire()
    origin_peer_id: str = wire(default="")
    result_ref: dict = wire(factory=dict)
    result_bundle_ref: dict = wire(factory=dict)
    artifact_id: str = wire(default="")
    digest: str = wire(default="")
    summary: str = wire()


@record
class PendingApproval:
    """A decision that waits."""
    id: str = wire()
    title: str = wire()
    action_type: str = wire()
    severity: str = wire()
    status: str = wire()
    created_at: str = wire()
    expires_at: str = wire()
    candidate_peer_id: str = wire()


@record
class PendingApprovals:
    """The decisions that wait."""
    pending_count: int = wire(minimum=0)
    items: list[PendingApproval] = wire(items_max=5)
    operator_summary: str = wire()


@record
class Status:
    """The node's state as the app page needs it."""
    status: str = wire()
    node: Node = wire()
    app_urls: AppUrls = wire()
    mesh_quality: Quality = wire()
    protocol: Protocol = wire()
    setup: Setup = wire()
    autonomy: AutonomyBrief = wire()
    route_health: RouteList = wire(about="as under /mesh/routes/health, with fewer candidates")
    execution_readiness: Readiness = wire()
    artifact_sync: ArtifactSync = wire()
    latest_proof: Proof = wire()
    approvals: PendingApprovals = wire()
    next_actions: list[str] = wire(items_max=5)
    generated_at: str = wire()


@record
class Sample:
    """How the mesh did at one moment."""
    id: str = wire()
    sampled_at: str = wire()
    node_id: str = wire()
    setup_status: str = wire()
    mesh_score: int = wire(minimum=0, maximum=100)
    known_peer_count: int = wire(minimum=0)
    route_count: int = wire(minimum=0)
    healthy_route_count: int = wire(minimum=0)
    latest_proof_status: str = wire()
    execution_ready_targets: int = wire(minimum=0)
    local_ready_workers: int = wire(minimum=0)
    artifact_verified_count: int = wire(minimum=0)
    pending_approvals: int = wire(minimum=0)
    payload: dict = wire(about="the status of that moment in at most 8 KiB, without secrets")


@record
class Sampled:
    """The sample that was taken."""
    status: str = wire()
    sample: Sample = wire()
    retention_limit: int = wire()


@record
class History:
    """The newest samples, oldest first."""
    status: str = wire()
    count: int = wire(minimum=0)
    limit: int = wire()
    samples: list[Sample] = wire()
    generated_at: str = wire()
