"""Strict reading of signed artifacts: bytes to one object, and an object against a table of its members.

Two readers must never see two documents in the same bytes: a signature is worth nothing then.  So the text is parsed strictly,
and whatever Python reads more widely than the schemas (`True` is 1, `1.0` is 1, week dates are dates) is refused.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from math import isfinite
from typing import Any

from ..base.errors import Malformed, Problem
from ..crypto import node_did

INTEGER_MAX = 2**63 - 1             # what the store keeps; the schemas name no maximum
CBOR_INTEGER_MAX = 2**64 - 1        # what the signed encoding can hold
CBOR_INTEGER_MIN = -2**64
DEPTH_UNBOUNDED = 200               # nesting where the operator switched the bound off: what the encoders can walk
UNBOUNDED = 2**31
NODE_ID_LENGTH_MAX = 256
PROBLEMS_MAX = 50
MICROSECONDS = 1_000_000
DATE_LENGTH_MAX = 40

Place = tuple["str | int", ...]
Found = Sequence[tuple[Place, str]]      # where, below the member that was checked, and which rule; empty when it is fine
FINE: Found = ()

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
        self.endpoints = endpoints or UNBOUNDED
        self.url_length = url_length or UNBOUNDED
        self.id_length = id_length or UNBOUNDED


Check = Callable[[Any, Shape], Found]
Table = tuple[tuple[str, bool, Check], ...]      # member, required, check


def parse(raw: bytes) -> dict[str, Any]:
    """The one object that these bytes spell: UTF-8, no byte order mark, no name twice, no `NaN`.

    `Malformed` with code `malformed-json` otherwise.  A number that overflows becomes infinity here and is found by `unfit`,
    which can say where it stands.
    """
    try:
        value = _DECODER.decode(str(raw, "utf-8"))
    except (ValueError, RecursionError):
        raise Malformed(code="malformed-json") from None
    if type(value) is not dict:
        raise Malformed(code="malformed-json")
    return value


def check(value: Any, table: Table, shape: Shape, code: str, *, escaped: bool = True) -> None:
    """The value is an object that fits the table and a signed encoding, or `Malformed` with `code` and every problem.

    `escaped` False: the text held no `\\u`, so no unpaired surrogate can be in it.
    """
    problems: list[Problem] = []
    unfit(value, (), 1, shape.depth, escaped, problems)
    found = object_of(value, shape, table)
    if found:
        known = {problem.path for problem in problems}
        problems += [Problem(place, rule) for place, rule in found if place not in known]
    if problems:
        raise Malformed(problems[:PROBLEMS_MAX], code)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name is repeated")
    return members


def _constant(word: str) -> Any:
    raise ValueError("not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)


def unfit(value: Any, place: Place, depth: int, depth_max: int, escaped: bool, problems: list[Problem]) -> None:
    """What strict JSON allows and a signed encoding does not is added to `problems`: depth, numbers out of range, unpaired
    surrogates."""
    kind = type(value)
    if kind is str:
        if escaped and not _encodable(value):
            problems.append(Problem(place, "invalid-unicode"))
    elif kind is dict or kind is list:
        if depth > depth_max:
            problems.append(Problem(place, "too-deep"))
            return
        for step, child in value.items() if kind is dict else enumerate(value):
            if escaped and type(step) is str and not _encodable(step):
                problems.append(Problem(place, "invalid-unicode"))
            elif escaped or type(child) is not str:        # most members are texts, and without escapes these cannot be wrong
                unfit(child, (*place, step), depth + 1, depth_max, escaped, problems)
    elif kind is int:
        if not CBOR_INTEGER_MIN <= value <= CBOR_INTEGER_MAX:
            problems.append(Problem(place, "integer-range"))
    elif kind is float and not isfinite(value):
        problems.append(Problem(place, "number-range"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- values -----------------------------------------------------------------------------------------------------------

def is_node_id(text: str) -> bool:
    """Whether a text looks like a node id; whether a key stands behind it is not asked."""
    return len(text) <= NODE_ID_LENGTH_MAX and _NODE_ID.match(text) is not None


@functools.lru_cache(maxsize=1024)       # each is asked for twice, and nodes come again
def public_key(node_id: str) -> bytes:
    """The key behind a text that looks like a node id; `Malformed` when there is none."""
    return node_did.public_key(node_id)


def instant_us(text: Any) -> int:
    """The instant of an RFC 3339 date-time, in whole microseconds since 1970.  ValueError for every other text.

    An expression of our own, because `datetime.fromisoformat` takes week dates, bare dates and missing zones.
    """
    if type(text) is not str or len(text) > DATE_LENGTH_MAX:
        raise ValueError("not a date-time")
    return _instant_us(text)


@functools.lru_cache(maxsize=1024)       # a page of artifacts has few different times, and each is asked for more than once
def _instant_us(text: str) -> int:
    found = _DATE.match(text)
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


# --- checks of members ------------------------------------------------------------------------------------------------

def wrong(code: str) -> Found:
    """The checked value itself breaks the rule."""
    return (((), code),)


def constant(wanted: Any) -> Check:
    """This very value, of this very type."""
    return lambda value, shape: FINE if type(value) is type(wanted) and value == wanted else wrong("const")


def one_of(*words: str) -> Check:
    return lambda value, shape: FINE if type(value) is str and value in words else wrong("enum")


def label(value: Any, shape: Shape) -> Found:
    """A short name without control characters."""
    if type(value) is not str or not value:
        return wrong("type")
    return FINE if len(value) <= shape.id_length and not _CONTROL.search(value) else wrong("pattern")


def text(value: Any, shape: Shape) -> Found:
    return FINE if type(value) is str and value else wrong("type")


def object_any(value: Any, shape: Shape) -> Found:
    return FINE if type(value) is dict else wrong("type")


def node_id(value: Any, shape: Shape) -> Found:
    """A node id with a key behind it."""
    if type(value) is not str:
        return wrong("type")
    if not is_node_id(value):
        return wrong("pattern")
    try:
        public_key(value)
    except Malformed:
        return wrong("not-canonical-did-key")
    return FINE


def node_id_form(value: Any, shape: Shape) -> Found:
    """What looks like a node id."""
    return FINE if type(value) is str and is_node_id(value) else wrong("pattern")


def key_form(value: Any, shape: Shape) -> Found:
    """What looks like a key: `z…`."""
    if type(value) is not str:
        return wrong("type")
    return FINE if len(value) <= NODE_ID_LENGTH_MAX and _KEY.match(value) else wrong("pattern")


def did(*roles: str) -> Check:
    """An id of one of these roles with a key behind it."""
    def checked(value: Any, shape: Shape) -> Found:
        role = next((role for role in roles if type(value) is str and value.startswith(role)), None)
        if role is None:
            return wrong("pattern")
        try:
            node_did.public_key(value, role)
        except Malformed:
            return wrong("not-canonical-did-key")
        return FINE
    return checked


def count(minimum: int = 0) -> Check:
    """An integer literal from `minimum` on."""
    return lambda value, shape: FINE if type(value) is int and minimum <= value <= INTEGER_MAX else wrong("integer-range")


def instant(value: Any, shape: Shape) -> Found:
    try:
        instant_us(value)
    except ValueError:
        return wrong("date-time")
    return FINE


def endpoint_url(value: Any, shape: Shape) -> Found:
    if type(value) is not str:
        return wrong("type")
    return FINE if len(value) <= shape.url_length and is_endpoint_url(value) else wrong("uri")


def matching(pattern: str, length_max: int = 256) -> Check:
    """A text that the expression covers."""
    form = re.compile(pattern)

    def checked(value: Any, shape: Shape) -> Found:
        return FINE if type(value) is str and len(value) <= length_max and form.fullmatch(value) else wrong("pattern")

    return checked


def nullable(inner: Check) -> Check:
    return lambda value, shape: FINE if value is None else inner(value, shape)


def object_of(value: Any, shape: Shape, table: Table, closed: bool = False) -> Found:
    """An object by a table; members that it does not name are open, unless it is `closed`."""
    if type(value) is not dict:
        return wrong("type")
    found: list[tuple[Place, str]] = []
    for name, required, checked in table:
        if name in value:
            below = checked(value[name], shape)
            if below:
                found += [((name, *place), code) for place, code in below]
        elif required:
            found.append(((name,), "required"))
    if closed:
        found += [((name,), "unknown") for name in value.keys() - {name for name, _, _ in table}]
    return found


def list_of(value: Any, shape: Shape, items_max: int, checked: Check, items_min: int = 1) -> Found:
    """A list whose every item passes."""
    if type(value) is not list:
        return wrong("type")
    if len(value) < items_min:
        return wrong("min-items")
    if len(value) > items_max:
        return wrong("max-items")
    found: list[tuple[Place, str]] = []
    for index, item in enumerate(value):
        below = checked(item, shape)
        if below:
            found += [((index, *place), code) for place, code in below]
    return found


def unique_words(items_max: int, checked: Check, items_min: int = 1) -> Check:
    """A list of different texts."""
    def listed(value: Any, shape: Shape) -> Found:
        found = list_of(value, shape, items_max, checked, items_min)
        if not found and len(value) != len(set(value)):
            return wrong("unique-items")
        return found
    return listed


SIGNATURE: Table = (("alg", True, one_of("ed25519")), ("value", True, text))


def signature(value: Any, shape: Shape) -> Found:
    """`alg` and `value`; whether it holds is another question."""
    return object_of(value, shape, SIGNATURE)
