"""The engine on the node's own loop (`http/loop.py`), in a thread as the node runs it."""

import contextlib
import threading

from ocp_node.base.clock import Clock
from ocp_node.http.loop import EdgeLoop
from ocp_node.processes.engine import Engine
from ocp_node.processes.records import Output, Start
from tests.support.processes import PYTHON, Said, alive, descriptors

SECONDS = 20.0


class Served:
    """An engine whose loop turns in a thread of its own until `end`."""

    def __init__(self):
        self.log = Said()
        self.loop = EdgeLoop(Clock(), self.log)
        self.engine = Engine(self.loop, Clock(), self.log, environment={}, cgroup_root="")
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()
        self.exits = []
        self.more = threading.Condition()

    def start(self, command, **named):
        return self.engine.start(Start(command=command, **named), self.told)

    def told(self, how):
        with self.more:
            self.exits.append(how)
            self.more.notify_all()

    def wait(self, count):
        with self.more:
            assert self.more.wait_for(lambda: len(self.exits) >= count, SECONDS)

    def end(self):
        self.loop.stop()
        self.thread.join(SECONDS)


@contextlib.contextmanager
def served():
    one = Served()
    try:
        yield one
    finally:
        one.end()
        for child in one.engine.children():
            child._tree.kill()
        one.engine.stop_all(5, loop_ended=True)
        one.engine.close()
        one.loop.close()


def test_children_started_by_many_threads_are_all_told_of():
    with served() as node:
        node.start(["true"])
        node.wait(1)
        before = len(descriptors())
        starters = [threading.Thread(target=lambda n=n: [node.start(["/bin/sh", "-c", f"echo {n}; exit {n}"]) for _ in range(20)])
                    for n in range(5)]
        for one in starters:
            one.start()
        for one in starters:
            one.join()
        node.wait(101)
        assert [one.reason for one in node.exits] == ["exited"] * 101
        assert sorted(one.code for one in node.exits[1:]) == sorted(list(range(5)) * 20)
        assert all(one.stdout == b"%d\n" % one.code for one in node.exits[1:])
        assert len(descriptors()) == before and node.log.lines == []


def test_a_flood_and_a_time_limit_on_the_nodes_loop():
    with served() as node:
        node.start([PYTHON, "-c", "import os\nfor _ in range(40): os.write(1, bytes(1 << 20))"], output=Output(bytes_max=4096))
        node.start(["/bin/sh", "-c", "sleep 300 & sleep 300"], wall_seconds=0.1, stop_grace_seconds=5)
        node.wait(2)
        by_reason = {one.reason: one for one in node.exits}
        assert by_reason["exited"].stdout_bytes == 40 << 20 and by_reason["timed_out"].wall_seconds < 4
        assert node.log.lines == []


def test_children_are_stopped_by_the_loop_or_after_it():
    for loop_ended in (False, True):
        with served() as node:
            children = [node.start(["/bin/sh", "-c", "sleep 300 & sleep 300"]) for _ in range(20)]
            if loop_ended:
                node.end()
            assert node.engine.stop_all(10, loop_ended=loop_ended) == []
            assert len(node.exits) == 20 and {one.reason for one in node.exits} == {"stopped"}
            assert not any(alive(child.pid) for child in children) and node.log.lines == []


def test_looking_for_strays_never_takes_the_exit_of_a_child_that_is_just_being_started():
    with served() as node:
        node.engine.prepare()
        looking = threading.Event()

        def look():
            node.engine._sweeper._begin()
            if not looking.is_set():
                node.loop.call_soon(look)

        node.loop.call_soon(look)
        starters = [threading.Thread(target=lambda: [node.start(["true"]) for _ in range(60)]) for _ in range(4)]
        for one in starters:
            one.start()
        for one in starters:
            one.join()
        node.wait(240)
        looking.set()
        assert {one.reason for one in node.exits} == {"exited"}
