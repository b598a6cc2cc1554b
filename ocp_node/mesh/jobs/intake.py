"""How a job comes in (OCP 0.1 job intake): who may submit what is judged first, then the job is kept, in the protocol's order.

`judge` works everything out without the database being changed; `keep` is the change.  A repeated request is answered with the
job it made before, whatever else is wrong with it by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed, Refusal
from ..queue import rules as queueing
from ..values import first_integer, members, objects, text, truthy
from . import spec as specs
from . import table
from .spec import Asked
from .table import Job

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Jobs

Members = dict[str, Any]

INLINE_LEASE_SECONDS = 300
LEASE_SECONDS_MAX = 86_400
REQUEST_ID_LENGTH_MAX = 128
PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
OF_A_TASK = frozenset({"mission", "cooperative_task"})


class Judged:
    """What is to become of a submission."""

    __slots__ = ("origin", "request_id", "kind", "document", "refusal", "reason", "asked", "queue_name", "queue_policy",
                 "dedupe_key",
                 "approval", "inline")

    def __init__(self, origin: str, request_id: str, document: Mapping[str, Any]) -> None:
        self.origin = origin
        self.request_id = request_id
        self.document = document
        self.kind = ""
        self.refusal: Refusal | None = None        # nothing is kept
        self.reason = ""                           # kept as rejected
        self.asked: Asked | None = None
        self.queue_name = ""
        self.queue_policy: Members = {}
        self.dedupe_key = ""
        self.approval = False
        self.inline = False


class Intake:
    """The door for jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    # --- judging

    def judge(self, document: Mapping[str, Any], request_id: str, peer: Any = None, from_loopback: bool = True,
              ours: frozenset[str] = frozenset()) -> Judged:
        """What is to become of this job of `peer`, or of our own operator.  Any thread but the loop's: it may read an artifact.

        `ours`: members of its metadata that this node itself has put there.
        """
        judged = Judged(peer.peer_id if peer is not None else self._jobs.node_id, request_id, document)
        try:
            self._judge(judged, peer, from_loopback, ours)
        except Refusal as refusal:
            judged.refusal = refusal
        return judged

    def _judge(self, judged: Judged, peer: Any, from_loopback: bool, ours: frozenset[str]) -> None:
        jobs, document = self._jobs, judged.document
        judged.kind = specs.kind_of(document)
        policy = specs.policy_of(document.get("policy"))
        if peer is not None:
            judged.reason = self._refused(judged.kind, policy, peer, from_loopback)
        seconds_max = jobs.settings.max_job_seconds
        if judged.reason:
            judged.asked = self._as_far_as_it_goes(judged, policy, seconds_max)
            return
        document = judged.document = self.resolved(document, peer)
        asked = judged.asked = specs.asked(document, judged.origin, judged.request_id, seconds_max,
                                           ours or _of_a_task(document, peer))
        self._check_secrets(asked, judged.origin, peer)
        if not set(asked.requirements["capabilities"]) <= set(jobs.manifest.available_names()):
            judged.reason = "requirements_unmet"
            return
        judged.approval = specs.wants_approval(document, asked.policy)
        judged.inline = asked.dispatch_mode == "inline" and not judged.approval
        judged.queue_name = queueing.name_of(document, asked.metadata, asked.requirements["placement"])
        judged.queue_policy = queueing.policy_of(document, asked.metadata, judged.queue_name)
        judged.dedupe_key = queueing.dedupe_key(document, asked.metadata)

    def _refused(self, kind: str, policy: Mapping[str, Any], peer: Any, from_loopback: bool) -> str:
        """Why the peer may not have this done here; "" when it may."""
        peers = self._jobs.peers
        if not peers.may_touch(peer.trust_tier, policy["classification"]):
            return "policy_denied"
        return "remote_execution_denied" if kind in specs.CODE_KINDS and not peers.runs_code(peer, from_loopback) else ""

    def _as_far_as_it_goes(self, judged: Judged, policy: Members, seconds_max: float) -> Asked:
        """A refused job is kept to be looked at; what cannot be read of it is left out."""
        document = judged.document
        try:
            return specs.asked(document, judged.origin, judged.request_id, seconds_max)
        except Refusal:
            plain = specs.asked({"kind": specs.ECHO}, judged.origin, judged.request_id, seconds_max)
            spec = {**plain.spec, "kind": judged.kind, "policy": policy}
            return plain._replace(kind=judged.kind, policy=policy, spec=spec, payload={})

    def resolved(self, document: Mapping[str, Any], peer: Any = None) -> Mapping[str, Any]:
        """The job of `peer`, or of our own operator, with its payload in it where that was named by an artifact of ours."""
        if document.get("payload") is not None:
            return document
        named = text(members(document.get("payload_ref"), "payload_ref").get("id"), "payload_ref.id")
        if not named:
            return document
        with self._jobs.reader.snapshot() as connection:
            artifact = self._jobs.artifacts.find(connection, named)
        if artifact is None:
            raise Refusal("not_found", "artifact not found")
        if peer is not None and not self._may_read(artifact, peer):
            raise Refusal("policy_denied", "artifact policy denies access for peer")
        if artifact["size_bytes"] > PAYLOAD_BYTES_MAX:
            raise Refusal("too_large", "payload artifact too large")
        raw = self._jobs.artifacts.content(artifact)
        try:
            payload = jsontext.parse(raw)
        except Malformed:
            payload = {"raw_text": raw.decode("utf-8", "replace")}
        return {**document, "payload": payload}

    def _may_read(self, artifact: Mapping[str, Any], peer: Any) -> bool:
        classification = artifact["policy"].get("classification", "trusted")
        if artifact["owner_peer_id"] == peer.peer_id:
            return True
        return classification != "private" and bool(self._jobs.peers.may_touch(peer.trust_tier, classification))

    def _check_secrets(self, asked: Asked, origin: str, peer: Any) -> None:
        """A peer's job gets what it brought itself, and what the operator has granted to that peer; nothing else of this node."""
        bindings = asked.spec["runtime_environment"]["secrets"]["bindings"]
        for binding in bindings:
            source = binding["source"]
            if peer is not None and (source in ("env", "file") or source == "store"
                                     and not self._jobs.secret_granted(origin, binding["scope"], binding["name"])):
                raise Refusal("policy_denied", f"secret source not allowed for this peer: {source}")
        if bindings and truthy(asked.metadata.get("strict_secrets")):
            for binding in bindings:
                if binding["source"] == "store" and self._jobs.stored_secret(origin, binding["scope"], binding["name"]) is None:
                    raise Refusal("not_found", f"secret not found: {binding['scope']}/{binding['name']}")

    # --- keeping

    def known(self, connection: Any, judged: Judged) -> Job | None:
        """The job that this request has made before."""
        return table.by_request(connection, judged.origin, judged.request_id)

    def again(self, connection: Any, job: Job) -> Members:
        """The answer to a repeated request."""
        return {"status": job.status, "job": self._jobs.json(connection, job) | {"deduped": True}}

    def keep(self, connection: WriteConnection, judged: Judged) -> Members:
        """The job is kept as judged: rejected, waiting in its queue, or running for a caller that waits."""
        earlier = self.known(connection, judged)
        if earlier is not None:
            return self.again(connection, earlier)
        if judged.refusal is not None:
            raise judged.refusal
        if judged.reason:
            return self._reject(connection, judged)
        if judged.inline:
            return self._begin(connection, judged)
        return self._enqueue(connection, judged)

    def _reject(self, connection: WriteConnection, judged: Judged) -> Members:
        asked = judged.asked
        assert asked is not None
        metadata: Members = {"reason": judged.reason}
        if judged.reason == "requirements_unmet":
            metadata["job_spec"] = None
        job = self._made(connection, judged, "rejected", metadata)
        if judged.reason != "requirements_unmet":
            job.requirements = dict(given) if isinstance(given := judged.document.get("requirements"), dict) else {}
        job.finished_at = job.created_at
        table.add(connection, job)
        self._told(connection, job, "rejected", reason=judged.reason)
        return {"status": "rejected", "job": self._jobs.json(connection, job)}

    def _enqueue(self, connection: WriteConnection, judged: Judged) -> Members:
        jobs, asked = self._jobs, judged.asked
        assert asked is not None
        if judged.dedupe_key:
            live = jobs.queue.same_key(connection, judged.origin, judged.queue_name, judged.dedupe_key)
            if live is not None:
                return self._deduped(connection, live, judged.request_id)
        metadata = {**asked.metadata, "job_spec": None, "dispatch_mode": "queued", "queue_name": judged.queue_name,
                    "queue_policy": judged.queue_policy}
        if judged.dedupe_key:
            metadata["dedupe_key"] = judged.dedupe_key
        job = self._made(connection, judged, "queued", metadata)
        table.add(connection, job)
        self._seal(connection, job, asked)
        hold = jobs.recovery.ask(connection, job) if judged.approval else {}
        if hold:
            table.save(connection, job)
        self._told(connection, job, "queued", kind=job.kind, dispatch_mode="queued")
        message = jobs.queue.enqueue(connection, job, judged.queue_name, judged.queue_policy, judged.dedupe_key, hold,
                                     _priority(metadata))
        return {"status": "queued", "job": jobs.json(connection, job), "queue_message": jobs.message_json(message)}

    def _deduped(self, connection: WriteConnection, message: Any, request_id: str) -> Members:
        job = table.find(connection, message.job_id)
        assert job is not None                           # a message goes with its job
        self._jobs.queue.deduped(connection, message, request_id)
        return {"status": job.status, "job": self._jobs.json(connection, job), "deduped": True}

    def _begin(self, connection: WriteConnection, judged: Judged) -> Members:
        """The job runs while its submitter waits, under a lease of the submitter's."""
        jobs, asked, document = self._jobs, judged.asked, judged.document
        assert asked is not None
        metadata = {"submitted_by": judged.origin, **asked.metadata, "job_spec": None}
        if asked.spec["kind"] in specs.RUNTIMES:
            metadata["run"] = jobs.foreseen()
        job = self._made(connection, judged, "running", metadata)
        seconds = max(first_integer((document.get("ttl_seconds"), "ttl_seconds"), default=INLINE_LEASE_SECONDS),
                      asked.spec["execution"]["timeout_seconds"])
        lease = jobs.lease(connection, text(document.get("resource"), "resource", 500) or f"job:{job.id}", judged.origin,
                           text(document.get("agent_id"), "agent_id"), job.id, min(seconds, LEASE_SECONDS_MAX),
                           {"request_id": judged.request_id, "job_kind": job.kind})
        job.lease_id, job.inline = lease.id, True
        table.add(connection, job)
        self._seal(connection, job, asked)
        self._told(connection, job, "accepted", kind=job.kind)
        return {"status": "running", "job": job}

    def _made(self, connection: WriteConnection, judged: Judged, status: str, metadata: Members) -> Job:
        asked, now = judged.asked, connection.clock.text()
        assert asked is not None
        document = judged.document
        payload = {} if document.get("payload_ref") and "payload" not in document else asked.payload
        return Job(inline=False, payload_inline=jsontext.ascii_text(payload), spec=jsontext.ascii_text(asked.spec),
                   id=connection.ids.uuid(),
                   request_id=judged.request_id, origin_peer_id=judged.origin, target_peer_id=self._jobs.node_id, kind=asked.kind,
                   status=status, requirements=asked.requirements, policy=asked.policy,
                   payload_ref=members(document.get("payload_ref"), "payload_ref"),
                   artifact_inputs=objects(document.get("artifact_inputs"), "artifact_inputs"), metadata=metadata, result_ref={},
                   lease_id="", executor="", created_at=now, updated_at=now, finished_at="")

    def _seal(self, connection: WriteConnection, job: Job, asked: Asked) -> None:
        for variable, value in asked.secrets.items():
            table.put_secret(connection, job.id, variable, self._jobs.sealed(job.id, variable, value))

    def _told(self, connection: WriteConnection, job: Job, event: str, **payload: object) -> None:
        connection.event(f"mesh.job.{event}", subject=job.id, peer_id=job.origin_peer_id, request_id=job.request_id,
                         payload={"job_id": job.id, **payload})


def _of_a_task(document: Mapping[str, Any], peer: Any) -> frozenset[str]:
    """A trusted peer's shard of a cooperative task keeps what names the task and its mission."""
    metadata = document.get("metadata")
    task = metadata.get("cooperative_task") if isinstance(metadata, dict) else None
    trusted = peer is not None and peer.trust_tier == "trusted"
    return OF_A_TASK if trusted and isinstance(task, dict) and task.get("task_id") else frozenset()


def _priority(metadata: Mapping[str, Any]) -> str:
    mission = metadata.get("mission")
    return str(mission.get("priority") or "normal") if isinstance(mission, dict) else "normal"
