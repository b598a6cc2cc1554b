"""The node's identity: made once, kept for good, never replaced in silence."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ocp_node.base.clock import SetClock, instant_seconds
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import CountedIds, Ids
from ocp_node.crypto import documents, identity, keys

ROOT = Path(__file__).resolve().parents[2]
CLOCK = SetClock(instant_seconds("2026-01-01T00:00:00Z"))
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
STORED = {"node_id": "alpha-node", "display_name": "Alpha", "private_key": SEED, "public_key": PUBLIC,
          "signature_scheme": "ed25519-sha512-v1", "created_at": "2025-05-05T05:05:05Z"}


def load(directory: Path, **given: str) -> identity.Identity:
    return identity.load_or_create(directory, Ids(), CLOCK, **given)


def put(directory: Path, document: object) -> bytes:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    (directory / "identity.json").write_bytes(raw)
    return raw


def stored(directory: Path) -> dict:
    return json.loads((directory / "identity.json").read_bytes())


def test_a_new_node_has_an_identity_of_its_own(tmp_path: Path):
    made = load(tmp_path / "deep" / "identity", host_name="kitchen-pi.lan")
    assert made.node_id.startswith("kitchen-pi-") and len(made.node_id) == len("kitchen-pi-") + 8
    assert made.display_name == "kitchen-pi.lan" and made.created_at == "2026-01-01T00:00:00Z"
    assert made.signature_scheme == "ed25519-sha512-v1"
    assert keys.public_key(made.seed).hex() == made.public_key_hex == made.public_key.hex()
    assert made.did.startswith("node:did:key:z6Mk") and len(made.did) == 61
    assert keys.verify(made.public_key, b"message", made.sign(b"message"))


def test_the_file_and_its_directory_are_private_and_nothing_else_is_left(tmp_path: Path):
    load(tmp_path / "identity")
    assert stat.S_IMODE((tmp_path / "identity").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "identity" / "identity.json").stat().st_mode) == 0o600
    assert [item.name for item in (tmp_path / "identity").iterdir()] == ["identity.json"]


def test_the_file_has_the_six_members_sorted_and_indented(tmp_path: Path):
    made = load(tmp_path)
    text = (tmp_path / "identity.json").read_text()
    assert list(json.loads(text)) == ["created_at", "display_name", "node_id", "private_key", "public_key", "signature_scheme"]
    assert text.startswith('{\n  "created_at"') and text.endswith("}\n")
    assert stored(tmp_path)["private_key"] == made.seed.hex()


def test_the_next_start_finds_the_same_identity_and_writes_nothing(tmp_path: Path):
    first = load(tmp_path, host_name="a")
    before = (tmp_path / "identity.json").stat()
    assert load(tmp_path, host_name="b") == first
    after = (tmp_path / "identity.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_identity_written_by_another_implementation_is_used(tmp_path: Path):
    put(tmp_path, {**STORED, "private_key": SEED.upper(), "extra": 1})
    (tmp_path / "identity.json").chmod(0o644)
    kept = load(tmp_path, host_name="elsewhere")
    assert (kept.node_id, kept.display_name, kept.public_key_hex, kept.created_at) == ("alpha-node", "Alpha", PUBLIC,
                                                                                       "2025-05-05T05:05:05Z")
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600


def test_explicit_names_win_and_are_written_back_with_all_else_kept(tmp_path: Path):
    put(tmp_path, {**STORED, "extra": {"kept": True}})
    kept = load(tmp_path, node_id="omega:1", display_name="Omega")
    assert (kept.node_id, kept.display_name, kept.public_key_hex) == ("omega:1", "Omega", PUBLIC)
    assert stored(tmp_path) == {**STORED, "extra": {"kept": True}, "node_id": "omega:1", "display_name": "Omega"}
    assert load(tmp_path) == kept


def test_names_given_at_the_first_start_are_stored(tmp_path: Path):
    load(tmp_path, node_id="first", display_name="Erste", host_name="h")
    assert (stored(tmp_path)["node_id"], stored(tmp_path)["display_name"]) == ("first", "Erste")


@pytest.mark.parametrize("given, host, shown", [("", "", "alpha-node"), ("", "pi", "pi"), ("Given", "pi", "Given")])
def test_the_display_name_falls_back_to_the_host_and_then_the_id(tmp_path: Path, given: str, host: str, shown: str):
    put(tmp_path, {name: value for name, value in STORED.items() if name != "display_name"})
    assert load(tmp_path, display_name=given, host_name=host).display_name == shown


@pytest.mark.parametrize("host, start",
                         [("", "node-"), ("My PC.local", "My-PC-"), ("żółw", "w-"), ("...", "node-"), ("--a_b--", "a_b-"),
                          ("10.0.0.1", "10-"), ("h" * 300, "h" * 100 + "-"), ("ż", "node-")])
def test_an_id_is_made_of_any_host_name(tmp_path: Path, host: str, start: str):
    made = identity.load_or_create(tmp_path, CountedIds(), CLOCK, host_name=host)
    assert made.node_id == start + "00000001"
    assert identity.is_node_id(made.node_id)


@pytest.mark.parametrize("node_id, allowed",
                         [("a", True), ("A0._:-z", True), ("9", True), ("a" * 128, True), ("a" * 129, False), ("", False),
                          ("-a", False), (".a", False), ("a b", False), ("a/b", False), ("a\n", False),
                          ("ż", False), ("a%", False)])
def test_node_id_syntax(tmp_path: Path, node_id: str, allowed: bool):
    assert identity.is_node_id(node_id) is allowed
    if node_id.strip() == node_id and node_id:
        if allowed:
            assert load(tmp_path, node_id=node_id).node_id == node_id
        else:
            with pytest.raises(Unusable):
                load(tmp_path, node_id=node_id)
            assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("display_name", ["two\nlines", "x" * 201, "bell\a", "\ud800"])
def test_a_display_name_is_one_line(tmp_path: Path, display_name: str):
    with pytest.raises(Unusable):
        load(tmp_path, display_name=display_name)


def test_the_longest_display_name_is_taken(tmp_path: Path):
    assert load(tmp_path, display_name="x" * 200).display_name == "x" * 200


DAMAGE = {
    "empty": b"", "cut off": json.dumps(STORED).encode()[:-40], "zero bytes": bytes(400), "not UTF-8": b"\xff\xfe",
    "a list": b"[]",
    "twice a key": b'{"private_key":"' + SEED.encode() + b'",' + json.dumps(STORED).encode()[1:],
    "no private key": {name: value for name, value in STORED.items() if name != "private_key"},
    "a short private key": {**STORED, "private_key": SEED[:-2]}, "a private key of blanks": {**STORED, "private_key": " " * 64},
    "a private key that is no text": {**STORED, "private_key": 5}, "another public key": {**STORED, "public_key": "00" * 32},
    "no public key": {**STORED, "public_key": ""}, "another scheme": {**STORED, "signature_scheme": "rsa"},
    "no scheme": {name: value for name, value in STORED.items() if name != "signature_scheme"},
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_identity_stops_the_node_and_is_left_as_it_is(tmp_path: Path, kind: str):
    raw = put(tmp_path, DAMAGE[kind])
    with pytest.raises(Unusable) as caught:
        load(tmp_path, node_id="alpha-node", display_name="New", host_name="h")
    line = str(caught.value)
    assert str(tmp_path / "identity.json") in line and "\n" not in line and SEED not in line
    assert (tmp_path / "identity.json").read_bytes() == raw
    assert [item.name for item in tmp_path.iterdir()] == ["identity.json"]


@pytest.mark.parametrize("node_id", ["", "has blanks", "ü", None, 5])
def test_a_stored_id_that_is_not_allowed_stops_the_node_until_one_is_given(tmp_path: Path, node_id: object):
    raw = put(tmp_path, {**STORED, "node_id": node_id})
    with pytest.raises(Unusable) as caught:
        load(tmp_path, host_name="h")
    assert "--node-id" in str(caught.value) and (tmp_path / "identity.json").read_bytes() == raw
    kept = load(tmp_path, node_id="renamed")
    assert kept.node_id == "renamed" and kept.public_key_hex == PUBLIC
    assert load(tmp_path) == kept


def test_an_identity_shows_no_secret_and_cannot_be_changed(tmp_path: Path):
    made = load(tmp_path)
    assert made.seed.hex() not in repr(made) and repr(made.seed) not in repr(made) and repr(made._secret) not in repr(made)
    with pytest.raises(AttributeError):
        made.node_id = "other"                                  # type: ignore[misc]


def test_an_identity_cannot_have_a_public_key_of_another_seed():
    with pytest.raises(TypeError):
        identity.Identity("a", "A", bytes(32), public_key_hex=PUBLIC)                  # type: ignore[call-arg]
    changed = identity.Identity("a", "A", bytes.fromhex(SEED))
    assert changed.public_key_hex == PUBLIC and changed.sign(b"") == keys.sign(bytes.fromhex(SEED), b"")


def test_a_full_disk_leaves_no_identity_and_says_so(tmp_path: Path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        with pytest.raises(Unusable) as caught:
            load(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in str(caught.value) and list(tmp_path.iterdir()) == []
    assert load(tmp_path).public_key


def test_threads_that_start_together_become_one_node(tmp_path: Path):
    found, gate = [], threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(load(tmp_path, host_name="pi"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({each.public_key_hex for each in found}) == 1 and len({each.node_id for each in found}) == 1


def test_a_rotation_gives_a_new_key_that_both_keys_vouch_for(tmp_path: Path):
    put(tmp_path, {**STORED, "extra": 1})
    old = load(tmp_path)
    new, proof = identity.rotate(tmp_path, old, Ids(), CLOCK)
    assert new.node_id == old.node_id and new.display_name == old.display_name and new.public_key_hex != old.public_key_hex
    assert documents.verify_succession(proof)
    assert (proof["old_public_key"], proof["new_public_key"], proof["node_id"], proof["rotated_at"]) == (
        PUBLIC, new.public_key_hex, "alpha-node", "2026-01-01T00:00:00Z")
    assert load(tmp_path) == new and identity.succession(tmp_path) == proof and stored(tmp_path)["extra"] == 1


def test_the_old_key_is_kept_privately_under_the_time_of_its_rotation(tmp_path: Path):
    raw = put(tmp_path, STORED)
    identity.rotate(tmp_path, load(tmp_path), Ids(), CLOCK)
    copy = tmp_path / "identity.json.rotated-20260101T000000Z"
    assert copy.read_bytes() == raw and stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(item.name for item in tmp_path.iterdir()) == ["identity.json", copy.name]


def test_two_rotations_in_one_second_keep_both_old_keys(tmp_path: Path):
    first = load(tmp_path)
    second, _ = identity.rotate(tmp_path, first, Ids(), CLOCK)
    identity.rotate(tmp_path, second, Ids(), CLOCK)
    kept = {json.loads(path.read_bytes())["public_key"] for path in tmp_path.glob("*.rotated-*")}
    assert kept == {first.public_key_hex, second.public_key_hex}


def test_only_the_identity_in_use_can_be_rotated(tmp_path: Path):
    old = load(tmp_path)
    identity.rotate(tmp_path, old, Ids(), CLOCK)
    before = (tmp_path / "identity.json").read_bytes()
    with pytest.raises(Unusable):
        identity.rotate(tmp_path, old, Ids(), CLOCK)
    assert (tmp_path / "identity.json").read_bytes() == before
    with pytest.raises(Unusable):
        identity.rotate(tmp_path / "elsewhere", old, Ids(), CLOCK)


def test_a_first_key_has_no_succession(tmp_path: Path):
    assert identity.succession(tmp_path) is None
    load(tmp_path)
    assert identity.succession(tmp_path) is None


def test_a_full_disk_during_a_rotation_leaves_the_old_identity(tmp_path: Path):
    old = load(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE,
                       (700, hard))      # room for the copy of the old file, not for the new one with its proof
    try:
        with pytest.raises(Unusable):
            identity.rotate(tmp_path, old, Ids(), CLOCK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load(tmp_path) == old


ROTATING = """
import sys
from pathlib import Path
from ocp_node.base.clock import Clock
from ocp_node.base.ids import Ids
from ocp_node.crypto import identity
directory = Path(sys.argv[1])
now = identity.load_or_create(directory, Ids(), Clock())
for _ in range(2000):
    for copy in directory.glob("*.rotated-*"):
        copy.unlink()
    now, _ = identity.rotate(directory, now, Ids(), Clock())
    print("rotated", flush=True)
"""


@pytest.mark.parametrize("rotations", [1, 3, 7, 12])
def test_a_node_that_is_killed_while_it_rotates_has_a_whole_identity(tmp_path: Path, rotations: int):
    child = subprocess.Popen([sys.executable, "-c", ROTATING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(rotations):
        assert child.stdout.readline() == "rotated\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    kept = load(tmp_path)
    assert keys.verify(kept.public_key, b"x", kept.sign(b"x"))
    assert documents.verify_succession(identity.succession(tmp_path) or {})
