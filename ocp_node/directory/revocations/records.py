"""What travels under `/revoke` and `/revocations`, for the documents and the client."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Revoked:
    """Something counts no more."""
    status: str = wire(choices=("revoked",))
    revocation_id: str = wire()
    target: str = wire()
    node_id: str = wire()
    capability_id: str = wire()


@record
class Revocation:
    """One revocation, whole."""
    artifact_family: str = wire(choices=("capability-passport", "federation-service-endorsement"))
    artifact: dict = wire()


@record
class Revocations:
    """A page of revocations; they are never taken back."""
    items: list[Revocation] = wire()
    next: str = wire()
    max_items: int = wire("max-items")
