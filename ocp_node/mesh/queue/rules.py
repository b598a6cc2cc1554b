"""Queue messages: how they move, how long each stage lasts, and how busy a queue is (OCP 0.1 queue); pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..values import first_integer, integer, members, pick, text

Members = dict[str, Any]

STATES = ("queued", "inflight", "acked", "dead_letter", "cancelled")
LIVE = frozenset({"queued", "inflight", "acked"})               # a dedupe key still finds these
EVENTS = ("claim", "complete", "retry", "bury", "expire", "cancel", "recover", "replay", "extend")

# (state, event) -> state; what is not here is refused.  Rows past their retention are deleted from acked, dead_letter, cancelled.
STEPS: Mapping[tuple[str, str], str] = {
    ("queued", "claim"): "inflight",
    ("queued", "cancel"): "cancelled",
    ("queued", "recover"): "queued",
    ("inflight", "complete"): "acked",
    ("inflight", "retry"): "queued",
    ("inflight", "bury"): "dead_letter",
    ("inflight", "expire"): "queued",
    ("inflight", "cancel"): "cancelled",
    ("inflight", "extend"): "inflight",
    ("dead_letter", "cancel"): "cancelled",
    ("dead_letter", "recover"): "queued",
    ("dead_letter", "replay"): "queued",
    ("cancelled", "recover"): "queued",
    ("cancelled", "replay"): "queued",
}
REFUSALS: Mapping[str, str] = {
    "replay": "only dead_letter or cancelled queue messages may be replayed",
    "extend": "ack deadline can only be updated for inflight queue messages",
    "recover": "inflight jobs cannot be recovered",
}

ACK_SECONDS, ACK_SECONDS_MIN, ACK_SECONDS_MAX = 300, 60, 86_400
RETENTION_SECONDS, RETENTION_SECONDS_MIN = 604_800, 300
REPLAY_SECONDS = 86_400
SECONDS_MAX = 10 * 365 * 86_400
NAME_LENGTH_MAX = 180                # room for the ending of the dead-letter queue
KEY_LENGTH_MAX = 500
PRIORITIES: Mapping[str, int] = {"critical": 0, "high": 1, "normal": 2, "low": 3}
DEMANDS_MAX = 256                    # different needs looked at past the head of the line
EXPIRED = "visibility timeout expired"
EXHAUSTED = "delivery attempts exhausted"


def step(state: str, event: str) -> str:
    """The message's next state; `Refusal("invalid_state")` in the protocol's words when the event does not fit."""
    after = STEPS.get((state, event))
    if after is None:
        raise Refusal("invalid_state", REFUSALS.get(event, f"a queue message that is {state} does not take {event}"))
    return after


# --- at submission

def name_of(job: Mapping[str, Any], metadata: Mapping[str, Any], placement: Mapping[str, Any]) -> str:
    """The queue a job goes to."""
    for value, field in ((job.get("queue"), "queue"), (metadata.get("queue_name"), "queue_name"),
                         (placement.get("queue_class"), "placement.queue_class")):
        name = text(value, field, NAME_LENGTH_MAX).lower()
        if name:
            return name
    return "default"


def policy_of(job: Mapping[str, Any], metadata: Mapping[str, Any], queue_name: str) -> Members:
    """How long a message is away, kept and replayable, and where it ends when nobody can do it.

    The first of `metadata.queue_policy`, `metadata` and the job that names a value; a replay window of 0 means no replay.
    """
    given = members(metadata.get("queue_policy"), "queue_policy")
    sources = (given, metadata, job)

    def seconds(name: str, usual: int, least: int) -> int:
        found = first_integer(*((source.get(name), name) for source in sources), default=usual)
        return min(max(found, least), SECONDS_MAX)

    replay = next((integer(source[name], name) for source in sources for name in ("replay_window_seconds",)
                   if source.get(name) is not None),
                  REPLAY_SECONDS)
    dead = text(pick(given, "dead_letter_queue") or pick(metadata, "dead_letter_queue") or pick(job, "dead_letter_queue"),
                "dead_letter_queue", NAME_LENGTH_MAX)
    return {"ack_deadline_seconds": min(seconds("ack_deadline_seconds", ACK_SECONDS, ACK_SECONDS_MIN), ACK_SECONDS_MAX),
            "retention_seconds": seconds("retention_seconds", RETENTION_SECONDS, RETENTION_SECONDS_MIN),
            "replay_window_seconds": min(max(replay, 0), SECONDS_MAX), "dead_letter_queue": dead or f"{queue_name}.dlq"}


def dedupe_key(job: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """By what a repeated submission is known; "" when it is not."""
    return text(job.get("dedupe_key"), "dedupe_key", KEY_LENGTH_MAX) or text(metadata.get("dedupe_key"), "dedupe_key",
                                                                             KEY_LENGTH_MAX)


def lease_seconds(given: int, usual: int) -> int:
    """How long a claim holds: as asked, else the message's own deadline, never under a minute."""
    return min(max(given if given > 0 else usual, ACK_SECONDS_MIN), ACK_SECONDS_MAX)


# --- who may take what

class Needs(NamedTuple):
    """What a message's job needs of whoever runs it."""
    kind: str
    origin: str
    capabilities: frozenset[str]
    resources: Mapping[str, float]


RESOURCES = ("cpu", "memory_mb", "disk_mb", "gpus")


def demand(kind: str, origin: str, requirements: Mapping[str, Any]) -> str:
    """The needs as one text; the same needs are always the same text."""
    resources = requirements["resources"]
    return jsontext.ascii_text([kind, origin, requirements["capabilities"],
                                {name: resources[name] for name in RESOURCES if resources.get(name)}])


def needs(demanded: str) -> Needs:
    """What `demand` was made of."""
    members: Any = jsontext.load(demanded)
    kind, origin, capabilities, resources = members
    return Needs(kind, origin, frozenset(capabilities), resources)


# --- how busy it is

def pressure(queued: int, inflight: int, slots: int, free: int) -> str:
    """How far the queue is behind its workers, in one word."""
    if queued <= 0 and inflight <= 0:
        return "idle"
    if slots <= 0 and queued > 0 or queued > max(1, 3 * slots):
        return "saturated"
    return "elevated" if queued > max(1, free) else "nominal"


PENALTIES: Mapping[str, int] = {"saturated": 180, "elevated": 90}


def metrics(peer_id: str, counts: Iterable[tuple[str, str, int]], registered: int, slots: int, active: int, oldest: str,
            redelivered: int) -> Members:
    """The queue's figures from the counts that are kept."""
    queues: dict[str, Members] = {}
    totals = dict.fromkeys(STATES, 0)
    for name, state, amount in counts:
        row = queues.setdefault(name, {"queue_name": name, "total": 0, **dict.fromkeys(STATES, 0)})
        row["total"] += amount
        row[state] += amount
        totals[state] += amount
    free = max(0, slots - active)
    level = pressure(totals["queued"], totals["inflight"], slots, free)
    return {"peer_id": peer_id, "counts": totals, "queues": [queues[name] for name in sorted(queues)],
            "workers": {"registered": registered, "total_slots": slots, "active_attempts": active, "available_slots": free},
            "pressure": level, "backlog_ratio": round(totals["queued"] / slots, 2) if slots else None,
            "scheduler_penalty": PENALTIES.get(level, 0), "oldest_queued_at": oldest, "redelivery_count": redelivered}
