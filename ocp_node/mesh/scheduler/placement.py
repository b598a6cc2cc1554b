"""Where a job wants to run: its placement in one form, and what the scheduler needs to know of it (OCP 0.1 placement); pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..jobs.spec import RUNTIMES, gpu_class, policy_of, resources_of, workload_class
from ..peers.rules import TIERS
from ..values import boolean, first, integer, members, pick, text, truthy, unique, words
from .continuity import Wishes, wishes_of

Members = dict[str, Any]

QUEUE_CLASSES = ("default", "batch", "latency_sensitive")
EXECUTION_CLASSES = ("default", "latency", "throughput", "isolation")
FLAGS = ("stay_local", "avoid_public", "require_stable_network", "avoid_battery", "require_artifact_mirror")
GPU_WORK = frozenset({"gpu_inference", "gpu_training"})
TOKEN_PREFIXES = ("sha256:", "artifact-", "checkpoint-")
TOKEN_NAMES = frozenset({"digest", "artifact_id", "id", "checkpoint_id"})
TOKENS_MAX = 1_000


class Job(NamedTuple):
    """A job as the scheduler sees it."""
    kind: str
    placement: Members
    needs_worker: bool
    capabilities: frozenset[str]
    resources: Members
    classification: str
    resumable: bool                  # it can go on elsewhere from a checkpoint
    artifacts: frozenset[str]        # tokens of what it reads
    checkpoints: frozenset[str]      # tokens of where it would go on
    continuity: Wishes


def job_of(document: Mapping[str, Any]) -> Job:
    """What the scheduler needs to know of a job submission; `Refusal` for members of the wrong kind."""
    metadata = members(document.get("metadata"), "metadata")
    requirements = members(document.get("requirements"), "requirements")
    kind = text(document.get("kind"), "job.kind").lower()
    needed = set(words(requirements.get("capabilities"), "requirements.capabilities"))
    needed |= {RUNTIMES[kind][1]} if kind in RUNTIMES else set()
    continuity = members(first(document.get("continuity"), metadata.get("continuity")), "continuity")
    return Job(kind, placement_of(document), _queued(document, metadata, kind) or kind in RUNTIMES, frozenset(needed),
               resources_of(requirements.get("resources")), policy_of(document.get("policy"))["classification"],
               _resumable(metadata), frozenset(_some(tokens([document.get("artifact_inputs"), document.get("payload_ref"),
                                                            metadata.get("artifact_refs")]))),
               frozenset(_some(tokens([metadata.get("latest_checkpoint_ref"), metadata.get("resume_checkpoint_ref"),
                                       continuity.get("latest_checkpoint_ref")]))),
               wishes_of(continuity, members(metadata.get("recovery_hint"), "recovery_hint")))


def _queued(document: Mapping[str, Any], metadata: Mapping[str, Any], kind: str) -> bool:
    given = text(first(document.get("dispatch_mode"), metadata.get("dispatch_mode")), "dispatch_mode").lower()
    return given == "queued" if given else kind in RUNTIMES and RUNTIMES[kind][2] == "queued"


def _resumable(metadata: Mapping[str, Any]) -> bool:
    resumability = members(metadata.get("resumability"), "resumability")
    resumes = truthy(resumability["enabled"] if "enabled" in resumability else metadata.get("resumable"))
    checkpoints = members(metadata.get("checkpoint_policy"), "checkpoint_policy")
    return resumes and (truthy(checkpoints["enabled"]) if "enabled" in checkpoints else resumes)


# --- the placement block

def placement_of(document: Mapping[str, Any]) -> Members:
    """The placement of a job with every member of the protocol in its form."""
    given, metadata = members(document.get("placement"), "placement"), members(document.get("metadata"), "metadata")
    queue_class = _queue_class(document, given)
    execution = text(pick(given, "execution_class", "execution_profile"), "placement.execution_class").lower()
    execution = execution or ("latency" if queue_class == "latency_sensitive" else "default")
    execution = execution if execution in EXECUTION_CLASSES else "default"
    flags = {name: truthy(given.get(name)) for name in FLAGS}
    return {
        "queue_class": queue_class, "execution_class": execution, "stay_local": flags["stay_local"],
        "avoid_public": flags["avoid_public"],
        "latency_sensitive": truthy(given.get("latency_sensitive")) or queue_class == "latency_sensitive",
        "batch": truthy(given.get("batch")) or queue_class == "batch",
        "prefer_low_backlog": truthy(given.get("prefer_low_backlog")) or execution == "throughput",
        "trust_floor": _tier(pick(given, "trust_floor", "min_trust_tier", "minimum_trust_tier")),
        "preferred_trust_tiers": [_tier(word) for word in _several(given, "preferred_trust_tiers", "preferred_trust_tier")],
        "max_peer_queue_depth": _depth(given, "max_peer_queue_depth", "remote_queue_depth_max"),
        "max_local_queue_depth": _depth(given, "max_local_queue_depth", "local_queue_depth_max"),
        "preferred_peer_ids": _several(given, "preferred_peer_ids", "preferred_peers", "preferred_peer_id"),
        "required_peer_ids": _several(given, "required_peer_ids"),
        "preferred_device_classes": _lower(_several(given, "preferred_device_classes", "preferred_device_class")),
        "required_device_classes": _lower(_several(given, "required_device_classes", "required_device_class")),
        "require_stable_network": flags["require_stable_network"], "avoid_battery": flags["avoid_battery"],
        "require_artifact_mirror": flags["require_artifact_mirror"], **_needs(document, given, metadata)}


def _queue_class(document: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    flagged = "latency_sensitive" if truthy(given.get("latency_sensitive")) else ""
    mode = members(document.get("policy"), "policy").get("mode")
    word = text(first(given.get("queue_class"), document.get("queue_class"), flagged, mode), "placement.queue_class").lower()
    return word if word in QUEUE_CLASSES else "default"


def _needs(document: Mapping[str, Any], given: Mapping[str, Any], metadata: Mapping[str, Any]) -> Members:
    """What the job needs of a device."""
    requirements = members(document.get("requirements"), "requirements")
    resources = resources_of(first(given.get("resource_needs"), requirements.get("resources")))
    workload = text(first(given.get("workload_class"), metadata.get("workload_class")), "placement.workload_class")
    workload = workload_class(workload)
    preferred = text(pick(given, "gpu_class_preferred", "preferred_gpu_class"), "placement.gpu_class_preferred")
    preferred = gpu_class(preferred) if preferred else ""
    implied = resources.get("gpus", 0) > 0 or workload in GPU_WORK
    return {"workload_class": workload, "gpu_required": boolean(given.get("gpu_required"), "placement.gpu_required", implied),
            "gpu_class_preferred": "" if preferred == "none" else preferred,
            "min_gpu_vram_mb": _count(pick(given, "min_gpu_vram_mb", "gpu_vram_mb"), "placement.min_gpu_vram_mb"),
            "min_memory_mb": _count(first(given.get("min_memory_mb"), resources.get("memory_mb")), "placement.min_memory_mb"),
            "min_cpu_cores": float(resources_of({"cpu": first(given.get("min_cpu_cores"), resources.get("cpu"))}).get("cpu", 0)),
            "resource_needs": resources}


def _tier(word: object) -> str:
    found = text(word, "trust tier").lower()
    if found and found not in TIERS:
        raise Refusal("invalid_request", "unsupported trust tier")
    return found


def _several(given: Mapping[str, Any], *names: str) -> list[str]:
    """The first of these members that is given, as a list; one of them may be a single word."""
    value = pick(given, *names)
    return unique(words([value] if isinstance(value, str) else value, f"placement.{names[0]}"))


def _lower(found: list[str]) -> list[str]:
    return unique(word.lower() for word in found)


def _depth(given: Mapping[str, Any], *names: str) -> int | None:
    value = next((given[name] for name in names if given.get(name) is not None), None)
    return None if value is None or value == "" else _count(value, f"placement.{names[0]}")


def _count(value: object, field: str) -> int:
    return max(0, integer(value, field))


# --- where its data are

def tokens(value: object) -> Iterator[str]:
    """The names of artifacts that stand anywhere in a value: members called so, and texts that look so."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name in TOKEN_NAMES and isinstance(member, str) and member:
                yield member
            else:
                yield from tokens(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from tokens(member)
    elif isinstance(value, str) and value.startswith(TOKEN_PREFIXES):
        yield value


def _some(found: Iterator[str]) -> list[str]:
    return [token for token, _ in zip(found, range(TOKENS_MAX))]
