"""Registering in both directions: an invitation with token A, tokens B and C exchanged, replaced, ended (OSCP 2.0, registration)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Write
from ...core import Core, Rooms
from .. import messages
from ..calls.rules import Call as Sent
from ..calls.rules import Verdict
from ..parties import rules
from ..parties.records import Party, Sender
from .records import Register

if TYPE_CHECKING:
    from ..calls.room import Calls
    from ..parties.room import Parties


class Registration:
    """Registers parties and is registered by them."""

    def __init__(self, core: Core, parties: Parties, calls: Calls) -> None:
        self.core = core
        self.parties = parties
        self.calls = calls
        calls.on("register", self._heard)
        core.tickers.add("oscp-registrations", self.expire)

    # --- as the one who begins

    def connect(self, connection: Any, party: Party, base_url: str, token_a: str) -> Party:
        """Our register is on its way: token B is good from now on, the reply is awaited."""
        base_url = self.parties.checked_base(base_url)
        now = self.core.clock.time()
        self.parties.void(connection, party.id)
        token_b = self.parties.issue(connection, party, "IN")
        request_id = self.core.ids.uuid()
        party = rules.after(party, "connect")._replace(base_url=base_url, version=rules.VERSION,
                               our_register_id=request_id,
                               connecting_since=now, last_error="")
        party = self.parties.put(connection, party, token_a)
        self.calls.add(connection, party, "register", self._offer(party, token_b), request_id=request_id, delay=0.0)
        return party

    def _offer(self, party: Party, token: str) -> dict[str, Any]:
        return {"token": token, "version_url": [{"version": rules.VERSION, "base_url": self.parties.our_base(party.local_role)}]}

    # --- as the one who is asked

    def received(self, connection: Any, sender: Sender, message: Register, correlation: str, request_id: str) -> None:
        """Tell apart a first register, a reply of ours awaited, a late reply, and a party that begins anew."""
        party, token = sender
        base_url = rules.chosen([(offer.version, offer.base_url) for offer in message.version_url])
        base_url = self.parties.checked_base(self._resolved(party, base_url, correlation))
        reply = (party.state == "CONNECTING" and token.kind == "IN") or (party.state in rules.KNOWN and token.kind == "IN"
                                                                         and (bool(correlation) or self._guarded(party)))
        if reply:
            self._complete(connection, party, message.token, base_url, correlation)
        else:
            self._answer(connection, party, message.token, base_url, request_id)

    def _resolved(self, party: Party, base_url: str, correlation: str) -> str:
        """A reply may name its base URL by its path alone: it stands where our register went to."""
        if base_url.startswith("/") and party.base_url and (correlation
                                                            or party.state == "CONNECTING") and not self.parties.settings.oscp_strict:
            scheme, _, rest = party.base_url.partition("://")
            return f"{scheme}://{rest.partition('/')[0]}{base_url}"
        return base_url

    def _guarded(self, party: Party) -> bool:
        """Who began anew twice within a minute has sent a reply the second time: two nodes must not answer each other for ever."""
        return self.core.clock.time() - party.replied_at < rules.REPLY_GUARD_SECONDS

    def _complete(self, connection: Any, party: Party, token_out: str, base_url: str, correlation: str) -> None:
        if not correlation:
            party = rules.tolerated(party, "T11")
        party = rules.after(party, "replied")._replace(base_url=base_url, version=rules.VERSION, connecting_since=0.0)
        self.registered(connection, self.parties.put(connection, party, token_out))

    def _answer(self, connection: Any, party: Party, token_out: str, base_url: str, request_id: str) -> None:
        """Token C is made and our reply is on its way, after our 204."""
        anew = party.state in rules.KNOWN
        party = rules.after(party, "registers")._replace(base_url=base_url, version=rules.VERSION,
                                                      peer_register_id=request_id, replied_at=self.core.clock.time() if anew else 0.0)
        party = self.parties.put(connection, party, token_out)
        token_c = self.parties.issue(connection, party, "IN")
        self.calls.add(connection, party, "register", self._offer(party, token_c), correlation=request_id)
        if anew:
            self.registered(connection, party)

    # --- what became of our calls

    def _heard(self, connection: Any, party: Party, call: Sent, verdict: Verdict, status: int) -> None:
        reply = bool(call.correlation)
        if verdict.what == "sent":
            if reply and party.state == "REPLYING":
                self.parties.void(connection, party.id, ("A",))
                self.registered(connection, self.parties.put(connection, rules.after(party, "taken")))
        elif call.method == "POST" and party.state in ("CONNECTING", "REPLYING"):
            self._failed(connection, party, f"register: {status or 'no answer'}")

    def _failed(self, connection: Any, party: Party, why: str) -> None:
        self.parties.put(connection, party._replace(state=rules.step(party, "fails"), last_error=why))
        connection.event("oscp.peer.failed", surface="oscp", subject=party.id, payload={"name": party.name, "reason": why})

    def registered(self, connection: Any, party: Party) -> None:
        """Everyone hears of it; who starts handshakes looks whether one is due."""
        connection.event("oscp.peer.registered", surface="oscp", subject=party.id,
                         payload={"name": party.name, "local_role": party.local_role, "peer_role": party.peer_role})

    def expire(self) -> float | None:
        """Registers of ours whose reply did not come within a minute have failed."""
        now, wait = self.core.clock.time(), None
        for party in self.parties.all():
            if party.state != "CONNECTING":
                continue
            left = party.connecting_since + rules.CONNECT_SECONDS - now
            if left <= 0:
                self.parties.change(party.id, self._late)
            else:
                wait = left if wait is None else min(wait, left)
        return wait if wait is not None else rules.CONNECT_SECONDS

    def _late(self, connection: Any, party: Party) -> None:
        if party.state == "CONNECTING" and self.core.clock.time() >= party.connecting_since + rules.CONNECT_SECONDS:
            self._failed(connection, party, "no reply within 60 seconds")

    def end(self, connection: Any, party: Party) -> None:
        """Both tokens are void, nothing waits, nothing is sent; the history stays."""
        self.parties.void(connection, party.id)
        self.calls.drop(connection, party.id)
        self.parties.put(connection, party._replace(state=rules.step(party, "removed"), liveness="UNKNOWN",
                                                    required_interval=0.0, offline_at=0.0), "")
        connection.event("oscp.peer.unregistered", surface="oscp", subject=party.id, payload={"name": party.name})


def build(core: Core, rooms: Rooms) -> Registration:
    return Registration(core, rooms["oscp.parties"], rooms["oscp.calls"])


def register(room: Registration, call: Call) -> Write:
    """POST register: a first register with token A, a reply, or a party that begins anew."""
    correlation, request_id = call.headers.get("x-correlation-id", ""), call.headers["x-request-id"]
    return messages.take(room.parties, call, Register,
                         lambda connection, sender, message: room.received(connection, sender, message, correlation, request_id))


def replace(room: Registration, call: Call) -> Write:
    """PUT register: from now on this base URL and this token; no call back."""
    def effect(connection: Any, sender: Sender, message: Register) -> None:
        party = sender.party
        if party.state in ("REPLYING", "CONNECTING"):
            raise Refusal("conflict", "a registration is under way")
        base_url = room.parties.checked_base(rules.chosen([(offer.version, offer.base_url) for offer in message.version_url]))
        after = room.parties.put(connection, rules.after(party, "replaced")._replace(base_url=base_url, version=rules.VERSION),
                                 message.token)
        if after.state != party.state:
            room.registered(connection, after)
    return messages.take(room.parties, call, Register, effect)


def remove(room: Registration, call: Call) -> Write:
    """DELETE register: the registration ends, for both sides."""
    return messages.take(room.parties, call, None, lambda connection, sender, message: room.end(connection, sender.party))
