"""Cooperative tasks: what is asked, who gets which shard, what a shard's job is, and how a task stands (OCP 0.1); pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..jobs.environment import without_values
from ..jobs.rules import ACTIVE
from ..peers.peer import Peer
from ..scheduler.placement import GPU_WORK, placement_of
from ..values import boolean, members, objects, text, truthy, unique, words

Members = dict[str, Any]

STRATEGIES = ("spread", "local-only", "remote-only", "gpu-aware")
STATES = ("pending", "active", "checkpointed", "attention", "completed", "cancelled")
REQUEST_ID_LENGTH_MAX = 128
SHARDS_MAX = 256
TARGETS_MAX = 256
JOBS_BYTES_MAX = 64 * 1024 * 1024        # of all shards together
KEPT_JOB_BYTES_MAX = 64 * 1024           # of the base job as it is shown; its shards have it whole
MERGED = ("payload", "requirements", "policy", "metadata")
OVERRIDDEN = ("kind", "dispatch_mode")
UNDER_WAY = frozenset({"queued", "retry_wait", *ACTIVE})


class Wanted(NamedTuple):
    """A task that is to be started."""
    request_id: str
    name: str
    strategy: str
    base_job: Members
    shards: list[Members]
    target_peer_ids: list[str]
    allow_local: bool
    allow_remote: bool
    auto_enlist: bool


def wanted(request: Mapping[str, Any], request_id_max: int = REQUEST_ID_LENGTH_MAX) -> Wanted:
    """What a launch asks for; `Refusal` for what is missing or of the wrong kind."""
    base = members(request.get("base_job"), "base_job")
    if not base:
        raise Refusal("invalid_request", "base_job is required")
    shards = objects(request.get("shards"), "shards", SHARDS_MAX)
    if not shards:
        raise Refusal("invalid_request", "at least one shard is required")
    strategy = text(request.get("strategy"), "strategy").lower().replace("_", "-")
    strategy = strategy if strategy in STRATEGIES else "spread"
    made = Wanted(
        text(request.get("request_id"), "request_id", request_id_max), text(request.get("name"), "name"), strategy, base,
        shards, unique(words(request.get("target_peer_ids"), "target_peer_ids", TARGETS_MAX)),
        boolean(request.get("allow_local"), "allow_local", True), boolean(request.get("allow_remote"), "allow_remote", True),
        boolean(request.get("auto_enlist"), "auto_enlist", False))
    return made._replace(allow_local=made.allow_local and strategy != "remote-only",
                         allow_remote=made.allow_remote and strategy != "local-only")


def check_size(asked: Wanted) -> None:
    """The jobs of all shards together are no more than a node may be asked to keep."""
    size = len(jsontext.ascii_text(asked.base_job)) * len(asked.shards) + len(jsontext.ascii_text(asked.shards))
    if size > JOBS_BYTES_MAX:
        raise Refusal("too_large", f"all shards together must be at most {JOBS_BYTES_MAX} bytes")


def kept(base_job: Mapping[str, Any]) -> Members:
    """The base job as it may be kept and shown: as it was sent, without values of inline secrets and what is large."""
    found = dict(base_job)
    for name in ("payload", "runtime"):
        if isinstance(found.get(name), dict):
            found[name] = without_values(found[name], {})
    for name in sorted(found, key=lambda name: -len(jsontext.ascii_text(found[name]))):
        size = len(jsontext.ascii_text(found))
        if size > KEPT_JOB_BYTES_MAX and name != "kind":
            found[name] = {"omitted_bytes": len(jsontext.ascii_text(found[name]))}
    return found


# --- who gets which shard

class Target(NamedTuple):
    """A node that may take shards."""
    peer_id: str
    local: bool
    compute: Mapping[str, Any]           # its compute profile
    helper_state: str                    # as it says of itself
    enlistment: str                      # self, unenlisted, enlisted, draining
    queue_depth: int


def target_of(peer: Peer) -> Target:
    """A peer as a target."""
    enlistment = peer.metadata.get("enlistment")
    state = str(enlistment.get("state") or "unenlisted") if isinstance(enlistment, dict) else "unenlisted"
    return Target(peer.peer_id, False, peer.device_profile["compute_profile"], peer.device_profile["helper_state"], state,
                  peer.load["queue_depth"])


def label_of(shard: Mapping[str, Any], index: int) -> str:
    """What a shard is called."""
    return text(shard.get("label"), f"shards[{index}].label") or f"shard-{index + 1}"


def needs_of(base: Mapping[str, Any], shard: Mapping[str, Any]) -> Members:
    """What a shard needs of a node."""
    def both(name: str) -> Members:
        return {**members(base.get(name), name), **members(shard.get(name), name)}

    return placement_of({"placement": both("placement"), "requirements": both("requirements"),
                         "metadata": members(shard.get("metadata"), "metadata") or members(base.get("metadata"), "metadata")})


def unmet(target: Target, needs: Mapping[str, Any]) -> str:
    """Why the target does not meet the needs, or ""."""
    compute = target.compute
    return next((reason for holds, reason in (
        (needs["gpu_required"] and not compute["gpu_capable"], "gpu_required_not_available"),
        (compute["gpu_capable"] and 0 < compute["gpu_vram_mb"] < needs["min_gpu_vram_mb"], "gpu_vram_insufficient"),
        (0 < compute["memory_mb"] < needs["min_memory_mb"], "memory_insufficient"),
        (0 < compute["cpu_cores"] < needs["min_cpu_cores"], "cpu_insufficient"),
        (not target.local and target.helper_state == "retired", "helper_retired")) if holds), "")


def points(target: Target, needs: Mapping[str, Any], given: int) -> int:
    """How well a target that meets the needs suits the shard, when it has been given so many already."""
    compute, workload = target.compute, needs["workload_class"]
    capable = compute["gpu_capable"]
    found = 1000 - 60 * given - 15 * target.queue_depth
    if needs["gpu_required"] and capable:
        found += 220 + (80 if needs["gpu_class_preferred"] and needs["gpu_class_preferred"] == compute["gpu_class"] else 0)
    found += 120 if capable and (workload in GPU_WORK or workload == "mixed") else 0
    found += 60 if workload == "cpu_bound" and not capable else 0
    return found + {"enlisted": 140, "draining": -250}.get(target.enlistment, 0)


def assigned(asked: Wanted, targets: Sequence[Target], named: Mapping[str, Target]) -> list[tuple[str, Members]]:
    """For each shard who gets it, and why there; `named` are nodes that shards name, beside the targets.

    `Refusal("no_target")` when nobody meets a shard that does not say that any place is good enough.
    """
    given: Counter[str] = Counter()
    found: list[tuple[str, Members]] = []
    for index, shard in enumerate(asked.shards):
        needs = needs_of(asked.base_job, shard)
        wish = text(shard.get("target_peer_id"), f"shards[{index}].target_peer_id")
        target = named.get(wish) if wish else _best(asked, targets, needs, given, index)
        peer_id = target.peer_id if target is not None else wish
        given[peer_id] += 1
        found.append((peer_id, _placement(needs, target)))
    return found


def _best(asked: Wanted, targets: Sequence[Target], needs: Mapping[str, Any], given: Mapping[str, int], index: int) -> Target:
    able = [target for target in targets if not unmet(target, needs)]
    if able:
        return max(able, key=lambda target: points(target, needs, given[target.peer_id]))       # of equals the first
    shard = asked.shards[index]
    placement = {**members(asked.base_job.get("placement"), "placement"), **members(shard.get("placement"), "placement")}
    if truthy(placement.get("best_effort")):
        return targets[index % len(targets)]
    label = label_of(shard, index)
    raise Refusal("no_target", f"no target meets shard {label}", {
        "shard": label, "reasons": {target.peer_id: unmet(target, needs) for target in targets[:20]}})


def _placement(needs: Mapping[str, Any], target: Target | None) -> Members:
    compute = target.compute if target is not None else {}
    return {**{name: needs[name] for name in ("workload_class", "gpu_required", "min_gpu_vram_mb", "min_memory_mb",
                                              "min_cpu_cores")},
            "target_gpu_capable": bool(compute.get("gpu_capable")), "target_gpu_class": compute.get("gpu_class", "none"),
            "target_gpu_vram_mb": compute.get("gpu_vram_mb", 0), "target_cpu_cores": compute.get("cpu_cores", 0),
            "target_memory_mb": compute.get("memory_mb", 0),
            "target_enlistment_state": target.enlistment if target is not None else "unknown",
            "target_is_local": target is not None and target.local}


# --- the job of a shard

def job_of(asked: Wanted, index: int, task_id: str, mission: Mapping[str, Any]) -> Members:
    """The base job with what the shard says beside it, named as a shard of its task, and of its mission when it has one."""
    base, shard = asked.base_job, asked.shards[index]
    job = {name: value for name, value in base.items() if name not in ("target", "origin")}
    for name in MERGED:
        job[name] = _merged(base.get(name), shard.get(name), name)
    job.update({name: shard[name] for name in OVERRIDDEN if shard.get(name) not in (None, "")})
    inputs = [*objects(base.get("artifact_inputs"), "artifact_inputs"), *objects(shard.get("artifact_inputs"), "artifact_inputs")]
    metadata = {name: value for name, value in job["metadata"].items() if name not in ("mission", "cooperative_task")}
    metadata["cooperative_task"] = {"task_id": task_id, "shard_index": index, "shard_count": len(asked.shards),
                                    "label": label_of(shard, index)}
    if mission:
        metadata["mission"] = dict(mission)
    if job["payload"] is None:
        del job["payload"]
    return {**job, "artifact_inputs": inputs, "metadata": metadata}


def _merged(base: Any, shard: Any, name: str) -> Any:
    """One level deep, the shard's member before the base's; of a payload that is no object the shard's if it has one."""
    if name == "payload" and not (isinstance(base, dict) and isinstance(shard, dict)):
        return base if shard is None else shard
    return {**members(base, f"base_job.{name}"), **members(shard, f"shard.{name}")}


# --- how a task stands

def state_of(statuses: Sequence[str]) -> str:
    """The task's state by those of its shards: the first that fits."""
    every = set(statuses)
    if every == {"completed"}:
        return "completed"
    if every & UNDER_WAY:
        return "active"
    if "checkpointed" in every:
        return "checkpointed"
    if every & {"failed", "rejected"}:
        return "attention"
    if every == {"cancelled"}:
        return "cancelled"
    return "attention" if every == {"completed", "cancelled"} else "pending"


def summary(state: str, statuses: Sequence[str]) -> Members:
    """The state with the counts it follows from."""
    return {"state": state, "counts": dict(sorted(Counter(statuses).items())), "total": len(statuses)}
