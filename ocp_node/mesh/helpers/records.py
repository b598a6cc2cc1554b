"""What travels under `/mesh/helpers`."""

from __future__ import annotations

from ...base.records import record, whole, wire
from ..approvals.records import Requested
from ..device_profile.records import ComputeProfile, OffloadPolicy
from ..pressure.records import Pressure


@record
class Listing:
    """How many helpers to list."""
    limit: int = wire(default=100, about="at most so many, latest seen first")


@record
class PreferenceListing:
    """Which preferences to list."""
    limit: int = wire(default=100, about="at most so many, latest change first")
    peer_id: str = wire(default="", length_max=200)
    workload_class: str = wire(default="", length_max=200, about="another name of a class is taken too")


@record
class PlanRequest:
    """What help is needed for."""
    job: object = wire(default=None, about="a job submission; without one any help is planned")
    limit: object = wire(default=None, about="candidates at most; 6 if not given")
    document: dict = whole()


@record
class Action:
    """What is to happen to a peer as a helper."""
    peer_id: str | None = wire(default=None, length_max=200, about="required")
    mode: str | None = wire(default=None, length_max=40, about="of an enlistment: on_demand, always, scheduled, burst or idle")
    role: str | None = wire(default=None, length_max=40, about="of an enlistment: helper, relay, gpu_helper or drain")
    reason: str | None = wire(default=None, length_max=500)
    drain_reason: str | None = wire(default=None, length_max=500)
    source: str | None = wire(default=None, length_max=200, about="operator if not given")
    document: dict = whole()


@record
class SeekRequest:
    """How to look for helpers."""
    job: object = wire(default=None, about="a job submission")
    max_enlist: object = wire(default=None, about="new helpers at most; 2 if not given")
    mode: str | None = wire(default=None, length_max=40)
    reason: str | None = wire(default=None, length_max=500)
    allow_remote_seek: object = wire(default=None, about="look at `seek_hosts` when known peers do not suffice")
    seek_hosts: list[str] | None = wire(default=None, items_max=256)
    trust_tier: str | None = wire(default=None, length_max=40, about="of nodes that are found; public if not given")
    limit: object = wire(default=None, about="not used")
    document: dict = whole()


@record
class PreferenceRequest:
    """Which work a peer is to be given."""
    peer_id: str | None = wire(default=None, length_max=200, about="required")
    workload_class: str | None = wire(default=None, length_max=200, about="default if not given")
    preference: str | None = wire(default=None, length_max=40, about="prefer, allow, approval, avoid or deny; allow if not given")
    source: str | None = wire(default=None, length_max=200)
    metadata: dict | None = wire(default=None)
    document: dict = whole()


@record
class RunRequest:
    """What the policy is asked about."""
    job: object = wire(default=None, about="a job submission")
    actor_agent_id: str | None = wire(default=None, length_max=200)
    reason: str | None = wire(default=None, length_max=500, about="noted with peers that are enlisted")
    dry_run: object = wire(default=None, about="say what would be done, and do nothing")
    document: dict = whole()


@record
class HistoryEntry:
    """One order."""
    at: str = wire()
    mode: str = wire()
    state: str = wire()
    role: str = wire()
    reason: str = wire()
    source: str = wire()


@record
class PreferenceOfHelper:
    """Which work a helper is to be given."""
    workload_class: str = wire()
    preference: str = wire()
    source: str = wire()


@record
class Helper:
    """A peer as a helper."""
    peer_id: str = wire()
    display_name: str = wire()
    trust_tier: str = wire()
    mode: str = wire(choices=("idle", "on_demand", "always", "scheduled", "burst"))
    state: str = wire(choices=("unenlisted", "enlisted", "draining"))
    role: str = wire(choices=("", "helper", "relay", "gpu_helper", "drain"))
    enlisted_at: str = wire()
    last_action_at: str = wire()
    last_reason: str = wire()
    source: str = wire()
    drain_reason: str = wire()
    device_class: str = wire()
    execution_tier: str = wire()
    helper_state: str = wire(about="as the device says itself: active, draining or retired")
    compute_profile: ComputeProfile = wire()
    history: list[HistoryEntry] = wire(items_max=8)
    offload_preferences: list[PreferenceOfHelper] | None = wire(default=None, about="only in lists")


@record
class HelperList:
    """Peers as helpers, latest seen first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    active_count: int = wire(minimum=0, about="of those listed, enlisted or draining")
    pressure: Pressure = wire()
    helpers: list[Helper] = wire()
    generated_at: str = wire()


@record
class Preference:
    """Which work a peer is to be given."""
    peer_id: str = wire()
    workload_class: str = wire()
    preference: str = wire(choices=("prefer", "allow", "approval", "avoid", "deny"))
    source: str = wire()
    metadata: dict = wire()
    created_at: str = wire()
    updated_at: str = wire()


@record
class PreferenceList:
    """Preferences, latest change first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    preferences: list[Preference] = wire()
    generated_at: str = wire()


@record
class Candidate:
    """A peer that could help."""
    peer_id: str = wire()
    display_name: str = wire()
    trust_tier: str = wire()
    score: int = wire()
    raw_placement_score: int = wire(about="as a place for the job")
    enlistment: Helper = wire()
    device_class: str = wire()
    execution_tier: str = wire()
    compute_profile: ComputeProfile = wire()
    reasons: list[str] = wire()
    recommended_action: str = wire(choices=("enlist", "reuse", "resume"))
    offload_preference: dict | None = wire(default=None, about="the one that counts; empty for none; only in evaluations")


@record
class Plan:
    """The peers that could help, best first."""
    peer_id: str = wire()
    pressure: Pressure = wire()
    placement: dict = wire()
    candidate_count: int = wire(minimum=0, about="before the list was cut")
    candidates: list[Candidate] = wire()
    generated_at: str = wire()


@record
class EnlistedPeer:
    """A peer that is a helper now."""
    peer_id: str = wire()
    state: Helper = wire()


@record
class SkippedPeer:
    """A peer that is not, and why."""
    peer_id: str = wire()
    reason: str = wire()


@record
class Sought:
    """What looking for helpers brought."""
    peer_id: str = wire()
    pressure: Pressure = wire()
    plan: Plan = wire()
    enlisted: list[EnlistedPeer] = wire()
    skipped: list[SkippedPeer] = wire()
    discovery: dict = wire(about="as answered by /mesh/discovery/seek; empty when nobody looked further")
    generated_at: str = wire()


@record
class Evaluation:
    """What the offload policy would do right now, and why."""
    peer_id: str = wire()
    policy: OffloadPolicy = wire()
    pressure: Pressure = wire()
    placement: dict = wire()
    decision: str = wire(choices=("noop", "suggest", "request_approval", "auto_enlist"))
    action: str = wire(choices=("idle", "manual", "approval", "auto"))
    approval_required: bool = wire()
    reasons: list[str] = wire()
    candidate_count: int = wire(minimum=0)
    eligible_candidate_count: int = wire(minimum=0)
    candidates: list[Candidate] = wire()
    eligible_candidates: list[Candidate] = wire(about="those that would be acted on")
    generated_at: str = wire()


@record
class Ran:
    """What the offload policy has done."""
    peer_id: str = wire()
    evaluation: Evaluation = wire()
    status: str = wire(choices=("noop", "suggest", "request_approval", "auto_enlist", "approval_requested", "auto_enlisted"))
    generated_at: str = wire()
    approval: Requested | None = wire(default=None, about="only when somebody was asked")
    auto_seek: Sought | None = wire(default=None, about="only when peers were enlisted")
