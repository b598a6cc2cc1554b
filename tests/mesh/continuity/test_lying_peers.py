"""A peer says what it likes of the job that it has for a mission: that is shown, packed, checked and steered all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.mesh import claimed_job, scripted_peer
from tests.support.missions import QUEUED, launched, mission_of, ordered
from tests.support.node import FROM_LAN, TrialNode

Members = dict[str, Any]

LIES: dict[str, Members] = {
    "references that name nothing": {"latest_checkpoint_ref": {"id": ["x"]}, "result_ref": {"id": {"a": 1}},
                                     "result_bundle_ref": {"id": 7}, "result_artifacts": {"stdout": 5}},
    "references of another kind": {"latest_checkpoint_ref": {"id": "x", "digest": ["x"], "owner_peer_id": ["q"], "metadata": 3}},
    "a hint to do nonsense": {"recovery": {"recovery_hint": {"recommended_action": ["x"], "reason": 5}}},
    "a hint to go nowhere": {"recovery": {"recovery_hint": {"preferred_target_device_classes": 5}}},
    "a hint that is a word": {"recovery": {"recovery_hint": {"preferred_target_device_classes": "full"}}},
    "an environment that is a list": {"spec": {"execution": {"env": [{}, {}]}}},
    "an environment that is a number": {"spec": {"execution": {"env": 5}}},
    "secrets that are a number": {"spec": {"runtime_environment": {"secrets": {"bindings": 5}}}},
    "secrets that are no bindings": {"spec": {"runtime_environment": {"secrets": {"bindings": [5, "x", {"env_var": {}}]}}}},
    "times that are none": {"updated_at": "9999-99-99T99", "checkpointed_at": "zzz", "attempts": [{"metadata": 5}]},
}


@pytest.mark.parametrize("status", ["checkpointed", "running", "completed"])
@pytest.mark.parametrize("lie", LIES)
def test_a_peer_that_lies_about_its_job_breaks_nothing_of_the_mission(tmp_path: Path, lie: str, status: str) -> None:
    def answer(*_: Any) -> Members:
        return {"status": status, "job": claimed_job(status=status, **LIES[lie])}

    with TrialNode(tmp_path, node_id="alpha-node", allow_loopback_peers=True) as alpha, scripted_peer(alpha, answer):
        made = launched(alpha, cooperative_task={"base_job": QUEUED, "shards": [{"target_peer_id": "liar-node"}],
                                                 "target_peer_ids": ["liar-node"]})
        mission_of(alpha, made["id"])
        for headers in (None, FROM_LAN):
            assert alpha.get(f"/mesh/missions/{made['id']}/continuity", headers).status == 200
        assert alpha.post(f"/mesh/missions/{made['id']}/continuity/export", {"include_artifacts": True}).status == 200
        packed = alpha.post(f"/mesh/missions/{made['id']}/continuity/export", {"dry_run": False})
        assert packed.status == 200, packed
        for path in ("verify", "restore-plan"):
            asked = {"artifact_id": packed.json["vessel_ref"]["id"]}
            assert alpha.post(f"/mesh/continuity/vessels/{path}", asked).status == 200
        for verb in ("resume", "resume-from-checkpoint", "restart", "cancel"):
            assert ordered(alpha, made["id"], verb).status in (200, 409)


def test_what_a_peer_says_of_an_artifact_is_kept_in_its_kind_and_bounded(tmp_path: Path) -> None:
    told = {"id": "a-1", "digest": "d" * 64, "size_bytes": -1, "pinned": "yes", "path": ["/etc"], "odd": 1, "metadata": {
        "big": "x" * 5_000}, "owner_peer_id": "liar-node"}
    with TrialNode(tmp_path, node_id="alpha-node", allow_loopback_peers=True) as alpha, \
            scripted_peer(alpha, lambda *_: {"status": "completed", "job": claimed_job(status="completed", result_ref=told)}):
        made = launched(alpha, cooperative_task={"base_job": QUEUED, "shards": [{"target_peer_id": "liar-node"}],
                                                 "target_peer_ids": ["liar-node"]})
        kept = {"id": "a-1", "digest": "d" * 64, "owner_peer_id": "liar-node"}
        assert made["result_ref"] == made["lineage"]["jobs"][0]["result_ref"] == made["child_jobs"][0]["result_ref"] == kept
