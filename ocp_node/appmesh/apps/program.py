"""The definition of an application: read from a document, kept, and shown again (App Mesh, application object)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Malformed, Refusal

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
NAME_REFUSED = "application name must be 1-128 characters using only letters, digits, '_' or '-'"
COMMAND_LENGTH_MAX = 2048
CACHE_MAX = 100
ACTIONS = frozenset({"standby", "restart", "keepalive", "remove"})
INTERNAL = "agent"                # the name of the reference's own front process: nobody edits it
DAY_SECONDS = 86_400
ENABLED, DISABLED, ONCE = 1, 0, 2
_DURATION = re.compile(r"P(?:(\d{1,9})W|(?:(\d{1,9})Y)?(?:(\d{1,9})M)?(?:(\d{1,9})D)?"
                       r"(T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?)\Z")
_NUMBER = re.compile(r"[+-]?\d{1,15}\Z")


class Program(NamedTuple):
    """What is to run, when, and whose it is.  `sec_env` is kept apart."""
    name: str
    owner: str
    register_time: int
    command: str = ""
    shell: bool = False
    session_login: bool = False
    description: str = ""
    metadata: Any = None
    working_dir: str = ""
    status: int = ENABLED
    stdout_cache_num: int = 0
    start_time: int | None = None
    end_time: int | None = None
    daily_start: int | None = None
    daily_end: int | None = None
    retention: str = ""
    health_check_cmd: str = ""
    permission: int = 0
    exit: str = "standby"
    control: dict[str, str] = {}         # never changed in place
    env: dict[str, str] = {}
    limits: dict[str, int] = {}
    version: int = 0


def refused(text: str) -> Refusal:
    return Refusal("invalid_request", text)


def checked_name(name: str) -> str:
    if not NAME.match(name):
        raise refused(NAME_REFUSED)
    return name


def duration(value: Any) -> int:
    """Seconds of a number, a number's text or an ISO 8601 duration; "" is 0."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise refused("invalid ISO8601 duration format")
    text = str(value).strip()
    if not text or _NUMBER.match(text):
        return int(text or 0)
    found = _DURATION.match(text)
    if found is None:
        raise refused("invalid ISO8601 duration format")
    parts = (int(part) if part and part.isdigit() else 0 for part in found.groups())
    weeks, years, months, days, _, hours, minutes, seconds = parts
    if months:
        raise refused("ISO8601 months is not supported")
    return weeks * 7 * DAY_SECONDS + (years * 365 + days) * DAY_SECONDS + hours * 3600 + minutes * 60 + seconds


def read(given: Mapping[str, Any], name: str, owner: str, now: float) -> Program:
    """The definition in a decoded document; a Refusal names the first thing that is wrong with it."""
    text = {key: str(given.get(key) or "").strip() for key in ("command", "description", "working_dir", "docker_image",
                                                               "health_check_cmd")}
    program = Program(checked_name(name), owner, int(now), metadata=metadata(given.get("metadata")),
                      shell=bool(given.get("shell")),
                      session_login=bool(given.get("session_login")), command=_command(text["command"], text["docker_image"]),
                      description=text["description"], working_dir=text["working_dir"], health_check_cmd=text["health_check_cmd"],
                      env=environment(given), version=given.get("version") or 0,
                      limits=_limits(given.get("resource_limit")),
                      start_time=given.get("start_time"), end_time=given.get("end_time"))
    if len(program.health_check_cmd) >= COMMAND_LENGTH_MAX:
        raise refused("health check length should less than 2048")
    if program.start_time is not None and program.end_time is not None and program.start_time > program.end_time:
        raise refused("end_time should greater than the start_time")
    return program._replace(**_chosen(given), **_daily(given.get("daily_limitation")), **_behavior(given.get("behavior")))


def environment(given: Mapping[str, Any]) -> dict[str, str]:
    """The plain environment of a document; a Refusal when a name in it, or in the secret one, is none."""
    for name in (*(given.get("env") or {}), *(given.get("sec_env") or {})):
        if not name or "=" in name:
            raise refused("the name of an environment variable must not be empty and has no =")
    return dict(given.get("env") or {})


def _command(command: str, docker_image: str) -> str:
    if len(command) >= COMMAND_LENGTH_MAX:
        raise refused("command line length should less than 2048")
    if docker_image:
        raise refused("docker is not supported on this node")
    if not command:
        raise refused("no command line provide")
    return command


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Members with few values."""
    status = ENABLED if given.get("status") is None else given["status"]
    permission, cache = given.get("permission") or 0, given.get("stdout_cache_num") or 0
    if status not in (ENABLED, DISABLED):
        raise refused("status must be 1 (enabled) or 0 (disabled)")
    if not 0 <= cache <= CACHE_MAX:
        raise refused(f"stdout_cache_num must be between 0 and {CACHE_MAX}")
    if not 0 <= permission <= 33 or permission % 10 > 3:
        raise refused("permission must be two digits of 1 to 3, or 0")
    retention = given.get("retention")
    seconds = 0 if retention is None else duration(retention)
    if seconds < 0:
        raise refused("retention cannot be negative")
    return {"status": status, "permission": permission, "stdout_cache_num": cache,
            "retention": str(retention).strip() if seconds else ""}


def _daily(limitation: Mapping[str, Any] | None) -> dict[str, Any]:
    if not limitation:
        return {}
    start, end = limitation.get("daily_start"), limitation.get("daily_end")
    if start is None or end is None:
        raise refused("should both have daily_start and daily_end parameter")
    return {"daily_start": start % DAY_SECONDS, "daily_end": end % DAY_SECONDS}


def _behavior(behavior: Mapping[str, Any] | None) -> dict[str, Any]:
    behavior = behavior or {}
    control = {}
    for code, action in (behavior.get("control") or {}).items():
        if not re.fullmatch(r"[+-]?\d{1,9}", code.strip()):
            raise refused("invalid control code")
        control[str(int(code))] = _action(action)
    return {"exit": _action(behavior.get("exit") or "standby"), "control": control}


def _action(text: str) -> str:
    action = text.strip().lower()
    if action not in ACTIONS:
        raise refused("invalid action input")
    return action


def _limits(given: Mapping[str, Any] | None) -> dict[str, int]:
    limits = {name: value for name, value in (given or {}).items() if value is not None}
    memory, virtual, shares = (limits.get(name, 0) for name in ("memory_mb", "memory_virt_mb", "cpu_shares"))
    if min(memory, virtual, shares) < 0:
        raise refused("resource limits cannot be negative")
    if shares and not 2 <= shares <= 262_144:
        raise refused("cpu_shares must be between 2 and 262144")
    if virtual and (not memory or virtual < memory):
        raise refused("memory_virt_mb requires positive memory_mb and must be greater than or equal to it")
    if not (memory or virtual or shares):
        return {}
    return {"memory_mb": memory, "cpu_shares": shares, **({"memory_virt_mb": virtual} if virtual else {})}


def metadata(value: Any) -> Any:
    """Metadata as it is kept: a text that holds JSON is that JSON, an empty one is none."""
    if isinstance(value, str):
        try:
            return jsontext.parse_text(value) if value else None
        except Malformed:
            return value
    return value


def standard_input(program: Program) -> bytes:
    """What the program finds on its standard input."""
    if program.metadata is None:
        return b""
    return program.metadata.encode() if isinstance(program.metadata, str) else jsontext.compact_sorted(program.metadata)


def stored(program: Program) -> str:
    return jsontext.ascii_text(program._asdict())


def loaded(text: str) -> Program:
    """What `stored` wrote; members of a newer program are passed over."""
    members: Any = jsontext.load(text)
    return Program(**{name: value for name, value in members.items() if name in Program._fields})


# --- shown

def shown(program: Program) -> dict[str, Any]:
    """The definition as App Mesh answers it: what is empty is left out."""
    behavior = {"exit": program.exit, **({"control": program.control} if program.control else {})}
    made: dict[str, Any] = {"name": program.name, "owner": program.owner, "status": program.status, "behavior": behavior,
                            **timed("register_time", program.register_time)}
    for name in ("command", "shell", "session_login", "description", "working_dir", "stdout_cache_num", "retention",
                 "health_check_cmd", "permission",
                 "env", "version"):
        if value := getattr(program, name):
            made[name] = value
    if program.metadata is not None:
        made["metadata"] = program.metadata
    if program.limits:
        made["resource_limit"] = program.limits
    if program.daily_start is not None and program.daily_end is not None:
        made["daily_limitation"] = {"daily_start": program.daily_start, "daily_start_TEXT": day_text(program.daily_start),
                                    "daily_end": program.daily_end, "daily_end_TEXT": day_text(program.daily_end)}
    return {**made, **timed("start_time", program.start_time), **timed("end_time", program.end_time)}


def timed(name: str, seconds: float | None) -> dict[str, Any]:
    """A time as a number and as local text, when it is set."""
    return {} if seconds is None else {name: int(seconds), f"{name}_TEXT": local_text(seconds)}


def local_text(seconds: float) -> str:
    """`2026-11-22T05:19:19+08`, in the zone of this machine."""
    at = time.localtime(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", at) + _zone(at.tm_gmtoff)


def day_text(second: int) -> str:
    """A second of the UTC day as local text: `08:00:00+08`."""
    offset = time.localtime(second).tm_gmtoff
    local = (second + offset) % DAY_SECONDS
    return f"{local // 3600:02}:{local // 60 % 60:02}:{local % 60:02}{_zone(offset)}"


def _zone(offset: int) -> str:
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02}" + (f":{minutes:02}" if minutes else "")
