"""Every example of the four messages that are built, and every case of transport, at a real node."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from tests.support.node import TrialNode

EXAMPLES = json.loads((Path(__file__).parent.parent / "data/oscp/examples.json").read_text())
BUILT = ("register", "handshake", "handshake_acknowledge", "heartbeat")
NAMES = itertools.count()
HEARTBEAT = {"offline_mode_at": "2099-01-01T00:00:00Z"}


class Trial:
    """A node, and a party at each of its bases that presents a good token."""

    def __init__(self, folder):
        self.node = TrialNode(folder, oscp_public_base="http://node.internal:8421")
        self.parties = self.node.rooms["oscp.parties"]

    def party(self, local_role, peer_role):
        """A registered party and its token."""
        def change(connection):
            party = self.parties.new(local_role, peer_role, f"party {next(NAMES)}")
            party = self.parties.put(connection, party._replace(state="REGISTERED", base_url="http://127.0.0.1:9/oscp", version="2.0"), "their-token")
            return party, self.parties.issue(connection, party, "IN")

        return self.node.core.writer.run(change)

    def send(self, path, token, body=HEARTBEAT, headers=None, method="POST", raw=None):
        sent = {"Authorization": f"Token {token}", "X-Request-ID": f"r-{next(NAMES)}", "Content-Type": "application/json", **(headers or {})}
        sent = {name: text for name, text in sent.items() if text is not None}
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        return self.node.request(method, path, None, sent, raw=data)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    made = Trial(tmp_path_factory.mktemp("oscp"))
    yield made
    made.node.stop()


BASES = [("fp", "cp"), ("cp", "fp"), ("co", "fp"), ("fp", "co")]
CASES = [pytest.param(endpoint, kind, case, base, id=f"{endpoint} at {base[0]}: {case['name']}")
         for endpoint in BUILT for kind in ("valid", "invalid") for case in EXAMPLES["endpoints"][endpoint][kind] for base in BASES
         if case["name"] != "token A used a second time"]       # has a test of its own


@pytest.mark.parametrize("endpoint, kind, case, base", CASES)
def test_an_example_is_answered_as_the_protocol_says(trial, endpoint, kind, case, base):
    party, token = trial.party(*base)
    headers = {name: text for name, text in case.get("headers", {}).items() if text is None or "<" not in text}
    method = "DELETE" if case["name"].startswith("DELETE") else "POST"
    answer = trial.send(f"/oscp/{base[0]}/2.0/{endpoint}", token, case.get("body"), headers, method)
    assert answer.status == case.get("status", 204), answer
    if answer.status == 204:
        assert answer.body == b"" and "content-type" not in answer.headers and answer.headers["x-request-id"]
    else:
        assert answer.json["message"] and len(answer.json["message"]) <= 500 and token not in answer.text


def test_an_unsupported_interval_has_exactly_its_message(trial):
    _, token = trial.party("fp", "cp")
    answer = trial.send("/oscp/fp/2.0/handshake", token, {"required_behaviour": {"heartbeat_interval": 100000, "measurement_configuration": []}})
    assert answer.json == {"message": "Unsupported heartbeat interval", "code": "invalid_request"}


TRANSPORT = [case for case in EXAMPLES["transport"] if case["name"] not in
             ("NaN", "11th request at one path within a second after the burst of 20 is used", "same X-Request-ID and body again",
              "same X-Request-ID, other body", "token of a peer of another role at this base", "body above 1 MiB", "unknown path below the base")]


@pytest.mark.parametrize("case", TRANSPORT, ids=[case["name"] for case in TRANSPORT])
def test_a_case_of_transport(trial, case):
    _, token = trial.party("fp", "cp")
    name = case["name"]
    path = case.get("path", "<base>/heartbeat").replace("<base>", "/oscp/fp/2.0")
    body = {"required_behaviour": {"heartbeat_interval": 5, "measurement_configuration": []}} if "acknowledg" in path else HEARTBEAT
    path = "/oscp/fp/2.0/register" if name == "GET on register" else path
    headers = {header: text and text.replace("PEER-TOKEN", token) for header, text in case.get("headers", {}).items()}
    raw = bytes.fromhex(case["raw_hex"]) if "raw_hex" in case else case["raw"].encode() if "raw" in case else None
    answer = trial.send(path, token, body, headers, "GET" if name.startswith("GET") else "POST", raw)
    assert answer.status == case["status"], answer
    if "allow" in case:
        assert answer.headers["allow"] == case["allow"]
    if answer.status == 401:
        assert answer.headers["www-authenticate"] == 'Token realm="oscp"' and answer.json["message"] == "Unauthorized"


def test_what_is_not_json_or_too_large_or_unknown_is_refused(trial):
    _, token = trial.party("fp", "cp")
    assert trial.send("/oscp/fp/2.0/heartbeat", token, raw=b'{"offline_mode_at": NaN}').status == 400
    assert trial.send("/oscp/fp/2.0/heartbeat", token, raw=b"x" * (1 << 20) + b"x").status == 413
    assert trial.send("/oscp/fp/2.0/nothing", token).status == 404


def test_a_repeat_is_answered_as_before_and_another_body_under_its_name_is_refused(trial):
    party, token = trial.party("fp", "cp")
    ours = {"X-Request-ID": "the-same"}
    messages = len(trial.node.get(f"/oscp/admin/v1/messages?peer={party.id}").json["messages"])
    first = trial.send("/oscp/fp/2.0/heartbeat", token, headers=ours)
    again = trial.send("/oscp/fp/2.0/heartbeat", token, headers=ours)
    other = trial.send("/oscp/fp/2.0/heartbeat", token, {"offline_mode_at": "2098-01-01T00:00:00Z"}, ours)
    assert (first.status, again.status, other.status) == (204, 204, 409)
    assert len(trial.node.get(f"/oscp/admin/v1/messages?peer={party.id}").json["messages"]) == messages + 1


def test_a_flood_of_one_party_is_told_to_come_back(trial):
    _, token = trial.party("fp", "cp")
    statuses = [trial.send("/oscp/fp/2.0/heartbeat", token).status for _ in range(21)]
    assert statuses == [204] * 20 + [429]
    _, other = trial.party("fp", "cp")
    assert trial.send("/oscp/fp/2.0/heartbeat", other).status == 204


def test_a_token_opens_one_base_alone(trial):
    _, token = trial.party("fp", "cp")
    assert trial.send("/oscp/cp/2.0/heartbeat", token).status == 403
    assert trial.send("/oscp/fp/2.0/heartbeat", "guessed").status == 401


def test_strangers_are_slowed_down_before_anything_is_looked_up(tmp_path):
    trial = Trial(tmp_path)
    try:
        statuses = [trial.send("/oscp/fp/2.0/heartbeat", "guessed").status for _ in range(22)]
        assert statuses == [401] * 20 + [429] * 2
    finally:
        trial.node.stop()


def test_no_token_is_kept_or_shown_in_clear(trial):
    party, token = trial.party("fp", "cp")
    trial.send("/oscp/fp/2.0/register", token, {"token": "a-very-secret-token", "version_url": [{"version": "2.0", "base_url": "http://10.0.0.9/oscp"}]},
               {"X-Correlation-ID": "x"})
    shown = trial.node.get(f"/oscp/admin/v1/peers/{party.id}").text + trial.node.get("/oscp/admin/v1/messages").text
    stored = b"".join(path.read_bytes() for path in trial.node.folder.glob("ocp.db*"))
    assert "a-very-secret-token" not in shown and token not in shown
    assert b"a-very-secret-token" not in stored and token.encode() not in stored


def test_a_first_token_is_void_once_the_reply_was_taken_but_its_repeat_is_still_answered(trial):
    party, _ = trial.party("fp", "cp")
    parties = trial.parties
    token_a = trial.node.core.writer.run(lambda connection: parties.issue(connection, party, "A", trial.node.clock.time() + 100))
    trial.node.core.writer.run(lambda connection: parties.put(connection, party._replace(state="INVITED")))
    body = {"token": "their-token", "version_url": [{"version": "2.0", "base_url": "http://127.0.0.1:9/oscp"}]}
    assert trial.send("/oscp/fp/2.0/register", token_a, body, {"X-Request-ID": "first"}).status == 204
    trial.node.core.writer.run(lambda connection: parties.void(connection, party.id, ("A",)))
    assert trial.send("/oscp/fp/2.0/register", token_a, body, {"X-Request-ID": "second"}).status == 401
    assert trial.send("/oscp/fp/2.0/register", token_a, body, {"X-Request-ID": "first"}).status == 204


def test_who_begins_anew_is_answered_also_right_after_it_registered_but_once_a_minute(tmp_path, monkeypatch):
    trial, answered = Trial(tmp_path), []
    calls = trial.node.rooms["oscp.calls"]
    monkeypatch.setattr(calls, "add", lambda connection, party, endpoint, body, **more: endpoint == "register"
                        and answered.append(more["correlation"]))
    offer = {"version_url": [{"version": "2.0", "base_url": "http://127.0.0.1:9/oscp"}]}

    def register(token, name):
        assert trial.send("/oscp/fp/2.0/register", token, {"token": f"token-of-{name}", **offer}, {"X-Request-ID": name}).status == 204

    try:
        made = trial.node.post("/oscp/admin/v1/peers", {"local_role": "fp", "peer_role": "cp", "name": "x"}).json
        register(made["token_a"], "first")
        current = trial.node.core.writer.run(lambda connection: trial.parties.issue(connection, trial.parties.put(
            connection, trial.parties.by_id[made["id"]]._replace(state="REGISTERED")), "IN"))
        for name in ("anew", "too-soon"):
            register(current, name)
        trial.node.advance(61)
        register(current, "again")
        assert answered == ["first", "anew", "again"]
        assert trial.parties.token_out(made["id"]) == "token-of-again"
    finally:
        trial.node.stop()


def test_who_begins_anew_is_shaken_hands_with_again_without_being_asked(tmp_path):
    trial = Trial(tmp_path)
    body = {"token": "their-token", "version_url": [{"version": "2.0", "base_url": "http://127.0.0.1:9/oscp"}]}
    try:
        party, token = trial.party("cp", "fp")
        now = trial.node.clock.time()
        trial.node.core.writer.run(lambda connection: trial.parties.put(connection, party._replace(
            handshake_id="before", handshake_at=now, acknowledged_at=now, our_interval=30.0)))
        for method, state in (("POST", "REGISTERED"), ("PUT", "AUTH_FAILED")):
            trial.node.core.writer.run(lambda connection, state=state: trial.parties.put(
                connection, trial.parties.by_id[party.id]._replace(state=state, handshake_id="before", acknowledged_at=now)))
            assert trial.send("/oscp/cp/2.0/register", token, body, method=method).status == 204
            trial.node.until(lambda: trial.parties.by_id[party.id].handshake_id not in ("", "before"), "a new handshake")
    finally:
        trial.node.stop()


def test_who_shook_hands_with_us_and_never_beats_is_offline(tmp_path):
    trial = Trial(tmp_path)
    try:
        trial.node.advance(60)
        party, token = trial.party("fp", "cp")
        body = {"required_behaviour": {"heartbeat_interval": 30, "measurement_configuration": []}}
        assert trial.send("/oscp/fp/2.0/handshake", token, body).status == 204
        trial.node.advance(99)
        trial.node.rooms["oscp.heartbeat"].step()
        assert trial.parties.by_id[party.id].liveness == "UNKNOWN"
        trial.node.advance(2)
        trial.node.rooms["oscp.heartbeat"].step()
        trial.node.until(lambda: trial.parties.by_id[party.id].liveness == "OFFLINE", "the silence")
    finally:
        trial.node.stop()


def test_a_first_token_is_good_once_and_for_a_week(tmp_path):
    trial = Trial(tmp_path)
    try:
        made = trial.node.post("/oscp/admin/v1/peers", {"local_role": "fp", "peer_role": "cp", "name": "x"}).json
        body = {"token": "their-token", "version_url": [{"version": "2.0", "base_url": "http://127.0.0.1:9/oscp"}]}
        assert trial.send("/oscp/fp/2.0/heartbeat", made["token_a"]).status == 403
        trial.node.advance(8 * 86_400)
        assert trial.send("/oscp/fp/2.0/register", made["token_a"], body).status == 401
    finally:
        trial.node.stop()


@pytest.mark.parametrize("silent_seconds, liveness", [(25.0, "ONLINE"), (31.0, "OFFLINE")])
def test_a_party_is_offline_once_its_own_deadline_has_passed(tmp_path, silent_seconds, liveness):
    from ocp_node.oscp import times
    trial = Trial(tmp_path)
    try:
        trial.node.advance(60)
        party, token = trial.party("fp", "cp")
        answer = trial.send("/oscp/fp/2.0/heartbeat", token, {"offline_mode_at": times.text(trial.node.clock.time() + 30)})
        assert answer.status == 204 and trial.parties.by_id[party.id].liveness == "ONLINE"
        trial.node.advance(silent_seconds)
        trial.node.rooms["oscp.heartbeat"].step()
        assert trial.parties.by_id[party.id].liveness == liveness or trial.node.until(lambda: trial.parties.by_id[party.id].liveness == liveness)
    finally:
        trial.node.stop()
