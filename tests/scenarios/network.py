"""A bad network between two nodes: it loses, cuts, delays and repeats requests and answers, as a seeded plan says."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

LATENESS_SECONDS = 0.02              # at most, of what is only delayed
STALL_SECONDS = 0.3                  # of what stalls: longer than a call with a time-out of 0.2 waits
RECEIVE_SECONDS = 20.0

# What becomes of a request, and how often where the weather is bad.
BAD: Mapping[str, int] = {
    "pass": 8,
    "delay": 3,                      # it and its answer are late
    "lose_request": 3,               # nobody hears it
    "cut_request": 3,                # its beginning arrives
    "lose_answer": 3,                # it is carried out, and the caller never knows
    "cut_answer": 3,                 # the caller gets the beginning of the answer
    "repeat": 3,                     # it arrives twice
    "replay": 3,                     # an earlier one arrives again, before it
    "stall": 1,                      # the answer comes after the caller has given up
}
GOOD: Mapping[str, int] = {"pass": 1}
HANGING: Mapping[str, int] = {"hang": 1}          # the caller gets the beginning of the answer, and the rest once nobody waits


class Passed(NamedTuple):
    """One request that came by."""
    number: int
    fate: str
    request: bytes
    answer: bytes                    # what the node answered, whether or not the caller got it

    @property
    def line(self) -> str:
        return f"{self.number} {self.fate}: {first_line(self.request)} -> {first_line(self.answer)}"


class Network:
    """Between callers and the node at `port`: `url` is how callers reach it.  Every request has its own fate."""

    def __init__(self, port: int, seed: int, weather: Mapping[str, int] = BAD) -> None:
        self.port = port
        self.weather: Callable[[bytes], Mapping[str, int]] = lambda request: weather
        self.passed: list[Passed] = []
        self._random = random.Random(seed)
        self._door = threading.Lock()
        self._over = threading.Event()
        self._callers: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._begin(self._accept)

    def close(self) -> None:
        """Nothing is on its way any more."""
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._door:
            callers = list(self._callers)
        for caller in callers:
            _end(caller)
        for thread in self._threads:
            thread.join(RECEIVE_SECONDS)

    def clear_up(self) -> None:
        """Everything passes from now on."""
        self.weather = lambda request: GOOD

    def story(self) -> str:
        """All that came by, for the message of a failure."""
        return "\n".join(each.line for each in self.passed)

    def deliver(self, request: bytes) -> bytes:
        """The node's answer to these bytes, b"" when it gives none."""
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), timeout=RECEIVE_SECONDS)) as node:
            with contextlib.suppress(OSError):
                node.sendall(request)
                return _message(node, answer=True)
        return b""

    # --- the wires

    def _begin(self, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=act, name="network", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            caller.settimeout(RECEIVE_SECONDS)
            with self._door:
                self._callers.add(caller)
            self._begin(lambda caller=caller: self._serve(caller))       # type: ignore[misc]

    def _serve(self, caller: socket.socket) -> None:
        try:
            while (request := _message(caller)) and self._carry(caller, request):
                pass
        except OSError:
            pass
        finally:
            with self._door:
                self._callers.discard(caller)
            _end(caller)

    def _carry(self, caller: socket.socket, request: bytes) -> bool:
        """The request has met its fate; False when that was the end of the caller's connection."""
        with self._door:
            number = len(self.passed)
            weather = self.weather(request)
            fate = self._random.choices(list(weather), list(weather.values()))[0]
            share, pick = self._random.random(), self._random.random()
            earlier = self.passed[int(pick * number)].request if number else request
            self.passed.append(Passed(number, fate, request, b""))
        if fate == "lose_request":
            return False
        if fate == "cut_request":
            with contextlib.closing(socket.create_connection(("127.0.0.1", self.port))) as node:
                node.sendall(_part(request, share))
            return False
        if fate == "delay":
            time.sleep(share * LATENESS_SECONDS)
        if fate == "replay":
            self.deliver(earlier)
        answer = self.deliver(request)
        with self._door:
            self.passed[number] = Passed(number, fate, request, answer)
        if fate == "repeat":
            self.deliver(request)
        if fate == "stall":
            time.sleep(STALL_SECONDS)
        if fate == "lose_answer" or not answer:
            return False
        if fate == "hang":
            caller.sendall(answer[:len(answer) // 2])
            self._over.wait(RECEIVE_SECONDS)
            return False
        caller.sendall(_part(answer, share) if fate == "cut_answer" else answer)
        return fate != "cut_answer" and b"connection: close" not in answer.partition(b"\r\n\r\n")[0].lower()


def first_line(message: bytes) -> str:
    return message.partition(b"\r\n")[0].decode("latin-1")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def _part(message: bytes, share: float) -> bytes:
    """The beginning of a message; of one with a body most often all but a part of that."""
    head, mark, body = message.partition(b"\r\n\r\n")
    if share < 0.2 or not body:
        return head[:int(len(head) * share)]
    return head + mark + body[:int(len(body) * (share - 0.2) / 0.8)]


def _message(sock: socket.socket, answer: bool = False) -> bytes:
    """One whole message by its length; of an answer without one, all until its end.  b"" when nothing came."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
    length = next((int(value) for name, _, value in lines if name == b"content-length"), None)
    wanted = length if length is not None else None if answer else 0
    pieces, got = [data], len(body)
    while wanted is None or got < wanted:
        piece = sock.recv(262_144)
        if not piece:
            return b"".join(pieces) if wanted is None else b""
        pieces.append(piece)
        got += len(piece)
    return b"".join(pieces)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
