"""What travels under `/mesh/notifications`."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class Listing:
    """Which notifications to list."""
    limit: int = wire(default=25, about="at most so many, newest first")
    status: str = wire(default="", length_max=40, about="unread, acked or dismissed; an unknown word counts as unread")
    target_peer_id: str = wire(default="", length_max=200, about="only those sent to this node by name")
    target_agent_id: str = wire(default="", length_max=200, about="only those sent to this agent by name")


@record
class Publish:
    """What to tell, and whom."""
    title: str | None = wire(default=None, length_max=512, about="required")
    notification_type: str | None = wire(default=None, length_max=200, about="info if not given")
    priority: str | None = wire(default=None, length_max=40, about="low, normal, high or critical; another word counts as normal")
    body: str | None = wire(default=None, length_max=16_384)
    compact_title: str | None = wire(default=None, length_max=512, about="for small screens; else the title in 48 characters")
    compact_body: str | None = wire(default=None, length_max=16_384, about="for small screens; else the body in 96 characters")
    target_peer_id: str | None = wire(default=None, length_max=200)
    target_agent_id: str | None = wire(default=None, length_max=200)
    target_device_classes: list[str] | None = wire(default=None, items_max=256)
    related_job_id: str | None = wire(default=None, length_max=200)
    related_approval_id: str | None = wire(default=None, length_max=200)
    metadata: dict | None = wire(default=None)
    document: dict = whole()


@record
class Acknowledge:
    """What became of a notification."""
    status: str | None = wire(default=None, length_max=40, about="acked if not given; also dismissed and unread")
    actor_peer_id: str | None = wire(default=None, length_max=200)
    actor_agent_id: str | None = wire(default=None, length_max=200)
    reason: str | None = wire(default=None, length_max=2_000)
    document: dict = whole()


@record
class Presentation:
    """How a small screen shows it."""
    compact: bool = wire(about="meant for light or micro devices")
    compact_title: str = wire()
    compact_body: str = wire()


@record
class Notification:
    """Something somebody is told."""
    id: str = wire()
    notification_type: str = wire()
    priority: str = wire(choices=("low", "normal", "high", "critical"))
    title: str = wire()
    body: str = wire()
    compact_title: str = wire()
    compact_body: str = wire()
    status: str = wire(choices=("unread", "acked", "dismissed"))
    target_peer_id: str = wire()
    target_agent_id: str = wire()
    target_device_classes: list[str] = wire()
    related_job_id: str = wire()
    related_approval_id: str = wire()
    presentation: Presentation = wire()
    metadata: dict = wire(about="as given, and who last dealt with it")
    created_at: str = wire()
    updated_at: str = wire()
    acked_at: str = wire(about="empty while it is unread")


@record
class NotificationList:
    """Notifications, newest first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    notifications: list[Notification] = wire()
    generated_at: str = wire()


@record
class Notified:
    """The notification as it is now."""
    status: str = wire()
    notification: Notification = wire()
