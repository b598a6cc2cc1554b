"""One message from its bytes to its answer: repeats are answered as before, effects happen once (OSCP 2.0, idempotency)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..base import jsontext
from ..base.digest import sha256
from ..base.errors import Malformed, Refusal
from ..base.records import decode
from ..contract.route import Call, Reply, Write
from .dialect import DIALECT, malformed_body
from .parties import table
from .parties.records import Sender

if TYPE_CHECKING:
    from ..base.jsontext import Json
    from .parties.room import Parties

DEPTH_MAX = 32
STORED = frozenset({204, 400, 404, 409, 501})

# What a message does, inside the change: gets the database, the sender as it stands now, and the decoded message.
Effect = Callable[[Any, Sender, Any], None]


def sender_of(call: Call) -> Sender:
    """Who sent this message; the gate has proven it."""
    subject = call.caller.subject
    assert isinstance(subject, Sender)
    return subject


def read(raw: bytes) -> Json:
    """The JSON object of a body; `Malformed` for anything else."""
    value = jsontext.parse(raw, DEPTH_MAX)
    if not isinstance(value, dict):
        raise Malformed(message="a message is a JSON object")
    return value


def take(parties: Parties, call: Call, kind: type | None, effect: Effect, *, prepare: Callable[[Json, Sender],
                                                                                               Json] | None = None) -> Write:
    """Decode the message as `kind`, carry out `effect` once, answer 204; or what was answered to the same message before."""
    sender = sender_of(call)
    endpoint, request_id = call.route.path.rsplit("/", 1)[1], call.headers["x-request-id"]
    digest: str = sha256(call.raw).hexdigest()
    message, refused = _decoded(call, kind, prepare, sender)

    def change(connection: Any) -> tuple[int, str]:
        path = call.route.path
        known = table.seen(connection, sender.party.id, call.route.method, path, request_id)
        if known is not None:
            if known[0] != digest:
                raise Refusal("conflict", "X-Request-ID was used with another body")
            return known[1], known[2]
        token = table.token(connection, sender.token.hash)
        if token is None or token.void_at:
            raise Refusal("unauthorized", "Unauthorized", headers=(("WWW-Authenticate", 'Token realm="oscp"'),))
        status, body = refused if refused is not None else _carried_out(connection, parties, call, effect,
                                                                        sender._replace(token=token), message)
        if status in STORED:
            table.put_seen(connection, sender.party.id, call.route.method, path, request_id, digest, status, body,
                           parties.core.clock.time())
        table.put_message(connection, sender.party.id, "in", endpoint, request_id, call.headers.get("x-correlation-id", ""),
                          status,
                          _shown(call.raw, endpoint), parties.core.clock.text())
        return status, body

    def then(answer: tuple[int, str]) -> Reply:
        status, body = answer
        echo = echoes_of(request_id) if status != 204 else (("X-Request-ID", request_id),)
        return Reply(body.encode() if body else None, status, echo, "application/json" if body else "")

    return Write(change, then)


def _decoded(call: Call, kind: type | None, prepare: Any, sender: Sender) -> tuple[Any, tuple[int, str] | None]:
    """The message, or the answer to one that is none."""
    if kind is None:
        return None, None
    try:
        value = read(call.raw)
        return decode(kind, prepare(value, sender) if prepare else value), None
    except Malformed as malformed:
        return None, (400, jsontext.compact(malformed_body(malformed)).decode())


def _carried_out(connection: Any, parties: Parties, call: Call, effect: Effect, sender: Sender, message: Any) -> tuple[int, str]:
    """The effect's status and body.  An effect refuses before it changes anything, or its changes are undone here."""
    connection.execute("SAVEPOINT effect")
    mark = connection.effects.mark()
    try:
        now = sender._replace(party=parties.now(connection, sender.party.id))
        effect(connection, now, message)
        parties.used(connection, now)
        answer = 204, ""
    except Refusal as refusal:
        connection.execute("ROLLBACK TO effect")
        connection.effects.undo(mark)
        if DIALECT.status(call.route, refusal.code) not in STORED:
            connection.execute("RELEASE effect")
            raise
        reply = DIALECT.refusal(refusal, call.route, None)
        answer = reply.status, jsontext.compact(reply.body).decode()
    connection.execute("RELEASE effect")
    return answer


def _shown(raw: bytes, endpoint: str) -> str:
    """What the record of messages keeps of a body: never a token."""
    return "" if endpoint == "register" else raw[:table.BODY_LENGTH_MAX // 4].decode("utf-8", "replace")


def echoes_of(request_id: str) -> tuple[tuple[str, str], ...]:
    return (("X-Request-ID", request_id), ("X-Correlation-ID", request_id))

