"""Where invitations are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3

from .rules import Invitation

_COLUMNS = ", ".join(Invitation._fields)


def add(connection: sqlite3.Connection, invitation: Invitation, sealed: str, created_at: str) -> None:
    connection.execute("INSERT INTO mesh_invitation(id, trust_tier, expires_at, secret, created_at) VALUES (?, ?, ?, ?, ?)",
                       (invitation.id, invitation.trust_tier, invitation.expires_at, sealed, created_at))


def find(connection: sqlite3.Connection, name: str) -> tuple[Invitation, str] | None:
    """The invitation and its sealed secret."""
    row = connection.execute(f"SELECT {_COLUMNS}, secret FROM mesh_invitation WHERE id = ?", (name,)).fetchone()
    return (Invitation(*row[:-1]), row[-1]) if row else None


def use(connection: sqlite3.Connection, invitation: Invitation) -> None:
    """Who used it stands with it."""
    connection.execute("UPDATE mesh_invitation SET used_at = ?, used_by = ?, used_key = ?, words = ? WHERE id = ?",
                       (invitation.used_at, invitation.used_by, invitation.used_key, invitation.words, invitation.id))


def sweep(connection: sqlite3.Connection, before: float) -> None:
    connection.execute("DELETE FROM mesh_invitation WHERE expires_at < ?", (before,))


def count_open(connection: sqlite3.Connection, now: float) -> int:
    return int(connection.execute("SELECT count(*) FROM mesh_invitation WHERE expires_at > ? AND used_by = ''",
                                  (now,)).fetchone()[0])


def end_open(connection: sqlite3.Connection, now: float) -> None:
    """Invitations that nobody has used expire now."""
    connection.execute("UPDATE mesh_invitation SET expires_at = ? WHERE used_by = '' AND expires_at > ?", (now, now))
