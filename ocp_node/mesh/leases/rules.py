"""Leases: how long they hold, when they are over, and what their locks look like (OCP 0.1 leases); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.clock import instant_text
from ...base.errors import Refusal

Members = dict[str, Any]
TTL_SECONDS_MIN = 60
TTL_SECONDS_USUAL = 300
METADATA_BYTES_MAX = 65_536
ACTIVE, EXPIRED, RELEASED = "active", "expired", "released"
MEMBERS = frozenset({"peer_id", "resource", "agent_id", "job_id", "ttl_seconds", "metadata"})


class Lease(NamedTuple):
    """A lease as it is stored."""
    id: str
    resource: str
    peer_id: str
    agent_id: str
    job_id: str
    status: str
    ttl_seconds: int
    lock_token: str
    metadata: Members
    created_at: str
    heartbeat_at: str
    expires_at: str
    released_at: str


class Conflict(NamedTuple):
    """Another peer holds the resource."""
    holder: Lease


def ttl(seconds: int) -> int:
    """How long a lease holds when `seconds` are asked for."""
    return max(TTL_SECONDS_MIN, seconds or TTL_SECONDS_USUAL)


def ends(now_seconds: float, seconds: int) -> str:
    """When a lease taken now for so long is over."""
    return instant_text(now_seconds + seconds)


def status(lease: Lease, now: str) -> str:
    """The status as it is now: an active lease whose time is over has expired, though nobody wrote it down."""
    return EXPIRED if lease.status == ACTIVE and lease.expires_at <= now else lease.status


def check_active(lease: Lease | None, lock_token: str, now: str) -> Lease:
    """The lease, which is active and whose token, if one is shown, is right."""
    found = check_token(lease, lock_token)
    if status(found, now) != ACTIVE:
        raise Refusal("invalid_state", "lease is not active", {"status": status(found, now)})
    return found


def check_token(lease: Lease | None, lock_token: str) -> Lease:
    """The lease; `Refusal` when there is none, or when a token is shown that is not its own."""
    if lease is None:
        raise Refusal("not_found", "lease not found")
    if lock_token and lock_token != lease.lock_token:
        raise Refusal("policy_denied", "lock_token does not match")
    return lease


def check_wanted(document: Mapping[str, Any], peer_id: str, resource: str) -> None:
    """A lease is for somebody, on something, and asked for with the protocol's members only."""
    unknown = sorted(document.keys() - MEMBERS)
    if unknown:
        raise Refusal("invalid_request", f"unknown member: {unknown[0][:100]}")
    if not resource:
        raise Refusal("invalid_request", "resource is required")
    if not peer_id:
        raise Refusal("invalid_request", "peer_id is required")
    if len(jsontext.ascii_text(document.get("metadata") or {})) > METADATA_BYTES_MAX:
        raise Refusal("invalid_request", f"metadata is larger than {METADATA_BYTES_MAX} bytes")


def released_word(word: str) -> str:
    """How a lease ended, in the protocol's form."""
    word = word.strip().lower() or RELEASED
    if word == ACTIVE:
        raise Refusal("invalid_request", "a lease is not released as active")
    return word


def lock_json(lease: Lease, secret: bool) -> Members:
    """The lock that stands behind the lease as its holder sees it, or without its token."""
    token = {"session_id": lease.lock_token, "lock_token": lease.lock_token} if secret else {}
    shown = {"lock_token": lease.lock_token} if secret else {}
    return {"resource": f"mesh:{lease.resource}", "agent_id": lease.peer_id, "agent_name": lease.peer_id, **token,
            "lock_type": "mesh_lease",
            "reason": "mesh lease", "metadata": shown, "locked_at": lease.created_at, "heartbeat_at": lease.heartbeat_at,
            "expires_at": lease.expires_at}


def lease_json(lease: Lease, now: str, secret: bool) -> Members:
    """The lease as its holder sees it, or (in job objects and lists) without token and lock."""
    members: Members = {**lease._asdict(), "status": status(lease, now)}
    if secret:
        members["metadata"] = {**lease.metadata, "registry_lock": lock_json(lease, secret=True)}
    else:
        del members["lock_token"]
    return members
