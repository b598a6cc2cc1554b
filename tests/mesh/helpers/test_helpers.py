"""Helpers of a running node: listed, enlisted, drained, retired, ranked, preferred."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
SHELL = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": ["/bin/true"]}}
GPU = {"device_class": "full", "execution_tier": "heavy",
       "compute_profile": {"gpu_count": 1, "gpu_class": "cuda", "gpu_vram_mb": 24576, "cpu_cores": 16, "memory_mb": 32768}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        for name, tier in (("beta-node", "trusted"), ("delta-node", "partner"), ("public-node", "public")):
            TrialPeer(name).shakes_hands(running, trust_tier=tier, device_profile=GPU if tier == "partner" else {})
            running.advance(1)
        yield running


def act(node: TrialNode, action: str, peer_id: str = "beta-node", **more: Any) -> Members:
    answer = node.post(f"/mesh/helpers/{action}", {"peer_id": peer_id, **more})
    assert answer.status == 200, answer
    return fits(f"mesh.helpers.{action}", answer.json)


def prefer(node: TrialNode, preference: str, peer_id: str = "beta-node", **more: Any) -> Members:
    answer = node.post("/mesh/helpers/preferences/set", {"peer_id": peer_id, "preference": preference, **more})
    assert answer.status == 200, answer
    return fits("mesh.helpers.set_preference", answer.json)


def helpers(node: TrialNode, query: str = "") -> dict[str, Members]:
    body = fits("mesh.helpers.list", node.get(f"/mesh/helpers{query}").json)
    assert body["count"] == len(body["helpers"])
    return {each["peer_id"]: each for each in body["helpers"]}


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def test_every_peer_is_listed_latest_seen_first(node: TrialNode) -> None:
    assert list(helpers(node)) == ["public-node", "delta-node", "beta-node"]
    assert list(helpers(node, "?limit=1")) == list(helpers(node, "?limit=0")) == ["public-node"]
    assert {each["state"] for each in helpers(node).values()} == {"unenlisted"}
    assert node.get("/mesh/helpers").json["active_count"] == 0


def test_a_helper_is_enlisted_drained_and_retired(node: TrialNode) -> None:
    seen = node.get("/mesh/peers").json["peers"][-1]["last_seen_at"]
    assert act(node, "enlist", role="gpu_helper", mode="always")["state"] == "enlisted"
    node.advance(5)
    drained = act(node, "drain", reason="maintenance")
    assert (drained["state"], drained["mode"], drained["drain_reason"]) == ("draining", "always", "maintenance")
    assert node.get("/mesh/helpers").json["active_count"] == 1
    retired = act(node, "retire")
    assert (retired["state"], retired["mode"], retired["role"], retired["drain_reason"]) == ("unenlisted", "idle", "", "")
    assert [entry["reason"] for entry in retired["history"]] == ["operator_enlist", "maintenance", "operator_retire"]
    peer = next(each for each in node.get("/mesh/peers").json["peers"] if each["peer_id"] == "beta-node")
    assert peer["last_seen_at"] == seen and peer["metadata"]["enlistment"]["state"] == "unenlisted"      # nobody was seen
    assert events(node, "mesh.helper.action")[1] == {
        "peer_id": "beta-node", "mode": "always", "state": "draining", "role": "gpu_helper", "reason": "maintenance",
        "source": "operator", "drain_reason": "maintenance"}


def test_helpers_survive_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("beta-node").shakes_hands(node)
        made = act(node, "enlist")
        prefer(node, "avoid")
        clock = node.clock
    with TrialNode(tmp_path, clock=clock) as node:
        assert helpers(node)["beta-node"] == {**made, "offload_preferences": [
            {"workload_class": "default", "preference": "avoid", "source": "operator"}]}


@pytest.mark.parametrize("action, body, status, error", [
    ("enlist", {}, 400, "peer_id is required"), ("drain", {}, 400, "peer_id is required"), ("retire", {"peer_id": " "}, 400,
                                                                                            "peer_id is required"),
    ("enlist", {"peer_id": "nobody"}, 404, "peer not found for enlistment"),
    ("drain", {"peer_id": "nobody"}, 404, "peer not found for enlistment"),
    ("enlist", {"peer_id": "public-node"}, 403, "cannot enlist peer with trust_tier=public"),
    ("drain", {"peer_id": "public-node"}, 403, "cannot drain peer with trust_tier=public"),
    ("preferences/set", {}, 400, "peer_id is required"),
    ("preferences/set", {"peer_id": "nobody"}, 404, "peer not found for offload preference"),
    ("preferences/set", {"peer_id": "beta-node", "preference": "love"}, 400, "unsupported offload preference"),
    ("plan", {"job": "j"}, 400, "job must be an object"), ("plan", {"limit": "many"}, 400, "limit must be an integer"),
    ("autonomy/run", {"job": [1]}, 400, "job must be an object"),
    ("auto-seek", {"max_enlist": "x"}, 400, "max_enlist must be an integer"),
    ("auto-seek", {"seek_hosts": "host"}, 400, "seek_hosts must be an array"),
    ("auto-seek", {"trust_tier": "friend"}, 400, "unsupported trust tier"),
])
def test_refusals_have_the_words_of_the_protocol(node: TrialNode, action: str, body: Members, status: int, error: str) -> None:
    answer = node.post(f"/mesh/helpers/{action}", body)
    assert (answer.status, answer.json["error"]) == (status, error)


def test_a_peer_that_was_blocked_cannot_help_but_can_be_let_go(node: TrialNode) -> None:
    act(node, "enlist")
    node.post("/mesh/peers/beta-node/trust", {"trust_tier": "blocked"})
    assert node.post("/mesh/helpers/enlist", {"peer_id": "beta-node"}).status == 403
    assert act(node, "drain")["state"] == "draining" and act(node, "retire")["state"] == "unenlisted"


# --- ranking

def plan(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/helpers/plan", body)
    assert answer.status == 200, answer
    return fits("mesh.helpers.plan", answer.json)


def test_a_plan_ranks_who_could_help(node: TrialNode) -> None:
    found = plan(node)
    assert found["placement"] == {"workload_class": "default", "gpu_required": False, "queue_class": "default"}
    assert [(each["peer_id"], each["score"], each["raw_placement_score"],
             each["recommended_action"]) for each in found["candidates"]] == [
        ("beta-node", 970, 930, "enlist"), ("delta-node", 830, 730, "enlist")]
    assert found["candidate_count"] == 2 and len(plan(node, limit=1)["candidates"]) == len(plan(node,
                                                                                                limit="1")["candidates"]) == 1


def test_enlisting_and_draining_change_the_ranking(node: TrialNode) -> None:
    act(node, "enlist", "delta-node")
    act(node, "drain", "beta-node")
    found = plan(node)["candidates"]
    assert [(each["peer_id"], each["score"], each["recommended_action"]) for each in found] == [
        ("delta-node", 730 + 180 + 80 + 100, "reuse"), ("beta-node", 930 - 140 - 180 + 40, "resume")]
    assert "helper_enlisted_bonus" in found[0]["reasons"] and "helper_draining_penalty" in found[1]["reasons"]


def test_a_job_narrows_the_plan(node: TrialNode) -> None:
    def give_worker(connection: Any) -> None:
        workers = [{"id": "w", "status": "active", "max_concurrent_jobs": 2, "active_attempts": 0}]
        for peer_id in ("beta-node", "delta-node"):
            node.rooms["mesh.peers"].set_metadata(connection, peer_id, {"remote_workers": workers})

    node.core.writer.run(give_worker)
    found = plan(node, job={"kind": "agent.echo", "dispatch_mode": "queued", "placement": {"workload_class": "training",
                                                                                           "gpu_required": True}})
    assert [each["peer_id"] for each in found["candidates"]] == ["delta-node"]
    assert found["placement"]["workload_class"] == "gpu_training"
    assert plan(node, job={"requirements": {"capabilities": ["no-such-thing"]}})["candidates"] == []
    assert plan(node, job=SHELL)["candidates"] == []                              # their cards offer no shell


def test_a_saturated_node_with_a_graphics_processor_looks_for_others(node: TrialNode) -> None:
    node.post("/mesh/device-profile", {"device_profile": {"compute_profile": GPU["compute_profile"]}})
    node.post("/mesh/jobs/submit", {"job": SHELL})
    assert plan(node)["placement"]["gpu_required"] is True


# --- preferences

def test_a_preference_is_kept_replaced_and_listed(node: TrialNode) -> None:
    first = prefer(node, "Never", workload_class="gpu", metadata={"k": 1})
    assert (first["workload_class"], first["preference"], first["source"]) == ("gpu_inference", "deny", "operator")
    node.advance(5)
    prefer(node, "prefer", "delta-node")
    second = prefer(node, "ask", workload_class="inference", source="me")
    assert (second["preference"], second["metadata"], second["created_at"]) == ("approval", {}, first["created_at"])
    assert second["updated_at"] > first["updated_at"]

    def listed(query: str) -> list[str]:
        body = fits("mesh.helpers.preferences", node.get(f"/mesh/helpers/preferences{query}").json)
        return [f"{each['peer_id']} {each['workload_class']}" for each in body["preferences"]]

    assert listed("") == ["beta-node gpu_inference", "delta-node default"] and listed("?limit=1") == ["beta-node gpu_inference"]
    assert listed("?workload_class=gpu") == ["beta-node gpu_inference"]
    assert listed("?peer_id=delta-node") == ["delta-node default"]
    assert listed("?limit=0") == listed("") and listed("?limit=-2") == listed("?limit=1")
    assert events(node, "mesh.offload.preference")[-1] == {"peer_id": "beta-node", "workload_class": "gpu_inference",
                                                           "preference": "approval", "source": "me"}
    assert helpers(node)["beta-node"]["offload_preferences"] == [{"workload_class": "gpu_inference", "preference": "approval",
                                                                 "source": "me"}]


# --- who, and how much

def test_only_operators_give_orders_and_everybody_may_read(node: TrialNode) -> None:
    for action in ("enlist", "drain", "retire", "plan", "auto-seek", "preferences/set", "autonomy/run"):
        assert node.post(f"/mesh/helpers/{action}", {"peer_id": "beta-node"}, FROM_LAN).status == 401
    for path in ("/mesh/helpers", "/mesh/helpers/preferences", "/mesh/helpers/autonomy"):
        assert node.get(path, FROM_LAN).status == 200


def test_the_deck_shows_helpers_preferences_and_what_the_policy_would_do(node: TrialNode) -> None:
    prefer(node, "avoid")
    value = node.rooms["mesh.control"].parts.value
    assert value("helpers")["count"] == 3 and value("preferences")["count"] == 1 and value("autonomy")["decision"] == "noop"


def test_lists_of_many_preferences_use_their_indexes(node: TrialNode) -> None:
    with node.core.reader.snapshot() as connection:
        for where in ("1", "peer_id = 'p'", "workload_class = 'w'"):
            plan = " ".join(row[3] for row in connection.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM mesh_offload_preference WHERE {where} ORDER BY changed DESC LIMIT 5"))
            assert "TEMP B-TREE" not in plan and "INDEX" in plan, (where, plan)
