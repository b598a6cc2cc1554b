"""Password hashes against the captured vectors."""

from __future__ import annotations

import pytest

from ocp_node.base.ids import Ids
from ocp_node.crypto import passwords
from tests.support.vectors import load

CASES = load("appmesh", "test_vectors")["pbkdf2"]
STORED = CASES[0]["stored"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["password"])
def test_vectors(case):
    assert passwords.hashed(case["password"], bytes.fromhex(case["salt_hex"]), case["iterations"]) == case["stored"]
    assert passwords.matches(case["password"], case["stored"])
    assert not passwords.matches(case["password"] + " ", case["stored"])


def test_a_new_hash_has_its_own_salt_and_many_iterations():
    first, second = passwords.new("secret", Ids()), passwords.new("secret", Ids())
    assert first != second and first.startswith("$pbkdf2$600000$")
    assert passwords.matches("secret", first) and not passwords.matches("Secret", first)
    assert passwords.is_hash(first) and not passwords.outdated(first)


@pytest.mark.parametrize("stored",
                         [None, "", "secret", "$pbkdf2$100000$00$00", STORED + "\n", STORED[:-1],
                          STORED.replace("100000", "99999"),
                                    STORED.replace("100000", "1000001"), STORED.replace("100000", "9999999"),
                                    STORED.replace("100000", "0100000"),
                                    STORED.replace("pbkdf2", "bcrypt")])
def test_what_is_not_a_hash_matches_no_password(stored):
    assert not passwords.matches("admin123", stored)
    assert stored is None or not passwords.is_hash(stored)


@pytest.mark.parametrize("iterations", [100_000, 600_000, 1_000_000])
def test_believable_iteration_counts(iterations):
    stored = STORED.replace("100000", str(iterations))
    assert passwords.is_hash(stored)
    assert passwords.outdated(stored) is (iterations < 600_000)


@pytest.mark.parametrize("iterations, salt", [(99_999, bytes(16)), (1_000_001, bytes(16)), (100_000, bytes(15))])
def test_a_hash_that_would_not_be_believed_is_not_made(iterations, salt):
    with pytest.raises(ValueError):
        passwords.hashed("x", salt, iterations)


def test_the_most_iterations_that_are_believed_can_be_made_and_checked():
    assert passwords.matches("x", passwords.hashed("x", bytes(16), 1_000_000))


@pytest.mark.parametrize("password", ["", "a:b", "ż" * 100, "\ud800", "\0"])
def test_any_text_can_be_a_password(password):
    stored = passwords.new(password, Ids(), 100_000)
    assert passwords.matches(password, stored) and not passwords.matches(password + "x", stored)
