"""All SQL of endorsements."""

from __future__ import annotations

import sqlite3
from typing import Any

KEPT_US = 72 * 3600 * 1_000_000


def registered(connection: sqlite3.Connection, node_id: str, capability_id: str, now_us: int) -> bool:
    """There is a registration that counts now."""
    return connection.execute("SELECT 1 FROM cap_registration WHERE node_id = ? AND capability_id = ? AND expires_us > ?",
                              (node_id, capability_id, now_us)).fetchone() is not None


def issued_us(connection: sqlite3.Connection, node_id: str, capability_id: str) -> str | None:
    """The endorsement that is stored for the registration, as JSON text."""
    row = connection.execute("SELECT artifact_json FROM cap_endorsement WHERE node_id = ? AND capability_id = ?",
                             (node_id, capability_id)).fetchone()
    return str(row[0]) if row is not None else None


def put(connection: sqlite3.Connection, endorsement: dict[str, Any], expires_us: int, stored_us: int, text: str) -> None:
    """This is the registration's endorsement."""
    connection.execute("INSERT OR REPLACE INTO cap_endorsement VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (endorsement["node_id"], endorsement["capability_id"], endorsement["endorsement_id"],
                        endorsement["federation_id"], endorsement["endorser_subject_ref"], expires_us, stored_us, text))


def known(connection: sqlite3.Connection, endorsement_id: str, node_id: str, capability_id: str, endorser: str) -> bool:
    """The endorsement is stored here, or was withdrawn here."""
    return connection.execute(
        "SELECT 1 FROM cap_endorsement WHERE endorsement_id = ? AND node_id = ? AND capability_id = ? AND endorser = ? "
        "UNION ALL SELECT 1 FROM cap_revocation WHERE target = ? AND node_id = ? AND capability_id = ? AND issuer = ?",
        (endorsement_id, node_id, capability_id, endorser) * 2).fetchone() is not None


def sweep(connection: sqlite3.Connection, now_us: int) -> int:
    """Endorsements that ended days ago are gone.  Gives how many."""
    return connection.execute("DELETE FROM cap_endorsement WHERE expires_us <= ?", (now_us - KEPT_US,)).rowcount
