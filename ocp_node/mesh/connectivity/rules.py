"""Where this node can be reached and where others may be (OCP 0.1 connectivity); pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Members = dict[str, Any]
WILDCARDS = ("0.0.0.0", "::", "")
NETWORKS = (28, 24)                    # prefixes whose addresses are near


def lan_urls(bind_host: str, port: int, scheme: str, local_ipv4: Sequence[str]) -> list[str]:
    """The URLs under which other machines reach this node: none on loopback, one for each address of a wildcard."""
    if bind_host in WILDCARDS:
        return [f"{scheme}://{address}:{port}" for address in local_ipv4]
    if is_loopback(bind_host):
        return []
    return [f"{scheme}://[{bind_host}]:{port}" if ":" in bind_host else f"{scheme}://{bind_host}:{port}"]


def is_loopback(host: str) -> bool:
    """Is the bind address one that only this machine reaches?"""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def share_advice(bind_host: str, local_ipv4: Sequence[str]) -> str:
    """What keeps other devices away, "" when nothing does."""
    if not local_ipv4:
        return "This device has no IPv4 address on a network yet: check Wi-Fi or Ethernet before setting up devices nearby."
    if is_loopback(bind_host):
        return "This node only listens on this device. Start it with OCP_HOST=0.0.0.0 to reach it from other devices."
    return ""


def ipv4_only(addresses: Iterable[str]) -> list[str]:
    """The IPv4 addresses among them."""
    return [address for address in addresses if ":" not in address]


def neighbours(address: str) -> Iterator[str]:
    """The addresses around `address`: those of its /28, then of its /24; nearest first, of two equally near the lower first."""
    try:
        own = int(ipaddress.IPv4Address(address))
    except ValueError:
        return
    seen = {own}
    for prefix in NETWORKS:
        size = 1 << 32 - prefix
        start = own - own % size
        for number in sorted(range(start + 1, start + size - 1), key=lambda number: (abs(number - own), number)):
            if number not in seen:
                seen.add(number)
                yield str(ipaddress.IPv4Address(number))


def scan_urls(peers: Iterable[str], candidates: Iterable[str], local_ipv4: Sequence[str], port: int, limit: int,
              own_urls: Iterable[str]) -> list[str]:
    """Where nodes may be: where peers and candidates are said to be, then the neighbours of this machine's addresses."""
    own = {*own_urls, *(f"http://{address}:{port}" for address in local_ipv4)}
    found: dict[str, None] = {}
    for url in _suggested(peers, candidates, local_ipv4, port):
        if len(found) >= limit:
            break
        if url not in own and url.startswith(("http://", "https://")):
            found[url] = None
    return list(found)


def _suggested(peers: Iterable[str], candidates: Iterable[str], local_ipv4: Sequence[str], port: int) -> Iterator[str]:
    for url in (*peers, *candidates):
        yield url.rstrip("/")
    for address in local_ipv4:
        for neighbour in neighbours(address):
            yield f"http://{neighbour}:{port}"
