"""Published delegations: which key may sign in whose name, for what and until when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.buckets import source_key
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from .. import rules as directory_rules
from .. import shape as shapes
from ..admission import limited
from ..dialect import ANYONE
from ..shape import instant_us
from . import rules, table

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection

PER_ISSUER_MAX = 256
FULL_RETRY_SECONDS = 3600
ROWS_MAX = 1_000


def build(core: Core, rooms: Rooms) -> Delegations:
    """The delegations of this node's directory."""
    return Delegations(core, rooms)


class Delegations:
    """What this room needs of the directory around it."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.directory = rooms["directory"]
        self._rooms = rooms
        self.reader = core.reader

    @property
    def revocations(self) -> Any:
        return self._rooms["directory.revocations"]

    def now_us(self) -> int:
        return int(self.directory.admission.now_us())

    def issuer(self, connection: Any, delegation_id: str) -> str:
        """Whose key is lent, "" when the delegation is unknown."""
        found = table.find(connection, delegation_id)
        return found[0] if found is not None else ""


def publish(room: Delegations, call: Call) -> Write:
    """PUT /key/{delegation_id}: publish a delegation.  The same again is fine; another under its id is not."""
    try:
        delegation = rules.read(shapes.parse(call.raw), room.directory.policy.shape)
        rules.check(delegation, call.path["delegation_id"], room.now_us(), room.revocations.trusted)
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None
    source = source_key(call.caller.address)

    def change(connection: WriteConnection) -> bool:
        try:
            return _store(room, connection, delegation, source)
        except Refusal as refusal:
            raise room.directory.refused(refusal) from None

    return Write(change, lambda created: Reply({"status": "stored", "delegation_id": delegation["delegation_id"],
                                                "expires_at": delegation["expires_at"]}, 201 if created else 200))


def _store(room: Delegations, connection: WriteConnection, delegation: dict[str, Any], source: str) -> bool:
    """True when the delegation is new here."""
    delegation_id, issuer = delegation["delegation_id"], delegation["issuer/participant_id"]
    if room.revocations.delegation_revoked(connection, delegation_id, issuer):
        raise Refusal("revoked")
    known = table.find(connection, delegation_id)
    if known is not None:
        if json.loads(known[1]) != delegation:
            raise Refusal("delegation-exists", detail={"delegation_id": delegation_id})
        return False
    held = table.count_of(connection, issuer)
    if held >= PER_ISSUER_MAX:
        raise limited("directory-full", FULL_RETRY_SECONDS)
    room.directory.admission.look(issuer, source, not held)
    room.directory.admission.charge(issuer, source, not held)
    table.put(connection, delegation_id, delegation["proxy_key"], issuer, instant_us(delegation["expires_at"]), room.now_us(),
              jsontext.compact(delegation).decode())
    connection.event("key/delegated", surface="directory", subject=delegation_id,
                     payload={"issuer": issuer, "proxy_key": delegation["proxy_key"]})
    return True


def fetch(room: Delegations, call: Call) -> Reply:
    """GET /key/{delegation_id}: the delegation as long as it holds."""
    with room.reader.snapshot() as connection:
        text = table.holding(connection, call.path["delegation_id"], room.now_us())
    if text is None:
        return Reply({"status": "not-found", "delegation_id": call.path["delegation_id"][:256]}, 404,
                     (("Cache-Control", "no-store"), *ANYONE))
    return Reply(text, 200, (("Cache-Control", "no-cache"), *ANYONE), "application/json")


def find(room: Delegations, call: Call) -> Reply:
    """GET /key?proxy_key=… or ?participant_id=…&capability=…"""
    try:
        members = directory_rules.query_members(call.target.partition("?")[2])
        if any(len(values) > 1 for values in members.values()):
            raise Refusal("invalid-query")
        one = {name: values[0] for name, values in members.items()}
        proxy, participant = one.get("proxy_key", ""), one.get("participant_id", "")
        if bool(proxy) == bool(participant) or not (rules.wanted_key(proxy) if proxy else rules.wanted_participant(participant)):
            raise Refusal("invalid-query")
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None
    with room.reader.snapshot() as connection:
        texts = (table.by_proxy(connection, proxy, room.now_us(), ROWS_MAX) if proxy
                 else table.by_issuer(connection, participant, room.now_us(), ROWS_MAX))
    found = [json.loads(text) for text in texts]
    capability = one.get("capability", "")
    items = [delegation for delegation in found if not capability or rules.grants(delegation, capability)][:rules.ITEMS_MAX]
    return Reply({"items": items, "max-items": rules.ITEMS_MAX}, 200, (("Cache-Control", "no-cache"), *ANYONE))
