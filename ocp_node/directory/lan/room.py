"""Announces this node on the local network and finds others there, as long as the machine's Avahi runs.

Needs no privilege: `avahi-publish-service` announces for as long as it runs, `avahi-browse` is asked once a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...base.sightings import Sighting
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms

BROWSE_SECONDS = 10.0                # the program waits for answers a second or so
EVERY_SECONDS = 60.0
ABSENT_SECONDS = 3600.0              # between two looks for a program that is not there
KEPT_SECONDS = 600.0                 # a node that was seen so long ago has left
SOURCE = "local network"
ABSENT = "Avahi's programs are not on this machine (on Debian and Ubuntu: apt install avahi-utils)"

Run = Callable[[Sequence[str], float], "tuple[int, str]"]


def build(core: Core, rooms: Rooms) -> Lan:
    """The local network of this node; a ticker that looks around."""
    room = Lan(core)
    core.tickers.add("directory-lan", room.step)
    core.sightings.register("lan", room.sightings)
    return room


class Lan:
    """What Avahi says, and what this node says by it."""

    def __init__(self, core: Core, run: Run | None = None, programs: tuple[str, str] = ("avahi-browse",
                                                                                        "avahi-publish-service")) -> None:
        self._core = core
        self._run = run
        self._browse, self._publish = programs
        self._announcer: Any = None
        self._announced = ""                                        # the name of our key in what it says
        self._found: dict[str, tuple[float, rules.Found]] = {}      # by name: when it was seen last
        self.state = "starting"

    def figures(self) -> dict[str, Any]:
        return {"state": self.state, "announced": self._announcer is not None, "found": len(self._found)}

    def step(self) -> float:
        """Who is there is known, this node is announced; or `state` says why not.  Gives the seconds until the next look."""
        try:
            code, output = self._runner()(rules.browsing(self._browse), BROWSE_SECONDS)
        except (FileNotFoundError, PermissionError):
            self._say(ABSENT)
            return ABSENT_SECONDS
        trouble = rules.trouble(code, output)
        if trouble:
            self._say(trouble)
            return EVERY_SECONDS
        self._note(rules.read(output, self._core.identity.did))
        if self._announcer is None:
            self._announce()
        elif self._announced != self._core.identity.did:
            self._announcer.stop()                                  # this node has another key; the next look announces it
        return EVERY_SECONDS

    def _runner(self) -> Run:
        if self._run is None:
            from ...processes.program import run
            self._run = run
        return self._run

    def _say(self, state: str) -> None:
        if state != self.state:
            self._core.log.info("directory.lan", state=state)
        self.state = state

    def _note(self, found: list[rules.Found]) -> None:
        now = self._core.clock.time()
        seen = {name: (at, node) for name, (at, node) in self._found.items() if 0 <= now - at < KEPT_SECONDS}
        self._found = seen | {node.name: (now, node) for node in found}

    def _announce(self) -> None:
        """`avahi-publish-service` runs; it takes another name by itself when ours is taken."""
        core = self._core
        from ...processes.records import NOWHERE, Start
        scheme = "https" if core.base_url.startswith("https:") else "http"
        port = core.bound[1]
        command = rules.announcement(self._publish, core.identity.display_name, port, scheme, core.identity.node_id,
                                     core.identity.did)
        try:
            self._announced = core.identity.did
            self._announcer = core.processes.start(Start(command=command, output=NOWHERE, label="avahi-publish"), self._ended)
        except Refusal as refusal:
            self._say(f"found, but not announced: {refusal.message or refusal.code}")
            return
        self._say("announced")

    def _ended(self, how: Any) -> None:
        """The announcer is gone (the daemon went, or the node stops); the next look starts another."""
        self._announcer = None
        self._say("not announced at the moment")

    def sightings(self, limit: int) -> list[Sighting]:
        """The nodes seen lately, newest first; nothing of it is proven."""
        seen = sorted(self._found.values(), key=lambda entry: -entry[0])[:limit]
        return [Sighting(SOURCE, node.base_url, node_did=node.did, node_id=node.node_id, display_name=node.name, seen_at=at)
                for at, node in seen]
