"""Missions as they are shown: what is stored of them and of their children, and the children themselves where there is room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..jobs.shapes import placed
from . import rules, table
from .rules import Child
from .table import Mission

if TYPE_CHECKING:
    from ...core import Core, Rooms

Members = dict[str, Any]

READ_SECONDS = 2.0                   # peers that have jobs of a mission are asked so long at most
LOOKED_UP_MAX = 256
FULL_JOBS_MAX = 25                   # whole jobs in one list; further ones are shown as last seen
FULL_JOBS_OF_ONE_MAX = 256           # ... and of one mission
FULL_BYTES_MAX = 8 * 1024 * 1024     # programs and payloads of the jobs of one answer; past them jobs are shown as last seen
LISTED_CHILDREN_MAX = 2_000          # a list of missions ends with the one that passes it
OPEN = frozenset({"accepted", "queued", "running", "resuming", "retry_wait", "checkpointed"})


class Room:
    """How much room an answer has left for whole jobs."""

    __slots__ = ("jobs", "bytes")

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.bytes = FULL_BYTES_MAX

    def take(self, weight: int) -> bool:
        """Is there room for one more job?  It is taken then."""
        if self.jobs <= 0 or weight > self.bytes:
            return False
        self.jobs -= 1
        self.bytes -= weight
        return True


class Showing:
    """Reads missions."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id

    def one(self, mission_id: str, ask_peers: bool = False) -> Members | None:
        """The mission, or None; with `ask_peers` its jobs at peers are looked up first, for two seconds at most."""
        if ask_peers:
            self._look([mission_id])
        with self._core.reader.snapshot() as connection:
            mission = table.find(connection, mission_id)
            return self.whole(connection, mission, Room(FULL_JOBS_OF_ONE_MAX)) if mission is not None else None

    def several(self, limit: int, status: str, full_jobs: int, ask_peers: bool = False) -> list[Members]:
        """The missions in that state, latest change first; the first `full_jobs` of all their jobs whole."""
        if ask_peers:
            with self._core.reader.snapshot() as connection:
                there = [mission.id for mission in table.listed(connection, limit, status)]
            self._look(there)
        found: list[Members] = []
        room, children = Room(full_jobs), 0
        with self._core.reader.snapshot() as connection:
            for mission in table.listed(connection, limit, status):
                found.append(self.whole(connection, mission, room))
                children += len(found[-1]["child_job_ids"])
                if children > LISTED_CHILDREN_MAX:
                    break
        return found

    def whole(self, connection: Any, mission: Mission, room: Room) -> Members:
        """The mission, with as many whole jobs as there is room for."""
        children = [self._placed(child) for child in table.children(connection, mission.number)]
        made = rules.derived(mission.continuity, children)
        tasks = self._tasks(made["cooperative_task_ids"]) if room.jobs > 0 else []
        return {"id": mission.id, "request_id": mission.request_id, "title": mission.title, "intent": mission.intent,
                 "status": mission.status, "priority": mission.priority, "workload_class": mission.workload_class,
                 "origin_peer_id": mission.origin_peer_id, "target_strategy": mission.target_strategy, "policy": mission.policy,
                 "continuity": made["continuity"], "metadata": mission.metadata, "created_at": mission.created_at,
                 "updated_at": mission.updated_at, **{name: value for name, value in made.items() if name not in
                                                      ("continuity", "lineage")},
                 "child_jobs": [self._job(connection, child, room) for child in children if child.job_id],
                 "cooperative_tasks": tasks, "lineage": made["lineage"]}

    # --- children

    def _placed(self, child: Child) -> Child:
        """The child with its artifacts where this node is reached now."""
        refs = {name: placed(child.facts[name], self._core.base_url) for name in rules.REFS} if not child.peer_id else {}
        return child._replace(facts={**child.facts, **refs})

    def _job(self, connection: Any, child: Child, room: Room) -> Members:
        """The whole job; as it was last seen when there is no room for it, or it is no longer known."""
        if room.jobs <= 0:
            return rules.brief(child, self._node_id)
        home = self._rooms["mesh.dispatch" if child.peer_id else "mesh.jobs"]
        found = home.find(connection, child.job_id)
        if found is None:
            return rules.lost(child, self._node_id, "job not found")
        weight = 0 if child.peer_id else len(found.large_text("spec")) + len(found.large_text("payload_inline"))
        if not room.take(weight):
            return rules.brief(child, self._node_id)
        shown: Members = home.shown(found) if child.peer_id else home.json(connection, found)
        return shown

    def _tasks(self, task_ids: Sequence[str]) -> list[Members]:
        if not task_ids:
            return []
        found: list[Members] = self._rooms["mesh.cooperative_tasks"].tasks_of(task_ids)
        return found

    def _look(self, mission_ids: Iterable[str]) -> None:
        """Open jobs at peers have been looked up, or their time is over."""
        at_peers: list[tuple[str, str]] = []
        with self._core.reader.snapshot() as connection:
            for mission_id in mission_ids:
                mission = table.find(connection, mission_id)
                for child in table.children(connection, mission.number) if mission is not None else ():
                    if child.peer_id and child.job_id and child.status in OPEN:
                        at_peers.append((child.peer_id, child.job_id))
        if at_peers:
            self._rooms["mesh.dispatch"].following.look(at_peers[:LOOKED_UP_MAX], READ_SECONDS)


def listed(node_id: str, missions: Sequence[Mapping[str, Any]], now: str) -> Members:
    """A list of missions as its route answers."""
    return {"peer_id": node_id, "count": len(missions), "missions": list(missions), "generated_at": now}
