"""A job as it is shown (OCP 0.1 job object)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...base import jsontext
from .rules import STATES, TERMINAL
from .table import Attempt, Job, attempt_json

Members = dict[str, Any]

_RESUMES = ("last_resumed_at", "last_resumed_by", "last_resume_reason", "last_resume_requested_at", "last_resume_requested_by",
            "last_resume_requested_reason", "last_restart_at", "last_restart_by", "last_restart_reason")
_RECOVERIES = ("last_recovery_action", "last_recovery_at", "last_recovery_by", "last_recovery_reason")
_REFS = ("result_ref", "latest_checkpoint_ref", "resume_checkpoint_ref", "selected_resume_checkpoint_ref", "result_bundle_ref",
         "result_config_ref", "result_attestation_ref")
_PLACE = "/mesh/artifacts/"
_HIDDEN = frozenset({"budget", "run"})                # kept with a job, and nobody else's business


def job_json(job: Job, attempts: Sequence[Attempt], queue: Members, lease: Mapping[str, Any], base_url: str) -> Members:
    """The whole job; its artifacts are where this node is reached now."""
    made = _job_json(job, attempts, queue, lease)
    metadata = made["metadata"]
    for name in _REFS:
        made[name] = placed(made[name], base_url)
        if name in metadata:
            metadata[name] = placed(metadata[name], base_url)
    made["result_artifacts"] = {role: placed(ref, base_url) for role, ref in made["result_artifacts"].items()}
    if "result_artifacts" in metadata:
        metadata["result_artifacts"] = made["result_artifacts"]
    return made


def job_text(job: Job, made: Members) -> str:
    """What `job_json` has made of the job, as JSON.  Most of it stands there twice: that is written once, and what is run goes
    in as it is stored."""
    metadata, texts, within = made["metadata"], {}, {}
    if "job_spec" in metadata:
        texts["spec"] = within["job_spec"] = job.large_text("spec")
    for name in (*_REFS, "result_artifacts"):
        texts[name] = jsontext.ascii_text(made[name])
        if metadata.get(name) is made[name]:
            within[name] = texts[name]
    texts["metadata"] = jsontext.spliced(metadata, within)
    return jsontext.spliced(made, texts)


def placed(ref: Members, base_url: str) -> Members:
    """The reference with the address that this node has now; it may have been another when the artifact was made."""
    url = ref.get("download_url") or ""
    if not url or url.startswith(base_url + _PLACE):
        return ref
    now = base_url + _PLACE + ref["id"]
    placed = {**ref, "download_url": now}
    return placed | {"oci_descriptor": {**ref["oci_descriptor"], "urls": [now]}} if "oci_descriptor" in ref else placed


def _job_json(job: Job, attempts: Sequence[Attempt], queue: Members, lease: Mapping[str, Any]) -> Members:
    kept = job.metadata
    metadata = {name: value for name, value in kept.items() if name not in _HIDDEN}
    if "job_spec" in metadata:
        metadata["job_spec"] = job.spec
    resume, latest = kept.get("resume_checkpoint_ref") or {}, kept.get("latest_checkpoint_ref") or {}
    spec = job.spec
    if "job_spec" not in metadata:
        spec = {**spec, "provenance": {**spec["provenance"], "submitted_at": job.created_at}}
    resumed = {name: kept.get(name, "") for name in _RESUMES}
    return {
        "id": job.id, "request_id": job.request_id, "kind": job.kind, "origin": job.origin_peer_id, "target": job.target_peer_id,
        "origin_peer_id": job.origin_peer_id, "target_peer_id": job.target_peer_id, "dispatch_mode": spec["dispatch_mode"],
        "requirements": job.requirements, "policy": job.policy, "payload_ref": job.payload_ref,
        "artifact_inputs": job.artifact_inputs,
        "status": job.status, "result_ref": job.result_ref, "lease": dict(lease), "metadata": metadata,
        "created_at": job.created_at,
        "updated_at": job.updated_at, "payload_inline": job.payload_inline, "executor": job.executor,
        "attempts": [attempt_json(attempt) for attempt in attempts], "queue": queue, "spec": spec,
        "mission": kept.get("mission") or {},
        "latest_checkpoint_ref": latest, "resume_checkpoint_ref": resume, "selected_resume_checkpoint_ref": resume,
        "resume_count": int(kept.get("resume_count") or 0), "checkpointed_at": kept.get("checkpointed_at", ""), **resumed,
        "recovery": recovery_json(job), "result_bundle_ref": kept.get("result_bundle_ref") or {},
        "result_config_ref": kept.get("result_config_ref") or {},
        "result_attestation_ref": kept.get("result_attestation_ref") or {},
        "result_artifacts": kept.get("result_artifacts") or {}, "secret_delivery": kept.get("secret_delivery") or [],
    }


def recovery_json(job: Job) -> Members:
    """Where the job stands, and how it could go on."""
    kept = job.metadata
    resumability, checkpoints = kept.get("resumability") or {}, kept.get("checkpoint_policy") or {}
    latest, resume = kept.get("latest_checkpoint_ref") or {}, kept.get("resume_checkpoint_ref") or {}
    enabled, available = bool(resumability.get("enabled")), bool(latest.get("id"))
    return {
        "state": job.status, "states": list(STATES), "terminal": job.status in TERMINAL, "resumable": enabled and available,
        "resumability_enabled": enabled, "checkpoint_enabled": bool(checkpoints.get("enabled")),
        "checkpoint_on_retry": bool(checkpoints.get("on_retry")), "checkpoint_available": available,
        "latest_checkpoint_ref": latest,
        "selected_resume_checkpoint_ref": resume, "resume_count": int(kept.get("resume_count") or 0),
        "checkpointed_at": kept.get("checkpointed_at", ""), **{name: kept.get(name, "") for name in (*_RESUMES, *_RECOVERIES)},
        "recovery_hint": kept.get("recovery_hint") or {},
    }
