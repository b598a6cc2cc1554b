"""The node's own workers (OCP 0.1 built-in pool): jobs of its operator are done here, through the same claims as anywhere.

No worker is a thread: a free slot takes a job when one is there, a child process does it, and its end makes the slot free again.
The pool sleeps until a job's commit wakes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_seconds
from ...base.errors import Refusal
from ..jobs.lanes import Outcome
from ..jobs.runs import Run
from ..jobs.spec import LANE_KINDS
from ..queue.rules import Needs
from . import rules, table

if TYPE_CHECKING:
    from ...core import Core
    from ...store.events import Event
    from ...store.writer import WriteConnection
    from ..jobs.package import Package
    from .room import Workers

Members = dict[str, Any]
READY = "mesh.queue.ready"
TRUST_CHANGED = "mesh.peer.trust_changed"
BEATS_PER_LEASE = 3
LATER_SECONDS_MAX = 3600.0


class Pool:
    """The slots.  On the loop, unless a method says otherwise."""

    def __init__(self, core: Core, workers: Workers, size: int) -> None:
        self._core = core
        self._workers = workers
        self._jobs = workers.jobs
        self._manifest = workers.rooms["mesh.manifest"]
        self._peers = workers.rooms["mesh.peers"]
        self.size = size
        self._free = size
        self._claiming = self._stopping = False
        self._again = False                                # something came while a claim was on its way
        self._timer: Any = None
        self._lease_seconds: dict[str, tuple[float, int]] = {}      # attempt -> when it is to say that it lives, its lease
        self._row_beat = 0.0

    def start(self) -> None:
        """The pool is a worker like any, and works.  Not on the loop."""
        self._jobs.prepare()
        names = self._manifest.available_names()
        lanes = [rules.RUNTIME, "shell", "python", *(name for name in ("docker", "wasm") if name in names)]
        given = rules.Registration(self._workers.own_id, "", "active", lanes, {"cpu": self.size}, ["default", "built-in"],
                                   self.size,
                                   {"source": "built-in", "auto_registered": True})
        self._core.writer.run(lambda connection: self._workers.register(connection, given, built_in=True))
        self._row_beat = self._core.clock.monotonic()
        self._core.on_leave(self._leave)
        self._core.signals.listen((READY,), self._turn)
        self._core.feed.listen(self._heard)
        self._core.loop.call_soon(self._turn)

    # --- taking jobs

    def fits(self, needs: Needs) -> bool:
        """May the node itself do such a job: one it has a lane for, of its own operator or of a peer whose code it runs
        unasked."""
        if needs.kind not in LANE_KINDS:
            return False
        if needs.origin != self._workers.node_id and not self._peers.runs_code(self._peers.find(needs.origin), False):
            return False
        return needs.capabilities <= frozenset(self._manifest.available_names()) and needs.resources.get("cpu", 0) <= self.size

    def _turn(self) -> None:
        """Free slots have taken what there is."""
        if self._claiming:
            self._again = True
            return
        if self._stopping or self._free <= 0 or self._draining():
            return
        with self._core.reader.snapshot() as connection:
            offered = self._workers.queue.offered(connection, self.fits, 1)
            later = "" if offered else self._workers.queue.next_available(connection)
        if not offered:
            self._look_again(later)
            return
        self._claiming, self._again = True, False
        children = [self._jobs.foreseen() for _ in range(self._free)]
        try:
            self._core.writer.submit(lambda connection: self._claim(connection, children), self._claimed)
        except Refusal:
            self._claiming = False
            self._look_again(self._core.clock.text())

    def _heard(self, events: Sequence[Event]) -> None:
        """Jobs of a peer that waited may be done now that the operator has said so."""
        if any(event.event_type == TRUST_CHANGED for event in events):
            self._turn()

    def _draining(self) -> bool:
        return self._core.edge is not None and self._core.edge.draining

    def _look_again(self, later: str) -> None:
        """A job that waits for its time wakes nobody when that has come."""
        if later and self._timer is None:
            seconds = min(max(1.0, instant_seconds(later) - self._core.clock.time()), LATER_SECONDS_MAX)
            self._timer = self._core.loop.call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self._turn()

    def _claim(self, connection: WriteConnection, children: list[Members]) -> list[tuple[Any, ...]]:
        """Jobs and their attempts, as many as there are slots; a change."""
        taken = []
        for child in children:
            found = self._workers.claim(connection, self._workers.own_id, child=child, fits=self.fits)
            if found["status"] != "claimed":
                break
            taken.append((self._jobs.find(connection, found["job"]["id"]), found["attempt"], found["queue_message"], child))
        return taken

    def _claimed(self, taken: Any, fault: BaseException | None) -> None:
        self._claiming = False
        if fault is not None:
            self._look_again(self._core.clock.text())
            return
        now = self._core.clock.monotonic()
        for job, attempt, message, child in taken:
            self._free -= 1
            seconds = max(60, int(message["ack_deadline_seconds"]))
            self._lease_seconds[attempt["id"]] = (now + seconds / BEATS_PER_LEASE, seconds)
            run = Run(job, partial(self._ended, attempt["id"]), attempt_id=attempt["id"],
                      attempt_number=attempt["attempt_number"],
                      resume=attempt["metadata"]["resumed_from_checkpoint_ref"], mark=child.get("mark") or 0)
            self._jobs.runs.begin(run)
        if self._again or taken:
            self._turn()

    # --- their ends, on the thread of runs

    def _ended(self, attempt_id: str, outcome: Outcome, executor: str, package: Package | None) -> None:
        """The slot is free, and the attempt told, unless the job was taken away meanwhile."""
        run = self._jobs.runs.find(attempt_id)
        if run is not None and run.cancelled:
            self._core.loop.call_soon(lambda: self._freed(attempt_id, None, None))
            return
        blob = None
        if outcome.checkpoint is not None:
            try:
                blob = self._jobs.artifacts.put(self._jobs.artifacts.json_bytes(outcome.checkpoint))
            except Refusal as refusal:
                self._core.log.warning("run.checkpoint_lost", attempt=attempt_id, why=refusal.message)

        def change(connection: WriteConnection) -> None:
            if package is not None:
                self._jobs.attempts.complete(connection, attempt_id, executor, {}, package)
            else:
                self._fail(connection, attempt_id, outcome, blob)

        try:
            self._core.writer.submit(change, lambda result, fault: self._freed(attempt_id, result, fault))
        except Refusal:                      # the store is full of work or closed: the lease runs out, the job comes back
            self._core.loop.call_soon(lambda: self._freed(attempt_id, None, None))

    def _fail(self, connection: WriteConnection, attempt_id: str, outcome: Outcome, blob: Any) -> None:
        attempts = self._jobs.attempts
        attempt, job, message = attempts.current(connection, attempt_id)
        checkpoint: Members = {}
        if attempts.step(connection, "fail", attempt, job, message):
            checkpoint = attempts.checkpoint(connection, job, attempt_id, outcome.error, blob, None)
        chance = self._core.ids.bytes(1)[0] / 255
        attempts.fail(connection, attempt_id, outcome.error, outcome.retryable or outcome.stopped, {}, checkpoint, chance=chance,
                      counts=not outcome.stopped)

    def _freed(self, attempt_id: str, result: Any, fault: BaseException | None) -> None:
        self._lease_seconds.pop(attempt_id, None)
        self._free += 1
        if fault is not None and not isinstance(fault, Refusal):
            self._core.log.fault("run.not_told", fault, attempt=attempt_id)
        self._turn()

    # --- staying alive

    def beat(self) -> None:
        """Every attempt says in time that it lives, and so does the pool.  Not on the loop."""
        now = self._core.clock.monotonic()
        due = {attempt_id: seconds for attempt_id, (at, seconds) in list(self._lease_seconds.items()) if at <= now}
        row = now - self._row_beat >= self._core.settings.worker_stale_seconds / BEATS_PER_LEASE
        if not due and not row:
            return
        children = {attempt_id: self._child(attempt_id) for attempt_id in due}
        self._core.writer.run(lambda connection: self._beat(connection, due, children))
        self._row_beat = now
        for attempt_id, seconds in due.items():
            if attempt_id in self._lease_seconds:
                self._lease_seconds[attempt_id] = (now + seconds / BEATS_PER_LEASE, seconds)

    def _child(self, attempt_id: str) -> Members | None:
        run = self._jobs.runs.find(attempt_id)
        if run is None or run.child is None:
            return None
        from ...base.records import encode
        found: Members = encode(run.child.record())
        return found

    def _beat(self, connection: WriteConnection, due: dict[str, int], children: dict[str, Members | None]) -> None:
        self._workers.touch(connection, self._workers.own_id)
        for attempt_id, seconds in due.items():
            try:
                self._jobs.attempts.heartbeat(connection, attempt_id, seconds, {}, child=children[attempt_id])
            except Refusal:                  # it has just ended, or was taken away: its own end says what there is to say
                continue

    # --- leaving

    def _leave(self) -> None:
        """No job is taken any more; on the thread that closes the node."""
        self._stopping = True
        worker_id = self._workers.own_id
        self._core.writer.submit(lambda connection: table.set_status(connection, [worker_id], "stopped", connection.clock.text()),
                                 lambda result, fault: None)
