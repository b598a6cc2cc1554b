"""What a published delegation must be (`key-delegation.v1`).  Pure."""

from __future__ import annotations

from typing import Any

from ...base.errors import Refusal
from ...crypto import node_did
from .. import passports
from .. import shape as shapes
from ..passports import FUTURE_US, GRANT
from ..shape import Shape, Table, instant_us

ITEMS_MAX = 100

DELEGATION: Table = (
    ("schema", True, shapes.constant("key-delegation.v1")), ("delegation_id", True, shapes.matching(passports.DELEGATION_ID)),
    ("proxy_key", True, passports.bare_key), ("grants", True, passports.granted_words), ("max_chain_depth", True, shapes.count()),
    ("parent_delegation_id", False, shapes.matching(passports.DELEGATION_ID)), ("issued_at", True, shapes.instant),
                     ("expires_at", True, shapes.instant),
    ("issuer/participant_id", True, passports.participant), ("issuer/node_id", True, passports.node),
                     ("signature", True, shapes.signature),
    ("co_signatures", False, lambda value, shape: shapes.list_of(value, shape, 16, shapes.signature)))


def read(value: Any, shape: Shape) -> dict[str, Any]:
    """The delegation; `Malformed` with every problem when it is none."""
    shapes.check(value, DELEGATION, shape, "invalid-artifact")
    return dict(value)


def proof(delegation: dict[str, Any]) -> dict[str, Any]:
    """The compact form that is signed, and that passports carry."""
    return {"delegation_id": delegation["delegation_id"], "proxy_key": delegation["proxy_key"],
            "principal_key": delegation["issuer/participant_id"].removeprefix("participant:"), "grants": delegation["grants"],
            "expires_at": delegation["expires_at"], "principal_signature": delegation["signature"]["value"]}


def check(delegation: dict[str, Any], delegation_id: str, now_us: int, trusted: frozenset[str]) -> None:
    """The owner of the key has signed it, it holds now, and nothing can be delegated on."""
    if delegation["delegation_id"] != delegation_id:
        raise Refusal("delegation-mismatch")
    if delegation["max_chain_depth"] != 0 or "parent_delegation_id" in delegation:
        raise Refusal("delegation-chain")
    if trusted and delegation["issuer/participant_id"] not in trusted:
        raise Refusal("issuer-not-trusted")
    passports.check_proof(proof(delegation))
    if instant_us(delegation["expires_at"]) <= now_us:
        raise Refusal("expired")
    if instant_us(delegation["issued_at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")


def grants(delegation: dict[str, Any], capability: str) -> bool:
    """Whether the delegated key may sign for the capability."""
    granted = delegation["grants"].get(GRANT, ())
    return capability in granted or "*" in granted


def wanted_key(text: str) -> bool:
    """A `did:key:` with a key behind it."""
    return not list(passports.bare_key(text, Shape()))


def wanted_participant(text: str) -> bool:
    return text.startswith(node_did.PARTICIPANT) and not list(passports.participant(text, Shape()))
