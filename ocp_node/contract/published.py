"""The published OCP 0.1 contract data: the order of endpoints, the 75 schemas, the conformance fixtures.

It is read when first asked for.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any, NamedTuple

CONTRACT_VERSION = "ocp-http-contract/v1alpha1"
SCHEMA_VERSION = "ocp-protocol-schemas/v1alpha1"
PROTOCOL_SURFACE = "/mesh/*"


class Published(NamedTuple):
    """What `published.json` holds."""
    order: tuple[str, ...]                  # contract ids, as the protocol lists them
    schemas: dict[str, Any]
    fixtures: tuple[dict[str, Any], ...]    # id, schema_ref, purpose, value


@functools.cache
def published() -> Published:
    """The published data; nobody changes it."""
    with open(os.path.join(os.path.dirname(__file__), "published.json"), encoding="utf-8") as file:
        data = json.load(file)
    return Published(tuple(data["order"]), data["schemas"], tuple(data["fixtures"]))
