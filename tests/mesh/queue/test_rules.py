"""Queue messages: every state, every event; policies and figures."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.queue import rules

TABLE = {
    #              claim      complete  retry    bury         expire   cancel      recover  replay   extend
    "queued":      "inflight   -         -        -            -        cancelled   queued   -        -",
    "inflight":    "-          acked     queued   dead_letter  queued   cancelled   -        -        inflight",
    "acked":       "-          -         -        -            -        -           -        -        -",
    "dead_letter": "-          -         -        -            -        cancelled   queued   queued   -",
    "cancelled":   "-          -         -        -            -        -           queued   queued   -",
}
CASES = [(state, event, after) for state, row in TABLE.items() for event, after in zip(rules.EVENTS, row.split(), strict=True)]


@pytest.mark.parametrize("state, event, after", CASES)
def test_a_message_moves_as_the_protocol_says_and_no_other_way(state: str, event: str, after: str) -> None:
    if after == "-":
        with pytest.raises(Refusal) as caught:
            rules.step(state, event)
        assert caught.value.code == "invalid_state"
        if event in rules.REFUSALS:
            assert caught.value.message == rules.REFUSALS[event]
    else:
        assert rules.step(state, event) == after


def test_the_table_names_no_other_state_or_event() -> None:
    assert set(TABLE) == set(rules.STATES) and {event for _, event in rules.STEPS} == set(rules.EVENTS)


@pytest.mark.parametrize("job, metadata, placement, name", [
    ({}, {}, {}, "default"), ({"queue": " Fast "}, {"queue_name": "b"}, {"queue_class": "c"}, "fast"),
    ({}, {"queue_name": "B"}, {"queue_class": "c"}, "b"), ({}, {}, {"queue_class": "batch"}, "batch"),
])
def test_a_job_names_its_queue(job: dict, metadata: dict, placement: dict, name: str) -> None:
    assert rules.name_of(job, metadata, placement) == name


@pytest.mark.parametrize("job, metadata, policy", [
    ({}, {}, (300, 604_800, 86_400, "q.dlq")),
    ({"ack_deadline_seconds": 5, "retention_seconds": 1}, {}, (60, 300, 86_400, "q.dlq")),
    ({"ack_deadline_seconds": 100}, {"ack_deadline_seconds": 200, "queue_policy": {"ack_deadline_seconds": "600"}},
     (600, 604_800, 86_400, "q.dlq")),
    ({}, {"queue_policy": {"replay_window_seconds": 0, "dead_letter_queue": "critical.dlq"}}, (300, 604_800, 0, "critical.dlq")),
    ({"replay_window_seconds": -5, "dead_letter_queue": "d"}, {"queue_policy": {"ack_deadline_seconds": 0}},
     (300, 604_800, 0, "d")),
    ({"ack_deadline_seconds": 10**9}, {}, (86_400, 604_800, 86_400, "q.dlq")),
])
def test_the_first_source_that_names_a_value_decides(job: dict, metadata: dict, policy: tuple) -> None:
    found = rules.policy_of(job, metadata, "q")
    assert (found["ack_deadline_seconds"], found["retention_seconds"], found["replay_window_seconds"],
            found["dead_letter_queue"]) == policy


@pytest.mark.parametrize("queued, inflight, slots, free, level", [
    (0, 0, 0, 0, "idle"), (0, 3, 3, 0, "nominal"), (1, 0, 0, 0, "saturated"), (1, 0, 1, 1, "nominal"), (2, 0, 1, 1, "elevated"),
    (4, 0, 1, 1, "saturated"), (3, 0, 1, 1, "elevated"), (1, 3, 3, 0, "nominal"), (2, 3, 3, 0, "elevated"),
    (10, 0, 3, 3, "saturated"),
    (9, 0, 3, 3, "elevated"), (0, 1, 0, 0, "nominal"),
])
def test_pressure_follows_what_waits_and_who_is_free(queued: int, inflight: int, slots: int, free: int, level: str) -> None:
    assert rules.pressure(queued, inflight, slots, free) == level


def test_metrics_are_put_together_from_kept_counts() -> None:
    found = rules.metrics("node", [("b", "queued", 3), ("a.dlq", "dead_letter", 1), ("b", "inflight", 2)], 4, 3, 2, "then", 5)
    assert found["counts"] == {"queued": 3, "inflight": 2, "acked": 0, "dead_letter": 1, "cancelled": 0}
    assert [(row["queue_name"], row["total"]) for row in found["queues"]] == [("a.dlq", 1), ("b", 5)]
    assert (found["pressure"], found["backlog_ratio"], found["scheduler_penalty"], found["redelivery_count"]) == ("elevated", 1.0,
                                                                                                                  90, 5)
    assert rules.metrics("node", [], 0, 0, 0, "", 0)["backlog_ratio"] is None


def test_a_demand_is_the_same_text_for_the_same_needs() -> None:
    one = rules.demand("shell.command", "n", {"capabilities": ["a", "b"],
                                              "resources": {"memory_mb": 5, "cpu": 1, "gpu_class": "cuda", "gpus": 0}})
    other = rules.demand("shell.command", "n", {"capabilities": ["a", "b"], "resources": {"cpu": 1, "memory_mb": 5}})
    assert one == other
    assert rules.needs(one) == rules.Needs("shell.command", "n", frozenset({"a", "b"}), {"cpu": 1, "memory_mb": 5})


@pytest.mark.parametrize("given, usual, seconds", [(0, 300, 300), (120, 300, 120), (5, 300, 60), (-9, 20, 60),
                                                   (10**9, 300, 86_400)])
def test_a_claim_holds_at_least_a_minute(given: int, usual: int, seconds: int) -> None:
    assert rules.lease_seconds(given, usual) == seconds


def test_a_key_longer_than_any_name_is_refused() -> None:
    with pytest.raises(Refusal):
        rules.dedupe_key({"dedupe_key": "x" * 501}, {})
    found: Any = rules.dedupe_key({}, {"dedupe_key": " k "})
    assert found == "k"
