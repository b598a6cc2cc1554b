"""Children are started, heard and told of."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ocp_node.base.errors import Busy, Refusal
from ocp_node.processes import rules
from ocp_node.processes.records import NOWHERE, Output
from tests.support.processes import PYTHON, alive, descriptors, state

ROOT = str(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_an_exit_code_comes_back(shop, code):
    ended = shop.run(["/bin/sh", "-c", f"exit {code}"], label="one")
    assert (ended.code, ended.signal, ended.reason, ended.number, ended.label) == (code, None, "exited", code, "one")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1])
def test_a_signal_comes_back(shop, number):
    ended = shop.run(["/bin/sh", "-c", f"kill -{int(number)} $$"])
    assert (ended.code, ended.signal, ended.reason, ended.number) == (None, number, "signalled", 128 + number)


def test_both_streams_come_back_apart_or_in_the_order_of_writing(shop):
    script = ["/bin/sh", "-c", "echo out; echo err >&2; echo again"]
    apart = shop.run(script)
    assert (apart.stdout, apart.stderr, apart.stdout_bytes, apart.stderr_bytes) == (b"out\nagain\n", b"err\n", 10, 4)
    merged = shop.run(script, output=Output(merged=True))
    assert (merged.stdout, merged.stderr) == (b"out\nerr\nagain\n", b"")


def test_output_is_heard_in_order_and_before_the_exit(shop):
    run = shop.start(["/bin/sh", "-c", "for i in 1 2 3; do echo $i; echo e$i >&2; done"], listen=True)
    told = []
    run.exits = told
    shop.until(lambda: told or shop.engine.totals().finished)
    assert b"".join(data for stream, data in run.heard if stream == "stdout") == b"1\n2\n3\n"
    assert b"".join(data for stream, data in run.heard if stream == "stderr") == b"e1\ne2\ne3\n"


def test_the_exit_is_told_after_all_output_was_heard(shop):
    order = []
    from ocp_node.processes.records import Start
    shop.engine.start(Start(command=["seq", "1", "20000"]), lambda how: order.append("exit"), lambda _, data: order.append(data))
    shop.until(lambda: "exit" in order)
    assert order[-1] == "exit" and b"".join(order[:-1]).endswith(b"20000\n") and order.count("exit") == 1


def test_output_that_nobody_keeps_can_still_be_heard(shop):
    run = shop.start(["echo", "hello"], listen=True, output=NOWHERE)
    ended = shop.ended(run)
    assert (run.text, ended.stdout, ended.stdout_bytes) == (b"hello\n", b"", 6)
    assert shop.run(["echo", "hello"], output=NOWHERE).stdout_bytes == 0


@pytest.mark.parametrize("length", [0, 1, 5_000, 3_000_000])
def test_standard_input_is_delivered_whole_however_long(shop, length):
    data = bytes(i % 251 for i in range(length))
    ended = shop.run(["sh", "-c", "cat; cat"], stdin=data, output=Output(bytes_max=4_000_000, keep="head"))
    assert ended.stdout == data and not ended.stdout_truncated


def test_a_child_that_never_reads_its_input_ends_all_the_same(shop):
    assert shop.run(["true"], stdin=b"x" * 1_000_000).code == 0


def test_output_over_the_bound_is_cut_and_counted(shop):
    ended = shop.run([PYTHON, "-c", "import sys; sys.stdout.write('a' * 500_000 + 'END'); sys.stderr.write('short')"],
                     output=Output(bytes_max=10_000))
    assert len(ended.stdout) <= 10_000 and ended.stdout.startswith(b"aaa") and ended.stdout.endswith(b"END")
    assert (ended.stdout_truncated, ended.stdout_bytes, ended.stderr, ended.stderr_truncated) == (True, 500_003, b"short", False)


def test_a_flood_of_output_takes_no_memory_and_leaves_the_loop_to_others(shop):
    code = "import os\nb = bytes(1 << 20)\nfor _ in range(150): os.write(1, b)"
    flood = shop.start([PYTHON, "-c", code], output=Output(bytes_max=4096))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shop.until(lambda: flood.child._captures[0].sink.came > 10_000_000)
    assert shop.run(["echo", "served"]).stdout == b"served\n"
    assert not flood.exits, "the other run came to its end while the flood went on"
    ended = shop.ended(flood, 60)
    assert ended.stdout_bytes == 150 << 20 and len(ended.stdout) <= 4096
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000


def test_a_flood_is_slowed_down(shop):
    """What runs away may not take the node's time with it: paused, read on, and whole at the end."""
    pauses = []
    later = shop.loop.call_later
    shop.loop.call_later = lambda seconds, act: (pauses.append(seconds), later(seconds, act))[1]
    ended = shop.run([PYTHON, "-c", "import os\nb = bytes(1 << 20)\nfor _ in range(100): os.write(1, b)"], output=NOWHERE)
    assert ended.stdout_bytes == 0 and pauses.count(rules.PAUSE_SECONDS) == 0, "nobody reads what goes nowhere"
    ended = shop.run([PYTHON, "-c", "import os\nb = bytes(1 << 20)\nfor _ in range(100): os.write(1, b)"])
    assert ended.stdout_bytes == 100 << 20 and 10 < pauses.count(rules.PAUSE_SECONDS) < 60


def test_output_goes_to_a_file_that_is_read_by_position(shop, tmp_path):
    path = str(tmp_path / "app.out")
    run = shop.start(["/bin/sh", "-c", "echo one; echo two >&2; read x; echo three"], listen=True, stdin=b"go\n",
                     output=Output(kind="file", path=path))
    file = run.child.output
    ended = shop.ended(run)
    assert file.read(0, 100) == (b"one\ntwo\nthree\n", 14) and file.read(4, 3) == (b"two", 7)
    assert run.text == b"one\ntwo\nthree\n" and ended.stdout_bytes == 14 and ended.stdout == b""
    assert os.listdir(tmp_path) == ["app.out"]


def test_a_file_of_output_is_rotated_while_positions_go_on(shop, tmp_path):
    path = str(tmp_path / "app.out")
    run = shop.start([PYTHON, "-c", "for i in range(5000): print(f'{i:09}')"],
                     output=Output(kind="file", path=path, bytes_max=10_000, files_kept=2))
    file = run.child.output
    ended = shop.ended(run)
    assert ended.stdout_bytes == file.end == 50_000 and ended.stdout_truncated
    assert file.read(49_990, 10) == (b"000004999\n", 50_000)
    assert file.read(0, 10) == (b"%09d\n" % (file.start // 10), file.start + 10) and file.start == 30_000


def test_a_child_leads_its_own_session_with_nothing_of_ours_open(shop):
    leak = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        code = "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0), sorted(os.listdir('/proc/self/fd')))"
        ended = shop.run([PYTHON, "-c", code])
    finally:
        os.close(leak)
    assert ended.stdout in (b"True ['0', '1', '2', '3']\n",)          # 3 is the listing itself


def test_a_child_sees_what_it_was_given_and_nothing_of_the_node(shop, monkeypatch):
    monkeypatch.setenv("OCP_OPERATOR_TOKEN", "secret")
    ended = shop.run(["/usr/bin/env"], environment={"A": "1", "LANG": "fr_FR"})
    names = dict(line.split("=", 1) for line in ended.stdout.decode().splitlines())
    assert names == {"A": "1", "LANG": "fr_FR", "PATH": os.environ["PATH"], "HOME": "/"}
    assert shop.run(["/usr/bin/env"], environment={"A": "1"}, bare=True).stdout == b"A=1\n"


def test_a_child_runs_in_its_folder_with_its_mask(shop, tmp_path):
    ended = shop.run(["/bin/sh", "-c", "pwd; umask; > made"], cwd=str(tmp_path), umask=0o027)
    assert ended.stdout == f"{tmp_path}\n0027\n".encode() and os.stat(tmp_path / "made").st_mode & 0o777 == 0o640
    assert shop.run(["pwd"]).stdout == b"/\n"


def test_programs_are_looked_for_where_the_child_would(shop, tmp_path):
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    assert shop.run(["mine"], environment={"PATH": str(tmp_path)}).stdout == b"mine\n"
    assert shop.run(["./mine"], cwd=str(tmp_path)).stdout == b"mine\n"


@pytest.fixture
def things(tmp_path):
    """Programs that cannot be started."""
    for name, text, mode in (("plain", "echo", 0o644), ("orphan", "#!/no/such/interpreter\n", 0o755), ("noise", "\0\1\2", 0o755)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize("command, named, why, text", [
    (["/no/such/program"], {}, "not_found", "command file /no/such/program does not exist"),
    (["no-such-program"], {}, "not_found", "command file no-such-program does not exist"),
    (["{things}/plain"], {}, "not_executable", "does not have execution permission"),
    (["{things}"], {}, "not_executable", "does not have execution permission"),
    (["{things}/plain/below"], {}, "not_found", "does not exist"),
    (["{things}/orphan"], {}, "unusable_format", "names an interpreter that does not exist"),
    (["{things}/noise"], {}, "unusable_format", "is not a program of this system"),
    (["true"], {"cwd": "/no/such/folder"}, "no_such_folder", "working_directory /no/such/folder does not exist"),
    (["true"], {"cwd": "{things}/plain"}, "no_such_folder", "does not exist"),
    (["true"], {"user": "no-such-user"}, "no_such_user", "user no-such-user does not exist"),
    (["true"], {"output": Output(kind="file", path="/no/such/folder/out")}, "no_output", "the output file cannot be written"),
    (["true"], {"output": Output(kind="file", path="/tmp/nul\0")}, "no_output", "the output file cannot be written"),
    (["true"], {"output": Output(kind="file", path="relative")}, "no_output", "not named by its whole path"),
    (["true"], {"output": Output(kind="file", path="/proc/1/out")}, "no_output", "the output file cannot be written"),
    (["true"], {"cwd": "/nul\0"}, "failed", "could not be started"),
    (["true"], {"user": "nul\0"}, "no_such_user", "does not exist"),
    (["true", "x" * 200_000], {}, "bad_command", "too long"),
])
def test_what_cannot_be_started_is_refused_in_our_words(shop, things, command, named, why, text):
    before = descriptors()
    named = {name: value.replace("{things}", str(things)) if isinstance(value, str) else value for name, value in named.items()}
    with pytest.raises(Refusal) as caught:
        shop.start([word.replace("{things}", str(things)) for word in command], **named)
    assert caught.value.code == "cannot_start" and caught.value.detail["why"] == why and text in caught.value.message
    assert "Errno" not in caught.value.message and "[" not in caught.value.message
    assert descriptors() == before and not shop.engine.children()
    totals = shop.engine.totals()
    assert (totals.started, totals.refused, totals.running) == (0, 1, 0)


def test_a_start_without_free_descriptors_is_refused_and_leaks_none(shop):
    shop.engine.prepare()
    assert shop.run(["true"]).code == 0
    before, limit = descriptors(), resource.getrlimit(resource.RLIMIT_NOFILE)
    last = max(int(one.split()[0]) for one in before)
    try:
        for room in range(1, 9):
            resource.setrlimit(resource.RLIMIT_NOFILE, (last + room, limit[1]))
            try:
                run = shop.start(["true"], stdin=b"x")
            except Refusal as refusal:
                assert refusal.detail["why"] == "too_many_files"
            else:
                assert shop.ended(run).code == 0
            assert {one.split()[0] for one in descriptors()} == {one.split()[0] for one in before}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


NO_FORK = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
from tests.support.processes import Workshop
from ocp_node.base.errors import Refusal
shop = Workshop()
shop.engine.prepare()
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
before = len(os.listdir("/proc/self/fd"))
try:
    shop.start(["/bin/true"])
except Refusal as refusal:
    print(refusal.detail["why"], refusal.message, len(os.listdir("/proc/self/fd")) - before)
"""


def test_a_system_that_forks_no_more_is_a_refusal():
    done = subprocess.run([PYTHON, "-c", NO_FORK, ROOT], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "too_many_processes the system's limit of processes is reached 0\n", done.stderr


def test_a_full_engine_is_busy(workshop):
    shop = workshop(children_max=2)
    runs = [shop.start(["sleep", "60"]) for _ in range(2)]
    with pytest.raises(Busy):
        shop.start(["true"])
    runs[0].child.kill()
    shop.ended(runs[0])
    assert shop.run(["true"]).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs as another user")
def test_a_child_runs_as_the_user_it_was_given_to(shop, tmp_path):
    ended = shop.run(["/bin/sh", "-c", "id -un; id -Gn; echo $HOME; echo said > /dev/stderr"], user="nobody")
    name, groups, home = ended.stdout.decode().splitlines()
    assert (name, home) == ("nobody", "/nonexistent") and "root" not in groups
    assert ended.stderr == b"said\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may start programs as another user")
def test_a_node_without_rights_refuses_to_switch_users(shop):
    with pytest.raises(Refusal) as caught:
        shop.start(["true"], user="root")
    assert caught.value.detail["why"] == "not_permitted"


def test_children_may_be_started_from_any_thread(workshop):
    shop, exits, made, lock = workshop(), [], [], threading.Lock()
    from ocp_node.processes.records import Start

    def start(n):
        for i in range(10):
            child = shop.engine.start(Start(command=["/bin/sh", "-c", f"echo {n}-{i}; exit {n}"]), exits.append)
            with lock:
                made.append(child.pid)

    with shop.loop.running():
        threads = [threading.Thread(target=start, args=(n,)) for n in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        shop.engine.stop_all(20)
    assert len(exits) == 60 and {one.pid for one in exits} == set(made) and shop.loop.faults == []
    shop.engine._stopped = False


@pytest.mark.parametrize("use_pidfd", [True, False])
def test_hundreds_of_children_cost_no_thread_and_give_everything_back(workshop, use_pidfd):
    shop = workshop(use_pidfd=use_pidfd)
    assert shop.run(["true"]).code == 0
    threads, before, watched = threading.active_count(), len(descriptors()), shop.loop.watched
    runs = [shop.start(["/bin/sh", "-c", f"echo {n}; read x; exit {n % 200}"], stdin=b"go\n") for n in range(300)]
    assert threading.active_count() == threads
    shop.until(lambda: all(run.exits for run in runs), 60)
    assert [(run.exits[0].code, run.exits[0].stdout) for run in runs] == [(n % 200, b"%d\n" % n) for n in range(300)]
    assert (len(descriptors()), shop.loop.watched, threading.active_count()) == (before, watched, threads)
    assert not any(state(run.child.pid) for run in runs), "each was reaped"
    totals = shop.engine.totals()
    assert (totals.started, totals.finished, totals.running) == (301, 301, 0)


def test_without_pidfd_exits_are_found_by_asking(workshop):
    shop = workshop(use_pidfd=False)
    ended = shop.run(["/bin/sh", "-c", "echo hi; exit 3"])
    assert (ended.code, ended.stdout) == (3, b"hi\n")
    run = shop.start(["sleep", "60"])
    run.child.kill()
    assert shop.ended(run).signal == 9
    shop.until(lambda: shop.engine._poller._timer is None)       # nobody is asked when there is nobody


def test_a_system_that_cannot_look_before_it_reaps_is_served_too(workshop, monkeypatch):
    monkeypatch.delattr(os, "waitid")
    shop = workshop(use_pidfd=False)
    ended = shop.run(["/bin/sh", "-c", "sleep 300 & echo $!; exit 3"])
    assert ended.code == 3
    shop.until(lambda: not alive(int(ended.stdout)), 5)
    run = shop.start(["sleep", "300"])
    run.child.stop()
    assert shop.ended(run).signal == signal.SIGTERM


def test_what_was_reaped_by_somebody_else_is_lost_not_stuck(shop):
    run = shop.start(["true"])
    os.waitpid(run.child.pid, 0)
    ended = shop.ended(run)
    assert (ended.code, ended.signal, ended.reason, ended.number) == (None, None, "lost", None)


def test_the_most_memory_is_never_the_nodes_own(shop):
    ballast = bytearray(120_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    small = shop.run(["true"])
    assert small.rss_bytes_max is None or small.rss_bytes_max < 50_000_000
    import resource
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024        # of this whole test run; a child is told apart above it
    size = max(300_000_000, own_peak + 200_000_000)
    large = shop.run([PYTHON, "-c", f"b = bytearray({size})"])
    assert large.rss_bytes_max > 0.95 * size
    del ballast


def test_a_listener_that_fails_does_not_end_the_run(workshop):
    shop = workshop()
    from ocp_node.processes.records import Start
    exits, told = [], threading.Event()

    def fail(stream, data):
        raise LookupError("of the listener")

    def end(how):
        exits.append(how)
        told.set()
        raise LookupError("of the caller")

    with shop.loop.running():
        shop.engine.start(Start(command=["echo", "x"]), end, fail)
        assert told.wait(10) and shop.engine.stop_all(10) == []
    assert [str(fault) for fault in shop.loop.faults] == ["of the listener", "of the caller"] and exits[0].stdout == b"x\n"


def test_the_engine_is_light_until_something_runs():
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import ocp_node.processes.engine\n"
            "print(sorted({'subprocess', 'ctypes', 'tempfile', 'ocp_node.processes.records'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-S", "-c", code, ROOT], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_alive_is_what_it_says():
    assert alive(os.getpid()) and not alive(2**22 + 5)
