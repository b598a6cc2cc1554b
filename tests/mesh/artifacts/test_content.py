"""Who gets an artifact's content, in which form, and what happens when the disk has spoiled it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.records import decode
from ocp_node.mesh.artifacts import records
from tests.support.artifacts import AS_OPERATOR, TOKEN, content, events, known, store
from tests.support.node import FROM_LAN, TrialNode

BYTES = {"Accept": "application/octet-stream"}
UNAUTHORIZED = "operator authorization required"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",)) as running:
        yield running


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TrialNode]:
    with TrialNode(tmp_path, trusted_proxies=("127.0.0.1",), operator_token=TOKEN) as running:
        yield running


def blob_path(node: TrialNode, artifact: dict[str, Any]) -> Path:
    return node.folder / "artifacts" / "sha256" / artifact["digest"][:2] / artifact["digest"][2:]


# --- who -----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("policy, headers, status", [
    ("trusted", {}, 401), ("private", {}, 401), ("public", {}, 200), ("public", FROM_LAN, 200), ("trusted", FROM_LAN, 401),
    ("trusted", AS_OPERATOR, 200), ("private", AS_OPERATOR, 200), ("private", {**FROM_LAN, **AS_OPERATOR}, 200),
    ("trusted", {"Authorization": f"Bearer {TOKEN}"}, 200), ("trusted", {"X-OCP-Operator-Token": "wrong"}, 401),
    ("trusted", {"X-OCP-Operator-Token": "wrong", "Authorization": f"Bearer {TOKEN}"}, 401),
])
def test_content_is_for_operators_and_what_is_public_for_all(guarded: TrialNode, policy: str, headers: Any, status: int) -> None:
    made = store(guarded, b"content", policy={"classification": policy})
    for more in ({}, BYTES):
        assert guarded.get(f"/mesh/artifacts/{made['id']}", {**headers, **more}).status == status


@pytest.mark.parametrize("word", ["0", "false", "no", "off", "FALSE", "No", "%6Eo"])
def test_metadata_are_for_everybody_and_never_bring_content(guarded: TrialNode, word: str) -> None:
    made = store(guarded, b"content", policy={"classification": "private"}, provided_descriptor={"a": 1})
    answer = guarded.get(f"/mesh/artifacts/{made['id']}?include_content={word}", {**FROM_LAN, **BYTES})
    assert answer.status == 200 and "content_base64" not in answer.json and answer.headers["content-type"] == "application/json"
    assert "path" not in answer.json and "provided_descriptor" not in answer.json["metadata"]
    decode(records.Artifact, answer.json)


@pytest.mark.parametrize("query", ["", "?include_content=1", "?include_content=", "?include_content=nope", "?include_content=1&include_content=0",
                                   "?peer_id=trusted-node", "?include_content=00", "?xinclude_content=0", "?raw=1"])
def test_every_other_word_asks_for_content_and_needs_a_right(guarded: TrialNode, query: str) -> None:
    made = store(guarded, b"content")
    answer = guarded.get(f"/mesh/artifacts/{made['id']}{query}", FROM_LAN)
    assert (answer.status, answer.json["error"], answer.json["method"]) == (401, UNAUTHORIZED, "GET")
    assert answer.json["path"] == f"/mesh/artifacts/{made['id']}" and answer.json["client_address"] == "192.168.77.10"


def test_a_peers_name_in_the_query_opens_nothing(guarded: TrialNode) -> None:
    known(guarded, "trusted-node", "")
    made = store(guarded, b"content")
    assert guarded.get(f"/mesh/artifacts/{made['id']}?peer_id=trusted-node").status == 401


def test_whether_something_exists_is_no_strangers_business(guarded: TrialNode) -> None:
    assert guarded.get("/mesh/artifacts/nope", FROM_LAN).status == 401
    answer = guarded.get("/mesh/artifacts/nope", AS_OPERATOR)
    assert (answer.status, answer.json["error"], answer.json["code"]) == (404, "artifact not found", "not_found")


def test_wrong_tokens_are_counted_here_too(guarded: TrialNode) -> None:
    made = store(guarded, b"content")
    statuses = {guarded.get(f"/mesh/artifacts/{made['id']}", {**FROM_LAN, "X-OCP-Operator-Token": str(number)}).status for number in range(25)}
    assert statuses == {401, 429}


def test_with_reads_behind_the_token_nothing_is_for_everybody(tmp_path: Path) -> None:
    with TrialNode(tmp_path, operator_token=TOKEN, read_auth="token") as node:
        made = store(node, b"content", policy={"classification": "public"})
        for path in (f"/mesh/artifacts/{made['id']}", f"/mesh/artifacts/{made['id']}?include_content=0", "/mesh/artifacts"):
            assert (node.get(path).status, node.get(path, AS_OPERATOR).status) == (401, 200), path


def test_a_page_of_another_site_reads_nothing(node: TrialNode) -> None:
    made = store(node, b"content")
    path = f"/mesh/artifacts/{made['id']}"
    assert node.get(path).status == 200
    assert node.get(path, {"Sec-Fetch-Site": "cross-site"}).status == 401
    assert node.get(path, {"Origin": "http://evil.example"}).status == 401
    assert node.get(path, {"Host": "evil.example"}).status == 403


@pytest.mark.parametrize("path", ["../ocp.db", "..%2focp.db", "%2e%2e%2focp.db", "..%5cocp.db", "%00", "a%0d%0aX:%20y", "." * 200, "%ff"])
def test_no_path_leads_out_of_the_store(node: TrialNode, path: str) -> None:
    answer = node.get(f"/mesh/artifacts/{path}")
    assert answer.status in (400, 404) and "SQLite" not in answer.text


# --- in which form ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 262_144, 262_145, 1_000_003])
def test_both_forms_bring_the_same_bytes(node: TrialNode, size: int) -> None:
    data = os.urandom(size)
    made = store(node, data)
    answer = node.get(f"/mesh/artifacts/{made['id']}")
    assert content(answer) == data and {**answer.json, "content_base64": ""} == {**made, "content_base64": ""}
    decode(records.Artifact, answer.json)
    raw = node.get(f"/mesh/artifacts/{made['id']}", BYTES)
    assert (raw.body, raw.headers["content-length"], raw.headers["etag"]) == (data, str(size), f'"sha256:{made["digest"]}"')
    assert node.get(f"/mesh/artifacts/{made['id']}?raw=1").body == data


def test_published_pages_do_not_run_here(node: TrialNode) -> None:
    made = store(node, b"<script>alert(1)</script>", media_type="text/html", policy={"classification": "public"})
    headers = node.get(f"/mesh/artifacts/{made['id']}?raw=1").headers
    assert headers["content-type"] == "application/octet-stream" and headers["content-disposition"] == "attachment"
    assert headers["x-content-type-options"] == "nosniff" and headers["x-ocp-artifact-media-type"] == "text/html"


def test_a_media_type_of_other_letters_breaks_no_header(node: TrialNode) -> None:
    made = store(node, b"x", media_type="text/ünï")
    assert node.get(f"/mesh/artifacts/{made['id']}?raw=1").status == 200


@pytest.mark.parametrize("asked, status, body, part", [
    ("bytes=0-3", 206, b"0123", "bytes 0-3/10"), ("bytes=6-", 206, b"6789", "bytes 6-9/10"), ("bytes=-2", 206, b"89", "bytes 8-9/10"),
    ("bytes=10-", 416, None, "bytes */10"), ("bytes=3-1", 200, b"0123456789", None), ("chapters=1", 200, b"0123456789", None),
])
def test_parts_are_served(node: TrialNode, asked: str, status: int, body: bytes | None, part: str | None) -> None:
    made = store(node, b"0123456789")
    answer = node.get(f"/mesh/artifacts/{made['id']}?raw=1", {"Range": asked})
    assert (answer.status, answer.headers.get("content-range")) == (status, part)
    assert body is None or answer.body == body


def test_a_part_of_something_else_is_not_served(node: TrialNode) -> None:
    made = store(node, b"0123456789")
    path, tag = f"/mesh/artifacts/{made['id']}?raw=1", f'"sha256:{made["digest"]}"'
    assert node.get(path, {"Range": "bytes=5-", "If-Range": tag}).status == 206
    assert node.get(path, {"Range": "bytes=5-", "If-Range": '"other"'}).body == b"0123456789"
    assert node.get(path, {"If-None-Match": f'"x", {tag}'}).status == 304


def test_head_tells_without_telling_all(node: TrialNode) -> None:
    made = store(node, b"0123456789")
    answer = node.request("HEAD", f"/mesh/artifacts/{made['id']}?raw=1")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "10", b"")
    large = store(node, bytes(300_000))
    assert node.request("HEAD", f"/mesh/artifacts/{large['id']}").body == b""


def test_one_connection_carries_both_forms_in_turn(node: TrialNode) -> None:
    import http.client
    small, large = store(node, b"small"), store(node, b"l" * 400_000)
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
    for path, length in ((f"{small['id']}?raw=1", 5), (f"{large['id']}?include_content=0", 0), (f"{large['id']}?raw=1", 400_000),
                         (large["id"], 533_336), (small["id"], 8)):
        connection.request("GET", f"/mesh/artifacts/{path}")
        answer = connection.getresponse()
        assert answer.status == 200 and len(answer.read()) >= length, path
    connection.close()


# --- a spoiled disk ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [50, 500_000])
@pytest.mark.parametrize("query", ["", "?raw=1"])
def test_spoiled_bytes_are_never_served(node: TrialNode, size: int, query: str) -> None:
    made = store(node, b"a" * size)
    path = f"/mesh/artifacts/{made['id']}{query}"
    assert node.get(path).status == 200
    blob_path(node, made).write_bytes(b"b" * size)
    answer = node.get(path)
    assert (answer.status, answer.json["error"], answer.json["code"]) == (500, "artifact content is corrupted", "corrupted")
    node.until(lambda: events(node, "mesh.artifact.corrupted"))
    assert events(node, "mesh.artifact.corrupted")[0]["payload"] == {"artifact_id": made["id"], "digest": made["digest"]}
    shown = node.get(f"/mesh/artifacts/{made['id']}?include_content=0").json
    assert shown["metadata"]["integrity"] == {"status": "corrupted", "checked_at": "2027-01-15T08:00:00Z"}
    node.get(path)
    assert len(events(node, "mesh.artifact.corrupted")) == 1


def test_a_shortened_file_is_not_served(node: TrialNode) -> None:
    made = store(node, b"a" * 500_000)
    blob_path(node, made).write_bytes(b"a" * 499_999)
    assert node.get(f"/mesh/artifacts/{made['id']}").status == 500


def test_a_file_that_is_gone_is_said_to_be(node: TrialNode) -> None:
    made = store(node, b"a")
    blob_path(node, made).unlink()
    answer = node.get(f"/mesh/artifacts/{made['id']}")
    assert (answer.status, answer.json["error"], answer.json["code"]) == (404, "artifact content unavailable", "not_found")
    assert str(node.folder) not in answer.text


def test_the_same_content_stored_again_mends_it(node: TrialNode) -> None:
    made = store(node, b"mend me")
    blob_path(node, made).write_bytes(b"broken!")
    store(node, b"mend me")
    assert content(node.get(f"/mesh/artifacts/{made['id']}")) == b"mend me"
