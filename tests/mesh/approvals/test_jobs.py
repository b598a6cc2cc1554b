"""Approvals really gate jobs, whatever happens to the node or the job meanwhile (OCP 0.1 approvals that gate jobs)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ocp_node.base.clock import SetClock, instant_text
from tests.support.node import TrialNode

Members = dict[str, Any]
JOB = {"kind": "demo", "command": "echo approved", "policy": {"approval_required": True}}


def waiting(node: TrialNode, **metadata: Any) -> tuple[Members, Members]:
    answer = node.post("/mesh/jobs/submit", {"job": {**JOB, "metadata": metadata}})
    assert answer.status == 200, answer
    return answer.json["job"], node.get("/mesh/approvals?limit=1").json["approvals"][0]


def job_of(node: TrialNode, job: Members) -> Members:
    return node.get(f"/mesh/jobs/{job['id']}").json


def test_a_held_job_is_done_by_nobody_and_then_by_somebody(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2) as node:
        job, approval = waiting(node)
        free = node.post("/mesh/jobs/submit", {"job": {**JOB, "policy": {}}}).json["job"]
        assert free["status"] == "completed" and job_of(node, job)["status"] == "queued"      # those behind it pass
        assert node.get("/mesh/queue/metrics").json["counts"]["queued"] == 1                  # it counts as waiting
        node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"})
        node.until(lambda: job_of(node, job)["status"] == "completed", "the job")


def test_a_decision_after_a_restart_releases_the_job(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path, clock=clock) as node:
        job, approval = waiting(node)
    with TrialNode(tmp_path, clock=clock, workers=1) as node:
        answer = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"}).json
        assert answer["automation"] == {"status": "applied", "job_id": job["id"], "action": "released"}
        node.until(lambda: job_of(node, job)["status"] == "completed", "the job")


def test_time_rejects_the_job_of_a_node_that_was_off_meanwhile(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path, clock=clock) as node:
        job, _ = waiting(node, approval={"expires_at": instant_text(clock.time() + 60)})
    clock.advance(3600)
    with TrialNode(tmp_path, clock=clock, workers=1) as node:
        node.until(lambda: job_of(node, job)["status"] == "rejected", "the expiry")
        assert job_of(node, job)["metadata"]["reason"] == "approval_expired"


def test_a_cancelled_job_asks_nobody_any_more(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        job, approval = waiting(node)
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})
        (found,) = node.get("/mesh/approvals").json["approvals"]
        assert (found["status"], found["resolution"]["reason"]) == ("expired", "job_cancelled")
        late = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"}).json
        assert late["status"] == "expired" and "automation" not in late and job_of(node, job)["status"] == "cancelled"


def test_a_put_off_job_stays_held_until_it_is_decided(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job, approval = waiting(node)
        node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "deferred"})
        node.advance(10)
        assert job_of(node, job)["queue"]["metadata"]["hold"]["reason"] == "approval_pending"
        node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"})
        node.until(lambda: job_of(node, job)["status"] == "completed", "the job")
