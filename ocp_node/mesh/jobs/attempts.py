"""Attempts: a worker takes a job, says that it lives, and tells how it ended (OCP 0.1 attempts).

Workers elsewhere and the built-in ones come through here alike.  Each function is one part of a change on the only writer, so of
two that race for one job, one finds it as it was and the other finds it taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from . import rules, table
from .table import Attempt, Job

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Jobs

Members = dict[str, Any]

ERROR_LENGTH_MAX = 4_000
EVENT_ERROR_LENGTH_MAX = 500


class Attempts:
    """What happens to the attempts of this node's jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    # --- taking

    def begin(self, connection: WriteConnection, job: Job, message: Any, worker_id: str, lease_seconds: int,
              child: Members) -> Attempt:
        """The worker holds the job, under a lease."""
        jobs, now = self._jobs, connection.clock.text()
        number = table.last_number(connection, job.id) + 1
        resume = rules.resume_ref(job.metadata, number)
        lease = jobs.lease(connection, f"job:{job.id}:attempt:{number}", jobs.node_id, worker_id, job.id, lease_seconds,
                           {"worker_id": worker_id, "attempt_number": number})
        attempt = Attempt(id=connection.ids.uuid(), job_id=job.id, attempt_number=number, worker_id=worker_id, status="claimed",
                          lease_id=lease.id, executor=worker_id, result_ref={}, error="", child=child, started_at=now,
                          heartbeat_at=now,
                          finished_at="",
                          metadata={"claimed_from_status": job.status, "queue_message_id": message.id,
                                    "resumed_from_checkpoint_ref": resume,
                                    "executor_device_profile": jobs.profile.profile(),
                                    "executor_sync_policy": jobs.profile.sync_policy()})
        table.add_attempt(connection, attempt)
        job.metadata.update(current_attempt_id=attempt.id, claimed_by_worker_id=worker_id, attempt_count=number)
        if resume:
            self._resume(connection, job, resume, worker_id)
        job.status = rules.step(job.status, "claim_resume" if resume else "claim")
        job.executor, job.lease_id = worker_id, lease.id
        jobs.save(connection, job)
        self._told(connection, job, "mesh.job.claimed", attempt_id=attempt.id, worker_id=worker_id,
                   resume_artifact_id=resume.get("id", ""))
        jobs.queue.deliver(connection, message, lease, worker_id, attempt.id)
        return attempt

    def _resume(self, connection: WriteConnection, job: Job, resume: Members, worker_id: str) -> None:
        kept, now = job.metadata, connection.clock.text()
        asked_by = kept.get("last_resume_requested_by") if kept.get("last_resume_requested_at") else ""
        kept.update(resume_checkpoint_ref=resume, restart_from_scratch=False, resume_attempted_at=now,
                    resume_count=int(kept.get("resume_count") or 0) + 1, last_resumed_at=now,
                    last_resumed_by=asked_by or worker_id,
                    last_resume_reason=kept.get("last_resume_requested_reason") or kept.get("last_recovery_reason")
                    or "automatic_retry_resume")

    # --- at work

    def current(self, connection: WriteConnection, attempt_id: str, worker_id: str = "") -> tuple[Attempt, Job, Any]:
        """The attempt with its job and message (None when that is gone)."""
        attempt = table.attempt(connection, attempt_id)
        if attempt is None:
            raise Refusal("not_found", "job attempt not found")
        if worker_id and worker_id != attempt.worker_id:
            raise Refusal("conflict", "attempt belongs to another worker")
        job = table.find(connection, attempt.job_id)
        assert job is not None                           # an attempt goes with its job
        return attempt, job, self._jobs.queue.of_job(connection, job.id)

    def step(self, connection: WriteConnection, event: str, attempt: Attempt, job: Job, message: Any) -> str:
        """The attempt's next state, "" for a repeated word; the refusal shows where attempt and job stand."""
        current = message is not None and message.current_attempt_id == attempt.id and job.status in rules.ACTIVE
        try:
            return rules.attempt_step(attempt.status, event, current)
        except Refusal as refusal:
            refusal.detail.update(attempt=table.attempt_json(attempt), job=self._jobs.json(connection, job))
            raise

    def heartbeat(self, connection: WriteConnection, attempt_id: str, seconds: int, metadata: Mapping[str, Any],
                  worker_id: str = "",
                  child: Members | None = None) -> Attempt:
        """The attempt is being worked on; nobody else gets its job before the lease ends anew."""
        attempt, job, message = self.current(connection, attempt_id, worker_id)
        if message is not None and message.visibility_timeout_at <= connection.clock.text():
            message = None                               # too late: the job is somebody else's as soon as anybody looks
        attempt.status = self.step(connection, "heartbeat", attempt, job, message)
        lease = self._jobs.leases.extend(connection, attempt.lease_id, seconds)
        attempt.heartbeat_at = connection.clock.text()
        attempt.metadata.update(metadata)
        if child is not None:
            attempt.child = child
        table.save_attempt(connection, attempt)
        self._jobs.queue.held_longer(connection, message, lease.expires_at)
        self._jobs.spoke(connection, attempt.worker_id)
        return attempt

    # --- ended

    def complete(self, connection: WriteConnection, attempt_id: str, executor: str, metadata: Mapping[str, Any], package: Any,
                 worker_id: str = "") -> Members:
        """The job is done, and its result package is stored with this change."""
        jobs = self._jobs
        attempt, job, message = self.current(connection, attempt_id, worker_id)
        after = self.step(connection, "complete", attempt, job, message)
        if not after:
            return self._again("completed", connection, attempt, job, message)
        refs = package.record(connection)
        self._end(connection, attempt, after, "complete")
        attempt.executor = executor or attempt.executor or attempt.worker_id
        attempt.result_ref = refs["result_ref"]
        attempt.metadata.update(metadata)
        table.save_attempt(connection, attempt)
        job.status = rules.step(job.status, "complete")
        job.executor = attempt.executor
        jobs.keep_result(job, refs)
        job.metadata.update(current_attempt_id="", completed_by_worker_id=attempt.worker_id)
        checkpoint = refs["result_artifacts"].get("checkpoint")
        if checkpoint:
            job.metadata.update(latest_checkpoint_ref=checkpoint, checkpointed_at=connection.clock.text())
        job.metadata.pop("resume_checkpoint_ref", None)
        jobs.finish(connection, job)
        self._told(connection, job, "mesh.job.completed", attempt_id=attempt.id, worker_id=attempt.worker_id,
                   result_artifact_id=refs["result_ref"]["id"], bundle_artifact_id=refs["result_bundle_ref"]["id"])
        jobs.queue.ack(connection, message)
        jobs.spoke(connection, attempt.worker_id)
        return self._answer("completed", connection, attempt, job, message)

    def fail(self, connection: WriteConnection, attempt_id: str, error: str, retryable: bool, metadata: Members,
             checkpoint: Members,
             worker_id: str = "", chance: float = 0.5, counts: bool = True) -> Members:
        """The attempt failed: its job waits for another try, for somebody to resume it, or has failed for good.

        `checkpoint` is a stored checkpoint artifact of this job, {} for none.  An attempt that does not count (the node stopped
        under it) leaves the job another one.
        """
        jobs = self._jobs
        attempt, job, message = self.current(connection, attempt_id, worker_id)
        after = self.step(connection, "fail", attempt, job, message)
        if not after:
            return self._again(job.status, connection, attempt, job, message)
        kept, now, error = job.metadata, connection.clock.text(), error[:ERROR_LENGTH_MAX]
        attempt.error = error
        attempt.metadata.update(metadata | ({"checkpoint_ref": checkpoint} if checkpoint else {}))
        self._end(connection, attempt, after, "fail")
        table.save_attempt(connection, attempt)
        resumable = bool(kept["resumability"]["enabled"])
        if not counts:
            kept["budget"] = max(rules.budget(kept), attempt.attempt_number + 1)
        what = rules.failure(retryable, attempt.attempt_number, rules.budget(kept), resumable, bool(checkpoint))
        for name in ("resume_checkpoint_ref", "recovery_hint"):
            kept.pop(name, None)
        kept.update(current_attempt_id="", last_error=error, last_failure_at=now, last_failure_error=error)
        if checkpoint:
            kept.update(latest_checkpoint_ref=checkpoint, checkpointed_at=now)
        self._go_on(connection, job, what, checkpoint, now)
        job.status = rules.step(job.status, what.event)
        job.result_ref, job.lease_id = {}, ""
        if what is rules.FINAL:
            jobs.finish(connection, job)
        else:
            jobs.save(connection, job)
        self._told(connection, job, what.event_type, attempt_id=attempt.id, error=error[:EVENT_ERROR_LENGTH_MAX],
                   checkpoint_artifact_id=checkpoint.get("id", ""))
        if what is rules.RETRY:
            base = float(kept["retry_policy"].get("backoff_seconds") or 0)
            jobs.queue.retry(connection, message, error, rules.backoff_seconds(base, attempt.attempt_number, chance))
        else:
            jobs.queue.bury(connection, message, error, what.queue_event, what is rules.FINAL)
        jobs.spoke(connection, attempt.worker_id)
        return self._answer(job.status, connection, attempt, job, message)

    def _go_on(self, connection: WriteConnection, job: Job, what: rules.Failure, checkpoint: Members, now: str) -> None:
        """How the job is to go on, where it does."""
        kept = job.metadata
        if what is rules.FINAL:
            return
        resumes = bool(checkpoint) and (what is rules.CHECKPOINT or bool(kept["checkpoint_policy"]["on_retry"]))
        if what is rules.RETRY:
            kept["retry_scheduled_at"] = now
        if resumes:
            kept.update(resume_checkpoint_ref=checkpoint, restart_from_scratch=False)
        hint = rules.hint(self._jobs.profile.profile(), resumes, checkpoint.get("id", ""), now)
        if hint:
            kept["recovery_hint"] = hint

    def checkpoint(self, connection: WriteConnection, job: Job, attempt_id: str, error: str, blob: Any, named: Any) -> Members:
        """The checkpoint that a failed attempt left: stored now, or one of this job from before; {} when it left none."""
        artifacts = self._jobs.artifacts
        if blob is not None:
            policy = job.metadata["checkpoint_policy"]
            about = {"artifact_kind": "checkpoint", "job_id": job.id, "attempt_id": attempt_id,
                     "retention_class": policy["retention_class"], "failure_error": error[:EVENT_ERROR_LENGTH_MAX]}
            stored: Members = artifacts.record(connection, {
                "media_type": "application/json", "policy": job.policy, "owner_peer_id": self._jobs.node_id,
                "request_id": job.request_id, "metadata": about}, blob)
            return stored
        reference = named.get("id") or named.get("artifact_id") if isinstance(named, dict) else named
        if not reference:
            return {}
        found = artifacts.find(connection, str(reference))
        rules.is_checkpoint_of(found, job.id)
        known: Members = found
        return known

    def lapse(self, connection: WriteConnection, message: Any, error: str) -> None:
        """The holder of this message went silent: its attempt is over, the job for anybody again, or dead after too many such."""
        jobs = self._jobs
        job = table.find(connection, message.job_id)
        assert job is not None                           # a message goes with its job
        attempt = table.attempt(connection, message.current_attempt_id)
        if attempt is not None and attempt.status in rules.ATTEMPT_OPEN:
            attempt.error = error
            attempt.metadata["queue_timeout"] = True
            self._end(connection, attempt, "expired", "expire")
            table.save_attempt(connection, attempt)
        attempts = table.last_number(connection, job.id)
        if rules.exhausted(attempts, rules.budget(job.metadata)):
            self._exhaust(connection, job, message, attempt)
            return
        kept = job.metadata
        resumes = bool(kept.get("resume_checkpoint_ref"))
        job.status = rules.step(job.status, "expire_resume" if resumes else "expire")
        job.lease_id = ""
        kept.update(current_attempt_id="", last_error=error, queue_requeued_at=connection.clock.text())
        jobs.save(connection, job)
        jobs.queue.requeue(connection, message, error)
        if attempt is not None:
            jobs.abandoned(connection, attempt)

    def _exhaust(self, connection: WriteConnection, job: Job, message: Any, attempt: Attempt | None) -> None:
        error = "delivery attempts exhausted"
        job.status = rules.step(job.status, "exhaust")
        job.lease_id = ""
        job.metadata.pop("resume_checkpoint_ref", None)
        job.metadata.update(current_attempt_id="", last_error=error, last_failure_at=connection.clock.text(),
                            last_failure_error=error)
        self._jobs.finish(connection, job)
        self._told(connection, job, "mesh.job.failed", attempt_id=attempt.id if attempt else "", error=error,
                   checkpoint_artifact_id="")
        self._jobs.queue.bury(connection, message, error, "mesh.queue.dead_lettered", True)
        if attempt is not None:
            self._jobs.abandoned(connection, attempt)

    def cancel(self, connection: WriteConnection, attempt_id: str, reason: str) -> None:
        """The job of the attempt is cancelled: the worker's slot is free, what still runs of it here is ended."""
        attempt = table.attempt(connection, attempt_id)
        if attempt is not None and attempt.status in rules.ATTEMPT_OPEN:
            attempt.error = reason
            self._end(connection, attempt, "cancelled", "cancel")
            table.save_attempt(connection, attempt)
            self._jobs.abandoned(connection, attempt)

    def _end(self, connection: WriteConnection, attempt: Attempt, status: str, event: str) -> None:
        now = connection.clock.text()
        attempt.status, attempt.finished_at, attempt.heartbeat_at, attempt.child = status, now, now, {}
        self._jobs.leases.release(connection, attempt.lease_id, rules.LEASE_ENDS[event])

    # --- answers

    def _answer(self, status: str, connection: WriteConnection, attempt: Attempt, job: Job, message: Any) -> Members:
        shown = self._jobs.message_json(message) if message is not None else {}
        return {"status": status, "job": self._jobs.json(connection, job), "attempt": table.attempt_json(attempt),
                "queue_message": shown}

    def _again(self, status: str, connection: WriteConnection, attempt: Attempt, job: Job, message: Any) -> Members:
        return {**self._answer(status, connection, attempt, job, message), "deduped": True}

    def _told(self, connection: WriteConnection, job: Job, event_type: str, **payload: object) -> None:
        connection.event(event_type, subject=job.id, peer_id=self._jobs.node_id, request_id=job.request_id,
                         payload={"job_id": job.id, **payload})
