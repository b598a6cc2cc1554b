"""Who is at work here, and work that peers hand over (OCP 0.1 agent presence and hand-off)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.agents import presence
from tests.support.node import TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

HANDOFF = "/mesh/agents/handoff"


def test_the_control_agent_of_the_settings_is_at_work(tmp_path: Path) -> None:
    with TrialNode(tmp_path, agent_id="deck", agent_name="Deck", session_id="s1") as node:
        (agent,) = node.get("/mesh/manifest").json["agent_presence"]
        assert (agent["agent_id"], agent["agent_name"], agent["mesh_session_id"], agent["status"]) == ("deck", "Deck", "s1",
                                                                                                       "active")
        assert agent["active_session"]["started_at"] == node.clock.text()
        assert node.get("/mesh/stream").json["agent_presence"] == [agent]


def test_a_node_without_a_control_agent_has_none(tmp_path: Path) -> None:
    with TrialNode(tmp_path, agent_id="") as node:
        assert node.get("/mesh/manifest").json["agent_presence"] == []


def test_agents_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "AGENTS_MAX", 3)
    with TrialNode(tmp_path) as node:
        agents = node.rooms["mesh.agents"].presence
        agents.register("a", "A", capabilities=("python",))
        node.clock.advance(5)                                     # type: ignore[attr-defined]
        agents.register("b", "B")
        node.clock.advance(5)                                     # type: ignore[attr-defined]
        assert agents.heartbeat("a", "writing") and not agents.heartbeat("nobody")
        shown = {agent["agent_id"]: agent for agent in agents.shown(10)}
        assert shown["a"]["active_session"]["current_task"] == "writing" and shown["a"]["mesh_session_id"] == "mesh:a"
        agents.end("a")
        assert agents.shown(10)[1]["status"] == "idle" and agents.shown(1)[0]["agent_id"] == "ocp-control"
        agents.register("c", "C")
        assert [agent["agent_id"] for agent in agents.shown(10)] == ["ocp-control", "a", "c"]      # b was silent longest


def hand_over(node: TrialNode, peer: TrialPeer, **handoff: Any) -> Any:
    return peer.post(node, HANDOFF, {"handoff": {"summary": "Take over the report", **handoff}})


def test_a_handed_over_piece_of_work_lands_in_the_inbox_and_the_operator_is_told(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        peer.shakes_hands(node)
        answer = hand_over(node, peer, from_agent="a", to_agent="ocp-control", intent="finish", constraints={"project": 1},
                           artifact_refs=[{"id": "x"}], to_peer_id="trial-node")
        handoff = fits("mesh.agents.handoff", answer.json)["handoff"]
        assert (handoff["from_peer_id"], handoff["to_peer_id"], handoff["status"]) == ("friend", "trial-node", "accepted")
        assert node.rooms["mesh.agents"].handoffs(5) == [handoff]
        event = node.get("/mesh/stream").json["events"][1]
        assert (event["event_type"], event["peer_id"], event["payload"]) == ("mesh.handoff.accepted", "friend", {
            "handoff_id": handoff["id"], "from_agent": "a", "to_agent": "ocp-control"})
        (notice,) = node.get("/mesh/notifications").json["notifications"]
        assert notice["notification_type"] == "handoff.accepted" and notice["body"] == "Take over the report"


def test_a_repeated_request_has_its_effect_once_for_each_peer(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        friend, other = TrialPeer("friend"), TrialPeer("other")
        for peer in (friend, other):
            peer.shakes_hands(node)
        envelopes = node.rooms["mesh.envelopes"]

        def send(peer: TrialPeer, summary: str) -> Any:
            from ocp_node.crypto.envelopes import sign_envelope
            body = {"handoff": {"summary": summary}}
            return node.post(HANDOFF, sign_envelope(peer.identity, HANDOFF, body, node.clock, node.core.ids,
                                                    "req-1")).json["handoff"]

        assert envelopes is not None
        first, again, foreign = send(friend, "one"), send(friend, "two"), send(other, "three")
        assert again == {**first, "deduped": True} and "deduped" not in first
        assert foreign["id"] != first["id"] and foreign["summary"] == "three"
        assert len(node.rooms["mesh.agents"].handoffs(9)) == 2


@pytest.mark.parametrize("handoff, status, text", [
    ({"summary": ""}, 400, "handoff.summary is required"), ({"summary": "  "}, 400, "handoff.summary is required"),
    ({"summary": 5}, 400, "handoff.summary must be a string"), ({"summary": "x" * 5000}, 400,
                                                                "handoff.summary is longer than 4096 characters"),
    ({"summary": "\0work"}, 400, "handoff.summary must not have the character U+0000"),
    ({"to_peer_id": "somebody"}, 403, "handoff is for another node"), ({"constraints": []}, 200, ""),
    ({"constraints": [1]}, 400, "handoff.constraints must be an object"), ({"artifact_refs": "x"}, 400,
                                                                           "handoff.artifact_refs must be an array"),
    ({"artifact_refs": [{}] * 101}, 400, "handoff.artifact_refs has more than 100 entries"),
    ({"from_agent": 1}, 400, "handoff.from_agent must be a string"),
    ({"constraints": {"x": "y" * 70_000}}, 400, "handoff.constraints is larger than 65536 bytes"),
])
def test_a_handoff_has_its_form(tmp_path: Path, handoff: dict[str, Any], status: int, text: str) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        peer.shakes_hands(node)
        answer = hand_over(node, peer, **handoff)
        assert (answer.status, answer.json.get("error", "")) == (status, text)
        assert len(node.rooms["mesh.agents"].handoffs(5)) == (status == 200)


@pytest.mark.parametrize("body", [{}, {"handoff": None}, {"handoff": "x"}, {"handoff": []}])
def test_a_handoff_that_is_none_is_refused(tmp_path: Path, body: object) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        peer.shakes_hands(node)
        assert peer.post(node, HANDOFF, body).json["error"] == "handoff.summary is required"


@pytest.mark.parametrize("tier, status", [("trusted", 200), ("partner", 200), ("market", 403), ("public", 403)])
def test_only_partners_hand_work_over(tmp_path: Path, tier: str, status: int) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        peer.shakes_hands(node, trust_tier=tier)
        assert hand_over(node, peer).status == status
