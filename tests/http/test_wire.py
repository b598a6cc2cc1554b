"""Request heads and chunked bodies as bytes: what is read, and what is refused."""

import pytest

from ocp_node.http.wire import BadRequest, ChunkedBody, parse_head

HOST = "Host: node\r\n"

REFUSED = [
    ("two words", "GET /\r\n" + HOST, 400),
    ("four words", "GET / x HTTP/1.1\r\n" + HOST, 400),
    ("two blanks", "GET  / HTTP/1.1\r\n" + HOST, 400),
    ("a tab between the words", "GET\t/\tHTTP/1.1\r\n" + HOST, 400),
    ("no such protocol", "GET / FTP/1.1\r\n" + HOST, 400),
    ("HTTP/2.0 in clear", "GET / HTTP/2.0\r\n" + HOST, 505),
    ("lower-case protocol", "GET / http/1.1\r\n" + HOST, 400),
    ("a method with brackets", "GE(T / HTTP/1.1\r\n" + HOST, 400),
    ("a target without slash", "GET index HTTP/1.1\r\n" + HOST, 400),
    ("a fragment in the target", "GET /a#b HTTP/1.1\r\n" + HOST, 400),
    ("a target of another scheme", "GET ftp://node/ HTTP/1.1\r\n" + HOST, 400),
    ("non-ASCII in the target", "GET /caf\xe9 HTTP/1.1\r\n" + HOST, 400),
    ("a blank before the colon", "GET / HTTP/1.1\r\n" + HOST + "X-Op : b\r\n", 400),
    ("a folded line", "GET / HTTP/1.1\r\n" + HOST + "X: a\r\n b\r\n", 400),
    ("a line without colon", "GET / HTTP/1.1\r\n" + HOST + "nothing\r\n", 400),
    ("an empty name", "GET / HTTP/1.1\r\n" + HOST + ": v\r\n", 400),
    ("NUL in a value", "GET / HTTP/1.1\r\n" + HOST + "X: a\0b\r\n", 400),
    ("a bare CR in a value", "GET / HTTP/1.1\r\n" + HOST + "X: a\rb\r\n", 400),
    ("a bare LF in a value", "GET / HTTP/1.1\r\n" + HOST + "X: a\nY: b\r\n", 400),
    ("no Host", "GET / HTTP/1.1\r\n", 400),
    ("two Hosts", "GET / HTTP/1.1\r\n" + HOST + HOST, 400),
    ("a list as Host", "GET / HTTP/1.1\r\nHost: a, b\r\n", 400),
    ("user information in Host", "GET / HTTP/1.1\r\nHost: a@b\r\n", 400),
    ("a negative length", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: -1\r\n", 400),
    ("a signed length", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: +5\r\n", 400),
    ("a length with underscore", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: 1_0\r\n", 400),
    ("a hexadecimal length", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: 0x10\r\n", 400),
    ("an empty length", "POST / HTTP/1.1\r\n" + HOST + "Content-Length:\r\n", 400),
    ("two equal lengths", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    ("a list of lengths", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: 5, 5\r\n", 400),
    ("a length of Arabic digits", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: \xb2\r\n", 400),
    ("length and chunks", "POST / HTTP/1.1\r\n" + HOST + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    ("an unknown coding", "POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: gzip\r\n", 501),
    ("chunked twice", "POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: chunked, chunked\r\n", 501),
    ("chunked with a vertical tab", "POST / HTTP/1.1\r\n" + HOST + "Transfer-Encoding: \x0bchunked\r\n", 400),
    ("chunks under HTTP/1.0", "POST / HTTP/1.0\r\n" + HOST + "Transfer-Encoding: chunked\r\n", 400),
    ("two authorizations", "GET / HTTP/1.1\r\n" + HOST + "Authorization: a\r\nAuthorization: b\r\n", 400),
    ("too many headers", "GET / HTTP/1.1\r\n" + HOST + "X: a\r\n" * 200, 431),
    ("a very long target", "GET /" + "a" * 20_000 + " HTTP/1.1\r\n" + HOST, 414),
]


@pytest.mark.parametrize("what, text, status", REFUSED, ids=[case[0] for case in REFUSED])
def test_what_two_servers_could_read_differently_is_refused(what, text, status):
    with pytest.raises(BadRequest) as caught:
        parse_head(text.removesuffix("\r\n").encode("latin-1"))
    assert caught.value.status == status


def test_a_head_is_read_as_it_stands():
    head = parse_head(b"POST /a/b%20c?x=1&y=2 HTTP/1.1\r\nHost: node:8421\r\nX-Empty:\r\nContent-Length: 12\r\nAccept: a\r\nAccept:  b \t")
    assert (head.method, head.path, head.query, head.length, head.chunked, head.keep) == ("POST", "/a/b%20c", "x=1&y=2", 12, False, True)
    assert head.headers["accept"] == "a, b" and head.headers["x-empty"] == ""


@pytest.mark.parametrize("line, version, keeps", [
    ("", "1.1", True), ("Connection: close\r\n", "1.1", False), ("Connection: close, te\r\n", "1.1", False), ("Connection: TE , Close\r\n", "1.1", False),
    ("", "1.0", False), ("Connection: keep-alive\r\n", "1.0", True), ("Connection: closed\r\n", "1.1", True)])
def test_the_connection_header_is_a_list_of_words(line, version, keeps):
    assert parse_head(f"GET / HTTP/{version}\r\n{HOST}{line}".removesuffix("\r\n").encode()).keep is keeps


def test_an_absolute_target_names_the_host_itself():
    head = parse_head(b"GET http://other:1/path?q HTTP/1.1\r\nHost: node")
    assert head.headers["host"] == "other:1" and head.target == "/path?q" and head.path == "/path"


def test_a_last_head_is_a_copy_and_leaves_the_shared_one_alone():
    head = parse_head(b"GET / HTTP/1.1\r\nHost: node")
    assert not head.last().keep and head.keep


CHUNKS = b"5;name=value\r\nhello\r\n1 \r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("sizes", [[len(CHUNKS)], [1] * len(CHUNKS), [7] * 20])
def test_chunks_are_decoded_however_they_are_cut(sizes):
    body, made, at = ChunkedBody(100), b"", 0
    for size in sizes:
        made += body.feed(CHUNKS[at:at + size])
        at += size
    assert made == b"hello 0123456789" and body.ended and body.rest == b""


def test_what_follows_the_last_chunk_is_the_next_request():
    body = ChunkedBody(100)
    assert body.feed(b"2\r\nab\r\n0\r\n\r\nGET / HTTP/1.1\r\n") == b"ab"
    assert body.ended and body.rest == b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize("raw, status", [
    (b"x\r\n", 400), (b"-1\r\n", 400), (b"+1\r\n", 400), (b"0x1\r\n", 400), (b"\r\n", 400), (b"1\nab", 400), (b"2\r\nabc\r\n", 400),
    (b"1;a\nb\r\nx\r\n", 400), (b"1;\0\r\n", 400), (b"0\r\nT: x\ny\r\n\r\n", 400), (b"0\r\nno colon\r\n\r\n", 400), (b"0\r\nT : x\r\n\r\n", 400),
    (b"fffffffffffffff\r\n", 413), (b"65\r\n", 413), (b"1" * 300, 400), (b"0\r\n" + b"T: x\r\n" * 2000, 431)])
def test_bytes_that_are_no_chunks_or_too_many_are_refused(raw, status):
    with pytest.raises(BadRequest) as caught:
        ChunkedBody(100).feed(raw)
    assert caught.value.status == status
