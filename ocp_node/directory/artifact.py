"""A node's advertisement (`node-advertisement.v1`): from bytes to an artifact that its node has signed."""

from __future__ import annotations

from typing import Any

from ..base import jsontext
from ..base.errors import Malformed, Problem, Refusal
from ..crypto import node_did
from . import shape as shapes
from .shape import MICROSECONDS, Found, Shape, Table, instant_us, parse

__all__ = ["MICROSECONDS", "Advertisement", "Shape", "of", "parse", "read", "verify"]


class Advertisement:
    """An artifact that has its shape; whether its signature holds is another question.

    `document` is what will be stored: everything as it came, but nothing in `signature` beside `alg` and `value`, for nobody
    signed what else stood there.  What is verified is what is stored.
    """

    __slots__ = ("node_id", "advertisement_id", "sequence_no", "advertised_us", "expires_us", "expires_at", "key_text",
                 "federation_id", "document", "_text", "_digest")

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = node_did.reduced(document)
        self.node_id: str = document["node/id"]
        self.advertisement_id: str = document["advertisement/id"]
        self.sequence_no: int = document["sequence/no"]
        self.expires_at: str = document["expires-at"]
        self.advertised_us = instant_us(document["advertised-at"])
        self.expires_us = instant_us(self.expires_at)
        self.key_text: str = document["key/public"]
        self.federation_id: str = document.get("federation/id", "")
        self._text = b""
        self._digest = ""

    def prepare(self) -> None:
        """What the one writer will need is made already, on the thread of the caller."""
        self._text = self.text
        self._digest = self.digest

    def verified_as(self, digest: str) -> None:
        """The digest was worked out beside the signature."""
        self._digest = digest

    @property
    def text(self) -> bytes:
        """What is served: compact JSON, members in the order in which they came."""
        if not self._text:
            self._text = jsontext.compact(self.document)
        return self._text

    @property
    def digest(self) -> str:
        """Names the content whatever its spelling: SHA-256 of the deterministic CBOR, as base64url."""
        if not self._digest:
            self._digest = node_did.digest(self.document)
        return self._digest


def read(raw: bytes, shape: Shape) -> Advertisement:
    """The advertisement in these bytes.

    `Malformed` with code `malformed-json` when they are no strict JSON object, `invalid-advertisement` with every problem when
    the object is none.
    """
    return of(parse(raw), shape, escaped=b"\\u" in raw)


def of(document: Any, shape: Shape, *, escaped: bool = True) -> Advertisement:
    """The advertisement that a parsed value is; `Malformed` otherwise."""
    shapes.check(document, ADVERTISEMENT, shape, "invalid-advertisement", escaped=escaped)
    made = Advertisement(document)
    if made.expires_us <= made.advertised_us:
        raise Malformed([Problem(("expires-at",), "not-after-advertised-at")], "invalid-advertisement")
    return made


def verify(advertisement: Advertisement) -> None:
    """The node that the advertisement names has signed it.  Refusal `key-mismatch` or `invalid-signature` otherwise."""
    if advertisement.node_id != node_did.NODE + advertisement.key_text:
        raise Refusal("key-mismatch")
    message, digest = node_did.signing_input_and_digest(node_did.ADVERTISEMENT, advertisement.document)
    node_did.check(shapes.public_key(advertisement.node_id), message, advertisement.document["signature"]["value"])
    advertisement.verified_as(digest)


def _endpoint(value: Any, shape: Shape) -> Found:
    return shapes.object_of(value, shape, ENDPOINT)


ENDPOINT: Table = (("endpoint/url", True, shapes.endpoint_url), ("endpoint/transport", True, shapes.one_of("wss")),
                   ("endpoint/role", True, shapes.one_of("listener", "relay")), ("endpoint/priority", True, shapes.count()))
SUCCESSION: Table = (("successor/node-id", True, shapes.node_id_form), ("proof/current", False, shapes.text),
                     ("proof/successor", False, shapes.text))
ADVERTISEMENT: Table = (
    ("schema/v", True, shapes.constant(1)),
    ("advertisement/id", True, shapes.label),
    ("node/id", True, shapes.node_id),
    ("sequence/no", True, shapes.count()),
    ("advertised-at", True, shapes.instant),
    ("expires-at", True, shapes.instant),
    ("key/alg", True, shapes.one_of("ed25519")),
    ("key/public", True, shapes.key_form),
    ("federation/id", False, shapes.label),
    ("endpoints", True, lambda value, shape: shapes.list_of(value, shape, shape.endpoints, _endpoint)),
    ("transports/supported", True, shapes.unique_words(1_000, shapes.one_of("wss"))),
    ("succession", False, lambda value, shape: shapes.object_of(value, shape, SUCCESSION)),
    ("policy_annotations", False, shapes.object_any),
    ("signature", True, shapes.signature),
)
