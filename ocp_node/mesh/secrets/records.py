"""What travels under `/mesh/secrets`.  No answer ever holds a value."""

from __future__ import annotations

from ...base.records import record, whole, wire


@record
class Listing:
    """Which secrets to list."""
    limit: int = wire(default=25, about="at most so many, latest change first")
    scope: str = wire(default="", length_max=256)


@record
class Put:
    """What to store under which name."""
    name: str | None = wire(default=None, length_max=256, about="required")
    scope: str | None = wire(default=None, length_max=256, about="required")
    value: object = wire(default=None, about="required: a text of up to 64 KiB; numbers and booleans are kept as JSON text")
    metadata: dict | None = wire(default=None, about="`allowed_peers` lists the other nodes whose jobs may use it")
    document: dict = whole()


@record
class Secret:
    """A secret, without its value."""
    id: str = wire(pattern="[0-9a-f]{32}", about="follows from scope and name")
    scope: str = wire()
    name: str = wire()
    metadata: dict = wire()
    created_at: str = wire()
    updated_at: str = wire()
    value_present: bool = wire(about="the value is not empty")
    value_digest: str = wire(pattern="([0-9a-f]{64})?", about="opaque: equal for equal values of this secret on this node")


@record
class SecretList:
    """Secrets, latest change first."""
    count: int = wire(minimum=0)
    secrets: list[Secret] = wire()


@record
class Stored:
    """The secret is stored."""
    status: str = wire()
    secret: Secret = wire()
