"""Limits hold, for the child and for what it starts."""

import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.processes import bounds, marks
from ocp_node.processes.records import Limits
from tests.support.processes import PYTHON, state

MEBIBYTE = 1 << 20
PRLIMIT = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs a system that sets limits of other processes")
pytestmark = PRLIMIT


def test_memory_is_bounded(shop):
    code = "try:\n    b = bytearray(600 << 20)\n    print('had it')\nexcept MemoryError:\n    print('refused')"
    assert shop.run([PYTHON, "-c", code], limits=Limits(memory_bytes=300 * MEBIBYTE)).stdout == b"refused\n"
    assert shop.run([PYTHON, "-c", code]).stdout == b"had it\n"


def test_processor_time_is_bounded(shop):
    ended = shop.run([PYTHON, "-c", "while True: pass"], limits=Limits(cpu_seconds=1))
    assert (ended.signal, ended.reason) == (signal.SIGXCPU, "signalled") and 0.8 < ended.cpu_seconds < 3


def test_files_are_bounded_and_no_core_is_left(shop, tmp_path):
    ended = shop.run(["/bin/sh", "-c", "sleep 0.2; ulimit -c; head -c 2000000 /dev/zero > big; kill -SEGV $$"], cwd=str(tmp_path),
                     limits=Limits(file_bytes=1_000_000))
    assert ended.stdout == b"0\n" and os.path.getsize(tmp_path / "big") == 1_000_000 and ended.signal == signal.SIGSEGV
    assert os.listdir(tmp_path) == ["big"]


def test_open_files_are_bounded(shop):
    assert shop.run(["/bin/sh", "-c", "sleep 0.1; ulimit -n"], limits=Limits(open_files=64)).stdout == b"64\n"


def test_a_share_of_the_processor_is_given_by_niceness_where_nothing_better_is(shop):
    assert shop.run(["/bin/sh", "-c", "sleep 0.1; nice"], limits=Limits(cpu_weight=10)).stdout == b"10\n"


def test_a_limit_is_never_raised_over_that_of_the_node(shop):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(shop.run(["/bin/sh", "-c", "sleep 0.1; ulimit -n"], limits=Limits(open_files=hard * 10)).stdout) == hard


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user with no other processes")
def test_processes_are_bounded(shop):
    script = "sleep 0.1; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 300 & echo $i; done"
    ended = shop.run(["/bin/sh", "-c", script], user="nobody", limits=Limits(processes_max=8))
    assert int(ended.stdout.split()[-1]) < 10 and b"fork" in ended.stderr and ended.code != 0
    assert shop.run(["/bin/sh", "-c", script], user="nobody", limits=Limits(processes_max=50)).stdout.split()[-1] == b"12"


def test_what_was_started_before_the_limits_were_set_is_under_them_too(shop):
    """A child that forks as its very first act, again and again, while limits are being set."""
    code = ("import os, resource, time\nfor _ in range(6):\n    if os.fork(): break\ntime.sleep(0.3)\n"
            "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], flush=True)\ntry: os.wait()\nexcept OSError: pass")
    for _ in range(5):
        ended = shop.run([PYTHON, "-S", "-c", code], limits=Limits(open_files=77))
        assert set(ended.stdout.split()) == {b"77"}


def test_it_is_said_which_limits_this_system_holds(shop):
    able = shop.engine.abilities()
    assert able["cpu_seconds"] == able["file"] == able["memory"] == "process" and able["processes"] == "user"
    assert able["cpu_percent"] == ""


# --- limits that a shell sets, because nobody else may

@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "busybox"])
def test_every_shell_sets_the_limits(shell):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} here")
    limits = Limits(memory_bytes=900 << 20, cpu_seconds=7, file_bytes=1 << 20, open_files=99)
    words = bounds.ulimits(limits, frozenset(), os.getuid())
    show = "import resource as r\nprint(*(r.getrlimit(getattr(r, 'RLIMIT_' + n)) for n in 'CORE AS CPU FSIZE NOFILE'.split()))"
    options = {"busybox": ["sh"], "bash": ["--posix"]}.get(shell, [])
    command = [path, *options, "-c", words + 'exec "$@"', "sh", PYTHON, "-S", "-c", show]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    sizes = (900 << 20, 1 << 20)
    assert done.stdout == f"(0, 0) ({sizes[0]}, {sizes[0]}) (7, 8) ({sizes[1]}, {sizes[1]}) (99, 99)\n", done.stderr


def test_a_shell_is_used_only_where_it_must_be():
    assert not bounds.through_shell(False, Limits(memory_bytes=1))
    capable = bounds.parse_capable(Path("/proc/self/status").read_text(), bounds.CAP_SYS_RESOURCE)
    assert bounds.through_shell(True, Limits()) is not capable


@pytest.mark.parametrize("line, capable", [
    ("CapEff:\t000001ffffffffff", True), ("CapEff:\t000001fffeffffff", False), ("Name: x", False),
])
def test_the_right_to_bound_others_is_read_from_the_kernel(line, capable):
    assert bounds.parse_capable(f"Name:\tx\n{line}\n", 24) is capable


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as another user")
def test_limits_hold_for_other_users_too(shop):
    limits = Limits(cpu_seconds=9, open_files=55, file_bytes=1 << 20)
    script = "sleep 0.1; ulimit -t; ulimit -n; ulimit -f; ulimit -c; id -un"
    ended = shop.run(["/bin/sh", "-c", script], user="nobody", limits=limits)
    assert ended.stdout.split() == [b"9", b"55", b"2048", b"0", b"nobody"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as another user")
@pytest.mark.parametrize("command, why", [
    (["/no/such"], "not_found"), (["no-such"], "not_found"), (["/etc/passwd"], "not_executable"), (["/tmp"], "not_executable"),
])
def test_a_program_that_a_shell_could_not_start_is_refused_beforehand(shop, command, why):
    with pytest.raises(Refusal) as caught:
        shop.start(command, user="nobody")
    assert caught.value.detail["why"] == why


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as another user")
def test_a_run_of_another_user_is_ended_whole(shop):
    run = shop.start(["/bin/sh", "-c", "(setsid sh -c 'echo stray $$; exec sleep 300' &); sleep 300"], user="nobody", listen=True)
    shop.until(lambda: b"stray" in run.text)
    stray = int(run.text.split()[1])
    assert marks.of(stray) == run.child.mark and run.child.usage().processes >= 2
    run.child.stop()
    shop.ended(run)
    shop.until(lambda: not state(stray), 5)
