"""How the directory words its answers: `{"status", "reason", …}`; a client may branch on `reason` alone.

Outside the other surfaces' authentication on purpose: a signature is the only credential here, whoever brings it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base.errors import Malformed, Problem, Refusal
from ..contract.route import Headers, Reply, Route
from ..http.dialect import Dialect
from ..http.router import decoded
from .shape import is_node_id

if TYPE_CHECKING:
    from ..http.app import Exchange
    from ..http.wire import Head

STATUSES: Mapping[str, int] = {
    "invalid-node-id": 400, "malformed-request": 400, "malformed-json": 400, "invalid-advertisement": 400,
                               "invalid-artifact": 400,
    "invalid-cursor": 400, "invalid-limit": 400, "invalid-query": 400, "invalid-capability-id": 400,
    "unauthorized": 401,
    "capability-id-mismatch": 403, "capability-not-advertised": 403, "revoked": 403, "delegation-mismatch": 403,
                               "delegation-expired": 403,
    "delegation-scope": 403, "issuer-mismatch": 403, "issuer-not-trusted": 403, "unknown-passport": 403,
                               "unknown-delegation": 403,
    "unknown-endorsement": 403, "already-revoked": 403, "federation-mismatch": 403, "endorser-not-authorised": 403,
                               "custody-threshold": 403,
    "delegation-chain": 403, "scope-entry-missing": 409, "delegation-exists": 409, "endorsement-older": 409,
                               "succession-exists": 409,
    "node-id-mismatch": 403, "key-mismatch": 403, "invalid-signature": 403, "expired": 403, "not-yet-valid": 403,
                               "policy-denied": 403,
    "not-found": 404, "unknown-route": 404, "method-not-allowed": 405, "request-timeout": 408, "stale-sequence": 409,
    "cursor-unknown": 410, "length-required": 411, "body-too-large": 413, "unsupported-media-type": 415,
    "source-rate-limit": 429, "publisher-rate-limit": 429, "identity-rate-limit": 429,
                               "capability-registration-limit-exceeded": 429,
    "rate-limited": 429, "planned": 501,
    "directory-full": 503, "storage-unavailable": 503, "overloaded": 503, "attestation_unavailable": 503,
                               "no-federation-root": 503,
}
# What the edge refuses by itself, in this surface's words.
EDGE_REASONS: Mapping[str, str] = {"too_large": "body-too-large", "busy": "overloaded"}
WIRE_REASONS: Mapping[int, str] = {400: "malformed-request", 408: "request-timeout", 411: "length-required",
                                   413: "body-too-large",
                                   414: "uri-too-long", 415: "unsupported-media-type", 417: "expectation-failed",
                                   431: "header-too-large", 501: "unsupported-coding", 503: "overloaded",
                                   505: "unsupported-version"}
_PROTOCOL = ("E_PROTO_INVALID", "protocol/invalid-contract")
_REJECTED = ("E_TRANSPORT_REJECTED", "transport/rejected")
# The frozen networking codes, where one fits.  A stale sequence has one too, but its body is frozen without it.
CODES: Mapping[str, tuple[str, str]] = {
    "malformed-json": _PROTOCOL, "invalid-advertisement": _PROTOCOL, "invalid-node-id": _PROTOCOL, "node-id-mismatch": _PROTOCOL,
    "not-yet-valid": _PROTOCOL, "key-mismatch": ("E_SIG_UNKNOWN_SIGNER", "signature/unknown-signer"),
    "invalid-signature": ("E_SIG_INVALID", "signature/invalid"), "expired": ("E_ADV_EXPIRED", "advertisement/expired"),
    "source-rate-limit": _REJECTED, "publisher-rate-limit": _REJECTED, "identity-rate-limit": _REJECTED,
                                        "directory-full": _REJECTED,
    "policy-denied": _REJECTED, "storage-unavailable": ("E_TRANSPORT_UNAVAILABLE", "transport/unavailable"),
}
TRACE_CODES: Mapping[str, tuple[str, str]] = {**CODES, "stale-sequence": ("E_ADV_STALE_SEQ", "advertisement/stale-sequence")}
FROZEN = frozenset({"stale-sequence", "not-found"})
RETRY_SECONDS = 5
POINTER_LENGTH_MAX = 300
ANYONE: Headers = (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "ETag, Adv-Cursor, Adv-Match"))


class DirectoryDialect(Dialect):
    """The seed directory and its catalogue."""

    surface = "directory"
    prefixes = ("/adv", "/cap", "/key", "/revoke", "/revocations", "/succession", "/directory")
    statuses = STATUSES
    host_check = False
    origin_check = False
    json_only = False                          # `admit` looks at it: an absent media type is accepted here
    length_required = False                    # and at the length, in the order that the protocol demands
    folds_slashes = False
    body_empty_is_object = False
    body_seconds = 10.0

    def admit(self, exchange: Exchange, rooms: Any) -> None:
        rooms["directory"].admit(exchange)

    def refusal(self, refusal: Refusal, route: Route | None, head: Head | None) -> Reply:
        reason = EDGE_REASONS.get(refusal.code) or refusal.code.replace("_",
                                                                        "-") if refusal.code not in STATUSES else refusal.code
        status = self.status(route, reason)
        body: dict[str, object] = {"status": _status_word(reason, status), "reason": reason}
        if reason == "not-found":
            del body["reason"]
        if reason not in FROZEN:
            body.update(_named(head))
        body.update(refusal.detail)
        return Reply(_coded(body, reason, status, refusal.headers), status, refusal.headers)

    def malformed(self, malformed: Malformed, route: Route | None, head: Head | None) -> Reply:
        reason = malformed.code if malformed.code in STATUSES else "invalid-artifact"
        body: dict[str, object] = {"status": "rejected", "reason": reason, **_named(head)}
        _coded(body, reason, 400, ())
        if malformed.problems:
            body["errors"] = [{"pointer": _pointer(problem), "code": problem.code} for problem in malformed.problems]
        return Reply(body, 400)

    def unmatched(self, method: str, path: str, allowed: tuple[str, ...]) -> Reply:
        if not allowed:
            return Reply({"status": "not-found", "reason": "unknown-route"}, 404)
        allow = (("Allow", ", ".join(allowed)),)
        if method == "OPTIONS":
            return Reply(None, 204, (*allow, *ANYONE, ("Access-Control-Allow-Methods", "GET, HEAD"),
                                     ("Access-Control-Allow-Headers", "If-None-Match, Last-Event-ID")) if "GET" in allowed
                         else allow)
        return Reply({"status": "rejected", "reason": "method-not-allowed"}, 405, allow)

    def wire(self, status: int, reason: str) -> Reply:
        word = WIRE_REASONS.get(status, "malformed-request")
        return Reply({"status": _status_word(word, status), "reason": word, "detail": reason}, status)

    def fault(self, error_id: str) -> Reply:
        return Reply({"status": "unavailable", "reason": "internal", "error-id": error_id}, 500)

    def unstored(self, error_id: str) -> Reply:
        headers = (("Retry-After", str(RETRY_SECONDS)),)
        body: dict[str, object] = {"status": "unavailable", "reason": "storage-unavailable", "error-id": error_id}
        return Reply(_coded(body, "storage-unavailable", 503, headers), 503, headers)

    def busy(self, what: str, seconds: int = 1) -> Reply:
        return Reply({"status": "unavailable", "reason": "overloaded", "retry-after-seconds": seconds}, 503,
                     (("Retry-After", str(seconds)),))


def _pointer(problem: Problem) -> str:
    """Where the problem is.  Names of the sender's own may stand in it, so it is cut short and made encodable."""
    return problem.pointer()[:POINTER_LENGTH_MAX].encode("utf-8", "replace").decode()


def _status_word(reason: str, status: int) -> str:
    return {404: "not-found", 409: "conflict", 429: "rate-limited", 501: "unavailable", 503: "unavailable"}.get(status,
                                                                                                                "rejected")


def _named(head: Head | None) -> dict[str, object]:
    """The node that the path names, when it names one."""
    parts = head.path.split("/") if head is not None else []
    if len(parts) == 3 and parts[1] == "adv":
        node_id = decoded(parts[2])
        if is_node_id(node_id):
            return {"node/id": node_id}
    return {}


def _coded(body: dict[str, object], reason: str, status: int, headers: Headers) -> dict[str, object]:
    """The body with the networking code of its reason, and for a caller who should come back, when."""
    if reason in CODES:
        body["error/code"], body["error/class"] = CODES[reason]
    for name, value in headers if status in (429, 503) else ():
        if name == "Retry-After":
            body["retry-after-seconds"] = int(value)
    return body


DIALECT = DirectoryDialect()
