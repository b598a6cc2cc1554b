"""RFC 6455 without sockets: handshake, frames, bounds, and the closing handshake."""

from __future__ import annotations

import itertools
import random
import tracemalloc

import pytest

from ocp_node.base.ids import CountedIds, Ids
from ocp_node.http import websocket as ws
from ocp_node.http.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    STEPS,
    TEXT,
    Binary,
    Close,
    Connection,
    Event,
    Ping,
    Pong,
    ProtocolFault,
    Role,
    State,
    Text,
)

MASK = b"\x11\x22\x33\x44"
CLIENT_HEAD = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
               "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def server(message_bytes_max: int = 1 << 20) -> Connection:
    return Connection(Role.SERVER, message_bytes_max, CountedIds())


def client(message_bytes_max: int = 1 << 20) -> Connection:
    return Connection(Role.CLIENT, message_bytes_max, CountedIds())


def raw(first: int, payload: bytes = b"", mask: bytes = MASK, form: int = 0) -> bytes:
    """A frame written by hand, with any first byte and any form of the length (0: the shortest)."""
    length = len(payload)
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    short = length if form == 7 else 126 if form == 16 else 127
    head = bytes([first, (0x80 if mask else 0) | short]) + (b"" if form == 7 else length.to_bytes(form // 8, "big"))
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else head + payload


def read_in_pieces(connection: Connection, data: bytes, size: int) -> list[Event]:
    events: list[Event] = []
    for at in range(0, len(data), size):
        events += connection.receive(data[at:at + size])
    return events


# --- the opening handshake -----------------------------------------------------------------------------------------------

def test_the_accept_key_is_that_of_the_standards_example():
    assert ws.accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_right_handshake_is_answered_with_101_and_nothing_that_was_not_asked_for():
    head = ws.handshake("GET", {**CLIENT_HEAD, "sec-websocket-extensions": "permessage-deflate"})
    assert head == (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def test_the_words_of_a_handshake_are_found_in_lists_and_in_any_case():
    assert isinstance(ws.handshake("GET", {**CLIENT_HEAD, "upgrade": "WebSocket", "connection": "keep-alive, UPGRADE"}), bytes)


@pytest.mark.parametrize("method, changes, status", [
    ("POST", {}, 405),
    ("GET", {"upgrade": "h2c"}, 400),
    ("GET", {"upgrade": None}, 400),
    ("GET", {"connection": "keep-alive"}, 400),
    ("GET", {"connection": None}, 400),
    ("GET", {"sec-websocket-version": "8"}, 426),
    ("GET", {"sec-websocket-version": None}, 426),
    ("GET", {"sec-websocket-version": "13, 13"}, 426),
    ("GET", {"sec-websocket-key": None}, 400),
    ("GET", {"sec-websocket-key": ""}, 400),
    ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZQ=="}, 400),
    ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}, 400),
    ("GET", {"sec-websocket-key": "dGhlIHNhbXBsZSBub25j\r\nX: 1"}, 400),
])
def test_a_wrong_handshake_is_refused_with_its_status(method, changes, status):
    headers = {name: value for name, value in {**CLIENT_HEAD, **changes}.items() if value is not None}
    refused = ws.handshake(method, headers)
    assert isinstance(refused, ws.Unaccepted) and refused.status == status


def test_a_missing_key_is_refused_in_the_words_of_the_mesh():
    headers = {name: value for name, value in CLIENT_HEAD.items() if name != "sec-websocket-key"}
    assert ws.handshake("GET", headers) == ws.Unaccepted(400, "Sec-WebSocket-Key is required for websocket upgrade")


def test_a_wrong_version_is_told_the_right_one():
    refused = ws.handshake("GET", {**CLIENT_HEAD, "sec-websocket-version": "7"})
    assert isinstance(refused, ws.Unaccepted) and ("Sec-WebSocket-Version", "13") in refused.headers


def test_a_subprotocol_is_answered_only_when_it_was_offered():
    offered = {**CLIENT_HEAD, "sec-websocket-protocol": "chat, appmesh-ws"}
    head = ws.handshake("GET", offered, "appmesh-ws")
    assert isinstance(head, bytes) and b"\r\nSec-WebSocket-Protocol: appmesh-ws\r\n" in head
    assert isinstance(ws.handshake("GET", CLIENT_HEAD, "appmesh-ws"), ws.Unaccepted)
    assert ws.offered_protocols(offered) == ("chat", "appmesh-ws") and ws.offered_protocols({}) == ()


def answer_of(head: bytes) -> dict[str, str]:
    return {line.split(": ")[0].lower(): line.split(": ")[1] for line in head.decode().split("\r\n")[1:] if line}


def test_both_ends_of_a_handshake_agree():
    key = ws.client_key(Ids())
    sent = {name.lower(): value for name, value in ws.client_headers(key, ("appmesh-ws",))}
    head = ws.handshake("GET", sent, "appmesh-ws")
    assert isinstance(head, bytes)
    assert ws.answer_fault(101, answer_of(head), key, ("appmesh-ws",)) == ""


@pytest.mark.parametrize("status, changes, fault", [
    (200, {}, "the upgrade was not accepted"),
    (101, {"upgrade": ""}, "the answer is no websocket upgrade"),
    (101, {"connection": "close"}, "the answer is no websocket upgrade"),
    (101, {"sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOO="}, "the answer is not for our key"),
    (101, {"sec-websocket-extensions": "permessage-deflate"}, "an extension was chosen that was not offered"),
    (101, {"sec-websocket-protocol": "chat"}, "a subprotocol was chosen that was not offered"),
])
def test_a_client_refuses_a_wrong_answer(status, changes, fault):
    head = ws.handshake("GET", CLIENT_HEAD)
    assert isinstance(head, bytes)
    assert ws.answer_fault(status, {**answer_of(head), **changes}, CLIENT_HEAD["sec-websocket-key"]) == fault


# --- right frames, three ways --------------------------------------------------------------------------------------------

STREAMS = {
    "empty text": (raw(0x81), [Text("")]),
    "empty binary": (raw(0x82), [Binary(b"")]),
    "text": (raw(0x81, "grün 𝄞".encode()), [Text("grün 𝄞")]),
    "text of 125": (raw(0x81, b"x" * 125), [Text("x" * 125)]),
    "text of 126": (raw(0x81, b"x" * 126), [Text("x" * 126)]),
    "binary of 65535": (raw(0x82, (bytes(range(256)) * 256)[:65535]), [Binary((bytes(range(256)) * 256)[:65535])]),
    "binary of 65536": (raw(0x82, bytes(range(256)) * 256), [Binary(bytes(range(256)) * 256)]),
    "three fragments": (raw(0x01, b"a") + raw(0x00, b"b") + raw(0x80, b"c"), [Text("abc")]),
    "empty fragments": (raw(0x01) + raw(0x00) + raw(0x80), [Text("")]),
    "a letter cut in two": (raw(0x01, b"\xe2\x82") + raw(0x80, b"\xac"), [Text("€")]),
    "ping inside a message": (raw(0x02, b"a") + raw(0x89, b"p") + raw(0x80, b"b"), [Ping(b"p"), Binary(b"ab")]),
    "pong of 125": (raw(0x8A, b"z" * 125), [Pong(b"z" * 125)]),
    "two messages": (raw(0x81, b"1") + raw(0x82, b"2"), [Text("1"), Binary(b"2")]),
    "close": (raw(0x88, b"\x03\xe8bye"), [Close(1000, "bye")]),
    "close without code": (raw(0x88), [Close(1005, "")]),
    "close inside a message": (raw(0x01, b"half") + raw(0x88, b"\x03\xe9"), [Close(1001, "")]),
}


@pytest.mark.parametrize("name", STREAMS)
def test_frames_mean_the_same_whole_in_pieces_and_byte_by_byte(name):
    data, events = STREAMS[name]
    for size in (len(data), 1, 7, 4096):
        assert read_in_pieces(server(), data, size) == events, size


@pytest.mark.parametrize("name", [name for name in STREAMS if "close" not in name])
def test_bytes_after_a_frame_belong_to_the_next(name):
    data, events = STREAMS[name]
    connection = server()
    tail = raw(0x81, b"tail")
    assert connection.receive(data + tail[:3]) == events
    assert connection.receive(tail[3:]) == [Text("tail")]


def test_nothing_after_a_close_is_read():
    connection = server()
    assert connection.receive(raw(0x88, b"\x03\xe8") + raw(0x81, b"late")) == [Close(1000, "")]
    assert connection.receive(raw(0x81, b"later")) == []


def test_an_unmasked_frame_is_read_by_a_client_alone():
    data = raw(0x81, b"hi", mask=b"")
    assert client().receive(data) == [Text("hi")]
    assert server().receive(data) == [ProtocolFault(1002, "a client's frame must be masked")]


# --- wrong frames --------------------------------------------------------------------------------------------------------

MALFORMED = {
    "reserved bit 1": (raw(0xC1, b"x"), 1002),
    "reserved bit 2": (raw(0xA1, b"x"), 1002),
    "reserved bit 3": (raw(0x91, b"x"), 1002),
    "reserved bit on a control frame": (raw(0xC9), 1002),
    **{f"reserved opcode {opcode:#x}": (raw(0x80 | opcode), 1002) for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)},
    "unmasked": (raw(0x81, b"x", mask=b""), 1002),
    "continuation of nothing": (raw(0x80, b"x"), 1002),
    "unfinished continuation of nothing": (raw(0x00, b"x"), 1002),
    "text inside a message": (raw(0x01, b"x") + raw(0x81, b"y"), 1002),
    "binary inside a text": (raw(0x01, b"x") + raw(0x82, b"y"), 1002),
    "fragmented ping": (raw(0x09, b"x"), 1002),
    "fragmented close": (raw(0x08), 1002),
    "long ping": (raw(0x89, b"x" * 126), 1002),
    "long close": (raw(0x88, b"\x03\xe8" + b"x" * 124), 1002),
    "ping with a wide length": (raw(0x89, b"x", form=16), 1002),
    "125 in 16 bits": (raw(0x82, b"x" * 125, form=16), 1002),
    "0 in 16 bits": (raw(0x82, form=16), 1002),
    "65535 in 64 bits": (raw(0x82, b"x" * 65535, form=64), 1002),
    "10 in 64 bits": (raw(0x82, b"x" * 10, form=64), 1002),
    "top bit of the length": (b"\x82\xff" + b"\x80" + b"\0" * 7 + MASK, 1002),
    "all bits of the length": (b"\x82\xff" + b"\xff" * 8 + MASK, 1002),
    "one byte of close code": (raw(0x88, b"\x03"), 1002),
    **{f"close code {code}": (raw(0x88, code.to_bytes(2, "big")), 1002)
       for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)},
    "close reason": (raw(0x88, b"\x03\xe8\xff"), 1007),
    "text": (raw(0x81, b"\xff"), 1007),
    "overlong letter": (raw(0x81, b"\xc0\xaf"), 1007),
    "surrogate": (raw(0x81, b"\xed\xa0\x80"), 1007),
    "beyond unicode": (raw(0x81, b"\xf4\x90\x80\x80"), 1007),
    "letter cut off at the end": (raw(0x81, b"ok\xe2\x82"), 1007),
    "letter cut off at the end of fragments": (raw(0x01, b"ok\xe2") + raw(0x80, b"\x82"), 1007),
    "letter broken by the next fragment": (raw(0x01, b"\xe2\x82") + raw(0x80, b"x"), 1007),
    "empty end of a cut letter": (raw(0x01, b"\xe2\x82") + raw(0x80), 1007),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_a_fault_with_its_code(name):
    data, code = MALFORMED[name]
    for size in (len(data), 1, 3):
        connection = server()
        events = read_in_pieces(connection, data, size)
        assert [type(event) for event in events] == [ProtocolFault], (size, events)
        assert events[0].code == code, size
        assert connection.answer(events[0])[:1] == b"\x88" and connection.state is State.CLOSED
        assert connection.receive(raw(0x81, b"more")) == []


def test_what_was_whole_before_a_fault_is_still_told():
    assert server().receive(raw(0x81, b"good") + raw(0x83)) == [Text("good"), ProtocolFault(1002, "the opcode is reserved")]
    ended = raw(0x01, b"x") + raw(0x80, b"y")
    assert server().receive(ended + raw(0x80, b"z")) == [Text("xy"), ProtocolFault(1002, "nothing to continue")]


def test_a_masked_frame_from_a_server_is_a_fault():
    assert client().receive(raw(0x81, b"x")) == [ProtocolFault(1002, "a server's frame must not be masked")]


def test_wrong_text_is_told_before_its_frame_has_ended():
    head = raw(0x81, b"\xff" + b"x" * 1000)[:20]
    assert server().receive(head) == [ProtocolFault(1007, "the text is not UTF-8")]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_a_valid_close_code_is_told_and_echoed(code):
    connection = server()
    events = connection.receive(raw(0x88, code.to_bytes(2, "big")))
    assert events == [Close(code, "")]
    assert connection.answer(events[0]) == b"\x88\x02" + code.to_bytes(2, "big")


# --- bounds --------------------------------------------------------------------------------------------------------------

TOO_BIG = ProtocolFault(1009, "the message is too big")


def test_a_message_of_exactly_the_bound_passes_and_one_more_byte_does_not():
    assert server(10).receive(raw(0x82, b"x" * 10)) == [Binary(b"x" * 10)]
    assert server(10).receive(raw(0x82, b"x" * 11)) == [TOO_BIG]
    assert server(10).receive(raw(0x02, b"x" * 6) + raw(0x80, b"y" * 4)) == [Binary(b"x" * 6 + b"y" * 4)]
    assert server(10).receive(raw(0x02, b"x" * 6) + raw(0x80, b"y" * 5)) == [TOO_BIG]
    assert server(0).receive(raw(0x82)) == [Binary(b"")]


def test_a_large_announced_length_is_refused_at_its_head():
    assert server(1000).receive(b"\x82\xff" + ((1 << 63) - 1).to_bytes(8, "big")) == [TOO_BIG]


def test_control_frames_do_not_count_against_the_bound():
    assert server(1).receive(raw(0x02, b"a") + raw(0x89, b"p" * 100) + raw(0x80)) == [Ping(b"p" * 100), Binary(b"a")]


def test_many_tiny_fragments_cost_no_more_than_their_bytes():
    connection = server(100_000)
    fragment = raw(0x00, b"x") * 50_000 + raw(0x00) * 50_000
    connection.receive(raw(0x01))
    tracemalloc.start()
    connection.receive(fragment)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 500_000
    assert connection.receive(raw(0x80)) == [Text("x" * 50_000)]


# --- building frames -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length, head", [
    (0, b"\x82\x00"), (125, b"\x82\x7d"), (126, b"\x82\x7e\x00\x7e"), (65535, b"\x82\x7e\xff\xff"),
    (65536, b"\x82\x7f" + (65536).to_bytes(8, "big")),
])
def test_a_frame_has_the_shortest_length(length, head):
    assert server().binary(b"x" * length) == head + b"x" * length


def test_a_client_masks_every_frame_anew_and_a_server_none():
    sender = client()
    first, second = sender.text("hello"), sender.text("hello")
    assert first[1] & 0x80 and first != second
    assert server().receive(first + second) == [Text("hello"), Text("hello")]
    assert server().text("hello") == b"\x81\x05hello" == ws.frame(TEXT, b"hello")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 4095, 4096, 4097, 8191, 8192, 8193, 20_001])
def test_masking_is_the_standards_and_undoes_itself(length):
    data = random.Random(length).randbytes(length)
    assert ws.masked(data, MASK) == bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))
    assert ws.masked(ws.masked(data, MASK), MASK) == data


def test_a_control_frame_of_ours_holds_at_most_125_bytes():
    for build in (server().ping, server().pong):
        assert len(build(b"x" * 125)) == 127
        with pytest.raises(ValueError):
            build(b"x" * 126)


def test_a_long_close_reason_is_cut_between_letters():
    assert server().receive(client().close(1000, "é" * 100)) == [Close(1000, "é" * 61)]


def test_a_code_that_may_not_be_sent_is_a_mistake_of_ours():
    for code in (999, 1004, 1006, 1015, 5000):
        with pytest.raises(ValueError):
            server().close(code)


# --- the closing handshake -----------------------------------------------------------------------------------------------

def in_state(state: State) -> Connection:
    connection = server()
    if state in (State.CLOSING, State.CLOSED):
        connection.close()
    if state in (State.OWING, State.CLOSED):
        connection.receive(raw(0x88))
    assert connection.state is state
    return connection


CAUSES = {
    "close sent": lambda connection: connection.close(),
    "close received": lambda connection: connection.receive(raw(0x88, b"\x03\xe8")),
    "fault": lambda connection: connection.receive(raw(0x83)),
    "end": lambda connection: connection.ended(),
}


@pytest.mark.parametrize("state, cause", list(itertools.product(State, CAUSES)))
def test_every_state_and_cause_leads_where_the_table_says(state, cause):
    connection = in_state(state)
    CAUSES[cause](connection)
    assert connection.state is STEPS.get((state, cause), state)


def test_a_close_is_sent_once():
    connection = server()
    assert connection.close(1001, "going") == b"\x88\x07\x03\xe9going"
    assert connection.close() == b""


def test_a_close_is_answered_by_its_own_code_and_then_all_is_over():
    here, there = server(), client()
    events = here.receive(there.close(4000, "enough"))
    assert events == [Close(4000, "enough")]
    assert there.receive(here.answer(events[0])) == [Close(4000, "")]
    assert here.state is there.state is State.CLOSED
    assert there.answer(Close(4000, "")) == b""


def test_a_close_without_code_is_answered_without_one():
    connection = server()
    assert connection.answer(connection.receive(raw(0x88))[0]) == b"\x88\x00"


def test_closes_that_cross_end_it_for_both_without_an_answer():
    here, there = server(), client()
    from_here, from_there = here.close(1000), there.close(1001)
    assert here.receive(from_there) == [Close(1001, "")] and there.receive(from_here) == [Close(1000, "")]
    assert here.answer(Close(1001, "")) == b"" and there.answer(Close(1000, "")) == b""
    assert here.state is there.state is State.CLOSED


def test_no_data_follows_a_close_of_ours_but_the_peers_is_still_heard():
    connection = server()
    connection.close()
    assert (connection.text("x"), connection.binary(b"x"), connection.ping(), connection.pong()) == (b"", b"", b"", b"")
    assert connection.receive(raw(0x81, b"last words")) == [Text("last words")]
    assert connection.answer(Ping(b"p")) == b""


def test_a_connection_that_just_ends_is_told_as_1006_once():
    connection = server()
    assert connection.ended() == [Close(1006, "")]
    assert connection.ended() == []
    closed = server()
    closed.receive(raw(0x88))
    assert closed.ended() == []


def test_a_ping_is_owed_its_own_bytes():
    assert server().answer(Ping(b"abc")) == b"\x8a\x03abc"
    assert server().answer(Text("x")) == b"" and server().answer(Pong(b"x")) == b""


# --- by chance -----------------------------------------------------------------------------------------------------------

def random_text(chance: random.Random) -> str:
    letters = "aé€𝄞\n\0"
    return "".join(chance.choices(letters, k=chance.choice([0, 1, 3, 50, 300])))


def random_stream(chance: random.Random, mask: bytes) -> tuple[bytes, list[Event]]:
    """Messages in random fragments with control frames between them, and what they mean."""
    data, events = bytearray(), []
    for _ in range(chance.randrange(1, 6)):
        text = chance.random() < 0.6
        payload = random_text(chance).encode() if text else chance.randbytes(chance.choice([0, 1, 125, 126, 5000]))
        cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(chance.randrange(5)))
        pieces = [payload[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for number, piece in enumerate(pieces):
            opcode = (TEXT if text else BINARY) if number == 0 else CONTINUATION
            last = number == len(pieces) - 1
            data += raw((0x80 if last else 0) | opcode, piece, mask and chance.randbytes(4))
            if not last and chance.random() < 0.3:
                control = chance.choice([PING, PONG])
                word = chance.randbytes(chance.randrange(126))
                data += raw(0x80 | control, word, mask and chance.randbytes(4))
                events.append(Ping(word) if control == PING else Pong(word))
        events.append(Text(payload.decode()) if text else Binary(payload))
    return bytes(data), events


def test_any_fragments_in_any_pieces_make_the_same_messages():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(150):
        for role, mask in ((Role.SERVER, MASK), (Role.CLIENT, b"")):
            data, expected = random_stream(chance, mask)
            connection, events, at = Connection(role, 1 << 20, CountedIds()), [], 0
            while at < len(data):
                size = chance.choice([1, 2, 5, 100, 10_000, len(data)])
                events += connection.receive(data[at:at + size])
                at += size
            assert events == expected


def test_any_bytes_end_in_events_or_one_fault_and_never_in_an_exception():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(1500):
        data = bytearray(random_stream(chance, MASK)[0][:200])
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        whole, slowly = server(5000), server(5000)
        events = whole.receive(bytes(data))
        assert sum(isinstance(event, (ProtocolFault, Close)) for event in events) <= 1
        assert read_in_pieces(slowly, bytes(data), 1) == events
        assert whole.state is slowly.state


# --- against another implementation --------------------------------------------------------------------------------------

def test_frames_are_understood_by_and_from_another_implementation():
    protocol = pytest.importorskip("wsproto.frame_protocol", reason="wsproto is not installed: frames not cross-checked")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    for ours, theirs_is_client in ((server, True), (client, False)):
        here, there = ours(), protocol.FrameProtocol(client=theirs_is_client, extensions=[])
        for _ in range(60):
            text, data = random_text(chance), chance.randbytes(chance.choice([0, 125, 126, 65_535, 65_536]))
            there.receive_bytes(here.text(text) + here.ping(data[:125]) + here.binary(data))
            frames = list(there.received_frames())
            payloads: dict[int, list] = {}
            for piece in frames:
                payloads.setdefault(int(piece.opcode), []).append(piece.payload)
            assert "".join(payloads[TEXT]) == text
            assert b"".join(bytes(piece) for piece in payloads[BINARY]) == data and bytes(payloads[PING][0]) == data[:125]
            cut = chance.randrange(len(text) + 1)
            sent = there.send_data(text[:cut], fin=False) + there.ping(b"p") + there.send_data(text[cut:], fin=True)
            sent += there.send_data(data, fin=True)
            assert here.receive(sent) == [Ping(b"p"), Text(text), Binary(data)]
        there.receive_bytes(here.close(1001, "bye"))
        closing = next(iter(there.received_frames()))
        assert (int(closing.opcode), closing.payload) == (CLOSE, (1001, "bye"))
        assert here.receive(there.close(1001, "bye")) == [Close(1001, "bye")]


def test_another_implementation_completes_our_handshake():
    pytest.importorskip("wsproto", reason="wsproto is not installed: no cross-check of the WebSocket handshake")
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import AcceptConnection, Request, TextMessage

    peer = WSConnection(ConnectionType.CLIENT)
    request = peer.send(Request(host="node", target="/mesh/stream", subprotocols=["appmesh-ws"]))
    headers = answer_of(request)
    head = ws.handshake("GET", headers, "appmesh-ws")
    assert isinstance(head, bytes)
    peer.receive_data(head + server().text("first"))
    accepted, message = list(peer.events())
    assert isinstance(accepted, AcceptConnection) and accepted.subprotocol == "appmesh-ws"
    assert isinstance(message, TextMessage) and message.data == "first"
