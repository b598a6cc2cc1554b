"""OpenAPI 3.1 of every surface, as this node serves it."""

from __future__ import annotations

from ... import VERSION
from ...appmesh.surface import ROUTES as APPMESH
from ...contract import openapi as documents
from ...contract.documents import TITLE
from ...contract.route import Call, Reply, Route
from ...core import Core, Rooms
from ...directory.surface import ROUTES as DIRECTORY
from ...mesh.surface import ROUTES as MESH
from ...oscp.surface import ROUTES as OSCP
from ..surface import ROUTES as NODE

ROUTES: tuple[Route, ...] = (*DIRECTORY, *MESH, *APPMESH, *OSCP, *NODE)


class Documents:
    """The document, made when it is first asked for: it imports every record of the program."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self._servers = servers
        self._openapi: documents.Document | None = None

    def openapi(self) -> documents.Document:
        """The routes of this program under its own URL; it does not change while it runs."""
        if self._openapi is None:
            self._openapi = documents.openapi(ROUTES, TITLE, VERSION, self._servers)
        return self._openapi


def build(core: Core, rooms: Rooms) -> Documents:
    """The room knows the URL that the node was given, if any; without one a client takes the URL it asked."""
    base_url = core.settings.base_url
    return Documents((base_url,) if base_url else ())


def openapi(room: Documents, call: Call) -> Reply:
    """OpenAPI of all surfaces."""
    return Reply(room.openapi())
