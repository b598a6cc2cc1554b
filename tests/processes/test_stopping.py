"""A run is stopped whole: its group, who left the group, and who ignores the first asking."""

import contextlib
import os
import signal
import threading

import pytest

from ocp_node.base.clock import SetClock
from ocp_node.base.errors import Refusal
from ocp_node.processes import marks
from ocp_node.processes.records import Output, Start
from tests.support.loop import LoopTimer, TestLoop
from tests.support.processes import PYTHON, Workshop, alive, pids_in, state

FAMILY = ["/bin/sh", "-c", "sleep 300 & (sleep 300 & sleep 300) & echo up; wait"]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
STRAY = "setsid sh -c 'echo stray $$; exec sleep 300' & echo up; wait"          # left the session and the group
ORPHAN = "(setsid sh -c 'echo stray $$; exec sleep 300' &) ; sleep 300"         # and lost its parents besides


def up(shop, command, word=b"up", **named):
    """The run, once it has said that it is there."""
    run = shop.start(command, listen=True, **named)
    shop.until(lambda: word in run.text)
    return run


def number_in(run, word=b"stray "):
    return int(run.text.partition(word)[2].split()[0])


def test_the_whole_group_is_ended_in_the_first_asking(shop):
    run = up(shop, FAMILY)
    shop.until(lambda: len(run.child.processes()) >= 4)
    pids = pids_in(run.child)
    run.child.stop()
    ended = shop.ended(run)
    assert (ended.reason, ended.signal, ended.wall_seconds < 4) == ("stopped", signal.SIGTERM, True)
    assert not any(alive(pid) for pid in pids)


def test_who_ignores_the_first_asking_is_ended_after_the_grace(shop):
    run = up(shop, [PYTHON, "-c", DEAF], stop_grace_seconds=0.3)
    run.child.stop()
    ended = shop.ended(run)
    assert (ended.reason, ended.signal, ended.code) == ("stopped", signal.SIGKILL, None) and ended.wall_seconds >= 0.3


def test_a_deaf_grandchild_is_ended_after_the_grace_though_the_child_obeys(shop):
    run = up(shop, ["/bin/sh", "-c", f'"{PYTHON}" -c "$DEAF" & wait'], environment={"DEAF": DEAF}, stop_grace_seconds=0.3)
    pids = pids_in(run.child)
    run.child.stop()
    ended = shop.ended(run)
    assert (ended.reason, ended.signal) == ("stopped", signal.SIGTERM) and ended.wall_seconds >= 0.3
    shop.until(lambda: not any(alive(pid) for pid in pids), 2)


def test_the_rest_of_a_stopped_run_may_use_the_grace_to_finish(shop, tmp_path):
    script = ("import os, signal, time\n"
              "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), open('saved', 'w'), os._exit(0)))\n"
              "print('up', flush=True)\ntime.sleep(300)")
    run = up(shop, ["/bin/sh", "-c", f'"{PYTHON}" -c "$CODE" & wait'], environment={"CODE": script}, cwd=str(tmp_path))
    run.child.stop()
    ended = shop.ended(run)
    assert os.listdir(tmp_path) == ["saved"] and 0.25 < ended.wall_seconds < 4


def test_the_end_of_the_rest_is_told_by_the_kernel_not_by_a_clock(workshop):
    """The node's tests let their clock stand still; a run that obeys must end all the same."""
    shop = workshop(clock=SetClock())
    shop.loop.call_later = lambda seconds, act: LoopTimer(0.0, act)      # no timer is ever due
    for script in ("sleep 300 & sleep 300 & wait", "(setsid sleep 300 &) ; sleep 300", "sleep 300 & (sleep 300; true) & wait"):
        run = shop.start(["/bin/sh", "-c", script])
        shop.until(lambda run=run: len(run.child.processes()) >= 2 and run.child.processes()[-1].command == "sleep 300")
        run.child.stop()
        assert shop.ended(run).reason == "stopped"


def test_a_child_that_ends_well_when_asked_keeps_its_code(shop):
    run = up(shop, ["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"])
    run.child.stop()
    ended = shop.ended(run)
    assert (ended.reason, ended.code, ended.signal, ended.stdout) == ("stopped", 3, None, b"up\nbye\n")


def test_a_stopped_process_can_still_be_asked_to_end(shop):
    run = up(shop, ["/bin/sh", "-c", "echo up; exec sleep 300"])
    run.child.signal(signal.SIGSTOP)
    shop.until(lambda: state(run.child.pid) == "T")
    run.child.stop()
    assert shop.ended(run, 4).signal == signal.SIGTERM


def test_the_wall_limit_stops_the_run_and_says_so(shop):
    run = shop.start(FAMILY, wall_seconds=0.2)
    ended = shop.ended(run)
    assert (ended.reason, ended.stdout) == ("timed_out", b"up\n") and 0.2 <= ended.wall_seconds < 4


def test_a_run_that_ends_in_time_leaves_no_timer_that_matters(shop):
    assert shop.run(["true"], wall_seconds=100_000.0).reason == "exited"


def test_killing_does_not_wait_for_a_grace(shop):
    run = up(shop, [PYTHON, "-c", DEAF], stop_grace_seconds=60)
    run.child.stop()
    shop.until(lambda: run.child.stopping)
    assert run.child.running
    run.child.kill()
    ended = shop.ended(run, 4)
    assert (ended.reason, ended.signal) == ("stopped", signal.SIGKILL)


def test_a_second_asking_may_shorten_the_grace_but_not_lengthen_it(shop):
    run = up(shop, [PYTHON, "-c", DEAF], stop_grace_seconds=60)
    run.child.stop()
    run.child.stop(0.1)
    run.child.stop(50)
    assert shop.ended(run, 4).signal == signal.SIGKILL


def test_what_a_run_leaves_behind_ends_with_it(shop):
    run = shop.start(["/bin/sh", "-c", "sleep 300 & echo $!; exit 4"])
    ended = shop.ended(run)
    assert (ended.code, ended.reason, ended.output_open) == (4, "exited", False) and ended.wall_seconds < 1
    shop.until(lambda: not alive(int(ended.stdout)), 2)


def test_what_a_run_leaves_behind_may_be_spared(shop):
    run = shop.start(["/bin/sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"], leave_rest=True)
    left = int(shop.ended(run).stdout)
    shop.until(lambda: shop.engine._sweeper._timer is None or not shop.engine._sweeper._soon)
    shop.engine._sweeper.soon()
    shop.until(lambda: not shop.engine._sweeper._soon and shop.engine._sweeper._looking is None)
    assert alive(left)
    os.kill(left, signal.SIGKILL)


def test_what_was_spared_goes_on_writing_to_its_file(shop, tmp_path):
    path = str(tmp_path / "out")
    run = shop.start(["/bin/sh", "-c", "(while [ ! -e go ]; do sleep 0.02; done; echo late) & echo early"], leave_rest=True,
                     cwd=str(tmp_path), output=Output(kind="file", path=path))
    file = run.child.output
    ended = shop.ended(run)
    assert ended.output_open and file.read(0, 99)[0] == b"early\n"
    (tmp_path / "go").write_text("")
    shop.until(lambda: file.read(0, 99)[0] == b"early\nlate\n")
    shop.until(lambda: not os.path.exists(path + ".pipe"))
    assert shop.engine._lingering == set()


@pytest.mark.parametrize("script", [STRAY, ORPHAN])
@pytest.mark.parametrize("way", ["stop", "kill", "time"])
def test_who_left_the_group_is_ended_with_the_run(shop, script, way):
    run = up(shop, ["/bin/sh", "-c", script], b"stray ", wall_seconds=0.3 if way == "time" else None)
    stray = number_in(run)
    assert os.getpgid(stray) != run.child.pid and marks.of(stray) == marks.of(run.child.pid) != 0
    if way != "time":
        getattr(run.child, way)()
    ended = shop.ended(run)
    assert ended.reason == ("timed_out" if way == "time" else "stopped")
    shop.until(lambda: not state(stray), 5)                    # ended, and reaped, whoever its parent was


def test_a_deaf_stray_is_ended_after_the_grace(shop):
    script = f"(setsid '{PYTHON}' -c \"$DEAF\" &); sleep 300"
    run = up(shop, ["/bin/sh", "-c", script], environment={"DEAF": DEAF}, stop_grace_seconds=0.3)
    shop.until(lambda: len(run.child.processes()) == 3 or len(run.child.processes()) == 2)
    pids = pids_in(run.child)
    run.child.stop()
    assert shop.ended(run).wall_seconds >= 0.3
    shop.until(lambda: not any(state(pid) for pid in pids), 5)


@pytest.mark.parametrize("held", ["", ">/dev/null 2>&1"])
def test_a_daemon_does_not_outlive_its_run_or_hold_it_up(shop, held, tmp_path):
    script = f"(setsid sh -c 'echo $$ > pid; exec sleep 300' {held} &); while [ ! -s pid ]; do sleep 0.02; done"
    ended = shop.run(["/bin/sh", "-c", script], cwd=str(tmp_path))
    stray = int((tmp_path / "pid").read_text())
    assert (ended.code, ended.reason, ended.output_open) == (0, "exited", False) and ended.wall_seconds < 3
    shop.until(lambda: not state(stray), 5)


def test_orphans_of_a_running_child_are_reaped_and_not_ended(shop):
    script = "(setsid sh -c 'sleep 300' &); for i in 1 2 3; do (sh -c 'sleep 0.05' &); done; echo up; sleep 300"
    run = up(shop, ["/bin/sh", "-c", script])
    shop.until(lambda: [one.zombie for one in run.child.processes()].count(True) == 3, 5)
    shop.engine._sweeper.soon()
    shop.until(lambda: not any(one.zombie for one in run.child.processes()), 5)
    assert "sleep 300" in [one.command for one in run.child.processes() if one.pid != run.child.pid]


def test_children_of_others_in_this_process_are_left_alone(shop):
    import subprocess
    other = subprocess.Popen(["/bin/sh", "-c", "exit 5"])
    sleeper = subprocess.Popen(["sleep", "300"])
    shop.run(["/bin/sh", "-c", "sleep 300 &"])
    for _ in range(5):
        shop.engine._sweeper.soon()
        shop.until(lambda: not shop.engine._sweeper._soon and shop.engine._sweeper._looking is None)
    assert sleeper.poll() is None and other.wait(5) == 5
    sleeper.kill()
    sleeper.wait()


def test_two_engines_in_one_process_do_not_end_each_others_runs(workshop):
    one, two = workshop(), workshop()
    mine, theirs = up(one, FAMILY), up(two, ["/bin/sh", "-c", ORPHAN], b"stray ")
    assert one.engine._marks.gave(mine.child.mark) and not one.engine._marks.gave(theirs.child.mark)
    mine.child.stop()
    one.ended(mine)
    one.engine._sweeper.soon()
    one.until(lambda: not one.engine._sweeper._ended)
    assert alive(number_in(theirs)) and theirs.child.running


def test_asking_after_the_end_does_nothing(shop):
    run = shop.start(["true"])
    shop.ended(run)
    run.child.stop()
    run.child.kill()
    run.child.signal(signal.SIGTERM)
    shop.until(lambda: not shop.loop._soon)
    assert len(run.exits) == 1 and not run.child.running and not run.child.stopping


def test_a_signal_reaches_the_group_and_decides_nothing(shop):
    run = up(shop, ["/bin/sh", "-c", "trap 'echo got' USR1; echo up; while :; do sleep 0.02; done"])
    run.child.signal(signal.SIGUSR1)
    shop.until(lambda: b"got" in run.text)
    assert run.child.running and not run.child.stopping


# --- all of them

def fleet(shop, exits, count=20):
    start = shop.engine.start
    children = [start(Start(command=["sleep", "300"], label=f"plain {n}"), exits.append) for n in range(count)]
    deaf = Start(command=["/bin/sh", "-c", "trap '' TERM; sleep 300"], label="deaf", stop_grace_seconds=0.2)
    return [*children, start(deaf, exits.append)]


def test_all_are_stopped_while_the_loop_turns(shop):
    exits = []
    children = fleet(shop, exits)
    with shop.loop.running():
        assert shop.engine.stop_all(20) == []
    assert len(exits) == 21 and {one.reason for one in exits} == {"stopped"} and shop.loop.faults == []
    assert not any(state(child.pid) for child in children)
    with pytest.raises(Refusal) as caught:
        shop.start(["true"])
    assert caught.value.detail["why"] == "stopping"


def test_all_are_stopped_after_the_loop_has_ended(shop):
    exits = []
    fleet(shop, exits, 5)
    stray = up(shop, ["/bin/sh", "-c", ORPHAN], b"stray ")
    pid = number_in(stray)
    assert shop.engine.stop_all(60, loop_ended=True) == []
    assert len(exits) == 6 and {one.reason for one in exits} == {"stopped"} and stray.exits
    assert not alive(pid)


@pytest.mark.parametrize("loop_ended", [False, True])
def test_who_is_deaf_for_longer_than_there_is_time_is_ended_in_time(shop, loop_ended):
    exits = []
    child = shop.engine.start(Start(command=["/bin/sh", "-c", "trap '' TERM; sleep 300"], stop_grace_seconds=100), exits.append)
    with contextlib.nullcontext() if loop_ended else shop.loop.running():
        assert shop.engine.stop_all(1.0, loop_ended=loop_ended) == []
    assert exits[0].reason == "stopped" and not state(child.pid)


def test_some_may_be_left_and_live_on_without_the_node(tmp_path):
    shop = Workshop()
    path = str(tmp_path / "out")
    script = "while [ ! -e go ]; do sleep 0.02; done; seq 1 5000; sleep 300"
    kept = shop.start(["/bin/sh", "-c", script], label="kept", cwd=str(tmp_path), output=Output(kind="file", path=path))
    gone = shop.start(["sleep", "300"], label="gone")
    with shop.loop.running():
        assert shop.engine.stop_all(10, leave=["kept"]) == []
    record, pid = kept.child.record(), kept.child.pid
    shop.close = lambda: None
    shop.engine.close()
    assert gone.exits and not kept.exits and alive(pid)
    (tmp_path / "go").write_text("")                           # it writes while nobody reads: into the pipe
    later = Workshop()
    again = later.adopt(record)
    later.until(lambda: b"\n5000\n" in again.text)
    again.child.kill()
    assert later.ended(again).reason == "stopped" and not alive(pid)
    later.close()
    shop.loop.close()


def test_a_stray_does_not_outlive_an_engine_that_is_closed_right_after_its_run():
    shop = Workshop()
    run = up(shop, ["/bin/sh", "-c", ORPHAN], b"stray ")
    stray = number_in(run)
    run.child.kill()
    shop.ended(run)
    shop.close()
    assert wait_until(lambda: not alive(stray))


def wait_until(predicate):
    loop = TestLoop()
    try:
        return loop.run_until(predicate, 5)
    finally:
        loop.close()


def test_nothing_is_left_of_an_engine_that_was_closed():
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    shop = Workshop()
    run = shop.start(["sleep", "300"])
    shop.close()
    assert not alive(run.child.pid) and (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)
