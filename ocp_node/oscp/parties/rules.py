"""Registration as rules: states, tokens, versions, base URLs, liveness."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping, Sequence

from ...base.errors import Refusal
from ...http.calls import OutboundError
from ...http.target import Target, target_of
from .records import Party, Token

VERSION = "2.0"
TOKEN_A_SECONDS = 7 * 86_400.0
VOID_KEPT_SECONDS = 86_400.0           # a repeat of what used a token up still gets its answer
CONNECT_SECONDS = 60.0
REPLY_GUARD_SECONDS = 60.0
OLDER_TOKEN_SECONDS = 600.0
BASE_URL_LENGTH_MAX = 2048

# (state, event) -> state; what is not here is refused.
STEPS: Mapping[tuple[str, str], str] = {
    ("INVITED", "registers"): "REPLYING", ("INVITED", "expires"): "FAILED", ("INVITED", "connect"): "CONNECTING",
    ("CONNECTING", "replied"): "REGISTERED", ("CONNECTING", "fails"): "FAILED", ("CONNECTING", "connect"): "CONNECTING",
    ("CONNECTING", "registers"): "REPLYING",
    ("REPLYING", "registers"): "REPLYING", ("REPLYING", "taken"): "REGISTERED", ("REPLYING", "fails"): "FAILED",
    ("REPLYING", "replied"): "REGISTERED",
    ("REGISTERED", "removed"): "UNREGISTERED", ("REGISTERED", "refused"): "AUTH_FAILED",
    ("REGISTERED", "registers"): "REGISTERED",
    ("REGISTERED", "replied"): "REGISTERED", ("REGISTERED", "replaced"): "REGISTERED", ("REGISTERED", "taken"): "REGISTERED",
    ("AUTH_FAILED", "registers"): "REGISTERED", ("AUTH_FAILED", "replaced"): "REGISTERED",
    ("AUTH_FAILED", "replied"): "REGISTERED",
    ("AUTH_FAILED", "connect"): "CONNECTING", ("AUTH_FAILED", "retry"): "REGISTERED", ("AUTH_FAILED", "removed"): "UNREGISTERED",
    ("FAILED", "registers"): "REPLYING", ("FAILED", "connect"): "CONNECTING", ("UNREGISTERED", "connect"): "CONNECTING",
    ("REPLYING", "removed"): "UNREGISTERED", ("CONNECTING", "removed"): "UNREGISTERED",
}
KNOWN = ("REGISTERED", "AUTH_FAILED")          # both have had tokens of each other: a register is a reply, or begins anew
STATES = ("INVITED", "CONNECTING", "REPLYING", "REGISTERED", "AUTH_FAILED", "FAILED", "UNREGISTERED")
# Our role and the roles that may be registered with it (OSCP 2.0, endpoints).
PARTNERS: Mapping[str, tuple[str, ...]] = {"fp": ("cp", "co"), "cp": ("fp",), "co": ("fp",)}

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_TOKEN = re.compile(r"[!-~]{1,256}")


def is_request_id(text: str) -> bool:
    """1 to 128 visible ASCII characters."""
    return _REQUEST_ID.fullmatch(text) is not None


def presented(authorization: str) -> str:
    """The token of an `Authorization` value of the form `Token X` or `Bearer X`; "" for anything else."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() in ("token", "bearer") and _TOKEN.fullmatch(token.strip()) else ""


def step(party: Party, event: str) -> str:
    """The state after `event`, or Refusal `invalid_state`."""
    after = STEPS.get((party.state, event))
    if after is None:
        raise Refusal("invalid_state", f"a party that is {party.state} cannot be told that: {event}")
    return after


def after(party: Party, event: str) -> Party:
    """The party after `event`; what was agreed is agreed again where it has begun anew, or knows us again.  Refusal as `step`."""
    moved = party._replace(state=step(party, event))
    begins = moved.state == "REGISTERED" and (party.state != "REGISTERED" or event == "registers")
    return afresh(moved) if begins else moved


def afresh(party: Party) -> Party:
    """Nothing counts as agreed: the next handshake is due."""
    return party._replace(handshake_id="", handshake_at=0.0, handshakes=0, acknowledged_at=0.0, agreed_at=0.0)


def opens(token: Token, party: Party, endpoint: str, now: float) -> str:
    """Why a token does not open an endpoint: "" (it does), `unauthorized`, or `not_registered`.

    A void token opens `register` alone, and only for the repeat of what made it void.
    """
    if token.void_at:
        return "" if endpoint == "register" and now - token.void_at < VOID_KEPT_SECONDS else "unauthorized"
    if token.expires_at and now >= token.expires_at:
        return "unauthorized"
    if token.kind == "A":
        return "" if endpoint == "register" else "not_registered"
    if party.state in ("REGISTERED", "AUTH_FAILED", "REPLYING"):
        return ""
    return "" if party.state == "CONNECTING" and endpoint == "register" else "not_registered" if party.state == "CONNECTING" else "unauthorized"


def chosen(offers: Sequence[tuple[str, str]]) -> str:
    """The base URL of the version to speak, of `(version, base URL)` pairs; Refusal `no_version` when none is ours."""
    for version, base_url in offers:
        if version == VERSION:
            return base_url
    raise Refusal("no_version", f"no common OSCP version; supported: {VERSION}")


def base_url(text: str, own: Collection[str], *, hosts: Collection[str] = (), allow_http: bool = False) -> str:
    """The base URL without its last slashes, or Refusal: nothing that leads into link-local networks, or back to our own role."""
    url = text.rstrip("/")
    try:
        target = target_of(url)
    except OutboundError as fault:
        raise Refusal("invalid_request", f"base_url: {fault}") from None
    if len(text) > BASE_URL_LENGTH_MAX or "?" in url:
        raise Refusal("invalid_request", "base_url: too long, or with a query")
    if url in own:
        raise Refusal("invalid_request", "base_url: it is this node's own")
    if target.literal and _never(target.host):
        raise Refusal("invalid_request", "base_url: this address is never called")
    if target.scheme == "http" and not (allow_http or _near(target)):
        raise Refusal("invalid_request", "base_url: https is needed for a public host")
    if hosts and target.host not in {host.lower() for host in hosts}:
        raise Refusal("invalid_request", "base_url: this host is not among the allowed ones")
    return url


def _never(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _near(target: Target) -> bool:
    """Plain HTTP is for this machine, private networks and names that only exist inside."""
    if target.literal:
        address = ipaddress.ip_address(target.host.partition("%")[0])
        return address.is_loopback or address.is_private
    return "." not in target.host or target.host.endswith((".local", ".internal", ".localhost"))


def tolerated(party: Party, what: str) -> Party:
    """A deviation that was let through, counted for the operator."""
    return party._replace(tolerated={**party.tolerated, what: party.tolerated.get(what, 0) + 1})
