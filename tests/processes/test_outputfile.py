"""Output in files, read by absolute position."""

import os
import random
import resource
import signal
import stat

import pytest

from ocp_node.processes.outputfile import FileWriter, OutputFile
from tests.support.processes import Said


def writer(path, bytes_max=1000, files_kept=1, log=None):
    return FileWriter.fresh(str(path), bytes_max, files_kept, log or Said())


def everything(file, limit=64):
    """All that is kept, read in steps, and the positions that came back."""
    parts, position = [], 0
    while True:
        data, position = file.read(position, limit)
        if not data:
            return b"".join(parts), position
        parts.append(data)


def test_what_is_written_can_be_read_at_any_position(tmp_path):
    made = writer(tmp_path / "out")
    made.put(b"hello ")
    made.put(b"world")
    assert made.file.read(0, 100) == (b"hello world", 11)
    assert made.file.read(6, 3) == (b"wor", 9)
    assert made.file.read(11, 100) == (b"", 11)
    assert made.file.read(500, 100) == (b"", 500)
    assert made.file.read(-5, 2) == (b"he", 2)
    assert not made.truncated


def test_only_the_owner_may_read_the_file(tmp_path):
    before = os.umask(0)
    try:
        writer(tmp_path / "out").put(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "out").st_mode) == 0o600


def test_nothing_is_read_where_nothing_was_written(tmp_path):
    assert writer(tmp_path / "out").file.read(0, 10) == (b"", 0)
    assert OutputFile.at(str(tmp_path / "none")).read(0, 10) == (b"", 0)


def test_a_single_file_is_closed_with_a_line_and_the_rest_is_counted(tmp_path):
    made = writer(tmp_path / "out", 1024)
    for _ in range(50):
        made.put(b"x" * 100)
    text, _ = everything(made.file)
    assert text.startswith(b"x" * 1024 + b"\n[") and text.endswith(b"left out]\n")
    assert made.came == 5000 and made.truncated and len(os.listdir(tmp_path)) == 1


def test_positions_go_on_over_all_files(tmp_path):
    made, data = writer(tmp_path / "out", 1024, 100), random.Random(1).randbytes(20_000)
    for at in range(0, len(data), 333):
        made.put(data[at:at + 333])
    assert everything(made.file) == (data, 20_000)
    assert made.file.read(1020, 10) == (data[1020:1030], 1030)
    assert OutputFile.at(str(tmp_path / "out")).segments == made.file.segments
    assert not made.truncated


def test_the_oldest_files_go_and_positions_stay(tmp_path):
    made, data = writer(tmp_path / "out", 1024, 3), random.Random(2).randbytes(20_000)
    for at in range(0, len(data), 100):
        made.put(data[at:at + 100])
    file = made.file
    assert (file.start, file.end) == (17_408, 20_000) and made.truncated
    assert file.read(0, 10) == (data[17_408:17_418], 17_418)
    assert everything(file) == (data[17_408:], 20_000)
    again = OutputFile.at(str(tmp_path / "out"))
    assert (again.start, again.end, again.segments) == (file.start, file.end, file.segments)
    assert sum(os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path)) <= 3 * 1024


def test_a_new_run_leaves_nothing_of_the_last(tmp_path):
    made = writer(tmp_path / "out", 1024, 3)
    made.put(b"x" * 10_000)
    (tmp_path / "out.txt").write_text("not ours")
    (tmp_path / "output").write_text("not ours")
    fresh = writer(tmp_path / "out", 1024, 3)
    fresh.put(b"new")
    assert sorted(os.listdir(tmp_path)) == ["out", "out.txt", "output"]
    assert OutputFile.at(str(tmp_path / "out")).read(0, 100) == (b"new", 3)


def test_a_writer_goes_on_where_an_earlier_node_stopped(tmp_path):
    made, data = writer(tmp_path / "out", 1024, 3), random.Random(3).randbytes(9000)
    made.put(data[:5000])
    made.close()
    again = FileWriter(OutputFile.at(str(tmp_path / "out")), 1024, 3, Said())
    again.put(data[5000:])
    assert everything(again.file) == (data[again.file.start:], 9000)


def test_a_full_single_file_stays_full_for_the_next_node(tmp_path):
    made = writer(tmp_path / "out", 1024)
    made.put(b"x" * 5000)
    size = os.path.getsize(tmp_path / "out")
    again = FileWriter(OutputFile.at(str(tmp_path / "out")), 1024, 1, Said())
    again.put(b"more")
    assert os.path.getsize(tmp_path / "out") == size


def test_a_link_is_never_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.symlink(victim, tmp_path / "out")
    writer(tmp_path / "out").put(b"new")
    assert victim.read_text() == "precious"
    os.unlink(tmp_path / "out")
    made = writer(tmp_path / "out")
    os.symlink(victim, tmp_path / "out")           # set between the start and the first byte
    made.put(b"new")
    assert victim.read_text() == "precious" and made.lost == 3


def test_removed_output_is_gone(tmp_path):
    made = writer(tmp_path / "out", 1024, 5)
    made.put(b"x" * 4000)
    made.file.remove()
    assert os.listdir(tmp_path) == [] and made.file.read(0, 10) == (b"", 0)


def test_whole_text_never_ends_inside_a_character(tmp_path):
    text = "aé€😀" * 200
    made = writer(tmp_path / "out", 100_000)
    made.put(text.encode())
    parts, position = [], 0
    while position < made.file.end:
        data, position = made.file.read(position, 7, whole_text=True)
        assert data
        parts.append(data.decode())
    assert "".join(parts) == text


def test_whole_text_gives_bytes_that_are_no_text_all_the_same(tmp_path):
    made = writer(tmp_path / "out", 100_000)
    made.put(b"\xe2" * 10 + b"\xf0")
    got, position = b"", 0
    for _ in range(40):
        data, position = made.file.read(position, 3, whole_text=True)
        got += data
    assert got == b"\xe2" * 10 + b"\xf0"


class Ceiling:
    """No file of this process grows over `bytes_max`: what a full disk does to a write, and undone at the end."""

    def __init__(self, bytes_max):
        self.bytes_max = bytes_max

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.bytes_max, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


def test_what_the_disk_does_not_take_is_counted_and_said_where_it_is_missing(tmp_path):
    log = Said()
    made = writer(tmp_path / "out", 100_000, log=log)
    with Ceiling(1000):
        for _ in range(30):
            made.put(b"a" * 100)
    assert (made.lost, made.file.end) == (2000, 1000)
    assert log.lines == [("processes.output_refused", {"path": str(tmp_path / "out"), "error": "EFBIG"})]
    made.put(b"after")
    text, _ = everything(made.file)
    assert text == b"a" * 1000 + b"\n[2000 bytes lost: they could not be written]\n" + b"after"
    assert made.truncated


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_device_stops_nobody(tmp_path):
    log = Said()
    made = writer(tmp_path / "out", log=log)
    made.file.segments = ((0, "/dev/full"),)
    made.put(b"x" * 100)
    assert made.lost == 100 and log.lines[0][1]["error"] == "ENOSPC"


def test_a_folder_that_is_gone_stops_nobody(tmp_path):
    (tmp_path / "folder").mkdir()
    made = writer(tmp_path / "folder" / "out", 1024, 3)
    made.put(b"x" * 1024)
    for name in os.listdir(tmp_path / "folder"):
        os.unlink(tmp_path / "folder" / name)
    (tmp_path / "folder").rmdir()
    made.put(b"y" * 3000)
    assert made.lost == 3000
    (tmp_path / "folder").mkdir()
    made.put(b"z" * 10)
    assert made.file.read(1024, 100)[0].endswith(b"z" * 10)


def test_a_reader_in_another_thread_sees_every_byte_in_its_place(tmp_path):
    import threading
    data = random.Random(5).randbytes(400_000)
    made, wrong, stop = writer(tmp_path / "out", 4096, 4), [], threading.Event()

    def read():
        position, chance = 0, random.Random(6)
        while not stop.is_set():
            part, after = made.file.read(position, chance.randrange(1, 9000))
            if part != data[after - len(part):after]:
                wrong.append((position, after, len(part)))
            position = after if part else chance.randrange(0, 400_000)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for one in readers:
        one.start()
    for at in range(0, len(data), 200):
        made.put(data[at:at + 200])
    stop.set()
    for one in readers:
        one.join()
    assert wrong == []
