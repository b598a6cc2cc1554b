"""Trust tiers, and what each may do (OCP 0.1 trust tiers and data classes); what becomes of a claimed tier; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...base.errors import Refusal
from .peer import CERTIFICATE_PIN, Members, Peer

TIERS = ("self", "trusted", "partner", "market", "public", "blocked")
STANDING = ("trusted", "partner", "market", "public")        # most trusted first
CONNECTED, DEGRADED, PENDING = "connected", "degraded", "pending"
FORMER_KEYS = "former_public_keys"                          # in a peer's metadata, oldest first
FORMER_KEYS_MAX = 16
OF_THE_KEY = frozenset({FORMER_KEYS, CERTIFICATE_PIN})     # metadata that end with a key that is reset

# Which tiers may touch which class of data; an unknown class counts as trusted.
MAY_TOUCH: Mapping[str, frozenset[str]] = {
    "public": frozenset({"self", "trusted", "partner", "market", "public"}),
    "trusted": frozenset({"self", "trusted", "partner"}),
    "private": frozenset({"self", "trusted", "partner"}),
}
EXECUTING = frozenset({"trusted", "partner"})               # tiers whose code may run here at all


def may_touch(tier: str, data_class: str) -> bool:
    """May a peer of this tier touch data of this class?  "" stands for no peer at all, which counts as public."""
    return (tier or "public") in MAY_TOUCH.get(data_class, MAY_TOUCH["trusted"])


def at_least(tier: str, floor: str) -> bool:
    """Is the tier as trusted as `floor`, or more?"""
    return tier in STANDING and STANDING.index(tier) <= STANDING.index(floor)


def claimed_tier(word: str) -> str:
    """What a tier on the wire asks for: nothing asks for `trusted`, an unknown word for `public`; nobody can be `self`."""
    word = word.strip().lower()
    if word in ("", "self"):
        return "trusted"
    return word if word in TIERS else "public"


def operator_tier(word: str, usual: str = "trusted") -> str:
    """The tier an operator gives; `Refusal` for a word that is none."""
    word = word.strip().lower() or usual
    if word not in TIERS:
        raise Refusal("invalid_request", "unsupported trust tier")
    return "trusted" if word == "self" else word


class Admission(NamedTuple):
    """How a stranger is stored."""
    trust_tier: str
    status: str
    asks: bool                  # the operator is asked


def admission_mode(setting: str, bound_to_loopback: bool, from_loopback: bool) -> str:
    """`declared`, `approval` or `public`: as set, else strangers are believed only where everything stays on this machine."""
    return setting or ("declared" if bound_to_loopback and from_loopback else "approval")


def admit(mode: str, claim: str) -> Admission:
    """What becomes of a stranger that asks for the tier `claim`."""
    if mode == "declared":
        return Admission(claim, CONNECTED, False)
    return Admission("public", PENDING, True) if mode == "approval" else Admission("public", CONNECTED, False)


def runs_code(peer: Peer | None, setting: str, from_loopback: bool) -> bool:
    """May code of this peer run here?  Only of trusted and partner peers; the operator's switch for it wins over the setting.

    `from_loopback`: the connection that brought the code comes from this machine.
    """
    if peer is None or peer.trust_tier not in EXECUTING or peer.status == PENDING:
        return False
    if peer.remote_execution is not None:
        return peer.remote_execution
    return setting == "on" or setting == "loopback" and from_loopback


def trust_changes(peer: Peer, wanted: Mapping[str, Any]) -> Members:
    """What an operator's order changes of a peer; `Refusal` when it orders nothing, or a tier that is none."""
    if not wanted.keys() & {"trust_tier", "remote_execution", "reset_key"}:
        raise Refusal("invalid_request", "trust_tier, remote_execution or reset_key is required")
    changes: Members = {}
    if wanted.get("trust_tier") is not None:
        changes["trust_tier"] = operator_tier(wanted["trust_tier"], peer.trust_tier)
        changes["status"] = CONNECTED if peer.status == PENDING else peer.status
    if "remote_execution" in wanted:
        changes["remote_execution"] = wanted["remote_execution"]
    if wanted.get("reset_key"):
        changes["public_key"] = ""
    return changes


def succeeded(peer: Peer, public_key: str, now: str) -> Peer:
    """The peer under the key that follows its pinned one, which is remembered; nothing else of it changes."""
    former = [*peer.metadata.get(FORMER_KEYS, ()), peer.public_key][-FORMER_KEYS_MAX:]
    return peer._replace(public_key=public_key, updated_at=now, metadata={**peer.metadata, FORMER_KEYS: former})


def had_key(peer: Peer, public_key: object) -> bool:
    """Is this the peer's key, or one that its present key has followed?"""
    return peer.public_key == public_key or public_key in peer.metadata.get(FORMER_KEYS, ())


def health(peers: Sequence[Peer]) -> Members:
    """The peers in numbers."""
    tiers: dict[str, int] = {}
    classes: dict[str, int] = {}
    for peer in peers:
        tiers[peer.trust_tier] = tiers.get(peer.trust_tier, 0) + 1
        kind = peer.device_profile["device_class"]
        classes[kind] = classes.get(kind, 0) + 1
    return {"connected": sum(peer.status == CONNECTED for peer in peers),
            "synced_recently": sum(bool(peer.metadata.get("last_sync_at")) for peer in peers),
            "degraded": sum(peer.status == DEGRADED for peer in peers),
            "intermittent": sum(peer.sync_policy["mode"] == "intermittent" for peer in peers),
            "trust_tiers": tiers, "device_classes": classes}


def admission_question(peer_id: str) -> str:
    """The request id under which the operator is asked about the peer."""
    return f"peer-admission-{peer_id}"


def is_stranger(peer: Peer) -> bool:
    """Nobody has admitted the peer."""
    return peer.trust_tier == "public" and not peer.metadata.get("admitted")


def displaced(peers: Sequence[Peer], most: int, seen_before: str) -> Peer | None:
    """The stranger that makes room for a new one when `most` strangers are known: the one unheard of for longest.

    `Refusal("busy")` when all of them were heard of since `seen_before`, so that a flood of new names cannot push out those who
    wait for an answer.
    """
    strangers = [peer for peer in peers if is_stranger(peer)]
    if len(strangers) < most:
        return None
    oldest = min(strangers, key=lambda peer: peer.last_seen_at)
    if oldest.last_seen_at >= seen_before:
        raise Refusal("busy", "too many unknown peers are waiting", headers=(("Retry-After", "600"),))
    return oldest
