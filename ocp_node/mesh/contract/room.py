"""The contract, as this node serves it (OCP 0.1 `GET /mesh/contract`)."""

from __future__ import annotations

from ...contract.route import Call, Reply
from ...contract.snapshot import Document, snapshot
from ...core import Core, Rooms
from ..surface import ROUTES


class Contract:
    """The document, made when it is first asked for: it imports every record of the mesh."""

    def __init__(self) -> None:
        self._document: Document | None = None

    def document(self) -> Document:
        """The contract of the routes of this program; it does not change while it runs."""
        if self._document is None:
            self._document = snapshot(ROUTES)
        return self._document


def build(core: Core, rooms: Rooms) -> Contract:
    """The room needs nothing of the node."""
    return Contract()


def show(room: Contract, call: Call) -> Reply:
    """The whole contract."""
    return Reply(room.document())
