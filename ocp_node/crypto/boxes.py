"""Secrets at rest, keyed digests and key agreement.

Sealing is XSalsa20-Poly1305 (`crypto_secretbox`): a 24-byte random nonce stands in front of each box.
From the one key of a node `derive` makes one for each purpose and name, so that a sealed value cannot be moved
to another name, and a digest says nothing to who lacks the key.
"""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.digest import blake2b, hmac_sha256
from ..base.errors import Unusable
from . import files
from .keys import hex_bytes
from .sodium import KEY_BYTES, NONCE_BYTES, TAG_BYTES, sodium

if TYPE_CHECKING:
    from ..base.ids import Ids

SEALED_PREFIX = "v1:"           # of a text column that holds a sealed value


class CannotOpen(Exception):
    """A sealed value was not sealed with this key, or its bytes have changed."""


def seal(key: bytes, plaintext: bytes, nonce: bytes) -> bytes:
    """The nonce and the box.  `nonce` has 24 bytes and must never be used twice with one key: draw it at random."""
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("a key has 32 bytes and a nonce 24")
    return nonce + sodium().seal(key, plaintext, nonce)


def open(key: bytes, sealed: bytes) -> bytes:
    """The plain text of what `seal` gave.  `CannotOpen` for another key or changed bytes."""
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise CannotOpen
    plaintext = sodium().open(key, sealed[NONCE_BYTES:], sealed[:NONCE_BYTES])
    if plaintext is None:
        raise CannotOpen
    return plaintext


def seal_text(key: bytes, text: str, ids: Ids) -> str:
    """`text` sealed for a database column: `v1:` and base64."""
    sealed = seal(key, text.encode(), ids.bytes(NONCE_BYTES))
    return SEALED_PREFIX + binascii.b2a_base64(sealed, newline=False).decode("ascii")


def open_text(key: bytes, column: str) -> str:
    """The text of what `seal_text` gave.  `CannotOpen` for another key, changed or other text."""
    if not is_sealed(column):
        raise CannotOpen
    try:
        return open(key, binascii.a2b_base64(column[len(SEALED_PREFIX):].encode("ascii"), strict_mode=True)).decode()
    except ValueError:                              # not base64, not ASCII
        raise CannotOpen from None


def is_sealed(column: str) -> bool:
    """Whether a column holds a sealed value; others are clear text from before."""
    return column.startswith(SEALED_PREFIX)


def derive(key: bytes, label: str, *names: str) -> bytes:
    """32 bytes that belong to this purpose and these names alone: keyed BLAKE2b-256 over them, joined by zero bytes.

    ValueError for a zero byte inside, which would make two different lists look the same.
    """
    parts = (label, *names)
    if len(key) != KEY_BYTES or any("\0" in part for part in parts):
        raise ValueError("a key has 32 bytes and a name no zero byte")
    made: bytes = blake2b("\0".join(parts).encode(), digest_size=KEY_BYTES, key=key).digest()
    return made


def keyed_digest(key: bytes, value: bytes) -> str:
    """HMAC-SHA-256 as 64 hex digits: equal for equal values, and no way back without the key."""
    return hmac_sha256(key, value).hex()


def load_key(path: Path) -> bytes:
    """The 32 bytes in a key file that must be there: raw, or as 64 hex digits.  `Unusable` otherwise."""
    key = _read_key(path)
    if key is None:
        raise Unusable(f"there is no key file {path}")
    return key


def load_or_make_key(path: Path, ids: Ids) -> bytes:
    """The node's 32 secret bytes: those in the file, else new ones that are in the file (0600) and on the disk.

    `Unusable`, and nothing overwritten, when the file is damaged or can be read by other users.
    """
    key = _read_key(path)
    if key is not None:
        return key
    files.make_directory(path.parent)
    try:
        files.create(path, made := ids.bytes(KEY_BYTES), ids)
        return made
    except FileExistsError:                         # another process of this node was first
        return load_key(path)


def _read_key(path: Path) -> bytes | None:
    raw = files.read(path, refuse_shared=True)
    if raw is None or len(raw) == KEY_BYTES:
        return raw
    key = hex_bytes(raw.decode("latin-1").strip(), KEY_BYTES)
    if not key:
        raise Unusable(f"key file {path} is damaged (it needs 32 bytes or 64 hex digits): restore it from a backup; "
                       "what was sealed with it cannot be read without it")
    return key


def exchange_public(secret: bytes) -> bytes:
    """The X25519 public key (RFC 7748) of 32 secret bytes."""
    if len(secret) != KEY_BYTES:
        raise ValueError("an X25519 secret has 32 bytes")
    return sodium().exchange_public(secret)


def exchange(secret: bytes, public: bytes) -> bytes:
    """The 32 bytes that both sides of an X25519 exchange get; hash them before use.

    `CannotOpen` for a public key of small order, with which anyone could know the result.
    """
    if len(secret) != KEY_BYTES or len(public) != KEY_BYTES:
        raise ValueError("X25519 keys have 32 bytes")
    shared = sodium().exchange(secret, public)
    if shared is None:
        raise CannotOpen
    return shared
