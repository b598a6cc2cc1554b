"""Attacks from outside against whole nodes: the stranger on the network, and the page in the operator's browser."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.ids import Ids
from ocp_node.client.client import target
from ocp_node.contract.route import Auth, Route, Stability
from ocp_node.contract.snapshot import path_names
from ocp_node.crypto import envelopes
from ocp_node.http import local
from server_contract import ROUTES
from tests.support.node import Answer, TrialNode
from tests.support.peer import TrialPeer
from tests.support.process_node import ProcessNode, ask
from tests.support.store import rows

JSON = {"Content-Type": "application/json"}
TOKEN = "the-operator-token-of-this-node"
SECRET = "the-value-nobody-is-told"
OPERATORS = (Auth.OPERATOR, Auth.LOCAL_ADMIN, Auth.SIGNED_OR_OPERATOR)
BUILT = [route for route in ROUTES if route.stability is not Stability.PLANNED]
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def path(route: Route, **values: str) -> str:
    return target(route, {name: values.get(name, "unknown-1") for name in path_names(route)})


# --- the stranger on the network ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", params=["", TOKEN], ids=["without a token", "with a token"])
def exposed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProcessNode, str]]:
    """A node that listens on the network, and the URL by which strangers reach it."""
    address = next((each for each in local.local_addresses() if ":" not in each), "")
    if not address:
        pytest.skip("this machine has no address beyond loopback")
    with ProcessNode(tmp_path_factory.mktemp("exposed") / "state", "--host", "0.0.0.0", token=request.param) as node:
        node.url = f"http://127.0.0.1:{node.port}"           # for its operator
        node.until(lambda: (held := rows(node.folder))["appmesh_user"] and held["mesh_worker"], "all that a start makes")
        yield node, f"http://{address}:{node.port}"
        node.stop()


def test_no_operator_route_answers_a_stranger_and_nothing_changes(exposed: tuple[ProcessNode, str]) -> None:
    node, url = exposed
    before = rows(node.folder)
    job = {"job": {"kind": "demo", "command": "echo owned"}}
    for route in ROUTES:
        if route.auth not in OPERATORS:
            continue
        for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Host": "localhost"}, {"Forwarded": "for=127.0.0.1"}):
            answer = ask(url, route.method, path(route), None if route.method in ("GET", "DELETE") else job, headers)
            assert answer.status == 401, (route.id, headers, answer)
    assert rows(node.folder) == before


def test_a_stranger_with_a_key_of_its_own_runs_and_stores_nothing(exposed: tuple[ProcessNode, str], tmp_path: Path) -> None:
    node, url = exposed
    stranger = TrialPeer("stranger")

    def send(route: str, body: dict[str, Any]) -> Answer:
        return ask(url, "POST", route, envelopes.sign_envelope(stranger.identity, route, body, node.clock, Ids(), None))

    assert send("/mesh/jobs/submit", {"job": {"kind": "agent.echo"}}).json["code"] == "unknown_peer"
    for claim in ("trusted", "self", "partner"):
        welcome = send("/mesh/handshake", {"peer_card": stranger.card(trust_tier=claim), "agent_presence": [], "beacons": []})
        assert (welcome.status, welcome.json["peer"]["trust_tier"]) == (200, "public"), welcome
        assert welcome.json["stream"]["events"] == [] and welcome.json["stream"]["peers"] == []
    before = rows(node.folder)
    for kind in ("shell.command", "python.inline", "demo", "docker.container", "wasm.component"):
        for mode in ("inline", "queued"):
            payload = {"command": f"touch {tmp_path}/owned", "code": f"open('{tmp_path}/owned', 'w')", "image": "busybox"}
            answer = send("/mesh/jobs/submit", {"job": {"kind": kind, "dispatch_mode": mode, "payload": payload}})
            assert answer.status in (400, 403) or answer.json["status"] == "rejected", answer
    published = send("/mesh/artifacts/publish", {"artifact": {"content": "spam"}})
    assert (published.status, published.json["code"]) == (403, "policy_denied")
    after = rows(node.folder)
    changed = {table for table in after if after[table] != before.get(table)}
    assert changed <= {"event", "mesh_nonce", "mesh_job", "sqlite_sequence"}, changed
    assert not (tmp_path / "owned").exists()


def test_a_stranger_sees_no_work_in_detail(exposed: tuple[ProcessNode, str]) -> None:
    node, url = exposed
    payload = {"command": f": {SECRET}", "env": {"WORD": SECRET}}
    job = {"kind": "shell.command", "dispatch_mode": "inline", "payload": payload}
    made = node.post("/mesh/jobs/submit", {"job": job}).json["job"]
    assert SECRET in node.get(f"/mesh/jobs/{made['id']}").text
    for route in BUILT:
        if route.method == "GET" and route.surface in ("mesh", "node") and route.id != "mesh.control.stream":
            answer = ask(url, "GET", path(route, job_id=made["id"], artifact_id=made["result_ref"]["id"]))
            assert SECRET not in answer.text, (route.id, answer)


# --- the page in the operator's browser --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialNode]:
    """A node on loopback without a token, as it is for most."""
    with TrialNode(tmp_path_factory.mktemp("home"), trusted_proxies=("127.0.0.1",)) as node:
        yield node


def changes(node: TrialNode) -> dict[str, int]:
    return rows(node.folder)


def test_a_foreign_page_changes_nothing(home: TrialNode) -> None:
    before = changes(home)
    forms = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
    foreign = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
               {"Origin": f"http://127.0.0.1:{home.port + 1}"})
    for route in ROUTES:
        if route.method not in UNSAFE or route.auth not in (*OPERATORS, Auth.SIGNED) or route.surface in ("appmesh", "directory"):
            continue
        for headers in foreign:
            answer = home.request(route.method, path(route), raw=b"{}", headers={**JSON, **headers})
            assert answer.status in (401, 403), (route.id, headers, answer)
        for media_type in forms if route.body and not route.body_stream else ():
            headers = {"Content-Type": media_type} if media_type else {}
            answer = home.request(route.method, path(route), raw=b"{}", headers=headers)
            assert answer.status == 415, (route.id, media_type, answer)
    assert changes(home) == before


def test_a_page_is_granted_nothing_by_a_preflight(home: TrialNode) -> None:
    """What a directory holds, pages of everybody may read; nothing else, and nobody's page may send anything."""
    for route in BUILT:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": route.method,
                 "Access-Control-Request-Headers": "content-type,x-ocp-operator-token"}
        headers = home.request("OPTIONS", path(route), headers=asked).headers
        assert headers.get("access-control-allow-methods", "GET, HEAD") == "GET, HEAD", (route.id, headers)
        assert "token" not in headers.get("access-control-allow-headers", ""), (route.id, headers)
        assert route.surface == "directory" or "access-control-allow-origin" not in headers, (route.id, headers)
        if route.method == "GET" and route.id != "mesh.control.stream" and not for_everybody(route):
            simple = home.get(path(route), {"Origin": "https://evil.example"})
            assert not [name for name in simple.headers if name.startswith("access-control")], (route.id, simple.headers)


def for_everybody(route: Route) -> bool:
    return route.surface == "directory" and route.auth in (Auth.PUBLIC, Auth.SIGNED)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8421", "192.0.2.77", "localhost.evil.example",
                                  "127.0.0.1.evil.example"])
def test_a_rebound_name_reaches_nothing_of_the_operator(home: TrialNode, host: str) -> None:
    before = changes(home)
    for route in ROUTES:
        if route.surface not in ("mesh", "node") and route.auth is not Auth.LOCAL_ADMIN:
            continue                                  # these know their callers by a credential, or are for everybody
        raw = None if route.method in ("GET", "DELETE") else b"{}"
        answer = home.request(route.method, path(route), raw=raw, headers={**JSON, "Host": host})
        assert answer.status == 403 or answer.status == 401 and route.auth is Auth.LOCAL_ADMIN, (route.id, answer)
        assert route.auth is Auth.LOCAL_ADMIN or answer.json["code"] == "host_not_allowed"
    assert changes(home) == before


def test_a_foreign_page_cannot_listen_over_a_websocket(home: TrialNode) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode()}
    for name, value in (("Origin", "https://evil.example"), ("Origin", "null"), ("Host", "evil.example"),
                        ("Sec-Fetch-Site", "cross-site")):
        assert home.get("/mesh/stream", {**upgrade, name: value}).status == 403


def test_a_proxy_in_front_takes_the_privilege_of_loopback_away(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            for value in ("127.0.0.1", "for=127.0.0.1", ""):
                answer = node.post("/mesh/artifacts/purge", {}, {header: value})
                assert answer.status == 401, (header, value, answer)
        assert node.post("/mesh/artifacts/purge", {}).status == 200
