"""Helpers: how a peer is enlisted, drained and retired, and how helpers are ranked for a job (OCP 0.1 helpers); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..peers.peer import Peer
from ..scheduler.scoring import Candidate
from ..values import text

Members = dict[str, Any]

UNENLISTED, ENLISTED, DRAINING = "unenlisted", "enlisted", "draining"
STATES = (UNENLISTED, ENLISTED, DRAINING)
ENLIST, DRAIN, RETIRE = "enlist", "drain", "retire"
ACTIVE = frozenset({ENLISTED, DRAINING})

# (state, action) -> state.  Every action is taken in every state: operators and other nodes rely on that.
STEPS: Mapping[tuple[str, str], str] = {
    **{(state, ENLIST): ENLISTED for state in STATES}, **{(state, DRAIN): DRAINING for state in STATES},
    **{(state, RETIRE): UNENLISTED for state in STATES},
}
MODES = ("idle", "on_demand", "always", "scheduled", "burst")
ROLES = ("", "helper", "relay", "gpu_helper", "drain")
NEVER = frozenset({"blocked", "public"})             # tiers that are no helpers
HISTORY_KEPT, HISTORY_SHOWN = 20, 8
REASON_LENGTH_MAX = 500


class Order(NamedTuple):
    """What is to happen to a peer as a helper."""
    action: str
    reason: str
    source: str = "operator"
    mode: str = "on_demand"
    role: str = "helper"


def mode_of(value: object) -> str:
    """The mode that a word names; an unknown one counts as on_demand."""
    found = text(value, "mode").lower()
    return found if found in MODES else "on_demand"


def role_of(value: object) -> str:
    """The role that a word names; an unknown one counts as helper."""
    found = text(value, "role").lower()
    return found if found in ROLES and found else "helper"


def order_of(action: str, body: Mapping[str, Any]) -> Order:
    """The order that an operator's body spells."""
    named = pick_reason(body, ("drain_reason", "reason") if action == DRAIN else ("reason",)) or f"operator_{action}"
    source = text(body.get("source"), "source") or "operator"
    return Order(action, named, source, mode_of(body.get("mode")), role_of(body.get("role")))


def pick_reason(body: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first reason that is given."""
    return next((found for name in names if (found := text(body.get(name), name, REASON_LENGTH_MAX))), "")


# --- enlistment

def enlistment_of(peer: Peer) -> Members:
    """What is kept of the peer as a helper, with every member."""
    kept = peer.metadata.get("enlistment")
    kept = kept if isinstance(kept, dict) else {}
    usual: Members = {"mode": "idle", "state": UNENLISTED, "role": "", "source": "", "enlisted_at": "", "last_action_at": "",
                      "last_reason": "", "drain_reason": "", "history": []}
    return {name: kept[name] if isinstance(kept.get(name), type(value)) else value for name, value in usual.items()}


def check(peer: Peer | None, order: Order) -> Peer:
    """The peer may be treated so; `Refusal` otherwise."""
    if peer is None:
        raise Refusal("not_found", "peer not found for enlistment")
    if order.action == ENLIST and peer.trust_tier in NEVER:
        raise Refusal("policy_denied", f"cannot enlist peer with trust_tier={peer.trust_tier}")
    if order.action == DRAIN and peer.trust_tier in NEVER and not _was_helper(enlistment_of(peer)):
        raise Refusal("policy_denied", f"cannot drain peer with trust_tier={peer.trust_tier}")
    return peer


def _was_helper(enlistment: Mapping[str, Any]) -> bool:
    """Is the peer a helper, or has it been one as far as is remembered?  Being retired makes nobody one."""
    states = [enlistment["state"], *(entry.get("state") for entry in enlistment["history"] if isinstance(entry, dict))]
    return not ACTIVE.isdisjoint(states)


def acted(before: Mapping[str, Any], order: Order, now: str) -> Members:
    """The enlistment after the order."""
    state = STEPS[before["state"] if before["state"] in STATES else UNENLISTED, order.action]
    made = {**before, "state": state, "source": order.source, "last_action_at": now, "last_reason": order.reason}
    if order.action == ENLIST:
        made |= {"mode": order.mode, "role": order.role, "enlisted_at": before["enlisted_at"] or now, "drain_reason": ""}
    elif order.action == DRAIN:
        made |= {"drain_reason": order.reason}
    else:
        made |= {"mode": "idle", "role": "", "enlisted_at": "", "drain_reason": ""}
    after = {name: made[name] for name in ("mode", "state", "role")}
    entry = {"at": now, **after, "reason": order.reason, "source": order.source}
    return {**made, "history": [*before["history"], entry][-HISTORY_KEPT:]}


def helper_json(peer: Peer) -> Members:
    """The peer as a helper."""
    kept, profile = enlistment_of(peer), peer.device_profile
    return {"peer_id": peer.peer_id, "display_name": peer.display_name or peer.peer_id, "trust_tier": peer.trust_tier,
            **{name: kept[name] for name in ("mode", "state", "role", "enlisted_at", "last_action_at", "last_reason", "source",
                                             "drain_reason")},
            "device_class": profile["device_class"], "execution_tier": profile["execution_tier"],
            "helper_state": profile["helper_state"], "compute_profile": profile["compute_profile"],
            "history": kept["history"][-HISTORY_SHOWN:]}


# --- ranking

ACTIONS = {ENLISTED: "reuse", DRAINING: "resume", UNENLISTED: "enlist"}
USUAL_PLACEMENT: Members = {"workload_class": "default", "gpu_required": False, "queue_class": "default"}


def may_help(peer: Peer) -> bool:
    """Is the peer looked at as a helper at all?  By the tier it has here, whatever it claims."""
    return peer.trust_tier not in NEVER


def ranked(peer: Peer, placed: Candidate) -> Members:
    """The peer as a candidate: its score as a place for the job, and what counts for helpers beside."""
    kept, profile = enlistment_of(peer), peer.device_profile
    state, points, reasons = kept["state"], placed.score, list(placed.reasons)
    for holds, bonus, reason in (
            (state == ENLISTED, 80, "already_enlisted"), (state == DRAINING, -180, "draining"),
            (profile["compute_profile"]["gpu_capable"], 60, "gpu_capable"),
            (profile["device_class"] in ("full", "relay"), 40, ""), (profile["battery_powered"], -30, "battery_powered")):
        if holds:
            points += bonus
            reasons += [reason] if reason else []
    return {"peer_id": peer.peer_id, "display_name": peer.display_name or peer.peer_id, "trust_tier": peer.trust_tier,
            "score": points, "raw_placement_score": placed.score, "enlistment": helper_json(peer),
            "device_class": profile["device_class"], "execution_tier": profile["execution_tier"],
            "compute_profile": profile["compute_profile"], "reasons": reasons,
            "recommended_action": ACTIONS.get(state, "enlist")}


def best(candidates: Sequence[Members], limit: int) -> list[Members]:
    """The candidates with the most points, the first of equals first."""
    return sorted(candidates, key=lambda each: -int(each["score"]))[:limit]


def role_for(candidate: Mapping[str, Any]) -> str:
    """What a candidate is enlisted as."""
    return "gpu_helper" if candidate["compute_profile"]["gpu_capable"] else "helper"
