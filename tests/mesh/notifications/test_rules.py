"""Notifications: words, short forms, what follows what."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.notifications import rules

NOW, LATER = "2026-11-21T21:13:40Z", "2026-11-21T21:14:00Z"
LONG_TITLE = "Long running job completed on the relay node in the garage"


def made(**wanted: Any) -> rules.Notification:
    return rules.published({"title": "t", **wanted}, "n-1", NOW)


@pytest.mark.parametrize("text, length, short", [
    ("", 48, ""), ("a" * 48, 48, "a" * 48), ("a" * 49, 48, "a" * 47 + "…"), ("  padded  ", 8, "padded"),
    (LONG_TITLE, 48, "Long running job completed on the relay node in…"),        # the blank before the cut is dropped
])
def test_a_text_is_shortened_to_its_place(text: str, length: int, short: str) -> None:
    assert rules.shortened(text, length) == short


@pytest.mark.parametrize("word, found", [("HIGH", "high"), ("urgent", "normal"), ("", "normal"), (None, "normal"),
                                         ("critical", "critical")])
def test_an_unknown_priority_counts_as_normal(word: Any, found: str) -> None:
    assert made(priority=word).priority == found


def test_what_is_published_is_unread_and_has_both_forms() -> None:
    notification = made(title=f" {LONG_TITLE} ", body="b", notification_type="Job.Summary",
                        target_device_classes=["Micro", "micro", ""])
    assert notification.status == "unread" and notification.acked_at == "" and notification.notification_type == "job.summary"
    assert notification.target_device_classes == ["micro"] and notification.compact_body == "b"
    shown = rules.notification_json(notification)
    assert shown["presentation"] == {"compact": True, "compact_title": notification.compact_title, "compact_body": "b"}
    assert not rules.notification_json(made(target_device_classes=["full"]))["presentation"]["compact"]


def test_given_short_forms_are_kept() -> None:
    notification = made(compact_title="ct", compact_body="cb")
    assert (notification.compact_title, notification.compact_body) == ("ct", "cb")


@pytest.mark.parametrize("wanted, text", [
    ({"title": "  "}, "notification title is required"), ({"title": "x" * 513}, "title must be at most 512 characters"),
    ({"title": "x", "metadata": {"k": "v" * 65_536}}, "metadata is larger than 65536 bytes"),
    ({"title": "x", "target_device_classes": "full"}, "target_device_classes must be an array"),
    ({"title": "x", "body": 7}, "body must be a string"),
])
def test_what_cannot_be_shown_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as caught:
        rules.published(wanted, "n-1", NOW)
    assert (caught.value.code, caught.value.message) == ("invalid_request", text)


@pytest.mark.parametrize("before", rules.STATUSES)
@pytest.mark.parametrize("after", rules.STATUSES)
def test_any_status_follows_any_other_and_only_unread_has_no_time(before: str, after: str) -> None:
    known = made()._replace(status=before, acked_at="" if before == "unread" else NOW)
    changed = rules.acknowledged(known, after, "p", "a", "because", LATER)
    assert (changed.status, changed.updated_at, changed.acked_at) == (after, LATER, "" if after == "unread" else LATER)
    assert changed.metadata == {"last_actor_peer_id": "p", "last_actor_agent_id": "a", "last_ack_reason": "because"}


@pytest.mark.parametrize("word, status", [(None, "acked"), ("", "acked"), (" Dismissed ", "dismissed"), ("unread", "unread")])
def test_an_acknowledgement_names_a_status(word: Any, status: str) -> None:
    assert rules.asked_status(word) == status


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(Refusal, match="unsupported notification status"):
        rules.asked_status("seen")


@pytest.mark.parametrize("word, status", [("", ""), ("acked", "acked"), ("ACKED ", "acked"), ("bogus", "unread")])
def test_a_list_is_narrowed_to_a_status(word: str, status: str) -> None:
    assert rules.filter_status(word) == status
