"""How fresh a route is, when to try it again, which to try first, and what a failure means (OCP 0.1 routes)."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.clock import instant_text
from ocp_node.http.calls import KINDS as ERROR_KINDS
from ocp_node.mesh.peers.peer import Peer, made
from ocp_node.mesh.routes import rules
from ocp_node.mesh.routes.rules import Outcome

NOW = 1_800_000_000.0
A, B, C = "http://192.0.2.1:8421", "http://192.0.2.2:8421", "http://192.0.2.3:8421"


def ago(seconds: float) -> str:
    return instant_text(NOW - seconds)


def peer(endpoint: str = "", status: str = "connected", **metadata: Any) -> Peer:
    return made({"peer_id": "beta", "display_name": "Beta", "public_key": "0" * 64, "signature_scheme": "",
                 "endpoint_url": endpoint, "stream_url": "",
                 "trust_tier": "trusted", "reachability": "", "status": status, "mesh_session_id": "", "protocol_version": "",
                 "capability_cards": [], "card": {}, "metadata": metadata, "reliability": {}, "remote_execution": None,
                 "created_at": "",
                 "updated_at": "", "last_seen_at": "", "last_handshake_at": ""})


@pytest.mark.parametrize("route, freshness", [
    ({"status": "reachable", "checked_at": ago(0)}, "fresh"), ({"status": "reachable", "checked_at": ago(300)}, "fresh"),
    ({"status": "reachable", "checked_at": ago(301)}, "aging"), ({"status": "reachable", "checked_at": ago(1800)}, "aging"),
    ({"status": "reachable", "checked_at": ago(1801)}, "stale"), ({"status": "reachable", "checked_at": ago(10**8)}, "stale"),
    ({"status": "reachable", "checked_at": ago(9000), "last_success_at": ago(10)}, "fresh"),
    ({"status": "reachable", "checked_at": ago(10), "last_success_at": ago(9000)}, "fresh"),
    ({"status": "reachable", "checked_at": ago(-600)}, "fresh"),                    # the clock was set back since
    ({"status": "reachable", "checked_at": ""}, "unknown"), ({"status": "reachable"}, "unknown"),
    ({"status": "reachable", "checked_at": "yesterday"}, "unknown"), ({"status": "reachable", "checked_at": 5}, "unknown"),
    ({"status": "unreachable", "checked_at": ago(0)}, "failed"), ({"status": "unreachable"}, "failed"),
    ({"status": "unknown", "checked_at": ago(0)}, "unknown"), ({}, "unknown"),
])
def test_a_proof_ages(route: dict[str, Any], freshness: str) -> None:
    assert rules.freshness(route, NOW) == freshness


@pytest.mark.parametrize("failures, seconds", [(0, 0), (1, 15), (2, 30), (3, 60), (4, 120), (5, 240), (6, 300), (7, 300),
                                               (1000, 300)])
def test_a_route_that_keeps_failing_is_left_alone_longer(failures: int, seconds: int) -> None:
    assert rules.back_off_seconds(failures) == seconds


# status, freshness, best route, last reachable -> may calls go there?
@pytest.mark.parametrize("status, freshness, best, last, usable", [
    ("reachable", "fresh", A, A, True), ("reachable", "aging", A, A, True), ("reachable", "unknown", "", "", True),
    ("reachable", "stale", A, A, False), ("unknown", "unknown", "", A, True), ("unknown", "unknown", A, "", True),
    ("unknown", "unknown", "", "", False), ("unreachable", "failed", A, A, False), ("unreachable", "unknown", A, A, False),
])
def test_which_routes_calls_may_take(status: str, freshness: str, best: str, last: str, usable: bool) -> None:
    assert rules.usable({"status": status, "freshness": freshness, "best_route": best, "last_reachable_base_url": last}) is usable


@pytest.mark.parametrize("error, kind", [
    ("", ""), ("route reached gamma, expected beta", "identity"), ("peer public key changed; explicit trust reset required",
                                                                   "identity"),
    ("the peer did not answer in time", "timeout"), ("not done in time", "timeout"), ("<urlopen error timed out>", "timeout"),
    ("192.0.2.1:8421 refused the connection: nothing listens there", "refused"), ("[Errno 111] Connection refused", "refused"),
    ("there is no way to 192.0.2.1:8421", "unreachable"), ("the name nowhere.example has no address", "unreachable"),
    ("Temporary failure in name resolution", "unreachable"), ("[Errno 101] Network is unreachable", "unreachable"),
    ("192.0.2.1:8421 broke the connection", "reset"), ("192.0.2.1:8421 ended the connection without saying so", "reset"),
    ("the connection to 192.0.2.1:8421 failed", "reset"), ("the peer refused with status 404", "other"),
    ("the answer is too large", "other"),
])
def test_a_failure_has_a_kind_and_a_hint_of_its_own(error: str, kind: str) -> None:
    assert rules.error_kind(error) == kind
    assert bool(rules.hint(error, A)) is bool(kind) and "{" not in rules.hint(error, A)


def test_every_kind_has_a_hint() -> None:
    assert {kind for kind, _ in rules.KINDS} | {"other"} == set(rules.HINTS) and {"refused", "timeout", "reset"} <= ERROR_KINDS


# --- what is tried ----------------------------------------------------------------------------------------------------

def test_routes_are_tried_in_the_order_of_the_protocol_each_once() -> None:
    known = peer(C, last_reachable_base_url=B, route_candidates=[
        {"base_url": B, "source": "last_reachable"}, {"base_url": "http://old", "source": "explicit"},
        {"base_url": C, "source": "advertised"}])
    assert rules.ordered(known, A, ["http://found", A], 20) == [
        (A, "explicit"), (B, "last_reachable"), ("http://old", "history"), (C, "advertised"), ("http://found", "discovery")]
    assert rules.ordered(known, "", [], 2) == [(B, "last_reachable"), ("http://old", "history")]
    assert rules.ordered(peer(), "", [], 8) == []


@pytest.mark.parametrize("kept", [None, "x", 5, [1, None, "x"], [{"base_url": 5}], [{}], [{"base_url": "ftp://x"}],
                                  {"base_url": A}])
def test_what_was_kept_wrongly_is_passed_over(kept: Any) -> None:
    strange = peer(route_candidates=kept, route_health=kept, last_reachable_base_url=5)
    assert rules.ordered(strange._replace(metadata={**strange.metadata, "last_reachable_base_url": ""}), "", [], 8) == []
    assert rules.route_of(strange, NOW)["status"] == "unknown"


# --- what is kept -----------------------------------------------------------------------------------------------------

def good(url: str, source: str = "history") -> Outcome:
    return Outcome(url, source, "", 7, "beta", "0" * 64)


def bad(url: str, error: str = "x refused the connection", source: str = "history") -> Outcome:
    return Outcome(url, source, error, None)


def test_an_attempt_is_told_as_the_protocol_shows_it() -> None:
    assert rules.candidate(good(A, "last_reachable"), {"failure_count": 3, "last_success_at": ago(900)}, NOW) == {
        "base_url": A, "source": "last_reachable", "status": "reachable", "latency_ms": 7, "checked_at": ago(0),
        "last_success_at": ago(0),
        "last_error": "", "observed_peer_id": "beta", "failure_count": 0, "next_probe_after": "", "operator_hint": "",
        "freshness": "fresh"}
    failed = rules.candidate(bad(A), {"failure_count": 1, "last_success_at": ago(900)}, NOW)
    assert (failed["status"], failed["freshness"], failed["failure_count"], failed["latency_ms"]) == ("unreachable", "failed", 2,
                                                                                                      None)
    assert (failed["last_success_at"], failed["next_probe_after"]) == (ago(900), ago(-30)) and A in failed["operator_hint"]


def test_failures_are_counted_from_one_attempt_to_the_next() -> None:
    metadata: dict[str, Any] = {}
    for count in range(1, 9):
        tried = rules.tried([bad(A)], metadata, NOW)
        metadata |= rules.changes(metadata, tried, "", NOW)
        assert metadata["route_candidates"][0]["failure_count"] == metadata["route_health"]["failure_count"] == count
    metadata |= rules.changes(metadata, rules.tried([good(A)], metadata, NOW), A, NOW)
    assert metadata["route_health"]["failure_count"] == 0 and metadata["last_reachable_base_url"] == A


def test_the_newest_eight_routes_are_kept() -> None:
    old = [{"base_url": f"http://old{number}", "status": "unreachable"} for number in range(8)]
    kept = rules.changes({"route_candidates": old}, rules.tried([good(A), bad(B)], {}, NOW), A, NOW)["route_candidates"]
    assert [each["base_url"] for each in kept] == [A, B, *(f"http://old{number}" for number in range(6))]


def test_only_a_proven_route_becomes_the_one_that_calls_take() -> None:
    assert "last_reachable_base_url" not in rules.changes({}, rules.tried([good(A)], {}, NOW), "", NOW)
    assert rules.changes({"last_reachable_base_url": B}, rules.tried([bad(A)], {}, NOW), "",
                         NOW).get("last_reachable_base_url") is None


def test_a_peer_is_as_reachable_as_its_best_route() -> None:
    kept = rules.changes({}, rules.tried([bad(A), good(B)], {}, NOW), B, NOW)["route_health"]
    assert (kept["status"], kept["best_route"], kept["last_error"], kept["failure_count"]) == ("reachable", B, "", 0)
    kept = rules.changes({"route_health": {"last_success_at": ago(50)}},
                         rules.tried([bad(A, "route reached x, expected beta"), bad(B)], {}, NOW),
                         "", NOW)["route_health"]
    assert (kept["status"], kept["last_error"], kept["last_success_at"]) == ("unreachable", "route reached x, expected beta",
                                                                             ago(50))


# --- what is shown ----------------------------------------------------------------------------------------------------

def test_a_peer_that_was_just_connected_to_counts_as_healthy_with_an_unknown_proof() -> None:
    route = rules.route_of(peer(C, last_reachable_base_url=B), NOW)
    assert (route["status"], route["freshness"], route["best_route"], route["age_seconds"]) == ("reachable", "unknown", B, None)
    assert rules.usable(route) and B in route["operator_summary"]


def test_a_peer_that_only_told_an_address_has_no_proven_route() -> None:
    route = rules.route_of(peer(C), NOW)
    assert (route["status"], route["best_route"]) == ("unknown", "") and not rules.usable(route)
    assert route["operator_summary"] == "Beta has no proven route yet."


def test_freshness_is_that_of_the_moment_it_is_asked_for() -> None:
    metadata = rules.changes({}, rules.tried([good(A)], {}, NOW), A, NOW)
    seen = [(rules.route_of(peer(**metadata), NOW + seconds)["freshness"],
             rules.route_of(peer(**metadata), NOW + seconds)["candidates"][0]["freshness"])
            for seconds in (0, 400, 4000)]
    assert seen == [("fresh", "fresh"), ("aging", "aging"), ("stale", "stale")]
    assert rules.route_of(peer(**metadata), NOW + 400)["age_seconds"] == 400
    assert rules.route_of(peer(**metadata), NOW + 4000)["operator_summary"] == "Beta was last reached too long ago."


def test_all_routes_are_counted() -> None:
    routes = [rules.route_of(peer(C, last_reachable_base_url=B), NOW), rules.route_of(peer(C), NOW)]
    told = rules.listed("alpha", routes, ago(0))
    assert (told["count"], told["healthy"], told["operator_summary"]) == (2, 1, "1 of 2 peer routes are proven.")
    assert rules.listed("alpha", [], ago(0))["operator_summary"] == "No routes to other nodes are known yet."


def test_a_probe_is_ok_when_one_route_works() -> None:
    told = rules.probed("beta", "Beta", rules.tried([bad(A), good(B), good(C)], {}, NOW), ago(0))
    assert (told["status"], told["checked"], told["reachable"], told["best_route"], told["operator_hint"]) == ("ok", 3, 2, B, "")
    told = rules.probed("beta", "Beta", rules.tried([bad(A)], {}, NOW), ago(0))
    assert told["status"] == "attention_needed" and told["operator_hint"].startswith("Beta can be reached, but no node listens")
    assert rules.probed("beta", "Beta", [], ago(0))["operator_hint"] == rules.NO_URL
