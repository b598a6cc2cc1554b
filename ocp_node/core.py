"""What the rooms of every surface are built from.  A room takes from here what it needs, in its `build`, and keeps only that."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base.clock import Clock
    from .base.ids import Ids
    from .base.log import Log
    from .base.loop import Loop
    from .base.settings import Settings
    from .base.ticker import Tickers
    from .crypto.identity import Identity
    from .http.outbound import Outbound
    from .http.stream import Signals
    from .processes.engine import Engine
    from .store.events import Feed
    from .store.reader import Reader
    from .store.writer import Writer


@dataclass(slots=True)
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
    processes: Engine
    outbound: Outbound          # the only way to call another machine
    environment: Mapping[str, str] = field(default_factory=dict)     # the process environment, as read by ocp.py


class Rooms:
    """The node's rooms by folder name with dots (`mesh.jobs`), each built once, when first asked for.

    `room.py` of every room has `build(core, rooms)`; a room that needs another asks `rooms[...]` there.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._built: dict[str, Any] = {}
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Any:
        room = self._built.get(name)
        if room is None:
            with self._lock:
                room = self._built.get(name)
                if room is None:
                    module = importlib.import_module(f"ocp_node.{name}.room")
                    room = self._built[name] = module.build(self._core, self)
        return room
