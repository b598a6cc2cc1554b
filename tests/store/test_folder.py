"""The data folder and its lock."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ocp_node.base.errors import Unusable
from ocp_node.store import folder
from ocp_node.store.lock import NodeLock

ROOT = Path(__file__).parents[2]


def test_a_new_folder_is_private_and_so_are_those_made_on_the_way(tmp_path: Path) -> None:
    made = folder.prepare(tmp_path / "a" / "b")
    assert made == tmp_path / "a" / "b" and os.listdir(made) == []
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o700, 0o700]


def test_a_folder_that_exists_keeps_its_mode_and_content(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    tmp_path.chmod(0o750)
    folder.prepare(tmp_path)
    assert os.listdir(tmp_path) == ["kept"] and stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wished in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "file" / "far" / "below"):
        with pytest.raises(Unusable, match=f"{tmp_path}/file is a file, not a folder"):
            folder.prepare(wished)


@pytest.mark.parametrize("number, words", [
    (errno.EACCES, "no permission"), (errno.EROFS, "read-only file system"), (errno.ENOSPC, "no space left"),
    (errno.EDQUOT, "quota"), (errno.EIO, "may be failing"), (errno.EMFILE, "cannot be used"),
])
def test_the_systems_refusals_are_worded_in_one_line(number: int, words: str) -> None:
    line = str(folder.worded(Path("/data"), OSError(number, os.strerror(number))))
    assert words in line and "/data" in line and "\n" not in line


def test_a_place_that_takes_no_files_is_named() -> None:
    """Mode bits say that root may write here; only trying tells."""
    with pytest.raises(Unusable, match="/proc"):
        folder.prepare(Path("/proc"))


def test_a_private_file_is_never_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        folder.create_private(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


# --- the lock

def test_a_second_node_on_the_folder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with NodeLock(tmp_path), pytest.raises(Unusable, match=f"process {os.getpid()}"):
        NodeLock(tmp_path).acquire()
    NodeLock(tmp_path).acquire().release()


def test_the_lock_holds_between_processes_and_ends_with_its_process_however_it_dies(tmp_path: Path) -> None:
    program = ("import sys\nfrom pathlib import Path\nfrom ocp_node.store.lock import NodeLock\n"
               "lock = NodeLock(Path(sys.argv[1])).acquire()\nprint('held', flush=True)\nsys.stdin.read()\n")
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin and child.stdout
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(Unusable, match=f"process {child.pid}"):
        NodeLock(tmp_path).acquire()
    child.kill()
    child.wait()
    NodeLock(tmp_path).acquire().release()
    child.stdin.close()
    child.stdout.close()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "node.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unusable, match="symbolic link"):
        NodeLock(tmp_path).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path).acquire()
    lock.release()
    lock.release()
