"""Work on other nodes when the network is bad and nodes die: what was sent is there once, and ends where it was."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from ocp_node.base.errors import Refusal
from tests.scenarios.network import BAD, Network
from tests.support.node import Answer, TrialNode
from tests.support.process_node import ProcessNode

SEEDS = range(3)
SENT = 8
EXCUSED = frozenset({"peer_unreachable", "peer_timeout"})
WAITS: dict[str, Any] = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": "true"}}
ECHO: dict[str, Any] = {"kind": "agent.echo", "payload": {"message": "there"}}


def well(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.json


def jobs_of(node: TrialNode, event_type: str) -> Counter[str]:
    """How often each request made a job."""
    found = node.get("/mesh/stream?limit=500").json["events"]
    return Counter(event["request_id"] for event in found if event["event_type"] == event_type)


@pytest.mark.parametrize("seed", SEEDS)
def test_over_a_bad_network_every_job_arrives_once_and_is_known_here(tmp_path: Path, seed: int) -> None:
    with TrialNode(tmp_path / "alpha", clock=Clock(), node_id="alpha", allow_loopback_peers=True) as alpha, \
            TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta, \
            contextlib.closing(Network(beta.port, seed, {"pass": 1})) as network:
        well(alpha.post("/mesh/peers/connect", {"base_url": network.url, "trust_tier": "trusted"}))
        network.weather = lambda request: BAD
        dispatch, found = alpha.rooms["mesh.dispatch"], {}
        for number in range(SENT):
            job = WAITS if number % 2 else ECHO
            found[f"r-{number}"] = insist(lambda job=job, number=number: dispatch.send(
                "beta", job, f"r-{number}", timeout=0.5), network)["job"]["id"]
        for job_id in list(found.values())[1::2]:
            for verb, status in (("restart", "retry_wait"), ("cancel", "cancelled")):
                order = functools.partial(dispatch.control, "beta", job_id, verb, {})
                assert insist(order, network)["status"] == status
        network.clear_up()
        made = jobs_of(beta, "mesh.job.queued") + jobs_of(beta, "mesh.job.accepted")
        assert made == {f"r-{number}": 1 for number in range(SENT)}, network.story()
        assert jobs_of(alpha, "mesh.job.sent") == made
        for request_id, job_id in found.items():
            here, there = alpha.get(f"/mesh/jobs/{job_id}").json, beta.get(f"/mesh/jobs/{job_id}").json
            assert here["request_id"] == there["request_id"] == request_id and here["status"] == there["status"]
            assert here["status"] in ("completed", "cancelled")


def insist(attempt: Any, network: Network) -> Any:
    """What the first attempt gives that succeeds; the others fail for reasons of the network alone."""
    for _ in range(200):
        try:
            return attempt()
        except Refusal as refusal:
            assert refusal.code in EXCUSED, f"{refusal}\n{network.story()}"
    raise AssertionError(network.story())


@pytest.mark.parametrize("seed", SEEDS)
def test_over_a_bad_network_a_task_is_whole_once_it_was_asked_for_often_enough(tmp_path: Path, seed: int) -> None:
    with TrialNode(tmp_path / "alpha", clock=Clock(), node_id="alpha", allow_loopback_peers=True) as alpha, \
            TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta, \
            contextlib.closing(Network(beta.port, seed, {"pass": 1})) as network:
        well(alpha.post("/mesh/peers/connect", {"base_url": network.url, "trust_tier": "trusted"}))
        network.weather = lambda request: {"pass": 2, "lose_request": 3, "lose_answer": 3, "cut_answer": 3, "repeat": 2}
        body = {"request_id": "c-1", "base_job": WAITS, "shards": [{}] * SENT, "target_peer_ids": ["alpha", "beta"]}
        for _ in range(60):
            answer = alpha.post("/mesh/cooperative-tasks/launch", body)
            if answer.status == 200 and len(answer.json["child_job_ids"]) == SENT:
                break
        network.clear_up()
        assert answer.json["state"] == "active", network.story()
        made = jobs_of(alpha, "mesh.job.queued") + jobs_of(beta, "mesh.job.queued")
        assert made == {f"c-1:shard:{number + 1}": 1 for number in range(SENT)}, network.story()
        assert len(jobs_of(alpha, "mesh.cooperative_task.launched")) == 1


def node(folder: Path, name: str, **variables: str) -> ProcessNode:
    return ProcessNode(folder / name, "--node-id", name, token=f"the-operator-token-of-{name}", **variables)


def test_a_job_outlives_the_death_of_who_does_it_and_of_who_sent_it(tmp_path: Path) -> None:
    with node(tmp_path, "alpha") as alpha, node(tmp_path, "beta", OCP_ALLOW_REMOTE_EXECUTION="on") as beta:
        well(alpha.post("/mesh/peers/connect", {"base_url": beta.url, "trust_tier": "trusted"}))
        job = {"kind": "shell.command", "payload": {"command": f"test -e {tmp_path}/go || exit 1"},
               "metadata": {"retry_policy": {"max_attempts": 2}}}
        placed = well(alpha.post("/mesh/jobs/schedule", {"job": {**job, "target": "beta"}, "request_id": "s-1"}))
        job_id = placed["job"]["id"]
        beta.until(lambda: beta.get(f"/mesh/jobs/{job_id}").json["status"] == "failed", "the job without its file")
        alpha.until(lambda: alpha.get(f"/mesh/jobs/{job_id}").json["status"] == "failed", "the news of it")
        beta.kill()
        refused = alpha.post(f"/mesh/jobs/{job_id}/restart", {})
        assert (refused.status, refused.json["code"]) == (502, "peer_unreachable")
        beta.start()
        (tmp_path / "go").write_text("")
        assert well(alpha.post(f"/mesh/jobs/{job_id}/restart", {}))["status"] == "retry_wait"
        alpha.kill()
        alpha.start()
        alpha.until(lambda: alpha.get(f"/mesh/jobs/{job_id}").json["status"] == "completed", "the end at the peer")
        again = well(alpha.post("/mesh/jobs/schedule", {"job": {**job, "target": "beta"}, "request_id": "s-1"}))
        assert again["job"]["id"] == job_id and again["status"] == "completed"


def test_a_launch_that_was_killed_is_carried_out_once_when_it_is_asked_for_again(tmp_path: Path) -> None:
    with node(tmp_path, "alpha", OCP_WORKERS="0") as alpha, node(tmp_path, "beta", OCP_WORKERS="0") as beta:
        well(alpha.post("/mesh/peers/connect", {"base_url": beta.url, "trust_tier": "trusted"}))
        body = {"request_id": "c-1", "base_job": WAITS, "shards": [{}] * 40, "target_peer_ids": ["alpha", "beta"]}
        asking = threading.Thread(target=lambda: _tried(alpha, body), daemon=True)
        asking.start()
        beta.until(lambda: beta.get("/mesh/queue").json["count"] >= 3, "the first shards")
        alpha.kill()
        asking.join(20)
        alpha.start()
        task = well(alpha.post("/mesh/cooperative-tasks/launch", body))
        assert len(set(task["child_job_ids"])) == 40 and task["summary"]["counts"] == {"queued": 40}
        there, here = beta.get("/mesh/queue?limit=500").json["count"], alpha.get("/mesh/queue?limit=500").json["count"]
        assert there + here == 40


def _tried(alpha: ProcessNode, body: dict[str, Any]) -> None:
    with contextlib.suppress(OSError, ValueError):
        alpha.post("/mesh/cooperative-tasks/launch", body)
