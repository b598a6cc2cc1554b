"""What travels under `/mesh/handshake`."""

from __future__ import annotations

from ...base.records import record, wire
from ..manifest.records import Manifest
from ..peers.records import Peer, PeerAdvisory
from ..stream.records import Snapshot


@record
class EnvelopeRequest:
    """The signed metadata of an envelope."""
    node_id: str = wire()
    timestamp: str = wire()
    nonce: str = wire()
    request_id: str = wire()
    protocol_family: str = wire()
    protocol_release: str = wire()
    implementation: str = wire()
    protocol_version: str = wire()
    signature_scheme: str = wire()
    signature: str = wire(pattern="[0-9a-f]{128}")


@record
class AcceptedBody:
    """What the answering node signs."""
    mesh_session_id: str = wire()
    accepted_at: str = wire()
    peer_id: str = wire(about="who was accepted")


@record
class AcceptedEnvelope:
    """Who really answered: an envelope of the answering node over the acceptance, for the same route."""
    request: EnvelopeRequest = wire()
    body: AcceptedBody = wire()


@record
class Accepted:
    """The handshake is accepted: how we see the caller, and who we are."""
    status: str = wire()
    mesh_session_id: str = wire(pattern="mesh-[0-9a-f]{12}")
    trust_tier: str = wire(about="the tier given here, whatever was asked for")
    peer: Peer = wire()
    peer_advisory: PeerAdvisory = wire()
    operator_summary: str = wire()
    recommended_action: str = wire()
    manifest: Manifest = wire()
    stream: Snapshot = wire(about="with the newest 25 events for trusted and partner peers, with none for others")
    accepted_at: str = wire()
    response_envelope: AcceptedEnvelope = wire()
