"""One byte string for one value: what signatures and digests are made over.

Three forms, each fixed by its protocol: `mesh` (OCP 0.1 envelopes), `jcs` (RFC 8785, directory passports and digests)
and `cbor` (RFC 8949 section 4.2.1, directory advertisements).  Values are what `base.jsontext` parses: a number
written with a point or exponent is a float and stays one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Collection
from math import isfinite
from typing import Any

from ..base.digest import sha256
from ..base.errors import Malformed, Problem

Place = tuple["str | int", ...]

INTEGER_EXACT_MAX = 2**53 - 1       # RFC 8785: beyond it two readers may disagree about the number
CBOR_INTEGER_MAX = 2**64 - 1
CBOR_INTEGER_MIN = -2**64

_mesh: Callable[[object], str] = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def mesh(value: object) -> bytes:
    """OCP 0.1 canonical JSON: ASCII, no blanks, members in code point order, floats in shortest form.

    ValueError for NaN and infinities, which the protocol's parser never lets in.
    """
    return _mesh(value).encode("ascii")


def jcs(value: object, *, nfc: bool = False) -> bytes:
    """RFC 8785: UTF-8, no blanks, members in UTF-16 order, numbers as ECMAScript prints them.

    With `nfc` every text is Unicode-normalised first (query attestations).  `Malformed` for an integer beyond 2**53 - 1,
    an infinite number, an unpaired surrogate, and names that become equal when normalised.
    """
    text = _nfc if nfc else _unchanged
    return "".join(_jcs(value, text, ())).encode()


def cbor(value: object) -> bytes:
    """Deterministic CBOR: shortest heads and floats, definite lengths, members in the order of their encoded names.

    `Malformed` for an integer outside -2**64 .. 2**64 - 1, a NaN or infinity, and an unpaired surrogate.
    """
    out = bytearray()
    try:
        _cbor(value, out)
    except _Unencodable as fault:
        raise _wrong(tuple(reversed(fault.steps)), fault.code) from None
    return bytes(out)


def cbor_members(value: dict[str, Any]) -> dict[str, bytes]:
    """Each member of an object with its encoded pair, in the order of deterministic CBOR.

    For who needs the bytes of an object with and without some of its members (`cbor_joined`): each is encoded once.
    """
    pairs: dict[str, bytes] = {}
    for encoded, name in sorted((cbor(name), name) for name in value):
        out = bytearray(encoded)
        try:
            _cbor(value[name], out)
        except _Unencodable as fault:
            raise _wrong((name, *reversed(fault.steps)), fault.code) from None
        pairs[name] = bytes(out)
    return pairs


def cbor_joined(pairs: Collection[bytes]) -> bytes:
    """The object whose encoded pairs these are, already in order."""
    return _head(0xA0, len(pairs)) + b"".join(pairs)


def sha256_text(raw: bytes) -> str:
    """The directory's digest form: `sha256:` and base64url without padding."""

    from . import base64url
    return "sha256:" + base64url.encode(sha256(raw).digest())


def _wrong(place: Place, code: str) -> Malformed:
    return Malformed([Problem(place, code)])


def _unchanged(text: str) -> str:
    return text


def _nfc(text: str) -> str:
    import unicodedata
    return unicodedata.normalize("NFC", text)


_quoted: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False).encode
_WORDS = {None: "null", True: "true", False: "false"}


def _jcs(value: object, text: Callable[[str], str], place: Place) -> list[str]:
    if isinstance(value, str):
        return [_jcs_text(value, text, place)]
    if value is None or isinstance(value, bool):
        return [_WORDS[value]]
    if isinstance(value, (int, float)):
        return [_jcs_number(value, place)]
    if isinstance(value, (list, tuple)):
        parts = ["["]
        for index, item in enumerate(value):
            parts += ["," if index else "", *_jcs(item, text, (*place, index))]
        return [*parts, "]"]
    return _jcs_object(value, text, place)


def _jcs_object(value: Any, text: Callable[[str], str], place: Place) -> list[str]:
    named = {text(name): name for name in value}
    if len(named) != len(value):
        raise _wrong(place, "duplicate")
    parts = ["{"]
    for name in sorted(named, key=lambda name: name.encode("utf-16-be", "surrogatepass")):
        below = (*place, named[name])
        parts += ["," if len(parts) > 1 else "", _jcs_text(name, _unchanged, below), ":", *_jcs(value[named[name]], text, below)]
    return [*parts, "}"]


def _jcs_text(value: str, text: Callable[[str], str], place: Place) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong(place, "invalid-unicode") from None
    return _quoted(text(value))


def _jcs_number(value: int | float, place: Place) -> str:
    """ECMA-262 Number::toString, from Python's digits, which are the same shortest ones."""
    if isinstance(value, int):
        if abs(value) > INTEGER_EXACT_MAX:
            raise _wrong(place, "integer-range")
        return str(value)
    if not isfinite(value):
        raise _wrong(place, "number-range")
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))      # where the point stands in `digits`
    digits = digits.rstrip("0")
    return ("-" if value < 0 else "") + _ecmascript(digits, point)


def _ecmascript(digits: str, point: int) -> str:
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = f"e{point - 1:+d}"
    return digits[0] + ("." + digits[1:] if digits[1:] else "") + power


class _Unencodable(Exception):
    """A value CBOR or UTF-8 has no bytes for; the way to it is added, innermost first, while it is raised."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        self.steps: list[str | int] = []


_pack_1, _pack_2, _pack_4, _pack_8 = (struct.Struct(form).pack for form in (">BB", ">BH", ">BI", ">BQ"))
_FLOATS = tuple((initial, struct.Struct(form)) for initial, form in ((b"\xf9", ">e"), (b"\xfa", ">f"), (b"\xfb", ">d")))


_INITIALS = tuple(bytes((initial,)) for initial in range(256))


def _head(major: int, count: int) -> bytes:
    """The initial byte with its argument in the fewest bytes; `major` is already shifted."""
    if count < 24:
        return _INITIALS[major | count]
    if count < 0x100:
        return _pack_1(major | 24, count)
    if count < 0x10000:
        return _pack_2(major | 25, count)
    if count < 0x100000000:
        return _pack_4(major | 26, count)
    return _pack_8(major | 27, count)


def _cbor(value: Any, out: bytearray) -> None:
    kind = type(value)
    if kind is str:
        out += _cbor_text(value)
    elif kind is int:
        out += _cbor_integer(value)
    elif kind is dict:
        _cbor_map(value, out)
    elif kind is list or kind is tuple:
        _cbor_array(value, out)
    elif kind is bool:
        out += b"\xf5" if value else b"\xf4"
    elif value is None:
        out += b"\xf6"
    elif kind is float:
        out += _cbor_float(value)
    else:
        raise TypeError(f"{kind.__name__} is not a JSON value")


def _cbor_array(value: Any, out: bytearray) -> None:
    out += _head(0x80, len(value))
    index = 0
    try:
        for item in value:
            _cbor(item, out)
            index += 1
    except _Unencodable as fault:
        fault.steps.append(index)
        raise


def _cbor_map(value: dict[str, Any], out: bytearray) -> None:
    """Comparing encoded names puts shorter names first, because the length stands in the head."""
    out += _head(0xA0, len(value))
    step: str | None = None
    try:
        for encoded, step in sorted([(_cbor_text(name), name) for name in value]):
            out += encoded
            _cbor(value[step], out)
    except _Unencodable as fault:
        if step is not None:                    # None: it is a name, and a place cannot be said without it
            fault.steps.append(step)
        raise


def _cbor_text(value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise _Unencodable("invalid-unicode") from None
    count = len(raw)
    return (_INITIALS[0x60 | count] if count < 24 else _head(0x60, count)) + raw      # most names are short


def _cbor_integer(value: int) -> bytes:
    if not CBOR_INTEGER_MIN <= value <= CBOR_INTEGER_MAX:
        raise _Unencodable("integer-range")
    return _head(0x00, value) if value >= 0 else _head(0x20, -1 - value)


def _cbor_float(value: float) -> bytes:
    if not isfinite(value):
        raise _Unencodable("number-range")
    for initial, form in _FLOATS:
        try:
            raw = form.pack(value)
        except OverflowError:                   # too large for this width
            continue
        if form.unpack(raw)[0] == value:
            return initial + raw
    raise AssertionError("a double keeps every finite float")
