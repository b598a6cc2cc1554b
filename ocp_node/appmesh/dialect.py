"""How App Mesh words its answers: JSON with sorted members and no blanks, errors as `{"message": text, "code": word}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.errors import Malformed, Refusal
from ..contract.limits import APPMESH_BODY_BYTES_MAX
from ..contract.route import Reply, Route
from ..http.dialect import STATUSES, Dialect, fold

if TYPE_CHECKING:
    from ..http.app import Exchange
    from ..http.wire import Head

MESSAGE_LENGTH_MAX = 500
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})
WORDS = {"minimum": "is too small", "maximum": "is too large", "max-length": "is too long", "min-length": "is too short",
         "pattern": "has the wrong form", "nul": "has the character U+0000",
         "enum": "is not an accepted value", "max-items": "has too many entries", "required": "is missing"}


class AppMeshDialect(Dialect):
    """Everything under `/appmesh`.  The token is the credential, so a foreign Host or Origin alone proves nothing:
    what a page may not do with a cookie is refused by `sessions` (App Mesh, cookie mode)."""

    surface = "appmesh"
    prefixes = ("/appmesh",)
    statuses = {**STATUSES, "precondition_failed": 412, "cannot_start": 400}
    host_check = False
    origin_check = False
    json_only = False                      # a body is read as JSON whatever it is declared to be
    body_empty_is_object = False

    def path(self, path: str) -> str:
        """Runs of `/` count as one; a last one counts, so `/appmesh/applications/` is no route."""
        return fold(path)

    def admit(self, exchange: Exchange, rooms: Any) -> None:
        """Nothing is forwarded to another host, and a JSON body has the bound of the settings."""
        head, route = exchange.head, exchange.route
        if head is not None and head.headers.get("x-target-host"):
            rooms["appmesh.sessions"].refuse_forward(head.headers["x-target-host"])
        if route is not None and route.body and route.body_bytes_max == APPMESH_BODY_BYTES_MAX:
            exchange.bytes_max = rooms["appmesh.sessions"].body_bytes_max

    def encode(self, value: Any) -> bytes:
        return jsontext.compact_sorted(value)

    def read(self, route: Route, raw: bytes) -> Any:
        value = json_body(raw)
        if not isinstance(value, dict):
            raise Malformed(code="invalid_json", message="invalid JSON body")
        return value

    def refusal(self, refusal: Refusal, route: Route | None, head: Head | None) -> Reply:
        return Reply(_body(refusal.message or refusal.code.replace("_", " "), refusal.code), self.status(route, refusal.code),
                     refusal.headers)

    def malformed(self, malformed: Malformed, route: Route | None, head: Head | None) -> Reply:
        return Reply(_body(malformed_text(malformed), malformed.code), 400)

    def unmatched(self, method: str, path: str, allowed: tuple[str, ...]) -> Reply:
        """404 for an unknown path and for a method that the path does not know; OPTIONS is always answered."""
        if method == "OPTIONS":
            return Reply(None, 204)
        if method not in METHODS:
            return Reply(None, 405, (("Allow", "GET, POST, PUT, DELETE, OPTIONS, HEAD"),))
        return Reply(_body(f"Path not found {method}:{path}", "not_found"), 404)

    def wire(self, status: int, reason: str) -> Reply:
        return Reply(_body(reason, str(super().wire(status, reason).body["code"])), status)

    def fault(self, error_id: str) -> Reply:
        return Reply({"message": "Internal server error", "code": "internal", "error_id": error_id}, 500)

    def busy(self, what: str, seconds: int = 1) -> Reply:
        return Reply(_body(f"{what} is busy", "busy"), 503, (("Retry-After", str(seconds)),))


def json_body(raw: bytes) -> Any:
    """The JSON value of a body that must be there and must not be null; `Malformed` in the words of App Mesh."""
    try:
        value = jsontext.parse(raw)
    except Malformed:
        raise Malformed(code="invalid_json", message="invalid JSON body") from None
    if value is None:
        raise Malformed(message="Empty json input")
    return value


def malformed_text(malformed: Malformed) -> str:
    """One line for people; the first wrong field stands for all."""
    if not malformed.problems:
        return malformed.message or "invalid JSON body"
    first = malformed.problems[0]
    place = first.dotted()[2:] or "body"
    return f"invalid type for {place}" if first.code == "type" else f"{place} {WORDS.get(first.code, first.code)}"


def _body(message: str, code: str) -> dict[str, object]:
    return {"message": message[:MESSAGE_LENGTH_MAX], "code": code}


DIALECT = AppMeshDialect()
