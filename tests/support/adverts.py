"""Nodes that publish themselves: keys from small numbers, artifacts as signed JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ocp_node.base.clock import instant_text
from ocp_node.crypto import keys, node_did

NOON = 1_774_289_280.0          # 2026-03-23T18:08:00Z


class Signer:
    """A key and its names; the same for the same number."""

    def __init__(self, number: int) -> None:
        self.seed = hashlib.sha256(f"node {number}".encode()).digest()
        self.public = keys.public_key(self.seed)
        self.key_text = node_did.key_text(self.public)
        self.node_id = node_did.NODE + self.key_text
        self.participant_id = node_did.PARTICIPANT + self.key_text
        self.path = f"/adv/{self.node_id}"

    def sign(self, domain: str, artifact: dict[str, Any]) -> dict[str, Any]:
        """The artifact with a signature over its deterministic CBOR."""
        value = node_did.signature_text(keys.sign(self.seed, node_did.signing_input(domain, artifact)))
        return {**artifact, "signature": {"alg": "ed25519", "value": value}}

    def sign_json(self, artifact: dict[str, Any], unsigned: tuple[str, ...] = ("signature", "issuer_delegation"),
                  domain: str = "") -> dict[str, Any]:
        """The artifact with a signature over its canonical JSON."""
        value = node_did.signature_text(keys.sign(self.seed, node_did.json_signing_input(domain, artifact, unsigned)))
        return {**artifact, "signature": {"alg": "ed25519", "value": value}}

    def advertisement(self, sequence: int, at: float = NOON, lifetime: float = 600.0, **more: Any) -> dict[str, Any]:
        """A signed advertisement of the instant `at`; further members by keyword (`_` for `/` is not translated: pass a dict)."""
        members = {"schema/v": 1, "advertisement/id": f"adv:{sequence}", "node/id": self.node_id, "sequence/no": sequence,
                   "advertised-at": instant_text(at), "expires-at": instant_text(at + lifetime), "key/alg": "ed25519",
                   "key/public": self.key_text,
                   "endpoints": [{"endpoint/url": "wss://node.example/peer", "endpoint/transport": "wss",
                                  "endpoint/role": "listener",
                                  "endpoint/priority": 0}], "transports/supported": ["wss"], **more.pop("members", {}), **more}
        return self.sign(node_did.ADVERTISEMENT, members)

    def raw(self, sequence: int, at: float = NOON, lifetime: float = 600.0, **more: Any) -> bytes:
        return json.dumps(self.advertisement(sequence, at, lifetime, **more), ensure_ascii=False).encode()
