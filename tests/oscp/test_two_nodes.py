"""Two nodes of ours as provider and flexibility provider: registered from either side, shaken hands, alive, gone."""

from __future__ import annotations

import contextlib

import pytest

from ocp_node.base.clock import Clock
from tests.support.node import TrialNode

ADMIN = "/oscp/admin/v1/peers"


@pytest.fixture()
def pair(tmp_path):
    """A capacity provider and a flexibility provider; real clocks, because two nodes share the time."""
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(TrialNode(tmp_path / "cp", clock=Clock(), node_id="provider", oscp_heartbeat_interval=1))
        flexible = stack.enter_context(TrialNode(tmp_path / "fp", clock=Clock(), node_id="flexible", oscp_heartbeat_interval=1))
        yield provider, flexible


def invite(node, local_role, peer_role, name, **more):
    answer = node.post(ADMIN, {"local_role": local_role, "peer_role": peer_role, "name": name, **more})
    assert answer.status == 201, answer
    return answer.json


def peer(node, peer_id):
    return node.get(f"{ADMIN}/{peer_id}").json


def registered(provider, flexible, begins):
    """Both know each other as REGISTERED; gives the ids of the two parties."""
    cp = invite(provider, "cp", "fp", "flexible")
    fp = invite(flexible, "fp", "cp", "provider")
    asked, initiator, other = (fp, provider, cp) if begins == "cp" else (cp, flexible, fp)
    answer = initiator.post(f"{ADMIN}/{other['id']}/connect", {"base_url": asked["base_url"], "token_a": asked["token_a"]})
    assert answer.status == 202 and answer.json["state"] == "CONNECTING", answer
    provider.until(lambda: peer(provider, cp["id"])["state"] == "REGISTERED", "the provider's registration")
    flexible.until(lambda: peer(flexible, fp["id"])["state"] == "REGISTERED", "the flexibility provider's registration")
    return cp["id"], fp["id"]


@pytest.mark.parametrize("begins", ["cp", "fp"])
def test_either_side_may_begin_and_both_shake_hands_and_live(pair, begins):
    provider, flexible = pair
    cp, fp = registered(provider, flexible, begins)
    provider.until(lambda: peer(provider, cp)["handshake_acknowledged"], "the acknowledge")
    assert peer(flexible, fp)["required_behaviour"] == {"heartbeat_interval": 1.0, "measurement_configuration": ["CONTINUOUS"]}
    provider.until(lambda: peer(provider, cp)["liveness"] == "ONLINE", "a heartbeat at the provider")
    flexible.until(lambda: peer(flexible, fp)["liveness"] == "ONLINE", "a heartbeat at the flexibility provider")
    endpoints = {(message["direction"], message["endpoint"]) for message in provider.get(f"/oscp/admin/v1/messages?peer={cp}").json["messages"]}
    assert {("out", "handshake"), ("in", "handshake_acknowledge"), ("in", "heartbeat")} <= endpoints


def test_what_is_ended_by_one_is_over_for_both_and_its_tokens_open_nothing(pair):
    provider, flexible = pair
    cp, fp = registered(provider, flexible, "cp")
    token = provider.rooms["oscp.parties"].token_out(cp)
    assert provider.post(f"{ADMIN}/{cp}/unregister").status == 202
    flexible.until(lambda: peer(flexible, fp)["state"] == "UNREGISTERED", "the end at the other side")
    answer = flexible.request("POST", "/oscp/fp/2.0/heartbeat", {"offline_mode_at": "2099-01-01T00:00:00Z"},
                              {"Authorization": f"Token {token}", "X-Request-ID": "after-the-end"})
    assert answer.status == 401 and answer.json == {"message": "Unauthorized", "code": "unauthorized"}


def test_a_party_that_cannot_be_reached_fails_clearly(tmp_path):
    with TrialNode(tmp_path, clock=Clock()) as node:
        made = invite(node, "cp", "fp", "nobody")
        node.post(f"{ADMIN}/{made['id']}/connect", {"base_url": "http://127.0.0.1:9/oscp/fp/2.0", "token_a": "abc"})
        node.until(lambda: peer(node, made["id"])["state"] == "FAILED", "the failure")
        assert peer(node, made["id"])["last_error"] == "register: no answer"
