"""Nodes with self-signed certificates join, call each other and follow renewals; no other certificate is taken for theirs."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base import limits
from ocp_node.base.clock import Clock, SetClock
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.http import tls
from ocp_node.mesh.invitations import rules
from ocp_node.mesh.peers.peer import CERTIFICATE_PIN
from tests.support.node import Answer, TrialNode
from tests.support.peer import TrialPeer

Nodes = tuple[TrialNode, TrialNode]
Members = dict[str, Any]
NOT_PINNED = "the peer's certificate is not the pinned one"
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program makes the certificates")


def tls_node(folder: Path, name: str, clock: SetClock, **settings: Any) -> TrialNode:
    """A node with a certificate of its own, which has nobody to tell of it yet."""
    usual = {"node_id": name, "display_name": name, "peer_admission": "approval", "allow_loopback_peers": True,
             "before": lambda node: node.rooms["mesh.identity"].record()}
    return TrialNode(folder / name, clock=clock, tls_self_signed=True, **{**usual, **settings})


@pytest.fixture()
def clock() -> SetClock:
    return SetClock(float(int(Clock().time())))           # certificates are made, and judged by authorities, by the real time


@pytest.fixture()
def nodes(tmp_path: Path, clock: SetClock) -> Iterator[Nodes]:
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(tls_node(tmp_path, name, clock)) for name in ("alpha", "beta"))  # type: ignore[misc]


def code_of(node: TrialNode, **more: Any) -> str:
    answer = node.post("/mesh/invitations", more)
    assert answer.status == 200, answer
    return str(answer.json["code"])


def join(node: TrialNode, code: str) -> Answer:
    return node.post("/mesh/invitations/join", {"code": code})


def joined(nodes: Nodes) -> Nodes:
    """Beta has joined alpha."""
    answer = join(nodes[1], code_of(nodes[0]))
    assert answer.status == 200 and answer.json["peer_id"] == "alpha", answer
    return nodes


def metadata(node: TrialNode, peer_id: str) -> Members:
    found: Members = node.rooms["mesh.peers"].find(peer_id).metadata
    return found


def job(by: TrialNode, at: str, name: str) -> Members:
    """A job that the node has signed and sent to its peer, as that one took it in."""
    body = {"job": {"kind": "agent.echo", "dispatch_mode": "queued", "payload": {"name": name}}}
    answer: Members = by.rooms["mesh.calls"].signed(by.rooms["mesh.peers"].find(at), "/mesh/jobs/submit", body)
    found: Members = answer["job"]
    return found


def refused(by: TrialNode, at: str) -> str:
    with pytest.raises(Refusal) as caught:
        job(by, at, "x")
    assert caught.value.code == "peer_unreachable", caught.value
    return str(caught.value.message)


def pair(folder: Path) -> tuple[Path, Path]:
    def run(command: Any) -> tuple[int, str]:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return ended.returncode, ended.stderr
    return tls.self_signed(folder, [], [], run=run, clock=Clock(), ids=Ids())


def serves(node: TrialNode, certificate: tuple[Path, Path], known: bool) -> str:
    """The node answers under another certificate from now on: its own new one, or (not `known` to it) that of somebody between;
    connections that callers kept have ended."""
    made = tls.fingerprint(certificate[0])
    node.on_loop(lambda: setattr(node.node.server, "tls", tls.server_wrap(tls.server_context(*certificate))))
    assert isinstance(node.clock, SetClock)
    node.clock.advance(limits.OUTBOUND_IDLE_SECONDS + 1)
    if known:
        node.core.certificate = made
    return made


def shakes_hands(by: TrialNode, at: str) -> None:
    by.rooms["mesh.peers"].introduce(by.rooms["mesh.peers"].find(at), True)


def says(peer: TrialPeer, node: TrialNode, certificate: str, url: str) -> Answer:
    """A handshake of the peer that names this certificate and this URL."""
    return peer.post(node, "/mesh/handshake", {**peer.introduction(endpoint_url=url), "certificate_sha256": certificate})


def events(node: TrialNode, kind: str) -> list[Members]:
    return [event for event in node.get("/mesh/stream?limit=500").json["events"] if event["event_type"] == kind]


# --- what works ----------------------------------------------------------------------------------------------------------------

def test_two_nodes_with_self_signed_certificates_join_and_send_each_other_signed_jobs(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    assert job(beta, "alpha", "there")["origin_peer_id"] == "beta" and job(alpha, "beta", "back")["origin_peer_id"] == "alpha"
    assert metadata(beta, "alpha")[CERTIFICATE_PIN] == {"sha256": alpha.core.certificate, "by": "operator"}
    assert metadata(alpha, "beta")[CERTIFICATE_PIN]["sha256"] == beta.core.certificate
    assert beta.post("/mesh/peers/sync", {"peer_id": "alpha", "refresh_manifest": True}).status == 200
    assert alpha.post("/mesh/peers/sync", {"peer_id": "beta", "refresh_manifest": True}).status == 200
    for node, other in ((alpha, "beta"), (beta, "alpha")):
        assert node.post("/mesh/routes/probe", {"peer_id": other}).json["reachable"] == 1
        assert node.post("/mesh/peers/connect", {"peer_id": other}).status == 200


def test_work_goes_to_a_pinned_peer_under_its_certificate_and_never_in_the_clear(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    echo, dispatch = {"kind": "agent.echo", "payload": {"name": "work"}}, alpha.rooms["mesh.dispatch"]
    sent = dispatch.send("beta", echo, "work-1", loopback=True)
    assert sent["status"] == "completed" and beta.get(f"/mesh/jobs/{sent['job']['id']}").json["origin_peer_id"] == "alpha"
    with pytest.raises(Refusal, match="not called without"):
        dispatch.send("beta", echo, "work-2", base_url=beta.url.replace("https:", "http:"), loopback=True)
    serves(beta, pair(beta.folder / "between"), known=False)
    with pytest.raises(Refusal, match="not the pinned one"):
        dispatch.send("beta", echo, "work-3", loopback=True)


def test_artifacts_are_copied_under_the_pin(nodes: Nodes, tmp_path: Path) -> None:
    alpha, beta = joined(nodes)
    made = alpha.request("PUT", "/mesh/artifacts/content?classification=public", headers={"Content-Type": "text/plain"},
                         raw=b"bytes")
    assert made.status == 201, made
    wanted = {"peer_id": "alpha", "artifact_id": made.json["artifact"]["id"]}
    assert beta.post("/mesh/artifacts/replicate", wanted).status == 200
    serves(alpha, pair(tmp_path / "between"), known=False)
    answer = beta.post("/mesh/artifacts/verify-mirror", {"artifact_id": beta.get("/mesh/artifacts").json["artifacts"][0]["id"]})
    assert answer.status == 502 and NOT_PINNED in answer.text, answer


def test_a_renewed_certificate_is_followed_after_the_next_handshake_of_its_node(nodes: Nodes, tmp_path: Path) -> None:
    alpha, beta = joined(nodes)
    before = alpha.core.certificate
    renewed = serves(alpha, pair(tmp_path / "renewed"), known=True)
    assert refused(beta, "alpha") == NOT_PINNED
    shakes_hands(alpha, "beta")
    assert metadata(beta, "alpha")[CERTIFICATE_PIN]["sha256"] == renewed
    assert job(beta, "alpha", "after")["origin_peer_id"] == "beta"
    (event,) = events(beta, "mesh.peer.certificate_changed")
    assert event["peer_id"] == "alpha" and event["payload"] == {"certificate": renewed, "previous_certificate": before}
    again = serves(alpha, pair(tmp_path / "again"), known=True)
    shakes_hands(alpha, "beta")
    assert job(beta, "alpha", "again")["origin_peer_id"] == "beta" and metadata(beta, "alpha")[CERTIFICATE_PIN]["sha256"] == again


def test_a_node_that_starts_with_a_new_certificate_tells_its_peers_by_itself(tmp_path: Path, clock: SetClock) -> None:
    with tls_node(tmp_path, "beta", clock) as beta:
        with tls_node(tmp_path, "alpha", clock) as alpha:
            before = joined((alpha, beta))[0].core.certificate
        shutil.rmtree(tmp_path / "alpha" / "tls")
        with tls_node(tmp_path, "alpha", clock, before=lambda node: None) as alpha:
            beta.until(lambda: metadata(beta, "alpha")[CERTIFICATE_PIN]["by"] == "peer", "the handshake of the renewed node")
            assert metadata(beta, "alpha")[CERTIFICATE_PIN]["sha256"] == alpha.core.certificate != before
            assert beta.post("/mesh/peers/connect", {"peer_id": "alpha"}).status == 200


def test_an_operator_connects_by_a_fingerprint_as_by_a_code(nodes: Nodes) -> None:
    alpha, beta = nodes
    told = alpha.get("/mesh/identity").json["certificate"]
    assert told == alpha.core.certificate
    colons = ":".join(told[at:at + 2] for at in range(0, 64, 2)).upper()
    wanted = {"base_url": alpha.url, "certificate": colons}
    assert beta.post("/mesh/peers/connect", {"base_url": alpha.url}).status == 502
    assert beta.post("/mesh/peers/connect", wanted).status == 200
    assert metadata(beta, "alpha")[CERTIFICATE_PIN] == {"sha256": told, "by": "operator"}
    assert beta.post("/mesh/peers/connect", {"base_url": alpha.url}).status == 200         # known there from now on
    for wrong in ({**wanted, "certificate": "xyz"}, {**wanted, "base_url": alpha.url.replace("https:", "http:")}):
        answer = beta.post("/mesh/peers/connect", wrong)
        assert answer.status == 400 and answer.json["code"] == "invalid_request" and "certificate" in answer.json["error"], answer


def test_a_node_without_a_self_signed_certificate_says_nothing_of_one(tmp_path: Path, clock: SetClock) -> None:
    with TrialNode(tmp_path / "plain", clock=clock, node_id="plain") as plain:
        made = plain.post("/mesh/invitations").json
        assert made["certificate"] == "" and plain.get("/mesh/identity").json["certificate"] == ""
        assert rules.ticket(made["code"]).certificate == ""
        connecting = plain.rooms["mesh.peers"]._connecting()
        assert "certificate_sha256" not in connecting._introduction("trusted")


# --- who would have it otherwise -----------------------------------------------------------------------------------------------

def test_a_man_in_the_middle_with_another_self_signed_certificate_gets_nothing(nodes: Nodes, tmp_path: Path) -> None:
    alpha, beta = joined(nodes)
    code = code_of(alpha)
    serves(alpha, pair(tmp_path / "between"), known=False)
    assert refused(beta, "alpha") == NOT_PINNED
    for path, body in (("/mesh/peers/sync", {"peer_id": "alpha"}), ("/mesh/peers/connect", {"peer_id": "alpha"}),
                       ("/mesh/invitations/join", {"code": code})):
        answer = beta.post(path, body)
        assert answer.status == 502 and answer.json["code"] == "peer_unreachable" and NOT_PINNED in answer.text, answer
    probed = beta.post("/mesh/routes/probe", {"peer_id": "alpha"}).json
    assert probed["reachable"] == 0 and NOT_PINNED in json.dumps(probed)
    assert len(events(alpha, "mesh.handshake.accepted")) == 1                      # that of the first join
    log = alpha.get("/mesh/stream?limit=500").json["events"]
    assert not [event for event in log if event["event_type"].startswith("mesh.job.")]


def test_a_tampered_code_reaches_nobody(nodes: Nodes) -> None:
    alpha, beta = nodes
    ticket = rules.ticket(code_of(alpha))
    other = join(beta, rules.code(ticket._replace(certificate="0" * 64)))
    assert other.status == 502 and NOT_PINNED in other.text
    without = join(beta, rules.code(ticket._replace(certificate="")))
    assert without.status == 502 and "not trusted" in without.text
    plain = join(beta, rules.code(ticket._replace(base_url=alpha.url.replace("https:", "http:"))))
    assert plain.status == 400 and plain.json["error"] == "this is no invitation code"
    assert beta.rooms["mesh.peers"].find("alpha") is None and alpha.rooms["mesh.peers"].find("beta") is None


def test_a_peer_whose_card_names_the_url_of_another_with_its_own_certificate_changes_nothing_there(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    liar = TrialPeer("liar")
    assert says(liar, beta, "f" * 64, alpha.url).status == 200
    assert beta.post("/mesh/peers/liar/trust", {"trust_tier": "trusted"}).status == 200
    assert metadata(beta, "liar")[CERTIFICATE_PIN]["sha256"] == "f" * 64
    assert job(beta, "alpha", "still")["origin_peer_id"] == "beta"
    assert beta.post("/mesh/peers/connect", {"base_url": alpha.url}).status == 200
    assert refused(beta, "liar") == NOT_PINNED
    assert beta.post("/mesh/peers/connect", {"peer_id": "liar"}).status == 502
    assert metadata(beta, "alpha")[CERTIFICATE_PIN]["sha256"] == alpha.core.certificate


def test_a_peer_whose_card_names_the_certificate_of_another_is_still_not_taken_for_it(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    liar = TrialPeer("liar")
    assert says(liar, beta, alpha.core.certificate, alpha.url).status == 200
    assert beta.post("/mesh/peers/liar/trust", {"trust_tier": "trusted"}).status == 200
    answer = beta.post("/mesh/peers/sync", {"peer_id": "liar"})
    assert answer.status == 502 and "expected liar" in answer.text, answer


def test_a_handshake_under_another_key_changes_no_pin(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    before = metadata(beta, "alpha")
    answer = says(TrialPeer("alpha"), beta, "f" * 64, alpha.url)
    assert answer.status == 401 and answer.json["code"] == "key_changed"
    forged = TrialPeer("alpha").sign(beta, "/mesh/handshake", {})
    forged["body"] = {"peer_card": TrialPeer("alpha").card(public_key=alpha.core.identity.public_key_hex, endpoint_url=alpha.url),
                      "certificate_sha256": "f" * 64}
    assert beta.post("/mesh/handshake", forged).json["code"] == "bad_signature"
    assert metadata(beta, "alpha") == before and job(beta, "alpha", "still")["origin_peer_id"] == "beta"


def test_a_handshake_signed_before_the_last_one_brings_no_old_certificate_back(nodes: Nodes, clock: SetClock) -> None:
    node, peer = nodes[0], TrialPeer("gamma")
    held_back = peer.sign(node, "/mesh/handshake", {**peer.introduction(endpoint_url="https://10.0.0.7:8421"),
                                                    "certificate_sha256": "a" * 64})
    clock.advance(10)
    assert says(peer, node, "b" * 64, "https://10.0.0.7:8421").status == 200
    assert node.post("/mesh/handshake", held_back).status == 200
    assert metadata(node, "gamma")[CERTIFICATE_PIN]["sha256"] == "b" * 64


def test_the_handshake_of_a_stranger_pins_nothing_before_admission(nodes: Nodes) -> None:
    alpha, beta = nodes
    shaking, calls = TrialPeer("stranger"), alpha.rooms["mesh.calls"]
    assert says(shaking, alpha, beta.core.certificate, beta.url).json["peer"]["status"] == "pending"
    stranger = alpha.rooms["mesh.peers"].find("stranger")
    assert calls.certificate(stranger, beta.url) == "" and calls.certificate(beta.url, beta.url) == ""
    assert alpha.post("/mesh/peers/stranger/trust", {"trust_tier": "public"}).status == 200
    assert calls.certificate(alpha.rooms["mesh.peers"].find("stranger"), beta.url) == beta.core.certificate


def test_a_node_that_only_says_to_be_a_known_peer_moves_no_pin_to_its_own_certificate(nodes: Nodes, tmp_path: Path,
                                                                                     clock: SetClock) -> None:
    alpha, beta = joined(nodes)
    before = metadata(beta, "alpha")
    with tls_node(tmp_path / "other", "alpha", clock) as liar:
        card = {**liar.rooms["mesh.manifest"].card(), "public_key": alpha.core.identity.public_key_hex}
        liar.rooms["mesh.manifest"].card = lambda tier="self": card
        wanted = {"base_url": liar.url, "certificate": liar.core.certificate}
        for unsigned in (False, True):
            if unsigned:
                shaking = liar.rooms["mesh.handshake"]
                whole = shaking.answer
                shaking.answer = lambda *told: {name: value for name, value in whole(*told).items() if name != "response_envelope"}
            answer = beta.post("/mesh/peers/connect", wanted)
            assert answer.status == 502 and "not signed by the peer" in answer.text, answer
    assert metadata(beta, "alpha") == before and job(beta, "alpha", "still")["origin_peer_id"] == "beta"


def test_a_downgrade_to_http_is_refused_whoever_names_the_url(nodes: Nodes, tmp_path: Path, clock: SetClock) -> None:
    alpha, beta = joined(nodes)
    with TrialNode(tmp_path / "plain", clock=clock, node_id="alpha") as plain:             # says to be alpha, in the clear
        shown = plain.rooms["mesh.manifest"]
        card = {**shown.card(), "public_key": alpha.core.identity.public_key_hex}
        shown.card = lambda tier="self": card
        for path, body in (("/mesh/peers/connect", {"base_url": plain.url}),
                           ("/mesh/peers/connect", {"base_url": plain.url, "peer_id": "alpha"})):
            answer = beta.post(path, body)
            assert answer.status == 502 and "not called without" in answer.text, answer
        for wanted in ({"base_url": plain.url}, {"peer_id": "alpha", "base_url": plain.url}):
            probed = beta.post("/mesh/routes/probe", wanted).json
            assert "not called without" in json.dumps(probed)
            assert all(each["status"] != "reachable" for each in probed["candidates"] if each["base_url"] == plain.url)
    assert metadata(beta, "alpha")["last_reachable_base_url"] == alpha.url


def test_a_pin_for_127_0_0_1_opens_no_way_to_this_machine_and_judges_nobody_else_there(tmp_path: Path, clock: SetClock) -> None:
    with TrialNode(tmp_path / "node", clock=clock, node_id="node", peer_admission="declared") as node, \
            tls_node(tmp_path, "beta", clock) as beta:
        peer = TrialPeer("gamma")
        assert says(peer, node, "f" * 64, beta.url).status == 200
        calls, gamma = node.rooms["mesh.calls"], node.rooms["mesh.peers"].find("gamma")
        with pytest.raises(Refusal) as caught:
            calls.get(gamma, "/mesh/manifest")
        assert caught.value.code == "invalid_request" and "loopback" in caught.value.message
        assert calls.certificate(beta.url, beta.url) == ""
        wanted = {"base_url": beta.url, "certificate": beta.core.certificate}
        assert node.post("/mesh/peers/connect", wanted).status == 200


def test_a_key_that_is_reset_takes_its_pins_with_it(nodes: Nodes) -> None:
    alpha, beta = joined(nodes)
    for node, other in ((alpha, "beta"), (beta, "alpha")):
        assert node.post(f"/mesh/peers/{other}/trust", {"reset_key": True}).status == 200
        assert CERTIFICATE_PIN not in metadata(node, other)


def test_an_old_code_of_six_parts_is_still_read_and_made_where_no_certificate_needs_a_word() -> None:
    old = rules.Ticket("https://node.example", "ab" * 16, "0123456789abcdef", b"s" * 16, "trusted", 1_800_000_000)
    from ocp_node.crypto import base64url
    assert len(json.loads(base64url.decode(rules.code(old).removeprefix(rules.PREFIX)))) == 6
    assert rules.ticket(rules.code(old)) == old


@pytest.mark.parametrize("parts", [["a" * 63], ["A" * 64], [7], [None], [""], ["a" * 64, "a" * 64], [["a" * 64]]])
def test_a_code_with_a_malformed_certificate_is_no_code(parts: list[Any]) -> None:
    from ocp_node.base import jsontext
    from ocp_node.crypto import base64url
    facts = ["https://10.0.0.7:8421", "ab" * 16, "i", base64url.encode(b"s" * 16), "trusted", 1_800_000_000, *parts]
    with pytest.raises(Refusal) as caught:
        rules.ticket(rules.PREFIX + base64url.encode(jsontext.compact(facts)))
    assert caught.value.message == "this is no invitation code"
