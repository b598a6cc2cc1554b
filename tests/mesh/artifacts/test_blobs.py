"""The files of artifacts: whole or not there, held while somebody needs them, and never named by anybody but us."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.mesh.artifacts.blobs import Blobs, worded

ROOT = Path(__file__).resolve().parents[3]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def nobody(digest: str) -> bool:
    return True


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "artifacts", SetClock(), Ids())


def parts(blobs: Blobs) -> list[str]:
    folder = blobs.path("0" * 64).parents[2] / "incoming"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def test_a_blob_is_a_private_file_named_by_its_digest(blobs: Blobs, tmp_path: Path) -> None:
    blob = blobs.put(b"hello")
    path = tmp_path / "artifacts" / "sha256" / blob.digest[:2] / blob.digest[2:]
    assert (blob.digest, blob.size, path.read_bytes()) == (sha256(b"hello"), 5, b"hello")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert parts(blobs) == []


def test_the_same_content_is_one_file(blobs: Blobs) -> None:
    first, second = blobs.put_all([b"same", b"same"])
    again = blobs.put(b"same")
    assert {first.digest, second.digest, again.digest} == set(blobs.every()) == {sha256(b"same")}


def test_a_spoiled_file_is_never_read_and_is_written_anew(blobs: Blobs) -> None:
    blob = blobs.put(b"what it was")
    blobs.path(blob.digest).write_bytes(b"what it is!")
    for read in (blobs.read, blobs.verified):
        with pytest.raises(Refusal) as caught:
            read(blob.digest, blob.size)
        assert (caught.value.code, caught.value.message) == ("corrupted", "artifact content is corrupted")
    blobs.put(b"what it was")
    assert blobs.read(blob.digest, blob.size) == b"what it was"


def test_a_file_of_another_size_or_a_link_is_not_read(blobs: Blobs, tmp_path: Path) -> None:
    blob = blobs.put(b"12345")
    blobs.path(blob.digest).write_bytes(b"1234")
    with pytest.raises(Refusal, match="corrupted"):
        blobs.open(blob.digest, 5)
    (tmp_path / "secret").write_bytes(b"12345")
    blobs.path(blob.digest).unlink()
    blobs.path(blob.digest).symlink_to(tmp_path / "secret")
    with pytest.raises(Refusal, match="unavailable"):
        blobs.open(blob.digest, 5)


@pytest.mark.parametrize("digest", ["../../../../etc/passwd", "/" + "a" * 63, "a" * 63, "A" * 64, "a" * 62 + "/.", ""])
def test_only_digests_name_files(blobs: Blobs, digest: str) -> None:
    with pytest.raises(AssertionError):
        blobs.path(digest)


def test_a_held_blob_is_not_removed(blobs: Blobs) -> None:
    blob = blobs.put(b"held")
    digest = blob.digest
    assert not blobs.remove(digest, nobody)
    del blob
    assert not blobs.remove(digest, lambda digest: False)
    assert blobs.remove(digest, nobody)
    assert list(blobs.every()) == []


def test_what_was_stored_and_never_recorded_goes_once_nobody_holds_it(blobs: Blobs) -> None:
    told: list[str] = []
    blobs.on_fresh = lambda: told.append("fresh")
    first, second = blobs.put(b"first"), blobs.put(b"second")
    assert told == ["fresh"]
    counted = {second.digest}
    assert blobs.sort_out(lambda digest: digest not in counted)              # both are held
    del first, second
    assert not blobs.sort_out(lambda digest: digest not in counted)
    assert set(blobs.every()) == counted


def test_a_draft_that_fails_leaves_nothing(blobs: Blobs) -> None:
    with pytest.raises(Refusal, match="too large"), blobs.draft(4) as draft:
        draft.write(b"1234")
        draft.write(b"5")
    assert (parts(blobs), list(blobs.every())) == ([], [])


def test_a_cut_off_draft_goes_on_where_it_stopped(blobs: Blobs) -> None:
    digest = sha256(b"hello world")
    with blobs.draft(11, resume=digest) as draft:
        draft.write(b"hello ")
    assert parts(blobs) == [f"{digest}.part"]
    with blobs.draft(11, resume=digest) as draft:
        assert draft.size == 6
        draft.write(b"world")
        assert draft.keep().digest == digest
    assert (parts(blobs), blobs.read(digest, 11)) == ([], b"hello world")


def test_a_draft_that_was_wrong_is_dropped(blobs: Blobs) -> None:
    with blobs.draft(11, resume="a" * 64) as draft:
        draft.write(b"lies")
        draft.drop()
    assert parts(blobs) == []


def test_a_left_draft_larger_than_its_bound_starts_over(blobs: Blobs) -> None:
    with blobs.draft(100, resume="a" * 64) as draft:
        draft.write(b"x" * 100)
    with blobs.draft(10, resume="a" * 64) as draft:
        assert draft.size == 0


def test_one_transfer_has_one_writer(blobs: Blobs) -> None:
    with blobs.draft(9, resume="a" * 64), pytest.raises(Refusal, match="being transferred already"), blobs.draft(9, resume="a" * 64):
        pass


def test_drafts_are_swept_when_they_are_old_and_nobody_writes_them(blobs: Blobs) -> None:
    now = SetClock().time()
    with blobs.draft(9, resume="a" * 64) as left:
        left.write(b"x")
    with blobs.draft(9, resume="b" * 64):
        assert blobs.drop_drafts(now) == 0               # the first was left just now, the second is being written
        assert blobs.drop_drafts(now + 1) == 1
        assert parts(blobs) == ["b" * 64 + ".part"]


def test_drafts_of_a_process_that_is_gone_are_swept_unless_they_can_be_resumed(blobs: Blobs) -> None:
    blobs.put(b"x")
    folder = blobs.path("0" * 64).parents[2] / "incoming"
    for name in ("0123.part", "a" * 64 + ".part"):
        (folder / name).write_bytes(b"left")
    blobs.drop_abandoned()
    assert parts(blobs) == ["a" * 64 + ".part"]


def test_other_names_in_the_folder_are_no_blobs(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"x").digest
    for name in ("notes.txt", "zz", "ab/short", f"{digest[:2]}/odd"):
        path = tmp_path / "artifacts" / "sha256" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert list(blobs.every()) == [digest]


def test_many_threads_storing_and_sweeping_lose_nothing_that_is_held(blobs: Blobs) -> None:
    contents = [f"content {number % 5}".encode() for number in range(200)]
    lost: list[bytes] = []
    done = threading.Event()

    def write(own: list[bytes]) -> None:
        for content in own:
            blob = blobs.put(content)
            try:
                if blobs.read(blob.digest, blob.size) != content:
                    lost.append(content)
            except Refusal:
                lost.append(content)

    def sweep() -> None:
        while not done.is_set():
            for digest in blobs.every():
                blobs.remove(digest, nobody)

    sweeper = threading.Thread(target=sweep)
    writers = [threading.Thread(target=write, args=(contents[number::4],)) for number in range(4)]
    for thread in (sweeper, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    sweeper.join()
    assert lost == []


def test_a_full_disk_is_a_refusal_and_any_other_error_a_fault() -> None:
    with pytest.raises(Refusal) as caught, worded():
        raise OSError(28, "No space left on device")
    assert (caught.value.code, caught.value.message, dict(caught.value.headers)["Retry-After"]) == ("busy", "artifact store is full", "60")
    with pytest.raises(OSError), worded():
        raise OSError(5, "Input/output error")


LIMITED = """
import resource, sys
from pathlib import Path
from ocp_node.base.clock import Clock
from ocp_node.base.errors import Refusal
from ocp_node.base.ids import Ids
from ocp_node.mesh.artifacts.blobs import Blobs
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
blobs = Blobs(Path(sys.argv[1]), Clock(), Ids())
blobs.put(b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    blobs.put(b"x" * 200_000)
except Refusal as refusal:
    print(refusal.code, refusal.message, len(list(blobs.every())), len(list((Path(sys.argv[1]) / "incoming").iterdir())))
"""


def test_a_disk_that_takes_no_more_leaves_no_half_blob(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "blobs")], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "busy artifact store is full 1 0", done.stderr


KILLED = """
import sys
from pathlib import Path
from ocp_node.base.clock import Clock
from ocp_node.base.ids import Ids
from ocp_node.mesh.artifacts.blobs import Blobs
blobs, number = Blobs(Path(sys.argv[1]), Clock(), Ids()), 0
print("ready", flush=True)
while True:
    blobs.put(number.to_bytes(4, "big") * 50_000)
    number += 1
"""


def test_a_process_killed_while_it_stores_leaves_whole_blobs(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "blobs")], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    folder = tmp_path / "blobs" / "sha256"
    while not folder.is_dir() or len(list(folder.iterdir())) < 20:
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    found = Blobs(tmp_path / "blobs", SetClock(), Ids())
    digests = list(found.every())
    assert len(digests) >= 20 and all(len(found.read(digest, 200_000)) == 200_000 for digest in digests)
    found.drop_abandoned()
    assert parts(found) == []
