from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from ocp_node.base.records import record, wire
from ocp_node.client.client import Client, find, target
from ocp_node.contract.route import Route
from server_contract import BY_ID, ROUTES


class Line:
    """A transport that keeps what was asked and answers what it was told to."""

    def __init__(self, status: int = 200, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer = SimpleNamespace(status=status, body=body, headers=headers or {"content-type": "application/json"})

    def request(self, method: str, url: str, **facts: Any) -> Any:
        self.asked.append({"method": method, "url": url, **facts, "headers": dict(facts["headers"])})
        return self._answer


def asked(route_id: str, *arguments: Any, token: str = "", appmesh_token: str = "", **parameters: Any) -> dict[str, Any]:
    line = Line()
    Client("http://127.0.0.1:1/", token, appmesh_token, 5.0, line).call(route_id, *arguments, **parameters)
    return line.asked[0]


@pytest.mark.parametrize("route", [pytest.param(route, id=route.id) for route in ROUTES])
def test_every_route_is_found_by_its_id_alone(route: Route) -> None:
    assert find(route.id) is BY_ID[route.id]


@pytest.mark.parametrize("route_id", ["", "mesh", "mesh.jobs", "mesh.jobs.no", "mesh.no.show", "..", "base.records.x", "os.x"])
def test_an_unknown_id_is_a_key_error(route_id: str) -> None:
    with pytest.raises(KeyError):
        find(route_id)


@pytest.mark.parametrize(("route_id", "parameters", "expected"), [
    ("mesh.manifest.show", {}, "/mesh/manifest"),
    ("mesh.jobs.show", {"job_id": "a/b c?"}, "/mesh/jobs/a%2Fb%20c%3F"),
    ("mesh.peers.list", {"limit": 5}, "/mesh/peers?limit=5"),
    ("mesh.artifacts.show", {"artifact_id": "x", "include_content": False}, "/mesh/artifacts/x?include_content=false"),
    ("mesh.queue.events", {"job_id": "j&k", "since": None}, "/mesh/queue/events?job_id=j%26k"),
    ("directory.fetch", {"node_id": "node:did:key:z6"}, "/adv/node%3Adid%3Akey%3Az6"),
])
def test_parameters_fill_the_path_and_then_the_query(route_id: str, parameters: dict[str, Any], expected: str) -> None:
    assert target(BY_ID[route_id], parameters) == expected


@pytest.mark.parametrize("parameters", [{}, {"job_id": ""}, {"job_id": None}])
def test_a_path_without_its_parameter_is_not_asked_for(parameters: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="mesh.jobs.show needs job_id"):
        target(BY_ID["mesh.jobs.show"], parameters)


@pytest.mark.parametrize(("route_id", "parameters", "name", "value"), [
    ("mesh.peers.list", {}, "X-OCP-Operator-Token", "op"), ("node.health.ready", {}, "X-OCP-Operator-Token", "op"),
    ("oscp.admin.status", {}, "X-OCP-Operator-Token", "op"), ("directory.status", {}, "X-OCP-Operator-Token", "op"),
    ("appmesh.apps.list", {}, "Authorization", "Bearer app"),
])
def test_each_surface_is_shown_its_own_token(route_id: str, parameters: dict[str, Any], name: str, value: str) -> None:
    headers = asked(route_id, token="op", appmesh_token="app", **parameters)["headers"]
    assert headers[name] == value
    assert len({"Authorization", "X-OCP-Operator-Token"} & set(headers)) == 1


@pytest.mark.parametrize("route_id", ["directory.feed", "oscp.heartbeat.beat_fp", "appmesh.metrics.show"])
def test_no_token_goes_where_it_is_not_asked_for(route_id: str) -> None:
    assert not {"Authorization", "X-OCP-Operator-Token"} & set(asked(route_id, token="op", appmesh_token="app")["headers"])


@record
class Trial:
    """A trial."""
    node_id: str = wire(name="node/id")


@pytest.mark.parametrize(("body", "raw", "media_type"), [
    ({"a": 1}, b'{"a":1}', "application/json"), (Trial(node_id="x"), b'{"node/id":"x"}', "application/json"),
    (b"\x00", b"\x00", "application/octet-stream"), (None, None, None),
])
def test_a_body_is_a_record_a_value_or_bytes(body: Any, raw: bytes | None, media_type: str | None) -> None:
    sent = asked("mesh.leases.acquire", body)
    assert sent["body"] == raw and sent["headers"].get("Content-Type") == media_type
    assert (sent["method"], sent["url"], sent["timeout"]) == ("POST", "http://127.0.0.1:1/mesh/lease/acquire", 5.0)


def test_given_headers_count_before_the_clients_own() -> None:
    sent = asked("appmesh.sessions.login", None, {"Authorization": "Basic eA=="}, appmesh_token="app")
    assert sent["headers"]["Authorization"] == "Basic eA=="


@pytest.mark.parametrize(("raw", "media_type", "body"), [
    (b"", "application/json", None), (b'{"a":[1]}', "application/json; charset=utf-8", {"a": [1]}),
    (b"text", "text/plain", b"text"),
])
def test_an_answer_is_json_bytes_or_nothing(raw: bytes, media_type: str, body: Any) -> None:
    line = Line(404, raw, {"content-type": media_type})
    answer = Client("http://h", transport=line).call("mesh.manifest.show")
    assert (answer.status, answer.body, answer.ok, answer.headers) == (404, body, False, {"content-type": media_type})


def test_the_url_of_a_node_may_end_with_a_slash() -> None:
    assert json.dumps(asked("mesh.manifest.show")["url"]) == '"http://127.0.0.1:1/mesh/manifest"'
