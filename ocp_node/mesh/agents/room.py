"""Agents of this node, and work that peers' agents hand over to them (OCP 0.1 agent presence and hand-off)."""

from __future__ import annotations

from typing import Any

from ...core import Core, Rooms
from .presence import Presence


class Agents:
    """The agents at work here."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.presence = Presence(core)

    def present(self, limit: int = 50) -> list[dict[str, Any]]:
        """The agents as peers see them, at most `limit`."""
        return self.presence.shown(limit)

    def beacons(self, limit: int = 12) -> list[dict[str, Any]]:
        """Beacons of agents; nothing on this node leaves any yet."""
        return []


def build(core: Core, rooms: Rooms) -> Agents:
    """The room, with the control agent of the settings at work."""
    return Agents(core, rooms)
