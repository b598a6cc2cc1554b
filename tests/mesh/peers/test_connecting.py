"""Nodes that connect to each other over real sockets, and what they meet there (OCP 0.1 connect, sync, connect-all)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.crypto import envelopes
from tests.support.node import FROM_LAN, TrialNode
from tests.support.peer import TrialPeer
from tests.support.replies import fits
from tests.support.scripted import Scripted

Members = dict[str, Any]
TOKEN = "the-operator-token-of-this-node"
AS_OPERATOR = {"X-OCP-Operator-Token": TOKEN}


@contextlib.contextmanager
def two(folder: Path, **settings: Any) -> Iterator[tuple[TrialNode, TrialNode]]:
    """Alpha, with the settings, and beta."""
    clock = SetClock()
    with TrialNode(folder / "alpha", clock=clock, node_id="alpha", **settings) as alpha, \
            TrialNode(folder / "beta", clock=clock, node_id="beta") as beta:
        yield alpha, beta


def connect(node: TrialNode, **body: Any) -> Any:
    return node.post("/mesh/peers/connect", body)


def events(node: TrialNode) -> list[str]:
    return [event["event_type"] for event in node.get("/mesh/stream?limit=500").json["events"]]


def peers(node: TrialNode) -> dict[str, Members]:
    return {peer["peer_id"]: peer for peer in node.get("/mesh/peers").json["peers"]}


# --- two honest nodes ----------------------------------------------------------------------------------------------------------

def test_two_nodes_list_each_other_after_one_of_them_connected(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        answer = connect(alpha, base_url=beta.url + "/", trust_tier="partner")
        told = fits("mesh.peers.connect", answer.json)
        assert (told["peer_id"], told["base_url"], told["peer_advisory"]["source"]) == ("beta", beta.url, "connect.device")
        assert told["connection"]["response"]["peer"]["peer_id"] == "alpha" and told["sync"]["imported_events"] == 1
        assert (peers(alpha)["beta"]["trust_tier"], peers(beta)["alpha"]["trust_tier"]) == ("partner", "partner")
        assert peers(alpha)["beta"]["metadata"]["last_reachable_base_url"] == beta.url
        assert peers(alpha)["beta"]["heartbeat"]["status"] == "active"
        assert events(alpha) == ["mesh.handshake.sent", "mesh.peer.synced",
                                 "mesh.peer.heartbeat"] and events(beta) == ["mesh.handshake.accepted"]


def test_a_large_answer_leaves_out_copies_and_a_compact_one_all_of_them(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        whole = connect(alpha, base_url=beta.url).json
        assert "manifest" not in whole["connection"]["response"] and whole["sync"]["remote_manifest"] is None
        assert whole["connection"]["remote_manifest"]["organism_card"]["node_id"] == "beta"
        compact = alpha.post("/mesh/peers/connect?compact=1", {"base_url": beta.url})
        fits("mesh.peers.connect", compact.json)
        assert len(compact.body) < 40_000 and compact.json["connection"]["remote_manifest"] is None


def test_a_stored_tier_stays_when_connecting_again(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        connect(alpha, base_url=beta.url, trust_tier="market")
        assert connect(alpha, peer_id="beta", trust_tier="trusted").json["peer"]["trust_tier"] == "market"


def test_a_peer_that_waited_for_admission_is_admitted_by_the_operators_own_connect(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha", peer_admission="approval") as alpha, \
            TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
        connect(beta, base_url=alpha.url)
        assert (peers(alpha)["beta"]["status"], peers(alpha)["beta"]["trust_tier"]) == ("pending", "public")
        assert alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).json["error"] == "peer must be connected before sync"
        connect(alpha, base_url=beta.url, trust_tier="partner")
        assert (peers(alpha)["beta"]["status"], peers(alpha)["beta"]["trust_tier"]) == ("connected", "partner")
        connect(beta, peer_id="alpha")                             # shaking hands back needs no second approval
        assert (peers(alpha)["beta"]["status"], peers(alpha)["beta"]["trust_tier"]) == ("connected", "partner")


def test_a_sync_imports_each_event_once_and_moves_the_cursor(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        connect(alpha, base_url=beta.url)
        for number in range(5):
            beta.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"})
        counts = [fits("mesh.peers.sync", alpha.post("/mesh/peers/sync", {"peer_id": "beta", "limit": 2}).json)["imported_events"]
                  for _ in range(4)]
        assert counts == [2, 2, 1, 0]
        state = peers(alpha)["beta"]["sync_state"]
        assert state["remote_cursor"] == beta.get("/mesh/stream").json["latest_seq"] and state["last_sync_error"] == ""
        with alpha.core.reader.snapshot() as connection:
            kept = [row[0] for row in connection.execute("SELECT remote_seq FROM mesh_remote_event ORDER BY remote_seq")]
        assert kept == [event["seq"] for event in beta.get("/mesh/stream").json["events"]]


def test_syncs_at_the_same_time_import_nothing_twice(tmp_path: Path) -> None:
    from ocp_node.http.lanes import gather
    with two(tmp_path) as (alpha, beta):
        connect(alpha, base_url=beta.url)
        for number in range(10):
            beta.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"})
        outcomes = gather([lambda: alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).json["imported_events"] for _ in range(4)],
                          4, 20.0)
        assert sum(outcomes) == 10 and peers(alpha)["beta"]["sync_state"]["remote_cursor"] == 11


def test_cursors_and_pinned_keys_survive_a_restart(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
        with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
            connect(alpha, base_url=beta.url)
            before = peers(alpha)["beta"]
        beta.post("/mesh/lease/acquire", {"peer_id": "p", "resource": "r"})
        with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
            assert peers(alpha)["beta"] == before
            assert alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).json["imported_events"] == 1


def test_a_log_that_began_anew_is_read_from_its_start(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
            for number in range(5):
                beta.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"})
            connect(alpha, base_url=beta.url)
            assert peers(alpha)["beta"]["sync_state"]["remote_cursor"] == 6
        for kept in (tmp_path / "beta").glob("ocp.db*"):            # the same node, whose database was lost
            kept.unlink()
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
            answer = connect(alpha, base_url=beta.url).json["sync"]
            assert (answer["log_reset"], answer["imported_events"], answer["next_cursor"]) == (True, 1, 1)
            assert alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).json["log_reset"] is False


def test_a_peer_that_cannot_be_reached_is_degraded_until_it_can(tmp_path: Path) -> None:
    clock = SetClock()
    with TrialNode(tmp_path / "alpha", clock=clock, node_id="alpha") as alpha:
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta") as beta:
            connect(alpha, base_url=beta.url)
            port = beta.port
        answer = alpha.post("/mesh/peers/sync", {"peer_id": "beta"})
        assert (answer.status, answer.json["code"], answer.json["peer_id"]) == (502, "peer_unreachable", "beta")
        assert peers(alpha)["beta"]["status"] == "degraded" and peers(alpha)["beta"]["sync_state"]["last_sync_error"]
        with TrialNode(tmp_path / "beta", clock=clock, node_id="beta", port=port):
            assert alpha.post("/mesh/peers/sync", {"peer_id": "beta"}).status == 200
            assert peers(alpha)["beta"]["status"] == "connected" and not peers(alpha)["beta"]["sync_state"]["last_sync_error"]


@pytest.mark.parametrize("body, status, text", [
    ({}, 400, "peer base_url is required"), ({"peer_id": "nobody"}, 404, "peer base_url is required"),
    ({"base_url": "127.0.0.1:8422"}, 400, "the URL needs the form http://host or https://host"),
    ({"base_url": "file:///etc/passwd"}, 400, "only http and https URLs are called"),
    ({"base_url": "http://127.0.0.1/?a=b"}, 400, "a base URL must not have a query"),
    ({"base_url": "http://a:b@127.0.0.1/"}, 400, "the URL must not have user information or a fragment"),
    ({"base_url": "http://169.254.169.254/"}, 400, "169.254.169.254 is not called: its address is metadata"),
    ({"base_url": "http://192.0.2.1", "trust_tier": "friend"}, 400, "unsupported trust tier"),
    ({"base_url": "http://192.0.2.1", "timeout": "fast"}, 400, "timeout must be a number"),
    ({"base_url": 5}, 400, "base_url must be a string"),
])
def test_what_cannot_be_connected_to_is_refused(tmp_path: Path, body: Members, status: int, text: str) -> None:
    with TrialNode(tmp_path) as node:
        answer = node.post("/mesh/peers/connect", body)
        assert (answer.status, answer.json["error"].replace("link-local", "metadata")) == (status, text)


@pytest.mark.parametrize("body, status", [({}, 400), ({"peer_id": "nobody"}, 404), ({"peer_id": "friend"}, 404)])
def test_a_sync_needs_a_peer_with_an_address(tmp_path: Path, body: Members, status: int) -> None:
    with TrialNode(tmp_path) as node:
        TrialPeer("friend").shakes_hands(node)
        answer = node.post("/mesh/peers/sync", body)
        assert (answer.status, answer.json["error"]) == (status, "peer endpoint_url is unavailable")


def test_a_node_does_not_connect_to_itself(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        answer = connect(node, base_url=node.url)
        assert (answer.status, answer.json["error"]) == (400, "a node cannot connect to itself")
        assert peers(node) == {}


def test_another_node_than_the_wanted_one_is_refused(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        answer = connect(alpha, base_url=beta.url, peer_id="gamma")
        assert (answer.status, answer.json["error"]) == (502, "route reached beta, expected gamma")
        assert peers(alpha) == {} and peers(beta) == {}


def test_a_node_that_blocked_us_keeps_us_out_and_nothing_is_stored(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        refused = connect(alpha, base_url=beta.url, trust_tier="blocked")
        assert (refused.status, refused.json["code"], refused.json["peer_status"]) == (502, "peer_refused", 403)
        assert refused.json["peer_error"] == "peer alpha is blocked" and peers(alpha) == {} and peers(beta) == {}


def test_a_peer_we_blocked_is_not_called(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        connect(alpha, base_url=beta.url)
        alpha.post("/mesh/peers/beta/trust", {"trust_tier": "blocked"})
        for answer in (connect(alpha, base_url=beta.url), alpha.post("/mesh/peers/sync", {"peer_id": "beta"})):
            assert (answer.status, answer.json["error"]) == (403, "peer beta is blocked")


# --- lying and broken ones -----------------------------------------------------------------------------------------

class Liar(TrialPeer):
    """A peer that answers over HTTP as told; `answers` are by path."""

    def __init__(self, node_id: str = "liar", number: int = 0, **answers: Any) -> None:
        super().__init__(node_id, number=number)
        self.answers = answers
        self.clock = SetClock()

    def manifest(self, **card: Any) -> Members:
        return {"protocol": "Open Compute Protocol", "protocol_short_name": "OCP", "protocol_release": "0.1",
                "protocol_version": "sovereign-mesh/v1", "organism_card": self.card(trust_tier="self", **card)}

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Any:
        path = path.partition("?")[0]
        if path in self.answers:
            told = self.answers[path]
            return told(body) if callable(told) else told
        usual: dict[str, Any] = {"/mesh/manifest": self.manifest(), "/mesh/stream": {"organism_id": self.node_id, "events": []},
                                 "/mesh/handshake": {"status": "ok", "mesh_session_id": "mesh-0123456789ab", "peer": {},
                                                     "manifest": {}}}
        return usual.get(path, (404, {"error": "unknown endpoint"}))


def test_a_node_of_the_reference_that_signs_nothing_is_taken(tmp_path: Path) -> None:
    liar = Liar()
    with TrialNode(tmp_path) as node, Scripted(liar.answer) as server:
        assert connect(node, base_url=server.url).status == 200
        assert peers(node)["liar"]["mesh_session_id"] == "mesh-0123456789ab" and peers(node)["liar"]["endpoint_url"] == server.url


def test_our_operator_token_never_leaves_the_node(tmp_path: Path) -> None:
    liar = Liar()
    with TrialNode(tmp_path, operator_token=TOKEN, allow_loopback_peers=True) as node, Scripted(liar.answer) as server:
        assert node.post("/mesh/peers/connect", {"base_url": server.url}, AS_OPERATOR).status == 200
        node.post("/mesh/peers/sync", {"peer_id": "liar"}, AS_OPERATOR)
        assert [path.partition("?")[0] for _, path, _, _ in server.asked] == [
            "/mesh/manifest", "/mesh/handshake", "/mesh/manifest", "/mesh/stream", "/mesh/stream"]
        for _, _, headers, body in server.asked:
            assert TOKEN not in str(headers) + str(body)
            assert not {"authorization", "cookie", "x-ocp-operator-token", "x-ocp-control-token"} & headers.keys()


@pytest.mark.parametrize("answers, text", [
    ({"/mesh/manifest": {}}, "peer card is missing organism_id"), ({"/mesh/manifest": []}, "the answer is not a JSON object"),
    ({"/mesh/manifest": b"<html>"}, "the answer is not valid JSON"),
    ({"/mesh/manifest": (302, {})}, "the peer points to another address, which is not followed"),
    ({"/mesh/manifest": (500, {})}, "the peer refused with status 500"),
    ({"/mesh/manifest": {**Liar().manifest(), "protocol_version": "sovereign-mesh/v9"}}, "unsupported mesh protocol version"),
    ({"/mesh/manifest": Liar().manifest(public_key="zz")}, "peer card is missing public_key"),
    ({"/mesh/manifest": Liar().manifest(organism_id="x" * 200)}, "peer card has an organism_id that is too long"),
    ({"/mesh/manifest": Liar().manifest(organism_id="a\nb")}, "peer card has an organism_id that is not printable"),
    ({"/mesh/manifest": Liar().manifest(padding="x" * 70_000)}, "the peer's card is larger than 65536 bytes"),
    ({"/mesh/manifest": {**Liar().manifest(), "padding": "x" * 300_000}}, "the answer is too large"),
    ({"/mesh/handshake": {"status": "ok"}}, "the peer's answer to the handshake is not valid"),
    ({"/mesh/handshake": {"status": "ok", "mesh_session_id": "m", "peer": "x"}},
     "the peer's answer to the handshake is not valid"),
    ({"/mesh/handshake": {"status": "ok", "mesh_session_id": "m", "response_envelope": {}}},
     "the answer to the handshake was not signed by the peer"),
])
def test_what_is_no_node_is_not_kept(tmp_path: Path, answers: Members, text: str) -> None:
    with TrialNode(tmp_path) as node, Scripted(Liar(**answers).answer) as server:
        answer = connect(node, base_url=server.url)
        assert answer.status == 502 and answer.json["error"].startswith(text[:30]) and "code" in answer.json
        assert peers(node) == {} and events(node) == []


@pytest.mark.parametrize("signer, session, receiver", [("thief", "right", "right"), ("right", "wrong", "right"),
                                                       ("right", "right", "wrong")])
def test_an_answer_that_another_one_signed_is_refused(tmp_path: Path, signer: str, session: str, receiver: str) -> None:
    with TrialNode(tmp_path, node_id="alpha") as node:
        liar = Liar()
        identity = liar.identity if signer == "right" else TrialPeer("liar", number=7).identity
        body = {"mesh_session_id": "mesh-0123456789ab" if session == "right" else "mesh-ffffffffffff",
                "accepted_at": node.clock.text(),
                "peer_id": "alpha" if receiver == "right" else "beta"}
        envelope = envelopes.sign_envelope(identity, "/mesh/handshake", body, node.clock, node.core.ids)
        liar.answers["/mesh/handshake"] = {"status": "ok", "mesh_session_id": "mesh-0123456789ab", "peer": {},
                                           "response_envelope": envelope}
        with Scripted(liar.answer) as server:
            assert connect(node, base_url=server.url).json["error"] == "the answer to the handshake was not signed by the peer"
            assert peers(node) == {}


def test_a_peer_cannot_choose_what_is_asked_of_the_address_it_names(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, Scripted(Liar().answer) as victim:
        TrialPeer("liar").shakes_hands(node, endpoint_url=f"{victim.url}/reboot?now=1&x=")
        answer = node.post("/mesh/peers/sync", {"peer_id": "liar"})
        assert (answer.status, answer.json["error"], victim.asked) == (404, "peer endpoint_url is unavailable", [])


def test_a_node_whose_key_has_changed_is_refused_everywhere(tmp_path: Path) -> None:
    honest, thief = Liar("friend"), Liar("friend", number=9)
    with TrialNode(tmp_path) as node, Scripted(honest.answer) as server, Scripted(thief.answer) as elsewhere:
        assert connect(node, base_url=server.url).status == 200
        answer = connect(node, base_url=elsewhere.url)
        assert (answer.status, answer.json["error"]) == (401, "peer public key changed; explicit trust reset required")
        assert "/mesh/handshake" not in [path for _, path, _, _ in elsewhere.asked]
        honest.answers["/mesh/manifest"] = thief.manifest()            # the thief has taken over the address
        answer = node.post("/mesh/peers/sync", {"peer_id": "friend", "refresh_manifest": True})
        assert answer.json["code"] == "key_changed" and peers(node)["friend"]["public_key"] == honest.identity.public_key_hex


def test_a_stream_of_another_node_is_not_imported(tmp_path: Path) -> None:
    liar = Liar()
    with TrialNode(tmp_path) as node, Scripted(liar.answer) as server:
        connect(node, base_url=server.url)
        liar.answers["/mesh/stream"] = {"organism_id": "somebody", "events": [{"seq": 1, "event_type": "mesh.job.completed"}]}
        answer = node.post("/mesh/peers/sync", {"peer_id": "liar"})
        assert (answer.status, answer.json["error"]) == (502, "route reached somebody, expected liar")
        assert peers(node)["liar"]["status"] == "degraded" and peers(node)["liar"]["reliability"]["total"] == 0


def test_what_a_peer_tells_of_its_jobs_is_its_reliability(tmp_path: Path) -> None:
    kinds = ["completed"] * 3 + ["failed"] + ["retry_scheduled"] * 2
    told = [{"seq": number, "id": f"e{number}", "event_type": f"mesh.job.{kind}", "payload": {}} for number,
            kind in enumerate(kinds, 1)]
    liar = Liar(**{"/mesh/stream": {"organism_id": "liar", "events": told, "queue_metrics": {"counts": {"queued": 4},
                                                                                             "pressure": "elevated"}}})
    with TrialNode(tmp_path) as node, Scripted(liar.answer) as server:
        connect(node, base_url=server.url)
        assert peers(node)["liar"]["reliability"] == {"source": "remote_events", "completed": 3, "failed": 1, "retried": 2,
                                                      "total": 4,
                                                      "success_rate": 0.75, "score": 32}
        assert peers(node)["liar"]["load"]["queued"] == 4 and peers(node)["liar"]["load"]["pressure"] == "elevated"


def test_a_reference_log_that_began_anew_is_noticed_by_asking_for_the_last_event(tmp_path: Path) -> None:
    log = [{"seq": number, "id": f"e{number}", "event_type": "x", "payload": {}} for number in range(1, 6)]
    asked: list[str] = []

    class Reference(Liar):
        def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> Any:
            if path.startswith("/mesh/stream"):
                asked.append(path)
                since = int(path.partition("since=")[2].partition("&")[0])
                return {"organism_id": "liar", "events": [event for event in log if event["seq"] > since][:20],
                        "next_cursor": since}
            return super().answer(method, path, headers, body)

    with TrialNode(tmp_path) as node, Scripted(Reference().answer) as server:
        assert connect(node, base_url=server.url).json["sync"]["next_cursor"] == 5
        assert node.post("/mesh/peers/sync", {"peer_id": "liar"}).json["log_reset"] is False
        del log[2:]
        asked.clear()
        answer = node.post("/mesh/peers/sync", {"peer_id": "liar"}).json
        assert (answer["log_reset"], answer["imported_events"], answer["next_cursor"]) == (True, 2, 2) and len(asked) == 3


def test_a_handshake_that_held_leaves_a_peer_though_its_stream_is_broken(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node, Scripted(Liar(**{"/mesh/stream": (503, {"error": "later"})}).answer) as server:
        answer = connect(node, base_url=server.url)
        assert answer.status == 200 and fits("mesh.peers.connect", answer.json)["sync"]["code"] == "peer_refused"
        assert answer.json["sync"]["peer_error"] == "later" and peers(node)["liar"]["status"] == "degraded"


def test_a_peer_that_stalls_costs_its_caller_and_nobody_else(tmp_path: Path) -> None:
    release = threading.Event()

    def stall(*_: Any) -> Any:
        release.wait(20)
        return {}

    with TrialNode(tmp_path) as node, Scripted(stall) as server:
        try:
            threads = [threading.Thread(target=connect, args=(node,), kwargs={"base_url": server.url, "timeout": 30})
                       for _ in range(8)]
            for thread in threads:
                thread.start()
            node.until(lambda: len(server.asked) == 8, "the calls")
            assert TrialPeer("friend").shakes_hands(node)["peer_id"] == "friend"       # signatures are still checked
            assert node.get("/mesh/manifest").status == 200
        finally:
            release.set()
        for thread in threads:
            thread.join(20)


def test_loopback_is_called_only_for_an_operator_on_this_machine(tmp_path: Path) -> None:
    settings = {"operator_token": TOKEN, "trusted_proxies": ("127.0.0.1",)}
    lan = {**AS_OPERATOR, **FROM_LAN}
    with TrialNode(tmp_path, **settings) as node, Scripted(Liar().answer) as server:
        refused = node.post("/mesh/peers/connect", {"base_url": server.url}, lan)
        assert (refused.status, server.asked) == (400, []) and "loopback" in refused.json["error"]
        assert node.post("/mesh/peers/connect", {"base_url": server.url}, AS_OPERATOR).status == 200
        assert node.post("/mesh/peers/sync", {"peer_id": "liar"}, lan).status == 200       # the very URL that was allowed before


# --- everyone ------------------------------------------------------------------------------------------------------

def test_connecting_to_all_tries_each_known_peer_once(tmp_path: Path) -> None:
    with two(tmp_path) as (alpha, beta):
        with Scripted(Liar("gone").answer) as server:
            connect(alpha, base_url=server.url)
        connect(alpha, base_url=beta.url)
        alpha.clock.advance(600)                                # type: ignore[attr-defined]
        body = {"timeout": 1, "scan_timeout": 0.1, "limit": 1}
        told = fits("mesh.peers.connect_all", alpha.post("/mesh/peers/connect-all", body).json)
        outcome = {result["peer_id"]: result["status"] for result in told["results"]}
        assert outcome == {"beta": "connected", "gone": "error"} and told["mesh"]["peer_count"] == 2
        assert (told["connected"], told["errors"], told["treaty_ready"]) == (1, 1, 1)
        again = alpha.post("/mesh/peers/connect-all", body).json
        assert again["already_connected"] == 1 and again["connected"] == 0
