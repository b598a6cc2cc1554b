"""Secrets of a running node, and of its files."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.errors import Refusal, Unusable
from ocp_node.crypto import boxes
from ocp_node.mesh.secrets import keyring
from tests.support.node import FROM_LAN, TrialNode
from tests.support.replies import fits

VALUE = "server-secret-token-4711"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


def put(node: TrialNode, name: str = "api-token", scope: str = "mesh.ops", value: Any = VALUE, **more: Any) -> dict[str, Any]:
    answer = node.post("/mesh/secrets/put", {"name": name, "scope": scope, "value": value, **more})
    assert answer.status == 200 and VALUE not in answer.text, answer
    return fits("mesh.secrets.put", answer.json)["secret"]


def listed(node: TrialNode, query: str = "") -> list[dict[str, Any]]:
    body = fits("mesh.secrets.list", node.get(f"/mesh/secrets{query}").json)
    assert body["count"] == len(body["secrets"])
    return body["secrets"]


def found(node: TrialNode, name: str = "api-token", scope: str = "mesh.ops", requester: str = "") -> str | None:
    with node.core.reader.snapshot() as connection:
        return node.rooms["mesh.secrets"].deliver(connection, scope, name, requester)


# --- storing and listing

def test_a_secret_is_stored_shown_and_delivered(node: TrialNode) -> None:
    made = put(node, metadata={"origin": "test"})
    assert made["id"] == "c60e16ac647a58d88659ade8557bc303" and made["value_present"] and made["metadata"] == {"origin": "test"}
    assert listed(node) == [made] and found(node) == VALUE and found(node, "other") is None
    events = node.get("/mesh/stream").json["events"]
    assert [event["payload"] for event in events if event["event_type"] == "mesh.secret.stored"] == [
        {"secret_id": made["id"], "scope": "mesh.ops", "name": "api-token"}]


def test_storing_again_replaces_the_value_and_keeps_the_beginning(node: TrialNode) -> None:
    first = put(node, metadata={"origin": "test"})
    node.advance(10)
    second = put(node, value="another")
    assert (second["id"], second["created_at"], second["metadata"]) == (first["id"], first["created_at"], {})
    assert second["updated_at"] > first["updated_at"] and second["value_digest"] != first["value_digest"]
    assert found(node) == "another" and len(listed(node)) == 1


def test_an_empty_value_is_a_value_that_is_not_present(node: TrialNode) -> None:
    made = put(node, value="")
    assert made["value_present"] is False and made["value_digest"] == "" and found(node) == ""


def test_digests_are_opaque_but_recognise_a_value(node: TrialNode) -> None:
    made = put(node)
    assert made["value_digest"] != hashlib.sha256(VALUE.encode()).hexdigest() and len(made["value_digest"]) == 64
    assert put(node)["value_digest"] == made["value_digest"] == node.rooms["mesh.secrets"].digest(VALUE, "mesh.ops", "api-token")
    assert put(node, scope="mesh.other")["value_digest"] != made["value_digest"]      # equal values of two names look different


def test_lists_show_the_latest_change_first(node: TrialNode) -> None:
    for name in ("a", "b", "c"):
        put(node, name=name, scope="s1" if name != "b" else "s2")
    put(node, name="a", scope="s1")
    names = [each["name"] for each in listed(node)]
    assert names == ["a", "c", "b"] and [each["name"] for each in listed(node, "?scope=s1")] == ["a", "c"]
    assert len(listed(node, "?limit=1")) == 1 and len(listed(node, "?limit=0")) == 3 and len(listed(node, "?limit=-3")) == 1


@pytest.mark.parametrize("body, error", [
    ({"scope": "s", "value": "v"}, "secret name is required"), ({"name": "n", "value": "v"}, "secret scope is required"),
    ({"name": "n", "scope": "s"}, "secret value is required"), ({"name": "n", "scope": "s", "value": {"a": True}},
                                                               "secret value must be a string"),
    ({"name": "n\0", "scope": "s", "value": "v"}, "name must not have the character U+0000"),
    ({"name": 7, "scope": "s", "value": "v"}, "name must be a string"),
])
def test_refusals_have_the_words_of_the_protocol(node: TrialNode, body: dict[str, Any], error: str) -> None:
    answer = node.post("/mesh/secrets/put", body)
    assert (answer.status, answer.json["error"]) == (400, error) and listed(node) == []


# --- who

def test_names_are_for_operators_and_callers_on_this_machine(node: TrialNode) -> None:
    put(node)
    answer = node.get("/mesh/secrets", FROM_LAN)
    assert answer.status == 401 and "api-token" not in answer.text
    assert {name: answer.json[name] for name in ("error", "method", "path", "client_address")} == {
        "error": "operator authorization required", "method": "GET", "path": "/mesh/secrets", "client_address": "192.168.77.10"}
    assert node.post("/mesh/secrets/put", {"name": "n", "scope": "s", "value": "v"}, FROM_LAN).status == 401


def test_events_tell_strangers_no_names(node: TrialNode) -> None:
    made = put(node)
    (event,) = [each for each in node.get("/mesh/stream", FROM_LAN).json["events"] if each["event_type"] == "mesh.secret.stored"]
    assert event["payload"] == {"secret_id": made["id"]}


def test_an_operator_from_elsewhere_sees_them_and_everybody_when_it_is_switched_on(tmp_path: Path) -> None:
    with TrialNode(tmp_path / "a", trusted_proxies=("127.0.0.1",), operator_token="0123456789abcdef") as node:
        assert node.get("/mesh/secrets", FROM_LAN).status == 401 and node.get("/mesh/secrets").status == 200
        assert node.get("/mesh/secrets", {**FROM_LAN, "Authorization": "Bearer 0123456789abcdef"}).status == 200
    with TrialNode(tmp_path / "b", trusted_proxies=("127.0.0.1",), secrets_list_public=True) as node:
        assert node.get("/mesh/secrets", FROM_LAN).status == 200


def test_jobs_of_other_nodes_get_only_what_names_them(node: TrialNode) -> None:
    put(node, metadata={"allowed_peers": ["beta-node"]})
    room = node.rooms["mesh.secrets"]
    assert found(node, requester="trial-node") == found(node, requester="beta-node") == VALUE
    assert found(node, requester="gamma-node") is None
    with node.core.reader.snapshot() as connection:
        assert room.granted(connection, "mesh.ops", "api-token", "beta-node")
        assert not room.granted(connection, "mesh.ops", "api-token", "gamma-node")
        assert not room.granted(connection, "mesh.ops", "x")


# --- at rest

def test_no_file_of_the_node_holds_a_value(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        put(node)
        put(node, value=VALUE + "-second")
        paths = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert paths and not [path for path in paths if VALUE.encode() in path.read_bytes()]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()]
    assert (tmp_path / "identity" / "secrets.key").stat().st_mode & 0o777 == 0o600


def test_values_survive_a_restart(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        made = put(node)
    with TrialNode(tmp_path) as node:
        assert listed(node) == [made] and found(node) == VALUE and put(node)["value_digest"] == made["value_digest"]


def changed_key(path: Path) -> None:
    path.write_bytes(bytes(32))


def lost_key(path: Path) -> None:
    path.unlink()


def shared_key(path: Path) -> None:
    path.chmod(0o644)


def broken_key(path: Path) -> None:
    path.write_bytes(b"short")


@pytest.mark.parametrize("harm, line", [
    (changed_key, "does not open the stored secrets"), (lost_key, "there is no key file"), (shared_key, "secrets.key"),
    (broken_key, "is damaged"),
])
def test_a_node_whose_key_is_wrong_says_so_and_changes_nothing(tmp_path: Path, harm: Any, line: str) -> None:
    path = tmp_path / "identity" / "secrets.key"
    with TrialNode(tmp_path) as node:
        put(node)
    key = path.read_bytes()
    harm(path)
    with pytest.raises(Unusable) as caught:
        TrialNode(tmp_path)
    assert line in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not path.exists() or path.read_bytes() != key or harm is shared_key
    path.write_bytes(key)
    path.chmod(0o600)
    with TrialNode(tmp_path) as node:
        assert found(node) == VALUE


@pytest.mark.parametrize("harm, line", [(shared_key, "secrets.key"), (broken_key, "is damaged")])
def test_a_key_that_others_can_read_is_refused_though_nothing_is_sealed_yet(tmp_path: Path, harm: Any, line: str) -> None:
    path = tmp_path / "identity" / "secrets.key"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(bytes(range(32)))
    path.chmod(0o600)
    harm(path)
    with pytest.raises(Unusable, match=line):
        TrialNode(tmp_path)


def test_the_key_can_lie_elsewhere(tmp_path: Path) -> None:
    key_file = tmp_path / "keys" / "sealed"
    with TrialNode(tmp_path / "node", secrets_key_file=key_file) as node:
        put(node)
    assert len(key_file.read_bytes()) == 32 and not (tmp_path / "node" / "identity" / "secrets.key").exists()
    with pytest.raises(Unusable, match="there is no key file"):
        TrialNode(tmp_path / "node")


def rows(folder: Path, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
    connection = sqlite3.connect(folder / "ocp.db")
    with connection:
        result = connection.execute(sql, values).fetchall()
    connection.close()
    return result


def test_a_value_moved_to_another_name_does_not_open(tmp_path: Path) -> None:
    with TrialNode(tmp_path) as node:
        put(node)
        put(node, name="other", value="harmless")
    rows(tmp_path, "UPDATE mesh_secret SET value = (SELECT value FROM mesh_secret WHERE name = 'other') WHERE name = 'api-token'")
    rows(tmp_path, "DELETE FROM mesh_secret WHERE name = 'other'")
    with pytest.raises(Unusable):
        TrialNode(tmp_path)


def test_one_spoiled_value_is_refused_not_guessed(node: TrialNode) -> None:
    put(node)
    node.core.writer.run(lambda connection: connection.execute("UPDATE mesh_secret SET value = 'v1:AAAA'"))
    with pytest.raises(Refusal) as caught:
        found(node)
    assert caught.value.code == "corrupted" and listed(node)[0]["value_present"]


def test_clear_values_from_before_are_sealed_at_start(tmp_path: Path) -> None:
    with TrialNode(tmp_path):
        pass
    for number in range(450):
        rows(tmp_path, "INSERT INTO mesh_secret VALUES ('s', ?, ?, '', '{}', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', ?)",
             (f"n{number}", f"clear-{number}", number + 1))
    with TrialNode(tmp_path) as node:
        assert found(node, "n449", "s") == "clear-449" and len(listed(node, "?limit=500")) == 450
        assert all(each["value_present"] and each["created_at"] == "2026-01-01T00:00:00Z" for each in listed(node, "?limit=500"))
    assert rows(tmp_path, "SELECT count(*) FROM mesh_secret WHERE value LIKE '%clear%'") == [(0,)]
    assert b"clear-4" not in (tmp_path / "ocp.db").read_bytes()


def test_jobs_seal_their_own_values_for_themselves(node: TrialNode) -> None:
    ring = node.rooms["mesh.secrets"].keyring
    sealed = ring.seal("inline", keyring.JOB, "job-1", "TOKEN")
    assert ring.open(sealed, keyring.JOB, "job-1", "TOKEN") == "inline" and "inline" not in sealed
    for label, names in ((keyring.JOB, ("job-2", "TOKEN")), (keyring.SECRET, ("job-1", "TOKEN"))):
        with pytest.raises(boxes.CannotOpen):
            ring.open(sealed, label, *names)


def test_the_store_is_bounded(node: TrialNode, monkeypatch: pytest.MonkeyPatch) -> None:
    from ocp_node.mesh.secrets import room
    monkeypatch.setattr(room, "KEPT_MAX", 2)
    put(node, name="a")
    put(node, name="b")
    assert node.post("/mesh/secrets/put", {"name": "c", "scope": "s", "value": "v"}).status == 503
    put(node, name="a")
