"""The operator's hand on jobs: cancel, resume, restart; and what the peer that sent one may order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base import jsontext
from ocp_node.mesh.artifacts import table as artifacts
from tests.support.artifacts import store
from tests.support.jobs import claim, complete, events, fail, fits, job_of, queued, refused, submit, submitted, taken, worker
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        worker(running)
        yield running


def checkpointed(node: TrialNode, **metadata: Any) -> Members:
    queued(node, metadata={"resumability": {"enabled": True}, **metadata})
    return fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})["job"]


def order(node: TrialNode, job: Members, what: str, **body: Any) -> Any:
    return node.post(f"/mesh/jobs/{job['id']}/{what}", body)


def in_state(node: TrialNode, state: str) -> Members:
    """A job that has come to this state."""
    if state == "rejected":
        return submit(node, {"kind": "agent.echo", "requirements": {"capabilities": ["none-such"]}})["job"]
    if state == "checkpointed":
        return checkpointed(node)
    job = queued(node, metadata={"max_attempts": 2, "resumable": True})
    if state == "cancelled":
        return node.post(f"/mesh/jobs/{job['id']}/cancel", {}).json["job"]
    if state in ("running", "completed", "failed", "retry_wait", "resuming"):
        attempt = taken(node)["attempt"]
        if state == "completed":
            complete(node, attempt["id"])
        elif state == "failed":
            fail(node, attempt["id"], retryable=False)
        elif state in ("retry_wait", "resuming"):
            fail(node, attempt["id"], metadata={"checkpoint": 1})
            if state == "resuming":
                taken(node)
    found = job_of(node, job["id"])
    assert found["status"] == state
    return found


ALL = ("queued", "retry_wait", "running", "resuming", "checkpointed", "completed", "failed", "cancelled", "rejected")


@pytest.mark.parametrize("state", ALL)
def test_a_job_is_shown_as_its_owner_keeps_it(node: TrialNode, state: str) -> None:
    job_id = in_state(node, state)["id"]
    room = node.rooms["mesh.jobs"]
    answer = node.get(f"/mesh/jobs/{job_id}")
    assert jsontext.parse(answer.body) == fits("mesh.jobs.show", answer.json) == room.state(job_id)["job"]
    with node.core.reader.snapshot() as connection:
        job = room.find(connection, job_id)
        job.metadata.update(run={"mark": 7}, budget=3)                # what the node alone needs, as it is kept while a job runs
        assert not {"run", "budget"} & set(room.json(connection, job)["metadata"])


@pytest.mark.parametrize("state", ALL)
def test_a_cancel_stops_what_has_not_ended_and_leaves_the_rest(node: TrialNode, state: str) -> None:
    job = in_state(node, state)
    answer = order(node, job, "cancel", reason="not needed", operator_id="op")
    found = fits("mesh.jobs.cancel", answer.json)
    if state in ("completed", "failed", "cancelled", "rejected"):
        assert found["status"] == found["job"]["status"] == state and found["job"]["cancelled"] is False
        assert "cancelled_by" not in found["job"]["metadata"]
    else:
        assert found["status"] == found["job"]["status"] == "cancelled" and found["job"]["metadata"]["cancelled_by"] == "op"
        assert found["job"]["queue"]["status"] == "cancelled" and found["job"]["queue"]["last_error"] == "not needed"
        assert all(attempt["status"] not in ("claimed", "running") for attempt in found["job"]["attempts"])
        assert node.get("/mesh/workers").json["workers"][0]["active_attempts"] == 0


def test_a_cancelled_attempt_frees_its_slot_and_is_not_heard_any_more(node: TrialNode) -> None:
    job = queued(node)
    attempt = taken(node)["attempt"]
    order(node, job, "cancel")
    assert node.post(f"/mesh/jobs/attempts/{attempt['id']}/complete", {}).status == 409
    queued(node)
    assert claim(node)["status"] == "claimed"
    assert [event["event_type"] for event in events(node, "mesh.queue.cancelled",
                                                    "mesh.job.cancelled")] == ["mesh.queue.cancelled", "mesh.job.cancelled"]


RESUMED = {"queued": "job has no checkpoint artifact", "failed": "job has no checkpoint artifact",
           "cancelled": "job has no checkpoint artifact",
           "running": "running jobs cannot be recovered", "resuming": "running jobs cannot be recovered",
           "completed": "completed or rejected jobs cannot be recovered",
           "rejected": "completed or rejected jobs cannot be recovered",
           "retry_wait": "", "checkpointed": ""}


@pytest.mark.parametrize("state", ALL)
def test_a_resume_is_for_jobs_with_a_checkpoint_that_do_not_run(node: TrialNode, state: str) -> None:
    job = in_state(node, state)
    answer = order(node, job, "resume", operator_id="op", reason="again")
    if RESUMED[state]:
        refused(answer, 409, "invalid_state", RESUMED[state])
        assert job_of(node, job["id"])["status"] == state
        return
    found = fits("mesh.jobs.resume", answer.json)
    assert found["status"] == found["job"]["status"] == "retry_wait" and found["queue_message"]["status"] == "queued"
    assert found["queue_message"]["queue_name"] == "default" and found["queue_message"]["metadata"]["recovery_count"] == 1
    assert found["job"]["recovery"]["last_recovery_action"] == "resume_latest"
    assert found["job"]["last_resume_requested_by"] == "op"
    assert set(found["job"]["resume_checkpoint_ref"]) == {"id", "digest", "media_type", "size_bytes", "path", "download_url"}


RESTARTED = {"running": "running jobs cannot be recovered", "resuming": "running jobs cannot be recovered",
             "completed": "completed or rejected jobs cannot be recovered",
             "rejected": "completed or rejected jobs cannot be recovered"}


@pytest.mark.parametrize("state", ALL)
def test_a_restart_is_for_every_job_that_neither_runs_nor_is_done(node: TrialNode, state: str) -> None:
    job = in_state(node, state)
    answer = order(node, job, "restart", operator_id="op", metadata={"ticket": 7})
    if state in RESTARTED:
        refused(answer, 409, "invalid_state", RESTARTED[state])
        return
    found = fits("mesh.jobs.restart", answer.json)["job"]
    assert found["status"] == "retry_wait" and found["resume_checkpoint_ref"] == {}
    assert found["last_restart_reason"] == "operator_restart"
    assert found["metadata"]["recovery_request"] == {"ticket": 7} and found["executor"] == "" and found["lease"] == {}
    again = taken(node, job_id=job["id"])
    assert again["job"]["status"] == "running" and again["attempt"]["metadata"]["resumed_from_checkpoint_ref"] == {}


def test_a_resumed_job_goes_on_where_it_was_and_remembers_who_asked(node: TrialNode) -> None:
    job = checkpointed(node)
    order(node, job, "resume", operator_id="op-1", reason="resume latest checkpoint")
    again = taken(node)
    assert again["job"]["status"] == "resuming"
    assert again["attempt"]["metadata"]["resumed_from_checkpoint_ref"]["id"] == job["latest_checkpoint_ref"]["id"]
    done = complete(node, again["attempt"]["id"])["job"]
    assert (done["resume_count"], done["last_resumed_by"], done["last_resume_reason"]) == (1, "op-1", "resume latest checkpoint")
    told = [event["event_type"] for event in events(node, "mesh.job.resume", "mesh.queue.recovered")]
    assert told == ["mesh.job.resume_requested", "mesh.queue.recovered"]


def test_a_recovery_grants_one_attempt_and_no_more(node: TrialNode) -> None:
    job = checkpointed(node)
    order(node, job, "restart")
    told = fail(node, taken(node)["attempt"]["id"])
    assert told["status"] == "failed" and told["job"]["latest_checkpoint_ref"]["id"]
    assert told["job"]["recovery"]["resumable"] is True


def test_a_checkpoint_can_be_chosen(node: TrialNode) -> None:
    job, other = checkpointed(node), checkpointed(node)
    own, foreign = job["latest_checkpoint_ref"]["id"], other["latest_checkpoint_ref"]["id"]
    plain = store(node, b"{}", job_id=job["id"])
    for reference, status, text in ((foreign, 409, "checkpoint artifact does not belong to job"),
                                    (plain["id"], 409, "artifact is not a checkpoint"),
                                    ("gone", 404, "checkpoint artifact not found")):
        answer = order(node, job, "resume-from-checkpoint", checkpoint_artifact_id=reference)
        assert (answer.status, answer.json["error"]) == (status, text)
    for body in ({"checkpoint_artifact_id": own}, {"checkpoint_ref": {"id": own}}, {"checkpoint_ref": {"artifact_id": own}}):
        found = order(node, job, "resume-from-checkpoint", operator_id="op-2", **body).json["job"]
        assert found["resume_checkpoint_ref"]["id"] == own and found["recovery"]["last_recovery_action"] == "resume_checkpoint"
    assert order(node, job, "resume-from-checkpoint").json["job"]["recovery"]["last_recovery_action"] == "resume_latest"


def test_a_checkpoint_that_is_gone_leaves_the_job_as_it_was(node: TrialNode) -> None:
    job = checkpointed(node)
    checkpoint = job["latest_checkpoint_ref"]
    node.core.writer.run(lambda connection: artifacts.drop(connection, checkpoint["id"], checkpoint["digest"]))
    refused(order(node, job, "resume"), 404, "not_found", "checkpoint artifact not found")
    assert job_of(node, job["id"])["status"] == "checkpointed"


def test_resumes_are_bounded_where_the_job_says_so(node: TrialNode) -> None:
    job = checkpointed(node, resumability={"enabled": True, "max_resume_attempts": 1})
    assert order(node, job, "resume").status == 200
    fail(node, taken(node)["attempt"]["id"], metadata={"checkpoint": 2})
    refused(order(node, job, "resume"), 409, "invalid_state", "resume budget exhausted")
    assert order(node, job, "restart").status == 200


def test_a_job_that_is_not_resumable_refuses_to_be_resumed(node: TrialNode) -> None:
    job = queued(node)
    fail(node, taken(node)["attempt"]["id"])
    refused(order(node, job, "resume"), 409, "invalid_state", "job is not resumable")


def test_a_recovery_asked_for_twice_under_one_name_happens_once(node: TrialNode) -> None:
    job = checkpointed(node)
    first = order(node, job, "resume", request_id="r-1").json
    again = order(node, job, "resume", request_id="r-1").json
    assert "deduped" not in first and again["deduped"] is True
    assert again["queue_message"]["metadata"]["recovery_count"] == 1 and len(events(node, "mesh.queue.recovered")) == 1


def test_a_failed_inline_job_is_restarted_through_the_queue(node: TrialNode) -> None:
    job = submitted(node, {"kind": "demo", "command": "exit 1"}).json["job"]
    found = order(node, job, "restart").json
    assert found["queue_message"]["status"] == "queued" and found["job"]["queue"]["queue_name"] == "default"
    assert complete(node, taken(node)["attempt"]["id"])["job"]["id"] == job["id"]


@pytest.mark.parametrize("what", ["cancel", "resume", "resume-from-checkpoint", "restart"])
def test_an_unknown_job_is_not_found(node: TrialNode, what: str) -> None:
    refused(node.post(f"/mesh/jobs/gone/{what}", {}), 404, "not_found", "job not found")


# --- who may order

@pytest.mark.parametrize("what", ["cancel", "resume", "resume-from-checkpoint", "restart"])
def test_orders_are_the_operators_and_of_the_peer_that_sent_the_job(node: TrialNode, what: str) -> None:
    owner, other = TrialPeer("owner-node"), TrialPeer("other-node")
    owner.shakes_hands(node), other.shakes_hands(node)
    sent = owner.post(node, "/mesh/jobs/submit", {"job": {"kind": "agent.echo", "dispatch_mode": "queued",
                                                          "metadata": {"resumable": True}}}).json["job"]
    fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"checkpoint": 1})
    path = f"/mesh/jobs/{sent['id']}/{what}"
    assert node.post(path, {}, FROM_LAN).status == 401
    refused(other.post(node, path, {}), 404, "not_found", "job not found")
    assert other.post(node, f"/mesh/jobs/{sent['id']}/elsewhere", {}).status == 404
    wrong = owner.sign(node, f"/mesh/jobs/{sent['id']}/other", {})
    assert node.post(path, wrong).json["code"] == "bad_signature"
    answer = owner.post(node, path, {"operator_id": "forged-operator", "reason": "mine"}, FROM_LAN)
    assert answer.status == 200, answer
    assert "forged-operator" not in repr(answer.json) and "payload_inline" not in answer.json["job"]
    if what != "cancel":
        assert answer.json["job"]["recovery"]["last_recovery_by"] == "owner-node"


def test_an_order_of_a_peer_is_taken_once(node: TrialNode) -> None:
    owner = TrialPeer("owner-node")
    owner.shakes_hands(node)
    sent = owner.post(node, "/mesh/jobs/submit", {"job": {"kind": "agent.echo", "dispatch_mode": "queued"}}).json["job"]
    envelope = owner.sign(node, f"/mesh/jobs/{sent['id']}/cancel", {})
    assert node.post(f"/mesh/jobs/{sent['id']}/cancel", envelope).status == 200
    assert node.post(f"/mesh/jobs/{sent['id']}/cancel", envelope).status == 409
