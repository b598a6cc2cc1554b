"""When a party counts as alive, and when we tell that we are (OSCP 2.0, heartbeat)."""

from __future__ import annotations

import math

from ...base.errors import Refusal
from ..parties.records import Party
from ..parties.rules import afresh

PAST_SECONDS_MAX = 60.0            # an offline time so far back is a difference of clocks, not a lie
AHEAD_SECONDS_MAX = 86_400.0
OFFLINE_AFTER = 3.0                # our own offline time, in intervals
SILENCE_SECONDS = 10.0             # ... and how long beyond that an asked-for heartbeat may be late
HOLD_SECONDS = 2.0                 # leaving OFFLINE waits so long, so that a flapping line does not flap everything
INTERVAL_SECONDS_MIN = 1.0
JITTER = 0.05


def deadline(offline_at: float, now: float) -> float:
    """The instant after which the sender is offline, or Refusal when it lies too far in the past."""
    if offline_at < now - PAST_SECONDS_MAX:
        raise Refusal("invalid_request", "offline_mode_at must be in the future")
    return min(max(offline_at, now + 1.0), now + AHEAD_SECONDS_MAX)


def next_state(party: Party, now: float) -> tuple[str, float]:
    """The party's liveness now, and the seconds until it may change by time alone (infinite: never)."""
    if party.liveness == "OFFLINE" and party.online_after:
        left = party.online_after - now
        if party.offline_at and party.offline_at <= now:
            return "OFFLINE", math.inf
        return ("ONLINE", _left(party, now)) if left <= 0 else ("OFFLINE", left)
    if party.liveness == "OFFLINE":
        return "OFFLINE", math.inf
    left = _left(party, now)
    return ("OFFLINE", math.inf) if left <= 0 else (party.liveness, left)


def _left(party: Party, now: float) -> float:
    """Seconds until the party is offline: its own deadline, or the silence after the heartbeats we asked for."""
    if party.offline_at:
        return party.offline_at - now
    if party.our_interval and party.agreed_at:
        return party.agreed_at + OFFLINE_AFTER * party.our_interval + SILENCE_SECONDS - now
    return math.inf


def agreed(party: Party, now: float, recovers: bool) -> Party:
    """The party knows what we require; where that is what ends its offline time (`recovers`), it comes back a little later."""
    party = party._replace(agreed_at=now)
    if party.liveness != "OFFLINE" or not recovers:
        return party
    return party._replace(online_after=party.online_after or now + HOLD_SECONDS,
                          offline_at=party.offline_at if party.offline_at > now else 0.0)


def beaten(party: Party, at: float, now: float, recovers: bool) -> Party:
    """The party after a valid heartbeat; leaving OFFLINE takes effect a little later, or waits for a handshake (not `recovers`)."""
    if party.liveness == "OFFLINE" and not recovers:
        known = party._replace(offline_at=at, last_in=now)
        return afresh(known) if party.acknowledged_at else known
    if party.liveness == "OFFLINE":
        return party._replace(offline_at=at, online_after=party.online_after or now + HOLD_SECONDS, last_in=now)
    return party._replace(offline_at=at, liveness="ONLINE", last_in=now)


def interval(required: float, chance: float) -> float:
    """Seconds to the next heartbeat of ours."""
    return max(INTERVAL_SECONDS_MIN, required * (1.0 + JITTER * (2.0 * chance - 1.0)))


def our_deadline(required: float, now: float) -> float:
    """What we promise: offline three intervals from now."""
    return now + OFFLINE_AFTER * required
