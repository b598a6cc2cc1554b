"""What a job asks for, in one form (OCP 0.1 job normalisation): policy, metadata, requirements, and the spec that is run.

Pure: the same document always gives the same spec.  Everything that is wrong with it is a `Refusal` in the protocol's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..values import boolean, first, first_integer, integer, members, objects, pick, text, truthy, words, wrong
from . import environment
from .rules import STATUS_MODEL

Members = dict[str, Any]

SHELL, PYTHON, CONTAINER, WASM, ECHO, DEMO = ("shell.command", "python.inline", "docker.container", "wasm.component",
                                              "agent.echo", "demo")
# kind -> how it is run, the capability it needs, where it goes when the job does not say
RUNTIMES: Mapping[str, tuple[str, str, str]] = {
    SHELL: ("shell", "shell", "queued"), PYTHON: ("python", "python", "queued"),
    CONTAINER: ("container", "docker", "inline"), WASM: ("wasm", "wasm", "inline"),
}
CODE_KINDS = frozenset({*RUNTIMES, DEMO})             # they run what the sender wrote: only of senders that may
LANE_KINDS = frozenset({*CODE_KINDS, ECHO})           # what this node itself can carry out
RUNTIME_TYPES = frozenset({"shell", "python", "container", "wasm", "custom"})
CLASSES = ("private", "trusted", "public")
MODES = ("interactive", "batch")
RETENTIONS = ("ephemeral", "session", "durable")
CHECKPOINT_MODES = ("manual", "automatic")

TIMEOUT_SECONDS = 300
DEMO_TIMEOUT_SECONDS = 30
ATTEMPTS_MAX = 1000
METADATA_BYTES_MAX = 256 * 1024
CODE_LENGTH_MAX = 8 * 1024 * 1024
ARGUMENTS_MAX = 4096

# What a submitter may say in metadata of the names that the node itself gives a meaning; all others of its names are dropped.
INPUTS = frozenset({"retry_policy", "resumability", "checkpoint_policy", "dispatch_mode", "queue_name", "queue_policy",
                    "dedupe_key"})
OURS = frozenset({
    "submitted_by", "retry_policy", "resumability", "checkpoint_policy", "job_spec", "dispatch_mode", "queue_name",
    "queue_policy",
    "dedupe_key", "current_attempt_id", "claimed_by_worker_id", "attempt_count", "completed_by_worker_id", "result_bundle_ref",
    "result_config_ref", "result_attestation_ref", "result_artifacts", "secret_delivery", "latest_checkpoint_ref",
    "resume_checkpoint_ref",
    "restart_from_scratch", "resume_attempted_at", "resume_count", "last_resumed_at", "last_resumed_by", "last_resume_reason",
    "last_resume_requested_at", "last_resume_requested_by", "last_resume_requested_reason", "last_restart_at", "last_restart_by",
    "last_restart_reason", "last_recovery_action", "last_recovery_at", "last_recovery_by", "last_recovery_reason",
    "retry_scheduled_at",
    "checkpointed_at", "last_error", "last_failure_at", "last_failure_error", "recovery_hint", "queue_requeued_at", "replayed_at",
    "replay_reason", "reason", "cancelled_at", "cancelled_by", "error", "mission", "cooperative_task", "recovery_request",
    "budget",
    "approval_id", "approval_granted_at", "remote_job", "run",
})
LIFTED = ("command", "code", "args", "env", "cwd", "working_dir", "image", "component_ref", "entrypoint", "timeout_seconds",
          "secrets",
          "network", "filesystem", "env_policy", "message")


class Asked(NamedTuple):
    """A job as it will be kept and run."""
    kind: str
    dispatch_mode: str                    # inline, queued
    policy: Members
    requirements: Members
    metadata: Members
    spec: Members
    payload: Any                          # as it may be kept: without inline secret values
    secrets: Mapping[str, str]            # those values, by variable


def lifted(job: Mapping[str, Any]) -> Members:
    """A job in the simple form: what stands beside `payload` is put into it (the operator's own submissions only)."""
    payload = job.get("payload")
    if payload is not None and not isinstance(payload, dict):
        return dict(job)
    inside = dict(payload or {})
    inside.update({name: job[name] for name in LIFTED if name in job and name not in inside})
    return {**job, "payload": inside} if inside or payload is not None else dict(job)


def kind_of(job: Mapping[str, Any]) -> str:
    """The job's kind, lower-case everywhere."""
    kind = text(job.get("kind"), "job.kind").lower()
    if not kind:
        raise Refusal("invalid_request", "job.kind is required")
    return kind


def policy_of(value: object) -> Members:
    """Who may see and do what with the job's data (OCP 0.1 job policy)."""
    given = members(value, "policy")
    found = str(pick(given, "classification", "visibility", "label") or "").strip().lower()
    mode = str(pick(given, "mode", "execution_mode") or "").strip().lower()
    policy: Members = {"classification": found if found in CLASSES else "trusted", "mode": mode if mode in MODES else "batch",
                       "secret_scopes": words(given.get("secret_scopes"), "policy.secret_scopes")}
    policy.update({name: given[name] for name in ("retention", "notes", "max_runtime_seconds") if given.get(name) is not None})
    if given.get("approval_required") is not None:
        policy["approval_required"] = boolean(given["approval_required"], "policy.approval_required", False)
    return policy


def wants_approval(job: Mapping[str, Any], policy: Mapping[str, Any]) -> bool:
    """Does the job ask to wait for somebody's approval?"""
    metadata = job.get("metadata")
    approval = metadata.get("approval") if isinstance(metadata, dict) else None
    return bool(policy.get("approval_required")) or isinstance(approval, dict) and truthy(approval.get("required"))


def metadata_of(value: object, ours: frozenset[str] = frozenset()) -> Members:
    """The metadata that is kept: what the submitter may say, and the three policies in one form.

    `ours` are names that this node itself has set in a job of its own (a mission, a shard of a task).
    """
    given = members(value, "metadata")
    kept = {name: member for name, member in given.items() if name not in OURS or name in INPUTS or name in ours}
    retry = members(given.get("retry_policy"), "retry_policy")
    attempts = first_integer((retry.get("max_attempts"), "retry_policy.max_attempts"),
                             (given.get("max_attempts"), "max_attempts"),
                             (given.get("retries"), "retries"), default=1)
    attempts = max(1, min(attempts, ATTEMPTS_MAX))
    backoff = integer(retry.get("backoff_seconds"), "retry_policy.backoff_seconds")
    resumable = members(given.get("resumability"), "resumability")
    enabled = truthy(resumable["enabled"] if "enabled" in resumable else given.get("resumable"))
    resumes = first_integer((resumable.get("max_resume_attempts"), "resumability.max_resume_attempts"),
                            (given.get("max_resume_attempts"), "max_resume_attempts"), default=attempts - 1)
    kept["retry_policy"] = {"max_attempts": attempts} | ({"backoff_seconds": backoff} if backoff > 0 else {})
    kept["resumability"] = {"enabled": enabled, "mode": text(resumable.get("mode"), "resumability.mode")
                            or ("checkpoint" if enabled else "stateless"),
                            "max_resume_attempts": max(0, resumes)}
    kept["checkpoint_policy"] = _checkpoints(members(given.get("checkpoint_policy"), "checkpoint_policy"), enabled)
    if "dispatch_mode" in kept:
        kept["dispatch_mode"] = text(kept["dispatch_mode"], "dispatch_mode").lower()
    return kept


def _checkpoints(given: Mapping[str, Any], resumable: bool) -> Members:
    enabled = truthy(given["enabled"]) if "enabled" in given else resumable
    retention = text(given.get("retention_class"), "checkpoint_policy.retention_class").lower()
    return {"enabled": enabled, "mode": text(given.get("mode"), "checkpoint_policy.mode") or ("manual" if enabled else "none"),
            "retention_class": retention if retention in RETENTIONS else "durable",
            "on_retry": truthy(given["on_retry"]) if "on_retry" in given else resumable}


def asked(job: Mapping[str, Any], origin: str, request_id: str, seconds_max: float, ours: frozenset[str] = frozenset()) -> Asked:
    """The job in one form; `Refusal` when it cannot be run as it stands."""
    kind = kind_of(job)
    payload = job.get("payload")
    plain = payload if isinstance(payload, dict) else {}
    runtime, policy = members(job.get("runtime"), "runtime"), policy_of(job.get("policy"))
    metadata = metadata_of(job.get("metadata"), ours)
    runs_as = _runs_as(kind, plain)
    dispatch = _dispatch(job, metadata, kind, runs_as)
    if len(repr(metadata)) > METADATA_BYTES_MAX:
        raise wrong("metadata", f"at most {METADATA_BYTES_MAX} bytes")
    surroundings, inline = environment.surroundings(plain, runtime, metadata, policy)
    timeout = _timeout(plain, runtime, metadata, policy, seconds_max, DEMO_TIMEOUT_SECONDS if kind == DEMO else TIMEOUT_SECONDS)
    requirements = _requirements(job, metadata, runtime, plain, runs_as)
    spec: Members = {"kind": runs_as, "dispatch_mode": dispatch,
                     "execution": _execution(runs_as, plain, payload, runtime, surroundings, timeout),
            "requirements": requirements, "policy": policy, "runtime_environment": surroundings,
            "retries": dict(metadata["retry_policy"]), "artifacts": _artifacts(job),
                     "checkpoints": dict(metadata["checkpoint_policy"]),
            "resumability": dict(metadata["resumability"]),
            "provenance": {"origin_peer_id": origin, "request_id": request_id, "submitted_at": "", "kind": kind},
            "status_model": STATUS_MODEL}
    _check(spec)
    redacted = environment.without_values(payload, inline) if isinstance(payload, dict) else payload
    if runs_as not in RUNTIMES and isinstance(redacted, dict):
        spec["execution"]["payload"] = redacted
    return Asked(kind, dispatch, policy, requirements, metadata, spec, {} if redacted is None else redacted, inline)


def _runs_as(kind: str, payload: Mapping[str, Any]) -> str:
    if kind == DEMO:
        return SHELL if payload.get("command") else ECHO
    return kind


def _dispatch(job: Mapping[str, Any], metadata: Mapping[str, Any], kind: str, runs_as: str) -> str:
    given = text(job.get("dispatch_mode"), "dispatch_mode").lower() or metadata.get("dispatch_mode") or ""
    if given:
        return "queued" if given == "queued" else "inline"
    return "inline" if kind == DEMO or runs_as not in RUNTIMES else RUNTIMES[runs_as][2]


def _timeout(payload: Mapping[str, Any], runtime: Mapping[str, Any], metadata: Mapping[str, Any], policy: Mapping[str, Any],
             seconds_max: float, default: int) -> int:
    name = "timeout_seconds"
    seconds = first_integer((payload.get(name), name), (runtime.get(name), name), (metadata.get(name), name), default=default)
    longest = integer(policy.get("max_runtime_seconds"), "policy.max_runtime_seconds")
    return max(1, min(seconds, int(seconds_max), longest if longest > 0 else seconds))


def _requirements(job: Mapping[str, Any], metadata: Mapping[str, Any], runtime: Mapping[str, Any], payload: Mapping[str, Any],
                  runs_as: str) -> Members:
    given = members(job.get("requirements"), "requirements")
    needed = set(words(given.get("capabilities"), "requirements.capabilities"))
    if runs_as in RUNTIMES:
        needed.add(RUNTIMES[runs_as][1])
    resources = first(given.get("resources"), metadata.get("resources"), runtime.get("resources"), payload.get("resources"))
    placement = first(job.get("placement"), metadata.get("placement"))
    return {"capabilities": sorted(needed), "resources": resources_of(resources),
            "placement": dict(members(placement, "placement"))}


_GPU_WORDS = frozenset({"none", "cuda", "rocm", "metal", "mps", "vulkan", "directml", "generic"})
_GPU_ALIASES = {"apple": "metal", "apple_silicon": "metal", "nvidia": "cuda", "amd": "rocm", "intel": "vulkan",
                "pytorch_mps": "mps",
                "d3d12": "directml", "gpu": "generic"}
_WORKLOADS = frozenset({"default", "cpu_bound", "io_bound", "gpu_inference", "gpu_training", "mixed"})
_WORKLOAD_ALIASES = {"cpu": "cpu_bound", "gpu": "gpu_inference", "training": "gpu_training", "inference": "gpu_inference",
                     "io": "io_bound"}


def resources_of(value: object) -> Members:
    """How much of the device the job wants; numbers that cannot be read are left out (OCP 0.1 job resources)."""
    given = members(value, "resources")
    found: Members = {}
    cpu = _number(given.get("cpu"))
    if cpu is not None:
        found["cpu"] = max(0.0, cpu) if isinstance(cpu, float) else max(0, cpu)
    for name in ("memory_mb", "disk_mb", "gpus", "gpu_vram_mb"):
        number = _number(given.get(name))
        if number is not None:
            found[name] = max(0, int(number))
    if isinstance(given.get("gpu_class"), str) and given["gpu_class"].strip():
        found["gpu_class"] = gpu_class(given["gpu_class"])
    if isinstance(given.get("workload_class"), str) and given["workload_class"].strip():
        found["workload_class"] = workload_class(given["workload_class"])
    if isinstance(given.get("network"), str) and given["network"].strip():
        found["network"] = given["network"].strip()[:64]
    return found


def gpu_class(word: str) -> str:
    """The protocol's word for a kind of graphics processor."""
    word = word.strip().lower().replace("-", "_")
    word = _GPU_ALIASES.get(word, word) or "none"
    return word if word in _GPU_WORDS else "generic"


def workload_class(word: str) -> str:
    """The protocol's word for a kind of work."""
    word = word.strip().lower().replace("-", "_")
    word = _WORKLOAD_ALIASES.get(word, word)
    return word if word in _WORKLOADS else "default"


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if isinstance(value, (int, float)) and abs(value) < 2**53 else None       # also false for what is no number


def _artifacts(job: Mapping[str, Any]) -> Members:
    metadata = members(job.get("metadata"), "metadata")
    outputs = first(job.get("artifact_outputs"), metadata.get("artifact_outputs"))
    return {"inputs": objects(job.get("artifact_inputs"), "artifact_inputs"), "outputs": objects(outputs, "artifact_outputs")}


def _execution(runs_as: str, payload: Mapping[str, Any], whole: Any, runtime: Mapping[str, Any], surroundings: Mapping[str, Any],
               timeout: int) -> Members:
    """The block that says what is run."""
    if runs_as not in RUNTIMES:
        named = text(runtime.get("runtime_type"), "runtime.runtime_type").lower() or "custom"
        return {"runtime_type": named, "executor_kind": runs_as, "payload": {} if whole is None else whole,
                "timeout_seconds": timeout}
    env, cwd = environment.variables(payload.get("env")), surroundings["cwd"]
    kind = RUNTIMES[runs_as][0]
    if runs_as == SHELL:
        return {"runtime_type": kind, "command": _command(payload.get("command")), "cwd": cwd, "env": env,
                "timeout_seconds": timeout}
    arguments = _arguments(payload.get("args"))
    if runs_as == PYTHON:
        return {"runtime_type": kind, "inline_code": _code(payload.get("code")), "args": arguments, "cwd": cwd, "env": env,
                "timeout_seconds": timeout, "python_version": text(payload.get("python_version"), "python_version"),
                "dependencies": words(payload.get("dependencies"), "dependencies")}
    if runs_as == CONTAINER:
        return {"runtime_type": kind, "image": text(payload.get("image"), "image", 1000),
                "command": _command(payload.get("command")),
                "args": arguments, "env": env, "working_dir": cwd, "timeout_seconds": timeout}
    return {"runtime_type": kind, "component_ref": environment.component(payload),
            "entrypoint": text(payload.get("entrypoint"), "entrypoint"),
            "args": arguments, "env": env, "working_dir": cwd, "timeout_seconds": timeout}


def _command(value: object) -> list[str]:
    """A list as it is, a text for the shell."""
    if value is None or value == "" or value == []:
        return []
    if isinstance(value, str):
        return ["/bin/sh", "-lc", value]
    return _arguments(value, "command")


def _arguments(value: object, field: str = "args") -> list[str]:
    if not value:
        return []
    if not isinstance(value, list) or len(value) > ARGUMENTS_MAX:
        raise wrong(field, f"an array of at most {ARGUMENTS_MAX} entries")
    return [environment.plain(word, f"{field}[{place}]") for place, word in enumerate(value)]


def _code(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > CODE_LENGTH_MAX:
        raise wrong("code", "a string")
    return value


def _check(spec: Mapping[str, Any]) -> None:
    """The spec can be run at all."""
    execution, kind = spec["execution"], spec["kind"]
    missing = {SHELL: ("command", "payload.command"), PYTHON: ("inline_code", "payload.code"),
               CONTAINER: ("image", "payload.image"),
               WASM: ("component_ref", "payload.component_ref")}.get(kind)
    if missing and not execution[missing[0]]:
        raise Refusal("invalid_request", f"{kind} requires {missing[1]}")
    if execution["runtime_type"] not in RUNTIME_TYPES:
        raise Refusal("invalid_request", "unsupported runtime_type")
    if spec["resumability"]["enabled"] and spec["resumability"]["mode"] != "checkpoint":
        raise Refusal("invalid_request", "unsupported resumability mode")
    if spec["checkpoints"]["enabled"] and spec["checkpoints"]["mode"] not in CHECKPOINT_MODES:
        raise Refusal("invalid_request", "unsupported checkpoint mode")
