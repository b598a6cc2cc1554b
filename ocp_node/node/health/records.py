"""What the health routes answer."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Alive:
    """The process answers."""
    status: str = wire(choices=("ok",))


@record
class Readiness:
    """Whether the node can serve, check by check; each check has `ok` and what it looked at."""
    status: str = wire(choices=("ready", "not_ready"))
    checks: dict[str, dict[str, object]] = wire()
