"""What the surface does by itself once the node has started: its applications run again, its first users are made.

Neither is worth a caller's waiting, so both are done by a worker after the node listens; who needs them earlier gets them
then.
"""

from __future__ import annotations

from collections.abc import Callable

from ...base.errors import Busy
from ...core import Core, Rooms

FIRST_USERS_SECONDS = 0.5        # the first password is hashed when the first callers have been answered
AGAIN_SECONDS = 1.0


class Duties:
    """Work that is handed to the workers."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._leaving = False
        core.on_leave(self._leave)

    def _leave(self) -> None:
        self._leaving = True

    def soon(self, name: str, work: Callable[[], object]) -> None:
        """On the loop: `work` is done by a worker, later when all are busy."""
        def guarded() -> None:
            try:
                if not self._leaving:
                    work()
            except Exception as fault:           # a task of a worker that nobody waits for: only the log hears of it
                if not self._leaving:            # a node that ends takes its store away under what it has just begun
                    self._core.log.fault(f"appmesh.{name}", fault)

        try:
            if self._core.edge is not None:
                self._core.edge.app.workers.submit(guarded)
        except Busy:
            self._core.loop.call_later(AGAIN_SECONDS, lambda: self.soon(name, work))


def build(core: Core, rooms: Rooms) -> Duties:
    duties = Duties(core)
    if core.settings.appmesh_admin_password_file:
        rooms["appmesh.users"].check()       # before the node is ready: its operator is still looking
    core.loop.call_soon(lambda: duties.soon("recover", lambda: rooms["appmesh.apps"]))
    core.loop.call_later(FIRST_USERS_SECONDS, lambda: duties.soon("first_users", lambda: rooms["appmesh.users"].begin()))
    return duties
