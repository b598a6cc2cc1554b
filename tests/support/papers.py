"""Passports, registrations, revocations, endorsements: signed as their protocol says, by `Signer`s."""

from __future__ import annotations

from typing import Any

from ocp_node.base.clock import instant_text
from ocp_node.crypto import keys, node_did
from tests.support.adverts import NOON, Signer

DAY = 86_400.0


def passport(node: Signer, issuer: Signer, capability: str, *, at: float = NOON, life: float | None = 30 * DAY, number: int = 1,
             proxy: Signer | None = None,
             grants: tuple[str, ...] = ("*",), proxy_life: float = DAY, **members: Any) -> dict[str, Any]:
    """A passport of `issuer` for `node`; signed by `proxy` when there is one."""
    made = {"schema": "capability-passport.v1", "passport_id": f"passport:capability:{capability}:{number}",
            "node_id": node.node_id,
            "capability_id": capability, "scope": {}, "issued_at": instant_text(at), "expires_at": instant_text(at + life)
            if life else None,
            "issuer/participant_id": issuer.participant_id, "issuer/node_id": node.node_id, "revocation_ref": None, **members}
    if proxy is not None:
        made["issuer_delegation"] = proof(issuer, proxy, grants, at + proxy_life)
    return (proxy or issuer).sign_json(made)


def proof(principal: Signer, proxy: Signer, grants: tuple[str, ...] = ("*",), until: float = NOON + DAY,
          number: int = 1) -> dict[str, Any]:
    """The compact delegation that a passport carries."""
    made = {"delegation_id": f"delegation:key:{number}", "proxy_key": "did:key:" + proxy.key_text,
            "principal_key": "did:key:" + principal.key_text,
            "grants": {"signing/capability": list(grants)}, "expires_at": instant_text(until)}
    return {**made, "principal_signature": node_did.signature_text(keys.sign(principal.seed,
                                                                             node_did.json_signing_input("", made, ())))}


def delegation(principal: Signer, proxy: Signer, grants: tuple[str, ...] = ("*",), until: float = NOON + DAY, number: int = 1,
               at: float = NOON, **members: Any) -> dict[str, Any]:
    """The same as a published artifact."""
    compact = proof(principal, proxy, grants, until, number)
    return {"schema": "key-delegation.v1", "delegation_id": compact["delegation_id"], "proxy_key": compact["proxy_key"],
            "grants": compact["grants"], "max_chain_depth": 0, "issued_at": instant_text(at), "expires_at": compact["expires_at"],
            "issuer/participant_id": principal.participant_id,
            "issuer/node_id": principal.node_id, "signature": {"alg": "ed25519", "value": compact["principal_signature"]},
            **members}


def capabilities(node: Signer, *names: str, at: float = NOON, **members: Any) -> dict[str, Any]:
    """A node's capability advertisement that lists `names` beside messaging."""
    listed = ["core/messaging", *names]
    made = {"schema/v": 1, "advertisement/id": "caps:1", "node/id": node.node_id, "published-at": instant_text(at),
            "protocol/version": "0.1.0-mvp", "transport/profiles": ["wss"], "capabilities/core": listed,
            "capabilities/presented": [{"capability/id": "messaging", "wire/name": name,
                                        "assertion/kind": "self-issued-passport", "passport": {}}
                                       for name in listed],
            "messages/supported": ["ping", "pong"], **members}
    return node.sign("capability-advertisement.v1", made)


def registration(node: Signer, issuer: Signer, capability: str, wire: str, sequence: int = 1, *, at: float = NOON,
                 **named: Any) -> dict[str, Any]:
    """The body of `PUT /cap/…`."""
    return {"advertisement": capabilities(node, wire, at=at), "sequence/no": sequence,
            "passport": passport(node, issuer, capability, at=at, **named)}


def revocation(signer: Signer, held: dict[str, Any], signed_by: str = "issuer", number: int = 1, at: float = NOON,
               **members: Any) -> dict[str, Any]:
    """A revocation of a passport."""
    made = {"schema": "capability-passport-revocation.v1", "revocation_id": f"passport-revocation:{number}",
            "passport_id": held["passport_id"],
            "node_id": held["node_id"], "capability_id": held["capability_id"], "revoked_at": instant_text(at),
            "signed_by": signed_by, **members}
    if signed_by == "issuer":
        made["issuer/participant_id"] = signer.participant_id
    return signer.sign_json(made)


def signed_by_all(domain: str, artifact: dict[str, Any], *signers: Signer) -> dict[str, Any]:
    """The artifact with a signature of each over its canonical JSON."""
    message = node_did.json_signing_input(domain, artifact, ("signatures",))
    return {**artifact, "signatures": [{"alg": "ed25519", "key_public": signer.key_text,
                                        "value": node_did.signature_text(keys.sign(signer.seed, message))}
                                       for signer in signers]}


def endorsement(node: Signer, capability: str, *signers: Signer, subject: str = "", federation: str = "test", number: int = 1,
                at: float = NOON, life: float = 90 * DAY) -> dict[str, Any]:
    made = {"schema": "federation-service-endorsement.v1",
            "endorsement_id": f"federation-service-endorsement:{federation}:{capability}:{number}", "federation_id": federation,
            "node_id": node.node_id, "capability_id": capability, "endorser_subject_ref": subject or signers[0].participant_id,
            "issued_at": instant_text(at), "expires_at": instant_text(at + life)}
    return signed_by_all("federation-service-endorsement.v1", made, *signers)


def withdrawal(endorsed: dict[str, Any], *signers: Signer, subject: str = "", at: float = NOON) -> dict[str, Any]:
    """A revocation of an endorsement."""
    made = {"schema": "federation-service-endorsement-revocation.v1",
            "revocation_id": "federation-service-endorsement-revocation:test:1", "endorsement_id": endorsed["endorsement_id"],
            "federation_id": endorsed["federation_id"], "node_id": endorsed["node_id"],
            "capability_id": endorsed["capability_id"], "revoker_subject_ref": subject or endorsed["endorser_subject_ref"],
            "revoked_at": instant_text(at)}
    return signed_by_all("federation-service-endorsement-revocation.v1", made, *signers)


def root(*participants: Signer, organisation: Signer | None = None, custodians: tuple[Signer, ...] = (), threshold: int = 2,
         version: int = 1, federation: str = "test", signers: tuple[Signer, ...] = (), **members: Any) -> dict[str, Any]:
    """A federation root of participants, and of an organisation whose custodians sign together."""
    entries: list[dict[str, Any]] = [{"id": signer.participant_id, "kind": "participant"} for signer in participants]
    made: dict[str, Any] = {"schema": "federation-root.v1", "federation_id": federation, "pack_version": version,
                            "attestation_roots": entries, **members}
    if organisation is not None:
        org = "org:did:key:" + organisation.key_text
        entries.append({"id": org, "kind": "org", "custody_mode": "threshold", "custody_policy_ref": "policy:1"})
        made["custody_policies"] = [{"policy/ref": "policy:1", "org/id": org, "rules": [
            {"purpose": "federation-root", "mode": "threshold", "threshold/min_signers": threshold,
             "authorized/key_publics": [signer.key_text for signer in custodians]}]}]
    return signed_by_all("", made, *(signers or participants))
