"""Signs of life: ours to those who asked, theirs as a deadline (OSCP 2.0, heartbeat)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Refusal
from ...contract.route import Call, Write
from ...core import Core, Rooms
from .. import messages, times
from ..parties.records import Party, Sender
from ..parties.rules import afresh, tolerated
from . import rules
from .records import Heartbeat

if TYPE_CHECKING:
    from ..calls.room import Calls
    from ..parties.room import Parties

STORED_SECONDS = 5.0               # a deadline is written so often at most; every change of state at once
AFTER_START_SECONDS = 30.0         # nobody is called offline sooner after a start


class Heartbeats:
    """Keeps the deadlines of all parties and sends our heartbeats; not queued and not repeated, the next one follows on time."""

    def __init__(self, core: Core, parties: Parties, calls: Calls) -> None:
        self.core = core
        self.parties = parties
        self.calls = calls
        self._next: dict[str, float] = {}             # when our next heartbeat is due, monotonic
        self._sending: set[str] = set()
        self._started = core.clock.time()
        self._ticker = core.tickers.add("oscp-heartbeats", self.step)
        core.feed.listen(self._stirred)

    @property
    def _recovers(self) -> bool:
        """A heartbeat ends a party's offline time; else a handshake does."""
        return bool(self.parties.settings.oscp_recover_on == "heartbeat")

    def _stirred(self, events: list[Any]) -> None:
        if any(event.event_type.startswith("oscp.peer.") for event in events):
            self._ticker.wake()

    # --- theirs

    def beat(self, connection: Any, party: Party, at: float) -> None:
        """The party lives until `at`."""
        now = self.core.clock.time()
        after = rules.beaten(party, rules.deadline(at, now), now, self._recovers)
        awaited = after.acknowledged_at != party.acknowledged_at
        if awaited or after.liveness != party.liveness or after.online_after != party.online_after or now - party.last_in >= STORED_SECONDS:
            self.parties.put(connection, after)
        else:                                          # in memory only: an SD card must survive us
            connection.after_commit(lambda: self.parties.by_id.__setitem__(after.id, after))
        if after.liveness != party.liveness:
            connection.event("oscp.peer.online", surface="oscp", subject=party.id, payload={"name": party.name})
        if awaited:
            connection.event("oscp.peer.awaited", surface="oscp", subject=party.id, payload={"name": party.name})
        connection.after_commit(self._ticker.wake)

    def step(self) -> float | None:
        """Deadlines that passed have taken effect, heartbeats that are due are sent; gives the seconds until the next of either."""
        wait = min(self._watch(), self._send_due())
        return None if math.isinf(wait) else max(0.01, wait)

    def _watch(self) -> float:
        now, wait = self.core.clock.time(), math.inf
        for party in self.parties.all():
            if party.state not in ("REGISTERED", "AUTH_FAILED"):
                continue
            state, left = rules.next_state(party, now)
            if state != party.liveness and not (state == "OFFLINE" and now < self._started + AFTER_START_SECONDS
                                                and party.last_in < self._started):
                self.parties.change(party.id, self._changed)
            elif state != party.liveness:
                left = self._started + AFTER_START_SECONDS - now
            wait = min(wait, left)
        return wait

    def _changed(self, connection: Any, party: Party) -> None:
        state, _ = rules.next_state(party, self.core.clock.time())
        if state == party.liveness:
            return
        back = state == "ONLINE" and party.liveness == "OFFLINE" and self._recovers
        self.parties.put(connection, (afresh(party) if back else party)._replace(liveness=state, online_after=0.0))
        connection.event(f"oscp.peer.{state.lower()}", surface="oscp", subject=party.id, payload={"name": party.name})

    # --- ours

    def _send_due(self) -> float:
        now, wait = self.core.clock.monotonic(), math.inf
        for party in self.parties.all():
            if party.state != "REGISTERED" or not party.required_interval:
                self._next.pop(party.id, None)
                continue
            due = self._next.setdefault(party.id, now)
            if due <= now and party.id not in self._sending:
                chance = int.from_bytes(self.core.ids.bytes(2), "big") / 65_536
                due = self._next[party.id] = now + rules.interval(party.required_interval, chance)
                self._hand_over(party)
            wait = min(wait, max(0.0, due - now))
        return wait

    def _hand_over(self, party: Party) -> None:
        self._sending.add(party.id)
        try:
            assert self.core.edge is not None
            self.core.edge.app.workers.submit(lambda: self._send(party))
        except Refusal:                                # every worker is busy: the next one follows on time
            self._sending.discard(party.id)

    def _send(self, party: Party) -> None:
        try:
            naive = party.naive_utc_offset_minutes if party.dialect == "pyoscp" else None
            at = times.text(rules.our_deadline(party.required_interval, self.core.clock.time()), naive_offset_minutes=naive)
            body = jsontext.compact({"offline_mode_at": at}).decode()
            status, _ = self.calls.call(party, "heartbeat", "POST", body, self.core.ids.uuid())
            self.parties.change(party.id, lambda connection, known: self._sent(connection, known, status))
        finally:
            self._sending.discard(party.id)

    def _sent(self, connection: Any, party: Party, status: int) -> None:
        """A refused token is a fact to act on; a lost heartbeat is not worth a write unless it is news."""
        if status in (401, 403) and party.state == "REGISTERED":
            self.parties.put(connection, party._replace(state="AUTH_FAILED", last_error=f"heartbeat: {status}"))
            connection.event("oscp.peer.auth_failed", surface="oscp", subject=party.id, payload={"name": party.name})
        elif 200 <= status < 300 and self.core.clock.time() - party.last_out >= 60.0:
            self.parties.put(connection, party._replace(last_out=self.core.clock.time()))


def build(core: Core, rooms: Rooms) -> Heartbeats:
    return Heartbeats(core, rooms["oscp.parties"], rooms["oscp.calls"])


def beat(room: Heartbeats, call: Call) -> Write:
    """POST heartbeat: the sender lives until then."""
    notes: list[str] = []

    def prepare(value: Any, sender: Sender) -> Any:
        text = value.get("offline_mode_at")
        if sender.party.dialect != "pyoscp" or room.parties.settings.oscp_strict or not isinstance(text, str):
            return value
        zoned = times.with_zone(text, sender.party.naive_utc_offset_minutes)
        notes.extend(["T3"] if zoned != text else [])
        return {**value, "offline_mode_at": zoned}

    def effect(connection: Any, sender: Sender, message: Heartbeat) -> None:
        party = tolerated(sender.party, "T3") if notes else sender.party
        room.beat(connection, party, times.seconds(message.offline_mode_at))

    return messages.take(room.parties, call, Heartbeat, effect, prepare=prepare)
