"""Test missions: on one peer, and on every device."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.missions.trials import FILENAME, PROGRAM
from tests.support.jobs import refused, text_of
from tests.support.mesh import pair, scripted_peer
from tests.support.missions import missions
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[TrialNode, TrialNode]]:
    with pair(tmp_path) as both:
        yield both


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, node_id="alpha-node", allow_loopback_peers=True, trusted_proxies=("127.0.0.1",)) as node:
        yield node


def one(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/missions/test-launch", body)
    assert answer.status == 200, answer
    return fits("mesh.missions.test_launch", answer.json)


def every(node: TrialNode, **body: Any) -> Members:
    answer = node.post("/mesh/missions/test-mesh-launch", body)
    assert answer.status == 200, answer
    return fits("mesh.missions.test_mesh_launch", answer.json)


def test_a_known_peer_runs_the_program_and_says_so(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, beta = two
    found = one(alpha, peer_id="beta-node", request_id="t-1", intent="see whether beta is there")
    mission = found["mission"]
    assert (found["status"], found["connection"], found["base_url"]) == ("ok", {}, "")
    assert (mission["title"], mission["status"]) == ("Mesh Test Mission", "completed")
    assert mission["intent"] == "see whether beta is there"
    assert mission["metadata"].items() >= {"control_flow": "connect_devices", "test_mission": True,
                                           "proof_filename": FILENAME}.items()
    assert len(mission["child_jobs"]) == len(mission["cooperative_tasks"]) == 1
    job = mission["child_jobs"][0]
    assert (job["target"], mission["priority"]) == ("beta-node", "high")
    told = text_of(beta, beta.get(f"/mesh/jobs/{job['id']}").json["result_artifacts"]["stdout"])
    assert told.splitlines()[1] == "OCP test mission: this device took part."
    assert Path(told.splitlines()[0]).parent == Path(tempfile.gettempdir())
    again = one(alpha, peer_id="beta-node", request_id="t-1")
    assert again["mission"]["deduped"] and again["mission"]["id"] == mission["id"]


def test_a_peer_that_is_not_known_is_connected_to_first(tmp_path: Path) -> None:
    with TrialNode(tmp_path / "a", node_id="alpha-node") as alpha, TrialNode(tmp_path / "b", node_id="beta-node") as beta:
        found = one(alpha, base_url=beta.url)
        assert (found["status"], found["peer_id"], found["base_url"]) == ("ok", "beta-node", beta.url)
        assert found["connection"]["peer"]["peer_id"] == "beta-node"
        assert found["mission"]["request_id"].startswith("mesh-test-mission-")
        assert alpha.get("/mesh/app/status").json["latest_proof"]["mission_id"] == found["mission"]["id"]


@pytest.mark.parametrize(("body", "status", "code"), [
    ({}, 400, "invalid_request"), ({"peer_id": "ghost"}, 404, "not_found"),
    ({"base_url": "http://127.0.0.1:9", "timeout": 1}, 502, "peer_unreachable"),
    ({"peer_id": 5}, 400, "invalid_request"), ({"peer_id": "ghost", "timeout": "soon"}, 400, "invalid_request"),
    ({"peer_id": "ghost", "trust_tier": "king"}, 400, "invalid_request"),
    ({"peer_id": "ghost", "request_id": "x" * 129}, 400, "invalid_request"),
])
def test_a_test_that_cannot_begin_leaves_no_mission(alone: TrialNode, body: Members, status: int, code: str) -> None:
    answer = alone.post("/mesh/missions/test-launch", body)
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert missions(alone)["count"] == 0


def test_strangers_test_nothing(alone: TrialNode) -> None:
    for path in ("test-launch", "test-mesh-launch"):
        assert alone.post(f"/mesh/missions/{path}", {}, FROM_LAN).status == 401


def test_a_node_alone_tests_itself(alone: TrialNode) -> None:
    found = every(alone, request_id="solo")
    assert found["mesh"] == {"peer_count": 1, "target_peer_ids": ["alpha-node"], "includes_local": True}
    assert found["status"] == "ok"
    assert (found["mission"]["title"], found["mission"]["request_id"]) == ("Whole Mesh Test Mission", "solo")
    assert found["mission"]["metadata"].items() >= {"mesh_wide_test": True, "target_peer_ids": ["alpha-node"]}.items()
    refused(alone.post("/mesh/missions/test-mesh-launch", {"include_local": False}), 400, "no_target",
            "mesh test mission requires at least one reachable device")


def test_every_connected_device_takes_part(two: tuple[TrialNode, TrialNode]) -> None:
    alpha, _ = two
    found = every(alpha, intent="all of them")
    assert (found["status"], found["mesh"]["peer_count"], found["mission"]["intent"]) == ("ok", 2, "all of them")
    assert sorted(child["label"] for child in found["mission"]["cooperative_tasks"][0]["children"]) == [
        "proof-alpha-node", "proof-beta-node"]
    assert every(alpha, include_local="no")["mesh"]["target_peer_ids"] == ["beta-node"]
    assert every(alpha, limit=1)["mesh"]["target_peer_ids"] == ["alpha-node"]


def test_peers_that_are_blocked_or_wait_or_say_not_where_they_are_are_left_out(alone: TrialNode) -> None:
    TrialPeer("bad-node").shakes_hands(alone, endpoint_url="http://127.0.0.1:9")
    assert alone.post("/mesh/peers/bad-node/trust", {"trust_tier": "blocked"}).status == 200
    waiting = TrialPeer("waiting-node")
    waiting.post(alone, "/mesh/handshake", waiting.introduction(endpoint_url="http://127.0.0.1:9"), FROM_LAN)
    TrialPeer("nowhere-node").shakes_hands(alone)
    assert every(alone)["mesh"]["target_peer_ids"] == ["alpha-node"]


def test_a_device_that_fails_does_not_keep_the_others_from_their_part(alone: TrialNode) -> None:
    with scripted_peer(alone, lambda *_: (403, {"error": "no work for strangers", "code": "policy_denied"})):
        found = every(alone)
        assert (found["status"], found["mission"]["status"]) == ("attention", "failed")
        assert found["mission"]["summary"]["child_status_counts"] == {"completed": 1, "failed": 1}
        assert found["error"] == "liar-node: peer refused: no work for strangers"
        failed = alone.post("/mesh/missions/test-mesh-launch", {"include_local": False})
        assert (failed.status, failed.json["error"]) == (502, "peer refused: no work for strangers")
        assert alone.get(f"/mesh/missions/{failed.json['mission_id']}").json["status"] == "failed"


def run(folder: Path) -> list[str]:
    """What the program prints where that is the folder for temporary files."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={"TMPDIR": str(folder)}, capture_output=True, text=True,
                          timeout=60, check=True)
    return done.stdout.splitlines()


def test_the_program_follows_no_link_that_somebody_has_put_there(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / FILENAME).symlink_to(victim)
    path, line = run(tmp_path)
    assert victim.read_text() == "mine" and Path(path).read_text() == f"{line}\n" and path != str(tmp_path / FILENAME)
    (tmp_path / FILENAME).unlink()
    assert run(tmp_path)[0] == str(tmp_path / FILENAME)
