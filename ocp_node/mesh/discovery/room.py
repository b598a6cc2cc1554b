"""Nodes that were found and need not be peers (OCP 0.1 discovery).

A candidate is kept under the URL that was tried.  Directories that this node reads name further nodes: these are listed with
their source, but nobody calls them until an operator does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..lists import bounded
from ..redaction import redacted
from . import candidate as candidates
from . import rules, table
from .candidate import Members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...store.writer import WriteConnection
    from .seeking import Seeking

__all__ = ["Discovery", "build"]

URLS_MAX = 8
SIGHTINGS_MAX = 500
DECK_MAX = 12


class Discovery:
    """The candidates."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._custody = rooms["mesh.device_profile"].custody
        self.offers: dict[str, Any] = {"discovery_candidates": (lambda: self.listed(DECK_MAX, manifests=False), None)}

    # --- reading

    def listed(self, limit: int, status: str = "", *, directories: bool = False, manifests: bool = True) -> Members:
        """The newest candidates; with `directories` also the nodes that directories name and nobody has tried."""
        with self._core.reader.snapshot() as connection:
            found = table.newest(connection, limit, status)
        if directories:
            seen = self._core.sightings.gather(SIGHTINGS_MAX) if self._core.sightings.sources else []
            found = candidates.merged(found, seen if status in ("", candidates.DISCOVERED) else [], limit)
        shown = [candidates.candidate_json(candidate, self._custody()) for candidate in found]
        if not manifests:
            shown = [{**each, "manifest": {}} for each in shown]
        return {"peer_id": self._core.identity.node_id, "count": len(shown), "candidates": shown}

    def brief(self, limit: int) -> list[table.Brief]:
        """The newest candidates without their documents."""
        with self._core.reader.snapshot() as connection:
            return table.brief(connection, limit)

    def urls_of(self, peer_id: str, public_key: str = "") -> list[str]:
        """Where the node may be: where it answered, and where a directory says that the holder of this key is."""
        with self._core.reader.snapshot() as connection:
            found = table.urls_of(connection, peer_id, URLS_MAX)
        if public_key and self._core.sightings.sources:
            found += [sighting.base_url.rstrip("/") for sighting in self._core.sightings.gather(SIGHTINGS_MAX)
                      if sighting.verified and sighting.base_url and candidates.key_of(sighting.node_did) == public_key]
        return list(dict.fromkeys(found))[:URLS_MAX]

    # --- calling others: these block, for long requests and tickers

    def seek(self, *, base_urls: Iterable[str] = (), hosts: Iterable[str] = (), cidr: str = "", port: int = 8421,
             trust_tier: str = "trusted", auto_connect: bool = False, include_self: bool = False, limit: int = 32,
             timeout: float = 2.0, refresh_known: bool = True, loopback: bool | None = None) -> Members:
        """Every URL was tried; what became of each."""
        from .seeking import Wanted
        urls = rules.wanted_urls(base_urls, hosts, cidr, port, limit, () if include_self else {self._core.base_url})
        return self.seeking().seek(Wanted(urls, trust_tier, timeout, auto_connect, refresh_known, loopback))

    def scan_local(self, *, trust_tier: str = "trusted", timeout: float = 0.8, limit: int = 24, port: int = 0,
                   loopback: bool | None = None, seconds: float = 15.0) -> Members:
        """The neighbourhood was looked at, for so many seconds at most; nobody was connected to."""
        from .seeking import Wanted
        connectivity, most = self._rooms["mesh.connectivity"], max(1, min(limit, rules.SCAN_URLS_MAX))
        urls = connectivity.scan_urls(most, port)
        found = self.seeking().seek(Wanted(urls, trust_tier, timeout, loopback=loopback, source="local network", seconds=seconds))
        return {**found, "suggested_urls": urls, "diagnostics": {**connectivity.diagnostics(), "scan_urls": urls}}

    def seeking(self) -> Seeking:
        """The way to look for nodes."""
        from .seeking import Seeking
        return Seeking(self._core, self._rooms)

    # --- changing, inside a change

    def note(self, connection: WriteConnection, url: str, manifest: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """A node that is no peer answered at this URL."""
        known, now = table.find(connection, url), connection.clock.text()
        tier = known.trust_tier if known is not None else "trusted"
        table.put(connection, candidates.answered(known, url, manifest, tier, dict(metadata), now))
        table.prune(connection)


def build(core: Core, rooms: Rooms) -> Discovery:
    """The room."""
    return Discovery(core, rooms)


def list_all(room: Discovery, call: Call) -> Reply:
    """GET /mesh/discovery/candidates."""
    listed = room.listed(bounded(call.query.limit), call.query.status.strip().lower(), directories=True)
    return Reply(listed if call.caller.trusted_view else redacted(listed))


def seek(room: Discovery, call: Call) -> Reply:
    """POST /mesh/discovery/seek."""
    body = call.body
    return Reply(room.seek(base_urls=body.base_urls, hosts=body.hosts, cidr=body.cidr, port=body.port, trust_tier=body.trust_tier,
                           auto_connect=body.auto_connect, include_self=body.include_self, limit=body.limit, timeout=body.timeout,
                           refresh_known=body.refresh_known, loopback=call.caller.loopback))


def scan_local(room: Discovery, call: Call) -> Reply:
    """POST /mesh/discovery/scan-local."""
    body = call.body
    return Reply(room.scan_local(trust_tier=body.trust_tier, timeout=body.timeout, limit=body.limit, port=body.port,
                                 loopback=call.caller.loopback))
