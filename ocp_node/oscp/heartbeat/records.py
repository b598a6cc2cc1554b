"""What travels in a heartbeat (OSCP 2.0, Heartbeat)."""

from __future__ import annotations

from ...base.records import record, wire
from ..times import is_instant


@record
class Heartbeat:
    """The sender counts as offline after this instant, unless another heartbeat comes before."""
    offline_mode_at: str = wire(length_max=64, check=lambda text: "" if is_instant(text) else "date-time")
