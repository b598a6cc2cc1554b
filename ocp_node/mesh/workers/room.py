"""Workers: who does queued jobs (OCP 0.1 workers), and the duties of the queue that nobody has to ask for.

A worker elsewhere and one of the node's own pool take jobs through the same claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Wait, Write
from ...core import Core, Rooms
from ..lists import bounded
from ..queue.rules import RESOURCES, Needs, lease_seconds
from ..values import integer, text, unique, words, wrong
from . import rules, table
from .table import Worker

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .pool import Pool
    from .waiting import Waiting

Members = dict[str, Any]

COUNTED_MAX = 200
FIRST_SECONDS = 0.1               # after the start: the first answers come first
DUTY_SECONDS = 5.0
FORGET_SECONDS = 3600.0
JOBS_POLLED_MAX = 100


class Workers:
    """The workers of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self.rooms = rooms
        self.node_id = core.identity.node_id
        self.own_id: str = core.settings.auto_worker_id or rules.worker_id_of(self.node_id)
        self.pool: Pool | None = None
        self._waiting: Waiting | None = None
        self._begun = 0
        self._forget_at = 0.0
        self._ticker = core.tickers.add("mesh-queue", self._duties)

    @property
    def jobs(self) -> Any:
        return self.rooms["mesh.jobs"]

    @property
    def queue(self) -> Any:
        return self.rooms["mesh.queue"]

    @property
    def waiting(self) -> Waiting:
        """Workers that wait for a job; on the loop."""
        if self._waiting is None:
            from .waiting import Waiting
            self._waiting = Waiting(self._core, self)
        return self._waiting

    # --- shown

    def json(self, worker: Worker) -> Members:
        """The worker as it is now: one that has been silent too long is stale."""
        shown = {name: getattr(worker, name) for name in table.SHOWN}
        if worker.status in rules.SERVING and worker.last_heartbeat_at <= self._silent_since():
            shown["status"] = rules.STALE
        return shown

    def _silent_since(self) -> str:
        return instant_text(self._core.clock.time() - self._core.settings.worker_stale_seconds)

    def listed(self, limit: int) -> list[Members]:
        """Workers, the last to have spoken first."""
        with self._core.reader.snapshot() as connection:
            return [self.json(worker) for worker in table.listed(connection, limit)]

    def capacity(self, connection: Any) -> tuple[int, int, int]:
        """How many workers there are, the slots of those that serve, and how many of these are taken."""
        return (table.count(connection, COUNTED_MAX), *table.capacity(connection, self._silent_since()))

    # --- inside a change

    def known(self, connection: WriteConnection, worker_id: str) -> Worker:
        """The worker; `Refusal("not_found")` when there is none."""
        worker = table.find(connection, worker_id) if worker_id else None
        if worker is None:
            raise Refusal("not_found", "worker not found")
        return worker

    def touch(self, connection: WriteConnection, worker_id: str) -> None:
        """The worker has spoken."""
        table.touch(connection, worker_id, connection.clock.text())

    def register(self, connection: WriteConnection, given: rules.Registration, built_in: bool = False) -> Worker:
        """The worker is known as it says it is; what it was before is forgotten but for when it was first seen."""
        now = connection.clock.text()
        table.put(connection, Worker(**given._asdict(), peer_id=self.node_id, created_at=now, updated_at=now,
                                     last_heartbeat_at=now,
                                     active_attempts=0, built_in=built_in))
        connection.event("mesh.worker.registered", peer_id=self.node_id,
                         payload={"worker_id": given.id, "capabilities": given.capabilities})
        return self.known(connection, given.id)

    def fits(self, worker: Worker) -> Callable[[Needs], bool]:
        """Which needs this worker can meet."""
        node = frozenset(self.rooms["mesh.manifest"].available_names())
        return lambda needs: rules.able(needs, worker.capabilities, worker.resources, node)

    def matching(self, kind: str, capabilities: frozenset[str], resources: Members) -> tuple[int, int]:
        """How many workers can do such a job of this node, and how many of them at once now."""
        wanted = {name: resources[name] for name in RESOURCES if resources.get(name)}
        needs = Needs(kind, self.node_id, capabilities, wanted)
        with self._core.reader.snapshot() as connection:
            known = [worker for worker in table.listed(connection, COUNTED_MAX) if self.json(worker)["status"] != rules.STALE
                     and self.fits(worker)(needs)]
        serving = [worker for worker in known if worker.status in rules.SERVING]
        return len(known), sum(max(0, worker.max_concurrent_jobs - worker.active_attempts) for worker in serving)

    def spoken(self, connection: WriteConnection, worker_id: str) -> Worker:
        """The worker, which has just spoken."""
        self.known(connection, worker_id)
        self.touch(connection, worker_id)
        return self.known(connection, worker_id)

    def claim(self, connection: WriteConnection, worker_id: str, job_id: str = "", seconds: int = 0, child: Members | None = None,
              fits: Callable[[Needs], bool] | None = None) -> Members:
        """The worker holds a job, or is told why not.  Of many that ask at once, each job goes to one."""
        self.queue.redeliver(connection)
        worker = self.spoken(connection, worker_id)
        if worker.status not in rules.SERVING:
            return self._idle(worker, "worker_inactive")
        if worker.active_attempts >= worker.max_concurrent_jobs:
            return self._idle(worker, "worker_busy")
        if not job_id:
            offered = self.queue.offered(connection, fits or self.fits(worker), 1)
            if not offered:
                return self._idle(worker, "no_jobs")
            job_id = offered[0]
        return self._taken(connection, worker, job_id, seconds, child or {})

    def _taken(self, connection: WriteConnection, worker: Worker, job_id: str, seconds: int, child: Members) -> Members:
        job = self.jobs.find(connection, job_id)
        if job is None:
            raise Refusal("not_found", "job not found")
        message = self.queue.of_job(connection, job_id)
        if job.status not in ("queued", "retry_wait") or message is None or message.status != "queued":
            return self._idle(worker, "job_unavailable", self.jobs.json(connection, job))
        if message.hold or message.available_at > connection.clock.text():
            return self._idle(worker, message.hold.get("reason") or "job_unavailable", self.jobs.json(connection, job))
        attempt = self.jobs.claim(connection, job, message, worker.id, lease_seconds(seconds, message.ack_deadline_seconds),
                                  child)
        shown = self.json(worker)                        # as it was before the claim
        return {"status": "claimed", "worker": shown, "job": self.jobs.json(connection, job),
                "attempt": self.jobs.attempt_json(attempt),
                "queue_message": self.queue.json(message)}

    def _idle(self, worker: Worker, reason: str, job: Members | None = None) -> Members:
        return {"status": "idle", "reason": reason, "worker": self.json(worker), **({"job": job} if job is not None else {})}

    # --- duties

    def _duties(self) -> float | None:
        """What time has brought to the queue is done, and the pool works."""
        self._begun += 1
        if self._begun == 1:
            return FIRST_SECONDS                         # imports of the rooms below must not stand before the first answer
        if self._begun == 2:
            self._begin()
        while self.queue.due() and self._core.writer.run(self.queue.sweep):
            pass
        if self.pool is not None:
            self.pool.beat()
        now = self._core.clock.time()
        if now >= self._forget_at:
            while self.jobs.forget_old():
                pass
            self._forget_at = now + FORGET_SECONDS
        return DUTY_SECONDS

    def _begin(self) -> None:
        """After a restart what was running is settled, then the pool starts, if there is one."""
        self.jobs.recover(self.own_id)
        size = int(self._core.settings.workers)
        with self._core.reader.snapshot() as connection:
            earlier = [each for each in table.built_in(connection) if each != self.own_id or not size]
        if earlier:
            self._core.writer.run(lambda change: table.set_status(change, earlier, "stopped", change.clock.text()))
        if size:
            from .pool import Pool
            self.pool = Pool(self._core, self, size)
            self.pool.start()
        elif self._core.settings.auto_register_worker:
            given = rules.Registration(self.own_id, "", "active", [rules.RUNTIME, "shell", "python"], {"cpu": 1},
                                       ["default", "launcher"], 1,
                                       {"source": "ocp_startup", "auto_registered": True})
            self._core.writer.run(lambda change: self.register(change, given))


def build(core: Core, rooms: Rooms) -> Workers:
    """The room; its ticker sees to the queue from now on, and starts the pool."""
    room = Workers(core, rooms)
    rooms["mesh.manifest"].part("workers", lambda: room.listed(20))
    return room


def list_all(room: Workers, call: Call) -> Reply:
    """GET /mesh/workers."""
    found = room.listed(bounded(call.query.limit))
    return Reply({"peer_id": room.node_id, "count": len(found), "workers": found, "generated_at": room._core.clock.text()})


def register(room: Workers, call: Call) -> Write:
    """POST /mesh/workers/register."""
    given = rules.registration(call.body)
    if room.pool is not None and given.id == room.own_id:
        raise Refusal("conflict", "this is the id of the node's own workers")
    return Write(lambda connection: room.register(connection, given),
                 lambda worker: Reply({"status": "ok", "worker": room.json(worker)}))


def heartbeat(room: Workers, call: Call) -> Write:
    """POST /mesh/workers/{worker_id}/heartbeat."""
    body, worker_id = call.body, call.path["worker_id"]
    status, metadata = rules.status(body.status), rules.metadata(body.metadata)
    resources = None if body.resources is None else rules.resources(body.resources)
    labels = None if body.labels is None else unique(words(body.labels, "labels"))
    capabilities = None if body.capabilities is None else unique(words(body.capabilities, "capabilities"))

    def change(connection: WriteConnection) -> Worker:
        worker = room.spoken(connection, worker_id)
        worker.status = status or worker.status
        worker.metadata = {**worker.metadata, **metadata}
        if not worker.built_in:
            worker.resources = worker.resources if resources is None else resources
            worker.labels = worker.labels if labels is None else labels
            worker.capabilities = worker.capabilities if capabilities is None else capabilities
        table.put(connection, worker)
        return worker

    return Write(change, lambda worker: Reply({"status": "ok", "worker": room.json(worker)}))


def poll(room: Workers, call: Call) -> Write:
    """POST /mesh/workers/{worker_id}/poll: a look, nothing is taken."""
    worker_id = call.path["worker_id"]
    limit = min(bounded(integer(call.body.limit, "limit"), 10), JOBS_POLLED_MAX)

    def change(connection: WriteConnection) -> Members:
        room.queue.redeliver(connection)
        worker = room.spoken(connection, worker_id)
        offered = room.queue.offered(connection, room.fits(worker), limit)
        found = [room.jobs.json(connection, job) for job_id in offered if (job := room.jobs.find(connection, job_id)) is not None]
        return {"status": "ok", "worker": room.json(worker), "jobs": found}

    return Write(change, lambda answer: Reply(room.jobs.shown(answer, call.caller)))


def claim(room: Workers, call: Call) -> Write | Wait:
    """POST /mesh/workers/{worker_id}/claim: one job, now or within the seconds the worker waits."""
    body, worker_id = call.body, call.path["worker_id"]
    job_id, seconds = text(body.job_id, "job_id"), integer(body.ttl_seconds, "ttl_seconds")
    patience = _patience(body.wait_seconds)

    def change(connection: WriteConnection) -> Members:
        return room.claim(connection, worker_id, job_id, seconds)

    def answer(found: Members) -> Reply:
        return Reply(room.jobs.shown(found, call.caller))

    if patience and not job_id:
        return room.waiting.wait(change, answer, patience)
    return Write(change, answer)


def _patience(value: object) -> float:
    """How long a worker waits for a job."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise wrong("wait_seconds", "a number of seconds")
    return min(float(value), rules.WAIT_SECONDS_MAX)
