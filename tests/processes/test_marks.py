"""A mark names the run of a process, whatever that process does about its parents, session or user."""

import os
import resource
import subprocess

import pytest

from ocp_node.processes import marks
from ocp_node.processes.marks import Marks
from tests.support.loop import TestLoop
from tests.support.processes import PYTHON, Workshop


@pytest.fixture
def given():
    loop = TestLoop()
    made = Marks(12345, lambda: loop)
    if not made.usable:
        pytest.skip("this process may not set its own limits")
    yield made
    loop.close()


def forked(given):
    with given.lock:
        mark = given.put_on()
        made = subprocess.Popen(["sleep", "300"], start_new_session=True)
        given.take_off()
    return mark, made


def test_a_child_is_born_with_its_mark_and_the_node_keeps_none(given):
    before = resource.prlimit(0, resource.RLIMIT_RTTIME)
    mark, child = forked(given)
    other, second = forked(given)
    try:
        assert mark != other and (marks.of(child.pid), marks.of(second.pid)) == (mark, other)
        assert resource.prlimit(0, resource.RLIMIT_RTTIME) == before
        assert given.bearers(mark) == [child.pid] and given.bearers(other) == [second.pid] and given.bearers(0) == []
        assert given.gave(mark) and not Marks(54321, given._loop).gave(mark)
        assert marks.newer(child.pid - 1, mark, ()) == [child.pid] and marks.newer(child.pid, mark, ()) == []
    finally:
        for one in (child, second):
            one.kill()
            one.wait()


def test_who_took_its_mark_off_is_found_by_its_parent(given):
    escape = ("import os, resource, time\nif os.fork(): time.sleep(300)\nos.setsid()\n"
              "resource.setrlimit(resource.RLIMIT_RTTIME, (-1, -1))\nprint(os.getpid(), flush=True)\ntime.sleep(300)")
    with given.lock:
        mark = given.put_on()
        child = subprocess.Popen([PYTHON, "-c", escape], start_new_session=True, stdout=subprocess.PIPE, text=True)
        given.take_off()
    stray = int(child.stdout.readline())
    try:
        assert marks.of(stray) == 0 and stray not in marks.newer(child.pid, mark, ())
        assert marks.newer(child.pid, mark, {child.pid}) == [stray] == marks.newer(child.pid, 0, {child.pid})
    finally:
        for pid in (stray, child.pid):
            os.kill(pid, 9)
        child.communicate()


def test_this_process_is_never_among_the_bearers(given):
    with given.lock:
        mark = given.put_on()
        try:
            assert marks.of(os.getpid()) == mark and os.getpid() not in marks.every_other()
            assert given.bearers(mark) == []
        finally:
            given.take_off()


def test_a_wrong_mark_is_put_right(given):
    mark, child = forked(given)
    try:
        given.repeat(child.pid, mark + 1)
        assert marks.of(child.pid) == mark + 1
    finally:
        child.kill()
        child.wait()


def test_a_process_without_a_mark_has_none():
    assert marks.of(1) == 0 and marks.of(2**22 + 3) == 0


def test_a_mark_holds_over_sessions_parents_programs_and_users():
    shop = Workshop()
    try:
        switch = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv('/bin/sleep', ['sleep', '300'])"
        code = switch if os.geteuid() == 0 else "import os; os.execv('/bin/sleep', ['sleep', '300'])"
        script = f"(setsid '{PYTHON}' -c \"$CODE\" &); sleep 300"
        run = shop.start(["/bin/sh", "-c", script], environment={"CODE": code})
        shop.until(lambda: [one.command for one in run.child.processes()].count("sleep 300") == 2)
        assert len({os.getsid(one.pid) for one in run.child.processes()}) == 2
    finally:
        shop.close()


@pytest.mark.parametrize("number", [0, 1, 2**28 - 1, 2**32 - 1])
def test_marks_stay_in_what_the_kernel_keeps(number):
    loop = TestLoop()
    made = Marks(number, lambda: loop)
    assert marks.BASE <= made._first and made._first + (1 << marks.SERIAL_BITS) <= (1 << 63) - 1
    loop.close()


@pytest.mark.parametrize("text, limit", [
    (b"Max cpu time  unlimited  unlimited  s\nMax realtime timeout   4611686018427387909  unlimited  us\n", (2**62 + 5, -1)),
    (b"Max realtime timeout      unlimited            unlimited            us\n", (-1, -1)),
    (b"Max realtime priority 0 0\n", None), (b"", None),
])
def test_the_mark_of_another_users_process_is_read_from_its_limits(text, limit):
    assert marks.parse_limit(text) == limit
