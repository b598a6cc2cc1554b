"""Who is where: the freshest advertisement known of every node, with the directory that named it.

What the mirror has read is on the disk; a node that is not there is asked for at each directory in turn.  An answer is
worth what its signature and its number are worth, not who gave it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...base.errors import Malformed, Refusal
from ...base.sightings import Sighting
from ...http.calls import OutboundError
from .. import table as directory_table
from ..artifact import MICROSECONDS
from ..mirror import table as mirror_table
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ..admission import Admission
    from ..mirror.room import Mirror

ASK_SECONDS = 10.0
OWN = "this node's directory"


def build(core: Core, rooms: Rooms) -> Resolver:
    """The resolver of this node."""
    return Resolver(core, rooms["directory"].admission, rooms["directory.mirror"])


class Resolver:
    """Looks nodes up."""

    def __init__(self, core: Core, admission: Admission, mirror: Mirror) -> None:
        self._core = core
        self._admission = admission
        self._mirror = mirror

    def sightings(self, limit: int) -> list[Sighting]:
        """The nodes that are advertised now, seen last first; this node itself is none of them."""
        with self._core.reader.snapshot() as connection:
            rows = mirror_table.latest(connection, self._admission.now_us(), limit)
        return [self._sighting(*row) for row in rows if row[0] != self._core.identity.did]

    def _sighting(self, node_id: str, source: str | None, seen_us: int, sequence_no: int, until_us: int, text: bytes) -> Sighting:
        urls = rules.endpoint_urls(json.loads(text))
        base = next((base for base in map(rules.base_url, urls) if base), "")
        return Sighting(f"directory {source}" if source else OWN, base, node_did=node_id, endpoint_url=urls[0] if urls else "",
                        seen_at=seen_us / MICROSECONDS, expires_at=until_us / MICROSECONDS, verified=True)

    def resolve(self, node_id: str) -> dict[str, Any] | None:
        """The node's freshest advertisement: what is stored, unless no directory was read lately, and then whatever they have.

        Asks other machines: for worker and long lanes and tickers.
        """
        stored = self._stored(node_id)
        if stored is None:
            for url in tuple(self._mirror.upstreams):
                self._ask(url, node_id)
            stored = self._stored(node_id)
        return json.loads(stored) if stored is not None else None

    def _stored(self, node_id: str) -> bytes | None:
        with self._core.reader.snapshot() as connection:
            current = directory_table.fetch(connection, node_id, self._admission.now_us())
        return current.text if current else None

    def _ask(self, url: str, node_id: str) -> None:
        """What the directory has of the node is stored if it holds and is newer."""
        upstream = self._mirror.upstreams[url]
        if upstream.failures > 2:
            return                        # it is not answering the mirror either
        try:
            answer = self._core.outbound.request("GET", f"{url}/adv/{node_id}", timeout=ASK_SECONDS, bytes_max=1 << 20,
                                                 allow_loopback=True)
            if answer.status != 200:
                return
            submitted = self._admission.verified(answer.body, node_id)
            self._core.writer.run(self._admission.change(submitted, "", url))
        except (OutboundError, Refusal, Malformed) as fault:
            self._core.log.debug("directory.resolve_failed", url=url, error=str(fault))
            return

        def saw(connection: Any) -> None:
            mirror_table.saw(connection, url, [(node_id, submitted.sequence_no)], self._admission.now_us())

        self._core.writer.run(saw)
