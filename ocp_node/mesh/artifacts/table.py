"""Where artifacts and the counts of their blobs are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...base import jsontext

Members = dict[str, Any]

_COLUMNS = ("id", "digest", "media_type", "size_bytes", "owner_peer_id", "policy", "metadata", "retention_class",
            "retention_deadline_at", "created_at")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM mesh_artifact"
_ALIVE = "(retention_deadline_at = '' OR retention_deadline_at > :now OR pinned)"
_NEWEST = "ORDER BY created_at DESC, number"
# In the order of how little each leaves: SQLite, without statistics, would as soon look through all artifacts of one owner.
FILTERS = ("digest", "attempt_id", "job_id", "parent_artifact_id", "artifact_kind", "owner_peer_id", "media_type", "retention_class")
# Their indexes leave out "": who wants one must say that he looks for something.
_SPARSE = frozenset({"artifact_kind", "job_id", "attempt_id", "parent_artifact_id"})


def _stored(row: Sequence[Any]) -> Members:
    members = dict(zip(_COLUMNS, row, strict=True))
    members["policy"], members["metadata"] = jsontext.load(members["policy"]), jsontext.load(members["metadata"])
    return members


# --- artifacts

def find(connection: sqlite3.Connection, artifact_id: str, now: str) -> Members | None:
    """The artifact, unless its time is over."""
    row = connection.execute(f"{_SELECT} WHERE id = :id AND {_ALIVE}", {"id": artifact_id, "now": now}).fetchone()
    return _stored(row) if row else None


def size_of(connection: sqlite3.Connection, artifact_id: str) -> int:
    """How many bytes the artifact has; 0 when there is none."""
    row = connection.execute("SELECT size_bytes FROM mesh_artifact WHERE id = ?", (artifact_id,)).fetchone()
    return int(row[0]) if row else 0


def newest_of(connection: sqlite3.Connection, digest: str, now: str) -> Members | None:
    """The artifact that has this content and was stored last."""
    row = connection.execute(f"{_SELECT} WHERE digest = :digest AND {_ALIVE} ORDER BY created_at DESC, number DESC LIMIT 1",
                             {"digest": digest, "now": now}).fetchone()
    return _stored(row) if row else None


def matching(connection: sqlite3.Connection, filters: Mapping[str, str], now: str, limit: int, *, private: bool,
             bytes_max: int) -> list[Members]:
    """The newest artifacts with these properties; without `private` those are left out that only operators see.

    The list ends early when its metadata weigh `bytes_max`.
    """
    named = {name: filters[name] for name in FILTERS if filters.get(name)}
    looked_up = next(iter(named), "")                # a `+` keeps the others' indexes out of it
    where = " AND ".join([_ALIVE, *(f"{'' if name == looked_up else '+'}{name} = :{name}" for name in named),
                          *((f"{looked_up} <> ''",) if looked_up in _SPARSE else ()),
                          *(() if private else ("classification <> 'private'",))])
    found: list[Members] = []
    weight = 0
    for row in connection.execute(f"{_SELECT} WHERE {where} {_NEWEST} LIMIT :limit", {**named, "now": now, "limit": limit}):
        weight += len(row[5]) + len(row[6])
        if found and weight > bytes_max:
            break
        found.append(_stored(row))
    return found


def add(connection: sqlite3.Connection, artifact: Mapping[str, Any], searched: Mapping[str, str], pinned: bool) -> None:
    """The artifact stands in the table, and its blob counts it.  `searched`: what lists find it by, of its metadata."""
    values = {**artifact, **searched, "policy": jsontext.ascii_text(artifact["policy"]),
              "metadata": jsontext.ascii_text(artifact["metadata"]), "classification": artifact["policy"]["classification"], "pinned": int(pinned)}
    names = (*_COLUMNS, "classification", "artifact_kind", "job_id", "attempt_id", "parent_artifact_id", "pinned")
    connection.execute(f"INSERT INTO mesh_artifact({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})",
                       {name: values[name] for name in names})
    connection.execute("INSERT INTO mesh_blob(digest, size_bytes, refs) VALUES (?, ?, 1) "
                       "ON CONFLICT(digest) DO UPDATE SET refs = refs + 1",
                       (artifact["digest"], artifact["size_bytes"]))


def change(connection: sqlite3.Connection, artifact_id: str, metadata: Mapping[str, Any], *, pinned: bool, retention_class: str,
           deadline_at: str) -> None:
    """The artifact's metadata and how long it is kept are these."""
    connection.execute("UPDATE mesh_artifact SET metadata = ?, pinned = ?, retention_class = ?, retention_deadline_at = ? WHERE id = ?",
                       (jsontext.ascii_text(metadata), int(pinned), retention_class, deadline_at, artifact_id))


def set_metadata(connection: sqlite3.Connection, artifact_id: str, metadata: Mapping[str, Any]) -> None:
    """The artifact's metadata are these."""
    connection.execute("UPDATE mesh_artifact SET metadata = ? WHERE id = ?", (jsontext.ascii_text(metadata), artifact_id))


def drop(connection: sqlite3.Connection, artifact_id: str, digest: str) -> bool:
    """The artifact is gone.  True when it was the last one of its blob."""
    connection.execute("DELETE FROM mesh_artifact WHERE id = ?", (artifact_id,))
    connection.execute("UPDATE mesh_blob SET refs = refs - 1 WHERE digest = ?", (digest,))
    row = connection.execute("SELECT refs FROM mesh_blob WHERE digest = ?", (digest,)).fetchone()
    return row is not None and row[0] == 0


def due(connection: sqlite3.Connection, until: str, limit: int) -> list[tuple[str, str, str, int, bool]]:
    """Id, digest, class, size and whether it is pinned of artifacts whose deadline has come, the oldest first."""
    rows = connection.execute("SELECT id, digest, retention_class, size_bytes, pinned FROM mesh_artifact WHERE retention_deadline_at <> '' "
                              "AND retention_deadline_at <= ? ORDER BY retention_deadline_at, number LIMIT ?", (until, limit))
    return [(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]


def next_deadline(connection: sqlite3.Connection) -> str:
    """The earliest deadline of an artifact that is not pinned, or ""."""
    row = connection.execute("SELECT min(retention_deadline_at) FROM mesh_artifact WHERE retention_deadline_at <> '' AND NOT pinned").fetchone()
    return row[0] or ""


def expendable(connection: sqlite3.Connection, retention_class: str, limit: int) -> list[tuple[str, str, int]]:
    """Id, digest and size of the oldest artifacts of a class that are not pinned."""
    rows = connection.execute("SELECT id, digest, size_bytes FROM mesh_artifact WHERE retention_class = ? AND pinned = 0 "
                              "AND retention_class <> 'durable' ORDER BY created_at, number LIMIT ?", (retention_class, limit))
    return [(row[0], row[1], row[2]) for row in rows]


# --- blobs

def weight(connection: sqlite3.Connection) -> tuple[int, int]:
    """What all blobs weigh, in bytes, and how many there are."""
    row = connection.execute("SELECT bytes, blobs FROM mesh_blob_total").fetchone()
    return int(row[0]), int(row[1])


def counted(connection: sqlite3.Connection, digest: str) -> bool:
    """Has any artifact this content?"""
    return connection.execute("SELECT 1 FROM mesh_blob WHERE digest = ? AND refs > 0", (digest,)).fetchone() is not None


def unused(connection: sqlite3.Connection, limit: int) -> list[str]:
    """Digests of blobs that no artifact has any more."""
    return [row[0] for row in connection.execute("SELECT digest FROM mesh_blob WHERE refs = 0 LIMIT ?", (limit,))]


def forget(connection: sqlite3.Connection, digests: Sequence[str]) -> None:
    """Blobs whose files were removed are counted no more, unless they came back meanwhile."""
    connection.executemany("DELETE FROM mesh_blob WHERE digest = ? AND refs = 0", [(digest,) for digest in digests])


# --- requests of peers, so that each is carried out once

def answered(connection: sqlite3.Connection, peer_id: str, request_id: str, since: int) -> str:
    """The artifact that this request of the peer has led to, or ""."""
    row = connection.execute("SELECT artifact_id FROM mesh_artifact_request WHERE peer_id = ? AND request_id = ? AND seen_at >= ?",
                             (peer_id, request_id, since)).fetchone()
    return row[0] if row else ""


def remember(connection: sqlite3.Connection, peer_id: str, request_id: str, artifact_id: str, now: int) -> None:
    """The request has led to that artifact."""
    connection.execute("INSERT OR REPLACE INTO mesh_artifact_request(peer_id, request_id, artifact_id, seen_at) VALUES (?, ?, ?, ?)",
                       (peer_id, request_id, artifact_id, now))


def prune_requests(connection: sqlite3.Connection, before: int, limit: int) -> int:
    """Requests that were seen before that second are forgotten.  Gives how many were."""
    return connection.execute("DELETE FROM mesh_artifact_request WHERE (peer_id, request_id) IN (SELECT peer_id, request_id "
                              "FROM mesh_artifact_request WHERE seen_at < ? ORDER BY seen_at LIMIT ?)", (before, limit)).rowcount


def requests_before(connection: sqlite3.Connection, before: int) -> bool:
    """Is there a request that was seen before that second?"""
    return connection.execute("SELECT 1 FROM mesh_artifact_request WHERE seen_at < ? LIMIT 1", (before,)).fetchone() is not None


def linked(connection: sqlite3.Connection, digests: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Digest and id of the newest artifact of each of these contents."""
    for digest in digests:
        row = connection.execute("SELECT id FROM mesh_artifact WHERE digest = ? ORDER BY created_at DESC, number DESC LIMIT 1",
                                 (digest,)).fetchone()
        if row:
            yield digest, row[0]
