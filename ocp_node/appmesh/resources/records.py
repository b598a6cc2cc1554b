"""What travels of resources: bytes, cores, and seconds since 1970."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Filesystem:
    """A mounted local disk; `usage` is a fraction."""
    mount_point: str
    device: str
    size: int
    used: int
    available: int
    usage: float


@record
class Address:
    """An address of this machine beyond loopback."""
    name: str
    address: str
    ipv6: bool


@record
class Resources:
    """What this machine has and uses now; `collector_errors` names what could not be read."""
    schema_version: int
    collected_at_unix_seconds: int
    systime: str
    appmesh_start_time: str
    appmesh_start_time_unix_seconds: int
    appmesh_version: str
    host_name: str
    host_description: str
    home: str
    os: str
    os_user: str
    architecture: str
    pid: int
    fd: int
    in_container: bool
    cgroup_version: str
    cpu_cores: int
    cpu_processors: int
    cpu_effective_processors: int
    cpu_quota_cores: float
    cpu_sockets: int
    cpu_source: str
    load: dict[str, float]
    mem_total_bytes: int
    mem_available_bytes: int
    mem_current_bytes: int
    mem_applications: int
    mem_daemon_process_tree_bytes: int
    mem_swap_total_bytes: int
    mem_swap_free_bytes: int
    mem_swap_current_bytes: int
    memory_source: str
    swap_source: str
    fs: list[Filesystem]
    net: list[Address]
    collector_errors: list[str] = wire(factory=list)
