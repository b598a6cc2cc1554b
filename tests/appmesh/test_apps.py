"""Applications on a running node: what happens after an end, over a restart, after a crash, and to whom what is shown."""

from __future__ import annotations

import base64
import os
import signal
import time
from pathlib import Path

import pytest

from ocp_node.base.clock import Clock
from tests.support.node import TrialNode
from tests.support.process_node import ProcessNode


class Session:
    """A user of a node."""

    def __init__(self, node: TrialNode, name: str = "admin", password: str = "admin123") -> None:
        self.node = node
        answer = node.request("POST", "/appmesh/login",
                              headers={"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()})
        assert answer.status == 200, answer
        self.headers = {"Authorization": "Bearer " + answer.json["access_token"]}

    def __call__(self, method, path, body=None, **more):
        return self.node.request(method, "/appmesh" + path, body, self.headers, **more)

    def put(self, name, **definition):
        answer = self("PUT", f"/app/{name}", {"name": name, **definition})
        assert answer.status == 200, answer
        return answer.json

    def show(self, name):
        return self("GET", f"/app/{name}").json

    def output(self, name, query=""):
        return self("GET", f"/app/{name}/output{query}")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), clock=Clock(), appmesh_default_users=True, stop_grace_seconds=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def admin(node):
    return Session(node)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_standby_application_stays_ended_and_says_how(node, admin):
    admin.put("standby", command="echo out; exit 7", shell=True)
    shown = node.until(lambda: (app := admin.show("standby")).get("return_code") is not None and app, "the end")
    assert shown["return_code"] == 7 and shown["health"] == 1 and "pid" not in shown
    assert shown["last_error"].endswith("exited with return code: 7")
    answer = admin.output("standby")
    assert (answer.text, answer.headers["x-exit-code"], answer.headers["x-output-position"]) == ("out\n", "7", "4")
    assert admin.show("standby")["starts"] == 1


def test_a_program_that_a_signal_ended_reports_it(node, admin):
    pid = admin.put("signalled", command="sleep 60")["pid"]
    os.kill(pid, signal.SIGTERM)
    node.until(lambda: admin.show("signalled").get("return_code") == -15, "the code of the signal")
    assert admin.output("signalled").headers["x-exit-code"] == "-15"


def test_an_application_that_is_kept_alive_starts_again_after_a_moment(node, admin):
    first = admin.put("kept", command="sleep 60", behavior={"exit": "keepalive"})["pid"]
    os.kill(first, signal.SIGKILL)
    again = node.until(lambda: (app := admin.show("kept")).get("pid") not in (None, first) and app, "the second run")
    assert again["starts"] == 2 and again["last_start_time"] >= again["last_exit_time"]
    admin("DELETE", "/app/kept")


def test_an_application_removes_itself_by_its_exit_code(node, admin):
    admin.put("leaver", command="exit 9", shell=True, behavior={"exit": "standby", "control": {"9": "remove"}})
    node.until(lambda: admin("GET", "/app/leaver").status == 404, "the removal")


def test_a_new_definition_replaces_the_run_and_its_output_is_kept_as_asked(node, admin):
    first = admin.put("twice", command="echo one; sleep 60", shell=True, stdout_cache_num=1)["pid"]
    node.until(lambda: admin.output("twice").text == "one\n", "the first line")
    second = admin.put("twice", command="echo two; sleep 60", shell=True, stdout_cache_num=1)
    assert second["pid"] != first and not alive(first) and second["starts"] == 2
    node.until(lambda: admin.output("twice").text == "two\n", "the line of the second")
    older = admin.output("twice", "?stdout_index=1")
    assert older.text == "one\n" and "x-exit-code" not in older.headers
    assert admin.output("twice", "?stdout_index=2").status == 404
    admin("DELETE", "/app/twice")
    assert not alive(second["pid"])


def test_output_is_read_by_position_and_never_cut_inside_a_character(node, admin):
    admin.put("long", command="python3 -c 'print(chr(228) * 1023, end=str())'", shell=True)
    node.until(lambda: "x-exit-code" in admin.output("long").headers, "the end")
    first = admin.output("long", "?stdout_maxsize=1025")
    assert (len(first.body), first.headers["x-output-position"]) == (1024, "1024")
    rest = admin.output("long", "?stdout_position=1024")
    assert (first.body + rest.body).decode() == "ä" * 1023 and rest.headers["x-output-position"] == "2046"
    assert admin.output("long", "?stdout_position=2047").json["message"] == "Invalid position <2047>, file size: <2046>"
    assert [admin.output("long", query).status for query in ("?stdout_position=x", "?process_uuid=nope",
                                                             "?stdout_position=-5")] == [400, 404, 200]
    assert admin.output("long", "?json=1").json[0]["index"] == 1


def test_a_wait_for_output_ends_with_the_run(node, admin):
    admin.put("waited", command="sleep 0.3; echo late", shell=True)
    answer = admin.output("waited", "?timeout=30")
    assert (answer.text, answer.headers["x-exit-code"]) == ("late\n", "0")


def test_a_program_that_cannot_start_is_said_and_tried_again(node, admin):
    shown = admin.put("broken", command="/no/such/program")
    assert shown["last_error"].endswith("command file </no/such/program> does not exist")
    assert shown["health"] == 1 and shown["starts"] == 0
    assert shown["next_start_time"] > 0 or admin.show("broken")["next_start_time"] > 0
    assert admin.put("broken2", command="pwd",
                     working_dir="/no/such/folder")["last_error"].endswith("working_directory /no/such/folder does not exist")
    unknown = admin.put("broken3", command="no-such-command-anywhere")
    assert unknown["last_error"].endswith("command file <no-such-command-anywhere> does not exist")
    assert admin.put("broken4", command="echo 'open")["health"] == 1
    for name in ("broken", "broken2", "broken3", "broken4"):
        assert admin("DELETE", f"/app/{name}").status == 200


def test_a_program_gets_its_environment_and_nothing_of_the_nodes(node, admin):
    admin.put("env", command="env; cat", shell=True, env={"A": "1", "B": "x"}, sec_env={"B": "secret"}, metadata={"k": [1, 2]})
    node.until(lambda: "x-exit-code" in admin.output("env").headers, "the end")
    text = admin.output("env").text
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    assert lines["A"] == "1" and lines["B"] == "secret"
    assert lines["APP_MESH_APPLICATION_NAME"] == "env" and len(lines["APP_MESH_PROCESS_KEY"]) == 10
    assert text.endswith('{"k":[1,2]}') and not any(name.startswith("OCP_") for name in lines)
    assert "secret" not in admin("GET", "/app/env").text and "sec_env" not in admin("GET", "/app/env").text


def test_the_secret_environment_is_not_readable_in_the_database(node, admin):
    admin.put("sealed", command="true", sec_env={"S": "a-very-secret-word"})
    with node.core.reader.snapshot() as connection:
        row = connection.execute("SELECT definition, sec_env FROM appmesh_app WHERE name = 'sealed'").fetchone()
    assert "a-very-secret-word" not in row[0] + row[1] and row[1]


def test_a_health_check_decides(node, admin, tmp_path):
    flag = tmp_path / "well"
    admin.put("checked", command="sleep 60", health_check_cmd=f"test -e {flag}")
    assert node.get("/appmesh/app/checked/health").text == "1"
    flag.write_text("")
    node.until(lambda: node.get("/appmesh/app/checked/health").text == "0", "a healthy answer")
    flag.unlink()
    node.until(lambda: node.get("/appmesh/app/checked/health").text == "1", "an unhealthy answer")
    admin("DELETE", "/app/checked")


def test_an_application_runs_only_inside_its_time(node, admin):
    now = int(time.time())
    later = admin.put("later", command="sleep 60", start_time=now + 3600)
    assert later["next_start_time"] == now + 3600 and "pid" not in later and later["health"] == 1
    over = admin.put("over", command="sleep 60", end_time=now - 1)
    assert "pid" not in over and "next_start_time" not in over and over["status"] == 1
    admin.put("soon-over", command="sleep 60", end_time=now + 2)
    shown = node.until(lambda: (app := admin.show("soon-over")).get("return_code") is not None and app, "the end of its time")
    assert shown["return_code"] == 9 and shown["last_error"].endswith("outside valid time range")


def test_a_schedule_that_nobody_would_keep_is_not_taken(admin):
    for schedule in ({"start_interval_seconds": 60}, {"start_interval_seconds": "0 0 3 * * *", "cron": True}):
        answer = admin("PUT", "/app/cron", {"command": "true", **schedule})
        assert answer.status == 501 and answer.json["code"] == "planned"
    assert admin("GET", "/app/cron").status == 404


def test_events_tell_the_life_of_an_application_in_order(node, admin):
    with node.core.reader.snapshot() as connection:
        before = node.core.feed.newest(connection, "appmesh")
    admin.put("told", command="sleep 60")
    admin("DELETE", "/app/told")

    def heard():
        with node.core.reader.snapshot() as connection:
            return [(event.event_type.rpartition(".")[2],
                     event.payload) for event in node.core.feed.since(connection, before, 100, "appmesh")
                    if event.subject == "told"]

    node.until(lambda: heard()[-1][0] == "exited", "the last event")
    assert [kind for kind, _ in heard()] == ["defined", "health", "started", "removed", "status", "health", "exited"]
    facts = dict(heard())
    assert facts["exited"]["exit_code"] == 9 and facts["exited"]["pid"] == facts["started"]["pid"]
    assert len(facts["started"]["process_uuid"]) == 24


def test_others_see_and_touch_what_the_owner_lets_them(node, admin):
    admin("POST", "/role/keeper", ["app-view", "app-view-all", "app-reg", "app-control", "app-delete", "app-output-view",
                                   "app-run-async", "app-run-sync"])
    for name, group in (("own", "g1"), ("mate", "g1"), ("oth", "g2")):
        assert admin("PUT", f"/user/{name}", {"key": "Pass#1234", "group": group, "roles": ["keeper"]}).status == 200
    own, mate, oth = (Session(node, name, "Pass#1234") for name in ("own", "mate", "oth"))
    own.put("mine", command="sleep 60", permission=12, sec_env={"S": "hidden"})
    assert mate.show("mine")["owner"] == "own" and oth("GET", "/app/mine").status == 403
    assert oth("GET", "/app/mine").json["message"] == "User <oth> is not allowed to <VIEW> app <mine>"
    assert [app["name"] for app in mate("GET", "/applications").json if app["owner"] == "own"] == ["mine"]
    assert not [app for app in oth("GET", "/applications").json if app["owner"] == "own"]
    for method, path in (("POST", "/app/mine/disable"), ("DELETE", "/app/mine"), ("PUT", "/app/mine")):
        answer = mate(method, path, {"command": "true"} if method == "PUT" else None)
        assert answer.status == 403 and "<EDIT>" in answer.json["message"], answer
    assert oth("GET", "/app/mine/output").status == 403 and oth("POST", "/app/run", {"name": "mine"}).status == 403
    # A reader may run a copy, but the secrets stay behind.
    own.put("tool", command="echo [$S]", shell=True, permission=12, sec_env={"S": "hidden"})
    assert mate("POST", "/app/syncrun",
                {"name": "tool"}).text == "[]\n" and own("POST", "/app/syncrun", {"name": "tool"}).text == "[hidden]\n"
    assert admin("DELETE", "/user/own").status == 400
    assert own("DELETE", "/app/mine").status == 200 and own("DELETE", "/app/tool").status == 200


def test_a_run_is_forgotten_in_its_time_and_ended_by_its_limit(node, admin):
    started = admin("POST", "/app/run?timeout=1&lifecycle=30", {"command": "sleep 60"}).json
    answer = admin.output(started["name"], f"?process_uuid={started['process_uuid']}&timeout=20")
    assert answer.headers["x-exit-code"] == "9"
    assert admin.show(started["name"])["status"] == 2
    short = admin("POST", "/app/run?timeout=1&lifecycle=1", {"command": "sleep 60", "name": "brief"}).json
    node.until(lambda: admin("GET", f"/app/{short['name']}").status == 404, "its end")
    assert admin("POST", "/app/run", {"command": "/no/such"}).status == 400


def test_measurements_show_the_applications_and_the_requests(node, admin):
    admin.put("metered", command="sleep 60")
    text = node.get("/appmesh/metrics").text
    host = node.rooms["appmesh.metrics"].host
    assert f'appmesh_application_running{{application="metered",host="{host}"}} 1' in text
    assert f'appmesh_application_process_starts_total{{application="metered",host="{host}"}} 1' in text
    labels = f'host="{host}",method="PUT",route="/appmesh/app/:param",status_class="2xx",status_code="200"'
    assert f"appmesh_http_requests_total{{{labels}}}" in text
    assert "metrics" not in [line for line in text.splitlines() if line.startswith("appmesh_http_requests_total")].__repr__()
    admin("DELETE", "/app/metered")


def test_two_who_ask_at_the_same_time_see_the_same_share_of_a_processor(tmp_path):
    with TrialNode(tmp_path, appmesh_default_users=True, stop_grace_seconds=1.0) as node:
        admin = Session(node)
        admin.put("busy", command="while :; do :; done", shell=True)
        admin.show("busy")

        def later():
            node.advance(1.0)
            return admin.show("busy")["cpu"]

        share = node.until(later, "some use of a processor")
        assert [admin.show("busy")["cpu"] for _ in range(3)] == [share] * 3


def test_applications_are_planned_again_when_the_node_comes_back(tmp_path):
    with TrialNode(tmp_path, clock=Clock(), appmesh_default_users=True, stop_grace_seconds=1.0) as node:
        admin = Session(node)
        first = admin.put("back", command="sleep 60", sec_env={"S": "x"})["pid"]
        admin.put("off", command="sleep 60", status=0)
    assert not alive(first)
    with TrialNode(tmp_path, clock=Clock(), stop_grace_seconds=1.0) as node:
        admin = Session(node)
        shown = node.until(lambda: (app := admin.show("back")).get("pid") and app, "the new run")
        assert shown["pid"] != first and "pid" not in admin.show("off") and admin.show("off")["status"] == 0


def test_what_runs_is_found_again_after_a_kill_and_never_runs_twice(tmp_path):
    with ProcessNode(tmp_path / "state", "--workers", "0", OCP_APPMESH_DEFAULT_USERS="true") as away:
        admin = Session(away)
        pid = admin.put("survivor", command="while true; do echo tick; sleep 0.2; done", shell=True)["pid"]
        once = admin("POST", "/app/run", {"command": "sleep 61"}).json["name"]
        orphan = admin.show(once)["pid"]
        away.until(lambda: admin.output("survivor").body, "some output")
        away.kill()
        assert alive(pid) and alive(orphan)
        with TrialNode(away.folder, clock=Clock(), stop_grace_seconds=1.0) as again:
            admin = Session(again)
            again.until(lambda: admin.show("survivor").get("pid") == pid, "the old run, adopted")
            again.until(lambda: not alive(orphan) or zombie(orphan), "the end of the run that nobody waits for")
            before = len(admin.output("survivor").body)
            again.until(lambda: len(admin.output("survivor").body) > before, "more output of the adopted run")
            assert admin("GET", f"/app/{once}").status == 404
            assert admin("DELETE", "/app/survivor").status == 200
            again.until(lambda: not alive(pid) or zombie(pid), "the end of the adopted run")


def zombie(pid):
    """Dead, and not yet reaped by whoever became its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
