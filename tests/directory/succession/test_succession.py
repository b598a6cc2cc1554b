"""A node's step to a new key: imported and accepted by the operator, followed by nobody."""

from __future__ import annotations

import json

import pytest

from ocp_node.base.clock import SetClock, instant_text
from ocp_node.crypto import keys, node_did
from tests.support.adverts import NOON, Signer
from tests.support.node import FROM_LAN, TrialNode

OLD, NEW, STRANGER = Signer(1), Signer(2), Signer(3)
JSON = {"Content-Type": "application/json"}


def statement(old=OLD, new=NEW, signers=None, **members):
    made = {"schema": "node-succession.v1", "schema/v": 1, "succession/id": "node-succession:sha256:abc",
            "old/node-id": old.node_id,
            "old/key-public": old.key_text, "new/node-id": new.node_id, "new/key-public": new.key_text,
            "succession/mode": "planned-rotation",
            "issued-at": instant_text(NOON), "expires-at": instant_text(NOON + 3600), **members}
    message = node_did.json_signing_input("node-succession.v1", made, ())
    for side, signer in zip(("old", "new"), signers or (old, new)):
        made[f"proof/{side}"] = {"alg": "ed25519", "value": node_did.signature_text(keys.sign(signer.seed, message))}
    return made


@pytest.fixture
def node(tmp_path):
    with TrialNode(tmp_path, clock=SetClock(NOON), trusted_proxies=["127.0.0.1"]) as made:
        yield made


def bring(node, document, headers=JSON):
    return node.request("POST", "/succession", raw=json.dumps(document).encode(), headers=headers)


def test_a_statement_is_imported_accepted_and_listed(node):
    answer = bring(node, statement())
    assert answer.status == 200 and answer.json["state"] == "imported"
    line = node.rooms["directory.succession"]
    assert line.successor(OLD.node_id) == ""
    accepted = node.post("/succession/node-succession:sha256:abc/accept")
    assert accepted.status == 200 and accepted.json["state"] == "accepted"
    assert line.successor(OLD.node_id) == NEW.node_id
    assert bring(node, statement()).json["state"] == "accepted"
    assert node.get("/succession").json["items"] == [accepted.json]
    assert node.get(OLD.path).status == 404, "nothing is routed by it"


@pytest.mark.parametrize("document, status, reason", [
    (statement(signers=(OLD, STRANGER)), 403, "invalid-signature"), (statement(signers=(STRANGER, NEW)), 403,
                                                                     "invalid-signature"),
    ({**statement(), "reason/ref": "added"}, 403, "invalid-signature"), (statement(**{"old/key-public": STRANGER.key_text}), 403,
                                                                         "key-mismatch"),
    (statement(**{"expires-at": instant_text(NOON)}), 400, "invalid-artifact"),
                                                      ({**statement(), "more": 1}, 400, "invalid-artifact"),
    (statement(new=OLD), 400, "invalid-artifact"), (statement(**{"issued-at": instant_text(NOON + 301)}), 403, "not-yet-valid"),
    (statement(**{"issued-at": instant_text(NOON - 99), "expires-at": instant_text(NOON - 9)}), 403, "expired"),
                                                      ([], 400, "malformed-json")])
def test_a_statement_that_both_keys_have_not_signed_is_refused(node, document, status, reason):
    answer = bring(node, document)
    assert (answer.status, answer.json["reason"]) == (status, reason), answer
    assert node.get("/succession").json["items"] == []


def test_another_statement_under_the_same_id_is_refused(node):
    bring(node, statement())
    assert bring(node, statement(new=STRANGER)).json["reason"] == "succession-exists"
    assert node.post("/succession/none/accept").status == 404
    node.clock.advance(3600)
    assert node.post("/succession/node-succession:sha256:abc/accept").json["reason"] == "expired"


@pytest.mark.parametrize("headers", [FROM_LAN, {"Origin": "https://evil.example"}, {"Host": "evil.example"},
                                     {"Sec-Fetch-Site": "cross-site"}])
def test_only_the_operator_of_this_machine_may(node, headers):
    assert bring(node, statement(), {**JSON, **headers}).status == 401
    assert node.get("/succession", headers).status == 401
    assert bring(node, statement(), {"Content-Type": "text/plain"}).status == 415
