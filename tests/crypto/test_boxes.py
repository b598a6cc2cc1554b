"""Secrets at rest and the key file they depend on."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import threading
from pathlib import Path

import pytest

from ocp_node.base.errors import Unusable
from ocp_node.base.ids import CountedIds, Ids
from ocp_node.crypto import boxes

KEY, NONCE = bytes(range(32)), bytes(range(24))

# The secretbox example of the NaCl papers (tests/secretbox.c): key, nonce, message, box
NACL_KEY = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
NACL_NONCE = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
NACL_MESSAGE = bytes.fromhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31"
    "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864"
    "5e0705")
NACL_BOX = bytes.fromhex(
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972"
    "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3"
    "7973f622a43d14a6599b1f654cb45a74e355a5")


def test_sealing_is_that_of_nacl():
    assert boxes.seal(NACL_KEY, NACL_MESSAGE, NACL_NONCE) == NACL_NONCE + NACL_BOX
    assert boxes.open(NACL_KEY, NACL_NONCE + NACL_BOX) == NACL_MESSAGE


@pytest.mark.parametrize("plaintext", [b"", b"x", b"\0" * 1000])
def test_what_was_sealed_opens(plaintext):
    sealed = boxes.seal(KEY, plaintext, NONCE)
    assert len(sealed) == 24 + 16 + len(plaintext)
    assert boxes.open(KEY, sealed) == plaintext


@pytest.mark.parametrize("place", [0, 23, 24, 39, 40, -1])
def test_one_changed_byte_is_noticed(place):
    sealed = bytearray(boxes.seal(KEY, b"secret value", NONCE))
    sealed[place] ^= 1
    with pytest.raises(boxes.CannotOpen):
        boxes.open(KEY, bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", bytes(39), boxes.seal(KEY, b"", NONCE)[:-1], boxes.seal(bytes(32), b"x", NONCE)])
def test_what_is_cut_or_of_another_key_does_not_open(sealed):
    with pytest.raises(boxes.CannotOpen):
        boxes.open(KEY, sealed)


@pytest.mark.parametrize("call",
                         [lambda: boxes.seal(b"k", b"", NONCE), lambda: boxes.seal(KEY, b"", b"n"),
                          lambda: boxes.open(b"k", bytes(50)),
                          lambda: boxes.derive(b"k", "l"), lambda: boxes.exchange(b"s", KEY),
                          lambda: boxes.exchange_public(b"")])
def test_a_key_of_the_wrong_length_is_our_own_mistake(call):
    with pytest.raises(ValueError):
        call()


def test_a_column_holds_a_sealed_text_under_a_fresh_nonce():
    first, second = boxes.seal_text(KEY, "pässword", Ids()), boxes.seal_text(KEY, "pässword", Ids())
    assert first != second and first.startswith("v1:") and boxes.is_sealed(first) and "ssword" not in first
    assert boxes.open_text(KEY, first) == boxes.open_text(KEY, second) == "pässword"


@pytest.mark.parametrize("column", ["", "clear text", "v1:", "v1:!!!!", "v2:AAAA", "v1:" + "A" * 100, "v1:é"])
def test_a_column_of_other_text_does_not_open(column):
    with pytest.raises(boxes.CannotOpen):
        boxes.open_text(KEY, column)


def test_derived_keys_follow_their_definition_and_differ_by_every_name():
    expected = hashlib.blake2b(b"ocp-secret-v1\0mesh.ops\0api-token", digest_size=32, key=KEY).digest()
    assert boxes.derive(KEY, "ocp-secret-v1", "mesh.ops", "api-token") == expected
    others = {boxes.derive(KEY, *names) for names in [("ocp-secret-v1",), ("ocp-secret-v1", "mesh.ops"),
                                                      ("ocp-digest-v1", "mesh.ops", "api-token"),
                                                      ("ocp-secret-v1", "mesh", "ops.api-token"),
                                                      ("ocp-secret-v1", "api-token", "mesh.ops")]}
    assert len(others) == 5 and expected not in others


def test_a_zero_byte_in_a_name_is_refused_because_two_lists_would_look_the_same():
    with pytest.raises(ValueError):
        boxes.derive(KEY, "ocp-secret-v1", "a\0b", "c")


def test_a_sealed_value_cannot_be_moved_to_another_name():
    sealed = boxes.seal_text(boxes.derive(KEY, "ocp-secret-v1", "s", "one"), "value", Ids())
    with pytest.raises(boxes.CannotOpen):
        boxes.open_text(boxes.derive(KEY, "ocp-secret-v1", "s", "two"), sealed)


def test_a_keyed_digest_is_hmac_sha_256():
    assert boxes.keyed_digest(KEY, b"value") == hmac.new(KEY, b"value", hashlib.sha256).hexdigest()
    assert boxes.keyed_digest(KEY, b"value") != boxes.keyed_digest(bytes(32), b"value")


def test_two_sides_agree_on_a_secret_and_a_small_order_key_is_refused():
    left, right = bytes(range(32)), bytes(range(32, 64))
    assert boxes.exchange(left, boxes.exchange_public(right)) == boxes.exchange(right, boxes.exchange_public(left))
    with pytest.raises(boxes.CannotOpen):
        boxes.exchange(left, bytes(32))


def test_a_key_file_is_made_once_and_private(tmp_path: Path):
    path = tmp_path / "identity" / "secrets.key"
    key = boxes.load_or_make_key(path, Ids())
    assert len(key) == 32 and boxes.load_or_make_key(path, Ids()) == key == boxes.load_key(path)
    assert path.read_bytes() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == ["secrets.key"]


def test_the_umask_does_not_matter(tmp_path: Path):
    before = os.umask(0o777)
    try:
        path = tmp_path / "secrets.key"
        boxes.load_or_make_key(path, CountedIds())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("written",
                         [bytes(range(32)), bytes(range(32)).hex().encode(), bytes(range(32)).hex().upper().encode() + b"\n"])
def test_an_operators_key_may_be_raw_or_hex(tmp_path: Path, written: bytes):
    path = tmp_path / "secrets.key"
    path.write_bytes(written)
    path.chmod(0o600)
    assert boxes.load_key(path) == bytes(range(32))


@pytest.mark.parametrize("written", [b"", b"short", bytes(31), bytes(33), b"zz" * 32, b"\n", bytes(70_000)])
def test_a_damaged_key_file_stops_the_node_and_is_left_as_it_is(tmp_path: Path, written: bytes):
    path = tmp_path / "secrets.key"
    path.write_bytes(written)
    path.chmod(0o600)
    for load in (lambda: boxes.load_or_make_key(path, Ids()), lambda: boxes.load_key(path)):
        with pytest.raises(Unusable) as caught:
            load()
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == written


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_key_file_that_others_can_use_stops_the_node(tmp_path: Path, mode: int):
    path = tmp_path / "secrets.key"
    path.write_bytes(bytes(32))
    path.chmod(mode)
    with pytest.raises(Unusable) as caught:
        boxes.load_or_make_key(path, Ids())
    assert "chmod 600" in str(caught.value)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_key_file_that_must_be_there_is_missed(tmp_path: Path):
    with pytest.raises(Unusable) as caught:
        boxes.load_key(tmp_path / "none.key")
    assert "none.key" in str(caught.value)


def test_threads_that_start_together_get_one_key(tmp_path: Path):
    path, keys, gate = tmp_path / "secrets.key", [], threading.Barrier(8)

    def start() -> None:
        gate.wait()
        keys.append(boxes.load_or_make_key(path, Ids()))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8 and set(keys) == {path.read_bytes()}
