"""Sends what waits.  Answers of our own go out first, no lock is held across a call, and calls of different parties do not wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Busy, Refusal
from ...core import Core, Rooms
from ...http.calls import OutboundError
from ..parties import table as parties_table
from ..parties.records import Party
from . import rules, table
from .rules import Call, Verdict

if TYPE_CHECKING:
    from ..parties.room import Parties

# What a room wants to know of a finished call: the database, the party, the call, what came of it, the status.
Heard = Callable[[Any, Party, Call, Verdict, int], None]


class Calls:
    """The queue of calls to parties and who hears what became of them."""

    def __init__(self, core: Core, parties: Parties) -> None:
        self.core = core
        self.parties = parties
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._heard: dict[str, Heard] = {}
        self._ticker = core.tickers.add("oscp-calls", self.step)

    def on(self, endpoint: str, heard: Heard) -> None:
        """`heard` runs inside the change that ends a call to `endpoint`."""
        self._heard[endpoint] = heard

    def add(self, connection: Any, party: Party, endpoint: str, body: Any, *, method: str = "POST", request_id: str = "",
            correlation: str = "",
            delay: float = rules.AFTER_ANSWER_SECONDS) -> str:
        """The call waits, in the transaction of what caused it; gives its X-Request-ID."""
        if table.count(connection, party.id) >= rules.WAITING_MAX:
            raise Busy("the queue of this party", 30)
        now, request_id = self.core.clock.time(), request_id or self.core.ids.uuid()
        table.add(connection, Call(0, party.id, endpoint, method, jsontext.compact(body).decode() if body is not None else "",
                                   request_id, correlation,
                                   now + delay, now + delay + rules.LIFE_SECONDS.get(endpoint, 3600.0), 0))
        connection.after_commit(self._ticker.wake)
        return request_id

    def drop(self, connection: Any, party_id: str) -> None:
        """Nothing waits for the party any more."""
        table.drop(connection, party_id)

    # --- the ticker -------------------------------------------------------------------------------------------------

    def step(self) -> float | None:
        """Every due call has been handed to a worker; gives the seconds until the next is due."""
        with self.core.reader.snapshot() as connection:
            calls = table.waiting(connection)
        now, wait = self.core.clock.time(), None
        for call in calls:
            left = call.not_before - now
            if left > 0:
                wait = left if wait is None else min(wait, left)
            elif not self._begin(call):
                wait = 1.0 if wait is None else min(wait, 1.0)
        return wait

    def _begin(self, call: Call) -> bool:
        with self._lock:
            if call.party_id in self._busy:
                return True                      # its end wakes the ticker
            self._busy.add(call.party_id)
        try:
            assert self.core.edge is not None
            self.core.edge.app.workers.submit(lambda: self._send(call))
        except Refusal:
            self._free(call.party_id)
            return False
        return True

    def _free(self, party_id: str) -> None:
        with self._lock:
            self._busy.discard(party_id)

    def _send(self, call: Call) -> None:
        """On a worker: one attempt, and what follows from it."""
        try:
            party = self.parties.by_id.get(call.party_id)
            with self.core.reader.snapshot() as connection:
                if not table.waits(connection, call.number):
                    return                       # its end was stored after the ticker had looked
            if party is None or self.core.clock.time() >= call.expires_at:
                verdict, status = Verdict("drop"), 0
            else:
                verdict, status = self._attempt(party, call)
            self.core.writer.run(lambda connection: self._settle(connection, call, verdict, status))
        finally:
            self._free(call.party_id)
            self._ticker.wake()

    def _attempt(self, party: Party, call: Call) -> tuple[Verdict, int]:
        status, retry_after = self.call(party, call.endpoint, call.method, call.body, call.request_id, call.correlation)
        chance = int.from_bytes(self.core.ids.bytes(4), "big") / 2**32
        verdict = rules.verdict(call, status, retry_after, chance, self.core.clock.time())
        if verdict.what == "alias":
            status, _ = self.call(party, "handshake_acknowledgment", call.method, call.body, call.request_id, call.correlation)
            verdict = Verdict("alias" if 200 <= status < 300 else "drop")
        return verdict, status

    def call(self, party: Party, endpoint: str, method: str, body: str, request_id: str, correlation: str = "") -> tuple[int, float]:
        """One HTTP call to a party, from a worker: its status (0: no answer) and the seconds of its Retry-After."""
        headers = [("Authorization", f"Token {self.parties.token_out(party.id)}"), ("X-Request-ID", request_id),
                   ("Accept", "application/json"),
                   *([("Content-Type", "application/json")] if body else []),
                   *([("X-Correlation-ID", correlation)] if correlation else [])]
        try:
            answer = self.core.outbound.request(method, f"{party.base_url}/{endpoint}", headers=headers,
                                                body=body.encode() if body else None,
                                                timeout=rules.CALL_SECONDS, connect_timeout=rules.CONNECT_SECONDS,
                                                bytes_max=rules.ANSWER_BYTES_MAX,
                                                allow_loopback=True)
        except OutboundError as fault:
            self.core.log.info("oscp.call_failed", party=party.id, endpoint=endpoint, why=fault.kind)
            return 0, 0.0
        after = answer.headers.get("retry-after", "")
        return answer.status, float(after) if after.isdigit() else 0.0

    def _settle(self, connection: Any, call: Call, verdict: Verdict, status: int) -> None:
        """The call is over or waits anew; the party and the room that made it know."""
        if parties_table.party(connection, call.party_id) is None:
            return
        party, now = self.parties.now(connection, call.party_id), self.core.clock.time()
        parties_table.put_message(connection, party.id, "out", call.endpoint, call.request_id, call.correlation, status,
                                  "" if call.endpoint == "register" else call.body, self.core.clock.text())
        if verdict.what == "again":
            table.later(connection, call.number, now + verdict.seconds)
            self.parties.put(connection, party._replace(last_error=f"{call.endpoint}: {status or 'no answer'}"))
            return
        table.done(connection, call.number)
        sent = verdict.what in ("sent", "alias")
        party = party._replace(last_out=now if sent else party.last_out, last_error=""
                               if sent else f"{call.endpoint}: {status or 'no answer'}",
                               dialect="pyoscp" if verdict.what == "alias" else party.dialect)
        if verdict.what == "auth" and party.state == "REGISTERED":
            party = party._replace(state="AUTH_FAILED")
            connection.event("oscp.peer.auth_failed", surface="oscp", subject=party.id, payload={"name": party.name})
        party = self.parties.put(connection, party)
        heard = self._heard.get(call.endpoint)
        if heard is not None:
            heard(connection, party, call, verdict, status)


def build(core: Core, rooms: Rooms) -> Calls:
    return Calls(core, rooms["oscp.parties"])
