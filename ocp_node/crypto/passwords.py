"""Password hashes of App Mesh: `$pbkdf2$<iterations>$<32 hex salt>$<64 hex key>`, PBKDF2-HMAC-SHA-256.

One hash of 600,000 iterations costs about 0.1 s of a desktop's core (2 s of a small board's) while other threads run:
hash in the worker lane, and bound how many run at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..base.compare import same

if TYPE_CHECKING:
    from ..base.ids import Ids

ITERATIONS = 600_000
ITERATIONS_MIN = 100_000        # of a stored hash that is still believed
ITERATIONS_MAX = 1_000_000
SALT_BYTES = 16
KEY_BYTES = 32
_STORED = re.compile(r"\$pbkdf2\$([1-9][0-9]{5,6})\$([0-9a-fA-F]{32})\$([0-9a-fA-F]{64})\Z")
_NOBODY = b"nobody has this salt"[:SALT_BYTES]


def new(password: str, ids: Ids, iterations: int = ITERATIONS) -> str:
    """The hash to store for a password, with a salt of its own."""
    return hashed(password, ids.bytes(SALT_BYTES), iterations)


def hashed(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The stored form for this salt (16 bytes).  ValueError for an iteration count that `matches` would not believe."""
    if not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX or len(salt) != SALT_BYTES:
        raise ValueError("iterations or salt out of range")
    return f"$pbkdf2${iterations}${salt.hex()}${_derived(password, salt, iterations).hex()}"


def matches(password: str, stored: str | None) -> bool:
    """Whether `password` is the one behind `stored`.

    False, after the same work, for None and for what is not a hash: a caller cannot tell whether a user exists.
    """
    parts = _STORED.match(stored or "")
    iterations = int(parts[1]) if parts else ITERATIONS
    if parts is None or not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
        _derived(password, _NOBODY, ITERATIONS)
        return False
    return same(_derived(password, bytes.fromhex(parts[2]), iterations), bytes.fromhex(parts[3]))


def is_hash(text: str) -> bool:
    """Whether a text has the stored form and a believable iteration count."""
    parts = _STORED.match(text)
    return parts is not None and ITERATIONS_MIN <= int(parts[1]) <= ITERATIONS_MAX


def outdated(stored: str, iterations: int = ITERATIONS) -> bool:
    """Whether a hash was made with fewer iterations than new ones: hash again when the password is next shown."""
    parts = _STORED.match(stored)
    return parts is None or int(parts[1]) < iterations


def _derived(password: str, salt: bytes, iterations: int) -> bytes:
    import hashlib
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), salt, iterations, KEY_BYTES)
