"""Calls to other nodes of the mesh (OCP 0.1 outgoing requests): where they go, how long they take, how their failures are told.

They block: from a worker, a long request or a ticker.  Nothing is sent that the caller did not give; our operator token never.
`loopback` says whether loopback addresses may be called: only when the operator's own call came from this machine, or the
setting `allow_loopback_peers` is on (None leaves it to the setting).  A peer that an operator on this machine reached over
over loopback before may be called there again.

`certificate` is the fingerprint that the certificate of an https URL must have.  None takes the one that is pinned for the peer,
or for whom we reached last at the origin of the URL; where there is none, and for "", the system's authorities judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ...base import jsontext
from ...base.errors import Refusal
from ...core import Core, Rooms
from ...http.calls import OutboundError, peer_refusal
from ...http.target import target_of
from ..handshake.rules import CARD_BYTES_MAX
from ..peers import pins
from ..peers.peer import Peer

Members = dict[str, Any]
SECONDS = 8.0                        # a call, where the caller names no time-out
SECONDS_MIN, SECONDS_MAX = 0.1, 30.0
MANIFEST_BYTES_MAX = 262_144
ANSWER_BYTES_MAX = 4_194_304
WIRE_VERSION = "sovereign-mesh/v1"


class Calls:
    """The way to peers."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._peers = rooms["mesh.peers"]
        self._envelopes = rooms["mesh.envelopes"]

    def base_url(self, text: str) -> str:
        """The text as the base URL of a node, without a trailing slash; `Refusal` for what is never called."""
        url = text.strip().rstrip("/")
        if "?" in url:
            raise Refusal("invalid_request", "a base URL must not have a query")
        try:
            target_of(url)
        except OutboundError as error:
            raise peer_refusal(error) from None
        return url

    def url_of(self, peer: Peer) -> str:
        """Where to call the peer; `Refusal("not_found")` when it told no address."""
        for url in peer.base_urls:
            return url
        raise Refusal("not_found", "peer endpoint_url is unavailable", {"peer_id": peer.peer_id})

    def get(self, to: Peer | str, path: str, timeout: float = SECONDS, *, query: Mapping[str, object] | None = None,
            loopback: bool | None = None, bytes_max: int = ANSWER_BYTES_MAX, certificate: str | None = None) -> Members:
        """The JSON object that the peer answers; `Refusal` peer_unreachable, peer_timeout or peer_refused when there is none."""
        return self._call("GET", to, path + ("?" + urlencode(query) if query else ""), None, timeout, loopback, bytes_max,
                          certificate)

    def post(self, to: Peer | str, path: str, body: Mapping[str, Any], timeout: float = SECONDS, *, loopback: bool | None = None,
             bytes_max: int = ANSWER_BYTES_MAX, certificate: str | None = None) -> Members:
        """The same for a body; it is sent once, whatever becomes of the connection."""
        return self._call("POST", to, path, body, timeout, loopback, bytes_max, certificate)

    def signed(self, to: Peer | str, path: str, body: Mapping[str, Any], timeout: float = SECONDS, *, request_id: str = "",
               loopback: bool | None = None, certificate: str | None = None, bytes_max: int = ANSWER_BYTES_MAX) -> Members:
        """The peer's answer to an envelope of ours over `body`; a repeated `request_id` has its effect there once."""
        return self.post(to, path, self._envelopes.sign(path, body, request_id), timeout, loopback=loopback,
                         bytes_max=bytes_max, certificate=certificate)

    def manifest(self, base_url: str, timeout: float = SECONDS, *, loopback: bool | None = None,
                 certificate: str | None = None) -> Members:
        """The manifest of the node at this URL, with a whole card in it."""
        manifest = self.get(base_url, "/mesh/manifest", timeout, loopback=loopback, bytes_max=MANIFEST_BYTES_MAX,
                            certificate=certificate)
        return checked_manifest(manifest)

    def may_loop(self, to: Peer | str, loopback: bool | None) -> bool | None:
        """May this call go to a loopback address?  None leaves it to the setting."""
        if loopback or not isinstance(to, Peer):
            return loopback or None
        return True if to.metadata.get("reached_on_loopback") == self.url_of(to) else None

    def certificate(self, to: Peer | str, url: str) -> str:
        """The fingerprint that the certificate there must have, "" where the authorities judge; `Refusal` for a plain URL of a
        pinned peer."""
        found: str = pins.pin(to, url) if isinstance(to, Peer) else self._peers.certificate_at(url)
        return found

    def _call(self, method: str, to: Peer | str, path: str, body: Mapping[str, Any] | None, timeout: float, loopback: bool | None,
              bytes_max: int, certificate: str | None) -> Members:
        base = self.url_of(to) if isinstance(to, Peer) else to
        if certificate is None:
            certificate = self.certificate(to, base)
        try:
            answer = self._core.outbound.json(method, base + path, json=body, timeout=clamped(timeout), bytes_max=bytes_max,
                                              allow_loopback=self.may_loop(to, loopback), pin_sha256=certificate)
            if isinstance(answer, dict):
                return answer
            raise OutboundError("bad_answer", "the answer is not a JSON object")
        except OutboundError as error:
            refusal = peer_refusal(error)
            if isinstance(to, Peer):
                refusal.detail["peer_id"] = to.peer_id
            raise refusal from None


def clamped(seconds: float) -> float:
    """A time-out within the bounds of one call."""
    return max(SECONDS_MIN, min(float(seconds), SECONDS_MAX))


def checked_manifest(manifest: Members) -> Members:
    """The manifest, whose card names a node, a key and the protocol; `Refusal("peer_unreachable")` otherwise."""
    card = manifest.get("organism_card")
    if not isinstance(card, dict) or not _text(card, "organism_id"):
        raise Refusal("peer_unreachable", "peer card is missing organism_id")
    if len(_text(card, "organism_id")) > 128:
        raise Refusal("peer_unreachable", "peer card has an organism_id that is too long")
    if not _text(card, "organism_id").isprintable():
        raise Refusal("peer_unreachable", "peer card has an organism_id that is not printable")
    if len(jsontext.ascii_text(card)) > CARD_BYTES_MAX:
        raise Refusal("peer_unreachable", f"the peer's card is larger than {CARD_BYTES_MAX} bytes")
    if manifest.get("protocol_version") != WIRE_VERSION:
        raise Refusal("peer_unreachable", "unsupported mesh protocol version")
    key = _text(card, "public_key").lower()
    if len(key) != 64 or any(letter not in "0123456789abcdef" for letter in key):
        raise Refusal("peer_unreachable", "peer card is missing public_key")
    return manifest


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    return value.strip() if isinstance(value, str) else ""


def build(core: Core, rooms: Rooms) -> Calls:
    """The room."""
    return Calls(core, rooms)
