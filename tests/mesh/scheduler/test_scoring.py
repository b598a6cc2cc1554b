"""How good a place a node is for a job: the check values of the protocol, and each rule beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ocp_node.base.clock import instant_text
from ocp_node.base.errors import Refusal
from ocp_node.mesh.manifest.rules import reliability
from ocp_node.mesh.peers.peer import Peer
from ocp_node.mesh.scheduler import scoring
from ocp_node.mesh.scheduler.placement import job_of
from ocp_node.mesh.scheduler.scoring import Candidate, Node
from tests.support.candidates import GPU, a_node, a_peer, worker

NOW = 1_800_000_000.0
SHELL = {"kind": "shell.command", "dispatch_mode": "queued", "requirements": {"capabilities": ["shell"]}}
BATCH = {**SHELL, "policy": {"classification": "trusted", "mode": "batch"}}


def on_peer(found: Peer, document: Mapping[str, Any], **placement: Any) -> Candidate:
    return scoring.peer(found, job_of({**document, "placement": placement} if placement else document), NOW)


def here(node: Node, document: Mapping[str, Any], **placement: Any) -> Candidate:
    return scoring.local(node, job_of({**document, "placement": placement} if placement else document))


# --- values that were captured

def test_a_connected_peer_with_an_idle_worker() -> None:
    beta = a_peer(workers=[worker(2)])
    assert on_peer(beta, BATCH).score == 1220
    empty = on_peer(beta, {"requirements": {"placement": {"workload_class": "default"}}})
    five = ["device_class=full", "execution_tier=standard", "network_profile=broadband", "mobility=fixed", "sync_interval=30"]
    assert empty.score == 1035 and empty.reasons == [
        "trust_tier=trusted", "queue_class=default", "execution_class=default", "remote_queue_depth=0", "remote_pressure=idle",
        *five, "reliability=unknown", "resume_capable=false", *five, "connected", "route_last_reachable", "active_heartbeat"]


def test_a_peer_nobody_has_synced_with() -> None:
    assert on_peer(a_peer(reached=False, alive=False), {}).score == 930


def test_a_partner_with_a_graphics_processor() -> None:
    delta = a_peer("partner", {"execution_tier": "heavy", "compute_profile": GPU}, workers=[worker(2)])
    assert on_peer(delta, {}).score == 835
    training = on_peer(delta, BATCH, workload_class="gpu_training", gpu_required=True, min_gpu_vram_mb=16384)
    assert training.score == 1320 and training.reasons[17:] == [
        "cpu_cores_bonus", "memory_mid_bonus", "gpu_match_gpu_training", "gpu_vram_sufficient", "fixed_batch_bonus",
        "stable_network_bonus", "full_compute_bonus", "remote_workers=1", "available_slots=2", "connected",
        "route_last_reachable", "active_heartbeat", "batch_friendly"]


def test_a_busy_peer() -> None:
    beta = a_peer(workers=[worker()] * 4, queued=3, inflight=2, pressure="elevated", done=reliability("remote_events", 4, 1, 1))
    candidate = on_peer(beta, BATCH)
    assert candidate.score == 1174 and candidate.reasons[-4:] == ["active_heartbeat", "reliability_bonus", "batch_friendly",
                                                                  "remote_elevated"]


@pytest.mark.parametrize("node, document, placement, score", [
    (a_node(), BATCH, {}, 1385), (a_node(queued=1), BATCH, {}, 1375),
    (a_node(queued=2, inflight=2, slots=2, free=2, done=(17, 15, 0)), BATCH, {}, 1370),
    (a_node(queued=4, slots=2, free=2, done=(17, 15, 0)), BATCH, {}, 1280),
    (a_node(queued=5, slots=2, free=2, done=(17, 15, 0)), BATCH, {}, 1270),
    (a_node(queued=2), BATCH, {"stay_local": True}, 1575),
    (a_node(queued=4, slots=2, free=2, done=(17, 15, 0)), SHELL, {"latency_sensitive": True, "workload_class": "cpu"}, 1520),
])
def test_this_node(node: Node, document: dict[str, Any], placement: dict[str, Any], score: int) -> None:
    assert here(node, document, **placement).score == score


def test_this_node_says_why() -> None:
    five = ["device_class=full", "execution_tier=standard", "network_profile=broadband", "mobility=fixed", "sync_interval=30"]
    assert here(a_node(workers=3), BATCH).reasons == [
        "local-first", "queue_class=batch", *five, "batch", "execution_class=default", "backpressure=idle", "local_queue_depth=0",
        "available_slots=1", "reliability=unknown", "resume_capable=false", *five, "cpu_cores_bonus", "memory_mid_bonus",
        "fixed_batch_bonus", "stable_network_bonus", "full_compute_bonus", "matching_workers=3", "available_slots=1"]
    inline = here(a_node(workers=0, free=0), {"kind": "agent.echo"})
    assert inline.score == 1210 and inline.reasons[-1] == "inline_capable"


# --- refusals

RETIRED = {"helper_state": "retired"}
PHONE = {"device_class": "light", "form_factor": "phone"}


@pytest.mark.parametrize("peer, document, placement, reason", [
    (a_peer(), SHELL, {"stay_local": True}, "stay_local"),
    (a_peer("partner"), SHELL, {"trust_floor": "trusted"}, "trust_floor_denied"),
    (a_peer(), SHELL, {"required_peer_ids": ["gamma-node"]}, "peer_not_required"),
    (a_peer("market"), SHELL, {"avoid_public": True}, "avoid_public"),
    (a_peer(external_market=True), SHELL, {"avoid_public": True}, "avoid_public"),
    (a_peer(queued=3), SHELL, {"max_peer_queue_depth": 2}, "peer_backlog_limit_exceeded"),
    (a_peer("market"), SHELL, {}, "policy_denied"), (a_peer("blocked"), {}, {}, "policy_denied"),
    (a_peer("blocked"), {"policy": {"classification": "public"}}, {}, "policy_denied"),
    (a_peer(cards=()), SHELL, {}, "requirements_unmet"),
    (a_peer(profile={"execution_tier": "control"}, workers=[worker()]), SHELL, {}, "device_not_compute_ready"),
    (a_peer(profile={**PHONE, "accepts_remote_jobs": False}, workers=[worker()]), SHELL, {}, "device_declines_remote_jobs"),
    (a_peer(workers=[worker()]), {**SHELL, "requirements": {"resources": {"cpu": 5}}}, {}, "device_cpu_limit"),
    (a_peer(workers=[worker()]), {**SHELL, "requirements": {"resources": {"memory_mb": 9000}}}, {}, "device_memory_limit"),
    (a_peer(workers=[worker()]), {**SHELL, "requirements": {"resources": {"disk_mb": 99_999}}}, {}, "device_disk_limit"),
    (a_peer(workers=[worker()]), {"requirements": {"resources": {"gpus": 1}}}, {}, "device_gpu_limit"),
    (a_peer(profile=RETIRED, workers=[worker()]), SHELL, {}, "helper_retired"),
    (a_peer(workers=[worker()]), SHELL, {"gpu_required": True}, "gpu_required_not_available"),
    (a_peer(profile={"compute_profile": {**GPU, "gpu_vram_mb": 8192}}, workers=[worker()]), SHELL,
     {"workload_class": "gpu_training"}, "workload_class_not_supported"),
    (a_peer(profile={"compute_profile": GPU}, workers=[worker()]), SHELL, {"min_gpu_vram_mb": 40_000}, "gpu_vram_insufficient"),
    (a_peer(workers=[worker()]), SHELL, {"min_memory_mb": 40_000}, "memory_insufficient"),
    (a_peer(workers=[worker()]), SHELL, {"min_cpu_cores": 12}, "cpu_cores_insufficient"),
    (a_peer(profile={"intermittent": True}, workers=[worker()]), SHELL, {}, "intermittent_requires_resumable_job"),
    (a_peer(profile={"network_profile": "metered"}), {}, {"require_stable_network": True}, "stable_network_required"),
    (a_peer(profile={"device_class": "micro"}), {}, {"require_artifact_mirror": True}, "artifact_mirror_required"),
    (a_peer(), {}, {"required_device_classes": ["relay"]}, "device_class_denied"),
    (a_peer(), SHELL, {}, "no_remote_workers_advertised"),
    (a_peer(route_health={"status": "unreachable", "checked_at": instant_text(NOW - 60)}), {}, {}, "route_unreachable"),
])
def test_a_peer_is_refused_for_a_reason(peer: Peer, document: dict[str, Any], placement: dict[str, Any], reason: str) -> None:
    candidate = on_peer(peer, document, preferred_peer_ids=["beta-node"], **placement)
    assert candidate.refused and candidate.score == scoring.REFUSED and candidate.reasons[-1] == reason      # no bonus lifts it


@pytest.mark.parametrize("node, placement, reason", [
    (a_node(capabilities=()), {}, "requirements_unmet"),
    (a_node(queued=3), {"max_local_queue_depth": 2}, "local_backlog_limit_exceeded"),
    (a_node(workers=0), {}, "no_matching_local_worker"), (a_node(), {"gpu_required": True}, "gpu_required_not_available"),
    (a_node(profile={"execution_tier": "sensor"}), {}, "device_not_compute_ready"),
])
def test_this_node_is_refused_for_a_reason(node: Node, placement: dict[str, Any], reason: str) -> None:
    candidate = here(node, SHELL, stay_local=True, **placement)
    assert candidate.refused and candidate.reasons[-1] == reason


# --- what changes the score of a peer, by how much

BASE = on_peer(a_peer(workers=[worker(2)]), BATCH).score


@pytest.mark.parametrize("changes, placement, points, reason", [
    ({"status": "degraded"}, {}, -40, ""), ({"reached": False}, {}, -45, ""), ({"alive": False}, {}, -30, ""),
    ({"last_sync_error": "x"}, {}, -80, "sync_error_penalty"), ({"queued": 2}, {}, -24, "remote_queue_depth=2"),
    ({"pressure": "saturated"}, {}, -120, "remote_saturated"),
    ({"enlistment": {"state": "enlisted", "role": "helper"}}, {}, 180, "helper_enlisted_bonus"),
    ({"enlistment": {"state": "draining", "role": "helper"}}, {}, -140, "helper_draining_penalty"),
    ({"enlistment": {"state": "enlisted", "role": "gpu_helper"}}, {"workload_class": "mixed"}, 300, "gpu_helper_preferred"),
    ({}, {"preferred_trust_tiers": ["trusted"]}, 140, "preferred_trust_tier"),
    ({}, {"preferred_peer_id": "beta-node"}, 250, "placement_preferred_peer"),
    ({}, {"preferred_device_class": "full"}, 140, "preferred_device_class"),
    ({}, {"prefer_low_backlog": True}, 120, "low_backlog_preferred"),
    ({}, {"execution_class": "throughput"}, 120 + 100, "execution_class_throughput"),
    ({}, {"execution_class": "isolation"}, 220, "execution_class_isolation_preferred"),
    ({}, {"execution_class": "latency"}, -40, "execution_class_latency_penalty"),
    ({"route_health": {"status": "reachable", "checked_at": instant_text(NOW)}}, {}, 30, "route_probe_reachable"),
    ({"route_health": {"status": "reachable", "checked_at": instant_text(NOW - 900)}}, {}, 10, "route_probe_aging"),
    ({"route_health": {"status": "reachable", "checked_at": instant_text(NOW - 9000)}}, {}, -60, "route_probe_stale"),
    ({"route_health": {"status": "unreachable", "failure_count": 2, "checked_at": instant_text(NOW - 900)}}, {}, -220,
     "route_failure_count=2"),
    ({"route_health": {"status": "unreachable", "failure_count": 50}}, {}, -300, "route_probe_unreachable"),
    ({"done": reliability("remote_events", 1, 3, 9)}, {}, -60, "reliability_penalty"),
    ({"workers": [worker(2, 1), worker(4, 0, "busy")]}, {}, -15, "remote_workers=2"),
    ({"queued": 9, "pressure": "saturated", "last_sync_at": instant_text(NOW - 301)}, {}, 0, "remote_pressure=unknown"),
])
def test_points_of_a_peer(changes: dict[str, Any], placement: dict[str, Any], points: int, reason: str) -> None:
    candidate = on_peer(a_peer(**{"workers": [worker(2)], **changes}), BATCH, **placement)
    assert candidate.score - BASE == points and (not reason or reason in candidate.reasons)


def test_a_market_peer_is_a_public_lane() -> None:
    job = {**BATCH, "policy": {"classification": "public", "mode": "batch"}}
    candidate = on_peer(a_peer("market", workers=[worker(2)]), job, execution_class="isolation")
    assert candidate.score == BASE - 800 + 250 - 180 + 20
    assert {"public_lane", "execution_class_isolation_public_penalty"} <= set(candidate.reasons)


def test_data_that_are_there_count() -> None:
    job = {**BATCH, "artifact_inputs": [{"id": "a-1", "digest": "d1"}, {"digest": "d2"}], "payload_ref": {"id": "a-3"},
           "metadata": {"latest_checkpoint_ref": {"id": "c-1"}}}
    found = a_peer(workers=[worker(2)], artifact_inventory=["sha256:x", {"digest": "d1"}, {"id": "a-1"}, {"digest": "d2"}],
                   cached_checkpoints=[{"checkpoint_id": "c-1"}])
    candidate = on_peer(found, job)
    assert candidate.score == BASE + 3 * 35 + 80
    assert {"artifact_locality_match=3", "checkpoint_locality_match=1"} <= set(candidate.reasons)


def test_a_stored_answer_of_a_peer_can_be_anything() -> None:
    odd = a_peer(workers=[{"status": "active", "max_concurrent_jobs": "many"}, {}], route_health="?", enlistment=[1],
                 artifact_inventory={"digest": {"digest": ["x"]}})
    odd = odd._replace(capability_cards=[{"name": "shell", "available": True, "metadata": "m"}, {}],
                       metadata={**odd.metadata, "remote_workers": [*odd.metadata["remote_workers"], "x", 7]})
    assert on_peer(odd, BATCH).score == BASE - 15


# --- devices

@pytest.mark.parametrize("profile, document, placement, reason", [
    ({"compute_profile": {"cpu_cores": 64, "memory_mb": 131072}}, BATCH, {}, "cpu_many_cores_bonus"),
    ({"compute_profile": {"cpu_cores": 64, "memory_mb": 131072}}, BATCH, {}, "memory_large_bonus"),
    ({"compute_profile": GPU}, BATCH, {"workload_class": "gpu", "gpu_class_preferred": "nvidia"}, "gpu_class_preferred_match"),
    ({}, BATCH, {"workload_class": "inference", "gpu_required": False}, "gpu_missing_penalty"),
    ({"helper_state": "draining"}, BATCH, {}, "helper_draining_penalty"),
    ({"helper_role": "helper"}, {}, {}, "active_helper_bonus"),
    ({"power_profile": "battery"}, BATCH, {"avoid_battery": True}, "battery_penalty"),
    ({"sleep_capable": True}, BATCH, {}, "sleep_batch_penalty"),
    ({"mobility": "mobile", "intermittent": False}, {}, {}, "mobile_remote_penalty"),
    ({"network_profile": "metered", "intermittent": False}, {}, {"latency_sensitive": True}, "latency_network_penalty"),
    ({"intermittent": True}, {**BATCH, "metadata": {"resumable": True}}, {}, "intermittent_resume_capable"),
    ({"intermittent": True}, {**BATCH, "metadata": {"resumable": True}}, {}, "stable_recovery_bonus"),
])
def test_what_a_device_is_good_for(profile: dict[str, Any], document: dict[str, Any], placement: dict[str, Any],
                                   reason: str) -> None:
    assert reason in on_peer(a_peer(profile=profile, workers=[worker()]), document, **placement).reasons


# --- continuity

def test_durable_work_prefers_nodes_that_keep_things() -> None:
    plain, durable = a_peer(profile={"device_class": "relay"}), {"continuity": {
        "continuity_class": "Durable", "dormancy_ok": True, "treaty_requirements": ["t"],
        "preferred_target_device_classes": ["Relay"], "preferred_habitat_roles": ["archive", "foundry"], "lineage_ref": "l"}}
    candidate = on_peer(plain, durable)
    assert candidate.score - on_peer(plain, {}).score == 90 + 60 + 20 + 260
    assert candidate.reasons[12:19] == ["continuity_durable", "continuity_storage_preferred", "habitat_archive",
                                        "trusted_continuity_lane", "long_dormancy_ok", "continuity_preferred_device_class",
                                        "treaty_requirements_present"]
    shown = candidate.continuity_alignment
    assert (shown["active"], shown["matched_device_class"], shown["matched_habitat_roles"]) == (True, True, ["archive"])


def test_a_recovery_hint_names_device_classes_first() -> None:
    job = {"continuity": {"preferred_target_device_classes": ["full"]},
           "metadata": {"recovery_hint": {"preferred_target_device_classes": ["relay"]}}}
    assert "continuity_device_class_miss" in on_peer(a_peer(), job).reasons
    assert not on_peer(a_peer(), {}).continuity_alignment["active"]


# --- the placement block

def test_a_placement_has_every_member_of_the_protocol() -> None:
    wanted = {"workload_class": "gpu_training", "gpu_required": True, "min_gpu_vram_mb": 16384}
    assert job_of({**BATCH, "placement": wanted}).placement == {
        "queue_class": "batch", "execution_class": "default", "stay_local": False, "avoid_public": False,
        "latency_sensitive": False, "batch": True, "prefer_low_backlog": False,
        "trust_floor": "", "preferred_trust_tiers": [], "max_peer_queue_depth": None,
        "max_local_queue_depth": None, "preferred_peer_ids": [], "required_peer_ids": [], "preferred_device_classes": [],
        "required_device_classes": [], "require_stable_network": False, "avoid_battery": False, "require_artifact_mirror": False,
        "workload_class": "gpu_training", "gpu_required": True, "gpu_class_preferred": "", "min_gpu_vram_mb": 16384,
        "min_memory_mb": 0, "min_cpu_cores": 0.0, "resource_needs": {}}


@pytest.mark.parametrize("document, member, value", [
    ({"placement": {"queue_class": "BATCH"}}, "batch", True), ({"queue_class": "batch"}, "queue_class", "batch"),
    ({"placement": {"latency_sensitive": True}}, "execution_class", "latency"),
    ({"policy": {"mode": "interactive"}}, "queue_class", "default"),
    ({"placement": {"execution_profile": "throughput"}}, "prefer_low_backlog", True),
    ({"placement": {"min_trust_tier": "Partner"}}, "trust_floor", "partner"),
    ({"placement": {"preferred_trust_tier": "trusted"}}, "preferred_trust_tiers", ["trusted"]),
    ({"placement": {"remote_queue_depth_max": "3"}}, "max_peer_queue_depth", 3), ({"placement": {"max_peer_queue_depth": 0}},
                                                                                 "max_peer_queue_depth", 0),
    ({"placement": {"preferred_peers": ["Beta", "Beta"]}}, "preferred_peer_ids", ["Beta"]),
    ({"placement": {"preferred_gpu_class": "none"}}, "gpu_class_preferred", ""), ({"placement": {"gpu_class_preferred": "amd"}},
                                                                                "gpu_class_preferred", "rocm"),
    ({"metadata": {"workload_class": "training"}}, "gpu_required", True),
    ({"requirements": {"resources": {"gpus": 1}}}, "gpu_required", True),
    ({"placement": {"resource_needs": {"memory_mb": 10, "cpu": 2}}}, "min_memory_mb", 10),
    ({"requirements": {"resources": {"cpu": 2}}}, "min_cpu_cores", 2.0),
])
def test_a_placement_is_read_from_where_it_may_stand(document: dict[str, Any], member: str, value: Any) -> None:
    assert job_of(document).placement[member] == value


@pytest.mark.parametrize("document, needs", [
    ({}, False), ({"kind": "agent.echo"}, False), ({"kind": "agent.echo", "dispatch_mode": "queued"}, True),
    ({"kind": "shell.command"}, True),
    ({"kind": "docker.container"}, True), ({"kind": "shell.command", "dispatch_mode": "inline"}, True),
    ({"metadata": {"dispatch_mode": "queued"}}, True),
])
def test_whether_a_job_needs_a_worker(document: dict[str, Any], needs: bool) -> None:
    assert job_of(document).needs_worker is needs


@pytest.mark.parametrize("document, text", [
    ({"placement": {"trust_floor": "friends"}}, "unsupported trust tier"), ({"placement": "here"}, "placement must be an object"),
    ({"placement": {"required_peer_ids": 7}}, "placement.required_peer_ids must be an array"),
    ({"placement": {"gpu_required": "perhaps"}}, "placement.gpu_required must be a boolean"),
    ({"requirements": {"capabilities": "shell"}}, "requirements.capabilities must be an array"),
])
def test_a_placement_of_the_wrong_kind_is_refused(document: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as caught:
        job_of(document)
    assert caught.value.message == text
