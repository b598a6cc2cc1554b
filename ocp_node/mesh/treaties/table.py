"""Where treaties are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from ...base import jsontext
from .rules import ACTIVE, EXPIRED, Signature, Treaty

_JSON = frozenset({"parties", "document", "metadata", "signatures"})
_COLUMNS = ", ".join(Treaty._fields)
_NEXT = "(SELECT coalesce(max(changed), 0) + 1 FROM mesh_treaty)"
_ENDING = "mesh_treaty INDEXED BY mesh_treaty_due"           # however many are active, those with an end are found at once
_DUE = "status = 'active' AND expires_at <> '' AND expires_at < ?"


def put(connection: sqlite3.Connection, treaty: Treaty) -> None:
    """The treaty stands in the table as it is here, as the latest change."""
    values = [jsontext.ascii_text(value) if name in _JSON else value for name, value in treaty._asdict().items()]
    updates = ", ".join(f"{name} = excluded.{name}" for name in (*Treaty._fields, "changed"))
    connection.execute(f"INSERT INTO mesh_treaty(key, {_COLUMNS}, changed) VALUES (?, {','.join('?' * len(values))}, {_NEXT}) "
                       f"ON CONFLICT(key) DO UPDATE SET {updates}", (treaty.id.lower(), *values))


def find(connection: sqlite3.Connection, treaty_id: str) -> Treaty | None:
    """The treaty of that id, in any case."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_treaty WHERE key = ?", (treaty_id.strip().lower(),)).fetchone()
    return _treaty(row) if row else None


def find_all(connection: sqlite3.Connection, treaty_ids: Iterable[str]) -> dict[str, Treaty]:
    """Those of these treaties that exist, by lower-case id."""
    found = ((each.lower(), find(connection, each)) for each in treaty_ids)
    return {key: treaty for key, treaty in found if treaty is not None}


def latest(connection: sqlite3.Connection, limit: int, now: str, status: str = "", treaty_type: str = "") -> list[Treaty]:
    """The treaties that fit as of `now`, latest change first; an empty word narrows nothing."""
    values = [treaty_type] if treaty_type else []
    select = f"SELECT changed, {_COLUMNS} FROM mesh_treaty WHERE {'treaty_type = ?' if treaty_type else '1'}"
    if status == ACTIVE:
        sql, given = f"{select} AND status = ? AND (expires_at = '' OR expires_at >= ?)", [*values, status, now]
    elif status == EXPIRED:          # those the clock has ended a moment ago are still written as active
        ending = select.replace("mesh_treaty", _ENDING)
        sql, given = f"{select} AND status = ? UNION ALL {ending} AND {_DUE}", [*values, status, *values, now]
    else:
        sql, given = (f"{select} AND status = ?", [*values, status]) if status else (select, values)
    rows = connection.execute(f"{sql} ORDER BY changed DESC LIMIT ?", (*given, limit))
    return [_treaty(row[1:]) for row in map(tuple, rows)]


def counts(connection: sqlite3.Connection, now: str) -> dict[str, int]:
    """How many treaties are in each status as of `now`; costs by their number."""
    found = {str(row[0]): int(row[1]) for row in connection.execute("SELECT status, count(*) FROM mesh_treaty GROUP BY status")}
    ended = int(connection.execute(f"SELECT count(*) FROM {_ENDING} WHERE {_DUE}", (now,)).fetchone()[0])
    if ended:
        found[ACTIVE] -= ended
        found[EXPIRED] = found.get(EXPIRED, 0) + ended
    return {status: amount for status, amount in found.items() if amount}


def due(connection: sqlite3.Connection, now: str, limit: int) -> list[Treaty]:
    """Treaties whose time has run out, the longest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {_ENDING} WHERE {_DUE} ORDER BY expires_at LIMIT ?", (now, limit))
    return [_treaty(row) for row in rows]


def next_expiry(connection: sqlite3.Connection, now: str) -> str:
    """When the next treaty that is in force at `now` runs out, "" when none does."""
    row = connection.execute(f"SELECT min(expires_at) FROM {_ENDING} "
                             "WHERE status = 'active' AND expires_at <> '' AND expires_at >= ?", (now,)).fetchone()
    return str(row[0] or "")


def count(connection: sqlite3.Connection) -> int:
    """How many treaties are kept."""
    return int(connection.execute("SELECT count(*) FROM mesh_treaty").fetchone()[0])


def _treaty(row: Sequence[object]) -> Treaty:
    members = [jsontext.load(str(value)) if name in _JSON else value for name, value in zip(Treaty._fields, row, strict=True)]
    treaty = Treaty(*members)  # type: ignore[arg-type]
    return treaty._replace(wanted=bool(treaty.wanted), signatures=[Signature(*each) for each in treaty.signatures])
