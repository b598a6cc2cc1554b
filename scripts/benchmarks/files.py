"""Rows about many bytes, and about what must not disturb others."""

from __future__ import annotations

import http.client
import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import machine
from .comparing import Bench, Measured, asked, bounded, compared, p99
from .machine import Missing, Process, wrk

UPLOAD_BYTES = 1 << 30
PIECE = bytes(1 << 18)
LARGE = {"OCP_ARTIFACTS_MAX_BYTES": str(2 << 30)}
HANGING = 50


def g22(bench: Bench) -> list[Measured]:
    """A download beside nginx, and what an upload of 1 GB costs in memory."""
    node = bench.node("files", environment=LARGE)
    before = node.resident_kib()
    peak = [before]
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(node, peak, over))
    watch.start()
    began = time.perf_counter()
    _upload(node, UPLOAD_BYTES)
    seconds = time.perf_counter() - began
    over.set()
    watch.join()
    rows = [bounded("G22 extra resident memory while 1 GB is uploaded", (max(peak) - before) / 1024, 4.0, "MB", 1.0, 0.25,
                    f"{UPLOAD_BYTES / seconds / 1e6:,.0f} MB/s, hashed and synced")]
    size = 8 << 20
    name = _upload(node, size)["artifact"]["id"]
    nginx = bench.start(machine.nginx(bench.folder, "x", bytes(size)), "/constant")
    path = f"/mesh/artifacts/{name}?raw=1"
    if len(asked(node.port, "GET", path)) != size:
        raise Missing("the artifact's bytes")
    ours, theirs = bench.turns(lambda: wrk(node, path, clients=4, seconds=bench.seconds),
                               lambda: wrk(nginx, "/file", clients=4, seconds=bench.seconds))
    rows.append(compared("G22 GET an artifact of 8 MB beside nginx and the same file", ours, theirs, 0.8, 1.0))
    return rows


def _watch(node: Process, peak: list[int], over: threading.Event) -> None:
    while not over.wait(0.02):
        peak.append(node.resident_kib())


def _pieces(size: int) -> Iterator[bytes]:
    # never the same bytes twice: what is known already would not be stored again
    yield time.time_ns().to_bytes(16, "big").ljust(len(PIECE), b"-")
    for _ in range(size // len(PIECE) - 1):
        yield PIECE


def _upload(node: Process, size: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=120)
    connection.request("PUT", "/mesh/artifacts/content?classification=public", _pieces(size),
                       {"Content-Type": "application/octet-stream", "Content-Length": str(size)})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    if answer.status >= 300:
        raise Missing(f"the upload answers {answer.status}: {data[:200]!r}")
    return json.loads(data)


def g23(bench: Bench) -> list[Measured]:
    """p99 of a stored GET while an upload, a slow reader, hanging calls and signature checks go on."""
    from .writes import UNLIMITED, adverts
    node = bench.node("busy", environment={**LARGE, **UNLIMITED})
    quiet = [wrk(node, "/mesh/manifest", clients=4, seconds=bench.seconds) for _ in range(bench.rounds)]
    name = _upload(node, 64 << 20)["artifact"]["id"]
    hole = socket.create_server(("127.0.0.1", 0), backlog=512)       # accepts and says nothing
    papers = adverts(bench.folder / "adverts", 7, 4_000)
    over = threading.Event()
    disturbing: list[Callable[[], None]] = [
        lambda: _repeated(over, lambda: _upload(node, 100 << 20)),
        lambda: _slow_reader(over, node, name),
        lambda: _signed(over, node, papers),
        *[lambda: _repeated(over, lambda: _hanging(node, hole.getsockname()[1]))] * HANGING]
    threads = [threading.Thread(target=disturb, daemon=True) for disturb in disturbing]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    busy = [wrk(node, "/mesh/manifest", clients=4, seconds=bench.seconds) for _ in range(bench.rounds)]
    over.set()
    hole.close()
    for thread in threads:
        thread.join(10)
    worst = statistics.median(load.max_ms for load in busy)
    return [bounded("G23 p99 of a stored GET while an upload, a slow reader, 50 hanging calls and 200 signatures a second go on",
                    p99(busy), 5.0, "ms", 1.0, 0.4,
                    f"alone {p99(quiet):.2f} ms; longest {worst:.0f} ms; "
                    "the disturbers are one Python program on the same cores")]


def _repeated(over: threading.Event, act: Callable[[], Any]) -> None:
    while not over.is_set():
        try:
            act()
        except (OSError, Missing, http.client.HTTPException):
            over.wait(0.1)                # the node refuses when it has enough of it: that is its right


def _slow_reader(over: threading.Event, node: Process, name: str) -> None:
    with socket.create_connection(("127.0.0.1", node.port)) as sock:
        sock.sendall(f"GET /mesh/artifacts/{name}?raw=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while not over.wait(0.1) and sock.recv(4096):
            pass


def _hanging(node: Process, port: int) -> None:
    asked(node.port, "POST", "/mesh/routes/probe", {"base_url": f"http://127.0.0.1:{port}", "timeout": 5})


def _signed(over: threading.Event, node: Process, papers: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
    for line in papers.read_text().splitlines():
        if over.wait(0.005):
            break
        path, _, body = line.partition("\t")
        connection.request("PUT", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if not re.match("20.", str(answer.status)):
            break
    connection.close()
