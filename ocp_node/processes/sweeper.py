"""Processes that left the group they were started in: found by their mark, reaped when they are dead, ended with their run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from . import rules

if TYPE_CHECKING:
    from ..base.loop import Timer
    from .cgroup import Group
    from .engine import Engine


class Sweeper:
    """Looks at the system's processes: soon after an end, else seldom, and only while there are children.

    The node takes orphans of its children over (`orphans.become_subreaper`), so it has to reap them; what is not marked as
    ours is left alone, unless it has been dead for a minute and nobody in this process has waited for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._timer: Timer | None = None
        self._soon = False
        self._looking: Iterator[int] | None = None
        self._ended: dict[int, int] = {}              # marks of ended runs: how many looks without a find they still get
        self._found: set[int] = set()
        self._groups: list[Group] = []                # of ended runs, to be removed once they are empty
        self._zombie = (0, 0.0)

    def wake(self) -> None:
        """There are children.  From any thread."""
        if self._timer is None:
            self._engine.loop.call_soon(self._rest)

    def soon(self) -> None:
        """There may be something to find."""
        if not self._soon:
            self._soon = True
            self._arm(rules.SWEEP_SOON_SECONDS)

    def end_rest(self, mark: int) -> None:
        """The run is over for whoever bears this mark."""
        if mark:
            self._ended[mark] = rules.FORGET_SWEEPS
            self.soon()

    def remove(self, group: Group) -> None:
        """The group goes as soon as nothing is in it."""
        if not group.remove():
            self._groups.append(group)
            self.soon()

    def close(self) -> None:
        """No look is taken any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._looking = None

    def last(self) -> None:
        """What is left of ended runs was sent KILL once more, now.  From any thread, when no loop will look again."""
        from . import marks, tree
        ended = set(self._ended)
        for mark, pids in marks.by_mark(marks.every_other()).items() if ended else ():
            for pid in pids if mark in ended else ():
                tree.send(pid, 9)

    def _rest(self) -> None:
        if self._timer is None and not self._engine.closed:
            self._arm(rules.SWEEP_SECONDS)

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._engine.loop.call_later(seconds, self._begin)

    def _begin(self) -> None:
        from . import marks
        self._timer, self._soon = None, False
        self._found.clear()
        self._looking = iter(marks.every_other())
        self._slice()

    def _slice(self) -> None:
        """A few processes are looked at; the loop has time for others in between."""
        if self._looking is None:
            return
        pids = list(islice(self._looking, rules.SWEEP_SLICE))
        for pid in pids:
            self._meet(pid)
        if len(pids) == rules.SWEEP_SLICE:
            self._engine.loop.call_soon(self._slice)
        else:
            self._looking = None
            self._conclude()

    def _meet(self, pid: int) -> None:
        from . import marks, tree
        mark = marks.of(pid)
        if not mark or self._engine.starting(mark) or self._engine.leads(pid):       # in this order: one follows the other
            return
        if mark in self._ended:
            if not tree.reap(pid):
                tree.send(pid, 9)
            self._found.add(mark)
        elif self._engine.gave(mark):
            tree.reap(pid)

    def _conclude(self) -> None:
        self._reap_unmarked()
        for mark, left in list(self._ended.items()):
            if mark in self._found:
                self._ended[mark] = rules.FORGET_SWEEPS
            elif left > 1:
                self._ended[mark] = left - 1
            else:
                del self._ended[mark]
        self._groups = [group for group in self._groups if not self._removed(group)]
        if self._ended or self._groups:
            self.soon()
        elif self._engine.children():
            self._rest()

    @staticmethod
    def _removed(group: Group) -> bool:
        group.kill()
        return group.remove()

    def _reap_unmarked(self) -> None:
        from . import tree
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (ChildProcessError, AttributeError):
            return
        pid = found.si_pid if found is not None else 0
        now = self._engine.clock.monotonic()
        if not pid or self._engine.leads(pid) or pid != self._zombie[0]:
            self._zombie = (pid, now)
        elif now - self._zombie[1] >= rules.ZOMBIE_SECONDS:
            tree.reap(pid)

