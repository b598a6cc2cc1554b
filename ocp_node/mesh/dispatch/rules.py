"""How long a peer may take for a job, and what its answers are worth (OCP 0.1 cross-peer dispatch); pure.

What a peer says of a job is its claim alone: it is brought into the form of a job, its size is bounded, and nothing else of it
is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base import jsontext
from ...base.errors import Refusal
from ..fitting import Step, fitted
from ..jobs.rules import STATES, TERMINAL
from ..jobs.spec import DEMO, RUNTIMES
from ..values import as_count, first, first_integer, members, text

Members = dict[str, Any]

QUEUED_SECONDS, RUNTIME_SECONDS, INLINE_SECONDS = 8.0, 30.0, 12.0
READ_SECONDS = 2.0
ID_LENGTH_MAX = 200
SNAPSHOT_BYTES_MAX = 48 * 1024
REF_BYTES_MAX = 4 * 1024
ATTEMPTS_MAX = 100
ARTIFACTS_MAX = 16
VERBS = ("cancel", "resume", "restart", "resume-from-checkpoint")
# A job that stands in one of these changes by nobody but an operator.
SETTLED = TERMINAL | {"checkpointed"}
# What an event of the peer's own log says of a job's state.
OF_EVENTS: Mapping[str, str] = {
    "mesh.job.queued": "queued", "mesh.job.accepted": "running", "mesh.job.claimed": "running",
    "mesh.job.completed": "completed", "mesh.job.failed": "failed", "mesh.job.retry_scheduled": "retry_wait",
    "mesh.job.checkpointed": "checkpointed", "mesh.job.cancelled": "cancelled", "mesh.job.rejected": "rejected",
    "mesh.job.resume_requested": "retry_wait", "mesh.job.restarted": "retry_wait"}

_TEXTS = ("id", "request_id", "kind", "origin", "target", "origin_peer_id", "target_peer_id", "dispatch_mode", "status",
          "created_at", "updated_at", "executor", "checkpointed_at", "last_resumed_at", "last_resumed_by", "last_resume_reason",
          "last_resume_requested_at", "last_resume_requested_by", "last_resume_requested_reason", "last_restart_at",
          "last_restart_by", "last_restart_reason")
_OBJECTS = ("requirements", "policy", "lease", "metadata", "queue", "spec", "mission")
_REFS = ("payload_ref", "result_ref", "latest_checkpoint_ref", "resume_checkpoint_ref", "selected_resume_checkpoint_ref",
         "result_bundle_ref", "result_config_ref", "result_attestation_ref")
_REF_TEXTS = frozenset({"id", "digest", "media_type", "owner_peer_id", "path", "created_at", "retention_class",
                        "retention_deadline_at", "download_url", "artifact_kind", "artifact_type"})
_REF_OBJECTS = frozenset({"policy", "metadata", "artifact_sync", "mirror_verification", "oci_descriptor"})
_LISTS = ("artifact_inputs", "secret_delivery")
_ATTEMPT_TEXTS = ("id", "job_id", "worker_id", "status", "lease_id", "executor", "error", "started_at", "heartbeat_at",
                  "finished_at")
_RECOVERY_TEXTS = ("checkpointed_at", "last_resumed_at", "last_resumed_by", "last_resume_reason", "last_resume_requested_at",
                   "last_resume_requested_by", "last_resume_requested_reason", "last_restart_at", "last_restart_by",
                   "last_restart_reason", "last_recovery_action", "last_recovery_at", "last_recovery_by", "last_recovery_reason")
_RECOVERY_FLAGS = ("terminal", "resumable", "resumability_enabled", "checkpoint_enabled", "checkpoint_on_retry",
                   "checkpoint_available")


# --- sending

def waits_for(job: Mapping[str, Any]) -> bool:
    """Is the job done while its sender waits?"""
    metadata = members(job.get("metadata"), "metadata")
    given = text(first(job.get("dispatch_mode"), metadata.get("dispatch_mode")), "dispatch_mode").lower()
    kind = _kind(job)
    return given != "queued" if given else not (kind in RUNTIMES and RUNTIMES[kind][2] == "queued")


def seconds_for(job: Mapping[str, Any]) -> float:
    """How long the peer may take to answer."""
    if not waits_for(job):
        return QUEUED_SECONDS
    return RUNTIME_SECONDS if _kind(job) in RUNTIMES or _kind(job) == DEMO else INLINE_SECONDS


def prepared(job: Mapping[str, Any], peer_id: str, node_id: str, seconds: float) -> Members:
    """The job as it is sent: named for that peer and nobody else, and queued when it asks for more time than a call has."""
    made = {**job, "origin": node_id, "target": peer_id}
    name, metadata = "timeout_seconds", members(job.get("metadata"), "metadata")
    payload = job["payload"] if isinstance(job.get("payload"), dict) else {}
    asked = first_integer((payload.get(name), name), (members(job.get("runtime"), "runtime").get(name), name),
                          (metadata.get(name), name), default=0)
    return {**made, "dispatch_mode": "queued"} if waits_for(job) and asked > seconds else made


def _kind(job: Mapping[str, Any]) -> str:
    return text(job.get("kind"), "job.kind").lower()


# --- what comes back

def answered(answer: Mapping[str, Any], peer_id: str) -> Members:
    """The job of a peer's answer, in the form of a job; `Refusal("peer_unreachable")` when there is none in it."""
    job = answer.get("job")
    if not isinstance(job, Mapping):
        raise _no_job(peer_id)
    return snapshot(job, peer_id)


def snapshot(given: Mapping[str, Any], peer_id: str, job_id: str = "") -> Members:
    """What the peer says of a job, in the form of a job and of bounded size; of the job with that id, when one is named."""
    named, status = given.get("id"), given.get("status")
    if not isinstance(named, str) or not 0 < len(named) <= ID_LENGTH_MAX or not named.isprintable() or "\0" in named:
        raise _no_job(peer_id)
    if status not in STATES or job_id and named != job_id:
        raise _no_job(peer_id)
    made: Members = {name: _text(given.get(name)) for name in _TEXTS}
    made |= {name: dict(value) if isinstance(value := given.get(name), dict) else {} for name in _OBJECTS}
    made |= {name: _objects(given.get(name)) for name in _LISTS} | {name: _ref(given.get(name)) for name in _REFS}
    made["result_artifacts"] = _artifacts(given.get("result_artifacts"))
    origin = made["origin_peer_id"] or made["origin"]
    made |= {"origin": origin, "origin_peer_id": origin, "target": peer_id, "target_peer_id": peer_id,
             "dispatch_mode": made["dispatch_mode"] or _text(made["spec"].get("dispatch_mode")),
             "payload_inline": given.get("payload_inline"),
             "attempts": [_attempt(each) for each in _objects(given.get("attempts"))],
             "resume_count": as_count(given.get("resume_count")), "recovery": _recovery(given.get("recovery"), str(status))}
    return fitted(made, SNAPSHOT_BYTES_MAX, _STEPS)


def _no_job(peer_id: str) -> Refusal:
    return Refusal("peer_unreachable", "the peer's answer names no job", {"peer_id": peer_id})


def _attempt(given: Mapping[str, Any]) -> Members:
    return {**{name: _text(given.get(name)) for name in _ATTEMPT_TEXTS}, "attempt_number": as_count(given.get("attempt_number")),
            "result_ref": _ref(given.get("result_ref")),
            "metadata": given["metadata"] if isinstance(given.get("metadata"), dict) else {}}


def _ref(value: object) -> Members:
    """What the peer says of an artifact: members of the right kind alone, and none at all without an id."""
    given = value if isinstance(value, dict) else {}
    named = given.get("id")
    if not isinstance(named, str) or not 0 < len(named) <= ID_LENGTH_MAX or not named.isprintable():
        return {}
    made: Members = {name: _text(member) if name in _REF_TEXTS else member for name, member in given.items()
                     if isinstance(member, str if name in _REF_TEXTS else dict if name in _REF_OBJECTS else
                                   bool if name == "pinned" else ()) or name == "size_bytes" and _is_size(member)}
    return fitted(made, REF_BYTES_MAX, (lambda ref: {name: member for name, member in ref.items()
                                                     if name not in _REF_OBJECTS},))


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _artifacts(value: object) -> Members:
    given = value if isinstance(value, dict) else {}
    return {name[:40]: ref for name, member in list(given.items())[:ARTIFACTS_MAX] if (ref := _ref(member))}


def _recovery(value: object, status: str) -> Members:
    given = value if isinstance(value, dict) else {}
    refs, hint = ("latest_checkpoint_ref", "selected_resume_checkpoint_ref"), given.get("recovery_hint")
    return {"state": status, "states": list(STATES), **{name: given.get(name) is True for name in _RECOVERY_FLAGS},
            **{name: _ref(given.get(name)) for name in refs}, "recovery_hint": dict(hint) if isinstance(hint, dict) else {},
            "resume_count": as_count(given.get("resume_count")), **{name: _text(given.get(name)) for name in _RECOVERY_TEXTS}}


def _text(value: object) -> str:
    return value[:500].replace("\0", "") if isinstance(value, str) else ""


def _objects(value: object) -> list[Members]:
    return [each for each in value[:ATTEMPTS_MAX] if isinstance(each, dict)] if isinstance(value, list) else []


def _without_program(made: Members) -> Members:
    spec = {name: value for name, value in made["spec"].items() if name != "execution"}
    return {**made, "payload_inline": None, "spec": spec,
            "metadata": {name: value for name, value in made["metadata"].items() if name != "job_spec"}}


def _without_story(made: Members) -> Members:
    return {**made, "attempts": made["attempts"][-1:], "spec": {}, "metadata": {}, "requirements": {}, "artifact_inputs": [],
            "secret_delivery": [], "lease": {}, "queue": {}, "mission": {}}


def _bare(made: Members) -> Members:
    bare = {name: {} if isinstance(value, dict) and name != "recovery" else [] if isinstance(value, list) else value
            for name, value in made.items()}
    return {**bare, "recovery": _recovery({}, made["status"])}


_STEPS: tuple[Step, ...] = (_without_program, _without_story, _bare)


def shown(kept: Members, peer_id: str, error: str = "") -> Members:
    """A job that a peer has, as this node shows it."""
    return {**kept, "remote": True, "remote_peer_id": peer_id, **({"resolution_error": error} if error else {})}


def same(before: Members, after: Members) -> bool:
    """Does what the peer says now say the same as before?"""
    return jsontext.ascii_text(before) == jsontext.ascii_text(after)


# --- following

def pause(elapsed: float) -> float:
    """How long after the last look a job that is still open is looked at again: ever more seldom, at most once a minute."""
    return min(60.0, max(2.0, elapsed / 4))
