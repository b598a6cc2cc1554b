"""Copies between two nodes, and from a peer that lies."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import AS_OPERATOR, TOKEN, VALIDATING, content, events, introduce, kept, known, parts, sha256, store
from tests.support.liar import Asked, Liar
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.peer import TrialPeer

ROUTE = "/mesh/artifacts/replicate"
OPERATOR = {"type": "operator_token", "token": TOKEN}


@pytest.fixture
def alpha(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha-node", allow_loopback_peers=True, trusted_proxies=("127.0.0.1",),
                   artifacts_max_bytes=3_000_000) as node:
        yield node


@pytest.fixture
def beta(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "beta", node_id="beta-node", operator_token=TOKEN) as node:
        yield node


@pytest.fixture
def friends(alpha: TrialNode, beta: TrialNode) -> tuple[TrialNode, TrialNode]:
    introduce(alpha, beta)
    return alpha, beta


@pytest.fixture
def liar(alpha: TrialNode) -> Iterator[Liar]:
    with Liar() as peer:
        peer.shakes_hands(alpha, endpoint_url=peer.url)
        yield peer


def ask(node: TrialNode, **body: Any) -> Answer:
    return node.post(ROUTE, body)


def copied(node: TrialNode, status: str = "replicated", **body: Any) -> dict[str, Any]:
    answer = ask(node, **body)
    assert answer.status == 200, answer
    decode(records.Replicated, answer.json)
    assert answer.json["status"] == status, answer
    return answer.json


def public(node: TrialNode, data: bytes, **more: Any) -> dict[str, Any]:
    return store(node, data, policy={"classification": "public"}, **more)


# --- two nodes --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 300_000, 2_500_000])
def test_a_copy_has_the_same_bytes_and_says_where_it_is_from(friends: tuple[TrialNode, TrialNode], size: int) -> None:
    alpha, beta = friends
    data = os.urandom(size)
    source = public(beta, data, artifact_kind="dataset", job_id="j1", oci_annotations={"a": "b"})
    answer = copied(alpha, peer_id="beta-node", artifact_id=source["id"])
    artifact = answer["artifact"]
    assert content(alpha.get(f"/mesh/artifacts/{artifact['id']}")) == data
    assert (artifact["digest"], artifact["owner_peer_id"], artifact["artifact_kind"]) == (source["digest"], "beta-node", "dataset")
    assert artifact["id"] != source["id"] and artifact["oci_descriptor"]["annotations"] == {"a": "b"}
    assert answer["source"] == {"peer_id": "beta-node", "artifact_id": source["id"], "digest": source["digest"]}
    assert answer["verification"] == artifact["mirror_verification"] == {
        "status": "verified", "verified": True, "reason": "replicated_from_peer", "checked_at": "2027-01-15T08:00:00Z", "peer_id": "beta-node",
        "source_artifact_id": source["id"], "local_digest": source["digest"], "remote_digest": source["digest"], "size_match": True,
        "media_type_match": True, "descriptor_match": True}
    assert answer["route_proof"] == {"status": "fresh", "best_route": beta.url, "source": "probe", "checked_at": "2027-01-15T08:00:00Z"}
    assert answer["remote_auth"] == {"type": "none", "status": "not_used"}
    sync = artifact["artifact_sync"]
    assert (sync["mode"], sync["source_peer_id"], sync["pinned"], sync["verification_status"]) == ("pull-through", "beta-node", False, "verified")
    assert artifact["metadata"]["replicated_from_artifact_id"] == source["id"] and artifact["metadata"]["cas_origin_digest"] == source["digest"]
    event = events(alpha, "mesh.artifact.replicated")[0]["payload"]
    assert (event["artifact_id"], event["source_artifact_id"], event["treaty_requirements"]) == (artifact["id"], source["id"], [])
    assert parts(alpha) == []


def test_what_is_here_is_not_fetched_again(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = public(beta, b"once")
    first = copied(alpha, peer_id="beta-node", digest=source["digest"])
    by_id = copied(alpha, "already_present", peer_id="beta-node", artifact_id=source["id"])
    assert by_id["artifact"]["id"] == first["artifact"]["id"] and by_id["route_proof"]["source"] == "route_health"
    assert "verification" not in by_id and "remote_auth" not in by_id
    local = copied(alpha, "already_present", peer_id="nobody-knows", digest=f"SHA256:{source['digest'].upper()}")
    assert "route_proof" not in local and len(events(alpha, "mesh.artifact.sync.local_hit")) == 2
    assert alpha.get("/mesh/artifacts").json["count"] == 1


def test_a_pin_is_set_on_a_copy_and_on_what_is_here(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = public(beta, b"keep", retention_class="session")
    assert copied(alpha, peer_id="beta-node", artifact_id=source["id"])["artifact"]["retention_class"] == "session"
    held = copied(alpha, "already_present", peer_id="beta-node", digest=source["digest"], pin=True)["artifact"]
    assert (held["pinned"], held["retention_class"], held["retention_deadline_at"]) == (True, "durable", "")
    other = public(beta, b"keep too", retention_class="ephemeral")
    assert copied(alpha, peer_id="beta-node", artifact_id=other["id"], pin=True)["artifact"]["retention_deadline_at"] == ""


@pytest.mark.parametrize("metadata, policy", [({}, {}), ({"retention_seconds": 10**9}, {}), ({"retention_class": "durable"}, {}),
                                              ({"retention_seconds": 0}, {}), ({}, {"retention": 10**9})])
def test_a_peer_cannot_make_us_keep_a_copy_longer_than_this_node_allows(alpha: TrialNode, liar: Liar, metadata: Any, policy: Any) -> None:
    liar.offers("a1", described(metadata=metadata, policy=policy), lambda asked: asked.send(DATA))
    made = copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]
    assert made["retention_deadline_at"] == "2027-02-14T08:00:00Z"
    held = copied(alpha, "already_present", peer_id="liar-node", artifact_id="a1", pin=True)["artifact"]
    assert (held["retention_class"], held["retention_deadline_at"]) == ("durable", "")
    let_go = alpha.post("/mesh/artifacts/pin", {"artifact_id": made["id"], "pinned": False}).json["artifact"]
    assert let_go["retention_deadline_at"] == "2027-02-14T08:00:00Z"


def test_a_copy_is_read_by_fewer_never_by_more(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    for policy, kept_class in (("public", "trusted"), ("trusted", "trusted"), ("private", "private")):
        source = store(beta, policy.encode(), policy={"classification": policy})
        copy = copied(alpha, peer_id="beta-node", artifact_id=source["id"], remote_auth=OPERATOR)["artifact"]
        assert copy["policy"]["classification"] == kept_class
        assert alpha.get(f"/mesh/artifacts/{copy['id']}", FROM_LAN).status == 401


def test_private_content_needs_a_credential(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = store(beta, b"private")
    for auth in (None, {}, {"type": "none"}, {"type": "operator_token", "token": "wrong"}):
        answer = ask(alpha, peer_id="beta-node", artifact_id=source["id"], **({"remote_auth": auth} if auth is not None else {}))
        assert (answer.status, answer.json["code"], answer.json["error"]) == (502, "peer_refused", "remote peer refused artifact content (401)")
        assert answer.json["peer_status"] == 401
    answer = copied(alpha, peer_id="beta-node", artifact_id=source["id"], remote_auth=OPERATOR)
    assert answer["remote_auth"] == {"type": "operator_token", "status": "used", "redacted": True}


def test_a_token_is_never_stored_shown_or_told(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = store(beta, b"private")
    answer = ask(alpha, peer_id="beta-node", artifact_id=source["id"], remote_auth=OPERATOR)
    shown = answer.text + alpha.get("/mesh/artifacts").text + str(events(alpha)) + str(events(beta))
    assert TOKEN not in shown
    database = b"".join(path.read_bytes() for path in alpha.folder.glob("ocp.db*"))
    assert source["id"].encode() in database and TOKEN.encode() not in database


@pytest.mark.parametrize("auth, text", [
    ({"type": "operator_token"}, "remote_auth.operator_token requires a token"),
    ({"type": "operator_token", "token": "  "}, "remote_auth.operator_token requires a token"),
    ({"type": "signed_delegation"}, "signed artifact delegation is reserved for a future protocol layer"),
    ({"type": "oauth"}, "unsupported remote_auth type: oauth"),
    ({"type": "capability_grant", "grant_id": "x"}, "remote_auth.capability_grant required field is missing"),
])
def test_credentials_that_cannot_be_used_are_refused(friends: tuple[TrialNode, TrialNode], auth: Any, text: str) -> None:
    alpha, beta = friends
    answer = ask(alpha, peer_id="beta-node", artifact_id=public(beta, b"x")["id"], remote_auth=auth)
    assert (answer.status, answer.json["error"]) == (400, text)


@pytest.mark.parametrize("body, status, text", [
    ({"artifact_id": "x"}, 400, "peer_id is required"), ({"peer_id": " ", "artifact_id": "x"}, 400, "peer_id is required"),
    ({"peer_id": "beta-node"}, 400, "artifact_id or digest is required"),
    ({"peer_id": "nobody", "artifact_id": "x"}, 502, "fresh reachable route required before artifact replication"),
    ({"peer_id": "beta-node", "artifact_id": "nope"}, 404, "remote artifact not found"),
    ({"peer_id": "beta-node", "digest": "00ff"}, 404, "remote artifact not found"),
    ({"peer_id": "beta-node", "artifact_id": "../manifest"}, 404, "remote artifact not found"),
    ({"peer_id": "beta-node", "artifact_id": "x?include_content=1"}, 404, "remote artifact not found"),
    ({"peer_id": "beta-node", "artifact_id": "x", "base_url": "file:///etc/passwd"}, 400, "only http and https URLs are called"),
    ({"peer_id": "beta-node", "artifact_id": "x", "base_url": "http://user@127.0.0.1"}, 400, "the URL must not have user information or a fragment"),
    ({"peer_id": "beta-node", "artifact_id": "x", "base_url": "http://169.254.169.254"}, 502, "fresh reachable route required before artifact replication"),
    ({"peer_id": "beta-node", "artifact_id": "x", "base_url": "http://127.0.0.1:9"}, 502, "fresh reachable route required before artifact replication"),
    ({"peer_id": 5, "artifact_id": "x"}, 400, "protocol validation failed"), ({"peer_id": "beta-node", "pin": "yes"}, 400, "protocol validation failed"),
    ({"peer_id": "beta-node", "remote_auth": "tok"}, 400, "protocol validation failed"), ([1], 400, "protocol validation failed"),
])
def test_requests_that_lead_nowhere_are_told_so(friends: tuple[TrialNode, TrialNode], body: Any, status: int, text: str) -> None:
    answer = friends[0].post(ROUTE, body)
    assert (answer.status, answer.json["error"]) == (status, text)


def test_a_digest_that_is_not_the_artifacts_is_refused(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    answer = ask(alpha, peer_id="beta-node", artifact_id=public(beta, b"x")["id"], digest="0" * 64)
    assert (answer.status, answer.json["error"], kept(alpha)) == (502, "remote artifact digest mismatch", set())


def test_only_operators_copy(alpha: TrialNode) -> None:
    assert alpha.post(ROUTE, {"peer_id": "beta-node", "artifact_id": "x"}, FROM_LAN).status == 401


def test_an_explicit_address_must_be_the_peers_own(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = public(beta, b"explicit")
    answer = ask(alpha, peer_id="beta-node", artifact_id=source["id"], base_url=alpha.url)
    assert (answer.status, answer.json["error"]) == (502, "fresh reachable route required before artifact replication")
    assert copied(alpha, peer_id="beta-node", artifact_id=source["id"], base_url=beta.url)["route_proof"]["source"] == "explicit_probe"


def test_concurrent_requests_store_once(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = public(beta, os.urandom(2_000_000))
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(alpha, peer_id="beta-node", artifact_id=source["id"]).json["status"]))
               for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["already_present"] * 5 + ["replicated"] and alpha.get("/mesh/artifacts").json["count"] == 1


def test_a_spoiled_copy_is_fetched_again(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    source = public(beta, b"mend me")
    first = copied(alpha, peer_id="beta-node", artifact_id=source["id"])["artifact"]
    alpha.rooms["mesh.artifacts"].blobs.path(source["digest"]).write_bytes(b"broken!")
    copied(alpha, peer_id="beta-node", digest=source["digest"])
    assert content(alpha.get(f"/mesh/artifacts/{first['id']}")) == b"mend me"


def test_what_is_too_large_is_refused_before_its_content_is_asked_for(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    answer = ask(alpha, peer_id="beta-node", artifact_id=public(beta, bytes(3_000_001))["id"])
    assert (answer.status, answer.json["error"], parts(alpha)) == (413, "artifact too large", [])


# --- treaties ------------------------------------------------------------------------------------------------------------------------

def test_bound_artifacts_need_their_treaties(alpha: TrialNode, beta: TrialNode) -> None:
    introduce(alpha, beta, **VALIDATING)
    answer = ask(alpha, peer_id="beta-node", artifact_id=public(beta, b"bound", treaty_requirements=["Treaty/None"])["id"])
    assert (answer.status, answer.json["code"]) == (403, "policy_denied")
    assert answer.json["error"] == "artifact replication requires active treaties for all treaty-bound artifacts"
    assert kept(alpha) == set()


def test_a_requirement_inside_the_content_counts_too(alpha: TrialNode, beta: TrialNode) -> None:
    introduce(alpha, beta, **VALIDATING)
    source = public(beta, b'{"governance": {"treaty_requirements": ["treaty/none"]}}', media_type="application/json")
    answer = ask(alpha, peer_id="beta-node", artifact_id=source["id"])
    assert answer.status == 403 and alpha.get("/mesh/artifacts").json["count"] == 0
    alpha.until(lambda: alpha.wake() or not kept(alpha))


def propose(node: TrialNode, treaty_id: str, headers: Any = None, **document: Any) -> None:
    answer = node.post("/mesh/treaties/propose", {"treaty_id": treaty_id, "title": treaty_id, "document": document}, headers)
    assert answer.status == 200 and answer.json["treaty"]["status"] == "active", answer


@pytest.mark.parametrize("document, card, custody, refusal", [
    ({}, VALIDATING, False, ""), ({"artifact_export": "sealed"}, VALIDATING, True, ""), ({"witness_required": True}, VALIDATING, True, ""),
    ({}, {"treaty_capabilities": {"treaty_documents": True}}, False, "a peer with shared treaty validation for treaty-bound artifacts"),
    ({"artifact_export": "sealed"}, {"treaty_capabilities": {"treaty_documents": True, "continuity_validation": True, "custody_review": False},
                                     "continuity_capabilities": {"custody_review": False}}, True,
     "custody review support for sealed treaty-bound artifacts"),
])
def test_treaties_in_force_allow_what_they_say(alpha: TrialNode, beta: TrialNode, document: Any, card: Any, custody: bool, refusal: str) -> None:
    introduce(alpha, beta, **card)
    propose(alpha, "treaty/custody", **document)
    source = store(beta, b"bound", treaty_requirements=["Treaty/Custody"])
    answer = ask(alpha, peer_id="beta-node", artifact_id=source["id"], remote_auth=OPERATOR)
    if refusal:
        assert (answer.status, answer.json["error"]) == (403, f"artifact replication requires {refusal}")
        return
    assert answer.status == 200, answer
    decode(records.Replicated, answer.json)
    governed = answer.json["governance"]
    assert governed["treaty_requirements"] == ["treaty/custody"] and governed["requires_custody"] is custody
    assert governed["treaty_validation"]["satisfied"] and governed["peer_treaty_compatibility"]["shared_treaty_validation"]
    assert events(alpha, "mesh.artifact.replicated")[0]["payload"]["treaty_requirements"] == ["treaty/custody"]


def test_what_a_sealed_treaty_binds_is_not_for_everybody(beta: TrialNode) -> None:
    sealed, bound = (public(beta, name.encode(), treaty_requirements=[name]) for name in ("treaty/sealed", "treaty/open"))
    propose(beta, "treaty/open", AS_OPERATOR)
    propose(beta, "treaty/sealed", AS_OPERATOR, artifact_export="sealed")
    assert beta.get(f"/mesh/artifacts/{bound['id']}").status == 200
    assert beta.get(f"/mesh/artifacts/{sealed['id']}").status == 401
    assert beta.get(f"/mesh/artifacts/{sealed['id']}", AS_OPERATOR).status == 200


@pytest.mark.parametrize("document, status", [
    (b'{"governance": {"treaty_requirements": ["Treaty/Sealed"]}}', 401),
    (b'{"continuity": {"overlay": {"treaty_requirements": "treaty/sealed"}}}', 401),
    (b'{"governance": {"treaty_requirements": ["treaty/open"]}}', 200), (b'{"governance": 5}', 200), (b"[1]", 200), (b"no JSON", 200),
])
def test_what_a_sealed_treaty_binds_by_its_content_is_not_for_everybody(beta: TrialNode, document: bytes, status: int) -> None:
    source = public(beta, document, media_type="application/json")
    assert beta.get(f"/mesh/artifacts/{source['id']}").status == 200
    propose(beta, "treaty/sealed", AS_OPERATOR, artifact_export="sealed")
    assert beta.get(f"/mesh/artifacts/{source['id']}").status == status
    assert beta.get(f"/mesh/artifacts/{source['id']}", AS_OPERATOR).status == 200


# --- a peer that lies --------------------------------------------------------------------------------------------------------------------

DATA = b"the true content " * 1000


def described(data: bytes = DATA, **more: Any) -> dict[str, Any]:
    return {"digest": sha256(data), "size_bytes": len(data), "media_type": "text/plain", "metadata": {}, "policy": {}, **more}


def refused(alpha: TrialNode, status: int, text: str, artifact_id: str = "a1") -> Answer:
    """The copy is refused, and neither bytes nor a record of it are kept."""
    answer = ask(alpha, peer_id="liar-node", artifact_id=artifact_id)
    assert (answer.status, answer.json["error"]) == (status, text), answer
    assert alpha.get("/mesh/artifacts").json["count"] == 0 and kept(alpha) == set()
    return answer


def test_forged_content_is_never_kept(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.send(b"X" * len(DATA)))
    refused(alpha, 502, "replicated artifact digest mismatch")
    assert parts(alpha) == [] and events(alpha, "mesh.artifact.published", "mesh.artifact.replicated") == []


def test_forged_content_in_json_is_never_kept(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.json({**described(), "content_base64": base64.b64encode(b"X" * len(DATA)).decode()}))
    refused(alpha, 502, "replicated artifact digest mismatch")
    assert parts(alpha) == []


def test_truncated_content_is_never_kept(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.send(DATA[:-1]))
    refused(alpha, 502, "replicated artifact size mismatch")
    assert parts(alpha) == []


@pytest.mark.parametrize("more", [b"!", b"!" * 3_000_000])
def test_more_than_was_announced_is_never_kept(alpha: TrialNode, liar: Liar, more: bytes) -> None:
    liar.offers("a1", described(), lambda asked: asked.send(DATA + more))
    refused(alpha, 502, "replicated artifact size mismatch")
    assert parts(alpha) == []


def test_content_without_end_is_cut_off(alpha: TrialNode, liar: Liar) -> None:
    def flood(asked: Asked) -> None:
        try:
            asked.send(b"x" * 50_000_000, announced=10**12)
        except OSError:
            pass

    liar.offers("a1", described(), flood)
    refused(alpha, 502, "replicated artifact size mismatch")


@pytest.mark.parametrize("changed, status, text", [
    ({"size_bytes": 10**12}, 413, "artifact too large"), ({"size_bytes": -1}, 502, "remote artifact missing size"),
    ({"size_bytes": True}, 502, "remote artifact missing size"), ({"size_bytes": "5"}, 502, "remote artifact missing size"),
    ({"digest": ""}, 502, "remote artifact missing digest"), ({"digest": "../../../../etc/passwd"}, 502, "remote artifact missing digest"),
    ({"digest": None}, 502, "remote artifact missing digest"), ({"digest": "a" * 63 + "/"}, 502, "remote artifact missing digest"),
    ({"metadata": {"x": "y" * 300_000}}, 502, "remote artifact metadata too large"),
    ({"policy": {"notes": "y" * 70_000}}, 502, "remote artifact policy too large"),
    ({"media_type": "a\r\nb"}, 502, "remote media_type must have at most 256 characters and no control characters"),
    ({"media_type": 5}, 502, "remote media_type must be a string"),
])
def test_descriptions_that_lie_end_the_copy_before_content_is_asked_for(alpha: TrialNode, liar: Liar, changed: Any, status: int, text: str) -> None:
    liar.offers("a1", described(**changed), lambda asked: asked.send(DATA))
    refused(alpha, status, text)
    assert len(liar.asked_for("/mesh/artifacts/a1")) == 1


def test_a_path_named_by_a_peer_is_never_opened(alpha: TrialNode, liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    path = str(tmp_path / "secret")
    liar.offers("a1", described(path=path, metadata={"path": path, "replicated_from_download_url": f"file://{path}"}, download_url=f"file://{path}"),
                lambda asked: asked.json({**described(), "path": path}))
    refused(alpha, 502, "remote artifact content missing")
    liar.offers("a2", described(path=path), lambda asked: asked.send(DATA))
    made = copied(alpha, peer_id="liar-node", artifact_id="a2")["artifact"]
    assert made["path"] == f"artifacts/{made['id']}.blob"


def test_what_a_peer_says_of_itself_is_overwritten(alpha: TrialNode, liar: Liar) -> None:
    forged = {"content_sha256": "00", "size_bytes": 1, "pinned": True, "artifact_sync": {"pinned": True, "route_proof": "mine"},
              "mirror_verification": {"status": "verified", "peer_id": "you"}, "integrity": {"status": "fine"}, "retention_seconds": -5}
    liar.offers("a1", described(metadata=forged, owner_peer_id="alpha-node" * 40, policy={"classification": "public"}), lambda asked: asked.send(DATA))
    made = copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]
    assert (made["pinned"], made["retention_deadline_at"], made["policy"]["classification"]) == (False, "2027-02-14T08:00:00Z", "trusted")
    assert (made["metadata"]["content_sha256"], made["metadata"]["size_bytes"]) == (sha256(DATA), len(DATA))
    assert made["artifact_sync"]["source_peer_id"] == "liar-node" and "integrity" not in made["metadata"] and len(made["owner_peer_id"]) <= 128


@pytest.mark.parametrize("answering, status, text", [
    (lambda asked: asked.send(b"no", 500), 502, "remote peer refused artifact content (500)"),
    (lambda asked: asked.send(b"", 302, Location="http://127.0.0.1:1/"), 502, "remote peer refused artifact content (302)"),
    (lambda asked: asked.send(b"{}", media_type="application/json"), 502, "remote artifact content missing"),
    (lambda asked: asked.send(b"{", media_type="application/json"), 502, "remote peer unreachable"),
    (lambda asked: asked.json({"content_base64": "a===" * 9}), 502, "remote artifact content is not valid base64"),
    (lambda asked: asked.json({"content_base64": "aGVsbG8="}), 502, "replicated artifact size mismatch"),
    (lambda asked: asked.json({"content_base64": 7}), 502, "remote artifact content missing"),
])
def test_other_answers_are_told_as_what_they_are(alpha: TrialNode, liar: Liar, answering: Any, status: int, text: str) -> None:
    liar.offers("a1", described(), answering)
    refused(alpha, status, text)
    assert parts(alpha) in ([], [f"{sha256(DATA)}.part"])


def test_a_peer_that_speaks_only_json_is_understood(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.json({**described(), "content_base64": base64.b64encode(DATA).decode()}))
    made = copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]
    assert content(alpha.get(f"/mesh/artifacts/{made['id']}")) == DATA
    asked = liar.asked_for("/mesh/artifacts/a1")
    assert [each.query for each in asked] == ["peer_id=alpha-node&include_content=0", "peer_id=alpha-node&include_content=1"]


def test_an_empty_artifact_survives(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(b""), lambda asked: asked.json({**described(b""), "content_base64": ""}))
    assert copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]["size_bytes"] == 0


def test_by_digest_the_peer_is_asked_for_one(alpha: TrialNode, liar: Liar) -> None:
    liar.answers["/mesh/artifacts"] = lambda asked: asked.json({"artifacts": [5, {"id": "x", "digest": "00"}, {"id": "a1", **described()}]})
    liar.offers("a1", described(), lambda asked: asked.send(DATA))
    copied(alpha, peer_id="liar-node", digest=sha256(DATA))
    assert liar.asked_for("/mesh/artifacts")[0].query == f"limit=1&digest={sha256(DATA)}"


# --- where credentials go -------------------------------------------------------------------------------------------------------------------

def test_a_token_goes_on_the_content_call_and_nowhere_else(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.send(DATA))
    liar.answers["/mesh/artifacts"] = lambda asked: asked.json({"artifacts": [{"id": "a1", **described()}]})
    copied(alpha, peer_id="liar-node", digest=sha256(DATA), remote_auth={"type": "operator_token", "token": "for-the-liar"})
    carried = [(each.path, each.query.endswith("=1")) for each in liar.seen if "for-the-liar" in str(each.headers)]
    assert carried == [("/mesh/artifacts/a1", True)]


def test_a_token_does_not_follow_a_redirect(alpha: TrialNode, liar: Liar) -> None:
    with Liar("other-node") as other:
        liar.offers("a1", described(), lambda asked: asked.send(b"", 307, Location=f"{other.url}/mesh/artifacts/a1"))
        other.offers("a1", described(), lambda asked: asked.send(DATA))
        ask(alpha, peer_id="liar-node", artifact_id="a1", remote_auth={"type": "operator_token", "token": "for-the-liar"})
        assert other.seen == []


def test_a_token_does_not_go_to_who_only_claims_to_be_the_peer(alpha: TrialNode, liar: Liar) -> None:
    with Liar("liar-node") as impostor:
        impostor.identity = TrialPeer("liar-node", number=7).identity                        # the same name, another key
        impostor.offers("a1", described(), lambda asked: asked.send(DATA))
        answer = ask(alpha, peer_id="liar-node", artifact_id="a1", base_url=impostor.url, remote_auth={"type": "operator_token", "token": "secret"})
        assert answer.status == 502 and {each.path for each in impostor.seen} == {"/mesh/manifest", "/mesh/identity"}


def test_the_nodes_own_token_never_leaves_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="gamma-node", operator_token=TOKEN, allow_loopback_peers=True) as gamma, Liar() as liar:
        liar.shakes_hands(gamma, endpoint_url=liar.url)
        liar.offers("a1", described(), lambda asked: asked.send(DATA))
        liar.answers["/mesh/artifacts"] = lambda asked: asked.json({"artifacts": [{"id": "a1", **described()}]})
        own = {"X-OCP-Operator-Token": TOKEN}
        made = gamma.request("POST", ROUTE, {"peer_id": "liar-node", "artifact_id": "a1"}, own)
        assert made.status == 200
        gamma.request("POST", "/mesh/artifacts/verify-mirror", {"artifact_id": made.json["artifact"]["id"]}, own)
        gamma.request("POST", "/mesh/artifacts/replicate-graph", {"peer_id": "liar-node", "artifact_id": "a1"}, own)
        assert len(liar.seen) > 4 and all(TOKEN not in str(each.headers) for each in liar.seen)


def test_a_token_is_not_said_aloud(alpha: TrialNode) -> None:
    from ocp_node.base.errors import Refusal
    from ocp_node.mesh.artifacts.remote import RemoteAuth, Source
    known(alpha, "lan-node", "http://192.168.77.20:8421")
    peer = alpha.rooms["mesh.peers"].find("lan-node")
    auth = RemoteAuth("operator_token", "secret", {})
    for url, sent in (("http://192.168.77.20:8421", False), ("https://192.168.77.20:8421", True), ("http://127.0.0.1:8421", True),
                      ("http://localhost:8421", True), ("http://[::1]:8421", True), ("http://127.0.0.1.evil.example", False)):
        source = Source(alpha.core, alpha.rooms, peer, url, {}, auth, False)
        if sent:
            assert source._token_headers() == (("X-OCP-Operator-Token", "secret"),)
        else:
            with pytest.raises(Refusal, match="https or to loopback"):
                source._token_headers()


# --- transfers that break off ------------------------------------------------------------------------------------------------------------------

def test_a_cut_is_mended_within_the_request(alpha: TrialNode, liar: Liar) -> None:
    """Each answer stops after a third; the next call asks for the rest."""
    def cut(asked: Asked) -> None:
        rest = DATA[asked.start:]
        part = {"Content_Range": f"bytes {asked.start}-{len(DATA) - 1}/{len(DATA)}"} if asked.start else {}
        asked.send(rest[:len(DATA) // 3 + 1], 206 if asked.start else 200, announced=len(rest), **part)

    liar.offers("a1", described(), cut)
    copied(alpha, peer_id="liar-node", artifact_id="a1")
    starts = [each.start for each in liar.asked_for("/mesh/artifacts/a1")[1:]]
    assert starts[0] == 0 and starts == sorted(set(starts)) and len(starts) == 3


def test_a_transfer_goes_on_where_an_earlier_request_stopped(alpha: TrialNode, liar: Liar) -> None:
    half = len(DATA) // 2
    dead = [True]

    def dying(asked: Asked) -> None:
        if not dead[0]:
            asked.send(DATA[asked.start:], 206, Content_Range=f"bytes {asked.start}-{len(DATA) - 1}/{len(DATA)}")
        elif asked.start:
            asked.send(b"", 206, announced=half, Content_Range=f"bytes {asked.start}-{len(DATA) - 1}/{len(DATA)}")
        else:
            asked.send(DATA[:half], announced=len(DATA))

    liar.offers("a1", described(), dying)
    answer = refused(alpha, 502, "remote peer unreachable")
    assert (answer.json["transferred_bytes"], answer.json["size_bytes"], parts(alpha)) == (half, len(DATA), [f"{sha256(DATA)}.part"])
    dead[0] = False
    before = len(liar.seen)
    made = copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]
    asked = [each for each in liar.seen[before:] if "include_content=1" in each.query]
    assert [each.headers["range"] for each in asked] == [f"bytes={half}-"] and asked[0].headers["if-range"] == f'"sha256:{sha256(DATA)}"'
    assert content(alpha.get(f"/mesh/artifacts/{made['id']}")) == DATA and parts(alpha) == []


def test_a_beginning_that_was_wrong_does_not_spoil_the_rest(alpha: TrialNode, liar: Liar) -> None:
    """What a first answer left is forged; the second try finds that out and starts over."""
    blobs = alpha.rooms["mesh.artifacts"].blobs
    with blobs.draft(len(DATA), resume=sha256(DATA)) as draft:
        draft.write(b"forged!")
    liar.offers("a1", described(), lambda asked: asked.send(
        DATA[asked.start:], 206 if asked.start else 200, **({"Content_Range": f"bytes {asked.start}-{len(DATA) - 1}/{len(DATA)}"} if asked.start else {})))
    made = copied(alpha, peer_id="liar-node", artifact_id="a1")["artifact"]
    assert content(alpha.get(f"/mesh/artifacts/{made['id']}")) == DATA
    assert [each.start for each in liar.asked_for("/mesh/artifacts/a1")[1:]] == [7, 0]


@pytest.mark.parametrize("status, part", [(200, ""), (206, "bytes 0-{last}/{size}"), (206, "bytes 8-{last}/{size}"), (206, "nonsense")])
def test_a_peer_that_ignores_the_asked_part_is_read_from_the_start(alpha: TrialNode, liar: Liar, status: int, part: str) -> None:
    with alpha.rooms["mesh.artifacts"].blobs.draft(len(DATA), resume=sha256(DATA)) as draft:
        draft.write(DATA[:7])
    header = {"Content_Range": part.format(last=len(DATA) - 1, size=len(DATA))} if part else {}
    liar.offers("a1", described(), lambda asked: asked.send(DATA, status, **header))
    copied(alpha, peer_id="liar-node", artifact_id="a1")


def test_a_peer_without_that_part_is_asked_for_all(alpha: TrialNode, liar: Liar) -> None:
    with alpha.rooms["mesh.artifacts"].blobs.draft(len(DATA), resume=sha256(DATA)) as draft:
        draft.write(DATA[:7])
    liar.offers("a1", described(), lambda asked: asked.send(b"", 416) if asked.start else asked.send(DATA))
    copied(alpha, peer_id="liar-node", artifact_id="a1")


def test_between_two_nodes_only_the_rest_moves(friends: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = friends
    data = os.urandom(1_000_000)
    source = public(beta, data)
    with alpha.rooms["mesh.artifacts"].blobs.draft(len(data), resume=source["digest"]) as draft:
        draft.write(data[:999_990])
    copied(alpha, peer_id="beta-node", artifact_id=source["id"])
    assert parts(alpha) == [] and kept(alpha) == {source["digest"]}


def test_a_left_part_is_swept_after_a_day(alpha: TrialNode, liar: Liar) -> None:
    liar.offers("a1", described(), lambda asked: asked.send(DATA[:100] if not asked.start else b"", announced=len(DATA)))
    refused(alpha, 502, "remote peer unreachable")
    assert parts(alpha)
    alpha.advance(86_401)
    alpha.until(lambda: alpha.wake() or not parts(alpha))
