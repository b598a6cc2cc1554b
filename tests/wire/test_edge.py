"""Raw bytes against a real server: framing, order, bounds, lanes."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import types

import pytest

from ocp_node.base import limits
from ocp_node.base.errors import Busy, Refusal
from ocp_node.base.records import record, wire
from ocp_node.contract.route import Events, Lane, Reply, Wait, WebSocket, Write
from ocp_node.http.connection import Connection
from tests.support.edge import Edge, body_of, read_answer, status_of

HOST = b"Host: localhost\r\n"


@record
class Named:
    name: str = wire(length_max=10)
    count: int = wire(default=1, minimum=1)


def echo(room, call):
    return Reply({"path": dict(call.path), "texts": dict(call.texts), "body": call.body.name if call.body else None, "raw": len(call.raw)})


def boom(room, call):
    raise ValueError("the database password is hunter2")


def large(room, call):
    """As much as the kernel takes from a caller that does not read is soon full; tells how much of ours waited by then."""
    room.waiting = max(room.waiting, *(connection.waiting for connection in room.server.connections))
    return Reply({"n": call.texts.get("n"), "padding": "x" * 100_000})


def unspeakable(room, call):
    return Reply({"text": "\ud800"})


def refuse(room, call):
    raise Refusal("conflict", "taken", {"holder": "someone"})


def count(room, call):
    def change(state):
        if call.body.name == "no":
            raise Refusal("conflict", "no")
        state["n"] = state.get("n", 0) + call.body.count
        return state["n"]
    return Write(change, lambda n: Reply({"n": n}, 201))


def document(room, call):
    room.built = getattr(room, "built", 0) + 1
    return Reply({"n": room.writer.state.get("n", 0), "padding": "x" * 2000})


def work(room, call):
    return Reply({"thread": threading.current_thread().name, "bytes": len(call.raw)})


def pieces(room, call):
    return Reply(iter([b"one", b"", b"two"]), media_type="text/plain")


def swallow(room, call):
    total = sum(len(piece) for piece in call.reader)
    return Reply({"total": total, "thread": threading.current_thread().name})


def ignore(room, call):
    return Reply({"ignored": True})


def wait(room, call):
    def ready():
        return Reply({"n": room.writer.state["n"]}) if "n" in room.writer.state else None
    return Wait(ready, lambda: Reply({"late": True}), float(call.texts.get("s", "0.05")), ("n",))


def listen(room, call):
    def start(sink):
        room.sinks.append(sink)
        return lambda: room.sinks.remove(sink)
    return Events(start)


def talk(room, call):
    class Parrot:
        def __init__(self, socket):
            self.socket = socket

        def text(self, text):
            self.socket.text(text.upper())

        def binary(self, data):
            self.socket.close(1003, "text only")

        def closed(self):
            room.talks.append("closed")
    return WebSocket(lambda socket: Parrot(socket))


ROUTES = [
    dict(id="trial.echo", method="GET", path="/echo/{name}", handler="echo"),
    dict(id="trial.named", method="POST", path="/named", handler="echo", body="Named", body_bytes_max=1000),
    dict(id="trial.large", method="GET", path="/large", handler="large"),
    dict(id="trial.boom", method="GET", path="/boom", handler="boom"),
    dict(id="trial.unspeakable", method="GET", path="/unspeakable", handler="unspeakable"),
    dict(id="trial.unspeakable_work", method="GET", path="/unspeakable/work", handler="unspeakable", lane=Lane.WORKER),
    dict(id="trial.refuse", method="GET", path="/refuse", handler="refuse"),
    dict(id="trial.count", method="POST", path="/count", handler="count", body="Named", lane=Lane.WRITE),
    dict(id="trial.judged", method="POST", path="/judged", handler="count", body="Named", lane=Lane.WORKER),
    dict(id="trial.judged_long", method="POST", path="/judge/long", handler="count", body="Named", lane=Lane.LONG),
    dict(id="trial.document", method="GET", path="/document", handler="document", cached=True),
    dict(id="trial.work", method="POST", path="/work", handler="work", body="Anything", body_raw=True, lane=Lane.WORKER, body_bytes_max=1 << 20),
    dict(id="trial.pieces", method="GET", path="/pieces", handler="pieces", lane=Lane.LONG),
    dict(id="trial.swallow", method="POST", path="/swallow", handler="swallow", body="Anything", body_stream=True, lane=Lane.LONG, body_bytes_max=1 << 30),
    dict(id="trial.ignore", method="POST", path="/ignore", handler="ignore", body="Anything", body_stream=True, lane=Lane.LONG, body_bytes_max=1 << 30),
    dict(id="trial.wait", method="GET", path="/wait", handler="wait", lane=Lane.STREAM),
    dict(id="trial.listen", method="GET", path="/listen", handler="listen", lane=Lane.STREAM),
    dict(id="trial.talk", method="GET", path="/talk", handler="talk", lane=Lane.STREAM),
]
HANDLERS = dict(echo=echo, large=large, boom=boom, unspeakable=unspeakable, refuse=refuse, count=count, document=document, work=work, pieces=pieces, swallow=swallow, ignore=ignore, wait=wait,
                listen=listen, talk=talk)


@pytest.fixture()
def edge():
    made = Edge(HANDLERS, ROUTES, records={"Named": Named}, streams_max=3)
    made.sinks, made.talks, made.waiting = [], [], 0
    yield made
    made.stop()


def read_all(sock):
    """Everything until the server closes."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def get(path, more=b""):
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"


def post(path, body, more=b"Content-Type: application/json\r\n"):
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_an_answer_is_one_write_with_our_headers_only(edge):
    answer = edge.ask(get(b"/echo/a?x=1"))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert status_of(answer) == 200 and b"server: ocp\r\n" in head and b"python" not in head and b"x-content-type-options: nosniff" in head
    assert body_of(answer) == b'{"path":{"name":"a"},"texts":{"x":"1"},"body":null,"raw":0}'


def test_requests_of_one_connection_are_answered_in_order(edge):
    with edge.connect() as sock:
        sock.sendall(post(b"/work", b"{}") + get(b"/echo/b") + post(b"/count", b'{"name":"c"}') + get(b"/pieces") + get(b"/refuse", b"Connection: close\r\n"))
        data = read_all(sock)
    assert [data.index(mark) for mark in (b'"thread"', b'"name":"b"', b'"n":1', b"two", b'"holder"')] == sorted(
        data.index(mark) for mark in (b'"thread"', b'"name":"b"', b'"n":1', b"two", b'"holder"'))


def test_a_head_may_come_byte_by_byte(edge):
    with edge.connect() as sock:
        for byte in b"\r\n" + get(b"/echo/slow"):
            sock.sendall(bytes([byte]))
        assert b'"slow"' in read_answer(sock)


def test_requests_wait_until_the_answers_before_them_are_taken(edge):
    with edge.connect() as sock:
        sock.sendall(b"".join(get(b"/large?n=%d" % n) for n in range(300)) + get(b"/pieces"))      # 30 MB of answers
        sock.shutdown(socket.SHUT_WR)                           # none of them lost by saying that no more is asked
        while not any(connection.waiting for connection in list(edge.server.connections)):
            listeners(edge, 0)
        data = bytearray()
        while piece := sock.recv(1 << 20):
            data += piece
    assert [int(part.partition(b'"')[0]) for part in data.split(b'{"n":"')[1:]] == list(range(300)) and b"two" in data[-100:]
    assert edge.waiting == 0


def test_a_stored_answer_is_not_piled_up_for_a_caller_that_does_not_read(edge):
    request = get(b"/large?n=1") * 300
    with edge.connect() as sock:
        sock.sendall(get(b"/document"))
        read_answer(sock)
        sock.sendall(request)
        while not any(connection.waiting for connection in list(edge.server.connections)):
            listeners(edge, 0)
        for _ in range(50):
            sock.sendall(get(b"/document"))                     # whose bytes are known
        sock.sendall(get(b"/document", b"Connection: close\r\n"))
        data = read_all(sock)
    assert data.count(b"200 OK") == 351 and data.rindex(b'{"n":"1",') < data.index(b'{"n":0,')


def test_a_few_blank_lines_before_a_request_are_read_past(edge):
    assert status_of(edge.ask(b"\r\n" * 8 + get(b"/echo/a"))) == 200
    assert status_of(edge.ask(b"\r\n" * 20_000)) == 400


def test_a_body_may_come_in_pieces_counted_or_in_chunks(edge):
    with edge.connect() as sock:
        sock.sendall(post(b"/named", b'{"name":"counted"}')[:-9])
        sock.sendall(post(b"/named", b'{"name":"counted"}')[-9:])
        assert b'"body":"counted"' in read_answer(sock)
        sock.sendall(b"POST /named HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"na\r\n")
        sock.sendall(b'a\r\nme":"chu"}\r\n0\r\n\r\n' + get(b"/echo/next", b"Connection: close\r\n"))
        data = read_all(sock)
        assert b'"body":"chu"' in data and b'"next"' in data


@pytest.mark.parametrize("raw, status, word", [
    (get(b"/nowhere"), 404, b"not_found"),
    (b"DELETE /boom HTTP/1.1\r\n" + HOST + b"\r\n", 405, b"method_not_allowed"),
    (get(b"/boom").replace(HOST, b"Host: evil.example\r\n"), 403, b"host_not_allowed"),
    (post(b"/named", b"{}", b"Content-Type: application/json\r\nOrigin: http://evil.example\r\n"), 403, b"origin_not_allowed"),
    (post(b"/named", b"{}", b"Content-Type: text/plain\r\n"), 415, b"unsupported_media_type"),
    (post(b"/named", b"{}", b""), 415, b"unsupported_media_type"),
    (post(b"/named", b"{"), 400, b"invalid_json"),
    (post(b"/named", b'{"name":"a","name":"b"}'), 400, b"invalid_json"),
    (post(b"/named", b'{"name":NaN}'), 400, b"invalid_json"),
    (post(b"/named", b'{"name":1e999}'), 400, b"invalid_json"),
    (post(b"/named", b"[" * 200 + b"]" * 200), 400, b"invalid_json"),
    (post(b"/named", b'{"name":"\\ud800"}'), 400, b"invalid_json"),
    (post(b"/named", b"\xff\xfe{\x00}\x00"), 400, b"invalid_json"),
    (post(b"/named", b"[1]"), 400, b"must be a JSON object"),
    (post(b"/named", b'{"name":5,"count":true}'), 400, b"$.count"),
    (post(b"/named", b'{"name":"far too long a name"}'), 400, b"max-length"),
    (post(b"/named", b"x" * 1001), 413, b"too_large"),
    (b"POST /named HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413, b"too_large"),
    (b"POST /named HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", 413, b"too_large"),
    (get(b"/boom", b"Expect: the-unexpected\r\n"), 417, b"expectation_failed"),
    (get(b"/boom", b"X: " + b"a" * 70_000 + b"\r\n"), 431, b"header_too_large"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400, b"malformed"),
    (get(b"/boom"), 500, b"error_id"),
    (get(b"/refuse"), 409, b'"holder":"someone"'),
])
def test_bad_input_gets_a_clear_answer(edge, raw, status, word):
    answer = edge.ask(raw)
    assert status_of(answer) == status and word in body_of(answer)
    assert b"hunter2" not in answer and b"Traceback" not in answer


def test_every_wrong_field_is_named_at_once(edge):
    answer = body_of(edge.ask(post(b"/named", b'{"count":0}')))
    assert b"$.name" in answer and b"$.count" in answer


def test_a_caller_that_waits_for_100_continue_is_told_to_go_on(edge):
    with edge.connect() as sock:
        sock.sendall(post(b"/named", b'{"name":"a"}', b"Content-Type: application/json\r\nExpect: 100-continue\r\n")[:-12])
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b'{"name":"a"}')
        assert status_of(read_answer(sock)) == 200


def test_head_is_get_without_body(edge):
    answer = edge.ask(b"HEAD /echo/a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert status_of(answer) == 200 and b"Content-Length: 52" in answer and body_of(answer) == b""


def test_http_1_0_is_closed_unless_it_asks_to_be_kept(edge):
    assert b"Connection: close" in edge.ask(b"GET /echo/a HTTP/1.0\r\n\r\n")
    assert b"Connection: keep-alive" in edge.ask(b"GET /echo/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")


def test_half_closed_callers_still_get_their_answer(edge):
    assert b'"thread"' in edge.ask(post(b"/work", b"{}"), end=True)
    assert b'"n":1' in edge.ask(post(b"/count", b'{"name":"a"}'), end=True)


def test_a_change_that_a_worker_thread_describes_is_stored_refused_or_put_off_like_any_other(edge, monkeypatch):
    assert b"201 Created" in (stored := edge.ask(post(b"/judged", b'{"name":"a"}'), end=True)) and b'"n":1' in stored
    assert b"409 Conflict" in edge.ask(post(b"/judged", b'{"name":"no"}'), end=True)

    def full(change, settle):
        raise Busy("the store")
    monkeypatch.setattr(edge.writer, "submit", full)
    refused = edge.ask(post(b"/judged", b'{"name":"a"}'), end=True)
    assert b"503" in refused and b"Retry-After: 1" in refused


def test_a_refused_upload_is_answered_before_it_is_read(edge):
    with edge.connect() as sock:
        sock.sendall(b"POST /named HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n" + b"x" * 100_000)
        answer = read_answer(sock)
        assert status_of(answer) == 413 and b"Connection: close" in answer


# --- stored answers

def test_a_document_is_built_once_and_again_after_a_change(edge):
    first = [edge.ask(get(b"/document")) for _ in range(3)]
    assert edge.built == 1 and {body_of(answer) for answer in first} == {body_of(first[0])}
    edge.ask(post(b"/count", b'{"name":"a"}'))
    assert b'"n":1' in edge.ask(get(b"/document")) and edge.built == 2


def test_a_document_that_the_caller_has_is_not_sent_again(edge):
    etag = next(line for line in edge.ask(get(b"/document")).split(b"\r\n") if line.startswith(b"ETag"))[6:]
    answer = edge.ask(get(b"/document", b"If-None-Match: " + etag + b"\r\n"))
    assert status_of(answer) == 304 and body_of(answer) == b"" and etag in answer


def test_a_document_is_compressed_for_those_who_take_it(edge):
    import gzip
    plain, packed = edge.ask(get(b"/document")), edge.ask(get(b"/document", b"Accept-Encoding: br, gzip\r\n"))
    assert gzip.decompress(body_of(packed)) == body_of(plain) and b"Vary: Accept-Encoding" in plain
    assert b"Content-Encoding" not in edge.ask(get(b"/document", b"Accept-Encoding: gzip;q=0\r\n"))


def test_a_stored_answer_keeps_its_order_among_pipelined_requests(edge):
    edge.ask(get(b"/document"))
    with edge.connect() as sock:
        sock.sendall(post(b"/work", b"{}"))
        sock.sendall(get(b"/document"))
        sock.sendall(get(b"/refuse", b"Connection: close\r\n"))
        data = read_all(sock)
    assert data.index(b'"thread"') < data.index(b"padding") < data.index(b"holder")


# --- lanes

def test_a_worker_runs_on_its_own_thread(edge):
    assert b"lane-worker-" in edge.ask(post(b"/work", b'{"a":1}'))


def test_a_long_request_gets_a_thread_and_its_connection_comes_back(edge):
    with edge.connect() as sock:
        for _ in range(3):
            sock.sendall(post(b"/swallow", b"x" * 300_000))
            answer = read_answer(sock)
            assert b'"total":300000' in answer and b"lane-long-" in answer
        sock.sendall(get(b"/echo/after"))
        assert b'"after"' in read_answer(sock)


def test_an_upload_in_chunks_is_streamed_to_its_handler(edge):
    with edge.connect() as sock:
        sock.sendall(b"POST /swallow HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            sock.sendall(b"1000\r\n" + b"y" * 4096 + b"\r\n")
        sock.sendall(b"0\r\n\r\n" + get(b"/echo/next", b"Connection: close\r\n"))
        data = read_all(sock)
        assert b'"total":204800' in data and b'"next"' in data


def test_an_upload_nobody_reads_ends_the_connection_after_the_answer(edge):
    with edge.connect() as sock:
        sock.sendall(b"POST /ignore HTTP/1.1\r\n" + HOST + b"Content-Length: 10000000\r\n\r\n" + b"z" * 1000)
        answer = read_answer(sock)
        assert b'"ignored":true' in answer and b"Connection: close" in answer


@pytest.mark.parametrize("sent, status", [
    (b"GET /echo/a HT", 400),
    (get(b"/echo/a")[:-2], 400),
    (post(b"/named", b'{"name":"cut"}')[:-3], 400),
    (b"POST /named HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", 400),
    (post(b"/swallow", b"0123456789")[:-3], 400),
    (b"POST /swallow HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n01", 400),
])
def test_what_is_cut_short_is_refused_to_who_still_listens(edge, sent, status):
    answer = edge.ask(sent, end=True)
    assert status_of(answer) == status and b"ended early" in body_of(answer) and b"Connection: close" in answer
    follows = edge.ask(get(b"/refuse") + sent, end=True)
    assert status_of(follows) == 409


@pytest.mark.parametrize("path", [b"/swallow", b"/judge/long"])
def test_chunks_that_are_none_are_refused_in_the_long_lane_and_what_follows_is_no_request(edge, path):
    more = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with edge.connect() as sock:
        sock.sendall(b"POST " + path + b" HTTP/1.1\r\n" + HOST + more + b"zz\r\n" + get(b"/echo/smuggled"))
        data = read_all(sock)
    assert status_of(data) == 400 and b"malformed chunk" in data and b"smuggled" not in data


def test_a_body_of_the_long_lane_that_never_ends_is_answered_408_at_its_deadline(edge, monkeypatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(limits, "LONG_BODY_SECONDS", 3600.0)
    answer = edge.ask(post(b"/judge/long", b'{"name":"slow"}')[:-1])
    assert status_of(answer) == 408 and b"request_timeout" in body_of(answer) and b"Connection: close" in answer


def test_a_reader_of_a_long_answer_may_be_slow_as_long_as_it_reads():
    class Slow:
        """Takes a little at a time."""
        taken = b""

        def send(self, data):
            self.taken += bytes(data[:1000])
            return min(len(data), 1000)

    slow, data = Slow(), bytes(range(256)) * 300
    Connection._send_whole(types.SimpleNamespace(sock=slow), data)
    assert slow.taken == data


def test_an_upload_that_breaks_off_harms_nobody(edge):
    with edge.connect() as sock:
        sock.sendall(b"POST /swallow HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nabc")
    assert b'"ok"' in edge.ask(get(b"/echo/ok"))


def test_pieces_are_sent_as_chunks_and_the_connection_goes_on(edge):
    with edge.connect() as sock:
        sock.sendall(get(b"/pieces") + get(b"/echo/z", b"Connection: close\r\n"))
        data = read_all(sock)
    assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1 200" in data


# --- streams

def test_a_long_poll_is_answered_when_its_topic_stirs(edge):
    with edge.connect() as sock:
        sock.sendall(get(b"/wait?s=20"))
        edge.ask(post(b"/count", b'{"name":"a"}'))
        edge.loop.call_soon(lambda: edge.signals.stir("n"))
        assert b'"n":1' in read_answer(sock)
        sock.sendall(get(b"/echo/kept"))
        assert b'"kept"' in read_answer(sock)
    assert edge.server.streams == 0


def test_a_long_poll_ends_at_its_deadline(edge):
    assert b'"late":true' in edge.ask(get(b"/wait"))


def hear(sock, count):
    data = b""
    while data.count(b"\n\n") < count:
        data += sock.recv(65536)
    return data


def listeners(edge, wanted):
    """Wait, by asking the loop itself, until as many sinks listen."""
    for _ in range(1000):
        done = threading.Event()
        edge.loop.call_soon(done.set)
        done.wait(5)
        if len(edge.sinks) == wanted:
            return
    raise AssertionError(f"{len(edge.sinks)} listeners, not {wanted}")


def test_an_event_reaches_every_listener_and_those_who_leave_are_forgotten(edge):
    with edge.connect() as one, edge.connect() as two:
        for sock in (one, two):
            sock.sendall(get(b"/listen"))
        listeners(edge, 2)
        edge.loop.call_soon(lambda: [sink.send(b"data: 1\n\n") for sink in list(edge.sinks)])
        assert hear(one, 1).endswith(b"data: 1\n\n") and hear(two, 1).endswith(b"data: 1\n\n")
        one.close()
        listeners(edge, 1)
    listeners(edge, 0)
    assert edge.server.streams == 0


def test_a_listener_that_does_not_read_is_dropped_and_the_others_hear_on(edge):
    with edge.connect() as slow, edge.connect() as quick:
        slow.sendall(get(b"/listen"))
        quick.sendall(get(b"/listen"))
        listeners(edge, 2)
        quick.settimeout(10)
        sent = 0
        while len(edge.sinks) == 2 and sent < 400:
            edge.loop.call_soon(lambda: [sink.send(b"data: " + b"x" * 65536 + b"\n\n") for sink in list(edge.sinks)])
            hear(quick, 1)
            sent += 1
        assert len(edge.sinks) == 1 and edge.sinks[0] is not None


def test_streams_beyond_the_budget_are_told_to_come_back(edge):
    socks = [edge.connect() for _ in range(3)]
    for sock in socks:
        sock.sendall(get(b"/listen"))
    listeners(edge, 3)
    answer = edge.ask(get(b"/listen"))
    assert status_of(answer) == 503 and b"Retry-After" in answer
    for sock in socks:
        sock.close()


def test_a_websocket_talks_both_ways_and_closes_in_order(edge):
    from ocp_node.base.ids import Ids
    from ocp_node.http import websocket
    from ocp_node.http.websocket import Role
    client = websocket.Connection(Role.CLIENT, 1000, Ids())
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with edge.connect() as sock:
        sock.sendall(get(b"/talk", upgrade) + client.text("hello"))
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, rest = data.partition(b"\r\n\r\n")
        assert b"101 Switching" in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        events = client.receive(rest)
        while not events:
            events = client.receive(sock.recv(65536))
        assert events == [websocket.Text("HELLO")]
        sock.sendall(client.close(1000, "done"))
        while sock.recv(65536):
            pass
    while "closed" not in edge.talks:
        listeners(edge, 0)


def test_an_upgrade_without_a_key_says_what_is_missing(edge):
    answer = edge.ask(get(b"/talk", b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"))
    assert status_of(answer) == 400 and b"Sec-WebSocket-Key is required for websocket upgrade" in answer


# --- many, slow and silent callers

def test_five_hundred_callers_at_the_same_instant_are_all_answered(edge):
    socks = []
    for _ in range(500):
        sock = socket.socket()
        sock.setblocking(False)
        try:
            sock.connect(("127.0.0.1", edge.port))
        except BlockingIOError:
            pass
        socks.append(sock)
    for sock in socks:
        sock.settimeout(10)
        sock.sendall(get(b"/echo/a", b"Connection: close\r\n"))
    assert all(status_of(read_answer(sock)) == 200 for sock in socks)
    for sock in socks:
        sock.close()


def test_a_node_without_descriptors_to_spare_rests_before_it_accepts_again(edge, monkeypatch):
    class Full:
        """The listening socket of a process that may open nothing more."""
        tries, real = 0, edge.server.socket

        def accept(self):
            Full.tries += 1
            raise OSError(errno.EMFILE, "too many open files")

        def fileno(self):
            return self.real.fileno()

    monkeypatch.setattr(limits, "ACCEPT_PAUSE_SECONDS", 3600.0)
    waits = []
    real_later = edge.loop.call_later
    monkeypatch.setattr(edge.loop, "call_later", lambda seconds, act: waits.append((seconds, act)) or real_later(seconds, act))
    with edge.connect() as known:
        known.sendall(get(b"/echo/before"))
        assert b"before" in read_answer(known)
        edge.server.socket = Full()
        with edge.connect() as other:
            other.sendall(get(b"/echo/other"))
            while not Full.tries:
                listeners(edge, 0)
            known.sendall(get(b"/echo/after"))                  # a whole turn of the loop later
            assert b"after" in read_answer(known) and Full.tries == 1
            edge.server.socket = Full.real
            edge.loop.call_soon(next(act for seconds, act in waits if seconds == 3600.0))
            assert b"other" in read_answer(other)


def test_silent_connections_cost_no_thread(edge):
    before = threading.active_count()
    socks = [edge.connect() for _ in range(300)]
    assert b'"a"' in edge.ask(get(b"/echo/a"))
    assert threading.active_count() == before
    for sock in socks:
        sock.close()


def test_an_answer_that_cannot_be_encoded_is_a_fault_and_not_silence(edge):
    for path in (b"/unspeakable", b"/unspeakable/work"):
        answer = edge.ask(get(path))
        assert status_of(answer) == 500 and b"error_id" in answer


def test_a_head_that_never_ends_is_answered_408_at_its_deadline(edge, monkeypatch):
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
    with edge.connect() as sock:
        sock.sendall(b"GET /echo/a HTTP/1.1\r\nX: 1")
        assert status_of(read_answer(sock)) == 408


def test_a_body_that_never_ends_is_answered_408_at_its_deadline(edge, monkeypatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.1)
    with edge.connect() as sock:
        sock.sendall(post(b"/named", b'{"name":"abc"}')[:-3])
        assert status_of(read_answer(sock)) == 408


def test_an_idle_connection_is_closed_at_its_deadline(edge, monkeypatch):
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
    with edge.connect() as sock:
        sock.sendall(get(b"/echo/a"))
        assert status_of(read_answer(sock)) == 200
        assert sock.recv(10) == b""


def test_a_silent_tls_caller_stops_nobody(tmp_path):
    import subprocess
    from pathlib import Path

    from ocp_node.http import tls
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                           "-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")], capture_output=True)
    if made.returncode:
        pytest.skip("the openssl program is needed")
    edge = Edge(HANDLERS, ROUTES, records={"Named": Named}, tls=tls.server_wrap(tls.server_context(Path(tmp_path / "crt"), Path(tmp_path / "key"))))
    try:
        context = ssl.create_default_context(cafile=str(tmp_path / "crt"))
        with edge.connect(), edge.connect() as plain:                 # one says nothing, one speaks no TLS
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with context.wrap_socket(edge.connect(), server_hostname="localhost") as sock:
                for path in (b"/echo/tls", b"/document"):
                    sock.sendall(get(path))
                    assert status_of(read_answer(sock)) == 200
                sock.sendall(post(b"/swallow", b"x" * 200_000))
                assert b'"total":200000' in read_answer(sock)
                sock.sendall(get(b"/pieces") + get(b"/echo/z", b"Connection: close\r\n"))
                data = read_all(sock)
                assert b"two" in data and b'"z"' in data
            with context.wrap_socket(edge.connect(), server_hostname="localhost") as sock:
                sock.sendall(post(b"/swallow", b"x" * 20_000) + get(b"/echo/same-record", b"Connection: close\r\n"))
                assert b"same-record" in read_all(sock)
    finally:
        edge.stop()




def test_a_repeated_get_is_answered_by_its_bytes_and_still_counted(edge):
    with edge.connect() as sock:
        for _ in range(3):
            sock.sendall(get(b"/document"))
            assert b"padding" in read_answer(sock)
    assert edge.app.totals()[("trial.document", 200)] == 3 and len(edge.app.documents.answers) == 1
    assert sum(edge.app.counts.values()) == 1


def test_one_address_beyond_loopback_gets_a_part_of_the_long_lane_alone(edge, monkeypatch):
    monkeypatch.setattr(limits, "LONG_THREADS_PER_ADDRESS", 1)
    monkeypatch.setattr("ocp_node.http.server.is_loopback", lambda address: False)
    with edge.connect() as slow:
        slow.sendall(b"POST /swallow HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n12345")
        while edge.server.longs != 1:
            listeners(edge, 0)
        answer = edge.ask(get(b"/pieces"))
        assert status_of(answer) == 503 and b"Retry-After" in answer
        slow.sendall(b"67890")
        assert b'"total":10' in read_answer(slow)
    while edge.server.longs:
        listeners(edge, 0)
    assert status_of(edge.ask(get(b"/pieces", b"Connection: close\r\n"))) == 200
