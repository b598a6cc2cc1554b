"""What the rooms of every surface are built from.  A room takes from here what it needs, in its `build`, and keeps only that."""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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


@dataclass(slots=True, eq=False, repr=False)
class Core:
    """One node's shared parts."""
    settings: Settings          # typed values with their origin: core.settings.port
    data: Path                  # the state folder
    clock: Clock
    ids: Ids
    log: Log
    identity: Identity          # node id, display name, the Ed25519 key
    writer: Writer              # the one writer of the database
    reader: Reader              # read-only snapshots
    feed: Feed                  # committed events, in order
    signals: Signals            # topics that long polls wait on
    loop: Loop
    tickers: Tickers
    make_processes: Callable[[], Engine]
    make_outbound: Callable[[], Outbound]
    environment: Mapping[str, str] = field(default_factory=dict)     # the process environment, as read by ocp.py
    outbox: Outbox | None = None            # deliveries after a commit: `core.outbox.on(kind, send)`
    edge: NodeServer | None = None          # the listening server, for measurements
    measures: Measures = field(default_factory=Measures)
    sightings: Sightings = field(default_factory=Sightings)     # nodes seen in directories and on the local network
    base_url: str = ""          # where others reach this node; known once it listens
    bound: tuple[str, int] = ("127.0.0.1", 0)
    _made: dict[str, Any] = field(default_factory=dict)
    _leaving: list[Callable[[], None]] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def processes(self) -> Engine:
        """The process engine; made when first asked for, as a node that starts nothing needs none."""
        made: Engine = self._once("processes", self.make_processes)
        return made

    @property
    def outbound(self) -> Outbound:
        """The only way to call another machine; made when first asked for."""
        made: Outbound = self._once("outbound", self.make_outbound)
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

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
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
