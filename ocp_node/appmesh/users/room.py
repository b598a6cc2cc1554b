"""Users: kept in memory for the gate, changed through the one writer; a new node gets its first users by the settings."""

from __future__ import annotations

import binascii
import os
import sys
import threading
from typing import Any

from ...base import settings as settings_table
from ...base.errors import Refusal
from ...base.log import say
from ...base.setting import WrongUse
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...store import facts
from . import rules, table
from .rules import User

DELETED_EPOCH = "appmesh.deleted_epoch"          # the second up to which tokens of users that were deleted are dead


class Users:
    """Everyone who may log in.  Read anywhere; written after commits only."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self._rooms = rooms
        self._making = threading.Lock()
        with core.reader.snapshot() as connection:
            self.all: dict[str, User] = {user.name: user for user in table.everyone(connection)}

    # --- reading

    def find(self, name: str) -> User:
        """The user, or Refusal `not_found`."""
        user = self.all.get(name)
        if user is None:
            raise Refusal("not_found", "user not found")
        return user

    def permissions(self, user: User) -> frozenset[str]:
        """What the user may do now."""
        return rules.permissions(user, self._rooms["appmesh.roles"].all)

    def require(self, user: User, permission: str) -> None:
        """The user holds the permission, or Refusal `policy_denied`."""
        if permission and permission not in self.permissions(user):
            raise Refusal("policy_denied", f"Permission denied: user '{user.name}' lacks required permission '{permission}'")

    def account(self, user: User | None) -> str:
        """The account of this machine that programs of the user run under; "" is the node's own."""
        return user.exec_user if user is not None and os.geteuid() == 0 else ""

    def shown(self, user: User) -> dict[str, object]:
        return rules.shown(user, self.account(user) or self.own_account())

    def own_account(self) -> str:
        """The account this node runs under."""
        import pwd
        try:
            return pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:
            return str(os.geteuid())

    def owned(self, name: str) -> bool:
        """Some application belongs to the user."""
        return bool(self._rooms["appmesh.apps"].owned_by(name))

    # --- changing (inside a change)

    def put(self, connection: Any, user: User) -> None:
        """The user is stored as given; memory follows after the commit."""
        table.put(connection, user)
        connection.after_commit(lambda: self.all.__setitem__(user.name, user))

    def delete(self, connection: Any, user: User) -> None:
        """The user is gone.  Its tokens are dead for good: whoever gets the name later is not opened by them (`newcomer`)."""
        name = user.name
        facts.put(connection, DELETED_EPOCH, str(max(self.epoch(user), self._deleted_epoch(connection))))
        table.delete(connection, name)
        connection.after_commit(lambda: self.all.pop(name, None))

    def newcomer(self, connection: Any, user: User) -> User:
        """The new user, for whom no token counts that somebody deleted may have had."""
        return user._replace(token_epoch=max(user.token_epoch, self._deleted_epoch(connection)))

    def _deleted_epoch(self, connection: Any) -> int:
        return int(facts.get(connection, DELETED_EPOCH, "0"))

    def now(self, connection: Any, name: str) -> User:
        """The user as it stands in this transaction, or Refusal `not_found`."""
        user = table.find(connection, name)
        if user is None:
            raise Refusal("not_found", "user not found")
        return user

    def epoch(self, user: User) -> int:
        """The second up to which every token is dead; no token made after the last such second outlives it."""
        return max(int(self.core.clock.time()), user.token_epoch + 1)

    # --- the first users

    def begin(self) -> None:
        """A node without users has its first ones.  In a worker or ticker: passwords are hashed."""
        with self._making:
            if self.all:
                return
            try:
                made, said = self._first()
            except WrongUse as fault:
                return self.core.log.error("appmesh.no_first_user", error=str(fault))

            def change(connection: Any) -> bool:
                if table.everyone(connection):
                    return False
                self._rooms["appmesh.roles"].begin(connection)
                for user in made:
                    self.put(connection, user)
                return True

            if self.core.writer.run(change) and said:
                say(f"first App Mesh user: {rules.ADMIN}, password: {said} (shown once; change it)", sys.stderr)
            # A thread that waits for a commit goes on even when the loop is late: memory must not lag behind what is stored.
            self.all.update({user.name: user for user in made})

    def check(self) -> None:
        """The file of the first password can be read, if it is going to be needed; `WrongUse` says why it cannot."""
        path = self.core.settings.appmesh_admin_password_file
        if path and not self.all and not self.core.settings.appmesh_default_users:
            settings_table.secret_line(path, "appmesh_admin_password_file")

    def _first(self) -> tuple[list[User], str]:
        """The first users with their hashes, and the password to tell, if it was drawn here."""
        from ...crypto import base64url, passwords
        settings, ids = self.core.settings, self.core.ids
        if settings.appmesh_default_users:
            return [user._replace(password=passwords.new(password, ids)) for user, password in rules.DEFAULT_USERS], ""
        said = ""
        if settings.appmesh_admin_password_file:
            password = settings_table.secret_line(settings.appmesh_admin_password_file, "appmesh_admin_password_file")
        else:
            password = said = base64url.encode(ids.bytes(15))
        return [rules.DEFAULT_USERS[0][0]._replace(email="", password=passwords.new(password, ids))], said


def caller_of(call: Call) -> User:
    """Who asks; the gate has proven it."""
    user: User = call.caller.subject.user
    return user


# --- routes

def list_all(room: Users, call: Call) -> Reply:
    """GET /appmesh/users: every user by name, without secrets."""
    return Reply({name: room.shown(user) for name, user in sorted(room.all.items())})


def show_self(room: Users, call: Call) -> Reply:
    """GET /appmesh/user/self: the caller, and what the token is good for."""
    audience = call.caller.subject.claims.get("aud")
    return Reply({**room.shown(caller_of(call)), "audience": audience if isinstance(audience, list) else [audience]})


def permissions(room: Users, call: Call) -> Reply:
    """GET /appmesh/user/permissions: what the caller may do, sorted."""
    return Reply(sorted(room.permissions(caller_of(call))))


def groups(room: Users, call: Call) -> Reply:
    """GET /appmesh/user/groups: the groups in use, sorted."""
    return Reply(sorted({user.group for user in room.all.values() if user.group}))


def put(room: Users, call: Call) -> Write:
    """PUT /appmesh/user/{user}: a new user, or an existing one with everything but its password replaced."""
    from ...base.records import encode
    name, given = rules.checked_name(call.path["user"].strip()), encode(call.body)
    password = "" if name in room.all else _hashed(room, rules.password_text(given["key"]))
    by = caller_of(call).name

    def change(connection: Any) -> None:
        known = table.find(connection, name)
        if known is None and not password:
            raise Refusal("conflict", "the user was deleted meanwhile")
        if known is None and len(room.all) >= rules.USERS_MAX:
            raise Refusal("invalid_request", f"there are already {rules.USERS_MAX} users")
        made = rules.merged(known, name, password, given)
        if known is None:
            made = room.newcomer(connection, made)
        if made.locked and not (known and known.locked):
            made = made._replace(token_epoch=room.epoch(made))
        room.put(connection, made)
        connection.event("appmesh.user.changed", surface="appmesh", subject=name, payload={"created": known is None, "by": by})

    return Write(change, lambda _: Reply({"message": "User add success"}))


def delete(room: Users, call: Call) -> Write:
    """DELETE /appmesh/user/{user}: gone, unless it is `admin` or owns applications."""
    name, by = call.path["user"].strip(), caller_of(call).name

    def change(connection: Any) -> None:
        user = room.now(connection, name)
        if name == rules.ADMIN:
            raise Refusal("invalid_request", "User admin can not be deleted")
        if room.owned(name):
            raise Refusal("invalid_request", f"User <{name}> owns applications")
        room.delete(connection, user)
        connection.event("appmesh.user.deleted", surface="appmesh", subject=name, payload={"by": by})

    return Write(change, lambda _: Reply({"message": "User delete success"}))


def lock(room: Users, call: Call) -> Write:
    """POST /appmesh/user/{user}/lock: the user cannot log in, and every token it had is dead for good."""
    return _lock(room, call, True)


def unlock(room: Users, call: Call) -> Write:
    """POST /appmesh/user/{user}/unlock: the user may log in again."""
    return _lock(room, call, False)


def _lock(room: Users, call: Call, locked: bool) -> Write:
    name, by = call.path["user"].strip(), caller_of(call).name

    def change(connection: Any) -> None:
        user = room.now(connection, name)
        if locked and name == rules.ADMIN:
            raise Refusal("invalid_request", "User admin can not be locked")
        epoch = room.epoch(user) if locked and not user.locked else user.token_epoch
        room.put(connection, user._replace(locked=locked, token_epoch=epoch))
        connection.event("appmesh.user.locked" if locked else "appmesh.user.unlocked", surface="appmesh", subject=name,
                         payload={"by": by})

    return Write(change, lambda _: Reply({"message": "Lock user success" if locked else "Unlock user success"}))


def change_password(room: Users, call: Call) -> Write:
    """POST /appmesh/user/{user}/passwd: a new password, and every older token of that user is dead.

    The old one is asked for, except of who may change those of others and leaves it out (an administrator's reset).
    """
    caller, named = caller_of(call), call.path["user"].strip()
    name = caller.name if named == "self" else named
    room.require(caller, "passwd-change-self" if name == caller.name else "passwd-change-user")
    old, new = _plain(call.body.old_password), _plain(call.body.new_password)
    target = room.find(name)
    if old is None and "passwd-change-user" not in room.permissions(caller):
        raise Refusal("invalid_request", "can not find old password from body")
    if not new:
        raise Refusal("invalid_request", "can not find new password from body")
    from ...crypto import passwords
    if old is not None:
        room._rooms["appmesh.sessions"].guard(name, call.caller)
        if not passwords.matches(old, target.password):
            room._rooms["appmesh.sessions"].failed(name, call.caller)
            raise Refusal("invalid_request", f"old password for user <{name}> is incorrect")
    hashed = _hashed(room, rules.checked_password(new))

    def change(connection: Any) -> None:
        user = room.now(connection, name)
        if old is not None and user.password != target.password:
            raise Refusal("conflict", "the password was changed meanwhile")
        room.put(connection, user._replace(password=hashed, token_epoch=room.epoch(user)))
        connection.event("appmesh.user.password_changed", surface="appmesh", subject=name, payload={"by": caller.name})

    return Write(change, lambda _: Reply({"message": "password changed success"}))


def _hashed(room: Users, password: str) -> str:
    from ...crypto import passwords
    return passwords.new(password, room.core.ids)


def _plain(text: str | None) -> str | None:
    """The text behind base64; None when there is none."""
    if text is None:
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True).decode()
    except ValueError:
        raise Refusal("invalid_request", "passwords are sent in base64") from None


def build(core: Core, rooms: Rooms) -> Users:
    return Users(core, rooms)
