"""What travels about cooperative tasks."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class TasksQuery:
    """Which tasks are asked for."""
    limit: int = wire(default=25)
    state: str = wire(default="", length_max=64, about="pending, active, checkpointed, attention, completed or cancelled")


@record
class Launch:
    """A job that several nodes shall do a part of each."""
    request_id: object = wire(default=None, about="text: a repeated one is answered with the task it made before")
    name: object = wire(default=None, about="text")
    strategy: object = wire(default=None, about="text: spread when absent; local-only, remote-only, gpu-aware")
    base_job: object = wire(default=None, about="object: a job submission, of which every shard has its own")
    shards: object = wire(default=None, about="array of objects: what is different for each shard, at most 256")
    target_peer_ids: object = wire(default=None, about="array of texts: who may take shards; all eligible nodes when absent")
    allow_local: object = wire(default=None, about="boolean, true when absent")
    allow_remote: object = wire(default=None, about="boolean, true when absent")
    auto_enlist: object = wire(default=None, about="boolean, false when absent: helpers are enlisted first")
    document: dict = whole()


@record
class Placement:
    """Why a shard is where it is."""
    workload_class: str
    gpu_required: bool
    min_gpu_vram_mb: int
    min_memory_mb: int
    min_cpu_cores: float
    target_gpu_capable: bool
    target_gpu_class: str
    target_gpu_vram_mb: int
    target_cpu_cores: int
    target_memory_mb: int
    target_enlistment_state: str
    target_is_local: bool


@record
class Shard:
    """One part of a task."""
    shard_index: int
    label: str
    peer_id: str
    job_id: str = wire(about="empty while no node has it")
    request_id: str
    job_snapshot: dict = wire(about="the job when it was launched")
    placement: Placement
    job: dict = wire(about="the job as it stands, or as it was last seen; lists show the most important of it")
    resolution_error: str = wire(default="", about="why the job could not be looked up")


@record
class Summary:
    """The state of a task with the counts it follows from."""
    state: str
    counts: dict[str, int]
    total: int


@record
class Task:
    """A cooperative task (OCP 0.1).  Callers who are neither on loopback nor operators see it without payloads and code."""
    id: str
    request_id: str
    name: str
    strategy: str
    base_job: dict
    target_peers: list[str]
    metadata: dict
    shard_count: int
    state: str
    status: str = wire(about="the same as `state`")
    summary: Summary
    children: list[Shard]
    shards: list[Shard] = wire(about="the same as `children`")
    child_job_ids: list[str]
    mission_id: str = wire(about="the mission whose work it is, or empty")
    created_at: str
    updated_at: str
    deduped: bool = False


@record
class TaskList:
    """Tasks, newest first."""
    peer_id: str
    count: int
    tasks: list[Task]
    generated_at: str
