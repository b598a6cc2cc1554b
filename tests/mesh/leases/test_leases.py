"""Leases over HTTP and inside other rooms' changes (OCP 0.1 leases)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.http.lanes import gather
from ocp_node.mesh.leases.rules import Conflict, ttl
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

Members = dict[str, Any]


def acquire(node: TrialNode, **body: Any) -> Any:
    return node.post("/mesh/lease/acquire", {"peer_id": "p1", "resource": "gpu:0", **body})


def told(node: TrialNode) -> list[str]:
    return [event["event_type"].removeprefix("mesh.lease.") for event in node.get("/mesh/stream").json["events"]]


@pytest.mark.parametrize("asked, given", [(0, 300), (1, 60), (59, 60), (60, 60), (300, 300), (-5, 60)])
def test_a_lease_holds_a_minute_at_least(asked: int, given: int) -> None:
    assert ttl(asked) == given


def test_a_lease_goes_its_way(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        lease = fits("mesh.leases.acquire", acquire(node, ttl_seconds=120, agent_id="a", metadata={"note": "demo"}).json)
        assert (lease["status"], lease["ttl_seconds"], lease["expires_at"], lease["released_at"]) == ("active", 120,
                                                                                                      "2027-01-15T08:02:00Z", "")
        lock = lease["metadata"]["registry_lock"]
        assert (lock["resource"], lock["agent_id"], lock["lock_token"], lock["session_id"]) == ("mesh:gpu:0", "p1",
                                                                                                lease["lock_token"],
                                                                                                lease["lock_token"])
        assert lease["metadata"]["note"] == "demo"
        node.advance(100)
        longer = fits("mesh.leases.heartbeat", node.post("/mesh/lease/heartbeat",
                                                         {"lease_id": lease["id"], "ttl_seconds": 600}).json)
        assert (longer["heartbeat_at"], longer["expires_at"]) == ("2027-01-15T08:01:40Z", "2027-01-15T08:11:40Z")
        ended = fits("mesh.leases.release", node.post("/mesh/lease/release",
                                                      {"lease_id": lease["id"], "status": "Completed"}).json)
        assert (ended["status"], ended["released_at"]) == ("completed", "2027-01-15T08:01:40Z")
        assert node.post("/mesh/lease/release", {"lease_id": lease["id"]}).json["status"] == "released"
        assert told(node) == ["acquired", "heartbeat", "released", "released"]


def test_of_twenty_who_ask_at_once_one_gets_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        answers = gather([lambda number=number: acquire(node, peer_id=f"p{number}") for number in range(20)], 20, 20.0)
        assert sorted(answer.status for answer in answers) == [200] + [409] * 19
        winner = next(answer.json for answer in answers if answer.status == 200)
        for loser in (answer.json for answer in answers if answer.status == 409):
            assert (loser["error"], loser["code"]) == ("resource is leased by another peer", "lease_conflict")
            assert loser["lock"]["agent_id"] == winner["peer_id"] and winner["lock_token"] not in str(loser)
        assert sorted(told(node)) == ["acquired"] + ["conflict"] * 19


def test_a_resource_is_free_when_its_lease_is_over(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        lease = acquire(node, ttl_seconds=60).json
        assert acquire(node, peer_id="p2").status == 409
        node.advance(59)
        assert acquire(node, peer_id="p2").status == 409
        node.advance(1)
        assert acquire(node, peer_id="p2").status == 200
        late = node.post("/mesh/lease/heartbeat", {"lease_id": lease["id"]})
        assert (late.status, late.json["error"], late.json["status"]) == (409, "lease is not active", "expired")


def test_the_same_peer_may_lease_again_and_holds_on_until_all_are_over(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        first, second = acquire(node).json, acquire(node).json
        assert first["lock_token"] != second["lock_token"]
        node.post("/mesh/lease/release", {"lease_id": first["id"]})
        assert acquire(node, peer_id="p2").status == 409
        node.post("/mesh/lease/release", {"lease_id": second["id"]})
        assert acquire(node, peer_id="p2").status == 200


@pytest.mark.parametrize("path, body, status, text", [
    ("acquire", {"resource": "r"}, 400, "peer_id is required"), ("acquire", {"peer_id": "p"}, 400, "resource is required"),
    ("acquire", {"peer_id": "p", "resource": "  "}, 400, "resource is required"), ("acquire", {}, 400, "resource is required"),
    ("acquire", {"peer_id": "p", "resource": "\0r"}, 400, "resource must not have the character U+0000"),
    ("acquire", {"peer_id": "p", "resource": "r", "color": "red"}, 400, "unknown member: color"),
    ("acquire", {"peer_id": "p", "resource": "r", "ttl_seconds": "soon"}, 400, "ttl_seconds must be an integer"),
    ("acquire", {"peer_id": "p", "resource": "r", "ttl_seconds": True}, 400, "ttl_seconds must be an integer"),
    ("acquire", {"peer_id": "p", "resource": "r", "metadata": []}, 400, "metadata must be an object"),
    ("acquire", {"peer_id": "p", "resource": "r", "metadata": {"x": "y" * 70_000}}, 400, "metadata is larger than 65536 bytes"),
    ("acquire", {"peer_id": "p" * 300, "resource": "r"}, 400, "peer_id must be no longer than 200"),
    ("heartbeat", {"lease_id": "nope"}, 404, "lease not found"), ("heartbeat", {}, 404, "lease not found"),
    ("release", {"lease_id": "nope"}, 404, "lease not found"), ("release", {"lease_id": 5}, 400, "lease_id must be a string"),
])
def test_what_is_no_lease_is_refused(tmp_path: Path, path: str, body: Members, status: int, text: str) -> None:
    with TrialNode(tmp_path) as node:
        answer = node.post(f"/mesh/lease/{path}", body)
        assert (answer.status, answer.json["error"]) == (status, text) and told(node) == []


@pytest.mark.parametrize("path", ["heartbeat", "release"])
def test_a_token_that_is_shown_must_be_the_leases(tmp_path: Path, path: str) -> None:
    with TrialNode(tmp_path) as node:
        lease = acquire(node).json
        wrong = node.post(f"/mesh/lease/{path}", {"lease_id": lease["id"], "lock_token": "0" * 32})
        assert (wrong.status, wrong.json["error"]) == (403, "lock_token does not match")
        assert node.post(f"/mesh/lease/{path}", {"lease_id": lease["id"], "lock_token": lease["lock_token"]}).status == 200


def test_a_released_lease_is_not_extended_and_none_is_released_as_active(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        lease = acquire(node).json
        assert node.post("/mesh/lease/release", {"lease_id": lease["id"], "status": "active"}).status == 400
        node.post("/mesh/lease/release", {"lease_id": lease["id"]})
        assert node.post("/mesh/lease/heartbeat", {"lease_id": lease["id"]}).json["error"] == "lease is not active"


def test_only_operators_lease(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        for path in ("acquire", "heartbeat", "release"):
            assert node.post(f"/mesh/lease/{path}", {}, FROM_LAN).status == 401


def test_another_room_leases_inside_its_own_change(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        room, writer = node.rooms["mesh.leases"], node.core.writer
        lease = writer.run(lambda connection: room.acquire(connection, resource="job:1", peer_id="p1", job_id="1",
                                                           metadata={"n": 1}))
        conflict = writer.run(lambda connection: room.acquire(connection, resource="job:1", peer_id="p2"))
        assert isinstance(conflict, Conflict) and room.refusal(conflict).code == "lease_conflict"
        shown = room.shown(lease)
        assert "lock_token" not in shown and shown["metadata"] == {"n": 1}

        def takes_and_fails(connection: Any) -> None:
            room.acquire(connection, resource="job:2", peer_id="p1")
            raise Refusal("conflict", "no")

        with pytest.raises(Refusal):
            writer.run(takes_and_fails)
        assert not isinstance(writer.run(lambda connection: room.acquire(connection, resource="job:2", peer_id="p2")), Conflict)


def test_leases_survive_a_restart_and_are_forgotten_in_the_end(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        acquire(node, ttl_seconds=600)
        clock = node.clock
    with TrialNode(tmp_path, clock=clock) as node:
        assert acquire(node, peer_id="p2").status == 409
        node.advance(32 * 86_400)

        def kept() -> int:
            with node.core.reader.snapshot() as connection:
                return int(connection.execute("SELECT count(*) FROM mesh_lease").fetchone()[0])

        node.until(lambda: kept() == 0, "the old lease to be forgotten")
