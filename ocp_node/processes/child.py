"""One child from its start to its end.  What happens next is decided by `rules.STEPS`; this carries it out, on the loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from . import orphans, rules, usage
from .kept import Kept
from .outputfile import FileWriter, OutputFile
from .records import ChildRecord, Exit, Output, Process, Usage
from .rest import Rest
from .rules import Phase

if TYPE_CHECKING:
    import resource

    from ..base.loop import Timer
    from .capture import Capture
    from .engine import Engine
    from .tree import Tree


class Plan:
    """What a child's run is to be: the part of its start that is needed after it."""

    __slots__ = ("label", "grace_seconds", "ends", "leave_rest", "output")

    def __init__(self, label: str, grace_seconds: float, ends: float, leave_rest: bool, output: Output | None) -> None:
        self.label = label
        self.grace_seconds = grace_seconds
        self.ends = ends                          # by the monotonic clock; 0 is never
        self.leave_rest = leave_rest
        self.output = output                      # only when it is a file


class Child:
    """A run.  `pid`, `start_ticks`, `started_at` and `label` do not change.

    `stop`, `kill`, `signal`, `usage`, `processes` and `record` may be called from any thread, and after the end.
    """

    __slots__ = ("pid", "start_ticks", "started_at", "began", "_plan", "_engine", "_tree", "_descriptor", "_phase", "_asked",
                 "_timer", "_until", "_pause", "_captures", "_pipe", "_on_exit", "_status", "_cpu_seconds", "_rss", "_rss_before",
                 "_reaped", "_rest")

    def __init__(self, engine: Engine, plan: Plan, tree: Tree, start_ticks: int, started_at: float, captures: list[Capture],
                 pipe: str, on_exit: Callable[[Exit], None]) -> None:
        self.pid = tree.pid
        self.start_ticks = start_ticks
        self.started_at = started_at
        self._plan = plan
        self._engine = engine
        self._tree = tree
        self._captures = captures
        self._pipe = pipe
        self._on_exit = on_exit
        self._descriptor = -1
        self._phase = Phase.RUNNING
        self._asked = ""
        self._timer: Timer | None = None
        self._until = 0.0                         # of the grace or the drain, monotonic
        self._pause = 0.0
        self._status: tuple[int | None, int | None] = (None, None)
        self._cpu_seconds: float | None = None
        self._rss = 0
        self._rss_before = 0
        self._rest: Rest | None = None
        self._reaped: tuple[int, int, resource.struct_rusage | None] | None = None
        self.began = engine.clock.monotonic()

    # --- for rooms

    @property
    def label(self) -> str:
        return self._plan.label

    @property
    def running(self) -> bool:
        """The child itself has not exited, as far as is known."""
        return self._phase in rules.ALIVE

    @property
    def stopping(self) -> bool:
        """It has been asked to end, by its time limit or by us."""
        return bool(self._asked)

    @property
    def grace_seconds(self) -> float:
        """Between TERM and KILL, unless `stop` names another."""
        return self._plan.grace_seconds

    @property
    def output(self) -> OutputFile | None:
        """The file that the output goes to, if it goes to one."""
        sink = self._captures[0].sink if self._captures else None
        return sink.file if isinstance(sink, FileWriter) else None

    def stop(self, grace_seconds: float | None = None) -> None:
        """The whole run is asked to end, and made to after the grace.  Asking again may shorten the grace, never lengthen it."""
        self._engine.loop.call_soon(partial(self._stop, grace_seconds, "stopped"))

    def kill(self) -> None:
        """The whole run is ended at once."""
        self._engine.loop.call_soon(self._kill)

    def signal(self, number: int) -> None:
        """The whole run is sent this signal; what it does about it is its own affair."""
        self._engine.loop.call_soon(partial(self._signal, number))

    def usage(self, marked: Mapping[int, Sequence[int]] | None = None) -> Usage | None:
        """What the run uses now; None when that cannot be seen (no /proc, or ended).  `marked` saves a look (`Engine.usages`)."""
        if not self.running:
            return None
        by_mark = marked is not None and self.mark and self._tree.group is None
        found = usage.of(marked.get(self.mark, ()) if by_mark and marked is not None else self._tree.pids())
        if found is not None:
            self._rss = max(self._rss, found.rss_bytes)
        return found

    def processes(self) -> list[Process]:
        """The run's processes, in the order of their numbers."""
        return usage.describe(self._tree.pids()) if self.running else []

    def record(self) -> ChildRecord:
        """What to store, so that the next node finds this child again."""
        plan = self._plan
        ends_at = self._engine.clock.time() + self._wall_left() if plan.ends else 0.0
        return ChildRecord(pid=self.pid, start_ticks=self.start_ticks, boot_id=orphans.boot_id(), started_at=self.started_at,
                           label=plan.label, mark=self._tree.mark, output=plan.output, ends_at=ends_at,
                           group=self._tree.group.folder if self._tree.group else "",
                           stop_grace_seconds=plan.grace_seconds, leave_rest=plan.leave_rest)

    # --- for the engine

    @property
    def mark(self) -> int:
        return self._tree.mark

    @property
    def leave_rest(self) -> bool:
        """What bears this run's mark is left alone after its end."""
        return self._plan.leave_rest and not self._asked

    def began_with(self, rss_before: int, age_seconds: float = 0.0) -> None:
        """The most memory the node itself had held, which the kernel counts as the child's; how long ago an adopted one began."""
        self._rss_before = rss_before
        self.began -= max(0.0, age_seconds)

    def begin(self, descriptor: int) -> None:
        """The loop watches.  `descriptor` is a pidfd, or -1 to be polled.  On the loop."""
        if self._plan.ends:
            self._timer = self._engine.loop.call_later(self._wall_step(), self._wall_tick)
        for capture in self._captures:
            capture.start(self._pipe_ended)
        self._descriptor = descriptor
        if descriptor >= 0:
            self._engine.loop.watch(descriptor, self.look)

    def look(self) -> None:
        """An exit that has happened is taken note of."""
        if self.running and self._has_exited():
            self._gone()

    def turn(self, last: bool = False) -> None:
        """What a loop would have told, asked for: the exit, the rest of the group, output and its end; `last` waits no longer."""
        self.look()
        self._clear_tick()
        for capture in self._captures:
            capture.drain()
        if self._phase is Phase.DRAINING:
            self._pipe_ended()
        if last and self._take("drain_over") == "finish":
            self._finish()

    def release(self) -> None:
        """Nothing of the child is watched or held; it lives on by itself."""
        self._cancel_timer()
        self._close_descriptor()
        self._close_rest()
        for capture in self._captures:
            capture.close()

    # --- on the loop

    def _stop(self, grace_seconds: float | None, asked: str) -> None:
        self.look()
        grace = self._plan.grace_seconds if grace_seconds is None else max(0.0, grace_seconds)
        action = self._take("stop", asked)
        until = self._engine.clock.monotonic() + grace
        if action == "terminate":
            self._tree.terminate()
            self._arm(until, self._grace_tick)
        elif action == "shorten" and until < self._until:
            self._arm(until, self._grace_tick if self.running else self._clear_tick)

    def _kill(self) -> None:
        self.look()
        action = self._take("kill", "stopped")
        if action == "kill":
            self._cancel_timer()
            self._tree.kill()
        elif action == "end_rest":
            self._end_rest()

    def _signal(self, number: int) -> None:
        if self.running and not self._has_exited():
            self._tree.signal(number)

    def _take(self, event: str, asked: str = "") -> str:
        """The step is made; what to do about it."""
        before = self._phase
        self._phase, action = rules.step(before, event, self._plan.leave_rest)
        if asked and before is Phase.RUNNING and self._phase is not before:
            self._asked = asked
        return action

    def _wall_left(self) -> float:
        return self._plan.ends - self._engine.clock.monotonic()

    def _wall_step(self) -> float:
        return min(max(0.0, self._wall_left()), rules.TIMER_SECONDS_MAX)

    def _wall_tick(self) -> None:
        if self._phase is not Phase.RUNNING:
            return
        if self._wall_left() > 0:
            self._timer = self._engine.loop.call_later(self._wall_step(), self._wall_tick)
        else:
            self._stop(None, "timed_out")

    def _grace_tick(self) -> None:
        if self._due(self._grace_tick) and self._take("grace_over") == "kill":
            self._tree.kill()

    def _due(self, again: Callable[[], None]) -> bool:
        """The present wait is over; if not, it goes on."""
        left = self._until - self._engine.clock.monotonic()
        if left > 0:
            self._timer = self._engine.loop.call_later(min(left, rules.TIMER_SECONDS_MAX), again)
        return left <= 0

    def _arm(self, until: float, tick: Callable[[], None]) -> None:
        self._cancel_timer()
        self._until = until
        left = max(0.0, until - self._engine.clock.monotonic())
        self._timer = self._engine.loop.call_later(min(left, rules.TIMER_SECONDS_MAX), tick)

    def _has_exited(self) -> bool:
        """Asked of the kernel, because a loop may call for a descriptor that has just been closed and given out again."""
        if self._tree.ours:
            if not hasattr(os, "waitid"):         # no way to look without reaping
                self._reaped = self._reaped or _waited(self.pid)
                return self._reaped is not None
            return has_exited(self.pid)
        found = usage.stat(self.pid)
        return found is None or found.start_ticks != self.start_ticks or found.state in "ZX"

    def _gone(self) -> None:
        """The child has exited, and still has its number until it is reaped: only now is its group surely its own."""
        action = self._take("gone")
        if action == "end_rest":
            self._tree.end_rest()
        self._reap()
        if action == "watch_rest":
            self._clear()
        else:
            self._drain()

    def _reap(self) -> None:
        self._close_descriptor()
        self._engine.reaping(self)
        self._tree.ours = False
        pid, status, used = self._reaped or _waited(self.pid) or (0, 0, None)
        if pid == self.pid and used is not None:
            self._status = rules.code_and_signal(os.waitstatus_to_exitcode(status))
            self._cpu_seconds = used.ru_utime + used.ru_stime
            if used.ru_maxrss > self._rss_before:         # else it may be the node's own, taken over at the fork
                self._rss = max(self._rss, used.ru_maxrss * RSS_UNIT)

    def _clear(self) -> None:
        """The end of what is left is waited for: told by the kernel where it can, else asked for."""
        self._pause = rules.CLEAR_SECONDS_FIRST
        if not self._tree.rest_gone():
            self._rest = Rest(self._engine.loop, self._clear_tick)
            self._rest.watch(self._tree.rest())
        self._clear_tick()

    def _clear_tick(self) -> None:
        """The rest of a stopped run has what is left of the grace."""
        if self._phase is not Phase.CLEARING:
            return
        now = self._engine.clock.monotonic()
        if self._engine.leads(self.pid) or self._tree.rest_gone():         # its number leads another run: the group is gone
            self._take("rest_gone")
            self._drain()
        elif now >= self._until:
            self._take("grace_over")
            self._end_rest()
        else:
            self._cancel_timer()
            self._timer = self._engine.loop.call_later(min(self._pause, self._until - now), self._clear_tick)
            self._pause = min(self._pause * 2, rules.CLEAR_SECONDS_MAX)

    def _end_rest(self) -> None:
        self._tree.end_rest()
        self._drain()

    def _drain(self) -> None:
        """What stands in the pipes is read; the end comes with the pipes' end, or a little later without it."""
        self._close_rest()
        if not self.leave_rest:
            self._engine.end_rest(self._tree.mark)
        for capture in self._captures:
            capture.drain()
        if self._phase is Phase.DRAINING and not self._pipe_ended():
            self._arm(self._engine.clock.monotonic() + rules.DRAIN_SECONDS, self._drain_tick)

    def _drain_tick(self) -> None:
        if self._phase is Phase.DRAINING and self._due(self._drain_tick):
            for capture in self._captures:
                capture.drain()
            if self._take("drain_over") == "finish":
                self._finish()

    def _pipe_ended(self) -> bool:
        """A pipe has ended; True when that was the last thing waited for."""
        if any(capture.open for capture in self._captures):
            return False
        if self._phase is Phase.ENDED:            # left behind by a run that ended long ago
            self._remove_pipe()
            self._engine.lingered(self)
        elif self._take("drained") == "finish":
            self._finish()
        return True

    def _finish(self) -> None:
        self._cancel_timer()
        still_open = any(capture.open for capture in self._captures)
        ended = self._exit(still_open)
        if still_open and self.leave_rest and self.output is not None:
            self._engine.lingering(self)          # what was left behind may go on writing to its file
        else:
            for capture in self._captures:
                capture.close()
            self._remove_pipe()
        self._engine.ended(self, ended, self._on_exit, self._tree.group)

    def _exit(self, still_open: bool) -> Exit:
        code, signal = self._status
        group = self._tree.group
        sinks = {capture.stream: capture.sink for capture in self._captures}
        stdout, stderr = sinks.get("stdout"), sinks.get("stderr")
        grouped_seconds, grouped_bytes = (group.cpu_seconds(), group.memory_peak()) if group else (None, None)
        return Exit(
            pid=self.pid, label=self.label, code=code, signal=signal, reason=rules.reason(self._asked, code, signal),
            wall_seconds=max(0.0, self._engine.clock.monotonic() - self.began),
            cpu_seconds=self._cpu_seconds if grouped_seconds is None else grouped_seconds,
            rss_bytes_max=grouped_bytes or self._rss or None, output_open=still_open,
            stdout=stdout.value() if isinstance(stdout, Kept) else b"",
            stderr=stderr.value() if isinstance(stderr, Kept) else b"",
            stdout_bytes=stdout.came if stdout else 0, stderr_bytes=stderr.came if stderr else 0,
            stdout_truncated=bool(stdout and stdout.truncated), stderr_truncated=bool(stderr and stderr.truncated),
            output_bytes_lost=stdout.lost if isinstance(stdout, FileWriter) else 0,
            memory_limit_hit=group.memory_limit_hit() if group else False)

    def _remove_pipe(self) -> None:
        if self._pipe:
            with contextlib.suppress(OSError):
                os.unlink(self._pipe)
            self._pipe = ""

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_rest(self) -> None:
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def _close_descriptor(self) -> None:
        if self._descriptor >= 0:
            self._engine.loop.unwatch(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


RSS_UNIT = 1024 if os.uname().sysname != "Darwin" else 1          # of ru_maxrss (getrusage(2))


def _waited(pid: int) -> tuple[int, int, resource.struct_rusage | None] | None:
    """Number, status and use of our child that has exited, which is reaped by this; None while it runs.

    The number is 0 when it never was our child, or SIGCHLD is ignored: nobody knows how it ended.
    """
    try:
        found = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return 0, 0, None
    return found if found[0] == pid else None


def has_exited(pid: int) -> bool:
    """Our child has exited; it is left to be reaped.  Also true when there is nothing left to reap."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
