"""One-time codes by time (RFC 6238): HMAC-SHA-1, 6 digits, 30 seconds, one step either way."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from ..base.compare import same

if TYPE_CHECKING:
    from ..base.ids import Ids

STEP_SECONDS = 30
DIGITS = 6
WINDOW_STEPS = 1
SECRET_BYTES = 20               # 160 bits: 32 base32 characters
CHALLENGE_BYTES = 32


def new_secret(ids: Ids) -> str:
    """A random secret: 32 base32 characters, no padding."""
    return base64.b32encode(ids.bytes(SECRET_BYTES)).decode("ascii")


def code(secret: str, seconds: float) -> str:
    """The 6 digits of the step that `seconds` since 1970 falls in.  ValueError when `secret` is not base32."""
    return _code(_key(secret), int(seconds) // STEP_SECONDS)


def matching_step(secret: str, given: str, now_seconds: float, used_step: int = -1) -> int | None:
    """The step whose code `given` is: this one, the one before or the one after, but later than `used_step`; else None.

    Keep the step that was found and pass it as `used_step` next time: then no code is good twice.
    """
    key, present = _key(secret), int(now_seconds) // STEP_SECONDS
    found = None
    for step in range(max(0, present - WINDOW_STEPS), present + WINDOW_STEPS + 1):
        if same(_code(key, step), given) and step > used_step:      # compared first, so that time tells nothing
            found = step
    return found


def _key(secret: str) -> bytes:
    text = secret.strip().upper().rstrip("=")
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("a secret is base32") from None


def _code(key: bytes, step: int) -> str:
    import hmac
    digest = hmac.digest(key, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start:start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def uri(user: str, secret: str) -> str:
    """The `mfa_uri` of App Mesh: the base64 of what a phone scans."""
    from urllib.parse import quote
    return base64.b64encode(f"otpauth://totp/{quote(user, safe='@')}?secret={secret}&issuer=AppMesh".encode()).decode("ascii")


def new_challenge(ids: Ids) -> tuple[str, str]:
    """A challenge for the second step of a log-in, and the digest to keep of it: 256 random bits, single use."""
    text = ids.bytes(CHALLENGE_BYTES).hex()
    return text, challenge_digest(text)


def challenge_digest(text: str) -> str:
    """The SHA-256 hex under which a challenge is looked up; the challenge itself is not kept."""
    import hashlib
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
