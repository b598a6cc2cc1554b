"""Codes, proofs and the words to compare; pure.

A code carries where the inviting node is, the fingerprint of its key, a secret, and the fingerprint of its certificate when no
authority vouches for that (docs/adr/0006-certificate-pins.md). The secret never travels between the nodes: the joining one
shows that it knows it by a digest over both keys, so whoever listens learns nothing that works for another key, and four words
made of secret and keys are the same on both devices exactly when nobody stands between them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.digest import sha256
from ...base.errors import Malformed, Refusal
from ...crypto import base64url, boxes
from ..peers.pins import is_fingerprint
from .words import WORDS

PREFIX = "ocp-join:"
SECRET_BYTES = 16
FINGERPRINT_BYTES = 16
KEPT_SECONDS = 7 * 86_400.0           # a used or expired invitation is remembered so long, to say so
TIERS = ("trusted", "partner", "market", "public")


class Invitation(NamedTuple):
    """One invitation as it is kept."""
    id: str
    trust_tier: str
    expires_at: float
    used_at: str = ""
    used_by: str = ""
    used_key: str = ""
    words: str = ""


class Ticket(NamedTuple):
    """What a code says."""
    base_url: str
    fingerprint: str
    id: str
    secret: bytes
    trust_tier: str
    expires_at: int
    certificate: str = ""            # SHA-256 in hex; "": the authorities vouch for it, or there is none


def fingerprint(public_key_hex: str) -> str:
    """The first 16 bytes of the SHA-256 of a key, as hex digits."""
    digest: str = sha256(bytes.fromhex(public_key_hex)).hexdigest()
    return digest[:2 * FINGERPRINT_BYTES]


def code(ticket: Ticket) -> str:
    """The ticket as text without blanks, for a QR code or a line to paste."""
    facts = [ticket.base_url, ticket.fingerprint, ticket.id, base64url.encode(ticket.secret), ticket.trust_tier,
             ticket.expires_at, *filter(None, [ticket.certificate])]
    return PREFIX + base64url.encode(jsontext.compact(facts))


def ticket(text: str) -> Ticket:
    """What a code says; Refusal when it is none."""
    try:
        facts: Any = json.loads(base64url.decode(text.strip().removeprefix(PREFIX)))
        base_url, mark, name, secret, tier, expires_at, *certificate = facts
        made = Ticket(base_url, mark, name, base64url.decode(secret), tier, expires_at, *certificate)
    except (ValueError, TypeError, RecursionError, Malformed):
        raise Refusal("invalid_request", "this is no invitation code") from None
    texts = (made.base_url, made.fingerprint, made.id, made.trust_tier)
    if not all(isinstance(part, str) and len(part) <= 2048 for part in texts) or type(made.expires_at) is not int \
            or len(made.secret) != SECRET_BYTES or made.trust_tier not in TIERS \
            or certificate and not (is_fingerprint(made.certificate) and made.base_url.lower().startswith("https://")):
        raise Refusal("invalid_request", "this is no invitation code")
    return made


def proof(secret: bytes, joining_key: str, inviting_key: str) -> str:
    """What shows that the joining node knows the secret; good for this pair of keys alone."""
    return boxes.keyed_digest(secret, f"ocp-join\0{joining_key}\0{inviting_key}".encode())


def words(secret: bytes, joining_key: str, inviting_key: str) -> list[str]:
    """Four words, the same on both devices exactly when both see the same two keys."""
    digest = bytes.fromhex(boxes.keyed_digest(secret, f"ocp-words\0{joining_key}\0{inviting_key}".encode()))
    return [WORDS[byte] for byte in digest[:4]]


def state(invitation: Invitation, now: float) -> str:
    """`open`, `used` or `expired`."""
    return "used" if invitation.used_by else "open" if now < invitation.expires_at else "expired"


def shown(offered: object) -> tuple[str, str] | None:
    """The invitation's id and the proof in a handshake's body; None when there is none."""
    if not isinstance(offered, Mapping):
        return None
    name, digest = offered.get("id"), offered.get("proof")
    return (name, digest) if isinstance(name, str) and isinstance(digest, str) else None


def check(invitation: Invitation | None, peer_id: str, key: str, now: float) -> Invitation:
    """The invitation may be used by this node; Refusal for one of another node, a used and an expired one.

    The same node may come again with it, as it does when our answer was lost.
    """
    if invitation is None:
        raise Refusal("policy_denied", "this invitation is not from this node")
    if invitation.used_by and (invitation.used_by, invitation.used_key) != (peer_id, key):
        raise Refusal("invalid_state", "this invitation was used already")
    if now >= invitation.expires_at:
        raise Refusal("policy_denied", "this invitation has expired")
    return invitation
