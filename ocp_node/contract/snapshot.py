"""The contract document (OCP 0.1 `GET /mesh/contract`), made from the routes of the mesh.

Its 94 endpoints, groups, field names, 75 schemas and 14 fixtures are the published ones.  Added to each endpoint are its route
id, `auth`, `stability` and schemas of our own made from the records; routes of ours outside the 94 stand in `extensions`.
What cannot be derived stands in `Route.contract`: `handler`, `group`, the published `query` and `body` tables, the published
`request` and `response` schema, and `shapes` where a body may also have other forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..base.records import Anything, Nothing, schema_name, schema_of
from .dialect_schema import REF_PREFIX, conforms, from_json_schema, validate
from .published import CONTRACT_VERSION, PROTOCOL_SURFACE, SCHEMA_VERSION, published
from .requests import contract_id
from .route import Route

Document = dict[str, Any]


def snapshot(routes: Iterable[Route]) -> Document:
    """The whole document for the mesh routes among `routes`."""
    mesh = [route for route in routes if route.surface == "mesh"]
    place = {name: index for index, name in enumerate(published().order)}
    listed = sorted((route for route in mesh if not route.extra), key=lambda route: place.get(contract_id(route), len(place)))
    schemas = {**published().schemas, **_record_schemas(mesh)}
    endpoints = [endpoint(route, schemas) for route in listed]
    return {
        "status": "ok", "contract_version": CONTRACT_VERSION, "schema_version": SCHEMA_VERSION,
        "protocol_surface": PROTOCOL_SURFACE, "endpoint_count": len(endpoints), "schema_count": len(schemas),
        "groups": _groups(endpoints), "endpoints": endpoints,
        "extensions": [endpoint(route, schemas) for route in mesh if route.extra],
        "schemas": schemas, "conformance": conformance(schemas),
    }


def _groups(endpoints: Iterable[Document]) -> Document:
    groups: dict[str, Document] = {}
    for entry in endpoints:
        group = groups.setdefault(entry["group"], {"count": 0, "methods": []})
        group["count"] += 1
        group["methods"] = sorted({*group["methods"], entry["method"]})
    return groups


def conformance(schemas: Mapping[str, Any]) -> Document:
    """The published fixtures, each really validated against its schema."""
    fixtures = []
    for fixture in published().fixtures:
        issues = validate(fixture["value"], fixture["schema_ref"], schemas)
        validation = {"status": "invalid" if issues else "ok", "schema_ref": fixture["schema_ref"], "issues": issues}
        fixtures.append({**fixture, "validation": validation})
    invalid = sum(fixture["validation"]["status"] != "ok" for fixture in fixtures)
    return {"status": "attention_needed" if invalid else "ok", "schema_version": SCHEMA_VERSION, "fixture_count": len(fixtures),
            "invalid_fixture_count": invalid, "fixtures": fixtures}


def endpoint(route: Route, schemas: Mapping[str, Any]) -> Document:
    """One endpoint of the document; `schemas` holds the published schemas and those of the records."""
    return {"id": contract_id(route), "route_id": route.id, "method": route.method, "path": route.template,
            "group": route.contract.get("group", "extensions"), "handler": route.contract.get("handler", route.handler),
            "summary": route.summary, "request": _request(route, schemas), "response": _response(route, schemas),
            "auth": route.auth.value, "stability": route.stability.value}


def _request(route: Route, schemas: Mapping[str, Any]) -> Document:
    path = dict.fromkeys(path_names(route), "string")
    query = _table(route, "query", schemas)
    request: Document = {"argument_kind": _argument_kind(route, bool(path), bool(query))}
    if path:
        request["path"] = path
    if query:
        request["query"] = query
    if route.method != "GET":
        request["body"] = _table(route, "body", schemas)
    own = record_ref(route, route.body)
    if named := route.contract.get("request") or own:
        request["schema_ref"] = named
    if own and own != named:
        request["record_ref"] = own
    return request


def path_names(route: Route) -> list[str]:
    """The names of the path's parameters, in order."""
    return [part.partition("}")[0].removesuffix("...") for part in route.path.split("{")[1:]]


def _argument_kind(route: Route, has_path: bool, has_query: bool) -> str:
    words = ["path"] if has_path else []
    if route.method != "GET":
        words.append("data")
    elif has_query:
        words.append("params")
    return "_".join(words) or "none"


def _table(route: Route, part: str, schemas: Mapping[str, Any]) -> dict[str, str]:
    """The published table of names and type words, and then what our record takes beyond it."""
    table: dict[str, str] = dict(route.contract.get(part, {}))
    own = record_ref(route, getattr(route, part))
    for name, member in schemas[own].get("properties", {}).items() if own else ():
        table.setdefault(name, _word(member))
    return table


def _word(schema: Mapping[str, Any]) -> str:
    """The type word of a member: of a nullable one the word of what it is otherwise."""
    if "one_of" in schema:
        return "|".join(_word(shape) for shape in schema["one_of"] if shape.get("type") != "null")
    return "object" if "$ref" in schema else schema.get("type", "any")


def _response(route: Route, schemas: Mapping[str, Any]) -> Document:
    """The published schema where our answer keeps its promise, with our fuller one beside it; else ours."""
    named, own = route.contract.get("response", ""), record_ref(route, route.reply)
    response: Document = {"type": "object", "schema_ref": named or own or "Object", "schema_available": True}
    if own and named:
        kept = named != "Object" and conforms(schemas[own], schemas[named], schemas)
        response |= {"record_ref": own} if kept else {"schema_ref": own, "published_schema_ref": named}
    return response


# --- schemas of our own ----------------------------------------------------------------------------------------------

def record_ref(route: Route, name: str) -> str:
    """The name of the schema made from that record of the route; "" for none, or for one that says nothing."""
    record = route.record(name)
    return "" if record in (Nothing, Anything) else schema_name(record)


def _record_schemas(routes: Iterable[Route]) -> dict[str, Any]:
    """The schemas of every record that the routes name, and of those inside them, in the dialect of the contract."""
    named: dict[str, dict[str, object]] = {}
    for route in routes:
        for name in (route.query, route.body, route.reply):
            record = route.record(name)
            if record not in (Nothing, Anything):
                schema_of(record, named, REF_PREFIX)
    return {name: from_json_schema(named[name]) for name in sorted(named)}
