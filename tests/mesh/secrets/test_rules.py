"""Secrets: what may be stored, and who may use it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.secrets import rules

GOOD = {"name": "n", "scope": "s", "value": "v"}


@pytest.mark.parametrize("value, kept", [("text", "text"), ("", ""), (7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"),
                                         ("é" * 32_768, "é" * 32_768)])
def test_texts_numbers_and_truth_values_are_stored(value: Any, kept: str) -> None:
    assert rules.wanted({**GOOD, "value": value}).value == kept


@pytest.mark.parametrize("changes, text", [
    ({"name": "", "scope": ""}, "secret name is required"), ({"name": None}, "secret name is required"),
    ({"scope": "  "}, "secret scope is required"), ({"value": None}, "secret value is required"),
    ({"value": {"a": 1}}, "secret value must be a string"), ({"value": ["a"]}, "secret value must be a string"),
    ({"value": "é" * 32_769}, "secret value is larger than 65536 bytes"),
    ({"name": "n" * 257}, "name must be at most 256 characters"),
    ({"name": "a\0b"}, "name must not have the character U+0000"), ({"scope": "a\0b"}, "scope must not have the character U+0000"),
    ({"metadata": {"allowed_peers": "beta-node"}}, "metadata.allowed_peers must be an array"),
    ({"metadata": {"k": "v" * 65_536}}, "metadata is larger than 65536 bytes"),
])
def test_what_is_no_secret_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(Refusal) as caught:
        rules.wanted({**GOOD, **changes})
    assert (caught.value.code, caught.value.message) == ("invalid_request", text)


@pytest.mark.parametrize("scope, name, found", [("mesh.ops", "api-token", "c60e16ac647a58d88659ade8557bc303"),
                                                ("mesh.ops", "empty", "b04628e620365c4eb743083ae60d37d5")])
def test_ids_are_those_of_other_implementations(scope: str, name: str, found: str) -> None:
    assert rules.secret_id(scope, name) == found == uuid.uuid5(uuid.NAMESPACE_URL, f"ocp-secret:{scope}:{name}").hex


@pytest.mark.parametrize("requester, metadata, may", [
    ("", {}, True), ("me", {}, True), ("beta", {}, False), ("beta", {"allowed_peers": ["beta"]}, True),
    ("gamma", {"allowed_peers": ["beta"]}, False), ("beta", {"allowed_peers": "beta"}, False),
    ("b", {"allowed_peers": ["beta"]}, False),
])
def test_jobs_of_other_nodes_need_to_be_named(requester: str, metadata: dict[str, Any], may: bool) -> None:
    assert rules.may_use(rules.Secret("s", "n", "", "", metadata, "", ""), requester, "me") is may


def test_what_is_shown_has_no_value() -> None:
    shown = rules.secret_json(rules.Secret("s", "n", "v1:sealed", "d" * 64, {}, "c", "u"))
    assert "v1:sealed" not in shown.values() and shown["value_present"] is True
    assert rules.secret_json(rules.Secret("s", "n", "v1:sealed", "", {}, "c", "u"))["value_present"] is False
