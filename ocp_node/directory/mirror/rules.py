"""Reading another directory's feed: what a page must be, when to come back.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...base.errors import Malformed
from .. import artifact

ITEMS_MAX = 1_000                 # of one page; the protocol's own directories give 100
PAGE_BYTES_MAX = 8 << 20          # a page of artifacts is 1 MiB, or a single larger artifact
PAGES_PER_STEP = 100              # then it is the turn of others; a feed that never ends brings nothing new for long
CURSOR_LENGTH_MAX = 132
BACK_OFF_SECONDS = 5.0            # after the first failure; doubled for each further one
BACK_OFF_SECONDS_MAX = 900.0
RETRY_AFTER_SECONDS_MAX = 3600.0
RESCAN_SECONDS = 3600.0           # what was refused for a reason that passes is looked at again
JITTER = 0.1

# An artifact refused for one of these may be welcome later; every other refusal is for good.
PASSING = frozenset({"not-yet-valid", "directory-full"})
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


class BadPage(Exception):
    """What came is no page of a feed."""


class Batch:
    """One page as it came: nothing in it is trusted yet."""

    __slots__ = ("items", "next")

    def __init__(self, items: list[Any], next_cursor: str) -> None:
        self.items = items
        self.next = next_cursor


def batch(raw: bytes) -> Batch:
    """The page in these bytes; `BadPage` when they are none."""
    try:
        document = artifact.parse(raw)
    except Malformed:
        raise BadPage("the answer is no strict JSON object") from None
    items, cursor = document.get("items"), document.get("next")
    if type(items) is not list or len(items) > ITEMS_MAX:
        raise BadPage("the answer holds no list of items, or too long a one")
    return Batch(items, cursor_of(cursor))


def cursor_of(value: Any) -> str:
    """A cursor to go on from; `BadPage` for what could not be sent back."""
    if type(value) is not str or not 0 < len(value) <= CURSOR_LENGTH_MAX or not re.fullmatch(r"[!-~]+", value):
        raise BadPage("the answer names no next cursor")
    return value


def pause_seconds(every: float, chance: float) -> float:
    """Until the next look: `every` seconds, spread so that many readers do not come at once."""
    return every * (1 - JITTER + 2 * JITTER * chance)


def back_off_seconds(failures: int, headers: Mapping[str, str], chance: float) -> float:
    """Until the next attempt after so many failures in a row; never sooner than a busy directory asked for."""
    wait = min(BACK_OFF_SECONDS * 2 ** min(failures - 1, 20), BACK_OFF_SECONDS_MAX) * (0.5 + chance / 2)
    asked = headers.get("retry-after", "")
    return max(wait, min(float(asked), RETRY_AFTER_SECONDS_MAX)) if _SECONDS.match(asked) else wait
