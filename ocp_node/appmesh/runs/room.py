"""Commands that run once: supervised like an application, never stored, forgotten after their time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...base.errors import Busy, Refusal
from ...base.limits import WAIT_SECONDS_MAX
from ...contract.route import Call, Reply, Wait
from ...core import Core, Rooms
from ...crypto import tokens
from ..apps import program as programs
from ..apps import rules as app_rules
from ..apps.app import App
from ..apps.output import TEXT
from ..apps.rules import Phase
from ..users.rules import User
from . import rules

LINGER_SECONDS = 5.0            # after its end, until a run whose caller has gone is forgotten
NAMES_MAX = 10_000


class Runs:
    """One-shot applications, kept among all the others.  On the loop only."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.apps = rooms["appmesh.apps"]
        self._counts: dict[str, int] = {}
        self.waited: set[App] = set()

    def begin(self, call: Call) -> App:
        """The run the caller asks for is on its way."""
        from ...base.records import encode
        user: User = call.caller.subject.user
        given = encode(call.body)
        limit, kept = rules.times(call.query.timeout, call.query.lifecycle, _seconds)
        if sum(1 for app in self.apps.apps.values() if app.once and app.program.owner == user.name) >= rules.KEPT_MAX:
            raise Busy("the number of runs", 60)
        app = self._made(given, user)
        app.wall_seconds = float(limit) or None
        self._audit(app, user)
        self.apps.install(app)
        app.delete_timer = self.core.loop.call_later(kept, partial(self.apps.remove, app))
        return app

    def _made(self, given: dict[str, Any], user: User) -> App:
        """The one-shot application: of its own, or a copy of one that the caller may read."""
        name = (given.get("name") or "").strip()
        if name:
            programs.checked_name(name)
        if name == programs.INTERNAL:
            raise Refusal("invalid_request", "REST service application is not allowed to <EDIT>")
        base = self.apps.apps.get(name) if name else None
        if base is not None:
            rules.must_name(given, True)
            return self._copied(base, given, user)
        rules.must_name(given, False)
        if not name:
            name = tokens.new_id(self.core.ids)
        program = programs.read(given, name, user.name, self.core.clock.time())._replace(status=programs.ONCE)
        return App(program, self.apps.seal(given.get("sec_env") or {}), once=True)

    def _copied(self, base: App, given: dict[str, Any], user: User) -> App:
        """A copy under another name; secrets come along only for who may change the original."""
        granted = self.apps.granted(base.program, user)
        app_rules.allowed(granted, app_rules.READ, user.name, base.name)
        name, count = rules.copy_name(base.name, self._counts.get(base.name, 0), self.apps.apps)
        programs.checked_name(name)
        if len(self._counts) >= NAMES_MAX:
            self._counts.clear()
        self._counts[base.name] = count
        program = base.program._replace(name=name, owner=user.name, status=programs.ONCE,
                                        register_time=int(self.core.clock.time()))
        env = programs.environment(given)
        if given.get("env") is not None:
            program = program._replace(env=env)
        if given.get("metadata") is not None:
            program = program._replace(metadata=programs.metadata(given["metadata"]))
        inherited = base.sec_env if granted >= app_rules.WRITE else ""
        return App(program, inherited if given.get("sec_env") is None else self.apps.seal(given["sec_env"]), once=True)

    def _audit(self, app: App, user: User) -> None:
        self._tell("appmesh.run.asked", app, {"by": user.name, "command": app.program.command[:200]})

    def _tell(self, event_type: str, app: App, payload: dict[str, object]) -> None:
        self.core.writer.submit(lambda connection: connection.event(event_type, surface="appmesh", subject=app.name,
                                                                    payload=payload),
                                lambda _, fault: self.core.log.fault("appmesh.audit", fault) if fault else None)

    def begun(self, app: App) -> bool:
        """The run has started; Refusal with the reason, and nothing left of it, when it could not."""
        if app.start_error:
            self.apps.drop(app)
            raise Refusal("cannot_start", app.start_error)
        if app.removed:
            raise Refusal("not_found", "No such application")
        return app.run is not None

    def forget(self, app: App) -> None:
        """The run is gone from the lists at once; that it went is told after the fact."""
        if not app.removed:
            self.apps.drop(app)
            self._tell("appmesh.app.removed", app, {})

    def forget_at_end(self, app: App) -> None:
        """A run that a caller waits for is forgotten when it has ended, even if the caller has gone."""
        stop: list[Callable[[], None]] = []

        def look() -> None:
            if app.removed or (app.run is not None and app.run.ended) or app.start_error:
                stop[0]()
                self.waited.discard(app)
                self.core.loop.call_later(LINGER_SECONDS, lambda: self.forget(app))

        stop.append(self.core.signals.listen((app.topic,), look))


def _seconds(text: str) -> int:
    return programs.duration(text)


# --- routes

def run(room: Runs, call: Call) -> Wait:
    """POST /appmesh/app/run: started; the answer says how to ask about it."""
    app = room.begin(call)

    def ready() -> Reply | None:
        if not room.begun(app) or app.run is None:
            return None
        return Reply({"name": app.name, "process_uuid": app.run.id})

    return Wait(ready, lambda: _late(room, app), 30.0, (app.topic,), work=True)


def _late(room: Runs, app: App) -> Reply:
    if app.phase is Phase.STARTING or app.run is None:
        room.apps.drop(app)
        raise Busy("the process engine", 10)
    return Reply({"name": app.name, "process_uuid": app.run.id})


def run_and_wait(room: Runs, call: Call) -> Wait:
    """POST /appmesh/app/syncrun: the whole output and the exit code, when it has ended; then it is forgotten."""
    if len(room.waited) >= rules.WAITED_MAX:
        raise Busy("the number of runs that are waited for", 5)
    app = room.begin(call)
    room.waited.add(app)
    room.forget_at_end(app)

    def ready() -> Reply | None:
        if not room.begun(app) or app.run is None or not app.run.ended:
            return None
        reply = _whole(app)
        room.forget(app)
        return reply

    # A run may last for days: late, it goes on being waited for.
    return Wait(ready, ready, WAIT_SECONDS_MAX, (app.topic,), work=True)


def _whole(app: App) -> Reply:
    """The output from its start, as much of it as one answer takes."""
    from ...processes.outputfile import OutputFile
    assert app.run is not None
    data, after = OutputFile.at(app.run.path).read(0, rules.BODY_BYTES_MAX, whole_text=True)
    code = () if app.run.code is None else (("X-Exit-Code", str(app.run.code)),)
    return Reply(data, 200, (("X-Output-Position", str(after)), *code), TEXT)


def build(core: Core, rooms: Rooms) -> Runs:
    return Runs(core, rooms)
