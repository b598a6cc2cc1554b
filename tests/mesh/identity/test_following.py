"""Peers of a node that has taken another key: who follows, by which proof, and what does not lead anybody astray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.crypto import envelopes
from ocp_node.crypto.identity import Identity, succession_of
from ocp_node.http.lanes import gather
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer
from tests.support.scripted import Scripted

Members = dict[str, Any]
CHANGED = (401, "key_changed")


@pytest.fixture()
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), peer_admission="declared") as running:
        yield running


def shake(node: TrialNode, peer: TrialPeer, body: Members | None = None, by: Identity | None = None) -> Answer:
    """A handshake of the peer, signed by its present key or that of `by`."""
    body = peer.introduction() if body is None else body
    envelope = envelopes.sign_envelope(by or peer.identity, "/mesh/handshake", body, node.clock, Ids(), None)
    return node.post("/mesh/handshake", envelope)


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def pinned(node: TrialNode, peer_id: str = "gamma") -> Members:
    return next(peer for peer in node.get("/mesh/peers").json["peers"] if peer["peer_id"] == peer_id)


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


# --- by handshake

def test_a_peer_that_shows_its_succession_keeps_tier_and_standing_under_the_new_key(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node, trust_tier="partner")
    node.post("/mesh/peers/gamma/trust", {"remote_execution": True})
    before, old = pinned(node), gamma.identity
    gamma.rotates()
    assert gamma.shakes_hands(node, trust_tier="public")["public_key"] == gamma.identity.public_key_hex
    after = pinned(node)
    for member in ("trust_tier", "status", "remote_execution", "created_at"):
        assert after[member] == before[member]
    assert after["public_key"] == gamma.identity.public_key_hex
    assert after["metadata"]["former_public_keys"] == [old.public_key_hex]
    (event,) = events(node, "mesh.peer.key_succeeded")
    assert event["peer_id"] == "gamma" and event["payload"] == {
        "public_key": gamma.identity.public_key_hex, "previous_public_key": old.public_key_hex, "trust_tier": "partner",
        "via": "handshake"}


def test_a_peer_that_was_away_for_several_rotations_is_followed_in_one_step(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    for _ in range(3):
        gamma.rotates()
    gamma.shakes_hands(node)
    assert pinned(node)["public_key"] == gamma.identity.public_key_hex and len(events(node, "mesh.peer.key_succeeded")) == 1
    gamma.shakes_hands(node)                                            # again with the same chain: nothing new
    assert len(events(node, "mesh.peer.key_succeeded")) == 1


def test_what_the_old_key_signs_after_that_is_refused(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    old = gamma.identity
    handoff = {"handoff": {"summary": "x", "to_peer_id": "trial-node", "from_peer_id": "gamma"}}
    early = envelopes.sign_envelope(old, "/mesh/agents/handoff", handoff, node.clock, Ids(), None)
    gamma.rotates()
    gamma.shakes_hands(node)
    assert refused(node.post("/mesh/agents/handoff", early)) == (401, "bad_signature")       # was on its way meanwhile
    former = TrialPeer("gamma")
    assert former.identity == old and refused(shake(node, former)) == CHANGED
    assert refused(shake(node, former, {**former.introduction(), "successions": list(gamma.identity.successions)})) == CHANGED
    assert gamma.post(node, "/mesh/agents/handoff", handoff).status == 200
    assert pinned(node)["public_key"] == gamma.identity.public_key_hex


def test_an_envelope_that_was_opened_before_the_peer_followed_is_refused_inside_the_change(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    room = node.rooms["mesh.envelopes"]
    early = room.open("/mesh/agents/handoff", gamma.sign(node, "/mesh/agents/handoff", {}))
    gamma.rotates()
    gamma.shakes_hands(node)
    with pytest.raises(Refusal) as caught:
        node.core.writer.run(lambda connection: room.claim(connection, early))
    assert caught.value.code == "key_changed"


def forged(gamma: TrialPeer) -> list[Members]:
    """A thief made the old key's signature up."""
    old, thief = gamma.identity, TrialPeer("gamma", number=66).identity
    link = succession_of(thief, TrialPeer("gamma", number=1).identity, "2026-01-01T00:00:01Z")
    return [{**link, "old_public_key": old.public_key_hex}]


def of_another(gamma: TrialPeer) -> list[Members]:
    """Another node may well succeed itself."""
    old, new = (Identity("delta", "delta", TrialPeer("gamma", number=number).identity.seed) for number in (0, 1))
    assert old.seed == gamma.identity.seed
    return [succession_of(old, new, "2026-01-01T00:00:01Z")]


def from_elsewhere(gamma: TrialPeer) -> list[Members]:
    """The chain does not begin at the key that is pinned."""
    return [succession_of(TrialPeer("gamma", number=9).identity, TrialPeer("gamma", number=1).identity, "2026-01-01T00:00:01Z")]


def turning(gamma: TrialPeer) -> list[Members]:
    """Back and forth."""
    there, back = gamma.identity, TrialPeer("gamma", number=1).identity
    return [succession_of(there, back, "2026-01-01T00:00:01Z"), succession_of(back, there, "2026-01-01T00:00:02Z"),
            succession_of(there, back, "2026-01-01T00:00:03Z")]


def endless(gamma: TrialPeer) -> list[Members]:
    """More than anybody keeps."""
    keys = [gamma.identity, *(TrialPeer("gamma", number=number).identity for number in (*range(2, 19), 1))]
    return [succession_of(old, new, "2026-01-01T00:00:01Z") for old, new in zip(keys, keys[1:], strict=False)]


@pytest.mark.parametrize("chain", [forged, of_another, from_elsewhere, turning, endless, lambda gamma: [], lambda gamma: None,
                                   lambda gamma: {"0": 1}, lambda gamma: [[[]]], lambda gamma: ["x" * 100_000]])
def test_a_chain_that_does_not_lead_from_the_pinned_key_to_the_cards_changes_nothing(node: TrialNode, chain: Any) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    before = pinned(node)
    thief = TrialPeer("gamma", number=1)
    answer = shake(node, thief, {**thief.introduction(), "successions": chain(gamma)})
    assert refused(answer) == CHANGED, answer
    assert pinned(node) == before and not events(node, "mesh.peer.key_succeeded")


def test_whoever_left_a_key_behind_leads_nobody_to_a_third_one(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    old = gamma.identity
    gamma.rotates()
    gamma.shakes_hands(node)
    third = TrialPeer("gamma", number=7)
    stolen = succession_of(old, third.identity, "2026-01-01T00:00:09Z")              # the old key is in other hands
    for chain in ([stolen], [*gamma.identity.successions, stolen], [stolen, *gamma.identity.successions]):
        assert refused(shake(node, third, {**third.introduction(), "successions": chain})) == CHANGED
    assert pinned(node)["public_key"] == gamma.identity.public_key_hex


def test_a_succession_that_is_shown_by_who_does_not_hold_the_new_key_is_worth_nothing(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    old = gamma.identity
    gamma.rotates()
    for holder in (old, TrialPeer("gamma", number=66).identity):
        assert refused(shake(node, gamma, by=holder)) == (401, "bad_signature")
    assert pinned(node)["public_key"] == old.public_key_hex


def test_a_blocked_peer_stays_blocked_whatever_its_key_says(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    old = gamma.identity.public_key_hex
    node.post("/mesh/peers/gamma/trust", {"trust_tier": "blocked"})
    gamma.rotates()
    assert refused(shake(node, gamma)) == (403, "policy_denied")
    assert refused(shake(node, TrialPeer("gamma", number=9))) == CHANGED
    assert (pinned(node)["public_key"], pinned(node)["trust_tier"]) == (old, "blocked")
    assert not events(node, "mesh.peer.key_succeeded")


def test_of_two_keys_that_both_follow_the_pinned_one_the_first_is_the_one(node: TrialNode) -> None:
    gamma, split = TrialPeer("gamma"), TrialPeer("gamma", number=0)
    gamma.shakes_hands(node)
    gamma.rotates()
    split.number = 40
    split.rotates()
    answers = gather([lambda peer=peer: shake(node, peer) for peer in (gamma, split) * 3], 6, 20.0)
    keys = {answer.json["peer"]["public_key"] for answer in answers if answer.status == 200}
    assert keys == {pinned(node)["public_key"]} and {answer.status for answer in answers} == {200, 401}
    assert len(events(node, "mesh.peer.key_succeeded")) == 1


def test_a_handshake_that_was_judged_before_another_key_was_pinned_is_refused_inside_the_change(node: TrialNode) -> None:
    gamma, split = TrialPeer("gamma"), TrialPeer("gamma", number=0)
    gamma.shakes_hands(node)
    split.number = 40
    split.rotates()
    room = node.rooms["mesh.envelopes"]
    opened, _ = room.open_handshake(split.sign(node, "/mesh/handshake", split.introduction()))
    gamma.rotates()
    gamma.shakes_hands(node)
    with pytest.raises(Refusal) as caught:
        node.core.writer.run(lambda connection: room.claim(connection, opened))
    assert caught.value.code == "key_changed"


def test_after_a_reset_the_keys_before_count_for_nothing(node: TrialNode) -> None:
    gamma = TrialPeer("gamma")
    gamma.shakes_hands(node)
    gamma.rotates()
    gamma.shakes_hands(node)
    node.post("/mesh/peers/gamma/trust", {"reset_key": True})
    assert "former_public_keys" not in pinned(node)["metadata"]
    other = TrialPeer("gamma", number=30)
    other.shakes_hands(node)
    assert refused(shake(node, gamma)) == CHANGED and pinned(node)["public_key"] == other.identity.public_key_hex


def test_an_admission_that_was_asked_for_under_the_former_key_still_admits(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), peer_admission="approval") as node:
        gamma = TrialPeer("gamma")
        gamma.shakes_hands(node, FROM_LAN)
        gamma.rotates()
        assert gamma.shakes_hands(node, FROM_LAN)["status"] == "pending"
        (approval,) = node.get("/mesh/approvals").json["approvals"]
        node.post(f"/mesh/approvals/{approval['id']}/resolve", {"decision": "approved"})
        assert (pinned(node)["status"], pinned(node)["public_key"]) == ("connected", gamma.identity.public_key_hex)


# --- by asking

class Two:
    """Alpha and beta, who know each other."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.clock = folder, SetClock()
        self.alpha = TrialNode(folder / "alpha", clock=self.clock, node_id="alpha", **settings)
        self.beta = TrialNode(folder / "beta", clock=self.clock, node_id="beta", **settings)
        assert self.alpha.post("/mesh/peers/connect", {"base_url": self.beta.url}).status == 200

    def stop(self) -> None:
        for each in (self.alpha, self.beta):
            each.stop()


@pytest.fixture()
def two(tmp_path: Path) -> Iterator[Two]:
    made = Two(tmp_path)
    yield made
    made.stop()


def quietly(node: TrialNode) -> str:
    """The node rotates and does not get to tell anybody.  Its key then."""
    room = node.rooms["mesh.identity"]
    room._announce = lambda *_: None
    return str(node.post("/mesh/identity/rotate").json["public_key"])


@pytest.mark.parametrize("path, body", [("/mesh/peers/connect", {"peer_id": "beta"}),
                                        ("/mesh/peers/sync", {"peer_id": "beta", "refresh_manifest": True}),
                                        ("/mesh/routes/probe", {"peer_id": "beta"}),
                                        ("/mesh/discovery/seek", {"auto_connect": True})])
def test_who_meets_the_new_key_asks_for_the_chain_and_follows(two: Two, path: str, body: Members) -> None:
    quietly(two.beta)
    new = quietly(two.beta)
    answer = two.alpha.post(path, {**body, **({"base_urls": [two.beta.url]} if "seek" in path else {})})
    assert answer.status == 200, answer
    assert (pinned(two.alpha, "beta")["public_key"], pinned(two.alpha, "beta")["status"]) == (new, "connected")
    (event,) = events(two.alpha, "mesh.peer.key_succeeded")
    assert event["payload"]["via"] == "manifest"
    assert two.alpha.post("/mesh/peers/sync", {"peer_id": "beta", "refresh_manifest": True}).status == 200


def test_a_node_that_was_rotated_calls_who_has_not_heard_and_is_followed(two: Two) -> None:
    new = quietly(two.beta)
    assert two.beta.post("/mesh/peers/connect", {"base_url": two.alpha.url}).status == 200
    assert pinned(two.alpha, "beta")["public_key"] == new


STRAY = [succession_of(TrialPeer("beta", number=4).identity, TrialPeer("beta", number=5).identity, "2026-01-01T00:00:00Z")]


def imposing(node: TrialNode, thief: TrialPeer, chain: Any) -> Any:
    """A server at which a thief answers as beta."""
    manifest = node.get("/mesh/manifest").json

    def answer(method: str, path: str, headers: Members, body: Any) -> Any:
        if path.startswith("/mesh/identity"):
            return chain if isinstance(chain, tuple) else {"status": "ok", "node_id": "beta", "successions": chain}
        if path.startswith("/mesh/manifest"):
            return {**manifest, "organism_card": {**manifest["organism_card"], **thief.card()}}
        return 404, {"error": "unknown endpoint"}

    return answer


@pytest.mark.parametrize("chain", [None, [], (404, {"error": "unknown endpoint"}), (200, b"["), (200, b"[]"),
                                   (200, b"x" * 100_000), STRAY])
def test_a_thief_at_the_peers_address_is_not_followed(two: Two, chain: Any) -> None:
    before = pinned(two.alpha, "beta")["public_key"]
    thief = TrialPeer("beta", number=5)
    with Scripted(imposing(two.beta, thief, chain)) as place:
        answer = two.alpha.post("/mesh/peers/connect", {"base_url": place.url})
        assert refused(answer) == CHANGED, answer
        assert not [path for _, path, *_ in place.asked if "handshake" in path]
    assert pinned(two.alpha, "beta")["public_key"] == before


def test_a_blocked_peer_is_not_even_asked_for_its_chain(two: Two) -> None:
    two.alpha.post("/mesh/peers/beta/trust", {"trust_tier": "blocked"})
    with Scripted(imposing(two.beta, TrialPeer("beta", number=5), [])) as place:
        assert refused(two.alpha.post("/mesh/peers/connect", {"base_url": place.url})) == CHANGED
        assert {path for _, path, *_ in place.asked} == {"/mesh/manifest"}


def test_a_treatys_signature_that_the_peer_cannot_check_yet_is_sent_again(tmp_path: Path) -> None:
    two = Two(tmp_path, allow_loopback_peers=True)
    quietly(two.beta)
    for each in (two.alpha, two.beta):
        assert each.post("/mesh/treaties/propose", {"title": "t", "treaty_id": "t", "parties": ["alpha", "beta"]}).status == 200

    def refusals() -> list[str]:
        with two.beta.core.reader.snapshot() as connection:
            rows = connection.execute("SELECT error FROM outbox WHERE kind = 'mesh.treaty.sign' AND attempts > 0")
            return [row[0] for row in rows]

    assert "status 401" in two.beta.until(refusals, "a refused attempt")[0]
    assert two.alpha.get("/mesh/treaties/t").json["status"] == "draft"
    assert two.alpha.post("/mesh/peers/connect", {"peer_id": "beta"}).status == 200
    two.beta.advance(60)
    two.alpha.until(lambda: two.alpha.get("/mesh/treaties/t").json["status"] == "active", "the treaty is in force")
    two.stop()


# --- by being told

def test_connected_peers_are_told_at_once_and_the_log_says_who_was(two: Two) -> None:
    new = two.beta.post("/mesh/identity/rotate").json["public_key"]
    two.alpha.until(lambda: pinned(two.alpha, "beta")["public_key"] == new, "alpha follows")
    (told,) = two.beta.until(lambda: events(two.beta, "mesh.identity.told"), "the event")
    assert told["peer_id"] == "alpha" and pinned(two.alpha, "beta")["status"] == "connected"
    assert two.beta.post("/mesh/peers/sync", {"peer_id": "alpha"}).status == 200


def test_a_peer_that_was_off_for_two_rotations_is_told_when_it_comes_back(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
        with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
            assert beta.post("/mesh/peers/connect", {"base_url": alpha.url}).status == 200
            old, port = pinned(alpha, "beta")["public_key"], alpha.port
        for _ in range(2):
            new = beta.post("/mesh/identity/rotate").json["public_key"]
        waiting = beta.until(lambda: [each for each in deliveries(beta) if each["failures"]], "a failed attempt")
        assert [(each["peer_id"], each["public_key"]) for each in waiting] == [("alpha", new)]
        for _ in range(20):                                              # far beyond what the outbox would try by itself
            failures = deliveries(beta)[0]["failures"]
            beta.advance(3600)
            beta.until(lambda failures=failures: (left := deliveries(beta)) and left[0]["failures"] > failures, "another attempt")
        with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha", port=port) as alpha:
            assert pinned(alpha, "beta")["public_key"] == old
            beta.advance(3600)
            alpha.until(lambda: pinned(alpha, "beta")["public_key"] == new, "alpha follows")
            assert len(events(alpha, "mesh.peer.key_succeeded")) == 1
        beta.until(lambda: not deliveries(beta), "nothing is left to tell")


def deliveries(node: TrialNode) -> list[Members]:
    from ocp_node.base import jsontext
    with node.core.reader.snapshot() as connection:
        rows = connection.execute("SELECT payload FROM outbox WHERE kind = 'mesh.identity.tell' AND state = 'waiting'").fetchall()
    return [jsontext.load(row[0]) for row in rows]


def test_a_restart_does_not_lose_who_is_still_to_be_told(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
            assert beta.post("/mesh/peers/connect", {"base_url": alpha.url}).status == 200
            identity, directory = beta.core.identity, Path(beta.settings.identity_dir)
        from ocp_node.crypto import identity as identities
        now, _ = identities.rotate(directory, identity, Ids(), clock)    # and the power went
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
            alpha.until(lambda: pinned(alpha, "beta")["public_key"] == now.public_key_hex, "alpha follows")
            beta.until(lambda: events(beta, "mesh.identity.told"), "the event")


def test_two_peers_that_rotate_at_the_same_time_find_each_other_again(two: Two) -> None:
    gather([lambda each=each: each.post("/mesh/identity/rotate") for each in (two.alpha, two.beta)], 2, 20.0)
    keys = {name: each.core.identity.public_key_hex for name, each in (("alpha", two.alpha), ("beta", two.beta))}

    def met() -> bool:
        two.alpha.advance(10)
        two.beta.wake()
        return {"alpha": pinned(two.beta, "alpha")["public_key"], "beta": pinned(two.alpha, "beta")["public_key"]} == keys

    two.alpha.until(met, "both have followed")
    assert two.alpha.post("/mesh/peers/sync", {"peer_id": "beta", "refresh_manifest": True}).status == 200


def test_blocked_and_waiting_peers_are_not_told(node: TrialNode) -> None:
    for name, tier in (("friend", "trusted"), ("foe", "blocked")):
        TrialPeer(name).shakes_hands(node, endpoint_url=f"http://192.0.2.1:9/{name}")
        node.post(f"/mesh/peers/{name}/trust", {"trust_tier": tier})
    TrialPeer("silent").shakes_hands(node)                               # told no address
    node.post("/mesh/identity/rotate")
    assert [each["peer_id"] for each in deliveries(node)] == ["friend"]
