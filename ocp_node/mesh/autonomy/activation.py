"""One pass of the autonomic mesh, step by step (OCP 0.1 autonomy).  Blocks: for long requests.

Nobody is made a peer here: a pass connects to nodes that the operator has admitted, and names the others it met.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...http.lanes import gather
from ..fitting import Members, line
from ..peers.connecting import Wanted
from ..peers.everyone import fresh
from ..peers.peer import Peer
from . import rules
from .rules import Run

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .records import Activate
    from .room import Autonomy

TOTAL_SECONDS = 120.0
CONNECT_SECONDS = 30.0
PROBE_SECONDS = 30.0
SYNC_SECONDS = 30.0
SCAN_SECONDS = 15.0
PARALLEL = 8
ROUTES_OF_EACH = 4
PEERS_MAX = 50
STRANGERS_NAMED = 8
ADMITTED = frozenset({"trusted", "partner", "market"})


class Late(Exception):
    """The time of the pass is used up."""


class Activation:
    """A pass that is on its way."""

    def __init__(self, core: Core, rooms: Rooms, room: Autonomy, run: Run, wanted: Activate, loopback: bool | None) -> None:
        self._core = core
        self._rooms = rooms
        self._room = room
        self._run = run
        self._wanted = wanted
        self._loopback = loopback
        self._routes = rooms["mesh.routes"]
        self._peers = rooms["mesh.peers"]
        self._ends = core.clock.monotonic() + TOTAL_SECONDS
        self._result: Members = {}
        self._proof_error = ""
        self._waiting = 0                    # approvals that were asked for

    def carry_out(self) -> Run:
        """The run as it ended: every step was taken, or the time was used up."""
        late = False
        try:
            for step in (self._look, self._scan, self._connect, self._probe, self._enlist, self._prove):
                self._seconds()
                step()
        except Late:
            late = True
            self._act("fix_needed", rules.WARNING,
                      f"The pass was ended after {int(TOTAL_SECONDS)} seconds; not every step was taken.")
        return self._finish(late)

    def _seconds(self, most: float = TOTAL_SECONDS) -> float:
        """How much of the time is left, `most` at most; `Late` when none is."""
        left = self._ends - self._core.clock.monotonic()
        if left <= 0:
            raise Late
        return min(left, most)

    # --- writing down

    def _act(self, kind: str, status: str, summary: str, peer_id: str = "", details: Mapping[str, Any] | None = None) -> None:
        """The action stands in the run, with its event."""
        def change(connection: WriteConnection) -> Run:
            made = rules.action(connection.ids.uuid(), kind, status, summary, connection.clock.text(), peer_id, details)
            run = self._run._replace(actions=rules.with_action(self._run.actions, made), updated_at=made["created_at"])
            self._room.keep(connection, run)
            connection.event("mesh.autonomy.action", peer_id=peer_id, request_id=run.request_id,
                             payload={"run_id": run.id, **made})
            return run
        self._run = self._core.writer.run(change)

    def _finish(self, late: bool) -> Run:
        routes = self._routes.health()
        status, summary = rules.outcome(routes, rules.proof_status(self._result.get("proof") or {}), self._proof_error,
                                        self._waiting, late)
        self._result["routes"] = rules.routes_kept(routes)
        self._result["run"] = {"id": self._run.id, "request_id": self._run.request_id, "status": status}
        notifications = self._rooms["mesh.notifications"]

        def change(connection: WriteConnection) -> Run:
            run = self._run._replace(status=status, summary=line(summary, 500), result=rules.result_kept(self._result),
                                     updated_at=connection.clock.text())
            self._room.keep(connection, run)
            self._room.told(connection, run)
            notifications.publish(connection, rules.notice(run, self._core.identity.node_id))
            return run
        self._run = self._core.writer.run(change)
        return self._run

    # --- the steps

    def _look(self) -> None:
        found = self._rooms["mesh.connectivity"].reachability()
        self._result["diagnostics"] = found
        open_to_others = found["sharing_mode"] == "lan"
        told = f"This node is reached at {found['share_url']}." if open_to_others else "Only this device reaches this node."
        self._act("setup_checked", rules.OK, told, details={name: found[name] for name in ("sharing_mode", "share_url")})

    def _scan(self) -> None:
        scan = self._rooms["mesh.discovery"].scan_local(timeout=self._wanted.scan_timeout, limit=self._wanted.limit,
                                                        loopback=self._loopback, seconds=self._seconds(SCAN_SECONDS))
        kept = self._result["scan"] = rules.scan_kept(scan)
        self._act("peer_scan", rules.OK, f"{kept['discovered']} of {kept['count']} addresses answered as a node.",
                  details={name: kept[name] for name in ("count", "discovered", "errors")})

    def _admitted(self) -> list[Peer]:
        return [peer for peer in self._routes.peers(PEERS_MAX) if peer.trust_tier in ADMITTED]

    def _connect(self) -> None:
        peers = self._admitted()
        outcomes = gather([functools.partial(self._connected, peer) for peer in peers], PARALLEL, self._seconds(CONNECT_SECONDS))
        results = [self._connect_result(peer, outcome) for peer, outcome in zip(peers, outcomes, strict=True)]
        counts = {word: sum(result["status"] == word for result in results)
                  for word in ("connected", "already_connected", "error")}
        strangers = self._strangers()
        told = f"{counts['connected']} peers connected, {counts['already_connected']} were connected, {counts['error']} failed."
        if strangers:
            told += f" {len(strangers)} nodes nearby are not admitted: connect to those you trust."
        self._result["connect"] = {"status": "ok", "results": results[:rules.LISTED_MAX], "connected": counts["connected"],
                                   "already_connected": counts["already_connected"], "errors": counts["error"],
                                   "count": len(results), "not_admitted": strangers[:STRANGERS_NAMED], "operator_summary": told,
                                   "mesh": {"peer_count": len(self._peers.all())}}
        self._act("setup_checked", rules.WARNING if strangers or counts["error"] else rules.OK, told,
                  details={**counts, "not_admitted": strangers[:STRANGERS_NAMED]})

    def _connected(self, peer: Peer) -> str:
        if fresh(peer, self._core.clock.time()):
            return "already_connected"
        self._peers.connect(Wanted("", peer.peer_id, peer.trust_tier, self._wanted.timeout, False, self._loopback, "connect.all"))
        return "connected"

    def _connect_result(self, peer: Peer, outcome: Any) -> Members:
        if isinstance(outcome, str):
            return {"peer_id": peer.peer_id, "status": outcome}
        if not isinstance(outcome, (Refusal, TimeoutError)):
            self._core.log.fault("activation.fault", outcome)
        return {"peer_id": peer.peer_id, "status": "error", "error": outcome.message if isinstance(outcome, Refusal) else
                "not done in time" if isinstance(outcome, TimeoutError) else "internal error"}

    def _strangers(self) -> list[str]:
        """Nodes that the scan met and that nobody has admitted."""
        admitted = {peer.peer_id for peer in self._admitted()} | {self._core.identity.node_id}
        met = [str(found["peer_id"]) for found in self._result.get("scan", {}).get("results", ())]
        return list(dict.fromkeys(peer_id for peer_id in met if peer_id and peer_id not in admitted))

    def _probe(self) -> None:
        self._result["route_probes"] = [rules.probe_kept(probe) for probe in self._probed()]

    def _probed(self) -> list[Members]:
        """Every known peer's routes were tried; each leaves an action."""
        probes: list[Members] = self._routes.probing().peers(self._routes.peers(PEERS_MAX), "", self._wanted.timeout,
                                                             ROUTES_OF_EACH, self._loopback, self._seconds(PROBE_SECONDS))
        for probe in probes:
            kind, status, summary, details = rules.probe_action(probe)
            self._act(kind, status, summary, probe["peer_id"], details)
        return probes

    # --- helpers

    def _enlist(self) -> None:
        from .enlisting import Enlisting
        step = Enlisting(self._core, self._rooms, self._run, self._wanted, self._act).carry_out()
        self._result["helpers"] = step
        self._waiting = len(step["approvals"])

    # --- the proof

    def _prove(self) -> None:
        if not self._wanted.run_proof:
            return
        missions = self._rooms["mesh.missions"]
        error = self._launched(missions, f"{self._run.request_id}-proof", "proof")
        if error and self._wanted.repair and rules.failed_on_the_way(error):
            self._repair()
            error = self._launched(missions, f"{self._run.request_id}-proof-retry", "proof_retry")
        if error:
            self._proof_error = self._result["proof_error"] = line(error, rules.SUMMARY_LENGTH_MAX)

    def _launched(self, missions: Any, request_id: str, name: str) -> str:
        """The test mission was run on every device; the error when it did not succeed."""
        self._act("proof_started", rules.RUNNING, "A test mission starts on every device of the mesh.",
                  details={"request_id": request_id})
        try:
            launched = missions.test_mesh_launch(request_id=request_id, include_local=True, loopback=self._loopback,
                                                 seconds=self._seconds())
        except Refusal as refusal:
            self._act("fix_needed", rules.WARNING, f"The test mission could not be started: {refusal.message}")
            return refusal.message or refusal.code
        kept = self._result[name] = self._result["proof"] = rules.proof_kept(launched)
        kind, status, summary = rules.proof_action(rules.proof_status(kept))
        self._act(kind, status, summary, details={"mission_id": kept["mission"]["id"], "status": rules.proof_status(kept)})
        return "" if kind != "fix_needed" else f"{summary} {launched.get('error') or ''}".strip()

    def _repair(self) -> None:
        """All routes were tried again and every reachable peer's log read on."""
        probes = self._routes.probing().peers(self._admitted(), "", self._wanted.timeout, ROUTES_OF_EACH, self._loopback,
                                              self._seconds(PROBE_SECONDS))
        repairs = []
        for probe in probes:
            if probe["reachable"]:
                self._act("route_repaired", rules.OK, probe["operator_summary"], probe["peer_id"])
        reached = [probe["peer_id"] for probe in probes if probe["reachable"]]
        works = [functools.partial(self._peers.sync, peer_id, loopback=self._loopback) for peer_id in reached]
        for peer_id, outcome in zip(reached, gather(works, PARALLEL, self._seconds(SYNC_SECONDS)), strict=True):
            failed = isinstance(outcome, BaseException)
            told = outcome.message if isinstance(outcome, Refusal) else "it was not done in time"
            if failed:
                self._act("route_sync_failed", rules.WARNING, f"{peer_id} could not be read on: {told}", peer_id)
            else:
                self._act("peer_synced", rules.OK, f"{peer_id} was read on.", peer_id)
            repairs.append({"peer_id": peer_id, "status": "error" if failed else "ok"})
        self._result["repairs"] = repairs[:rules.LISTED_MAX]

