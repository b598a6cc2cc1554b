"""The outgoing client against raw sockets: policy, deadlines, bounds, kept connections, TLS, streams."""

from __future__ import annotations

import io
import select
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocp_node.base.clock import Clock
from ocp_node.base.ids import Ids
from ocp_node.base.log import silent
from ocp_node.http import tls
from ocp_node.http.outbound import Outbound, OutboundError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EMPTY = OK + b"Content-Length: 2\r\n\r\n{}"


class Peer:
    """A raw server on loopback: `serve(sock, peer)` runs in a thread of its own for each connection."""

    def __init__(self, serve: Callable[[socket.socket, Peer], None], context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._serve = serve
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self._serve(sock, self)
        except OSError:
            pass
        finally:
            sock.close()

    def read(self, sock: socket.socket) -> bytes:
        """One request with its body; b"" at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65_536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += sock.recv(65_536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def stop(self) -> None:
        for sock in (self._listener, *self._open):
            try:
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        for thread in self._threads:
            thread.join(5)


Start = Callable[..., Peer]


@pytest.fixture
def start() -> Iterator[Start]:
    peers: list[Peer] = []

    def begin(serve: Callable[[socket.socket, Peer], None] | bytes, context: ssl.SSLContext | None = None) -> Peer:
        peers.append(Peer(always(serve) if isinstance(serve, bytes) else serve, context))
        return peers[-1]

    yield begin
    for peer in peers:
        peer.stop()


def always(answer: bytes) -> Callable[[socket.socket, Peer], None]:
    """The same answer to every request of a connection."""
    def serve(sock: socket.socket, peer: Peer) -> None:
        while peer.read(sock):
            sock.sendall(answer)
    return serve


@pytest.fixture
def outbound() -> Iterator[Outbound]:
    made = client()
    yield made
    made.close()


def client(**settings) -> Outbound:
    return Outbound(Clock(), silent(), "ocp/0.1", **{"allow_loopback": True, **settings})


def failure(outbound: Outbound, method: str, url: str, **settings) -> OutboundError:
    with pytest.raises(OutboundError) as failed:
        outbound.request(method, url, **{"timeout": 5.0, "bytes_max": 1000, **settings})
    assert not any(word in failed.value.message for word in ("Traceback", "Errno", "_ssl", "SSL:", "0x"))
    return failed.value


def until_stirred(outbound: Outbound) -> None:
    """Something, or the end, has arrived at the one idle connection."""
    (waiting,) = outbound._links._idle.values()
    assert select.select([waiting[0].sock], [], [], 5)[0]


# --- what is sent --------------------------------------------------------------------------------------------------------

def test_only_what_the_caller_gave_is_sent(start, outbound, monkeypatch):
    peer = start(EMPTY)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("OCP_OPERATOR_TOKEN", "secret")
    outbound.request("GET", f"{peer.url}/mesh/stream?since=0", headers=[("X-Own", "a b")], timeout=5, bytes_max=100)
    assert peer.requests == [f"GET /mesh/stream?since=0 HTTP/1.1\r\nHost: 127.0.0.1:{peer.port}\r\nUser-Agent: ocp/0.1\r\n"
                             "Accept-Encoding: identity\r\nX-Own: a b\r\n\r\n".encode()]


def test_a_json_body_is_sent_compactly_with_its_type_and_length(start, outbound):
    peer = start(EMPTY)
    assert outbound.json("POST", f"{peer.url}/x", json={"a": [1, "é"]}, timeout=5) == {}
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert body == '{"a":[1,"é"]}'.encode()
    assert head.split(b"\r\n")[4:] == [b"Accept: application/json", b"Content-Type: application/json", b"Content-Length: 14"]


@pytest.mark.parametrize("method, body, length", [
    ("POST", None, b"0"), ("POST", b"", b"0"), ("PUT", b"abc", b"3"), ("DELETE", b"", b"0"),
])
def test_a_body_has_its_length_even_when_empty(start, outbound, method, body, length):
    peer = start(EMPTY)
    outbound.request(method, peer.url, body=body, timeout=5, bytes_max=100)
    assert b"\r\nContent-Length: " + length + b"\r\n" in peer.requests[0] and peer.requests[0].endswith(body or b"\r\n\r\n")


def test_a_file_is_sent_from_where_it_stands(start, outbound):
    peer = start(EMPTY)
    content = bytes(range(256)) * 4000
    file = io.BytesIO(b"skipped" + content + b"not sent")
    file.seek(7)
    outbound.request("PUT", peer.url, body_file=file, body_length=len(content), timeout=10, bytes_max=100)
    assert peer.requests[0].partition(b"\r\n\r\n")[2] == content


def test_a_file_that_is_shorter_than_announced_ends_the_call(start, outbound):
    peer = start(EMPTY)
    fault = failure(outbound, "PUT", peer.url, body_file=io.BytesIO(b"abc"), body_length=10)
    assert fault.kind == "bad_request" and len(outbound._links) == 0


def test_a_large_body_arrives_whole(start, outbound):
    peer = start(EMPTY)
    body = bytes(range(256)) * 8000
    outbound.request("POST", peer.url, body=body, timeout=10, bytes_max=100)
    assert peer.requests[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize("headers", [
    [("X", "a\r\nY: b")], [("X", "a\nb")], [("X", "a\rb")], [("X", "a\0")], [("X", "\x7f")], [("X", "é")],
    [("X: y\r\nZ", "a")], [("X Y", "a")], [("", "a")], [("X:", "a")], [("é", "a")],
    [("Host", "evil")], [("content-length", "0")], [("Transfer-Encoding", "chunked")], [("Connection", "close")],
    [("Upgrade", "h2c")], [("Expect", "100-continue")], [("X", "a" * 20_000)], [("X", "a")] * 200,
])
def test_a_header_that_would_be_more_than_a_header_is_refused(start, outbound, headers):
    peer = start(EMPTY)
    assert failure(outbound, "GET", peer.url, headers=headers).kind == "bad_request"
    assert peer.connections == 0


@pytest.mark.parametrize("method", ["", "get", "GET /x HTTP/1.1\r\nX:", "CONNECT", "G ET", "É", "A" * 17])
def test_a_method_that_is_none_is_refused(start, outbound, method):
    peer = start(EMPTY)
    assert failure(outbound, method, peer.url).kind == "bad_request" and peer.connections == 0


# --- where it goes -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("url, kind", [
    ("file:///etc/passwd", "bad_request"), ("ftp://10.0.0.1/", "bad_request"), ("http://a@10.0.0.1/", "bad_request"),
    ("http://10.0.0.1/\r\nX: 1", "bad_request"), ("http://10.0.0.1#x", "bad_request"),
    ("http://169.254.169.254/latest/meta-data/", "address_refused"), ("http://[::ffff:169.254.169.254]/", "address_refused"),
    ("http://2852039166/", "address_refused"), ("http://0xa9fea9fe/", "address_refused"), ("http://0.0.0.0/", "address_refused"),
    ("http://[::]/", "address_refused"), ("http://[fe80::1]/", "address_refused"), ("http://224.0.0.1/", "address_refused"),
    ("http://255.255.255.255/", "address_refused"), ("http://100.100.100.200/", "address_refused"),
    ("http://0/", "address_refused"),
])
def test_a_forbidden_target_is_refused_before_anything_is_sent(outbound, url, kind):
    assert failure(outbound, "GET", url).kind == kind


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "rebound.example"])
def test_loopback_is_refused_unless_allowed(start, host):
    peer = start(EMPTY)
    careful = client(allow_loopback=False, resolve=lambda name, port: ["127.0.0.1"])
    url = f"http://{host}:{peer.port}/"
    assert failure(careful, "GET", url).kind == "address_refused" and peer.connections == 0
    assert careful.request("GET", url, timeout=5, bytes_max=100, allow_loopback=True).status == 200
    assert failure(careful, "GET", url).kind == "address_refused", "a kept connection must not be a way around the policy"
    careful.close()
    free = client(resolve=lambda name, port: ["127.0.0.1"])
    assert failure(free, "GET", url, allow_loopback=False).kind == "address_refused" and len(peer.requests) == 1


def test_a_name_is_resolved_once_per_call_and_the_checked_address_is_called(start):
    peer, answers, asked = start(EMPTY), [["127.0.0.1"], ["169.254.169.254"]], []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return answers[len(asked) - 1]

    rebound = client(resolve=resolve)
    answer = rebound.request("GET", f"http://rebound.example:{peer.port}/", timeout=5, bytes_max=100)
    assert asked == [("rebound.example", peer.port)] and answer.address == "127.0.0.1"
    assert b"\r\nHost: rebound.example:%d\r\n" % peer.port in peer.requests[0]
    fault = failure(rebound, "GET", f"http://rebound.example:{peer.port}/")
    assert fault.kind == "address_refused" and "link-local" in fault.message and len(peer.requests) == 1
    rebound.close()


def test_forbidden_addresses_among_allowed_ones_are_passed_over(start):
    peer = start(EMPTY)
    mixed = client(resolve=lambda host, port: ["fe80::1%eth0", "169.254.169.254", "127.0.0.1"])
    assert mixed.request("GET", f"http://peer.local:{peer.port}/", timeout=5, bytes_max=100).address == "127.0.0.1"
    mixed.close()


def test_the_next_address_is_tried_when_one_refuses(start):
    peer = start(EMPTY)
    mixed = client(resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert mixed.request("GET", f"http://peer.local:{peer.port}/", timeout=5, bytes_max=100).address == "127.0.0.1"
    mixed.close()


def test_private_addresses_can_be_refused_per_call(outbound):
    assert failure(outbound, "GET", "http://10.255.0.1/", allow_private=False).kind == "address_refused"


def test_a_name_without_an_address_is_unresolved():
    fault = failure(client(resolve=lambda host, port: []), "GET", "http://nowhere.example/")
    assert fault.kind == "unresolved" and "nowhere.example" in fault.message
    assert failure(client(), "GET", "http://nowhere.invalid/").kind == "unresolved"


def test_the_system_resolver_finds_loopback():
    from ocp_node.http.outbound import system_addresses
    assert set(system_addresses("localhost", 80)) <= {"127.0.0.1", "::1"} and system_addresses("localhost", 80)


def test_a_port_where_nothing_listens_refuses(outbound):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fault = failure(outbound, "GET", f"http://127.0.0.1:{port}/")
    assert fault.kind == "refused" and f"127.0.0.1:{port}" in fault.message


# --- answers -------------------------------------------------------------------------------------------------------------

def test_an_answer_tells_status_headers_body_and_address(start, outbound):
    peer = start(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc")
    answer = outbound.request("GET", f"{peer.url}/x", timeout=5, bytes_max=100)
    assert (answer.status, answer.headers["x-a"], answer.body) == (404, "1", b"abc")
    assert (answer.url, answer.address) == (f"{peer.url}/x", "127.0.0.1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_never_followed(start, outbound, status):
    other = start(EMPTY)
    peer = start(b"HTTP/1.1 %d Go\r\nLocation: %b/\r\nContent-Length: 0\r\n\r\n" % (status, other.url.encode()))
    answer = outbound.request("GET", peer.url, timeout=5, bytes_max=100)
    assert (answer.status, answer.headers["location"]) == (status, other.url + "/")
    with pytest.raises(OutboundError) as refused:
        outbound.json("GET", peer.url, timeout=5)
    assert refused.value.kind == "redirect" and refused.value.answer is not None and refused.value.answer.status == status
    assert other.connections == 0


def test_an_error_status_is_told_with_the_answer(start, outbound):
    peer = start(b'HTTP/1.1 409 Conflict\r\nContent-Length: 15\r\n\r\n{"error":"old"}')
    with pytest.raises(OutboundError) as refused:
        outbound.json("POST", peer.url, json={}, timeout=5)
    answer = refused.value.answer
    assert refused.value.kind == "status" and answer is not None and answer.document() == {"error": "old"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"1", b'"x"', b"null", b'{"a":NaN}', b'{"a":1,"a":1}', b"\xff{}"])
def test_only_strict_json_objects_and_arrays_are_json_answers(start, outbound, body):
    peer = start(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(OutboundError) as refused:
        outbound.json("GET", peer.url, timeout=5)
    assert refused.value.kind == "bad_answer"


def test_a_chunked_answer_is_joined(start, outbound):
    peer = start(OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\": [\r\n3\r\n1]}\r\n0\r\n\r\n")
    assert outbound.json("GET", peer.url, timeout=5) == {"a": [1]}
    assert outbound.json("GET", peer.url, timeout=5) == {"a": [1]} and peer.connections == 1


def test_a_compressed_answer_is_refused(start, outbound):
    peer = start(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
    assert failure(outbound, "GET", peer.url).kind == "bad_answer"


def test_an_answer_without_length_ends_with_its_connection(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n{}")

    peer = start(serve)
    assert outbound.json("GET", peer.url, timeout=5) == {} and outbound.json("GET", peer.url, timeout=5) == {}
    assert peer.connections == 2


@pytest.mark.parametrize("answer", [
    OK + b"Content-Length: 1001\r\n\r\n", OK + b"\r\n" + b"x" * 1001, OK + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n",
    OK + b"Content-Length: 99999999999\r\n\r\n",
])
def test_a_large_answer_is_refused_without_reading_it(start, outbound, answer):
    peer = start(answer)
    assert failure(outbound, "GET", peer.url, bytes_max=1000).kind == "too_large" and len(outbound._links) == 0


def test_a_large_head_is_refused(start, outbound):
    peer = start(OK + b"X: " + b"y" * 70_000)
    assert failure(outbound, "GET", peer.url).kind == "bad_answer"


@pytest.mark.parametrize("answer, kind", [
    (b"", "closed"), (b"HTTP/1.1 200", "closed"), (OK + b"Content-Length: 10\r\n\r\nabc", "closed"),
    (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "bad_answer"), (b"SMTP ready\r\n", "bad_answer"),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "bad_answer"),
])
def test_half_an_answer_or_none_is_told_as_that(start, outbound, answer, kind):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(answer)

    assert failure(outbound, "GET", start(serve).url).kind == kind


def test_a_reset_is_told_as_that(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert failure(outbound, "GET", start(serve).url).kind == "reset"


def test_an_answer_that_comes_before_the_body_was_read_is_heard(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        sock.recv(1000)
        sock.sendall(b'HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}')      # and then breaks off: the rest is unread

    answer = outbound.request("POST", start(serve).url, body=b"x" * (32 << 20), timeout=10, bytes_max=100)
    assert (answer.status, answer.body) == (413, b"{}") and len(outbound._links) == 0


# --- deadlines (real ones, short) ----------------------------------------------------------------------------------------

def timed_out(outbound: Outbound, url: str, **settings) -> None:
    started = time.monotonic()
    assert failure(outbound, settings.pop("method", "GET"), url, timeout=0.2, **settings).kind == "timeout"
    assert time.monotonic() - started < 2.0


def test_a_silent_peer_meets_the_deadline(start, outbound):
    timed_out(outbound, start(lambda sock, peer: (peer.read(sock), sock.recv(1))[0]).url)


@pytest.mark.parametrize("beginning", [b"", OK + b"Content-Length: 1000\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_dripping_peer_meets_the_deadline(start, outbound, beginning):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(beginning)
        for byte in (EMPTY if not beginning else b"1\r\na\r\n" * 100):
            sock.sendall(bytes([byte]))
            time.sleep(0.02)

    timed_out(outbound, start(serve).url)


def test_a_peer_that_does_not_read_meets_the_deadline(start, outbound):
    done = threading.Event()
    timed_out(outbound, start(lambda sock, peer: done.wait(5)).url, method="POST", body=b"x" * (32 << 20))
    done.set()


def test_a_peer_that_reads_slowly_meets_the_deadline(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        while sock.recv(262_144):                # fast enough that no single step takes long
            time.sleep(0.02)

    timed_out(outbound, start(serve).url, method="POST", body=bytes(64 << 20))


def test_a_peer_that_never_shakes_hands_meets_the_deadline(start, outbound):
    done = threading.Event()
    peer = start(lambda sock, peer: done.wait(5))
    timed_out(outbound, peer.url.replace("http:", "https:"), insecure=True)
    done.set()


def full_listener() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose backlog is full: the next connection is never made."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        waiting.append(sock)
    return listener, waiting


def test_a_connection_that_is_never_made_meets_the_deadline_or_its_own(outbound):
    listener, waiting = full_listener()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    timed_out(outbound, url)
    started = time.monotonic()
    assert failure(outbound, "GET", url, timeout=10.0, connect_timeout=0.2).kind == "timeout"
    assert time.monotonic() - started < 3.0
    for sock in (listener, *waiting):
        sock.close()


def test_one_silent_address_leaves_time_for_the_next(start):
    listener, waiting = full_listener()
    port = listener.getsockname()[1]
    second = socket.create_server(("127.0.0.2", port))
    thread = threading.Thread(target=lambda: always(EMPTY)(second.accept()[0], Peer(always(EMPTY))), daemon=True)
    thread.start()
    both = client(resolve=lambda host, port: ["127.0.0.1", "127.0.0.2"])
    assert both.request("GET", f"http://peer.local:{port}/", timeout=1.0, bytes_max=100).address == "127.0.0.2"
    both.close()
    for sock in (listener, second, *waiting):
        sock.close()


def test_a_slow_name_look_up_counts(start):
    slow = client(resolve=lambda host, port: (time.sleep(0.15), ["127.0.0.1"])[1])
    peer = start(EMPTY)
    assert failure(slow, "GET", f"http://peer.local:{peer.port}/", timeout=0.1).kind == "timeout" and peer.connections == 0


# --- kept connections ----------------------------------------------------------------------------------------------------

def test_a_connection_is_used_again(start, outbound):
    peer = start(EMPTY)
    for _ in range(5):
        outbound.json("GET", peer.url, timeout=5)
        outbound.json("POST", peer.url, json={}, timeout=5)
    assert (peer.connections, len(peer.requests), len(outbound._links)) == (1, 10, 1)


@pytest.mark.parametrize("answer", [
    OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    EMPTY + b"HTTP/1.1 200 OK\r\n",
])
def test_a_connection_that_is_done_or_soiled_is_not(start, outbound, answer):
    peer = start(answer)
    for _ in range(3):
        assert outbound.json("GET", peer.url, timeout=5) == {}
    assert peer.connections == 3 and len(outbound._links) == 0


def test_bytes_that_come_while_a_connection_idles_are_nobodys_answer(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EMPTY)
        go.wait(5)
        sock.sendall(OK + b"Content-Length: 10\r\n\r\n{\"evil\":1}")
        peer.read(sock)

    go = threading.Event()
    peer = start(serve)
    assert outbound.json("GET", peer.url, timeout=5) == {}
    go.set()
    until_stirred(outbound)
    assert outbound.json("GET", peer.url, timeout=5) == {} and peer.connections == 2


def once(sock: socket.socket, peer: Peer) -> None:
    """One answer, then the connection ends without a word."""
    peer.read(sock)
    sock.sendall(EMPTY)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_before_use(start, outbound, method):
    peer = start(once)
    for _ in range(3):
        assert outbound.json(method, peer.url, timeout=5) == {}
        until_stirred(outbound)
    assert peer.connections == 3


def dies_at_second(sock: socket.socket, peer: Peer) -> None:
    """The first connection answers once and breaks off when it is used again; later ones answer."""
    peer.read(sock)
    sock.sendall(EMPTY)
    if peer.connections == 1:
        peer.read(sock)
        return
    always(EMPTY)(sock, peer)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_an_idempotent_call_is_repeated_once_when_its_kept_connection_dies(start, outbound, method):
    peer = start(dies_at_second)
    outbound.request("GET", peer.url, timeout=5, bytes_max=100)
    assert outbound.request(method, peer.url, timeout=5, bytes_max=100).status == 200
    assert peer.connections == 2 and len(peer.requests) == 3


def test_a_post_is_never_sent_twice(start, outbound):
    peer = start(dies_at_second)
    outbound.request("GET", peer.url, timeout=5, bytes_max=100)
    assert failure(outbound, "POST", peer.url, body=b"x").kind == "closed"
    assert len(peer.requests) == 2 and peer.connections == 1


def test_a_new_connection_that_dies_is_not_repeated(start, outbound):
    peer = start(lambda sock, peer: peer.read(sock) and None)
    assert failure(outbound, "GET", peer.url).kind == "closed" and peer.connections == 1


def test_an_answer_that_has_begun_is_not_asked_for_again(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EMPTY)
        peer.read(sock)
        sock.sendall(b"HTTP/1.1 200")

    peer = start(serve)
    outbound.request("GET", peer.url, timeout=5, bytes_max=100)
    assert failure(outbound, "GET", peer.url).kind == "closed" and peer.connections == 1


def test_idle_connections_are_bounded_in_number_and_age(start):
    class Moved(Clock):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

    clock = Moved()
    kept = Outbound(clock, silent(), "ocp/0.1", allow_loopback=True)
    barrier = threading.Barrier(8)

    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        barrier.wait(5)
        sock.sendall(EMPTY)
        peer.read(sock)

    peer = start(serve)
    threads = [threading.Thread(target=lambda: kept.json("GET", peer.url, timeout=5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(kept._links) == 4
    clock.ahead = 14.0
    kept.sweep()
    assert len(kept._links) == 4
    clock.ahead = 20.0
    kept.sweep()
    assert len(kept._links) == 0


def test_many_threads_may_call_at_once(start, outbound):
    peer, results = start(EMPTY), []

    def call() -> None:
        for _ in range(30):
            results.append(outbound.json("GET", peer.url, timeout=10))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [{}] * 240 and peer.connections < 100


def test_a_closed_client_calls_nobody(start):
    peer, gone = start(EMPTY), client()
    gone.json("GET", peer.url, timeout=5)
    gone.close()
    assert len(gone._links) == 0 and failure(gone, "GET", peer.url).kind == "closed"


# --- downloads and streams -----------------------------------------------------------------------------------------------

def test_a_download_goes_to_its_sink_in_pieces(start, outbound):
    content = bytes(range(256)) * 20_000
    peer, pieces = start(OK + b"Content-Length: %d\r\n\r\n" % len(content) + content), []
    answer = outbound.request("GET", peer.url, timeout=10, bytes_max=len(content), stream_to=pieces.append)
    assert answer.body == b"" and b"".join(pieces) == content and len(pieces) > 5


def test_a_download_past_its_bound_ends(start, outbound):
    size = [0]

    def sink(piece: bytes) -> None:
        size[0] += len(piece)

    peer = start(OK + b"\r\n" + b"x" * 3_000_000)
    assert failure(outbound, "GET", peer.url, bytes_max=2_000_000, stream_to=sink).kind == "too_large"
    assert size[0] <= 2_000_000


def test_an_error_does_not_go_to_the_sink(start, outbound):
    peer, pieces = start(b"HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\n{}"), []
    answer = outbound.request("GET", peer.url, timeout=5, bytes_max=100, stream_to=pieces.append)
    assert (answer.status, answer.body, pieces) == (404, b"{}", [])


def test_a_sink_that_fails_ends_the_call_and_the_connection(start, outbound):
    def sink(piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        outbound.request("GET", start(EMPTY).url, timeout=5, bytes_max=100, stream_to=sink)
    assert len(outbound._links) == 0


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def test_a_stream_gives_pieces_as_they_come_until_its_end(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EVENTS + b"Transfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")
        go.wait(5)
        sock.sendall(b"3\r\n 1\n\r\n0\r\n\r\n")

    go = threading.Event()
    stream = outbound.open_stream(start(serve).url, timeout=5, chunk_timeout=5)
    assert (stream.status, stream.headers["content-type"], stream.address) == (200, "text/event-stream", "127.0.0.1")
    pieces = iter(stream)
    assert next(pieces) == b"data:"
    go.set()
    assert b"".join(pieces) == b" 1\n"


def test_a_silent_stream_is_told_and_a_slow_one_is_not(start, outbound):
    done = threading.Event()

    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EVENTS + b"\r\n")
        for _ in range(3):
            time.sleep(0.1)
            sock.sendall(b":\n")
        done.wait(5)

    got = b""
    with pytest.raises(OutboundError) as silence:
        for piece in outbound.open_stream(start(serve).url, timeout=5, chunk_timeout=0.25):
            got += piece
    assert silence.value.kind == "timeout" and got == b":\n" * 3
    done.set()


def test_a_stream_that_breaks_off_is_told(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EVENTS + b"Transfer-Encoding: chunked\r\n\r\n2\r\n:\n\r\n")

    with pytest.raises(OutboundError) as broken:
        list(outbound.open_stream(start(serve).url, timeout=5, chunk_timeout=5))
    assert broken.value.kind == "closed"


def test_a_stream_past_its_bound_ends(start, outbound):
    with pytest.raises(OutboundError) as broken:
        list(outbound.open_stream(start(EVENTS + b"\r\n" + b"x" * 100).url, timeout=5, chunk_timeout=5, bytes_max=50))
    assert broken.value.kind == "too_large"


@pytest.mark.parametrize("status, kind", [(302, "redirect"), (503, "status")])
def test_a_stream_needs_a_good_answer(start, outbound, status, kind):
    peer = start(b"HTTP/1.1 %d x\r\nContent-Length: 16\r\n\r\n{\"error\":\"busy\"}" % status)
    with pytest.raises(OutboundError) as refused:
        outbound.open_stream(peer.url, timeout=5, chunk_timeout=5)
    assert refused.value.kind == kind and refused.value.answer is not None
    assert refused.value.answer.document() == {"error": "busy"}


def test_closing_a_stream_wakes_its_reader(start, outbound):
    done = threading.Event()

    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EVENTS + b"\r\n:\n")
        done.wait(10)

    stream, got, first = outbound.open_stream(start(serve).url, timeout=5, chunk_timeout=30), [], threading.Event()

    def read() -> None:
        for piece in stream:
            got.append(piece)
            first.set()
        got.append(b"end")

    reader = threading.Thread(target=read)
    reader.start()
    first.wait(5)
    stream.close()
    reader.join(5)
    assert not reader.is_alive() and got == [b":\n", b"end"]
    done.set()


def test_a_stream_that_was_closed_unread_gives_nothing(start, outbound):
    stream = outbound.open_stream(start(EVENTS + b"\r\n:\n").url, timeout=5, chunk_timeout=5)
    stream.close()
    stream.close()
    assert list(stream) == []


# --- TLS -----------------------------------------------------------------------------------------------------------------

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed: no certificate can be made")

    def run(command) -> tuple[int, str]:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return ended.returncode, ended.stderr

    return tls.self_signed(tmp_path_factory.mktemp("tls"), ["node-a"], [], run=run, clock=Clock(), ids=Ids())


def test_an_unknown_certificate_is_refused_before_the_request(start, outbound, pair):
    peer = start(EMPTY, tls.server_context(*pair))
    fault = failure(outbound, "GET", peer.url, headers=[("Authorization", "secret")])
    assert fault.kind == "tls" and "not trusted" in fault.message and peer.requests == []


def test_a_certificate_of_a_given_authority_is_trusted_under_its_own_names_only(start, pair):
    peer = start(EMPTY, tls.server_context(*pair))
    trusting = client(ca_file=str(pair[0]), resolve=lambda host, port: ["127.0.0.1"])
    assert trusting.json("GET", peer.url, timeout=5) == {}
    assert trusting.json("GET", f"https://node-a:{peer.port}/", timeout=5) == {}
    assert failure(trusting, "GET", f"https://node-b:{peer.port}/").kind == "tls"
    trusting.close()


def test_a_missing_file_of_authorities_is_told(start, pair):
    peer = start(EMPTY, tls.server_context(*pair))
    assert failure(client(ca_file="/nowhere/ca.pem"), "GET", peer.url).kind == "tls"


def test_a_pinned_certificate_is_trusted_and_no_other(start, outbound, pair):
    import base64
    peer = start(EMPTY, tls.server_context(*pair))
    pin = tls.fingerprint(pair[0])
    encoded = base64.urlsafe_b64encode(bytes.fromhex(pin)).decode().rstrip("=")
    for form in (pin, pin.upper(), ":".join(pin[at:at + 2] for at in range(0, 64, 2)), f"sha256:{pin}", f"sha256:{encoded}"):
        assert outbound.json("GET", peer.url, timeout=5, pin_sha256=form) == {}
    assert failure(outbound, "GET", peer.url, pin_sha256="0" * 64).kind == "tls"
    assert failure(outbound, "GET", peer.url).kind == "tls"
    for wrong in ("x", "ab", "sha256:!", pin + "00"):
        assert failure(outbound, "GET", peer.url, pin_sha256=wrong).kind == "bad_request"
    assert len(peer.requests) == 5


def expired(folder: Path) -> Pair:
    """A certificate that was good on one day of 2020."""
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    (folder / "settings").write_text(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index\n"
                                     f"serial = {folder}/serial\n"
                                     f"new_certs_dir = {folder}\ndefault_md = sha256\npolicy = any\ncopy_extensions = copy\n"
                                     "[any]\ncommonName = supplied\n"
                                     "[req]\ndistinguished_name = any\n")
    own = ["-config", str(folder / "settings")]
    request = ["req", *own, "-new", "-batch", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-subj", "/CN=old", "-addext", "subjectAltName = IP:127.0.0.1",
               "-keyout", str(folder / "key"), "-out", str(folder / "request")]
    sign = ["ca", *own, "-batch", "-selfsign", "-notext", "-keyfile", str(folder / "key"), "-in", str(folder / "request"),
            "-startdate", "200101000000Z", "-enddate", "200102000000Z", "-out", str(folder / "crt")]
    for command in (request, sign):
        subprocess.run(["openssl", *command], capture_output=True, timeout=60, check=True)
    return folder / "crt", folder / "key"


def test_of_an_expired_certificate_the_pin_decides_and_without_one_the_date(start, pair, tmp_path):
    old = expired(tmp_path)
    peer, trusting = start(EMPTY, tls.server_context(*old)), client(ca_file=str(old[0]))
    assert trusting.json("GET", peer.url, timeout=5, pin_sha256=tls.fingerprint(old[0])) == {}
    fault = failure(trusting, "GET", peer.url, pin_sha256=tls.fingerprint(pair[0]))
    assert fault.message == "the peer's certificate is not the pinned one"
    fault = failure(trusting, "GET", peer.url)
    assert fault.kind == "tls" and "expired" in fault.message and len(peer.requests) == 1
    trusting.close()


def test_a_connection_made_without_care_is_not_used_by_a_careful_call(start, outbound, pair):
    peer = start(EMPTY, tls.server_context(*pair))
    assert outbound.json("GET", peer.url, timeout=5, insecure=True) == {} and len(outbound._links) == 1
    assert failure(outbound, "GET", peer.url).kind == "tls"
    assert outbound.json("GET", peer.url, timeout=5, insecure=True) == {} and len(peer.requests) == 2


def test_a_secure_connection_is_kept_too_and_replaced_when_it_died(start, outbound, pair):
    peer = start(EMPTY, tls.server_context(*pair))
    for _ in range(4):
        outbound.json("GET", peer.url, timeout=5, insecure=True)
    assert len(peer.requests) == 4
    reused = peer.connections
    dying, other = start(once, tls.server_context(*pair)), client()
    for _ in range(3):
        other.json("POST", dying.url, timeout=5, insecure=True)
        until_stirred(other)
    other.close()
    assert reused == 1 and dying.connections == 3


def test_a_plain_peer_is_told_to_speak_no_tls(start, outbound):
    def serve(sock: socket.socket, peer: Peer) -> None:
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    fault = failure(outbound, "GET", start(serve).url.replace("http:", "https:"), insecure=True)
    assert fault.kind == "tls" and "does not speak TLS" in fault.message


def test_a_secure_answer_that_ends_without_goodbye_may_have_been_cut_and_is_refused(start, outbound, pair):
    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")

    assert failure(outbound, "GET", start(serve, tls.server_context(*pair)).url, insecure=True).kind == "closed"


def test_a_secure_answer_that_says_goodbye_is_whole(start, outbound, pair):
    def serve(sock: ssl.SSLSocket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")
        sock.unwrap()

    assert outbound.json("GET", start(serve, tls.server_context(*pair)).url, timeout=5, insecure=True) == {}


def test_a_secure_stream_can_be_closed_while_it_is_read(start, outbound, pair):
    done = threading.Event()

    def serve(sock: socket.socket, peer: Peer) -> None:
        peer.read(sock)
        sock.sendall(EVENTS + b"\r\n:\n")
        done.wait(10)

    stream = outbound.open_stream(start(serve, tls.server_context(*pair)).url, timeout=5, chunk_timeout=30, insecure=True)
    pieces = iter(stream)
    assert next(pieces) == b":\n"
    closer = threading.Timer(0.05, stream.close)
    closer.start()
    assert list(pieces) == []
    done.set()
    closer.join()


# --- what it costs to have it --------------------------------------------------------------------------------------------

def test_the_client_loads_no_tls_before_it_is_needed():
    program = "import sys; import ocp_node.http.outbound; print(*sys.modules)"
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-S", "-c", program]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30, check=True)
    loaded = set(ended.stdout.split())
    assert "ocp_node.http.link" in loaded
    assert not loaded & {"ssl", "http.client", "hashlib", "asyncio", "urllib.request", "urllib.parse"}
