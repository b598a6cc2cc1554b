"""What this machine has and uses, read from the kernel when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from ... import VERSION
from ...base.settings import cores
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ...http import local
from ...processes import usage
from ..apps.program import local_text
from . import rules

T = TypeVar("T")
CGROUP = "/sys/fs/cgroup"
FILE_BYTES_MAX = 1 << 20


class Resources:
    """Reads the machine; what cannot be read is named, never a failure of the answer."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.apps = rooms["appmesh.apps"]
        self.users = rooms["appmesh.users"]
        self.started = core.clock.time()

    def collected(self) -> dict[str, Any]:
        """Everything at this moment."""
        errors: list[str] = []
        now = self.core.clock.time()
        none: dict[str, int] = {}
        memory = _or(errors, "host_memory_unavailable", _memory, none)
        used_by_apps = _or(errors, "application_process_tree_unavailable", self._applications, 0)
        own = _or(errors, "daemon_process_tree_unavailable", lambda: usage.of([os.getpid()]), None)
        nothing: list[dict[str, Any]] = []
        return {"schema_version": 3, "collected_at_unix_seconds": int(now), "systime": local_text(now),
                "appmesh_start_time": local_text(self.started),
                "appmesh_start_time_unix_seconds": int(self.started), "appmesh_version": f"ocp_{VERSION}",
                "host_name": local.host_name(),
                "host_description": self.core.identity.display_name, "home": str(self.core.data), "pid": os.getpid(),
                "os_user": self.users.own_account(),
                "fd": own.open_files or 0 if own else 0, "in_container": _in_container(), "mem_applications": used_by_apps,
                "mem_daemon_process_tree_bytes": (own.rss_bytes if own else 0) + used_by_apps, **_system(), **_processors(errors),
                **_told(memory), "load": _or(errors, "load_average_unavailable", _load, {"1min": 0.0, "5min": 0.0, "15min": 0.0}),
                "fs": _or(errors, "filesystem_usage_unavailable", _disks, nothing),
                "net": _or(errors, "network_interfaces_unavailable", _addresses, nothing),
                "collector_errors": errors}

    def _applications(self) -> int:
        children = [run.child for app in list(self.apps.apps.values()) if (run := app.run) is not None and run.child is not None]
        return sum(used.rss_bytes for child in children if (used := child.usage()) is not None)


def _or(errors: list[str], name: str, read: Callable[[], T], otherwise: T) -> T:
    """What `read` gives; when the machine has no such thing, that is noted."""
    try:
        return read()
    except (OSError, ValueError, KeyError):
        errors.append(name)
        return otherwise


def _file(path: str) -> str:
    """A small file of the kernel; OSError when there is none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(FILE_BYTES_MAX)


def _maybe(path: str) -> str:
    try:
        return _file(path)
    except OSError:
        return ""


def _system() -> dict[str, Any]:
    named = os.uname()
    version = "v2" if os.path.exists(f"{CGROUP}/cgroup.controllers") else "v1" if os.path.isdir(f"{CGROUP}/memory") else "none"
    return {"os": rules.SYSTEMS.get(named.sysname, named.sysname.lower()),
            "architecture": rules.ARCHITECTURES.get(named.machine, "unknown"),
            "cgroup_version": version}


def _in_container() -> bool:
    return os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv") or bool(_maybe("/run/systemd/container"))


def _processors(errors: list[str]) -> dict[str, Any]:
    count = os.cpu_count() or 1
    sockets, real = _or(errors, "host_cpu_topology_unavailable", lambda: rules.processors(_file("/proc/cpuinfo")), (0, 0))
    quota = rules.quota_v2(_maybe(f"{CGROUP}/cpu.max")) or _quota_v1()
    effective = min(cores(), max(1, -int(-quota // 1))) if quota else cores()
    return {"cpu_cores": real or count, "cpu_processors": count, "cpu_effective_processors": effective,
            "cpu_quota_cores": round(quota, 3),
            "cpu_sockets": sockets or 1, "cpu_source": "cgroup" if quota else "host"}


def _quota_v1() -> float:
    quota, period = (rules.number(_maybe(f"{CGROUP}/cpu/cpu.cfs_{name}_us")) for name in ("quota", "period"))
    return quota / period if quota and period else 0.0


def _memory() -> dict[str, int]:
    """Of the machine, or of the cgroup that bounds this node more tightly."""
    found = rules.meminfo(_file("/proc/meminfo"))
    made = {"total": found["MemTotal"], "available": found.get("MemAvailable", found.get("MemFree", 0)),
            "swap_total": found.get("SwapTotal", 0),
            "swap_free": found.get("SwapFree", 0), "grouped": 0}
    made["current"] = made["total"] - made["available"]
    for bound, current in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        limit, used = rules.number(_maybe(f"{CGROUP}/{bound}")), rules.number(_maybe(f"{CGROUP}/{current}"))
        if limit is not None and used is not None and limit < made["total"]:
            made.update(total=limit, available=max(0, limit - used), current=used, grouped=1)
    return made


def _told(memory: dict[str, int]) -> dict[str, Any]:
    def of(name: str) -> int:
        return memory.get(name, 0)

    return {"mem_total_bytes": of("total"), "mem_available_bytes": of("available"), "mem_current_bytes": of("current"),
            "mem_swap_total_bytes": of("swap_total"), "mem_swap_free_bytes": of("swap_free"),
            "mem_swap_current_bytes": of("swap_total") - of("swap_free"),
            "memory_source": "cgroup" if of("grouped") else "host", "swap_source": "host"}


def _load() -> dict[str, float]:
    one, five, fifteen = os.getloadavg()
    return {"1min": round(one, 2), "5min": round(five, 2), "15min": round(fifteen, 2)}


def _disks() -> list[dict[str, Any]]:
    made = []
    for device, mount_point in rules.disks(_file("/proc/mounts")):
        try:
            facts = os.statvfs(mount_point)
        except OSError:
            continue
        size, free, available = (blocks * facts.f_frsize for blocks in (facts.f_blocks, facts.f_bfree, facts.f_bavail))
        if size and not os.path.isfile(mount_point):           # a file that a container has mounted over another is no disk
            used = size - free
            made.append({"device": device, "mount_point": mount_point, "size": size, "used": used, "available": available,
                         "usage": round(used / (used + available), 4) if used + available else 0.0})
    return made


def _addresses() -> list[dict[str, Any]]:
    return [{"name": name, "address": address, "ipv6": ":" in address} for name, address in local.interfaces()]


def show(room: Resources, call: Call) -> Reply:
    """GET /appmesh/resources: processors, memory, disks and networks, as they are now."""
    return Reply(room.collected())


def build(core: Core, rooms: Rooms) -> Resources:
    return Resources(core, rooms)
