"""What travels of sessions."""

from __future__ import annotations

from ...base.records import record


@record
class Profile:
    """Whom a token stands for."""
    name: str
    group: str
    auth_time: int


@record
class Token:
    """A token and how long it is good."""
    access_token: str
    token_type: str
    expire_time: int
    expires_in: int
    issued_at: int
    profile: Profile
    refresh_token: str = ""
