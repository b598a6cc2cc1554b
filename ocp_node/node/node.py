"""One node: everything put together, started and stopped in order.  `ocp.py serve` runs one; tests and the simulator run many."""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.clock import Clock
from ..base.errors import Unusable
from ..base.ids import Ids
from ..base.log import Log
from ..base.settings import Settings, operator_token
from ..base.ticker import Tickers
from ..core import Core, Rooms
from ..crypto import identity as identities
from ..http import local
from ..http.app import App
from ..http.gates import Gates, is_loopback
from ..http.lanes import Workers
from ..http.loop import EdgeLoop
from ..http.responses import Responses
from ..http.router import Router
from ..http.server import NodeServer
from ..http.stream import Signals
from ..store import facts
from ..store.opening import open_store
from ..store.outbox import Outbox

SURFACES = ("mesh", "directory", "appmesh", "oscp", "node")
WILDCARDS = ("0.0.0.0", "::", "")
SWITCH_SECONDS = 0.0005        # how long a busy thread may keep the interpreter while the loop has work
DRAIN_SECONDS = 5.0
FIRST_CALLERS_SECONDS = 0.03   # a supervisor that waits for a node asks at once; two threads would share one interpreter
WARM_UP_SECONDS = 0.2          # after the rooms with duties, the code of all others is loaded
EVENTS_PRUNED_SECONDS = 3600.0
OWNER_FACT = "owner"           # the first public key of the node whose database it is


class Node:
    """A node on its state folder.  `open` makes it listen, `run` serves in the calling thread, `close` leaves everything in order."""

    def __init__(self, settings: Settings, routes: tuple[Any, ...], *, environment: Mapping[str, str] | None = None,
                 clock: Clock | None = None, ids: Ids | None = None, log: Log | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self.ids = ids or Ids()
        self.log = log or Log(self.clock, settings.log_level)
        self.routes = routes
        self._environment = dict(environment or {})
        self._closed = False
        self._fault: Exception | None = None
        self._ended = threading.Event()

    def open(self) -> Node:
        """The node listens.  `Unusable` says in one line why it cannot; nothing was overwritten then."""
        self.loop = EdgeLoop(self.clock, self.log)
        signals = Signals()
        settings = self.settings
        known = identities.exists(Path(settings.identity_dir))
        if known:
            _check_not_emptied(Path(settings.db_path))
        self.store = open_store(Path(settings.data_dir), self.clock, self.ids, self.log, self.loop.call_soon,
                                database=Path(settings.db_path), stir=signals.stir)
        try:
            self._assemble(self._identity(known), signals)
        except BaseException:
            self.store.close()
            raise
        return self

    def _identity(self, known: bool) -> identities.Identity:
        """Who this node is.  Only a database that never had an owner gets a new one: to every peer a new key is another node."""
        settings, store = self.settings, self.store
        if not known:
            with store.reader.snapshot() as connection:
                if facts.get(connection, OWNER_FACT):
                    raise Unusable(f"the identity is missing from {settings.identity_dir} but {settings.db_path} belongs to one: put "
                                   "identity.json back from a backup, or start with another --data-dir as a new node")
        made = identities.load_or_create(Path(settings.identity_dir), self.ids, self.clock, settings.node_id,
                                         settings.display_name, local.host_name())
        if not known:
            store.writer.run(lambda connection: facts.put(connection, OWNER_FACT, made.public_key_hex))
        return made

    def _assemble(self, identity: identities.Identity, signals: Signals) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        store, writer = self.store, self.store.writer
        self.tickers = Tickers(self.log)
        self.workers = Workers(self.log)
        outbox = Outbox(writer, store.reader, self.clock, self.log, self._chance, spread=self.workers.submit)
        self.core = Core(self.settings, store.data, self.clock, self.ids, self.log, identity, writer, store.reader, writer.feed,
                         signals,
                         self.loop, self.tickers, self._make_processes, self._make_outbound, self._environment, outbox)
        self.rooms = Rooms(self.core)
        self._listen()
        self.tickers.add("events-retention", self._prune_events)
        outbox.wake = self.tickers.add("outbox", outbox.step).wake
        self._start_rooms()

    def _chance(self) -> float:
        return int.from_bytes(self.ids.bytes(4), "big") / 2**32

    def _listen(self) -> None:
        settings = self.settings
        token = operator_token(settings)
        tls = self._tls(settings)
        hosts = (*settings.allowed_hosts, settings.base_url.partition("://")[2].partition("/")[0], settings.host,
                 local.host_name(),
                 f"{local.host_name()}.local", *local.local_addresses())
        self.gates = Gates(self.clock, operator_token=token, hosts=hosts, trusted_proxies=settings.trusted_proxies,
                           read_auth=settings.read_auth)
        responses = Responses(lambda: self.loop.second, secure=tls is not None)
        self.app = App(Router(self.routes), self.gates, self._dialects(), self.rooms, responses, self.log, self.ids,
                       self.store.writer,
                       self.loop.call_soon, self.workers, before=self._before)
        try:
            self.server = NodeServer((settings.host, settings.port), self.app, self.loop, self.core.signals, self.clock,
                                     self.log, tls=tls,
                                     streams_max=settings.max_streams)
        except OSError as fault:
            raise Unusable(f"cannot listen on {settings.host} port {settings.port}: {fault.strerror or fault}; "
                           f"{_way_out(fault)}") from None
        self.core.edge = self.server
        self.core.bound = (settings.host, self.server.server_port)
        self.core.base_url = _reachable(settings.base_url, settings.host) or self.url

    def _tls(self, settings: Settings) -> Any:
        if not (settings.tls_cert or settings.tls_self_signed):
            return None
        from ..http import tls
        if settings.tls_cert:
            pair = Path(settings.tls_cert), Path(settings.tls_key)
        else:
            from ..processes.program import run
            pair = tls.self_signed(Path(settings.data_dir) / "tls", [local.host_name()], local.local_addresses(), run=run,
                                   clock=self.clock,
                                   ids=self.ids)
            self.core.certificate = tls.fingerprint(pair[0])
        return tls.server_wrap(tls.server_context(*pair))

    def _dialects(self) -> list[Any]:
        return [importlib.import_module(f"ocp_node.{surface}.dialect").DIALECT for surface in SURFACES]

    def _start_rooms(self) -> None:
        """Rooms that may refuse the start are built now, those with duties of their own once the node answers, all others when
        first asked."""
        for surface in SURFACES:
            module = importlib.import_module(f"ocp_node.{surface}.surface")
            for auth, name in getattr(module, "GATES", {}).items():
                self.gates.add(auth, functools.partial(self._admit, name))
            for name in getattr(module, "START", ()):
                self.rooms[name]
            self.rooms.expect(getattr(module, "DUTIES", ()))

    def _before(self, route: Any) -> None:
        """A handler of a surface works beside all rooms that listen and have duties, also in the first moments of the node."""
        if route.surface != "node":
            self.rooms.complete()

    def _begin_duties(self) -> None:
        """After a moment for the first callers, who need not wait for it: the rooms that are expected, then the background."""
        if self._ended.wait(FIRST_CALLERS_SECONDS):
            return
        try:
            self.rooms.complete()
        except Exception as fault:            # a node without one of its rooms is none: `run` ends and tells
            if not self._ended.is_set():
                self._fault = fault
                self.stop()
            return
        self.tickers.start()
        self.loop.call_later(WARM_UP_SECONDS, lambda: self.workers.submit(self._warm_up))

    def _admit(self, name: str, route: Any, head: Any, caller: Any) -> None:
        """A surface's own credential is proven by the room that keeps it."""
        self.rooms[name].admit(route, head, caller)

    def _prune_events(self) -> float:
        """Events beyond what is kept are gone; in steps, so that no change waits long for the writer."""
        feed, kept = self.core.feed, self.settings.events_kept
        while self.store.writer.run(lambda connection: feed.prune(connection, kept)):
            pass
        return EVENTS_PRUNED_SECONDS

    def _make_processes(self) -> Any:
        from ..processes.engine import Engine
        return Engine(self.loop, self.clock, self.log, stop_grace_seconds=self.settings.stop_grace_seconds,
                      environment=self._environment)

    def _make_outbound(self) -> Any:
        from ..http.outbound import Outbound
        return Outbound(self.clock, self.log, user_agent="ocp", allow_loopback=self.settings.allow_loopback_peers)

    # --- running

    @property
    def url(self) -> str:
        """Where this node is reached on this machine."""
        return _base_url(self.settings.host, self.server.server_port, self.server.tls is not None)

    def run(self) -> None:
        """Serve in this thread until `stop`."""
        gc.enable()
        self.workers.submit(self._begin_duties)
        self.server.serve_forever()
        if self._fault is not None:
            raise self._fault

    def _warm_up(self) -> None:
        """What the first requests would have to import is there; what lives as long as the process is out of the collector's way.

        Contract and OpenAPI are made when first asked for: they are megabytes that most nodes never need.
        """
        for route in self.routes:
            if self._closed:
                return
            if route.handler:
                route.function()
        gc.collect()
        gc.freeze()

    def stop(self) -> None:
        """Requests on their way are finished, then `run` returns.  From any thread, and from a signal handler."""
        self.server.drain(DRAIN_SECONDS)

    def close(self) -> None:
        """Tickers, children, workers, writer and sockets have ended, in this order; after `run` has returned.  Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._ended.set()
        self.store.writer.loop_ended()
        self.loop.finish()
        self.core.leave()
        self.tickers.stop()
        processes = self.core.made("processes")
        if processes is not None:
            self._end_children(processes)
        self.workers.close()
        self.server.server_close()
        outbound = self.core.made("outbound")
        if outbound is not None:
            outbound.close()
        self.store.close()
        self.loop.close()

    def _end_children(self, processes: Any) -> None:
        """Children are told to end, and their rooms of their ends."""
        processes.stop_all(self.settings.stop_grace_seconds, loop_ended=True)
        processes.close()


def _check_not_emptied(database: Path) -> None:
    """A start makes the database before the identity, so an empty file beside an identity is what is left of a full one."""
    if database.exists() and not database.stat().st_size:
        raise Unusable(f"{database} is empty though this node has an identity: restore a backup with the verb restore, or remove "
                       "the empty file to go on without what was stored")


def _base_url(host: str, port: int, secure: bool) -> str:
    """The advertised URL for a bind address: a concrete host as it is, loopback as loopback, a wildcard as this machine's first address."""
    return f"{'https' if secure else 'http'}://{_shown_host(host)}:{port}"


def _shown_host(host: str) -> str:
    if host in WILDCARDS:
        host = next((address for address in local.local_addresses() if ":" not in address), "127.0.0.1")
    elif is_loopback(host):
        host = "127.0.0.1" if ":" not in host else "::1"
    return f"[{host}]" if ":" in host else host


def _way_out(fault: OSError) -> str:
    """What the operator can do when the node cannot listen there."""
    import errno
    if fault.errno == errno.EADDRINUSE:
        return "stop what uses it, or choose another with --port"
    if fault.errno in (errno.EACCES, errno.EPERM):
        return "choose a port from 1024 on with --port; lower ones are not for everybody"
    return "choose an address of this machine with --host"


def _reachable(configured: str, bound: str) -> str:
    """The configured URL; a wildcard in it, which leads nobody here, gives way to the bound host (OCP 0.1 organism card)."""
    scheme, _, rest = configured.partition("://")
    authority, slash, path = rest.partition("/")
    for wildcard in ("0.0.0.0", "[::]"):
        if authority == wildcard or authority.startswith(f"{wildcard}:"):
            authority = _shown_host(bound) + authority.removeprefix(wildcard)
    return f"{scheme}://{authority}{slash}{path}" if configured else ""


