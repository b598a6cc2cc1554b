"""Each byte string has one text."""

from __future__ import annotations

import random

import pytest

from ocp_node.crypto import base64url


@pytest.mark.parametrize("raw, text", [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff\xbf", "-_-_")])
def test_known_texts(raw, text):
    assert base64url.encode(raw) == text
    assert base64url.decode(text) == raw


@pytest.mark.parametrize("text",
                         ["Zg==", "Zh", "Z", "Zm9v\n", " Zm9v", "Zm 9v", "+/+/", "Zm9v=", "Zgé", "\ud800", "ZZZZZ", "-_-_\0"])
def test_every_other_text_is_refused(text):
    with pytest.raises(ValueError):
        base64url.decode(text)


def test_random_bytes_come_back():
    dice = random.Random(4648)
    for length in range(70):
        raw = dice.randbytes(length)
        assert base64url.decode(base64url.encode(raw)) == raw
