"""What travels under `/mesh/pressure`."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Pressure:
    """How loaded a node is, and whether others should help."""
    peer_id: str = wire()
    pressure: str = wire(choices=("idle", "nominal", "elevated", "saturated"))
    queued: int = wire(minimum=0)
    inflight: int = wire(minimum=0)
    total_slots: int = wire(minimum=0, about="of workers that serve")
    available_slots: int = wire(minimum=0)
    backlog_ratio: float | None = wire(about="queued jobs per slot; null without slots")
    oldest_queued_at: str = wire()
    gpu_capable: bool = wire()
    gpu_count: int = wire(minimum=0)
    reasons: list[str] = wire()
    needs_help: bool = wire()
    cpu_load: float | None = wire(default=None, about="of the last minute, per core; null where the system does not tell")
    power: dict | None = wire(default=None, about="the electrical budget; missing where there is none")
    observed_at: str = wire()
