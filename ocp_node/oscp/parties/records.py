"""What is known of a party, and of the tokens it presents."""

from __future__ import annotations

from typing import NamedTuple


class Party(NamedTuple):
    """One registration: our role, its role, its name (OSCP 2.0, registration).

    `required_*` is what the party wants of us, `our_interval` what we asked of it; times are seconds since 1970, 0 = never.
    """
    id: str
    local_role: str
    peer_role: str
    name: str
    state: str
    created_at: str
    updated_at: str
    liveness: str = "UNKNOWN"
    dialect: str = ""
    base_url: str = ""
    version: str = ""
    required_interval: float = 0.0
    required_measurements: tuple[str, ...] = ("CONTINUOUS",)
    our_interval: float = 0.0
    our_register_id: str = ""          # X-Request-ID of our own register, which a reply names
    peer_register_id: str = ""         # of the register we answer
    replied_at: float = 0.0            # when we answered it last as one that began anew
    connecting_since: float = 0.0
    handshake_id: str = ""
    handshake_at: float = 0.0
    handshakes: int = 0                # of ours without an answer
    acknowledged_at: float = 0.0       # when it answered our handshake
    agreed_at: float = 0.0             # since when it knows what we require, by whosever handshake
    offline_at: float = 0.0
    online_after: float = 0.0
    naive_utc_offset_minutes: int = 0
    node: bool = False
    tolerated: dict[str, int] = {}
    last_in: float = 0.0
    last_out: float = 0.0
    last_error: str = ""


class Token(NamedTuple):
    """A token that a party presents, known by its SHA-256.  `void_at` is 0 while it is good."""
    hash: str
    party_id: str
    kind: str                          # A: the first register; IN: everything else
    expires_at: float
    made_at: float
    first_used_at: float = 0.0
    void_at: float = 0.0


class Sender(NamedTuple):
    """Who sent a message: proven by its token."""
    party: Party
    token: Token
