"""`ocp.py contract`: the contract of the mesh, or OpenAPI for every surface, made from the routes; no node is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..base.errors import Unusable
from . import arguments, outcome, output


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """The document is on standard output or in the file that was named."""
    parser = arguments.Parser("contract", description="The published contract of the mesh (GET /mesh/contract), without a node.",
                              examples=("contract", "contract --routes", "contract --openapi --output openapi.json"))
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--openapi", action="store_true", help="OpenAPI 3.1 of all four surfaces instead")
    kind.add_argument("--routes", action="store_true", help="one line for each route instead")
    parser.add_argument("--output", metavar="FILE", default="", help="write it there")
    own, settings = arguments.parse(parser, argv, environ)
    if own.routes:
        return _routes(own.json)
    text = json.dumps(_openapi(settings.base_url) if own.openapi else _snapshot(), indent=2, ensure_ascii=False) + "\n"
    if own.output:
        _write(own.output, text)
    else:
        print(text, end="")
    return outcome.OK


def _snapshot() -> dict[str, Any]:
    from server_contract import ROUTES

    from ..contract.snapshot import snapshot
    return snapshot(ROUTES)


def _openapi(base_url: str) -> dict[str, Any]:
    from server_contract import ROUTES

    from .. import VERSION
    from ..contract.documents import TITLE
    from ..contract.openapi import openapi
    return openapi(ROUTES, TITLE, VERSION, (base_url,) if base_url else ())


def _routes(as_json: bool) -> int:
    from server_contract import ROUTES
    rows = [(route.id, route.method, route.path, route.auth.value, route.stability.value, route.summary) for route in ROUTES]
    if as_json:
        output.document([dict(zip(("id", "method", "path", "auth", "stability", "summary"), row)) for row in rows])
    else:
        output.columns(rows)
    return outcome.OK


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as fault:
        raise Unusable(f"{path} cannot be written: {fault.strerror}") from None
