"""The queue: which jobs wait for a worker, who holds which, and what becomes of those that nobody finishes (OCP 0.1 queue).

Everything here is part of somebody's change: a job's room says what happens to a job, this one what happens to its message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...store.events import event_json
from ..lists import bounded
from ..values import integer, text
from . import rules, table
from .table import Message, message_json

if TYPE_CHECKING:
    import sqlite3

    from ...store.writer import WriteConnection

Members = dict[str, Any]

READY = "mesh.queue.ready"            # stirs when a message can be taken
DUE_MAX = 200                         # messages redelivered or deleted in one change
HEAD_MAX = 64                         # looked at from the head of the line before the different demands are
CLAIM_DUE_MAX = 25


class Queue:
    """The messages of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        with core.reader.snapshot() as connection:
            self._changed = table.last_change(connection)

    # --- how a message moves; inside a change

    def enqueue(self, connection: WriteConnection, job: Any, name: str, policy: Mapping[str, Any], key: str, hold: Members,
                priority: str = "normal") -> Message:
        """The job waits in this queue."""
        now = connection.clock.text()
        number = self._next(connection)
        message = Message(
            id=connection.ids.uuid(), job_id=job.id, queue_name=name, status="queued", dedupe_key=key,
            ack_deadline_seconds=policy["ack_deadline_seconds"], dead_letter_queue=policy["dead_letter_queue"],
            delivery_attempts=0,
            visibility_timeout_at="", available_at=now, claimed_at="", acked_at="", replay_deadline_at="",
            retention_deadline_at="",
            lease_id="", worker_id="", current_attempt_id="", last_error="",
            metadata={"request_id": job.request_id, "kind": job.kind, "origin_peer_id": job.origin_peer_id,
                      "origin_queue_name": name,
                      "queue_policy": dict(policy)},
            created_at=now, updated_at=now, origin_peer_id=job.origin_peer_id,
            demand=rules.demand(job.kind, job.origin_peer_id, job.requirements), priority=rules.PRIORITIES.get(priority, 2),
            position=number, hold=hold, changed=number)
        table.add(connection, message)
        self.event(connection, "enqueued", message, peer_id=job.origin_peer_id, queue_name=name)
        connection.stir(READY)
        return message

    def deduped(self, connection: WriteConnection, message: Message, request_id: str) -> None:
        """A repeated submission was answered with the job of this message."""
        self.event(connection, "deduped", message, peer_id=message.origin_peer_id, request_id=request_id,
                   dedupe_key=message.dedupe_key,
                   queue_name=message.queue_name)

    def deliver(self, connection: WriteConnection, message: Message, lease: Any, worker_id: str, attempt_id: str) -> None:
        """A worker holds the message until its lease ends."""
        message.status = rules.step(message.status, "claim")
        message.delivery_attempts += 1
        message.claimed_at = connection.clock.text()
        message.visibility_timeout_at = lease.expires_at
        message.lease_id, message.worker_id, message.current_attempt_id = lease.id, worker_id, attempt_id
        self._save(connection, message)
        self.event(connection, "claimed", message, attempt_id=attempt_id)

    def held_longer(self, connection: WriteConnection, message: Message, expires_at: str) -> None:
        """Its holder has spoken: nobody else gets it before then."""
        message.status = rules.step(message.status, "extend")
        message.visibility_timeout_at = expires_at
        self._save(connection, message)

    def ack(self, connection: WriteConnection, message: Message) -> None:
        """The job of the message is done."""
        attempt_id = message.current_attempt_id
        message.status = rules.step(message.status, "complete")
        message.acked_at = connection.clock.text()
        message.retention_deadline_at = self._in(connection, message.metadata["queue_policy"]["retention_seconds"])
        self._let_go(message)
        self._save(connection, message)
        self.event(connection, "acked", message, attempt_id=attempt_id)

    def retry(self, connection: WriteConnection, message: Message, error: str, seconds: float) -> None:
        """The message waits again, for whoever comes after `seconds`."""
        attempt_id = message.current_attempt_id
        message.status = rules.step(message.status, "retry")
        self._line_up(connection, message, seconds)
        message.last_error = error
        self._save(connection, message)
        self.event(connection, "nacked", message, attempt_id=attempt_id)

    def bury(self, connection: WriteConnection, message: Message, error: str, event_type: str, replayable: bool) -> None:
        """The message is a dead letter; it may be replayed for a while unless its job goes on from a checkpoint."""
        attempt_id, policy = message.current_attempt_id, message.metadata["queue_policy"]
        message.status = rules.step(message.status, "bury")
        message.queue_name = message.dead_letter_queue
        message.last_error = error
        message.available_at = connection.clock.text()
        message.retention_deadline_at = self._in(connection, policy["retention_seconds"])
        message.replay_deadline_at = self._in(connection, policy["replay_window_seconds"]) if replayable else ""
        self._let_go(message)
        self._save(connection, message)
        self.event(connection, event_type.removeprefix("mesh.queue."), message, attempt_id=attempt_id)

    def requeue(self, connection: WriteConnection, message: Message, error: str = rules.EXPIRED) -> None:
        """Its holder went silent: the message is for anybody again."""
        attempt_id = message.current_attempt_id
        message.status = rules.step(message.status, "expire")
        self._line_up(connection, message, 0.0)
        message.claimed_at = ""
        message.last_error = error
        self._save(connection, message)
        self.event(connection, "redelivered", message, request_id="", attempt_id=attempt_id)

    def cancel(self, connection: WriteConnection, message: Message, reason: str) -> None:
        """Nobody shall take the message any more."""
        policy = message.metadata["queue_policy"]
        message.status = rules.step(message.status, "cancel")
        message.last_error = reason
        message.hold = {}
        message.replay_deadline_at = self._in(connection, policy["replay_window_seconds"])
        message.retention_deadline_at = self._in(connection, policy["retention_seconds"])
        self._let_go(message)
        self._save(connection, message)
        self.event(connection, "cancelled", message, reason=reason)

    def recover(self, connection: WriteConnection, message: Message, action: str, reason: str, hold: Members) -> None:
        """The message is in its own queue again, because the operator starts its job anew; it waits for what `hold` says."""
        message.status = rules.step(message.status, "recover")
        message.hold = hold
        self._back_in_line(connection, message)
        message.metadata.update(recovery_count=int(message.metadata.get("recovery_count") or 0) + 1, last_recovery_action=action,
                                last_recovery_reason=reason)
        self._save(connection, message)
        self.event(connection, "recovered", message, action=action)

    def replay(self, connection: WriteConnection, message: Message, reason: str, hold: Members) -> None:
        """A dead letter is delivered once more, unless it waits for what `hold` says."""
        now = connection.clock.text()
        message.status = rules.step(message.status, "replay")
        message.hold = hold
        self._back_in_line(connection, message)
        message.metadata.update(replayed_at=now, replay_reason=reason,
                                replay_count=int(message.metadata.get("replay_count") or 0) + 1)
        self._save(connection, message)
        self.event(connection, "replayed", message, reason=reason)

    def release(self, connection: WriteConnection, message: Message) -> None:
        """What held the message back holds no longer."""
        message.hold = {}
        self._line_up(connection, message, 0.0)
        self._save(connection, message)

    def hold(self, connection: WriteConnection, message: Message, hold: Members) -> None:
        """The message waits for something else than a worker."""
        message.hold = hold
        self._save(connection, message)

    def _back_in_line(self, connection: WriteConnection, message: Message) -> None:
        home = message.metadata["origin_queue_name"]
        other = table.same_key(connection, message.origin_peer_id, home, message.dedupe_key) if message.dedupe_key else None
        if other is not None and other.id != message.id:
            raise Refusal("conflict", "another job with the same dedupe key is live", {"job_id": other.job_id})
        message.queue_name = home
        message.claimed_at = message.acked_at = message.last_error = ""
        message.replay_deadline_at = message.retention_deadline_at = ""
        self._line_up(connection, message, 0.0)

    def _line_up(self, connection: WriteConnection, message: Message, seconds: float) -> None:
        """The message stands at the end of the line."""
        message.available_at = self._in(connection, seconds)
        message.position = self._next(connection)
        self._let_go(message)
        connection.stir(READY)

    def _let_go(self, message: Message) -> None:
        message.lease_id = message.worker_id = message.current_attempt_id = message.visibility_timeout_at = ""

    def _save(self, connection: WriteConnection, message: Message) -> None:
        message.updated_at = connection.clock.text()
        message.changed = self._next(connection)
        table.save(connection, message)

    def _next(self, connection: WriteConnection) -> int:
        """A number higher than all before; on the writer's thread only."""
        self._changed = max(self._changed + 1, int(connection.clock.time() * 1_000_000))
        return self._changed

    def _in(self, connection: WriteConnection, seconds: float) -> str:
        return instant_text(connection.clock.time() + seconds)

    def event(self, connection: WriteConnection, event_type: str, message: Message, *, peer_id: str = "",
              request_id: str | None = None,
              **payload: object) -> None:
        """What happened to a message is told, and found again by its job and its id."""
        named = {"job_id": message.job_id, **({"attempt_id": payload.pop("attempt_id")} if "attempt_id" in payload else {}),
                 "queue_message_id": message.id, **payload}
        connection.event(f"mesh.queue.{event_type}", subject=message.job_id, peer_id=peer_id or self._node_id,
                         request_id=message.metadata["request_id"] if request_id is None else request_id, payload=named)
        table.note_event(connection, connection.effects.events[-1].seq, message.job_id, message.id)

    # --- reading, inside a change or a snapshot

    def json(self, message: Message) -> Members:
        """The message as it is shown."""
        return message_json(message)

    def find(self, connection: sqlite3.Connection, message_id: str) -> Message | None:
        return table.find(connection, message_id)

    def of_job(self, connection: sqlite3.Connection, job_id: str) -> Message | None:
        return table.of_job(connection, job_id)

    def of_attempt(self, connection: sqlite3.Connection, attempt_id: str) -> Message | None:
        return table.of_attempt(connection, attempt_id)

    def same_key(self, connection: sqlite3.Connection, origin: str, name: str, key: str) -> Message | None:
        return table.same_key(connection, origin, name, key)

    def offered(self, connection: sqlite3.Connection, fits: Callable[[rules.Needs], bool], limit: int) -> list[str]:
        """The ids of the first jobs in the line that fit, in its order; those held back are not in the line.

        Work for others at the head hides nothing: when the head does not fill the page, the line is looked through by what is
        needed, which costs by how many different needs there are, not by how long the line is.
        """
        now, known = self._core.clock.text(), dict[str, bool]()

        def fit(demand: str) -> bool:
            if demand not in known:
                known[demand] = fits(rules.needs(demand))
            return known[demand]

        at_head = max(HEAD_MAX, limit)
        head = table.head(connection, now, at_head)
        found = [job_id for job_id, demand in head if fit(demand)]
        if len(found) >= limit or len(head) < at_head:
            return found[:limit]
        rows = [row for demand in table.demands(connection, rules.DEMANDS_MAX) if fit(demand)
                for row in table.first_of(connection, demand, now, limit)]
        return list(dict.fromkeys([*found, *(row[3] for row in sorted(rows))]))[:limit]

    def wanted(self, connection: sqlite3.Connection) -> list[rules.Needs]:
        """What the jobs in the line need of whoever takes one; of very many different needs some."""
        return [rules.needs(demand) for demand in table.demands(connection, rules.DEMANDS_MAX)]

    def next_available(self, connection: sqlite3.Connection) -> str:
        """When the next message that waits for its time can be taken."""
        return table.next_available(connection, self._core.clock.text())

    # --- what time brings

    def sweep(self, connection: WriteConnection, limit: int = DUE_MAX) -> int:
        """Silent holders have lost their messages, messages past their retention are gone.  Gives how many that were."""
        return self.redeliver(connection, limit) + self._purge(connection, limit)

    def redeliver(self, connection: WriteConnection, limit: int = CLAIM_DUE_MAX) -> int:
        """Messages whose holder went silent are for anybody again, or dead after too many such deliveries."""
        found = table.expired(connection, connection.clock.text(), limit)
        for message in found:
            self._rooms["mesh.jobs"].lapse(connection, message, rules.EXPIRED)
        return len(found)

    def _purge(self, connection: WriteConnection, limit: int) -> int:
        found = table.outlived(connection, connection.clock.text(), limit)
        for message in found:
            self.event(connection, "retention_purged", message, request_id="", status=message.status)
            table.delete(connection, message.id)
        return len(found)

    def due(self) -> bool:
        """Has time made a change necessary?"""
        with self._core.reader.snapshot() as connection:
            return table.anything_due(connection, self._core.clock.text())

    # --- figures

    def metrics(self) -> Members:
        """How busy the queue is; costs by the number of queues, not of messages."""
        with self._core.reader.snapshot() as connection:
            registered, slots, active = self._rooms["mesh.workers"].capacity(connection)
            return rules.metrics(self._node_id, table.counts(connection), registered, slots, active, table.oldest(connection),
                                 table.amount(connection, "redelivered"))

    def failed_attempts(self, connection: sqlite3.Connection) -> int:
        """How many attempts ever failed."""
        return table.amount(connection, "failed_attempts")

    def listed(self, limit: int, status: str) -> Members:
        """The messages, latest change first."""
        with self._core.reader.snapshot() as connection:
            messages = [message_json(message) for message in table.listed(connection, limit, status)]
        return {"peer_id": self._node_id, "count": len(messages), "messages": messages, "generated_at": self._core.clock.text()}

    def told(self, since: int, limit: int, job_id: str, message_id: str) -> Members:
        """What happened to messages after a cursor."""
        with self._core.reader.snapshot() as connection:
            found = [event_json(event) for event in table.events(connection, max(0, since), limit, job_id, message_id)]
        cursor = found[-1]["seq"] if found else since
        return {"peer_id": self._node_id, "count": len(found), "events": found, "next_cursor": cursor,
                "filters": {"queue_message_id": message_id, "job_id": job_id}, "generated_at": self._core.clock.text()}

    def after_sweep(self, answer: Callable[[], Members]) -> Reply | Write:
        """`answer()`, after what time has brought; nothing is written when it brought nothing."""
        if not self.due():
            return Reply(answer())
        return Write(self.sweep, lambda count: Reply(answer()))


def build(core: Core, rooms: Rooms) -> Queue:
    """The room; its figures are part of the manifest."""
    room = Queue(core, rooms)
    rooms["mesh.manifest"].part("queue_metrics", room.metrics)
    core.measures.gauge("ocp_mesh_queue_messages", "Queue messages by status.",
                        lambda: {(("status", state),): float(amount) for state, amount in room.metrics()["counts"].items()})
    return room


def list_all(room: Queue, call: Call) -> Reply | Write:
    """GET /mesh/queue."""
    limit, status = bounded(call.query.limit, 25), call.query.status.strip().lower()
    return room.after_sweep(lambda: room.listed(limit, status))


def events(room: Queue, call: Call) -> Reply | Write:
    """GET /mesh/queue/events."""
    query = call.query
    since = query.since if "since" in call.texts and call.texts["since"] else query.since_seq
    return room.after_sweep(lambda: room.told(since, bounded(query.limit, 50), query.job_id, query.queue_message_id))


def metrics(room: Queue, call: Call) -> Reply | Write:
    """GET /mesh/queue/metrics."""
    return room.after_sweep(room.metrics)


def replay(room: Queue, call: Call) -> Write:
    """POST /mesh/queue/replay."""
    body = call.body
    message_id, job_id = text(body.queue_message_id, "queue_message_id"), text(body.job_id, "job_id")
    reason = text(body.reason, "reason", 2000) or "operator_replay"
    jobs = room._rooms["mesh.jobs"]

    def change(connection: WriteConnection) -> Members:
        if not message_id and not job_id:
            raise Refusal("invalid_request", "queue_message_id or job_id is required")
        message = room.find(connection, message_id) if message_id else room.of_job(connection, job_id)
        if message is None:
            raise Refusal("not_found", "queue message not found")
        return jobs.replay(connection, message, reason)

    return Write(change, lambda answer: Reply(jobs.shown(answer, call.caller)))


def ack_deadline(room: Queue, call: Call) -> Write:
    """POST /mesh/queue/ack-deadline."""
    body = call.body
    message_id, attempt_id = text(body.queue_message_id, "queue_message_id"), text(body.attempt_id, "attempt_id")
    asked = body.ttl_seconds if body.ttl_seconds is not None else body.ack_deadline_seconds
    seconds = integer(asked, "ttl_seconds" if body.ttl_seconds is not None else "ack_deadline_seconds")
    reason = text(body.reason, "reason", 2000) or "operator_ack_deadline_update"
    jobs = room._rooms["mesh.jobs"]

    def change(connection: WriteConnection) -> Members:
        if not message_id and not attempt_id:
            raise Refusal("invalid_request", "queue_message_id or attempt_id is required")
        message = room.find(connection, message_id) if message_id else room.of_attempt(connection, attempt_id)
        if message is None:
            raise Refusal("not_found", "queue message not found")
        rules.step(message.status, "extend")
        if not message.lease_id:
            raise Refusal("invalid_state", "queue message has no active lease")
        lease = jobs.leases.extend(connection, message.lease_id, rules.lease_seconds(seconds, message.ack_deadline_seconds))
        message.ack_deadline_seconds = lease.ttl_seconds
        message.metadata.update(last_ack_deadline_update_at=connection.clock.text(), last_ack_deadline_reason=reason)
        room.held_longer(connection, message, lease.expires_at)
        room.event(connection, "ack_deadline_updated", message, request_id="", attempt_id=message.current_attempt_id,
                   ttl_seconds=lease.ttl_seconds, reason=reason)
        shown, held = message_json(message), jobs.leases.shown(lease)
        # Clients of the protocol read either form: the message inside, or its members here.
        outer = {**{name: value for name, value in shown.items() if name != "status"}, "status": "ok", "queue_message": shown,
                 "lease": held}
        return {"status": "ok", "queue_message": outer, "lease": held}

    return Write(change, lambda answer: Reply(jobs.shown(answer, call.caller)))
