"""The event log, page by page and as it grows (OCP 0.1 event log; RFC 6455)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ocp_node.http import websocket
from tests.support.listeners import WebSocketListener
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits


def happen(node: TrialNode, count: int = 1, start: int = 0) -> None:
    for number in range(start, start + count):
        assert node.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"}).status == 200


def listening(node: TrialNode, count: int = 1) -> None:
    """So many listeners follow the log: the snapshot may be read a moment before."""
    node.until(lambda: len(node.rooms["mesh.stream"].following) == count, "the listeners")


def read(node: TrialNode, query: str = "", headers: dict[str, str] | None = None) -> dict[str, Any]:
    return node.get(f"/mesh/stream{query}", headers).json


@pytest.mark.parametrize("query, seqs, cursor", [
    ("", [1, 2, 3, 4, 5], 5), ("?limit=2", [1, 2], 2), ("?since=2&limit=2", [3, 4], 4), ("?since=5", [], 5),
    ("?since=99999", [], 99999),
    ("?since=-3&limit=1", [1], 1), ("?since=-3&limit=1&since=4", [1], 1), ("?limit=0", [1], 1), ("?limit=-1", [1], 1),
    ("?since=&limit=", [1, 2, 3, 4, 5], 5),
])
def test_a_cursor_leads_through_the_log(tmp_path: Path, query: str, seqs: list[int], cursor: int) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 5)
        page = fits("mesh.stream.read", read(node, query))
        assert ([event["seq"] for event in page["events"]], page["next_cursor"], page["latest_seq"]) == (seqs, cursor, 5)


def test_a_cursor_below_the_start_echoes_when_nothing_follows(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        assert read(node, "?since=-7")["next_cursor"] == -7 and read(node)["next_cursor"] == 0


@pytest.mark.parametrize("query, text", [("?since=abc", "since must be an integer"), ("?limit=1.5", "limit must be an integer")])
def test_a_cursor_that_is_no_number_is_refused(tmp_path: Path, query: str, text: str) -> None:
    with TrialNode(tmp_path) as node:
        answer = node.get(f"/mesh/stream{query}")
        assert (answer.status, answer.json["error"]) == (400, text)


def test_a_log_has_a_name_that_stays(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        name = read(node)["log_id"]
    with TrialNode(tmp_path) as node:
        assert read(node)["log_id"] == name and len(name) == 32


def test_who_is_neither_here_nor_an_operator_sees_no_peers_and_no_secrets(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        TrialPeer("friend").shakes_hands(node)

        def change(connection: Any) -> None:
            connection.event("mesh.job.queued", payload={"job": {"payload_inline": "secret",
                                                                 "spec": {"execution": {"command": "rm", "kind": "x"}},
                                                                 "result": {"path": "/home/me/x", "id": "a"}}})

        node.core.writer.run(change)
        here, there = read(node), fits("mesh.stream.read", read(node, headers=FROM_LAN))
        assert len(here["peers"]) == 1 and there["peers"] == []
        assert here["events"][1]["payload"]["job"]["payload_inline"] == "secret"
        assert there["events"][1]["payload"] == {"job": {"spec": {"execution": {"kind": "x"}}, "result": {"id": "a"}}}


# --- as it grows ---------------------------------------------------------------------------------------------------

def test_a_websocket_begins_with_the_very_snapshot_and_goes_on(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 3)
        with WebSocketListener(node, "/mesh/stream?since=1&limit=2") as listener:
            assert listener.status == 101 and "Sec-WebSocket-Accept" in listener.head
            assert listener.message() == read(node, "?since=1&limit=2")
            listening(node)
            node.advance(1)
            happen(node, 1, start=3)
            assert [event["seq"] for event in listener.message()["events"]] == [4]


def test_a_listener_hears_every_event_once_in_messages_of_its_size(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        with WebSocketListener(node, "/mesh/stream?limit=4") as listener, WebSocketListener(node,
                                                                                            "/mesh/stream?limit=3") as other:
            listener.message()
            other.message()
            listening(node, 2)
            node.core.writer.run(lambda connection: [connection.event("mesh.test", payload={"n": number})
                                                     for number in range(10)])
            for hearing, size in ((listener, 4), (other, 3)):
                heard: list[int] = []
                while len(heard) < 10:
                    node.advance(0.1)
                    message = hearing.message()
                    assert set(message) == {"events", "next_cursor", "generated_at"} and len(message["events"]) <= size
                    heard += [event["payload"]["n"] for event in message["events"]]
                assert heard == list(range(10))


def test_a_listener_that_comes_late_catches_up_without_loss(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 12)
        with WebSocketListener(node, "/mesh/stream?since=0&limit=5") as listener:
            heard = [event["seq"] for event in listener.message()["events"]]
            while len(heard) < 12:
                node.advance(0.1)
                heard += [event["seq"] for event in listener.message()["events"]]
            assert heard == list(range(1, 13))
            assert len(node.rooms["mesh.stream"].following) == 1


def test_a_cursor_of_another_log_begins_at_the_newest_event(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 2)
        with WebSocketListener(node, "/mesh/stream?since=999") as listener:
            assert listener.message()["next_cursor"] == 999
            listening(node)
            node.advance(1)
            happen(node, 1, start=2)
            assert [event["seq"] for event in listener.message()["events"]] == [3]


def test_a_listener_is_pinged_and_let_go_when_it_is_silent(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, WebSocketListener(node, "/mesh/stream") as listener:
        listener.message()
        listening(node)
        node.advance(31)
        assert isinstance(listener.message(), websocket.Ping)
        node.until(lambda: node.advance(31) or len(node.rooms["mesh.stream"].following) == 0, "the silent listener to be let go")


def test_what_a_listener_says_is_not_read_and_too_much_ends_it(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, WebSocketListener(node, "/mesh/stream") as listener:
        listener.message()
        listening(node)
        listener.send("hello")
        node.advance(1)
        happen(node)
        assert listener.message()["next_cursor"] == 1
        listener.send("x" * 5000)
        assert listener.message().code == 1009
        node.until(lambda: len(node.rooms["mesh.stream"].following) == 0, "the listener to be gone")


@pytest.mark.parametrize("headers, status, text", [
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400,
     "Sec-WebSocket-Key is required for websocket upgrade"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}, 426,
     "Sec-WebSocket-Version must be 13"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"}, 400,
     "Sec-WebSocket-Key must be 16 bytes in base64"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://evil.example"}, 403, "origin not allowed"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Fetch-Site": "cross-site"}, 403, "origin not allowed"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "Host": "evil.example"}, 403, "host not allowed"),
])
def test_an_upgrade_that_is_not_right_is_refused(tmp_path: Path, headers: dict[str, str], status: int, text: str) -> None:
    with TrialNode(tmp_path) as node:
        answer = node.get("/mesh/stream", headers)
        assert (answer.status, answer.json["error"]) == (status, text)


def test_streams_are_bounded(tmp_path: Path) -> None:
    with TrialNode(tmp_path, max_streams=1) as node, WebSocketListener(node, "/mesh/stream") as first:
        first.message()
        with WebSocketListener(node, "/mesh/stream") as second:
            assert second.status == 503 and "Retry-After" in second.head


def test_listeners_are_told_when_the_node_stops(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        listener = WebSocketListener(node, "/mesh/stream")
        listener.message()
    assert listener.message().code == 1001
    listener.close()
