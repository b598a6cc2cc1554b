"""The node's own workers: what they take, how they live, and what is left when the node stops or dies."""

from __future__ import annotations

import http.client
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from tests.support.jobs import events, job_of, queued, refused, submit, text_of, until, worker
from tests.support.node import TrialNode
from tests.support.peer import TrialPeer
from tests.support.process_node import ProcessNode
from tests.support.process_node import until as eventually
from tests.support.processes import alive

Members = dict[str, Any]


def space(node: TrialNode) -> Path:
    return Path(node.settings.workspace_root)


def test_queued_jobs_of_the_operator_are_done_without_any_other_worker(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2) as node:
        ids = [queued(node, f"echo {number}")["id"] for number in range(6)]
        for number, job_id in enumerate(ids):
            job = until(node, job_id, "completed")
            assert text_of(node, job["result_artifacts"]["stdout"]) == f"{number}\n"
            assert (job["executor"], job["attempts"][0]["worker_id"], job["queue"]["status"]) == (
                "shell-worker", "trial-node-default-worker", "acked")
            assert job["metadata"]["completed_by_worker_id"] == "trial-node-default-worker"
        row = node.get("/mesh/workers").json["workers"][0]
        assert (row["status"], row["max_concurrent_jobs"], row["resources"], row["labels"]) == (
            "active", 2, {"cpu": 2}, ["default", "built-in"])
        assert row["metadata"] == {"source": "built-in", "auto_registered": True} and row["active_attempts"] == 0
        assert {"worker-runtime", "shell", "python"} <= set(row["capabilities"])


def test_no_more_jobs_run_at_once_than_the_pool_has_places(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2, clock=Clock()) as node:
        command = "echo + >> log; sleep 0.3; echo - >> log"
        ids = [queued(node, command)["id"] for _ in range(5)]
        for job_id in ids:
            until(node, job_id, "completed")
        running, most = 0, 0
        for word in (space(node) / "log").read_text().split():
            running += 1 if word == "+" else -1
            most = max(most, running)
        assert most == 2 and running == 0


def test_a_failed_job_is_tried_again_as_often_as_it_asked(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job = queued(node, "echo x >> tries; test $(wc -l < tries) -ge 3 && echo third", metadata={"max_attempts": 3})
        found = until(node, job["id"], "completed", "failed")
        assert found["status"] == "completed"
        assert [each["status"] for each in found["attempts"]] == ["failed", "failed", "completed"]
        gone = until(node, queued(node, "exit 7")["id"], "failed")
        assert gone["queue"]["status"] == "dead_letter"
        assert gone["metadata"]["last_error"].startswith("shell.command exited with code 7")


def test_the_pool_leaves_alone_what_it_has_no_lane_for(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2) as node:
        other = submit(node, {"kind": "render.frame", "dispatch_mode": "queued", "payload": {"frame": 1}})["job"]
        large = queued(node, requirements={"resources": {"cpu": 64}})
        done = queued(node)
        until(node, done["id"], "completed")
        assert job_of(node, other["id"])["status"] == job_of(node, large["id"])["status"] == "queued"
        worker(node, "renderer", ())
        assert node.post("/mesh/workers/renderer/claim", {}).json["job"]["id"] == other["id"]


def test_queued_jobs_of_peers_wait_for_a_worker_unless_their_code_was_switched_on(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        peer = TrialPeer("beta-node")
        peer.shakes_hands(node)
        job = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": "touch ran"}}
        first = peer.post(node, "/mesh/jobs/submit", {"job": job}).json["job"]
        until(node, queued(node)["id"], "completed")
        assert job_of(node, first["id"])["status"] == "queued" and not (space(node) / "ran").exists()
        assert node.post("/mesh/peers/beta-node/trust", {"remote_execution": True}).status == 200
        second = peer.post(node, "/mesh/jobs/submit", {"job": job}).json["job"]
        until(node, second["id"], "completed"), until(node, first["id"], "completed")


def test_a_retry_that_waits_for_its_time_is_taken_when_that_has_come(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job = queued(node, "test -e again || { touch again; exit 1; }",
                     metadata={"retry_policy": {"max_attempts": 2, "backoff_seconds": 30}})
        until(node, job["id"], "retry_wait")
        node.advance(40)
        assert until(node, job["id"], "completed")["attempts"][1]["status"] == "completed"


def test_a_long_run_keeps_its_lease_by_heartbeats(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        job = queued(node, "while [ ! -e go ]; do sleep 0.02; done", ack_deadline_seconds=60, payload={
            "command": "while [ ! -e go ]; do sleep 0.02; done", "timeout_seconds": 3000})
        until(node, job["id"], "running")
        for _ in range(5):
            node.advance(25)
            now = node.core.clock.text()
            node.until(lambda now=now: job_of(node, job["id"])["attempts"][0]["heartbeat_at"] == now
                       or job_of(node, job["id"])["queue"]["visibility_timeout_at"] > now, "the heartbeat")
        found = job_of(node, job["id"])
        assert found["status"] == "running" and len(found["attempts"]) == 1 and found["attempts"][0]["status"] == "running"
        (space(node) / "go").write_text("")
        assert until(node, job["id"], "completed")["queue"]["delivery_attempts"] == 1
        assert node.get("/mesh/workers").json["workers"][0]["status"] == "active"


def test_the_pool_is_not_stale_while_it_lives(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        node.until(lambda: node.get("/mesh/workers").json["workers"], "the pool")
        for _ in range(8):
            node.advance(120)
            node.until(lambda: node.get("/mesh/workers").json["workers"][0]["status"] == "active", "a heartbeat")


def test_nobody_else_can_take_the_pools_name(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        node.until(lambda: node.get("/mesh/workers").json["workers"], "the pool")
        refused(node.post("/mesh/workers/register", {"worker_id": "trial-node-default-worker"}), 409, "conflict",
                "this is the id of the node's own workers")


def test_an_approval_or_a_commit_wakes_the_pool_and_nothing_else_does(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        until(node, queued(node)["id"], "completed")
        node.on_loop(lambda: None)
        claims: list[int] = []
        queue = node.rooms["mesh.queue"]
        offered = queue.offered
        queue.offered = lambda *arguments: claims.append(1) or offered(*arguments)
        for _ in range(20):
            submit(node, {"kind": "agent.echo"})
        node.on_loop(lambda: None)
        assert claims == []
        until(node, queued(node)["id"], "completed")
        assert 0 < len(claims) < 8


def test_the_result_of_a_run_whose_lease_ran_out_is_not_taken(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1, clock=Clock()) as node:
        job = queued(node, "while [ ! -e go ]; do sleep 0.02; done")
        attempt = until(node, job["id"], "running")["attempts"][0]
        node.core.writer.run(lambda connection: node.rooms["mesh.jobs"].lapse(
            connection, node.rooms["mesh.queue"].of_job(connection, job["id"]), "test"))
        (space(node) / "go").write_text("")
        found = until(node, job["id"], "completed")
        assert [each["status"] for each in found["attempts"]] == ["expired",
                                                                  "completed"] and found["attempts"][0]["id"] == attempt["id"]


# --- stopping

def test_a_stop_ends_what_runs_and_leaves_its_jobs_for_the_next_start(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2, clock=Clock(), stop_grace_seconds=1.0) as node:
        job = queued(node, "echo $$ > pid; test -e again || { touch again; sleep 300; }; echo second")
        pid = space(node) / "pid"
        node.until(lambda: pid.exists() and pid.read_text().strip(), "the run")
        number = int(pid.read_text())
    assert not alive(number)
    with TrialNode(tmp_path, workers=0, clock=Clock()) as node:
        found = job_of(node, job["id"])
        assert found["status"] == "retry_wait" and found["attempts"][0]["error"] == "node stopping"
        assert found["queue"]["status"] == "queued"
        assert node.get("/mesh/workers").json["workers"][0]["status"] == "stopped"
        assert node.get("/mesh/queue/metrics").json["workers"]["total_slots"] == 0
    with TrialNode(tmp_path, workers=2, clock=Clock()) as node:
        found = until(node, job["id"], "completed")
        assert text_of(node, found["result_artifacts"]["stdout"]) == "second\n" and len(found["attempts"]) == 2


def test_a_stop_fails_the_inline_job_of_a_caller_that_still_waits(tmp_path: Path) -> None:
    import threading
    node = TrialNode(tmp_path, clock=Clock(), stop_grace_seconds=1.0)
    thread = threading.Thread(target=lambda: _ignore(node, {"kind": "demo", "command": "echo $$ > pid; sleep 300"}))
    thread.start()
    pid = space(node) / "pid"
    node.until(lambda: pid.exists() and pid.read_text().strip(), "the run")
    node.stop()
    thread.join(20)
    assert not alive(int(pid.read_text()))
    with TrialNode(tmp_path) as again:
        with again.core.reader.snapshot() as connection:
            rows = connection.execute("SELECT status, json_extract(metadata, '$.error') FROM mesh_job").fetchall()
        assert [tuple(row) for row in rows] == [("failed", "node stopping")]


def _ignore(node: TrialNode, job: Members) -> None:
    try:
        node.post("/mesh/jobs/submit", {"job": job})
    except OSError:
        pass


# --- dying

def doomed(folder: Path, workers: int = 2) -> ProcessNode:
    """A node in a process of its own, which is killed."""
    return ProcessNode(folder, "--workers", str(workers), "--node-id", "doomed")


def ordered(node: ProcessNode, command: str, **job: Any) -> str:
    """A command waits in the node's queue; its job's id."""
    return node.post("/mesh/jobs/submit", {"kind": "shell.command", "command": command, **job}).json["job"]["id"]


RUNS = "echo $$ >> pids; echo begun >> begun; sleep {seconds}; echo ended >> ended"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_after_a_kill_jobs_are_done_again_and_never_two_runs_of_one_at_a_time(tmp_path: Path) -> None:
    node = doomed(tmp_path)
    workspace = tmp_path / "workspace"
    running = ordered(node, RUNS.format(seconds=3) + "; echo done-1")
    waiting = [ordered(node, f"echo waited-{number} >> waited") for number in range(3)]
    blocked = ordered(node, RUNS.format(seconds=3))
    eventually(lambda: (workspace / "begun").exists() and len((workspace / "begun").read_text().split()) == 2, "both runs")
    first = [int(pid) for pid in (workspace / "pids").read_text().split()]
    node.kill()
    assert all(alive(pid) for pid in first)                   # they outlive the node: the next one has to see to them
    node.start()
    try:
        found = eventually(lambda: (job := node.get(f"/mesh/jobs/{running}").json)["status"] == "completed" and job,
                           "the job again")
        assert [attempt["status"] for attempt in found["attempts"]] == ["expired", "completed"]
        assert found["attempts"][0]["error"] == "node restarted" and found["queue"]["delivery_attempts"] == 2
        assert not any(alive(pid) for pid in first)
        for job_id in (*waiting, blocked):
            eventually(lambda job_id=job_id: node.get(f"/mesh/jobs/{job_id}").json["status"] == "completed", "the others")
        begun, ended = ((workspace / name).read_text().split() for name in ("begun", "ended"))
        assert len(begun) == 4 and len(ended) == 2            # the two that were killed never came to their end
        assert len((workspace / "waited").read_text().split()) == 3
        counts = node.get("/mesh/queue/metrics").json
        assert counts["counts"] == {"queued": 0, "inflight": 0, "acked": 5, "dead_letter": 0, "cancelled": 0}
        assert counts["workers"]["active_attempts"] == 0
    finally:
        node.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_after_a_kill_inline_jobs_have_failed_and_their_runs_are_ended(tmp_path: Path) -> None:
    import threading
    node = doomed(tmp_path)

    def send() -> None:
        try:
            node.post("/mesh/jobs/submit", {"kind": "demo", "command": "echo $$ > pid; sleep 300"})
        except (OSError, http.client.HTTPException):
            pass

    thread = threading.Thread(target=send)
    thread.start()
    pid = tmp_path / "workspace" / "pid"
    eventually(lambda: pid.exists() and pid.read_text().strip(), "the run")
    node.kill()
    thread.join(20)
    number = int(pid.read_text())
    assert alive(number)
    node.start()
    try:
        eventually(lambda: not alive(number), "the end of the run")
        events_told = eventually(lambda: [event for event in node.get("/mesh/stream?limit=500").json["events"]
                                          if event["event_type"] == "mesh.job.failed"], "the failure")
        assert events_told[0]["payload"]["error"] == "node restarted"
        job = node.get(f"/mesh/jobs/{events_told[0]['payload']['job_id']}").json
        assert job["status"] == "failed" and job["lease"]["status"] == "failed"
    finally:
        node.stop()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_a_node_killed_again_and_again_loses_no_job_and_doubles_none(tmp_path: Path) -> None:
    node = doomed(tmp_path, workers=3)
    ids = [ordered(node, f"echo {number} >> done; sleep 0.05", metadata={"max_attempts": 9}) for number in range(30)]
    for _ in range(3):
        time.sleep(0.3)                                       # killed in the middle of whatever it does then
        node.kill()
        node.start()
    try:
        for job_id in ids:
            eventually(lambda job_id=job_id: node.get(f"/mesh/jobs/{job_id}").json["status"] == "completed", f"job {job_id}",
                       40)
        said = (tmp_path / "workspace" / "done").read_text().split()
        assert {int(word) for word in said} == set(range(30))
        metrics = node.get("/mesh/queue/metrics").json
        assert metrics["counts"]["acked"] == 30 and metrics["workers"]["active_attempts"] == 0
        assert metrics["counts"]["inflight"] == 0
        assert not list((tmp_path / "runs").iterdir() if (tmp_path / "runs").is_dir() else [])
    finally:
        node.stop()


def test_events_tell_of_the_pool_like_of_any_worker(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1) as node:
        node.until(lambda: node.get("/mesh/workers").json["workers"], "the pool")
        until(node, queued(node)["id"], "completed")
        told = [event["event_type"] for event in events(node, "mesh.worker", "mesh.job", "mesh.queue", "mesh.lease")]
        assert told == ["mesh.worker.registered", "mesh.job.queued", "mesh.queue.enqueued", "mesh.lease.acquired",
                        "mesh.job.claimed",
                        "mesh.queue.claimed", "mesh.lease.released", "mesh.job.completed", "mesh.queue.acked"]
