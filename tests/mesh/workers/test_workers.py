"""Workers elsewhere: known, heard of, and given jobs one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import claim, complete, events, fits, job_of, queued, refused, taken, worker
from tests.support.node import FROM_LAN, TrialNode

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def listed(node: TrialNode, query: str = "") -> list[Members]:
    return fits("mesh.workers.list", node.get(f"/mesh/workers{query}").json)["workers"]


# --- known and heard of

def test_a_registration_replaces_everything_but_the_first_sight(node: TrialNode) -> None:
    first = worker(node, "w1", resources={"cpu": 1}, labels=["http"], metadata={"rack": "a"}, agent_id="agent-1",
                   max_concurrent_jobs=3)
    assert (first["agent_id"], first["labels"], first["max_concurrent_jobs"], first["peer_id"]) == (
        "agent-1", ["http"], 3, "trial-node")
    node.advance(10)
    again = worker(node, "w1", ("shell",))
    assert again["created_at"] == first["created_at"] and again["updated_at"] > first["updated_at"]
    assert (again["agent_id"], again["resources"], again["labels"], again["metadata"], again["capabilities"],
            again["max_concurrent_jobs"]) == (
        "", {}, [], {}, ["shell"], 1)
    told = [event["payload"] for event in events(node, "mesh.worker.registered")]
    assert told[-1] == {"worker_id": "w1", "capabilities": ["shell"]}


def test_a_registration_keeps_count_of_what_the_worker_holds(node: TrialNode) -> None:
    worker(node, max_concurrent_jobs=2)
    queued(node), queued(node)
    taken(node)
    assert worker(node, max_concurrent_jobs=1)["active_attempts"] == 1
    assert claim(node)["reason"] == "worker_busy"


def test_a_heartbeat_says_what_is_new(node: TrialNode) -> None:
    worker(node, metadata={"a": 1})
    told = len(events(node))
    answer = node.post("/mesh/workers/w1/heartbeat", {"status": "Paused", "metadata": {"load": 0.1}, "resources": {"cpu": 9},
                                                      "labels": ["x"],
                                                      "capabilities": ["shell", "gpu"]})
    found = fits("mesh.workers.heartbeat", answer.json)["worker"]
    assert (found["status"], found["metadata"], found["resources"], found["labels"], found["capabilities"]) == (
        "paused", {"a": 1, "load": 0.1}, {"cpu": 9}, ["x"], ["shell", "gpu"])
    assert node.post("/mesh/workers/w1/heartbeat", {}).json["worker"]["status"] == "paused" and len(events(node)) == told


@pytest.mark.parametrize("what", ["heartbeat", "poll", "claim"])
def test_an_unknown_worker_is_not_found(node: TrialNode, what: str) -> None:
    refused(node.post(f"/mesh/workers/gone/{what}", {}), 404, "not_found", "worker not found")


def test_an_id_is_decoded_once_from_the_path(node: TrialNode) -> None:
    worker(node, "w:1@rack")
    assert node.post("/mesh/workers/w%3A1%40rack/heartbeat", {}).json["worker"]["id"] == "w:1@rack"


def test_who_spoke_last_is_listed_first_within_the_bounds_of_lists(node: TrialNode) -> None:
    for name in ("a", "b", "c"):
        worker(node, name)
        node.advance(1)
    node.post("/mesh/workers/a/heartbeat", {})
    assert [each["id"] for each in listed(node)] == ["a", "c", "b"]
    assert len(listed(node, "?limit=1")) == len(listed(node, "?limit=0")) == 1 and len(listed(node, "?limit=99999")) == 3
    assert node.get("/mesh/workers?limit=abc").status == 400 and len(listed(node, "?limit=")) == 3
    assert node.get("/mesh/workers", FROM_LAN).status == 200


def test_a_worker_that_goes_silent_is_stale_until_it_speaks_again(node: TrialNode) -> None:
    worker(node, max_concurrent_jobs=4)
    assert node.get("/mesh/queue/metrics").json["workers"]["total_slots"] == 4
    node.advance(301)
    assert listed(node)[0]["status"] == "stale" and node.get("/mesh/queue/metrics").json["workers"]["total_slots"] == 0
    queued(node)
    assert claim(node)["status"] == "claimed"
    assert listed(node)[0]["status"] == "active" and node.get("/mesh/queue/metrics").json["workers"]["total_slots"] == 4


@pytest.mark.parametrize("speaks", ["heartbeat", "poll", "claim", "attempt"])
def test_every_word_of_a_worker_counts_as_a_sign_of_life(node: TrialNode, speaks: str) -> None:
    worker(node)
    queued(node, ack_deadline_seconds=3000)
    attempt = taken(node)["attempt"]
    node.advance(200)
    path = f"/mesh/jobs/attempts/{attempt['id']}/heartbeat" if speaks == "attempt" else f"/mesh/workers/w1/{speaks}"
    assert node.post(path, {}).status == 200
    node.advance(200)
    assert listed(node)[0]["status"] == "active"


# --- looking and taking

def test_a_look_takes_nothing(node: TrialNode) -> None:
    worker(node)
    ids = [queued(node)["id"] for _ in range(3)]
    for _ in range(2):
        answer = fits("mesh.workers.poll", node.post("/mesh/workers/w1/poll", {"limit": 2}).json)
        assert [job["id"] for job in answer["jobs"]] == ids[:2] and answer["worker"]["active_attempts"] == 0
    assert node.get("/mesh/queue/metrics").json["counts"]["queued"] == 3


def test_a_claim_that_gets_nothing_says_why(node: TrialNode) -> None:
    worker(node)
    assert claim(node)["reason"] == "no_jobs"
    job = queued(node)
    node.post("/mesh/workers/w1/heartbeat", {"status": "draining"})
    assert claim(node)["reason"] == "worker_inactive"
    node.post("/mesh/workers/w1/heartbeat", {"status": "ready"})
    assert taken(node)["job"]["id"] == job["id"]
    queued(node)
    assert claim(node)["reason"] == "worker_busy"
    worker(node, "w2")
    other = claim(node, "w2", job_id=job["id"])
    assert (other["status"], other["reason"], other["job"]["status"]) == ("idle", "job_unavailable", "running")
    refused(node.post("/mesh/workers/w2/claim", {"job_id": "gone"}), 404, "not_found", "job not found")


def test_a_job_that_is_named_is_given_whatever_the_worker_can_do(node: TrialNode) -> None:
    worker(node, "bare", ())
    job = queued(node)
    assert claim(node, "bare")["reason"] == "no_jobs"
    assert claim(node, "bare", job_id=job["id"])["status"] == "claimed"


@pytest.mark.parametrize("body, seconds", [({}, 600), ({"ttl_seconds": 120}, 120), ({"ttl_seconds": "90"}, 90),
                                           ({"ttl_seconds": 1}, 60)])
def test_a_claim_holds_as_long_as_it_asks_or_the_message_says(node: TrialNode, body: Members, seconds: int) -> None:
    worker(node)
    queued(node, metadata={"queue_policy": {"ack_deadline_seconds": 600}})
    assert taken(node, **body)["job"]["lease"]["ttl_seconds"] == seconds


def test_of_twenty_that_race_for_one_job_exactly_one_gets_it(node: TrialNode) -> None:
    for number in range(20):
        worker(node, f"racer-{number}")
    for job in (queued(node), queued(node)):
        answers: list[Members] = []
        gate = threading.Barrier(20)

        def race(number: int, job_id: str = job["id"], gate: threading.Barrier = gate, answers: list[Members] = answers) -> None:
            gate.wait()
            answers.append(claim(node, f"racer-{number}", job_id=job_id))

        threads = [threading.Thread(target=race, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(answers) == 20
        won = [answer for answer in answers if answer["status"] == "claimed"]
        lost = [answer["reason"] for answer in answers if answer["status"] == "idle"]
        assert len(won) == 1 and set(lost) <= {"job_unavailable", "worker_busy"}
        found = job_of(node, job["id"])
        assert len(found["attempts"]) == 1 and found["queue"]["delivery_attempts"] == 1
    with node.core.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM mesh_lease WHERE status = 'active'").fetchone()[0] == 2


def test_twenty_that_race_for_ten_jobs_get_ten_different_ones(node: TrialNode) -> None:
    for number in range(20):
        worker(node, f"racer-{number}")
    ids = {queued(node)["id"] for _ in range(10)}
    answers: list[Members] = []
    gate = threading.Barrier(20)

    def race(number: int) -> None:
        gate.wait()
        answers.append(claim(node, f"racer-{number}"))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answer["job"]["id"] for answer in answers if answer["status"] == "claimed") == sorted(ids)
    assert [answer["reason"] for answer in answers if answer["status"] == "idle"] == ["no_jobs"] * 10


# --- waiting for a job

def waiting(node: TrialNode, worker_id: str, seconds: float = 30.0) -> tuple[threading.Thread, list[Members]]:
    answers: list[Members] = []
    thread = threading.Thread(target=lambda: answers.append(claim(node, worker_id, wait_seconds=seconds)))
    thread.start()
    return thread, answers


def line(node: TrialNode) -> int:
    room = node.rooms["mesh.workers"]
    return len(room._waiting._line) if room._waiting is not None else 0


def test_a_worker_that_waits_gets_the_job_when_it_comes(node: TrialNode) -> None:
    worker(node)
    thread, answers = waiting(node, "w1")
    node.until(lambda: line(node) == 1)
    begun = time.monotonic()
    job = queued(node)
    thread.join(20)
    assert answers[0]["status"] == "claimed" and answers[0]["job"]["id"] == job["id"] and time.monotonic() - begun < 5
    assert line(node) == 0


def test_a_job_wakes_only_a_worker_that_can_do_it(node: TrialNode) -> None:
    worker(node, "painter", ("paint",)), worker(node, "w1")
    painter, painted = waiting(node, "painter")
    node.until(lambda: line(node) == 1)
    shell, done = waiting(node, "w1")
    node.until(lambda: line(node) == 2)
    job = queued(node)
    shell.join(20)
    assert done[0]["job"]["id"] == job["id"] and not painted and line(node) == 1
    node.advance(31)
    painter.join(20)
    assert (painted[0]["status"], painted[0]["reason"]) == ("idle", "no_jobs") and line(node) == 0


def test_many_that_wait_get_one_job_each(node: TrialNode) -> None:
    for number in range(12):
        worker(node, f"waiter-{number}")
    started = [waiting(node, f"waiter-{number}") for number in range(12)]
    node.until(lambda: line(node) == 12)
    ids = {queued(node)["id"] for _ in range(8)}
    node.until(lambda: line(node) == 4)
    node.advance(31)
    for thread, _ in started:
        thread.join(20)
    answers = [answer for _, found in started for answer in found]
    assert sorted(answer["job"]["id"] for answer in answers if answer["status"] == "claimed") == sorted(ids)
    assert [answer["reason"] for answer in answers if answer["status"] == "idle"] == ["no_jobs"] * 4


def test_a_worker_that_may_not_claim_is_told_at_once_however_long_it_would_wait(node: TrialNode) -> None:
    worker(node, status="paused")
    assert claim(node, wait_seconds=60)["reason"] == "worker_inactive"
    refused(node.post("/mesh/workers/gone/claim", {"wait_seconds": 30}), 404, "not_found", "worker not found")
    refused(node.post("/mesh/workers/w1/claim", {"wait_seconds": "long"}), 400, "invalid_request",
            "wait_seconds must be a number of seconds")


def test_a_worker_that_went_away_while_it_waited_takes_no_job(node: TrialNode) -> None:
    import socket
    worker(node)
    gone = socket.create_connection(("127.0.0.1", node.port))
    body = b'{"wait_seconds": 30}'
    gone.sendall(b"POST /mesh/workers/w1/claim HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    node.until(lambda: line(node) == 1)
    topic = node.on_loop(lambda: next(iter(node.rooms["mesh.workers"]._waiting._line)).topic)
    gone.close()
    node.until(lambda: not node.core.signals.heard(topic), "the end of the connection")
    job = queued(node)
    node.until(lambda: line(node) == 0, "the line without the one that left")
    assert job_of(node, job["id"])["status"] == "queued"


def test_a_retry_that_waits_for_its_time_finds_the_worker_that_waits(node: TrialNode) -> None:
    worker(node)
    queued(node, metadata={"retry_policy": {"max_attempts": 2, "backoff_seconds": 5}})
    node.post(f"/mesh/jobs/attempts/{taken(node)['attempt']['id']}/fail", {})
    thread, answers = waiting(node, "w1", 50.0)
    node.until(lambda: line(node) == 1)
    node.advance(8)
    node.until(lambda: answers, "the retry")
    thread.join(20)
    assert answers[0]["attempt"]["attempt_number"] == 2


# --- the node's own row

def test_with_the_pool_off_the_nodes_worker_can_be_registered_as_a_mere_row(tmp_path: Path) -> None:
    with TrialNode(tmp_path, auto_register_worker=True) as node:
        found = node.until(lambda: listed(node), "the row")
        assert found[0] | {"created_at": "", "updated_at": "", "last_heartbeat_at": ""} == {
            "id": "trial-node-default-worker", "peer_id": "trial-node", "agent_id": "", "status": "active",
            "capabilities": ["worker-runtime", "shell", "python"], "resources": {"cpu": 1}, "labels": ["default", "launcher"],
            "max_concurrent_jobs": 1, "metadata": {"source": "ocp_startup", "auto_registered": True}, "created_at": "",
            "updated_at": "",
            "last_heartbeat_at": "", "active_attempts": 0}
        job = queued(node)
        attempt = taken(node, "trial-node-default-worker")["attempt"]
        assert complete(node, attempt["id"])["job"]["id"] == job["id"]


def test_with_the_pool_off_queued_work_waits(node: TrialNode) -> None:
    job = queued(node)
    node.advance(30)
    assert job_of(node, job["id"])["status"] == "queued" and listed(node) == []
