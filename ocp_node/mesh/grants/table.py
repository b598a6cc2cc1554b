"""Where grants, their uses and the proofs that were shown are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3


def add(connection: sqlite3.Connection, grant_id: str, subject_peer_id: str, expires_at: str) -> None:
    """The grant is known; one that already was stays as it is."""
    connection.execute("INSERT OR IGNORE INTO mesh_grant(grant_id, subject_peer_id, expires_at, uses, revoked_at) "
                       "VALUES (?, ?, ?, 0, '')",
                       (grant_id, subject_peer_id, expires_at))


def standing(connection: sqlite3.Connection, grant_id: str) -> tuple[int, bool] | None:
    """How often the grant was used, and whether it was revoked; None when it is not known."""
    row = connection.execute("SELECT uses, revoked_at FROM mesh_grant WHERE grant_id = ?", (grant_id,)).fetchone()
    return (int(row[0]), bool(row[1])) if row else None


def delivered(connection: sqlite3.Connection, grant_id: str, artifact_id: str) -> bool:
    """Has the grant opened this artifact before?"""
    return connection.execute("SELECT 1 FROM mesh_grant_delivery WHERE grant_id = ? AND artifact_id = ?",
                              (grant_id, artifact_id)).fetchone() is not None


def count(connection: sqlite3.Connection, grant_id: str, artifact_id: str) -> None:
    """The grant was used once more, for this artifact."""
    connection.execute("UPDATE mesh_grant SET uses = uses + 1 WHERE grant_id = ?", (grant_id,))
    connection.execute("INSERT OR IGNORE INTO mesh_grant_delivery(grant_id, artifact_id) VALUES (?, ?)", (grant_id, artifact_id))


def revoke(connection: sqlite3.Connection, grant_id: str, at: str) -> bool:
    """The grant is over; False when it is not known.  One that was revoked keeps its time."""
    connection.execute("UPDATE mesh_grant SET revoked_at = ? WHERE grant_id = ? AND revoked_at = ''", (at, grant_id))
    return standing(connection, grant_id) is not None


def claim(connection: sqlite3.Connection, subject_peer_id: str, nonce: str, seen_at: int) -> bool:
    """The proof's nonce is used now; False when it was before."""
    return connection.execute("INSERT OR IGNORE INTO mesh_grant_proof(subject_peer_id, nonce, seen_at) VALUES (?, ?, ?)",
                              (subject_peer_id, nonce, seen_at)).rowcount == 1


def prune(connection: sqlite3.Connection, expired_before: str, seen_before: int, limit: int) -> int:
    """Grants that expired before that time and proofs seen before that second are forgotten, at most `limit` of each."""
    gone = connection.execute("DELETE FROM mesh_grant_proof WHERE (subject_peer_id, nonce) IN (SELECT subject_peer_id, nonce "
                              "FROM mesh_grant_proof WHERE seen_at < ? ORDER BY seen_at LIMIT ?)", (seen_before, limit)).rowcount
    over = [row[0] for row in connection.execute("SELECT grant_id FROM mesh_grant WHERE expires_at < ? ORDER BY expires_at LIMIT ?",
                                                 (expired_before, limit))]
    for grant_id in over:
        connection.execute("DELETE FROM mesh_grant_delivery WHERE grant_id = ?", (grant_id,))
        connection.execute("DELETE FROM mesh_grant WHERE grant_id = ?", (grant_id,))
    return gone + len(over)


def oldest(connection: sqlite3.Connection) -> tuple[str, int] | None:
    """When the first grant expires and when the oldest proof was seen; None when there is neither."""
    expiry = connection.execute("SELECT min(expires_at) FROM mesh_grant").fetchone()[0]
    seen = connection.execute("SELECT min(seen_at) FROM mesh_grant_proof").fetchone()[0]
    return None if expiry is None and seen is None else (expiry or "9999", seen if seen is not None else 2**62)
