"""Jobs that run while their submitter waits, a few at a time (OCP 0.1 inline jobs).

No thread waits with the caller: the request is a long poll on the loop.  A submission takes a place first and is kept only
then, so one that finds no place within ten seconds has left nothing behind.  A long request that hands in jobs of its own, such
as a mission, waits in its thread (`carry_out`) for the same places.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.errors import Busy
from ...contract.route import Reply, Wait
from . import rules, table
from .failure import RunFailed
from .lanes import Outcome
from .runs import Run

if TYPE_CHECKING:
    from ...core import Core
    from ...store.writer import WriteConnection
    from .intake import Judged
    from .package import Package
    from .room import Jobs

Members = dict[str, Any]

PLACE_SECONDS = 10.0              # how long a submission waits for a place
MORE_SECONDS = 30.0               # what a run may take beside its program: starting, ending, storing
WAITING_MAX = 256                 # submissions that wait for a place; past it they are turned away at once


class Inline:
    """The places, and who waits for one.  All of it on the loop."""

    def __init__(self, core: Core, jobs: Jobs) -> None:
        self.core = core
        self.jobs = jobs
        self._free = int(core.settings.max_inline_runs)
        self._line: deque[Ticket] = deque()

    def wait(self, judged: Judged, keep: Callable[[WriteConnection], Members], answer: Callable[[Members], Members]) -> Wait:
        """What the submitter's request waits for.  `keep` is the change that keeps the job, `answer` words what is told of it."""
        ticket = Ticket(self, judged, keep, answer)
        return Wait(ticket.ready, ticket.late, self._seconds(judged), (ticket.topic,), work=True)

    def carry_out(self, judged: Judged, keep: Callable[[WriteConnection], Members]) -> Members:
        """The same for a submitter that is a thread of this node: the answer itself, or what was raised instead.  Blocks."""
        ticket = Ticket(self, judged, keep, lambda answer: answer)
        settled = threading.Event()
        listening: list[Callable[[], None]] = []

        def look() -> None:
            if ticket.settled:
                settled.set()

        def begin() -> None:
            listening.append(self.core.signals.listen((ticket.topic,), look))
            ticket.enter()
            look()

        self.core.loop.call_soon(begin)
        settled.wait(self._seconds(judged))
        self.core.loop.call_soon(lambda: listening.pop()())
        reply = ticket.outcome() or ticket.late()
        answer: Members = reply.body
        return answer

    def _seconds(self, judged: Judged) -> float:
        """How long the end of a run is waited for at most."""
        seconds = judged.asked.spec["execution"]["timeout_seconds"] if judged.asked is not None else rules.BACKOFF_SECONDS_MAX
        return float(PLACE_SECONDS + seconds + self.core.settings.stop_grace_seconds + MORE_SECONDS)

    def enter(self, ticket: Ticket) -> None:
        """The ticket takes a place, or stands in line for one."""
        if self._free > 0:
            self._free -= 1
            ticket.store()
        elif len(self._line) >= WAITING_MAX:
            ticket.fail(Busy("node", 2))
        else:
            self._line.append(ticket)
            self.core.loop.call_later(PLACE_SECONDS, lambda: self._too_late(ticket))

    def _too_late(self, ticket: Ticket) -> None:
        if ticket in self._line:
            self._line.remove(ticket)
            ticket.fail(Busy("node", 2))

    def leave(self) -> None:
        """A place is free again: it goes to the first in line who is still there."""
        self._free += 1
        while self._line and self._free > 0:
            ticket = self._line.popleft()
            if self.core.signals.heard(ticket.topic):
                self._free -= 1
                ticket.store()


class Ticket:
    """One submission on its way: in line, being kept, running, answered."""

    def __init__(self, inline: Inline, judged: Judged, keep: Callable[[WriteConnection], Members],
                 answer: Callable[[Members], Members]) -> None:
        self._inline = inline
        self._jobs = inline.jobs
        self._judged = judged
        self._keep = keep
        self._answer = answer
        self.topic = f"mesh.inline:{inline.core.ids.hex(16)}"
        self._entered = False
        self._job_id = ""
        self._reply: Reply | None = None
        self._fault: BaseException | None = None
        self._stop: Callable[[], None] = lambda: None

    # --- asked by the edge

    def ready(self) -> Reply | None:
        """The answer, once there is one."""
        self.enter()
        return self.outcome()

    def enter(self) -> None:
        """The submission is on its way."""
        if not self._entered:
            self._entered = True
            self._inline.enter(self)

    @property
    def settled(self) -> bool:
        """There is an answer, or a refusal."""
        return self._reply is not None or self._fault is not None

    def outcome(self) -> Reply | None:
        """The answer, once there is one; a refusal is raised."""
        if self._fault is not None:
            raise self._fault
        return self._reply

    def late(self) -> Reply:
        """It goes on, longer than a request is kept waiting: the caller gets the job as it stands, to be followed."""
        if not self._job_id:
            raise Busy("node", 2)
        return Reply(self._answer(self._jobs.state(self._job_id)))

    # --- on the loop

    def fail(self, fault: BaseException) -> None:
        """The submission is answered with this refusal."""
        self._fault = fault
        self._inline.core.signals.stir(self.topic)

    def _answered(self, reply: Reply) -> None:
        self._stop()
        self._reply = reply
        self._inline.core.signals.stir(self.topic)

    def store(self) -> None:
        """There is a place: the job is kept."""
        try:
            self._inline.core.writer.submit(self._keep, self._stored)
        except Busy as busy:
            self._inline.leave()
            self.fail(busy)

    def _stored(self, result: Any, fault: BaseException | None) -> None:
        if fault is not None or result["status"] != "running" or not isinstance(result["job"], table.Job):
            self._inline.leave()
            self._told(result, fault)
            return
        job: table.Job = result["job"]
        self._job_id = job.id
        self._jobs.runs.begin(Run(job, self._ended, mark=(job.metadata.get("run") or {}).get("mark") or 0))

    def _told(self, result: Any, fault: BaseException | None) -> None:
        """Nothing is run for this submission: it failed, was rejected, or was made before."""
        if fault is not None:
            self.fail(fault)
        elif result["status"] in rules.ACTIVE and result["job"].get("deduped"):
            self._follow(result["job"]["id"])
        else:
            self._answered(Reply(self._answer(result)))

    def _follow(self, job_id: str) -> None:
        """The same request runs already: its end is the answer to this one too."""
        self._job_id = job_id

        def look() -> None:
            state = self._jobs.state(job_id)
            if state["status"] not in rules.ACTIVE:
                self._answered(Reply(self._answer({**state, "job": state["job"] | {"deduped": True}})))

        self._stop = self._inline.core.signals.listen((self._jobs.topic(job_id),), look)
        look()

    # --- the end of the run, on the thread of runs

    def _ended(self, outcome: Outcome, executor: str, package: Package | None) -> None:
        self._inline.core.writer.submit(lambda connection: self._jobs.end_inline(connection, self._job_id, outcome, executor,
                                                                                 package),
                                        lambda result, fault: self._finished(outcome, result, fault))

    def _finished(self, outcome: Outcome, result: Any, fault: BaseException | None) -> None:
        self._inline.leave()
        if fault is not None:
            self.fail(fault)
        elif result["status"] == "failed":
            self.fail(self._jobs.job_failed(RunFailed(outcome.error, outcome.code), self._answer(result)["job"]))
        else:
            self._answered(Reply(self._answer(result)))
