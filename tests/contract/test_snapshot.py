"""What a built route adds to the contract document: schemas of its records."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from ocp_node.base.records import record, wire
from ocp_node.contract.dialect_schema import validate
from ocp_node.contract.openapi import openapi
from ocp_node.contract.route import Route
from ocp_node.contract.snapshot import path_names, snapshot
from server_contract import BY_ID

ROOM = "ocp_node.mesh.cooperative_tasks.records"


@record
class Shard:
    """One piece."""
    name: str = wire(length_max=200)


@record
class Launch:
    """A task to cut into shards."""
    name: str = wire(length_max=200)
    shards: list[Shard] = wire(factory=list, items_max=256)
    strategy: str = wire(default="spread", choices=("spread", "pack"))
    request_id: str | None = wire(default=None)


@record
class Listed:
    """Some tasks."""
    limit: int = wire(default=25, minimum=1)
    state: str = wire(default="")
    newest: bool = wire(default=True)


@record
class Tasks:
    """The answer to a list."""
    peer_id: str = wire()
    count: int = wire()
    tasks: list[dict] = wire(factory=list)


@record
class Task:
    """What the protocol calls a cooperative task."""
    id: str = wire()
    child_job_ids: dict = wire(factory=dict)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Route]]:
    """The routes of a room as its author would build them."""
    module = types.ModuleType(ROOM)
    for made in (Shard, Launch, Listed, Tasks, Task):
        monkeypatch.setattr(made, "__module__", ROOM)
        setattr(module, made.__name__, made)
    monkeypatch.setitem(sys.modules, ROOM, module)
    plan = {"list": {"query": "Listed", "reply": "Tasks"}, "show": {"reply": "Task"},
            "launch": {"body": "Launch", "reply": "Task"}}
    yield {verb: BY_ID[f"mesh.cooperative_tasks.{verb}"]._replace(**facts) for verb, facts in plan.items()}


def entry(document: dict[str, Any], route: Route) -> dict[str, Any]:
    return next(found for found in document["endpoints"] if found["route_id"] == route.id)


def test_schemas_are_named_by_room_and_record(built: dict[str, Route]) -> None:
    schemas = snapshot(built.values())["schemas"]
    assert {f"mesh.cooperative_tasks.{name}" for name in ("Shard", "Launch", "Listed", "Tasks", "Task")} == set(schemas) & {
        name for name in schemas if "." in name}
    shards = schemas["mesh.cooperative_tasks.Launch"]["properties"]["shards"]
    assert shards["items"] == {"$ref": "#/schemas/mesh.cooperative_tasks.Shard"}


def test_our_schemas_can_be_validated_with(built: dict[str, Route]) -> None:
    schemas = snapshot(built.values())["schemas"]
    assert validate({"name": "x", "shards": [{"name": "a"}], "request_id": None}, "mesh.cooperative_tasks.Launch", schemas) == []
    assert validate({"shards": [{}]}, "mesh.cooperative_tasks.Launch", schemas) == [
        {"path": "$.name", "message": "required field is missing"},
        {"path": "$.shards[0].name", "message": "required field is missing"}]


def test_tables_keep_the_published_words_and_gain_what_else_is_taken(built: dict[str, Route]) -> None:
    document = snapshot(built.values())
    query = entry(document, built["list"])["request"]["query"]
    assert query == {"limit": "integer", "state": "string", "newest": "boolean"}
    assert entry(document, built["launch"])["request"]["body"] == {
        "base_job": "object", "name": "string", "shards": "array", "strategy": "string", "request_id": "string"}


def test_a_request_without_a_published_schema_refers_to_our_record(built: dict[str, Route]) -> None:
    assert entry(snapshot(built.values()), built["launch"])["request"]["schema_ref"] == "mesh.cooperative_tasks.Launch"


def test_an_answer_that_keeps_the_published_promise_refers_to_it(built: dict[str, Route]) -> None:
    response = entry(snapshot(built.values()), built["list"])["response"]
    assert response["schema_ref"] == "mesh.cooperative_tasks.Tasks" and response["published_schema_ref"] == "CooperativeTaskList"
    kept = built["list"]._replace(contract={**built["list"].contract, "response": "PeerList"})
    response = entry(snapshot([kept]), kept)["response"]
    assert response == {"type": "object", "schema_ref": "PeerList", "schema_available": True,
                        "record_ref": "mesh.cooperative_tasks.Tasks"}


def test_an_answer_that_breaks_the_published_promise_refers_to_our_schema(built: dict[str, Route]) -> None:
    response = entry(snapshot(built.values()), built["show"])["response"]
    assert (response["schema_ref"], response["published_schema_ref"]) == ("mesh.cooperative_tasks.Task", "CooperativeTask")


def test_a_loose_published_answer_is_replaced_by_our_schema(built: dict[str, Route]) -> None:
    response = entry(snapshot(built.values()), built["launch"])["response"]
    assert (response["schema_ref"], response["published_schema_ref"]) == ("mesh.cooperative_tasks.Task", "Object")


def test_openapi_tells_the_same(built: dict[str, Route]) -> None:
    document = openapi(built.values(), "Trial", "1", ["http://127.0.0.1:1"])
    parameters = document["paths"]["/mesh/cooperative-tasks"]["get"]["parameters"]
    assert [(parameter["name"], parameter["schema"]["type"]) for parameter in parameters] == [
        ("limit", "integer"), ("state", "string"), ("newest", "boolean")]
    body = document["paths"]["/mesh/cooperative-tasks/launch"]["post"]["requestBody"]
    assert body["required"] is True
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/mesh.cooperative_tasks.Launch"}
    assert "mesh.cooperative_tasks.Shard" in document["components"]["schemas"]
    assert "mesh.cooperative_tasks.Listed" not in document["components"]["schemas"]


@pytest.mark.parametrize(("path", "names"), [
    ("/a", []), ("/a/{b}", ["b"]), ("/a/{b}/c/{d...}", ["b", "d"]), ("/", []),
])
def test_path_parameters_are_read_from_the_template(path: str, names: list[str]) -> None:
    assert path_names(BY_ID["mesh.manifest.show"]._replace(path=path)) == names
