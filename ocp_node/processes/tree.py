"""Everything one start has brought to life: its process group, its cgroup, and whoever bears its mark."""

from __future__ import annotations

import os
import signal

from . import marks, usage
from .cgroup import Group


class Tree:
    """Sends signals to a whole run.  To be used on the loop, where nothing is reaped in between."""

    __slots__ = ("pid", "mark", "group", "ours", "_adopted", "_marks", "_told")

    def __init__(self, pid: int, mark: int, group: Group | None, given: marks.Marks, ours: bool) -> None:
        self.pid = pid
        self.mark = mark
        self.group = group
        self.ours = ours              # our own child, not yet reaped: until then its number is nobody else's
        self._adopted = not ours
        self._marks = given
        self._told: list[int] = []    # who was asked to end besides the child itself

    def terminate(self) -> None:
        """All have been asked to end; those that are stopped go on, so that they can."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        self._told = [pid for pid in self._known() if pid != self.pid]

    def signal(self, number: int) -> None:
        """All have been sent this signal: the group in one step, then those that left it."""
        strays = self._strays()
        self._signal_group(number)
        for pid in strays:
            send(pid, number)

    def kill(self) -> None:
        """All have been sent KILL, now and whatever they may have forked meanwhile."""
        strays = self._strays()
        self._signal_group(signal.SIGKILL)
        if self.group is not None:
            self.group.kill()
        for pid in strays:
            send(pid, signal.SIGKILL)

    def end_rest(self) -> None:
        """What the child left behind has been sent KILL: by its group while that number is surely its own, else by its mark."""
        if self.group is not None:
            self.group.kill()
        if self.ours or not self.mark:
            self._signal_group(signal.SIGKILL)
        else:
            for pid in self._marks.bearers(self.mark):
                send(pid, signal.SIGKILL)

    def rest_gone(self) -> bool:
        """Nobody is left of a run whose child has gone; those who died and became ours are reaped."""
        while reap(-self.pid):
            continue
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return self.group.empty() if self.group is not None else not self.rest()
        except OSError:               # EPERM: somebody is there, under another user
            return False
        if self._adopted and self.mark:                      # the dead among them are not ours to reap, and hold the group
            return not any(self._lives(pid) for pid in self._marks.bearers(self.mark))
        return False

    def rest(self) -> list[int]:
        """Who was asked to end and has not, as far as is known; those who died and became ours are reaped."""
        return [pid for pid in self._told if self._lives(pid)]

    def _lives(self, pid: int) -> bool:
        return marks.of(pid) == self.mark and not reap(pid) and usage.lives(pid)

    def pids(self) -> list[int]:
        """Who belongs to the run, as well as this system lets it be known.  From any thread."""
        if self.group is not None:
            return self.group.pids()
        if self.mark:
            return marks.by_mark(marks.every_other()).get(self.mark, [])
        stats = [one for pid in usage.every_pid() if (one := usage.stat(pid)) is not None]
        return usage.members(stats, self.pid)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except OSError:               # nobody there, or under another user
            return

    def _strays(self) -> list[int]:
        """Members that are in another process group."""
        return [pid for pid in self._known() if _group_of(pid) not in (0, self.pid)]

    def _known(self) -> list[int]:
        return self.group.pids() if self.group is not None else self._marks.bearers(self.mark)


def send(pid: int, number: int) -> bool:
    """The process was sent the signal; False when it is gone or not ours to signal."""
    if pid in (0, 1, os.getpid()):
        return False
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def reap(pid: int) -> bool:
    """The dead process is gone; False when it lives, or is not our child.  A negative number is any one of that group."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0
