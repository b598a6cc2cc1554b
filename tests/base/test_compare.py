"""Comparing secrets of any characters."""

from __future__ import annotations

import pytest

from ocp_node.base.compare import same


@pytest.mark.parametrize("left, right, equal", [
    ("a", "a", True), ("a", "b", False), ("", "", True), ("a", "", False), ("é", "é", True), ("é", "e", False),
    ("\ud800", "\ud800", True),
    (b"a", "a", True), (b"\xff", "\xff", False)])
def test_secrets_are_compared_as_bytes(left, right, equal):
    assert same(left, right) is equal


@pytest.mark.parametrize("key_length", [0, 1, 20, 63, 64, 65, 131, 200])
def test_our_hmac_is_that_of_the_standard_library(key_length: int) -> None:
    import hashlib
    import hmac
    import random

    from ocp_node.base import digest
    chance = random.Random(key_length)
    for length in (0, 1, 55, 64, 1000):
        key, message = chance.randbytes(key_length), chance.randbytes(length)
        assert digest.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")
        assert digest.sha256(message).digest() == hashlib.sha256(message).digest()
        assert digest.blake2b(message, digest_size=32, key=key[:64]).digest() == hashlib.blake2b(message, digest_size=32, key=key[:64]).digest()
