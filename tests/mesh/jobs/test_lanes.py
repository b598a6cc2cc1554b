"""Every kind of job carried out for real: what it is given, how it is bounded, and what its end means."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocp_node.base.clock import Clock
from tests.support.artifacts import store
from tests.support.jobs import job_of, refused, submit, submitted, text_of, until
from tests.support.node import TrialNode
from tests.support.peer import TrialPeer
from tests.support.processes import alive
from tests.support.programs import stand_ins

Members = dict[str, Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[TrialNode]:
    environment = {"PATH": stand_ins(tmp_path / "programs"), "HOST_WORD": "from the host", "OCP_OPERATOR_TOKEN_COPY": "never",
                   "HOME": "/"}
    with TrialNode(tmp_path / "node", clock=Clock(), environment=environment, enable_docker="auto", enable_wasm="auto",
                   stop_grace_seconds=1.0) as running:
        yield running


def workspace(node: TrialNode) -> Path:
    folder = Path(node.settings.workspace_root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shell(node: TrialNode, command: Any, **payload: Any) -> Members:
    job = {name: payload.pop(name) for name in ("policy", "metadata", "requirements") if name in payload}
    answer = submit(node, {"kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": command, **payload}, **job})
    assert answer["status"] == "completed"
    return answer["job"]


def said(node: TrialNode, job: Members) -> str:
    return text_of(node, job["result_artifacts"]["stdout"])


def result(node: TrialNode, job: Members) -> Members:
    return json.loads(text_of(node, job["result_ref"]))


def failure(node: TrialNode, command: Any, **payload: Any) -> str:
    job = {name: payload.pop(name) for name in ("policy", "metadata", "requirements") if name in payload}
    answer = submitted(node, {"kind": "shell.command", "dispatch_mode": "inline", "payload": {"command": command, **payload},
                              **job})
    assert answer.status == 400 and answer.json["code"] == "job_failed", answer
    return answer.json["error"]


# --- shell and python

def test_a_list_is_run_as_it_is_and_a_text_by_the_shell(node: TrialNode) -> None:
    listed = result(node, shell(node, ["/bin/echo", "$HOME  two"]))
    assert (listed["stdout"], listed["argv"], listed["exit_code"], listed["status"]) == (
        "$HOME  two\n", ["/bin/echo", "$HOME  two"], 0, "ok")
    assert result(node, shell(node, "echo $((1 + 1))"))["argv"][:2] == ["/bin/sh", "-lc"]


def test_python_code_runs_with_its_arguments(node: TrialNode) -> None:
    job = submit(node, {"kind": "python.inline", "dispatch_mode": "inline",
                        "payload": {"code": "import sys; print('py', sys.argv[1:])", "args": ["a", 7]}})["job"]
    assert said(node, job) == "py ['a', '7']\n"
    assert result(node, job)["argv"] == [sys.executable, "-c", "import sys; print('py', sys.argv[1:])", "a", "7"]
    body = refused(submitted(node, {"kind": "python.inline", "dispatch_mode": "inline",
                                    "payload": {"code": "import sys; sys.exit(4)"}}), 400,
                   "job_failed", "shell.command exited with code 4: ")
    assert body["job"]["executor"] == "shell-worker"


def test_a_run_starts_with_an_empty_environment(node: TrialNode) -> None:
    assert said(node, shell(node, ["/usr/bin/env"], env={"ONE": "1", "TWO": True})).split() == ["ONE=1", "TWO=true"]
    assert "result_artifacts" in shell(node, ["/usr/bin/env"]) and shell(node, ["/usr/bin/env"])["result_artifacts"] == {}


def test_host_variables_come_only_by_name_and_never_the_nodes_own(node: TrialNode) -> None:
    policy = {"inherit_host_env": True, "inherit_env_allowlist": ["HOST_WORD", "NOT_SET", "OCP_OPERATOR_TOKEN_COPY"]}
    assert said(node, shell(node, ["/usr/bin/env"], env_policy=policy)) == "HOST_WORD=from the host\n"
    assert said(node, shell(node, ["/usr/bin/env"], env_policy=policy, env={"HOST_WORD": "own"})) == "HOST_WORD=own\n"
    assert said(node, shell(node, ["/usr/bin/env"], env_policy=policy | {"allow_env_override": False},
                            env={"HOST_WORD": "own", "X": "1"})
                ).splitlines() == ["HOST_WORD=from the host", "X=1"]


def test_a_run_starts_in_the_workspace_or_below_it(node: TrialNode) -> None:
    (workspace(node) / "sub").mkdir()
    (workspace(node) / "link").symlink_to("/etc")
    assert said(node, shell(node, ["/bin/pwd"])) == f"{os.path.realpath(workspace(node))}\n"
    assert said(node, shell(node, ["/bin/pwd"], cwd="sub")).endswith("/sub\n")
    for outside in ("/etc", "..", "sub/../../..", "link"):
        assert failure(node, "true", cwd=outside) == "runtime cwd must stay inside workspace_root"
    assert failure(node, "true", cwd="missing") == "runtime cwd does not exist"


def test_an_isolated_run_has_a_folder_of_its_own_that_is_gone_afterwards(node: TrialNode) -> None:
    job = shell(node, "pwd; echo $HOME; echo x > file", filesystem={"profile": "isolated"})
    cwd, home = said(node, job).split()
    assert cwd == home and not Path(cwd).exists() and not list((node.folder / "runs").iterdir())
    assert not Path(cwd).is_relative_to(workspace(node))


def test_a_program_inherits_no_descriptor_and_leaves_no_core(node: TrialNode) -> None:
    out = said(node, shell(node, "ls /proc/self/fd; sleep 0.3; ulimit -c; ulimit -n"))
    fds, core, files = out.split()[:-2], *out.split()[-2:]
    assert set(fds) <= {"0", "1", "2", "3"} and core == "0" and int(files) <= 256


def test_memory_is_bounded_where_the_job_says_so(node: TrialNode) -> None:
    code = "import time; time.sleep(0.3); x = bytearray(400 * 1024 * 1024); print('had it')"
    fits = submitted(node, {"kind": "python.inline", "dispatch_mode": "inline", "payload": {"code": code}})
    assert fits.status == 200
    over = submitted(node, {"kind": "python.inline", "dispatch_mode": "inline", "payload": {"code": code},
                            "requirements": {"resources": {"memory_mb": 128}}})
    assert over.status == 400 and "had it" not in over.json["error"]


# --- bounds

@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_beyond_a_mebibyte_is_cut_and_says_so(node: TrialNode, stream: str) -> None:
    target = "" if stream == "stdout" else " >&2"
    found = result(node, shell(node, f"yes 0123456789abcde | head -c 3000000{target}"))
    assert len(found[stream]) == 1_048_576 and found[f"{stream}_truncated"] is True
    other = "stderr" if stream == "stdout" else "stdout"
    assert found[other] == "" and f"{other}_truncated" not in found


def test_output_that_is_no_text_is_kept_as_far_as_it_can_be(node: TrialNode) -> None:
    assert result(node, shell(node, r"printf 'a\377b'"))["stdout"] == "a\ufffdb"


def test_a_run_out_of_time_is_ended_with_all_it_has_started(node: TrialNode) -> None:
    begun = time.monotonic()
    text = failure(node, "sleep 300 & echo $! > child; trap '' TERM; sleep 300 & wait; wait", timeout_seconds=1)
    assert text == "shell.command timed out after 1s" and time.monotonic() - begun < 15
    pid = int((workspace(node) / "child").read_text())
    node.until(lambda: not alive(pid), "the end of the child's child")


def test_the_text_of_a_failure_is_what_the_program_said_last_of_all_errors_first(node: TrialNode) -> None:
    assert failure(node, "echo out; echo err >&2; exit 9") == "shell.command exited with code 9: err"
    assert failure(node, "echo only out; exit 9") == "shell.command exited with code 9: only out"
    assert failure(node, "kill -9 $$") == "shell.command was ended by signal 9"
    assert len(failure(node, "yes error | head -c 90000 >&2; exit 1")) < 2200
    assert failure(node, ["/no/such/program"]) == "command file /no/such/program does not exist"


def test_a_program_that_leaves_something_behind_does_not_hold_up_the_answer(node: TrialNode) -> None:
    begun = time.monotonic()
    job = shell(node, "(sleep 300 & echo $! > left); echo done")
    assert said(node, job) == "done\n" and time.monotonic() - begun < 10
    pid = int((workspace(node) / "left").read_text())
    node.until(lambda: not alive(pid), "the end of what was left behind")


# --- secrets

def secrets_job(**secrets: Any) -> Members:
    return {"policy": {"classification": "trusted", "secret_scopes": ["mesh.ops"]}, "secrets": secrets}


def test_secrets_of_every_source_reach_the_run_and_nothing_else(node: TrialNode) -> None:
    (workspace(node) / "token.txt").write_text("file-value\n")
    assert node.post("/mesh/secrets/put", {"scope": "mesh.ops", "name": "runtime-token", "value": "store-value"}).status == 200
    job = shell(node, 'printf "%s\\n" "$A/$B/$C/$D" > seen; printf "%s" "$A/$B/$C/$D"', **secrets_job(
        A={"value": "inline-value"}, B={"source": "store", "name": "runtime-token"}, C={"source": "env", "name": "HOST_WORD"},
        D={"source": "file", "path": "token.txt"}))
    assert (workspace(node) / "seen").read_text() == "inline-value/store-value/from the host/file-value\n"
    delivery = job["secret_delivery"]
    assert [each["source"] for each in delivery] == ["inline", "store", "env",
                                                     "file"] and all(each["resolved"] for each in delivery)
    assert len({each["value_digest"] for each in delivery}) == 4 and delivery[1]["secret_id"]
    assert hashlib.sha256(b"inline-value").hexdigest() not in repr(delivery)
    database = b"".join(path.read_bytes() for path in node.folder.glob("ocp.db*"))
    for value in ("inline-value", "store-value", "file-value"):
        assert value not in repr(job) and value.encode() not in database
    assert said(node, job) == "***/***/***/***"
    for role in ("result_ref", "result_config_ref", "result_attestation_ref", "result_bundle_ref"):
        assert "-value" not in text_of(node, job[role])
    attestation = json.loads(text_of(node, job["result_attestation_ref"]))
    assert attestation["predicate"]["secret_delivery"] == delivery


def test_a_required_secret_that_is_missing_fails_the_run_and_an_optional_one_is_left_out(node: TrialNode) -> None:
    for source, name in (("store", "missing"), ("env", "OCP_OPERATOR_TOKEN_COPY")):
        found = failure(node, "true", **secrets_job(B={"source": source, "name": name}))
        assert found == "required secret binding missing value: B"
    optional = shell(node, "echo [${B-unset}]", **secrets_job(B={"source": "store", "name": "missing", "required": False}))
    assert said(node, optional) == "[unset]\n" and optional["secret_delivery"][0]["resolved"] is False


@pytest.mark.parametrize("path, text", [("/etc/hosts", "file secret path must stay inside workspace_root"),
                                        ("gone", "file secret path does not exist"),
                                        ("folder", "file secret path must be a file")])
def test_a_secret_file_is_inside_the_workspace(node: TrialNode, path: str, text: str) -> None:
    (workspace(node) / "folder").mkdir()
    assert failure(node, "true", **secrets_job(B={"source": "file", "path": path})) == text


def test_inline_secrets_are_kept_sealed_only_until_the_job_has_ended(node: TrialNode) -> None:
    job = submit(node, {"kind": "shell.command", "dispatch_mode": "queued", "policy": {"secret_scopes": ["s"]},
                        "payload": {"command": "true", "secrets": {"A": "waiting-value"}}})["job"]
    with node.core.reader.snapshot() as connection:
        kept = connection.execute("SELECT sealed FROM mesh_job_secret WHERE job_id = ?", (job["id"],)).fetchall()
    assert len(kept) == 1 and kept[0][0].startswith("v1:") and "waiting-value" not in repr((job, kept[0][0]))
    assert node.post(f"/mesh/jobs/{job['id']}/cancel", {}).status == 200
    with node.core.reader.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM mesh_job_secret").fetchone()[0] == 0


def test_a_peers_job_gets_what_it_brought_and_what_was_granted_to_that_peer(node: TrialNode) -> None:
    peer, other = TrialPeer("beta-node"), TrialPeer("other-node")
    peer.shakes_hands(node), other.shakes_hands(node)
    assert node.post("/mesh/secrets/put", {"scope": "shared", "name": "n", "value": "granted-value",
                                           "metadata": {"allowed_peers": ["beta-node"]}}).status == 200
    (workspace(node) / "token.txt").write_text("x")

    def send(who: TrialPeer, **binding: Any) -> Any:
        return who.post(node, "/mesh/jobs/submit", {"job": {
            "kind": "shell.command", "dispatch_mode": "inline", "policy": {"secret_scopes": ["shared"]},
            "payload": {"command": 'test -n "$B" && echo got', "secrets": {"B": binding},
                        "env_policy": {"inherit_host_env": True, "inherit_env_allowlist": ["HOST_WORD"]}}}})

    for source, more in (("env", {"name": "HOST_WORD"}), ("file", {"path": "token.txt"}), ("store", {"name": "other"})):
        refused(send(peer, source=source, **more), 403, "policy_denied", f"secret source not allowed for this peer: {source}")
    refused(send(other, source="store", name="n"), 403, "policy_denied", "secret source not allowed for this peer: store")
    for binding in ({"source": "store", "name": "n"}, {"value": "own"}):
        assert send(peer, **binding).json["status"] == "completed"
    seen = peer.post(node, "/mesh/jobs/submit", {"job": {"kind": "shell.command", "dispatch_mode": "inline", "payload": {
        "command": ["/usr/bin/env"], "env_policy": {"inherit_host_env": True,
                                                    "inherit_env_allowlist": ["HOST_WORD"]}}}}).json["job"]
    assert seen["result_artifacts"] == {}


def test_a_job_may_ask_that_its_secrets_are_there_when_it_comes(node: TrialNode) -> None:
    answer = submitted(node, {"kind": "shell.command", "policy": {"secret_scopes": ["s"]}, "metadata": {"strict_secrets": True},
                              "payload": {"command": "true", "secrets": {"B": {"source": "store", "name": "gone"}}}})
    refused(answer, 404, "not_found", "secret not found: s/gone")


# --- checkpoints

def test_a_program_goes_on_from_the_checkpoint_it_left(tmp_path: Path) -> None:
    program = ('if [ -n "$OCP_RESUME_CHECKPOINT_PATH" ]; then'
               ' echo "on from $(cat $OCP_RESUME_CHECKPOINT_PATH) $OCP_RESUME_ARTIFACT_MEDIA_TYPE";'
               ' else echo \'{"step": 3}\' > $OCP_CHECKPOINT_PATH; echo no luck >&2; exit 1; fi')
    with TrialNode(tmp_path, workers=1, clock=Clock()) as node:
        job = submit(node, {"kind": "shell.command", "payload": {"command": program},
                            "metadata": {"resumable": True, "max_attempts": 2}})["job"]
        found = until(node, job["id"], "completed")
        assert said(node, found) == 'on from {"step": 3} application/json\n'
        first, second = found["attempts"]
        assert (first["status"], second["status"], found["resume_count"]) == ("failed", "completed", 1)
        assert second["metadata"]["resumed_from_checkpoint_ref"]["id"] == first["metadata"]["checkpoint_ref"]["id"]
        assert found["resume_checkpoint_ref"] == {} and found["latest_checkpoint_ref"]["artifact_kind"] == "checkpoint"
        assert not list((node.folder / "runs").iterdir())


def test_an_echo_is_told_where_it_goes_on(tmp_path: Path) -> None:
    from ocp_node.mesh.jobs.lanes import Work, plan
    from ocp_node.mesh.jobs.spec import asked
    spec = asked({"kind": "agent.echo", "payload": {"m": 1}}, "n", "r", 60).spec
    made = plan(Work("j", spec, 2, {"id": "c"}, True), None, None)  # type: ignore[arg-type]
    assert made.result == {"echo": {"m": 1, "_ocp_resume": {"checkpoint_ref": {"id": "c"}, "attempt_number": 2}}, "status": "ok"}


@pytest.mark.parametrize("left", ["", "no json", "[" * 100, "x" * 9_000_000])
def test_what_is_no_checkpoint_is_not_taken_for_one(node: TrialNode, left: str) -> None:
    (workspace(node) / "left").write_text(left)
    command = "cp left $OCP_CHECKPOINT_PATH; ln -sf /etc/hostname $OCP_CHECKPOINT_PATH.2; echo ok"
    job = submit(node, {"kind": "shell.command", "dispatch_mode": "inline", "metadata": {"resumable": True},
                        "payload": {"command": command}})["job"]
    assert job["status"] == "completed" and "checkpoint" not in job["result_artifacts"]


# --- containers and components

def container(node: TrialNode, **payload: Any) -> Any:
    job = {name: payload.pop(name) for name in ("policy", "requirements") if name in payload}
    return submitted(node, {"kind": "docker.container", "payload": {"image": "alpine", **payload}, **job})


def arguments(node: TrialNode, answer: Any) -> list[str]:
    assert answer.status == 200, answer
    return [line.removeprefix("arg:") for line in said(node, answer.json["job"]).splitlines() if line.startswith("arg:")]


def test_a_container_is_run_bounded_and_without_secrets_on_its_command_line(node: TrialNode) -> None:
    answer = container(node, command="echo hi", args=["more"], env={"B": "2", "A": "1"}, network="none",
                       policy={"secret_scopes": ["s"]},
                       secrets={"TOKEN": "secret-token-value"}, requirements={"resources": {"cpu": 0.5, "memory_mb": 64}})
    argv = arguments(node, answer)
    job = answer.json["job"]
    root = os.path.realpath(workspace(node))
    assert argv == ["run", "--rm", "--name", f"ocp-trial-node-{job['id'][:12]}", "--pids-limit", "512", "--security-opt",
                    "no-new-privileges",
                    "--cpus", "0.5", "--memory", "64m", "--network", "none", "-v", f"{root}:/workspace:ro", "--workdir",
                    "/workspace/",
                    "-e", "A=1", "-e", "B=2", "--env", "TOKEN", "alpine", "/bin/sh", "-lc", "echo hi", "more"]
    found = result(node, job)
    assert "secret-token-value" not in repr(found) and "A=<redacted>" in found["docker_argv"]
    assert (found["network_mode"], found["mounted_workspace"], found["image"], job["executor"]) == (
        "none", True, "alpine", "docker-worker")
    assert "secret:***" in said(node, job)


def test_a_container_mounts_the_workspace_only_as_far_as_it_was_asked_to(node: TrialNode) -> None:
    assert "-v" not in arguments(node, container(node, filesystem={"profile": "isolated"}))
    mounted = arguments(node, container(node, filesystem={"writable_paths": ["out"]}))
    assert f"{os.path.realpath(workspace(node))}:/workspace:rw" in mounted


@pytest.mark.parametrize("mode", ["container:other", "odd"])
def test_a_container_network_is_one_of_a_few(node: TrialNode, mode: str) -> None:
    answer = container(node, network=mode)
    assert answer.status == 400 and answer.json["error"] == f"unsupported container network mode: {mode}"


def test_the_hosts_network_is_for_the_operators_containers_only(node: TrialNode) -> None:
    assert "host" in arguments(node, container(node, network="host"))
    peer = TrialPeer("beta-node")
    peer.shakes_hands(node)
    answer = peer.post(node, "/mesh/jobs/submit", {"job": {"kind": "docker.container",
                                                           "payload": {"image": "alpine", "network": "host"}}})
    assert answer.status == 400 and answer.json["error"] == "unsupported container network mode: host"


def test_a_container_out_of_time_is_removed(node: TrialNode, tmp_path: Path) -> None:
    answer = container(node, image="sleep-image", timeout_seconds=1)
    body = refused(answer, 400, "job_failed", "docker.container timed out after 1s")
    removed = tmp_path / "programs" / "removed"
    node.until(removed.exists, "docker rm")
    assert removed.read_text() == f"rm -f ocp-trial-node-{body['job']['id'][:12]}\n"


def test_a_container_that_cannot_start_fails_with_what_docker_said(node: TrialNode) -> None:
    assert container(node, image="fail-image").json["error"] == "docker.container exited with code 125: no such image"


def test_a_component_is_run_by_path_by_id_and_by_digest(node: TrialNode) -> None:
    (workspace(node) / "demo.wasm").write_bytes(b"\0asm demo")
    digest = hashlib.sha256(b"\0asm demo").hexdigest()
    artifact = store(node, b"\0asm demo", media_type="application/wasm")
    root = os.path.realpath(workspace(node))
    by_path = submit(node, {"kind": "wasm.component", "payload": {"component_ref": {"path": "demo.wasm"}, "entrypoint": "run",
                                                                  "args": ["--fast"],
                                                                  "env": {"MODE": "w"}, "network": {"mode": "none"}}})["job"]
    lines = said(node, by_path).splitlines()
    assert lines[:10] == ["arg:run", "arg:--invoke", "arg:run", "arg:--dir", f"arg:{root}", "arg:--env", "arg:MODE=w",
                          "arg:--env",
                          f"arg:OCP_COMPONENT_DIGEST={digest}", "arg:--env"]
    assert lines[-3:-1] == [f"arg:{root}/demo.wasm", "arg:--fast"]
    assert result(node, by_path)["preopened_dir"] == root and by_path["executor"] == "wasm-worker"
    for reference in ({"id": artifact["id"]}, {"digest": f"sha256:{digest}"}, {"id": artifact["id"], "digest": digest.upper()}):
        assert submit(node, {"kind": "wasm.component", "payload": {"component_ref": reference}})["status"] == "completed"


@pytest.mark.parametrize("reference, text", [
    ({"path": "/etc/hosts"}, "wasm component path must stay inside workspace_root"),
    ({"path": "gone.wasm"}, "wasm component path does not exist"),
    ({"id": "gone"}, "wasm component artifact is missing"),
    ({"digest": "00" * 32}, "wasm component source could not be resolved"),
])
def test_a_component_that_cannot_be_found_fails_in_the_protocols_words(node: TrialNode, reference: Members, text: str) -> None:
    refused(submitted(node, {"kind": "wasm.component", "payload": {"component_ref": reference}}), 400, "job_failed", text)


def test_a_component_that_is_not_what_was_named_is_not_run(node: TrialNode) -> None:
    (workspace(node) / "demo.wasm").write_bytes(b"other")
    answer = submitted(node, {"kind": "wasm.component", "payload": {"component_ref": {"path": "demo.wasm", "digest": "00" * 32}}})
    refused(answer, 400, "job_failed", "wasm component digest does not match")


@pytest.mark.parametrize("job", [{"kind": "docker.container", "payload": {"image": "x"}},
                                 {"kind": "wasm.component", "payload": {"component_ref": {"id": "x"}}}])
def test_a_lane_whose_program_is_missing_rejects_its_jobs_clearly(tmp_path: Path, job: Members) -> None:
    (tmp_path / "empty").mkdir()
    with TrialNode(tmp_path / "node", environment={"PATH": str(tmp_path / "empty")}) as node:
        answer = submit(node, job)
        assert answer["status"] == "rejected" and answer["job"]["metadata"]["reason"] == "requirements_unmet"
        assert answer["job"]["metadata"]["job_spec"]["execution"]


# --- being stopped

def test_cancelling_a_running_job_ends_its_whole_process_group(tmp_path: Path) -> None:
    with TrialNode(tmp_path, workers=1, clock=Clock(), stop_grace_seconds=1.0) as node:
        job = submit(node, {"kind": "shell.command", "payload": {"command": "sleep 300 & echo $! > child; sleep 300"}})["job"]
        child = Path(node.settings.workspace_root) / "child"
        node.until(lambda: child.exists() and child.read_text().strip(), "the child")
        answer = node.post(f"/mesh/jobs/{job['id']}/cancel", {"reason": "stop", "operator_id": "op"}).json
        assert answer["status"] == "cancelled" and answer["job"]["attempts"][0]["status"] == "cancelled"
        pid = int(child.read_text())
        node.until(lambda: not alive(pid), "the end of the group")
        node.until(lambda: node.rooms["mesh.jobs"].runs.count() == 0)
        found = job_of(node, job["id"])
        assert (found["status"], found["metadata"]["reason"], found["metadata"]["cancelled_by"],
                len(found["attempts"])) == ("cancelled", "stop", "op", 1)
        assert node.get("/mesh/workers").json["workers"][0]["active_attempts"] == 0
        after = submit(node, {"kind": "shell.command", "payload": {"command": "echo next"}})["job"]
        assert until(node, after["id"], "completed")


def test_the_caller_of_a_cancelled_inline_job_learns_that_it_was(tmp_path: Path) -> None:
    import threading
    with TrialNode(tmp_path, clock=Clock(), stop_grace_seconds=1.0) as node:
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(submitted(node,
                                                                          {"kind": "demo",
                                                                           "command": "echo $$ > pid; sleep 300"})))
        thread.start()
        pid = Path(node.settings.workspace_root) / "pid"
        node.until(lambda: pid.exists() and pid.read_text().strip(), "the run")
        with node.core.reader.snapshot() as connection:
            job_id = connection.execute("SELECT id FROM mesh_job").fetchone()[0]
        assert node.post(f"/mesh/jobs/{job_id}/cancel", {}).json["status"] == "cancelled"
        thread.join(20)
        assert answers[0].status == 200 and answers[0].json["status"] == "cancelled"
        assert answers[0].json["job"]["lease"]["status"] == "cancelled"
        node.until(lambda: not alive(int(pid.read_text())), "the end of the run")


def test_files_of_runs_are_private(node: TrialNode) -> None:
    job = shell(node, "stat -c %a .", filesystem={"profile": "isolated"})
    assert said(node, job) == "700\n"
    assert stat.S_IMODE(workspace(node).stat().st_mode) & 0o077 in (0, 0o055)
