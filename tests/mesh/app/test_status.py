"""The status and its samples on running nodes: compact, without side effects, bounded (OCP 0.1 app status)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.app import table
from ocp_node.mesh.peers.peer import made
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits

Members = dict[str, Any]
TOKEN = "the-operator-token-of-this-node"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path / "alpha", node_id="alpha", display_name="Alpha", trusted_proxies=("127.0.0.1",)) as running:
        running.rooms["mesh.connectivity"].addresses = lambda: ()
        yield running


def status(node: TrialNode, headers: Any = None) -> Members:
    answer = node.get("/mesh/app/status", headers)
    assert answer.status == 200 and len(answer.body) < 65_536, answer
    return fits("mesh.app.status", answer.json)


def sample(node: TrialNode, **body: Any) -> Members:
    node.advance(1)
    answer = node.post("/mesh/app/history/sample", body)
    assert answer.status == 200, answer
    return fits("mesh.app.sample", answer.json)["sample"]


def history(node: TrialNode, query: str = "") -> Members:
    return fits("mesh.app.history", node.get(f"/mesh/app/history{query}").json)


def events(node: TrialNode) -> list[Members]:
    return node.get("/mesh/stream?limit=500").json["events"]


def crowd(node: TrialNode, count: int, **metadata: Any) -> None:
    """Many admitted peers, as large as peers may be."""
    def change(connection: Any) -> None:
        for number in range(count):
            peer_id = f"peer-{number:03}-" + "ü" * 100
            url = f"http://{number}." + "x" * 1900
            node.rooms["mesh.peers"].put(connection, made({
                "peer_id": peer_id, "display_name": "Ü" * 200, "public_key": "0" * 64, "signature_scheme": "",
                "endpoint_url": url,
                "stream_url": "", "trust_tier": "trusted", "reachability": "", "status": "connected", "mesh_session_id": "",
                "protocol_version": "", "capability_cards": [], "card": {}, "reliability": {}, "remote_execution": None,
                "metadata": {"last_reachable_base_url": url, **metadata}, "created_at": "", "updated_at": "",
                "last_seen_at": f"2026-01-01T00:00:{number % 60:02}Z", "last_handshake_at": ""}))
    node.core.writer.run(change)


# --- the status -------------------------------------------------------------------------------------------------------

def test_a_fresh_node_knows_only_itself(node: TrialNode) -> None:
    told = status(node)
    assert (told["mesh_quality"]["status"], told["setup"]["status"], told["setup"]["blocker_code"]) == ("isolated", "local_only",
                                                                                                        "local_only")
    assert told["node"] == {"node_id": "alpha", "display_name": "Alpha", "device_class": "full", "form_factor": "workstation",
                            "protocol_release": "0.1", "protocol_version": "sovereign-mesh/v1"}
    assert told["app_urls"]["phone_url"] == f"{node.url}/app" and told["protocol"]["contract_url"] == "/mesh/contract"
    assert (told["latest_proof"]["status"], told["approvals"]["pending_count"], told["autonomy"]["last_run"]) == ("none", 0, {})
    assert told["setup"]["token_status"] == "loopback_only" and len(told["next_actions"]) == 2


def test_reading_a_status_writes_nothing(node: TrialNode) -> None:
    status(node)
    before = node.core.writer.commits, len(events(node))
    for _ in range(3):
        status(node)
        history(node)
    assert (node.core.writer.commits, len(events(node))) == before


def test_a_token_counts_as_configured_and_is_never_shown(tmp_path: Path) -> None:
    with TrialNode(tmp_path, host="0.0.0.0", operator_token=TOKEN) as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ("192.0.2.10",)
        told = status(node)
        assert (told["setup"]["token_status"], told["setup"]["blocker_code"], told["setup"]["bind_mode"]) == ("configured", "",
                                                                                                              "lan")
        assert told["app_urls"]["phone_url"] == f"http://192.0.2.10:{node.port}/app" and TOKEN not in json.dumps(told)


def test_a_node_open_to_the_network_without_a_token_says_so(tmp_path: Path) -> None:
    with TrialNode(tmp_path, host="0.0.0.0") as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ("192.0.2.10",)
        setup = status(node)["setup"]
        assert (setup["status"], setup["blocker_code"]) == ("needs_attention",
                                                            "token_missing") and "OCP_OPERATOR_TOKEN" in setup["next_fix"]


def test_a_peer_makes_the_mesh_usable_and_its_leaving_is_told(tmp_path: Path, node: TrialNode) -> None:
    with TrialNode(tmp_path / "beta", clock=node.clock, node_id="beta", display_name="Beta") as beta:
        node.post("/mesh/peers/connect", {"base_url": beta.url})
        node.post("/mesh/routes/probe", {"peer_id": "beta"})
        told = status(node)
        assert (told["mesh_quality"]["status"], told["setup"]["status"]) == ("strong", "ready")
        assert told["setup"]["primary_peer"]["peer_id"] == "beta" and told["route_health"]["healthy"] == 1
        assert [role["role"] for role in told["setup"]["device_roles"]] == ["local_command", "route_verified"]
        assert [target["role"] for target in told["execution_readiness"]["targets"]] == ["local", "remote"]
    node.post("/mesh/routes/probe", {"peer_id": "beta", "timeout": 1})
    told = status(node)
    assert (told["mesh_quality"]["status"], told["setup"]["blocker_code"]) == ("attention", "firewall_suspected")
    assert len(told["route_health"]["routes"][0]["candidates"]) == 1


def test_a_server_that_took_a_peers_address_is_told_as_another_identity(tmp_path: Path, node: TrialNode) -> None:
    with TrialNode(tmp_path / "gamma", clock=node.clock, node_id="gamma") as gamma:
        TrialPeer("beta").shakes_hands(node, endpoint_url=gamma.url)
        node.post("/mesh/routes/probe", {"peer_id": "beta"})
        assert status(node)["setup"]["blocker_code"] == "identity_changed"


def test_a_waiting_decision_is_told(node: TrialNode) -> None:
    def ask(connection: Any) -> None:
        node.rooms["mesh.approvals"].request(connection, {"title": "May it?", "action_type": "x",
                                                          "metadata": {"candidate_peer_id": "beta"}})
    node.core.writer.run(ask)
    told = status(node)
    assert (told["approvals"]["pending_count"], told["approvals"]["items"][0]["title"]) == (1, "May it?")
    assert told["setup"]["status"] == "needs_attention" and {"beta", "alpha"} == {each["peer_id"]
                                                                                  for each in told["setup"]["device_roles"]}
    assert any("approval" in action for action in told["next_actions"])


def test_the_workers_of_this_node_are_told(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=2) as node:
        told = node.until(lambda: (ready := status(node)["execution_readiness"])["status"] == "ready" and ready, "the pool")
        assert told["local"]["ready_worker_count"] >= 1 and told["worker_capacity"][0]["available_slots"] >= 1
        assert told["targets"][0]["status"] == "ready"


def test_a_status_of_hundreds_of_peers_stays_small(node: TrialNode) -> None:
    route = {"base_url": "http://" + "y" * 1900, "source": "history", "status": "unreachable", "last_error": "x" * 300,
             "operator_hint": "z" * 300, "failure_count": 3}
    workers = [{"id": f"w{number}", "status": "active", "capabilities": ["c" * 64] * 16, "max_concurrent_jobs": 9}
               for number in range(50)]
    crowd(node, 120, route_candidates=[route] * 8, route_health={"status": "unreachable", "last_error": "x" * 300},
          remote_workers=workers)
    told = status(node)
    assert told["setup"]["known_peer_count"] == 120 and told["route_health"]["count"] == 50
    assert len(node.get("/mesh/autonomy/status").body) < 65_536
    assert len(json.dumps(sample(node)["payload"])) < 9_000


def test_a_part_that_fails_leaves_the_rest(node: TrialNode) -> None:
    def broken() -> Any:
        raise RuntimeError("a fault of another room")
    for name in ("approvals", "artifacts", "missions", "workers"):
        node.rooms["mesh.app"].parts.part(name, broken)
    assert status(node)["approvals"]["pending_count"] == 0


# --- samples ----------------------------------------------------------------------------------------------------------

def test_a_sample_holds_the_numbers_and_a_small_summary(node: TrialNode) -> None:
    taken = sample(node, source="chart")
    assert (taken["mesh_score"], taken["setup_status"], taken["node_id"]) == (7, "local_only", "alpha")
    assert taken["payload"]["setup"]["token_status"] == "loopback_only" and len(json.dumps(taken["payload"])) <= 8_192
    (event,) = [each for each in events(node) if each["event_type"] == "mesh.app.history.sampled"]
    assert event["payload"] == {"mesh_score": 7, "setup_status": "local_only", "route_count": 0, "healthy_route_count": 0,
                                "source": "chart"}
    assert history(node)["samples"] == [taken]


def test_only_one_sample_is_taken_in_a_second(node: TrialNode) -> None:
    sample(node)
    again = node.post("/mesh/app/history/sample")
    assert (again.status, again.json["code"], again.headers["retry-after"]) == (429, "rate_limited", "1")
    node.advance(1)
    assert node.post("/mesh/app/history/sample").status == 200 and history(node)["count"] == 2


def test_of_many_who_ask_at_once_one_gets_a_sample(node: TrialNode) -> None:
    from ocp_node.http.lanes import gather
    found = gather([lambda: node.post("/mesh/app/history/sample").status for _ in range(12)], 12, 20.0)
    assert sorted(found) == [200] + [429] * 11 and history(node)["count"] == 1


@pytest.mark.parametrize("query, limit, count", [("", 240, 5), ("?limit=0", 240, 5), ("?limit=-5", 1, 1),
                                                 ("?limit=99999", 1000, 5), ("?limit=3", 3, 3)])
def test_history_is_the_newest_samples_oldest_first(node: TrialNode, query: str, limit: int, count: int) -> None:
    taken = [sample(node)["id"] for _ in range(5)]
    told = history(node, query)
    assert (told["limit"], told["count"], [each["id"] for each in told["samples"]]) == (limit, count, taken[-count:])


def test_a_limit_that_is_no_number_is_refused(node: TrialNode) -> None:
    assert node.get("/mesh/app/history?limit=x").status == 400


def test_a_source_of_the_wrong_type_is_refused_in_the_words_of_the_contract(node: TrialNode) -> None:
    answer = node.post("/mesh/app/history/sample", {"source": 5})
    assert answer.status == 400 and answer.json["protocol_validation"]["schema_ref"] == "AppHistorySampleRequest"


def test_the_oldest_samples_go(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SAMPLES_KEPT", 3)
    taken = [sample(node)["id"] for _ in range(6)]
    assert [each["id"] for each in history(node)["samples"]] == taken[-3:]


def test_samples_survive_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        taken = sample(node)
    with TrialNode(tmp_path) as node:
        assert history(node)["samples"] == [taken]


def test_strangers_read_and_do_not_sample(node: TrialNode) -> None:
    assert status(node, FROM_LAN)["node"]["node_id"] == "alpha"
    assert node.post("/mesh/app/history/sample", {}, FROM_LAN).status == 401
