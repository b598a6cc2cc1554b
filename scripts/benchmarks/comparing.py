"""What every row needs: contenders that are up, load in turn, and figures set side by side."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import machine
from .machine import Load, Missing, Process

Measured = dict[str, Any]


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
        """All contenders in turn, several rounds."""
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


def asked(port: int, method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """The body of a good answer; anything else ends the row."""
    return _answered(port, method, path, json.dumps(body).encode() if body is not None else None, "application/json", headers)


def put(port: int, path: str, body: bytes) -> bytes:
    """The same for bytes that are stored as they are."""
    return _answered(port, "PUT", path, body, "application/octet-stream", {})


def _answered(port: int, method: str, path: str, body: bytes | None, media_type: str, headers: Mapping[str, str]) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {**headers, **({"Content-Type": media_type} if body is not None else {})})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise Missing(f"{method} {path} answers {answer.status}: {data[:200]!r}")
    return data


def post(port: int, path: str, body: Any) -> Any:
    return json.loads(asked(port, "POST", path, body))


def compared(name: str, ours: list[Load], theirs: list[Load], must: float, aim: float) -> Measured:
    if any(load.failed for load in (*ours, *theirs)):
        raise Missing(f"a contender of {name} answered errors")
    if not rate(theirs) or not rate(ours):
        raise Missing(f"a contender of {name} answered nothing within a round: give --seconds more")
    return {"what": name, "ours": f"{rate(ours):,.0f}/s", "peer": f"{rate(theirs):,.0f}/s",
            "ratio": rate(ours) / rate(theirs), "must": must, "aim": aim,
            "ours_cpu_us": round(cpu(ours), 1), "peer_cpu_us": round(cpu(theirs), 1),
            "ours_p99_ms": p99(ours), "peer_p99_ms": p99(theirs)}


def bounded(name: str, ours: float, bound: float, unit: str, must: float, aim: float, note: str = "") -> Measured:
    """A figure that must stay below a bound, or below its peer's; `must` and `aim` are ratios to it."""
    digits = 0 if bound >= 10 else 1
    return {"what": name, "ours": f"{ours:.{digits}f} {unit}", "peer": f"{bound:.{digits}f} {unit}", "ratio": ours / bound,
            "must": must, "aim": aim, "less": True, "note": note}
