"""Notifications: their words, their short forms for small screens, and how they are read (OCP 0.1 notifications); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..values import members, text, unique, words

Members = dict[str, Any]

UNREAD, ACKED, DISMISSED = "unread", "acked", "dismissed"
STATUSES = (UNREAD, ACKED, DISMISSED)          # any of them may follow any other
PRIORITIES = ("low", "normal", "high", "critical")
SMALL = frozenset({"light", "micro"})          # device classes that show the compact form
COMPACT_TITLE_LENGTH = 48
COMPACT_BODY_LENGTH = 96
TITLE_LENGTH_MAX = 512
BODY_LENGTH_MAX = 16_384
METADATA_BYTES_MAX = 65_536
NAMES = ("target_peer_id", "target_agent_id", "related_job_id", "related_approval_id")


class Notification(NamedTuple):
    """A notification as it is stored."""
    id: str
    notification_type: str
    priority: str
    title: str
    body: str
    compact_title: str
    compact_body: str
    status: str
    target_peer_id: str
    target_agent_id: str
    target_device_classes: list[str]
    related_job_id: str
    related_approval_id: str
    metadata: Members
    created_at: str
    updated_at: str
    acked_at: str


def shortened(value: str, length: int) -> str:
    """The text, trimmed, in at most `length` characters; what was cut off is an ellipsis."""
    value = value.strip()
    return value if len(value) <= length else value[:length - 1].rstrip(" ") + "…"


def priority(word: object) -> str:
    """The priority, or severity, that a word names; an unknown one counts as normal."""
    found = text(word, "priority", TITLE_LENGTH_MAX).lower()
    return found if found in PRIORITIES else "normal"


def tokens(value: object, field: str) -> list[str]:
    """A list of words, lower-case, each once."""
    return unique(word.lower() for word in words(value, field))


def bounded_metadata(value: object, field: str = "metadata") -> Members:
    """An object of at most 64 KiB."""
    found = members(value, field)
    if len(jsontext.ascii_text(found)) > METADATA_BYTES_MAX:
        raise Refusal("invalid_request", f"{field} is larger than {METADATA_BYTES_MAX} bytes")
    return found


def published(wanted: Mapping[str, Any], notification_id: str, now: str) -> Notification:
    """The notification that somebody wants to be shown."""
    title = text(wanted.get("title"), "title", TITLE_LENGTH_MAX)
    if not title:
        raise Refusal("invalid_request", "notification title is required")
    body = text(wanted.get("body"), "body", BODY_LENGTH_MAX)
    compact_title = text(wanted.get("compact_title"), "compact_title", TITLE_LENGTH_MAX)
    compact_body = text(wanted.get("compact_body"), "compact_body", BODY_LENGTH_MAX)
    return Notification(
        id=notification_id, notification_type=text(wanted.get("notification_type"), "notification_type").lower() or "info",
        priority=priority(wanted.get("priority")), title=title, body=body,
        compact_title=compact_title or shortened(title, COMPACT_TITLE_LENGTH),
        compact_body=compact_body or shortened(body, COMPACT_BODY_LENGTH), status=UNREAD,
        target_device_classes=tokens(wanted.get("target_device_classes"), "target_device_classes"),
        **{name: text(wanted.get(name), name) for name in NAMES},
        metadata=bounded_metadata(wanted.get("metadata")), created_at=now, updated_at=now, acked_at="")


def asked_status(word: object) -> str:
    """What an acknowledgement makes of a notification; `Refusal` for a word that is none."""
    found = text(word, "status").lower() or ACKED
    if found not in STATUSES:
        raise Refusal("invalid_request", "unsupported notification status")
    return found


def filter_status(word: str) -> str:
    """The status that a list is narrowed to, "" for all; an unknown word counts as unread."""
    found = word.strip().lower()
    return found if found in STATUSES or not found else UNREAD


def acknowledged(known: Notification, status: str, actor_peer_id: str, actor_agent_id: str, reason: str,
                 now: str) -> Notification:
    """The notification after somebody dealt with it."""
    noted = {"last_actor_peer_id": actor_peer_id, "last_actor_agent_id": actor_agent_id, "last_ack_reason": reason}
    return known._replace(status=status, metadata={**known.metadata, **noted}, updated_at=now,
                          acked_at="" if status == UNREAD else now)


def notification_json(notification: Notification) -> Members:
    """The notification as it is shown."""
    shown = notification._asdict()
    compact = not SMALL.isdisjoint(notification.target_device_classes)
    presentation = {"compact": compact, "compact_title": notification.compact_title, "compact_body": notification.compact_body}
    return {**shown, "presentation": presentation}
