"""What a launch means, and how a mission stands by its children."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.missions import rules
from ocp_node.mesh.missions.rules import Child

JOB = {"kind": "agent.echo"}


def child(status: str, task_id: str = "", *, at: str = "2026-01-01T00:00:00Z", job_id: str = "j", **facts: Any) -> Child:
    return Child(job_id, "", task_id, status, at, {**rules.facts_of({}), **facts})


@pytest.mark.parametrize(("statuses", "failed", "state"), [
    ((), False, "planned"), ((), True, "failed"),
    (("completed", "completed"), False, "completed"), (("cancelled",), False, "cancelled"),
    (("running", "queued"), False, "active"), (("resuming", "failed"), False, "active"),
    (("queued", "failed"), False, "waiting"), (("retry_wait", "checkpointed"), False, "waiting"),
    (("accepted",), False, "waiting"),
    (("checkpointed", "failed"), False, "checkpointed"), (("failed", "completed"), False, "failed"),
    (("rejected",), False, "failed"), (("cancelled", "completed"), False, "cancelled"), (("unheard-of",), False, "planned"),
    (("completed",), True, "completed"),
])
def test_a_mission_stands_as_its_jobs_do(statuses: tuple[str, ...], failed: bool, state: str) -> None:
    assert rules.status_of([child(status) for status in statuses], failed) == state


@pytest.mark.parametrize(("statuses", "task", "mission"), [
    (("completed", "completed"), "completed", "completed"), (("queued", "completed"), "active", "waiting"),
    (("running", "queued"), "active", "active"), (("checkpointed", "completed"), "checkpointed", "checkpointed"),
    (("failed", "completed"), "attention", "failed"), (("cancelled", "cancelled"), "cancelled", "cancelled"),
    (("completed", "cancelled"), "attention", "failed"), (("unheard-of",), "pending", "waiting"),
])
def test_a_task_stands_as_its_shards_do_and_a_mission_by_its_task(statuses: tuple[str, ...], task: str, mission: str) -> None:
    children = [child(status, "t") for status in statuses]
    assert rules.task_states(children) == {"t": task}
    assert rules.status_of(children, False) == mission


@pytest.mark.parametrize("given", [{}, {"job": {}}, {"job": JOB, "cooperative_task": {"base_job": JOB}}])
def test_a_mission_has_one_job_or_one_task(given: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="mission launch requires exactly one of job or cooperative_task"):
        rules.wanted(given)


@pytest.mark.parametrize(("given", "title", "intent", "strategy"), [
    ({"job": JOB}, "agent.echo", "Launch job", "local"),
    ({"job": {"payload": 1}}, "mission", "Launch job", "local"),
    ({"job": JOB, "title": "  "}, "mission", "Launch job", "local"),
    ({"cooperative_task": {"name": "n", "base_job": JOB}}, "n", "Launch cooperative task", "cooperative_spread"),
    ({"cooperative_task": {"base_job": JOB, "strategy": "gpu-aware"}}, "mission", "Launch cooperative task",
     "cooperative_gpu_aware"),
    ({"job": JOB, "target_strategy": "Remote Only", "intent": "why"}, "agent.echo", "why", "remote"),
])
def test_what_a_launch_leaves_out_follows_from_its_work(given: dict[str, Any], title: str, intent: str, strategy: str) -> None:
    made = rules.wanted(given)
    assert (made.title, made.intent, made.target_strategy) == (title, intent, strategy)


@pytest.mark.parametrize(("word", "priority"), [("URGENT", "critical"), ("medium", "normal"), ("low", "low"), ("soon", "normal")])
def test_a_priority_is_one_of_four(word: str, priority: str) -> None:
    assert rules.wanted({"job": JOB, "priority": word}).priority == priority


def test_continuity_is_durable_unless_it_is_said_not_to_be() -> None:
    usual, short = rules.continuity_of({}), rules.continuity_of({"preserve_across_restart": "no"})
    assert (usual["resumable"], usual["mode"], usual["continuity_class"], usual["checkpoint_strategy"]) == \
        (True, "durable", "durable", "inherit")
    assert (short["resumable"], short["mode"], short["checkpoint_strategy"]) == (False, "ephemeral", "none")


def test_the_ids_of_treaties_keep_their_case_and_stand_once() -> None:
    made = rules.continuity_of({"treaty_requirements": ["Treaty/A", "treaty/a", " B "]})
    assert made["treaty_requirements"] == ["Treaty/A", "B"]


def test_what_follows_from_children_cannot_be_sent_with_a_launch() -> None:
    forged = {"checkpoint_ready": True, "latest_checkpoint_ref": {"id": "x"}, "custom": 1}
    noted = {"launch_error": "x", "last_control_by": "me", "team": "a"}
    made = rules.wanted({"job": JOB, "continuity": forged, "metadata": noted})
    assert not rules.DERIVED & set(made.continuity) and made.continuity["custom"] == 1
    assert made.metadata == {"team": "a"}


@pytest.mark.parametrize("given", [
    {"title": "x" * 201}, {"intent": "x" * 2001}, {"request_id": "x" * 129}, {"metadata": {"x": "y" * 262_200}},
    {"continuity": {"x": "y" * 262_200}}, {"title": 5}, {"policy": "x"}, {"continuity": {"allow_handoff": "maybe"}},
    {"continuity": {"treaty_requirements": "one"}},
])
def test_what_is_too_long_or_of_the_wrong_kind_is_refused_in_clean_words(given: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        rules.wanted({"job": JOB, **given})
    assert refused.value.code == "invalid_request" and "must be" in refused.value.message


def test_recovery_hints_are_objects_and_at_most_four() -> None:
    made = rules.derived(rules.continuity_of({}), [child("checkpointed", hint={"reason": str(number)}) for number in range(6)])
    assert made["continuity"]["recovery_hints"] == [{"reason": str(number)} for number in range(4)]


def test_the_newest_checkpoint_and_the_latest_result_stand_for_the_mission() -> None:
    made = rules.derived({"resumable": False}, [
        child("checkpointed", job_id="a", checkpointed_at="2026-01-02T00:00:00Z", latest_checkpoint_ref={"id": "c2"},
              resumable=True, resume_count=2),
        child("checkpointed", job_id="b", checkpointed_at="2026-01-01T00:00:00Z", latest_checkpoint_ref={"id": "c1"},
              resume_count=1),
        child("completed", job_id="c", at="2026-01-03T00:00:00Z", result_ref={"id": "r2"}, result_bundle_ref={"id": "b2"}),
        child("completed", job_id="d", at="2026-01-02T00:00:00Z", result_ref={"id": "r1"}, result_bundle_ref={"id": "b1"})])
    assert (made["latest_checkpoint_ref"], made["result_ref"]) == ({"id": "c2"}, {"id": "r2"})
    assert made["result_bundle_ref"] == {"id": "b2"}
    assert made["continuity"]["resumable"] and made["continuity"]["checkpoint_ready"] and made["continuity"]["resume_count"] == 3
    assert made["continuity"]["last_child_update_at"] == "2026-01-03T00:00:00Z"
    assert [line["id"] for line in made["lineage"]["jobs"]] == ["a", "b", "c", "d"]


def test_what_a_peer_says_of_its_job_is_taken_only_in_its_kind() -> None:
    made = rules.facts_of({"kind": 5, "resume_count": True, "recovery": "x", "result_ref": [1], "checkpointed_at": "y" * 900})
    assert (made["kind"], made["resume_count"], made["resumable"], made["result_ref"]) == ("", 0, False, {})
    assert len(made["checkpointed_at"]) == 500


@pytest.mark.parametrize(("word", "state"), [("", ""), ("Running", "active"), ("queued", "waiting"), ("canceled", "cancelled"),
                                             ("bogus", "?")])
def test_a_filter_word_means_a_state_or_nothing_at_all(word: str, state: str) -> None:
    assert rules.state_filter(word) == state
