"""A group for each run, where this machine lets us have one."""

import os

import pytest

from ocp_node.processes import cgroup
from ocp_node.processes.cgroup import Group, Groups
from ocp_node.processes.records import Limits
from tests.support.processes import PYTHON, Workshop, alive, state

MOUNTS = "proc /proc proc rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n" \
         "cgroup2 /sys/fs/my\\040groups cgroup2 rw,nsdelegate 0 0\n"


@pytest.mark.parametrize("text, place", [
    (MOUNTS, "/sys/fs/my groups"), ("", ""), ("x", ""), (MOUNTS.replace("cgroup2 rw", "tmpfs rw"), ""),
])
def test_the_hierarchy_is_found_where_it_is_mounted(text, place):
    assert cgroup.parse_mounts(text) == place


@pytest.mark.parametrize("text, own", [
    ("0::/user.slice/a b\n", "/user.slice/a b"), ("8:pids:/x\n0::/\n", "/"), ("8:pids:/x\n", ""), ("", ""),
])
def test_our_own_group_is_found_among_the_old_kind(text, own):
    assert cgroup.parse_own(text) == own


def test_keyed_files_are_read_as_numbers():
    assert cgroup.parse_keyed("usage_usec 12\nuser_usec 7\nodd\nx max\n") == {"usage_usec": 12, "user_usec": 7}


def test_nothing_is_ever_written_outside_a_cgroup_file_system(tmp_path):
    assert not cgroup.write(str(tmp_path / "memory.max"), "1") and os.listdir(tmp_path) == []
    assert cgroup.find(str(tmp_path)) is None and cgroup.find("") is None and cgroup.find("/no/such") is None
    assert os.listdir(tmp_path) == []


def test_a_group_without_a_limit_it_must_hold_is_not_made(tmp_path):
    groups = Groups(str(tmp_path), frozenset({"memory"}))
    assert groups.make("run", {"memory.max": "1"}) is None and os.listdir(tmp_path) == []
    assert groups.make("run", {"pids.max": "1"}) is not None, "what no controller holds is held elsewhere"
    assert groups.make("run", {}) is None, "the name is taken"


def test_a_group_that_is_gone_answers_with_nothing(tmp_path):
    group = Group(str(tmp_path / "gone"))
    assert group.pids() == [] and group.empty() and group.remove() and not group.add(1)
    assert group.cpu_seconds() is None and group.memory_peak() is None and not group.memory_limit_hit()


# --- with a real one

@pytest.fixture
def grouped():
    """A workshop whose runs have groups, in a folder of this test's own below what this machine lets us divide."""
    place = cgroup._place()
    if not place or not os.access(f"{place}/cgroup.procs", os.W_OK):
        pytest.skip("this machine gives us no cgroup v2 to divide")
    root = f"{place}/trial-{os.getpid()}"
    os.mkdir(root)
    shop = Workshop(cgroup_root=root, stop_grace_seconds=5.0)
    shop.root = root
    shop.engine.prepare()
    if shop.engine._groups is None:
        os.rmdir(root)
        pytest.skip("this machine gives us no cgroup v2 to divide")
    yield shop
    for child in shop.engine.children():
        child.kill()
    shop.until(lambda: not shop.engine.children() and not shop.engine._sweeper._groups)
    shop.close()
    os.rmdir(root)                               # also proves that nothing was left in it


def test_a_run_has_a_group_and_gives_it_back(grouped):
    run = grouped.start(["/bin/sh", "-c", "sleep 0.1; cat /proc/self/cgroup; sleep 300"], listen=True)
    grouped.until(lambda: run.text)
    folder = run.child.record().group
    assert folder.startswith(grouped.root) and f"/{os.path.basename(folder)}\n".encode() in run.text
    grouped.until(lambda: run.child.usage().processes == 2)
    run.child.kill()
    assert grouped.ended(run).cpu_seconds > 0
    grouped.until(lambda: not os.path.exists(folder), 5)


def test_a_group_ends_even_who_took_its_mark_off(grouped):
    escape = ("import os, resource, time\nif os.fork(): time.sleep(300)\nos.setsid()\n"
              "resource.setrlimit(resource.RLIMIT_RTTIME, (-1, -1))\nprint(os.getpid(), flush=True)\ntime.sleep(300)")
    for way in ("stop", "kill"):
        run = grouped.start([PYTHON, "-c", escape], listen=True)
        grouped.until(lambda run=run: run.text)
        stray = int(run.text)
        assert alive(stray) and os.getsid(stray) == stray
        getattr(run.child, way)()
        assert grouped.ended(run, 10).reason == "stopped"
        grouped.until(lambda stray=stray: not alive(stray), 5)


def test_what_is_left_in_a_group_ends_with_its_run(grouped):
    ended = grouped.run(["/bin/sh", "-c", "setsid sleep 300 >/dev/null 2>&1 & echo $!"])
    grouped.until(lambda: not alive(int(ended.stdout)), 5)


def test_a_failed_start_leaves_no_group(grouped):
    from ocp_node.base.errors import Refusal
    with pytest.raises(Refusal):
        grouped.start(["/no/such"])
    assert os.listdir(grouped.engine._groups.folder) and not [
        name for name in os.listdir(grouped.engine._groups.folder) if name.startswith("run-")]


def test_limits_are_the_groups_where_it_has_the_controllers(grouped):
    able = grouped.engine.abilities()
    if able["memory"] != "run":
        pytest.skip("this machine gives us no memory controller")
    code = "b = bytearray(600 << 20)\nb[::4096] = b'x' * len(b[::4096])\nprint('had it')"
    ended = grouped.run([PYTHON, "-c", code], limits=Limits(memory_bytes=100 << 20))
    assert (ended.signal, ended.memory_limit_hit) == (9, True)


def test_groups_of_dead_nodes_are_cleared_away(grouped):
    dead = f"{grouped.root}/ocp-{2**22 + 9}"
    os.makedirs(f"{dead}/run-1")
    assert cgroup.find(grouped.root) is not None and not os.path.exists(dead)
    assert state(os.getpid())
