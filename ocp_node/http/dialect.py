"""How a surface words its answers.  The base class is the plain form `{"error": text, "code": word}` of the node and the mesh;
App Mesh, OSCP and the directory override what their protocols word differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.errors import Malformed, Refusal
from ..contract.route import Reply, Route

if TYPE_CHECKING:
    from .app import Exchange
    from .wire import Head

UNSTORED_SECONDS = 5                 # until a change that the disk refused is worth another try

# The status of every refusal code of the node and the mesh; a route may differ in its `refusals`.
STATUSES: Mapping[str, int] = {
    "invalid_json": 400, "invalid_request": 400, "protocol_validation": 400, "job_failed": 400, "no_target": 400,
    "unsupported": 400,
    "unauthorized": 401, "signature_required": 401, "bad_signature": 401, "stale_timestamp": 401, "unknown_peer": 401,
    "identity_mismatch": 401, "key_changed": 401,
    "host_not_allowed": 403, "origin_not_allowed": 403, "policy_denied": 403,
    "not_found": 404, "method_not_allowed": 405, "request_timeout": 408,
    "replayed_nonce": 409, "lease_conflict": 409, "conflict": 409, "invalid_state": 409,
    "length_required": 411, "too_large": 413, "uri_too_long": 414, "unsupported_media_type": 415, "unprocessable": 422,
    "upgrade_required": 426, "rate_limited": 429, "internal": 500, "corrupted": 500, "planned": 501,
    "peer_unreachable": 502, "peer_refused": 502, "busy": 503, "peer_timeout": 504, "cannot_start": 400,
}
WIRE_CODES: Mapping[int, str] = {400: "invalid_request", 408: "request_timeout", 411: "length_required", 413: "too_large",
                                 414: "uri_too_long",
                                 415: "unsupported_media_type", 417: "expectation_failed", 431: "header_too_large",
                                 501: "unsupported_coding",
                                 503: "busy", 505: "unsupported_version"}


class Dialect:
    """The wording of one surface.  An instance holds no state."""

    surface = "node"
    prefixes: tuple[str, ...] = ("/",)         # paths whose unmatched requests this surface answers
    statuses: Mapping[str, int] = STATUSES
    media_type = "application/json"
    host_check = True                          # refuse a Host that is not ours (DNS rebinding)
    origin_check = True                        # refuse unsafe methods from foreign pages
    json_only = True                           # a body must be declared application/json
    length_required = False                    # a route that reads a body refuses a request that declares none
    folds_slashes = True                       # `//a` is `/a`
    body_empty_is_object = True                # an absent body and `null` act as `{}`
    body_seconds = 0.0                         # from a body's first byte to its last; 0 = the edge's own bound

    def path(self, path: str) -> str:
        """The path under which routes are looked up."""
        return fold(path) if self.folds_slashes and path.startswith("//") else path

    def admit(self, exchange: Exchange, rooms: Any) -> None:
        """What a surface settles by the head alone, before how its body is framed is looked at; raises `Refusal`.
        May set `exchange.bytes_max`.  On the loop."""

    def encode(self, value: Any) -> bytes:
        """The bytes of a JSON answer."""
        return jsontext.compact(value)

    def read(self, route: Route, raw: bytes) -> Any:
        """The JSON value of a body."""
        value = jsontext.parse(raw) if raw else None
        if value is None and self.body_empty_is_object:
            return {}
        if not isinstance(value, dict):
            raise Malformed(message="request body must be a JSON object")
        return value

    def check(self, route: Route, value: Any) -> None:
        """A check of the whole body before it is decoded; raises `Malformed` or `Refusal`."""

    def status(self, route: Route | None, code: str) -> int:
        """The status that a refusal code has on this route."""
        if route is not None and code in route.refusals:
            return route.refusals[code]
        return self.statuses.get(code, 400)

    def refusal(self, refusal: Refusal, route: Route | None, head: Head | None) -> Reply:
        """A foreseen answer."""
        body = {"error": refusal.message or refusal.code.replace("_", " "), "code": refusal.code, **refusal.detail}
        return Reply(body, self.status(route, refusal.code), refusal.headers)

    def malformed(self, malformed: Malformed, route: Route | None, head: Head | None) -> Reply:
        """Input that is not the record: every wrong field is named."""
        text = malformed.message or _first(malformed)
        body: dict[str, object] = {"error": text, "code": malformed.code}
        if malformed.problems:
            body["problems"] = [problem_json(problem) for problem in malformed.problems]
        return Reply(body, 400)

    def unmatched(self, method: str, path: str, allowed: tuple[str, ...]) -> Reply:
        """No route for this request: 404, or 405 naming what the path allows."""
        if allowed:
            return Reply({"error": "method not allowed", "code": "method_not_allowed"}, 405, (("Allow", ", ".join(allowed)),))
        return Reply({"error": "unknown endpoint", "code": "not_found"}, 404)

    def wire(self, status: int, reason: str) -> Reply:
        """Bytes that are no request, or break a bound of the edge."""
        return Reply({"error": reason, "code": WIRE_CODES.get(status, "invalid_request")}, status)

    def fault(self, error_id: str) -> Reply:
        """Our fault: nothing of it is shown but the id under which it was logged."""
        return Reply({"error": "internal error", "code": "internal", "error_id": error_id}, 500)

    def unstored(self, error_id: str) -> Reply:
        """The change could not be made durable, and nothing of it is stored: a full disk is no reason to give up for good."""
        return self.busy("the store", UNSTORED_SECONDS)

    def busy(self, what: str, seconds: int = 1) -> Reply:
        """A bounded pool or queue is full."""
        return Reply({"error": f"{what} is busy", "code": "busy"}, 503, (("Retry-After", str(seconds)),))


def problem_json(problem: Any) -> dict[str, object]:
    """A problem as `{path, code, expected?, actual?}`."""
    members: dict[str, object] = {"path": problem.dotted(), "code": problem.code}
    if problem.expected:
        members["expected"] = problem.expected
    if problem.actual:
        members["actual"] = problem.actual
    return members


def _first(malformed: Malformed) -> str:
    if not malformed.problems:
        return "request is not valid"
    problem = malformed.problems[0]
    words = {"required": "is required", "type": f"must be of type {problem.expected}",
             "enum": f"must be one of: {problem.expected}"}
    return f"{problem.dotted()} {words.get(problem.code, f'breaks {problem.code} {problem.expected}'.strip())}"


def fold(path: str) -> str:
    """Runs of `/` count as one."""
    while "//" in path:
        path = path.replace("//", "/")
    return path
