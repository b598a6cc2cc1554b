"""The schema dialect of the mesh contract (OCP 0.1): what it says about a value, and what JSON Schema says in it.

A schema has `type` (object array string integer number boolean any), `required`, `properties`, `items`, `one_of`, or a `$ref`
to `#/schemas/Name`.  Everything else in it is for people.  Unknown members are always allowed; an integer is a number,
a boolean is neither.  Schemas of our own also use the type `null`, and carry the bounds of their fields for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base.records import PROBLEMS_MAX, word_of

REF_PREFIX = "#/schemas/"
Issue = dict[str, str]                     # path, message, and for a wrong type expected and actual
Schema = Mapping[str, Any]
Schemas = Mapping[str, Any]


def validate(value: object, schema_ref: str, schemas: Schemas) -> list[Issue]:
    """Everything in `value` that the named schema does not accept, at most 50 issues.

    Where a type is wrong nothing below is looked at; missing members are named before wrong ones.
    """
    issues: list[Issue] = []
    _check(value, {"$ref": REF_PREFIX + schema_ref}, "$", schemas, issues)
    return issues[:PROBLEMS_MAX]


def _check(value: object, schema: Schema, path: str, schemas: Schemas, issues: list[Issue]) -> None:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REF_PREFIX)
        if name not in schemas:
            issues.append({"path": path, "message": f"unknown schema ref {name}"})
        else:
            _check(value, schemas[name], path, schemas, issues)
        return
    expected = schema.get("type", "any")
    if not fits(value, expected):
        issues.append({"path": path, "message": "invalid type", "expected": expected, "actual": word_of(value)})
    elif "one_of" in schema:
        _check_shapes(value, schema["one_of"], path, schemas, issues)
    elif isinstance(value, dict):
        _check_members(value, schema, path, schemas, issues)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            if len(issues) >= PROBLEMS_MAX:
                return
            _check(item, schema["items"], f"{path}[{index}]", schemas, issues)


def _check_members(value: Mapping[str, object], schema: Schema, path: str, schemas: Schemas, issues: list[Issue]) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            issues.append({"path": f"{path}.{name}", "message": "required field is missing"})
    for name, member in schema.get("properties", {}).items():
        if name in value:
            _check(value[name], member, f"{path}.{name}", schemas, issues)


def _check_shapes(value: object, shapes: list[Schema], path: str, schemas: Schemas, issues: list[Issue]) -> None:
    messages: list[str] = []
    for shape in shapes:
        found: list[Issue] = []
        _check(value, shape, path, schemas, found)
        if not found:
            return
        messages.append(found[0]["message"])
    issues.append({"path": path, "message": "value does not match any accepted schema shape: " + "; ".join(messages[:3])})


def fits(value: object, expected: str) -> bool:
    """Is the value of that type word?"""
    word = word_of(value)
    return expected in (word, "any") or (expected == "number" and word == "integer")


# --- JSON Schema -> dialect, dialect -> JSON Schema ------------------------------------------------------------------

def from_json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the dialect: `anyOf` becomes `one_of`, a schema that says nothing becomes `any`; bounds stay for people."""
    made = {word: said for word, said in schema.items() if word not in ("anyOf", "properties", "items")}
    if "anyOf" in schema:
        made["one_of"] = [from_json_schema(shape) for shape in schema["anyOf"]]
    if "items" in schema:
        made["items"] = from_json_schema(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: from_json_schema(member) for name, member in schema["properties"].items()}
    if not {"type", "$ref", "one_of"} & made.keys():
        made["type"] = "any"
    return made


def to_json_schema(schema: Schema, prefix: str) -> dict[str, Any]:
    """The same as JSON Schema, with references under `prefix`."""
    if "$ref" in schema:
        return {"$ref": prefix + schema["$ref"].removeprefix(REF_PREFIX)}
    made = {word: said for word, said in schema.items() if word not in ("one_of", "properties", "items")}
    if made.get("type") == "any":
        del made["type"]
    if "one_of" in schema:
        made["anyOf"] = [to_json_schema(shape, prefix) for shape in schema["one_of"]]
    if "items" in schema:
        made["items"] = to_json_schema(schema["items"], prefix)
    if "properties" in schema:
        made["properties"] = {name: to_json_schema(member, prefix) for name, member in schema["properties"].items()}
    return made


# --- may one schema stand for another --------------------------------------------------------------------------------

def conforms(narrow: Schema, wide: Schema, schemas: Schemas, assumed: frozenset[tuple[str, str]] = frozenset()) -> bool:
    """Is every value of a record with the schema `narrow` (all its members are sent) a value that `wide` accepts?"""
    pair = (str(narrow.get("$ref", "")), str(wide.get("$ref", "")))
    if any(pair):
        return pair in assumed or conforms(_resolved(narrow, schemas), _resolved(wide, schemas), schemas, assumed | {pair})
    if "one_of" in narrow:
        return all(conforms(shape, wide, schemas, assumed) for shape in narrow["one_of"])
    if "one_of" in wide:
        return any(conforms(narrow, shape, schemas, assumed) for shape in wide["one_of"])
    expected, given = wide.get("type", "any"), narrow.get("type", "any")
    if expected == "any":
        return True
    if given != expected and (given, expected) != ("integer", "number"):
        return False
    if expected == "array":
        return "items" not in wide or conforms(narrow.get("items", {}), wide["items"], schemas, assumed)
    return expected != "object" or _members_conform(narrow, wide, schemas, assumed)


def _resolved(schema: Schema, schemas: Schemas) -> Schema:
    return schemas[schema["$ref"].removeprefix(REF_PREFIX)] if "$ref" in schema else schema


def _members_conform(narrow: Schema, wide: Schema, schemas: Schemas, assumed: frozenset[tuple[str, str]]) -> bool:
    given, expected = narrow.get("properties"), wide.get("properties", {})
    if given is None:                      # any object at all: only another such promise is kept by it
        return not expected and not wide.get("required")
    return all(name in given for name in wide.get("required", ())) and all(
        conforms(member, expected[name], schemas, assumed) for name, member in given.items() if name in expected)
