"""What travels of users."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Definition:
    """A user to be added or replaced; `name`, `mfa_key` and `token_epoch` of a body are ignored."""
    key: object = None                                      # the password: text, or an integer taken as its digits
    email: str | None = wire(default=None, length_max=256)
    group: str | None = wire(default=None, length_max=64)
    exec_user: str | None = wire(default=None, length_max=64)
    metadata: str | None = wire(default=None, length_max=4096)
    roles: list[str] | None = wire(default=None, items_max=64)
    locked: bool | None = None
    mfa_enabled: bool | None = None


@record
class Passwords:
    """The old and the new password, each in base64."""
    old_password: str | None = wire(default=None, length_max=2048)
    new_password: str | None = wire(default=None, length_max=2048)


@record
class Message:
    """What was done, in words."""
    message: str


@record
class Shown:
    """A user without secrets."""
    name: str
    email: str
    group: str
    exec_user: str
    locked: bool
    mfa_enabled: bool
    roles: list[str]
    metadata: str = ""
    token_epoch: int = 0
    audience: list[str] = wire(factory=list)
