"""Two nodes that know each other, and a peer whose answers the test writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ocp_node.mesh.jobs.rules import STATES

from .node import TrialNode
from .peer import TrialPeer
from .scripted import Answering, Scripted

Members = dict[str, Any]


def connect(node: TrialNode, url: str, tier: str = "trusted") -> Members:
    """The node has the one at this URL as a peer, and that one it."""
    answer = node.post("/mesh/peers/connect", {"base_url": url, "trust_tier": tier})
    assert answer.status == 200, answer
    return answer.json["peer"]


@contextlib.contextmanager
def pair(folder: Path, **settings: Any) -> Iterator[tuple[TrialNode, TrialNode]]:
    """alpha, and beta which is its trusted peer; one clock for both."""
    settings = {"trusted_proxies": ("127.0.0.1",), **settings}
    with TrialNode(folder / "alpha", node_id="alpha-node", **settings) as alpha, \
            TrialNode(folder / "beta", clock=alpha.clock, node_id="beta-node", **settings) as beta:
        connect(alpha, beta.url)
        yield alpha, beta


@contextlib.contextmanager
def scripted_peer(node: TrialNode, answer: Answering, peer_id: str = "liar-node", **card: Any) -> Iterator[Scripted]:
    """A peer of the node, by its own handshake, that answers every call as the test says."""
    peer = TrialPeer(peer_id)
    with Scripted(answer) as server:
        peer.shakes_hands(node, endpoint_url=server.url, **card)
        node.core.writer.run(lambda connection: node.rooms["mesh.peers"].set_metadata(
            connection, peer_id, {"reached_on_loopback": server.url}))
        yield server


def claimed_job(job_id: str = "claimed-1", status: str = "queued", **more: Any) -> Members:
    """A job as a peer may claim to have one."""
    assert status in STATES
    return {"id": job_id, "request_id": "r", "kind": "agent.echo", "status": status, **more}
