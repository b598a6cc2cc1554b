"""Children that outlive the node, and grandchildren that outlive their parents."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from . import marks, usage

if TYPE_CHECKING:
    from .records import ChildRecord

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Orphaned descendants become our children instead of init's, to be reaped by us (prctl(2)); False where they do not."""
    import ctypes
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError, TypeError):
        return False


def boot_id() -> str:
    """Names the present run of the kernel; "" where nothing does."""
    return (usage.read_bytes("/proc/sys/kernel/random/boot_id", 64) or b"").decode("ascii", "replace").strip()


def start_ticks(pid: int) -> int:
    """When the process was started, in ticks since boot; 0 when that cannot be known."""
    found = usage.stat(pid)
    return found.start_ticks if found is not None else 0


def age_seconds(ticks: int) -> float:
    """How long ago a process with this start began."""
    words = (usage.read_bytes("/proc/uptime", 128) or b"0").split()
    return max(0.0, float(words[0]) - ticks / os.sysconf("SC_CLK_TCK"))


def still_running(record: ChildRecord) -> bool:
    """The very process of the record lives: same boot, same number, same start.  Never true for one that cannot be told apart."""
    found = usage.stat(record.pid)
    return (found is not None and found.state not in "ZX" and record.start_ticks > 0 and found.start_ticks == record.start_ticks
            and record.boot_id != "" and record.boot_id == boot_id())


def remains(record: ChildRecord) -> list[int]:
    """What lives on of a run, whether its leader does or not: who bears its mark, is in its group, or holds its pipe."""
    if not record.boot_id or record.boot_id != boot_id():
        return []
    found = set(marks.by_mark(marks.every_other()).get(record.mark, [])) if record.mark else set()
    if record.group:
        from . import cgroup
        found.update(cgroup.Group(record.group).pids())
    if record.output is not None and record.output.path:
        found.update(holders(pipe_path(record.output.path)))
    if still_running(record):
        found.add(record.pid)
    return sorted(pid for pid in found - {os.getpid()} if usage.lives(pid))


def pipe_path(output_path: str) -> str:
    """Where the pipe to an output file stands while the run lasts."""
    return output_path + ".pipe"


def held(pipe: str) -> bool:
    """Something alive writes to this pipe.  Children open it for reading too, so that the node may come and go (`spawn.py`)."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError:                               # ENXIO: nobody reads
        return False
    return True


def holders(pipe: str) -> list[int]:
    """Which other processes have this pipe open; those not ours to see are left out."""
    wanted = os.path.realpath(pipe)
    return [pid for pid in marks.every_other() if wanted in _opened(pid)]


def _opened(pid: int) -> Iterable[str]:
    folder = f"{usage.PROC}/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue


def leader_of(pipe: str) -> int:
    """The process that a run with this pipe was started as, as far as it can be seen; 0 when it is gone."""
    for pid in holders(pipe):
        found = usage.stat(pid)
        if found is not None and found.session == pid and usage.lives(pid):
            return pid
    return 0
