"""What treaties have to say about an artifact (OCP 0.1 treaty governance of replication); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base.errors import Refusal

OPERATION = "artifact_replication"
REQUIREMENTS_MAX = 64

Members = dict[str, Any]


def requirements(metadata: Mapping[str, Any], payload: object = None) -> list[str]:
    """The treaties an artifact is bound to: its metadata say so, else its content."""
    governance = _object(payload, "governance")
    overlay = _object(_object(payload, "continuity"), "overlay")
    for members in (metadata, governance, overlay):
        if found := _tokens(members.get("treaty_requirements")):
            return found
    return []


def _object(value: object, name: str) -> Mapping[str, Any]:
    member = value.get(name) if isinstance(value, Mapping) else None
    return member if isinstance(member, Mapping) else {}


def _tokens(value: object) -> list[str]:
    """Unique lower-case words."""
    given = value if isinstance(value, (list, tuple)) else [value]
    words = (each.strip().lower()[:256] for each in given[:REQUIREMENTS_MAX] if isinstance(each, str))
    return list(dict.fromkeys(word for word in words if word))


def is_sealed(validation: Mapping[str, Any]) -> bool:
    """Does one of the matched treaties keep artifacts sealed?"""
    return any(_object(treaty, "document").get("artifact_export") == "sealed" for treaty in validation.get("matched") or ())


def requires_custody(validation: Mapping[str, Any]) -> bool:
    """Does one of the matched treaties demand that the other side reviews custody?"""
    return is_sealed(validation) or any(_object(treaty, "document").get("witness_required") is True
                                        for treaty in validation.get("matched") or ())


def unmet(required: list[str]) -> Members:
    """The validation while this node has no treaties at all."""
    return {"satisfied": not required, "operation": OPERATION, "required": required, "matched": [], "missing": required, "inactive": []}


def admit(required: list[str], validation: Mapping[str, Any], compatibility: Mapping[str, Any]) -> Members:
    """The governance record of a replication that the treaties allow; `Refusal("policy_denied")` of one they do not."""
    custody = requires_custody(validation)
    if not validation.get("satisfied"):
        raise _denied("active treaties for all treaty-bound artifacts")
    if not compatibility.get("shared_treaty_validation"):
        raise _denied("a peer with shared treaty validation for treaty-bound artifacts")
    if custody and not compatibility.get("remote_custody_review"):
        raise _denied("custody review support for sealed treaty-bound artifacts")
    return {"treaty_requirements": required, "treaty_validation": dict(validation), "peer_treaty_compatibility": dict(compatibility),
            "requires_custody": custody}


def _denied(what: str) -> Refusal:
    return Refusal("policy_denied", f"artifact replication requires {what}")
