"""Alive, ready, measured."""

import types

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.measures import Measures
from ocp_node.node.health import rules
from ocp_node.node.health.room import Health, ready
from ocp_node.store import facts
from tests.support.node import TrialNode


@pytest.mark.parametrize("checks, status", [
    ({"a": {"ok": True}}, 200), ({"a": {"ok": True}, "b": {"ok": False}}, 503), ({}, 200)])
def test_one_failed_check_makes_the_node_unready(checks, status):
    assert rules.verdict(checks)[1] == status


@pytest.mark.parametrize("check, holds", [
    (rules.disk(1 << 30), True), (rules.disk(1 << 20), False), (rules.clock(1.8e9), True), (rules.clock(0.0), False),
    (rules.database("", 0), True), (rules.database("disk I/O error", 0), False), (rules.database("", 4000), False), (rules.workers(512, 512), False)])
def test_what_each_check_wants(check, holds):
    assert check["ok"] is holds and "I/O" not in str(check)


def test_a_fresh_node_is_alive_ready_and_counts_what_it_answers(tmp_path):
    with TrialNode(tmp_path) as node:
        assert node.get("/healthz").json == {"status": "ok"}
        answer = node.get("/readyz")
        assert answer.status == 200 and answer.json["status"] == "ready" and set(answer.json["checks"]) == {"database", "disk", "clock", "workers"}
        text = node.get("/metrics").text
        assert 'ocp_http_requests_total{route="node.health.live",status="200"} 1\n' in text
        assert "# TYPE ocp_http_connections gauge" in text and str(tmp_path) not in text


class Tried:
    """A writer that could not store the last group, and what it is asked to store since."""
    trouble, waiting, commits = "database or disk is full", 0, 0

    def __init__(self):
        self.changes = []

    def submit(self, change, settle):
        self.changes.append(change)


def test_a_store_that_failed_is_tried_again_though_nobody_sends_a_change(tmp_path):
    clock, writer = SetClock(1_800_000_000), Tried()
    core = types.SimpleNamespace(clock=clock, writer=writer, edge=None, data=tmp_path, measures=Measures())
    health = Health(core)
    assert [ready(health, None).status for _ in range(3)] == [503] * 3 and len(writer.changes) == 1
    clock.advance(rules.TRY_STORE_SECONDS)
    assert ready(health, None).status == 503 and len(writer.changes) == 2
    writer.trouble = ""
    clock.advance(rules.TRY_STORE_SECONDS)
    assert ready(health, None).status == 200 and len(writer.changes) == 2

    with TrialNode(tmp_path / "node") as node:
        node.core.writer.run(writer.changes[0])
        with node.core.reader.snapshot() as connection:
            assert facts.get(connection, "node.store_tried_at")
