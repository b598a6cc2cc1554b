"""One application in memory: its definition, its phase, its present and last run.  Changed on the loop only."""

from __future__ import annotations

from typing import Any

from . import program as programs
from .program import Program
from .rules import Phase


class Run:
    """One run.  `path` is its output; `child` is there while it runs."""

    __slots__ = ("id", "app", "path", "process_key", "started_at", "child", "ended", "code", "killed", "early", "reason",
                 "wall_seconds", "sample", "used", "adopted")

    def __init__(self, run_id: str, app: App, path: str, process_key: str, started_at: float,
                 wall_seconds: float | None = None) -> None:
        self.id = run_id
        self.app = app
        self.path = path
        self.process_key = process_key
        self.started_at = started_at
        self.wall_seconds = wall_seconds       # then it is ended; None is never
        self.child: Any = None
        self.ended = False
        self.code: int | None = None
        self.killed = False                    # this node asked it to end
        self.early: Any = None                 # its exit, told before its start was
        self.reason = ""                       # why this node asked
        self.sample: tuple[float, float] | None = None     # when and how much processor time was last read
        self.used: tuple[float, dict[str, Any]] | None = None      # when was looked, and what its processes used
        self.adopted = False

    @property
    def finished(self) -> bool:
        return self.ended


class App:
    """A program under supervision; `once` for one that was made by run and is never stored."""

    __slots__ = ("program", "sec_env", "phase", "run", "outputs", "starts", "health", "facts", "due", "short_runs", "timer",
                 "closing", "checking", "check_timer",
                 "after", "then", "removed", "once", "start_error", "delete_timer", "wall_seconds")

    def __init__(self, program: Program, sec_env: str = "", *, once: bool = False) -> None:
        self.program = program
        self.sec_env = sec_env                 # sealed
        self.phase = Phase.IDLE
        self.run: Run | None = None            # the present run, or the last one
        self.outputs: list[str] = []           # files of its runs, newest first
        self.starts = 0
        self.health = 1
        self.facts: dict[str, Any] = {}        # return_code last_start_time last_exit_time last_error: kept over a restart
        self.due: float | None = None          # of the planned start, by the wall clock
        self.short_runs = 0
        self.timer: Any = None                 # of the planned start
        self.closing: Any = None               # of the end of its time range
        self.check_timer: Any = None
        self.delete_timer: Any = None
        self.checking = False
        self.after: App | None = None          # an older definition whose run must end first
        self.then: App | None = None           # the newer definition that waits for this one's end
        self.removed = False
        self.once = once
        self.start_error = ""                  # why the last start failed
        self.wall_seconds: float | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def topic(self) -> str:
        """What stirs when its phase changes."""
        return f"appmesh.app:{self.program.name}"

    @property
    def busy(self) -> bool:
        """Between two phases: a start or an end is on its way."""
        return self.phase in (Phase.STARTING, Phase.STOPPING) or self.after is not None

    @property
    def running(self) -> bool:
        return self.phase in (Phase.RUNNING, Phase.STOPPING) and self.run is not None and self.run.child is not None

    def cancel(self) -> None:
        """Nothing is planned any more."""
        for timer in (self.timer, self.closing, self.check_timer, self.delete_timer):
            if timer is not None:
                timer.cancel()
        self.timer = self.closing = self.check_timer = self.delete_timer = None
        self.due = None

    def shown(self) -> dict[str, Any]:
        """The application without what must be asked of the kernel."""
        made = {**programs.shown(self.program), "health": self.health, "starts": self.starts}
        for name in ("return_code", "last_error"):
            if self.facts.get(name) not in (None, ""):
                made[name] = self.facts[name]
        for name in ("last_start_time", "last_exit_time"):
            made.update(programs.timed(name, self.facts.get(name)))
        if self.due is not None:
            made.update(programs.timed("next_start_time", self.due))
        if self.outputs:
            made["stdout_cache_size"] = len(self.outputs)
        run = self.run
        if self.running and run is not None:
            made.update(pid=run.child.pid, task_id=0, task_status="")
        return made
