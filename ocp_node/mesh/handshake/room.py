"""Two nodes get to know each other (OCP 0.1 handshake): the caller's key is pinned, its claimed tier is a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...crypto.envelopes import HANDSHAKE_ROUTE, Card, key_changed
from ...http.gates import Failures, is_loopback
from ..parts import optional
from ..peers import pins
from ..peers import rules as tiers
from ..peers.peer import Members, Peer, made
from . import rules

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

ADMISSION = "peer.admission"
STRANGERS_MAX = 1_000            # peers that nobody has admitted; past it the one unheard of for longest makes room
STRANGER_SECONDS = 600           # a stranger is kept at least so long
STRANGERS_PER_MINUTE = 30        # new names of one address beyond loopback
EVENTS_SHOWN = 25


class Handshake:
    """Accepts handshakes and keeps who shook hands."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.rooms = rooms
        self.peers = rooms["mesh.peers"]
        self.envelopes = rooms["mesh.envelopes"]
        self.manifest = rooms["mesh.manifest"]
        self.stream = rooms["mesh.stream"]
        self._strangers = Failures(core.clock, STRANGERS_PER_MINUTE)

    def mode(self, from_loopback: bool) -> str:
        """What becomes of strangers that call from there."""
        return tiers.admission_mode(self.core.settings.peer_admission, is_loopback(self.core.bound[0]), from_loopback)

    def check_stranger(self, address: str, from_loopback: bool) -> None:
        """One more stranger of this address; `Refusal("rate_limited")` when there were too many within a minute."""
        if from_loopback:
            return
        try:
            self._strangers.check(address)
        except Refusal as refusal:
            raise Refusal("rate_limited", "too many new peers from this address", headers=refusal.headers) from None
        self._strangers.add(address)

    def refuse_self(self, card: Card) -> None:
        """The card is not this node's own, nor of another one under our name."""
        if card.peer_id == self.core.identity.node_id:
            if card.public_key_hex != self.core.identity.public_key_hex:
                raise key_changed()
            raise Refusal("invalid_request", "a node cannot connect to itself")

    def keep(self, connection: WriteConnection, card: Card, members: Members, metadata: Members, session: str, mode: str,
             word: pins.Said, invited: str = "") -> Peer:
        """The peer stands as this handshake leaves it; a stranger as its admission says, with the operator asked if need be.

        `invited` is the tier of an invitation it has shown: that is the operator's word, given beforehand.  `word` is what the
        peer says of its certificate.
        """
        now = connection.clock.text()
        known = self.peers.current(connection, card.peer_id)
        seen = {**members, "mesh_session_id": session, "updated_at": now, "last_seen_at": now, "last_handshake_at": now,
                "public_key": card.public_key_hex}
        if known is not None:
            if known.public_key not in ("", card.public_key_hex):      # `claim` has seen that it leads to the card's key
                known = self.peers.succeed(connection, known, card.public_key_hex, "handshake")
            waits = known.status == tiers.PENDING
            peer = known._replace(**seen, status=tiers.PENDING if waits and not invited else tiers.CONNECTED,
                                  trust_tier=invited or known.trust_tier,
                                  metadata=self.peers.heard(connection, card.peer_id, {**known.metadata, **metadata}, word))
            if waits and invited:
                self.peers.unask(connection, peer.peer_id, "peer_decided")
            elif waits and not known.public_key and not self._ask(connection, peer, card):
                peer = peer._replace(status=tiers.CONNECTED)
            return self.put(connection, peer)
        admission = tiers.Admission(invited, tiers.CONNECTED,
                                    False) if invited else tiers.admit(mode, tiers.claimed_tier(card.trust_tier))
        self._make_room(connection)
        peer = made({"peer_id": card.peer_id, "trust_tier": admission.trust_tier, "status": admission.status,
                     "remote_execution": None,
                     "reliability": NO_RELIABILITY, "created_at": now,
                     "metadata": self.peers.heard(connection, card.peer_id, metadata, word), **seen})
        if admission.asks and not self._ask(connection, peer, card):
            peer = peer._replace(status=tiers.CONNECTED)
        return self.put(connection, peer)

    def put(self, connection: WriteConnection, peer: Peer) -> Peer:
        stored: Peer = self.peers.put(connection, peer)
        return stored

    def _make_room(self, connection: WriteConnection) -> None:
        before = instant_text(connection.clock.time() - STRANGER_SECONDS)
        displaced = tiers.displaced(self.peers.all(), STRANGERS_MAX, before)
        if displaced is not None:
            self.peers.drop(connection, displaced.peer_id)
            self.peers.unask(connection, displaced.peer_id, "peer_forgotten")

    def _ask(self, connection: WriteConnection, peer: Peer, card: Card) -> bool:
        """The operator is asked to admit the peer; False when an operator has refused it before.

        A peer that was admitted once, or never answered, and then forgotten is a stranger like any other.
        """
        approvals = optional(self.rooms, "mesh.approvals")
        if approvals is None:
            return True
        asked = tiers.claimed_tier(card.trust_tier)
        result = approvals.request(connection, {
            "request_id": tiers.admission_question(peer.peer_id), "action_type": ADMISSION, "severity": "high",
            "title": f"Admit {peer.display_name} ({peer.peer_id})?",
            "summary": f"A node at {peer.endpoint_url or 'an unknown address'} asks to be a {asked} peer. "
                       f"Its key is {card.public_key_hex[:16]}…",
            "requested_by_peer_id": peer.peer_id, "target_peer_id": self.core.identity.node_id,
            "metadata": {"peer_id": peer.peer_id, "requested_tier": asked, "public_key": card.public_key_hex}},
            afresh=("approved", "expired"))
        return bool(result["approval"]["status"] != "rejected")

    def resolved(self, connection: WriteConnection, approval: Mapping[str, Any], decision: str,
                 metadata: Mapping[str, Any]) -> Members | None:
        """What the operator's decision does to the peer that waited for it; None when it does nothing."""
        asked = approval["metadata"]
        peer = self.peers.current(connection, asked.get("peer_id", ""))
        if decision not in ("approved", "rejected") or peer is None:
            return None
        if peer.status != tiers.PENDING or not tiers.had_key(peer, asked.get("public_key")):
            return {"status": "ignored", "reason": "peer_changed", "peer_id": peer.peer_id, "trust_tier": peer.trust_tier}
        tier = tiers.operator_tier(str(metadata.get("trust_tier") or asked.get("requested_tier",
                                                                               ""))) if decision == "approved" else "public"
        changed = peer._replace(trust_tier=tier, status=tiers.CONNECTED, updated_at=connection.clock.text(),
                                metadata={**peer.metadata, "admitted": decision == "approved"})
        self.put(connection, changed)
        connection.event("mesh.peer.trust_changed", peer_id=peer.peer_id, payload={
            "trust_tier": tier, "previous_trust_tier": peer.trust_tier, "remote_execution": peer.remote_execution,
            "key_reset": False,
            "approval_id": approval.get("id", "")})
        return {"status": "applied", "peer_id": peer.peer_id, "trust_tier": tier}

    def answer(self, peer: Peer, session: str, accepted_at: str, envelope: Members, trusted_view: bool) -> Members:
        """What the caller is told."""
        advisory = self.peers.advisory(peer, "handshake.accepted")
        events = EVENTS_SHOWN if tiers.at_least(peer.trust_tier, "partner") else 0
        return {"status": "ok", "mesh_session_id": session, "trust_tier": peer.trust_tier, "peer": self.peers.json(peer),
                "peer_advisory": advisory, "operator_summary": advisory["operator_summary"],
                "recommended_action": advisory["recommended_action"], "manifest": self.manifest.document(),
                "stream": self.stream.latest(events, trusted_view), "accepted_at": accepted_at, "response_envelope": envelope}


NO_RELIABILITY: Members = {"source": "remote_events", "completed": 0, "failed": 0, "retried": 0, "total": 0, "success_rate": None,
                           "score": 0}


def build(core: Core, rooms: Rooms) -> Handshake:
    """The room; from now on a decision on an admission reaches its peer."""
    room = Handshake(core, rooms)
    approvals = optional(rooms, "mesh.approvals")
    if approvals is not None:
        approvals.on_resolved(ADMISSION, room.resolved)
    return room


def accept(room: Handshake, call: Call) -> Write:
    """POST /mesh/handshake."""
    signed, card = room.envelopes.open_handshake(call.body.document)
    room.refuse_self(card)
    if signed.peer is None:
        room.check_stranger(call.caller.address, call.caller.loopback)
    document, mode = signed.body["peer_card"], room.mode(call.caller.loopback)
    stranger = tiers.is_stranger(signed.peer) if signed.peer is not None else mode != "declared"
    members = rules.claims(document, card.peer_id, stranger)
    metadata = {**rules.told(document, signed.body.get("agent_presence"), signed.body.get("beacons"), stranger),
                "last_request_id": signed.request_id}
    session, accepted_at = f"mesh-{room.core.ids.hex(12)}", room.core.clock.text()
    envelope = room.envelopes.sign(HANDSHAKE_ROUTE, {"mesh_session_id": session, "accepted_at": accepted_at,
                                                     "peer_id": card.peer_id})
    offered, word = signed.body.get("invitation"), pins.said(signed.body, signed.signed_at_seconds)

    def change(connection: WriteConnection) -> Peer:
        room.envelopes.claim(connection, signed)
        invited = room.rooms["mesh.invitations"].redeem(connection, offered, card) if offered is not None else ""
        peer = room.keep(connection, card, members, {**metadata, **({"admitted": True} if invited else {})}, session, mode,
                         word, invited)
        connection.event("mesh.handshake.accepted", peer_id=peer.peer_id, request_id=signed.request_id, payload={
            "display_name": peer.display_name, "mesh_session_id": session, "trust_tier": peer.trust_tier, "status": peer.status,
            "peer_advisory": room.peers.advisory(peer, "handshake.accepted")})
        return peer

    return Write(change, lambda peer: Reply(room.answer(peer, session, accepted_at, envelope, call.caller.trusted_view)))
