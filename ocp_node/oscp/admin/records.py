"""What an operator says to, and hears of, the OSCP surface."""

from __future__ import annotations

from ...base.records import record, wire

ROLES = ("fp", "cp", "co")


@record
class NewPeer:
    """A party to be invited."""
    local_role: str = wire(choices=ROLES)
    peer_role: str = wire(choices=ROLES)
    name: str = wire(length_min=1, length_max=128)
    dialect: str = wire(default="", choices=("", "pyoscp", "solarnetwork", "sdk", "elmo"))
    node: bool = wire(default=False)


@record
class Invitation:
    """The party, our base URL for it, and the first token, which is shown once."""
    id: str = wire()
    base_url: str = wire()
    token_a: str = wire()


@record
class Connect:
    """Where to register, and the first token that the other side gave out."""
    base_url: str = wire(length_min=1, length_max=2048)
    token_a: str = wire(length_min=1, length_max=256, pattern="[!-~]+")


@record
class Peer:
    """A party as operators see it: no token."""
    id: str = wire()
    local_role: str = wire()
    peer_role: str = wire()
    name: str = wire()
    state: str = wire()
    liveness: str = wire()
    dialect: str = wire()
    base_url: str = wire()
    version: str = wire()
    required_behaviour: dict[str, object] = wire(factory=dict)
    our_interval: float = wire(default=0.0)
    handshake_acknowledged: bool = wire(default=False)
    naive_utc_offset_minutes: int = wire(default=0)
    node: bool = wire(default=False)
    tolerated: dict[str, int] = wire(factory=dict)
    last_in: str = wire(default="")
    last_out: str = wire(default="")
    last_error: str = wire(default="")
    created_at: str = wire(default="")
    updated_at: str = wire(default="")


@record
class PeerList:
    """All parties."""
    peers: list[Peer] = wire()


@record
class Status:
    """The surface in short."""
    roles: list[str] = wire()
    peers: int = wire()
    states: dict[str, int] = wire()
    liveness: dict[str, int] = wire()


@record
class Accepted:
    """It is under way; the party shows how it ends."""
    id: str = wire()
    state: str = wire()


@record
class Changes:
    """How a party is treated; what is not named stays."""
    dialect: str | None = wire(default=None, choices=("", "pyoscp", "solarnetwork", "sdk", "elmo"))
    naive_utc_offset_minutes: int | None = wire(default=None, minimum=-840, maximum=840)
    node: bool | None = wire(default=None)


@record
class MessageQuery:
    """Which messages: of one party, older than a number."""
    peer: str = wire(default="", length_max=64)
    since: int = wire(default=0)
    limit: int = wire(default=50)


@record
class Messages:
    """What was said, newest first; bodies are cut, registrations have none."""
    messages: list[dict[str, object]] = wire()
