"""The capability catalogue: a node's offers, each proven by a passport and by the node's own word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...base.buckets import source_key
from ...base.clock import instant_text
from ...base.digest import sha256
from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...crypto import base64url, canonical
from .. import passports
from .. import rules as directory_rules
from .. import shape as shapes
from .. import table as directory_table
from ..admission import limited
from ..dialect import ANYONE
from ..shape import MICROSECONDS, is_node_id
from . import rules, table
from .rules import Submitted
from .table import Shown

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection

ROWS_MAX = 1_000
REGISTRATIONS_PER_NODE_ROOM = 4       # registrations that may be kept for each node that may be there
FULL_RETRY_SECONDS = 60
PER_NODE_RETRY_SECONDS = 600


def build(core: Core, rooms: Rooms) -> Catalogue:
    """The catalogue of this node's directory."""
    return Catalogue(core, rooms)


class Catalogue:
    """What the catalogue needs of the directory around it."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.directory = rooms["directory"]
        self.revocations = rooms["directory.revocations"]
        self.endorsements = rooms["directory.endorsements"]
        self.attestation = rooms["directory.attestation"]
        self.reader = core.reader
        self.per_node: int = core.settings.directory_capabilities_per_node

    @property
    def epoch(self) -> str:
        return f"{self.directory.feed.epoch}-cap"

    def now_us(self) -> int:
        return int(self.directory.admission.now_us())


# --- registering ------------------------------------------------------------------------------------------------------

def register(room: Catalogue, call: Call) -> Write:
    """PUT /cap/{node_id}/{capability_id}: register or replace one capability of a node."""
    node_id, capability_id = call.path["node_id"], call.path["capability_id"]
    directory = room.directory
    try:
        submitted, endorsement = _submitted(room, call, node_id, capability_id)
    except Refusal as refusal:
        raise directory.refused(refusal, node_id) from None
    source = source_key(call.caller.address)

    def change(connection: WriteConnection) -> tuple[str, int, int]:
        try:
            stored = _store(room, connection, submitted, source)
            if endorsement is not None:
                room.endorsements.store(connection, endorsement)
            return stored
        except Refusal as refusal:
            raise directory.refused(refusal, node_id) from None

    return Write(change, lambda stored: _registered(submitted, *stored))


def _submitted(room: Catalogue, call: Call, node_id: str, capability_id: str) -> tuple[Submitted, dict[str, Any] | None]:
    """A registration whose papers hold, and the endorsement that came with it."""
    if not is_node_id(node_id):
        raise Refusal("invalid-node-id")
    policy, now_us = room.directory.policy, room.now_us()
    if list(passports.capability_id(capability_id, policy.shape)):
        raise Refusal("invalid-capability-id")
    body = shapes.parse(call.raw)
    shapes.check(body, rules.REGISTRATION, policy.shape, "invalid-artifact")
    passport, advertised = body["passport"], body["advertisement"]
    if passport["node_id"] != node_id:
        raise Refusal("node-id-mismatch")
    if passport["capability_id"] != capability_id:
        raise Refusal("capability-id-mismatch")
    passports.check_passport(passport, now_us)
    passports.check_capabilities(advertised, node_id, now_us)
    wire_name = passports.listed_name(capability_id, advertised)
    endorsement = body.get("endorsement")
    if endorsement is not None:
        room.endorsements.check(endorsement, node_id, capability_id)
    digest = base64url.encode(sha256(canonical.jcs([passport, advertised])).digest())
    return Submitted(node_id, capability_id, wire_name, body["sequence/no"], passport, digest,
                     shapes.instant_us(advertised["published-at"]), passports.holds_until_us(passport)), endorsement


def _store(room: Catalogue, connection: WriteConnection, submitted: Submitted, source: str) -> tuple[str, int, int]:
    """What became of the registration, the number that stands now, and since when."""
    admission, now_us = room.directory.admission, room.now_us()
    room.revocations.check_passport(connection, submitted.passport)
    known = table.known(connection, submitted.node_id, submitted.capability_id)
    how = rules.judge(submitted, known)
    if how == "same" and known is not None:
        return how, known.sequence_no, known.stored_us
    active = table.active(connection, submitted.node_id, now_us)
    counts = known is not None and known.expires_us > now_us
    if room.per_node and not counts and active >= room.per_node:
        raise limited("capability-registration-limit-exceeded", PER_NODE_RETRY_SECONDS)
    nodes = room.directory.policy.nodes
    if nodes and known is None and table.count(connection) >= nodes * REGISTRATIONS_PER_NODE_ROOM:
        raise limited("directory-full", FULL_RETRY_SECONDS)
    new = not active and directory_table.known(connection, submitted.node_id) is None
    admission.look(submitted.node_id, source, new)
    admission.charge(submitted.node_id, source, new)
    table.put(connection, submitted, now_us)
    connection.event("capability/registered", surface="directory", subject=submitted.node_id,
                     payload={"capability_id": submitted.capability_id, "passport_id": submitted.passport["passport_id"]})
    return ("create" if not counts else "replace"), submitted.sequence_no, now_us


def _registered(submitted: Submitted, how: str, sequence_no: int, stored_us: int) -> Reply:
    body = {"status": "registered", "node_id": submitted.node_id, "capability_id": submitted.capability_id,
            "passport_id": submitted.passport["passport_id"], "sequence/no": sequence_no,
            "published_at": instant_text(stored_us // MICROSECONDS), "expires_at": submitted.passport.get("expires_at")}
    return Reply(body, 201 if how == "create" else 200)


# --- reading ----------------------------------------------------------------------------------------------------------

def node(room: Catalogue, call: Call) -> Reply:
    """GET /cap/{node_id}: what one node offers now."""
    node_id = call.path["node_id"]
    if not is_node_id(node_id):
        raise room.directory.refused(Refusal("invalid-node-id"))
    now_us = room.now_us()
    with room.reader.snapshot() as connection:
        rows = table.of_node(connection, node_id, now_us, ROWS_MAX)
        endpoints = _endpoints(connection, node_id, now_us) if rows else []
        high_water = table.position(connection)
    if not rows:
        return Reply({"status": "not-found", "node_id": node_id}, 404, (("Cache-Control", "no-store"), *ANYONE))
    body = {"node_id": node_id, "endpoints": endpoints, "capabilities": [_capability(room, row, now_us) for row in rows]}
    return room.attestation.reply(call, "cap-node", body, high_water)


def query(room: Catalogue, call: Call) -> Reply:
    """GET /cap: the offers that a reader looks for, page by page."""
    try:
        wanted = rules.query(call.target.partition("?")[2])
        now_us = room.now_us()
        with room.reader.snapshot() as connection:
            highest = table.position(connection)
            start = directory_rules.cursor_position(wanted.since, room.epoch, highest)
            items, last = _page(room, connection, wanted, start or 0, highest, now_us)
    except Refusal as refusal:
        raise room.directory.refused(refusal) from None
    body = {"items": items, "next": directory_rules.cursor_text(room.epoch, last), "max-items": wanted.limit}
    return room.attestation.reply(call, "cap-query", body, highest, (("Adv-Cursor", "reset"),) if start is None else ())


def _page(room: Catalogue, connection: Any, wanted: rules.Query, after: int, highest: int,
          now_us: int) -> tuple[list[dict[str, Any]], int]:
    """Offers and the position behind them.  A page that is full, or has looked at many rows, ends at the last one."""
    items: list[dict[str, Any]] = []
    looked, last = 0, after
    for row in table.offers(connection, wanted, after, now_us, ROWS_MAX):
        looked, last = looked + 1, row.position
        offer = _offer(room, connection, wanted, row, now_us)
        if offer is not None:
            items.append(offer)
            if len(items) == wanted.limit:
                return items, last
    return items, last if looked == ROWS_MAX else highest


def _offer(room: Catalogue, connection: Any, wanted: rules.Query, row: Shown, now_us: int) -> dict[str, Any] | None:
    if not rules.wanted_kind(wanted, row.anchor, bool(row.informal)):
        return None
    capability = _capability(room, row, now_us)
    if wanted.official is not None and capability["official"] is not wanted.official:
        return None
    if wanted.endorsement and (capability["endorsement"] or {}).get("endorsement_id") != wanted.endorsement:
        return None
    if wanted.passport_profile and wanted.passport_profile not in rules.profiles(capability["passport"]):
        return None
    return {"node_id": row.node_id, "endpoints": _endpoints(connection, row.node_id, now_us), **capability,
            "anchor_identity": row.anchor or None, "informal": bool(row.informal)}


def _capability(room: Catalogue, row: Shown, now_us: int) -> dict[str, Any]:
    passport = json.loads(row.passport_json)
    endorsement = room.endorsements.shown(row, now_us)
    return {"capability_id": row.capability_id, "passport": passport, "official": endorsement is not None,
            "endorsement": endorsement,
            "sequence/no": row.sequence_no, "published_at": instant_text(row.stored_us // MICROSECONDS),
            "expires_at": passport.get("expires_at")}


def _endpoints(connection: Any, node_id: str, now_us: int) -> list[Any]:
    """Where the node listens; nothing when it is not advertised now."""
    current = directory_table.fetch(connection, node_id, now_us)
    return list(json.loads(current.text)["endpoints"]) if current is not None else []


