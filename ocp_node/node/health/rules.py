"""What the node's own checks mean together."""

from __future__ import annotations

from collections.abc import Mapping

DISK_BYTES_MIN = 64 << 20        # below it the next write may be the one that fails
CLOCK_YEAR_MIN = 1_735_689_600   # 2025-01-01: a clock before it was never set, and every signature would be stale
TRY_STORE_SECONDS = 5.0          # between two tries of a store that has failed
QUEUE_CHANGES_HIGH = 2_048       # waiting changes; half of what is refused


def verdict(checks: Mapping[str, Mapping[str, object]]) -> tuple[str, int]:
    """`ready` and 200 when every check holds, else `not_ready` and 503."""
    ready = all(check["ok"] for check in checks.values())
    return ("ready", 200) if ready else ("not_ready", 503)


def disk(free_bytes: int) -> dict[str, object]:
    """Room for what is stored next."""
    return {"ok": free_bytes >= DISK_BYTES_MIN, "free_bytes": free_bytes}


def clock(seconds: float) -> dict[str, object]:
    """A clock that has been set."""
    return {"ok": seconds >= CLOCK_YEAR_MIN}


def database(trouble: str, waiting: int) -> dict[str, object]:
    """The last group of changes was stored, and those that wait are not piling up.  The text of a fault stays in the log."""
    return {"ok": not trouble and waiting < QUEUE_CHANGES_HIGH, "waiting": waiting, "last_write": "failed" if trouble else "ok"}


def workers(waiting: int, waiting_max: int) -> dict[str, object]:
    """The worker lane takes requests."""
    return {"ok": waiting < waiting_max, "waiting": waiting}
