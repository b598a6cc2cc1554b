"""Treaties: terms in one form, who must sign, when they are in force."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.treaties import rules
from ocp_node.mesh.treaties.rules import Signature, Treaty

NOW, LATER, LONG_AGO = "2026-11-21T21:13:40Z", "2026-11-21T22:00:00Z", "2020-01-01T00:00:00Z"
NODE = "Alpha-Node"


def proposed(known: Treaty | None = None, now: str = NOW, **wanted: Any) -> Treaty:
    return rules.settled(rules.proposed({"title": "t", **wanted}, known, "treaty/1", NODE, now), NODE, now)


def signature(peer_id: str) -> Signature:
    return Signature(peer_id, "treaty/1", "ab" * 64, "cd" * 32, NOW)


def signed(treaty: Treaty, peer_id: str, terms: dict[str, Any] | None = None) -> tuple[Treaty, bool]:
    return rules.accepted(treaty, terms or rules.terms_of(treaty), signature(peer_id), NODE, LATER)


# --- terms

def test_a_document_has_every_member_of_the_protocol() -> None:
    assert proposed().document == {
        "treaty_type": "continuity", "parties": [], "allowed_execution_classes": [], "artifact_export": "restricted",
        "witness_required": False, "custody_mode": "local_or_sanctuary", "revival_mode": "approval",
        "continuity_scope": "mission", "habitat_allow": [], "habitat_deny": [], "review_window": "", "notes": ""}


def test_a_document_is_normalised_and_keeps_what_it_does_not_know() -> None:
    treaty = proposed(treaty_type="Storage", parties=[], document={
        "treaty_type": "ignored", "party_ids": ["P1", "p1"], "execution_classes": ["A", "a"], "artifact_export": "Sealed",
        "witness_required": "yes", "custody_mode": "Mine", "habitat_allow": ["Sanctuary"], "x_extra": {"a": 1}})
    document = treaty.document
    assert treaty.treaty_type == document["treaty_type"] == "storage" and treaty.parties == document["parties"] == ["p1"]
    assert (document["allowed_execution_classes"], document["artifact_export"]) == (["a"], "sealed")
    assert document["witness_required"] is True
    assert (document["custody_mode"], document["habitat_allow"], document["x_extra"]) == ("mine", ["sanctuary"], {"a": 1})
    assert document["party_ids"] == ["P1", "p1"]                                 # an alias survives as an unknown member
    assert proposed(parties=["q"], document={"parties": ["p"]}).parties == ["q"]
    assert proposed(document={"artifact_export": "everything"}).document["artifact_export"] == "restricted"


@pytest.mark.parametrize("wanted, text", [
    ({"title": " "}, "treaty title is required"), ({"document": "d"}, "document must be an object"),
    ({"document": {"parties": "abc"}}, "document.parties must be an array"), ({"parties": [1]}, "parties[0] must be a string"),
    ({"expires_at": "never"}, "expires_at must be an ISO-8601 timestamp"),
    ({"document": {"notes": "n" * 70_000}}, "document is larger than 65536 bytes"),
    ({"document": {"witness_required": "perhaps"}}, "document.witness_required must be a boolean"),
])
def test_what_is_no_treaty_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as caught:
        proposed(**wanted)
    assert (caught.value.code, caught.value.message) == ("invalid_request", text)


@pytest.mark.parametrize("word, status", [(None, "active"), ("", "active"), ("Revoked", "revoked"), ("zzz", "draft")])
def test_a_proposal_is_meant_to_be_in_force_unless_it_says_otherwise(word: Any, status: str) -> None:
    assert proposed(status=word).status == status


# --- whose signatures

@pytest.mark.parametrize("parties, status, required", [
    ([], "active", []), (["alpha-node"], "active", []), (["ALPHA-node"], "active", []),
    (["alpha-node", "Beta"], "draft", ["beta"]), (["beta", "gamma"], "draft", ["beta", "gamma"]),
])
def test_a_treaty_waits_for_all_other_parties(parties: list[str], status: str, required: list[str]) -> None:
    treaty = proposed(parties=parties)
    assert (treaty.status, rules.required(treaty, NODE)) == (status, required)
    assert treaty.ratified_at == (NOW if status == "active" else "")
    shown = rules.treaty_json(treaty, NODE)["metadata"]
    assert shown == ({"ratification": {"required": required, "signed": [], "signatures": []}} if required else {})


def test_the_last_signature_puts_it_in_force() -> None:
    treaty = proposed(parties=["alpha-node", "beta", "gamma"], metadata={"m": 1, "ratification": {"signed": ["beta"]}})
    treaty, new = signed(treaty, "gamma")
    assert new and treaty.status == "draft" and rules.signed(treaty, NODE) == ["gamma"]
    assert signed(treaty, "gamma") == (treaty, False)
    treaty, new = signed(treaty, "beta")
    assert new and (treaty.status, treaty.ratified_at) == ("active", LATER)
    shown = rules.treaty_json(treaty, NODE)["metadata"]
    assert shown["m"] == 1 and shown["ratification"]["signed"] == ["beta", "gamma"]        # in the order of the parties


TERMS: dict[str, Any] = {"title": "other", "treaty_type": "storage", "parties": ["alpha-node", "beta", "delta"],
                         "document": {"artifact_export": "sealed"}, "expires_at": LATER}


@pytest.mark.parametrize("member", TERMS)
def test_changing_a_term_voids_the_signatures(member: str) -> None:
    wanted: dict[str, Any] = {"parties": ["alpha-node", "beta"]}
    treaty, _ = signed(proposed(**wanted), "beta")
    assert treaty.status == "active" and proposed(treaty, **wanted).status == "active"
    changed = proposed(treaty, **{**wanted, member: TERMS[member]})
    assert changed.signatures == [] and (changed.status, changed.ratified_at) == ("draft", "")


@pytest.mark.parametrize("changes", [{"summary": "other"}, {"metadata": {"k": 1}}])
def test_changing_what_nobody_signed_keeps_the_signatures(changes: dict[str, Any]) -> None:
    treaty, _ = signed(proposed(parties=["beta"]), "beta")
    assert proposed(treaty, parties=["beta"], **changes).status == "active"


@pytest.mark.parametrize("wanted, peer_id, terms, code, text", [
    ({"parties": ["beta"]}, "gamma", {}, "policy_denied", "peer is not a party of this treaty"),
    ({"parties": ["alpha-node", "beta"]}, "alpha-node", {}, "policy_denied", "peer is not a party of this treaty"),
    ({"parties": ["beta"], "status": "revoked"}, "beta", {}, "invalid_state", "treaty is not open for signatures"),
    ({"parties": ["beta"], "status": "draft"}, "beta", {}, "invalid_state", "treaty is not open for signatures"),
    ({"parties": ["beta"]}, "beta", {"title": "x"}, "conflict", "treaty terms differ"),
    ({"parties": ["beta"]}, "beta", {"expires_at": LATER}, "conflict", "treaty terms differ"),
])
def test_a_signature_without_a_place_is_refused(wanted: dict[str, Any], peer_id: str, terms: dict[str, Any], code: str,
                                                text: str) -> None:
    treaty = proposed(**wanted)
    with pytest.raises(Refusal) as caught:
        signed(treaty, peer_id, {**rules.terms_of(treaty), **terms})
    assert (caught.value.code, caught.value.message) == (code, text)


def test_ids_compare_without_case() -> None:
    treaty = proposed(parties=["beta"])
    assert signed(treaty, "beta", {**rules.terms_of(treaty), "id": "TREATY/1"})[1]
    assert rules.unique_ids([" Treaty/1", "treaty/1", "", "Treaty/2"]) == ["Treaty/1", "Treaty/2"]
    with pytest.raises(Refusal, match="not the id in the path"):
        rules.sent_terms({"treaty": {"id": "treaty/2"}, "signature": ""}, "treaty/1")


# --- changing and being in force

def test_a_change_keeps_who_began_it_and_when() -> None:
    first = proposed(created_by_peer_id="beta", metadata={"m": 1})
    second = proposed(first, LATER, title="v2", created_by_peer_id="gamma")
    assert (second.created_by_peer_id, second.created_at, second.updated_at, second.metadata) == ("beta", NOW, LATER, {})
    assert second.title == "v2" and second.ratified_at == LATER


def test_a_pause_is_remembered_with_its_beginning() -> None:
    paused = proposed(status="suspended")
    assert paused.suspended_at == NOW and paused.ratified_at == ""
    assert proposed(paused, LATER, status="suspended").suspended_at == NOW
    active = proposed(paused, LATER)
    assert (active.status, active.suspended_at) == ("active", NOW)
    assert proposed(active, LATER, status="suspended").suspended_at == LATER


@pytest.mark.parametrize("status, expires_at, status_now", [
    ("active", "", "active"), ("active", LATER, "active"), ("active", LONG_AGO, "expired"), ("active", NOW, "active"),
    ("suspended", LONG_AGO, "suspended"), ("draft", LONG_AGO, "draft"),
])
def test_a_treaty_past_its_end_is_not_in_force(status: str, expires_at: str, status_now: str) -> None:
    assert rules.as_of(proposed()._replace(status=status, expires_at=expires_at), NOW).status == status_now


@pytest.mark.parametrize("required, satisfied, missing, inactive, words", [
    ([], True, [], [], "are satisfied"), (["T/1"], True, [], [], "are satisfied"), (["t/2"], False, [], ["t/2"], "not active"),
    (["t/9", "t/2"], False, ["t/9"], ["t/2"], "missing"),
])
def test_an_operation_is_told_what_it_lacks(required: list[str], satisfied: bool, missing: list[str], inactive: list[str],
                                            words: str) -> None:
    found = {"t/1": proposed()._replace(id="t/1"), "t/2": proposed(status="suspended")._replace(id="t/2")}
    result = rules.validation(required, found, "export", NODE)
    assert (result["satisfied"], result["missing"], result["inactive"]) == (satisfied, missing, inactive)
    assert result["required"] == required
    assert [each["id"] for each in result["matched"]] == [each.lower() for each in required if each.lower() in found]
    assert words in rules.guidance(result)
