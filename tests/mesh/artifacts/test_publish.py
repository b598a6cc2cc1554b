"""Artifacts in signed envelopes of peers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import content, events, kept, known, names, sha256
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer

ROUTE = "/mesh/artifacts/publish"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), artifacts_max_bytes=100_000) as running:
        yield running


@pytest.fixture
def peer(node: TrialNode) -> TrialPeer:
    return known(node, "tester-node", "")


def publish(node: TrialNode, peer: TrialPeer, artifact: Any, headers: Any = None, **body: Any) -> Answer:
    return peer.post(node, ROUTE, {"artifact": artifact, **body}, headers)


def published(node: TrialNode, peer: TrialPeer, artifact: Any) -> dict[str, Any]:
    answer = publish(node, peer, artifact)
    assert answer.status == 200, answer
    decode(records.Published, answer.json)
    return answer.json["artifact"]


@pytest.mark.parametrize("artifact, stored, media_type", [
    ({"json": {"b": 1, "a": "ü"}}, b'{"a": "\\u00fc", "b": 1}', "application/json"),
    ({"json": "abc"}, b"abc", "application/json"),
    ({"json": 0}, b"0", "application/json"),
    ({"json": None, "content": "text"}, b"text", "text/plain; charset=utf-8"),
    ({"content_base64": "AAEC/w==", "content": "ignored"}, b"\x00\x01\x02\xff", "application/octet-stream"),
    ({"content_base64": ""}, b"", "application/octet-stream"),
    ({"content": ""}, b"", "text/plain; charset=utf-8"),
    ({"content": {"b": 1, "a": 2}}, b'{"a": 2, "b": 1}', "text/plain; charset=utf-8"),
    ({"content": "x", "media_type": "text/markdown"}, b"x", "text/markdown"),
])
def test_content_comes_in_three_forms(node: TrialNode, peer: TrialPeer, artifact: Any, stored: bytes, media_type: str) -> None:
    made = published(node, peer, artifact)
    assert (made["digest"], made["size_bytes"], made["media_type"]) == (sha256(stored), len(stored), media_type)
    assert made["oci_descriptor"]["digest"] == f"sha256:{sha256(stored)}"
    assert content(node.get(f"/mesh/artifacts/{made['id']}")) == stored


def test_what_is_known_of_it_stands_in_its_metadata(node: TrialNode, peer: TrialPeer) -> None:
    descriptor = {"mediaType": "text/plain", "annotations": {"a": "b"}}
    made = published(node, peer, {"content": "x", "media_type": "text/plain", "descriptor": descriptor, "metadata": {
        "artifact_kind": "result", "job_id": "j", "oci_annotations": {"role": "result"}}})
    assert made["owner_peer_id"] == "tester-node" and made["oci_descriptor"]["annotations"] == {"role": "result"}
    request_id = made["metadata"].pop("request_id")
    assert made["metadata"] == {"artifact_kind": "result", "job_id": "j", "oci_annotations": {"role": "result"}, "source_peer_id": "tester-node",
                                "provided_descriptor": descriptor, "content_sha256": sha256(b"x"), "oci_digest": f"sha256:{sha256(b'x')}",
                                "size_bytes": 1, "media_type": "text/plain"}
    event = events(node, "mesh.artifact.published")[0]
    assert (event["peer_id"], event["request_id"]) == ("tester-node", request_id)
    assert event["payload"] == {"artifact_id": made["id"], "digest": sha256(b"x"), "media_type": "text/plain", "retention_class": "durable"}


def test_reserved_metadata_cannot_be_forged(node: TrialNode, peer: TrialPeer) -> None:
    made = published(node, peer, {"content": "x", "metadata": {
        "source_peer_id": "somebody-else", "request_id": "forged", "size_bytes": 9, "content_sha256": "00", "pinned": True,
        "artifact_sync": {"pinned": True, "verification_status": "verified"}, "mirror_verification": {"status": "verified"},
        "replicated_from_peer_id": "x", "integrity": {"status": "fine"}}})
    assert (made["pinned"], made["artifact_sync"], made["mirror_verification"]) == (False, {}, {})
    assert (made["metadata"]["source_peer_id"], made["metadata"]["size_bytes"]) == ("tester-node", 1)
    assert {"replicated_from_peer_id", "integrity", "pinned"}.isdisjoint(made["metadata"])


GOOD = {"content": "hello", "media_type": "text/plain"}
DIGEST = sha256(b"hello")


@pytest.mark.parametrize("more", [
    {"digest": DIGEST}, {"digest": f"sha256:{DIGEST}"}, {"digest": DIGEST.upper()}, {"size_bytes": 5}, {"size_bytes": 0}, {"size_bytes": None},
    {"descriptor": {"size": 5, "mediaType": "text/plain", "digest": f"SHA256:{DIGEST}"}}, {"descriptor": {"digest": DIGEST, "size": 0}},
])
def test_what_the_publisher_expects_and_finds_is_stored(node: TrialNode, peer: TrialPeer, more: Any) -> None:
    assert published(node, peer, {**GOOD, **more})["digest"] == DIGEST


@pytest.mark.parametrize("more, status, text", [
    ({"size_bytes": 6}, 400, "artifact size mismatch"),
    ({"size_bytes": 5, "descriptor": {"size": 6}}, 400, "artifact size mismatch"),
    ({"size_bytes": 6, "digest": "00"}, 400, "artifact size mismatch"),
    ({"descriptor": {"mediaType": "text/html"}, "digest": "00"}, 400, "artifact media type mismatch"),
    ({"digest": "0" * 64}, 400, "artifact digest mismatch"),
    ({"digest": "../../etc/passwd"}, 400, "artifact digest mismatch"),
    ({"digest": 5}, 400, "artifact digest mismatch"),
    ({"descriptor": {"digest": "sha256:" + "0" * 64}}, 400, "artifact descriptor digest mismatch"),
    ({"content": None}, 400, "artifact content is required"),
    ({"content": None, "content_base64": "AAE"}, 400, "content_base64 is not valid base64"),
    ({"content": None, "content_base64": "AA=="+"AA=="}, 400, "content_base64 is not valid base64"),
    ({"content": None, "content_base64": "aGVs!!bG8="}, 400, "content_base64 is not valid base64"),
    ({"content": None, "content_base64": "aGVs\nbG8="}, 400, "content_base64 is not valid base64"),
    ({"content": None, "content_base64": "ünïcode="}, 400, "content_base64 is not valid base64"),
    ({"content": None, "content_base64": ["AA=="]}, 400, "content_base64 is not valid base64"),
    ({"metadata": "x"}, 400, "metadata must be an object"), ({"descriptor": []}, 400, "descriptor must be an object"),
    ({"policy": "public"}, 400, "policy must be an object"),
    ({"metadata": {"retention_seconds": -1}}, 400, "retention_seconds must be a non-negative integer"),
    ({"metadata": {"notes": "n" * 262_144}}, 413, "artifact metadata too large"),
    ({"descriptor": {"annotations": "n" * 65_536}}, 413, "artifact descriptor too large"),
    ({"policy": {"notes": "n" * 65_536}}, 413, "artifact policy too large"),
    ({"policy": {"secret_scopes": ["n"] * 65_536}}, 413, "artifact policy too large"),
    ({"content": "x" * 100_001}, 413, "artifact too large"),
    ({"content": None, "content_base64": base64.b64encode(bytes(100_001)).decode()}, 413, "artifact too large"),
    ({"media_type": "text/plain\r\nX: y"}, 400, "media_type must have at most 256 characters and no control characters"),
])
def test_what_is_not_as_it_was_said_is_not_stored(node: TrialNode, peer: TrialPeer, more: Any, status: int, text: str) -> None:
    answer = publish(node, peer, {**GOOD, **more})
    assert (answer.status, answer.json["error"]) == (status, text)
    assert events(node, "mesh.artifact.published") == [] and node.get("/mesh/artifacts").json["count"] == 0
    assert kept(node) == set()                                        # nor were its bytes ever


@pytest.mark.parametrize("artifact", [{}, None, [], "x", 5])
def test_an_artifact_must_be_an_object_with_content(node: TrialNode, peer: TrialPeer, artifact: Any) -> None:
    assert publish(node, peer, artifact).status == 400


@pytest.mark.parametrize("tier, text", [("public", "peer trust tier may not publish artifacts"), ("market", "peer trust tier may not publish artifacts")])
def test_strangers_publish_nothing(node: TrialNode, tier: str, text: str) -> None:
    answer = publish(node, known(node, "outsider", "", tier=tier), GOOD)
    assert (answer.status, answer.json["error"], answer.json["code"]) == (403, text, "policy_denied")


def test_a_blocked_peer_publishes_nothing(node: TrialNode, peer: TrialPeer) -> None:
    assert node.post("/mesh/peers/tester-node/trust", {"trust_tier": "blocked"}).status == 200
    answer = publish(node, peer, GOOD)
    assert (answer.status, answer.json["error"]) == (403, "peer tester-node is blocked")


def test_an_unknown_peer_a_wrong_key_and_an_unsigned_body_publish_nothing(node: TrialNode, peer: TrialPeer) -> None:
    assert publish(node, TrialPeer("nobody"), GOOD).status == 401
    assert publish(node, TrialPeer("tester-node", number=2), GOOD).status == 401
    unsigned = node.post(ROUTE, {"artifact": GOOD})
    assert (unsigned.status, unsigned.json["error"]) == (400, "protocol validation failed")
    assert node.request("POST", ROUTE, raw=b"{", headers={"Content-Type": "application/json"}).status == 400
    assert node.get("/mesh/artifacts").json["count"] == 0


def test_a_changed_envelope_publishes_nothing(node: TrialNode, peer: TrialPeer) -> None:
    envelope = peer.sign(node, ROUTE, {"artifact": GOOD})
    envelope["body"]["artifact"] = {**GOOD, "content": "other"}
    answer = node.post(ROUTE, envelope)
    assert (answer.status, answer.json["error"]) == (401, "signature verification failed")


def test_an_envelope_counts_once(node: TrialNode, peer: TrialPeer) -> None:
    envelope = peer.sign(node, ROUTE, {"artifact": GOOD})
    assert node.post(ROUTE, envelope).status == 200
    again = node.post(ROUTE, envelope)
    assert (again.status, again.json["code"]) == (409, "replayed_nonce")
    assert node.get("/mesh/artifacts").json["count"] == 1


def resent(node: TrialNode, peer: TrialPeer, request_id: str, artifact: Any) -> Answer:
    from ocp_node.base.ids import Ids
    from ocp_node.crypto import envelopes
    return node.post(ROUTE, envelopes.sign_envelope(peer.identity, ROUTE, {"artifact": artifact}, node.clock, Ids(), request_id))


def test_a_request_sent_again_gets_the_same_artifact_for_a_day(node: TrialNode, peer: TrialPeer) -> None:
    first = resent(node, peer, "r-1", GOOD)
    assert "deduped" not in first.json
    again = resent(node, peer, "r-1", {**GOOD, "content": "another"})
    assert (again.json["deduped"], again.json["artifact"]["id"]) == (True, first.json["artifact"]["id"])
    other = known(node, "other-node", "")
    assert "deduped" not in resent(node, other, "r-1", GOOD).json          # another peer's request of that name is its own
    node.advance(86_401)
    assert "deduped" not in resent(node, peer, "r-1", GOOD).json


def test_identical_content_is_two_records_and_one_file(node: TrialNode, peer: TrialPeer) -> None:
    first, second = published(node, peer, GOOD), published(node, peer, GOOD)
    assert first["id"] != second["id"] and kept(node) == {DIGEST}
    assert names(node.get(f"/mesh/artifacts?digest={DIGEST}").json["artifacts"], "id") == [first["id"], second["id"]]


def test_a_peer_gets_thirty_days_until_the_operator_pins(node: TrialNode, peer: TrialPeer) -> None:
    made = published(node, peer, GOOD)
    assert (made["retention_class"], made["retention_deadline_at"]) == ("durable", "2027-02-14T08:00:00Z")
    held = node.post("/mesh/artifacts/pin", {"artifact_id": made["id"]}).json["artifact"]
    assert held["retention_deadline_at"] == ""
    let_go = node.post("/mesh/artifacts/pin", {"artifact_id": made["id"], "pinned": False}).json["artifact"]
    assert let_go["retention_deadline_at"] == "2027-02-14T08:00:00Z"


def test_a_trusted_peer_publishes_from_the_network_without_a_token(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), operator_token="x" * 20, peer_admission="declared") as node:
        peer = TrialPeer("lan-peer")
        peer.shakes_hands(node, FROM_LAN)
        assert publish(node, peer, GOOD, FROM_LAN).status == 200


def test_a_body_beyond_this_nodes_bound_is_refused_before_it_is_read(node: TrialNode) -> None:
    answer = node.request("POST", ROUTE, raw=b"", headers={"Content-Type": "application/json", "Content-Length": "1300000"})
    assert (answer.status, answer.json["error"]) == (413, "request body too large")


def test_large_envelopes_are_taken_apart_one_at_a_time(tmp_path: Path) -> None:
    with TrialNode(tmp_path, artifacts_max_bytes=20_000_000) as node:
        peer = known(node, "tester-node", "")
        room = node.rooms["mesh.artifacts"]
        assert publish(node, peer, {"content": "x" * 5_000_000}).status == 200
        with room.publishing._taking(5_000_000):
            answer = publish(node, peer, {"content": "y" * 5_000_000})
            assert (answer.status, answer.json["code"]) == (503, "busy") and "retry-after" in answer.headers
            assert publish(node, peer, GOOD).status == 200
        assert publish(node, peer, {"content": "y" * 5_000_000}).status == 200
