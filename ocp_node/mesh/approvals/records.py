"""What travels under `/mesh/approvals`."""

from __future__ import annotations

from ...base.records import record, whole, wire
from ..notifications.records import Notification


@record
class Listing:
    """Which approvals to list."""
    limit: int = wire(default=25, about="at most so many, newest first")
    status: str = wire(default="", length_max=40,
                       about="pending, approved, rejected, deferred or expired; another word counts as pending")
    target_peer_id: str = wire(default="", length_max=200, about="only those that ask this node by name")
    target_agent_id: str = wire(default="", length_max=200, about="only those that ask this agent by name")


@record
class Request:
    """What to ask, and whom."""
    title: str | None = wire(default=None, length_max=512, about="required")
    summary: str | None = wire(default=None, length_max=16_384)
    action_type: str | None = wire(default=None, length_max=200, about="what a decision is about; operator_action if not given")
    severity: str | None = wire(default=None, length_max=40, about="low, normal, high or critical; another word counts as normal")
    request_id: str | None = wire(default=None, length_max=200, about="asking again under it gives the same approval")
    requested_by_peer_id: str | None = wire(default=None, length_max=200)
    requested_by_agent_id: str | None = wire(default=None, length_max=200)
    target_peer_id: str | None = wire(default=None, length_max=200)
    target_agent_id: str | None = wire(default=None, length_max=200)
    target_device_classes: list[str] | None = wire(default=None, items_max=256)
    related_job_id: str | None = wire(default=None, length_max=200)
    expires_at: str | None = wire(default=None, length_max=64, about="an ISO-8601 timestamp; after it nobody can decide")
    metadata: dict | None = wire(default=None)
    document: dict = whole()


@record
class Resolve:
    """What was decided, and by whom."""
    decision: str | None = wire(default=None, length_max=40, about="required: approved, rejected or deferred")
    reason: str | None = wire(default=None, length_max=2_000)
    operator_peer_id: str | None = wire(default=None, length_max=200)
    operator_agent_id: str | None = wire(default=None, length_max=200)
    metadata: dict | None = wire(default=None, about="for whoever acts on the decision")
    document: dict = whole()


@record
class Approval:
    """A question to a person, and the answer."""
    id: str = wire()
    request_id: str = wire()
    action_type: str = wire()
    severity: str = wire(choices=("low", "normal", "high", "critical"))
    title: str = wire()
    summary: str = wire()
    compact_summary: str = wire()
    status: str = wire(choices=("pending", "approved", "rejected", "deferred", "expired"))
    requested_by_peer_id: str = wire()
    requested_by_agent_id: str = wire()
    target_peer_id: str = wire()
    target_agent_id: str = wire()
    target_device_classes: list[str] = wire()
    related_job_id: str = wire()
    notification_id: str = wire(about="the notification that asked")
    resolution: dict = wire(about="the decision, who made it, when and why; empty while there is none")
    metadata: dict = wire(about="as given, with the last resolution")
    created_at: str = wire()
    updated_at: str = wire()
    expires_at: str = wire()
    resolved_at: str = wire()
    deduped: bool = wire(default=False, about="it was asked for before")


@record
class ApprovalList:
    """Approvals, newest first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    approvals: list[Approval] = wire()
    generated_at: str = wire()


@record
class Requested:
    """The approval that was asked for."""
    status: str = wire()
    approval: Approval = wire()
    notification: Notification | None = wire(default=None, about="missing when it was asked for before")


@record
class Resolved:
    """The approval after a decision."""
    status: str = wire()
    approval: Approval = wire()
    notification: Notification | None = wire(default=None, about="missing when the decision came too late")
    automation: dict | None = wire(default=None, about="what followed from the decision; missing when it came too late")
