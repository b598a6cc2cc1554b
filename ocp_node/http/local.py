"""What this machine is called and which addresses it has, without asking a name server."""

from __future__ import annotations

import socket

ADDRESSES_MAX = 32


def host_name() -> str:
    """The machine's own name, lower-case; "" when it has none."""
    try:
        return socket.gethostname().lower()
    except OSError:
        return ""


def local_addresses() -> tuple[str, ...]:
    """The machine's addresses beyond loopback and link-local, the one that outgoing connections use first."""
    outgoing = (_towards(socket.AF_INET, "192.0.2.1"), _towards(socket.AF_INET6, "2001:db8::1"))
    found = [*outgoing, *_ipv4_of_interfaces(), *_ipv6_of_system()]
    return tuple(dict.fromkeys(address for address in found if address and _shown(address)))[:ADDRESSES_MAX]


def _shown(address: str) -> bool:
    return not address.startswith(("127.", "169.254.", "0.", "fe8", "fe9", "fea", "feb")) and address not in ("::1", "::")


def _towards(family: int, beyond: str) -> str:
    """Our address on the way to `beyond` (a documentation address, RFC 5737 and RFC 3849); no packet is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((beyond, 9))
            return str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return ""


def _ipv4_of_interfaces() -> list[str]:
    return [address for _, address in _ipv4_by_interface()]


def _ipv4_by_interface() -> list[tuple[str, str]]:
    """The first IPv4 address of each interface (Linux; elsewhere none)."""
    try:
        import fcntl
        names = [name for _, name in socket.if_nameindex()][:ADDRESSES_MAX]
    except (ImportError, OSError, AttributeError):
        return []
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name in names:
            try:
                answer = fcntl.ioctl(probe.fileno(), 0x8915, name.encode()[:15].ljust(256, b"\0"))     # SIOCGIFADDR
                addresses.append((name, socket.inet_ntoa(answer[20:24])))
            except OSError:
                continue
    return addresses


def _ipv6_of_system() -> list[str]:
    return [address for _, address in _ipv6_by_interface()]


def _ipv6_by_interface() -> list[tuple[str, str]]:
    """The IPv6 addresses that Linux lists; elsewhere none."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:
            words = [line.split() for line in lines]
            return [(each[5], socket.inet_ntop(socket.AF_INET6, bytes.fromhex(each[0]))) for each in words]
    except (OSError, ValueError, IndexError):
        return []


def interfaces() -> list[tuple[str, str]]:
    """Each interface with its addresses beyond loopback, those of one link included."""
    found = [*_ipv4_by_interface(), *_ipv6_by_interface()]
    return [(name, address) for name, address in found if not address.startswith("127.") and address not in ("::1", "::")][:ADDRESSES_MAX]
