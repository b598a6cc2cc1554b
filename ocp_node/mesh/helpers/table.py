"""Where offload preferences are kept; all SQL of the room.  Enlistments stand with their peers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...base import jsontext
from .offload import Preference

_COLUMNS = ", ".join(Preference._fields)
_NEXT = "(SELECT coalesce(max(changed), 0) + 1 FROM mesh_offload_preference)"
OF_PEERS_MAX = 500


def put(connection: sqlite3.Connection, preference: Preference) -> Preference:
    """The preference stands in the table as the latest change, and keeps its beginning.  Gives what stands there."""
    values = preference._replace(metadata=jsontext.ascii_text(preference.metadata))  # type: ignore[arg-type]
    row = connection.execute(
        f"INSERT INTO mesh_offload_preference({_COLUMNS}, changed) VALUES ({','.join('?' * len(values))}, {_NEXT}) "
        "ON CONFLICT(peer_id, workload_class) DO UPDATE SET preference = excluded.preference, source = excluded.source, "
        "metadata = excluded.metadata, updated_at = excluded.updated_at, changed = excluded.changed "
        f"RETURNING {_COLUMNS}", values).fetchone()
    return _preference(row)


def latest(connection: sqlite3.Connection, limit: int, peer_id: str = "", workload_class: str = "") -> list[Preference]:
    """The preferences that fit, latest change first; an empty word narrows nothing."""
    named = {"peer_id": peer_id, "workload_class": workload_class}
    wanted = {name: value for name, value in named.items() if value}
    where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_offload_preference WHERE {where} ORDER BY changed DESC LIMIT ?",
                              (*wanted.values(), limit))
    return [_preference(row) for row in rows]


def of_peers(connection: sqlite3.Connection, peer_ids: Sequence[str]) -> list[Preference]:
    """The preferences of these peers, latest change first."""
    asked = list(peer_ids)[:OF_PEERS_MAX]
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_offload_preference WHERE peer_id IN ({','.join('?' * len(asked))}) "
                              "ORDER BY changed DESC", asked)
    return [_preference(row) for row in rows]


def _preference(row: Sequence[object]) -> Preference:
    members = dict(zip(Preference._fields, row, strict=True))
    return Preference(**{**members, "metadata": jsontext.load(str(members["metadata"]))})  # type: ignore[arg-type]
