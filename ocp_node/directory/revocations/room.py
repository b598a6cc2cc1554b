"""What counts no more: revoked passports and delegations, withdrawn endorsements.  Nothing here is ever taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed, Refusal
from ...contract.route import Call, Reply, Write
from .. import passports
from .. import rules as directory_rules
from .. import shape as shapes
from . import rules, table

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection

REVOCATIONS_PER_NODE_ROOM = 16        # that other directories may bring, for each node that may be here


def build(core: Core, rooms: Rooms) -> Revocations:
    """The revocations of this node's directory."""
    return Revocations(core, rooms)


class Revocations:
    """Takes revocations and answers whether something is revoked."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._rooms = rooms
        self.reader = core.reader
        self.trusted: frozenset[str] = frozenset(core.settings.directory_issuers)

    @property
    def directory(self) -> Any:
        return self._rooms["directory"]

    @property
    def endorsements(self) -> Any:
        return self._rooms["directory.endorsements"]

    @property
    def attestation(self) -> Any:
        return self._rooms["directory.attestation"]

    @property
    def epoch(self) -> str:
        return f"{self.directory.feed.epoch}-rev"

    def now_us(self) -> int:
        return int(self.directory.admission.now_us())

    def check_passport(self, connection: Any, passport: dict[str, Any]) -> None:
        """Neither the passport nor the delegation behind it is revoked, or Refusal `revoked`."""
        issuer, delegation_id = passport["issuer/participant_id"], passports.delegation_id(passport)
        if table.passport_revoked(connection, passport["passport_id"], passport["node_id"], passport["capability_id"], issuer):
            raise Refusal("revoked")
        if delegation_id and table.delegation_revoked(connection, delegation_id, issuer):
            raise Refusal("revoked")

    def delegation_revoked(self, connection: Any, delegation_id: str, issuer: str) -> bool:
        """The owner of the key has revoked the delegation."""
        return table.delegation_revoked(connection, delegation_id, issuer)

    def endorsement_revoked(self, connection: Any, endorsement_id: str, endorser: str) -> bool:
        """Its endorser has withdrawn the endorsement."""
        return table.endorsement_revoked(connection, endorsement_id, endorser)

    def checked(self, value: Any) -> dict[str, Any]:
        """A revocation that is signed by whom it names."""
        revocation = rules.read(value, self.directory.policy.shape)
        rules.check(revocation, self.now_us(), self.trusted)
        return revocation

    def store(self, connection: WriteConnection, revocation: dict[str, Any], known_only: bool = True) -> bool:
        """The revocation stands and what it revokes is shown no more.  False when it stood already.

        With `known_only` the thing must be known here and be its to revoke.  Without, a revocation that another directory took is
        kept for what may come: it will only ever count against passports of the very issuer that signed it.
        """
        target, issuer = rules.target(revocation), rules.issuer(revocation)
        node_id, capability_id = revocation["node_id"], revocation["capability_id"]
        if known_only:
            self._check_known(connection, revocation, target, issuer)
        text = jsontext.compact(revocation).decode()
        if not table.add(connection, rules.PASSPORTS, target, node_id, capability_id, issuer, self.now_us(), text):
            return False
        if "passport_id" in revocation:
            table.withdraw_passport(connection, target, node_id, capability_id, issuer)
        else:
            table.withdraw_delegation(connection, target, issuer)
        self._tell(connection, revocation["revocation_id"], target)
        return True

    def mirrored(self, item: Any) -> Callable[[WriteConnection], bool] | None:
        """How to store an item of another directory's feed, None when it does not hold here."""
        try:
            if not isinstance(item, dict):
                return None
            if item.get("artifact_family") == rules.ENDORSEMENTS:
                withdrawn = self.endorsements.checked_revocation(item.get("artifact"))
                return lambda connection: self.store_endorsement(connection, withdrawn)
            revocation = self.checked(item.get("artifact"))
            return lambda connection: self._has_room(connection) and self.store(connection, revocation, known_only=False)
        except (Malformed, Refusal) as fault:
            self.directory.log.debug("directory.revocation_refused", error=str(fault))
            return None

    def _has_room(self, connection: Any) -> bool:
        """Anyone can sign a revocation of anything: what others bring must not fill the disk."""
        nodes = self.directory.policy.nodes
        return not nodes or table.position(connection) < nodes * REVOCATIONS_PER_NODE_ROOM

    def _check_known(self, connection: Any, revocation: dict[str, Any], target: str, issuer: str) -> None:
        if "target_id" in revocation:
            owner = self._rooms["directory.delegations"].issuer(connection, target)
            issuers = [*([owner] if owner else []), *table.delegation_issuers(connection, target)]
            if not issuers:
                raise Refusal("unknown-delegation")
        else:
            issuers = table.passport_issuers(connection, target, revocation["node_id"], revocation["capability_id"])
            if not issuers:
                raise Refusal("unknown-passport")
        if issuer and issuer not in issuers:
            raise Refusal("issuer-mismatch")

    def store_endorsement(self, connection: WriteConnection, revocation: dict[str, Any]) -> bool:
        """The endorsement is withdrawn.  False when it was already."""
        target, endorser = revocation["endorsement_id"], revocation["revoker_subject_ref"]
        if not table.add(connection, rules.ENDORSEMENTS, target, revocation["node_id"], revocation["capability_id"], endorser,
                         self.now_us(), jsontext.compact(revocation).decode()):
            return False
        table.withdraw_endorsement(connection, target, endorser)
        self._tell(connection, revocation["revocation_id"], target)
        return True

    def _tell(self, connection: WriteConnection, revocation_id: str, target: str) -> None:
        connection.event("capability/revoked", surface="directory", subject=target[:256],
                         payload={"revocation_id": revocation_id})


# --- the routes -------------------------------------------------------------------------------------------------------

def revoke(room: Revocations, call: Call) -> Write:
    """POST /revoke: a passport or a delegation counts no more."""
    try:
        revocation = room.checked(shapes.parse(call.raw))
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None

    def change(connection: WriteConnection) -> None:
        try:
            if not room.store(connection, revocation):
                raise Refusal("already-revoked")
        except Refusal as refusal:
            raise room.directory.refused(refusal) from None

    return Write(change, lambda _: _revoked(revocation, rules.target(revocation)))


def revoke_endorsement(room: Revocations, call: Call) -> Write:
    """POST /revoke/endorsement: a federation takes its word back."""
    try:
        revocation = room.endorsements.checked_revocation(shapes.parse(call.raw))
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None

    def change(connection: WriteConnection) -> None:
        try:
            room.endorsements.check_known(connection, revocation)
            if not room.store_endorsement(connection, revocation):
                raise Refusal("already-revoked")
        except Refusal as refusal:
            raise room.directory.refused(refusal) from None

    return Write(change, lambda _: _revoked(revocation, revocation["endorsement_id"]))


def _revoked(revocation: dict[str, Any], target: str) -> Reply:
    return Reply({"status": "revoked", "revocation_id": revocation["revocation_id"], "target": target,
                  "node_id": revocation["node_id"], "capability_id": revocation["capability_id"]})


def feed(room: Revocations, call: Call) -> Reply:
    """GET /revocations: everything that was revoked after a cursor."""
    return _page(room, call, "")


def endorsements(room: Revocations, call: Call) -> Reply:
    """GET /revocations/endorsement: withdrawn endorsements alone."""
    return _page(room, call, rules.ENDORSEMENTS)


def _page(room: Revocations, call: Call, family: str) -> Reply:
    try:
        query = directory_rules.feed_query(call.target.partition("?")[2], rules.ITEMS_MAX)
        limit = query.limit or rules.ITEMS_MAX
        with room.reader.snapshot() as connection:
            highest = table.position(connection)
            start = directory_rules.cursor_position(query.since, room.epoch, highest)
            rows = table.after(connection, start or 0, family, limit)
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None
    last = rows[-1][0] if len(rows) == limit else highest
    body = {"items": [{"artifact_family": kind, "artifact": json.loads(text)} for _, kind, text in rows],
            "next": directory_rules.cursor_text(room.epoch, last), "max-items": limit}
    headers = (("Adv-Cursor", "reset"),) if start is None else ()
    return room.attestation.reply(call, "revocations", body, highest, headers)
