"""What a job asks for, in one form."""

from __future__ import annotations

from typing import Any

import pytest

from ocp_node.base.errors import Refusal
from ocp_node.mesh.jobs import spec

Members = dict[str, Any]


def asked(job: Members, seconds_max: float = 3600.0) -> spec.Asked:
    return spec.asked(job, "origin-node", "request-1", seconds_max)


def refusal(job: Members) -> tuple[str, str]:
    with pytest.raises(Refusal) as caught:
        asked(job)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("given, policy", [
    ({}, {"classification": "trusted", "mode": "batch", "secret_scopes": []}),
    ({"visibility": "PUBLIC", "execution_mode": "Interactive"},
     {"classification": "public", "mode": "interactive", "secret_scopes": []}),
    ({"label": "private", "secret_scopes": [" a ", ""]}, {"classification": "private", "mode": "batch", "secret_scopes": ["a"]}),
    ({"classification": "odd", "mode": "odd", "surplus": 1}, {"classification": "trusted", "mode": "batch", "secret_scopes": []}),
    ({"retention": "session", "notes": "n", "max_runtime_seconds": 5, "approval_required": "yes"},
     {"classification": "trusted", "mode": "batch", "secret_scopes": [], "retention": "session", "notes": "n",
      "max_runtime_seconds": 5,
      "approval_required": True}),
])
def test_the_policy_has_one_form(given: Members, policy: Members) -> None:
    assert spec.policy_of(given) == policy


@pytest.mark.parametrize("given, attempts, resumable, mode, resumes, checkpoints", [
    ({}, 1, False, "stateless", 0, (False, "none", "durable", False)),
    ({"max_attempts": "3"}, 3, False, "stateless", 2, (False, "none", "durable", False)),
    ({"retries": 4, "retry_policy": {"max_attempts": 0}}, 4, False, "stateless", 3, (False, "none", "durable", False)),
    ({"resumable": "yes"}, 1, True, "checkpoint", 0, (True, "manual", "durable", True)),
    ({"resumability": {"enabled": True, "max_resume_attempts": 7},
      "checkpoint_policy": {"mode": "automatic", "retention_class": "SESSION",
                                                                                          "on_retry": "no"}},
     1, True, "checkpoint", 7, (True, "automatic", "session", False)),
    ({"resumability": {"enabled": "false"}, "resumable": True}, 1, False, "stateless", 0, (False, "none", "durable", False)),
    ({"max_attempts": -4}, 1, False, "stateless", 0, (False, "none", "durable", False)),
])
def test_retries_and_checkpoints_have_one_form(given: Members, attempts: int, resumable: bool, mode: str, resumes: int,
                                               checkpoints: tuple) -> None:
    found = spec.metadata_of(given)
    assert found["retry_policy"] == {"max_attempts": attempts}
    assert found["resumability"] == {"enabled": resumable, "mode": mode, "max_resume_attempts": resumes}
    assert tuple(found["checkpoint_policy"][name] for name in ("enabled", "mode", "retention_class", "on_retry")) == checkpoints


def test_nobody_can_forge_what_only_the_node_writes() -> None:
    forged = {name: {"id": "forged"} for name in spec.OURS - spec.INPUTS}
    kept = spec.metadata_of({**forged, "mine": 1, "lineage_ref": "x", "timeout_seconds": 5})
    assert set(kept) == {"mine", "lineage_ref", "timeout_seconds", "retry_policy", "resumability", "checkpoint_policy"}
    assert "mission" in spec.metadata_of({"mission": {"mission_id": "m"}}, frozenset({"mission"}))


@pytest.mark.parametrize("job, dispatch", [
    ({"kind": "shell.command", "payload": {"command": "x"}}, "queued"),
    ({"kind": "python.inline", "payload": {"code": "x"}}, "queued"),
    ({"kind": "Shell.Command", "payload": {"command": "x"}}, "queued"),
    ({"kind": "docker.container", "payload": {"image": "x"}}, "inline"), ({"kind": "agent.echo"}, "inline"),
    ({"kind": "demo", "payload": {"command": "x"}}, "inline"), ({"kind": "agent.echo", "dispatch_mode": "QUEUED"}, "queued"),
    ({"kind": "agent.echo", "metadata": {"dispatch_mode": "queued"}}, "queued"),
    ({"kind": "shell.command", "payload": {"command": "x"}, "dispatch_mode": "sideways"}, "inline"),
])
def test_a_kind_says_where_it_goes_unless_the_job_does(job: Members, dispatch: str) -> None:
    assert asked(job).dispatch_mode == dispatch


@pytest.mark.parametrize("timeout, policy, most, seconds", [
    (None, {}, 3600.0, 300), (5, {}, 3600.0, 5), ("7", {}, 3600.0, 7), (0.2, {}, 3600.0, 300), (-3, {}, 3600.0, 1),
    (9000, {}, 3600.0, 3600),
    (100, {"max_runtime_seconds": 10}, 3600.0, 10), (None, {}, 60.0, 60), (True, {}, 3600.0, 1),
])
def test_a_time_limit_is_bounded_by_policy_and_node(timeout: Any, policy: Members, most: float, seconds: int) -> None:
    payload = {"command": "x"} | ({} if timeout is None else {"timeout_seconds": timeout})
    assert asked({"kind": "shell.command", "payload": payload, "policy": policy},
                 most).spec["execution"]["timeout_seconds"] == seconds


@pytest.mark.parametrize("job, code, text", [
    ({}, "invalid_request", "job.kind is required"),
    ({"kind": "shell.command"}, "invalid_request", "shell.command requires payload.command"),
    ({"kind": "python.inline", "payload": {}}, "invalid_request", "python.inline requires payload.code"),
    ({"kind": "docker.container", "payload": {}}, "invalid_request", "docker.container requires payload.image"),
    ({"kind": "wasm.component", "payload": {}}, "invalid_request", "wasm.component requires payload.component_ref"),
    ({"kind": "agent.echo", "runtime": {"runtime_type": "odd"}}, "invalid_request", "unsupported runtime_type"),
    ({"kind": "agent.echo", "metadata": {"resumability": {"enabled": True, "mode": "odd"}}}, "invalid_request",
     "unsupported resumability mode"),
    ({"kind": "agent.echo", "metadata": {"checkpoint_policy": {"enabled": True, "mode": "magic"}}}, "invalid_request",
     "unsupported checkpoint mode"),
    ({"kind": "shell.command", "payload": {"command": "x", "timeout_seconds": "soon"}}, "invalid_request",
     "timeout_seconds must be an integer"),
    ({"kind": "shell.command", "payload": {"command": "x", "env": {"1A": "x"}}}, "invalid_request",
     "invalid environment variable name: 1A"),
    ({"kind": "shell.command", "payload": {"command": "x", "env": []}, "policy": []}, "", ""),
    ({"kind": "shell.command", "payload": {"command": "x"}, "policy": [1]}, "invalid_request", "policy must be an object"),
    ({"kind": 7}, "invalid_request", "job.kind must be a string"),
    ({"kind": "agent.echo", "metadata": {"note": "x" * 300_000}}, "invalid_request", "metadata must be at most 262144 bytes"),
])
def test_what_cannot_be_run_is_refused_in_the_protocols_words(job: Members, code: str, text: str) -> None:
    if code:
        assert refusal(job) == (code, text)
    else:
        asked(job)


@pytest.mark.parametrize("secrets, scopes, code, text", [
    ({"T": "v"}, [], "invalid_request", "payload.secrets requires explicit policy.secret_scopes"),
    ({"T": {"value": "v", "scope": "b"}}, ["a"], "policy_denied", "secret scope not allowed by policy: b"),
    ({"OCP_RESUME_X": "v"}, ["a"], "invalid_request", "secret binding cannot override reserved runtime env: OCP_RESUME_X"),
    ({"T": {"source": "vault"}}, ["a"], "invalid_request", "unsupported secret source: vault"),
    ({"T": {"source": "store"}}, ["a", "b"], "invalid_request", "store secret binding requires scope: T"),
    ({"T": {"source": "file"}}, ["a"], "invalid_request", "file secret binding requires path: T"),
    ({"T-X": "v"}, ["a"], "invalid_request", "invalid environment variable name: T-X"),
])
def test_secret_bindings_are_refused_in_the_protocols_words(secrets: Members, scopes: list[str], code: str, text: str) -> None:
    assert refusal({"kind": "shell.command", "payload": {"command": "x", "secrets": secrets},
                    "policy": {"secret_scopes": scopes}}) == (code, text)


def test_inline_secret_values_are_taken_out_of_everything_that_is_kept() -> None:
    found = asked({"kind": "shell.command", "policy": {"secret_scopes": ["a"]},
                   "payload": {"command": "x", "secrets": {"A": "plain-value", "B": {"value": "other-value", "scope": "a"},
                                                           "C": {"source": "store", "name": "n"}}}})
    assert found.secrets == {"A": "plain-value", "B": "other-value"}
    assert "plain-value" not in repr((found.payload, found.spec)) and "other-value" not in repr((found.payload, found.spec))
    assert found.payload["secrets"] == {"A": {"source": "inline", "redacted": True},
                                        "B": {"scope": "a", "source": "inline", "redacted": True},
                                        "C": {"source": "store", "name": "n"}}
    secrets = found.spec["runtime_environment"]["secrets"]
    assert [binding["provider_ref"] for binding in secrets["bindings"]] == ["inline", "inline", "store:a/n"]
    assert (secrets["delivery"], secrets["sources"], secrets["redacted"]) == ("env", ["inline", "store"], True)


def test_an_echo_does_not_show_inline_secrets_either() -> None:
    found = asked({"kind": "agent.echo", "policy": {"secret_scopes": ["a"]}, "payload": {"secrets": {"A": "plain-value"}}})
    assert "plain-value" not in repr(found.spec) and "plain-value" not in repr(found.payload)


def test_the_simple_form_is_lifted_into_the_payload() -> None:
    job = spec.lifted({"kind": "demo", "command": "echo hello", "env": {"A": "1"}, "queue": "q"})
    assert job["payload"] == {"command": "echo hello", "env": {"A": "1"}}
    assert spec.lifted({"kind": "x", "command": "a", "payload": {"command": "b"}})["payload"] == {"command": "b"}
    assert "payload" not in spec.lifted({"kind": "x", "payload_ref": {"id": "1"}})


@pytest.mark.parametrize("payload, kind, capabilities",
                         [({"command": "echo"}, "shell.command", ["shell"]), ({}, "agent.echo", [])])
def test_a_demo_is_a_shell_command_or_an_echo(payload: Members, kind: str, capabilities: list[str]) -> None:
    found = asked({"kind": "demo", "payload": payload})
    assert (found.kind, found.spec["kind"], found.requirements["capabilities"], found.spec["execution"]["timeout_seconds"]) == (
        "demo", kind, capabilities, 30)


def test_a_network_without_a_mode_is_the_default_one() -> None:
    modes = {str(value): asked({"kind": "shell.command",
                                "payload": {"command": "x", "network": value}}).spec["runtime_environment"]["network"]
             for value in ({}, "NONE", {"mode": "bridge"}, None)}
    assert modes == {"{}": {"mode": "default"}, "NONE": {"mode": "none"}, "{'mode': 'bridge'}": {"mode": "bridge"},
                     "None": {"mode": "default"}}


def test_resources_that_cannot_be_read_are_left_out() -> None:
    found = spec.resources_of({"cpu": "2.5", "memory_mb": 64.9, "disk_mb": "many", "gpus": -1, "gpu_class": "Apple-Silicon",
                               "workload_class": "gpu",
                               "other": 1})
    assert found == {"cpu": 2.5, "memory_mb": 64, "gpus": 0, "gpu_class": "metal", "workload_class": "gpu_inference"}


@pytest.mark.parametrize("word, kind", [("nvidia", "cuda"), ("AMD", "rocm"), ("", "none"), ("abacus", "generic"),
                                        ("d3d12", "directml")])
def test_graphics_processors_have_the_protocols_words(word: str, kind: str) -> None:
    assert spec.gpu_class(word) == kind
