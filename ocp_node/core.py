"""What the rooms of every surface are built from.  A room takes from here what it needs, in its `build`, and keeps only that."""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base.measures import Measures
from .base.sightings import Sightings

if TYPE_CHECKING:
    from .base.clock import Clock
    from .base.ids import Ids
    from .base.log import Log
    from .base.loop import Loop
    from .base.settings import Settings
    from .base.ticker import Tickers
    from .crypto.identity import Identity
    from .http.outbound import Outbound
    from .http.server import NodeServer
    from .http.stream import Signals
    from .processes.engine import Engine
    from .store.events import Feed
    from .store.outbox import Outbox
    from .store.reader import Reader
    from .store.writer import Writer


class Core:
    """One node's shared parts."""

    def __init__(self, settings: Settings, data: Path, clock: Clock, ids: Ids, log: Log, identity: Identity, writer: Writer,
                 reader: Reader, feed: Feed, signals: Signals, loop: Loop, tickers: Tickers, make_processes: Callable[[], Engine],
                 make_outbound: Callable[[], Outbound], environment: Mapping[str, str], outbox: Outbox) -> None:
        self.settings = settings              # typed values with their origin: core.settings.port
        self.data = data                      # the state folder
        self.clock = clock
        self.ids = ids
        self.log = log
        self.identity = identity              # node id, display name, the Ed25519 key: read when needed, a rotation replaces it
        self.writer = writer                  # the one writer of the database
        self.reader = reader                  # read-only snapshots
        self.feed = feed                      # committed events, in order
        self.signals = signals                # topics that long polls wait on
        self.loop = loop
        self.tickers = tickers
        self.environment = environment        # the process environment, as read by ocp.py
        self.outbox = outbox                  # deliveries after a commit: `core.outbox.on(kind, send)`
        self.edge: NodeServer | None = None   # the listening server, for measurements
        self.measures = Measures()
        self.sightings = Sightings()          # nodes seen in directories and on the local network
        self.base_url = ""                    # where others reach this node; known once it listens
        self.bound = ("127.0.0.1", 0)
        self.certificate = ""                 # SHA-256 in hex of the self-signed certificate that is served; "" for any other
        self._make: dict[str, Callable[[], Any]] = {"processes": make_processes, "outbound": make_outbound}
        self._made: dict[str, Any] = {}
        self._leaving: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    @property
    def processes(self) -> Engine:
        """The process engine; made when first asked for, as a node that starts nothing needs none."""
        made: Engine = self._once("processes")
        return made

    @property
    def outbound(self) -> Outbound:
        """The only way to call another machine; made when first asked for."""
        made: Outbound = self._once("outbound")
        return made

    def made(self, name: str) -> Any:
        """`processes` or `outbound` if it was ever needed, else None: what a stop has to end."""
        return self._made.get(name)

    def on_leave(self, act: Callable[[], None]) -> None:
        """`act` runs when the node stops: after the last request, before tickers, children and the writer are ended."""
        self._leaving.append(act)

    def leave(self) -> None:
        """What the rooms want done at the end has been done; in the thread that closes the node."""
        for act in self._leaving:
            try:
                act()
            except Exception as fault:       # one room's trouble at the end must not keep the others from theirs
                self.log.fault("leave.fault", fault)

    def _once(self, name: str) -> Any:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make[name]()
            return self._made[name]


class Rooms:
    """The node's rooms by folder name with dots (`mesh.jobs`), each built once, when first asked for.

    `room.py` of every room has `build(core, rooms)`; a room that needs another asks `rooms[...]` there.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._built: dict[str, Any] = {}
        self._due: deque[str] = deque()              # rooms that nobody has to ask for, not built yet
        self._fault: Exception | None = None
        self._lock = threading.RLock()

    def expect(self, names: Iterable[str]) -> None:
        """Those rooms are built by `complete`, in this order."""
        self._due.extend(names)

    def complete(self) -> None:
        """All rooms that are expected are built.  Raises again what one of them has raised.  From any thread."""
        if not self._due and self._fault is None:
            return
        with self._lock:
            try:
                while self._due and self._fault is None:
                    self[self._due[0]]
                    self._due.popleft()
            except Exception as fault:
                self._fault = fault
            if self._fault is not None:
                raise self._fault

    def __getitem__(self, name: str) -> Any:
        room = self._built.get(name)
        if room is None:
            with self._lock:
                room = self._built.get(name)
                if room is None:
                    module = importlib.import_module(f"ocp_node.{name}.room")
                    room = self._built[name] = module.build(self._core, self)
        return room
