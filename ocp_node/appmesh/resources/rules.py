"""Texts of the kernel, read (proc(5), cgroups(7))."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

ARCHITECTURES: Mapping[str, str] = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i386": "386",
                                    "i686": "386"}
SYSTEMS: Mapping[str, str] = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}


def meminfo(text: str) -> dict[str, int]:
    """The members of /proc/meminfo in bytes."""
    made = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            made[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return made


def processors(text: str) -> tuple[int, int]:
    """Sockets and cores that /proc/cpuinfo tells of; 0 where it does not."""
    sockets: set[str] = set()
    cores: set[tuple[str, str]] = set()
    physical = ""
    for line in text.splitlines():
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "physical id":
            physical = value
            sockets.add(value)
        elif name == "core id":
            cores.add((physical, value))
    return len(sockets), len(cores)


def quota_v2(text: str) -> float:
    """Cores that `cpu.max` allows; 0 is no bound."""
    words = text.split()
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or words[1] == "0":
        return 0.0
    return int(words[0]) / int(words[1])


def disks(text: str) -> Iterator[tuple[str, str]]:
    """Device and mount point of each local disk in /proc/mounts, each device once."""
    seen: set[str] = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or not words[0].startswith("/dev/") or words[0].startswith("/dev/loop") or words[0] in seen:
            continue
        seen.add(words[0])
        yield words[0], words[1].replace("\\040", " ").replace("\\011", "\t")


def number(text: str) -> int | None:
    """A count of bytes; None for `max` and for what is none."""
    return int(text) if text.strip().isdigit() else None
