"""Objects that follow from a device profile: how a node syncs, what it is in the mesh, and what two nodes can do together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Members = dict[str, Any]
CONTINUITY_SWITCHES = ("mission_continuity", "vessel_export", "vessel_storage", "restore_dry_run", "witness_artifacts",
                       "long_sleep",
                       "custody_review")


def sync_policy(profile: Mapping[str, Any]) -> Members:
    """How often and in which way the node is to be asked."""
    now_and_then = profile["sleep_capable"] or profile["intermittent"]
    return {"mode": "intermittent" if now_and_then else "continuous", "sleep_capable": profile["sleep_capable"],
            "intermittent": profile["intermittent"],
            "preferred_sync_interval_seconds": profile["preferred_sync_interval_seconds"],
            "offline_grace_seconds": profile["offline_grace_seconds"], "delivery_mode": "poll" if now_and_then else "continuous",
            "relay_recommended": now_and_then}


def habitat_roles(profile: Mapping[str, Any]) -> list[str]:
    """What the node is to others: foundry, archive, relay, vessel, then operator and witness, or sanctuary."""
    kind, roles = profile["device_class"], []
    if profile["compute_ready"] and kind in ("full", "light"):
        roles.append("foundry")
    if profile["artifact_mirror_capable"] and kind in ("full", "relay"):
        roles.append("archive")
    if kind == "relay":
        roles.append("relay")
    if profile["sleep_capable"] or profile["intermittent"]:
        roles.append("vessel")
    if profile["approval_capable"] and kind in ("light", "micro"):
        return [*roles, "operator", "witness"]
    return [*roles, "sanctuary"] if custody(profile) else roles


def custody(profile: Mapping[str, Any]) -> bool:
    """May the node review what others leave in its care?"""
    return bool(profile["approval_capable"] and profile["secure_secret_capable"])


def continuity_capabilities(profile: Mapping[str, Any]) -> Members:
    """What the node can do to keep missions alive."""
    return {"mission_continuity": True, "vessel_export": True, "vessel_storage": profile["artifact_mirror_capable"],
            "restore_dry_run": True, "witness_artifacts": profile["approval_capable"],
            "long_sleep": bool(profile["sleep_capable"] or profile["intermittent"]), "custody_review": custody(profile),
            "habitat_roles": habitat_roles(profile)}


def treaty_capabilities(profile: Mapping[str, Any]) -> Members:
    """What the node can do with treaties."""
    return {"treaty_documents": True, "continuity_validation": True, "custody_review": custody(profile)}


def treaty_compatibility(treaties: Mapping[str, Any], continuity: Mapping[str, Any], local_custody: bool) -> Members:
    """How far a peer with these capabilities and this node can rely on each other's treaties."""
    shared = bool(treaties.get("treaty_documents") and treaties.get("continuity_validation"))
    remote = bool(treaties.get("custody_review") or continuity.get("custody_review"))
    paired = remote and local_custody
    reasons = ["shared_treaty_validation" if shared else "remote_treaty_validation_unavailable",
               *(["remote_custody_review"] if remote else []), *(["custody_pairing_ready"] if paired else [])]
    state = "full" if shared and remote else "advisory" if shared else "limited"
    return {"advisory_state": state, "shared_treaty_validation": shared, "remote_custody_review": remote,
            "custody_pairing_ready": paired,
            "reasons": reasons, "summary": _COMPATIBILITY[state]}


_COMPATIBILITY = {
    "full": "Both sides validate treaties, and the peer can review what is left in its care.",
    "advisory": "Both sides validate treaties, but the peer does not offer custody review.",
    "limited": "The peer does not validate treaties for continuity work.",
}
_ADVICE = {
    "full": "Ready for continuity work under treaties, custody review included.",
    "advisory": "Use it for continuity work that needs no custody review.",
    "limited": "Keep work that depends on treaties on other peers.",
}


def missing_capabilities(compatibility: Mapping[str, Any]) -> list[str]:
    """What stands between the two nodes and full treaty work."""
    missing = []
    if not compatibility["shared_treaty_validation"]:
        missing.append("treaty_validation")
    if not compatibility["remote_custody_review"]:
        missing.append("remote_custody_review")
    elif not compatibility["custody_pairing_ready"]:
        missing.append("local_custody_review")
    return missing


def peer_advisory(peer_id: str, display_name: str, source: str, roles: list[str], continuity: Mapping[str, Any],
                  treaties: Mapping[str, Any], compatibility: Mapping[str, Any], governance: Mapping[str, Any]) -> Members:
    """What an operator should know about a peer after this contact; `source` says which contact."""
    state = compatibility["advisory_state"]
    return {"peer_id": peer_id, "display_name": display_name, "source": source, "habitat_roles": roles,
            "continuity_capabilities": dict(continuity), "treaty_capabilities": dict(treaties),
            "treaty_compatibility": dict(compatibility), "governance_summary": dict(governance),
            "missing_capabilities": missing_capabilities(compatibility), "recommended_action": _ADVICE[state],
            "operator_summary": f"{display_name or peer_id}: treaty posture {state}. {compatibility['summary']}"}
