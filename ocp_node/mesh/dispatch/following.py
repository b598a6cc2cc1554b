"""Looking after jobs that peers have: each is looked up ever more seldom until it has ended, and at once when somebody asks.

One ticker does all the asking, a few peers at a time; readers wait for it on the loop, or on a thread of their own.  A peer that
cannot be reached is asked once for all its jobs, and what is imported of its log tells meanwhile how they stand.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Caller, Reply, Wait
from ...core import Core, Rooms
from ...http.lanes import gather
from ...store.events import Event
from . import rules, table

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Dispatch

Members = dict[str, Any]
PARALLEL = 4
JOBS_OF_A_PEER_MAX = 32               # looked up in one turn ...
PEER_SECONDS = 4.0                    # ... and no further one is begun after so long
PEERS_MAX = 16                        # asked at one time, PARALLEL more with each step ...
STEP_SECONDS = 0.5                    # ... which waits no longer for slow ones: others have their turn meanwhile
FRESH_SECONDS = 1.0                   # reads of who is no operator make a peer be asked about a job no more often
AGAIN_SECONDS_MAX = 60.0


class Watch:
    """A job that is looked after."""

    __slots__ = ("peer_id", "since", "looked_at", "due_at", "asked", "done", "error")

    def __init__(self, peer_id: str, now: float) -> None:
        self.peer_id = peer_id
        self.since = now
        self.looked_at: float | None = None
        self.due_at = now + rules.pause(0.0)
        self.asked = 0                   # how often somebody wanted it looked up ...
        self.done = 0                    # ... and how many of these had been before the last look began
        self.error = ""

    @property
    def wanted(self) -> bool:
        return self.asked > self.done

    def due(self, now: float) -> bool:
        return self.wanted or self.due_at <= now


class Following:
    """The jobs that are looked after, by their ids."""

    def __init__(self, core: Core, rooms: Rooms, dispatch: Dispatch) -> None:
        self._core = core
        self._rooms = rooms
        self._dispatch = dispatch
        self._watched: dict[str, Watch] = {}
        self._synced: set[str] = set()               # peers whose log was imported since the last turn
        self._turns: dict[str, float] = {}           # when each peer was asked last
        self._asking: set[str] = set()               # peers that are being asked: a slow one holds no second place
        self._urgent: set[str] = set()               # peers of which somebody wants to know something since their turn began
        self._lock = threading.Lock()
        self._turned = threading.Condition(self._lock)
        with core.reader.snapshot() as connection:
            left = table.open_jobs(connection, table.KEPT_MAX)
        for peer_id, job_id in left:
            self._watched[job_id] = Watch(peer_id, self._now())
        core.feed.listen(self._hear)
        self._ticker = core.tickers.add("mesh-dispatch", self._step)

    def _now(self) -> float:
        return self._core.clock.monotonic()

    # --- from any thread

    @property
    def count(self) -> int:
        """How many jobs are looked after."""
        return len(self._watched)

    def watch(self, peer_id: str, job_id: str) -> None:
        """The job is looked after from now on."""
        with self._lock:
            if len(self._watched) < table.KEPT_MAX:
                self._watched.setdefault(job_id, Watch(peer_id, self._now()))
        self._ticker.wake()

    def trouble(self, job_id: str) -> str:
        """Why the job could not be looked up the last time; "" when it could."""
        watch = self._watched.get(job_id)
        return watch.error if watch is not None else ""

    def look(self, jobs: Iterable[tuple[str, str]], seconds: float, fresh_seconds: float = 0.0) -> None:
        """The jobs (peer and id) have been looked up since this call, or `seconds` have passed.  Blocks."""
        keys = self._want(jobs, fresh_seconds)
        with self._turned:
            self._turned.wait_for(lambda: self._settled(keys), seconds)

    def wait(self, jobs: Iterable[tuple[str, str]], answer: Callable[[], Reply], caller: Caller) -> Reply | Wait:
        """`answer()` once these jobs (peer and id) have been looked up, or with what is known after a while.  On the loop."""
        keys = self._want(jobs, 0.0 if caller.operator else FRESH_SECONDS)
        if not keys:
            return answer()
        topics = tuple(_topic(job_id) for job_id in keys)
        return Wait(lambda: answer() if self._is_settled(keys) else None, answer, rules.READ_SECONDS, topics)

    def _want(self, jobs: Iterable[tuple[str, str]], fresh_seconds: float) -> dict[str, int]:
        """Those of the jobs that have to be looked up, which will be done next, and by which look they are."""
        now, keys = self._now(), dict[str, int]()
        with self._lock:
            for peer_id, job_id in jobs:
                watch = self._watched.setdefault(job_id, Watch(peer_id, now))
                if watch.looked_at is None or now - watch.looked_at >= fresh_seconds:
                    watch.asked += 1
                    self._urgent.add(peer_id)
                    keys[job_id] = watch.asked
        if keys:
            self._ticker.wake()
        return keys

    def _is_settled(self, keys: Mapping[str, int]) -> bool:
        with self._lock:
            return self._settled(keys)

    def _settled(self, keys: Mapping[str, int]) -> bool:
        return all(job_id not in self._watched or self._watched[job_id].done >= asked for job_id, asked in keys.items())

    def _hear(self, events: Sequence[Event]) -> None:
        """On the loop: what was imported of a peer's log may tell of its jobs."""
        synced = {event.peer_id for event in events if event.event_type == "mesh.peer.synced"}
        if synced and synced & {watch.peer_id for watch in list(self._watched.values())}:
            with self._lock:
                self._synced |= synced
            self._ticker.wake()

    # --- on the ticker's thread

    def _step(self) -> float | None:
        with self._lock:
            synced, self._synced = self._synced, set()
        for peer_id in synced:
            self._read_log(peer_id)
        gather([partial(self._turn, peer_id, job_ids) for peer_id, job_ids in self._due()], PARALLEL, STEP_SECONDS)
        return self._next()

    def _due(self) -> list[tuple[str, list[str]]]:
        """Peers and their most urgent jobs; the peer first that has waited longest for its turn."""
        now, of_peers = self._now(), dict[str, list[tuple[bool, float, str]]]()
        with self._lock:
            self._turns = {watch.peer_id: self._turns.get(watch.peer_id, 0.0) for watch in self._watched.values()}
            for job_id, watch in self._watched.items():
                if watch.due(now) and watch.peer_id not in self._asking:
                    of_peers.setdefault(watch.peer_id, []).append((not watch.wanted, watch.due_at, job_id))
            order = sorted(of_peers, key=self._turns.__getitem__)[:max(0, PEERS_MAX - len(self._asking))]
            self._urgent.difference_update(order)
        return [(peer_id, [each[2] for each in sorted(of_peers[peer_id])[:JOBS_OF_A_PEER_MAX]]) for peer_id in order]

    def _next(self) -> float | None:
        now = self._now()
        with self._lock:
            if len(self._asking) >= PEERS_MAX:
                return None                           # the end of a turn wakes it
            due = [now if watch.wanted else watch.due_at for watch in self._watched.values() if watch.peer_id not in self._asking]
        return max(0.05, min(due) - now) if due else None

    def _turn(self, peer_id: str, job_ids: Sequence[str]) -> None:
        """It is this peer's turn, unless its last one is still going on."""
        with self._lock:
            if peer_id in self._asking:
                return
            self._asking.add(peer_id)
            self._turns[peer_id] = self._now()
        try:
            self._look_up(peer_id, job_ids)
        except Exception as fault:
            self._core.log.fault("dispatch.fault", fault)
            self._put_off(peer_id, "the job could not be looked up")
        finally:
            with self._lock:
                self._asking.discard(peer_id)
            self._ticker.wake()

    def _look_up(self, peer_id: str, job_ids: Sequence[str]) -> None:
        """One peer's jobs, one after the other; when it cannot be reached for one, it is not asked for the others."""
        peer, error, end = self._rooms["mesh.peers"].find(peer_id), "", self._now() + PEER_SECONDS
        for job_id in job_ids:
            if not error and (self._now() > end or peer_id in self._urgent and not self._is_wanted(job_id)):
                return
            asked, gone = self._begun(job_id), False
            if peer is None or peer.trust_tier == "blocked":
                error = "peer not found" if peer is None else f"peer {peer_id} is blocked"
            if not error:
                error, gone = self._asked(peer, job_id)
            self._looked(job_id, asked, error)
            if gone or error.startswith("the peer refused"):
                error = ""                            # it can be reached: the next job is asked for
        if error:
            self._put_off(peer_id, error)

    def _is_wanted(self, job_id: str) -> bool:
        watch = self._watched.get(job_id)
        return watch is not None and watch.wanted

    def _put_off(self, peer_id: str, error: str) -> None:
        """None of the peer's jobs is looked up again soon, except those that somebody asks for."""
        now = self._now()
        with self._lock:
            for watch in self._watched.values():
                if watch.peer_id == peer_id and watch.due_at <= now:
                    watch.due_at, watch.error = now + AGAIN_SECONDS_MAX, error

    def _asked(self, peer: Any, job_id: str) -> tuple[str, bool]:
        """Why the job could not be looked up, or ""; and whether the peer has lost it."""
        try:
            self._dispatch.look_at(peer, job_id)
            return "", False
        except Refusal as refusal:
            if refusal.detail.get("peer_status") != 404:
                return refusal.message, False
            self._core.writer.run(lambda connection: self._dispatch.note_status(connection, peer.peer_id, job_id, "failed",
                                                                                "job not found"))
            return "job not found", True

    def _begun(self, job_id: str) -> int:
        with self._lock:
            watch = self._watched.get(job_id)
            if watch is not None:
                watch.looked_at = self._now()
            return watch.asked if watch is not None else 0

    def _looked(self, job_id: str, asked: int, error: str) -> None:
        job = self._dispatch.known(job_id)
        now = self._now()
        with self._turned:
            watch = self._watched.get(job_id)
            if watch is not None:
                watch.done, watch.error = asked, error
                watch.due_at = now + (AGAIN_SECONDS_MAX if error else rules.pause(now - watch.since))
                if (job is None or not job.open) and not watch.wanted:
                    del self._watched[job_id]
            self._turned.notify_all()
        self._core.loop.call_soon(lambda: self._core.signals.stir(_topic(job_id)))

    def _read_log(self, peer_id: str) -> None:
        """How the peer's open jobs stand by what its own log says; those of which it tells are looked up next."""
        from ..peers.table import newest_of
        with self._core.reader.snapshot() as connection:
            job_ids = table.open_of(connection, peer_id, table.KEPT_MAX)
            told = newest_of(connection, peer_id, tuple(rules.OF_EVENTS), job_ids) if job_ids else {}
        if not told:
            return

        def change(connection: WriteConnection) -> None:
            for job_id, kind in told.items():
                self._dispatch.note_status(connection, peer_id, job_id, rules.OF_EVENTS[kind])

        self._core.writer.run(change)
        self._want(((peer_id, job_id) for job_id in told), 0.0)


def _topic(job_id: str) -> str:
    return f"mesh.remote_job:{job_id}"
