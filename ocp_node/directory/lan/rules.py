"""What a node says of itself on the local network, and how the words of `avahi-browse` are read.  Pure.

Anyone on the network can say anything here: what is found is a hint where to look, never who is there.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SERVICE = "_ocp._tcp"                # DNS-SD (RFC 6763)
NAME_BYTES_MAX = 63
TEXT_BYTES_MAX = 255                 # one string of a TXT record, name and value
FOUND_MAX = 1_000
_ESCAPE = re.compile(rb"\\([0-9]{3}|.)", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


class Found(NamedTuple):
    """A node that announces itself."""
    name: str
    address: str
    port: int
    scheme: str
    node_id: str
    did: str

    @property
    def base_url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}"


def announcement(program: str, name: str, port: int, scheme: str, node_id: str, did: str) -> list[str]:
    """The command that announces this node for as long as it runs."""
    texts = [f"scheme={scheme}", f"node={node_id}", f"did={did}"]
    short = name.encode()[:NAME_BYTES_MAX].decode("utf-8", "ignore") or "node"
    return [program, "--service", "--", short, SERVICE, str(port), *(text for text in texts
                                                                     if len(text.encode()) <= TEXT_BYTES_MAX)]


def browsing(program: str) -> list[str]:
    """The command that says once who is there."""
    return [program, "--resolve", "--parsable", "--terminate", "--no-db-lookup", SERVICE]


def read(output: str, own_did: str) -> list[Found]:
    """Every node of the output but this one, once for each name; IPv4 is preferred, link-local IPv6 cannot be called."""
    found: dict[str, Found] = {}
    for line in output.splitlines():
        node = _line(line)
        if node is None or node.did and node.did == own_did:
            continue
        known = found.get(node.name)
        if known is None and len(found) < FOUND_MAX or known is not None and ":" in known.address and ":" not in node.address:
            found[node.name] = node
    return list(found.values())


def _line(line: str) -> Found | None:
    parts = line.split(";", 9)
    if len(parts) < 9 or parts[0] != "=" or not parts[8].isdigit() or not 0 < int(parts[8]) < 65_536:
        return None
    address = parts[7].lower()
    if address.startswith(("fe80:", "127.", "169.254.")) or address == "::1" or not re.fullmatch(r"[0-9a-f.:]{2,45}", address):
        return None
    texts = _texts(parts[9]) if len(parts) == 10 else {}
    return Found(_plain(parts[3]), address, int(parts[8]), "https" if texts.get("scheme") == "https" else "http",
                 _label(texts.get("node", "")), _label(texts.get("did", "")))


def _texts(field: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for string in _STRING.findall(field):
        name, _, value = _plain(string).partition("=")
        texts.setdefault(name.lower(), value)          # the first of a name counts (RFC 6763 section 6.4)
    return texts


def _label(text: str) -> str:
    return text if _LABEL.match(text) else ""


def _plain(escaped: str) -> str:
    """The text behind `\\059` and `\\"`: bytes by their decimal number, others as they are."""
    def byte(found: re.Match[bytes]) -> bytes:
        digits = found[1]
        return bytes([int(digits)]) if len(digits) == 3 and int(digits) < 256 else digits
    return _ESCAPE.sub(byte, escaped.encode()).decode("utf-8", "replace")


def trouble(code: int, output: str) -> str:
    """Why nothing could be learned, "" when something could."""
    if code == 0:
        return ""
    if "Daemon not running" in output:
        return "the Avahi daemon does not run on this machine"
    return f"avahi-browse failed: {' '.join(output.split())[:200] or f'exit code {code}'}"
