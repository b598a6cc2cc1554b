"""The nodes this one knows (OCP 0.1 peers): kept in memory as stored, latest seen first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..lists import bounded
from ..parts import optional
from ..redaction import redacted
from . import peer as peers
from . import rules, table
from .peer import Members, Peer, peer_json

if TYPE_CHECKING:
    from ...store.writer import WriteConnection
    from .connecting import Connecting, Wanted
    from .everyone import Everyone
    from .pins import Said
    from .syncing import Syncing

__all__ = ["Peer", "Peers", "build", "peer_json"]


class Peers:
    """The peers in memory.  Any thread may read; changes come from the writer and are seen after their commit."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._profile = rooms["mesh.device_profile"]
        with core.reader.snapshot() as connection:
            self._peers: dict[str, Peer] = {peer.peer_id: peer for peer in table.every(connection)}
        self._version = 0
        self._sorted: tuple[int, list[Peer]] = (-1, [])

    # --- reading

    def find(self, peer_id: str) -> Peer | None:
        """The peer, or None."""
        return self._peers.get(peer_id)

    def known(self, peer_id: str) -> Peer:
        """The peer; `Refusal("not_found")` when there is none."""
        found = self._peers.get(peer_id)
        if found is None:
            raise Refusal("not_found", "peer not found")
        return found

    def all(self) -> list[Peer]:
        """Every peer, latest seen first; among those of one second the one that changed last."""
        version, kept = self._version, self._sorted
        if kept[0] != version:
            newest_change_first = list(self._peers.values())[::-1]
            kept = (version, sorted(newest_change_first, key=lambda peer: (peer.last_seen_at, peer.updated_at), reverse=True))
            self._sorted = kept                    # a change meanwhile has another version, and sorts again
        return kept[1]

    def may_touch(self, tier: str, data_class: str) -> bool:
        """May a peer of this tier touch data of this class?"""
        return rules.may_touch(tier, data_class)

    def runs_code(self, peer: Peer | None, from_loopback: bool) -> bool:
        """May code that this peer sends run here?  The one place that decides it."""
        return rules.runs_code(peer, self._core.settings.allow_remote_execution, from_loopback)

    def json(self, peer: Peer) -> Members:
        """The peer as it is shown to operators."""
        return peer_json(peer, self._profile.custody())

    def advisory(self, peer: Peer, source: str) -> Members:
        """What an operator should know of the peer after this contact."""
        return peers.advisory(peer, source, self._profile.custody())

    def listed(self, limit: int) -> Members:
        """`GET /mesh/peers` as operators see it; also a part of the control deck's state."""
        shown = self.all()[:limit]
        node_id = self._core.identity.node_id
        return {"organism_id": node_id, "peer_id": node_id, "count": len(shown), "peers": [self.json(peer) for peer in shown],
                "health": rules.health(shown), "generated_at": self._core.clock.text()}

    def redacted(self, shown: list[Members]) -> list[Members]:
        """Peers as callers see them who are neither on loopback nor operators."""
        return redacted(shown)

    # --- calling peers: these block, for long requests and tickers

    def connect(self, wanted: Wanted) -> Members:
        """The node that `wanted` names is a peer, and its log read on; what was exchanged (see `connecting.py`)."""
        return self._connecting().connect(wanted)

    def sync(self, peer_id: str, limit: int = 50, refresh_manifest: bool = False, loopback: bool | None = None) -> Members:
        """What the peer's log had after our cursor is stored, and how the peer is now (see `syncing.py`)."""
        return self._syncing().sync(peer_id, bounded(limit), refresh_manifest, loopback)

    def introduce(self, peer: Peer, loopback: bool | None = None) -> None:
        """The peer has accepted a handshake under this node's present key; `Refusal` when it did not."""
        self._connecting().introduce(peer, loopback)

    def follow(self, peer: Peer, url: str, public_key: str, timeout: float, loopback: bool | None, certificate: str = "") -> Peer:
        """The peer, to which this key is pinned now: its own successions lead there from the key that was.

        `Refusal("key_changed")` when they do not, and for a blocked peer, which is not even asked.  `certificate` stands for the
        peer's pin.
        """
        from .successors import follow
        return follow(self._core, self._rooms, peer, url, public_key, timeout, loopback, certificate)

    def certificate_at(self, url: str) -> str:
        """The fingerprint pinned for the peer that was reached last at the origin of this URL, "" for any other place."""
        from . import pins
        return pins.at(self.all(), url)

    def _connecting(self) -> Connecting:
        from .connecting import Connecting
        return Connecting(self._core, self._rooms, self._syncing())

    def _syncing(self) -> Syncing:
        from .syncing import Syncing
        return Syncing(self._core, self._rooms)

    def everyone(self) -> Everyone:
        """The way to connect to all nodes nearby."""
        from .everyone import Everyone
        return Everyone(self._core, self._rooms)

    # --- changing, inside a change

    def current(self, connection: WriteConnection, peer_id: str) -> Peer | None:
        """The peer as it stands in this transaction; memory may be a moment behind."""
        return table.find(connection, peer_id)

    def put(self, connection: WriteConnection, peer: Peer) -> Peer:
        """The peer is stored as it is here, and remembered after the commit."""
        made = peers.made(peers.stored(peer))
        table.put(connection, made)
        connection.after_commit(lambda: self._remember(made))
        return made

    def set_metadata(self, connection: WriteConnection, peer_id: str, changes: Mapping[str, Any]) -> Peer | None:
        """The peer's metadata with these members replaced; None when there is no such peer."""
        current = table.find(connection, peer_id)
        if current is None:
            return None
        return self.put(connection, current._replace(metadata={**current.metadata, **changes},
                                                     updated_at=connection.clock.text()))

    def succeed(self, connection: WriteConnection, peer: Peer, public_key: str, via: str) -> Peer:
        """The peer with another key pinned, to which its successions were seen to lead; told, and stored by the caller."""
        connection.event("mesh.peer.key_succeeded", peer_id=peer.peer_id, payload={
            "public_key": public_key, "previous_public_key": peer.public_key, "trust_tier": peer.trust_tier, "via": via})
        return rules.succeeded(peer, public_key, connection.clock.text())

    def heard(self, connection: WriteConnection, peer_id: str, metadata: Members, word: Said) -> Members:
        """The peer's metadata after what it said of its certificate in a verified handshake; told when that changed."""
        from . import pins
        kept = pins.heard(metadata, word)
        before, after = (each.get(peers.CERTIFICATE_PIN, {}).get("sha256", "") for each in (metadata, kept))
        if before != after:
            connection.event("mesh.peer.certificate_changed", peer_id=peer_id, payload={
                "certificate": after, "previous_certificate": before})
        return kept

    def unask(self, connection: WriteConnection, peer_id: str, reason: str) -> None:
        """The operator is not asked any more whether to admit the peer."""
        approvals = optional(self._rooms, "mesh.approvals")
        if approvals is not None:
            approvals.withdraw(connection, rules.admission_question(peer_id), reason)

    def drop(self, connection: WriteConnection, peer_id: str) -> None:
        """The peer is forgotten."""
        table.drop(connection, peer_id)
        connection.after_commit(lambda: self._forget(peer_id))

    def _remember(self, peer: Peer) -> None:
        self._peers.pop(peer.peer_id, None)        # to the end: the latest change
        self._peers[peer.peer_id] = peer
        self._version += 1

    def _forget(self, peer_id: str) -> None:
        self._peers.pop(peer_id, None)
        self._version += 1


def build(core: Core, rooms: Rooms) -> Peers:
    """The room, with every stored peer."""
    return Peers(core, rooms)


def list_all(room: Peers, call: Call) -> Reply:
    """GET /mesh/peers."""
    listed = room.listed(bounded(call.query.limit))
    return Reply(listed if call.caller.trusted_view else redacted(listed))


def trust(room: Peers, call: Call) -> Write:
    """POST /mesh/peers/{peer_id}/trust: the operator's word on a peer."""
    peer_id, wanted = call.path["peer_id"], call.body.document

    def change(connection: WriteConnection) -> Members:
        before = room.current(connection, peer_id)
        if before is None:
            raise Refusal("not_found", "peer not found")
        changes = rules.trust_changes(before, wanted)
        metadata = {**before.metadata, "admitted": True} if "trust_tier" in changes else before.metadata
        if "public_key" in changes:              # whoever comes next has nothing to do with the keys before
            metadata = {name: value for name, value in metadata.items() if name not in rules.OF_THE_KEY}
        if before.status == rules.PENDING and changes.keys() & {"trust_tier", "public_key"}:
            room.unask(connection, peer_id, "peer_decided")
        peer = room.put(connection, before._replace(**changes, metadata=metadata, updated_at=connection.clock.text()))
        connection.event("mesh.peer.trust_changed", peer_id=peer_id, payload={
            "trust_tier": peer.trust_tier, "previous_trust_tier": before.trust_tier, "remote_execution": peer.remote_execution,
            "key_reset": bool(before.public_key and not peer.public_key)})
        return {"status": "ok", "peer": room.json(peer)}

    return Write(change, Reply)


def connect(room: Peers, call: Call) -> Reply:
    """POST /mesh/peers/connect."""
    from . import pins
    from .connecting import Wanted
    from .everyone import compacted
    body = call.body
    answer = room.connect(Wanted(body.base_url, body.peer_id.strip(), body.trust_tier, body.timeout, body.refresh_manifest,
                                 call.caller.loopback, certificate=pins.fingerprint(body.certificate)))
    return Reply(compacted(answer, call.query.compact))


def sync(room: Peers, call: Call) -> Reply:
    """POST /mesh/peers/sync."""
    body = call.body
    return Reply(room.sync(body.peer_id.strip(), body.limit, body.refresh_manifest, call.caller.loopback))


def connect_all(room: Peers, call: Call) -> Reply:
    """POST /mesh/peers/connect-all."""
    return Reply(room.everyone().connect(call.body, call.caller.loopback))
