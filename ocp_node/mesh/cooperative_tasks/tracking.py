"""Tasks follow their shards: what changes a job is noted with its task in the same change, so that reading writes nothing.

Functions of a change, without the room: jobs change before anybody has asked for a task since the node started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import table

if TYPE_CHECKING:
    from ...store.writer import WriteConnection


def job_changed(connection: WriteConnection, job_id: str, status: str) -> None:
    """A job, of this node or at a peer, stands so now."""
    if table.set_status(connection, job_id, status):
        for number in table.tasks_with(connection, job_id):
            settle(connection, number)


def settle(connection: WriteConnection, number: int) -> None:
    """The task stands as its shards say; whoever listens hears when that is another state than before."""
    from . import rules
    task = table.numbered(connection, number)
    if task is not None and task.mission_id:
        from ..missions import tracking as missions  # without their room, as here
        missions.task_changed(connection, task.mission_id, task.id, task.origin_peer_id, table.places(connection, number))
    state = rules.state_of(table.statuses(connection, number))
    if task is None or state == task.state:
        return
    table.set_state(connection, number, state)
    connection.event("mesh.cooperative_task.changed", subject=task.id, peer_id=task.origin_peer_id, request_id=task.request_id,
                     payload={"task_id": task.id, "state": state, "previous_state": task.state})
