"""Alive, ready, measured.  Open to everyone, so nothing here names a path, a peer or a secret."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from ... import VERSION
from ...base import limits
from ...base.errors import Busy
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ...store import facts, folder
from . import rules
from .records import Readiness


class Health:
    """Reads the parts of the node that can fail."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.started = core.clock.monotonic()
        self._tried_at = float("-inf")
        _measure(core, self)

    def try_store(self) -> None:
        """After a failure the store is tried with a small change of our own, now and then: nobody is sent to a node that is not
        ready, so no other change might ever tell that the disk has room again."""
        now = self.core.clock.monotonic()
        if now - self._tried_at < rules.TRY_STORE_SECONDS:
            return
        self._tried_at, text = now, self.core.clock.text()
        try:
            self.core.writer.submit(lambda connection: facts.put(connection, "node.store_tried_at", text), lambda result, fault: None)
        except Busy:
            pass                              # others try it, then


def build(core: Core, rooms: Rooms) -> Health:
    return Health(core)


def live(room: Health, call: Call) -> Reply:
    """The loop turns, or nobody would read this."""
    return Reply({"status": "ok"})


def ready(room: Health, call: Call) -> Reply:
    """Every check with what it saw; 503 as long as one fails."""
    core = room.core
    edge = core.edge
    if core.writer.trouble:
        room.try_store()
    checks = {"database": rules.database(core.writer.trouble, core.writer.waiting),
              "disk": rules.disk(folder.free_bytes(core.data)),
              "clock": rules.clock(core.clock.time()),
              "workers": rules.workers(edge.app.workers.waiting if edge else 0, limits.WORKER_QUEUE_MAX)}
    status, code = rules.verdict(checks)
    return Reply(Readiness(status=status, checks=checks), code, (("Cache-Control", "no-store"),))


def metrics(room: Health, call: Call) -> Reply:
    """Every measure of the node, as Prometheus reads it."""
    return Reply(room.core.measures.text(), media_type="text/plain; version=0.0.4; charset=utf-8",
                 headers=(("Cache-Control", "no-store"),))


def _measure(core: Core, room: Health) -> None:
    measures, edge = core.measures, core.edge
    measures.gauge("ocp_node_info", "What runs here.", lambda: {(("version", VERSION), ("python", sys.version.split()[0])): 1.0})
    measures.gauge("ocp_uptime_seconds", "Seconds since the node was put together.",
                   lambda: core.clock.monotonic() - room.started)
    measures.gauge("ocp_threads", "Threads of the process.", lambda: float(threading.active_count()))
    measures.gauge("ocp_resident_memory_bytes", "Resident memory of the process.", resident_bytes)
    measures.counter("ocp_commits_total", "Groups of changes that were stored.", lambda: float(core.writer.commits))
    measures.gauge("ocp_changes_waiting", "Changes waiting for the writer.", lambda: float(core.writer.waiting))
    if edge is not None:
        measures.counter("ocp_http_requests_total", "Requests answered, by route and status.", lambda: requests(edge))
        measures.counter("ocp_http_connections_total", "Connections accepted.", lambda: float(edge.accepted))
        measures.gauge("ocp_http_connections", "Connections open.", lambda: float(len(edge.connections)))
        measures.gauge("ocp_http_streams", "Event streams, WebSockets and long polls open.", lambda: float(edge.streams))
        measures.gauge("ocp_http_long_requests", "Requests in a thread of their own.", lambda: float(edge.longs))
        measures.gauge("ocp_http_workers_waiting", "Requests waiting for a worker.", lambda: float(edge.app.workers.waiting))


def requests(edge: Any) -> dict[tuple[tuple[str, str], ...], float]:
    """Requests by route id and status; the empty route is what matched none."""
    return {(("route", route), ("status", str(status))): float(count) for (route, status),
            count in sorted(edge.app.totals().items())}


def resident_bytes() -> float | None:
    """Resident memory by /proc; None where there is none."""
    try:
        with open("/proc/self/statm", encoding="ascii") as facts:
            return float(facts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
