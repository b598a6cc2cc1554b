"""What tokens are asked for, how long they live, and how a cookie carries them (App Mesh, tokens)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Any

from ...base.errors import Refusal

AUDIENCE = "appmesh-service"
FILE_AUDIENCE = "appmesh-file-service"
REFRESH_AUDIENCE = "appmesh-refresh"
AUDIENCES = (AUDIENCE, FILE_AUDIENCE, "your-service-api")
SECONDS_DEFAULT = 604_800
SECONDS_MAX = 2_592_000
COOKIE = "appmesh_auth_token"
FAILURES_MAX = 10                 # failed log-ins of one user, and of one address ...
FAILURES_SECONDS = 300.0          # ... in this time
UNSAFE = frozenset({"POST", "PUT", "DELETE"})
NO_STORE = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
_SECONDS = re.compile(r"[0-9]{1,18}\Z")


def expire_seconds(text: str) -> int:
    """The life that `X-Expire-Seconds` asks for: absent and 0 are a week, and more than 30 days are 30."""
    text = text.strip()
    if text and not _SECONDS.match(text):
        raise Refusal("invalid_request", "Invalid token expire seconds")
    return min(int(text or 0) or SECONDS_DEFAULT, SECONDS_MAX)


def refresh_seconds(seconds: int) -> int:
    """The life of a refresh token beside an access token of `seconds`."""
    return min(SECONDS_MAX, max(2 * seconds, seconds + 3600))


def basic(authorization: str) -> tuple[str, str]:
    """Name and password of a Basic header; a password may hold `:` (RFC 7617)."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        raise Refusal("invalid_request", "unrecognized authorization type")
    try:
        name, mark, password = binascii.a2b_base64(rest.strip(), strict_mode=True).decode().partition(":")
    except ValueError:
        raise Refusal("invalid_request", "invalid Basic credentials") from None
    if not mark:
        raise Refusal("invalid_request", "invalid Basic credentials")
    return name, password


def not_internal(audience: str) -> None:
    """Nobody asks for what only this node hands out."""
    if audience in (FILE_AUDIENCE, REFRESH_AUDIENCE):
        raise Refusal("invalid_request", "illegal audience")


def listed(audience: str) -> str:
    """An audience that tokens are made for."""
    if audience not in AUDIENCES:
        raise Refusal("invalid_request", f"Audience <{audience[:64]}> verification failed")
    return audience


def wants_cookie(headers: Mapping[str, str]) -> bool:
    return headers.get("x-set-cookie", "").strip().lower() in ("true", "1")


def wants_refresh(headers: Mapping[str, str]) -> bool:
    return headers.get("x-refresh-token-request", "") == "true"


def cookie_token(headers: Mapping[str, str]) -> str:
    """The token in the request's cookies; "" when there is none."""
    for part in headers.get("cookie", "").split(";"):
        name, mark, value = part.strip().partition("=")
        if mark and name == COOKIE:
            return value.strip().strip('"')
    return ""


def set_cookie(token: str, seconds: int, secure: bool) -> tuple[str, str]:
    return "Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{'; Secure' if secure else ''}"


def clear_cookie(secure: bool) -> tuple[str, str]:
    return "Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"


def own_origin(method: str, headers: Mapping[str, str]) -> None:
    """A request that a cookie speaks for comes from a page of this very host, or from no page at all (App Mesh, CSRF)."""
    origin = headers.get("origin")
    if method not in UNSAFE or origin is None:
        return
    if origin.partition("://")[2].lower() != headers.get("host", "").lower() or not headers.get("host"):
        raise Refusal("policy_denied", "CSRF validation failed: origin not allowed")


def claims(*, issuer: str, subject: str, audience: str, roles: tuple[str, ...], issued: int, seconds: int,
           token_id: str) -> dict[str, Any]:
    """The claims of a token; roles in it inform, they decide nothing."""
    access = {"appmesh-service": {"roles": list(roles)}} if roles else None
    return {"iss": issuer, "sub": subject, "aud": audience, "iat": issued, "exp": issued + seconds, "jti": token_id,
            "resource_access": access}


def issued_at(now: float, token_epoch: int) -> int:
    """The second a new token is made in; later than the one that ended all tokens before it."""
    return max(int(now), token_epoch + 1)
