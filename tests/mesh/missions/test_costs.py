"""What missions cost: a job that changes is found among many by an index, and who only wants the state reads no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base import jsontext
from ocp_node.mesh.cooperative_tasks import room as tasks_room
from ocp_node.mesh.missions import table, tracking
from tests.support.jobs import complete, taken, worker
from tests.support.missions import QUEUED, launched, mission_of
from tests.support.node import TrialNode


class Explained:
    """A connection that says how the database would find the rows, and finds none."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.plans: list[str] = []

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        self.plans += [row[3] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        return ()


@pytest.mark.parametrize("ask", [lambda connection: table.missions_of(connection, "a-job"),
                                 lambda connection: table.save_child(connection, "a-job", "queued", "2027", {}),
                                 lambda connection: table.children(connection, 1),
                                 lambda connection: table.standing(connection, 1),
                                 lambda connection: table.listed(connection, 25),
                                 lambda connection: table.listed(connection, 25, "failed")])
def test_no_question_about_missions_reads_all_of_them(tmp_path: Path, ask: Callable[[Any], object]) -> None:
    with TrialNode(tmp_path) as node, node.core.reader.snapshot() as connection:
        explained = Explained(connection)
        ask(explained)
        assert explained.plans and all("USING" in plan and "TEMP" not in plan for plan in explained.plans), explained.plans


def test_a_job_that_changes_does_not_make_its_siblings_be_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TrialNode(tmp_path, node_id="alpha-node") as node:
        worker(node)
        made = launched(node, cooperative_task={"base_job": QUEUED, "shards": [{}] * 8, "target_peer_ids": ["alpha-node"]})
        loaded: list[object] = []
        monkeypatch.setattr(table.jsontext, "load", lambda text: loaded.append(text) or jsontext.parse(text.encode()))
        with node.core.reader.snapshot() as connection:
            mission = table.find(connection, made["id"])
        loaded.clear()
        node.core.writer.run(lambda connection: tracking.settle(connection, mission.number))
        assert len(loaded) <= 4
        monkeypatch.undo()
        complete(node, taken(node)["attempt"]["id"])
        assert mission_of(node, made["id"])["summary"]["child_status_counts"] == {"completed": 1, "queued": 7}


def test_a_list_of_tasks_ends_with_the_one_that_passes_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_room, "LISTED_SHARDS_MAX", 5)
    with TrialNode(tmp_path, node_id="alpha-node") as node:
        for number in range(4):
            asked = {"request_id": f"r-{number}", "base_job": QUEUED, "shards": [{}] * 3, "target_peer_ids": ["alpha-node"]}
            assert node.post("/mesh/cooperative-tasks/launch", asked).status == 200
        found = node.get("/mesh/cooperative-tasks").json
        assert [each["request_id"] for each in found["tasks"]] == ["r-3", "r-2"] and found["count"] == 2
