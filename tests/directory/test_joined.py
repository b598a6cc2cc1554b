"""One node publishes itself, a directory keeps it, another node finds it and says where: the whole way (J1)."""

from __future__ import annotations

from ocp_node.base.clock import SetClock
from tests.support.adverts import NOON
from tests.support.node import TrialNode


def test_a_published_node_becomes_a_candidate_with_its_source_named(tmp_path):
    with TrialNode(tmp_path / "directory", clock=SetClock(NOON), node_id="seed") as directory, TrialNode(
            tmp_path / "a", clock=SetClock(NOON), node_id="alpha", directory_publish_to=[directory.url],
            directory_endpoint="wss://alpha.example:8421/mesh/stream") as alpha, TrialNode(
            tmp_path / "b", clock=SetClock(NOON), node_id="beta", directory_read_from=[directory.url],
                                                                                           directory_read_seconds=5) as beta:
        did = alpha.core.identity.did
        directory.until(lambda: directory.get(f"/adv/{did}").status == 200, "the advertisement")

        def candidates():
            beta.advance(10)
            return beta.get("/mesh/discovery/candidates").json["candidates"]

        found = beta.until(candidates, "the candidate")
        assert [candidate["base_url"] for candidate in found] == ["https://alpha.example:8421"]
        assert f"directory {directory.url}" in str(found[0]["metadata"])
        assert found[0]["metadata"]["node_did"] == did
