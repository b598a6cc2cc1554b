"""The scheduler: where jobs were placed, and why (OCP 0.1 scheduler).

    scheduler.choosing.candidates(job_of(document))       # every place for a job, the best first
    scheduler.place(job, request_id)                      # the job is there; blocks
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..lists import bounded
from . import table
from .choosing import Choosing

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .scheduling import Scheduling

Members = dict[str, Any]


class Scheduler:
    """The decisions of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self.node_id = core.identity.node_id
        self.choosing = Choosing(core, rooms)
        self._scheduling: Scheduling | None = None
        self._lock = threading.Lock()

    @property
    def scheduling(self) -> Scheduling:
        """Who places jobs; made with the first of them."""
        if self._scheduling is None:
            from .scheduling import Scheduling
            with self._lock:
                self._scheduling = self._scheduling or Scheduling(self._core, self._rooms, self.choosing)
        return self._scheduling

    def place(self, job: Mapping[str, Any], request_id: str, *, allow_local: bool = True, allow_remote: bool = True,
              ours: frozenset[str] = frozenset(), loopback: bool | None = None) -> Members:
        """A job of this node is at the best place there is; the answer of `POST /mesh/jobs/schedule`.  Blocks.

        `ours`: members of its metadata that this node itself has put there.
        """
        from .scheduling import Wanted
        return self.scheduling.schedule(Wanted(dict(job), request_id, "", allow_local, allow_remote, loopback, ours))

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
    return Scheduler(core, rooms)


def decisions(room: Scheduler, call: Call) -> Reply:
    """GET /mesh/scheduler/decisions."""
    query = call.query
    return Reply(room.listed(bounded(query.limit, 25), query.status, query.target_type))
