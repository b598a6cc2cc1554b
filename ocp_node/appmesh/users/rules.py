"""What a user may be called, may be, and may do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ...base.errors import Refusal

NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}\Z")
PASSWORD_LENGTH_MAX = 1024
USERS_MAX = 10_000
ADMIN = "admin"


class User(NamedTuple):
    """One user as it is kept.  `password` is a hash; `token_epoch` ends every token made at or before that second."""
    name: str
    password: str
    email: str = ""
    group: str = ""
    exec_user: str = ""
    metadata: str = ""
    locked: bool = False
    mfa_enabled: bool = False
    mfa_key: str = ""
    roles: tuple[str, ...] = ()
    token_epoch: int = 0


# The names, groups and roles of the reference's three users; their passwords are known to everybody.
DEFAULT_USERS = (
    (User("admin", "", "admin@appmesh.com", "admin", roles=("manage", "view", "shell", "usermgr")), "admin123"),
    (User("mesh", "", "mesh@appmesh.com", "user", roles=("view",)), "mesh123"),
    (User("test", "", "test@appmesh.com", "user", "appmesh"), "test123"),
)


def checked_name(name: str) -> str:
    """A name that a user or role may have; `self` is taken by the routes."""
    if not NAME.match(name) or name == "self":
        raise Refusal("invalid_request", "name must be 1-64 characters of letters, digits, '_', '.', '@' or '-', and not 'self'")
    return name


def password_text(key: object) -> str:
    """The password in a user document: text without blanks around it, or an integer's digits."""
    if isinstance(key, int) and not isinstance(key, bool):
        key = str(key)
    if key is None or key == "":
        raise Refusal("invalid_request", "no password provided")
    if not isinstance(key, str):
        raise Refusal("invalid_request", "invalid type for key")
    return checked_password(key.strip())


def checked_password(text: str) -> str:
    """A password that can be kept."""
    if not text:
        raise Refusal("invalid_request", "no password provided")
    if len(text) > PASSWORD_LENGTH_MAX:
        raise Refusal("invalid_request", f"a password has at most {PASSWORD_LENGTH_MAX} characters")
    return text


_COMPLEXITY = (("uppercase letter", "A-Z"), ("lowercase letter", "a-z"), ("digit", "0-9"), ("special character", ""))


def complex_enough(password: str) -> None:
    """The complexity rule of App Mesh, where it is switched on; the first thing missing is named."""
    if len(password) < 8:
        raise Refusal("invalid_request", "Password must be at least 8 characters")
    for what, letters in _COMPLEXITY:
        if not re.search(f"[{letters}]" if letters else "[^A-Za-z0-9]", password):
            raise Refusal("invalid_request", f"Password must contain at least one {what}")


def permissions(user: User, roles: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """What the user may do: everything that one of the roles allows; a role that does not exist allows nothing."""
    return frozenset().union(*(roles.get(name, frozenset()) for name in user.roles))


def administers(user: User) -> bool:
    """Ownership of applications does not bind this user."""
    return user.name == ADMIN or {"usermgr", "manage"} <= set(user.roles)


def merged(known: User | None, name: str, password: str, given: Mapping[str, object]) -> User:
    """The user after a PUT: what is absent becomes empty, but `locked` and `mfa_enabled` keep their value (App Mesh, users)."""
    before = known or User(name, password)
    locked = before.locked if given.get("locked") is None else bool(given["locked"])
    mfa = before.mfa_enabled if given.get("mfa_enabled") is None else bool(given["mfa_enabled"])
    if mfa and not before.mfa_key:
        raise Refusal("invalid_request", "two-factor authentication is set up by the user, not here")
    if name == ADMIN and locked:
        raise Refusal("invalid_request", "User admin can not be locked")
    texts = {field: str(given.get(field) or "").strip() for field in ("email", "group", "exec_user", "metadata")}
    roles = given.get("roles")
    named = _unique(roles) if isinstance(roles, (list, tuple)) else ()
    return before._replace(email=texts["email"], group=texts["group"], exec_user=texts["exec_user"], metadata=texts["metadata"],
                           locked=locked, mfa_enabled=mfa, roles=named)


def _unique(names: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in names))


def shown(user: User, exec_user: str) -> dict[str, object]:
    """The user without secrets; `exec_user` is the account that programs of this user run under."""
    members: dict[str, object] = {"name": user.name, "email": user.email, "group": user.group, "exec_user": exec_user,
                                  "locked": user.locked,
                                  "mfa_enabled": user.mfa_enabled, "roles": list(user.roles)}
    if user.metadata:
        members["metadata"] = user.metadata
    if user.token_epoch:
        members["token_epoch"] = user.token_epoch
    return members
