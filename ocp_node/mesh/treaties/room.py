"""Treaties of this node: proposed by its operator, signed by the other parties, in force until they end (OCP 0.1 treaties).

Other rooms ask inside a change or a snapshot:

    found = treaties.validate(connection, requirements, "continuity_export")     # {satisfied, matched, missing, inactive, ...}
    treaties.active(connection, treaty_id)                                      # is it in force?
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_seconds
from ...base.errors import Busy, Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..audit import SIGNATURE, Audit
from ..lists import bounded
from ..redaction import redacted
from ..values import text
from . import rules, table
from .ratifying import Ratifying
from .rules import Members, Signature, Treaty

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Treaties", "build"]

LIST_USUAL = 25
KEPT_MAX = 10_000
POSTURE_RECENT = 10                  # treaties an audit shows; the manifest shows half as many
MANIFEST_RECENT = 5
EXPIRED_MAX = 100                    # in one step of the sweep


class Treaties:
    """Keeps treaties, and knows which are in force."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self.node_id = core.identity.node_id
        self.ratifying = Ratifying(core, rooms, self)
        self.audit = Audit(core)
        self.offers: dict[str, Any] = {"governance_summary": (lambda: self.posture(MANIFEST_RECENT), None)}
        self._kept: tuple[str, Members] | None = None        # the posture, and until when it holds
        self._sweeper = core.tickers.add("mesh-treaties", self._sweep)

    # --- asking

    def active(self, connection: Any, treaty_id: str) -> bool:
        """Is the treaty in force now?"""
        treaty = self._now(table.find(connection, treaty_id))
        return treaty is not None and treaty.status == rules.ACTIVE

    def validate(self, connection: Any, requirements: Iterable[str], operation: str = "") -> Members:
        """Whether all these treaties are in force now, and which are not."""
        wanted = rules.unique_ids(requirements)
        now = self._core.clock.text()
        found = {key: rules.as_of(treaty, now) for key, treaty in table.find_all(connection, wanted).items()}
        return rules.validation(wanted, found, operation, self.node_id)

    def posture(self, recent: int = POSTURE_RECENT) -> Members:
        """All treaties in short; worked out once per change."""
        now = self._core.clock.text()
        kept = self._kept
        if kept is None or kept[0] and kept[0] < now:
            kept = self._kept = self._made_posture(now)
        shown: Members = {**kept[1], "recent": kept[1]["recent"][:recent]}
        shown["active_treaty_ids"] = [each["id"] for each in shown["recent"] if each["status"] == rules.ACTIVE]
        return shown

    def _made_posture(self, now: str) -> tuple[str, Members]:
        with self._core.reader.snapshot() as connection:
            counts, until = table.counts(connection, now), table.next_expiry(connection, now)
            recent = table.latest(connection, POSTURE_RECENT, now)
        return until, {"count": sum(counts.values()), "counts_by_status": counts, "active_treaty_ids": [],
                       "recent": [rules.brief(rules.as_of(each, now)) for each in recent]}

    def _now(self, treaty: Treaty | None) -> Treaty | None:
        return rules.as_of(treaty, self._core.clock.text()) if treaty is not None else None

    # --- reading

    def stored(self, treaty_id: str) -> Treaty | None:
        """The treaty as it is now, in any case of its id."""
        with self._core.reader.snapshot() as connection:
            return self._now(table.find(connection, treaty_id))

    def shown(self, treaty: Treaty) -> Members:
        """The treaty as it is now."""
        return rules.treaty_json(rules.as_of(treaty, self._core.clock.text()), self.node_id)

    def listed(self, limit: int, status: str = "", treaty_type: str = "") -> Members:
        """The treaties that fit, latest change first."""
        now = self._core.clock.text()
        with self._core.reader.snapshot() as connection:
            found = table.latest(connection, limit, now, rules.filter_status(status), treaty_type.strip().lower())
        return {"peer_id": self.node_id, "count": len(found), "treaties": [self.shown(each) for each in found],
                "generated_at": now}

    # --- changing, inside a change

    def put(self, connection: WriteConnection, treaty: Treaty) -> Treaty:
        """The treaty stands as it is here."""
        table.put(connection, treaty)
        connection.after_commit(self._changed)
        return treaty

    def propose(self, connection: WriteConnection, treaty: Treaty, offered: list[Signature]) -> Treaty:
        """The operator's proposal is stored: in force at once when everybody concerned has signed."""
        now = connection.clock.text()
        new = [each for each in offered if each.peer_id in rules.required(treaty, self.node_id)]
        there = {each.peer_id for each in new}
        treaty = treaty._replace(signatures=[*(each for each in treaty.signatures if each.peer_id not in there), *new])
        made = self.put(connection, rules.settled(treaty, self.node_id, now))
        connection.event("mesh.treaty.proposed", peer_id=self.node_id, payload={
            "treaty_id": made.id, "status": made.status, "treaty_type": made.treaty_type})
        self.ratifying.announce(connection, made, rules.required(made, self.node_id))
        self._tell_ratified(connection, made)
        return made

    def take(self, connection: WriteConnection, treaty_id: str, terms: Members, signature: Signature) -> Treaty:
        """A party's signature stands under the treaty; a new one is answered with ours."""
        known = table.find(connection, treaty_id)
        if known is None:
            raise Refusal("not_found", "treaty not found")
        made, new = rules.accepted(known, terms, signature, self.node_id, connection.clock.text())
        if new:
            self.put(connection, made)
            connection.event("mesh.treaty.signed", peer_id=signature.peer_id,
                             payload={"treaty_id": made.id, "peer_id": signature.peer_id})
            self.ratifying.announce(connection, made, [signature.peer_id])
            self._tell_ratified(connection, made)
        return made

    def _tell_ratified(self, connection: WriteConnection, treaty: Treaty) -> None:
        signed = rules.signed(treaty, self.node_id)
        if treaty.status == rules.ACTIVE and signed:
            connection.event("mesh.treaty.ratified", peer_id=self.node_id, payload={"treaty_id": treaty.id, "signed": signed})

    def _changed(self) -> None:
        self._kept = None
        self._sweeper.wake()

    # --- what time brings

    def _sweep(self) -> float | None:
        """Treaties whose time has run out are written down as such; the seconds until the next one's does."""
        now = self._core.clock.text()
        with self._core.reader.snapshot() as connection:
            any_due, at = bool(table.due(connection, now, 1)), table.next_expiry(connection, now)
        if any_due:
            self._core.writer.run(self._expire)
            return 0.0
        return max(1.0, instant_seconds(at) + 1.0 - self._core.clock.time()) if at else None

    def _expire(self, connection: WriteConnection) -> None:
        now = connection.clock.text()
        for treaty in table.due(connection, now, EXPIRED_MAX):
            self.put(connection, treaty._replace(status=rules.EXPIRED, updated_at=now))
            connection.event("mesh.treaty.expired", peer_id=self.node_id, payload={"treaty_id": treaty.id})


def build(core: Core, rooms: Rooms) -> Treaties:
    """The room; its posture is part of the manifest, and a background loop lets treaties run out."""
    return Treaties(core, rooms)


def list_all(room: Treaties, call: Call) -> Reply:
    """GET /mesh/treaties."""
    query = call.query
    listed = room.listed(bounded(query.limit, LIST_USUAL), query.status, query.treaty_type)
    return Reply(listed if call.caller.trusted_view else redacted(listed))


def show(room: Treaties, call: Call) -> Reply:
    """GET /mesh/treaties/{treaty_id}."""
    treaty = room.stored(call.path["treaty_id"])
    if treaty is None:
        raise Refusal("not_found", "treaty not found")
    shown = room.shown(treaty)
    return Reply(shown if call.caller.trusted_view else redacted(shown))


def propose(room: Treaties, call: Call) -> Write:
    """POST /mesh/treaties/propose."""
    document = call.body.body
    treaty_id = text(document.get("treaty_id"), "treaty_id", rules.ID_LENGTH_MAX) or room._core.ids.uuid()
    now = room._core.clock.text()
    first = rules.proposed(document, room.stored(treaty_id), treaty_id, room.node_id, now)
    offered = room.ratifying.checked(first, rules.offered(document.get("signatures")), now)

    def change(connection: WriteConnection) -> Members:
        known = table.find(connection, treaty_id)
        if known is None and table.count(connection) >= KEPT_MAX:
            raise Busy("the register of treaties", retry_after_seconds=3600)
        treaty = rules.proposed(document, known, treaty_id, room.node_id, connection.clock.text())
        if rules.terms_of(treaty) != rules.terms_of(first):          # its id was taken meanwhile, in another case
            raise Refusal("conflict", "treaty was changed meanwhile")
        made = room.propose(connection, treaty, offered)
        room.audit.note(connection, call, made.id)
        return {"status": "ok", "treaty": room.shown(made)}

    return Write(change, Reply)


def sign(room: Treaties, call: Call) -> Write:
    """POST /mesh/treaties/{treaty_id}/sign: a party's signature, in an envelope of that party."""
    treaty_id, envelopes = call.path["treaty_id"], room._rooms["mesh.envelopes"]
    signed = envelopes.open(call.target.partition("?")[0], call.body.document)
    terms, signature = rules.sent_terms(signed.body, treaty_id)
    room.ratifying.check_sent(terms, signature, signed.node_id, signed.public_key)

    def change(connection: WriteConnection) -> Members:
        envelopes.claim(connection, signed)
        made = room.take(connection, treaty_id, terms, Signature(
            signed.node_id.lower(), str(terms["id"]), signature.lower(), signed.public_key, connection.clock.text()))
        room.audit.note(connection, call, made.id, SIGNATURE)
        return {"status": "ok", "treaty_id": made.id, "treaty_status": rules.as_of(made, connection.clock.text()).status,
                "required": rules.required(made, room.node_id), "signed": rules.signed(made, room.node_id)}

    return Write(change, Reply)


def audit(room: Treaties, call: Call) -> Reply:
    """POST /mesh/treaties/audit: changes nothing."""
    operation = call.body.operation.strip()
    with room._core.reader.snapshot() as connection:
        found = room.validate(connection, call.body.treaty_requirements, operation)
    return Reply({"status": "ok" if found["satisfied"] else "attention_needed", "operation": operation, "validation": found,
                  "posture": room.posture(), "guidance": rules.guidance(found)})
