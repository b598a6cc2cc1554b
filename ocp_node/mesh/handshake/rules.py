"""What a peer's card says, made safe to keep (OCP 0.1 handshake); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...base import jsontext
from ...base.errors import Refusal
from ...http.calls import OutboundError
from ...http.target import target_of
from ..device_profile.rules import lenient, normalised

Members = dict[str, Any]

CARD_BYTES_MAX = 65_536          # a whole card of ours has 6 KB
NAME_LENGTH_MAX = 200
URL_LENGTH_MAX = 2_048
WORD_LENGTH_MAX = 64
CARDS_MAX = 64                   # capabilities of one node
PRESENT_MAX = 50                 # agents of one node that are remembered
BEACONS_MAX = 12
TOLD_BYTES_MAX = 65_536          # of agents, or of beacons, of one node
# The same for strangers, who can be many: a thousand of them must not fill a small machine's memory, nor the list of peers.
STRANGER_CARD_BYTES_MAX = 16_384
STRANGER_TOLD_BYTES_MAX = 4_096
WILDCARDS = ("0.0.0.0", "::", "")


def claims(card: Mapping[str, Any], peer_id: str, stranger: bool = False) -> Members:
    """The stored members that follow from the card: what it claims, never its key or tier."""
    bytes_max = STRANGER_CARD_BYTES_MAX if stranger else CARD_BYTES_MAX
    if len(jsontext.ascii_text(card)) > bytes_max:
        raise Refusal("invalid_request", f"peer_card is larger than {bytes_max} bytes")
    endpoint = _url(card.get("endpoint_url"))
    return {"display_name": _line(card.get("display_name"), NAME_LENGTH_MAX) or peer_id,
            "signature_scheme": _line(card.get("signature_scheme"), WORD_LENGTH_MAX), "endpoint_url": endpoint,
            "stream_url": _url(card.get("stream_url")) or (f"{endpoint}/mesh/stream" if endpoint else ""),
            "reachability": _line(card.get("reachability"), WORD_LENGTH_MAX),
            "protocol_version": _line(card.get("protocol_version"), WORD_LENGTH_MAX),
            "capability_cards": _objects(card.get("capability_cards"), CARDS_MAX, CARD_BYTES_MAX), "card": dict(card)}


def told(card: Mapping[str, Any], presence: object, beacons: object, stranger: bool = False) -> Members:
    """The metadata that follows from a handshake's body."""
    bytes_max = STRANGER_TOLD_BYTES_MAX if stranger else TOLD_BYTES_MAX
    return {"remote_agent_presence": _objects(presence, PRESENT_MAX, bytes_max),
            "remote_beacons": _objects(beacons, BEACONS_MAX, bytes_max),
            "remote_device_profile": normalised(lenient(card.get("device_profile")))}


def reached(advertised: str, used: str) -> str:
    """The endpoint that is kept after `used` led there: what the node says itself, unless that leads nowhere from here."""
    host = advertised.partition("://")[2].partition("/")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] if ":" in host else host
    return used if host in WILDCARDS or host == "localhost" or host == "::1" or host.startswith("127.") else advertised


def _line(value: object, length_max: int) -> str:
    """The value as one line of text; characters that no line shows are left out."""
    return "".join(letter for letter in value[:length_max] if letter.isprintable()).strip() if isinstance(value, str) else ""


def _url(value: object) -> str:
    """The URL without a trailing slash; "" for what is no base URL.

    One with a query would let its owner choose what this node asks of the address that it names.
    """
    if not isinstance(value, str) or not value.startswith(("http://", "https://")) or "?" in value or len(value) > URL_LENGTH_MAX:
        return ""
    try:
        target_of(value)
    except OutboundError:
        return ""
    return value.rstrip("/")


def _objects(value: object, count_max: int, bytes_max: int) -> list[Members]:
    """The objects at the start of a list, as many as fit."""
    kept: list[Members] = []
    for item in value[:count_max] if isinstance(value, list) else ():
        if isinstance(item, dict):
            bytes_max -= len(jsontext.ascii_text(item))
            if bytes_max < 0:
                break
            kept.append(item)
    return kept
