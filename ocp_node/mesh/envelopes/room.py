"""Signed envelopes of peers, opened in the protocol's order (OCP 0.1 signed envelopes), and our own.

    signed = envelopes.open("/mesh/agents/handoff", call.body.document)    # worker lane: shape, time, pinned key, signature
    ... in the change, first of all: envelopes.claim(connection, signed)     # 409 when the nonce was used

Only an envelope whose signature holds ever reaches the nonces, so that nobody fills or burns those of another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...crypto import envelopes as protocol
from ..peers.peer import Peer
from . import table

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

NONCE_SECONDS = 900              # twice the window of the clock check, and slack: an older envelope fails that check anyway
NONCES_PER_SWEEP = 5_000


class Signed(NamedTuple):
    """An envelope whose signature holds."""
    node_id: str
    request_id: str
    nonce: str
    route: str
    body: Mapping[str, Any]
    public_key: str                  # the key that signed it
    peer: Peer | None                # as known when it was opened; None for a stranger's handshake
    former: str = ""                 # the pinned key that a handshake's successions lead on from, when `public_key` is not it
    signed_at_seconds: float = 0.0   # since 1970, by the clock of who signed


class Envelopes:
    """Opens and signs; remembers nonces."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._peers = rooms["mesh.peers"]
        self._sweeper = core.tickers.add("mesh-nonces", self._sweep)

    def open(self, route: str, envelope: Mapping[str, Any]) -> Signed:
        """The envelope of a known peer for this route, checked; burns about 50 us.  `Refusal` with the protocol's text else."""
        shape = protocol.check_shape(envelope, self._core.clock.time())
        self._note_family(shape)
        peer = self._peers.find(shape.node_id)
        key = protocol.known_key(shape, peer.public_key if peer is not None else None)
        protocol.check_signature(shape, route, key)
        assert peer is not None
        protocol.check_admitted(shape, peer.trust_tier)
        return Signed(shape.node_id, shape.request_id, shape.nonce, route, shape.body, key, peer, signed_at_seconds=shape.signed_at_seconds)

    def open_handshake(self, envelope: Mapping[str, Any]) -> tuple[Signed, protocol.Card]:
        """A handshake that the key on its own card signed, and the card's claims; whether that key may, `claim` says.

        It is the pinned key, or one to which the node's own successions lead from the pinned one.
        """
        shape = protocol.check_shape(envelope, self._core.clock.time(), handshake=True)
        self._note_family(shape)
        card = protocol.check_handshake(shape)
        peer = self._peers.find(card.peer_id)
        former = ""
        if peer is not None:
            former = protocol.check_pinned(card, peer.public_key, peer.trust_tier, shape.body.get("successions"))
        return Signed(shape.node_id, shape.request_id, shape.nonce, protocol.HANDSHAKE_ROUTE, shape.body, card.public_key_hex,
                      peer, former, shape.signed_at_seconds), card

    def claim(self, connection: WriteConnection, signed: Signed) -> None:
        """The envelope is used now, in this change.

        `Refusal` when its nonce was used before, and when since it was opened the operator has blocked the peer or another key
        was pinned than the one it was judged against: of two keys that both follow the pinned one, the first is the one.
        """
        standing = table.standing(connection, signed.node_id)
        if standing is not None:
            key, tier = standing
            if key and key not in (signed.public_key, signed.former):
                raise protocol.key_changed()
            if tier == protocol.BLOCKED:
                raise protocol.blocked(signed.node_id)
        now = int(connection.clock.time())
        if not table.claim(connection, signed.node_id, signed.nonce, signed.route, signed.request_id, now):
            raise Refusal("replayed_nonce", f"nonce already seen for peer {signed.node_id}")

    def sign(self, route: str, body: Mapping[str, Any], request_id: str = "") -> dict[str, Any]:
        """An envelope of this node over `body`, for one use at `route` of a peer."""
        return protocol.sign_envelope(self._core.identity, route, body, self._core.clock, self._core.ids, request_id or None)

    def check_answer(self, envelope: object, route: str, node_id: str, public_key: str) -> Mapping[str, Any] | None:
        """The body of an envelope that a peer put into its answer, when that very peer signed it for this route; else None."""
        if not isinstance(envelope, Mapping):
            return None
        try:
            shape = protocol.check_shape(envelope, self._core.clock.time())
            protocol.check_signature(shape, route, public_key)
        except Refusal:
            return None
        return shape.body if shape.node_id == node_id else None

    def _note_family(self, shape: protocol.Signed) -> None:
        if shape.foreign_family:
            self._core.log.warning("envelope.foreign_family", peer=shape.node_id)

    def _sweep(self) -> float | None:
        """Nonces that no envelope can bring back are forgotten."""
        before = int(self._core.clock.time()) - NONCE_SECONDS
        with self._core.reader.snapshot() as connection:
            oldest = table.any_left(connection)
        if oldest is None or oldest >= before:
            return NONCE_SECONDS / 3
        gone = self._core.writer.run(lambda connection: table.prune(connection, before, NONCES_PER_SWEEP))
        return 0.1 if gone == NONCES_PER_SWEEP else NONCE_SECONDS / 3


def build(core: Core, rooms: Rooms) -> Envelopes:
    """The room; a background loop forgets old nonces."""
    return Envelopes(core, rooms)
