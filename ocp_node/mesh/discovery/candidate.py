"""A node that was found and need not be a peer (OCP 0.1 discovery), and how it is shown; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.clock import instant_text
from ...base.errors import Malformed, Refusal
from ...base.sightings import Sighting
from ...crypto import node_did
from ..device_profile import derived
from ..device_profile.rules import lenient, normalised
from ..handshake import rules as cards
from ..values import as_object

Members = dict[str, Any]

DISCOVERED, CONNECTED, ERROR = "discovered", "connected", "error"
MANIFEST_BYTES_MAX = 65_536           # of the manifest that is kept; a longer one is kept without what changes from hour to hour
ERROR_LENGTH_MAX = 300
URL_LENGTH_MAX = 2_048
FEATURES_MAX = 64
SOURCES_MAX = 8
PASSING = ("workers", "agent_presence", "beacons", "queue_metrics")
LASTING = ("organism_id", "node_id", "display_name", "public_key", "endpoint_url", "protocol_version")


class Candidate(NamedTuple):
    """What is known of one URL."""
    base_url: str
    peer_id: str                # who answered there last; "" when nobody ever did
    display_name: str
    endpoint_url: str
    status: str
    trust_tier: str             # of the call that found it
    manifest: Members
    metadata: Members
    created_at: str
    updated_at: str
    last_seen_at: str
    last_error: str
    last_error_at: str

    @property
    def public_key(self) -> str:
        """The key on the card that was shown there, "" when there is none."""
        key = (self.manifest.get("organism_card") or {}).get("public_key")
        return key.lower() if isinstance(key, str) else ""


def nobody(url: str, trust_tier: str, now: str) -> Candidate:
    """A URL of which nothing is known yet."""
    return Candidate(url, "", "", url, DISCOVERED, trust_tier, {}, {}, now, now, now, "", "")


def answered(known: Candidate | None, url: str, manifest: Mapping[str, Any], trust_tier: str, metadata: Members,
             now: str) -> Candidate:
    """The candidate after the node of this manifest answered at `url`.

    That a node there was connected to holds as long as the same node answers.
    """
    card = manifest["organism_card"]
    peer_id = card["organism_id"].strip()
    claims = cards.claims(card, peer_id)
    before = known or nobody(url, trust_tier, now)
    status = CONNECTED if before.status == CONNECTED and before.peer_id == peer_id else DISCOVERED
    return Candidate(url, peer_id, claims["display_name"], cards.reached(claims["endpoint_url"], url), status, trust_tier,
                     kept_manifest(manifest), {"supported_features": _features(card), **metadata}, before.created_at, now, now,
                     "", before.last_error_at)


def _features(card: Mapping[str, Any]) -> list[str]:
    told = card.get("supported_features")
    words = told[:FEATURES_MAX] if isinstance(told, list) else []
    return [word for word in words if isinstance(word, str) and word.isascii() and len(word) <= 64]


def failed(known: Candidate | None, url: str, trust_tier: str, metadata: Members, error: str, now: str) -> Candidate:
    """The candidate after a call that brought no answer; whoever answered before is still known."""
    before = known or nobody(url, trust_tier, now)._replace(metadata=metadata)
    return before._replace(status=ERROR, updated_at=now, last_error=error[:ERROR_LENGTH_MAX], last_error_at=now)


def kept_manifest(manifest: Mapping[str, Any]) -> Members:
    """The manifest as it is kept: whole, or as much of it as fits."""
    kept = dict(manifest)
    if len(jsontext.ascii_text(kept)) <= MANIFEST_BYTES_MAX:
        return kept
    kept = {name: value for name, value in kept.items() if name not in PASSING}
    if len(jsontext.ascii_text(kept)) <= MANIFEST_BYTES_MAX:
        return kept
    card = manifest["organism_card"]
    lasting = {name: card[name] for name in LASTING if name in card}
    return {"protocol_version": manifest["protocol_version"], "organism_card": lasting}


# --- what is shown ---------------------------------------------------------------------------------------------------------

def candidate_json(candidate: Candidate, local_custody: bool) -> Members:
    """The candidate as it is shown; what its manifest does not say follows from its profile."""
    manifest = candidate.manifest
    card = as_object(manifest.get("organism_card"))
    profile = normalised(lenient(manifest.get("device_profile") or card.get("device_profile")))
    continuity = _said(manifest, card, "continuity_capabilities") or derived.continuity_capabilities(profile)
    treaties = _said(manifest, card, "treaty_capabilities") or derived.treaty_capabilities(profile)
    return {"base_url": candidate.base_url, "peer_id": candidate.peer_id, "display_name": candidate.display_name,
            "endpoint_url": candidate.endpoint_url, "status": candidate.status, "trust_tier": candidate.trust_tier,
            "device_profile": profile, "manifest": manifest,
            "habitat_roles": _words(card.get("habitat_roles")) or derived.habitat_roles(profile),
            "continuity_capabilities": continuity, "treaty_capabilities": treaties,
            "treaty_compatibility": derived.treaty_compatibility(treaties, continuity, local_custody),
            "governance_summary": _said(manifest, card, "governance_summary"), "metadata": candidate.metadata,
            "created_at": candidate.created_at, "updated_at": candidate.updated_at, "last_seen_at": candidate.last_seen_at,
            "last_error": candidate.last_error, "last_error_at": candidate.last_error_at}


def _said(manifest: Members, card: Members, name: str) -> Members:
    return as_object(manifest.get(name)) or as_object(card.get(name))


def _words(value: object) -> list[str]:
    return [word[:64] for word in value[:16] if isinstance(word, str)] if isinstance(value, list) else []


# --- nodes that others have seen -------------------------------------------------------------------------------------------

def sighted(sightings: Sequence[Sighting]) -> Candidate:
    """A node that others have seen at one URL and nobody has tried yet: where it should be, and by whose word."""
    first = sightings[0]
    seen = instant_text(max(sighting.seen_at for sighting in sightings))
    metadata: Members = {"supported_features": [], "candidate_kind": "directory" if first.verified else "local_network",
                         **sources(sightings), "node_did": first.node_did, "verified": first.verified, "auto_connect": False}
    if first.node_id:
        metadata["claimed_node_id"] = first.node_id[:128]
    if first.expires_at:
        metadata["expires_at"] = instant_text(first.expires_at)
    endpoint = (first.endpoint_url or first.base_url)[:URL_LENGTH_MAX]
    return nobody(_base(first), "public", seen)._replace(display_name=first.display_name[:200], endpoint_url=endpoint,
                                                         metadata=metadata)


def sources(sightings: Sequence[Sighting]) -> Members:
    """Where a candidate comes from, for its metadata: the first source, and all of them."""
    names = list(dict.fromkeys(sighting.source[:200] for sighting in sightings))[:SOURCES_MAX]
    return {"source": names[0], "sources": names} if names else {}


def by_url(sightings: Iterable[Sighting]) -> dict[str, list[Sighting]]:
    """Sightings by the URL at which the node should be; those that tell none are left out."""
    found: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        if (url := _base(sighting)).startswith(("http://", "https://")) and len(url) <= URL_LENGTH_MAX:
            found.setdefault(url, []).append(sighting)
    return found


def merged(stored: Sequence[Candidate], sightings: Iterable[Sighting], limit: int) -> list[Candidate]:
    """Stored candidates and nodes that others have seen, newest seen first, each URL once.

    A stored candidate names those sources whose node is the one that answered there, and the keys of others that claim its URL.
    """
    seen = by_url(sightings)
    known = [_with_sources(candidate, seen.pop(candidate.base_url, [])) for candidate in stored]
    found = [*known, *map(sighted, seen.values())]
    return sorted(found, key=lambda candidate: candidate.last_seen_at, reverse=True)[:limit]


def _with_sources(candidate: Candidate, sightings: Sequence[Sighting]) -> Candidate:
    mine = named(sightings, candidate.peer_id, candidate.public_key)
    others = [sighting.node_did for sighting in sightings if sighting not in mine and sighting.node_did][:SOURCES_MAX]
    metadata = {**candidate.metadata, **sources(mine), **({"claimed_by": others} if others else {})}
    return candidate._replace(metadata=metadata)


def named(sightings: Iterable[Sighting], peer_id: str, public_key: str) -> list[Sighting]:
    """Those that mean this node: by its key where they name one, else by its id; all of them while nobody has answered."""
    return [sighting for sighting in sightings if not public_key or
            (key_of(sighting.node_did) == public_key if sighting.node_did else sighting.node_id in ("", peer_id))]


def key_of(did: str) -> str:
    """The key that a node's name spells, in hex; "" for what is no such name."""
    try:
        return node_did.public_key(did).hex()
    except Malformed:
        return ""


def _base(sighting: Sighting) -> str:
    return sighting.base_url.rstrip("/")


def impostor(card: Mapping[str, Any], peer_id: str, pinned: str) -> None:
    """`Refusal` when the card names the node `peer_id` but shows another key than the one that is pinned for it."""
    if pinned and card["organism_id"].strip() == peer_id and card["public_key"].lower() != pinned:
        raise Refusal("key_changed", "peer public key changed; explicit trust reset required")
