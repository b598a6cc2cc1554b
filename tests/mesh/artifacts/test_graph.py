"""Copies of an artifact with all it refers to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import VALIDATING, events, introduce, kept, names, sha256, store
from tests.support.liar import Liar
from tests.support.node import Answer, TrialNode

ROUTE = "/mesh/artifacts/replicate-graph"


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha-node", allow_loopback_peers=True) as node:
        yield node


@pytest.fixture
def beta(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", node_id="beta-node") as node:
        introduce(alpha, node, **VALIDATING)
        yield node


def ask(node: TrialNode, **body: Any) -> Answer:
    return node.post(ROUTE, {"peer_id": "beta-node", **body})


def copied(node: TrialNode, **body: Any) -> dict[str, Any]:
    answer = ask(node, **body)
    assert answer.status == 200, answer
    decode(records.GraphReplicated, answer.json)
    return answer.json


def document(node: TrialNode, value: Any, **metadata: Any) -> dict[str, Any]:
    return store(node, json.dumps(value).encode(), media_type="application/json", **metadata)


def descriptor(artifact: dict[str, Any], role: str) -> dict[str, Any]:
    return {"id": artifact["id"], "digest": artifact["digest"], "role": role}


def package(node: TrialNode) -> dict[str, dict[str, Any]]:
    """A result package as a finished job leaves it."""
    named = {"job_id": "job-1", "attempt_id": "att-1"}
    made = {"result": store(node, b'{"value": 1}', artifact_kind="result", **named)}
    result = made["result"]["id"]
    for name in ("stdout", "checkpoint"):
        made[name] = store(node, name.encode(), artifact_kind="log" if name == "stdout" else name, parent_artifact_id=result, **named)
    made["config"] = document(node, {"kind": "ocp.artifact.config", "result": {"artifact_id": result, "digest": made["result"]["digest"]}},
                              artifact_kind="config", result_artifact_id=result, **named)
    made["attestation"] = document(node, {"kind": "ocp.execution.attestation", "subject": {"artifact_id": result, "digest": made["result"]["digest"]}},
                                   artifact_kind="attestation", subject_artifact_id=result, **named)
    members = [descriptor(made[role], role) for role in ("result", "stdout", "checkpoint", "attestation")]
    made["bundle"] = document(node, {
        "kind": "ocp.artifact.bundle", "primary": members[0], "config": {"digest": f"sha256:{made['config']['digest']}"},
        "subject": {"digest": f"sha256:{made['result']['digest']}"}, "descriptors": members}, artifact_kind="bundle",
        primary_artifact_id=result, attestation_artifact_id=made["attestation"]["id"], config_artifact_id=made["config"]["id"], **named)
    return made


@pytest.mark.parametrize("root", ["bundle", "checkpoint", "attestation"])
def test_a_package_comes_whole_from_any_of_its_members(alpha: TrialNode, beta: TrialNode, root: str) -> None:
    made = package(beta)
    answer = copied(alpha, artifact_id=made[root]["id"], pin=True)
    assert answer["status"] == "replicated" and answer["graph"]["count"] == 6 == len(answer["artifacts"])
    assert set(names(answer["artifacts"], "digest")) == set(names(made.values(), "digest")) == kept(alpha)
    assert answer["artifacts"][0]["id"] == answer["graph"]["root_artifact_id"] == answer["root"]["artifact"]["id"]
    assert answer["root"]["source"]["artifact_id"] == made[root]["id"]
    local = alpha.get("/mesh/artifacts?job_id=job-1&attempt_id=att-1").json["artifacts"]
    assert len(local) == 6 and all(each["pinned"] for each in local)
    event = events(alpha, "mesh.artifact.graph.replicated")[0]["payload"]
    assert (event["replicated_count"], event["pinned"], event["root_digest"]) == (6, True, made[root]["digest"])


def test_the_root_knows_what_its_members_are_called_here(alpha: TrialNode, beta: TrialNode) -> None:
    made = package(beta)
    answer = copied(alpha, artifact_id=made["bundle"]["id"])
    called = answer["root"]["artifact"]["artifact_sync"]["source_ids"]
    assert set(called) == set(names(made.values(), "id")) and set(called.values()) == set(names(answer["artifacts"], "id"))
    by_digest = {each["digest"]: each["id"] for each in answer["artifacts"]}
    assert all(called[each["id"]] == by_digest[each["digest"]] for each in made.values())


def test_what_is_here_is_neither_fetched_nor_doubled(alpha: TrialNode, beta: TrialNode) -> None:
    made = package(beta)
    first = copied(alpha, artifact_id=made["bundle"]["id"])
    again = copied(alpha, digest=made["bundle"]["digest"], pin=True)
    assert again["status"] == "replicated" and {again["root"]["status"], *names(again["graph"]["linked"], "status")} == {"already_present"}
    assert names(again["artifacts"], "id") == names(first["artifacts"], "id") and all(each["pinned"] for each in again["artifacts"])
    assert alpha.get("/mesh/artifacts").json["count"] == 6


def test_identical_members_are_one_copy_under_both_names(alpha: TrialNode, beta: TrialNode) -> None:
    one, two = store(beta, b"twin", job_id="j"), store(beta, b"twin", job_id="j")
    root = store(beta, b"root", job_id="j")
    answer = copied(alpha, artifact_id=root["id"])
    assert answer["graph"]["count"] == 2
    called = answer["root"]["artifact"]["artifact_sync"]["source_ids"]
    assert called[one["id"]] == called[two["id"]]


@pytest.mark.parametrize("depth, count", [(None, 2), (1, 2), (2, 3), (3, 4), (5, 6), (9, 6), (0, 2), (-1, 2)])
def test_links_are_followed_as_deep_as_is_asked(alpha: TrialNode, beta: TrialNode, depth: int | None, count: int) -> None:
    before = store(beta, b"0")
    for number in range(1, 8):
        before = store(beta, str(number).encode(), parent_artifact_id=before["id"])
    answer = copied(alpha, artifact_id=before["id"], **({} if depth is None else {"depth": depth}))
    assert answer["graph"]["count"] == count


def test_a_circle_of_links_ends(alpha: TrialNode, beta: TrialNode) -> None:
    one, two = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    store(beta, b"one", artifact_id=one, parent_artifact_id=two)
    store(beta, b"two", artifact_id=two, parent_artifact_id=one, primary_artifact_id=two)
    assert copied(alpha, artifact_id=one, depth=5)["graph"]["count"] == 2


def test_a_missing_member_fails_the_whole_and_leaves_nothing(alpha: TrialNode, beta: TrialNode) -> None:
    root = store(beta, b"root", parent_artifact_id="gone", job_id="j")
    store(beta, b"sibling", job_id="j")
    answer = ask(alpha, artifact_id=root["id"])
    assert (answer.status, answer.json["error"]) == (404, "remote artifact not found")
    assert alpha.get("/mesh/artifacts").json["count"] == 0 and events(alpha, "mesh.artifact.published") == []
    alpha.until(lambda: alpha.wake() or not kept(alpha))


def test_a_part_is_taken_when_that_is_asked_for(alpha: TrialNode, beta: TrialNode) -> None:
    root = store(beta, b"root", parent_artifact_id="gone", job_id="j")
    store(beta, b"sibling", job_id="j")
    answer = copied(alpha, artifact_id=root["id"], allow_partial=True)
    assert (answer["status"], answer["graph"]["count"]) == ("partial", 2)
    assert answer["graph"]["missing"] == [{"artifact_id": "gone", "digest": "", "reason": "parent_artifact", "role": "",
                                           "error": "remote artifact not found"}]


def test_treaties_of_every_member_are_judged_before_anything_is_stored(alpha: TrialNode, beta: TrialNode) -> None:
    bound = store(beta, b"bound", treaty_requirements=["treaty/none"])
    root = store(beta, b"root", parent_artifact_id=bound["id"])
    answer = ask(alpha, artifact_id=root["id"])
    assert (answer.status, answer.json["error"]) == (403, "artifact replication requires active treaties for all treaty-bound artifacts")
    assert alpha.get("/mesh/artifacts").json["count"] == 0
    partial = copied(alpha, artifact_id=root["id"], allow_partial=True)
    assert partial["graph"]["missing"][0]["artifact_id"] == bound["id"] and partial["graph"]["count"] == 1


@pytest.mark.parametrize("body, status, text", [
    ({"peer_id": "", "artifact_id": "x"}, 400, "peer_id is required"), ({}, 400, "artifact_id or digest is required"),
    ({"peer_id": "nobody"}, 502, "fresh reachable route required before artifact replication"),
    ({"artifact_id": "nope"}, 404, "remote artifact not found"), ({"digest": "0" * 64}, 404, "remote artifact not found"),
    ({"artifact_id": 1}, 400, "protocol validation failed"),
])
def test_requests_that_lead_nowhere_are_told_so(alpha: TrialNode, beta: TrialNode, body: Any, status: int, text: str) -> None:
    answer = ask(alpha, **body)
    assert (answer.status, answer.json["error"]) == (status, text)


def describe(artifact_id: str, data: bytes, **metadata: Any) -> dict[str, Any]:
    return {"id": artifact_id, "digest": sha256(data), "size_bytes": len(data), "media_type": "application/json", "metadata": metadata}


def test_a_peer_cannot_make_us_ask_without_end(alpha: TrialNode) -> None:
    """A bundle that names thousands of members is refused after two hundred."""
    root = json.dumps({"kind": "ocp.artifact.bundle", "descriptors": [{"id": f"m{number}"} for number in range(5000)]}).encode()
    with Liar() as liar:
        liar.shakes_hands(alpha, endpoint_url=liar.url)
        liar.offers("root", describe("root", root), lambda asked: asked.send(root))
        for partial in (False, True):
            answer = alpha.post(ROUTE, {"peer_id": "liar-node", "artifact_id": "root", "allow_partial": partial})
            assert (answer.status, answer.json["error"]) == ((413, "an artifact graph may have at most 200 members") if partial
                                                             else (404, "remote artifact not found"))
        assert len(liar.seen) < 250 and alpha.get("/mesh/artifacts").json["count"] == 0


def test_a_member_that_is_not_what_the_root_says_is_refused(alpha: TrialNode) -> None:
    member, other = b'{"a": 1}', b'{"b": 2}'
    root = json.dumps({"kind": "ocp.artifact.bundle", "primary": {"id": "m", "digest": sha256(member)}}).encode()
    with Liar() as liar:
        liar.shakes_hands(alpha, endpoint_url=liar.url)
        liar.offers("root", describe("root", root), lambda asked: asked.send(root))
        liar.offers("m", describe("m", other), lambda asked: asked.send(other))
        answer = alpha.post(ROUTE, {"peer_id": "liar-node", "artifact_id": "root"})
        assert (answer.status, answer.json["error"]) == (502, "remote artifact digest mismatch")
        liar.offers("m", describe("m", member), lambda asked: asked.send(other))
        answer = alpha.post(ROUTE, {"peer_id": "liar-node", "artifact_id": "root"})
        assert (answer.status, answer.json["error"]) == (502, "replicated artifact digest mismatch")
        assert alpha.get("/mesh/artifacts").json["count"] == 0


@pytest.mark.parametrize("listed", [{"artifacts": "no"}, {"artifacts": [5, {}, {"id": "z"}]}, {}])
def test_a_list_that_is_none_adds_nothing_that_is_not_there(alpha: TrialNode, listed: Any) -> None:
    with Liar() as liar:
        liar.shakes_hands(alpha, endpoint_url=liar.url)
        liar.offers("root", describe("root", b"{}", job_id="j"), lambda asked: asked.send(b"{}"))
        liar.answers["/mesh/artifacts"] = lambda asked: asked.json(listed)
        answer = alpha.post(ROUTE, {"peer_id": "liar-node", "artifact_id": "root", "allow_partial": True})
        assert answer.status == 200 and answer.json["graph"]["count"] == 1
        assert liar.asked_for("/mesh/artifacts")[0].query == "limit=20&job_id=j"
