"""How the mesh stands, for the app page (OCP 0.1 app status): words, advice and a score from what the rooms know; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..fitting import line
from ..routes.rules import AGING, FRESH, REACHABLE, error_kind, usable
from ..values import as_count

Members = dict[str, Any]

LISTED_MAX = 24                       # targets and workers in one status
ROLES_MAX = 6
TIMELINE_MAX = 8
ACTIONS_SHOWN = 12
READY_WORKERS = ("active", "ready")
IN_FLIGHT = frozenset({"planned", "queued", "running", "accepted"})
PROOF_FAILED = frozenset({"failed", "needs_attention", "cancelled"})
NO_PROOF: Members = {"status": "none", "mission_id": "", "request_id": "", "title": "No proof yet", "updated_at": "",
                     "summary": "Activate the mesh to run a test mission on every device."}


class Facts(NamedTuple):
    """What a status is made of."""
    node: Members                     # node_id, display_name, compute_ready ...
    reach: Members                    # connectivity
    routes: Members                   # routes as listed
    readiness: Members
    artifacts: Members
    proof: Members
    approvals: Members
    run: Members                      # the latest pass in short; {} before the first
    token: bool                       # an operator token is configured
    peers: int                        # that have a part in the mesh

    @property
    def route_count(self) -> int:
        return int(self.routes["count"])

    @property
    def healthy(self) -> int:
        return int(self.routes["healthy"])

    @property
    def unhealthy(self) -> list[Members]:
        return [route for route in self.routes["routes"] if not usable(route)]


# --- the mesh as a whole ---------------------------------------------------------------------------------------------------

QUALITY = {"strong": "Mesh strong", "usable": "Mesh usable", "attention": "Mesh needs route repair",
           "isolated": "Local node ready"}


def quality(facts: Facts, summary: str) -> Members:
    """The mesh in a word."""
    some = "strong" if facts.healthy == facts.route_count else "usable"
    status = "isolated" if not facts.peers else some if facts.healthy else "attention"
    return {"status": status, "label": QUALITY[status], "peer_count": facts.peers, "route_count": facts.route_count,
            "healthy_routes": facts.healthy, "operator_summary": summary}


def setup_status(facts: Facts) -> str:
    """The state of the set-up; the first that fits."""
    proof = facts.proof["status"]
    if facts.run.get("status") == "running":
        return "proving"
    if proof == "completed" and facts.route_count and facts.healthy == facts.route_count:
        return "strong"
    if proof in IN_FLIGHT:
        return "proving"
    if (proof in PROOF_FAILED or facts.approvals["pending_count"] or facts.reach["sharing_mode"] == "lan" and not facts.token
            or facts.healthy < facts.route_count):
        return "needs_attention"
    return "local_only" if facts.reach["sharing_mode"] == "local" and not facts.peers else "ready"


def blocker_code(facts: Facts) -> str:
    """What stands in the way, "" when nothing does; the first that fits."""
    if facts.proof["status"] in PROOF_FAILED:
        return "proof_failed"
    if facts.reach["sharing_mode"] == "lan" and not facts.token:
        return "token_missing"
    found = {error_kind(route["last_error"]) for route in facts.unhealthy}
    for code, kinds in BLOCKING_KINDS.items():
        if found & kinds:
            return code
    if facts.unhealthy:
        return "stale_route"
    return "local_only" if facts.reach["sharing_mode"] == "local" and not facts.peers else ""


# What makes a failing route more than an old one; the first that fits counts.
BLOCKING_KINDS: Mapping[str, frozenset[str]] = {
    "identity_changed": frozenset({"identity"}), "firewall_suspected": frozenset({"refused", "timeout"})}


def recovery_state(status: str, facts: Facts) -> str:
    """Whether something is being repaired, has to be, or was."""
    if facts.run.get("status") == "running" or facts.proof["status"] in IN_FLIGHT:
        return "repairing"
    if status == "needs_attention":
        return "needs_attention"
    kinds = {action["kind"] for action in facts.run.get("actions", ())}
    return "repaired" if kinds & {"route_repaired", "peer_synced"} else "healthy"


# blocker -> label, what is wrong, what to do ("" = the failing route says it)
BLOCKERS: Mapping[str, tuple[str, str, str]] = {
    "proof_failed": ("Proof needs attention", "The last test mission did not succeed.",
                     "Activate the mesh again to repair routes and repeat the test."),
    "token_missing": ("Operator token needed",
                      "Other devices can reach this node, but it has no operator token for control by phone.",
                      "Restart with OCP_OPERATOR_TOKEN set."),
    "identity_changed": ("Route needs repair", "A saved route now leads to another node, or to one with another key.", ""),
    "firewall_suspected": ("Route needs repair", "A peer refuses connections or does not answer in time.", ""),
    "stale_route": ("Route needs repair", "One or more routes to peers are old or do not work.", ""),
    "local_only": ("Local only", "This node only listens on this device.",
                   "Let it listen on your network to use a phone or another computer."),
}
LABELS = {"strong": "Mesh strong", "proving": "Proof running", "needs_attention": "Approval needed", "ready": "Ready to activate"}


def setup(facts: Facts) -> Members:
    """How far the set-up is, what stands in the way and what to do about it."""
    status, code = setup_status(facts), blocker_code(facts)
    label, issue, fix = _told(status, code, facts)
    summary = f"{issue} {fix}".strip() if issue else _good(status)
    return {"status": status, "label": label, "primary_action": "activate_mesh",
            "bind_mode": facts.reach["sharing_mode"] if facts.reach["sharing_mode"] in ("lan", "local") else "unknown",
            "phone_url": phone_url(facts.reach), "token_status": "configured" if facts.token else "loopback_only",
            "known_peer_count": facts.peers, "healthy_route_count": facts.healthy, "route_count": facts.route_count,
            "latest_proof_status": facts.proof["status"], "recovery_state": recovery_state(status, facts),
            "primary_peer": primary_peer(facts),
            "device_roles": device_roles(facts), "blocking_issue": issue, "blocker_code": code, "next_fix": fix or _good(status),
            "operator_summary": summary, "story": story(status, issue, fix, facts), "timeline": timeline(facts)}


def _told(status: str, code: str, facts: Facts) -> tuple[str, str, str]:
    if status == "needs_attention" and (not code or code == "local_only"):
        waiting = facts.approvals["pending_count"]
        return LABELS[status], f"Decisions wait for you: {waiting}.", "Approve or reject what is asked."
    if not code or status not in ("needs_attention", "local_only"):
        return LABELS.get(status, "Local only"), "", ""
    label, issue, fix = BLOCKERS[code]
    kinds = BLOCKING_KINDS.get(code)
    route = next((each for each in facts.unhealthy if kinds is None or error_kind(each["last_error"]) in kinds), None)
    return label, issue, fix or (route["operator_hint"] or route["operator_summary"] if route else "")


def _good(status: str) -> str:
    return {"strong": "Every device has a proven route, and the latest test mission succeeded.",
            "proving": "The mesh is being checked.", "ready": "Activate the mesh to check routes and run a test."}.get(status, "")


def story(status: str, issue: str, fix: str, facts: Facts) -> list[str]:
    """The state in up to four sentences."""
    peer = primary_peer(facts)
    told = [issue or _good(status), peer.get("summary", ""), fix,
            facts.proof["summary"] if facts.proof["status"] != "none" else ""]
    return list(dict.fromkeys(text for text in told if text))[:4]


def phone_url(reach: Mapping[str, Any]) -> str:
    """The page to open on a phone."""
    return f"{reach['share_url']}/app"


# --- who does what ---------------------------------------------------------------------------------------------------------

def primary_peer(facts: Facts) -> Members:
    """The peer to work with first: one that takes work, else one with a fresh route, else the first there is."""
    routes = {route["peer_id"]: route for route in facts.routes["routes"]}
    for target in facts.readiness["targets"]:
        route = routes.get(target["peer_id"])
        if target["role"] == "remote" and target["status"] == "ready" and route is not None and usable(route):
            return _peer(route, "compute", f"{_name(route)} is reachable and takes work.")
    for route in facts.routes["routes"]:
        if _fresh(route):
            source = route["peer_id"] in _artifact_sources(facts)
            return _peer(route, "artifact_source" if source else "peer", route["operator_summary"])
    return next((_peer(route, "peer", route["operator_summary"]) for route in facts.routes["routes"]), {})


def _peer(route: Mapping[str, Any], role: str, summary: str) -> Members:
    return {"peer_id": route["peer_id"], "display_name": route["display_name"], "role": role, "status": route["status"],
            "route": route["best_route"] or route["last_reachable_base_url"], "summary": summary}


def device_roles(facts: Facts) -> list[Members]:
    """What each device is to this mesh, each once, at most six."""
    routes = {route["peer_id"]: route for route in facts.routes["routes"]}
    ready = [target["peer_id"] for target in facts.readiness["targets"] if target["role"] == "remote"
             and target["status"] == "ready"]
    asked = [str(item.get("candidate_peer_id") or "") for item in facts.approvals["items"]]
    found = [_role(facts.node["node_id"], facts.node["display_name"], "local_command", "ready",
                   "This device is the one you control.")]
    found += [_named(routes, peer_id, "compute", "ready", "takes work.") for peer_id in ready]
    found += [_named(routes, peer_id, "approval_only", "pending", "waits for your approval.") for peer_id in asked if peer_id]
    found += [_named(routes, peer_id, "artifact_source", "verified", "is where artifacts here came from.")
              for peer_id in _artifact_sources(facts)]
    found += [_role(peer_id, _name(route), "route_verified", route["freshness"], f"{_name(route)} has a proven route.")
              for peer_id, route in routes.items() if _fresh(route)]
    unique: dict[str, Members] = {}
    for role in found:
        unique.setdefault(role["peer_id"], role)
    return list(unique.values())[:ROLES_MAX]


def _named(routes: Mapping[str, Members], peer_id: str, role: str, status: str, what: str) -> Members:
    name = _name(routes[peer_id]) if peer_id in routes else peer_id
    return _role(peer_id, name, role, status, f"{name} {what}")


def _role(peer_id: str, name: str, role: str, status: str, summary: str) -> Members:
    return {"peer_id": peer_id, "display_name": name, "role": role, "status": status, "summary": summary}


def _artifact_sources(facts: Facts) -> list[str]:
    return list(dict.fromkeys(item["source_peer_id"] for item in facts.artifacts["items"] if item["source_peer_id"]))


def _name(route: Mapping[str, Any]) -> str:
    return str(route["display_name"] or route["peer_id"])


def _fresh(route: Mapping[str, Any]) -> bool:
    return bool(route["status"] == REACHABLE and route["freshness"] in (FRESH, AGING))


def timeline(facts: Facts) -> list[Members]:
    """The last things that happened: the latest pass, and what stands proven without it."""
    events = [{"kind": action["kind"], "status": action["status"], "summary": action["summary"], "peer_id": action["peer_id"],
               "created_at": action["created_at"], "details": {}} for action in facts.run.get("actions", ())[-ACTIONS_SHOWN:]]
    kinds = {event["kind"] for event in events}
    workers, verified = facts.readiness["local"]["worker_count"], facts.artifacts["verified_count"]
    further = (("route_verified", facts.healthy, f"{facts.healthy} routes to peers are proven."),
               ("worker_ready", workers, f"{workers} local workers offer capacity."),
               ("artifact_verified", verified, f"{verified} replicated artifacts are verified."),
               ("proof_completed", int(facts.proof["status"] == "completed"), facts.proof["summary"]))
    events += [{"kind": kind, "status": "ok", "summary": summary, "peer_id": "", "created_at": "",
                "details": {"healthy" if kind == "route_verified" else "count": count}}
               for kind, count, summary in further if count > 0 and kind not in kinds]
    if not events:
        events = [{"kind": "setup_checked", "status": "ready",
                   "summary": "Activate the mesh to look around, check routes and run a test.",
                   "peer_id": "", "created_at": "", "details": {}}]
    return events[-TIMELINE_MAX:]


# --- where work can run ----------------------------------------------------------------------------------------------------

def readiness(node: Mapping[str, Any], workers: Sequence[Mapping[str, Any]],
              peers: Sequence[tuple[Members, Sequence[Mapping[str, Any]]]]) -> Members:
    """Where work can run: here, and at each peer; `peers` are routes with the workers that the peer last told of."""
    ready_here = [worker for worker in workers if worker.get("status") in READY_WORKERS]
    targets = [{"peer_id": node["node_id"], "display_name": node["display_name"], "role": "local",
                "status": "ready" if ready_here else "no_worker_capacity", "worker_count": len(workers),
                "reasons": ["local worker registered"] if ready_here else ["no local worker capacity advertised"]}]
    targets += [_remote_target(route, there) for route, there in peers]
    remote = sum(target["status"] == "ready" for target in targets[1:])
    capacity = [_capacity(worker, node["node_id"]) for worker in ready_here]
    capacity += [_capacity(worker, route["peer_id"]) for route, there in peers for worker in there
                 if worker.get("status") in READY_WORKERS]
    status = "ready" if ready_here or remote else "isolated" if not peers and not node["compute_ready"] else "needs_worker"
    summary = {"ready": f"Work can run: {len(ready_here)} local workers, {remote} peers.",
               "needs_worker": "No worker is ready, here or at a peer.",
               "isolated": "This device does not take work, and no other one is connected."}[status]
    return {"status": status, "local": {"worker_count": len(workers), "ready_worker_count": len(ready_here)},
            "targets": targets[:LISTED_MAX], "worker_capacity": capacity[:LISTED_MAX], "operator_summary": summary}


def _remote_target(route: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> Members:
    ready = sum(worker.get("status") in READY_WORKERS for worker in workers)
    proven = _fresh(route)
    return {"peer_id": route["peer_id"], "display_name": route["display_name"], "role": "remote",
            "status": "ready" if proven and ready else "needs_attention", "worker_count": len(workers),
            "route_status": route["status"], "route_freshness": route["freshness"],
            "reasons": [f"{route['freshness']} route" if proven else "route not proven",
                        "worker advertised" if ready else "no worker advertised"]}


def _capacity(worker: Mapping[str, Any], peer_id: str) -> Members:
    most = as_count(worker.get("max_concurrent_jobs")) or 1
    free, name = max(0, most - as_count(worker.get("active_attempts"))), line(worker.get("id"), 128)
    words = worker.get("capabilities")
    return {"worker_id": name, "peer_id": peer_id, "status": line(worker.get("status"), 40),
            "capabilities": [line(word, 64) for word in words[:16]] if isinstance(words, list) else [],
            "resources": _small(worker.get("resources")), "max_concurrent_jobs": most, "available_slots": free,
            "operator_summary": f"{name} has {free} free slots."}


def _small(value: object) -> Members:
    return {line(name, 40): amount for name, amount in list(value.items())[:8]
            if type(amount) in (int, float, bool)} if isinstance(value, dict) else {}


# --- artifacts, proof, approvals -------------------------------------------------------------------------------------------

def artifact_sync(artifacts: Sequence[Mapping[str, Any]]) -> Members:
    """The artifacts that came from peers, and whether they were checked against them."""
    synced = [artifact for artifact in artifacts if artifact.get("artifact_sync")]
    verified = sum(artifact["artifact_sync"].get("verification_status") == "verified" for artifact in synced)
    status = "none" if not synced else "verified" if verified == len(synced) else "attention"
    summary = {"none": "No artifact of a peer was verified here yet.",
               "verified": f"{verified} replicated artifacts are verified.",
               "attention": f"{len(synced) - verified} of {len(synced)} replicated artifacts are not verified."}[status]
    return {"status": status, "replicated_count": len(synced), "verified_count": verified,
            "latest_synced_at": max((line(artifact["artifact_sync"].get("synced_at"), 40) for artifact in synced), default=""),
            "items": [_synced(artifact) for artifact in synced[:5]], "operator_summary": summary}


def _synced(artifact: Mapping[str, Any]) -> Members:
    sync = artifact["artifact_sync"]
    return {"artifact_id": artifact["id"], "digest": artifact["digest"], "source_peer_id": line(sync.get("source_peer_id"), 128),
            "verification_status": line(sync.get("verification_status"), 40), "pinned": bool(artifact.get("pinned")),
            "synced_at": line(sync.get("synced_at"), 40), "remote_auth": _remote_auth(sync.get("remote_auth"))}


def _remote_auth(value: object) -> Members:
    """How the peer was asked, never with what: only flags and the kind of credential."""
    return {name: value[name] for name in ("type", "grant_id", "status", "redacted")
            if type(value.get(name)) in (str, bool)} if isinstance(value, dict) else {}


def latest_proof(missions: Sequence[Mapping[str, Any]]) -> Members:
    """The newest of these missions that is a test."""
    mission = next((each for each in missions if (each.get("metadata") or {}).get("test_mission")), None)
    if mission is None:
        return dict(NO_PROOF)
    status, title = line(mission.get("status"), 40) or "unknown", line(mission.get("title"), 200)
    ref, bundle = _ref(mission.get("result_ref")), _ref(mission.get("result_bundle_ref"))
    return {"status": status, "mission_id": line(mission.get("id"), 128), "request_id": line(mission.get("request_id"), 200),
            "title": title,
            "updated_at": line(mission.get("updated_at"), 40), "origin_peer_id": line(mission.get("origin_peer_id"), 128),
            "result_ref": ref, "result_bundle_ref": bundle, "artifact_id": bundle.get("id") or ref.get("id") or "",
            "digest": bundle.get("digest") or ref.get("digest") or "", "summary": f"{title} is {status}."}


def _ref(value: object) -> Members:
    return {name: value[name] for name in ("id", "digest", "media_type", "size_bytes") if type(value.get(name)) in (str, int)} \
        if isinstance(value, dict) else {}


def approvals(pending: Sequence[Mapping[str, Any]], count: int) -> Members:
    """The decisions that wait."""
    items = [{**{name: line(each.get(name), 200) for name in ("id", "title", "action_type", "severity", "status", "created_at",
                                                              "expires_at")},
              "candidate_peer_id": line((each.get("metadata") or {}).get("candidate_peer_id"), 128)} for each in pending[:5]]
    summary = f"{count} decision{'s' if count != 1 else ''} wait for you." if count else "No decisions wait for you."
    return {"pending_count": count, "items": items, "operator_summary": summary}


def next_actions(recommended: Sequence[str], facts: Facts) -> list[str]:
    """What to do next, at most five things."""
    advice = ["Activate the mesh again: the last test mission did not succeed."] if facts.proof["status"] in PROOF_FAILED else []
    return list(dict.fromkeys([*advice, *recommended]))[:5]


# --- samples ---------------------------------------------------------------------------------------------------------------

def mesh_score(facts: Facts, status: str) -> int:
    """How well the mesh does, from 0 to 100."""
    score = round(facts.healthy / facts.route_count * 70) if facts.route_count else 30 if facts.peers else 12
    proof = facts.proof["status"]
    score += 20 if proof == "completed" else 8 if proof in IN_FLIGHT else -12 if proof in PROOF_FAILED else 0
    score += {"strong": 10, "ready": 5, "needs_attention": -5, "local_only": -5}.get(status, 0)
    return max(0, min(100, score))
