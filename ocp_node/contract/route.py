"""A route is one method and path with every fact about it; nothing else in the program lists routes.

Everything a route needs at run time is found from its id: `mesh.jobs.submit` is the function `submit` of
`ocp_node/mesh/jobs/room.py`, its records stand in `ocp_node/mesh/jobs/records.py`.  Both are imported at the first
call (or by the warm-up after the first answer), because defining a record costs a millisecond and a node has hundreds.
For the same reason what stands here is made of named tuples.
"""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..http.lanes import BodyReader


class Auth(enum.Enum):
    """Who may call; one gate per value (`http/gates.py`).  A route without one cannot be written."""
    PUBLIC = "public"
    OPERATOR = "operator"
    SIGNED = "signed"                                  # the body brings its own credential; the room verifies it
    SIGNED_OR_OPERATOR = "signed_or_operator"
    ARTIFACT_CONTENT = "artifact_content"              # the room decides by the artifact's policy and the grant shown
    APPMESH = "appmesh"                                # a token of the App Mesh surface, with `needs` as permission
    OSCP = "oscp"                                      # the token of a registered party
    LOCAL_ADMIN = "local_admin"                        # our own operator routes of the oscp and directory surfaces


class Lane(enum.Enum):
    """Where the handler runs (`http/lanes.py`)."""
    INLINE = "inline"      # on the loop: bounded, never waits -> Reply
    WRITE = "write"        # on the loop: describes one durable change -> Write
    WORKER = "worker"      # a small pool: waits or burns -> Reply or Write
    # a thread of its own budget: run-and-wait, upload, download -> Reply (body may be a File or an iterator)
    LONG = "long"
    STREAM = "stream"      # on the loop: what the caller wants to hear -> Reply, Wait, Events or WebSocket


class Stability(enum.Enum):
    STABLE = "stable"
    BETA = "beta"
    PLANNED = "planned"    # declared, not built yet: answers 501


_NONE: Mapping[str, Any] = MappingProxyType({})


class Route(NamedTuple):
    """One method and path.  `handler` is a function name of the room, or "" while the route is planned."""
    id: str                                            # "mesh.jobs.submit": client method, CLI verb, docs anchor, metric label
    method: str
    path: str                                          # "/mesh/jobs/{job_id}"; a "{name...}" may hold slashes
    summary: str                                       # a sentence
    auth: Auth
    lane: Lane
    handler: str
    reply: str = ""                                    # record of the answer, "" = none; "Name" of the room's records.py
    query: str = ""
    body: str = ""                                     # record of the request body; "" = no body is read
    body_bytes_max: int = 64 * 1024
    body_raw: bool = False                             # the handler wants `call.raw` (a directory keeps bytes as they came)
    body_stream: bool = False                          # Lane.LONG only: the body is not read before the handler runs
    refusals: Mapping[str, int] = _NONE    # refusal code -> status, where the surface's own table differs
    cached: bool = False                               # GET, public, same answer for every caller: kept as bytes per commit
    static: bool = False                               # cached, and the same as long as the process runs
    needs: str = ""                                    # permission on App Mesh
    stability: Stability = Stability.STABLE
    contract: Mapping[str, Any] = _NONE    # what /mesh/contract must print and cannot be derived
    extra: bool = False                                # mesh only: our own route outside the published 94

    @property
    def surface(self) -> str:
        return self.id.split(".", 1)[0]

    @property
    def template(self) -> str:
        """The path as documents print it."""
        return self.path.replace("...}", "}")

    @property
    def room(self) -> str:
        """`mesh.jobs` of `mesh.jobs.submit`; the folder with dots."""
        return self.id.rsplit(".", 1)[0]

    def function(self) -> Callable[..., Any]:
        """The handler itself."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"ocp_node.{self.room}.room"), self.handler)
        return found

    def record(self, name: str) -> type:
        """The record class of that name: of the room, or `module:Name` for one that rooms share."""
        from ..base import records
        if name in ("", "Nothing"):
            return records.Nothing
        if name == "Anything":
            return records.Anything
        module, _, member = name.rpartition(":")
        found: type = getattr(importlib.import_module(f"ocp_node.{module}" if module else f"ocp_node.{self.room}.records"),
                              member)
        return found


class Caller:
    """Who is asking, as far as it has been proven."""

    __slots__ = ("address", "loopback", "secure", "operator", "subject")

    def __init__(self, address: str, loopback: bool, secure: bool = False, operator: bool = False, subject: Any = None) -> None:
        self.address = address                         # of the socket's peer (or of the hop before a trusted proxy)
        self.loopback = loopback                       # a loopback address, and no sign of a proxy in front
        self.secure = secure                           # over TLS
        self.operator = operator                       # operator authorisation holds for this request
        self.subject = subject                         # what a surface's own gate found: App Mesh session, OSCP party

    @property
    def trusted_view(self) -> bool:
        """May see unredacted reads (`ocp-core.md` section 8.1): on loopback, or operator-authorised."""
        return self.loopback or self.operator


class Call(NamedTuple):
    """One typed request, as a handler gets it."""
    route: Route
    caller: Caller
    path: Mapping[str, str]
    query: Any                                         # the route's query record
    body: Any                                          # the route's body record
    headers: Mapping[str, str]                         # lower-case names; a repeated header joined with ", "
    target: str                                        # path and query as sent
    raw: bytes = b""                                   # the body as it came
    texts: Mapping[str, str] = _NONE                   # query members as sent, first of each name
    reader: BodyReader | None = None                   # Lane.LONG with body_stream


Headers = Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """An answer.  `body`: a record or JSON value, bytes or str as they are, None for no body,
    and in Lane.LONG also a `File` or an iterator of bytes (sent chunked)."""
    body: Any = None
    status: int = 200
    headers: Headers = ()
    media_type: str = ""                               # "" = the dialect's JSON; needed for bytes and str


class File(NamedTuple):
    """Bytes `start` to `stop` of an open file, sent by the kernel; closed by the edge."""
    descriptor: int
    start: int
    stop: int


class Write(NamedTuple):
    """One durable change, and what to answer once it is committed.

    `change(connection)` runs on the writer thread inside a savepoint of a group; a `Refusal` it raises undoes it alone.
    `then(result)` runs on the loop after the commit and only words the answer, or names what the caller waits for next.
    """
    change: Callable[[Any], Any]
    then: Callable[[Any], Reply | Wait]


class Wait(NamedTuple):
    """A long poll: `ready()` is asked now and whenever one of `topics` stirs; its Reply ends the wait.
    At the deadline `late()` answers; None means that the answer is on its way, and a topic will stir.  Both run on the loop and must not wait.
    A node that stops answers with `late()` at once, unless `work` is done for the answer: then it may still come."""
    ready: Callable[[], Reply | None]
    late: Callable[[], Reply | None]
    seconds: float
    topics: tuple[str, ...]
    work: bool = False


class Events(NamedTuple):
    """Server-sent events: `start(sink)` is called once the head is sent and gives what to call when the listener is gone."""
    start: Callable[[Any], Callable[[], None]]
    headers: Headers = ()
    media_type: str = "text/event-stream"


class WebSocket(NamedTuple):
    """Accept the upgrade: `start(socket)` gives the receiver; see `http/stream.py` for the socket's methods."""
    start: Callable[[Any], Any]
    protocol: str = ""
    message_bytes_max: int = 64 * 1024


Answer = Reply | Write | Wait | Events | WebSocket


def planned(routes: Iterable[Route]) -> tuple[Route, ...]:
    """The same routes, each marked as not built yet."""
    return tuple(route._replace(handler="", stability=Stability.PLANNED, cached=False, lane=Lane.INLINE) for route in routes)
