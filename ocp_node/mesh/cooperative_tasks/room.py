"""Cooperative tasks: one job cut into shards that several nodes work on (OCP 0.1 cooperative tasks).

    tasks.launch(request, mission_id="…")      # the task; blocks until its shards have been handed over
    tasks.task(task_id)                        # as it stands; blocks for a moment to look up shards at peers
    tasks.tasks_of(ids)                        # as last seen, in that order; unknown ids are left out

How a task stands follows from its shards, in the change that changes one of them (`tracking`); reading writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..lists import bounded
from ..redaction import redacted
from . import table
from .table import Shard, Task

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .launching import Launching

Members = dict[str, Any]

LIST_USUAL = 25
DECK_SHOWN = 6                       # on the control deck
WHOLE_JOBS_MAX = 64                  # past so many shards a task shows the most important of each job
LISTED_SHARDS_MAX = 2_000             # a list ends with the task that passes it
READ_SECONDS = 2.0


class CooperativeTasks:
    """The tasks of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self.node_id = core.identity.node_id
        self._launching: Launching | None = None
        self.offers: dict[str, Any] = {"cooperative_tasks": (lambda: self.listed(DECK_SHOWN), None)}
        with core.reader.snapshot() as connection:
            self._cut_short = table.pending(connection)
        if self._cut_short:
            core.writer.submit(self._settle_cut_short, lambda result, fault: None)

    # --- starting

    def launch(self, request: Mapping[str, Any], *, mission_id: str = "", loopback: bool | None = None) -> Members:
        """The task, whose shards have been handed over; `deduped` when this request has started it before.

        `mission_id`: the mission whose work it is; its base job's metadata names it.  `Refusal` when no shard was taken.
        """
        from . import rules
        asked = rules.wanted(request, rules.REQUEST_ID_LENGTH_MAX + (len(":coop") if mission_id else 0))
        task_id, again = self._launcher().launch(asked, mission_id, loopback)
        made = self.task(task_id, look=False)
        return {**made, "deduped": True} if again else made

    def _launcher(self) -> Launching:
        if self._launching is None:
            from .launching import Launching
            self._launching = Launching(self._core, self._rooms)
        return self._launching

    def _settle_cut_short(self, connection: WriteConnection) -> None:
        """Shards that were being sent when the node died have failed, until the same request sends them again."""
        from . import tracking
        from .launching import STOPPED
        for number, index in self._cut_short:
            table.set_shard(connection, number, index, "", "failed", STOPPED, {})
        for number in {number for number, _ in self._cut_short}:
            tracking.settle(connection, number)

    # --- reading

    def task(self, task_id: str, look: bool = True, fresh_seconds: float = 0.0) -> Members:
        """The task as it stands; with `look`, shards at peers that are still open are looked up first."""
        with self._core.reader.snapshot() as connection:
            task = self._known(connection, task_id)
            shards = table.shards(connection, task.number)
        if look:
            self._look_up(shards, fresh_seconds)
        with self._core.reader.snapshot() as connection:
            return self._json(connection, self._known(connection, task_id), len(shards) <= WHOLE_JOBS_MAX)

    def tasks_of(self, task_ids: Sequence[str]) -> list[Members]:
        """These tasks as last seen."""
        with self._core.reader.snapshot() as connection:
            found = [task for task_id in task_ids if (task := table.find(connection, task_id)) is not None]
            return [self._json(connection, task, False) for task in found]

    def listed(self, limit: int, state: str = "") -> Members:
        """Tasks as last seen, newest first; the list ends early when they have too many shards together."""
        found: list[Members] = []
        shards = 0
        with self._core.reader.snapshot() as connection:
            for task in table.listed(connection, limit, state):
                found.append(self._json(connection, task, False))
                shards += task.shard_count
                if shards > LISTED_SHARDS_MAX:
                    break
        return {"peer_id": self.node_id, "count": len(found), "tasks": found, "generated_at": self._core.clock.text()}

    def _known(self, connection: Any, task_id: str) -> Task:
        task = table.find(connection, task_id) if task_id else None
        if task is None:
            raise Refusal("not_found", "cooperative task not found")
        return task

    def _look_up(self, shards: Sequence[Shard], fresh_seconds: float) -> None:
        dispatch = self._rooms["mesh.dispatch"]
        with self._core.reader.snapshot() as connection:
            found = [dispatch.find(connection, shard.job_id) for shard in shards
                     if shard.job_id and shard.peer_id != self.node_id]
        open_jobs = [(job.peer_id, job.job_id) for job in found if job is not None and job.open]
        if open_jobs:
            dispatch.following.look(open_jobs, READ_SECONDS, fresh_seconds)

    # --- shown

    def _json(self, connection: Any, task: Task, whole: bool) -> Members:
        from . import rules
        shards = table.shards(connection, task.number)
        children = [self._child(connection, shard, whole) for shard in shards]
        return {"id": task.id, "request_id": task.request_id, "name": task.name, "strategy": task.strategy,
                "base_job": task.base_job, "target_peers": task.target_peers, "metadata": task.metadata,
                "shard_count": task.shard_count, "state": task.state, "status": task.state,
                "summary": rules.summary(task.state, [shard.status for shard in shards]), "children": children,
                "shards": children, "child_job_ids": [shard.job_id for shard in shards if shard.job_id],
                "mission_id": task.mission_id, "created_at": task.created_at, "updated_at": task.updated_at}

    def _child(self, connection: Any, shard: Shard, whole: bool) -> Members:
        from .launching import brief
        job, error = self._job(connection, shard)
        return {"shard_index": shard.shard_index, "label": shard.label, "peer_id": shard.peer_id, "job_id": shard.job_id,
                "request_id": shard.request_id, "job_snapshot": shard.snapshot if whole else brief(shard.snapshot),
                "placement": shard.placement, "job": job if whole or not shard.job_id else brief(job),
                **({"resolution_error": error} if error else {})}

    def _job(self, connection: Any, shard: Shard) -> tuple[Members, str]:
        """The shard's job as far as it is known, and why it could not be looked up."""
        if not shard.job_id:
            return {"status": shard.status, **({"error": shard.error} if shard.error else {})}, ""
        if shard.peer_id == self.node_id:
            jobs = self._rooms["mesh.jobs"]
            job = jobs.find(connection, shard.job_id)
            if job is not None:
                return jobs.json(connection, job), ""
        else:
            dispatch = self._rooms["mesh.dispatch"]
            remote = dispatch.find(connection, shard.job_id)
            if remote is not None:
                shown = dispatch.shown(remote)
                return shown, shown.get("resolution_error", "")
        return {**shard.snapshot, "status": shard.status}, "job not found"


def build(core: Core, rooms: Rooms) -> CooperativeTasks:
    """The room."""
    return CooperativeTasks(core, rooms)


def _shown(call: Call, found: Members) -> Reply:
    return Reply(found if call.caller.trusted_view else redacted(found))


def list_all(room: CooperativeTasks, call: Call) -> Reply:
    """GET /mesh/cooperative-tasks."""
    query = call.query
    return _shown(call, room.listed(bounded(query.limit, LIST_USUAL), query.state.strip().lower()))


def show(room: CooperativeTasks, call: Call) -> Reply:
    """GET /mesh/cooperative-tasks/{task_id}; strangers make this node call nobody."""
    from ..dispatch.following import FRESH_SECONDS
    fresh_seconds = 0.0 if call.caller.operator else FRESH_SECONDS
    return _shown(call, room.task(call.path["task_id"], call.caller.trusted_view, fresh_seconds))


def launch(room: CooperativeTasks, call: Call) -> Reply:
    """POST /mesh/cooperative-tasks/launch."""
    return _shown(call, room.launch(call.body.document, loopback=call.caller.loopback or None))
