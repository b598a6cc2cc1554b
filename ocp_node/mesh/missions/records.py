"""What travels about missions."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class Listing:
    """Which missions are asked for."""
    limit: int = wire(default=25, about="at most so many, latest update first; 0 means 25")
    status: str = wire(default="", length_max=40, about="planned, active, waiting, checkpointed, completed, failed or cancelled; "
                                                        "words of jobs mean the state they lead to, unknown ones list nothing")


@record
class Launch:
    """A mission to start: what it is for, and one job or one cooperative task that does its work."""
    title: object = wire(default=None, about="text of at most 200 characters; the task's name or the job's kind when absent")
    intent: object = wire(default=None, about="text of at most 2000 characters")
    job: object = wire(default=None, about="a job as for /mesh/jobs/submit; exactly one of `job` and `cooperative_task`")
    cooperative_task: object = wire(default=None, about="a task as for /mesh/cooperative-tasks/launch")
    request_id: object = wire(default=None, about="text of at most 128 characters: a repeated one gives its mission again")
    priority: object = wire(default=None, about="text: low, normal, high or critical; normal when absent")
    workload_class: object = wire(default=None, about="text; that of the job when absent")
    target_strategy: object = wire(default=None, about="text: `local`; `remote` or `auto` for a job that is to be placed")
    policy: object = wire(default=None, about="object: classification, mode, secret_scopes and whatever else it says")
    continuity: object = wire(default=None, about="object: how the mission is meant to outlast its devices")
    metadata: object = wire(default=None, about="object: kept with the mission")
    document: dict = whole()


@record
class Order:
    """Why a mission is stopped or started again."""
    operator_id: object = wire(default=None, about="text: who orders it")
    reason: object = wire(default=None, about="text")
    metadata: object = wire(default=None, about="object: kept with each job as `recovery_request`")
    request_id: object = wire(default=None, about="text: for a job, a repeated one changes nothing")


@record
class ResumeFrom:
    """From which checkpoint a mission goes on: the latest of each job when none is named."""
    operator_id: object = wire(default=None, about="text: who orders it")
    reason: object = wire(default=None, about="text")
    checkpoint_artifact_id: object = wire(default=None, about="text: of a mission with one job only")
    checkpoint_ref: object = wire(default=None, about="object with `id` or `artifact_id`, the same")
    metadata: object = wire(default=None, about="object: kept with each job as `recovery_request`")
    request_id: object = wire(default=None, about="text: for a job, a repeated one changes nothing")


@record
class TestLaunch:
    """Which peer is tested."""
    peer_id: object = wire(default=None, about="text: a known peer; the one at `base_url` when absent")
    base_url: object = wire(default=None, about="text: where a peer that is not known is connected to first")
    trust_tier: object = wire(default=None, about="text: of a node that is new; trusted when absent")
    timeout: object = wire(default=None, about="number: seconds for each call while connecting, 3 when absent")
    request_id: object = wire(default=None, about="text of at most 128 characters: a repeated one gives its mission again")
    intent: object = wire(default=None, about="text: the mission's intent")


@record
class TestMeshLaunch:
    """Which devices are tested."""
    include_local: object = wire(default=None, about="boolean, true when absent: this node too")
    limit: object = wire(default=None, about="integer: at most so many devices, 24 when absent")
    request_id: object = wire(default=None, about="text of at most 128 characters: a repeated one gives its mission again")
    intent: object = wire(default=None, about="text: the mission's intent")


@record
class MissionContinuity:
    """How the mission is meant to outlast its devices, and how far its jobs let it."""
    mode: str
    continuity_class: str
    resumable: bool = wire(about="as asked for, or because a job can go on from a checkpoint")
    checkpoint_strategy: str = wire(choices=("inherit", "none", "manual", "on_failure", "on_retry"))
    allow_handoff: bool
    preserve_result_lineage: bool
    lineage_ref: str
    epoch_tolerance: str
    dormancy_ok: bool
    treaty_requirements: list[str]
    checkpoint_ready: bool
    latest_checkpoint_ref: dict
    resume_count: int
    recovery_hints: list[dict]
    child_status_counts: dict[str, int]
    task_state_counts: dict[str, int]
    last_child_update_at: str = wire(about="\"\" before the first")
    notes: str = ""
    status_hint: str = ""


@record
class Summary:
    """How many children there are, by their states."""
    job_count: int
    cooperative_task_count: int
    child_status_counts: dict[str, int]
    task_state_counts: dict[str, int]


@record
class JobLine:
    """One job of a mission in its lineage."""
    id: str
    status: str
    updated_at: str
    checkpoint_ref: dict
    result_ref: dict
    result_bundle_ref: dict


@record
class TaskLine:
    """One cooperative task of a mission in its lineage."""
    id: str
    state: str
    shard_count: int
    updated_at: str


@record
class Lineage:
    """What the mission's results come from."""
    jobs: list[JobLine]
    cooperative_tasks: list[TaskLine]
    latest_checkpoint_ref: dict
    result_ref: dict
    result_bundle_ref: dict


@record
class Mission:
    """A mission (OCP 0.1).  Its status follows from its jobs."""
    id: str
    request_id: str
    title: str
    intent: str
    status: str = wire(choices=("planned", "active", "waiting", "checkpointed", "completed", "failed", "cancelled"))
    priority: str = wire(choices=("low", "normal", "high", "critical"))
    workload_class: str
    origin_peer_id: str
    target_strategy: str
    policy: dict
    continuity: MissionContinuity = wire(about="members that the launch added stand here too")
    metadata: dict
    created_at: str
    updated_at: str
    child_job_ids: list[str]
    cooperative_task_ids: list[str]
    latest_checkpoint_ref: dict
    result_ref: dict
    result_bundle_ref: dict
    summary: Summary
    child_jobs: list[dict] = wire(about="as GET /mesh/jobs/{job_id} shows them; in long lists as last seen, without payload")
    cooperative_tasks: list[dict] = wire(about="as GET /mesh/cooperative-tasks/{task_id} shows them")
    lineage: Lineage
    deduped: bool = wire(default=False, about="the launch was made before; nothing was started")


@record
class MissionList:
    """Missions, latest update first."""
    peer_id: str
    count: int
    missions: list[Mission]
    generated_at: str


@record
class ChildError:
    """A job of the mission for which the order failed, and why."""
    job_id: str
    error: str
    peer_id: str = wire(default="", about="the peer that has the job; \"\" for this node")
    code: str = ""


@record
class Skipped:
    """A job of the mission that the order does not concern."""
    job_id: str
    reason: str


@record
class Cancelled:
    """The mission after the order to stop it."""
    status: str
    mission: Mission
    jobs: list[dict]
    errors: list[ChildError]


@record
class Recovered:
    """The mission after the order to go on."""
    status: str
    mission: Mission
    jobs: list[dict]
    queue_messages: list[dict]
    errors: list[ChildError]
    skipped: list[Skipped]


@record
class Proof:
    """What the test leaves on each device."""
    filename: str
    location_hint: str


@record
class Tested:
    """The test mission on one peer."""
    status: str = wire(choices=("ok", "attention"), about="ok once the mission is completed")
    peer_id: str
    base_url: str
    proof: Proof
    connection: dict = wire(about="how the peer was connected to, as POST /mesh/peers/connect answers; {} when it was known")
    mission: Mission
    error: str = wire(default="", about="why it did not succeed")


@record
class TestedDevices:
    """The devices of a test mission."""
    peer_count: int
    target_peer_ids: list[str]
    includes_local: bool


@record
class TestedMesh:
    """The test mission on all devices."""
    status: str = wire(choices=("ok", "attention"), about="ok once the mission is completed")
    proof: Proof
    mesh: TestedDevices
    mission: Mission
    error: str = wire(default="", about="why the first device that failed did")
