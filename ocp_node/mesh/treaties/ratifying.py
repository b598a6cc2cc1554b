"""Two nodes agree on a treaty: each sends its signature to the other parties once its own operator has proposed the terms.

A party that has not heard of the treaty refuses; it sends its own signature when its operator proposes the same terms, and is
answered with ours then.  So the order in which operators propose does not matter, and nobody has to be asked twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...crypto.documents import TREATY, sign_document, verify_document
from ...store.outbox import GiveUp
from ..peers.peer import Peer
from . import rules
from .rules import Members, Signature, Treaty

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Treaties

DELIVERY = "mesh.treaty.sign"


class Ratifying:
    """Sends our signatures and checks those of others."""

    def __init__(self, core: Core, rooms: Rooms, treaties: Treaties) -> None:
        self._core = core
        self._rooms = rooms
        self._treaties = treaties
        core.outbox.on(DELIVERY, self._deliver)

    # --- checking, outside any change

    def party(self, name: str) -> Peer | None:
        """The one peer that is the party of that name.

        Names of parties have no case, so a stranger could take the name of a friend in other letters: strangers are no parties,
        and of two friends of one name none is.
        """
        found = [peer for peer in self._rooms["mesh.peers"].all() if peer.peer_id.lower() == name and rules.admitted(peer)]
        return found[0] if len(found) == 1 else None

    def checked(self, treaty: Treaty, offered: list[tuple[str, str]], now: str) -> list[Signature]:
        """The signatures that a proposal brings, all of which hold under its terms; `Refusal` otherwise."""
        made = []
        for peer_id, signature in offered:
            peer = self.party(peer_id)
            key = peer.public_key if peer is not None else ""
            if not key or not verify_document(key, TREATY, rules.terms_of(treaty), signature):
                raise rules.invalid()
            made.append(Signature(peer_id, treaty.id, signature.lower(), key, now))
        return made

    def check_sent(self, terms: Members, signature: str, peer_id: str, public_key: str) -> None:
        """The signature holds under the terms it was sent with, and the peer may sign at all."""
        if not verify_document(public_key, TREATY, terms, signature):
            raise rules.invalid()
        party = self.party(peer_id.lower())
        if party is None or party.peer_id != peer_id:
            raise Refusal("policy_denied", "peer must be admitted before it signs")

    # --- sending

    def announce(self, connection: WriteConnection, treaty: Treaty, to: list[str]) -> None:
        """Our signature goes to these parties, as far as they are known and can be reached; inside a change."""
        for party in to if treaty.wanted else ():
            peer = self.party(party)
            if peer is not None and peer.base_urls:
                connection.outbox(DELIVERY, {"treaty_id": treaty.id, "peer_id": peer.peer_id},
                                  key=f"{treaty.id.lower()} {peer.peer_id}")

    def _deliver(self, payload: Members) -> None:
        """Our signature under the terms as they are now has reached the peer.  In a background thread."""
        peer, treaty = self._rooms["mesh.peers"].find(payload["peer_id"]), self._treaties.stored(str(payload["treaty_id"]))
        if peer is None or treaty is None or not treaty.wanted or not rules.admitted(peer):
            raise GiveUp("the treaty or the peer is not what it was")
        terms = rules.terms_of(treaty)
        body = {"treaty": terms, "signature": sign_document(self._core.identity, TREATY, terms)}
        try:
            self._rooms["mesh.calls"].signed(peer, path_of(treaty.id), body)
        except Refusal as refusal:
            if _final(refusal):
                raise GiveUp(refusal.message) from None      # it comes back to us when its operator proposes the same
            raise


def path_of(treaty_id: str) -> str:
    """Where a peer takes signatures under that treaty."""
    return f"/mesh/treaties/{quote(treaty_id, safe='/')}/sign"


def _final(refusal: Refusal) -> bool:
    """Did the peer answer that it does not want this, rather than not now?  It may yet have to learn our new key (401)."""
    status: Any = refusal.detail.get("peer_status")
    return isinstance(status, int) and 400 <= status < 500 and status not in (401, 429)
