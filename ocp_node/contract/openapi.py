"""OpenAPI 3.1 of every surface, made from the routes: parameters, bodies, answers, credentials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..base.records import Anything, Nothing, schema_of
from .dialect_schema import to_json_schema
from .published import published
from .route import Auth, Route, Stability
from .snapshot import path_names, record_ref

Document = dict[str, Any]
PREFIX = "#/components/schemas/"
PUBLISHED = "ocp."                                     # the schemas of the mesh contract stand beside those of our records

SECURITY: dict[str, Document] = {
    "operator": {"type": "apiKey", "in": "header", "name": "X-OCP-Operator-Token",
                 "description": "The node's operator token. On loopback, a node without a token asks for none."},
    "operatorBearer": {"type": "http", "scheme": "bearer", "description": "The node's operator token."},
    "appmesh": {"type": "http", "scheme": "bearer", "description": "A token of `POST /appmesh/login`."},
    "appmeshCookie": {"type": "apiKey", "in": "cookie", "name": "appmesh_auth_token",
                      "description": "The same token as a cookie."},
    "oscp": {"type": "apiKey", "in": "header", "name": "Authorization",
             "description": "`Token <token>`, the token given at registration."},
}
_OPERATOR: list[Document] = [{"operator": []}, {"operatorBearer": []}]
REQUIRED: dict[Auth, list[Document]] = {
    Auth.PUBLIC: [{}], Auth.SIGNED: [{}], Auth.OPERATOR: _OPERATOR, Auth.LOCAL_ADMIN: _OPERATOR,
    Auth.SIGNED_OR_OPERATOR: [{}, *_OPERATOR], Auth.ARTIFACT_CONTENT: [{}, *_OPERATOR],
    Auth.APPMESH: [{"appmesh": []}, {"appmeshCookie": []}], Auth.OSCP: [{"oscp": []}],
}
_TEXT: Document = {"type": "string"}
_OBJECTS: Document = {"type": "array", "items": {"type": "object"}}
ERRORS: dict[str, Document] = {
    "mesh": {"type": "object", "required": ["error", "code"], "properties": {
        "error": _TEXT, "code": _TEXT, "error_id": _TEXT, "problems": _OBJECTS, "protocol_validation": {"type": "object"}}},
    "node": {"type": "object", "required": ["error", "code"], "properties": {"error": _TEXT, "code": _TEXT, "error_id": _TEXT}},
    "appmesh": {"type": "object", "required": ["message"], "properties": {"message": _TEXT, "code": _TEXT}},
    "oscp": {"type": "object", "required": ["message"], "properties": {"message": _TEXT, "code": _TEXT, "errors": _OBJECTS}},
    "directory": {"type": "object", "required": ["status"], "properties": {
        "status": _TEXT, "reason": _TEXT, "node/id": _TEXT, "detail": _TEXT, "errors": _OBJECTS}},
}
WORDS = {200: "Success.", 201: "Created.", 202: "Accepted.", 204: "Success, without a body.", 400: "The request is not valid.",
         401: "No valid credential was shown.", 403: "The caller may not do this.", 404: "There is no such thing.",
         409: "The state of things forbids this.", 413: "The body is too large.", 415: "The body is not application/json.",
         501: "Planned, not built yet."}


def openapi(routes: Iterable[Route], title: str, version: str, servers: Sequence[str] = ()) -> Document:
    """The whole document; a route's id is its `operationId`, its room the tag."""
    listed = list(routes)
    named: dict[str, Document] = {}
    paths: dict[str, Document] = {}
    for route in listed:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, named)
    for surface in sorted({route.surface for route in listed}):
        named[f"{surface}.Error"] = ERRORS[surface]
    if any(route.surface == "mesh" for route in listed):
        named |= {PUBLISHED + name: to_json_schema(schema, PREFIX + PUBLISHED) for name, schema in published().schemas.items()}
    document: Document = {"openapi": "3.1.0", "info": {"title": title, "version": version}}
    if servers:
        document["servers"] = [{"url": url} for url in servers]
    return document | {"tags": [{"name": room} for room in sorted({route.room for route in listed})], "paths": paths,
                       "components": {"schemas": dict(sorted(named.items())), "responses": _common_responses(listed),
                                      "securitySchemes": SECURITY}}


def _operation(route: Route, named: dict[str, Document]) -> Document:
    operation: Document = {"operationId": route.id, "tags": [route.room], "summary": route.summary,
                           "x-stability": route.stability.value, "x-auth": route.auth.value, "security": REQUIRED[route.auth]}
    if route.needs:
        operation["x-permission"] = route.needs
    if parameters := _parameters(route, named):
        operation["parameters"] = parameters
    if body := _body(route, named):
        operation["requestBody"] = body
    operation["responses"] = _responses(route, named)
    return operation


def _parameters(route: Route, named: dict[str, Document]) -> list[Document]:
    parameters: list[Document] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                                  for name in path_names(route)]
    query = record_ref(route, route.query)
    if not query:
        published_table = route.contract.get("query", {})
        return parameters + [{"name": name, "in": "query", "schema": {"type": word}} for name, word in published_table.items()]
    inner: dict[str, Document] = {}
    schema_of(route.record(route.query), inner, PREFIX)
    own: Document = inner.pop(query)
    named |= inner                                     # what the parameters refer to; the record itself is spread over them
    for name, schema in own["properties"].items():
        parameter = {"name": name, "in": "query", "schema": schema}
        if name in own.get("required", ()):
            parameter["required"] = True
        parameters.append(parameter)
    return parameters


def _body(route: Route, named: dict[str, Document]) -> Document:
    """The body a route reads; bytes that are no JSON when the handler takes them as they come."""
    published_ref = route.contract.get("request", "")
    if not route.body and not route.body_raw and not route.body_stream and not published_ref:
        return {}
    if route.body_stream or route.body_raw and not route.body:
        return {"required": True, "content": {"application/octet-stream": {}}}
    schema: Document = {"type": "object"}
    if record_ref(route, route.body):
        schema = schema_of(route.record(route.body), named, PREFIX)
    elif published_ref:
        schema = {"$ref": PREFIX + PUBLISHED + published_ref}
    if shapes := route.contract.get("shapes"):
        schema = {"anyOf": [schema, {"$ref": PREFIX + PUBLISHED + shapes}]}
    required = "required" in named.get(record_ref(route, route.body), {})
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _responses(route: Route, named: dict[str, Document]) -> Document:
    responses = {str(status): _success(route, status, named) for status in success_statuses(route)}
    for status, codes in sorted(refusals(route).items()):
        responses[str(status)] = {"$ref": f"#/components/responses/{route.surface}.{status}"}
        if codes:
            words = f"{WORDS.get(status, 'Refused.')} Codes: {', '.join(codes)}."
            responses[str(status)] = {**_refused(route.surface, status), "description": words}
    return responses | {"default": {"$ref": f"#/components/responses/{route.surface}.default"}}


def _refused(surface: str, status: int) -> Document:
    return {"description": WORDS.get(status, "Refused, or our fault."),
            "content": {"application/json": {"schema": {"$ref": f"{PREFIX}{surface}.Error"}}}}


def _common_responses(routes: Iterable[Route]) -> Document:
    """The refusals that need no words of their own, once per surface."""
    common: Document = {}
    for route in routes:
        for status in (0, *(status for status, codes in refusals(route).items() if not codes)):
            common.setdefault(f"{route.surface}.{status or 'default'}", _refused(route.surface, status))
    return dict(sorted(common.items()))


def success_statuses(route: Route) -> tuple[int, ...]:
    """The statuses of a success: 204 for every OSCP message, 200 else, or what `contract["success"]` says."""
    declared: tuple[int, ...] | None = route.contract.get("success")
    return declared or ((204,) if route.auth is Auth.OSCP else (200,))


def _success(route: Route, status: int, named: dict[str, Document]) -> Document:
    response: Document = {"description": WORDS.get(status, "Success.")}
    record, published_ref = route.record(route.reply), route.contract.get("response", "")
    if status == 204:
        return response
    if record not in (Nothing, Anything):
        response["content"] = {"application/json": {"schema": schema_of(record, named, PREFIX)}}
    elif published_ref:
        response["content"] = {"application/json": {"schema": {"$ref": PREFIX + PUBLISHED + published_ref}}}
    return response


def refusals(route: Route) -> dict[int, list[str]]:
    """The statuses a caller must expect besides those any request can meet, with the codes that the route itself declares."""
    expected: dict[int, list[str]] = {}
    if route.query or route.body:
        expected[400] = []
    if route.auth is not Auth.PUBLIC:
        expected |= {401: [], 403: []}
    if "{" in route.path:
        expected[404] = []
    if route.body:
        expected |= {413: [], 415: []}
    if route.stability is Stability.PLANNED:
        expected[501] = []
    for code, status in sorted(route.refusals.items()):
        expected.setdefault(status, []).append(code)
    return expected
