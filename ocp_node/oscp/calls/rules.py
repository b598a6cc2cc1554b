"""When a call is sent again, and when never (OSCP 2.0, retries)."""

from __future__ import annotations

from typing import NamedTuple

ATTEMPTS_MAX = 8
BOUNDS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)        # before attempts 2 to 8
REPLY_SECONDS = (5.0, 15.0)                                    # before attempts 2 and 3 of a register reply
AFTER_ANSWER_SECONDS = 0.25                                    # our own answer is out before we call its sender
RETRY_AFTER_SECONDS_MAX = 300.0
CALL_SECONDS, CONNECT_SECONDS, ANSWER_BYTES_MAX = 15.0, 5.0, 65_536
WAITING_MAX = 1_000                                            # rows of one party
LIFE_SECONDS = {"handshake": 60.0, "handshake_acknowledge": 60.0, "register": 60.0}
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class Call(NamedTuple):
    """A call that waits."""
    number: int
    party_id: str
    endpoint: str
    method: str
    body: str
    request_id: str
    correlation: str
    not_before: float
    expires_at: float
    attempts: int


class Verdict(NamedTuple):
    """What follows from one attempt: `sent`, `again` in so many seconds, `alias` (the other name of the path), `auth` or `drop`."""
    what: str
    seconds: float = 0.0


def verdict(call: Call, status: int, retry_after: float, chance: float, now: float) -> Verdict:
    """What to do after an attempt that got `status` (0: no answer).  `attempts` counts those before this one."""
    if 200 <= status < 300:
        return Verdict("sent")
    if status in (401, 403):
        return Verdict("auth")
    if status == 404 and call.endpoint == "handshake_acknowledge":
        return Verdict("alias")
    if call.endpoint == "register" and call.method == "POST" and call.correlation:
        return _reply(call, status)
    if call.endpoint == "register" or (status and status not in AGAIN) or call.attempts + 1 >= ATTEMPTS_MAX:
        return Verdict("drop")
    bound = BOUNDS_SECONDS[min(call.attempts, len(BOUNDS_SECONDS) - 1)]
    wait = max(bound / 2 + chance * bound / 2, min(retry_after, RETRY_AFTER_SECONDS_MAX))
    return Verdict("again", wait) if now + wait < call.expires_at else Verdict("drop")


def _reply(call: Call, status: int) -> Verdict:
    """A register reply is tried three times: it completes what the initiator asked for."""
    if call.attempts < len(REPLY_SECONDS) and (not status or status in AGAIN):
        return Verdict("again", REPLY_SECONDS[call.attempts])
    return Verdict("drop")
