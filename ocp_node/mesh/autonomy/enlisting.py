"""The step of a pass that looks for helpers (OCP 0.1 autonomy): the planned ones and every connected peer with a proven route."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...core import Core, Rooms
from ..fitting import Members, line
from ..parts import optional
from ..peers.peer import Peer
from . import rules
from .rules import Helper, Run

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .records import Activate

PLANNED_MAX = 12
PEERS_MAX = 50
PENDING_LOOKED_AT = 100
APPROVAL_TYPE = "autonomic.helper.enlist"
WORKLOAD = "connectivity_test"
NO_HELPERS = "Helpers are planned and not available on this node yet."
Act = Callable[..., None]


class Enlisting:
    """Looks at each candidate once."""

    def __init__(self, core: Core, rooms: Rooms, run: Run, wanted: Activate, act: Act) -> None:
        self._core = core
        self._rooms = rooms
        self._run = run
        self._wanted = wanted
        self._act = act
        self._peers = rooms["mesh.peers"]
        self._routes = rooms["mesh.routes"]
        self._enlisted: list[Members] = []
        self._approvals: list[Members] = []
        self._skipped: list[Members] = []

    def carry_out(self) -> Members:
        """Every candidate was enlisted, asked for, kept or skipped; what became of them."""
        helpers = optional(self._rooms, "mesh.helpers")
        if helpers is None:
            self._act("helper_ready", rules.WARNING, NO_HELPERS)
            return rules.no_helpers("planned")
        plan = helpers.plan({}, PLANNED_MAX)
        planned = [str(candidate["peer_id"]) for candidate in plan["candidates"]]
        candidates = self._candidates(planned)
        self._act("helper_ready", rules.OK, f"{len(candidates)} peers were looked at as helpers.",
                  details={"candidate_count": len(candidates)})
        with self._core.reader.snapshot() as connection:
            decided = helpers.preferences_for(connection, {}, [peer.peer_id for peer in candidates])
        for peer in candidates:
            self._decide(helpers, peer, str(getattr(decided.get(peer.peer_id), "preference", "")))
        kept = {"peer_id": plan["peer_id"], "candidate_count": plan["candidate_count"], "candidates": planned[:rules.LISTED_MAX]}
        return {"status": "ok", "plan": kept, "enlisted": self._enlisted, "approvals": self._approvals[:rules.LISTED_MAX],
                "skipped": self._skipped[:rules.LISTED_MAX]}

    def _candidates(self, planned: list[str]) -> list[Peer]:
        """Planned peers first, then the others that are connected by a proven route; blocked and public ones are none."""
        found = [self._peers.find(peer_id) for peer_id in planned]
        found += [peer for peer in self._routes.peers(PEERS_MAX) if peer.status == "connected" and self._routes.usable(peer)]
        unique = {peer.peer_id: peer for peer in found if peer is not None}
        return [peer for peer in unique.values() if peer.trust_tier not in ("blocked", "public")]

    def _decide(self, helpers: Any, peer: Peer, preference: str) -> None:
        state = str((peer.metadata.get("enlistment") or {}).get("state") or "")
        step = rules.helper_step(peer.trust_tier, peer.device_profile["device_class"], self._routes.usable(peer),
                                 state == "enlisted", preference, len(self._enlisted), max(0, self._wanted.max_enlist))
        name = peer.display_name or peer.peer_id
        if step.step == "enlist":
            self._enlist(helpers, peer, step, name)
        elif step.step == "ask":
            self._ask(peer, step, name)
        elif step.step == "keep":
            self._act(step.kind, step.status, f"{name} is a helper already.", peer.peer_id)
        else:
            self._skip(peer, step, name)

    def _skip(self, peer: Peer, step: Helper, name: str) -> None:
        self._skipped.append({"peer_id": peer.peer_id, "reason": step.reason})
        if step.kind:
            why = "no route to it is proven" if step.reason == "route_not_usable" else f"its tier is {peer.trust_tier}"
            self._act(step.kind, step.status, f"{name} cannot help now: {why}.", peer.peer_id, {"reason": step.reason})

    def _enlist(self, helpers: Any, peer: Peer, step: Helper, name: str) -> None:
        try:
            state = self._core.writer.run(lambda connection: helpers.enlist(
                connection, peer.peer_id, mode="on_demand", role="helper", reason="autonomic_activation", source="autonomic"))
        except Refusal as refusal:
            self._skipped.append({"peer_id": peer.peer_id, "reason": line(refusal.message, 200)})
            self._act("fix_needed", rules.BLOCKED, f"{name} could not be enlisted: {refusal.message}", peer.peer_id)
            return
        kept = {member: state.get(member, "") for member in ("state", "mode", "role", "trust_tier", "enlisted_at")}
        self._enlisted.append({"peer_id": peer.peer_id, "state": kept})
        self._act(step.kind, step.status, f"{name} is a helper now.", peer.peer_id, {"trust_tier": peer.trust_tier})

    def _ask(self, peer: Peer, step: Helper, name: str) -> None:
        """Somebody decides on the peer; nobody is asked twice while the question is open."""
        approvals = optional(self._rooms, "mesh.approvals")
        if approvals is None:
            self._skipped.append({"peer_id": peer.peer_id, "reason": "approvals_not_available"})
            return
        pending = approvals.listed(PENDING_LOOKED_AT, "pending")["approvals"]
        approval = next((each for each in pending if each["action_type"] == APPROVAL_TYPE
                         and each["metadata"].get("candidate_peer_id") == peer.peer_id), None)
        if approval is None:
            approval = self._core.writer.run(lambda connection: self._request(connection, approvals, peer, name))["approval"]
        self._approvals.append({member: approval[member] for member in ("id", "request_id", "status", "title", "action_type")}
                               | {"peer_id": peer.peer_id})
        self._act(step.kind, step.status, f"{name} can help when you approve it.", peer.peer_id, {"approval_id": approval["id"]})

    def _request(self, connection: WriteConnection, approvals: Any, peer: Peer, name: str) -> Members:
        asked: Members = approvals.request(connection, {
            "request_id": f"{self._run.request_id}-helper-{peer.peer_id}"[:200], "action_type": APPROVAL_TYPE,
            "severity": "normal", "title": f"Enlist {name} as a helper?",
            "summary": f"{name} is a {peer.trust_tier} peer with a proven route and could take work of this node.",
            "requested_by_peer_id": self._core.identity.node_id, "requested_by_agent_id": self._wanted.actor_agent_id,
            "target_peer_id": self._core.identity.node_id,
            "metadata": {"candidate_peer_id": peer.peer_id, "autonomous_offload": {
                "peer_ids": [peer.peer_id], "mode": "on_demand", "role": "helper", "workload_class": WORKLOAD,
                "max_auto_enlist": 1}}})
        return asked
