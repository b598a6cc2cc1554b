"""Sessions: who has proven to be a user, by a password or by a token of ours; the gate of the whole surface."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...base.buckets import source_key
from ...base.clock import Clock
from ...base.errors import Refusal
from ...base.limits import FAILURE_ADDRESSES_MAX, TOKEN_LEEWAY_SECONDS
from ...contract.route import Call, Caller, Reply, Route, Write
from ...core import Core, Rooms
from ...crypto import boxes, passwords, tokens
from ...http import local
from ...http.wire import Head
from ..users.rules import User
from . import rules, table

REFUSED = "Authentication failed"
OWN_AUDIENCE = frozenset({"appmesh.sessions.authenticate"})     # routes where the caller names what the token must be for


class Session(NamedTuple):
    """What a token has proven."""
    user: User
    token: str
    claims: dict[str, Any]


class Failures:
    """Failed log-ins by key, bounded; too many within the time refuse the next.  From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        with self._lock:
            since, count = self._since.get(key, (0.0, 0))
        left = rules.FAILURES_SECONDS - (self._clock.monotonic() - since)
        if count >= rules.FAILURES_MAX and left > 0:
            raise Refusal("rate_limited", "too many failed attempts", headers=(("Retry-After", str(int(left) + 1)),))

    def add(self, key: str) -> None:
        now = self._clock.monotonic()
        with self._lock:
            since, count = self._since.pop(key, (now, 0))
            if now - since > rules.FAILURES_SECONDS:
                since, count = now, 0
            if len(self._since) >= FAILURE_ADDRESSES_MAX:
                self._since.pop(next(iter(self._since)))
            self._since[key] = (since, count + 1)

    def forget(self, key: str) -> None:
        with self._lock:
            self._since.pop(key, None)


class Sessions:
    """The secret of the tokens, those that were ended, and who failed to log in."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self.core = core
        self.users = rooms["appmesh.users"]
        self.body_bytes_max: int = core.settings.appmesh_max_body_bytes
        self.issuer = local.host_name() or core.identity.node_id
        self._secret = boxes.derive(boxes.load_or_make_key(Path(core.settings.secrets_key_file), core.ids), "appmesh.tokens")
        self._failures = Failures(core.clock)
        with core.reader.snapshot() as connection:
            self._ended = table.ended(connection, core.clock.time())

    # --- the gate

    def admit(self, route: Route, head: Head, caller: Caller) -> None:
        """The gate of `Auth.APPMESH`: a good token, and the permission that the route needs."""
        audience = head.headers.get("x-audience", "") if route.id in OWN_AUDIENCE else ""
        session = self.prove(head.method, head.headers, audience or rules.AUDIENCE)
        self.users.require(session.user, route.needs)
        caller.subject = session

    def prove(self, method: str, headers: Mapping[str, str], audience: str = rules.AUDIENCE) -> Session:
        """The session of the token in the head; a cookie speaks for a request only when no header does."""
        token = tokens.bearer(headers.get("authorization", ""))
        if not token:
            token = rules.cookie_token(headers)
            if not token:
                raise Refusal("unauthorized", "No authentication token provided",
                              headers=(("WWW-Authenticate", 'Bearer realm="appmesh"'),))
            rules.own_origin(method, headers)
        return self.opened(token, audience)

    def opened(self, token: str, audience: str, ended: str = "Token has been revoked") -> Session:
        """The session behind a token for this audience, or Refusal `unauthorized`."""
        found = tokens.verify(token, self._secret, issuer=self.issuer, audience=audience, now_seconds=self.core.clock.time())
        user = self.users.all.get(found["sub"])
        if user is None:
            raise Refusal("unauthorized", "user not found")
        if user.locked:
            raise Refusal("unauthorized", f"User <{user.name}> was locked")
        if found.get("iat", 0) <= user.token_epoch or tokens.revocation_key(token, found) in self._ended:
            raise Refusal("unauthorized", ended)
        return Session(user, token, found)

    def refuse_forward(self, target: str) -> None:
        """A request for another host goes nowhere: a node is no relay for tokens."""
        if target.partition(":")[0].lower() in self.core.settings.appmesh_forward_hosts:
            raise Refusal("planned", "forwarding to other hosts is planned and not built yet")
        raise Refusal("policy_denied", "forwarding is not allowed")

    # --- failed log-ins

    def guard(self, name: str, caller: Caller) -> None:
        """Refusal `rate_limited` when this address, or somebody on the network for this user, has failed too often.

        Failures for a user do not shut out who sits at the machine itself.
        """
        self._failures.check("from " + source_key(caller.address))
        if not caller.loopback:
            self._failures.check("as " + name)

    def failed(self, name: str, caller: Caller) -> None:
        """One more failure."""
        self._failures.add("from " + source_key(caller.address))
        if not caller.loopback:
            self._failures.add("as " + name[:64])
        self.core.log.warning("appmesh.login_failed", user=name[:64], address=caller.address)

    def succeeded(self, name: str, caller: Caller) -> None:
        self._failures.forget("as " + name)

    # --- making and ending tokens

    def make(self, user: User, audience: str, seconds: int) -> tuple[str, dict[str, Any]]:
        """A new token of the user, and its claims."""
        issued = rules.issued_at(self.core.clock.time(), user.token_epoch)
        made = rules.claims(issuer=self.issuer, subject=user.name, audience=audience, roles=user.roles, issued=issued,
                            seconds=seconds,
                            token_id=tokens.new_id(self.core.ids))
        return tokens.make(made, self._secret), made

    def granted(self, user: User, audience: str, seconds: int, *, refresh: bool, cookie: bool, secure: bool) -> Reply:
        """The answer that hands out a new token, and a refresh token when asked for."""
        token, made = self.make(user, audience, seconds)
        body = told(token, made, user.group, self.core.clock.time())
        if refresh:
            body["refresh_token"] = self.make(user, rules.REFRESH_AUDIENCE, rules.refresh_seconds(seconds))[0]
        cookies = (rules.set_cookie(token, seconds, secure),) if cookie else ()
        return Reply(body, 200, (*rules.NO_STORE, *cookies))

    def end(self, connection: Any, session: Session, ended: str = "Token has been revoked") -> None:
        """Inside a change: the token opens nothing any more.  Refusal `unauthorized` when that was so already."""
        key, expires_at = tokens.revocation_key(session.token,
                                                session.claims), float(session.claims["exp"]) + TOKEN_LEEWAY_SECONDS
        now = self.core.clock.time()
        table.sweep(connection, now)
        if not table.end(connection, key, expires_at):
            raise Refusal("unauthorized", ended)

        def follow() -> None:
            self._ended[key] = expires_at
            if len(self._ended) % 1024 == 0:
                for old in [known for known, at in self._ended.items() if at < now]:
                    del self._ended[old]

        connection.after_commit(follow)


def told(token: str, made: Mapping[str, Any], group: str, now: float) -> dict[str, Any]:
    """A token as App Mesh shows it."""
    return {"access_token": token, "token_type": "Bearer", "expire_time": made["exp"],
            "expires_in": max(0, int(made["exp"] - int(now))),
            "issued_at": int(now), "profile": {"name": made["sub"], "group": group, "auth_time": int(now)}}


# --- routes

def login(room: Sessions, call: Call) -> Write:
    """POST /appmesh/login: a token for a name and a password.

    An unknown name costs the same work and gets the same answer as a wrong password, so nobody learns who exists.
    """
    headers = call.headers
    name, password = rules.basic(headers.get("authorization", ""))
    seconds, audience = rules.expire_seconds(headers.get("x-expire-seconds", "")), headers.get("x-audience", "") or rules.AUDIENCE
    rules.not_internal(audience)
    room.guard(name, call.caller)
    room.users.begin()
    user = room.users.all.get(name)
    if not passwords.matches(password, user.password if user else None) or user is None or user.locked:
        room.failed(name, call.caller)
        raise Refusal("unauthorized", REFUSED)
    if user.mfa_enabled:
        raise Refusal("planned", "one-time codes are planned and not built yet")
    rules.listed(audience)
    room.succeeded(name, call.caller)
    newer = passwords.new(password, room.core.ids) if passwords.outdated(user.password) else ""

    def change(connection: Any) -> User:
        known: User = room.users.now(connection, name)
        if known.password != user.password or known.locked:
            raise Refusal("unauthorized", REFUSED)
        if newer:
            known = known._replace(password=newer)
            room.users.put(connection, known)
        connection.event("appmesh.session.started", surface="appmesh", subject=name,
                         payload={"address": call.caller.address, "audience": audience})
        return known

    return Write(change, lambda known: room.granted(known, audience, seconds, refresh=rules.wants_refresh(headers),
                                                    cookie=rules.wants_cookie(headers),
                                                    secure=call.caller.secure))


def authenticate(room: Sessions, call: Call) -> Reply:
    """POST /appmesh/auth: the token is good, for the audience and with the permission that were named."""
    session: Session = call.caller.subject
    room.users.require(session.user, call.headers.get("x-permission", "").strip())
    body = told(session.token, session.claims, "", room.core.clock.time())
    cookies = (rules.set_cookie(session.token, body["expires_in"], call.caller.secure),
               ) if rules.wants_cookie(call.headers) else ()
    return Reply(body, 200, (*rules.NO_STORE, *cookies))


def renew(room: Sessions, call: Call) -> Write:
    """POST /appmesh/token/renew: a new token for an old one, which is ended; or for a refresh token, which is good once."""
    headers = call.headers
    shown = headers.get("x-refresh-token", "").strip()
    if shown:
        old, audience = room.opened(shown, rules.REFRESH_AUDIENCE, "Refresh token has been revoked"), _audience_of(room, headers)
    else:
        old = _any_audience(room, call)
        audience = str(old.claims["aud"])
    room.users.require(old.user, "user-token-renew")
    seconds = rules.expire_seconds(headers.get("x-expire-seconds", ""))
    refresh, cookie = bool(shown) or rules.wants_refresh(headers), bool(rules.cookie_token(headers))

    def change(connection: Any) -> None:
        room.end(connection, old, "Refresh token has been revoked" if shown else "Token has been revoked")

    return Write(change, lambda _: room.granted(old.user, audience, seconds, refresh=refresh, cookie=cookie,
                                                secure=call.caller.secure))


def _any_audience(room: Sessions, call: Call) -> Session:
    """The session of the access token shown, whichever audience it is for; a refresh token is none."""
    audience = _named_audience(tokens.bearer(call.headers.get("authorization", "")) or rules.cookie_token(call.headers))
    return room.prove("POST", call.headers, audience if audience in rules.AUDIENCES else rules.AUDIENCE)


def _audience_of(room: Sessions, headers: Mapping[str, str]) -> str:
    """The audience of an access token shown beside a refresh token, if it is a good one; else the surface's own."""
    token = tokens.bearer(headers.get("authorization", "")) or rules.cookie_token(headers)
    audience = _named_audience(token)
    try:
        room.opened(token, audience)
    except Refusal:
        return rules.AUDIENCE
    return audience if audience in rules.AUDIENCES else rules.AUDIENCE


def _named_audience(token: str) -> str:
    """What an unproven token says it is for: asked for next, and only then believed."""
    from ...base import jsontext
    from ...base.errors import Malformed
    from ...crypto import base64url
    try:
        said = jsontext.parse(base64url.decode(token.split(".")[1])) if token.count(".") == 2 else None
    except (ValueError, Malformed):
        said = None
    audience = said.get("aud") if isinstance(said, dict) else None
    return audience if isinstance(audience, str) else rules.AUDIENCE


def logoff(room: Sessions, call: Call) -> Write:
    """POST /appmesh/self/logoff: the tokens shown open nothing any more, now and after a restart."""
    found: list[Session] = []
    cookie = rules.cookie_token(call.headers)
    if cookie and not call.headers.get("authorization"):
        rules.own_origin("POST", call.headers)
    access = tokens.bearer(call.headers.get("authorization", "")) or cookie
    for token, audience in ((access, _named_audience(access)),
                            (call.headers.get("x-refresh-token", "").strip(), rules.REFRESH_AUDIENCE)):
        try:
            found += [room.opened(token, audience)] if token else []
        except Refusal:
            continue
    if not found:
        raise Refusal("unauthorized", "Logoff requires a valid access token or refresh token")

    def change(connection: Any) -> None:
        for session in found:
            room.end(connection, session)
        connection.event("appmesh.session.ended", surface="appmesh", subject=found[0].user.name)

    cleared = (rules.clear_cookie(call.caller.secure),) if cookie else ()
    return Write(change, lambda _: Reply(None, 200, cleared))


def build(core: Core, rooms: Rooms) -> Sessions:
    return Sessions(core, rooms)
