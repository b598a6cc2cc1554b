"""Capability grants: issued, shown, judged; and every way to cheat with one."""

from __future__ import annotations

import pytest

from ocp_node.base.clock import SetClock, instant_seconds, instant_text
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.crypto import base64url, canonical, grants
from ocp_node.crypto.identity import Identity

SERVER = Identity("beta-node", "Beta", b"\x02" * 32)
PULLER = Identity("alpha-node", "Alpha", b"\x03" * 32)
STRANGER = Identity("mallory", "Mallory", b"\x04" * 32)
CLOCK = SetClock(instant_seconds("2026-01-01T00:00:00Z"))
NOW = CLOCK.time()
SCOPE = {"action": "artifact.read", "artifact_id": "a-1", "digest": "ab" * 32, "max_uses": 2}
ASKED = grants.Asked(method="GET", path="/mesh/artifacts/a-1", artifact_id="a-1", digest="ab" * 32)


def issue(scope: dict | None = None, **terms: object) -> dict:
    settings = {"lifetime_seconds": 300, "now_seconds": NOW, "nonce": "n-1", **terms}
    return grants.issue(SERVER, "grant-1", "alpha-node", SCOPE if scope is None else scope, **settings)


def show(grant: dict, identity: Identity = PULLER, method: str = "GET", path: str = "/mesh/artifacts/a-1") -> grants.Presented:
    headers = grants.present(identity, grant, method, path, CLOCK, Ids())
    found = grants.read({name.lower(): value for name, value in headers.items()})
    assert found is not None
    return found


def judge(presented: grants.Presented, asked: grants.Asked = ASKED, *, key: str = PULLER.public_key_hex, tier: str = "trusted",
          now: float = NOW) -> str:
    return grants.rejection(presented, asked, SERVER.node_id, SERVER.public_key_hex, key, tier, now)


def test_a_grant_of_ours_opens_what_it_names():
    presented = show(issue())
    assert judge(presented) == ""
    assert (presented.grant_id, presented.subject_peer_id, presented.uses_max) == ("grant-1", "alpha-node", 2)
    assert len(presented.nonce) == 32
    assert grants.spent(presented, 1, revoked=False, nonce_used=False) == ""


def test_the_signature_is_over_the_grant_without_it():
    grant = issue()
    unsigned = {name: value for name, value in grant.items() if name != "signature"}
    assert grant["signature"] == SERVER.sign(canonical.mesh(unsigned)).hex()
    assert grant["issued_at"] == "2026-01-01T00:00:00Z" and grant["expires_at"] == "2026-01-01T00:05:00Z"
    assert grants.validate(grant, NOW)["status"] == "ok"


def test_a_grant_with_further_members_is_judged_with_them():
    grant = grants.sign(SERVER, {**issue(), "metadata": {"for": "backup"}})
    assert judge(show(grant)) == ""
    assert judge(show({**grant, "metadata": {}})) == "signature verification failed"


@pytest.mark.parametrize("uses, revoked, nonce_used, reason", [
    (0, False, False, ""), (1, False, False, ""), (2, False, False, "grant has no uses left"),
    (0, True, False, "grant is revoked"),
    (0, False, True, "proof was used before")])
def test_what_the_database_knows_can_use_a_grant_up(uses, revoked, nonce_used, reason):
    assert grants.spent(show(issue()), uses, revoked=revoked, nonce_used=nonce_used) == reason


def test_a_grant_without_a_count_is_good_once():
    presented = show(issue({"action": "artifact.read"}))
    assert judge(presented) == ""
    assert grants.spent(presented, 1, revoked=False, nonce_used=False) == "grant has no uses left"


@pytest.mark.parametrize("member, value", [
    ("subject_peer_id", "mallory"), ("expires_at", "2026-01-01T12:00:00Z"), ("scope", {"action": "artifact.read"}),
    ("grant_id", "grant-2"),
    ("signature", "00" * 64), ("nonce", "n-2"), ("added", 1)])
def test_a_tampered_grant_is_refused(member, value):
    assert judge(show({**issue(), member: value})) == "signature verification failed"


def test_a_grant_signed_by_someone_else_is_refused():
    forged = grants.sign(STRANGER, {**issue(), "nonce": "mine"})
    assert judge(show(forged)) == "signature verification failed"


@pytest.mark.parametrize("member", ["issuer_peer_id", "audience_peer_id"])
def test_only_the_serving_node_grants(member):
    grant = grants.sign(SERVER, {**issue(), member: "gamma-node"})
    assert judge(show(grant)) == "issuer and audience must be this node"


@pytest.mark.parametrize("seconds, reason",
                         [(0, ""), (299, ""), (300, "capability grant is expired"), (10**6, "capability grant is expired")])
def test_a_grant_ends_at_its_expiry(seconds, reason):
    headers = grants.present(PULLER, issue(), "GET", ASKED.path, SetClock(NOW + seconds), Ids())
    presented = grants.read({name.lower(): value for name, value in headers.items()})
    assert judge(presented, now=NOW + seconds) == reason


def test_a_grant_from_the_future_or_for_too_long_is_refused_even_with_our_signature():
    late = grants.sign(SERVER, {**issue(), "issued_at": instant_text(NOW + 301)})
    assert judge(show(late)) == "issued in the future"
    long = grants.sign(SERVER, {**issue(), "expires_at": instant_text(NOW + 86_401)})
    assert judge(show(long)) == "lifetime is longer than a day"
    none = grants.sign(SERVER, {**issue(), "issued_at": "soon"})
    assert judge(show(none)) == "issued_at must be an ISO-8601 timestamp"


@pytest.mark.parametrize("scope, asked, reason", [
    ({"action": "artifact.read", "artifact_id": "a-2"}, ASKED, "scope names another artifact"),
    ({"action": "artifact.read", "digest": "cd" * 32}, ASKED, "scope names another digest"),
    ({"action": "artifact.read", "digest": "sha256:" + "AB" * 32}, ASKED, ""),
    ({"action": "artifact.read", "path": "/mesh/artifacts/a-2"}, ASKED, "scope names another path"),
    ({"action": "artifact.read"}, ASKED, "")])
def test_a_scope_reaches_no_further_than_it_says(scope, asked, reason):
    assert judge(show(issue(scope)), asked) == reason


@pytest.mark.parametrize("scope, reason", [
    ({"action": "artifact.write"}, "scope action is not supported"),
    ({"action": "artifact.read", "constraints": {"ip": "x"}}, "scope constraints are not supported"),
    ({"action": "artifact.read", "max_uses": 0}, "scope max_uses must be an integer between 1 and 1000000"),
    ({"action": "artifact.read", "max_uses": True}, "scope max_uses must be an integer between 1 and 1000000"),
    ({"action": "artifact.read", "artifact_id": 5}, "scope members must be texts")])
def test_what_this_node_would_not_enforce_it_neither_issues_nor_accepts(scope, reason):
    with pytest.raises(Refusal) as caught:
        issue(scope)
    assert (caught.value.code, caught.value.message) == ("invalid_request", reason)
    assert judge(show(grants.sign(SERVER, {**issue(), "scope": scope}))) == reason


@pytest.mark.parametrize("seconds", [0, -1, 86_401])
def test_a_lifetime_is_at_most_a_day(seconds):
    with pytest.raises(Refusal):
        issue(lifetime_seconds=seconds)


def test_the_longest_lifetime_and_the_most_uses_are_taken():
    grant = issue({"action": "artifact.read", "max_uses": 1_000_000}, lifetime_seconds=86_400)
    assert judge(show(grant)) == "" and show(grant).uses_max == 1_000_000
    with pytest.raises(Refusal):
        issue({"action": "artifact.read", "max_uses": 1_000_001})


def test_a_time_that_is_far_too_long_is_no_time():
    assert judge(show(grants.sign(SERVER, {**issue(), "issued_at": "1" * 65}))) == "issued_at must be an ISO-8601 timestamp"


@pytest.mark.parametrize("subject, scope, text",
                         [("", SCOPE, "subject_peer_id is required"), ("alpha-node", {}, "scope action is required")])
def test_a_grant_needs_a_subject_and_an_action(subject, scope, text):
    with pytest.raises(Refusal) as caught:
        grants.issue(SERVER, "g", subject, scope, lifetime_seconds=60, now_seconds=NOW, nonce="n")
    assert caught.value.message == text


def test_a_stolen_grant_opens_nothing_without_the_subjects_key():
    assert judge(show(issue(), identity=STRANGER)) == "proof signature verification failed"


@pytest.mark.parametrize("key, tier, reason",
                         [("", "", "subject is not a known peer"),
                          (PULLER.public_key_hex, "blocked", "peer alpha-node is blocked"),
                          (STRANGER.public_key_hex, "trusted", "proof signature verification failed")])
def test_the_subject_must_be_a_known_peer_that_is_not_blocked(key, tier, reason):
    assert judge(show(issue()), key=key, tier=tier) == reason


@pytest.mark.parametrize("method, path", [("POST", "/mesh/artifacts/a-1"), ("GET", "/mesh/artifacts/a-2")])
def test_a_proof_is_for_one_request(method, path):
    assert judge(show(issue(), method=method, path=path)) == "proof is for another request"


def test_a_proof_for_another_grant_is_refused():
    other = show(grants.sign(SERVER, {**issue(), "grant_id": "grant-2"}))
    mixed = grants.Presented(grant=issue(), proof=other.proof)
    assert judge(mixed) == "proof is for another request"


@pytest.mark.parametrize("seconds, reason",
                         [(300, ""), (301, "proof has a stale or future timestamp"),
                          (-301, "proof has a stale or future timestamp")])
def test_a_proof_is_fresh(seconds, reason):
    grant = grants.sign(SERVER, {**issue(lifetime_seconds=3600), "issued_at": instant_text(NOW - 600)})
    assert judge(show(grant), now=NOW + seconds) == reason


@pytest.mark.parametrize("nonce", ["", " ", "n" * 129, None, 5])
def test_a_proof_needs_a_bounded_nonce(nonce):
    presented = show(issue())
    proof = {**presented.proof, "nonce": nonce}
    assert judge(grants.Presented(grant=presented.grant, proof=proof)) == "proof nonce is missing or too long"


def test_a_request_without_the_header_shows_no_grant():
    assert grants.read({}) is None
    assert grants.read({"x-ocp-grant-proof": "e30"}) is None


@pytest.mark.parametrize("grant, proof, reason", [
    ("e30", "", "the proof is missing"), ("%%%", "e30", "the grant cannot be read"), ("e30", "!!", "the proof cannot be read"),
    ("W10", "e30", "the grant cannot be read"), ("e30", base64url.encode(b'{"a":1,"a":2}'), "the proof cannot be read"),
    ("e30" * 4000, "e30", "the grant cannot be read"), (base64url.encode(b"[" * 200), "e30", "the grant cannot be read")])
def test_headers_that_cannot_be_read_are_refused_with_a_reason(grant, proof, reason):
    with pytest.raises(Refusal) as caught:
        grants.read({"x-ocp-capability-grant": grant, "x-ocp-grant-proof": proof})
    assert (caught.value.code, caught.value.message) == ("unauthorized", reason)


def test_an_empty_grant_is_rejected_not_a_fault():
    assert judge(grants.Presented(grant={}, proof={})) == "required field is missing"
    odd = {**issue(), "grant_id": ["x"], "scope": {"action": "artifact.read"}}
    assert judge(grants.Presented(grant=odd, proof={})) == "signature verification failed"


CAPTURED = {"grant_id": "grant-1", "issuer_peer_id": "beta-node", "subject_peer_id": "alpha-node",
            "audience_peer_id": "beta-node",
            "scope": {"action": "artifact.read", "artifact_id": "b4ad44eb-4f47-48f4-8361-bb660b794f7e"},
            "issued_at": "2026-11-21T21:17:41Z", "expires_at": "2026-11-21T21:22:41Z", "nonce": "n-1",
            "signature_scheme": "ed25519-sha512-v1", "signature": "sig"}
THEN = instant_seconds("2026-11-21T21:18:00Z")


@pytest.mark.parametrize("changes, status, issues", [
    ({}, "ok", []),
    ({"signature": ""}, "invalid", [("signature", "required field is missing")]),
    ({"grant_id": None, "nonce": None}, "invalid", [("grant_id", "required field is missing")]),
    ({"scope": "artifact.read"}, "invalid", [("scope", "scope must be an object")]),
    ({"scope": {"action": " "}}, "invalid", [("scope.action", "scope action is required")]),
    ({"scope": {}}, "invalid", [("scope.action", "scope action is required")]),
    ({"expires_at": "never"}, "invalid", [("expires_at", "expires_at must be an ISO-8601 timestamp")]),
    ({"expires_at": 5}, "invalid", [("expires_at", "expires_at must be an ISO-8601 timestamp")]),
    ({"expires_at": "2026-11-21T21:18:00Z"}, "expired", [("expires_at", "capability grant is expired")]),
    ({"expires_at": "2026-11-21T21:18:01"}, "ok", []),
    ({"expires_at": "2026-11-21T21:17:00", "signature": ""}, "expired",
     [("signature", "required field is missing"), ("expires_at", "capability grant is expired")])])
def test_the_report_on_a_grants_shape(changes, status, issues):
    report = grants.validate({**CAPTURED, **changes}, THEN)
    assert report["status"] == status
    assert [(issue["path"], issue["message"]) for issue in report["issues"]] == issues


def test_the_report_repeats_the_grants_terms_and_no_secret():
    report = grants.validate(CAPTURED, THEN)
    assert list(report) == ["status", "grant_id", "issuer_peer_id", "subject_peer_id", "audience_peer_id", "scope", "expires_at",
                            "issues"]


def test_a_redacted_grant_keeps_its_terms_and_loses_its_secrets():
    assert grants.redacted(CAPTURED) == {
        "type": "capability_grant", "status": "declared", "redacted": True, "grant_id": "grant-1", "issuer_peer_id": "beta-node",
        "subject_peer_id": "alpha-node", "audience_peer_id": "beta-node", "scope": CAPTURED["scope"],
        "expires_at": CAPTURED["expires_at"]}
    assert grants.redacted({"grant_id": "g", "scope": {}, "token": "t"}, "used") == {
        "type": "capability_grant", "status": "used", "redacted": True, "grant_id": "g"}
