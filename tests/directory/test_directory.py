"""The directory as a whole node serves it: order of checks, limits, races, floods, restarts."""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ocp_node.base.clock import Clock, SetClock
from tests.support.adverts import NOON, Signer
from tests.support.edge import read_answer, status_of
from tests.support.node import FROM_LAN, TrialNode

A, B, C = Signer(1), Signer(2), Signer(3)
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def make(tmp_path):
    nodes = []

    def made(name="node", **settings):
        node = TrialNode(tmp_path / name, **{"clock": SetClock(NOON), **settings})
        nodes.append(node)
        return node

    yield made
    for node in nodes:
        node.stop()


@pytest.fixture
def node(make):
    return make()


def put(node, signer, sequence, *, headers=JSON, **more):
    return node.request("PUT", signer.path, raw=signer.raw(sequence, more.pop("at", node.clock.time()), **more), headers=headers)


def raw(node, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as sock:
        sock.sendall(data)
        return read_answer(sock)


def head(path, *lines, method="PUT"):
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", *lines, "", "")).encode()


# --- the order of checks ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, lines, status, reason", [
    ("/adv", (), 405, "method-not-allowed"),
    ("/adv/", ("Content-Type: text/plain",), 404, "unknown-route"),
    ("/adv/x", ("Content-Type: text/plain", "Content-Length: 999999"), 400, "invalid-node-id"),
    ("//adv/x", (), 404, None),
    (A.path + "%2F", (), 400, "invalid-node-id"),
    (A.path + "%00", (), 400, "invalid-node-id"),
    (A.path + "%0A", (), 400, "invalid-node-id"),
    (A.path.replace(":", "%253A"), (), 400, "invalid-node-id"),
    (A.path.replace("/node", "/NODE"), (), 400, "invalid-node-id"),
    (A.path.replace("/node", "/+node"), (), 400, "invalid-node-id"),
    (A.path + "/more", (), 404, "unknown-route"),
    (A.path, ("Content-Type: text/plain", "Content-Length: 999999"), 415, "unsupported-media-type"),
    (A.path, ("Content-Type: application/json; charset=latin1", "Content-Length: 2"), 415, "unsupported-media-type"),
    (A.path, ("Content-Type: application/jsonx", "Content-Length: 2"), 415, "unsupported-media-type"),
    (A.path, ("Content-Type: application/json",), 411, "length-required"),
    (A.path, ("Content-Length: 65537",), 413, "body-too-large"),
    (A.path, ("Content-Length: 65537", "Expect: 100-continue"), 413, "body-too-large"),
    (A.path, ("Content-Length: 99999999999999",), 413, "body-too-large"),
    (A.path, ("Content-Length: -1",), 400, "malformed-request"),
    (A.path, ("Content-Length: +5",), 400, "malformed-request"),
    (A.path, ("Content-Length: 5", "Content-Length: 6"), 400, "malformed-request"),
    (A.path, ("Content-Length: 5", "Transfer-Encoding: chunked"), 400, "malformed-request"),
    (A.path, ("Content-Length: 0",), 400, "malformed-json"),
])
def test_the_first_failing_step_decides(node, path, lines, status, reason):
    answer = raw(node, head(path, *lines))
    assert status_of(answer) == status, answer
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body.get("reason") == reason
    if reason in ("unsupported-media-type", "length-required", "body-too-large"):
        assert body["node/id"] == A.node_id
        if "Content-Length" in " ".join(lines):
            assert b"\r\nConnection: close\r\n" in answer, "the unread body must not become the next request"
    if reason == "body-too-large":
        assert body["max-bytes"] == 65536


def test_the_source_bucket_comes_before_everything_but_the_path(make):
    node = make(directory_source_writes_burst=2, directory_source_writes_per_second=0.5)
    assert raw(node, head("/adv/x", "Content-Length: 0")).startswith(b"HTTP/1.1 400")
    for _ in range(2):
        assert status_of(raw(node, head(A.path, "Content-Type: text/plain", "Content-Length: 5"))) == 415
    answer = node.request("PUT", A.path, raw=b"x", headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert answer.json == {"status": "rate-limited", "reason": "source-rate-limit", "node/id": A.node_id,
                           "retry-after-seconds": 2, "error/code": "E_TRANSPORT_REJECTED", "error/class": "transport/rejected"}
    node.clock.advance(2)
    assert put(node, A, 1).status == 201


def test_chunked_bodies_are_decoded_under_the_same_bound(node):
    body = A.raw(1, NOON)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:10], body[10:200], body[200:])) + b"0\r\n\r\n"
    assert status_of(raw(node, head(A.path, "Transfer-Encoding: chunked") + chunks)) == 201
    large = b"10000\r\n" + b" " * 65536 + b"\r\n1\r\n \r\n0\r\n\r\n"
    answer = raw(node, head(A.path, "Transfer-Encoding: chunked") + large)
    assert status_of(answer) == 413 and b"body-too-large" in answer


def test_a_body_that_does_not_come_is_answered_after_ten_seconds(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as sock:
        sock.sendall(head(A.path, "Content-Length: 100") + b"{")
        node.until(lambda: node.on_loop(lambda: any(each.exchange is not None for each in node.node.server.connections)),
                   "the head")
        node.advance(9.9)
        assert node.get("/adv").status == 200
        node.advance(0.2)
        answer = read_answer(sock)
    assert status_of(answer) == 408 and b'"reason":"request-timeout"' in answer


def test_the_bound_of_bodies_is_the_operators(make):
    node = make(directory_max_body_bytes=1000)
    assert put(node, A, 1, members={"x": "y" * 1000}).json["max-bytes"] == 1000
    wide = make("wide", directory_max_body_bytes=200_000)
    assert put(wide, A, 1, members={"x": "y" * 100_000}).status == 201
    unbounded = make("unbounded", directory_max_body_bytes=0)
    assert put(unbounded, A, 1, members={"x": "y" * 300_000}).status == 201


def test_no_media_type_is_accepted_and_foreign_hosts_and_pages_too(node):
    headers = {"Host": "directory.example", "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert put(node, A, 1, headers=headers).status == 201
    answer = node.get(A.path, headers)
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == "*"
    assert node.get("/adv", headers).headers["access-control-allow-origin"] == "*"


def test_callers_beyond_loopback_need_no_credential(make):
    node = make(trusted_proxies=["127.0.0.1"], operator_token="secret-operator-token")
    assert put(node, A, 1, headers={**JSON, **FROM_LAN}).status == 201
    assert node.get(A.path, FROM_LAN).status == 200


def test_encoded_and_plain_colons_name_one_node(node):
    assert node.request("PUT", A.path.replace(":", "%3A"), raw=A.raw(1, NOON), headers=JSON).status == 201
    assert node.get(A.path.replace(":", "%3a")).body == node.get(A.path).body


def test_the_other_methods_are_told_what_is_allowed(node):
    for method in ("DELETE", "POST", "PATCH"):
        answer = node.request(method, A.path, raw=b"")
        assert (answer.status, answer.headers["allow"], answer.json["reason"]) == (405, "GET, HEAD, PUT", "method-not-allowed")
    answer = node.request("OPTIONS", "/adv")
    assert (answer.status, answer.headers["allow"], answer.headers["access-control-allow-origin"]) == (204, "GET, HEAD", "*")


def test_an_answer_never_repeats_what_was_sent(node):
    marker = "zz-marker-zz"
    for body in (b'{"' + marker.encode(), json.dumps({"node/id": marker, marker: 1}).encode()):
        assert marker.encode() not in node.request("PUT", A.path, raw=body, headers=JSON).body


def test_every_refusal_leaves_the_connection_usable(node):
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    chance = random.Random(11)
    base = A.raw(1, NOON)
    for _ in range(300):
        data = bytearray(base)
        at = chance.randrange(len(data))
        data[at:at + chance.randint(0, 9)] = chance.choice([b"", b"[", b"{", b"\xff", b"1e999", b"\\ud800", b'"', b"9" * 400])
        connection.request("PUT", A.path, bytes(data), JSON)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in (201, 400, 403, 409), (answer.status, body)
        json.loads(body)
    connection.request("GET", "/adv")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_problem_in_a_strange_member_is_named_shortly_and_encodably(node):
    long, odd = "n" * 5000, "\\ud800"
    for name in (long, odd):
        body = A.raw(1, NOON)[:-1] + f',"{name}":{{"{name}":1e999}}}}'.encode()
        answer = node.request("PUT", A.path, raw=body, headers=JSON)
        assert answer.status == 400 and answer.json["reason"] == "invalid-advertisement"
        assert all(len(error["pointer"]) <= 300 for error in answer.json["errors"])


# --- limits and floods ------------------------------------------------------------------------------------------------

def test_a_flood_from_one_address_leaves_the_others_alone(make):
    node = make(trusted_proxies=["127.0.0.1"], directory_source_writes_burst=50, directory_source_writes_per_second=1)
    flood = {**JSON, "X-Forwarded-For": "2001:db8:1:1::%x"}
    statuses = [put(node, A, 1, headers={**flood, "X-Forwarded-For": f"2001:db8:1:1::{number:x}"}).status for number in range(60)]
    assert statuses == [201] + [409] * 49 + [429] * 10, "a whole /64 is one source"
    assert put(node, A, 2, headers={**JSON, "X-Forwarded-For": "2001:db8:1:2::1"}).status == 200


def test_a_node_whose_artifacts_are_replayed_by_a_stranger_can_still_publish(make):
    node = make(trusted_proxies=["127.0.0.1"], directory_publisher_writes_burst=5, directory_source_writes_burst=0)
    assert put(node, A, 1).status == 201
    old = A.raw(1, NOON)
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    for number in range(2000):
        connection.request("PUT", A.path, old if number % 2 else old[:-5] + b'"}}"}', {**JSON, "X-Forwarded-For": "203.0.113.5"})
        answer = connection.getresponse()
        assert answer.status == (409 if number % 2 else 400)
        answer.read()
    connection.close()
    assert put(node, A, 2).status == 200


def test_reads_have_a_bucket_of_their_own(make):
    node = make(directory_source_reads_burst=3)
    statuses = [node.get("/adv").status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert put(node, A, 1).status == 201


# --- following --------------------------------------------------------------------------------------------------------

def test_a_long_poll_is_answered_by_the_next_publication(node):
    cursor = node.get("/adv").json["next"]
    box = []
    waiting = threading.Thread(target=lambda: box.append(node.get(f"/adv?since={cursor}&wait=60")))
    waiting.start()
    node.until(lambda: node.on_loop(lambda: node.node.server.streams) == 1, "the long poll")
    assert put(node, A, 1).status == 201
    waiting.join(20)
    assert [item["sequence/no"] for item in box[0].json["items"]] == [1]
    waiting = threading.Thread(target=lambda: box.append(node.get(f"/adv?since={box[0].json['next']}&wait=60")))
    waiting.start()
    node.until(lambda: node.on_loop(lambda: node.node.server.streams) == 1, "the second long poll")
    node.advance(60)
    waiting.join(20)
    assert (box[1].status, box[1].json["items"], box[1].json["next"]) == (200, [], box[0].json["next"])


def test_a_stream_carries_past_and_present(node):
    put(node, A, 1)
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as sock:
        sock.sendall(head("/adv", "Accept: text/event-stream", method="GET"))
        data = b""
        while data.count(b"\n\n") < 1:
            data += sock.recv(65536)
        put(node, B, 2)
        put(node, A, 3)
        while data.count(b"data: ") < 3 or not data.endswith(b"\n\n"):
            data += sock.recv(65536)
    assert b"Content-Type: text/event-stream" in data
    sequences = [json.loads(line[6:])["sequence/no"] for line in data.split(b"\n") if line.startswith(b"data: ")]
    ids = [line[4:].decode() for line in data.split(b"\n") if line.startswith(b"id: ")]
    assert sequences == [1, 2, 3]
    assert node.get(f"/adv?since={ids[-1]}").json["items"] == []
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as sock:
        sock.sendall(head("/adv?stream=1", f"Last-Event-ID: {ids[1]}", method="GET"))
        data = b""
        while b"data: " not in data or not data.endswith(b"\n\n"):
            data += sock.recv(65536)
    assert data.count(b"data: ") == 1 and b'"sequence/no":3' in data


def test_eight_writers_and_four_readers_lose_and_repeat_nothing(make):
    node = make(clock=Clock(), directory_publisher_writes_burst=0, directory_source_writes_burst=0,
                directory_source_reads_burst=0)
    nodes, sequences = [Signer(number) for number in range(4)], 60
    offers = [(signer, sequence, signer.raw(sequence, node.clock.time())) for signer in nodes for sequence in range(sequences)]
    answers, done, faults, lock = [], threading.Event(), [], threading.Lock()

    def write(seed):
        mine = offers[:]
        random.Random(seed).shuffle(mine)
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        for signer, sequence, body in mine:
            connection.request("PUT", signer.path, body, JSON)
            answer = connection.getresponse()
            answer.read()
            with lock:
                answers.append((signer.node_id, sequence, answer.status))
        connection.close()

    def read(limit, form):
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)
        seen, cursor, delivered = {}, "", []
        while True:
            last_round = done.is_set()
            connection.request("GET", f"/adv?limit={limit}&since={cursor}{form}")
            page = json.loads(connection.getresponse().read())
            for item in page["items"]:
                if item["sequence/no"] <= seen.get(item["node/id"], -1):
                    faults.append(("not rising", item["node/id"], item["sequence/no"], seen))
                seen[item["node/id"]] = item["sequence/no"]
                delivered.append((item["node/id"], item["sequence/no"]))
            if last_round and page["next"] == cursor:
                break
            cursor = page["next"]
        if len(set(delivered)) != len(delivered):
            faults.append(("repeated", delivered))
        if seen != {signer.node_id: sequences - 1 for signer in nodes}:
            faults.append(("lost", seen))
        connection.close()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    readers = [threading.Thread(target=read, args=arguments) for arguments in ((3, ""), (1, ""), (100, "&wait=0.2"),
                                                                               (2, "&wait=0.2"))]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join(120)
    done.set()
    for thread in readers:
        thread.join(60)
        assert not thread.is_alive()
    assert faults == []
    by_status = {status: sum(1 for answer in answers if answer[2] == status) for status in {answer[2] for answer in answers}}
    assert set(by_status) == {200, 201, 409} and by_status[201] == 4, by_status
    stored = [(node_id, sequence) for node_id, sequence, status in answers if status != 409]
    assert len(stored) == len(set(stored)), "no number was accepted twice"
    figures = node.rooms["directory"].figures()
    assert figures["position"] == len(stored) and figures["live"] == 4


def test_of_twelve_identical_puts_at_once_one_is_created(node):
    body, box = A.raw(1, NOON), []
    threads = [threading.Thread(target=lambda: box.append(node.request("PUT", A.path, raw=body, headers=JSON)))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answer.status for answer in box) == [201] + [409] * 11
    assert {answer.headers.get("adv-match") for answer in box if answer.status == 409} == {"identical"}


# --- restarts ---------------------------------------------------------------------------------------------------------

def test_a_cursor_of_before_a_restart_goes_on(make):
    node = make()
    put(node, A, 1)
    cursor = node.get("/adv").json["next"]
    put(node, B, 1)
    node.stop()
    again = make()
    page = again.get(f"/adv?since={cursor}")
    assert "adv-cursor" not in page.headers
    assert [item["node/id"] for item in page.json["items"]] == [B.node_id]
    assert put(again, A, 1).headers["adv-match"] == "identical"


def test_a_restored_database_starts_a_new_epoch(make, tmp_path):
    node = make()
    put(node, A, 1)
    node.stop()
    copy = (tmp_path / "node" / "ocp.db").read_bytes()
    node = make()
    put(node, B, 1)
    cursor = node.get("/adv").json["next"]
    node.stop()
    (tmp_path / "node" / "ocp.db").write_bytes(copy)
    node = make()
    page = node.get(f"/adv?since={cursor}")
    assert page.headers["adv-cursor"] == "reset" and [item["node/id"] for item in page.json["items"]] == [A.node_id]
    fresh = page.json["next"]
    put(node, C, 1)
    node.stop()
    node = make()
    page = node.get(f"/adv?since={fresh}")
    assert "adv-cursor" not in page.headers and [item["node/id"]
                                                 for item in page.json["items"]] == [C.node_id], "the new epoch lasts"


CHILD = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from ocp_node.base.clock import SetClock
from tests.support.adverts import NOON
from tests.support.node import TrialNode
off = {"directory_publisher_writes_burst": 0, "directory_source_writes_burst": 0, "directory_source_reads_burst": 0}
node = TrialNode(pathlib.Path(sys.argv[2]), clock=SetClock(NOON), **off)
print(node.port, flush=True)
node.thread.join()
"""


def test_what_was_answered_survives_a_kill_and_positions_never_repeat(tmp_path, make):
    root = str(Path(__file__).resolve().parents[2])
    cursors = set()
    answered: dict[str, int] = {}
    for round_number in range(3):
        child = subprocess.Popen([sys.executable, "-c", CHILD, root, str(tmp_path / "node")], stdout=subprocess.PIPE, text=True)
        port = int(child.stdout.readline())
        stop = threading.Event()

        def write(number, base=round_number * 10_000, port=port, stop=stop):
            signer, sequence = Signer(number), base
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                while not stop.is_set():
                    sequence += 1
                    connection.request("PUT", signer.path, signer.raw(sequence, NOON), JSON)
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status in (200, 201)
                    answered[signer.node_id] = sequence
            except (OSError, http.client.HTTPException):
                pass

        def read(port=port, stop=stop):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                while not stop.is_set():
                    connection.request("GET", "/adv")
                    page = json.loads(connection.getresponse().read())
                    cursors.add((page["next"], tuple(sorted((item["node/id"], item["sequence/no"]) for item in page["items"]))))
            except (OSError, ValueError, http.client.HTTPException):
                pass

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)] + [threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        time.sleep(0.4)             # not a wait for an event: the kill must come at any moment
        child.send_signal(signal.SIGKILL)
        child.wait()
        stop.set()
        for thread in threads:
            thread.join(20)
        child.stdout.close()
    node = make()
    found = {item["node/id"]: item["sequence/no"] for item in node.get("/adv").json["items"]}
    assert len(answered) == 4
    assert all(found[node_id] >= sequence for node_id, sequence in answered.items())
    assert len({cursor for cursor, _ in cursors}) == len(cursors), "one cursor, one state"


def test_a_full_disk_is_an_unavailable_directory_with_nothing_changed(node):
    put(node, A, 1)

    def spoil(connection):
        connection.execute("CREATE TRIGGER adv_full BEFORE INSERT ON adv_highwater BEGIN SELECT RAISE(ROLLBACK, 'disk full'); "
                           "END")

    node.core.writer.run(spoil)
    answer = put(node, B, 1)
    assert (answer.status, answer.json["reason"], answer.headers["retry-after"]) == (503, "storage-unavailable", "5"), answer
    assert answer.json["error/code"] == "E_TRANSPORT_UNAVAILABLE"
    node.core.writer.run(lambda connection: connection.execute("DROP TRIGGER adv_full"))
    assert [item["node/id"] for item in node.get("/adv").json["items"]] == [A.node_id]
    assert put(node, B, 1).status == 201


def test_the_sweep_waits_until_the_clock_is_trusted(node):
    put(node, A, 1)
    room = node.rooms["directory"]
    node.clock.jump(10 * 86_400)
    room.sweep()
    assert room.figures()["nodes"] == 1, "set forward: nothing is forgotten by this clock"
    node.clock.advance(3600)
    room.sweep()
    assert room.figures()["nodes"] == 0


def test_every_event_of_the_protocol_is_traced_without_addresses_or_bodies(make):
    from tests.support.store import Heard
    heard = Heard()
    node = make(log=heard)
    put(node, A, 1)
    put(node, A, 1)
    node.get(A.path)
    node.get("/adv?limit=0")
    node.get("/adv/odd")
    others = [(event, members.get("detail")) for level, event, members in heard.lines if event.startswith(("identity/", "error/"))]
    assert others == [("identity/generated", None), ("error/occurred", {"code": "E_PROTO_INVALID", "class": "protocol/invalid-contract",
                                                                        "reason": "invalid-node-id"})]
    traced = [(event, members) for level, event, members in heard.lines if event.startswith("advertisement/")]
    assert [event for event, _ in traced] == ["advertisement/published", "advertisement/rejected", "advertisement/fetched"]
    assert traced[1][1]["detail"] == {"code": "E_ADV_STALE_SEQ", "class": "advertisement/stale-sequence",
                                      "reason": "stale-sequence"}
    assert all(members["peer"] == A.node_id and members["node/self"] == node.core.identity.did for _, members in traced)
    assert not re.search(r"127\.0\.0\.1|wss:", repr(traced))


def test_the_directory_is_measured(node):
    put(node, A, 1)
    put(node, A, 1)
    node.get(A.path)
    text = node.get("/metrics").text
    assert 'ocp_directory_events_total{what="stored",why="created"} 1' in text
    assert 'ocp_directory_events_total{what="refused",why="stale-sequence"} 1' in text
    assert "ocp_directory_nodes 1" in text and "ocp_directory_position 1" in text and "node:did" not in text
