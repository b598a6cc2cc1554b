"""The operator's view of the parties, and what an operator makes happen."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...base.clock import instant_text
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ..parties import rules, table
from ..parties.records import Party
from .records import Accepted, Invitation, Messages, Peer, PeerList, Status

if TYPE_CHECKING:
    from ..handshake.room import Handshakes
    from ..parties.room import Parties
    from ..registration.room import Registration

MESSAGES_MAX = 200
BODY_SHOWN = 2_000


class Admin:
    """Reads the parties and tells the rooms of the surface what an operator wants."""

    def __init__(self, core: Core, parties: Parties, registration: Registration, handshakes: Handshakes) -> None:
        self.core = core
        self.parties = parties
        self.registration = registration
        self.handshakes = handshakes


def build(core: Core, rooms: Rooms) -> Admin:
    return Admin(core, rooms["oscp.parties"], rooms["oscp.registration"], rooms["oscp.handshake"])


def status(room: Admin, call: Call) -> Reply:
    """Roles, and how many parties are in which state."""
    parties = room.parties.all()
    return Reply(Status(roles=list(room.parties.settings.oscp_roles), peers=len(parties),
                        states=dict(Counter(party.state for party in parties)),
                        liveness=dict(Counter(party.liveness for party in parties))))


def peers(room: Admin, call: Call) -> Reply:
    """All parties, without tokens."""
    return Reply(PeerList(peers=[shown(party) for party in room.parties.all()]))


def show_peer(room: Admin, call: Call) -> Reply:
    return Reply(shown(room.parties.find(call.path["peer_id"])))


def create_peer(room: Admin, call: Call) -> Write:
    """A party is invited: its first token is good for a week and shown once."""
    wanted = call.body

    def change(connection: Any) -> tuple[Party, str]:
        party = room.parties.new(wanted.local_role, wanted.peer_role, wanted.name, wanted.dialect, wanted.node)
        room.parties.put(connection, party)
        return party, room.parties.issue(connection, party, "A", room.core.clock.time() + rules.TOKEN_A_SECONDS)

    return Write(change, lambda made: Reply(Invitation(id=made[0].id, base_url=room.parties.our_base(made[0].local_role),
                                                       token_a=made[1]), 201,
                                            (("Cache-Control", "no-store"),)))


def change_peer(room: Admin, call: Call) -> Write:
    """What is named is changed; the party sees it with our next message."""
    def act(connection: Any, party: Party) -> Party:
        named = {name: value for name in ("dialect", "naive_utc_offset_minutes", "node")
                 if (value := getattr(call.body, name)) is not None}
        return room.parties.put(connection, party._replace(**named))
    return Write(_on_party(room, call, act), lambda party: Reply(shown(party)))


def delete_peer(room: Admin, call: Call) -> Write:
    """The party is forgotten here; the record of messages stays."""
    def act(connection: Any, party: Party) -> Party:
        room.parties.forget(connection, party.id)
        return party
    return Write(_on_party(room, call, act), lambda party: Reply(None, 204))


def connect(room: Admin, call: Call) -> Write:
    """We register with the party; 202, and the party's state shows how it ends."""
    return _accepted(room, call, lambda connection, party: room.registration.connect(connection, party, call.body.base_url,
                                                                                     call.body.token_a))


def handshake(room: Admin, call: Call) -> Write:
    """Our handshake is on its way."""
    def act(connection: Any, party: Party) -> Party:
        rules.step(party, "taken")                       # only a registered party hears a handshake
        room.handshakes.start(connection, party)
        return party
    return _accepted(room, call, act)


def unregister(room: Admin, call: Call) -> Write:
    """The party is told once that it is over; here it is over whatever it answers."""
    def act(connection: Any, party: Party) -> Party:
        token, base_url = room.parties.token_out(party.id), party.base_url
        room.registration.end(connection, party)
        if token and base_url:
            request_id = room.core.ids.uuid()
            connection.after_commit(functools.partial(_tell_later, room, base_url, token, request_id))
        return party._replace(state="UNREGISTERED")
    return _accepted(room, call, act)


def _tell_later(room: Admin, base_url: str, token: str, request_id: str) -> None:
    if room.core.edge is not None:
        room.core.edge.app.workers.submit(functools.partial(_tell, room, base_url, token, request_id))


def _tell(room: Admin, base_url: str, token: str, request_id: str) -> None:
    """One DELETE; an error or a refusal changes nothing, the registration is over on our side."""
    from ...http.calls import OutboundError
    try:
        room.core.outbound.request("DELETE", f"{base_url}/register", headers=[("Authorization", f"Token {token}"),
                                                                              ("X-Request-ID", request_id)],
                                   timeout=10.0, bytes_max=65_536, allow_loopback=True)
    except OutboundError as fault:
        room.core.log.info("oscp.unregister_unheard", why=fault.kind)


def retry(room: Admin, call: Call) -> Write:
    """A party that refused our token is called again."""
    def act(connection: Any, party: Party) -> Party:
        party = room.parties.put(connection, rules.after(party, "retry")._replace(last_error=""))
        room.registration.registered(connection, party)
        return party
    return _accepted(room, call, act)


def messages(room: Admin, call: Call) -> Reply:
    """What was said, newest first."""
    limit = max(1, min(call.query.limit, MESSAGES_MAX))
    with room.core.reader.snapshot() as connection:
        rows = table.messages(connection, call.query.peer, call.query.since or 2**62, limit)
    return Reply(Messages(messages=[{**row, "body": row["body"][:BODY_SHOWN]} for row in rows]))


def _on_party(room: Admin, call: Call, act: Callable[[Any, Party], Party]) -> Callable[[Any], Party]:
    return lambda connection: act(connection, room.parties.now(connection, call.path["peer_id"]))


def _accepted(room: Admin, call: Call, act: Callable[[Any, Party], Party]) -> Write:
    return Write(_on_party(room, call, act), lambda party: Reply(Accepted(id=party.id, state=party.state), 202))


def shown(party: Party) -> Peer:
    """A party as operators see it."""
    required: dict[str, object] = {"measurement_configuration": list(party.required_measurements)}
    if party.required_interval:
        required["heartbeat_interval"] = party.required_interval
    return Peer(id=party.id, local_role=party.local_role, peer_role=party.peer_role, name=party.name, state=party.state,
                liveness=party.liveness,
                dialect=party.dialect, base_url=party.base_url, version=party.version, required_behaviour=required,
                our_interval=party.our_interval,
                handshake_acknowledged=party.acknowledged_at > 0, naive_utc_offset_minutes=party.naive_utc_offset_minutes,
                node=party.node,
                tolerated=dict(party.tolerated), last_in=_at(party.last_in), last_out=_at(party.last_out),
                last_error=party.last_error,
                created_at=party.created_at, updated_at=party.updated_at)


def _at(seconds: float) -> str:
    return instant_text(seconds) if seconds else ""
