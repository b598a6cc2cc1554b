"""What travels of applications.  Types are strict, null is absent, unknown members are ignored (App Mesh, application object)."""

from __future__ import annotations

from ...base.records import record, wire


@record
class DailyLimitation:
    """Seconds of the day, UTC, between which an application may run."""
    daily_start: int | None = None
    daily_end: int | None = None


@record
class ResourceLimit:
    """Bounds of a run; 0 is none."""
    memory_mb: int | None = wire(default=None, maximum=1 << 30)
    memory_virt_mb: int | None = wire(default=None, maximum=1 << 30)
    cpu_shares: int | None = None


@record
class Behavior:
    """What follows an exit: `exit` in general, `control` by exit code."""
    exit: str | None = wire(default=None, length_max=32)
    control: dict[str, str] | None = wire(default=None, items_max=256)


@record
class Definition:
    """An application as it is asked for."""
    name: str | None = wire(default=None, length_max=4096)
    command: str | None = None
    shell: bool | None = None
    session_login: bool | None = None
    description: str | None = wire(default=None, length_max=4096)
    metadata: object = None
    working_dir: str | None = wire(default=None, length_max=4096)
    status: int | None = None
    docker_image: str | None = wire(default=None, length_max=4096)
    stdout_cache_num: int | None = None
    start_time: int | None = wire(default=None, minimum=0, maximum=1 << 40)
    end_time: int | None = wire(default=None, minimum=0, maximum=1 << 40)
    start_interval_seconds: object = None
    cron: bool | None = None
    daily_limitation: DailyLimitation | None = None
    retention: object = None
    health_check_cmd: str | None = None
    permission: int | None = None
    behavior: Behavior | None = None
    env: dict[str, str] | None = wire(default=None, items_max=1000)
    sec_env: dict[str, str] | None = wire(default=None, items_max=1000)
    resource_limit: ResourceLimit | None = None
    version: int | None = wire(default=None, minimum=0, maximum=1 << 62)


@record
class OutputQuery:
    """Which bytes of which run; numbers may be given as ISO durations."""
    stdout_position: str = wire(default="", length_max=64)
    stdout_index: str = wire(default="", length_max=64)
    stdout_maxsize: str = wire(default="", length_max=64)
    timeout: str = wire(default="", length_max=64)
    process_uuid: str = wire(default="", length_max=128)
    html: str = wire(default="", length_max=64)
    json: str = wire(default="", length_max=64)


@record
class DailyShown:
    daily_start: int
    daily_end: int
    daily_start_TEXT: str
    daily_end_TEXT: str


@record
class Shown:
    """An application as it is defined, and what it does now; what does not apply is left out."""
    name: str
    owner: str
    status: int
    behavior: Behavior
    register_time: int
    register_time_TEXT: str
    health: int
    starts: int
    command: str = ""
    shell: bool = False
    session_login: bool = False
    description: str = ""
    metadata: object = None
    working_dir: str = ""
    stdout_cache_num: int = 0
    start_time: int = 0
    start_time_TEXT: str = ""
    end_time: int = 0
    end_time_TEXT: str = ""
    daily_limitation: DailyShown | None = None
    retention: str = ""
    health_check_cmd: str = ""
    permission: int = 0
    env: dict[str, str] = wire(factory=dict)
    resource_limit: ResourceLimit | None = None
    version: int = 0
    pid: int = 0
    pid_user: str = ""
    memory: int = 0
    cpu: float = 0.0
    fd: int = 0
    pstree: str = ""
    task_id: int = 0
    task_status: str = ""
    return_code: int = 0
    last_start_time: int = 0
    last_start_time_TEXT: str = ""
    last_exit_time: int = 0
    last_exit_time_TEXT: str = ""
    last_error: str = ""
    next_start_time: int = 0
    next_start_time_TEXT: str = ""
    stdout_cache_size: int = 0


@record
class Message:
    """What was done, in words."""
    message: str
