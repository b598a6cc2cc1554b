"""What App Mesh decides, as tables of cases: who may touch what, when programs run, what tokens carry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocp_node.appmesh.apps import program as programs
from ocp_node.appmesh.apps import rules
from ocp_node.appmesh.apps.program import Program
from ocp_node.appmesh.apps.rules import READ, WRITE, Phase
from ocp_node.appmesh.metrics import rules as metrics
from ocp_node.appmesh.resources import rules as resources
from ocp_node.appmesh.runs import rules as runs
from ocp_node.appmesh.sessions import rules as sessions
from ocp_node.appmesh.users import rules as users
from ocp_node.appmesh.users.rules import User
from ocp_node.base.errors import Refusal
from ocp_node.processes.records import Process

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "data/appmesh/test_vectors.json").read_text())
OWNED = Program("own", "own", 0, "true")
DAY = 86_400


# --- who

@pytest.mark.parametrize("vector", VECTORS["permission_matrix"], ids=lambda vector: vector["name"])
def test_ownership_gives_what_the_captured_matrix_shows(vector):
    program = OWNED._replace(permission=int(vector["name"].rpartition("-")[2]))
    callers = {"group-mate": ("mate", "g1", False), "other-group": ("oth", "g2", False), "admin": ("admin", "admin", True)}
    for who, result in vector["result"].items():
        granted = rules.access(program, "g1", *callers[who])
        assert (granted >= READ) is (result["view"] == 200) is result["listed"], who
        assert (granted >= WRITE) is (result["write(disable)"] == 200), who
        for wanted, body in ((READ, "view_body"), (WRITE, "write_body")):
            if body in result:
                with pytest.raises(Refusal) as caught:
                    rules.allowed(granted, wanted, callers[who][0], f"own{program.permission}")
                assert caught.value.message.rpartition("app")[0] == result[body]["message"].rpartition("app")[0]


def test_the_owner_and_an_application_of_nobody_are_free():
    assert rules.access(OWNED._replace(permission=11), "g1", "own", "other", False) == WRITE
    assert rules.access(OWNED._replace(permission=11, owner=""), "", "mesh", "user", False) == WRITE


@pytest.mark.parametrize("user, administers", [(User("admin", ""), True), (User("root", "", roles=("usermgr", "manage")), True),
                                               (User("root", "", roles=("manage",)), False),
                                               (User("mesh", "", roles=("view",)), False)])
def test_who_manages_users_and_applications_is_not_bound_by_ownership(user, administers):
    assert users.administers(user) is administers


def test_permissions_are_those_of_all_roles_and_unknown_roles_give_none():
    roles = {"a": frozenset({"x", "y"}), "b": frozenset({"y", "z"})}
    assert users.permissions(User("u", "", roles=("a", "b", "nobody")), roles) == {"x", "y", "z"}
    assert users.permissions(User("u", ""), roles) == frozenset()


@pytest.mark.parametrize("password, missing", [("Ab1#", "at least 8"), ("alllower1#", "uppercase"), ("ALLUPPER1#", "lowercase"),
                                               ("NoDigits##", "digit"),
                                               ("NoSpecial11", "special"), ("Good#Pass1", "")])
def test_the_first_thing_a_password_lacks_is_named(password, missing):
    if not missing:
        return users.complex_enough(password)
    with pytest.raises(Refusal, match=missing):
        users.complex_enough(password)


def test_replacing_a_user_empties_what_is_absent_but_neither_unlocks_nor_disarms():
    known = User("a", "hash", "m@x", "g", "root", "meta", True, True, "SECRET", ("view",), 7)
    merged = users.merged(known, "a", "", {"email": "n@x"})
    assert merged == User("a", "hash", "n@x", "", "", "", True, True, "SECRET", (), 7)
    with pytest.raises(Refusal):
        users.merged(None, "b", "hash", {"mfa_enabled": True})


# --- tokens

@pytest.mark.parametrize("text, seconds", [("", 604_800), ("0", 604_800), ("60", 60), ("99999999", 2_592_000), ("-1", None),
                                           ("abc", None), ("P1D", None),
                                           ("1.5", None), ("٣", None)])
def test_a_token_lives_as_long_as_it_was_asked_for_within_bounds(text, seconds):
    if seconds is None:
        with pytest.raises(Refusal, match="Invalid token expire seconds"):
            sessions.expire_seconds(text)
    else:
        assert sessions.expire_seconds(text) == seconds


@pytest.mark.parametrize("seconds, refresh", [(60, 3660), (600, 4200), (7200, 14_400), (604_800, 1_209_600),
                                              (2_592_000, 2_592_000)])
def test_a_refresh_token_outlives_its_access_token(seconds, refresh):
    assert sessions.refresh_seconds(seconds) == refresh


@pytest.mark.parametrize("header, found", [("Basic YTpiOmM=", ("a", "b:c")), ("basic YTo=", ("a", "")), ("Bearer x", None),
                                           ("", None), ("Basic !!!", None),
                                           ("Basic YQ==", None), ("Basic //8=", None)])
def test_name_and_password_are_split_at_the_first_colon(header, found):
    if found is None:
        with pytest.raises(Refusal):
            sessions.basic(header)
    else:
        assert sessions.basic(header) == found


@pytest.mark.parametrize("method, origin, passes", [("POST", None, True), ("POST", "http://node:8421", True),
                                                    ("POST", "https://evil.example", False),
                                                    ("POST", "null", False), ("GET", "https://evil.example", True),
                                                    ("DELETE", "http://node", False)])
def test_a_cookie_speaks_only_for_pages_of_this_host(method, origin, passes):
    headers = {"host": "node:8421", **({"origin": origin} if origin else {})}
    if passes:
        return sessions.own_origin(method, headers)
    with pytest.raises(Refusal, match="CSRF"):
        sessions.own_origin(method, headers)


def test_a_token_made_in_the_second_that_ended_all_others_is_good():
    assert sessions.issued_at(100.9, 0) == 100 and sessions.issued_at(100.9, 100) == 101


def test_only_the_cookie_of_that_name_is_the_token():
    assert sessions.cookie_token({"cookie": "a=1; appmesh_auth_token=x.y.z; b=2"}) == "x.y.z"
    assert sessions.cookie_token({"cookie": "xappmesh_auth_token=x"}) == "" == sessions.cookie_token({})
    assert "Secure" in sessions.set_cookie("t", 5, True)[1] and "Secure" not in sessions.set_cookie("t", 5, False)[1]


# --- definitions

@pytest.mark.parametrize("vector", VECTORS["duration"], ids=lambda vector: vector["in"] or "empty")
def test_durations_are_read_as_the_vectors_say(vector):
    if isinstance(vector["out"], int):
        assert programs.duration(vector["in"]) == vector["out"]
    else:
        with pytest.raises(Refusal) as caught:
            programs.duration(vector["in"])
        assert f"error: {caught.value.message}" == vector["out"]


@pytest.mark.parametrize("given, text", [
    ({"command": "a", "env": {"": "x"}}, "the name of an environment variable"), ({"command": "a", "sec_env": {"A=B": "x"}}, "the name of an"),
    ({}, "no command line provide"), ({"command": "x" * 2048}, "command line length"),
                                         ({"command": "x", "docker_image": "d"}, "docker"),
    ({"command": "x", "status": 2}, "status"), ({"command": "x", "permission": 41}, "permission"),
                                         ({"command": "x", "permission": 14}, "permission"),
    ({"command": "x", "stdout_cache_num": 101}, "stdout_cache_num"),
                                         ({"command": "x", "stdout_cache_num": -1}, "stdout_cache_num"),
    ({"command": "x", "retention": "soon"}, "duration"), ({"command": "x", "behavior": {"exit": "explode"}},
                                                          "invalid action input"),
    ({"command": "x", "behavior": {"control": {"a": "remove"}}}, "invalid control code"),
                                         ({"command": "x", "daily_limitation": {"daily_start": 1}}, "both"),
    ({"command": "x", "resource_limit": {"cpu_shares": 1}}, "cpu_shares"),
                                         ({"command": "x", "start_time": 2, "end_time": 1}, "end_time"),
    ({"command": "x", "resource_limit": {"memory_mb": 8, "memory_virt_mb": 4}}, "memory_virt_mb"),
                                         ({"command": "x", "health_check_cmd": "y" * 2048}, "health"),
])
def test_a_definition_that_makes_no_sense_is_refused(given, text):
    with pytest.raises(Refusal, match=text):
        programs.read(given, "a", "own", 0)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "x" * 129, "ä", "a/b", "-" * 128 + "x"])
def test_a_name_has_few_letters(name):
    with pytest.raises(Refusal):
        programs.checked_name(name)


def test_a_definition_is_kept_and_shown_as_it_was_given():
    given = {"command": " echo hi ", "shell": True, "env": {"A": "1"}, "metadata": '{"k": [1]}',
             "behavior": {"exit": "RESTART", "control": {"9": "remove"}},
             "permission": 23, "retention": "PT5S", "daily_limitation": {"daily_start": DAY + 3600, "daily_end": 7200},
             "stdout_cache_num": 3, "version": 4}
    program = programs.read(given, "a", "own", 10.5)
    assert programs.loaded(programs.stored(program)) == program
    shown = programs.shown(program)
    assert shown["behavior"] == {"exit": "restart",
                                 "control": {"9": "remove"}} and shown["metadata"] == {"k": [1]} and shown["command"] == "echo hi"
    assert (shown["daily_limitation"]["daily_start"], shown["retention"], shown["owner"],
            shown["register_time"]) == (3600, "PT5S", "own", 10)
    assert not {"sec_env", "description", "start_time", "health_check_cmd"} & set(shown)
    assert programs.standard_input(program) == b'{"k":[1]}' and programs.standard_input(program._replace(metadata="x")) == b"x"


# --- when

@pytest.mark.parametrize("start, end, at, open_at, closes_at", [
    (None, None, 1000, 1000, None), (3600, 7200, 1000, 3600, 7200), (3600, 7200, 5000, 5000, 7200),
                                                                (3600, 7200, 7200, DAY + 3600, DAY + 7200),
    (7200, 3600, 5000, 7200, DAY + 3600), (7200, 3600, 1000, 1000, 3600), (3600, 3600, 5000, 5000, None),
])
def test_a_daily_window_opens_and_closes(start, end, at, open_at, closes_at):
    program = OWNED._replace(daily_start=start, daily_end=end)
    assert rules.opens(program, at) == open_at
    assert rules.may_run(program, open_at) and (at == open_at or not rules.may_run(program, at))
    assert closes_at is None and rules.closes(program, open_at) is None or rules.closes(program, open_at) % DAY == closes_at % DAY


def test_a_range_of_time_is_begun_late_and_never_after_its_end():
    program = OWNED._replace(start_time=100, end_time=200)
    assert [rules.may_run(program, at) for at in (99, 100, 199, 200)] == [False, True, True, False]
    assert (rules.opens(program, 50), rules.opens(program, 150), rules.opens(program, 200)) == (100, 150, None)
    assert rules.opens(program._replace(status=0), 150) is None


@pytest.mark.parametrize("code, action", [(0, "standby"), (3, "restart"), (-9, "keepalive"), (None, "standby")])
def test_an_exit_code_may_have_an_action_of_its_own(code, action):
    assert rules.action(OWNED._replace(control={"3": "restart", "-9": "keepalive"}), code) == action


def test_short_runs_are_restarted_ever_later_and_a_minute_forgives():
    delays, short = [], 0
    for _ in VECTORS["restart_backoff"]["short_runs"]:
        delay, short = rules.next_backoff(short, 59.9)
        delays.append(delay)
    assert delays == VECTORS["restart_backoff"]["short_runs"]
    assert rules.next_backoff(short, 60.0) == (0, 0)


@pytest.mark.parametrize("how, code", [(("exited", 7, None), 7), (("signalled", None, 15), -15), (("stopped", None, 15), 9),
                                       (("timed_out", 0, None), 9),
                                       (("lost", None, None), None)])
def test_an_exit_is_reported_with_one_number(how, code):
    assert rules.exit_code(*how) == code


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", rules.EVENTS)
def test_every_event_in_every_phase_leads_to_a_phase_and_a_run_is_never_started_twice(phase, event):
    after = rules.step(phase, event)
    assert after in Phase
    if event == "start":
        assert after is Phase.STARTING and phase is Phase.ARMED or after is phase
    if event == "arm":
        assert phase in (Phase.IDLE, Phase.ARMED) or after is phase


def test_a_process_tree_is_drawn():
    processes = [Process(5, 1, 0, "bash x", False), Process(6, 5, 0, "sleep 1", False), Process(7, 5, 0, "cat", True)]
    assert rules.tree_text(5, processes) == "-+- 5 bash x\n |--- 6 sleep 1\n \\--- 7 (cat)"
    assert rules.tree_text(5, processes[:1]) == "--- 5 bash x" and rules.tree_text(5, []) == ""


# --- runs, metrics, resources

@pytest.mark.parametrize("timeout, lifecycle, found", [("", "", (172_800, 216_000)), ("5", "", (5, 216_000)),
                                                       ("-5", "", (172_800, 216_000)),
                                                       ("999999999", "", (172_800, 216_000)), ("10", "5", (10, 216_000)),
                                                       ("1", "2", (1, 2)),
                                                       ("PT1M", "PT2M", (60, 120)), ("0", "", (0, 216_000))])
def test_a_run_is_ended_and_forgotten_in_time(timeout, lifecycle, found):
    assert runs.times(timeout, lifecycle, programs.duration) == found


def test_a_run_without_any_end_is_refused():
    with pytest.raises(Refusal, match="Zero timeout and lifecycle"):
        runs.times("0", "0", programs.duration)


def test_a_copy_gets_a_name_that_nobody_has():
    assert runs.copy_name("a", 0, {"a", "a_1", "a_2"}) == ("a_3", 3)


def test_measurements_are_written_as_prometheus_reads_them():
    family = metrics.Family("m", "gauge", "About m", [({"b": 'x"\n', "a": "1"}, 2.0), ({}, 0.5)])
    assert metrics.text([family], "h") == '# HELP m About m\n# TYPE m gauge\nm{a="1",b="x\\"\\n",host="h"} 2\nm{host="h"} 0.5\n'
    assert metrics.pattern("/appmesh/app/{app}/output") == "/appmesh/app/:param/output"


def test_texts_of_the_kernel_are_read():
    assert resources.meminfo("MemTotal:  10 kB\nHugePages_Total: 3\nodd\n") == {"MemTotal": 10_240, "HugePages_Total": 3}
    assert resources.processors("physical id : 0\ncore id : 0\n\nphysical id : 1\ncore id : 0\n") == (2, 2)
    assert [resources.quota_v2(text) for text in ("max 100000", "150000 100000", "", "1 0")] == [0.0, 1.5, 0.0, 0.0]
    mounts = "/dev/vda / ext4\n/dev/vda /x ext4\nproc /proc proc\n/dev/loop0 /s squashfs\n/dev/b /a\\040b xfs"
    assert list(resources.disks(mounts)) == [
        ("/dev/vda", "/"), ("/dev/b", "/a b")]
