"""The node's state as the app page needs it, and how it was over time (OCP 0.1 app status).

A status is read, never written; samples of it are taken when somebody asks for one.  What a room cannot tell stays empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...base.settings import operator_token
from ...contract.published import SCHEMA_VERSION
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..autonomy.rules import brief, recommended, summary_of
from ..fitting import Members, fitted
from ..manifest.rules import RELEASE, WIRE_VERSION
from ..parts import Parts, optional
from ..redaction import redacted
from . import rules, table
from .payload import compacted
from .rules import Facts

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

STATUS_BYTES_MAX = 61_440
SAMPLE_SECONDS = 1.0                     # between two samples
HISTORY_USUAL, HISTORY_MAX = 240, 1_000
ARTIFACTS_LOOKED_AT = 25
MISSIONS_LOOKED_AT = APPROVALS_LOOKED_AT = 12
CANDIDATES_SHOWN = 2                     # routes of one peer that does not answer


class App:
    """Statuses and samples."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._token = bool(operator_token(core.settings))
        self._sampled = float("-inf")
        self.parts = Parts(rooms, core.log, {}, {"artifacts": list, "missions": list, "approvals": lambda: ([], 0),
                                                 "workers": list})
        for name, provider in (("artifacts", self._artifacts), ("missions", self._missions), ("approvals", self._approvals),
                               ("workers", self._workers)):
            self.parts.part(name, provider)

    # --- what other rooms know

    def _artifacts(self) -> list[Members]:
        artifacts = optional(self._rooms, "mesh.artifacts")
        if artifacts is None:
            return []
        with self._core.reader.snapshot() as connection:
            found: list[Members] = artifacts.search(connection, {}, ARTIFACTS_LOOKED_AT)
        return found

    def _missions(self) -> list[Members]:
        missions = optional(self._rooms, "mesh.missions")
        found: list[Members] = missions.listed(MISSIONS_LOOKED_AT)["missions"] if missions is not None else []
        return found

    def _approvals(self) -> tuple[list[Members], int]:
        approvals = optional(self._rooms, "mesh.approvals")
        if approvals is None:
            return [], 0
        pending: list[Members] = approvals.listed(APPROVALS_LOOKED_AT, "pending")["approvals"]
        return pending, max(len(pending), int(approvals.pending_count()))

    def _workers(self) -> list[Members]:
        found: list[Members] = self._rooms["mesh.manifest"].parts.value("workers")
        return found

    def facts(self) -> Facts:
        """What this moment's status is made of."""
        identity, profile, routes = self._core.identity, self._rooms["mesh.device_profile"].profile(), self._rooms["mesh.routes"]
        node = {"node_id": identity.node_id, "display_name": identity.display_name, "device_class": profile["device_class"],
                "form_factor": profile["form_factor"], "protocol_release": RELEASE, "protocol_version": WIRE_VERSION}
        listed, reach = routes.health(), self._rooms["mesh.connectivity"].reachability()
        there = [(route, self._remote_workers(route["peer_id"])) for route in listed["routes"]]
        pending, count = self.parts.value("approvals")
        workers = self.parts.value("workers")
        return Facts(node, reach, listed, rules.readiness({**node, "compute_ready": profile["compute_ready"]}, workers, there),
                     rules.artifact_sync(self.parts.value("artifacts")), rules.latest_proof(self.parts.value("missions")),
                     rules.approvals(pending, count), brief(self._rooms["mesh.autonomy"].last_run()), self._token,
                     len(routes.peers(10_000)))

    def _remote_workers(self, peer_id: str) -> list[Members]:
        """The workers that the peer last told of: its claims."""
        peer = self._rooms["mesh.peers"].find(peer_id)
        told: Any = peer.metadata.get("remote_workers") if peer is not None else None
        return [worker for worker in told if isinstance(worker, dict)] if isinstance(told, list) else []

    # --- the status

    def status(self) -> Members:
        """The state of this moment, below 64 KB."""
        facts = self.facts()
        shown = self._shown(facts)
        return fitted(shown, STATUS_BYTES_MAX, (
            lambda whole: {**whole, "route_health": _routes(whole["route_health"], 0, 50)},
            lambda whole: {**whole, "autonomy": {**whole["autonomy"], "last_run": {**facts.run, "actions": []}}},
            lambda whole: {**whole, "route_health": _routes(whole["route_health"], 0, 12)},
            lambda whole: {**whole, "execution_readiness": {
                **facts.readiness, "targets": facts.readiness["targets"][:8], "worker_capacity": []}},
            lambda whole: {**whole, "route_health": _routes(whole["route_health"], 0, 3)}))

    def _shown(self, facts: Facts) -> Members:
        reach, summary = facts.reach, summary_of(facts.routes)
        pressure = self._rooms["mesh.autonomy"].parts.value("pressure")
        advice = recommended(facts.routes, pressure, reach["share_advice"], facts.approvals["pending_count"])
        return {"status": "ok", "node": facts.node, "app_urls": _urls(reach), "mesh_quality": rules.quality(facts, summary),
                "protocol": {"release": RELEASE, "version": WIRE_VERSION, "schema_version": SCHEMA_VERSION,
                             "contract_url": "/mesh/contract",
                             "operator_summary": "Every route of this node, with its schemas, stands in the contract."},
                "setup": rules.setup(facts),
                "autonomy": {"status": "ok", "mode": "assisted", "operator_summary": summary, "last_run": facts.run},
                "route_health": _routes(facts.routes, CANDIDATES_SHOWN, 50), "execution_readiness": facts.readiness,
                "artifact_sync": facts.artifacts, "latest_proof": facts.proof, "approvals": facts.approvals,
                "next_actions": rules.next_actions(advice, facts), "generated_at": self._core.clock.text()}

    # --- samples

    def sample(self) -> Members:
        """A sample of this moment, not kept yet."""
        facts = self.facts()
        status = self._shown(facts)
        setup, ready = status["setup"], facts.readiness
        return {"id": self._core.ids.uuid(), "sampled_at": self._core.clock.text(), "node_id": facts.node["node_id"],
                "setup_status": setup["status"], "mesh_score": rules.mesh_score(facts, setup["status"]),
                "known_peer_count": facts.peers, "route_count": facts.route_count, "healthy_route_count": facts.healthy,
                "latest_proof_status": facts.proof["status"],
                "execution_ready_targets": sum(target["status"] == "ready" for target in ready["targets"]),
                "local_ready_workers": ready["local"]["ready_worker_count"],
                "artifact_verified_count": facts.artifacts["verified_count"],
                "pending_approvals": facts.approvals["pending_count"], "payload": compacted(status)}

    def check_pause(self) -> None:
        """`Refusal("rate_limited")` within a second of the latest sample."""
        if self._core.clock.monotonic() - self._sampled < SAMPLE_SECONDS:
            raise Refusal("rate_limited", "a sample was taken within the last second", headers=(("Retry-After", "1"),))

    def keep(self, connection: WriteConnection, sample: Members, source: str) -> Members:
        """The sample is kept, with its event; of two within a second only the first."""
        self.check_pause()
        self._sampled = self._core.clock.monotonic()
        table.add(connection, sample)
        connection.event("mesh.app.history.sampled", payload={
            **{name: sample[name] for name in ("mesh_score", "setup_status", "route_count", "healthy_route_count")},
            "source": source})
        return {"status": "ok", "sample": sample, "retention_limit": table.SAMPLES_KEPT}

    def history(self, limit: int) -> Members:
        """The newest samples, oldest first."""
        most = max(1, min(limit or HISTORY_USUAL, HISTORY_MAX))
        with self._core.reader.snapshot() as connection:
            samples = table.newest(connection, most)
        return {"status": "ok", "count": len(samples), "limit": most, "samples": samples, "generated_at": self._core.clock.text()}


def _urls(reach: Members) -> Members:
    """The pages of this node, by the address that others can use."""
    base = reach["share_url"]
    return {"base_url": base, "app_url": f"{base}/app", "setup_url": f"{base}/easy", "control_url": f"{base}/control",
            "phone_url": rules.phone_url(reach), "lan_urls": [f"{url}/app" for url in reach["lan_urls"]],
            "sharing_mode": reach["sharing_mode"], "share_advice": reach["share_advice"]}


def _routes(routes: Members, candidates: int, count: int) -> Members:
    """The first routes with at most so many candidates each: the first ones explain why a route fails."""
    return {**routes, "routes": [{**route, "candidates": route["candidates"][:candidates]} for route in routes["routes"][:count]]}


def build(core: Core, rooms: Rooms) -> App:
    """The room."""
    return App(core, rooms)


def status(room: App, call: Call) -> Reply:
    """GET /mesh/app/status."""
    shown = room.status()
    return Reply(shown if call.caller.trusted_view else redacted(shown))


def history(room: App, call: Call) -> Reply:
    """GET /mesh/app/history."""
    shown = room.history(call.query.limit)
    return Reply(shown if call.caller.trusted_view else redacted(shown))


def sample(room: App, call: Call) -> Write:
    """POST /mesh/app/history/sample."""
    room.check_pause()
    taken, source = room.sample(), call.body.source.strip()[:100] or "app"
    return Write(lambda connection: room.keep(connection, taken, source), Reply)
