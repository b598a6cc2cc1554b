"""Nodes that have taken a new key.  The operator imports and accepts; no look-up ever follows a succession by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from .. import shape as shapes
from ..admission import limited
from ..shape import instant_us
from . import rules, table
from .records import Succession, Successions

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection

FULL_RETRY_SECONDS = 3600


def build(core: Core, rooms: Rooms) -> Line:
    """The successions that this node's operator knows."""
    return Line(core, rooms)


class Line:
    """What this room needs of the directory around it."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.directory = rooms["directory"]
        self.reader = core.reader

    def successor(self, node_id: str) -> str:
        """Who an accepted succession names after the node, "" when nobody."""
        with self.reader.snapshot() as connection:
            return table.successor(connection, node_id)


def bring(room: Line, call: Call) -> Write:
    """POST /succession: import a statement that both keys have signed."""
    succession = rules.read(shapes.parse(call.raw), room.directory.policy.shape)
    now_us = room.directory.admission.now_us()
    rules.check(succession, now_us)

    def change(connection: WriteConnection) -> str:
        known = table.find(connection, succession["succession/id"])
        if known is not None:
            if json.loads(known[2]) != succession:
                raise Refusal("succession-exists")
            return known[0]
        if table.count(connection) >= table.ROWS_MAX:
            raise limited("directory-full", FULL_RETRY_SECONDS)
        table.put(connection, succession["succession/id"], succession["old/node-id"], succession["new/node-id"],
                  instant_us(succession["expires-at"]), now_us, jsontext.compact(succession).decode())
        return "imported"

    return Write(change, lambda state: Reply(_record(succession, state)))


def accept(room: Line, call: Call) -> Write:
    """POST /succession/{succession_id}/accept: as long as the statement holds."""
    succession_id, now_us = call.path["succession_id"], room.directory.admission.now_us()

    def change(connection: WriteConnection) -> dict[str, Any]:
        known = table.find(connection, succession_id)
        if known is None:
            raise Refusal("not-found")
        if known[1] <= now_us and known[0] != "accepted":
            raise Refusal("expired")
        table.accept(connection, succession_id)
        return dict(json.loads(known[2]))

    return Write(change, lambda succession: Reply(_record(succession, "accepted")))


def list_all(room: Line, call: Call) -> Reply:
    """GET /succession"""
    with room.reader.snapshot() as connection:
        rows = table.every(connection)
    return Reply(Successions(items=[_record(json.loads(text), state) for state, text in rows]))


def _record(succession: dict[str, Any], state: str) -> Succession:
    return Succession(succession_id=succession["succession/id"], old_node_id=succession["old/node-id"],
                      new_node_id=succession["new/node-id"],
                      mode=succession["succession/mode"], state=state, expires_at=succession["expires-at"])
