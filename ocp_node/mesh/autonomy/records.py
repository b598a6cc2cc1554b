"""What travels under `/mesh/autonomy`."""

from __future__ import annotations

from ...base.records import record, wire
from ..connectivity.records import Diagnostics
from ..pressure.records import Pressure
from ..routes.records import RouteList


@record
class Activate:
    """How to set the mesh up."""
    mode: str = wire(default="assisted", length_max=40, about="kept with the run")
    limit: int = wire(default=24, about="addresses that the scan tries at most, 1 to 64")
    scan_timeout: float = wire(default=0.8, about="seconds for each of them")
    timeout: float = wire(default=3.0, about="seconds for each call to a peer")
    run_proof: bool = wire(default=True, about="run a test mission on every device")
    repair: bool = wire(default=True, about="when the proof fails on the way: check all routes, sync, and try once more")
    max_enlist: int = wire(default=2, about="new helpers at most")
    actor_agent_id: str = wire(default="ocp-control-ui", length_max=200)
    request_id: str = wire(default="", length_max=200, about="a repeated one gets the run it had before")


@record
class Action:
    """One thing that was done or found."""
    id: str = wire()
    kind: str = wire(choices=("setup_checked", "peer_scan", "route_verified", "fix_needed", "helper_ready",
                              "partner_auto_enlisted",
                              "proof_started", "proof_completed", "route_repaired", "peer_synced", "route_sync_failed"))
    status: str = wire(choices=("ok", "running", "warning", "blocked", "approval_required"))
    summary: str = wire()
    peer_id: str = wire()
    details: dict = wire(factory=dict, about="what the summary is made of")
    created_at: str = wire()


@record
class Run:
    """One pass; before the first one all members are missing."""
    id: str = wire(default="")
    request_id: str = wire(default="")
    mode: str = wire(default="")
    status: str = wire(default="", choices=("", "running", "completed", "partial", "approval_requested", "needs_attention",
                                            "failed"))
    summary: str = wire(default="")
    actions: list[Action] = wire(factory=list)
    result: dict = wire(factory=dict, about="what each step brought, in short")
    metadata: dict = wire(factory=dict)
    created_at: str = wire(default="")
    updated_at: str = wire(default="")


@record
class Status:
    """How far the mesh runs itself, and its latest pass."""
    status: str = wire()
    mode: str = wire()
    peer_id: str = wire()
    operator_summary: str = wire()
    routes: RouteList = wire()
    pressure: Pressure = wire()
    helper_autonomy: dict = wire(about="as under /mesh/helpers/autonomy")
    connectivity: Diagnostics = wire()
    last_run: Run = wire()
    recommended_actions: list[str] = wire(items_max=4)
    generated_at: str = wire()


@record
class HelperStep:
    """What became of possible helpers."""
    status: str = wire()
    plan: dict = wire()
    enlisted: list[dict] = wire(about="peer_id and state")
    approvals: list[dict] = wire(about="approvals that were asked for")
    skipped: list[dict] = wire(about="peer_id and reason")


@record
class Activated:
    """The pass and what each step brought."""
    status: str = wire(choices=("running", "completed", "partial", "approval_requested", "needs_attention", "failed"))
    request_id: str = wire()
    mode: str = wire()
    summary: str = wire()
    operator_summary: str = wire()
    actions: list[Action] = wire()
    routes: RouteList = wire()
    proof: dict = wire(about="the test mission in short; empty when there was none")
    helpers: HelperStep = wire()
    approvals: list[dict] = wire()
    run: Run = wire()
    result: dict = wire(about="what each step brought: diagnostics, scan, connect, routes, route_probes, helpers, proof ...")
    generated_at: str = wire()
    deduped: bool = wire(default=False, about="the run is that of an earlier call with this request id")
