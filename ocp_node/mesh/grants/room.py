"""Capability grants (OCP 0.1 grants, enforced): this node lets a named peer read one of its artifacts, for a while.

What a request shows is judged outside the change (signatures), and spent inside it, so that of two requests with the last use
of one grant exactly one is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base import limits
from ...base.clock import instant_seconds, instant_text
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...crypto import grants
from . import table

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

PROOF_SECONDS = 3 * limits.SIGNED_SKEW_SECONDS      # an older proof fails its clock check anyway
GRANT_KEPT_SECONDS = 86_400                         # after its end, so that revoking and looking back still work
PRUNED_MAX = 2_000


class Grants:
    """Issues, judges and spends the grants of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._pruned_at = 0.0

    def issue(self, subject_peer_id: str, scope: Mapping[str, Any], lifetime_seconds: int) -> Write:
        """The change that makes the grant known, answered with the grant.  `Refusal` for what this node does not enforce."""
        core = self._core
        grant = grants.issue(core.identity, core.ids.uuid(), subject_peer_id, scope, lifetime_seconds=lifetime_seconds,
                             now_seconds=core.clock.time(), nonce=core.ids.hex(32))

        def change(connection: WriteConnection) -> None:
            self._prune(connection)
            table.add(connection, grant["grant_id"], subject_peer_id, grant["expires_at"])
            connection.event("mesh.artifact.grant.issued", peer_id=subject_peer_id, payload={
                "grant_id": grant["grant_id"], "subject_peer_id": subject_peer_id, "scope": grant["scope"],
                "expires_at": grant["expires_at"]})

        return Write(change, lambda _: Reply({"status": "ok", "grant": grant}))

    def revoke(self, grant_id: str) -> Write:
        """The change that ends the grant."""
        def change(connection: WriteConnection) -> None:
            known = table.standing(connection, grant_id)
            if known is None:
                raise Refusal("not_found", "grant not found")
            table.revoke(connection, grant_id, connection.clock.text())
            if not known[1]:
                connection.event("mesh.artifact.grant.revoked", payload={"grant_id": grant_id})

        return Write(change, lambda _: Reply({"status": "revoked", "grant_id": grant_id}))

    def judged(self, headers: Mapping[str, str], asked: grants.Asked) -> grants.Presented | None:
        """The grant that the request shows, which is good but for being spent; None when it shows none.

        `Refusal("unauthorized")` whose message is the reason why it is not.
        """
        presented = grants.read(headers)
        if presented is None:
            return None
        identity = self._core.identity
        peer = self._rooms["mesh.peers"].find(presented.subject_peer_id)
        reason = grants.rejection(presented, asked, identity.node_id, identity.public_key_hex, peer.public_key if peer else "",
                                  peer.trust_tier if peer else "", self._core.clock.time())
        if reason:
            raise Refusal("unauthorized", reason)
        return presented

    def is_revoked(self, grant_id: str) -> bool:
        """Has this node taken the grant back?"""
        with self._core.reader.snapshot() as connection:
            known = table.standing(connection, grant_id)
        return known is not None and known[1]

    def spend(self, connection: WriteConnection, presented: grants.Presented, artifact_id: str, *, resumed: bool) -> None:
        """The grant has opened the artifact once more, with an event; in a change.  `Refusal("unauthorized")` when it does not.

        The rest of a delivery that broke off (`resumed`) is no delivery of its own: the subject has had this content opened.
        """
        self._prune(connection)
        grant = presented.grant
        table.add(connection, presented.grant_id, presented.subject_peer_id,
                  instant_text(instant_seconds(_zoned(grant["expires_at"]))))
        uses, revoked = table.standing(connection, presented.grant_id) or (0, False)
        free = resumed and table.delivered(connection, presented.grant_id, artifact_id)
        fresh = table.claim(connection, presented.subject_peer_id, presented.nonce, int(connection.clock.time()))
        reason = grants.spent(presented, 0 if free else uses, revoked=revoked, nonce_used=not fresh)
        if reason:
            raise Refusal("unauthorized", reason)
        if not free:
            table.count(connection, presented.grant_id, artifact_id)
        connection.event("mesh.artifact.grant.used", peer_id=presented.subject_peer_id, payload={
            "grant_id": presented.grant_id, "subject_peer_id": presented.subject_peer_id, "artifact_id": artifact_id})

    def _prune(self, connection: WriteConnection) -> None:
        """Once in a while what is over is forgotten; it costs whoever comes by a moment, and needs no loop of its own."""
        now = connection.clock.time()
        if abs(now - self._pruned_at) >= PROOF_SECONDS:
            self._pruned_at = now
            table.prune(connection, instant_text(now - GRANT_KEPT_SECONDS), int(now) - PROOF_SECONDS, PRUNED_MAX)


def _zoned(text: str) -> str:
    """The time with a zone; one without is UTC (OCP 0.1 grants)."""
    text = text.strip()
    return text if text[-1:] in "zZ" or "+" in text[10:] or "-" in text[10:] else text + "Z"


def build(core: Core, rooms: Rooms) -> Grants:
    """The room."""
    return Grants(core, rooms)


def issue(room: Grants, call: Call) -> Write:
    """POST /mesh/grants."""
    scope = call.body.scope
    members = {name: getattr(scope, name) for name in ("action", "artifact_id", "digest", "path", "constraints") if getattr(scope, name)}
    return room.issue(call.body.subject_peer_id.strip(), {**members, "max_uses": scope.max_uses}, call.body.expires_in_seconds)


def revoke(room: Grants, call: Call) -> Write:
    """POST /mesh/grants/{grant_id}/revoke."""
    return room.revoke(call.path["grant_id"])
