"""OpenAPI 3.1 of every surface, as this node serves it."""

from __future__ import annotations

from typing import Any

from ... import VERSION
from ...appmesh.surface import ROUTES as APPMESH
from ...base import jsontext
from ...contract import stored
from ...contract.route import Call, Reply, Route
from ...core import Core, Rooms
from ...directory.surface import ROUTES as DIRECTORY
from ...mesh.surface import ROUTES as MESH
from ...oscp.surface import ROUTES as OSCP
from ..surface import ROUTES as NODE

ROUTES: tuple[Route, ...] = (*DIRECTORY, *MESH, *APPMESH, *OSCP, *NODE)


class Documents:
    """The document as bytes; it does not change while the program runs."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self._servers = servers
        self._openapi = b""

    def openapi(self) -> bytes:
        """The routes of this program under its own URL: as generated, or made now."""
        if not self._openapi:
            document = stored.openapi(ROUTES) or _made()
            self._openapi = jsontext.compact({**document, "servers": [{"url": url} for url in self._servers]}
                                             if self._servers else document)
        return self._openapi


def _made() -> dict[str, Any]:
    from ...contract import openapi as documents
    from ...contract.documents import TITLE
    return documents.openapi(ROUTES, TITLE, VERSION)


def build(core: Core, rooms: Rooms) -> Documents:
    """The room knows the URL that the node was given, if any; without one a client takes the URL it asked."""
    base_url = core.settings.base_url
    return Documents((base_url,) if base_url else ())


def openapi(room: Documents, call: Call) -> Reply:
    """OpenAPI of all surfaces."""
    return Reply(room.openapi(), media_type="application/json")
