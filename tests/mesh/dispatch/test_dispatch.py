"""A job goes to a peer once, is remembered and followed, and is steered by the node that sent it; peers that lie gain nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from tests.support.artifacts import store
from tests.support.jobs import complete, events, fail, fits, job_of, queued, refused, taken, text_of, worker
from tests.support.mesh import claimed_job, connect, pair, scripted_peer
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer

Members = dict[str, Any]
ECHO: Members = {"kind": "agent.echo", "payload": {"message": "there"}}
WAITS: Members = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": "true"}}
RESUMABLE: Members = {**WAITS, "metadata": {"resumability": {"enabled": True}}}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[TrialNode, TrialNode]]:
    with pair(tmp_path) as nodes:
        worker(nodes[1])
        yield nodes


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def send(node: TrialNode, job: Members, request_id: str = "r-1", peer_id: str = "beta-node", **more: Any) -> Members:
    return node.rooms["mesh.dispatch"].send(peer_id, job, request_id, **more)


def refusal(node: TrialNode, job: Members = ECHO, peer_id: str = "liar-node", request_id: str = "r-1", **more: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        send(node, job, request_id, peer_id, **more)
    return found.value


# --- sending

def test_an_inline_job_is_done_by_the_peer_and_remembered_here(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    answer = send(alpha, ECHO)
    assert answer["status"] == "completed" and answer["job"]["origin"] == "alpha-node" and answer["job"]["target"] == "beta-node"
    there, here = job_of(beta, answer["job"]["id"]), job_of(alpha, answer["job"]["id"])
    assert here["status"] == "completed" and here["remote"] is True and here["remote_peer_id"] == "beta-node"
    assert here["result_ref"]["id"] == there["result_ref"]["id"] and there["request_id"] == "r-1" and "remote" not in there
    told = events(alpha, "mesh.job.sent")
    assert [(each["peer_id"], each["request_id"], each["payload"]["job_kind"], each["payload"]["status"]) for each in told] == [
        ("beta-node", "r-1", "agent.echo", "completed")]


def test_the_same_request_is_one_job_at_the_peer(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    first, again = send(alpha, WAITS), send(alpha, WAITS)
    assert first["job"]["id"] == again["job"]["id"] and "deduped" not in first and again["deduped"] is True
    assert beta.get("/mesh/queue").json["count"] == 1 and len(events(alpha, "mesh.job.sent")) == 1


def test_a_job_that_failed_at_the_peer_is_refused_with_the_job(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    found = refusal(alpha, {"kind": "golem.render"}, "beta-node")
    assert (found.code, found.message) == ("peer_refused", "peer refused: golem adapter is not enabled on this organism")
    assert found.detail["peer_id"] == "beta-node" and found.detail["peer_status"] == 400
    assert found.detail["job"]["status"] == "failed" == job_of(beta, found.detail["job"]["id"])["status"]
    assert job_of(alpha, found.detail["job"]["id"])["metadata"]["error"]


def test_a_peer_says_itself_what_is_wrong_with_a_job(two: tuple[TrialNode, TrialNode]) -> None:
    found = refusal(two[0], {**WAITS, "payload": {}}, "beta-node")
    assert found.message == "peer refused: shell.command requires payload.command" and "job" not in found.detail


def test_a_job_that_the_peer_rejects_is_an_answer(two: tuple[TrialNode, TrialNode]) -> None:
    answer = send(two[0], {**ECHO, "requirements": {"capabilities": ["none-such"]}})
    assert answer["status"] == "rejected" == job_of(two[0], answer["job"]["id"])["status"]


@pytest.mark.parametrize(("job", "mode"), [
    ({**ECHO, "payload": {"timeout_seconds": 11}}, "inline"), ({**ECHO, "payload": {"timeout_seconds": 13}}, "queued"),
    ({"kind": "demo", "payload": {"command": "true", "timeout_seconds": 31}}, "queued")])
def test_work_longer_than_a_call_is_queued_and_followed(two: tuple[TrialNode, TrialNode], job: Members, mode: str) -> None:
    answer = send(two[0], job)
    assert answer["job"]["dispatch_mode"] == mode and (answer["status"] == "queued") is (mode == "queued")


def test_an_answer_that_was_lost_is_asked_for_again(node: TrialNode) -> None:
    asked: list[Members] = []

    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        asked.append(body["request"])
        return {"status": "queued", "job": claimed_job()} if len(asked) > 1 else b"no answer"

    with scripted_peer(node, answer):
        assert send(node, ECHO, peer_id="liar-node")["status"] == "queued"
    assert asked[0]["request_id"] == asked[1]["request_id"] == "r-1" and asked[0]["nonce"] != asked[1]["nonce"]


def test_work_that_takes_longer_than_a_call_goes_on_and_is_followed(two: tuple[TrialNode, TrialNode], tmp_path: Path) -> None:
    alpha, beta = two
    go = tmp_path / "go"
    job = {"kind": "demo", "payload": {"command": f"until test -e {go}; do sleep 0.05; done; echo done"}}
    answer = send(alpha, job, timeout=0.5)
    assert answer["status"] == "running" == job_of(alpha, answer["job"]["id"])["status"] and answer["job"]["deduped"] is True
    go.write_text("")
    beta.until(lambda: job_of(beta, answer["job"]["id"])["status"] == "completed", "the end of the job")
    assert job_of(alpha, answer["job"]["id"])["status"] == "completed"
    assert len(events(beta, "mesh.job.accepted")) == 1


def test_an_order_whose_answer_was_lost_is_carried_out_once(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    calls, lost = alpha.rooms["mesh.calls"], []
    signed = calls.signed

    def lossy(*arguments: Any, **named: Any) -> Members:
        found = signed(*arguments, **named)
        if not lost:
            lost.append(True)
            raise Refusal("peer_unreachable", "the connection was reset")
        return found

    calls.signed = lossy
    answer = alpha.rooms["mesh.dispatch"].control("beta-node", job_id, "restart", {})
    assert answer["queue_message"]["metadata"]["recovery_count"] == 1 and len(events(beta, "mesh.job.restarted")) == 1


def test_an_address_that_leads_nowhere_is_followed_by_the_next(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    alpha.core.writer.run(lambda connection: alpha.rooms["mesh.peers"].set_metadata(
        connection, "beta-node", {"last_reachable_base_url": "http://127.0.0.2:9"}))
    assert send(alpha, ECHO)["status"] == "completed"


def test_another_node_at_the_peers_address_does_not_take_the_job(two: tuple[TrialNode, TrialNode], tmp_path: Path) -> None:
    alpha, _ = two
    with TrialNode(tmp_path / "other", clock=alpha.clock, node_id="other-node") as other:
        connect(alpha, other.url)
        found = refusal(alpha, ECHO, "beta-node", base_url=other.url, loopback=True)
        assert found.message == "peer refused: job is for another node"
        assert events(other, "mesh.job.") == []


def test_an_unknown_peer_and_a_blocked_one_are_not_called(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    found = refusal(alpha, peer_id="ghost-node")
    assert (found.code, found.message) == ("not_found", "peer endpoint_url is unavailable")
    alpha.post("/mesh/peers/beta-node/trust", {"trust_tier": "blocked"})
    found = refusal(alpha, peer_id="beta-node")
    assert (found.code, found.message) == ("policy_denied", "peer beta-node is blocked")
    assert events(beta, "mesh.job.") == []


@pytest.mark.parametrize(("tier", "classification", "goes"), [
    ("trusted", "private", True), ("partner", "trusted", True), ("market", "trusted", False), ("public", "", False),
    ("market", "private", False), ("market", "public", True), ("public", "public", True)])
def test_what_is_not_for_everybody_does_not_leave_for_a_market(two: tuple[TrialNode, TrialNode], tier: str, classification: str,
                                                               goes: bool) -> None:
    alpha, beta = two
    alpha.post("/mesh/peers/beta-node/trust", {"trust_tier": tier})
    job = {**ECHO, "policy": {"classification": classification}}
    if goes:
        assert send(alpha, job)["status"] == "completed"
        return
    found = refusal(alpha, job, "beta-node")
    assert (found.code, found.message) == ("policy_denied", "job policy does not let it go to peer beta-node")
    assert events(beta, "mesh.job.") == []


def test_a_peer_that_is_gone_is_unreachable(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    beta.stop()
    assert refusal(alpha, ECHO, "beta-node").code == "peer_unreachable"


def test_our_operator_token_is_never_sent_to_a_peer(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token="a-secret-operator-token") as node, scripted_peer(
            node, lambda *_: {"status": "queued", "job": claimed_job()}) as server:
        send(node, ECHO, peer_id="liar-node")
        node.rooms["mesh.dispatch"].status_of("liar-node", ["claimed-1"])
        assert len(server.asked) >= 2 and "a-secret-operator-token" not in repr(server.asked)


# --- following

def test_a_job_at_a_peer_is_read_here_as_it_stands_there(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    assert job_of(alpha, job_id)["status"] == "queued"
    attempt = taken(beta)["attempt"]
    assert job_of(alpha, job_id, {"X-OCP-Control-Token": ""})["status"] == "running"
    complete(beta, attempt["id"], result={"stdout": "done"})
    found = job_of(alpha, job_id)
    assert found["status"] == "completed" and found["attempts"][0]["status"] == "completed" and found["result_ref"]["id"]
    assert [each["payload"]["status"] for each in events(alpha, "mesh.job.remote_changed")] == ["running", "completed"]
    beta.stop()
    assert job_of(alpha, job_id)["status"] == "completed"


def test_a_job_of_a_peer_that_is_gone_is_shown_as_last_seen(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    beta.stop()
    found = job_of(alpha, job_id)
    assert found["status"] == "queued" and found["remote"] is True and found["resolution_error"]


def test_a_job_at_a_peer_is_followed_without_anybody_asking(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    heard: list[str] = []
    alpha.rooms["mesh.dispatch"].on_changed(lambda connection, peer_id, job: heard.append(job["status"]))
    complete(beta, taken(beta)["attempt"]["id"])
    alpha.advance(5)
    alpha.until(lambda: alpha.rooms["mesh.dispatch"].known(job_id).status == "completed", "the end at the peer")
    assert heard == ["completed"]


def test_following_goes_on_after_a_restart(tmp_path: Path) -> None:
    with pair(tmp_path) as (alpha, beta):
        worker(beta)
        job_id = send(alpha, WAITS)["job"]["id"]
        alpha.stop()
        complete(beta, taken(beta)["attempt"]["id"])
        with TrialNode(tmp_path / "alpha", clock=alpha.clock, node_id="alpha-node") as again:
            again.advance(5)
            again.until(lambda: again.rooms["mesh.dispatch"].known(job_id).status == "completed", "the end at the peer")


def test_a_job_at_a_peer_that_shows_none_to_strangers_is_followed_by_who_sent_it(node: TrialNode) -> None:
    asked: list[Members] = []

    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        if method == "GET":
            return 401, {"error": "operator authorization required"}
        asked.append(body)
        return {"status": "queued", "job": claimed_job(status="queued" if len(asked) == 1 else "completed")}

    with scripted_peer(node, answer):
        send(node, ECHO, peer_id="liar-node")
        assert job_of(node, "claimed-1")["status"] == "completed"
    assert asked[1]["body"] == {"job": {"target": "liar-node"}} and asked[1]["request"]["request_id"] == "r-1"


def test_a_request_without_a_job_is_answered_with_the_job_it_made_and_makes_none(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    for request_id, status in (("r-1", 200), ("r-2", 400)):
        envelope = alpha.rooms["mesh.envelopes"].sign("/mesh/jobs/submit", {"job": {"target": "beta-node"}}, request_id)
        answer = beta.post("/mesh/jobs/submit", envelope)
        assert answer.status == status and (answer.json.get("job") or {}).get("id") == (job_id if status == 200 else None)
    assert beta.get("/mesh/queue").json["count"] == 1


def test_an_imported_log_tells_of_a_job_whose_peer_does_not_show_it(node: TrialNode) -> None:
    told = {"organism_id": "liar-node", "events": [
        {"seq": 1, "id": "e1", "event_type": "mesh.job.claimed", "payload": {"job_id": "claimed-1"}},
        {"seq": 2, "id": "e2", "event_type": "mesh.job.completed", "payload": {"job_id": "claimed-1"}},
        {"seq": 3, "id": "e3", "event_type": "mesh.job.failed", "payload": {"job_id": "another"}}]}

    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        if path.startswith("/mesh/stream"):
            return told
        return {"status": "queued", "job": claimed_job()} if method == "POST" else (500, {"error": "internal error"})

    with scripted_peer(node, answer):
        send(node, ECHO, peer_id="liar-node")
        assert job_of(node, "claimed-1")["resolution_error"].startswith("the peer refused")
        assert node.post("/mesh/peers/sync", {"peer_id": "liar-node"}).status == 200
        node.until(lambda: node.rooms["mesh.dispatch"].known("claimed-1").status == "completed", "what the log tells")


def test_a_peer_that_has_lost_a_job_has_failed_it(node: TrialNode) -> None:
    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        return {"status": "queued", "job": claimed_job()} if method == "POST" else (404, {"error": "job not found"})

    with scripted_peer(node, answer):
        send(node, ECHO, peer_id="liar-node")
        found = job_of(node, "claimed-1")
        assert found["status"] == "failed" and found["resolution_error"] == "job not found"


def test_states_of_many_jobs_are_found_together(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    ids = [send(alpha, WAITS, f"r-{number}")["job"]["id"] for number in range(6)]
    complete(beta, taken(beta, job_id=ids[3])["attempt"]["id"])
    found = alpha.rooms["mesh.dispatch"].status_of("beta-node", [*ids, "gone"])
    assert {job_id: job["status"] for job_id, job in found.items()} == {
        **dict.fromkeys(ids, "queued"), ids[3]: "completed"}
    assert alpha.rooms["mesh.dispatch"].status_of("other-node", ids) == {}


# --- steering

def test_a_job_at_a_peer_is_cancelled_resumed_and_restarted_from_here(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    dispatch = alpha.rooms["mesh.dispatch"]
    job_id = send(alpha, RESUMABLE)["job"]["id"]
    left = fail(beta, taken(beta)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})["job"]
    answer = dispatch.control("beta-node", job_id, "resume", {"reason": "go on", "operator_id": "somebody"})
    assert answer["status"] == "retry_wait" and answer["queue_message"]["status"] == "queued"
    assert answer["job"]["recovery"]["last_recovery_by"] == "alpha-node"
    answer = dispatch.control("beta-node", job_id, "resume-from-checkpoint",
                              {"checkpoint_artifact_id": left["latest_checkpoint_ref"]["id"]})
    assert answer["job"]["recovery"]["last_recovery_action"] == "resume_checkpoint"
    assert dispatch.control("beta-node", job_id, "restart", {})["job"]["resume_checkpoint_ref"] == {}
    assert dispatch.control("beta-node", job_id, "cancel", {"reason": "enough"})["status"] == "cancelled"
    assert job_of(beta, job_id)["metadata"]["reason"] == "enough" and dispatch.known(job_id).status == "cancelled"


@pytest.mark.parametrize("verb", ["cancel", "resume", "restart", "resume-from-checkpoint"])
def test_an_operators_order_about_a_job_at_a_peer_goes_on_to_it(two: tuple[TrialNode, TrialNode], verb: str) -> None:
    alpha, beta = two
    job_id = send(alpha, RESUMABLE)["job"]["id"]
    fail(beta, taken(beta)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})
    assert alpha.post(f"/mesh/jobs/{job_id}/{verb}", {}, FROM_LAN).status == 401
    thief = TrialPeer("thief-node")
    thief.shakes_hands(alpha)
    refused(thief.post(alpha, f"/mesh/jobs/{job_id}/{verb}", {}), 404, "not_found", "job not found")
    assert job_of(beta, job_id)["status"] == "checkpointed"
    answer = alpha.post(f"/mesh/jobs/{job_id}/{verb}", {"reason": "ours"})
    assert answer.status == 200, answer
    found = fits(f"mesh.jobs.{verb.replace('-', '_')}", answer.json)
    assert found["status"] == found["job"]["status"] == job_of(beta, job_id)["status"] == (
        "cancelled" if verb == "cancel" else "retry_wait")


def test_a_payload_in_an_artifact_goes_with_the_job(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    artifact = store(alpha, b'{"message": "from the artifact"}')
    answer = send(alpha, {"kind": "agent.echo", "payload_ref": {"id": artifact["id"]}})
    assert '"message": "from the artifact"' in text_of(beta, answer["job"]["result_ref"])
    assert refusal(alpha, {"kind": "agent.echo", "payload_ref": {"id": "gone"}}, "beta-node", request_id="r-2").message == (
        "peer refused: artifact not found")


@pytest.mark.parametrize(("classification", "tier"), [("private", "trusted"), ("private", "partner")])
def test_an_artifact_that_a_peer_may_not_read_is_not_sent_to_it(two: tuple[TrialNode, TrialNode], classification: str,
                                                                tier: str) -> None:
    alpha, beta = two
    alpha.post("/mesh/peers/beta-node/trust", {"trust_tier": tier})
    artifact = store(alpha, b'{"message": "not for everybody"}', policy={"classification": classification})
    found = refusal(alpha, {"kind": "agent.echo", "payload_ref": {"id": artifact["id"]}}, "beta-node")
    assert (found.code, found.message) == ("policy_denied", "artifact policy denies access for peer")
    assert events(beta, "mesh.job.") == []


def test_a_peer_takes_no_order_about_a_job_that_is_not_ours(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = queued(beta)["id"]
    with pytest.raises(Refusal) as found:
        alpha.rooms["mesh.dispatch"].control("beta-node", job_id, "cancel", {})
    assert (found.value.code, found.value.message) == ("peer_refused", "peer refused: job not found")
    assert job_of(beta, job_id)["status"] == "queued"


def test_jobs_at_peers_stay_known_however_much_has_happened_since(node: TrialNode) -> None:
    with scripted_peer(node, lambda method, *_: {"status": "queued", "job": claimed_job()} if method == "POST"
                       else claimed_job(status="completed")):
        send(node, ECHO, peer_id="liar-node")
        node.core.writer.run(lambda connection: connection.execute(
            "UPDATE sqlite_sequence SET seq = seq + 1000000 WHERE name <> 'mesh_remote_job'"))
        node.core.writer.run(lambda connection: connection.event("mesh.note", payload={}))
        assert job_of(node, "claimed-1")["status"] == "completed"
    assert node.rooms["mesh.dispatch"].known("claimed-1") is not None


def test_lost_jobs_take_no_place_among_those_that_are_followed(node: TrialNode) -> None:
    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        if method == "GET":
            return 404, {"error": "no"}
        return {"status": "queued", "job": claimed_job(body["request"]["request_id"])}

    with scripted_peer(node, answer):
        for number in range(3):
            send(node, ECHO, f"r-{number}", "liar-node")
            assert job_of(node, f"r-{number}")["status"] == "failed"
    assert node.rooms["mesh.dispatch"].following.count == 0


def test_a_peer_that_is_not_there_is_asked_once_for_all_its_jobs(node: TrialNode) -> None:
    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        return {"status": "queued", "job": claimed_job(body["request"]["request_id"])} if method == "POST" else b"not there"

    with scripted_peer(node, answer) as server:
        names = [f"r-{number}" for number in range(40)]
        for name in names:
            send(node, ECHO, name, "liar-node")
        node.advance(5)
        following = node.rooms["mesh.dispatch"].following
        node.until(lambda: all(following.trouble(name) for name in names), "a look at the peer")
        assert sum(method == "GET" for method, *_ in server.asked) == 1


def test_a_large_job_is_taken_answered_and_followed(two: tuple[TrialNode, TrialNode]) -> None:
    """The peer's answer says the whole job, in several places."""
    alpha, beta = two
    job = {**ECHO, "payload": {"message": "x" * 3_000_000}}
    assert send(alpha, job)["status"] == "completed"
    answer = send(alpha, {**WAITS, "payload": {"command": "true", "more": "x" * 3_000_000}}, "r-2")
    complete(beta, taken(beta)["attempt"]["id"])
    assert job_of(alpha, answer["job"]["id"])["status"] == "completed"


def test_peers_that_do_not_answer_hold_up_no_look_at_another(node: TrialNode) -> None:
    hold = threading.Event()

    def silent(method: str, path: str, headers: Members, body: Any) -> Any:
        if method == "GET":
            hold.wait(30)
        return {"status": "queued", "job": claimed_job(body["request"]["request_id"] if body else path.rpartition("/")[2])}

    names = [f"silent-{number}" for number in range(5)]
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(scripted_peer(node, silent, name)).quiet()
            send(node, ECHO, f"r-{name}", name)
        stack.enter_context(scripted_peer(node, lambda method, *_: {"status": "queued", "job": claimed_job()} if method == "POST"
                                          else claimed_job(status="completed")))
        send(node, ECHO, peer_id="liar-node")
        following = node.rooms["mesh.dispatch"].following
        following.look([(name, f"r-{name}") for name in names], 0.0)      # asked for first, and never answered
        following.look([("liar-node", "claimed-1")], 30.0)
        assert node.rooms["mesh.dispatch"].known("claimed-1").status == "completed"
        hold.set()


# --- peers that lie

@pytest.mark.parametrize("answer", [
    {}, {"status": "queued"}, {"status": "queued", "job": "claimed-1"}, {"status": "queued", "job": {"id": "claimed-1"}},
    {"status": "queued", "job": {**claimed_job(), "status": "finished"}}, {"status": "queued", "job": {**claimed_job(), "id": 7}},
    {"status": "queued", "job": claimed_job("x" * 201)}, {"status": "queued", "job": claimed_job("a\nb")}, [1], 7])
def test_an_answer_that_names_no_job_is_none(node: TrialNode, answer: Any) -> None:
    with scripted_peer(node, lambda *_: answer):
        assert refusal(node).code == "peer_unreachable"
    assert events(node, "mesh.job.sent") == []


def test_a_peer_cannot_claim_a_job_of_ours_or_of_another_peer(node: TrialNode) -> None:
    ours = queued(node)["id"]
    claims = {"liar-node": claimed_job(ours), "second-node": claimed_job("claimed-1")}
    with scripted_peer(node, lambda *_: {"status": "completed", "job": claims["liar-node"]}), \
            scripted_peer(node, lambda *_: {"status": "completed", "job": claims["second-node"]}, "second-node"):
        assert refusal(node).message == "the peer's answer names a job of another node"
        assert job_of(node, ours)["status"] == "queued" and "remote" not in job_of(node, ours)
        send(node, ECHO, peer_id="second-node")
        claims["liar-node"] = claimed_job("claimed-1", "completed")
        assert refusal(node).message == "the peer's answer names a job of another node"
        assert node.rooms["mesh.dispatch"].known("claimed-1").peer_id == "second-node"


def test_an_order_is_answered_with_its_own_job_or_not_at_all(node: TrialNode) -> None:
    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        job_id = f"claimed-{body['body']['job']['payload']}" if path.endswith("submit") else "claimed-2"
        return {"status": "queued", "job": claimed_job(job_id, "queued" if path.endswith("submit") else "completed")}

    with scripted_peer(node, answer):
        for number in (1, 2):
            send(node, {**ECHO, "payload": number}, f"r-{number}", "liar-node")
        found = node.post("/mesh/jobs/claimed-1/cancel", {})
        refused(found, 502, "peer_unreachable", "the peer's answer names another job")
        assert node.rooms["mesh.dispatch"].known("claimed-2").status == "queued"


def test_what_a_peer_shows_is_brought_into_form_and_bounded(node: TrialNode) -> None:
    shown = claimed_job("claimed-1", "completed", metadata={"big": "x" * 300_000}, attempts=[{"id": 5}, "no", {"error": "e"}],
                        recovery="none", result_ref=[1], payload_inline={"secret": 1}, lease={"path": "/etc"}, odd_member=1,
                        target="alpha-node", origin_peer_id="trial-node")
    with scripted_peer(node, lambda *_: {"status": "completed", "job": shown}):
        send(node, ECHO, peer_id="liar-node")
        found = job_of(node, "claimed-1")
        assert found["target"] == "liar-node" and found["metadata"] == {} and "odd_member" not in found
        assert len(node.get("/mesh/jobs/claimed-1").body) < 60_000


def test_strangers_read_a_job_at_a_peer_without_its_program(two: tuple[TrialNode, TrialNode]) -> None:
    job_id = send(two[0], {**WAITS, "payload": {"command": "a-hidden-command"}})["job"]["id"]
    assert "a-hidden-command" in two[0].get(f"/mesh/jobs/{job_id}").text
    found = job_of(two[0], job_id, FROM_LAN)
    assert found["status"] == "queued" and "a-hidden-command" not in repr(found)


def test_strangers_make_this_node_call_nobody(node: TrialNode) -> None:
    with scripted_peer(node, lambda method, *_: {"status": "queued", "job": claimed_job()} if method == "POST"
                       else claimed_job(status="running")) as server:
        send(node, ECHO, peer_id="liar-node")
        assert job_of(node, "claimed-1", FROM_LAN)["status"] == "queued"
        task = {"base_job": ECHO, "shards": [{}], "target_peer_ids": ["liar-node"]}
        launched = node.post("/mesh/cooperative-tasks/launch", task)
        path = f"/mesh/cooperative-tasks/{launched.json['id']}"
        assert node.get(path, FROM_LAN).json["children"][0]["job"]["status"] == "queued"
        assert not any(method == "GET" for method, *_ in server.asked)
        assert node.get(path).json["children"][0]["job"]["status"] == "running"


def test_readers_on_this_machine_make_a_peer_be_asked_no_more_than_once_a_second(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token="a-secret-operator-token") as node, scripted_peer(
            node, lambda method, *_: {"status": "queued", "job": claimed_job()} if method == "POST" else claimed_job()) as server:
        send(node, ECHO, peer_id="liar-node")
        for _ in range(5):
            assert job_of(node, "claimed-1")["status"] == "queued"
        assert sum(method == "GET" for method, *_ in server.asked) == 1
        node.clock.advance(1)
        job_of(node, "claimed-1")
        assert sum(method == "GET" for method, *_ in server.asked) == 2


def test_a_strangers_handshake_does_not_make_it_the_owner_of_a_job(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    job_id = send(alpha, WAITS)["job"]["id"]
    thief = TrialPeer("thief-node")
    thief.shakes_hands(beta)
    refused(thief.post(beta, f"/mesh/jobs/{job_id}/cancel", {}), 404, "not_found", "job not found")


def test_jobs_at_peers_have_the_form_of_jobs(two: tuple[TrialNode, TrialNode]) -> None:
    job_id = send(two[0], RESUMABLE)["job"]["id"]
    fits("mesh.jobs.show", two[0].get(f"/mesh/jobs/{job_id}").json)
