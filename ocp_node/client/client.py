"""A client of every route, from the routes themselves: `client.call("mesh.jobs.show", job_id="...")`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from ..base import jsontext
from ..base.records import encode
from ..contract.route import Auth, Route

ANSWER_BYTES_MAX = 256 * 1024 * 1024         # the largest answer is an artifact's content, base64 in JSON
OPERATOR_SURFACES = ("mesh", "node")
SHOWS_ITS_OPERATOR_MORE = frozenset({"directory.status"})     # public routes of the other surfaces


class Answer(NamedTuple):
    """What came back: `body` is a JSON value, bytes when the answer was no JSON, None when there was no body."""
    status: int
    body: Any
    headers: Mapping[str, str]               # lower-case names

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Transport(Protocol):
    """Carries one request; `http/outbound.py` is one.  Its answers have `status`, `headers` with lower-case names, `body`."""

    def request(self, method: str, url: str, *, headers: Sequence[tuple[str, str]], body: bytes | None, timeout: float,
                bytes_max: int, allow_loopback: bool) -> Any: ...


class Client:
    """Calls one node.  `token` is its operator token, `appmesh_token` a token of its App Mesh log-in."""

    def __init__(self, base_url: str, token: str = "", appmesh_token: str = "", timeout: float = 30.0,
                 transport: Transport | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.token = token
        self.appmesh_token = appmesh_token
        self.timeout = timeout
        self._transport = transport or _outbound()

    def call(self, route_id: str, body: Any = None, headers: Mapping[str, str] | None = None, **parameters: Any) -> Answer:
        """The node's answer, whatever its status; `OutboundError` when there is none.

        `parameters` fill the path and then the query; None counts as not given.  `body` is a record, a JSON value or bytes.
        """
        route = find(route_id)
        raw = body if body is None or isinstance(body, bytes) else jsontext.compact(encode(body))
        sent = {**self._headers(route, body), **(headers or {})}
        got = self._transport.request(route.method, self.base_url + target(route, parameters), headers=tuple(sent.items()),
                                      body=raw, timeout=self.timeout, bytes_max=ANSWER_BYTES_MAX, allow_loopback=True)
        return Answer(got.status, _read(got.body, got.headers.get("content-type", "")), got.headers)

    def _headers(self, route: Route, body: Any) -> dict[str, str]:
        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        if route.auth is Auth.APPMESH and self.appmesh_token:
            headers["Authorization"] = f"Bearer {self.appmesh_token}"
        elif self.token and (route.surface in OPERATOR_SURFACES or route.auth is Auth.LOCAL_ADMIN
                             or route.id in SHOWS_ITS_OPERATOR_MORE):
            headers["X-OCP-Operator-Token"] = self.token
        return headers


def find(route_id: str) -> Route:
    """The route of that id, from its room alone.  KeyError when there is none."""
    room = route_id.rpartition(".")[0]
    try:
        routes: tuple[Route, ...] = importlib.import_module(f"ocp_node.{room}.routes").ROUTES
    except (ImportError, AttributeError):
        raise KeyError(route_id) from None
    for route in routes:
        if route.id == route_id:
            return route
    raise KeyError(route_id)


def target(route: Route, parameters: Mapping[str, Any]) -> str:
    """Path and query with the parameters filled in; TypeError names one that the path needs and nobody gave."""
    left = {name: _text(value) for name, value in parameters.items() if value is not None}
    parts = []
    for part in route.path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}").removesuffix("...")
            if not left.get(name):
                raise TypeError(f"{route.id} needs {name}")
            part = quote(left.pop(name), safe="/" if part.endswith("...}") else "")
        parts.append(part)
    return "/".join(parts) + ("?" + urlencode(left) if left else "")


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _read(raw: bytes, media_type: str) -> Any:
    if not raw:
        return None
    if media_type.partition(";")[0].strip() in ("application/json", "application/manifest+json"):
        return jsontext.parse(raw)
    return bytes(raw)


def _outbound() -> Transport:
    from ..base.clock import Clock
    from ..base.log import silent
    from ..http.outbound import Outbound
    return Outbound(Clock(), silent(), "ocp-client")
