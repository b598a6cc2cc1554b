"""What a mission is asked to be, and how it stands by its children (OCP 0.1 missions); pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..jobs.spec import policy_of, workload_class
from ..values import as_count, as_object, boolean, first, members, text, truthy, words

Members = dict[str, Any]

PLANNED, ACTIVE, WAITING, CHECKPOINTED = "planned", "active", "waiting", "checkpointed"
COMPLETED, FAILED, CANCELLED = "completed", "failed", "cancelled"
STATES = (PLANNED, ACTIVE, WAITING, CHECKPOINTED, COMPLETED, FAILED, CANCELLED)
ENDED = (COMPLETED, FAILED, CANCELLED)
# What callers say for a state.
STATE_WORDS: Mapping[str, str] = {
    **{state: state for state in STATES}, "pending": PLANNED, "queued": WAITING, "accepted": WAITING, "retry_wait": WAITING,
    "running": ACTIVE, "resuming": ACTIVE, "attention": FAILED, "rejected": FAILED, "canceled": CANCELLED}

PRIORITIES: Mapping[str, str] = {"low": "low", "normal": "normal", "high": "high", "critical": "critical", "medium": "normal",
                                 "urgent": "critical"}
STRATEGIES: Mapping[str, str] = {"local_only": "local", "single_local": "local", "remote_only": "remote",
                                 "gpu_aware": "cooperative_gpu_aware"}
PLACED_STRATEGIES = frozenset({"remote", "auto"})      # a single job that the scheduler finds a node for
CHECKPOINT_STRATEGIES = ("inherit", "none", "manual", "on_failure", "on_retry")

TITLE_LENGTH_MAX = 200
INTENT_LENGTH_MAX = 2_000
REQUEST_ID_LENGTH_MAX = 128
METADATA_BYTES_MAX = 256 * 1024
NOTES_LENGTH_MAX = 4_000
HINTS_SHOWN = 4
OURS = frozenset({"launch", "launch_error", "last_control_action", "last_control_at", "last_control_by", "last_control_reason"})


class Wanted(NamedTuple):
    """A mission as its launch asks for it."""
    request_id: str                    # "" when the caller gave none
    title: str
    intent: str
    priority: str
    workload_class: str
    target_strategy: str
    policy: Members
    continuity: Members
    metadata: Members
    job: Members                       # one of the two
    task: Members


class Child(NamedTuple):
    """A job of a mission as it was last seen."""
    job_id: str                        # "" for a shard that found no node
    peer_id: str                       # "" for this node
    task_id: str
    status: str
    updated_at: str
    facts: Members


# --- asking

def wanted(given: Mapping[str, Any]) -> Wanted:
    """The launch in one form; `Refusal` when it cannot be meant."""
    job, task = members(given.get("job"), "job"), members(given.get("cooperative_task"), "cooperative_task")
    if bool(job) == bool(task):
        raise Refusal("invalid_request", "mission launch requires exactly one of job or cooperative_task")
    base = members(task.get("base_job"), "cooperative_task.base_job") if task else job
    name = first(given.get("title"), task.get("name"), base.get("kind") if job else None) or "mission"
    strategy = text(task.get("strategy"), "cooperative_task.strategy").lower() or "spread"
    workload = first(given.get("workload_class"), members(base.get("metadata"), "metadata").get("workload_class"))
    return Wanted(
        request_id=text(given.get("request_id"), "request_id", REQUEST_ID_LENGTH_MAX),
        title=text(name, "title", TITLE_LENGTH_MAX) or "mission",
        intent=text(given.get("intent"), "intent", INTENT_LENGTH_MAX) or ("Launch cooperative task" if task else "Launch job"),
        priority=PRIORITIES.get(text(given.get("priority"), "priority").lower(), "normal"),
        workload_class=workload_class(text(workload, "workload_class")),
        target_strategy=strategy_of(given.get("target_strategy")) or (strategy_of(f"cooperative_{strategy}") if task
                                                                      else "local"),
        policy=_policy(given.get("policy")), continuity=continuity_of(given.get("continuity")),
        metadata=_metadata(given.get("metadata")), job=job, task=task)


def strategy_of(value: object) -> str:
    """The word for where a mission's work goes; any word is allowed."""
    word = re.sub(r"[^a-z0-9]+", "_", text(value, "target_strategy").lower()).strip("_")
    return STRATEGIES.get(word, word)


def _policy(value: object) -> Members:
    """The policy in the form that jobs have, and whatever else it says."""
    given = members(value, "policy")
    return {**policy_of(given), **{name: member for name, member in given.items()
                                   if name not in ("classification", "visibility", "label", "mode", "execution_mode",
                                                   "secret_scopes", "approval_required")}}


def _metadata(value: object) -> Members:
    given = members(value, "metadata")
    if len(jsontext.ascii_text(given)) > METADATA_BYTES_MAX:
        raise Refusal("invalid_request", f"metadata must be at most {METADATA_BYTES_MAX} bytes")
    return {name: member for name, member in given.items() if name not in OURS}


def continuity_of(value: object) -> Members:
    """How the mission is meant to outlast its devices; members that the protocol does not know are kept."""
    given = members(value, "continuity")
    resumable = truthy(given["resumable"] if "resumable" in given else given.get("preserve_across_restart", True))
    usual = "durable" if resumable else "ephemeral"
    strategy = text(given.get("checkpoint_strategy"), "continuity.checkpoint_strategy").lower()
    mode, kind = (text(given.get(name), f"continuity.{name}").lower() for name in ("mode", "continuity_class"))
    made: Members = {
        "mode": mode or kind or usual, "continuity_class": kind or mode or usual, "resumable": resumable,
        "checkpoint_strategy": strategy if strategy in CHECKPOINT_STRATEGIES else "inherit" if resumable else "none",
        "allow_handoff": boolean(given.get("allow_handoff"), "continuity.allow_handoff", True),
        "preserve_result_lineage": boolean(given.get("preserve_result_lineage"), "continuity.preserve_result_lineage", True),
        "lineage_ref": text(given.get("lineage_ref"), "continuity.lineage_ref"),
        "epoch_tolerance": text(given.get("epoch_tolerance"), "continuity.epoch_tolerance"),
        "dormancy_ok": truthy(given.get("dormancy_ok")),
        "treaty_requirements": treaty_ids(given.get("treaty_requirements"), "continuity.treaty_requirements")}
    if given.get("notes"):
        made["notes"] = text(given["notes"], "continuity.notes", NOTES_LENGTH_MAX)
    if given.get("status_hint"):
        made["status_hint"] = STATE_WORDS.get(text(given["status_hint"], "continuity.status_hint").lower(), PLANNED)
    others = {name: member for name, member in given.items() if name not in made and name not in DERIVED}
    if len(jsontext.ascii_text(others)) > METADATA_BYTES_MAX:
        raise Refusal("invalid_request", f"continuity must be at most {METADATA_BYTES_MAX} bytes")
    return {**made, **others}


DERIVED = frozenset({"checkpoint_ready", "latest_checkpoint_ref", "resume_count", "recovery_hints", "child_status_counts",
                     "task_state_counts", "last_child_update_at"})


def treaty_ids(value: object, field: str) -> list[str]:
    """Ids of treaties, each once; they compare without case and keep the case they came in."""
    found: dict[str, str] = {}
    for word in words(value, field):
        found.setdefault(word.lower(), word)
    return list(found.values())


def state_filter(word: str) -> str:
    """The state that a list is narrowed to; "" for all, and a word that is no state for none at all."""
    word = word.strip().lower()
    return STATE_WORDS.get(word, "?") if word else ""


# --- children

def facts_of(job: Mapping[str, Any]) -> Members:
    """What a mission shows of a job without reading it again; `job` as it is shown, here or by the peer that has it."""
    recovery = job.get("recovery") if isinstance(job.get("recovery"), dict) else {}
    assert isinstance(recovery, dict)
    return {"request_id": _text(job.get("request_id")), "kind": _text(job.get("kind")), "error": _text(job.get("error")),
            "checkpointed_at": _text(job.get("checkpointed_at")), "resume_count": as_count(job.get("resume_count")),
            "resumable": recovery.get("resumable") is True, "hint": as_object(recovery.get("recovery_hint")),
            **{name: as_object(job.get(name)) for name in REFS}}


REFS = ("latest_checkpoint_ref", "result_ref", "result_bundle_ref")


def _text(value: object) -> str:
    return value[:500] if isinstance(value, str) else ""


def task_state(statuses: Sequence[str]) -> str:
    """How a cooperative task stands by its shards: the first that fits."""
    there = set(statuses)
    if there and there <= {"completed"}:
        return "completed"
    if there & {"queued", "retry_wait", "running", "resuming"}:
        return "active"
    if "checkpointed" in there:
        return "checkpointed"
    if there & {"failed", "rejected"}:
        return "attention"
    if there and there <= {"cancelled"}:
        return "cancelled"
    return "attention" if there and there <= {"completed", "cancelled"} else "pending"


def task_states(children: Iterable[Child]) -> dict[str, str]:
    """The state of each task of these children, by its id, in their order."""
    shards: dict[str, list[str]] = {}
    for child in children:
        if child.task_id:
            shards.setdefault(child.task_id, []).append(child.status)
    return {task_id: task_state(statuses) for task_id, statuses in shards.items()}


def status_of(children: Sequence[Child], launch_failed: bool) -> str:
    """How the mission stands: the first that fits (OCP 0.1 missions, status from children)."""
    if not children:
        return FAILED if launch_failed else PLANNED
    jobs, tasks = {child.status for child in children}, set(task_states(children).values())
    if jobs <= {"completed"}:
        return COMPLETED
    if jobs <= {"cancelled"}:
        return CANCELLED
    for state, of_jobs, of_tasks in _FIRST_OF:
        if jobs & of_jobs or tasks & of_tasks:
            return state
    return PLANNED


_FIRST_OF: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    (ACTIVE, frozenset({"running", "resuming"}), frozenset()),
    (WAITING, frozenset({"accepted", "queued", "retry_wait"}), frozenset({"pending"})),
    (ACTIVE, frozenset(), frozenset({"active"})),
    (CHECKPOINTED, frozenset({"checkpointed"}), frozenset()),
    (FAILED, frozenset({"failed", "rejected"}), frozenset({"attention"})),
    (CANCELLED, frozenset({"cancelled"}), frozenset()),
)


# --- what follows from the children

def derived(continuity: Mapping[str, Any], children: Sequence[Child]) -> Members:
    """What a mission shows of its children as a whole: continuity, references, counts and lineage."""
    tasks, jobs = task_states(children), [child for child in children if child.job_id]
    newest = max((child for child in jobs if child.facts["latest_checkpoint_ref"].get("id")),
                 key=lambda child: child.facts["checkpointed_at"], default=None)
    latest = max((child for child in jobs if child.facts["result_ref"].get("id")), key=lambda child: child.updated_at,
                 default=None)
    checkpoint = newest.facts["latest_checkpoint_ref"] if newest else {}
    refs = {"latest_checkpoint_ref": checkpoint, "result_ref": latest.facts["result_ref"] if latest else {},
            "result_bundle_ref": latest.facts["result_bundle_ref"] if latest else {}}
    counts = {"child_status_counts": dict(Counter(child.status for child in children)),
              "task_state_counts": dict(Counter(tasks.values()))}
    shards = Counter(child.task_id for child in children)
    return {
        "continuity": {**continuity,
                       "resumable": bool(continuity.get("resumable")) or any(child.facts["resumable"] for child in jobs),
                       "checkpoint_ready": bool(checkpoint), "latest_checkpoint_ref": checkpoint,
                       "resume_count": sum(child.facts["resume_count"] for child in jobs),
                       "recovery_hints": [child.facts["hint"] for child in jobs if child.facts["hint"]][:HINTS_SHOWN],
                       **counts, "last_child_update_at": max((child.updated_at for child in children), default="")},
        "child_job_ids": [child.job_id for child in jobs], "cooperative_task_ids": list(tasks), **refs,
        "summary": {"job_count": len(jobs), "cooperative_task_count": len(tasks), **counts},
        "lineage": {"jobs": [{"id": child.job_id, "status": child.status, "updated_at": child.updated_at,
                              "checkpoint_ref": child.facts["latest_checkpoint_ref"], "result_ref": child.facts["result_ref"],
                              "result_bundle_ref": child.facts["result_bundle_ref"]} for child in jobs],
                    "cooperative_tasks": [{"id": task_id, "state": state, "shard_count": shards[task_id],
                                           "updated_at": max(child.updated_at for child in children if child.task_id == task_id)}
                                          for task_id, state in tasks.items()], **refs}}


def brief(child: Child, node_id: str) -> Members:
    """A child as it was last seen, where the whole job is not shown."""
    return {"id": child.job_id, "status": child.status, "updated_at": child.updated_at, "target": child.peer_id or node_id,
            **{name: child.facts[name] for name in ("request_id", "kind", *REFS)},
            "recovery": {"state": child.status, "resumable": child.facts["resumable"], "recovery_hint": child.facts["hint"]}}


def lost(child: Child, node_id: str, error: str) -> Members:
    """A child that can no longer be read: as it was last seen, and why."""
    return {**brief(child, node_id), "resolution_error": error}
