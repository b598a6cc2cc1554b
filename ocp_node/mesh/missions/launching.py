"""Starting missions (OCP 0.1 mission launch).  Blocks, for long requests.

A mission with a job of this node and that job are stored in one change: there are both or neither.  One whose work may go to
peers is stored first; what a crash kept from being sent out, the same request sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Busy, Refusal
from ..values import members, text
from . import rules, table, tracking
from .rules import Child, Wanted
from .table import Mission

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection
    from .room import Missions

Members = dict[str, Any]

OURS = frozenset({"mission"})
ERROR_LENGTH_MAX = 2_000
KEPT_SECONDS = 3_600


class Launching:
    """Starts missions, each request once."""

    def __init__(self, core: Core, rooms: Rooms, missions: Missions) -> None:
        self._core = core
        self._rooms = rooms
        self._missions = missions
        self._node_id = core.identity.node_id
        self._under_way: set[str] = set()            # requests whose work is being sent out

    def launch(self, wanted: Wanted, loopback: bool | None = None) -> Members:
        """The mission, started now, or by the same request before.  `Refusal` when its work could not be begun: it has failed.

        `loopback`: may peers on this machine be called?
        """
        request_id = wanted.request_id or self._core.ids.hex(32)
        with self._core.reader.snapshot() as connection:
            known = table.by_request(connection, self._node_id, request_id)
            done = known is not None and not self._interrupted(connection, known)
        mission_id = known.id if known is not None else self._core.ids.uuid()
        if done:
            return self._deduped(mission_id)
        start = self._with_task if wanted.task else \
            self._with_placed_job if wanted.target_strategy in rules.PLACED_STRATEGIES else self._with_job
        try:
            made = start(wanted, request_id, mission_id, loopback)
        except Busy:
            raise
        except Refusal as refusal:
            error = (refusal.message or refusal.code)[:ERROR_LENGTH_MAX]
            made = self._core.writer.run(lambda connection: self._fail(connection, wanted, request_id, mission_id, error))
            raise Refusal(refusal.code, refusal.message, {**refusal.detail, "mission_id": made}, refusal.headers) from None
        return self._missions.shown(made) if made == mission_id and known is None else self._deduped(made)

    def _deduped(self, mission_id: str) -> Members:
        return {**self._missions.shown(mission_id), "deduped": True}

    def _interrupted(self, connection: Any, mission: Mission) -> bool:
        """Was the node stopped while it sent this mission's work out?"""
        return mission.request_id not in self._under_way and self._unsent(connection, mission)

    def _unsent(self, connection: Any, mission: Mission) -> bool:
        """Is there work of the mission that was not sent out, and not for want of a node or of the operator's will?"""
        from ..cooperative_tasks.launching import STOPPED
        if mission.metadata.get("launch_error") or mission.metadata.get("last_control_action") == "cancel":
            return False
        children = table.children(connection, mission.number)
        return not children or any(not child.job_id and (child.status == "pending" or child.facts["error"] == STOPPED)
                                   for child in children)

    # --- inside a change

    def _stored(self, connection: WriteConnection, wanted: Wanted, request_id: str, mission_id: str, launch: Members,
                status: str = rules.PLANNED, **metadata: Any) -> Mission:
        now = connection.clock.text()
        made = table.add(connection, Mission(
            number=0, id=mission_id, request_id=request_id, origin_peer_id=self._node_id, title=wanted.title,
            intent=wanted.intent, status=status, priority=wanted.priority, workload_class=wanted.workload_class,
            target_strategy=wanted.target_strategy,
            policy=wanted.policy, continuity=wanted.continuity, metadata={**wanted.metadata, "launch": launch, **metadata},
            created_at=now, updated_at=now))
        if made is None:
            raise Busy("the register of missions", retry_after_seconds=KEPT_SECONDS)
        return made

    def _fail(self, connection: WriteConnection, wanted: Wanted, request_id: str, mission_id: str, error: str) -> str:
        """The mission has failed before its work began, or because its job did while its submitter waited.  Gives its id."""
        known = table.by_request(connection, self._node_id, request_id)
        if known is None:
            kind = "cooperative_task" if wanted.task else "job"
            made = self._stored(connection, wanted, request_id, mission_id, {"type": kind}, rules.FAILED, launch_error=error)
            return made.id
        if known.id == mission_id:
            table.save(connection, known._replace(metadata={**known.metadata, "launch_error": error},
                                                  updated_at=connection.clock.text()))
            tracking.settle(connection, known.number)
        return known.id

    def _begun(self, connection: WriteConnection, mission: Mission, child: Child | None) -> None:
        """The mission's work is under way; it stands as its children say, of which this is the only one if it is new."""
        if child is not None:
            table.put_child(connection, mission.number, 0, child)
        tracking.settle(connection, mission.number)
        children = table.children(connection, mission.number)
        tasks = {child.task_id for child in children if child.task_id}
        connection.event("mesh.mission.launched", subject=mission.id, peer_id=self._node_id, request_id=mission.request_id,
                         payload={"mission_id": mission.id, "launch_type": mission.metadata["launch"]["type"],
                                  "child_job_count": sum(bool(child.job_id) for child in children),
                                  "cooperative_task_count": len(tasks)})

    # --- a job

    def _named(self, job: Mapping[str, Any], wanted: Wanted, mission_id: str) -> Members:
        """The job, which says to which mission it belongs."""
        given = members(job.get("metadata"), "metadata")
        metadata = {name: value for name, value in given.items() if name != "cooperative_task"}
        metadata["mission"] = {"mission_id": mission_id, "title": wanted.title, "intent": wanted.intent,
                               "target_strategy": wanted.target_strategy, "priority": wanted.priority}
        return {**job, "metadata": metadata}

    def _with_job(self, wanted: Wanted, request_id: str, mission_id: str, loopback: bool | None) -> str:
        jobs, job_request = self._rooms["mesh.jobs"], f"{request_id}:job"
        job = {**self._named(wanted.job, wanted, mission_id), "target": self._node_id}
        judged = jobs.intake.judge(job, job_request, ours=OURS)
        made = [mission_id]

        def keep(connection: WriteConnection) -> Members:
            known = table.by_request(connection, self._node_id, request_id)
            if known is not None:
                made[0] = known.id
                return {"status": "deduped", "job": {}}
            mission = self._stored(connection, wanted, request_id, mission_id, {
                "type": "job", "job_request_id": job_request, "job_kind": judged.kind})
            answer: Members = jobs.submit_local(connection, judged)
            self._begun(connection, mission, self._local(connection, answer["job"]))
            return answer

        jobs.carry_out(judged, keep)
        return made[0]

    def _local(self, connection: Any, job: Any) -> Child:
        """The child that a job of this node is; the job as it runs, or as it is shown."""
        found = self._rooms["mesh.jobs"].find(connection, job["id"] if isinstance(job, dict) else job.id)
        return Child(found.id, "", "", found.status, found.updated_at, tracking.facts_of(found))

    # --- work of which peers may have a part

    def _sent_out(self, wanted: Wanted, request_id: str, mission_id: str, launch: Members,
                  send: Callable[[], Callable[[Any], Child | None]]) -> str:
        """The mission is stored, then its work sent out; `send` gives what tells, in a change, of a child that is new then."""
        def begin(connection: WriteConnection) -> tuple[Mission, bool]:
            known = table.by_request(connection, self._node_id, request_id)
            mission = known or self._stored(connection, wanted, request_id, mission_id, launch)
            first = request_id not in self._under_way and self._unsent(connection, mission)
            if first:
                self._under_way.add(request_id)
            return mission, first

        mission, first = self._core.writer.run(begin)
        if first:
            try:
                child_of = send()
                self._core.writer.run(lambda connection: self._begun(connection, mission, child_of(connection)))
            finally:
                self._under_way.discard(request_id)
        return mission.id

    def _with_task(self, wanted: Wanted, request_id: str, mission_id: str, loopback: bool | None) -> str:
        task_request = f"{request_id}:coop"
        base = self._named(members(wanted.task.get("base_job"), "cooperative_task.base_job"), wanted, mission_id)
        request = {**wanted.task, "base_job": base if wanted.task.get("base_job") else None, "request_id": task_request}

        def send() -> Callable[[Any], Child | None]:
            self._rooms["mesh.cooperative_tasks"].launch(request, mission_id=mission_id, loopback=loopback)
            return lambda connection: None               # its shards are children of the mission since they were stored

        return self._sent_out(wanted, request_id, mission_id, {
            "type": "cooperative_task", "cooperative_request_id": task_request,
            "strategy": text(wanted.task.get("strategy"), "strategy").lower() or "spread"}, send)

    def _remote(self, connection: Any, job_id: str, peer_id: str, job: Mapping[str, Any]) -> Child:
        """The child that a job at a peer is."""
        known = self._rooms["mesh.dispatch"].find(connection, job_id)
        shown = known.snapshot if known is not None else job
        return Child(job_id, peer_id, "", str(shown.get("status") or "failed")[:40],
                     str(shown.get("updated_at") or self._core.clock.text())[:40], rules.facts_of(shown))

    def _with_placed_job(self, wanted: Wanted, request_id: str, mission_id: str, loopback: bool | None) -> str:
        job_request = f"{request_id}:job"
        job = {name: value for name, value in self._named(wanted.job, wanted, mission_id).items() if name != "target"}

        def send() -> Callable[[Any], Child | None]:
            answer = self._rooms["mesh.scheduler"].place(job, job_request, allow_local=wanted.target_strategy == "auto",
                                                         ours=OURS, loopback=loopback)
            found = answer["job"]
            here = found.get("target") in ("", None, self._node_id)
            return lambda connection: self._local(connection, found) if here else \
                self._remote(connection, found["id"], str(found["target"]), found)

        return self._sent_out(wanted, request_id, mission_id, {
            "type": "job", "job_request_id": job_request, "job_kind": text(job.get("kind"), "job.kind").lower()}, send)
