"""The door to signatures: what holds, and what never does."""

from __future__ import annotations

import pytest

from ocp_node.base.ids import CountedIds
from ocp_node.crypto import keys
from tests.support.vectors import load

VECTORS = load("mesh", "envelope_vectors")
SEED = bytes.fromhex(VECTORS["keys"][0]["seed_hex"])
PUBLIC = bytes.fromhex(VECTORS["keys"][0]["public_key_hex"])
L = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize("key", VECTORS["keys"], ids=lambda key: key["node_id"])
def test_a_seed_has_the_published_public_key(key):
    assert keys.public_key(bytes.fromhex(key["seed_hex"])).hex() == key["public_key_hex"]


@pytest.mark.parametrize("case", VECTORS["negative"], ids=lambda case: case["id"])
def test_no_negative_vector_verifies(case):
    assert keys.verify_hex(case["public_key_hex"], case["message_utf8"].encode(), case["signature_hex"]) is False


def test_a_signature_is_64_bytes_and_both_ways_to_make_it_agree():
    signature = keys.sign(SEED, b"message")
    assert len(signature) == 64
    assert signature == keys.sign_with(keys.secret_key(SEED), b"message")
    assert keys.verify(PUBLIC, b"message", signature)


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_one_flipped_bit_breaks_a_signature(place):
    signature = bytearray(keys.sign(SEED, b"message"))
    signature[place] ^= 1
    assert not keys.verify(PUBLIC, b"message", bytes(signature))


def test_a_signature_whose_scalar_was_raised_by_the_group_order_is_refused():
    signature = keys.sign(SEED, b"message")
    raised = int.from_bytes(signature[32:], "little") + L
    assert not keys.verify(PUBLIC, b"message", signature[:32] + raised.to_bytes(32, "little"))


SMALL_ORDER = ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "00" * 31 + "80", "01" + "00" * 30 + "80",
               "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
               "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"]


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_key_of_small_order_verifies_nothing(public):
    for r in SMALL_ORDER:
        assert not keys.verify(bytes.fromhex(public), b"any", bytes.fromhex(r) + bytes(32))


@pytest.mark.parametrize("public, signature", [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_wrong_lengths_are_just_false(public, signature):
    assert keys.verify(bytes(public), b"message", bytes(signature)) is False


def test_a_byte_too_many_behind_a_good_key_or_signature_is_noticed():
    signature = keys.sign(SEED, b"message")
    assert not keys.verify(PUBLIC + b"\0", b"message", signature)
    assert not keys.verify(PUBLIC, b"message", signature + b"\0")
    assert not keys.verify(PUBLIC, b"message", signature + b"m") and not keys.verify(PUBLIC, b"essage", signature + b"m")


@pytest.mark.parametrize("call", [lambda: keys.sign(b"short", b""), lambda: keys.public_key(bytes(33)),
                                  lambda: keys.sign_with(bytes(32), b""), lambda: keys.secret_key(b"")])
def test_a_key_of_the_wrong_length_is_our_own_mistake(call):
    with pytest.raises(ValueError):
        call()


@pytest.mark.parametrize("text, count, found", [
    ("00ff", 2, b"\x00\xff"), ("00FF", 2, b"\x00\xff"), ("00f", 2, b""), ("00ff00", 2, b""), ("0 0f", 2, b""), (" 00f", 2, b""),
    ("00fg", 2, b""), ("٠٠٠٠", 2, b""), (None, 2, b""), (b"00ff", 2, b""), (7, 2, b""), ("0x12", 2, b""), ("", 2, b"")])
def test_hex_is_read_strictly(text, count, found):
    assert keys.hex_bytes(text, count) == found


def test_a_hex_signature_may_be_in_upper_case_and_nothing_else_looser():
    signature = keys.sign(SEED, b"m").hex()
    assert keys.verify_hex(PUBLIC.hex().upper(), b"m", signature.upper())
    for wrong in (signature + " ", " " + signature[1:], signature[:126], signature[:-1] + "x", None, 5):
        assert not keys.verify_hex(PUBLIC.hex(), b"m", wrong)


def test_a_new_seed_comes_from_the_given_source():
    assert keys.new_seed(CountedIds()) == (1).to_bytes(32, "big")


def test_the_backend_has_a_name():
    assert keys.backend_name() in ("pynacl", "libsodium")
