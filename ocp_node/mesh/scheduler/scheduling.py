"""Placing a job: chosen, decided, handed over (OCP 0.1 scheduling).

A request is placed once: repeated, it is answered with the job that it made before, and one that a crash has interrupted goes on
to the place where it may have arrived.  What a peer does not take goes to the next best place; where it is not known whether a
peer has taken it, nothing else is tried, for the job would be done twice.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...http.calls import CallRefusal
from ..jobs import spec
from ..jobs.intake import REQUEST_ID_LENGTH_MAX
from ..values import boolean, members, text
from . import choosing, scoring, table
from .choosing import Choosing
from .placement import job_of
from .scoring import Candidate

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

Members = dict[str, Any]

CANDIDATES_KEPT = 50
CANDIDATES_TOLD = 10
PLACES_TRIED_MAX = 3
BEFORE_SECONDS = 60.0                # how long a repeated request waits for the first one
# Unless it is unknown what became of the call, the peer has answered, or was not there at all: it does not do the job.
NOT_TAKEN = frozenset({"peer_unreachable", "peer_refused", "peer_timeout"})


class Wanted(NamedTuple):
    """What is to be placed."""
    job: Members
    request_id: str
    preferred_peer_id: str = ""
    allow_local: bool = True
    allow_remote: bool = True
    loopback: bool | None = None
    ours: frozenset[str] = frozenset()          # members of the job's metadata that this node itself has put there


def wanted(body: Any, request_id: str, loopback: bool) -> Wanted:
    """What an operator's body asks for; `Refusal` for members of the wrong kind."""
    job = spec.lifted(members(body.job, "job"))
    spec.kind_of(job)
    return Wanted(job, text(body.request_id, "request_id", REQUEST_ID_LENGTH_MAX) or request_id,
                  text(body.preferred_peer_id, "preferred_peer_id"), boolean(body.allow_local, "allow_local", True),
                  boolean(body.allow_remote, "allow_remote", True), loopback or None)


class Scheduling:
    """Places jobs.  All of it blocks: for long requests."""

    def __init__(self, core: Core, rooms: Rooms, choosing: Choosing) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        self._choosing = choosing
        self._going: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def schedule(self, asked: Wanted) -> Members:
        """The job is at the best place there is: its status, the decision, the job, and the whole answer of that place."""
        with self._alone(asked.request_id):
            with self._core.reader.snapshot() as connection:
                earlier = table.by_request(connection, asked.request_id)
            known = self._known(earlier) if earlier is not None and earlier["job_id"] else None
            if known is not None:
                return known
            target = text(asked.job.get("target"), "job.target")
            if earlier is not None and earlier["status"] == "placed" and earlier["target_type"] == "peer":
                return self._named(asked, earlier["peer_id"])
            place = self._where(asked.request_id) if earlier is None else ""
            if place == self._node_id:
                here = self._choosing.candidates(job_of(asked.job), allow_remote=False)
                return self._here(asked, self._decision(asked, here, here[0]))
            target = place or target
            return self._named(asked, target) if target and target != self._node_id else self._selected(asked)

    def _where(self, request_id: str) -> str:
        """The node that has the job of a request without a decision, which is forgotten or never was; "" when there is none."""
        with self._core.reader.snapshot() as connection:
            if self._rooms["mesh.jobs"].made(connection, request_id) is not None:
                return self._node_id
            job = self._rooms["mesh.dispatch"].sent(connection, request_id)
        return job.peer_id if job is not None else ""

    @contextlib.contextmanager
    def _alone(self, request_id: str) -> Iterator[None]:
        """Of several requests under one name each waits for the one before it."""
        done = threading.Event()
        while True:
            with self._lock:
                before = self._going.setdefault(request_id, done)
            if before is done:
                break
            if not before.wait(BEFORE_SECONDS):
                raise Refusal("busy", "the same request is being placed", headers=(("Retry-After", "5"),))
        try:
            yield
        finally:
            with self._lock:
                del self._going[request_id]
            done.set()

    def _known(self, decision: Mapping[str, Any]) -> Members | None:
        """The answer to a request that was placed before; None when its job is forgotten."""
        if decision["target_type"] == "peer":
            found = self._rooms["mesh.dispatch"].status_of(decision["peer_id"], [decision["job_id"]]).get(decision["job_id"])
        else:
            with self._core.reader.snapshot() as connection:
                job = self._rooms["mesh.jobs"].find(connection, decision["job_id"])
                found = self._rooms["mesh.jobs"].json(connection, job) if job is not None else None
        if found is None:
            return None
        return _answer(decision, {"status": found["status"], "job": found | {"deduped": True}})

    # --- a peer that is named

    def _named(self, asked: Wanted, peer_id: str) -> Members:
        job, peer = job_of(asked.job), self._rooms["mesh.peers"].find(peer_id)
        barred = scoring.barred(peer, job) if peer is not None else ""
        decision = choosing.explicit(self._core.ids.uuid(), asked.request_id, job.kind, job.placement, peer_id, barred,
                                     self._core.clock.text())
        self._core.writer.run(lambda connection: table.add(connection, decision))
        if barred:
            raise Refusal("policy_denied", f"the job may not go to {peer_id}: {barred}", {"peer_id": peer_id, "reason": barred})
        return self._sent(asked, decision)

    # --- the best place

    def _selected(self, asked: Wanted) -> Members:
        job = job_of(asked.job)
        found = self._choosing.candidates(job, asked.allow_local, asked.allow_remote, asked.preferred_peer_id)
        eligible = [each for each in found if not each.refused][:PLACES_TRIED_MAX]
        if not eligible:
            decision = self._decision(asked, found, None)
            self._core.writer.run(lambda connection: self._keep_unplaced(connection, decision))
            raise Refusal("no_target", "no eligible execution target found", {"decision_id": decision["id"]})
        for left, chosen in zip(range(len(eligible) - 1, -1, -1), eligible):
            decision = self._decision(asked, found, chosen)
            try:
                return self._here(asked, decision) if chosen.target_type == "local" else self._there(asked, decision)
            except Refusal as refusal:
                if chosen.target_type == "local" or not _not_taken(refusal) or not left:
                    raise
        raise AssertionError("the last place is taken, or refuses")

    def _decision(self, asked: Wanted, found: list[Candidate], chosen: Candidate | None) -> Members:
        job = job_of(asked.job)
        return choosing.placed(self._core.ids.uuid(), asked.request_id, job.kind, job.placement, found, chosen,
                               self._core.clock.text(), CANDIDATES_KEPT)

    def _keep_unplaced(self, connection: WriteConnection, decision: Members) -> None:
        table.add(connection, decision)
        connection.event("mesh.scheduler.unplaced", peer_id=self._node_id, request_id=decision["request_id"], payload={
            "decision_id": decision["id"], "job_kind": decision["job_kind"], "placement": decision["placement"],
            "candidates": decision["candidates"][:CANDIDATES_TOLD]})

    def _keep_placed(self, connection: WriteConnection, decision: Members) -> None:
        table.add(connection, decision)
        connection.event("mesh.scheduler.decision", peer_id=decision["peer_id"], request_id=decision["request_id"], payload={
            "decision_id": decision["id"], "job_kind": decision["job_kind"], "target_type": decision["target_type"],
            "score": decision["score"], "reasons": decision["selected"]["reasons"], "placement": decision["placement"]})

    def _here(self, asked: Wanted, decision: Members) -> Members:
        """The job is this node's, in one change with the decision."""
        jobs = self._rooms["mesh.jobs"]
        judged = jobs.intake.judge(asked.job, asked.request_id, ours=asked.ours)

        def keep(connection: WriteConnection) -> Members:
            self._keep_placed(connection, decision)
            answer: Members = jobs.submit_local(connection, judged)
            job = answer["job"]
            table.set_job(connection, decision["id"], job["id"] if isinstance(job, dict) else job.id)
            return answer

        try:
            return _answer(decision, jobs.carry_out(judged, keep))
        except Refusal as refusal:
            error = refusal.message
            if "job" not in refusal.detail:
                self._core.writer.run(lambda connection: self._keep_failed(connection, decision, error))
            raise

    def _keep_failed(self, connection: WriteConnection, decision: Members, error: str) -> None:
        self._keep_placed(connection, decision)
        table.set_failed(connection, decision["id"], error)

    def _there(self, asked: Wanted, decision: Members) -> Members:
        """The job is a peer's; the decision stands before it is sent, so that a crash does not make it forgotten."""
        self._core.writer.run(lambda connection: self._keep_placed(connection, decision))
        return self._sent(asked, decision)

    def _sent(self, asked: Wanted, decision: Members) -> Members:
        writer, decision_id = self._core.writer, decision["id"]
        try:
            answer = self._rooms["mesh.dispatch"].send(decision["peer_id"], asked.job, asked.request_id, loopback=asked.loopback)
        except Refusal as refusal:
            error, job = refusal.message, refusal.detail.get("job")
            if isinstance(job, dict):
                writer.run(lambda connection: table.set_job(connection, decision_id, job["id"]))
            elif not _lost(refusal):
                writer.run(lambda connection: table.set_failed(connection, decision_id, error))
            raise
        writer.run(lambda connection: table.set_job(connection, decision_id, answer["job"]["id"]))
        return _answer(decision, answer)


def _lost(refusal: Refusal) -> bool:
    """Is it unknown whether the peer has the job?"""
    return refusal.lost if isinstance(refusal, CallRefusal) else refusal.code == "peer_timeout"


def _not_taken(refusal: Refusal) -> bool:
    """Is it certain that the peer does not do the job?"""
    return refusal.code in NOT_TAKEN and "job" not in refusal.detail and not _lost(refusal)


def _answer(decision: Mapping[str, Any], response: Members) -> Members:
    shown = {name: decision[name] for name in ("status", "strategy", "placement", "selected", "candidates")}
    return {"status": response["status"], "decision": {**shown, "decision_id": decision["id"]}, "job": response["job"],
            "response": response}
