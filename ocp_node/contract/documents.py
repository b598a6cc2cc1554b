"""The documents made from routes, as texts for files and answers."""

from __future__ import annotations

import json
from collections.abc import Iterable

from .. import VERSION
from .openapi import openapi
from .route import Route
from .snapshot import snapshot

TITLE = "OCP node"


def contract_text(routes: Iterable[Route], pretty: bool = True) -> str:
    """The contract document, members sorted: the same text from the same routes."""
    return json_text(snapshot(routes), pretty)


def openapi_text(routes: Iterable[Route], pretty: bool = True, servers: tuple[str, ...] = ()) -> str:
    """The OpenAPI document of all surfaces."""
    return json_text(openapi(routes, TITLE, VERSION, servers), pretty)


def json_text(value: object, pretty: bool) -> str:
    """JSON with sorted members; pretty ends with a line end, as a file should."""
    if pretty:
        return json.dumps(value, indent=2, sort_keys=True) + "\n"
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
