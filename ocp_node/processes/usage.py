"""What processes use, read from /proc; None or nothing where a system has none."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from .records import Process, Usage

PROC = "/proc"
COMMAND_BYTES_MAX = 4096


class Stat(NamedTuple):
    """The fields of `/proc/<pid>/stat` that are used here (proc(5)); times in ticks, memory in pages."""
    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    ticks: int                   # user and system time of its own and of the children it has waited for
    start_ticks: int
    pages: int


def parse_stat(raw: bytes) -> Stat | None:
    """The fields of one stat line.  The name may hold spaces, brackets and line ends, so the last bracket counts."""
    opening, closing = raw.find(b"("), raw.rfind(b")")
    fields = raw[closing + 1:].split()
    if opening < 0 or closing < opening or len(fields) < 22:
        return None
    try:
        ticks = sum(map(int, fields[11:15]))
        return Stat(int(raw[:opening]), raw[opening + 1:closing].decode("utf-8", "replace"), fields[0].decode("ascii"),
                    int(fields[1]), int(fields[2]), int(fields[3]), ticks, int(fields[19]), max(0, int(fields[21])))
    except ValueError:
        return None


def read_bytes(path: str, bytes_max: int = 65_536) -> bytes | None:
    """The start of a small file of the kernel; None when it is gone or not ours to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, bytes_max)
    except OSError:              # the process went between opening and reading
        return None
    finally:
        os.close(descriptor)


def stat(pid: int, proc: str = PROC) -> Stat | None:
    """The present state of one process."""
    raw = read_bytes(f"{proc}/{pid}/stat", 4096)
    return parse_stat(raw) if raw else None


def lives(pid: int, proc: str = PROC) -> bool:
    """The process is there and has not ended; one that only waits to be reaped has."""
    found = stat(pid, proc)
    return found is not None and found.state not in "ZX"


def every_pid(proc: str = PROC) -> list[int]:
    """The numbers of all processes; empty where there is no /proc."""
    try:
        return [int(name) for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return []


def members(stats: Iterable[Stat], leader: int) -> list[int]:
    """The leader, its descendants, and who shares its session: the best guess at a run where nothing marks it."""
    stats = list(stats)
    children: dict[int, list[int]] = {}
    for one in stats:
        children.setdefault(one.parent, []).append(one.pid)
    found = {one.pid for one in stats if one.pid == leader or one.session == leader}
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return sorted(found)


def of(pids: Iterable[int], proc: str = PROC) -> Usage | None:
    """What these processes use together; None when none of them can be seen."""
    stats = [one for one in (stat(pid, proc) for pid in pids) if one is not None and one.state != "Z"]
    if not stats:
        return None
    files = [count for count in (_open_files(one.pid, proc) for one in stats) if count is not None]
    return Usage(cpu_seconds=sum(one.ticks for one in stats) / os.sysconf("SC_CLK_TCK"),
                 rss_bytes=sum(one.pages for one in stats) * os.sysconf("SC_PAGE_SIZE"),
                 processes=len(stats), open_files=sum(files) if files else None)


def _open_files(pid: int, proc: str) -> int | None:
    try:
        return len(os.listdir(f"{proc}/{pid}/fd"))
    except OSError:
        return None


def describe(pids: Iterable[int], proc: str = PROC) -> list[Process]:
    """Number, parent, user and command line of each process that can be seen, in the order of their numbers."""
    found = []
    for pid in sorted(pids):
        one = stat(pid, proc)
        if one is not None:
            line = read_bytes(f"{proc}/{pid}/cmdline", COMMAND_BYTES_MAX) or b""
            command = line.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace") or one.name
            found.append(Process(pid=pid, parent_pid=one.parent, user_id=_user_id(pid, proc), command=command,
                                 zombie=one.state == "Z"))
    return found


def _user_id(pid: int, proc: str) -> int:
    try:
        return os.stat(f"{proc}/{pid}").st_uid
    except OSError:
        return -1
