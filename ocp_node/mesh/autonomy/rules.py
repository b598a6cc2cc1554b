"""What a pass of the autonomic mesh does and what comes of it (OCP 0.1 autonomy); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..fitting import fitted, line, size

Members = dict[str, Any]

RUNNING, COMPLETED, PARTIAL, APPROVAL_REQUESTED, NEEDS_ATTENTION, FAILED = (
    "running", "completed", "partial", "approval_requested", "needs_attention", "failed")
KINDS = ("setup_checked", "peer_scan", "route_verified", "fix_needed", "helper_ready", "partner_auto_enlisted", "proof_started",
         "proof_completed", "route_repaired", "peer_synced", "route_sync_failed")
OK, WARNING, BLOCKED, APPROVAL_REQUIRED = "ok", "warning", "blocked", "approval_required"
ACTION_STATUSES = (OK, RUNNING, WARNING, BLOCKED, APPROVAL_REQUIRED)

ACTIONS_KEPT = 64
ACTIONS_BYTES_MAX = 32_768
RESULT_BYTES_MAX = 20_480
SUMMARY_LENGTH_MAX = 240
DETAILS_BYTES_MAX = 600
LISTED_MAX = 20                       # peers, URLs or routes named in a stored result

PROOF_DONE = frozenset({"completed", "ok"})
PROOF_ON_ITS_WAY = frozenset({"planned", "queued", "running", "accepted"})
PROOF_ACCEPTABLE = frozenset({"", "completed", "ok", "planned", "accepted"})
TRANSPORT_MARKS = ("timed out", "timeout", "in time", "urlopen", "connection", "unreachable", "there is no way to",
                   "has no address")


class Run(NamedTuple):
    """One pass."""
    id: str
    request_id: str
    mode: str
    status: str
    summary: str
    actions: list[Members]
    result: Members
    metadata: Members
    created_at: str
    updated_at: str


def run_json(run: Run) -> Members:
    """The run as it is shown."""
    return run._asdict()


def brief(run: Run | None) -> Members:
    """The run for an answer that is asked for often: its actions without their details, and not its result."""
    if run is None:
        return {}
    actions = [{name: value for name, value in action.items() if name != "details"} for action in run.actions]
    return {"id": run.id, "request_id": run.request_id, "mode": run.mode, "status": run.status, "summary": run.summary,
            "actions": actions, "created_at": run.created_at, "updated_at": run.updated_at}


def answer(run: Run, routes: Members, generated_at: str, deduped: bool) -> Members:
    """What the caller of an activation gets: the run and the parts of its result by name."""
    helpers = run.result.get("helpers") or no_helpers("skipped")
    made = {"status": run.status, "request_id": run.request_id, "mode": run.mode, "summary": run.summary,
            "operator_summary": run.summary,
            "actions": run.actions, "routes": routes, "proof": run.result.get("proof") or {}, "helpers": helpers,
            "approvals": helpers["approvals"], "run": run_json(run), "result": run.result, "generated_at": generated_at}
    return {**made, "deduped": True} if deduped else made


def notice(run: Run, node_id: str) -> Members:
    """The notification that a pass is over."""
    return {"notification_type": "mesh.autonomy.summary", "priority": "high" if run.status == NEEDS_ATTENTION else "normal",
            "title": f"Mesh activation: {run.status.replace('_', ' ')}", "body": run.summary, "target_peer_id": node_id,
            "metadata": {"run_id": run.id, "request_id": run.request_id, "status": run.status}}


# --- actions ---------------------------------------------------------------------------------------------------------------

def action(action_id: str, kind: str, status: str, summary: str, created_at: str, peer_id: str = "",
           details: Mapping[str, Any] | None = None) -> Members:
    """One thing that was done or found."""
    assert kind in KINDS and status in ACTION_STATUSES, (kind, status)
    shown = dict(details or {})
    return {"id": action_id, "kind": kind, "status": status, "summary": line(summary, SUMMARY_LENGTH_MAX), "peer_id": peer_id,
            "details": shown if size(shown) <= DETAILS_BYTES_MAX else {}, "created_at": created_at}


def with_action(actions: Sequence[Members], new: Members) -> list[Members]:
    """The actions with one more, as long as there is room: a run of many peers keeps its first ones."""
    kept = [*actions, new]
    return kept if len(kept) <= ACTIONS_KEPT and size(kept) <= ACTIONS_BYTES_MAX else list(actions)


def probe_action(probe: Mapping[str, Any]) -> tuple[str, str, str, Members]:
    """Kind, status, summary and details of the action that tells of a peer's probe."""
    details = {"best_route": probe["best_route"], "checked": probe["checked"], "reachable": probe["reachable"]}
    if probe["status"] == "ok":
        return "route_verified", OK, probe["operator_summary"], details
    return "fix_needed", WARNING, probe["operator_summary"], {**details, "operator_hint": line(probe.get("operator_hint"), 200)}


# --- whom to enlist --------------------------------------------------------------------------------------------------------

class Helper(NamedTuple):
    """What becomes of one candidate."""
    step: str                   # enlist, keep, ask, skip
    kind: str                   # of the action
    status: str
    reason: str                 # why it was skipped


def helper_step(trust_tier: str, device_class: str, usable: bool, enlisted: bool, preference: str, enlisted_so_far: int,
                max_enlist: int) -> Helper:
    """What becomes of a candidate: full devices of trusted peers and partners help, other devices of partners when approved.

    `preference` is what somebody has decided of the peer before: `deny` and `avoid` keep it out, `approval` asks again.
    """
    if not usable:
        return Helper("skip", "fix_needed", WARNING, "route_not_usable")
    if enlisted:
        return Helper("keep", "helper_ready", OK, "")
    if preference in ("deny", "avoid"):
        return Helper("skip", "", OK, f"preference_{preference}")
    if enlisted_so_far >= max_enlist:
        return Helper("skip", "", OK, "max_enlist_reached")
    if preference == "approval" and trust_tier in ("trusted", "partner"):
        return Helper("ask", "helper_ready", APPROVAL_REQUIRED, "")
    if device_class == "full" and trust_tier in ("trusted", "partner"):
        return Helper("enlist", "helper_ready" if trust_tier == "trusted" else "partner_auto_enlisted", OK, "")
    if trust_tier == "partner":
        return Helper("ask", "helper_ready", APPROVAL_REQUIRED, "")
    return Helper("skip", "fix_needed", BLOCKED, "not_eligible")


def no_helpers(status: str) -> Members:
    """The helper step when nothing was done."""
    return {"status": status, "plan": {}, "enlisted": [], "approvals": [], "skipped": []}


# --- the proof -------------------------------------------------------------------------------------------------------------

def proof_status(proof: Mapping[str, Any]) -> str:
    """The status of the mission that proves the mesh, "" when there is none."""
    mission = proof.get("mission")
    return str((mission.get("status") if isinstance(mission, Mapping) else "") or proof.get("status") or "")


def proof_action(status: str) -> tuple[str, str, str]:
    """Kind, status and summary of the action that tells how the proof stands."""
    if status in PROOF_DONE:
        return "proof_completed", OK, "The test mission ran on every device of the mesh."
    if status in PROOF_ON_ITS_WAY:
        return "proof_started", OK, f"The test mission is {status}."
    return "fix_needed", WARNING, f"The test mission did not succeed: it is {status or 'in an unknown state'}."


def failed_on_the_way(text: str) -> bool:
    """Does the text tell of a failure between the nodes, which another route may mend?"""
    lower = text.lower()
    return any(mark in lower for mark in TRANSPORT_MARKS)


# --- what comes of it ------------------------------------------------------------------------------------------------------

def outcome(routes: Mapping[str, Any], proof: str, proof_error: str, approvals: int, late: bool = False) -> tuple[str, str]:
    """Status and summary of a run: `routes` as listed, `proof` the status of the mission, `approvals` how many are undecided."""
    count, healthy = routes["count"], routes["healthy"]
    proven = f"{healthy} of {count} routes are proven"
    if proof_error and not healthy:
        return NEEDS_ATTENTION, f"No route to another device works, and there was no proof: {proof_error}."
    if approvals:
        return APPROVAL_REQUESTED, f"{proven}; {approvals} helper{'s' if approvals > 1 else ''} wait for your approval."
    if late:
        return (PARTIAL if healthy else NEEDS_ATTENTION), f"The time for this pass was used up; {proven}."
    if count and healthy == count and proof in PROOF_ACCEPTABLE and not proof_error:
        told = "" if not proof else ", the test mission succeeded" if proof in PROOF_DONE else ", the test mission is on its way"
        return COMPLETED, f"The mesh is strong: {proven}, helpers were looked at{told}."
    if healthy:
        return PARTIAL, f"The mesh is usable: {proven}. {_proof_trouble(proof, proof_error)}".rstrip()
    return NEEDS_ATTENTION, f"{proven}. {'Repair a route and activate again' if count else 'Connect to a device first'}."


def _proof_trouble(proof: str, proof_error: str) -> str:
    if proof_error:
        return f"There was no proof: {proof_error}."
    return "" if proof in PROOF_ACCEPTABLE else f"The test mission is {proof}."


def summary_of(routes: Mapping[str, Any]) -> str:
    """How the mesh stands, in a sentence."""
    if not routes["count"]:
        return "No other device is part of the mesh yet. Activate it to look around, check routes, enlist helpers and run a test."
    if routes["healthy"] == routes["count"]:
        return "The mesh is strong: every known peer has a proven route."
    if routes["healthy"]:
        return f"The mesh is usable: {routes['healthy']} of {routes['count']} routes are proven."
    return "No route to a known peer is proven. Activate the mesh to check and repair them."


def recommended(routes: Mapping[str, Any], pressure: Mapping[str, Any], share_advice: str, pending: int) -> list[str]:
    """What an operator may want to do next, at most four things."""
    advice = []
    if pending:
        advice.append(f"Decide on {pending} waiting approval{'s' if pending > 1 else ''}.")
    if not routes["count"]:
        advice.append("Scan nearby devices and connect to those you trust.")
    elif routes["healthy"] < routes["count"]:
        advice.append("Check the routes and repair those that are stale or fail.")
    if pressure.get("needs_help"):
        advice.append("This node has more work than it can do: enlist a helper.")
    if share_advice:
        advice.append(share_advice)
    return advice[:4]


# --- results that are kept -------------------------------------------------------------------------------------------------

def scan_kept(scan: Mapping[str, Any]) -> Members:
    """A scan without manifests: what answered, and how many did not."""
    found = [{name: each.get(name, "") for name in ("base_url", "peer_id", "display_name", "status")}
             for each in scan["results"] if each["status"] != "error"][:LISTED_MAX]
    return {"peer_id": scan["peer_id"], **{name: scan[name] for name in ("count", "discovered", "connected", "errors")},
            "results": found, "suggested_url_count": len(scan.get("suggested_urls", ()))}


def routes_kept(routes: Mapping[str, Any]) -> Members:
    """The routes without their single candidates."""
    return {**routes, "routes": [{**route, "candidates": []} for route in routes["routes"][:LISTED_MAX]]}


def probe_kept(probe: Mapping[str, Any]) -> Members:
    """A probe in short."""
    kept = {name: probe[name] for name in ("status", "peer_id", "checked", "reachable", "best_route")}
    return {**kept, "operator_hint": line(probe.get("operator_hint"), 200)}


def proof_kept(proof: Mapping[str, Any]) -> Members:
    """A test mission in short."""
    mission, mesh, told = (value if isinstance(value := proof.get(name), Mapping) else {}
                           for name in ("mission", "mesh", "proof"))
    return {"status": line(proof.get("status"), 40), "proof": {name: line(value, 200) for name, value in list(told.items())[:4]},
            "mesh": {"peer_count": mesh.get("peer_count", 0),
                     "target_peer_ids": list(mesh.get("target_peer_ids") or ())[:LISTED_MAX],
                     "includes_local": bool(mesh.get("includes_local"))},
            "mission": {name: line(mission.get(name), 200) for name in ("id", "request_id", "title", "status", "updated_at")}}


def result_kept(result: Members) -> Members:
    """The result as it is stored: without what makes it too large, the longest lists first."""
    return fitted(result, RESULT_BYTES_MAX, (
        lambda whole: {**whole, "route_probes": whole.get("route_probes", [])[:5], "scan": _cut(whole.get("scan"), 5)},
        lambda whole: {**whole, "routes": _cut(whole.get("routes"), 5, "routes"), "connect": _cut(whole.get("connect"), 5)},
        lambda whole: {name: whole[name] for name in ("helpers", "proof", "proof_error") if name in whole},
        lambda whole: {"truncated": True}))


def _cut(part: Any, count: int, inner: str = "results") -> Any:
    return {**part, inner: part.get(inner, [])[:count]} if isinstance(part, dict) else part
