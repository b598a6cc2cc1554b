"""Copies compared with their source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import TOKEN, events, introduce, known, sha256, store
from tests.support.liar import Liar
from tests.support.node import FROM_LAN, Answer, TrialNode

ROUTE = "/mesh/artifacts/verify-mirror"


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha-node", allow_loopback_peers=True, trusted_proxies=("127.0.0.1",)) as node:
        yield node


@pytest.fixture
def beta(tmp_path: Path, alpha: TrialNode) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", node_id="beta-node", operator_token=TOKEN) as node:
        introduce(alpha, node)
        yield node


@pytest.fixture
def copy(alpha: TrialNode, beta: TrialNode) -> dict[str, Any]:
    source = store(beta, b"mirrored", artifact_kind="dataset", retention_seconds=3600)
    answer = alpha.post("/mesh/artifacts/replicate", {"peer_id": "beta-node", "artifact_id": source["id"], "pin": True,
                                                      "remote_auth": {"type": "operator_token", "token": TOKEN}})
    assert answer.status == 200, answer
    return answer.json["artifact"]


def verified(node: TrialNode, artifact_id: str, **body: Any) -> dict[str, Any]:
    answer = node.post(ROUTE, {"artifact_id": artifact_id, **body})
    assert answer.status == 200, answer
    decode(records.MirrorVerified, answer.json)
    found = answer.json["verification"]
    assert answer.json["status"] == found["status"] == answer.json["artifact"]["artifact_sync"]["verification_status"]
    assert answer.json["artifact"]["mirror_verification"] == found and found["verified"] is (found["status"] == "verified")
    return found


def test_a_copy_like_its_source_is_verified(alpha: TrialNode, beta: TrialNode, copy: dict[str, Any]) -> None:
    alpha.advance(60)
    found = verified(alpha, copy["id"])
    assert (found["status"], found["reason"], found["checked_at"]) == ("verified", "remote_descriptor_match", "2027-01-15T08:01:00Z")
    assert (found["local_digest"], found["remote_digest"], found["peer_id"]) == (copy["digest"], copy["digest"], "beta-node")
    event = events(alpha, "mesh.artifact.mirror.verified")[0]["payload"]
    assert event == {"artifact_id": copy["id"], "digest": copy["digest"], "status": "verified",
                     "source_artifact_id": copy["artifact_sync"]["source_artifact_id"]}


def test_a_source_that_is_gone_is_missing(alpha: TrialNode, beta: TrialNode, copy: dict[str, Any]) -> None:
    beta.advance(3600)
    found = verified(alpha, copy["id"])
    assert (found["status"], found["reason"], found["remote_digest"], found["size_match"]) == ("missing_remote", "remote_artifact_not_found", "", False)
    assert alpha.get(f"/mesh/artifacts/{copy['id']}").status == 200


@pytest.mark.parametrize("body", [{"source_artifact_id": "gone"}, {"digest": "00ff"}])
def test_what_the_peer_does_not_list_is_missing(alpha: TrialNode, beta: TrialNode, copy: dict[str, Any], body: Any) -> None:
    assert verified(alpha, copy["id"], **body)["status"] == "missing_remote"


def test_a_spoiled_copy_does_not_pass(alpha: TrialNode, beta: TrialNode, copy: dict[str, Any]) -> None:
    alpha.rooms["mesh.artifacts"].blobs.path(copy["digest"]).write_bytes(b"spoiled!")
    found = verified(alpha, copy["id"])
    assert (found["status"], found["reason"]) == ("mismatch", "local_content_corrupted")


def test_private_copies_are_found_though_no_list_shows_them(alpha: TrialNode, tmp_path: Path) -> None:
    with TrialNode(tmp_path / "gamma", node_id="gamma-node", operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as gamma:
        introduce(alpha, gamma)
        source = store(gamma, b"private", policy={"classification": "private"})
        local = store(alpha, b"private", policy={"classification": "private"})
        found = verified(alpha, local["id"], peer_id="gamma-node", source_artifact_id=source["id"])
        assert found["status"] == "verified"


@pytest.mark.parametrize("body, status, text", [
    ({"artifact_id": "nope"}, 404, "artifact not found"), ({}, 404, "artifact not found"),
])
def test_requests_without_a_copy_are_told_so(alpha: TrialNode, body: Any, status: int, text: str) -> None:
    answer = alpha.post(ROUTE, body)
    assert (answer.status, answer.json["error"]) == (status, text)


def test_a_source_must_be_known_and_have_an_address(alpha: TrialNode) -> None:
    own = store(alpha, b"own")
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({}, 400, "peer_id is required for mirror verification"), ({"peer_id": "nobody"}, 404, "peer endpoint_url is unavailable")]
    known(alpha, "homeless-node", "")
    for body, status, text in [*cases, ({"peer_id": "homeless-node"}, 404, "peer endpoint_url is unavailable")]:
        answer = alpha.post(ROUTE, {"artifact_id": own["id"], **body})
        assert (answer.status, answer.json["error"]) == (status, text)


def test_a_peer_that_cannot_be_asked_is_noted_and_nothing_else_changes(alpha: TrialNode, beta: TrialNode, copy: dict[str, Any]) -> None:
    beta.stop()
    answer = alpha.post(ROUTE, {"artifact_id": copy["id"]})
    assert (answer.status, answer.json["code"]) == (502, "peer_unreachable")
    shown = alpha.get(f"/mesh/artifacts/{copy['id']}?include_content=0").json
    assert shown["artifact_sync"]["last_check_error"]["code"] == "peer_unreachable"
    assert shown["mirror_verification"]["status"] == shown["artifact_sync"]["verification_status"] == "verified"


def test_only_operators_compare(alpha: TrialNode) -> None:
    assert alpha.post(ROUTE, {"artifact_id": "x"}, FROM_LAN).status == 401


# --- a source that lies -----------------------------------------------------------------------------------------------------------

DATA = b"what it should be"


def compared(alpha: TrialNode, listed: dict[str, Any], content: bytes = DATA, **body: Any) -> Answer:
    with Liar() as liar:
        liar.shakes_hands(alpha, endpoint_url=liar.url)
        local = store(alpha, DATA)
        liar.answers["/mesh/artifacts"] = lambda asked: asked.json({"artifacts": [{"id": "a1", **listed}]})
        liar.offers("a1", listed, lambda asked: asked.send(content))
        answer = alpha.post(ROUTE, {"artifact_id": local["id"], "peer_id": "liar-node", **body})
        assert TOKEN not in str([each.headers for each in liar.seen]) or body.get("deep")
        return answer


TRUE = {"digest": sha256(DATA), "size_bytes": len(DATA), "media_type": "text/plain", "oci_descriptor": {"digest": f"sha256:{sha256(DATA)}"}}


@pytest.mark.parametrize("changed, status, same", [
    ({}, "verified", (True, True, True)), ({"size_bytes": 1}, "mismatch", (False, True, True)), ({"media_type": "x"}, "mismatch", (True, False, True)),
    ({"oci_descriptor": None}, "mismatch", (True, True, False)), ({"oci_descriptor": {"digest": "sha256:00"}}, "mismatch", (True, True, False)),
    ({"digest": "0" * 64}, "mismatch", (True, True, False)), ({"digest": 5, "size_bytes": "x"}, "mismatch", (False, True, False)),
])
def test_descriptions_are_compared_in_every_member(alpha: TrialNode, changed: Any, status: str, same: tuple[bool, bool, bool]) -> None:
    found = compared(alpha, {**TRUE, **changed}).json["verification"]
    assert (found["status"], (found["size_match"], found["media_type_match"], found["descriptor_match"])) == (status, same)


@pytest.mark.parametrize("content, status, reason", [
    (DATA, "verified", "remote_content_match"), (b"what it should BE", "mismatch", "remote_content_mismatch"),
])
def test_a_deep_comparison_reads_the_peers_bytes(alpha: TrialNode, content: bytes, status: str, reason: str) -> None:
    found = compared(alpha, TRUE, content, deep=True, remote_auth={"type": "operator_token", "token": TOKEN}).json["verification"]
    assert (found["status"], found["reason"]) == (status, reason)


def test_a_deep_comparison_of_a_flood_ends(alpha: TrialNode) -> None:
    answer = compared(alpha, TRUE, DATA * 1000, deep=True)
    assert (answer.status, answer.json["error"]) == (502, "replicated artifact size mismatch")
