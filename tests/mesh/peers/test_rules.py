"""Trust tiers, admission, and what peers tell, by tables of cases (OCP 0.1 trust tiers, peers)."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.handshake.rules import claims, reached, told
from ocp_node.mesh.peers import everyone, imports, rules
from ocp_node.mesh.peers.peer import Peer, load, made, peer_json

Members = dict[str, Any]
NEVER: Members = {"source": "remote_events", "completed": 0, "failed": 0, "retried": 0, "total": 0, "success_rate": None,
                  "score": 0}


def a_peer(peer_id: str = "peer", **more: Any) -> Peer:
    return made({"peer_id": peer_id, "display_name": peer_id, "public_key": "ab" * 32, "signature_scheme": "", "endpoint_url": "",
                 "stream_url": "", "trust_tier": "trusted", "reachability": "", "status": "connected", "mesh_session_id": "",
                 "protocol_version": "", "capability_cards": [], "card": {}, "metadata": {}, "reliability": NEVER,
                 "remote_execution": None,
                 "created_at": "", "updated_at": "", "last_seen_at": "2027-01-15T08:00:00Z", "last_handshake_at": "", **more})


@pytest.mark.parametrize("tier, public, trusted, private", [
    ("self", True, True, True), ("trusted", True, True, True), ("partner", True, True, True), ("market", True, False, False),
    ("public", True, False, False), ("", True, False, False), ("blocked", False, False, False), ("friend", False, False, False),
])
def test_which_tier_may_touch_which_data(tier: str, public: bool, trusted: bool, private: bool) -> None:
    assert [rules.may_touch(tier, kind) for kind in ("public", "trusted", "private", "unheard-of")] == [public, trusted, private,
                                                                                                        trusted]


@pytest.mark.parametrize("word, claimed", [
    ("", "trusted"), (" Trusted ", "trusted"), ("self", "trusted"), ("partner", "partner"), ("market", "market"),
    ("public", "public"),
    ("best-friend", "public"), ("blocked", "blocked"),
])
def test_a_tier_on_the_wire_is_a_request(word: str, claimed: str) -> None:
    assert rules.claimed_tier(word) == claimed


@pytest.mark.parametrize("setting, bound, caller, mode", [
    ("", True, True, "declared"), ("", True, False, "approval"), ("", False, True, "approval"), ("", False, False, "approval"),
    ("declared", False, False, "declared"), ("public", True, True, "public"), ("approval", True, True, "approval"),
])
def test_strangers_are_believed_only_where_everything_stays_on_this_machine(setting: str, bound: bool, caller: bool,
                                                                            mode: str) -> None:
    assert rules.admission_mode(setting, bound, caller) == mode


@pytest.mark.parametrize("mode, claim, expected", [
    ("declared", "partner", ("partner", "connected", False)), ("approval", "trusted", ("public", "pending", True)),
    ("public", "trusted", ("public", "connected", False)),
])
def test_what_becomes_of_a_stranger(mode: str, claim: str, expected: tuple[str, str, bool]) -> None:
    assert tuple(rules.admit(mode, claim)) == expected


@pytest.mark.parametrize("tier, status, switch, setting, loopback, runs", [
    ("trusted", "connected", None, "loopback", True, True), ("trusted", "connected", None, "loopback", False, False),
    ("partner", "connected", None, "on", False, True), ("partner", "connected", None, "off", True, False),
    ("trusted", "connected", True, "off", False, True), ("trusted", "connected", False, "on", True, False),
    ("market", "connected", True, "on", True, False), ("public", "connected", True, "on", True, False),
    ("public", "pending", True, "on", True, False), ("blocked", "connected", True, "on", True, False),
])
def test_whose_code_runs_here(tier: str, status: str, switch: bool | None, setting: str, loopback: bool, runs: bool) -> None:
    peer = a_peer(trust_tier=tier, status=status, remote_execution=switch)
    assert rules.runs_code(peer, setting, loopback) is runs
    assert rules.runs_code(None, "on", True) is False


@pytest.mark.parametrize("tier, floor, enough", [
    ("trusted", "partner", True), ("partner", "partner", True), ("market", "partner", False), ("public", "partner", False),
    ("blocked", "public", False), ("self", "public", False), ("", "public", False),
])
def test_tiers_have_an_order(tier: str, floor: str, enough: bool) -> None:
    assert rules.at_least(tier, floor) is enough


@pytest.mark.parametrize("wanted, changes", [
    ({"trust_tier": "Partner"}, {"trust_tier": "partner", "status": "connected"}),
    ({"trust_tier": "self"}, {"trust_tier": "trusted", "status": "connected"}),
    ({"remote_execution": True}, {"remote_execution": True}), ({"remote_execution": None}, {"remote_execution": None}),
    ({"reset_key": True}, {"public_key": ""}), ({"reset_key": False}, {}),
])
def test_what_an_order_changes(wanted: Members, changes: Members) -> None:
    assert rules.trust_changes(a_peer(status="pending"), wanted) == changes


@pytest.mark.parametrize("wanted, text", [
    ({}, "trust_tier, remote_execution or reset_key is required"), ({"other": 1},
                                                                    "trust_tier, remote_execution or reset_key is required"),
    ({"trust_tier": "friend"}, "unsupported trust tier"),
])
def test_an_order_that_is_none_is_refused(wanted: Members, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        rules.trust_changes(a_peer(), wanted)
    assert caught.value.message == text


def test_a_flood_of_strangers_pushes_out_only_who_is_long_silent() -> None:
    silent = a_peer("silent", trust_tier="public", last_seen_at="2027-01-15T07:00:00Z")
    fresh = [a_peer(f"fresh-{number}", trust_tier="public", last_seen_at="2027-01-15T08:00:00Z") for number in range(2)]
    friends = [a_peer("friend", last_seen_at="2020-01-01T00:00:00Z"),
               a_peer("kept", trust_tier="public", metadata={"admitted": True}, last_seen_at="2020-01-01T00:00:00Z")]
    assert rules.displaced([*friends, *fresh], 3, "2027-01-15T07:50:00Z") is None
    assert rules.displaced([*friends, *fresh, silent], 3, "2027-01-15T07:50:00Z") == silent
    with pytest.raises(Refusal) as caught:
        rules.displaced([*friends, *fresh], 2, "2027-01-15T07:50:00Z")
    assert caught.value.code == "busy"


# --- cards -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("card, member, kept", [
    ({"display_name": "A\nB\x07"}, "display_name", "AB"), ({"display_name": ""}, "display_name", "peer"),
    ({"display_name": "x" * 500}, "display_name", "x" * 200), ({"display_name": 5}, "display_name", "peer"),
    ({"endpoint_url": "http://192.0.2.1:8421/"}, "endpoint_url", "http://192.0.2.1:8421"),
    ({"endpoint_url": "http://192.0.2.1:8421"}, "stream_url", "http://192.0.2.1:8421/mesh/stream"),
    ({"endpoint_url": "javascript:alert(1)"}, "endpoint_url", ""), ({"endpoint_url": "file:///etc/passwd"}, "endpoint_url", ""),
    *[({"endpoint_url": url}, "endpoint_url", "") for url in (
        "http://192.0.2.1/reboot?x=", "http://192.0.2.1/#x", "http://user:word@192.0.2.1", "http://127.1:80", "http://[::1")],
    ({"endpoint_url": "http://192.0.2.1/mesh-one"}, "endpoint_url",
                                                           "http://192.0.2.1/mesh-one"),
    ({"stream_url": "http://192.0.2.1/x?y"}, "stream_url", ""),
    ({"endpoint_url": "http://a\r\nX: y"}, "endpoint_url", ""), ({"endpoint_url": "http://" + "a" * 3000}, "endpoint_url", ""),
    ({"capability_cards": [{"name": "python"}, "junk", 5]}, "capability_cards", [{"name": "python"}]),
    ({"capability_cards": [{"name": str(number)} for number in range(99)]}, "capability_cards",
     [{"name": str(number)} for number in range(64)]),
    ({"capability_cards": {}}, "capability_cards", []),
])
def test_what_a_card_claims_is_made_safe_to_keep(card: Members, member: str, kept: object) -> None:
    assert claims(card, "peer")[member] == kept


def test_a_card_without_end_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        claims({"display_name": "x", "rest": "y" * 70_000}, "peer")
    assert caught.value.message == "peer_card is larger than 65536 bytes"


def test_what_a_handshake_tells_of_agents_is_bounded() -> None:
    metadata = told({"device_profile": {"device_class": "light"}}, [{"agent_id": "a" * 30_000}] * 9, "none")
    assert len(metadata["remote_agent_presence"]) == 2 and metadata["remote_beacons"] == []
    assert metadata["remote_device_profile"]["device_class"] == "light"


@pytest.mark.parametrize("advertised, kept", [
    ("http://192.0.2.7:8421", "http://192.0.2.7:8421"), ("", "used"), ("http://0.0.0.0:8421", "used"),
    ("http://[::]:8421", "used"),
    ("http://127.0.0.1:8421", "used"), ("http://localhost:8421", "used"), ("http://[::1]:8421", "used"),
    ("http://box", "http://box"),
])
def test_an_address_that_leads_nowhere_from_here_gives_way_to_the_one_that_was_used(advertised: str, kept: str) -> None:
    assert reached(advertised, "used") == kept


# --- what peers tell -----------------------------------------------------------------------------------------------------------

def event(seq: Any, kind: Any = "mesh.job.completed", **more: Any) -> Members:
    return {"seq": seq, "id": f"e{seq}", "event_type": kind, "request_id": "", "payload": {}, "created_at": "", **more}


@pytest.mark.parametrize("events, cursor, seqs, next_cursor", [
    ([event(4), event(5)], 3, [4, 5], 5), ([event(2), event(3), event(4)], 3, [4], 4), ([], 3, [], 3), ("junk", 3, [], 3),
    ([event(5), event(4), event(6)], 0, [5, 6], 6), ([event("7"), event(True), event(-1), event(2**60), event(8)], 0, [8], 8),
    ([event(1, ""), event(2, 5), "junk", None], 0, [], 0), ([event(number) for number in range(1, 99)], 0, [1, 2, 3], 3),
])
def test_only_new_events_of_a_right_form_are_imported(events: object, cursor: int, seqs: list[int], next_cursor: int) -> None:
    read = imports.read({"events": events, "next_cursor": 999_999}, cursor, 3 if len(str(events)) > 2000 else 10)
    assert ([found["seq"] for found in read.events], read.next_cursor) == (seqs, next_cursor)


def test_a_payload_without_end_leaves_only_its_size() -> None:
    (kept,) = imports.read({"events": [event(1, payload={"x": "y" * 70_000})]}, 0, 5).events
    assert kept["payload"] == '{"truncated":true,"bytes":70008}'


@pytest.mark.parametrize("stream, cursor, known, reset, look", [
    ({"log_id": "a", "latest_seq": 9}, 5, "a", False, False), ({"log_id": "b", "latest_seq": 9}, 5, "a", True, False),
    ({"log_id": "a", "latest_seq": 4}, 5, "a", True, False), ({"log_id": "a", "latest_seq": 9}, 5, "", False, False),
    ({}, 5, "", False, True), ({}, 0, "", False, False), ({"events": [event(6)]}, 5, "", False, False),
    ({"latest_seq": "x"}, 5, "", False, True),
])
def test_a_log_that_has_begun_anew_is_noticed(stream: Members, cursor: int, known: str, reset: bool, look: bool) -> None:
    read = imports.read(stream, cursor, 5)
    assert (imports.was_reset(read, cursor, known), imports.must_look(read, cursor)) == (reset, look)


@pytest.mark.parametrize("agents, beacons, mode, status", [
    ([{"status": "active"}, {"status": "idle"}], [], "continuous", "active"), ([{"status": "idle"}], [], "continuous", "idle"),
    ([], [{}], "continuous", "idle"), ([], [], "continuous", "quiet"), ([], [], "intermittent", "intermittent_idle"),
])
def test_how_alive_a_peer_is(agents: list[Members], beacons: list[Members], mode: str, status: str) -> None:
    metadata = {"remote_agent_presence": agents, "remote_beacons": beacons}
    policy = {"mode": mode, "sleep_capable": False, "preferred_sync_interval_seconds": 30}
    found = imports.heartbeat(metadata, policy, "now")
    assert (found["status"], found["agent_count"], found["beacon_count"]) == (status, len(agents), len(beacons))


@pytest.mark.parametrize("metrics, expected", [
    ({}, {"pressure": "unknown", "queue_depth": 0, "utilization": None}),
    ({"counts": {"queued": 3, "inflight": 2}, "workers": {"total_slots": 4, "active_attempts": 1, "available_slots": 3},
      "pressure": "nominal",
      "backlog_ratio": 0.75}, {"queue_depth": 5, "utilization": 0.25, "available_slots": 3, "pressure": "nominal",
                               "backlog_ratio": 0.75}),
    ({"counts": {"queued": "many", "inflight": -1}, "workers": [], "backlog_ratio": "x"},
     {"queue_depth": 0, "backlog_ratio": None}),
    ("junk", {"queue_depth": 0, "pressure": "unknown"}),
])
def test_how_busy_a_peer_says_it_is(metrics: object, expected: Members) -> None:
    found = load({"remote_queue_metrics": metrics})
    assert {name: found[name] for name in expected} == expected


def test_what_a_card_leaves_out_follows_from_its_profile() -> None:
    shown = peer_json(a_peer(card={"device_profile": {"device_class": "light"}}))
    assert shown["habitat_roles"] == ["foundry", "vessel", "operator", "witness"] and shown["treaty_capabilities"] == {}
    assert shown["treaty_compatibility"]["advisory_state"] == "full" and shown["device_profile"]["form_factor"] == "phone"


# --- candidates of connect-all -------------------------------------------------------------------------------------

NOW = 1_800_000_000.0


@pytest.mark.parametrize("found, expected", [
    ([{"base_url": "http://a", "peer_id": "x"}], [("http://a", "x")]), ([{"base_url": "http://a/"}, {"base_url": "http://a"}],
                                                                        [("http://a", "")]),
    ([{"base_url": "ftp://a"}, {"base_url": ""}, {}], []), ([{"base_url": "http://own"}], []),
    ([{"base_url": "http://a", "peer_id": "me"}], []),
    ([{"base_url": "http://a", "status": "error", "last_error_at": "2027-01-15T07:00:00Z"}], [("http://a", "")]),
    ([{"base_url": "http://a", "status": "error", "last_error_at": "2027-01-13T07:00:00Z"}], []),
    ([{"base_url": "http://a", "status": "error", "last_error_at": "nonsense"}], []),
])
def test_which_candidates_are_worth_a_try(found: list[Members], expected: list[tuple[str, str]]) -> None:
    assert everyone.wanted_candidates(found, 10, "me", "http://own", NOW) == expected


@pytest.mark.parametrize("more, fresh", [
    ({"metadata": {"last_sync_at": "2027-01-15T07:56:00Z"}}, True), ({"metadata": {"last_sync_at": "2027-01-15T07:54:00Z"}},
                                                                     False),
    ({"metadata": {"last_sync_at": "2027-01-15T07:59:00Z", "last_sync_error": "x"}}, False), ({"metadata": {}}, False),
    ({"metadata": {"route_health": {"last_success_at": "2027-01-15T07:59:00Z"}}}, True),
    ({"metadata": {"last_sync_at": "2027-01-15T07:59:00Z"}, "status": "degraded"}, False),
    ({"metadata": {"last_sync_at": "2027-01-15T07:59:00Z"}, "public_key": ""}, False),
])
def test_a_peer_reached_within_five_minutes_is_not_tried_again(more: Members, fresh: bool) -> None:
    assert everyone.fresh(a_peer(**more), NOW) is fresh
