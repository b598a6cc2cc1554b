"""What a running node tells of its addresses, and to whom (OCP 0.1 connectivity)."""

from __future__ import annotations

from pathlib import Path

from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

PATH = "/mesh/connectivity/diagnostics"
TOKEN = "the-operator-token-of-this-node"


def test_a_node_on_loopback_says_that_only_this_device_reaches_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ("192.0.2.10", "2001:db8::1")
        told = fits("mesh.connectivity.diagnostics", node.get(PATH).json)
        assert (told["base_url"], told["bind_host"], told["port"]) == (node.url, "127.0.0.1", node.port)
        assert (told["local_ipv4"], told["lan_urls"], told["share_url"]) == (["192.0.2.10"], [], node.url)
        assert told["sharing_mode"] == "local" and "OCP_HOST" in told["share_advice"]
        assert len(told["scan_urls"]) == 24 and told["scan_urls"][0] == f"http://192.0.2.9:{node.port}"
        assert told["recent_errors"] == []


def test_a_node_on_every_address_is_shared_at_its_first(tmp_path: Path) -> None:
    with TrialNode(tmp_path, host="0.0.0.0") as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ("192.0.2.10", "192.0.2.20")
        told = node.get(PATH).json
        assert told["lan_urls"] == [f"http://192.0.2.10:{node.port}", f"http://192.0.2.20:{node.port}"]
        assert (told["share_url"], told["sharing_mode"], told["share_advice"]) == (told["lan_urls"][0], "lan", "")


def test_where_a_scan_looks_and_what_failed_is_for_operators_alone(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), operator_token=TOKEN) as node:
        node.rooms["mesh.connectivity"].addresses = lambda: ("192.0.2.10",)
        node.post("/mesh/discovery/seek", {"base_urls": ["http://127.0.0.1:9"], "timeout": 1}, {"X-OCP-Operator-Token": TOKEN})
        stranger = fits("mesh.connectivity.diagnostics", node.get(PATH, FROM_LAN).json)
        assert stranger["scan_urls"] == [] and stranger["recent_errors"] == []
        operator = node.get(PATH, {**FROM_LAN, "X-OCP-Operator-Token": TOKEN}).json
        assert operator["scan_urls"][0] == "http://127.0.0.1:9" == operator["recent_errors"][0]["base_url"]
        assert node.get(PATH).json == operator                           # loopback sees as much


def test_at_most_four_recent_errors_are_told(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        node.post("/mesh/discovery/seek", {"base_urls": [f"http://127.0.0.1:{port}" for port in range(2, 8)], "timeout": 1})
        errors = node.get(PATH).json["recent_errors"]
        assert len(errors) == 4 and all("refused the connection" in each["error"] and each["last_error_at"] for each in errors)


def test_the_machines_addresses_are_looked_up_again_after_a_while(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        asked: list[int] = []

        def addresses() -> tuple[str, ...]:
            asked.append(1)
            return (f"192.0.2.{len(asked)}",)

        node.rooms["mesh.connectivity"].addresses = addresses
        assert [node.get(PATH).json["local_ipv4"] for _ in range(3)] == [["192.0.2.1"]] * 3
        node.advance(5)
        assert node.get(PATH).json["local_ipv4"] == ["192.0.2.2"]
