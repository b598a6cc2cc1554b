"""What travels under `/adv`, for the documents and the client.

The directory itself reads artifacts more strictly, under bounds that its operator sets (`artifact.py`).
"""

from __future__ import annotations

from ..base.records import record, whole, wire
from .shape import INTEGER_MAX

NODE_ID = r"node:did:key:z[1-9A-HJ-NP-Za-km-z]+"


@record
class Endpoint:
    """Where a node listens."""
    url: str = wire("endpoint/url", length_max=2048, about="`wss://` and a host")
    transport: str = wire("endpoint/transport", choices=("wss",))
    role: str = wire("endpoint/role", choices=("listener", "relay"))
    priority: int = wire("endpoint/priority", minimum=0, maximum=INTEGER_MAX, about="the lowest is preferred")


@record
class Signature:
    """An Ed25519 signature."""
    alg: str = wire(choices=("ed25519",))
    value: str = wire(length_min=1, length_max=1024, about="86 characters of base64url")


@record
class Advertisement:
    """A node's signed advertisement (`node-advertisement.v1`); members that are not named here are signed and kept too."""
    schema_v: int = wire("schema/v", minimum=1, maximum=1)
    advertisement_id: str = wire("advertisement/id", length_min=1, length_max=256)
    node_id: str = wire("node/id", pattern=NODE_ID, length_max=256)
    sequence_no: int = wire("sequence/no", minimum=0, maximum=INTEGER_MAX)
    advertised_at: str = wire("advertised-at", length_max=40)
    expires_at: str = wire("expires-at", length_max=40)
    key_alg: str = wire("key/alg", choices=("ed25519",))
    key_public: str = wire("key/public", pattern=r"z[1-9A-HJ-NP-Za-km-z]+", length_max=256)
    federation_id: str | None = wire("federation/id", default=None, length_min=1, length_max=256)
    endpoints: list[Endpoint] = wire(items_min=1, items_max=32)
    transports: list[str] = wire("transports/supported", items_min=1, items_max=1)
    signature: Signature = wire()
    document: dict = whole()


@record
class Stored:
    """An advertisement was stored."""
    status: str = wire(choices=("stored",))
    node_id: str = wire("node/id")
    advertisement_id: str = wire("advertisement/id")
    sequence_no: int = wire("sequence/no")
    stored_at: str = wire("stored-at")
    expires_at: str = wire("expires-at")


@record
class Batch:
    """A page of the feed."""
    items: list[Advertisement] = wire()
    next: str = wire(about="the cursor to go on from")
    max_items: int = wire("max-items", minimum=1)
