"""A group of its own for each run (Linux cgroup v2), where the node may make one: limits for the run as a whole, and an end
that nothing escapes.

The node uses the folder it is told, or its own group when that was delegated to it (systemd `Delegate=yes`), or the root of
its view (a container).  Anything that fails leaves a run without a group, never without a start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .usage import read_bytes

CONTROLLERS = ("memory", "cpu", "pids")
KILL_ROUNDS = 16                  # where the kernel has no cgroup.kill: looks at a group that forks while it is killed


def parse_mounts(text: str) -> str:
    """Where the version 2 hierarchy is mounted, of `/proc/self/mounts`; "" when nowhere."""
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] == "cgroup2":
            return fields[1].replace("\\040", " ")
    return ""


def parse_own(text: str) -> str:
    """The path of a process's version 2 group, of `/proc/<pid>/cgroup`; "" when it has none."""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::/")), "")


def parse_keyed(text: str) -> dict[str, int]:
    """The numbers of a flat keyed file such as `cpu.stat`; lines that are none are left out."""
    pairs = (line.split(" ", 1) for line in text.splitlines() if " " in line)
    return {name: int(value) for name, value in pairs if value.isdigit()}


class Group:
    """One run's group; an object is only its folder."""

    __slots__ = ("folder",)

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add(self, pid: int) -> bool:
        """The process, and what it starts from now on, is in the group."""
        return write(f"{self.folder}/cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Who is in the group, as far as one page of the kernel shows."""
        return [int(line) for line in (read_bytes(f"{self.folder}/cgroup.procs") or b"").split() if line.isdigit()]

    def empty(self) -> bool:
        """Nothing alive is in the group."""
        return parse_keyed(self._text("cgroup.events")).get("populated", 0) == 0

    def kill(self) -> None:
        """Everything in the group has been sent KILL."""
        if write(f"{self.folder}/cgroup.kill", "1"):
            return
        import signal
        for _ in range(KILL_ROUNDS):
            pids = [pid for pid in self.pids() if pid not in (0, os.getpid())]
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    continue
            if not pids:
                return

    def cpu_seconds(self) -> float | None:
        """Processor time of all that was ever in the group."""
        microseconds = parse_keyed(self._text("cpu.stat")).get("usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def memory_peak(self) -> int | None:
        """The most memory the group has held at one time."""
        text = self._text("memory.peak").strip()
        return int(text) if text.isdigit() else None

    def memory_limit_hit(self) -> bool:
        """The kernel has ended something in the group for its memory."""
        return parse_keyed(self._text("memory.events")).get("oom_kill", 0) > 0

    def remove(self) -> bool:
        """The group is gone; False while something is still in it."""
        try:
            os.rmdir(self.folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _text(self, name: str) -> str:
        return (read_bytes(f"{self.folder}/{name}") or b"").decode("ascii", "replace")


class Groups:
    """The node's folder of groups and what it can limit there."""

    def __init__(self, folder: str, controllers: frozenset[str]) -> None:
        self.folder = folder
        self.controllers = controllers

    def make(self, name: str, settings: Mapping[str, str]) -> Group | None:
        """A new group with these settings, as far as the controllers reach; None when there can be none."""
        group = Group(f"{self.folder}/{name}")
        try:
            os.mkdir(group.folder)
        except OSError:
            return None
        for file, text in settings.items():
            if file.split(".", 1)[0] in self.controllers and not write(f"{group.folder}/{file}", text):
                if file in REQUIRED:
                    group.remove()
                    return None
        return group

    def close(self) -> None:
        """The folder is gone when nothing is in it."""
        Group(self.folder).remove()


REQUIRED = frozenset({"memory.max", "cpu.max", "pids.max"})       # memory.swap.max is missing where swap is not accounted


def write(path: str, text: str) -> bool:
    """The kernel took this text.  The file must exist: making one would only ever happen outside a cgroup file system."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode("ascii"))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def find(root: str | None = None) -> Groups | None:
    """The node's folder of groups, made now; `root` names where, "" forbids it, None looks for a place that is ours to use."""
    place = _place() if root is None else root
    if not place or not os.access(f"{place}/cgroup.procs", os.W_OK):
        return None
    _remove_abandoned(place)
    folder = f"{place}/ocp-{os.getpid()}"
    _free_place(place)
    for controller in CONTROLLERS:
        write(f"{place}/cgroup.subtree_control", "+" + controller)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return None
    for controller in CONTROLLERS:
        write(f"{folder}/cgroup.subtree_control", "+" + controller)
    enabled = (read_bytes(f"{folder}/cgroup.subtree_control") or b"").decode("ascii", "replace").split()
    return Groups(folder, frozenset(enabled))


def _place() -> str:
    """Our own group, when it was given to us to divide; "" when it was not."""
    mount = parse_mounts((read_bytes("/proc/self/mounts", 1 << 20) or b"").decode("utf-8", "replace"))
    own = parse_own((read_bytes("/proc/self/cgroup") or b"").decode("utf-8", "replace"))
    if not mount or not own:
        return ""
    place = mount.rstrip("/") + own.rstrip("/")
    return place if own == "/" or _delegated(place) else ""


def _delegated(place: str) -> bool:
    """systemd names the groups it has given away; in any other it stays the one writer."""
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(place, name) == b"1":
                return True
        except (OSError, AttributeError):
            continue
    return False


def _free_place(place: str) -> None:
    """A group with processes in it cannot be divided, so the node moves into a leaf, if it is alone here."""
    if Group(place).pids() == [os.getpid()]:
        leaf = Group(f"{place}/node")
        try:
            os.makedirs(leaf.folder, exist_ok=True)
        except OSError:
            return
        leaf.add(os.getpid())


def _remove_abandoned(place: str) -> None:
    """Folders of nodes that died are gone, but for those with something alive in them."""
    for name in _folders(place):
        if name.startswith("ocp-") and name[4:].isdigit() and not os.path.exists(f"/proc/{name[4:]}"):
            for child in _folders(f"{place}/{name}"):
                Group(f"{place}/{name}/{child}").remove()
            Group(f"{place}/{name}").remove()


def _folders(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
