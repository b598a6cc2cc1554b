"""Comparing secrets in a time that does not tell where they differ."""

from __future__ import annotations

try:        # what `hmac` offers, without loading OpenSSL for it
    from _operator import _compare_digest as compare_digest
except ImportError:
    from hmac import compare_digest  # type: ignore[no-redef]

__all__ = ["same"]


def same(left: str | bytes, right: str | bytes) -> bool:
    """Whether two secrets are equal.  Any characters; only their lengths can be told from the time."""
    return compare_digest(_as_bytes(left), _as_bytes(right))


def _as_bytes(secret: str | bytes) -> bytes:
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
