"""Looking for help and taking it: by an operator's order, by the offload policy, or because somebody approved it
(OCP 0.1 autonomous offload)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...core import Core, Rooms
from ..parts import optional
from ..values import integer, members, text, words
from . import offload, rules
from .offload import Preference
from .rules import Members, Order

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Helpers

SETTLED = ("approved", "rejected", "deferred", "expired")      # such approvals do not keep a question from being asked again
PEERS_MAX = 256


class Seek(NamedTuple):
    """How to look for helpers."""
    job: Mapping[str, Any]
    max_enlist: int = 2
    mode: str = "on_demand"
    reason: str = "auto_pressure"
    allow_remote_seek: bool = False
    seek_hosts: Sequence[str] = ()
    trust_tier: str = "public"           # of nodes that are found
    loopback: bool | None = None         # may loopback addresses be called?


class Offloading:
    """Enlists helpers when there is a reason to."""

    def __init__(self, core: Core, rooms: Rooms, helpers: Helpers) -> None:
        self._core = core
        self._rooms = rooms
        self._helpers = helpers
        self._node_id = core.identity.node_id

    # --- seeking: blocks, for long requests

    def seek(self, wanted: Seek, only: Sequence[Members] | None = None) -> Members:
        """The best candidates are helpers, at most `max_enlist` new ones; of `only` these when they are given."""
        plan = self._helpers.plan(wanted.job, 2 * max(1, wanted.max_enlist))
        enlisted, skipped = self._core.writer.run(lambda connection: self._enlist_best(
            connection, wanted, plan["candidates"] if only is None else only,
            self._preferences(connection, wanted, plan) if only is None else {}))
        discovery = self._discover(wanted) if self._must_look_further(wanted, plan["pressure"], enlisted) else {}
        self._core.writer.run(lambda connection: self._tell(connection, wanted, plan, enlisted, skipped))
        return {"peer_id": self._node_id, "pressure": plan["pressure"], "plan": plan, "enlisted": enlisted, "skipped": skipped,
                "discovery": discovery, "generated_at": self._core.clock.text()}

    def _preferences(self, connection: WriteConnection, wanted: Seek, plan: Mapping[str, Any]) -> Mapping[str, Preference]:
        """What is preferred of the planned candidates; those of an evaluation have been judged by that already."""
        return self._helpers.preferences_for(connection, wanted.job, [each["peer_id"] for each in plan["candidates"]])

    def _enlist_best(self, connection: WriteConnection, wanted: Seek, candidates: Sequence[Members],
                     preferences: Mapping[str, Preference]) -> tuple[list[Members], list[Members]]:
        """Who is a helper now, and who is not and why."""
        enlisted: list[Members] = []
        skipped: list[Members] = []
        for candidate in candidates:
            if len(enlisted) >= max(1, wanted.max_enlist):
                break
            peer_id, state = candidate["peer_id"], None
            reason = offload.refusal(candidate["recommended_action"], preferences.get(peer_id))
            if not reason:
                order = Order(rules.ENLIST, wanted.reason, "auto", wanted.mode, rules.role_for(candidate))
                state, reason = self._try(connection, peer_id, order)
            if state is not None:
                enlisted.append({"peer_id": peer_id, "state": state})
            else:
                skipped.append({"peer_id": peer_id, "reason": reason})
        return enlisted, skipped

    def _try(self, connection: WriteConnection, peer_id: str, order: Order) -> tuple[Members | None, str]:
        """The helper after the order, or why there is none."""
        try:
            return self._helpers.carry_out(connection, peer_id, order), ""
        except Refusal as refusal:           # nothing has been written: it is raised before
            return None, refusal.message

    def _must_look_further(self, wanted: Seek, pressure: Mapping[str, Any], enlisted: Sequence[Members]) -> bool:
        return wanted.allow_remote_seek and (not enlisted or pressure["pressure"] == "saturated")

    def _discover(self, wanted: Seek) -> Members:
        """What looking at further nodes brought; a failure is told, not raised."""
        discovery = optional(self._rooms, "mesh.discovery")
        if discovery is None:
            return {"error": "discovery is not available on this node; only known peers were looked at"}
        try:
            found: Members = discovery.seek(hosts=wanted.seek_hosts, trust_tier=wanted.trust_tier, auto_connect=True,
                                            refresh_known=True, loopback=wanted.loopback)
        except Refusal as refusal:
            return {"error": refusal.message}
        return found

    def _tell(self, connection: WriteConnection, wanted: Seek, plan: Mapping[str, Any], enlisted: Sequence[Members],
              skipped: Sequence[Members]) -> None:
        connection.event("mesh.helper.auto_seek", peer_id=self._node_id, payload={
            "pressure": plan["pressure"]["pressure"], "enlisted": [each["peer_id"] for each in enlisted],
            "skipped": [each["peer_id"] for each in skipped], "mode": wanted.mode, "reason": wanted.reason})

    # --- by the policy: blocks

    def run(self, job: Mapping[str, Any], actor_agent_id: str, reason: str, dry_run: bool, loopback: bool | None) -> Members:
        """What the policy says has been done, or with `dry_run` only been said."""
        found = self._helpers.evaluation(job)
        answer = {"peer_id": self._node_id, "evaluation": found, "status": found["decision"],
                  "generated_at": self._core.clock.text()}
        if dry_run or found["decision"] in (offload.NOOP, offload.SUGGEST):
            return answer
        if found["decision"] == offload.ASK:
            approval = self._core.writer.run(lambda connection: self._rooms["mesh.approvals"].request(
                connection, offload.question(found, actor_agent_id), afresh=SETTLED))
            return {**answer, "status": "approval_requested", "approval": approval}
        return {**answer, "status": "auto_enlisted", "auto_seek": self._enlist_eligible(job, found, reason, loopback)}

    def _enlist_eligible(self, job: Mapping[str, Any], found: Mapping[str, Any], reason: str, loopback: bool | None) -> Members:
        """Exactly those that the evaluation chose are helpers, and somebody was told."""
        policy = found["policy"]
        made = self.seek(Seek(job, policy["max_auto_enlist"], reason=reason or offload.POLICY_REASON,
                              allow_remote_seek=policy["allow_remote_seek"], loopback=loopback), found["eligible_candidates"])
        peer_ids = [each["peer_id"] for each in made["enlisted"]]
        if peer_ids and policy["notify_on_action"]:
            told = offload.told_enlisted(self._node_id, peer_ids, policy["target_device_classes"])
            self._core.writer.run(lambda connection: self._rooms["mesh.notifications"].publish(connection, told))
        return made

    # --- by an approval: inside the change that settles it

    def resolved(self, connection: WriteConnection, approval: Mapping[str, Any], decision: str,
                 metadata: Mapping[str, Any]) -> Members | None:
        """What a decision does to the peers that it is about; None when it does nothing.

        `Refusal` of an approval that does not say clearly what to do; to say no to it is always possible.
        """
        if decision != "approved" and decision not in offload.LEARNED:
            return None
        try:
            wanted, peer_ids = _wanted(approval)
        except Refusal:
            if decision == "approved":
                raise
            wanted, peer_ids = {}, []
        if not peer_ids:
            return {"status": "ignored", "reason": "no_helper_peers"}
        if decision in offload.LEARNED:
            return self._learn(connection, approval, wanted, peer_ids, offload.LEARNED[decision])
        return self._apply(connection, approval, wanted, peer_ids)

    def _learn(self, connection: WriteConnection, approval: Mapping[str, Any], wanted: Mapping[str, Any], peer_ids: Sequence[str],
               preference: str) -> Members:
        known = [peer_id for peer_id in peer_ids if self._helpers.knows(connection, peer_id)]
        kept = [self._remember(connection, approval, wanted, peer_id, preference) for peer_id in known]
        return {"status": "learned", "preference": preference, "preferences": kept}

    def _apply(self, connection: WriteConnection, approval: Mapping[str, Any], wanted: Mapping[str, Any],
               peer_ids: Sequence[str]) -> Members:
        most = max(1, integer(wanted.get("max_auto_enlist"), "autonomous_offload.max_auto_enlist", len(peer_ids)))
        order = Order(rules.ENLIST, approval["resolution"].get("reason") or offload.APPROVED_REASON, "approval",
                      rules.mode_of(wanted.get("mode")), rules.role_of(wanted.get("role")))
        enlisted: list[Members] = []
        skipped: list[Members] = []
        for peer_id in peer_ids:
            if len(enlisted) >= most:
                break
            state, reason = self._try(connection, peer_id, order)
            if state is None:
                skipped.append({"peer_id": peer_id, "reason": reason})
                continue
            enlisted.append({"peer_id": peer_id, "state": state})
            self._remember(connection, approval, wanted, peer_id, offload.ALLOW)
        if enlisted:
            self._rooms["mesh.notifications"].publish(connection, offload.told_applied(
                self._node_id, [each["peer_id"] for each in enlisted], approval["id"]))
        return {"status": "applied" if enlisted else "noop", "enlisted": enlisted, "skipped": skipped}

    def _remember(self, connection: WriteConnection, approval: Mapping[str, Any], wanted: Mapping[str, Any], peer_id: str,
                  preference: str) -> Members:
        resolution = approval["resolution"]
        told = {name: text(resolution.get(name), name) for name in ("operator_peer_id", "operator_agent_id")}
        now = connection.clock.text()
        return self._helpers.prefer(connection, Preference(peer_id, offload.class_of(wanted.get("workload_class")), preference,
                                                           offload.MEMORY, told, now, now))


def _wanted(approval: Mapping[str, Any]) -> tuple[Members, list[str]]:
    """What an approval asks for, and of which peers; `Refusal` when it cannot be read."""
    wanted = members(approval["metadata"].get("autonomous_offload"), "autonomous_offload")
    offload.class_of(wanted.get("workload_class"))
    return wanted, words(wanted.get("peer_ids"), "autonomous_offload.peer_ids", PEERS_MAX)
