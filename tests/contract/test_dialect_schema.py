from __future__ import annotations

from typing import Any

import pytest

from ocp_node.contract.dialect_schema import conforms, from_json_schema, to_json_schema, validate

SCHEMAS: dict[str, Any] = {
    "Name": {"type": "string"},
    "Person": {"type": "object", "required": ["name", "age"], "properties": {
        "name": {"$ref": "#/schemas/Name"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}},
        "weight": {"type": "number"}, "extra": {"type": "any"}, "home": {"type": "object", "required": ["town"]},
        "alive": {"type": "boolean"}}},
    "Either": {"type": "object", "one_of": [{"$ref": "#/schemas/Person"}, {"type": "object", "required": ["job"]}]},
    "Four": {"one_of": [{"type": "string"}, {"type": "integer"}, {"type": "array"}, {"type": "boolean"}]},
    "Lost": {"type": "object", "properties": {"x": {"$ref": "#/schemas/Nowhere"}}},
    "Tree": {"type": "object", "properties": {"child": {"$ref": "#/schemas/Tree"}}},
}
MISSING = "required field is missing"


def wrong(path: str, expected: str, actual: str) -> dict[str, str]:
    return {"path": path, "message": "invalid type", "expected": expected, "actual": actual}


@pytest.mark.parametrize(("value", "name", "issues"), [
    ({"name": "a", "age": 1}, "Person", []),
    ({"name": "a", "age": 1, "unknown": object}, "Person", []),
    ({"name": "a", "age": 1, "weight": 2, "extra": None, "alive": False}, "Person", []),
    ([], "Person", [wrong("$", "object", "array")]),
    (None, "Person", [wrong("$", "object", "null")]),
    ({}, "Person", [{"path": "$.name", "message": MISSING}, {"path": "$.age", "message": MISSING}]),
    ({"name": None, "age": True}, "Person", [wrong("$.name", "string", "null"), wrong("$.age", "integer", "boolean")]),
    ({"name": "a", "age": 1.5}, "Person", [wrong("$.age", "integer", "number")]),
    ({"name": "a", "age": 1, "weight": True}, "Person", [wrong("$.weight", "number", "boolean")]),
    ({"name": "a", "age": 1, "tags": ["x", 2, {}]}, "Person",
     [wrong("$.tags[1]", "string", "integer"), wrong("$.tags[2]", "string", "object")]),
    ({"age": "1", "home": {}}, "Person",
     [{"path": "$.name", "message": MISSING}, wrong("$.age", "integer", "string"), {"path": "$.home.town", "message": MISSING}]),
    ({"name": "a", "age": 1, "home": "there"}, "Person", [wrong("$.home", "object", "string")]),
    ({"job": {}}, "Either", []),
    ({}, "Either", [{"path": "$", "message": f"value does not match any accepted schema shape: {MISSING}; {MISSING}"}]),
    ("x", "Either", [wrong("$", "object", "string")]),
    ({}, "Four", [{"path": "$", "message": "value does not match any accepted schema shape: "
                   "invalid type; invalid type; invalid type"}]),
    ({"x": 1}, "Lost", [{"path": "$.x", "message": "unknown schema ref Nowhere"}]),
    (1, "Nowhere", [{"path": "$", "message": "unknown schema ref Nowhere"}]),
    ({"child": {"child": {"child": 3}}}, "Tree", [wrong("$.child.child.child", "object", "integer")]),
])
def test_each_issue_has_its_place_and_its_words(value: Any, name: str, issues: list[dict[str, str]]) -> None:
    assert validate(value, name, SCHEMAS) == issues


def test_a_hostile_list_does_not_become_a_longer_answer() -> None:
    assert len(validate({"name": "", "age": 1, "tags": [0] * 100_000}, "Person", SCHEMAS)) == 50


@pytest.mark.parametrize(("json_schema", "dialect"), [
    ({}, {"type": "any"}),
    ({"type": "string", "maxLength": 5}, {"type": "string", "maxLength": 5}),
    ({"$ref": "#/schemas/A"}, {"$ref": "#/schemas/A"}),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"one_of": [{"type": "string"}, {"type": "null"}]}),
    ({"type": "array", "items": {}}, {"type": "array", "items": {"type": "any"}}),
    ({"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [{}, {"type": "null"}]}}},
     {"type": "object", "required": ["a"], "properties": {"a": {"one_of": [{"type": "any"}, {"type": "null"}]}}}),
])
def test_json_schema_is_said_in_the_dialect(json_schema: dict[str, Any], dialect: dict[str, Any]) -> None:
    assert from_json_schema(json_schema) == dialect


def test_a_nullable_member_takes_null_and_nothing_else() -> None:
    schemas = {"A": from_json_schema({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}})}
    assert validate({"a": None}, "A", schemas) == validate({"a": ""}, "A", schemas) == []
    assert [issue["path"] for issue in validate({"a": 1}, "A", schemas)] == ["$.a"]


def test_the_dialect_is_said_in_json_schema() -> None:
    made = to_json_schema(SCHEMAS["Person"], "#/p/")
    assert made["properties"]["name"] == {"$ref": "#/p/Name"} and made["properties"]["extra"] == {}
    assert to_json_schema(SCHEMAS["Four"], "")["anyOf"][0] == {"type": "string"}


@pytest.mark.parametrize(("narrow", "wide", "stands_in"), [
    ({"type": "string"}, {"type": "any"}, True),
    ({"type": "string"}, {"type": "object"}, False),
    ({"type": "integer"}, {"type": "number"}, True),
    ({"type": "number"}, {"type": "integer"}, False),
    ({"one_of": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, False),
    ({"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "object", "required": ["a"]}, True),
    ({"type": "object", "properties": {"b": {"type": "string"}}}, {"type": "object", "required": ["a"]}, False),
    ({"type": "object", "properties": {"a": {"type": "string"}}},
     {"type": "object", "properties": {"a": {"type": "object"}}}, False),
    ({"type": "object"}, {"type": "object"}, True),
    ({"type": "object"}, {"type": "object", "properties": {"a": {"type": "string"}}}, False),
    ({"type": "array", "items": {"type": "object"}}, {"type": "array", "items": {"type": "object"}}, True),
    ({"type": "array"}, {"type": "array", "items": {"type": "string"}}, False),
    ({"$ref": "#/schemas/Tree"}, {"$ref": "#/schemas/Tree"}, True),
    ({"$ref": "#/schemas/Name"}, {"type": "string"}, True),
    ({"type": "string"}, {"$ref": "#/schemas/Four"}, True),
])
def test_one_schema_may_stand_for_another_only_when_it_keeps_its_promises(narrow: Any, wide: Any, stands_in: bool) -> None:
    assert conforms(narrow, wide, SCHEMAS) is stands_in
