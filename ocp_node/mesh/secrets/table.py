"""Where secrets are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...base import jsontext
from .rules import Secret

_COLUMNS = ", ".join(Secret._fields)
_CLEAR = "substr(value, 1, 3) <> 'v1:'"


def put(connection: sqlite3.Connection, secret: Secret) -> None:
    """The secret is stored; an older value under its name is overwritten with zeros in the file."""
    values = secret._replace(metadata=jsontext.ascii_text(secret.metadata))  # type: ignore[arg-type]
    before = connection.execute("PRAGMA secure_delete").fetchone()[0]
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"INSERT INTO mesh_secret({_COLUMNS}, changed) VALUES ({','.join('?' * len(values))}, {_NEXT}) "
                       "ON CONFLICT(scope, name) DO UPDATE SET value = excluded.value, value_digest = excluded.value_digest, "
                       "metadata = excluded.metadata, updated_at = excluded.updated_at, changed = excluded.changed", values)
    connection.execute(f"PRAGMA secure_delete = {int(before)}")          # others need not pay for it


_NEXT = "(SELECT coalesce(max(changed), 0) + 1 FROM mesh_secret)"


def find(connection: sqlite3.Connection, scope: str, name: str) -> Secret | None:
    """The secret of that name."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_secret WHERE scope = ? AND name = ?", (scope, name)).fetchone()
    return _secret(row) if row else None


def latest(connection: sqlite3.Connection, limit: int, scope: str = "") -> list[Secret]:
    """The secrets, latest change first; of one scope when it is named."""
    where, values = ("WHERE scope = ?", (scope,)) if scope else ("", ())
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_secret {where} ORDER BY changed DESC LIMIT ?", (*values, limit))
    return [_secret(row) for row in rows]


def clear(connection: sqlite3.Connection, limit: int) -> list[Secret]:
    """Secrets whose values stand there in clear text, from before values were sealed."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM mesh_secret WHERE {_CLEAR} LIMIT ?", (limit,))
    return [_secret(row) for row in rows]


def any_sealed(connection: sqlite3.Connection) -> Secret | None:
    """One of the secrets whose values are sealed."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM mesh_secret WHERE NOT ({_CLEAR}) LIMIT 1").fetchone()
    return _secret(row) if row else None


def count(connection: sqlite3.Connection) -> int:
    """How many secrets are kept."""
    return int(connection.execute("SELECT count(*) FROM mesh_secret").fetchone()[0])


def _secret(row: Sequence[object]) -> Secret:
    members = dict(zip(Secret._fields, row, strict=True))
    return Secret(**{**members, "metadata": jsontext.load(str(members["metadata"]))})  # type: ignore[arg-type]
