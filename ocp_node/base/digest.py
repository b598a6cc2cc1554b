"""Digests of short texts without OpenSSL, whose 3.6 MB a node that only compares ETags never needs.

For content of megabytes `hashlib` is the better choice: OpenSSL uses the processor's own instructions.
"""

from __future__ import annotations

try:
    from _sha2 import sha256             # Python 3.12 on
except ImportError:
    try:
        from _sha256 import sha256       # type: ignore[import-not-found, no-redef]   # Python 3.11
    except ImportError:
        from hashlib import sha256       # type: ignore[assignment]

__all__ = ["sha256"]
