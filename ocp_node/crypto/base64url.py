"""Base64 with `-` and `_`, without padding (RFC 4648 section 5), read strictly.

Python's decoder skips foreign characters and ignores trailing bits, so two texts would mean the same bytes;
here each byte string has exactly one text.
"""

from __future__ import annotations

import binascii

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def encode(raw: bytes) -> str:
    """The one text of these bytes."""
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes whose one text this is.  ValueError for every other text."""
    raw = binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4))
    if encode(raw) != text:
        raise ValueError("not canonical base64url")
    return raw
