"""Requests against the published schemas of their routes (OCP 0.1 request validation), and how a failure is worded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base.errors import Malformed, Problem
from .dialect_schema import Issue, validate
from .published import published
from .route import Route

# What the decoder's codes mean in the contract's words; the first two are the protocol's own.
MESSAGES = {
    "required": "required field is missing", "type": "invalid type", "enum": "value is not one of the accepted words",
    "const": "value is not the one expected here", "pattern": "text does not have the accepted form",
    "min-length": "text is too short", "max-length": "text is too long", "minimum": "number is too small",
    "maximum": "number is too large", "min-items": "too few entries", "max-items": "too many entries",
    "unique-items": "an entry is repeated", "date-time": "text is not a time", "uri": "text is not a URL",
    "too-deep": "document is nested too deeply", "invalid-unicode": "text holds an unpaired surrogate",
}


class Invalid(Malformed):
    """The body is not what the published schema of its route accepts."""

    def __init__(self, schema_ref: str, issues: Sequence[Issue]) -> None:
        super().__init__(code="protocol_validation", message="protocol validation failed")
        self.schema_ref = schema_ref
        self.issues = tuple(issues)


def request_schema(route: Route, body: object) -> str:
    """The name of the published schema that this body of this route must match; "" when there is none.

    A route with further accepted shapes (`contract["shapes"]` names their schema) decodes those itself: only an object that
    begins as an envelope, and what is no object at all, is measured as one.
    """
    name: str = route.contract.get("request", "")
    shapes: str = route.contract.get("shapes", "")
    if not shapes or not isinstance(body, dict) or not body or "request" in body and "body" in body:
        return name
    if isinstance(body.get("job"), dict) or "kind" in body:
        return ""
    return name if "request" in body or "body" in body else shapes


def check_request(route: Route, body: object) -> list[Issue]:
    """What the published schema of the route does not accept in the body; empty when there is no schema."""
    name = request_schema(route, body)
    return validate(body, name, published().schemas) if name else []


def require_valid(route: Route, body: object) -> None:
    """The body matches the published schema of its route, or `Invalid` was raised."""
    issues = check_request(route, body)
    if issues:
        raise Invalid(request_schema(route, body), issues)


def issues_of(problems: Iterable[Problem]) -> list[Issue]:
    """The decoder's problems as the contract words them."""
    return [_issue(problem) for problem in problems]


def _issue(problem: Problem) -> Issue:
    issue = {"path": problem.dotted(), "message": MESSAGES.get(problem.code, problem.code.replace("-", " ").replace("_", " "))}
    if problem.expected:
        issue["expected"] = problem.expected
    if problem.actual:
        issue["actual"] = problem.actual
    return issue


def protocol_validation(issues: Sequence[Issue], schema_ref: str, route: Route, path: str = "") -> dict[str, object]:
    """The error body of a request that fails its schema; `path` is the path as requested."""
    return {"error": "protocol validation failed", "code": "protocol_validation",
            "protocol_validation": {"status": "invalid", "schema_ref": schema_ref, "issues": list(issues), "method": route.method,
                                    "path": path or route.path, "contract_id": contract_id(route)}}


def contract_id(route: Route) -> str:
    """`post:/mesh/jobs/submit`: how the published contract names an endpoint."""
    return f"{route.method.lower()}:{route.template}"
