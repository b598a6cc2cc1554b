"""Signed envelopes (OCP 0.1): made here, and checked here in the protocol's order.

The checks are separate so that each runs where it may: shape and signature before anything is read or written,
what is known about the peer next, and the nonce last, inside the change that also does the work.  A forged envelope
must never reach the nonce: `check_shape`, then `check_signature` or `check_handshake`, then the room's nonce table.

    signed = check_shape(envelope, now)                         # 400, 401 stale_timestamp, 401 signature_required
    key = known_key(signed, stored_key)                         # 401 unknown_peer
    check_signature(signed, route, key)                         # 401 bad_signature
    check_admitted(signed, stored_tier)                         # 403 policy_denied
    ... in the change: nonce unused, else raise replayed(signed)     # 409 replayed_nonce

A handshake brings its own key: `check_shape(..., handshake=True)`, `check_handshake(signed)` gives the card, and in the
change, before the nonce is kept, `check_pinned(card, stored_key, stored_tier, successions)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import limits
from ..base.clock import instant_seconds
from ..base.errors import Refusal
from . import canonical, keys

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..base.ids import Ids
    from .identity import Identity

PROTOCOL_FAMILY = "OCP"
PROTOCOL_RELEASE = "0.1"
PROTOCOL_VERSION = "sovereign-mesh/v1"
IMPLEMENTATION = "Sovereign Mesh"
HANDSHAKE_ROUTE = "/mesh/handshake"
BLOCKED = "blocked"

_SIGNED_MEMBERS = ("node_id", "timestamp", "nonce", "request_id", "protocol_version")


class Signed(NamedTuple):
    """An envelope whose shape and time are right; whether its signature is, `check_signature` says."""
    node_id: str                        # trimmed, for look-ups; `request` has what was signed
    nonce: str                          # trimmed
    request_id: str                     # trimmed
    signed_at_seconds: float            # since 1970
    request: Mapping[str, Any]          # as it came
    body: Mapping[str, Any]             # as it came

    @property
    def foreign_family(self) -> bool:
        """It names another protocol family than OCP: worth a warning, no reason to refuse."""
        return self.request.get("protocol_family") != PROTOCOL_FAMILY


class Card(NamedTuple):
    """What a handshake's peer card says of who sends it; claims, until its signature is checked."""
    peer_id: str
    public_key_hex: str                 # lower case
    trust_tier: str                     # asked for, never granted by asking


def signed_bytes(route: str, request: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """The seven members an envelope is signed over, in canonical form; `route` is the path without host and query."""
    return canonical.mesh({"route": route, "body": body, **{name: request.get(name) for name in _SIGNED_MEMBERS}})


def sign_envelope(identity: Identity, route: str, body: Mapping[str, Any], clock: Clock, ids: Ids,
                  request_id: str | None = None) -> dict[str, Any]:
    """`{"request": ..., "body": ...}` signed by this node now, for one use at `route`.

    A repeated `request_id` asks the receiver to have the effect once only; without one a new one is drawn.
    """
    request = {"node_id": identity.node_id, "timestamp": clock.text(), "nonce": ids.hex(32),
               "request_id": request_id or ids.hex(32), "protocol_family": PROTOCOL_FAMILY, "protocol_release": PROTOCOL_RELEASE,
               "implementation": IMPLEMENTATION, "protocol_version": PROTOCOL_VERSION, "signature_scheme": keys.SIGNATURE_SCHEME}
    signature = identity.sign(signed_bytes(route, request, body))
    return {"request": {**request, "signature": signature.hex()}, "body": body}


def check_shape(envelope: Mapping[str, Any], now_seconds: float, *, handshake: bool = False) -> Signed:
    """The envelope with everything right that can be told from itself and the time.

    `Refusal` with the protocol's text for the first thing that is wrong: `invalid_request`, then `stale_timestamp`
    (more than 300 s from now), then `signature_required`.
    """
    request, body = envelope.get("request"), envelope.get("body")
    if not isinstance(body, Mapping):
        raise Refusal("invalid_request", "body must be a JSON object")
    if handshake and not _object(body.get("peer_card")):
        raise Refusal("invalid_request", "peer_card is required for handshake")
    if not isinstance(request, Mapping) or not request:
        raise Refusal("invalid_request", "request metadata is required")
    node_id = _text(request, "node_id", limits.SIGNED_ID_LENGTH_MAX)
    _check_protocol(request)
    signed_at = _instant(request)
    nonce = _text(request, "nonce", limits.SIGNED_ID_LENGTH_MAX)
    request_id = _text(request, "request_id", limits.REQUEST_ID_LENGTH_MAX)
    if abs(signed_at - int(now_seconds)) > limits.SIGNED_SKEW_SECONDS:     # the wire has whole seconds, so both sides do
        raise Refusal("stale_timestamp", "stale or future timestamp")
    if not _blank_or_text(request, "signature"):
        raise Refusal("signature_required", "signature is required")
    return Signed(node_id=node_id, nonce=nonce, request_id=request_id, signed_at_seconds=signed_at, request=request, body=body)


def check_signature(signed: Signed, route: str, public_key_hex: str) -> None:
    """The envelope was signed for this route by the key's holder, or `Refusal("bad_signature")`."""
    if not keys.verify_hex(public_key_hex, signed_bytes(route, signed.request, signed.body), signed.request["signature"]):
        raise Refusal("bad_signature", "signature verification failed")


def known_key(signed: Signed, stored_key_hex: str | None) -> str:
    """The key to check with: that of the stored peer.  None: no such peer; "": it has no key (`unknown_peer` both)."""
    if stored_key_hex is None:
        raise Refusal("unknown_peer", f"unknown peer {signed.node_id}")
    return _available(stored_key_hex)


def check_admitted(signed: Signed, stored_tier: str) -> None:
    """The stored peer is not blocked, or `Refusal("policy_denied")`.  Call it after `check_signature`."""
    if stored_tier == BLOCKED:
        raise blocked(signed.node_id)


def check_handshake(signed: Signed) -> Card:
    """The card of a handshake that its own key signed.

    In order: `unknown_peer` without a key, `bad_signature`, `identity_mismatch` when the card is of another node,
    `policy_denied` when it asks to be blocked.  All before the nonce is kept, so that nobody fills another's nonces.
    """
    card = card_of(signed.body)
    check_signature(signed, HANDSHAKE_ROUTE, _available(card.public_key_hex))
    if card.peer_id != signed.node_id:
        raise Refusal("identity_mismatch", "request node_id does not match peer card")
    if card.trust_tier == BLOCKED:
        raise blocked(card.peer_id)
    return card


def check_pinned(card: Card, stored_key_hex: str, stored_tier: str, successions: object = None) -> str:
    """What is known of the peer lets it in: `key_changed` when another key is pinned ("" = none yet), then `policy_denied`.

    Gives "" when the card's key is the pinned one, and else the pinned key, from which the successions in the handshake lead to
    the card's (`successions.follows`).
    """
    pinned = stored_key_hex.lower()
    if pinned in ("", card.public_key_hex):
        pinned = ""
    elif not _follows(successions, card, pinned):
        raise key_changed()
    if stored_tier == BLOCKED:
        raise blocked(card.peer_id)
    return pinned


def _follows(chain: object, card: Card, pinned: str) -> bool:
    if not chain:
        return False
    from . import successions
    return successions.follows(chain, card.peer_id, pinned, card.public_key_hex)


def key_changed(**detail: object) -> Refusal:
    """What to raise for a peer that comes with another key than the pinned one."""
    return Refusal("key_changed", "peer public key changed; explicit trust reset required", detail)


def card_of(body: Mapping[str, Any]) -> Card:
    """The claims in a handshake's `peer_card`; what is missing is empty."""
    card = _object(body.get("peer_card"))
    return Card(peer_id=_blank_or_text(card, "organism_id") or _blank_or_text(card, "node_id"),
                public_key_hex=_blank_or_text(card, "public_key").lower(),
                trust_tier=_blank_or_text(card, "trust_tier").lower())


def replayed(signed: Signed) -> Refusal:
    """What to raise when the nonce was used before by this peer."""
    return Refusal("replayed_nonce", f"nonce already seen for peer {signed.node_id}")


def blocked(peer_id: str) -> Refusal:
    """What to raise for a peer the operator has blocked."""
    return Refusal("policy_denied", f"peer {peer_id} is blocked")


def _available(key_hex: str) -> str:
    if not key_hex:
        raise Refusal("unknown_peer", "public key unavailable for verification")
    return key_hex


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _blank_or_text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value.strip() if isinstance(value, str) else ""


def _text(request: Mapping[str, Any], name: str, length_max: int) -> str:
    """The trimmed member, which is neither blank nor, as it came, longer than `length_max`, and can be shown in one line."""
    text = _blank_or_text(request, name)
    if not text:
        raise Refusal("invalid_request", f"{name} is required")
    if len(request[name]) > length_max:
        raise Refusal("invalid_request", f"{name} is longer than {length_max} characters")
    if not text.isprintable():
        raise Refusal("invalid_request", f"{name} has characters that are not printable")
    return text


def _check_protocol(request: Mapping[str, Any]) -> None:
    if request.get("protocol_version") != PROTOCOL_VERSION:
        raise Refusal("invalid_request", "unsupported mesh protocol version")
    if request.get("signature_scheme") != keys.SIGNATURE_SCHEME:
        raise Refusal("invalid_request", "unsupported signature scheme")


def _instant(request: Mapping[str, Any]) -> float:
    text = _blank_or_text(request, "timestamp")
    if not text:
        raise Refusal("invalid_request", "timestamp is required")
    try:
        if len(text) <= limits.TIMESTAMP_LENGTH_MAX:
            return instant_seconds(text)
    except (ValueError, OverflowError):
        pass
    raise Refusal("invalid_request", "timestamp must be an ISO-8601 timestamp")
