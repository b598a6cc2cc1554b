"""Ed25519 (RFC 8032, pure): the only place that signs or verifies.

A signature costs about 20 us, a verification about 50 us, and other threads run meanwhile:
verify in the worker lane.  Keys and signatures are bytes here; `hex_bytes` reads their wire form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sodium import KEY_BYTES, SECRET_KEY_BYTES, SIGNATURE_BYTES, NoSignatures, sodium

if TYPE_CHECKING:
    from ..base.ids import Ids

__all__ = ["NoSignatures", "SIGNATURE_SCHEME", "backend_name", "hex_bytes", "new_seed", "public_key", "secret_key", "sign",
           "sign_with", "verify", "verify_hex"]

SIGNATURE_SCHEME = "ed25519-sha512-v1"      # OCP 0.1's name for pure Ed25519 with hex keys and signatures


def backend_name() -> str:
    """`pynacl` or `libsodium`: where signatures come from here.  `NoSignatures` when from nowhere."""
    return sodium().name


def new_seed(ids: Ids) -> bytes:
    """32 random bytes, the private key in its portable form."""
    return ids.bytes(KEY_BYTES)


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed.  ValueError for another length."""
    return secret_key(seed)[KEY_BYTES:]


def secret_key(seed: bytes) -> bytes:
    """The 64 bytes that `sign_with` takes: the seed, then its public key.  ValueError for a seed of another length."""
    if len(seed) != KEY_BYTES:
        raise ValueError("an Ed25519 seed has 32 bytes")
    return sodium().secret_key(seed)


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message`; the same for the same seed and message every time."""
    return sodium().sign(secret_key(seed), message)


def sign_with(secret: bytes, message: bytes) -> bytes:
    """`sign` for who keeps the result of `secret_key`: half the cost.

    `secret` must come from `secret_key`: a signature made with a foreign public key in it would give the seed away.
    """
    if len(secret) != SECRET_KEY_BYTES:
        raise ValueError("an Ed25519 secret key has 64 bytes")
    return sodium().sign(secret, message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `message` by the holder of `public`.

    libsodium's rules: S below the group order, canonical keys, no small-order key or R.  Wrong lengths are just False.
    """
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    return sodium().verify(public, message, signature)


def verify_hex(public_hex: object, message: bytes, signature_hex: object) -> bool:
    """`verify` for the mesh's wire form; anything that is not 64 and 128 hex digits is just False."""
    return verify(hex_bytes(public_hex, KEY_BYTES), message, hex_bytes(signature_hex, SIGNATURE_BYTES))


def hex_bytes(text: object, count: int) -> bytes:
    """The `count` bytes that exactly `2 * count` hex digits spell (either case, no blanks), else no bytes at all."""
    if not isinstance(text, str) or len(text) != 2 * count:
        return b""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return b""
    return raw if len(raw) == count else b""        # fewer: blanks stood between digits
