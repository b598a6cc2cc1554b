"""Signed mesh documents: treaties, execution attestations, key successions.

All are Ed25519 in hex over mesh canonical JSON.  A *domain* keeps one kind from passing for another: the signed value
is then `{"route": domain, domain: document}`, which no envelope can be, because a route there starts with `/`.
Without a domain the document itself is signed (grants and attestations, as OCP 0.1 has them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import canonical, keys

if TYPE_CHECKING:
    from .identity import Identity

TREATY = "treaty"
TREATY_TERMS = ("id", "title", "treaty_type", "parties", "document", "expires_at")      # changing one voids the signatures
SUCCESSION = "succession"


def signed_bytes(domain: str, document: object) -> bytes:
    """The bytes that `sign_document` signs."""
    return canonical.mesh({"route": domain, domain: document} if domain else document)


def sign_document(identity: Identity, domain: str, document: object) -> str:
    """The node's signature of the document, 128 hex digits.

    With no domain the caller vouches that the document cannot be read as another kind: sign only what was built here.
    """
    return identity.sign(signed_bytes(domain, document)).hex()


def verify_document(public_hex: object, domain: str, document: object, signature_hex: object) -> bool:
    """Whether the signature is that of the key's holder; malformed hex is just False."""
    return keys.verify_hex(public_hex, signed_bytes(domain, document), signature_hex)


def treaty_terms(treaty: Mapping[str, Any]) -> dict[str, Any]:
    """The six members a party signs (OCP 0.1 treaties); a missing one counts as the empty text."""
    return {name: treaty.get(name, "") for name in TREATY_TERMS}


def attestation_payload(attestation: Mapping[str, Any]) -> bytes:
    """The bytes an execution attestation is signed over: without `signature` and `verification.signed_payload_digest`."""
    payload = {name: value for name, value in attestation.items() if name != "signature"}
    if isinstance(payload.get("verification"), Mapping):
        payload["verification"] = dict(payload["verification"])
        payload["verification"].pop("signed_payload_digest", None)
    return canonical.mesh(payload)


def sign_attestation(identity: Identity, attestation: Mapping[str, Any]) -> dict[str, Any]:
    """The attestation with `verification` and `signature` filled in; its `issuer` should be this node."""
    verification = {"signature_scheme": keys.SIGNATURE_SCHEME, "canonical_form": "json-c14n-sort-keys"}
    unsigned = {**attestation, "verification": {**attestation.get("verification", {}), **verification}}
    payload = attestation_payload(unsigned)
    digest = {"signed_payload_digest": _sha256_hex(payload)}
    return {**unsigned, "verification": {**unsigned["verification"], **digest}, "signature": identity.sign(payload).hex()}


def verify_attestation(attestation: Mapping[str, Any], public_hex: object) -> bool:
    """Whether the attestation bears the signature of this key and names its own payload's digest.

    Pass the key you know the issuer by; the one inside the document proves nothing.
    """
    verification = attestation.get("verification")
    if not isinstance(verification, Mapping) or verification.get("signature_scheme") != keys.SIGNATURE_SCHEME:
        return False
    payload = attestation_payload(attestation)
    return (verification.get("signed_payload_digest") == _sha256_hex(payload)
            and keys.verify_hex(public_hex, payload, attestation.get("signature")))


def _sha256_hex(raw: bytes) -> str:
    import hashlib
    return hashlib.sha256(raw).hexdigest()


def verify_succession(succession: Mapping[str, Any]) -> bool:
    """Whether a node's old key names its new key and the new key the old: made by `identity.rotate`.

    It says that both keys agree.  Who pinned the old key may then follow; time limits are the reader's rule.
    """
    proofs = succession.get("signatures")
    if not isinstance(proofs, Mapping) or succession.get("signature_scheme") != keys.SIGNATURE_SCHEME:
        return False
    statement = {name: value for name, value in succession.items() if name != "signatures"}
    return (succession.get("old_public_key") != succession.get("new_public_key")
            and verify_document(succession.get("old_public_key"), SUCCESSION, statement, proofs.get("old"))
            and verify_document(succession.get("new_public_key"), SUCCESSION, statement, proofs.get("new")))
