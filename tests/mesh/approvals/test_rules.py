"""Approvals: how they are asked for, and which decision moves them where."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.approvals import rules
from ocp_node.mesh.approvals.rules import Approval, Decision

NOW, LATER, LONG_AGO = "2026-11-21T21:13:40Z", "2026-11-21T22:00:00Z", "2020-01-01T00:00:00Z"


def asked(**wanted: Any) -> Approval:
    return rules.requested({"title": "t", **wanted}, "a-1", NOW)


def test_what_is_asked_is_pending_and_normalised() -> None:
    approval = asked(action_type="Job.Recovery.Resume", severity="URGENT", target_device_classes=["Micro"], summary=" s ",
                     expires_at="2026-11-21T23:00:00.5+01:00")
    assert (approval.status, approval.action_type, approval.severity) == ("pending", "job.recovery.resume", "normal")
    assert (approval.compact_summary, approval.target_device_classes, approval.expires_at) == ("s", ["micro"], LATER)
    assert asked().action_type == "operator_action" and asked().compact_summary == "t"


@pytest.mark.parametrize("wanted, text", [
    ({"title": ""}, "approval title is required"), ({"expires_at": "tomorrow"}, "expires_at must be an ISO-8601 timestamp"),
    ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at must be an ISO-8601 timestamp"),        # in UTC a year of five digits
    ({"expires_at": 7}, "expires_at must be an ISO-8601 timestamp"), ({"metadata": "m"}, "metadata must be an object"),
    ({"summary": "s" * 16_385}, "summary must be at most 16384 characters"),
])
def test_what_cannot_be_asked_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as caught:
        asked(**wanted)
    assert (caught.value.code, caught.value.message) == ("invalid_request", text)


@pytest.mark.parametrize("severity, priority", [("critical", "critical"), ("high", "high"), ("low", "normal"), ("", "normal")])
def test_the_notice_is_as_urgent_as_the_question(severity: str, priority: str) -> None:
    notice = rules.notice(asked(severity=severity), "As.Written")
    assert notice["priority"] == priority and notice["related_approval_id"] == "a-1"
    assert notice["metadata"] == {"action_type": "As.Written", "approval_request": True}


TABLE = {("pending", "approved"): "approved", ("pending", "rejected"): "rejected", ("pending", "deferred"): "deferred",
         ("deferred", "approved"): "approved", ("deferred", "rejected"): "rejected"}


@pytest.mark.parametrize("status", rules.STATUSES)
@pytest.mark.parametrize("word", rules.DECISIONS)
def test_the_first_decision_stands_unless_it_was_put_off(status: str, word: str) -> None:
    settled = rules.resolved(asked()._replace(status=status), Decision(word, "why", "p", "a", {"k": 1}), LATER)
    assert (settled.status if settled else None) == TABLE.get((status, word))
    if settled is not None:
        resolution = {"decision": word, "reason": "why", "operator_peer_id": "p", "operator_agent_id": "a", "metadata": {"k": 1},
                      "resolved_at": LATER}
        assert settled.resolution == resolution and settled.metadata == {"last_resolution": resolution}
        assert settled.resolved_at == settled.updated_at == LATER


@pytest.mark.parametrize("word", ["", "maybe", "expired", "pending"])
def test_only_the_three_decisions_are_decisions(word: str) -> None:
    with pytest.raises(Refusal, match="unsupported approval decision"):
        rules.resolved(asked(), Decision(word), LATER)
    assert rules.resolved(asked()._replace(status="approved"), Decision(word), LATER) is None        # nothing left to decide


@pytest.mark.parametrize("status, expires_at, now, status_now", [
    ("pending", "", LATER, "pending"), ("pending", LATER, NOW, "pending"), ("pending", LATER, LATER, "pending"),
    ("pending", NOW, LATER, "expired"), ("deferred", NOW, LATER, "deferred"), ("approved", NOW, LATER, "approved"),
])
def test_time_ends_what_nobody_decided(status: str, expires_at: str, now: str, status_now: str) -> None:
    assert rules.as_of(asked()._replace(status=status, expires_at=expires_at), now).status == status_now


def test_an_approval_ends_when_it_said_but_not_before_it_began() -> None:
    assert rules.expired(asked(expires_at=LATER)).resolution == {"decision": "expired", "resolved_at": LATER}
    assert rules.expired(asked(expires_at=LONG_AGO)).resolved_at == NOW


@pytest.mark.parametrize("metadata, owner", [({}, "x.y"), ({"autonomous_offload": {}}, "autonomous.offload")])
def test_helpers_act_on_whatever_describes_an_offload(metadata: dict[str, Any], owner: str) -> None:
    assert rules.acting_type(asked(action_type="X.Y", metadata=metadata)) == owner


@pytest.mark.parametrize("word, status", [("", ""), ("Approved", "approved"), ("bogus", "pending")])
def test_a_list_is_narrowed_to_a_status(word: str, status: str) -> None:
    assert rules.filter_status(word) == status
