"""The published Python client against a running node: log in, register, run, read, measure, leave."""

from __future__ import annotations

import pytest

from ocp_node.base.clock import Clock
from tests.support.node import TrialNode

appmesh = pytest.importorskip("appmesh", reason="needs the package appmesh (tests/requirements.txt)")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), clock=Clock(), appmesh_default_users=True) as running:
        yield running


@pytest.fixture()
def client(node):
    made = appmesh.AppMeshClient(base_url=node.url)
    made.login("admin", "admin123")
    yield made


def test_an_application_is_registered_runs_is_read_and_deleted(node, client):
    app = appmesh.App({"name": "sdk", "command": "echo started; sleep 60", "shell": True, "description": "from the client"})
    added = client.add_app(app)
    assert added.name == "sdk" and added.pid and added.status == 1
    assert client.check_app_health("sdk") is True
    node.until(lambda: client.get_app_output("sdk").output == "started\n", "the first line")
    assert [one.name for one in client.list_apps()] == ["sdk"]
    assert client.get_app("sdk").description == "from the client"
    client.disable_app("sdk")
    assert client.get_app("sdk").status == 0 and client.check_app_health("sdk") is False
    client.enable_app("sdk")
    node.until(lambda: client.get_app("sdk").pid, "the second run")
    assert 'appmesh_application_running{application="sdk"' in client.get_metrics()
    assert client.delete_app("sdk") is True and client.delete_app("sdk") is False


def test_a_command_is_run_and_waited_for(client):
    assert client.run_app_sync("echo hi; echo err >&2; exit 4", max_time=10) == (4, "hi\nerr\n")
    assert client.list_apps() == []


def test_a_command_is_run_and_followed(client):
    run = client.run_app_async("for i in 1 2 3; do echo line$i; sleep 0.1; done; exit 6", max_time=20)
    heard = []
    assert run.wait(stdout_handler=lambda data, position: heard.append(data)) == 6
    assert "".join(heard) == "line1\nline2\nline3\n"
    assert client.list_apps() == []


def test_a_session_is_renewed_checked_and_ended(node, client):
    first = client._get_access_token()
    assert client.authenticate(first, permission="app-view")[0] is True
    assert client.authenticate(first, permission="no-such")[0] is False
    client.renew_token()
    assert client.authenticate(first)[0] is False
    assert client.get_current_user()["name"] == "admin"
    client.logout()
    with pytest.raises(appmesh.AppMeshAuthError):
        client.list_apps()


def test_users_and_roles_are_managed(client):
    client.update_role("reader", ["app-view"])
    client.add_user("carol", {"key": "Carol#123", "group": "g", "roles": ["reader"]})
    other = appmesh.AppMeshClient(base_url=client.base_url)
    other.login("carol", "Carol#123")
    assert other.get_user_permissions() == ["app-view"]
    client.lock_user("carol")
    with pytest.raises(appmesh.AppMeshAuthError):
        other.get_user_permissions()
    client.unlock_user("carol")
    client.update_password("Carol#123", "Other#456", username="carol")
    other.login("carol", "Other#456")
    assert "carol" in client.list_users() and "g" in client.list_groups()
    client.delete_user("carol")
    client.delete_role("reader")
    assert "reader" not in client.list_roles()


def test_the_machine_is_described(client):
    resources = client.get_host_resources()
    assert resources["mem_total_bytes"] > 0 and resources["cpu_cores"] >= 1 and resources["os"] in ("linux", "macos")
