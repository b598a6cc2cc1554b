"""The devices on which a mission could go on: this node and the peers it relies on (OCP 0.1 continuity); pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..device_profile import derived
from ..peers.peer import Peer, compatibility

Members = dict[str, Any]

TIERS = ("self", "trusted", "partner")
STABLE_CLASSES = ("full", "relay")
SHOWN_MAX = 100
_TREATY_WORDS = {"full": "Custody under treaties is possible there.",
                 "advisory": "It validates treaties, without custody review.",
                 "limited": "Keep work that depends on treaties elsewhere."}


def own(node_id: str, display_name: str, profile: Mapping[str, Any], current: bool) -> Members:
    """This node."""
    treaties, continuity = derived.treaty_capabilities(profile), derived.continuity_capabilities(profile)
    fits = derived.treaty_compatibility(treaties, continuity, derived.custody(profile))
    return _entry(node_id, display_name, "self", profile, derived.habitat_roles(profile), continuity, treaties, fits, True,
                  current)


def of_peer(peer: Peer, local_custody: bool, current: bool) -> Members:
    """A peer, as its card describes it."""
    treaties = peer.treaty_capabilities or derived.treaty_capabilities(peer.device_profile)
    return _entry(peer.peer_id, peer.display_name, peer.trust_tier, peer.device_profile, peer.habitat_roles,
                  peer.continuity_capabilities, treaties, compatibility(peer, local_custody), peer.status == "connected", current)


def _entry(peer_id: str, display_name: str, tier: str, profile: Mapping[str, Any], roles: list[str], continuity: Members,
           treaties: Members, fits: Members, connected: bool, current: bool) -> Members:
    asleep = bool(profile["sleep_capable"] or profile["intermittent"])
    stability, name = _stability(profile), display_name or peer_id
    return {"peer_id": peer_id, "display_name": name, "trust_tier": tier, "device_class": profile["device_class"],
            "execution_tier": profile["execution_tier"], "form_factor": profile["form_factor"], "habitat_roles": roles,
            "continuity_capabilities": continuity, "treaty_capabilities": treaties, "treaty_compatibility": fits,
            "connected": connected, "current": current, "sleep_capable": bool(profile["sleep_capable"]),
            "relay_recommended": asleep, "stability": stability,
            "summary": f"{name}: a {stability} {profile['device_class']} device. {_TREATY_WORDS[fits['advisory_state']]}"}


def _stability(profile: Mapping[str, Any]) -> str:
    """How likely the device is still there tomorrow."""
    if profile["device_class"] == "micro" or profile["mobility"] == "wearable":
        return "compact"
    return "portable" if profile["mobility"] == "mobile" or profile["device_class"] == "light" else "stable"


def relied_on(peer: Peer) -> bool:
    """May work of this node be left in the care of the peer?"""
    return peer.trust_tier in TIERS and peer.status != "pending"


def chosen(entries: Iterable[Members], classes: Sequence[str]) -> list[Members]:
    """The devices of the classes that are preferred, if any are; the best first."""
    fitting = [entry for entry in entries if not classes or entry["device_class"] in classes]
    return sorted(fitting, key=lambda entry: (
        not entry["current"], entry["device_class"] not in STABLE_CLASSES, not entry["connected"],
        entry["trust_tier"] not in ("self", "trusted"), entry["display_name"]))[:SHOWN_MAX]


def custodian(entry: Mapping[str, Any], treaties_required: bool) -> bool:
    """Can the device take what treaties govern?"""
    fits = entry["treaty_compatibility"]
    return bool(fits["shared_treaty_validation"] and (fits["remote_custody_review"] or not treaties_required))


def recommended(devices: Sequence[Members], treaties_required: bool) -> tuple[Members, Members]:
    """Where to go on, and where to go on under treaties; {} when there is no such device."""
    others = [entry for entry in devices if not entry["current"]]
    treaty = next((entry for entry in others if custodian(entry, treaties_required)), {})
    return treaty or next(iter(others or devices), {}), treaty
