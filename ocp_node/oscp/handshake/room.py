"""Agreeing on heartbeats and measurements: what the party requires of us, what we require of it (OSCP 2.0, handshake)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...base.errors import Busy
from ...contract.route import Call, Write
from ...core import Core, Rooms
from .. import messages
from ..calls.rules import Call as Sent
from ..calls.rules import Verdict
from ..heartbeat.rules import agreed
from ..parties.records import Party, Sender
from ..parties.rules import tolerated
from . import rules
from .records import Handshake

if TYPE_CHECKING:
    from ..calls.room import Calls
    from ..parties.room import Parties


class Handshakes:
    """Starts handshakes where the protocol wants us to, and answers those of others."""

    def __init__(self, core: Core, parties: Parties, calls: Calls) -> None:
        self.core = core
        self.parties = parties
        self.calls = calls
        calls.on("handshake", self._heard)
        self._ticker = core.tickers.add("oscp-handshakes", self.step)
        core.feed.listen(self._stirred)

    @property
    def _interval(self) -> float:
        return float(self.parties.settings.oscp_heartbeat_interval)

    def _stirred(self, events: list[Any]) -> None:
        if any(event.event_type.startswith("oscp.peer.") for event in events):
            self._ticker.wake()

    def step(self) -> float | None:
        """Every handshake that is due is on its way; gives the seconds until the next."""
        now, wait = self.core.clock.time(), math.inf
        for party in self.parties.all():
            left = rules.due_seconds(party, now, self._interval)
            if left <= 0:
                self.parties.change(party.id, self._start_due)
                left = rules.AGAIN_SECONDS[0]
            wait = min(wait, left)
        return None if math.isinf(wait) else wait

    def _start_due(self, connection: Any, party: Party) -> None:
        if rules.due_seconds(party, self.core.clock.time(), self._interval) <= 0:
            try:
                self.start(connection, party)
            except Busy as busy:                     # one party's full queue holds up no other party
                self.core.log.info("oscp.handshake_waits", party=party.id, why=busy.message)

    def start(self, connection: Any, party: Party) -> None:
        """Our handshake is on its way."""
        interval = self.parties.settings.oscp_heartbeat_interval
        body = rules.ours(party, interval, self.parties.settings.oscp_measurement_configuration)
        request_id = self.calls.add(connection, party, "handshake", body, delay=rules.FIRST_SECONDS)
        self.parties.put(connection, party._replace(handshake_id=request_id, handshake_at=self.core.clock.time(),
                                                    handshakes=max(party.handshakes, 0) + 1,
                                                    our_interval=float(interval)))

    def _heard(self, connection: Any, party: Party, call: Sent, verdict: Verdict, status: int) -> None:
        """What a party refuses once it would refuse again: nothing more until our requirements or the registration change."""
        if status == 400 and call.request_id == party.handshake_id:
            self.core.log.warning("oscp.handshake_refused", party=party.id, name=party.name)
            self.parties.put(connection, party._replace(handshakes=rules.REFUSED))

    def required(self, connection: Any, sender: Sender, message: Handshake) -> Party:
        """What the party requires replaces what it required before."""
        behaviour = message.required_behaviour
        interval = behaviour.heartbeat_interval if behaviour is not None and behaviour.heartbeat_interval else 0.0
        wanted = tuple(behaviour.measurement_configuration) if behaviour is not None else ("CONTINUOUS",)
        now, recovers = self.core.clock.time(), self.parties.settings.oscp_recover_on == "handshake"
        party = self.parties.put(connection, agreed(sender.party, now, recovers)._replace(
            required_interval=float(interval), required_measurements=wanted, last_in=now))
        connection.event("oscp.peer.requires", surface="oscp", subject=party.id, payload={"heartbeat_interval": interval,
                                                                                          "measurements": list(wanted)})
        return party


def build(core: Core, rooms: Rooms) -> Handshakes:
    return Handshakes(core, rooms["oscp.parties"], rooms["oscp.calls"])


def start(room: Handshakes, call: Call) -> Write:
    """POST handshake: 204, and afterwards our acknowledge with what we require."""
    request_id = call.headers["x-request-id"]

    def effect(connection: Any, sender: Sender, message: Handshake) -> None:
        party = room.required(connection, sender, message)
        settings = room.parties.settings
        body = rules.ours(party, settings.oscp_heartbeat_interval, settings.oscp_measurement_configuration)
        room.calls.add(connection, party, "handshake_acknowledge", body, correlation=request_id)
        room.parties.put(connection, party._replace(our_interval=float(settings.oscp_heartbeat_interval)))

    return messages.take(room.parties, call, Handshake, effect)


def acknowledge(room: Handshakes, call: Call) -> Write:
    """POST handshake_acknowledge, under either of its names: the handshake is done, whichever it names."""
    alias = call.route.path.endswith("acknowledgment") or call.route.path.endswith("acknowledgement")
    correlation, notes = call.headers.get("x-correlation-id", ""), []

    def prepare(value: Any, sender: Sender) -> Any:
        value, lenient = rules.lenient(value, sender.party.dialect, alias, room.parties.settings.oscp_strict)
        notes.extend(["T4"] if lenient else [])
        return value

    def effect(connection: Any, sender: Sender, message: Handshake) -> None:
        party = room.required(connection, sender, message)
        if call.route.path.endswith("acknowledgment"):
            party = party._replace(dialect=party.dialect or "pyoscp")
        for note in (*notes, *(["T1"] if alias else []), *(["T11"] if correlation != party.handshake_id else [])):
            party = tolerated(party, note)
        room.parties.put(connection, party._replace(acknowledged_at=room.core.clock.time(), handshakes=0))

    return messages.take(room.parties, call, Handshake, effect, prepare=prepare)
