"""Looking for nodes over real sockets: honest ones, none at all, and those that lie (OCP 0.1 seek and scan)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.sightings import Sighting
from ocp_node.crypto import node_did
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits
from tests.support.scripted import Scripted

Members = dict[str, Any]
TOKEN = "the-operator-token-of-this-node"
AS_OPERATOR = {"X-OCP-Operator-Token": TOKEN}


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha", display_name="Alpha") as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ()
        yield node


@pytest.fixture
def beta(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", clock=alpha.clock, node_id="beta", display_name="Beta") as node:
        yield node


def seek(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/discovery/seek", {"timeout": 2, **body})
    assert answer.status == 200, answer
    return fits("mesh.discovery.seek", answer.json)


def one(node: TrialNode, url: str, **body: Any) -> Members:
    """What became of one URL."""
    found = seek(node, base_urls=[url], **body)
    assert found["count"] == 1
    return found["results"][0]


def listed(node: TrialNode, query: str = "") -> list[Members]:
    return fits("mesh.discovery.candidates", node.get(f"/mesh/discovery/candidates{query}").json)["candidates"]


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def manifest(peer: TrialPeer, **card: Any) -> Members:
    return {"protocol": "Open Compute Protocol", "protocol_short_name": "OCP", "protocol_release": "0.1",
            "protocol_version": "sovereign-mesh/v1", "organism_card": peer.card(trust_tier="self", **card)}


def serving(document: Any) -> Scripted:
    """A server whose manifest is this."""
    return Scripted(lambda method, path, headers, body: document if path == "/mesh/manifest"
                    else (404, {"error": "unknown endpoint"}))


# --- honest ones ------------------------------------------------------------------------------------------------------

def test_a_node_that_answers_is_a_candidate_and_not_a_peer(alpha: TrialNode, beta: TrialNode) -> None:
    found = seek(alpha, base_urls=[beta.url + "/", "http://127.0.0.1:9"])
    assert (found["peer_id"], found["count"], found["discovered"], found["connected"], found["errors"]) == ("alpha", 2, 1, 0, 1)
    first, second = found["results"]
    assert (first["base_url"], first["peer_id"], first["display_name"], first["status"]) == (beta.url, "beta", "Beta",
                                                                                             "discovered")
    assert first["candidate"]["manifest"]["organism_card"]["node_id"] == "beta" and "connection" not in first
    assert (second["status"], second["code"], second["candidate"]["peer_id"]) == ("error", "peer_unreachable", "")
    assert {each["base_url"]: each["status"] for each in listed(alpha)} == {beta.url: "discovered", "http://127.0.0.1:9": "error"}
    assert alpha.get("/mesh/peers").json["count"] == 0 and beta.get("/mesh/peers").json["count"] == 0
    assert events(alpha, "mesh.discovery.seek") == [{"candidate_count": 2, "discovered": 1, "connected": 0, "errors": 1,
                                                     "auto_connect": False}]


def test_candidates_are_filtered_and_limited(alpha: TrialNode, beta: TrialNode) -> None:
    seek(alpha, base_urls=[beta.url, "http://127.0.0.1:9", "http://127.0.0.1:10"])
    assert [each["status"] for each in listed(alpha, "?status=ERROR")] == ["error", "error"]
    assert [each["base_url"] for each in listed(alpha, "?status=discovered")] == [beta.url]
    assert listed(alpha, "?status=nothing") == [] and len(listed(alpha, "?limit=2")) == 2
    assert len(listed(alpha, "?limit=-3")) == 1 and len(listed(alpha, "?limit=9999")) == 3
    assert alpha.get("/mesh/discovery/candidates?limit=x").status == 400


def test_an_empty_seek_is_an_event_as_well(alpha: TrialNode) -> None:
    assert seek(alpha)["results"] == [] and events(alpha, "mesh.discovery.seek")[0]["candidate_count"] == 0


def test_a_node_meets_itself_only_when_asked_to(alpha: TrialNode) -> None:
    assert seek(alpha, base_urls=[alpha.url])["count"] == 0
    assert one(alpha, alpha.url, include_self=True)["status"] == "self"


def test_a_node_that_left_is_still_known_and_comes_back(tmp_path: Path, alpha: TrialNode) -> None:
    with TrialNode(tmp_path / "beta", node_id="beta") as beta:
        url, port = beta.url, beta.port
        one(alpha, url)
    alpha.advance(60)
    gone = one(alpha, url)["candidate"]
    assert (gone["status"], gone["peer_id"], gone["manifest"]["organism_card"]["node_id"]) == ("error", "beta", "beta")
    assert "refused the connection" in gone["last_error"] and gone["last_seen_at"] < gone["last_error_at"]
    with TrialNode(tmp_path / "beta", node_id="beta", port=port):
        back = one(alpha, url)["candidate"]
    assert (back["status"], back["last_error"], back["last_error_at"]) == ("discovered", "", gone["last_error_at"])


def test_auto_connect_makes_new_nodes_peers_and_syncs_with_known_ones(alpha: TrialNode, beta: TrialNode) -> None:
    first = one(alpha, beta.url, auto_connect=True, trust_tier="partner")
    assert first["status"] == "connected" and first["connection"]["response"]["mesh_session_id"].startswith("mesh-")
    assert [(peer["peer_id"], peer["trust_tier"]) for peer in alpha.get("/mesh/peers").json["peers"]] == [("beta", "partner")]
    known = one(alpha, beta.url, auto_connect=True)
    assert known["status"] == "connected" and known["connection"]["imported_events"] >= 0 and "peer" not in known["connection"]
    assert one(alpha, beta.url, auto_connect=True, refresh_known=False)["connection"] == {"status": "known"}
    assert [each["status"] for each in listed(alpha)] == ["connected"]
    assert one(alpha, beta.url)["candidate"]["status"] == "connected"


def test_a_connection_that_fails_is_told_with_the_node_that_was_found(alpha: TrialNode) -> None:
    with serving(manifest(TrialPeer("half"))) as server:
        result = one(alpha, server.url, auto_connect=True)
        assert (result["status"], result["code"], result["peer_id"]) == ("error", "peer_refused", "half")
        assert result["candidate"]["status"] == "discovered" and result["candidate"]["last_error"]
    assert alpha.get("/mesh/peers").json["count"] == 0


def test_a_scan_looks_at_peers_candidates_and_what_is_announced_nearby(alpha: TrialNode, beta: TrialNode, tmp_path: Path) -> None:
    with TrialNode(tmp_path / "gamma", clock=alpha.clock, node_id="gamma") as gamma:
        alpha.post("/mesh/peers/connect", {"base_url": beta.url})
        one(alpha, "http://127.0.0.1:9")
        alpha.core.sightings.register("lan", lambda limit: [Sighting("local network", gamma.url, seen_at=1.0)])
        alpha.core.sightings.register("far", lambda limit: [Sighting("directory x", "http://127.0.0.1:10", seen_at=1.0,
                                                                     verified=True)])
        answer = fits("mesh.discovery.scan_local", alpha.post("/mesh/discovery/scan-local", {"timeout": 1}).json)
        assert answer["suggested_urls"] == [beta.url, "http://127.0.0.1:9", gamma.url] == answer["diagnostics"]["scan_urls"][:3]
        assert [result["status"] for result in answer["results"]] == ["discovered", "error", "discovered"]
        assert alpha.get("/mesh/peers").json["count"] == 1                     # a scan connects to nobody


@pytest.mark.parametrize("asked, found", [(10**6, 64), (3, 3), (0, 1), (-1, 1)])
def test_a_scan_tries_at_most_64_addresses(alpha: TrialNode, asked: int, found: int) -> None:
    alpha.rooms["mesh.connectivity"].addresses = lambda: ("127.66.0.10",)
    answer = alpha.post("/mesh/discovery/scan-local", {"limit": asked, "timeout": 0.5, "port": 9}).json
    assert answer["count"] == len(answer["suggested_urls"]) == found and answer["discovered"] == 0


# --- where candidates come from ---------------------------------------------------------------------------------------

def test_nodes_of_directories_are_listed_with_their_source_and_left_alone(alpha: TrialNode, beta: TrialNode) -> None:
    did = node_did.node_id(bytes.fromhex(beta.core.identity.public_key_hex))
    seen = [Sighting("directory https://seed.example", beta.url, node_did=did, seen_at=alpha.clock.time(), verified=True)]
    alpha.core.sightings.register("directories", lambda limit: seen[:limit])
    (candidate,) = listed(alpha)
    assert (candidate["base_url"], candidate["peer_id"], candidate["status"]) == (beta.url, "", "discovered")
    assert candidate["metadata"]["source"] == "directory https://seed.example" and candidate["metadata"]["node_did"] == did
    assert alpha.post("/mesh/peers/connect-all", {"timeout": 1, "scan_timeout": 0.2}).json["count"] == 0
    tried = one(alpha, beta.url)["candidate"]
    assert tried["peer_id"] == "beta" and tried["metadata"]["sources"] == ["directory https://seed.example"]
    assert tried["metadata"]["verified"] is True and len(listed(alpha)) == 1
    assert alpha.rooms["mesh.discovery"].urls_of("beta") == [beta.url]


def test_a_directory_that_names_another_key_for_an_address_is_not_believed(alpha: TrialNode, beta: TrialNode) -> None:
    thief = node_did.node_id(bytes.fromhex(TrialPeer("thief").identity.public_key_hex))
    alpha.core.sightings.register("directories", lambda limit: [Sighting("directory x", beta.url, node_did=thief, seen_at=1.0,
                                                                         verified=True)])
    tried = one(alpha, beta.url)
    assert (tried["status"], tried["peer_id"], tried["candidate"]["metadata"]["source"]) == ("discovered", "beta", "seek")
    assert listed(alpha)[0]["metadata"]["claimed_by"] == [thief]


# --- hostile ones -----------------------------------------------------------------------------------------------------

LIAR = TrialPeer("liar")


@pytest.mark.parametrize("document, text", [
    ({}, "peer card is missing organism_id"), ([], "the answer is not a JSON object"),
    (b"<html>", "the answer is not valid JSON"),
    ({"organism_card": LIAR.card()}, "unsupported mesh protocol version"),
    ({**manifest(LIAR), "protocol_version": "sovereign-mesh/v2"}, "unsupported mesh protocol version"),
    ({"protocol_version": "sovereign-mesh/v1", "organism_card": LIAR.card()}, "the peer's manifest is not valid"),
    ({**manifest(LIAR), "workers": "many"}, "the peer's manifest is not valid"),
    (manifest(LIAR, capability_cards="all"), "the peer's manifest is not valid"),
    (manifest(LIAR, organism_id="li\nar"), "peer card has an organism_id that is not printable"),
    (manifest(LIAR, public_key="00"), "peer card is missing public_key"),
    (manifest(LIAR, organism_id="x" * 129), "peer card has an organism_id that is too long"),
    (manifest(LIAR, padding="x" * 70_000), "the peer's card is larger than 65536 bytes"),
    ({**manifest(LIAR), "padding": "x" * 270_000}, "the answer is too large"),
    ((302, manifest(LIAR)), "the peer points to another address, which is not followed"),
    ((500, {"error": "no"}), "the peer refused with status 500"),
])
def test_what_is_no_valid_manifest_is_an_error_and_nobody(alpha: TrialNode, document: Any, text: str) -> None:
    with serving(document) as server:
        result = one(alpha, server.url)
    assert (result["status"], result["error"]) == ("error", text)
    (candidate,) = listed(alpha)
    assert (candidate["status"], candidate["peer_id"], candidate["manifest"], candidate["last_error"]) == ("error", "", {}, text)


@pytest.mark.parametrize("url, text", [
    ("ftp://127.0.0.1/", "only http and https URLs are called"), ("file:///etc/passwd", "only http and https URLs are called"),
    ("http://user:pass@127.0.0.1:9", "the URL must not have user information or a fragment"),
    ("http://127.0.0.1:9/?a=b", "a base URL must not have a query"), ("http://127.0.0.1:9/#x",
                                                                      "the URL must not have user information or a fragment"),
    ("http://169.254.169.254", "169.254.169.254 is not called: its address is link-local"),
    ("http://169.254.7.7:80", "169.254.7.7 is not called: its address is link-local"),
    ("http://224.0.0.1", "224.0.0.1 is not called: its address is multicast"),
    ("http://0.0.0.0:9", "0.0.0.0 is not called: its address is unspecified"),
    ("http://[fe80::1]:9", "fe80::1 is not called: its address is link-local"),
    ("http://2130706433:9", "an address is written as"),
    ("http://" + "a" * 3000, "a base URL has at most 2048 characters"),
])
def test_what_is_never_called_is_an_error_that_nobody_keeps(alpha: TrialNode, url: str, text: str) -> None:
    result = one(alpha, url)
    assert (result["status"], result["code"]) == ("error", "invalid_request")
    assert result["error"].replace("metadata", "link-local").startswith(text) and listed(alpha) == []


def test_a_server_that_claims_the_name_of_a_peer_under_another_key_is_not_that_peer(alpha: TrialNode, beta: TrialNode) -> None:
    alpha.post("/mesh/peers/connect", {"base_url": beta.url})
    before = alpha.get("/mesh/peers").json["peers"]
    with serving(manifest(TrialPeer("beta", number=9))) as server:
        for auto_connect in (False, True):
            result = one(alpha, server.url, auto_connect=auto_connect)
            assert (result["status"], result["code"]) == ("error", "key_changed")
            assert result["candidate"]["peer_id"] == "" and server.url not in alpha.rooms["mesh.discovery"].urls_of("beta")
        assert {path for _, path, _, _ in server.asked} == {"/mesh/manifest", "/mesh/identity"}      # for a succession, and no more
    assert alpha.get("/mesh/peers").json["peers"] == before


def test_a_server_that_claims_to_be_this_node_is_not_this_node(alpha: TrialNode) -> None:
    with serving(manifest(TrialPeer("alpha", number=9))) as server:
        assert one(alpha, server.url)["code"] == "key_changed"


def test_calls_carry_no_credential_of_ours(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN, allow_loopback_peers=True) as node, serving(manifest(LIAR)) as server:
        assert node.post("/mesh/discovery/seek", {"base_urls": [server.url]}, AS_OPERATOR).json["discovered"] == 1
        for _, _, headers, _ in server.asked:
            assert TOKEN not in str(headers) and not {"authorization", "cookie", "x-ocp-operator-token"} & headers.keys()


def test_loopback_is_sought_only_for_an_operator_on_this_machine(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as node, serving(manifest(LIAR)) as server:
        refused = node.post("/mesh/discovery/seek", {"base_urls": [server.url]}, {**AS_OPERATOR, **FROM_LAN}).json["results"][0]
        assert (refused["code"], server.asked) == ("invalid_request", []) and "loopback" in refused["error"]
        assert node.post("/mesh/discovery/seek", {"base_urls": [server.url]}, AS_OPERATOR).json["discovered"] == 1


def test_a_cidr_of_millions_is_answered_for_the_first_of_them(alpha: TrialNode) -> None:
    found = seek(alpha, cidr="127.0.0.0/8", port=9, limit=10**6, timeout=0.5)
    assert found["count"] == found["errors"] == 256 and found["results"][255]["base_url"] == "http://127.0.1.0:9"
    assert len(events(alpha, "mesh.discovery.seek")) == 1


@pytest.mark.parametrize("body, text", [
    ({"base_urls": "ab"}, "base_urls must be an array"), ({"hosts": {"a": 1}}, "hosts must be an array"),
    ({"base_urls": [1]}, "base_urls[0] must be a string"), ({"cidr": "nonsense"}, "cidr must be an IPv4 or IPv6 network"),
    ({"port": "x"}, "port must be an integer"), ({"port": 0}, "port must be at least 1"),
    ({"port": 70_000}, "port must be at most 65535"),
    ({"trust_tier": "friend"}, "unsupported trust tier"), ({"timeout": "fast"}, "timeout must be a number"),
    ({"limit": 1.5}, "limit must be an integer"), ({"auto_connect": "yes"}, "auto_connect must be a boolean"),
])
def test_a_seek_of_the_wrong_form_is_refused(alpha: TrialNode, body: Members, text: str) -> None:
    answer = alpha.post("/mesh/discovery/seek", body)
    assert (answer.status, answer.json["error"], answer.json["code"]) == (400, text, "invalid_request")
    assert events(alpha, "mesh.discovery.seek") == []


def test_sixteen_urls_are_tried_beside_each_other_and_late_ones_given_up(alpha: TrialNode) -> None:
    release, together = threading.Event(), threading.Barrier(16)

    def stall(*_: Any) -> Any:
        together.wait(20)                      # breaks unless sixteen calls are here at one time
        release.wait(20)
        return {}

    from ocp_node.mesh.discovery.seeking import Wanted
    with Scripted(stall) as server:
        urls = [f"{server.url}/{number}" for number in range(40)]
        wanted = Wanted(urls, timeout=30.0, loopback=True, seconds=2.0)
        found = alpha.rooms["mesh.discovery"].seeking().seek(wanted)
        release.set()
    assert (found["count"], found["errors"]) == (40, 40) and {result["error"]
                                                              for result in found["results"]} == {"not done in time"}
    assert {result["code"] for result in found["results"]} == {"peer_timeout"} and not together.broken


def test_a_node_with_many_manifests_answers_without_all_of_them(alpha: TrialNode) -> None:
    with Scripted(lambda *_: {**manifest(LIAR), "padding": "x" * 60_000}) as server:
        found = seek(alpha, base_urls=[f"{server.url}/{number}" for number in range(40)], limit=40)
        assert found["discovered"] == 40
        shown = [bool(result["candidate"]["manifest"]) for result in found["results"]]
        assert shown.count(True) < 20 and shown[0]
        assert len(alpha.get("/mesh/discovery/candidates?limit=500").body) < 4_500_000


def test_the_oldest_candidates_make_room(tmp_path: Path) -> None:
    from ocp_node.mesh.discovery import candidate as candidates
    from ocp_node.mesh.discovery import table
    with TrialNode(tmp_path) as node:
        def fill(connection: Any) -> None:
            for number in range(table.CANDIDATES_KEPT + 20):
                table.put(connection, candidates.nobody(f"http://192.0.2.1:{number + 1}", "trusted",
                                                        f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"))
        node.core.writer.run(fill)
        one(node, "http://127.0.0.1:9")
        with node.core.reader.snapshot() as connection:
            kept = table.brief(connection, 1000)
        assert len(kept) == table.CANDIDATES_KEPT and "http://192.0.2.1:1" not in {each.base_url for each in kept}


def test_candidates_survive_a_restart(tmp_path: Path) -> None:
    clock = SetClock()
    with serving(manifest(LIAR)) as server:
        with TrialNode(tmp_path, clock=clock) as node:
            before = one(node, server.url)["candidate"]
        with TrialNode(tmp_path, clock=clock) as node:
            assert listed(node) == [before]
