"""The parts of the control deck's state while nobody has anything to say: their exact shapes, empty (OCP 0.1 control stream)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Members = dict[str, Any]

# Which room provides which part.  A part is registered by `rooms["mesh.control"].part(name, provider)`.
HOMES: Mapping[str, str] = {
    "notifications": "mesh.notifications", "approvals": "mesh.approvals", "workers": "mesh.workers", "queue": "mesh.queue",
    "pressure": "mesh.pressure", "helpers": "mesh.helpers", "missions": "mesh.missions", "discovery_candidates": "mesh.discovery",
    "connectivity": "mesh.connectivity", "cooperative_tasks": "mesh.cooperative_tasks", "autonomy": "mesh.helpers",
    "autonomic_mesh": "mesh.autonomy", "preferences": "mesh.helpers", "jobs": "mesh.jobs",
}
# Lists: the name of the list inside, and how many entries it shows.
LISTS: Mapping[str, tuple[str, int]] = {
    "notifications": ("notifications", 8), "approvals": ("approvals", 8), "workers": ("workers", 8), "queue": ("messages", 8),
    "missions": ("missions", 6), "discovery_candidates": ("candidates", 12), "cooperative_tasks": ("tasks", 6),
    "preferences": ("preferences", 6),
}


def parts(node_id: str, base_url: Callable[[], str], bound: Callable[[], tuple[str, int]], policy: Callable[[], Members],
          now: Callable[[], str]) -> Mapping[str, Callable[[], Any]]:
    """The empty default of every part."""
    def listed(inner: str) -> Callable[[], Members]:
        return lambda: {"peer_id": node_id, "count": 0, inner: []}

    def pressure() -> Members:
        return {"peer_id": node_id, "pressure": "idle", "queued": 0, "inflight": 0, "total_slots": 0, "available_slots": 0,
                "backlog_ratio": None, "oldest_queued_at": "", "gpu_capable": False, "gpu_count": 0, "reasons": [],
                "needs_help": False,
                "observed_at": now()}

    def helpers() -> Members:
        return {"peer_id": node_id, "count": 0, "active_count": 0, "pressure": pressure(), "helpers": []}

    def connectivity() -> Members:
        return {"status": "ok", "base_url": base_url(), "bind_host": bound()[0], "port": bound()[1], "local_ipv4": [],
                "lan_urls": [],
                "share_url": base_url(), "sharing_mode": "local", "share_advice": "", "scan_urls": [], "recent_errors": []}

    def autonomy() -> Members:
        return {"peer_id": node_id, "policy": policy(), "pressure": pressure(),
                "placement": {"workload_class": "default", "gpu_required": False, "queue_class": "default"}, "decision": "noop",
                "action": "idle", "approval_required": False, "reasons": [], "candidate_count": 0, "eligible_candidate_count": 0,
                "candidates": [], "eligible_candidates": [], "generated_at": now()}

    def autonomic_mesh() -> Members:
        routes = {"status": "ok", "peer_id": node_id, "count": 0, "healthy": 0, "routes": [], "operator_summary": "",
                  "generated_at": now()}
        return {"status": "ok", "mode": "assisted", "peer_id": node_id, "operator_summary": "", "routes": routes,
                "pressure": pressure(),
                "helper_autonomy": autonomy(), "connectivity": connectivity(), "last_run": {}, "recommended_actions": [],
                "generated_at": now()}

    return {**{name: listed(inner) for name, (inner, _) in LISTS.items()}, "pressure": pressure, "helpers": helpers,
            "connectivity": connectivity, "autonomy": autonomy, "autonomic_mesh": autonomic_mesh, "jobs": dict}
