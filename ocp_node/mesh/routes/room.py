"""Which way leads to each peer, and how well it is proven (OCP 0.1 routes).

What is known of a route is kept in the peer's metadata.  A node is taken for a peer only under the key that is pinned for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..peers.peer import Peer
from ..redaction import redacted
from . import rules
from .rules import Members

if TYPE_CHECKING:
    from .probing import Probing

HEALTH_PEERS_MAX = 50


class Routes:
    """The routes to peers."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._peers = rooms["mesh.peers"]
        self._taking_part: tuple[list[Peer], list[Peer]] = ([], [])

    def peers(self, limit: int = HEALTH_PEERS_MAX) -> list[Peer]:
        """The peers that have a part in the mesh: neither blocked nor waiting for admission, latest seen first."""
        every: list[Peer] = self._peers.all()
        of, kept = self._taking_part
        if of is not every:                      # the same list until a peer changes
            kept = [peer for peer in every if peer.trust_tier != "blocked" and peer.status != "pending"]
            self._taking_part = every, kept
        return kept[:limit]

    def route(self, peer: Peer) -> Members:
        """The peer's route as it is now; `rules.usable` says whether calls may take it."""
        return rules.route_of(peer, self._core.clock.time())

    def usable(self, peer: Peer) -> bool:
        """May calls go to the peer as far as is known?"""
        return rules.usable(self.route(peer))

    def health(self) -> Members:
        """The routes to the peers seen last, at most 50."""
        return rules.listed(self._core.identity.node_id, [self.route(peer) for peer in self.peers()], self._core.clock.text())

    def probe(self, peer_id: str = "", base_url: str = "", *, timeout: float = 2.0, limit: int = 8,
              loopback: bool | None = None) -> Members:
        """The routes were tried; what was found is kept.  Blocks: for long requests and tickers (see `probing.py`)."""
        return self.probing().probe(peer_id, base_url, timeout, limit, loopback)

    def probing(self) -> Probing:
        """The way to try routes."""
        from .probing import Probing
        return Probing(self._core, self._rooms, self)


def build(core: Core, rooms: Rooms) -> Routes:
    """The room."""
    return Routes(core, rooms)


def health(room: Routes, call: Call) -> Reply:
    """GET /mesh/routes/health."""
    shown = room.health()
    return Reply(shown if call.caller.trusted_view else redacted(shown))


def probe(room: Routes, call: Call) -> Reply:
    """POST /mesh/routes/probe."""
    body = call.body
    return Reply(room.probe(body.peer_id.strip(), body.base_url.strip().rstrip("/"), timeout=body.timeout, limit=body.limit,
                            loopback=call.caller.loopback))
