"""JSON Web Tokens of App Mesh: HS256 and nothing else (RFC 7515, RFC 7519).

Time is passed in.  Whether the user still exists, is locked or has been logged off is the surface's to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import jsontext, limits
from ..base.compare import same
from ..base.digest import hmac_sha256
from ..base.errors import Malformed, Refusal
from . import base64url

if TYPE_CHECKING:
    from ..base.ids import Ids

ALGORITHM = "HS256"
_HEADER = base64url.encode(jsontext.compact({"alg": ALGORITHM}))
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 11


def make(claims: Mapping[str, Any], secret: bytes) -> str:
    """The token of these claims, sorted by name; the same for the same claims and secret."""
    signed = f"{_HEADER}.{base64url.encode(jsontext.compact_sorted(dict(claims)))}"
    return f"{signed}.{_mac(signed, secret)}"


def verify(token: str, secret: bytes, *, issuer: str, audience: str, now_seconds: float) -> dict[str, Any]:
    """The claims of a token of this issuer for this audience that is valid now, give or take 60 s.

    `Refusal("unauthorized")` with App Mesh's text otherwise; the signature is judged before any claim is read.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > limits.TOKEN_LENGTH_MAX or not token.isascii():
        raise _refused("invalid token supplied")
    head = _part(parts[0])
    if head.get("alg") != ALGORITHM or "crit" in head:
        raise _refused("Authentication failed: wrong algorithm")
    if not same(parts[2], _mac(f"{parts[0]}.{parts[1]}", secret)):
        raise _refused("Authentication failed: invalid signature")
    claims = _part(parts[1])
    _check_claims(claims, issuer, audience, now_seconds)
    return claims


def _mac(signed: str, secret: bytes) -> str:
    return base64url.encode(hmac_sha256(secret, signed.encode("ascii")))


def _refused(message: str) -> Refusal:
    return Refusal("unauthorized", message)


def _part(text: str) -> dict[str, Any]:
    try:
        value = jsontext.parse(base64url.decode(text))
    except (ValueError, Malformed):
        value = None
    if not isinstance(value, dict):
        raise _refused("invalid token supplied")
    return value


def _check_claims(claims: Mapping[str, Any], issuer: str, audience: str, now_seconds: float) -> None:
    if _seconds(claims, "exp", 0) + limits.TOKEN_LEEWAY_SECONDS < now_seconds:
        raise _refused("Authentication failed: token expired")
    if max(_seconds(claims, "iat", 0), _seconds(claims, "nbf", 0)) - limits.TOKEN_LEEWAY_SECONDS > now_seconds:
        raise _refused("Authentication failed: token is not valid yet")
    if claims.get("iss") != issuer:
        raise _refused("Authentication failed: token doesn't contain the required issuer")
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        raise _refused("Authentication failed: token doesn't contain the required audience")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise _refused("Authentication failed: token doesn't name a user")


def _seconds(claims: Mapping[str, Any], name: str, absent: float) -> float:
    """The claim in seconds since 1970; one that is no number is no claim of ours."""
    value = claims.get(name, absent)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refused("invalid token supplied")
    return value


def bearer(authorization: str) -> str:
    """The token in an `Authorization` value, which may lack the word `Bearer`."""
    scheme, _, rest = authorization.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else authorization.strip()


def new_id(ids: Ids) -> str:
    """A `jti`: 11 random base62 characters."""
    number = int.from_bytes(ids.bytes(16), "big")
    letters = []
    for _ in range(_ID_LENGTH):
        number, rest = divmod(number, 62)
        letters.append(_BASE62[rest])
    return "".join(letters)


def fnv1a64(data: bytes) -> int:
    """The 64-bit FNV-1a hash: a name for a token without `jti`, never a proof of anything."""
    state = 0xCBF29CE484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


def revocation_key(token: str, claims: Mapping[str, Any]) -> str:
    """What a revoked token is remembered by: its `jti`, else `H` and the hash of its text."""
    jti = claims.get("jti")
    return jti if isinstance(jti, str) and jti else f"H{fnv1a64(token.encode())}"
