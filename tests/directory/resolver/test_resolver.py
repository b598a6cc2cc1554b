"""Finding nodes: what directories say, with the source named, and worth no more than its signature."""

from __future__ import annotations

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.directory.resolver import rules
from tests.support.adverts import NOON, Signer
from tests.support.node import TrialNode

A, B, C = Signer(1), Signer(2), Signer(3)
JSON = {"Content-Type": "application/json"}
MESH = [{"endpoint/url": "wss://10.0.0.5:8421/mesh/stream", "endpoint/transport": "wss", "endpoint/role": "listener",
         "endpoint/priority": 2},
        {"endpoint/url": "wss://relay.example/mesh/stream", "endpoint/transport": "wss", "endpoint/role": "relay",
         "endpoint/priority": 0},
        {"endpoint/url": "wss://first.example/peer", "endpoint/transport": "wss", "endpoint/role": "listener",
         "endpoint/priority": 1}]


@pytest.fixture
def make(tmp_path):
    nodes = []

    def made(name, **settings):
        node = TrialNode(tmp_path / name, **{"clock": SetClock(NOON), **settings})
        nodes.append(node)
        return node

    yield made
    for node in reversed(nodes):
        node.stop()


def put(node, signer, sequence, **more):
    assert node.request("PUT", signer.path, raw=signer.raw(sequence, node.clock.time(), **more), headers=JSON).status in (200,
                                                                                                                          201)


def test_every_sighting_names_the_directory_with_the_newest_word(make):
    one, two = make("one"), make("two")
    put(one, A, 5, members={"endpoints": MESH})
    put(two, A, 4)
    put(two, B, 1)
    node = make("node", directory_read_from=[one.url, two.url])
    put(node, C, 1)
    wanted = {A.node_id: f"directory {one.url}", B.node_id: f"directory {two.url}", C.node_id: "this node's directory"}
    node.until(lambda: {each.node_did: each.source for each in node.core.sightings.gather(10)} == wanted, "all nodes to be seen")
    found = {sighting.node_did: sighting for sighting in node.core.sightings.gather(10)}
    assert found[A.node_id].base_url == "https://10.0.0.5:8421" and found[A.node_id].endpoint_url == "wss://first.example/peer"
    assert found[B.node_id].base_url == "" and found[B.node_id].verified and found[B.node_id].expires_at == NOON + 600
    assert len(node.core.sightings.gather(2)) == 2
    node.clock.advance(600)
    assert node.core.sightings.gather(10) == []


def test_a_node_does_not_see_itself(make):
    node = make("node", directory_endpoint="wss://me.example/mesh/stream", directory_publish_to=["http://127.0.0.1:9"])
    node.until(lambda: node.get(f"/adv/{node.core.identity.did}").status == 200)
    assert node.core.sightings.gather(10) == []


def test_what_is_known_survives_a_restart_and_dead_directories(make, tmp_path):
    one = make("one")
    put(one, A, 1)
    node = make("node", directory_read_from=[one.url])
    node.until(lambda: node.core.sightings.gather(10), "the node to be seen")
    node.stop()
    one.stop()
    again = make("node", directory_read_from=[one.url])
    assert [sighting.node_did for sighting in again.core.sightings.gather(10)] == [A.node_id]
    assert again.rooms["directory.resolver"].resolve(A.node_id)["sequence/no"] == 1


def test_an_unknown_node_is_asked_for_and_only_the_truth_is_kept(make):
    one, two = make("one"), make("two")
    node = make("node", directory_read_from=[one.url, two.url], directory_read_seconds=86_400)
    resolver = node.rooms["directory.resolver"]
    node.until(lambda: all(figure["read"] for figure in node.rooms["directory.mirror"].figures()))
    put(one, A, 3)
    put(two, A, 4)
    assert resolver.resolve(A.node_id)["sequence/no"] == 4
    assert resolver.resolve(B.node_id) is None
    put(one, B, 1)
    one.core.writer.run(lambda connection: connection.execute("UPDATE adv_current SET artifact_json = replace(artifact_json, "
                                                              "'node.example', 'evil.example')"))
    assert resolver.resolve(B.node_id) is None, "it lies"


@pytest.mark.parametrize("endpoint, base", [
    ("wss://a:1/mesh/stream", "https://a:1"), ("WSS://a/mesh/stream", "https://a"), ("wss://a/p/mesh/stream", "https://a/p"),
                                            ("wss://a/peer", ""),
    ("wss://a", ""), ("ws://a/mesh/stream", "")])
def test_only_a_mesh_endpoint_tells_where_the_mesh_is(endpoint, base):
    assert rules.base_url(endpoint) == base
