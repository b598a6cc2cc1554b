"""The event table and its listeners."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Callable

import pytest

from ocp_node.base import jsontext, limits
from ocp_node.base.clock import SetClock
from ocp_node.base.ids import CountedIds, Ids
from ocp_node.base.log import silent
from ocp_node.store import events, migrate
from ocp_node.store.events import Event, Feed, event_json, event_text
from ocp_node.store.writer import WriteConnection
from tests.support.store import Trial


@pytest.fixture
def memory() -> WriteConnection:
    return migrate.memory(SetClock(), Ids())


def add(connection: WriteConnection, count: int, event_type: str = "mesh.note.added", surface: str = "mesh") -> None:
    for number in range(count):
        connection.event(event_type, surface=surface, payload={"number": number})


def numbers(found: list[Event]) -> list[int]:
    return [event.seq for event in found]


def test_an_event_is_read_as_it_was_written(memory: WriteConnection) -> None:
    payload: dict[str, object] = {"text": "gr\u00fcn \U0001f331", "n": 1.5}
    memory.event("mesh.job.queued", subject="job-1", peer_id="peer-1", request_id="r-1", payload=payload)
    event = events.since(memory, 0, 10)[0]
    assert event_json(event) == {"seq": 1, "id": event.id, "event_type": "mesh.job.queued", "peer_id": "peer-1",
                                 "request_id": "r-1", "payload": payload, "created_at": "2027-01-15T08:00:00Z"}
    assert event.subject == "job-1" and event.surface == "mesh"


def test_the_database_words_a_page_as_we_would(memory: WriteConnection) -> None:
    """Names with everything that JSON escapes, among events of another surface."""
    names = ("", "plain", 'qu"ote', "back\\slash", "line\n\ttab", "nul\x00byte\x1f\x7f", "gr\u00fcn \U0001f331", "\u2028")
    for name in names:
        memory.event("mesh.note.added", peer_id=name, request_id=name[::-1], payload={"name": name} if name else None)
        memory.event("oscp.forecast.received", surface="oscp")
    for since in range(0, 18):
        for limit in (1, 3, 100):
            found = events.since(memory, since, limit)
            last, texts = events.texts_since(memory, since, limit)
            assert json.loads(f"[{texts}]") == [event_json(event) for event in found] == json.loads(
                f"[{','.join(map(event_text, found))}]")
            assert last == (found[-1].seq if found else 0)


def test_listeners_get_what_the_table_holds(trial: Trial) -> None:
    heard: list[Event] = []
    trial.writer.feed.listen(heard.extend)
    trial.writer.run(lambda connection: connection.event("mesh.job.queued", subject="j", payload={"a": [1, None]}))
    trial.writer.run(lambda connection: connection.event("oscp.forecast.received", surface="oscp"))
    trial.writer.run(lambda connection: None)
    with trial.reader.snapshot() as connection:
        kept = trial.writer.feed.since(connection, 0, 10, surface="")
    assert [event_json(event) for event in heard] == [event_json(event) for event in kept]
    assert [event.payload_text for event in heard] == ['{"a":[1,null]}', "{}"]


def test_listeners_hear_every_event_once_in_the_order_of_its_number(trial: Trial) -> None:
    heard: list[int] = []
    trial.writer.feed.listen(lambda found: heard.extend(event.seq for event in found))

    def write() -> None:
        for _ in range(40):
            trial.writer.run(lambda connection: add(connection, 3))

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trial.writer.run(lambda connection: None)
    assert heard == list(range(1, 361))


def test_a_listener_that_stopped_hears_no_more(trial: Trial) -> None:
    first: list[Event] = []
    second: list[Event] = []
    stop = trial.writer.feed.listen(first.extend)
    trial.writer.feed.listen(second.extend)
    trial.writer.run(lambda connection: add(connection, 1))
    trial.writer.run(lambda connection: None)
    stop()
    stop()
    trial.writer.run(lambda connection: add(connection, 1))
    trial.writer.run(lambda connection: None)
    assert len(first) == 1 and len(second) == 2


def test_a_listener_may_stop_while_it_hears() -> None:
    feed, heard = Feed(silent()), []
    stops: list[Callable[[], None]] = []
    stops.append(feed.listen(lambda found: (heard.append("a"), stops[0]())[0]))
    feed.listen(lambda found: heard.append("b"))
    feed.published([])
    feed.published([])
    assert heard == ["a", "b", "b"]


@pytest.mark.parametrize("seq, limit, expected", [
    (0, 3, [1, 2, 3]), (3, 2, [4, 5]), (9, 5, [10]), (10, 5, []), (99, 5, []), (-7, 1, [1]), (0, 0, [1]), (0, -5, [1]),
])
def test_events_are_paged_by_number_and_every_page_is_bounded(
        memory: WriteConnection, seq: int, limit: int, expected: list[int]) -> None:
    add(memory, 10)
    assert numbers(events.since(memory, seq, limit)) == expected


def test_a_page_is_never_larger_than_its_bound(memory: WriteConnection) -> None:
    add(memory, limits.EVENTS_PER_READ_MAX + 5)
    assert len(events.since(memory, 0, 1_000_000)) == limits.EVENTS_PER_READ_MAX
    assert len(events.latest(memory, 1_000_000)) == limits.EVENTS_PER_READ_MAX


def test_surfaces_and_types_are_told_apart(memory: WriteConnection) -> None:
    for event_type in ("mesh.a", "oscp.a", "mesh.b", "mesh.a"):
        add(memory, 1, event_type, event_type.partition(".")[0])
    add(memory, 1, "mesh.a", "node")
    assert numbers(events.since(memory, 0, 10)) == [1, 3, 4]
    assert numbers(events.since(memory, 0, 10, surface="")) == [1, 2, 3, 4, 5]
    assert numbers(events.since(memory, 0, 10, types=("mesh.a",))) == [1, 4]
    assert numbers(events.since(memory, 1, 10, surface="", types=("mesh.a", "oscp.a", "mesh.a"))) == [2, 4, 5]
    assert numbers(events.since(memory, 0, 2, surface="", types=("mesh.b", "mesh.a"))) == [1, 3]
    assert numbers(events.latest(memory, 2)) == [5, 4]
    assert numbers(events.latest(memory, 10, surface="mesh", before=4)) == [3, 1]


def test_reading_a_page_never_walks_the_table(memory: WriteConnection) -> None:
    for sql in ("surface = 'mesh' AND seq > 5 ORDER BY seq LIMIT 5", "seq > 5 ORDER BY seq LIMIT 5",
                "seq < 5 ORDER BY seq DESC LIMIT 5",
                "event_type = 'a' AND ('' = '' OR surface = '') AND seq > 5 ORDER BY seq LIMIT 5"):
        plan = " ".join(row[3] for row in memory.execute(f"EXPLAIN QUERY PLAN SELECT * FROM event WHERE {sql}"))
        assert plan.startswith("SEARCH") and "TEMP B-TREE" not in plan, plan


def test_the_edges_of_an_empty_log_are_zero(memory: WriteConnection) -> None:
    assert [events.newest(memory), events.oldest(memory), events.newest(memory, "")] == [0, 0, 0]


def test_a_large_payload_leaves_only_its_size(memory: WriteConnection) -> None:
    exact = "x" * (limits.EVENT_PAYLOAD_BYTES_MAX - len('{"a":""}'))
    memory.event("mesh.fits", payload={"a": exact})
    memory.event("mesh.too.large", payload={"a": exact + "x"})
    memory.event("mesh.too.large", payload={"a": "\u00e9" * 20_000})
    kept = [event.payload for event in events.since(memory, 0, 10)]
    assert kept == [{"a": exact}, {"truncated": True, "bytes": limits.EVENT_PAYLOAD_BYTES_MAX + 1},
                    {"truncated": True, "bytes": 120_008}]


@pytest.mark.parametrize("wrong", [{"event_type": ""}, {"event_type": "x" * 201}, {"event_type": "mesh.x", "surface": ""},
                                   {"event_type": "mesh.x", "subject": "x" * 2001}])
def test_the_columns_of_an_event_are_bounded(memory: WriteConnection, wrong: dict[str, str]) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        memory.event(**wrong)  # type: ignore[arg-type]


def test_a_number_that_is_not_json_is_refused(memory: WriteConnection) -> None:
    with pytest.raises(ValueError):
        memory.event("mesh.x", payload={"a": float("nan")})


def test_an_id_is_a_uuid_and_ids_grow_with_time() -> None:
    ids = [events.ordered_uuid(1_800_000_000.0 + second, Ids().bytes(10)) for second in range(50)]
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each) for each in ids)
    assert ids == sorted(ids)


def test_a_sweep_leaves_the_newest_of_each_surface(memory: WriteConnection) -> None:
    add(memory, 30)
    add(memory, 3, surface="oscp")
    add(memory, 30)
    assert events.prune(memory, 10) == 50
    assert numbers(events.since(memory, 0, 100)) == list(range(54, 64))
    assert numbers(events.since(memory, 0, 100, surface="oscp")) == [31, 32, 33]
    assert events.prune(memory, 10) == 0
    assert events.prune(memory, 0) == 11
    assert (events.newest(memory), events.oldest(memory), events.newest(memory, "oscp")) == (63, 63, 33)


def test_a_sweep_is_bounded_and_goes_on_at_the_next_call(memory: WriteConnection) -> None:
    add(memory, limits.EVENTS_PRUNED_MAX + 100)
    assert [events.prune(memory, 10) for _ in range(3)] == [limits.EVENTS_PRUNED_MAX, 90, 0]


def test_a_number_is_never_given_twice_not_even_after_a_sweep_and_a_restart(made: Callable[..., Trial]) -> None:
    trial = made().start()
    trial.writer.run(lambda connection: add(connection, 5))

    def empty(connection: WriteConnection) -> None:
        connection.execute("DELETE FROM event")

    trial.writer.run(empty)
    trial.writer.close()
    again = made().start()
    again.writer.run(lambda connection: add(connection, 1))
    with again.reader.snapshot() as connection:
        assert events.newest(connection) == 6


def test_a_log_keeps_its_name_and_each_database_has_another(made: Callable[..., Trial]) -> None:
    trial = made().start()
    name = trial.writer.feed.log_id
    trial.writer.close()
    again = made().start()
    assert re.fullmatch("[0-9a-f]{32}", name) and again.writer.feed.log_id == name
    assert events.log_id(migrate.memory(SetClock(), Ids())) != name


def test_an_event_made_by_hand_takes_its_payload_as_a_value_or_as_text() -> None:
    facts = (1, "id", "mesh", "mesh.x", "", "", "")
    by_value, by_text = Event(*facts, {"a": 1}, "2027-01-15T08:00:00Z"), Event(*facts, '{"a":1}', "2027-01-15T08:00:00Z")
    assert event_json(by_value) == event_json(by_text) and jsontext.load(by_value.payload_text) == {"a": 1}


def test_names_are_drawn_from_the_ids_that_were_passed_in() -> None:
    first, second = (migrate.memory(SetClock(), CountedIds()) for _ in range(2))
    for connection in (first, second):
        connection.event("mesh.x")
    assert events.since(first, 0, 1)[0].id == events.since(second, 0, 1)[0].id


def test_the_text_of_an_event_is_its_json(memory: WriteConnection) -> None:
    odd = 'a "peer"\\ of\n\u2028 ours \U0001f600'
    memory.event("mesh.note.added", peer_id=odd, request_id=odd, payload={"text": odd, "numbers": [1, None]})
    event, = events.since(memory, 0, 10)
    assert json.loads(event_text(event)) == event_json(event)
    assert event_json(event)["payload"] == {"text": odd, "numbers": [1, None]} and event_json(event)["peer_id"] == odd
