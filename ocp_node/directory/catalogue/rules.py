"""What the catalogue decides: which registration counts, which offers a reader asked for.  Pure."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ...base.errors import Refusal
from .. import passports
from .. import shape as shapes
from ..rules import query_members
from ..shape import Found, Shape, Table

ITEMS_MAX = 100
_LIMIT = re.compile(r"[0-9]+\Z")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _endorsement(value: Any, shape: Shape) -> Found:
    return shapes.object_any(value, shape)


REGISTRATION: Table = (
    ("advertisement", True, passports.capability_advertisement), ("sequence/no", True, shapes.count(1)),
    ("passport", True, passports.passport), ("endorsement", False, shapes.nullable(_endorsement)))


class Submitted(NamedTuple):
    """A registration whose papers are in order."""
    node_id: str
    capability_id: str
    wire_name: str
    sequence_no: int
    passport: dict[str, Any]
    content_digest: str         # of passport and advertisement
    advertised_us: int
    expires_us: int


class Registered(NamedTuple):
    """What is stored of a node's capability."""
    sequence_no: int
    passport_id: str
    content_digest: str
    advertised_us: int
    expires_us: int
    stored_us: int


def judge(submitted: Submitted, known: Registered | None) -> str:
    """`create`, `replace` or `same`.  Refusal `stale-sequence` otherwise.

    The number is not signed, so it must not be all that counts: the very papers that are stored already change nothing,
    whatever higher number somebody gives them, and an older word of the node never replaces a newer one.
    """
    if known is None:
        return "create"
    if submitted.sequence_no >= known.sequence_no and submitted.content_digest == known.content_digest:
        return "same"
    if submitted.sequence_no == known.sequence_no and submitted.passport["passport_id"] == known.passport_id:
        return "same"
    if submitted.sequence_no <= known.sequence_no or submitted.advertised_us < known.advertised_us:
        raise Refusal("stale-sequence", detail={"node_id": submitted.node_id, "capability_id": submitted.capability_id,
                                                "current/sequence-no": known.sequence_no,
                                                "submitted/sequence-no": submitted.sequence_no})
    return "replace"


class Query(NamedTuple):
    """What a reader looks for; "" and None mean anything."""
    capability: str = ""
    since: str = ""
    limit: int = ITEMS_MAX
    anchor: str = ""
    formal: bool = True
    sovereign_formal: bool = True
    sovereign_informal: bool = False
    official: bool | None = None
    node_id: str = ""
    issuer: str = ""
    endorsement: str = ""
    passport_profile: str = ""


def query(text: str) -> Query:
    """The parameters of `GET /cap`.  Refusal `invalid-limit`, `invalid-cursor` or `invalid-query`."""
    members = query_members(text)
    for name, values in members.items():
        if len(values) > 1 and name in _KNOWN:
            raise Refusal({"limit": "invalid-limit", "since": "invalid-cursor"}.get(name, "invalid-query"))
    one = {name: values[0] for name, values in members.items()}
    limit = one.get("limit", str(ITEMS_MAX))
    if not _LIMIT.match(limit) or not limit.strip("0"):
        raise Refusal("invalid-limit")
    both = _switch(one, "include_sovereign", None)
    return Query(
        capability=one.get("capability", ""), since=one.get("since", ""), limit=min(int(limit.lstrip("0")[:9]), ITEMS_MAX),
                 anchor=one.get("anchor", ""),
        formal=bool(_switch(one, "include_formal", True)),
        sovereign_formal=bool(_switch(one, "include_sovereign_formal", True if both is None else both)),
        sovereign_informal=bool(_switch(one, "include_sovereign_informal", False if both is None else both)),
                 official=_switch(one, "official", None),
        node_id=one.get("node_id", ""), issuer=one.get("issuer", ""), endorsement=one.get("endorsement", ""),
        passport_profile=one.get("passport_profile", ""))


_KNOWN = frozenset({"capability", "since", "limit", "anchor", "include_formal", "include_sovereign_formal",
                    "include_sovereign_informal",
                    "include_sovereign", "official", "node_id", "issuer", "endorsement", "passport_profile", "attest"})


def _switch(one: dict[str, str], name: str, default: bool | None) -> bool | None:
    word = one.get(name, "").lower()
    if not word:
        return default
    if word not in _TRUE and word not in _FALSE:
        raise Refusal("invalid-query")
    return word in _TRUE


def wanted_kind(wanted: Query, anchor: str, informal: bool) -> bool:
    """Formal names, sovereign names and informal ones are asked for apart."""
    if not anchor and not informal:
        return wanted.formal
    return wanted.sovereign_informal if informal else wanted.sovereign_formal


def profiles(passport: dict[str, Any]) -> list[str]:
    """The scope profiles that a passport names."""
    return [profile["profile"] for profile in passport["scope"].get("profiles", ())]
