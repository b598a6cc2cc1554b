"""What a hand-off must be (OCP 0.1 agent hand-off); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..peers.rules import at_least

Members = dict[str, Any]
SUMMARY_LENGTH_MAX = 4_096
INTENT_LENGTH_MAX = 4_096
NAME_LENGTH_MAX = 200
CONSTRAINTS_BYTES_MAX = 65_536
REFS_MAX = 100
REFS_BYTES_MAX = 262_144
FLOOR = "partner"                # peers below it hand nothing over


class Handoff(NamedTuple):
    """Work handed over."""
    id: str
    request_id: str
    from_peer_id: str
    to_peer_id: str
    from_agent: str
    to_agent: str
    summary: str
    intent: str
    constraints: Members
    artifact_refs: list[Any]
    status: str
    created_at: str
    updated_at: str


def may_hand_over(peer_id: str, tier: str) -> None:
    """The peer is trusted enough; `Refusal("policy_denied")` otherwise."""
    if not at_least(tier, FLOOR):
        raise Refusal("policy_denied", f"peer {peer_id} may not hand over work")


def wanted(document: object, node_id: str) -> Members:
    """The members of a hand-off to this node, with their defaults; `Refusal` for what is missing, wrongly typed or too large."""
    handoff = document if isinstance(document, Mapping) else {}
    summary = _text(handoff, "summary", SUMMARY_LENGTH_MAX)
    if not summary:
        raise Refusal("invalid_request", "handoff.summary is required")
    if (_text(handoff, "to_peer_id", NAME_LENGTH_MAX) or node_id) != node_id:
        raise Refusal("policy_denied", "handoff is for another node")
    constraints, refs = handoff.get("constraints") or {}, handoff.get("artifact_refs") or []
    _check(constraints, dict, "constraints", "an object", CONSTRAINTS_BYTES_MAX)
    _check(refs, list, "artifact_refs", "an array", REFS_BYTES_MAX)
    if len(refs) > REFS_MAX:
        raise Refusal("invalid_request", f"handoff.artifact_refs has more than {REFS_MAX} entries")
    return {"to_peer_id": node_id, "from_agent": _text(handoff, "from_agent", NAME_LENGTH_MAX),
            "to_agent": _text(handoff, "to_agent", NAME_LENGTH_MAX), "summary": summary,
            "intent": _text(handoff, "intent", INTENT_LENGTH_MAX), "constraints": constraints, "artifact_refs": refs}


def _text(handoff: Mapping[str, Any], name: str, length_max: int) -> str:
    value = handoff.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal("invalid_request", f"handoff.{name} must be a string")
    if len(value) > length_max:
        raise Refusal("invalid_request", f"handoff.{name} is longer than {length_max} characters")
    if "\0" in value:
        raise Refusal("invalid_request", f"handoff.{name} must not have the character U+0000")
    return value.strip()


def _check(value: object, kind: type, name: str, word: str, bytes_max: int) -> None:
    if not isinstance(value, kind):
        raise Refusal("invalid_request", f"handoff.{name} must be {word}")
    if len(jsontext.ascii_text(value)) > bytes_max:
        raise Refusal("invalid_request", f"handoff.{name} is larger than {bytes_max} bytes")


def notice(handoff: Handoff, display_name: str, node_id: str) -> Members:
    """What the operator is told of it."""
    return {"notification_type": "handoff.accepted", "priority": "normal", "title": f"{display_name} handed over work",
            "body": handoff.summary, "target_peer_id": node_id, "target_agent_id": handoff.to_agent,
            "metadata": {"handoff_id": handoff.id, "from_peer_id": handoff.from_peer_id, "from_agent": handoff.from_agent}}
