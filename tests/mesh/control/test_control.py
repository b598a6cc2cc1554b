"""The control deck's stream: frames, cursors, keepalives, and what it costs (OCP 0.1 control stream)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from ocp_node.mesh.control import rules
from ocp_node.mesh.following import ROUNDS_AT_ONCE
from tests.support.listeners import SseListener
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.vectors import load

ROUTE = "/mesh/control/stream"


def happen(node: TrialNode, count: int = 1, start: int = 0) -> None:
    for number in range(start, start + count):
        assert node.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"}).status == 200


def listening(node: TrialNode, count: int = 1) -> None:
    """So many listeners follow the log: what was sent to them at once may be read a moment before."""
    node.until(lambda: len(node.rooms["mesh.control"].following) == count, "the listeners")


@pytest.mark.parametrize("since, header, newest, start", [
    (0, "", 7, 7), (-5, "", 7, 7), (3, "", 7, 3), (3, "5", 7, 5), (5, "3", 7, 5), (0, "x", 7, 7), (0, "4.5", 7, 7),
    (0, " 4 ", 7, 4),
    (99, "", 7, 7), (3, "99", 7, 7), (7, "", 7, 7), (0, "", 0, 0), (0, "9" * 30, 7, 7),
])
def test_where_the_stream_begins(since: int, header: str, newest: int, start: int) -> None:
    assert rules.start(since, header, newest) == start


@pytest.mark.parametrize("word, ends", [("1", True), ("TRUE", True), ("yes", True), ("", False), ("no", False), ("on", False)])
def test_which_words_end_it_after_the_first_state(word: str, ends: bool) -> None:
    assert rules.once(word) is ends


@pytest.mark.parametrize("asked, given", [(10, 10), (0, 2), (-1, 2), (1.5, 2), (9999, 300)])
def test_keepalives_come_neither_too_often_nor_never(asked: float, given: float) -> None:
    assert rules.silence(asked) == given


def test_it_opens_then_tells_the_state_then_what_happens(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 2)
        with SseListener(node, ROUTE) as deck:
            assert deck.status == 200 and "text/event-stream" in deck.head and "X-Accel-Buffering: no" in deck.head
            assert "Connection: keep-alive" in deck.head and "Connection: close" not in deck.head
            assert deck.block().splitlines()[0] == "retry: 2500"
            name, cursor, data = deck.event()
            assert (name, cursor, data["type"], data["cursor"], data["events"]) == ("control-state", 2, "control_state", 2, [])
            assert data["state"]["control_stream"] == {"route": ROUTE, "cursor": 2, "transport": "sse",
                                                       "fallback_refresh_seconds": 60,
                                                       "recent_event_count": 0}
            listening(node)
            node.advance(1)
            happen(node, 1, start=2)
            name, cursor, data = deck.event()
            assert (name, cursor, [event["seq"] for event in data["events"]]) == ("control-state", 3, [3])
            assert data["state"]["control_stream"]["recent_event_count"] == 1


def test_every_frame_is_described(tmp_path: Path) -> None:
    from ocp_node.base.records import decode
    from ocp_node.mesh.control import records
    from tests.support.replies import gaps
    with TrialNode(tmp_path) as node:
        happen(node)
        TrialPeer("friend").shakes_hands(node)
        with SseListener(node, f"{ROUTE}?since=1") as deck:
            _, _, opened = deck.event()
            _, _, told = deck.event()
            decode(records.Opened, opened)
            decode(records.StateMessage, told)
            assert not list(gaps(records.StateMessage, told, "$"))
            assert told["peer_advisories"]["counts"] == {"connected": 1, "discovered": 0, "connected_full": 1,
                                                         "discovered_full": 0}


def test_the_empty_state_has_every_part_of_the_captured_one(tmp_path: Path) -> None:
    captured = next(item for item in load("ocp/transcripts", "runtime")
                    if item["case"].startswith("once=1 from the newest event"))
    frame = next(line for line in captured["response"]["body"].splitlines() if line.startswith('data: {"type"'))
    wanted = json.loads(frame[6:])["state"]
    with TrialNode(tmp_path) as node, SseListener(node, f"{ROUTE}?once=1") as deck:
        assert "Connection: close" in deck.head
        deck.event()
        state = deck.event()[2]["state"]
        for name, part in wanted.items():
            assert type(state[name]) is type(part), name
            if isinstance(part, dict):
                assert part.keys() <= state[name].keys(), (name, part.keys() - state[name].keys())


@pytest.mark.parametrize("query, headers, opened, cursor, seqs", [
    ("?once=1", {}, 5, 5, []), ("?once=1&since=2&limit=2", {}, 2, 4, [3, 4]),
    ("?once=1&since=1&limit=1", {"Last-Event-ID": "3"}, 3, 4, [4]),
    ("?once=1&since=9999", {}, 5, 5, []), ("?once=1&since=1&limit=0", {}, 1, 2, [2]),
    ("?once=true&since=4", {"Last-Event-ID": "junk"}, 4, 5, [5]),
])
def test_a_cursor_leads_into_the_stream(tmp_path: Path, query: str, headers: dict[str, str], opened: int, cursor: int,
                                        seqs: list[int]) -> None:
    with TrialNode(tmp_path) as node:
        happen(node, 5)
        with SseListener(node, ROUTE + query, headers) as deck:
            assert deck.event()[:2] == ("stream-open", opened)
            _, at, data = deck.event()
            assert (at, [event["seq"] for event in data["events"]]) == (cursor, seqs)
            with pytest.raises(EOFError):
                deck.event()


@pytest.mark.parametrize("query, text", [("?since=abc", "since must be an integer"), ("?limit=x", "limit must be an integer"),
                                         ("?heartbeat=often", "heartbeat must be a number")])
def test_what_is_no_number_is_refused_before_the_stream_begins(tmp_path: Path, query: str, text: str) -> None:
    with TrialNode(tmp_path) as node:
        answer = node.get(ROUTE + query)
        assert (answer.status, answer.json["error"], answer.headers["content-type"]) == (400, text, "application/json")


def test_who_reconnects_with_its_last_id_misses_nothing(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        with SseListener(node, ROUTE) as deck:
            deck.event()
            deck.event()
            listening(node)
            happen(node, 1)
            node.advance(1)
            last = deck.event()[1]
        happen(node, 7, start=1)
        with SseListener(node, f"{ROUTE}?limit=3", {"Last-Event-ID": str(last)}) as deck:
            heard: list[int] = []
            while len(heard) < 7:
                name, _, data = deck.event()
                heard += [event["seq"] for event in data.get("events", ())]
                node.advance(1)
            assert heard == list(range(last + 1, last + 8))


def test_silence_is_broken_by_keepalives(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, SseListener(node, f"{ROUTE}?heartbeat=3") as deck:
        deck.event()
        deck.event()
        listening(node)
        for _ in range(3):
            node.advance(3.1)
            assert deck.block() == ": keepalive\n"
        happen(node)
        assert deck.event()[0] == "control-state"


def test_who_bears_little_silence_hears_in_time_though_another_listener_bears_much(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, SseListener(node, f"{ROUTE}?heartbeat=300") as patient:
        for _ in range(2):
            patient.event()
        listening(node)
        with SseListener(node, f"{ROUTE}?heartbeat=3") as deck:
            for _ in range(2):
                deck.event()
            listening(node, 2)
            node.advance(3.1)
            assert deck.block() == ": keepalive\n"
            node.advance(297)
            assert patient.block() == ": keepalive\n"


def test_a_busy_log_is_told_in_groups(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, SseListener(node, ROUTE) as deck:
        deck.event()
        deck.event()
        listening(node)
        for number in range(ROUNDS_AT_ONCE):
            happen(node, 1, start=number)
            assert len(deck.event()[2]["events"]) == 1
        happen(node, 20, start=ROUNDS_AT_ONCE)           # too many at once: nothing yet
        node.advance(0.2)
        assert len(deck.event()[2]["events"]) == 20


def test_a_hundred_listeners_cost_one_state_and_one_query_for_an_event(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, contextlib.ExitStack() as stack:
        decks = [stack.enter_context(SseListener(node, ROUTE)) for _ in range(100)]
        for deck in decks:
            deck.event()
            deck.event()
        listening(node, 100)
        room = node.rooms["mesh.control"]
        built: list[bool] = []
        read: list[object] = []
        state, since = room.state, node.core.feed.since
        room.state = lambda trusted: (built.append(trusted), state(trusted))[1]
        node.core.feed.since = lambda *arguments: (read.append(arguments), since(*arguments))[1]
        node.advance(1)
        happen(node)
        assert {deck.event()[1] for deck in decks} == {1}
        assert built == [True] and len(read) == 1 and len(room.following._groups) == 1


def test_strangers_see_the_redacted_state(tmp_path: Path) -> None:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        room = node.rooms["mesh.control"]
        room.part("jobs", lambda: {"j": {"id": "j", "payload_inline": "hush-hush",
                                         "spec": {"execution": {"inline_code": "hush-hush", "kind": "python"}},
                                         "lease": {"lock_token": "hush-hush", "id": "l"}}})
        room.part("connectivity", lambda: {"status": "ok", "scan_urls": ["hush-hush"]}, lambda: {"status": "ok", "scan_urls": []})
        node.core.writer.run(lambda connection: connection.event("mesh.job.queued", payload={"payload_inline": "hush-hush"}))
        with SseListener(node, f"{ROUTE}?once=1&since=0", FROM_LAN) as deck, SseListener(node, f"{ROUTE}?once=1") as own:
            deck.event()
            shown = deck.event()[2]
            assert "hush-hush" not in json.dumps(shown)
            assert shown["state"]["jobs"] == {"j": {"id": "j", "spec": {"execution": {"kind": "python"}}, "lease": {"id": "l"}}}
            own.event()
            assert own.event()[2]["state"]["jobs"]["j"]["payload_inline"] == "hush-hush"


def test_work_that_waits_is_shown_with_its_jobs(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        node.post("/mesh/workers/register", {"worker_id": "w1", "capabilities": ["python"]})
        job = {"kind": "shell.command", "dispatch_mode": "queued", "payload": {"command": ["true"]}}
        job_id = node.post("/mesh/jobs/submit", {"job": job}).json["job"]["id"]
        with SseListener(node, f"{ROUTE}?once=1") as deck:
            deck.event()
            state = deck.event()[2]["state"]
            assert [worker["id"] for worker in state["workers"]["workers"]] == ["w1"]
            assert [message["job_id"] for message in state["queue"]["messages"]] == [job_id] == list(state["jobs"])
            assert state["queue_metrics"]["counts"]["queued"] == 1 == state["manifest"]["queue_metrics"]["counts"]["queued"]


def test_a_failing_part_is_empty_and_the_stream_goes_on(tmp_path: Path) -> None:
    def broken() -> Any:
        raise RuntimeError("part is broken")

    with TrialNode(tmp_path) as node:
        node.rooms["mesh.control"].part("missions", broken)
        with SseListener(node, f"{ROUTE}?once=1") as deck:
            deck.event()
            assert deck.event()[2]["state"]["missions"] == {"peer_id": "trial-node", "count": 0, "missions": []}


def test_a_listener_that_leaves_is_forgotten(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        following = node.rooms["mesh.control"].following
        with SseListener(node, ROUTE) as deck:
            deck.event()
            deck.event()
            listening(node)
        node.until(lambda: len(following) == 0 and not following._groups, "the listener to be forgotten")


def test_the_stream_ends_when_the_node_does(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        deck = SseListener(node, ROUTE)
        deck.event()
        deck.event()
    with pytest.raises(EOFError):
        deck.event()
    deck.close()
