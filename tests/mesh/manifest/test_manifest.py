"""What a node says of itself (OCP 0.1 manifest)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocp_node.contract.dialect_schema import validate
from ocp_node.contract.published import published
from ocp_node.mesh.manifest import rules
from ocp_node.mesh.manifest.room import found
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits
from tests.support.vectors import load

CAPTURED: dict[str, Any] = next(item for item in load("ocp/transcripts", "runtime")
                                if item["case"] == "fresh node")["response"]["body"]


def test_a_fresh_node_says_what_the_captured_one_said(tmp_path: Path) -> None:
    with TrialNode(tmp_path, node_id="alpha-node", display_name="Alpha", enable_docker="on", enable_wasm="off") as node:
        manifest = fits("mesh.manifest.show", node.get("/mesh/manifest").json)
        assert list(manifest) == list(CAPTURED) and not validate(manifest, "MeshManifest", published().schemas)
        free = {"organism_card", "agent_presence"}
        assert {name: manifest[name] for name in CAPTURED if name not in free} == {name: CAPTURED[name]
                                                                                   for name in CAPTURED if name not in free}
        card, captured = manifest["organism_card"], CAPTURED["organism_card"]
        assert list(card) == list(captured) and not validate(card, "PeerCard", published().schemas)
        own = {"public_key", "endpoint_url", "stream_url", "capability_cards"}
        assert {name: card[name] for name in captured if name not in own} == {name: captured[name] for name in captured
                                                                              if name not in own}
        assert [{**shown, "description": ""} for shown in card["capability_cards"]] == [
            {**shown, "description": ""} for shown in captured["capability_cards"]]


@pytest.mark.parametrize("configured, shown", [
    ("http://0.0.0.0:9999", "http://127.0.0.1:9999"), ("https://[::]:9999/mesh-one", "https://127.0.0.1:9999/mesh-one"),
    ("http://0.0.0.0", "http://127.0.0.1"), ("https://mesh.example/one", "https://mesh.example/one"),
    ("http://0.0.0.0.example:1", "http://0.0.0.0.example:1"), ("http://[2001:db8::1]:1", "http://[2001:db8::1]:1")])
def test_a_base_url_that_leads_nowhere_has_the_host_that_the_node_listens_on(tmp_path: Path, configured: str, shown: str) -> None:
    with TrialNode(tmp_path, base_url=configured) as node:
        card = node.get("/mesh/manifest").json["organism_card"]
        assert (card["endpoint_url"], card["stream_url"]) == (shown, f"{shown}/mesh/stream")


def test_the_card_says_where_the_node_is_and_which_key_it_has(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        card = node.get("/mesh/manifest").json["organism_card"]
        assert (card["endpoint_url"], card["stream_url"]) == (node.url, f"{node.url}/mesh/stream")
        assert card["public_key"] == node.core.identity.public_key_hex and card["trust_tier"] == "self"
        assert node.rooms["mesh.manifest"].card("partner")["trust_tier"] == "partner"


def test_everybody_gets_the_same_bytes_until_something_changes(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), read_auth="token", operator_token="the-token-of-this-node") as node:
        built: list[int] = []
        room = node.rooms["mesh.manifest"]
        made = room._made
        room._made = lambda: (built.append(1), made())[1]
        answers = [node.get("/mesh/manifest", headers) for headers in (None, FROM_LAN, {"X-OCP-Operator-Token": "x"}, None)]
        assert len({answer.body for answer in answers}) == 1 and len(built) == 1
        again = node.get("/mesh/manifest", {"If-None-Match": answers[0].headers["etag"]})
        assert again.status == 304
        node.post("/mesh/device-profile", {"device_profile": {"form_factor": "server"}},
                  {"X-OCP-Operator-Token": "the-token-of-this-node"})
        changed = node.get("/mesh/manifest", {"If-None-Match": answers[0].headers["etag"]})
        assert changed.status == 200 and changed.json["device_profile"]["form_factor"] == "server"


@pytest.mark.parametrize("setting, path, there", [("on", "", True), ("off", "tools", False), ("auto", "tools", True),
                                                  ("auto", "", False)])
def test_a_lane_is_offered_when_it_is_switched_on_or_its_program_is_there(tmp_path: Path, setting: str, path: str,
                                                                          there: bool) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "docker").write_text("#!/bin/sh\n")
    (tools / "docker").chmod(0o755)
    environment = {"PATH": str(tools) if path else str(tmp_path)}
    with TrialNode(tmp_path / "data", environment=environment, enable_docker=setting) as node:
        names = node.rooms["mesh.manifest"].available_names()
        assert ("docker" in names) is there and "golem-provider" not in names and "python" in names


def test_a_program_is_found_by_its_path_too(tmp_path: Path) -> None:
    program = tmp_path / "wasmtime"
    program.write_text("")
    assert not found(str(program), "")
    program.chmod(0o755)
    assert found(str(program), "") and found("wasmtime", f":{tmp_path}:") and not found("",
                                                                                        str(tmp_path)) and not found("wasmtime", "/nowhere")


@pytest.mark.parametrize("completed, failed, retried, rate, score", [
    (0, 0, 0, None, 0), (10, 0, 0, 1.0, 80), (0, 10, 0, 0.0, -80), (5, 5, 0, 0.5, 0), (3, 1, 2, 0.75, 32), (10, 0, 99, 1.0, 60),
    (0, 10, 5, 0.0, -100),
])
def test_how_well_work_has_ended_is_a_score(completed: int, failed: int, retried: int, rate: float | None, score: int) -> None:
    told = rules.reliability("local_jobs", completed, failed, retried)
    assert (told["success_rate"], told["score"], told["total"]) == (rate, score, completed + failed)
