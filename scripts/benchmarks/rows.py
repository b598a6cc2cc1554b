"""The rows: what is compared with whom, and what must be reached.  Every figure is a ratio to a named peer in the same run."""

from __future__ import annotations

import base64
import json
import select
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from . import files, growth, machine, writes
from .comparing import Bench, Measured, asked, bounded, compared, p99, post, rate
from .machine import Missing, Process, wrk
from .peers import bearer


def g1_g2(bench: Bench) -> list[Measured]:
    """Stored documents: manifest beside an nginx constant, contract beside an nginx file of its size."""
    node = bench.node()
    sizes = {path: asked(node.port, "GET", path) for path in ("/mesh/manifest", "/mesh/contract")}
    nginx = bench.start(machine.nginx(bench.folder, "x" * 83, sizes["/mesh/contract"]), "/constant")
    rows = []
    for path, yard, must, aim in (("/mesh/manifest", "/constant", 0.5, 1.0), ("/mesh/contract", "/file", 0.8, 1.4)):
        ours, theirs = bench.turns(partial(wrk, node, path, seconds=bench.seconds),
                                   partial(wrk, nginx, yard, seconds=bench.seconds))
        row = compared(f"G2 GET {path} ({len(sizes[path])} bytes) beside nginx {yard}", ours, theirs, must, aim)
        remark = {"/mesh/manifest": 159, "/mesh/contract": 313}[path]
        row["note"] = f"G1: the reference itself made {remark}/s on another machine, not in this run: {rate(ours) / remark:,.0f}x"
        rows.append(row)
    return rows


def _fill(path: Path, documents: Mapping[str, str], node_id: str, advertisement: str) -> None:
    """The peers' database holds what the product's does."""
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE IF NOT EXISTS item(id TEXT PRIMARY KEY, document TEXT NOT NULL);"
                           "CREATE TABLE IF NOT EXISTS event("
                           "seq INTEGER PRIMARY KEY, kind TEXT, peer TEXT, payload TEXT, created TEXT);"
                           "CREATE TABLE IF NOT EXISTS adv(node TEXT PRIMARY KEY, sequence INTEGER, document TEXT NOT NULL);")
    database.executemany("INSERT OR REPLACE INTO item VALUES (?, ?)", documents.items())
    database.execute("INSERT OR REPLACE INTO adv VALUES (?, 1, ?)", (node_id, advertisement))
    for number in range(1, 201):
        database.execute("INSERT OR REPLACE INTO event VALUES (?, 'mesh.lease.acquired', 'bench', ?, '2026-01-01T00:00:00Z')",
                         (number, json.dumps({"lease_id": "x" * 36, "resource": f"r-{number}", "ttl_seconds": 300})))
    database.commit()
    database.close()


def g3_g4(bench: Bench) -> list[Measured]:
    """Reads of one job, 50 events, one advertisement and one application, beside FastAPI and bare ASGI doing the same.

    Ours keeps applications in memory; all three check the token of who asks for one.
    """
    node = bench.node(environment={"OCP_APPMESH_DEFAULT_USERS": "1", **writes.UNLIMITED})
    for number in range(200):
        post(node.port, "/mesh/lease/acquire", {"peer_id": "bench", "resource": f"r-{number}"})
    job = post(node.port, "/mesh/jobs/submit", {"job": {"kind": "agent.echo", "payload": {"text": "bench"}}})["job"]["id"]
    path, _, advert = writes.adverts(bench.folder / "advert", 9, 1).read_text().strip().partition("\t")
    asked(node.port, "PUT", path, json.loads(advert))
    login = asked(node.port, "POST", "/appmesh/login", Authorization="Basic " + base64.b64encode(b"admin:admin123").decode())
    token = f"Authorization: Bearer {json.loads(login)['access_token']}"
    asked(node.port, "PUT", "/appmesh/app/bench", {"name": "bench", "command": "sleep 1000000", "description": "x" * 200},
          Authorization=token.partition(": ")[2])
    shown = {"job": asked(node.port, "GET", f"/mesh/jobs/{job}").decode(),
             "bench": asked(node.port, "GET", "/appmesh/app/bench", Authorization=token.partition(": ")[2]).decode()}
    for app in ("fastapi_app", "asgi_app"):
        _fill(bench.folder / f"{app}.db", shown, path.rpartition("/")[2], advert)
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    asgi = bench.start(machine.uvicorn("asgi_app", bench.folder), "/small")
    rows, other = [], f"Authorization: Bearer {bearer.made()}"
    for what, ours_path, theirs_path, mine, theirs in (
            ("one job (16 KB)", f"/mesh/jobs/{job}", "/item/job", "", ""),
            ("50 events, ours with the node's state,", "/mesh/stream?since=0&limit=50", "/events?since=0&limit=50", "", ""),
            ("one advertisement", path, path, "", ""),
            ("one application, for a token,", "/appmesh/app/bench", "/app/bench", token, other)):
        ours, fast, bare = bench.turns(*(
            partial(wrk, process, wanted, seconds=bench.seconds, headers=[shows] if shows else [])
            for process, wanted, shows in ((node, ours_path, mine), (fastapi, theirs_path, theirs), (asgi, theirs_path, theirs))))
        rows.append(compared(f"G3 {what} beside FastAPI+uvicorn", ours, fast, 4.0, 8.0))
        rows.append(compared(f"G4 {what} beside bare ASGI on uvicorn", ours, bare, 1.5, 2.5))
    return rows


def g5(bench: Bench) -> list[Measured]:
    """p99 with 1,000 connections asking at one time."""
    node = bench.node()
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    small, stored, theirs = bench.turns(*(partial(wrk, process, path, clients=1000, seconds=bench.seconds) for process, path in (
        (node, "/healthz"), (node, "/mesh/manifest"), (fastapi, "/small"))))
    return [bounded(f"G5 p99 at 1,000 connections, {what}, beside FastAPI+uvicorn", p99(ours), p99(theirs), "ms", 0.25, 0.10,
                    f"{rate(ours):,.0f}/s to {rate(theirs):,.0f}/s")
            for what, ours in (("GET /healthz", small), ("GET /mesh/manifest", stored))]


def g6(bench: Bench) -> list[Measured]:
    """The longest wait of many stored GETs at 32 connections."""
    node = bench.node()
    loads = [wrk(node, "/mesh/manifest", seconds=bench.seconds * 2) for _ in range(bench.rounds)]
    worst, asked_for = statistics.median(load.max_ms for load in loads), sum(load.requests for load in loads)
    return [bounded(f"G6 longest of {asked_for:,} stored GETs", worst, 20.0, "ms", 1.0, 0.25,
                    "depends on the machine being idle")]


def g12(bench: Bench) -> list[Measured]:
    """Resident memory, idle, everything loaded."""
    node = bench.node()
    fastapi = bench.start(machine.uvicorn("fastapi_app", bench.folder), "/small")
    time.sleep(1.5)
    ours, theirs = node.resident_kib() / 1024, fastapi.resident_kib() / 1024
    return [bounded("G12 resident memory, idle, beside FastAPI+uvicorn", ours, theirs, "MB", 0.5, 0.36),
            bounded("G12 resident memory, idle", ours, 24.0, "MB", 1.0, 0.75)]


def g13(bench: Bench) -> list[Measured]:
    """From the start to the first answer, database and byte code present."""
    bench.node("start").stop()
    bench.up.clear()
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(8):
        for made, begin, path in ((ours, partial(machine.node, bench.folder / "start"), "/healthz"),
                                  (theirs, partial(machine.uvicorn, "fastapi_app", bench.folder), "/small")):
            process = begin()
            made.append(process.until_answers(path) * 1000)
            process.stop()
    return [bounded("G13 start to first answer beside FastAPI+uvicorn", statistics.median(ours), statistics.median(theirs), "ms",
                    0.25, 0.16)]


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
    return [bounded(f"G14 resident memory of an idle connection, {count} held", each, 2.0, "KB", 1.0, 0.5,
                    f"p99 of others {quiet:.2f} -> {busy:.2f} ms")]


def g15(bench: Bench) -> list[Measured]:
    """512 callers at one instant."""
    node = bench.node()
    worst = statistics.median(machine.burst(node.port, 512, "/healthz") * 1000 for _ in range(max(3, bench.rounds)))
    return [bounded("G15 512 connects at one instant, to the last answer", worst, 100.0, "ms", 1.0, 0.2)]


def g16(bench: Bench) -> list[Measured]:
    """An event to the last of many listeners of the control stream, and what they cost while nothing happens."""
    rows = []
    for count, bound, must, aim in ((1000, 20.0, 1.0, 0.5), (10_000, 80.0, 4.0, 1.0)):
        node = bench.node(f"stream-{count}")
        try:
            socks = machine.open_many(node.port, count)
        except OSError:
            rows.append({"what": f"G16 {count} listeners", "missing": "so many descriptors"})
            continue
        rows.append(_fanned(node, socks, bound, must, aim))
        for sock in socks:
            sock.close()
        bench.close()
    return rows


def _fanned(node: Process, socks: list[socket.socket], bound: float, must: float, aim: float) -> Measured:
    poll, count = select.epoll(), len(socks)
    for sock in socks:
        sock.sendall(b"GET /mesh/control/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
    by_number = {sock.fileno(): sock for sock in socks}
    _heard(poll, by_number, b"control-state", count)
    before = node.cpu_seconds()
    delays = [_told(node, poll, by_number, count, number) for number in range(3)]
    each = (node.cpu_seconds() - before) / 3 / count * 1e6
    before = node.cpu_seconds()
    time.sleep(3.0)
    idle = (node.cpu_seconds() - before) / 3.0 * 100
    return bounded(f"G16 one event to {count:,} listeners", statistics.median(delays) * 1000, bound, "ms", must, aim,
                   f"{each:.0f} CPU-us a delivery; idle cost {idle:.2f} % of a core; the listeners are one Python program")


def _heard(poll: select.epoll, socks: dict[int, socket.socket], mark: bytes, count: int) -> float:
    """When the last of `count` listeners had read `mark`."""
    waiting, seen, last = set(socks), dict.fromkeys(socks, b""), time.perf_counter()
    deadline, room = last + 60, bytearray(65_536)                  # one buffer for all: the listeners' work is not what is measured
    while waiting and time.perf_counter() < deadline:
        for number, _ in poll.poll(1.0):
            length = socks[number].recv_into(room)
            if number in waiting and (room.find(mark, 0, length) >= 0 or mark in seen[number] + room[:64]):
                waiting.discard(number)
                last = time.perf_counter()
            seen[number] = bytes(room[max(0, length - 64):length])
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
    "G1": g1_g2, "G2": g1_g2, "G3": g3_g4, "G4": g3_g4, "G5": g5, "G6": g6, "G7": writes.g7_g8, "G8": writes.g7_g8,
    "G10": writes.g10, "G12": g12, "G13": g13, "G14": g14, "G15": g15, "G16": g16,
    "G17": growth.g17, "G22": files.g22, "G23": files.g23,
}
