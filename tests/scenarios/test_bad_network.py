"""Two nodes whose network loses, cuts, delays and repeats: it ends as over a good one, and no replay does anything."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from ocp_node.base.errors import Refusal
from ocp_node.http.lanes import gather
from tests.scenarios.network import Network, status
from tests.support.artifacts import content, events, kept, parts
from tests.support.node import TrialNode
from tests.support.store import rows

ATTEMPTS_MAX = 200
SEEDS = range(3)


MADE = {"job": "mesh.job.queued", "artifact": "mesh.artifact.published", "handoff": "mesh.handoff.accepted"}


class Pair:
    """Alpha calls beta over a bad network."""

    def __init__(self, alpha: TrialNode, beta: TrialNode, network: Network, seed: int) -> None:
        self.alpha, self.beta, self.network = alpha, beta, network
        self.random = random.Random(seed)

    def insist(self, attempt: Callable[[], Any], what: str) -> Any:
        """The result of the first attempt that succeeds; what fails on the way fails for reasons of the network alone."""
        for _ in range(ATTEMPTS_MAX):
            try:
                answer = attempt()
            except Refusal as refusal:
                self.excused(refusal.code, refusal.message, what)
                continue
            if not hasattr(answer, "status") or answer.status == 200:
                return answer
            self.excused(answer.json["code"], answer.json["error"], what)
        raise AssertionError(f"{what} never succeeded\n{self.network.story()}")

    def excused(self, code: str, error: str, what: str) -> None:
        assert code in ("peer_unreachable", "peer_timeout"), f"{what}: {code} {error}\n{self.network.story()}"

    def signed(self, route: str, body: dict[str, Any], request_id: str) -> dict[str, Any]:
        """Alpha's envelope over the body, sent until beta's answer arrived; each time with a signature of its own."""
        calls, peer = self.alpha.rooms["mesh.calls"], self.alpha.rooms["mesh.peers"].find(self.beta.core.identity.node_id)
        return self.insist(lambda: calls.signed(peer, route, body, 5.0, request_id=request_id, loopback=True), request_id)


@contextlib.contextmanager
def pair(folder: Path, seed: int) -> Iterator[Pair]:
    clock = Clock()
    with TrialNode(folder / "alpha", clock=clock, node_id="alpha") as alpha, \
            TrialNode(folder / "beta", clock=clock, node_id="beta") as beta, \
            contextlib.closing(Network(beta.port, seed)) as network:
        for node in (alpha, beta):
            node.rooms["appmesh.users"].begin()         # what a start makes must not fall between two looks at what is stored
        yield Pair(alpha, beta, network, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_converges_and_nothing_is_half_stored_or_doubled(tmp_path: Path, seed: int) -> None:
    with pair(tmp_path, seed) as both:
        alpha = both.alpha
        body = {"base_url": both.network.url, "trust_tier": "trusted", "timeout": 0.2}
        both.insist(lambda: alpha.post("/mesh/peers/connect", body), "connect")
        shape(both)
        read_on(both)
        copied(both)
        work(both)
        both.network.clear_up()
        replayed(both)
        shape(both)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_that_call_each_other_at_once_agree(tmp_path: Path, seed: int) -> None:
    with pair(tmp_path, seed) as there, contextlib.closing(Network(there.alpha.port, -1 - seed)) as network:
        back = Pair(there.beta, there.alpha, network, seed)
        outcomes = gather([lambda both=both: both_ways(both) for both in (there, back)], 2, 60.0)
        assert outcomes == [None, None], "\n\n".join((*map(repr, outcomes), there.network.story(), back.network.story()))
        shape(there)
        for both in (there, back):
            read_on(both)
            both.network.clear_up()
            assert {answered(both, request) for request in sent(both)} <= {200, 409}
            assert {answered(both, request) for request in sent(both)} == {409}
        shape(there)


def both_ways(both: Pair) -> None:
    """One side's part: it connects, reads on, works, connects again."""
    body = {"base_url": both.network.url, "trust_tier": "trusted", "timeout": 0.2}
    other = both.beta.core.identity.node_id
    for number in range(3):
        both.insist(lambda: both.alpha.post("/mesh/peers/connect", body), "connect")
        both.insist(lambda: both.alpha.post("/mesh/peers/sync", {"peer_id": other, "limit": 3}), "sync")
        both.signed("/mesh/agents/handoff", {"handoff": {"to_peer_id": other, "summary": "Take over"}}, f"handoff-{number}")
    accepted = Counter(event["request_id"] for event in events(both.beta, "mesh.handoff.accepted"))
    assert accepted == {f"handoff-{number}": 1 for number in range(3)}


def sent(both: Pair) -> list[bytes]:
    """The changes that were asked for, as they came by."""
    return [each.request for each in both.network.passed if each.request.startswith(b"POST ")]


def answered(both: Pair, request: bytes) -> int:
    return status(both.network.deliver(request))


def shape(both: Pair) -> None:
    """Each knows the other once, under its right key."""
    for node, other in ((both.alpha, both.beta), (both.beta, both.alpha)):
        known = [(peer["peer_id"], peer["public_key"], peer["status"]) for peer in node.get("/mesh/peers").json["peers"]
                 if peer["status"] != "degraded"]
        identity = other.core.identity
        assert known in ([(identity.node_id, identity.public_key_hex, "connected")], []), both.network.story()


def read_on(both: Pair) -> None:
    """Beta's events are at alpha, each once."""
    for number in range(25):
        assert both.beta.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"}).status == 200
    for _ in range(ATTEMPTS_MAX):
        both.insist(lambda: both.alpha.post("/mesh/peers/sync", {"peer_id": both.beta.core.identity.node_id, "limit": 6}), "sync")
        newest = both.beta.get("/mesh/stream").json["latest_seq"]         # a handshake of before may arrive only now
        if len(remote(both.alpha)) == newest:
            break
    assert remote(both.alpha) == list(range(1, newest + 1)), both.network.story()


def remote(node: TrialNode) -> list[int]:
    with node.core.reader.snapshot() as connection:
        return [row[0] for row in connection.execute("SELECT remote_seq FROM mesh_remote_event ORDER BY remote_seq")]


def copied(both: Pair) -> None:
    """What beta has is at alpha, byte for byte, and nothing besides."""
    sources = {}
    for size in (0, 1, 5_000, 300_000):
        answer = both.beta.request("PUT", "/mesh/artifacts/content?classification=public", raw=both.random.randbytes(size),
                                   headers={"Content-Type": "application/octet-stream"})
        sources[answer.json["artifact"]["id"]] = answer.json["artifact"]["digest"]
    for artifact_id, digest in sources.items():
        body = {"peer_id": "beta", "artifact_id": artifact_id}
        copy = both.insist(lambda body=body: both.alpha.post("/mesh/artifacts/replicate", body), "a copy").json["artifact"]
        ours = content(both.alpha.get(f"/mesh/artifacts/{copy['id']}"))
        assert copy["digest"] == digest and ours == content(both.beta.get(f"/mesh/artifacts/{artifact_id}"))
    assert kept(both.alpha) == set(sources.values()) and both.alpha.get("/mesh/artifacts").json["count"] == len(sources)
    assert len(events(both.alpha, "mesh.artifact.replicated")) == len(sources) and parts(both.alpha) == []


def work(both: Pair) -> None:
    """What alpha asks for is done by beta once, however often it was asked."""
    for number in range(6):
        job = {"kind": "shell.command", "payload": {"command": "true"}}
        answer = both.signed("/mesh/jobs/submit", {"job": job}, f"job-{number}")
        assert both.beta.get(f"/mesh/jobs/{answer['job']['id']}").json["request_id"] == f"job-{number}"
        text = both.random.randbytes(20_000).hex()
        stored = both.signed("/mesh/artifacts/publish", {"artifact": {"content": text}}, f"artifact-{number}")
        assert content(both.beta.get(f"/mesh/artifacts/{stored['artifact']['id']}")) == text.encode()
        both.signed("/mesh/agents/handoff", {"handoff": {"to_peer_id": "beta", "summary": "Take over"}}, f"handoff-{number}")
    done(both)


def done(both: Pair) -> None:
    for name, kind in MADE.items():
        made = Counter(event["request_id"] for event in events(both.beta, kind) if event["request_id"])
        assert made == {f"{name}-{number}": 1 for number in range(6)}, f"{kind} {made}\n{both.network.story()}"
    assert both.beta.get("/mesh/queue?limit=100").json["count"] == 6


def replayed(both: Pair) -> None:
    """Whatever was recorded is sent twice more: an envelope that never arrived may count once, everything else is refused."""
    recorded = sent(both)
    assert len(recorded) >= 19
    first = {answered(both, request) for request in recorded}
    assert 409 in first and first <= {200, 409}
    stood = rows(both.beta.folder)
    assert {answered(both, request) for request in recorded} == {409}
    assert rows(both.beta.folder) == stood
    done(both)
