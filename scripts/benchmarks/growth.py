"""The row about size: the same node with many rows beside one with few."""

from __future__ import annotations

import shutil
import sqlite3
import time
from functools import partial
from pathlib import Path

from .comparing import Bench, Measured, compared, post, put
from .machine import wrk

# table, how many rows, and which columns tell one row from another
CLONED = (("mesh_job", 10_000, ("id", "request_id")), ("mesh_queue_message", 10_000, ("id", "job_id", "dedupe_key")),
          ("mesh_artifact", 10_000, ("id",)), ("event", 100_000, ("id",)), ("mesh_peer", 1_000, ("peer_id",)))
NUMBERS = ("number", "seq")          # given anew by SQLite
ROUTES = ("/mesh/manifest", "/mesh/peers", "/mesh/queue", "/mesh/queue/metrics", "/mesh/queue/events", "/mesh/artifacts?limit=50",
          "/mesh/stream?since=0&limit=50", "/mesh/pressure", "/mesh/app/status", "/mesh/workers", "/mesh/routes/health")
SEEDED = 100
PEER = ("'peer-seed', 'seed', '', '', 'http://127.0.0.1:9', '', 'public', 'direct', 'known', '', '', '[]', '{}', '{}', '{}', "
        "NULL, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', ''")


def g17(bench: Bench) -> list[Measured]:
    """Lists and counters with 10,000 jobs, queue messages and artifacts, 100,000 events and 1,000 peers, beside 100 of each."""
    first = bench.node("few")
    for number in range(SEEDED):
        job = {"kind": "shell.command", "payload": {"command": "true"}, "queue": "bench"}
        post(first.port, "/mesh/jobs/submit", {"job": job})
        put(first.port, "/mesh/artifacts/content", f"artifact {number}".encode())
    bench.close()
    few, many = bench.folder / "few", bench.folder / "many"
    _grow(few / "ocp.db", {"mesh_peer": SEEDED})
    shutil.copytree(few, many)
    made = _grow(many / "ocp.db", {table: count for table, count, _ in CLONED})
    small, large = bench.node("few"), bench.node("many")
    time.sleep(2.0)
    load = partial(wrk, clients=2, seconds=bench.seconds)
    rows = []
    for path in ROUTES:
        ours, theirs = bench.turns(partial(load, large, path), partial(load, small, path))
        row = compared(f"G17 GET {path} with many rows beside few", ours, theirs, 0.8, 0.95)
        row["note"] = f"CPU {row['peer_cpu_us'] / max(row['ours_cpu_us'], 0.1):.2f}x" + (f"; {made}" if not rows else "")
        rows.append(row)
    return rows


def _grow(path: Path, wanted: dict[str, int]) -> str:
    """The tables hold so many rows, clones of those that were there under names of their own.  Gives how many each has."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA foreign_keys = OFF")
    if not database.execute("SELECT 1 FROM mesh_peer LIMIT 1").fetchone():
        database.execute(f"INSERT INTO mesh_peer VALUES ({PEER})")
    for table, count, names in ((table, wanted[table], names) for table, _, names in CLONED if table in wanted):
        _clone(database, table, count, names)
    database.commit()
    database.execute("PRAGMA optimize")
    amounts = [f"{database.execute(f'SELECT count(*) FROM {table}').fetchone()[0]:,} {table}" for table, _, _ in CLONED]
    database.close()
    return ", ".join(amounts)


def _clone(database: sqlite3.Connection, table: str, count: int, names: tuple[str, ...]) -> None:
    there = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] not in NUMBERS]
    # a clone is told from its original, and a message goes with the job that was cloned under the same number
    shown = ", ".join(f"CASE WHEN {name} = '' THEN '' ELSE {name} || :copy END" if name in names else name
                      for name in columns)
    copy = 0
    while there and there < count:
        copy += 1
        added = database.execute(f"INSERT INTO {table}({', '.join(columns)}) SELECT {shown} FROM {table} "
                                 f"WHERE {names[0]} NOT LIKE '%~%' LIMIT :most",
                                 {"copy": f"~{count}-{copy}", "most": min(there, count - there)}).rowcount
        there += added
        if not added:
            return
