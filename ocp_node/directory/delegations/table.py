"""All SQL of published delegations."""

from __future__ import annotations

import sqlite3

KEPT_US = 72 * 3600 * 1_000_000      # of a delegation that has ended
SWEPT_PER_CALL_MAX = 500
_UNREVOKED = ("NOT EXISTS (SELECT 1 FROM cap_revocation r WHERE r.target = d.delegation_id AND r.issuer = d.issuer "
              "AND r.family = 'capability-passport')")


def find(connection: sqlite3.Connection, delegation_id: str) -> tuple[str, str] | None:
    """Issuer and artifact of what is stored under the id, whether it holds or not."""
    row = connection.execute("SELECT issuer, artifact_json FROM key_delegation WHERE delegation_id = ?",
                             (delegation_id,)).fetchone()
    return (row[0], row[1]) if row is not None else None


def count_of(connection: sqlite3.Connection, issuer: str) -> int:
    """How many delegations of the issuer are stored."""
    return int(connection.execute("SELECT count(*) FROM key_delegation WHERE issuer = ?", (issuer,)).fetchone()[0])


def put(connection: sqlite3.Connection, delegation_id: str, proxy_key: str, issuer: str, expires_us: int, stored_us: int,
        text: str) -> None:
    connection.execute("INSERT INTO key_delegation VALUES (?, ?, ?, ?, ?, ?)",
                       (delegation_id, proxy_key, issuer, expires_us, stored_us, text))


def holding(connection: sqlite3.Connection, delegation_id: str, now_us: int) -> bytes | None:
    """The delegation if it holds now."""
    row = connection.execute(f"SELECT CAST(artifact_json AS BLOB) FROM key_delegation d WHERE delegation_id = ? AND expires_us "
                             f"> ? AND {_UNREVOKED}", (delegation_id, now_us)).fetchone()
    return row[0] if row is not None else None


def by_proxy(connection: sqlite3.Connection, proxy_key: str, now_us: int, limit: int) -> list[str]:
    """Delegations to the key that hold now."""
    return [row[0] for row in connection.execute(
        f"SELECT artifact_json FROM key_delegation d WHERE proxy_key = ? AND expires_us > ? AND {_UNREVOKED} ORDER BY "
        f"delegation_id LIMIT ?", (proxy_key, now_us, limit))]


def by_issuer(connection: sqlite3.Connection, issuer: str, now_us: int, limit: int) -> list[str]:
    """Delegations by the participant that hold now."""
    return [row[0] for row in connection.execute(
        f"SELECT artifact_json FROM key_delegation d WHERE issuer = ? AND expires_us > ? AND {_UNREVOKED} ORDER BY "
        f"delegation_id LIMIT ?", (issuer, now_us, limit))]


def page(connection: sqlite3.Connection, after: str, limit: int) -> list[tuple[str, str]]:
    """Id and artifact of the delegations after an id, in the order of their ids."""
    return [(row[0], row[1])
            for row in connection.execute("SELECT delegation_id, artifact_json FROM key_delegation WHERE delegation_id > ? "
                                                           "ORDER BY delegation_id LIMIT ?", (after, limit))]


def sweep(connection: sqlite3.Connection, now_us: int) -> int:
    """Delegations that ended days ago are gone, a batch at a time.  Gives how many went."""
    return connection.execute("DELETE FROM key_delegation WHERE delegation_id IN (SELECT delegation_id FROM key_delegation "
                              "WHERE expires_us <= ? LIMIT ?)", (now_us - KEPT_US, SWEPT_PER_CALL_MAX)).rowcount
