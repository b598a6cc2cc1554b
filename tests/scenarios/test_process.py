"""The product as a stranger runs it: processes of `python3 ocp.py` that are asked, told to end, killed and started again."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.peer import TrialPeer
from tests.support.process_node import Asking, ProcessNode, until

JSON = {"Content-Type": "application/json"}
DEMO = b'{"job":{"kind":"demo","command":"echo hello from ocp"}}'          # as the seed's documents have it


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNode]:
    with ProcessNode(tmp_path_factory.mktemp("stranger") / "state") as running:
        yield running
        running.stop()


def content(node: Any, artifact_id: str) -> bytes:
    return base64.b64decode(node.get(f"/mesh/artifacts/{artifact_id}").json["content_base64"])


# --- the documented calls ----------------------------------------------------------------------------------------------------

def test_the_manifest_tells_who_answers(node: ProcessNode) -> None:
    answer = node.get("/mesh/manifest")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["organism_card"]["node_id"] == node.node_id and answer.json["protocol_short_name"] == "OCP"


def test_the_live_contract_has_the_published_endpoints(node: ProcessNode) -> None:
    contract = node.get("/mesh/contract").json
    assert contract["endpoint_count"] == 94 and contract["groups"]["missions"]["count"] == 22


def test_the_documented_job_runs_and_says_hello(node: ProcessNode) -> None:
    answer = node.request("POST", "/mesh/jobs/submit", headers=JSON, raw=DEMO)
    assert (answer.status, answer.json["status"], answer.json["job"]["status"]) == (200, "completed", "completed"), answer
    job = node.get(f"/mesh/jobs/{answer.json['job']['id']}").json
    logs = node.get(f"/mesh/artifacts?job_id={job['id']}&artifact_kind=log").json["artifacts"]
    assert [content(node, log["id"]) for log in logs] == [b"hello from ocp\n"]


def test_an_artifact_is_described_without_its_content(node: ProcessNode) -> None:
    job = node.request("POST", "/mesh/jobs/submit", headers=JSON, raw=DEMO).json["job"]
    path = f"/mesh/artifacts/{job['result_ref']['id']}"
    bare, whole = node.get(f"{path}?include_content=0").json, node.get(path).json
    assert "content_base64" not in bare and bare["digest"] == whole["digest"]
    assert len(base64.b64decode(whole["content_base64"])) == bare["size_bytes"] > 0


def test_peers_connect_with_an_operator_token(tmp_path: Path) -> None:
    token = {"X-OCP-Operator-Token": "change-me"}
    with ProcessNode(tmp_path / "one", OCP_OPERATOR_TOKEN="change-me") as one, ProcessNode(tmp_path / "two") as two:
        body = {"base_url": two.url, "trust_tier": "trusted"}
        assert one.post("/mesh/peers/connect", body).status == 401
        answer = one.post("/mesh/peers/connect", body, token)
        assert (answer.status, answer.json["peer_id"]) == (200, two.node_id), answer
        assert [peer["peer_id"] for peer in two.get("/mesh/peers").json["peers"]] == [one.node_id]
        one.stop()
        two.stop()


# --- leaving -----------------------------------------------------------------------------------------------------------------

def test_a_request_on_its_way_is_finished_before_the_node_ends(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with ProcessNode(tmp_path / "state") as node:
        body = {"job": {"kind": "demo", "command": f"read word < {gate}; echo $word"}}
        asking = Asking(lambda: node.post("/mesh/jobs/submit", body))
        with open(gate, "w") as opened:                     # returns once the job reads: the request is under way
            node.signal(signal.SIGTERM)
            until(lambda: refuses(node), "that nobody is let in any more")
            assert node.process.poll() is None
            opened.write("finished\n")
        asking.join(20)
        assert asking.fault is None and (asking.answer.status, asking.answer.json["status"]) == (200, "completed"), asking.answer
        assert node.wait() == 0 and "Traceback" not in node.errors
    with ProcessNode(tmp_path / "state") as again:
        log = again.get(f"/mesh/artifacts?job_id={asking.answer.json['job']['id']}&artifact_kind=log").json["artifacts"][0]
        assert content(again, log["id"]) == b"finished\n"


def test_who_waits_for_work_is_told_that_there_is_none_when_the_node_ends(tmp_path: Path) -> None:
    with ProcessNode(tmp_path / "state", "--workers", "0") as node:
        assert node.post("/mesh/workers/register", {"worker_id": "w", "capabilities": ["shell"]}).status == 200
        asking = [Asking(lambda: node.post("/mesh/workers/w/claim", {"wait_seconds": 60})) for _ in range(3)]
        until(lambda: waiting(node) == 3, "that all three wait")
        node.stop()
        for each in asking:
            each.join(20)
            assert each.fault is None and (each.answer.json["status"], each.answer.headers["connection"]) == ("idle", "close")


def test_who_listens_is_let_go_when_the_node_ends(tmp_path: Path) -> None:
    upgrade = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n")
    with ProcessNode(tmp_path / "state") as node, contextlib.ExitStack() as stack:
        idle, events, messages, silent = (
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=20)) for _ in range(4))
        asked = ((idle, "/healthz", ""), (events, "/mesh/control/stream", ""), (messages, "/mesh/stream", upgrade))
        for sock, path, more in asked:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode())
            assert sock.recv(12) in (b"HTTP/1.1 200", b"HTTP/1.1 101")
        until(lambda: waiting(node) == 2, "both streams")
        node.stop()
        assert rest(idle).endswith(b"}") and rest(silent) == b"" and rest(events).endswith(b"\n\n")
        assert rest(messages).endswith(b"\x03\xe9the node stops")          # 1001, going away


def test_transfers_on_their_way_are_finished_before_the_node_ends(tmp_path: Path) -> None:
    data = os.urandom(6_000_000)
    head = {"Content-Type": "application/octet-stream"}
    with ProcessNode(tmp_path / "state") as node:
        there = node.request("PUT", "/mesh/artifacts/content", raw=data, headers=head).json["artifact"]["id"]
        down, up = (http.client.HTTPConnection("127.0.0.1", node.port, timeout=20) for _ in range(2))
        down.request("GET", f"/mesh/artifacts/{there}?raw=1")
        getting = down.getresponse()
        got = getting.read(10_000)
        up.putrequest("PUT", "/mesh/artifacts/content?name=late")
        for name, value in (*head.items(), ("Content-Length", str(len(data) - 1))):
            up.putheader(name, value)
        up.endheaders(data[:-2])
        node.signal(signal.SIGTERM)
        until(lambda: refuses(node), "that nobody is let in any more")
        assert got + getting.read() == data
        up.send(data[-2:-1])
        answer = up.getresponse()
        late = json.loads(answer.read())["artifact"]
        assert answer.status == 201 and node.wait() == 0
        down.close()
        up.close()
        node.start()
        assert node.get(f"/mesh/artifacts/{late['id']}?raw=1").body == data[:-1]
        node.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupt_at_the_keyboard_and_a_terminal_that_closes_are_an_orderly_end(tmp_path: Path, number: signal.Signals) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here (nohup), and so it is by the node")
    with ProcessNode(tmp_path / "state") as node:
        node.signal(number)
        node.signal(number)                                 # an impatient one
        assert node.wait() == 0 and "Traceback" not in node.errors


def rest(sock: socket.socket) -> bytes:
    """All that comes until the node closes the connection."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def waiting(node: ProcessNode) -> int:
    """How many long polls the node holds."""
    lines = node.get("/metrics").text.splitlines()
    return next(int(float(line.split()[-1])) for line in lines if line.startswith("ocp_http_streams"))


def refuses(node: ProcessNode) -> bool:
    try:
        node.get("/healthz")
    except OSError:
        return True
    return False


# --- coming back -------------------------------------------------------------------------------------------------------------

def test_a_node_that_comes_back_is_the_one_it_was(tmp_path: Path) -> None:
    with ProcessNode(tmp_path / "state", "--workers", "0", "--display-name", "First") as node:
        friend = TrialPeer("friend")
        friend.shakes_hands(node)                                                # type: ignore[arg-type]
        published = friend.post(node, "/mesh/artifacts/publish", {"artifact": {"content": "kept"}})     # type: ignore[arg-type]
        assert published.status == 200, published
        job = {"kind": "shell.command", "payload": {"command": "true"}}
        assert node.post("/mesh/jobs/submit", {"job": job}).json["status"] == "queued"
        assert node.post("/mesh/secrets/put", {"name": "n", "scope": "s", "value": "v"}).status == 200
        assert node.post("/mesh/lease/acquire", {"peer_id": "friend", "resource": "printer"}).status == 200
        before = kept(node, published.json["artifact"]["id"])
        assert before["peers"][0][0] == "friend" and before["queue"][0][1] == "queued" and before["content"] == b"kept"
        for end in (node.stop, node.kill):
            end()
            node.start()
            assert kept(node, published.json["artifact"]["id"]) == before
            assert node.post("/mesh/lease/acquire", {"peer_id": "other", "resource": "printer"}).status == 409
            before = kept(node, published.json["artifact"]["id"])                # the refusal left an event
        node.stop()


def kept(node: ProcessNode, artifact_id: str) -> dict[str, Any]:
    """What a node must not forget."""
    card = node.get("/mesh/manifest").json["organism_card"]
    log, peers = node.get("/mesh/stream?limit=500").json, node.get("/mesh/peers").json["peers"]
    return {
        "card": [card[name] for name in ("node_id", "display_name", "public_key")],
        "peers": [[peer[name] for name in ("peer_id", "public_key", "trust_tier", "status")] for peer in peers],
        "queue": [[each[name] for name in ("id", "status", "job_id")] for each in node.get("/mesh/queue").json["messages"]],
        "content": content(node, artifact_id),
        "secrets": [[each[name] for name in ("name", "value_digest")] for each in node.get("/mesh/secrets").json["secrets"]],
        "log": (log["log_id"], [(event["seq"], event["id"]) for event in log["events"]]),
    }
