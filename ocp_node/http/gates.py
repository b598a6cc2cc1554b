"""Who may call: one gate per `Auth` value.  A source address alone proves little: a page in the operator's browser also
posts from loopback, so the privilege of loopback needs an honest `Host`, no foreign `Origin`, and no proxy in front."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..base import limits
from ..base.clock import Clock
from ..base.compare import same
from ..base.errors import Refusal
from ..contract.route import Auth, Caller, Route
from .wire import Head, host_name

TOKEN_HEADERS = ("x-ocp-operator-token", "x-ocp-control-token", "authorization")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "ip6-localhost"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

SurfaceGate = Callable[[Route, Head, Caller], None]      # sets caller.subject, or raises Refusal


def is_loopback(address: str) -> bool:
    """A loopback address, IPv4-mapped ones included; an empty or odd text is none."""
    if address in ("127.0.0.1", "::1"):
        return True
    import ipaddress
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)


class Failures:
    """Failed log-ins by address, bounded; past the limit of a minute the caller must wait."""

    def __init__(self, clock: Clock, per_minute: int = limits.FAILURES_PER_MINUTE) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._counts: dict[str, tuple[float, int]] = {}

    def check(self, address: str) -> None:
        """Refusal `rate_limited` while the address has used up its failures."""
        since, count = self._counts.get(address, (0.0, 0))
        left = 60.0 - (self._clock.monotonic() - since)
        if count >= self._per_minute and left > 0:
            raise Refusal("rate_limited", "too many failed attempts", headers=(("Retry-After", str(int(left) + 1)),))

    def add(self, address: str) -> None:
        """One more failure of this address."""
        now = self._clock.monotonic()
        since, count = self._counts.pop(address, (now, 0))
        if now - since > 60.0:
            since, count = now, 0
        if len(self._counts) >= limits.FAILURE_ADDRESSES_MAX:
            self._counts.pop(next(iter(self._counts)))
        self._counts[address] = (since, count + 1)


class Gates:
    """The gates of one node.  `hosts` are the names under which it may be addressed, beside loopback and its own addresses."""

    def __init__(self, clock: Clock, *, operator_token: str = "", hosts: Iterable[str] = (), trusted_proxies: Iterable[str] = (),
                 read_auth: str = "open") -> None:
        self._token = operator_token.encode()
        self._hosts = frozenset(host_name(host) for host in hosts if host) | LOOPBACK_NAMES
        self._proxies = frozenset(trusted_proxies)
        self._read_token = read_auth == "token"
        self._failures = Failures(clock)
        self._surfaces: dict[Auth, SurfaceGate] = {}

    @property
    def has_token(self) -> bool:
        return bool(self._token)

    def add(self, auth: Auth, gate: SurfaceGate) -> None:
        """A surface's own credential is proven by `gate`."""
        self._surfaces[auth] = gate

    def caller(self, address: str, secure: bool, head: Head) -> Caller:
        """Who is at the other end, as far as the connection and the head tell."""
        headers = head.headers
        if head.forwarded and address in self._proxies:
            address = self._hop(headers.get("x-forwarded-for", ""), address)
        loopback = is_loopback(address) and not head.forwarded    # whatever a proxy says of who stands behind it, it is not us
        caller = Caller(address, loopback, secure)
        if self._token:
            caller.operator = self._presented(headers) == "right"
            caller.loopback = loopback and self._honest(head)
        else:
            caller.loopback = caller.operator = loopback and self._honest(head)
        return caller

    def _hop(self, chain: str, address: str) -> str:
        """The right-most hop that is not a trusted proxy itself."""
        for hop in reversed([hop.strip() for hop in chain.split(",") if hop.strip()]):
            if hop not in self._proxies:
                return hop
        return address

    def _honest(self, head: Head) -> bool:
        return head.host in LOOPBACK_NAMES and self._own_origin(head)

    def _presented(self, headers: Mapping[str, str]) -> str:
        """`none`, `right` or `wrong`: only the first token header that is not empty counts."""
        for name in TOKEN_HEADERS:
            value = headers.get(name, "").strip()
            if value[:7].lower() == "bearer ":
                value = value[7:].strip()
            if value:
                return "right" if self._token and same(value.encode("latin-1", "replace"), self._token) else "wrong"
        return "none"

    def check_host(self, head: Head) -> None:
        """Refusal when the request is addressed to a name that is not ours: DNS rebinding ends here."""
        if head.host and head.host not in self._hosts:
            raise Refusal("host_not_allowed", "host not allowed")

    def check_origin(self, head: Head) -> None:
        """Refusal when an unsafe request comes from a foreign page; an upgrade is unsafe, as no browser asks before it sends one."""
        if (head.method not in SAFE_METHODS or "upgrade" in head.headers) and not self._own_origin(head):
            raise Refusal("origin_not_allowed", "origin not allowed")

    def _own_origin(self, head: Head) -> bool:
        if head.headers.get("sec-fetch-site", "").lower() == "cross-site":
            return False
        origin = head.headers.get("origin")
        if origin is None:
            return True
        scheme, mark, authority = origin.partition("://")
        if not mark or scheme not in ("http", "https") or host_name(authority) not in self._hosts:
            return False
        return _port(authority, scheme) == _port(head.headers.get("host", ""), scheme)

    def answers_all_alike(self, route: Route) -> bool:
        """A public route whose answer no credential changes."""
        return not (self._read_token and route.surface == "mesh" and not _always_open(route.path))

    def admit(self, route: Route, head: Head, caller: Caller) -> None:
        """The caller has what the route demands, or Refusal `unauthorized` (401) or `rate_limited` (429)."""
        auth = route.auth
        if auth is Auth.PUBLIC:
            if self._read_token and route.surface == "mesh" and not _always_open(route.path):
                self.require_operator(head, caller)
        elif auth is Auth.OPERATOR or auth is Auth.LOCAL_ADMIN:
            self.require_operator(head, caller)
        elif auth in self._surfaces:
            self._surfaces[auth](route, head, caller)
        elif auth is Auth.APPMESH or auth is Auth.OSCP:
            raise Refusal("unauthorized", "nobody can log in here")     # the surface that proves this credential is not running

    def require_operator(self, head: Head, caller: Caller) -> None:
        """The caller is an operator, or Refusal `unauthorized` (401); wrong tokens are counted, too many are `rate_limited` (429)."""
        if caller.operator:
            return
        self._failures.check(caller.address)
        if self._token and self._presented(head.headers) == "wrong":
            self._failures.add(caller.address)
        raise unauthorized(head, caller, self.has_token)


def unauthorized(head: Head, caller: Caller, token_configured: bool) -> Refusal:
    """The mesh's refusal of an operator route (`ocp-core` section 8.2)."""
    detail = ("set OCP_OPERATOR_TOKEN and send X-OCP-Operator-Token or Authorization Bearer credentials" if token_configured
              else "raw mesh mutation routes are limited to loopback unless OCP_OPERATOR_TOKEN is configured")
    return Refusal("unauthorized", "operator authorization required",
                   {"method": head.method, "path": head.path, "client_address": caller.address, "detail": detail},
                   (("WWW-Authenticate", 'Bearer realm="ocp"'),))


def _always_open(path: str) -> bool:
    return path in ("/mesh/manifest", "/mesh/identity", "/mesh/contract", "/mesh/device-profile", "/mesh/stream",
                    "/mesh/jobs/{job_id}")


def _port(authority: str, scheme: str) -> str:
    tail = authority.rpartition("]")[2] if authority.startswith("[") else authority
    port = tail.rpartition(":")[2] if ":" in tail else ""
    return port or ("443" if scheme == "https" else "80")


