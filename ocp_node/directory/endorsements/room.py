"""Official status: a federation's endorsement of a registration, judged by the federation root that the operator has given.

Without a valid root nothing is official here, and the directory says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.buckets import source_key
from ...base.clock import instant_text
from ...base.errors import Malformed, Refusal
from ...contract.route import Call, Reply, Write
from ...crypto import canonical
from ...store import facts
from .. import passports
from .. import shape as shapes
from ..admission import limited
from ..shape import MICROSECONDS, instant_us, is_node_id
from . import rules, table

if TYPE_CHECKING:
    from ...core import Core, Rooms
    from ...store.writer import WriteConnection
    from ..catalogue.table import Shown

ROOT_BYTES_MAX = 4 << 20
NO_ROOT_RETRY_SECONDS = 3600
RETRY_SECONDS = 5                  # a registration is usually on its way; then 30, 120, 360
JUDGED_US = 60 * MICROSECONDS
JUDGED_MAX = 4_096
ROOT_FACT = "directory.federation_root"


def build(core: Core, rooms: Rooms) -> Endorsements:
    """The endorsements of this node's directory, with the federation root if there is a valid one."""
    room = Endorsements(core, rooms)
    room.load(core.settings.directory_federation_root)
    return room


class Endorsements:
    """Judges and keeps endorsements."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self.root: rules.Root | None = None
        self.root_error = "no federation root is configured"
        # endorsements as JSON text: when they were verified last, and how that ended
        self._judged: dict[str, tuple[int, bool]] = {}

    @property
    def directory(self) -> Any:
        return self._rooms["directory"]

    @property
    def revocations(self) -> Any:
        return self._rooms["directory.revocations"]

    def now_us(self) -> int:
        return int(self.directory.admission.now_us())

    # --- the root

    def load(self, path: str) -> None:
        """The root of the file is active, or `root_error` says why none is.

        A pack never goes back: an older version, or another pack under the same version, is not taken.
        """
        if not path:
            return
        try:
            raw = Path(path).read_bytes()
            if len(raw) > ROOT_BYTES_MAX:
                raise Malformed(code="invalid-artifact")
            made = rules.root(shapes.parse(raw))
            self._keep_version(made)
        except (OSError, Malformed, Refusal) as fault:
            self.root_error = f"the federation root {path} is not valid: {_why(fault)}"
            self._core.log.error("directory.federation_root_refused", path=path, error=_why(fault))
            return
        self.root, self.root_error = made, ""

    def _keep_version(self, made: rules.Root) -> None:
        digest = canonical.sha256_text(canonical.jcs(made.document))
        with self._core.reader.snapshot() as connection:
            stored = facts.get(connection, ROOT_FACT)
        if stored:
            federation_id, version, known = json.loads(stored)
            if federation_id == made.federation_id and (made.version < version or made.version == version and digest != known):
                raise Refusal("older-pack", f"version {made.version} was replaced by version {version}, or is another pack")
            if federation_id == made.federation_id and digest == known:
                return
        text = jsontext.ascii_text([made.federation_id, made.version, digest])
        self._core.writer.submit(lambda connection: facts.put(connection, ROOT_FACT, text), lambda result, fault: None)

    def active(self) -> rules.Root:
        """The root, or Refusal `no-federation-root`."""
        if self.root is None:
            raise limited("no-federation-root", NO_ROOT_RETRY_SECONDS)
        return self.root

    # --- endorsements

    def check(self, value: Any, node_id: str, capability_id: str) -> dict[str, Any]:
        """An endorsement of this very registration by the federation."""
        endorsement = rules.read(value, rules.ENDORSEMENT, self.directory.policy.shape)
        if endorsement["node_id"] != node_id:
            raise Refusal("node-id-mismatch")
        if endorsement["capability_id"] != capability_id:
            raise Refusal("capability-id-mismatch")
        rules.check_endorsement(endorsement, self.active(), self.now_us())
        return endorsement

    def store(self, connection: WriteConnection, endorsement: dict[str, Any]) -> None:
        """The registration is official.  Refusal when it was withdrawn, is older than what is known, or nothing is registered."""
        node_id, capability_id, now_us = endorsement["node_id"], endorsement["capability_id"], self.now_us()
        if self.revocations.endorsement_revoked(connection, endorsement["endorsement_id"], endorsement["endorser_subject_ref"]):
            raise Refusal("revoked")
        if not table.registered(connection, node_id, capability_id, now_us):
            raise Refusal("scope-entry-missing", detail={"retryable": True, "retry_after_seconds": RETRY_SECONDS})
        known = table.issued_us(connection, node_id, capability_id)
        if known is not None:
            before = json.loads(known)
            if before == endorsement:
                return
            if instant_us(before["issued_at"]) > instant_us(endorsement["issued_at"]):
                raise Refusal("endorsement-older")
        table.put(connection, endorsement, instant_us(endorsement["expires_at"]), now_us, jsontext.compact(endorsement).decode())
        connection.event("capability/endorsed", surface="directory", subject=node_id,
                         payload={"capability_id": capability_id, "endorsement_id": endorsement["endorsement_id"][:256]})

    def shown(self, row: Shown, now_us: int) -> dict[str, Any] | None:
        """The endorsement that makes a registration official today, None when none does."""
        if row.endorsement_json is None or self.root is None or (row.endorsement_expires_us or 0) <= now_us:
            return None
        endorsement = dict(json.loads(row.endorsement_json))
        at, holds = self._judged.get(row.endorsement_json, (0, False))
        if not 0 <= now_us - at < JUDGED_US:
            holds = rules.official(endorsement, self.root, now_us)
            if len(self._judged) >= JUDGED_MAX:
                self._judged.clear()
            self._judged[row.endorsement_json] = (now_us, holds)
        return endorsement if holds else None

    def checked_revocation(self, value: Any) -> dict[str, Any]:
        """A withdrawal by the federation."""
        revocation = rules.read(value, rules.REVOCATION, self.directory.policy.shape)
        rules.check_revocation(revocation, self.active(), self.now_us())
        return revocation

    def check_known(self, connection: Any, revocation: dict[str, Any]) -> None:
        """The endorsement that is withdrawn is one of this endorser's, known here."""
        if not table.known(connection, revocation["endorsement_id"], revocation["node_id"], revocation["capability_id"],
                           revocation["revoker_subject_ref"]):
            raise Refusal("unknown-endorsement")

    def figures(self) -> dict[str, Any]:
        """The root in force."""
        root = self.root
        return {"federation-id": root.federation_id if root else None, "pack-version": root.version if root else None,
                "error": self.root_error, "at": instant_text(self.now_us() // MICROSECONDS)}


def _why(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return fault.strerror or "it cannot be read"
    if isinstance(fault, Malformed):
        return ", ".join(f"{problem.pointer()} {problem.code}" for problem in fault.problems[:5]) or fault.code
    return str(fault)


def endorse(room: Endorsements, call: Call) -> Write:
    """PUT /cap/{node_id}/{capability_id}/endorsement"""
    node_id, capability_id = call.path["node_id"], call.path["capability_id"]
    directory = room.directory
    try:
        if not is_node_id(node_id):
            raise Refusal("invalid-node-id")
        if list(passports.capability_id(capability_id, directory.policy.shape)):
            raise Refusal("invalid-capability-id")
        endorsement = room.check(shapes.parse(call.raw), node_id, capability_id)
    except Refusal as refusal:
        raise directory.refused(refusal, node_id) from None
    source = source_key(call.caller.address)

    def change(connection: WriteConnection) -> None:
        try:
            directory.admission.look(node_id, source, False)
            room.store(connection, endorsement)
            directory.admission.charge(node_id, source, False)
        except Refusal as refusal:
            raise directory.refused(refusal, node_id) from None

    body = {"status": "endorsed", "node_id": node_id, "capability_id": capability_id,
            "endorsement_id": endorsement["endorsement_id"],
            "federation_id": endorsement["federation_id"], "expires_at": endorsement["expires_at"]}
    return Write(change, lambda _: Reply(body, 200))
