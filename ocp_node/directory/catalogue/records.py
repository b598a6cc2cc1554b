"""What travels under `/cap`, for the documents and the client."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Registered:
    """A capability was registered."""
    status: str = wire(choices=("registered",))
    node_id: str = wire()
    capability_id: str = wire()
    passport_id: str = wire()
    sequence_no: int = wire("sequence/no")
    published_at: str = wire()
    expires_at: str | None = wire()


@record
class Capability:
    """One offer of one node."""
    capability_id: str = wire()
    passport: dict = wire()
    official: bool = wire()
    endorsement: dict | None = wire()
    sequence_no: int = wire("sequence/no")
    published_at: str = wire()
    expires_at: str | None = wire()


@record
class NodeCapabilities:
    """What one node offers."""
    node_id: str = wire()
    endpoints: list[dict] = wire()
    capabilities: list[Capability] = wire()


@record
class Offers:
    """A page of offers."""
    items: list[dict] = wire()
    next: str = wire()
    max_items: int = wire("max-items")
