"""The contract, as this node serves it (OCP 0.1 `GET /mesh/contract`)."""

from __future__ import annotations

from ...base import jsontext
from ...contract import stored
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..surface import ROUTES


class Contract:
    """The document as bytes; it does not change while the program runs."""

    def __init__(self) -> None:
        self._document = b""

    def document(self) -> bytes:
        """The contract of the routes of this program: as generated, or made now."""
        if not self._document:
            self._document = jsontext.compact(stored.contract(ROUTES) or _made())
        return self._document


def _made() -> dict[str, object]:
    from ...contract.snapshot import snapshot
    return snapshot(ROUTES)


def build(core: Core, rooms: Rooms) -> Contract:
    """The room needs nothing of the node."""
    return Contract()


def show(room: Contract, call: Call) -> Reply:
    """The whole contract."""
    return Reply(room.document(), media_type="application/json")
