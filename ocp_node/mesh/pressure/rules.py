"""How loaded this node is, and whether others should help (OCP 0.1 pressure); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..queue.rules import pressure as level_of

Members = dict[str, Any]

LEVELS = ("idle", "nominal", "elevated", "saturated")        # in rising order
HELP = frozenset({"elevated", "saturated"})


class Power(NamedTuple):
    """What the site's electrical budget lets this node do (OSCP 2.0)."""
    held: int = 0                    # jobs that wait for power
    below_floor: bool = False        # the budget is less than the node needs to be there at all
    shown: Members = {}              # what others may know of it


def rank(level: str) -> int:
    """The place of a level in their order; an unknown one is the lowest."""
    return LEVELS.index(level) if level in LEVELS else 0


def level(queued: int, inflight: int, slots: int, available: int, power: Power | None) -> str:
    """How loaded the node is; a lack of power counts as a lack of slots."""
    found = level_of(queued, inflight, slots, available)
    if power is None:
        return found
    least = "saturated" if power.below_floor else "elevated" if power.held else "idle"
    return max(found, least, key=rank)


def reasons(found: str, queued: int, inflight: int, slots: int, available: int, battery: bool, power: Power | None) -> list[str]:
    """Why, in the protocol's order."""
    return [reason for holds, reason in (
        (found == "saturated", "queue_saturated"), (found == "elevated", "queue_elevated"),
        (slots <= 0 and (queued > 0 or inflight > 0), "no_local_slots"), (available <= 0 and queued > 0, "no_available_slots"),
        (slots > 0 and queued > 2 * max(1, slots), "backlog_gt_2x_slots"), (battery and found in HELP, "battery_under_load"),
        (power is not None and (power.held > 0 or power.below_floor), "power_limited")) if holds]


def pressure(node_id: str, metrics: Mapping[str, Any], profile: Mapping[str, Any], power: Power | None, cpu_load: float | None,
             now: str) -> Members:
    """The node's pressure from its queue's figures, its device and its budget."""
    counts, workers, compute = metrics["counts"], metrics["workers"], profile["compute_profile"]
    queued, inflight, slots, available = counts["queued"], counts["inflight"], workers["total_slots"], workers["available_slots"]
    found = level(queued, inflight, slots, available, power)
    why = reasons(found, queued, inflight, slots, available, profile["battery_powered"], power)
    return {"peer_id": node_id, "pressure": found, "queued": queued, "inflight": inflight, "total_slots": slots,
            "available_slots": available, "backlog_ratio": round(queued / slots, 2) if slots > 0 else None,
            "oldest_queued_at": metrics["oldest_queued_at"], "gpu_capable": compute["gpu_capable"],
            "gpu_count": compute["gpu_count"], "reasons": why, "needs_help": bool(why) and found in HELP, "cpu_load": cpu_load,
            **({"power": power.shown} if power is not None and power.shown else {}), "observed_at": now}
