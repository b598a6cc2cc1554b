"""Signed envelopes: the captured vectors, the order of checks with their texts, and the attacks."""

from __future__ import annotations

import copy

import pytest

from ocp_node.base import jsontext
from ocp_node.base.clock import SetClock, instant_seconds
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import CountedIds, Ids
from ocp_node.crypto import canonical, envelopes, keys
from ocp_node.crypto.identity import Identity
from tests.support.vectors import load

VECTORS = load("mesh", "envelope_vectors")
SEEDS = {key["node_id"]: bytes.fromhex(key["seed_hex"]) for key in VECTORS["keys"]}
CLOCK = SetClock(instant_seconds("2026-01-01T00:00:00Z"))
NOW = CLOCK.time()
ALPHA = Identity("alpha-node", "Alpha", SEEDS["alpha-node"])
BETA = Identity("beta-node", "Beta", SEEDS["beta-node"])
ROUTE = "/mesh/agents/handoff"


def fresh(identity: Identity = ALPHA, route: str = ROUTE, body: dict | None = None) -> dict:
    return envelopes.sign_envelope(identity, route, body if body is not None else {"a": 1}, CLOCK, Ids())


def refused(act) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        act()
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("case", VECTORS["vectors"], ids=lambda case: case["id"])
def test_the_vectors_have_these_bytes_and_signatures(case):
    envelope = jsontext.parse(jsontext.compact(case["envelope"]))
    message = envelopes.signed_bytes(case["route"], envelope["request"], envelope["body"])
    assert message.decode("ascii") == case["canonical_utf8"]
    assert len(message) == case["canonical_length"]
    assert keys.sign(bytes.fromhex(case["seed_hex"]), message).hex() == case["signature_hex"] == envelope["request"]["signature"]
    signed = envelopes.check_shape(envelope, instant_seconds(envelope["request"]["timestamp"]))
    envelopes.check_signature(signed, case["route"], case["public_key_hex"])


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda case: case["id"])
def test_the_negative_vectors_fail_as_envelopes_too(case):
    message = jsontext.parse(case["message_utf8"].encode())
    envelope = copy.deepcopy(VECTORS["vectors"][0]["envelope"])
    envelope["request"]["signature"] = case["signature_hex"]
    signed = envelopes.check_shape(envelope, NOW)
    code, text = refused(lambda: envelopes.check_signature(signed, message["route"], case["public_key_hex"]))
    assert (code, text) == ("bad_signature", "signature verification failed")


def test_the_artifact_publish_vector_of_the_protocol():
    sender = Identity("tester-node", "Tester", b"\x01" * 32)
    request = {"node_id": "tester-node", "nonce": "nonce-1", "protocol_version": "sovereign-mesh/v1", "request_id": "req-1",
               "timestamp": "2026-01-01T00:00:00Z"}
    message = envelopes.signed_bytes("/mesh/artifacts/publish", request, {"artifact": {"content": "hello"}})
    assert sender.public_key_hex == "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
    assert sender.sign(message).hex() == ("b92001ecf9f682662aab89403b4e61ee8bca1cf0ecf4ea98c23ebfd34d78a797"
                                          "f95567fed0d4afc0154a69cc94fdc863ceb237ae16a2c96f4bdff0565196b50b")


def test_an_envelope_of_ours_has_every_member_and_verifies():
    envelope = envelopes.sign_envelope(ALPHA, ROUTE, {"x": [1.0, "ż"]}, CLOCK, CountedIds())
    assert list(envelope) == ["request", "body"]
    assert {name: value for name, value in envelope["request"].items() if name != "signature"} == {
        "node_id": "alpha-node", "timestamp": "2026-01-01T00:00:00Z", "nonce": "0" * 31 + "1", "request_id": "0" * 31 + "2",
        "protocol_family": "OCP", "protocol_release": "0.1", "implementation": "Sovereign Mesh",
        "protocol_version": "sovereign-mesh/v1", "signature_scheme": "ed25519-sha512-v1"}
    signed = envelopes.check_shape(jsontext.parse(jsontext.compact(envelope)), NOW)
    envelopes.check_signature(signed, ROUTE, ALPHA.public_key_hex)
    assert not signed.foreign_family


def test_a_given_request_id_is_kept_and_the_nonce_is_new_each_time():
    first = envelopes.sign_envelope(ALPHA, ROUTE, {}, CLOCK, Ids(), request_id="again")
    second = envelopes.sign_envelope(ALPHA, ROUTE, {}, CLOCK, Ids(), request_id="again")
    assert first["request"]["request_id"] == second["request"]["request_id"] == "again"
    assert first["request"]["nonce"] != second["request"]["nonce"]


# Each step breaks the envelope further down: the first broken thing is the one named.
ORDER = [
    ("request", {}, "invalid_request", "request metadata is required"),
    ("node_id", "  ", "invalid_request", "node_id is required"),
    ("protocol_version", "sovereign-mesh/v2", "invalid_request", "unsupported mesh protocol version"),
    ("signature_scheme", "rsa", "invalid_request", "unsupported signature scheme"),
    ("timestamp", " ", "invalid_request", "timestamp is required"),
    ("timestamp", "yesterday", "invalid_request", "timestamp must be an ISO-8601 timestamp"),
    ("nonce", "", "invalid_request", "nonce is required"),
    ("request_id", "", "invalid_request", "request_id is required"),
    ("timestamp", "2020-01-01T00:00:00Z", "stale_timestamp", "stale or future timestamp"),
    ("signature", " ", "signature_required", "signature is required"),
]


@pytest.mark.parametrize("step", range(len(ORDER)))
def test_the_first_wrong_thing_in_the_protocols_order_is_named(step):
    envelope = fresh()
    for name, value, _, _ in reversed(ORDER[step:]):
        if name == "request":
            envelope["request"] = value
        else:
            envelope["request"][name] = value
    _, _, code, text = ORDER[step]
    assert refused(lambda: envelopes.check_shape(envelope, NOW)) == (code, text)


@pytest.mark.parametrize("body, text",
                         [({}, "peer_card is required for handshake"), ({"peer_card": {}}, "peer_card is required for handshake"),
                          ({"peer_card": "card"}, "peer_card is required for handshake")])
def test_a_handshake_needs_a_card_before_anything_else(body, text):
    assert refused(lambda: envelopes.check_shape({"request": {}, "body": body}, NOW, handshake=True)) == ("invalid_request", text)


@pytest.mark.parametrize("member, value, text", [
    ("node_id", "n" * 129, "node_id is longer than 128 characters"), ("nonce", "n" * 129, "nonce is longer than 128 characters"),
    ("nonce", "n" + " " * 128, "nonce is longer than 128 characters"),
    ("request_id", "r" * 201, "request_id is longer than 200 characters"),
    ("node_id", None, "node_id is required"), ("node_id", 7, "node_id is required"), ("nonce", ["x"], "nonce is required"),
    ("timestamp", 1767225600, "timestamp is required"),
    ("timestamp", "2026-01-01T00:00:00", "timestamp must be an ISO-8601 timestamp"),
    ("timestamp", "2026-01-01", "timestamp must be an ISO-8601 timestamp"),
    ("timestamp", "1" * 5000, "timestamp must be an ISO-8601 timestamp"),
    ("timestamp", "2026-13-01T00:00:00Z", "timestamp must be an ISO-8601 timestamp"),
    ("protocol_version", None, "unsupported mesh protocol version"),
    ("timestamp", "2026-01-01T00:00:00+24:00", "timestamp must be an ISO-8601 timestamp")])
def test_members_are_bounded_and_texts(member, value, text):
    envelope = fresh()
    envelope["request"][member] = value
    assert refused(lambda: envelopes.check_shape(envelope, NOW)) == ("invalid_request", text)


def test_members_of_just_the_longest_length_are_taken():
    envelope = fresh()
    envelope["request"] |= {"node_id": "n" * 128, "nonce": "n" * 128, "request_id": "r" * 200}
    assert envelopes.check_shape(envelope, NOW).request_id == "r" * 200


@pytest.mark.parametrize("envelope",
                         [{}, {"request": None, "body": {}}, {"request": [], "body": {}}, {"body": []},
                          {"request": {"node_id": "a"}}])
def test_what_is_no_envelope_is_an_invalid_request(envelope):
    assert refused(lambda: envelopes.check_shape(envelope, NOW))[0] == "invalid_request"


@pytest.mark.parametrize("seconds, stale",
                         [(0, False), (300, False), (-300, False), (300.9, False), (301, True), (-301, True), (1e6, True)])
def test_the_clocks_may_differ_by_300_seconds(seconds, stale):
    envelope = fresh()
    if stale:
        assert refused(lambda: envelopes.check_shape(envelope, NOW + seconds)) == ("stale_timestamp", "stale or future timestamp")
    else:
        assert envelopes.check_shape(envelope, NOW + seconds).signed_at_seconds == NOW


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+01:00", "2025-12-31T18:30:00-05:30"])
def test_any_zone_is_an_instant(text):
    envelope = fresh()
    envelope["request"]["timestamp"] = text
    assert envelopes.check_shape(envelope, NOW).signed_at_seconds == NOW


def test_ids_are_trimmed_for_look_ups_and_signed_as_sent():
    case = next(case for case in VECTORS["vectors"] if case["id"] == "blanks")
    signed = envelopes.check_shape(case["envelope"], NOW)
    assert (signed.node_id, signed.nonce, signed.request_id) == ("alpha-node", "n5", "r5")
    envelopes.check_signature(signed, case["route"], case["public_key_hex"])


@pytest.mark.parametrize("member", ["node_id", "timestamp", "nonce", "request_id", "body", "route"])
def test_every_signed_member_is_covered(member):
    envelope, route = fresh(), ROUTE
    if member == "body":
        envelope["body"]["a"] = 2
    elif member == "route":
        route = "/mesh/jobs/submit"
    else:
        envelope["request"][member] = {"timestamp": "2026-01-01T00:00:01Z"}.get(member, "other")
    signed = envelopes.check_shape(envelope, NOW)
    assert refused(lambda: envelopes.check_signature(signed, route, ALPHA.public_key_hex))[0] == "bad_signature"


def test_a_number_that_changes_its_kind_breaks_the_signature():
    envelope = fresh(body={"n": 1.0})
    envelope["body"]["n"] = 1
    signed = envelopes.check_shape(envelope, NOW)
    assert refused(lambda: envelopes.check_signature(signed, ROUTE, ALPHA.public_key_hex))[0] == "bad_signature"


@pytest.mark.parametrize("member", ["protocol_family", "protocol_release", "implementation", "unknown"])
def test_unsigned_members_may_differ_and_a_foreign_family_shows(member):
    envelope = fresh()
    envelope["request"][member] = "Open Compute Protocol"
    signed = envelopes.check_shape(envelope, NOW)
    envelopes.check_signature(signed, ROUTE, ALPHA.public_key_hex)
    assert signed.foreign_family is (member == "protocol_family")


@pytest.mark.parametrize("signature", ["00" * 64, "zz", "not hex at all", "00" * 63, "00" * 65, "é" * 128])
def test_a_signature_that_is_none_fails_like_a_wrong_one(signature):
    envelope = fresh()
    envelope["request"]["signature"] = signature
    signed = envelopes.check_shape(envelope, NOW)
    assert refused(lambda: envelopes.check_signature(signed, ROUTE, ALPHA.public_key_hex))[0] == "bad_signature"


def test_upper_case_hex_is_tolerated_and_blanks_are_not():
    envelope = fresh()
    envelope["request"]["signature"] = envelope["request"]["signature"].upper()
    envelopes.check_signature(envelopes.check_shape(envelope, NOW), ROUTE, ALPHA.public_key_hex.upper())
    envelope["request"]["signature"] = envelope["request"]["signature"][:64] + " " + envelope["request"]["signature"][64:]
    assert refused(lambda: envelopes.check_signature(envelopes.check_shape(envelope, NOW), ROUTE,
                                                     ALPHA.public_key_hex))[0] == "bad_signature"


@pytest.mark.parametrize("stored, text", [(None, "unknown peer alpha-node"), ("", "public key unavailable for verification")])
def test_a_peer_without_a_stored_key_is_unknown(stored, text):
    signed = envelopes.check_shape(fresh(), NOW)
    assert refused(lambda: envelopes.known_key(signed, stored)) == ("unknown_peer", text)


def test_a_stored_peer_is_checked_with_its_own_key_and_tier():
    signed = envelopes.check_shape(fresh(), NOW)
    envelopes.check_signature(signed, ROUTE, envelopes.known_key(signed, ALPHA.public_key_hex))
    envelopes.check_admitted(signed, "trusted")
    assert refused(lambda: envelopes.check_admitted(signed, "blocked")) == ("policy_denied", "peer alpha-node is blocked")


def test_a_replay_names_the_peer():
    refusal = envelopes.replayed(envelopes.check_shape(fresh(), NOW))
    assert (refusal.code, refusal.message) == ("replayed_nonce", "nonce already seen for peer alpha-node")


def card(identity: Identity = ALPHA, **members: object) -> dict:
    return {"organism_id": identity.node_id, "node_id": identity.node_id, "public_key": identity.public_key_hex, **members}


def shake(peer_card: dict, identity: Identity = ALPHA) -> envelopes.Signed:
    envelope = fresh(identity, envelopes.HANDSHAKE_ROUTE, {"peer_card": peer_card})
    return envelopes.check_shape(envelope, NOW, handshake=True)


def test_a_handshake_gives_the_card_that_its_own_key_signed():
    found = envelopes.check_handshake(shake(card(public_key=ALPHA.public_key_hex.upper(), trust_tier=" Trusted ")))
    assert (found.peer_id, found.public_key_hex, found.trust_tier) == ("alpha-node", ALPHA.public_key_hex, "trusted")


@pytest.mark.parametrize("peer_card, code, text", [
    (card(public_key=""), "unknown_peer", "public key unavailable for verification"),
    (card(public_key=None), "unknown_peer", "public key unavailable for verification"),
    (card(public_key=BETA.public_key_hex), "bad_signature", "signature verification failed"),
    (card(public_key="xyz"), "bad_signature", "signature verification failed"),
    (card(organism_id="beta-node"), "identity_mismatch", "request node_id does not match peer card"),
    ({"public_key": ALPHA.public_key_hex}, "identity_mismatch", "request node_id does not match peer card"),
    (card(trust_tier="blocked"), "policy_denied", "peer alpha-node is blocked")])
def test_a_handshake_is_refused_in_this_order(peer_card, code, text):
    assert refused(lambda: envelopes.check_handshake(shake(peer_card))) == (code, text)


def test_a_card_may_have_its_id_under_either_name():
    assert envelopes.card_of({"peer_card": {"node_id": "x"}}).peer_id == "x"
    assert envelopes.card_of({"peer_card": {"organism_id": "o", "node_id": "x"}}).peer_id == "o"
    assert envelopes.card_of({}).peer_id == ""


def test_a_stranger_cannot_shake_hands_as_someone_known():
    """Signed by the stranger's own key, under the id of a peer whose key is pinned: refused before its nonce is kept."""
    stranger = Identity("alpha-node", "Stranger", SEEDS["other-node"])
    found = envelopes.check_handshake(shake(card(stranger), stranger))
    assert refused(lambda: envelopes.check_pinned(found, ALPHA.public_key_hex, "trusted")) == (
        "key_changed", "peer public key changed; explicit trust reset required")


@pytest.mark.parametrize("stored, tier, code",
                         [("", "", ""), (ALPHA.public_key_hex, "trusted", ""), (ALPHA.public_key_hex.upper(), "public", ""),
                          (ALPHA.public_key_hex, "blocked", "policy_denied"),
                          ("", "blocked", "policy_denied"),
                          (BETA.public_key_hex, "blocked", "key_changed")])
def test_a_blocked_peer_does_not_unblock_itself_by_what_its_card_claims(stored, tier, code):
    found = envelopes.check_handshake(shake(card(trust_tier="trusted")))
    if code:
        assert refused(lambda: envelopes.check_pinned(found, stored, tier))[0] == code
    else:
        envelopes.check_pinned(found, stored, tier)


def test_every_refusal_code_is_one_the_mesh_knows():
    known = {"invalid_request", "stale_timestamp", "signature_required", "unknown_peer", "bad_signature", "replayed_nonce",
             "identity_mismatch", "policy_denied", "key_changed"}
    assert {code for _, _, code, _ in ORDER} <= known


def test_an_envelope_never_signs_what_a_document_domain_signs():
    request = {**fresh()["request"]}
    assert not canonical.mesh({"route": "treaty", "treaty": {}}) == envelopes.signed_bytes("treaty", request, {})
