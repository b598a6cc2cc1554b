"""A device joins another by its code; codes that are used, expired or of another node are refused."""

from __future__ import annotations

import contextlib

import pytest

from ocp_node.base.clock import SetClock
from tests.support.node import TrialNode


@pytest.fixture()
def nodes(tmp_path):
    """An inviting node that admits nobody by itself, one that joins, and a third; all with one clock."""
    clock = SetClock()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(TrialNode(tmp_path / name, clock=clock, node_id=name, display_name=name, peer_admission="approval"))
               for name in ("inviting", "joining", "third")]


def invited(node, **more):
    answer = node.post("/mesh/invitations", more)
    assert answer.status == 200, answer
    return answer.json


def test_a_code_connects_both_ways_and_both_show_the_same_words(nodes):
    inviting, joining, _ = nodes
    made = invited(inviting, trust_tier="partner")
    answer = joining.post("/mesh/invitations/join", {"code": made["code"]})
    assert answer.status == 200 and answer.json["peer_id"] == "inviting" and answer.json["trust_tier"] == "partner", answer
    state = inviting.get(f"/mesh/invitations/{made['id']}").json
    assert state["state"] == "used" and state["peer_id"] == "joining" and state["words"] == answer.json["words"] and len(state["words"]) == 4
    there = inviting.rooms["mesh.peers"].find("joining")
    assert (there.trust_tier, there.status) == ("partner", "connected")
    assert inviting.get("/mesh/approvals").json["count"] == 0


def test_a_used_code_is_refused_for_another_device(nodes):
    inviting, joining, third = nodes
    code = invited(inviting)["code"]
    assert joining.post("/mesh/invitations/join", {"code": code}).status == 200
    answer = third.post("/mesh/invitations/join", {"code": code})
    assert answer.status == 502 and "used already" in answer.text
    assert inviting.rooms["mesh.peers"].find("third") is None


def test_the_device_that_used_a_code_may_come_again_but_gets_nothing_new_by_it(nodes):
    inviting, joining, _ = nodes
    code = invited(inviting)["code"]
    words = [joining.post("/mesh/invitations/join", {"code": code}).json["words"] for _ in range(2)]
    assert words[0] == words[1] and inviting.rooms["mesh.peers"].find("joining").trust_tier == "trusted"
    assert inviting.post("/mesh/peers/joining/trust", {"trust_tier": "public"}).status == 200
    assert joining.post("/mesh/invitations/join", {"code": code}).status == 200
    assert inviting.rooms["mesh.peers"].find("joining").trust_tier == "public"


def test_an_expired_code_is_refused_by_both_sides(nodes):
    inviting, joining, _ = nodes
    code = invited(inviting, seconds=30)["code"]
    inviting.advance(31)
    answer = joining.post("/mesh/invitations/join", {"code": code})
    assert answer.status == 403 and answer.json["error"] == "this invitation has expired"


def test_a_code_of_another_node_is_refused_before_anything_is_shown_to_it(nodes):
    from ocp_node.mesh.invitations import rules
    inviting, joining, third = nodes
    stolen = rules.ticket(invited(inviting)["code"])._replace(base_url=third.url)
    answer = joining.post("/mesh/invitations/join", {"code": rules.code(stolen)})
    assert answer.status == 401 and answer.json["code"] == "identity_mismatch"
    assert third.rooms["mesh.peers"].find("joining") is None


def test_a_forged_proof_leaves_nothing_behind(nodes):
    from ocp_node.mesh.invitations import rules
    inviting, joining, _ = nodes
    made = invited(inviting)
    forged = rules.ticket(made["code"])._replace(secret=b"x" * 16)
    answer = joining.post("/mesh/invitations/join", {"code": rules.code(forged)})
    assert answer.status == 502 and "not from this node" in answer.text
    assert inviting.rooms["mesh.peers"].find("joining") is None
    assert inviting.get(f"/mesh/invitations/{made['id']}").json["state"] == "open"


@pytest.mark.parametrize("base_url", ["foo://x", "here", "http://", "http://a b", "http://u:p@node.example"])
def test_an_address_that_nobody_could_call_makes_no_code(nodes, base_url):
    answer = nodes[0].post("/mesh/invitations", {"base_url": base_url})
    assert answer.status == 400 and answer.json["code"] == "invalid_request" and "base_url" in answer.json["error"], answer


def test_the_command_takes_an_address_and_warns_of_one_that_no_other_device_reaches(nodes, tmp_path, capsys):
    from ocp_node.cli import main
    for given, address, warned in (([], nodes[0].url, True),
                                   (["--base-url", "http://192.0.2.7:8421"], "http://192.0.2.7:8421", False)):
        assert main(["invite", "--no-wait", "--url", nodes[0].url, "--data-dir", str(tmp_path / "none"), *given],
                    {"HOME": str(tmp_path)}) == 0
        said = capsys.readouterr().err
        assert f"this node:            {address}," in said and ("only this machine" in said) is warned


def test_the_secret_is_not_stored_in_clear(nodes):
    from ocp_node.mesh.invitations import rules
    inviting, _, _ = nodes
    secret = rules.ticket(invited(inviting)["code"]).secret
    stored = b"".join(path.read_bytes() for path in inviting.folder.glob("ocp.db*"))
    assert secret not in stored and secret.hex().encode() not in stored


def test_a_lan_stranger_can_neither_invite_nor_look(tmp_path):
    from tests.support.node import FROM_LAN
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as node:
        assert node.request("POST", "/mesh/invitations", {}, FROM_LAN).status == 401
        assert node.get("/mesh/invitations/x", FROM_LAN).status == 401
