"""Missions with one job of this node: launched, listed, followed, steered."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.jobs import table as jobs_table
from ocp_node.mesh.missions import table
from tests.support.jobs import complete, events, fail, job_of, refused, taken, worker
from tests.support.missions import QUEUED, RESUMABLE, checkpointed, kept, launched, mission_of, missions, order, ordered
from tests.support.node import FROM_LAN, TrialNode

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        worker(running)
        yield running


# --- launching

def test_a_mission_waits_with_its_job_and_completes_with_it(node: TrialNode) -> None:
    made = launched(node, title="Local", intent="Run it", request_id="m-1", priority="high")
    child = made["child_jobs"][0]
    assert (made["status"], child["status"], child["request_id"]) == ("waiting", "queued", "m-1:job")
    assert child["mission"].items() >= {"mission_id": made["id"], "title": "Local", "intent": "Run it",
                                        "target_strategy": "local"}.items()
    attempt = taken(node)["attempt"]
    assert mission_of(node, made["id"])["status"] == "active"
    job = complete(node, attempt["id"], result={"n": 1})["job"]
    found = mission_of(node, made["id"])
    assert (found["status"], found["result_ref"]["id"], found["result_bundle_ref"]["id"]) == (
        "completed", job["result_ref"]["id"], job["result_bundle_ref"]["id"])
    assert found["lineage"]["jobs"][0]["result_ref"] == found["result_ref"]
    assert found["summary"]["child_status_counts"] == {"completed": 1}
    launch = events(node, "mesh.mission.launched")[0]
    assert launch["payload"] == {"mission_id": made["id"], "launch_type": "job", "child_job_count": 1,
                                 "cooperative_task_count": 0}


def test_the_mission_and_its_job_are_there_together_or_not_at_all(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> None:
        raise OSError("no")
    monkeypatch.setattr(table, "put_child", broken)
    assert node.post("/mesh/missions/launch", {"job": QUEUED}).status == 500
    monkeypatch.undo()
    assert missions(node)["count"] == 0
    assert node.get("/mesh/queue").json["count"] == 0


def test_an_inline_job_is_done_when_the_launch_is_answered(node: TrialNode) -> None:
    made = launched(node, {"kind": "agent.echo", "payload": {"a": 1}})
    assert (made["title"], made["status"], made["child_jobs"][0]["status"]) == ("agent.echo", "completed", "completed")


def test_a_failed_inline_job_stays_the_child_of_its_mission(node: TrialNode) -> None:
    answer = node.post("/mesh/missions/launch", {"request_id": "m-f", "job": {"kind": "no.such"}})
    assert (answer.status, answer.json["error"]) == (400, "unsupported mesh job kind: no.such")
    found = mission_of(node, answer.json["mission_id"])
    assert (found["status"], found["child_job_ids"]) == ("failed", [answer.json["job"]["id"]])
    assert found["metadata"]["launch_error"] == answer.json["error"]
    again = launched(node, {"kind": "agent.echo"}, request_id="m-f")
    assert (again["deduped"], again["id"], again["status"]) == (True, found["id"], "failed")


def test_a_job_that_cannot_be_meant_leaves_a_failed_mission_without_children(node: TrialNode) -> None:
    answer = node.post("/mesh/missions/launch", {"request_id": "m-b", "job": {"kind": "shell.command"}})
    assert (answer.status, answer.json["error"]) == (400, "shell.command requires payload.command")
    found = mission_of(node, answer.json["mission_id"])
    assert (found["status"], found["child_job_ids"], found["metadata"]["launch"]) == ("failed", [], {"type": "job"})
    assert found["metadata"]["launch_error"] == "shell.command requires payload.command"


def test_a_rejected_job_is_no_failed_launch(node: TrialNode) -> None:
    made = launched(node, {"kind": "agent.echo", "requirements": {"capabilities": ["none-such"]}})
    assert (made["status"], made["child_jobs"][0]["status"]) == ("failed", "rejected")
    assert "launch_error" not in made["metadata"]


def test_one_request_makes_one_mission_however_many_ask_at_once(node: TrialNode) -> None:
    body = {"request_id": "same", "job": {"kind": "agent.echo", "payload": {"a": 1}}}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: node.post("/mesh/missions/launch", body), range(6)))
    assert [answer.status for answer in answers] == [200] * 6
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("deduped" not in answer.json for answer in answers) == 1
    assert missions(node)["count"] == 1


def test_a_job_of_a_mission_runs_here_whatever_it_names_and_forges_no_task(node: TrialNode) -> None:
    job = {**QUEUED, "target": "elsewhere", "metadata": {"mission": {"mission_id": "x"}, "cooperative_task": {"task_id": "t"}}}
    child = launched(node, job)["child_jobs"][0]
    assert child["target"] == "trial-node" and child["mission"]["mission_id"] != "x"
    assert "cooperative_task" not in child["metadata"]


def test_a_mission_outlives_the_node(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        made = launched(node)
    with TrialNode(tmp_path) as node:
        worker(node)
        complete(node, taken(node)["attempt"]["id"])       # before anybody has asked for a mission
        assert mission_of(node, made["id"])["status"] == "completed"


def test_a_job_cut_short_by_a_restart_fails_its_mission(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        made = launched(node)

        def as_if_it_ran(connection: Any) -> None:
            job_id, room = made["child_job_ids"][0], node.rooms["mesh.jobs"]
            lease = room.lease(connection, f"job:{job_id}", "trial-node", "", job_id, 300, {})
            connection.execute("UPDATE mesh_job SET status = 'running', inline = 1, lease_id = ?", (lease.id,))
        node.core.writer.run(as_if_it_ran)
    with TrialNode(tmp_path) as node:
        node.rooms["mesh.jobs"].recover("none")
        assert mission_of(node, made["id"])["status"] == "failed"


# --- reading

def test_reading_writes_nothing_and_changes_no_order(node: TrialNode) -> None:
    first, second = launched(node), launched(node)
    before, stored = mission_of(node, first["id"]), kept(node)
    node.advance(3600)
    missions(node)
    assert mission_of(node, first["id"]) == before
    assert kept(node) == stored
    assert [each["id"] for each in missions(node)["missions"]] == [second["id"], first["id"]]


def test_the_time_of_the_last_child_is_the_childs_own(node: TrialNode) -> None:
    made = launched(node)
    node.advance(60)
    attempt = taken(node)["attempt"]
    node.advance(60)
    order(node, made["id"], "cancel")
    found = mission_of(node, made["id"])
    assert found["continuity"]["last_child_update_at"] == found["child_jobs"][0]["updated_at"] > attempt["started_at"]


def test_the_state_is_written_down_by_what_changes_the_job(node: TrialNode) -> None:
    made = launched(node)
    attempt = taken(node)["attempt"]
    with node.core.reader.snapshot() as connection:
        assert table.find(connection, made["id"]).status == "active"            # nobody has read the mission since
    fail(node, attempt["id"], retryable=False)
    with node.core.reader.snapshot() as connection:
        assert table.find(connection, made["id"]).status == "failed"


def test_a_list_is_filtered_before_it_is_cut(node: TrialNode) -> None:
    waiting = launched(node)
    for _ in range(3):
        launched(node, {"kind": "agent.echo"})
    assert [each["id"] for each in missions(node, "?limit=1&status=queued")["missions"]] == [waiting["id"]]
    assert missions(node, "?status=completed&limit=2")["count"] == 2
    assert missions(node, "?limit=0")["count"] == 4
    assert missions(node)["generated_at"] == node.clock.text()


def test_an_unknown_filter_word_lists_nothing(node: TrialNode) -> None:
    launched(node)
    assert missions(node, "?status=bogus")["missions"] == []


def test_a_mission_keeps_what_it_knew_of_a_job_that_is_forgotten(node: TrialNode) -> None:
    made = launched(node)
    complete(node, taken(node)["attempt"]["id"])
    node.core.writer.run(lambda connection: jobs_table.forget(connection, made["child_job_ids"], "9999"))
    found = mission_of(node, made["id"])
    assert (found["status"], found["child_jobs"][0]["status"], found["child_jobs"][0]["resolution_error"]) == (
        "completed", "completed", "job not found")
    assert found["result_ref"]["id"]


def test_strangers_see_missions_without_code(node: TrialNode) -> None:
    made = launched(node, title="Plain")
    for path in (f"/mesh/missions/{made['id']}", "/mesh/missions"):
        told = node.get(path, FROM_LAN)
        assert told.status == 200 and "Plain" in told.text
        assert "print(1)" not in told.text and "payload_inline" not in told.text
    assert "print(1)" in node.get(f"/mesh/missions/{made['id']}").text


@pytest.mark.parametrize("path", ["/mesh/missions/nope", "/mesh/missions/"])
def test_a_mission_that_is_not_there_is_not_found(node: TrialNode, path: str) -> None:
    refused(node.get(path), 404, "not_found", "mission not found")


@pytest.mark.parametrize("verb", ["cancel", "resume", "resume-from-checkpoint", "restart"])
def test_an_order_for_a_mission_that_is_not_there_is_not_found(node: TrialNode, verb: str) -> None:
    refused(ordered(node, "nope", verb), 404, "not_found", "mission not found")
    assert ordered(node, "nope", verb, reason=5).json["error"] == "reason must be a string"


@pytest.mark.parametrize("verb", ["cancel", "resume", "resume-from-checkpoint", "restart", "launch"])
def test_strangers_order_nothing(node: TrialNode, verb: str) -> None:
    path = "/mesh/missions/launch" if verb == "launch" else f"/mesh/missions/{launched(node)['id']}/{verb}"
    assert node.post(path, {"job": QUEUED}, FROM_LAN).status == 401


# --- cancelling

def test_a_cancelled_mission_has_cancelled_its_job(node: TrialNode) -> None:
    made = launched(node)
    done = order(node, made["id"], "cancel", operator_id="op", reason="stop it")
    assert (done["status"], done["jobs"][0]["status"], done["errors"]) == ("cancelled", "cancelled", [])
    assert done["jobs"][0]["metadata"]["reason"] == "stop it:op"
    control = {name: value for name, value in done["mission"]["metadata"].items() if name.startswith("last_control")}
    assert control == {"last_control_action": "cancel", "last_control_at": node.clock.text(), "last_control_by": "op",
                       "last_control_reason": "stop it"}
    told = events(node, "mesh.mission.cancel_requested")[0]["payload"]
    assert told == {"mission_id": made["id"], "mode": "cancel", "operator_id": "op", "reason": "stop it", "job_count": 1,
                    "error_count": 0, "skipped_count": 0}


def test_a_completed_mission_is_not_touched_by_a_cancel(node: TrialNode) -> None:
    made = launched(node, {"kind": "agent.echo"})
    before = mission_of(node, made["id"])
    done = order(node, made["id"], "cancel")
    assert (done["status"], done["jobs"][0]["cancelled"]) == ("completed", False)
    assert mission_of(node, made["id"]) == before
    assert not events(node, "mesh.mission.cancel")


# --- going on

def test_a_checkpointed_mission_resumes_and_completes(node: TrialNode) -> None:
    made = checkpointed(node)
    assert made["continuity"]["checkpoint_ready"] and made["continuity"]["resumable"]
    assert made["latest_checkpoint_ref"]["id"] == made["child_jobs"][0]["latest_checkpoint_ref"]["id"]
    done = order(node, made["id"], "resume", operator_id="op-m", reason="go on", metadata={"ticket": 7})
    assert (done["status"], done["jobs"][0]["status"], len(done["queue_messages"])) == ("waiting", "retry_wait", 1)
    assert done["jobs"][0]["metadata"]["recovery_request"] == {"ticket": 7}
    assert done["mission"]["metadata"]["last_control_action"] == "resume_latest"
    told = events(node, "mesh.mission.resume_requested")[0]
    assert told["payload"].items() >= {"mode": "resume_latest", "job_count": 1, "error_count": 0, "skipped_count": 0}.items()
    complete(node, taken(node)["attempt"]["id"])
    assert mission_of(node, made["id"])["status"] == "completed"


@pytest.mark.parametrize("named", [lambda ref: {"checkpoint_artifact_id": ref["id"]},
                                   lambda ref: {"checkpoint_ref": {"artifact_id": ref["id"]}}])
def test_the_checkpoint_that_is_named_is_used(node: TrialNode, named: Any) -> None:
    made = checkpointed(node)
    earlier = made["latest_checkpoint_ref"]
    order(node, made["id"], "resume")
    fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"checkpoint": {"at": 2}})
    assert mission_of(node, made["id"])["latest_checkpoint_ref"]["id"] != earlier["id"]
    done = order(node, made["id"], "resume-from-checkpoint", **named(earlier))
    assert done["jobs"][0]["resume_checkpoint_ref"]["id"] == earlier["id"]
    assert events(node, "mesh.mission.resume_checkpoint_requested")


@pytest.mark.parametrize(("verb", "body", "status", "error"), [
    ("resume", {}, 409, "mission has no recoverable child jobs for requested action"),
    ("resume-from-checkpoint", {}, 409, "mission has no recoverable child jobs for requested action"),
    ("resume-from-checkpoint", {"checkpoint_artifact_id": "nope"}, 409, "job is not resumable"),
])
def test_an_order_that_fits_no_job_is_refused_and_noted(node: TrialNode, verb: str, body: Members, status: int,
                                                        error: str) -> None:
    made = launched(node)
    answer = ordered(node, made["id"], verb, operator_id="op", **body)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert mission_of(node, made["id"])["metadata"]["last_control_by"] == "op"
    assert not events(node, "mesh.mission.resume")


def test_a_lost_checkpoint_is_the_first_error_of_the_order(node: TrialNode) -> None:
    made = checkpointed(node)
    assert node.request("DELETE", f"/mesh/artifacts/{made['latest_checkpoint_ref']['id']}").status == 200
    refused(ordered(node, made["id"], "resume"), 404, "not_found", "checkpoint artifact not found")
    refused(ordered(node, made["id"], "resume-from-checkpoint", checkpoint_artifact_id="nope"), 404, "not_found",
            "checkpoint artifact not found")
    assert mission_of(node, made["id"])["status"] == "checkpointed"


def test_a_mission_without_jobs_has_nothing_to_recover(node: TrialNode) -> None:
    failed = node.post("/mesh/missions/launch", {"job": {"kind": "shell.command"}}).json["mission_id"]
    for verb in ("resume", "restart", "resume-from-checkpoint"):
        refused(ordered(node, failed, verb), 409, "invalid_state", "mission has no child jobs to recover")
    assert order(node, failed, "cancel")["status"] == "failed"


def test_a_restart_begins_anew_and_a_running_job_refuses_it(node: TrialNode) -> None:
    made = checkpointed(node)
    done = order(node, made["id"], "restart", operator_id="op")
    assert done["status"] == "waiting" and done["jobs"][0]["resume_checkpoint_ref"] == {}
    taken(node)
    refused(ordered(node, made["id"], "restart"), 409, "invalid_state", "running jobs cannot be recovered")


def test_a_completed_mission_is_not_restarted(node: TrialNode) -> None:
    made = launched(node, {"kind": "agent.echo"})
    refused(ordered(node, made["id"], "restart"), 409, "invalid_state", "completed or rejected jobs cannot be recovered")
    refused(ordered(node, made["id"], "resume"), 409, "invalid_state",
            "mission has no recoverable child jobs for requested action")


def test_the_hint_of_a_device_that_comes_and_goes_is_an_object(tmp_path: Path) -> None:
    with TrialNode(tmp_path, device_class="light", form_factor="phone") as phone:
        worker(phone)
        made = checkpointed(phone)
        assert made["continuity"]["recovery_hints"][0]["reason"] == "intermittent_executor"
        assert made["child_jobs"][0] == job_of(phone, made["child_job_ids"][0])


# --- where missions are seen

def test_missions_stand_on_the_control_deck_and_the_app_page(node: TrialNode) -> None:
    made = launched(node, RESUMABLE, metadata={"test_mission": True}, title="A test")
    frames = node.request("GET", "/mesh/control/stream?once=true").text
    assert f'"missions":{{"peer_id":"trial-node","count":1,"missions":[{{"id":"{made["id"]}"' in frames
    proof = node.get("/mesh/app/status").json["latest_proof"]
    assert (proof["mission_id"], proof["status"], proof["title"]) == (made["id"], "waiting", "A test")


def test_a_job_of_an_urgent_mission_overtakes_those_that_came_in_the_same_moment(node: TrialNode) -> None:
    plain, urgent = launched(node), launched(node, priority="urgent")
    assert taken(node)["job"]["id"] == urgent["child_job_ids"][0]
    worker(node, "w2")
    assert taken(node, "w2")["job"]["id"] == plain["child_job_ids"][0]


def test_what_stands_in_the_way_of_a_job_fails_the_launch_and_leaves_no_job(node: TrialNode) -> None:
    held = node.post("/mesh/lease/acquire", {"peer_id": "other-node", "resource": "the-one"})
    assert held.status == 200, held
    answer = node.post("/mesh/missions/launch", {"job": {"kind": "agent.echo", "resource": "the-one"}})
    assert (answer.status, answer.json["code"]) == (409, "lease_conflict")
    found = mission_of(node, answer.json["mission_id"])
    assert (found["status"], found["child_job_ids"]) == ("failed", [])
    assert not events(node, "mesh.mission.launched", "mesh.job.")


def test_a_job_that_waits_for_an_approval_keeps_its_mission_waiting_and_a_no_fails_it(node: TrialNode) -> None:
    made = launched(node, {"kind": "agent.echo", "policy": {"approval_required": True}})
    assert made["status"] == "waiting"
    approval = made["child_jobs"][0]["metadata"]["approval_id"]
    assert node.post(f"/mesh/approvals/{approval}/resolve", {"decision": "rejected"}).status == 200
    assert mission_of(node, made["id"])["status"] == "failed"


def test_a_list_of_heavy_missions_ends_early(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LIST_BYTES_MAX", 5_000)
    for _ in range(3):
        launched(node, {"kind": "agent.echo"}, metadata={"note": "x" * 2_000})
    assert missions(node)["count"] == 2


def test_missions_that_ended_longest_ago_are_forgotten_first_and_open_ones_never(node: TrialNode,
                                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "KEPT_MAX", 2)
    monkeypatch.setattr(table, "FORGOTTEN_AT_ONCE", 1)
    waiting, done = launched(node), launched(node, {"kind": "agent.echo"})
    last = launched(node)
    assert [each["id"] for each in missions(node)["missions"]] == [last["id"], waiting["id"]]
    assert node.get(f"/mesh/missions/{done['id']}").status == 404
    full = node.post("/mesh/missions/launch", {"job": QUEUED})
    assert (full.status, full.json["code"]) == (503, "busy")
    assert node.get("/mesh/queue").json["count"] == 2
