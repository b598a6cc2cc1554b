"""The node that a verb speaks to: its address, what proves us, and how its answers become lines and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.clock import Clock
from ..base.errors import Malformed
from ..base.log import silent
from ..base.setting import WrongUse
from ..base.settings import Settings, operator_token, secret_line
from ..client.client import Answer, Client
from ..http.gates import is_loopback
from ..http.outbound import Outbound, OutboundError
from ..http.target import target_of
from . import arguments, outcome, output

SECONDS = 30.0
WILDCARDS = ("", "0.0.0.0", "::")


class Node:
    """Asks one node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.url = client.base_url

    def ask(self, route_id: str, body: Any = None, **parameters: Any) -> Answer:
        """The node's answer, whatever its status.  `Unreachable` when there is none."""
        try:
            return self._client.call(route_id, body, **parameters)
        except OutboundError as fault:
            if fault.kind == "bad_request":
                raise WrongUse(f"{self.url}: {fault.message}") from None
            raise outcome.Unreachable(f"{self.url} does not answer: {fault.message}") from None
        except Malformed:
            raise outcome.Unreachable(f"{self.url} answers, but not as a node does") from None

    def alive(self) -> bool:
        """Whether a node answers there."""
        try:
            return self.ask("node.health.live").ok
        except outcome.Unreachable:
            return False


def add_arguments(parser: arguments.Parser) -> None:
    """The options that say which node, and as whom."""
    parser.add_argument("--url", default="", help="another node (default: the one that these settings describe)")
    parser.add_argument("--token", default="", help="operator token; others on this machine can read it while this runs")
    parser.add_argument("--token-file", default="", metavar="FILE", help="file whose first line is the operator token")
    parser.add_argument("--pin", default="", metavar="SHA256", help="with --url: the fingerprint that its certificate must have")
    parser.add_argument("--timeout", type=arguments.amount, default=SECONDS, metavar="SECONDS",
                        help=f"wait so long (default: {SECONDS:g})")


def named(own: argparse.Namespace, settings: Settings, appmesh_token: str = "") -> Node:
    """The node that the arguments name.

    The token of the settings is this node's own: it is never sent to an address that was given by hand.
    """
    token = own.token or (secret_line(own.token_file, "--token-file") if own.token_file else "")
    if own.url and (token or appmesh_token):
        _check_secrecy(own.url, settings)
    if own.url:
        return Node(Client(own.url, token, appmesh_token, own.timeout, _Pinned(own.pin)))
    return of(settings, token, appmesh_token, own.timeout)


def of(settings: Settings, token: str = "", appmesh_token: str = "", timeout: float = SECONDS) -> Node:
    """The node that the settings describe; its certificate is known by its fingerprint."""
    transport = _Pinned(_fingerprint(settings))
    return Node(Client(own_url(settings), token or operator_token(settings), appmesh_token, timeout, transport))


def own_url(settings: Settings) -> str:
    """Where the node that these settings describe listens, as seen from this machine."""
    if settings.port == 0:
        raise WrongUse("the settings name port 0, any free one; say where the node is with --url")
    host = settings.host
    if host in WILDCARDS:
        host = "::1" if host == "::" else "127.0.0.1"
    scheme = "https" if settings.tls_cert or settings.tls_self_signed else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _fingerprint(settings: Settings) -> str:
    path = settings.tls_cert or (os.path.join(settings.data_dir, "tls", "node.crt") if settings.tls_self_signed else "")
    if not path or not os.path.exists(path):
        return ""
    from ..http import tls
    return tls.fingerprint(Path(path))


def _check_secrecy(url: str, settings: Settings) -> None:
    try:
        target = target_of(url)
    except OutboundError as fault:
        raise WrongUse(f"{url[:200]!r}: {fault.message}") from None
    private = target.scheme == "https" or target.host == "localhost" or is_loopback(target.host)
    if not private and not settings.allow_plain_token:
        raise WrongUse(f"a token would travel readable to {target.host}; use https, or allow it with --allow-plain-token")


class _Pinned:
    """Carries requests; where a fingerprint is known it judges the certificate, not the authorities."""

    def __init__(self, pin: str) -> None:
        self._transport = Outbound(Clock(), silent(), "ocp-cli")
        self._pin = pin

    def request(self, method: str, url: str, **how: Any) -> Any:
        return self._transport.request(method, url, pin_sha256=self._pin, **how)


def show(answer: Answer, as_json: bool) -> int:
    """The answer on standard output, what is wrong with it on standard error; the exit code that fits."""
    if as_json:
        body = answer.body if not isinstance(answer.body, bytes) else answer.body.decode("utf-8", "replace")
        output.document({"status": answer.status, "body": body})
    elif isinstance(answer.body, bytes):
        sys.stdout.flush()
        sys.stdout.buffer.write(answer.body)
        sys.stdout.buffer.flush()
    elif answer.body is not None:
        output.document(answer.body)
    if answer.ok:
        return outcome.OK
    print(f"ocp: {answer.status} {output.clean(reason(answer.body))}".rstrip(), file=sys.stderr)
    return outcome.PLANNED if answer.status == 501 else outcome.REFUSED


def reason(body: Any) -> str:
    """The error text of whatever dialect the answer speaks."""
    if isinstance(body, Mapping):
        texts = [body.get(name) for name in ("error", "message", "reason", "code")]
        return next((text[:300] for text in texts if isinstance(text, str)), "")
    return ""
