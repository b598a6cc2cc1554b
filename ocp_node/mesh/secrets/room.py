"""Secrets of this node: sealed in the database, handed to jobs that may have them, never shown (OCP 0.1 secrets).

Jobs take them inside a change or a snapshot:

    found = secrets.find(connection, scope, name, requester=job.origin_peer_id)      # value, secret_id, digest; or None
    secrets.deliver(connection, scope, name, requester=...)                          # the value alone
    secrets.granted(connection, scope, name, requester=...)                          # whether there is one

and keep their own inline values through `secrets.keyring.seal(value, keyring.JOB, job_id, variable)`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...base.errors import Busy, Refusal, Unusable
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...crypto.boxes import CannotOpen
from ..audit import Audit
from ..lists import bounded
from ..operators import require_operator
from . import keyring as keyrings
from . import rules, table
from .keyring import Keyring
from .rules import Members, Secret, Wanted

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

__all__ = ["Found", "Secrets", "build"]

LIST_USUAL = 25
KEPT_MAX = 10_000
SEALED_MAX = 200                     # values from before, sealed in one change


class Found(NamedTuple):
    """A secret for a run."""
    value: str
    secret_id: str
    digest: str


class Secrets:
    """Seals and opens."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._node_id = core.identity.node_id
        self.keyring = Keyring(Path(core.settings.secrets_key_file), core.ids)
        self.audit = Audit(core)

    # --- for runs

    def find(self, connection: Any, scope: str, name: str, requester: str = "") -> Found | None:
        """The secret, if there is one that jobs of the node `requester` may have ("" and our own id are this node)."""
        known = table.find(connection, scope, name)
        if known is None or not rules.may_use(known, requester, self._node_id):
            return None
        return Found(self._open(known), rules.secret_id(scope, name), known.value_digest)

    def deliver(self, connection: Any, scope: str, name: str, requester: str = "") -> str | None:
        """The value alone."""
        found = self.find(connection, scope, name, requester)
        return found.value if found is not None else None

    def granted(self, connection: Any, scope: str, name: str, requester: str = "") -> bool:
        """Is there such a secret, and may jobs of the node `requester` have it?"""
        known = table.find(connection, scope, name)
        return known is not None and rules.may_use(known, requester, self._node_id)

    def digest(self, value: str, scope: str = "", name: str = "") -> str:
        """What may be told of a value that is handed to a run."""
        return self.keyring.digest(value, scope, name)

    def _open(self, secret: Secret) -> str:
        try:
            return self.keyring.open(secret.value, keyrings.SECRET, secret.scope, secret.name)
        except CannotOpen:
            raise Refusal("corrupted", "stored secret cannot be opened with this node's key") from None

    # --- storing

    def sealed(self, wanted: Wanted, now: str) -> Secret:
        """The secret as it will be stored; it costs too much for the loop."""
        names = wanted.scope, wanted.name
        return Secret(*names, self.keyring.seal(wanted.value, keyrings.SECRET, *names), self.keyring.digest(wanted.value, *names),
                      wanted.metadata, now, now)

    def put(self, connection: WriteConnection, secret: Secret) -> Members:
        """The sealed secret is stored, with its event; inside a change."""
        known = table.find(connection, secret.scope, secret.name)
        if known is None and table.count(connection) >= KEPT_MAX:
            raise Busy("the secret store", retry_after_seconds=3600)
        stored = secret._replace(created_at=known.created_at) if known is not None else secret
        table.put(connection, stored)
        shown = rules.secret_json(stored)
        connection.event("mesh.secret.stored", peer_id=self._node_id,
                         payload={"secret_id": shown["id"], "scope": stored.scope, "name": stored.name})
        return shown

    def listed(self, limit: int, scope: str = "") -> Members:
        """The secrets, latest change first, without values."""
        with self._core.reader.snapshot() as connection:
            found = table.latest(connection, limit, scope)
        return {"count": len(found), "secrets": [rules.secret_json(each) for each in found]}

    # --- at start

    def check(self) -> None:
        """The key in the file is nobody else's and opens what is stored, which is all sealed.  `Unusable` otherwise."""
        if self.keyring.path.exists():
            self.keyring.load()
        with self._core.reader.snapshot() as connection:
            sealed, clear = table.any_sealed(connection), bool(table.clear(connection, 1))
        if sealed is not None:
            self._check_opens(sealed)
        while clear:
            clear = self._core.writer.run(self._seal_clear)

    def _check_opens(self, secret: Secret) -> None:
        try:
            self.keyring.load()
            self._open(secret)
        except Unusable as fault:
            raise Unusable(f"{fault}; stored secrets need it: {_WAY_OUT.format(self.keyring.path)}") from None
        except Refusal:
            raise Unusable(f"the key in {self.keyring.path} does not open the stored secrets: "
                           + _WAY_OUT.format(self.keyring.path)) from None

    def _seal_clear(self, connection: WriteConnection) -> bool:
        """Values from before values were sealed are sealed.  True when there are more."""
        found = table.clear(connection, SEALED_MAX)
        for old in found:
            secret = self.sealed(Wanted(old.scope, old.name, old.value, old.metadata), old.updated_at)
            table.put(connection, secret._replace(created_at=old.created_at))
        return len(found) == SEALED_MAX


_WAY_OUT = ("put the right key back as {} (it is in backups of the identity folder), or name it with secrets_key_file; "
            "to give the stored secrets up, delete the rows of the table mesh_secret; nothing was changed")


def build(core: Core, rooms: Rooms) -> Secrets:
    """The room, whose key opens what is stored."""
    room = Secrets(core)
    room.check()
    return room


def list_all(room: Secrets, call: Call) -> Reply:
    """GET /mesh/secrets: names and digests tell enough to be for operators, or callers on this machine."""
    if not (call.caller.trusted_view or room._core.settings.secrets_list_public):
        require_operator(room._core, call)
    return Reply(room.listed(bounded(call.query.limit, LIST_USUAL), call.query.scope.strip()))


def put(room: Secrets, call: Call) -> Write:
    """POST /mesh/secrets/put."""
    secret = room.sealed(rules.wanted(call.body.document), room._core.clock.text())

    def change(connection: WriteConnection) -> Members:
        made = room.put(connection, secret)
        room.audit.note(connection, call, made["id"])
        return {"status": "ok", "secret": made}

    return Write(change, Reply)
