"""Every route against a running node: it is reachable, it is guarded, it refuses what is no request in its surface's words.

Nothing here sends a well-formed change, so no route does anything.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ocp_node.client.client import Client, target
from ocp_node.contract.requests import contract_id
from ocp_node.contract.route import Auth, Route, Stability
from ocp_node.contract.snapshot import path_names
from server_contract import ROUTES
from tests.support.node import FROM_LAN, WAIT_SECONDS, TrialNode

PLANNED = [route for route in ROUTES if route.stability is Stability.PLANNED]
BUILT = [route for route in ROUTES if route.stability is not Stability.PLANNED]
OWN_CREDENTIALS = (Auth.APPMESH, Auth.OSCP)
GUARDED = (Auth.OPERATOR, Auth.LOCAL_ADMIN, *OWN_CREDENTIALS)
NO_JSON = {"cut": b"{", "bytes": b'"\xff"', "twice": b'{"a":1,"a":2}', "nan": b'{"a":NaN}', "deep": b"[" * 100_000}
ERROR_MEMBERS = {"mesh": {"error", "code"}, "node": {"error", "code"}, "appmesh": {"message"}, "oscp": {"message"},
                 "directory": {"status"}}
VALIDATION: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).resolve().parent / "data/ocp/request-validation.json").read_text())
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialNode]:
    with TrialNode(tmp_path_factory.mktemp("node"), trusted_proxies=("127.0.0.1",)) as made:
        yield made


@pytest.fixture()
def node(running: TrialNode) -> TrialNode:
    """The node, a while later: what slows down who fails to log in has forgotten the last test."""
    running.advance(60)
    return running


def named(routes: list[Route]) -> list[Any]:
    return [pytest.param(route, id=route.id) for route in routes]


def ask(node: TrialNode, route: Route, raw: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Status and body; of a stream only the status, as its end is not waited for."""
    path = target(route, dict.fromkeys(path_names(route), "unknown-1"))
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=WAIT_SECONDS)
    try:
        connection.request(route.method, path, raw, dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read() if answer.getheader("Content-Length") else b""
        return answer.status, json.loads(body) if "json" in answer.getheader("Content-Type", "") and body else body
    finally:
        connection.close()


def json_body(route: Route) -> bool:
    """Does the edge decode this route's body before the room sees it?"""
    return bool(route.body) and not route.body_raw and not route.body_stream


@pytest.mark.parametrize("route", named(PLANNED))
def test_a_planned_route_says_so(node: TrialNode, route: Route) -> None:
    status, body = ask(node, route)
    assert status == 501 or status == 401 and route.auth in OWN_CREDENTIALS
    assert ERROR_MEMBERS[route.surface] <= set(body) or {"error", "code"} <= set(body)


@pytest.mark.parametrize("route", named([route for route in BUILT if route.method == "GET"
                                          and route.auth not in OWN_CREDENTIALS]))
def test_a_built_read_answers(node: TrialNode, route: Route) -> None:
    status, body = ask(node, route)
    assert status in (200, 204, 206, 400, 401) or status in (403, 404) and path_names(route), (status, body)
    assert not (isinstance(body, dict) and body.get("error") == "unknown endpoint")


def test_the_client_calls_a_running_node(node: TrialNode) -> None:
    client = Client(node.url + "/")
    shown = client.call("mesh.contract.show")
    assert shown.ok and shown.body["endpoint_count"] == 94 and shown.headers["content-type"] == "application/json"
    assert client.call("mesh.jobs.show", job_id="no such/job").status in (404, 501)


@pytest.mark.parametrize("route", named([route for route in ROUTES if route.auth in (Auth.OPERATOR, Auth.LOCAL_ADMIN)]))
def test_a_stranger_on_the_network_is_not_the_operator(node: TrialNode, route: Route) -> None:
    for raw in (None, b"{}", b"{"):
        status, body = ask(node, route, raw, {**FROM_LAN, **JSON})
        assert status == 401, (status, body)


@pytest.mark.parametrize("route", named([route for route in BUILT if route.auth in OWN_CREDENTIALS]))
@pytest.mark.parametrize("credential", ["", "Bearer ", "Bearer x.y.z", "Token x", "Basic eDp5", "x"])
def test_a_surface_with_its_own_credentials_wants_them(node: TrialNode, route: Route, credential: str) -> None:
    headers = {**JSON, "X-Request-ID": "1", **({"Authorization": credential} if credential else {})}
    status, body = ask(node, route, None if route.method in ("GET", "DELETE") else b"{}", headers)
    assert status == 401, (status, body)
    assert ERROR_MEMBERS[route.surface] <= set(body)


@pytest.mark.parametrize("route", named([route for route in BUILT if json_body(route) and route.auth not in OWN_CREDENTIALS]))
@pytest.mark.parametrize("raw", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_refused_in_the_words_of_the_surface(node: TrialNode, route: Route, raw: bytes) -> None:
    if len(raw) > route.body_bytes_max:
        pytest.skip("over the route's bound")
    status, body = ask(node, route, raw, JSON)
    assert status == 400, (status, body)
    assert ERROR_MEMBERS[route.surface] <= set(body)
    assert "Traceback" not in json.dumps(body) and "0x" not in json.dumps(body)


@pytest.mark.parametrize("route", named([route for route in BUILT if json_body(route) and route.surface == "mesh"]))
def test_a_body_must_be_an_object_declared_as_json(node: TrialNode, route: Route) -> None:
    status, body = ask(node, route, b'["x"]', JSON)
    assert status == 400 and ("protocol_validation" in body) is bool(route.contract.get("request")), body
    assert ask(node, route, b"{}", {"Content-Type": "text/plain"})[0] == 415


@pytest.mark.parametrize("route", named([route for route in ROUTES if route.method == "POST"]))
def test_a_body_over_the_bound_is_refused_before_it_is_sent(node: TrialNode, route: Route) -> None:
    headers = {**JSON, "Content-Length": str(1 + route.body_bytes_max), "Expect": "100-continue"}
    status, _ = ask(node, route, None, headers)
    assert status in (401, 413) if route.auth in GUARDED else status == 413


def served(case: dict[str, Any]) -> bool:
    """Is the case's route built, and the case no raw job, which this product takes from the operator?"""
    named_id = case["answer"]["protocol_validation"]["contract_id"]
    return any(contract_id(route) == named_id for route in BUILT) and not (
        named_id == "post:/mesh/jobs/submit" and "job" in case["body"])


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case['path']} {case['case']}") for case in VALIDATION["refused"]
                                  if served(case)])
def test_a_captured_refusal_is_repeated_by_the_node(node: TrialNode, case: dict[str, Any]) -> None:
    answer = node.request("POST", case["path"], case["body"])
    assert answer.status == 400
    assert answer.json == {**case["answer"], "code": "protocol_validation"}
