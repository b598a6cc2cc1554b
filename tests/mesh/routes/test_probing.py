"""Trying routes between real nodes: who answers, under which key, and what is remembered of it (OCP 0.1 route probe)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.sightings import Sighting
from ocp_node.crypto import node_did
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits
from tests.support.scripted import Scripted

Members = dict[str, Any]
CLOSED = "http://127.0.0.1:9"
TOKEN = "the-operator-token-of-this-node"


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha") as node:
        yield node


@pytest.fixture
def beta(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta", display_name="Beta") as node:
        yield node


@pytest.fixture
def gamma(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "gamma", clock=alpha.clock, node_id="gamma", display_name="Gamma") as node:
        yield node


def connect(node: TrialNode, other: TrialNode) -> None:
    assert node.post("/mesh/peers/connect", {"base_url": other.url}).status == 200


def probe(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/routes/probe", {"timeout": 2, **body})
    assert answer.status == 200, answer
    return fits("mesh.routes.probe", answer.json)


def health(node: TrialNode, headers: Any = None) -> Members:
    return fits("mesh.routes.health", node.get("/mesh/routes/health", headers).json)


def peer(node: TrialNode, peer_id: str = "beta") -> Members:
    return next(each for each in node.get("/mesh/peers").json["peers"] if each["peer_id"] == peer_id)


def probed(node: TrialNode) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"]
            if event["event_type"] == "mesh.route.probed"]


def manifest(of: TrialPeer) -> Members:
    return {"protocol": "Open Compute Protocol", "protocol_short_name": "OCP", "protocol_release": "0.1",
            "protocol_version": "sovereign-mesh/v1", "organism_card": of.card()}


# --- honest nodes -----------------------------------------------------------------------------------------------------

def test_a_route_that_works_is_remembered(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    told = probe(alpha, peer_id="beta")
    assert (told["status"], told["checked"], told["reachable"], told["best_route"]) == ("ok", 1, 1, beta.url)
    assert told["candidates"][0]["source"] == "last_reachable" and told["candidates"][0]["observed_peer_id"] == "beta"
    (route,) = health(alpha)["routes"]
    assert (route["status"], route["freshness"], route["age_seconds"], route["best_route"]) == ("reachable", "fresh", 0, beta.url)
    assert probed(alpha) == [{"peer_id": "beta", "best_route": beta.url, "checked": 1, "reachable": 1,
                              "candidates": told["candidates"]}]
    alpha.advance(400)
    assert health(alpha)["routes"][0]["freshness"] == "aging" and health(alpha)["healthy"] == 1
    alpha.advance(1500)
    assert health(alpha)["routes"][0]["freshness"] == "stale" and health(alpha)["healthy"] == 0


def test_a_node_that_goes_and_comes_back_at_another_address(tmp_path: Path, alpha: TrialNode) -> None:
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta:
        connect(alpha, beta)
        old = beta.url
    counts = []
    for _ in range(3):
        alpha.advance(60)
        told = probe(alpha, peer_id="beta")
        assert told["status"] == "attention_needed" and "no node listens" in told["operator_hint"]
        counts.append(told["candidates"][0]["failure_count"])
    (route,) = health(alpha)["routes"]
    assert counts == [1, 2, 3] and (route["status"], route["freshness"], route["best_route"]) == ("unreachable", "failed", "")
    assert route["last_success_at"] == "" and route["next_probe_after"] > route["checked_at"] and health(alpha)["healthy"] == 0
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta:
        assert beta.url != old
        told = probe(alpha, peer_id="beta", base_url=beta.url)
        assert (told["status"], told["best_route"]) == ("ok", beta.url)
        assert [(each["base_url"], each["status"]) for each in told["candidates"]] == [(beta.url, "reachable"),
                                                                                       (old, "unreachable")]
        assert peer(alpha)["metadata"]["last_reachable_base_url"] == beta.url and health(alpha)["healthy"] == 1
        assert alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).status == 200      # calls go the new way


def test_a_degraded_peer_is_connected_again_by_a_probe(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)

    def degrade(connection: Any) -> None:
        peers = alpha.rooms["mesh.peers"]
        peers.put(connection, peers.current(connection, "beta")._replace(status="degraded"))
    alpha.core.writer.run(degrade)
    probe(alpha, peer_id="beta")
    assert peer(alpha)["status"] == "connected"


def test_the_node_at_a_url_is_learnt_from_its_manifest(alpha: TrialNode, beta: TrialNode, gamma: TrialNode) -> None:
    connect(alpha, beta)
    assert probe(alpha, base_url=beta.url + "/")["peer_id"] == "beta" and health(alpha)["routes"][0]["freshness"] == "fresh"
    stranger = probe(alpha, base_url=gamma.url)
    assert (stranger["peer_id"], stranger["status"], stranger["candidates"][0]["source"]) == ("gamma", "ok", "explicit")
    assert alpha.get("/mesh/peers").json["count"] == 1
    (found,) = alpha.get("/mesh/discovery/candidates").json["candidates"]
    assert (found["base_url"], found["peer_id"], found["metadata"]["candidate_kind"]) == (gamma.url, "gamma", "route_probe")
    nobody = probe(alpha, base_url=CLOSED)
    assert (nobody["peer_id"], nobody["status"], nobody["reachable"]) == ("", "attention_needed", 0)


def test_all_peers_are_tried_when_none_is_named(alpha: TrialNode, beta: TrialNode, tmp_path: Path) -> None:
    connect(alpha, beta)
    with TrialNode(tmp_path / "gone", clock=alpha.clock, node_id="gone") as gone:
        connect(alpha, gone)
    told = probe(alpha)
    assert (told["status"], told["peer_id"], told["count"], told["reachable"]) == ("ok", "", 2, 1)
    assert {each["peer_id"]: each["status"] for each in told["results"]} == {"beta": "ok", "gone": "attention_needed"}
    assert probe(alpha, limit=1)["count"] == 1 and probe(alpha, limit=-4)["count"] == 1
    assert (health(alpha)["count"], health(alpha)["healthy"]) == (2, 1)


def test_an_unknown_peer_is_told_as_such(alpha: TrialNode) -> None:
    told = probe(alpha, peer_id="nobody")
    assert (told["status"], told["checked"], told["candidates"]) == ("not_found", 0, []) and probed(alpha) == []


def test_a_peer_without_an_address_has_no_route(alpha: TrialNode) -> None:
    TrialPeer("silent").shakes_hands(alpha)
    told = probe(alpha, peer_id="silent")
    assert (told["status"], told["checked"]) == ("attention_needed", 0) and "address" in told["operator_hint"]


def test_blocked_and_waiting_peers_have_no_part_in_the_mesh(tmp_path: Path) -> None:
    with TrialNode(tmp_path, peer_admission="approval") as node:
        TrialPeer("stranger").shakes_hands(node, endpoint_url=CLOSED)
        assert health(node)["count"] == 0 and probe(node)["count"] == 0
        node.post("/mesh/peers/stranger/trust", {"trust_tier": "trusted"})
        assert health(node)["count"] == 1 and probe(node)["count"] == 1
        node.post("/mesh/peers/stranger/trust", {"trust_tier": "blocked"})
        assert health(node)["count"] == 0 and probe(node)["count"] == 0


def test_a_new_address_that_a_directory_vouches_for_is_tried_and_proven(tmp_path: Path, alpha: TrialNode) -> None:
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta:
        connect(alpha, beta)
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta:
        did = node_did.node_id(bytes.fromhex(beta.core.identity.public_key_hex))
        alpha.core.sightings.register("d", lambda limit: [Sighting("directory x", beta.url, node_did=did, seen_at=1.0,
                                                                   verified=True)])
        told = probe(alpha, peer_id="beta")
        assert told["best_route"] == beta.url and {each["source"] for each in told["candidates"]} == {"last_reachable",
                                                                                                      "discovery"}


# --- liars ------------------------------------------------------------------------------------------------------------

def test_a_route_that_leads_to_another_node_is_not_taken(alpha: TrialNode, beta: TrialNode, gamma: TrialNode) -> None:
    connect(alpha, beta)
    told = probe(alpha, peer_id="beta", base_url=gamma.url)
    first = told["candidates"][0]
    assert (first["status"], first["last_error"], first["observed_peer_id"]) == ("unreachable",
                                                                                 "route reached gamma, expected beta", "gamma")
    assert told["best_route"] == beta.url == peer(alpha)["metadata"]["last_reachable_base_url"]


def test_a_server_that_claims_the_peers_name_under_another_key_changes_nothing(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    with Scripted(lambda *_: manifest(TrialPeer("beta", number=5))) as server:
        told = probe(alpha, peer_id="beta", base_url=server.url)
        first = told["candidates"][0]
        assert (first["status"], first["last_error"]) == ("unreachable", "peer public key changed; explicit trust reset required")
        assert peer(alpha)["metadata"]["last_reachable_base_url"] == beta.url
        alone = probe(alpha, base_url=server.url)
        assert (alone["status"], alone["peer_id"]) == ("attention_needed",
                                                       "") and alone["candidates"][0]["last_error"] == first["last_error"]
        assert peer(alpha)["public_key"] == beta.core.identity.public_key_hex


def test_without_a_pinned_key_no_answer_proves_a_route(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    alpha.post("/mesh/peers/beta/trust", {"reset_key": True})
    with Scripted(lambda *_: manifest(TrialPeer("beta", number=5))) as server:
        assert probe(alpha, peer_id="beta", base_url=server.url)["candidates"][0]["status"] == "reachable"
    assert peer(alpha)["metadata"]["last_reachable_base_url"] == beta.url


def test_a_key_that_was_pinned_meanwhile_judges_the_answer(alpha: TrialNode, beta: TrialNode) -> None:
    connect(alpha, beta)
    real, thief = beta.core.identity.public_key_hex, TrialPeer("beta", number=5)
    alpha.post("/mesh/peers/beta/trust", {"reset_key": True})

    def answer(*_: Any) -> Members:
        def pin(connection: Any) -> None:
            peers = alpha.rooms["mesh.peers"]
            peers.put(connection, peers.current(connection, "beta")._replace(public_key=real))
        alpha.core.writer.run(pin)                              # while the call is on its way
        return manifest(thief)
    with Scripted(answer) as server:
        told = probe(alpha, peer_id="beta", base_url=server.url)
        assert told["candidates"][0]["last_error"].startswith("peer public key changed")
        assert peer(alpha)["metadata"]["last_reachable_base_url"] == beta.url


@pytest.mark.parametrize("answer, text", [
    ((302, {}), "the peer points to another address, which is not followed"), (b"<html>", "the answer is not valid JSON"),
    ((404, {"error": "unknown endpoint"}), "the peer refused with status 404: unknown endpoint"),
    ({"a": "x" * 300_000}, "the answer is too large"),
    ({}, "peer card is missing organism_id"),
])
def test_what_is_no_node_is_no_route(alpha: TrialNode, beta: TrialNode, answer: Any, text: str) -> None:
    connect(alpha, beta)
    with Scripted(lambda *_: answer) as server:
        told = probe(alpha, peer_id="beta", base_url=server.url)
    assert (told["candidates"][0]["status"], told["candidates"][0]["last_error"]) == ("unreachable", text)


@pytest.mark.parametrize("body, text", [
    ({"base_url": "ftp://x"}, "only http and https URLs are called"), ({"base_url": "x"},
                                                                       "the URL needs the form http://host or https://host"),
    ({"base_url": "http://169.254.1.1"}, "169.254.1.1 is not called: its address is link-local"),
    ({"peer_id": "beta", "base_url": "http://a:b@x"}, "the URL must not have user information or a fragment"),
])
def test_a_url_that_is_never_called_is_refused(alpha: TrialNode, body: Members, text: str) -> None:
    answer = alpha.post("/mesh/routes/probe", body)
    assert (answer.status, answer.json["error"]) == (400, text) and probed(alpha) == []


def test_a_probe_of_the_wrong_form_names_the_member(alpha: TrialNode) -> None:
    answer = alpha.post("/mesh/routes/probe", {"timeout": "fast"})
    assert answer.status == 400 and answer.json["protocol_validation"]["issues"] == [
        {"path": "$.timeout", "message": "invalid type", "expected": "number", "actual": "string"}]


def test_a_peers_route_on_loopback_stays_open_only_where_an_operator_on_this_machine_opened_it(tmp_path: Path) -> None:
    operator = {"X-OCP-Operator-Token": TOKEN}
    with TrialNode(tmp_path / "alpha", node_id="alpha", operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as alpha, \
            TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta") as beta:
        assert alpha.post("/mesh/peers/connect", {"base_url": beta.url}, operator).status == 200
        lan = {**operator, **FROM_LAN}
        assert alpha.post("/mesh/routes/probe", {"peer_id": "beta"}, lan).json["best_route"] == beta.url
        refused = alpha.post("/mesh/routes/probe", {"base_url": "http://localhost:1"}, lan)
        assert refused.status == 400 and "loopback" in refused.json["error"]


def test_routes_are_tried_beside_each_other_and_silence_costs_no_more_than_the_time_out(alpha: TrialNode,
                                                                                        beta: TrialNode) -> None:
    release, together = threading.Event(), threading.Barrier(4)

    def stall(*_: Any) -> Any:
        together.wait(20)                                     # breaks unless four calls are here at one time
        release.wait(20)
        return {}
    connect(alpha, beta)
    with Scripted(stall) as server:
        kept = [{"base_url": f"{server.url}/{number}", "source": "advertised"} for number in range(4)]
        alpha.core.writer.run(lambda connection: alpha.rooms["mesh.peers"].set_metadata(connection, "beta",
                                                                                        {"route_candidates": kept}))
        told = probe(alpha, peer_id="beta", timeout=1)
        release.set()
    assert (told["best_route"], told["checked"], told["reachable"]) == (beta.url, 5, 1) and not together.broken
    assert all("did not answer in time" in each["last_error"] for each in told["candidates"][1:])
