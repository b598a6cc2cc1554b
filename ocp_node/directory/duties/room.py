"""Built at start: wakes the rooms that have something to do by themselves.  A node that reads and publishes nowhere has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http.gates import is_loopback

if TYPE_CHECKING:
    from ...core import Core, Rooms


class Duties:
    """Nothing is kept here."""


def build(core: Core, rooms: Rooms) -> Duties:
    """The mirror reads, this node's advertisement is published, and the local network is looked at, as far as configured."""
    settings = core.settings
    core.sightings.register("directories", lambda limit: rooms["directory.resolver"].sightings(limit))
    if settings.directory_upstreams or settings.directory_read_from or settings.directory_publish_to:
        rooms["directory.mirror"]
    if settings.directory_publish_to:
        rooms["directory.publisher"]
    if settings.directory_lan == "on" or settings.directory_lan == "auto" and not is_loopback(core.bound[0]):
        rooms["directory.lan"]
    return Duties()
