"""The list of peers and the operator's word on them (OCP 0.1 peers)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits


def test_the_latest_seen_stands_first_and_lists_are_bounded(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        for name in ("a", "b", "c"):
            TrialPeer(name).shakes_hands(node)
            node.advance(1)
        TrialPeer("a").shakes_hands(node)

        def names(query: str = "") -> list[str]:
            return [peer["peer_id"] for peer in node.get(f"/mesh/peers{query}").json["peers"]]

        assert names() == ["a", "c", "b"] and names("?limit=2") == ["a", "c"]
        assert names("?limit=0") == names("?limit=-5") == ["a"] and len(names("?limit=99999")) == 3 and len(names("?limit=")) == 3
        assert node.get("/mesh/peers?limit=x").json["error"] == "limit must be an integer"
        listed = fits("mesh.peers.list", node.get("/mesh/peers?limit=1").json)
        assert listed["count"] == 1 and listed["health"] == {"connected": 1, "synced_recently": 0, "degraded": 0,
                                                             "intermittent": 0,
                                                            "trust_tiers": {"trusted": 1}, "device_classes": {"full": 1}}


def test_among_peers_of_one_second_the_last_change_stands_first(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        for name in ("a", "b", "a"):
            TrialPeer(name).shakes_hands(node)
        assert [peer["peer_id"] for peer in node.get("/mesh/peers").json["peers"]] == ["a", "b"]


def test_peers_their_keys_and_tiers_survive_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("friend").shakes_hands(node)
        node.post("/mesh/peers/friend/trust", {"trust_tier": "partner", "remote_execution": True})
        before = node.get("/mesh/peers").json["peers"]
    with TrialNode(tmp_path) as node:
        assert node.get("/mesh/peers").json["peers"] == before
        assert TrialPeer("friend", number=2).post(node, "/mesh/handshake", {
            "peer_card": TrialPeer("friend", number=2).card()}).json["code"] == "key_changed"


def test_the_operator_blocks_admits_and_lets_execute(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("friend").shakes_hands(node)
        room = node.rooms["mesh.peers"]
        assert not room.runs_code(room.find("friend"), from_loopback=False)
        answer = node.post("/mesh/peers/friend/trust", {"trust_tier": "partner", "remote_execution": True})
        peer = fits("mesh.peers.trust", answer.json)["peer"]
        assert (peer["trust_tier"], peer["remote_execution"]) == ("partner", True)
        assert room.runs_code(room.find("friend"), from_loopback=False)
        assert node.post("/mesh/peers/friend/trust", {"remote_execution": None}).json["peer"]["remote_execution"] is None
        changes = [event["payload"] for event in node.get("/mesh/stream").json["events"]
                   if event["event_type"] == "mesh.peer.trust_changed"]
        assert [(change["trust_tier"], change["previous_trust_tier"], change["remote_execution"]) for change in changes] == [
            ("partner", "trusted", True), ("partner", "partner", None)]


@pytest.mark.parametrize("peer_id, body, status, text", [
    ("nobody", {"trust_tier": "trusted"}, 404, "peer not found"), ("friend", {"trust_tier": "chum"}, 400,
                                                                   "unsupported trust tier"),
    ("friend", {}, 400, "trust_tier, remote_execution or reset_key is required"),
    ("friend", {"remote_execution": "yes"}, 400, "remote_execution must be a boolean"),
])
def test_an_order_that_cannot_be_carried_out_is_refused(tmp_path: Path, peer_id: str, body: object, status: int,
                                                        text: str) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("friend").shakes_hands(node)
        answer = node.post(f"/mesh/peers/{peer_id}/trust", body)
        assert (answer.status, answer.json["error"]) == (status, text)


def test_only_operators_give_orders(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        TrialPeer("friend").shakes_hands(node)
        assert node.post("/mesh/peers/friend/trust", {"trust_tier": "trusted"}, FROM_LAN).status == 401


def test_a_key_that_was_reset_is_pinned_by_the_next_handshake(tmp_path: Path) -> None:
    old, new = TrialPeer("friend"), TrialPeer("friend", number=2)
    with TrialNode(tmp_path) as node:
        old.shakes_hands(node)
        assert new.post(node, "/mesh/handshake", {"peer_card": new.card()}).json["code"] == "key_changed"
        assert node.post("/mesh/peers/friend/trust", {"reset_key": True}).json["peer"]["public_key"] == ""
        refused = old.post(node, "/mesh/agents/handoff", {"handoff": {"summary": "x"}})
        assert (refused.status, refused.json["error"]) == (401, "public key unavailable for verification")
        new.shakes_hands(node)
        assert old.post(node, "/mesh/handshake", {"peer_card": old.card()}).json["code"] == "key_changed"


def test_an_id_with_odd_letters_is_found_when_it_is_percent_encoded(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("a/b c").shakes_hands(node)
        assert node.post("/mesh/peers/a%2Fb%20c/trust", {"trust_tier": "partner"}).json["peer"]["peer_id"] == "a/b c"


def test_metadata_is_changed_in_the_change_of_another_room(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("friend").shakes_hands(node)
        room = node.rooms["mesh.peers"]
        node.core.writer.run(lambda connection: room.set_metadata(connection, "friend", {"enlistment": {"state": "enlisted"}}))
        metadata = room.find("friend").metadata
        assert metadata["enlistment"] == {"state": "enlisted"} and "last_request_id" in metadata
        assert node.core.writer.run(lambda connection: room.set_metadata(connection, "nobody", {})) is None
