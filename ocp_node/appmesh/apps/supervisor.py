"""Starts applications, hears of their ends, and does what their definitions say follows.

Everything is decided on the loop, where nothing else happens to an application meanwhile; only starting a process and writing
of it are done by one background thread, so that nothing on the loop waits for a spawn.  A run is written down before it is
started: whatever moment this node dies in, the next one finds it by its record or by the pipe of its output, and none runs twice.
"""

from __future__ import annotations

import collections
import itertools
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...core import Core
from . import program as programs
from . import rules, table
from .app import App, Run
from .program import ENABLED
from .rules import Phase
from .table import KeptRun

if TYPE_CHECKING:
    from ...base.ticker import Ticker
    from ...processes.records import Exit

_OUTPUT = re.compile(r"appmesh\.([A-Za-z0-9_-]{1,128})\.(\d{1,15})\.out(?:\.\d+|\.pipe)?\Z")
KEY_LENGTH = 10


class Supervisor:
    """The runs of all applications.  `open_sec_env` gives the secret environment, `account` the user a program runs under."""

    def __init__(self, core: Core, apps: dict[str, App], open_sec_env: Callable[[App], dict[str, str]],
                 account: Callable[[str], str],
                 remove: Callable[[App], None]) -> None:
        self.core = core
        self.apps = apps
        self._open_sec_env = open_sec_env
        self._account = account
        self._remove = remove
        self.ending: dict[str, App] = {}               # forgotten ones whose run has not ended
        self.folder = Path(core.data) / "appmesh"
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._ticker: Ticker | None = None
        self._ready = True                             # nothing of an earlier node is left to be found
        self._leaving = False
        self._numbers = itertools.count(1)
        core.on_leave(self._leave)

    def _leave(self) -> None:
        self._leaving = True

    # --- the background thread

    def _later(self, job: Callable[[], None]) -> None:
        """`job` is done in the background, in the order of asking."""
        self._jobs.append(job)
        if self._ticker is None:
            self._ticker = self.core.tickers.add("appmesh-apps", self._work)
        self._ticker.wake()

    def _work(self) -> None:
        while self._jobs:
            self._jobs.popleft()()

    def _on_loop(self, act: Callable[[], None]) -> None:
        self.core.loop.call_soon(act)

    # --- after a restart of the node

    def recover(self, runs: list[KeptRun], kept: Iterable[App]) -> None:
        """What an earlier node left is found again before anything is started.  While the node is being built."""
        apps = list(kept)
        if runs or apps:
            self._ready = False
            self._later(partial(self._find_again, runs, apps))

    def _find_again(self, runs: list[KeptRun], apps: list[App]) -> None:
        """In the background: the runs that still go on are adopted, those of nobody are ended, and files of nobody are gone."""
        for kept in runs:
            app = self.apps.get(kept.app)
            wanted = app is not None and not app.once and app.program.status == ENABLED and not app.removed
            try:
                self._find_run(kept, app if wanted else None)
            except Exception as fault:                 # one run that cannot be found must not keep the others from being started
                self.core.log.fault("appmesh.recover", fault, app=kept.app)
        self._read_folder(apps)                        # after the runs: those are found by what stands there
        self._on_loop(self._recovered)

    def _read_folder(self, apps: list[App]) -> None:
        """Which files of output there are; those beyond what is kept are removed."""
        by_name: dict[str, dict[int, str]] = {}
        folder = self.folder / "stdout"
        last = 0
        for name in os.listdir(folder) if folder.is_dir() else ():
            if found := _OUTPUT.match(name):
                number = int(found[2])
                last = max(last, number)
                by_name.setdefault(found[1], {})[number] = str(folder / f"appmesh.{found[1]}.{number}.out")
        self._numbers = itertools.count(last + 1)
        known = {app.name: app for app in apps}
        for name, paths in by_name.items():
            ordered = [paths[number] for number in sorted(paths, reverse=True)]
            app = known.get(name)
            count = app.program.stdout_cache_num + 1 if app is not None else 0
            if app is not None:
                app.outputs = ordered[:count]
            for path in ordered[count:]:
                _remove_output(path)

    def _find_run(self, kept: KeptRun, app: App | None) -> None:
        from ...base import jsontext
        from ...base.records import decode
        from ...processes.records import ChildRecord, Output
        engine = self.core.processes
        output = Output(kind="file", path=kept.path, bytes_max=rules.OUTPUT_BYTES_MAX)
        record = decode(ChildRecord, jsontext.load(kept.record)) if kept.record else engine.find(output, kept.id)
        child = None
        if record is not None and app is not None:
            run = Run(kept.id, app, kept.path, kept.process_key, kept.started_at)
            run.adopted = True
            child = engine.adopt(record, partial(self._exited, run))
            if child is not None:
                self._on_loop(partial(self._adopted, run, child))
        if child is None:
            if record is not None:
                engine.end_remains(record)
            self.core.writer.run(lambda connection: table.delete_run(connection, kept.id))

    def _adopted(self, run: Run, child: Any) -> None:
        app = run.app
        run.child, app.run, app.health = child, run, 0
        if run.path not in app.outputs:
            app.outputs.insert(0, run.path)
        app.phase = rules.step(app.phase, "adopted")
        app.facts["last_start_time"] = int(run.started_at)
        self.core.log.info("appmesh.adopted", app=app.name, pid=child.pid)
        if app.removed or app.program.status != ENABLED:       # forgotten or switched off while it was looked for
            newer = self.apps.get(app.name)
            if app.removed:
                self.ending[app.name] = app
            if newer is not None and newer is not app:
                app.then, newer.after = newer, app
            self.stop(app)
        self._watch_range(app)
        self._check_soon(app)
        if run.early is not None:
            self._exited(run, run.early)

    def _recovered(self) -> None:
        self._ready = True
        for app in list(self.apps.values()):
            if app.phase is Phase.IDLE and (not app.once or app.run is None):
                self.plan(app)

    # --- planning

    def plan(self, app: App, at: float | None = None) -> None:
        """The application starts at `at`, or as soon as it may; at once when that is now.  On the loop."""
        if not self._ready or self._leaving or app.removed or app.after is not None or app.phase not in (Phase.IDLE, Phase.ARMED):
            return
        now = self.core.clock.time()
        due = now if app.once else rules.opens(app.program, max(now, at or now))
        if due is None:
            return self._set_health(app, 1)
        app.phase, app.due = rules.step(app.phase, "arm"), due
        self._await(app)

    def _await(self, app: App) -> None:
        """On the loop: the planned start, when it is due."""
        if app.timer is not None:
            app.timer.cancel()
        left = (app.due or 0.0) - self.core.clock.time()
        if app.phase is not Phase.ARMED:
            return
        if left > 0:
            app.timer = self.core.loop.call_later(min(left, rules.TIMER_SECONDS_MAX), partial(self._await, app))
        else:
            self._start(app)

    def _start(self, app: App) -> None:
        ids, now = self.core.ids, self.core.clock.time()
        app.phase, app.due, app.timer = rules.step(app.phase, "start"), None, None
        path = str(self.folder / "stdout" / f"appmesh.{app.name}.{next(self._numbers)}.out")
        run = Run(ids.hex(24), app, path, ids.hex(KEY_LENGTH), now, app.wall_seconds)
        self._later(partial(self._launch, run))

    def _launch(self, run: Run) -> None:
        """In the background: the program runs, or it is known why not."""
        app, error = run.app, ""
        try:
            for folder in (self.folder, self.folder / "stdout", self.folder / "tmp"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = KeptRun(run.id, app.name, run.path, run.process_key, run.started_at, "")
            self.core.writer.run(lambda connection: table.put_run(connection, kept))
            child = self.core.processes.start(self._as_start(run), partial(self._exited, run))
        except Refusal as refusal:
            error = _start_error(refusal, app)
        except Exception as fault:                     # a full disk, a closed store: this start failed, the next may not
            self.core.log.fault("appmesh.start", fault, app=app.name)
            error = "the program could not be started: the node could not write"
        if error:
            self._on_loop(partial(self._failed, run, error))
        else:
            self._on_loop(partial(self._started, run, child))

    def _as_start(self, run: Run) -> Any:
        """What the process engine is asked for; a Refusal when it makes no sense on this machine."""
        from ...processes.records import Output, Start
        program = run.app.program
        user = self._account(program.owner)
        cwd = self._folder_of(program.working_dir, user)
        command = _command(program, cwd)
        environment = {**program.env, **self._open_sec_env(run.app), "APP_MESH_PROCESS_KEY": run.process_key,
                       "APP_MESH_APPLICATION_NAME": program.name, "APP_MESH_LAUNCH_TIME": str(int(run.started_at))}
        return Start(command=command, cwd=cwd, environment=environment, stdin=programs.standard_input(program), user=user,
                     label=run.id,
                     output=Output(kind="file", path=run.path, bytes_max=rules.OUTPUT_BYTES_MAX), wall_seconds=run.wall_seconds,
                     limits=_limits(program.limits))

    def _folder_of(self, working_dir: str, user: str) -> str:
        """The folder a program starts in: its own, else one that its user can enter."""
        if working_dir:
            if not os.path.isdir(working_dir):
                raise Refusal("cannot_start", f"working_directory {working_dir} does not exist")
            return os.path.abspath(working_dir)
        if not user:
            return str(self.folder / "tmp")
        import pwd
        try:
            home = pwd.getpwnam(user).pw_dir
        except KeyError:
            return "/"                                 # the engine says that there is no such user
        return home if os.path.isdir(home) else "/"

    # --- what happened, on the loop

    def _started(self, run: Run, child: Any) -> None:
        app, now = run.app, self.core.clock.time()
        run.child = child
        app.phase, app.run, app.start_error = rules.step(app.phase, "started"), run, ""
        app.starts += 1
        self._keep_output(app, run.path)
        app.facts = {**_without(app.facts, "return_code", "last_error"), "last_start_time": int(child.started_at)}
        before, app.health = app.health, app.health if app.program.health_check_cmd else 0
        self._write_start(app, run, before)
        if app.phase is Phase.STOPPING:
            self._end(run, run.reason)
        else:
            self._watch_range(app, now)
            self._check_soon(app)
        self.core.signals.stir(app.topic)
        if run.early is not None:
            self._exited(run, run.early)

    def _write_start(self, app: App, run: Run, before: int) -> None:
        from ...base import jsontext
        from ...base.records import encode
        record = jsontext.ascii_text(encode(run.child.record()))
        facts, health, pid = dict(app.facts), app.health, run.child.pid

        def change(connection: Any) -> None:
            table.record_run(connection, run.id, record)
            self._note(connection, app, facts, before, health)
            connection.event("appmesh.app.started", surface="appmesh", subject=app.name,
                             payload={"pid": pid, "process_uuid": run.id})

        self._write(change)

    def _failed(self, run: Run, error: str) -> None:
        """A start that did not happen: said, and for what runs on and on tried again later, whatever its behaviour says."""
        app, now = run.app, self.core.clock.time()
        app.phase = rules.step(app.phase, "failed")
        app.start_error = error
        app.facts = {**_without(app.facts, "return_code"), "last_start_time": int(now), "last_exit_time": int(now),
                     "last_error": f"{programs.local_text(now)} {error}"}
        before, app.health = app.health, 1
        facts = dict(app.facts)

        def change(connection: Any) -> None:
            table.delete_run(connection, run.id)
            self._note(connection, app, facts, before, 1)

        self._write(change)
        if app.phase is Phase.IDLE and not app.once and not app.removed and app.program.status == ENABLED:
            self._again(app, 0.0)
        self._settled(app)

    def _exited(self, run: Run, how: Exit) -> None:
        """On the loop: the run is over, all its output can be read."""
        app, now = run.app, self.core.clock.time()
        if run.child is None:                          # told before the start was: it is looked at then
            run.early = how
            return
        if run.ended:
            return
        run.ended, run.child = True, None
        natural = rules.natural(how.reason) and not run.killed
        run.code = rules.exit_code("stopped" if run.killed else how.reason, how.code, how.signal)
        app.phase = rules.step(app.phase, "exited")
        error = self._why(run, how)
        app.facts = {**app.facts, "last_exit_time": int(now), "return_code": run.code}
        if error:
            app.facts["last_error"] = f"{programs.local_text(now)} {error}"
        before = app.health
        if not app.program.health_check_cmd or not natural:
            app.health = 1
        self._write_end(app, run, how.pid, before)
        if app.closing is not None:
            app.closing.cancel()
        self._settled(app)
        self.core.signals.stir(f"appmesh.run:{run.id}")
        idle = app.phase is Phase.IDLE and not app.once
        if natural and idle and not self._leaving and not app.removed and app.program.status == ENABLED:
            self._act(app, run.code, how.wall_seconds)
        elif idle and not natural:
            self.plan_after_range(app)

    def _why(self, run: Run, how: Exit) -> str:
        if run.killed:
            return run.reason
        if how.reason == "timed_out":
            return "killed after its time was over"
        if run.code is None:
            return "exited with unknown return code: the node was restarted while it ran"
        return f"exited with return code: {run.code}" if run.code else ""

    def _write_end(self, app: App, run: Run, pid: int, before: int) -> None:
        facts, health = dict(app.facts), app.health
        payload = {"exit_code": run.code, "pid": pid, "last_error": facts.get("last_error", "")}

        def change(connection: Any) -> None:
            table.delete_run(connection, run.id)
            self._note(connection, app, facts, before, health)
            connection.event("appmesh.app.exited", surface="appmesh", subject=app.name, payload=payload)

        self._write(change)

    def _note(self, connection: Any, app: App, facts: dict[str, Any], before: int, health: int) -> None:
        """Inside a change: what became of the application, and its health when that changed."""
        if not app.once and not app.removed:
            table.put_facts(connection, app.name, app.program.register_time, facts)
        if before != health:
            connection.event("appmesh.app.health", surface="appmesh", subject=app.name,
                             payload={"health": health, "previous_health": before})

    def _write(self, change: Callable[[Any], None]) -> None:
        """The change is asked for; a store that does not take it is said in the log, as nobody waits for it."""
        def settle(result: Any, fault: BaseException | None) -> None:
            if fault is not None:
                self.core.log.fault("appmesh.write", fault)

        try:
            self.core.writer.submit(change, settle)
        except Refusal as busy:
            self.core.log.warning("appmesh.write_busy", error=busy.message)

    def _settled(self, app: App) -> None:
        """A run has ended or never began: who waits for that goes on."""
        newer, app.then = app.then, None
        if self.ending.get(app.name) is app:
            del self.ending[app.name]
        if newer is not None:
            newer.after = None
            self.plan(newer)
            self.core.signals.stir(newer.topic)
        elif app.removed:
            self._drop_outputs(app)
        self.core.signals.stir(app.topic)

    # --- what follows

    def _act(self, app: App, code: int | None, ran_seconds: float) -> None:
        """The exit action, once (App Mesh, exit actions)."""
        action = rules.action(app.program, code)
        if action in ("restart", "keepalive"):
            self._again(app, ran_seconds)
        elif action == "remove":
            self._remove_later(app, programs.duration(app.program.retention))

    def _again(self, app: App, ran_seconds: float) -> None:
        delay, app.short_runs = rules.next_backoff(app.short_runs, ran_seconds)
        self.plan(app, self.core.clock.time() + delay)

    def _remove_later(self, app: App, seconds: int) -> None:
        if seconds > 0:
            app.delete_timer = self.core.loop.call_later(seconds, partial(self._remove, app))
        else:
            self._remove(app)

    def plan_after_range(self, app: App) -> None:
        """A run that was ended because its time was over starts again when its time comes."""
        if app.run is not None and app.run.reason == OUTSIDE and not app.removed and app.program.status == ENABLED:
            self.plan(app)

    def _watch_range(self, app: App, now: float | None = None) -> None:
        """The run is ended when the application's time is over."""
        at = self.core.clock.time() if now is None else now
        if app.closing is not None:
            app.closing.cancel()
            app.closing = None
        ends = None if app.once else rules.closes(app.program, at)
        if ends is not None and app.phase is Phase.RUNNING:
            app.closing = self.core.loop.call_later(min(max(ends - at, 0.0), rules.TIMER_SECONDS_MAX),
                                                    partial(self._range_tick, app))

    def _range_tick(self, app: App) -> None:
        app.closing = None
        if app.phase is Phase.RUNNING and not rules.may_run(app.program, self.core.clock.time()):
            self.stop(app, OUTSIDE)
        else:
            self._watch_range(app)

    # --- stopping

    def stop(self, app: App, why: str = "") -> None:
        """The run, if there is one, is asked to end; nothing is planned any more.  On the loop."""
        run = app.run
        app.cancel()
        app.phase = rules.step(app.phase, "stop")
        if app.phase is Phase.STOPPING and run is not None and run.child is not None:
            self._end(run, why)

    def _end(self, run: Run, why: str) -> None:
        run.killed, run.reason = True, why
        if run.child is not None:
            run.child.stop()

    def forget(self, app: App, newer: App | None = None) -> None:
        """No longer supervised: its run ends, and then `newer` may start, or its files are gone.  On the loop."""
        app.removed = True
        if newer is not None:
            newer.outputs, newer.starts = app.outputs, app.starts
        self.stop(app)
        if app.phase is Phase.STOPPING:
            app.then = newer
            self.ending[app.name] = app
            if newer is not None:
                newer.after = app
        elif newer is None:
            self._drop_outputs(app)

    def wait_for_ending(self, app: App) -> None:
        """A new application of a name whose last run still ends starts after that."""
        older = self.ending.get(app.name)
        if older is not None:
            older.then, app.after = app, older

    # --- output

    def _keep_output(self, app: App, path: str) -> None:
        """The newest output stands first, and only as many older ones as are kept."""
        app.outputs.insert(0, path)
        for old in app.outputs[app.program.stdout_cache_num + 1:]:
            self._later(partial(_remove_output, old))
        del app.outputs[app.program.stdout_cache_num + 1:]

    def _drop_outputs(self, app: App) -> None:
        outputs, app.outputs = app.outputs, []
        for path in outputs:
            self._later(partial(_remove_output, path))

    # --- health

    def _set_health(self, app: App, health: int) -> None:
        before, app.health = app.health, health
        if before != health:
            facts = dict(app.facts)
            self._write(lambda connection: self._note(connection, app, facts, before, health))

    def _check_soon(self, app: App) -> None:
        """The application's own health check runs again in a moment; one at a time, and never after its end."""
        if app.program.health_check_cmd and not app.checking and not app.removed and not self._leaving:
            if app.check_timer is not None:
                app.check_timer.cancel()
            app.check_timer = self.core.loop.call_later(rules.CHECK_SECONDS, partial(self._check, app))

    def _check(self, app: App) -> None:
        app.check_timer = None
        if app.removed or app.program.status != ENABLED or rules.expired(app.program, self.core.clock.time()) or self._leaving:
            return self._set_health(app, 1)
        app.checking = True
        self._later(partial(self._launch_check, app))

    def _launch_check(self, app: App) -> None:
        """In the background: the check runs as the application's user, for a few seconds at most."""
        from ...processes.records import NOWHERE, Start
        program = app.program
        try:
            user = self._account(program.owner)
            start = Start(command=_words(program.health_check_cmd), cwd=self._folder_of(program.working_dir, user),
                          environment=dict(program.env), user=user,
                          output=NOWHERE, wall_seconds=rules.CHECK_WALL_SECONDS, stop_grace_seconds=0.0,
                          label=f"check {program.name}")
            self.core.processes.start(start, lambda how: self._checked(app, how.reason == "exited" and how.code == 0))
        except Refusal:
            self._on_loop(partial(self._checked, app, False))
        except OSError as fault:
            self.core.log.fault("appmesh.check", fault, app=app.name)
            self._on_loop(partial(self._checked, app, False))

    def _checked(self, app: App, healthy: bool) -> None:
        app.checking = False
        if not app.removed and app.program.status == ENABLED:
            self._set_health(app, 0 if healthy else 1)
            self._check_soon(app)

    def resume_checks(self, app: App) -> None:
        """An application that was enabled is looked after again."""
        self._check_soon(app)


OUTSIDE = "outside valid time range"


def _command(program: programs.Program, cwd: str) -> list[str]:
    """The words to run.  A shell's command is handed over as one word, so no file of it can be raced for or read by others."""
    if program.shell or program.session_login:
        import shutil
        shell = "/bin/bash" if os.path.exists("/bin/bash") else shutil.which("bash") or "/bin/sh"
        return [shell, *(["-l"] if program.session_login else []), "-c", f"set -e\n{program.command}"]
    words = _words(program.command)
    if "/" in words[0]:
        path = os.path.join(cwd, words[0])
        if not os.path.isfile(path):
            raise Refusal("cannot_start", f"command file <{words[0]}> does not exist")
        if not os.access(path, os.X_OK):
            raise Refusal("cannot_start", f"command file <{words[0]}> does not have execution permission")
    return words


def _words(command: str) -> list[str]:
    """The words of a command, split as a shell would, without any of its expansions."""
    import shlex
    try:
        words = shlex.split(command)
    except ValueError as fault:
        raise Refusal("cannot_start", f"the command cannot be split into words: {str(fault).lower()}") from None
    if not words:
        raise Refusal("cannot_start", "the command is empty")
    return words


def _start_error(refusal: Refusal, app: App) -> str:
    """Why a start failed, in the words of App Mesh."""
    program = app.program.command.split(maxsplit=1)[0] if app.program.command.split() else ""
    if refusal.detail.get("why") == "not_found" and not app.program.shell:
        return f"command file <{program}> does not exist"
    return refusal.message or refusal.code


def _without(facts: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}


def _limits(limits: dict[str, int]) -> Any:
    from ...processes.records import Limits
    shares = limits.get("cpu_shares", 0)
    weight = max(1, min(10_000, shares * 100 // 1024)) if shares else 0
    return Limits(memory_bytes=limits.get("memory_mb", 0) << 20, address_space_bytes=limits.get("memory_virt_mb", 0) << 20,
                  cpu_weight=weight)


def _remove_output(path: str) -> None:
    from ...processes.orphans import pipe_path
    from ...processes.outputfile import OutputFile
    OutputFile(path).remove()
    for name in (path, pipe_path(path)):
        try:
            os.unlink(name)
        except OSError:
            continue
