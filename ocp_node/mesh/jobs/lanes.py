"""How each kind of job is carried out: the program, its folder, its variables, and what its end means (OCP 0.1 execution lanes).

`plan` decides everything before anything is started; `outcome` says what came of it.  What is started, and how it is watched and
ended, is the process engine's affair.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...base.errors import Refusal
from .delivery import Delivered, Sources, deliver, hidden, inside
from .failure import RunFailed
from .spec import CONTAINER, ECHO, PYTHON, SHELL, WASM

Members = dict[str, Any]

OUTPUT_BYTES_MAX = 1_048_576          # of each stream
OPEN_FILES_MAX = 256
CPU_SECONDS_MORE = 5                  # beyond the time limit by the wall, which comes first for a single thread
PIDS_MAX = 512                        # processes of one container
CHECKPOINT_BYTES_MAX = 8 * 1024 * 1024
ERROR_TEXT_MAX = 2_000                # characters of a program's output in an error
CONTAINER_NETWORKS = ("default", "bridge", "host", "none")
WASM_NETWORKS = ("default", "none")
REDACTED = "<redacted>"
# What the docker program reads for itself: a secret of that name would change the program, not reach the container.
DOCKERS_OWN = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "XDG_RUNTIME_DIR")


class Place(NamedTuple):
    """Where runs happen on this node."""
    node_id: str
    workspace: Path
    folder: Path                      # of this run, for what only it needs; made when something is put into it
    host: Mapping[str, str]
    docker: str                       # the programs, "" where a lane is off
    wasm: str
    component: Callable[[Mapping[str, Any]], bytes]        # the bytes of a component that is an artifact
    checkpoint: Callable[[Mapping[str, Any]], bytes]       # the bytes of a checkpoint


class Work(NamedTuple):
    """What is to be done."""
    job_id: str
    spec: Mapping[str, Any]
    attempt_number: int
    resume: Members                   # the checkpoint it goes on from, {} for none
    local: bool                       # from this node's operator


class Plan(NamedTuple):
    """One run, worked out."""
    executor: str
    result: Members                   # what is known before it runs
    delivered: Delivered | None = None
    command: tuple[str, ...] = ()     # () where nothing has to be started: the result is there
    cwd: str = ""
    environment: Mapping[str, str] = {}
    bare: bool = True                 # nothing but that environment
    seconds: int = 0
    memory_bytes: int = 0
    checkpoint: str = ""              # where the program may leave one
    afterwards: tuple[str, ...] = ()  # a command that ends what ending the program does not


def plan(work: Work, place: Place, sources: Sources) -> Plan:
    """How the work is done; `RunFailed` when it cannot be."""
    kind = work.spec["kind"]
    if kind == ECHO:
        return _echo(work)
    made = {SHELL: _program, PYTHON: _program, CONTAINER: _container, WASM: _component}.get(kind)
    if made is None:
        raise RunFailed(_unsupported(kind, work.spec), "unsupported", retryable=False)
    os.makedirs(place.workspace, mode=0o700, exist_ok=True)
    return made(work, place, deliver(work.spec, sources))


def _unsupported(kind: str, spec: Mapping[str, Any]) -> str:
    if kind in ("host.runtime.trigger", "mirror.metabolism.trigger"):
        return "metabolism executor unavailable"
    if kind == "swarm.submit":
        return "swarm gateway unavailable"
    if kind.startswith("golem.") or "golem-provider" in spec["requirements"]["capabilities"]:
        return "golem adapter is not enabled on this organism"
    return f"unsupported mesh job kind: {kind}"


def _echo(work: Work) -> Plan:
    payload = work.spec["execution"]["payload"]
    if work.resume and isinstance(payload, dict):
        payload = {**payload, "_ocp_resume": {"checkpoint_ref": work.resume, "attempt_number": work.attempt_number}}
    return Plan("agent-runtime", {"echo": payload, "status": "ok"})


# --- programs of this machine

def _program(work: Work, place: Place, delivered: Delivered) -> Plan:
    execution = work.spec["execution"]
    isolated = work.spec["runtime_environment"]["filesystem"]["profile"] == "isolated"
    cwd = _made(place.folder / "work") if isolated else _cwd(work, place)
    command = execution.get("command") or [sys.executable, "-c", execution["inline_code"], *execution["args"]]
    environment = delivered.together
    if isolated:
        environment.setdefault("HOME", cwd)
    own, checkpoint = _own(work, place, str(place.folder))
    return Plan("shell-worker", _known(work, command, cwd), delivered, tuple(command), cwd, environment | own, True,
                execution["timeout_seconds"], _memory(work), checkpoint)


def _known(work: Work, argv: list[str], cwd: str) -> Members:
    return {"status": "ok", "argv": list(argv), "cwd": cwd, "runtime_environment": work.spec["runtime_environment"]}


def _memory(work: Work) -> int:
    return int(work.spec["requirements"]["resources"].get("memory_mb") or 0) * 1024 * 1024


def _cwd(work: Work, place: Place) -> str:
    """The folder the program starts in: inside the workspace, unless this node's own operator says otherwise."""
    surroundings = work.spec["runtime_environment"]
    named = surroundings["cwd"]
    found = inside(place.workspace, named)
    if found is None and work.local and not surroundings["filesystem"]["workspace_root_required"]:
        found = Path(os.path.realpath(named))
    if found is None:
        raise RunFailed("runtime cwd must stay inside workspace_root")
    if not found.is_dir():
        raise RunFailed("runtime cwd does not exist")
    return str(found)


def _made(folder: Path) -> str:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:
        raise RunFailed("no folder could be made for the run") from None
    return str(folder)


def _own(work: Work, place: Place, seen_as: str) -> tuple[dict[str, str], str]:
    """The variables by which a run goes on from a checkpoint and leaves one, and where it leaves it.

    `seen_as` is how the run itself sees its folder.
    """
    found: dict[str, str] = {}
    resume = work.resume
    if resume.get("id"):
        found = {"OCP_RESUME_ARTIFACT_ID": resume["id"], "OCP_RESUME_ARTIFACT_DIGEST": str(resume.get("digest") or ""),
                 "OCP_RESUME_ARTIFACT_MEDIA_TYPE": str(resume.get("media_type") or "")}
        _written(place.folder, "resume", place.checkpoint(resume))
        found["OCP_RESUME_CHECKPOINT_PATH"] = f"{seen_as}/resume"
    if not work.spec["checkpoints"]["enabled"]:
        return found, ""
    _made(place.folder)
    return found | {"OCP_CHECKPOINT_PATH": f"{seen_as}/checkpoint.json"}, str(place.folder / "checkpoint.json")


def _written(folder: Path, name: str, content: bytes) -> str:
    _made(folder)
    try:
        with open(folder / name, "wb") as file:
            file.write(content)
    except OSError:
        raise RunFailed("a file of the run could not be written") from None
    return str(folder / name)


# --- containers

def _container(work: Work, place: Place, delivered: Delivered) -> Plan:
    if not place.docker:
        raise RunFailed("docker is not available on this node", "unsupported", retryable=False)
    execution, surroundings = work.spec["execution"], work.spec["runtime_environment"]
    network = surroundings["network"]["mode"]
    if network not in CONTAINER_NETWORKS or network == "host" and not work.local:
        raise RunFailed(f"unsupported container network mode: {network}", retryable=False)
    name = f"ocp-{place.node_id[:16]}-{work.job_id[:12]}"
    own, checkpoint = _own(work, place, "/ocp")
    command = [place.docker, "run", "--rm", "--name", name, *_bounds(work),
               *([] if network == "default" else ["--network", network])]
    mounted = surroundings["filesystem"]["profile"] != "isolated"
    cwd = ""
    if mounted:
        cwd = _cwd(work, place)
        root = os.path.realpath(place.workspace)
        mode = "rw" if surroundings["filesystem"]["writable_paths"] else "ro"
        command += ["-v", f"{root}:/workspace:{mode}", "--workdir",
                    "/workspace/" + os.path.relpath(cwd, root).removeprefix(".").lstrip("/")]
    if own:
        command += ["-v", f"{place.folder}:/ocp:rw"]
    _check_docker_names(delivered.secrets)
    plain = {**delivered.plain, **own}
    command += [word for pair in sorted(plain.items()) if pair[0] not in delivered.secrets for word in ("-e", "=".join(pair))]
    command += [word for secret in sorted(delivered.secrets) for word in ("--env", secret)]
    inside_argv = [execution["image"], *execution["command"], *execution["args"]]
    host = {name: place.host[name] for name in DOCKERS_OWN if name in place.host}
    result = {**_known(work, [*command, *inside_argv], cwd), "image": execution["image"], "command": execution["command"],
              "args": execution["args"], "docker_argv": _redacted([*command, *inside_argv]), "container_name": name,
              "network_mode": network,
              "mounted_workspace": mounted}
    result["argv"] = result["docker_argv"]
    return Plan("docker-worker", result, delivered, (*command, *inside_argv), "", {**host, **delivered.secrets}, False,
                execution["timeout_seconds"], 0, checkpoint, (place.docker, "rm", "-f", name))


def _bounds(work: Work) -> list[str]:
    resources = work.spec["requirements"]["resources"]
    found = ["--pids-limit", str(PIDS_MAX), "--security-opt", "no-new-privileges"]
    if resources.get("cpu"):
        found += ["--cpus", f"{resources['cpu']:g}"]
    if resources.get("memory_mb"):
        found += ["--memory", f"{resources['memory_mb']}m"]
    return found


def _check_docker_names(secrets: Mapping[str, str]) -> None:
    for name in secrets:
        if name.startswith(("DOCKER_", "LD_")) or name in ("PATH", "HOME", *DOCKERS_OWN):
            raise RunFailed(f"a secret cannot be delivered to a container as {name}", retryable=False)


def _redacted(argv: list[str]) -> list[str]:
    """The command with the values of variables made unreadable."""
    shown = []
    for place, word in enumerate(argv):
        after_switch = place > 0 and argv[place - 1] in ("-e", "--env")
        shown.append(f"{word.partition('=')[0]}={REDACTED}" if after_switch else word)
    return shown


# --- WASM components

def _component(work: Work, place: Place, delivered: Delivered) -> Plan:
    if not place.wasm:
        raise RunFailed("wasm is not available on this node", "unsupported", retryable=False)
    execution, surroundings = work.spec["execution"], work.spec["runtime_environment"]
    network = surroundings["network"]["mode"]
    if network not in WASM_NETWORKS:
        raise RunFailed(f"unsupported wasm network mode: {network}", retryable=False)
    reference = execution["component_ref"]
    path, digest = _component_file(reference, place)
    isolated = surroundings["filesystem"]["profile"] == "isolated"
    cwd = _made(place.folder / "work") if isolated else _cwd(work, place)
    own, checkpoint = _own(work, place, str(place.folder))
    plain = {**delivered.plain, **own, "OCP_COMPONENT_ID": reference.get("id", ""), "OCP_COMPONENT_DIGEST": digest}
    command = [place.wasm, "run", *(["--invoke", execution["entrypoint"]] if execution["entrypoint"] else []),
               *([] if isolated else ["--dir", cwd]), *(["--dir", str(place.folder)] if own else [])]
    command += [word for pair in sorted(plain.items()) if pair[0] not in delivered.secrets for word in ("--env", "=".join(pair))]
    command += [word for secret in sorted(delivered.secrets) for word in ("--env", secret)]
    argv = [*command, path, *execution["args"]]
    shown = _redacted(argv)
    result = {**_known(work, shown, cwd), "component_ref": reference, "component_path": path,
              "entrypoint": execution["entrypoint"],
              "args": execution["args"], "wasm_argv": shown, "network_mode": network, "preopened_dir": "" if isolated else cwd}
    return Plan("wasm-worker", result, delivered, tuple(argv), cwd, delivered.secrets, False, execution["timeout_seconds"],
                _memory(work),
                checkpoint)


def _component_file(reference: Mapping[str, Any], place: Place) -> tuple[str, str]:
    """The file of the component, and its digest; a digest that was named must be the file's."""
    import hashlib
    wanted = str(reference.get("digest") or "").lower().removeprefix("sha256:")
    if reference.get("path"):
        found = inside(place.workspace, reference["path"])
        if found is None:
            raise RunFailed("wasm component path must stay inside workspace_root")
        try:
            with open(found, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            raise RunFailed("wasm component path does not exist") from None
        path = str(found)
    else:
        try:
            content = place.component(reference)
        except Refusal as refusal:
            raise RunFailed(refusal.message) from None
        digest = hashlib.sha256(content).hexdigest()
        path = _written(place.folder, "component.wasm", content)
    if wanted and wanted != digest:
        raise RunFailed("wasm component digest does not match", retryable=False)
    return path, digest


# --- what came of it

class Outcome(NamedTuple):
    """How a run ended."""
    result: Any = None
    error: str = ""                   # "" when it succeeded
    code: str = "job_failed"
    retryable: bool = True
    checkpoint: Any = None            # what a failed program left behind to go on from
    stopped: bool = False             # it was ended from outside


def outcome(made: Plan, kind: str, ended: Any) -> Outcome:
    """What the end of the program means for the job."""
    secrets = list(made.delivered.secrets.values()) if made.delivered else []
    stdout, stderr = (hidden(raw.decode("utf-8", "replace"), secrets) for raw in (ended.stdout, ended.stderr))
    if ended.reason == "exited" and ended.code == 0:
        result = {**made.result, "exit_code": 0, "stdout": stdout, "stderr": stderr}
        for stream in ("stdout", "stderr"):
            if getattr(ended, f"{stream}_truncated"):
                result[f"{stream}_truncated"] = True
        return Outcome(result)
    return Outcome(error=_error(made, kind, ended, stdout, stderr), checkpoint=_left(made), stopped=ended.reason == "stopped")


def _error(made: Plan, kind: str, ended: Any, stdout: str, stderr: str) -> str:
    if ended.reason == "timed_out":
        return f"{kind} timed out after {made.seconds}s"
    named = SHELL if kind == PYTHON else kind
    if ended.reason == "exited":
        said = (stderr.strip() or stdout.strip())
        said = said if len(said) <= ERROR_TEXT_MAX else "…" + said[-ERROR_TEXT_MAX:]
        return f"{named} exited with code {ended.code}: {said}"
    if ended.reason == "signalled":
        return f"{named} was ended by signal {ended.signal}" + (", out of memory" if ended.memory_limit_hit else "")
    return f"{named} was stopped" if ended.reason == "stopped" else f"{named} was lost"


def _left(made: Plan) -> Any:
    """The checkpoint that a program has left; None when it left none that can be read."""
    from ...base import jsontext
    from ...base.errors import Malformed
    if not made.checkpoint:
        return None
    try:
        descriptor = os.open(made.checkpoint, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        raw = file.read(CHECKPOINT_BYTES_MAX + 1)
    if not raw or len(raw) > CHECKPOINT_BYTES_MAX:
        return None
    try:
        return jsontext.parse(raw)
    except Malformed:
        return None


def programs(host: Mapping[str, str], docker: bool, wasm: bool, runtime: str) -> tuple[str, str]:
    """The programs of the lanes that are on, as they are started; "" for a lane that is off, or whose program is not there."""
    path = host.get("PATH", "")
    return (_found("docker", path) if docker else "", _found(runtime, path) if wasm else "")


def _found(program: str, path: str) -> str:
    places = [program] if os.sep in program else [os.path.join(folder, program) for folder in path.split(os.pathsep) if folder]
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), "")
