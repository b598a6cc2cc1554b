"""What must stay inside a node stays there: no answer, no file, no log line and no call to another node holds it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.client.client import target
from ocp_node.contract.route import Route, Stability
from ocp_node.contract.snapshot import path_names
from server_contract import ROUTES
from tests.scenarios.network import GOOD, Network
from tests.support.node import FROM_LAN, Answer
from tests.support.peer import TrialPeer
from tests.support.process_node import ProcessNode

TOKEN = "the-operator-token-of-alpha"
OTHER_TOKEN = "the-operator-token-of-beta"
PASSWORD = "the-password-of-the-first-user"
VALUES = {"stored": "value-of-a-stored-secret", "inline": "value-of-an-inline-secret", "waiting": "value-of-a-job-that-waits"}
BUILT = [route for route in ROUTES if route.stability is not Stability.PLANNED]


class Kept:
    """A node with every kind of secret in it, the ids of what it holds, and what nobody may be told."""

    def __init__(self, node: ProcessNode, ids: dict[str, list[str]], hidden: dict[str, str], appmesh: str) -> None:
        self.node, self.ids, self.hidden, self.appmesh = node, ids, hidden, appmesh

    def found(self, text: str | bytes) -> list[str]:
        """The names of what stands in the text and should not."""
        raw = text.encode() if isinstance(text, str) else text
        return [name for name, value in self.hidden.items() if value.encode() in raw]


def well(answer: Answer, *statuses: int) -> Any:
    assert answer.status in (statuses or (200,)), answer
    return answer.json


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("held")
    (folder / "password").write_text(PASSWORD + "\n")
    with ProcessNode(folder / "state", "--workers", "0", "--trusted-proxies", "127.0.0.1", "--log-level", "debug",
                     "--appmesh-admin-password-file", str(folder / "password"), token=TOKEN) as node:
        yield filled(node)
        node.stop()


def filled(node: ProcessNode) -> Kept:
    friend = TrialPeer("friend")
    friend.shakes_hands(node)                                                    # type: ignore[arg-type]
    well(node.post("/mesh/secrets/put", {"scope": "mesh.ops", "name": "n", "value": VALUES["stored"]}))
    told = {"A": {"source": "store", "scope": "mesh.ops", "name": "n"}, "B": {"value": VALUES["inline"], "scope": "mesh.ops"}}
    policy = {"classification": "trusted", "secret_scopes": ["mesh.ops"]}
    run = {"kind": "shell.command", "dispatch_mode": "inline", "policy": policy,
           "payload": {"command": "echo $A $B; echo $B >&2; env", "secrets": told}}
    done = well(node.post("/mesh/jobs/submit", {"job": run}))["job"]
    failed = node.post("/mesh/jobs/submit", {"job": {**run, "payload": {"command": "echo $A >&2; exit 3", "secrets": told}}})
    assert failed.status == 400, failed
    waits = {**run, "dispatch_mode": "queued", "payload": {"command": "true", "secrets": {"A": {"value": VALUES["waiting"]}}}}
    waiting = well(node.post("/mesh/jobs/submit", {"job": waits}))["job"]
    shards = {"base_job": waits, "shards": [{}, {"payload": {"secrets": {"A": {"value": VALUES["waiting"]}}}}],
              "target_peer_ids": [node.get("/mesh/manifest").json["organism_card"]["node_id"]]}
    task = well(node.post("/mesh/cooperative-tasks/launch", shards))
    well(node.post("/mesh/jobs/schedule", {"job": {**run, "kind": "demo"}}))
    invitation = well(node.post("/mesh/invitations", {}))
    artifacts = [each["id"] for each in node.get("/mesh/artifacts?limit=500").json["artifacts"]]
    grant = well(node.post("/mesh/grants", {"subject_peer_id": "friend", "scope": {"action": "artifact.read"}}))["grant"]
    party = well(node.post("/oscp/admin/v1/peers", {"local_role": "fp", "peer_role": "cp", "name": "site"}), 201)
    login = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    session = node.until(lambda: (found := node.post("/appmesh/login", None, {"Authorization": f"Basic {login}"})).status == 200
                         and found.json, "the first log-in")
    identity = json.loads((node.folder / "identity" / "identity.json").read_text())
    hidden = {**VALUES, "operator token": TOKEN, "password": PASSWORD, "private key": identity["private_key"],
              "invitation": invitation["code"], "grant": grant["signature"], "first oscp token": party["token_a"],
              "session": session["access_token"]}
    ids = {"job_id": [done["id"], failed.json["job"]["id"], waiting["id"]], "artifact_id": artifacts,
           "task_id": [task["id"]],
           "peer_id": [party["id"], "friend"], "invitation_id": [invitation["id"]], "user": ["admin"]}
    return Kept(node, ids, hidden, session["access_token"])


def paths(route: Route, ids: dict[str, list[str]]) -> list[str]:
    """The route's path for everything there is."""
    names = path_names(route)
    if not names:
        return [target(route, {})]
    return [target(route, {name: ids.get(name, ["none"])[min(at, len(ids.get(name, ["none"])) - 1)] for name in names})
            for at in range(max(len(ids.get(name, ["none"])) for name in names))]


def test_a_program_may_say_its_secrets_and_nobody_reads_them(held: Kept) -> None:
    logs = held.node.get(f"/mesh/artifacts?job_id={held.ids['job_id'][0]}&artifact_kind=log").json["artifacts"]
    texts = [base64.b64decode(held.node.get(f"/mesh/artifacts/{log['id']}").json["content_base64"]).decode() for log in logs]
    assert len(texts) == 2 and all("***" in text for text in texts) and not held.found("".join(texts))
    assert "OCP_OPERATOR_TOKEN" not in "".join(texts)


def test_no_answer_to_a_read_holds_a_secret(held: Kept) -> None:
    callers = {"the operator": {"X-OCP-Operator-Token": TOKEN}, "this machine": {}, "the network": FROM_LAN,
               "an App Mesh user": {"Authorization": f"Bearer {held.appmesh}"}}
    asked = 0
    for route in BUILT:
        if route.method != "GET":
            continue
        for path in paths(route, held.ids):
            path += "?once=1" if route.id == "mesh.control.stream" else "?timeout=0" if route.id == "appmesh.apps.output" else ""
            for caller, headers in callers.items():
                answer = held.node.get(path, headers)
                asked += answer.status == 200
                spilled = [name for name in held.found(whole(answer)) if not (route.surface == "appmesh" and name == "session")]
                assert not spilled, (route.id, caller, spilled, answer)
    assert asked > 100


def whole(answer: Answer) -> bytes:
    """Head and body, and the content that stands in it as base64."""
    text = f"{dict(answer.headers)}".encode() + answer.body
    if answer.headers.get("content-type", "").startswith("application/json") and answer.body:
        content = answer.json.get("content_base64") if isinstance(answer.json, dict) else None
        text += base64.b64decode(content) if content else b""
    return text


def test_no_refusal_holds_a_secret(held: Kept) -> None:
    for route in BUILT:
        if route.method not in ("POST", "PATCH") or route.body_stream:
            continue
        for path in paths(route, held.ids):
            for token in (TOKEN, TOKEN + "x", ""):
                headers = {"Content-Type": "application/json", "X-OCP-Operator-Token": token}
                answer = held.node.request(route.method, path, headers=headers, raw=b'{"')
                assert not held.found(whole(answer)) and TOKEN not in answer.text, (route.id, answer)
                assert answer.status >= 400 or not route.body, (route.id, answer)


def test_no_file_and_no_log_line_holds_a_secret_in_clear(held: Kept) -> None:
    for path in held.node.folder.rglob("*"):
        if path.is_file():
            spilled = set(held.found(path.read_bytes())) - ({"private key"} if path.name == "identity.json" else set())
            assert not spilled, (path, spilled)
    log = held.node.errors
    assert '"level"' in log and not held.found(log), log


# --- calls to others ---------------------------------------------------------------------------------------------------------

def test_calls_to_others_carry_no_token_of_ours(tmp_path: Path) -> None:
    """Every call that an operator can cause, through a wire that records it; each one must have reached the other node."""
    with contextlib.ExitStack() as stack:
        beta = stack.enter_context(ProcessNode(tmp_path / "beta", "--node-id", "beta", token=OTHER_TOKEN))
        wire = stack.enter_context(contextlib.closing(Network(beta.port, 0, GOOD)))
        alpha = stack.enter_context(ProcessNode(
            tmp_path / "alpha", "--node-id", "alpha", "--directory-publish-to", wire.url, "--directory-read-seconds", "1",
            "--directory-endpoint", "wss://alpha.example/mesh/stream", token=TOKEN))
        code, artifact = well(beta.post("/mesh/invitations", {"base_url": wire.url}))["code"], uploaded(beta)
        port = int(wire.url.rpartition(":")[2])
        copied = {"peer_id": "beta", "artifact_id": artifact}
        grant = {"type": "capability_grant", "grant": well(beta.post("/mesh/grants", {
            "subject_peer_id": "alpha", "scope": {"action": "artifact.read", "max_uses": 5}}))["grant"]}
        calls = {
            "/mesh/discovery/seek": {"base_urls": [wire.url], "timeout": 3},
            "/mesh/invitations/join": {"code": code},
            "/mesh/peers/connect": {"base_url": wire.url},
            "/mesh/peers/connect-all": {"scan_timeout": 0.1, "limit": 1, "port": port},
            "/mesh/peers/sync": {"peer_id": "beta", "refresh_manifest": True},
            "/mesh/routes/probe": {"peer_id": "beta"},
            "/mesh/artifacts/replicate": {**copied, "remote_auth": grant},
            "/mesh/artifacts/verify-mirror": {},
            "/mesh/artifacts/replicate-graph": {**copied, "remote_auth": grant},
            "/mesh/discovery/scan-local": {"timeout": 0.1, "limit": 1, "port": port},
            "/mesh/autonomy/activate": {"scan_timeout": 0.1, "limit": 1, "timeout": 3},
        }
        copy = ""
        for path, body in calls.items():
            before = len(wire.passed)
            answer = alpha.post(path, {"artifact_id": copy} if path.endswith("verify-mirror") else body)
            assert answer.status == 200, (path, answer)
            assert len(wire.passed) > before, f"{path} called nobody"
            copy = answer.json["artifact"]["id"] if path.endswith("/replicate") else copy
        alpha.until(lambda: any(each.request.startswith(b"PUT /adv/") for each in wire.passed), "the advertisement")
        alpha.until(lambda: any(each.request.startswith(b"GET /adv?") for each in wire.passed), "a look at the directory")
        for each in wire.passed:
            assert not carried(each.request), each
        alpha.stop()
        beta.stop()


def uploaded(to: ProcessNode) -> str:
    """The id of an artifact that only operators of the node may read."""
    headers = {"X-OCP-Operator-Token": to.token, "Content-Type": "text/plain"}
    answer = to.request("PUT", "/mesh/artifacts/content?classification=trusted", headers=headers, raw=b"for operators")
    return str(well(answer, 201)["artifact"]["id"])


def carried(request: bytes) -> list[str]:
    """What of ours, or of any log-in, a request carries."""
    head = request.partition(b"\r\n\r\n")[0].lower().decode("latin-1")
    names = {line.partition(":")[0] for line in head.split("\r\n")[1:]}
    found = sorted(names & {"authorization", "cookie", "x-ocp-operator-token", "x-ocp-control-token", "proxy-authorization"})
    return [*found, *(token for token in (TOKEN, OTHER_TOKEN) if token.encode() in request)]


def test_a_token_given_for_a_peer_goes_to_that_peer_with_the_content_alone(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        beta = stack.enter_context(ProcessNode(tmp_path / "beta", "--node-id", "beta", token=OTHER_TOKEN))
        wire = stack.enter_context(contextlib.closing(Network(beta.port, 0, GOOD)))
        alpha = stack.enter_context(ProcessNode(tmp_path / "alpha", "--node-id", "alpha", token=TOKEN))
        well(alpha.post("/mesh/peers/connect", {"base_url": wire.url}))
        given = {"type": "operator_token", "token": OTHER_TOKEN}
        answer = alpha.post("/mesh/artifacts/replicate", {"peer_id": "beta", "artifact_id": uploaded(beta), "remote_auth": given})
        assert answer.status == 200 and OTHER_TOKEN not in answer.text, answer
        bearing = [each.request for each in wire.passed if carried(each.request)]
        assert len(bearing) == 1 and b"include_content=1" in bearing[0].partition(b"\r\n")[0]
        assert all(TOKEN.encode() not in each.request for each in wire.passed)
        for path in alpha.folder.rglob("*"):
            assert not path.is_file() or OTHER_TOKEN.encode() not in path.read_bytes(), path
        alpha.stop()
        beta.stop()
