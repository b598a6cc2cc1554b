"""What travels of one-shot runs."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Times:
    """How long a run may last, and how long it can be asked about; numbers may be given as ISO durations."""
    timeout: str = wire(default="", length_max=64)
    lifecycle: str = wire(default="", length_max=64)


@record
class Started:
    """How to ask about the run."""
    name: str
    process_uuid: str
