"""Missions follow their jobs: what changes a job is noted with its missions in the same change, so that reading writes nothing.

Functions of a change, without the room: jobs change before anybody has asked for a mission since the node started.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import rules, table

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
    status = rules.status_of(table.children(connection, number), bool(mission.metadata.get("launch_error")))
    if status != mission.status:
        table.save(connection, mission._replace(status=status, updated_at=connection.clock.text()))
