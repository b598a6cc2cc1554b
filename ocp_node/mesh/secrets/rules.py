"""Secrets: what may be stored under which name, and which node's jobs may use it (OCP 0.1 secrets); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..notifications.rules import bounded_metadata
from ..values import text, words

Members = dict[str, Any]

NAME_LENGTH_MAX = 256
VALUE_BYTES_MAX = 65_536
URL_NAMESPACE = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")        # RFC 9562 section 6.6
ALLOWED = "allowed_peers"                                                # member of a secret's metadata


class Secret(NamedTuple):
    """A secret as it is stored: its value sealed, its digest keyed."""
    scope: str
    name: str
    value: str
    value_digest: str                # "" for an empty value
    metadata: Members
    created_at: str
    updated_at: str


class Wanted(NamedTuple):
    """What is to be stored."""
    scope: str
    name: str
    value: str
    metadata: Members


def wanted(document: Mapping[str, Any]) -> Wanted:
    """The secret that a body names; `Refusal` says what is missing or wrong."""
    name, scope = _name(document.get("name"), "name"), _name(document.get("scope"), "scope")
    value = _value(document.get("value"))
    metadata = bounded_metadata(document.get("metadata"))
    words(metadata.get(ALLOWED), f"metadata.{ALLOWED}")
    return Wanted(scope, name, value, metadata)


def _name(value: object, field: str) -> str:
    """Without U+0000, as every text: names are joined by it to make the key of a value."""
    found = text(value, field, NAME_LENGTH_MAX)
    if not found:
        raise Refusal("invalid_request", f"secret {field} is required")
    return found


def _value(value: object) -> str:
    if value is None:
        raise Refusal("invalid_request", "secret value is required")
    if isinstance(value, (dict, list)):
        raise Refusal("invalid_request", "secret value must be a string")
    found = value if isinstance(value, str) else jsontext.ascii_text(value)
    if len(found.encode()) > VALUE_BYTES_MAX:
        raise Refusal("invalid_request", f"secret value is larger than {VALUE_BYTES_MAX} bytes")
    return found


def secret_id(scope: str, name: str) -> str:
    """The id that follows from scope and name: a version 5 UUID (RFC 9562 section 5.5) as 32 hex digits."""
    named = f"ocp-secret:{scope}:{name}".encode()
    import hashlib
    raw = bytearray(hashlib.sha1(URL_NAMESPACE + named, usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    return raw.hex()


def may_use(secret: Secret, requester: str, node_id: str) -> bool:
    """May a job of that node have the value?  This node's own may; others must be named in the secret."""
    if requester in ("", node_id):
        return True
    allowed = secret.metadata.get(ALLOWED)
    return isinstance(allowed, list) and requester in allowed


def secret_json(secret: Secret) -> Members:
    """The secret as it is shown: never its value."""
    return {"id": secret_id(secret.scope, secret.name), "scope": secret.scope, "name": secret.name, "metadata": secret.metadata,
            "created_at": secret.created_at, "updated_at": secret.updated_at, "value_present": bool(secret.value_digest),
            "value_digest": secret.value_digest}
