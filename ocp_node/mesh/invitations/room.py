"""Invitations: made here, redeemed in the handshake of the device that joins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...base.clock import instant_text
from ...base.compare import same
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...crypto import boxes
from ...crypto.envelopes import Card
from ...http.calls import OutboundError
from ...http.target import target_of
from ..peers import pins
from ..peers.connecting import Wanted
from . import rules, table
from .records import Invitation, InvitationState, Joined

OPEN_MAX = 100                       # invitations that wait at one time


class Invitations:
    """Makes invitations, redeems them, and follows those of others."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.rooms = rooms
        self._key = boxes.derive(boxes.load_or_make_key(Path(core.settings.secrets_key_file), core.ids), "invitations")

    def create(self, connection: Any, tier: str, seconds: int, base_url: str) -> rules.Ticket:
        """A new invitation; the sealed secret is kept, the code is not."""
        now = self.core.clock.time()
        table.sweep(connection, now - rules.KEPT_SECONDS)
        if table.count_open(connection, now) >= OPEN_MAX:
            raise Refusal("busy", "too many invitations wait to be used", headers=(("Retry-After", "60"),))
        secret, name = self.core.ids.bytes(rules.SECRET_BYTES), self.core.ids.hex(16)
        table.add(connection, rules.Invitation(name, tier, now + seconds), boxes.seal_text(self._key, secret.hex(),
                                                                                           self.core.ids), self.core.clock.text())
        return rules.Ticket(base_url, rules.fingerprint(self.core.identity.public_key_hex), name, secret, tier,
                            int(now + seconds), pins.own(self.core.certificate, self.core.bound[1], base_url))

    def redeem(self, connection: Any, offered: object, card: Card) -> str:
        """The tier that the invitation in a handshake gives, "" without one; inside the handshake's change.

        The node that has used it may come again, as it does when our answer was lost, and is given nothing by that: what the
        operator has made of it since stands.  Refusal for one that somebody else has used, that has expired, is of another
        node, or whose proof is wrong: then nothing of the handshake stays.
        """
        shown = rules.shown(offered)
        if shown is None:
            return ""
        name, digest = shown
        found = table.find(connection, name)
        invitation = rules.check(found[0] if found else None, card.peer_id, card.public_key_hex, self.core.clock.time())
        assert found is not None
        secret, own = bytes.fromhex(boxes.open_text(self._key, found[1])), self.core.identity.public_key_hex
        if not same(digest, rules.proof(secret, card.public_key_hex, own)):
            raise Refusal("policy_denied", "this invitation is not from this node")
        if invitation.used_by:
            return ""
        words = " ".join(rules.words(secret, card.public_key_hex, own))
        table.use(connection, invitation._replace(used_at=self.core.clock.text(), used_by=card.peer_id,
                                                  used_key=card.public_key_hex, words=words))
        connection.event("mesh.invitation.used", peer_id=card.peer_id, payload={"invitation_id": name,
                                                                                "trust_tier": invitation.trust_tier})
        return invitation.trust_tier

    def end_open(self, connection: Any) -> None:
        """Nobody can use the invitations that wait: their codes name a key that this node has no more."""
        table.end_open(connection, self.core.clock.time())


def build(core: Core, rooms: Rooms) -> Invitations:
    return Invitations(core, rooms)


def create(room: Invitations, call: Call) -> Write:
    """POST /mesh/invitations."""
    tier = call.body.trust_tier.strip().lower()
    if tier not in rules.TIERS:
        raise Refusal("invalid_request", "unsupported trust tier")
    base_url = (call.body.base_url or room.core.base_url).rstrip("/")
    try:
        target_of(base_url)
    except OutboundError as fault:
        raise Refusal("invalid_request", f"base_url: {fault.message}") from None

    def then(ticket: rules.Ticket) -> Reply:
        return Reply(Invitation(status="ok", id=ticket.id, code=rules.code(ticket), base_url=ticket.base_url, trust_tier=tier,
                                fingerprint=ticket.fingerprint, certificate=ticket.certificate,
                                expires_at=instant_text(ticket.expires_at)),
                     headers=(("Cache-Control", "no-store"),))

    return Write(lambda connection: room.create(connection, tier, call.body.seconds, base_url), then)


def show(room: Invitations, call: Call) -> Reply:
    """GET /mesh/invitations/{invitation_id}."""
    with room.core.reader.snapshot() as connection:
        found = table.find(connection, call.path["invitation_id"])
    if found is None:
        raise Refusal("not_found", "invitation not found")
    invitation = found[0]
    return Reply(InvitationState(status="ok", id=invitation.id, state=rules.state(invitation, room.core.clock.time()),
                                 trust_tier=invitation.trust_tier,
                                 expires_at=instant_text(invitation.expires_at), peer_id=invitation.used_by,
                                 words=invitation.words.split()))


def join(room: Invitations, call: Call) -> Reply:
    """POST /mesh/invitations/join: a handshake with the inviting node that shows the invitation."""
    ticket = rules.ticket(call.body.code)
    if room.core.clock.time() >= ticket.expires_at:
        raise Refusal("policy_denied", "this invitation has expired")
    own = room.core.identity.public_key_hex

    def invited(public_key_hex: str) -> dict[str, str]:
        if rules.fingerprint(public_key_hex) != ticket.fingerprint:
            raise Refusal("identity_mismatch", "another node answers at the address of this invitation")
        return {"id": ticket.id, "proof": rules.proof(ticket.secret, own, public_key_hex)}

    done = room.rooms["mesh.peers"].connect(Wanted(base_url=ticket.base_url, trust_tier=ticket.trust_tier,
                                                   timeout=call.body.timeout,
                                                   loopback=True if call.caller.loopback else None,
                                                   certificate=ticket.certificate, invited=invited))
    peer = room.rooms["mesh.peers"].find(done["peer_id"])
    return Reply(Joined(status="ok", peer_id=peer.peer_id, display_name=peer.display_name, base_url=done["base_url"],
                        trust_tier=peer.trust_tier,
                        words=rules.words(ticket.secret, own, peer.public_key)))
