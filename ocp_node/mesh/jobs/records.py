"""What travels about jobs."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class Submission:
    """A signed envelope whose body has `job`, or an operator's `{"job": {...}}`, or the job itself."""
    document: dict = whole()


@record
class Cancel:
    """Why a job is stopped; or a signed envelope of the peer that submitted it, with these members in its body."""
    reason: object = wire(default=None, about="text")
    operator_id: object = wire(default=None, about="text")
    document: dict = whole()


@record
class Resume:
    """Why a job goes on; or a signed envelope of the peer that submitted it, with these members in its body."""
    operator_id: object = wire(default=None, about="text")
    reason: object = wire(default=None, about="text")
    metadata: object = wire(default=None, about="object: kept with the job as `recovery_request`")
    request_id: object = wire(default=None, about="text: a repeated one changes nothing")
    document: dict = whole()


@record
class ResumeFrom:
    """From which checkpoint a job goes on: its latest when none is named; or a signed envelope, as for resume."""
    checkpoint_artifact_id: object = wire(default=None, about="text")
    checkpoint_ref: object = wire(default=None, about="object with `id` or `artifact_id`")
    operator_id: object = wire(default=None, about="text")
    reason: object = wire(default=None, about="text")
    metadata: object = wire(default=None, about="object: kept with the job as `recovery_request`")
    request_id: object = wire(default=None, about="text: a repeated one changes nothing")
    document: dict = whole()


@record
class AttemptHeartbeat:
    """The attempt is being worked on."""
    ttl_seconds: object = wire(default=None, about="integer: how long from now, 300 when absent; under 60 counts as 60")
    metadata: object = wire(default=None, about="object: merged with the attempt's")
    worker_id: object = wire(default=None, about="text: must be the attempt's worker when given")


@record
class AttemptComplete:
    """The result of an attempt."""
    result: object = wire(default=None, about="any JSON value; `stdout`, `stderr` and `checkpoint` of an object become artifacts")
    media_type: object = wire(default=None, about="text: of the result; application/json when absent")
    executor: object = wire(default=None, about="text: what did it")
    metadata: object = wire(default=None, about="object: merged with the attempt's")
    worker_id: object = wire(default=None, about="text: must be the attempt's worker when given")


@record
class AttemptFail:
    """Why an attempt failed."""
    error: object = wire(default=None, about="text")
    retryable: object = wire(default=None, about="boolean, true when absent")
    metadata: object = wire(default=None,
                            about="object: merged with the attempt's; `checkpoint` or `checkpoint_ref` is where to go on")
    worker_id: object = wire(default=None, about="text: must be the attempt's worker when given")


@record
class Attempt:
    """An attempt (OCP 0.1)."""
    id: str
    job_id: str
    attempt_number: int
    worker_id: str
    status: str
    lease_id: str
    executor: str
    result_ref: dict
    error: str
    metadata: dict
    started_at: str
    heartbeat_at: str
    finished_at: str


@record
class Recovery:
    """Where a job stands, and how it could go on."""
    state: str
    states: list[str]
    terminal: bool
    resumable: bool
    resumability_enabled: bool
    checkpoint_enabled: bool
    checkpoint_on_retry: bool
    checkpoint_available: bool
    latest_checkpoint_ref: dict
    selected_resume_checkpoint_ref: dict
    resume_count: int
    checkpointed_at: str
    last_resumed_at: str
    last_resumed_by: str
    last_resume_reason: str
    last_resume_requested_at: str
    last_resume_requested_by: str
    last_resume_requested_reason: str
    last_restart_at: str
    last_restart_by: str
    last_restart_reason: str
    last_recovery_action: str
    last_recovery_at: str
    last_recovery_by: str
    last_recovery_reason: str
    recovery_hint: dict


@record
class Job:
    """A job (OCP 0.1).  Callers who are neither on loopback nor operators see it without payload, code, commands and paths."""
    id: str
    request_id: str
    kind: str
    origin: str
    target: str
    origin_peer_id: str
    target_peer_id: str
    dispatch_mode: str
    requirements: dict
    policy: dict
    payload_ref: dict
    artifact_inputs: list[dict]
    status: str
    result_ref: dict
    lease: dict
    metadata: dict
    created_at: str
    updated_at: str
    payload_inline: object = wire(default=None, about="the payload as it was sent, without inline secrets; operators only")
    executor: str
    attempts: list[Attempt]
    queue: dict = wire(about="its queue message, {} when there is none")
    spec: dict
    mission: dict
    latest_checkpoint_ref: dict
    resume_checkpoint_ref: dict
    selected_resume_checkpoint_ref: dict
    resume_count: int
    checkpointed_at: str
    last_resumed_at: str
    last_resumed_by: str
    last_resume_reason: str
    last_resume_requested_at: str
    last_resume_requested_by: str
    last_resume_requested_reason: str
    last_restart_at: str
    last_restart_by: str
    last_restart_reason: str
    recovery: Recovery
    result_bundle_ref: dict
    result_config_ref: dict
    result_attestation_ref: dict
    result_artifacts: dict
    secret_delivery: list[dict]
    deduped: bool = False
    cancelled: bool = True
    remote: bool = wire(default=False, about="a peer has the job; what is shown is what that peer says")
    remote_peer_id: str = wire(default="", about="which peer")
    resolution_error: str = wire(default="", about="why the peer could not be asked: it is shown as last seen")


@record
class Submitted:
    """The job as it came in: rejected, queued, or done."""
    status: str
    job: Job
    queue_message: dict | None = None
    deduped: bool = False


@record
class Cancelled:
    """The job after the cancel; its own status when there was nothing left to cancel."""
    status: str
    job: Job


@record
class Recovered:
    """The job waits to be run again."""
    status: str
    job: Job
    queue_message: dict
    deduped: bool = False


@record
class Beaten:
    """The attempt goes on."""
    status: str
    attempt: Attempt


@record
class Told:
    """What the outcome of the attempt means for its job."""
    status: str
    job: Job
    attempt: Attempt
    queue_message: dict
    deduped: bool = False
