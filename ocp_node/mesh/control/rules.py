"""What the control deck is told of peers, and where its stream begins (OCP 0.1 control stream); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..device_profile.derived import missing_capabilities, peer_advisory

Members = dict[str, Any]
SILENCE_SECONDS_MIN, SILENCE_SECONDS_MAX = 2.0, 300.0
ONCE_WORDS = frozenset({"1", "true", "yes"})


def start(since: int, last_event_id: str, newest: int) -> int:
    """Where the stream begins: after the greater of the two cursors; at the newest event when there is none, or when the log does
    not reach so far (it has begun anew)."""
    text = last_event_id.strip()
    seen = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
    cursor = max(since, seen)
    return cursor if 0 < cursor <= newest else newest


def silence(seconds: float) -> float:
    """After how long without a message the listener hears a keepalive."""
    return max(SILENCE_SECONDS_MIN, min(seconds, SILENCE_SECONDS_MAX))


def once(word: str) -> bool:
    """Does the stream end after the first state?"""
    return word.strip().lower() in ONCE_WORDS


def advisories(peers: Sequence[Mapping[str, Any]], candidates: Sequence[Mapping[str, Any]]) -> Members:
    """The treaty posture of the peers and candidates in the state."""
    connected = [_advisory(peer) for peer in peers]
    discovered = [_advisory(candidate) for candidate in candidates if candidate.get("treaty_compatibility")]
    return {"connected": connected, "discovered": discovered,
            "counts": {"connected": len(connected), "discovered": len(discovered), "connected_full": _full(connected),
                       "discovered_full": _full(discovered)}}


def _full(advised: Sequence[Mapping[str, Any]]) -> int:
    return sum(advisory["advisory_state"] == "full" for advisory in advised)


def _advisory(node: Mapping[str, Any]) -> Members:
    compatibility = node["treaty_compatibility"]
    worded = peer_advisory(node["peer_id"], node["display_name"], "", [], {}, {}, compatibility, {})
    return {"peer_id": node["peer_id"], "display_name": node["display_name"], "advisory_state": compatibility["advisory_state"],
            "summary": compatibility["summary"], "operator_summary": worded["operator_summary"],
            "recommended_action": worded["recommended_action"], "missing_capabilities": missing_capabilities(compatibility),
            **{name: compatibility[name] for name in ("shared_treaty_validation", "remote_custody_review",
                                                      "custody_pairing_ready")}}
