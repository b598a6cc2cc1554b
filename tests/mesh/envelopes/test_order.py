"""Signed envelopes on their four routes: what is checked, in which order, and with which words (OCP 0.1 signed envelopes)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock, instant_text
from ocp_node.crypto import envelopes
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer

Envelope = dict[str, Any]
HANDOFF = "/mesh/agents/handoff"
WORK = {"handoff": {"summary": "take over the report"}}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialNode]:
    with TrialNode(tmp_path_factory.mktemp("node"), trusted_proxies=("127.0.0.1",)) as running:
        TrialPeer("friend").shakes_hands(running)
        yield running


def resigned(peer: TrialPeer, envelope: Envelope, route: str = HANDOFF) -> Envelope:
    """The envelope with a right signature over what it now says."""
    message = envelopes.signed_bytes(route, envelope["request"], envelope["body"])
    return {**envelope, "request": {**envelope["request"], "signature": peer.identity.sign(message).hex()}}


# One fault each, in the order in which they are noticed; every row also has all the faults below it.
Fault = Callable[[Envelope], None]


def put(name: str, value: object) -> Fault:
    def spoil(envelope: Envelope) -> None:
        envelope["request"][name] = value
    return spoil


ORDER: list[tuple[str, Fault, int, str, str]] = [
    ("schema", put("nonce", 5), 400, "protocol validation failed", "protocol_validation"),
    ("node id", put("node_id", " "), 400, "node_id is required", "invalid_request"),
    ("version", put("protocol_version", "sovereign-mesh/v2"), 400, "unsupported mesh protocol version", "invalid_request"),
    ("scheme", put("signature_scheme", "rsa"), 400, "unsupported signature scheme", "invalid_request"),
    ("timestamp", put("timestamp", "yesterday"), 400, "timestamp must be an ISO-8601 timestamp", "invalid_request"),
    ("clock", put("timestamp", "2001-01-01T00:00:00Z"), 401, "stale or future timestamp", "stale_timestamp"),
    ("no signature", put("signature", " "), 401, "signature is required", "signature_required"),
    ("sender", put("node_id", "nobody"), 401, "unknown peer nobody", "unknown_peer"),
    ("signature", put("signature", "00" * 64), 401, "signature verification failed", "bad_signature"),
]


@pytest.mark.parametrize("place", range(len(ORDER)), ids=[name for name, *_ in ORDER])
def test_the_first_fault_in_the_protocols_order_is_told(node: TrialNode, place: int) -> None:
    envelope = copy.deepcopy(TrialPeer("friend").sign(node, HANDOFF, WORK))
    for _, spoil, *_ in reversed(ORDER[place:]):
        spoil(envelope)
    answer = node.post(HANDOFF, envelope)
    _, _, status, text, code = ORDER[place]
    assert (answer.status, answer.json["error"], answer.json["code"]) == (status, text, code)


@pytest.mark.parametrize("name, value, text", [
    ("timestamp", "", "timestamp is required"), ("timestamp", "2027-01-15T08:00:00", "timestamp must be an ISO-8601 timestamp"),
    ("nonce", "", "nonce is required"), ("nonce", "n" * 129, "nonce is longer than 128 characters"),
    ("request_id", " ", "request_id is required"), ("request_id", "r" * 201, "request_id is longer than 200 characters"),
    ("node_id", "n" * 129, "node_id is longer than 128 characters"),
    ("node_id", "\0friend", "node_id has characters that are not printable"),
    ("node_id", "a\nb", "node_id has characters that are not printable"),
    ("nonce", "\0", "nonce has characters that are not printable"),
    ("request_id", "\0r", "request_id has characters that are not printable"),
])
def test_every_member_has_its_bounds(node: TrialNode, name: str, value: str, text: str) -> None:
    peer = TrialPeer("friend")
    envelope = copy.deepcopy(peer.sign(node, HANDOFF, WORK))
    envelope["request"][name] = value
    answer = node.post(HANDOFF, resigned(peer, envelope))
    assert (answer.status, answer.json["error"]) == (400, text)


@pytest.mark.parametrize("seconds, status", [(-300, 200), (300, 200), (-301, 401), (301, 401)])
def test_the_clock_may_differ_by_five_minutes(node: TrialNode, seconds: int, status: int) -> None:
    peer = TrialPeer("friend")
    envelope = copy.deepcopy(peer.sign(node, HANDOFF, WORK))
    envelope["request"]["timestamp"] = instant_text(node.clock.time() + seconds)
    assert node.post(HANDOFF, resigned(peer, envelope)).status == status


def test_a_replayed_envelope_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    peer, clock = TrialPeer("friend"), SetClock()
    with TrialNode(tmp_path, clock=clock) as node:
        peer.shakes_hands(node)
        envelope = peer.sign(node, HANDOFF, WORK)
        assert node.post(HANDOFF, envelope).status == 200
        refused = node.post(HANDOFF, envelope)
        assert (refused.status, refused.json["error"], refused.json["code"]) == (409, "nonce already seen for peer friend",
                                                                                 "replayed_nonce")
    with TrialNode(tmp_path, clock=clock) as node:
        assert node.post(HANDOFF, envelope).status == 409


def test_the_same_nonce_in_another_envelope_is_a_replay(node: TrialNode) -> None:
    peer = TrialPeer("friend")
    envelope = peer.sign(node, HANDOFF, WORK)
    assert node.post(HANDOFF, envelope).status == 200
    again = resigned(peer, {**envelope, "request": {**envelope["request"], "request_id": "another"}})
    assert node.post(HANDOFF, again).status == 409


def test_two_peers_may_draw_the_same_nonce(node: TrialNode) -> None:
    first, second = TrialPeer("friend"), TrialPeer("other-friend")
    second.shakes_hands(node)
    envelope = first.sign(node, HANDOFF, WORK)
    assert node.post(HANDOFF, envelope).status == 200
    other = second.sign(node, HANDOFF, WORK)
    other["request"]["nonce"] = envelope["request"]["nonce"]
    assert node.post(HANDOFF, resigned(second, other)).status == 200


@pytest.mark.parametrize("spoil", [
    lambda envelope: envelope["request"].update(signature="00" * 64),
    lambda envelope: envelope["body"]["handoff"].update(summary="forged"),
    lambda envelope: envelope["request"].update(request_id="forged"), lambda envelope: envelope["request"].update(signature="zz"),
])
def test_a_forgery_does_not_use_up_the_nonce(node: TrialNode, spoil: Fault) -> None:
    envelope = TrialPeer("friend").sign(node, HANDOFF, WORK)
    forged = copy.deepcopy(envelope)
    spoil(forged)
    assert node.post(HANDOFF, forged).json["code"] == "bad_signature"
    assert node.post(HANDOFF, envelope).status == 200


def test_a_change_that_is_refused_leaves_the_nonce_unused(node: TrialNode) -> None:
    stranger = TrialPeer("stranger")
    stranger.shakes_hands(node, trust_tier="public")
    envelope = stranger.sign(node, HANDOFF, WORK)
    assert node.post(HANDOFF, envelope).json["code"] == "policy_denied"
    assert node.post("/mesh/peers/stranger/trust", {"trust_tier": "partner"}).status == 200
    assert node.post(HANDOFF, envelope).status == 200


def test_an_envelope_for_another_route_or_of_another_key_is_refused(node: TrialNode) -> None:
    friend, thief = TrialPeer("friend"), TrialPeer("friend", number=2)
    assert node.post(HANDOFF, friend.sign(node, "/mesh/jobs/submit", WORK)).json["code"] == "bad_signature"
    assert thief.post(node, HANDOFF, WORK).json["code"] == "bad_signature"


def test_a_blocked_peer_is_refused_whatever_it_claims(tmp_path: Path) -> None:
    peer = TrialPeer("friend")
    with TrialNode(tmp_path) as node:
        peer.shakes_hands(node)
        assert node.post("/mesh/peers/friend/trust", {"trust_tier": "blocked"}).status == 200
        for answer in (peer.post(node, HANDOFF, WORK), peer.post(node, "/mesh/handshake",
                                                                 {"peer_card": peer.card(trust_tier="trusted")})):
            assert (answer.status, answer.json["error"], answer.json["code"]) == (403, "peer friend is blocked", "policy_denied")
        assert node.post("/mesh/peers/friend/trust", {"trust_tier": "trusted"}).status == 200
        assert peer.post(node, HANDOFF, WORK).status == 200


def test_a_peer_that_is_blocked_while_its_envelope_waits_is_refused(tmp_path: Path) -> None:
    peer = TrialPeer("friend")
    with TrialNode(tmp_path) as node:
        peer.shakes_hands(node)
        signed = node.rooms["mesh.envelopes"].open(HANDOFF, peer.sign(node, HANDOFF, WORK))
        node.post("/mesh/peers/friend/trust", {"trust_tier": "blocked"})
        with pytest.raises(envelopes.Refusal) as caught:
            node.core.writer.run(lambda connection: node.rooms["mesh.envelopes"].claim(connection, signed))
        assert caught.value.code == "policy_denied"


def test_nonces_are_forgotten_when_no_envelope_can_bring_them_back(tmp_path: Path) -> None:
    def kept(node: TrialNode) -> int:
        with node.core.reader.snapshot() as connection:
            return int(connection.execute("SELECT count(*) FROM mesh_nonce").fetchone()[0])

    peer = TrialPeer("friend")
    with TrialNode(tmp_path) as node:
        peer.shakes_hands(node)
        node.advance(890)
        peer.post(node, HANDOFF, WORK)
        assert kept(node) == 2
        node.advance(30)
        node.until(lambda: kept(node) == 1, "the older nonce to be forgotten")


def test_a_signed_route_needs_no_token_and_takes_callers_from_anywhere(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), operator_token="the-operator-token-of-this-node",
                   peer_admission="declared") as node:
        peer = TrialPeer("friend")
        peer.shakes_hands(node, FROM_LAN)
        assert peer.post(node, HANDOFF, WORK, FROM_LAN).status == 200
