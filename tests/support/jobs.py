"""What tests of jobs, queue and workers ask of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .artifacts import content
from .node import Answer, TrialNode
from .replies import fits

Members = dict[str, Any]


def submit(node: TrialNode, job: Mapping[str, Any], request_id: str = "", headers: Mapping[str, str] | None = None) -> Members:
    """The answer to an operator's own job."""
    answer = submitted(node, job, request_id, headers)
    assert answer.status == 200, answer
    return fits("mesh.jobs.submit", answer.json)


def submitted(node: TrialNode, job: Mapping[str, Any], request_id: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    body = {"job": job} | ({"request_id": request_id} if request_id else {})
    return node.post("/mesh/jobs/submit", body, headers)


def queued(node: TrialNode, command: Any = "true", **job: Any) -> Members:
    """A job that waits in the queue."""
    answer = submit(node, {"kind": "shell.command", "payload": {"command": command}, "dispatch_mode": "queued", **job})
    assert answer["status"] == "queued", answer
    return answer["job"]


def worker(node: TrialNode, worker_id: str = "w1", capabilities: tuple[str, ...] = ("worker-runtime", "shell", "python"),
           **more: Any) -> Members:
    """A worker elsewhere, known to the node."""
    answer = node.post("/mesh/workers/register", {"worker_id": worker_id, "capabilities": list(capabilities), **more})
    assert answer.status == 200, answer
    return fits("mesh.workers.register", answer.json)["worker"]


def claim(node: TrialNode, worker_id: str = "w1", **body: Any) -> Members:
    answer = node.post(f"/mesh/workers/{worker_id}/claim", body)
    assert answer.status == 200, answer
    return fits("mesh.workers.claim", answer.json)


def taken(node: TrialNode, worker_id: str = "w1", **body: Any) -> Members:
    """A claim that got a job."""
    answer = claim(node, worker_id, **body)
    assert answer["status"] == "claimed", answer
    return answer


def complete(node: TrialNode, attempt_id: str, **body: Any) -> Members:
    answer = node.post(f"/mesh/jobs/attempts/{attempt_id}/complete", body)
    assert answer.status == 200, answer
    return fits("mesh.jobs.attempt_complete", answer.json)


def fail(node: TrialNode, attempt_id: str, **body: Any) -> Members:
    answer = node.post(f"/mesh/jobs/attempts/{attempt_id}/fail", body)
    assert answer.status == 200, answer
    return fits("mesh.jobs.attempt_fail", answer.json)


def job_of(node: TrialNode, job_id: str, headers: Mapping[str, str] | None = None) -> Members:
    answer = node.get(f"/mesh/jobs/{job_id}", headers)
    assert answer.status == 200, answer
    return fits("mesh.jobs.show", answer.json)


def refused(answer: Answer, status: int, code: str, error: str) -> Members:
    assert (answer.status, answer.json["code"], answer.json["error"]) == (status, code, error), answer
    return answer.json


def events(node: TrialNode, *beginnings: str) -> list[Members]:
    """What the node told, oldest first."""
    found = node.get("/mesh/stream?limit=500").json["events"]
    return [event for event in found if event["event_type"].startswith(beginnings or ("",))]


def text_of(node: TrialNode, ref: Mapping[str, Any]) -> str:
    """What an artifact holds."""
    answer = node.get(f"/mesh/artifacts/{ref['id']}")
    assert answer.status == 200, answer
    return content(answer).decode()


def until(node: TrialNode, job_id: str, *statuses: str) -> Members:
    """The job, once it is in one of these."""
    return node.until(lambda: (found := job_of(node, job_id)) and found["status"] in statuses and found, f"{job_id} {statuses}")
