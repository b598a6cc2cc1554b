"""Pressure of a running node: measured from its real queue and workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.pressure import load
from ocp_node.mesh.pressure.room import Power
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

JOB = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": ["/bin/true"]}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def pressure(node: TrialNode) -> dict[str, Any]:
    return fits("mesh.pressure.show", node.get("/mesh/pressure").json)


def register(node: TrialNode, **more: Any) -> None:
    answer = node.post("/mesh/workers/register", {"worker_id": "w-1", "capabilities": ["shell"], **more})
    assert answer.status == 200, answer


def submit(node: TrialNode) -> None:
    answer = node.post("/mesh/jobs/submit", {"job": JOB})
    assert answer.status == 200, answer


def test_a_fresh_node_is_idle(node: TrialNode) -> None:
    found = pressure(node)
    assert (found["peer_id"], found["pressure"], found["reasons"], found["needs_help"]) == ("trial-node", "idle", [], False)
    assert found["observed_at"] == node.clock.text() and found["backlog_ratio"] is None


def test_work_that_waits_makes_pressure(node: TrialNode) -> None:
    register(node)
    for level in ("nominal", "elevated", "elevated", "saturated"):
        submit(node)
        assert pressure(node)["pressure"] == level
    assert pressure(node)["needs_help"] and pressure(node)["oldest_queued_at"] == node.clock.text()
    register(node, status="busy")
    found = pressure(node)
    assert found["reasons"] == ["queue_saturated", "no_local_slots", "no_available_slots"] and found["total_slots"] == 0


def test_a_worker_that_fell_silent_has_no_slots(node: TrialNode) -> None:
    register(node)
    submit(node)
    assert pressure(node)["total_slots"] == 1
    node.advance(node.settings.worker_stale_seconds + 1)
    assert pressure(node)["total_slots"] == 0 and pressure(node)["pressure"] == "saturated"


def test_whoever_manages_the_power_is_heard(node: TrialNode) -> None:
    node.rooms["mesh.pressure"].limited_by(lambda: Power(held=2, shown={"headroom_w": 0}))
    found = pressure(node)
    assert (found["pressure"], found["reasons"]) == ("elevated", ["queue_elevated", "power_limited"])
    assert found["power"] == {"headroom_w": 0}


def test_the_deck_and_everybody_else_see_it_too(node: TrialNode) -> None:
    assert node.rooms["mesh.control"].parts.value("pressure")["peer_id"] == "trial-node"
    assert node.get("/mesh/pressure", FROM_LAN).json["pressure"] == "idle"
    assert "cpu_load" in node.rooms["mesh.control"].parts.value("pressure")


def test_the_load_is_that_of_this_machine() -> None:
    found = load.per_core()
    assert found is None or 0.0 <= found < 10_000.0
