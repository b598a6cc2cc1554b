"""Looking for nodes at many URLs beside each other (OCP 0.1 seek and scan).  Blocks: for long requests and tickers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Refusal
from ...base.sightings import Sighting
from ...contract.dialect_schema import validate
from ...contract.published import published
from ...core import Core, Rooms
from ...http.lanes import gather
from ..peers import pins
from ..peers import rules as tiers
from . import candidate as candidates
from . import rules, table
from .candidate import Candidate, Members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

PARALLEL = 16
SEEK_SECONDS = 60.0                  # a whole seek, however many URLs
ROWS_PER_CHANGE = 32                 # so that a large seek does not hold up other changes
SIGHTINGS_MAX = 500
ANSWER_BYTES_MAX = 1_048_576         # of manifests in one answer; further candidates are shown without theirs
NOT_IN_TIME = Refusal("peer_timeout", "not done in time")


class Wanted(NamedTuple):
    """Where to look and what for."""
    urls: Sequence[str]
    trust_tier: str = "trusted"
    timeout: float = 2.0
    auto_connect: bool = False
    refresh_known: bool = True
    loopback: bool | None = None     # may loopback addresses be called?  None: as the setting says
    source: str = "seek"
    seconds: float = SEEK_SECONDS


class _Met(NamedTuple):
    """Who answered at a URL."""
    peer_id: str
    manifest: Members
    connection: Members | None       # what connecting or syncing brought, when it was wanted
    fault: Refusal | None            # why that failed


class Seeking:
    """Looks."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._peers = rooms["mesh.peers"]
        self._calls = rooms["mesh.calls"]
        self._custody = rooms["mesh.device_profile"].custody

    def seek(self, wanted: Wanted) -> Members:
        """Every URL was tried, or its turn did not come in time; what became of each, stored and with its event."""
        wanted = wanted._replace(trust_tier=tiers.operator_tier(wanted.trust_tier))
        works = [functools.partial(self._meet, url, wanted) for url in wanted.urls]
        outcomes = [self._judged(outcome) for outcome in gather(works, PARALLEL, wanted.seconds)]
        words = [self._word(outcome) for outcome in outcomes]
        counts = {"discovered": len(words) - words.count("error"), "connected": words.count("connected"),
                  "errors": words.count("error")}
        kept = self._keep(wanted, outcomes, {"candidate_count": len(words), **counts, "auto_connect": wanted.auto_connect})
        room, results = ANSWER_BYTES_MAX, []
        for url, outcome, word, candidate in zip(wanted.urls, outcomes, words, kept, strict=True):
            room -= len(str(candidate.manifest)) if candidate.manifest else 0
            results.append(self._result(url, outcome, word, candidate if room >= 0 else candidate._replace(manifest={})))
        return {"peer_id": self._core.identity.node_id, "count": len(results), **counts, "results": results}

    def _word(self, outcome: _Met | Refusal) -> str:
        if isinstance(outcome, Refusal) or outcome.fault is not None:
            return "error"
        if outcome.peer_id == self._core.identity.node_id:
            return "self"
        return "connected" if outcome.connection is not None else "discovered"

    # --- one URL

    def _meet(self, url: str, wanted: Wanted) -> _Met:
        if len(url) > rules.URL_LENGTH_MAX:
            raise Refusal("invalid_request", f"a base URL has at most {rules.URL_LENGTH_MAX} characters")
        manifest = self.manifest(self._calls.base_url(url), wanted.timeout, wanted.loopback)
        peer_id = manifest["organism_card"]["organism_id"].strip()
        if not wanted.auto_connect or peer_id == self._core.identity.node_id:
            return _Met(peer_id, manifest, None, None)
        try:
            return _Met(peer_id, manifest, self._connected(url, peer_id, wanted), None)
        except Refusal as refusal:
            return _Met(peer_id, manifest, None, refusal)

    def manifest(self, url: str, timeout: float, loopback: bool | None) -> Members:
        """The manifest of the node at this URL: whole, of our protocol, and under the key and certificate that are pinned for its
        name."""
        certificate = self._calls.certificate(url, url)
        manifest: Members = self._calls.manifest(url, timeout, loopback=loopback, certificate=certificate)
        card = manifest["organism_card"]
        peer_id = card["organism_id"].strip()
        if validate(manifest, "MeshManifest", published().schemas):
            raise Refusal("peer_unreachable", "the peer's manifest is not valid")
        own, known = self._core.identity, self._peers.find(peer_id)
        candidates.impostor(card, own.node_id, own.public_key_hex)
        if known is not None:
            pins.check(known, url, certificate)
        if known is not None and known.public_key not in ("", card["public_key"].lower()):
            self._peers.follow(known, url, card["public_key"].lower(), timeout, loopback)
        return manifest

    def _connected(self, url: str, peer_id: str, wanted: Wanted) -> Members:
        known = self._peers.find(peer_id)
        if known is not None and known.status != tiers.PENDING and known.public_key:
            if not wanted.refresh_known:
                return {"status": "known"}
            synced = self._peers.sync(peer_id, refresh_manifest=True, loopback=wanted.loopback)
            return {name: value for name, value in synced.items() if name not in ("peer", "remote_stream", "remote_manifest")}
        from ..peers.connecting import Wanted as Connection
        from ..peers.everyone import compacted
        connection = Connection(url, peer_id, wanted.trust_tier, wanted.timeout, False, wanted.loopback)
        answer = compacted(self._peers.connect(connection), True)
        made: Members = answer["connection"]
        return {**made, "sync": answer["sync"]}

    def _judged(self, outcome: Any) -> _Met | Refusal:
        if isinstance(outcome, (_Met, Refusal)):
            return outcome
        if isinstance(outcome, TimeoutError):
            return NOT_IN_TIME
        self._core.log.fault("seek.fault", outcome)
        return Refusal("internal", "internal error")

    # --- all of them

    def _keep(self, wanted: Wanted, outcomes: Sequence[_Met | Refusal], counts: Members) -> list[Candidate]:
        """Each candidate as it stands now; stored, but for URLs that are never called.  The event comes with the last of them."""
        pairs = list(zip(wanted.urls, outcomes, strict=True))
        by_url = candidates.by_url(self._core.sightings.gather(SIGHTINGS_MAX)) if pairs else {}
        found: list[Candidate] = []
        for start in range(0, max(1, len(pairs)), ROWS_PER_CHANGE):
            part, payload = pairs[start:start + ROWS_PER_CHANGE], counts if start + ROWS_PER_CHANGE >= len(pairs) else None
            found += self._core.writer.run(functools.partial(self._keep_part, wanted=wanted, part=part, by_url=by_url,
                                                             payload=payload))
        return found

    def _keep_part(self, connection: WriteConnection, wanted: Wanted, part: Sequence[tuple[str, _Met | Refusal]],
                   by_url: dict[str, list[Sighting]], payload: Members | None) -> list[Candidate]:
        found = []
        for url, outcome in part:
            never = isinstance(outcome, Refusal) and outcome.code == "invalid_request"
            candidate = self._candidate(None if never else table.find(connection, url), url, wanted, outcome, by_url,
                                        connection.clock.text())
            if not never:
                table.put(connection, candidate)
            found.append(candidate)
        table.prune(connection)
        if payload is not None:
            connection.event("mesh.discovery.seek", payload=payload)
        return found

    def _candidate(self, known: Candidate | None, url: str, wanted: Wanted, outcome: _Met | Refusal,
                   by_url: dict[str, list[Sighting]], now: str) -> Candidate:
        metadata: Members = {"candidate_kind": "seek", "source": wanted.source}
        if wanted.auto_connect:
            metadata["auto_connect"] = True
        if isinstance(outcome, Refusal):
            return candidates.failed(known, url, wanted.trust_tier, metadata, outcome.message, now)
        key = outcome.manifest["organism_card"]["public_key"].lower()
        proven = [sighting for sighting in candidates.named(by_url.get(url, ()), outcome.peer_id, key) if sighting.verified]
        if proven:
            metadata |= {**candidates.sources(proven), "node_did": proven[0].node_did, "verified": True}
        made = candidates.answered(known, url, outcome.manifest, wanted.trust_tier, metadata, now)
        if outcome.connection is not None:
            return made._replace(status=candidates.CONNECTED)
        return made if outcome.fault is None else made._replace(last_error=outcome.fault.message[:candidates.ERROR_LENGTH_MAX],
                                                                last_error_at=now)

    def _result(self, url: str, outcome: _Met | Refusal, word: str, kept: Candidate) -> Members:
        result: Members = {"base_url": url, "status": word, "candidate": candidates.candidate_json(kept, self._custody())}
        if isinstance(outcome, _Met):
            result |= {"peer_id": kept.peer_id, "display_name": kept.display_name}
            if outcome.connection is not None:
                result["connection"] = outcome.connection
        fault = outcome if isinstance(outcome, Refusal) else outcome.fault
        return result if fault is None else {**result, "error": fault.message, "code": fault.code}
