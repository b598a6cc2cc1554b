from __future__ import annotations

from typing import Any

import pytest

from ocp_node.contract.openapi import openapi
from server_contract import ROUTES


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi(ROUTES, "Trial", "1.0", ("http://127.0.0.1:8421",))


def test_the_document_is_openapi(document: dict[str, Any]) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)


def test_every_route_is_an_operation_under_its_id(document: dict[str, Any]) -> None:
    operations = {operation["operationId"]: (method.upper(), path) for path, methods in document["paths"].items()
                  for method, operation in methods.items()}
    assert operations == {route.id: (route.method, route.path.replace("...}", "}")) for route in ROUTES}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*[references(child) for child in node.values()])
        return set().union(*[references(child) for child in node]) if isinstance(node, list) else set()

    for reference in references(document):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize(("route_id", "schemes"), [
    ("mesh.manifest.show", [[]]), ("mesh.peers.connect", [["operator"], ["operatorBearer"]]), ("mesh.handshake.accept", [[]]),
    ("mesh.jobs.submit", [[], ["operator"], ["operatorBearer"]]), ("appmesh.apps.list", [["appmesh"], ["appmeshCookie"]]),
    ("oscp.heartbeat.beat_fp", [["oscp"]]), ("oscp.admin.status", [["operator"], ["operatorBearer"]]),
    ("directory.publish", [[]]),
])
def test_each_gate_is_told_as_credentials(document: dict[str, Any], route_id: str, schemes: list[list[str]]) -> None:
    operation = next(operation for methods in document["paths"].values() for operation in methods.values()
                     if operation["operationId"] == route_id)
    assert [list(option) for option in operation["security"]] == schemes


def test_where_a_handler_runs_is_nobodys_business(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert not any("lane" in member.lower() for operation in operations for member in operation)


def test_oscp_messages_succeed_without_a_body(document: dict[str, Any]) -> None:
    responses = document["paths"]["/oscp/fp/2.0/heartbeat"]["post"]["responses"]
    assert "204" in responses and "200" not in responses and "content" not in responses["204"]
