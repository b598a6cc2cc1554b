"""Getting to know another node by its URL (OCP 0.1 connect): its manifest, a handshake, then a first sync.

Blocks: for long requests and tickers.  The node is kept as a peer once its answer to the handshake is right, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...contract.dialect_schema import validate
from ...contract.published import published
from ...core import Core, Rooms
from ...crypto.envelopes import HANDSHAKE_ROUTE, key_changed
from ...http.gates import is_loopback
from ...http.target import target_of
from ..handshake import rules as cards
from ..parts import optional
from ..values import as_object
from . import imports, pins, rules
from .peer import Members, Peer, made

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

PRESENT_MAX, BEACONS_MAX = 20, 10
SYNC_LIMIT = 20
ROUTES_TRIED = 3
NO_RELIABILITY: Members = {"source": "remote_events", "completed": 0, "failed": 0, "retried": 0, "total": 0, "success_rate": None,
                           "score": 0}


class Wanted(NamedTuple):
    """Whom to connect to, and how."""
    base_url: str = ""
    peer_id: str = ""
    trust_tier: str = "trusted"
    timeout: float = 3.0
    refresh_manifest: bool = True
    loopback: bool | None = None           # may loopback addresses be called?  None: as the setting says
    source: str = "connect.device"
    certificate: str = ""                  # the fingerprint that its certificate must have, which is pinned then
    invited: Callable[[str], Members] | None = None    # shows an invitation to the node of this public key, or refuses that node


class Connecting:
    """Connects to nodes."""

    def __init__(self, core: Core, rooms: Rooms, syncing: Any) -> None:
        self._core = core
        self._rooms = rooms
        self._syncing = syncing
        self._peers = rooms["mesh.peers"]
        self._calls = rooms["mesh.calls"]
        self._envelopes = rooms["mesh.envelopes"]
        self._manifest = rooms["mesh.manifest"]
        self._agents = rooms["mesh.agents"]

    def connect(self, wanted: Wanted) -> Members:
        """The node is a peer, and its log read on; what was exchanged.  `Refusal` when it cannot be reached, or lies.

        A sync that fails after the handshake leaves the peer connected; the answer's `sync` says so.
        """
        wanted = wanted._replace(trust_tier=rules.operator_tier(wanted.trust_tier), base_url=wanted.base_url.strip())
        url, manifest, loopback = self._reached(wanted)
        wanted = wanted._replace(loopback=loopback)
        card = manifest["organism_card"]
        peer_id = card["organism_id"].strip()
        self._follow(wanted, url, peer_id, card["public_key"].lower())
        tier = self._checked(wanted, peer_id, card["public_key"].lower())
        certificate = self._certificate(wanted, peer_id, url)
        request_id = self._core.ids.hex(32)
        body = self._introduction(tier)
        if wanted.invited is not None:
            body["invitation"] = wanted.invited(card["public_key"].lower())
        try:
            answer = self._calls.signed(url, HANDSHAKE_ROUTE, body, wanted.timeout, request_id=request_id,
                                        loopback=wanted.loopback, certificate=certificate)
        except Refusal as refusal:
            refusal.detail["peer_id"] = peer_id
            raise
        self._check_answer(answer, peer_id, card["public_key"].lower(), bool(wanted.certificate and self._peers.find(peer_id)))
        peer = self._core.writer.run(lambda connection: self._keep(connection, url, manifest, answer, tier, wanted, request_id))
        sync = self._synced(peer.peer_id, wanted)
        return self._told(wanted, url, peer, manifest, answer, sync)

    def introduce(self, peer: Peer, loopback: bool | None) -> None:
        """The peer, which knows us, has accepted a handshake under the key we have now; `Refusal` when it did not."""
        answer = self._calls.signed(peer, HANDSHAKE_ROUTE, self._introduction(peer.trust_tier), loopback=loopback)
        self._check_answer(answer, peer.peer_id, peer.public_key)

    def _introduction(self, tier: str) -> Members:
        """What a handshake of ours says; how we came by our key, for those who know an earlier one, and which certificate is
        ours when no authority vouches for it."""
        body: Members = {"peer_card": self._manifest.card(tier), "agent_presence": self._agents.present(PRESENT_MAX),
                         "beacons": self._agents.beacons(BEACONS_MAX)}
        successions = self._core.identity.successions
        certificate = pins.own(self._core.certificate, self._core.bound[1], self._core.base_url)
        return {**body, **({"successions": list(successions)} if successions else {}),
                **({pins.CERTIFICATE: certificate} if certificate else {})}

    # --- before the handshake

    def _follow(self, wanted: Wanted, url: str, peer_id: str, public_key: str) -> None:
        """A known peer's new key is pinned when its old one says so; `Refusal("key_changed")` otherwise."""
        known = self._peers.find(peer_id) if wanted.peer_id in ("", peer_id) else None
        if known is not None and known.public_key not in ("", public_key):
            self._peers.follow(known, url, public_key, wanted.timeout, wanted.loopback, wanted.certificate)

    def _reached(self, wanted: Wanted) -> tuple[str, Members, bool | None]:
        """The URL that led to a node, that node's manifest, and whether it may be called on loopback."""
        urls = [wanted.base_url] if wanted.base_url else self._urls(wanted.peer_id)
        if not urls:
            raise Refusal("not_found" if wanted.peer_id else "invalid_request", "peer base_url is required")
        for number, url in enumerate(urls):
            try:
                base = self._calls.base_url(url)
                loopback = self._may_loop(wanted, base)
                manifest = self._calls.manifest(base, wanted.timeout, loopback=loopback,
                                                certificate=self._certificate(wanted, wanted.peer_id, base))
                return base, manifest, loopback
            except Refusal as refusal:
                if number == len(urls) - 1 or not refusal.code.startswith("peer_"):
                    raise
        raise AssertionError("every URL was tried")

    def _certificate(self, wanted: Wanted, peer_id: str, url: str) -> str | None:
        """The fingerprint that the certificate of the node at this URL must have: the operator's word, else what is pinned for
        the node of that name; None for a node that is not known."""
        if wanted.certificate:
            if not pins.origin(url).startswith("https:"):
                raise Refusal("invalid_request", "certificate: only the node at an https URL has one")
            return wanted.certificate
        known = self._peers.find(peer_id) if peer_id else None
        return pins.pin(known, url) if known is not None else None

    def _urls(self, peer_id: str) -> list[str]:
        """Where the named peer may be: where it was reached last, where it says it is, where it was discovered."""
        known = self._peers.find(peer_id) if peer_id else None
        urls = known.base_urls if known is not None else []
        discovery = optional(self._rooms, "mesh.discovery") if peer_id and not urls else None
        return (urls or (discovery.urls_of(peer_id) if discovery is not None else []))[:ROUTES_TRIED]

    def _may_loop(self, wanted: Wanted, url: str) -> bool | None:
        known = self._peers.find(wanted.peer_id) if wanted.peer_id else None
        return True if known is not None and known.metadata.get("reached_on_loopback") == url else wanted.loopback

    def _checked(self, wanted: Wanted, peer_id: str, public_key: str) -> str:
        """The node may be connected to; the tier it gets.  A tier that is stored for it stays."""
        if peer_id == self._core.identity.node_id:
            if public_key != self._core.identity.public_key_hex:
                raise key_changed()
            raise Refusal("invalid_request", "a node cannot connect to itself")
        if wanted.peer_id:
            imports.same_node(peer_id, wanted.peer_id)
        known = self._peers.find(peer_id)
        self._check_known(known, public_key)
        if known is None or known.status == rules.PENDING or wanted.trust_tier == "blocked":
            return wanted.trust_tier
        return str(known.trust_tier)

    def _check_known(self, known: Peer | None, public_key: str) -> None:
        if known is not None and known.public_key and known.public_key != public_key:
            raise key_changed(peer_id=known.peer_id)
        if known is not None and known.trust_tier == "blocked":
            raise Refusal("policy_denied", f"peer {known.peer_id} is blocked", {"peer_id": known.peer_id})

    # --- after it

    def _check_answer(self, answer: Members, peer_id: str, public_key: str, strict: bool = False) -> None:
        """The answer is one to a handshake, and if it brings a signature (it must when `strict`), the peer made it for us and
        this session."""
        session = answer.get("mesh_session_id")
        if validate(answer, "HandshakeResponse", published().schemas) or answer.get("status") != "ok" or not isinstance(session,
                                                                                                                        str):
            raise Refusal("peer_unreachable", "the peer's answer to the handshake is not valid", {"peer_id": peer_id})
        if answer.get("response_envelope") is None and not strict:
            return
        signed = self._envelopes.check_answer(answer.get("response_envelope"), HANDSHAKE_ROUTE, peer_id, public_key)
        if signed is None or signed.get("mesh_session_id") != session or signed.get("peer_id") != self._core.identity.node_id:
            raise Refusal("peer_unreachable", "the answer to the handshake was not signed by the peer", {"peer_id": peer_id})

    def _keep(self, connection: WriteConnection, url: str, manifest: Members, answer: Members, tier: str, wanted: Wanted,
              request_id: str) -> Peer:
        card, now = manifest["organism_card"], connection.clock.text()
        peer_id = card["organism_id"].strip()
        known = self._peers.current(connection, peer_id)
        self._check_known(known, card["public_key"].lower())
        members = cards.claims(card, peer_id)
        members["endpoint_url"] = cards.reached(members["endpoint_url"], url)
        metadata = {**cards.told(card, manifest.get("agent_presence"), manifest.get("beacons")), "last_reachable_base_url": url,
                    "last_remote_handshake": now, "admitted": True}
        if _on_loopback(url):
            metadata["reached_on_loopback"] = url
        seen = {**members, "mesh_session_id": answer["mesh_session_id"][:64], "public_key": card["public_key"].lower(),
                "updated_at": now,
                "last_seen_at": now, "last_handshake_at": now, "status": rules.CONNECTED}
        if known is not None:
            if known.status == rules.PENDING:
                self._peers.unask(connection, peer_id, "peer_decided")
            kept_tier = tier if known.status == rules.PENDING else known.trust_tier
            peer = known._replace(**seen, trust_tier=kept_tier,
                                  metadata=pins.given({**known.metadata, **metadata}, wanted.certificate))
        else:
            peer = made({"peer_id": peer_id, "trust_tier": tier, "remote_execution": None, "reliability": NO_RELIABILITY,
                         "created_at": now,
                         "metadata": pins.given(metadata, wanted.certificate), **seen})
        kept: Peer = self._peers.put(connection, peer)
        connection.event("mesh.handshake.sent", peer_id=peer_id, request_id=request_id, payload={
            "base_url": url, "trust_tier": kept.trust_tier, "peer_advisory": self._peers.advisory(kept, "handshake.sent"),
            "accepted_peer_advisory": as_object(answer.get("peer_advisory"))})
        return kept

    def _synced(self, peer_id: str, wanted: Wanted) -> Members:
        try:
            synced: Members = self._syncing.sync(peer_id, SYNC_LIMIT, wanted.refresh_manifest, wanted.loopback)
            return synced
        except Refusal as refusal:
            return {"status": "error", "error": refusal.message, "code": refusal.code, **refusal.detail}

    def _told(self, wanted: Wanted, url: str, peer: Peer, manifest: Members, answer: Members, sync: Members) -> Members:
        peer = self._peers.find(peer.peer_id) or peer
        sent, advisory = self._peers.advisory(peer, "handshake.sent"), self._peers.advisory(peer, wanted.source)
        shown = self._peers.json(peer)
        summary, action = advisory["operator_summary"], advisory["recommended_action"]
        connection = {"status": "ok", "peer": shown, "peer_advisory": sent, "operator_summary": summary,
                      "recommended_action": action,
                      "accepted_peer_advisory": as_object(answer.get("peer_advisory")), "remote_manifest": manifest,
                      "response": answer}
        return {"status": "ok", "peer": shown, "peer_advisory": advisory, "operator_summary": summary,
                "recommended_action": action,
                "peer_id": peer.peer_id, "base_url": url, "connection": connection, "sync": sync}


def _on_loopback(url: str) -> bool:
    host = target_of(url).host
    return host == "localhost" or is_loopback(host)
