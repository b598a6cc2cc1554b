"""Who starts handshakes, what we ask for, and when we ask again (OSCP 2.0, handshake)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..parties.records import Party

AGAIN_SECONDS = (30.0, 60.0, 120.0, 240.0)
AGAIN_SECONDS_LAST = 300.0
FIRST_SECONDS = 1.0
REFUSED = -1                           # in place of a number of attempts: the party takes no handshake of this content
TOLERANT_DIALECTS = frozenset({"pyoscp", "solarnetwork"})


def starts(party: Party) -> bool:
    """CP to FP and FP to CO; and an FP towards a provider that never starts any."""
    if party.state != "REGISTERED":
        return False
    return (party.local_role, party.peer_role) in (("cp", "fp"), ("fp", "co")) or (party.local_role == "fp"
                                                                                   and party.dialect == "pyoscp")


def due_seconds(party: Party, now: float, interval: float) -> float:
    """Seconds until a handshake of ours is due (0: now); infinite when none is.  `interval` is what we require today."""
    if not starts(party):
        return math.inf
    if not party.handshake_at or party.our_interval != interval:
        return 0.0
    if party.acknowledged_at >= party.handshake_at or party.handshakes == REFUSED:
        return math.inf
    wait = AGAIN_SECONDS[party.handshakes - 1] if party.handshakes <= len(AGAIN_SECONDS) else AGAIN_SECONDS_LAST
    return max(0.0, party.handshake_at + wait - now)


def ours(party: Party, interval: int, measurements: Sequence[str]) -> dict[str, Any]:
    """The body of a handshake or its answer: what we require.  One known peer only reads whole numbers."""
    return {"required_behaviour": {"heartbeat_interval": math.ceil(interval), "measurement_configuration": list(measurements)}}


def lenient(value: Any, dialect: str, alias: bool, strict: bool) -> tuple[Any, bool]:
    """An acknowledge without `measurement_configuration` read as an empty list, where a known peer sends it so; and whether it was."""
    behaviour = value.get("required_behaviour") if isinstance(value, dict) else None
    if strict or not isinstance(behaviour, dict) or behaviour.get("measurement_configuration") is not None:
        return value, False
    empty = all(member is None for member in behaviour.values())
    if not (dialect in TOLERANT_DIALECTS or alias or empty):
        return value, False
    return {**value, "required_behaviour": {**behaviour, "measurement_configuration": []}}, True
