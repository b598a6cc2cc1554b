"""Missions whose work is done by several nodes: followed, steered and recovered wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.missions import rules, table
from tests.support.jobs import complete, events, fail, job_of, refused, taken, worker
from tests.support.mesh import claimed_job, pair, scripted_peer
from tests.support.missions import QUEUED, RESUMABLE, kept, launched, mission_of, missions, order, ordered
from tests.support.node import FROM_LAN, TrialNode

Members = dict[str, Any]
Pair = tuple[TrialNode, TrialNode]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path) as (alpha, beta):
        for node in (alpha, beta):
            worker(node)
        yield alpha, beta


def task(*targets: str, job: Members = QUEUED, **more: Any) -> Members:
    return {"name": "common", "base_job": job, "target_peer_ids": list(targets),
            "shards": [{"label": f"on-{target}", "target_peer_id": target} for target in targets], **more}


def both(alpha: TrialNode, **more: Any) -> Members:
    """A mission with a shard on each of the two nodes."""
    return launched(alpha, cooperative_task=task("alpha-node", "beta-node", **more))


def child(mission: Members, target: str) -> Members:
    return next(job for job in mission["child_jobs"] if job["target"] == target)


def stored(node: TrialNode, mission_id: str) -> str:
    """The state as it is written down."""
    with node.core.reader.snapshot() as connection:
        found = table.find(connection, mission_id)
    assert found is not None
    return found.status


def test_a_common_mission_is_done_when_every_node_has_done_its_part(two: Pair) -> None:
    alpha, beta = two
    made = both(alpha)
    assert (made["status"], made["target_strategy"], len(made["child_job_ids"])) == ("waiting", "cooperative_spread", 2)
    assert made["cooperative_tasks"][0]["id"] == made["cooperative_task_ids"][0]
    assert made["metadata"]["launch"] == {"type": "cooperative_task", "strategy": "spread",
                                          "cooperative_request_id": f"{made['request_id']}:coop"}
    there = job_of(beta, child(made, "beta-node")["id"])
    assert there["mission"]["mission_id"] == made["id"] == child(made, "alpha-node")["mission"]["mission_id"]
    complete(alpha, taken(alpha)["attempt"]["id"])
    assert mission_of(alpha, made["id"])["status"] == "waiting"
    complete(beta, taken(beta)["attempt"]["id"], result={"n": 2})
    found = mission_of(alpha, made["id"])
    assert (found["status"], found["summary"]["task_state_counts"]) == ("completed", {"completed": 1})
    assert child(found, "beta-node")["result_ref"]["id"] in [line["result_ref"]["id"] for line in found["lineage"]["jobs"]]
    assert events(alpha, "mesh.mission.launched")[0]["payload"].items() >= {
        "launch_type": "cooperative_task", "child_job_count": 2, "cooperative_task_count": 1}.items()


def test_what_becomes_known_of_a_peers_job_is_written_down_with_it(two: Pair) -> None:
    alpha, beta = two
    made = launched(alpha, cooperative_task=task("beta-node"))
    complete(beta, taken(beta)["attempt"]["id"])
    job_of(alpha, made["child_job_ids"][0])                  # the job is looked up, nobody asks for the mission
    assert stored(alpha, made["id"]) == "completed"


def test_reading_a_common_mission_that_stands_still_writes_nothing(two: Pair) -> None:
    alpha, _ = two
    made = both(alpha)
    alpha.until(lambda: mission_of(alpha, made["id"])["child_jobs"][1].get("queue"), "a look at the peer's job")
    stored = kept(alpha)
    alpha.advance(3600)
    mission_of(alpha, made["id"])
    missions(alpha)
    assert kept(alpha) == stored


def test_a_cancel_reaches_the_peers(two: Pair) -> None:
    alpha, beta = two
    made = both(alpha)
    done = order(alpha, made["id"], "cancel", operator_id="op", reason="enough")
    assert (done["status"], done["errors"], len(done["jobs"])) == ("cancelled", [], 2)
    there = job_of(beta, child(made, "beta-node")["id"])
    assert (there["status"], there["metadata"]["reason"], there["metadata"]["cancelled_by"]) == (
        "cancelled", "enough:op", "alpha-node")
    assert stored(alpha, made["id"]) == "cancelled"
    assert events(alpha, "mesh.mission.cancel_requested")[0]["payload"]["job_count"] == 2


def test_a_resume_reaches_the_peer_that_has_the_checkpoint(two: Pair) -> None:
    alpha, beta = two
    made = both(alpha, job=RESUMABLE)
    complete(alpha, taken(alpha)["attempt"]["id"])
    fail(beta, taken(beta)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})
    found = mission_of(alpha, made["id"])
    assert (found["status"], found["continuity"]["checkpoint_ready"]) == ("checkpointed", True)
    done = order(alpha, made["id"], "resume")
    assert (done["status"], len(done["jobs"])) == ("waiting", 1)
    assert done["skipped"] == [{"job_id": child(made, "alpha-node")["id"], "reason": "status_completed"}]
    assert job_of(beta, child(made, "beta-node")["id"])["status"] == "retry_wait"
    complete(beta, taken(beta)["attempt"]["id"])
    assert mission_of(alpha, made["id"])["status"] == "completed"


def test_a_checkpoint_of_a_peers_job_can_be_named(two: Pair) -> None:
    alpha, beta = two
    made = launched(alpha, cooperative_task=task("beta-node", job=RESUMABLE))
    fail(beta, taken(beta)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 1}})
    ref = mission_of(alpha, made["id"])["latest_checkpoint_ref"]
    done = order(alpha, made["id"], "resume-from-checkpoint", checkpoint_artifact_id=ref["id"])
    assert done["jobs"][0]["status"] == "retry_wait"
    refused(ordered(alpha, made["id"], "resume-from-checkpoint", checkpoint_artifact_id="nope"), 502, "peer_refused",
            "peer refused: checkpoint artifact not found")


def test_a_restart_skips_what_is_done_and_begins_the_rest_anew(two: Pair) -> None:
    alpha, beta = two
    made = both(alpha)
    complete(beta, taken(beta)["attempt"]["id"])
    fail(alpha, taken(alpha)["attempt"]["id"], retryable=False)
    assert mission_of(alpha, made["id"])["status"] == "failed"
    done = order(alpha, made["id"], "restart")
    assert (done["status"], done["errors"]) == ("waiting", [])
    assert done["skipped"] == [{"job_id": child(made, "beta-node")["id"], "reason": "status_completed"}]
    assert [job["id"] for job in done["jobs"]] == [child(made, "alpha-node")["id"]]


def test_one_checkpoint_cannot_be_named_for_two_jobs(two: Pair) -> None:
    alpha, _ = two
    made = both(alpha)
    refused(ordered(alpha, made["id"], "resume-from-checkpoint", checkpoint_artifact_id="x"), 400, "invalid_request",
            "mission-level explicit checkpoint selection requires exactly one child job")


def test_a_peer_that_takes_no_orders_is_named_and_the_others_are_ordered(tmp_path: Path) -> None:
    def plain_node(method: str, path: str, headers: Members, body: Any) -> Any:
        if path == "/mesh/jobs/submit":
            return {"status": "queued", "job": claimed_job()}
        return (401, {"error": "operator authorization required"}) if method == "POST" else claimed_job()

    with TrialNode(tmp_path, node_id="alpha-node", allow_loopback_peers=True) as alpha, scripted_peer(alpha, plain_node):
        made = launched(alpha, cooperative_task=task("alpha-node", "liar-node"))
        done = order(alpha, made["id"], "cancel")
        assert [job["status"] for job in done["jobs"]] == ["cancelled"]
        assert [(error["job_id"], error["peer_id"], error["code"]) for error in done["errors"]] == [
            ("claimed-1", "liar-node", "peer_refused")]
        assert done["status"] == "waiting" == stored(alpha, made["id"])
        assert events(alpha, "mesh.mission.cancel_requested")[0]["payload"].items() >= {"job_count": 1, "error_count": 1}.items()


@pytest.mark.parametrize("verb", ["cancel", "restart"])
def test_a_peer_that_does_not_answer_is_asked_once_and_the_others_are_ordered(two: Pair, verb: str,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, beta = two
    jobs = (claimed_job(f"claimed-{number}") for number in range(8))
    with scripted_peer(alpha, lambda *_: {"status": "queued", "job": next(jobs)}):
        made = launched(alpha, cooperative_task=task(*["liar-node"] * 8, *["beta-node"] * 4))
        dispatch, asked = alpha.rooms["mesh.dispatch"], []
        steer = dispatch.control

        def control(peer_id: str, *of_job: Any, **more: Any) -> Members:
            asked.append(peer_id)
            if peer_id == "liar-node":
                raise Refusal("peer_timeout", "liar-node did not answer in time", {"peer_id": peer_id})
            return steer(peer_id, *of_job, **more)

        monkeypatch.setattr(dispatch, "control", control)
        done = order(alpha, made["id"], verb)
    assert (asked.count("liar-node"), asked.count("beta-node")) == (1, 4)
    assert [job["target"] for job in done["jobs"]] == ["beta-node"] * 4
    assert [(error["peer_id"], error["code"]) for error in done["errors"]] == [("liar-node", "peer_timeout")] * 8


def test_a_peer_that_is_gone_keeps_nobody_waiting_and_its_job_stands_as_last_seen(tmp_path: Path) -> None:
    with pair(tmp_path) as (alpha, beta):
        made = both(alpha)
        beta.stop()
        found = mission_of(alpha, made["id"])
        assert (found["status"], child(found, "beta-node")["status"]) == ("waiting", "queued")
        assert child(found, "beta-node")["resolution_error"]
        done = order(alpha, made["id"], "cancel")
        assert [error["peer_id"] for error in done["errors"]] == ["beta-node"]


def test_a_shard_that_no_node_takes_fails_the_mission_after_the_others(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        worker(alpha)
        made = launched(alpha, cooperative_task=task("alpha-node", "gone-node", placement={}) | {
            "shards": [{"label": "here"}, {"label": "there"}]})
        assert (made["status"], len(made["child_job_ids"])) == ("waiting", 1)
        assert made["summary"]["child_status_counts"] == {"queued": 1, "failed": 1}
        complete(alpha, taken(alpha)["attempt"]["id"])
        found = mission_of(alpha, made["id"])
        assert (found["status"], found["cooperative_tasks"][0]["state"]) == ("failed", "attention")


def test_a_mission_of_which_no_node_takes_a_part_has_failed(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        answer = alpha.post("/mesh/missions/launch", {"request_id": "m", "cooperative_task": {
            "base_job": QUEUED, "target_peer_ids": ["gone-node"], "shards": [{}]}})
        assert answer.status >= 400
        found = mission_of(alpha, answer.json["mission_id"])
        assert (found["status"], found["metadata"]["launch_error"]) == ("failed", answer.json["error"])
        assert launched(alpha, request_id="m")["deduped"]


@pytest.mark.parametrize(("strategy", "target"), [("remote", 1), ("Remote Only", 1), ("auto", 0)])
def test_a_job_that_is_to_be_placed_goes_where_the_scheduler_says(two: Pair, strategy: str, target: int) -> None:
    alpha, _ = two
    assert alpha.post("/mesh/peers/sync", {"peer_id": "beta-node", "refresh_manifest": True}).status == 200
    made = launched(alpha, {**QUEUED, "target": "nowhere"}, target_strategy=strategy)
    assert (made["status"], made["child_jobs"][0]["target"]) == ("waiting", ("alpha-node", "beta-node")[target])
    assert alpha.get("/mesh/scheduler/decisions").json["decisions"][0]["job_id"] == made["child_job_ids"][0]
    complete(two[target], taken(two[target])["attempt"]["id"])
    assert mission_of(alpha, made["id"])["status"] == "completed"


def test_one_request_sends_its_task_out_once_however_many_ask_at_once(two: Pair) -> None:
    alpha, beta = two
    body = {"request_id": "same", "cooperative_task": task("alpha-node", "beta-node")}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: alpha.post("/mesh/missions/launch", body), range(4)))
    assert [answer.status for answer in answers] == [200] * 4 and len({answer.json["id"] for answer in answers}) == 1
    assert missions(alpha)["count"] == 1 and len(mission_of(alpha, answers[0].json["id"])["child_job_ids"]) == 2
    assert (alpha.get("/mesh/queue").json["count"], beta.get("/mesh/queue").json["count"]) == (1, 1)


def stopped(folder: Path, *statements: str) -> Members:
    """A common mission as a node leaves it behind that is stopped in the middle of the launch."""
    with TrialNode(folder, node_id="alpha-node") as alpha:
        made = launched(alpha, cooperative_task=task("alpha-node"), request_id="cut")
        alpha.core.writer.run(lambda connection: [connection.execute(statement) for statement in statements] and None)
    return made


def test_the_same_request_starts_a_mission_again_whose_work_was_never_sent_out(tmp_path: Path) -> None:
    made = stopped(tmp_path, "DELETE FROM mesh_mission_child", "UPDATE mesh_mission SET status = 'planned'",
                   "UPDATE mesh_cooperative_task SET request_id = 'other'")
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        again = launched(alpha, cooperative_task=task("alpha-node"), request_id="cut")
        assert (again["id"], again["status"], len(again["child_job_ids"])) == (made["id"], "waiting", 1)


def test_shards_that_a_stop_kept_from_going_out_are_sent_by_the_same_request(tmp_path: Path) -> None:
    made = stopped(tmp_path, "UPDATE mesh_mission_child SET job_id = '', status = 'pending'",
                   "UPDATE mesh_cooperative_shard SET job_id = '', status = 'pending'")
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        assert mission_of(alpha, made["id"])["child_job_ids"] == []
        alpha.until(lambda: mission_of(alpha, made["id"])["status"] == "failed")
        again = launched(alpha, cooperative_task=task("alpha-node"), request_id="cut")
        assert (again["id"], again["status"], again["child_job_ids"]) == (made["id"], "waiting", made["child_job_ids"])


def between_shards(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Shards go out one after another, and `act` runs before the second."""
    from ocp_node.mesh.cooperative_tasks import launching
    send = launching.Launching._send

    def meanwhile(self: Any, task: Any, shard: Any, *more: Any) -> None:
        if shard.shard_index == 1:
            act()
        send(self, task, shard, *more)
    monkeypatch.setattr(launching, "PARALLEL", 1)
    monkeypatch.setattr(launching.Launching, "_send", meanwhile)


def test_a_common_mission_is_followed_while_its_shards_go_out(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, _ = two
    seen: list[Members] = []
    between_shards(monkeypatch, lambda: seen.append(missions(alpha)["missions"][0]))
    made = both(alpha)
    assert (seen[0]["id"], seen[0]["status"], len(seen[0]["child_job_ids"])) == (made["id"], "waiting", 1)
    assert seen[0]["summary"]["child_status_counts"] == {"queued": 1, "pending": 1}


@pytest.mark.parametrize("targets", [("alpha-node", "beta-node"), ("beta-node", "alpha-node")])
def test_what_of_a_cancelled_mission_has_not_gone_out_stays(two: Pair, monkeypatch: pytest.MonkeyPatch,
                                                            targets: tuple[str, str]) -> None:
    alpha, beta = two
    between_shards(monkeypatch, lambda: order(alpha, missions(alpha)["missions"][0]["id"], "cancel"))
    made = launched(alpha, cooperative_task=task(*targets))
    assert [job["status"] for job in made["child_jobs"]] == ["cancelled"]
    counts = [node.get("/mesh/queue").json["count"] for node in (alpha, beta)]
    assert counts == ([1, 0] if targets[0] == "alpha-node" else [0, 1])
    assert made["cooperative_tasks"][0]["children"][1]["job"]["error"] == "mission was cancelled"


def test_lists_show_jobs_of_many_missions_as_last_seen(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, _ = two
    first, second = both(alpha), both(alpha)
    monkeypatch.setattr("ocp_node.mesh.missions.room.FULL_JOBS_MAX", 3)
    shown = missions(alpha)["missions"]
    assert [each["id"] for each in shown] == [second["id"], first["id"]]
    assert ["spec" in job for each in shown for job in each["child_jobs"]] == [True, True, True, False]
    assert shown[1]["child_jobs"][1].keys() >= {"id", "status", *rules.REFS}


def test_jobs_for_which_an_answer_has_no_room_are_shown_as_last_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocp_node.mesh.missions.showing.FULL_BYTES_MAX", 30_000)
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        large = {**QUEUED, "payload": {"code": f"# {'x' * 9_000}"}}
        made = launched(alpha, cooperative_task=task("alpha-node", job=large) | {"shards": [{}] * 3})
        assert ["spec" in job for job in made["child_jobs"]] == [True, False, False]
        found = alpha.post(f"/mesh/missions/{made['id']}/continuity/export", {}).json
        assert any("run" in warning for warning in found["warnings"])
        assert found["vessel"]["cooperative_tasks"][0]["base_job"]["payload"] == large["payload"]


def test_a_list_ends_with_the_mission_that_passes_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocp_node.mesh.missions.showing.LISTED_CHILDREN_MAX", 3)
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        for _ in range(3):
            launched(alpha, cooperative_task=task("alpha-node") | {"shards": [{}] * 2})
        assert missions(alpha)["count"] == 2


def test_strangers_do_not_make_this_node_call_its_peers(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, beta = two
    made = both(alpha)
    asked: list[Any] = []
    monkeypatch.setattr(alpha.rooms["mesh.dispatch"].following, "look", lambda *given: asked.append(given))
    for path in (f"/mesh/missions/{made['id']}", "/mesh/missions", f"/mesh/missions/{made['id']}/continuity"):
        assert alpha.get(path, FROM_LAN).status == 200
    assert not asked
    mission_of(alpha, made["id"])
    assert asked


def test_common_tasks_stand_on_the_control_deck(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        made = launched(alpha, cooperative_task=task("alpha-node"))
        frames, task_id = alpha.request("GET", "/mesh/control/stream?once=true").text, made["cooperative_task_ids"][0]
        assert f'"cooperative_tasks":{{"peer_id":"alpha-node","count":1,"tasks":[{{"id":"{task_id}"' in frames


def test_orders_about_many_jobs_are_answered_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocp_node.mesh.missions.control.WHOLE_JOBS_MAX", 1)
    with TrialNode(tmp_path, node_id="alpha-node") as alpha:
        made = launched(alpha, cooperative_task=task("alpha-node") | {"shards": [{}] * 2})
        done = order(alpha, made["id"], "cancel")
        assert ["spec" in job for job in done["jobs"]] == [True, False]
        assert [job["status"] for job in done["jobs"]] == ["cancelled"] * 2
