"""Which certificate a peer must show where no authority vouches for one (docs/adr/0006-certificate-pins.md); pure.

A peer has one pin or none.  It is *given* by an operator (an invitation's code is one's word, too), or *told* by the peer itself
in a handshake under its pinned key; the newer word stands.  It judges every call to that peer, at whatever URL, and no call to
anybody else: a pinned peer is not called in the clear, nor where somebody shows another certificate, be it one of an authority.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ...http.calls import OutboundError
from ...http.target import Target, target_of
from . import rules
from .peer import CERTIFICATE_PIN, Members, Peer

CERTIFICATE = "certificate_sha256"         # in a handshake's body; absent when an authority vouches, or there is none
OPERATOR, PEER = "operator", "peer"        # whose word a pin is
_HEX = re.compile(r"[0-9a-f]{64}")


class Said(NamedTuple):
    """What a handshake says of its sender's certificate."""
    certificate: str                       # "" for none
    scheme: str                            # of the URL that its card advertises; "" for none
    at: float                              # when it was signed, by the sender's clock


def fingerprint(text: str) -> str:
    """The SHA-256 of a certificate as 64 small hex digits, from the forms that programs show; `Refusal` for what is none."""
    found = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if text and not _HEX.fullmatch(found):
        raise Refusal("invalid_request", "certificate must be a SHA-256 fingerprint: 64 hex digits")
    return found


def is_fingerprint(value: object) -> bool:
    """Is it one in the form that travels between nodes?"""
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def origin(url: str) -> str:
    """Scheme, host and port of a URL that may be called, in their one spelling; "" for any other text."""
    target = _target(url)
    return f"{target.scheme}://{target.place}" if target is not None else ""


def own(certificate: str, port: int, url: str) -> str:
    """What this node says of its certificate for a URL of its own: nothing where another port shows that something else may
    stand before it, as a proxy with a certificate of its own does."""
    target = _target(url)
    return certificate if target is not None and (target.scheme, target.port) == ("https", port) else ""


# --- what is kept

def said(body: Mapping[str, Any], at: float) -> Said:
    """What the body of a handshake says; it is the caller who has seen that the peer's own key signed it."""
    card = body.get("peer_card")
    url = card.get("endpoint_url") if isinstance(card, Mapping) else None
    target = _target(url) if isinstance(url, str) else None
    scheme, found = target.scheme if target is not None else "", body.get(CERTIFICATE)
    return Said(str(found) if scheme == "https" and is_fingerprint(found) else "", scheme, at)


def heard(metadata: Members, word: Said) -> Members:
    """The peer's metadata after a verified handshake of its own.

    What it says takes the place of what stood; one signed before that brings nothing back.  A peer that names no certificate
    has taken back its own word, not an operator's; one that advertises a plain URL serves none any more.
    """
    pin: Members = metadata.get(CERTIFICATE_PIN) or {}
    if pin and pin["by"] == PEER and word.at < pin["at"]:
        return metadata
    if word.certificate:
        return {**metadata, CERTIFICATE_PIN: {"sha256": word.certificate, "by": PEER, "at": word.at}}
    if pin and (pin["by"] == PEER or word.scheme == "http"):
        return {name: value for name, value in metadata.items() if name != CERTIFICATE_PIN}
    return metadata


def given(metadata: Members, certificate: str) -> Members:
    """The peer's metadata after an operator's word, under which the peer was reached; "" changes nothing."""
    return {**metadata, CERTIFICATE_PIN: {"sha256": certificate, "by": OPERATOR}} if certificate else metadata


# --- what is asked for

def pin(peer: Peer, url: str) -> str:
    """The fingerprint that the certificate must have for a call to the peer at this URL; "" where the authorities judge.

    `Refusal("peer_unreachable")` for a plain URL of a peer that is pinned: whoever brought it up wants to listen.  What a
    stranger told counts from its admission on.
    """
    word: Members = peer.metadata.get(CERTIFICATE_PIN) or {}
    if not word or word["by"] == PEER and (peer.status == rules.PENDING or rules.is_stranger(peer)):
        return ""
    if not origin(url).startswith("https:"):
        raise Refusal("peer_unreachable", "the peer serves TLS under a pinned certificate; it is not called without",
                      {"peer_id": peer.peer_id})
    return str(word["sha256"])


def at(peers: Iterable[Peer], url: str) -> str:
    """The fingerprint pinned for the peer that we reached last at this very origin; "" for any other place.

    Where a peer only says that it is counts for nothing: it would judge certificates of others.
    """
    place = origin(url)
    if not place.startswith("https:"):
        return ""
    for peer in peers:
        if CERTIFICATE_PIN in peer.metadata and origin(str(peer.metadata.get("last_reachable_base_url") or "")) == place:
            return pin(peer, url)
    return ""


def check(peer: Peer, url: str, used: str) -> None:
    """What was learnt under the pin `used` may be the peer's; `Refusal("peer_unreachable")` when its own is another."""
    if pin(peer, url) not in ("", used):
        raise Refusal("peer_unreachable", "the certificate there was not judged by the peer's pin", {"peer_id": peer.peer_id})


def _target(url: str) -> Target | None:
    try:
        return target_of(url)
    except OutboundError:
        return None
