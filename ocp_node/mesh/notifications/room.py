"""What people and devices are told, and what they did about it (OCP 0.1 notifications).

Other rooms tell something inside their own change: `notifications.publish(connection, {"title": ..., "notification_type": ...})`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..audit import Audit
from ..lists import bounded
from ..redaction import redacted
from ..values import text
from . import rules, table
from .rules import Members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Notifications", "build"]

KEPT_MAX = 10_000                    # notifications; past it the oldest go
KEPT_DAYS = 90                       # after somebody dealt with one
TRIM_EVERY = 100                     # published between two looks at how many there are: the look costs by their number
SWEEP_SECONDS = 3600.0
SWEPT_MAX = 1_000
REASON_LENGTH_MAX = 2_000
DECK_SHOWN = 8                       # on the control deck: those for this node


class Notifications:
    """Publishes and acknowledges."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._node_id = core.identity.node_id
        self._published = TRIM_EVERY         # the first one after a start looks at once
        self.audit = Audit(core)
        self.offers: dict[str, Any] = {"notifications": (lambda: self.listed(DECK_SHOWN, target_peer_id=self._node_id), None)}
        core.tickers.add("mesh-notifications", self._sweep)

    def publish(self, connection: WriteConnection, wanted: Mapping[str, Any]) -> Members:
        """The notification is there, with its event; inside a change."""
        made = rules.published(wanted, connection.ids.uuid(), connection.clock.text())
        table.add(connection, made)
        connection.event("mesh.notification.published", peer_id=made.target_peer_id or self._node_id, payload={
            "notification_id": made.id, "notification_type": made.notification_type, "priority": made.priority,
            "target_peer_id": made.target_peer_id})
        self._trim(connection)
        return rules.notification_json(made)

    def acknowledge(self, connection: WriteConnection, notification_id: str, status: str = rules.ACKED, *,
                    actor_peer_id: str = "", actor_agent_id: str = "", reason: str = "") -> Members:
        """The notification is read, dismissed, or unread again; inside a change."""
        known = table.find(connection, notification_id)
        if known is None:
            raise Refusal("not_found", "notification not found")
        made = rules.acknowledged(known, status, actor_peer_id, actor_agent_id, reason, connection.clock.text())
        table.save(connection, made)
        connection.event("mesh.notification.acked", peer_id=made.target_peer_id or self._node_id,
                         payload={"notification_id": made.id, "status": made.status})
        return rules.notification_json(made)

    def settle(self, connection: WriteConnection, notification_id: str, reason: str) -> None:
        """The notification, if it is still kept, needs nobody's attention any more; inside a change."""
        if table.find(connection, notification_id) is not None:
            self.acknowledge(connection, notification_id, reason=reason)

    def listed(self, limit: int, status: str = "", target_peer_id: str = "", target_agent_id: str = "") -> Members:
        """The newest notifications that fit; targets only match what was sent to them by name."""
        with self._core.reader.snapshot() as connection:
            found = table.newest(connection, limit, rules.filter_status(status), target_peer_id, target_agent_id)
        return {"peer_id": self._node_id, "count": len(found), "notifications": [rules.notification_json(each) for each in found],
                "generated_at": self._core.clock.text()}

    def _trim(self, connection: WriteConnection) -> None:
        self._published += 1
        if self._published >= TRIM_EVERY:
            self._published = 0
            table.trim(connection, KEPT_MAX - TRIM_EVERY)

    def _sweep(self) -> float:
        """What was dealt with long ago is forgotten."""
        before = instant_text(self._core.clock.time() - KEPT_DAYS * 86_400)
        gone = self._core.writer.run(lambda connection: table.prune(connection, before, SWEPT_MAX))
        return 0.1 if gone == SWEPT_MAX else SWEEP_SECONDS


def build(core: Core, rooms: Rooms) -> Notifications:
    """The room; a background loop forgets what was dealt with long ago."""
    return Notifications(core)


def list_all(room: Notifications, call: Call) -> Reply:
    """GET /mesh/notifications."""
    query = call.query
    listed = room.listed(bounded(query.limit), query.status, query.target_peer_id.strip(), query.target_agent_id.strip())
    return Reply(listed if call.caller.trusted_view else redacted(listed))


def publish(room: Notifications, call: Call) -> Write:
    """POST /mesh/notifications/publish."""
    def change(connection: WriteConnection) -> Members:
        made = room.publish(connection, call.body.document)
        room.audit.note(connection, call, made["id"])
        return {"status": "ok", "notification": made}

    return Write(change, Reply)


def acknowledge(room: Notifications, call: Call) -> Write:
    """POST /mesh/notifications/{notification_id}/ack."""
    document, notification_id = call.body.document, call.path["notification_id"]
    status = rules.asked_status(document.get("status"))
    actor = {name: text(document.get(name), name) for name in ("actor_peer_id", "actor_agent_id")}
    reason = text(document.get("reason"), "reason", REASON_LENGTH_MAX)

    def change(connection: WriteConnection) -> Members:
        return {"status": "ok", "notification": room.acknowledge(connection, notification_id, status, reason=reason, **actor)}

    return Write(change, Reply)
