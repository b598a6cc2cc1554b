"""Requests against the published schemas: the captured refusals, word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Malformed, Problem
from ocp_node.base.records import decode, record, wire
from ocp_node.contract.requests import (
    Invalid,
    check_request,
    contract_id,
    issues_of,
    protocol_validation,
    request_schema,
    require_valid,
)
from ocp_node.contract.route import Route
from ocp_node.http.router import Match, Router
from server_contract import BY_ID, MESH

CAPTURED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).resolve().parent.parent / "data/ocp/request-validation.json").read_text())
ROUTER = Router(MESH)
SUBMIT = BY_ID["mesh.jobs.submit"]


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=f"{case['path']} {case['case']}") for case in CAPTURED[kind]]


def routed(path: str) -> Route:
    match = ROUTER.match("POST", path)
    assert isinstance(match, Match)
    return match.route


def is_raw_job(case: dict[str, Any]) -> bool:
    """These the product takes, from the operator."""
    return case["path"] == "/mesh/jobs/submit" and "job" in case["body"]


@pytest.mark.parametrize("case", cases("refused"))
def test_a_captured_refusal_is_repeated_word_for_word(case: dict[str, Any]) -> None:
    route = routed(case["path"])
    if is_raw_job(case):
        assert check_request(route, case["body"]) == []
        return
    issues = check_request(route, case["body"])
    answer = protocol_validation(issues, request_schema(route, case["body"]), route, case["path"])
    assert answer == {**case["answer"], "code": "protocol_validation"}


@pytest.mark.parametrize("case", cases("accepted"))
def test_a_captured_request_that_was_served_passes(case: dict[str, Any]) -> None:
    route = routed(case["path"])
    assert request_schema(route, case["body"])
    assert check_request(route, case["body"]) == []


@pytest.mark.parametrize(("body", "schema_ref"), [
    ({"request": {}, "body": {}}, "SignedEnvelope"), ({"request": {}, "body": {}, "job": {}, "kind": "x"}, "SignedEnvelope"),
    ({"request": {}}, "SignedEnvelope"), ({"body": {}}, "SignedEnvelope"), ({}, "SignedEnvelope"), (["x"], "SignedEnvelope"),
    ({"job": {"kind": "demo"}}, ""), ({"kind": "demo"}, ""), ({"request": {}, "job": {}}, ""),
    ({"job": "demo"}, "JobSubmissionRequest"), ({"other": 1}, "JobSubmissionRequest"),
])
def test_a_submitted_job_is_measured_as_what_it_looks_like(body: Any, schema_ref: str) -> None:
    assert request_schema(SUBMIT, body) == schema_ref


def test_a_body_of_no_known_shape_names_what_each_shape_misses() -> None:
    with pytest.raises(Invalid) as caught:
        require_valid(SUBMIT, {"job": "demo"})
    assert caught.value.schema_ref == "JobSubmissionRequest" and caught.value.code == "protocol_validation"
    assert caught.value.issues == ({"path": "$", "message": "value does not match any accepted schema shape: "
                                    "required field is missing; invalid type; required field is missing"},)


def test_a_route_without_a_published_schema_is_left_to_its_record() -> None:
    assert check_request(BY_ID["mesh.leases.acquire"], {"ttl_seconds": "x"}) == []


def test_a_contract_id_names_method_and_template() -> None:
    assert contract_id(BY_ID["mesh.missions.cancel"]) == "post:/mesh/missions/{mission_id}/cancel"


@record
class Wanted:
    """A trial."""
    name: str = wire(length_max=3)
    count: int = wire(default=0, minimum=0, maximum=9)
    words: list[str] = wire(factory=list)
    kind: str = wire(default="a", choices=("a", "b"))


def test_the_decoders_problems_become_issues_in_the_words_of_the_contract() -> None:
    with pytest.raises(Malformed) as caught:
        decode(Wanted, {"count": 10, "words": ["x", 1], "kind": "c"})
    assert issues_of(caught.value.problems) == [
        {"path": "$.name", "message": "required field is missing"},
        {"path": "$.count", "message": "number is too large", "expected": "9"},
        {"path": "$.words[1]", "message": "invalid type", "expected": "string", "actual": "integer"},
        {"path": "$.kind", "message": "value is not one of the accepted words", "expected": "a b"},
    ]


def test_a_code_of_a_rooms_own_still_reads_as_words() -> None:
    assert issues_of([Problem(("a",), "not-a-peer_id")]) == [{"path": "$.a", "message": "not a peer id"}]
