"""The routes as a whole, and the contract document against the captured one (OCP 0.1)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import server_contract
from ocp_node.contract.published import published
from ocp_node.contract.route import Auth, Lane, Route, Stability
from ocp_node.contract.snapshot import snapshot
from server_contract import MESH, ROUTES

ROOT = Path(__file__).resolve().parent.parent
CAPTURED: dict[str, Any] = json.loads((ROOT / "tests/data/ocp/contract-v0.1.json").read_text())
ENDPOINTS = {entry["id"]: entry for entry in CAPTURED["endpoints"]}
EXTRA = {"/mesh/peers/{peer_id}/trust", "/mesh/treaties/{treaty_id}/sign", "/mesh/grants", "/mesh/grants/{grant_id}/revoke",
         "/mesh/invitations", "/mesh/invitations/{invitation_id}", "/mesh/invitations/join",
         "/mesh/identity", "/mesh/identity/rotate"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return snapshot(ROUTES)


def named(routes: tuple[Route, ...]) -> list[Any]:
    return [pytest.param(route, id=route.id) for route in routes]


# --- the routes ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("route", named(ROUTES))
def test_a_route_is_well_formed(route: Route) -> None:
    assert re.fullmatch(r"[a-z]+(\.[a-z_]+){1,2}", route.id)
    assert route.method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    assert re.fullmatch(r"/|(/([A-Za-z0-9_.-]+|\{[a-z_]+(\.\.\.)?\}))+", route.path)
    assert 0 < route.body_bytes_max
    assert (ROOT / "ocp_node" / route.room.replace(".", "/") / "routes.py").is_file(), "a route stands in its room's routes.py"


@pytest.mark.parametrize("route", named(ROUTES))
def test_a_route_is_planned_or_can_be_called(route: Route) -> None:
    if route.stability is Stability.PLANNED:
        assert not route.handler and not route.cached
        return
    assert callable(route.function())
    for name in (route.query, route.body, route.reply):
        assert isinstance(route.record(name), type)
    assert not route.body_stream or route.lane is Lane.LONG
    assert not route.cached or route.method == "GET" and route.auth is Auth.PUBLIC


def test_a_query_parameter_and_a_path_parameter_never_share_a_name() -> None:
    from ocp_node.base.records import schema_of
    from ocp_node.contract.snapshot import path_names, record_ref
    for route in ROUTES:
        if reference := record_ref(route, route.query):
            named_schemas: dict[str, Any] = {}
            schema_of(route.record(route.query), named_schemas)
            assert not set(named_schemas[reference]["properties"]) & set(path_names(route)), route.id


def test_every_surface_has_its_routes() -> None:
    counts = Counter(route.surface for route in ROUTES)
    assert counts["mesh"] >= 98 and counts["directory"] >= 3
    assert {"appmesh", "oscp", "node"} < set(counts)


def test_the_contract_is_imported_without_records_or_rooms() -> None:
    code = "import server_contract, sys; print(*[name for name in sys.modules if name.startswith('ocp_node')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert not [name for name in done.stdout.split() if name.endswith((".records", ".room", ".rules", ".table"))]


# --- the contract document -------------------------------------------------------------------------------------------

def test_the_counts_are_the_published_ones(document: dict[str, Any]) -> None:
    assert document["endpoint_count"] == len(document["endpoints"]) == CAPTURED["endpoint_count"] == 94
    assert document["groups"] == CAPTURED["groups"]
    assert document["schema_count"] == len(document["schemas"]) >= CAPTURED["schema_count"] == 75
    for member in ("status", "contract_version", "schema_version", "protocol_surface"):
        assert document[member] == CAPTURED[member]
    assert set(CAPTURED) <= set(document)


def test_the_endpoints_stand_in_the_published_order(document: dict[str, Any]) -> None:
    assert [entry["id"] for entry in document["endpoints"]] == list(ENDPOINTS) == list(published().order)


@pytest.mark.parametrize("contract_id", ENDPOINTS)
def test_every_published_field_of_an_endpoint_is_kept(document: dict[str, Any], contract_id: str) -> None:
    ours = next(entry for entry in document["endpoints"] if entry["id"] == contract_id)
    theirs = ENDPOINTS[contract_id]
    for member in ("id", "method", "group", "path", "handler"):
        assert ours[member] == theirs[member]
    for member, value in theirs["request"].items():
        kept = ours["request"][member]
        assert kept.items() >= value.items() if isinstance(value, dict) else kept == value
    response = ours["response"]
    assert response.get("published_schema_ref", response["schema_ref"]) == theirs["response"]["schema_ref"]
    assert (response["type"], response["schema_available"]) == ("object", True)


def test_every_endpoint_says_who_may_call_and_how_settled_it_is(document: dict[str, Any]) -> None:
    words = {"public", "operator", "signed", "signed_or_operator", "artifact_content"}
    for entry in document["endpoints"] + document["extensions"]:
        assert entry["auth"] in words and entry["stability"] in ("stable", "beta", "planned"), entry["id"]


@pytest.mark.parametrize(("contract_id", "auth"), [
    ("get:/mesh/manifest", "public"), ("post:/mesh/handshake", "signed"), ("post:/mesh/agents/handoff", "signed"),
    ("post:/mesh/artifacts/publish", "signed"), ("post:/mesh/jobs/submit", "signed_or_operator"),
    ("post:/mesh/jobs/{job_id}/cancel", "signed_or_operator"), ("get:/mesh/artifacts/{artifact_id}", "artifact_content"),
    ("post:/mesh/secrets/put", "operator"), ("post:/mesh/lease/acquire", "operator"),
])
def test_an_endpoint_has_the_caller_of_the_specification(document: dict[str, Any], contract_id: str, auth: str) -> None:
    assert next(entry["auth"] for entry in document["endpoints"] if entry["id"] == contract_id) == auth


def test_reads_are_public_and_changes_are_not() -> None:
    for route in MESH:
        if route.method == "GET" and (not route.extra or route.id == "mesh.identity.show"):      # a key is there to be known
            assert route.auth in (Auth.PUBLIC, Auth.ARTIFACT_CONTENT), route.id
        else:            # our own reads beside the published ones are the operator's too: invitations
            assert route.auth in (Auth.OPERATOR, Auth.SIGNED, Auth.SIGNED_OR_OPERATOR), route.id


def test_the_published_schemas_are_kept_as_they_are(document: dict[str, Any]) -> None:
    assert {name: document["schemas"][name] for name in CAPTURED["schemas"]} == CAPTURED["schemas"]


def test_every_schema_that_is_referred_to_exists(document: dict[str, Any]) -> None:
    refs = set(re.findall(r'"#/schemas/([^"]+)"', json.dumps(document["schemas"])))
    for entry in document["endpoints"] + document["extensions"]:
        for part in (entry["request"], entry["response"]):
            refs |= {part[member] for member in ("schema_ref", "record_ref", "published_schema_ref") if member in part}
    assert refs <= set(document["schemas"])


def test_our_own_routes_stand_apart_from_the_published_ones(document: dict[str, Any]) -> None:
    assert {entry["path"] for entry in document["extensions"]} >= EXTRA
    assert not {entry["id"] for entry in document["extensions"]} & set(ENDPOINTS)


def test_the_conformance_snapshot_is_the_captured_one(document: dict[str, Any]) -> None:
    assert document["conformance"] == CAPTURED["conformance"]
    assert document["conformance"]["fixture_count"] == 14 and document["conformance"]["invalid_fixture_count"] == 0


def test_a_broken_fixture_would_be_noticed() -> None:
    from ocp_node.contract.snapshot import conformance
    schemas = {**published().schemas, "TreatyAuditRequest": {"type": "object", "required": ["never"]}}
    found = conformance(schemas)
    assert found["status"] == "attention_needed" and found["invalid_fixture_count"] == 1
    broken = next(fixture for fixture in found["fixtures"] if fixture["validation"]["status"] == "invalid")
    assert broken["validation"]["issues"] == [{"path": "$.never", "message": "required field is missing"}]


def test_the_document_is_json_and_the_same_each_time(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document)) == document == snapshot(reversed(ROUTES)) | {"extensions": document["extensions"]}


def test_routes_can_be_looked_up_by_id() -> None:
    assert server_contract.BY_ID["mesh.jobs.submit"].path == "/mesh/jobs/submit"
