"""The documents as they were generated, for a node to serve: making them imports every record of the program.

The files under `docs/generated` are made from the routes and checked by a test.  A file that does not name the very routes of this
program (somebody changed them and has not generated anew) is not served: the document is then made in the process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .route import Route

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "generated"
CONTRACT, OPENAPI = "OCP_CONTRACT_v0.1.json", "openapi.json"


def contract(routes: Iterable[Route]) -> dict[str, Any] | None:
    """The generated contract, or None when there is none for these routes."""
    found = _read(CONTRACT)
    entries = [*found.get("endpoints", ()), *found.get("extensions", ())]
    stored = {(entry.get("method"), entry.get("path"), entry.get("stability")) for entry in entries}
    return found if stored == _named(routes) else None


def openapi(routes: Iterable[Route]) -> dict[str, Any] | None:
    """The generated OpenAPI document, or None when there is none for these routes."""
    found = _read(OPENAPI)
    stored = {(method.upper(), path, operation.get("x-stability")) for path, item in found.get("paths", {}).items()
              for method, operation in item.items() if isinstance(operation, dict) and "operationId" in operation}
    return found if stored == _named(routes) else None


def _named(routes: Iterable[Route]) -> set[tuple[str, str, str]]:
    """The routes as documents name them: without the mark of a path's last part that may hold slashes."""
    return {(route.method, route.path.replace("...}", "}"), route.stability.value) for route in routes}


def _read(name: str) -> dict[str, Any]:
    try:
        value = json.loads((FOLDER / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
