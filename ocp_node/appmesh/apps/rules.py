"""What an application's life is decided by: who may touch it, when it may run, what follows an exit (App Mesh, lifecycle)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from ...base.errors import Refusal
from .program import DAY_SECONDS, ENABLED, Program

READ, WRITE = 2, 3
SHORT_RUN_SECONDS = 60.0
BACKOFF_SECONDS_MAX = 300
KILLED_CODE = 9                   # what a run reports that this node ended, whatever signal did it
CHECK_SECONDS = 1.0               # between two health checks
CHECK_WALL_SECONDS = 10.0
OUTPUT_BYTES_MAX = 100 << 20      # of one run; the file then ends with a line that says so
APPS_PER_USER_MAX = 1_000
SIZE_MIN, SIZE_MAX = 1024, 3_145_728
TIMER_SECONDS_MAX = 3600.0        # far deadlines are reached in steps, so that a clock that was set is noticed


class Phase(enum.Enum):
    """What an application does now."""
    IDLE = "idle"
    ARMED = "armed"               # a start is planned
    STARTING = "starting"         # asked of the process engine
    RUNNING = "running"
    STOPPING = "stopping"         # asked to end


STEPS: Mapping[tuple[Phase, str], Phase] = {
    (Phase.IDLE, "arm"): Phase.ARMED,
    (Phase.ARMED, "arm"): Phase.ARMED,
    (Phase.ARMED, "stop"): Phase.IDLE,
    (Phase.ARMED, "start"): Phase.STARTING,
    (Phase.STARTING, "started"): Phase.RUNNING,
    (Phase.STARTING, "failed"): Phase.IDLE,
    (Phase.STARTING, "stop"): Phase.STOPPING,
    (Phase.RUNNING, "stop"): Phase.STOPPING,
    (Phase.RUNNING, "exited"): Phase.IDLE,
    (Phase.STOPPING, "started"): Phase.STOPPING,
    (Phase.STOPPING, "failed"): Phase.IDLE,
    (Phase.STOPPING, "exited"): Phase.IDLE,
    (Phase.IDLE, "adopted"): Phase.RUNNING,
}
EVENTS = ("arm", "start", "started", "failed", "stop", "exited", "adopted")


def step(phase: Phase, event: str) -> Phase:
    """The next phase; an event that does not belong here changes nothing, because exits, timers and callers race."""
    return STEPS.get((phase, event), phase)


# --- who

def access(program: Program, owner_group: str, name: str, group: str, administers: bool) -> int:
    """What a user may do with the application: WRITE, READ, or 0.

    Of `permission` the units are for the owner's group, the tens for all others (App Mesh, application ownership).
    """
    if not program.owner or name == program.owner or not program.permission or administers:
        return WRITE
    digit = program.permission % 10 if group == owner_group else program.permission // 10 % 10
    return digit if digit in (READ, WRITE) else 0


def allowed(granted: int, wanted: int, name: str, app: str) -> None:
    """Refusal when less is granted than wanted."""
    if granted < wanted:
        raise Refusal("policy_denied", f"User <{name}> is not allowed to <{'EDIT' if wanted == WRITE else 'VIEW'}> app <{app}>")


# --- when

def may_run(program: Program, at: float) -> bool:
    """Enabled, and inside the time range and the daily window."""
    begun = program.start_time is None or at >= program.start_time
    return program.status != 0 and begun and not expired(program, at) and _in_window(program, at)


def expired(program: Program, at: float) -> bool:
    return program.end_time is not None and at >= program.end_time


def opens(program: Program, at: float) -> float | None:
    """The first moment from `at` on at which the application may run; None when there is none any more."""
    if program.status != ENABLED:
        return None
    at = max(at, program.start_time or 0)
    if not _in_window(program, at) and program.daily_start is not None:
        at += (program.daily_start - at) % DAY_SECONDS
    return None if expired(program, at) else at


def closes(program: Program, at: float) -> float | None:
    """The next moment at which the application may no longer run; None when no range ends."""
    ends = [] if program.end_time is None else [float(program.end_time)]
    if program.daily_start is not None and program.daily_end is not None and program.daily_start != program.daily_end:
        ends.append(at + (program.daily_end - at) % DAY_SECONDS)
    return min(ends, default=None)


def _in_window(program: Program, at: float) -> bool:
    start, end, second = program.daily_start, program.daily_end, at % DAY_SECONDS
    if start is None or end is None or start == end:
        return True
    return start <= second < end if start < end else second >= start or second < end


# --- what follows an exit

def action(program: Program, code: int | None) -> str:
    """standby, restart, keepalive or remove."""
    return program.control.get(str(code), program.exit)


def backoff(short_runs: int) -> int:
    """Seconds before the next start after so many short runs before this one: 1, 2, 4 ... 300."""
    return min(BACKOFF_SECONDS_MAX, 1 << min(short_runs, 9))


def next_backoff(short_runs: int, ran_seconds: float) -> tuple[int, int]:
    """The delay after a run of that length, and the count of short runs after it; a run of a minute forgets the earlier ones."""
    return (0, 0) if ran_seconds >= SHORT_RUN_SECONDS else (backoff(short_runs), short_runs + 1)


def exit_code(reason: str, code: int | None, signal: int | None) -> int | None:
    """The code that is reported: 9 for a run that this node ended, -N for one that signal N ended, None when nobody knows."""
    if reason in ("stopped", "timed_out"):
        return KILLED_CODE
    return code if code is not None else -signal if signal is not None else None


def natural(reason: str) -> bool:
    """The run ended by itself, so an exit action follows."""
    return reason not in ("stopped", "timed_out")


# --- shown

def tree_text(leader: int, processes: Iterable[Any]) -> str:
    """The processes of a run as a tree; one that only waits to be reaped stands in brackets."""
    by_parent: dict[int, list[Any]] = {}
    known = {one.pid: one for one in processes}
    for one in known.values():
        by_parent.setdefault(one.parent_pid if one.parent_pid in known and one.pid != leader else 0, []).append(one)
    roots = [known[leader]] if leader in known else by_parent.get(0, [])[:1]
    if not roots:
        return ""
    lines: list[str] = []

    def walk(one: Any, lead: str, branch: str) -> None:
        below = by_parent.get(one.pid, ()) if len(lines) < 200 else ()
        command = f"({one.command})" if one.zombie else one.command
        lines.append(f"{lead}{branch}{'-+-' if below else '---'} {one.pid} {command}")
        for index, child in enumerate(below):
            walk(child, lead + (" " if not branch else "| " if branch == "|" else "  "), "\\" if index == len(below) - 1 else "|")

    walk(roots[0], "", "")
    return "\n".join(lines)
