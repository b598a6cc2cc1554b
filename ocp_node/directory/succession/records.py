"""What travels under `/succession`."""

from __future__ import annotations

from ...base.records import record, wire


@record
class Succession:
    """A node's step to a new key."""
    succession_id: str = wire()
    old_node_id: str = wire()
    new_node_id: str = wire()
    mode: str = wire()
    state: str = wire(choices=("imported", "accepted"))
    expires_at: str = wire()


@record
class Successions:
    """All that were imported."""
    items: list[Succession] = wire()
