"""What travels in a registration (OSCP 2.0, Register)."""

from __future__ import annotations

from ...base.records import record, wire


@record
class VersionUrl:
    """A version and where it is spoken."""
    version: str = wire(length_min=1, length_max=16)
    base_url: str = wire(length_min=1, length_max=2048)


@record
class Register:
    """The token that the receiver must present to the sender, and the sender's base URLs by version."""
    token: str = wire(length_min=1, length_max=256, pattern="[!-~]+")
    version_url: list[VersionUrl] = wire(items_min=1, items_max=16)
