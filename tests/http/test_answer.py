"""Answers read without sockets: whole, byte by byte, with trailing bytes, and malformed."""

from __future__ import annotations

import random

import pytest

from ocp_node.http.answer import REFUSAL_BYTES_MAX, AnswerReader
from ocp_node.http.calls import Answer, OutboundError, peer_error, peer_refusal

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


def read(data: bytes, size: int = 0, method: str = "GET", bytes_max: int = 1000, end: bool = True) -> tuple[AnswerReader, bytes]:
    reader, content = AnswerReader(method, bytes_max), b""
    for at in range(0, len(data), size or len(data) or 1):
        content += reader.receive(data[at:at + (size or len(data))])
    if end:
        reader.ended()
    return reader, content


ANSWERS = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", "GET", 200, b"hello", True),
    "no content": (OK + b"Content-Length: 0\r\n\r\n", "GET", 200, b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "POST", 204, b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", 304, b"", True),
    "HEAD": (OK + b"Content-Length: 5\r\n\r\n", "HEAD", 200, b"", True),
    "chunked": (CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n", "GET", 200, b"hello!", True),
    "in capitals": (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", "GET", 200, b"0123456789", True),
    "after interim answers": (INTERIM + OK + b"Content-Length: 1\r\n\r\n1", "POST", 200, b"1", True),
    "no reason": (b"HTTP/1.1 404\r\nContent-Length: 2\r\n\r\n{}", "GET", 404, b"{}", True),
    "empty reason": (b"HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\n{}", "GET", 404, b"{}", True),
    "closing": (OK + b"Connection: foo, Close\r\nContent-Length: 1\r\n\r\n1", "GET", 200, b"1", False),
    "old and closing": (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1", "GET", 200, b"1", False),
    "old and keeping": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1", "GET", 200, b"1", True),
    "until the end": (OK + b"\r\nall there is", "GET", 200, b"all there is", False),
    "said to be plain": (OK + b"Content-Encoding: identity\r\nContent-Length: 1\r\n\r\n1", "GET", 200, b"1", True),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_the_same_whole_and_byte_by_byte(name):
    data, method, status, content, keep = ANSWERS[name]
    for size in (0, 1, 3, 7):
        reader, got = read(data, size, method)
        assert (reader.status, got, reader.done, reader.keep) == (status, content, True, keep), size


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "until the end"])
def test_bytes_after_an_answer_are_not_its_content_and_spoil_the_connection(name):
    data, method, status, content, _ = ANSWERS[name]
    for size in (0, 1):
        reader, got = read(data + b"HTTP/1.1 200 OK\r\n\r\n", size, method)
        assert (reader.status, got, reader.keep) == (status, content, False)


def test_header_names_are_lowered_and_repeated_ones_joined():
    reader, _ = read(OK + b"X-A: 1\r\nx-a:2  \r\nX-B:\t\r\nContent-Length: 0\r\n\r\n")
    assert reader.headers == {"x-a": "1, 2", "x-b": "", "content-length": "0"}


MALFORMED = {
    "not HTTP": b"SSH-2.0-x\r\n\r\n",
    "HTTP/2": b"HTTP/2 200\r\n\r\n",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status 99": b"HTTP/1.1 099 x\r\n\r\n",
    "status 600": b"HTTP/1.1 600 x\r\n\r\n",
    "status 2000": b"HTTP/1.1 2000 x\r\n\r\n",
    "two blanks": b"HTTP/1.1  200 OK\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "endless interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
    "folded line": OK + b"X: 1\r\n 2\r\n\r\n",
    "blank before colon": OK + b"Content-Length : 1\r\n\r\n1",
    "no colon": OK + b"nonsense\r\n\r\n",
    "empty name": OK + b": x\r\n\r\n",
    "bare LF": OK + b"X: 1\nContent-Length: 0\r\n\r\n",
    "bare CR": OK + b"X: 1\rY: 2\r\n\r\n",
    "NUL": OK + b"X: \0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n1",
    "length list": OK + b"Content-Length: 1, 1\r\n\r\n1",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "plus length": OK + b"Content-Length: +1\r\n\r\n1",
    "hex length": OK + b"Content-Length: 0x1\r\n\r\n1",
    "empty length": OK + b"Content-Length:\r\n\r\n1",
    "huge length": OK + b"Content-Length: 9999999999999999999\r\n\r\n1",
    "length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip": OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n1",
    "chunk size": CHUNKED + b"xyz\r\n",
    "chunk size with sign": CHUNKED + b"-1\r\n",
    "chunk size without end": CHUNKED + b"0" * 400,
    "chunk too long for its size": CHUNKED + b"1\r\nab\r\n",
    "too many headers": OK + b"X: 1\r\n" * 200 + b"\r\n",
    "head too large": OK + b"X: " + b"y" * 70_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_told_without_waiting_for_more(name):
    for size in (0, 1) if len(MALFORMED[name]) < 5000 else (0, 1000):
        with pytest.raises(OutboundError) as refused:
            read(MALFORMED[name], size, end=False)
        assert refused.value.kind == "bad_answer"


@pytest.mark.parametrize("data", [
    b"", b"HTTP/1.1 200", OK, OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
])
def test_an_answer_that_breaks_off_is_no_answer(data):
    with pytest.raises(OutboundError) as refused:
        read(data)
    assert refused.value.kind == "closed"


@pytest.mark.parametrize("head, body", [
    (b"Content-Length: 11\r\n\r\n", b""), (b"\r\n", b"x" * 11), (b"Transfer-Encoding: chunked\r\n\r\n", b"b\r\n"),
    (b"Transfer-Encoding: chunked\r\n\r\n", b"6\r\nabcdef\r\n5\r\n"),
])
def test_an_answer_past_its_bound_is_refused_as_early_as_it_shows(head, body):
    with pytest.raises(OutboundError) as refused:
        read(OK + head + body, bytes_max=10, end=False)
    assert refused.value.kind == "too_large"


def test_an_answer_of_exactly_its_bound_passes():
    for head, body in ((b"Content-Length: 10\r\n\r\n", b"x" * 10), (b"\r\n", b"x" * 10),
                       (b"Transfer-Encoding: chunked\r\n\r\n", b"4\r\nxxxx\r\n6\r\nxxxxxx\r\n0\r\n\r\n")):
        assert read(OK + head + body, bytes_max=10)[1] == b"x" * 10


def test_a_large_error_keeps_its_status_and_loses_its_tail():
    body = b"e" * (REFUSAL_BYTES_MAX + 5)
    for head in (b"Content-Length: %d\r\n\r\n" % len(body), b"\r\n"):
        reader, content = read(b"HTTP/1.1 500 x\r\n" + head + body, 5000, bytes_max=1 << 30, end=False)
        assert (reader.status, len(content), reader.done, reader.keep) == (500, REFUSAL_BYTES_MAX, True, False)
    chunked = b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(body)
    assert read(chunked, bytes_max=1 << 30, end=False)[0].done


def test_any_chunks_in_any_pieces_make_the_same_content():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(100):
        content = chance.randbytes(chance.choice([0, 1, 100, 9000]))
        data, at = bytearray(CHUNKED), 0
        while at < len(content):
            size = chance.randrange(1, len(content) - at + 1) if chance.random() < 0.5 else min(7, len(content) - at)
            data += b"%x\r\n%b\r\n" % (size, content[at:at + size])
            at += size
        reader, got = read(bytes(data + b"0\r\n\r\n"), chance.choice([0, 1, 13, 5000]), bytes_max=10_000)
        assert got == content and reader.done and reader.keep


# --- the mesh's words ----------------------------------------------------------------------------------------------------

def answer(status: int, body: bytes) -> Answer:
    return Answer(status, {}, body, "http://peer/", "10.0.0.9")


@pytest.mark.parametrize("kind, code", [
    ("bad_request", "invalid_request"), ("address_refused", "invalid_request"), ("unresolved", "peer_unreachable"),
    ("refused", "peer_unreachable"), ("unreachable", "peer_unreachable"), ("timeout", "peer_timeout"),
    ("reset", "peer_unreachable"), ("closed", "peer_unreachable"), ("tls", "peer_unreachable"),
    ("bad_answer", "peer_unreachable"),
    ("too_large", "peer_unreachable"), ("redirect", "peer_refused"), ("status", "peer_refused"),
])
def test_every_kind_of_error_has_its_word_on_the_mesh(kind, code):
    refusal = peer_refusal(OutboundError(kind, "what happened"))
    assert (refusal.code, refusal.message) == (code, "what happened")


def test_a_peers_own_refusal_is_passed_on_with_its_status_and_text():
    body = b'{"error":"nonce was\\nused \\u001b[31mbefore","code":"x"}'
    refusal = peer_refusal(OutboundError("status", "no", answer(409, body)))
    assert refusal.detail == {"peer_status": 409, "peer_error": "nonce was used  [31mbefore"}


@pytest.mark.parametrize("body, text", [
    (b"", ""), (b"<html>", ""), (b"[]", ""), (b'"x"', ""), (b'{"error":{"a":1}}', ""), (b'{"error":1,"message":"m"}', "m"),
    (b'{"reason":"r"}', "r"), (b'{"error":"' + b"x" * 1000 + b'"}', "x" * 300),
])
def test_a_peers_error_text_is_found_and_bounded(body, text):
    assert peer_error(answer(400, body)) == text


@pytest.mark.parametrize("body", [b"", b"{", b"1", b"null", b'"x"', b"\xff", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 100_000])
def test_only_a_strict_json_object_or_array_is_a_document(body):
    with pytest.raises(OutboundError) as refused:
        answer(200, body).document()
    assert refused.value.kind == "bad_answer"
