"""What the directory decides: what is admitted, what is newer, what is still shown, what a cursor means.  Pure."""

from __future__ import annotations

import re
from math import ceil
from typing import Any
from urllib.parse import unquote_to_bytes

from ..base.errors import Refusal
from .artifact import Advertisement
from .shape import MICROSECONDS, Shape

RETENTION_US = 72 * 3600 * MICROSECONDS       # an artifact that is no longer served, and a node's highest number
FRESH_SECONDS_MAX = 30                        # a reader may keep an artifact so long without asking again
CLOCK_BACK_US = 60 * MICROSECONDS             # behind what was stored last: somebody set the clock back
CLOCK_JUMP_SECONDS = 60.0                     # the wall clock and the steady one disagree: somebody set it
CLOCK_SETTLED_SECONDS = 3600.0                # and for so long nothing is forgotten by it
HIGHWATERS_PER_NODE = 16                      # numbers of nodes that are gone, for each node that may be there
MIRROR_SHARE = 0.9                            # of the directory's room; the rest is for nodes that come themselves
WAIT_SECONDS_MAX = 300.0


class Policy:
    """Every number and switch of the directory that its operator sets; 0 = no bound."""

    __slots__ = ("body_bytes", "shape", "source_writes", "publisher_writes", "new_nodes", "source_reads", "nodes", "page_items",
                 "page_bytes", "future_us", "hold_us", "blocked", "federations", "equal_identical", "unknown_cursor")

    def __init__(self, settings: Any) -> None:
        self.body_bytes: int = settings.directory_max_body_bytes
        self.shape = Shape(settings.directory_max_depth, settings.directory_max_endpoints, settings.directory_max_url_length,
                           settings.directory_max_id_length)
        self.source_writes = (settings.directory_source_writes_burst, settings.directory_source_writes_per_second)
        self.publisher_writes = (settings.directory_publisher_writes_burst, settings.directory_publisher_writes_per_second)
        self.new_nodes = (settings.directory_new_nodes_burst, settings.directory_new_nodes_per_second)
        self.source_reads = (settings.directory_source_reads_burst, settings.directory_source_reads_per_second)
        self.nodes: int = settings.directory_max_nodes
        self.page_items: int = settings.directory_page_items
        self.page_bytes: int = settings.directory_page_bytes
        self.future_us = int(settings.directory_future_seconds * MICROSECONDS)
        self.hold_us = int(settings.directory_hold_seconds * MICROSECONDS)
        self.blocked = frozenset(settings.directory_blocked_nodes)
        self.federations = frozenset(settings.directory_federations)
        self.equal_identical: str = settings.directory_equal_identical
        self.unknown_cursor: str = settings.directory_unknown_cursor

    def shown(self) -> dict[str, object]:
        """The limits as publishers and readers may see them."""
        return {"max-body-bytes": self.body_bytes, "max-nodes": self.nodes, "page-items": self.page_items,
                "page-bytes": self.page_bytes,
                "future-seconds": self.future_us // MICROSECONDS, "hold-seconds": self.hold_us // MICROSECONDS,
                "publisher-writes": list(self.publisher_writes), "source-writes": list(self.source_writes),
                "new-nodes": list(self.new_nodes), "source-reads": list(self.source_reads),
                "equal-identical": self.equal_identical, "unknown-cursor": self.unknown_cursor}


# --- admission --------------------------------------------------------------------------------------------------------

def named(submitted: Advertisement, node_id: str) -> None:
    """The path names the node that the artifact speaks for."""
    if submitted.node_id != node_id:
        raise Refusal("node-id-mismatch")


def admissible(submitted: Advertisement, now_us: int, policy: Policy) -> None:
    """The artifact, whose signature holds, is of the present, and local policy takes it.

    Signature first: a forgery learns nothing from us but that it is one.  The instant of expiry itself is expired.
    """
    if submitted.expires_us <= now_us:
        raise Refusal("expired")
    if policy.future_us and submitted.advertised_us > now_us + policy.future_us:
        raise Refusal("not-yet-valid")
    if submitted.node_id in policy.blocked or policy.federations and submitted.federation_id not in policy.federations:
        raise Refusal("policy-denied")


class Known:
    """What is kept of a node: the highest number ever accepted, and its artifact as long as there is one.

    `digest` is of the highest number's artifact, also when the artifact itself is no longer there.
    """

    __slots__ = ("sequence_no", "digest", "retain_until_us", "held_until_us", "stored_us", "expires_at")

    def __init__(self, sequence_no: int, digest: str, retain_until_us: int, held_until_us: int = 0, stored_us: int = 0) -> None:
        self.sequence_no = sequence_no
        self.digest = digest
        self.retain_until_us = retain_until_us
        self.held_until_us = held_until_us
        self.stored_us = stored_us

    def live(self, now_us: int) -> bool:
        return now_us < self.held_until_us


def match(submitted: Advertisement, known: Known | None) -> str:
    """`newer`, `identical`, `different` or `older`.

    The number alone decides: an artifact that was refused once can never displace one that was accepted.
    """
    if known is None or submitted.sequence_no > known.sequence_no:
        return "newer"
    if submitted.sequence_no < known.sequence_no:
        return "older"
    return "identical" if submitted.digest == known.digest else "different"


def stale(submitted: Advertisement, known: Known, how: str, now_us: int) -> Refusal:
    """The refusal of a number that is not newer.  Its header tells a publisher whose answer was lost that its write is stored."""
    headers = [("Adv-Match", how)]
    if known.live(now_us):
        headers.append(("ETag", etag(known.digest)))
    return Refusal("stale-sequence", detail={"node/id": submitted.node_id, "current/sequence-no": known.sequence_no,
                                             "submitted/sequence-no": submitted.sequence_no}, headers=headers)


def held_until_us(expires_us: int, stored_us: int, policy: Policy) -> int:
    """Until when the directory serves an artifact: it may hold less long than the signer asked for, never longer."""
    return min(expires_us, stored_us + policy.hold_us) if policy.hold_us else expires_us


def retain_until_us(expires_us: int, stored_us: int, known: Known | None) -> int:
    """Until when the highest number is remembered: as long as any artifact accepted before could be replayed."""
    return max(expires_us, stored_us + RETENTION_US, known.retain_until_us if known else 0)


def etag(digest: str) -> str:
    return f'"{digest}"'


def max_age(until_us: int, now_us: int) -> int:
    """For how many seconds a reader may keep what it got."""
    return max(0, min(FRESH_SECONDS_MAX, (until_us - now_us) // MICROSECONDS))


def has(if_none_match: str, tag: str) -> bool:
    """The reader already has what `tag` names (RFC 9110 section 13.1.2; weak comparison)."""
    if not if_none_match:
        return False
    tags = [part.strip().removeprefix("W/") for part in if_none_match.split(",")]
    return tag in tags or "*" in tags


def whole_seconds(seconds: float) -> int:
    """For `Retry-After`: at least one."""
    return max(1, ceil(seconds))


# --- cursors ----------------------------------------------------------------------------------------------------------

_CURSOR = re.compile(r"cur:[A-Za-z0-9_-]{1,128}\Z")
_OURS = re.compile(r"cur:([0-9a-f]{16}(?:-[a-z]+)?)-([0-9a-f]{16})\Z")
_LIMIT = re.compile(r"[0-9]+\Z")
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?\Z")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def cursor_text(epoch: str, position: int) -> str:
    """`epoch` with a word behind it (`…-cap`) is that of another feed of the same directory."""
    return f"cur:{epoch}-{position:016x}"


def cursor_position(text: str, epoch: str, highest: int) -> int | None:
    """The position after which to go on, None for a well-formed cursor that is not ours (or of another life of this directory).

    Refusal `invalid-cursor` for what is no cursor at all.
    """
    if not text:
        return 0
    if not _CURSOR.match(text):
        raise Refusal("invalid-cursor")
    found = _OURS.match(text)
    if found is None or found[1] != epoch or int(found[2], 16) > highest:
        return None
    return int(found[2], 16)


class FeedQuery:
    """What a reader of the feed asks for."""

    __slots__ = ("since", "limit", "wait_seconds", "stream", "attest", "filter")

    def __init__(self) -> None:
        self.since = ""
        self.limit = 0                  # 0 = as many as a page holds
        self.wait_seconds = 0.0
        self.stream = False
        self.attest = ""
        self.filter: dict[str, str] = {}


def query_members(query: str) -> dict[str, list[str]]:
    """Every value of each query member, decoded once.  Refusal `invalid-query` for broken escapes and what is not UTF-8."""
    if _ESCAPE.search(query):
        raise Refusal("invalid-query")
    members: dict[str, list[str]] = {}
    for part in query.replace("+", " ").split("&") if query else ():
        name, _, value = part.partition("=")
        if "%" in part:
            try:
                name, value = unquote_to_bytes(name).decode("utf-8"), unquote_to_bytes(value).decode("utf-8")
            except UnicodeDecodeError:
                raise Refusal("invalid-query") from None
        members.setdefault(name, []).append(value)
    return members


def feed_query(query: str, items_max: int) -> FeedQuery:
    """The feed's parameters.  Unknown ones are ignored, as the protocol wants; known ones are never guessed at."""
    made, members = FeedQuery(), query_members(query)
    made.since = _single(members, "since", "invalid-cursor")
    limit = _single(members, "limit", "invalid-limit", None)
    if limit is not None:
        if not _LIMIT.match(limit) or not limit.strip("0"):
            raise Refusal("invalid-limit")
        made.limit = min(int(limit.lstrip("0")[:9]), items_max)
    wait = _single(members, "wait", "invalid-query")
    if wait and not _SECONDS.match(wait):
        raise Refusal("invalid-query")
    made.wait_seconds = min(float(wait or 0), WAIT_SECONDS_MAX)
    made.stream = _single(members, "stream", "invalid-query") in ("1", "true", "yes")
    made.attest = _single(members, "attest", "invalid-query")
    made.filter = {name: values[0] for name, values in members.items() if name and name != "attest"}
    return made


def _single(members: dict[str, list[str]], name: str, reason: str, default: Any = "") -> Any:
    values = members.get(name)
    if values is None:
        return default
    if len(values) > 1:
        raise Refusal(reason)
    return values[0]


# --- the clock --------------------------------------------------------------------------------------------------------

class ClockWatch:
    """Whether the wall clock can be trusted to forget by: it must have run like the steady one for an hour.

    A clock that somebody set forward would otherwise sweep away the numbers that keep old artifacts from being replayed.
    """

    __slots__ = ("_wall", "_steady", "_since")

    def __init__(self, wall: float, steady: float) -> None:
        self._wall, self._steady, self._since = wall, steady, steady

    def settled(self, wall: float, steady: float) -> bool:
        if abs((wall - self._wall) - (steady - self._steady)) > CLOCK_JUMP_SECONDS:
            self._since = steady
        self._wall, self._steady = wall, steady
        return steady - self._since >= CLOCK_SETTLED_SECONDS
