"""All SQL of what was revoked.  Rows are only added."""

from __future__ import annotations

import sqlite3

from .rules import ENDORSEMENTS, PASSPORTS


def position(connection: sqlite3.Connection) -> int:
    """The last position that was given."""
    return int(connection.execute("SELECT revocations FROM cap_state").fetchone()[0])


def add(connection: sqlite3.Connection, family: str, target: str, node_id: str, capability_id: str, issuer: str, stored_us: int,
        text: str) -> int:
    """The revocation stands, at a new position; 0 when the very same stood already."""
    if connection.execute("SELECT 1 FROM cap_revocation WHERE target = ? AND node_id = ? AND capability_id = ? AND issuer = ? "
                          "AND family = ?", (target, node_id, capability_id, issuer, family)).fetchone():
        return 0
    connection.execute("UPDATE cap_state SET revocations = revocations + 1")
    at = position(connection)
    connection.execute("INSERT INTO cap_revocation VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (at, family, target, node_id, capability_id, issuer, stored_us, text))
    return at


def passport_revoked(connection: sqlite3.Connection, passport_id: str, node_id: str, capability_id: str, issuer: str) -> bool:
    """Its issuer or its subject has revoked the passport."""
    return connection.execute("SELECT 1 FROM cap_revocation WHERE target = ? AND node_id = ? AND capability_id = ? AND issuer "
                              "IN ('', ?) AND family = ?",
                              (passport_id, node_id, capability_id, issuer, PASSPORTS)).fetchone() is not None


def delegation_revoked(connection: sqlite3.Connection, delegation_id: str, issuer: str) -> bool:
    """The key's owner has revoked the delegation."""
    return connection.execute("SELECT 1 FROM cap_revocation WHERE target = ? AND issuer = ? AND family = ?",
                              (delegation_id, issuer, PASSPORTS)).fetchone() is not None


def endorsement_revoked(connection: sqlite3.Connection, endorsement_id: str, endorser: str) -> bool:
    """Its endorser has withdrawn the endorsement."""
    return connection.execute("SELECT 1 FROM cap_revocation WHERE target = ? AND issuer = ? AND family = ?",
                              (endorsement_id, endorser, ENDORSEMENTS)).fetchone() is not None


def passport_issuers(connection: sqlite3.Connection, passport_id: str, node_id: str, capability_id: str) -> list[str]:
    """Who issued passports of this id for this node and capability; none when it was never registered."""
    return [row[0]
            for row in connection.execute("SELECT issuer FROM cap_passport WHERE passport_id = ? AND node_id = ? AND "
                                          "capability_id = ?",
                                                 (passport_id, node_id, capability_id))]


def delegation_issuers(connection: sqlite3.Connection, delegation_id: str) -> list[str]:
    """Whose registered passports were signed by way of the delegation."""
    return [row[0]
            for row in connection.execute("SELECT DISTINCT issuer FROM cap_registration WHERE delegation_id = ? AND "
                                          "delegation_id <> '' "
                                                 "LIMIT 100", (delegation_id,))]


def withdraw_passport(connection: sqlite3.Connection, passport_id: str, node_id: str, capability_id: str, issuer: str) -> int:
    """Registrations that stand on the passport are gone; `issuer` "" is whoever issued it."""
    return _withdrawn(connection, "passport_id = ? AND node_id = ? AND capability_id = ? AND (? = '' OR issuer = ?)",
                      (passport_id, node_id, capability_id, issuer, issuer))


def withdraw_delegation(connection: sqlite3.Connection, delegation_id: str, issuer: str) -> int:
    """Registrations whose passport was signed by the delegated key are gone."""
    return _withdrawn(connection, "delegation_id = ? AND issuer = ?", (delegation_id, issuer))


def _withdrawn(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> int:
    gone = connection.execute(f"DELETE FROM cap_registration WHERE {where}", values).rowcount
    if gone:
        connection.execute("UPDATE cap_state SET registrations = registrations - ?", (gone,))
    return gone


def withdraw_endorsement(connection: sqlite3.Connection, endorsement_id: str, endorser: str) -> int:
    """The endorsement is shown no more."""
    return connection.execute("DELETE FROM cap_endorsement WHERE endorsement_id = ? AND endorser = ?",
                              (endorsement_id, endorser)).rowcount


def after(connection: sqlite3.Connection, position: int, family: str, limit: int) -> list[tuple[int, str, str]]:
    """Position, family and artifact after `position`, in order; of every family when it is ""."""
    return [tuple(row) for row in connection.execute(
        "SELECT position, family, artifact_json FROM cap_revocation WHERE position > ? AND (? = '' OR family = ?) ORDER BY "
        "position LIMIT ?", (position, family, family, limit))]
