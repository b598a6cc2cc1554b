"""From bytes to a node's advertisement, or every wrong place in them (`node-advertisement.v1`).

Two readers must never see two documents in the same bytes: a signature is worth nothing then.  So the text is parsed strictly,
what is verified is what is stored, and whatever Python reads more widely than the schema (`True` is 1, `1.0` is 1) is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from math import isfinite
from typing import Any

from ..base import jsontext
from ..base.errors import Malformed, Problem, Refusal
from ..crypto import node_did

INTEGER_MAX = 2**63 - 1             # what the store keeps; the schema names no maximum
CBOR_INTEGER_MAX = 2**64 - 1        # what the signed encoding can hold
CBOR_INTEGER_MIN = -2**64
DEPTH_UNBOUNDED = 200               # nesting where the operator switched the bound off: what the encoder can walk
NODE_ID_LENGTH_MAX = 256
PROBLEMS_MAX = 50
MICROSECONDS = 1_000_000

Place = tuple["str | int", ...]
Found = Iterable[tuple[Place, str]]      # where, below the member that was checked, and which rule

_NODE_ID = re.compile(r"node:did:key:z[1-9A-HJ-NP-Za-km-z]+\Z")
_KEY = re.compile(r"z[1-9A-HJ-NP-Za-km-z]+\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
                   r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z")
# What a URI may be written with, and no user information, no fragment (RFC 3986).
_URL = re.compile(r"wss://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::([0-9]{1,5}))?(?:[/?][A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*)?\Z",
                  re.IGNORECASE)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Shape:
    """The bounds of an artifact that an operator may change; 0 = no bound."""

    __slots__ = ("depth", "endpoints", "url_length", "id_length")

    def __init__(self, depth: int = 16, endpoints: int = 32, url_length: int = 2048, id_length: int = 256) -> None:
        self.depth = depth or DEPTH_UNBOUNDED
        self.endpoints = endpoints or 2**31
        self.url_length = url_length or 2**31
        self.id_length = id_length or 2**31


class Advertisement:
    """An artifact that has its shape; whether its signature holds is another question.

    `document` is what will be stored: everything as it came, but nothing in `signature` beside `alg` and `value`.
    """

    __slots__ = ("node_id", "advertisement_id", "sequence_no", "advertised_us", "expires_us", "expires_at", "key_text", "federation_id",
                 "document", "_text", "_digest")

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
    """The advertisement that a parsed value is.  `escaped` False: its text held no `\\u`, so no unpaired surrogate can be in it."""
    problems = list(_unfit(document, (), 1, shape.depth, escaped))
    known = {problem.path for problem in problems}
    problems += [problem for problem in _misshapen(document, shape) if problem.path not in known]
    if problems:
        raise Malformed(problems[:PROBLEMS_MAX], "invalid-advertisement")
    return Advertisement(document)


# --- strict JSON ------------------------------------------------------------------------------------------------------

def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name is repeated")
    return members


def _constant(word: str) -> Any:
    raise ValueError("not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


def parse(raw: bytes) -> dict[str, Any]:
    """The one object that these bytes spell: UTF-8, no byte order mark, no name twice, no `NaN`.  `Malformed` otherwise.

    A number that overflows becomes infinity here and is found by `of`, which can say where it stands.
    """
    try:
        value = _DECODER.decode(str(raw, "utf-8"))
    except (ValueError, RecursionError):
        raise Malformed(code="malformed-json") from None
    if type(value) is not dict:
        raise Malformed(code="malformed-json")
    return value


def _unfit(value: Any, place: Place, depth: int, depth_max: int, escaped: bool) -> Iterator[Problem]:
    """What strict JSON allows and a signed encoding does not: depth, numbers out of range, unpaired surrogates."""
    kind = type(value)
    if kind is dict or kind is list:
        if depth > depth_max:
            yield Problem(place, "too-deep")
            return
        for step, child in value.items() if kind is dict else enumerate(value):
            below = type(child)
            if below is str and not escaped:
                continue                                   # most members are texts, and these cannot be wrong
            if kind is dict and escaped and not _encodable(step):
                yield Problem(place, "invalid-unicode")
            elif below is not bool and child is not None:
                yield from _unfit(child, (*place, step), depth + 1, depth_max, escaped)
    elif kind is str:
        if not _encodable(value):
            yield Problem(place, "invalid-unicode")
    elif kind is int:
        if not CBOR_INTEGER_MIN <= value <= CBOR_INTEGER_MAX:
            yield Problem(place, "integer-range")
    elif kind is float and not isfinite(value):
        yield Problem(place, "number-range")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- the schema -------------------------------------------------------------------------------------------------------

def is_node_id(text: str) -> bool:
    """Whether a text looks like a node id; whether a key stands behind it is not asked."""
    return len(text) <= NODE_ID_LENGTH_MAX and _NODE_ID.match(text) is not None


def instant_us(text: Any) -> int:
    """The instant of an RFC 3339 date-time, in whole microseconds since 1970.  ValueError for every other text.

    An expression of our own, because `datetime.fromisoformat` takes week dates, bare dates and missing zones.
    """
    found = _DATE.match(text) if type(text) is str else None
    if found is None:
        raise ValueError("not a date-time")
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = found.groups()
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 60:
        raise ValueError("not a time of day")
    microseconds = int((fraction or "0").ljust(9, "0")[:6])
    if seconds == 60:                                      # a leap second counts as the last moment before it
        seconds, microseconds = 59, 999_999
    days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    offset = 0
    if sign:
        if int(zone_hours) > 23 or int(zone_minutes) > 59:
            raise ValueError("not a zone")
        offset = (int(zone_hours) * 60 + int(zone_minutes)) * (-60 if sign == "-" else 60)
    return (days * 86_400 + hours * 3600 + minutes * 60 + seconds - offset) * MICROSECONDS + microseconds


def is_endpoint_url(text: str) -> bool:
    """`wss://`, a host, a possible port; printable ASCII, no user information, no fragment."""
    found = _URL.match(text)
    if found is None:
        return False
    host, port = found.groups()
    if port is not None and not 1 <= int(port) <= 65_535:
        return False
    if host[0] != "[":
        return True
    from ipaddress import IPv6Address
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


Check = Callable[[Any, Shape], Found]
_FINE: Found = ()


def _wrong(code: str) -> Found:
    return (((), code),)


def _version(value: Any, shape: Shape) -> Found:
    return _FINE if type(value) is int and value == 1 else _wrong("const")


def _label(value: Any, shape: Shape) -> Found:
    if type(value) is not str or not value:
        return _wrong("type")
    return _FINE if len(value) <= shape.id_length and not _CONTROL.search(value) else _wrong("pattern")


def _node(value: Any, shape: Shape) -> Found:
    if type(value) is not str:
        return _wrong("type")
    if not is_node_id(value):
        return _wrong("pattern")
    problem = node_did.problem(value)
    return _wrong(problem) if problem else _FINE


def _key(value: Any, shape: Shape) -> Found:
    if type(value) is not str:
        return _wrong("type")
    return _FINE if len(value) <= NODE_ID_LENGTH_MAX and _KEY.match(value) else _wrong("pattern")


def _count(value: Any, shape: Shape) -> Found:
    return _FINE if type(value) is int and 0 <= value <= INTEGER_MAX else _wrong("integer-range")


def _instant(value: Any, shape: Shape) -> Found:
    try:
        instant_us(value)
    except ValueError:
        return _wrong("date-time")
    return _FINE


def _one_of(*words: str) -> Check:
    return lambda value, shape: _FINE if type(value) is str and value in words else _wrong("enum")


def _text(value: Any, shape: Shape) -> Found:
    return _FINE if type(value) is str and value else _wrong("type")


def _object(value: Any, shape: Shape) -> Found:
    return _FINE if type(value) is dict else _wrong("type")


def _url(value: Any, shape: Shape) -> Found:
    if type(value) is not str:
        return _wrong("type")
    return _FINE if len(value) <= shape.url_length and is_endpoint_url(value) else _wrong("uri")


def _successor(value: Any, shape: Shape) -> Found:
    return _FINE if type(value) is str and is_node_id(value) else _wrong("pattern")


Table = tuple[tuple[str, bool, Check], ...]      # member, required, check


def _checked(value: Any, shape: Shape, table: Table) -> Found:
    """An object by a table; members that it does not name are open."""
    if type(value) is not dict:
        yield (), "type"
        return
    for name, required, check in table:
        if name in value:
            for below, code in check(value[name], shape):
                yield (name, *below), code
        elif required:
            yield (name,), "required"


def _list(value: Any, shape: Shape, items_max: int, check: Check) -> Found:
    if type(value) is not list:
        yield (), "type"
    elif not value:
        yield (), "min-items"
    elif len(value) > items_max:
        yield (), "max-items"
    else:
        for index, item in enumerate(value):
            for below, code in check(item, shape):
                yield (index, *below), code


def _transports(value: Any, shape: Shape) -> Found:
    found = list(_list(value, shape, 1_000, _one_of("wss")))
    if not found and len(value) != len(set(value)):
        return _wrong("unique-items")
    return found


def _endpoint(value: Any, shape: Shape) -> Found:
    return _checked(value, shape, ENDPOINT)


ENDPOINT: Table = (("endpoint/url", True, _url), ("endpoint/transport", True, _one_of("wss")),
                   ("endpoint/role", True, _one_of("listener", "relay")), ("endpoint/priority", True, _count))
SIGNATURE: Table = (("alg", True, _one_of("ed25519")), ("value", True, _text))
SUCCESSION: Table = (("successor/node-id", True, _successor), ("proof/current", False, _text), ("proof/successor", False, _text))
ADVERTISEMENT: Table = (
    ("schema/v", True, _version),
    ("advertisement/id", True, _label),
    ("node/id", True, _node),
    ("sequence/no", True, _count),
    ("advertised-at", True, _instant),
    ("expires-at", True, _instant),
    ("key/alg", True, _one_of("ed25519")),
    ("key/public", True, _key),
    ("federation/id", False, _label),
    ("endpoints", True, lambda value, shape: _list(value, shape, shape.endpoints, _endpoint)),
    ("transports/supported", True, _transports),
    ("succession", False, lambda value, shape: _checked(value, shape, SUCCESSION)),
    ("policy_annotations", False, _object),
    ("signature", True, lambda value, shape: _checked(value, shape, SIGNATURE)),
)


def _misshapen(document: Any, shape: Shape) -> Iterator[Problem]:
    found = [Problem(place, code) for place, code in _checked(document, shape, ADVERTISEMENT)]
    yield from found
    timed = type(document) is dict and not any(problem.path in (("advertised-at",), ("expires-at",)) for problem in found)
    if timed and instant_us(document["expires-at"]) <= instant_us(document["advertised-at"]):
        yield Problem(("expires-at",), "not-after-advertised-at")


# --- whose it is ------------------------------------------------------------------------------------------------------

def verify(advertisement: Advertisement) -> None:
    """The node that the advertisement names has signed it.  Refusal `key-mismatch` or `invalid-signature` otherwise."""
    if advertisement.node_id != node_did.NODE + advertisement.key_text:
        raise Refusal("key-mismatch")
    node_did.check_artifact(node_did.public_key(advertisement.node_id), node_did.ADVERTISEMENT, advertisement.document)
