"""Helpers: peers that take work of this node, whom the operator or the offload policy has enlisted (OCP 0.1 helpers).

Other rooms ask:

    helpers.plan(job, limit)                                    # the peers that could help, best first
    helpers.enlist(connection, peer_id, mode=..., role=..., reason=..., source=...)
    helpers.evaluation(job)                                     # what the policy would do right now
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..audit import Audit
from ..lists import bounded
from ..notifications.rules import bounded_metadata
from ..redaction import redacted
from ..scheduler import scoring
from ..scheduler.placement import Job, job_of, placement_of
from ..values import boolean, integer, members, text, words
from . import offload, rules, table
from .offload import Decision, Preference
from .offloading import Offloading, Seek
from .rules import Members, Order

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Helpers", "build"]

PLANNED_PEERS_MAX = 200              # the most recently seen
PLAN_USUAL = 6
LIST_USUAL = 100
DECK_SHOWN, DECK_PREFERENCES = 12, 6
DECK_SECONDS = 2.0                   # an evaluation looks at many peers: the deck shows one that is not older than this
ENLIST_MAX = 100
AGENT = "ocp-control-ui"


class Helpers:
    """Enlists, ranks and remembers preferences."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._peers = rooms["mesh.peers"]
        self._node_id = core.identity.node_id
        self.offloading = Offloading(core, rooms, self)
        self.audit = Audit(core)
        self._shown: tuple[float, Members] | None = None
        self.offers: dict[str, Any] = {
            "helpers": (lambda: self.listed(DECK_SHOWN), None), "preferences": (lambda: self.preferred(DECK_PREFERENCES), None),
            "autonomy": (self._deck_evaluation, None)}

    # --- enlisting, inside a change

    def carry_out(self, connection: WriteConnection, peer_id: str, order: Order) -> Members:
        """The peer is a helper as the order says, with its event; only this node knows of it."""
        peer = rules.check(self._peers.current(connection, peer_id), order)
        made = rules.acted(rules.enlistment_of(peer), order, connection.clock.text())
        kept = self._peers.set_metadata(connection, peer_id, {"enlistment": made})
        told = {name: made[name] for name in ("mode", "state", "role")}
        connection.event("mesh.helper.action", peer_id=peer_id, payload={
            "peer_id": peer_id, **told, "reason": order.reason, "source": order.source, "drain_reason": made["drain_reason"]})
        return rules.helper_json(kept)

    def enlist(self, connection: WriteConnection, peer_id: str, *, mode: str = "on_demand", role: str = "helper",
               reason: str = "", source: str = "operator") -> Members:
        """The peer is a helper; `Refusal` when it cannot be one."""
        order = Order(rules.ENLIST, reason, source, rules.mode_of(mode), rules.role_of(role))
        return self.carry_out(connection, peer_id, order)

    def prefer(self, connection: WriteConnection, preference: Preference) -> Members:
        """The preference is kept, with its event."""
        kept = table.put(connection, preference)
        connection.event("mesh.offload.preference", peer_id=kept.peer_id, payload={
            "peer_id": kept.peer_id, "workload_class": kept.workload_class, "preference": kept.preference, "source": kept.source})
        return kept._asdict()

    def knows(self, connection: WriteConnection, peer_id: str) -> bool:
        """Is there such a peer?"""
        return self._peers.current(connection, peer_id) is not None

    # --- reading

    def listed(self, limit: int) -> Members:
        """The most recently seen peers as helpers, and which work each is preferred for."""
        peers = self._peers.all()[:limit]
        with self._core.reader.snapshot() as connection:
            preferences = table.of_peers(connection, [peer.peer_id for peer in peers])
        of_peer: dict[str, list[Members]] = {peer.peer_id: [] for peer in peers}
        for each in preferences:
            of_peer[each.peer_id].append({name: getattr(each, name) for name in ("workload_class", "preference", "source")})
        shown = [{**rules.helper_json(peer), "offload_preferences": of_peer[peer.peer_id]} for peer in peers]
        active = sum(each["state"] in rules.ACTIVE for each in shown)
        return {"peer_id": self._node_id, "count": len(shown), "active_count": active, "pressure": self._pressure(),
                "helpers": shown, "generated_at": self._core.clock.text()}

    def preferred(self, limit: int, peer_id: str = "", workload_class: str = "") -> Members:
        """The preferences that fit, latest change first."""
        kind = offload.class_of(workload_class) if workload_class else ""
        with self._core.reader.snapshot() as connection:
            found = table.latest(connection, limit, peer_id, kind)
        return {"peer_id": self._node_id, "count": len(found), "preferences": [each._asdict() for each in found],
                "generated_at": self._core.clock.text()}

    def preferences_for(self, connection: Any, job: Mapping[str, Any], peer_ids: Sequence[str]) -> dict[str, Preference]:
        """The preference that counts for each of these peers and this job."""
        workload = placement_of(job)["workload_class"] if job else "default"
        return offload.chosen(table.of_peers(connection, peer_ids), workload)

    def _pressure(self) -> Members:
        found: Members = self._rooms["mesh.pressure"].pressure()
        return found

    # --- ranking

    def plan(self, job: Mapping[str, Any], limit: int = PLAN_USUAL) -> Members:
        """The peers that could help with the job, best first; any help without a job.  Costs about 30 us a peer."""
        pressure = self._pressure()
        placement = self._placement(job, pressure)
        wanted = job_of(job or {"requirements": {"placement": placement}})
        found = self._ranked(wanted)
        return {"peer_id": self._node_id, "pressure": pressure, "placement": placement, "candidate_count": len(found),
                "candidates": rules.best(found, max(1, limit)), "generated_at": self._core.clock.text()}

    def _placement(self, job: Mapping[str, Any], pressure: Mapping[str, Any]) -> Members:
        if job:
            return placement_of(job)
        return {**rules.USUAL_PLACEMENT, "gpu_required": pressure["pressure"] == "saturated" and pressure["gpu_capable"]}

    def _ranked(self, wanted: Job) -> list[Members]:
        now = self._core.clock.time()
        looked_at = [peer for peer in self._peers.all()[:PLANNED_PEERS_MAX] if rules.may_help(peer)]
        placed = ((peer, scoring.peer(peer, wanted, now)) for peer in looked_at)
        return [rules.ranked(peer, candidate) for peer, candidate in placed if not candidate.refused]

    def evaluation(self, job: Mapping[str, Any] | None = None) -> Members:
        """What the offload policy would do right now, and why."""
        policy, pressure = self._rooms["mesh.device_profile"].profile()["offload_policy"], self._pressure()
        placement = placement_of(job) if job else dict(rules.USUAL_PLACEMENT)
        workload = placement["workload_class"]
        reason = offload.nothing_to_do(policy, pressure, workload)
        if reason:
            return self._evaluated(policy, pressure, placement, Decision(reasons=[reason]), 0)
        plan = self.plan(job or {}, max(2, 3 * policy["max_auto_enlist"]))
        peer_ids = [each["peer_id"] for each in plan["candidates"]]
        with self._core.reader.snapshot() as connection:
            preferences = offload.chosen(table.of_peers(connection, peer_ids), workload)
        known = {peer_id: self._peers.find(peer_id) for peer_id in peer_ids}
        battery = {peer_id: peer is not None and peer.device_profile["battery_powered"] for peer_id, peer in known.items()}
        made = offload.decided(policy, workload, plan["candidates"], preferences, battery)
        return self._evaluated(policy, pressure, placement, made, plan["candidate_count"])

    def _evaluated(self, policy: Members, pressure: Members, placement: Members, made: Decision, count: int) -> Members:
        return offload.evaluation(self._node_id, policy, pressure, placement, made, count, self._core.clock.text())

    def _deck_evaluation(self) -> Members:
        now, shown = self._core.clock.monotonic(), self._shown
        if shown is None or now - shown[0] >= DECK_SECONDS:
            shown = self._shown = (now, self.evaluation())
        return shown[1]


def build(core: Core, rooms: Rooms) -> Helpers:
    """The room; decisions on offloads come back to it."""
    room = Helpers(core, rooms)
    rooms["mesh.approvals"].on_resolved("autonomous.offload", room.offloading.resolved)
    return room


# --- routes

def _shown(call: Call, found: Members) -> Reply:
    return Reply(found if call.caller.trusted_view else redacted(found))


def list_all(room: Helpers, call: Call) -> Reply:
    """GET /mesh/helpers."""
    return _shown(call, room.listed(bounded(call.query.limit)))


def preferences(room: Helpers, call: Call) -> Reply:
    """GET /mesh/helpers/preferences."""
    query = call.query
    return _shown(call, room.preferred(bounded(query.limit, LIST_USUAL), query.peer_id.strip(), query.workload_class.strip()))


def autonomy(room: Helpers, call: Call) -> Reply:
    """GET /mesh/helpers/autonomy."""
    return _shown(call, room.evaluation())


def plan(room: Helpers, call: Call) -> Reply:
    """POST /mesh/helpers/plan."""
    document = call.body.document
    return Reply(room.plan(members(document.get("job"), "job"), bounded(integer(document.get("limit"), "limit", PLAN_USUAL))))


def _action(room: Helpers, call: Call, action: str) -> Write:
    document = call.body.document
    peer_id, order = _peer_id(document), rules.order_of(action, document)

    def change(connection: WriteConnection) -> Members:
        room.audit.note(connection, call, peer_id)
        return room.carry_out(connection, peer_id, order)

    return Write(change, Reply)


def _peer_id(document: Mapping[str, Any]) -> str:
    found = text(document.get("peer_id"), "peer_id")
    if not found:
        raise Refusal("invalid_request", "peer_id is required")
    return found


def enlist(room: Helpers, call: Call) -> Write:
    """POST /mesh/helpers/enlist."""
    return _action(room, call, rules.ENLIST)


def drain(room: Helpers, call: Call) -> Write:
    """POST /mesh/helpers/drain."""
    return _action(room, call, rules.DRAIN)


def retire(room: Helpers, call: Call) -> Write:
    """POST /mesh/helpers/retire."""
    return _action(room, call, rules.RETIRE)


def auto_seek(room: Helpers, call: Call) -> Reply:
    """POST /mesh/helpers/auto-seek."""
    from ..peers.rules import operator_tier
    document = call.body.document
    most = max(1, min(integer(document.get("max_enlist"), "max_enlist", 2), ENLIST_MAX))
    wanted = Seek(members(document.get("job"), "job"), most, rules.mode_of(document.get("mode")),
                  rules.pick_reason(document, ("reason",)) or "auto_pressure",
                  boolean(document.get("allow_remote_seek"), "allow_remote_seek", False),
                  words(document.get("seek_hosts"), "seek_hosts", length_max=2048),
                  operator_tier(text(document.get("trust_tier"), "trust_tier"), "public"), call.caller.loopback or None)
    room._core.writer.run(lambda connection: room.audit.note(connection, call))
    return Reply(room.offloading.seek(wanted))


def set_preference(room: Helpers, call: Call) -> Write:
    """POST /mesh/helpers/preferences/set."""
    document, now = call.body.document, room._core.clock.text()
    wanted = Preference(_peer_id(document), offload.class_of(document.get("workload_class")),
                        offload.preference_of(document.get("preference")), text(document.get("source"), "source") or "operator",
                        bounded_metadata(document.get("metadata")), now, now)

    def change(connection: WriteConnection) -> Members:
        if not room.knows(connection, wanted.peer_id):
            raise Refusal("not_found", "peer not found for offload preference")
        room.audit.note(connection, call, wanted.peer_id)
        return room.prefer(connection, wanted)

    return Write(change, Reply)


def run_autonomy(room: Helpers, call: Call) -> Reply:
    """POST /mesh/helpers/autonomy/run."""
    document = call.body.document
    job, agent = members(document.get("job"), "job"), text(document.get("actor_agent_id"), "actor_agent_id") or AGENT
    dry_run = boolean(document.get("dry_run"), "dry_run", False)
    if not dry_run:
        room._core.writer.run(lambda connection: room.audit.note(connection, call))
    return Reply(room.offloading.run(job, agent, rules.pick_reason(document, ("reason",)), dry_run, call.caller.loopback or None))
