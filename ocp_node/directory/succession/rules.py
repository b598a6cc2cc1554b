"""What a succession must be (`node-succession.v1`): both keys say the same.  Pure.

The protocol does not publish what stands before the signed JSON; here it is, as for its other artifacts, the schema's name
and a zero byte.
"""

from __future__ import annotations

from typing import Any

from ...base.errors import Malformed, Problem, Refusal
from ...crypto import node_did
from .. import passports
from .. import shape as shapes
from ..passports import FUTURE_US
from ..shape import Found, Shape, Table, instant_us

DOMAIN, PROOFS = node_did.SUCCESSION, node_did.SUCCESSION_PROOFS
STATES = ("imported", "accepted")


def _proof(value: Any, shape: Shape) -> Found:
    return shapes.object_of(value, shape, (("alg", True, shapes.constant("ed25519")),
                                           ("value", True, shapes.matching(r"[A-Za-z0-9_-]+"))), closed=True)


SUCCESSION: Table = (
    ("schema", True, shapes.constant(DOMAIN)), ("schema/v", True, shapes.constant(1)),
    ("succession/id", True, shapes.matching(r"node-succession:sha256:[A-Za-z0-9_-]+")), ("old/node-id", True, passports.node),
    ("old/key-public", True, shapes.key_form), ("new/node-id", True, passports.node), ("new/key-public", True, shapes.key_form),
    ("succession/mode", True, shapes.one_of("planned-rotation", "emergency-rotation", "operator-rekey")),
                     ("issued-at", True, shapes.instant),
    ("expires-at", True, shapes.instant), ("reason/ref", False, shapes.text), ("revocation/ref", False, shapes.text),
                     ("proof/old", True, _proof),
    ("proof/new", True, _proof))


def read(value: Any, shape: Shape) -> dict[str, Any]:
    """The statement, with no member that its schema does not name; `Malformed` otherwise."""
    shapes.check(value, SUCCESSION, shape, "invalid-artifact")
    problems = [Problem((name,), "unknown") for name in value.keys() - {name for name, _, _ in SUCCESSION}]
    if instant_us(value["expires-at"]) <= instant_us(value["issued-at"]):
        problems.append(Problem(("expires-at",), "not-after-issued-at"))
    if value["old/node-id"] == value["new/node-id"]:
        problems.append(Problem(("new/node-id",), "unique-items"))
    if problems:
        raise Malformed(problems, "invalid-artifact")
    return dict(value)


def check(succession: dict[str, Any], now_us: int) -> None:
    """Both keys have signed, and the statement holds now."""
    message = node_did.json_signing_input(DOMAIN, succession, PROOFS)
    for side in ("old", "new"):
        if succession[f"{side}/node-id"] != node_did.NODE + succession[f"{side}/key-public"]:
            raise Refusal("key-mismatch")
        node_did.check(node_did.public_key(succession[f"{side}/node-id"]), message, succession[f"proof/{side}"]["value"])
    if instant_us(succession["expires-at"]) <= now_us:
        raise Refusal("expired")
    if instant_us(succession["issued-at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")
