"""Strangers wait for an approval, and become what the decision says (OCP 0.1 admission)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.handshake import room as handshake
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer

Members = dict[str, Any]


def a_node(folder: Path, **settings: Any) -> TrialNode:
    return TrialNode(folder, trusted_proxies=("127.0.0.1",), peer_admission="approval", **settings)


def questions(node: TrialNode, status: str = "pending") -> list[Members]:
    return node.get(f"/mesh/approvals?status={status}").json["approvals"]


def decide(node: TrialNode, decision: str, **more: Any) -> Members:
    return node.post(f"/mesh/approvals/{questions(node)[0]['id']}/resolve", {"decision": decision, **more}).json


def seen(node: TrialNode, peer_id: str) -> tuple[str, str]:
    peer = next(each for each in node.get("/mesh/peers").json["peers"] if each["peer_id"] == peer_id)
    return peer["trust_tier"], peer["status"]


@pytest.mark.parametrize("decision, metadata, tier, status", [
    ("approved", {}, "partner", "connected"), ("approved", {"trust_tier": "market"}, "market", "connected"),
    ("rejected", {}, "public", "connected"), ("deferred", {}, "public", "pending"),
])
def test_a_stranger_becomes_what_is_decided(tmp_path: Path, decision: str, metadata: Members, tier: str, status: str) -> None:
    with a_node(tmp_path) as node:
        TrialPeer("stranger").shakes_hands(node, FROM_LAN, trust_tier="partner")
        assert seen(node, "stranger") == ("public", "pending")
        (question,) = questions(node)
        assert question["action_type"] == "peer.admission" and question["request_id"] == "peer-admission-stranger"
        automation = decide(node, decision, metadata=metadata)["automation"]
        assert seen(node, "stranger") == (tier, status)
        if decision == "deferred":
            assert automation["status"] == "ignored"
        else:
            assert automation == {"status": "applied", "peer_id": "stranger", "trust_tier": tier}


def test_the_decision_reaches_the_peer_after_a_restart(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        TrialPeer("stranger").shakes_hands(node, FROM_LAN)
        clock = node.clock
    with a_node(tmp_path, clock=clock) as node:
        assert decide(node, "approved")["automation"]["status"] == "applied"        # no handshake has come since the start
        assert seen(node, "stranger") == ("trusted", "connected")


def test_a_word_that_is_no_tier_decides_nothing(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        TrialPeer("stranger").shakes_hands(node, FROM_LAN)
        answer = node.post(f"/mesh/approvals/{questions(node)[0]['id']}/resolve",
                           {"decision": "approved", "metadata": {"trust_tier": "friend"}})
        assert (answer.status, answer.json["error"]) == (400, "unsupported trust tier")
        assert len(questions(node)) == 1 and seen(node, "stranger") == ("public", "pending")


def test_a_second_handshake_asks_no_second_time(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        stranger = TrialPeer("stranger")
        stranger.shakes_hands(node, FROM_LAN)
        stranger.shakes_hands(node, FROM_LAN)
        assert len(questions(node)) == 1
        decide(node, "rejected")
        assert stranger.shakes_hands(node, FROM_LAN)["trust_tier"] == "public" and questions(node) == []


@pytest.mark.parametrize("order", [{"trust_tier": "blocked"}, {"trust_tier": "market"}, {"trust_tier": "public"}])
def test_what_the_operator_has_decided_directly_is_not_asked_any_more(tmp_path: Path, order: Members) -> None:
    with a_node(tmp_path) as node:
        TrialPeer("stranger").shakes_hands(node, FROM_LAN)
        assert node.post("/mesh/peers/stranger/trust", {"remote_execution": False}).status == 200 and len(questions(node)) == 1
        assert node.post("/mesh/peers/stranger/trust", order).status == 200
        assert questions(node) == [] and questions(node, "expired")[0]["resolution"]["reason"] == "peer_decided"
        assert seen(node, "stranger") == (order["trust_tier"], "connected")


def test_a_waiting_peer_whose_key_was_reset_is_asked_about_again_with_its_new_key(tmp_path: Path) -> None:
    with a_node(tmp_path) as node:
        TrialPeer("stranger").shakes_hands(node, FROM_LAN)
        assert node.post("/mesh/peers/stranger/trust", {"reset_key": True}).status == 200
        assert questions(node) == []
        for number in range(2, 4):                                       # and once more, when that question is numbered itself
            other_key = TrialPeer("stranger", number=number)
            other_key.shakes_hands(node, FROM_LAN)
            (question,) = questions(node)
            assert question["metadata"]["public_key"] == other_key.identity.public_key_hex
            other_key.shakes_hands(node, FROM_LAN)
            assert len(questions(node)) == 1
            if number == 2:
                node.post("/mesh/peers/stranger/trust", {"reset_key": True})
        assert decide(node, "approved")["automation"]["status"] == "applied" and seen(node, "stranger") == ("trusted", "connected")


def test_who_was_forgotten_while_waiting_is_asked_about_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of new names pushes out old ones; neither their questions nor their place stay behind."""
    monkeypatch.setattr(handshake, "STRANGERS_MAX", 3)
    with a_node(tmp_path) as node:
        first = TrialPeer("stranger-0")
        first.shakes_hands(node, FROM_LAN)
        node.advance(handshake.STRANGER_SECONDS + 60)
        for number in range(1, 4):
            TrialPeer(f"stranger-{number}").shakes_hands(node, FROM_LAN)
        assert {each["request_id"] for each in questions(node)} == {f"peer-admission-stranger-{number}" for number in (1, 2, 3)}
        assert questions(node, "expired")[0]["resolution"]["reason"] == "peer_forgotten"
        node.advance(handshake.STRANGER_SECONDS + 60)
        other_key = TrialPeer("stranger-0", number=1)
        other_key.shakes_hands(node, FROM_LAN)
        question = questions(node)[0]
        assert question["request_id"] == "peer-admission-stranger-0-2"
        assert question["metadata"]["public_key"] == other_key.identity.public_key_hex
        node.post(f"/mesh/approvals/{question['id']}/resolve", {"decision": "approved"})
        assert seen(node, "stranger-0") == ("trusted", "connected")
