"""Where ended tokens are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3


def ended(connection: sqlite3.Connection, now: float) -> dict[str, float]:
    """Tokens that were ended and would still be good."""
    return dict(connection.execute("SELECT id, expires_at FROM appmesh_revocation WHERE expires_at > ?", (now,)))


def end(connection: sqlite3.Connection, token_id: str, expires_at: float) -> bool:
    """The token is ended; False when it already was."""
    return connection.execute("INSERT OR IGNORE INTO appmesh_revocation(id, expires_at) VALUES (?, ?)",
                              (token_id, expires_at)).rowcount > 0


def sweep(connection: sqlite3.Connection, now: float) -> int:
    """At most a thousand that have expired by themselves are forgotten; gives how many."""
    return connection.execute("DELETE FROM appmesh_revocation WHERE id IN "
                              "(SELECT id FROM appmesh_revocation WHERE expires_at < ? LIMIT 1000)",
                              (now,)).rowcount
