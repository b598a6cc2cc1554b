"""Jobs on their way in: the forms, who may send them, and what is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.artifacts import AS_OPERATOR, TOKEN, store
from tests.support.jobs import events, fits, job_of, queued, refused, submit, submitted, text_of, until
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def sent(node: TrialNode, peer: TrialPeer, job: Members, headers: Any = None) -> Any:
    return peer.post(node, "/mesh/jobs/submit", {"job": job}, headers)


# --- forms

def test_the_documented_call_works_as_it_stands_on_a_fresh_node(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2) as node:
        answer = node.request("POST", "/mesh/jobs/submit", headers={"Content-Type": "application/json"},
                              raw=b'{"job":{"kind":"demo","command":"echo hello from ocp"}}')
        assert answer.status == 200 and answer.json["status"] == "completed"
        job = fits("mesh.jobs.submit", answer.json)["job"]
        assert (job["status"], job["kind"], job["spec"]["kind"], job["executor"]) == (
            "completed", "demo", "shell.command", "shell-worker")
        assert text_of(node, job["result_artifacts"]["stdout"]) == "hello from ocp\n"


def test_a_bare_job_is_taken_like_one_that_is_wrapped(node: TrialNode) -> None:
    answer = node.post("/mesh/jobs/submit", {"kind": "agent.echo", "payload": {"message": "bare"}, "request_id": "bare-1"})
    assert answer.status == 200 and answer.json["job"]["request_id"] == "bare-1"
    wrapped = submit(node, {"kind": "agent.echo", "message": "lifted"}, "wrapped-1")["job"]
    assert wrapped["request_id"] == "wrapped-1" and wrapped["payload_inline"] == {"message": "lifted"}
    assert wrapped["origin"] == wrapped["target"] == "trial-node"


@pytest.mark.parametrize("body, schema, paths", [
    ({}, "SignedEnvelope", ["$.request", "$.body"]), ({"request": {}}, "SignedEnvelope", None),
    ({"body": {}}, "SignedEnvelope", None),
    ({"jobs": 1}, "JobSubmissionRequest", None), ({"job": "text"}, "JobSubmissionRequest", None),
])
def test_a_body_in_no_known_form_is_measured_by_the_schema(node: TrialNode, body: Members, schema: str, paths: Any) -> None:
    answer = node.post("/mesh/jobs/submit", body)
    assert answer.status == 400 and answer.json["code"] == "protocol_validation"
    validation = answer.json["protocol_validation"]
    assert validation["schema_ref"] == schema
    if paths is not None:
        assert [issue["path"] for issue in validation["issues"]] == paths


@pytest.mark.parametrize("body", [{"job": {"kind": "demo", "command": "true"}}, {"kind": "demo", "command": "true"}])
def test_the_plain_forms_are_the_operators_alone(tmp_path: Path, body: Members) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN) as node:
        answer = node.post("/mesh/jobs/submit", body)
        assert answer.status == 401 and answer.json["error"] == "operator authorization required"
        assert "WWW-Authenticate" not in answer.json
        assert answer.json["method"] == "POST" and answer.json["path"] == "/mesh/jobs/submit"
        assert node.post("/mesh/jobs/submit", body, {"X-OCP-Operator-Token": "wrong"}).status == 401
        assert node.post("/mesh/jobs/submit", body, AS_OPERATOR).status == 200


def test_guessing_the_token_here_is_counted_as_anywhere(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN) as node:
        statuses = [node.post("/mesh/jobs/submit", {"kind": "demo"}, {"X-OCP-Operator-Token": f"guess-{number}"}).status
                    for number in range(25)]
        assert statuses[0] == 401 and statuses[-1] == 429


def test_neither_the_network_nor_a_foreign_page_can_submit_the_plain_forms(node: TrialNode) -> None:
    body = {"kind": "demo", "command": "true"}
    assert node.post("/mesh/jobs/submit", body, FROM_LAN).status == 401
    assert node.post("/mesh/jobs/submit", body, {"Origin": "http://evil.example"}).status == 403
    assert node.post("/mesh/jobs/submit", body, {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert node.request("POST", "/mesh/jobs/submit", headers={"Content-Type": "text/plain"},
                        raw=b'{"kind":"demo","command":"true"}').status == 415
    assert node.get("/mesh/queue/metrics").json["counts"]["queued"] == 0


def test_a_form_with_both_halves_of_an_envelope_never_falls_back_to_the_operator(node: TrialNode) -> None:
    body = {"request": {"node_id": "x"}, "body": {"job": {"kind": "demo", "command": "true"}}, "kind": "demo", "command": "true"}
    assert node.post("/mesh/jobs/submit", body).json["code"] == "protocol_validation"


# --- inline

def test_an_echo_completes_while_its_sender_waits(node: TrialNode) -> None:
    job = submit(node, {"kind": "agent.echo", "payload": {"message": "hello"}}, "echo-1")["job"]
    assert job["status"] == "completed" and job["executor"] == "agent-runtime" and job["attempts"] == [] and job["queue"] == {}
    assert node.get(f"/mesh/artifacts/{job['result_ref']['id']}").status == 200
    assert text_of(node, job["result_ref"]) == '{"echo": {"message": "hello"}, "status": "ok"}'
    assert job["lease"]["status"] == "completed" and job["metadata"]["submitted_by"] == "trial-node"
    told = [event["event_type"] for event in events(node, "mesh.job", "mesh.lease")]
    assert told == ["mesh.lease.acquired", "mesh.job.accepted", "mesh.lease.released", "mesh.job.completed"]


def test_a_failed_inline_job_tells_its_caller_which_job_failed(node: TrialNode) -> None:
    answer = submitted(node, {"kind": "demo", "command": "echo out; echo boom >&2; exit 3"})
    body = refused(answer, 400, "job_failed", "shell.command exited with code 3: boom")
    job = job_of(node, body["job"]["id"])
    assert job["status"] == "failed" and job["metadata"]["error"] == body["error"] and job["lease"]["status"] == "failed"
    assert [event["payload"]["error"] for event in events(node, "mesh.job.failed")] == [body["error"]]


@pytest.mark.parametrize("kind, text", [
    ("host.runtime.trigger", "metabolism executor unavailable"), ("mirror.metabolism.trigger", "metabolism executor unavailable"),
    ("swarm.submit", "swarm gateway unavailable"), ("golem.render", "golem adapter is not enabled on this organism"),
    ("no.such.kind", "unsupported mesh job kind: no.such.kind"),
])
def test_a_kind_that_this_node_has_no_lane_for_fails_clearly(node: TrialNode, kind: str, text: str) -> None:
    body = refused(submitted(node, {"kind": kind}), 400, "unsupported", text)
    assert body["job"]["status"] == "failed"


def test_a_repeated_request_is_answered_with_the_job_it_made(node: TrialNode) -> None:
    first = submit(node, {"kind": "demo", "command": "echo once >> once.txt"}, "again-1")
    second = submit(node, {"kind": "demo", "command": "something else"}, "again-1")
    assert second["status"] == "completed" and second["job"]["id"] == first["job"]["id"] and second["job"]["deduped"] is True
    assert (Path(node.settings.workspace_root) / "once.txt").read_text() == "once\n"
    broken = submit(node, {"kind": ""}, "again-1")
    assert broken["job"]["id"] == first["job"]["id"]


def test_one_request_that_comes_three_times_at_once_runs_once(node: TrialNode) -> None:
    answers: list[Any] = []

    def send() -> None:
        answers.append(submitted(node, {"kind": "demo", "command": "echo x >> count.txt; sleep 0.3"}, "burst-1"))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert {answer.json["status"] for answer in answers} == {"completed"}
    assert len({answer.json["job"]["id"] for answer in answers}) == 1
    assert (Path(node.settings.workspace_root) / "count.txt").read_text() == "x\n"


def test_inline_runs_beyond_the_bound_wait_for_a_place_and_are_turned_away_after_ten_seconds(tmp_path: Path) -> None:
    with TrialNode(tmp_path, max_inline_runs=1) as node:
        answers: dict[str, Any] = {}

        def send(name: str, command: str) -> threading.Thread:
            job = {"kind": "demo", "command": command}
            thread = threading.Thread(target=lambda: answers.update({name: submitted(node, job, name)}))
            thread.start()
            return thread

        release = Path(node.settings.workspace_root) / "go"
        first = send("first", "while [ ! -e go ]; do sleep 0.02; done")
        node.until(lambda: node.rooms["mesh.jobs"]._runs is not None and node.rooms["mesh.jobs"].runs.count() == 1)
        node.until(release.parent.is_dir)                # it has begun
        second = send("second", "echo second")
        inline = node.rooms["mesh.jobs"].inline
        node.until(lambda: len(inline._line) == 1)
        node.advance(11.0)
        second.join(20)
        refused(answers["second"], 503, "busy", "node is busy")
        assert answers["second"].headers["retry-after"]
        third = send("third", "echo third")
        node.until(lambda: len(inline._line) == 1)
        release.write_text("")
        first.join(20), third.join(20)
        assert answers["first"].json["status"] == answers["third"].json["status"] == "completed"
        assert node.post("/mesh/jobs/submit", {"kind": "agent.echo", "request_id": "second"}).json["job"]["kind"] == "agent.echo"


# --- queued

def test_a_queued_job_waits_with_its_message(node: TrialNode) -> None:
    answer = submit(node, {"kind": "shell.command", "payload": {"command": ["/bin/echo", "queued"]},
                           "placement": {"queue_class": "batch"},
                           "requirements": {"resources": {"cpu": 0.5, "memory_mb": 64}},
                           "metadata": {"retry_policy": {"max_attempts": 2}},
                           "artifact_outputs": [{"name": "stdout-log"}]}, "q-1")
    job, message = answer["job"], answer["queue_message"]
    assert answer["status"] == job["status"] == "queued" and job["queue"] == message
    assert (message["queue_name"], message["status"], message["delivery_attempts"], message["dead_letter_queue"]) == (
        "batch", "queued", 0, "batch.dlq")
    assert job["metadata"]["job_spec"] == job["spec"] and job["spec"]["artifacts"]["outputs"] == [{"name": "stdout-log"}]
    assert job["requirements"] == {"capabilities": ["shell"], "resources": {"cpu": 0.5, "memory_mb": 64},
                                   "placement": {"queue_class": "batch"}}
    assert job["metadata"]["queue_policy"] == {"ack_deadline_seconds": 300, "retention_seconds": 604800,
                                               "replay_window_seconds": 86400,
                                               "dead_letter_queue": "batch.dlq"}
    assert [event["event_type"] for event in events(node, "mesh.job", "mesh.queue")] == ["mesh.job.queued", "mesh.queue.enqueued"]


def test_a_dedupe_key_finds_the_live_job_of_the_same_sender_and_queue(node: TrialNode) -> None:
    first = queued(node, dedupe_key="same")
    again = submit(node, {"kind": "shell.command", "payload": {"command": "false"}, "dedupe_key": "same"})
    assert again["deduped"] is True and again["job"]["id"] == first["id"] and "deduped" not in again["job"]
    other = submit(node, {"kind": "shell.command", "payload": {"command": "false"}, "dedupe_key": "same", "queue": "elsewhere"})
    assert other["job"]["id"] != first["id"]
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    theirs = sent(node, peer, {"kind": "agent.echo", "dispatch_mode": "queued", "dedupe_key": "same"}).json
    assert theirs["status"] == "queued" and theirs["job"]["origin"] == "beta-node"
    assert node.post(f"/mesh/jobs/{first['id']}/cancel", {}).status == 200
    assert queued(node, dedupe_key="same")["id"] != first["id"]
    assert len(events(node, "mesh.queue.deduped")) == 1


def test_a_missing_capability_rejects_the_job_and_keeps_it_to_be_looked_at(node: TrialNode) -> None:
    answer = submit(node, {"kind": "agent.echo", "requirements": {"capabilities": ["golem-provider"]}})
    assert answer["status"] == "rejected" and answer["job"]["metadata"]["reason"] == "requirements_unmet"
    assert answer["job"]["metadata"]["job_spec"]["requirements"]["capabilities"] == ["golem-provider"]
    assert [event["payload"]["reason"] for event in events(node, "mesh.job.rejected")] == ["requirements_unmet"]


def test_what_is_wrong_with_a_job_is_told_and_nothing_is_kept(node: TrialNode) -> None:
    refused(submitted(node, {"kind": ""}), 400, "invalid_request", "job.kind is required")
    refused(submitted(node, {"kind": "shell.command"}), 400, "invalid_request", "shell.command requires payload.command")
    refused(submitted(node, {"kind": "agent.echo"}, "r" * 129), 400, "invalid_request",
            "request_id must be at most 128 characters")
    assert events(node, "mesh.job") == []


def test_a_payload_can_be_an_artifact(node: TrialNode) -> None:
    command = store(node, b'{"command": "echo from artifact"}', media_type="application/json")
    job = submit(node, {"kind": "shell.command", "dispatch_mode": "inline", "payload_ref": {"id": command["id"]}})["job"]
    assert text_of(node, job["result_artifacts"]["stdout"]) == "from artifact\n"
    assert job["payload_ref"] == {"id": command["id"]}
    text = store(node, b"no json")
    echo = submit(node, {"kind": "agent.echo", "payload_ref": {"id": text["id"]}})["job"]
    assert text_of(node, echo["result_ref"]) == '{"echo": {"raw_text": "no json"}, "status": "ok"}'
    refused(submitted(node, {"kind": "agent.echo", "payload_ref": {"id": "nope"}}), 404, "not_found", "artifact not found")


def test_a_job_that_does_not_exist_is_not_found(node: TrialNode) -> None:
    refused(node.get("/mesh/jobs/unknown"), 404, "not_found", "job not found")


# --- peers

def test_a_trusted_peers_echo_is_done_and_its_lease_is_the_peers(node: TrialNode) -> None:
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    answer = sent(node, peer, {"kind": "agent.echo", "payload": {"message": "x"}, "origin": "forged-node"})
    assert answer.status == 200 and answer.json["status"] == "completed"
    job = answer.json["job"]
    assert job["origin"] == "beta-node" and job["lease"]["peer_id"] == "beta-node"
    assert job["metadata"]["submitted_by"] == "beta-node"


def test_an_envelope_is_taken_once(node: TrialNode) -> None:
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    envelope = peer.sign(node, "/mesh/jobs/submit", {"job": {"kind": "agent.echo"}})
    assert node.post("/mesh/jobs/submit", envelope).status == 200
    refused(node.post("/mesh/jobs/submit", envelope), 409, "replayed_nonce", "nonce already seen for peer beta-node")
    other = peer.sign(node, "/mesh/agents/handoff", {"job": {"kind": "agent.echo"}})
    assert node.post("/mesh/jobs/submit", other).json["code"] == "bad_signature"


@pytest.mark.parametrize("tier, classification, status, reason", [
    ("market", "private", "rejected", "policy_denied"), ("market", "trusted", "rejected", "policy_denied"),
    ("market", "public", "completed", None), ("public", "public", "completed", None), ("partner", "private", "completed", None),
])
def test_a_tier_says_which_data_a_peer_may_send(node: TrialNode, tier: str, classification: str, status: str,
                                                reason: Any) -> None:
    peer = TrialPeer(f"{tier}-node")
    peer.shakes_hands(node, trust_tier=tier)
    answer = sent(node, peer, {"kind": "agent.echo", "policy": {"classification": classification},
                               "payload": {"message": "x"}}).json
    assert answer["status"] == status and answer["job"]["metadata"].get("reason") == reason


CODE = [{"kind": "shell.command", "payload": {"command": "touch ran"}},
        {"kind": "python.inline", "payload": {"code": "open('ran','w')"}},
        {"kind": "docker.container", "payload": {"image": "x"}},
        {"kind": "wasm.component", "payload": {"component_ref": {"id": "x"}}},
        {"kind": "demo", "payload": {"command": "touch ran"}}, {"kind": "SHELL.Command", "payload": {"command": "touch ran"}}]


@pytest.mark.parametrize("job", CODE, ids=lambda job: job["kind"])
@pytest.mark.parametrize("mode", ["inline", "queued"])
def test_strangers_and_peers_beyond_this_machine_run_nothing(tmp_path: Path, job: Members, mode: str) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), workers=1, peer_admission="declared") as node:
        peer = TrialPeer("lan-node")
        peer.shakes_hands(node, FROM_LAN)
        answer = sent(node, peer, {**job, "dispatch_mode": mode}, FROM_LAN)
        assert answer.status == 200 and answer.json["status"] == "rejected", answer
        assert job_of(node, answer.json["job"]["id"])["metadata"]["reason"] == "remote_execution_denied"
        market = TrialPeer("market-node")
        market.shakes_hands(node, trust_tier="market")
        public = sent(node, market, {**job, "dispatch_mode": mode, "policy": {"classification": "public"}})
        assert public.json["status"] == "rejected" and public.json["job"]["metadata"]["reason"] == "remote_execution_denied"
        assert not (Path(node.settings.workspace_root) / "ran").exists()
        assert node.get("/mesh/queue/metrics").json["counts"] == {"queued": 0, "inflight": 0, "acked": 0, "dead_letter": 0,
                                                                  "cancelled": 0}


def test_an_envelope_for_another_node_is_not_replayed_here(node: TrialNode) -> None:
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    job = {"kind": "agent.echo", "payload": {"message": "x"}}
    answer = sent(node, peer, {**job, "target": "gamma-node"})
    assert (answer.status, answer.json["error"], answer.json["code"]) == (403, "job is for another node", "policy_denied")
    assert events(node, "mesh.job") == []
    assert sent(node, peer, {**job, "target": 5}).json["error"] == "job.target must be a string"
    assert sent(node, peer, {**job, "target": node.core.identity.node_id}).json["status"] == "completed"
    assert sent(node, peer, {**job, "target": ""}).json["status"] == "completed"


def test_an_unknown_sender_is_refused_before_anything_is_kept(node: TrialNode) -> None:
    answer = sent(node, TrialPeer("stranger-node"), {"kind": "demo", "command": "true"})
    assert answer.status == 401 and answer.json["code"] == "unknown_peer"
    assert events(node, "mesh.job") == []


def test_code_of_a_trusted_peer_runs_from_this_machine_or_where_it_was_switched_on(node: TrialNode) -> None:
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    job = {"kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": "echo ran"}}
    assert sent(node, peer, job).json["status"] == "completed"
    assert sent(node, peer, job, FROM_LAN).json["status"] == "rejected"
    assert node.post("/mesh/peers/beta-node/trust", {"remote_execution": True}).status == 200
    assert sent(node, peer, job, FROM_LAN).json["status"] == "completed"
    assert node.post("/mesh/peers/beta-node/trust", {"remote_execution": False}).status == 200
    assert sent(node, peer, job).json["status"] == "rejected"


def test_a_peer_cannot_see_or_squat_the_request_ids_of_another(node: TrialNode) -> None:
    one, other = TrialPeer("one-node"), TrialPeer("other-node")
    one.shakes_hands(node), other.shakes_hands(node)
    envelopes = [peer.sign(node, "/mesh/jobs/submit", {"job": {"kind": "agent.echo", "payload": {"of": peer.node_id}}})
                 for peer in (one, other)]
    from ocp_node.base.ids import Ids
    from ocp_node.crypto import envelopes as protocol
    bodies = [envelope["body"] for envelope in envelopes]
    same = [protocol.sign_envelope(peer.identity, "/mesh/jobs/submit", body, node.clock, Ids(), "the-same-id")
            for peer, body in zip((one, other), bodies, strict=True)]
    found = [node.post("/mesh/jobs/submit", envelope).json["job"] for envelope in same]
    assert found[0]["id"] != found[1]["id"] and found[1]["payload_inline"] == {"of": "other-node"}
    mine = submit(node, {"kind": "agent.echo"}, "the-same-id")["job"]
    assert mine["id"] not in (found[0]["id"], found[1]["id"])


def test_a_peer_cannot_have_an_artifact_as_payload_that_it_may_not_read(node: TrialNode) -> None:
    market, partner = TrialPeer("market-node"), TrialPeer("partner-node")
    market.shakes_hands(node, trust_tier="market"), partner.shakes_hands(node, trust_tier="partner")
    found = {name: store(node, b'{"m": 1}', policy={"classification": name}) for name in ("public", "trusted", "private")}
    statuses = {(peer.node_id, name): sent(node, peer, {"kind": "agent.echo", "policy": {"classification": "public"},
                                                        "origin": "",
                                                         "payload_ref": {"id": artifact["id"]}}).status
                for peer in (market, partner) for name, artifact in found.items()}
    assert statuses == {("market-node", "public"): 200, ("market-node", "trusted"): 403, ("market-node", "private"): 403,
                        ("partner-node", "public"): 200, ("partner-node", "trusted"): 200, ("partner-node", "private"): 403}


# --- who sees what

def test_callers_from_the_network_see_a_job_without_its_code_and_can_still_follow_it(node: TrialNode) -> None:
    job = submit(node, {"kind": "demo", "command": "echo hidden-word", "env": {"A": "hidden-word"}})["job"]
    seen = job_of(node, job["id"], FROM_LAN)
    assert "hidden-word" not in repr(seen) and "payload_inline" not in seen and "command" not in seen["spec"]["execution"]
    assert seen["status"] == "completed" and seen["result_ref"]["digest"] == job["result_ref"]["digest"]
    assert job_of(node, job["id"])["payload_inline"]["command"] == "echo hidden-word"


def test_no_answer_shows_a_lock_token(node: TrialNode) -> None:
    job = submit(node, {"kind": "agent.echo"})["job"]
    assert "lock_token" not in repr(job) and "registry_lock" not in repr(job)


# --- approvals

def asked_for(node: TrialNode, **more: Any) -> tuple[Members, Members]:
    job = submit(node, {"kind": "demo", "command": "echo approved", "policy": {"approval_required": True}, **more})["job"]
    return job, node.get("/mesh/approvals").json["approvals"][0]


def test_a_job_that_asks_for_an_approval_waits_for_it_whatever_its_dispatch(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job, approval = asked_for(node)
        assert job["status"] == "queued"
        assert job["queue"]["metadata"]["hold"] == {"reason": "approval_pending", "approval_id": approval["id"]}
        assert approval["related_job_id"] == job["id"] and approval["request_id"] == f"job-approval-{job['id']}"
        node.post("/mesh/workers/register", {"worker_id": "w1", "capabilities": ["worker-runtime"]})
        assert node.post("/mesh/workers/w1/claim", {}).json["reason"] == "no_jobs"
        held = node.post("/mesh/workers/w1/claim", {"job_id": job["id"]}).json
        assert (held["status"], held["reason"], held["job"]["id"]) == ("idle", "approval_pending", job["id"])
        answer = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"}).json
        assert answer["automation"] == {"status": "applied", "job_id": job["id"], "action": "released"}
        assert text_of(node, until(node, job["id"], "completed")["result_artifacts"]["stdout"]) == "approved\n"
        assert [event["payload"]["job_id"] for event in events(node, "mesh.job.approval_granted")] == [job["id"]]


@pytest.mark.parametrize("decision, status, message, action, reason", [
    ("rejected", "rejected", "cancelled", "rejected", "approval_rejected"), ("deferred", "queued", "queued", "held", None)])
def test_a_decision_against_the_job_rejects_it_and_a_deferral_holds_it(node: TrialNode, decision: str, status: str, message: str,
                                                                       action: str,
                                                                       reason: Any) -> None:
    job, approval = asked_for(node, metadata={"approval": {"required": True, "severity": "high"}})
    assert approval["severity"] == "high"
    answer = node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": decision}).json
    assert answer["automation"]["action"] == action
    found = job_of(node, job["id"])
    assert (found["status"], found["queue"]["status"], found["metadata"].get("reason")) == (status, message, reason)


def test_an_approval_that_nobody_gives_rejects_the_job_when_it_expires(node: TrialNode) -> None:
    from ocp_node.base.clock import instant_text
    at = instant_text(node.clock.time() + 60)
    job, _ = asked_for(node, metadata={"approval": {"required": True, "expires_at": at}})
    node.advance(120)
    found = until(node, job["id"], "rejected")
    assert found["metadata"]["reason"] == "approval_expired" and found["queue"]["status"] == "cancelled"
