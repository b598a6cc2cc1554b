"""Starting a task: it is stored first, then its shards go out, a few at a time (OCP 0.1 cooperative launch).

A shard that no node takes is a failed one; the launch itself is refused only when none was taken.  A request is carried out once:
repeated, it is answered with its task, after shards that no node took, or that one may have taken without its answer coming back,
have been sent again.  Blocks, for long requests.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Busy, Refusal
from ...core import Core, Rooms
from ...http.lanes import gather
from ..dispatch.rules import SNAPSHOT_BYTES_MAX, waits_for
from ..fitting import fitted
from ..missions import tracking as missions
from ..scheduler.placement import job_of as placed_job
from ..values import members
from . import rules, table, tracking
from .rules import Target, Wanted
from .table import Shard, Task

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

Members = dict[str, Any]

PARALLEL = 4
HELPERS_MAX = 3
QUEUED_SECONDS, INLINE_SECONDS = 10.0, 400.0         # what one shard may take to be handed over, or to be done meanwhile
LAUNCH_SECONDS_MAX = 3_600.0
BEFORE_SECONDS = 600.0                               # a repeated request waits so long for the first one
ERROR_LENGTH_MAX = 500
FORGOTTEN_MAX = 50                                   # old tasks, each time one is started
STOPPED = "node restarted"
FULL_SECONDS = 3_600


class Launching:
    """Starts tasks."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        self._going: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def launch(self, asked: Wanted, mission_id: str, loopback: bool | None) -> tuple[str, bool]:
        """The id of the task, and whether this request has made it before.  `Refusal` when no shard was taken."""
        rules.check_size(asked)
        request_id = asked.request_id or self._core.ids.hex(32)
        done = threading.Event()
        with self._lock:
            before = self._going.setdefault(request_id, done)
        if before is not done:
            before.wait(BEFORE_SECONDS)
        with self._core.reader.snapshot() as connection:
            known = table.by_request(connection, self._node_id, request_id)
        try:
            if known is None:
                known, again = self._begin(asked, request_id, mission_id, loopback), False
            else:
                again = True
            self._send_out(asked, known, again, loopback)
            return known.id, again
        finally:
            with self._lock:
                if self._going.get(request_id) is done:
                    del self._going[request_id]
            done.set()

    # --- the task

    def _begin(self, asked: Wanted, request_id: str, mission_id: str, loopback: bool | None) -> Task:
        enlisted = self._enlisted(asked, loopback) if asked.auto_enlist and asked.strategy != "local-only" else {}
        targets = self._targets(asked)
        named = self._named(asked, targets)
        places = rules.assigned(asked, targets, named)
        now = self._core.clock.text()
        task = Task(0, self._core.ids.uuid(), request_id, self._node_id, mission_id, asked.name, asked.strategy,
                    rules.kept(asked.base_job), [target.peer_id for target in targets],
                    {"allow_local": asked.allow_local, "allow_remote": asked.allow_remote, "auto_enlist": asked.auto_enlist,
                     "auto_enlist_result": enlisted}, len(asked.shards), "pending", now, now)
        for index in range(len(asked.shards)):
            rules.job_of(asked, index, task.id, {})                    # what is wrong with one is said before anything is sent
        kept: Task = self._core.writer.run(lambda connection: self._store(connection, asked, task, places))
        return kept

    def _store(self, connection: WriteConnection, asked: Wanted, task: Task, places: Sequence[tuple[str, Members]]) -> Task:
        """The task stands with its shards, none of them sent; the one of another caller who was first, if there is one."""
        earlier = table.by_request(connection, self._node_id, task.request_id)
        if earlier is not None:
            return earlier
        days = self._core.settings.jobs_kept_days
        table.forget(connection, instant_text(connection.clock.time() - days * 86_400), FORGOTTEN_MAX)
        made = table.add(connection, task)
        if made is None:
            raise Busy("the register of cooperative tasks", retry_after_seconds=FULL_SECONDS)
        for index, (peer_id, placement) in enumerate(places):
            table.add_shard(connection, Shard(made.number, index, rules.label_of(asked.shards[index], index), peer_id,
                                              f"{task.request_id}:shard:{index + 1}", placement, "", "pending", "", {}))
        connection.event("mesh.cooperative_task.launched", subject=task.id, peer_id=self._node_id, request_id=task.request_id,
                         payload={"task_id": task.id, "strategy": task.strategy, "shard_count": task.shard_count,
                                  "target_peers": task.target_peers})
        tracking.settle(connection, made.number)
        return made

    def _enlisted(self, asked: Wanted, loopback: bool | None) -> Members:
        """Helpers that were enlisted for the task, or why there are none."""
        from ..helpers.offloading import Seek
        try:
            found: Members = self._rooms["mesh.helpers"].offloading.seek(
                Seek(asked.base_job, HELPERS_MAX, reason="cooperative_launch", loopback=loopback))
        except Refusal as refusal:
            return {"error": refusal.message}
        return found

    def _targets(self, asked: Wanted) -> list[Target]:
        """The nodes that may take shards: those that are named, else all that are eligible for the base job, best first."""
        if asked.target_peer_ids:
            peer_ids = [peer_id for peer_id in asked.target_peer_ids
                        if (asked.allow_local if peer_id == self._node_id else asked.allow_remote)]
        else:
            found = self._rooms["mesh.scheduler"].choosing.candidates(placed_job(asked.base_job), asked.allow_local,
                                                                      asked.allow_remote)
            peer_ids = [each.peer_id for each in found if not each.refused][:rules.TARGETS_MAX]
        if not peer_ids:
            raise Refusal("no_target", "no eligible cooperative task target found")
        return [self._target(peer_id) or _stranger(peer_id) for peer_id in peer_ids]

    def _named(self, asked: Wanted, targets: Sequence[Target]) -> dict[str, Target]:
        """The nodes that shards name themselves; one that nobody knows is left out."""
        known = {target.peer_id: target for target in targets}
        wishes = {str(shard.get("target_peer_id") or "").strip() for shard in asked.shards} - {""}
        return known | {peer_id: target for peer_id in wishes - set(known) if (target := self._target(peer_id)) is not None}

    def _target(self, peer_id: str) -> Target | None:
        if peer_id == self._node_id:
            profile, counts = self._rooms["mesh.device_profile"].profile(), self._rooms["mesh.queue"].metrics()["counts"]
            return Target(peer_id, True, profile["compute_profile"], profile["helper_state"], "self",
                          counts["queued"] + counts["inflight"])
        peer = self._rooms["mesh.peers"].find(peer_id)
        return None if peer is None else rules.target_of(peer)

    # --- its shards

    def _send_out(self, asked: Wanted, task: Task, again: bool, loopback: bool | None) -> None:
        with self._core.reader.snapshot() as connection:
            shards = table.shards(connection, task.number)
        if len(shards) != len(asked.shards):
            return                                    # a repeated request that asks for something else is answered as it stands
        left = [shard for shard in shards if not shard.job_id and (again or shard.status == "pending")]
        named = members(asked.base_job.get("metadata"), "metadata").get("mission") if task.mission_id else {}
        mission = members(named, "mission")
        works = [partial(self._send, task, shard, rules.job_of(asked, shard.shard_index, task.id, mission), loopback)
                 for shard in left]
        waits = any(waits_for({**asked.base_job, **shard}) for shard in asked.shards)
        each = INLINE_SECONDS if waits else QUEUED_SECONDS
        outcomes = gather(works, PARALLEL, min(LAUNCH_SECONDS_MAX, each * -(-len(works) // PARALLEL)))
        faults = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        for fault in faults:
            if not isinstance(fault, (Refusal, TimeoutError)):
                raise fault
        refused = next((fault for fault in faults if isinstance(fault, Refusal)), None)
        if refused is not None and len(faults) == len(works) == len(shards):
            raise Refusal(refused.code, refused.message, {**refused.detail, "task_id": task.id}, refused.headers)

    def _send(self, task: Task, shard: Shard, job: Members, loopback: bool | None) -> None:
        """The shard's job is where it belongs and noted with the shard; `Refusal` when no node has it, which is noted too."""
        try:
            if shard.peer_id == self._node_id:
                self._here(task, shard, job)
            else:
                self._there(task, shard, job, loopback)
        except Refusal as refusal:
            told = refusal.detail.get("job")
            if isinstance(told, dict):                # it was taken and done, and has failed
                self._core.writer.run(lambda connection: self._note(connection, task, shard, told))
                return
            error = refusal.message[:ERROR_LENGTH_MAX] or refusal.code
            self._core.writer.run(lambda connection: self._note_failed(connection, task, shard, error))
            raise

    def _here(self, task: Task, shard: Shard, job: Members) -> None:
        jobs = self._rooms["mesh.jobs"]
        ours = frozenset({"cooperative_task", "mission"})
        judged = jobs.intake.judge({**job, "target": self._node_id}, shard.request_id, ours=ours)

        def keep(connection: WriteConnection) -> Members:
            missions.check_wanted(connection, task.mission_id)
            answer: Members = jobs.submit_local(connection, judged)
            made = answer["job"]
            self._note(connection, task, shard, made if isinstance(made, dict) else jobs.json(connection, made))
            return answer

        jobs.carry_out(judged, keep)

    def _there(self, task: Task, shard: Shard, job: Members, loopback: bool | None) -> None:
        with self._core.reader.snapshot() as connection:
            missions.check_wanted(connection, task.mission_id)
        answer = self._rooms["mesh.dispatch"].send(shard.peer_id, job, shard.request_id, loopback=loopback)
        self._core.writer.run(lambda connection: self._note(connection, task, shard, answer["job"]))

    # --- inside a change

    def _note(self, connection: WriteConnection, task: Task, shard: Shard, job: Mapping[str, Any]) -> None:
        """The shard is this job, which stands as it does by now: it may have moved on since it was sent."""
        remote = self._rooms["mesh.dispatch"].find(connection, job["id"])
        here = self._rooms["mesh.jobs"].find(connection, job["id"])
        status = here.status if here is not None else remote.status if remote is not None else job["status"]
        table.set_shard(connection, task.number, shard.shard_index, job["id"], status, "",
                        fitted(dict(job), SNAPSHOT_BYTES_MAX // 6, (_without_program, brief)))
        tracking.settle(connection, task.number)

    def _note_failed(self, connection: WriteConnection, task: Task, shard: Shard, error: str) -> None:
        table.set_shard(connection, task.number, shard.shard_index, "", "failed", error, {})
        tracking.settle(connection, task.number)


BRIEF = ("id", "request_id", "kind", "status", "origin", "target", "origin_peer_id", "target_peer_id", "dispatch_mode",
         "created_at", "updated_at", "executor", "result_ref", "result_bundle_ref", "latest_checkpoint_ref", "resume_count",
         "remote", "remote_peer_id", "resolution_error")


def brief(job: Members) -> Members:
    """What lists show of a job."""
    return {name: job[name] for name in BRIEF if name in job}


def _without_program(job: Members) -> Members:
    made = {name: value for name, value in job.items() if name != "payload_inline"}
    made["spec"] = {name: value for name, value in (job.get("spec") or {}).items() if name != "execution"}
    made["metadata"] = {name: value for name, value in (job.get("metadata") or {}).items() if name != "job_spec"}
    return made


def _stranger(peer_id: str) -> Target:
    """A node that nobody knows: what is sent to it fails, and says so."""
    from ..device_profile.rules import normalised
    return Target(peer_id, False, normalised({})["compute_profile"], "active", "unknown", 0)
