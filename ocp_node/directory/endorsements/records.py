"""What travels with endorsements, for the documents and the client."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Endorsed:
    """A registration is official."""
    status: str = wire(choices=("endorsed",))
    node_id: str = wire()
    capability_id: str = wire()
    endorsement_id: str = wire()
    federation_id: str = wire()
    expires_at: str = wire()
