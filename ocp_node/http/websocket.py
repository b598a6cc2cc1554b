"""WebSocket without sockets (RFC 6455): bytes in, events out; frames are built, somebody else sends them.

One `Connection` is one end after the HTTP upgrade.  The reader's loop is three lines for either role:

    for event in connection.receive(data):
        send(connection.answer(event))          # the pong, or the Close that is owed; b"" when nothing is
        ...

No extensions are offered or accepted, so every reserved bit is a fault.
"""

from __future__ import annotations

import codecs
import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..base.ids import Ids

# --- the opening handshake (section 4) ---------------------------------------------------------------------------------

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")               # 16 bytes in base64


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """Why a handshake is refused, and with which status."""
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def accept_key(key: str) -> str:
    """What the server answers to a client's `Sec-WebSocket-Key` (section 4.2.2)."""
    from base64 import b64encode
    from hashlib import sha1
    return b64encode(sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


def asks_upgrade(headers: Mapping[str, str]) -> bool:
    """The request wants to become a WebSocket; whether it may is for `handshake`."""
    return "websocket" in _words(headers.get("upgrade", ""))


def offered_protocols(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The subprotocols the client would speak, its favourite first."""
    return tuple(word for word in (part.strip() for part in headers.get("sec-websocket-protocol", "").split(",")) if word)


def handshake(method: str, headers: Mapping[str, str], protocol: str = "") -> bytes | Unaccepted:
    """The head of the 101 answer, or why there is none.  Header names are in lower case, repeated ones joined by commas."""
    if method != "GET":
        return Unaccepted(405, "a websocket upgrade is a GET", (("Allow", "GET"),))
    if not asks_upgrade(headers) or "upgrade" not in _words(headers.get("connection", "")):
        return Unaccepted(400, "Upgrade: websocket and Connection: Upgrade are required for websocket upgrade")
    if headers.get("sec-websocket-version", "").strip() != "13":
        return Unaccepted(426, "Sec-WebSocket-Version must be 13",
                          (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")))
    key = headers.get("sec-websocket-key", "").strip()
    if not key:
        return Unaccepted(400, "Sec-WebSocket-Key is required for websocket upgrade")
    if not _KEY.fullmatch(key):
        return Unaccepted(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    if protocol and protocol not in offered_protocols(headers):
        return Unaccepted(400, "Unsupported sub-protocol")
    chosen = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key)}\r\n{chosen}\r\n").encode("latin-1")


def client_key(ids: Ids) -> str:
    """A fresh `Sec-WebSocket-Key`."""
    from base64 import b64encode
    return b64encode(ids.bytes(16)).decode()


def client_headers(key: str, protocols: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
    """What a client adds to its GET."""
    wanted = (("Sec-WebSocket-Protocol", ", ".join(protocols)),) if protocols else ()
    return (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key), *wanted)


def answer_fault(status: int, headers: Mapping[str, str], key: str, protocols: Sequence[str] = ()) -> str:
    """Why a client must not go on after this answer (section 4.1), or ""."""
    if status != 101:
        return "the upgrade was not accepted"
    if "websocket" not in _words(headers.get("upgrade", "")) or "upgrade" not in _words(headers.get("connection", "")):
        return "the answer is no websocket upgrade"
    if headers.get("sec-websocket-accept", "").strip() != accept_key(key):
        return "the answer is not for our key"
    if headers.get("sec-websocket-extensions", "").strip():
        return "an extension was chosen that was not offered"
    if not set(offered_protocols(headers)) <= set(protocols):
        return "a subprotocol was chosen that was not offered"
    return ""


def _words(value: str) -> set[str]:
    return {word.strip().lower() for word in value.split(",")}


# --- events --------------------------------------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Text:
    """A whole text message."""
    text: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer ends it.  1005: it named no code; 1006: the connection ended without a Close (section 7.4.1)."""
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProtocolFault:
    """The peer broke the protocol or a bound; nothing is read after it, and `answer` builds the Close to send."""
    code: int
    reason: str


Event = Text | Binary | Ping | Pong | Close | ProtocolFault


class _Fault(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


# --- the closing handshake (section 7) -----------------------------------------------------------------------------------

class State(enum.Enum):
    OPEN = "open"
    CLOSING = "closing"          # our Close is sent, the peer's is awaited
    OWING = "owing"              # the peer's Close (or its fault) is read, ours is still to be sent
    CLOSED = "closed"


STEPS: Mapping[tuple[State, str], State] = {
    (State.OPEN, "close sent"): State.CLOSING,
    (State.OPEN, "close received"): State.OWING,
    (State.OPEN, "fault"): State.OWING,
    (State.OPEN, "end"): State.CLOSED,
    (State.CLOSING, "close received"): State.CLOSED,
    (State.CLOSING, "fault"): State.CLOSED,
    (State.CLOSING, "end"): State.CLOSED,
    (State.OWING, "close sent"): State.CLOSED,
    (State.OWING, "end"): State.CLOSED,
}
_READING = frozenset({State.OPEN, State.CLOSING})


def close_code_valid(code: int) -> bool:
    """The code may stand in a Close frame (section 7.4, and the codes registered since)."""
    return 1000 <= code <= 1014 and code not in (1004, 1005, 1006) or 3000 <= code <= 4999


# --- frames (section 5) --------------------------------------------------------------------------------------------------

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROL_BYTES_MAX = 125
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_BLOCK = 4096                    # bytes masked as one number: numbers this small stay in the processor's first cache


def frame(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """One whole message as one frame.  Without `mask` it is a server's, the same bytes for every listener."""
    flag, length = (0x80 if mask else 0), len(payload)
    if length <= CONTROL_BYTES_MAX:
        head = bytes((0x80 | opcode, flag | length))
    elif length <= 0xFFFF:
        head = bytes((0x80 | opcode, flag | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, flag | 127)) + length.to_bytes(8, "big")
    return head + mask + masked(payload, mask) if mask else head + payload


def masked(data: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    """`data` with the four bytes of `mask` laid over it again and again (section 5.3); doing it twice undoes it."""
    length = len(data)
    if length <= _BLOCK:
        return _xor(data, mask * (length + 3 >> 2), length)
    whole, view = mask * (_BLOCK >> 2), memoryview(data)
    number = int.from_bytes(whole, "little")
    end = length - length % _BLOCK
    blocks = [(int.from_bytes(view[at:at + _BLOCK], "little") ^ number).to_bytes(_BLOCK, "little")
              for at in range(0, end, _BLOCK)]
    blocks.append(_xor(view[end:], whole, length - end))
    return b"".join(blocks)


def _xor(data: bytes | bytearray | memoryview, over: bytes, length: int) -> bytes:
    return (int.from_bytes(data, "little") ^ int.from_bytes(over[:length], "little")).to_bytes(length, "little")


class Role(enum.Enum):
    SERVER = "server"
    CLIENT = "client"


class Connection:
    """One end of an upgraded connection.  Not for two threads at once.

    Memory is bounded: an unfinished message holds at most `message_bytes_max`, and what `receive` was last given.
    """

    def __init__(self, role: Role, message_bytes_max: int, ids: Ids) -> None:
        self.state = State.OPEN
        self._role = role
        self._bytes_max = message_bytes_max
        self._ids = ids
        self._inbox = bytearray()               # received, not yet read
        self._message = bytearray()             # data frames of the unfinished message, unmasked
        self._kind = CONTINUATION               # TEXT or BINARY while a message is unfinished
        self._checker: codecs.IncrementalDecoder | None = None
        self._left: int | None = None           # bytes still to come of the data frame being read; None between frames
        self._mask = b""                        # of that frame, turned to where its next byte stands
        self._final = True                      # that frame ends its message

    # -- receiving

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """What the bytes complete, in order.  After a Close or a ProtocolFault nothing more is read."""
        events: list[Event] = []
        if self.state not in _READING:
            return events
        self._inbox += data
        try:
            while self._advance(events):
                pass
        except _Fault as fault:
            self._step("fault")
            events.append(ProtocolFault(fault.code, fault.reason))
        if self.state not in _READING:
            self._forget()
        return events

    def ended(self) -> list[Event]:
        """The connection below is gone: a Close 1006, unless the closing handshake had been read already."""
        orphaned = self.state in _READING
        self._step("end")
        self._forget()
        return [Close(1006, "")] if orphaned else []

    def _advance(self, events: list[Event]) -> bool:
        """One frame head, one control frame or one piece of a data frame was read; False when more bytes are needed."""
        if self._left is not None:
            return self._take_piece(events)
        inbox = self._inbox
        if len(inbox) < 2:
            return False
        opcode, length = inbox[0] & 0x0F, inbox[1] & 0x7F
        self._check_head(inbox[0], inbox[1])
        start = 2 + (0 if length < 126 else 2 if length == 126 else 8)
        if len(inbox) < start:
            return False
        if length >= 126:
            length = _long_length(length, int.from_bytes(inbox[2:start], "big"))
        if opcode < CLOSE and len(self._message) + length > self._bytes_max:
            raise _Fault(1009, "the message is too big")
        after = start + (4 if self._role is Role.SERVER else 0)
        if len(inbox) < after + (length if opcode >= CLOSE else 0):
            return False
        mask, final = bytes(inbox[start:after]), bool(inbox[0] & 0x80)
        if opcode >= CLOSE:
            payload = bytes(inbox[after:after + length])
            del inbox[:after + length]
            return self._control(opcode, masked(payload, mask) if mask else payload, events)
        del inbox[:after]
        self._kind, self._left, self._mask, self._final = opcode or self._kind, length, mask, final
        return self._take_piece(events)

    def _check_head(self, first: int, second: int) -> None:
        """The first two bytes of a frame are allowed here and now (sections 5.2, 5.4, 5.5)."""
        opcode = first & 0x0F
        if first & 0x70:
            raise _Fault(1002, "a reserved bit is set")
        if opcode not in _OPCODES:
            raise _Fault(1002, "the opcode is reserved")
        serving = self._role is Role.SERVER
        if bool(second & 0x80) is not serving:
            raise _Fault(1002, "a client's frame must be masked" if serving else "a server's frame must not be masked")
        if opcode >= CLOSE:
            if not first & 0x80:
                raise _Fault(1002, "a control frame must not be fragmented")
            if second & 0x7F > CONTROL_BYTES_MAX:
                raise _Fault(1002, "a control frame is too long")
        elif (opcode == CONTINUATION) is (self._kind == CONTINUATION):
            raise _Fault(1002, "nothing to continue" if opcode == CONTINUATION else "the message before is unfinished")

    def _take_piece(self, events: list[Event]) -> bool:
        """What has arrived of the data frame is read; unmasking piece by piece spreads a big message's cost."""
        assert self._left is not None
        inbox = self._inbox
        size = min(self._left, len(inbox))
        if self._left and not size:
            return False
        piece = bytes(inbox) if size == len(inbox) else bytes(inbox[:size])
        del inbox[:size]
        self._left -= size
        if self._mask:
            piece = masked(piece, self._mask)
            turn = size & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
        if self._left:
            self._keep(piece, False)
            return False
        self._left = None
        if not self._final:
            self._keep(piece, False)
            return True
        self._finish(piece, events)
        return True

    def _keep(self, piece: bytes, last: bool) -> None:
        """The piece is part of the message; text is checked as it comes, so that a fault is told at once (section 8.1)."""
        if self._kind == TEXT:
            if self._checker is None:
                self._checker = codecs.getincrementaldecoder("utf-8")()
            try:
                self._checker.decode(piece, last)
            except UnicodeDecodeError:
                raise _Fault(1007, "the text is not UTF-8") from None
        self._message += piece

    def _finish(self, piece: bytes, events: list[Event]) -> None:
        """The message is whole."""
        if self._message or self._checker is not None:
            self._keep(piece, True)
            piece = bytes(self._message)
            self._message = bytearray()
        kind, self._kind, self._checker = self._kind, CONTINUATION, None
        if kind == BINARY:
            events.append(Binary(piece))
            return
        try:
            events.append(Text(str(piece, "utf-8")))
        except UnicodeDecodeError:
            raise _Fault(1007, "the text is not UTF-8") from None

    def _control(self, opcode: int, payload: bytes, events: list[Event]) -> bool:
        """The control frame is an event; True when frames after it are still read."""
        if opcode != CLOSE:
            events.append(Ping(payload) if opcode == PING else Pong(payload))
            return True
        close = _closing(payload)
        self._step("close received")
        events.append(close)
        return False

    # -- sending

    def text(self, text: str) -> bytes:
        """The message as a frame; b"" once a Close has gone either way, for no data may follow it (section 5.5.1)."""
        return self._frame(TEXT, text.encode())

    def binary(self, data: bytes) -> bytes:
        return self._frame(BINARY, data)

    def ping(self, data: bytes = b"") -> bytes:
        return self._frame(PING, data)

    def pong(self, data: bytes = b"") -> bytes:
        return self._frame(PONG, data)

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """Our Close, once; b"" when it has been sent.  Code 1005 sends one without a code; a long reason is shortened."""
        if code != 1005 and not close_code_valid(code):
            raise ValueError(f"{code} is not a close code")
        if (self.state, "close sent") not in STEPS:
            return b""
        self._step("close sent")
        payload = b"" if code == 1005 else code.to_bytes(2, "big") + _short(reason)
        return frame(CLOSE, payload, self._ids.bytes(4) if self._role is Role.CLIENT else b"")

    def answer(self, event: Event) -> bytes:
        """The bytes the protocol owes for an event: a Pong for a Ping, a Close for a Close or a fault, else none."""
        if isinstance(event, Ping):
            return self.pong(event.data)
        if isinstance(event, Close) and self.state is State.OWING:
            return self.close(event.code)
        if isinstance(event, ProtocolFault):
            return self.close(event.code, event.reason)
        return b""

    def _frame(self, opcode: int, payload: bytes) -> bytes:
        if opcode >= CLOSE and len(payload) > CONTROL_BYTES_MAX:
            raise ValueError("a control frame holds at most 125 bytes")
        if self.state is not State.OPEN:
            return b""
        return frame(opcode, payload, self._ids.bytes(4) if self._role is Role.CLIENT else b"")

    def _step(self, what: str) -> None:
        self.state = STEPS.get((self.state, what), self.state)

    def _forget(self) -> None:
        """Nothing will be read any more: its memory is free."""
        self._inbox, self._message, self._checker, self._left = bytearray(), bytearray(), None, None


def _long_length(form: int, length: int) -> int:
    """The extended length, which must need its form and leave the top bit clear (section 5.2)."""
    if form == 126 and length < 126 or form == 127 and length <= 0xFFFF:
        raise _Fault(1002, "the length is not in its shortest form")
    if length >= 1 << 63:
        raise _Fault(1002, "the length's top bit is set")
    return length


def _closing(payload: bytes) -> Close:
    """The Close that a Close frame's payload spells (sections 5.5.1, 7.4)."""
    if not payload:
        return Close(1005, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not close_code_valid(code):
        raise _Fault(1002, "the close code is not valid")
    try:
        return Close(code, str(payload[2:], "utf-8"))
    except UnicodeDecodeError:
        raise _Fault(1007, "the close reason is not UTF-8") from None


def _short(reason: str) -> bytes:
    """The reason in at most 123 bytes, no character cut in half."""
    return reason.encode()[:CONTROL_BYTES_MAX - 2].decode("utf-8", "ignore").encode()
