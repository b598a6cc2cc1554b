"""Digests without OpenSSL, whose 3.6 MB a node that only digests short texts never needs.

For content of megabytes `hashlib` is the better choice: OpenSSL uses the processor's own instructions.
"""

from __future__ import annotations

import importlib
from typing import Any


def _built_in(name: str, *modules: str) -> Any:
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"this Python has no {name}")


sha256 = _built_in("sha256", "_sha2", "_sha256", "hashlib")      # Python 3.12 on, 3.11, and any that was built without them
blake2b = _built_in("blake2b", "_blake2", "hashlib")

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC with SHA-256 (RFC 2104): 32 bytes."""
    padded = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    made: bytes = sha256(padded.translate(_OUTER) + sha256(padded.translate(_INNER) + message).digest()).digest()
    return made
