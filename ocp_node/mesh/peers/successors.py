"""A known peer answers under another key: does its own chain of successions lead there?  Blocks: for long requests and tickers.

Where the chain is fetched from does not matter: each link is signed by the key before and the key after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...crypto.envelopes import BLOCKED, key_changed
from ...crypto.successions import follows
from . import pins
from .peer import Peer

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

ROUTE = "/mesh/identity"
ANSWER_BYTES_MAX = 65_536            # a whole chain has 13 KB


def follow(core: Core, rooms: Rooms, peer: Peer, url: str, public_key: str, timeout: float, loopback: bool | None,
           certificate: str = "") -> Peer:
    """The peer under this key, pinned with the event; `Refusal("key_changed")` when nothing leads there from the pinned key.

    Of two keys that both follow the pinned one, the first is the one.
    """
    if not peer.public_key or peer.trust_tier == BLOCKED or not _leads(rooms, peer, url, public_key, timeout, loopback,
                                                                                certificate):
        raise key_changed(peer_id=peer.peer_id)
    peers = rooms["mesh.peers"]

    def change(connection: WriteConnection) -> Peer:
        now: Peer | None = peers.current(connection, peer.peer_id)
        if now is not None and now.public_key == public_key:
            return now
        if now is None or now.public_key != peer.public_key or now.trust_tier == BLOCKED:
            raise key_changed(peer_id=peer.peer_id)
        kept: Peer = peers.put(connection, peers.succeed(connection, now, public_key, "manifest"))
        return kept

    followed: Peer = core.writer.run(change)
    return followed


def _leads(rooms: Rooms, peer: Peer, url: str, public_key: str, timeout: float, loopback: bool | None, certificate: str) -> bool:
    """A node that has no such route, or does not answer, has shown nothing."""
    try:
        told = rooms["mesh.calls"].get(url, ROUTE, timeout, loopback=loopback, bytes_max=ANSWER_BYTES_MAX,
                                       certificate=certificate or pins.pin(peer, url))
    except Refusal:
        return False
    return follows(told.get("successions"), peer.peer_id, peer.public_key, public_key)
