"""What the kernel's texts say, and what it says of real processes."""

import os

import pytest

from ocp_node.processes import usage
from ocp_node.processes.usage import Stat
from tests.support.processes import PYTHON

LINE = b"%d (%s) S 7 42 43 0 -1 4194304 1 2 3 4 50 60 7 8 20 0 1 0 123456 9000000 77 18446744073709551615 1 1 0 0 0\n"


@pytest.mark.parametrize("name", [b"sh", b"a b", b") S 1 (", b"tmux: server", b"x\ny", b"", b"\xff"])
def test_a_stat_line_is_read_whatever_the_program_is_called(name):
    found = usage.parse_stat(LINE % (42, name))
    assert found == Stat(42, name.decode("utf-8", "replace"), "S", 7, 42, 43, 125, 123456, 77)


@pytest.mark.parametrize("raw", [b"", b"42", b"42 (sh", b"42 (sh)", b"42 (sh) S 1 2", b"x (sh) S" + b" 1" * 30,
                                 b"42 (sh) S" + b" y" * 30])
def test_what_is_no_stat_line_is_nothing(raw):
    assert usage.parse_stat(raw) is None


def stat(pid, parent, session):
    return Stat(pid, "x", "S", parent, session, session, 0, 0, 0)


def test_a_run_is_its_descendants_and_its_session():
    stats = [stat(1, 0, 1), stat(10, 1, 10), stat(11, 10, 10), stat(12, 11, 12), stat(13, 1, 10), stat(14, 1, 14),
             stat(15, 13, 15)]
    assert usage.members(stats, 10) == [10, 11, 12, 13, 15]


def test_a_circle_of_parents_ends():
    assert usage.members([stat(1, 2, 1), stat(2, 1, 1)], 1) == [1, 2]


def test_our_own_start_and_memory_are_seen():
    found = usage.stat(os.getpid())
    assert found is not None and found.parent == os.getppid() and found.start_ticks > 0 and found.pages > 100
    used = usage.of([os.getpid()])
    assert used is not None and used.processes == 1 and used.open_files and used.rss_bytes > 1_000_000


def test_who_is_not_there_uses_nothing():
    assert usage.of([]) is None and usage.of([2**22 + 1]) is None and usage.stat(2**22 + 1) is None


def test_without_proc_nothing_is_known(tmp_path):
    none = str(tmp_path)
    assert usage.every_pid(none) == [] and usage.of([1], none) is None and usage.describe([1], none) == []


def test_usage_is_of_the_whole_run(shop):
    code = "import subprocess as s\nb = bytearray(30_000_000)\np = s.Popen(['sleep', '60'])\nprint('up', flush=True)\np.wait()"
    run = shop.start([PYTHON, "-c", code], listen=True)
    shop.until(lambda: b"up" in run.text)
    used = run.child.usage()
    assert used.processes == 2 and used.rss_bytes > 30_000_000 and used.open_files >= 6 and used.cpu_seconds > 0
    shop.until(lambda: [one.command for one in run.child.processes()][1:] == ["sleep 60"])
    first, second = run.child.processes()
    assert (first.pid, second.parent_pid, first.user_id) == (run.child.pid, run.child.pid, os.getuid())
    assert shop.engine.usages()[run.child.pid].processes == 2
    run.child.kill()
    ended = shop.ended(run)
    assert run.child.usage() is None and run.child.processes() == [] and shop.engine.usages() == {}
    assert ended.rss_bytes_max > 30_000_000


def test_processor_time_is_counted_with_what_the_child_waited_for(shop):
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    ended = shop.run(["/bin/sh", "-c", f'"{PYTHON}" -c "$CODE"; true'], environment={"CODE": burn})
    assert 0.2 <= ended.cpu_seconds < 2.0
    assert shop.engine.totals().cpu_seconds == ended.cpu_seconds
