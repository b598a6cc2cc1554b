"""Starts that cannot succeed: one clear line, an exit code that says so, and nothing on the disk is touched."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process_node import ProcessNode, Refused, ask, refused

UNUSABLE, WRONG_USE = 1, 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a node that has run and ended."""
    folder = tmp_path_factory.mktemp("model") / "state"
    with ProcessNode(folder) as node:
        for number in range(40):
            assert node.post("/mesh/lease/acquire", {"peer_id": "p", "resource": f"r{number}"}).status == 200
        node.stop()
    return folder


@pytest.fixture()
def state(model: Path, tmp_path: Path) -> Path:
    """A folder of a node, to spoil."""
    return Path(shutil.copytree(model, tmp_path / "state"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What lies in the folder; the lock file names a process and may change."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "node.lock"}


def one_line(done: Refused, code: int, words: str) -> None:
    assert (done.code, done.out) == (code, ""), done
    assert done.err.startswith("ocp: ") and done.err.count("\n") == 1 and words in done.err, done.err
    assert len(done.err) < 600


# --- the folder --------------------------------------------------------------------------------------------------------------

def cut(folder: Path) -> None:
    path = folder / "identity" / "identity.json"
    path.write_bytes(path.read_bytes()[:90])


def emptied(folder: Path) -> None:
    (folder / "identity" / "identity.json").write_bytes(b"")


def lost_identity(folder: Path) -> None:
    (folder / "identity" / "identity.json").unlink()


def emptied_database(folder: Path) -> None:
    (folder / "ocp.db").write_bytes(b"")


def other_key(folder: Path) -> None:
    path = folder / "identity" / "identity.json"
    text = path.read_text()
    at = text.index('"private_key": "') + 16
    path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1:])


def overwritten_page(folder: Path) -> None:
    with open(folder / "ocp.db", "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * 4096 * 4)


def overwritten_head(folder: Path) -> None:
    with open(folder / "ocp.db", "r+b") as file:
        file.write(b"this is no database any more")


def half(folder: Path) -> None:
    os.truncate(folder / "ocp.db", (folder / "ocp.db").stat().st_size // 2 // 4096 * 4096)


def newer(folder: Path) -> None:
    with sqlite3.connect(folder / "ocp.db") as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(migration)")]
        values = dict.fromkeys(columns, "x") | {"number": 9999, "name": "of_tomorrow"}
        marks = ", ".join("?" * len(columns))
        connection.execute(f"INSERT INTO migration({', '.join(columns)}) VALUES ({marks})", list(values.values()))
    connection.close()


def foreign(folder: Path) -> None:
    (folder / "ocp.db").unlink()
    with sqlite3.connect(folder / "ocp.db") as connection:
        connection.execute("CREATE TABLE holiday(photo BLOB)")
        connection.execute("INSERT INTO holiday VALUES (zeroblob(20000))")
    connection.close()


def text_file(folder: Path) -> None:
    (folder / "ocp.db").write_text("dear diary\n")


def folder_in_place(folder: Path) -> None:
    (folder / "ocp.db").unlink()
    (folder / "ocp.db").mkdir()


def spoiled_secrets_key(folder: Path) -> None:
    (folder / "identity" / "secrets.key").write_bytes(b"too short")


def unfinished_settings(folder: Path) -> None:
    (folder / "ocp.toml").write_text("port = \n")


SPOILED: dict[Callable[[Path], None], tuple[int, str]] = {
    cut: (UNUSABLE, "identity.json is damaged"), emptied: (UNUSABLE, "identity.json is damaged"),
    lost_identity: (UNUSABLE, "the identity is missing"), emptied_database: (UNUSABLE, "is empty though this node has an identity"),
    other_key: (UNUSABLE, "do not belong together"),
    overwritten_page: (UNUSABLE, "is damaged"), overwritten_head: (UNUSABLE, "is not a database, or is damaged"),
    half: (UNUSABLE, "is damaged"), newer: (UNUSABLE, "newer version"), foreign: (UNUSABLE, "database of another program"),
    text_file: (UNUSABLE, "is not a database"), folder_in_place: (UNUSABLE, "ocp.db"),
    spoiled_secrets_key: (UNUSABLE, "secrets.key is damaged"),
    unfinished_settings: (WRONG_USE, "ocp.toml"),
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_folder_is_refused_and_left_as_it_is(state: Path, spoil: Callable[[Path], None]) -> None:
    spoil(state)
    before = bytes_of(state)
    code, words = SPOILED[spoil]
    for _ in range(2):                                     # the second start finds no trace of the first
        one_line(refused(state, "--port", "0"), code, words)
        assert bytes_of(state) == before


@pytest.mark.parametrize(("where", "words"), [
    ("/proc/self/fdinfo", "cannot be made"), ("/proc/nowhere", "cannot be made"),      # not even root can make anything there
    ("/dev/null", "not a folder"), ("/dev/null/state", "is a file"),
])
def test_a_folder_that_cannot_be_used_is_named(where: str, words: str) -> None:
    if not Path("/proc/self/fdinfo").is_dir():
        pytest.skip("this system has no /proc")
    done = refused(Path(where), "--port", "0")
    one_line(done, UNUSABLE, words)
    assert "/".join(where.split("/")[:3]) in done.err


def test_a_folder_that_may_only_be_read_is_refused(state: Path) -> None:
    before = bytes_of(state)
    for path in (state, *state.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        one_line(refused(state, "--port", "0", through=not_above_the_law()), UNUSABLE, "no permission")
    finally:
        for path in (state, *state.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
    assert bytes_of(state) == before


def not_above_the_law() -> tuple[str, ...]:
    """What makes root obey the modes of files, as everybody else does anyway."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("modes of files bind root only under setpriv (util-linux), which is not here")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


def test_a_folder_belongs_to_one_node_at_a_time(tmp_path: Path) -> None:
    with ProcessNode(tmp_path / "state") as node:
        done = refused(node.folder, "--port", "0")
        one_line(done, UNUSABLE, f"process {node.process.pid}")
        assert node.get("/readyz").status == 200
        node.stop()


def test_what_a_killed_node_left_locked_is_free(tmp_path: Path) -> None:
    with ProcessNode(tmp_path / "state") as node:
        node.kill()
        node.start()
        assert '"level": "warning"' not in node.errors and '"level": "error"' not in node.errors, node.errors
        node.stop()


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    if os.geteuid() or shutil.which("mount") is None or not _small_disk(tmp_path):
        pytest.skip("a small file system cannot be mounted here")
    try:
        done = refused(tmp_path / "disk" / "state", "--port", "0")
        assert not any((tmp_path / "disk").rglob("ocp.db"))
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)
    one_line(done, UNUSABLE, "free some space")


def _small_disk(tmp_path: Path) -> bool:
    (tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(tmp_path / "disk")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# --- the port and the settings -----------------------------------------------------------------------------------------------

def test_a_taken_port_is_named(state: Path) -> None:
    before = bytes_of(state)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_line(refused(state, "--port", str(port)), UNUSABLE, f"cannot listen on 127.0.0.1 port {port}: Address already in use; "
                                                            "stop what uses it, or choose another with --port")
    assert bytes_of(state) == before


@pytest.mark.parametrize(("flags", "variables", "words"), [
    (("--port", "70000"), {}, "port"), (("--port", "x"), {}, "whole number"), ((), {"OCP_PORT": "-1"}, "OCP_PORT"),
    (("--workers", "many"), {}, "workers"), ((), {"OCP_PEER_ADMISSION": "everybody"}, "OCP_PEER_ADMISSION"),
    ((), {"OCP_READ_AUTH": "maybe"}, "OCP_READ_AUTH"), (("--base-url", "ftp://x"), {}, "base_url"),
    (("--tls-cert", "/nowhere/node.crt"), {}, "tls_key"),
    (("--tls-self-signed", "--tls-cert", "c", "--tls-key", "k"), {}, "tls_self_signed"),
    (("--operator-token-file", "/nowhere/token"), {}, "/nowhere/token"), (("--prot", "1"), {}, "did you mean --port?"),
    ((), {"OCP_DIRECTORY_PUBLISH_TO": "not a url"}, "OCP_DIRECTORY_PUBLISH_TO"),
    (("--appmesh-tcp-port", "7000"), {}, "needs TLS"),
])
def test_a_wrong_setting_is_named_with_its_origin(tmp_path: Path, flags: tuple[str, ...], variables: dict[str, str],
                                                  words: str) -> None:
    given = flags if "--port" in flags or "OCP_PORT" in variables else ("--port", "0", *flags)
    one_line(refused(tmp_path / "state", *given, **variables), WRONG_USE, words)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(("flags", "code", "words"), [
    (("--node-id", "no spaces"), WRONG_USE, "node_id (flag --node-id): 'no spaces' does not have the right form"),
    (("--display-name", "two\nlines"), WRONG_USE, "display_name (flag --display-name): it has a control character"),
    (("--host", "203.0.113.7"), UNUSABLE, "assign requested address; choose an address of this machine with --host"),
    (("--host", "no.such.host.invalid"), UNUSABLE, "cannot listen on no.such.host.invalid"),
    (("--appmesh-admin-password-file", "/nowhere/password"), WRONG_USE, "/nowhere/password cannot be read"),
    (("--db-path", "/dev/null/ocp.db"), UNUSABLE, "/dev/null is a file"),
    (("--identity-dir", "/dev/null/identity"), UNUSABLE, "/dev/null"),
])
def test_what_only_shows_while_starting_is_one_line_too(state: Path, flags: tuple[str, ...], code: int, words: str) -> None:
    before = bytes_of(state)
    one_line(refused(state, "--port", "0", *flags), code, words)
    assert bytes_of(state) == before


def test_a_setting_of_another_version_is_passed_over_with_a_warning(state: Path) -> None:
    (state / "ocp.toml").write_text("prot = 8421\n")
    with ProcessNode(state) as node:
        assert "prot is no setting; did you mean port?" in node.errors
        node.stop()


# --- TLS and the token -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two certificates with their keys."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed: no certificate can be made")
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("a", "b"):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-subj", f"/CN={name}", "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
        subprocess.run(command, check=True, capture_output=True)
    yield folder


@pytest.mark.parametrize(("certificate", "key", "words"), [
    ("a.crt", "b.key", "does not belong to the certificate"), ("a.crt", "a.crt", "holds no private key"),
    ("a.key", "a.key", "holds no certificate"), ("a.crt", "none.key", "does not exist"),
])
def test_a_certificate_without_its_key_is_refused(state: Path, pairs: Path, certificate: str, key: str, words: str) -> None:
    before = bytes_of(state)
    done = refused(state, "--port", "0", "--tls-cert", str(pairs / certificate), "--tls-key", str(pairs / key))
    one_line(done, UNUSABLE, words)
    assert bytes_of(state) == before


@pytest.mark.parametrize(("host", "token", "words"), [
    ("0.0.0.0", "change-me", "WARNING: the operator token has fewer than 16 characters"),
    ("0.0.0.0", "long-enough-to-be-a-token", ""), ("0.0.0.0", "", "readable from the network"), ("127.0.0.1", "change-me", ""),
])
def test_a_short_token_on_the_network_is_warned_of_and_works(tmp_path: Path, host: str, token: str, words: str) -> None:
    with ProcessNode(tmp_path / "state", "--host", host, OCP_OPERATOR_TOKEN=token) as node:
        warnings = [line for line in node.errors.splitlines() if line.startswith("ocp: ") and "App Mesh" not in line]
        assert len(warnings) == bool(words) and words in "".join(warnings)
        here = f"http://127.0.0.1:{node.port}"
        right, wrong = {"X-OCP-Operator-Token": token}, {"X-OCP-Operator-Token": "change-you"}
        assert ask(here, "POST", "/mesh/artifacts/purge", {}, right if token else {}).status == 200
        assert ask(here, "POST", "/mesh/artifacts/purge", {}, wrong).status == (401 if token else 200)
        node.stop()
