"""Bytes that an operator streams in, and out again, however many."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import kept, parts, sha256
from tests.support.node import FROM_LAN, Answer, TrialNode

ROUTE = "/mesh/artifacts/content"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def upload(node: TrialNode, data: bytes, query: str = "", **headers: str) -> Answer:
    return node.request("PUT", ROUTE + query, raw=data, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_an_upload_is_an_artifact_of_this_node(node: TrialNode) -> None:
    answer = upload(node, b"data", f"?digest=sha256:{sha256(b'data')}&artifact_kind=dataset&name=data.bin&classification=private", Content_Type="text/csv")
    assert answer.status == 201
    decode(records.Published, answer.json)
    made = answer.json["artifact"]
    assert (made["digest"], made["size_bytes"], made["media_type"], made["owner_peer_id"]) == (sha256(b"data"), 4, "text/csv", "trial-node")
    assert (made["artifact_kind"], made["metadata"]["name"], made["policy"]["classification"]) == ("dataset", "data.bin", "private")
    assert node.get(f"/mesh/artifacts/{made['id']}?raw=1").body == b"data"


@pytest.mark.parametrize("query, kept_until", [
    ("", ("durable", "")), ("?retention_class=ephemeral", ("ephemeral", "2027-01-15T09:00:00Z")),
    ("?retention_seconds=60", ("durable", "2027-01-15T08:01:00Z")), ("?retention_class=session&pinned=1", ("durable", "")),
])
def test_an_upload_is_kept_as_long_as_is_said(node: TrialNode, query: str, kept_until: tuple[str, str]) -> None:
    made = upload(node, b"x", query).json["artifact"]
    assert (made["retention_class"], made["retention_deadline_at"]) == kept_until and made["pinned"] is ("pinned" in query)


@pytest.mark.parametrize("data", [b"", b"x", bytes(3_000_000)])
def test_a_chunked_body_is_taken_too(node: TrialNode, data: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    connection.request("PUT", ROUTE, iter([data[start:start + 100_000] for start in range(0, len(data), 100_000)]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    made = json.loads(answer.read())["artifact"]
    connection.close()
    assert (answer.status, made["digest"], made["size_bytes"]) == (201, sha256(data), len(data))


@pytest.mark.parametrize("query, text", [
    (f"?digest={'0' * 64}", "artifact digest mismatch"), ("?digest=short", "digest must be a SHA-256 digest in hex"),
    ("?digest=../../x", "digest must be a SHA-256 digest in hex"), ("?retention_seconds=-1", "retention_seconds must be a non-negative integer"),
    ("?classification=secret", ""), ("?retention_class=never", ""),
])
def test_an_upload_that_is_not_as_it_was_said_leaves_nothing(node: TrialNode, query: str, text: str) -> None:
    answer = upload(node, b"data", query)
    assert answer.status == 400 and (not text or answer.json["error"] == text)
    assert (kept(node), parts(node)) == (set(), [])


def test_only_operators_upload(node: TrialNode) -> None:
    assert upload(node, b"data", **FROM_LAN).status == 401
    assert upload(node, b"data", Origin="http://evil.example").status == 403
    assert kept(node) == set()


def test_an_upload_that_is_cut_off_leaves_nothing(node: TrialNode) -> None:
    with socket.create_connection(("127.0.0.1", node.port)) as caller:
        caller.sendall(f"PUT {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".encode() + bytes(500_000))
        node.until(lambda: parts(node))
    node.until(lambda: not parts(node))
    assert kept(node) == set() and node.get("/mesh/artifacts").json["count"] == 0


@pytest.mark.parametrize("settings, length, status, text", [
    ({"artifacts_max_bytes": 10_000}, 10_001, 413, "request body too large"), ({"artifacts_max_total_bytes": 10_000}, 10_001, 413, "request body too large"),
    ({"artifacts_max_bytes": 10_000}, 10_000, 201, ""),
])
def test_a_bound_is_kept_before_the_body_is_read(tmp_path: Path, settings: Any, length: int, status: int, text: str) -> None:
    with TrialNode(tmp_path, **settings) as node:
        answer = upload(node, bytes(length))
        assert answer.status == status and answer.json.get("error", "") == text


def test_a_chunked_body_beyond_the_bound_is_stopped(tmp_path: Path) -> None:
    with TrialNode(tmp_path, artifacts_max_bytes=100_000) as node:
        with socket.create_connection(("127.0.0.1", node.port)) as caller:
            caller.sendall(f"PUT {ROUTE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            try:
                for _ in range(20):
                    caller.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
                answer = caller.recv(65_536)
            except OSError:
                answer = b"HTTP/1.1 413 "
        assert answer.startswith(b"HTTP/1.1 413 ")
        node.until(lambda: not parts(node))
        assert kept(node) == set()


def test_more_than_one_message_may_hold_is_streamed_by_default(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        room = node.rooms["mesh.artifacts"]
        assert (room.bytes_max, room.streamed_max) == (64 << 20, 10 << 30)


def test_a_caller_that_waits_for_leave_gets_it(node: TrialNode) -> None:
    with socket.create_connection(("127.0.0.1", node.port)) as caller:
        caller.sendall(f"PUT {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode())
        assert caller.recv(100).startswith(b"HTTP/1.1 100 ")
        caller.sendall(b"data")
        assert caller.recv(100).startswith(b"HTTP/1.1 201 ")


# --- memory ----------------------------------------------------------------------------------------------------------------------------

class Child:
    """A node in a process of its own, whose memory can be read."""

    def __init__(self, folder: Path, node_id: str) -> None:
        self._process = subprocess.Popen([sys.executable, "ocp.py", "--data-dir", str(folder), "--port", "0", "--workers", "0", "--node-id", node_id,
                                          "--log-level", "error", "--allow-loopback-peers", "--artifacts-max-bytes", "1gib"],
                                         cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "OCP_NO_BOOTSTRAP": "1"})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("http://"))

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=120)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse()

    def post(self, path: str, body: Any) -> Any:
        answer = self.request("POST", path, json.dumps(body), Content_Type="application/json")
        return json.loads(answer.read())

    def memory(self, line: str = "VmHWM") -> int:
        """KiB, of a line of the kernel's account."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(each for each in text.splitlines() if each.startswith(line)).split()[1])

    def settled(self) -> int:
        """Memory once the node has warmed up: the same at two looks."""
        clock, before = Clock(), -1
        deadline = clock.monotonic() + 20
        while (now := self.memory()) != before and clock.monotonic() < deadline:
            before = now
            for _ in range(20):
                self.request("GET", "/healthz").read()
        return now

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


MIB = 1 << 20


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
def test_a_large_artifact_passes_through_a_small_memory(tmp_path: Path) -> None:
    """192 MiB in, out in both forms, and on to another node: neither grows by more than 24 MiB."""
    size, made = 192 * MIB, hashlib.sha256()

    def body() -> Iterator[bytes]:
        for number in range(size // MIB):
            piece = number.to_bytes(4, "big") * (MIB // 4)
            made.update(piece)
            yield piece

    with Child(tmp_path / "a", "alpha-node") as alpha, Child(tmp_path / "b", "beta-node") as beta:
        before = alpha.settled(), beta.settled()
        answer = beta.request("PUT", ROUTE, body(), Content_Length=str(size))
        artifact = json.loads(answer.read())["artifact"]
        assert (answer.status, artifact["digest"], artifact["size_bytes"]) == (201, made.hexdigest(), size)
        for query, length in (("?raw=1", size), ("", size // 3 * 4)):
            answer, received = beta.request("GET", f"/mesh/artifacts/{artifact['id']}{query}"), 0
            while piece := answer.read(MIB):
                received += len(piece)
            assert answer.status == 200 and received >= length
        assert alpha.post("/mesh/peers/connect", {"base_url": beta.url})["status"] == "ok"
        copied = alpha.post("/mesh/artifacts/replicate", {"peer_id": "beta-node", "artifact_id": artifact["id"]})
        assert (copied["status"], copied["artifact"]["digest"]) == ("replicated", artifact["digest"])
        grown = alpha.memory() - before[0], beta.memory() - before[1]
        assert max(grown) < 24 * 1024, f"KiB grown: {grown}"
