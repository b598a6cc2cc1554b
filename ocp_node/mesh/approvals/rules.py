"""Approvals: how they are asked for, and how a decision moves them from state to state (OCP 0.1 approvals); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..notifications.rules import BODY_LENGTH_MAX, TITLE_LENGTH_MAX, bounded_metadata, priority, shortened, tokens
from ..times import instant
from ..values import text

Members = dict[str, Any]

PENDING, APPROVED, REJECTED, DEFERRED, EXPIRED = "pending", "approved", "rejected", "deferred", "expired"
STATUSES = (PENDING, APPROVED, REJECTED, DEFERRED, EXPIRED)
DECISIONS = (APPROVED, REJECTED, DEFERRED)           # what a person can decide
OPEN = frozenset({PENDING, DEFERRED})                # somebody may still decide
OVER = frozenset(STATUSES) - OPEN

# (status, decision) -> status.  What is not here leaves the approval as it is: the first decision stands.
STEPS: Mapping[tuple[str, str], str] = {
    (PENDING, APPROVED): APPROVED, (PENDING, REJECTED): REJECTED, (PENDING, DEFERRED): DEFERRED, (PENDING, EXPIRED): EXPIRED,
    (DEFERRED, APPROVED): APPROVED, (DEFERRED, REJECTED): REJECTED,
}
REQUEST_ID_LENGTH_MAX = 300                          # of a caller at most 200; those of the node append to an id
COMPACT_LENGTH = 96
REASON_LENGTH_MAX = 2_000
NAMES = ("requested_by_peer_id", "requested_by_agent_id", "target_peer_id", "target_agent_id", "related_job_id")

JOB, ADMISSION, OFFLOAD, ENLISTMENT = "job.dispatch", "peer.admission", "autonomous.offload", "autonomic.helper.enlist"


class Approval(NamedTuple):
    """An approval as it is stored."""
    id: str
    request_id: str
    action_type: str
    severity: str
    title: str
    summary: str
    compact_summary: str
    status: str
    requested_by_peer_id: str
    requested_by_agent_id: str
    target_peer_id: str
    target_agent_id: str
    target_device_classes: list[str]
    related_job_id: str
    notification_id: str
    resolution: Members
    metadata: Members
    created_at: str
    updated_at: str
    expires_at: str
    resolved_at: str


class Decision(NamedTuple):
    """What somebody decided, and who."""
    decision: str
    reason: str = ""
    operator_peer_id: str = ""
    operator_agent_id: str = ""
    metadata: Members = {}


# --- asking

def requested(wanted: Mapping[str, Any], approval_id: str, now: str) -> Approval:
    """The approval that somebody asks for."""
    title = text(wanted.get("title"), "title", TITLE_LENGTH_MAX)
    if not title:
        raise Refusal("invalid_request", "approval title is required")
    summary = text(wanted.get("summary"), "summary", BODY_LENGTH_MAX)
    return Approval(
        id=approval_id, request_id=text(wanted.get("request_id"), "request_id", REQUEST_ID_LENGTH_MAX),
        action_type=text(wanted.get("action_type"), "action_type").lower() or "operator_action",
        severity=priority(wanted.get("severity")), title=title, summary=summary,
        compact_summary=shortened(summary or title, COMPACT_LENGTH), status=PENDING,
        target_device_classes=tokens(wanted.get("target_device_classes"), "target_device_classes"),
        **{name: text(wanted.get(name), name) for name in NAMES}, notification_id="", resolution={},
        metadata=bounded_metadata(wanted.get("metadata")), created_at=now, updated_at=now,
        expires_at=instant(wanted.get("expires_at"), "expires_at"), resolved_at="")


def notice(approval: Approval, action_type: str) -> Members:
    """The notification that tells of a new approval; it names the action as the asker wrote it."""
    return {"notification_type": "approval.request", "title": approval.title, "body": approval.summary,
            "priority": approval.severity if approval.severity in ("critical", "high") else "normal",
            "target_peer_id": approval.target_peer_id, "target_agent_id": approval.target_agent_id,
            "target_device_classes": approval.target_device_classes, "related_job_id": approval.related_job_id,
            "related_approval_id": approval.id, "metadata": {"action_type": action_type, "approval_request": True}}


# --- deciding

def decided(document: Mapping[str, Any]) -> Decision:
    """What a resolution says, whatever its decision is worth."""
    return Decision(text(document.get("decision"), "decision").lower(), text(document.get("reason"), "reason", REASON_LENGTH_MAX),
                    text(document.get("operator_peer_id"), "operator_peer_id"),
                    text(document.get("operator_agent_id"), "operator_agent_id"), bounded_metadata(document.get("metadata")))


def due(approval: Approval, now: str) -> bool:
    """Has the time to decide run out, though nobody wrote it down yet?"""
    return approval.status == PENDING and "" < approval.expires_at < now


def expired(approval: Approval) -> Approval:
    """The approval after its time ran out: at that time, or at once when it was asked for too late."""
    at = max(approval.expires_at, approval.created_at)
    return approval._replace(status=EXPIRED, resolution={"decision": EXPIRED, "resolved_at": at}, updated_at=at, resolved_at=at)


def withdrawn(approval: Approval, reason: str, now: str) -> Approval:
    """The approval after its asker no longer needs it."""
    resolution = {"decision": EXPIRED, "reason": reason, "resolved_at": now}
    return approval._replace(status=EXPIRED, resolution=resolution, updated_at=now, resolved_at=now)


def as_of(approval: Approval, now: str) -> Approval:
    """The approval as it is now, whether or not the clock's change has been written down."""
    return expired(approval) if due(approval, now) else approval


def resolved(approval: Approval, decision: Decision, now: str) -> Approval | None:
    """The approval after the decision; None when nothing is left to decide.  `Refusal` for a decision that is none."""
    if approval.status not in OPEN:
        return None
    if decision.decision not in DECISIONS:
        raise Refusal("invalid_request", "unsupported approval decision")
    status = STEPS.get((approval.status, decision.decision))
    if status is None:
        return None
    resolution = {**decision._asdict(), "resolved_at": now}
    return approval._replace(status=status, resolution=resolution, metadata={**approval.metadata, "last_resolution": resolution},
                             updated_at=now, resolved_at=now)


def outcome(approval: Approval, decision: Decision) -> Members:
    """The notification that tells the asker what was decided."""
    return {"notification_type": "approval.resolved", "title": f"Approval {approval.status}", "body": approval.title,
            "target_peer_id": approval.requested_by_peer_id, "target_agent_id": approval.requested_by_agent_id,
            "target_device_classes": approval.target_device_classes, "related_job_id": approval.related_job_id,
            "related_approval_id": approval.id, "metadata": {"decision": approval.status, "reason": decision.reason}}


def acting_type(approval: Approval) -> str:
    """The kind of action whose owner acts on the decision: helpers act whenever the approval describes an offload."""
    return OFFLOAD if "autonomous_offload" in approval.metadata else approval.action_type


# --- showing

def filter_status(word: str) -> str:
    """The status that a list is narrowed to, "" for all; an unknown word counts as pending."""
    found = word.strip().lower()
    return found if found in STATUSES or not found else PENDING


def approval_json(approval: Approval) -> Members:
    """The approval as it is shown."""
    return approval._asdict()
