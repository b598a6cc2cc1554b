"""The parties of this node: kept in memory, changed through the one writer, and the gate of every OSCP message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...base.buckets import Buckets, source_key
from ...base.clock import instant_text
from ...base.digest import sha256
from ...base.errors import Refusal
from ...contract.route import Caller, Route
from ...core import Core, Rooms
from ...crypto import base64url, boxes
from ...http.gates import Gates
from ...http.wire import Head
from . import rules, table
from .records import Party, Sender, Token

SWEEP_SECONDS = 3600.0
SEEN_SECONDS = 86_400.0
MESSAGES_KEPT_SECONDS = 90 * 86_400.0
PER_PARTY_PER_SECOND, PER_PARTY_BURST = 10.0, 20.0
FAILED_PER_SECOND, FAILED_BURST = 5.0, 20.0


class Parties:
    """Memory of all parties and of the tokens they present.  Read on the loop and in changes; written after commits only."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.settings = core.settings
        self.gates: Gates = core.edge.app.gates if core.edge is not None else Gates(core.clock)
        self.by_id: dict[str, Party] = {}
        self._tokens: dict[str, Token] = {}
        self._sealed: dict[str, str] = {}
        self._key = boxes.derive(boxes.load_or_make_key(Path(core.settings.secrets_key_file), core.ids), "oscp")
        self._failed = Buckets(FAILED_BURST, FAILED_PER_SECOND, core.clock.monotonic)
        self._rates = Buckets(PER_PARTY_BURST, PER_PARTY_PER_SECOND, core.clock.monotonic)
        with core.reader.snapshot() as connection:
            for party, sealed in table.parties(connection):
                self.by_id[party.id], self._sealed[party.id] = party, sealed
            self._tokens = {token.hash: token for token in table.tokens(connection)}

    # --- the gate ---------------------------------------------------------------------------------------------------

    def enter(self, route: Route, head: Head, caller: Caller) -> None:
        """The sender is a party that may send this; `caller.subject` is its `Sender`.  In the order OSCP peers are told apart."""
        address = source_key(caller.address)
        wait = self._failed.wait_seconds(address)
        if wait:
            raise _limited(wait, "rate limit")
        role, endpoint = local_role(route.path), route.path.rsplit("/", 1)[1]
        if role not in self.settings.oscp_roles:
            raise Refusal("not_found", "Not found")
        token = self._tokens.get(hash_of(rules.presented(head.headers.get("authorization", ""))))
        party = self.by_id.get(token.party_id) if token is not None else None
        why = rules.opens(token, party, endpoint,
                          self.core.clock.time()) if token is not None and party is not None else "unauthorized"
        if token is None or party is None or why == "unauthorized":
            self._failed.take(address)
            raise Refusal("unauthorized", "Unauthorized", headers=(("WWW-Authenticate", 'Token realm="oscp"'),))
        if party.local_role != role or why:
            raise Refusal("policy_denied", "not registered" if why else "this token does not open this base")
        self._read_head(route, head, party, endpoint)
        caller.subject = Sender(party, token)

    def _read_head(self, route: Route, head: Head, party: Party, endpoint: str) -> None:
        headers = head.headers
        if not rules.is_request_id(headers.get("x-request-id", "")):
            raise Refusal("invalid_request", "X-Request-ID of 1 to 128 visible characters is required")
        wait = self._rates.take(f"{party.id} {endpoint}")
        if wait:
            raise _limited(wait, "rate limit")
        if (head.length or 0) > route.body_bytes_max:
            raise Refusal("too_large", "message too large")
        if head.method in ("POST", "PUT"):
            if head.length is None and not head.chunked:
                raise Refusal("length_required", "Content-Length or chunked is required")
            if not _is_json(headers.get("content-type", "")) or headers.get("content-encoding", "identity").lower() != "identity":
                raise Refusal("unsupported_media_type", "Content-Type must be application/json in UTF-8, not encoded")
        if not _takes_json(headers.get("accept", "")):
            raise Refusal("not_acceptable", "answers are application/json")

    def admit(self, route: Route, head: Head, caller: Caller) -> None:
        """The gate of `Auth.OSCP`: `enter` has run before the body's framing was looked at."""
        if not isinstance(caller.subject, Sender):
            raise Refusal("unauthorized", "Unauthorized", headers=(("WWW-Authenticate", 'Token realm="oscp"'),))

    # --- reading ----------------------------------------------------------------------------------------------------

    def find(self, party_id: str) -> Party:
        """The party, or Refusal `not_found`."""
        party = self.by_id.get(party_id)
        if party is None:
            raise Refusal("not_found", "no such party")
        return party

    def now(self, connection: Any, party_id: str) -> Party:
        """Inside a change: the party as it stands in this transaction, or Refusal `not_found`.

        Not every heartbeat is written, so the newest deadline may be known to memory alone.
        """
        party, known = table.party(connection, party_id), self.by_id.get(party_id)
        if party is None:
            raise Refusal("not_found", "no such party")
        return party._replace(last_in=known.last_in,
                              offline_at=known.offline_at) if known is not None and known.last_in > party.last_in else party

    def new(self, local_role: str, peer_role: str, name: str, dialect: str = "", node: bool = False) -> Party:
        """A party that is invited, checked: a pair of roles that talk to each other, a free name."""
        if peer_role not in rules.PARTNERS.get(local_role, ()):
            raise Refusal("invalid_request", f"{local_role} does not talk to {peer_role}")
        if self.named(local_role, peer_role, name) is not None:
            raise Refusal("conflict", "a party of this name and role exists")
        now = self.core.clock.text()
        return Party(self.core.ids.uuid(), local_role, peer_role, name, "INVITED", now, now, dialect=dialect, node=node)

    def named(self, local_role: str, peer_role: str, name: str) -> Party | None:
        return next((party for party in self.by_id.values() if (party.local_role, party.peer_role, party.name) == (local_role, peer_role, name)), None)

    def all(self) -> list[Party]:
        return list(self.by_id.values())

    def token_out(self, party_id: str) -> str:
        """The token we present to the party; "" when we have none."""
        sealed = self._sealed.get(party_id, "")
        return boxes.open_text(self._key, sealed) if sealed else ""

    def our_base(self, role: str) -> str:
        """The base URL of one of our roles, as parties are told; Refusal when the node does not know how it is reached."""
        public = self.settings.oscp_public_base or self.core.base_url
        if not public:
            raise Refusal("invalid_state", "oscp_public_base is not set: the URL under which parties reach this node")
        return f"{public}/oscp/{role}/{rules.VERSION}"

    def checked_base(self, text: str) -> str:
        """A party's base URL, checked by the rules and this node's settings."""
        own = [self.our_base(role) for role in rules.PARTNERS]
        return rules.base_url(text, own, hosts=self.settings.oscp_peer_hosts, allow_http=self.settings.oscp_allow_http)

    # --- changing (inside a change) ---------------------------------------------------------------------------------

    def put(self, connection: Any, party: Party, token_out: str | None = None) -> Party:
        """The party is stored as given; memory follows after the commit."""
        party = party._replace(updated_at=self.core.clock.text())
        sealed = boxes.seal_text(self._key, token_out, self.core.ids) if token_out else token_out
        table.put(connection, party, sealed)

        def follow() -> None:
            self.by_id[party.id] = party
            if sealed is not None:
                self._sealed[party.id] = sealed

        connection.after_commit(follow)
        return party

    def issue(self, connection: Any, party: Party, kind: str, expires_at: float = 0.0) -> str:
        """A new token that the party will present; only its digest is kept.  43 characters."""
        text = base64url.encode(self.core.ids.bytes(32))
        self.put_token(connection, Token(hash_of(text), party.id, kind, expires_at, self.core.clock.time()))
        return text

    def expect(self, connection: Any, party: Party, text: str, expires_at: float) -> None:
        """A first token that was agreed elsewhere."""
        self.put_token(connection, Token(hash_of(text), party.id, "A", expires_at, self.core.clock.time()))

    def put_token(self, connection: Any, token: Token) -> None:
        table.put_token(connection, token)
        connection.after_commit(lambda: self._tokens.__setitem__(token.hash, token))

    def void(self, connection: Any, party_id: str, kinds: tuple[str, ...] = ("A", "IN"), besides: str = "") -> None:
        """Tokens of these kinds open nothing any more; their digests stay for repeats."""
        now = self.core.clock.time()
        for token in table.tokens_of(connection, party_id):
            if token.kind in kinds and not token.void_at and token.hash != besides:
                self.put_token(connection, token._replace(void_at=now))

    def used(self, connection: Any, sender: Sender) -> None:
        """The first use of a newer token starts the end of the older ones."""
        now, token = self.core.clock.time(), sender.token
        if token.kind != "IN" or token.first_used_at:
            return
        self.put_token(connection, token._replace(first_used_at=now))
        for older in table.tokens_of(connection, token.party_id):
            if older.kind == "IN" and older.made_at < token.made_at and not older.void_at:
                ends = now + rules.OLDER_TOKEN_SECONDS
                self.put_token(connection, older._replace(expires_at=min(older.expires_at or ends, ends)))

    def forget(self, connection: Any, party_id: str) -> None:
        """Nothing of the party is left but the record of messages."""
        table.delete(connection, party_id)

        def follow() -> None:
            self.by_id.pop(party_id, None)
            self._sealed.pop(party_id, None)
            for hash_text in [hash_text for hash_text, token in self._tokens.items() if token.party_id == party_id]:
                del self._tokens[hash_text]

        connection.after_commit(follow)

    # --- duties -----------------------------------------------------------------------------------------------------

    def sweep(self) -> float:
        """Old repeats, void tokens and messages are gone; invitations whose token ended have failed."""
        now = self.core.clock.time()
        oldest = instant_text(now - MESSAGES_KEPT_SECONDS)
        while self.core.writer.run(lambda connection: table.sweep(connection, now, SEEN_SECONDS, oldest)):
            pass
        for party in self.all():
            self.core.writer.run(lambda connection, party_id=party.id: table.bound_seen(connection, party_id))
            if party.state == "INVITED":
                self.change(party.id, self._expire)
        return SWEEP_SECONDS

    def _expire(self, connection: Any, party: Party) -> None:
        """An invitation that nobody can take any more has failed; one that is being taken has not."""
        now = self.core.clock.time()
        good = any(token.kind == "A" and not token.void_at and now < token.expires_at
                   for token in table.tokens_of(connection, party.id))
        if party.state == "INVITED" and not good:
            self.put(connection, party._replace(state=rules.step(party, "expires")))

    def change(self, party_id: str, act: Callable[[Any, Party], None]) -> None:
        """For what was seen to be due: `act` has changed the party as it stands now, unless it was forgotten.  In a worker or
        ticker.  What was seen outside of a change may be over, so `act` looks again."""
        def change(connection: Any) -> None:
            if table.party(connection, party_id) is not None:
                act(connection, self.now(connection, party_id))

        self.core.writer.run(change)


def build(core: Core, rooms: Rooms) -> Parties:
    room = Parties(core)
    core.tickers.add("oscp-sweep", room.sweep)
    _invite(core, room)
    return room


def _invite(core: Core, room: Parties) -> None:
    """What the settings invite is there (`oscp_invitations`); what a crash cut off has failed."""
    now, cut_off = core.clock.time(), [party for party in room.all() if party.state in ("CONNECTING", "REPLYING")]

    def change(connection: Any) -> None:
        for party in cut_off:
            if table.party(connection, party.id) == party:           # or its operator has begun anew already
                room.put(connection, party._replace(state="FAILED", last_error="the node was stopped while registering"))
        for wanted in core.settings.oscp_invitations:
            if room.named(wanted["local_role"], wanted["peer_role"], wanted["name"]) is None:
                party = room.new(wanted["local_role"], wanted["peer_role"], wanted["name"], wanted.get("dialect", ""),
                                 bool(wanted.get("node")))
                room.put(connection, party)
                room.expect(connection, party, wanted["token"], now + rules.TOKEN_A_SECONDS)

    core.loop.call_soon(lambda: core.writer.submit(change, lambda result, fault: core.log.fault("oscp.invite", fault)
                                                   if fault else None))


def local_role(path: str) -> str:
    """`fp` of `/oscp/fp/2.0/register`."""
    return path.split("/")[2]


def hash_of(token: str) -> str:
    """How a token is known here."""
    digest: str = sha256(token.encode("latin-1", "replace")).hexdigest()
    return digest


def _limited(wait: float, text: str) -> Refusal:
    return Refusal("rate_limited", text, headers=(("Retry-After", str(max(1, int(wait + 0.999)))),))


def _is_json(media_type: str) -> bool:
    kind, _, rest = media_type.partition(";")
    return kind.strip().lower() == "application/json" and rest.strip().lower().replace('"', "") in ("", "charset=utf-8")


def _takes_json(accept: str) -> bool:
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")} - {""}
    return not kinds or bool(kinds & {"application/json", "application/*", "*/*"})


