"""Whether an address can be listened on, asked before a node tries to."""

from __future__ import annotations

import errno
import socket

TAKEN = "it is taken by another program"
_WORDS = {
    errno.EADDRINUSE: TAKEN,
    errno.EACCES: "there is no permission to listen on it",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
}


def fault(host: str, port: int) -> str:
    """What keeps a server from listening there, or ""; the port is free again when this returns."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
            trial.listen(1)
    except socket.gaierror:
        return "this name has no address"
    except OSError as failed:
        return _WORDS.get(failed.errno or 0, failed.strerror or "it cannot be used")
    return ""
