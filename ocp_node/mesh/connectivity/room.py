"""How this node can be reached, and where it would look for others (OCP 0.1 connectivity)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ...http.local import local_addresses
from . import rules
from .rules import Members

PEERS_MAX = CANDIDATES_MAX = NEAR_MAX = 12
SIGHTINGS_LOOKED_AT = 100
SCAN_URLS = 24
ERRORS_MAX, ERRORS_LOOKED_AT = 4, 8
ADDRESSES_SECONDS = 5.0            # between two looks at the machine's addresses


class Connectivity:
    """What is told of addresses."""

    def __init__(self, core: Core, rooms: Rooms, addresses: Callable[[], tuple[str, ...]] = local_addresses) -> None:
        self._core = core
        self._peers = rooms["mesh.peers"]
        self._discovery = rooms["mesh.discovery"]
        self.addresses = addresses
        self._kept: tuple[float, list[str]] = (float("-inf"), [])
        self.offers = {"connectivity": (self.diagnostics, lambda: self.diagnostics(False))}

    def local_ipv4(self) -> list[str]:
        """The machine's addresses, the one first that leads outward."""
        now = self._core.clock.monotonic()
        if now - self._kept[0] >= ADDRESSES_SECONDS:
            self._kept = (now, rules.ipv4_only(self.addresses()))
        return self._kept[1]

    def reachability(self) -> Members:
        """How this node can be reached; what everyone may know."""
        host, port = self._core.bound
        local, base_url = self.local_ipv4(), self._core.base_url
        urls = rules.lan_urls(host, port, base_url.partition("://")[0], local)
        return {"status": "ok", "base_url": base_url, "bind_host": host, "port": port, "local_ipv4": local, "lan_urls": urls,
                "share_url": urls[0] if urls else base_url, "sharing_mode": "lan" if urls else "local",
                "share_advice": rules.share_advice(host, local)}

    def diagnostics(self, trusted: bool = True) -> Members:
        """The same with where a scan would look, and what failed lately; both empty for those who may not know the network."""
        shown = self.reachability()
        if not trusted:
            return {**shown, "scan_urls": [], "recent_errors": []}
        return {**shown, "scan_urls": self.scan_urls(SCAN_URLS), "recent_errors": self._recent_errors()}

    def scan_urls(self, limit: int, port: int = 0) -> list[str]:
        """Where a scan looks: at peers and candidates, at what announces itself on the local network, at neighbouring addresses.

        Never at this node itself, nor at what directories name: a scan stays nearby.
        """
        peers = [url for peer in self._peers.all() if peer.trust_tier != "blocked" for url in peer.base_urls[:1]][:PEERS_MAX]
        found = [candidate.base_url for candidate in self._discovery.brief(CANDIDATES_MAX)]
        found += [seen.base_url for seen in self._core.sightings.gather(SIGHTINGS_LOOKED_AT) if not seen.verified][:NEAR_MAX]
        reachable = self.reachability()
        own = (reachable["base_url"], *reachable["lan_urls"])
        return rules.scan_urls(peers, found, self.local_ipv4(), port or self._core.bound[1], limit, own)

    def _recent_errors(self) -> list[Members]:
        failed: list[Any] = [found for found in self._discovery.brief(ERRORS_LOOKED_AT) if found.last_error]
        return [{"base_url": found.base_url, "display_name": found.display_name, "error": found.last_error,
                 "last_error_at": found.last_error_at} for found in failed[:ERRORS_MAX]]


def build(core: Core, rooms: Rooms) -> Connectivity:
    """The room."""
    return Connectivity(core, rooms)


def diagnostics(room: Connectivity, call: Call) -> Reply:
    """GET /mesh/connectivity/diagnostics."""
    return Reply(room.diagnostics(call.caller.trusted_view))
