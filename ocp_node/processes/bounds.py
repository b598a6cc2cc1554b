"""Limits that the kernel keeps for each process: set from outside right after the start, or by a shell before it.

Setting them from outside costs nothing, but needs a system that can (Linux), and the right to do it to another user's process
(CAP_SYS_RESOURCE, which containers usually lack).  Where either is missing the program is started through a shell that sets them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from . import rules, usage
from .records import Limits

CAP_SYS_RESOURCE = 24             # its bit among the capabilities (capabilities(7))


def parse_capable(status: str, bit: int) -> bool:
    """Whether a capability is in effect, of `/proc/<pid>/status`."""
    words = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(words, 16) >> bit & 1)


def through_shell(other_user: bool, limits: Limits) -> bool:
    """The limits of a start have to be set by a shell."""
    import resource
    if not hasattr(resource, "prlimit"):
        return limits != Limits()
    if not other_user:
        return False
    return not parse_capable((usage.read_bytes("/proc/self/status") or b"").decode("ascii", "replace"), CAP_SYS_RESOURCE)


def ulimits(limits: Limits, grouped: frozenset[str], user_id: int) -> str:
    """The limits as commands of any POSIX shell.  One that cannot be set is stricter already."""
    commands = []
    for name, value in rules.rlimits(limits, "memory" in grouped):
        letter, unit = _LETTERS[name]
        soft = -(-value // unit)
        commands += [f"ulimit -S -{letter} {soft}", f"ulimit -H -{letter} {soft + (name == 'RLIMIT_CPU')}"]
    if limits.processes_max and "pids" not in grouped and (tasks := tasks_of(user_id)) is not None:
        most = tasks + limits.processes_max
        commands.append(f"ulimit -u {most} 2>/dev/null || ulimit -p {most}")       # the letter depends on the shell
    return "".join(f"{{ {command}; }} 2>/dev/null; " for command in commands)


# the option of ulimit and its unit in bytes, seconds or pieces
_LETTERS = {"RLIMIT_CORE": ("c", 512), "RLIMIT_AS": ("v", 1024), "RLIMIT_CPU": ("t", 1), "RLIMIT_FSIZE": ("f", 512),
            "RLIMIT_NOFILE": ("n", 1)}


def apply(pids: Iterable[int], limits: Limits, grouped: frozenset[str]) -> None:
    """These processes, and what they start from now on, are under the limits, none of which is over the node's own."""
    import resource
    wanted = [(getattr(resource, name), value) for name, value in rules.rlimits(limits, "memory" in grouped)]
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):             # it has ended, or is not ours to bound
            for which, value in wanted:
                _set(pid, which, value)
            if limits.processes_max and "pids" not in grouped:
                tasks = tasks_of(os.stat(f"{usage.PROC}/{pid}").st_uid)
                if tasks is not None:
                    _set(pid, resource.RLIMIT_NPROC, tasks - 1 + limits.processes_max)


def weigh(pids: Iterable[int], weight: int) -> None:
    """These processes, and what they start from now on, have this share of the processor."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, rules.nice_of_weight(weight))


def _set(pid: int, which: int, value: int) -> None:
    import resource
    hard = resource.prlimit(pid, which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    most = value + 1 if which == resource.RLIMIT_CPU and (hard == resource.RLIM_INFINITY or hard > value) else value
    resource.prlimit(pid, which, (value, most))                    # of processor time: XCPU first, KILL a second later


def tasks_of(user_id: int) -> int | None:
    """How many tasks a user has now: the kernel counts them by user, not by run.  None where that cannot be seen."""
    pids = usage.every_pid()
    if not pids:
        return None
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            if os.stat(f"{usage.PROC}/{pid}").st_uid == user_id:
                count += os.stat(f"{usage.PROC}/{pid}/task").st_nlink - 2
    return count
