"""Small private files: whole or not there, whatever goes wrong."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ocp_node.base import limits
from ocp_node.base.errors import Unusable
from ocp_node.base.ids import Ids
from ocp_node.crypto import files


@contextmanager
def disk_full_after(count: int) -> Iterator[None]:
    """No file may grow beyond `count` bytes: what a full disk looks like to one writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(directory: Path) -> list[str]:
    return sorted(item.name for item in directory.iterdir())


def test_a_new_file_is_private_and_alone(tmp_path: Path):
    files.create(tmp_path / "a", b"text", Ids())
    assert (tmp_path / "a").read_bytes() == b"text" and names(tmp_path) == ["a"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert (tmp_path / "a").stat().st_nlink == 1


def test_a_taken_name_is_left_alone(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"new", Ids())
    assert (tmp_path / "a").read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_a_dangling_link_counts_as_a_taken_name(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a", b"new", Ids())
    assert not (tmp_path / "elsewhere").exists()


def test_replacing_gives_a_new_private_file(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o644)
    files.replace(tmp_path / "a", b"new", Ids())
    assert (tmp_path / "a").read_bytes() == b"new" and names(tmp_path) == ["a"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("write", [files.create, files.replace])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, write):
    target = tmp_path / "a"
    if write is files.replace:
        target.write_bytes(b"old")
    with disk_full_after(10), pytest.raises(Unusable) as caught:
        write(target, b"x" * 100, Ids())
    assert str(target) in str(caught.value) and "File too large" in str(caught.value)
    assert names(tmp_path) == (["a"] if write is files.replace else [])
    assert write is files.create or target.read_bytes() == b"old"


def test_a_missing_directory_is_said(tmp_path: Path):
    with pytest.raises(Unusable) as caught:
        files.create(tmp_path / "none" / "a", b"", Ids())
    assert "No such file or directory" in str(caught.value)


def test_reading_takes_a_file_back_from_others(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"text")
    (tmp_path / "a").chmod(0o664)
    assert files.read(tmp_path / "a") == b"text"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_no_file_is_none(tmp_path: Path):
    assert files.read(tmp_path / "a") is None


def test_a_pipe_or_a_directory_in_its_place_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("pipe", "directory"):
        with pytest.raises(Unusable) as caught:
            files.read(tmp_path / name)
        assert "not a regular file" in str(caught.value)


def test_a_link_that_leads_nowhere_is_an_unreadable_file(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(Unusable) as caught:
        files.read(tmp_path / "a")
    assert "cannot read" in str(caught.value)


def test_a_directory_is_never_replaced_by_a_file(tmp_path: Path):
    (tmp_path / "a").mkdir()
    with pytest.raises(Unusable) as caught:
        files.replace(tmp_path / "a", b"new", Ids())
    assert "cannot write" in str(caught.value) and names(tmp_path) == ["a"] and (tmp_path / "a").is_dir()


def test_a_huge_file_is_not_read_in(tmp_path: Path):
    (tmp_path / "a").write_bytes(bytes(limits.PRIVATE_FILE_BYTES_MAX + 1))
    with pytest.raises(Unusable):
        files.read(tmp_path / "a")
    (tmp_path / "b").write_bytes(bytes(limits.PRIVATE_FILE_BYTES_MAX))
    assert len(files.read(tmp_path / "b") or b"") == limits.PRIVATE_FILE_BYTES_MAX


def test_a_directory_is_made_and_taken_back_from_others(tmp_path: Path):
    files.make_directory(tmp_path / "one" / "two")
    assert stat.S_IMODE((tmp_path / "one" / "two").stat().st_mode) == 0o700
    (tmp_path / "one" / "two").chmod(0o755)
    files.make_directory(tmp_path / "one" / "two")
    assert stat.S_IMODE((tmp_path / "one" / "two").stat().st_mode) == 0o700


def test_a_file_where_the_directory_should_be_is_said(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(Unusable):
        files.make_directory(tmp_path / "a")
