"""Approvals really gate jobs, whatever happens to the node or the job meanwhile (OCP 0.1 approvals that gate jobs)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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


@pytest.mark.parametrize("decision", ["approved", "rejected"])
def test_a_decision_about_something_else_moves_no_job(tmp_path: Path, decision: str) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job, approval = waiting(node)
        other = node.post("/mesh/approvals/request", {"title": "t", "action_type": "job.dispatch", "related_job_id": job["id"]})
        answer = node.post(f"/mesh/approvals/{other.json['approval']['id']}/resolve", {"decision": decision}).json
        assert answer["automation"] == {"status": "ignored", "reason": "nothing_to_do"}
        assert job_of(node, job)["queue"]["metadata"]["hold"]["approval_id"] == approval["id"]
        answer = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"}).json
        assert answer["automation"]["action"] == "released"


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


@pytest.mark.parametrize("again", ["replay", "restart"])
def test_a_job_that_was_cancelled_before_anybody_approved_it_is_asked_about_again(tmp_path: Path, again: str) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job, first = waiting(node, approval={"severity": "high"})
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})
        answer = once_more(node, job, again)
        second = node.get("/mesh/approvals?status=pending").json["approvals"][0]
        assert second["id"] != first["id"] and second["severity"] == "high" and second["related_job_id"] == job["id"]
        assert answer["queue_message"]["metadata"]["hold"] == {"reason": "approval_pending", "approval_id": second["id"]}
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})                             # nobody is asked any more
        assert node.get("/mesh/approvals?status=pending").json["count"] == 0
        once_more(node, job, again)
        third = node.get("/mesh/approvals?status=pending").json["approvals"][0]
        assert job_of(node, job)["queue"]["metadata"]["hold"]["approval_id"] == third["id"]
        node.post(f"/mesh/approvals/{third['id']}/resolve", {"decision": "approved"})
        node.until(lambda: job_of(node, job)["status"] == "completed", "the job")


def once_more(node: TrialNode, job: Members, how: str) -> Members:
    route = "/mesh/queue/replay" if how == "replay" else f"/mesh/jobs/{job['id']}/restart"
    answer = node.post(route, {"job_id": job["id"]} if how == "replay" else {})
    assert answer.status == 200, answer
    return answer.json


def test_a_job_that_was_approved_needs_no_second_word(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        job, approval = waiting(node, approval_granted_at="2020-01-01T00:00:00Z")
        node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"})
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})
        assert "hold" not in once_more(node, job, "replay")["queue_message"]["metadata"]
        assert node.get("/mesh/approvals").json["count"] == 1


def test_nobody_approves_his_own_job_by_saying_so(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        job, _ = waiting(node, approval_granted_at="2020-01-01T00:00:00Z")
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})
        assert once_more(node, job, "replay")["queue_message"]["metadata"]["hold"]["reason"] == "approval_pending"


@pytest.mark.parametrize("decision", ["rejected", "expired"])
def test_a_held_job_that_is_restarted_stays_held_and_can_be_rejected(tmp_path: Path, decision: str) -> None:
    clock = SetClock()
    with TrialNode(tmp_path, clock=clock, workers=1) as node:
        job, approval = waiting(node, approval={"expires_at": instant_text(clock.time() + 60)})
        held = once_more(node, job, "restart")["queue_message"]["metadata"]["hold"]
        assert held == {"reason": "approval_pending", "approval_id": approval["id"]}
        if decision == "rejected":
            answer = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": decision})
            assert (answer.status, answer.json.get("automation", {}).get("action")) == (200, "rejected"), answer
        else:
            node.advance(120)
        node.until(lambda: job_of(node, job)["status"] == "rejected", "the end of the job")
        assert job_of(node, job)["metadata"]["reason"] == f"approval_{decision}"
