"""Test missions: a small program runs on one peer, or on every device of the mesh, and says that it did (OCP 0.1 test missions).

They are cooperative missions like any other, so what they prove is the way that real work takes.  Blocks, for long requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ..peers.peer import Peer
    from .room import Missions

Members = dict[str, Any]

FILENAME = "ocp_connect_proof.txt"
PROOF = {"filename": FILENAME, "location_hint": "system temp directory"}
PROGRAM_SECONDS = 20
TIERS = frozenset({"trusted", "partner", "market"})
ONE_TITLE, ONE_INTENT = "Mesh Test Mission", "Check that this peer can be reached and runs work for this node."
ALL_TITLE, ALL_INTENT = "Whole Mesh Test Mission", "Check that every connected device runs its part of a common task."
SOURCE = "test.launch"

# Writes one line and prints where and what.  The folder is everybody's: a link that somebody has put there is not followed, and a
# file that is another user's is left alone.
PROGRAM = f"""import os, tempfile
line = "OCP test mission: this device took part.\\n"
path = os.path.join(tempfile.gettempdir(), "{FILENAME}")
try:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
except OSError:
    handle, path = tempfile.mkstemp(prefix="ocp_connect_proof_", suffix=".txt")
os.write(handle, line.encode())
os.close(handle)
print(path)
print(line, end="")
"""


class Trials:
    """Launches test missions."""

    def __init__(self, core: Core, rooms: Rooms, missions: Missions) -> None:
        self._core = core
        self._rooms = rooms
        self._missions = missions
        self._node_id = core.identity.node_id

    def one(self, peer_id: str, base_url: str, tier: str, timeout: float, request_id: str, intent: str,
            loopback: bool | None) -> Members:
        """The program has run on that peer, or the mission says why not; a peer that is not known is connected to first."""
        connection: Members = {}
        if not peer_id or base_url and self._rooms["mesh.peers"].find(peer_id) is None:
            connection = self._connected(peer_id, base_url, tier, timeout, loopback)
            peer_id = connection["peer_id"]
        elif self._rooms["mesh.peers"].find(peer_id) is None:
            raise Refusal("not_found", "peer endpoint_url is unavailable", {"peer_id": peer_id})
        mission = self._launched({
            "title": ONE_TITLE, "intent": intent or ONE_INTENT, "request_id": request_id or f"mesh-test-mission-{self._hex()}",
            "metadata": self._metadata()}, [(peer_id, "remote-proof")], loopback)
        return {"status": _status(mission), "peer_id": peer_id, "base_url": base_url, "proof": dict(PROOF),
                "connection": connection, "mission": mission, **_error(mission)}

    def _connected(self, peer_id: str, base_url: str, tier: str, timeout: float, loopback: bool | None) -> Members:
        from ..peers.connecting import Wanted
        if not base_url:
            raise Refusal("invalid_request", "peer base_url is required")
        found: Members = self._rooms["mesh.peers"].connect(Wanted(base_url, peer_id, tier, timeout, True, loopback, SOURCE))
        return found

    def every(self, request_id: str = "", include_local: bool = True, limit: int = 24, intent: str = "",
              loopback: bool | None = None) -> Members:
        """The program has run on this node and all connected peers; the mission says on which it did not."""
        targets = [*([self._node_id] if include_local else []), *(peer.peer_id for peer in self._peers())][:limit]
        if not targets:
            raise Refusal("no_target", "mesh test mission requires at least one reachable device")
        mission = self._launched({
            "title": ALL_TITLE, "intent": intent or ALL_INTENT,
            "request_id": request_id or f"mesh-wide-test-mission-{self._hex()}",
            "metadata": {**self._metadata(), "mesh_wide_test": True, "target_peer_ids": targets}},
            [(peer_id, f"proof-{peer_id}") for peer_id in targets], loopback)
        return {"status": _status(mission), "proof": dict(PROOF), "mission": mission, **_error(mission), "mesh": {
            "peer_count": len(targets), "target_peer_ids": targets, "includes_local": self._node_id in targets}}

    def _peers(self) -> list[Peer]:
        """The peers that the operator let in, that are connected and say where they are, latest seen first."""
        return [peer for peer in self._rooms["mesh.peers"].all()
                if peer.status == "connected" and peer.trust_tier in TIERS and peer.base_urls]

    def _hex(self) -> str:
        return self._core.ids.hex(12)

    def _metadata(self) -> Members:
        return {"control_flow": "connect_devices", "test_mission": True, "proof_filename": FILENAME}

    def _launched(self, about: Members, shards: Sequence[tuple[str, str]], loopback: bool | None) -> Members:
        task = {"name": about["title"], "strategy": "spread", "target_peer_ids": [peer_id for peer_id, _ in shards],
                "base_job": {"kind": "python.inline", "dispatch_mode": "inline", "requirements": {"capabilities": ["python"]},
                             "policy": {"classification": "trusted", "mode": "batch"},
                             "payload": {"code": PROGRAM, "timeout_seconds": PROGRAM_SECONDS}},
                "shards": [{"label": label, "target_peer_id": peer_id} for peer_id, label in shards]}
        return self._missions.launching.launch(rules.wanted({
            **about, "priority": "high", "workload_class": "connectivity_test", "continuity": {"resumable": True},
            "cooperative_task": task}), loopback)


def _status(mission: Members) -> str:
    return "ok" if mission["status"] == rules.COMPLETED else "attention"


def _error(mission: Members) -> Members:
    """Why the first device that failed did."""
    for task in mission["cooperative_tasks"]:
        for shard in task["children"]:
            job = shard.get("job") or {}
            error = job.get("error") or (job.get("metadata") or {}).get("error") or shard.get("resolution_error")
            if job.get("status") != "completed" and error:
                return {"error": f"{shard['peer_id']}: {error}"[:500]}
    return {}
