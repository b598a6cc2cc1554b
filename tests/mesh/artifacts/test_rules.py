"""What is decided about artifacts, as tables."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.artifacts import delivery, governance, graph, rules

NOW = 1_800_000_000.0
HOUR, WEEK = "2027-01-15T09:00:00Z", "2027-01-22T08:00:00Z"
A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize("given, bare, whole", [
    (A, A, True), (f"sha256:{A}", A, True), (f"SHA256:{A.upper()}", A, True), (f"  {A} ", A, True), ("00ff", "00ff", False),
    ("", "", False), (None, "", False), (5, "", False), (f"md5:{A}", f"md5:{A}", False), ("../" + A[3:], "../" + A[3:], False),
    (A + "\n", A, True), ("g" * 64, "g" * 64, False),
])
def test_a_digest_is_the_same_in_every_spelling(given: object, bare: str, whole: bool) -> None:
    assert (rules.bare(given), rules.is_digest(rules.bare(given))) == (bare, whole)


@pytest.mark.parametrize("value, stored", [
    ("abc", b"abc"), ("", b""), ("ü", "ü".encode()), (None, b"null"), (True, b"true"), (1, b"1"), (1.0, b"1.0"), ([], b"[]"),
    ({"b": 1, "a": [1, 2]}, b'{"a": [1, 2], "b": 1}'), ("\U0001F600", "\U0001F600".encode()),
])
def test_values_are_stored_as_the_protocol_writes_them(value: object, stored: bytes) -> None:
    assert rules.stored_bytes(value) == stored


def test_the_published_vector_of_stored_json_holds() -> None:
    stored = rules.stored_bytes({"plan": "bounded", "n": [1, 2.5, None, True], "ü": "é"})
    assert stored == b'{"n": [1, 2.5, null, true], "plan": "bounded", "\\u00fc": "\\u00e9"}'
    assert hashlib.sha256(stored).hexdigest() == "c659ea21991d8102ccbcf504aec882a7006674b46a6f7ea8adbd927fe7d0a229"


@pytest.mark.parametrize("given, shown", [
    (None, ("trusted", "batch", [])), ({}, ("trusted", "batch", [])), ({"classification": "PUBLIC "}, ("public", "batch", [])),
    ({"visibility": "private", "execution_mode": "interactive"}, ("private", "interactive", [])),
    ({"label": "public"}, ("public", "batch", [])), ({"classification": "secret"}, ("trusted", "batch", [])),
    ({"classification": 1, "mode": [], "secret_scopes": ["a ", "", 3, "b"]}, ("trusted", "batch", ["a", "b"])),
    ({"secret_scopes": "abc"}, ("trusted", "batch", [])),
])
def test_a_policy_keeps_what_has_a_meaning(given: Any, shown: tuple[str, str, list[str]]) -> None:
    made = rules.policy(given)
    assert (made["classification"], made["mode"], made["secret_scopes"]) == shown


def test_a_policy_keeps_three_members_as_they_came_and_drops_the_rest() -> None:
    made = rules.policy({"retention": 120, "notes": "n", "max_runtime_seconds": 5, "retention_seconds": 9, "unknown": 1})
    assert made == {"classification": "trusted", "mode": "batch", "secret_scopes": [], "retention": 120, "notes": "n",
                    "max_runtime_seconds": 5}


@pytest.mark.parametrize("one, other, kept", [
    ("public", "trusted", "trusted"), ("trusted", "public", "trusted"), ("private", "trusted", "private"), ("public", "public", "public"),
])
def test_the_stricter_class_wins(one: str, other: str, kept: str) -> None:
    assert rules.stricter({"classification": one, "mode": "batch"}, {"classification": other}) == {"classification": kept, "mode": "batch"}


@pytest.mark.parametrize("metadata, policy, kept", [
    ({}, {}, ("durable", "")),
    ({"artifact_kind": "log"}, {}, ("session", WEEK)),
    ({"artifact_kind": "LOG"}, {}, ("session", WEEK)),
    ({"artifact_kind": "log", "retention_class": "durable"}, {}, ("durable", "")),
    ({"retention_class": "ephemeral"}, {}, ("ephemeral", HOUR)),
    ({"retention": "session"}, {}, ("session", WEEK)),
    ({"retention_class": "for ever"}, {}, ("durable", "")),
    ({}, {"retention": "ephemeral"}, ("ephemeral", HOUR)),
    ({}, {"retention": 120}, ("durable", "2027-01-15T08:02:00Z")),
    ({}, {"retention_seconds": 60}, ("durable", "2027-01-15T08:01:00Z")),
    ({"retention_seconds": 60}, {"retention_seconds": 600}, ("durable", "2027-01-15T08:01:00Z")),
    ({"retention_seconds": "60"}, {}, ("durable", "2027-01-15T08:01:00Z")),
    ({"retention_seconds": 0, "retention_class": "ephemeral"}, {}, ("ephemeral", "")),
    ({"retention_seconds": 10**30}, {}, ("durable", "2126-12-22T08:00:00Z")),
])
def test_retention_follows_the_protocols_order(metadata: Any, policy: Any, kept: tuple[str, str]) -> None:
    assert rules.retention(metadata, policy, pinned=False, now=NOW) == kept


def test_what_is_pinned_is_kept_for_good() -> None:
    assert rules.retention({"retention_class": "ephemeral", "retention_seconds": -1}, {}, pinned=True, now=NOW) == ("durable", "")


@pytest.mark.parametrize("seconds", [-1, -0.5, "soon", True, [], {}, "1e3", float("nan"), float("inf"), 1e300])
def test_seconds_that_are_none_are_refused_or_passed_over(seconds: object) -> None:
    with pytest.raises(Refusal) as caught:
        rules.retention({"retention_seconds": seconds}, {}, pinned=False, now=NOW)
    assert (caught.value.code, caught.value.message) == ("invalid_request", "retention_seconds must be a non-negative integer")
    assert rules.retention({"retention_seconds": seconds, "retention": "session"}, {}, pinned=False, now=NOW, lenient=True) == ("session", WEEK)


@pytest.mark.parametrize("metadata, kept", [
    ({}, ("durable", HOUR)), ({"retention_seconds": 10}, ("durable", "2027-01-15T08:00:10Z")), ({"retention": "session"}, ("session", HOUR)),
    ({"retention_seconds": 10**9}, ("durable", HOUR)), ({"retention_seconds": 0}, ("durable", HOUR)),
])
def test_a_peer_gets_no_more_time_than_this_node_gives(metadata: Any, kept: tuple[str, str]) -> None:
    assert rules.retention(metadata, {}, pinned=False, now=NOW, remote_seconds_max=3600) == kept


@pytest.mark.parametrize("deadline, pinned, over", [
    ("", False, False), ("2027-01-15T08:00:01Z", False, False), ("2027-01-15T08:00:00Z", False, True), ("2027-01-15T08:00:00Z", True, False),
])
def test_the_deadline_itself_counts_as_over(deadline: str, pinned: bool, over: bool) -> None:
    assert rules.expired(deadline, pinned, "2027-01-15T08:00:00Z") is over


def test_publishers_cannot_speak_for_the_node() -> None:
    forged = dict.fromkeys(rules.RESERVED, "forged") | {"artifact_kind": "result"}
    assert rules.published_metadata(forged, {"source_peer_id": "true"}) == {"artifact_kind": "result", "source_peer_id": "true"}


@pytest.mark.parametrize("media_type", ["a" * 257, "text/\nplain", "text/plain\x00", 5, ["text/plain"]])
def test_odd_media_types_are_refused(media_type: object) -> None:
    with pytest.raises(Refusal):
        rules.media_type(media_type, "text/plain")


# --- parts of a content ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("header, part", [
    ("", None), ("bytes=0-", (0, 10)), ("bytes=0-0", (0, 1)), ("bytes=5-", (5, 10)), ("bytes=5-99", (5, 10)), ("bytes=-3", (7, 10)),
    ("bytes=-99", (0, 10)), ("bytes=10-", ()), ("bytes=99-100", ()), ("bytes=-0", ()), ("bytes=5-4", None), ("bytes=0-1,3-4", None),
    ("bytes=-", None), ("lines=0-1", None), ("bytes=a-b", None), ("bytes = 1 - 2", (1, 3)), ("bytes=0-" + "9" * 40, None),
])
def test_a_range_is_read_as_rfc_9110_has_it(header: str, part: object) -> None:
    assert delivery.asked_part(header, 10) == part


def test_nothing_has_no_part() -> None:
    assert delivery.asked_part("bytes=0-", 0) == ()


@pytest.mark.parametrize("accept, raw", [
    ("", False), ("*/*", False), ("application/json", False), ("application/octet-stream", True), ("application/*", False),
    ("application/octet-stream, application/json;q=0.5", True), ("APPLICATION/OCTET-STREAM;q=0.1", True),
    ("application/octet-stream;q=0, application/json", False),
])
def test_bytes_go_to_those_who_name_them(accept: str, raw: bool) -> None:
    assert delivery.wants_bytes({"accept": accept}) is raw


# --- treaties and links -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("metadata, payload, found", [
    ({}, None, []), ({"treaty_requirements": [" Treaty/A ", "treaty/a", "", 3, "b"]}, None, ["treaty/a", "b"]),
    ({"treaty_requirements": "one"}, None, ["one"]), ({"treaty_requirements": {}}, {"governance": {"treaty_requirements": ["c"]}}, ["c"]),
    ({}, {"continuity": {"overlay": {"treaty_requirements": ["d"]}}}, ["d"]), ({}, {"governance": [], "continuity": {"overlay": 1}}, []),
    ({"treaty_requirements": ["m"]}, {"governance": {"treaty_requirements": ["c"]}}, ["m"]), ({}, ["governance"], []),
])
def test_what_binds_an_artifact_is_found_in_its_order(metadata: Any, payload: Any, found: list[str]) -> None:
    assert governance.requirements(metadata, payload) == found


FULL = {"shared_treaty_validation": True, "remote_custody_review": True}


@pytest.mark.parametrize("validation, peer, text", [
    ({"satisfied": False}, FULL, "active treaties for all treaty-bound artifacts"),
    ({"satisfied": True}, {}, "a peer with shared treaty validation for treaty-bound artifacts"),
    ({"satisfied": True, "matched": [{"document": {"artifact_export": "sealed"}}]}, {"shared_treaty_validation": True},
     "custody review support for sealed treaty-bound artifacts"),
    ({"satisfied": True, "matched": [{"document": {"witness_required": True}}]}, {"shared_treaty_validation": True},
     "custody review support for sealed treaty-bound artifacts"),
])
def test_treaties_forbid_in_the_protocols_words(validation: Any, peer: Any, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        governance.admit(["t"], validation, peer)
    assert (caught.value.code, caught.value.message) == ("policy_denied", f"artifact replication requires {text}")


def test_treaties_that_allow_leave_a_record() -> None:
    validation = {"satisfied": True, "matched": [{"document": {"artifact_export": "sealed"}}]}
    assert governance.admit(["t"], validation, FULL) == {"treaty_requirements": ["t"], "treaty_validation": validation,
                                                         "peer_treaty_compatibility": FULL, "requires_custody": True}


@pytest.mark.parametrize("metadata, payload, links", [
    ({"parent_artifact_id": "p", "config_artifact_id": "c"}, None,
     [("p", "", "parent_artifact", ""), ("c", "", "metadata:config_artifact_id", "config")]),
    ({}, {"kind": "ocp.artifact.bundle", "primary": {"id": "r", "digest": A, "role": "result"}, "config": {"digest": f"sha256:{B}"},
          "subject": {"digest": "short"}, "descriptors": [{"id": "l", "role": "stdout"}, 5, {}]},
     [("r", A, "bundle_primary", "result"), ("", B, "bundle_config", "config"), ("l", "", "bundle_descriptor", "stdout")]),
    ({}, {"kind": "ocp.execution.attestation", "subject": {"artifact_id": "s", "digest": A}}, [("s", A, "attestation_subject", "subject")]),
    ({}, {"kind": "ocp.artifact.config", "result": {"artifact_id": "r"}}, [("r", "", "config_result", "result")]),
    ({}, {"kind": "other", "primary": {"id": "r"}}, []), ({}, [1], []),
    ({"parent_artifact_id": 5, "primary_artifact_id": ["x"]}, {"kind": "ocp.artifact.bundle", "descriptors": "no"}, []),
])
def test_links_are_found_in_metadata_and_documents(metadata: Any, payload: Any, links: list[tuple[str, str, str, str]]) -> None:
    assert [link[:4] for link in graph.links_of(metadata, payload)] == links


def test_what_is_quick_is_what_is_answered_in_memory() -> None:
    from ocp_node.crypto import grants
    from ocp_node.mesh.artifacts import room
    assert room.QUICK_BYTES == delivery.SMALL_BYTES and room.GRANT_HEADER == grants.GRANT_HEADER.lower()
