"""What travels under `/mesh/connectivity`."""

from __future__ import annotations

from ...base.records import record, wire


@record
class RecentError:
    """Why a candidate could not be reached."""
    base_url: str = wire()
    display_name: str = wire()
    error: str = wire()
    last_error_at: str = wire()


@record
class Diagnostics:
    """How this node can be reached."""
    status: str = wire()
    base_url: str = wire(about="as this node tells others")
    bind_host: str = wire()
    port: int = wire()
    local_ipv4: list[str] = wire()
    lan_urls: list[str] = wire(about="under which other machines reach it")
    share_url: str = wire(about="the one to give to a phone")
    sharing_mode: str = wire(choices=("lan", "local"))
    share_advice: str = wire(about="what keeps other devices away; empty when nothing does")
    scan_urls: list[str] = wire(about="where a scan would look; only for operators and on loopback")
    recent_errors: list[RecentError] = wire(about="only for operators and on loopback")
