"""What travels about placement."""

from __future__ import annotations

from ...base.records import record, wire
from ..jobs.records import Job


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
    error: str = wire(default="", about="why the job did not get there, of a decision that failed")


@record
class DecisionList:
    """Decisions, newest first."""
    peer_id: str
    count: int
    decisions: list[Decision]
    generated_at: str


@record
class Schedule:
    """A job that the best node shall do."""
    job: object = wire(default=None, about="object: a job submission; `target` names the node itself")
    request_id: object = wire(default=None, about="text: a repeated one is answered with the job it made before")
    preferred_peer_id: object = wire(default=None, about="text: has 500 points more if it may take the job at all")
    allow_local: object = wire(default=None, about="boolean, true when absent")
    allow_remote: object = wire(default=None, about="boolean, true when absent")


@record
class Decided:
    """The decision by which a job was placed."""
    status: str
    strategy: str
    placement: dict
    selected: dict
    candidates: list[dict]
    decision_id: str


@record
class Scheduled:
    """The job where it was placed, and why there."""
    status: str
    decision: Decided
    job: Job
    response: dict = wire(about="the whole answer of the node that took it")
