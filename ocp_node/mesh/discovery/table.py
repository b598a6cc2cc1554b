"""Where candidates are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ...base import jsontext
from .candidate import Candidate

CANDIDATES_KEPT = 500            # the newest seen; one scan of a household's networks finds 64
LIST_BYTES_MAX = 4_194_304       # of manifests in one list; further candidates are listed without theirs
_COLUMNS = ", ".join(Candidate._fields)
_NEWEST = "ORDER BY last_seen_at DESC, updated_at DESC, rowid DESC LIMIT ?"


class Brief(NamedTuple):
    """A candidate without its documents."""
    base_url: str
    peer_id: str
    display_name: str
    endpoint_url: str
    status: str
    last_error: str
    last_error_at: str


def find(connection: sqlite3.Connection, base_url: str) -> Candidate | None:
    """The candidate at this URL."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_discovery_candidate WHERE base_url = ?", (base_url,)).fetchone()
    return _candidate(row) if row else None


def put(connection: sqlite3.Connection, candidate: Candidate) -> None:
    """The candidate stands in the table as it is here."""
    values = candidate._replace(manifest=jsontext.ascii_text(candidate.manifest),  # type: ignore[arg-type]
                                metadata=jsontext.ascii_text(candidate.metadata))  # type: ignore[arg-type]
    updates = ", ".join(f"{name} = excluded.{name}" for name in Candidate._fields if name not in ("base_url", "created_at"))
    connection.execute(f"INSERT INTO mesh_discovery_candidate({_COLUMNS}) VALUES ({','.join('?' * len(values))}) "
                       f"ON CONFLICT(base_url) DO UPDATE SET {updates}", values)


def newest(connection: sqlite3.Connection, limit: int, status: str = "") -> list[Candidate]:
    """The candidates seen last, of this status if one is named."""
    where, values = ("WHERE status = ?", (status,)) if status else ("", ())
    found, room = [], LIST_BYTES_MAX
    for row in connection.execute(f"SELECT {_COLUMNS} FROM mesh_discovery_candidate {where} {_NEWEST}", (*values, limit)):
        room -= len(row[6])
        found.append(_candidate(row if room >= 0 else (*row[:6], "{}", *row[7:])))
    return found


def brief(connection: sqlite3.Connection, limit: int) -> list[Brief]:
    """The candidates seen last, in short."""
    rows = connection.execute(f"SELECT {', '.join(Brief._fields)} FROM mesh_discovery_candidate {_NEWEST}", (limit,))
    return [Brief(*row) for row in rows]


def urls_of(connection: sqlite3.Connection, peer_id: str, limit: int) -> list[str]:
    """Where this node answered, the newest first; URLs that failed since come last."""
    return [row[0] for row in connection.execute(
        "SELECT base_url FROM mesh_discovery_candidate WHERE peer_id = ? AND peer_id <> '' "
        "ORDER BY status = 'error', last_seen_at DESC, updated_at DESC LIMIT ?", (peer_id, limit))]


def prune(connection: sqlite3.Connection, keep: int = CANDIDATES_KEPT) -> None:
    """The newest seen `keep` candidates are left."""
    connection.execute("DELETE FROM mesh_discovery_candidate WHERE rowid IN (SELECT rowid FROM mesh_discovery_candidate "
                       "ORDER BY last_seen_at DESC, updated_at DESC, rowid DESC LIMIT 1000 OFFSET ?)", (keep,))


def _candidate(row: Sequence[object]) -> Candidate:
    found = Candidate(*row)  # type: ignore[arg-type]
    return found._replace(manifest=jsontext.load(str(found.manifest)),  # type: ignore[arg-type]
                          metadata=jsontext.load(str(found.metadata)))  # type: ignore[arg-type]
