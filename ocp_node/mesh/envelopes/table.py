"""Which nonces each peer has used; all SQL of the room."""

from __future__ import annotations

import sqlite3


def claim(connection: sqlite3.Connection, peer_id: str, nonce: str, route: str, request_id: str, seen_at: int) -> bool:
    """The nonce is used now; False when it was before."""
    return connection.execute("INSERT OR IGNORE INTO mesh_nonce(peer_id, nonce, route, request_id, seen_at) "
                              "VALUES (?, ?, ?, ?, ?)", (peer_id, nonce, route, request_id, seen_at)).rowcount == 1


def prune(connection: sqlite3.Connection, seen_before: int, limit: int) -> int:
    """Nonces seen before that second are forgotten, at most `limit` of them.  Gives how many were."""
    return connection.execute("DELETE FROM mesh_nonce WHERE (peer_id, nonce) IN (SELECT peer_id, nonce FROM mesh_nonce "
                              "WHERE seen_at < ? ORDER BY seen_at LIMIT ?)", (seen_before, limit)).rowcount


def standing(connection: sqlite3.Connection, peer_id: str) -> tuple[str, str] | None:
    """The pinned key and the tier of a peer as they stand in this transaction."""
    row = connection.execute("SELECT public_key, trust_tier FROM mesh_peer WHERE peer_id = ?", (peer_id,)).fetchone()
    return (str(row[0]), str(row[1])) if row else None


def any_left(connection: sqlite3.Connection) -> int | None:
    """When the oldest nonce was seen, in seconds since 1970; None when none is kept."""
    row = connection.execute("SELECT min(seen_at) FROM mesh_nonce").fetchone()
    return None if row[0] is None else int(row[0])
