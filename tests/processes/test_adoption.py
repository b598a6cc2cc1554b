"""Children of a node that died are found again: the very same ones, and never twice."""

import ctypes
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.base.records import decode, encode
from ocp_node.processes import orphans
from ocp_node.processes.outputfile import OutputFile
from ocp_node.processes.records import ChildRecord, Output
from tests.support.processes import PYTHON, Workshop, alive, pids_in, state

ROOT = str(Path(__file__).resolve().parents[2])
NODE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ocp_node.base.records import decode, encode
from ocp_node.processes.records import Output, Start
from tests.support.processes import Workshop
shop = Workshop()
given = json.loads(sys.argv[2])
output = decode(Output, given.pop("output", {}))
heard = []
child = shop.engine.start(Start(output=output, **given), print, lambda stream, data: heard.append(data))
shop.loop.run_until(lambda: b"up" in b"".join(heard), 20)
print(json.dumps(encode(child.record())), flush=True)
shop.loop.run_until(lambda: False, 300)
"""
TICKER = "echo up; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; [ -e fast ] || sleep 0.01; done; echo end"


def take_orphans(yes):
    """Orphans come to this process, or to its own parents as for a node that starts again."""
    assert ctypes.CDLL(None).prctl(orphans.PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0) == 0


class DeadNode:
    """A node of its own that started one child, and was then killed without a chance to do anything about it."""

    def __init__(self, **given):
        take_orphans(False)
        self.process = subprocess.Popen([PYTHON, "-c", NODE, ROOT, json.dumps(given)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.record = decode(ChildRecord, json.loads(line))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def dead_node(tmp_path):
    """Makes dead nodes whose children are gone after the test."""
    made = []

    def make(command, output=True, kill=True, **given):
        if output:
            given["output"] = {"kind": "file", "path": str(tmp_path / "out"), "bytes_max": 1024, "files_kept": 1000}
        made.append(DeadNode(command=command, cwd=str(tmp_path), **given))
        if kill:
            made[-1].kill()
        return made[-1].record

    make.last = lambda: made[-1]
    yield make
    take_orphans(False)
    for one in made:
        for pid in orphans.remains(one.record):
            os.kill(pid, signal.SIGKILL)


def test_a_child_outlives_its_node_and_loses_no_output(shop, dead_node, tmp_path):
    record = dead_node(["/bin/sh", "-c", TICKER], label="ticker")
    assert orphans.still_running(record) and record.label == "ticker"
    run = shop.adopt(record)
    (tmp_path / "fast").write_text("")
    file = run.child.output
    ended = shop.ended(run)
    assert (ended.code, ended.signal, ended.reason, ended.label, ended.pid) == (None, None, "lost", "ticker", record.pid)
    expected = b"up\n" + b"".join(b"%d\n" % n for n in range(1, 401)) + b"end\n"
    assert file.read(0, 99_999) == (expected, len(expected)), "what the dead node wrote, what waited in the pipe, and the rest"
    assert run.text and expected.endswith(run.text) and len(file.segments) > 1
    assert not (tmp_path / "out.pipe").exists() and shop.engine.totals().finished == 1


def test_an_orphan_that_was_handed_to_us_tells_its_exit_code(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "echo up; sleep 0.3; exit 7"], kill=False)
    take_orphans(True)
    dead_node.last().kill()
    run = shop.adopt(record)
    ended = shop.ended(run)
    assert (ended.code, ended.reason) == (7, "exited") and not state(record.pid)


def test_a_child_that_fills_its_pipe_waits_for_the_next_node(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "echo up; sleep 0.2; seq 1 40000; echo end"])
    shop.until(lambda: state(record.pid) in "SD")
    run = shop.adopt(record)
    file = run.child.output
    shop.ended(run)
    text = file.read(0, 999_999)[0]
    assert text == b"up\n" + b"".join(b"%d\n" % n for n in range(1, 40_001)) + b"end\n"


@pytest.mark.parametrize("use_pidfd", [True, False])
def test_an_adopted_run_is_stopped_whole(workshop, dead_node, use_pidfd):
    shop = workshop(use_pidfd=use_pidfd)
    script = "sleep 300 & (setsid sleep 300 &); trap '' TERM; echo up; while :; do sleep 300; done"
    record = dead_node(["/bin/sh", "-c", script], stop_grace_seconds=0.3)
    run = shop.adopt(record)
    shop.until(lambda: len(run.child.processes()) == 4)
    pids = pids_in(run.child)
    assert record.pid in pids and run.child.usage().processes == 4 and run.child.grace_seconds == 0.3
    run.child.stop()
    ended = shop.ended(run)
    assert ended.reason == "stopped" and ended.wall_seconds > 0.3
    shop.until(lambda: not any(alive(pid) for pid in pids), 5)


def test_a_record_adopted_twice_is_one_child(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "echo up; sleep 300"])
    first, second = shop.adopt(record), shop.adopt(record)
    assert first.child is second.child and len(shop.engine.children()) == 1
    first.child.kill()
    shop.ended(first)
    assert second.exits == [] and shop.adopt(record) is None


def test_a_child_that_has_ended_meanwhile_is_not_adopted_and_its_output_is_there(shop, dead_node, tmp_path):
    record = dead_node(["/bin/sh", "-c", "echo up; sleep 0.1"])
    shop.until(lambda: not alive(record.pid))
    assert not orphans.still_running(record) and shop.adopt(record) is None
    assert OutputFile.at(str(tmp_path / "out")).read(0, 99) == (b"up\n", 3)
    assert shop.engine.end_remains(record) == 0


@pytest.mark.parametrize("changed", [{"start_ticks": 1}, {"boot_id": "00000000-0000-0000-0000-000000000000"}, {"boot_id": ""},
                                     {"start_ticks": 0}])
def test_a_stranger_with_the_same_number_is_neither_adopted_nor_ended(shop, changed):
    stranger = subprocess.Popen(["sleep", "300"], start_new_session=True)
    try:
        sound = {"pid": stranger.pid, "start_ticks": orphans.start_ticks(stranger.pid), "boot_id": orphans.boot_id(),
                 "started_at": 1.0}
        assert orphans.still_running(ChildRecord(**sound))
        record = ChildRecord(**sound | changed)
        assert not orphans.still_running(record) and shop.adopt(record) is None
        assert shop.engine.end_remains(record) == 0 and stranger.poll() is None
        assert not shop.engine.children()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_child_that_waits_to_be_reaped_does_not_run(shop):
    dead = subprocess.Popen(["true"])
    shop.until(lambda: state(dead.pid) == "Z")
    record = ChildRecord(pid=dead.pid, start_ticks=orphans.start_ticks(dead.pid), boot_id=orphans.boot_id(), started_at=1.0)
    assert not orphans.still_running(record)
    dead.wait()


def test_what_a_dead_run_left_behind_can_be_ended(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "sleep 300 & (setsid sleep 300 >/dev/null 2>&1 &); echo up; sleep 0.5"])
    shop.until(lambda: not alive(record.pid))
    assert shop.adopt(record) is None
    left = orphans.remains(record)
    assert len(left) == 2 and shop.engine.end_remains(record) == 2
    shop.until(lambda: not any(alive(pid) for pid in left), 5)
    assert orphans.remains(record) == []


def test_a_run_whose_record_was_never_stored_is_found_by_its_output(shop, dead_node, tmp_path):
    record = dead_node(["/bin/sh", "-c", "echo up; sleep 300"])
    output = Output(kind="file", path=str(tmp_path / "out"))
    with pytest.raises(Refusal) as caught:
        shop.start(["true"], output=output)
    assert caught.value.detail["why"] == "still_running" and alive(record.pid)
    found = shop.engine.find(output, "again")
    assert (found.pid, found.start_ticks, found.boot_id, found.mark, found.label) == (
        record.pid, record.start_ticks, record.boot_id, record.mark, "again")
    assert abs(found.started_at - record.started_at) < 1
    run = shop.adopt(found)
    run.child.kill()
    shop.ended(run)
    assert shop.engine.find(output) is None
    assert shop.run(["echo", "new"], output=output).code == 0
    assert OutputFile.at(output.path).read(0, 99)[0] == b"new\n"


FORESEEING = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ocp_node.base.records import encode
from tests.support.processes import Workshop
shop = Workshop()
print(json.dumps(encode(shop.engine.foresee("soon"))), flush=True)
mark = json.loads(sys.stdin.readline())
run = shop.start(["/bin/sh", "-c", "(setsid sleep 300 &); sleep 300"], mark=mark)
shop.loop.run_until(lambda: len(run.child.processes()) >= 2, 20)
print("started", flush=True)
shop.loop.run_until(lambda: False, 300)
"""


def test_a_record_stored_before_the_start_ends_what_is_left_whenever_the_node_died(shop):
    node = subprocess.Popen([PYTHON, "-c", FORESEEING, ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with node:
        record = decode(ChildRecord, json.loads(node.stdout.readline()))
        assert orphans.remains(record) == [] and not orphans.still_running(record)
        node.stdin.write(f"{record.mark}\n")
        node.stdin.flush()
        assert node.stdout.readline() == "started\n"
        node.kill()
    left = orphans.remains(record)
    assert len(left) >= 2 and shop.adopt(record) is None
    assert shop.engine.end_remains(record) == len(left)
    shop.until(lambda: not any(alive(pid) for pid in left), 5)


def test_the_time_limit_goes_on_over_the_death_of_a_node(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "echo up; exec sleep 300"], wall_seconds=2.0)
    run = shop.adopt(record)
    ended = shop.ended(run)
    assert ended.reason == "timed_out" and 1.5 < ended.wall_seconds < 6


def test_a_child_without_a_file_is_adopted_without_its_output(shop, dead_node):
    record = dead_node(["/bin/sh", "-c", "echo up; exec sleep 300"], output=False)
    run = shop.adopt(record)
    assert run.child.output is None
    run.child.stop()
    ended = shop.ended(run)
    assert (ended.reason, ended.stdout) == ("stopped", b"")


def test_a_record_survives_being_stored(shop, tmp_path):
    output = Output(kind="file", path=str(tmp_path / "out"), files_kept=3)
    run = shop.start(["sleep", "300"], output=output, wall_seconds=1000.0, label="x")
    record = run.child.record()
    again = decode(ChildRecord, json.loads(json.dumps(encode(record))))
    assert again == record and orphans.still_running(again)
    assert abs(record.ends_at - record.started_at - 1000) < 1 and record.start_ticks == run.child.start_ticks > 0


def test_a_child_may_end_at_the_very_moment_it_is_adopted():
    for _ in range(10):
        first = Workshop()
        run = first.start(["/bin/sh", "-c", "exec sleep 0.05"])
        record = run.child.record()
        second = Workshop()
        again = second.adopt(record)
        if again is not None:
            second.until(lambda again=again: again.exits, 5)
        first.ended(run)                                   # in this test both are one process: either may learn the code
        reasons = [one.reason for one in [*run.exits, *(again.exits if again else [])]]
        assert reasons.count("exited") == 1 and len(reasons) == 1 + reasons.count("lost")
        second.close()
        first.close()


def test_what_was_foreseen_is_found_though_its_start_was_never_recorded(shop):
    record = shop.engine.foresee("a run")
    if record is None:
        pytest.skip("this system keeps no marks")
    assert orphans.remains(record) == [] and not orphans.still_running(record) and record.label == "a run"
    run = shop.start(["/bin/sh", "-c", "setsid sleep 300 & echo up; sleep 300; :"], listen=True, mark=record.mark)
    shop.until(lambda: b"up" in run.text and len(pids_in(run.child)) == 3)
    assert run.child.record().mark == record.mark
    stored = decode(ChildRecord, json.loads(json.dumps(encode(record))))
    assert len(orphans.remains(stored)) == 3 and run.child.pid in orphans.remains(stored)
    assert shop.engine.end_remains(stored) == 3
    shop.ended(run)
    shop.until(lambda: orphans.remains(stored) == [], 5)


def test_two_foreseen_runs_are_never_taken_for_each_other(shop):
    one, other = shop.engine.foresee(), shop.engine.foresee()
    if one is None or other is None:
        pytest.skip("this system keeps no marks")
    run = shop.start(["sleep", "300"], mark=one.mark)
    assert one.mark != other.mark and orphans.remains(one) == [run.child.pid] and orphans.remains(other) == []
