"""How loaded this node is (OCP 0.1 pressure).

Whoever manages the site's electrical budget says what it lets this node do: `pressure.limited_by(lambda: Power(held=2))`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..redaction import redacted
from . import load, rules
from .rules import Members, Power

__all__ = ["Power", "Pressure", "build"]


class Pressure:
    """Measures when asked."""

    def __init__(self, core: Core, rooms: Rooms, cpu_load: Callable[[], float | None] = load.per_core) -> None:
        self._core = core
        self._rooms = rooms
        self._cpu_load = cpu_load
        self._power: Callable[[], Power | None] = _unlimited
        self.offers: dict[str, Any] = {"pressure": (self.pressure, None)}

    def limited_by(self, power: Callable[[], Power | None]) -> None:
        """`power()` tells what the electrical budget lets this node do, None for everything; it must not wait."""
        self._power = power

    def pressure(self) -> Members:
        """How loaded the node is at this moment."""
        metrics = self._rooms["mesh.manifest"].parts.value("queue_metrics")
        profile = self._rooms["mesh.device_profile"].profile()
        return rules.pressure(self._core.identity.node_id, metrics, profile, self._power(), self._cpu_load(),
                              self._core.clock.text())


def _unlimited() -> Power | None:
    return None


def build(core: Core, rooms: Rooms) -> Pressure:
    """The room."""
    return Pressure(core, rooms)


def show(room: Pressure, call: Call) -> Reply:
    """GET /mesh/pressure."""
    found = room.pressure()
    return Reply(found if call.caller.trusted_view else redacted(found))
