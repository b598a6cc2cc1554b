"""What travels about queue messages."""

from __future__ import annotations

from ...base.records import record, wire


@record
class ListQuery:
    """Which messages are asked for."""
    limit: int = wire(default=25)
    status: str = wire(default="", length_max=64, about="only of this status: queued, inflight, acked, dead_letter, cancelled")


@record
class EventsQuery:
    """After which event, and of what."""
    since: int = wire(default=0)
    since_seq: int = wire(default=0, about="the same as `since`, which comes first")
    limit: int = wire(default=50)
    job_id: str = wire(default="", length_max=200)
    queue_message_id: str = wire(default="", length_max=200)


@record
class Replay:
    """Which dead or cancelled message is delivered again; one of the two ids."""
    queue_message_id: object = wire(default=None, about="text")
    job_id: object = wire(default=None, about="text")
    reason: object = wire(default=None, about="text")


@record
class AckDeadline:
    """Whose deadline moves, and to how many seconds from now; one of the two ids."""
    queue_message_id: object = wire(default=None, about="text")
    attempt_id: object = wire(default=None, about="text")
    ttl_seconds: object = wire(default=None, about="integer; under 60 counts as 60")
    ack_deadline_seconds: object = wire(default=None, about="integer; the same as `ttl_seconds`, which comes first")
    reason: object = wire(default=None, about="text")


@record
class Message:
    """A queue message (OCP 0.1)."""
    id: str
    job_id: str
    queue_name: str
    status: str
    dedupe_key: str
    ack_deadline_seconds: int
    dead_letter_queue: str
    delivery_attempts: int
    visibility_timeout_at: str
    available_at: str
    claimed_at: str
    acked_at: str
    replay_deadline_at: str
    retention_deadline_at: str
    lease_id: str
    worker_id: str
    current_attempt_id: str
    last_error: str
    metadata: dict
    created_at: str
    updated_at: str


@record
class MessageList:
    """Messages, latest change first."""
    peer_id: str
    count: int
    messages: list[Message]
    generated_at: str


@record
class Event:
    """What happened to a message."""
    seq: int
    id: str
    event_type: str
    peer_id: str
    request_id: str
    payload: dict
    created_at: str


@record
class Filters:
    """What was asked for."""
    queue_message_id: str
    job_id: str


@record
class EventList:
    """Events after a cursor, oldest first."""
    peer_id: str
    count: int
    events: list[Event]
    next_cursor: int
    filters: Filters
    generated_at: str


@record
class Counts:
    """Messages by status."""
    queued: int
    inflight: int
    acked: int
    dead_letter: int
    cancelled: int


@record
class QueueCounts:
    """Messages of one queue by status."""
    queue_name: str
    total: int
    queued: int
    inflight: int
    acked: int
    dead_letter: int
    cancelled: int


@record
class Slots:
    """What workers can do at a time."""
    registered: int
    total_slots: int
    active_attempts: int
    available_slots: int


@record
class Metrics:
    """How busy the queue is."""
    peer_id: str
    counts: Counts
    queues: list[QueueCounts]
    workers: Slots
    pressure: str = wire(choices=("idle", "nominal", "elevated", "saturated"))
    backlog_ratio: float | None
    scheduler_penalty: int
    oldest_queued_at: str
    redelivery_count: int


@record
class Replayed:
    """The message waits again."""
    status: str
    job: dict
    queue_message: Message


@record
class Extended:
    """The deadline as it is now, in both forms that clients read."""
    status: str
    queue_message: dict
    lease: dict
