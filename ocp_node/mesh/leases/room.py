"""Leases on resources: one holder at a time, for a bounded time (OCP 0.1 leases).

Other rooms lease inside their own change: `leases.acquire(connection, ...)` gives a `Lease`, or the `Conflict` in its way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from . import rules, table
from .rules import Conflict, Lease, Members

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Conflict", "Lease", "Leases", "build"]

SWEEP_SECONDS = 3600.0
SWEPT_MAX = 5_000


class Leases:
    """Takes, extends and ends leases.  Every method that changes something runs inside a change."""

    def __init__(self, core: Core) -> None:
        self._core = core
        core.tickers.add("mesh-leases", self._sweep)

    def acquire(self, connection: WriteConnection, *, resource: str, peer_id: str, agent_id: str = "", job_id: str = "",
                ttl_seconds: int = 0, metadata: Mapping[str, Any] | None = None) -> Lease | Conflict:
        """A new lease, whose peer now holds the resource; or, with nothing changed, the lease of the peer that does."""
        now, seconds = connection.clock.text(), rules.ttl(ttl_seconds)
        held = table.held_by_other(connection, resource, peer_id, now)
        if held is not None:
            return Conflict(held)
        lease = Lease(connection.ids.uuid(), resource, peer_id, agent_id, job_id, rules.ACTIVE, seconds, connection.ids.hex(32),
                      dict(metadata or {}), now, now, rules.ends(connection.clock.time(), seconds), "")
        table.put(connection, lease)
        connection.event("mesh.lease.acquired", peer_id=peer_id,
                         payload={"lease_id": lease.id, "resource": resource, "ttl_seconds": seconds})
        return lease

    def extend(self, connection: WriteConnection, lease_id: str, ttl_seconds: int = 0, lock_token: str = "") -> Lease:
        """The lease holds for so long from now; `Refusal` when it is not active."""
        now, seconds = connection.clock.text(), rules.ttl(ttl_seconds)
        found = rules.check_active(table.find(connection, lease_id), lock_token, now)
        lease = found._replace(ttl_seconds=seconds, heartbeat_at=now, expires_at=rules.ends(connection.clock.time(), seconds))
        table.put(connection, lease)
        connection.event("mesh.lease.heartbeat", peer_id=lease.peer_id,
                         payload={"lease_id": lease.id, "resource": lease.resource, "ttl_seconds": seconds})
        return lease

    def release(self, connection: WriteConnection, lease_id: str, status: str = rules.RELEASED, lock_token: str = "") -> Lease:
        """The lease is over as `status`, and its resource free unless another lease holds it; repeatable."""
        now = connection.clock.text()
        found = rules.check_token(table.find(connection, lease_id), lock_token)
        lease = found._replace(status=rules.released_word(status), heartbeat_at=now, released_at=now)
        table.put(connection, lease)
        connection.event("mesh.lease.released", peer_id=lease.peer_id,
                         payload={"lease_id": lease.id, "resource": lease.resource, "status": lease.status})
        return lease

    def find(self, connection: Any, lease_id: str) -> Lease | None:
        """The lease as stored; `shown` tells whether its time is over."""
        return table.find(connection, lease_id)

    def shown(self, lease: Lease, secret: bool = False) -> Members:
        """The lease as it is now; its token and lock only for its holder."""
        return rules.lease_json(lease, self._core.clock.text(), secret)

    def refusal(self, conflict: Conflict) -> Refusal:
        """What a loser is told: who holds the resource, without the token."""
        return Refusal("lease_conflict", "resource is leased by another peer",
                       {"lock": rules.lock_json(conflict.holder, secret=False)})

    def _sweep(self) -> float:
        """Leases that ended long ago are forgotten."""
        before = instant_text(self._core.clock.time() - self._core.settings.jobs_kept_days * 86_400)
        gone = self._core.writer.run(lambda connection: table.prune(connection, before, SWEPT_MAX))
        return 0.1 if gone == SWEPT_MAX else SWEEP_SECONDS


def build(core: Core, rooms: Rooms) -> Leases:
    """The room; a background loop forgets leases that ended long ago."""
    return Leases(core)


def acquire(room: Leases, call: Call) -> Write:
    """POST /mesh/lease/acquire: of many who ask at once, one gets it."""
    body = call.body
    peer_id, resource = body.peer_id.strip(), body.resource.strip()
    rules.check_wanted(body.document, peer_id, resource)

    def change(connection: WriteConnection) -> Lease | Conflict:
        result = room.acquire(connection, resource=resource, peer_id=peer_id, agent_id=body.agent_id, job_id=body.job_id,
                              ttl_seconds=body.ttl_seconds, metadata=body.metadata)
        if isinstance(result, Conflict):
            connection.event("mesh.lease.conflict", peer_id=peer_id, payload={"resource": resource,
                                                                              "holder_peer_id": result.holder.peer_id,
                                                                              "expires_at": result.holder.expires_at})
        return result

    def then(result: Lease | Conflict) -> Reply:
        if isinstance(result, Conflict):
            raise room.refusal(result)
        return Reply(room.shown(result, secret=True))

    return Write(change, then)


def heartbeat(room: Leases, call: Call) -> Write:
    """POST /mesh/lease/heartbeat."""
    body = call.body
    return Write(lambda connection: room.extend(connection, body.lease_id.strip(), body.ttl_seconds, body.lock_token),
                 lambda lease: Reply(room.shown(lease, secret=True)))


def release(room: Leases, call: Call) -> Write:
    """POST /mesh/lease/release."""
    body = call.body
    return Write(lambda connection: room.release(connection, body.lease_id.strip(), body.status, body.lock_token),
                 lambda lease: Reply(room.shown(lease, secret=True)))
