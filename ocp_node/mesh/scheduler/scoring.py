"""How good a place a node is for a job (OCP 0.1 scheduling, `trust-capability-load-v1.2`); pure.

A candidate is refused with REFUSED points and the reason as its last one; nothing is ever added to a refused candidate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..peers.peer import Peer
from ..peers.rules import may_touch
from ..routes.rules import freshness, instant
from ..values import as_count, as_object
from . import continuity, devices
from .placement import GPU_WORK, Job, tokens

Members = dict[str, Any]

REFUSED = -10_000
TRUST_POINTS = {"self": 1000, "trusted": 800, "partner": 600, "market": 250, "public": 100}
FLOOR_ORDER = ("blocked", "public", "market", "partner", "trusted", "self")
PUBLIC_LANES = frozenset({"market", "public"})
STANDING = frozenset({"trusted", "partner"})
SERVING = frozenset({"active", "ready"})
UNREACHABLE = frozenset({"unreachable", "failed"})
FRESH_SECONDS = 300.0                        # so long a failed probe keeps a peer from being chosen
ARTIFACT_PLACES = ("artifact_inventory", "artifact_locality", "cached_artifacts")
CHECKPOINT_PLACES = ("checkpoint_inventory", "checkpoint_locality", "cached_checkpoints", "latest_checkpoint_ref")


class Candidate(NamedTuple):
    """One node that was looked at."""
    target_type: str                 # local, peer
    peer_id: str
    score: int
    reasons: list[str]
    continuity_alignment: Members
    selected: bool = False

    @property
    def refused(self) -> bool:
        return self.score <= REFUSED


class Node(NamedTuple):
    """This node, as far as it is a place for the job."""
    peer_id: str
    profile: Mapping[str, Any]
    habitat_roles: Sequence[str]
    continuity_capabilities: Mapping[str, Any]
    capabilities: frozenset[str]     # of its available cards
    metrics: Mapping[str, Any]       # of its queue
    reliability: Mapping[str, Any]
    matching_workers: int            # that can do the job
    free_slots: int                  # of the serving ones among them


class _Tally:
    """Points and reasons so far."""

    __slots__ = ("points", "reasons")

    def __init__(self, points: int, reasons: list[str]) -> None:
        self.points = points
        self.reasons = reasons

    def add(self, condition: object, points: int, reason: str = "") -> None:
        if condition:
            self.points += points
            if reason:
                self.reasons.append(reason)

    def extend(self, points: int, reasons: Sequence[str]) -> None:
        self.points += points
        self.reasons.extend(reasons)


# --- this node

def local(node: Node, job: Job) -> Candidate:
    """This node as a candidate."""
    placement, metrics = job.placement, node.metrics
    depth = metrics["counts"]["queued"] + metrics["counts"]["inflight"]
    available = metrics["workers"]["available_slots"]
    aligned, why, shown = continuity.aligned(job.continuity, node.profile["device_class"], node.habitat_roles,
                                             node.continuity_capabilities)
    reasons = ["local-first", f"queue_class={placement['queue_class']}", *devices.named(node.profile),
               *(name for name in ("stay_local", "latency_sensitive", "batch") if placement[name]),
               f"execution_class={placement['execution_class']}", f"backpressure={metrics['pressure']}",
               f"local_queue_depth={depth}", f"available_slots={available}", _reliability(node.reliability), _resumes(job), *why]
    refusal = _refuses_locally(node, job, depth)
    if refusal:
        return Candidate("local", node.peer_id, REFUSED, [*reasons, refusal], shown)
    points = 1000 + aligned + node.reliability["score"] - metrics["scheduler_penalty"]
    tally = _Tally(points, [*reasons, *devices.named(node.profile)])
    tally.extend(*devices.score(node.profile, job, remote=False))
    if job.needs_worker:
        tally.extend(150 + 20 * node.free_slots - 10 * depth,
                     [f"matching_workers={node.matching_workers}", f"available_slots={node.free_slots}"])
    else:
        tally.extend(120, ["inline_capable"])
    _prefer_here(tally, job, depth, available)
    return Candidate("local", node.peer_id, tally.points, tally.reasons, shown)


def _refuses_locally(node: Node, job: Job, depth: int) -> str:
    most = job.placement["max_local_queue_depth"]
    if not job.capabilities <= node.capabilities:
        return "requirements_unmet"
    refusal = devices.limit(node.profile, job) or devices.unsuited(node.profile, job, remote=False)
    if refusal:
        return refusal
    if most is not None and depth > most:
        return "local_backlog_limit_exceeded"
    return "no_matching_local_worker" if job.needs_worker and not node.matching_workers else ""


def _prefer_here(tally: _Tally, job: Job, depth: int, available: int) -> None:
    placement, execution = job.placement, job.placement["execution_class"]
    tally.add(placement["stay_local"], 300)
    tally.add(placement["latency_sensitive"], 140)
    tally.add(placement["batch"], -20)
    tally.add(placement["prefer_low_backlog"], -18 * depth, "low_backlog_preferred")
    tally.add(execution == "throughput", 25 * available - 8 * depth, "execution_class_throughput")
    tally.add(execution == "isolation", -220, "execution_class_isolation_local_penalty")
    tally.add(execution == "latency", 90, "execution_class_latency")


# --- a peer

def peer(found: Peer, job: Job, now: float) -> Candidate:
    """A peer as a candidate, from what this node knows of it at `now`."""
    placement, profile, load = job.placement, found.device_profile, _load(found, now)
    aligned, why, shown = continuity.aligned(job.continuity, profile["device_class"], found.habitat_roles,
                                             found.continuity_capabilities, found.trust_tier)
    reasons = [f"trust_tier={found.trust_tier}", f"queue_class={placement['queue_class']}",
               f"execution_class={placement['execution_class']}", f"remote_queue_depth={load['queue_depth']}",
               f"remote_pressure={load['pressure']}", *devices.named(profile), _reliability(found.reliability), _resumes(job),
               *why]
    refusal = _refuses(found, job, load, now)
    if refusal:
        return Candidate("peer", found.peer_id, REFUSED, [*reasons, refusal], shown)
    points = TRUST_POINTS[found.trust_tier] + aligned + found.reliability.get("score", 0)
    tally = _Tally(points, [*reasons, *devices.named(profile)])
    tally.extend(*devices.score(profile, job, remote=True))
    slots = free_slots(found)
    named = [f"remote_workers={len(workers_of(found))}", f"available_slots={slots}"]
    tally.extend(15 * slots, named if job.needs_worker else ())
    _reach(tally, found, now)
    _locality(tally, found, job)
    _standing(tally, found, job)
    _lane(tally, found, job, load, slots)
    _enlisted(tally, found, job)
    return Candidate("peer", found.peer_id, tally.points, tally.reasons, shown)


def barred(found: Peer, job: Job) -> str:
    """Why the job may not go to the peer however it is chosen, or "": its trust, and where the job says it must not go."""
    placement, floor = job.placement, job.placement["trust_floor"]
    return next((reason for holds, reason in (
        (placement["stay_local"], "stay_local"),
        (floor and FLOOR_ORDER.index(found.trust_tier) < FLOOR_ORDER.index(floor), "trust_floor_denied"),
        (placement["avoid_public"] and public_lane(found), "avoid_public"),
        (not may_touch(found.trust_tier, job.classification) or found.trust_tier not in TRUST_POINTS, "policy_denied"),
    ) if holds), "")


def _refuses(found: Peer, job: Job, load: Mapping[str, Any], now: float) -> str:
    """The first reason why the peer is no place for the job, or ""."""
    placement, profile = job.placement, found.device_profile
    floor, most = placement["trust_floor"], placement["max_peer_queue_depth"]
    required = placement["required_peer_ids"]
    first = next((reason for holds, reason in (
        (placement["stay_local"], "stay_local"),
        (floor and FLOOR_ORDER.index(found.trust_tier) < FLOOR_ORDER.index(floor), "trust_floor_denied"),
        (required and found.peer_id not in required, "peer_not_required"),
        (placement["avoid_public"] and public_lane(found), "avoid_public"),
        (most is not None and load["queue_depth"] > most, "peer_backlog_limit_exceeded"),
        (not may_touch(found.trust_tier, job.classification) or found.trust_tier not in TRUST_POINTS, "policy_denied"),
        (not job.capabilities <= capabilities_of(found), "requirements_unmet"),
    ) if holds), "")
    return (first or devices.limit(profile, job) or devices.unsuited(profile, job, remote=True)
            or ("no_remote_workers_advertised" if job.needs_worker and not workers_of(found) else "")
            or ("route_unreachable" if _just_failed(_route(found), now) else ""))


def _reach(tally: _Tally, found: Peer, now: float) -> None:
    route = _route(found)
    tally.add(found.status == "connected", 40, "connected")
    tally.add(found.metadata.get("last_reachable_base_url"), 45, "route_last_reachable")
    if route.get("status") == "reachable":
        fresh = freshness(route, now)
        points, word = {"stale": (-60, "stale"), "aging": (10, "aging")}.get(fresh, (30, "reachable"))
        tally.add(True, points, f"route_probe_{word}")
    elif route.get("status") in UNREACHABLE:
        failures = as_count(route.get("failure_count"))
        tally.add(True, -180 - min(120, 20 * failures), "route_probe_unreachable")
        tally.add(failures, 0, f"route_failure_count={failures}")


def _locality(tally: _Tally, found: Peer, job: Job) -> None:
    for wanted, places, points, most, reason in ((job.artifacts, ARTIFACT_PLACES, 35, 4, "artifact_locality_match"),
                                                 (job.checkpoints, CHECKPOINT_PLACES, 80, 3, "checkpoint_locality_match")):
        if wanted:
            there = set(tokens([found.metadata.get(place) for place in places]))
            common = len(wanted & there)
            tally.add(common, points * min(common, most), f"{reason}={common}")


def _standing(tally: _Tally, found: Peer, job: Job) -> None:
    reliability, placement = found.reliability, job.placement
    tally.add(found.heartbeat.get("status") == "active", 30, "active_heartbeat")
    tally.add(found.metadata.get("last_sync_error"), -80, "sync_error_penalty")
    completed, failed = as_count(reliability.get("completed")), as_count(reliability.get("failed"))
    tally.add(failed > completed, 0, "reliability_penalty")
    tally.add(completed and failed <= completed, 0, "reliability_bonus")
    tally.add(placement["latency_sensitive"], -80, "latency_sensitive_penalty")
    tally.add(placement["batch"], 40, "batch_friendly")
    tally.add(found.trust_tier in placement["preferred_trust_tiers"], 140, "preferred_trust_tier")


def _lane(tally: _Tally, found: Peer, job: Job, load: Mapping[str, Any], slots: int) -> None:
    placement, depth, pressure = job.placement, load["queue_depth"], load["pressure"]
    execution, public = placement["execution_class"], public_lane(found)
    tally.add(True, -12 * depth)
    tally.add(pressure == "saturated", -120, "remote_saturated")
    tally.add(pressure == "elevated", -60, "remote_elevated")
    tally.add(placement["prefer_low_backlog"], max(0, 120 - 20 * depth), "low_backlog_preferred")
    tally.add(execution == "throughput", 20 * slots + (60 if depth <= 1 else 0), "execution_class_throughput")
    isolated = execution == "isolation"
    tally.add(isolated and not public and found.trust_tier in STANDING, 220, "execution_class_isolation_preferred")
    tally.add(isolated and public, -180, "execution_class_isolation_public_penalty")
    tally.add(execution == "latency", -40, "execution_class_latency_penalty")
    if public:
        tally.add(True, -60 * placement["latency_sensitive"] + 20 * placement["batch"], "public_lane")
    tally.add(found.peer_id in placement["preferred_peer_ids"], 250, "placement_preferred_peer")


def _enlisted(tally: _Tally, found: Peer, job: Job) -> None:
    enlistment = as_object(found.metadata.get("enlistment"))
    state, gpu_work = enlistment.get("state"), job.placement["workload_class"] in (*GPU_WORK, "mixed")
    tally.add(state == "enlisted", 180, "helper_enlisted_bonus")
    tally.add(state == "enlisted" and enlistment.get("role") == "gpu_helper" and gpu_work, 120, "gpu_helper_preferred")
    tally.add(state == "draining", -140, "helper_draining_penalty")


# --- what is known of a peer

def public_lane(found: Peer) -> bool:
    """Does work sent there leave for a market?"""
    to_market = any(card.get("available") and as_object(card.get("metadata")).get("external_market")
                    for card in found.capability_cards)
    return found.trust_tier in PUBLIC_LANES or bool(found.metadata.get("external_market")) or to_market


def capabilities_of(found: Peer) -> frozenset[str]:
    """The capabilities that its card calls available."""
    return frozenset(str(card.get("name")) for card in found.capability_cards if card.get("available"))


def workers_of(found: Peer) -> list[Members]:
    """The workers it last told us of."""
    return [each for each in found.metadata.get("remote_workers") or () if isinstance(each, dict)]


def free_slots(found: Peer) -> int:
    """How many jobs its serving workers could take more when it last told us."""
    return sum(max(0, max(1, as_count(each.get("max_concurrent_jobs"))) - as_count(each.get("active_attempts")))
               for each in workers_of(found) if each.get("status") in SERVING)


def _load(found: Peer, now: float) -> Members:
    """How busy it was when it last told us; what is older than its own time of grace tells nothing."""
    told_at = instant(found.metadata.get("last_sync_at"))
    if told_at and now - told_at > found.sync_policy["offline_grace_seconds"]:
        return {"queue_depth": 0, "pressure": "unknown"}
    return found.load


def _just_failed(route: Mapping[str, Any], now: float) -> bool:
    return route.get("status") in UNREACHABLE and now - instant(route.get("checked_at")) <= FRESH_SECONDS


def _route(found: Peer) -> Members:
    return as_object(found.metadata.get("route_health"))


def _reliability(reliability: Mapping[str, Any]) -> str:
    total = as_count(reliability.get("total"))
    return f"reliability={reliability['completed']}/{total}" if total else "reliability=unknown"


def _resumes(job: Job) -> str:
    return f"resume_capable={'true' if job.resumable else 'false'}"
