"""What tests of missions ask of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .jobs import fail, taken
from .node import Answer, TrialNode
from .replies import fits

Members = dict[str, Any]

QUEUED: Members = {"kind": "python.inline", "dispatch_mode": "queued", "payload": {"code": "print(1)"}}
RESUMABLE: Members = {**QUEUED, "metadata": {"resumability": {"enabled": True}, "checkpoint_policy": {"enabled": True}}}


def launched(node: TrialNode, job: Mapping[str, Any] | None = None, **more: Any) -> Members:
    """A mission with a job that waits, unless the test names another."""
    work = {} if "cooperative_task" in more else {"job": dict(job or QUEUED)}
    answer = node.post("/mesh/missions/launch", {**work, **more})
    assert answer.status == 200, answer
    return fits("mesh.missions.launch", answer.json)


def mission_of(node: TrialNode, mission_id: str, headers: Mapping[str, str] | None = None) -> Members:
    answer = node.get(f"/mesh/missions/{mission_id}", headers)
    assert answer.status == 200, answer
    return fits("mesh.missions.show", answer.json)


def kept(node: TrialNode) -> list[tuple[object, ...]]:
    """Everything that is stored of missions."""
    with node.core.reader.snapshot() as connection:
        return [*connection.execute("SELECT * FROM mesh_mission ORDER BY number"),
                *connection.execute("SELECT * FROM mesh_mission_child ORDER BY mission, place")]


def missions(node: TrialNode, query: str = "") -> Members:
    answer = node.get(f"/mesh/missions{query}")
    assert answer.status == 200, answer
    return fits("mesh.missions.list", answer.json)


def ordered(node: TrialNode, mission_id: str, verb: str, **body: Any) -> Answer:
    return node.post(f"/mesh/missions/{mission_id}/{verb}", body)


def order(node: TrialNode, mission_id: str, verb: str, **body: Any) -> Members:
    """The answer to an order that the node takes."""
    answer = ordered(node, mission_id, verb, **body)
    assert answer.status == 200, answer
    return fits(f"mesh.missions.{verb.replace('-', '_')}", answer.json)


def checkpointed(node: TrialNode, **more: Any) -> Members:
    """A mission whose job has left a checkpoint and stands still; there must be a worker."""
    made = launched(node, RESUMABLE, **more)
    fail(node, taken(node, job_id=made["child_job_ids"][0])["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})
    found = mission_of(node, made["id"])
    assert found["status"] == "checkpointed", found["status"]
    return found
