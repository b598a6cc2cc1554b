"""Answers that the directory has signed."""

from __future__ import annotations

import json

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.crypto import canonical, node_did
from ocp_node.directory.attestation import rules
from tests.support.adverts import NOON, Signer
from tests.support.node import TrialNode
from tests.support.papers import registration
from tests.support.vectors import load

VECTOR = next(vector for vector in load("directory", "vectors-beyond")["signing_vectors"]
              if vector["name"] == "query-attestation")
A, ISSUER = Signer(1), Signer(2)
JSON = {"Content-Type": "application/json"}
ATTEST = "attest=seed-directory-query.v1"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), clock=SetClock(NOON)) as made:
        made.request("PUT", A.path, raw=A.raw(1, NOON, members={"x": "e\u0301"}), headers=JSON)
        body = registration(A, ISSUER, "offer-catalog", "role/offer-catalog")
        made.request("PUT", f"/cap/{A.node_id}/offer-catalog", raw=json.dumps(body).encode(), headers=JSON)
        yield made


def verified(node, document):
    """The attestation of a body, after a reader has checked it."""
    attestation = document.pop(rules.MEMBER)
    signature = attestation.pop("signature")
    node_did.check(node.core.identity.public_key, node_did.json_signing_input("", attestation, nfc=True), signature["value"])
    assert attestation["result/digest"] == canonical.sha256_text(canonical.jcs(document, nfc=True))
    assert attestation["signer/id"] == attestation["directory/node-id"] == node.core.identity.did
    return attestation


@pytest.mark.parametrize("path, mode, query", [
    ("/adv", "adv-list", "limit=5&since="), (A.path, "adv-get", ""), (A.path.replace(":", "%3A"), "adv-get", ""),
                                               ("/cap", "cap-query", "capability=role%2Foffer-catalog"),
    (f"/cap/{A.node_id}", "cap-node", ""), ("/revocations", "revocations", "")])
def test_every_answer_can_be_signed(node, path, mode, query):
    plain = node.get(f"{path}?{query}").json
    answer = node.get(f"{path}?{query}&{ATTEST}")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    document = answer.json
    attestation = verified(node, document)
    assert document == plain
    assert attestation["query/mode"] == mode and attestation["query/path"] == path.replace("%3A", ":")
    assert attestation["query/filter"] == {"adv-list": {"limit": "5", "since": ""},
                                           "cap-query": {"capability": "role/offer-catalog"}}.get(mode, {})
    assert (attestation["issued/at"], attestation["expires/at"]) == ("2026-03-23T18:08:00Z", "2026-03-23T18:13:00Z")
    assert attestation["projection/high-water-tx-id"] == (0 if mode == "revocations" else 1)


def test_an_unknown_scheme_is_an_unknown_parameter_and_refusals_stay(node):
    assert rules.MEMBER not in node.get("/adv?attest=other.v1").json
    assert node.get(f"{ISSUER.path}?{ATTEST}").status == 404
    assert node.get(f"/adv?limit=0&{ATTEST}").json["reason"] == "invalid-limit"
    assert node.get(f"/adv?{ATTEST}&x=%").json["reason"] == "invalid-query"


def test_what_canonical_json_cannot_hold_is_not_signed(tmp_path):
    with TrialNode(tmp_path / "a", clock=SetClock(NOON)) as node:
        node.request("PUT", A.path, raw=A.raw(2**60, NOON), headers=JSON)
        answer = node.get(f"/adv?{ATTEST}")
        assert (answer.status, answer.json["reason"]) == (503, "attestation_unavailable") and "retry-after" in answer.headers
        assert node.get("/adv").status == 200
    with TrialNode(tmp_path / "b", clock=SetClock(NOON), directory_attest=False) as node:
        assert node.get(f"/adv?{ATTEST}").json["reason"] == "attestation_unavailable"


def test_the_form_is_the_one_of_the_vector():
    artifact = VECTOR["artifact"]
    made = rules.unsigned(artifact["directory/node-id"], artifact["query/mode"], artifact["query/path"],
                          artifact["query/filter"], VECTOR["attested_body"],
                          artifact["projection/high-water-tx-id"], 1_774_289_340.0)
    assert made == {name: value for name, value in artifact.items() if name != "signature"}
    assert node_did.json_signing_input("", made, nfc=True).hex() == VECTOR["signing_input_hex"]
