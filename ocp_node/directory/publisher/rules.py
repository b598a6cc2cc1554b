"""This node's own advertisement: what it says, when it is renewed, what a directory's answer means.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...base.clock import instant_text
from ..shape import INTEGER_MAX, is_endpoint_url

STREAM_PATH = "/mesh/stream"          # what answers there is a WebSocket (OCP 0.1 transports)
RENEW_AFTER = 1 / 3                   # of its life
JITTER = 0.1
BACK_OFF_SECONDS = 5.0
BACK_OFF_SECONDS_MAX = 600.0
RETRY_AFTER_SECONDS_MAX = 3600.0
# A directory that claims to have a higher number of ours is believed so far without proof.  Our key may truly have signed it
# before this node lost its state; but one that lies must not be able to use up the numbers.
UNPROVEN_JUMP_MAX = 2**32
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


def endpoint(configured: str, base_url: str) -> str:
    """The `wss` URL under which this node is reached, "" when it has none: only TLS can be advertised."""
    if configured:
        return configured if is_endpoint_url(configured) else ""
    scheme, _, rest = base_url.partition("://")
    url = f"wss://{rest.rstrip('/')}{STREAM_PATH}"
    return url if scheme == "https" and is_endpoint_url(url) else ""


def unsigned(node_id: str, key_text: str, sequence_no: int, url: str, now: float, lifetime_seconds: float, federation_id: str,
             name: str) -> dict[str, Any]:
    """The artifact, but for its signature."""
    made: dict[str, Any] = {
        "schema/v": 1, "advertisement/id": f"adv:{name}", "node/id": node_id, "sequence/no": sequence_no,
        "advertised-at": instant_text(now), "expires-at": instant_text(now + lifetime_seconds), "key/alg": "ed25519",
                            "key/public": key_text}
    if federation_id:
        made["federation/id"] = federation_id
    made["endpoints"] = [{"endpoint/url": url, "endpoint/transport": "wss", "endpoint/role": "listener", "endpoint/priority": 0}]
    made["transports/supported"] = ["wss"]
    return made


def next_number(last: int, now: float) -> int:
    """Higher than the last, and not lower than the time: a node that lost its state still goes on above what it used before."""
    return min(max(last + 1, int(now), 0), INTEGER_MAX)


def renewal_seconds(lifetime_seconds: float, chance: float) -> float:
    """From one advertisement to the next."""
    return lifetime_seconds * RENEW_AFTER * (1 - JITTER + 2 * JITTER * chance)


def misdated(made_at: float, now: float, lifetime_seconds: float) -> bool:
    """Somebody set the clock: by the new time the advertisement is of the future, or too old."""
    return not -60 <= now - made_at <= lifetime_seconds * 0.75


def outcome(status: int, headers: Mapping[str, str], body: Any, node_id: str, sequence_no: int) -> tuple[str, int]:
    """What a directory's answer to our `PUT` means: `stored`, `higher` with the number it has, `later` or `refused`."""
    if status in (200, 201):
        return "stored", sequence_no
    if status == 409:
        if headers.get("adv-match") == "identical":
            return "stored", sequence_no
        current = body.get("current/sequence-no") if isinstance(body, dict) and body.get("node/id") == node_id else None
        if type(current) is int and sequence_no <= current <= INTEGER_MAX:
            return "higher", current
        return "refused", sequence_no
    return ("later" if status in (408, 429) or status >= 500 else "refused"), sequence_no


def believed(current: int, ours: int) -> bool:
    """Whether a claimed higher number is near enough to go on from."""
    return current - ours <= UNPROVEN_JUMP_MAX and current < INTEGER_MAX


def back_off_seconds(failures: int, headers: Mapping[str, str], chance: float) -> float:
    """Until the next attempt at a directory after so many failures in a row."""
    wait = min(BACK_OFF_SECONDS * 2 ** min(failures - 1, 20), BACK_OFF_SECONDS_MAX) * (0.5 + chance / 2)
    asked = headers.get("retry-after", "")
    return max(wait, min(float(asked), RETRY_AFTER_SECONDS_MAX)) if _SECONDS.match(asked) else wait
