"""Where parties, their tokens, repeats and the record of messages are kept; all SQL of the room."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from ...base import jsontext
from .records import Party, Token

_KEPT = ("id", "local_role", "peer_role", "name", "state", "created_at", "updated_at")
_FACTS = tuple(name for name in Party._fields if name not in _KEPT)
SEEN_MAX = 10_000
BODY_LENGTH_MAX = 65_536


def parties(connection: sqlite3.Connection) -> list[tuple[Party, str]]:
    """Every party with the sealed token we present to it."""
    rows = connection.execute(f"SELECT {', '.join(_KEPT)}, facts, token_out FROM oscp_party ORDER BY created_at, id")
    return [(_party(row[:len(_KEPT)], row[-2]), row[-1]) for row in rows]


def party(connection: sqlite3.Connection, party_id: str) -> Party | None:
    """The party as it stands in this very transaction."""
    row = connection.execute(f"SELECT {', '.join(_KEPT)}, facts FROM oscp_party WHERE id = ?", (party_id,)).fetchone()
    return _party(row[:len(_KEPT)], row[-1]) if row else None


def token(connection: sqlite3.Connection, hash_text: str) -> Token | None:
    """The token as it stands in this very transaction."""
    row = connection.execute(f"SELECT {', '.join(Token._fields)} FROM oscp_token WHERE hash = ?", (hash_text,)).fetchone()
    return Token(*row) if row else None


def tokens_of(connection: sqlite3.Connection, party_id: str) -> list[Token]:
    """The party's tokens, good and void."""
    return [Token(*row) for row in connection.execute(f"SELECT {', '.join(Token._fields)} FROM oscp_token WHERE party_id = ?",
                                                      (party_id,))]


def _party(kept: Any, facts: str) -> Party:
    members = {name: value for name, value in json.loads(facts).items() if name in _FACTS}
    if "required_measurements" in members:
        members["required_measurements"] = tuple(members["required_measurements"])
    return Party(*kept, **members)


def put(connection: sqlite3.Connection, party: Party, token_out: str | None = None) -> None:
    """The party stands as it is here; its outgoing token stays unless one is given."""
    facts = jsontext.ascii_text({name: getattr(party, name) for name in _FACTS})
    connection.execute("INSERT INTO oscp_party(id, local_role, peer_role, name, state, created_at, updated_at, facts, token_out) "
                       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at, "
                       "facts = excluded.facts, token_out = CASE WHEN ? THEN excluded.token_out ELSE token_out END",
                       (*(getattr(party, name) for name in _KEPT), facts, token_out or "", token_out is not None))


def delete(connection: sqlite3.Connection, party_id: str) -> None:
    """The party, its tokens and what waits for it are gone; the record of messages stays."""
    connection.execute("DELETE FROM oscp_party WHERE id = ?", (party_id,))
    connection.execute("DELETE FROM oscp_seen WHERE party_id = ?", (party_id,))


def tokens(connection: sqlite3.Connection) -> list[Token]:
    return [Token(*row) for row in connection.execute(f"SELECT {', '.join(Token._fields)} FROM oscp_token")]


def put_token(connection: sqlite3.Connection, token: Token) -> None:
    connection.execute(f"INSERT OR REPLACE INTO oscp_token({', '.join(Token._fields)}) VALUES (?, ?, ?, ?, ?, ?, ?)", token)


def drop_token(connection: sqlite3.Connection, hash_text: str) -> None:
    connection.execute("DELETE FROM oscp_token WHERE hash = ?", (hash_text,))


def seen(connection: sqlite3.Connection, party_id: str, method: str, path: str, request_id: str) -> tuple[str, int, str] | None:
    """The body's hash, status and answer of a message that was answered before."""
    row = connection.execute("SELECT hash, status, body FROM oscp_seen WHERE party_id = ? AND method = ? AND path = ? AND request_id = ?",
                             (party_id, method, path, request_id)).fetchone()
    return (row[0], row[1], row[2]) if row else None


def put_seen(connection: sqlite3.Connection, party_id: str, method: str, path: str, request_id: str, hash_text: str,
             status: int, body: str,
             now: float) -> None:
    """The answer is kept for repeats."""
    connection.execute("INSERT OR REPLACE INTO oscp_seen VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (party_id, method, path, request_id, hash_text, status, body[:BODY_LENGTH_MAX], now))


def clear_seen(connection: sqlite3.Connection, party_id: str) -> None:
    connection.execute("DELETE FROM oscp_seen WHERE party_id = ?", (party_id,))


def sweep(connection: sqlite3.Connection, now: float, seen_seconds: float, message_text: str) -> int:
    """Repeats, void tokens and messages beyond their time are gone, at most a thousand of each; gives how many."""
    gone = connection.execute("DELETE FROM oscp_seen WHERE (party_id, method, path, request_id) IN (SELECT party_id, method, path, request_id "
                              "FROM oscp_seen WHERE seen_at < ? LIMIT 1000)", (now - seen_seconds,)).rowcount
    gone += connection.execute("DELETE FROM oscp_token WHERE void_at > 0 AND void_at < ?", (now - seen_seconds,)).rowcount
    return gone + connection.execute("DELETE FROM oscp_message WHERE number IN (SELECT number FROM oscp_message WHERE at < ? ORDER BY number LIMIT 1000)",
                                     (message_text,)).rowcount


def bound_seen(connection: sqlite3.Connection, party_id: str) -> None:
    """At most SEEN_MAX repeats of one party are kept, the newest."""
    row = connection.execute("SELECT seen_at FROM oscp_seen WHERE party_id = ? ORDER BY seen_at DESC LIMIT 1 OFFSET ?",
                             (party_id, SEEN_MAX)).fetchone()
    if row:
        connection.execute("DELETE FROM oscp_seen WHERE party_id = ? AND seen_at <= ?", (party_id, row[0]))


def put_message(connection: sqlite3.Connection, party_id: str, direction: str, endpoint: str, request_id: str, correlation: str,
                status: int, body: str,
                at: str) -> None:
    connection.execute("INSERT INTO oscp_message(party_id, direction, endpoint, request_id, correlation, status, body, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (party_id, direction, endpoint, request_id, correlation, status, body[:BODY_LENGTH_MAX], at))


def messages(connection: sqlite3.Connection, party_id: str, before: int, limit: int) -> list[dict[str, Any]]:
    """What was said, newest first; of one party, or of all when `party_id` is empty."""
    names = ("number", "party_id", "direction", "endpoint", "request_id", "correlation", "status", "body", "at")
    rows = connection.execute(f"SELECT {', '.join(names)} FROM oscp_message WHERE number < ? AND (? = '' OR party_id = ?) ORDER BY number DESC LIMIT ?",
                              (before, party_id, party_id, limit))
    return [dict(zip(names, row, strict=True)) for row in rows]
