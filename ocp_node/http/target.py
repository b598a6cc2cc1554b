"""Where an outgoing call may go: URLs and addresses, pure.

A URL comes from a peer, a page or an operator's hand; it must not lead to the cloud's metadata service, to the router's
local names, or, unless allowed, back to this machine.  So the text is read strictly (what two readers could take for
different hosts is refused), and every address is judged after the name was resolved.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from ..base.limits import TARGET_LENGTH_MAX
from .calls import OutboundError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?")
_VISIBLE = re.compile(r"[!-~]+")
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"http": 80, "https": 443}


class Target(NamedTuple):
    """One URL, taken apart.  `host` is a name or an address without brackets, in lower case; `path` has the query."""
    scheme: str
    host: str
    port: int
    path: str
    literal: bool                    # the host is an address already

    @property
    def authority(self) -> str:
        """The value of `Host`: the port only where it is not the scheme's own."""
        return self.place if self.port != _PORTS[self.scheme] else self.place.removesuffix(f":{self.port}")

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return place_of(self.host, self.port)


def place_of(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target_of(url: str) -> Target:
    """The URL as a target; OutboundError `bad_request` or `address_refused` for what is never called."""
    if len(url) > TARGET_LENGTH_MAX or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise OutboundError("bad_request", "the URL has blanks, backslashes or letters that must be percent-encoded")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise OutboundError("bad_request", "the URL needs the form http://host or https://host")
    scheme, authority, path, query, fragment = parts.groups()
    scheme = scheme.lower()
    if scheme not in _PORTS:
        raise OutboundError("bad_request", "only http and https URLs are called")
    if "@" in authority or fragment is not None:
        raise OutboundError("bad_request", "the URL must not have user information or a fragment")
    host, port = _host_and_port(authority.lower(), _PORTS[scheme])
    host, literal = _checked_host(host)
    return Target(scheme, host, port, (path or "/") + (query or ""), literal)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    parts = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", authority)
    if parts is None or not parts[1]:
        raise OutboundError("bad_request", "the URL names no valid host and port")
    port = int(parts[2]) if parts[2] else default
    if not 0 < port < 65_536:
        raise OutboundError("bad_request", "the URL's port is out of range")
    return parts[1], port


def _checked_host(host: str) -> tuple[str, bool]:
    """The host in its one spelling, and whether it is an address."""
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(_without_zone(host[1:-1]))), True
        host = host.removesuffix(".")
        if _NUMBER.fullmatch(host.rpartition(".")[2]):           # 2130706433, 0x7f.1, 127.1: resolvers take them for addresses
            return str(ipaddress.IPv4Address(host)), True
    except ValueError:
        raise OutboundError("address_refused", "an address is written as 192.0.2.1 or [2001:db8::1]") from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise OutboundError("bad_request", "the URL's host is not a valid name (write others in their xn-- form)")
    return host, False


def _without_zone(address: str) -> str:
    if "%" in address:
        raise ValueError("a zone is a matter of one machine")
    return address


# --- addresses -----------------------------------------------------------------------------------------------------------

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Services of the machine's host that give out credentials, beyond those in 169.254/16.
_METADATA = frozenset(map(ipaddress.ip_address, (
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")))
_ZERO = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")                     # RFC 6052: the last four bytes are an IPv4 address
_SHARED = ipaddress.ip_network("100.64.0.0/10")                   # RFC 6598, also used by overlay networks
_NEVER = tuple(map(ipaddress.ip_network, (
    "192.0.0.0/24", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10")))     # assignments, dead tunnels, site-local


def address_fault(address: str, allow_loopback: bool, allow_private: bool = True) -> str:
    """Why no connection is made to the address, as a word (`link-local`, `loopback` ...); "" when it may be."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "malformed"
    return _fault(_plain(parsed), allow_loopback, allow_private)


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that leads to it, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _fault(address: Address, allow_loopback: bool, allow_private: bool) -> str:
    if address in _METADATA:
        return "metadata"
    if address.is_loopback:
        return "" if allow_loopback else "loopback"
    if address.is_unspecified or address in _ZERO:
        return "unspecified"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_reserved or any(address in network for network in _NEVER):
        return "reserved"
    if not allow_private and (address.is_private or address in _SHARED):
        return "private"
    return ""
