"""What people are asked to decide, and what follows from their decisions (OCP 0.1 approvals).

Other rooms ask inside their own change, and say what a decision does:

    approvals.request(connection, {"title": ..., "action_type": "peer.admission", "request_id": ...})
    approvals.on_resolved("peer.admission", act)          # act(connection, approval, decision, metadata) -> what it did, or None

`act` runs in the change that settles the approval, also with the decision `expired` when nobody decided in time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_seconds
from ...base.errors import Busy, Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..audit import Audit
from ..lists import bounded
from ..parts import optional
from ..redaction import redacted
from . import rules, table
from .rules import Approval, Decision, Members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Approvals", "build"]

Act = Callable[["WriteConnection", Members, str, Mapping[str, Any]], "Members | None"]

# Where the act for an action lives: its room is built before the first decision, which may come before its first request.
HOMES: Mapping[str, str] = {rules.ADMISSION: "mesh.handshake", rules.JOB: "mesh.jobs", rules.OFFLOAD: "mesh.helpers",
                            rules.ENLISTMENT: "mesh.helpers"}
NOT_OURS: Members = {"status": "ignored", "reason": "not_autonomous_offload"}
NOTHING: Members = {"status": "ignored", "reason": "nothing_to_do"}
KEPT_MAX = 10_000                    # approvals; past it the oldest settled ones go
DROPPED = 100                        # of them at one time
AGAIN_MAX = 1_000                    # times the same question is asked anew under a number of its own
EXPIRED_MAX = 100                    # in one step of the sweep
REFUSED_SECONDS = 60.0               # until an owner that refused is asked again
DECK_SHOWN = 8                       # on the control deck


class Approvals:
    """Asks, decides, and lets time decide."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        self._notifications = rooms["mesh.notifications"]
        self._acts: dict[str, Act] = {}
        self._rows = KEPT_MAX            # an upper bound of what is kept: the first request counts
        self.audit = Audit(core)
        self.offers: dict[str, Any] = {"approvals": (lambda: self.listed(DECK_SHOWN), None)}
        self._sweeper = core.tickers.add("mesh-approvals", self._sweep)

    def on_resolved(self, action_type: str, act: Act) -> None:
        """`act` carries out decisions on approvals of that type from now on."""
        self._acts[action_type] = act

    # --- asking, inside a change

    def request(self, connection: WriteConnection, wanted: Mapping[str, Any], afresh: Collection[str] = ()) -> Members:
        """Somebody is asked: `{status, approval, notification}`; or what was asked under this request id before, `deduped`.

        An earlier approval in one of the statuses `afresh` does not count: the question is asked again, numbered.
        """
        now = connection.clock.text()
        approval = rules.requested(wanted, connection.ids.uuid(), now)
        request_id, known = self._name(connection, approval.request_id, afresh, now)
        if known is not None:
            return {"status": known.status, "approval": {**rules.approval_json(known), "deduped": True}}
        self._make_room(connection)
        action_type = str(wanted.get("action_type") or approval.action_type).strip()
        notification = self._notifications.publish(connection, rules.notice(approval, action_type))
        approval = approval._replace(request_id=request_id, notification_id=notification["id"])
        table.add(connection, approval)
        self._event(connection, "requested", approval, action_type=approval.action_type, target_peer_id=approval.target_peer_id,
                    severity=approval.severity)
        if approval.expires_at:
            connection.after_commit(self._sweeper.wake)
        return {"status": approval.status, "approval": rules.approval_json(approval), "notification": notification}

    def withdraw(self, connection: WriteConnection, request_id: str, reason: str) -> None:
        """Nobody needs the decision any more, asked afresh or not; nothing follows from it."""
        _, known = self._name(connection, request_id, rules.OVER, connection.clock.text())
        if known is not None and known.status in rules.OPEN:
            self._end(connection, rules.withdrawn(known, reason, connection.clock.text()), known.status)

    def _event(self, connection: WriteConnection, what: str, approval: Approval, **payload: object) -> None:
        connection.event(f"mesh.approval.{what}", peer_id=approval.target_peer_id or self._node_id,
                         request_id=approval.request_id, payload={"approval_id": approval.id, **payload})

    def _name(self, connection: WriteConnection, request_id: str, afresh: Collection[str],
              now: str) -> tuple[str, Approval | None]:
        """The name under which to ask, or the approval that was asked for under it."""
        name = request_id
        for count in range(2, AGAIN_MAX + 2):
            known = table.asked(connection, name) if name else None
            if known is None:
                return name, None
            known = rules.as_of(known, now)
            if known.status not in afresh:
                return name, known
            name = f"{request_id}-{count}"
        return "", None

    def _make_room(self, connection: WriteConnection) -> None:
        """There is room for one more approval; `Busy` when as many as are kept wait for a decision."""
        if self._rows >= KEPT_MAX:
            self._rows = table.count(connection)
        if self._rows >= KEPT_MAX:
            self._rows -= table.drop_settled(connection, self._rows - KEPT_MAX + DROPPED)
        if self._rows >= KEPT_MAX:
            raise Busy("whoever decides", retry_after_seconds=600)
        self._rows += 1

    # --- deciding

    def prepare(self, approval_id: str) -> None:
        """Whoever acts on the decision is there; outside any change."""
        with self._core.reader.snapshot() as connection:
            known = table.find(connection, approval_id)
        if known is not None:
            self._owner(known)

    def resolve(self, connection: WriteConnection, approval_id: str, decision: Decision) -> Members:
        """The approval after the decision, with what followed; or as it stands, when somebody or the clock was first."""
        known = table.find(connection, approval_id)
        if known is None:
            raise Refusal("not_found", "approval not found")
        if rules.due(known, connection.clock.text()):
            known = self._expire(connection, known)
        settled = rules.resolved(known, decision, connection.clock.text())
        if settled is None or not table.settle(connection, settled, known.status):
            return {"status": known.status, "approval": rules.approval_json(known)}
        self._notice_done(connection, settled)
        notification = self._notifications.publish(connection, rules.outcome(settled, decision))
        self._event(connection, "resolved", settled, decision=settled.status)
        automation = self._act(connection, settled, decision.metadata)
        return {"status": settled.status, "approval": rules.approval_json(settled), "notification": notification,
                "automation": automation}

    def _owner(self, approval: Approval) -> Act | None:
        kind = rules.acting_type(approval)
        if kind not in self._acts and kind in HOMES:
            optional(self._rooms, HOMES[kind])
        return self._acts.get(kind)

    def _act(self, connection: WriteConnection, approval: Approval, metadata: Mapping[str, Any]) -> Members:
        act = self._acts.get(rules.acting_type(approval))
        if act is None:
            return dict(NOT_OURS)
        return act(connection, rules.approval_json(approval), approval.status, metadata) or dict(NOTHING)

    def _notice_done(self, connection: WriteConnection, approval: Approval) -> None:
        """The notification that asked needs nobody's attention any more."""
        self._notifications.settle(connection, approval.notification_id, f"approval_{approval.status}")

    # --- what time brings

    def _expire(self, connection: WriteConnection, known: Approval) -> Approval:
        """The approval has expired, and what follows from that has happened."""
        ended = rules.expired(known)
        if self._end(connection, ended, known.status):
            self._act(connection, ended, {})
        return ended

    def _end(self, connection: WriteConnection, ended: Approval, before: str) -> bool:
        if not table.settle(connection, ended, before):
            return False
        self._notice_done(connection, ended)
        self._event(connection, "expired", ended)
        return True

    def _expire_now(self, connection: WriteConnection, approval_id: str) -> None:
        known = table.find(connection, approval_id)
        if known is not None and rules.due(known, connection.clock.text()):
            self._expire(connection, known)

    def _sweep(self) -> float | None:
        """What has run out is written down, each in a change of its own; the seconds until the next one does."""
        with self._core.reader.snapshot() as connection:
            found = table.due(connection, self._core.clock.text(), EXPIRED_MAX)
        refused = sum(not self._swept(approval) for approval in found)
        with self._core.reader.snapshot() as connection:
            at = table.next_expiry(connection, self._core.clock.text() if refused else "")
        wait = max(1.0, instant_seconds(at) + 1.0 - self._core.clock.time()) if at else None
        return min(wait or REFUSED_SECONDS, REFUSED_SECONDS) if refused else wait

    def _swept(self, approval: Approval) -> bool:
        """Is it written down?  One whose owner refuses is shown as expired all the same, and the others do not wait for it."""
        self._owner(approval)
        try:
            self._core.writer.run(functools.partial(self._expire_now, approval_id=approval.id))
        except Refusal as fault:
            self._core.log.fault("approval.expiry", fault, approval=approval.id)
            return False
        return True

    # --- reading

    def listed(self, limit: int, status: str = "", target_peer_id: str = "", target_agent_id: str = "") -> Members:
        """The newest approvals that fit, as they are now."""
        now = self._core.clock.text()
        with self._core.reader.snapshot() as connection:
            found = table.newest(connection, limit, now, rules.filter_status(status), target_peer_id, target_agent_id)
        return {"peer_id": self._node_id, "count": len(found),
                "approvals": [rules.approval_json(rules.as_of(each, now)) for each in found], "generated_at": now}

    def find(self, connection: Any, approval_id: str) -> Members | None:
        """The approval as it is now, or None; inside a change or a snapshot."""
        known = table.find(connection, approval_id)
        return rules.approval_json(rules.as_of(known, self._core.clock.text())) if known is not None else None

    def pending_count(self) -> int:
        """How many wait for a decision."""
        with self._core.reader.snapshot() as connection:
            return table.pending(connection, self._core.clock.text())


def build(core: Core, rooms: Rooms) -> Approvals:
    """The room; a background loop lets approvals run out."""
    return Approvals(core, rooms)


def list_all(room: Approvals, call: Call) -> Reply:
    """GET /mesh/approvals."""
    query = call.query
    listed = room.listed(bounded(query.limit), query.status, query.target_peer_id.strip(), query.target_agent_id.strip())
    return Reply(listed if call.caller.trusted_view else redacted(listed))


def request(room: Approvals, call: Call) -> Write:
    """POST /mesh/approvals/request."""
    def change(connection: WriteConnection) -> Members:
        made = room.request(connection, call.body.document)
        room.audit.note(connection, call, made["approval"]["id"])
        return made

    return Write(change, Reply)


def resolve(room: Approvals, call: Call) -> Write:
    """POST /mesh/approvals/{approval_id}/resolve: of two who decide at once, the first is heard."""
    approval_id, decision = call.path["approval_id"], rules.decided(call.body.document)
    room.prepare(approval_id)

    def change(connection: WriteConnection) -> Members:
        made = room.resolve(connection, approval_id, decision)
        room.audit.note(connection, call, approval_id)
        return made

    return Write(change, Reply)
