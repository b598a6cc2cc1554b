"""What an outgoing call comes to: an answer, or an error of a known kind; and the mesh's words for the latter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..base import jsontext
from ..base.errors import Malformed, Refusal

KINDS = frozenset({
    "bad_request",          # the URL, a header or the method cannot be sent; nothing was
    "address_refused",      # the address policy forbids where it points; nothing was sent
    "unresolved",           # the name has no address
    "refused",              # nothing listens there
    "unreachable",          # no way there
    "timeout",              # not done within the deadline
    "reset",                # the peer broke the connection
    "closed",               # the peer ended it too early, or our client is closed
    "tls",                  # no trusted connection could be made
    "bad_answer",           # what came is no HTTP, or not the JSON that was wanted
    "too_large",            # the answer passes its bound
    "redirect",             # the peer points elsewhere; never followed
    "status",               # the peer answered with an error; `answer` holds it
})
ERROR_TEXT_MAX = 300        # characters of a peer's own error text that are passed on


class Answer(NamedTuple):
    """A peer's answer, any status.  Header names are in lower case, repeated ones joined by commas."""
    status: int
    headers: Mapping[str, str]
    body: bytes             # empty when the content went to a sink; an error's body is cut at 64 KiB
    url: str
    address: str            # the very address that was spoken to

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def document(self) -> dict[str, object] | list[object]:
        """The JSON object or array of the body; OutboundError `bad_answer` when it is none."""
        try:
            value = jsontext.parse(self.body)
        except Malformed:
            raise OutboundError("bad_answer", "the answer is not valid JSON", self) from None
        if not isinstance(value, (dict, list)):
            raise OutboundError("bad_answer", "the answer is not a JSON object", self)
        return value


class OutboundError(Exception):
    """A call that did not succeed.  `message` is for people: no interpreter text, no URL beyond host and port."""

    def __init__(self, kind: str, message: str, answer: Answer | None = None) -> None:
        assert kind in KINDS, kind
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.sent = True                 # False: there was no connection on which anything could have been
        self.message = message
        self.answer = answer


_CODES = {"bad_request": "invalid_request", "address_refused": "invalid_request", "timeout": "peer_timeout",
          "redirect": "peer_refused", "status": "peer_refused"}


# Once there was a connection: the request may have arrived, only its answer did not come, or not whole.
_LOST = frozenset({"timeout", "reset", "closed", "too_large"})


class CallRefusal(Refusal):
    """A failed call.  `lost`: it is not known whether the peer has had the request."""

    lost = False


def peer_refusal(error: OutboundError) -> CallRefusal:
    """The refusal that tells our own caller of it (OCP 0.1): `peer_unreachable`, `peer_timeout`, `peer_refused` with the
    peer's status and error text, or `invalid_request` for a URL that is not called at all."""
    detail: dict[str, object] = {}
    if error.answer is not None and error.kind in ("redirect", "status"):
        detail = {"peer_status": error.answer.status, "peer_error": peer_error(error.answer)}
    refusal = CallRefusal(_CODES.get(error.kind, "peer_unreachable"), error.message, detail)
    refusal.lost = error.sent and error.kind in _LOST
    return refusal


def peer_error(answer: Answer) -> str:
    """The peer's own short error text, if its body has one: on one line, bounded."""
    try:
        document = answer.document()
    except OutboundError:
        return ""
    text = next((document[name] for name in ("error", "message", "reason") if isinstance(document.get(name), str)), "") \
        if isinstance(document, dict) else ""
    return "".join(letter if letter.isprintable() else " " for letter in str(text)[:ERROR_TEXT_MAX])
