"""How far the mesh runs itself (OCP 0.1 autonomy): passes that look around, check routes, enlist helpers and prove the mesh.

One pass runs at a time.  It is written down as it goes; a run that a crash cut short is `failed` for whoever looks afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import Refusal
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..fitting import Members, fitted
from ..parts import Parts, optional
from ..redaction import redacted
from . import rules, table
from .rules import Run

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .records import Activate

__all__ = ["Autonomy", "build"]

STATUS_BYTES_MAX = 61_440
CUT_SHORT = "The node stopped before this pass was over."
BROKEN = "The pass ended early because of a fault of this node."


class Autonomy:
    """Runs passes, one at a time, and tells of the latest."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._mine: set[str] = set()             # runs of this process that are not over
        self.parts = Parts(rooms, core.log, {}, {"pressure": self._no_pressure, "helper_autonomy": self._no_helper_autonomy})
        self.parts.part("pressure", self._pressure)
        self.parts.part("helper_autonomy", self._helper_autonomy)
        self.offers = {"autonomic_mesh": (self.status, lambda: redacted(self.status(False)))}
        with core.reader.snapshot() as connection:
            left = table.running(connection)
        if left is not None:                     # of a process that is gone: nobody waits until that is written down
            core.writer.submit(lambda connection: self._fail(connection, left, CUT_SHORT), lambda result, fault: None)

    # --- reading

    def last_run(self) -> Run | None:
        """The latest pass."""
        with self._core.reader.snapshot() as connection:
            run = table.newest(connection)
        return self._as_is(run) if run is not None else None

    def _as_is(self, run: Run) -> Run:
        """The run; one that is running in no process has failed."""
        left = run.status == rules.RUNNING and run.id not in self._mine
        return run._replace(status=rules.FAILED, summary=CUT_SHORT) if left else run

    def status(self, trusted: bool = True) -> Members:
        """How the mesh stands and what to do next; below 64 KB."""
        routes, pressure, last = self._rooms["mesh.routes"].health(), self.parts.value("pressure", trusted), self.last_run()
        connectivity = self._rooms["mesh.connectivity"].diagnostics(trusted)
        shown = {"status": "ok", "mode": "assisted", "peer_id": self._core.identity.node_id,
                 "operator_summary": rules.summary_of(routes),
                 "routes": routes, "pressure": pressure, "helper_autonomy": self.parts.value("helper_autonomy", trusted),
                 "connectivity": connectivity, "last_run": rules.run_json(last) if last is not None else {},
                 "recommended_actions": rules.recommended(routes, pressure, connectivity["share_advice"],
                                                          self.pending_approvals()),
                 "generated_at": self._core.clock.text()}
        return fitted(shown, STATUS_BYTES_MAX, (
            lambda whole: {**whole, "routes": rules.routes_kept(whole["routes"])},
            lambda whole: {**whole, "last_run": rules.brief(last)},
            lambda whole: {**whole, "helper_autonomy": {**whole["helper_autonomy"], "candidates": [], "eligible_candidates": []}},
            lambda whole: {**whole, "routes": {**whole["routes"], "routes": whole["routes"]["routes"][:5]}}))

    def pending_approvals(self) -> int:
        """How many decisions wait for somebody."""
        approvals = optional(self._rooms, "mesh.approvals")
        return int(approvals.pending_count()) if approvals is not None else 0

    # --- parts of rooms that may not be there

    def _pressure(self) -> Members:
        room = optional(self._rooms, "mesh.pressure")
        found: Members = room.pressure() if room is not None else self._no_pressure()
        return found

    def _helper_autonomy(self) -> Members:
        room = optional(self._rooms, "mesh.helpers")
        found: Members = room.evaluation() if room is not None else self._no_helper_autonomy()
        return found

    def _no_pressure(self) -> Members:
        return {"peer_id": self._core.identity.node_id, "pressure": "idle", "queued": 0, "inflight": 0, "total_slots": 0,
                "available_slots": 0,
                "backlog_ratio": None, "oldest_queued_at": "", "gpu_capable": False, "gpu_count": 0, "reasons": [],
                "needs_help": False, "observed_at": self._core.clock.text()}

    def _no_helper_autonomy(self) -> Members:
        return {"peer_id": self._core.identity.node_id, "policy": self._rooms["mesh.device_profile"].profile()["offload_policy"],
                "pressure": self._no_pressure(), "placement": {"workload_class": "default", "gpu_required": False,
                                                               "queue_class": "default"},
                "decision": "noop", "action": "idle", "approval_required": False, "reasons": ["pressure_does_not_need_help"],
                "candidate_count": 0, "eligible_candidate_count": 0, "candidates": [], "eligible_candidates": [],
                "generated_at": self._core.clock.text()}

    # --- a pass: blocks, for long requests

    def activate(self, wanted: Activate, loopback: bool | None) -> Members:
        """The pass was made, or had been made before under this request id; `Refusal("conflict")` while another one runs."""
        request_id = wanted.request_id.strip() or f"autonomic-mesh-{self._core.ids.hex(12)}"
        run, begun = self._core.writer.run(lambda connection: self._begin(connection, request_id, wanted))
        if not begun:
            return rules.answer(run, run.result.get("routes") or self._rooms["mesh.routes"].health(), self._core.clock.text(),
                                True)
        from .activation import Activation
        try:
            run = Activation(self._core, self._rooms, self, run, wanted, loopback).carry_out()
        finally:
            self._end(run)
        return rules.answer(run, self._rooms["mesh.routes"].health(), self._core.clock.text(), False)

    def _begin(self, connection: WriteConnection, request_id: str, wanted: Activate) -> tuple[Run, bool]:
        """The run of this request, and whether it begins now."""
        known = table.asked(connection, request_id)
        if known is not None:
            return self._as_is(known), False
        other = table.running(connection)
        if other is not None:
            if other.id in self._mine:
                raise Refusal("conflict", "activation already running", {"request_id": other.request_id})
            self._fail(connection, other, BROKEN)                           # its end could not be stored
        now = connection.clock.text()
        run = Run(connection.ids.uuid(), request_id, wanted.mode.strip() or "assisted", rules.RUNNING,
                  "The mesh is being set up.", [], {}, {"actor_agent_id": wanted.actor_agent_id}, now, now)
        table.add(connection, run)
        self._mine.add(run.id)
        self.told(connection, run)
        return run, True

    def _end(self, run: Run) -> None:
        """No pass runs any more; one that did not come to its end has failed."""
        self._mine.discard(run.id)
        if run.status == rules.RUNNING:
            self._core.writer.run(lambda connection: self._fail(connection, run, BROKEN))

    def _fail(self, connection: WriteConnection, run: Run, why: str) -> None:
        if table.fail(connection, run.id, why, connection.clock.text()):
            self.told(connection, run._replace(status=rules.FAILED, summary=why))

    # --- inside a change

    def told(self, connection: WriteConnection, run: Run) -> None:
        """The event that tells how the run stands."""
        connection.event("mesh.autonomy.run", peer_id=self._core.identity.node_id, request_id=run.request_id, payload={
            "run_id": run.id, "status": run.status, "mode": run.mode, "summary": run.summary, "action_count": len(run.actions)})

    def keep(self, connection: WriteConnection, run: Run) -> None:
        """The run stands as it is here; `Refusal` when it was ended by somebody else."""
        if not table.save(connection, run):
            raise Refusal("conflict", "the activation is over")


def build(core: Core, rooms: Rooms) -> Autonomy:
    """The room."""
    return Autonomy(core, rooms)


def status(room: Autonomy, call: Call) -> Reply:
    """GET /mesh/autonomy/status."""
    return Reply(room.status() if call.caller.trusted_view else redacted(room.status(False)))


def activate(room: Autonomy, call: Call) -> Reply:
    """POST /mesh/autonomy/activate."""
    return Reply(room.activate(call.body, call.caller.loopback))

