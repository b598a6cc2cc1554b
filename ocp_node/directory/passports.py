"""Capability passports, delegations of keys and capability advertisements: their shapes, and whose they are.  Pure.

A passport says what a node may offer and who says so; it never makes a node official.
"""

from __future__ import annotations

from typing import Any

from ..base.errors import Refusal
from ..crypto import node_did
from . import shape as shapes
from .shape import MICROSECONDS, Found, Shape, Table, instant_us

NEVER_US = 2**63 - 1
FUTURE_US = 300 * MICROSECONDS
# The protocol asks for a fresh advertisement of capabilities and gives no number.
ADVERTISED_AGE_US_MAX = 24 * 3600 * MICROSECONDS
CAPABILITIES = "capability-advertisement.v1"
GRANT = "signing/capability"
CAPABILITY_ID = r"[~]?[a-z0-9][a-z0-9_/.-]*(?:@(?:participant|node|org):did:key:z[1-9A-HJ-NP-Za-km-z]+)?"
PASSPORT_ID = r"passport:capability:[!-~]*"
DELEGATION_ID = r"delegation:key:[!-~]+"
ORGANISATION = "org:did:key:"
PROOF_MEMBERS = ("delegation_id", "proxy_key", "principal_key", "grants", "expires_at")
ACCOUNTED = "network-ledger"        # the one capability whose scope names accounts
MESSAGING = "core/messaging"
LISTED_MAX = 256

# Formal ids whose name on the wire is published; of others the name may bear any of the prefixes.
WIRE_NAMES = {"seed-directory": "role/seed-directory", "network-ledger": "core/network-ledger",
              "offer-catalog": "role/offer-catalog",
              "escrow": "role/escrow", "contact-catalog": "role/contact-catalog", "messaging.accept": "app/messaging.accept"}
PREFIXES = ("core/", "role/", "plugin/", "app/")


def granted_words(value: Any, shape: Shape) -> Found:
    if type(value) is not dict or not value:
        return shapes.wrong("type")
    return [((name, *below), code) for name, words in value.items() for below,
            code in shapes.list_of(words, shape, LISTED_MAX, shapes.text)]


def _proof(value: Any, shape: Shape) -> Found:
    return shapes.object_of(value, shape, PROOF, closed=True)


def _scope(value: Any, shape: Shape) -> Found:
    return shapes.object_of(value, shape, SCOPE)


def _presented(value: Any, shape: Shape) -> Found:
    found = list(shapes.list_of(value, shape, LISTED_MAX, lambda item, shape: shapes.object_of(item, shape, PRESENTED)))
    if not found and not any(item["wire/name"] == MESSAGING for item in value):
        return shapes.wrong("contains")
    return found


def _core(value: Any, shape: Shape) -> Found:
    found = list(shapes.unique_words(LISTED_MAX, _wire)(value, shape))
    return found if found or MESSAGING in value else shapes.wrong("contains")


_wire = shapes.matching(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9._-]+)*")
capability_id = shapes.matching(CAPABILITY_ID)
node = shapes.did(node_did.NODE)
participant = shapes.did(node_did.PARTICIPANT)
bare_key = shapes.did(node_did.BARE)
_texts = shapes.unique_words(LISTED_MAX, shapes.text)

PROOF: Table = (
    ("delegation_id", True, shapes.matching(DELEGATION_ID)), ("proxy_key", True, bare_key), ("principal_key", True, bare_key),
    ("grants", True, granted_words), ("expires_at", True, shapes.instant), ("principal_signature", True, shapes.text))
SCOPE: Table = (
    ("account_namespaces", False, lambda value, shape: shapes.list_of(value, shape, LISTED_MAX, shapes.text)),
    ("profiles", False, lambda value, shape: shapes.list_of(
        value, shape, LISTED_MAX, lambda item, shape: shapes.object_of(item, shape, (("profile", True, shapes.text),)))))
PASSPORT: Table = (
    ("schema", True, shapes.constant("capability-passport.v1")), ("passport_id", True, shapes.matching(PASSPORT_ID)),
                   ("node_id", True, node),
    ("capability_id", True, capability_id), ("scope", True, _scope), ("issued_at", True, shapes.instant),
    ("expires_at", False, shapes.nullable(shapes.instant)), ("issuer/participant_id", True, participant),
                   ("issuer/node_id", True, node),
    ("revocation_ref", True, shapes.nullable(shapes.text)), ("capability_profile", False, shapes.object_any),
                   ("issuer_delegation", False, _proof),
    ("policy_annotations", False, shapes.object_any), ("signature", True, shapes.signature))
PRESENTED: Table = (
    ("capability/id", True, capability_id), ("wire/name", True, _wire),
    ("assertion/kind", True, shapes.one_of("self-issued-passport", "issuer-passport", "federation-endorsed-passport")),
    ("passport", True, shapes.object_any))
CAPABILITY_ADVERTISEMENT: Table = (
    ("schema/v", True, shapes.constant(1)), ("advertisement/id", True, shapes.label), ("node/id", True, node),
    ("published-at", True, shapes.instant), ("protocol/version", True, shapes.label),
    ("transport/profiles", True, shapes.unique_words(16, shapes.one_of("wss"))), ("capabilities/core", True, _core),
    ("capabilities/presented", True, _presented), ("messages/supported", True, _texts), ("signature", True, shapes.signature))


def passport(value: Any, shape: Shape) -> Found:
    """A passport by its schema; `network-ledger` must name accounts and nothing else may."""
    found = list(shapes.object_of(value, shape, PASSPORT))
    if not found and ("account_namespaces" in value["scope"]) != (value["capability_id"] == ACCOUNTED):
        return ((("scope", "account_namespaces"), "required" if value["capability_id"] == ACCOUNTED else "unknown"),)
    return found


def capability_advertisement(value: Any, shape: Shape) -> Found:
    return shapes.object_of(value, shape, CAPABILITY_ADVERTISEMENT)


# --- whose it is ------------------------------------------------------------------------------------------------------

def issuer_key(artifact: dict[str, Any], now_us: int) -> bytes:
    """The key that must have signed for `issuer/participant_id`: its own, or the one it lends by a delegation that holds now.

    Refusal `delegation-mismatch`, `delegation-expired` or `delegation-scope`, or `invalid-signature` for the delegation itself.
    """
    issuer: str = artifact["issuer/participant_id"]
    proof = artifact.get("issuer_delegation")
    if proof is None:
        return node_did.public_key(issuer, node_did.PARTICIPANT)
    if "participant:" + proof["principal_key"] != issuer:
        raise Refusal("delegation-mismatch")
    if instant_us(proof["expires_at"]) <= now_us:
        raise Refusal("delegation-expired")
    granted = proof["grants"].get(GRANT, ())
    if artifact["capability_id"] not in granted and "*" not in granted:
        raise Refusal("delegation-scope")
    check_proof(proof)
    return node_did.public_key(proof["proxy_key"], node_did.BARE)


def check_proof(proof: dict[str, Any]) -> None:
    """The principal has signed the delegation.  Refusal `invalid-signature` otherwise."""
    message = node_did.json_signing_input("", {name: proof[name] for name in PROOF_MEMBERS}, ())
    node_did.check(node_did.public_key(proof["principal_key"], node_did.BARE), message, proof["principal_signature"])


def check_json_signature(public: bytes, artifact: dict[str, Any]) -> None:
    """The artifact bears the signature of `public` over its canonical JSON.  Refusal `invalid-signature` otherwise."""
    message = node_did.json_signing_input("", artifact, ("signature", "issuer_delegation"))
    node_did.check(public, message, artifact["signature"]["value"])


def expires_us(artifact: dict[str, Any]) -> int:
    """When a passport ends; one without an end never does."""
    text = artifact.get("expires_at")
    return instant_us(text) if text is not None else NEVER_US


def holds_until_us(held: dict[str, Any]) -> int:
    """Until when a reader finds the passport signed by a key that may: its own end, or that of the delegation behind it."""
    proof = held.get("issuer_delegation")
    return min(expires_us(held), instant_us(proof["expires_at"])) if proof is not None else expires_us(held)


def check_passport(held: dict[str, Any], now_us: int) -> None:
    """The passport is signed by its issuer and holds now."""
    check_json_signature(issuer_key(held, now_us), held)
    if expires_us(held) <= now_us:
        raise Refusal("expired")
    if instant_us(held["issued_at"]) > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")


def check_capabilities(advertised: dict[str, Any], node_id: str, now_us: int) -> None:
    """The node itself says so, and lately."""
    if advertised["node/id"] != node_id:
        raise Refusal("node-id-mismatch")
    node_did.check_artifact(node_did.public_key(node_id), CAPABILITIES, advertised)
    at = instant_us(advertised["published-at"])
    if at > now_us + FUTURE_US:
        raise Refusal("not-yet-valid")
    if at < now_us - ADVERTISED_AGE_US_MAX:
        raise Refusal("expired")


def delegation_id(held: dict[str, Any]) -> str:
    return str(held["issuer_delegation"]["delegation_id"]) if "issuer_delegation" in held else ""


# --- names ------------------------------------------------------------------------------------------------------------

def anchor(capability: str) -> str:
    """Whose sovereign name it is, "" for a formal one."""
    return capability.partition("@")[2]


def informal(capability: str) -> bool:
    return capability.startswith("~")


def wire_names(capability: str) -> tuple[str, ...]:
    """The names under which a capability may stand on the wire, the canonical one first."""
    if capability in WIRE_NAMES:
        return (WIRE_NAMES[capability],)
    name, at, _ = capability.removeprefix("~").partition("@")
    if at:
        return (f"sovereign/{name}", f"sovereign-informal/{name}") if informal(capability) else (f"sovereign/{name}",)
    return (capability, *(prefix + capability for prefix in PREFIXES))


def listed_name(capability: str, advertised: dict[str, Any]) -> str:
    """The name under which the advertisement lists the capability.  Refusal `capability-not-advertised` when it does not."""
    core = advertised["capabilities/core"]
    for name in wire_names(capability):
        if name in core:
            return name
    raise Refusal("capability-not-advertised")
