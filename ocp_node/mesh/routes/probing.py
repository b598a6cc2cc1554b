"""Trying the routes to peers (OCP 0.1 route probe).  Blocks: for long requests and tickers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...core import Core, Rooms
from ...http.gates import is_loopback
from ...http.lanes import gather
from ...http.target import target_of
from ..peers import pins
from ..peers import rules as tiers
from ..peers.peer import Peer
from . import rules
from .rules import Members, Outcome

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .room import Routes

PARALLEL = 16
TOTAL_SECONDS = 30.0
PEERS_MAX = 50
ROUTES_MAX = 16
ROUTES_OF_EACH = 4                   # when all peers are tried
Route = tuple[str, str]              # URL and where it comes from


class Probing:
    """Tries routes."""

    def __init__(self, core: Core, rooms: Rooms, routes: Routes) -> None:
        self._core = core
        self._routes = routes
        self._peers = rooms["mesh.peers"]
        self._calls = rooms["mesh.calls"]
        self._discovery = rooms["mesh.discovery"]

    def probe(self, peer_id: str, base_url: str, timeout: float, limit: int, loopback: bool | None) -> Members:
        """What the routes of the peer, of the node at the URL, or of all peers brought."""
        base_url = self._calls.base_url(base_url) if base_url else ""
        if peer_id:
            peer = self._peers.find(peer_id)
            if peer is None:
                return self._unknown(peer_id)
            return self.peers([peer], base_url, timeout, max(1, min(limit, ROUTES_MAX)), loopback)[0]
        if base_url:
            return self._stranger(base_url, timeout, loopback)
        found = self.peers(self._routes.peers(max(1, min(limit, PEERS_MAX))), "", timeout, ROUTES_OF_EACH, loopback)
        return {"status": "ok", "peer_id": "", "count": len(found), "reachable": sum(bool(each["reachable"]) for each in found),
                "results": found, "generated_at": self._core.clock.text()}

    def peers(self, peers: Sequence[Peer], explicit: str, timeout: float, limit: int, loopback: bool | None,
              seconds: float = TOTAL_SECONDS) -> list[Members]:
        """All routes of all these peers were tried beside each other; what became of each peer, stored with its event."""
        routes = {peer.peer_id: rules.ordered(peer, explicit, self._discovery.urls_of(peer.peer_id, peer.public_key), limit)
                  for peer in peers}
        pairs = [(peer, route) for peer in peers for route in routes[peer.peer_id]]
        works = [functools.partial(self._try, peer, route, timeout, loopback) for peer, route in pairs]
        outcomes: dict[str, list[Outcome]] = {peer.peer_id: [] for peer in peers}
        for (peer, route), outcome in zip(pairs, gather(works, PARALLEL, seconds), strict=True):
            outcomes[peer.peer_id].append(self._judged(route, outcome))
        return [self._core.writer.run(functools.partial(self._keep, peer_id=peer.peer_id, outcomes=outcomes[peer.peer_id]))
                for peer in peers]

    # --- one route

    def _try(self, peer: Peer, route: Route, timeout: float, loopback: bool | None) -> Outcome:
        url, source = route
        may_loop = True if peer.metadata.get("reached_on_loopback") == url else loopback
        began = self._core.clock.monotonic()
        try:
            card = self._calls.manifest(self._calls.base_url(url), timeout, loopback=may_loop,
                                        certificate=pins.pin(peer, url))["organism_card"]
        except Refusal as refusal:
            return Outcome(url, source, _error(refusal), None)
        found, key = card["organism_id"].strip(), card["public_key"].lower()
        if found == peer.peer_id and peer.public_key not in ("", key):
            with contextlib.suppress(Refusal):           # what leads nowhere is a mistaken key below
                peer = self._peers.follow(peer, self._calls.base_url(url), key, timeout, may_loop)
        latency = int((self._core.clock.monotonic() - began) * 1000)
        return Outcome(url, source, _mistaken(peer, found, key), latency, _line(found), key)

    def _judged(self, route: Route, outcome: Any) -> Outcome:
        if isinstance(outcome, Outcome):
            return outcome
        if not isinstance(outcome, TimeoutError):
            self._core.log.fault("probe.fault", outcome)
        return Outcome(*route, "not done in time" if isinstance(outcome, TimeoutError) else "internal error", None)

    # --- what is kept

    def _keep(self, connection: WriteConnection, peer_id: str, outcomes: Sequence[Outcome]) -> Members:
        """The peer's routes stand as the attempts left them, with the event; judged by the key that is pinned now."""
        now = connection.clock.time()
        peer: Peer | None = self._peers.current(connection, peer_id)
        if peer is None:
            return self._unknown(peer_id)
        outcomes = [_again(outcome, peer) for outcome in outcomes]
        tried = rules.tried(outcomes, peer.metadata, now)
        proven = next((outcome.base_url for outcome in outcomes if outcome.reachable and peer.public_key), "")
        metadata = {**peer.metadata, **rules.changes(peer.metadata, tried, proven, now)}
        if proven and _on_loopback(proven):
            metadata["reached_on_loopback"] = proven
        text = connection.clock.text()
        changed = peer._replace(metadata=metadata, updated_at=text)
        if proven:
            status = tiers.CONNECTED if peer.status == tiers.DEGRADED else peer.status
            changed = changed._replace(last_seen_at=text, status=status)
        self._peers.put(connection, changed)
        answer = rules.probed(peer_id, peer.display_name or peer_id, tried, text)
        connection.event("mesh.route.probed", peer_id=peer_id,
                         payload={name: answer[name] for name in ("peer_id", "best_route", "checked", "reachable", "candidates")})
        return answer

    def _unknown(self, peer_id: str) -> Members:
        return {"status": "not_found", "peer_id": peer_id, "checked": 0, "reachable": 0, "best_route": "", "candidates": [],
                "operator_summary": f"{peer_id} is not known here.", "generated_at": self._core.clock.text()}

    # --- a URL alone

    def _stranger(self, url: str, timeout: float, loopback: bool | None) -> Members:
        """Who is there: a peer, whose route this is then, or a node that becomes a candidate of discovery."""
        began = self._core.clock.monotonic()
        try:
            manifest = self._discovery.seeking().manifest(url, timeout, loopback)
        except Refusal as refusal:
            if refusal.code == "invalid_request":
                raise
            return self._told("", url, Outcome(url, "explicit", _error(refusal), None))
        card = manifest["organism_card"]
        peer_id, key = card["organism_id"].strip(), card["public_key"].lower()
        outcome = Outcome(url, "explicit", "", int((self._core.clock.monotonic() - began) * 1000), peer_id, key)
        if self._peers.find(peer_id) is not None:
            known: Members = self._core.writer.run(functools.partial(self._keep, peer_id=peer_id, outcomes=[outcome]))
            return known
        return self._core.writer.run(functools.partial(self._note, url=url, manifest=manifest, outcome=outcome))

    def _note(self, connection: WriteConnection, url: str, manifest: Members, outcome: Outcome) -> Members:
        answer = self._told(outcome.observed_peer_id, outcome.observed_peer_id, outcome)
        if outcome.observed_peer_id != self._core.identity.node_id:
            self._discovery.note(connection, url, manifest, {"candidate_kind": "route_probe", "source": "route probe",
                                                             "route_probe": True})
        connection.event("mesh.route.probed", peer_id=outcome.observed_peer_id,
                         payload={name: answer[name] for name in ("peer_id", "best_route", "checked", "reachable", "candidates")})
        return answer

    def _told(self, peer_id: str, name: str, outcome: Outcome) -> Members:
        return rules.probed(peer_id, name, [rules.candidate(outcome, None, self._core.clock.time())], self._core.clock.text())


def _mistaken(peer: Peer, found: str, key: str) -> str:
    """Why the node that answered is not the peer; "" when it is."""
    if found != peer.peer_id:
        return f"route reached {_line(found)}, expected {peer.peer_id}"
    return "peer public key changed; explicit trust reset required" if peer.public_key and key != peer.public_key else ""


def _again(outcome: Outcome, peer: Peer) -> Outcome:
    """The outcome by the key that is pinned now; another one may have been pinned since the attempt."""
    if not outcome.observed_peer_id or not outcome.reachable:
        return outcome
    return outcome._replace(error=_mistaken(peer, outcome.observed_peer_id, outcome.public_key))


def _error(refusal: Refusal) -> str:
    status, text = refusal.detail.get("peer_status"), refusal.detail.get("peer_error")
    return f"{refusal.message}: {text}" if status and text else refusal.message


def _line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())


def _on_loopback(url: str) -> bool:
    host = target_of(url).host
    return host == "localhost" or is_loopback(host)
