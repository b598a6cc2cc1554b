"""Where a handler runs.  This file and the server's long lane are the only code of the edge that knows threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..base import limits
from ..base.errors import Busy
from ..base.log import Log
from .wire import BadRequest, ChunkedBody


class Workers:
    """A small bounded pool for handlers that wait or burn: signatures, password hashes, outgoing calls."""

    def __init__(self, log: Log, threads: int = limits.WORKER_THREADS, queue_max: int = limits.WORKER_QUEUE_MAX) -> None:
        self._log = log
        self._threads_max = threads
        self._queue_max = queue_max
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def submit(self, work: Callable[[], None]) -> None:
        """`work` runs on a worker; Busy when too much waits already."""
        if self._queue.qsize() >= self._queue_max:
            raise Busy("the worker pool")
        self._queue.put(work)
        if self._queue.qsize() > self._idle and len(self._threads) < self._threads_max:
            self._grow()

    def _grow(self) -> None:
        with self._lock:
            if len(self._threads) >= self._threads_max:
                return
            thread = threading.Thread(target=self._run, name=f"lane-worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            self._idle += 1
            work = self._queue.get()
            self._idle -= 1
            if work is None:
                return
            try:
                work()
            except Exception as fault:        # `work` answers its own faults; this is for a bug in that very code
                self._log.fault("worker.fault", fault)
            del work                              # while the next one is waited for, nothing of this one is kept

    def close(self, seconds: float = 5.0) -> None:
        """What was submitted is finished, or `seconds` have passed for each worker."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(seconds)


class _Gathering:
    """Works that run beside each other, and what became of them."""

    def __init__(self, works: Sequence[Callable[[], Any]]) -> None:
        self._works = works
        self._next = 0
        self._left = len(works)
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.late = False
        self.outcomes: list[Any] = [TimeoutError("not done in time")] * len(works)

    def run(self) -> None:
        while (index := self._take()) >= 0:
            try:
                outcome: Any = self._works[index]()
            except Exception as fault:        # it is the caller's to judge: he gets it in the place of the result
                outcome = fault
            self._settle(index, outcome)

    def _take(self) -> int:
        with self._lock:
            if self.late or self._next >= len(self._works):
                return -1
            self._next += 1
            return self._next - 1

    def _settle(self, index: int, outcome: Any) -> None:
        with self._lock:
            if not self.late:
                self.outcomes[index] = outcome
            self._left -= 1
            if not self._left:
                self.ended.set()


def gather(works: Sequence[Callable[[], Any]], parallel: int, seconds: float) -> list[Any]:
    """What each work gave, in their order: its result, the exception it raised, or a TimeoutError when it was not done in time.

    At most `parallel` run at one time, on threads of their own; after `seconds` none is begun any more, and those that still run
    are not waited for, so each needs a time-out of its own.  For a long request or a ticker, never for the loop.
    """
    if not works:
        return []
    gathering = _Gathering(works)
    for number in range(min(parallel, len(works))):
        threading.Thread(target=gathering.run, name=f"lane-gather-{number}", daemon=True).start()
    gathering.ended.wait(seconds)
    with gathering._lock:
        gathering.late = True
        return list(gathering.outcomes)


Receiver = Callable[[int], bytes]        # a blocking source of bytes; b"" at the end


class BodyReader:
    """A request body that is read by its handler, in a long lane, bounded by `bytes_max` and by its own framing.

    `read(n)` gives up to n bytes, b"" at the end; a body that ends early raises BadRequest.
    """

    def __init__(self, first: bytes, receive: Receiver, length: int | None, chunked: bool, bytes_max: int) -> None:
        self._ready = first if not chunked else b""
        self._receive = receive
        self._left = length or 0
        self._chunks = ChunkedBody(bytes_max) if chunked else None
        self.length = None if chunked else length
        self.rest = b""                       # bytes after the body: the next request
        self.broken = False                   # it ended early, came too slowly, or is not what its framing says
        self._decoded = b""
        self._refused: BadRequest | None = None
        if self._chunks is not None:
            try:
                self._decoded = self._chunks.feed(first)
            except BadRequest as refused:     # told to who reads: the handler's failures are answered, ours here would not be
                self.broken, self._refused = True, refused
            self._note_end()

    @property
    def ended(self) -> bool:
        if self._chunks is not None:
            return self._chunks.ended and not self._decoded
        return self._left == 0

    def read(self, count: int = limits.RECEIVE_BYTES) -> bytes:
        """Up to `count` bytes of content; b"" at the end."""
        return self._read_chunked(count) if self._chunks is not None else self._read_counted(count)

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def _read_counted(self, count: int) -> bytes:
        if not self._left:
            self._give_back()
            return b""
        want = min(count, self._left)
        if self._ready:
            piece, self._ready = self._ready[:want], self._ready[want:]
        else:
            piece = self._more(want)
        self._left -= len(piece)
        self._give_back()
        return piece

    def _give_back(self) -> None:
        if not self._left and self._ready:
            self.rest, self._ready = self._ready, b""

    def _read_chunked(self, count: int) -> bytes:
        assert self._chunks is not None
        if self._refused is not None:
            raise self._refused
        while not self._decoded and not self._chunks.ended:
            data = self._more(limits.RECEIVE_BYTES)
            self.broken = True
            self._decoded = self._chunks.feed(data)
            self.broken = False
            self._note_end()
        piece, self._decoded = self._decoded[:count], self._decoded[count:]
        return piece

    def _note_end(self) -> None:
        if self._chunks is not None and self._chunks.ended:
            self.rest = self._chunks.rest

    def _more(self, count: int) -> bytes:
        self.broken = True
        piece = self._receive(count)
        if not piece:
            raise BadRequest(400, "request body ended early")
        self.broken = False
        return piece
