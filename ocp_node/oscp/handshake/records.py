"""What travels in a handshake (OSCP 2.0, Handshake and HandshakeAcknowledge)."""

from __future__ import annotations

from ...base.records import record, wire

CONFIGURATIONS = ("CONTINUOUS", "INTERMITTENT")
INTERVAL_SECONDS_MAX = 32_767


def _configurations(words: list[str]) -> str:
    """Known words, each once."""
    if any(word not in CONFIGURATIONS for word in words):
        return "enum"
    return "unique-items" if len(set(words)) != len(words) else ""


@record
class RequiredBehaviour:
    """How often the sender wants heartbeats (seconds; absent: never), and how it wants to be told measurements."""
    heartbeat_interval: float | None = wire(default=None, minimum=1, maximum=INTERVAL_SECONDS_MAX)
    measurement_configuration: list[str] = wire(items_max=2, check=_configurations)


@record
class Handshake:
    """What the sender requires; absent: nothing."""
    required_behaviour: RequiredBehaviour | None = wire(default=None)
