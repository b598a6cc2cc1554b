"""Registrations, revocations, delegations and endorsements, against a whole node."""

from __future__ import annotations

import copy
import json
import random

import pytest

from ocp_node.base.clock import SetClock
from tests.support.adverts import NOON, Signer
from tests.support.node import TrialNode
from tests.support.papers import (
    DAY,
    capabilities,
    delegation,
    endorsement,
    passport,
    proof,
    registration,
    revocation,
    root,
    withdrawal,
)

NODE, OTHER, ISSUER, STRANGER, PROXY, ORG = (Signer(number) for number in range(10, 16))
CUSTODIANS = tuple(Signer(number) for number in range(20, 23))
CAP, WIRE = "offer-catalog", "role/offer-catalog"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def make(tmp_path):
    nodes = []

    def made(name="node", root_document=None, **settings):
        if root_document is not None:
            (tmp_path / f"{name}.root.json").write_text(json.dumps(root_document))
            settings["directory_federation_root"] = str(tmp_path / f"{name}.root.json")
        node = TrialNode(tmp_path / name, **{"clock": SetClock(NOON), **settings})
        nodes.append(node)
        return node

    yield made
    for node in nodes:
        node.stop()


@pytest.fixture
def node(make):
    return make()


def put(node, body, path=None):
    named = body.get("passport", {})
    path = path or f"/cap/{named['node_id']}/{named['capability_id'].replace('/', '%2F')}"
    return node.request("PUT", path, raw=json.dumps(body).encode(), headers=JSON)


def post(node, path, body):
    return node.request("POST", path, raw=json.dumps(body).encode(), headers=JSON)


def found(node, query=""):
    answer = node.get(f"/cap?{query}")
    assert answer.status == 200, answer
    return [(item["node_id"], item["capability_id"]) for item in answer.json["items"]]


def refused(answer, status, reason):
    assert (answer.status, answer.json["reason"]) == (status, reason), answer


# --- registering ------------------------------------------------------------------------------------------------------

def test_a_registration_is_created_replaced_and_found(node):
    answer = put(node, registration(NODE, ISSUER, CAP, WIRE))
    assert answer.status == 201
    assert answer.json == {"status": "registered", "node_id": NODE.node_id, "capability_id": CAP,
                           "passport_id": f"passport:capability:{CAP}:1",
                           "sequence/no": 1, "published_at": "2026-03-23T18:08:00Z", "expires_at": "2026-04-22T18:08:00Z"}
    assert put(node, registration(NODE, ISSUER, CAP, WIRE, 2, number=2)).status == 200
    one = node.get(f"/cap/{NODE.node_id}")
    assert one.status == 200 and list(one.json) == ["node_id", "endpoints", "capabilities"]
    held = one.json["capabilities"][0]
    assert held["passport"]["passport_id"].endswith(":2") and held["sequence/no"] == 2
    assert held["official"] is False and held["endorsement"] is None
    assert one.json["endpoints"] == [], "the node is not advertised"
    node.request("PUT", NODE.path, raw=NODE.raw(1, NOON), headers=JSON)
    item = node.get(f"/cap?capability={CAP}").json["items"][0]
    assert item["endpoints"][0]["endpoint/url"] == "wss://node.example/peer"
    assert item["anchor_identity"] is None and item["informal"] is False
    assert found(node, f"capability={WIRE}") == found(node, f"capability={CAP}") == [(NODE.node_id, CAP)]
    node.clock.advance(31 * DAY)
    assert found(node) == [] and node.get(f"/cap/{NODE.node_id}").status == 404


def test_the_same_again_changes_nothing_and_older_is_refused(node):
    first = registration(NODE, ISSUER, CAP, WIRE, 5)
    assert put(node, first).status == 201
    position, published = node.get("/cap").json["next"], node.clock.text()
    node.advance(60)
    again = put(node, first)
    assert (again.status, again.json["published_at"]) == (200, published)
    raised = put(node, {**first, "sequence/no": 2**63 - 1})
    assert (raised.status, raised.json["sequence/no"]) == (200, 5), "the number is not signed: papers we have change nothing"
    refused(put(node, {**first, "sequence/no": 4}), 409, "stale-sequence")
    assert node.get("/cap").json["next"] == position
    refused(put(node, registration(NODE, ISSUER, CAP, WIRE, 4, number=2)), 409, "stale-sequence")
    answer = put(node, registration(NODE, ISSUER, CAP, WIRE, 5, number=2))
    assert answer.json == {"status": "conflict", "reason": "stale-sequence", "node_id": NODE.node_id, "capability_id": CAP,
                           "current/sequence-no": 5, "submitted/sequence-no": 5}
    older = registration(NODE, ISSUER, CAP, WIRE, 9, number=3)
    older["advertisement"] = capabilities(NODE, WIRE, at=NOON - 60)
    refused(put(node, older), 409, "stale-sequence")
    assert put(node, registration(NODE, ISSUER, CAP, WIRE, 6, number=2)).status == 200


def spoil(change):
    body = registration(NODE, ISSUER, CAP, WIRE)
    change(body)
    return body


@pytest.mark.parametrize("change, status, reason", [
    (lambda b: b.update(passport=passport(OTHER, ISSUER, CAP)), 403, "node-id-mismatch"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, "escrow")), 403, "capability-id-mismatch"),
    (lambda b: b["passport"].update(issued_at="2026-03-23T18:00:00Z"), 403, "invalid-signature"),
    (lambda b: b["passport"].update({"issuer/participant_id": STRANGER.participant_id}), 403, "invalid-signature"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, CAP, at=NOON - DAY, life=DAY)), 403, "expired"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, CAP, at=NOON + 301)), 403, "not-yet-valid"),
    (lambda b: b.update(advertisement=capabilities(OTHER, WIRE)), 403, "node-id-mismatch"),
    (lambda b: b["advertisement"].update({"advertisement/id": "x"}), 403, "invalid-signature"),
    (lambda b: b.update(advertisement=capabilities(NODE, WIRE, at=NOON - DAY - 1)), 403, "expired"),
    (lambda b: b.update(advertisement=capabilities(NODE, WIRE, at=NOON + 301)), 403, "not-yet-valid"),
    (lambda b: b.update(advertisement=capabilities(NODE, "role/escrow")), 403, "capability-not-advertised"),
    (lambda b: b.pop("passport"), 400, "invalid-artifact"),
    (lambda b: b.update({"sequence/no": 0}), 400, "invalid-artifact"),
    (lambda b: b.update({"sequence/no": 1.0}), 400, "invalid-artifact"),
    (lambda b: b.update({"sequence/no": 2**63}), 400, "invalid-artifact"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, CAP, scope={"account_namespaces": ["a"]})), 400, "invalid-artifact"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, CAP, passport_id="x")), 400, "invalid-artifact"),
    (lambda b: b.update(passport=passport(NODE, ISSUER, CAP, scope={"n": 2**60})) if False else b.update(advertisement=[]), 400,
     "invalid-artifact"),
    (lambda b: b.update(advertisement=capabilities(NODE, WIRE, **{"capabilities/core": [WIRE]})), 400, "invalid-artifact"),
    (lambda b: b.update(endorsement=endorsement(NODE, CAP, ISSUER)), 503, "no-federation-root"),
])
def test_papers_that_are_not_in_order_are_refused(node, change, status, reason):
    body = spoil(change)
    refused(put(node, body, f"/cap/{NODE.node_id}/{CAP}"), status, reason)
    assert found(node) == []


@pytest.mark.parametrize("path, status, reason", [
    (f"/cap/{NODE.node_id}x!/{CAP}", 400, "invalid-node-id"), (f"/cap/participant:did:key:{NODE.key_text}/{CAP}", 400,
                                                               "invalid-node-id"),
    (f"/cap/{NODE.node_id}/UPPER", 400, "invalid-capability-id"), (f"/cap/{NODE.node_id}/a%20b", 400, "invalid-capability-id"),
    (f"/cap/{NODE.node_id}", 405, "method-not-allowed"), (f"/cap/{NODE.node_id}/{CAP}/more", 404, "unknown-route")])
def test_a_path_that_names_nothing_is_refused(node, path, status, reason):
    refused(put(node, registration(NODE, ISSUER, CAP, WIRE), path), status, reason)


@pytest.mark.parametrize("capability, wire", [
    ("messaging.accept", "app/messaging.accept"), ("network-ledger", "core/network-ledger"), ("some-thing", "plugin/some-thing"),
    (f"shop@{ISSUER.participant_id}", "sovereign/shop"), (f"~club@{ISSUER.participant_id}", "sovereign/club")])
def test_every_kind_of_name_is_registered_under_its_wire_name(node, capability, wire):
    scope = {"account_namespaces": ["a"]} if capability == "network-ledger" else {}
    assert put(node, registration(NODE, ISSUER, capability, wire, scope=scope)).status == 201
    kinds = "include_sovereign_informal=true&"
    assert found(node, f"{kinds}capability={wire}") == [(NODE.node_id, capability)]


def test_a_reader_says_which_kinds_it_wants(node):
    formal, sovereign, informal = CAP, f"shop@{ISSUER.participant_id}", f"~club@{ISSUER.participant_id}"
    for capability, wire in ((formal, WIRE), (sovereign, "sovereign/shop"), (informal, "sovereign/club")):
        assert put(node, registration(NODE, ISSUER, capability, wire)).status == 201
    put(node, registration(OTHER, STRANGER, formal, WIRE, scope={"profiles": [{"profile": "x@v1"}]}))

    def kinds(query):
        return {capability for _, capability in found(node, query)}

    assert kinds("") == {formal, sovereign}
    assert kinds("include_formal=false") == {sovereign}
    assert kinds("include_sovereign=true") == {formal, sovereign, informal}
    assert kinds("include_sovereign=false") == {formal}
    assert kinds("include_sovereign=false&include_sovereign_informal=1") == {formal, informal}
    assert kinds(f"anchor={ISSUER.participant_id}") == {sovereign}
    assert found(node, f"issuer={STRANGER.participant_id}") == [(OTHER.node_id, formal)]
    assert found(node, f"node_id={OTHER.node_id}") == [(OTHER.node_id, formal)]
    assert found(node, "passport_profile=x@v1") == [(OTHER.node_id, formal)]
    assert found(node, "official=true") == [] and len(found(node, "official=false")) == 3
    item = next(item for item in node.get("/cap?include_sovereign=1").json["items"] if item["informal"])
    assert item["anchor_identity"] == ISSUER.participant_id
    for query, reason in (("limit=0", "invalid-limit"), ("official=maybe", "invalid-query"), ("since=7", "invalid-cursor"),
                          ("limit=1&limit=2", "invalid-limit")):
        refused(node.get(f"/cap?{query}"), 400, reason)


def test_pages_of_offers_follow_a_cursor(node):
    signers = [Signer(number) for number in range(40, 47)]
    for signer in signers:
        put(node, registration(signer, ISSUER, CAP, WIRE))
    seen, cursor = [], ""
    while True:
        page = node.get(f"/cap?limit=3&since={cursor}").json
        seen += [item["node_id"] for item in page["items"]]
        if page["next"] == cursor:
            break
        cursor = page["next"]
    assert seen == [signer.node_id for signer in signers]
    foreign = cursor.replace("-cap", "")
    assert node.get(f"/cap?since={foreign}").headers["adv-cursor"] == "reset", "a cursor of the other feed is a stranger"
    assert node.get("/cap", {"If-None-Match": node.get("/cap").headers["etag"]}).status == 304


def test_a_node_registers_so_much_and_no_more(make):
    node = make(directory_capabilities_per_node=2)
    for capability in ("a", "b"):
        assert put(node, registration(NODE, ISSUER, capability, capability)).status == 201
    answer = put(node, registration(NODE, ISSUER, "c", "c"))
    refused(answer, 429, "capability-registration-limit-exceeded")
    assert answer.json["retry-after-seconds"] == 600
    assert put(node, registration(NODE, ISSUER, "b", "b", 2, number=2)).status == 200
    assert put(node, registration(OTHER, ISSUER, "c", "c")).status == 201


def test_no_bytes_make_the_catalogue_fail_otherwise(node):
    chance = random.Random(4)
    base = json.dumps(registration(NODE, ISSUER, CAP, WIRE, proxy=PROXY)).encode()
    for _ in range(300):
        data = bytearray(base)
        at = chance.randrange(len(data))
        data[at:at + chance.randint(0, 20)] = chance.choice([b"", b"[", b"null", b"1e999", b"\\ud800", b'"', b"9" * 30, b"{}"])
        answer = node.request("PUT", f"/cap/{NODE.node_id}/{CAP}", raw=bytes(data), headers=JSON)
        assert answer.status in (200, 201, 400, 403), answer


# --- delegated keys ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("papers, reason", [
    ({}, ""), ({"grants": (CAP,)}, ""), ({"grants": ("escrow",)}, "delegation-scope"),
                                            ({"proxy_life": 0.0}, "delegation-expired")])
def test_a_lent_key_signs_what_it_may(node, papers, reason):
    answer = put(node, registration(NODE, ISSUER, CAP, WIRE, proxy=PROXY, **papers))
    if reason:
        refused(answer, 403, reason)
    else:
        assert answer.status == 201


def test_a_delegation_that_somebody_else_gave_is_worth_nothing(node):
    body = registration(NODE, ISSUER, CAP, WIRE)
    forged = {**proof(STRANGER, PROXY), "principal_key": "did:key:" + ISSUER.key_text}
    body["passport"] = PROXY.sign_json({**passport(NODE, ISSUER, CAP), "issuer_delegation": forged})
    refused(put(node, body), 403, "invalid-signature")
    body["passport"] = PROXY.sign_json({**passport(NODE, ISSUER, CAP), "issuer_delegation": proof(STRANGER, PROXY)})
    refused(put(node, body), 403, "delegation-mismatch")


def test_a_registration_ends_with_the_delegation_behind_it(node):
    put(node, registration(NODE, ISSUER, CAP, WIRE, proxy=PROXY, proxy_life=3600.0))
    node.clock.advance(3599)
    assert found(node)
    node.clock.advance(1)
    assert not found(node)


def key_put(node, document, path=None):
    return node.request("PUT", path or f"/key/{document['delegation_id']}", raw=json.dumps(document).encode(), headers=JSON)


def test_delegations_are_published_fetched_and_found(node):
    lent = delegation(ISSUER, PROXY, (CAP,))
    assert key_put(node, lent).status == 201 and key_put(node, lent).status == 200
    refused(key_put(node, delegation(ISSUER, PROXY, ("escrow",))), 409, "delegation-exists")
    refused(key_put(node, delegation(STRANGER, PROXY)), 409, "delegation-exists")
    assert node.get(f"/key/{lent['delegation_id']}").json == lent
    by_proxy = node.get(f"/key?proxy_key=did:key:{PROXY.key_text}").json
    assert by_proxy == {"items": [lent], "max-items": 100}
    assert node.get(f"/key?participant_id={ISSUER.participant_id}&capability={CAP}").json["items"] == [lent]
    assert node.get(f"/key?participant_id={ISSUER.participant_id}&capability=escrow").json["items"] == []
    assert node.get(f"/key?participant_id={STRANGER.participant_id}").json["items"] == []
    for query in ("", "proxy_key=x", "participant_id=x",
                  f"proxy_key=did:key:{PROXY.key_text}&participant_id={ISSUER.participant_id}",
                  f"proxy_key=did:key:{PROXY.key_text}&proxy_key=did:key:{PROXY.key_text}"):
        refused(node.get(f"/key?{query}"), 400, "invalid-query")
    node.clock.advance(DAY)
    assert node.get(f"/key/{lent['delegation_id']}").status == 404
    assert node.get(f"/key?proxy_key=did:key:{PROXY.key_text}").json["items"] == []


@pytest.mark.parametrize("document, reason", [
    (delegation(ISSUER, PROXY, max_chain_depth=1), "delegation-chain"),
    (delegation(ISSUER, PROXY, parent_delegation_id="delegation:key:0"), "delegation-chain"),
    (delegation(ISSUER, PROXY, until=NOON), "expired"), (delegation(ISSUER, PROXY, at=NOON + 301), "not-yet-valid"),
    ({**delegation(ISSUER, PROXY), "proxy_key": "did:key:" + STRANGER.key_text}, "invalid-signature"),
    ({**delegation(ISSUER, PROXY), "issuer/participant_id": STRANGER.participant_id}, "invalid-signature")])
def test_a_delegation_that_is_not_in_order_is_refused(node, document, reason):
    refused(key_put(node, document), 403, reason)


def test_a_delegation_is_published_under_its_own_id(node):
    refused(key_put(node, delegation(ISSUER, PROXY), "/key/delegation:key:2"), 403, "delegation-mismatch")


def test_only_trusted_issuers_lend_and_revoke_where_the_operator_wants_it(make):
    node = make(directory_issuers=[ISSUER.participant_id])
    assert key_put(node, delegation(ISSUER, PROXY)).status == 201
    refused(key_put(node, delegation(STRANGER, PROXY, number=2)), 403, "issuer-not-trusted")
    body = registration(NODE, STRANGER, CAP, WIRE)
    put(node, body)
    refused(post(node, "/revoke", revocation(STRANGER, body["passport"])), 403, "issuer-not-trusted")
    assert post(node, "/revoke", revocation(NODE, body["passport"], "subject")).status == 200


# --- revoking ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("signer, signed_by", [(ISSUER, "issuer"), (NODE, "subject")])
def test_a_revoked_passport_is_gone_for_good(node, signer, signed_by):
    body = registration(NODE, ISSUER, CAP, WIRE)
    put(node, body)
    revoked = revocation(signer, body["passport"], signed_by)
    answer = post(node, "/revoke", revoked)
    assert answer.status == 200 and answer.json["target"] == body["passport"]["passport_id"]
    assert found(node) == []
    refused(post(node, "/revoke", revoked), 403, "already-revoked")
    refused(put(node, {**body, "sequence/no": 9}), 403, "revoked")
    assert put(node, registration(NODE, ISSUER, CAP, WIRE, 10, number=2)).status == 201
    feed = node.get("/revocations").json
    assert feed["items"] == [{"artifact_family": "capability-passport", "artifact": revoked}] and feed["max-items"] == 100
    assert node.get(f"/revocations?since={feed['next']}").json == {"items": [], "next": feed["next"], "max-items": 100}
    node.clock.advance(1000 * DAY)
    node.rooms["directory"].sweep()
    assert len(node.get("/revocations").json["items"]) == 1, "append-only"


def test_a_passport_that_was_replaced_can_still_be_revoked(node):
    first = registration(NODE, ISSUER, CAP, WIRE)
    put(node, first)
    put(node, registration(NODE, ISSUER, CAP, WIRE, 2, number=2))
    assert post(node, "/revoke", revocation(ISSUER, first["passport"])).status == 200
    assert len(found(node)) == 1


@pytest.mark.parametrize("change, status, reason", [
    (lambda r: revocation(STRANGER, r), 403, "issuer-mismatch"),
    (lambda r: revocation(OTHER, {**r, "node_id": OTHER.node_id}, "subject"), 403, "unknown-passport"),
    (lambda r: revocation(ISSUER, {**r, "passport_id": "passport:capability:none"}), 403, "unknown-passport"),
    (lambda r: {**revocation(ISSUER, r), "reason": "added"}, 403, "invalid-signature"),
    (lambda r: revocation(STRANGER, r, "subject"), 403, "invalid-signature"),
    (lambda r: revocation(ISSUER, r, at=NOON + 301), 403, "not-yet-valid"),
    (lambda r: revocation(NODE, r, "subject", **{"issuer/participant_id": ISSUER.participant_id}), 400, "invalid-artifact"),
    (lambda r: revocation(ISSUER, r, target_id="delegation:key:1"), 400, "invalid-artifact"),
    (lambda r: {name: value for name, value in revocation(ISSUER, r).items() if name != "issuer/participant_id"}, 400,
     "invalid-artifact"),
    (lambda r: revocation(ISSUER, {**r, "capability_id": f"shop@{ISSUER.participant_id}"}), 400, "invalid-artifact"),
])
def test_who_may_not_revoke_revokes_nothing(node, change, status, reason):
    body = registration(NODE, ISSUER, CAP, WIRE)
    put(node, body)
    refused(post(node, "/revoke", change(body["passport"])), status, reason)
    assert found(node)


def test_a_lent_key_revokes_what_it_may(node):
    body = registration(NODE, ISSUER, CAP, WIRE)
    put(node, body)
    by_proxy = PROXY.sign_json({**revocation(ISSUER, body["passport"]), "issuer_delegation": proof(ISSUER, PROXY, (CAP,))})
    assert post(node, "/revoke", by_proxy).status == 200


def test_a_revoked_delegation_takes_its_passports_along(node):
    body = registration(NODE, ISSUER, CAP, WIRE, proxy=PROXY)
    put(node, body)
    key_put(node, delegation(ISSUER, PROXY))
    target = ISSUER.sign_json({"schema": "capability-passport-revocation.v1", "revocation_id": "passport-revocation:key",
                               "target_id": "delegation:key:1", "node_id": NODE.node_id, "capability_id": CAP,
                               "revoked_at": "2026-03-23T18:08:00Z",
                               "signed_by": "issuer", "issuer/participant_id": ISSUER.participant_id})
    foreign = STRANGER.sign_json({**target, "issuer/participant_id": STRANGER.participant_id})
    refused(post(node, "/revoke", foreign), 403, "issuer-mismatch")
    refused(post(node, "/revoke", ISSUER.sign_json({**target, "target_id": "delegation:key:9"})), 403, "unknown-delegation")
    assert post(node, "/revoke", target).status == 200
    assert found(node) == [] and node.get("/key/delegation:key:1").status == 404
    refused(put(node, registration(NODE, ISSUER, CAP, WIRE, 9, proxy=PROXY, number=9)), 403, "revoked")
    refused(key_put(node, delegation(ISSUER, PROXY)), 403, "revoked")


# --- official ---------------------------------------------------------------------------------------------------------

def endorse(node, document):
    return node.request("PUT", f"/cap/{document['node_id']}/{document['capability_id']}/endorsement",
                        raw=json.dumps(document).encode(), headers=JSON)


def official(node):
    return [capability["official"] for capability in node.get(f"/cap/{NODE.node_id}").json["capabilities"]]


def test_a_federation_makes_official_and_takes_back(make):
    node = make(root_document=root(ISSUER))
    word = endorsement(NODE, CAP, ISSUER)
    missing = endorse(node, word)
    assert missing.status == 409 and missing.json["reason"] == "scope-entry-missing"
    assert missing.json["retryable"] is True and missing.json["retry_after_seconds"] == 5
    put(node, registration(NODE, STRANGER, CAP, WIRE))
    assert official(node) == [False]
    assert endorse(node, word).status == 200 and endorse(node, word).status == 200
    assert official(node) == [True] and found(node, "official=true") == [(NODE.node_id, CAP)]
    assert node.get(f"/cap/{NODE.node_id}").json["capabilities"][0]["endorsement"] == word
    assert found(node, f"endorsement={word['endorsement_id']}") == [(NODE.node_id, CAP)] and found(node, "endorsement=x") == []
    refused(post(node, "/revoke/endorsement", withdrawal(word, STRANGER, subject=STRANGER.participant_id)), 403,
            "endorser-not-authorised")
    refused(post(node, "/revoke/endorsement", withdrawal(word, STRANGER)), 403, "invalid-signature")
    refused(post(node, "/revoke/endorsement", withdrawal({**word, "endorsement_id": word["endorsement_id"] + "x"}, ISSUER)), 403,
            "unknown-endorsement")
    taken = withdrawal(word, ISSUER)
    assert post(node, "/revoke/endorsement", taken).status == 200
    refused(post(node, "/revoke/endorsement", taken), 403, "already-revoked")
    assert official(node) == [False]
    refused(endorse(node, word), 403, "revoked")
    assert node.get("/revocations/endorsement").json["items"] == [{"artifact_family": "federation-service-endorsement",
                                                                   "artifact": taken}]
    assert endorse(node, endorsement(NODE, CAP, ISSUER, number=2)).status == 200 and official(node) == [True]
    refused(endorse(node, endorsement(NODE, CAP, ISSUER, number=3, at=NOON - 60)), 409, "endorsement-older")
    node.clock.advance(100 * DAY)
    assert node.get(f"/cap/{NODE.node_id}").status == 404


def test_an_endorsement_may_come_with_the_registration(make):
    node = make(root_document=root(ISSUER))
    body = {**registration(NODE, STRANGER, CAP, WIRE), "endorsement": endorsement(NODE, CAP, ISSUER)}
    bad = copy.deepcopy(body)
    bad["endorsement"]["federation_id"] = "other"
    refused(put(node, bad), 403, "federation-mismatch")
    assert found(node) == [], "whole or not at all"
    assert put(node, body).status == 201 and official(node) == [True]


@pytest.mark.parametrize("signers, status, reason", [
    (CUSTODIANS[:2], 200, ""), (CUSTODIANS, 200, ""), (CUSTODIANS[:1], 403, "custody-threshold"),
                                                     ((CUSTODIANS[0], CUSTODIANS[0]), 403, "custody-threshold"),
    ((STRANGER, ORG), 403, "invalid-signature"), ((CUSTODIANS[0], STRANGER), 403, "custody-threshold")])
def test_an_organisation_speaks_with_as_many_keys_as_its_custody_wants(make, signers, status, reason):
    node = make(root_document=root(organisation=ORG, custodians=CUSTODIANS, threshold=2, signers=CUSTODIANS))
    put(node, registration(NODE, STRANGER, CAP, WIRE))
    answer = endorse(node, endorsement(NODE, CAP, *signers, subject="org:did:key:" + ORG.key_text))
    assert answer.status == status and answer.json.get("reason", "") == reason, answer
    if status == 200:
        word = endorsement(NODE, CAP, *signers, subject="org:did:key:" + ORG.key_text)
        assert post(node, "/revoke/endorsement",
                    withdrawal(word, CUSTODIANS[2])).status == 200, "one custodian suffices to take it back"


@pytest.mark.parametrize("word, reason", [
    (endorsement(NODE, CAP, STRANGER), "endorser-not-authorised"), (endorsement(NODE, CAP, ISSUER, STRANGER),
                                                                    "custody-threshold"),
    (endorsement(NODE, CAP, STRANGER, subject=ISSUER.participant_id), "invalid-signature"),
                                          (endorsement(NODE, CAP, ISSUER, federation="other"), "federation-mismatch"),
    (endorsement(NODE, CAP, ISSUER, at=NOON - DAY, life=DAY), "expired"), (endorsement(NODE, CAP, ISSUER, at=NOON + 301),
                                                                           "not-yet-valid"),
    ({**endorsement(NODE, CAP, ISSUER), "policy_ref": "added"}, "invalid-signature")])
def test_nobody_else_makes_anything_official(make, word, reason):
    node = make(root_document=root(ISSUER))
    put(node, registration(NODE, STRANGER, CAP, WIRE))
    refused(endorse(node, word), 403, reason)
    assert official(node) == [False]


def test_an_endorsement_has_no_members_of_its_own(make):
    node = make(root_document=root(ISSUER))
    word = {**endorsement(NODE, CAP, ISSUER), "more": 1}
    answer = endorse(node, word)
    refused(answer, 400, "invalid-artifact")
    assert answer.json["errors"] == [{"pointer": "/more", "code": "unknown"}]
    refused(endorse(make("bare"), endorsement(NODE, CAP, ISSUER)), 503, "no-federation-root")


@pytest.mark.parametrize("document", [
    root(ISSUER, signers=(STRANGER,)), {**root(ISSUER), "more": 1}, {**root(ISSUER), "pack_version": "1"},
                                      root(ISSUER, version=-1),
    root(organisation=ORG, custodians=CUSTODIANS, threshold=2, signers=CUSTODIANS[:1]),
                                      {**root(ISSUER), "federation_id": "forged"}, {}])
def test_an_invalid_root_makes_nothing_official(make, document):
    node = make(root_document=document)
    put(node, registration(NODE, STRANGER, CAP, WIRE))
    refused(endorse(node, endorsement(NODE, CAP, ISSUER)), 503, "no-federation-root")
    assert "not valid" in node.rooms["directory.endorsements"].root_error


def test_a_root_never_goes_back_and_decides_anew_what_is_official(make):
    node = make(root_document=root(ISSUER, version=2))
    put(node, registration(NODE, STRANGER, CAP, WIRE))
    assert endorse(node, endorsement(NODE, CAP, ISSUER)).status == 200
    node.stop()
    for older in (root(ISSUER, version=1), root(ISSUER, STRANGER, version=2)):
        node = make(root_document=older)
        assert official(node) == [False] and "older-pack" in node.rooms["directory.endorsements"].root_error
        node.stop()
    node = make(root_document=root(STRANGER, version=3))
    assert official(node) == [False], "the endorser is no longer in the root"
    node.stop()
    word = endorsement(NODE, CAP, ISSUER)
    node = make(root_document=root(ISSUER, version=4))
    assert official(node) == [True]
    node.stop()
    node = make(root_document=root(ISSUER, version=5, federation_service_endorsement_revocations=[withdrawal(word, ISSUER)]))
    assert official(node) == [False]


def test_what_ended_days_ago_is_swept(node):
    put(node, registration(NODE, ISSUER, CAP, WIRE, life=DAY))
    key_put(node, delegation(ISSUER, PROXY))
    node.clock.advance(5 * DAY)
    room = node.rooms["directory"]
    room.sweep()
    node.clock.advance(3600)
    room.sweep()
    with node.core.reader.snapshot() as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                  for name in ("cap_registration", "cap_passport", "key_delegation")]
    assert counts == [0, 0, 0]
