"""All SQL of the capability catalogue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from ...base import jsontext
from .. import passports
from .rules import Query, Registered, Submitted

KEPT_US = 72 * 3600 * 1_000_000      # of a passport that has ended
SWEPT_PER_CALL_MAX = 500
_SHOWN = ("r.position, r.node_id, r.capability_id, r.anchor, r.informal, r.sequence_no, r.issuer, r.stored_us, r.expires_us, "
          "r.passport_json, e.endorsement_id, e.federation_id, e.endorser, e.expires_us, e.artifact_json")
_JOINED = ("FROM cap_registration r LEFT JOIN cap_endorsement e ON e.node_id = r.node_id AND e.capability_id = r.capability_id")


class Shown(NamedTuple):
    """A registration with its endorsement, as readers get it."""
    position: int
    node_id: str
    capability_id: str
    anchor: str
    informal: int
    sequence_no: int
    issuer: str
    stored_us: int
    expires_us: int
    passport_json: str
    endorsement_id: str | None
    federation_id: str | None
    endorser: str | None
    endorsement_expires_us: int | None
    endorsement_json: str | None


def position(connection: sqlite3.Connection) -> int:
    """The last position that was given."""
    return int(connection.execute("SELECT position FROM cap_state").fetchone()[0])


def count(connection: sqlite3.Connection) -> int:
    """How many registrations are kept."""
    return int(connection.execute("SELECT registrations FROM cap_state").fetchone()[0])


def known(connection: sqlite3.Connection, node_id: str, capability_id: str) -> Registered | None:
    row = connection.execute("SELECT sequence_no, passport_id, content_digest, advertised_us, expires_us, stored_us FROM "
                             "cap_registration WHERE node_id = ? AND capability_id = ?", (node_id, capability_id)).fetchone()
    return Registered(*row) if row is not None else None


def active(connection: sqlite3.Connection, node_id: str, now_us: int) -> int:
    """How many capabilities the node has registered that count now."""
    return int(connection.execute("SELECT count(*) FROM cap_registration WHERE node_id = ? AND expires_us > ?",
                                  (node_id, now_us)).fetchone()[0])


def put(connection: sqlite3.Connection, kept: Submitted, stored_us: int) -> None:
    """The registration is the one that counts, at a new position; its passport can be revoked from now on."""
    replaced = connection.execute("DELETE FROM cap_registration WHERE node_id = ? AND capability_id = ?",
                                  (kept.node_id, kept.capability_id)).rowcount
    connection.execute("UPDATE cap_state SET position = position + 1, registrations = registrations + ?", (1 - replaced,))
    issuer, passport_id = kept.passport["issuer/participant_id"], kept.passport["passport_id"]
    connection.execute(
        "INSERT INTO cap_registration VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (position(connection), kept.node_id, kept.capability_id, kept.wire_name, passports.anchor(kept.capability_id),
         int(passports.informal(kept.capability_id)), kept.sequence_no, passport_id, issuer,
         passports.delegation_id(kept.passport), kept.content_digest,
         kept.advertised_us, stored_us, kept.expires_us, jsontext.compact(kept.passport).decode()))
    connection.execute("INSERT OR IGNORE INTO cap_passport VALUES (?, ?, ?, ?, ?)",
                       (passport_id, kept.node_id, kept.capability_id, issuer, kept.expires_us))


def of_node(connection: sqlite3.Connection, node_id: str, now_us: int, limit: int) -> list[Shown]:
    """What the node offers now."""
    return [Shown(*row) for row in connection.execute(
        f"SELECT {_SHOWN} {_JOINED} WHERE r.node_id = ? AND r.expires_us > ? ORDER BY r.capability_id LIMIT ?",
                                                      (node_id, now_us, limit))]


def offers(connection: sqlite3.Connection, wanted: Query, after: int, now_us: int, rows_max: int) -> Iterator[Shown]:
    """Offers after a position, in order, that fit what the query names exactly; the caller looks at the rest of the query."""
    where, values = ["r.position > ?", "r.expires_us > ?"], [after, now_us]
    where_texts: list[str] = []
    for column, text in (("r.anchor", wanted.anchor), ("r.node_id", wanted.node_id), ("r.issuer", wanted.issuer)):
        if text:
            where.append(f"{column} = ?")
            where_texts.append(text)
    if wanted.capability:
        where.append("(r.capability_id = ? OR r.wire_name = ?)")
        where_texts += [wanted.capability, wanted.capability]
    return (Shown(*row) for row in connection.execute(
        f"SELECT {_SHOWN} {_JOINED} WHERE {' AND '.join(where)} ORDER BY r.position LIMIT ?", (*values, *where_texts, rows_max)))


def sweep(connection: sqlite3.Connection, now_us: int) -> int:
    """Registrations and passports that ended days ago are gone, a batch at a time.  Gives how many went."""
    registrations = connection.execute("DELETE FROM cap_registration WHERE position IN (SELECT position FROM cap_registration "
                                       "WHERE expires_us <= ? LIMIT ?)", (now_us - KEPT_US, SWEPT_PER_CALL_MAX)).rowcount
    if registrations:
        connection.execute("UPDATE cap_state SET registrations = registrations - ?", (registrations,))
    held = connection.execute("DELETE FROM cap_passport WHERE (passport_id, node_id, capability_id, issuer) IN (SELECT "
                              "passport_id, node_id, capability_id, issuer FROM cap_passport WHERE expires_us <= ? LIMIT ?)",
                              (now_us - KEPT_US, SWEPT_PER_CALL_MAX)).rowcount
    return registrations + held
