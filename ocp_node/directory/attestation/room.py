"""Signs what the directory answered, for readers who ask for it with `attest=seed-directory-query.v1`.

Canonical JSON of a whole page costs milliseconds, so a query that asks for it is answered in the worker lane (`wanted`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed, Refusal
from ...contract.route import Call, Headers, Lane, Reply, Route
from ...crypto import node_did
from ...http.router import decoded
from .. import rules as directory_rules
from .. import table as directory_table
from ..admission import limited
from ..dialect import ANYONE
from . import rules

if TYPE_CHECKING:
    from ...core import Core, Rooms

UNAVAILABLE_RETRY_SECONDS = 600


def build(core: Core, rooms: Rooms) -> Attestation:
    """The signer of answers, with the node's own key."""
    return Attestation(core, rooms)


class Attestation:
    """Signs answers of one directory."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._clock = core.clock
        self._on: bool = core.settings.directory_attest
        self._rooms = rooms
        self.reader = core.reader
        self.signed = 0

    @property
    def directory(self) -> Any:
        return self._rooms["directory"]

    def reply(self, call: Call, mode: str, body: dict[str, Any], high_water: int, headers: Headers = ()) -> Reply:
        """The body as an answer with its entity tag, attested when the reader asked for that."""
        wanted = asked(call.target)
        if wanted:
            body = self.attested(call, mode, body, high_water)
        encoded = jsontext.compact(body)
        if wanted:                      # signed at this instant: no two are the same
            return Reply(encoded, 200, (("Cache-Control", "no-store"), *ANYONE, *headers), "application/json")
        tag = directory_rules.etag(_digest(encoded))
        headers = (("ETag", tag), ("Cache-Control", "no-cache"), *ANYONE, *headers)
        if directory_rules.has(call.headers.get("if-none-match", ""), tag):
            return Reply(None, 304, headers)
        return Reply(encoded, 200, headers, "application/json")

    def attested(self, call: Call, mode: str, body: dict[str, Any], high_water: int) -> dict[str, Any]:
        """The body with the member `query_attestation`.  Refusal `attestation_unavailable` when none can be made."""
        path, _, query = call.target.partition("?")
        path = "/".join(decoded(part) for part in path.split("/"))
        members = {name: values[0] for name, values in directory_rules.query_members(query).items() if name and name != "attest"}
        if not self._on or not rules.attestable(path, members):
            raise limited("attestation_unavailable", UNAVAILABLE_RETRY_SECONDS)
        identity = self._core.identity
        try:
            made = rules.unsigned(identity.did, mode, path, members, body, high_water, self._clock.time())
            message = node_did.json_signing_input("", made, nfc=True)
        except Malformed:               # a number or a name that canonical JSON cannot hold
            raise limited("attestation_unavailable", UNAVAILABLE_RETRY_SECONDS) from None
        self.signed += 1
        signature = {"alg": "ed25519", "value": node_did.signature_text(identity.sign(message))}
        return {**body, rules.MEMBER: {**made, "signature": signature}}


def _digest(raw: bytes) -> str:
    import hashlib

    from ...crypto import base64url
    return base64url.encode(hashlib.sha256(raw).digest())


def asked(target: str) -> bool:
    """Whether the request wants a signed answer; another scheme than ours is an unknown parameter."""
    if "attest=" not in target:
        return False
    values = directory_rules.query_members(target.partition("?")[2]).get("attest", [])
    return values == [rules.SCHEME]


def wanted(route: Route) -> Route:
    """The same route in the worker lane, answered by this room."""
    return route._replace(id=f"directory.attestation.{route.handler}", lane=Lane.WORKER)


def fetch(room: Attestation, call: Call) -> Reply:
    """GET /adv/{node_id}?attest=…"""
    directory, node_id = room.directory, call.path["node_id"]
    with room.reader.snapshot() as connection:
        current = directory_table.fetch(connection, node_id, directory.admission.now_us())
        high_water = directory_table.state(connection).position
    if current is None:
        return Reply({"status": "not-found", "node/id": node_id}, 404, (("Cache-Control", "no-store"), *ANYONE))
    return room.reply(call, "adv-get", json.loads(current.text), high_water)


def feed(room: Attestation, call: Call) -> Reply:
    """GET /adv?attest=…: one page, without waiting."""
    directory = room.directory
    try:
        query = directory_rules.feed_query(call.target.partition("?")[2], directory.policy.page_items)
        page, reset = directory.feed.page(query)
    except Refusal as refusal:
        raise directory.refused(refusal) from None
    body = json.loads(page.body(directory.feed.epoch, directory.feed.limit(query)))
    return room.reply(call, "adv-list", body, page.highest, (("Adv-Cursor", "reset"),) if reset else ())
