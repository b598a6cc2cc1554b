"""Who a worker is, and which jobs it may take."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.queue.rules import Needs
from ocp_node.mesh.workers import records, rules

NODE = frozenset({"shell", "python", "worker-runtime", "artifact-store"})


def needs(*capabilities: str, **resources: float) -> Needs:
    return Needs("shell.command", "node", frozenset(capabilities), resources)


@pytest.mark.parametrize("wanted, capabilities, offered, able", [
    (needs(), [], {}, True), (needs("shell"), [], {}, False), (needs("shell"), ["shell"], {}, True),
    (needs("shell", "python"), ["shell"], {}, False), (needs("shell"), ["worker-runtime"], {}, True),
    (needs("render"), ["worker-runtime"], {}, False), (needs("artifact-store"), ["worker-runtime", "shell"], {}, False),
    (needs(cpu=2), [], {}, True), (needs(cpu=2), [], {"cpu": 1}, False), (needs(cpu=2), [], {"cpu": 2}, True),
    (needs(memory_mb=100), [], {"cpu": 1}, True), (needs(memory_mb=100), [], {"memory_mb": 64}, False),
    (needs(gpus=1), [], {"gpus": 0}, False), (needs(cpu=2), [], {"cpu": "many"}, True), (needs(cpu=2), [], {"cpu": True}, True),
])
def test_a_worker_takes_what_it_can_do_with_what_it_has(wanted: Needs, capabilities: list[str], offered: dict,
                                                        able: bool) -> None:
    assert rules.able(wanted, capabilities, offered, NODE) is able


def register(**body: Any) -> rules.Registration:
    return rules.registration(records.Register(**body))


def test_a_registration_fills_in_what_was_not_said() -> None:
    assert register(worker_id="w") == rules.Registration("w", "", "active", [], {}, [], 1, {})
    found = register(worker_id="w", capabilities=[" shell ", "shell", ""], max_concurrent_jobs="-3", status="DRAINED",
                     labels=["a"])
    assert (found.capabilities, found.max_concurrent_jobs, found.status) == (["shell"], 1, "drained")


@pytest.mark.parametrize("body, text", [
    ({}, "worker_id is required"), ({"worker_id": " "}, "worker_id is required"),
    ({"worker_id": "a b"}, "worker_id must be at most 128 characters of A-Z a-z 0-9 . _ : @ -"),
    ({"worker_id": "w" * 129}, "worker_id must be at most 128 characters of A-Z a-z 0-9 . _ : @ -"),
    ({"worker_id": "w", "capabilities": "shell"}, "capabilities must be an array"),
    ({"worker_id": "w", "resources": [1]}, "resources must be an object"),
    ({"worker_id": "w", "max_concurrent_jobs": "many"}, "max_concurrent_jobs must be an integer"),
    ({"worker_id": "w", "labels": [1]}, "labels[0] must be a string"),
    ({"worker_id": "w", "metadata": {"x": "y" * 70_000}}, "metadata must be at most 65536 bytes"),
])
def test_a_wrong_registration_is_refused_in_clear_words(body: dict, text: str) -> None:
    with pytest.raises(Refusal) as caught:
        register(**body)
    assert (caught.value.code, caught.value.message) == ("invalid_request", text)


@pytest.mark.parametrize("node_id, worker_id", [("alpha-node", "alpha-node-default-worker"), ("Ä Node!", "node-default-worker"),
                                                ("--", "node-default-worker")])
def test_the_nodes_own_worker_is_named_after_it(node_id: str, worker_id: str) -> None:
    assert rules.worker_id_of(node_id) == worker_id
    assert rules.ID.match(worker_id)
