"""Codes, proofs and words."""

from __future__ import annotations

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.invitations import rules
from ocp_node.mesh.invitations.words import WORDS

TICKET = rules.Ticket("http://10.0.0.7:8421", "ab" * 16, "0123456789abcdef", b"s" * 16, "trusted", 1_800_000_000)
KEY, OTHER, OWN = "11" * 32, "22" * 32, "33" * 32
OPEN = rules.Invitation("i", "trusted", 1000.0)


def test_a_code_says_what_its_ticket_said_with_blanks_around_it_too():
    assert rules.ticket(f"  {rules.code(TICKET)}\n") == TICKET


@pytest.mark.parametrize("text", ["", "ocp-join:", "ocp-join:!!!!", rules.code(TICKET)[:-3], "ocp-join:W10", "ocp-join:" + "A" * 4000,
                                  rules.code(TICKET._replace(trust_tier="self")), rules.code(TICKET._replace(secret=b"short"))])
def test_what_is_no_code_is_refused(text):
    with pytest.raises(Refusal) as caught:
        rules.ticket(text)
    assert caught.value.message == "this is no invitation code"


def test_a_proof_is_good_for_one_pair_of_keys():
    proofs = {rules.proof(secret, joining, inviting) for secret in (b"a" * 16, b"b" * 16) for joining in (KEY, OTHER) for inviting in (KEY, OTHER)}
    assert len(proofs) == 8


def test_somebody_in_between_makes_the_words_differ():
    assert rules.words(b"a" * 16, KEY, OWN) == rules.words(b"a" * 16, KEY, OWN) and len(rules.words(b"a" * 16, KEY, OWN)) == 4
    assert rules.words(b"a" * 16, KEY, OWN) != rules.words(b"a" * 16, OTHER, OWN)


def test_there_is_a_word_for_every_byte():
    assert len(set(WORDS)) == 256


@pytest.mark.parametrize("invitation, now, code", [
    (None, 0.0, "policy_denied"), (OPEN, 1000.0, "policy_denied"), (OPEN, 999.0, ""), (OPEN._replace(used_by="p", used_key=KEY), 999.0, ""),
    (OPEN._replace(used_by="q", used_key=KEY), 999.0, "invalid_state"), (OPEN._replace(used_by="p", used_key=OTHER), 999.0, "invalid_state")])
def test_who_may_use_an_invitation(invitation, now, code):
    if not code:
        assert rules.check(invitation, "p", KEY, now) is invitation
    else:
        with pytest.raises(Refusal) as caught:
            rules.check(invitation, "p", KEY, now)
        assert caught.value.code == code


@pytest.mark.parametrize("offered", [None, "x", {}, {"id": 1, "proof": "x"}, {"id": "x"}])
def test_a_handshake_without_an_invitation_shows_none(offered):
    assert rules.shown(offered) is None
