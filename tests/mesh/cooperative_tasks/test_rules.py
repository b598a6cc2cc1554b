"""Who gets which shard, what its job is, and how a task stands: by tables of cases."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.cooperative_tasks import rules
from ocp_node.mesh.cooperative_tasks.rules import Target, assigned, job_of, kept, state_of, summary, unmet, wanted

Members = dict[str, Any]
PLAIN: Members = {"cpu_cores": 8, "memory_mb": 16384, "gpu_count": 0, "gpu_class": "none", "gpu_vram_mb": 0, "gpu_capable": False}
CUDA: Members = {**PLAIN, "gpu_count": 1, "gpu_class": "cuda", "gpu_vram_mb": 24576, "gpu_capable": True}


def target(peer_id: str, compute: Members = PLAIN, **more: Any) -> Target:
    return Target(**{"peer_id": peer_id, "local": False, "compute": compute, "helper_state": "active", "enlistment": "unenlisted",
                     "queue_depth": 0, **more})


def asked(shards: list[Any], base: Members | None = None, **more: Any) -> rules.Wanted:
    return wanted({"base_job": {"kind": "agent.echo", **(base or {})}, "shards": shards, **more})


@pytest.mark.parametrize(("request_body", "error"), [
    ({}, "base_job is required"), ({"shards": [{}]}, "base_job is required"), ({"base_job": "x"}, "base_job must be an object"),
    ({"base_job": {"kind": "a"}}, "at least one shard is required"),
    ({"base_job": {"kind": "a"}, "shards": []}, "at least one shard is required"),
    ({"base_job": {"kind": "a"}, "shards": "all"}, "shards must be an array"),
    ({"base_job": {"kind": "a"}, "shards": ["a"]}, "shards[0] must be an object"),
    ({"base_job": {"kind": "a"}, "shards": [{}] * 257}, "shards must be an array of at most 256 entries"),
    ({"base_job": {"kind": "a"}, "shards": [{}], "target_peer_ids": "alpha"}, "target_peer_ids must be an array"),
    ({"base_job": {"kind": "a"}, "shards": [{}], "target_peer_ids": ["p"] * 257},
     "target_peer_ids must be an array of at most 256 entries"),
    ({"base_job": {"kind": "a"}, "shards": [{}], "request_id": "r" * 129}, "request_id must be at most 128 characters"),
    ({"base_job": {"kind": "a"}, "shards": [{}], "name": "n" * 201}, "name must be at most 200 characters"),
    ({"base_job": {"kind": "a"}, "shards": [{}], "allow_local": "perhaps"}, "allow_local must be a boolean")])
def test_what_is_wrong_with_a_launch_is_said(request_body: Members, error: str) -> None:
    with pytest.raises(Refusal) as found:
        wanted(request_body)
    assert (found.value.code, found.value.message) == ("invalid_request", error)


@pytest.mark.parametrize(("given", "strategy", "local", "remote"), [
    ({}, "spread", True, True), ({"strategy": "magic"}, "spread", True, True),
    ({"strategy": "GPU_aware"}, "gpu-aware", True, True),
    ({"strategy": "local-only"}, "local-only", True, False), ({"strategy": "remote-only"}, "remote-only", False, True),
    ({"strategy": "remote-only", "allow_remote": False}, "remote-only", False, False),
    ({"allow_local": "no"}, "spread", False, True), ({"allow_remote": 0}, "spread", True, False)])
def test_a_strategy_says_where_shards_may_go(given: Members, strategy: str, local: bool, remote: bool) -> None:
    found = asked([{}], **given)
    assert (found.strategy, found.allow_local, found.allow_remote) == (strategy, local, remote)


def test_targets_keep_their_case_and_stand_once() -> None:
    assert asked([{}], target_peer_ids=["Beta", "alpha", "Beta", " "]).target_peer_ids == ["Beta", "alpha"]


@pytest.mark.parametrize(("shards", "targets", "expected"), [
    ([{}, {}, {}], [target("a"), target("b")], "aba"),
    ([{}, {}], [target("a", queue_depth=5), target("b")], "bb"),
    ([{}, {}], [target("a", queue_depth=3), target("b")], "ba"),
    ([{}], [target("a"), target("b", enlistment="enlisted")], "b"),
    ([{}], [target("a", enlistment="draining"), target("b", queue_depth=10)], "b"),
    ([{"placement": {"gpu_required": True}}, {}], [target("a"), target("g", CUDA)], "ga"),
    ([{"placement": {"workload_class": "gpu_inference"}}], [target("a"), target("g", CUDA)], "g"),
    ([{"placement": {"workload_class": "mixed"}}], [target("a"), target("g", CUDA)], "g"),
    ([{"placement": {"workload_class": "cpu_bound"}}], [target("g", CUDA), target("a")], "a"),
    ([{"placement": {"gpu_required": True, "gpu_class_preferred": "rocm"}}],
     [target("g", CUDA), target("r", {**CUDA, "gpu_class": "rocm"})], "r"),
    ([{"placement": {"min_memory_mb": 20000}}], [target("a"), target("m", {**PLAIN, "memory_mb": 32768})], "m"),
    ([{"requirements": {"resources": {"cpu": 16}}}], [target("a"), target("c", {**PLAIN, "cpu_cores": 32})], "c"),
    ([{}], [target("a", helper_state="retired"), target("b", queue_depth=9)], "b"),
    ([{}], [target("a", helper_state="retired", local=True), target("b", queue_depth=9)], "a"),
    ([{"target_peer_id": "b"}, {"target_peer_id": "elsewhere"}, {}], [target("a"), target("b")], "b?a"),
    ([{"placement": {"gpu_required": True, "best_effort": True}}] * 3, [target("a"), target("b")], "aba")])
def test_a_shard_goes_to_the_target_that_suits_it_best(shards: list[Members], targets: list[Target], expected: str) -> None:
    found = assigned(asked(shards), targets, {each.peer_id: each for each in targets})
    assert [peer_id.replace("elsewhere", "?") for peer_id, _ in found] == list(expected)


@pytest.mark.parametrize(("placement", "compute", "reason"), [
    ({"gpu_required": True}, PLAIN, "gpu_required_not_available"), ({"min_gpu_vram_mb": 40000}, CUDA, "gpu_vram_insufficient"),
    ({"min_memory_mb": 999_999}, PLAIN, "memory_insufficient"), ({"min_cpu_cores": 9}, PLAIN, "cpu_insufficient"),
    ({"min_memory_mb": 999_999}, {**PLAIN, "memory_mb": 0}, "")])
def test_a_target_that_cannot_do_a_shard_says_why(placement: Members, compute: Members, reason: str) -> None:
    assert unmet(target("a", compute), rules.needs_of({}, {"placement": placement})) == reason


def test_a_shard_that_nobody_meets_is_refused_by_its_label() -> None:
    with pytest.raises(Refusal) as found:
        assigned(asked([{}, {"label": "huge", "placement": {"min_memory_mb": 999_999}}]), [target("a")], {"a": target("a")})
    assert (found.value.code, found.value.message) == ("no_target", "no target meets shard huge")
    assert found.value.detail["reasons"] == {"a": "memory_insufficient"}


def test_the_job_of_a_shard_is_the_base_with_what_the_shard_says() -> None:
    base = {"dispatch_mode": "queued", "payload": {"command": "base", "env": {"A": "1"}}, "policy": {"mode": "batch"},
            "requirements": {"capabilities": ["shell"]}, "metadata": {"keep": 1, "mission": {"mission_id": "forged"}},
            "artifact_inputs": [{"id": "one"}], "target": "elsewhere", "queue": "q", "placement": {"stay_local": True}}
    shard = {"label": "part", "kind": "shell.command", "payload": {"command": "mine"}, "policy": {"classification": "public"},
             "metadata": {"part": 2, "cooperative_task": {"task_id": "forged"}}, "artifact_inputs": [{"id": "two"}],
             "placement": {"gpu_required": True}, "dispatch_mode": "inline"}
    found = job_of(asked([{}, shard], base), 1, "t-1", {})
    assert found == {
        "kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": "mine", "env": {"A": "1"}},
        "policy": {"mode": "batch", "classification": "public"}, "requirements": {"capabilities": ["shell"]},
        "metadata": {"keep": 1, "part": 2, "cooperative_task": {"task_id": "t-1", "shard_index": 1, "shard_count": 2,
                                                                "label": "part"}},
        "artifact_inputs": [{"id": "one"}, {"id": "two"}], "queue": "q", "placement": {"stay_local": True}}
    named = job_of(asked([{}], base), 0, "t-1", {"mission_id": "m-1"})
    assert named["metadata"]["mission"] == {"mission_id": "m-1"} and named["payload"]["command"] == "base"
    assert named["metadata"]["cooperative_task"]["label"] == "shard-1"


@pytest.mark.parametrize(("base", "shard", "expected"), [
    (None, None, "absent"), ("text", None, "text"), ("text", {"a": 1}, {"a": 1}), ({"a": 1}, [2], [2]),
    ({"a": 1}, None, {"a": 1})])
def test_a_payload_that_is_no_object_is_not_merged(base: Any, shard: Any, expected: Any) -> None:
    assert job_of(asked([{"payload": shard}], {"payload": base}), 0, "t", {}).get("payload", "absent") == expected


def test_a_base_job_is_kept_without_the_values_of_its_secrets() -> None:
    secrets = {"A": "hidden-1", "B": {"value": "hidden-2", "scope": "s"}, "C": {"source": "store", "name": "n"}}
    found = kept({"kind": "x", "payload": {"command": "c", "secrets": secrets}, "runtime": {"secrets": secrets}})
    assert "hidden" not in repr(found) and found["payload"]["command"] == "c" and found["runtime"]["secrets"]["C"]["name"] == "n"


def test_a_base_job_is_kept_without_what_is_large() -> None:
    found = kept({"kind": "x", "payload": {"code": "y" * 100_000}, "policy": {"mode": "batch"}, "metadata": {"n": "z" * 100_000}})
    assert found == {"kind": "x", "payload": {"omitted_bytes": 100_011}, "policy": {"mode": "batch"},
                     "metadata": {"omitted_bytes": 100_008}}


@pytest.mark.parametrize(("statuses", "state"), [
    (["completed"], "completed"), (["completed", "completed"], "completed"), (["completed", "queued"], "active"),
    (["running", "failed"], "active"), (["retry_wait", "checkpointed"], "active"), (["resuming"], "active"),
    (["checkpointed", "failed"], "checkpointed"), (["checkpointed", "completed"], "checkpointed"),
    (["failed", "completed"], "attention"), (["rejected"], "attention"), (["failed", "cancelled"], "attention"),
    (["cancelled"], "cancelled"), (["completed", "cancelled"], "attention"), (["pending"], "pending"),
    (["pending", "completed"], "pending"), (["pending", "queued"], "active"), (["pending", "cancelled"], "pending")])
def test_a_task_stands_as_its_shards_say(statuses: list[str], state: str) -> None:
    assert state_of(statuses) == state == summary(state, statuses)["state"]
    assert sum(summary(state, statuses)["counts"].values()) == len(statuses) == summary(state, statuses)["total"]


def test_shards_that_are_too_much_together_are_refused() -> None:
    rules.check_size(asked([{}] * 8, {"payload": "x" * 1_000_000}))
    with pytest.raises(Refusal) as found:
        rules.check_size(asked([{}] * 80, {"payload": "x" * 1_000_000}))
    assert found.value.code == "too_large"
