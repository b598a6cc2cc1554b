"""What travels about placement."""

from __future__ import annotations

from ...base.records import record, wire


@record
class DecisionsQuery:
    """Which decisions are asked for."""
    limit: int = wire(default=25)
    status: str = wire(default="", length_max=64, about="placed, unplaced or failed; compared as it is")
    target_type: str = wire(default="", length_max=64, about="local or peer; compared as it is")


@record
class Decision:
    """Where a job was placed, and why (OCP 0.1 scheduler)."""
    id: str
    request_id: str
    job_id: str
    job_kind: str
    status: str
    strategy: str
    target_type: str
    peer_id: str
    score: float
    placement: dict
    selected: dict
    candidates: list[dict]
    created_at: str


@record
class DecisionList:
    """Decisions, newest first."""
    peer_id: str
    count: int
    decisions: list[Decision]
    generated_at: str
