"""Which URLs are tried (OCP 0.1 seek); pure."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ...base.errors import Refusal

SEEK_URLS_MAX = 256
SCAN_URLS_MAX = 64
URL_LENGTH_MAX = 2_048
CIDR_LENGTH_MAX = 64


def wanted_urls(base_urls: Iterable[str], hosts: Iterable[str], cidr: str, port: int, limit: int,
                skip: Collection[str] = ()) -> list[str]:
    """The URLs to try, each once: those given, then hosts, then every address of the network; at most `limit`, never above 256.

    A network is only walked as far as its addresses are wanted.  `Refusal` for what is no network.
    """
    network = _network(cidr.strip())
    given = itertools.chain(map(_url, base_urls), (_host_url(host, port) for host in hosts),
                            (_host_url(str(one), port) for one in network))
    found: dict[str, None] = {}
    for url in itertools.islice(given, 20_000):               # what is skipped or repeated must not make this long
        if url and url not in skip:
            found[url] = None
            if len(found) >= max(1, min(limit, SEEK_URLS_MAX)):
                break
    return list(found)


def _url(text: str) -> str:
    url = text.strip()[:URL_LENGTH_MAX + 1].rstrip("/")
    return url if "://" in url or not url else f"http://{url}"


def _host_url(host: str, port: int) -> str:
    host = host.strip()[:URL_LENGTH_MAX]
    if not host or "://" in host:
        return _url(host)
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") and _is_ipv6(host) else f"http://{host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _network(cidr: str) -> Iterator[Any]:
    if not cidr:
        return iter(())
    try:
        return iter(ipaddress.ip_network(cidr[:CIDR_LENGTH_MAX], strict=False).hosts())
    except ValueError:
        raise Refusal("invalid_request", "cidr must be an IPv4 or IPv6 network") from None

