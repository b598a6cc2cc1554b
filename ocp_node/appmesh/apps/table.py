"""Where applications and their runs are kept; all SQL of the room."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from ...base import jsontext
from . import program as programs
from .program import Program


class Kept(NamedTuple):
    """One application as it stands in the database."""
    program: Program
    sec_env: str                       # sealed
    facts: dict[str, Any]              # of its last run


class KeptRun(NamedTuple):
    """A run that is not known to have ended.  `record` is how the engine finds it again; "" while it was being started."""
    id: str
    app: str
    path: str
    process_key: str
    started_at: float
    record: str


def everything(connection: sqlite3.Connection) -> list[Kept]:
    rows = connection.execute("SELECT definition, sec_env, facts FROM appmesh_app ORDER BY name")
    return [Kept(programs.loaded(definition), sec_env, _members(facts)) for definition, sec_env, facts in rows]


def _members(text: str) -> dict[str, Any]:
    value = jsontext.load(text)
    return value if isinstance(value, dict) else {}


def owned(connection: sqlite3.Connection, owner: str) -> int:
    return int(connection.execute("SELECT count(*) FROM appmesh_app WHERE owner = ?", (owner,)).fetchone()[0])


def find(connection: sqlite3.Connection, name: str) -> Program | None:
    """The definition as it stands in this very transaction."""
    row = connection.execute("SELECT definition FROM appmesh_app WHERE name = ?", (name,)).fetchone()
    return programs.loaded(row[0]) if row else None


def put(connection: sqlite3.Connection, program: Program, sec_env: str) -> None:
    connection.execute("INSERT INTO appmesh_app(name, owner, definition, sec_env) VALUES (?, ?, ?, ?) "
                       "ON CONFLICT(name) DO UPDATE SET owner = excluded.owner, definition = excluded.definition, "
                       "sec_env = excluded.sec_env, facts = '{}'",
                       (program.name, program.owner, programs.stored(program), sec_env))


def redefine(connection: sqlite3.Connection, program: Program) -> None:
    """The definition alone changes; secrets and facts stay."""
    connection.execute("UPDATE appmesh_app SET definition = ? WHERE name = ?", (programs.stored(program), program.name))


def put_facts(connection: sqlite3.Connection, name: str, registered: int, facts: dict[str, Any]) -> None:
    """What the last run came to; nothing when the application was defined anew meanwhile."""
    connection.execute("UPDATE appmesh_app SET facts = ? WHERE name = ? AND json_extract(definition, '$.register_time') = ?",
                       (jsontext.ascii_text(facts), name, registered))


def delete(connection: sqlite3.Connection, name: str) -> bool:
    return connection.execute("DELETE FROM appmesh_app WHERE name = ?", (name,)).rowcount > 0


def runs(connection: sqlite3.Connection) -> list[KeptRun]:
    return [KeptRun(*row)
            for row in connection.execute(f"SELECT {', '.join(KeptRun._fields)} FROM appmesh_run ORDER BY started_at, id")]


def put_run(connection: sqlite3.Connection, run: KeptRun) -> None:
    connection.execute(f"INSERT OR REPLACE INTO appmesh_run({', '.join(KeptRun._fields)}) VALUES (?, ?, ?, ?, ?, ?)", run)


def record_run(connection: sqlite3.Connection, run_id: str, record: str) -> None:
    connection.execute("UPDATE appmesh_run SET record = ? WHERE id = ?", (record, run_id))


def delete_run(connection: sqlite3.Connection, run_id: str) -> None:
    connection.execute("DELETE FROM appmesh_run WHERE id = ?", (run_id,))
