"""Treaties of a running node: kept, listed, audited, ended by time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock, instant_text
from ocp_node.mesh.treaties import room as treaties
from ocp_node.mesh.treaties import rules, table
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def propose(node: TrialNode, treaty_id: str = "", **wanted: Any) -> Members:
    answer = node.post("/mesh/treaties/propose", {"title": "t", "treaty_id": treaty_id, **wanted})
    assert answer.status == 200, answer
    return fits("mesh.treaties.propose", answer.json)["treaty"]


def ids(node: TrialNode, query: str = "") -> list[str]:
    body = fits("mesh.treaties.list", node.get(f"/mesh/treaties{query}").json)
    assert body["count"] == len(body["treaties"])
    return [each["id"] for each in body["treaties"]]


def audit(node: TrialNode, *required: str, **more: Any) -> Members:
    answer = node.post("/mesh/treaties/audit", {"treaty_requirements": list(required), **more})
    assert answer.status == 200, answer
    return fits("mesh.treaties.audit", answer.json)


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def in_seconds(node: TrialNode, seconds: float) -> str:
    return instant_text(node.clock.time() + seconds)


def test_a_proposal_without_others_is_in_force_at_once(node: TrialNode) -> None:
    treaty = propose(node, "treaty/storage-v1", parties=["trial-node", "TRIAL-node"], document={"artifact_export": "Sealed"})
    assert (treaty["status"], treaty["parties"], treaty["created_by_peer_id"]) == ("active", ["trial-node"], "trial-node")
    assert treaty["ratified_at"] == node.clock.text() and treaty["metadata"] == {}
    assert events(node, "mesh.treaty.proposed") == [{"treaty_id": treaty["id"], "status": "active", "treaty_type": "continuity"}]
    assert events(node, "mesh.treaty.ratified") == []


@pytest.mark.parametrize("path", ["treaty/storage-v1", "treaty%2Fstorage-v1", "TREATY/Storage-V1"])
def test_a_treaty_is_found_by_its_id_in_any_form(node: TrialNode, path: str) -> None:
    treaty = propose(node, "treaty/storage-v1")
    answer = node.get(f"/mesh/treaties/{path}")
    assert answer.status == 200 and fits("mesh.treaties.show", answer.json) == treaty


@pytest.mark.parametrize("path", ["nope", "treaty/nope", ""])
def test_an_unknown_treaty_is_not_found(node: TrialNode, path: str) -> None:
    answer = node.get(f"/mesh/treaties/{path}")
    assert (answer.status, answer.json["error"]) == (404, "treaty not found")


def test_one_id_in_two_cases_is_one_treaty(node: TrialNode) -> None:
    first = propose(node, "Treaty/Upper")
    second = propose(node, "treaty/upper", title="v2")
    assert second["id"] == first["id"] == "Treaty/Upper" and ids(node) == ["Treaty/Upper"]


def test_lists_show_the_latest_change_first_and_are_narrowed(node: TrialNode) -> None:
    for name, more in {"a": {}, "b": {"treaty_type": "Storage"}, "c": {"status": "suspended"}, "d": {"status": "zzz"}}.items():
        propose(node, name, **more)
    propose(node, "a", title="changed")
    assert ids(node) == ["a", "d", "c", "b"] and ids(node, "?limit=2") == ["a", "d"] and ids(node, "?limit=-1") == ["a"]
    assert ids(node, "?status=active") == ["a", "b"] and ids(node, "?treaty_type=STORAGE") == ["b"]
    assert ids(node, "?status=zzz") == ["d"] and ids(node, "?status=suspended&treaty_type=continuity") == ["c"]


def test_an_audit_tells_what_is_missing(node: TrialNode) -> None:
    propose(node, "Treaty/Custody")
    propose(node, "treaty/paused", status="suspended")
    good = audit(node, "treaty/custody", operation="continuity_export")
    assert (good["status"], good["operation"], good["validation"]["satisfied"]) == ("ok", "continuity_export", True)
    assert good["posture"]["counts_by_status"] == {"active": 1, "suspended": 1} and good["posture"]["count"] == 2
    assert good["posture"]["active_treaty_ids"] == ["Treaty/Custody"]
    assert [each["id"] for each in good["posture"]["recent"]] == ["treaty/paused", "Treaty/Custody"]
    bad = audit(node, "treaty/paused", "treaty/none")
    assert (bad["status"], bad["validation"]["missing"], bad["validation"]["inactive"]) == (
        "attention_needed", ["treaty/none"], ["treaty/paused"])
    assert audit(node)["status"] == "ok"


def test_an_audit_writes_nothing(node: TrialNode) -> None:
    propose(node, "a")
    before = node.core.writer.commits
    audit(node, "a", "b")
    assert node.core.writer.commits == before


@pytest.mark.parametrize("path, body, error", [
    ("propose", {}, "treaty title is required"), ("propose", {"title": "t", "document": "d"}, "document must be an object"),
    ("propose", {"title": "t", "parties": "abc"}, "parties must be an array"),
    ("propose", {"title": "t", "expires_at": "never"}, "expires_at must be an ISO-8601 timestamp"),
    ("audit", {"treaty_requirements": "treaty/a"}, "protocol validation failed"),
    ("audit", {"treaty_requirements": [1]}, "protocol validation failed"),
    ("audit", {"operation": 1}, "protocol validation failed"),
])
def test_refusals_have_the_words_of_the_protocol(node: TrialNode, path: str, body: Members, error: str) -> None:
    answer = node.post(f"/mesh/treaties/{path}", body)
    assert (answer.status, answer.json["error"]) == (400, error) and ids(node) == []


def test_only_operators_propose_and_audit(node: TrialNode) -> None:
    assert node.post("/mesh/treaties/propose", {"title": "t"}, FROM_LAN).status == 401
    assert node.post("/mesh/treaties/audit", {}, FROM_LAN).status == 401
    propose(node, "a", metadata={"path": "/etc/passwd", "k": 1})
    assert node.get("/mesh/treaties/a", FROM_LAN).json["metadata"] == {"k": 1}


# --- time

def test_a_treaty_past_its_end_satisfies_nothing_anywhere(node: TrialNode) -> None:
    propose(node, "a", expires_at=in_seconds(node, 60))
    assert node.get("/mesh/manifest").json["governance_summary"]["active_treaty_ids"] == ["a"]
    assert isinstance(node.clock, SetClock)
    node.clock.advance(61)                                     # the sweep sleeps on
    assert node.get("/mesh/treaties/a").json["status"] == "expired"
    assert ids(node, "?status=active") == [] and ids(node, "?status=expired") == ids(node, "?status=expired&limit=1") == ["a"]
    found = audit(node, "a")
    assert found["validation"]["inactive"] == ["a"] and found["posture"]["counts_by_status"] == {"expired": 1}
    assert found["posture"]["active_treaty_ids"] == []
    with node.core.reader.snapshot() as connection:
        assert not node.rooms["mesh.treaties"].active(connection, "a")


def test_the_end_is_written_down_and_told(node: TrialNode) -> None:
    propose(node, "a", expires_at=in_seconds(node, 60))
    propose(node, "b", expires_at=in_seconds(node, 120))
    node.advance(61)
    node.until(lambda: events(node, "mesh.treaty.expired") == [{"treaty_id": "a"}], "the end of a")
    assert node.get("/mesh/manifest").json["governance_summary"]["active_treaty_ids"] == ["b"]
    node.advance(61)
    node.until(lambda: len(events(node, "mesh.treaty.expired")) == 2, "the end of b")
    assert propose(node, "a", expires_at=in_seconds(node, 60))["status"] == "active"


def test_the_manifest_shows_the_newest_five(node: TrialNode) -> None:
    for number in range(7):
        propose(node, f"t{number}")
    summary = node.get("/mesh/manifest").json["governance_summary"]
    assert summary["count"] == 7 and [each["id"] for each in summary["recent"]] == [f"t{number}" for number in range(6, 1, -1)]
    assert summary["active_treaty_ids"] == [f"t{number}" for number in range(6, 1, -1)]
    assert node.get("/mesh/manifest").json["organism_card"]["governance_summary"] == summary


# --- bounds

def test_the_register_is_bounded(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treaties, "KEPT_MAX", 2)
    propose(node, "a")
    propose(node, "b")
    assert node.post("/mesh/treaties/propose", {"title": "t", "treaty_id": "c"}).status == 503
    propose(node, "A", title="a change fits")


def test_nothing_costs_more_with_many_treaties(node: TrialNode) -> None:
    """The posture is worked out once per change; lists and look-ups touch what they show."""
    def fill(connection: Any) -> None:
        for number in range(2_000):
            treaty = rules.proposed({"title": "t"}, None, f"t{number}", "trial-node", "2026-01-01T00:00:00Z")
            table.put(connection, treaty._replace(expires_at="2099-01-01T00:00:00Z" if number % 2 else ""))

    room = node.rooms["mesh.treaties"]
    node.core.writer.run(fill)
    room._changed()
    assert room.posture()["count"] == 2_000
    with node.core.reader.snapshot() as connection:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(count, 100)
        try:
            room.posture()
            assert steps == 0
            for status in ("", "active", "expired", "draft"):
                table.latest(connection, 10, node.clock.text(), status)
                table.latest(connection, 10, node.clock.text(), status, "continuity")
            assert room.validate(connection, [f"t{number}" for number in range(10)])["satisfied"]
            assert table.due(connection, node.clock.text(), 10) == []
        finally:
            connection.set_progress_handler(None, 0)
        assert steps < 150, "thousands of steps of SQLite's machine, not thousands of rows"
