"""A job is cut into shards, each goes to a node once, and the task follows them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import complete, events, fail, job_of, refused, taken, worker
from tests.support.mesh import claimed_job, pair, scripted_peer
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.replies import fits

Members = dict[str, Any]
WAITS: Members = {"kind": "shell.command", "dispatch_mode": "queued", "policy": {"classification": "trusted", "mode": "batch"},
                  "requirements": {"capabilities": ["shell"]}, "payload": {"command": ["/bin/echo", "base"]}}
ECHO: Members = {"kind": "agent.echo", "payload": {"message": "hello"}}
BOTH = ["alpha-node", "beta-node"]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        worker(running)
        yield running


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[TrialNode, TrialNode]]:
    with pair(tmp_path) as (alpha, beta):
        worker(alpha), worker(beta)
        alpha.post("/mesh/peers/sync", {"peer_id": "beta-node"})
        yield alpha, beta


def ask(node: TrialNode, shards: list[Any] | None = None, base: Members = WAITS, request_id: str = "c-1", **more: Any) -> Answer:
    return node.post("/mesh/cooperative-tasks/launch", {
        "base_job": base, "shards": [{}, {}] if shards is None else shards, "request_id": request_id, **more})


def launch(node: TrialNode, shards: list[Any] | None = None, base: Members = WAITS, request_id: str = "c-1",
           **more: Any) -> Members:
    answer = ask(node, shards, base, request_id, **more)
    assert answer.status == 200, answer
    return fits("mesh.cooperative_tasks.launch", answer.json)


def task_of(node: TrialNode, task_id: str, headers: Members | None = None) -> Members:
    answer = node.get(f"/mesh/cooperative-tasks/{task_id}", headers)
    assert answer.status == 200, answer
    return fits("mesh.cooperative_tasks.show", answer.json)


def listed(node: TrialNode, query: str = "", headers: Members | None = None) -> list[Members]:
    answer = node.get(f"/mesh/cooperative-tasks{query}", headers)
    assert answer.status == 200, answer
    return fits("mesh.cooperative_tasks.list", answer.json)["tasks"]


def where(task: Members) -> list[str]:
    return [child["peer_id"] for child in task["children"]]


def changes(node: TrialNode) -> list[str]:
    return [each["payload"]["state"] for each in events(node, "mesh.cooperative_task.changed")]


# --- launching

def test_two_shards_go_to_two_nodes_and_the_task_ends_with_them(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    task = launch(alpha, [{"label": "local", "payload": {"command": ["/bin/echo", "one"]}},
                          {"label": "remote", "payload": {"command": ["/bin/echo", "two"]}, "metadata": {"part": 2}}],
                  name="dual-node-shell", target_peer_ids=BOTH)
    assert (task["state"], task["status"], task["summary"]) == (
        "active", "active", {"state": "active", "counts": {"queued": 2}, "total": 2})
    assert where(task) == BOTH == task["target_peers"] and task["shards"] == task["children"]
    local, remote = task["children"]
    assert [child["request_id"] for child in task["children"]] == ["c-1:shard:1", "c-1:shard:2"]
    assert task["child_job_ids"] == [local["job_id"], remote["job_id"]]
    there = job_of(beta, remote["job_id"])
    assert there["origin"] == "alpha-node" and there["target"] == "beta-node" and there["metadata"]["part"] == 2
    assert there["metadata"]["cooperative_task"] == {"task_id": task["id"], "shard_index": 1, "shard_count": 2, "label": "remote"}
    assert job_of(alpha, local["job_id"])["metadata"]["cooperative_task"]["label"] == "local"
    complete(alpha, taken(alpha)["attempt"]["id"])
    assert task_of(alpha, task["id"])["summary"]["counts"] == {"completed": 1, "queued": 1}
    complete(beta, taken(beta)["attempt"]["id"])
    done = task_of(alpha, task["id"])
    assert (done["state"], done["summary"]["counts"]) == ("completed", {"completed": 2})
    assert [child["job"]["status"] for child in done["children"]] == ["completed", "completed"]
    assert done["children"][1]["job_snapshot"]["status"] == "queued" and done["updated_at"] == task["updated_at"]
    assert changes(alpha) == ["active", "completed"]
    told = events(alpha, "mesh.cooperative_task.launched")[0]
    assert told["payload"] == {"task_id": task["id"], "strategy": "spread", "shard_count": 2, "target_peers": BOTH}


def test_inline_shards_are_done_when_the_answer_comes(two: tuple[TrialNode, TrialNode]) -> None:
    task = launch(two[0], [{"payload": {"part": 1}}, {"payload": {"part": 2}}, {}], ECHO, target_peer_ids=BOTH)
    assert task["state"] == "completed" and sorted(where(task)) == ["alpha-node", "alpha-node", "beta-node"]
    assert changes(two[0])[-1] == "completed"


def test_without_targets_all_eligible_nodes_take_shards(two: tuple[TrialNode, TrialNode]) -> None:
    """C-6: a launch that names no targets chooses them."""
    alpha, _ = two
    assert launch(alpha)["target_peers"] == BOTH
    assert set(where(launch(alpha, request_id="c-2", strategy="local-only"))) == {"alpha-node"}
    assert set(where(launch(alpha, request_id="c-3", strategy="remote-only"))) == {"beta-node"}
    assert set(where(launch(alpha, request_id="c-4", allow_local=False))) == {"beta-node"}
    assert set(where(launch(alpha, request_id="c-5", allow_remote=False))) == {"alpha-node"}


@pytest.mark.parametrize("more", [
    {"allow_local": False, "allow_remote": False}, {"strategy": "remote-only", "allow_remote": False},
    {"strategy": "local-only", "target_peer_ids": ["beta-node"]}, {"strategy": "remote-only", "target_peer_ids": ["alpha-node"]},
    {"allow_remote": False, "target_peer_ids": ["beta-node"]}, {"allow_local": False, "target_peer_ids": ["alpha-node"]}])
def test_what_is_not_allowed_is_no_target(two: tuple[TrialNode, TrialNode], more: Members) -> None:
    refused(ask(two[0], **more), 400, "no_target", "no eligible cooperative task target found")
    assert listed(two[0]) == []


def test_the_shards_of_a_gpu_go_where_one_is(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    beta.post("/mesh/device-profile", {"device_profile": {"compute_profile": {"gpu_count": 1, "gpu_class": "cuda",
                                                                              "gpu_vram_mb": 24576}}})
    alpha.post("/mesh/peers/sync", {"peer_id": "beta-node", "refresh_manifest": True})
    task = launch(alpha, [{"label": "gpu", "placement": {"workload_class": "gpu_inference"}},
                          {"label": "cpu", "placement": {"workload_class": "cpu_bound"}}], strategy="gpu-aware",
                  target_peer_ids=BOTH)
    assert where(task) == ["beta-node", "alpha-node"]
    placement = task["children"][0]["placement"]
    assert placement["gpu_required"] and placement["target_gpu_capable"] and placement["target_gpu_class"] == "cuda"
    assert not placement["target_is_local"] and task["children"][1]["placement"]["target_enlistment_state"] == "self"


def test_a_shard_that_nobody_meets_stops_the_launch_before_anything_is_sent(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    shards = [{}, {"label": "mem", "placement": {"min_memory_mb": 999_999}}]
    refused(ask(alpha, shards, target_peer_ids=BOTH), 400, "no_target", "no target meets shard mem")
    assert listed(alpha) == [] and events(beta, "mesh.job.") == [] == events(alpha, "mesh.job.")
    shards[1]["placement"]["best_effort"] = True
    assert launch(alpha, shards, target_peer_ids=BOTH)["state"] == "active"


def test_helpers_are_enlisted_first_where_that_is_wanted(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, _ = two
    task = launch(alpha, auto_enlist=True, target_peer_ids=BOTH)
    assert [each["peer_id"] for each in task["metadata"]["auto_enlist_result"]["enlisted"]] == ["beta-node"]
    assert alpha.get("/mesh/helpers").json["helpers"][0]["last_reason"] == "cooperative_launch"
    assert launch(alpha, request_id="c-2", auto_enlist=True, strategy="local-only")["metadata"]["auto_enlist_result"] == {}


@pytest.mark.parametrize(("body", "error"), [
    ({"shards": [{}]}, "base_job is required"), ({"base_job": WAITS}, "at least one shard is required"),
    ({"base_job": WAITS, "shards": ["a"]}, "shards[0] must be an object"),
    ({"base_job": WAITS, "shards": [{"payload": {}, "metadata": 7}]}, "metadata must be an object"),
    ({"base_job": WAITS, "shards": [{"policy": "open"}]}, "shard.policy must be an object")])
def test_what_is_wrong_is_said_and_nothing_is_sent(node: TrialNode, body: Members, error: str) -> None:
    refused(node.post("/mesh/cooperative-tasks/launch", body), 400, "invalid_request", error)
    assert listed(node) == [] and events(node, "mesh.job.") == []


def test_only_operators_launch_tasks(node: TrialNode) -> None:
    body = {"base_job": ECHO, "shards": [{}]}
    assert node.post("/mesh/cooperative-tasks/launch", body, FROM_LAN).status == 401
    assert listed(node) == []


# --- when a shard cannot go out

def test_a_shard_that_is_not_taken_is_a_failed_one_and_the_others_go_on(two: tuple[TrialNode, TrialNode]) -> None:
    """C-7: shards are not lost because another one failed."""
    alpha, beta = two
    beta.stop()
    task = launch(alpha, target_peer_ids=BOTH)
    local, remote = task["children"]
    assert local["job"]["status"] == "queued" and remote["job_id"] == "" and remote["job"]["status"] == "failed"
    assert remote["job"]["error"] and task["state"] == "active" and task["summary"]["counts"] == {"failed": 1, "queued": 1}
    complete(alpha, taken(alpha)["attempt"]["id"])
    assert task_of(alpha, task["id"])["state"] == "attention" and changes(alpha)[-1] == "attention"
    again = launch(alpha, target_peer_ids=BOTH)
    assert again["deduped"] is True and again["state"] == "attention"


@pytest.mark.parametrize(("targets", "status", "code"), [
    (["ghost-node"], 404, "not_found"), (["beta-node"], 502, "peer_unreachable")])
def test_a_launch_of_which_nothing_is_taken_is_refused_and_may_be_repeated(two: tuple[TrialNode, TrialNode], targets: list[str],
                                                                           status: int, code: str) -> None:
    alpha, beta = two
    url, folder, clock = beta.url, beta.folder, beta.clock
    beta.stop()
    answer = ask(alpha, target_peer_ids=targets)
    assert (answer.status, answer.json["code"]) == (status, code), answer
    task_id = answer.json["task_id"]
    assert task_of(alpha, task_id)["state"] == "attention"
    if code == "peer_unreachable":
        with TrialNode(folder, clock=clock, node_id="beta-node", port=int(url.rpartition(":")[2])):
            again = launch(alpha, target_peer_ids=targets)
            assert again["id"] == task_id and again["deduped"] is True and again["state"] == "active"


def test_a_shard_that_the_peer_rejects_asks_for_attention(two: tuple[TrialNode, TrialNode]) -> None:
    shards = [{}, {"requirements": {"capabilities": ["none-such"]}}]
    task = launch(two[0], shards, ECHO, target_peer_ids=BOTH)
    assert task["state"] == "attention" and task["summary"]["counts"] == {"completed": 1, "rejected": 1}


def test_a_shard_that_fails_while_it_is_waited_for_keeps_its_job(two: tuple[TrialNode, TrialNode]) -> None:
    task = launch(two[0], [{"kind": "golem.render", "target_peer_id": "alpha-node"},
                           {"kind": "golem.render", "target_peer_id": "beta-node"}, {}], ECHO, target_peer_ids=BOTH)
    assert [child["job"]["status"] for child in task["children"]] == ["failed", "failed", "completed"]
    assert all(child["job_id"] for child in task["children"]) and task["state"] == "attention"


def test_a_shard_that_is_wrong_on_this_node_does_not_keep_the_others(node: TrialNode) -> None:
    task = launch(node, [{"payload": {"command": ""}}, {}])
    assert [child["job"].get("error", "") for child in task["children"]] == ["shell.command requires payload.command", ""]


# --- once

def test_a_repeated_request_is_one_task(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    first = launch(alpha, target_peer_ids=BOTH)
    again = launch(alpha, [{}], {"kind": "agent.echo"})
    assert again["id"] == first["id"] and again["deduped"] is True and "deduped" not in first
    assert len(listed(alpha)) == 1 and beta.get("/mesh/queue").json["count"] == 1 == alpha.get("/mesh/queue").json["count"]


def test_many_at_once_under_one_name_make_one_task(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    found: list[Members] = []
    threads = [threading.Thread(target=lambda: found.append(launch(alpha, target_peer_ids=BOTH))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({task["id"] for task in found}) == 1 and beta.get("/mesh/queue").json["count"] == 1
    assert sum("deduped" not in task for task in found) == 1 and len(events(alpha, "mesh.cooperative_task.launched")) == 1


def test_a_task_that_was_cut_short_asks_for_attention_and_goes_on_when_repeated(tmp_path: Path) -> None:
    with pair(tmp_path) as (alpha, beta):
        worker(alpha)
        first = launch(alpha, target_peer_ids=BOTH)
        alpha.core.writer.run(lambda connection: [
            connection.execute("UPDATE mesh_cooperative_shard SET status = 'pending', job_id = '' WHERE shard_index = 1"),
            connection.execute("UPDATE mesh_cooperative_task SET state = 'pending'")])     # as if the node had died while sending
        alpha.stop()
        with TrialNode(tmp_path / "alpha", clock=alpha.clock, node_id="alpha-node", allow_loopback_peers=True) as again:
            again.until(lambda: task_of(again, first["id"])["children"][1]["job"].get("error") == "node restarted", "the end")
            found = launch(again, target_peer_ids=BOTH)
            assert found["state"] == "active" and found["child_job_ids"] == first["child_job_ids"]
            assert beta.get("/mesh/queue").json["count"] == 1


def test_old_tasks_that_are_over_are_forgotten_and_others_are_not(node: TrialNode) -> None:
    launch(node, [{}], ECHO, "c-over")
    launch(node, [{}], WAITS, "c-waits")
    node.clock.advance(29 * 86_400)
    launch(node, [{}], ECHO, "c-recent")
    node.clock.advance(2 * 86_400)
    launch(node, [{}], ECHO, "c-now")
    assert [task["request_id"] for task in listed(node)] == ["c-now", "c-recent", "c-waits"]
    with node.core.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM mesh_cooperative_shard").fetchone()[0] == 3


# --- following

def test_a_task_follows_its_shards_without_being_read(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    base = {**WAITS, "metadata": {"resumability": {"enabled": True}}}
    task = launch(alpha, base=base, target_peer_ids=BOTH)
    fail(alpha, taken(alpha)["attempt"]["id"], retryable=False, metadata={"checkpoint": 1})
    fail(beta, taken(beta)["attempt"]["id"], retryable=False)
    alpha.advance(5)
    alpha.until(lambda: listed(alpha)[0]["state"] == "checkpointed", "the state that follows")
    assert alpha.post(f"/mesh/jobs/{task['children'][0]['job_id']}/restart", {}).status == 200
    assert listed(alpha)[0]["state"] == "active" and changes(alpha) == ["active", "checkpointed", "active"]
    alpha.post(f"/mesh/jobs/{task['children'][0]['job_id']}/cancel", {})
    assert listed(alpha)[0]["state"] == "attention"


def test_reading_a_task_writes_nothing(two: tuple[TrialNode, TrialNode]) -> None:
    """C-9: a read changes neither the task nor its place in the list."""
    alpha, _ = two
    task = launch(alpha, target_peer_ids=BOTH)
    alpha.advance(30)
    before = alpha.core.feed
    with alpha.core.reader.snapshot() as connection:
        newest = before.newest(connection)
    for _ in range(3):
        assert task_of(alpha, task["id"])["updated_at"] == task["updated_at"]
        listed(alpha)
    with alpha.core.reader.snapshot() as connection:
        assert before.newest(connection) == newest


def test_a_peer_that_is_gone_leaves_its_shards_as_last_seen(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    task = launch(alpha, target_peer_ids=BOTH)
    beta.stop()
    found = task_of(alpha, task["id"])
    assert found["state"] == "active" and found["children"][1]["job"]["status"] == "queued"
    assert found["children"][1]["resolution_error"] and "resolution_error" not in found["children"][0]


def test_a_shard_whose_job_is_forgotten_stands_as_it_ended(node: TrialNode) -> None:
    task = launch(node, [{}])
    complete(node, taken(node)["attempt"]["id"])
    node.core.writer.run(lambda connection: connection.execute("DELETE FROM mesh_job"))
    found = task_of(node, task["id"])
    assert found["state"] == "completed" and found["children"][0]["job"]["status"] == "completed"


# --- reading

def test_tasks_are_listed_newest_first_and_filtered_before_they_are_counted(node: TrialNode) -> None:
    """C-11: the filter comes before the limit."""
    for number in range(4):
        launch(node, [{}], ECHO if number < 2 else WAITS, f"c-{number}")
    assert [task["request_id"] for task in listed(node)] == ["c-3", "c-2", "c-1", "c-0"]
    assert [task["request_id"] for task in listed(node, "?state=completed&limit=1")] == ["c-1"]
    assert [task["request_id"] for task in listed(node, "?state=ACTIVE")] == ["c-3", "c-2"]
    assert listed(node, "?state=nonsense") == [] and len(listed(node, "?limit=0")) == 4


def test_an_unknown_task_is_not_found(node: TrialNode) -> None:
    refused(node.get("/mesh/cooperative-tasks/nope"), 404, "not_found", "cooperative task not found")
    refused(node.get("/mesh/cooperative-tasks/"), 404, "not_found", "cooperative task not found")


def test_strangers_see_a_task_without_its_programs_and_secrets(node: TrialNode) -> None:
    base = {**WAITS, "payload": {"command": "the-hidden-program", "secrets": {"KEY": "the-hidden-value"}},
            "policy": {"secret_scopes": ["s"]}, "metadata": {"note": "the-hidden-note"}}
    task = launch(node, [{"payload": {"command": "another-hidden-program"}}], base)
    assert "the-hidden-value" not in repr(task) + repr(task_of(node, task["id"])) + repr(listed(node))
    assert "the-hidden-program" in repr(task)
    for found in (task_of(node, task["id"], FROM_LAN), listed(node, headers=FROM_LAN)[0]):
        assert "hidden-program" not in repr(found) and "the-hidden-note" not in repr(found["base_job"])
        assert found["children"][0]["job"]["status"] == "queued" and found["base_job"]["kind"] == "shell.command"


def test_what_a_peer_sends_back_does_not_become_another_tasks_shard(node: TrialNode) -> None:
    """A peer that answers with the id of a job of this node."""
    ours = launch(node, [{}])["child_job_ids"][0]
    with scripted_peer(node, lambda *_: {"status": "completed", "job": claimed_job(ours, "completed")}):
        answer = ask(node, [{}], ECHO, "c-2", target_peer_ids=["liar-node"])
        assert answer.json["error"] == "the peer's answer names a job of another node"
    assert task_of(node, listed(node)[1]["id"])["state"] == "active" and job_of(node, ours)["status"] == "queued"


def test_a_large_task_is_shown_whole_and_bounded(node: TrialNode) -> None:
    task = launch(node, [{"payload": {"command": "x" * 2_000}}] * 100)
    assert task["shard_count"] == 100 == len(task["child_job_ids"]) and task["summary"]["counts"] == {"queued": 100}
    assert len(node.get(f"/mesh/cooperative-tasks/{task['id']}").body) < 1_000_000
