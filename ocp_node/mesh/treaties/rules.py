"""Treaties: their terms in one form, who must sign them, and when they are in force (OCP 0.1 treaties); pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ...crypto.documents import treaty_terms
from ..notifications.rules import BODY_LENGTH_MAX, METADATA_BYTES_MAX, TITLE_LENGTH_MAX, bounded_metadata, tokens
from ..peers.peer import Peer
from ..times import instant
from ..values import boolean, members, pick, text

Members = dict[str, Any]

DRAFT, ACTIVE, SUSPENDED, EXPIRED, REVOKED = "draft", "active", "suspended", "expired", "revoked"
STATUSES = (DRAFT, ACTIVE, SUSPENDED, EXPIRED, REVOKED)
EXPORTS = ("restricted", "trusted_only", "portable", "sealed")
ID_LENGTH_MAX = 200
TYPE = "continuity"
RATIFICATION = "ratification"            # member of a shown treaty's metadata
# Free words of a document, with what stands there when nothing is given.
WORDS = {"custody_mode": "local_or_sanctuary", "revival_mode": "approval", "continuity_scope": "mission"}


class Signature(NamedTuple):
    """A party's signature under the terms."""
    peer_id: str                     # lower-case
    treaty_id: str                   # as that party writes it
    signature: str
    public_key: str                  # the pinned key that it was checked with
    signed_at: str


class Treaty(NamedTuple):
    """A treaty as it is stored."""
    id: str
    title: str
    summary: str
    treaty_type: str
    status: str
    parties: list[str]
    document: Members
    metadata: Members
    created_by_peer_id: str
    created_at: str
    updated_at: str
    expires_at: str
    ratified_at: str
    suspended_at: str
    wanted: bool
    signatures: list[Signature]


SHOWN = Treaty._fields[:-2]


# --- proposing

def normalised(given: Mapping[str, Any], treaty_type: str, parties: Sequence[str]) -> Members:
    """The document with every member of the protocol in its form; unknown members stay as they are."""
    export = text(given.get("artifact_export"), "document.artifact_export").lower()
    made: Members = {
        "treaty_type": treaty_type, "parties": list(parties),
        "allowed_execution_classes": tokens(pick(given, "allowed_execution_classes", "execution_classes"),
                                            "document.allowed_execution_classes"),
        "artifact_export": export if export in EXPORTS else EXPORTS[0],
        "witness_required": boolean(given.get("witness_required"), "document.witness_required", False),
        **{name: text(given.get(name), f"document.{name}").lower() or usual for name, usual in WORDS.items()},
        **{name: tokens(given.get(name), f"document.{name}") for name in ("habitat_allow", "habitat_deny")},
        "review_window": text(given.get("review_window"), "document.review_window"),
        "notes": text(given.get("notes"), "document.notes", BODY_LENGTH_MAX),
    }
    return {**made, **{name: value for name, value in given.items() if name not in made}}


def proposed(wanted: Mapping[str, Any], known: Treaty | None, new_id: str, node_id: str, now: str) -> Treaty:
    """The treaty that the operator wants; not in force yet if others have to sign it, see `settled`.

    Of a treaty that is known its id, creator, beginning and, while the terms are the same, signatures stay.
    """
    title = text(wanted.get("title"), "title", TITLE_LENGTH_MAX)
    if not title:
        raise Refusal("invalid_request", "treaty title is required")
    given = members(wanted.get("document"), "document")
    if len(jsontext.ascii_text(given)) > METADATA_BYTES_MAX:
        raise Refusal("invalid_request", f"document is larger than {METADATA_BYTES_MAX} bytes")
    treaty_type = text(wanted.get("treaty_type"), "treaty_type").lower() or TYPE
    parties = tokens(wanted.get("parties"), "parties") or tokens(pick(given, "parties", "party_ids"), "document.parties")
    status = _status(wanted.get("status"))
    metadata = {name: value for name, value in bounded_metadata(wanted.get("metadata")).items() if name != RATIFICATION}
    creator = text(wanted.get("created_by_peer_id"), "created_by_peer_id") or node_id
    made = Treaty(
        id=new_id, title=title, summary=text(wanted.get("summary"), "summary", BODY_LENGTH_MAX), treaty_type=treaty_type,
        status=status, parties=parties, document=normalised(given, treaty_type, parties), metadata=metadata,
        created_by_peer_id=creator, created_at=now, updated_at=now, expires_at=instant(wanted.get("expires_at"), "expires_at"),
        ratified_at="", suspended_at=now if status == SUSPENDED else "", wanted=status == ACTIVE, signatures=[])
    return made if known is None else _after(known, made)


def _after(known: Treaty, made: Treaty) -> Treaty:
    """The proposal as a change of the treaty that is known."""
    paused = made.suspended_at if known.status != SUSPENDED else ""
    made = made._replace(id=known.id, created_by_peer_id=known.created_by_peer_id, created_at=known.created_at,
                         suspended_at=paused or known.suspended_at)
    return made._replace(signatures=known.signatures) if terms_of(known) == terms_of(made) else made


def _status(word: object) -> str:
    found = text(word, "status").lower()
    return found if found in STATUSES else DRAFT if found else ACTIVE


def terms_of(treaty: Treaty) -> Members:
    """The six members that parties sign."""
    return treaty_terms(treaty._asdict())


# --- signing

def admitted(peer: Peer) -> bool:
    """Did the operator let this peer in?  A name alone, which any stranger may take, is no party of a treaty."""
    by_name = peer.trust_tier == "public" and peer.metadata.get("admitted")
    return peer.status != "pending" and bool(by_name or peer.trust_tier in ("trusted", "partner", "market"))


def required(treaty: Treaty, node_id: str) -> list[str]:
    """Whose signatures the treaty needs: those of all parties but this node."""
    return [party for party in treaty.parties if party != node_id.lower()]


def signed(treaty: Treaty, node_id: str) -> list[str]:
    """Who of them has signed, in the order of the parties."""
    there = {each.peer_id for each in treaty.signatures}
    return [party for party in required(treaty, node_id) if party in there]


def settled(treaty: Treaty, node_id: str, now: str) -> Treaty:
    """A treaty that the operator wants in force: active when everybody has signed, else a draft."""
    if not treaty.wanted:
        return treaty
    complete = signed(treaty, node_id) == required(treaty, node_id)
    return treaty._replace(status=ACTIVE if complete else DRAFT, ratified_at=now if complete else "")


def offered(value: object) -> list[tuple[str, str]]:
    """The signatures that a proposal brings: whose they are, and what they are."""
    if not value:
        return []
    if not isinstance(value, list) or len(value) > 256:
        raise Refusal("invalid_request", "signatures must be an array")
    found = [members(each, f"signatures[{place}]") for place, each in enumerate(value)]
    return [(text(each.get("peer_id"), "signatures.peer_id").lower(), text(each.get("signature"), "signatures.signature"))
            for each in found]


def invalid() -> Refusal:
    """A signature does not hold."""
    return Refusal("bad_signature", "treaty signature is invalid")


def sent_terms(body: Mapping[str, Any], treaty_id: str) -> tuple[Members, str]:
    """The terms that a party sends, which are those of the treaty of that id, and its signature under them."""
    treaty = members(body.get("treaty"), "treaty")
    if not treaty:
        raise Refusal("invalid_request", "treaty is required")
    terms = treaty_terms(treaty)
    if text(terms["id"], "treaty.id").lower() != treaty_id.lower():
        raise Refusal("invalid_request", "treaty.id is not the id in the path")
    return terms, text(body.get("signature"), "signature")


def accepted(treaty: Treaty, terms: Mapping[str, Any], signature: Signature, node_id: str, now: str) -> tuple[Treaty, bool]:
    """The treaty with a signature that holds under these terms, and whether it is new.  `Refusal` when it has no place there."""
    if signature.peer_id not in required(treaty, node_id):
        raise Refusal("policy_denied", "peer is not a party of this treaty")
    if not treaty.wanted:
        raise Refusal("invalid_state", "treaty is not open for signatures")
    if {**terms, "id": str(terms["id"]).lower()} != {**terms_of(treaty), "id": treaty.id.lower()}:
        raise Refusal("conflict", "treaty terms differ")
    if any(each.peer_id == signature.peer_id for each in treaty.signatures):
        return treaty, False
    return settled(treaty._replace(signatures=[*treaty.signatures, signature], updated_at=now), node_id, now), True


# --- being in force

def due(treaty: Treaty, now: str) -> bool:
    """Has the treaty's time run out, though nobody wrote it down yet?"""
    return treaty.status == ACTIVE and "" < treaty.expires_at < now


def as_of(treaty: Treaty, now: str) -> Treaty:
    """The treaty as it is now, whether or not the clock's change has been written down."""
    return treaty._replace(status=EXPIRED) if due(treaty, now) else treaty


def unique_ids(required_ids: Iterable[str]) -> list[str]:
    """Each id once; ids compare without case."""
    found: dict[str, str] = {}
    for each in required_ids:
        if each.strip():
            found.setdefault(each.strip().lower(), each.strip())
    return list(found.values())


def validation(required_ids: Sequence[str], found: Mapping[str, Treaty], operation: str, node_id: str) -> Members:
    """Whether all required treaties are in force; `found` are those that exist, as they are now, by lower-case id."""
    matched = [(each, found[each.lower()]) for each in required_ids if each.lower() in found]
    missing = [each for each in required_ids if each.lower() not in found]
    inactive = [each for each, treaty in matched if treaty.status != ACTIVE]
    return {"satisfied": not missing and not inactive, "operation": operation, "required": list(required_ids),
            "matched": [treaty_json(treaty, node_id) for _, treaty in matched], "missing": missing, "inactive": inactive}


def guidance(found: Mapping[str, Any]) -> str:
    """What an operator should do about a validation."""
    if found["satisfied"]:
        return "Treaty requirements are satisfied for this operation."
    if found["missing"]:
        return "One or more required treaties are missing and need to be proposed or synced."
    return "One or more required treaties are present but not active."


# --- showing

def filter_status(word: str) -> str:
    """The status that a list is narrowed to, "" for all; an unknown word counts as draft."""
    found = word.strip().lower()
    return found if found in STATUSES or not found else DRAFT


def treaty_json(treaty: Treaty, node_id: str) -> Members:
    """The treaty as it is shown; one that others have to sign says who has."""
    shown = {name: getattr(treaty, name) for name in SHOWN}
    others = required(treaty, node_id)
    if others and (treaty.wanted or treaty.signatures):
        marks = [each._asdict() for each in treaty.signatures]
        ratification = {"required": others, "signed": signed(treaty, node_id), "signatures": marks}
        shown["metadata"] = {**treaty.metadata, RATIFICATION: ratification}
    return shown


def brief(treaty: Treaty) -> Members:
    """The treaty in short."""
    return {name: getattr(treaty, name) for name in ("id", "title", "status", "treaty_type", "updated_at")}
