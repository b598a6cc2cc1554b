"""Workers that wait for a job (OCP 0.1 claims): each is a long poll on the loop, and a new job is tried on them in turn.

One look at what the line needs serves all who wait; only who fits tries to claim, one after the other, so a job wakes as many
workers as it takes to place it and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Reply, Wait
from ..queue.rules import Needs

if TYPE_CHECKING:
    from ...core import Core
    from ...store.writer import WriteConnection
    from .room import Workers

Members = dict[str, Any]
READY = "mesh.queue.ready"
SOON_SECONDS = 1.0                # a job that is held until later is looked for again at this pace at the most


class Waiting:
    """Who waits, in the order they came.  All of it on the loop."""

    def __init__(self, core: Core, workers: Workers) -> None:
        self.core = core
        self._workers = workers
        self._line: dict[Ticket, None] = {}
        self._trying = False
        self._timer: Any = None
        core.signals.listen((READY,), self._turn)

    def wait(self, change: Callable[[WriteConnection], Members], answer: Callable[[Members], Reply], seconds: float) -> Wait:
        """What a worker's request waits for."""
        ticket = Ticket(self, change, answer)
        return Wait(ticket.ready, ticket.late, seconds, (ticket.topic,))

    def join(self, ticket: Ticket) -> None:
        """There was nothing for it: it waits."""
        self._line[ticket] = None
        self._later()

    def drop(self, ticket: Ticket) -> None:
        self._line.pop(ticket, None)

    def _turn(self) -> None:
        """The first who fits what is in the line tries to claim; the others after it."""
        if self._trying or not self._line:
            return
        self._line = {ticket: None for ticket in self._line if self.core.signals.heard(ticket.topic)}
        with self.core.reader.snapshot() as connection:
            wanted = self._workers.queue.wanted(connection)
        ticket = next((each for each in self._line if each.fits(wanted)), None)
        if ticket is None:
            self._later()
            return
        self._trying = True
        self.drop(ticket)
        ticket.attempt(self._tried)

    def _tried(self) -> None:
        self._trying = False
        self._turn()

    def _later(self) -> None:
        """Jobs that become available by time alone wake nobody: they are looked for."""
        if self._timer is None and self._line:
            self._timer = self.core.loop.call_later(SOON_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        with self.core.reader.snapshot() as connection:
            later = self._workers.queue.next_available(connection)
            now = bool(self._workers.queue.wanted(connection))
        if now:
            self._turn()
        if later or now:
            self._later()

    def worker_fits(self, worker: Members, wanted: list[Needs]) -> bool:
        """Could this worker take any of these?"""
        from . import rules
        node = frozenset(self._workers.rooms["mesh.manifest"].available_names())
        return any(rules.able(needs, worker["capabilities"], worker["resources"], node) for needs in wanted)


class Ticket:
    """One waiting worker."""

    def __init__(self, waiting: Waiting, change: Callable[[WriteConnection], Members],
                 answer: Callable[[Members], Reply]) -> None:
        self._waiting = waiting
        self._change = change
        self._answer = answer
        self.topic = f"mesh.claim:{waiting.core.ids.hex(16)}"
        self._begun = self._over = self._trying = False
        self._worker: Members = {}
        self._last: Members = {}
        self._reply: Reply | None = None
        self._fault: BaseException | None = None

    def ready(self) -> Reply | None:
        """The job, once there is one."""
        if not self._begun:
            self._begun = True
            self.attempt(lambda: None)
        if self._fault is not None:
            raise self._fault
        return self._reply

    def late(self) -> Reply | None:
        """Nothing came; or a claim is being made, whose outcome must not be lost."""
        self._over = True
        self._waiting.drop(self)
        return None if self._trying else self._answer(self._last)

    def fits(self, wanted: list[Needs]) -> bool:
        return self._waiting.worker_fits(self._worker, wanted)

    def attempt(self, then: Callable[[], None]) -> None:
        """A claim; `then` is called when it is known what came of it."""
        def settled(result: Any, fault: BaseException | None) -> None:
            self._trying = False
            self._settled(result, fault)
            then()

        self._trying = True
        try:
            self._waiting.core.writer.submit(self._change, settled)
        except Refusal as busy:
            settled(None, busy)

    def _settled(self, result: Any, fault: BaseException | None) -> None:
        if fault is not None:
            self._fault = fault
        elif result["status"] == "idle" and result["reason"] == "no_jobs" and not self._over:
            self._worker, self._last = result["worker"], result
            self._waiting.join(self)
            return
        else:
            self._reply = self._answer(result)
        self._waiting.core.signals.stir(self.topic)
