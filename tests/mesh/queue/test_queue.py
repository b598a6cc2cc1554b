"""The queue of a running node: its order, what time brings, replays, deadlines, figures and events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import instant_seconds
from ocp_node.mesh.jobs import table as jobs_table
from ocp_node.mesh.queue import table
from tests.support.jobs import claim, complete, events, fail, fits, job_of, queued, refused, taken, worker
from tests.support.node import FROM_LAN, TrialNode

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        worker(running)
        yield running


def messages(node: TrialNode, query: str = "") -> list[Members]:
    return fits("mesh.queue.list", node.get(f"/mesh/queue{query}").json)["messages"]


def metrics(node: TrialNode) -> Members:
    return fits("mesh.queue.metrics", node.get("/mesh/queue/metrics").json)


def counted(node: TrialNode) -> dict[tuple[str, str], int]:
    """The counts, worked out the long way."""
    with node.core.reader.snapshot() as connection:
        rows = connection.execute("SELECT queue_name, status, count(*) FROM mesh_queue_message GROUP BY 1, 2").fetchall()
    return {(name, status): amount for name, status, amount in rows}


# --- the line

def test_jobs_are_claimed_in_the_order_they_came(node: TrialNode) -> None:
    ids = [queued(node)["id"] for _ in range(5)]
    got = []
    for _ in ids:
        answer = taken(node)
        got.append(answer["job"]["id"])
        complete(node, answer["attempt"]["id"])
    assert got == ids


def test_work_for_others_at_the_head_hides_nothing(node: TrialNode) -> None:
    for _ in range(150):
        queued(node, kind="python.inline", payload={"code": "1"})
    mine = queued(node)
    worker(node, "shell-only", ("shell",))
    assert claim(node, "shell-only")["job"]["id"] == mine["id"]
    assert [job["id"] for job in node.post("/mesh/workers/shell-only/poll", {}).json["jobs"]] == []


def test_resources_count_where_the_worker_has_declared_them(node: TrialNode) -> None:
    large = queued(node, requirements={"resources": {"memory_mb": 4096}})
    small = queued(node, requirements={"resources": {"memory_mb": 64}})
    worker(node, "little", ("shell",), resources={"memory_mb": 512})
    assert claim(node, "little")["job"]["id"] == small["id"]
    assert claim(node)["job"]["id"] == large["id"]


def test_a_mission_of_high_priority_overtakes_only_within_one_second(node: TrialNode) -> None:
    jobs = node.rooms["mesh.jobs"]
    plain = queued(node)
    document = {"kind": "shell.command", "payload": {"command": "true"},
                "metadata": {"mission": {"mission_id": "m", "priority": "critical"}}}
    judged = jobs.intake.judge(document, "m:job", ours=frozenset({"mission"}))
    urgent = node.core.writer.run(lambda connection: jobs.submit_local(connection, judged))["job"]
    assert urgent["mission"]["mission_id"] == "m"
    node.advance(2)
    judged = jobs.intake.judge(document, "m:later", ours=frozenset({"mission"}))
    late = node.core.writer.run(lambda connection: jobs.submit_local(connection, judged))["job"]
    got = []
    for _ in range(3):
        answer = taken(node)
        got.append(answer["job"]["id"])
        complete(node, answer["attempt"]["id"])
    assert got == [urgent["id"], plain["id"], late["id"]]


def test_the_list_shows_the_latest_change_first(node: TrialNode) -> None:
    first, second, third = (queued(node)["id"] for _ in range(3))
    assert [message["job_id"] for message in messages(node)] == [third, second, first]
    taken(node, job_id=first)
    assert [message["job_id"] for message in messages(node, "?limit=2")] == [first, third]
    assert [message["job_id"] for message in messages(node, "?status=INFLIGHT")] == [first]
    assert messages(node, "?status=odd") == []
    assert node.get("/mesh/queue?limit=abc").status == 400


# --- what time brings

def test_a_silent_holder_loses_its_message_by_the_clock_alone(node: TrialNode) -> None:
    job = queued(node)
    taken(node)
    node.advance(301)
    found = node.until(lambda: (seen := job_of(node, job["id"]))["status"] == "queued" and seen, "redelivery")
    assert found["attempts"][0]["status"] == "expired" and found["attempts"][0]["error"] == "visibility timeout expired"
    assert found["attempts"][0]["metadata"]["queue_timeout"] is True and found["lease"] == {}
    assert (found["queue"]["status"], found["queue"]["delivery_attempts"], found["queue"]["last_error"]) == (
        "queued", 1, "visibility timeout expired")
    again = taken(node)
    assert again["attempt"]["attempt_number"] == 2 and again["queue_message"]["delivery_attempts"] == 2
    assert metrics(node)["redelivery_count"] == 1
    assert [event["request_id"] for event in events(node, "mesh.queue.redelivered")] == [""]
    assert [event["payload"]["status"] for event in events(node, "mesh.lease.released")] == ["expired"]


@pytest.mark.parametrize("path", ["/mesh/queue", "/mesh/queue/metrics", "/mesh/queue/events"])
def test_a_look_at_the_queue_redelivers_what_is_due(node: TrialNode, path: str) -> None:
    job = queued(node)
    taken(node)
    node.clock.advance(301)
    assert node.get(path).status == 200
    assert job_of(node, job["id"])["status"] == "queued"


def test_a_message_with_a_resume_reference_comes_back_as_a_retry(node: TrialNode) -> None:
    job = queued(node, metadata={"resumable": True, "max_attempts": 2})
    fail(node, taken(node)["attempt"]["id"], metadata={"checkpoint": 1})
    assert taken(node)["job"]["status"] == "resuming"
    node.clock.advance(301)
    metrics(node)
    found = job_of(node, job["id"])
    assert found["status"] == "retry_wait" and found["resume_checkpoint_ref"]["id"]


def test_endless_redelivery_ends_in_the_dead_letters(node: TrialNode) -> None:
    job = queued(node)
    for number in range(1, 6):
        assert taken(node)["attempt"]["attempt_number"] == number
        node.clock.advance(301)
        metrics(node)
    found = job_of(node, job["id"])
    assert (found["status"], found["queue"]["status"], found["metadata"]["last_error"]) == (
        "failed", "dead_letter", "delivery attempts exhausted")
    assert found["queue"]["replay_deadline_at"] and claim(node)["reason"] == "no_jobs"


def test_messages_are_forgotten_after_their_retention_and_the_job_stays(node: TrialNode) -> None:
    job = queued(node, retention_seconds=300)
    complete(node, taken(node)["attempt"]["id"])
    node.advance(301)
    node.until(lambda: not node.get("/mesh/queue").json["messages"], "the purge")
    found = job_of(node, job["id"])
    assert found["status"] == "completed" and found["queue"] == {}
    assert [event["payload"]["status"] for event in events(node, "mesh.queue.retention_purged")] == ["acked"]
    assert metrics(node)["counts"]["acked"] == 0 and counted(node) == {}


def test_a_job_whose_message_is_gone_gets_a_new_one_when_it_is_restarted(node: TrialNode) -> None:
    job = queued(node, queue="fast", retention_seconds=300)
    fail(node, taken(node)["attempt"]["id"])
    node.advance(301)
    node.until(lambda: not node.get("/mesh/queue").json["messages"], "the purge")
    answer = node.post(f"/mesh/jobs/{job['id']}/restart", {}).json
    assert answer["queue_message"]["queue_name"] == "fast" and taken(node)["job"]["id"] == job["id"]


def test_jobs_that_ended_long_ago_are_forgotten_with_all_they_had(tmp_path: Path) -> None:
    with TrialNode(tmp_path, jobs_kept_days=1) as node:
        worker(node)
        old = queued(node)
        complete(node, taken(node)["attempt"]["id"])
        running = queued(node)
        node.advance(86_400 + 7200)
        node.until(lambda: node.get(f"/mesh/jobs/{old['id']}").status == 404, "the purge")
        assert job_of(node, running["id"])["status"] == "queued"
        with node.core.reader.snapshot() as connection:
            assert connection.execute("SELECT count(*) FROM mesh_attempt").fetchone()[0] == 0
        assert metrics(node)["counts"] == {"queued": 1, "inflight": 0, "acked": 0, "dead_letter": 0, "cancelled": 0}


def test_an_old_job_that_is_begun_anew_while_the_purge_looks_is_kept(node: TrialNode) -> None:
    job = fail(node, (queued(node), taken(node))[1]["attempt"]["id"], retryable=False)["job"]
    before = "2099-01-01T00:00:00Z"
    with node.core.reader.snapshot() as connection:
        seen = jobs_table.ended_before(connection, before, 10)
    assert seen == [job["id"]]
    node.post(f"/mesh/jobs/{job['id']}/restart", {})
    node.core.writer.run(lambda connection: jobs_table.forget(connection, seen, before))
    assert job_of(node, job["id"])["status"] == "retry_wait"


# --- replay

def dead(node: TrialNode, **job: Any) -> Members:
    queued(node, **job)
    return fail(node, taken(node)["attempt"]["id"], error="boom")["job"]


@pytest.mark.parametrize("by", ["queue_message_id", "job_id"])
def test_a_dead_letter_is_delivered_again_with_a_fresh_budget(node: TrialNode, by: str) -> None:
    job = dead(node, metadata={"max_attempts": 2, "retry_policy": {"max_attempts": 1}})
    key = job["queue"]["id"] if by == "queue_message_id" else job["id"]
    answer = fits("mesh.queue.replay", node.post("/mesh/queue/replay", {by: key, "reason": "operator replay"}).json)
    message = answer["queue_message"]
    assert answer["status"] == answer["job"]["status"] == message["status"] == "queued"
    assert message["queue_name"] == "default" and message["metadata"]["replay_count"] == 1
    assert message["last_error"] == message["claimed_at"] == ""
    assert answer["job"]["metadata"]["replay_reason"] == "operator replay"
    told = fail(node, taken(node)["attempt"]["id"])
    assert told["attempt"]["attempt_number"] == 2 and told["status"] == "failed"


def test_a_replay_grants_as_many_attempts_as_the_job_had(node: TrialNode) -> None:
    queued(node, metadata={"max_attempts": 2})
    fail(node, taken(node)["attempt"]["id"])
    job = fail(node, taken(node)["attempt"]["id"])["job"]
    assert job["status"] == "failed"
    node.post("/mesh/queue/replay", {"job_id": job["id"]})
    assert fail(node, taken(node)["attempt"]["id"])["status"] == "retry_wait"
    assert fail(node, taken(node)["attempt"]["id"])["status"] == "failed"


def test_replays_that_cannot_be_are_refused_in_the_protocols_words(node: TrialNode) -> None:
    def replayed(**body: Any) -> Any:
        return node.post("/mesh/queue/replay", body)

    refused(replayed(), 400, "invalid_request", "queue_message_id or job_id is required")
    refused(replayed(queue_message_id="gone"), 404, "not_found", "queue message not found")
    only = "only dead_letter or cancelled queue messages may be replayed"
    job = queued(node)
    refused(replayed(job_id=job["id"]), 409, "invalid_state", only)
    attempt = taken(node)["attempt"]
    refused(replayed(job_id=job["id"]), 409, "invalid_state", only)
    complete(node, attempt["id"])
    refused(replayed(job_id=job["id"]), 409, "invalid_state", only)
    late = dead(node)
    node.advance(86_401)
    refused(replayed(job_id=late["id"]), 409, "invalid_state", "queue replay window has expired")
    never = dead(node, replay_window_seconds=0)
    refused(replayed(job_id=never["id"]), 409, "invalid_state", "queue replay window has expired")
    queued(node, metadata={"resumable": True})
    stopped = fail(node, taken(node)["attempt"]["id"], retryable=False, metadata={"checkpoint": 1})["job"]
    refused(replayed(job_id=stopped["id"]), 409, "invalid_state",
            "checkpointed jobs require /resume or /restart recovery controls")


def test_of_two_replays_the_second_finds_nothing_to_replay(node: TrialNode) -> None:
    job = dead(node)
    assert node.post("/mesh/queue/replay", {"job_id": job["id"]}).status == 200
    assert node.post("/mesh/queue/replay", {"job_id": job["id"]}).status == 409


def test_a_replay_does_not_bring_back_a_dedupe_key_that_is_in_use(node: TrialNode) -> None:
    job = dead(node, dedupe_key="k")
    live = queued(node, dedupe_key="k")
    for answer in (node.post("/mesh/queue/replay", {"job_id": job["id"]}), node.post(f"/mesh/jobs/{job['id']}/restart", {})):
        body = refused(answer, 409, "conflict", "another job with the same dedupe key is live")
        assert body["job_id"] == live["id"]
    assert job_of(node, job["id"])["status"] == "failed"


# --- ack deadline

@pytest.mark.parametrize("body, seconds", [({"ttl_seconds": 720}, 720), ({"ack_deadline_seconds": "600"}, 600),
                                           ({"ttl_seconds": 5}, 60),
                                           ({"ttl_seconds": 0}, 300), ({}, 300)])
@pytest.mark.parametrize("by", ["queue_message_id", "attempt_id"])
def test_a_holder_gets_more_or_less_time(node: TrialNode, by: str, body: Members, seconds: int) -> None:
    queued(node)
    held = taken(node)
    key = held["queue_message"]["id"] if by == "queue_message_id" else held["attempt"]["id"]
    answer = fits("mesh.queue.ack_deadline", node.post("/mesh/queue/ack-deadline", {by: key, "reason": "extend", **body}).json)
    outer = answer["queue_message"]
    inner = outer["queue_message"]
    assert answer["status"] == outer["status"] == "ok" and inner["status"] == "inflight"
    assert inner["ack_deadline_seconds"] == outer["ack_deadline_seconds"] == seconds and outer["id"] == inner["id"]
    assert instant_seconds(inner["visibility_timeout_at"]) == int(node.clock.time()) + seconds
    assert answer["lease"]["expires_at"] == outer["lease"]["expires_at"] == inner["visibility_timeout_at"]
    assert "lock_token" not in repr(answer)
    assert inner["metadata"]["last_ack_deadline_reason"] == "extend"
    assert [event["payload"]["ttl_seconds"] for event in events(node, "mesh.queue.ack_deadline_updated")] == [seconds]


def test_deadlines_that_cannot_move_are_refused_in_the_protocols_words(node: TrialNode) -> None:
    job = queued(node)
    post = lambda **body: node.post("/mesh/queue/ack-deadline", body)      # noqa: E731
    refused(post(), 400, "invalid_request", "queue_message_id or attempt_id is required")
    refused(post(queue_message_id="gone"), 404, "not_found", "queue message not found")
    refused(post(attempt_id="gone"), 404, "not_found", "queue message not found")
    refused(post(queue_message_id=job["queue"]["id"], ttl_seconds=60), 409, "invalid_state",
            "ack deadline can only be updated for inflight queue messages")
    refused(post(queue_message_id=job["queue"]["id"], ttl_seconds="long"), 400, "invalid_request",
            "ttl_seconds must be an integer")


# --- figures

def test_the_counts_are_those_of_the_rows_whatever_happens(node: TrialNode) -> None:
    chance = random.Random(7)
    held: list[Members] = []
    worker(node, "many", ("worker-runtime",), max_concurrent_jobs=1000)
    for step in range(120):
        what = chance.choice(["submit", "submit", "claim", "complete", "fail", "cancel", "replay", "time"])
        if what == "submit":
            queued(node, queue=chance.choice(["a", "b"]), retention_seconds=chance.choice([300, 9000]),
                   metadata={"max_attempts": chance.choice([1, 3])})
        elif what == "claim":
            answer = claim(node, "many")
            held += [answer["attempt"]] if answer["status"] == "claimed" else []
        elif what in ("complete", "fail") and held:
            node.post(f"/mesh/jobs/attempts/{held.pop(chance.randrange(len(held)))['id']}/{what}", {})
        elif what in ("cancel", "replay"):
            found = node.get("/mesh/queue?limit=500").json["messages"]
            if found:
                job_id = chance.choice(found)["job_id"]
                node.post(f"/mesh/jobs/{job_id}/cancel" if what == "cancel" else "/mesh/queue/replay",
                          {"job_id": job_id} if what == "replay" else {})
        elif what == "time":
            node.clock.advance(chance.choice([1, 100, 301]))
        if step % 10 == 9:
            node.get("/mesh/queue")
            kept = {(row["queue_name"], status): row[status] for row in metrics(node)["queues"]
                    for status in metrics(node)["counts"] if row[status]}
            assert kept == counted(node), f"seed 7, step {step}"
            with node.core.reader.snapshot() as connection:
                open_attempts, redelivered = connection.execute(
                    "SELECT (SELECT count(*) FROM mesh_attempt WHERE worker_id = 'many' AND status IN ('claimed', 'running')),"
                    " (SELECT count(*) FROM mesh_queue_message WHERE delivery_attempts > 1)").fetchone()
            assert metrics(node)["redelivery_count"] == redelivered
            many = next(each for each in node.get("/mesh/workers").json["workers"] if each["id"] == "many")
            assert many["active_attempts"] == open_attempts


def test_metrics_say_how_far_the_queue_is_behind(node: TrialNode) -> None:
    assert metrics(node)["pressure"] == "idle" and metrics(node)["oldest_queued_at"] == ""
    first = queued(node)
    found = metrics(node)
    assert (found["pressure"], found["backlog_ratio"], found["oldest_queued_at"]) == (
        "nominal", 1.0, first["queue"]["available_at"])
    queued(node)
    assert (metrics(node)["pressure"], metrics(node)["scheduler_penalty"]) == ("elevated", 90)
    node.post("/mesh/workers/w1/heartbeat", {"status": "paused"})
    found = metrics(node)
    assert (found["pressure"], found["backlog_ratio"], found["workers"]["total_slots"],
            found["workers"]["registered"]) == ("saturated", None, 0, 1)


def test_the_figures_of_the_queue_are_part_of_the_manifest(node: TrialNode) -> None:
    queued(node)
    manifest = node.get("/mesh/manifest").json
    assert manifest["queue_metrics"]["counts"]["queued"] == 1 and manifest["workers"][0]["id"] == "w1"
    complete(node, taken(node)["attempt"]["id"])
    queued(node)
    fail(node, taken(node)["attempt"]["id"])
    reliability = node.get("/mesh/manifest").json["reliability"]
    assert (reliability["completed"], reliability["failed"], reliability["retried"], reliability["source"]) == (
        1, 1, 1, "local_jobs")


def test_a_long_history_costs_nothing_extra(node: TrialNode) -> None:
    """Not a measurement: every statement of a claim and of the figures goes by an index."""
    queued(node)
    for _ in range(3):
        queued(node)
    seen: list[str] = []
    with node.core.reader.snapshot() as connection:
        connection.set_trace_callback(seen.append)
        now = node.core.clock.text()
        for read in (table.head, table.expired, table.outlived, jobs_table.ended_before):
            read(connection, now, 5)
        for simple in (table.oldest, table.counts, table.last_change, jobs_table.last_job):
            simple(connection)
        for timed in (table.next_available, table.anything_due):
            timed(connection, now)
        for state in ("", "queued"):
            table.listed(connection, 5, state)
        for job_id, message_id in (("", ""), ("j", ""), ("", "m")):
            list(table.events(connection, 0, 5, job_id, message_id))
        table.demands(connection, 5)
        table.first_of(connection, "x", now, 5)
        jobs_table.outcomes(connection, 40)
        jobs_table.open_of(connection, "w")
        jobs_table.last_number(connection, "j")
        jobs_table.by_request(connection, "o", "r")
        connection.set_trace_callback(None)
        for statement in {text for text in seen if text.lstrip().upper().startswith(("SELECT", "WITH"))}:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            scans = [line for line in plan if line.startswith("SCAN") and "INDEX" not in line and "mesh_queue_count" not in line
                     and line not in ("SCAN other", "SCAN CONSTANT ROW")]
            sorts = [line for line in plan if "TEMP B-TREE" in line]
            assert not scans and not sorts, f"{statement}\n{plan}"


# --- events

def test_what_happened_to_a_message_is_found_by_job_and_by_message(node: TrialNode) -> None:
    one, other = queued(node), queued(node)
    complete(node, taken(node)["attempt"]["id"])
    every = fits("mesh.queue.events", node.get("/mesh/queue/events").json)
    told = [event["event_type"] for event in every["events"]]
    assert told == ["mesh.queue.enqueued"] * 2 + ["mesh.queue.claimed", "mesh.queue.acked"]
    for query, job in ((f"job_id={one['id']}", one), (f"queue_message_id={other['queue']['id']}", other)):
        found = node.get(f"/mesh/queue/events?{query}").json
        assert {event["payload"]["job_id"] for event in found["events"]} == {job["id"]}
        assert found["filters"] == {"queue_message_id": other["queue"]["id"] if "message" in query else "",
                                    "job_id": one["id"] if "job_id=" in query[:7] else ""}
    assert every["events"][0]["payload"] == {"job_id": one["id"], "queue_message_id": one["queue"]["id"], "queue_name": "default"}


def test_events_are_paged_by_their_number(node: TrialNode) -> None:
    for _ in range(5):
        queued(node)
    first = node.get("/mesh/queue/events?limit=2").json
    assert first["count"] == 2 and first["next_cursor"] == first["events"][-1]["seq"]
    rest = node.get(f"/mesh/queue/events?since={first['next_cursor']}").json
    assert rest["count"] == 3 and node.get(f"/mesh/queue/events?since_seq={first['next_cursor']}").json == rest
    end = node.get("/mesh/queue/events?since=999999").json
    assert (end["count"], end["next_cursor"]) == (0, 999999)
    assert node.get("/mesh/queue/events?since=-5&limit=1").json["count"] == 1
    assert node.get("/mesh/queue/events?since=x").status == 400
    wins = node.get(f"/mesh/queue/events?since=999999&since_seq={first['next_cursor']}").json
    assert wins["count"] == 0


def test_swept_events_take_their_entries_with_them(node: TrialNode) -> None:
    for _ in range(4):
        queued(node)
    node.core.writer.run(lambda connection: node.core.feed.prune(connection, 1))
    with node.core.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM mesh_queue_event").fetchone()[0] <= 1
    assert node.get("/mesh/queue/events").status == 200


def test_queue_reads_are_open_and_show_no_code(node: TrialNode) -> None:
    queued(node, command="echo hidden-word")
    for path in ("/mesh/queue", "/mesh/queue/metrics", "/mesh/queue/events", "/mesh/workers"):
        answer = node.get(path, FROM_LAN)
        assert answer.status == 200 and "hidden-word" not in answer.text
