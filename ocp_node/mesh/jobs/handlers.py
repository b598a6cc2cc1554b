"""What may be asked of jobs, and by whom: an operator, a peer's signed envelope, or a worker's operator on its behalf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply, Wait, Write
from ..operators import require_operator
from ..queue.rules import lease_seconds
from ..values import boolean, integer, members, text
from . import spec, table
from .intake import REQUEST_ID_LENGTH_MAX
from .package import RESULT_BYTES_MAX, Package
from .table import attempt_json

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .recovery import Recovery
    from .room import Jobs

Members = dict[str, Any]
REASON_LENGTH_MAX = 2_000
HEARTBEAT_SECONDS = 300
ATTEMPT_METADATA_MAX = 256 * 1024


def _path(call: Call) -> str:
    return call.target.partition("?")[0]


def _is_envelope(document: Mapping[str, Any]) -> bool:
    return "request" in document and "body" in document


# --- submitting

def submit(room: Jobs, call: Call) -> Wait | Write:
    """POST /mesh/jobs/submit: a peer's envelope, or the operator's own job in one of two plain forms."""
    document = call.body.document
    if _is_envelope(document):
        signed = room.envelopes.open(_path(call), document)
        job = _ours(room, members(signed.body.get("job"), "job"))
        judged = room.intake.judge(job, signed.request_id, signed.peer, call.caller.loopback)

        def keep(connection: WriteConnection) -> Members:
            room.envelopes.claim(connection, signed)
            return room.intake.keep(connection, judged)
    else:
        require_operator(room.core, call)
        plain = document["job"] if isinstance(document.get("job"), dict) else document
        request_id = text(document.get("request_id"), "request_id", REQUEST_ID_LENGTH_MAX) or room.ids.hex(32)
        judged = room.intake.judge(spec.lifted(plain), request_id)

        def keep(connection: WriteConnection) -> Members:
            return room.intake.keep(connection, judged)

    if judged.inline and judged.refusal is None and not _known(room, judged):
        room.prepare()
        return room.inline.wait(judged, keep, lambda answer: room.shown(answer, call.caller))
    return Write(keep, lambda answer: _kept(room, call, answer))


def schedule(room: Jobs, call: Call) -> Reply:
    """POST /mesh/jobs/schedule: the operator's job goes to the best node for it."""
    from ..scheduler.scheduling import wanted
    asked = wanted(call.body, room.ids.hex(32), call.caller.loopback)
    return Reply(room.shown(room.rooms["mesh.scheduler"].scheduling.schedule(asked), call.caller))


def _ours(room: Jobs, job: Members) -> Members:
    """The job, which is not aimed at another node: nobody hands on here what was signed for that one."""
    if (text(job.get("target"), "job.target") or room.node_id) != room.node_id:
        raise Refusal("policy_denied", "job is for another node")
    return job


def _known(room: Jobs, judged: Any) -> bool:
    """A repeated request needs no place to run: it is answered as it stands, unless it still runs."""
    with room.reader.snapshot() as connection:
        earlier = room.intake.known(connection, judged)
    return earlier is not None and earlier.status not in ("running", "resuming")


def _kept(room: Jobs, call: Call, answer: Members) -> Reply:
    return Reply(room.shown(answer, call.caller))


# --- the operator's hand

def _ordered(room: Jobs, call: Call) -> tuple[Members, Any]:
    """The body of an order about a job, and the envelope it came in; None from an operator."""
    document = call.body.document
    if not _is_envelope(document):
        require_operator(room.core, call)
        return document, None
    signed = room.envelopes.open(_path(call), document)
    return dict(signed.body), signed


def _for_job(room: Jobs, call: Call, signed: Any, act: Any) -> Write | Reply:
    """`act(recovery, connection, job)` for the job of the path; a peer's order is taken for its own jobs only, and an operator's
    about a job that a peer has goes on to that peer."""
    job_id = call.path["job_id"]
    at_peer = room.at_peer(job_id) if signed is None else None
    if at_peer is not None:
        verb = _path(call).rpartition("/")[2]
        answer = room.dispatch.control(at_peer.peer_id, job_id, verb, call.body.document, loopback=call.caller.loopback or None)
        return _kept(room, call, answer)
    recovery: Recovery = room.recovery

    def change(connection: WriteConnection) -> Members:
        if signed is not None:
            room.envelopes.claim(connection, signed)
        job = recovery.known(connection, job_id)
        if signed is not None and job.origin_peer_id != signed.node_id:
            raise Refusal("not_found", "job not found")
        answer: Members = act(recovery, connection, job)
        return answer

    return Write(change, lambda answer: _kept(room, call, answer))


def cancel(room: Jobs, call: Call) -> Write | Reply:
    """POST /mesh/jobs/{job_id}/cancel."""
    body, signed = _ordered(room, call)
    reason, operator = text(body.get("reason"), "reason", REASON_LENGTH_MAX), _operator(body, signed)
    return _for_job(room, call, signed, lambda recovery, connection, job: recovery.cancel(connection, job, reason, operator))


def resume(room: Jobs, call: Call) -> Write | Reply:
    """POST /mesh/jobs/{job_id}/resume."""
    body, signed = _ordered(room, call)
    asked = _recovery(body, signed, "operator_resume_latest")
    return _for_job(room, call, signed, lambda recovery, connection, job: recovery.resume(connection, job, asked, "", False))


def resume_from_checkpoint(room: Jobs, call: Call) -> Write | Reply:
    """POST /mesh/jobs/{job_id}/resume-from-checkpoint."""
    body, signed = _ordered(room, call)
    asked = _recovery(body, signed, "operator_resume_checkpoint")
    reference = members(body.get("checkpoint_ref"), "checkpoint_ref")
    named = (text(body.get("checkpoint_artifact_id"), "checkpoint_artifact_id") or text(reference.get("id"), "checkpoint_ref.id")
             or text(reference.get("artifact_id"), "checkpoint_ref.artifact_id"))
    return _for_job(room, call, signed, lambda recovery, connection, job: recovery.resume(connection, job, asked, named, True))


def restart(room: Jobs, call: Call) -> Write | Reply:
    """POST /mesh/jobs/{job_id}/restart."""
    body, signed = _ordered(room, call)
    asked = _recovery(body, signed, "operator_restart")
    return _for_job(room, call, signed, lambda recovery, connection, job: recovery.restart(connection, job, asked))


def _operator(body: Mapping[str, Any], signed: Any) -> str:
    """Who gives the order; a peer under its own name only."""
    return text(body.get("operator_id"), "operator_id") if signed is None else signed.node_id


def _recovery(body: Mapping[str, Any], signed: Any, reason: str) -> Members:
    return {"operator_id": _operator(body, signed), "reason": text(body.get("reason"), "reason", REASON_LENGTH_MAX) or reason,
            "metadata": members(body.get("metadata"), "metadata"),
            "request_id": text(body.get("request_id"), "request_id", REQUEST_ID_LENGTH_MAX)}


# --- attempts

def attempt_heartbeat(room: Jobs, call: Call) -> Write:
    """POST /mesh/jobs/attempts/{attempt_id}/heartbeat."""
    body, attempt_id = call.body, call.path["attempt_id"]
    seconds = lease_seconds(integer(body.ttl_seconds, "ttl_seconds"), HEARTBEAT_SECONDS)
    metadata, worker_id = _metadata(body.metadata), text(body.worker_id, "worker_id")

    def change(connection: WriteConnection) -> Members:
        attempt = room.attempts.heartbeat(connection, attempt_id, seconds, metadata, worker_id)
        return {"status": "ok", "attempt": attempt_json(attempt)}

    return Write(change, lambda answer: _kept(room, call, answer))


def attempt_complete(room: Jobs, call: Call) -> Write:
    """POST /mesh/jobs/attempts/{attempt_id}/complete."""
    body, attempt_id = call.body, call.path["attempt_id"]
    worker_id, executor = text(body.worker_id, "worker_id"), text(body.executor, "executor")
    metadata, media_type = _metadata(body.metadata), text(body.media_type, "media_type")
    attempt, job = _held(room, attempt_id)
    package = None
    if attempt.status in ("claimed", "running"):
        if len(room.artifacts.json_bytes(body.result)) > RESULT_BYTES_MAX:
            raise Refusal("too_large", "result too large")
        package = Package(room, job, attempt_id, executor or attempt.executor or attempt.worker_id).store(body.result, media_type,
                                                                                                          about=metadata)
    return Write(lambda connection: room.attempts.complete(connection, attempt_id, executor, metadata, package, worker_id),
                 lambda answer: _kept(room, call, answer))


def attempt_fail(room: Jobs, call: Call) -> Write:
    """POST /mesh/jobs/attempts/{attempt_id}/fail."""
    body, attempt_id = call.body, call.path["attempt_id"]
    worker_id, metadata = text(body.worker_id, "worker_id"), _metadata(body.metadata)
    error = text(body.error, "error", 64 * 1024) or "job attempt failed"
    retryable = boolean(body.retryable, "retryable", True)
    _held(room, attempt_id)
    left, named = metadata.pop("checkpoint", None), metadata.pop("checkpoint_ref", None)
    blob = room.artifacts.put(room.artifacts.json_bytes(left)) if left is not None else None
    chance = room.ids.bytes(1)[0] / 255

    def change(connection: WriteConnection) -> Members:
        attempt, job, message = room.attempts.current(connection, attempt_id, worker_id)
        checkpoint: Members = {}
        if room.attempts.step(connection, "fail", attempt, job, message):
            checkpoint = room.attempts.checkpoint(connection, job, attempt_id, error, blob, named)
        return room.attempts.fail(connection, attempt_id, error, retryable, metadata, checkpoint, worker_id, chance)

    return Write(change, lambda answer: _kept(room, call, answer))


def _held(room: Jobs, attempt_id: str) -> tuple[table.Attempt, table.Job]:
    with room.reader.snapshot() as connection:
        attempt = table.attempt(connection, attempt_id)
        job = table.find(connection, attempt.job_id) if attempt is not None else None
    if attempt is None or job is None:
        raise Refusal("not_found", "job attempt not found")
    return attempt, job


def _metadata(value: object) -> Members:
    found = dict(members(value, "metadata"))
    if len(repr(found)) > ATTEMPT_METADATA_MAX:
        raise Refusal("invalid_request", f"metadata must be at most {ATTEMPT_METADATA_MAX} bytes")
    return found
