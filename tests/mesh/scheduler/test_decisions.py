"""Placement decisions are kept, and told newest first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.scheduler.table import KEPT_MAX
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

Members = dict[str, Any]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialNode]:
    with TrialNode(Path(tmp_path_factory.mktemp("scheduler"))) as trial:
        decided(trial, ("d1", "placed", "local"), ("d2", "placed", "peer"), ("d3", "unplaced", ""), ("d4", "placed", "local"))
        yield trial


def decision(number: str, status: str = "placed", target_type: str = "local") -> Members:
    return {"id": number, "request_id": f"r-{number}", "job_id": f"j-{number}", "job_kind": "shell.command", "status": status,
            "strategy": "trust-capability-load-v1.2", "target_type": target_type, "peer_id": "trial-node", "score": 1385.5,
            "placement": {"queue_class": "batch"}, "selected": {"target_type": target_type}, "candidates": [{"score": 1}],
            "created_at": "2026-11-21T21:21:40Z"}


def decided(node: TrialNode, *some: tuple[str, str, str]) -> None:
    room = node.rooms["mesh.scheduler"]
    node.core.writer.run(lambda connection: [room.decided(connection, decision(*each)) for each in some])


def told(node: TrialNode, query: str = "", **more: Any) -> list[str]:
    answer = node.get(f"/mesh/scheduler/decisions{query}", **more)
    assert answer.status == 200, answer
    found = fits("mesh.scheduler.decisions", answer.json)
    assert found["count"] == len(found["decisions"]) and found["peer_id"] == "trial-node"
    return [each["id"] for each in found["decisions"]]


@pytest.mark.parametrize(("query", "expected"), [
    ("", ["d4", "d3", "d2", "d1"]), ("?limit=2", ["d4", "d3"]), ("?limit=0", ["d4", "d3", "d2", "d1"]), ("?limit=-1", ["d4"]),
    ("?status=placed", ["d4", "d2", "d1"]), ("?status=PLACED", []), ("?target_type=peer", ["d2"]),
    ("?target_type=", ["d4", "d3", "d2", "d1"]),
    ("?status=placed&target_type=local&limit=1", ["d4"]), ("?status=unplaced&target_type=local", [])])
def test_decisions_are_chosen_before_they_are_counted(node: TrialNode, query: str, expected: list[str]) -> None:
    assert told(node, query) == expected


def test_a_decision_is_told_as_it_was_made(node: TrialNode) -> None:
    assert node.get("/mesh/scheduler/decisions?limit=1").json["decisions"] == [decision("d4")]


def test_others_may_look_too(node: TrialNode) -> None:
    assert told(node, headers=FROM_LAN) == ["d4", "d3", "d2", "d1"]


def test_a_limit_that_is_no_number_is_refused(node: TrialNode) -> None:
    assert node.get("/mesh/scheduler/decisions?limit=many").status == 400


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        decided(node, *((f"d{number}", "placed", "local") for number in range(KEPT_MAX + 20)))
        every = told(node, "?limit=9999")
        assert every[0] == f"d{KEPT_MAX + 19}"
        with node.core.reader.snapshot() as connection:
            assert connection.execute("SELECT count(*) FROM mesh_scheduler_decision").fetchone()[0] == KEPT_MAX
