"""What a revocation must be, and who may revoke.  Pure."""

from __future__ import annotations

from typing import Any

from ...base.errors import Malformed, Problem, Refusal
from ...crypto import node_did
from .. import passports
from .. import shape as shapes
from ..passports import FUTURE_US
from ..shape import Shape, Table

PASSPORTS, ENDORSEMENTS = "capability-passport", "federation-service-endorsement"
ITEMS_MAX = 100

REVOCATION: Table = (
    ("schema", True, shapes.constant("capability-passport-revocation.v1")),
                     ("revocation_id", True, shapes.matching(r"passport-revocation:[!-~]*")),
    ("passport_id", False, shapes.matching(passports.PASSPORT_ID)), ("target_id", False,
                                                                     shapes.matching(passports.DELEGATION_ID)),
    ("node_id", True, passports.node), ("capability_id", True, shapes.matching(r"[a-z0-9-]+")),
                     ("revoked_at", True, shapes.instant),
    ("signed_by", True, shapes.one_of("issuer", "subject")), ("issuer/participant_id", False, passports.participant),
                     ("reason", False, shapes.text),
    ("issuer_delegation", False, lambda value, shape: shapes.object_of(value, shape, passports.PROOF, closed=True)),
    ("policy_annotations", False, shapes.object_any), ("signature", True, shapes.signature))


def read(value: Any, shape: Shape) -> dict[str, Any]:
    """The revocation; `Malformed` with every problem when it is none.

    Exactly one thing is revoked; the issuer names itself, the subject needs not and must not.
    """
    shapes.check(value, REVOCATION, shape, "invalid-artifact")
    problems = []
    if ("passport_id" in value) == ("target_id" in value):
        problems.append(Problem(("target_id" if "passport_id" in value else "passport_id",), "one-of"))
    if value["signed_by"] == "issuer" and "issuer/participant_id" not in value:
        problems.append(Problem(("issuer/participant_id",), "required"))
    if value["signed_by"] == "subject":
        problems += [Problem((name,), "unknown") for name in ("issuer/participant_id", "issuer_delegation") if name in value]
    if problems:
        raise Malformed(problems, "invalid-artifact")
    return dict(value)


def target(revocation: dict[str, Any]) -> str:
    return str(revocation.get("passport_id") or revocation["target_id"])


def issuer(revocation: dict[str, Any]) -> str:
    """Who revokes: a participant, or "" for the subject node itself."""
    return str(revocation.get("issuer/participant_id", ""))


def check(revocation: dict[str, Any], now_us: int, trusted: frozenset[str]) -> None:
    """The revocation is signed by whom it names, is not of the future, and its issuer is trusted here."""
    if shapes.instant_us(revocation["revoked_at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")
    if revocation["signed_by"] == "subject":
        if "target_id" in revocation:         # a delegation is a matter between keys, not of the node
            raise Refusal("issuer-mismatch")
        passports.check_json_signature(node_did.public_key(revocation["node_id"]), revocation)
        return
    if trusted and revocation["issuer/participant_id"] not in trusted:
        raise Refusal("issuer-not-trusted")
    passports.check_json_signature(passports.issuer_key(revocation, now_us), revocation)
