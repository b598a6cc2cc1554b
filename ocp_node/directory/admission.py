"""The way of an artifact into the directory: the same for a node that brings its own, a mirror that pulls it, and a loaded dump.

What needs no database is settled first (`verified`); what is decided against the stored state is one change in the one writer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.buckets import Buckets
from ..base.errors import Refusal
from . import artifact, rules, table
from .artifact import MICROSECONDS, Advertisement

if TYPE_CHECKING:
    from ..base.clock import Clock
    from ..base.log import Log
    from ..store.writer import WriteConnection
    from .rules import Known, Policy

FULL_RETRY_SECONDS = 60
RECOUNT_US = MICROSECONDS         # between two counts of the live nodes, and longer where counting is long:
RECOUNT_US_PER_NODE = 10          # a count costs a tenth of a microsecond for each node, so a hundredth of the time at most
TOPIC = "directory.feed"


class Stored(NamedTuple):
    """What was decided about one artifact: it is the node's newest."""
    advertisement: Advertisement
    stored_us: int
    created: bool            # no artifact of the node was served before
    position: int


class Admission:
    """Decides what enters.  `noted` hears, on the loop, of every stored artifact's position."""

    def __init__(self, policy: Policy, clock: Clock, log: Log, noted: Callable[[Stored], None]) -> None:
        self.policy = policy
        self._clock = clock
        self._log = log
        self._noted = noted
        self._publishers = Buckets(*policy.publisher_writes, clock.monotonic)
        self._newcomers = Buckets(*policy.new_nodes, clock.monotonic)
        self._counted = (0, 0)              # when nodes were last counted, and how many were live; new ones are added
        self.equivocations = 0

    @property
    def buckets(self) -> int:
        """How many nodes and sources are counted."""
        return len(self._publishers) + len(self._newcomers)

    def now_us(self) -> int:
        return int(self._clock.time() * MICROSECONDS)

    def verified(self, raw: bytes, node_id: str) -> Advertisement:
        """The artifact in these bytes: well-formed, of the named node, signed by it, of the present, welcome here."""
        submitted = artifact.read(raw, self.policy.shape)
        rules.named(submitted, node_id)
        return self.checked(submitted)

    def checked(self, submitted: Advertisement) -> Advertisement:
        """As `verified`, for an artifact that came without a path."""
        artifact.verify(submitted)
        rules.admissible(submitted, self.now_us(), self.policy)
        submitted.prepare()
        return submitted

    def change(self, submitted: Advertisement, source: str, origin: str = "put") -> Callable[[WriteConnection], Stored]:
        """The change that stores a verified artifact if it is newer.

        `source` is charged for a node that was never seen; "" is no source (a mirror, a dump), which leaves a part of the
        room to nodes that come themselves.  Only what is accepted is charged: artifacts are public, and whoever replays
        those of another node must not use up that node's share.
        """
        def change(connection: WriteConnection) -> Stored:
            now_us = self.now_us()
            known = table.known(connection, submitted.node_id)
            how = rules.match(submitted, known)
            if known is not None and how != "newer":
                return self._not_newer(submitted, known, how, now_us)
            live = known is not None and known.live(now_us)
            self._room_for(connection, submitted, known, live, source, now_us)
            held = rules.held_until_us(submitted.expires_us, now_us, self.policy)
            position = table.put(connection, submitted, now_us, held, rules.retain_until_us(submitted.expires_us, now_us, known),
                                 known is None)
            stored = Stored(submitted, now_us, not live, position)
            self._follow(connection, stored, origin)
            return stored

        return change

    def _not_newer(self, submitted: Advertisement, known: Known, how: str, now_us: int) -> Stored:
        if how == "different":
            self.equivocations += 1
            self._log.warning("advertisement/equivocation", peer=submitted.node_id, sequence_no=submitted.sequence_no,
                              kept=known.digest, refused=submitted.digest)
        if how == "identical" and self.policy.equal_identical == "ok" and known.live(now_us):
            return Stored(submitted, known.stored_us, False, 0)
        raise rules.stale(submitted, known, how, now_us)

    def _room_for(self, connection: WriteConnection, submitted: Advertisement, known: Known | None, live: bool, source: str,
                  now_us: int) -> None:
        """Buckets and room, all looked at before anything is taken."""
        self.look(submitted.node_id, source, known is None)
        if not live:
            self._capacity(connection, known, source, now_us)
        self.charge(submitted.node_id, source, known is None)

    def look(self, node_id: str, source: str, new: bool) -> None:
        """Node and source have something left of their shares, or Refusal `publisher-rate-limit` or `identity-rate-limit`.

        In a change only, as `charge`: one thread at a time.
        """
        if not source:
            return
        wait = self._publishers.wait_seconds(node_id)
        if wait:
            raise limited("publisher-rate-limit", wait)
        wait = self._newcomers.wait_seconds(source) if new else 0.0
        if wait:
            raise limited("identity-rate-limit", wait)

    def charge(self, node_id: str, source: str, new: bool) -> None:
        """What was accepted is taken from the shares."""
        if source:
            self._publishers.take(node_id)
            if new:
                self._newcomers.take(source)

    def _capacity(self, connection: WriteConnection, known: Known | None, source: str, now_us: int) -> None:
        """Room for one more node, or Refusal `directory-full`.  Nodes are counted only when the rows alone would be too many."""
        most = self.policy.nodes
        if not most:
            return
        share = most if source else int(most * rules.MIRROR_SHARE)
        state = table.state(connection)
        crowded = known is None and state.highwaters >= most * rules.HIGHWATERS_PER_NODE
        if not crowded and state.nodes < share:
            return
        if crowded or self._live(connection, now_us) >= share:
            raise limited("directory-full", FULL_RETRY_SECONDS)
        self._counted = (self._counted[0], self._counted[1] + 1)

    def _live(self, connection: WriteConnection, now_us: int) -> int:
        """At least as many nodes as are served; exact when just counted."""
        at, count = self._counted
        if not 0 <= now_us - at < max(RECOUNT_US, count * RECOUNT_US_PER_NODE):
            count = table.live(connection, now_us)
            self._counted = (now_us, count)
        return count

    def _follow(self, connection: WriteConnection, stored: Stored, origin: str) -> None:
        """What the commit is followed by: readers that wait, the room's own memory, and an event when a node appears.

        A renewal is no event: of ten thousand nodes that would be a row every few milliseconds, to tell that nothing is new.
        """
        it = stored.advertisement
        if stored.created:
            connection.event("advertisement/published", surface="directory", subject=it.node_id,
                             payload={"advertisement/id": it.advertisement_id, "sequence/no": it.sequence_no,
                                      "expires-at": it.expires_at, "position": stored.position, "origin": origin})
        connection.after_commit(lambda: self._noted(stored))
        connection.stir(TOPIC)


def limited(reason: str, wait_seconds: float, detail: dict[str, Any] | None = None) -> Refusal:
    """A refusal that says when to come back."""
    return Refusal(reason, detail=detail, headers=(("Retry-After", str(rules.whole_seconds(wait_seconds))),))
