"""Reading a peer's log on from where we stand (OCP 0.1 peer sync).  Blocks: for long requests and tickers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...core import Core, Rooms
from ..manifest.rules import reliability
from . import imports, pins, rules, table
from .peer import Members, Peer

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

STREAM_SECONDS = 8.0
MANIFEST_SECONDS = 3.0


class Syncing:
    """Syncs with peers, one call at a time per caller."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._peers = rooms["mesh.peers"]
        self._calls = rooms["mesh.calls"]

    def sync(self, peer_id: str, limit: int, refresh_manifest: bool, loopback: bool | None,
             source: str = "peer.synced") -> Members:
        """What the peer's log had after our cursor is stored, and how the peer is now.

        A failed call is remembered with the peer, whose status is then `degraded`; the `Refusal` tells why.
        """
        peer = self._ready(peer_id)
        try:
            manifest = self._refreshed(peer, loopback) if refresh_manifest else None
            stream, imported, anew = self._fetched(peer, limit, loopback)
            if anew and manifest is None:
                manifest = self._refreshed(peer, loopback)       # a log that begins anew may be another node's, at the same place
        except Refusal as refusal:
            if refusal.code.startswith("peer_") or refusal.code == "key_changed":
                self._core.writer.run(functools.partial(self._failed, peer_id=peer_id, error=refusal.message))
            raise
        kept, count = self._core.writer.run(lambda connection: self._keep(connection, peer_id, stream, manifest, imported, anew,
                                                                          source))
        advisory = self._peers.advisory(kept, source)
        return {"status": "ok", "peer": self._peers.json(kept), "peer_advisory": advisory,
                "operator_summary": advisory["operator_summary"],
                "recommended_action": advisory["recommended_action"], "imported_events": count, "next_cursor": kept.remote_cursor,
                "log_reset": anew, "heartbeat": kept.heartbeat, "remote_stream": stream, "remote_manifest": manifest}

    def _ready(self, peer_id: str) -> Peer:
        """The peer, which may be asked."""
        if not peer_id:
            raise Refusal("invalid_request", "peer endpoint_url is unavailable")
        peer = self._peers.find(peer_id)
        if peer is None or not peer.base_urls:
            raise Refusal("not_found", "peer endpoint_url is unavailable", {"peer_id": peer_id})
        if peer.trust_tier == "blocked":
            raise Refusal("policy_denied", f"peer {peer_id} is blocked")
        if peer.status == rules.PENDING or not peer.public_key:
            raise Refusal("invalid_state", "peer must be connected before sync", {"peer_id": peer_id})
        found: Peer = peer
        return found

    def _refreshed(self, peer: Peer, loopback: bool | None) -> Members:
        """The peer's manifest; under the pinned key only, or one that it leads to, which is pinned then."""
        url, may_loop = self._calls.url_of(peer), self._calls.may_loop(peer, loopback)
        manifest: Members = self._calls.manifest(url, MANIFEST_SECONDS, loopback=may_loop, certificate=pins.pin(peer, url))
        card = manifest["organism_card"]
        imports.same_node(card["organism_id"], peer.peer_id)
        if card["public_key"].lower() != peer.public_key:
            self._peers.follow(peer, url, card["public_key"].lower(), MANIFEST_SECONDS, may_loop)
        return manifest

    def _fetched(self, peer: Peer, limit: int, loopback: bool | None) -> tuple[Members, imports.Import, bool]:
        """The peer's stream after our cursor, what is new in it, and whether its log has begun anew (it is then read whole)."""
        cursor, known_log = peer.remote_cursor, str(peer.metadata.get("remote_log_id") or "")
        stream, imported = self._stream(peer, cursor, limit, loopback)
        anew = imports.was_reset(imported, cursor, known_log)
        if imports.must_look(imported, cursor):
            anew = not self._stream(peer, cursor - 1, 1, loopback)[1].events
        if anew:
            stream, imported = self._stream(peer, 0, limit, loopback)
        return stream, imported, anew

    def _stream(self, peer: Peer, cursor: int, limit: int, loopback: bool | None) -> tuple[Members, imports.Import]:
        stream = self._calls.get(peer, "/mesh/stream", STREAM_SECONDS, query={"since": cursor, "limit": limit}, loopback=loopback)
        imports.same_node(stream.get("organism_id"), peer.peer_id)
        return stream, imports.read(stream, cursor, limit)

    def _keep(self, connection: WriteConnection, peer_id: str, stream: Members, manifest: Members | None,
              imported: imports.Import,
              anew: bool, source: str) -> tuple[Peer, int]:
        """The events and the peer's state stand in the tables; with two syncs at once each event still stands there once."""
        peer = self._peers.current(connection, peer_id)
        if peer is None:
            raise Refusal("not_found", "peer not found")
        if anew:
            table.forget_events(connection, peer_id)
        now = connection.clock.text()
        count = table.keep_events(connection, peer_id, imported.events, now)
        table.prune_events(connection, peer_id, imports.REMOTE_EVENTS_KEPT)
        cursor = imported.next_cursor if anew else max(peer.remote_cursor, imported.next_cursor)
        metadata = {**peer.metadata, **imports.told(stream, manifest), "remote_cursor": cursor, "remote_log_id": imported.log_id,
                    "last_sync_at": now, "last_imported_event_count": count, "last_sync_error": ""}
        if manifest is not None:
            metadata["last_manifest_refresh_at"] = now
        kept = self._with_state(connection, peer._replace(metadata=metadata, updated_at=now, last_seen_at=now), manifest, now)
        connection.event("mesh.peer.synced", peer_id=peer_id, payload={
            "imported_events": count, "next_cursor": cursor, "log_reset": anew,
            "peer_advisory": self._peers.advisory(kept, source)})
        connection.event("mesh.peer.heartbeat", peer_id=peer_id, payload=kept.heartbeat)
        return kept, count

    def _with_state(self, connection: WriteConnection, peer: Peer, manifest: Members | None, now: str) -> Peer:
        from .peer import made, stored
        if manifest is not None:
            from ..handshake.rules import claims
            refreshed = claims(manifest["organism_card"], peer.peer_id)
            kept = {name: refreshed[name] for name in ("display_name", "capability_cards", "card", "protocol_version",
                                                       "reachability")}
            peer = peer._replace(**kept)
        peer = made(stored(peer))
        types = table.newest_types(connection, peer.peer_id, imports.RELIABILITY_TYPES, imports.RELIABILITY_EVENTS)
        completed, failed, retried = (types.count(kind) for kind in imports.RELIABILITY_TYPES)
        metadata = {**peer.metadata, "heartbeat": imports.heartbeat(peer.metadata, peer.sync_policy, now)}
        status = rules.CONNECTED if peer.status == rules.DEGRADED else peer.status
        kept_peer: Peer = self._peers.put(connection, peer._replace(
            metadata=metadata, status=status, reliability=reliability("remote_events", completed, failed, retried)))
        return kept_peer

    def _failed(self, connection: WriteConnection, peer_id: str, error: str) -> None:
        peer: Any = self._peers.current(connection, peer_id)
        if peer is not None:
            status = rules.DEGRADED if peer.status == rules.CONNECTED else peer.status
            self._peers.put(connection, peer._replace(status=status, updated_at=connection.clock.text(),
                                                      metadata={**peer.metadata, "last_sync_error": error[:500]}))
