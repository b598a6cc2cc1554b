"""One-time codes against the published and captured vectors."""

from __future__ import annotations

import base64

import pytest

from ocp_node.base.ids import CountedIds, Ids
from ocp_node.crypto import totp
from tests.support.vectors import load

CASES = load("appmesh", "test_vectors")["totp_sha1_6_30"]
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"        # RFC 6238 appendix B: "12345678901234567890"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['secret_base32'][:4]}-{case['unix']}")
def test_vectors(case):
    assert totp.code(case["secret_base32"], case["unix"]) == case["code"]
    assert totp.matching_step(case["secret_base32"], case["code"], case["unix"]) == case["unix"] // 30


@pytest.mark.parametrize("steps, accepted", [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_one_step_either_way_is_accepted(steps, accepted):
    now = 1_111_111_109
    found = totp.matching_step(SECRET, totp.code(SECRET, now + 30 * steps), now)
    assert (found is not None) is accepted
    if accepted:
        assert found == now // 30 + steps


def test_a_code_is_good_once():
    now = 2_000_000_000
    step = totp.matching_step(SECRET, totp.code(SECRET, now), now)
    assert totp.matching_step(SECRET, totp.code(SECRET, now), now, used_step=step) is None
    assert totp.matching_step(SECRET, totp.code(SECRET, now - 30), now, used_step=step) is None
    assert totp.matching_step(SECRET, totp.code(SECRET, now + 30), now + 30, used_step=step) == step + 1


@pytest.mark.parametrize("given", ["", "12345", "1234567", "abcdef", "２８７０８２", " 287082", "287082\n", "\ud800"])
def test_what_is_no_code_matches_nothing(given):
    assert totp.matching_step(SECRET, given, 59) is None


def test_at_the_beginning_of_time_there_is_no_step_before():
    assert totp.matching_step(SECRET, totp.code(SECRET, 0), 0) == 0


@pytest.mark.parametrize("secret", [SECRET.lower(), f" {SECRET} "])
def test_a_secret_may_be_typed_in_other_ways(secret):
    assert totp.code(secret, 59) == "287082"


@pytest.mark.parametrize("secret", ["1", "A", "!!!!!!!!", "ABC1", "é"])
def test_what_is_not_base32_is_no_secret(secret):
    with pytest.raises(ValueError):
        totp.code(secret, 0)


def test_a_new_secret_has_160_bits_in_32_characters():
    secret = totp.new_secret(Ids())
    assert len(secret) == 32 and len(base64.b32decode(secret)) == 20
    assert totp.new_secret(CountedIds()) == "A" * 31 + "B"


def test_the_uri_is_what_a_phone_scans():
    assert base64.b64decode(totp.uri("alice", SECRET)).decode() == f"otpauth://totp/alice?secret={SECRET}&issuer=AppMesh"
    assert base64.b64decode(totp.uri("a b?&", SECRET)).decode() == f"otpauth://totp/a%20b%3F%26?secret={SECRET}&issuer=AppMesh"


def test_a_challenge_is_random_and_kept_as_its_digest():
    text, digest = totp.new_challenge(Ids())
    assert len(text) == 64 and text != digest == totp.challenge_digest(text)
    assert totp.new_challenge(Ids())[0] != text
    assert totp.challenge_digest("\ud800") != digest
