"""The engine that starts, watches and stops child processes for every surface.

A thousand children cost no thread: the loop watches a pidfd and a pipe for each.  What a run needs is imported with the
first one, because a node must be ready before anything runs (`prepare` does it ahead of time).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..base.clock import Clock
from ..base.errors import Busy, Refusal
from ..base.ids import Ids
from ..base.log import Log
from ..base.loop import Loop
from . import rules
from .last_turns import LastTurns
from .poller import Poller
from .sweeper import Sweeper

if TYPE_CHECKING:
    from .capture import Capture, Sink
    from .cgroup import Group, Groups
    from .child import Child
    from .marks import Marks
    from .records import ChildRecord, Exit, Limits, Output, Start, Totals, Usage
    from .spawn import Account, Ends
    from .tree import Tree

TERM_SHARE = 0.8                  # of the time there is to stop all children; the rest is for KILL to work
LAST_TURN_SECONDS = 0.01
BOUND_ROUNDS = 4                  # a program that forks faster than it can be looked at is stopped by its limits, not by us
OnExit = Callable[["Exit"], None]
OnOutput = Callable[[str, bytes], None]


class Engine:
    """Children of this node.  `environment` is where PATH, HOME, LANG and TZ of a child come from, and nothing else.

    `cgroup_root` names a folder of cgroup v2 to divide, "" forbids it, None looks for one that was given to this node.
    """

    def __init__(self, loop: Loop, clock: Clock, log: Log, *, environment: Mapping[str, str] | None = None,
                 ids: Ids | None = None, stop_grace_seconds: float = rules.STOP_GRACE_SECONDS,
                 children_max: int = rules.CHILDREN_MAX, cgroup_root: str | None = None, use_pidfd: bool = True) -> None:
        self.loop: Loop = loop
        self.clock = clock
        self._log = log
        self._environment = dict(environment or {})
        self._ids = ids or Ids()
        self._grace_seconds = stop_grace_seconds
        self._children_max = children_max
        self._cgroup_root = cgroup_root
        self._use_pidfd = use_pidfd and hasattr(os, "pidfd_open")
        self._changed = threading.Condition()         # guards everything below
        self._children: dict[Child, None] = {}        # in the order of their start
        self._leaders: dict[int, Child] = {}          # by number, until they are reaped: then it may be given out again
        self._lingering: set[Child] = set()
        self._starting = 0
        self._telling = 0                             # ends that have happened, and whose caller is being told
        self._stopped = self._closed = False
        self._marks: Marks | None = None
        self._groups: Groups | None = None
        self._started = self._finished = self._refused = 0
        self._cpu_seconds = 0.0
        self._output_bytes = self._output_bytes_lost = 0
        self._sweeper = Sweeper(self)
        self._poller = Poller(self)

    # --- starting

    def prepare(self) -> Marks:
        """What the first start would have to load is loaded.  From any thread, any number of times."""
        if self._marks is None:
            import subprocess  # noqa: F401

            from . import bounds, capture, cgroup, child, kept, marks, orphans, outputfile, spawn, tree, usage  # noqa: F401
            with self._changed:
                if self._marks is None:
                    self._groups = cgroup.find(self._cgroup_root)
                    orphans.become_subreaper()
                    _heed_children(self._log)
                    self._marks = marks.Marks(int.from_bytes(self._ids.bytes(4), "big"), lambda: self.loop)
        return self._marks

    def start(self, start: Start, on_exit: OnExit, on_output: OnOutput | None = None) -> Child:
        """The program runs.  From any thread.

        `on_output(stream, bytes)` and then, once, `on_exit(exit)` are called on the loop; called from another thread, they may
        come before this returns.  `Refusal("cannot_start")` with a `why` in its detail when the program could not be
        started, `Busy` when too many run; then neither is ever called.
        """
        self._reserve()
        try:
            return self._start(start, on_exit, on_output)
        except Refusal:
            with self._changed:
                self._refused += 1
            raise
        finally:
            with self._changed:
                self._starting -= 1

    def _reserve(self) -> None:
        with self._changed:
            if self._stopped:
                raise rules.cannot_start("stopping", "the node is stopping")
            if len(self._children) + self._starting >= self._children_max:
                raise Busy("the process engine")
            self._starting += 1

    def _start(self, start: Start, on_exit: OnExit, on_output: OnOutput | None) -> Child:
        from . import orphans, spawn
        from .child import Child, Plan
        marks = self.prepare()
        rules.check_start(start.command, start.environment, start.stdin, start.stop_grace_seconds, start.wall_seconds)
        who = spawn.account(start.user)
        ends = spawn.open_ends(start, on_output is not None, who)
        rss_before = _own_rss()
        try:
            captures = self._captures(start.output, ends, on_output)
            tree = self._spawn(start, ends, who, marks)
        except BaseException:
            ends.close()
            raise
        ends.close_child()
        now = self.clock.monotonic()
        grace = self._grace_seconds if start.stop_grace_seconds is None else start.stop_grace_seconds
        plan = Plan(start.label, grace, now + start.wall_seconds if start.wall_seconds else 0.0, start.leave_rest,
                    start.output if start.output.kind == "file" else None)
        made = Child(self, plan, tree, orphans.start_ticks(tree.pid), self.clock.time(), captures, ends.pipe, on_exit)
        made.began_with(rss_before)
        self._admit(made)
        return made

    def _spawn(self, start: Start, ends: Ends, who: Account | None, marks: Marks) -> Tree:
        """The program runs in its group, under its limits."""
        from . import bounds, spawn
        from .tree import Tree
        environment = dict(start.environment)
        if not start.bare:
            environment = rules.base_environment(self._environment, who.home if who else "") | environment
        group = None
        if self._groups is not None:
            group = self._groups.make("run-" + self._ids.hex(16), rules.group_settings(start.limits))
        grouped = self._groups.controllers if self._groups is not None and group is not None else frozenset()
        by_shell = bounds.through_shell(who is not None, start.limits)
        ulimits = bounds.ulimits(start.limits, grouped, who.user_id if who else os.getuid()) if by_shell else ""
        try:
            pid, mark = spawn.run(start, ends, environment, who, marks, ulimits)
        except BaseException:
            if group is not None:
                group.remove()
            raise
        marks.repeat(pid, mark)
        tree = Tree(pid, mark, group, marks, ours=True)
        self._bound(start.limits, tree, grouped, not by_shell)
        return tree

    def _captures(self, output: Output, ends: Ends, on_output: OnOutput | None) -> list[Capture]:
        """What reads each pipe.  A file is opened with its first byte."""
        from .capture import Capture, Nowhere
        from .kept import Kept
        from .outputfile import FileWriter
        sink: Callable[[], Sink] = Nowhere
        if output.kind == "file":
            sink = partial(FileWriter.fresh, output.path, output.bytes_max, output.files_kept, self._log)
        elif output.kind == "memory":
            sink = partial(Kept, output.bytes_max, output.keep)
        return [Capture(self.loop, stream, descriptor, sink(), on_output) for stream, descriptor in ends.kept]

    def _bound(self, limits: Limits, tree: Tree, grouped: frozenset[str], set_now: bool) -> None:
        """The limits hold for the child, and for what it may have started in the moment before they were set."""
        from . import bounds
        from .marks import newer
        from .records import Limits
        weight = limits.cpu_weight if "cpu" not in grouped else 0
        pids, done = [tree.pid], {tree.pid}
        for _ in range(BOUND_ROUNDS):
            if tree.group is not None:
                for pid in pids:
                    tree.group.add(pid)
            if set_now:
                bounds.apply(pids, limits, grouped)
            if weight:
                bounds.weigh(pids, weight)
            plain = tree.group is None and limits == Limits()
            pids = [] if plain else [pid for pid in newer(tree.pid, tree.mark, done) if pid not in done]
            if not pids:
                return
            done.update(pids)

    def _admit(self, child: Child) -> None:
        """The child is one of ours, and watched."""
        with self._changed:
            self._children[child] = None
            self._leaders[child.pid] = child
            self._started += 1
        if self._marks is not None:
            self._marks.arrived(child.mark)
        self.loop.call_soon(partial(self._watch, child))
        self._sweeper.wake()

    def _watch(self, child: Child) -> None:
        """On the loop, where nothing else can happen to the child meanwhile."""
        if child in self._children and child.running:
            descriptor = self._pidfd(child.pid)
            child.begin(descriptor)
            if descriptor < 0:
                self._poller.add(child)

    def _pidfd(self, pid: int) -> int:
        if self._use_pidfd:
            try:
                return os.pidfd_open(pid)
            except OSError:                           # an old kernel, or no descriptor to be had: it is polled instead
                pass
        return -1

    # --- children of a node that died

    def foresee(self, label: str = "") -> ChildRecord | None:
        """The record of a run that is yet to be started, with its `mark` in the `Start`; None where the system keeps no marks.

        Stored before the start, it lets the next node end what is left of the run, whatever moment this node dies in.
        """
        from . import orphans
        from .records import ChildRecord
        mark = self.prepare().reserve()
        if not mark:
            return None
        return ChildRecord(pid=1, start_ticks=0, boot_id=orphans.boot_id(), started_at=self.clock.time(), label=label, mark=mark)

    def adopt(self, record: ChildRecord, on_exit: OnExit, on_output: OnOutput | None = None) -> Child | None:
        """The recorded child is watched again, its output goes on where it was; None when it no longer runs.

        It is seldom our child (an outer node may have been given it), so its exit code is mostly unknown (`lost`).
        A record that is adopted twice gives the same child.
        """
        from . import orphans
        from .cgroup import Group
        from .child import Child, Plan
        from .tree import Tree
        marks = self.prepare()
        if not orphans.still_running(record):
            return None
        with self._changed:
            known = self._leaders.get(record.pid)
        if known is not None and known.start_ticks == record.start_ticks:
            return known
        captures, pipe = self._captures_again(record.output, on_output)
        left = record.ends_at - self.clock.time()
        ends = self.clock.monotonic() + max(0.0, left) if record.ends_at else 0.0
        plan = Plan(record.label, record.stop_grace_seconds, ends, record.leave_rest, record.output)
        tree = Tree(record.pid, record.mark, Group(record.group) if record.group else None, marks, ours=False)
        made = Child(self, plan, tree, record.start_ticks, record.started_at, captures, pipe, on_exit)
        made.began_with(0, self.clock.time() - record.started_at)
        self._admit(made)
        if not orphans.still_running(record):         # it went in between, and its number may be another's: asked for once more
            self.loop.call_soon(made.look)
        return made

    def _captures_again(self, output: Output | None, on_output: OnOutput | None) -> tuple[list[Capture], str]:
        from . import orphans, spawn
        from .capture import Capture
        from .outputfile import FileWriter, OutputFile
        if output is None or output.kind != "file":
            return [], ""
        pipe = orphans.pipe_path(output.path)
        try:
            descriptor = spawn.open_again(pipe)
        except OSError:
            return [], ""
        writer = FileWriter(OutputFile.at(output.path), output.bytes_max, output.files_kept, self._log)
        return [Capture(self.loop, "stdout", descriptor, writer, on_output)], pipe

    def find(self, output: Output, label: str = "") -> ChildRecord | None:
        """The record of a run that writes to this file, when none was stored because the node died in between."""
        from . import marks, orphans
        from .records import ChildRecord
        pid = orphans.leader_of(orphans.pipe_path(output.path))
        if not pid:
            return None
        ticks = orphans.start_ticks(pid)
        started_at = max(0.0, self.clock.time() - orphans.age_seconds(ticks))
        return ChildRecord(pid=pid, start_ticks=ticks, boot_id=orphans.boot_id(), started_at=started_at, label=label,
                           mark=marks.of(pid), output=output, stop_grace_seconds=self._grace_seconds)

    def end_remains(self, record: ChildRecord) -> int:
        """Everything left of a recorded run was sent KILL; how many processes that were.  For a run that is not adopted."""
        from . import orphans, tree
        return sum(tree.send(pid, 9) for pid in orphans.remains(record))

    # --- what rooms ask

    def children(self) -> list[Child]:
        """All that have not ended, in the order of their start."""
        with self._changed:
            return list(self._children)

    def child(self, pid: int) -> Child | None:
        """The child of that number that has not exited."""
        with self._changed:
            return self._leaders.get(pid)

    def usages(self) -> dict[int, Usage]:
        """What every child uses, with one look at the system's processes.  Not for the loop."""
        from . import marks
        marked = marks.by_mark(marks.every_other())
        return {child.pid: used for child in self.children() if (used := child.usage(marked)) is not None}

    def totals(self) -> Totals:
        """Counters for the metrics."""
        from .records import Totals
        with self._changed:
            return Totals(running=len(self._children), started=self._started, finished=self._finished, refused=self._refused,
                          cpu_seconds=self._cpu_seconds, output_bytes=self._output_bytes,
                          output_bytes_lost=self._output_bytes_lost)

    def abilities(self) -> dict[str, str]:
        """Which limits this system holds, and for what: the `run` as a whole, each `process`, the `user`; "" is not at all."""
        marks = self.prepare()
        grouped = self._groups.controllers if self._groups is not None else frozenset()
        return {"memory": "run" if "memory" in grouped else "process", "cpu_seconds": "process", "file": "process",
                "cpu_percent": "run" if "cpu" in grouped else "", "processes": "run" if "pids" in grouped else "user",
                "descendants": "run" if self._groups is not None or marks.usable else ""}

    # --- stopping

    def stop_all(self, seconds: float, leave: Collection[str] = (), *, loop_ended: bool = False) -> list[str]:
        """Every child has ended and its caller was told, but for those labelled in `leave`; nothing is started any more.

        All get TERM at once, KILL after their grace or when most of `seconds` is over; the labels of those that even so
        have not ended come back.  Not to be called on the loop, which does the work; once that has ended, say so.
        """
        with self._changed:
            self._stopped = True
            going = [child for child in reversed(self._children) if child.label not in leave]
        if loop_ended:
            self.loop = LastTurns(self.loop)
        for child in going:
            child.stop()
        self._wait(going, seconds * TERM_SHARE)
        for child in going:
            child.kill()
        self._wait(going, seconds * (1 - TERM_SHARE))
        self._sweeper.last()
        with self._changed:
            return [child.label for child in going if child in self._children]

    def _wait(self, going: list[Child], seconds: float) -> None:
        """All these have ended and were told of, or the time is over."""
        def done() -> bool:
            return not self._telling and self._children.keys().isdisjoint(going)

        turns = self.loop if isinstance(self.loop, LastTurns) else None
        rounds = 1 if turns is None else max(1, round(seconds / LAST_TURN_SECONDS))
        for count in range(rounds):
            if turns is not None:
                turns.turn(LAST_TURN_SECONDS)
                for child in self.children():
                    child.turn(last=count == rounds - 1)
                turns.turn(0.0)
            with self._changed:
                if self._changed.wait_for(done, seconds / rounds):
                    return

    def close(self) -> None:
        """Nothing is watched or held any more.  What still runs goes on by itself, but nothing that a run which has ended left.

        After the loop has stopped, or on it.
        """
        with self._changed:
            self._stopped = self._closed = True
            left = [*self._children, *self._lingering]
            self._children.clear()
            self._leaders.clear()
            self._lingering.clear()
        self._sweeper.last()
        self._sweeper.close()
        self._poller.close()
        for child in left:
            child.release()
        if self._groups is not None:
            self._groups.close()

    # --- told by a child, on the loop

    def reaping(self, child: Child) -> None:
        """The child has exited; its number is free again after this."""
        self._poller.forget(child)
        with self._changed:
            if self._leaders.get(child.pid) is child:
                del self._leaders[child.pid]

    def leads(self, pid: int) -> bool:
        """The process is a child whose exit is still to be taken note of."""
        return pid in self._leaders

    def starting(self, mark: int) -> bool:
        """A child of ours with this mark is about to be known."""
        return self._marks is not None and self._marks.starting(mark)

    def gave(self, mark: int) -> bool:
        """The mark is one of ours."""
        return self._marks is not None and self._marks.gave(mark)

    @property
    def closed(self) -> bool:
        return self._closed

    def lingering(self, child: Child) -> None:
        """Its run has ended, but what it left behind still writes."""
        self._lingering.add(child)

    def lingered(self, child: Child) -> None:
        self._lingering.discard(child)

    def end_rest(self, mark: int) -> None:
        """Whoever still bears this mark, wherever it went, is to be ended."""
        self._sweeper.end_rest(mark)

    def ended(self, child: Child, how: Exit, on_exit: OnExit, group: Group | None) -> None:
        """The run is over: counted, cleaned up after, and told."""
        with self._changed:
            self._children.pop(child, None)
            self._telling += 1
            self._finished += 1
            self._cpu_seconds += how.cpu_seconds or 0.0
            self._output_bytes += how.stdout_bytes + how.stderr_bytes
            self._output_bytes_lost += how.output_bytes_lost
        if group is not None:
            self._sweeper.remove(group)
        self.loop.call_soon(partial(self._tell, on_exit, how))

    def _tell(self, on_exit: OnExit, how: Exit) -> None:
        try:
            on_exit(how)
        finally:
            with self._changed:
                self._telling -= 1
                self._changed.notify_all()


def _own_rss() -> int:
    """The most memory this process has held, in the kernel's unit: what a child is counted with from its fork."""
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _heed_children(log: Log) -> None:
    """A node started with SIGCHLD ignored would never learn an exit code, and its children would inherit that."""
    import signal
    if signal.getsignal(signal.SIGCHLD) != signal.SIG_IGN:
        return
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    else:
        log.warning("processes.exits_unknown", reason="SIGCHLD is ignored")
