"""What travels under `/mesh/treaties`."""

from __future__ import annotations

from ...base.records import record, whole, wire
from ..manifest.records import Governance


@record
class Listing:
    """Which treaties to list."""
    limit: int = wire(default=25, about="at most so many, latest change first")
    status: str = wire(default="", length_max=40,
                       about="draft, active, suspended, expired or revoked; another word counts as draft")
    treaty_type: str = wire(default="", length_max=200)


@record
class Propose:
    """A treaty to make, or to change."""
    title: str | None = wire(default=None, length_max=512, about="required")
    treaty_id: str | None = wire(default=None, length_max=200, about="of the treaty to change; ids compare without case")
    summary: str | None = wire(default=None, length_max=16_384)
    treaty_type: str | None = wire(default=None, length_max=200, about="continuity if not given")
    status: str | None = wire(default=None, length_max=40,
                              about="active if not given; in force once all other parties have signed")
    parties: list[str] | None = wire(default=None, items_max=256, about="ids of nodes")
    document: dict | None = wire(default=None)
    metadata: dict | None = wire(default=None)
    created_by_peer_id: str | None = wire(default=None, length_max=200)
    expires_at: str | None = wire(default=None, length_max=64, about="an ISO-8601 timestamp")
    signatures: list[dict] | None = wire(default=None, items_max=256,
                                         about="`{peer_id, signature}` of other parties over the terms")
    body: dict = whole()


@record
class AuditRequest:
    """What an operation asks for."""
    treaty_requirements: list[str] = wire(factory=list, items_max=256)
    operation: str = wire(default="", length_max=200)
    metadata: dict = wire(factory=dict)


@record
class Treaty:
    """A treaty as it is now."""
    id: str = wire()
    title: str = wire()
    summary: str = wire()
    treaty_type: str = wire()
    status: str = wire(choices=("draft", "active", "suspended", "expired", "revoked"))
    parties: list[str] = wire()
    document: dict = wire(about="the members of the protocol in their form, and others as given")
    metadata: dict = wire(about="as given; `ratification` says whose signatures are required and who has signed")
    created_by_peer_id: str = wire()
    created_at: str = wire()
    updated_at: str = wire()
    expires_at: str = wire()
    ratified_at: str = wire()
    suspended_at: str = wire()


@record
class TreatyList:
    """Treaties, latest change first."""
    peer_id: str = wire()
    count: int = wire(minimum=0)
    treaties: list[Treaty] = wire()
    generated_at: str = wire()


@record
class Proposed:
    """The treaty as it was stored."""
    status: str = wire()
    treaty: Treaty = wire()


@record
class Signed:
    """The signature was taken."""
    status: str = wire()
    treaty_id: str = wire()
    treaty_status: str = wire()
    required: list[str] = wire()
    signed: list[str] = wire()


@record
class Validation:
    """Whether all required treaties are in force."""
    satisfied: bool = wire()
    operation: str = wire()
    required: list[str] = wire()
    matched: list[Treaty] = wire()
    missing: list[str] = wire()
    inactive: list[str] = wire()


@record
class TreatyAudit:
    """What an operation asks for, and how the treaties stand."""
    status: str = wire(choices=("ok", "attention_needed"))
    operation: str = wire()
    validation: Validation = wire()
    posture: Governance = wire()
    guidance: str = wire()
