"""Nodes as the scheduler sees them: a peer that was reached and told us how it is, and this node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ocp_node.mesh.device_profile import derived
from ocp_node.mesh.device_profile.rules import normalised
from ocp_node.mesh.manifest.rules import reliability
from ocp_node.mesh.peers.peer import Peer, made
from ocp_node.mesh.queue.rules import metrics
from ocp_node.mesh.scheduler.scoring import Node

NO_WORK = reliability("remote_events", 0, 0, 0)
GPU = {"cpu_cores": 16, "memory_mb": 32768, "gpu_count": 1, "gpu_class": "cuda", "gpu_vram_mb": 24576}


def worker(slots: int = 1, active: int = 0, status: str = "active") -> dict[str, Any]:
    return {"id": "w", "status": status, "max_concurrent_jobs": slots, "active_attempts": active}


def a_peer(trust_tier: str = "trusted", profile: Mapping[str, Any] | None = None, done: Mapping[str, Any] = NO_WORK,
           workers: list[dict[str, Any]] | None = None, queued: int = 0, inflight: int = 0, pressure: str = "idle",
           status: str = "connected", reached: bool = True, alive: bool = True, cards: tuple[str, ...] = ("shell",),
           **metadata: Any) -> Peer:
    """A standard peer that was reached and told us how it is."""
    told = {"remote_device_profile": normalised(profile or {}), "remote_workers": workers or [],
            "remote_queue_metrics": {"counts": {"queued": queued, "inflight": inflight}, "workers": {}, "pressure": pressure},
            "last_reachable_base_url": "http://10.0.0.2:8421" if reached else "",
            "heartbeat": {"status": "active"} if alive else {}}
    return made({
        "peer_id": "beta-node", "display_name": "Beta", "public_key": "", "signature_scheme": "", "endpoint_url": "",
        "stream_url": "",
        "trust_tier": trust_tier, "reachability": "", "status": status, "mesh_session_id": "", "protocol_version": "",
        "capability_cards": [{"name": name, "available": True} for name in cards], "card": {}, "metadata": {**told, **metadata},
        "reliability": dict(done), "remote_execution": None, "created_at": "", "updated_at": "", "last_seen_at": "",
        "last_handshake_at": ""})


def a_node(profile: Mapping[str, Any] | None = None, workers: int = 1, free: int = 1, queued: int = 0, inflight: int = 0,
           slots: int = 1, active: int = 0, done: tuple[int, int, int] = (0, 0, 0),
           capabilities: tuple[str, ...] = ("shell",)) -> Node:
    made_of = normalised(profile or {})
    counts = [("default", "queued", queued), ("default", "inflight", inflight)]
    return Node("alpha-node", made_of, derived.habitat_roles(made_of), derived.continuity_capabilities(made_of),
                frozenset(capabilities), metrics("alpha-node", counts, workers, slots, active, "", 0),
                reliability("local_jobs", *done), workers, free)
