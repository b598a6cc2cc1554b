"""Parts of the manifest and of the control deck's state that other rooms provide.

A room registers its part when it is built: `rooms["mesh.manifest"].part("queue_metrics", provider)`.  `provider()` gives the JSON
value; it runs on the loop and on workers, may open `core.reader.snapshot()`, and must be bounded.  `public` gives what callers
see who are neither on loopback nor operators; without it they see the redacted form of the same value.

A room that is there from the start, and should not have to build the manifest or the deck for that, names its parts in an
attribute instead: `offers = {"approvals": (provider, public)}`; they are looked for there when a part is first wanted.

A part whose room does not exist yet, or that fails, is its empty default: the rest is shown all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .redaction import redacted

if TYPE_CHECKING:
    from ..base.log import Log
    from ..core import Rooms

Provider = Callable[[], Any]
Empty = Callable[[], Any]


def optional(rooms: Rooms, name: str) -> Any:
    """The room of that name, or None while there is none; for rooms that meet when both are there."""
    try:
        return rooms[name]
    except ModuleNotFoundError as fault:
        if fault.name != f"ocp_node.{name}.room":
            raise
        return None


class Parts:
    """Named parts with their defaults; `homes` says which room provides which part."""

    def __init__(self, rooms: Rooms, log: Log, homes: Mapping[str, str], empty: Mapping[str, Empty]) -> None:
        self._rooms = rooms
        self._log = log
        self._homes = dict(homes)
        self._empty = dict(empty)
        self._providers: dict[str, tuple[Provider, Provider | None]] = {}
        self._failing: set[str] = set()

    def part(self, name: str, provider: Provider, public: Provider | None = None) -> None:
        """`provider` gives the part of that name from now on."""
        self._providers[name] = (provider, public)

    def value(self, name: str, trusted: bool = True) -> Any:
        """The part as this kind of caller may see it."""
        try:
            found = self._provider(name)
            if found is None:
                return self._empty[name]()
            provider, public = found
            value = provider() if trusted else redacted(provider()) if public is None else public()
        except Exception as fault:           # a deck with one empty part is of more use than none; the fault is logged once
            self._failed(name, fault)
            return self._empty[name]()
        self._failing.discard(name)
        return value

    def _provider(self, name: str) -> tuple[Provider, Provider | None] | None:
        """The provider; its room is built first, since it may hold what was stored before this start."""
        if name not in self._providers and name in self._homes:
            offers = getattr(optional(self._rooms, self._homes[name]), "offers", {})
            self._homes.pop(name, None)
            if name in offers:
                self._providers.setdefault(name, offers[name])
        return self._providers.get(name)

    def _failed(self, name: str, fault: Exception) -> None:
        if name not in self._failing:
            self._failing.add(name)
            self._log.fault("part.fault", fault, part=name)
