"""The operator's hand on a job: cancel, resume, restart, replay; and what an approval lets through (OCP 0.1 recovery).

Each function is part of a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ..values import members, text
from . import rules, table
from .table import Job

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Jobs

Members = dict[str, Any]

APPROVAL = "job.dispatch"
WAITING = "approval_pending"
SETTLED = ("rejected", "expired")        # such an approval does not keep the question from being asked again


class Recovery:
    """Changes of jobs that no worker makes."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def known(self, connection: WriteConnection, job_id: str) -> Job:
        """The job; `Refusal("not_found")` when there is none."""
        job = table.find(connection, job_id) if job_id else None
        if job is None:
            raise Refusal("not_found", "job not found")
        return job

    # --- cancel

    def cancel(self, connection: WriteConnection, job: Job, reason: str, operator_id: str) -> Members:
        """The job will not be run, and what runs of it is ended; a job that has ended stays as it is."""
        jobs, message = self._jobs, self._jobs.queue.of_job(connection, job.id)
        if job.status in rules.TERMINAL:
            return {"status": job.status, "job": jobs.json(connection, job) | {"cancelled": False}}
        attempt_id = job.metadata.get("current_attempt_id") or ""
        if attempt_id:
            jobs.attempts.cancel(connection, attempt_id, reason)
        elif job.lease_id:
            jobs.leases.release(connection, job.lease_id, "cancelled")
        job.status = rules.step(job.status, "cancel")
        job.metadata.update(reason=reason, cancelled_at=connection.clock.text(), current_attempt_id="")
        if operator_id:
            job.metadata["cancelled_by"] = operator_id
        jobs.finish(connection, job)
        jobs.ended(connection, job)
        if message is not None and message.status not in ("acked", "cancelled"):
            jobs.queue.cancel(connection, message, reason)
        self._withdraw(connection, job)
        connection.event("mesh.job.cancelled", subject=job.id, peer_id=job.origin_peer_id, request_id=job.request_id,
                         payload={"job_id": job.id, "reason": reason})
        return {"status": "cancelled", "job": jobs.json(connection, job)}

    # --- start again

    def resume(self, connection: WriteConnection, job: Job, asked: Mapping[str, Any], checkpoint_id: str,
               explicit: bool) -> Members:
        """The job waits to go on from a checkpoint: the named one, else its latest."""
        rules.recoverable(job.status)
        if self._repeated(job, asked):
            return self._answer(connection, job, deduped=True)
        rules.may_resume(job.metadata)
        latest = job.metadata.get("latest_checkpoint_ref") or {}
        named = checkpoint_id or latest.get("id", "")
        if not named:
            raise Refusal("invalid_state", "job has no checkpoint artifact")
        artifact = self._jobs.artifacts.find(connection, named)
        rules.is_checkpoint_of(artifact, job.id)
        action = "resume_checkpoint" if explicit and checkpoint_id else "resume_latest"
        now, kept = connection.clock.text(), job.metadata
        kept.update(resume_checkpoint_ref=rules.short_ref(artifact), restart_from_scratch=False, last_resume_requested_at=now,
                    last_resume_requested_by=asked["operator_id"], last_resume_requested_reason=asked["reason"])
        return self._again(connection, job, "resume", action, asked, "mesh.job.resume_requested", artifact["id"])

    def restart(self, connection: WriteConnection, job: Job, asked: Mapping[str, Any]) -> Members:
        """The job waits to be done from its beginning."""
        rules.recoverable(job.status)
        if self._repeated(job, asked):
            return self._answer(connection, job, deduped=True)
        job.metadata.pop("resume_checkpoint_ref", None)
        job.metadata.update(restart_from_scratch=True, last_restart_at=connection.clock.text(),
                            last_restart_by=asked["operator_id"],
                            last_restart_reason=asked["reason"])
        return self._again(connection, job, "restart", "restart", asked, "mesh.job.restarted", "")

    def _repeated(self, job: Job, asked: Mapping[str, Any]) -> bool:
        """The same request has been carried out already."""
        request_id, before = asked["request_id"], job.metadata.get("recovery_request") or {}
        return bool(request_id) and before.get("request_id") == request_id

    def _again(self, connection: WriteConnection, job: Job, event: str, action: str, asked: Mapping[str, Any], event_type: str,
               checkpoint_id: str) -> Members:
        jobs, now, kept = self._jobs, connection.clock.text(), job.metadata
        message = jobs.queue.of_job(connection, job.id)
        if message is not None and message.status == "inflight":
            raise Refusal("invalid_state", "inflight jobs cannot be recovered")
        job.status = rules.step(job.status, event)
        job.lease_id, job.executor, job.result_ref, job.finished_at = "", "", {}, ""
        job.inline = False
        kept.update(current_attempt_id="", last_recovery_action=action, last_recovery_at=now,
                    last_recovery_by=asked["operator_id"],
                    last_recovery_reason=asked["reason"], retry_scheduled_at=now,
                    budget=max(rules.budget(kept), table.last_number(connection, job.id) + 1))
        if asked["metadata"] or asked["request_id"]:
            kept["recovery_request"] = {**asked["metadata"],
                                        **({"request_id": asked["request_id"]} if asked["request_id"] else {})}
        if message is None:
            message = jobs.enqueue_again(connection, job)
        hold = message.hold or self._unapproved(connection, job)
        jobs.save(connection, job)
        connection.event(event_type, subject=job.id, peer_id=jobs.node_id, request_id=job.request_id, payload={
            "job_id": job.id, "queue_message_id": message.id, "checkpoint_artifact_id": checkpoint_id,
            "operator_id": asked["operator_id"],
            "reason": asked["reason"], "action": action})
        jobs.queue.recover(connection, message, action, asked["reason"], hold)
        return self._answer(connection, job)

    def _answer(self, connection: WriteConnection, job: Job, deduped: bool = False) -> Members:
        message = self._jobs.queue.of_job(connection, job.id)
        shown = self._jobs.message_json(message) if message is not None else {}
        answer = {"status": job.status, "job": self._jobs.json(connection, job), "queue_message": shown}
        return {**answer, "deduped": True} if deduped else answer

    def replay(self, connection: WriteConnection, message: Any, reason: str) -> Members:
        """A dead or cancelled letter is delivered once more, with a fresh budget of attempts."""
        jobs, now = self._jobs, connection.clock.text()
        if message.status not in ("dead_letter", "cancelled"):
            raise Refusal("invalid_state", "only dead_letter or cancelled queue messages may be replayed")
        if message.replay_deadline_at and message.replay_deadline_at <= now:
            raise Refusal("invalid_state", "queue replay window has expired")
        job = self.known(connection, message.job_id)
        if job.status == "checkpointed":
            raise Refusal("invalid_state", "checkpointed jobs require /resume or /restart recovery controls")
        if job.status in ("completed", "rejected"):
            raise Refusal("invalid_state", "completed or rejected jobs cannot be replayed")
        job.status = rules.step(job.status, "replay")
        job.result_ref, job.lease_id, job.finished_at = {}, "", ""
        used = table.last_number(connection, job.id)
        job.metadata.update(current_attempt_id="", replayed_at=now, replay_reason=reason,
                            budget=used + int(job.metadata["retry_policy"]["max_attempts"]))
        hold = self._unapproved(connection, job)
        jobs.save(connection, job)
        jobs.queue.replay(connection, message, reason, hold)
        return {"status": job.status, "job": jobs.json(connection, job), "queue_message": jobs.message_json(message)}

    # --- approvals

    def ask(self, connection: WriteConnection, job: Job) -> Members:
        """Somebody is asked whether the job may be done; what its message waits for.  The caller saves the job."""
        wanted = members(job.metadata.get("approval"), "approval")
        answer = self._jobs.rooms["mesh.approvals"].request(connection, {
            "action_type": APPROVAL, "title": f"Run {job.kind} for {job.origin_peer_id}",
            "summary": text(wanted.get("summary"), "summary", 4000),
            "severity": text(wanted.get("severity"), "severity") or "normal", "related_job_id": job.id,
            "request_id": f"job-approval-{job.id}",
            "expires_at": text(wanted.get("expires_at"), "expires_at"), "requested_by_peer_id": job.origin_peer_id,
            "metadata": {"job_id": job.id}}, afresh=SETTLED)
        job.metadata["approval_id"] = answer["approval"]["id"]
        return {"reason": WAITING, "approval_id": job.metadata["approval_id"]}

    def _unapproved(self, connection: WriteConnection, job: Job) -> Members:
        """What a job waits for that is to be done after all, though nobody has approved it before it was cancelled."""
        asked, granted = job.metadata.get("approval_id"), job.metadata.get("approval_granted_at")
        return self.ask(connection, job) if asked and not granted else {}

    def _withdraw(self, connection: WriteConnection, job: Job) -> None:
        """Nobody is asked any more whether the job may be done."""
        if not job.metadata.get("approval_id"):
            return
        approvals = self._jobs.rooms["mesh.approvals"]
        asked = approvals.find(connection, job.metadata["approval_id"])
        if asked is not None:
            approvals.withdraw(connection, asked["request_id"], "job_cancelled")

    def resolved(self, connection: WriteConnection, job_id: str, approval_id: str, decision: str) -> Members | None:
        """What somebody's decision does to a job that waits for this very approval; None when nothing waits for it."""
        job = table.find(connection, job_id)
        message = self._jobs.queue.of_job(connection, job_id) if job is not None else None
        awaited = {"reason": WAITING, "approval_id": approval_id}
        if job is None or message is None or message.status != "queued" or message.hold != awaited:
            return None
        if decision == "deferred":
            return {"status": "applied", "job_id": job_id, "action": "held"}
        if decision == "approved":
            self._jobs.queue.release(connection, message)
            job.metadata["approval_granted_at"] = connection.clock.text()
            self._jobs.save(connection, job)
            connection.event("mesh.job.approval_granted", subject=job.id, peer_id=self._jobs.node_id, request_id=job.request_id,
                             payload={"job_id": job.id})
            return {"status": "applied", "job_id": job_id, "action": "released"}
        reason = "approval_expired" if decision == "expired" else "approval_rejected"
        self._jobs.queue.cancel(connection, message, reason)
        job.status = rules.step(job.status, "reject")
        job.metadata["reason"] = reason
        self._jobs.finish(connection, job)
        connection.event("mesh.job.rejected", subject=job.id, peer_id=job.origin_peer_id, request_id=job.request_id,
                         payload={"job_id": job.id, "reason": reason})
        return {"status": "applied", "job_id": job_id, "action": "rejected"}
