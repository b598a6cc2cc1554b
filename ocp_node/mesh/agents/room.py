"""Agents of this node, and work that peers' agents hand over to them (OCP 0.1 agent presence and hand-off)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..parts import optional
from . import rules, table
from .presence import Presence
from .rules import Handoff, Members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

HANDOFFS_KEPT = 10_000
ACCEPTED = "accepted"


class Agents:
    """The agents at work here, and their inbox."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.rooms = rooms
        self.presence = Presence(core)

    def present(self, limit: int = 50) -> list[Members]:
        """The agents as peers see them, at most `limit`."""
        return self.presence.shown(limit)

    def beacons(self, limit: int = 12) -> list[Members]:
        """Beacons of agents; nothing on this node leaves any yet."""
        return []

    def handoffs(self, limit: int) -> list[Members]:
        """The newest hand-offs in the inbox."""
        with self.core.reader.snapshot() as connection:
            return [handoff._asdict() for handoff in table.newest(connection, limit)]

    def take(self, connection: WriteConnection, signed: Any, members: Members) -> Members:
        """The hand-off is in the inbox and the operator is told; a repeated request id gives what it gave before."""
        known = table.find(connection, signed.node_id, signed.request_id)
        if known is not None:
            return {**known._asdict(), "deduped": True}
        now = connection.clock.text()
        handoff = Handoff(id=connection.ids.uuid(), request_id=signed.request_id, from_peer_id=signed.node_id, status=ACCEPTED,
                          created_at=now,
                          updated_at=now, **members)
        table.add(connection, handoff)
        table.prune(connection, HANDOFFS_KEPT)
        connection.event("mesh.handoff.accepted", peer_id=signed.node_id, request_id=signed.request_id, payload={
            "handoff_id": handoff.id, "from_agent": handoff.from_agent, "to_agent": handoff.to_agent})
        notifications = optional(self.rooms, "mesh.notifications")
        if notifications is not None:
            notifications.publish(connection, rules.notice(handoff, signed.peer.display_name, self.core.identity.node_id))
        return handoff._asdict()


def build(core: Core, rooms: Rooms) -> Agents:
    """The room, with the control agent of the settings at work."""
    return Agents(core, rooms)


def handoff(room: Agents, call: Call) -> Write:
    """POST /mesh/agents/handoff."""
    envelopes = room.rooms["mesh.envelopes"]
    signed = envelopes.open("/mesh/agents/handoff", call.body.document)
    members = rules.wanted(signed.body.get("handoff"), room.core.identity.node_id)

    def change(connection: WriteConnection) -> Members:
        envelopes.claim(connection, signed)
        current = room.rooms["mesh.peers"].current(connection, signed.node_id)
        rules.may_hand_over(signed.node_id, current.trust_tier if current is not None else "public")
        return room.take(connection, signed, members)

    return Write(change, lambda taken: Reply({"status": ACCEPTED, "handoff": taken}))
