"""Approvals of a running node."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock, instant_text
from ocp_node.mesh.approvals import room as approvals
from ocp_node.mesh.approvals import rules, table
from ocp_node.mesh.approvals.rules import Decision
from tests.support.node import FROM_LAN, Answer, TrialNode
from tests.support.replies import fits

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def ask(node: TrialNode, **wanted: Any) -> Members:
    answer = node.post("/mesh/approvals/request", {"title": "t", **wanted})
    assert answer.status == 200, answer
    return fits("mesh.approvals.request", answer.json)


def resolve(node: TrialNode, approval_id: str, decision: str, **more: Any) -> Members:
    answer = node.post(f"/mesh/approvals/{approval_id}/resolve", {"decision": decision, **more})
    assert answer.status == 200, answer
    return fits("mesh.approvals.resolve", answer.json)


def listed(node: TrialNode, query: str = "") -> list[Members]:
    return fits("mesh.approvals.list", node.get(f"/mesh/approvals{query}").json)["approvals"]


def notifications(node: TrialNode) -> dict[str, Members]:
    return {each["id"]: each for each in node.get("/mesh/notifications").json["notifications"]}


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event["payload"] for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


def in_seconds(node: TrialNode, seconds: float) -> str:
    return instant_text(node.clock.time() + seconds)


class Acts:
    """What was carried out."""

    def __init__(self, result: Members | None = None) -> None:
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []
        self._result = result

    def __call__(self, connection: Any, approval: Members, decision: str, metadata: Mapping[str, Any]) -> Members | None:
        self.told.append((approval["id"], decision, metadata))
        return self._result


def test_asking_tells_somebody_and_says_so(node: TrialNode) -> None:
    asked = ask(node, request_id="r-1", action_type="Job.Recovery.Resume", severity="high", target_peer_id="watch-node")
    approval, notification = asked["approval"], asked["notification"]
    assert asked["status"] == approval["status"] == "pending" and approval["notification_id"] == notification["id"]
    assert notification["related_approval_id"] == approval["id"] and notification["priority"] == "high"
    assert notification["metadata"]["action_type"] == "Job.Recovery.Resume" and approval["action_type"] == "job.recovery.resume"
    assert events(node, "mesh.approval.requested") == [{"approval_id": approval["id"], "action_type": "job.recovery.resume",
                                                        "target_peer_id": "watch-node", "severity": "high"}]


def test_asking_twice_under_one_name_asks_once(node: TrialNode) -> None:
    first = ask(node, request_id="r-1")
    again = ask(node, request_id="r-1", title="Other")
    assert again["approval"] == {**first["approval"], "deduped": True} and again.get("notification") is None
    resolve(node, first["approval"]["id"], "rejected")
    assert ask(node, request_id="r-1")["status"] == "rejected"
    assert len(listed(node)) == 1
    assert len({ask(node)["approval"]["id"], ask(node)["approval"]["id"]}) == 2          # no name, no repetition


def test_a_decision_is_told_to_the_asker_and_ends_the_notice(node: TrialNode) -> None:
    asked = ask(node, requested_by_peer_id="beta-node", requested_by_agent_id="agent-b", related_job_id="j-1")
    done = resolve(node, asked["approval"]["id"], "Approved", reason="go", operator_peer_id="me", metadata={"k": 1})
    assert done["status"] == done["approval"]["status"] == "approved"
    told = done["notification"]
    assert (told["title"], told["body"], told["target_peer_id"], told["related_approval_id"]) == (
        "Approval approved", "t", "beta-node", asked["approval"]["id"])
    assert done["automation"] == {"status": "ignored", "reason": "not_autonomous_offload"}
    notice = notifications(node)[asked["notification"]["id"]]
    assert notice["status"] == "acked" and notice["metadata"]["last_ack_reason"] == "approval_approved"
    assert events(node, "mesh.approval.resolved") == [{"approval_id": asked["approval"]["id"], "decision": "approved"}]


def test_a_second_decision_changes_nothing_but_a_deferred_one_can_be_made(node: TrialNode) -> None:
    acts = Acts({"status": "applied"})
    node.rooms["mesh.approvals"].on_resolved("trial", acts)
    approval_id = ask(node, action_type="trial")["approval"]["id"]
    assert resolve(node, approval_id, "deferred")["automation"] == {"status": "applied"}
    assert "automation" not in resolve(node, approval_id, "deferred")
    assert resolve(node, approval_id, "rejected")["status"] == "rejected"
    late = resolve(node, approval_id, "approved")
    assert late["status"] == "rejected" and "automation" not in late and "notification" not in late
    assert [decision for _, decision, _ in acts.told] == ["deferred", "rejected"]


def test_of_two_who_decide_at_once_exactly_one_is_heard(node: TrialNode) -> None:
    room, acts = node.rooms["mesh.approvals"], Acts({"status": "applied"})
    room.on_resolved("trial", acts)
    for _ in range(10):
        approval_id = ask(node, action_type="trial")["approval"]["id"]
        answers: list[Answer] = []
        start = threading.Barrier(2)

        def decide(word: str, name: str = approval_id, into: list[Answer] = answers, start: threading.Barrier = start) -> None:
            start.wait()
            into.append(node.post(f"/mesh/approvals/{name}/resolve", {"decision": word}))

        both = [threading.Thread(target=decide, args=(word,)) for word in ("approved", "rejected")]
        for each in both: each.start()
        for each in both: each.join()
        assert sorted("automation" in answer.json for answer in answers) == [False, True]
        assert len({answer.json["status"] for answer in answers}) == 1
    assert len(acts.told) == len({approval_id for approval_id, _, _ in acts.told}) == 10


def test_what_an_act_refuses_is_not_decided(node: TrialNode) -> None:
    from ocp_node.base.errors import Refusal

    def act(*_: Any) -> None:
        raise Refusal("conflict", "not now")

    node.rooms["mesh.approvals"].on_resolved("trial", act)
    approval_id = ask(node, action_type="trial")["approval"]["id"]
    answer = node.post(f"/mesh/approvals/{approval_id}/resolve", {"decision": "approved"})
    assert (answer.status, answer.json["error"]) == (409, "not now")
    assert listed(node)[0]["status"] == "pending" and events(node, "mesh.approval.resolved") == []


# --- time

def test_time_decides_and_the_owner_acts_on_it(node: TrialNode) -> None:
    acts = Acts()
    node.rooms["mesh.approvals"].on_resolved("trial", acts)
    asked = ask(node, action_type="trial", expires_at=in_seconds(node, 60))
    node.advance(60)
    assert listed(node)[0]["status"] == "pending"
    node.advance(1)
    node.until(lambda: events(node, "mesh.approval.expired"), "the expiry")
    assert acts.told == [(asked["approval"]["id"], "expired", {})]
    assert notifications(node)[asked["notification"]["id"]]["metadata"]["last_ack_reason"] == "approval_expired"
    (approval,) = listed(node, "?status=expired")
    assert approval["resolution"] == {"decision": "expired", "resolved_at": approval["expires_at"]}
    assert listed(node, "?status=pending") == []


def test_an_expired_approval_is_never_shown_as_pending_nor_decided(node: TrialNode) -> None:
    asked = ask(node, expires_at=in_seconds(node, 60))
    assert isinstance(node.clock, SetClock)
    node.clock.advance(61)                                     # the sweep sleeps on
    assert [each["status"] for each in listed(node)] == ["expired"]
    assert listed(node, "?status=pending") == [] and len(listed(node, "?status=expired")) == 1
    assert node.rooms["mesh.approvals"].pending_count() == 0
    late = resolve(node, asked["approval"]["id"], "approved")
    assert late["status"] == "expired" and "automation" not in late


def test_approvals_run_out_after_a_restart_though_nobody_asks(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path, clock=clock) as node:
        ask(node, expires_at=in_seconds(node, 60))
    clock.advance(120)
    with TrialNode(tmp_path, clock=clock) as node:
        node.until(lambda: events(node, "mesh.approval.expired"), "the expiry")


def test_one_owner_that_fails_does_not_keep_others_from_expiring(node: TrialNode) -> None:
    from ocp_node.base.errors import Refusal

    def act(*_: Any) -> None:
        raise Refusal("conflict", "not now")

    room = node.rooms["mesh.approvals"]
    room.on_resolved("stubborn", act)
    ask(node, action_type="stubborn", expires_at=in_seconds(node, 10))
    other = ask(node, expires_at=in_seconds(node, 20))["approval"]
    node.advance(30)
    node.until(lambda: events(node, "mesh.approval.expired") == [{"approval_id": other["id"]}], "the other expiry")
    assert {each["status"] for each in listed(node)} == {"expired"}


def test_an_owner_that_fails_is_not_asked_again_and_again(node: TrialNode) -> None:
    from ocp_node.base.errors import Refusal

    def act(*_: Any) -> None:
        raise Refusal("conflict", "not now")

    room = node.rooms["mesh.approvals"]
    room.on_resolved("stubborn", act)
    ask(node, action_type="stubborn", expires_at=in_seconds(node, 10))
    assert room._sweep() == pytest.approx(11.0)
    assert isinstance(node.clock, SetClock)
    node.clock.advance(30)
    assert room._sweep() == 60.0
    ask(node, expires_at=in_seconds(node, 20))
    assert room._sweep() == pytest.approx(21.0)                # what runs out before that is not kept waiting


# --- for other rooms

def test_a_settled_question_is_asked_anew_where_the_asker_wants_it(node: TrialNode) -> None:
    room = node.rooms["mesh.approvals"]

    def again(afresh: tuple[str, ...]) -> Members:
        wanted = {"title": "t", "request_id": "r"}
        return node.core.writer.run(lambda connection: room.request(connection, wanted, afresh))["approval"]

    first = again(())
    assert again(("approved",))["id"] == first["id"]                              # still pending
    resolve(node, first["id"], "approved")
    second = again(("approved",))
    assert second["request_id"] == "r-2" and again(("approved",))["id"] == second["id"] and again(())["id"] == first["id"]
    resolve(node, second["id"], "approved")
    assert again(("approved",))["request_id"] == "r-3"


def test_a_withdrawn_question_needs_no_answer(node: TrialNode) -> None:
    acts = Acts({"status": "applied"})
    room = node.rooms["mesh.approvals"]
    room.on_resolved("trial", acts)
    asked = ask(node, request_id="r", action_type="trial")
    node.core.writer.run(lambda connection: room.withdraw(connection, "r", "gone"))
    (approval,) = listed(node)
    assert approval["status"] == "expired" and approval["resolution"]["reason"] == "gone" and acts.told == []
    assert notifications(node)[asked["notification"]["id"]]["status"] == "acked"


def test_decisions_can_be_made_and_read_from_within(node: TrialNode) -> None:
    approval = ask(node)["approval"]
    approval_id, room = approval["id"], node.rooms["mesh.approvals"]
    with node.core.reader.snapshot() as connection:
        assert room.find(connection, approval_id) == approval and room.find(connection, "nope") is None
    made = node.core.writer.run(lambda connection: room.resolve(connection, approval_id, Decision("approved")))
    assert made["status"] == "approved"


# --- lists, refusals, bounds

def test_lists_are_narrowed_and_bounded(node: TrialNode) -> None:
    for number in range(3):
        ask(node, title=f"t{number}", target_peer_id=f"p{number % 2}", target_agent_id="a" if number == 2 else "")
    resolve(node, listed(node, "?target_agent_id=a")[0]["id"], "approved")

    def titles(query: str) -> list[str]:
        return [each["title"] for each in listed(node, query)]

    assert titles("") == ["t2", "t1", "t0"] and titles("?limit=0") == ["t2"]
    assert titles("?target_peer_id=p0") == ["t2", "t0"] and titles("?target_peer_id=p0&status=approved") == ["t2"]
    assert titles("?status=bogus") == ["t1", "t0"]                               # an unknown word counts as pending


@pytest.mark.parametrize("path, body, status, error", [
    ("/mesh/approvals/request", {}, 400, "approval title is required"),
    ("/mesh/approvals/request", {"title": "t", "expires_at": "soon"}, 400, "expires_at must be an ISO-8601 timestamp"),
    ("/mesh/approvals/request", {"title": "t", "target_device_classes": "full"}, 400, "target_device_classes must be an array"),
    ("/mesh/approvals/nope/resolve", {"decision": "approved"}, 404, "approval not found"),
    ("/mesh/approvals/known/resolve", {"decision": "maybe"}, 400, "unsupported approval decision"),
    ("/mesh/approvals/known/resolve", {}, 400, "unsupported approval decision"),
    ("/mesh/approvals/known/resolve", {"decision": "approved", "metadata": [1]}, 400, "metadata must be an object"),
])
def test_refusals_have_the_words_of_the_protocol(node: TrialNode, path: str, body: Members, status: int, error: str) -> None:
    known = ask(node)["approval"]["id"]
    answer = node.post(path.replace("known", known), body)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert listed(node)[0]["status"] == "pending"


def test_only_operators_ask_and_decide(node: TrialNode) -> None:
    known = ask(node)["approval"]["id"]
    assert node.post("/mesh/approvals/request", {"title": "t"}, FROM_LAN).status == 401
    assert node.post(f"/mesh/approvals/{known}/resolve", {"decision": "approved"}, FROM_LAN).status == 401
    assert node.get("/mesh/approvals", FROM_LAN).json["approvals"][0]["status"] == "pending"


def test_settled_approvals_make_room_and_open_ones_do_not(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approvals, "KEPT_MAX", 20)
    monkeypatch.setattr(approvals, "DROPPED", 5)
    for number in range(30):
        resolve(node, ask(node, title=f"t{number}")["approval"]["id"], "approved")
        assert len(listed(node, "?limit=500")) <= 20
    for number in range(20):
        ask(node, title=f"open{number}")
    answer = node.post("/mesh/approvals/request", {"title": "one more"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "600")
    assert [each["title"] for each in listed(node, "?limit=500")] == [f"open{number}" for number in range(19, -1, -1)]
    resolve(node, listed(node)[0]["id"], "approved")
    ask(node, title="fits again")


def test_lists_of_a_full_table_use_their_indexes(node: TrialNode) -> None:
    queries = {"status = 'pending' AND (expires_at = '' OR expires_at >= 'x')": "mesh_approval_status", "status = 'approved'":
               "mesh_approval_status", "target_peer_id = 'p' AND target_peer_id <> ''": "mesh_approval_peer",
               "target_agent_id = 'a' AND target_agent_id <> ''": "mesh_approval_agent"}
    with node.core.reader.snapshot() as connection:
        for where, index in queries.items():
            plan = " ".join(row[3] for row in connection.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM mesh_approval WHERE {where} ORDER BY number DESC LIMIT 5"))
            assert "TEMP B-TREE" not in plan and index in plan, (where, plan)


def test_looking_for_what_runs_out_costs_nothing_for_what_does_not(node: TrialNode) -> None:
    """Ten thousand questions without an end are not looked at again and again."""
    def fill(connection: Any) -> None:
        for number in range(2_000):
            table.add(connection, rules.requested({"title": "t"}, f"a-{number}", "2026-01-01T00:00:00Z"))

    node.core.writer.run(fill)
    ask(node, expires_at=in_seconds(node, 60))
    with node.core.reader.snapshot() as connection:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(count, 100)
        try:
            assert table.next_expiry(connection) == in_seconds(node, 60)
            assert table.due(connection, in_seconds(node, 30), 10) == []
            assert table.newest(connection, 10, in_seconds(node, 30), "expired") == []
            assert len(table.newest(connection, 10, in_seconds(node, 30), "pending")) == 10
        finally:
            connection.set_progress_handler(None, 0)
        assert steps < 20, "hundreds of steps of SQLite's machine, not thousands of rows"
