"""The device profile of a running node: merged, stored with its event, copied to its file, the same after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits


def test_an_update_is_stored_told_and_survives_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        fits("mesh.device_profile.show", node.get("/mesh/device-profile").json)
        answer = node.post("/mesh/device-profile", {"device_profile": {"form_factor": "laptop", "accepts_remote_jobs": False}})
        assert fits("mesh.device_profile.update", answer.json)["device_profile"]["form_factor"] == "laptop"
        (event,) = node.get("/mesh/stream").json["events"]
        assert event["event_type"] == "mesh.device_profile.updated" and event["payload"]["members"] == ["accepts_remote_jobs",
                                                                                                        "form_factor"]
        assert node.get("/mesh/manifest").json["organism_card"]["device_profile"]["form_factor"] == "laptop"
        shown = node.get("/mesh/device-profile").json["device_profile"]
        path = tmp_path / "identity" / "device_profile.json"
        node.until(lambda: path.exists() and json.loads(path.read_text()) == shown, "the copy for people")
        assert path.stat().st_mode & 0o077 == 0
    with TrialNode(tmp_path) as node:
        assert node.get("/mesh/device-profile").json["device_profile"] == shown


def test_two_updates_at_once_both_count(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        room, writer = node.rooms["mesh.device_profile"], node.core.writer

        def both(connection: object) -> None:
            room.change(connection, {"form_factor": "laptop"})
            room.change(connection, {"mobility": "portable"})

        writer.run(both)
        profile = node.get("/mesh/device-profile").json["device_profile"]
        assert (profile["form_factor"], profile["mobility"]) == ("laptop", "portable")


def test_the_command_line_wins_at_start_and_gives_way_to_a_later_update(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        node.post("/mesh/device-profile", {"device_profile": {"form_factor": "laptop"}})
    with TrialNode(tmp_path, form_factor="server") as node:
        assert node.get("/mesh/device-profile").json["device_profile"]["form_factor"] == "server"
        node.post("/mesh/device-profile", {"device_profile": {"form_factor": "edge"}})
        assert node.get("/mesh/device-profile").json["device_profile"]["form_factor"] == "edge"


def test_a_file_that_another_program_left_is_taken_over_once(tmp_path: Path) -> None:
    from ocp_node.mesh.device_profile import rules
    (tmp_path / "identity").mkdir(mode=0o700)
    path = tmp_path / "identity" / "device_profile.json"
    path.write_text(json.dumps(rules.normalised({"device_class": "relay"})))
    with TrialNode(tmp_path) as node:
        assert node.get("/mesh/device-profile").json["device_profile"]["device_class"] == "relay"


@pytest.mark.parametrize("text", ["{", "[1]", "\x00", '"x"'])
def test_a_damaged_file_is_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "identity").mkdir(mode=0o700)
    (tmp_path / "identity" / "device_profile.json").write_text(text)
    with TrialNode(tmp_path) as node:
        assert node.get("/mesh/device-profile").json["device_profile"]["device_class"] == "full"


@pytest.mark.parametrize("body, text", [
    ({"device_profile": []}, "device_profile must be an object"), ({"device_profile": {"roles": 5}},
                                                                   "roles must be a list of strings"),
])
def test_what_is_no_profile_is_refused_and_changes_nothing(tmp_path: Path, body: object, text: str) -> None:
    with TrialNode(tmp_path) as node:
        before = node.get("/mesh/device-profile").json
        answer = node.post("/mesh/device-profile", body)
        assert (answer.status, answer.json["error"], answer.json["code"]) == (400, text, "invalid_request")
        assert node.get("/mesh/device-profile").json == before and node.get("/mesh/stream").json["events"] == []


def test_only_operators_change_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        assert node.post("/mesh/device-profile", {}, FROM_LAN).status == 401
        assert node.get("/mesh/device-profile", FROM_LAN).status == 200
