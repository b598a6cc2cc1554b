"""Summaries, vessels and restore plans of a node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.artifacts import content, store
from tests.support.jobs import complete, events, refused, taken, text_of, worker
from tests.support.mesh import pair
from tests.support.missions import RESUMABLE, checkpointed, kept, launched, mission_of, order
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
ECHO: Members = {"kind": "agent.echo", "payload": {"message": "hi"}}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        worker(running)
        yield running


def summary(node: TrialNode, mission_id: str, headers: Mapping[str, str] | None = None) -> Members:
    answer = node.get(f"/mesh/missions/{mission_id}/continuity", headers)
    assert answer.status == 200, answer
    return fits("mesh.missions.continuity", answer.json)


def export(node: TrialNode, mission_id: str, **body: Any) -> Members:
    answer = node.post(f"/mesh/missions/{mission_id}/continuity/export", {"dry_run": False, **body})
    assert answer.status == 200, answer
    return fits("mesh.missions.export_continuity", answer.json)


def verify(node: TrialNode, artifact_id: str, **body: Any) -> Members:
    answer = node.post("/mesh/continuity/vessels/verify", {"artifact_id": artifact_id, **body})
    assert answer.status == 200, answer
    return fits("mesh.continuity.verify", answer.json)


def plan(node: TrialNode, artifact_id: str, **body: Any) -> Members:
    answer = node.post("/mesh/continuity/vessels/restore-plan", {"artifact_id": artifact_id, **body})
    assert answer.status == 200, answer
    return fits("mesh.continuity.restore_plan", answer.json)


def treaty(node: TrialNode, treaty_id: str, status: str = "active") -> None:
    assert node.post("/mesh/treaties/propose", {"treaty_id": treaty_id, "title": "T", "status": status}).status == 200


# --- summaries

def test_a_checkpointed_mission_is_ready_to_go_on(node: TrialNode) -> None:
    made = checkpointed(node)
    found = summary(node, made["id"])
    assert (found["continuity_state"], found["recommended_action"], found["recommended_action_label"]) == (
        "ready_to_continue", "resume", "Continue Mission")
    assert found["recovery"] == {"recoverable": True, "checkpoint_ready": True, "recommended_action": "resume", "reason": ""}
    assert found["artifacts"]["checkpoint"]["available"] and not found["artifacts"]["result_bundle"]["available"]
    assert found["latest_checkpoint_ref"]["id"] == made["latest_checkpoint_ref"]["id"] == found["checkpoints"][0]["id"]
    assert found["safe_devices"][0]["peer_id"] == "trial-node" and found["safe_devices"][0]["current"]
    assert found["available_actions"][0]["action"] == "resume"
    assert found["continuity"] == found["mission"]["continuity"]


def test_a_checkpoint_that_was_removed_is_not_told_to_be_there(node: TrialNode) -> None:
    made = checkpointed(node)
    assert node.request("DELETE", f"/mesh/artifacts/{made['latest_checkpoint_ref']['id']}").status == 200
    assert not summary(node, made["id"])["artifacts"]["checkpoint"]["available"]


def test_a_launch_that_failed_is_not_told_to_resume(node: TrialNode) -> None:
    failed = node.post("/mesh/missions/launch", {"job": {"kind": "shell.command"}}).json["mission_id"]
    found = summary(node, failed)
    assert (found["continuity_state"], found["recommended_action"], found["current_devices"]) == ("preparing", "restart", [])


def test_a_missing_treaty_needs_attention(node: TrialNode) -> None:
    made = checkpointed(node, continuity={"treaty_requirements": ["Treaty/Storage"]})
    found = summary(node, made["id"])
    assert found["treaty_validation"]["missing"] == ["Treaty/Storage"]
    assert found["governance"]["treaty_audit"]["status"] == "attention_needed"
    treaty(node, "treaty/storage")
    assert summary(node, made["id"])["treaty_validation"]["satisfied"]


def test_a_summary_writes_nothing_and_shows_strangers_no_code(node: TrialNode) -> None:
    made = launched(node)
    stored = kept(node)
    assert "print(1)" in json.dumps(summary(node, made["id"]))
    assert "print(1)" not in json.dumps(summary(node, made["id"], FROM_LAN))
    assert kept(node) == stored


@pytest.mark.parametrize("path", ["/mesh/missions/nope/continuity", "/mesh/missions/nope/continuity/export"])
def test_no_mission_no_continuity(node: TrialNode, path: str) -> None:
    answer = node.post(path, {}) if path.endswith("export") else node.get(path)
    refused(answer, 404, "not_found", "mission not found")


# --- packing

def test_a_dry_run_stores_nothing(node: TrialNode) -> None:
    made = checkpointed(node)
    before = node.get("/mesh/artifacts").json["count"]
    answer = node.post(f"/mesh/missions/{made['id']}/continuity/export", {})
    found = fits("mesh.missions.export_continuity", answer.json)
    assert (found["status"], found["dry_run"], found["vessel_ref"], found["witness_ref"]) == ("planned", True, {}, {})
    assert node.get("/mesh/artifacts").json["count"] == before
    told = events(node, "mesh.mission.continuity_export.planned")[0]
    assert told["payload"] == {"mission_id": made["id"], "checkpoint_ready": True, "warning_count": 0}
    assert told["request_id"] == made["request_id"]


def test_a_vessel_and_its_witness_are_stored_and_verified(node: TrialNode) -> None:
    made = checkpointed(node, request_id="m-cp")
    found = export(node, made["id"], operator_id="op", reason="seal", metadata={"ticket": 7})
    assert (found["status"], found["warnings"]) == ("exported", [])
    assert json.loads(text_of(node, found["vessel_ref"])) == found["vessel"]
    assert json.loads(text_of(node, found["witness_ref"])) == found["witness"]
    assert found["vessel"]["operator_request"] == {"operator_id": "op", "reason": "seal", "metadata": {"ticket": 7}}
    assert found["witness"]["subject_artifact_id"] == found["vessel_ref"]["id"]
    assert found["witness"]["subject_digest"] == found["vessel_ref"]["digest"]
    assert found["vessel_ref"]["metadata"].items() >= {"mission_id": made["id"], "continuity_state": "ready_to_continue",
                                                       "checkpoint_artifact_id": made["latest_checkpoint_ref"]["id"]}.items()
    checked = verify(node, found["vessel_ref"]["id"])
    assert (checked["status"], checked["valid"], checked["warnings"]) == ("verified", True, [])
    assert checked["witnesses"][0]["signature_valid"] and checked["artifact_availability"]["checkpoint_ref"]["available"]
    told = events(node, "mesh.continuity.vessel.verified")[0]
    assert told["payload"] == {"mission_id": made["id"], "vessel_artifact_id": found["vessel_ref"]["id"], "status": "verified",
                               "witness_count": 1, "missing_ref_count": 0}
    assert told["request_id"] == "m-cp"


def test_a_vessel_is_portable_and_holds_no_secret(node: TrialNode) -> None:
    job = {**RESUMABLE, "kind": "shell.command", "policy": {"secret_scopes": ["s"]}, "payload": {
        "command": ["true"], "env": {"PLAIN": "plain-text-value"}, "secrets": {"TOKEN": {"value": "very-secret", "scope": "s"}}}}
    found = export(node, launched(node, job)["id"])
    spec = found["vessel"]["child_jobs"][0]["spec"]
    assert spec["execution"]["command"] == ["true"] and spec["execution"]["env_names"] == ["PLAIN"]
    text = text_of(node, found["vessel_ref"])
    assert "very-secret" not in text and "plain-text-value" not in text
    assert found["vessel"]["required_absent"]["secret_material"][0]["env_var"] == "TOKEN"


def test_artifacts_go_into_the_vessel_when_that_is_asked_for(node: TrialNode) -> None:
    made = checkpointed(node)
    found = export(node, made["id"], include_artifacts=True)
    included = found["vessel"]["included_artifacts"]
    assert [each["role"] for each in included] == ["checkpoint_ref"]
    assert node.request("DELETE", f"/mesh/artifacts/{made['latest_checkpoint_ref']['id']}").status == 200
    checked = verify(node, found["vessel_ref"]["id"])
    assert checked["valid"] and checked["artifact_availability"]["checkpoint_ref"]["included"]


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("private", ["job", "task"])
def test_a_vessel_is_for_nobody_for_whom_a_job_in_it_is_not(node: TrialNode, private: str, include: bool) -> None:
    job = {**ECHO, "policy": {"classification": "private"}}
    work = {"job": job} if private == "job" else {"cooperative_task": {"base_job": job, "shards": [{}]}}
    made = launched(node, **work, policy={"classification": "public"})
    assert (made["status"], made["policy"]["classification"]) == ("completed", "public")
    found = export(node, made["id"], include_artifacts=include)
    for name in ("vessel_ref", "witness_ref"):
        assert found[name]["policy"]["classification"] == "private"
        assert node.get(f"/mesh/artifacts/{found[name]['id']}", FROM_LAN).status == 401
    assert verify(node, found["vessel_ref"]["id"])["valid"]


def test_an_artifact_of_the_same_name_and_another_content_is_not_the_one_that_is_meant(node: TrialNode) -> None:
    made = launched(node, ECHO)
    found = export(node, made["id"])["vessel"]
    other = store(node, b"something else", artifact_kind="result")
    found["artifacts"]["result_ref"] = {**found["artifacts"]["result_ref"], "id": other["id"], "digest": "0" * 64}
    lying = store(node, json.dumps(found).encode(), artifact_kind="vessel")
    checked = verify(node, lying["id"])
    assert [each["role"] for each in checked["missing_refs"]] == ["result_ref"] and not checked["valid"]


def test_a_mission_with_nothing_to_take_along_is_packed_with_a_warning(node: TrialNode) -> None:
    found = export(node, launched(node)["id"])
    assert len(found["warnings"]) == 1 and verify(node, found["vessel_ref"]["id"])["valid"]


def test_treaties_that_are_not_in_force_stop_an_export_and_leave_an_event(node: TrialNode) -> None:
    made = checkpointed(node, continuity={"treaty_requirements": ["treaty/a", "treaty/b"]})
    treaty(node, "treaty/b", "suspended")
    planned = node.post(f"/mesh/missions/{made['id']}/continuity/export", {"dry_run": True}).json
    assert planned["warnings"] and not planned["treaty_validation"]["satisfied"]
    before = node.get("/mesh/artifacts").json["count"]
    refused(node.post(f"/mesh/missions/{made['id']}/continuity/export", {"dry_run": False}), 403, "policy_denied",
            "continuity export requires active treaties for all treaty requirements")
    assert node.get("/mesh/artifacts").json["count"] == before
    assert events(node, "mesh.mission.continuity_export.blocked")[0]["payload"] == {
        "mission_id": made["id"], "missing_treaties": ["treaty/a"], "inactive_treaties": ["treaty/b"]}


def test_a_treaty_suspended_while_the_vessel_is_packed_stops_it(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    made = checkpointed(node, continuity={"treaty_requirements": ["treaty/a"]})
    treaty(node, "treaty/a")
    artifacts = node.rooms["mesh.artifacts"]
    put_all = artifacts.put_all

    def meanwhile(contents: Any) -> Any:
        treaty(node, "treaty/a", "suspended")
        return put_all(contents)
    monkeypatch.setattr(artifacts, "put_all", meanwhile)
    assert node.post(f"/mesh/missions/{made['id']}/continuity/export", {"dry_run": False}).status == 403


def test_the_published_schema_of_an_export_is_enforced(node: TrialNode) -> None:
    made = launched(node)
    answer = node.post(f"/mesh/missions/{made['id']}/continuity/export", {"dry_run": "false"})
    assert (answer.status, answer.json["protocol_validation"]["schema_ref"]) == (400, "ContinuityVesselExportRequest")


@pytest.mark.parametrize("path", ["/mesh/missions/x/continuity/export", "/mesh/continuity/vessels/verify",
                                  "/mesh/continuity/vessels/restore-plan"])
def test_strangers_neither_pack_nor_check_nor_plan(node: TrialNode, path: str) -> None:
    assert node.post(path, {}, FROM_LAN).status == 401


# --- checking

def forged(node: TrialNode, vessel_ref: Members, document: Members, **metadata: Any) -> str:
    """A witness that somebody else has put there; its id."""
    made = store(node, json.dumps(document).encode(), media_type="application/json", artifact_kind="witness",
                 subject_artifact_id=vessel_ref["id"], **metadata)
    return made["id"]


@pytest.mark.parametrize("spoil", ["signature", "digest", "subject", "key"])
def test_an_invalid_witness_is_no_witness(node: TrialNode, spoil: str) -> None:
    found = export(node, checkpointed(node)["id"])
    witness, vessel_ref = dict(found["witness"]), found["vessel_ref"]
    assert node.request("DELETE", f"/mesh/artifacts/{found['witness_ref']['id']}").status == 200
    if spoil == "signature":
        witness["signature"] = "00" * 64
    elif spoil == "digest":
        witness["subject_digest"] = "00" * 32
    elif spoil == "subject":
        witness["subject_artifact_id"] = "another"
    else:
        from ocp_node.crypto import documents
        stranger = TrialPeer("stranger-node").identity
        unsigned = {name: value for name, value in witness.items() if name not in ("signature", "verification")}
        witness = documents.sign_attestation(stranger, {**unsigned, "verification": {}, "issuer": {
            "node_id": stranger.node_id, "public_key": stranger.public_key_hex}})
    forged(node, vessel_ref, witness)
    checked = verify(node, vessel_ref["id"])
    assert (checked["status"], checked["valid"], len(checked["witnesses"])) == ("attention_needed", False, 1)


def test_an_unsigned_witness_is_no_witness(node: TrialNode) -> None:
    found = export(node, checkpointed(node)["id"])
    assert node.request("DELETE", f"/mesh/artifacts/{found['witness_ref']['id']}").status == 200
    assert verify(node, found["vessel_ref"]["id"])["witnesses"] == []
    forged(node, found["vessel_ref"], {name: found["witness"][name] for name in (
        "kind", "mission_id", "subject_artifact_id", "subject_digest")})
    checked = verify(node, found["vessel_ref"]["id"])
    assert not checked["valid"] and not checked["witnesses"][0]["signature_valid"]


def test_a_witness_holds_after_this_node_has_changed_its_key(node: TrialNode) -> None:
    found = export(node, checkpointed(node)["id"])
    assert node.post("/mesh/identity/rotate", {}).status == 200
    assert verify(node, found["vessel_ref"]["id"])["valid"]


def test_missing_references_are_named(node: TrialNode) -> None:
    made = checkpointed(node)
    found = export(node, made["id"])
    ref = made["latest_checkpoint_ref"]
    assert node.request("DELETE", f"/mesh/artifacts/{ref['id']}").status == 200
    checked = verify(node, found["vessel_ref"]["id"])
    assert checked["missing_refs"] == [{"role": "checkpoint_ref", "artifact_id": ref["id"], "digest": ref["digest"]}]
    assert (checked["status"], plan(node, found["vessel_ref"]["id"])["recommended_action"]) == ("attention_needed", "restart")


@pytest.mark.parametrize("path", ["verify", "restore-plan"])
@pytest.mark.parametrize(("raw", "kind"), [
    (b"not json", "vessel"), (b"[]", "vessel"), (b'{"kind": "ocp.continuity.vessel"}', "vessel"),
    (b'{"kind": "other"}', "vessel"),
    (b'{"kind": "ocp.continuity.vessel", "mission": {"id": "m"}, "continuity": {}, "governance": {}}', "result"),
])
def test_what_is_no_vessel_is_refused_in_clean_words(node: TrialNode, path: str, raw: bytes, kind: str) -> None:
    made = store(node, raw, media_type="application/json", artifact_kind=kind)
    refused(node.post(f"/mesh/continuity/vessels/{path}", {"artifact_id": made["id"]}), 400, "invalid_request",
            "artifact is not a continuity vessel")


@pytest.mark.parametrize("path", ["verify", "restore-plan"])
@pytest.mark.parametrize("body", [{}, {"artifact_id": "nope"}])
def test_a_vessel_that_is_not_there_is_not_found(node: TrialNode, path: str, body: Members) -> None:
    refused(node.post(f"/mesh/continuity/vessels/{path}", body), 404, "not_found", "artifact not found")


def test_a_vessel_of_strange_content_is_read_without_a_fault(node: TrialNode) -> None:
    document = {"kind": "ocp.continuity.vessel", "mission": {"id": "m", "request_id": 5}, "artifacts": {
        "checkpoint_ref": {"id": ["x"]}, "result_ref": 7}, "child_jobs": 5, "included_artifacts": [1, {"role": "result_ref"}],
        "continuity": {"preferred_target_device_classes": 5, "safe_devices": "x", "recommended_action": ["resume"]},
        "governance": {"treaty_requirements": {"a": 1}}}
    made = store(node, json.dumps(document).encode(), media_type="application/json", artifact_kind="vessel")
    found = plan(node, made["id"])
    assert (found["status"], found["recommended_action"]) == ("attention_needed", "restart")


def test_the_document_of_a_vessel_can_be_left_out(node: TrialNode) -> None:
    vessel_id = export(node, launched(node)["id"])["vessel_ref"]["id"]
    assert verify(node, vessel_id, include_content=False)["vessel"]["payload"] == {}
    assert node.post("/mesh/continuity/vessels/verify", {"vessel_artifact_id": vessel_id}).json["status"] == "verified"


# --- planning

def test_a_plan_is_ready_and_starts_nothing(node: TrialNode) -> None:
    made = checkpointed(node)
    vessel_id = export(node, made["id"])["vessel_ref"]["id"]
    found = plan(node, vessel_id, operator_id="op", reason="dry-run restore")
    assert (found["status"], found["recommended_action"], found["target"]["peer_id"]) == ("ready", "resume", "trial-node")
    assert found["operator_request"] == {"operator_id": "op", "reason": "dry-run restore"}
    assert mission_of(node, made["id"])["status"] == "checkpointed"
    told = events(node, "mesh.continuity.restore_plan.created")[0]["payload"]
    assert told == {"mission_id": made["id"], "vessel_artifact_id": vessel_id, "status": "ready", "recommended_action": "resume",
                    "target_peer_id": "trial-node"}


def test_a_plan_is_blocked_when_a_treaty_was_suspended(node: TrialNode) -> None:
    treaty(node, "treaty/a")
    made = checkpointed(node, continuity={"treaty_requirements": ["treaty/a"]})
    vessel_id = export(node, made["id"])["vessel_ref"]["id"]
    assert plan(node, vessel_id)["status"] == "ready"
    treaty(node, "treaty/a", "suspended")
    found = plan(node, vessel_id)
    assert (found["status"], len(found["blockers"])) == ("blocked", 1)


def test_the_devices_of_a_plan_are_those_of_now_and_those_of_the_export_stand_beside_them(node: TrialNode) -> None:
    vessel_id = export(node, checkpointed(node)["id"])["vessel_ref"]["id"]
    TrialPeer("late-node").shakes_hands(node)
    found = plan(node, vessel_id, target_peer_id="late-node")
    assert found["target"]["peer_id"] == "late-node"
    assert [each["peer_id"] for each in found["exported_safe_devices"]] == ["trial-node"]
    warned = plan(node, vessel_id, target_peer_id="nobody", constraints={"peer_ids": ["trial-node"], "color": 1})
    assert warned["target"]["peer_id"] == "trial-node" and len(warned["warnings"]) == 2


def test_a_blocked_or_waiting_peer_is_no_safe_device(node: TrialNode) -> None:
    TrialPeer("bad-node").shakes_hands(node)
    assert node.post("/mesh/peers/bad-node/trust", {"trust_tier": "blocked"}).status == 200
    TrialPeer("waiting-node").post(node, "/mesh/handshake", TrialPeer("waiting-node").introduction(), FROM_LAN)
    devices = summary(node, launched(node)["id"])["safe_devices"]
    assert [each["peer_id"] for each in devices] == ["trial-node"]


def test_the_plan_of_a_mission_that_is_done_is_to_look_at_its_results(node: TrialNode) -> None:
    made = launched(node)
    complete(node, taken(node)["attempt"]["id"])
    assert summary(node, made["id"])["artifacts"]["result_bundle"]["available"]
    assert plan(node, export(node, made["id"])["vessel_ref"]["id"])["recommended_action"] == "review"


def test_a_vessel_is_verified_by_the_node_it_was_copied_to(tmp_path: Path) -> None:
    with pair(tmp_path) as (alpha, beta):
        worker(alpha)
        made = checkpointed(alpha)
        found = export(alpha, made["id"], include_artifacts=True)
        copies = []
        assert beta.post("/mesh/peers/connect", {"base_url": alpha.url, "trust_tier": "trusted"}).status == 200
        for ref in (found["vessel_ref"], found["witness_ref"]):
            answer = beta.post("/mesh/artifacts/replicate", {"peer_id": "alpha-node", "artifact_id": ref["id"]})
            assert answer.status == 200, answer
            copies.append(answer.json["artifact"])
        assert content(beta.get(f"/mesh/artifacts/{copies[0]['id']}")) == content(alpha.get(
            f"/mesh/artifacts/{found['vessel_ref']['id']}"))
        checked = verify(beta, copies[0]["id"])
        assert checked["valid"] and checked["witnesses"][0]["signature_valid"], checked["warnings"]
        assert plan(beta, copies[0]["id"], target_peer_id="beta-node")["target"]["peer_id"] == "beta-node"
        order(alpha, made["id"], "resume")
