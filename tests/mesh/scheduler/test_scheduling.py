"""A job is placed once, at the best place there is, and what went wrong on the way is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import claim, complete, events, job_of, queued, refused, submit, taken, worker
from tests.support.mesh import claimed_job, pair, scripted_peer
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
POLICY = {"classification": "trusted", "mode": "batch"}
WAITS: Members = {"kind": "shell.command", "dispatch_mode": "queued", "policy": POLICY,
                  "requirements": {"capabilities": ["shell"]}, "payload": {"command": ["/bin/echo", "q"]}}
ECHO: Members = {"kind": "agent.echo", "policy": POLICY, "payload": {"message": "hello"}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[TrialNode, TrialNode]]:
    with pair(tmp_path) as (alpha, beta):
        worker(beta)
        alpha.post("/mesh/peers/sync", {"peer_id": "beta-node"})
        yield alpha, beta


def ask(node: TrialNode, job: Any, request_id: str = "s-1", **more: Any) -> Answer:
    return node.post("/mesh/jobs/schedule", {"job": job, "request_id": request_id, **more})


def placed(node: TrialNode, job: Members, request_id: str = "s-1", **more: Any) -> Members:
    answer = ask(node, job, request_id, **more)
    assert answer.status == 200, answer
    return fits("mesh.jobs.schedule", answer.json)


def decisions(node: TrialNode) -> list[Members]:
    return fits("mesh.scheduler.decisions", node.get("/mesh/scheduler/decisions").json)["decisions"]


def rows(node: TrialNode, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(each.get(name, "") for name in names) for each in reversed(decisions(node))]


def score(answer: Members) -> int:
    return answer["decision"]["selected"]["score"]


# --- here

def test_a_job_goes_to_a_worker_of_this_node_with_the_captured_points(node: TrialNode) -> None:
    worker(node)
    answer = placed(node, WAITS)
    assert answer["status"] == "queued" and score(answer) == 1385 and answer["response"]["queue_message"]["status"] == "queued"
    assert answer["decision"]["strategy"] == "trust-capability-load-v1.2" and answer["decision"]["candidates"][0]["selected"]
    assert rows(node, "id", "request_id", "job_id", "status", "target_type") == [
        (answer["decision"]["decision_id"], "s-1", answer["job"]["id"], "placed", "local")]
    assert score(placed(node, WAITS, "s-2")) == 1375
    told = events(node, "mesh.scheduler")
    assert [(each["event_type"], each["peer_id"], each["payload"]["score"]) for each in told] == [
        ("mesh.scheduler.decision", "trial-node", 1385), ("mesh.scheduler.decision", "trial-node", 1375)]


def test_an_inline_job_is_done_when_the_answer_comes(node: TrialNode) -> None:
    answer = placed(node, ECHO)
    assert answer["status"] == "completed" == answer["job"]["status"] == job_of(node, answer["job"]["id"])["status"]
    assert "inline_capable" in answer["decision"]["selected"]["reasons"]


def test_the_documented_simple_job_is_placed_too(node: TrialNode) -> None:
    assert placed(node, {"kind": "demo", "command": "echo hello from ocp"})["job"]["spec"]["execution"]["command"]


def test_an_inline_job_that_fails_is_told_with_its_job_and_stays_placed(node: TrialNode) -> None:
    answer = ask(node, {"kind": "demo", "command": "exit 3"})
    told = refused(answer, 400, "job_failed", answer.json["error"])
    assert told["job"]["status"] == "failed"
    assert rows(node, "status", "job_id") == [("placed", told["job"]["id"])]


def test_nobody_who_could_do_it_is_told_with_every_place_that_was_looked_at(node: TrialNode) -> None:
    refused(ask(node, WAITS), 400, "no_target", "no eligible execution target found")
    assert rows(node, "status", "target_type", "peer_id", "job_id") == [("unplaced", "", "", "")]
    told = events(node, "mesh.scheduler.unplaced")[0]["payload"]
    assert told["candidates"][0]["reasons"][-1] == "no_matching_local_worker" and told["job_kind"] == "shell.command"
    assert node.get("/mesh/queue").json["count"] == 0


@pytest.mark.parametrize("with_worker", [{"capabilities": ["python"]}, {"resources": {"cpu": 1}}])
def test_a_worker_that_cannot_do_the_job_is_no_place_for_it(node: TrialNode, with_worker: Members) -> None:
    worker(node, **{"capabilities": ("shell",), **with_worker})
    job = {**WAITS, "requirements": {"capabilities": ["shell"], "resources": {"cpu": 2}}}
    assert ask(node, job).json["code"] == "no_target"


def test_a_silent_worker_is_no_place_for_a_job(node: TrialNode) -> None:
    worker(node)
    node.advance(301)
    assert ask(node, WAITS).json["code"] == "no_target"
    claim(node)
    assert ask(node, WAITS).status == 200


def test_a_phone_takes_only_what_can_go_on_elsewhere(tmp_path: Path) -> None:
    with TrialNode(tmp_path, device_class="light", form_factor="phone") as phone:
        phone.post("/mesh/device-profile", {"device_profile": {"network_profile": "intermittent"}})
        worker(phone)
        assert ask(phone, WAITS).json["code"] == "no_target"
        assert events(phone, "mesh.scheduler.unplaced")[0]["payload"]["candidates"][0]["reasons"][-1] == (
            "intermittent_requires_resumable_job")
        assert ask(phone, {**WAITS, "metadata": {"resumable": True}}, "s-2").status == 200


# --- what is asked

@pytest.mark.parametrize(("body", "error"), [
    ({}, "job.kind is required"), ({"job": "x"}, "job must be an object"), ({"job": {"kind": 7}}, "job.kind must be a string"),
    ({"job": ECHO, "allow_local": "perhaps"}, "allow_local must be a boolean"),
    ({"job": ECHO, "request_id": "x" * 129}, "request_id must be at most 128 characters"),
    ({"job": {**ECHO, "placement": {"trust_floor": "friends"}}}, "unsupported trust tier"),
    ({"job": {**ECHO, "placement": {"max_local_queue_depth": "many"}}},
     "placement.max_local_queue_depth must be an integer")])
def test_what_is_wrong_with_a_request_is_said_and_nothing_is_decided(node: TrialNode, body: Members, error: str) -> None:
    refused(node.post("/mesh/jobs/schedule", body), 400, "invalid_request", error)
    assert decisions(node) == []


def test_a_job_that_cannot_be_taken_in_is_a_decision_that_failed(node: TrialNode) -> None:
    worker(node)
    refused(ask(node, {**WAITS, "payload": {}}), 400, "invalid_request", "shell.command requires payload.command")
    assert rows(node, "status", "job_id", "error") == [("failed", "", "shell.command requires payload.command")]


def test_only_operators_place_jobs(node: TrialNode) -> None:
    assert node.post("/mesh/jobs/schedule", {"job": ECHO}, FROM_LAN).status == 401
    peer = TrialPeer("peer-node")
    peer.shakes_hands(node)
    assert peer.post(node, "/mesh/jobs/schedule", {"job": ECHO}, FROM_LAN).status == 401
    assert decisions(node) == []


# --- once

def test_a_repeated_request_is_answered_with_the_job_it_made(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    for request_id, more in (("s-here", {}), ("s-there", {"allow_local": False})):
        job = ECHO if request_id == "s-here" else WAITS
        first, again = placed(alpha, job, request_id, **more), placed(alpha, {**job, "target": ""}, request_id)
        assert again["job"]["id"] == first["job"]["id"] and again["job"]["deduped"] is True
        assert again["decision"] == first["decision"]
    assert len(decisions(alpha)) == 2 and beta.get("/mesh/queue").json["count"] == 1
    complete(beta, taken(beta)["attempt"]["id"])
    assert placed(alpha, WAITS, "s-there")["status"] == "completed"


def test_many_at_once_under_one_name_make_one_job(node: TrialNode) -> None:
    worker(node)
    answers: list[Members] = []
    threads = [threading.Thread(target=lambda: answers.append(placed(node, WAITS))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer["job"]["id"] for answer in answers}) == 1 and node.get("/mesh/queue").json["count"] == 1
    assert len(decisions(node)) == 1


def test_a_request_that_was_cut_short_goes_on_where_it_may_have_arrived(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    first = placed(alpha, WAITS, allow_local=False)
    alpha.core.writer.run(lambda connection: connection.execute(
        "UPDATE mesh_scheduler_decision SET job_id = ''"))                    # as if the node had died before it was noted
    worker(alpha)
    again = placed(alpha, WAITS)
    assert again["job"]["id"] == first["job"]["id"] and alpha.get("/mesh/queue").json["count"] == 0


def test_a_request_whose_decision_is_forgotten_goes_where_it_went_before(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    first = placed(alpha, WAITS, allow_local=False)
    alpha.core.writer.run(lambda connection: connection.execute("DELETE FROM mesh_scheduler_decision"))
    worker(alpha)
    again = placed(alpha, WAITS)
    assert again["job"]["id"] == first["job"]["id"] and again["job"]["deduped"] is True
    assert alpha.get("/mesh/queue").json["count"] == 0 and beta.get("/mesh/queue").json["count"] == 1


def test_a_request_that_made_a_job_here_makes_none_elsewhere(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    first = submit(alpha, WAITS, "s-1")["job"]
    assert placed(alpha, WAITS, preferred_peer_id="beta-node")["job"]["id"] == first["id"]
    assert alpha.get("/mesh/queue").json["count"] == 1 and beta.get("/mesh/queue").json["count"] == 0


def test_jobs_at_peers_are_found_by_their_request_in_an_index(node: TrialNode) -> None:
    with node.core.reader.snapshot() as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT job_id FROM mesh_remote_job WHERE request_id = ? "
                                  "ORDER BY number DESC LIMIT 1", ("r",)).fetchall()
    plan = [row[3] for row in plan]
    assert "mesh_remote_job_request" in str(plan) and "TEMP B-TREE" not in str(plan)


# --- there

def test_a_job_goes_to_a_peer_that_can_do_it(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    answer = placed(alpha, WAITS)
    assert answer["status"] == "queued" and answer["job"]["origin"] == "alpha-node" and answer["job"]["target"] == "beta-node"
    assert rows(alpha, "status", "target_type", "peer_id", "job_id") == [("placed", "peer", "beta-node", answer["job"]["id"])]
    complete(beta, taken(beta)["attempt"]["id"])
    assert job_of(alpha, answer["job"]["id"])["status"] == "completed"


def test_the_peer_that_is_preferred_gets_five_hundred_points(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, _ = two
    worker(alpha)
    assert placed(alpha, WAITS)["job"]["target"] == "alpha-node"
    answer = placed(alpha, WAITS, "s-2", preferred_peer_id="beta-node")
    assert answer["job"]["target"] == "beta-node" and answer["decision"]["selected"]["reasons"][-1] == "preferred_peer"


@pytest.mark.parametrize("more", [{"allow_local": False, "allow_remote": False},
                                  {"allow_local": False, "stay_local": True}])
def test_lanes_that_are_closed_are_not_taken(two: tuple[TrialNode, TrialNode], more: Members) -> None:
    worker(two[0])
    stays = bool(more.get("stay_local"))
    job = {**WAITS, "placement": {"stay_local": stays}}
    assert ask(two[0], job, **{name: value for name, value in more.items() if name != "stay_local"}).json["code"] == "no_target"


def test_a_preferred_peer_that_is_refused_is_not_chosen(two: tuple[TrialNode, TrialNode]) -> None:
    """S-5: the points of a preference are never added to a refused candidate."""
    alpha, beta = two
    for tier in ("blocked", "market", "public"):
        assert alpha.post("/mesh/peers/beta-node/trust", {"trust_tier": tier}).status == 200
        found = ask(alpha, WAITS, f"s-{tier}", allow_local=False, preferred_peer_id="beta-node")
        refused(found, 400, "no_target", "no eligible execution target found")
    assert all(candidate["score"] == -10000 for each in decisions(alpha) for candidate in each["candidates"])
    assert events(beta, "mesh.job.") == []


# --- a peer that is named

def test_a_named_peer_is_taken_without_looking_at_others(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, _ = two
    worker(alpha)
    answer = placed(alpha, {**WAITS, "target": "beta-node"})
    assert answer["decision"]["selected"] == {"target_type": "peer", "peer_id": "beta-node", "score": 800,
                                              "reasons": ["explicit_target"], "selected": True}
    assert answer["decision"]["strategy"] == "explicit-target" and answer["decision"]["candidates"] == []
    assert events(alpha, "mesh.scheduler") == [] and len(decisions(alpha)) == 1


def test_naming_this_node_chooses_as_usual(node: TrialNode) -> None:
    worker(node)
    assert placed(node, {**WAITS, "target": "trial-node"})["decision"]["strategy"] == "trust-capability-load-v1.2"


@pytest.mark.parametrize(("tier", "job", "reason"), [
    ("blocked", {}, "policy_denied"), ("market", {}, "policy_denied"), ("partner", {"placement": {"trust_floor": "trusted"}},
                                                                        "trust_floor_denied"),
    ("market", {"policy": {"classification": "public"}, "placement": {"avoid_public": True}}, "avoid_public"),
    ("trusted", {"placement": {"stay_local": True}}, "stay_local")])
def test_a_named_peer_is_held_to_trust_and_policy(two: tuple[TrialNode, TrialNode], tier: str, job: Members, reason: str) -> None:
    alpha, beta = two
    alpha.post("/mesh/peers/beta-node/trust", {"trust_tier": tier})
    found = ask(alpha, {**WAITS, "target": "beta-node", **job})
    refused(found, 403, "policy_denied", f"the job may not go to beta-node: {reason}")
    assert rows(alpha, "status", "peer_id") == [("unplaced", "beta-node")] and events(beta, "mesh.job.") == []


def test_a_named_peer_that_nobody_knows_has_no_address(node: TrialNode) -> None:
    refused(ask(node, {**WAITS, "target": "ghost-node"}), 404, "not_found", "peer endpoint_url is unavailable")
    assert rows(node, "status", "error") == [("failed", "peer endpoint_url is unavailable")]


def test_a_named_peers_refusal_is_told_in_its_own_words(two: tuple[TrialNode, TrialNode]) -> None:
    found = ask(two[0], {**WAITS, "payload": {}, "target": "beta-node"})
    told = refused(found, 502, "peer_refused", "peer refused: shell.command requires payload.command")
    assert told["peer_id"] == "beta-node" and told["peer_status"] == 400
    assert rows(two[0], "status", "error", "job_id") == [("failed", told["error"], "")]


def test_a_named_peer_that_rejects_the_job_is_an_answer(two: tuple[TrialNode, TrialNode]) -> None:
    answer = placed(two[0], {"kind": "docker.container", "payload": {"image": "alpine"}, "target": "beta-node"})
    assert answer["status"] == "rejected" and rows(two[0], "status", "job_id") == [("placed", answer["job"]["id"])]


def test_a_named_peer_that_is_gone_is_a_decision_that_failed(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    worker(alpha)
    beta.stop()
    assert ask(alpha, {**WAITS, "target": "beta-node"}).json["code"] == "peer_unreachable"
    assert [row[0] for row in rows(alpha, "status", "error")] == ["failed"] and alpha.get("/mesh/queue").json["count"] == 0


# --- when a place does not take it

def test_what_the_best_place_does_not_take_goes_to_the_next(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    worker(alpha)
    beta.stop()
    answer = placed(alpha, WAITS, preferred_peer_id="beta-node")
    assert answer["job"]["target"] == "alpha-node"
    assert [row[:2] for row in rows(alpha, "status", "target_type", "error")] == [("failed", "peer"), ("placed", "local")]
    assert rows(alpha, "error")[0][0]


def test_what_may_have_arrived_is_not_sent_elsewhere(node: TrialNode) -> None:
    """A peer that takes the job and does not answer in time: the job could be done twice."""
    worker(node)
    hold = threading.Event()

    def answer(method: str, path: str, *_: Any) -> Any:
        hold.wait(30)
        return {"status": "queued", "job": claimed_job()}

    node.rooms["mesh.dispatch"].send = _short(node)
    with scripted_peer(node, answer, capability_cards=[{"name": "agent-runtime", "available": True}]):
        try:
            answered = ask(node, {**ECHO, "placement": {}}, preferred_peer_id="liar-node")
            assert (answered.status, answered.json["code"]) == (504, "peer_timeout")
            assert rows(node, "status", "peer_id", "job_id", "error") == [("placed", "liar-node", "", "")]
        finally:
            hold.set()
        assert placed(node, ECHO)["job"]["id"] == "claimed-1"
    assert events(node, "mesh.job.accepted") == []


def test_what_broke_off_may_have_arrived_and_is_not_sent_elsewhere(node: TrialNode) -> None:
    """A peer that dies between taking the job and answering does it when it is back."""
    worker(node)
    with TakesAndDies(node) as peer:
        answered = ask(node, ECHO, preferred_peer_id="liar-node")
        assert (answered.status, answered.json["code"]) == (502, "peer_unreachable")
        assert rows(node, "status", "peer_id", "job_id", "error") == [("placed", "liar-node", "", "")]
        peer.back = True
        again = placed(node, ECHO)
        assert again["job"]["id"] == "claimed-1" and again["decision"]["strategy"] == "explicit-target"
    assert events(node, "mesh.job.accepted") == []


def test_what_broke_off_goes_on_elsewhere_once_the_peer_says_that_it_has_not_got_it(node: TrialNode) -> None:
    with TakesAndDies(node, forgets=True):
        assert placed(node, ECHO, preferred_peer_id="liar-node")["job"]["target"] == "trial-node"
    assert rows(node, "status", "target_type") == [("failed", "peer"), ("placed", "local")]


class TakesAndDies:
    """A peer that breaks off every connection on which a whole job comes, until it is `back`."""

    def __init__(self, node: TrialNode, forgets: bool = False) -> None:
        self.back = False
        self._forgets = forgets
        self._peer = scripted_peer(node, self._answer, capability_cards=[{"name": "agent-runtime", "available": True}])

    def _answer(self, method: str, path: str, headers: Members, body: Any) -> Any:
        if self.back:
            return {"status": "queued", "job": claimed_job()}
        if self._forgets and "kind" not in body["body"]["job"]:
            return 400, {"error": "job.kind is required"}
        raise BrokenPipeError

    def __enter__(self) -> TakesAndDies:
        self._peer.__enter__().quiet()
        return self

    def __exit__(self, *fault: Any) -> None:
        self._peer.__exit__(*fault)


def _short(node: TrialNode) -> Any:
    """The way to peers, with little patience."""
    send = node.rooms["mesh.dispatch"].send
    return lambda *arguments, **named: send(*arguments, timeout=0.3, **named)


def test_a_job_that_was_submitted_before_is_not_made_again(node: TrialNode) -> None:
    first = submit(node, ECHO, "s-1")["job"]
    assert placed(node, ECHO)["job"]["id"] == first["id"] and queued(node)["id"] != first["id"]
