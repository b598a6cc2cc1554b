"""How jobs and attempts move from state to state (OCP 0.1 job, attempt and lease states), and what decides a failure; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal

Members = dict[str, Any]

# --- jobs

STATES = ("queued", "running", "resuming", "checkpointed", "retry_wait", "completed", "failed", "cancelled", "rejected")
ACTIVE = frozenset({"running", "resuming"})
TERMINAL = frozenset({"completed", "failed", "cancelled", "rejected"})
CLAIMABLE = frozenset({"queued", "retry_wait"})
STATUS_MODEL: Mapping[str, list[str]] = {
    "states": list(STATES), "active_states": ["running", "resuming"],
    "terminal_states": ["completed", "failed", "cancelled", "rejected"],
    "retryable_states": ["queued", "retry_wait", "running", "resuming"],
    "recovery_states": ["checkpointed", "retry_wait", "resuming"],
    "failure_states": ["checkpointed", "failed"],
}
EVENTS = ("claim", "claim_resume", "complete", "fail_retry", "fail_checkpoint", "fail_final", "expire", "expire_resume",
          "exhaust", "cancel",
          "resume", "restart", "replay", "reject")

# (state, event) -> state.  What is not here is refused; what a refusal says, the callers know.
STEPS: Mapping[tuple[str, str], str] = {
    **{(state, "claim"): "running" for state in CLAIMABLE},
    **{(state, "claim_resume"): "resuming" for state in CLAIMABLE},
    **{(state, "complete"): "completed" for state in ACTIVE},
    **{(state, "fail_retry"): "retry_wait" for state in ACTIVE},
    **{(state, "fail_checkpoint"): "checkpointed" for state in ACTIVE},
    **{(state, "fail_final"): "failed" for state in ACTIVE},
    **{(state, "expire"): "queued" for state in ACTIVE},
    **{(state, "expire_resume"): "retry_wait" for state in ACTIVE},
    **{(state, "exhaust"): "failed" for state in ACTIVE},
    **{(state, "cancel"): "cancelled" for state in ("queued", "retry_wait", "running", "resuming", "checkpointed")},
    **{(state, "resume"): "retry_wait" for state in ("queued", "retry_wait", "checkpointed", "failed", "cancelled")},
    **{(state, "restart"): "retry_wait" for state in ("queued", "retry_wait", "checkpointed", "failed", "cancelled")},
    **{(state, "replay"): "queued" for state in ("failed", "cancelled", "retry_wait", "queued")},
    **{(state, "reject"): "rejected" for state in ("queued", "retry_wait")},
}


def step(state: str, event: str) -> str:
    """The job's next state; `Refusal("invalid_state")` when the event does not fit."""
    after = STEPS.get((state, event))
    if after is None:
        raise Refusal("invalid_state", f"a {state} job does not take {event.replace('_', ' ')}")
    return after


# --- attempts

ATTEMPT_STATES = ("claimed", "running", "completed", "failed", "expired", "cancelled")
ATTEMPT_OPEN = frozenset({"claimed", "running"})
ATTEMPT_EVENTS = ("heartbeat", "complete", "fail", "expire", "cancel")
ATTEMPT_STEPS: Mapping[tuple[str, str], str] = {
    (state, event): after for state in ATTEMPT_OPEN
    for event, after in (("heartbeat", "running"), ("complete", "completed"), ("fail", "failed"), ("expire", "expired"),
                         ("cancel", "cancelled"))
}
LEASE_ENDS: Mapping[str, str] = {"complete": "completed", "fail": "failed", "expire": "expired", "cancel": "cancelled"}
REPEATS: Mapping[str, str] = {"complete": "completed", "fail": "failed"}     # an event told again to an attempt already there


def attempt_step(state: str, event: str, is_current: bool) -> str:
    """The attempt's next state; "" when it only says again what has already been taken; `Refusal("invalid_state")` otherwise.

    Only the message's current attempt may speak: one that was overtaken is refused whatever it says.
    """
    after = ATTEMPT_STEPS.get((state, event))
    if after is not None and is_current:
        return after
    if REPEATS.get(event) == state:
        return ""
    raise Refusal("invalid_state", "attempt is not active")


# --- failing

class Failure(NamedTuple):
    """What a failed attempt leads to."""
    event: str                      # of the job: fail_retry, fail_checkpoint, fail_final
    event_type: str                 # what is told
    queue_event: str


RETRY = Failure("fail_retry", "mesh.job.retry_scheduled", "mesh.queue.nacked")
CHECKPOINT = Failure("fail_checkpoint", "mesh.job.checkpointed", "mesh.queue.checkpointed")
FINAL = Failure("fail_final", "mesh.job.failed", "mesh.queue.dead_lettered")


def failure(retryable: bool, attempt_number: int, budget: int, resumable: bool, has_checkpoint: bool) -> Failure:
    """The first that fits: another try, a safe place to go on from, the end."""
    if retryable and attempt_number < budget:
        return RETRY
    return CHECKPOINT if resumable and has_checkpoint else FINAL


DELIVERIES_MIN = 5                  # redelivery after a silent worker is not the job's fault, up to this many


def exhausted(attempts: int, max_attempts: int) -> bool:
    """No further delivery after so many attempts that never spoke again."""
    return attempts >= max(max_attempts, DELIVERIES_MIN)


BACKOFF_SECONDS_MAX = 300.0


def backoff_seconds(base: float, attempt_number: int, chance: float) -> float:
    """How long a retry waits: doubled with each attempt, up to five minutes, 20 % more or less by `chance` (0 to 1)."""
    if base <= 0:
        return 0.0
    return float(min(BACKOFF_SECONDS_MAX, base * 2 ** min(max(0, attempt_number - 1), 30))) * (0.8 + 0.4 * chance)


def budget(metadata: Mapping[str, Any]) -> int:
    """How many attempts the job may use: those it asked for, and those that replays and recoveries have granted."""
    return max(int(metadata["retry_policy"]["max_attempts"]), int(metadata.get("budget") or 0))


# --- checkpoints and recovery

def resume_ref(metadata: Mapping[str, Any], attempt_number: int) -> Members:
    """Which checkpoint an attempt goes on from; {} for none.  Never the first attempt."""
    if attempt_number <= 1 or not metadata["resumability"]["enabled"] or metadata.get("restart_from_scratch"):
        return {}
    found: Members = metadata.get("resume_checkpoint_ref") or metadata.get("latest_checkpoint_ref") or {}
    return found


def recoverable(status: str) -> None:
    """The job is in a state from which it may be started again by hand."""
    if status in ACTIVE:
        raise Refusal("invalid_state", "running jobs cannot be recovered")
    if status in ("completed", "rejected"):
        raise Refusal("invalid_state", "completed or rejected jobs cannot be recovered")


def may_resume(metadata: Mapping[str, Any]) -> None:
    """The job may go on from a checkpoint, as far as its own policy says."""
    resumability = metadata["resumability"]
    if not resumability["enabled"]:
        raise Refusal("invalid_state", "job is not resumable")
    granted = int(resumability["max_resume_attempts"])
    if 0 < granted <= int(metadata.get("resume_count") or 0):
        raise Refusal("invalid_state", "resume budget exhausted")


def is_checkpoint_of(artifact: Mapping[str, Any] | None, job_id: str) -> None:
    """The artifact is a checkpoint of this very job."""
    if artifact is None:
        raise Refusal("not_found", "checkpoint artifact not found")
    if artifact.get("artifact_kind") != "checkpoint":
        raise Refusal("invalid_state", "artifact is not a checkpoint")
    if (artifact.get("metadata") or {}).get("job_id") != job_id:
        raise Refusal("invalid_state", "checkpoint artifact does not belong to job")


SHORT_REF = ("id", "digest", "media_type", "size_bytes", "path", "download_url")


def short_ref(artifact: Mapping[str, Any]) -> Members:
    """A checkpoint as an operator's choice names it."""
    return {name: artifact[name] for name in SHORT_REF if name in artifact}


def hint(profile: Mapping[str, Any], resumes: bool, checkpoint_id: str, now: str) -> Members:
    """Where a job of a device that comes and goes had better go on; {} on a device that stays."""
    if not (profile.get("intermittent") or profile.get("sleep_capable")):
        return {}
    found: Members = {"strategy": "resume_on_stable_peer", "reason": "intermittent_executor",
                      "preferred_target_device_classes": ["full", "relay"], "requires_artifact_mirror": True,
                      "local_device_class": profile.get("device_class", ""), "resume_capable": resumes,
                      "recommended_action": "resume" if resumes else "restart", "created_at": now}
    return found | ({"checkpoint_artifact_id": checkpoint_id} if checkpoint_id else {})
