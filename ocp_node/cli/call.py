"""`ocp.py call ROUTE-ID name=value ...`: any route of any surface, by its id."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import Unusable
from ..base.setting import WrongUse
from ..base.settings import secret_line
from ..client.client import find
from ..contract.route import Route
from . import arguments, node

BODY_BYTES_MAX = 256 * 1024 * 1024


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The answer's body is on standard output."""
    parser = arguments.Parser(
        "call", description="Calls a route by its id (`ocp.py contract --routes` lists them).\nname=value fills the path, then "
        "the query or the body; a.b=value nests; name:=JSON gives a number, a list and the like.",
        examples=("call mesh.peers.list limit=5", "call mesh.jobs.submit job.kind=demo 'job.command=echo hello'",
                  "call mesh.jobs.show job_id=job-1 --url https://node.example:8421",
                  "call directory.publish node_id=node:x --body adv.json"))
    parser.add_argument("route", metavar="ROUTE-ID")
    parser.add_argument("values", nargs="*", metavar="name=value")
    parser.add_argument("--body", default="", metavar="FILE", help="the body, as it is, from a file or from standard input (-)")
    parser.add_argument("--appmesh-token-file", default="", metavar="FILE",
                        help="file whose first line is a token of an App Mesh log-in")
    node.add_arguments(parser)
    own, settings = arguments.parse(parser, argv, environ)
    route = _route(own.route)
    parameters, members = sorted_out(route, own.values)
    if own.body and members:
        raise WrongUse(f"--body and {min(members)}= both give a body")
    appmesh = secret_line(own.appmesh_token_file, "--appmesh-token-file") if own.appmesh_token_file else ""
    body = _body(own.body) if own.body else members or _empty(route)
    try:
        answer = node.named(own, settings, appmesh).ask(route.id, body, **parameters)
    except TypeError as fault:
        raise WrongUse(str(fault)) from None
    return node.show(answer, own.json)


def _route(name: str) -> Route:
    try:
        return find(name)
    except KeyError:
        from server_contract import BY_ID

        from ..base.sources import nearest
        near = nearest(name, BY_ID, 0.5)
        raise WrongUse(f"there is no route {name[:80]!r}" + (f"; did you mean {near}?" if near else "")) from None


def sorted_out(route: Route, values: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes into path and query, and what into the body: path names first, names of the query record next."""
    parameters: dict[str, Any] = {}
    members: dict[str, Any] = {}
    asked = _members_of(route, route.query)
    schema = _members_of(route, route.body)
    for pair in values:
        name, mark, text = pair.partition("=")
        exact = name.endswith(":")
        name = name.removesuffix(":")
        if not mark or not name:
            raise WrongUse(f"{pair[:60]!r} is not name=value")
        if not route.body or "{" + name + "}" in route.path or "{" + name + "...}" in route.path or name in asked:
            parameters[name] = text
        else:
            _put(members, name, _json(name, text) if exact else _typed(name, text, schema.get(name, {})))
    return parameters, members


def _members_of(route: Route, record: str) -> Mapping[str, Any]:
    """The schemas of a record's members by their names on the wire; none while the route is planned."""
    if not record or not route.handler:
        return {}
    from ..base.records import schema_of
    named: dict[str, Any] = {}
    reference: Any = schema_of(route.record(record), named)
    schema: Any = named[reference["$ref"].rpartition("/")[2]]
    members: Mapping[str, Any] = schema.get("properties", {})
    return members


def _typed(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """The value that the member's type makes of the text: a text stays one, anything else is read as JSON when it is JSON."""
    kinds = {option.get("type", "") for option in schema.get("anyOf", (schema,))}
    if "string" in kinds:
        return text
    if kinds & {"integer", "number", "boolean"}:
        return _json(name, text)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise WrongUse(f"{name}: {text[:60]!r} is not JSON") from None


def _put(members: dict[str, Any], name: str, value: Any) -> None:
    """`a.b.c` is set inside `a` and `b`."""
    *outer, last = name.split(".")
    inside = members
    for step in outer:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            raise WrongUse(f"{name}: {step} has a value already")
    inside[last] = value


def _empty(route: Route) -> dict[str, Any] | None:
    return {} if route.body and route.method != "DELETE" and not route.body_raw else None


def _body(path: str) -> Any:
    """The bytes of the file; JSON is sent as such."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(BODY_BYTES_MAX + 1)
        else:
            with open(path, "rb") as file:
                raw = file.read(BODY_BYTES_MAX + 1)
    except OSError as fault:
        raise Unusable(f"{path} cannot be read: {fault.strerror}") from None
    if len(raw) > BODY_BYTES_MAX:
        raise Unusable(f"{path} is larger than {BODY_BYTES_MAX} bytes")
    try:
        return json.loads(raw)
    except ValueError:
        return raw
