"""Notifications of a running node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.notifications import room as notifications
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def publish(node: TrialNode, **wanted: Any) -> dict[str, Any]:
    answer = node.post("/mesh/notifications/publish", {"title": "t", **wanted})
    assert answer.status == 200, answer
    return fits("mesh.notifications.publish", answer.json)["notification"]


def titles(node: TrialNode, query: str = "") -> list[str]:
    body = fits("mesh.notifications.list", node.get(f"/mesh/notifications{query}").json)
    assert body["count"] == len(body["notifications"])
    return [each["title"] for each in body["notifications"]]


def events(node: TrialNode, kind: str) -> list[dict[str, Any]]:
    return [event for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def test_the_newest_comes_first_also_within_one_second(node: TrialNode) -> None:
    for number in range(4):
        publish(node, title=f"t{number}")
    assert titles(node) == ["t3", "t2", "t1", "t0"] and titles(node, "?limit=2") == ["t3", "t2"]
    assert titles(node, "?limit=0") == ["t3"] and titles(node, "?limit=-7") == ["t3"]
    assert titles(node, "?limit=") == ["t3", "t2", "t1", "t0"]


def test_targets_and_status_narrow_the_list(node: TrialNode) -> None:
    publish(node, title="all")
    publish(node, title="watch", target_peer_id="watch-node", target_agent_id="a")
    dealt_with = publish(node, title="done", target_peer_id="watch-node")
    node.post(f"/mesh/notifications/{dealt_with['id']}/ack", {"actor_peer_id": "watch-node"})
    assert titles(node, "?target_peer_id=watch-node") == ["done", "watch"]
    assert titles(node, "?target_agent_id=a") == ["watch"]
    assert titles(node, "?target_peer_id=watch-node&status=acked") == ["done"]
    assert titles(node, "?status=bogus") == ["watch", "all"]                     # an unknown word counts as unread
    assert titles(node, "?target_peer_id=nobody") == []


def test_an_acknowledgement_says_who_dealt_with_it(node: TrialNode) -> None:
    known = publish(node, target_peer_id="watch-node", metadata={"k": 1})
    answer = node.post(f"/mesh/notifications/{known['id']}/ack", {"actor_peer_id": "watch-node", "reason": "seen"})
    body = fits("mesh.notifications.acknowledge", answer.json)["notification"]
    assert body["status"] == "acked" and body["acked_at"] == node.clock.text()
    assert body["metadata"] == {"k": 1, "last_actor_peer_id": "watch-node", "last_actor_agent_id": "", "last_ack_reason": "seen"}
    again = node.post(f"/mesh/notifications/{known['id']}/ack", {"status": "unread"}).json["notification"]
    assert again["status"] == "unread" and again["acked_at"] == ""


def test_both_leave_events_for_the_target(node: TrialNode) -> None:
    known = publish(node, target_peer_id="watch-node", priority="HIGH")
    node.post(f"/mesh/notifications/{known['id']}/ack")
    (published,), (acked,) = events(node, "mesh.notification.published"), events(node, "mesh.notification.acked")
    assert published["peer_id"] == "watch-node" and published["payload"] == {
        "notification_id": known["id"], "notification_type": "info", "priority": "high", "target_peer_id": "watch-node"}
    assert acked["payload"] == {"notification_id": known["id"], "status": "acked"}


@pytest.mark.parametrize("path, body, status, error", [
    ("/mesh/notifications/nope/ack", {}, 404, "notification not found"),
    ("/mesh/notifications/nope/ack", {"status": "seen"}, 400, "unsupported notification status"),
    ("/mesh/notifications/publish", {}, 400, "notification title is required"),
    ("/mesh/notifications/publish", {"title": 1}, 400, "title must be a string"),
    ("/mesh/notifications/publish", {"title": "x", "metadata": "m"}, 400, "metadata must be an object"),
    ("/mesh/notifications/publish", {"title": "x", "target_device_classes": "full"}, 400,
     "target_device_classes must be an array"),
])
def test_refusals_have_the_words_of_the_protocol(node: TrialNode, path: str, body: dict[str, Any], status: int,
                                                 error: str) -> None:
    answer = node.post(path, body)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert titles(node) == []


def test_only_operators_publish_and_everybody_may_read(node: TrialNode) -> None:
    assert node.post("/mesh/notifications/publish", {"title": "x"}, FROM_LAN).status == 401
    publish(node, metadata={"path": "/etc/secret", "k": 1})
    (seen,) = node.get("/mesh/notifications", FROM_LAN).json["notifications"]
    assert seen["metadata"] == {"k": 1}


def test_orders_are_audited_where_only_the_operator_looks(node: TrialNode) -> None:
    known = publish(node)
    with node.core.reader.snapshot() as connection:
        audited = [event for event in node.core.feed.latest(connection, 10, "node") if event.event_type == "node.audit"]
    assert [(event.subject, event.payload["credential"], event.payload["address"]) for event in audited] == [
        (known["id"], "loopback", "127.0.0.1")]
    assert events(node, "node.audit") == []


def test_what_was_dealt_with_long_ago_is_forgotten(node: TrialNode) -> None:
    done, open_one = publish(node, title="done"), publish(node, title="open")
    node.post(f"/mesh/notifications/{done['id']}/ack")
    node.advance(notifications.KEPT_DAYS * 86_400 + 1)
    node.until(lambda: titles(node) == [open_one["title"]], "the sweep")


def test_the_table_stays_bounded(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "KEPT_MAX", 30)
    monkeypatch.setattr(notifications, "TRIM_EVERY", 10)
    for number in range(65):
        publish(node, title=f"t{number}")
        assert len(titles(node, "?limit=500")) <= 30
    assert titles(node, "?limit=1") == ["t64"]


def test_what_nobody_has_read_stays_longest(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "KEPT_MAX", 30)
    monkeypatch.setattr(notifications, "TRIM_EVERY", 10)
    publish(node, title="important")
    for number in range(60):
        done = publish(node, title=f"t{number}")
        node.post(f"/mesh/notifications/{done['id']}/ack")
    assert titles(node, "?status=unread") == ["important"] and len(titles(node, "?limit=500")) <= 30


def test_lists_of_a_full_table_use_their_indexes(node: TrialNode) -> None:
    queries: dict[str, tuple[str, ...]] = {
        "": (), "status = ?": ("unread",), "target_peer_id = ?": ("p",), "target_peer_id = ? AND status = ?": ("p", "unread"),
        "target_agent_id = ? AND target_agent_id <> ''": ("a",)}
    with node.core.reader.snapshot() as connection:
        for where, values in queries.items():
            plan = " ".join(row[3] for row in connection.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM mesh_notification WHERE {where or '1'} ORDER BY number DESC LIMIT 5", values))
            assert "TEMP B-TREE" not in plan and ("INDEX" in plan or not where), (where, plan)
