"""Three nodes in processes of their own form a mesh over loopback, work for each other, die, come back, and are told apart."""

from __future__ import annotations

import base64
import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.ids import Ids
from ocp_node.crypto import envelopes
from ocp_node.crypto import identity as identities
from tests.support.node import Answer
from tests.support.process_node import Asking, ProcessNode

NAMES = ("alpha", "beta", "gamma")


def node(folder: Path, name: str, *flags: str, **variables: str) -> ProcessNode:
    """A node that has an operator token of its own."""
    return ProcessNode(folder / name, "--node-id", name, *flags, token=f"the-operator-token-of-{name}", **variables)


@contextlib.contextmanager
def strangers(folder: Path) -> Iterator[list[ProcessNode]]:
    """Three nodes that know nobody."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(node(folder, name)) for name in NAMES]
        yield nodes
        for each in nodes:
            each.stop()


@pytest.fixture()
def three(tmp_path: Path) -> Iterator[list[ProcessNode]]:
    with strangers(tmp_path) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ProcessNode]]:
    """Three nodes, each a trusted peer of the others; for tests that leave them so, one after the other."""
    with strangers(tmp_path_factory.mktemp("mesh")) as nodes:
        alpha, beta, gamma = nodes
        for caller, called in ((alpha, beta), (alpha, gamma), (beta, gamma)):
            connect(caller, called)
        yield nodes


def connect(caller: ProcessNode, called: ProcessNode) -> dict[str, Any]:
    return well(caller.post("/mesh/peers/connect", {"base_url": called.url, "trust_tier": "trusted"}))


def well(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.json


def peers(of: ProcessNode) -> dict[str, dict[str, Any]]:
    return {peer["peer_id"]: peer for peer in of.get("/mesh/peers").json["peers"]}


def key(of: ProcessNode) -> str:
    return str(of.get("/mesh/manifest").json["organism_card"]["public_key"])


def events(of: ProcessNode) -> list[str]:
    """What its log has, oldest first."""
    return [event["event_type"] for event in of.get("/mesh/stream?limit=500").json["events"]]


def content(of: ProcessNode, artifact_id: str) -> bytes:
    return base64.b64decode(well(of.get(f"/mesh/artifacts/{artifact_id}"))["content_base64"])


def uploaded(to: ProcessNode, data: bytes) -> dict[str, Any]:
    headers = {"X-OCP-Operator-Token": to.token, "Content-Type": "text/plain"}
    answer = to.request("PUT", "/mesh/artifacts/content?classification=trusted", headers=headers, raw=data)
    assert answer.status == 201, answer
    return answer.json["artifact"]


def granted(by: ProcessNode, to: ProcessNode, uses: int = 1, **scope: Any) -> dict[str, Any]:
    """What `to` shows `by` in order to read there."""
    scope = {"action": "artifact.read", "max_uses": uses, **scope}
    grant = well(by.post("/mesh/grants", {"subject_peer_id": to.node_id, "scope": scope}))["grant"]
    return {"type": "capability_grant", "grant": grant}


def signed(by: ProcessNode, path: str, body: dict[str, Any], request_id: str = "") -> dict[str, Any]:
    """An envelope under the node's own key, as the node itself sends it."""
    identity = identities.load_or_create(by.folder / "identity", Ids(), by.clock)
    return envelopes.sign_envelope(identity, path, body, by.clock, Ids(), request_id or None)


def imported(by: ProcessNode, of: ProcessNode) -> list[int]:
    """The numbers of the peer's events that the node holds."""
    with contextlib.closing(sqlite3.connect(f"file:{by.folder}/ocp.db?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT remote_seq FROM mesh_remote_event WHERE peer_id = ? ORDER BY remote_seq", (of.node_id,))
        return [row[0] for row in rows]


def nothing_missing(numbers: list[int], newest: int) -> None:
    """Every event once, in order, up to `newest` at least: a node that works goes on writing."""
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= newest


# --- forming -----------------------------------------------------------------------------------------------------------------

def test_an_operator_makes_a_mesh_of_three(three: list[ProcessNode]) -> None:
    alpha, beta, gamma = three
    assert alpha.post("/mesh/peers/connect", {"base_url": beta.url}, {}).status == 401
    connect(alpha, beta)
    connect(alpha, gamma)
    connect(beta, gamma)
    for each in three:
        others = peers(each)
        assert set(others) == set(NAMES) - {each.node_id}
        assert {(peer["trust_tier"], peer["status"]) for peer in others.values()} == {("trusted", "connected")}
        assert {name: peer["public_key"] for name, peer in others.items()} == {
            other.node_id: key(other) for other in three if other is not each}


def test_events_of_one_are_read_by_the_others_once(mesh: list[ProcessNode]) -> None:
    alpha, beta, gamma = mesh
    for number in range(7):
        well(gamma.post("/mesh/lease/acquire", {"peer_id": "gamma", "resource": f"r{number}"}))
    newest = gamma.get("/mesh/stream").json["latest_seq"]
    for reader in (alpha, beta):
        while well(reader.post("/mesh/peers/sync", {"peer_id": "gamma", "limit": 3}))["imported_events"]:
            pass
        nothing_missing(imported(reader, gamma), newest)


# --- artifacts ---------------------------------------------------------------------------------------------------------------

def test_an_artifact_of_one_is_copied_to_the_others(mesh: list[ProcessNode]) -> None:
    alpha, beta, gamma = mesh
    source = uploaded(alpha, b"made on alpha\n" * 10_000)
    for reader in (beta, gamma):
        body = {"peer_id": "alpha", "artifact_id": source["id"]}
        refused = reader.post("/mesh/artifacts/replicate", body)
        assert (refused.status, refused.json["peer_status"]) == (502, 401)          # trusted content needs more than being a peer
        grant = granted(alpha, reader, artifact_id=source["id"])
        copy = well(reader.post("/mesh/artifacts/replicate", {**body, "remote_auth": grant}))["artifact"]
        assert copy["digest"] == source["digest"] and content(reader, copy["id"]) == b"made on alpha\n" * 10_000
        assert well(reader.post("/mesh/artifacts/replicate", {**body, "remote_auth": grant}))["status"] == "already_present"
        assert well(reader.post("/mesh/artifacts/verify-mirror", {"artifact_id": copy["id"]}))["status"] == "verified"
    stolen = granted(alpha, beta, artifact_id=source["id"])
    other = uploaded(alpha, b"for beta alone")
    taken = gamma.post("/mesh/artifacts/replicate", {"peer_id": "alpha", "artifact_id": other["id"], "remote_auth": stolen})
    assert taken.status in (400, 502) and gamma.get(f"/mesh/artifacts?digest={other['digest']}").json["count"] == 0


# --- jobs --------------------------------------------------------------------------------------------------------------------

def test_a_job_of_one_runs_on_another_and_its_result_comes_back(mesh: list[ProcessNode]) -> None:
    alpha, beta, _ = mesh
    job = {"kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": ["/bin/echo", "made on beta"]}}
    envelope = signed(alpha, "/mesh/jobs/submit", {"job": job}, "from-alpha")
    answer = well(beta.post("/mesh/jobs/submit", envelope, {}))
    assert (answer["status"], answer["job"]["origin_peer_id"]) == ("completed", "alpha")
    assert beta.post("/mesh/jobs/submit", envelope, {}).json["code"] == "replayed_nonce"
    again = well(beta.post("/mesh/jobs/submit", signed(alpha, "/mesh/jobs/submit", {"job": job}, "from-alpha"), {}))["job"]
    assert (again["id"], again["deduped"]) == (answer["job"]["id"], True)
    bundle = answer["job"]["metadata"]["result_bundle_ref"]["id"]
    got = well(alpha.post("/mesh/artifacts/replicate-graph", {"peer_id": "beta", "artifact_id": bundle,
                                                              "remote_auth": granted(beta, alpha, uses=20)}))
    assert got["status"] == "replicated"
    logs = alpha.get(f"/mesh/artifacts?job_id={answer['job']['id']}&artifact_kind=log").json["artifacts"]
    assert [content(alpha, log["id"]) for log in logs] == [b"made on beta\n"]


def test_a_queued_job_of_a_peer_waits_where_execution_was_not_switched_on(mesh: list[ProcessNode]) -> None:
    """The built-in worker takes the operator's own jobs; those of peers only after an explicit word."""
    alpha, beta, _ = mesh
    job = {"kind": "shell.command", "payload": {"command": "true"}}
    first = well(beta.post("/mesh/jobs/submit", signed(alpha, "/mesh/jobs/submit", {"job": job}), {}))["job"]
    own = well(beta.post("/mesh/jobs/submit", {"job": job}))["job"]
    beta.until(lambda: beta.get(f"/mesh/jobs/{own['id']}").json["status"] == "completed", "the operator's own job")
    assert beta.get(f"/mesh/jobs/{first['id']}").json["status"] == "queued"
    well(beta.post("/mesh/peers/alpha/trust", {"remote_execution": True}))
    beta.until(lambda: beta.get(f"/mesh/jobs/{first['id']}").json["status"] == "completed", "the peer's job")
    well(beta.post("/mesh/peers/alpha/trust", {"remote_execution": None}))


def test_a_peer_whose_code_is_not_wanted_runs_nothing(mesh: list[ProcessNode], tmp_path: Path) -> None:
    alpha, beta, _ = mesh
    job = {"kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": f"touch {tmp_path}/it-ran"}}

    def under(order: dict[str, Any]) -> Answer:
        well(beta.post("/mesh/peers/alpha/trust", order))
        return beta.post("/mesh/jobs/submit", signed(alpha, "/mesh/jobs/submit", {"job": job}), {})

    try:
        for order in ({"remote_execution": False}, {"trust_tier": "market", "remote_execution": True}):
            answer = well(under(order))
            reason = answer["job"]["metadata"]["reason"]
            assert answer["status"] == "rejected" and reason in ("remote_execution_denied", "policy_denied"), answer
        blocked = under({"trust_tier": "blocked"})
        assert (blocked.status, blocked.json["code"]) == (403, "policy_denied")
        assert not (tmp_path / "it-ran").exists()
        assert well(under({"trust_tier": "trusted", "remote_execution": None}))["status"] == "completed"
        assert (tmp_path / "it-ran").exists()
    finally:
        well(beta.post("/mesh/peers/alpha/trust", {"trust_tier": "trusted", "remote_execution": None}))


# --- dying and coming back ---------------------------------------------------------------------------------------------------

def probed(by: ProcessNode, peer_id: str) -> tuple[str, str, str]:
    """How a probe ended, and how the route stands in the list of all routes after it."""
    outcome = well(by.post("/mesh/routes/probe", {"peer_id": peer_id}))
    route = next(route for route in by.get("/mesh/routes/health").json["routes"] if route["peer_id"] == peer_id)
    return outcome["status"], route["status"], route["freshness"]


def test_a_node_that_was_killed_comes_back_to_its_place(mesh: list[ProcessNode]) -> None:
    alpha, beta, gamma = mesh
    pinned = key(gamma)
    for number in range(4):
        well(gamma.post("/mesh/lease/acquire", {"peer_id": "gamma", "resource": f"before-{number}"}))
    assert well(alpha.post("/mesh/peers/sync", {"peer_id": "gamma", "limit": 3}))["imported_events"] == 3
    assert probed(alpha, "gamma") == ("ok", "reachable", "fresh")
    gamma.kill()
    assert probed(alpha, "gamma") == ("attention_needed", "unreachable", "failed")
    failed = alpha.post("/mesh/peers/sync", {"peer_id": "gamma"})
    assert (failed.status, failed.json["code"], peers(alpha)["gamma"]["status"]) == (502, "peer_unreachable", "degraded")
    assert peers(alpha)["gamma"]["public_key"] == peers(beta)["gamma"]["public_key"] == pinned
    gamma.start()
    assert key(gamma) == pinned and set(peers(gamma)) == {"alpha", "beta"}
    assert probed(alpha, "gamma") == ("ok", "reachable", "fresh")
    well(gamma.post("/mesh/lease/acquire", {"peer_id": "gamma", "resource": "after"}))
    newest = gamma.get("/mesh/stream").json["latest_seq"]
    while well(alpha.post("/mesh/peers/sync", {"peer_id": "gamma", "limit": 3}))["imported_events"]:
        pass
    nothing_missing(imported(alpha, gamma), newest)
    assert (peers(alpha)["gamma"]["status"], peers(alpha)["gamma"]["sync_state"]["last_sync_error"]) == ("connected", "")


def test_the_reader_may_die_while_it_reads_and_reads_on(mesh: list[ProcessNode]) -> None:
    alpha, beta, _ = mesh
    for number in range(40):
        well(beta.post("/mesh/lease/acquire", {"peer_id": "beta", "resource": f"r{number}"}))
    for _ in range(3):
        reading = [Asking(lambda: alpha.post("/mesh/peers/sync", {"peer_id": "beta", "limit": 1})) for _ in range(4)]
        first = reading[0]
        first.join(20)
        assert first.fault is None
        alpha.kill()                                            # the others are somewhere on their way
        alpha.start()
        for each in reading:
            each.join(20)
    newest = beta.get("/mesh/stream").json["latest_seq"]
    while well(alpha.post("/mesh/peers/sync", {"peer_id": "beta"}))["imported_events"]:
        pass
    nothing_missing(imported(alpha, beta), newest)


def test_a_node_that_comes_back_with_another_key_is_refused(three: list[ProcessNode]) -> None:
    alpha, _, gamma = three
    connect(alpha, gamma)
    before = peers(alpha)["gamma"]
    well(alpha.post("/mesh/peers/sync", {"peer_id": "gamma"}))
    held = imported(alpha, gamma)
    gamma.stop()
    shutil.rmtree(gamma.folder)
    gamma.start()                                               # the same name and place, another key, an empty log
    assert key(gamma) != before["public_key"]
    for attempt in (alpha.post("/mesh/peers/connect", {"peer_id": "gamma"}), alpha.post("/mesh/peers/sync", {"peer_id": "gamma"}),
                    alpha.post("/mesh/peers/sync", {"peer_id": "gamma", "refresh_manifest": True})):
        assert (attempt.status, attempt.json["code"]) == (401, "key_changed"), attempt
    assert well(alpha.post("/mesh/routes/probe", {"peer_id": "gamma"}))["reachable"] == 0
    knocking = gamma.post("/mesh/peers/connect", {"base_url": alpha.url})
    assert (knocking.status, knocking.json["peer_status"]) == (502, 401) and "public key changed" in knocking.json["peer_error"]
    forged = alpha.post("/mesh/jobs/submit", signed(gamma, "/mesh/jobs/submit", {"job": {"kind": "agent.echo"}}), {})
    assert (forged.status, forged.json["code"]) == (401, "bad_signature")
    assert peers(alpha)["gamma"]["public_key"] == before["public_key"] and imported(alpha, gamma) == held
    well(alpha.post("/mesh/peers/gamma/trust", {"reset_key": True}))
    connect(alpha, gamma)
    assert peers(alpha)["gamma"]["public_key"] == key(gamma) and peers(gamma)["alpha"]["status"] == "connected"
    nothing_missing(imported(alpha, gamma), 1)


def test_a_node_takes_a_new_key_and_its_peers_follow_as_they_can(three: list[ProcessNode]) -> None:
    alpha, beta, gamma = three
    connect(alpha, gamma)
    connect(gamma, beta)
    before = key(gamma)
    stale = signed(gamma, "/mesh/jobs/submit", {"job": {"kind": "agent.echo"}})
    beta.stop()
    assert gamma.post("/mesh/identity/rotate", {"public_key": before}, {}).status == 401
    done = well(gamma.post("/mesh/identity/rotate", {"public_key": before, "reason": "a year is over"}))
    assert gamma.post("/mesh/identity/rotate", {"public_key": before}).status == 409
    assert done["public_key"] == key(gamma) != before
    alpha.until(lambda: peers(alpha)["gamma"]["public_key"] == done["public_key"], "alpha follows")
    assert (peers(alpha)["gamma"]["trust_tier"], peers(alpha)["gamma"]["status"]) == ("trusted", "connected")
    assert (refused := alpha.post("/mesh/jobs/submit", stale, {})).status == 401 and refused.json["code"] == "bad_signature"
    fresh = signed(gamma, "/mesh/jobs/submit", {"job": {"kind": "agent.echo"}})
    assert alpha.post("/mesh/jobs/submit", fresh, {}).status == 200
    gamma.kill()                                                # what is still to be told is told after that, too
    gamma.start()
    assert key(gamma) == done["public_key"]
    beta.start()
    beta.until(lambda: peers(beta)["gamma"]["public_key"] == done["public_key"], "beta follows")
    assert beta.post("/mesh/jobs/submit", stale, {}).json["code"] == "bad_signature"
    for each in (alpha, beta):
        assert events(each).count("mesh.peer.key_succeeded") == 1
        assert well(each.post("/mesh/peers/sync", {"peer_id": "gamma", "refresh_manifest": True}))["peer"]["status"] == "connected"
    assert events(gamma).count("mesh.identity.rotated") == 1
    gamma.until(lambda: events(gamma).count("mesh.identity.told") == 2, "gamma knows who was told")


# --- invitations -------------------------------------------------------------------------------------------------------------

def test_an_invitation_lets_one_device_in(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        alpha, beta, gamma = (stack.enter_context(node(tmp_path, name, "--peer-admission", "approval")) for name in NAMES)
        made = well(alpha.post("/mesh/invitations", {"trust_tier": "partner"}))
        assert alpha.post("/mesh/invitations", {}, {}).status == beta.post("/mesh/invitations/join", made, {}).status == 401
        joined = well(beta.post("/mesh/invitations/join", {"code": made["code"]}))
        state = well(alpha.get(f"/mesh/invitations/{made['id']}"))
        assert (joined["peer_id"], state["state"], state["peer_id"], state["words"]) == ("alpha", "used", "beta", joined["words"])
        assert (peers(alpha)["beta"]["trust_tier"], peers(beta)["alpha"]["trust_tier"]) == ("partner", "partner")
        late = gamma.post("/mesh/invitations/join", {"code": made["code"]})
        assert late.status == 502 and set(peers(alpha)) == {"beta"}
        connect(gamma, alpha)                                   # without a code it has to wait for the operator
        assert (peers(alpha)["gamma"]["status"], peers(alpha)["gamma"]["trust_tier"]) == ("pending", "public")
        for each in (alpha, beta, gamma):
            each.stop()


# --- the directory -----------------------------------------------------------------------------------------------------------

def test_nodes_find_each_other_in_the_directory_of_one(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        alpha = stack.enter_context(node(tmp_path, "alpha"))
        told = ("--directory-publish-to", alpha.url, "--directory-read-seconds", "1")
        endpoint = "wss://{}.example/mesh/stream"
        beta, gamma = (stack.enter_context(node(tmp_path, name, *told, "--directory-endpoint", endpoint.format(name)))
                       for name in ("beta", "gamma"))
        items = beta.until(lambda: (found := alpha.get("/adv").json["items"])[1:] and found, "both advertisements")
        assert {item["endpoints"][0]["endpoint/url"] for item in items} == {endpoint.format("beta"), endpoint.format("gamma")}
        for reader, other in ((beta, "gamma"), (gamma, "beta")):
            found = reader.until(lambda reader=reader: candidates(reader), "a candidate")
            assert found == [(f"https://{other}.example", "discovered", f"directory {alpha.url}", True)]
        assert sorted(candidates(alpha)) == [(f"https://{name}.example", "discovered", "this node's directory", True)
                                             for name in ("beta", "gamma")]
        for each in (alpha, beta, gamma):
            each.stop()


def candidates(of: ProcessNode) -> list[tuple[str, str, str, bool]]:
    """Which nodes it could meet, and by whose word."""
    return [(each["base_url"], each["status"], each["metadata"]["source"], each["metadata"]["verified"])
            for each in of.get("/mesh/discovery/candidates").json["candidates"]]
