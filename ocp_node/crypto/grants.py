"""Capability grants (OCP 0.1, enforced): a node lets a named peer read one of its artifacts, for a while.

Only the node that serves an artifact grants it, so issuer and audience are the same node and its own key proves both.
The peer shows the grant with a proof made by its own key for this one request; a stolen grant alone opens nothing.
`rejection` judges all that needs no database; uses, revocation and the proof's nonce are `spent`, inside the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import jsontext, limits
from ..base.clock import instant_seconds, instant_text
from ..base.errors import Malformed, Refusal
from ..base.records import record
from . import base64url, canonical, keys

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..base.ids import Ids
    from .identity import Identity

GRANT_HEADER = "X-OCP-Capability-Grant"
PROOF_HEADER = "X-OCP-Grant-Proof"
READ = "artifact.read"
REQUIRED = ("grant_id", "issuer_peer_id", "subject_peer_id", "audience_peer_id", "scope", "issued_at", "expires_at",
            "signature_scheme", "signature")
_SHOWN = ("grant_id", "issuer_peer_id", "subject_peer_id", "audience_peer_id", "scope", "expires_at")
_SCOPE_TEXTS = ("action", "artifact_id", "digest", "path")
_PROVEN = ("grant_id", "method", "nonce", "path", "timestamp")


@record
class Presented:
    """A grant and the proof that came with it, decoded and not yet believed."""
    grant: Mapping[str, Any]
    proof: Mapping[str, Any]

    @property
    def grant_id(self) -> str:
        return _text(self.grant, "grant_id")

    @property
    def subject_peer_id(self) -> str:
        return _text(self.grant, "subject_peer_id")

    @property
    def nonce(self) -> str:
        """To be used once for this subject."""
        return _text(self.proof, "nonce")

    @property
    def uses_max(self) -> int:
        """How many content deliveries the grant is good for."""
        return _uses_max(_object(self.grant.get("scope")))


@record
class Asked:
    """The request a grant is shown for."""
    method: str
    path: str                       # without query
    artifact_id: str
    digest: str                     # SHA-256 hex, with or without `sha256:`


def sign(identity: Identity, grant: Mapping[str, Any]) -> dict[str, Any]:
    """The grant with this node's signature over all its other members; an earlier signature is replaced."""
    unsigned = {**_unsigned(grant), "signature_scheme": keys.SIGNATURE_SCHEME}
    return {**unsigned, "signature": identity.sign(canonical.mesh(unsigned)).hex()}


def _unsigned(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "signature"}


def issue(identity: Identity, grant_id: str, subject_peer_id: str, scope: Mapping[str, Any], *, lifetime_seconds: int,
          now_seconds: float, nonce: str) -> dict[str, Any]:
    """A signed grant of this node for `subject_peer_id`, valid from now for `lifetime_seconds` (at most a day).

    `Refusal("invalid_request")` for a lifetime, scope or action that this node does not enforce.
    """
    if not 1 <= lifetime_seconds <= limits.GRANT_LIFETIME_SECONDS_MAX:
        raise Refusal("invalid_request", f"expires_in_seconds must be between 1 and {limits.GRANT_LIFETIME_SECONDS_MAX}")
    if not subject_peer_id:
        raise Refusal("invalid_request", "subject_peer_id is required")
    parties = {"issuer_peer_id": identity.node_id, "subject_peer_id": subject_peer_id, "audience_peer_id": identity.node_id}
    times = {"issued_at": instant_text(now_seconds), "expires_at": instant_text(int(now_seconds) + lifetime_seconds)}
    return sign(identity, {"grant_id": grant_id, **parties, "scope": _enforceable(scope), **times, "nonce": nonce})


def _enforceable(scope: Mapping[str, Any]) -> dict[str, Any]:
    if not _text(scope, "action"):
        raise Refusal("invalid_request", "scope action is required")
    reason = _scope_reason(scope)
    if reason:
        raise Refusal("invalid_request", reason)
    return {name: scope[name] for name in (*_SCOPE_TEXTS, "max_uses") if name in scope}


def _scope_reason(scope: Mapping[str, Any]) -> str:
    """Why this node could not keep to the scope, or ""."""
    if scope.get("action") != READ:
        return "scope action is not supported"
    if any(not isinstance(scope.get(name, ""), str) for name in _SCOPE_TEXTS):
        return "scope members must be texts"
    if _uses_max(scope) < 1:
        return f"scope max_uses must be an integer between 1 and {limits.GRANT_USES_MAX}"
    if scope.get("constraints"):
        return "scope constraints are not supported"
    return ""


def _uses_max(scope: Mapping[str, Any]) -> int:
    uses = scope.get("max_uses", 1)
    return uses if type(uses) is int and 1 <= uses <= limits.GRANT_USES_MAX else 0


def validate(grant: Mapping[str, Any], now_seconds: float) -> dict[str, Any]:
    """The protocol's report on a grant's shape and expiry: `status` ok, expired or invalid, and `issues` in order.

    It does not look at the signature: the puller of an artifact cannot judge it, the serving node does (`rejection`).
    """
    issues = [_issue(name, "required field is missing") for name in REQUIRED if grant.get(name) in (None, "")]
    scope = grant.get("scope")
    if scope not in (None, "") and not isinstance(scope, Mapping):
        issues.append(_issue("scope", "scope must be an object"))
    if isinstance(scope, Mapping) and not _text(scope, "action"):
        issues.append(_issue("scope.action", "scope action is required"))
    expired = _expiry_issue(grant, now_seconds)
    issues += [expired] if expired else []
    status = "ok" if not issues else "expired" if expired and expired["message"] == _EXPIRED else "invalid"
    return {"status": status, **{name: grant.get(name, {} if name == "scope" else "") for name in _SHOWN}, "issues": issues}


_EXPIRED = "capability grant is expired"


def _expiry_issue(grant: Mapping[str, Any], now_seconds: float) -> dict[str, str] | None:
    expires_at = grant.get("expires_at")
    if expires_at in (None, ""):
        return None
    try:
        return _issue("expires_at", _EXPIRED) if _instant(expires_at) <= now_seconds else None
    except ValueError:
        return _issue("expires_at", "expires_at must be an ISO-8601 timestamp")


def _issue(path: str, message: str) -> dict[str, str]:
    return {"path": path, "message": message}


def redacted(grant: Mapping[str, Any], status: str = "declared") -> dict[str, Any]:
    """What may be stored and shown of a grant: never its signature or nonce.

    `status` is `declared`, or `used` when the grant opened content.
    """
    shown = {name: grant[name] for name in _SHOWN if grant.get(name)}
    return {"type": "capability_grant", "status": status, "redacted": True, **shown}


def present(identity: Identity, grant: Mapping[str, Any], method: str, path: str, clock: Clock, ids: Ids) -> dict[str, str]:
    """The two headers that show `grant` for one request, with this node as its subject; `path` without query."""
    proof = {"grant_id": grant.get("grant_id"), "method": method, "path": path, "timestamp": clock.text(), "nonce": ids.hex(32)}
    signature = identity.sign(canonical.mesh(proof)).hex()
    return {GRANT_HEADER: base64url.encode(canonical.mesh(grant)),
            PROOF_HEADER: base64url.encode(canonical.mesh({**proof, "signature": signature}))}


def read(headers: Mapping[str, str]) -> Presented | None:
    """What a request shows, by lower-case header names; None when it shows no grant.

    `Refusal("unauthorized")` whose message is the reason, when the headers are there but cannot be read.
    """
    grant, proof = headers.get(GRANT_HEADER.lower(), ""), headers.get(PROOF_HEADER.lower(), "")
    if not grant:
        return None
    if not proof:
        raise Refusal("unauthorized", "the proof is missing")
    return Presented(grant=_decoded(grant, "grant"), proof=_decoded(proof, "proof"))


def _decoded(text: str, what: str) -> Mapping[str, Any]:
    try:
        value = jsontext.parse(base64url.decode(text)) if len(text) <= limits.GRANT_HEADER_LENGTH_MAX else None
    except (ValueError, Malformed):
        value = None
    if not isinstance(value, dict):
        raise Refusal("unauthorized", f"the {what} cannot be read")
    return value


def rejection(presented: Presented, asked: Asked, node_id: str, node_key_hex: str, subject_key_hex: str, subject_tier: str,
              now_seconds: float) -> str:
    """Why the grant does not open what is asked, or "" when only `spent` is left to check.

    `subject_key_hex` is the pinned key of the stored peer `presented.subject_peer_id`, "" when it is not known.
    """
    return (_grant_reason(presented.grant, node_id, node_key_hex, now_seconds)
            or _scope_reason(presented.grant["scope"])
            or _reach_reason(presented.grant["scope"], asked)
            or _subject_reason(presented, subject_key_hex, subject_tier)
            or _proof_reason(presented, asked, subject_key_hex, now_seconds))


def _grant_reason(grant: Mapping[str, Any], node_id: str, node_key_hex: str, now_seconds: float) -> str:
    issues = validate(grant, now_seconds)["issues"]
    if issues:
        return str(issues[0]["message"])
    if grant["audience_peer_id"] != node_id or grant["issuer_peer_id"] != node_id:
        return "issuer and audience must be this node"
    if grant["signature_scheme"] != keys.SIGNATURE_SCHEME or not _signed_by(node_key_hex, grant):
        return "signature verification failed"
    return _lifetime_reason(grant, now_seconds)


def _lifetime_reason(grant: Mapping[str, Any], now_seconds: float) -> str:
    try:
        issued, expires = _instant(grant["issued_at"]), _instant(grant["expires_at"])
    except ValueError:
        return "issued_at must be an ISO-8601 timestamp"
    if issued > now_seconds + limits.SIGNED_SKEW_SECONDS:
        return "issued in the future"
    return "lifetime is longer than a day" if expires - issued > limits.GRANT_LIFETIME_SECONDS_MAX else ""


def _signed_by(key_hex: str, document: Mapping[str, Any]) -> bool:
    return keys.verify_hex(key_hex, canonical.mesh(_unsigned(document)), document.get("signature"))


def _reach_reason(scope: Mapping[str, Any], asked: Asked) -> str:
    if scope.get("artifact_id") and scope["artifact_id"] != asked.artifact_id:
        return "scope names another artifact"
    if scope.get("digest") and _bare(scope["digest"]) != _bare(asked.digest):
        return "scope names another digest"
    return "scope names another path" if scope.get("path") and scope["path"] != asked.path else ""


def _bare(digest: str) -> str:
    return digest.lower().removeprefix("sha256:")


def _subject_reason(presented: Presented, subject_key_hex: str, subject_tier: str) -> str:
    if not subject_key_hex:
        return "subject is not a known peer"
    return f"peer {presented.subject_peer_id} is blocked" if subject_tier == "blocked" else ""


def _proof_reason(presented: Presented, asked: Asked, subject_key_hex: str, now_seconds: float) -> str:
    proof = presented.proof
    wanted = (presented.grant["grant_id"], asked.method, asked.path)
    if (proof.get("grant_id"), proof.get("method"), proof.get("path")) != wanted:
        return "proof is for another request"
    if not presented.nonce or len(presented.nonce) > limits.SIGNED_ID_LENGTH_MAX:
        return "proof nonce is missing or too long"
    if not keys.verify_hex(subject_key_hex, canonical.mesh({name: proof.get(name) for name in _PROVEN}), proof.get("signature")):
        return "proof signature verification failed"
    try:
        fresh = abs(_instant(proof["timestamp"]) - int(now_seconds)) <= limits.SIGNED_SKEW_SECONDS
    except (ValueError, KeyError):
        fresh = False
    return "" if fresh else "proof has a stale or future timestamp"


def spent(presented: Presented, uses: int, *, revoked: bool, nonce_used: bool) -> str:
    """Why a grant that passed `rejection` opens nothing any more, or "": judged inside the change that counts the use."""
    if revoked:
        return "grant is revoked"
    if nonce_used:
        return "proof was used before"
    return "" if uses < presented.uses_max else "grant has no uses left"


def _instant(value: object) -> float:
    """Seconds since 1970; a time without a zone is UTC.  ValueError when it is no time."""
    if not isinstance(value, str) or len(value) > limits.TIMESTAMP_LENGTH_MAX:
        raise ValueError("not a time")
    try:
        return instant_seconds(value.strip())
    except ValueError:
        return instant_seconds(value.strip() + "Z")
    except OverflowError:
        raise ValueError("not a time") from None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value.strip() if isinstance(value, str) else ""
