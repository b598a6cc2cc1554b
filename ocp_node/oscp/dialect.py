"""How OSCP words its answers: 204 without a body, or an HTTP error with `{"message": text}` (OSCP 2.0, HTTP responses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base.errors import Malformed, Refusal
from ..contract.route import Auth, Headers, Reply, Route
from ..http.dialect import STATUSES, Dialect, fold

if TYPE_CHECKING:
    from ..http.app import Exchange
    from ..http.wire import Head

MESSAGE_LENGTH_MAX = 500
ERRORS_MAX = 20
WORDS: Mapping[str, str] = {
    "required": "is missing", "type": "has the wrong type", "enum": "is not an accepted value", "minimum": "is too small",
    "maximum": "is too large",
    "min-length": "is empty", "max-length": "is too long", "min-items": "is empty", "max-items": "has too many entries",
    "pattern": "has the wrong form", "nul": "has the character U+0000",
    "unique-items": "repeats an entry", "date-time": "is not a time with a zone", "too-deep": "is nested too deeply",
    "invalid-unicode": "is not valid text",
}


class OscpDialect(Dialect):
    """The three bases `/oscp/{fp,cp,co}/2.0`, and our own `/oscp/admin`."""

    surface = "oscp"
    prefixes = ("/oscp",)
    statuses = {**STATUSES, "not_acceptable": 406, "no_version": 501}
    host_check = False                     # parties reach us under a name of the site; the token is the credential
    origin_check = False
    json_only = False                      # judged by `parties.enter`, after who asks
    body_empty_is_object = False

    def path(self, path: str) -> str:
        """Runs of `/` count as one and a last one does not count: known peers glue base URL and name together."""
        return fold(path).rstrip("/") or "/"

    def admit(self, exchange: Exchange, rooms: Any) -> None:
        route, head = exchange.route, exchange.head
        if route is not None and head is not None and route.auth is Auth.OSCP:
            rooms["oscp.parties"].enter(route, head, exchange.caller)
        elif route is not None and route.auth is Auth.LOCAL_ADMIN:
            gates = rooms["oscp.parties"].gates      # operators are browsers too: no rebound name, no foreign page
            gates.check_host(head)
            gates.check_origin(head)

    def refusal(self, refusal: Refusal, route: Route | None, head: Head | None) -> Reply:
        body = {"message": (refusal.message or refusal.code.replace("_", " "))[:MESSAGE_LENGTH_MAX], "code": refusal.code,
                **refusal.detail}
        return Reply(body, self.status(route, refusal.code), (*refusal.headers, *echoes(head)))

    def malformed(self, malformed: Malformed, route: Route | None, head: Head | None) -> Reply:
        return Reply(malformed_body(malformed), 400, echoes(head))

    def unmatched(self, method: str, path: str, allowed: tuple[str, ...]) -> Reply:
        methods = ", ".join(name for name in allowed if name != "HEAD")
        if method == "OPTIONS" and allowed:
            return Reply(None, 204, (("Allow", methods),))
        if allowed:
            return Reply({"message": "Method not allowed", "code": "method_not_allowed"}, 405, (("Allow", methods),))
        return Reply({"message": "Not found", "code": "not_found"}, 404)

    def wire(self, status: int, reason: str) -> Reply:
        return Reply({"message": reason, "code": str(super().wire(status, reason).body["code"])}, status)

    def fault(self, error_id: str) -> Reply:
        return Reply({"message": f"internal error {error_id}", "code": "internal"}, 500)

    def busy(self, what: str, seconds: int = 1) -> Reply:
        return Reply({"message": f"{what} is busy", "code": "busy"}, 503, (("Retry-After", str(seconds)),))


def echoes(head: Head | None) -> Headers:
    """The names by which a sender finds its message again; a bad one is left out."""
    from .parties.rules import is_request_id
    request_id = head.headers.get("x-request-id", "") if head is not None else ""
    return (("X-Request-ID", request_id), ("X-Correlation-ID", request_id)) if is_request_id(request_id) else ()


def malformed_body(malformed: Malformed) -> dict[str, object]:
    """`message` with the first problem; `errors` lists them when there are several, or one inside a list."""
    problems = malformed.problems[:ERRORS_MAX]
    if not problems:
        return {"message": malformed.message or "request is not valid", "code": malformed.code}
    if any(problem.path[-1:] == ("heartbeat_interval",) and problem.code in ("minimum", "maximum") for problem in problems):
        return {"message": "Unsupported heartbeat interval", "code": "invalid_request"}
    first = problems[0]
    body: dict[str,
               object] = {"message": f"{first.dotted()[2:] or 'body'} {WORDS.get(first.code, first.code)}"[:MESSAGE_LENGTH_MAX],
                               "code": malformed.code}
    if len(problems) > 1 or any(isinstance(step, int) for step in first.path):
        body["errors"] = [{"path": problem.pointer(), "message": WORDS.get(problem.code, problem.code)} for problem in problems]
    return body


DIALECT = OscpDialect()
