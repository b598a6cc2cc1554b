"""A node as others meet it: a key and signed envelopes, without a server."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from ocp_node.base.ids import Ids
from ocp_node.crypto import envelopes
from ocp_node.crypto.identity import Identity, succession_of

from .node import Answer, TrialNode


class TrialPeer:
    """Another node, as far as its envelopes tell.  Its key follows from its name and `number`."""

    def __init__(self, node_id: str, display_name: str = "", number: int = 0) -> None:
        self.node_id = node_id
        self.number = number
        self.identity = Identity(node_id, display_name or node_id, hashlib.sha256(f"{node_id} {number}".encode()).digest())

    def rotates(self) -> dict[str, Any]:
        """It has another key, that of the next `number`; the statement by which the old key led there."""
        old, self.number = self.identity, self.number + 1
        new = Identity(self.node_id, old.display_name, hashlib.sha256(f"{self.node_id} {self.number}".encode()).digest())
        link = succession_of(old, new, f"2026-01-01T00:00:{self.number:02d}Z")
        self.identity = Identity(self.node_id, old.display_name, new.seed, "", (*old.successions, link))
        return link

    def introduction(self, **card: Any) -> dict[str, Any]:
        """What its handshake says."""
        successions = {"successions": list(self.identity.successions)} if self.identity.successions else {}
        return {"peer_card": self.card(**card), "agent_presence": [], "beacons": [], **successions}

    def card(self, **more: Any) -> dict[str, Any]:
        """Its card, as a handshake brings it."""
        return {"organism_id": self.node_id, "node_id": self.node_id, "display_name": self.identity.display_name,
                "public_key": self.identity.public_key_hex, "signature_scheme": self.identity.signature_scheme,
                "endpoint_url": "", "protocol_version": "sovereign-mesh/v1", "trust_tier": "trusted", **more}

    def sign(self, node: TrialNode, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """An envelope over the body for that route, signed now."""
        return envelopes.sign_envelope(self.identity, route, body, node.clock, Ids(), None)

    def post(self, node: TrialNode, route: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
        """The body, signed, sent to that route."""
        return node.post(route, self.sign(node, route, body), headers)

    def shakes_hands(self, node: TrialNode, headers: Mapping[str, str] | None = None, **card: Any) -> dict[str, Any]:
        """It introduces itself; how the node sees it from then on."""
        answer = self.post(node, "/mesh/handshake", self.introduction(**card), headers)
        assert answer.status == 200, answer
        return answer.json["peer"]
