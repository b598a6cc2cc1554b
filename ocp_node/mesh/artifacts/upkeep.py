"""What keeps the store in order: pins, what is over, what a full store gives up, and the sweep of bytes that nobody has any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.clock import instant_seconds, instant_text
from ...base.errors import Refusal
from . import rules, table
from .blobs import full

if TYPE_CHECKING:
    from ...core import Core
    from ...store.writer import WriteConnection
    from .room import Artifacts

Members = dict[str, Any]

FIRST_SECONDS = 5.0                  # after the start, when the first callers have been served
SWEEP_SECONDS = 600.0
FRESH_SECONDS = 15.0                 # between looks at bytes that were stored and are not recorded yet
GRACE_SECONDS = 60                   # an expired artifact is not shown; that its row goes can wait for whoever asks to purge
BATCH = 100
EVICTED_MAX = 1_000                  # in one change
PART_SECONDS = 86_400                # a transfer that was cut off can be resumed for so long


def pin(room: Artifacts, connection: WriteConnection, artifact_id: str, pinned: bool, reason: str) -> Members:
    """The artifact is kept for good, or again as long as its class says (OCP 0.1 pin).  What changes nothing is no event."""
    stored = table.find(connection, artifact_id, connection.clock.text())
    if stored is None:
        raise Refusal("not_found", "artifact not found")
    metadata = stored["metadata"]
    sync = metadata.get("artifact_sync") if isinstance(metadata.get("artifact_sync"), dict) else {}
    if sync.get("pin_reason") == reason and metadata.get("pinned") is pinned and sync.get("pinned") is pinned:
        return room.shown(stored)
    sync = {**sync, "pinned": pinned, "pin_updated_at": connection.clock.text(), "pin_reason": reason}
    metadata = {**metadata, "pinned": pinned, "artifact_sync": sync}
    kept = rules.retention(metadata, stored["policy"], pinned=pinned, now=connection.clock.time(), lenient=True,
                           remote_seconds_max=room.remote_seconds_max if _from_peer(metadata, room.node_id) else None)
    table.change(connection, artifact_id, metadata, pinned=pinned, retention_class=kept.retention_class, deadline_at=kept.deadline_at)
    connection.event("mesh.artifact.pin.updated", payload={"artifact_id": artifact_id, "digest": stored["digest"], "pinned": pinned,
                                                           "reason": reason})
    return room.shown({**stored, "metadata": metadata, "retention_class": kept.retention_class, "retention_deadline_at": kept.deadline_at})


def purge(connection: WriteConnection, sweeper: Sweeper, limit: int, until: str = "") -> Members:
    """At most `limit` artifacts whose time is over are gone, the oldest deadline first.  Gives the counts."""
    counts = {"purged": 0, "kept": 0, "freed_bytes": 0}
    for artifact_id, digest, retention_class, size, pinned in table.due(connection, until or connection.clock.text(), limit):
        if pinned:
            counts["kept"] += 1
            continue
        freed = _remove(connection, sweeper, artifact_id, digest, "retention_expired", retention_class)
        counts["purged"] += 1
        counts["freed_bytes"] += size if freed else 0
    return counts


def make_room(connection: WriteConnection, sweeper: Sweeper, size: int, bytes_max: int) -> None:
    """There is room for that many bytes more: what is over goes first, then unpinned ephemeral artifacts, then those of sessions,
    oldest first.  `Refusal` when that is not enough, and then nothing of it has happened."""
    over = table.weight(connection)[0] + size - bytes_max
    if over > 0:
        over -= purge(connection, sweeper, EVICTED_MAX)["freed_bytes"]
    left = EVICTED_MAX
    for retention_class in ("ephemeral", "session"):
        while over > 0 and left > 0 and (oldest := table.expendable(connection, retention_class, BATCH)):
            for artifact_id, digest, held in oldest:
                if over > 0:
                    freed = _remove(connection, sweeper, artifact_id, digest, "quota_exceeded", retention_class)
                    over, left = over - (held if freed else 0), left - 1
    if over > 0:
        raise full()


def delete(connection: WriteConnection, sweeper: Sweeper, artifact_id: str) -> int:
    """The artifact is gone at the operator's word.  Gives the bytes that became free."""
    stored = table.find(connection, artifact_id, connection.clock.text())
    if stored is None:
        raise Refusal("not_found", "artifact not found")
    if rules.pinned(stored["metadata"]):
        raise Refusal("invalid_state", "artifact is pinned")
    freed = _remove(connection, sweeper, artifact_id, stored["digest"], "operator_delete", stored["retention_class"])
    return int(stored["size_bytes"]) if freed else 0


def _remove(connection: WriteConnection, sweeper: Sweeper, artifact_id: str, digest: str, reason: str, retention_class: str) -> bool:
    """The artifact is gone, with an event.  True when its blob goes with it."""
    freed = table.drop(connection, artifact_id, digest)
    if freed:
        connection.after_commit(sweeper.ticker.wake)
    connection.event("mesh.artifact.purged", payload={"artifact_id": artifact_id, "digest": digest, "reason": reason,
                                                      "retention_class": retention_class})
    return freed


def _from_peer(metadata: Members, node_id: str) -> bool:
    """Did a peer publish it here, or is it a copy of what a peer has?"""
    source = metadata.get("source_peer_id")
    return bool(source) and source != node_id or bool(metadata.get("replicated_from_peer_id"))


class Sweeper:
    """The background loop of the store; `step` does what is due."""

    def __init__(self, core: Core, room: Artifacts) -> None:
        self._core = core
        self._room = room
        self._started = False
        self._orphans_sought = False
        self.ticker = core.tickers.add("mesh-artifacts", self.step)
        room.blobs.on_fresh = self.ticker.wake

    def step(self) -> float:
        """Seconds until something is due again."""
        if not self._started:
            self._started = True
            return FIRST_SECONDS
        held = self._room.blobs.sort_out(self._nobody_has)
        more = self._purge() | self._remove_unused() | self._forget_requests()
        if not self._orphans_sought:
            self._orphans_sought = True
            self._remove_orphans()
        self._room.blobs.drop_drafts(self._core.clock.time() - PART_SECONDS)
        return 0.05 if more else min(self._until_due(), FRESH_SECONDS if held else SWEEP_SECONDS)

    def _until_due(self) -> float:
        with self._core.reader.snapshot() as connection:
            deadline = table.next_deadline(connection)
        left = instant_seconds(deadline) + GRACE_SECONDS - self._core.clock.time() if deadline else SWEEP_SECONDS
        return max(1.0, min(left, SWEEP_SECONDS))

    def _purge(self) -> bool:
        """What expired a while ago is gone.  True when there is more of it."""
        until = instant_text(self._core.clock.time() - GRACE_SECONDS)
        with self._core.reader.snapshot() as connection:
            if not table.due(connection, until, 1):
                return False
        counts = self._core.writer.run(lambda connection: self._room.purge(connection, BATCH, until))
        return counts["purged"] == BATCH

    def _remove_unused(self) -> bool:
        """Files that no artifact has are gone.  True when there may be more."""
        with self._core.reader.snapshot() as connection:
            unused = table.unused(connection, BATCH)
        gone = [digest for digest in unused if self._room.blobs.remove(digest, self._nobody_has)]
        if gone:
            self._core.writer.run(lambda connection: table.forget(connection, gone))
        return len(gone) == BATCH

    def _nobody_has(self, digest: str) -> bool:
        with self._core.reader.snapshot() as connection:
            return not table.counted(connection, digest)

    def _forget_requests(self) -> bool:
        before = int(self._core.clock.time()) - 2 * 86_400
        with self._core.reader.snapshot() as connection:
            if not table.requests_before(connection, before):
                return False
        return self._core.writer.run(lambda connection: table.prune_requests(connection, before, BATCH)) == BATCH

    def _remove_orphans(self) -> None:
        """Files of contents that were stored and never recorded, before the node was stopped or cut off, are gone."""
        self._room.blobs.drop_abandoned()
        gone = sum(self._room.blobs.remove(digest, self._nobody_has) for digest in self._room.blobs.every())
        if gone:
            self._core.log.info("artifacts.orphans_removed", count=gone)
