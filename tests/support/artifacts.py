"""Nodes that know each other, and what artifact tests ask of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from .node import Answer, TrialNode
from .peer import TrialPeer

TOKEN = "the-operator-token-of-this-node"
AS_OPERATOR = {"X-OCP-Operator-Token": TOKEN}
VALIDATING = {"treaty_capabilities": {"treaty_documents": True, "continuity_validation": True, "custody_review": True}}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def introduce(node: TrialNode, other: TrialNode, **card: Any) -> None:
    """`node` knows `other` as a trusted peer, and where it is."""
    peer = TrialPeer(other.core.identity.node_id)
    peer.identity = other.core.identity
    peer.shakes_hands(node, endpoint_url=other.url, **card)


def known(node: TrialNode, node_id: str, url: str, *, tier: str = "trusted", number: int = 0, **card: Any) -> TrialPeer:
    """`node` knows a peer of that name, which claims to be at `url`."""
    peer = TrialPeer(node_id, number=number)
    peer.shakes_hands(node, endpoint_url=url, trust_tier=tier, **card)
    return peer


def store(node: TrialNode, content: bytes, *, policy: Mapping[str, Any] | None = None, media_type: str = "text/plain", remote: bool = False,
          artifact_id: str = "", **metadata: Any) -> dict[str, Any]:
    """An artifact of the node itself."""
    room = node.rooms["mesh.artifacts"]
    blob = room.put(content)
    descriptor = {"media_type": media_type, "policy": policy, "metadata": metadata, "id": artifact_id}
    return node.core.writer.run(lambda connection: room.record(connection, descriptor, blob, remote=remote))


def kept(node: TrialNode) -> set[str]:
    """The digests of all blobs on the node's disk."""
    return set(node.rooms["mesh.artifacts"].blobs.every())


def parts(node: TrialNode) -> list[str]:
    """The names of transfers that were cut off."""
    folder = node.folder / "artifacts" / "incoming"
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def content(answer: Answer) -> bytes:
    """What an artifact's JSON form holds."""
    return base64.b64decode(answer.json["content_base64"], validate=True)


def events(node: TrialNode, *types: str) -> list[dict[str, Any]]:
    """The node's events of these types, oldest first."""
    from ocp_node.store.events import event_json, since
    with node.core.reader.snapshot() as connection:
        return [event_json(event) for event in since(connection, 0, 500, types=types)]


def names(every: Iterable[Mapping[str, Any]], member: str) -> list[Any]:
    return [each[member] for each in every]
