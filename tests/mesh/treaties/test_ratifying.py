"""A treaty needs the other side's signature: offered with a proposal, sent by the party, or exchanged between two nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.crypto.documents import TREATY, sign_document, treaty_terms
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
ID = "treaty/storage-v1"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


@pytest.fixture
def beta(node: TrialNode) -> TrialPeer:
    peer = TrialPeer("Beta-Node")
    peer.shakes_hands(node)
    return peer


def propose(node: TrialNode, **wanted: Any) -> Members:
    parties = ["trial-node", "beta-node"]
    answer = node.post("/mesh/treaties/propose", {"title": "t", "treaty_id": ID, "parties": parties, **wanted})
    assert answer.status == 200, answer
    return fits("mesh.treaties.propose", answer.json)["treaty"]


def signature(peer: TrialPeer, treaty: Members, **changes: Any) -> str:
    return sign_document(peer.identity, TREATY, treaty_terms({**treaty, **changes}))


def send(node: TrialNode, peer: TrialPeer, treaty: Members, by: TrialPeer | None = None, path_id: str = "",
         **changes: Any) -> Answer:
    """The treaty's terms, with `changes`, signed by the peer (or `by` another), in an envelope of the peer."""
    terms = treaty_terms({**treaty, **changes})
    body = {"treaty": terms, "signature": sign_document((by or peer).identity, TREATY, terms)}
    return peer.post(node, f"/mesh/treaties/{path_id or treaty['id']}/sign", body)


def status(node: TrialNode) -> str:
    return node.get(f"/mesh/treaties/{ID}").json["status"]


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def test_a_partys_signature_puts_it_in_force(node: TrialNode, beta: TrialPeer) -> None:
    treaty = propose(node)
    assert (treaty["status"], treaty["ratified_at"]) == ("draft", "")
    assert treaty["metadata"]["ratification"] == {"required": ["beta-node"], "signed": [], "signatures": []}
    node.advance(5)
    answer = send(node, beta, treaty)
    assert answer.status == 200 and fits("mesh.treaties.sign", answer.json) == {
        "status": "ok", "treaty_id": ID, "treaty_status": "active", "required": ["beta-node"], "signed": ["beta-node"]}
    shown = node.get(f"/mesh/treaties/{ID}").json
    assert (shown["status"], shown["ratified_at"], shown["metadata"]["ratification"]["signed"]) == (
        "active", node.clock.text(), ["beta-node"])
    assert events(node, "mesh.treaty.signed") == [{"treaty_id": ID, "peer_id": "beta-node"}]
    assert events(node, "mesh.treaty.ratified") == [{"treaty_id": ID, "signed": ["beta-node"]}]


@pytest.mark.parametrize("path_id", [ID, "treaty%2Fstorage-v1", "TREATY/storage-v1"])
def test_the_path_may_have_the_id_in_any_form(node: TrialNode, beta: TrialPeer, path_id: str) -> None:
    assert send(node, beta, propose(node), path_id=path_id).status == 200 and status(node) == "active"


def test_a_signature_told_again_changes_nothing(node: TrialNode, beta: TrialPeer) -> None:
    treaty = propose(node)
    send(node, beta, treaty)
    assert send(node, beta, treaty).status == 200
    assert len(events(node, "mesh.treaty.signed")) == len(events(node, "mesh.treaty.ratified")) == 1


def test_an_envelope_counts_once(node: TrialNode, beta: TrialPeer) -> None:
    treaty = propose(node)
    route = f"/mesh/treaties/{ID}/sign"
    envelope = beta.sign(node, route, {"treaty": treaty_terms(treaty), "signature": signature(beta, treaty)})
    assert node.post(route, envelope).status == 200
    assert (node.post(route, envelope).status, node.post(route, envelope).json["code"]) == (409, "replayed_nonce")


def test_a_signature_of_somebody_else_is_worth_nothing(node: TrialNode, beta: TrialPeer) -> None:
    treaty, gamma = propose(node), TrialPeer("gamma-node")
    gamma.shakes_hands(node)
    stranger = TrialPeer("stranger-node")
    cases = {
        "signed by another key": (send(node, beta, treaty, by=gamma), 401, "treaty signature is invalid"),
        "no party": (send(node, gamma, treaty), 403, "peer is not a party of this treaty"),
        "nobody we know": (send(node, stranger, treaty), 401, "unknown peer stranger-node"),
        "other terms": (send(node, beta, treaty, title="better for us"), 409, "treaty terms differ"),
        "another treaty": (send(node, beta, {**treaty, "id": "nope"}), 404, "treaty not found"),
        "two ids": (send(node, beta, treaty, path_id="nope"), 400, "treaty.id is not the id in the path"),
        "no signature": (beta.post(node, f"/mesh/treaties/{ID}/sign", {"treaty": treaty_terms(treaty)}), 401,
                         "treaty signature is invalid"),
        "no terms": (beta.post(node, f"/mesh/treaties/{ID}/sign", {"signature": "ab"}), 400, "treaty is required"),
        "no envelope": (node.post(f"/mesh/treaties/{ID}/sign", {"treaty": treaty_terms(treaty)}), 400, None),
    }
    assert {name: (answer.status, answer.json["error"]) for name, (answer, _, error) in cases.items() if error} == {
        name: (status, error) for name, (_, status, error) in cases.items() if error}
    assert cases["no envelope"][0].status == 400 and status(node) == "draft" and events(node, "mesh.treaty.signed") == []


def test_a_stranger_in_a_friends_letters_signs_nothing(node: TrialNode, beta: TrialPeer) -> None:
    """Parties compare without case: BETA-node with a key of its own must not pass for Beta-Node."""
    treaty, impostor = propose(node), TrialPeer("BETA-node", number=7)
    impostor.shakes_hands(node)                                # even one whom this node trusts
    answer = send(node, impostor, treaty)
    assert (answer.status, status(node)) == (403, "draft")
    assert send(node, beta, treaty).status == 403              # who is meant is not certain any more
    node.post("/mesh/peers/BETA-node/trust", {"trust_tier": "blocked"})
    assert send(node, beta, treaty).status == 200 and status(node) == "active"


def test_who_was_not_admitted_cannot_sign(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), peer_admission="approval") as node:
        beta = TrialPeer("beta-node")
        beta.shakes_hands(node, FROM_LAN)
        treaty = propose(node)
        assert send(node, beta, treaty).json["error"] == "peer must be admitted before it signs"
        node.post("/mesh/peers/beta-node/trust", {"trust_tier": "public"})        # the operator's word, whatever the tier
        assert send(node, beta, treaty).status == 200 and status(node) == "active"


def test_a_proposal_may_bring_the_signatures(node: TrialNode, beta: TrialPeer) -> None:
    treaty = propose(node, status="draft")
    mark = {"peer_id": "Beta-Node", "signature": signature(beta, treaty)}
    made = propose(node, signatures=[mark])
    assert made["status"] == "active" and made["metadata"]["ratification"]["signed"] == ["beta-node"]
    assert events(node, "mesh.treaty.ratified") == [{"treaty_id": ID, "signed": ["beta-node"]}]


@pytest.mark.parametrize("mark", [
    {"peer_id": "beta-node", "signature": "ab" * 64}, {"peer_id": "beta-node", "signature": ""}, {"peer_id": "beta-node"},
    {"peer_id": "nobody", "signature": "ab" * 64}, {}])
def test_a_proposal_with_a_signature_that_does_not_hold_is_refused(node: TrialNode, beta: TrialPeer, mark: Members) -> None:
    answer = node.post("/mesh/treaties/propose", {"title": "t", "treaty_id": ID, "parties": ["beta-node"], "signatures": [mark]})
    assert (answer.status, answer.json["error"], answer.json["code"]) == (401, "treaty signature is invalid", "bad_signature")
    assert node.get(f"/mesh/treaties/{ID}").status == 404


def test_the_operator_alone_ends_it_and_a_new_end_needs_new_signatures(node: TrialNode, beta: TrialPeer) -> None:
    send(node, beta, propose(node))
    assert propose(node, status="revoked")["status"] == "revoked"
    assert send(node, beta, propose(node, status="revoked")).status == 409
    assert propose(node)["status"] == "active"                 # the same terms are still signed
    assert propose(node, expires_at="2099-01-01T00:00:00Z")["status"] == "draft"


# --- two nodes

@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[TrialNode, TrialNode]]:
    clock = SetClock()
    more: Members = {"clock": clock, "allow_loopback_peers": True}
    with (TrialNode(tmp_path / "a", node_id="alpha-node", **more) as alpha,
          TrialNode(tmp_path / "b", node_id="beta-node", **more) as beta):
        answer = alpha.post("/mesh/peers/connect", {"base_url": beta.url})
        assert answer.status == 200, answer
        yield alpha, beta


@pytest.mark.parametrize("first, second", [(0, 1), (1, 0)])
def test_two_nodes_agree_whoever_proposes_first(pair: tuple[TrialNode, TrialNode], first: int, second: int) -> None:
    terms = {"parties": ["alpha-node", "beta-node"], "document": {"artifact_export": "sealed"},
             "expires_at": "2099-01-01T00:00:00Z"}
    assert propose(pair[first], **terms)["status"] == "draft"
    propose(pair[second], **terms)
    for node in pair:
        node.until(lambda node=node: status(node) == "active", "both signatures")
        assert len(events(node, "mesh.treaty.ratified")) == 1


def test_two_nodes_with_other_terms_do_not_agree(pair: tuple[TrialNode, TrialNode]) -> None:
    propose(pair[0], parties=["alpha-node", "beta-node"])
    propose(pair[1], parties=["alpha-node", "beta-node"], title="other")
    for node in pair:
        node.until(lambda node=node: not deliveries(node), "the deliveries")
    assert [status(node) for node in pair] == ["draft", "draft"]


def deliveries(node: TrialNode) -> list[Any]:
    with node.core.reader.snapshot() as connection:
        return connection.execute("SELECT kind FROM outbox WHERE state = 'waiting'").fetchall()
