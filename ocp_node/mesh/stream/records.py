"""What travels under `/mesh/stream`."""

from __future__ import annotations

from ...base.records import record, wire
from ..agents.records import AgentPresence, Beacon
from ..device_profile.records import DeviceProfile, SyncPolicy
from ..manifest.records import QueueMetrics
from ..peers.records import Peer


@record
class After:
    """Which events."""
    since: int = wire(default=0, about="the events after this number")
    limit: int = wire(default=50, about="at most so many, oldest first")


@record
class MeshEvent:
    """Something that happened on this node."""
    seq: int = wire(minimum=1)
    id: str = wire()
    event_type: str = wire()
    peer_id: str = wire()
    request_id: str = wire()
    payload: dict = wire(about="by the type of the event")
    created_at: str = wire()


@record
class StreamTransport:
    """How the events come."""
    route: str = wire()
    mode: str = wire()
    websocket_bootstrap: bool = wire()


@record
class Snapshot:
    """Events after a cursor, and the node's state at the same moment."""
    organism_id: str = wire()
    peer_id: str = wire()
    device_profile: DeviceProfile = wire()
    sync_policy: SyncPolicy = wire()
    transport: StreamTransport = wire()
    events: list[MeshEvent] = wire(items_max=500)
    next_cursor: int = wire(about="pass it as `since` of the next request")
    latest_seq: int = wire(minimum=0, about="number of the newest event; below the cursor of a reader whose log was reset")
    log_id: str = wire(about="name of the log; another one means that its numbers have begun anew")
    agent_presence: list[AgentPresence] = wire(items_max=50)
    beacons: list[Beacon] = wire(items_max=12)
    workers: list[dict] = wire(items_max=20, about="registered workers, as under /mesh/workers")
    peers: list[Peer] = wire(items_max=25, about="empty for callers who are neither on loopback nor operators")
    queue_metrics: QueueMetrics = wire()
    generated_at: str = wire()
