"""A peer as this node knows it, and what its card means; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..device_profile import derived
from ..device_profile.rules import lenient, normalised
from ..values import as_object

Members = dict[str, Any]
CERTIFICATE_PIN = "certificate_pin"        # in a peer's metadata: see `pins.py`


class Peer(NamedTuple):
    """One peer (OCP 0.1 peer object).  Nobody changes its members; a change makes another one.

    A plain tuple class, not a record: peers are needed before the first answer.
    """
    peer_id: str
    display_name: str
    public_key: str                        # pinned, 64 hex digits; "" after the operator let the next handshake pin one
    signature_scheme: str
    endpoint_url: str                      # as it says itself
    stream_url: str
    trust_tier: str                        # ours for it, whatever it claims
    reachability: str
    status: str                            # connected, degraded, pending
    mesh_session_id: str
    protocol_version: str
    capability_cards: list[Members]
    card: Members
    metadata: Members
    reliability: Members
    remote_execution: bool | None          # the operator's switch; None: the setting decides
    created_at: str
    updated_at: str
    last_seen_at: str
    last_handshake_at: str
    # what follows
    device_profile: Members
    sync_policy: Members
    habitat_roles: list[str]
    continuity_capabilities: Members
    treaty_capabilities: Members
    governance_summary: Members

    @property
    def organism_id(self) -> str:
        return self.peer_id

    @property
    def load(self) -> Members:
        """How busy it was when last asked."""
        return load(self.metadata)

    @property
    def heartbeat(self) -> Members:
        found: Members = self.metadata.get("heartbeat") or {}
        return found

    @property
    def remote_cursor(self) -> int:
        """The number of the newest event of its log that we have."""
        return int(self.metadata.get("remote_cursor") or 0)

    @property
    def base_urls(self) -> list[str]:
        """Where it may be reached, the best first; under TLS alone when its certificate is pinned."""
        found = self.metadata.get("route_candidates") or []
        urls = [self.metadata.get("last_reachable_base_url") or "", self.endpoint_url,
                *(candidate.get("base_url", "") for candidate in found if candidate.get("status") == "reachable")]
        pinned = CERTIFICATE_PIN in self.metadata
        return list(dict.fromkeys(url for url in urls if url and not (pinned and url[:5].lower() == "http:")))


def made(stored: Mapping[str, Any]) -> Peer:
    """The peer with these stored members, and what follows from its card and from what it last told us."""
    metadata, card = stored["metadata"], stored["card"]
    profile = normalised(lenient(metadata.get("remote_device_profile") or card.get("device_profile")))
    return Peer(**stored, device_profile=profile, sync_policy=derived.sync_policy(profile),
                habitat_roles=_words(card.get("habitat_roles")) or derived.habitat_roles(profile),
                continuity_capabilities=as_object(card.get("continuity_capabilities")) or derived.continuity_capabilities(profile),
                treaty_capabilities=as_object(card.get("treaty_capabilities")),
                governance_summary=as_object(card.get("governance_summary")))


def stored(peer: Peer) -> Members:
    """The members of a peer that are stored; the others follow from them."""
    return {name: getattr(peer, name) for name in STORED}


STORED = ("peer_id", "display_name", "public_key", "signature_scheme", "endpoint_url", "stream_url", "trust_tier", "reachability",
          "status", "mesh_session_id", "protocol_version", "capability_cards", "card", "metadata", "reliability",
          "remote_execution",
          "created_at", "updated_at", "last_seen_at", "last_handshake_at")


def compatibility(peer: Peer, local_custody: bool) -> Members:
    """How far its treaties and ours work together; what its card does not say follows from its profile."""
    treaties = peer.treaty_capabilities or derived.treaty_capabilities(peer.device_profile)
    return derived.treaty_compatibility(treaties, peer.continuity_capabilities, local_custody)


def advisory(peer: Peer, source: str, local_custody: bool) -> Members:
    """What an operator should know of the peer after a contact."""
    treaties = peer.treaty_capabilities or derived.treaty_capabilities(peer.device_profile)
    return derived.peer_advisory(peer.peer_id, peer.display_name, source, peer.habitat_roles, peer.continuity_capabilities,
                                 treaties,
                                 compatibility(peer, local_custody), peer.governance_summary)


def peer_json(peer: Peer, local_custody: bool = True) -> Members:
    """The peer as it is shown."""
    metadata = peer.metadata
    return {"peer_id": peer.peer_id, "organism_id": peer.peer_id, "display_name": peer.display_name,
            "public_key": peer.public_key,
            "signature_scheme": peer.signature_scheme, "endpoint_url": peer.endpoint_url, "stream_url": peer.stream_url,
            "trust_tier": peer.trust_tier, "reachability": peer.reachability, "status": peer.status,
            "mesh_session_id": peer.mesh_session_id, "protocol_version": peer.protocol_version,
            "capability_cards": peer.capability_cards, "card": peer.card, "device_profile": peer.device_profile,
            "sync_policy": peer.sync_policy, "habitat_roles": peer.habitat_roles,
            "continuity_capabilities": peer.continuity_capabilities, "treaty_capabilities": peer.treaty_capabilities,
            "treaty_compatibility": compatibility(peer, local_custody), "governance_summary": peer.governance_summary,
            "metadata": metadata, "reliability": peer.reliability, "load": peer.load,
            "sync_state": {"remote_cursor": peer.remote_cursor, "last_sync_at": metadata.get("last_sync_at", ""),
                           "last_imported_event_count": metadata.get("last_imported_event_count", 0),
                           "last_sync_error": metadata.get("last_sync_error", "")},
            "heartbeat": peer.heartbeat, "remote_execution": peer.remote_execution, "created_at": peer.created_at,
            "updated_at": peer.updated_at, "last_seen_at": peer.last_seen_at, "last_handshake_at": peer.last_handshake_at}


def load(metadata: Mapping[str, Any]) -> Members:
    """How busy a peer was when it last told us: from its queue's counts and its workers' slots."""
    metrics = as_object(metadata.get("remote_queue_metrics"))
    counts, workers = as_object(metrics.get("counts")), as_object(metrics.get("workers"))
    queued, inflight, slots, active = (_count(value) for value in (counts.get("queued"), counts.get("inflight"),
                                                                   workers.get("total_slots"), workers.get("active_attempts")))
    ratio = metrics.get("backlog_ratio")
    return {"queue_depth": queued + inflight, "queued": queued, "inflight": inflight,
            "pressure": str(metrics.get("pressure") or "unknown")[:40], "backlog_ratio": ratio if type(ratio) in (int, float)
            else None,
            "scheduler_penalty": _count(metrics.get("scheduler_penalty")), "total_slots": slots, "active_attempts": active,
            "available_slots": _count(workers.get("available_slots")), "utilization": round(active / slots, 4) if slots else None}


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _words(value: object) -> list[str]:
    return [word[:64] for word in value[:16] if isinstance(word, str)] if isinstance(value, list) else []
