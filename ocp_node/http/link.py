"""Connections to peers: opened to one checked address, every step under the call's deadline, kept for a while."""

from __future__ import annotations

import errno
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base import limits
from ..base.clock import Clock
from .calls import OutboundError
from .target import place_of

if TYPE_CHECKING:
    import ssl


class Deadline:
    """The moment a call must be over."""

    __slots__ = ("_clock", "_at")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._at = clock.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left; OutboundError `timeout` when none are."""
        seconds = self._at - self._clock.monotonic()
        if seconds <= 0:
            raise OutboundError("timeout", "the peer did not answer in time")
        return seconds

    def within(self, seconds: float) -> Deadline:
        """A deadline that is `seconds` away, or this one when it is nearer."""
        return Deadline(self._clock, min(seconds, self.left()))


class Trust(NamedTuple):
    """How the peer's certificate is judged: by the authorities, by its own fingerprint, or not at all."""
    pin: bytes = b""
    insecure: bool = False


class Key(NamedTuple):
    """What two calls must share to share a connection; a connection trusted less is never used by a call that asks more."""
    scheme: str
    host: str
    port: int
    address: str
    trust: Trust

    @property
    def place(self) -> str:
        return place_of(self.host, self.port)


class Link:
    """One connection, used by one thread at a time."""

    __slots__ = ("key", "sock", "used", "sent", "idle_since")

    def __init__(self, key: Key, sock: socket.socket) -> None:
        self.key = key
        self.sock: Any = sock
        self.used = False                  # it has carried an answer already
        self.sent = 0                      # bytes of the present call that the kernel has taken
        self.idle_since = 0.0

    def send(self, data: bytes, deadline: Deadline) -> None:
        """All bytes are with the kernel, or OutboundError."""
        view, sent = memoryview(data), 0
        try:
            while sent < len(view):
                self.sock.settimeout(deadline.left())
                taken = self.sock.send(view[sent:sent + limits.OUTBOUND_RECEIVE_BYTES])
                sent += taken
                self.sent += taken
        except OSError as fault:
            raise _error(fault, self.key) from None

    def receive(self, deadline: Deadline) -> bytes:
        """What has come, at least a byte; b"" when the peer has ended the connection (in TLS: has said so)."""
        try:
            self.sock.settimeout(deadline.left())
            return bytes(self.sock.recv(limits.OUTBOUND_RECEIVE_BYTES))
        except OSError as fault:
            raise _error(fault, self.key) from None

    def alive(self) -> bool:
        """Nothing has come on the idle connection: neither its end nor bytes that nobody asked for."""
        try:
            self.sock.settimeout(0)
            socket.socket.recv(self.sock, 1, socket.MSG_PEEK)         # below TLS: any record would be a surprise
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def wake(self) -> None:
        """A `receive` in another thread ends at once."""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)        # not `SSLSocket.shutdown`: that would take TLS off first
        except OSError:
            pass

    def close(self) -> None:
        self.sock.close()


def open_link(key: Key, context: ssl.SSLContext | None, deadline: Deadline) -> Link:
    """A connection to `key.address` and no other; under TLS with its certificate judged, before a byte of ours is sent."""
    family = socket.AF_INET6 if ":" in key.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(deadline.left())
        sock.connect((key.address, key.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = secured = context.wrap_socket(sock, server_hostname=key.host, do_handshake_on_connect=False,
                                                 suppress_ragged_eofs=False)
            secured.settimeout(deadline.left())
            secured.do_handshake()
            _check_pin(secured, key.trust.pin)
    except OSError as fault:
        sock.close()
        raise _error(fault, key) from None
    except BaseException:
        sock.close()
        raise
    return Link(key, sock)


def _check_pin(secured: ssl.SSLSocket, pin: bytes) -> None:
    if pin:
        from hashlib import sha256
        if sha256(secured.getpeercert(binary_form=True) or b"").digest() != pin:       # a fingerprint is no secret
            raise OutboundError("tls", "the peer's certificate is not the pinned one")


_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM,
                          errno.EAFNOSUPPORT, errno.EINVAL, getattr(errno, "EHOSTDOWN", errno.EHOSTUNREACH)})


def _error(fault: OSError, key: Key) -> OutboundError:
    """The operating system's or OpenSSL's failure in our words."""
    if isinstance(fault, TimeoutError):
        return OutboundError("timeout", f"{key.place} did not answer in time")
    if type(fault).__module__ == "ssl":
        return _tls_error(fault, key.place)
    if isinstance(fault, ConnectionRefusedError):
        return OutboundError("refused", f"{key.place} refused the connection: nothing listens there")
    if isinstance(fault, ConnectionError):
        return OutboundError("reset", f"{key.place} broke the connection")
    if fault.errno in _UNREACHABLE:
        return OutboundError("unreachable", f"there is no way to {key.place}")
    if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
        return OutboundError("closed", "this node has no connection to spare")
    return OutboundError("reset", f"the connection to {key.place} failed")


def _tls_error(fault: Any, place: str) -> OutboundError:
    name, reason = type(fault).__name__, str(getattr(fault, "reason", None) or "").replace("_", " ").lower()
    if name in ("SSLEOFError", "SSLZeroReturnError"):
        return OutboundError("closed", f"{place} ended the connection without saying so")
    if name == "SSLCertVerificationError":
        words = str(getattr(fault, "verify_message", "") or "not trusted")
        return OutboundError("tls", f"the certificate of {place} is not trusted: {words}")
    if reason in ("wrong version number", "record layer failure", "packet length too long", "http request"):
        return OutboundError("tls", f"{place} does not speak TLS")
    return OutboundError("tls", f"no secure connection to {place}: {reason or 'handshake failed'}")


class Links:
    """Idle connections, newest first; bounded in number and age.  For many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._idle: dict[Key, list[Link]] = {}
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def take(self, key: Key) -> Link | None:
        """An idle connection that seems alive, or None; it is the caller's now."""
        self.sweep()
        while True:
            with self._lock:
                waiting = self._idle.get(key)
                if not waiting:
                    return None
                link = self._remove(key, -1)
            if link.alive():
                return link
            link.close()

    def give(self, link: Link) -> None:
        """The connection is idle: kept, or closed when there are enough; the oldest make room."""
        link.used, link.sent, link.idle_since = True, 0, self._clock.monotonic()
        with self._lock:
            surplus = [link] if self._closed else []
            if not self._closed:
                self._idle.setdefault(link.key, []).append(link)
                self._count += 1
                if len(self._idle[link.key]) > limits.OUTBOUND_IDLE_PER_PEER:
                    surplus.append(self._remove(link.key, 0))
                elif self._count > limits.OUTBOUND_IDLE_MAX:
                    surplus.append(self._remove(min(self._idle, key=lambda key: self._idle[key][0].idle_since), 0))
        for old in surplus:
            old.close()

    def sweep(self) -> None:
        """Connections that were idle too long are closed."""
        if not self._count:
            return
        oldest = self._clock.monotonic() - limits.OUTBOUND_IDLE_SECONDS
        with self._lock:
            stale = [(key, link) for key, waiting in self._idle.items() for link in waiting if link.idle_since < oldest]
            gone = [self._remove(key, 0) for key, _ in stale]            # the oldest of each key stand first
        for link in gone:
            link.close()

    def close(self) -> None:
        """No connection is kept any more."""
        with self._lock:
            self._closed, waiting, self._idle, self._count = True, list(self._idle.values()), {}, 0
        for links in waiting:
            for link in links:
                link.close()

    def _remove(self, key: Key, at: int) -> Link:
        link = self._idle[key].pop(at)
        self._count -= 1
        if not self._idle[key]:
            del self._idle[key]
        return link
