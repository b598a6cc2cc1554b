"""What travels under `/mesh/control/stream`."""

from __future__ import annotations

from ...base.records import record, wire
from ..device_profile.records import DeviceProfile, SyncPolicy
from ..manifest.records import Manifest, QueueMetrics
from ..peers.records import PeerList
from ..stream.records import MeshEvent


@record
class Listen:
    """Where to begin, and how to be told."""
    since: int = wire(default=0, about="after this event; the header Last-Event-ID counts when it is greater")
    limit: int = wire(default=50, about="events of one message at most")
    once: str = wire(default="", length_max=20, about="`1`, `true` or `yes`: end after the first state")
    heartbeat: float = wire(default=10.0, about="seconds without a message before a keepalive, 2 to 300")


@record
class DeckAdvisory:
    """The treaty posture of one node."""
    peer_id: str = wire()
    display_name: str = wire()
    advisory_state: str = wire(choices=("full", "advisory", "limited"))
    summary: str = wire()
    operator_summary: str = wire()
    recommended_action: str = wire()
    missing_capabilities: list[str] = wire()
    shared_treaty_validation: bool = wire()
    remote_custody_review: bool = wire()
    custody_pairing_ready: bool = wire()


@record
class AdvisoryCounts:
    """How many nodes, and how many of them with full posture."""
    connected: int = wire(minimum=0)
    discovered: int = wire(minimum=0)
    connected_full: int = wire(minimum=0)
    discovered_full: int = wire(minimum=0)


@record
class DeckAdvisories:
    """The treaty posture of the peers and candidates in the state."""
    connected: list[DeckAdvisory] = wire()
    discovered: list[DeckAdvisory] = wire()
    counts: AdvisoryCounts = wire()


@record
class ControlStream:
    """How this state came."""
    route: str = wire()
    cursor: int = wire(minimum=0)
    transport: str = wire()
    fallback_refresh_seconds: int = wire(minimum=1)
    recent_event_count: int = wire(minimum=0)


@record
class ControlState:
    """The node as the control deck shows it.  Lists are those of their own routes, shortened."""
    node_id: str = wire()
    display_name: str = wire()
    role_label: str = wire()
    version: str = wire()
    device_class: str = wire()
    device_profile: DeviceProfile = wire()
    sync_policy: SyncPolicy = wire()
    manifest: Manifest = wire()
    peers: PeerList = wire()
    queue_metrics: QueueMetrics = wire()
    notifications: dict = wire()
    approvals: dict = wire()
    workers: dict = wire()
    queue: dict = wire()
    pressure: dict = wire()
    helpers: dict = wire()
    missions: dict = wire()
    discovery_candidates: dict = wire()
    connectivity: dict = wire()
    cooperative_tasks: dict = wire()
    autonomy: dict = wire()
    autonomic_mesh: dict = wire()
    preferences: dict = wire()
    jobs: dict = wire(about="jobs of the queue messages shown, by id")
    control_stream: ControlStream = wire()


@record
class StateMessage:
    """The data of an event `control-state`."""
    type: str = wire(choices=("control_state",))
    cursor: int = wire(minimum=0)
    events: list[MeshEvent] = wire(items_max=500)
    peer_advisories: DeckAdvisories = wire()
    state: ControlState = wire()
    generated_at: str = wire()


@record
class Opened:
    """The data of the event `stream-open`."""
    status: str = wire()
    cursor: int = wire(minimum=0)
    route: str = wire()


@record
class Frame:
    """One server-sent event: `stream-open` first, then `control-state` whenever something happened."""
    id: str = wire(about="the cursor after this event")
    event: str = wire(choices=("stream-open", "control-state"))
    data: dict = wire(about="Opened for `stream-open`, StateMessage for `control-state`")
