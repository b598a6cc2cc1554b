"""Digests of short texts without OpenSSL, whose 3.6 MB a node that only compares ETags never needs.

For content of megabytes `hashlib` is the better choice: OpenSSL uses the processor's own instructions.
"""

from __future__ import annotations

import importlib
from typing import Any


def _built_in() -> Any:
    for name in ("_sha2", "_sha256", "hashlib"):     # Python 3.12 on, 3.11, and any that was built without them
        try:
            return importlib.import_module(name).sha256
        except (ImportError, AttributeError):
            continue
    raise ImportError("this Python has no SHA-256")


sha256 = _built_in()
