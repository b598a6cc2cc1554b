"""The store as its routes show it: lists, lifetimes, pins, budgets, and two requests at one moment."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records, table
from tests.support.artifacts import events, kept, names, sha256, store
from tests.support.node import FROM_LAN, TrialNode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), node_id="alpha-node") as running:
        yield running


def listed(node: TrialNode, query: str = "", **headers: Any) -> list[dict[str, Any]]:
    answer = node.get(f"/mesh/artifacts{query}", headers.get("headers"))
    assert answer.status == 200, answer
    decode(records.ArtifactList, answer.json)
    assert answer.json["count"] == len(answer.json["artifacts"])
    return answer.json["artifacts"]


def swept(node: TrialNode, until: Callable[[], bool]) -> None:
    """The sweeper has run, as often as it takes."""
    def asked() -> bool:
        node.wake()
        return until()

    node.until(asked, "the sweep")


def together(acts: list[Callable[[], Any]]) -> list[Any]:
    """What the acts gave, all begun at one moment."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number: int) -> None:
        barrier.wait()
        results[number] = acts[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- lists -----------------------------------------------------------------------------------------------------------------

def test_an_empty_store_says_so(node: TrialNode) -> None:
    assert node.get("/mesh/artifacts").json == {"peer_id": "alpha-node", "count": 0, "artifacts": [], "filters": {
        "artifact_kind": "", "digest": "", "job_id": "", "attempt_id": "", "parent_artifact_id": "", "owner_peer_id": "", "media_type": "",
        "retention_class": ""}}


def test_a_list_is_newest_first_and_in_order_within_a_second(node: TrialNode) -> None:
    for name in ("a", "b"):
        store(node, name.encode(), name=name)
    node.advance(1)
    store(node, b"c", name="c")
    assert [each["metadata"]["name"] for each in listed(node)] == ["c", "a", "b"]


@pytest.mark.parametrize("query, found", [
    ("?artifact_kind=LOG", ["log"]), ("?job_id=j1", ["result", "log"]), ("?job_id=j1&attempt_id=a2", ["log"]), ("?attempt_id=a1", ["result"]),
    ("?parent_artifact_id=p", ["log"]), ("?owner_peer_id=alpha-node", ["result", "log", "other"]), ("?owner_peer_id=x", []),
    ("?media_type=text/plain", ["result", "log", "other"]), ("?retention_class=session", ["log"]), ("?retention_class=nonsense", ["result", "other"]),
    (f"?digest=SHA256:{sha256(b'3').upper()}", ["other"]), ("?digest=00", []), ("?artifact_kind=none", []),
    ("?limit=0", ["result", "log", "other"]), ("?limit=-7", ["result"]), ("?limit=2", ["result", "log"]), ("?job_id=", ["result", "log", "other"]),
])
def test_lists_are_filtered_in_the_database(node: TrialNode, query: str, found: list[str]) -> None:
    store(node, b"1", artifact_kind="result", job_id="j1", attempt_id="a1")
    store(node, b"2", artifact_kind="Log", job_id="j1", attempt_id="a2", parent_artifact_id="p")
    store(node, b"3", artifact_kind="other")
    assert [each["artifact_kind"].lower() for each in listed(node, query)] == found


def test_a_limit_that_is_no_number_is_refused(node: TrialNode) -> None:
    answer = node.get("/mesh/artifacts?limit=x")
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


def test_a_list_shows_at_most_five_hundred(node: TrialNode) -> None:
    room = node.rooms["mesh.artifacts"]
    blob = room.put(b"same")
    node.core.writer.run(lambda connection: [room.record(connection, {}, blob) for _ in range(510)])
    assert len(listed(node, "?limit=100000")) == 500 and len(listed(node)) == 25


def test_a_page_has_a_weight(node: TrialNode) -> None:
    room = node.rooms["mesh.artifacts"]
    blob, notes = room.put(b"same"), "n" * 250_000
    node.core.writer.run(lambda connection: [room.record(connection, {"metadata": {"notes": notes}}, blob) for _ in range(60)])
    assert 20 < len(listed(node, "?limit=500")) < 40


@pytest.mark.parametrize("name", table.FILTERS)
def test_every_filtered_list_is_read_from_an_index_in_order(node: TrialNode, name: str) -> None:
    """The cost of a page does not grow with the store: no scan of all artifacts, and no sorting."""
    named = {name: "x"} | ({"artifact_kind": "x"} if name == "artifact_kind" else {})
    plan: list[str] = []

    class Explained:
        def execute(self, statement: str, values: Any) -> Any:
            plan.extend(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, values))
            return connection.execute(statement, values)

    with node.core.reader.snapshot() as connection:
        table.matching(Explained(), named, "2027", 25, private=True, bytes_max=10**6)      # type: ignore[arg-type]
    assert plan and all("USING INDEX" in step or "USING COVERING INDEX" in step for step in plan) and "TEMP B-TREE" not in str(plan), plan


@pytest.mark.parametrize("names, index", [
    (("digest", "owner_peer_id"), "digest"), (("digest", "media_type", "retention_class"), "digest"), (("artifact_kind", "digest"), "digest"),
    (("attempt_id", "job_id"), "attempt"), (("job_id", "retention_class", "media_type"), "job"), (("parent_artifact_id", "owner_peer_id"), "parent"),
    (("artifact_kind", "retention_class"), "kind"), (("owner_peer_id", "media_type"), "owner"), (table.FILTERS, "digest"),
])
def test_of_several_filters_the_one_that_leaves_least_is_looked_up(node: TrialNode, names: tuple[str, ...], index: str) -> None:
    """However many artifacts one node, class or media type has, what names a content or a job besides is found at once."""
    asked: list[str] = []
    with node.core.reader.snapshot() as connection:
        connection.set_trace_callback(asked.append)
        table.matching(connection, dict.fromkeys(names, "x"), "2027", 25, private=False, bytes_max=10**6)
        connection.set_trace_callback(None)
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + asked[0])]
    assert len(plan) == 1 and f"USING INDEX mesh_artifact_{index} (" in plan[0], plan


@pytest.mark.parametrize("private, index", [(True, "created"), (False, "shown")])
def test_a_list_without_a_filter_walks_past_nothing_that_it_does_not_show(node: TrialNode, private: bool, index: str) -> None:
    asked: list[str] = []
    with node.core.reader.snapshot() as connection:
        connection.set_trace_callback(asked.append)
        table.matching(connection, {}, "2027", 25, private=private, bytes_max=10**6)
        connection.set_trace_callback(None)
        plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + asked[0])]
    assert len(plan) == 1 and plan[0].endswith(f"USING INDEX mesh_artifact_{index}")


def test_strangers_see_no_paths_and_no_private_artifacts(node: TrialNode) -> None:
    store(node, b"1", policy={"classification": "private"})
    shown = store(node, b"2", provided_descriptor={"annotations": {}})
    assert len(listed(node)) == 2 and listed(node)[0]["path"].startswith("artifacts/")
    seen = listed(node, headers=FROM_LAN)
    assert names(seen, "id") == [shown["id"]] and "path" not in seen[0] and "provided_descriptor" not in seen[0]["metadata"]


def test_no_path_of_this_machine_is_ever_shown(node: TrialNode) -> None:
    made = store(node, b"1")
    assert made["path"] == f"artifacts/{made['id']}.blob"
    assert str(node.folder) not in node.get("/mesh/artifacts").text + node.get(f"/mesh/artifacts/{made['id']}").text


# --- lifetimes ---------------------------------------------------------------------------------------------------------------

def test_what_expired_is_not_shown_and_goes_when_somebody_reads(node: TrialNode) -> None:
    made = store(node, b"soon gone", retention_seconds=60)
    node.advance(60)
    assert node.get(f"/mesh/artifacts/{made['id']}?include_content=0").status == 404
    node.until(lambda: events(node, "mesh.artifact.purged"))
    event = events(node, "mesh.artifact.purged")[0]
    assert event["payload"] == {"artifact_id": made["id"], "digest": made["digest"], "reason": "retention_expired", "retention_class": "durable"}
    swept(node, lambda: not kept(node))


def test_purging_removes_the_oldest_deadlines_first_and_counts(node: TrialNode) -> None:
    for seconds in (30, 10, 20):
        store(node, b"x" * seconds, retention_seconds=seconds)
    node.advance(40)
    first = node.post("/mesh/artifacts/purge", {"limit": 2})
    assert first.json == {"status": "ok", "peer_id": "alpha-node", "purged": 2, "kept": 0, "freed_bytes": 30}
    assert node.post("/mesh/artifacts/purge").json["purged"] == 1
    assert node.post("/mesh/artifacts/purge").json["purged"] == 0


@pytest.mark.parametrize("body, purged", [({"limit": 0}, 1), ({"limit": -5}, 1), ({"limit": "2"}, 2), ({"limit": None}, 3), ({}, 3)])
def test_a_purge_has_at_least_one_to_do(node: TrialNode, body: Any, purged: int) -> None:
    for number in range(3):
        store(node, str(number).encode(), retention_seconds=1)
    node.advance(2)
    assert node.post("/mesh/artifacts/purge", body).json["purged"] == purged


def test_a_purge_limit_that_is_no_number_is_refused(node: TrialNode) -> None:
    assert node.post("/mesh/artifacts/purge", {"limit": "x"}).status == 400


def test_content_stays_while_one_artifact_has_it(node: TrialNode) -> None:
    store(node, b"shared", retention_seconds=10)
    other = store(node, b"shared")
    node.advance(20)
    assert node.post("/mesh/artifacts/purge").json == {"status": "ok", "peer_id": "alpha-node", "purged": 1, "kept": 0, "freed_bytes": 0}
    assert node.get(f"/mesh/artifacts/{other['id']}").status == 200 and kept(node) == {sha256(b"shared")}


def test_the_sweep_removes_what_nobody_asks_for(node: TrialNode) -> None:
    store(node, b"forgotten", artifact_kind="log")
    node.advance(7 * 86_400 + 61)
    swept(node, lambda: not kept(node))
    assert len(events(node, "mesh.artifact.purged")) == 1


def test_what_was_stored_for_a_change_that_was_refused_is_swept(node: TrialNode) -> None:
    room = node.rooms["mesh.artifacts"]

    def refused(connection: Any) -> None:
        room.record(connection, {}, room_blob[0])
        raise Refusal("conflict", "no")

    room_blob = [room.put(b"never recorded")]
    with pytest.raises(Refusal):
        node.core.writer.run(refused)
    swept(node, lambda: True)
    assert kept(node) == {sha256(b"never recorded")}             # somebody still holds it
    room_blob.clear()
    swept(node, lambda: not kept(node))


def test_files_without_a_record_are_removed_after_a_start(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        made = store(node, b"recorded")
        node.rooms["mesh.artifacts"].blobs.put(b"left by a power cut")
        folder = tmp_path / "artifacts" / "incoming"
        (folder / "half.part").write_bytes(b"half an upload")
    assert len(list((tmp_path / "artifacts" / "sha256").rglob("*"))) == 4
    with TrialNode(tmp_path) as node:
        swept(node, lambda: kept(node) == {made["digest"]})
        node.until(lambda: not list(folder.iterdir()))
        assert node.get(f"/mesh/artifacts/{made['id']}").status == 200


# --- the operator's word -------------------------------------------------------------------------------------------------------

def test_an_operator_removes_what_is_not_pinned(node: TrialNode) -> None:
    made, twin = store(node, b"unwanted"), store(node, b"unwanted")
    path = f"/mesh/artifacts/{made['id']}"
    assert node.request("DELETE", path, headers=FROM_LAN).status == 401
    pinned(node, made["id"])
    refused = node.request("DELETE", path)
    assert (refused.status, refused.json["error"], refused.json["code"]) == (409, "artifact is pinned", "invalid_state")
    pinned(node, made["id"], False)
    assert node.request("DELETE", path).json == {"status": "deleted", "artifact_id": made["id"], "freed_bytes": 0}
    assert node.request("DELETE", path).status == 404
    assert node.request("DELETE", f"/mesh/artifacts/{twin['id']}").json["freed_bytes"] == 8
    swept(node, lambda: not kept(node))


# --- pins --------------------------------------------------------------------------------------------------------------------

def pinned(node: TrialNode, artifact_id: str, pinned: object = True, **more: Any) -> dict[str, Any]:
    answer = node.post("/mesh/artifacts/pin", {"artifact_id": artifact_id, "pinned": pinned, **more})
    assert answer.status == 200, answer
    decode(records.Pinned, answer.json)
    return answer.json["artifact"]


def test_a_pin_keeps_for_good_and_its_end_counts_anew(node: TrialNode) -> None:
    made = store(node, b"log", artifact_kind="log")
    held = pinned(node, made["id"], reason="keep")
    assert (held["pinned"], held["retention_class"], held["retention_deadline_at"]) == (True, "durable", "")
    assert held["artifact_sync"] == {"pinned": True, "pin_updated_at": "2027-01-15T08:00:00Z", "pin_reason": "keep"}
    node.advance(30 * 86_400)
    assert node.post("/mesh/artifacts/purge").json["purged"] == 0
    let_go = pinned(node, made["id"], False)
    assert (let_go["pinned"], let_go["retention_class"], let_go["retention_deadline_at"]) == (False, "session", "2027-02-21T08:00:00Z")
    assert [event["payload"]["pinned"] for event in events(node, "mesh.artifact.pin.updated")] == [True, False]


@pytest.mark.parametrize("word, meant", [(True, True), ("true", True), ("on", True), (1, True), ("false", False), ("no", False), (0, False)])
def test_words_for_a_pin_mean_what_they_say(node: TrialNode, word: object, meant: bool) -> None:
    assert pinned(node, store(node, b"x")["id"], word)["pinned"] is meant


@pytest.mark.parametrize("word", ["maybe", 2, [], {}, 0.5])
def test_other_words_are_refused(node: TrialNode, word: object) -> None:
    answer = node.post("/mesh/artifacts/pin", {"artifact_id": store(node, b"x")["id"], "pinned": word})
    assert (answer.status, answer.json["error"]) == (400, "pinned must be a boolean")


@pytest.mark.parametrize("body", [{"artifact_id": "nope"}, {}, {"artifact_id": "../../ocp.db"}])
def test_what_is_not_there_cannot_be_pinned(node: TrialNode, body: Any) -> None:
    answer = node.post("/mesh/artifacts/pin", body)
    assert (answer.status, answer.json["error"], answer.json["code"]) == (404, "artifact not found", "not_found")


def test_of_two_requests_for_the_same_pin_at_one_moment_exactly_one_changes_it(node: TrialNode) -> None:
    made = store(node, b"wanted")
    answers = together([lambda: pinned(node, made["id"], reason="race")] * 8)
    assert all(each["pinned"] for each in answers)
    assert len(events(node, "mesh.artifact.pin.updated")) == 1


def test_a_pin_and_its_end_at_one_moment_leave_one_of_both(node: TrialNode) -> None:
    made = store(node, b"wanted", artifact_kind="log")
    together([lambda: pinned(node, made["id"], True), lambda: pinned(node, made["id"], False)] * 3)
    shown = node.get(f"/mesh/artifacts/{made['id']}?include_content=0").json
    last = events(node, "mesh.artifact.pin.updated")[-1]["payload"]["pinned"]
    assert shown["pinned"] is shown["metadata"]["pinned"] is shown["artifact_sync"]["pinned"] is last
    assert (shown["retention_deadline_at"] == "") is last


# --- the budget --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def small(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, artifacts_max_total_bytes=10_000, artifacts_max_bytes=8_000) as running:
        yield running


def test_a_full_store_gives_up_what_was_kept_shortest(small: TrialNode) -> None:
    durable = store(small, b"d" * 3000)
    session = store(small, b"s" * 2000, retention_class="session")
    first = store(small, b"e" * 2000, retention_class="ephemeral")
    small.advance(1)
    held = store(small, b"p" * 1000, retention_class="ephemeral", pinned=True)
    second = store(small, b"f" * 2000, retention_class="ephemeral")
    store(small, b"n" * 1500)
    assert set(names(listed(small), "id")) >= {durable["id"], session["id"], held["id"], second["id"]}
    assert first["id"] not in names(listed(small), "id")
    store(small, b"m" * 3500)
    assert {session["id"], second["id"]}.isdisjoint(names(listed(small), "id")) and held["id"] in names(listed(small), "id")
    assert [event["payload"]["reason"] for event in events(small, "mesh.artifact.purged")] == ["quota_exceeded"] * 3


def test_what_does_not_fit_is_refused_and_costs_nobody_anything(small: TrialNode) -> None:
    kept_one = store(small, b"d" * 7000)
    fleeting = store(small, b"e" * 1000, retention_class="ephemeral")
    with pytest.raises(Refusal) as caught:
        store(small, b"n" * 4000)
    assert (caught.value.code, caught.value.message) == ("busy", "artifact store is full")
    del caught                                                   # its frames hold the blob, and frames can hold each other
    gc.collect()
    small.advance(20)
    assert set(names(listed(small), "id")) == {kept_one["id"], fleeting["id"]}      # nothing was given up in vain
    swept(small, lambda: len(kept(small)) == 2)


def test_what_is_over_makes_room_first(small: TrialNode) -> None:
    store(small, b"o" * 6000, retention_seconds=10)
    fleeting = store(small, b"e" * 1000, retention_class="ephemeral")
    small.advance(10)
    made = store(small, b"n" * 4000)
    assert set(names(listed(small), "id")) == {fleeting["id"], made["id"]}


def test_the_same_content_again_needs_no_room(small: TrialNode) -> None:
    store(small, b"d" * 7000)
    assert store(small, b"d" * 7000)["size_bytes"] == 7000


def test_the_weight_of_the_store_is_kept_without_counting(small: TrialNode) -> None:
    for content in (b"a" * 100, b"a" * 100, b"b" * 50):
        store(small, content, retention_seconds=5)
    with small.core.reader.snapshot() as connection:
        assert table.weight(connection) == (150, 2)
    small.advance(10)
    small.post("/mesh/artifacts/purge")
    store(small, b"c")
    swept(small, lambda: len(kept(small)) == 1)
    with small.core.reader.snapshot() as connection:
        assert table.weight(connection) == (1, 1)


def test_an_artifact_too_large_for_this_node_is_refused(small: TrialNode) -> None:
    with pytest.raises(Refusal) as caught:
        store(small, b"x" * 8001)
    assert (caught.value.code, caught.value.message) == ("too_large", "artifact too large")


# --- many ----------------------------------------------------------------------------------------------------------------------

def test_ten_thousand_artifacts_change_no_plan(node: TrialNode) -> None:
    """Reading one, a page of them and what is due touches a bounded number of rows, however many there are."""
    room = node.rooms["mesh.artifacts"]
    blob = room.put(b"same")
    for _ in range(20):
        node.core.writer.run(lambda connection: [room.record(connection, {"metadata": {"job_id": f"j{number}", "retention_class": "session"}},
                                                             blob) for number in range(500)])
    with node.core.reader.snapshot() as connection:
        for statement in ("SELECT 1 FROM mesh_artifact WHERE id = 'x'", "SELECT min(retention_deadline_at) FROM mesh_artifact "
                          "WHERE retention_deadline_at <> '' AND NOT pinned", "SELECT refs FROM mesh_blob WHERE digest = 'x'",
                          "SELECT id FROM mesh_artifact WHERE retention_class = 'ephemeral' AND pinned = 0 AND retention_class <> 'durable' ORDER BY created_at, number LIMIT 5",
                          "SELECT id FROM mesh_artifact WHERE retention_deadline_at <> '' AND retention_deadline_at <= '2027' "
                          "ORDER BY retention_deadline_at, number LIMIT 5"):
            plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement))
            assert "SEARCH" in plan or "USING INDEX" in plan or "COVERING" in plan, (statement, plan)
            assert "TEMP B-TREE" not in plan, (statement, plan)
    assert len(listed(node, "?job_id=j7&limit=500")) == 20
    node.advance(8 * 86_400)
    assert listed(node) == [] and node.post("/mesh/artifacts/purge", {"limit": 5000}).json["purged"] <= 1000


def test_what_the_store_holds_is_measured(node: TrialNode) -> None:
    store(node, b"x" * 100)
    text = node.get("/metrics").text
    assert "ocp_artifact_bytes 100\n" in text and "ocp_artifact_blobs 1\n" in text
