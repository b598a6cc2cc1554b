"""How a mission could go on, by its state; and what a plan comes to."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.mesh.continuity import devices, rules
from ocp_node.mesh.device_profile.rules import normalised

Members = dict[str, Any]


def mission(status: str, *, ready: bool = False, resumable: bool = True, children: bool = True, hints: Any = ()) -> Members:
    return {"status": status, "child_job_ids": ["j"] if children else [],
            "continuity": {"recovery_hints": list(hints), "checkpoint_ready": ready, "resumable": resumable}}


@pytest.mark.parametrize(("made", "state", "action"), [
    (mission("checkpointed", ready=True), "ready_to_continue", "resume"),
    (mission("waiting"), "attention_needed", "resume"), (mission("failed", ready=True), "ready_to_continue", "resume"),
    (mission("failed", resumable=False), "preparing", "wait"), (mission("active"), "in_progress", "wait"),
    (mission("active", hints=[{"recommended_action": "restart"}]), "in_progress", "restart"),
    (mission("active", hints=[{"recommended_action": "explode"}]), "in_progress", "wait"),
    (mission("completed"), "completed", "review"), (mission("cancelled"), "stopped", "none"),
    (mission("planned", children=False), "preparing", "restart"), (mission("failed", children=False), "preparing", "restart"),
])
def test_the_advice_follows_from_the_state(made: Members, state: str, action: str) -> None:
    found = rules.standing(made)
    assert (found.state, found.action) == (state, action)
    assert found.action in rules.LABELS


def test_a_mission_that_never_began_is_not_told_to_resume() -> None:
    made = mission("failed", children=False)
    found = rules.standing(made)
    assert not found.recoverable
    assert [each["action"] for each in rules.actions(made, found)] == ["restart", "cancel"]


def test_the_headline_of_a_mission_that_can_go_on_mentions_its_safe_checkpoint() -> None:
    assert "safe checkpoint" in rules.standing(mission("checkpointed", ready=True)).headline


def test_the_hints_of_the_jobs_say_why_and_where() -> None:
    hint = {"reason": "intermittent_executor", "preferred_target_device_classes": ["relay"]}
    found = rules.standing(mission("checkpointed", ready=True, hints=[hint, "no object"]))
    assert (found.reason, found.classes) == ("intermittent_executor", ["relay"])
    assert rules.standing(mission("waiting")).classes == ["full", "relay"]
    assert rules.standing(mission("active")).classes == []


@pytest.mark.parametrize(("status", "ready", "offered"), [
    ("checkpointed", True, ["resume", "resume_from_checkpoint", "restart", "cancel"]), ("waiting", False, ["resume", "restart",
                                                                                                       "cancel"]),
    ("active", True, ["cancel"]), ("completed", True, []), ("cancelled", False, []),
])
def test_only_what_is_possible_is_offered(status: str, ready: bool, offered: list[str]) -> None:
    made = mission(status, ready=ready)
    assert [each["action"] for each in rules.actions(made, rules.standing(made))] == offered


def device(peer_id: str, profile: Members | None = None, *, current: bool = False) -> Members:
    return devices.own(peer_id, peer_id, normalised(profile or {}), current)


def test_devices_are_sorted_by_what_they_are_good_for() -> None:
    phone, full = device("b", {"device_class": "light"}), device("a")
    away, here = {**device("c"), "connected": False}, device("z", current=True)
    partner = {**device("aa"), "trust_tier": "partner"}
    assert [each["peer_id"] for each in devices.chosen([phone, away, partner, full, here], [])] == ["z", "a", "aa", "c", "b"]
    assert [each["peer_id"] for each in devices.chosen([phone, full], ["light"])] == ["b"]


@pytest.mark.parametrize(("profile", "stability"), [({}, "stable"), ({"device_class": "light"}, "portable"),
                                                    ({"device_class": "micro"}, "compact"),
                                                    ({"device_class": "relay"}, "stable")])
def test_a_device_is_as_stable_as_it_is_heavy(profile: Members, stability: str) -> None:
    assert device("a", profile)["stability"] == stability


def test_another_device_is_recommended_and_one_of_custody_where_treaties_ask_for_it() -> None:
    here, plain = device("here", current=True), device("plain")
    plain["treaty_compatibility"] = {**plain["treaty_compatibility"], "remote_custody_review": False}
    custody = device("custody")
    assert [each.get("peer_id") for each in devices.recommended([here, plain, custody], True)] == ["custody", "custody"]
    assert [each.get("peer_id") for each in devices.recommended([here, plain, custody], False)] == ["plain", "plain"]
    assert devices.recommended([here], True) == (here, {})
    assert devices.recommended([], True) == ({}, {})


THERE = {name: {"required": True, "available": True} for name in rules.REFS}
GONE = {name: {"required": True, "available": False} for name in rules.REFS}
FREE = {"required": [], "satisfied": True}
BOUND = {"required": ["t"], "satisfied": True}
UNMET = {"required": ["t"], "satisfied": False}


def weak(peer_id: str, what: str) -> Members:
    made = device(peer_id)
    return {**made, "treaty_compatibility": {**made["treaty_compatibility"], what: False}}


@pytest.mark.parametrize(("found", "wanted", "availability", "treaties", "whole", "status", "target"), [
    ([device("a"), device("b")], "", THERE, FREE, True, "ready", "a"),
    ([device("a"), device("b")], "b", THERE, FREE, True, "ready", "b"),
    ([device("a")], "", THERE, FREE, False, "attention_needed", "a"),
    ([], "", THERE, FREE, True, "attention_needed", None), ([], "", THERE, BOUND, True, "blocked", None),
    ([device("a")], "", THERE, UNMET, False, "blocked", "a"),
    ([weak("a", "remote_custody_review"), device("b")], "", THERE, BOUND, True, "ready", "b"),
    ([weak("a", "remote_custody_review")], "", THERE, BOUND, True, "blocked", "a"),
    ([weak("a", "shared_treaty_validation")], "a", THERE, BOUND, True, "blocked", "a"),
    ([{**device("a"), "connected": False}, device("b")], "", THERE, FREE, True, "ready", "b"),
])
def test_a_plan_says_what_stands_against_it(found: list[Members], wanted: str, availability: Members, treaties: Members,
                                            whole: bool, status: str, target: str | None) -> None:
    made = rules.plan("resume", found, wanted, availability, treaties, whole)
    assert (made.status, made.target.get("peer_id")) == (status, target)
    assert bool(made.blockers) == (status == "blocked" or target is None)


def test_a_target_that_is_not_relied_on_is_replaced_with_a_warning() -> None:
    made = rules.plan("resume", [device("a")], "stranger", THERE, FREE, True)
    assert made.target["peer_id"] == "a" and "stranger" in made.warnings[0]


@pytest.mark.parametrize(("recommended", "availability", "action"), [
    ("resume", THERE, "resume"), ("resume", GONE, "restart"), ("review", GONE, "review"),
    ("resume", {**GONE, "result_ref": {"required": True, "available": True}}, "review"),
])
def test_a_plan_does_not_resume_from_a_checkpoint_that_is_gone(recommended: str, availability: Members, action: str) -> None:
    assert rules.plan(recommended, [device("a")], "", availability, FREE, True).action == action


def test_constraints_narrow_the_devices_and_unknown_ones_are_told() -> None:
    there = [device("a"), device("b", {"device_class": "light"}), {**device("c"), "trust_tier": "partner"}]
    left, warnings = rules.constrained(there, {"device_classes": ["full"], "trust_tiers": ["self"], "color": "red"})
    assert [each["peer_id"] for each in left] == ["a"] and "color" in warnings[0]
    assert rules.constrained(there, {"peer_ids": ["b"], "connected": True})[0] == [there[1]]


def test_what_shards_have_in_common_goes_along_with_their_task() -> None:
    tasks = [{"id": "t", "base_job": {"kind": "k", "payload": {"code": "c", "env": {"KEY": "value"}},
                                      "runtime": {"cwd": "d", "env": {"OTHER": "value"}}}}]
    assert rules.base_job_of("t", tasks) == {"kind": "k", "payload": {"code": "c", "env": {}, "env_names": ["KEY"]},
                                             "runtime": {"cwd": "d", "env": {}, "env_names": ["OTHER"]}}
    assert rules.base_job_of("other", tasks) == {}


def test_a_spec_goes_along_without_the_values_of_its_environment() -> None:
    job = {"id": "j", "spec": {"execution": {"command": ["x"], "env": {"KEY": "value"}}, "runtime_environment": {
        "secrets": {"bindings": [{"env_var": "TOKEN", "scope": "s", "source": "inline", "provider_ref": "inline", "extra": 1}]}}},
        "metadata": {"approval_id": "a"}}
    assert rules.spec_of(job)["execution"] == {"command": ["x"], "env": {}, "env_names": ["KEY"]}
    assert rules.absent([job]) == {
        "secret_material": [{"env_var": "TOKEN", "scope": "s", "source": "inline", "provider_ref": "inline", "job_id": "j"}],
        "approvals": [{"job_id": "j", "approval_id": "a"}]}
