"""The rows: what is compared with whom, and what must be reached.  Every figure is a ratio to a named peer in the same run."""

from __future__ import annotations

import http.client
import json
import select
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import machine
from .machine import Load, Missing, Process, wrk

Measured = dict[str, Any]
LEASE_SCRIPT = """
local thread = 0
function setup(t) t:set("id", thread) thread = thread + 1 end
local n = 0
function init(args) wrk.method = "POST" wrk.headers["Content-Type"] = "application/json" seed = args[1] or "a" end
function request()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"peer_id":"bench","resource":"r-' .. seed .. '-' .. n .. '","ttl_seconds":300,"metadata":{"note":"' .. string.rep("x", 120) .. '"}}')
end
"""


class Bench:
    """One run: where it keeps things, how long it loads, and the contenders that are up."""

    def __init__(self, folder: Path, seconds: float, rounds: int) -> None:
        self.folder = folder
        self.seconds = seconds
        self.rounds = rounds
        self.up: list[Process] = []

    def start(self, process: Process, path: str = "/") -> Process:
        self.up.append(process)
        process.until_answers(path)
        return process

    def node(self, name: str = "node", *flags: str, environment: dict[str, str] | None = None) -> Process:
        process = self.start(machine.node(self.folder / name, *flags, environment=environment), "/healthz")
        time.sleep(1.0)                                  # the warm-up after the first answer is not what is measured
        return process

    def close(self) -> None:
        for process in self.up:
            process.stop()
        self.up.clear()

    def turns(self, *runs: Callable[[], Load]) -> list[list[Load]]:
        """All contenders in turn, several rounds; the first round of each is thrown away when there are more than two."""
        made: list[list[Load]] = [[] for _ in runs]
        for _ in range(self.rounds):
            for number, run in enumerate(runs):
                made[number].append(run())
        return made


def rate(loads: list[Load]) -> float:
    return statistics.median(load.rate for load in loads)


def p99(loads: list[Load]) -> float:
    return statistics.median(load.p99_ms for load in loads)


def cpu(loads: list[Load]) -> float:
    return statistics.median(load.cpu_us for load in loads)


def asked(port: int, method: str, path: str, body: Any = None) -> bytes:
    """The body of a good answer; anything else ends the row."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"} if body is not None else {})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise Missing(f"{method} {path} answers {answer.status}: {data[:200]!r}")
    return data


def post(port: int, path: str, body: Any) -> Any:
    return json.loads(asked(port, "POST", path, body))


def _compared(name: str, ours: list[Load], theirs: list[Load], must: float, aim: float) -> Measured:
    if any(load.failed for load in (*ours, *theirs)):
        raise Missing(f"a contender of {name} answered errors")
    return {"what": name, "ours": f"{rate(ours):,.0f}/s", "peer": f"{rate(theirs):,.0f}/s", "ratio": rate(ours) / rate(theirs), "must": must, "aim": aim,
            "ours_cpu_us": round(cpu(ours), 1), "peer_cpu_us": round(cpu(theirs), 1), "ours_p99_ms": p99(ours), "peer_p99_ms": p99(theirs)}


def g1_g2(bench: Bench) -> list[Measured]:
    """Stored documents: manifest beside an nginx constant, contract beside an nginx file of its size."""
    node = bench.node()
    sizes = {path: asked(node.port, "GET", path) for path in ("/mesh/manifest", "/mesh/contract")}
    nginx = bench.start(machine.nginx(bench.folder, "x" * 83, sizes["/mesh/contract"]), "/constant")
    rows = []
    for path, yard, must, aim in (("/mesh/manifest", "/constant", 0.5, 1.0), ("/mesh/contract", "/file", 0.8, 1.4)):
        ours, theirs = bench.turns(lambda path=path: wrk(node, path, seconds=bench.seconds), lambda yard=yard: wrk(nginx, yard, seconds=bench.seconds))
        row = _compared(f"G2 GET {path} ({len(sizes[path])} bytes) beside nginx {yard}", ours, theirs, must, aim)
        remark = {"/mesh/manifest": 159, "/mesh/contract": 313}[path]
        row["note"] = f"G1: the reference itself made {remark}/s on another machine (not in this run): {rate(ours) / remark:,.0f}x"
        rows.append(row)
    return rows


def _fill(path: Path, job: Any, advertisement: str) -> None:
    """The peers' database holds what the product's does."""
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE IF NOT EXISTS item(id TEXT PRIMARY KEY, document TEXT NOT NULL);"
                           "CREATE TABLE IF NOT EXISTS event(seq INTEGER PRIMARY KEY, kind TEXT, peer TEXT, payload TEXT, created TEXT);"
                           "CREATE TABLE IF NOT EXISTS adv(node TEXT PRIMARY KEY, sequence INTEGER, document TEXT NOT NULL);")
    database.execute("INSERT OR REPLACE INTO item VALUES ('one', ?)", (json.dumps(job),))
    database.execute("INSERT OR REPLACE INTO adv VALUES ('one', 1, ?)", (advertisement,))
    for number in range(1, 201):
        database.execute("INSERT OR REPLACE INTO event VALUES (?, 'mesh.lease.acquired', 'bench', ?, '2026-01-01T00:00:00Z')",
                         (number, json.dumps({"lease_id": "x" * 36, "resource": f"r-{number}", "ttl_seconds": 300})))
    database.commit()
    database.close()


def g3_g4(bench: Bench) -> list[Measured]:
    """Reads that ask the database: one job, and 50 events, beside FastAPI and bare ASGI doing the same."""
    node = bench.node()
    for number in range(200):
        post(node.port, "/mesh/lease/acquire", {"peer_id": "bench", "resource": f"r-{number}"})
    job = post(node.port, "/mesh/jobs/submit", {"job": {"kind": "agent.echo", "payload": {"text": "bench"}, "queue": {}}})["job"]
    for app in ("fastapi_app", "asgi_app"):
        _fill(bench.folder / f"{app}.db", job, json.dumps(job))
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    asgi = bench.start(machine.uvicorn("asgi_app", bench.folder), "/small")
    rows = []
    for what, ours_path, theirs_path in (("one job", f"/mesh/jobs/{job['id']}", "/item/one"),
                                         ("50 events", "/mesh/stream?since=0&limit=50", "/events?since=0&limit=50")):
        ours, fast, bare = bench.turns(lambda: wrk(node, ours_path, seconds=bench.seconds), lambda: wrk(fastapi, theirs_path, seconds=bench.seconds),
                                       lambda: wrk(asgi, theirs_path, seconds=bench.seconds))
        rows.append(_compared(f"G3 {what} beside FastAPI+uvicorn", ours, fast, 4.0, 8.0))
        rows.append(_compared(f"G4 {what} beside bare ASGI on uvicorn", ours, bare, 1.5, 2.5))
    return rows


def g5(bench: Bench) -> list[Measured]:
    """p99 with 1,000 connections asking at one time."""
    node = bench.node()
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    ours, theirs = bench.turns(lambda: wrk(node, "/healthz", clients=1000, seconds=bench.seconds),
                               lambda: wrk(fastapi, "/small", clients=1000, seconds=bench.seconds))
    ratio = p99(ours) / p99(theirs)
    return [{"what": "G5 p99 at 1,000 connections beside FastAPI+uvicorn", "ours": f"{p99(ours):.0f} ms", "peer": f"{p99(theirs):.0f} ms", "ratio": ratio,
             "must": 0.25, "aim": 0.10, "less": True}]


def g6(bench: Bench) -> list[Measured]:
    """The longest wait of many stored GETs at 32 connections."""
    node = bench.node()
    loads = [wrk(node, "/mesh/manifest", seconds=bench.seconds * 2) for _ in range(bench.rounds)]
    worst = statistics.median(load.max_ms for load in loads)
    return [{"what": f"G6 longest of {sum(load.requests for load in loads):,} stored GETs", "ours": f"{worst:.1f} ms", "peer": "20 ms", "ratio": worst / 20.0,
             "must": 1.0, "aim": 0.25, "less": True, "note": "depends on the machine being idle"}]


def g7_g8(bench: Bench) -> list[Measured]:
    """Durable writes, on this disk and on one whose syncs take 5 ms longer."""
    script = bench.folder / "lease.lua"
    script.write_text(LEASE_SCRIPT)
    rows = []
    for what, delay, clients, must, aim in (("G7 32 clients", 0, 32, 8.0, 14.0), ("G8 32 clients, +5 ms a sync", 5000, 32, 12.0, 17.0),
                                            ("G8 128 clients, +5 ms a sync", 5000, 128, 40.0, 65.0)):
        environment = machine.slow_sync(bench.folder, delay) if delay else {}
        node = bench.node(f"write-{delay}-{clients}", environment=environment)
        fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder, environment), "/small")
        seed = iter(range(1000))
        ours, theirs = bench.turns(
            lambda: wrk(node, "/mesh/lease/acquire", clients=clients, seconds=bench.seconds, script=str(script), arguments=[f"{next(seed)}"]),
            lambda: wrk(fastapi, "/lease", clients=clients, seconds=bench.seconds, script=str(script), arguments=["p"]))
        rows.append(_compared(f"{what}: POST /mesh/lease/acquire beside FastAPI+SQLite", ours, theirs, must, aim))
        bench.close()
    return rows


def g12(bench: Bench) -> list[Measured]:
    """Resident memory, idle, everything loaded."""
    node = bench.node()
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    time.sleep(1.5)
    ours, theirs = node.resident_kib() / 1024, fastapi.resident_kib() / 1024
    return [{"what": "G12 resident memory, idle, beside FastAPI+uvicorn", "ours": f"{ours:.1f} MB", "peer": f"{theirs:.1f} MB", "ratio": ours / theirs,
             "must": 0.5, "aim": 0.36, "less": True, "note": f"must also be at most 24 MB: {'yes' if ours <= 24 else 'no'}"}]


def g13(bench: Bench) -> list[Measured]:
    """From the start to the first answer, database and byte code present."""
    bench.node("start").stop()
    bench.up.clear()
    ours, theirs = [], []
    for _ in range(8):
        for made, begin, path in ((ours, lambda: machine.node(bench.folder / "start"), "/healthz"),
                                  (theirs, lambda: machine.uvicorn("fastapi_app", bench.folder), "/small")):
            process = begin()
            made.append(process.until_answers(path) * 1000)
            process.stop()
    mine, other = statistics.median(ours), statistics.median(theirs)
    return [{"what": "G13 start to first answer beside FastAPI+uvicorn", "ours": f"{mine:.0f} ms", "peer": f"{other:.0f} ms", "ratio": mine / other, "must": 0.25,
             "aim": 0.16, "less": True}]


def g14(bench: Bench) -> list[Measured]:
    """Idle connections: what one costs, and whether others notice."""
    node = bench.node()
    quiet = statistics.median(wrk(node, "/healthz", clients=4, seconds=bench.seconds).p99_ms for _ in range(bench.rounds))
    before, count = node.resident_kib(), 5000
    socks = machine.open_many(node.port, count)
    time.sleep(0.5)
    each = (node.resident_kib() - before) / count
    busy = statistics.median(wrk(node, "/healthz", clients=4, seconds=bench.seconds).p99_ms for _ in range(bench.rounds))
    for sock in socks:
        sock.close()
    return [{"what": f"G14 resident memory of an idle connection ({count} held)", "ours": f"{each:.2f} KB", "peer": "2 KB", "ratio": each / 2.0, "must": 1.0,
             "aim": 0.5, "less": True, "note": f"p99 of others {quiet:.2f} -> {busy:.2f} ms"}]


def g15(bench: Bench) -> list[Measured]:
    """512 callers at one instant."""
    node = bench.node()
    worst = statistics.median(machine.burst(node.port, 512, "/healthz") * 1000 for _ in range(max(3, bench.rounds)))
    return [{"what": "G15 512 connects at one instant, to the last answer", "ours": f"{worst:.0f} ms", "peer": "100 ms", "ratio": worst / 100, "must": 1.0,
             "aim": 0.2, "less": True}]


def g16(bench: Bench) -> list[Measured]:
    """An event to the last of many listeners, and what they cost while nothing happens."""
    rows = []
    for count, bound, must, aim in ((1000, 20.0, 1.0, 0.5), (10_000, 80.0, 4.0, 1.0)):
        node = bench.node(f"stream-{count}")
        try:
            socks = machine.open_many(node.port, count)
        except OSError:
            rows.append({"what": f"G16 {count} listeners", "missing": "so many descriptors"})
            continue
        poll = select.epoll()
        for sock in socks:
            sock.sendall(b"GET /mesh/control/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
            sock.setblocking(False)
            poll.register(sock.fileno(), select.EPOLLIN)
        by_number = {sock.fileno(): sock for sock in socks}
        _heard(poll, by_number, b"control-state", count)
        delays = [_told(node, poll, by_number, count, number) for number in range(3)]
        before = node.cpu_seconds()
        time.sleep(3.0)
        idle = (node.cpu_seconds() - before) / 3.0 * 100
        delay = statistics.median(delays) * 1000
        rows.append({"what": f"G16 one event to {count:,} listeners", "ours": f"{delay:.0f} ms", "peer": f"{bound:.0f} ms", "ratio": delay / bound, "must": must,
                     "aim": aim, "less": True, "note": f"idle cost {idle:.2f} % of a core"})
        for sock in socks:
            sock.close()
        bench.close()
    return rows


def _heard(poll: select.epoll, socks: dict[int, socket.socket], mark: bytes, count: int) -> float:
    """When the last of `count` listeners had read `mark`."""
    waiting, seen, last = set(socks), {number: b"" for number in socks}, time.perf_counter()
    deadline = last + 60
    while waiting and time.perf_counter() < deadline:
        for number, _ in poll.poll(1.0):
            data = seen[number] + socks[number].recv(262_144)
            if mark in data and number in waiting:
                waiting.discard(number)
                last = time.perf_counter()
            seen[number] = data[-64:]
    if waiting:
        raise Missing(f"{len(waiting)} of {count} listeners heard nothing")
    return last


def _told(node: Process, poll: select.epoll, socks: dict[int, socket.socket], count: int, number: int) -> float:
    box: list[float] = []
    name = f"told-{number}"

    def tell() -> None:
        box.append(time.perf_counter())
        post(node.port, "/mesh/lease/acquire", {"peer_id": "bench", "resource": name})

    thread = threading.Thread(target=tell)
    thread.start()
    last = _heard(poll, socks, name.encode(), count)
    thread.join()
    return last - box[0]


ROWS: dict[str, Callable[[Bench], list[Measured]]] = {
    "G1": g1_g2, "G2": g1_g2, "G3": g3_g4, "G4": g3_g4, "G5": g5, "G6": g6, "G7": g7_g8, "G8": g7_g8, "G12": g12, "G13": g13, "G14": g14, "G15": g15, "G16": g16,
}
