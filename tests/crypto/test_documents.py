"""Treaties, attestations and successions: signed with domains, checked with known keys."""

from __future__ import annotations

import copy
import json

import pytest

from ocp_node.crypto import canonical, documents, keys
from ocp_node.crypto.identity import Identity
from tests.support.vectors import load

ALPHA = Identity("alpha-node", "Alpha", bytes(32))
BETA = Identity("beta-node", "Beta", b"\x01" * 32)
TREATY = {"id": "t-1", "title": "Keep each other's backups", "treaty_type": "continuity", "parties": ["alpha-node", "beta-node"],
          "document": {"custody_mode": "local"}, "expires_at": "", "status": "draft", "metadata": {"note": 1}}


def test_a_treaty_is_signed_over_its_route_and_six_terms():
    terms = documents.treaty_terms(TREATY)
    assert list(terms) == ["id", "title", "treaty_type", "parties", "document", "expires_at"]
    assert json.loads(documents.signed_bytes(documents.TREATY, terms)) == {"route": "treaty", "treaty": terms}
    signature = documents.sign_document(ALPHA, documents.TREATY, terms)
    assert keys.verify_hex(ALPHA.public_key_hex, canonical.mesh({"route": "treaty", "treaty": terms}), signature)
    assert documents.verify_document(ALPHA.public_key_hex, documents.TREATY,
                                     documents.treaty_terms({**TREATY, "status": "active"}), signature)


@pytest.mark.parametrize("member", documents.TREATY_TERMS)
def test_changing_a_term_voids_a_treaty_signature(member):
    signature = documents.sign_document(ALPHA, documents.TREATY, documents.treaty_terms(TREATY))
    changed = documents.treaty_terms({**TREATY, member: "changed"})
    assert not documents.verify_document(ALPHA.public_key_hex, documents.TREATY, changed, signature)


def test_a_document_signature_holds_for_one_key_and_one_domain():
    signature = documents.sign_document(ALPHA, "treaty", {"a": 1})
    assert documents.verify_document(ALPHA.public_key_hex, "treaty", {"a": 1}, signature.upper())
    assert not documents.verify_document(BETA.public_key_hex, "treaty", {"a": 1}, signature)
    assert not documents.verify_document(ALPHA.public_key_hex, "succession", {"a": 1}, signature)
    assert not documents.verify_document(ALPHA.public_key_hex, "", {"a": 1}, signature)
    assert not documents.verify_document(ALPHA.public_key_hex, "treaty", {"a": 1}, None)
    assert not documents.verify_document("", "treaty", {"a": 1}, signature)


@pytest.mark.parametrize("case", load("mesh", "attestations"), ids=lambda case: case["case"])
def test_captured_attestations_hold(case):
    attestation = case["attestation"]
    assert documents.verify_attestation(attestation, attestation["issuer"]["public_key"])
    assert not documents.verify_attestation(attestation, ALPHA.public_key_hex)
    changed = copy.deepcopy(attestation)
    changed["predicate"]["job_id"] = "another"
    assert not documents.verify_attestation(changed, attestation["issuer"]["public_key"])


def test_an_attestation_of_ours_holds_and_names_its_payload():
    unsigned = {"kind": "ocp.execution.attestation", "schema_version": 2, "issuer": {"node_id": "alpha-node"},
                "predicate": {"job_id": "j"}}
    made = documents.sign_attestation(ALPHA, unsigned)
    assert documents.verify_attestation(made, ALPHA.public_key_hex)
    assert made["verification"]["canonical_form"] == "json-c14n-sort-keys" and "verification" not in unsigned
    assert documents.sign_attestation(ALPHA, made) == made


@pytest.mark.parametrize("spoil", [lambda it: it["verification"].update(signed_payload_digest="0" * 64),
                                   lambda it: it["verification"].update(signature_scheme="none"),
                                   lambda it: it.pop("verification"),
                                   lambda it: it.update(signature="00" * 64), lambda it: it.pop("signature"),
                                   lambda it: it.update(extra=1), lambda it: it.update(verification=[])])
def test_a_spoiled_attestation_does_not_hold(spoil):
    made = documents.sign_attestation(ALPHA, {"kind": "k"})
    spoil(made)
    assert documents.verify_attestation(made, ALPHA.public_key_hex) is False


def succession() -> dict:
    statement = {"node_id": "alpha-node", "old_public_key": ALPHA.public_key_hex, "new_public_key": BETA.public_key_hex,
                 "signature_scheme": "ed25519-sha512-v1"}
    return {**statement, "signatures": {"old": documents.sign_document(ALPHA, "succession", statement),
                                        "new": documents.sign_document(BETA, "succession", statement)}}


def test_a_succession_needs_both_keys():
    assert documents.verify_succession(succession())


@pytest.mark.parametrize("spoil", [
    lambda it: it["signatures"].update(new=it["signatures"]["old"]), lambda it: it["signatures"].pop("old"),
    lambda it: it.update(node_id="other"), lambda it: it.pop("signatures"),
    lambda it: it.update(new_public_key=it["old_public_key"]),
    lambda it: it.update(signature_scheme="x"), lambda it: it.update(signatures=None)])
def test_a_spoiled_succession_does_not_hold(spoil):
    it = succession()
    spoil(it)
    assert documents.verify_succession(it) is False


def test_a_key_cannot_succeed_itself():
    statement = {"old_public_key": ALPHA.public_key_hex, "new_public_key": ALPHA.public_key_hex,
                 "signature_scheme": "ed25519-sha512-v1"}
    proof = documents.sign_document(ALPHA, "succession", statement)
    assert not documents.verify_succession({**statement, "signatures": {"old": proof, "new": proof}})
