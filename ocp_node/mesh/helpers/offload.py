"""Offload preferences, and what the offload policy lets the node do by itself (OCP 0.1 autonomous offload); pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..jobs.spec import workload_class
from ..pressure.rules import rank
from ..values import text, unique

Members = dict[str, Any]

PREFER, ALLOW, APPROVAL, AVOID, DENY = "prefer", "allow", "approval", "avoid", "deny"
PREFERENCES = (PREFER, ALLOW, APPROVAL, AVOID, DENY)
ALIASES = {"preferred": PREFER, "preferred_auto": PREFER, "never": DENY, "blocked": DENY, "ask": APPROVAL, "manual": APPROVAL}
REFUSING = frozenset({AVOID, DENY})                  # nothing is sent there without being told to
PREFER_POINTS = 120
NOOP, SUGGEST, ASK, AUTO = "noop", "suggest", "request_approval", "auto_enlist"
LEARNED = {"rejected": DENY, "deferred": APPROVAL}   # what a decision teaches about a peer
MEMORY = "approval_memory"                           # source of what decisions have taught
POLICY_REASON, APPROVED_REASON = "policy_auto_offload", "approved_autonomous_offload"


class Preference(NamedTuple):
    """Which work a peer is to be given."""
    peer_id: str
    workload_class: str
    preference: str
    source: str
    metadata: Members
    created_at: str
    updated_at: str


def preference_of(word: object) -> str:
    """The preference that a word names.  `Refusal` for one that is none: a misspelt `deny` must not become permission."""
    found = text(word, "preference").lower()
    found = ALIASES.get(found, found) or ALLOW
    if found not in PREFERENCES:
        raise Refusal("invalid_request", "unsupported offload preference")
    return found


def class_of(word: object) -> str:
    """The workload class that a word names."""
    return workload_class(text(word, "workload_class") or "default")


def chosen(found: Sequence[Preference], wanted_class: str) -> dict[str, Preference]:
    """For each peer the preference that counts: of that very class, else of the default class; others never.

    `found` has the latest change first.
    """
    made: dict[str, Preference] = {}
    for kind in (wanted_class, "default"):
        for each in found:
            if each.workload_class == kind:
                made.setdefault(each.peer_id, each)
    return made


def refusal(recommended_action: str, preference: Preference | None) -> str:
    """Why a candidate is not enlisted although nobody was asked about it, or ""."""
    if preference is not None and preference.preference in REFUSING:
        return f"preference_{preference.preference}"
    return "already_enlisted" if recommended_action == "reuse" else ""


# --- deciding

class Decision(NamedTuple):
    """What the policy says to do, and why."""
    decision: str = NOOP
    action: str = "idle"
    reasons: list[str] = []
    candidates: list[Members] = []
    eligible: list[Members] = []         # all of them; fewer are acted on
    acted_on: list[Members] = []


def nothing_to_do(policy: Mapping[str, Any], pressure: Mapping[str, Any], workload: str) -> str:
    """Why nobody has to be looked for, or ""."""
    allowed = policy["allowed_workload_classes"]
    return next((reason for holds, reason in (
        (not policy["enabled"], "policy_disabled"), (not pressure["needs_help"], "pressure_does_not_need_help"),
        (rank(pressure["pressure"]) < rank(policy["pressure_threshold"]), "pressure_below_threshold"),
        (allowed and workload not in allowed, "workload_not_allowed_by_policy")) if holds), "")


def decided(policy: Mapping[str, Any], workload: str, planned: Sequence[Members], preferences: Mapping[str, Preference],
            battery: Mapping[str, bool]) -> Decision:
    """What to do about these planned candidates; `battery` says whose device runs on one."""
    candidates = [_preferred(each, preferences.get(each["peer_id"])) for each in planned]
    eligible = [each for each in candidates if _eligible(each, policy, battery.get(each["peer_id"], False))]
    if not eligible:
        return Decision(reasons=["no_eligible_helpers"], candidates=candidates)
    best = sorted(eligible, key=lambda each: -int(each["score"]))[:policy["max_auto_enlist"]]
    made = Decision(candidates=candidates, eligible=eligible, acted_on=best)
    if policy["mode"] == "manual":
        return made._replace(decision=SUGGEST, action="manual", reasons=["manual_mode"])
    approvals = unique(reason for each in eligible for reason in _approval_reasons(each, policy, workload))
    if policy["mode"] == "approval" or approvals:
        return made._replace(decision=ASK, action="approval", reasons=approvals)
    return made._replace(decision=AUTO, action="auto", reasons=["policy_allows_auto_enlist"])


def _preferred(candidate: Members, preference: Preference | None) -> Members:
    """The candidate with the preference that counts for it, its points and its reason."""
    word = preference.preference if preference else ""
    named = {DENY: "preference_deny", AVOID: "preference_avoid", PREFER: "preference_prefer"}.get(word)
    return {**candidate, "score": candidate["score"] + (PREFER_POINTS if word == PREFER else 0),
            "reasons": [*candidate["reasons"], *([named] if named else [])],
            "offload_preference": preference._asdict() if preference else {}}


def _eligible(candidate: Mapping[str, Any], policy: Mapping[str, Any], battery: bool) -> bool:
    return (candidate["trust_tier"] in policy["allowed_trust_tiers"]
            and candidate["device_class"] in policy["allowed_device_classes"]
            and (policy["allow_battery_helpers"] or not battery)
            and candidate["offload_preference"].get("preference") not in REFUSING
            and candidate["score"] >= policy["min_candidate_score"])


def _approval_reasons(candidate: Mapping[str, Any], policy: Mapping[str, Any], workload: str) -> list[str]:
    tier, kind = candidate["trust_tier"], candidate["device_class"]
    return [reason for holds, reason in (
        (tier in policy["approval_trust_tiers"], f"trust_tier_requires_approval:{tier}"),
        (kind in policy["approval_device_classes"], f"device_class_requires_approval:{kind}"),
        (policy["approval_for_gpu_helpers"] and candidate["compute_profile"]["gpu_capable"], "gpu_helper_requires_approval"),
        (workload in policy["approval_workload_classes"], f"workload_requires_approval:{workload}"),
        (candidate["offload_preference"].get("preference") == APPROVAL, "preference_requires_approval")) if holds]


def evaluation(node_id: str, policy: Members, pressure: Members, placement: Members, made: Decision, candidate_count: int,
               now: str) -> Members:
    """The decision as it is shown."""
    return {"peer_id": node_id, "policy": policy, "pressure": pressure, "placement": placement, "decision": made.decision,
            "action": made.action, "approval_required": made.decision == ASK, "reasons": made.reasons,
            "candidate_count": candidate_count, "eligible_candidate_count": len(made.eligible), "candidates": made.candidates,
            "eligible_candidates": made.acted_on, "generated_at": now}


# --- asking and telling

def request_id(node_id: str, peer_ids: Sequence[str], pressure: str, workload: str, gpu_required: bool) -> str:
    """The name of the question whether these peers may be enlisted now: the same situation has the same name."""
    import hashlib
    situation = {"gpu_required": gpu_required, "node_id": node_id, "peers": sorted(peer_ids), "pressure": pressure,
                 "workload_class": workload}
    return "autonomy-offload-" + hashlib.sha256(json.dumps(situation, sort_keys=True).encode()).hexdigest()[:16]


def question(found: Mapping[str, Any], actor_agent_id: str) -> Members:
    """What somebody is asked about the evaluation."""
    node_id, policy, level = found["peer_id"], found["policy"], found["pressure"]["pressure"]
    peers, workload = found["eligible_candidates"], found["placement"]["workload_class"]
    peer_ids = [each["peer_id"] for each in peers]
    gpu = any(each["compute_profile"]["gpu_capable"] for each in peers)
    return {"request_id": request_id(node_id, peer_ids, level, workload, found["placement"]["gpu_required"]),
            "title": "Approve autonomous helper offload", "action_type": "autonomous.offload",
            "summary": f"Pressure is {level} and OCP wants to enlist {len(peers)} helper peer(s).",
            "severity": "high" if level == "saturated" else "normal", "requested_by_peer_id": node_id,
            "requested_by_agent_id": actor_agent_id, "target_peer_id": node_id,
            "target_device_classes": policy["target_device_classes"],
            "metadata": {"autonomous_offload": {
                "peer_ids": peer_ids, "mode": "on_demand", "role": "gpu_helper" if gpu else "helper",
                "pressure": found["pressure"], "placement": found["placement"], "workload_class": workload,
                "max_auto_enlist": policy["max_auto_enlist"]}}}


def told_enlisted(node_id: str, peer_ids: Sequence[str], device_classes: Sequence[str]) -> Members:
    """The notification that helpers were enlisted by the policy."""
    return {"notification_type": "helper.autonomy.enlisted", "priority": "high", "title": "Autonomous helper offload active",
            "body": f"Enlisted {len(peer_ids)} helper peer(s) for local pressure relief.", "target_peer_id": node_id,
            "target_device_classes": list(device_classes), "metadata": {"peer_ids": list(peer_ids)}}


def told_applied(node_id: str, peer_ids: Sequence[str], approval_id: str) -> Members:
    """The notification that helpers were enlisted because somebody approved it."""
    return {"notification_type": "helper.autonomy.applied", "priority": "high", "title": "Autonomous offload applied",
            "body": f"Enlisted {len(peer_ids)} helper peer(s) after approval.", "target_peer_id": node_id,
            "target_device_classes": ["full", "light", "micro"], "related_approval_id": approval_id,
            "metadata": {"peer_ids": list(peer_ids)}}
