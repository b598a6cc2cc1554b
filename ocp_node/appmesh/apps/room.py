"""Applications: defined by users, kept in the database, supervised as long as the node runs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ...base import jsontext
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Wait, Write
from ...core import Core, Rooms
from ..users.rules import User, administers
from . import output as outputs
from . import program as programs
from . import rules, table
from .app import App, Run
from .program import DISABLED, ENABLED, Program
from .supervisor import Supervisor

USED_SECONDS = 0.5                # what processes use is looked at anew after so long, however many ask
SETTLE_SECONDS = 3.0              # how long an answer waits for a start or an end that is on its way
EVENT_NAMES = ("START", "EXIT", "STDOUT", "HEALTH", "STATUS", "REMOVED", "ALL")


class Apps:
    """All applications by name.  Changed on the loop only, after commits."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self._users = rooms["appmesh.users"]
        self.apps: dict[str, App] = {}
        self.supervisor = Supervisor(core, self.apps, self.open_sec_env, self._account, self.remove)
        with core.reader.snapshot() as connection:
            kept, runs = table.everything(connection), table.runs(connection)
        for one in kept:
            app = self.apps[one.program.name] = App(one.program, one.sec_env)
            app.facts = dict(one.facts)
        self.supervisor.recover(runs, self.apps.values())

    # --- secrets

    @functools.cached_property
    def _key(self) -> bytes:
        from ...crypto import boxes
        return boxes.derive(boxes.load_or_make_key(Path(self.core.settings.secrets_key_file), self.core.ids), "appmesh.sec_env")

    def seal(self, sec_env: dict[str, str]) -> str:
        """A secret environment as it is kept."""
        from ...crypto import boxes
        return boxes.seal_text(self._key, jsontext.ascii_text(sec_env), self.core.ids) if sec_env else ""

    def open_sec_env(self, app: App) -> dict[str, str]:
        """The secret environment of an application; a Refusal of its start when the node's key is another one now."""
        from ...crypto import boxes
        if not app.sec_env:
            return {}
        try:
            opened: Any = jsontext.load(boxes.open_text(self._key, app.sec_env))
        except boxes.CannotOpen:
            raise Refusal("cannot_start", "sec_env cannot be opened with this node's key: define the application again") from None
        return dict(opened)

    # --- who may

    def _account(self, owner: str) -> str:
        found: str = self._users.account(self._users.all.get(owner))
        return found

    def granted(self, program: Program, user: User) -> int:
        """What the user may do with an application: WRITE, READ or 0."""
        owner = self._users.all.get(program.owner)
        return rules.access(program, owner.group if owner else "", user.name, user.group, administers(user))

    def find(self, name: str, user: User, wanted: int) -> App:
        """The application, which the user may read or write; Refusal `not_found` or `policy_denied`."""
        app = self.app(name)
        rules.allowed(self.granted(app.program, user), wanted, user.name, app.name)
        return app

    def app(self, name: str) -> App:
        app = self.apps.get(name.strip())
        if app is None:
            raise Refusal("not_found", "No such application")
        return app

    def owned_by(self, user: str) -> list[str]:
        """Names of what belongs to the user."""
        return [app.name for app in self.apps.values() if app.program.owner == user and not app.once]

    def require(self, user: User, permission: str) -> None:
        self._users.require(user, permission)

    # --- on the loop

    def install(self, app: App) -> None:
        """The application is supervised from now on, in place of an older one of that name."""
        older = self.apps.get(app.name)
        if older is not None:
            self.supervisor.forget(older, app)
        else:
            self.supervisor.wait_for_ending(app)
        self.apps[app.name] = app
        if app.program.status != DISABLED:
            self.supervisor.plan(app)
            self.supervisor.resume_checks(app)

    def drop(self, app: App) -> None:
        """The application is forgotten; its run ends."""
        if self.apps.get(app.name) is app:
            del self.apps[app.name]
        self.supervisor.forget(app)

    def remove(self, app: App) -> None:
        """The application ends its own life: by its exit action, or because a run's time is over."""
        if app.removed:
            return
        self.core.writer.submit(lambda connection: self.delete(connection, app),
                                lambda _, fault: self.core.log.fault("appmesh.remove", fault) if fault else None)

    def delete(self, connection: Any, app: App) -> None:
        """Inside a change: the application is gone from the database, and from memory after the commit."""
        if not app.once:
            table.delete(connection, app.name)
        connection.event("appmesh.app.removed", surface="appmesh", subject=app.name)
        if app.program.status == ENABLED:
            _tell_status(connection, app.name, DISABLED)
        connection.after_commit(lambda: self.drop(app))

    # --- shown

    def view(self, app: App) -> dict[str, Any]:
        """The application with what its processes use.  Not for the loop: all processes of the machine are looked at."""
        made, run = app.shown(), app.run
        if run is not None and run.child is not None and "pid" in made:
            made.update(self._used(run))
        return made

    def glance(self, app: App) -> dict[str, Any]:
        """The same, of the first process alone: for the loop."""
        from ...processes import usage
        made, run = app.shown(), app.run
        if run is not None and run.child is not None and "pid" in made:
            pid = run.child.pid
            made.update(self._counted(run, usage.of([pid]), usage.describe([pid])))
        return made

    def _used(self, run: Run) -> dict[str, Any]:
        """What its processes use, not older than USED_SECONDS: the share of a processor needs a while between two looks."""
        child, now = run.child, self.core.clock.monotonic()
        if child is None:
            return {}
        if run.used is None or now - run.used[0] >= USED_SECONDS or not run.used[1]:
            run.used = now, self._counted(run, child.usage(), child.processes())
        return run.used[1]

    def _counted(self, run: Run, used: Any, processes: list[Any]) -> dict[str, Any]:
        child = run.child
        if used is None or child is None or not processes:
            return {}
        made: dict[str, Any] = {"memory": used.rss_bytes, "cpu": self.cpu_percent(run, used.cpu_seconds),
                                "pstree": rules.tree_text(child.pid, processes),
                                "pid_user": _account_name(next((one.user_id for one in processes if one.pid == child.pid), -1))}
        if used.open_files is not None:
            made["fd"] = used.open_files
        return made

    def cpu_percent(self, run: Run, cpu_seconds: float) -> float:
        """Of one core, since the last look; 0 at the first."""
        now, before = self.core.clock.monotonic(), run.sample
        if before is not None and now - before[0] < USED_SECONDS:
            return 0.0
        run.sample = (now, cpu_seconds)
        return 0.0 if before is None else round(max(0.0, (cpu_seconds - before[1]) / (now - before[0]) * 100), 2)

    def when_settled(self, app: App, reply: Any, seconds: float = SETTLE_SECONDS) -> Reply | Wait:
        """`reply()` once no start and no end of the application is on its way, or a little later all the same."""
        if not app.busy:
            answer: Reply = reply()
            return answer
        return Wait(lambda: None if app.busy else reply(), reply, seconds, (app.topic,), work=True)


def _account_name(user_id: int) -> str:
    import pwd
    try:
        return pwd.getpwuid(user_id).pw_name if user_id >= 0 else ""
    except KeyError:
        return str(user_id)


def _tell_status(connection: Any, name: str, status: int) -> None:
    words = ("disabled", "enabled")
    connection.event("appmesh.app.status", surface="appmesh", subject=name,
                     payload={"status": words[status], "previous_status": words[1 - status]})


def user_of(call: Call) -> User:
    """Who asks; the gate has proven it."""
    user: User = call.caller.subject.user
    return user


# --- routes

def put(room: Apps, call: Call) -> Write:
    """PUT /appmesh/app/{app}: defined, or defined anew; the answer shows it started, when it starts at once."""
    from ...base.records import encode
    user, given, named = user_of(call), encode(call.body), call.path["app"].strip()
    name = (given.get("name") or named).strip()
    if name == programs.INTERNAL:
        raise Refusal("invalid_request", "REST service application is not allowed to <EDIT>")
    if given.get("name") and name != named and programs.NAME.match(name):
        raise Refusal("invalid_request", "application name in path and body differ")
    _known_events(call.texts.get("subscribe_events", ""))
    program = programs.read(given, name, user.name, room.core.clock.time())
    _not_recurring(given)
    app = App(program, room.seal(given.get("sec_env") or {}))

    def change(connection: Any) -> None:
        known = room.apps.get(program.name)
        if known is not None:
            rules.allowed(room.granted(known.program, user), rules.WRITE, user.name, program.name)
        elif table.owned(connection, user.name) >= rules.APPS_PER_USER_MAX:
            raise Refusal("invalid_request", f"a user has at most {rules.APPS_PER_USER_MAX} applications")
        table.put(connection, program, app.sec_env)
        connection.event("appmesh.app.defined", surface="appmesh", subject=program.name,
                         payload={"owner": user.name, "replaced": known is not None})
        if known is not None and known.program.status == ENABLED:
            _tell_status(connection, program.name, DISABLED)
        connection.after_commit(lambda: room.install(app))

    return Write(change, lambda _: room.when_settled(app, lambda: Reply(room.glance(app))))


def _known_events(text: str) -> None:
    """Events are subscribed to on lasting connections; over plain HTTP the list is only checked."""
    if text and not any(word.strip() in EVENT_NAMES for word in text.split(",")):
        raise Refusal("invalid_request", f"No valid event types in subscribe_events: {text[:100]}")


def _not_recurring(given: dict[str, Any]) -> None:
    """A schedule that nobody would keep is not taken."""
    if given.get("start_interval_seconds") is not None or given.get("cron"):
        raise Refusal("planned", "start_interval_seconds and cron are planned and not built yet")


def show(room: Apps, call: Call) -> Reply:
    """GET /appmesh/app/{app}: the definition, and what it does now."""
    return Reply(room.view(room.find(call.path["app"], user_of(call), rules.READ)))


def list_all(room: Apps, call: Call) -> Reply:
    """GET /appmesh/applications: everything the caller may read, by name."""
    user = user_of(call)
    return Reply([room.view(app) for _, app in sorted(room.apps.items()) if room.granted(app.program, user) >= rules.READ])


def delete(room: Apps, call: Call) -> Write:
    """DELETE /appmesh/app/{app}: stopped and forgotten; the owner needs no permission for it."""
    user = user_of(call)
    app = room.app(call.path["app"])
    if user.name != app.program.owner:
        room.require(user, "app-delete")
        rules.allowed(room.granted(app.program, user), rules.WRITE, user.name, app.name)

    def change(connection: Any) -> None:
        if room.apps.get(app.name) is not app:
            raise Refusal("not_found", "No such application")
        room.delete(connection, app)

    return Write(change, lambda _: room.when_settled(app, lambda: Reply({"message": f"Application <{app.name}> removed."})))


def enable(room: Apps, call: Call) -> Write:
    """POST /appmesh/app/{app}/enable: it may run, and starts as soon as its times allow."""
    return _switch(room, call, ENABLED)


def disable(room: Apps, call: Call) -> Write:
    """POST /appmesh/app/{app}/disable: its run ends, and none follows."""
    return _switch(room, call, DISABLED)


def _switch(room: Apps, call: Call, status: int) -> Write:
    user = user_of(call)
    app = room.find(call.path["app"], user, rules.WRITE)
    word = "Enable" if status == ENABLED else "Disable"

    def change(connection: Any) -> None:
        known = table.find(connection, app.name)
        if app.once or known is None or known.status == status:
            return
        table.redefine(connection, known._replace(status=status))
        _tell_status(connection, app.name, status)
        connection.after_commit(lambda: _switched(room, app, status))

    def reply() -> Reply:
        return Reply({"message": f"{word} <{app.name}> success."})

    return Write(change, lambda _: reply() if status == ENABLED else room.when_settled(app, reply))


def _switched(room: Apps, app: App, status: int) -> None:
    """On the loop: the application is as it was switched."""
    if app.removed:
        return
    app.program = app.program._replace(status=status)
    if status == ENABLED:
        app.short_runs = 0
        room.supervisor.plan(app)
        room.supervisor.resume_checks(app)
    else:
        room.supervisor.stop(app)


def health(room: Apps, call: Call) -> Reply:
    """GET /appmesh/app/{app}/health: 0 is healthy."""
    return Reply(str(room.app(call.path["app"]).health), 200, (), outputs.TEXT)


def output(room: Apps, call: Call) -> Reply | Wait:
    """GET /appmesh/app/{app}/output: from a position on; with a time-out once the run has ended, or the time is over."""
    app = room.find(call.path["app"], user_of(call), rules.READ)
    wanted = outputs.asked(call.query)
    run = app.run
    if not wanted.seconds or wanted.back or run is None or run.ended:
        return outputs.reply(app, wanted)
    outputs.reply(app, wanted)                       # what is wrong with the question is said now

    def ready() -> Reply | None:
        if app.removed:
            raise Refusal("not_found", "No such application")
        return outputs.reply(app, wanted) if run.ended else None

    return Wait(ready, lambda: outputs.reply(app, wanted), wanted.seconds, (f"appmesh.run:{run.id}", app.topic))


def build(core: Core, rooms: Rooms) -> Apps:
    return Apps(core, rooms)
