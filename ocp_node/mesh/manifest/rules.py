"""What this node offers, as cards (OCP 0.1 manifest).  The names matter: job requirements are matched against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Members = dict[str, Any]

PROTOCOL = "Open Compute Protocol"
SHORT_NAME = "OCP"
RELEASE = "0.1"
WIRE_VERSION = "sovereign-mesh/v1"
OVERLAY_FIELDS = ("continuity_class", "lineage_ref", "epoch_tolerance", "dormancy_ok", "treaty_requirements")
FEATURES = ("handshake", "agent-presence", "beacons", "leases", "jobs", "workers", "job-attempts", "artifacts", "handoffs",
            "notifications",
            "approvals", "secrets", "peer-discovery", "cooperative-tasks")
TRANSPORTS = ({"name": "http", "mode": "request-response"}, {"name": "ws", "mode": "bootstrap-stream"})

# name, kind, whether it is there, what it is; None: decided by the device
CARDS: tuple[tuple[str, str, bool | None, str], ...] = (
    ("python", "runtime", True, "Runs Python code of jobs in a process of its own."),
    ("shell", "runtime", True, "Runs bounded commands of jobs."),
    ("docker", "runtime", None, "Runs container images with the local docker program."),
    ("wasm", "runtime", None, "Runs WebAssembly components with the local runtime."),
    ("agent-runtime", "coordination", True, "Shows agents and their sessions, and takes work handed over to them."),
    ("worker-runtime", "executor", True, "Keeps queued jobs and gives them to registered workers."),
    ("artifact-store", "storage", True, "Stores artifacts by digest and exchanges references to them."),
    ("secret-store", "storage", True, "Hands scoped secrets to running jobs and to nobody else."),
    ("registry-locking", "coordination", True, "Backs every lease by a lock on its resource."),
    ("metabolism-executor", "executor", False, "Background work through an integration of the host; none here."),
    ("swarm-submit", "executor", False, "Taking findings of swarms; not offered here."),
    ("operator-control", "coordination", True, "Notifications and approvals for operators, phones and watches."),
    ("peer-seek", "coordination", True, "Looks for nodes nearby and connects to them when asked."),
    ("cooperative-fanout", "executor", True, "Splits one task into jobs for several nodes."),
    ("gpu-runtime", "runtime", None, "Runs work that needs a graphics processor."),
    ("helper-enlistment", "coordination", True, "Enlists, drains and retires helping nodes."),
    ("golem-provider", "provider", False, "A market of outside providers; not offered here."),
)
EXTERNAL_MARKETS = frozenset({"golem-provider"})


def capability_cards(profile: Mapping[str, Any], docker: bool, wasm: bool) -> list[Members]:
    """The 17 cards of this device, in the protocol's order."""
    compute = profile["compute_profile"]
    there = {"docker": docker, "wasm": wasm, "gpu-runtime": compute["gpu_capable"]}
    return [{"name": name, "kind": kind, "available": there[name] if known is None else known, "description": about,
             "metadata": _metadata(name, profile)} for name, kind, known, about in CARDS]


def _metadata(name: str, profile: Mapping[str, Any]) -> Members:
    if name == "gpu-runtime":
        compute = profile["compute_profile"]
        return {member: compute[member] for member in ("gpu_count", "gpu_class", "gpu_vram_mb", "accelerators",
                                                       "supports_workload_classes",
                                                       "cpu_cores", "memory_mb", "fp16_tflops")}
    if name == "helper-enlistment":
        return {"helper_state": profile["helper_state"], "helper_role": profile["helper_role"]}
    return {"external_market": True} if name in EXTERNAL_MARKETS else {}


def available_names(cards: list[Members]) -> list[str]:
    """What a job may require of this node."""
    return [card["name"] for card in cards if card["available"]]


def policy_summary() -> Members:
    """Which peers may touch which class of data, in short."""
    return {"private_requires_trusted_peer": True, "trusted_requires_trusted_peer": True, "public_allows_market_peers": True,
            "secret_scopes_default": []}


# --- parts while their rooms have nothing to say ----------------------------------------------------------------------------

def no_queue_metrics(node_id: str) -> Members:
    """The metrics of an empty queue."""
    return {"peer_id": node_id, "counts": {"queued": 0, "inflight": 0, "acked": 0, "dead_letter": 0, "cancelled": 0},
            "queues": [],
            "workers": {"registered": 0, "total_slots": 0, "active_attempts": 0, "available_slots": 0}, "pressure": "idle",
            "backlog_ratio": None, "scheduler_penalty": 0, "oldest_queued_at": "", "redelivery_count": 0}


def no_governance() -> Members:
    """The posture of a node without treaties."""
    return {"count": 0, "counts_by_status": {}, "active_treaty_ids": [], "recent": []}


def reliability(source: str, completed: int, failed: int, retried: int) -> Members:
    """How well work has ended lately: a score from -120 to 120, 0 while nothing has ended."""
    total = completed + failed
    score = round((completed / total - 0.5) * 160) - 4 * min(retried, 5) if total else 0
    return {"source": source, "completed": completed, "failed": failed, "retried": retried, "total": total,
            "success_rate": round(completed / total, 4) if total else None, "score": max(-120, min(120, score))}
