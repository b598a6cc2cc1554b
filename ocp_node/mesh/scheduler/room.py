"""The scheduler: where jobs were placed, and why (OCP 0.1 scheduler)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..lists import bounded
from . import table

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

Members = dict[str, Any]


class Scheduler:
    """The decisions of this node."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.node_id = core.identity.node_id

    def decided(self, connection: WriteConnection, decision: Members) -> None:
        """The decision is kept; inside a change."""
        table.add(connection, decision)

    def listed(self, limit: int, status: str, target_type: str) -> Members:
        """Decisions, newest first."""
        with self._core.reader.snapshot() as connection:
            found = table.listed(connection, limit, status, target_type)
        return {"peer_id": self.node_id, "count": len(found), "decisions": found, "generated_at": self._core.clock.text()}


def build(core: Core, rooms: Rooms) -> Scheduler:
    """The room."""
    return Scheduler(core)


def decisions(room: Scheduler, call: Call) -> Reply:
    """GET /mesh/scheduler/decisions."""
    query = call.query
    return Reply(room.listed(bounded(query.limit, 25), query.status, query.target_type))
