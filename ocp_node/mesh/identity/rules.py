"""What the log has not been told of a chain of keys, and how long to go on telling a peer; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..peers import rules as tiers
from ..peers.peer import Peer

Members = dict[str, Any]

TELLING_SECONDS = 30 * 86_400.0      # a peer that was away for longer learns it when it calls us, or we connect to it
DELAY_SECONDS = 5.0                  # doubled after each failure
DELAY_SECONDS_MAX = 3600.0


def unrecorded(chain: Sequence[Mapping[str, Any]], recorded: str) -> list[Mapping[str, Any]]:
    """The successions after the key that was recorded last; all of them when nothing was, or a key that is not among them."""
    if chain and chain[-1]["new_public_key"] == recorded:
        return []
    before = [link["old_public_key"] for link in chain]
    return list(chain[before.index(recorded):] if recorded in before else chain)


def told(peers: Sequence[Peer]) -> list[Peer]:
    """Who is told of a new key at once: every peer with an address but those that are blocked or wait for admission."""
    return [peer for peer in peers if peer.trust_tier != "blocked" and peer.status != tiers.PENDING and peer.base_urls]


def delay_seconds(failures: int) -> float:
    """Until the next attempt at a peer that could not be told so often."""
    return float(min(DELAY_SECONDS * 2 ** min(max(failures, 1) - 1, 20), DELAY_SECONDS_MAX))


def final(detail: Mapping[str, Any]) -> bool:
    """Does the peer not want us at all, rather than not now?  A key that it cannot follow its operator may reset any day."""
    status = detail.get("peer_status")
    return isinstance(status, int) and 400 <= status < 500 and status not in (401, 408, 425, 429)
