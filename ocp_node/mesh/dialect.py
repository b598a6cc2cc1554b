"""How the mesh words its answers: `{"error": text, "code": word}`, and the contract's form for bodies that fail their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.errors import Malformed
from ..contract.route import Reply, Route
from ..http.dialect import Dialect

if TYPE_CHECKING:
    from ..http.wire import Head


class MeshDialect(Dialect):
    """OCP 0.1."""

    surface = "mesh"
    prefixes = ("/mesh",)

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
        return super().malformed(malformed, route, head)


DIALECT = MeshDialect()
