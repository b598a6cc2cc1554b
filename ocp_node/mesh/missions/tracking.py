"""Missions follow their jobs: what changes a job is noted with its missions in the same change, so that reading writes nothing.

Functions of a change, without the room: jobs change before anybody has asked for a mission since the node started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from . import rules, table
from .rules import Child

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from ..jobs.table import Job

Members = dict[str, Any]


def job_changed(connection: WriteConnection, job: Job) -> None:
    """A job of this node stands as it does now."""
    if table.missions_of(connection, job.id):
        _changed(connection, job.id, job.status, job.updated_at, facts_of(job))


def remote_changed(connection: WriteConnection, job: Mapping[str, Any]) -> None:
    """A job that a peer has for us stands as that peer shows it."""
    job_id = str(job.get("id") or "")
    if job_id and table.missions_of(connection, job_id):
        _changed(connection, job_id, str(job.get("status") or ""), str(job.get("updated_at") or connection.clock.text()),
                 rules.facts_of(job))


def task_changed(connection: WriteConnection, mission_id: str, task_id: str, node_id: str,
                 shards: Sequence[tuple[int, str, str, str, str]]) -> None:
    """A task of the mission has these shards (index, node, job, status, error): what is new of them is noted.

    How the job of a shard stands is not told here, but by the job itself.
    """
    mission = table.find(connection, mission_id)
    if mission is None:
        return
    known = table.shards(connection, mission.number)
    for place, peer_id, job_id, status, error in shards:
        before = known.get(place)
        if before is None or before[0] != job_id or not job_id and before[1] != status:
            child = _shard(connection, task_id, peer_id if peer_id != node_id else "", job_id, status, error)
            table.put_child(connection, mission.number, place, child)
    settle(connection, mission.number)


def _shard(connection: WriteConnection, task_id: str, peer_id: str, job_id: str, status: str, error: str) -> Child:
    """A shard, with its job as it stands where there is one."""
    from ..dispatch import table as remote
    from ..jobs import table as jobs
    there = remote.find(connection, job_id) if peer_id and job_id else None
    here = jobs.find(connection, job_id) if job_id and not peer_id else None
    if here is not None:
        return Child(job_id, "", task_id, here.status, here.updated_at, facts_of(here))
    shown: Members = there.snapshot if there is not None else {"status": status, "error": error}
    return Child(job_id, peer_id, task_id, str(shown["status"]), str(shown.get("updated_at") or connection.clock.text()),
                 rules.facts_of(shown))


def check_wanted(connection: Any, mission_id: str) -> None:
    """`Refusal` when the mission was cancelled meanwhile: what is not begun of it is not begun any more."""
    mission = table.find(connection, mission_id) if mission_id else None
    if mission is not None and mission.metadata.get("last_control_action") == "cancel":
        raise Refusal("invalid_state", "mission was cancelled")


def facts_of(job: Job) -> Members:
    """What a mission shows of a job of this node."""
    from ..jobs.shapes import recovery_json
    kept = job.metadata
    return rules.facts_of({
        "request_id": job.request_id, "kind": job.kind, "result_ref": job.result_ref, "recovery": recovery_json(job),
        **{name: kept.get(name) for name in ("latest_checkpoint_ref", "result_bundle_ref", "checkpointed_at", "resume_count",
                                             "error")}})


def _changed(connection: WriteConnection, job_id: str, status: str, updated_at: str, facts: Members) -> None:
    table.save_child(connection, job_id, status, updated_at, facts)
    for number in table.missions_of(connection, job_id):
        settle(connection, number)


def settle(connection: WriteConnection, number: int) -> None:
    """The mission stands as its children say; it is written only when that is another state than before."""
    mission = table.numbered(connection, number)
    if mission is None:
        return
    status = rules.status_of(table.standing(connection, number), bool(mission.metadata.get("launch_error")))
    if status != mission.status:
        table.save(connection, mission._replace(status=status, updated_at=connection.clock.text()))
