"""How a mission could go on after a loss, and what a packed one still needs (OCP 0.1 continuity); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..values import as_object, boolean, words
from .devices import Members, custodian

STOPPED_AND_RECOVERABLE = frozenset({"checkpointed", "failed", "waiting"})
LABELS = {"resume": "Continue Mission", "restart": "Restart Cleanly", "review": "Review Results", "wait": "Keep Watching",
          "none": "No Action Needed"}
HEADLINES = {
    "ready_to_continue": "A safe checkpoint is there: the mission can go on from it.",
    "attention_needed": "The mission can go on, but somebody has to say how.",
    "in_progress": "The mission is being worked on.",
    "completed": "The mission is done, and its results are there.",
    "stopped": "The mission was stopped.",
    "preparing": "The mission has not begun yet."}
NEVER_BEGAN = "The mission never began: it can only be started anew."
SUMMARY_LENGTH_MAX = 160
USUAL_CLASSES = ["full", "relay"]
HINTED = frozenset(LABELS)


class Standing(NamedTuple):
    """How a mission stands with regard to going on."""
    state: str
    action: str
    headline: str
    reason: str
    recoverable: bool
    checkpoint_ready: bool
    classes: list[str]


def standing(mission: Mapping[str, Any]) -> Standing:
    """What can be said of the mission from its status and its children."""
    continuity, status = mission["continuity"], mission["status"]
    hints = [hint for hint in continuity["recovery_hints"] if isinstance(hint, dict)]
    ready, children = bool(continuity["checkpoint_ready"]), bool(mission["child_job_ids"])
    recoverable = children and status in STOPPED_AND_RECOVERABLE and bool(continuity["resumable"] or ready)
    state, action, headline = _state(status, ready, recoverable, children, hints)
    reason = next((hint["reason"] for hint in hints if isinstance(hint.get("reason"), str)), "")[:SUMMARY_LENGTH_MAX]
    classes = list(dict.fromkeys(word for hint in hints for word in _list(hint.get("preferred_target_device_classes"))
                                 if isinstance(word, str)))
    usual = USUAL_CLASSES if state in ("ready_to_continue", "attention_needed") else []
    return Standing(state, action, headline, reason, recoverable, ready, classes or list(usual))


def _state(status: str, ready: bool, recoverable: bool, children: bool,
           hints: Sequence[Mapping[str, Any]]) -> tuple[str, str, str]:
    if recoverable and status in STOPPED_AND_RECOVERABLE:
        state, action = ("ready_to_continue" if ready else "attention_needed"), "resume"
    elif status == "active":
        named = (hint.get("recommended_action") for hint in hints)
        hinted = next((word for word in named if isinstance(word, str) and word in HINTED), "wait")
        state, action = "in_progress", hinted
    elif status == "completed":
        state, action = "completed", "review"
    elif status == "cancelled":
        state, action = "stopped", "none"
    elif not children:
        return "preparing", "restart", NEVER_BEGAN if status == "failed" else HEADLINES["preparing"]
    else:
        state, action = "preparing", "wait"
    return state, action, HEADLINES[state]


def actions(mission: Mapping[str, Any], found: Standing) -> list[Members]:
    """What the operator can do with the mission, in the order in which it is offered."""
    status = mission["status"]
    offered = [("resume", "Continue Mission", "Go on from the latest checkpoint, on a device that is relied on.", True,
                found.recoverable),
               ("resume_from_checkpoint", "Recover From Checkpoint", "Choose the checkpoint to go on from.", False,
                found.checkpoint_ready and status in STOPPED_AND_RECOVERABLE),
               ("restart", "Restart Cleanly", "Do all of it again from the beginning.", False,
                status not in ("completed", "cancelled", "active")),
               ("cancel", "Stop Mission", "Stop whatever is still to be done.", False, status not in ("completed", "cancelled"))]
    return [{"action": action, "label": label, "description": about, "primary": primary}
            for action, label, about, primary, possible in offered if possible]


# --- vessels

REFS = ("checkpoint_ref", "result_bundle_ref", "result_ref")
NO_TREATIES = "The treaties that the mission asks for are not all in force."
NOTHING_TO_TAKE = "There is neither a checkpoint nor a result: the mission could only be started anew from it."
NO_SPECS = "What some of the jobs run is not in the vessel: it is no longer known here, or too large."
NO_WITNESS = "No valid witness attests to this vessel."
MISSING = "Artifacts that the vessel names are not stored here."
NOT_GREEN = "The vessel was not verified in full: look at its warnings before a restore."


def overlay(continuity: Mapping[str, Any]) -> Members:
    """What of a mission's continuity goes with it, where it says anything."""
    names = ("lineage_ref", "continuity_class", "epoch_tolerance", "dormancy_ok", "treaty_requirements")
    return {name: continuity[name] for name in names if continuity.get(name)}


def export_warnings(mission: Mapping[str, Any], satisfied: bool) -> list[str]:
    """What the operator should know before the mission is packed."""
    refs = (mission["latest_checkpoint_ref"], mission["result_ref"], mission["result_bundle_ref"])
    return [*([] if satisfied else [NO_TREATIES]), *([] if any(ref.get("id") for ref in refs) else [NOTHING_TO_TAKE]),
            *([] if all(job.get("spec") for job in mission["child_jobs"]) else [NO_SPECS])]


def absent(jobs: Sequence[Mapping[str, Any]]) -> Members:
    """What the vessel leaves out and a restore will need: which secrets, by name, and which approvals."""
    secrets, approvals = [], []
    for job in jobs:
        surroundings = as_object(as_object(job.get("spec")).get("runtime_environment"))
        for binding in map(as_object, _list(as_object(surroundings.get("secrets")).get("bindings"))):
            secrets.append({name: binding[name] for name in ("env_var", "scope", "source", "provider_ref", "required")
                            if name in binding} | {"job_id": job["id"]})
        if as_object(job.get("metadata")).get("approval_id"):
            approvals.append({"job_id": job["id"], "approval_id": job["metadata"]["approval_id"]})
    return {"secret_material": secrets, "approvals": approvals}


def spec_of(job: Mapping[str, Any]) -> Members:
    """What the job runs, without values of secrets: an environment may hold some, so only its names go along."""
    spec = as_object(job.get("spec"))
    execution = as_object(spec.get("execution"))
    if not execution.get("env"):
        return dict(spec)
    return {**spec, "execution": {**execution, "env": {}, "env_names": sorted(as_object(execution["env"]))}}


def base_job_of(task_id: str, tasks: Sequence[Mapping[str, Any]]) -> Members:
    """What the shards of the task have in common, without values of its environment: peers may not show what theirs run."""
    job = next((as_object(task.get("base_job")) for task in tasks if task.get("id") == task_id), {})
    there = {name: as_object(job.get(name)) for name in ("payload", "runtime")}
    return {**job, **{name: {**given, "env": {}, "env_names": sorted(as_object(given["env"]))} for name, given in there.items()
                      if given.get("env")}}


STRICTEST_FIRST = ("private", "trusted", "public")


def policy_of(mission: Mapping[str, Any], included: Sequence[Mapping[str, Any]]) -> Members:
    """The policy of a vessel: it is for nobody for whom something in it is not, be it a job, a task's or an artifact."""
    given = [mission["policy"], *(job["policy"] for job in mission["child_jobs"] if job.get("policy")),
             *(as_object(task["base_job"].get("policy")) for task in mission["cooperative_tasks"]),
             *({"classification": each["classification"]} for each in included)]
    classes = {str(policy.get("classification") or "trusted").strip().lower() for policy in map(as_object, given)}
    strictest = next((word for word in STRICTEST_FIRST if word in classes), "trusted")
    return {**mission["policy"], "classification": strictest}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def verified(witnesses: Sequence[Mapping[str, Any]], missing: Sequence[Members], satisfied: bool) -> tuple[bool, list[str]]:
    """Whether a vessel is whole, and what it lacks."""
    attested = any(each["subject_matches"] and each["digest_matches"] and each["signature_valid"] for each in witnesses)
    warnings = [*([] if attested else [NO_WITNESS]), *([MISSING] if missing else []), *([] if satisfied else [NO_TREATIES])]
    return not warnings, warnings


# --- restore plans

CONSTRAINTS = frozenset({"device_classes", "trust_tiers", "peer_ids", "connected"})


def constrained(devices: Sequence[Members], constraints: Mapping[str, Any]) -> tuple[list[Members], list[str]]:
    """The devices that the operator's constraints leave, and a warning for each that is not known."""
    classes, tiers, ids = (words(constraints.get(name), f"constraints.{name}") for name in ("device_classes", "trust_tiers",
                                                                                            "peer_ids"))
    connected = boolean(constraints.get("connected"), "constraints.connected", False)
    left = [entry for entry in devices if (not classes or entry["device_class"] in classes)
            and (not tiers or entry["trust_tier"] in tiers) and (not ids or entry["peer_id"] in ids)
            and (not connected or entry["connected"])]
    return left, [f"The constraint {name[:100]} is not known; it was passed over." for name in constraints
                  if name not in CONSTRAINTS]


class Plan(NamedTuple):
    """What a restore would come to."""
    status: str                       # ready, attention_needed, blocked
    action: str
    target: Members
    blockers: list[str]
    warnings: list[str]


def plan(recommended: str, devices: Sequence[Members], wanted: str, availability: Mapping[str, Mapping[str, Any]],
         treaties: Mapping[str, Any], whole: bool) -> Plan:
    """Where and how the mission of a vessel would go on, and what stands against it."""
    required = bool(treaties["required"])
    target = _target(devices, wanted, required)
    blockers = [] if treaties["satisfied"] else [NO_TREATIES]
    warnings = [] if whole else [NOT_GREEN]
    if wanted and target.get("peer_id") != wanted:
        warnings.append(f"{wanted} is not one of the devices that are relied on; another one was chosen.")
    if required and not target:
        blockers.append("No device can take what treaties govern.")
    elif required and not target["treaty_compatibility"]["shared_treaty_validation"]:
        blockers.append(f"{target['display_name']} does not validate treaties.")
    elif required and not target["treaty_compatibility"]["remote_custody_review"]:
        blockers.append(f"{target['display_name']} offers no custody review.")
    blocked = bool(blockers)
    if not target and not required:
        blockers.append("There is no device on which the mission could go on.")
    status = "blocked" if blocked else "attention_needed" if blockers or not whole else "ready"
    return Plan(status, _action(recommended, availability), target, blockers, warnings)


def _target(devices: Sequence[Members], wanted: str, required: bool) -> Members:
    named = next((entry for entry in devices if wanted and entry["peer_id"] == wanted), None)
    if named is not None:
        return named
    custodians = [entry for entry in devices if required and custodian(entry, True)]
    connected = [entry for entry in devices if entry["connected"]]
    return next(iter(custodians or connected or devices), {})


def _action(recommended: str, availability: Mapping[str, Mapping[str, Any]]) -> str:
    if recommended != "resume" or availability["checkpoint_ref"]["available"]:
        return recommended
    return "review" if availability["result_ref"]["available"] or availability["result_bundle_ref"]["available"] else "restart"
