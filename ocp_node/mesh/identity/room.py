"""This node's key and the step to the next one (OCP 0.1 identity; docs/adr/0005-key-rotation.md).

The identity file is the truth.  The order of a rotation: the file has the new key and its succession, this process signs with it,
the log and the outbox are told.  Whatever of the last step a power cut prevents, the next start does.

A self-signed certificate that a start has made anew is told in the same way (docs/adr/0006-certificate-pins.md).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base.errors import Busy, Refusal, Unusable
from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ...crypto import identity as identities
from ...store import facts
from ...store.outbox import GiveUp
from ..peers import pins
from . import rules

if TYPE_CHECKING:
    from ...base.ticker import Ticker
    from ...crypto.identity import Identity
    from ...store.writer import WriteConnection
    from .rules import Members

FACT = "mesh.identity.recorded_key"          # the key of the newest rotation that the log knows
CERTIFICATE_FACT = "mesh.identity.recorded_certificate"      # what peers were told of it last
TELL = "mesh.identity.tell"


class NodeKey:
    """Rotates the key of this node, and tells of it."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._peers = rooms["mesh.peers"]
        self._rotating = threading.Lock()
        self._recorder: Ticker | None = None
        core.outbox.on(TELL, self._tell)
        if self._unrecorded():
            self.record_later()

    def rotate(self, wanted: str, reason: str, loopback: bool) -> tuple[Identity, Mapping[str, Any]]:
        """The node has a new key: in the file, in use, in the log; its peers are about to be told.  Gives it with its succession.

        `Refusal("conflict")` when the key to leave behind is not the present one.  Of two at once that name it, one rotates.
        """
        with self._rotating:
            present = self._core.identity
            if wanted and wanted != present.public_key_hex:
                raise Refusal("conflict", "public_key is not this node's key any more", {"public_key": present.public_key_hex})
            made, succession = self._made(present)
            self._core.identity = made
            try:
                self.record(reason, loopback)
            except BaseException:
                self.record_later()                  # the key has changed whatever became of the log
                raise
        return made, succession

    def _made(self, present: Identity) -> tuple[Identity, Mapping[str, Any]]:
        core = self._core
        try:
            return identities.rotate(Path(core.settings.identity_dir), present, core.ids, core.clock)
        except Unusable as fault:
            core.log.warning("identity.not_rotated", reason=str(fault))
            raise Refusal("busy", "the identity file cannot be changed; the key is what it was",
                          headers=(("Retry-After", "5"),)) from None

    # --- what the log knows

    def _unrecorded(self) -> bool:
        with self._core.reader.snapshot() as connection:
            return bool(rules.unrecorded(self._core.identity.successions, facts.get(connection, FACT))) or \
                facts.get(connection, CERTIFICATE_FACT) != self._certificate()

    def _certificate(self) -> str:
        """What handshakes say of the certificate that is served."""
        return pins.own(self._core.certificate, self._core.bound[1], self._core.base_url)

    def record_later(self) -> None:
        """A background loop writes down what the log lacks, as soon as it can; most nodes never need it."""
        if self._recorder is None:
            self._recorder = self._core.tickers.add("mesh-identity", self.record)
        self._recorder.wake()

    def record(self, reason: str = "", loopback: bool = False) -> None:
        """The log knows every rotation of the identity file and the certificate, and what follows from them is on its way."""
        invitations = self._rooms["mesh.invitations"]        # built here: a change must not wait for a room
        self._core.writer.run(lambda connection: self._record(connection, invitations, reason, loopback))

    def _record(self, connection: WriteConnection, invitations: Any, reason: str, loopback: bool) -> None:
        """Each rotation that the log lacked has its event, open invitations have ended; deliveries to peers wait, of another
        certificate as well."""
        identity, certificate = self._core.identity, self._certificate()
        missing = rules.unrecorded(identity.successions, facts.get(connection, FACT))
        renewed = facts.get(connection, CERTIFICATE_FACT) != certificate
        if not missing and not renewed:
            return
        for link in missing:
            connection.event("mesh.identity.rotated", peer_id=identity.node_id, payload={
                "node_id": identity.node_id, "public_key": link["new_public_key"], "previous_public_key": link["old_public_key"],
                "rotated_at": link["rotated_at"], "reason": reason if link is missing[-1] else ""})
        if missing:
            facts.put(connection, FACT, identity.public_key_hex)
            invitations.end_open(connection)
        facts.put(connection, CERTIFICATE_FACT, certificate)
        self._announce(connection, identity.public_key_hex, loopback)

    # --- telling peers

    def _announce(self, connection: WriteConnection, public_key: str, loopback: bool) -> None:
        """Each peer's delivery waits; a full outbox leaves the rest to learn it when they call, or are called."""
        until = connection.clock.time() + rules.TELLING_SECONDS
        for peer in rules.told(self._peers.all()):
            payload: Members = {"peer_id": peer.peer_id, "public_key": public_key,
                                "certificate": self._core.certificate, "failures": 0, "until": until,
                                "loopback": loopback and peer.trust_tier in ("trusted", "partner")}
            try:
                connection.outbox(TELL, payload, key=peer.peer_id)
            except Busy:
                self._core.log.warning("identity.outbox_full")
                return

    def _tell(self, payload: Members) -> None:
        """The peer has accepted a handshake under our present key, or will be asked again.  In a background thread."""
        peer = self._peers.find(payload["peer_id"])
        if self._outdated(payload):
            return                                   # a later rotation or certificate has deliveries of its own
        if peer is None or peer.trust_tier == "blocked" or self._core.clock.time() > float(payload["until"]):
            raise GiveUp("the peer is not what it was, or was away for too long")
        try:
            self._peers.introduce(peer, True if payload["loopback"] else None)
        except Refusal as refusal:
            if rules.final(refusal.detail):
                raise GiveUp(refusal.message) from None
            self._again(payload)
            return
        self._core.writer.run(lambda connection: connection.event("mesh.identity.told", peer_id=peer.peer_id, payload={
            "peer_id": peer.peer_id, "public_key": payload["public_key"]}))

    def _outdated(self, payload: Mapping[str, Any]) -> bool:
        """Is it of another key or certificate than those in use?"""
        return (payload["public_key"], payload.get("certificate", self._core.certificate)) != (
            self._core.identity.public_key_hex, self._core.certificate)

    def _again(self, payload: Members) -> None:
        """The delivery waits for its next turn: for weeks, where the outbox itself would give up within the hour."""
        failures = int(payload["failures"]) + 1

        def change(connection: WriteConnection) -> None:
            if not self._outdated(payload):
                connection.outbox(TELL, {**payload, "failures": failures}, key=payload["peer_id"],
                                  due_at=connection.clock.time() + rules.delay_seconds(failures))

        self._core.writer.run(change)


def build(core: Core, rooms: Rooms) -> NodeKey:
    """The room; a rotation whose event is missing is recorded in a moment."""
    return NodeKey(core, rooms)


def show(room: NodeKey, call: Call) -> Reply:
    """GET /mesh/identity: the same for every caller."""
    from ..invitations.rules import fingerprint
    identity = room._core.identity
    return Reply({"status": "ok", "node_id": identity.node_id, "display_name": identity.display_name,
                  "public_key": identity.public_key_hex, "did": identity.did, "fingerprint": fingerprint(identity.public_key_hex),
                  "certificate": room._core.certificate,
                  "successions": list(identity.successions), "node_succession": (identity.node_successions or (None,))[-1]})


def rotate(room: NodeKey, call: Call) -> Reply:
    """POST /mesh/identity/rotate."""
    made, succession = room.rotate(call.body.public_key.strip().lower(), call.body.reason.strip(), call.caller.loopback)
    return Reply({"status": "ok", "node_id": made.node_id, "did": made.did, "public_key": made.public_key_hex,
                  "previous_public_key": succession["old_public_key"], "succession": succession,
                  "node_succession": made.node_successions[-1]})
