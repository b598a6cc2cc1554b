"""Pressure: the level, why, and whether help is needed."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.mesh.device_profile.rules import normalised
from ocp_node.mesh.pressure import rules
from ocp_node.mesh.pressure.rules import Power
from ocp_node.mesh.queue.rules import metrics

NOW = "2026-11-21T21:13:40Z"


def pressure(queued: int, inflight: int, slots: int, active: int, power: Power | None = None, **profile: Any) -> dict[str, Any]:
    counts = [("default", "queued", queued), ("default", "inflight", inflight)]
    figures = metrics("alpha-node", counts, 1, slots, active, "oldest", 0)
    return rules.pressure("alpha-node", figures, normalised(profile), power, 0.5, NOW)


@pytest.mark.parametrize("queued, inflight, slots, active, level, reasons, helps", [
    (0, 0, 0, 0, "idle", [], False), (0, 0, 1, 0, "idle", [], False), (1, 0, 1, 0, "nominal", [], False),
    (2, 0, 1, 0, "elevated", ["queue_elevated"], True), (3, 0, 1, 0, "elevated", ["queue_elevated", "backlog_gt_2x_slots"], True),
    (4, 0, 1, 0, "saturated", ["queue_saturated", "backlog_gt_2x_slots"], True),
    (4, 0, 0, 0, "saturated", ["queue_saturated", "no_local_slots", "no_available_slots"], True),
    (0, 1, 0, 0, "nominal", ["no_local_slots"], False), (1, 3, 3, 3, "nominal", ["no_available_slots"], False),
    (0, 3, 3, 3, "nominal", [], False),
])
def test_the_queue_makes_the_pressure(queued: int, inflight: int, slots: int, active: int, level: str, reasons: list[str],
                                      helps: bool) -> None:
    found = pressure(queued, inflight, slots, active)
    assert (found["pressure"], found["reasons"], found["needs_help"]) == (level, reasons, helps)
    assert found["backlog_ratio"] == (round(queued / slots, 2) if slots else None)
    assert found["available_slots"] == max(0, slots - active)


def test_a_battery_under_load_is_told() -> None:
    assert pressure(2, 0, 1, 0, power_profile="battery")["reasons"] == ["queue_elevated", "battery_under_load"]
    assert pressure(1, 0, 1, 0, power_profile="battery")["reasons"] == []


@pytest.mark.parametrize("power, queued, level, reasons", [
    (None, 0, "idle", []), (Power(), 0, "idle", []), (Power(held=1), 1, "elevated", ["queue_elevated", "power_limited"]),
    (Power(held=1), 4, "saturated", ["queue_saturated", "backlog_gt_2x_slots", "power_limited"]),
    (Power(below_floor=True), 0, "saturated", ["queue_saturated", "power_limited"]),
])
def test_a_lack_of_power_counts_as_a_lack_of_slots(power: Power | None, queued: int, level: str, reasons: list[str]) -> None:
    found = pressure(queued, 0, 1, 0, power)
    assert (found["pressure"], found["reasons"], found["needs_help"]) == (level, reasons, bool(reasons))


def test_what_others_may_know_of_the_budget_is_shown() -> None:
    assert pressure(0, 0, 1, 0, Power(shown={"headroom_w": 90}))["power"] == {"headroom_w": 90}
    assert "power" not in pressure(0, 0, 1, 0)


@pytest.mark.parametrize("level, place", [("idle", 0), ("nominal", 1), ("elevated", 2), ("saturated", 3), ("unknown", 0)])
def test_levels_have_an_order(level: str, place: int) -> None:
    assert rules.rank(level) == place
