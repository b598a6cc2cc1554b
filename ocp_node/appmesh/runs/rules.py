"""How long a one-shot run may last, and which application it copies (App Mesh, run and syncrun)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from ...base.errors import Refusal

TIMEOUT_DEFAULT = 172_800
LIFECYCLE_DEFAULT = 216_000
SECONDS_MAX = 259_200
WAITED_MAX = 64                      # runs that a caller waits for at one time
KEPT_MAX = 1_000                     # runs of one user that can be asked about
BODY_BYTES_MAX = 16 << 20            # of output in one answer; the rest can be read by position


def times(timeout: str, lifecycle: str, seconds: Callable[[str], int]) -> tuple[int, int]:
    """Seconds until the run is ended (0 is never), and until it is forgotten; what is out of range is the default."""
    limit = _within(seconds(timeout) if timeout else TIMEOUT_DEFAULT, 0, TIMEOUT_DEFAULT)
    kept = _within(seconds(lifecycle) if lifecycle else LIFECYCLE_DEFAULT, limit, LIFECYCLE_DEFAULT)
    if not limit and not kept:
        raise Refusal("invalid_request", "Zero timeout and lifecycle speficied")
    return limit, max(kept, limit)


def _within(value: int, least: int, default: int) -> int:
    return value if least <= value <= SECONDS_MAX else default


def must_name(given: Mapping[str, Any], known: bool) -> None:
    """A new run needs a command; a copy of an application must not have one."""
    if given.get("docker_image"):
        raise Refusal("invalid_request", "Docker application does not support this API")
    command = bool((given.get("command") or "").strip())
    name = given.get("name") or ""
    if known and command:
        raise Refusal("invalid_request", f"Should not specify command for an existing application <{name}>")
    if not known and not command:
        raise Refusal("invalid_request",
                      "Should specify command to run application" if name else "Should specify command run application")


def copy_name(name: str, count: int, used: Container[str]) -> tuple[str, int]:
    """`<name>_<n>` that nobody has, and its n."""
    count += 1
    while f"{name}_{count}" in used:
        count += 1
    return f"{name}_{count}", count
