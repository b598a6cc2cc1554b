"""TLS of the edge: contexts from files, a self-signed pair made once by the `openssl` program, and a non-blocking socket.

Imported only when TLS is on, because `ssl` costs 6 MB and 12 ms.
"""

from __future__ import annotations

import enum
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.ids import Ids

# Runs a program to its end and gives its exit code and what it said; FileNotFoundError when there is no such program.
Runner = Callable[[Sequence[str]], tuple[int, str]]

PEM_BYTES_MAX = 1_048_576              # a certificate chain or key; real ones are a few KiB
VALID_DAYS = 825                       # the longest that phones and browsers take
RENEW_SECONDS = 30 * 86_400.0          # a pair of ours is made anew this long before it ends
NAMES_MAX = 64                         # names and addresses of one certificate
RECORD_BYTES = 16_384                  # what one TLS record carries at most (RFC 8446 section 5.1)


# --- contexts ------------------------------------------------------------------------------------------------------------

def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context that serves the certificate chain by TLS 1.2 or later.  Unusable says what is wrong with which file."""
    if b"-----BEGIN CERTIFICATE-----" not in _pem(certificate, "certificate"):
        raise Unusable(f"{certificate} holds no certificate in PEM form")
    secret = _pem(key, "key")
    if b"PRIVATE KEY-----" not in secret:
        raise Unusable(f"{key} holds no private key in PEM form")
    if b"-----BEGIN ENCRYPTED" in secret or b"ENCRYPTED\n" in secret.replace(b"\r", b""):
        raise Unusable(f"the key {key} needs a passphrase, which a node cannot type; write it without one: "
                       f"openssl pkey -in {key} -out plain.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as fault:
        if fault.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(f"the key {key} does not belong to the certificate {certificate}") from None
        raise Unusable(f"the certificate {certificate} or its key cannot be used: {_words(fault)}") from None
    except OSError as fault:
        raise Unusable(f"the certificate {certificate} or its key cannot be read: {fault.strerror}") from None
    return context


def server_wrap(context: ssl.SSLContext) -> Callable[[socket.socket], ssl.SSLSocket]:
    """What makes an accepted socket a TLS one without waiting for its handshake; a silent caller holds up nobody."""
    def wrap(plain: socket.socket) -> ssl.SSLSocket:
        return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True)
    return wrap


def fingerprint(certificate: Path) -> str:
    """The SHA-256 of the (first) certificate as 64 hex digits, as peers pin it."""
    import hashlib
    text = _pem(certificate, "certificate").decode("latin-1")
    end = text.find("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[text.find("-----BEGIN CERTIFICATE-----"):end])).hexdigest()


def _pem(path: Path, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(PEM_BYTES_MAX)
    except FileNotFoundError:
        raise Unusable(f"the {what} {path} does not exist") from None
    except OSError as fault:
        raise Unusable(f"the {what} {path} cannot be read: {fault.strerror}") from None


def _no_passphrase() -> str:
    """Without this OpenSSL would ask on the terminal, and a service would wait for ever."""
    raise Unusable("the key needs a passphrase, which a node cannot type")


def _words(fault: ssl.SSLError) -> str:
    return (fault.reason or "unknown reason").replace("_", " ").lower()


# --- a pair of our own ---------------------------------------------------------------------------------------------------

def self_signed(folder: Path, names: Sequence[str], addresses: Sequence[str], *, run: Runner, clock: Clock,
                ids: Ids) -> tuple[Path, Path]:
    """The certificate and key in `folder`, for localhost, `names` and `addresses`.

    A pair that is there and good is kept, even when addresses have changed since: peers may have pinned it.
    One that ends within 30 days, or whose halves do not fit (power was cut between them), is made anew.
    """
    certificate, key = folder / "node.crt", folder / "node.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if certificate.exists() and key.exists() and _lasts(certificate, key, clock.time()):
            os.chmod(key, 0o600)
            return certificate, key
        _make(certificate, key, _subject_names(names, addresses), run, folder / f".new-{ids.hex(8)}")
    except OSError as fault:
        raise Unusable(f"no certificate can be kept in {folder}: {fault.strerror}") from None
    return certificate, key


def _lasts(certificate: Path, key: Path, now: float) -> bool:
    """The pair fits and is good for a while; Unusable when a file cannot be read, for then making it anew would hide why."""
    _pem(certificate, "certificate")
    _pem(key, "key")
    try:
        begins, ends = _validity(certificate, key)
    except (Unusable, ssl.SSLError):
        return False
    return begins <= now + 86_400.0 and now + RENEW_SECONDS < ends


def _validity(certificate: Path, key: Path) -> tuple[float, float]:
    """From when to when the pair is good, learnt by a handshake in memory: no program and no parser of ours is needed."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(certificate)
    trusting.verify_flags |= ssl.VerifyFlags(0x200000)         # X509_V_FLAG_NO_CHECK_TIME: our clock judges, not the system's
    upward, downward = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(downward, upward, server_hostname="localhost")
    server = server_context(certificate, key).wrap_bio(upward, downward, server_side=True)
    for _ in range(4):                                         # a handshake takes two turns of each side
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    facts = client.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(facts["notBefore"])), ssl.cert_time_to_seconds(str(facts["notAfter"]))


_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\Z")


def _subject_names(names: Sequence[str], addresses: Sequence[str]) -> list[str]:
    """Every name once, in the words of an OpenSSL configuration; what is no name is left out, so nothing else gets in."""
    import ipaddress
    subjects = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"]
    subjects += [f"DNS:{name}" for name in names if len(name) <= 253 and _NAME.match(name)]
    for address in addresses:
        try:
            subjects.append(f"IP:{ipaddress.ip_address(address.partition('%')[0])}")
        except ValueError:
            continue
    return list(dict.fromkeys(subjects))[:NAMES_MAX]


def _make(certificate: Path, key: Path, subjects: list[str], run: Runner, work: Path) -> None:
    """A new pair stands in place of the old one: made in a private folder, checked, then renamed."""
    work.mkdir(mode=0o700)
    made, secret, settings = work / "crt", work / "key", work / "settings"
    try:
        settings.write_text(_settings(subjects), encoding="ascii")
        command = ["openssl", "req", "-x509", "-new", "-batch", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-sha256", "-days", str(VALID_DAYS), "-config", str(settings), "-keyout", str(secret), "-out", str(made)]
        _ask(command, run)
        _validity(made, secret)
        for path, mode in ((secret, 0o600), (made, 0o644)):
            _settle(path, mode)
        os.replace(secret, key)
        os.replace(made, certificate)
    except (ssl.SSLError, KeyError):
        raise Unusable("the openssl program made a certificate that cannot be used; give --tls-cert and --tls-key") from None
    finally:
        for path in (made, secret, settings):
            path.unlink(missing_ok=True)
        work.rmdir()


def _ask(command: list[str], run: Runner) -> None:
    try:
        code, said = run(command)
    except FileNotFoundError:
        raise Unusable("--tls-self-signed needs the openssl program, which is not here: apt install openssl (or your system's "
                       "word for it), or give --tls-cert and --tls-key") from None
    if code:
        last = " ".join(said.split())[-200:]
        raise Unusable(f"the openssl program made no certificate (exit {code}): {last}; the command was: {' '.join(command)}")


def _settings(subjects: list[str]) -> str:
    """Our own configuration, so that the system's adds nothing; no key usage is named, which allows every use."""
    return ("[req]\ndistinguished_name = subject\nx509_extensions = extensions\nprompt = no\n"
            "[subject]\nCN = ocp node\n"
            "[extensions]\nbasicConstraints = critical, CA:FALSE\nextendedKeyUsage = serverAuth\nsubjectKeyIdentifier = hash\n"
            f"subjectAltName = {', '.join(subjects)}\n")


def _settle(path: Path, mode: int) -> None:
    """The file has its mode and is on the disk."""
    os.chmod(path, mode)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- a socket for the loop -----------------------------------------------------------------------------------------------

class Outcome(enum.Enum):
    """What a step on a non-blocking TLS socket came to, where it is not data."""
    DONE = "done"
    WANT_READ = "want read"           # try again when the socket can be read ...
    WANT_WRITE = "want write"         # ... or written: also a `recv` may have to wait for that
    CLOSED = "closed"                 # the peer has ended it, or broken it: `reason` says how


class TlsSocket:
    """An accepted, non-blocking socket under TLS; no method waits or raises for what the peer does."""

    __slots__ = ("socket", "established", "reason")

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        plain.setblocking(False)
        self.socket = server_wrap(context)(plain)          # `plain` is empty from here on; register this one's fileno
        self.established = False
        self.reason = ""

    def fileno(self) -> int:
        return self.socket.fileno()

    def handshake(self) -> Outcome:
        """One step of the handshake; DONE once it is over."""
        try:
            self.socket.do_handshake()
        except (OSError, ValueError) as fault:
            return self._outcome(fault)
        self.established = True
        return Outcome.DONE

    def recv(self, size: int) -> bytes | Outcome:
        """At most `size` bytes.  With less than RECORD_BYTES ask again until WANT_READ: decrypted bytes may be `waiting`,
        and no selector sees those."""
        try:
            data = self.socket.recv(size)
        except (OSError, ValueError) as fault:
            return self._outcome(fault)
        return data or self._ended("the peer has closed")

    @property
    def waiting(self) -> int:
        """Decrypted bytes that `recv` would give at once."""
        return self.socket.pending()

    def send(self, data: bytes | bytearray | memoryview) -> int | Outcome:
        """How many bytes were taken.  After WANT_WRITE the same bytes must come again, more may follow them."""
        view, sent = memoryview(data), 0
        while sent < len(view):
            try:
                sent += self.socket.send(view[sent:sent + RECORD_BYTES])
            except (OSError, ValueError) as fault:
                outcome = self._outcome(fault)
                return sent if sent and outcome is not Outcome.CLOSED else outcome
        return sent

    def close(self) -> None:
        """The socket is closed; the peer is told first (close_notify) when it can be told without waiting."""
        if self.established and not self.reason:
            try:
                self.socket.settimeout(0)
                self.socket.unwrap()
            except (OSError, ValueError):
                pass
        self.socket.close()

    def _outcome(self, fault: OSError | ValueError) -> Outcome:
        if isinstance(fault, ssl.SSLWantReadError):
            return Outcome.WANT_READ
        if isinstance(fault, (ssl.SSLWantWriteError, BlockingIOError, InterruptedError)):
            return Outcome.WANT_WRITE
        if isinstance(fault, ssl.SSLError) and not isinstance(fault, (ssl.SSLZeroReturnError, ssl.SSLEOFError)):
            return self._ended(_words(fault))
        return self._ended("the peer has closed")

    def _ended(self, reason: str) -> Outcome:
        self.reason = self.reason or reason
        return Outcome.CLOSED
