"""Server contexts from files, the self-signed pair, and the non-blocking socket."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ocp_node.base.clock import Clock, SetClock
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import CountedIds
from ocp_node.http import local, tls
from ocp_node.http.tls import Outcome, TlsSocket

NO_OPENSSL = "the openssl program is not installed: no certificate can be made"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason=NO_OPENSSL)


class Runs:
    """The runner, counting."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        self.commands.append(list(command))
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return ended.returncode, ended.stderr + ended.stdout


def spoken(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def no_program(command: Sequence[str]) -> tuple[int, str]:
    raise FileNotFoundError(command[0])


def make(folder: Path, run: Callable[[Sequence[str]], tuple[int, str]], clock: Clock | None = None,
         names: Sequence[str] = (), addresses: Sequence[str] = ()) -> tuple[Path, Path]:
    return tls.self_signed(folder, names, addresses, run=run, clock=clock or Clock(), ids=CountedIds())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip(NO_OPENSSL)
    return make(tmp_path_factory.mktemp("tls"), Runs(), names=["node-a", "node-a.local"], addresses=["192.168.7.9", "fd00::7"])


@pytest.fixture(scope="module")
def other_pair(tmp_path_factory: pytest.TempPathFactory, pair: tuple[Path, Path]) -> tuple[Path, Path]:
    return make(tmp_path_factory.mktemp("other"), Runs())


# --- contexts from files -------------------------------------------------------------------------------------------------

def test_a_missing_file_is_named(tmp_path, pair):
    with pytest.raises(Unusable, match="the certificate .*absent.pem does not exist"):
        tls.server_context(tmp_path / "absent.pem", pair[1])
    with pytest.raises(Unusable, match="the key .*absent.pem does not exist"):
        tls.server_context(pair[0], tmp_path / "absent.pem")


def test_a_folder_in_place_of_a_file_is_unusable(tmp_path, pair):
    with pytest.raises(Unusable, match="the certificate .* cannot be read: Is a directory"):
        tls.server_context(tmp_path, pair[1])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no /proc: no file that nobody can read")
def test_an_unreadable_file_is_unusable(pair):
    with pytest.raises(Unusable, match="the key /proc/self/mem cannot be read: Input/output error"):
        tls.server_context(pair[0], Path("/proc/self/mem"))


def test_a_key_of_another_certificate_is_unusable(pair, other_pair):
    with pytest.raises(Unusable, match="does not belong to the certificate"):
        tls.server_context(pair[0], other_pair[1])


def test_swapped_files_are_told(pair):
    with pytest.raises(Unusable, match="holds no certificate"):
        tls.server_context(pair[1], pair[0])
    with pytest.raises(Unusable, match="holds no private key"):
        tls.server_context(pair[0], pair[0])


def test_garbage_between_the_marks_is_unusable(tmp_path, pair):
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(Unusable, match="cannot be used"):
        tls.server_context(broken, pair[1])


@needs_openssl
@pytest.mark.parametrize("form", [["ec", "-aes256"], ["pkcs8", "-topk8"]])
def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(tmp_path, pair, form):
    locked = tmp_path / "locked.pem"
    spoken(["openssl", *form, "-in", str(pair[1]), "-passout", "pass:secret", "-out", str(locked)])
    with pytest.raises(Unusable, match="needs a passphrase"):
        tls.server_context(pair[0], locked)


def test_a_fingerprint_is_the_digest_of_the_certificate(pair):
    import hashlib
    assert tls.fingerprint(pair[0]) == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pair[0].read_text())).hexdigest()


# --- the self-signed pair ------------------------------------------------------------------------------------------------

def names_of(certificate: Path) -> set[str]:
    text = spoken(["openssl", "x509", "-in", str(certificate), "-noout", "-text"])
    line = text.split("Subject Alternative Name:")[1].splitlines()[1]
    assert "prime256v1" in text and "CA:FALSE" in text
    return {part.strip() for part in line.split(",")}


def test_the_pair_names_what_it_was_made_for(pair):
    assert names_of(pair[0]) == {"DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1", "DNS:node-a",
                                 "DNS:node-a.local", "IP Address:192.168.7.9", "IP Address:FD00:0:0:0:0:0:0:7"}


def test_the_key_is_for_its_owner_alone_and_nothing_is_left_over(pair):
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600
    assert sorted(path.name for path in pair[0].parent.iterdir()) == ["node.crt", "node.key"]


@needs_openssl
def test_a_pair_is_made_once_and_then_kept(tmp_path):
    runs = Runs()
    first = make(tmp_path / "tls", runs)[0].read_bytes()
    assert make(tmp_path / "tls", no_program, addresses=["10.0.0.9"])[0].read_bytes() == first
    assert len(runs.commands) == 1 and stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


@needs_openssl
def test_a_key_that_was_opened_to_others_is_closed_again(tmp_path):
    _, key = make(tmp_path, Runs())
    key.chmod(0o644)
    make(tmp_path, no_program)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@needs_openssl
@pytest.mark.parametrize("days, kept", [(0, True), (700, True), (794, True), (796, False), (900, False), (-10, False)])
def test_a_pair_near_its_end_or_not_yet_begun_is_made_anew(tmp_path, days, kept):
    first = make(tmp_path, Runs())[0].read_bytes()
    clock = SetClock(Clock().time() + days * 86_400)
    assert (make(tmp_path, Runs(), clock)[0].read_bytes() == first) is kept


@needs_openssl
def test_halves_that_do_not_fit_are_made_anew(tmp_path, pair):
    certificate, key = make(tmp_path, Runs())
    key.write_bytes(pair[1].read_bytes())
    runs = Runs()
    tls.server_context(*make(tmp_path, runs))
    assert len(runs.commands) == 1
    certificate.write_text("")
    tls.server_context(*make(tmp_path, runs))
    assert len(runs.commands) == 2


def test_a_missing_program_is_told_with_what_to_do(tmp_path):
    with pytest.raises(Unusable, match="needs the openssl program.*apt install openssl"):
        make(tmp_path, no_program)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_program_is_told_with_its_words_and_the_command(tmp_path):
    with pytest.raises(Unusable, match="exit 1.*no entropy.*openssl req -x509"):
        make(tmp_path, lambda command: (1, "no\nentropy"))
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_writes_nothing_usable_is_told(tmp_path):
    with pytest.raises(Unusable):
        make(tmp_path, lambda command: (0, ""))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_unusable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="no certificate can be kept in"):
        make(tmp_path / "file" / "tls", no_program)


@needs_openssl
def test_odd_names_do_not_get_into_the_certificate(tmp_path):
    certificate, _ = make(tmp_path, Runs(), names=["ok-1", "-bad", "a b", "x\nCN=evil", "a,DNS:evil", "", "grün", "a" * 64],
                          addresses=["10.1.2.3", "fe80::1%eth0", "10.1.2", "x", "10.1.2.3"])
    assert names_of(certificate) == {"DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1", "DNS:ok-1",
                                     "IP Address:10.1.2.3", "IP Address:FE80:0:0:0:0:0:0:1"}


def test_a_strict_client_trusts_the_certificate_under_its_names_only(pair):
    server = tls.server_context(*pair)
    for name, right in (("localhost", True), ("node-a.local", True), ("192.168.7.9", True), ("evil.example", False)):
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.verify_flags |= ssl.VERIFY_X509_STRICT
        trusting.load_verify_locations(pair[0])
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        client, here = trusting.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)
        outcome = True
        for _ in range(3):
            for side in (client, here):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    outcome = False
        assert outcome is right, name


def test_old_versions_of_tls_are_not_spoken(pair):
    server = tls.server_context(*pair)
    assert server.minimum_version is ssl.TLSVersion.TLSv1_2


# --- the non-blocking socket ---------------------------------------------------------------------------------------------

class Ends:
    """Our TlsSocket and a blocking client's end, connected."""

    def __init__(self, pair: tuple[Path, Path]) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.there = socket.create_connection(listener.getsockname(), 5)
        plain, _ = listener.accept()
        listener.close()
        self.here = TlsSocket(plain, tls.server_context(*pair))
        self.trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.trusting.load_verify_locations(pair[0])

    def shake(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
        """Both handshakes, the client's in a thread."""
        self.trusting.minimum_version = self.trusting.maximum_version = version
        made: list[ssl.SSLSocket] = []
        thread = threading.Thread(target=lambda: made.append(self.trusting.wrap_socket(self.there, server_hostname="localhost")))
        thread.start()
        while (outcome := self.here.handshake()) is not Outcome.DONE:
            assert outcome is Outcome.WANT_READ, (outcome, self.here.reason)
            self.until_readable()
        thread.join(5)
        self.there = made[0]
        return made[0]

    def until_readable(self) -> None:
        import select
        assert select.select([self.here.fileno()], [], [], 5)[0]


@pytest.fixture
def ends(pair: tuple[Path, Path]) -> Iterator[Ends]:
    made = Ends(pair)
    yield made
    made.here.close()
    made.there.close()


def test_a_silent_client_keeps_nobody_waiting(ends):
    assert ends.here.handshake() is Outcome.WANT_READ
    assert ends.here.handshake() is Outcome.WANT_READ


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_bytes_go_both_ways(ends, version):
    client = ends.shake(version)
    assert ends.here.recv(100) is Outcome.WANT_READ
    client.sendall(b"question")
    ends.until_readable()
    assert ends.here.recv(100) == b"question"
    assert ends.here.send(b"answer") == 6
    assert client.recv(100) == b"answer"


def test_a_whole_record_is_taken_at_once_so_that_a_selector_misses_nothing(ends):
    client = ends.shake()
    client.sendall(b"x" * 16_384)
    got = b""
    while len(got) < 16_384:
        ends.until_readable()
        piece = ends.here.recv(65_536)
        if isinstance(piece, bytes):
            got += piece
        assert ends.here.waiting == 0
    assert ends.here.recv(65_536) is Outcome.WANT_READ


def test_no_more_is_taken_than_was_asked_for(ends):
    client = ends.shake()
    client.sendall(b"0123456789")
    ends.until_readable()
    assert ends.here.recv(4) == b"0123" and ends.here.waiting == 6
    assert ends.here.recv(100) == b"456789" and ends.here.waiting == 0


def test_a_slow_reader_is_told_by_want_write_and_loses_nothing(ends):
    client = ends.shake()
    data = os.urandom(8 << 20)
    sent = ends.here.send(data)
    assert type(sent) is int and 0 < sent < len(data)
    got = bytearray()
    wanted = 0
    while len(got) < len(data):
        if sent < len(data):
            step = ends.here.send(memoryview(data)[sent:])
            if step is Outcome.WANT_WRITE:
                wanted += 1
            else:
                sent += step
        got += client.recv(1 << 20)
    assert bytes(got) == data and wanted > 0


def test_a_peer_that_says_goodbye_is_closed(ends):
    client = ends.shake()
    client.settimeout(5)
    threading.Thread(target=lambda: _quietly(client.unwrap), daemon=True).start()
    ends.until_readable()
    assert ends.here.recv(100) is Outcome.CLOSED


def test_a_peer_that_just_goes_is_closed(ends):
    ends.shake().close()
    ends.until_readable()
    assert ends.here.recv(100) is Outcome.CLOSED and ends.here.reason
    assert ends.here.send(b"x" * 100_000) in (Outcome.CLOSED, 100_000)


def test_plain_http_on_the_tls_port_is_closed_with_its_reason(ends):
    ends.there.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    ends.until_readable()
    assert ends.here.handshake() is Outcome.CLOSED and ends.here.reason == "http request"


def test_a_client_that_does_not_trust_us_is_closed(ends):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    thread = threading.Thread(target=lambda: _quietly(lambda: context.wrap_socket(ends.there, server_hostname="localhost")))
    thread.start()
    while (outcome := ends.here.handshake()) is Outcome.WANT_READ:
        ends.until_readable()
    thread.join(5)
    if outcome is Outcome.DONE:                     # TLS 1.3: our side may be done before the client refuses
        ends.until_readable()
        outcome = ends.here.recv(100)
    assert outcome is Outcome.CLOSED and ends.here.reason


def test_a_peer_that_left_before_the_handshake_is_closed(pair):
    listener = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(listener.getsockname()).close()
    plain, _ = listener.accept()
    here = TlsSocket(plain, tls.server_context(*pair))
    assert here.handshake() is Outcome.CLOSED
    here.close()
    listener.close()


def test_our_goodbye_is_heard(ends):
    client = ends.shake()
    ends.here.send(b"last")
    ends.here.close()
    client.suppress_ragged_eofs = False             # a missing goodbye would raise
    assert client.recv(100) == b"last" and client.recv(100) == b""


def _quietly(act: Callable[[], object]) -> None:
    try:
        act()
    except OSError:
        pass


# --- this machine --------------------------------------------------------------------------------------------------------

def test_local_addresses_are_addresses_beyond_loopback_and_link():
    import ipaddress
    for address in local.local_addresses():
        parsed = ipaddress.ip_address(address)
        assert not (parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified)
    assert local.host_name() == local.host_name().lower()
