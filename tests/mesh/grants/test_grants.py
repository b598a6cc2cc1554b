"""Grants as a serving node enforces them: one reader, one artifact, for a while, so many times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base import jsontext
from ocp_node.base.clock import instant_text
from ocp_node.base.ids import Ids
from ocp_node.base.records import decode
from ocp_node.crypto import base64url, canonical, grants
from ocp_node.mesh.grants import records, table
from tests.support.artifacts import AS_OPERATOR, TOKEN, content, events, introduce, known, store
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer

BYTES = {"Accept": "application/octet-stream"}
Grant = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, node_id="serving-node", operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as running:
        yield running


@pytest.fixture
def peer(node: TrialNode) -> TrialPeer:
    return known(node, "reading-node", "")


@pytest.fixture
def artifact(node: TrialNode) -> dict[str, Any]:
    return store(node, b"private content", policy={"classification": "private"})


def post(node: TrialNode, path: str, body: Any = None) -> Answer:
    return node.post(path, body, AS_OPERATOR)


def issued(node: TrialNode, subject: str = "reading-node", seconds: int = 600, **scope: Any) -> Grant:
    answer = post(node, "/mesh/grants", {"subject_peer_id": subject, "scope": {"action": "artifact.read", **scope}, "expires_in_seconds": seconds})
    assert answer.status == 200, answer
    decode(records.Issued, answer.json)
    return answer.json["grant"]


def headers_for(node: TrialNode, peer: TrialPeer, grant: Grant, artifact_id: str, method: str = "GET") -> dict[str, str]:
    return grants.present(peer.identity, grant, method, f"/mesh/artifacts/{artifact_id}", node.clock, Ids())


def read(node: TrialNode, peer: TrialPeer, grant: Grant, artifact_id: str, query: str = "", **more: str) -> Answer:
    """The content, asked for from the network with the grant."""
    return node.get(f"/mesh/artifacts/{artifact_id}{query}", {**FROM_LAN, **headers_for(node, peer, grant, artifact_id), **more})


def rejected(answer: Answer, reason: str) -> bool:
    return (answer.status, answer.json["error"], answer.json["detail"]) == (
        401, "operator authorization required", f"capability grant rejected: {reason}")


# --- issuing and revoking -----------------------------------------------------------------------------------------------------------

def test_a_grant_is_this_nodes_word_for_one_peer(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"], max_uses=3)
    assert (grant["issuer_peer_id"], grant["audience_peer_id"], grant["subject_peer_id"]) == ("serving-node", "serving-node", "reading-node")
    assert grant["scope"] == {"action": "artifact.read", "artifact_id": artifact["id"], "max_uses": 3}
    assert (grant["issued_at"], grant["expires_at"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:10:00Z")
    event = events(node, "mesh.artifact.grant.issued")[0]
    assert event["payload"]["grant_id"] == grant["grant_id"] and grant["signature"] not in str(events(node))
    assert grant["signature"].encode() not in b"".join(path.read_bytes() for path in node.folder.glob("ocp.db*"))


@pytest.mark.parametrize("body, text", [
    ({}, "scope action is required"), ({"scope": {"action": "artifact.read"}}, "subject_peer_id is required"),
    ({"subject_peer_id": "p", "scope": {"action": "artifact.write"}}, "scope action is not supported"),
    ({"subject_peer_id": "p", "scope": {"action": "artifact.read", "max_uses": 0}}, "scope max_uses must be an integer between 1 and 1000000"),
    ({"subject_peer_id": "p", "scope": {"action": "artifact.read", "constraints": {"hours": "9-17"}}}, "scope constraints are not supported"),
    ({"subject_peer_id": "p", "scope": {"action": "artifact.read"}, "expires_in_seconds": 86_401}, "expires_in_seconds must be between 1 and 86400"),
    ({"subject_peer_id": "p", "scope": {"action": "artifact.read"}, "expires_in_seconds": 0}, "expires_in_seconds must be between 1 and 86400"),
    ({"subject_peer_id": 5, "scope": {"action": "artifact.read"}}, "subject_peer_id must be a string"),
    ({"subject_peer_id": "p", "scope": "all"}, "scope must be an object"),
])
def test_what_this_node_would_not_keep_to_is_not_granted(node: TrialNode, body: Any, text: str) -> None:
    answer = post(node, "/mesh/grants", body)
    assert answer.status == 400 and (text in ("subject_peer_id is required", "scope action is required") or answer.json["error"] == text), answer


def test_only_operators_issue_and_revoke(node: TrialNode) -> None:
    assert node.post("/mesh/grants", {}, FROM_LAN).status == 401
    assert node.post("/mesh/grants/x/revoke", {}, FROM_LAN).status == 401


def test_a_revoked_grant_opens_nothing_more(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"], max_uses=9)
    assert read(node, peer, grant, artifact["id"]).status == 200
    for _ in range(2):
        answer = post(node, f"/mesh/grants/{grant['grant_id']}/revoke")
        assert (answer.status, answer.json) == (200, {"status": "revoked", "grant_id": grant["grant_id"]})
    assert rejected(read(node, peer, grant, artifact["id"]), "grant is revoked")
    assert rejected(read(node, peer, grant, artifact["id"], Range="bytes=5-", **BYTES), "grant is revoked")
    assert len(events(node, "mesh.artifact.grant.revoked")) == 1


def test_a_grant_that_was_never_issued_cannot_be_revoked(node: TrialNode) -> None:
    answer = post(node, "/mesh/grants/nope/revoke")
    assert (answer.status, answer.json["error"]) == (404, "grant not found")


# --- reading with one ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("classification", ["private", "trusted"])
def test_a_grant_opens_what_it_names_as_often_as_it_says(node: TrialNode, peer: TrialPeer, classification: str) -> None:
    made = store(node, b"content", policy={"classification": classification})
    grant = issued(node, artifact_id=made["id"], max_uses=2)
    for _ in range(2):
        answer = read(node, peer, grant, made["id"])
        assert content(answer) == b"content" and "path" not in answer.json
        assert answer.headers["x-ocp-grant-used"] == grant["grant_id"]
    assert rejected(read(node, peer, grant, made["id"]), "grant has no uses left")
    used = events(node, "mesh.artifact.grant.used")
    assert [event["payload"] for event in used] == [{"grant_id": grant["grant_id"], "subject_peer_id": "reading-node", "artifact_id": made["id"]}] * 2


def test_metadata_cost_no_use(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    for _ in range(3):
        assert read(node, peer, grant, artifact["id"], "?include_content=0").status == 200
    assert read(node, peer, grant, artifact["id"]).status == 200


def test_with_reads_behind_the_token_a_grant_opens_metadata_too(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="serving-node", operator_token=TOKEN, trusted_proxies=("127.0.0.1",), read_auth="token") as node:
        peer, made = known(node, "reading-node", ""), store(node, b"private content", policy={"classification": "private"})
        grant, other = issued(node, artifact_id=made["id"], max_uses=2), issued(node, artifact_id="another")
        asked = f"/mesh/artifacts/{made['id']}?include_content=0"
        answer = read(node, peer, grant, made["id"], "?include_content=0")
        assert answer.status == 200 and "content_base64" not in answer.json
        assert content(read(node, peer, grant, made["id"])) == b"private content"
        assert read(node, peer, grant, made["id"], "?include_content=0").status == 200
        assert node.get(asked, FROM_LAN).status == 401
        assert rejected(read(node, peer, other, made["id"], "?include_content=0"), "scope names another artifact")
        assert rejected(read(node, known(node, "a-thief", ""), grant, made["id"], "?include_content=0"), "proof signature verification failed")
        assert read(node, peer, grant, "nothing", "?include_content=0").status == 401
        post(node, f"/mesh/grants/{grant['grant_id']}/revoke")
        assert rejected(read(node, peer, grant, made["id"], "?include_content=0"), "grant is revoked")


def test_the_rest_of_a_delivery_is_no_delivery_of_its_own(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    assert rejected(read(node, peer, issued(node, artifact_id="another"), artifact["id"], Range="bytes=5-", **BYTES), "scope names another artifact")
    assert read(node, peer, grant, artifact["id"], **BYTES).body == b"private content"
    assert read(node, peer, grant, artifact["id"], Range="bytes=8-", **BYTES).body == b"content"
    assert rejected(read(node, peer, grant, artifact["id"], Range="bytes=0-", **BYTES), "grant has no uses left")
    assert rejected(read(node, peer, grant, artifact["id"], Range="bytes=8-"), "grant has no uses left")        # JSON brings all of it


def test_a_part_alone_is_a_use(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    assert read(node, peer, grant, artifact["id"], Range="bytes=1-", **BYTES).status == 206
    assert rejected(read(node, peer, grant, artifact["id"]), "grant has no uses left")


def test_of_two_readers_with_the_last_use_exactly_one_is_served(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    barrier, statuses = threading.Barrier(6), []

    def run() -> None:
        barrier.wait()
        statuses.append(read(node, peer, grant, artifact["id"]).status)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [401] * 5 and len(events(node, "mesh.artifact.grant.used")) == 1


def test_uses_survive_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="serving-node", operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as node:
        peer = known(node, "reading-node", "")
        made = store(node, b"x")
        grant = issued(node, artifact_id=made["id"])
        assert read(node, peer, grant, made["id"]).status == 200
    with TrialNode(tmp_path, node_id="serving-node", operator_token=TOKEN, trusted_proxies=("127.0.0.1",)) as node:
        assert rejected(read(node, peer, grant, made["id"]), "grant has no uses left")


# --- attacks -------------------------------------------------------------------------------------------------------------------------------

def changed(**members: Any) -> Callable[[Grant], Grant]:
    return lambda grant: {**grant, **members}


def rescoped(**members: Any) -> Callable[[Grant], Grant]:
    return lambda grant: {**grant, "scope": {**grant["scope"], **members}}


@pytest.mark.parametrize("forge", [
    rescoped(max_uses=1000), rescoped(artifact_id="other"), lambda grant: {**grant, "scope": {"action": "artifact.read"}},
    changed(expires_at="2027-01-16T07:00:00Z"), changed(issued_at="2027-01-15T07:00:00Z"), changed(grant_id="another"),
    changed(signature="0" * 128), changed(signature="zz"), changed(nonce="other"), changed(extra="member"),
    changed(signature_scheme="none"), changed(subject_peer_id="reading-node "),
], ids=str)
def test_a_tampered_grant_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any], forge: Any) -> None:
    grant = forge(issued(node, artifact_id=artifact["id"]))
    answer = read(node, peer, grant, artifact["id"])
    assert answer.status == 401 and answer.json["detail"].startswith("capability grant rejected: "), answer


def test_an_expired_grant_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"], seconds=60)
    node.advance(60)
    assert rejected(read(node, peer, grant, artifact["id"]), "capability grant is expired")


def test_a_grant_of_another_node_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    """Signed rightly, by somebody who does not serve this artifact; or for this node, by somebody else."""
    now = node.clock.time()
    scope = {"action": "artifact.read", "artifact_id": artifact["id"]}
    theirs = grants.issue(peer.identity, "g", "reading-node", scope, lifetime_seconds=60, now_seconds=now, nonce="n")
    assert rejected(read(node, peer, theirs, artifact["id"]), "issuer and audience must be this node")
    forged = grants.sign(peer.identity, {**theirs, "issuer_peer_id": "serving-node", "audience_peer_id": "serving-node"})
    assert rejected(read(node, peer, forged, artifact["id"]), "signature verification failed")
    own = grants.sign(node.core.identity, {**theirs, "issuer_peer_id": "serving-node", "audience_peer_id": "other-node"})
    assert rejected(read(node, peer, own, artifact["id"]), "issuer and audience must be this node")


@pytest.mark.parametrize("members, reason", [
    ({"issued_at": instant_text(1_800_000_301)}, "issued in the future"),
    ({"expires_at": instant_text(1_800_086_401)}, "lifetime is longer than a day"),
    ({"scope": {"action": "artifact.write"}}, "scope action is not supported"),
    ({"scope": {"action": "artifact.read", "constraints": {"a": 1}}}, "scope constraints are not supported"),
])
def test_even_our_own_signature_does_not_lift_the_bounds(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any], members: Any, reason: str) -> None:
    grant = grants.sign(node.core.identity, {**issued(node, artifact_id=artifact["id"]), **members})
    assert rejected(read(node, peer, grant, artifact["id"]), reason)


@pytest.mark.parametrize("scope, reason", [
    ({"artifact_id": "another"}, "scope names another artifact"), ({"digest": "sha256:" + "0" * 64}, "scope names another digest"),
    ({"path": "/mesh/artifacts/another"}, "scope names another path"),
])
def test_a_grant_for_something_else_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any], scope: Any, reason: str) -> None:
    assert rejected(read(node, peer, issued(node, **scope), artifact["id"]), reason)


def test_scopes_by_digest_and_by_nothing_open_what_they_mean(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    assert read(node, peer, issued(node, digest=f"SHA256:{artifact['digest'].upper()}"), artifact["id"]).status == 200
    assert read(node, peer, issued(node), artifact["id"]).status == 200


def test_a_stolen_grant_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    thief = known(node, "other-node", "")
    thief.node_id = "reading-node"
    assert rejected(read(node, thief, grant, artifact["id"]), "proof signature verification failed")
    alone = node.get(f"/mesh/artifacts/{artifact['id']}", {**FROM_LAN, grants.GRANT_HEADER: headers_for(node, peer, grant, artifact["id"])[grants.GRANT_HEADER]})
    assert rejected(alone, "the proof is missing")


def test_a_replayed_proof_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"], max_uses=9)
    shown = {**FROM_LAN, **headers_for(node, peer, grant, artifact["id"])}
    path = f"/mesh/artifacts/{artifact['id']}"
    assert node.get(path, shown).status == 200
    assert rejected(node.get(path, shown), "proof was used before")


def test_a_proof_for_another_request_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, max_uses=9)
    other = store(node, b"other")
    path = f"/mesh/artifacts/{artifact['id']}"
    for shown in (headers_for(node, peer, grant, other["id"]), headers_for(node, peer, grant, artifact["id"], "POST"),
                  {**headers_for(node, peer, grant, artifact["id"]), grants.PROOF_HEADER: headers_for(
                      node, peer, issued(node), artifact["id"])[grants.PROOF_HEADER]}):
        assert rejected(node.get(path, {**FROM_LAN, **shown}), "proof is for another request")


@pytest.mark.parametrize("seconds", [301, -301])
def test_a_stale_or_future_proof_opens_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any], seconds: int) -> None:
    grant = issued(node, artifact_id=artifact["id"], seconds=3600)
    shown = headers_for(node, peer, grant, artifact["id"])
    proof = jsontext.parse(base64url.decode(shown[grants.PROOF_HEADER]))
    assert isinstance(proof, dict)
    proof = {name: proof[name] for name in ("grant_id", "method", "path", "nonce")} | {"timestamp": instant_text(node.clock.time() + seconds)}
    signed = {**proof, "signature": peer.identity.sign(canonical.mesh(proof)).hex()}
    shown[grants.PROOF_HEADER] = base64url.encode(canonical.mesh(signed))
    assert rejected(node.get(f"/mesh/artifacts/{artifact['id']}", {**FROM_LAN, **shown}), "proof has a stale or future timestamp")


def test_an_unknown_or_blocked_subject_reads_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    stranger = TrialPeer("stranger-node")
    assert rejected(read(node, stranger, issued(node, "stranger-node"), artifact["id"]), "subject is not a known peer")
    assert post(node, "/mesh/peers/reading-node/trust", {"trust_tier": "blocked"}).status == 200
    assert rejected(read(node, peer, issued(node), artifact["id"]), "peer reading-node is blocked")


@pytest.mark.parametrize("shown", [
    {grants.GRANT_HEADER: "!!", grants.PROOF_HEADER: "e30"}, {grants.GRANT_HEADER: "e30", grants.PROOF_HEADER: "W10"},
    {grants.GRANT_HEADER: "e30", grants.PROOF_HEADER: "e30"}, {grants.GRANT_HEADER: "A" * 9000, grants.PROOF_HEADER: "e30"},
    {grants.GRANT_HEADER: base64url.encode(b'{"a":NaN}'), grants.PROOF_HEADER: "e30"},
    {grants.GRANT_HEADER: base64url.encode(b"[" * 3000), grants.PROOF_HEADER: "e30"},
])
def test_what_is_no_grant_is_refused_without_a_fault(node: TrialNode, artifact: dict[str, Any], shown: Mapping[str, str]) -> None:
    answer = node.get(f"/mesh/artifacts/{artifact['id']}", {**FROM_LAN, **shown})
    assert answer.status == 401 and answer.json["detail"].startswith("capability grant rejected: ")


def test_a_grant_does_not_tell_what_exists(node: TrialNode, peer: TrialPeer) -> None:
    assert read(node, peer, issued(node), "nope").status == 401


def test_a_grant_opens_reading_and_nothing_else(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    shown = {**FROM_LAN, **headers_for(node, peer, issued(node), artifact["id"])}
    assert node.post("/mesh/artifacts/pin", {"artifact_id": artifact["id"]}, shown).status == 401
    assert node.post("/mesh/artifacts/purge", {}, shown).status == 401


def test_a_refused_grant_spends_nothing(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    other = store(node, b"other")
    assert read(node, peer, grant, other["id"]).status == 401
    assert read(node, peer, grant, artifact["id"]).status == 200


def test_spoiled_content_costs_no_use(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    grant = issued(node, artifact_id=artifact["id"])
    path = node.rooms["mesh.artifacts"].blobs.path(artifact["digest"])
    path.write_bytes(b"x" * artifact["size_bytes"])
    assert read(node, peer, grant, artifact["id"]).status == 500
    path.write_bytes(b"private content")
    assert read(node, peer, grant, artifact["id"]).status == 200


# --- between two nodes ------------------------------------------------------------------------------------------------------------------------

def test_a_copy_is_made_with_a_grant_and_says_that_it_was_used(node: TrialNode, tmp_path: Path, artifact: dict[str, Any]) -> None:
    with TrialNode(tmp_path / "reading", node_id="reading-node", allow_loopback_peers=True) as reading:
        introduce(node, reading)
        introduce(reading, node)
        grant = issued(node, artifact_id=artifact["id"])
        body = {"peer_id": "serving-node", "artifact_id": artifact["id"], "remote_auth": {"type": "capability_grant", "grant": grant}}
        answer = reading.post("/mesh/artifacts/replicate", body)
        assert answer.status == 200 and answer.json["artifact"]["policy"]["classification"] == "private"
        summary = answer.json["remote_auth"]
        assert (summary["status"], summary["grant_id"], summary["redacted"]) == ("used", grant["grant_id"], True)
        assert {"signature", "nonce", "proof"}.isdisjoint(summary) and grant["signature"] not in answer.text + str(events(reading))
        other = store(node, b"not granted")
        again = reading.post("/mesh/artifacts/replicate", {**body, "artifact_id": other["id"]})
        assert (again.status, again.json["error"]) == (502, "remote peer refused artifact content (401)")


def test_a_grant_that_was_not_needed_is_only_declared(node: TrialNode, tmp_path: Path) -> None:
    with TrialNode(tmp_path / "reading", node_id="reading-node", allow_loopback_peers=True) as reading:
        introduce(node, reading)
        introduce(reading, node)
        made = store(node, b"for all", policy={"classification": "public"})
        grant = issued(node, artifact_id=made["id"])
        answer = reading.post("/mesh/artifacts/replicate", {"peer_id": "serving-node", "artifact_id": made["id"], "remote_auth": {
            "type": "capability_grant", **grant}})
        assert answer.json["remote_auth"]["status"] == "declared" and events(node, "mesh.artifact.grant.used") == []


# --- what is over -------------------------------------------------------------------------------------------------------------------------------

def test_what_is_over_is_forgotten(node: TrialNode, peer: TrialPeer, artifact: dict[str, Any]) -> None:
    for _ in range(3):
        read(node, peer, issued(node), artifact["id"])
    node.advance(2 * 86_400)
    issued(node)
    with node.core.reader.snapshot() as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("mesh_grant", "mesh_grant_delivery", "mesh_grant_proof")]
        assert counts == [1, 0, 0] and table.standing(connection, "nope") is None
