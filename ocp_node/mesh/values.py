"""Members of loosely typed bodies, read as the protocol takes them (OCP 0.1 values).

An absent member, null, and an empty one of any kind count as not given.  What is given must be of the kind that is wanted:
otherwise `Refusal("invalid_request", "<field> must be …")`, never an interpreter's own words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..base.errors import Refusal

TRUE_WORDS = frozenset({"1", "true", "yes", "on", "enabled"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", "disabled", ""})
WORDS_MAX = 256
WORD_LENGTH_MAX = 200
INTEGER_MAX = 2**53


def wrong(field: str, kind: str) -> Refusal:
    """The refusal of a member of the wrong kind."""
    return Refusal("invalid_request", f"{field} must be {kind}")


def truthy(value: object) -> bool:
    """The protocol's truthy words: true, numbers that are not 0, `1 true yes on enabled`; everything else is false."""
    if isinstance(value, str):
        return value.strip().lower() in TRUE_WORDS
    return bool(value) if isinstance(value, (bool, int, float)) else False


def boolean(value: object, field: str, default: bool) -> bool:
    """A boolean, 0 or 1, or a word for one."""
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    if type(value) is int and value in (0, 1):
        return bool(value)
    word = value.strip().lower() if isinstance(value, str) else None
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return default if word == "" else False
    raise wrong(field, "a boolean")


def integer(value: object, field: str, default: int = 0) -> int:
    """An integer; a text that spells one, a boolean and a number with a fraction (cut off) are taken too."""
    if value is None or value == "":
        return default
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text[:1] in "+-" else text
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
            raise wrong(field, "an integer")
        value = int(text)
    if not isinstance(value, (bool, int, float)) or not math.isfinite(value) or abs(value) > INTEGER_MAX:
        raise wrong(field, "an integer")
    return int(value)


def first_integer(*given: tuple[object, str], default: int) -> int:
    """The first of these that is given and not 0."""
    for value, field in given:
        found = integer(value, field)
        if found:
            return found
    return default


def text(value: object, field: str, length_max: int = WORD_LENGTH_MAX) -> str:
    """A text, trimmed."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise wrong(field, "a string")
    value = value.strip()
    if len(value) > length_max:
        raise wrong(field, f"at most {length_max} characters")
    if "\0" in value:
        raise Refusal("invalid_request", f"{field} must not have the character U+0000")
    return value


def members(value: object, field: str) -> dict[str, Any]:
    """An object."""
    if isinstance(value, dict):
        return value
    if value is None or value in (False, 0, "", []):
        return {}
    raise wrong(field, "an object")


def words(value: object, field: str, count_max: int = WORDS_MAX, length_max: int = WORD_LENGTH_MAX) -> list[str]:
    """A list of texts, each trimmed, empty ones dropped."""
    if value is None or value == "" or value is False:
        return []
    if not isinstance(value, list):
        raise wrong(field, "an array")
    if len(value) > count_max:
        raise wrong(field, f"an array of at most {count_max} entries")
    found = [text(word, f"{field}[{place}]", length_max) for place, word in enumerate(value)]
    return [word for word in found if word]


def objects(value: object, field: str, count_max: int = WORDS_MAX) -> list[dict[str, Any]]:
    """A list of objects."""
    if not value:
        return []
    if not isinstance(value, list):
        raise wrong(field, "an array")
    if len(value) > count_max:
        raise wrong(field, f"an array of at most {count_max} entries")
    return [members(item, f"{field}[{place}]") for place, item in enumerate(value)]


def first(*candidates: Any) -> Any:
    """The first candidate that is given at all."""
    return next((value for value in candidates if value not in (None, "", {}, [])), None)


def unique(found: Iterable[str]) -> list[str]:
    """Each once, in the order they came."""
    return list(dict.fromkeys(found))


def pick(document: Mapping[str, Any], *names: str) -> Any:
    """The first of these members that is given at all."""
    return first(*(document.get(name) for name in names))


# --- what others say, and what was kept of it: of another kind it is nothing, and nobody is refused for it

def as_object(value: object) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def as_count(value: object) -> int:
    """The count, from 0 to what 31 bits hold, or 0."""
    return value if type(value) is int and 0 <= value < 2**31 else 0
