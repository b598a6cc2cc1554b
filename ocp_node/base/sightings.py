"""Nodes that were seen somewhere: who looks (a directory, the local network) registers here, who wants to meet nodes asks here.

So the mesh can use what the directory found without knowing that there is a directory.
"""

from __future__ import annotations

from collections.abc import Callable

Fetch = Callable[[int], "list[Sighting]"]


class Sighting:
    """One node as a source saw it.  Nothing here is proven but, where `verified`, that the named key signed the endpoint."""

    __slots__ = ("source", "base_url", "node_did", "node_id", "display_name", "endpoint_url", "seen_at", "expires_at", "verified")

    def __init__(self, source: str, base_url: str, *, node_did: str = "", node_id: str = "", display_name: str = "",
                 endpoint_url: str = "", seen_at: float = 0.0, expires_at: float = 0.0, verified: bool = False) -> None:
        self.source = source                # for people: `directory https://seed.example`, `local network`
        self.base_url = base_url            # where its HTTP interface should be; "" when the endpoint does not tell
        self.node_did = node_did            # `node:did:key:z…`
        self.node_id = node_id              # the mesh's name for it, if the source gave one
        self.display_name = display_name
        self.endpoint_url = endpoint_url
        self.seen_at = seen_at              # seconds since 1970
        self.expires_at = expires_at        # 0 = unknown
        self.verified = verified

    def __repr__(self) -> str:
        return f"Sighting({self.source!r}, {self.base_url!r}, {self.node_did!r})"


class Sightings:
    """Every source of one node."""

    def __init__(self) -> None:
        self._sources: dict[str, Fetch] = {}

    def register(self, source_name: str, fetch: Fetch) -> None:
        """`fetch(limit)` gives what the source saw last, newest first, without waiting for anything."""
        self._sources[source_name] = fetch

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self._sources)

    def gather(self, limit: int) -> list[Sighting]:
        """What all sources saw, newest first, at most `limit`; one node may stand there once for each source."""
        found = [sighting for fetch in tuple(self._sources.values()) for sighting in fetch(limit)]
        return sorted(found, key=lambda sighting: -sighting.seen_at)[:limit]
