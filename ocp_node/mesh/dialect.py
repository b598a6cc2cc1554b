"""How the mesh words its answers: `{"error": text, "code": word}`, and the contract's form for bodies that fail their schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.errors import Malformed, Problem
from ..contract.route import Reply, Route
from ..http.dialect import Dialect
from .artifacts.routes import QUICK, asks_metadata

if TYPE_CHECKING:
    from ..http.app import Exchange
    from ..http.wire import Head


class MeshDialect(Dialect):
    """OCP 0.1."""

    surface = "mesh"
    prefixes = ("/mesh",)

    def admit(self, exchange: Exchange, rooms: Mapping[str, Any]) -> None:
        """What moves an artifact's bytes is bounded by this node's settings; what moves few needs no thread of its own."""
        route = exchange.route
        if route is None or route.room != "mesh.artifacts" or exchange.head is None:
            return
        if route.id == QUICK.id:
            if asks_metadata(exchange.head.query) or rooms["mesh.artifacts"].is_quick(exchange.values, exchange.head.headers):
                exchange.route = QUICK
        elif route.id == "mesh.artifacts.publish":
            exchange.bytes_max = rooms["mesh.artifacts"].envelope_bytes_max
        elif route.body_stream:
            exchange.bytes_max = rooms["mesh.artifacts"].streamed_max

    def read(self, route: Route, raw: bytes) -> Any:
        """A route with a published request schema measures also what is no object; all others want one."""
        if not route.contract.get("request"):
            return super().read(route, raw)
        value = jsontext.parse(raw) if raw else None
        return {} if value is None else value

    def check(self, route: Route, value: Any) -> None:
        """Routes with a published request schema are measured by it first: its issues are the protocol's own words."""
        if route.contract.get("request"):
            from ..contract.requests import require_valid
            require_valid(route, value)

    def malformed(self, malformed: Malformed, route: Route | None, head: Head | None) -> Reply:
        if malformed.code == "protocol_validation" and route is not None:
            from ..contract.requests import Invalid, protocol_validation
            assert isinstance(malformed, Invalid)
            return Reply(protocol_validation(malformed.issues, malformed.schema_ref, route, head.path if head else ""), 400)
        if malformed.problems and not malformed.message:
            malformed = Malformed(malformed.problems, malformed.code, worded(malformed.problems[0]))
        return super().malformed(malformed, route, head)

    def unmatched(self, method: str, path: str, allowed: tuple[str, ...]) -> Reply:
        """An empty id names nothing: it is said of the thing, not of the path (OCP 0.1 statuses)."""
        thing = THINGS.get(path.split("/")[2] if path.count("/") > 2 else "")
        if thing and not allowed and ("//" in path or path.endswith("/")):
            return Reply({"error": f"{thing} not found", "code": "not_found"}, 404)
        return super().unmatched(method, path, allowed)


# What stands under a path, by its first word.
THINGS = {"jobs": "job", "missions": "mission", "treaties": "treaty", "artifacts": "artifact",
          "cooperative-tasks": "cooperative task",
          "workers": "worker", "notifications": "notification", "approvals": "approval", "peers": "peer", "grants": "grant"}
_KINDS = {"integer": "an integer", "array": "an array", "object": "an object"}


def worded(problem: Problem) -> str:
    """The first thing that is wrong, as the mesh says it: `ttl_seconds must be an integer`."""
    name = problem.dotted().removeprefix("$").removeprefix(".") or "request body"
    if problem.code == "required":
        return f"{name} is required"
    if problem.code == "type":
        return f"{name} must be {_KINDS.get(problem.expected, 'a ' + problem.expected)}"
    if problem.code == "nul":
        return f"{name} must not have the character U+0000"
    bounds = {"minimum": "at least", "maximum": "at most", "max-length": "no longer than", "min-length": "no shorter than",
              "max-items": "no more than", "enum": "one of"}
    return f"{name} must be {bounds.get(problem.code, problem.code)} {problem.expected}".strip()


DIALECT = MeshDialect()
