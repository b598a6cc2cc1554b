"""What is handed to the engine and what comes back.  Imported with the first start, not with the node."""

from __future__ import annotations

from typing import NamedTuple

from ..base.records import record, wire
from . import rules


@record
class Limits:
    """Bounds of a run; 0 is none.  What the system cannot hold is left out: `Engine.abilities()` says what it can."""
    memory_bytes: int = wire(default=0, minimum=0)          # of the whole run in a cgroup, else address space of each process
    address_space_bytes: int = wire(default=0, minimum=0)   # of each process
    cpu_seconds: float = wire(default=0.0, minimum=0)       # of each process
    cpu_percent: float = wire(default=0.0, minimum=0)       # of one core, the whole run; cgroup only
    cpu_weight: int = wire(default=0, minimum=0, maximum=10_000)      # share under contention, 100 is ordinary; else a nice value
    processes_max: int = wire(default=0, minimum=0)         # of the whole run in a cgroup, else what its user may add
    file_bytes: int = wire(default=0, minimum=0)            # of each file that is written
    open_files: int = wire(default=0, minimum=0)            # of each process


@record
class Output:
    """Where output goes.

    `memory`: up to `bytes_max` of each stream come back with the exit; `keep` is `ends` (first and last half, a line between
    them says how much is missing) or `head`.  `file`: both streams in write order into `path`, mode 0600, `bytes_max` a file;
    of several files the oldest is dropped, a single one is closed with a last line that says so.  `none`: nowhere.
    """
    kind: str = wire(default="memory", choices=("memory", "file", "none"))
    bytes_max: int = wire(default=1_048_576, minimum=1024)
    merged: bool = False                                    # memory only: stderr into stdout, in write order
    keep: str = wire(default="ends", choices=("ends", "head"))
    path: str = wire(default="", length_max=4096)           # one run, one path
    files_kept: int = wire(default=1, minimum=1, maximum=1000)


NOWHERE = Output(kind="none")


@record
class Start:
    """One run, as it is asked for."""
    command: list[str]
    cwd: str = ""                                           # "" is the root folder
    environment: dict[str, str] = wire(factory=dict)        # over PATH HOME LANG TZ, unless `bare`
    bare: bool = False                                      # nothing but `environment`
    stdin: bytes = b""
    output: Output = wire(factory=Output)
    wall_seconds: float | None = None                       # then it is stopped, as `timed_out`
    limits: Limits = wire(factory=Limits)
    user: str = ""                                          # "" is the node's own
    umask: int = 0o077
    stop_grace_seconds: float | None = None
    leave_rest: bool = False                                # what it started may outlive it when it ends by itself
    label: str = ""                                         # names the run to the caller and in the log
    mark: int = 0                                           # of `Engine.foresee`; 0: any


@record
class Exit:
    """How a run ended.  All output that could be had is in here or in its file."""
    pid: int
    label: str
    code: int | None                                        # None: ended by a signal, or unknown
    signal: int | None
    reason: str                                             # exited signalled timed_out stopped lost
    wall_seconds: float
    cpu_seconds: float | None = None                        # of the child and what it waited for; of the whole run in a cgroup
    rss_bytes_max: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_bytes: int = 0                                   # how many came, kept or not
    stderr_bytes: int = 0
    stdout_truncated: bool = False                          # a file: not all that came was written, or is still kept
    stderr_truncated: bool = False
    output_bytes_lost: int = 0                              # the disk would not take them
    output_open: bool = False                               # something that outlived the run still held the pipe
    memory_limit_hit: bool = False                          # cgroup only

    @property
    def number(self) -> int | None:
        """The number a shell would show."""
        return rules.exit_number(self.code, self.signal)


class Usage(NamedTuple):
    """What a run uses now."""
    cpu_seconds: float
    rss_bytes: int
    processes: int
    open_files: int | None                                  # None: not ours to see


class Process(NamedTuple):
    """One process of a run."""
    pid: int
    parent_pid: int
    user_id: int
    command: str
    zombie: bool


class Totals(NamedTuple):
    """Counters since the node started."""
    running: int
    started: int
    finished: int
    refused: int
    cpu_seconds: float
    output_bytes: int
    output_bytes_lost: int


@record
class ChildRecord:
    """What must be stored to find a child again after the node has died; `base.records` reads and writes it as JSON."""
    pid: int = wire(minimum=1)
    start_ticks: int = wire(minimum=0)                      # since boot: with the pid it names one process only
    boot_id: str = wire(length_max=64)
    started_at: float = wire(minimum=0)
    label: str = wire(default="", length_max=4096)
    mark: int = wire(default=0, minimum=0)                  # what the kernel keeps at every process of the run
    group: str = wire(default="", length_max=4096)          # its cgroup
    output: Output | None = None                            # only a file survives
    stop_grace_seconds: float = wire(default=rules.STOP_GRACE_SECONDS, minimum=0)
    ends_at: float = wire(default=0.0, minimum=0)           # by the wall clock; 0 is never
    leave_rest: bool = False
