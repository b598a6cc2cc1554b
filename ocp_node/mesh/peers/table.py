"""Where peers are kept, with what their own logs told us; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from ...base import jsontext
from .peer import STORED, Members, Peer, made, stored

_JSON = frozenset({"capability_cards", "card", "metadata", "reliability"})
_COLUMNS = ", ".join(STORED)


def every(connection: sqlite3.Connection) -> list[Peer]:
    """All peers, latest seen last."""
    return [_peer(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM mesh_peer ORDER BY last_seen_at, updated_at")]


def find(connection: sqlite3.Connection, peer_id: str) -> Peer | None:
    """The peer as it stands in this transaction."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_peer WHERE peer_id = ?", (peer_id,)).fetchone()
    return _peer(row) if row else None


def put(connection: sqlite3.Connection, peer: Peer) -> None:
    """The peer stands in the table as it is here."""
    members = stored(peer)
    values = [jsontext.ascii_text(value) if name in _JSON else value for name, value in members.items()]
    updates = ", ".join(f"{name} = excluded.{name}" for name in STORED if name != "peer_id")
    connection.execute(f"INSERT INTO mesh_peer({_COLUMNS}) VALUES ({','.join('?' * len(values))}) "
                       f"ON CONFLICT(peer_id) DO UPDATE SET {updates}", values)


def drop(connection: sqlite3.Connection, peer_id: str) -> None:
    """The peer and what its log told us are gone."""
    connection.execute("DELETE FROM mesh_peer WHERE peer_id = ?", (peer_id,))
    forget_events(connection, peer_id)


def _peer(row: Sequence[object]) -> Peer:
    members: Members = {name: jsontext.load(str(value)) if name in _JSON else value for name,
                        value in zip(STORED, row, strict=True)}
    switch = members["remote_execution"]
    return made({**members, "remote_execution": None if switch is None else bool(switch)})


# --- events of peers' own logs: claims of that peer, nothing more

def keep_events(connection: sqlite3.Connection, peer_id: str, events: Iterable[Members], synced_at: str) -> int:
    """Each event stands in the table once.  Gives how many are new."""
    kept = 0
    for event in events:
        kept += connection.execute(
            "INSERT OR IGNORE INTO mesh_remote_event(peer_id, remote_seq, event_id, event_type, request_id, payload, "
            "remote_created_at, synced_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (peer_id, event["seq"], event["id"], event["event_type"], event["request_id"], event["payload"], event["created_at"],
             synced_at)).rowcount
    return kept


def forget_events(connection: sqlite3.Connection, peer_id: str) -> None:
    """Nothing of the peer's log is left: it has begun a new one."""
    connection.execute("DELETE FROM mesh_remote_event WHERE peer_id = ?", (peer_id,))


def prune_events(connection: sqlite3.Connection, peer_id: str, keep: int) -> None:
    """The newest `keep` events of the peer are left."""
    connection.execute("DELETE FROM mesh_remote_event WHERE peer_id = ? AND remote_seq <= (SELECT remote_seq "
                       "FROM mesh_remote_event WHERE peer_id = ? ORDER BY remote_seq DESC LIMIT 1 OFFSET ?)",
                       (peer_id, peer_id, keep))


def newest_types(connection: sqlite3.Connection, peer_id: str, types: Sequence[str], limit: int) -> list[str]:
    """The types of the newest `limit` events of `types` in the peer's log."""
    rows: list[tuple[int, str]] = []
    for kind in types:
        rows += connection.execute("SELECT remote_seq, event_type FROM mesh_remote_event WHERE peer_id = ? AND event_type = ? "
                                   "ORDER BY remote_seq DESC LIMIT ?", (peer_id, kind, limit)).fetchall()
    return [str(row[1]) for row in sorted(rows, key=lambda row: -int(row[0]))[:limit]]


def remote_events(connection: sqlite3.Connection, peer_id: str, limit: int) -> list[Members]:
    """The newest events of the peer's log that we have, newest first."""
    rows = connection.execute("SELECT remote_seq, event_id, event_type, request_id, payload, remote_created_at, synced_at "
                              "FROM mesh_remote_event WHERE peer_id = ? ORDER BY remote_seq DESC LIMIT ?", (peer_id, limit))
    return [{"seq": row[0], "id": row[1], "event_type": row[2], "request_id": row[3], "payload": jsontext.load(row[4]),
             "created_at": row[5], "synced_at": row[6]} for row in rows]


def newest_of(connection: sqlite3.Connection, peer_id: str, types: Sequence[str], job_ids: Sequence[str]) -> dict[str, str]:
    """Which of `types` the peer's log tells last of each of these jobs; jobs of which it tells nothing are left out."""
    wanted, found = set(job_ids), dict[str, tuple[int, str]]()
    for kind in types:
        for seq, payload in connection.execute("SELECT remote_seq, payload FROM mesh_remote_event WHERE peer_id = ? AND "
                                               "event_type = ? ORDER BY remote_seq DESC LIMIT 500", (peer_id, kind)):
            told = jsontext.load(payload)
            job_id = told.get("job_id") if isinstance(told, dict) else None
            if isinstance(job_id, str) and job_id in wanted and found.get(job_id, (0, ""))[0] < seq:
                found[job_id] = (int(seq), kind)
    return {job_id: kind for job_id, (_, kind) in found.items()}
