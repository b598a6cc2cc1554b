"""Registration, retries, handshakes and times as tables."""

from __future__ import annotations

import itertools

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.oscp import times
from ocp_node.oscp.calls import rules as calls
from ocp_node.oscp.handshake import rules as handshakes
from ocp_node.oscp.heartbeat import rules as heartbeats
from ocp_node.oscp.parties import rules
from ocp_node.oscp.parties.records import Party, Token

PARTY = Party("id", "fp", "cp", "name", "REGISTERED", "", "")
TOKEN = Token("h", "id", "IN", 0.0, 0.0)
EVENTS = sorted({event for _, event in rules.STEPS})


@pytest.mark.parametrize("state, event", list(itertools.product(rules.STATES, EVENTS)))
def test_every_state_knows_every_event_or_refuses_it(state, event):
    party = PARTY._replace(state=state)
    if (state, event) in rules.STEPS:
        assert rules.step(party, event) in rules.STATES
    else:
        with pytest.raises(Refusal):
            rules.step(party, event)


@pytest.mark.parametrize("token, state, endpoint, why", [
    (TOKEN, "REGISTERED", "heartbeat", ""), (TOKEN, "REPLYING", "heartbeat", ""), (TOKEN, "AUTH_FAILED", "register", ""),
    (TOKEN, "CONNECTING", "register", ""), (TOKEN, "CONNECTING", "heartbeat", "not_registered"), (TOKEN, "FAILED", "heartbeat", "unauthorized"),
    (TOKEN, "UNREGISTERED", "register", "unauthorized"), (TOKEN._replace(kind="A"), "INVITED", "register", ""),
    (TOKEN._replace(kind="A"), "INVITED", "handshake", "not_registered"), (TOKEN._replace(kind="A", expires_at=50.0), "INVITED", "register", "unauthorized"),
    (TOKEN._replace(void_at=90.0), "REGISTERED", "heartbeat", "unauthorized"), (TOKEN._replace(void_at=90.0), "UNREGISTERED", "register", "")])
def test_what_a_token_opens(token, state, endpoint, why):
    assert rules.opens(token, PARTY._replace(state=state), endpoint, 100.0) == why


@pytest.mark.parametrize("header, token", [("Token abc", "abc"), ("token abc", "abc"), ("BEARER abc", "abc"), ("abc", ""), ("Basic abc", ""), ("Token", ""),
                                           ("Token a b", ""), ("Token \xe4", ""), ("", "")])
def test_only_a_token_after_a_known_scheme_is_one(header, token):
    assert rules.presented(header) == token


@pytest.mark.parametrize("url, good", [
    ("https://cp.example.org/oscp/cp/2.0/", True), ("http://192.168.1.9:8421/oscp", True), ("http://localhost/oscp", True), ("http://meter.local/oscp", True),
    ("http://cp.example.org/oscp", False), ("/oscp/cp/2.0", False), ("ftp://x/oscp", False), ("https://u:p@x/oscp", False), ("https://x/oscp?a=1", False),
    ("https://x/oscp#f", False), ("https://169.254.169.254/latest", False), ("https://[fe80::1]/oscp", False), ("https://0.0.0.0/oscp", False),
    ("https://me.example/oscp/fp/2.0", False), ("https://224.0.0.1/x", False)])
def test_where_a_party_may_live(url, good):
    if good:
        assert not rules.base_url(url, ["https://me.example/oscp/fp/2.0"]).endswith("/")
    else:
        with pytest.raises(Refusal):
            rules.base_url(url, ["https://me.example/oscp/fp/2.0"])


def test_only_listed_hosts_are_called_when_there_is_a_list():
    with pytest.raises(Refusal):
        rules.base_url("https://other.example/x", [], hosts=["one.example"])
    assert rules.base_url("https://ONE.example/x", [], hosts=["one.example"])


def test_the_first_entry_of_a_common_version_is_taken():
    assert rules.chosen([("2.1", "a"), ("2.0", "b"), ("2.0", "c")]) == "b"
    with pytest.raises(Refusal) as caught:
        rules.chosen([("1.0", "a")])
    assert caught.value.message == "no common OSCP version; supported: 2.0"


CALL = calls.Call(1, "id", "update_group_capacity_forecast", "POST", "", "r", "", 0.0, 1e9, 0)


@pytest.mark.parametrize("call, status, what, least, most", [
    (CALL, 204, "sent", 0, 0), (CALL, 500, "again", 0.5, 1.0), (CALL._replace(attempts=3), 503, "again", 4.0, 8.0), (CALL._replace(attempts=7), 503, "drop", 0, 0),
    (CALL, 0, "again", 0.5, 1.0), (CALL, 400, "drop", 0, 0), (CALL, 401, "auth", 0, 0), (CALL, 403, "auth", 0, 0), (CALL, 404, "drop", 0, 0),
    (CALL._replace(endpoint="handshake_acknowledge"), 404, "alias", 0, 0), (CALL._replace(endpoint="register"), 500, "drop", 0, 0),
    (CALL._replace(endpoint="register", correlation="q"), 500, "again", 5, 5), (CALL._replace(endpoint="register", correlation="q", attempts=1), 0, "again", 15, 15),
    (CALL._replace(endpoint="register", correlation="q", attempts=2), 0, "drop", 0, 0), (CALL._replace(expires_at=0.2), 500, "drop", 0, 0)])
def test_when_a_call_is_sent_again(call, status, what, least, most):
    for chance in (0.0, 0.5, 1.0):
        verdict = calls.verdict(call, status, 0.0, chance, 0.0)
        assert verdict.what == what and least <= verdict.seconds <= most


def test_a_peer_may_ask_for_a_longer_pause_but_not_for_ever():
    assert calls.verdict(CALL, 429, 30.0, 0.5, 0.0).seconds == 30.0
    assert calls.verdict(CALL, 429, 1e6, 0.5, 0.0).seconds == calls.RETRY_AFTER_SECONDS_MAX


@pytest.mark.parametrize("roles, dialect, begins", [(("cp", "fp"), "", True), (("fp", "co"), "", True), (("fp", "cp"), "", False), (("co", "fp"), "", False),
                                                    (("fp", "cp"), "pyoscp", True)])
def test_who_starts_handshakes(roles, dialect, begins):
    assert handshakes.starts(PARTY._replace(local_role=roles[0], peer_role=roles[1], dialect=dialect)) is begins


@pytest.mark.parametrize("handshakes_sent, wait", [(1, 30), (2, 60), (3, 120), (4, 240), (5, 300), (9, 300)])
def test_an_unanswered_handshake_is_repeated_ever_more_slowly(handshakes_sent, wait):
    party = PARTY._replace(local_role="cp", peer_role="fp", handshake_at=100.0, handshakes=handshakes_sent, our_interval=30.0)
    assert handshakes.due_seconds(party, 100.0, 30.0) == wait and handshakes.due_seconds(party, 100.0 + wait, 30.0) == 0


@pytest.mark.parametrize("members, interval, due", [
    ({"acknowledged_at": 101.0}, 30.0, False), ({"acknowledged_at": 101.0}, 60.0, True), ({"handshakes": handshakes.REFUSED}, 30.0, False),
    ({"handshakes": handshakes.REFUSED}, 60.0, True), ({"handshake_at": 0.0}, 30.0, True),
    ({"acknowledged_at": 101.0, "state": "AUTH_FAILED"}, 60.0, False)])
def test_a_handshake_is_due_when_nothing_is_agreed_or_our_requirements_have_changed(members, interval, due):
    party = PARTY._replace(**{"local_role": "cp", "peer_role": "fp", "handshake_at": 100.0, "handshakes": 1, "our_interval": 30.0, **members})
    assert (handshakes.due_seconds(party, 1e6, interval) == 0) is due


@pytest.mark.parametrize("state, event, begins", [
    ("CONNECTING", "replied", True), ("REPLYING", "taken", True), ("REGISTERED", "registers", True), ("AUTH_FAILED", "registers", True),
    ("AUTH_FAILED", "replied", True), ("AUTH_FAILED", "replaced", True), ("AUTH_FAILED", "retry", True),
    ("REGISTERED", "replied", False), ("REGISTERED", "replaced", False), ("REGISTERED", "refused", False)])
def test_who_begins_anew_or_knows_us_again_is_agreed_with_again(state, event, begins):
    agreed = PARTY._replace(state=state, handshake_id="h", handshake_at=100.0, acknowledged_at=101.0, handshakes=1)
    after = rules.after(agreed, event)
    assert after == (rules.afresh(agreed) if begins else agreed)._replace(state=rules.step(agreed, event))


@pytest.mark.parametrize("at, now, result", [(1000.0, 900.0, 1000.0), (850.0, 900.0, 901.0), (1e9, 900.0, 900.0 + 86_400)])
def test_a_deadline_is_taken_within_reason(at, now, result):
    assert heartbeats.deadline(at, now) == result


def test_a_deadline_far_in_the_past_is_refused():
    with pytest.raises(Refusal) as caught:
        heartbeats.deadline(800.0, 900.0)
    assert caught.value.message == "offline_mode_at must be in the future"


@pytest.mark.parametrize("party, now, state", [
    (PARTY._replace(offline_at=100.0, liveness="ONLINE"), 99.0, "ONLINE"), (PARTY._replace(offline_at=100.0, liveness="ONLINE"), 100.0, "OFFLINE"),
    (PARTY._replace(our_interval=10.0, agreed_at=50.0), 89.0, "UNKNOWN"), (PARTY._replace(our_interval=10.0, agreed_at=50.0), 91.0, "OFFLINE"),
    (PARTY, 1e9, "UNKNOWN"), (PARTY._replace(liveness="OFFLINE", offline_at=200.0, online_after=102.0), 101.0, "OFFLINE"),
    (PARTY._replace(liveness="OFFLINE", offline_at=200.0, online_after=102.0), 103.0, "ONLINE"),
    (PARTY._replace(liveness="OFFLINE", offline_at=101.0, online_after=102.0), 103.0, "OFFLINE")])
def test_liveness_by_time(party, now, state):
    assert heartbeats.next_state(party, now)[0] == state


AWAY = PARTY._replace(liveness="OFFLINE", offline_at=50.0, acknowledged_at=10.0, agreed_at=10.0, our_interval=10.0)


def test_an_offline_time_ends_by_a_heartbeat_or_by_a_handshake_as_the_operator_wants():
    by_heartbeat = heartbeats.beaten(AWAY, 200.0, 100.0, True)
    assert heartbeats.next_state(by_heartbeat, 103.0)[0] == "ONLINE" and heartbeats.next_state(heartbeats.agreed(AWAY, 100.0, False), 103.0)[0] == "OFFLINE"
    waiting = heartbeats.beaten(AWAY, 200.0, 100.0, False)
    assert heartbeats.next_state(waiting, 103.0)[0] == "OFFLINE" and waiting == rules.afresh(waiting)
    back = heartbeats.agreed(waiting, 104.0, True)
    assert [heartbeats.next_state(back, at)[0] for at in (105.0, 107.0)] == ["OFFLINE", "ONLINE"]
    silent = heartbeats.agreed(AWAY, 100.0, True)
    assert heartbeats.next_state(silent, 103.0) == ("ONLINE", 37.0), "it has three intervals and ten seconds for its first heartbeat"


@pytest.mark.parametrize("text, seconds", [
    ("1970-01-01T00:00:10Z", 10.0), ("1970-01-01t00:00:10.5z", 10.5), ("1970-01-01 01:00:10+01:00", 10.0), ("1969-12-31T23:00:10-01:00", 10.0),
    ("1970-01-01T00:00:60Z", 60.0), ("1970-01-01T00:00:10.1234567Z", 10.123456)])
def test_instants_that_are_read(text, seconds):
    assert times.seconds(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("text", ["1970-01-01T00:00:10", "1970-01-01T00:00Z", "19700101T000010Z", "1970-W01-1T00:00:10Z", "10", "", "1970-02-30T00:00:10Z",
                                  "1970-01-01T24:00:00Z", "1970-01-01T00:61:00Z", "1970-01-01T00:00:10+24:00", "1970-01-01T00:00:10Z\n", "soon"])
def test_texts_that_are_no_instants(text):
    assert not times.is_instant(text)


def test_times_are_written_in_one_form():
    assert times.text(10.0) == "1970-01-01T00:00:10Z" and times.text(10.25) == "1970-01-01T00:00:10.250Z"
    assert times.text(10.0, naive_offset_minutes=60) == "1970-01-01 01:00:10"
    assert times.seconds(times.with_zone("1970-01-01 01:00:10", 60)) == 10.0
