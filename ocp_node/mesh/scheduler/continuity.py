"""How well a node suits work that has to outlive devices (OCP 0.1 continuity alignment); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..values import pick, text, truthy, unique, words

Members = dict[str, Any]
DURABLE = frozenset({"durable", "archival"})
STANDING = frozenset({"trusted", "partner"})


class Wishes(NamedTuple):
    """What a job says of its continuity."""
    active: bool
    continuity_class: str
    epoch_tolerance: str
    dormancy_ok: bool
    device_classes: list[str]
    habitat_roles: list[str]
    treaty_requirements: list[str]
    lineage_ref: Any

    @property
    def durable(self) -> bool:
        return self.continuity_class in DURABLE

    @property
    def dormant(self) -> bool:
        return self.dormancy_ok or self.epoch_tolerance == "long_dormancy_ok"


def wishes_of(continuity: Mapping[str, Any], hint: Mapping[str, Any]) -> Wishes:
    """The wishes of a job; device classes of a recovery hint come before those of the job itself."""
    kind = text(pick(continuity, "continuity_class", "mode"), "continuity.continuity_class").lower()
    tolerance = text(continuity.get("epoch_tolerance"), "continuity.epoch_tolerance").lower()
    preferred = pick(hint, "preferred_target_device_classes") or pick(continuity, "preferred_target_device_classes")
    classes = unique(word.lower() for word in words(preferred, "continuity.preferred_target_device_classes"))
    given = words(continuity.get("preferred_habitat_roles"), "continuity.preferred_habitat_roles")
    roles = unique(word.lower() for word in given)
    treaties = words(continuity.get("treaty_requirements"), "continuity.treaty_requirements")
    dormancy, lineage = truthy(continuity.get("dormancy_ok")), continuity.get("lineage_ref")
    active = bool(kind or tolerance or dormancy or treaties or classes or lineage)
    return Wishes(active, kind, tolerance, dormancy, classes, roles, treaties, lineage or "")


def aligned(wishes: Wishes, device_class: str, roles: Sequence[str], capabilities: Mapping[str, Any],
            tier: str = "") -> tuple[int, list[str], Members]:
    """The points of a node, the reasons, and the alignment that its candidate shows; `tier` is "" for this node itself."""
    reasons: list[tuple[str, int]] = []
    if wishes.durable:
        reasons += [("continuity_durable", 0), *_if(capabilities.get("vessel_storage"), "continuity_storage_preferred", 90),
                    *_if("archive" in roles, "habitat_archive", 60), *_if(tier in STANDING, "trusted_continuity_lane", 20)]
    if wishes.dormant:
        reasons += [("long_dormancy_ok", 0), *_if(capabilities.get("long_sleep"), "long_sleep_capable", 80),
                    *_if("vessel" in roles, "habitat_vessel", 40)]
    matched = device_class in wishes.device_classes
    if wishes.device_classes:
        reasons.append(("continuity_preferred_device_class", 260) if matched else ("continuity_device_class_miss", 0))
    if wishes.treaty_requirements:
        reasons += [("treaty_requirements_present", 0), *_if(capabilities.get("custody_review"), "custody_review_capable", 40),
                    *_if("sanctuary" in roles or "witness" in roles, "treaty_witness_capable", 30)]
    reasons += _if(wishes.lineage_ref, "lineage_ref_present", 0)
    if not wishes.active:
        reasons = []
    return sum(points for _, points in reasons), [reason for reason, _ in reasons], {
        "active": wishes.active, "continuity_class": wishes.continuity_class, "epoch_tolerance": wishes.epoch_tolerance,
        "dormancy_ok": wishes.dormancy_ok, "preferred_target_device_classes": wishes.device_classes,
        "preferred_habitat_roles": wishes.habitat_roles, "treaty_requirements": wishes.treaty_requirements,
        "lineage_ref": wishes.lineage_ref, "matched_device_class": matched,
        "matched_habitat_roles": [role for role in wishes.habitat_roles if role in roles],
        "continuity_capabilities": dict(capabilities)}


def _if(condition: object, reason: str, points: int) -> list[tuple[str, int]]:
    return [(reason, points)] if condition else []
