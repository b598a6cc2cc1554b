"""Which routes to a peer are tried, how fresh a proof is, and what a failure means (OCP 0.1 routes); pure.

A route is a base URL.  What is known of it is a mapping with the members of the protocol's route candidate, kept in the peer's
metadata; `Outcome` is what one attempt brought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...base.clock import instant_seconds, instant_text
from ..peers.peer import Peer

Members = dict[str, Any]

FRESH_SECONDS, AGING_SECONDS = 300, 1_800
BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX = 15, 300
CANDIDATES_KEPT = 8
ERROR_LENGTH_MAX = 300
REACHABLE, UNREACHABLE, UNKNOWN = "reachable", "unreachable", "unknown"
FRESH, AGING, STALE, FAILED = "fresh", "aging", "stale", "failed"
# The kinds of failure, by what their text holds; the first that fits counts.
KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("identity", ("route reached ", "public key changed")),
    ("timeout", ("in time", "timed out", "timeout")),
    ("refused", ("refused the connection", "connection refused")),
    ("unreachable", ("there is no way to", "has no address", "unreachable", "no route", "name resolution")),
    ("reset", ("broke the connection", "ended the connection", "the connection to ", "connection reset")),
)
HINTS: Mapping[str, str] = {
    "identity": "Another node, or the same one with another key, answers at this URL. Scan nearby devices again and use the "
                "route of the node you expect.",
    "timeout": "{place} did not answer in time. Check that the node runs there and that a firewall lets its port through.",
    "refused": "{place} can be reached, but no node listens on that port. Start the node there, or check the port.",
    "unreachable": "There is no way from here to {place}. Check that both devices are on the same network.",
    "reset": "{place} broke the connection. Check what listens on that port, and try again.",
    "other": "The route to {place} failed. Check that a node of this mesh runs there.",
}

NO_URL = "No URL is known for this peer. Connect to it by its address."


class Outcome(NamedTuple):
    """What one attempt at a route brought."""
    base_url: str
    source: str                 # explicit, last_reachable, discovery, advertised, history
    error: str                  # "" when it led to the node that is looked for
    latency_ms: int | None
    observed_peer_id: str = ""  # who answered, if anybody did
    public_key: str = ""        # under which key

    @property
    def reachable(self) -> bool:
        return not self.error


# --- what to try -----------------------------------------------------------------------------------------------------------

def ordered(peer: Peer, explicit: str, discovered: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """The URLs to try for a peer with where each comes from: the one that was asked for, where it was reached last, what is
    known of it, where it was discovered, where it says it is."""
    known = [(explicit, "explicit"), (str(peer.metadata.get("last_reachable_base_url") or ""), "last_reachable"),
             *((_text(kept.get("base_url")), _source(kept)) for kept in candidates_of(peer.metadata)),
             *((url, "discovery") for url in discovered), (peer.endpoint_url, "advertised")]
    found: dict[str, str] = {}
    for url, source in known:
        url = url.strip().rstrip("/")
        if url.startswith(("http://", "https://")) or source == "explicit" and url:
            found.setdefault(url, source)
    return list(found.items())[:limit]


def _source(kept: Mapping[str, Any]) -> str:
    source = _text(kept.get("source"))
    return source if source in ("advertised", "discovery") else "history"


def candidates_of(metadata: Mapping[str, Any]) -> list[Members]:
    """The routes that are kept with a peer."""
    kept = metadata.get("route_candidates")
    return [candidate for candidate in kept[:CANDIDATES_KEPT] if isinstance(candidate, dict)] if isinstance(kept, list) else []


# --- one route -------------------------------------------------------------------------------------------------------------

def candidate(outcome: Outcome, before: Mapping[str, Any] | None, now: float) -> Members:
    """What is known of a route after an attempt at it."""
    before = before or {}
    at = instant_text(now)
    failures = 0 if outcome.reachable else int(before.get("failure_count") or 0) + 1
    made: Members = {"base_url": outcome.base_url, "source": outcome.source,
                     "status": REACHABLE if outcome.reachable else UNREACHABLE,
                     "latency_ms": outcome.latency_ms if outcome.reachable else None, "checked_at": at,
                     "last_success_at": at if outcome.reachable else _text(before.get("last_success_at")),
                     "last_error": outcome.error[:ERROR_LENGTH_MAX], "failure_count": failures,
                     "next_probe_after": "" if outcome.reachable else instant_text(now + back_off_seconds(failures)),
                     "operator_hint": "" if outcome.reachable else hint(outcome.error, outcome.base_url)}
    if outcome.observed_peer_id:
        made["observed_peer_id"] = outcome.observed_peer_id
    return {**made, "freshness": freshness(made, now)}


def back_off_seconds(failures: int) -> int:
    """How long to leave a route alone that failed so many times in a row; advice, nothing waits for it."""
    return min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** (min(failures, 6) - 1)) if failures > 0 else 0


def freshness(route: Mapping[str, Any], now: float) -> str:
    """How far the last proof of a route can be relied on."""
    if route.get("status") == UNREACHABLE:
        return FAILED
    if route.get("status") != REACHABLE:
        return UNKNOWN
    age = age_seconds(route, now)
    if age is None:
        return UNKNOWN
    return FRESH if age <= FRESH_SECONDS else AGING if age <= AGING_SECONDS else STALE


def age_seconds(route: Mapping[str, Any], now: float) -> int | None:
    """Seconds since the newer of the last check and the last success; None without either.  A clock set back counts as now."""
    newest = max(instant(route.get("last_success_at")), instant(route.get("checked_at")))
    return max(0, int(now - newest)) if newest else None


def instant(text: object) -> float:
    """The instant in seconds since 1970; 0 for what is none."""
    try:
        return instant_seconds(text) if isinstance(text, str) and text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def error_kind(error: str) -> str:
    """`identity`, `timeout`, `refused`, `unreachable`, `reset`, or `other`; "" for no error."""
    text = error.lower()
    return next((kind for kind, marks in KINDS if any(mark in text for mark in marks)), "other") if text else ""


def hint(error: str, place: str) -> str:
    """What an operator can do about a failure."""
    return HINTS[error_kind(error)].format(place=place) if error else ""


# --- all routes of a peer --------------------------------------------------------------------------------------------------

def tried(outcomes: Sequence[Outcome], metadata: Mapping[str, Any], now: float) -> list[Members]:
    """What is known of the routes that were tried, in the order they were tried."""
    before = {_text(kept.get("base_url")): kept for kept in candidates_of(metadata)}
    return [candidate(outcome, before.get(outcome.base_url), now) for outcome in outcomes]


def best(candidates: Sequence[Mapping[str, Any]]) -> str:
    """The first route that works, "" when none does."""
    return next((_text(each.get("base_url")) for each in candidates if each.get("status") == REACHABLE), "")


def changes(metadata: Mapping[str, Any], candidates: Sequence[Members], proven: str, now: float) -> Members:
    """What an attempt at a peer's routes changes of its metadata.

    `proven`: the best route whose node showed the pinned key; only such a one becomes the route that calls go to.
    """
    urls = {each["base_url"] for each in candidates}
    kept = [*candidates, *(known for known in candidates_of(metadata) if known.get("base_url") not in urls)][:CANDIDATES_KEPT]
    made: Members = {"route_candidates": kept, "route_health": health(candidates, metadata, now),
                     "last_route_probe_at": instant_text(now)}
    return {**made, "last_reachable_base_url": proven} if proven else made


def health(candidates: Sequence[Members], metadata: Mapping[str, Any], now: float) -> Members:
    """What the attempt says of the peer as a whole: as its best route, else as the first that failed."""
    shown: Mapping[str, Any] = next((each for each in candidates if each["status"] == REACHABLE),
                                    candidates[0] if candidates else {})
    before = metadata.get("route_health")
    last = max((_text(each.get("last_success_at")) for each in candidates), default="") or _text(
        before.get("last_success_at") if isinstance(before, dict) else "")
    return {"status": shown.get("status", UNKNOWN), "best_route": best(candidates), "checked_at": instant_text(now),
            "last_success_at": last,
            "last_error": _text(shown.get("last_error")), "failure_count": int(shown.get("failure_count") or 0),
            "next_probe_after": _text(shown.get("next_probe_after")), "operator_hint": _text(shown.get("operator_hint"))}


def route_of(peer: Peer, now: float) -> Members:
    """The peer's route as it is shown; its freshness is that of this moment."""
    kept = peer.metadata.get("route_health")
    stored: Mapping[str, Any] = kept if isinstance(kept, dict) else {}
    last = _text(peer.metadata.get("last_reachable_base_url"))
    failed = stored.get("status") == UNREACHABLE
    status = _text(stored.get("status")) or (REACHABLE if last else UNKNOWN)
    found: Members = {"status": status, "checked_at": _text(stored.get("checked_at")),
                      "last_success_at": _text(stored.get("last_success_at"))}
    candidates = [{**each, "freshness": freshness(each, now)} for each in candidates_of(peer.metadata)]
    route = {"peer_id": peer.peer_id, "display_name": peer.display_name, "status": status, "freshness": freshness(found, now),
             "age_seconds": age_seconds(found, now), "best_route": "" if failed else _text(stored.get("best_route")) or last,
             "last_reachable_base_url": last, "checked_at": found["checked_at"], "last_success_at": found["last_success_at"],
             "last_error": _text(stored.get("last_error")), "failure_count": int(stored.get("failure_count") or 0),
             "next_probe_after": _text(stored.get("next_probe_after")), "operator_hint": _text(stored.get("operator_hint")),
             "candidates": candidates}
    return {**route, "operator_summary": route_summary(route)}


def usable(route: Mapping[str, Any]) -> bool:
    """May calls go this way?  Not where the last attempt failed or is long ago; a peer that was only just connected to counts."""
    if route["status"] in (UNREACHABLE, FAILED) or route["freshness"] in (STALE, FAILED):
        return False
    return bool(route["status"] == REACHABLE or route["best_route"] or route["last_reachable_base_url"])


def route_summary(route: Mapping[str, Any]) -> str:
    """The route in a sentence."""
    name = route["display_name"] or route["peer_id"]
    if route["status"] == UNREACHABLE:
        return f"{name} needs attention: {route['operator_hint'] or 'its last route failed.'}"
    if not usable(route):
        return f"{name} was last reached too long ago." if route["freshness"] == STALE else f"{name} has no proven route yet."
    return f"{name} is reachable at {route['best_route'] or route['last_reachable_base_url']}."


def listed(node_id: str, routes: list[Members], generated_at: str) -> Members:
    """All routes with their numbers."""
    healthy = sum(usable(route) for route in routes)
    summary = f"{healthy} of {len(routes)} peer routes are proven." if routes else "No routes to other nodes are known yet."
    return {"status": "ok", "peer_id": node_id, "count": len(routes), "healthy": healthy, "routes": routes,
            "operator_summary": summary, "generated_at": generated_at}


def probed(peer_id: str, name: str, candidates: list[Members], generated_at: str) -> Members:
    """The answer of a probe."""
    route = best(candidates)
    first = candidates[0] if candidates else {}
    hinted = "" if route else hint(_text(first.get("last_error")), name) or NO_URL
    return {"status": "ok" if route else "attention_needed", "peer_id": peer_id, "checked": len(candidates),
            "reachable": sum(each["status"] == REACHABLE for each in candidates), "best_route": route, "candidates": candidates,
            "operator_hint": hinted,
            "operator_summary": f"{name} is reachable at {route}." if route else f"No route to {name} works. {hinted}",
            "generated_at": generated_at}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
