"""Built at start: wakes the rooms that have something to do by themselves.  A node that reads and publishes nowhere has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...http.gates import is_loopback

if TYPE_CHECKING:
    from ...core import Core, Rooms


class Duties:
    """What this node does on the local network, if anything."""

    def __init__(self, lan: Any = None) -> None:
        self.lan = lan

    def figures(self) -> dict[str, Any]:
        return self.lan.figures() if self.lan is not None else {"state": "off"}


def build(core: Core, rooms: Rooms) -> Duties:
    """The mirror reads, this node's advertisement is published, and the local network is looked at, as far as configured."""
    settings = core.settings
    core.sightings.register("directories", lambda limit: rooms["directory.resolver"].sightings(limit))
    if settings.directory_upstreams or settings.directory_read_from or settings.directory_publish_to:
        rooms["directory.mirror"]
    if settings.directory_publish_to:
        rooms["directory.publisher"]
    looks = settings.directory_lan == "on" or settings.directory_lan == "auto" and not is_loopback(core.bound[0])
    return Duties(rooms["directory.lan"] if looks else None)
