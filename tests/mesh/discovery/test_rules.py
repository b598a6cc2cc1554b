"""Which URLs a seek tries, and what a candidate is after an answer or a failure (OCP 0.1 discovery)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ocp_node.base.clock import instant_text
from ocp_node.base.errors import Refusal
from ocp_node.base.sightings import Sighting
from ocp_node.crypto import node_did
from ocp_node.mesh.discovery import candidate as candidates
from ocp_node.mesh.discovery import rules
from tests.support.peer import TrialPeer

NOW = "2026-11-22T08:00:00Z"
LATER = "2026-11-22T09:00:00Z"
URL = "http://192.0.2.7:8421"


def manifest(peer: TrialPeer, **more: Any) -> dict[str, Any]:
    return {"protocol": "Open Compute Protocol", "protocol_short_name": "OCP", "protocol_release": "0.1",
            "protocol_version": "sovereign-mesh/v1", "organism_card": peer.card(), **more}


@pytest.mark.parametrize("asked, urls", [
    ({}, []),
    ({"base_urls": ["http://a:1/", "b:2", "  ", "http://a:1"]}, ["http://a:1", "http://b:2"]),
    ({"hosts": ["a", "192.0.2.1", "::1", "[::1]", "https://c:3/"]},
     ["http://a:8421", "http://192.0.2.1:8421", "http://[::1]:8421", "https://c:3"]),
    ({"base_urls": ["http://a:8421"], "hosts": ["b", "a"], "cidr": "192.0.2.0/30"},
     ["http://a:8421", "http://b:8421", "http://192.0.2.1:8421", "http://192.0.2.2:8421"]),
    ({"cidr": "192.0.2.9/30"}, ["http://192.0.2.9:8421", "http://192.0.2.10:8421"]),
    ({"cidr": "192.0.2.9"}, ["http://192.0.2.9:8421"]),
    ({"cidr": "2001:db8::/126", "limit": 2}, ["http://[2001:db8::1]:8421", "http://[2001:db8::2]:8421"]),
    ({"hosts": ["a", "b", "c"], "limit": 2}, ["http://a:8421", "http://b:8421"]),
    ({"hosts": ["a", "b"], "limit": 0}, ["http://a:8421"]), ({"hosts": ["a", "b"], "limit": -5}, ["http://a:8421"]),
    ({"hosts": ["a", "b"], "skip": ("http://a:8421",)}, ["http://b:8421"]),
    ({"hosts": ["a"], "port": 99}, ["http://a:99"]),
    ({"hosts": ["a:99"]}, ["http://a:99:8421"]),                       # a host is a name: its port stands in `port`
])
def test_the_urls_to_try_stand_in_order_each_once(asked: dict[str, Any], urls: list[str]) -> None:
    usual: dict[str, Any] = {"base_urls": [], "hosts": [], "cidr": "", "port": 8421, "limit": 32}
    assert rules.wanted_urls(**{**usual, **asked}) == urls


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "::/0"])
def test_a_network_of_millions_is_only_walked_as_far_as_wanted(cidr: str) -> None:
    assert len(rules.wanted_urls([], [], cidr, 8421, 10**9)) == rules.SEEK_URLS_MAX == 256


def test_a_list_of_repeated_urls_ends() -> None:
    assert rules.wanted_urls(itertools.repeat("http://a"), [], "", 1, 5) == ["http://a"]


@pytest.mark.parametrize("cidr", ["nonsense", "300.1.1.1/8", "192.0.2.0/33", "192.0.2.0/-1", "/", "1" * 5000, "192.0.2.0/24/24"])
def test_what_is_no_network_is_refused_in_our_own_words(cidr: str) -> None:
    with pytest.raises(Refusal) as refused:
        rules.wanted_urls([], [], cidr, 8421, 32)
    assert (refused.value.code, refused.value.message) == ("invalid_request", "cidr must be an IPv4 or IPv6 network")


# --- candidates -------------------------------------------------------------------------------------------------------

def test_an_answer_makes_a_node_known_and_a_failure_keeps_it_known() -> None:
    beta = TrialPeer("beta", "Beta")
    known = candidates.answered(None, URL, manifest(beta), "trusted", {"candidate_kind": "seek"}, NOW)
    assert (known.peer_id, known.display_name, known.status, known.endpoint_url) == ("beta", "Beta", "discovered", URL)
    failed = candidates.failed(known, URL, "public", {}, "x" * 900, LATER)
    assert failed.status == "error" and failed.last_error == "x" * candidates.ERROR_LENGTH_MAX
    assert (failed.peer_id, failed.manifest, failed.trust_tier, failed.last_seen_at) == ("beta", known.manifest, "trusted", NOW)
    again = candidates.answered(failed, URL, manifest(beta), "trusted", {}, LATER)
    assert (again.status, again.last_error, again.last_error_at, again.created_at) == ("discovered", "", LATER, NOW)


@pytest.mark.parametrize("there, status", [("beta", "connected"), ("gamma", "discovered")])
def test_a_connection_is_with_a_node_not_with_an_address(there: str, status: str) -> None:
    known = candidates.answered(None, URL, manifest(TrialPeer("beta")), "trusted", {}, NOW)._replace(status="connected")
    assert candidates.answered(known, URL, manifest(TrialPeer(there)), "trusted", {}, LATER).status == status


def test_a_url_that_never_answered_has_a_name_for_nobody() -> None:
    failed = candidates.failed(None, URL, "partner", {"candidate_kind": "seek"}, "no", NOW)
    shown = candidates.candidate_json(failed, local_custody=True)
    assert (shown["peer_id"], shown["display_name"], shown["endpoint_url"], shown["trust_tier"]) == ("", "", URL, "partner")
    assert shown["manifest"] == {} and shown["device_profile"]["device_class"] == "full" and shown["last_error_at"] == NOW


def test_what_a_node_advertises_on_loopback_is_where_it_was_reached() -> None:
    told = manifest(TrialPeer("beta"), organism_card=TrialPeer("beta").card(endpoint_url="http://127.0.0.1:9"))
    assert candidates.answered(None, URL, told, "trusted", {}, NOW).endpoint_url == URL


@pytest.mark.parametrize("features", [None, "handshake", {"a": 1}, [1, None, ["x"], "y" * 65, "ü"], ["ok"] * 500])
def test_features_that_are_none_are_left_out(features: Any) -> None:
    told = manifest(TrialPeer("beta"), organism_card=TrialPeer("beta").card(supported_features=features))
    kept = candidates.answered(None, URL, told, "trusted", {}, NOW).metadata["supported_features"]
    assert kept == (["ok"] * candidates.FEATURES_MAX if features == ["ok"] * 500 else [])


def test_a_long_manifest_is_kept_without_what_passes_and_a_longer_one_without_all_but_its_card() -> None:
    beta = TrialPeer("beta")
    short = manifest(beta, workers=[{"id": "w"}])
    assert candidates.kept_manifest(short) == short
    long = manifest(beta, workers=[{"id": "w" * 70_000}], habitat_roles=["archive"])
    assert "workers" not in candidates.kept_manifest(long) and candidates.kept_manifest(long)["habitat_roles"] == ["archive"]
    longest = candidates.kept_manifest(manifest(beta, padding="ü" * 70_000))
    assert longest["organism_card"]["public_key"] == beta.identity.public_key_hex and set(longest) == {"protocol_version",
                                                                                                       "organism_card"}


def test_a_node_that_shows_another_key_under_a_known_name_is_an_impostor() -> None:
    beta, thief = TrialPeer("beta"), TrialPeer("beta", number=1)
    candidates.impostor(thief.card(), "beta", "")                              # nothing is pinned
    candidates.impostor(beta.card(), "beta", beta.identity.public_key_hex)
    candidates.impostor(thief.card(), "gamma", beta.identity.public_key_hex)     # another node altogether
    with pytest.raises(Refusal, match="peer public key changed"):
        candidates.impostor(thief.card(), "beta", beta.identity.public_key_hex)


# --- sightings --------------------------------------------------------------------------------------------------------

def did(peer: TrialPeer) -> str:
    return node_did.node_id(bytes.fromhex(peer.identity.public_key_hex))


def sighting(peer: TrialPeer | None, url: str = URL, source: str = "directory https://seed.example", at: float = 1_000.0,
             **more: Any) -> Sighting:
    return Sighting(source, url, node_did=did(peer) if peer else "", seen_at=at, **{"verified": True, **more})


def test_a_sighted_node_is_listed_with_its_source_and_nothing_that_is_not_proven() -> None:
    beta = TrialPeer("beta")
    found = candidates.merged([], [sighting(beta, node_id="beta", expires_at=2_000.0,
                                            endpoint_url="wss://192.0.2.7/mesh/stream")], 10)
    assert [(each.base_url, each.peer_id, each.status, each.trust_tier) for each in found] == [(URL, "", "discovered", "public")]
    assert found[0].metadata == {"supported_features": [], "candidate_kind": "directory",
                                 "source": "directory https://seed.example",
                                 "sources": ["directory https://seed.example"], "node_did": did(beta), "verified": True,
                                 "auto_connect": False, "claimed_node_id": "beta", "expires_at": instant_text(2_000.0)}
    near = candidates.merged([], [sighting(None, source="local network", verified=False)], 10)[0]
    assert (near.metadata["candidate_kind"], near.metadata["verified"]) == ("local_network", False)


def test_each_url_stands_once_with_all_its_sources_newest_first() -> None:
    beta, gamma = TrialPeer("beta"), TrialPeer("gamma")
    known = candidates.answered(None, URL, manifest(beta), "trusted", {"candidate_kind": "seek", "source": "seek"}, NOW)
    found = candidates.merged([known], [sighting(beta), sighting(beta, source="local network"),
                                        sighting(gamma, "https://c.example/"),
                                        sighting(gamma, "ftp://c"), sighting(gamma, "")], 10)
    assert [each.base_url for each in found] == [URL, "https://c.example"]
    assert found[0].metadata["sources"] == ["directory https://seed.example", "local network"] and found[0].peer_id == "beta"
    assert len(candidates.merged([known], [sighting(gamma, f"http://n{number}") for number in range(20)], 5)) == 5


def test_who_claims_the_address_of_another_node_is_named_and_believed_nothing() -> None:
    beta, thief = TrialPeer("beta"), TrialPeer("thief")
    known = candidates.answered(None, URL, manifest(beta), "trusted", {"source": "seek"}, NOW)
    shown = candidates.merged([known], [sighting(thief)], 10)[0]
    assert (shown.peer_id, shown.metadata["source"], shown.metadata["claimed_by"]) == ("beta", "seek", [did(thief)])


@pytest.mark.parametrize("text", ["", "node:did:key:z", "node:did:key:zzzz", "did:key:z6Mk", "x" * 61])
def test_what_is_no_name_of_a_key_has_none(text: str) -> None:
    assert candidates.key_of(text) == ""
