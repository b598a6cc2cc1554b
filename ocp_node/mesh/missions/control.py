"""The operator's hand on a mission: its jobs are stopped, or started again, wherever they are (OCP 0.1 mission control).

Jobs of this node are ordered in the change that notes the order, so a crash leaves no half of it; peers are asked after that.
Blocks, for long requests.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...http.lanes import gather
from . import rules, table
from .rules import Child
from .table import Mission

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection
    from .room import Missions

Members = dict[str, Any]

PARALLEL = 8                         # peers at a time
WHOLE_JOBS_MAX = 25                  # in one answer; of further ones only these members
BRIEF = ("id", "request_id", "kind", "status", "origin", "target", "created_at", "updated_at", "cancelled", "recovery")
PEERS_SECONDS = 20.0
RESUMABLE = frozenset({"checkpointed", "retry_wait", "failed"})
ENDED = frozenset({"completed", "failed", "rejected", "cancelled"})
VERBS: Mapping[str, str] = {"cancel": "cancel", "resume_latest": "resume", "resume_checkpoint": "resume-from-checkpoint",
                            "restart": "restart"}
EVENTS: Mapping[str, str] = {"cancel": "cancel_requested", "resume_latest": "resume_requested",
                             "resume_checkpoint": "resume_checkpoint_requested", "restart": "restart_requested"}


class Order(NamedTuple):
    """What the operator wants of a mission."""
    action: str                        # cancel, resume_latest, resume_checkpoint, restart
    operator_id: str
    reason: str
    checkpoint_id: str = ""            # named explicitly
    metadata: Mapping[str, Any] = MappingProxyType({})
    request_id: str = ""


class Done:
    """What has become of an order so far."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        self.refusal: Refusal | None = None          # why nothing was done
        self.jobs: list[Members] = []
        self.messages: list[Members] = []
        self.errors: list[Members] = []
        self.refusals: list[Refusal] = []            # what the errors were, in their order
        self.skipped: list[Members] = []
        self.remote: list[Child] = []                # still to be asked for

    def take(self, answer: Mapping[str, Any]) -> None:
        job = answer["job"]
        self.jobs.append(job if len(self.jobs) < WHOLE_JOBS_MAX else {name: job[name] for name in BRIEF if name in job})
        if answer.get("queue_message"):
            self.messages.append(answer["queue_message"])

    def failed(self, child: Child, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        self.errors.append({"job_id": child.job_id, "error": refusal.message or refusal.code, "code": refusal.code,
                            **({"peer_id": child.peer_id} if child.peer_id else {})})


class Control:
    """Orders about missions."""

    def __init__(self, core: Core, rooms: Rooms, missions: Missions) -> None:
        self._core = core
        self._rooms = rooms
        self._missions = missions

    def cancel(self, mission_id: str, order: Order, loopback: bool | None = None) -> Members:
        """Every job that has not ended is stopped; what a peer would not do stands in `errors`."""
        done = self._core.writer.run(lambda connection: self._cancelled(connection, mission_id, order))
        if done.remote:
            self._ask_peers(done, order, {"reason": _reason(order)}, loopback)
            self._core.writer.run(lambda connection: self._tell(connection, done, order))
        mission = self._missions.shown(mission_id)
        return {"status": mission["status"], "mission": mission, "jobs": done.jobs, "errors": done.errors}

    def recover(self, mission_id: str, order: Order, loopback: bool | None = None) -> Members:
        """The jobs that the order concerns wait to be run again.  `Refusal` when there is none; that it was ordered is noted all
        the same."""
        done = self._core.writer.run(lambda connection: self._recovered(connection, mission_id, order))
        if done.refusal is not None:
            raise done.refusal
        if done.remote:
            self._ask_peers(done, order, {
                "reason": order.reason, "metadata": dict(order.metadata), "request_id": order.request_id,
                **({"checkpoint_artifact_id": order.checkpoint_id} if order.checkpoint_id else {})}, loopback)
            done.refusal = nothing_done(done)
            if done.refusal is not None:
                raise done.refusal
            self._core.writer.run(lambda connection: self._tell(connection, done, order))
        mission = self._missions.shown(mission_id)
        return {"status": mission["status"], "mission": mission, "jobs": done.jobs, "queue_messages": done.messages,
                "errors": done.errors, "skipped": done.skipped}

    # --- inside a change

    def _begin(self, connection: WriteConnection, mission_id: str, order: Order, unless: str = "") -> Done:
        """The order is noted with the mission, unless that is in this state."""
        mission = table.find(connection, mission_id) if mission_id else None
        if mission is None:
            raise Refusal("not_found", "mission not found")
        if mission.status == unless:
            return Done(mission)
        now = connection.clock.text()
        mission = mission._replace(updated_at=now, metadata={
            **mission.metadata, "last_control_action": order.action, "last_control_at": now, "last_control_by": order.operator_id,
            "last_control_reason": order.reason})
        table.save(connection, mission)
        return Done(mission)

    def _cancelled(self, connection: WriteConnection, mission_id: str, order: Order) -> Done:
        done, jobs = self._begin(connection, mission_id, order, rules.COMPLETED), self._rooms["mesh.jobs"]
        for child in self._children(connection, done):
            if child.peer_id and child.status not in ENDED:
                done.remote.append(child)
            elif child.peer_id:
                remote = self._rooms["mesh.dispatch"].find(connection, child.job_id)
                shown = rules.brief(child, child.peer_id) if remote is None else self._rooms["mesh.dispatch"].shown(remote)
                done.jobs.append({**shown, "cancelled": False})
            else:
                self._one(connection, done, child, lambda job: jobs.recovery.cancel(connection, job, _reason(order),
                                                                                    order.operator_id))
        if done.mission.status != rules.COMPLETED and not done.remote:
            self._tell(connection, done, order)
        return done

    def _recovered(self, connection: WriteConnection, mission_id: str, order: Order) -> Done:
        done, jobs = self._begin(connection, mission_id, order), self._rooms["mesh.jobs"]
        children = self._children(connection, done)
        done.refusal = _unfit(children, order)
        if done.refusal is not None:
            return done
        asked = {"operator_id": order.operator_id, "reason": order.reason, "metadata": dict(order.metadata),
                 "request_id": order.request_id}
        for child in children:
            skip = skipped(child, order, children)
            if skip:
                done.skipped.append({"job_id": child.job_id, "reason": skip})
            elif child.peer_id:
                done.remote.append(child)
            elif order.action == "restart":
                self._one(connection, done, child, lambda job: jobs.recovery.restart(connection, job, asked))
            else:
                self._one(connection, done, child, lambda job: jobs.recovery.resume(
                    connection, job, asked, order.checkpoint_id, order.action == "resume_checkpoint"))
        if not done.remote:
            done.refusal = nothing_done(done)
            if done.refusal is None:
                self._tell(connection, done, order)
        return done

    def _children(self, connection: WriteConnection, done: Done) -> list[Child]:
        return [child for child in table.children(connection, done.mission.number) if child.job_id]

    def _one(self, connection: WriteConnection, done: Done, child: Child, act: Any) -> None:
        """One job of this node is ordered; a refusal leaves it as it is, and the others are ordered all the same."""
        job = self._rooms["mesh.jobs"].find(connection, child.job_id)
        try:
            if job is None:
                raise Refusal("not_found", "job not found")
            done.take(act(job))
        except Refusal as refusal:
            done.failed(child, refusal)

    def _tell(self, connection: WriteConnection, done: Done, order: Order) -> None:
        mission = done.mission
        connection.event(f"mesh.mission.{EVENTS[order.action]}", subject=mission.id, peer_id=self._core.identity.node_id,
                         request_id=mission.request_id, payload={
                             "mission_id": mission.id, "mode": order.action, "operator_id": order.operator_id,
                             "reason": order.reason, "job_count": len(done.jobs), "error_count": len(done.errors),
                             "skipped_count": len(done.skipped)})

    # --- peers

    def _ask_peers(self, done: Done, order: Order, body: Members, loopback: bool | None) -> None:
        """Every peer that has a job of the mission was asked, a few at a time; one that is silent keeps no other from it."""
        outcomes: dict[str, Members | Refusal] = {}
        of_peers: dict[str, list[Child]] = {}
        for child in done.remote:
            of_peers.setdefault(child.peer_id, []).append(child)
        works = [functools.partial(self._ask_peer, children, VERBS[order.action], body, loopback, outcomes)
                 for children in of_peers.values()]
        faults = [outcome for outcome in gather(works, PARALLEL, PEERS_SECONDS) if isinstance(outcome, Exception)]
        for fault in faults:
            if not isinstance(fault, TimeoutError):
                self._core.log.fault("missions.fault", fault)
        told = dict(outcomes)                        # who is late goes on writing
        for child in done.remote:
            outcome = told.get(child.job_id) or _silent(child)
            if isinstance(outcome, Refusal):
                done.failed(child, outcome)
            else:
                done.take(outcome)

    def _ask_peer(self, children: Sequence[Child], verb: str, body: Members, loopback: bool | None,
                  outcomes: dict[str, Members | Refusal]) -> None:
        """The peer was asked about its jobs one after the other, until it did not answer: it is not waited for again."""
        dispatch = self._rooms["mesh.dispatch"]
        for child in children:
            try:
                outcomes[child.job_id] = dispatch.control(child.peer_id, child.job_id, verb, body, loopback=loopback)
            except Refusal as refusal:
                outcomes[child.job_id] = refusal
                if refusal.code == "peer_timeout":
                    return


def _silent(child: Child) -> Refusal:
    return Refusal("peer_timeout", "the peer did not answer in time", {"peer_id": child.peer_id})


def _reason(order: Order) -> str:
    """What the jobs of a cancelled mission are told."""
    return f"{order.reason}:{order.operator_id or 'operator'}"


def _unfit(children: Sequence[Child], order: Order) -> Refusal | None:
    if not children:
        return Refusal("invalid_state", "mission has no child jobs to recover")
    if order.checkpoint_id and len(children) != 1:
        return Refusal("invalid_request", "mission-level explicit checkpoint selection requires exactly one child job")
    return None


def skipped(child: Child, order: Order, children: Sequence[Child]) -> str:
    """Why the order does not concern this job; "" when it does."""
    if order.action == "resume_latest" and child.status not in RESUMABLE:
        return f"status_{child.status}"
    if order.action == "resume_checkpoint" and not order.checkpoint_id and not child.facts["latest_checkpoint_ref"].get("id"):
        return "checkpoint_unavailable"
    others = any(each.status != "completed" for each in children)
    return "status_completed" if order.action == "restart" and child.status == "completed" and others else ""


def nothing_done(done: Done) -> Refusal | None:
    """What the operator is told when no job was started again."""
    if done.jobs:
        return None
    if done.refusals:
        return done.refusals[0]
    return Refusal("invalid_state", "mission has no recoverable child jobs for requested action")
