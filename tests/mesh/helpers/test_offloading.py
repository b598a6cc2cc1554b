"""Taking help: sought by an operator, by the policy, or approved by somebody; and what decisions teach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.helpers.test_helpers import GPU, SHELL, events, helpers, prefer
from tests.support.node import TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    """A node that needs help: a job waits and nobody does it."""
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        for name, tier in (("gamma-node", "trusted"), ("beta-node", "trusted"), ("delta-node", "partner")):
            TrialPeer(name).shakes_hands(running, trust_tier=tier, device_profile=GPU if tier == "partner" else {})
        running.post("/mesh/jobs/submit", {"job": SHELL})
        yield running


def policy(node: TrialNode, **changes: Any) -> None:
    answer = node.post("/mesh/device-profile", {"device_profile": {"offload_policy": changes}})
    assert answer.status == 200, answer


def run(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/helpers/autonomy/run", body)
    assert answer.status == 200, answer
    return fits("mesh.helpers.run_autonomy", answer.json)


def seek(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/helpers/auto-seek", body)
    assert answer.status == 200, answer
    return fits("mesh.helpers.auto_seek", answer.json)


def evaluation(node: TrialNode) -> Members:
    return fits("mesh.helpers.autonomy", node.get("/mesh/helpers/autonomy").json)


def enlisted(node: TrialNode) -> set[str]:
    return {peer_id for peer_id, helper in helpers(node).items() if helper["state"] == "enlisted"}


def resolve(node: TrialNode, approval_id: str, decision: str, **more: Any) -> Members:
    return node.post(f"/mesh/approvals/{approval_id}/resolve", {"decision": decision, **more}).json


def preferences(node: TrialNode) -> dict[str, tuple[str, str, str]]:
    found = node.get("/mesh/helpers/preferences").json["preferences"]
    return {each["peer_id"]: (each["workload_class"], each["preference"], each["source"]) for each in found}


# --- seeking

def test_the_best_are_enlisted_and_those_that_are_helpers_are_passed_over(node: TrialNode) -> None:
    first = seek(node, max_enlist=1, mode="burst", reason="busy")
    (made,) = first["enlisted"]
    assert made["peer_id"] in ("beta-node", "gamma-node") and enlisted(node) == {made["peer_id"]}
    assert (made["state"]["mode"], made["state"]["role"], made["state"]["source"], made["state"]["last_reason"]) == (
        "burst", "helper", "auto", "busy")
    second = seek(node)
    assert {each["peer_id"]: each["reason"] for each in second["skipped"]} == {made["peer_id"]: "already_enlisted"}
    assert enlisted(node) == {"beta-node", "gamma-node", "delta-node"}
    assert helpers(node)["delta-node"]["role"] == "gpu_helper"
    assert events(node, "mesh.helper.auto_seek")[0] == {"pressure": "saturated", "enlisted": [made["peer_id"]], "skipped": [],
                                                        "mode": "burst", "reason": "busy"}


def test_seeking_keeps_to_what_is_preferred(node: TrialNode) -> None:
    prefer(node, "deny", "beta-node")
    prefer(node, "avoid", "gamma-node")
    found = seek(node)
    assert {each["peer_id"]: each["reason"] for each in found["skipped"]} == {"beta-node": "preference_deny",
                                                                             "gamma-node": "preference_avoid"}
    assert enlisted(node) == {"delta-node"}


def test_nobody_is_called_unless_it_is_asked_for(node: TrialNode) -> None:
    assert seek(node, seek_hosts=["192.0.2.1"])["discovery"] == {}
    assert node.get("/mesh/discovery/candidates").json["count"] == 0


def test_other_nodes_are_looked_for_and_not_trusted_for_being_found(node: TrialNode, tmp_path: Path) -> None:
    with TrialNode(tmp_path / "other", node_id="other-node") as other:
        found = seek(node, job={"requirements": {"capabilities": ["no-such-thing"]}}, allow_remote_seek=True,
                     seek_hosts=[f"127.0.0.1:{other.port}", other.url])
        assert found["discovery"]["connected"] >= 1 and found["enlisted"] == []
        assert helpers(node)["other-node"]["trust_tier"] == "public" and "other-node" not in enlisted(node)


def test_a_fruitless_look_is_told(node: TrialNode) -> None:
    found = seek(node, allow_remote_seek=True, seek_hosts=["127.0.0.1:9"])["discovery"]
    assert found["errors"] == 1 and found["discovered"] == 0


# --- by the policy

def test_a_node_without_need_does_nothing(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as idle:
        TrialPeer("beta-node").shakes_hands(idle)
        found = run(idle)
        assert found["status"] == "noop" and found["evaluation"]["reasons"] == ["pressure_does_not_need_help"]
        assert found["evaluation"]["candidates"] == [] and enlisted(idle) == set()


def test_by_default_somebody_is_asked(node: TrialNode) -> None:
    assert evaluation(node)["decision"] == "request_approval"
    made = run(node, actor_agent_id="ui-1")
    approval = made["approval"]["approval"]
    assert made["status"] == "approval_requested" and approval["status"] == "pending" and enlisted(node) == set()
    offload = approval["metadata"]["autonomous_offload"]
    assert (approval["action_type"], approval["severity"], approval["requested_by_agent_id"], len(offload["peer_ids"])) == (
        "autonomous.offload", "high", "ui-1", 2)
    assert approval["summary"] == "Pressure is saturated and OCP wants to enlist 2 helper peer(s)."
    again = run(node)["approval"]
    assert again["approval"]["id"] == approval["id"] and again["approval"]["deduped"]


def test_an_approval_enlists_and_is_remembered(node: TrialNode) -> None:
    approval = run(node)["approval"]["approval"]
    peer_ids = approval["metadata"]["autonomous_offload"]["peer_ids"]
    done = resolve(node, approval["id"], "approved", operator_peer_id="me", reason="go")
    assert done["automation"]["status"] == "applied" and enlisted(node) == set(peer_ids)
    assert preferences(node) == dict.fromkeys(peer_ids, ("default", "allow", "approval_memory"))
    assert {helpers(node)[peer_id]["last_reason"] for peer_id in peer_ids} == {"go"}
    notice = node.get("/mesh/notifications?limit=1").json["notifications"][0]
    assert (notice["notification_type"], notice["related_approval_id"]) == ("helper.autonomy.applied", approval["id"])


@pytest.mark.parametrize("decision, learned", [("rejected", "deny"), ("deferred", "approval")])
def test_a_refusal_is_learned(node: TrialNode, decision: str, learned: str) -> None:
    approval = run(node)["approval"]["approval"]
    peer_ids = approval["metadata"]["autonomous_offload"]["peer_ids"]
    automation = resolve(node, approval["id"], decision)["automation"]
    assert (automation["status"], automation["preference"]) == ("learned", learned) and enlisted(node) == set()
    assert preferences(node) == dict.fromkeys(peer_ids, ("default", learned, "approval_memory"))


def test_after_a_decision_the_same_question_is_asked_anew(node: TrialNode) -> None:
    first = run(node)["approval"]["approval"]
    resolve(node, first["id"], "approved")
    policy(node, max_auto_enlist=2)
    second = run(node)["approval"]
    assert second["status"] == "pending" and second["approval"]["id"] != first["id"]
    assert second["approval"]["request_id"] in (f"{first['request_id']}-2", second["approval"]["request_id"])


def test_the_decision_reaches_helpers_after_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("beta-node").shakes_hands(node)
        node.post("/mesh/jobs/submit", {"job": SHELL})
        approval = run(node)["approval"]["approval"]
        clock = node.clock
    with TrialNode(tmp_path, clock=clock) as node:
        assert resolve(node, approval["id"],
                       "approved")["automation"]["status"] == "applied" and enlisted(node) == {"beta-node"}


def test_a_peer_that_was_blocked_meanwhile_is_passed_over(node: TrialNode) -> None:
    policy(node, max_auto_enlist=3)
    approval = run(node)["approval"]["approval"]
    node.post("/mesh/peers/beta-node/trust", {"trust_tier": "blocked"})
    automation = resolve(node, approval["id"], "approved")["automation"]
    assert automation["skipped"] == [{"peer_id": "beta-node", "reason": "cannot enlist peer with trust_tier=blocked"}]
    assert enlisted(node) == {"gamma-node", "delta-node"} and "beta-node" not in preferences(node)


@pytest.mark.parametrize("offload, automation", [
    ({}, {"status": "ignored", "reason": "no_helper_peers"}),
    ({"peer_ids": []}, {"status": "ignored", "reason": "no_helper_peers"}),
    ({"peer_ids": ["nobody"]}, {"status": "noop", "enlisted": [], "skipped": [{"peer_id": "nobody",
                                                                              "reason": "peer not found for enlistment"}]}),
])
def test_an_approval_about_nobody_does_nothing(node: TrialNode, offload: Members, automation: Members) -> None:
    asked = node.post("/mesh/approvals/request", {"title": "t", "action_type": "autonomic.helper.enlist",
                                                  "metadata": {"autonomous_offload": offload}}).json["approval"]
    assert resolve(node, asked["id"], "approved")["automation"] == automation


@pytest.mark.parametrize("offload", ["x", 5, {"peer_ids": "beta-node"}, {"peer_ids": ["beta-node", 5]}, {"peer_ids": [{}]},
                                     {"peer_ids": ["beta-node"], "workload_class": 5}])
@pytest.mark.parametrize("decision", ["rejected", "deferred"])
def test_an_offload_that_cannot_be_read_can_be_refused(node: TrialNode, offload: Any, decision: str) -> None:
    asked = node.post("/mesh/approvals/request", {"title": "t", "metadata": {"autonomous_offload": offload}}).json["approval"]
    assert node.post(f"/mesh/approvals/{asked['id']}/resolve", {"decision": "approved"}).status == 400
    answer = resolve(node, asked["id"], decision)
    assert (answer["status"], answer["automation"]) == (decision, {"status": "ignored", "reason": "no_helper_peers"})
    assert preferences(node) == {} and enlisted(node) == set()


def test_an_offload_that_cannot_be_read_expires(node: TrialNode) -> None:
    asked = node.post("/mesh/approvals/request", {"title": "t", "expires_at": "2020-01-01T00:00:00Z",
                                                  "metadata": {"autonomous_offload": {"peer_ids": "beta-node"}}}).json["approval"]
    assert resolve(node, asked["id"], "approved")["status"] == "expired"


def test_an_activation_can_be_approved_the_same_way(node: TrialNode) -> None:
    offload = {"peer_ids": ["beta-node"], "mode": "on_demand", "role": "helper", "workload_class": "connectivity_test",
               "max_auto_enlist": 1}
    asked = node.post("/mesh/approvals/request", {"title": "t", "action_type": "autonomic.helper.enlist",
                                                  "metadata": {"autonomous_offload": offload}}).json["approval"]
    assert resolve(node, asked["id"], "approved")["automation"]["status"] == "applied"
    assert enlisted(node) == {"beta-node"} and preferences(node) == {"beta-node": ("default", "allow", "approval_memory")}


def test_a_policy_that_may_enlists_at_once_and_tells(node: TrialNode) -> None:
    policy(node, mode="auto", allowed_trust_tiers=["trusted"], max_auto_enlist=1)
    made = run(node, reason="night shift")
    assert made["status"] == "auto_enlisted" and len(made["auto_seek"]["enlisted"]) == len(enlisted(node)) == 1
    (peer_id,) = enlisted(node)
    assert helpers(node)[peer_id]["last_reason"] == "night shift" and helpers(node)[peer_id]["source"] == "auto"
    notice = node.get("/mesh/notifications?limit=1").json["notifications"][0]
    assert notice["notification_type"] == "helper.autonomy.enlisted" and notice["metadata"] == {"peer_ids": [peer_id]}
    policy(node, notify_on_action=False)
    run(node)
    assert node.get("/mesh/notifications?limit=1").json["notifications"][0]["id"] == notice["id"]


def test_exactly_those_whom_the_evaluation_chose_are_enlisted(node: TrialNode) -> None:
    """A denied peer with more points than others is not enlisted behind the policy's back."""
    policy(node, mode="auto", allowed_trust_tiers=["trusted", "partner"], approval_trust_tiers=[],
           approval_for_gpu_helpers=False)
    prefer(node, "deny", "beta-node")
    prefer(node, "avoid", "gamma-node")
    made = run(node)
    assert [each["peer_id"] for each in made["evaluation"]["eligible_candidates"]] == ["delta-node"]
    assert [each["peer_id"] for each in made["auto_seek"]["enlisted"]] == ["delta-node"] and enlisted(node) == {"delta-node"}


@pytest.mark.parametrize("changes, decision", [
    ({"mode": "auto", "allowed_trust_tiers": ["trusted"]}, "auto_enlist"), ({"mode": "approval"}, "request_approval"),
    ({"mode": "manual"}, "suggest"), ({"enabled": False}, "noop")])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(node: TrialNode, changes: Members, decision: str) -> None:
    policy(node, **changes)
    before = node.get("/mesh/stream").json["latest_seq"]
    assert run(node, dry_run=True)["status"] == decision
    assert node.get("/mesh/stream").json["latest_seq"] == before and enlisted(node) == set()
    assert node.get("/mesh/approvals").json["count"] == 0


def test_a_job_of_another_kind_is_judged_by_its_own_class(node: TrialNode) -> None:
    policy(node, allowed_workload_classes=["gpu_inference"])
    found = run(node, job={"placement": {"workload_class": "cpu_bound"}})
    assert (found["status"], found["evaluation"]["reasons"]) == ("noop", ["workload_not_allowed_by_policy"])
    allowed = run(node, job={"placement": {"workload_class": "inference", "gpu_required": False}}, dry_run=True)
    assert allowed["status"] == "request_approval" and allowed["evaluation"]["placement"]["workload_class"] == "gpu_inference"
