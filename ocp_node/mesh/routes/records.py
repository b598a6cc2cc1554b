"""What travels under `/mesh/routes`."""

from __future__ import annotations

from ...base.records import record, wire


@record
class ProbeRequest:
    """Whose routes to try: one peer's, those of the node at a URL, or with neither those of all peers."""
    peer_id: str = wire(default="", length_max=128)
    base_url: str = wire(default="", length_max=2048, about="tried first")
    timeout: float = wire(default=2.0, about="seconds for each route, 0.1 to 30")
    limit: int = wire(default=8, about="routes at most; without a peer: peers at most, four routes each")


@record
class RouteCandidate:
    """One route to a peer, and what the last attempt at it brought."""
    base_url: str = wire()
    source: str = wire(choices=("explicit", "last_reachable", "discovery", "advertised", "history"))
    status: str = wire(choices=("unknown", "reachable", "unreachable"))
    latency_ms: int | None = wire()
    checked_at: str = wire()
    last_success_at: str = wire()
    last_error: str = wire()
    observed_peer_id: str = wire(default="", about="who answered there, if anybody did")
    freshness: str = wire(choices=("fresh", "aging", "stale", "failed", "unknown"))
    failure_count: int = wire(minimum=0)
    next_probe_after: str = wire(about="advice; empty after a success")
    operator_hint: str = wire()


@record
class PeerProbe:
    """What the attempts at one peer's routes brought."""
    status: str = wire(choices=("ok", "attention_needed", "not_found"))
    peer_id: str = wire()
    checked: int = wire(minimum=0)
    reachable: int = wire(minimum=0)
    best_route: str = wire()
    candidates: list[RouteCandidate] = wire()
    operator_hint: str = wire(default="")
    operator_summary: str = wire()
    generated_at: str = wire()


@record
class ProbeResult:
    """What the attempts brought: for one peer `checked` and `candidates`, for all of them `count` and `results`."""
    status: str = wire(choices=("ok", "attention_needed", "not_found"))
    peer_id: str = wire()
    checked: int = wire(default=0, minimum=0)
    reachable: int = wire(minimum=0, about="routes that work; of all peers: peers that have one")
    best_route: str = wire(default="")
    candidates: list[RouteCandidate] = wire(factory=list)
    operator_hint: str = wire(default="")
    operator_summary: str = wire(default="")
    count: int = wire(default=0, minimum=0)
    results: list[PeerProbe] = wire(factory=list)
    generated_at: str = wire()


@record
class RouteHealth:
    """The route to one peer."""
    peer_id: str = wire()
    display_name: str = wire()
    status: str = wire(choices=("unknown", "reachable", "unreachable"))
    freshness: str = wire(choices=("fresh", "aging", "stale", "failed", "unknown"))
    age_seconds: int | None = wire()
    best_route: str = wire()
    last_reachable_base_url: str = wire()
    checked_at: str = wire()
    last_success_at: str = wire()
    last_error: str = wire()
    failure_count: int = wire(minimum=0)
    next_probe_after: str = wire()
    operator_hint: str = wire()
    candidates: list[RouteCandidate] = wire()
    operator_summary: str = wire()


@record
class RouteList:
    """The routes to the peers seen last."""
    status: str = wire()
    peer_id: str = wire(about="this node")
    count: int = wire(minimum=0)
    healthy: int = wire(minimum=0, about="routes that calls may take")
    routes: list[RouteHealth] = wire()
    operator_summary: str = wire()
    generated_at: str = wire()
