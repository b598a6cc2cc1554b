"""Strict JSON in, compact JSON out.

Python's parser takes duplicate names, `NaN`, overflowing numbers and UTF-16, and breaks on deep nesting;
each of these lets two readers see different documents, so each is refused here, once, for every surface.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from .errors import Malformed, Problem

DEPTH_MAX = 64          # nesting of lists and objects; the deepest published document has 14
FLOAT_DIGITS = 308      # so many digits are a number that every float can hold
Json = object


class _Duplicate(ValueError):
    """A member name stands twice in one object."""


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Duplicate("a member name is repeated")
    return members


def _constant(word: str) -> Json:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if len(text) > FLOAT_DIGITS:
        _finite(text)                # who reads numbers as floats must not find an infinite one either
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant, parse_float=_finite, parse_int=_whole)


def parse(raw: bytes | bytearray | memoryview, depth_max: int = DEPTH_MAX) -> Json:
    """The value of one JSON text (RFC 8259).  `Malformed` names what is wrong without quoting the input."""
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError:
        raise Malformed(code="invalid_json", message="request body is not UTF-8") from None
    return parse_text(text, depth_max)


def parse_text(text: str, depth_max: int = DEPTH_MAX) -> Json:
    """`parse` for a text that is already decoded."""
    try:
        value = _DECODER.decode(text)
    except _Duplicate:
        raise Malformed(code="invalid_json", message="request body is not valid JSON: a member name is repeated") from None
    except RecursionError:
        raise Malformed([Problem((), "too-deep")], "invalid_json", "request body is nested too deeply") from None
    except ValueError as fault:
        where = f" at character {fault.pos}" if isinstance(fault, json.JSONDecodeError) else ""
        raise Malformed(code="invalid_json", message=f"request body is not valid JSON{where}") from None
    _check(value, text, depth_max)
    return value


def _check(value: Json, text: str, depth_max: int) -> None:
    """Refuse deep nesting and unpaired surrogates; both only cost a walk when the text makes them possible."""
    if text.count("[") + text.count("{") > depth_max and depth(value) > depth_max:
        raise Malformed([Problem((), "too-deep")], "invalid_json", "request body is nested too deeply")
    if "\\u" in text and (place := surrogate(value)) is not None:
        raise Malformed([Problem(place, "invalid-unicode")], "invalid_json", "request body holds an unpaired surrogate")


def depth(value: Json) -> int:
    """How many lists and objects stand inside one another; a plain value is 0."""
    deepest, level = 0, [value]
    while level:
        level = [child for node in level if isinstance(node, (dict, list))
                 for child in ((node.values() if isinstance(node, dict) else node) or (None,))]
        deepest += 1 if level else 0
    return deepest


def surrogate(value: Json, place: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Where an unpaired surrogate stands, or None."""
    if isinstance(value, str):
        return place if not _encodable(value) else None
    if isinstance(value, dict):
        for name, child in value.items():
            if not _encodable(name):
                return place
            found = surrogate(child, (*place, name))
            if found is not None:
                return found
    if isinstance(value, list):
        for index, child in enumerate(value):
            found = surrogate(child, (*place, index))
            if found is not None:
                return found
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: object) -> object:
    """What stands for a record in JSON; the encoder asks only for what is no JSON value."""
    if hasattr(value, "__dataclass_fields__"):
        from .records import encode
        return encode(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _encoder(ascii_only: bool, sort: bool) -> Callable[[Json], str]:
    """A function that writes JSON without blanks.  The encoder in C is made once; the standard one makes it anew for every value."""
    made = json.JSONEncoder(separators=(",", ":"), ensure_ascii=ascii_only, sort_keys=sort, allow_nan=False, default=_plain)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return made.encode
    text = json.encoder.encode_basestring_ascii if ascii_only else json.encoder.encode_basestring
    pieces = make(None, made.default, text, None, ":", ",", sort, False, False)
    return lambda value: "".join(pieces(value, 0))


_compact = _encoder(False, False)
_sorted = _encoder(False, True)
_ascii = _encoder(True, False)


def compact(value: Json) -> bytes:
    """UTF-8 JSON without blanks, members in the order they were built."""
    return _compact(value).encode()


def compact_sorted(value: Json) -> bytes:
    """UTF-8 JSON without blanks, members sorted: App Mesh answers."""
    return _sorted(value).encode()


def ascii_text(value: Json) -> str:
    """ASCII JSON without blanks, for a database column or the mesh's answers."""
    return _ascii(value)


quoted: Callable[[str], str] = json.encoder.encode_basestring_ascii          # one text as JSON, quotes included


def spliced(members: Mapping[str, Json], texts: Mapping[str, str]) -> str:
    """The object `members` as ASCII JSON; a member that `texts` names is not written but goes in as that JSON text."""
    written = _ascii({name: value for name, value in members.items() if name not in texts})
    added = ",".join([f"{quoted(name)}:{text}" for name, text in texts.items()])
    return f"{written[:-1]}{',' if added and len(written) > 2 else ''}{added}}}"


def load(text: str) -> Json:
    """A value we wrote ourselves (a database column); no checks."""
    return json.loads(text)
