"""The runs of this node: what it carries out itself, for its built-in workers and for callers that wait (OCP 0.1 execution).

A run is a value on its way: worked out and started on this room's own thread, watched by the loop like any child, and when it has
ended its result package is stored by that thread again.  A hundred runs cost one thread.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from . import lanes, table
from .delivery import Sources, Store
from .failure import RunFailed
from .lanes import Outcome, Plan
from .package import Package

if TYPE_CHECKING:
    from ...core import Core
    from .room import Jobs

Members = dict[str, Any]
End = Callable[[Outcome, str, "Package | None"], None]      # outcome, executor, and the stored package of a success
STOPPING = "node stopping"
COMPONENT_BYTES_MAX = 64 * 1024 * 1024


class Run:
    """One job being carried out."""

    __slots__ = ("key", "job", "attempt_id", "attempt_number", "resume", "mark", "end", "plan", "child", "cancelled", "over")

    def __init__(self, job: table.Job, end: End, *, attempt_id: str = "", attempt_number: int = 0, resume: Members | None = None,
                 mark: int = 0) -> None:
        self.key = attempt_id or job.id
        self.job = job
        self.attempt_id = attempt_id
        self.attempt_number = attempt_number
        self.resume = resume or {}
        self.mark = mark
        self.end = end
        self.plan: Plan | None = None
        self.child: Any = None
        self.cancelled = False
        self.over = False


class Runs:
    """What runs now."""

    def __init__(self, core: Core, jobs: Jobs) -> None:
        self._core = core
        self._jobs = jobs
        self._todo: deque[Callable[[], None]] = deque()
        self._going: dict[str, Run] = {}
        self._folder = core.data / "runs"
        self._leaving = False
        self._prepared = False
        self._wake = core.tickers.add("mesh-runs", self._step).wake
        core.on_leave(self.leave)

    # --- from any thread

    def begin(self, run: Run) -> None:
        """The run is carried out; `end` hears of it once, on another thread than the loop's."""
        self._going[run.key] = run
        self._later(partial(self._start, run))

    def stop(self, key: str) -> None:
        """What runs under this key is ended, its whole process group with it; nothing of it is told any more."""
        run = self._going.get(key)
        if run is not None:
            run.cancelled = True
            if run.child is not None:
                run.child.stop()

    def count(self) -> int:
        """How many go on."""
        return len(self._going)

    def find(self, key: str) -> Run | None:
        """The run under this key, while it goes on."""
        return self._going.get(key)

    def leave(self) -> None:
        """The node stops: what has ended is still told, nothing is started any more."""
        self._leaving = True
        self._step()

    def forget_folders(self, known: frozenset[str] = frozenset()) -> None:
        """Folders of runs of a node that died are gone."""
        for name in os.listdir(self._folder) if self._folder.is_dir() else ():
            if name not in self._going and name not in known:
                shutil.rmtree(self._folder / name, ignore_errors=True)

    def _later(self, act: Callable[[], None]) -> None:
        self._todo.append(act)
        self._wake()

    # --- on the thread of runs

    def _step(self) -> float | None:
        while self._todo:
            self._todo.popleft()()
        return None

    def _start(self, run: Run) -> None:
        if run.cancelled or self._leaving:
            self._over(run, Outcome(error=STOPPING, stopped=True), "")
            return
        try:
            plan = run.plan = self._plan(run)
            if plan.command:
                run.child = self._core.processes.start(self._as_start(run, plan), partial(self._exited, run))
                if run.cancelled:
                    run.child.stop()
            else:
                self._succeeded(run, plan, plan.result)
        except RunFailed as fault:
            self._over(run, Outcome(error=fault.text, code=fault.code, retryable=fault.retryable), "")
        except Refusal as refusal:
            self._over(run, Outcome(error=refusal.message, retryable=refusal.code != "cannot_start"), "")
        except OSError as fault:
            self._core.log.fault("run.fault", fault, job=run.job.id)
            self._over(run, Outcome(error="the run could not be prepared"), "")

    def _plan(self, run: Run) -> Plan:
        jobs, job, host = self._jobs, run.job, self._core.environment
        docker, wasm = jobs.programs
        with jobs.reader.snapshot() as connection:
            sealed = table.secrets_of(connection, job.id)
        local = job.origin_peer_id == jobs.node_id
        place = lanes.Place(jobs.node_id, Path(self._core.settings.workspace_root), self._folder / run.key, host, docker, wasm,
                            self._component, self._checkpoint)
        sources = Sources(local, host, place.workspace, {name: jobs.opened(job.id, name, box) for name, box in sealed.items()},
                          partial(self._stored, job.origin_peer_id), jobs.digest)
        return lanes.plan(lanes.Work(job.id, job.spec, run.attempt_number, run.resume, local), place, sources)

    def _as_start(self, run: Run, plan: Plan) -> Any:
        from ...processes.records import Limits, Output, Start
        limits = Limits(cpu_seconds=float(plan.seconds + lanes.CPU_SECONDS_MORE), memory_bytes=plan.memory_bytes,
                        open_files=lanes.OPEN_FILES_MAX)
        return Start(command=list(plan.command), cwd=plan.cwd, environment=dict(plan.environment), bare=plan.bare,
                     output=Output(bytes_max=lanes.OUTPUT_BYTES_MAX, keep="head"), wall_seconds=float(plan.seconds),
                     limits=limits if plan.bare else Limits(), label=f"mesh:{run.key}", mark=run.mark)

    def _stored(self, origin: str, scope: str, name: str) -> Store | None:
        """A stored secret that this origin may be given."""
        return self._jobs.stored_secret(origin, scope, name)

    def _component(self, reference: Mapping[str, Any]) -> bytes:
        artifacts = self._jobs.artifacts
        with self._jobs.reader.snapshot() as connection:
            if reference.get("id"):
                found = artifacts.find(connection, reference["id"])
                missing = "wasm component artifact is missing"
            else:
                found = artifacts.with_digest(connection, str(reference.get("digest") or ""))
                missing = "wasm component source could not be resolved"
        if found is None or found["size_bytes"] > COMPONENT_BYTES_MAX:
            raise RunFailed(missing)
        content: bytes = artifacts.content(found)
        return content

    def _checkpoint(self, reference: Mapping[str, Any]) -> bytes:
        with self._jobs.reader.snapshot() as connection:
            found = self._jobs.artifacts.find(connection, reference["id"])
        if found is None:
            raise RunFailed("checkpoint artifact not found")
        content: bytes = self._jobs.artifacts.content(found)
        return content

    # --- its end

    def _exited(self, run: Run, ended: Any) -> None:
        """On the loop, or on the thread that closes the node."""
        if run.over:
            return
        if self._leaving:
            self._finish(run, ended)
        else:
            self._later(partial(self._finish, run, ended))

    def _finish(self, run: Run, ended: Any) -> None:
        plan = run.plan
        assert plan is not None
        if plan.afterwards and ended.reason in ("timed_out", "stopped"):
            self._afterwards(plan)
        found = lanes.outcome(plan, run.job.spec["kind"], ended)
        if found.stopped and not run.cancelled:
            found = found._replace(error=STOPPING)
        if found.error:
            self._over(run, found, plan.executor)
        else:
            self._succeeded(run, plan, found.result)

    def _succeeded(self, run: Run, plan: Plan, result: Any) -> None:
        """The result is stored, and then told."""
        records = plan.delivered.records if plan.delivered is not None else None
        try:
            package = Package(self._jobs, run.job, run.attempt_id, plan.executor).store(result, delivery=records)
        except (Refusal, OSError) as fault:
            if isinstance(fault, OSError):
                self._core.log.fault("run.fault", fault, job=run.job.id)
            text = fault.message if isinstance(fault, Refusal) else "the result could not be stored"
            self._over(run, Outcome(error=text), plan.executor)
            return
        self._over(run, Outcome(result), plan.executor, package)

    def _afterwards(self, plan: Plan) -> None:
        """What ending the program did not end is ended as well: a container outlives the program that started it."""
        from ...processes.records import NOWHERE, Start
        host = {name: value for name, value in plan.environment.items() if name in lanes.DOCKERS_OWN}
        try:
            self._core.processes.start(Start(command=list(plan.afterwards), environment=host, output=NOWHERE, wall_seconds=30.0,
                                             label="mesh:afterwards"), lambda ended: None)
        except Refusal as refusal:
            self._core.log.warning("run.left_behind", command=plan.afterwards[0], why=refusal.code)

    def _over(self, run: Run, found: Outcome, executor: str, package: Package | None = None) -> None:
        run.over = True
        shutil.rmtree(self._folder / run.key, ignore_errors=True)
        try:
            run.end(found, executor, package)
        finally:
            self._going.pop(run.key, None)
