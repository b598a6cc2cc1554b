"""Ids, signing inputs and signatures of the seed directory, against the published and the captured vectors."""

from __future__ import annotations

import copy
import hashlib

import pytest

from ocp_node.base.errors import Malformed, Refusal
from ocp_node.crypto import canonical, keys, node_did
from ocp_node.crypto.identity import Identity
from tests.support.vectors import load

VECTORS = load("directory", "vectors")
BEYOND = load("directory", "vectors-beyond")
KEYS = {key["name"]: key for key in VECTORS["keys"]}
PUBLISHED = VECTORS["signing_vectors"][0]


def signer(name: str) -> Identity:
    return Identity(name, name, bytes.fromhex(KEYS[name]["seed_hex"]))


@pytest.mark.parametrize("case", VECTORS["node_id_vectors"], ids=lambda case: case["why"])
def test_node_id_vectors(case):
    assert node_did.problem(case["text"]) == ("" if case["valid"] else "not-canonical-did-key")
    if case["valid"]:
        assert node_did.public_key(case["text"]).hex() == case["public_key_hex"]
        assert node_did.node_id(bytes.fromhex(case["public_key_hex"])) == case["text"]


@pytest.mark.parametrize("key", VECTORS["keys"], ids=lambda key: key["name"])
def test_a_key_has_one_name_in_each_role(key):
    public = keys.public_key(bytes.fromhex(key["seed_hex"]))
    assert public.hex() == key["public_key_hex"]
    assert node_did.key_text(public) == key["multibase"] and node_did.node_id(public) == key["node_id"]
    assert node_did.public_key(key["participant_id"], node_did.PARTICIPANT) == public
    assert node_did.public_key(key["multibase"], "") == public
    assert node_did.public_key("did:key:" + key["multibase"], node_did.BARE) == public


@pytest.mark.parametrize("text, role", [
    (KEYS["doc"]["participant_id"], node_did.NODE), (KEYS["doc"]["node_id"], node_did.PARTICIPANT), (KEYS["doc"]["node_id"], ""),
    (KEYS["doc"]["node_id"] + "\n", node_did.NODE), (KEYS["doc"]["node_id"] + " ", node_did.NODE), ("", node_did.NODE), ("", ""),
    (node_did.NODE, node_did.NODE), ("node:did:key:z" + "é" * 47, node_did.NODE), ("node:did:key:z" + "z" * 47, node_did.NODE),
    ("node:did:key:z" + "1" * 47, node_did.NODE), ("node:did:key:z" + "z" * 100_000, node_did.NODE),
    (KEYS["doc"]["multibase"][1:], "")])
def test_no_other_spelling_is_a_key(text, role):
    with pytest.raises(Malformed) as caught:
        node_did.public_key(text, role)
    assert caught.value.problems[0].code == "not-canonical-did-key"


@pytest.mark.parametrize("raw, text", [
    (b"", ""), (b"\0", "1"), (b"\0\0a", "112g"), (b"hello world", "StV1DL6CwTryKyV"), (b"\xff" * 4, "7YXq9G"),
    (b"\0\0\0\0", "1111")])
def test_base58_known_texts(raw, text):
    assert node_did.base58(raw) == text
    assert node_did.base58_bytes(text) == raw


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "a b", "\xff", "ż", "z" * 257])
def test_base58_refuses_other_letters_and_long_texts(text):
    with pytest.raises(ValueError):
        node_did.base58_bytes(text)


@pytest.mark.parametrize("case", VECTORS["signing_vectors"], ids=lambda case: case["name"])
def test_advertisement_vectors(case):
    artifact = case["artifact"]
    message = node_did.signing_input(node_did.ADVERTISEMENT, artifact)
    assert message.hex() == case["signing_input_hex"]
    assert hashlib.sha256(message).hexdigest() == case["signing_input_sha256"]
    assert node_did.signature_bytes(artifact["signature"]["value"]).hex() == case["signature_hex"]
    assert node_did.digest(node_did.reduced(artifact)) == case["artifact_digest"]
    assert case["verifies"]
    node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)


def test_the_published_advertisement_is_made_again_from_its_seed():
    unsigned = {name: value for name, value in PUBLISHED["artifact"].items() if name != "signature"}
    assert node_did.sign_artifact(signer("doc"), node_did.ADVERTISEMENT, unsigned) == PUBLISHED["artifact"]
    assert signer("doc").did == PUBLISHED["artifact"]["node/id"]


SIGNATURE_CASES = [case for case in VECTORS["put_cases"] if case["expect"].get("reason") == "invalid-signature"]


@pytest.mark.parametrize("case", SIGNATURE_CASES, ids=lambda case: case["name"])
def test_every_advertisement_that_the_vectors_call_badly_signed_is_refused(case):
    artifact = case["body_json"]
    with pytest.raises(Refusal) as caught:
        node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)
    assert caught.value.code == "invalid-signature"


def test_the_vectors_have_badly_signed_cases():
    assert len(SIGNATURE_CASES) >= 10


@pytest.mark.parametrize("signature", [None, "text", {}, {"alg": "ed25519"}, {"alg": "ed448", "value": "x"}, {"value": "x"},
                                       {"alg": "ed25519", "value": 5}, {"alg": "ed25519", "value": ""}])
def test_a_signature_of_another_shape_is_refused(signature):
    artifact = {**PUBLISHED["artifact"], "signature": signature}
    with pytest.raises(Refusal):
        node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)


def test_an_unknown_member_is_signed_and_members_inside_the_signature_are_dropped():
    artifact = copy.deepcopy(PUBLISHED["artifact"])
    artifact["signature"]["note"] = "attached on the way"
    node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)
    assert node_did.reduced(artifact) == PUBLISHED["artifact"]
    assert list(node_did.reduced(artifact)) == list(artifact)
    artifact["added"] = 1
    with pytest.raises(Refusal):
        node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)


PASSPORT_UNSIGNED = ("signature", "issuer_delegation")
RULES = {
    "peer-handshake-ack": lambda it: node_did.signing_input(node_did.HANDSHAKE, it, node_did.HANDSHAKE_UNSIGNED),
    "capability-passport-direct": lambda it: node_did.json_signing_input("", it, PASSPORT_UNSIGNED),
    "capability-passport-delegated": lambda it: node_did.json_signing_input("", it, PASSPORT_UNSIGNED),
    "delegation-proof": lambda it: node_did.json_signing_input("", it, ("principal_signature",)),
    "passport-revocation-issuer": lambda it: node_did.json_signing_input("", it, PASSPORT_UNSIGNED),
    "passport-revocation-subject": lambda it: node_did.json_signing_input("", it, PASSPORT_UNSIGNED),
    "federation-service-endorsement-participant":
        lambda it: node_did.json_signing_input("federation-service-endorsement.v1", it, ("signatures",)),
    "federation-service-endorsement-revocation":
        lambda it: node_did.json_signing_input("federation-service-endorsement-revocation.v1", it, ("signatures",)),
    "capability-advertisement": lambda it: node_did.signing_input("capability-advertisement.v1", it),
    "query-attestation": lambda it: node_did.json_signing_input("", it, nfc=True),
}


@pytest.mark.parametrize("case", BEYOND["signing_vectors"], ids=lambda case: case["name"])
def test_vectors_of_the_families_beyond_the_advertisement(case):
    artifact, key = case["artifact"], KEYS[case["signer"]]
    message = RULES[case["name"]](artifact)
    assert message.hex() == case["signing_input_hex"]
    assert keys.sign(bytes.fromhex(key["seed_hex"]), message).hex() == case["signature_hex"]
    value = (artifact["signatures"][0]["value"] if "signatures" in artifact
             else artifact["principal_signature"] if "principal_signature" in artifact else artifact["signature"]["value"])
    node_did.check(bytes.fromhex(key["public_key_hex"]), message, value)


def test_a_delegated_passport_holds_link_by_link():
    passport = next(case["artifact"] for case in BEYOND["signing_vectors"] if case["name"] == "capability-passport-delegated")
    delegation = passport["issuer_delegation"]
    principal = node_did.public_key(delegation["principal_key"], node_did.BARE)
    assert principal == node_did.public_key(passport["issuer/participant_id"], node_did.PARTICIPANT)
    node_did.check(principal, node_did.json_signing_input("", delegation, ("principal_signature",)),
                   delegation["principal_signature"])
    proxy = node_did.public_key(delegation["proxy_key"], node_did.BARE)
    node_did.check(proxy, node_did.json_signing_input("", passport, PASSPORT_UNSIGNED), passport["signature"]["value"])


def test_a_signature_for_one_domain_is_none_for_another():
    artifact = node_did.sign_artifact(signer("alice"), "capability-advertisement.v1", {"a": 1})
    public = signer("alice").public_key
    node_did.check_artifact(public, "capability-advertisement.v1", artifact)
    with pytest.raises(Refusal):
        node_did.check_artifact(public, node_did.ADVERTISEMENT, artifact)


def test_what_cannot_be_encoded_is_malformed_before_any_signature():
    artifact = {**PUBLISHED["artifact"], "x": 2**64}
    with pytest.raises(Malformed) as caught:
        node_did.check_artifact(node_did.public_key(artifact["node/id"]), node_did.ADVERTISEMENT, artifact)
    assert caught.value.problems[0].pointer() == "/x"


def test_the_etag_does_not_depend_on_member_order():
    backwards = dict(reversed(list(PUBLISHED["artifact"].items())))
    assert node_did.digest(backwards) == PUBLISHED["artifact_digest"]
    assert canonical.cbor(backwards) == canonical.cbor(PUBLISHED["artifact"])


@pytest.mark.parametrize("case", VECTORS["signing_vectors"], ids=lambda case: case["name"])
def test_input_and_digest_are_the_same_when_encoded_once_for_both(case):
    message, digest = node_did.signing_input_and_digest(node_did.ADVERTISEMENT, case["artifact"])
    assert message == node_did.signing_input(node_did.ADVERTISEMENT, case["artifact"])
    assert digest == node_did.digest(case["artifact"])
