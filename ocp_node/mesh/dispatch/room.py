"""Jobs that peers do for this node: sent once, remembered, followed until they end, and steered (OCP 0.1 cross-peer dispatch).

    answer = dispatch.send(peer_id, job, request_id)              # the peer's {"status", "job"}; remembered
    dispatch.control(peer_id, job_id, "cancel", {"reason": "…"})  # a signed order about a job of ours
    dispatch.status_of(peer_id, job_ids)                          # how they stand, looked up within two seconds
    dispatch.on_changed(act)                                      # act(connection, peer_id, job): inside the change that notes it

They block: for long requests and tickers.  A request has one name everywhere: sent twice it is one job at the peer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...base.errors import Refusal
from ...base.limits import OUTBOUND_ANSWER_BYTES_MAX
from ...core import Core, Rooms
from ...http.calls import ERROR_TEXT_MAX, CallRefusal
from ..fitting import size
from ..jobs.spec import policy_of
from ..peers.peer import Peer
from . import rules, table
from .table import RemoteJob

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .following import Following

Members = dict[str, Any]
Changed = Callable[[Any, str, Members], None]        # connection, peer id, the job as the peer shows it

SUBMIT = "/mesh/jobs/submit"
URLS_TRIED_MAX = 3
CONTROL_SECONDS = 8.0
SNAPSHOT_READ_MAX = 1024 * 1024
# A node on this machine shows us the job with its payload, as it does every reader there: three times, at the worst.
SNAPSHOT_NEAR_MAX = 32 * 1024 * 1024
ANSWER_TIMES_MAX = 4                  # the answer to a job may repeat it so often
NOTHING_SENT = frozenset({"peer_unreachable", "invalid_request"})    # or broken off: another address may lead to the peer


class Dispatch:
    """The way of a job to a peer, and what is known of it there."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id
        self._changed: tuple[Changed, ...] = ()
        self._following: Following | None = None
        with core.reader.snapshot() as connection:
            left_open = bool(table.open_jobs(connection, 1))
        if left_open:
            self.following  # noqa: B018

    @property
    def following(self) -> Following:
        """Who looks after jobs that are still open; made with the first of them."""
        if self._following is None:
            from .following import Following
            self._following = Following(self.core, self._rooms, self)
        return self._following

    def on_changed(self, act: Changed) -> None:
        """`act` is part of every change that notes another state of a job at a peer."""
        self._changed = (*self._changed, act)

    # --- sending

    def send(self, peer_id: str, job: Mapping[str, Any], request_id: str, *, base_url: str = "", timeout: float | None = None,
             loopback: bool | None = None) -> Members:
        """The peer has the job: its status there, and the job.  `Refusal` peer_refused, peer_unreachable or peer_timeout when
        it has not, or it is not known whether it has; the same request may be sent again then, to the same peer.  A
        `CallRefusal` that is `lost` leaves open whether it has.  What takes longer than a call is followed.

        What is private or trusted goes to trusted peers and partners only, whoever names the peer.
        """
        peer = self._peer(peer_id)
        if not self._rooms["mesh.peers"].may_touch(peer.trust_tier, policy_of(job.get("policy"))["classification"]):
            raise Refusal("policy_denied", f"job policy does not let it go to peer {peer_id}", {"peer_id": peer_id})
        seconds = timeout or rules.seconds_for(job)
        body = {"job": rules.prepared(self._whole(job, peer), peer_id, self._node_id, seconds)}
        try:
            answer = self._ask(peer, SUBMIT, body, seconds, request_id, base_url, loopback)
        except CallRefusal as refusal:
            answer = self._as_taken(peer, refusal, body, request_id, base_url, loopback)
        made = rules.answered(answer, peer_id)
        self.core.writer.run(lambda connection: self._sent(connection, made, peer_id, request_id))
        again = {"deduped": True} if answer.get("deduped") is True or answer["job"].get("deduped") is True else {}
        return {"status": made["status"], "job": rules.shown(made, peer_id) | again, **_message(answer), **again}

    def _whole(self, job: Mapping[str, Any], peer: Peer) -> Mapping[str, Any]:
        """The job with its payload in it, where that is named by an artifact that this node has: the peer may not have it.

        `Refusal("policy_denied")` when the peer may not read that artifact.
        """
        try:
            found: Mapping[str, Any] = self._rooms["mesh.jobs"].intake.resolved(job, peer)
        except Refusal as refusal:
            if refusal.code != "not_found":
                raise
            return job
        return found

    def _peer(self, peer_id: str) -> Peer:
        peer: Peer | None = self._rooms["mesh.peers"].find(peer_id)
        if peer is None:
            raise Refusal("not_found", "peer endpoint_url is unavailable", {"peer_id": peer_id})
        if peer.trust_tier == "blocked":
            raise Refusal("policy_denied", f"peer {peer_id} is blocked", {"peer_id": peer_id})
        return peer

    def _as_taken(self, peer: Peer, refusal: CallRefusal, body: Members, request_id: str, base_url: str,
                  loopback: bool | None) -> Members:
        """The peer's answer to the same request once more, when it did take the job: it works on it longer than the call lasted,
        or the answer was lost.  The refusal otherwise; with the job in it when that was done there and failed."""
        failed = refusal.detail.get("peer_status") == 400 and rules.waits_for(body["job"])
        if not failed and refusal.code not in ("peer_timeout", "peer_unreachable"):
            raise refusal
        try:
            answer = self._asked_again(peer, request_id, base_url, loopback, size(body))
            made = rules.answered(answer, peer.peer_id)
        except Refusal as second:
            if refusal.code == "peer_unreachable" and second.detail.get("peer_status") == 400:
                refusal.lost = False                  # it had broken off, is there again, and knows of no such request
            raise refusal from None
        if not failed:
            return answer
        self.core.writer.run(lambda connection: self._sent(connection, made, peer.peer_id, request_id))
        raise Refusal(refusal.code, refusal.message, {**refusal.detail, "job": rules.shown(made, peer.peer_id)})

    def _asked_again(self, peer: Peer, request_id: str, base_url: str, loopback: bool | None, sent_bytes: int = 0) -> Members:
        """The peer's answer to a request that it has had before.

        Nothing of the job stands in this one, so that a peer that does not know it makes no job of it.
        """
        body = {"job": {"target": peer.peer_id}}
        return self._ask(peer, SUBMIT, body, rules.READ_SECONDS, request_id, base_url, loopback, sent_bytes)

    def _ask(self, peer: Peer, path: str, body: Mapping[str, Any], seconds: float, request_id: str, base_url: str,
             loopback: bool | None, sent_bytes: int = 0) -> Members:
        """The peer's answer to a signed body, by the first of its addresses that leads anywhere; the only one is tried twice.

        A body names its peer, or a job that only that peer has, so another node at an old address of it does nothing; and what
        has arrived although its answer was lost is answered, not done again.
        """
        calls = self._rooms["mesh.calls"]
        urls = [calls.base_url(base_url)] if base_url else peer.base_urls[:URLS_TRIED_MAX] or [calls.url_of(peer)]
        known = peer.metadata.get("reached_on_loopback")
        urls = urls if len(urls) > 1 else urls * 2
        bytes_max = max(OUTBOUND_ANSWER_BYTES_MAX, ANSWER_TIMES_MAX * max(sent_bytes, size(body)))
        lost = set[str]()                             # where it may have arrived
        for left, url in zip(range(len(urls) - 1, -1, -1), urls):
            try:
                found: Members = calls.signed(url, path, body, seconds, request_id=request_id,
                                              loopback=loopback or url == known or None, bytes_max=bytes_max,
                                              certificate=calls.certificate(peer, url))
                return found
            except Refusal as refusal:
                if isinstance(refusal, CallRefusal) and refusal.lost:
                    lost.add(url)
                elif refusal.code == "peer_refused":
                    lost.discard(url)
                if refusal.code not in NOTHING_SENT or not left:
                    raise told(refusal, peer.peer_id, bool(lost)) from None
        raise AssertionError("a peer has an address, or was refused before")

    # --- remembering, inside a change

    def _sent(self, connection: WriteConnection, made: Members, peer_id: str, request_id: str) -> None:
        known = table.find(connection, made["id"])
        if known is not None and known.peer_id != peer_id or self._rooms["mesh.jobs"].find(connection, made["id"]) is not None:
            raise Refusal("peer_unreachable", "the peer's answer names a job of another node", {"peer_id": peer_id})
        now = connection.clock.text()
        if known is None:
            connection.event("mesh.job.sent", subject=made["id"], peer_id=peer_id, request_id=request_id, payload={
                "job_id": made["id"], "job_kind": made["kind"], "status": made["status"]})
            table.put(connection, RemoteJob(made["id"], peer_id, request_id[:300], made["kind"][:200], made["status"],
                                            made["status"] not in rules.SETTLED, made, now, now))
            if made["status"] not in rules.SETTLED:
                connection.after_commit(lambda: self.following.watch(peer_id, made["id"]))
        else:
            self.note(connection, peer_id, made)

    def note(self, connection: WriteConnection, peer_id: str, made: Members) -> None:
        """What the peer now shows of a job that it has for us; who follows the job hears of it in this change."""
        known = table.find(connection, made["id"])
        if known is None or known.peer_id != peer_id:
            return
        still = made["status"] not in rules.SETTLED
        if known.status == made["status"] and rules.same(known.snapshot, made):
            return
        table.put(connection, known._replace(status=made["status"], open=still, snapshot=made,
                                             updated_at=connection.clock.text()))
        if still:
            connection.after_commit(lambda: self.following.watch(peer_id, made["id"]))
        if known.status != made["status"]:
            connection.event("mesh.job.remote_changed", subject=made["id"], peer_id=peer_id, request_id=known.request_id,
                             payload={"job_id": made["id"], "status": made["status"], "previous_status": known.status})
        from ..cooperative_tasks import tracking as tasks  # without their room, which nobody may have asked for
        tasks.job_changed(connection, made["id"], made["status"])
        for act in self._changed:
            act(connection, peer_id, made)

    def note_status(self, connection: WriteConnection, peer_id: str, job_id: str, status: str, why: str = "") -> None:
        """Only so much is known of the job: how it stands, and why it is shown so."""
        known = table.find(connection, job_id)
        if known is not None and known.peer_id == peer_id and known.open and known.status != status:
            self.note(connection, peer_id, {**known.snapshot, "status": status,
                                            "recovery": {**known.snapshot["recovery"], "state": status},
                                            **({"resolution_error": why} if why else {})})

    # --- steering

    def control(self, peer_id: str, job_id: str, verb: str, body: Mapping[str, Any], *, loopback: bool | None = None) -> Members:
        """The peer's answer to an order about a job of ours there: `cancel`, `resume`, `restart`, `resume-from-checkpoint`."""
        assert verb in rules.VERBS, verb
        path = f"/mesh/jobs/{quote(job_id, safe='')}/{verb}"
        named = {"request_id": self.core.ids.hex(32), **body}
        peer = self._peer(peer_id)
        near = SNAPSHOT_NEAR_MAX // ANSWER_TIMES_MAX if peer.metadata.get("reached_on_loopback") else 0
        answer = self._ask(peer, path, named, CONTROL_SECONDS, "", "", loopback, near)
        made = rules.answered(answer, peer_id)
        if made["id"] != job_id:
            raise Refusal("peer_unreachable", "the peer's answer names another job", {"peer_id": peer_id})
        self.core.writer.run(lambda connection: self.note(connection, peer_id, made))
        told_status = answer.get("status")
        return {"status": told_status if isinstance(told_status, str) else made["status"], "job": rules.shown(made, peer_id),
                **_message(answer)}

    # --- reading

    def find(self, connection: Any, job_id: str) -> RemoteJob | None:
        """A job that a peer has for us; inside a change or a snapshot."""
        return table.find(connection, job_id)

    def sent(self, connection: Any, request_id: str) -> RemoteJob | None:
        """The job that went to a peer under this name."""
        return table.by_request(connection, request_id)

    def known(self, job_id: str) -> RemoteJob | None:
        """The same, as of now."""
        with self.core.reader.snapshot() as connection:
            return table.find(connection, job_id)

    def shown(self, job: RemoteJob) -> Members:
        """The job as operators see it, with the reason when it could not be looked up lately."""
        return rules.shown(job.snapshot, job.peer_id, self._following.trouble(job.job_id) if self._following else "")

    def status_of(self, peer_id: str, job_ids: Sequence[str], budget_seconds: float = rules.READ_SECONDS) -> dict[str, Members]:
        """How these jobs of the peer stand: looked up, or as last seen where there was no time; unknown ids are left out."""
        with self.core.reader.snapshot() as connection:
            found = [job for job_id in job_ids if (job := table.find(connection, job_id)) is not None and job.peer_id == peer_id]
        stale = [job.job_id for job in found if job.open]
        if stale:
            self.following.look([(peer_id, job_id) for job_id in stale], budget_seconds)
        known = [self.known(job.job_id) if job.open else job for job in found]
        return {job.job_id: self.shown(job) for job in known if job is not None}

    # --- looking, for the follower: blocks

    def look_at(self, peer: Peer, job_id: str) -> None:
        """What the peer shows of the job now is noted.  `Refusal` when it could not be asked, or shows no such job."""
        before = self.known(job_id)
        bytes_max = SNAPSHOT_NEAR_MAX if peer.metadata.get("reached_on_loopback") else SNAPSHOT_READ_MAX
        try:
            answer = self._rooms["mesh.calls"].get(peer, f"/mesh/jobs/{quote(job_id, safe='')}", rules.READ_SECONDS,
                                                   bytes_max=bytes_max)
        except Refusal as refusal:
            if before is None or refusal.detail.get("peer_status") not in (401, 403):
                raise
            try:                                      # it does not show jobs to everybody, but to who sent them
                answer = _job_in(self._asked_again(peer, before.request_id, "", None))
            except Refusal:
                raise refusal from None
        made = rules.snapshot(answer, peer.peer_id, job_id)
        if before is not None and (before.status != made["status"] or not rules.same(before.snapshot, made)):
            self.core.writer.run(lambda connection: self.note(connection, peer.peer_id, made))


def _job_in(answer: Mapping[str, Any]) -> Members:
    job = answer.get("job")
    return job if isinstance(job, dict) else {}


def _message(answer: Mapping[str, Any]) -> Members:
    message = answer.get("queue_message")
    return {"queue_message": message} if isinstance(message, dict) else {}


def told(refusal: Refusal, peer_id: str, lost: bool) -> CallRefusal:
    """A failed call, in the words of a dispatch: with the peer's own text where it refused."""
    detail, message = {**refusal.detail, "peer_id": peer_id}, refusal.message
    if refusal.code == "peer_refused":
        why = str(detail.get("peer_error") or f"status {detail.get('peer_status')}")[:ERROR_TEXT_MAX]
        message = f"peer refused: {why}"
    made = CallRefusal(refusal.code, message, detail)
    made.lost = lost
    return made


def build(core: Core, rooms: Rooms) -> Dispatch:
    """The room; it follows jobs that were open when the node last stopped, and their missions hear of what it learns."""
    from ..missions import tracking
    room = Dispatch(core, rooms)
    room.on_changed(lambda connection, peer_id, job: tracking.remote_changed(connection, job))
    return room
