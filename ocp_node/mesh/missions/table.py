"""What is kept of missions; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...base import jsontext
from .rules import ENDED, Child

Members = dict[str, Any]

KEPT_MAX = 10_000                    # missions; past it the ones that ended longest ago are forgotten
FORGOTTEN_AT_ONCE = 20
LIST_BYTES_MAX = 8 * 1024 * 1024     # of policies, continuity and metadata in one list


class Mission(NamedTuple):
    """A mission as it is stored."""
    number: int                      # 0 before it is stored
    id: str
    request_id: str
    origin_peer_id: str
    title: str
    intent: str
    status: str
    priority: str
    workload_class: str
    target_strategy: str
    policy: Members
    continuity: Members
    metadata: Members
    created_at: str
    updated_at: str


_STORED = Mission._fields[1:]
_JSON = frozenset({"policy", "continuity", "metadata"})
_LARGE = tuple(place for place, name in enumerate(Mission._fields) if name in _JSON)
_COLUMNS = ", ".join(Mission._fields)
_NEXT = "(SELECT coalesce(max(changed), 0) + 1 FROM mesh_mission)"


def _mission(row: Sequence[Any]) -> Mission:
    values: Members = dict(zip(Mission._fields, row, strict=True))
    for name in _JSON:
        values[name] = jsontext.load(values[name])
    return Mission(**values)


def add(connection: sqlite3.Connection, mission: Mission) -> Mission | None:
    """The mission as it is stored; None when as many are kept as can be, and none of them has ended."""
    count = connection.execute("SELECT count(*) FROM mesh_mission").fetchone()[0]
    if count >= KEPT_MAX and not _forget(connection, count - KEPT_MAX + FORGOTTEN_AT_ONCE):
        return None
    values = [jsontext.ascii_text(getattr(mission, name)) if name in _JSON else getattr(mission, name) for name in _STORED]
    cursor = connection.execute(f"INSERT INTO mesh_mission({', '.join(_STORED)}, changed) "
                                f"VALUES ({', '.join('?' * len(_STORED))}, {_NEXT})", values)
    return mission._replace(number=cursor.lastrowid or 0)


def _forget(connection: sqlite3.Connection, count: int) -> int:
    words = ", ".join("?" * len(ENDED))
    return connection.execute("DELETE FROM mesh_mission WHERE number IN (SELECT number FROM mesh_mission "
                              f"WHERE status IN ({words}) ORDER BY changed LIMIT ?)", (*ENDED, count)).rowcount


def find(connection: sqlite3.Connection, mission_id: str) -> Mission | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_mission WHERE id = ?", (mission_id,)).fetchone()
    return None if row is None else _mission(row)


def numbered(connection: sqlite3.Connection, number: int) -> Mission | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_mission WHERE number = ?", (number,)).fetchone()
    return None if row is None else _mission(row)


def by_request(connection: sqlite3.Connection, origin: str, request_id: str) -> Mission | None:
    """The mission that was asked for under this name."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_mission WHERE origin_peer_id = ? AND request_id = ?",
                             (origin, request_id)).fetchone()
    return None if row is None else _mission(row)


def save(connection: sqlite3.Connection, mission: Mission) -> None:
    """What can change of a mission; it has changed last."""
    connection.execute(f"UPDATE mesh_mission SET status = ?, metadata = ?, updated_at = ?, changed = {_NEXT} WHERE number = ?",
                       (mission.status, jsontext.ascii_text(mission.metadata), mission.updated_at, mission.number))


def listed(connection: sqlite3.Connection, limit: int, status: str = "") -> list[Mission]:
    """The missions in that state, or in any, latest change first; the list ends early when what they hold weighs too much."""
    where, values = ("WHERE status = ?", (status,)) if status else ("", ())
    found: list[Mission] = []
    weight = 0
    for row in connection.execute(f"SELECT {_COLUMNS} FROM mesh_mission {where} ORDER BY changed DESC LIMIT ?", (*values, limit)):
        weight += sum(len(row[place]) for place in _LARGE)
        if found and weight > LIST_BYTES_MAX:
            break
        found.append(_mission(row))
    return found


# --- children

def children(connection: sqlite3.Connection, number: int) -> list[Child]:
    """The mission's children in their order."""
    rows = connection.execute("SELECT job_id, peer_id, task_id, status, updated_at, facts FROM mesh_mission_child "
                              "WHERE mission = ? ORDER BY place", (number,))
    return [_child(row) for row in rows]


def standing(connection: sqlite3.Connection, number: int) -> list[Child]:
    """The mission's children as far as its state follows from them: without their facts."""
    rows = connection.execute("SELECT job_id, peer_id, task_id, status, updated_at FROM mesh_mission_child "
                              "WHERE mission = ? ORDER BY place", (number,))
    return [Child(row[0], row[1], row[2], row[3], row[4], {}) for row in rows]


def _child(row: Sequence[Any]) -> Child:
    facts: Any = jsontext.load(row[5])
    return Child(row[0], row[1], row[2], row[3], row[4], facts)


def shards(connection: sqlite3.Connection, number: int) -> dict[int, tuple[str, str]]:
    """Job and status of the mission's children, by their place."""
    rows = connection.execute("SELECT place, job_id, status FROM mesh_mission_child WHERE mission = ?", (number,))
    return {row[0]: (row[1], row[2]) for row in rows}


def put_child(connection: sqlite3.Connection, number: int, place: int, child: Child) -> None:
    """The mission has this child in that place."""
    connection.execute("INSERT OR REPLACE INTO mesh_mission_child VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (number, place, child.job_id, child.peer_id, child.task_id, child.status, child.updated_at,
                        jsontext.ascii_text(child.facts)))


def missions_of(connection: sqlite3.Connection, job_id: str) -> list[int]:
    """The missions that this job belongs to."""
    return [row[0] for row in connection.execute("SELECT mission FROM mesh_mission_child WHERE job_id = ? AND job_id <> ''",
                                                 (job_id,))]


def save_child(connection: sqlite3.Connection, job_id: str, status: str, updated_at: str, facts: Members) -> None:
    """The job stands like this now, wherever it is a child."""
    connection.execute("UPDATE mesh_mission_child SET status = ?, updated_at = ?, facts = ? WHERE job_id = ? AND job_id <> ''",
                       (status, updated_at, jsontext.ascii_text(facts), job_id))
