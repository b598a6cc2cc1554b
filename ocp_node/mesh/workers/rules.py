"""Who a worker is, and which jobs it may take (OCP 0.1 workers); pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base.errors import Refusal
from ..queue.rules import RESOURCES, Needs
from ..values import integer, members, text, unique, words, wrong

Members = dict[str, Any]

SERVING = frozenset({"active", "ready"})          # may claim, and count as capacity
STALE = "stale"
ID = re.compile(r"[A-Za-z0-9._:@-]{1,128}\Z")
JOBS_MAX = 10_000                                 # at a time, of one worker
STATUS_LENGTH_MAX = 64
RUNTIME = "worker-runtime"
METADATA_BYTES_MAX = 64 * 1024
WAIT_SECONDS_MAX = 60.0


class Registration(NamedTuple):
    """A worker as it says it is."""
    id: str
    agent_id: str
    status: str
    capabilities: list[str]
    resources: Members
    labels: list[str]
    max_concurrent_jobs: int
    metadata: Members


def registration(body: Any) -> Registration:
    """The worker that a body spells."""
    named = text(body.worker_id, "worker_id", 1000)
    if not named:
        raise Refusal("invalid_request", "worker_id is required")
    if not ID.match(named):
        raise wrong("worker_id", "at most 128 characters of A-Z a-z 0-9 . _ : @ -")
    return Registration(named, text(body.agent_id, "agent_id"), status(body.status) or "active",
                        unique(words(body.capabilities, "capabilities")), resources(body.resources),
                        unique(words(body.labels, "labels")),
                        min(max(1, integer(body.max_concurrent_jobs, "max_concurrent_jobs", 1)),
                            JOBS_MAX), metadata(body.metadata))


def status(value: object) -> str:
    """A worker's word for how it is; any word, lower-case."""
    return text(value, "status", STATUS_LENGTH_MAX).lower()


def metadata(value: object) -> Members:
    """What a worker says of itself beside."""
    found = members(value, "metadata")
    if len(repr(found)) > METADATA_BYTES_MAX:
        raise wrong("metadata", f"at most {METADATA_BYTES_MAX} bytes")
    return found


def resources(value: object) -> Members:
    """What a worker has to offer, as given."""
    found = members(value, "resources")
    if len(repr(found)) > METADATA_BYTES_MAX:
        raise wrong("resources", f"at most {METADATA_BYTES_MAX} bytes")
    return found


def worker_id_of(node_id: str) -> str:
    """The id of the node's own worker."""
    slug = re.sub(r"[^a-z0-9]+", "-", node_id.lower()).strip("-") or "node"
    return f"{slug[:100]}-default-worker"


def able(needs: Needs, capabilities: list[str], offered: Mapping[str, Any], node: frozenset[str]) -> bool:
    """May a worker with these capabilities and resources take such a job?

    One that names nothing but `worker-runtime` stands for the whole node; resources count where the worker has declared them.
    """
    named = frozenset(capabilities)
    have = named | node if named == {RUNTIME} else named
    if not needs.capabilities <= have:
        return False
    return all(_enough(needs.resources.get(name, 0), offered.get(name)) for name in RESOURCES)


def _enough(wanted: float, offered: object) -> bool:
    return not isinstance(offered, (int, float)) or isinstance(offered, bool) or wanted <= offered
