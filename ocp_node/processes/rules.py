"""What the engine decides, without clock or kernel: the steps of a run, how an end is worded, which limits are set."""

from __future__ import annotations

import enum
import errno
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..base.errors import Refusal

if TYPE_CHECKING:
    from .records import Limits

STOP_GRACE_SECONDS = 10.0         # between TERM and KILL, where neither setting nor start names another
CHILDREN_MAX = 4096               # at one time; each costs up to four descriptors
DRAIN_SECONDS = 1.0               # for the last output, when something else still holds the pipe after the run's end
TIMER_SECONDS_MAX = 60.0          # a far deadline is reached in steps: a cancelled timer stays in the loop until it is due
CLEAR_SECONDS_FIRST = 0.01        # how soon to ask again whether the rest of a stopped group is gone; doubled each time
CLEAR_SECONDS_MAX = 0.25
POLL_SECONDS = 0.02               # where the kernel cannot tell of an exit: how soon to ask while something happens ...
POLL_SECONDS_QUIET = 0.25         # ... and once nothing has happened for a while
POLL_BUSY_SECONDS = 2.0
SWEEP_SECONDS = 10.0              # how often to look for processes that left their group, while children run
SWEEP_SOON_SECONDS = 0.1          # after an end; many ends share one look
SWEEP_SLICE = 128                 # processes looked at in one turn of the loop: about 0.3 ms
FORGET_SWEEPS = 2                 # looks without a find, after which an ended run can have nothing left
ZOMBIE_SECONDS = 60.0             # a dead process that was handed to us, and that nobody waits for, is reaped after this
READ_BYTES = 65_536               # of one child in one turn of the loop
FLOOD_BYTES = 67_108_864          # of one stream, after which it counts as a flood: it may burn neither the node nor the machine
READ_TURNS_MAX = 16               # full reads of a flood in a row, after which the child waits for PAUSE_SECONDS
PAUSE_SECONDS = 0.01
COMMAND_WORDS_MAX = 4096
COMMAND_BYTES_MAX = 1_048_576     # words and environment together; Linux takes 2 MiB at most
STDIN_BYTES_MAX = 16_777_216


class Phase(enum.Enum):
    """Where a run is."""
    RUNNING = "running"
    STOPPING = "stopping"         # TERM was sent to all of it, the grace runs
    KILLING = "killing"           # KILL was sent to all of it
    CLEARING = "clearing"         # the child itself has gone; what it started has the rest of the grace
    DRAINING = "draining"         # the last output is read
    ENDED = "ended"


STEPS: Mapping[tuple[Phase, str], tuple[Phase, str]] = {
    (Phase.RUNNING, "stop"): (Phase.STOPPING, "terminate"),
    (Phase.RUNNING, "kill"): (Phase.KILLING, "kill"),
    (Phase.RUNNING, "gone"): (Phase.DRAINING, "end_rest"),
    (Phase.STOPPING, "stop"): (Phase.STOPPING, "shorten"),
    (Phase.STOPPING, "kill"): (Phase.KILLING, "kill"),
    (Phase.STOPPING, "grace_over"): (Phase.KILLING, "kill"),
    (Phase.STOPPING, "gone"): (Phase.CLEARING, "watch_rest"),
    (Phase.KILLING, "kill"): (Phase.KILLING, "kill"),
    (Phase.KILLING, "gone"): (Phase.DRAINING, "end_rest"),
    (Phase.CLEARING, "stop"): (Phase.CLEARING, "shorten"),
    (Phase.CLEARING, "kill"): (Phase.DRAINING, "end_rest"),
    (Phase.CLEARING, "grace_over"): (Phase.DRAINING, "end_rest"),
    (Phase.CLEARING, "rest_gone"): (Phase.DRAINING, "drain"),
    (Phase.DRAINING, "drained"): (Phase.ENDED, "finish"),
    (Phase.DRAINING, "drain_over"): (Phase.ENDED, "finish"),
}
EVENTS = ("stop", "kill", "gone", "grace_over", "rest_gone", "drained", "drain_over")
ALIVE = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.KILLING})       # the child itself has not exited yet


def step(phase: Phase, event: str, leave_rest: bool = False) -> tuple[Phase, str]:
    """The next phase and what to do.  An event that comes too late changes nothing: exits, timers and callers race.

    A run that ends by itself takes what it started with it, unless it was started to leave that behind.
    """
    after, action = STEPS.get((phase, event), (phase, ""))
    if leave_rest and phase is Phase.RUNNING and event == "gone":
        action = "drain"
    return after, action


def reason(asked: str, code: int | None, signal: int | None) -> str:
    """Why a run ended: `timed_out` or `stopped` when we made it, else what became of the child; `lost` when nobody knows."""
    if asked:
        return asked
    if signal is not None:
        return "signalled"
    return "exited" if code is not None else "lost"


def code_and_signal(status: int) -> tuple[int | None, int | None]:
    """The parts of what `os.waitstatus_to_exitcode` gives: a code, or the signal that ended the process."""
    return (None, -status) if status < 0 else (status, None)


def exit_number(code: int | None, signal: int | None) -> int | None:
    """The one number a shell shows: the code, or 128 and the signal; None when unknown."""
    return 128 + signal if signal is not None else code


# --- what a child is given

PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_environment(given: Mapping[str, str], home: str = "") -> dict[str, str]:
    """The few variables every program may expect; nothing else of the node's own environment reaches a child."""
    base = {"PATH": given.get("PATH") or PATH_DEFAULT, "HOME": home or given.get("HOME") or "/",
            "LANG": given.get("LANG") or "C.UTF-8"}
    return base | {"TZ": given["TZ"]} if given.get("TZ") else base


def check_start(command: Iterable[str], environment: Mapping[str, str], stdin: bytes, stop_grace_seconds: float | None,
                wall_seconds: float | None) -> None:
    """The parts of a start can be handed to a kernel at all; `Refusal("cannot_start")` names what cannot."""
    words = list(command)
    if not words or not words[0]:
        raise cannot_start("bad_command", "the command is empty")
    texts = [*words, *environment, *environment.values()]
    if len(words) > COMMAND_WORDS_MAX or sum(map(len, texts)) > COMMAND_BYTES_MAX:
        raise cannot_start("bad_command", "the command and its environment are too long")
    if any("\0" in text or not _encodable(text) for text in texts):
        raise cannot_start("bad_command", "the command or its environment holds a character that cannot be passed to a program")
    if any(not name or "=" in name for name in environment):
        raise cannot_start("bad_command", "the environment holds a name that is empty or has '='")
    if len(stdin) > STDIN_BYTES_MAX:
        raise cannot_start("bad_command", f"the standard input is longer than {STDIN_BYTES_MAX} bytes")
    for seconds in (stop_grace_seconds, wall_seconds):
        if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
            raise cannot_start("bad_command", "a time limit is not a number of seconds")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


# --- why a child could not be started

def cannot_start(why: str, text: str) -> Refusal:
    """The refusal of a start: `why` is a stable word for programs, `text` a sentence for people."""
    return Refusal("cannot_start", text, {"why": why})


_WORDS: Mapping[int, tuple[str, str]] = {
    errno.ENOENT: ("not_found", "command file {program} does not exist"),
    errno.ENOTDIR: ("not_found", "command file {program} does not exist"),
    errno.EACCES: ("not_executable", "command file {program} does not have execution permission"),
    errno.EISDIR: ("not_executable", "command file {program} does not have execution permission"),
    errno.EPERM: ("not_permitted", "the system does not permit to start {program}"),
    errno.ENOEXEC: ("unusable_format", "command file {program} is not a program of this system"),
    errno.ELOOP: ("not_found", "command file {program} is a loop of links"),
    errno.ENAMETOOLONG: ("not_found", "the name of the command file is too long"),
    errno.ETXTBSY: ("not_executable", "command file {program} is being written"),
    errno.E2BIG: ("bad_command", "the command and its environment are too long"),
    errno.EAGAIN: ("too_many_processes", "the system's limit of processes is reached"),
    errno.ENOMEM: ("no_memory", "there is not enough memory to start a process"),
    errno.EMFILE: ("too_many_files", "the node has too many open files to start a process"),
    errno.ENFILE: ("too_many_files", "the system has too many open files to start a process"),
    errno.ENOSPC: ("no_space", "there is no space left to keep the output"),
    errno.EROFS: ("no_space", "the folder for the output cannot be written"),
}


def start_fault(number: int | None, program: str) -> Refusal:
    """What a failed start is called; a number we do not know is still not quoted in the system's own words."""
    why, text = _WORDS.get(number or 0, ("failed", "{program} could not be started"))
    return cannot_start(why, text.format(program=program))


# --- limits

def rlimits(limits: Limits, memory_grouped: bool) -> list[tuple[str, int]]:
    """Names and values of the kernel's limits for each process; memory only where no group of processes holds it as a whole.

    Never a core file: it would hold every secret the program was given.
    """
    wanted = [("RLIMIT_CORE", 0)]
    address = limits.address_space_bytes or (0 if memory_grouped else limits.memory_bytes)
    for name, value in (("RLIMIT_AS", address), ("RLIMIT_CPU", math.ceil(limits.cpu_seconds)),
                        ("RLIMIT_FSIZE", limits.file_bytes), ("RLIMIT_NOFILE", limits.open_files)):
        if value > 0:
            wanted.append((name, value))
    return wanted


def group_settings(limits: Limits) -> dict[str, str]:
    """File names and texts for the group of a run (Linux cgroup v2).

    Memory counts without swap and the whole group dies together: half a program that lost a part is worse than none.
    """
    settings: dict[str, str] = {}
    if limits.memory_bytes:
        settings |= {"memory.max": str(limits.memory_bytes), "memory.swap.max": "0", "memory.oom.group": "1"}
    if limits.cpu_percent:
        settings["cpu.max"] = f"{max(1000, round(limits.cpu_percent * 1000))} 100000"
    if limits.cpu_weight:
        settings["cpu.weight"] = str(limits.cpu_weight)
    if limits.processes_max:
        settings["pids.max"] = str(limits.processes_max)
    return settings


def nice_of_weight(weight: int) -> int:
    """The nearest nice value to a share of the processor (100 is the ordinary one): a step of nice is a quarter more or less."""
    return max(-20, min(19, -round(math.log(max(1, weight) / 100) / math.log(1.25))))


# --- output

def whole_characters(data: bytes) -> int:
    """How many bytes of `data` to take so that no UTF-8 character is cut at its end; bytes that are no text are all taken."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return len(data) - back if length > back else len(data)
    return len(data)


def first_character(data: bytes) -> int:
    """How many bytes at the start of `data` are the rest of a character that was cut; at most three."""
    count = 0
    while count < min(3, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count


def cut_marker(count: int) -> bytes:
    """What stands in kept output in place of `count` bytes."""
    return b"\n[%d bytes left out]\n" % count
