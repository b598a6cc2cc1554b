"""What the engine decides."""

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.processes import rules
from ocp_node.processes.records import Limits
from ocp_node.processes.rules import Phase

PATHS = {
    "it ends by itself": (["gone", "drained"], ["end_rest", "finish"]),
    "something holds the pipe": (["gone", "drain_over"], ["end_rest", "finish"]),
    "it obeys TERM, and so does its group": (["stop", "gone", "rest_gone", "drained"],
                                             ["terminate", "watch_rest", "drain", "finish"]),
    "it obeys TERM, its group does not": (["stop", "gone", "grace_over", "drained"],
                                          ["terminate", "watch_rest", "end_rest", "finish"]),
    "it ignores TERM": (["stop", "grace_over", "gone", "drained"], ["terminate", "kill", "end_rest", "finish"]),
    "somebody loses patience": (["stop", "stop", "kill", "gone", "drained"],
                                ["terminate", "shorten", "kill", "end_rest", "finish"]),
    "it is killed at once": (["kill", "gone", "drained"], ["kill", "end_rest", "finish"]),
    "events come too late": (["gone", "gone", "stop", "kill", "grace_over", "drained", "drained", "gone", "stop"],
                             ["end_rest", "", "", "", "", "finish", "", "", ""]),
}


@pytest.mark.parametrize("events, actions", PATHS.values(), ids=PATHS)
def test_a_run_goes_through_its_phases(events, actions):
    phase, done = Phase.RUNNING, []
    for event in events:
        phase, action = rules.step(phase, event)
        done.append(action)
    assert done == actions
    assert phase is Phase.ENDED


def test_no_event_brings_a_run_back():
    order = list(Phase)
    for phase in Phase:
        for event in rules.EVENTS:
            after, action = rules.step(phase, event)
            assert order.index(after) >= order.index(phase)
            assert (after, action) == (phase, "") or (phase, event) in rules.STEPS


def test_every_phase_but_the_last_can_be_left():
    left = {phase for (phase, _), (after, _) in rules.STEPS.items() if after is not phase}
    assert left == set(Phase) - {Phase.ENDED}


def test_what_a_run_leaves_behind_is_spared_only_when_it_ends_by_itself():
    assert rules.step(Phase.RUNNING, "gone", leave_rest=True) == (Phase.DRAINING, "drain")
    assert rules.step(Phase.KILLING, "gone", leave_rest=True) == (Phase.DRAINING, "end_rest")
    assert rules.step(Phase.STOPPING, "gone", leave_rest=True) == (Phase.CLEARING, "watch_rest")


@pytest.mark.parametrize("asked, status, reason, number", [
    ("", 0, "exited", 0), ("", 7, "exited", 7), ("", -9, "signalled", 137), ("", -15, "signalled", 143),
    ("stopped", 0, "stopped", 0), ("stopped", -15, "stopped", 143), ("timed_out", -9, "timed_out", 137),
])
def test_an_end_has_a_word_and_a_number(asked, status, reason, number):
    code, signal = rules.code_and_signal(status)
    assert rules.reason(asked, code, signal) == reason
    assert rules.exit_number(code, signal) == number


def test_an_end_that_nobody_saw_is_lost():
    assert rules.reason("", None, None) == "lost"
    assert rules.exit_number(None, None) is None


def test_the_base_environment_takes_four_names_and_no_more():
    base = {"PATH": "/p", "HOME": "/h", "LANG": "de_DE.UTF-8", "TZ": "Europe/Berlin"}
    given = base | {"OCP_OPERATOR_TOKEN": "x", "LD_PRELOAD": "y"}
    assert rules.base_environment(given) == base
    assert rules.base_environment(given, "/home/u")["HOME"] == "/home/u"
    assert rules.base_environment({}) == {"PATH": rules.PATH_DEFAULT, "HOME": "/", "LANG": "C.UTF-8"}


@pytest.mark.parametrize("named", [
    {"command": []}, {"command": [""]}, {"command": ["a\0b"]}, {"command": ["x"] * 5000}, {"command": ["x" * 2_000_000]},
    {"command": ["\ud800"]}, {"environment": {"A=B": "c"}}, {"environment": {"": "c"}}, {"environment": {"A": "b\0"}},
    {"stop_grace_seconds": float("nan")}, {"stop_grace_seconds": -1.0}, {"wall_seconds": float("inf")},
])
def test_a_start_that_no_kernel_would_take_is_refused(named):
    sound = {"command": ["true"], "environment": {}, "stdin": b"", "stop_grace_seconds": None, "wall_seconds": None}
    rules.check_start(**sound)
    with pytest.raises(Refusal) as caught:
        rules.check_start(**sound | named)
    assert (caught.value.code, caught.value.detail) == ("cannot_start", {"why": "bad_command"})


def test_limits_for_each_process_never_allow_a_core_file():
    assert rules.rlimits(Limits(), False) == [("RLIMIT_CORE", 0)]


def test_memory_is_a_limit_of_each_process_only_where_the_run_has_none():
    limits = Limits(memory_bytes=1000, cpu_seconds=1.2, file_bytes=5, open_files=256)
    assert rules.rlimits(limits, False) == [("RLIMIT_CORE", 0), ("RLIMIT_AS", 1000), ("RLIMIT_CPU", 2), ("RLIMIT_FSIZE", 5),
                                            ("RLIMIT_NOFILE", 256)]
    assert ("RLIMIT_AS", 1000) not in rules.rlimits(limits, True)
    assert ("RLIMIT_AS", 7) in rules.rlimits(Limits(memory_bytes=1000, address_space_bytes=7), True)


def test_limits_of_a_run_are_files_of_its_group():
    settings = rules.group_settings(Limits(memory_bytes=1 << 20, cpu_percent=150, cpu_weight=50, processes_max=9))
    assert settings == {"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "150000 100000",
                        "cpu.weight": "50", "pids.max": "9"}
    assert rules.group_settings(Limits()) == {}
    assert rules.group_settings(Limits(cpu_percent=0.1))["cpu.max"] == "1000 100000"      # the least the kernel takes


@pytest.mark.parametrize("weight, nice", [(100, 0), (80, 1), (1, 19), (10_000, -20), (125, -1)])
def test_a_share_of_the_processor_is_a_nice_value(weight, nice):
    assert rules.nice_of_weight(weight) == nice


TEXT = "aé€😀".encode()


def test_no_character_is_cut_at_either_end():
    for cut in range(len(TEXT) + 1):
        head, tail = TEXT[:cut], TEXT[cut:]
        whole = head[:rules.whole_characters(head)]
        assert TEXT.decode().startswith(whole.decode()) and len(head) - len(whole) < 4
        assert TEXT.decode().endswith(tail[rules.first_character(tail):].decode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x80\x80\x80\x80\x80", b"abc\xff\xfe", b"\x80"])
def test_bytes_that_are_no_text_are_not_held_back_for_ever(data):
    assert rules.whole_characters(data + b"x") == len(data) + 1
    assert len(data) - rules.whole_characters(data) < 4
