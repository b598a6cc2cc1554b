"""Measurements of the surface and of what it supervises, taken when they are asked for."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from ... import VERSION
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ...http import local
from . import rules
from .rules import Family

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """How often it was asked, and how often a look failed."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.apps = rooms["appmesh.apps"]
        self.host = local.host_name()
        self.scrapes = 0
        self.errors = 0
        self.app_errors: Counter[str] = Counter()
        self._samples: dict[str, tuple[str, float, float]] = {}      # run, when and how much processor time, at the last scrape

    def own(self) -> list[Family]:
        """Of the node itself."""
        try:
            files = len(os.listdir("/proc/self/fd"))
        except OSError:
            files, self.errors = 0, self.errors + 1
        return [Family("appmesh_metrics_scrapes_total", "counter", "Scrapes that were answered", [({}, self.scrapes)]),
                Family("appmesh_metrics_collection_errors_total", "counter", "Collections that failed", [({}, self.errors)]),
                Family("appmesh_process_open_fds", "gauge", "Open file descriptors of this node", [({}, files)]),
                Family("appmesh_process_id", "gauge", "Process id of this node", [({}, os.getpid())]),
                Family("appmesh_build_info", "gauge", "Version of this node", [({"version": VERSION}, 1)])]

    def requests(self) -> list[Family]:
        """Answers of this surface by route and status; those of these measurements are not counted."""
        from ..surface import ROUTES
        routes = {route.id: route for route in ROUTES if route.room != "appmesh.metrics"}
        totals = self.core.edge.app.totals() if self.core.edge is not None else {}
        samples: list[tuple[rules.Labels, float]] = [({"method": routes[name].method, "route": rules.pattern(routes[name].path),
                                                       "status_code": str(status),
                     "status_class": rules.status_class(status)}, float(count))
                   for (name, status), count in sorted(totals.items()) if name in routes]
        return [Family("appmesh_http_requests_total", "counter", "Requests that were answered", samples)]

    def applications(self) -> list[Family]:
        """Of every managed application."""
        rows = [(app.name, self._of(app)) for _, app in sorted(self.apps.apps.items()) if not app.once]
        return [Family(name, kind, about, [({"application": app}, values[key]) for app, values in rows]) for name, kind, about,
                key in rules.APP_FAMILIES]

    def _of(self, app: Any) -> dict[str, float]:
        run, made = app.run, {"memory": 0.0, "fds": 0.0, "cores": 0.0, "pid": 0.0}
        child = run.child if run is not None else None
        if child is not None:
            made["pid"] = child.pid
            used = child.usage()
            if used is None:
                self.app_errors[app.name] += child.running
            else:
                made.update(memory=used.rss_bytes, fds=used.open_files or 0,
                            cores=self._cores(app.name, run.id, used.cpu_seconds))
        running = child is not None
        return {**made, "starts": app.starts, "errors": self.app_errors[app.name], "enabled": app.program.status == 1,
                "running": running,
                "healthy": running and app.health == 0}

    def _cores(self, app: str, run_id: str, cpu_seconds: float) -> float:
        """Processor time since the last scrape, by the time that has passed; 0 at the first."""
        now, before = self.core.clock.monotonic(), self._samples.get(app)
        self._samples[app] = (run_id, now, cpu_seconds)
        if before is None or before[0] != run_id or now <= before[1]:
            return 0.0
        return round(max(0.0, (cpu_seconds - before[2]) / (now - before[1])), 4)


def show(room: Metrics, call: Call) -> Reply:
    """GET /appmesh/metrics: the Prometheus text of the surface."""
    room.scrapes += 1
    return Reply(rules.text([*room.own(), *room.applications(), *room.requests()], room.host), 200, (), MEDIA_TYPE)


def build(core: Core, rooms: Rooms) -> Metrics:
    return Metrics(core, rooms)
