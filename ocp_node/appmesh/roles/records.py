"""What travels of roles."""

from __future__ import annotations

from ...base.records import record


@record
class Message:
    """What was done, in words."""
    message: str
