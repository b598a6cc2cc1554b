"""Jobs: what this node was asked to do, and what became of it (OCP 0.1 jobs).

The room's parts: `intake` lets jobs in, `attempts` is how workers do them, `recovery` the operator's hand, `runs` what this node
carries out itself, `inline` who waits for it meanwhile.  Here is what they share, and what the other rooms ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Caller, Reply, Wait
from ...core import Core, Rooms
from ...crypto.boxes import CannotOpen
from ..leases.rules import Conflict, Lease
from ..manifest.rules import reliability
from ..queue import rules as queueing
from ..redaction import redacted
from ..secrets import keyring as keyrings
from . import handlers, lanes, rules, shapes, table
from .attempts import Attempts
from .delivery import Store
from .failure import RunFailed
from .intake import Intake
from .recovery import APPROVAL, Recovery
from .table import Attempt, Job

if TYPE_CHECKING:
    from ...crypto.identity import Identity
    from ...store.writer import WriteConnection
    from ..dispatch.room import Dispatch
    from ..dispatch.table import RemoteJob
    from .inline import Inline
    from .lanes import Outcome
    from .package import Package
    from .runs import Runs

Members = dict[str, Any]

RELIABILITY_JOBS = 40
PURGED_MAX = 200                      # jobs forgotten in one change
RESTARTED = "node restarted"


class Jobs:
    """The jobs of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.rooms = rooms
        self.settings = core.settings
        self.node_id = core.identity.node_id
        self.ids, self.clock, self.reader, self.writer = core.ids, core.clock, core.reader, core.writer
        self.queue, self.leases = rooms["mesh.queue"], rooms["mesh.leases"]
        self.peers, self.envelopes = rooms["mesh.peers"], rooms["mesh.envelopes"]
        self.profile, self.manifest = rooms["mesh.device_profile"], rooms["mesh.manifest"]
        self.artifacts = rooms["mesh.artifacts"]
        self.intake, self.attempts, self.recovery = Intake(self), Attempts(self), Recovery(self)
        available = self.manifest.available_names()
        self.programs = lanes.programs(core.environment, "docker" in available, "wasm" in available, core.settings.wasm_runtime)
        self._runs: Runs | None = None
        self._inline: Inline | None = None
        self._lock = threading.Lock()                    # the parts below are made once, whoever asks first
        with core.reader.snapshot() as connection:
            self._before = table.last_job(connection)

    @property
    def identity(self) -> Identity:
        """The key of this node as it is now: a rotation gives it another."""
        return self.core.identity

    # --- parts that are needed only once something runs

    @property
    def runs(self) -> Runs:
        """What this node carries out itself."""
        if self._runs is None:
            from .runs import Runs
            with self._lock:
                self._runs = self._runs or Runs(self.core, self)
        return self._runs

    @property
    def inline(self) -> Inline:
        """Who waits for a run; used on the loop."""
        if self._inline is None:
            from .inline import Inline
            with self._lock:
                self._inline = self._inline or Inline(self.core, self)
        return self._inline

    def prepare(self) -> None:
        """What the first run would have to load is loaded.  Not on the loop."""
        self.inline  # noqa: B018
        self.core.processes.prepare()
        self.runs  # noqa: B018

    @property
    def base_url(self) -> str:
        return self.core.base_url

    def now(self) -> str:
        return self.clock.text()

    # --- shown

    def json(self, connection: Any, job: Job) -> Members:
        """The job as operators see it, as it stands in this change or snapshot."""
        message = self.queue.of_job(connection, job.id)
        lease = self.leases.find(connection, job.lease_id) if job.lease_id else None
        return shapes.job_json(job, table.attempts_of(connection, job.id),
                               self.message_json(message) if message is not None else {},
                               self.leases.shown(lease) if lease is not None else {}, self.core.base_url)

    def message_json(self, message: Any) -> Members:
        return self.queue.json(message)

    def shown(self, answer: Members, caller: Caller) -> Members:
        """The answer as this kind of caller may see it."""
        return answer if caller.trusted_view else redacted(answer)

    def state(self, job_id: str) -> Members:
        """The job as it stands now; `Refusal("not_found")` when there is none."""
        job, made = self.known(job_id)
        return {"status": job.status, "job": made}

    def known(self, job_id: str) -> tuple[Job, Members]:
        """The job, and how operators see it now; `Refusal("not_found")` when there is none."""
        with self.reader.snapshot() as connection:
            job = table.find(connection, job_id) if job_id else None
            if job is None:
                raise Refusal("not_found", "job not found")
            return job, self.json(connection, job)

    @property
    def dispatch(self) -> Dispatch:
        """Where jobs are that peers have."""
        found: Dispatch = self.rooms["mesh.dispatch"]
        return found

    def at_peer(self, job_id: str) -> RemoteJob | None:
        """The job, when a peer has it for this node."""
        with self.reader.snapshot() as connection:
            return self.dispatch.find(connection, job_id) if table.status_of(connection, job_id) == "" else None

    def show_remote(self, job: RemoteJob, caller: Caller) -> Reply | Wait:
        """A job that a peer has: looked up there while it may still change, else as it ended; strangers see it as last seen, for
        they make this node call nobody."""
        def answer() -> Reply:
            return Reply(self.shown(self.dispatch.shown(self.dispatch.known(job.job_id) or job), caller))

        if not job.open or not caller.trusted_view:
            return answer()
        return self.dispatch.following.wait([(job.peer_id, job.job_id)], answer, caller)

    def find(self, connection: Any, job_id: str) -> Job | None:
        """The job, or None; inside a change or a snapshot."""
        return table.find(connection, job_id)

    def made(self, connection: Any, request_id: str) -> Job | None:
        """The job that a request of this node's own has made here; inside a change or a snapshot."""
        return table.by_request(connection, self.node_id, request_id)

    def topic(self, job_id: str) -> str:
        """Stirs when the job has ended."""
        return f"mesh.job:{job_id}"

    def reliability(self) -> Members:
        """How well work has ended here lately: a part of the manifest."""
        with self.reader.snapshot() as connection:
            ended = table.outcomes(connection, RELIABILITY_JOBS)
            retried = self.queue.failed_attempts(connection)
        return reliability("local_jobs", ended.count("completed"), ended.count("failed"), retried)

    # --- for other rooms, inside a change

    def submit_local(self, connection: WriteConnection, judged: Any) -> Members:
        """A job of this node's own, judged before (`intake.judge`), is kept."""
        return self.intake.keep(connection, judged)

    def carry_out(self, judged: Any, keep: Callable[[WriteConnection], Members] | None = None) -> Members:
        """What became of a job of this node's own, judged before: it waits in its queue, or was run to its end.

        Blocks, for long requests.  `keep` is the change that keeps it, with whatever else belongs to it; a `Refusal` of it, or of
        the run, is raised.
        """
        change = keep or (lambda connection: self.submit_local(connection, judged))
        if not judged.inline or judged.refusal is not None:
            return self.writer.run(change)
        self.prepare()
        return self.inline.carry_out(judged, change)

    def claim(self, connection: WriteConnection, job: Job, message: Any, worker_id: str, lease_seconds: int,
              child: Members) -> Attempt:
        """The worker holds the job."""
        return self.attempts.begin(connection, job, message, worker_id, lease_seconds, child)

    def lapse(self, connection: WriteConnection, message: Any, error: str) -> None:
        """The holder of the message is gone."""
        self.attempts.lapse(connection, message, error)

    def replay(self, connection: WriteConnection, message: Any, reason: str) -> Members:
        """A dead letter is delivered once more."""
        return self.recovery.replay(connection, message, reason)

    def attempt_json(self, attempt: Attempt) -> Members:
        """The attempt as it is shown."""
        return table.attempt_json(attempt)

    def open_of(self, connection: Any, worker_id: str) -> list[Attempt]:
        """Attempts that the worker holds."""
        return table.open_of(connection, worker_id)

    # --- what the parts share, inside a change

    def save(self, connection: WriteConnection, job: Job) -> None:
        job.updated_at = connection.clock.text()
        table.save(connection, job)
        from ..missions import tracking  # missions hear of it without their room, which nobody may have asked for
        tracking.job_changed(connection, job)
        if "cooperative_task" in job.metadata:
            from ..cooperative_tasks import tracking as tasks
            tasks.job_changed(connection, job.id, job.status)

    def finish(self, connection: WriteConnection, job: Job) -> None:
        """The job has ended: what only a run needs of it is forgotten, and who waits for it is told."""
        job.finished_at = connection.clock.text()
        job.metadata.pop("run", None)
        self.save(connection, job)
        table.drop_secrets(connection, job.id)
        connection.stir(self.topic(job.id))

    def keep_result(self, job: Job, refs: Members) -> None:
        """The package is the job's."""
        job.result_ref = refs["result_ref"]
        job.metadata.update({name: value for name, value in refs.items() if name != "result_ref"})

    def lease(self, connection: WriteConnection, resource: str, peer_id: str, agent_id: str, job_id: str, seconds: int,
              metadata: Members) -> Lease:
        """A lease for a run; `Refusal` when another peer holds the resource."""
        lease = self.leases.acquire(connection, resource=resource, peer_id=peer_id, agent_id=agent_id, job_id=job_id,
                                    ttl_seconds=seconds,
                                    metadata=metadata)
        if isinstance(lease, Conflict):
            raise self.leases.refusal(lease)
        made: Lease = lease
        return made

    def enqueue_again(self, connection: WriteConnection, job: Job) -> Any:
        """A message for a job whose message is gone, or that never had one."""
        kept = job.metadata
        name = kept.get("queue_name") or queueing.name_of({}, kept, job.requirements.get("placement") or {})
        policy = kept.get("queue_policy") or queueing.policy_of({}, {}, name)
        kept.update(queue_name=name, queue_policy=policy, dispatch_mode="queued")
        return self.queue.enqueue(connection, job, name, policy, "", {})

    def abandoned(self, connection: WriteConnection, attempt: Attempt) -> None:
        """The attempt is over whatever its run does: what runs of it here is ended."""
        self._stop_run(connection, attempt.id)

    def ended(self, connection: WriteConnection, job: Job) -> None:
        """The job is over whatever its run does."""
        self._stop_run(connection, job.id)

    def _stop_run(self, connection: WriteConnection, key: str) -> None:
        runs = self._runs
        if runs is not None:
            connection.after_commit(lambda: runs.stop(key))

    def spoke(self, connection: WriteConnection, worker_id: str) -> None:
        """The worker is alive."""
        self.rooms["mesh.workers"].touch(connection, worker_id)

    # --- runs

    def foreseen(self) -> Members:
        """How a run that is yet to be started will be found again; cheap once `prepare` was called."""
        from ...base.records import encode
        record = self.core.processes.foresee()
        found: Members = encode(record) if record is not None else {"mark": 0}
        return found

    def end_inline(self, connection: WriteConnection, job_id: str, outcome: Outcome, executor: str,
                   package: Package | None) -> Members:
        """A job that ran for a waiting caller has ended."""
        job = table.find(connection, job_id)
        assert job is not None
        if job.status not in rules.ACTIVE:               # cancelled meanwhile: that stands
            return {"status": job.status, "job": self.json(connection, job)}
        job.executor = executor
        if package is not None:
            refs = package.record(connection)
            self.keep_result(job, refs)
            if refs["result_artifacts"].get("checkpoint"):
                job.metadata.update(latest_checkpoint_ref=refs["result_artifacts"]["checkpoint"],
                                    checkpointed_at=connection.clock.text())
            job.status = rules.step(job.status, "complete")
            self.leases.release(connection, job.lease_id, "completed")
            self.finish(connection, job)
            connection.event("mesh.job.completed", subject=job.id, peer_id=job.origin_peer_id, request_id=job.request_id,
                             payload={
                "job_id": job.id, "executor": executor, "result_artifact_id": refs["result_ref"]["id"],
                "bundle_artifact_id": refs["result_bundle_ref"]["id"]})
        else:
            self._fail_inline(connection, job, outcome.error)
        return {"status": job.status, "job": self.json(connection, job)}

    def _fail_inline(self, connection: WriteConnection, job: Job, error: str) -> None:
        from .attempts import ERROR_LENGTH_MAX, EVENT_ERROR_LENGTH_MAX
        job.metadata["error"] = error[:ERROR_LENGTH_MAX]
        job.status = rules.step(job.status, "fail_final")
        self.leases.release(connection, job.lease_id, "failed")
        self.finish(connection, job)
        connection.event("mesh.job.failed", subject=job.id, peer_id=job.origin_peer_id, request_id=job.request_id,
                         payload={"job_id": job.id, "error": error[:EVENT_ERROR_LENGTH_MAX]})

    def job_failed(self, fault: RunFailed, job: Members) -> Refusal:
        """What the caller of a failed inline job is told."""
        return Refusal(fault.code, fault.text, {"job": job})

    # --- after a restart

    def recover(self, worker_id: str) -> int:
        """What the last run of this node left running is ended and settled: inline jobs have failed, jobs of the built-in worker
        are for anybody again.  Not on the loop.  Gives how many there were."""
        with self.reader.snapshot() as connection:
            inline = table.inline_running(connection, self._before)
            attempts = [each for each in table.open_of(connection, worker_id) if each.child]
        for child in (*(job.metadata.get("run") or {} for job in inline), *(attempt.child for attempt in attempts)):
            self._end_remains(child)
        if inline or attempts:
            self.writer.run(lambda connection: self._settle(connection, [job.id for job in inline],
                                                            [each.id for each in attempts]))
        if (self.core.data / "runs").is_dir():
            self.runs.forget_folders()
        return len(inline) + len(attempts)

    def _end_remains(self, child: Members) -> None:
        """Nothing is left of a run of a node that died, so that nothing is done twice at a time."""
        if child.get("mark") and child.get("boot_id"):
            from ...base.records import decode
            from ...processes.records import ChildRecord
            self.core.processes.prepare()
            self.core.processes.end_remains(decode(ChildRecord, child))

    def _settle(self, connection: WriteConnection, job_ids: list[str], attempt_ids: list[str]) -> None:
        for job_id in job_ids:
            job = table.find(connection, job_id)
            if job is not None and job.inline and job.status == "running":
                self._fail_inline(connection, job, RESTARTED)
        for attempt_id in attempt_ids:
            message = self.queue.of_attempt(connection, attempt_id)
            if message is not None and message.status == "inflight":
                self.attempts.lapse(connection, message, RESTARTED)

    def forget_old(self) -> int:
        """Jobs that ended long ago are forgotten, at most so many.  Not on the loop.  Gives how many were."""
        from ...base.clock import instant_text
        before = instant_text(self.clock.time() - self.settings.jobs_kept_days * 86_400)
        with self.reader.snapshot() as connection:
            old = table.ended_before(connection, before, PURGED_MAX)
        if old:
            self.writer.run(lambda connection: table.forget(connection, old, before))
        return len(old)

    # --- secrets

    @property
    def _secrets(self) -> Any:
        return self.rooms["mesh.secrets"]

    def sealed(self, job_id: str, variable: str, value: str) -> str:
        """An inline secret as it is kept."""
        return str(self._secrets.keyring.seal(value, keyrings.JOB, job_id, variable))

    def opened(self, job_id: str, variable: str, sealed: str) -> str:
        """An inline secret again."""
        try:
            return str(self._secrets.keyring.open(sealed, keyrings.JOB, job_id, variable))
        except CannotOpen:
            raise RunFailed(f"required secret binding missing value: {variable}") from None

    def digest(self, value: str, scope: str, name: str) -> str:
        """What is told of a secret: equal for equal values, and nothing to who lacks this node's key."""
        return str(self._secrets.digest(value, scope, name))

    def stored_secret(self, origin: str, scope: str, name: str) -> Store | None:
        """A secret of the store, if jobs of this origin may be given it."""
        with self.reader.snapshot() as connection:
            found = self._secrets.find(connection, scope, name, origin)
        return None if found is None else Store(found.value, found.secret_id)

    def secret_granted(self, origin: str, scope: str, name: str) -> bool:
        """Has the operator granted this secret to jobs of that peer?"""
        with self.reader.snapshot() as connection:
            return bool(self._secrets.granted(connection, scope, name, origin))

    # --- approvals

    def approval_resolved(self, connection: WriteConnection, approval: Mapping[str, Any], decision: str,
                          metadata: Mapping[str, Any]) -> Members | None:
        """A decision about a job that waits for it."""
        return self.recovery.resolved(connection, str(approval.get("related_job_id") or ""), str(approval["id"]), decision)


def build(core: Core, rooms: Rooms) -> Jobs:
    """The room; how reliable it is is part of the manifest, and approvals of jobs come back to it."""
    room = Jobs(core, rooms)
    room.manifest.part("reliability", room.reliability)
    rooms["mesh.approvals"].on_resolved(APPROVAL, room.approval_resolved)
    core.measures.gauge("ocp_mesh_runs", "Jobs that this node carries out itself at the moment.",
                        lambda: float(room._runs.count() if room._runs is not None else 0))
    return room


def show(room: Jobs, call: Call) -> Reply | Wait:
    """GET /mesh/jobs/{job_id}: a job of this node, or one that a peer does for it."""
    job_id = call.path["job_id"]
    try:
        job, made = room.known(job_id)
    except Refusal:
        at_peer = room.at_peer(job_id)
        if at_peer is None:
            raise
        return room.show_remote(at_peer, call.caller)
    if call.caller.trusted_view:
        return Reply(shapes.job_text(job, made), media_type="application/json")
    return Reply(room.shown(made, call.caller))


submit = handlers.submit
schedule = handlers.schedule
cancel = handlers.cancel
resume = handlers.resume
resume_from_checkpoint = handlers.resume_from_checkpoint
restart = handlers.restart
attempt_heartbeat = handlers.attempt_heartbeat
attempt_complete = handlers.attempt_complete
attempt_fail = handlers.attempt_fail
