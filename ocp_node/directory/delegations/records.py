"""What travels under `/key`, for the documents and the client."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Published:
    """A delegation was published."""
    status: str = wire(choices=("stored",))
    delegation_id: str = wire()
    expires_at: str = wire()


@record
class Delegations:
    """Delegations that hold now."""
    items: list[dict] = wire()
    max_items: int = wire("max-items")
