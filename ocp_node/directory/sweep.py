"""What the directory forgets: each room's own rule of retention, in batches that hold up nobody."""

from __future__ import annotations

import sqlite3

from . import table
from .catalogue import table as catalogue
from .delegations import table as delegations
from .endorsements import table as endorsements
from .mirror import table as mirror


def batch(connection: sqlite3.Connection, now_us: int) -> int:
    """One batch of every room.  Gives how many rows went; revocations are never among them."""
    return sum(room.sweep(connection, now_us) for room in (table, mirror, catalogue, delegations, endorsements))
