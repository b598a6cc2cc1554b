"""Every published or derived exchange of the directory, against a whole node."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ocp_node.base.clock import SetClock, instant_seconds
from tests.support.node import Answer, TrialNode
from tests.support.vectors import load

VECTORS = load("directory", "vectors")
SCENARIO = load("directory", "scenario")
EPOCH = "0123456789abcdef"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with TrialNode(tmp_path_factory.mktemp("node"), clock=SetClock(instant_seconds("2026-03-23T18:08:03Z"))) as made:
        yield made


@pytest.fixture
def empty(node):
    """The same node with an empty directory."""
    def change(connection):
        for name in ("adv_current", "adv_highwater"):
            connection.execute(f"DELETE FROM {name}")
        connection.execute("UPDATE adv_state SET position = 0, nodes = 0, highwaters = 0, epoch = ?", (EPOCH,))

    node.core.writer.run(change)
    node.rooms["directory"].feed.epoch = EPOCH
    return node


def body_of(case: dict[str, Any]) -> bytes:
    if "body_text" in case:
        return case["body_text"].encode()
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"])
    return json.dumps(case["body_json"], ensure_ascii=False).encode()


@pytest.mark.parametrize("case", VECTORS["put_cases"], ids=lambda case: case["name"])
def test_a_published_put_case_gets_its_status_and_reason(empty, case):
    empty.clock.seconds = instant_seconds(case["now"])
    answer = empty.request(case["method"], case["path"], raw=body_of(case), headers=case["headers"])
    assert answer.status == case["expect"]["status"], answer
    assert answer.json.get("reason") == case["expect"].get("reason")
    if "errors" in case["expect"]:
        assert answer.json["errors"] == case["expect"]["errors"]
    stored = empty.get("/adv").json["items"]
    assert len(stored) == (1 if answer.status in (200, 201) else 0), "a refused write leaves nothing"


def test_the_scripted_conversation_replays_word_for_word(empty):
    for step in SCENARIO["steps"]:
        empty.clock.seconds = instant_seconds(step["now"])
        request = step["request"]
        raw = json.dumps(request["body"], ensure_ascii=False).encode() if request.get("body") is not None else None
        answer = empty.request(request["method"], request["path"], raw=raw, headers=request.get("headers"))
        same_answer(step, answer)


def same_answer(step: dict[str, Any], answer: Answer) -> None:
    wanted, name = step["response"], f"step {step['step']}, {step['name']}"
    assert answer.status == wanted["status"], (name, answer)
    if wanted["body"] is None:
        assert answer.body == b"", name
    else:
        assert answer.json == wanted["body"], name
        assert list(answer.json) == list(wanted["body"]), name
    for header, value in wanted["headers"].items():
        assert answer.headers.get(header.lower()) == value, (name, header)
