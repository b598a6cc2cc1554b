"""What travels about workers."""

from __future__ import annotations

from ...base.records import record, wire


@record
class ListQuery:
    """How many workers are asked for."""
    limit: int = wire(default=25)


@record
class Register:
    """A worker, as it says it is."""
    worker_id: object = wire(default=None, about="1 to 128 characters of A-Z a-z 0-9 . _ : @ -")
    agent_id: object = wire(default=None, about="text: the agent that works")
    capabilities: object = wire(default=None, about="list of texts: what it can do")
    resources: object = wire(default=None, about="object: what it has: cpu, memory_mb, disk_mb, gpus")
    labels: object = wire(default=None, about="list of texts")
    max_concurrent_jobs: object = wire(default=None, about="integer, at least 1")
    metadata: object = wire(default=None, about="object")
    status: object = wire(default=None, about="text; `active` and `ready` may claim")


@record
class Heartbeat:
    """What is new of a worker; what is absent stays."""
    status: object = wire(default=None, about="text")
    metadata: object = wire(default=None, about="object: merged with what is known")
    resources: object = wire(default=None, about="object")
    labels: object = wire(default=None, about="list of texts")
    capabilities: object = wire(default=None, about="list of texts")


@record
class Poll:
    """How many jobs to look at."""
    limit: object = wire(default=None, about="integer, 10 when absent")


@record
class Claim:
    """Which job is wanted, and for how long."""
    job_id: object = wire(default=None, about="text: this very job; any that fits when absent")
    ttl_seconds: object = wire(default=None, about="integer: how long the claim holds without a heartbeat")
    wait_seconds: object = wire(default=None, about="number up to 60: how long to wait for a job")


@record
class Worker:
    """A worker (OCP 0.1)."""
    id: str
    peer_id: str
    agent_id: str
    status: str = wire(about="as it said; `stale` once it has been silent too long")
    capabilities: list[str]
    resources: dict
    labels: list[str]
    max_concurrent_jobs: int
    metadata: dict
    created_at: str
    updated_at: str
    last_heartbeat_at: str
    active_attempts: int


@record
class WorkerList:
    """Workers, the last to have spoken first."""
    peer_id: str
    count: int
    workers: list[Worker]
    generated_at: str


@record
class WorkerAnswer:
    """A worker after it has spoken."""
    status: str
    worker: Worker


@record
class Jobs:
    """Jobs that a worker could claim."""
    status: str
    worker: Worker
    jobs: list[dict]


@record
class Claimed:
    """The job that a worker now holds, or why it holds none."""
    status: str = wire(choices=("claimed", "idle"))
    worker: Worker
    reason: str = wire(default="", about="worker_inactive, worker_busy, no_jobs, job_unavailable, or why the job is held back")
    job: dict | None = None
    attempt: dict | None = None
    queue_message: dict | None = None
