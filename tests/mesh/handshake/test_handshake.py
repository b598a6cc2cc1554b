"""A stranger introduces itself (OCP 0.1 handshake): what is answered, what is kept, and what claims are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocp_node.crypto import envelopes
from ocp_node.mesh.handshake import room as handshake
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

TOKEN = {"X-OCP-Operator-Token": "the-operator-token-of-this-node"}


def shake(node: TrialNode, peer: TrialPeer, headers: dict[str, str] | None = None, **card: object) -> dict[str, object]:
    answer = peer.post(node, "/mesh/handshake", {"peer_card": peer.card(**card), "agent_presence": [], "beacons": []}, headers)
    assert answer.status == 200, answer
    return answer.json


def test_the_answer_says_how_we_see_the_caller_and_who_we_are(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        answer = fits("mesh.handshake.accept", shake(node, TrialPeer("friend"), device_profile={"device_class": "light"}))
        assert answer["peer"]["device_profile"]["form_factor"] == "phone"
        assert answer["peer_advisory"]["source"] == "handshake.accepted"
        assert answer["manifest"] == node.get("/mesh/manifest").json
        (event,) = answer["stream"]["events"]
        assert event["event_type"] == "mesh.handshake.accepted" and event["peer_id"] == "friend"
        assert event["payload"]["mesh_session_id"] == answer["mesh_session_id"]


def test_a_careful_caller_can_check_who_answered(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        answer = shake(node, TrialPeer("friend"))
        signed = envelopes.check_shape(answer["response_envelope"], node.clock.time())
        envelopes.check_signature(signed, "/mesh/handshake", node.core.identity.public_key_hex)
        assert signed.body == {"mesh_session_id": answer["mesh_session_id"], "accepted_at": answer["accepted_at"],
                               "peer_id": "friend"}


@pytest.mark.parametrize("claim, tier", [("", "trusted"), ("partner", "partner"), ("self", "trusted"), ("market", "market"),
                                         ("best-friend", "public")])
def test_on_one_machine_a_declared_tier_holds_but_nobody_is_self(tmp_path: Path, claim: str, tier: str) -> None:
    with TrialNode(tmp_path) as node:
        assert shake(node, TrialPeer("friend"), trust_tier=claim)["trust_tier"] == tier


@pytest.mark.parametrize("admission, tier, status", [("declared", "partner", "connected"), ("approval", "public", "pending"),
                                                     ("public", "public", "connected"), (None, "public", "pending")])
def test_a_self_claimed_tier_is_worth_what_the_admission_says(tmp_path: Path, admission: str | None, tier: str,
                                                              status: str) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), peer_admission=admission) as node:
        peer = shake(node, TrialPeer("stranger"), FROM_LAN, trust_tier="partner")["peer"]
        assert (peer["trust_tier"], peer["status"]) == (tier, status)


def test_the_stored_tier_stays_whatever_later_cards_claim(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        shake(node, peer, trust_tier="market", display_name="Friend")
        again = shake(node, peer, trust_tier="trusted", display_name="Best friend")
        assert (again["trust_tier"], again["peer"]["display_name"]) == ("market", "Best friend")
        assert again["peer"]["created_at"] == again["peer"]["last_handshake_at"]


@pytest.mark.parametrize("tier, events", [("trusted", 1), ("partner", 1), ("market", 0), ("public", 0)])
def test_peers_below_partner_are_shown_no_events(tmp_path: Path, tier: str, events: int) -> None:
    with TrialNode(tmp_path) as node:
        assert len(shake(node, TrialPeer("friend"), trust_tier=tier)["stream"]["events"]) == events


def test_the_newest_events_are_shown_oldest_first(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        for number in range(30):
            node.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"})
        seqs = [event["seq"] for event in shake(node, TrialPeer("friend"))["stream"]["events"]]
        assert len(seqs) == 25 and seqs == sorted(seqs) and seqs[-1] == max(seqs)


def test_a_peer_beyond_loopback_sees_no_other_peers(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), peer_admission="declared") as node:
        shake(node, TrialPeer("first"), FROM_LAN)
        assert shake(node, TrialPeer("second"), FROM_LAN)["stream"]["peers"] == []
        assert len(shake(node, TrialPeer("third"))["stream"]["peers"]) == 3


@pytest.mark.parametrize("number, code, text", [
    (0, "key_changed", "peer public key changed; explicit trust reset required"),
    (1, "invalid_request", "a node cannot connect to itself")])
def test_nobody_introduces_itself_under_our_own_name(tmp_path: Path, number: int, code: str, text: str) -> None:
    with TrialNode(tmp_path) as node:
        impostor = TrialPeer("trial-node")
        if number:
            impostor.identity = node.core.identity
        answer = impostor.post(node, "/mesh/handshake", {"peer_card": impostor.card()})
        assert (answer.json["code"], answer.json["error"]) == (code, text)
        assert node.get("/mesh/peers").json["count"] == 0


@pytest.mark.parametrize("card, status, text", [
    ({"node_id": "other", "organism_id": "other"}, 401, "request node_id does not match peer card"),
    ({"public_key": ""}, 401, "public key unavailable for verification"),
    ({"public_key": "zz"}, 401, "signature verification failed"),
    ({"trust_tier": "blocked"}, 403, "peer friend is blocked"),
    ({"padding": "x" * 70_000}, 400, "peer_card is larger than 65536 bytes"),
])
def test_a_card_that_is_not_the_callers_is_refused_and_nothing_kept(tmp_path: Path, card: dict[str, str], status: int,
                                                                    text: str) -> None:
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        answer = peer.post(node, "/mesh/handshake", {"peer_card": peer.card(**card)})
        assert (answer.status, answer.json["error"]) == (status, text)
        assert node.get("/mesh/peers").json["count"] == 0 and node.get("/mesh/stream").json["events"] == []


@pytest.mark.parametrize("body", [{}, {"peer_card": {}}, {"peer_card": "x"}, {"peer_card": []}])
def test_a_handshake_needs_a_card(tmp_path: Path, body: object) -> None:
    with TrialNode(tmp_path) as node:
        answer = TrialPeer("friend").post(node, "/mesh/handshake", body)
        assert (answer.status, answer.json["error"]) == (400, "peer_card is required for handshake")


def test_one_address_cannot_bring_names_without_end(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        for number in range(handshake.STRANGERS_PER_MINUTE):
            shake(node, TrialPeer(f"s{number}"), FROM_LAN)
        late = TrialPeer("late")
        answer = late.post(node, "/mesh/handshake", {"peer_card": late.card()}, FROM_LAN)
        assert (answer.status, answer.json["code"]) == (429, "rate_limited") and int(answer.headers["retry-after"]) > 0
        shake(node, TrialPeer("s0"), FROM_LAN)                      # who is known is not held up
        shake(node, TrialPeer("local"))
        node.advance(61)
        shake(node, late, FROM_LAN)


def test_little_is_kept_of_what_a_stranger_tells_until_it_is_admitted(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        peer = TrialPeer("stranger")
        body = {"peer_card": peer.card(padding="x" * 20_000), "beacons": [{"text": "b" * 3_000}] * 9,
                "agent_presence": [{"agent_id": "a" * 3_000}] * 9}
        answer = peer.post(node, "/mesh/handshake", body, FROM_LAN)
        assert (answer.status, answer.json["error"]) == (400, "peer_card is larger than 16384 bytes")
        assert node.get("/mesh/peers").json["count"] == 0
        kept = peer.post(node, "/mesh/handshake", {**body, "peer_card": peer.card()}, FROM_LAN).json["peer"]["metadata"]
        assert [len(kept[name]) for name in ("remote_agent_presence", "remote_beacons")] == [1, 1]
        assert node.post("/mesh/peers/stranger/trust", {"trust_tier": "market"}).status == 200
        kept = peer.post(node, "/mesh/handshake", body, FROM_LAN).json["peer"]
        assert kept["card"]["padding"] and [len(kept["metadata"][name]) for name in (
            "remote_agent_presence", "remote_beacons")] == [9, 9]


def test_a_page_in_the_operators_browser_cannot_shake_hands_or_post(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        envelope = TrialPeer("friend").sign(node, "/mesh/handshake", {"peer_card": TrialPeer("friend").card()})
        for path, body in (("/mesh/handshake", envelope), ("/mesh/peers/connect", {"base_url": "http://192.0.2.1"})):
            for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
                assert node.post(path, body, headers).json["code"] == "origin_not_allowed"
            assert node.post(path, body, {"Host": "evil.example"}).json["code"] == "host_not_allowed"
            assert node.request("POST", path, raw=b"{}", headers={"Content-Type": "text/plain"}).status == 415
        assert node.get("/mesh/peers").json["count"] == 0


def test_twenty_handshakes_of_one_peer_at_once_leave_one_peer(tmp_path: Path) -> None:
    from ocp_node.http.lanes import gather
    with TrialNode(tmp_path) as node:
        peer = TrialPeer("friend")
        outcomes = gather([lambda: shake(node, peer)["mesh_session_id"] for _ in range(20)], 20, 20.0)
        assert len(set(outcomes)) == 20 and node.get("/mesh/peers").json["count"] == 1
