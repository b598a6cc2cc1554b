"""What travels under `/mesh/lease/*`."""

from __future__ import annotations

from ...base.records import record, whole, wire

TTL_SECONDS_MAX = 31_536_000        # a year; what is needed longer is extended by heartbeats


@record
class Acquire:
    """What to lease, for whom, and how long; no other members are allowed."""
    peer_id: str = wire(default="", length_max=200)
    resource: str = wire(default="", length_max=500)
    agent_id: str = wire(default="", length_max=200)
    job_id: str = wire(default="", length_max=200)
    ttl_seconds: int = wire(default=300, maximum=TTL_SECONDS_MAX, about="below 60 counts as 60, 0 as 300")
    metadata: dict = wire(factory=dict, items_max=100)
    document: dict = whole()


@record
class Heartbeat:
    """Which lease is still needed, and for how long from now."""
    lease_id: str = wire(default="", length_max=200)
    ttl_seconds: int = wire(default=300, maximum=TTL_SECONDS_MAX, about="below 60 counts as 60, 0 as 300")
    lock_token: str = wire(default="", length_max=200, about="if given, it must be the lease's")


@record
class Release:
    """Which lease is given back, and how it ended."""
    lease_id: str = wire(default="", length_max=200)
    status: str = wire(default="released", length_max=40)
    lock_token: str = wire(default="", length_max=200, about="if given, it must be the lease's")


@record
class Lease:
    """A lease.  `status` is `active`, `expired` once its time is over, or what it was released as."""
    id: str = wire()
    resource: str = wire()
    peer_id: str = wire()
    agent_id: str = wire()
    job_id: str = wire()
    status: str = wire()
    ttl_seconds: int = wire(minimum=60)
    lock_token: str = wire(pattern="[0-9a-f]{32}", about="only in answers to the operator")
    metadata: dict = wire(about="as given, with the lock as it was taken in `registry_lock`")
    created_at: str = wire()
    heartbeat_at: str = wire()
    expires_at: str = wire()
    released_at: str = wire(about="empty until it is released")
