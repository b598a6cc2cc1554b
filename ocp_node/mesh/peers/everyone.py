"""Connecting to every node nearby (OCP 0.1 connect-all), and answers kept small.  Blocks: for long requests."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.clock import instant_seconds
from ...base.errors import Refusal
from ...core import Core, Rooms
from ...http.lanes import gather
from ..lists import bounded
from ..parts import optional
from . import rules
from .connecting import Wanted
from .peer import Members, Peer

if TYPE_CHECKING:
    from .records import ConnectAll

TOTAL_SECONDS = 30.0
PARALLEL = 8
CANDIDATES_MIN = 24
FRESH_SECONDS = 300
ERROR_SECONDS = 86_400                # a candidate that failed longer ago is not tried again
NESTED_BYTES_MAX = 65_536             # past it an answer goes without the copies of manifests inside


class Everyone:
    """Connects to all candidates."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._peers = rooms["mesh.peers"]

    def connect(self, wanted: ConnectAll, loopback: bool) -> Members:
        """Every candidate was tried, or its turn did not come within 30 seconds; what became of each."""
        rules.operator_tier(wanted.trust_tier)
        began, limit = self._core.clock.monotonic(), bounded(wanted.limit)
        scan, candidates = self._candidates(wanted, limit, loopback)
        works = [functools.partial(self._one, url, peer_id, wanted, loopback) for url, peer_id in candidates]
        outcomes = gather(works, PARALLEL, max(1.0, TOTAL_SECONDS - (self._core.clock.monotonic() - began)))
        results = [outcome if isinstance(outcome, dict) else self._late(url, peer_id, outcome)
                   for (url, peer_id), outcome in zip(candidates, outcomes, strict=True)]
        return summed(scan, results, [peer.peer_id for peer in self._peers.all()])

    def _candidates(self, wanted: ConnectAll, limit: int, loopback: bool) -> tuple[Members, list[tuple[str, str]]]:
        """What the scan found, and the URLs to try with the nodes expected there; this node left out."""
        discovery = optional(self._rooms, "mesh.discovery")
        found: list[Members] = []
        scan: Members = {"peer_id": self._core.identity.node_id, "count": 0, "discovered": 0, "connected": 0, "errors": 0,
                         "results": [],
                         "suggested_urls": [], "diagnostics": {}}
        if discovery is not None:
            scan = discovery.scan_local(trust_tier=wanted.trust_tier, timeout=wanted.scan_timeout, limit=limit, port=wanted.port,
                                        loopback=loopback)
            found = discovery.listed(max(2 * limit, CANDIDATES_MIN))["candidates"]
        known = [{"base_url": url, "peer_id": peer.peer_id} for peer in self._peers.all() if peer.trust_tier != "blocked"
                 for url in peer.base_urls[:1]]
        return scan, wanted_candidates([*found, *known], max(2 * limit, CANDIDATES_MIN), self._core.identity.node_id,
                                       self._core.base_url,
                                       self._core.clock.time())

    def _one(self, url: str, peer_id: str, wanted: ConnectAll, loopback: bool) -> Members:
        known = self._peers.find(peer_id) if peer_id else None
        if known is not None and fresh(known, self._core.clock.time()):
            return self._result("already_connected", url, known)
        try:
            answer = self._peers.connect(Wanted(url, peer_id, wanted.trust_tier, wanted.timeout, wanted.refresh_manifest,
                                                loopback,
                                                "connect.all"))
        except Refusal as refusal:
            return {"status": "error", "peer_id": peer_id, "base_url": url, "error": refusal.message, "code": refusal.code}
        return self._result("connected", url, self._peers.find(answer["peer_id"]))

    def _result(self, status: str, url: str, peer: Peer) -> Members:
        return {"status": status, "peer_id": peer.peer_id, "base_url": url, "peer": self._peers.json(peer),
                "peer_advisory": self._peers.advisory(peer, "connect.all")}

    def _late(self, url: str, peer_id: str, fault: BaseException) -> Members:
        if not isinstance(fault, TimeoutError):
            self._core.log.fault("connect_all.fault", fault)
        late = isinstance(fault, TimeoutError)
        return {"status": "error", "peer_id": peer_id, "base_url": url, "error": "not done in time" if late else "internal error",
                "code": "peer_timeout" if late else "internal"}


def wanted_candidates(found: Sequence[Mapping[str, Any]], limit: int, node_id: str, own_url: str,
                      now: float) -> list[tuple[str, str]]:
    """The URLs worth trying, each once, with the node expected there ("" when unknown)."""
    urls: dict[str, str] = {}
    for candidate in found:
        url, peer_id = str(candidate.get("base_url") or "").rstrip("/"), str(candidate.get("peer_id") or "")
        ours = url == own_url or peer_id == node_id
        if url.startswith(("http://", "https://")) and not ours and url not in urls and not _given_up(candidate, now):
            urls[url] = peer_id
    return list(urls.items())[:limit]


def _given_up(candidate: Mapping[str, Any], now: float) -> bool:
    if candidate.get("status") != "error":
        return False
    return now - _instant(candidate.get("last_error_at")) > ERROR_SECONDS


def fresh(peer: Peer, now: float) -> bool:
    """Was the peer reached by us within the last five minutes?"""
    if peer.status != rules.CONNECTED or not peer.public_key:
        return False
    health = peer.metadata.get("route_health") or {}
    reached = max(_instant(peer.metadata.get("last_sync_at")), _instant(health.get("last_success_at")))
    return not peer.metadata.get("last_sync_error") and now - reached <= FRESH_SECONDS


def _instant(text: object) -> float:
    try:
        return instant_seconds(text) if isinstance(text, str) and text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def summed(scan: Members, results: list[Members], peer_ids: list[str]) -> Members:
    """The answer of a connect-all."""
    counts = {status: sum(result["status"] == status for result in results) for status in ("connected", "already_connected",
                                                                                           "error")}
    ready = sum(bool(result.get("peer_advisory", {}).get("treaty_compatibility", {}).get("custody_pairing_ready"))
                for result in results)
    return {"status": "ok", "scan": scan, "results": results, "connected": counts["connected"],
            "already_connected": counts["already_connected"], "errors": counts["error"], "count": len(results),
            "operator_summary": f"{len(results)} nodes tried: {counts['connected']} connected now, "
                                f"{counts['already_connected']} were connected before, {counts['error']} failed; "
                                f"{ready} ready for treaty and custody work.",
            "treaty_ready": ready, "mesh": {"peer_count": len(peer_ids), "peer_ids": peer_ids}}


def compacted(answer: Members, compact: bool) -> Members:
    """The answer of a connect without copies of the same thing: all of them when `compact` is asked for, those of manifests
    when the body would pass 64 KiB."""
    connection, sync = dict(answer["connection"]), dict(answer["sync"])
    if compact:
        connection |= {"peer": None, "remote_manifest": None, "response": {"mesh_session_id": answer["peer"]["mesh_session_id"]}}
        sync = {name: value for name, value in sync.items() if name not in ("peer", "remote_stream", "remote_manifest")}
    elif len(jsontext.compact(answer)) > NESTED_BYTES_MAX:
        connection["response"] = {name: value for name, value in connection["response"].items() if name != "manifest"}
        sync["remote_manifest"] = None
    return {**answer, "connection": connection, "sync": sync}
