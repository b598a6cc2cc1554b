"""Passes on real nodes: what they find, connect, prove and leave behind (OCP 0.1 autonomy)."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.base.records import decode
from ocp_node.mesh.autonomy import table
from ocp_node.mesh.autonomy.activation import Activation
from ocp_node.mesh.autonomy.records import Activate
from ocp_node.mesh.autonomy.rules import RUNNING, Run
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits
from tests.support.scripted import Scripted

Members = dict[str, Any]
QUICK = {"scan_timeout": 0.5, "timeout": 2, "limit": 8}


def quiet(node: TrialNode) -> TrialNode:
    """The node looks at no neighbours of the machine that runs the test."""
    node.rooms["mesh.connectivity"].addresses = lambda: ()
    return node


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha", trusted_proxies=("127.0.0.1",)) as node:
        yield quiet(node)


@pytest.fixture
def beta(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta", display_name="Beta") as node:
        yield node


def activate(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/autonomy/activate", {**QUICK, **body})
    assert answer.status == 200, answer
    return fits("mesh.autonomy.activate", answer.json)


def status(node: TrialNode, headers: Any = None) -> Members:
    answer = node.get("/mesh/autonomy/status", headers)
    assert len(answer.body) < 65_536
    return fits("mesh.autonomy.status", answer.json)


def connect(node: TrialNode, other: TrialNode, tier: str = "trusted") -> None:
    assert node.post("/mesh/peers/connect", {"base_url": other.url, "trust_tier": tier}).status == 200


def events(node: TrialNode, kind: str) -> list[Members]:
    found = node.get("/mesh/stream?limit=500").json["events"]
    return [event for event in found if event["event_type"] == kind]


def kinds(run: Members) -> list[tuple[str, str]]:
    return [(action["kind"], action["status"]) for action in run["actions"]]


# --- a pass -----------------------------------------------------------------------------------------------------------

def test_a_node_alone_is_told_to_connect_to_others(alpha: TrialNode) -> None:
    told = activate(alpha, run_proof=False)
    assert told["status"] == "needs_attention" and re.fullmatch("autonomic-mesh-[0-9a-f]{12}", told["request_id"])
    assert [kind for kind, _ in kinds(told)][:3] == ["setup_checked", "peer_scan", "setup_checked"] and told["proof"] == {}
    assert "proof_error" not in told["result"] and told["routes"]["count"] == 0


def test_a_peer_is_proven_and_the_pass_written_down(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    told = activate(alpha, run_proof=False, request_id="one", actor_agent_id="ui-1")
    assert (told["status"], told["routes"]["healthy"], told["request_id"]) == ("completed", 1, "one")
    assert ("route_verified", "ok") in kinds(told) and told["run"]["metadata"] == {"actor_agent_id": "ui-1"}
    assert {"diagnostics", "scan", "connect", "routes", "route_probes", "helpers", "run"} <= set(told["result"])
    shown = status(alpha)
    assert shown["last_run"] == told["run"] and shown["operator_summary"].startswith("The mesh is strong")
    assert [event["payload"]["status"] for event in events(alpha, "mesh.autonomy.run")] == ["running", "completed"]
    assert [event["payload"]["kind"] for event in events(alpha, "mesh.autonomy.action")] == [kind for kind, _ in kinds(told)]
    assert all(event["request_id"] == "one" for event in events(alpha, "mesh.autonomy.action"))
    (notice,) = [each for each in alpha.get("/mesh/notifications").json["notifications"]
                 if each["notification_type"] == "mesh.autonomy.summary"]
    assert (notice["priority"], notice["target_peer_id"], notice["metadata"]["request_id"]) == ("normal", "alpha", "one")


def test_a_pass_in_need_of_attention_is_told_with_high_priority(alpha: TrialNode) -> None:
    activate(alpha, run_proof=False)
    (notice,) = alpha.get("/mesh/notifications").json["notifications"]
    assert notice["priority"] == "high"


def test_a_repeated_request_gets_its_run_and_does_nothing(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    first = activate(alpha, run_proof=False, request_id="same")
    before = alpha.core.writer.commits, len(events(alpha, "mesh.autonomy.run"))
    again = activate(alpha, run_proof=False, request_id="same")
    assert again["deduped"] is True and again["run"] == first["run"] and "deduped" not in first
    assert {name: again[name] for name in ("status", "summary", "actions", "proof", "helpers", "approvals", "result")} == {
        name: first[name] for name in ("status", "summary", "actions", "proof", "helpers", "approvals", "result")}
    assert len(events(alpha, "mesh.autonomy.run")) == before[1]


def test_nodes_that_nobody_admitted_are_named_and_not_connected_to(alpha: TrialNode, beta: TrialNode) -> None:
    alpha.post("/mesh/discovery/seek", {"base_urls": [beta.url]})
    told = activate(alpha, run_proof=False)
    assert alpha.get("/mesh/peers").json["count"] == 0 == beta.get("/mesh/peers").json["count"]
    assert told["result"]["connect"]["not_admitted"] == ["beta"] and "not admitted" in told["actions"][2]["summary"]


def test_a_stranger_that_waits_for_admission_is_left_alone(tmp_path: Path) -> None:
    with Scripted(lambda *_: {}) as server, TrialNode(tmp_path, peer_admission="approval") as node:
        TrialPeer("stranger").shakes_hands(quiet(node), endpoint_url=server.url)
        told = activate(node, run_proof=False)
        assert told["routes"]["count"] == 0 and told["result"]["connect"]["count"] == 0
        assert "/mesh/handshake" not in [path for _, path, _, _ in server.asked]


def test_a_route_that_leads_elsewhere_is_told_as_something_to_fix(tmp_path: Path, alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    with TrialNode(tmp_path / "gone", clock=alpha.clock, node_id="gone") as gone:
        connect(alpha, gone)
    told = activate(alpha, run_proof=False)
    assert told["status"] == "partial" and ("fix_needed", "warning") in kinds(told) and ("route_verified", "ok") in kinds(told)
    assert next(action for action in told["actions"] if action["kind"] == "fix_needed")["peer_id"] == "gone"


def test_answers_stay_small_with_many_peers(alpha: TrialNode) -> None:
    for number in range(40):
        TrialPeer(f"peer-{number:02}").shakes_hands(alpha, endpoint_url="http://127.0.0.1:9/" + "x" * 300, display_name="Ü" * 100)
    told = activate(alpha, run_proof=False)
    assert len(told["actions"]) <= 64 and len(json.dumps(told["run"])) < 65_536 and told["status"] == "needs_attention"
    assert status(alpha)["last_run"]["id"] == told["run"]["id"]
    assert all(len(json.dumps(event)) < 65_536 for event in alpha.get("/mesh/stream?limit=500").json["events"])


# --- one at a time ----------------------------------------------------------------------------------------------------

def held(node: TrialNode) -> tuple[Scripted, threading.Event, threading.Event]:
    """A peer that answers when it is let; and when somebody has asked it."""
    asked, release = threading.Event(), threading.Event()

    def answer(*_: Any) -> Any:
        asked.set()
        release.wait(20)
        return {}
    server = Scripted(answer)
    TrialPeer("slow").shakes_hands(node, endpoint_url=server.url)
    return server, asked, release


def test_a_second_pass_is_refused_while_one_runs(alpha: TrialNode) -> None:
    server, asked, release = held(alpha)
    with server:
        first = threading.Thread(target=activate, args=(alpha,), kwargs={"request_id": "first", "run_proof": False,
                                                                         "timeout": 20})
        first.start()
        assert asked.wait(20)
        refused = alpha.post("/mesh/autonomy/activate", {**QUICK, "request_id": "second"})
        assert (refused.status, refused.json["error"], refused.json["request_id"]) == (409, "activation already running", "first")
        assert refused.json["code"] == "conflict"
        same = activate(alpha, request_id="first")
        assert (same["status"], same["deduped"]) == ("running", True) and status(alpha)["last_run"]["status"] == "running"
        assert alpha.get("/mesh/app/status").json["setup"]["status"] == "proving"
        release.set()
        first.join(30)
        assert activate(alpha, request_id="second", run_proof=False)["status"] == "needs_attention"


def test_of_many_activations_at_once_one_runs(alpha: TrialNode) -> None:
    from ocp_node.http.lanes import gather
    server, _, release = held(alpha)
    refused: list[int] = []

    def one(number: int) -> int:
        body = {**QUICK, "timeout": 20, "request_id": f"r{number}", "run_proof": False}
        status = alpha.post("/mesh/autonomy/activate", body).status
        if status == 409:
            refused.append(number)
        if len(refused) == 7:
            release.set()                                     # the one that runs may end once all others were refused
        return status
    with server:
        found = gather([functools.partial(one, number) for number in range(8)], 8, 30.0)
    assert sorted(found) == [200] + [409] * 7


def test_a_run_that_a_crash_cut_short_has_failed(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        run = Run("run-1", "lost", "assisted", RUNNING, "s", [], {}, {}, node.clock.text(), node.clock.text())
        node.core.writer.run(lambda connection: table.add(connection, run))
    with TrialNode(tmp_path) as node:
        last = status(quiet(node))["last_run"]
        assert (last["status"], last["request_id"]) == ("failed", "lost") and "stopped" in last["summary"]
        node.until(lambda: [event["payload"]["status"] for event in events(node, "mesh.autonomy.run")] == ["failed"], "the event")
        again = activate(node, request_id="lost")
        assert (again["status"], again["deduped"]) == ("failed", True)
        assert activate(node, run_proof=False)["status"] == "needs_attention"


def test_a_fault_in_a_step_ends_the_run_as_failed(alpha: TrialNode) -> None:
    room = alpha.rooms["mesh.connectivity"]

    def broken() -> tuple[str, ...]:
        raise RuntimeError("a fault")
    room.addresses = broken
    answer = alpha.post("/mesh/autonomy/activate", {**QUICK, "request_id": "broken"})
    assert answer.status == 500
    room.addresses = lambda: ()
    assert status(alpha)["last_run"]["status"] == "failed"
    assert activate(alpha, run_proof=False)["status"] == "needs_attention"


def test_a_pass_ends_when_its_time_is_used_up(tmp_path: Path) -> None:
    clock = SetClock()

    def answer(*_: Any) -> Any:
        clock.advance(200)                        # two minutes and more have passed when it answers
        return {}
    with TrialNode(tmp_path, clock=clock) as node, Scripted(answer) as server:
        TrialPeer("slow").shakes_hands(quiet(node), endpoint_url=server.url)
        told = activate(node)
        assert told["status"] == "needs_attention" and "ended after 120 seconds" in told["actions"][-1]["summary"]
        assert "proof_error" not in told["result"] and status(node)["last_run"]["status"] == "needs_attention"


# --- the proof --------------------------------------------------------------------------------------------------------

class Missions:
    """Test missions that end as told."""

    def __init__(self, *ends: Any) -> None:
        self.ends = list(ends)
        self.asked: list[Members] = []

    def test_mesh_launch(self, **asked: Any) -> Members:
        self.asked.append(asked)
        end = self.ends.pop(0)
        if isinstance(end, Refusal):
            raise end
        return {"status": "ok" if end == "completed" else "attention", "error": "" if end == "completed" else "beta: timed out",
                "proof": {"filename": "f"}, "mesh": {"peer_count": 1, "target_peer_ids": ["alpha", "beta"],
                                                     "includes_local": True},
                "mission": {"id": "m1", "status": end, "title": "Whole Mesh Test Mission", "request_id": asked["request_id"]}}


class With:
    """A node's rooms, and some in their place."""

    def __init__(self, rooms: Any, **others: Any) -> None:
        self._rooms = rooms
        self._others = {f"mesh.{name}": room for name, room in others.items()}

    def __getitem__(self, name: str) -> Any:
        return self._others.get(name) or self._rooms[name]


def carried_out(node: TrialNode, rooms: Any = None, **body: Any) -> Run:
    """A pass with these rooms."""
    room = node.rooms["mesh.autonomy"]
    wanted = decode(Activate, {**QUICK, "request_id": "p", **body})
    run, _ = node.core.writer.run(lambda connection: room._begin(connection, wanted.request_id, wanted))
    try:
        return Activation(node.core, rooms or node.rooms, room, run, wanted, True).carry_out()
    finally:
        room._mine.discard(run.id)


def test_a_proof_that_succeeds_completes_the_pass(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    missions = Missions("completed")
    run = carried_out(alpha, With(alpha.rooms, missions=missions))
    assert run.status == "completed" and [action["kind"] for action in run.actions][-2:] == ["proof_started", "proof_completed"]
    assert missions.asked[0]["request_id"] == "p-proof" and 0 < missions.asked[0]["seconds"] <= 120
    assert run.result["proof"]["mission"]["status"] == "completed" and "proof_error" not in run.result


@pytest.mark.parametrize("first", [Refusal("peer_timeout", "the peer did not answer in time"), "failed"])
def test_a_proof_that_fails_on_the_way_is_repaired_and_repeated_once(alpha: TrialNode, beta: TrialNode, first: Any) -> None:
    connect(alpha, beta)
    missions = Missions(first, "completed")
    run = carried_out(alpha, With(alpha.rooms, missions=missions))
    assert [asked["request_id"] for asked in missions.asked] == ["p-proof", "p-proof-retry"] and run.status == "completed"
    assert {"route_repaired", "peer_synced", "proof_completed"} <= {action["kind"] for action in run.actions}
    assert run.result["repairs"] == [{"peer_id": "beta",
                                      "status": "ok"}] and run.result["proof_retry"]["mission"]["status"] == "completed"


@pytest.mark.parametrize("body, ends, asked", [
    ({"repair": False}, ("failed",), 1), ({}, (Refusal("policy_denied", "not allowed"),), 1), ({}, ("failed", "failed"), 2),
])
def test_a_proof_that_does_not_succeed_leaves_a_partial_pass(alpha: TrialNode, beta: TrialNode, body: Members,
                                                             ends: tuple[Any, ...],
                                                              asked: int) -> None:
    connect(alpha, beta)
    missions = Missions(*ends)
    run = carried_out(alpha, With(alpha.rooms, missions=missions), **body)
    assert (run.status, len(missions.asked)) == ("partial", asked) and run.result["proof_error"]


def test_the_proof_is_a_test_mission_that_runs_on_every_device(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    told = activate(alpha, request_id="real")
    assert (told["status"], kinds(told)[-1]) == ("completed", ("proof_completed", "ok"))
    mission = alpha.get(f"/mesh/missions/{told['proof']['mission']['id']}").json
    assert (mission["status"], mission["request_id"]) == ("completed", "real-proof")
    assert sorted(job["target"] for job in mission["child_jobs"]) == sorted(told["proof"]["mesh"]["target_peer_ids"])
    shown = alpha.get("/mesh/app/status").json["latest_proof"]
    assert (shown["mission_id"], shown["status"]) == (mission["id"], "completed")


def test_without_any_route_a_missing_proof_needs_attention(alpha: TrialNode) -> None:
    run = carried_out(alpha, With(alpha.rooms, missions=Missions(Refusal("invalid_request", "nobody there"))))
    assert run.status == "needs_attention" and "nobody there" in run.summary


# --- helpers ----------------------------------------------------------------------------------------------------------

class Helpers:
    """Helpers that are enlisted when asked."""

    def __init__(self, *planned: str, refuses: str = "") -> None:
        self.planned = planned
        self.refuses = refuses
        self.enlisted: list[str] = []

    def plan(self, job: Members, limit: int) -> Members:
        return {"peer_id": "alpha", "candidate_count": len(self.planned),
                "candidates": [{"peer_id": peer_id} for peer_id in self.planned]}

    def preferences_for(self, connection: Any, job: Members, peer_ids: list[str]) -> Members:
        return {}

    def enlist(self, connection: Any, peer_id: str, **how: Any) -> Members:
        if peer_id == self.refuses:
            raise Refusal("policy_denied", "cannot enlist peer")
        self.enlisted.append(peer_id)
        return {"peer_id": peer_id, "state": "enlisted", **how}


def reachable(node: TrialNode, *peers: tuple[str, str, str]) -> None:
    """Peers with a proven route: name, tier, device class."""
    def change(connection: Any) -> None:
        for peer_id, tier, _ in peers:
            room = node.rooms["mesh.peers"]
            peer = room.current(connection, peer_id)
            room.put(connection, peer._replace(trust_tier=tier, metadata={
                **peer.metadata, "last_reachable_base_url": "http://127.0.0.1:9", "route_health": {
                    "status": "reachable", "checked_at": node.clock.text(), "last_success_at": node.clock.text()}}))
    for peer_id, _, kind in peers:
        TrialPeer(peer_id).shakes_hands(node, device_profile={"device_class": kind})
    node.core.writer.run(change)


def enlisted(node: TrialNode, helpers: Helpers, **body: Any) -> Members:
    from ocp_node.mesh.autonomy.enlisting import Enlisting
    acts: list[tuple[Any, ...]] = []
    wanted = decode(Activate, body)
    run = Run("id", "p", "assisted", RUNNING, "", [], {}, {}, "", "")
    step = Enlisting(node.core, With(node.rooms, helpers=helpers), run, wanted, lambda *given,
                     **more: acts.append(given)).carry_out()
    return {**step, "acts": [(kind, status) for kind, status, *_ in acts]}


def test_full_devices_help_others_of_partners_when_approved_and_nobody_else(alpha: TrialNode) -> None:
    reachable(alpha, ("friend", "trusted", "full"), ("partner", "partner", "full"), ("phone", "partner", "light"),
              ("toy", "trusted", "light"),
              ("shop", "market", "full"), ("stranger", "public", "full"), ("enemy", "blocked", "full"))
    helpers = Helpers("friend")
    told = enlisted(alpha, helpers, max_enlist=5)
    assert helpers.enlisted[0] == "friend" and set(helpers.enlisted) == {"friend", "partner"}
    assert [each["peer_id"] for each in told["approvals"]] == ["phone"]
    assert {each["peer_id"]: each["reason"] for each in told["skipped"]} == {"toy": "not_eligible", "shop": "not_eligible"}
    assert told["acts"].count(("partner_auto_enlisted", "ok")) == 1 and ("helper_ready", "approval_required") in told["acts"]
    (approval,) = alpha.get("/mesh/approvals?status=pending").json["approvals"]
    assert (approval["action_type"], approval["request_id"]) == ("autonomic.helper.enlist", "p-helper-phone")
    assert approval["metadata"]["autonomous_offload"]["peer_ids"] == ["phone"]
    assert enlisted(alpha, Helpers())["approvals"][0]["id"] == approval["id"]        # nobody is asked twice
    assert alpha.get("/mesh/app/status").json["setup"]["device_roles"][1]["role"] in ("approval_only", "route_verified")


def test_no_more_helpers_are_enlisted_than_wanted(alpha: TrialNode) -> None:
    reachable(alpha, ("a", "trusted", "full"), ("b", "trusted", "full"), ("c", "trusted", "full"))
    for most, count in ((2, 2), (0, 0), (-3, 0)):
        helpers = Helpers("c", "b", "a")
        told = enlisted(alpha, helpers, max_enlist=most)
        assert helpers.enlisted == ["c", "b"][:count]
        assert [each["reason"] for each in told["skipped"]] == ["max_enlist_reached"] * (3 - count)


def test_a_planned_helper_without_a_route_and_one_that_is_refused_are_skipped(alpha: TrialNode) -> None:
    reachable(alpha, ("a", "trusted", "full"))
    TrialPeer("far").shakes_hands(alpha)
    told = enlisted(alpha, Helpers("far", "a", "unknown", refuses="a"))
    assert {each["peer_id"]: each["reason"] for each in told["skipped"]} == {"far": "route_not_usable", "a": "cannot enlist peer"}
    assert ("fix_needed", "warning") in told["acts"] and ("fix_needed", "blocked") in told["acts"]


def test_a_waiting_approval_makes_the_pass_ask_for_it(alpha: TrialNode, beta: TrialNode) -> None:
    beta.post("/mesh/device-profile", {"device_profile": {"device_class": "light"}})
    connect(alpha, beta, "partner")
    run = carried_out(alpha, With(alpha.rooms, helpers=Helpers("beta")), run_proof=False)
    assert run.status == "approval_requested" and run.result["helpers"]["approvals"][0]["peer_id"] == "beta"


def test_a_decision_on_a_helper_is_carried_out_and_remembered(alpha: TrialNode) -> None:
    reachable(alpha, ("phone", "partner", "light"), ("watch", "partner", "micro"))
    asked = {each["metadata"]["candidate_peer_id"]: each["id"] for each in pending(alpha, activate_helpers(alpha))}
    assert set(asked) == {"phone", "watch"}
    for peer_id, decision in (("phone", "approved"), ("watch", "rejected")):
        body = {"approval_id": asked[peer_id], "decision": decision, "operator_peer_id": "alpha"}
        assert alpha.post(f"/mesh/approvals/{asked[peer_id]}/resolve", body).status == 200
    states = {each["peer_id"]: each["state"] for each in alpha.get("/mesh/helpers").json["helpers"]}
    assert states == {"phone": "enlisted", "watch": "unenlisted"}
    told = activate_helpers(alpha)
    assert told["approvals"] == [] and told["skipped"] == [{"peer_id": "watch", "reason": "preference_deny"}]


def activate_helpers(node: TrialNode) -> Members:
    """The step that looks for helpers, with the room that is there."""
    from ocp_node.mesh.autonomy.enlisting import Enlisting
    run = Run("id", node.core.ids.hex(8), "assisted", RUNNING, "", [], {}, {}, "", "")
    return Enlisting(node.core, node.rooms, run, decode(Activate, {}), lambda *given, **more: None).carry_out()


def pending(node: TrialNode, step: Members) -> list[Members]:
    """The approvals that the step asked for."""
    wanted = {each["id"] for each in step["approvals"]}
    return [each for each in node.get("/mesh/approvals?status=pending").json["approvals"] if each["id"] in wanted]


# --- callers ----------------------------------------------------------------------------------------------------------

def test_a_status_shows_strangers_no_network(alpha: TrialNode) -> None:
    alpha.post("/mesh/discovery/seek", {"base_urls": ["http://127.0.0.1:9"], "timeout": 1})
    assert status(alpha)["connectivity"]["recent_errors"]
    stranger = status(alpha, FROM_LAN)["connectivity"]
    assert stranger["recent_errors"] == [] == stranger["scan_urls"]
    assert alpha.post("/mesh/autonomy/activate", QUICK, FROM_LAN).status == 401


def test_an_activation_of_the_wrong_form_names_the_member(alpha: TrialNode) -> None:
    answer = alpha.post("/mesh/autonomy/activate", {"run_proof": "yes"})
    assert answer.json["protocol_validation"]["issues"] == [
        {"path": "$.run_proof", "message": "invalid type", "expected": "boolean", "actual": "string"}]
    assert alpha.post("/mesh/autonomy/activate", {"request_id": "x" * 300}).status == 400
    assert status(alpha)["last_run"] == {} and events(alpha, "mesh.autonomy.run") == []


def test_the_control_deck_shows_what_these_rooms_know(alpha: TrialNode, beta: TrialNode) -> None:
    alpha.post("/mesh/discovery/seek", {"base_urls": [beta.url]})
    deck = alpha.rooms["mesh.control"].state(True)
    assert deck["autonomic_mesh"]["peer_id"] == "alpha" and deck["connectivity"]["scan_urls"] == [beta.url]
    (candidate,) = deck["discovery_candidates"]["candidates"]
    assert (candidate["peer_id"], candidate["manifest"]) == ("beta", {})
    assert alpha.rooms["mesh.control"].state(False)["connectivity"]["scan_urls"] == []
