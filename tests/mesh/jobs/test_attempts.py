"""Attempts of workers elsewhere: claimed, kept alive, completed, failed; each word taken once and from the right holder only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import instant_seconds
from ocp_node.crypto.documents import verify_attestation
from tests.support.jobs import claim, complete, events, fail, fits, job_of, queued, refused, taken, text_of, worker
from tests.support.node import TrialNode

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path) as running:
        worker(running)
        yield running


def resumable(node: TrialNode, **metadata: Any) -> Members:
    return queued(node, metadata={"resumability": {"enabled": True}, "checkpoint_policy": {"enabled": True, "on_retry": False},
                                  **metadata})


def act(node: TrialNode, attempt: Members, what: str, **body: Any) -> Any:
    return node.post(f"/mesh/jobs/attempts/{attempt['id']}/{what}", body)


# --- the way of an attempt

def test_a_claim_gives_job_attempt_and_message_under_a_lease(node: TrialNode) -> None:
    job = queued(node)
    answer = taken(node, ttl_seconds=120)
    attempt, message = answer["attempt"], answer["queue_message"]
    assert answer["worker"]["active_attempts"] == 0
    assert (answer["job"]["id"], answer["job"]["status"], answer["job"]["executor"]) == (job["id"], "running", "w1")
    assert (attempt["attempt_number"], attempt["status"], attempt["executor"], attempt["metadata"]["claimed_from_status"]) == (
        1, "claimed", "w1", "queued")
    assert attempt["metadata"]["executor_device_profile"]["device_class"]
    assert attempt["metadata"]["queue_message_id"] == message["id"]
    assert (message["status"], message["delivery_attempts"], message["worker_id"], message["current_attempt_id"]) == (
        "inflight", 1, "w1", attempt["id"])
    lease = answer["job"]["lease"]
    assert lease["resource"] == f"job:{job['id']}:attempt:1" and lease["agent_id"] == "w1" and lease["ttl_seconds"] == 120
    assert message["visibility_timeout_at"] == lease["expires_at"]
    assert [event["event_type"] for event in events(node, "mesh.job.claimed", "mesh.queue.claimed", "mesh.lease")] == [
        "mesh.lease.acquired", "mesh.job.claimed", "mesh.queue.claimed"]


def test_a_heartbeat_extends_the_hold_and_keeps_what_it_says(node: TrialNode) -> None:
    queued(node)
    attempt = taken(node)["attempt"]
    node.advance(100)
    answer = act(node, attempt, "heartbeat", ttl_seconds=180, metadata={"phase": "ready"})
    beaten = fits("mesh.jobs.attempt_heartbeat", answer.json)["attempt"]
    assert beaten["status"] == "running" and beaten["metadata"]["phase"] == "ready"
    message = node.get("/mesh/queue").json["messages"][0]
    assert instant_seconds(message["visibility_timeout_at"]) == int(node.clock.time()) + 180
    shorter = act(node, attempt, "heartbeat", ttl_seconds=5)
    assert shorter.status == 200
    assert instant_seconds(node.get("/mesh/queue").json["messages"][0]["visibility_timeout_at"]) == int(node.clock.time()) + 60


def test_a_completion_leaves_a_whole_package_behind(node: TrialNode) -> None:
    job = queued(node, artifact_inputs=[{"id": "x", "digest": "00" * 32, "role": "seed"}])
    attempt = taken(node)["attempt"]
    told = complete(node, attempt["id"], result={"status": "ok", "stdout": "q\n", "stderr": "warn\n", "checkpoint": {"at": 5}},
                    executor="ext-worker",
                    metadata={"path": "manual"})
    found = told["job"]
    assert (told["status"], found["status"], found["executor"], told["queue_message"]["status"]) == (
        "completed", "completed", "ext-worker", "acked")
    assert told["attempt"]["metadata"]["path"] == "manual" and told["attempt"]["result_ref"]["id"] == found["result_ref"]["id"]
    assert set(found["result_artifacts"]) == {"stdout", "stderr", "checkpoint"} and found["latest_checkpoint_ref"]["id"]
    assert text_of(node, found["result_artifacts"]["stderr"]) == "warn\n" and found["lease"]["status"] == "completed"
    assert found["result_artifacts"]["stdout"]["retention_class"] == "session"
    assert found["result_artifacts"]["checkpoint"]["retention_class"] == "durable"
    bundle = json.loads(text_of(node, found["result_bundle_ref"]))
    roles = [layer["annotations"]["org.opencompute.role"] for layer in bundle["layers"]]
    assert roles == ["result", "stdout", "stderr", "checkpoint", "attestation"]
    assert bundle["config"]["digest"] == f"sha256:{found['result_config_ref']['digest']}"
    assert bundle["annotations"]["org.opencompute.attempt.id"] == attempt["id"]
    assert [each["digest"] for each in bundle["descriptors"]][0] == found["result_ref"]["digest"]
    attestation = json.loads(text_of(node, found["result_attestation_ref"]))
    assert verify_attestation(attestation, node.core.identity.public_key_hex)
    assert attestation["subject"]["artifact_id"] == found["result_ref"]["id"] and attestation["predicate"]["job_id"] == job["id"]
    assert attestation["predicate"]["materials"][0]["annotations"] == {"org.opencompute.role": "seed"}
    assert attestation["predicate"]["output_roles"] == ["result", "stdout", "stderr", "checkpoint"]
    config = json.loads(text_of(node, found["result_config_ref"]))
    assert config["result"]["digest"] == found["result_ref"]["digest"] and config["runtime"]["kind"] == "shell.command"
    assert [event["event_type"] for event in events(node, "mesh.lease.released", "mesh.job.completed", "mesh.queue.acked")] == [
        "mesh.lease.released", "mesh.job.completed", "mesh.queue.acked"]


def test_a_null_result_is_a_result(node: TrialNode) -> None:
    queued(node)
    job = complete(node, taken(node)["attempt"]["id"])["job"]
    assert text_of(node, job["result_ref"]) == "null" and job["executor"] == "w1" and job["result_artifacts"] == {}


def test_a_failure_with_budget_left_is_tried_again_and_one_without_is_final(node: TrialNode) -> None:
    job = queued(node, metadata={"max_attempts": 2})
    first = fail(node, taken(node)["attempt"]["id"], error="exit 1")
    assert (first["status"], first["job"]["status"], first["queue_message"]["status"], first["queue_message"]["last_error"]) == (
        "retry_wait", "retry_wait", "queued", "exit 1")
    assert first["job"]["lease"] == {} and first["job"]["metadata"]["retry_scheduled_at"]
    second = fail(node, taken(node)["attempt"]["id"])
    assert (second["status"], second["attempt"]["error"], second["queue_message"]["queue_name"]) == (
        "failed", "job attempt failed", "default.dlq")
    message = second["queue_message"]
    now = int(node.clock.time())
    assert instant_seconds(message["replay_deadline_at"]) == now + 86_400
    assert instant_seconds(message["retention_deadline_at"]) == now + 604_800
    found = job_of(node, job["id"])
    assert [each["status"] for each in found["attempts"]] == ["failed", "failed"] and found["queue"]["delivery_attempts"] == 2
    assert [event["event_type"] for event in events(node, "mesh.job.", "mesh.queue.")][-6:] == [
        "mesh.job.retry_scheduled", "mesh.queue.nacked", "mesh.job.claimed", "mesh.queue.claimed", "mesh.job.failed",
        "mesh.queue.dead_lettered"]


def test_a_failure_that_is_not_retryable_ends_the_job_although_budget_is_left(node: TrialNode) -> None:
    queued(node, metadata={"max_attempts": 5})
    told = fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"exit_code": 9})
    assert told["status"] == "failed" and told["attempt"]["metadata"]["exit_code"] == 9
    assert act(node, told["attempt"], "fail", retryable="perhaps").json["error"] == "retryable must be a boolean"


def test_a_failure_with_a_checkpoint_waits_to_be_resumed(node: TrialNode) -> None:
    resumable(node)
    told = fail(node, taken(node)["attempt"]["id"], error="stopped", retryable=False, metadata={"checkpoint": {"cursor": 11}})
    job = told["job"]
    assert told["status"] == job["status"] == "checkpointed" and told["queue_message"]["status"] == "dead_letter"
    assert told["queue_message"]["replay_deadline_at"] == "" and told["queue_message"]["retention_deadline_at"]
    assert job["latest_checkpoint_ref"]["id"] == job["resume_checkpoint_ref"]["id"] and job["recovery"]["resumable"] is True
    assert text_of(node, job["latest_checkpoint_ref"]) == '{"cursor": 11}'
    assert told["attempt"]["metadata"]["checkpoint_ref"]["id"] == job["latest_checkpoint_ref"]["id"]
    assert "checkpoint" not in told["attempt"]["metadata"]


def test_a_checkpoint_that_is_named_must_be_one_of_this_job(node: TrialNode) -> None:
    resumable(node)
    first = fail(node, taken(node)["attempt"]["id"], metadata={"checkpoint": 1}, retryable=False)["job"]
    own = first["latest_checkpoint_ref"]["id"]
    resumable(node)
    attempt = taken(node)["attempt"]
    refused(act(node, attempt, "fail", metadata={"checkpoint_ref": {"id": own}}), 409, "invalid_state",
            "checkpoint artifact does not belong to job")
    refused(act(node, attempt, "fail", metadata={"checkpoint_ref": {"id": "forged"}}), 404, "not_found",
            "checkpoint artifact not found")
    refused(act(node, attempt, "fail", metadata={"checkpoint_ref": {"id": first["latest_checkpoint_ref"]["id"], "digest": "x"}}),
            409, "invalid_state",
            "checkpoint artifact does not belong to job")
    assert act(node, attempt, "fail").status == 200


def test_a_retry_goes_on_from_a_checkpoint_where_the_policy_says_so(node: TrialNode) -> None:
    job = queued(node, metadata={"resumable": True, "max_attempts": 2})
    told = fail(node, taken(node)["attempt"]["id"], metadata={"checkpoint": {"at": 1}})
    assert told["status"] == "retry_wait" and told["job"]["resume_checkpoint_ref"]["id"]
    again = taken(node)
    assert again["job"]["status"] == "resuming" and again["job"]["resume_count"] == 1
    assert again["job"]["last_resumed_by"] == "w1" and again["job"]["last_resume_reason"] == "automatic_retry_resume"
    done = complete(node, again["attempt"]["id"])
    assert done["job"]["resume_checkpoint_ref"] == {} and done["job"]["id"] == job["id"]


def test_retries_wait_as_the_job_asked(node: TrialNode) -> None:
    queued(node, metadata={"retry_policy": {"max_attempts": 3, "backoff_seconds": 10}})
    told = fail(node, taken(node)["attempt"]["id"])
    wait = instant_seconds(told["queue_message"]["available_at"]) - int(node.clock.time())
    assert 8 <= wait <= 12
    assert claim(node)["reason"] == "no_jobs" and claim(node, job_id=told["job"]["id"])["reason"] == "job_unavailable"
    node.advance(13)
    assert claim(node)["status"] == "claimed"


# --- words that come twice, late, or from somebody else

def test_the_same_outcome_told_twice_is_taken_once(node: TrialNode) -> None:
    queued(node), queued(node)
    done, broken = taken(node)["attempt"], None
    first = complete(node, done["id"], result={"n": 1})
    again = complete(node, done["id"], result={"n": 2})
    assert again["deduped"] is True and again["job"]["result_ref"]["id"] == first["job"]["result_ref"]["id"]
    broken = taken(node)["attempt"]
    fail(node, broken["id"], error="first")
    repeated = fail(node, broken["id"], error="second")
    assert repeated["deduped"] is True and repeated["attempt"]["error"] == "first" and repeated["status"] == "failed"
    artifacts = node.get("/mesh/artifacts?limit=500").json["artifacts"]
    assert len([each for each in artifacts if each["metadata"].get("attempt_id") == done["id"]]) == 4
    assert len(events(node, "mesh.job.completed", "mesh.job.failed")) == 2


@pytest.mark.parametrize("before", ["completed", "failed", "expired", "cancelled"])
@pytest.mark.parametrize("word", ["heartbeat", "complete", "fail"])
def test_an_attempt_that_is_over_is_not_heard(node: TrialNode, before: str, word: str) -> None:
    job = queued(node, metadata={"max_attempts": 3})
    attempt = taken(node)["attempt"]
    if before == "completed":
        complete(node, attempt["id"])
    elif before == "failed":
        fail(node, attempt["id"])
    elif before == "expired":
        node.advance(301)
        node.until(lambda: job_of(node, job["id"])["attempts"][0]["status"] == "expired")
    else:
        node.post(f"/mesh/jobs/{job['id']}/cancel", {})
    if (word, before) in (("complete", "completed"), ("fail", "failed")):
        return
    stood = job_of(node, job["id"])
    body = refused(act(node, attempt, word), 409, "invalid_state", "attempt is not active")
    assert body["attempt"]["status"] == before and body["job"]["id"] == job["id"]
    assert job_of(node, job["id"]) == stood


def test_an_attempt_that_was_overtaken_cannot_take_the_job_back(node: TrialNode) -> None:
    queued(node)
    old = taken(node)["attempt"]
    node.advance(301)
    worker(node, "w2")
    new = taken(node, "w2")
    assert new["attempt"]["attempt_number"] == 2
    for word in ("heartbeat", "complete", "fail"):
        assert act(node, old, word).status == 409
    assert complete(node, new["attempt"]["id"])["job"]["status"] == "completed"


def test_a_heartbeat_after_the_deadline_is_too_late_even_before_anybody_looked(node: TrialNode) -> None:
    queued(node)
    attempt = taken(node)["attempt"]
    node.clock.advance(301)
    refused(act(node, attempt, "heartbeat"), 409, "invalid_state", "attempt is not active")


def test_a_worker_may_say_who_it_is_and_must_then_be_the_holder(node: TrialNode) -> None:
    queued(node)
    attempt = taken(node)["attempt"]
    for word in ("heartbeat", "complete", "fail"):
        refused(act(node, attempt, word, worker_id="w2"), 409, "conflict", "attempt belongs to another worker")
    assert act(node, attempt, "complete", worker_id="w1").status == 200


@pytest.mark.parametrize("word", ["heartbeat", "complete", "fail"])
def test_an_unknown_attempt_is_not_found(node: TrialNode, word: str) -> None:
    refused(act(node, {"id": "gone"}, word), 404, "not_found", "job attempt not found")


@pytest.mark.parametrize("word, body, text", [
    ("heartbeat", {"ttl_seconds": "long"}, "ttl_seconds must be an integer"),
    ("heartbeat", {"metadata": [1]}, "metadata must be an object"),
    ("complete", {"metadata": "x"}, "metadata must be an object"), ("complete", {"executor": 7}, "executor must be a string"),
    ("fail", {"error": {}}, "error must be a string"), ("fail", {"metadata": {"x": "y" * 300_000}},
                                                        "metadata must be at most 262144 bytes"),
])
def test_a_wrong_word_is_refused_clearly(node: TrialNode, word: str, body: Members, text: str) -> None:
    queued(node)
    refused(act(node, taken(node)["attempt"], word, **body), 400, "invalid_request", text)


def test_attempts_are_the_operators_to_tell_of(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        from tests.support.node import FROM_LAN
        for path in ("/mesh/jobs/attempts/x/heartbeat", "/mesh/jobs/attempts/x/complete", "/mesh/jobs/attempts/x/fail",
                     "/mesh/workers/w/claim",
                     "/mesh/workers/w/poll", "/mesh/workers/w/heartbeat", "/mesh/workers/register", "/mesh/queue/replay",
                     "/mesh/queue/ack-deadline"):
            assert node.post(path, {}, FROM_LAN).status == 401, path


def test_a_device_that_comes_and_goes_hints_where_to_go_on(tmp_path: Path) -> None:
    with TrialNode(tmp_path, device_class="light", network_profile="intermittent") as node:
        worker(node)
        resumable(node)
        told = fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"checkpoint": 1})
        hint = told["job"]["recovery"]["recovery_hint"]
        assert (hint["strategy"], hint["recommended_action"], hint["local_device_class"],
                hint["preferred_target_device_classes"]) == (
            "resume_on_stable_peer", "resume", "light", ["full", "relay"])
