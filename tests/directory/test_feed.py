"""Streams of the feed, with listeners made by hand and a loop that runs when told."""

from __future__ import annotations

import json

import pytest

from ocp_node.base import settings
from ocp_node.base.errors import Refusal
from ocp_node.directory import rules
from ocp_node.directory.admission import Admission
from ocp_node.directory.feed import WAITING_BYTES_MAX, Feed
from ocp_node.directory.rules import Policy
from tests.support.adverts import NOON, Signer
from tests.support.store import Trial

EPOCH = "0123456789abcdef"
NODES = [Signer(number) for number in range(12)]


class Listener:
    """Takes everything, or nothing while `waiting` says so."""

    def __init__(self):
        self.data, self.waiting, self.closed = b"", 0, False

    def send(self, data):
        self.data += data

    def items(self):
        events = [dict(line.partition(b": ")[::2] for line in event.split(b"\n")) for event in self.data.split(b"\n\n")[:-1]]
        assert all(event[b"event"] == b"advertisement" for event in events)
        return [(event[b"id"].decode(), json.loads(event[b"data"])["sequence/no"]) for event in events]


class LaterLoop:
    def __init__(self):
        self.acts = []

    def call_later(self, seconds, act):
        self.acts.append(act)

    def turn(self):
        acts, self.acts = self.acts, []
        for act in acts:
            act()
        return len(acts)


class Board:
    """A stored directory and its feed."""

    def __init__(self, folder, **named):
        self.trial = Trial(folder)
        self.clock = self.trial.clock
        self.clock.seconds = NOON
        self.trial.start()
        self.loop = LaterLoop()
        policy = Policy(settings.of(folder, **named))
        self.admission = Admission(policy, self.clock, self.trial.log, lambda stored: None)
        self.feed = Feed(policy, self.trial.reader, self.clock, self.loop)
        self.feed.epoch = EPOCH

    def put(self, signer, sequence):
        self.trial.writer.run(self.admission.change(self.admission.verified(signer.raw(sequence, self.clock.seconds),
                                                                            signer.node_id), ""))
        self.feed.stirred()

    def query(self, text=""):
        return rules.feed_query(text, 100)

    def listen(self, text="", last_event_id=""):
        listener = Listener()
        events = self.feed.stream(self.query(text), last_event_id)
        listener.stop = events.start(listener)
        listener.headers = dict(events.headers)
        return listener


@pytest.fixture
def board(tmp_path):
    made = Board(tmp_path, directory_page_items=4)
    yield made
    made.trial.close()


def cursor(position):
    return rules.cursor_text(EPOCH, position)


def test_a_listener_hears_the_past_page_by_page_and_then_what_comes(board):
    for number, node in enumerate(NODES[:10]):
        board.put(node, number)
    listener = board.listen()
    assert len(listener.items()) == 4, "the first page at once"
    board.put(NODES[0], 100)
    assert len(listener.items()) == 4, "what is new comes in its turn"
    while board.loop.turn():
        pass
    assert [sequence for _, sequence in listener.items()] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100]
    board.put(NODES[1], 200)
    assert listener.items()[-1] == (cursor(12), 200)


def test_a_listener_goes_on_where_it_was(board):
    for number, node in enumerate(NODES[:3]):
        board.put(node, number)
    assert [sequence for _, sequence in board.listen(f"since={cursor(1)}").items()] == [1, 2]
    assert [sequence for _, sequence in board.listen(f"since={cursor(0)}", last_event_id=cursor(2)).items()] == [2]
    stranger = board.listen("since=cur:other")
    assert len(stranger.items()) == 3 and stranger.headers["Adv-Cursor"] == "reset"
    with pytest.raises(Refusal, match="invalid-cursor"):
        board.listen("", last_event_id="77")


def test_listeners_at_one_place_share_one_reading(board):
    listeners = [board.listen() for _ in range(50)]
    reads = []
    read = board.feed._events_after
    board.feed._events_after = lambda position: reads.append(position) or read(position)
    board.put(NODES[0], 1)
    assert len(reads) == 1 and all(len(listener.items()) == 1 for listener in listeners)


def test_a_listener_that_does_not_keep_up_gets_no_more_until_it_does(board):
    for number, node in enumerate(NODES):
        board.put(node, number)
    listener = board.listen()
    listener.waiting = WAITING_BYTES_MAX + 1
    for _ in range(5):
        board.loop.turn()
    assert len(listener.items()) == 4
    listener.waiting = 0
    while board.loop.turn():
        pass
    assert len(listener.items()) == 12


def test_a_listener_that_left_is_forgotten(board):
    for number, node in enumerate(NODES):
        board.put(node, number)
    one, other = board.listen(), board.listen()
    one.stop()
    other.closed = True
    while board.loop.turn():
        pass
    assert len(one.items()) == len(other.items()) == 4 and board.feed.listeners == 0


def test_a_page_is_kept_until_something_is_stored_or_expires(board):
    board.put(NODES[0], 1)
    first = board.feed.answer(board.query(), "")
    assert board.feed.answer(board.query(), "").body is first.body and board.feed.made == 1
    assert board.feed.answer(board.query(), dict(first.headers)["ETag"]).status == 304
    board.put(NODES[1], 1)
    assert len(json.loads(board.feed.answer(board.query(), "").body)["items"]) == 2
    board.clock.advance(600)
    assert json.loads(board.feed.answer(board.query(), "").body)["items"] == []
    board.clock.jump(-300)
    assert len(json.loads(board.feed.answer(board.query(), "").body)["items"]) == 2, "nor is a page of the future kept"
    for position in range(500):
        board.feed._keep((position, 4, 1), (b"x", "", None))
    assert len(board.feed._pages) <= 64


def test_a_wait_ends_with_something_new_or_as_it_was(board):
    board.put(NODES[0], 1)
    now = board.feed.wait(board.query("wait=20"), "")
    assert now.ready().status == 200, "there is something after the start"
    later = board.feed.wait(board.query(f"wait=20&since={cursor(1)}"), "")
    assert later.ready() is None and later.seconds == 20
    assert json.loads(later.late().body) == {"items": [], "next": cursor(1), "max-items": 4}
    board.put(NODES[1], 5)
    assert json.loads(later.ready().body)["items"][0]["sequence/no"] == 5


def test_an_unknown_cursor_can_be_gone(tmp_path):
    board = Board(tmp_path, directory_unknown_cursor="gone")
    with pytest.raises(Refusal) as caught:
        board.feed.answer(board.query("since=cur:x"), "")
    assert caught.value.code == "cursor-unknown" and caught.value.detail == {"next": cursor(0)}
    board.trial.close()
