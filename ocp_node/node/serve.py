"""`ocp.py serve`: one node until it is told to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from typing import Any

from ..base.log import say
from ..base.settings import Settings, operator_token
from ..http.gates import is_loopback
from .node import Node

TOKEN_LENGTH_SAFE = 16


def serve(settings: Settings, environ: Mapping[str, str]) -> int:
    """The exit code after an orderly end; `Unusable` when the node cannot start."""
    import server_contract
    advice = warnings(settings)                  # reads the token's file: before anything is made
    node = Node(settings, server_contract.ROUTES, environment=environ)
    node.open()

    def end(number: int, frame: Any) -> None:
        node.stop()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:       # under nohup it outlives its terminal
            signal.signal(number, end)
    for line in advice:
        say(line, sys.stderr)
    say(f"{node.url} node {node.core.identity.node_id} state {node.core.data}", sys.stdout)
    try:
        node.run()
    finally:
        node.close()
    return 0


def warnings(settings: Settings) -> list[str]:
    """What an operator should know about who may do what."""
    token = operator_token(settings)
    if is_loopback(settings.host):
        return []
    if not token and not settings.insecure_lan:
        return ["readable from the network; operator actions answer only on this machine "
                "(set OCP_OPERATOR_TOKEN to allow them from elsewhere)"]
    if token and len(token) < TOKEN_LENGTH_SAFE:
        return [f"WARNING: the operator token has fewer than {TOKEN_LENGTH_SAFE} characters and this node listens on the "
                "network: anyone who guesses it controls this node"]
    return []
