"""The device profile: what the operator said of this device, and what follows from it (OCP 0.1 device profile).

The database holds what was given; `device_profile.json` in the identity folder is a copy of the whole profile for people and
other programs, written after the commit, and read once when the database knows of none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...base import jsontext
from ...base.errors import Malformed
from ...base.log import Log
from ...contract.route import Call, Reply, Write
from ...core import Core, Rooms
from ...crypto import files
from ...store import facts
from . import derived, rules

if TYPE_CHECKING:
    from ...store.writer import WriteConnection

FACT = "mesh.device_profile"
FILE = "device_profile.json"
EXPORT = "mesh.device_profile.file"
Members = dict[str, Any]


class DeviceProfile:
    """The profile in memory; replaced as a whole, so that any thread may read it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._path = Path(core.settings.identity_dir) / FILE
        self._run = core.ids.hex(16)                 # the command line holds over what was stored before this run
        self._flags = {name: getattr(core.settings, name) for name in rules.WORDS if getattr(core.settings, name, "")}
        self._listeners: tuple[Callable[[], None], ...] = ()
        with core.reader.snapshot() as connection:
            stored = facts.get(connection, FACT)
        self._first = self._from_file(core.log) if not stored else {}
        self._settle(self._given(stored))

    # --- for other rooms

    def profile(self) -> Members:
        """The whole profile; nobody changes it."""
        return self._profile

    def sync_policy(self) -> Members:
        return self._sync_policy

    def habitat_roles(self) -> list[str]:
        return self._habitat_roles

    def continuity_capabilities(self) -> Members:
        return self._continuity

    def treaty_capabilities(self) -> Members:
        return self._treaties

    def custody(self) -> bool:
        """May this node review what others leave in its care?"""
        return derived.custody(self._profile)

    def on_changed(self, act: Callable[[], None]) -> None:
        """`act` runs on the loop after each change of the profile."""
        self._listeners = (*self._listeners, act)

    def change(self, connection: WriteConnection, changes: Mapping[str, Any]) -> Members:
        """The profile after `changes`, stored with its event; memory follows the commit."""
        given = rules.merged(self._given(facts.get(connection, FACT)), changes)
        profile = rules.normalised(given)
        facts.put(connection, FACT, jsontext.ascii_text({"run": self._run, "given": given}))
        connection.event("mesh.device_profile.updated", payload={"device_class": profile["device_class"],
                                                                 "form_factor": profile["form_factor"],
                                                                 "members": sorted(changes)[:64]})
        connection.outbox(EXPORT, {}, key=FACT)
        connection.after_commit(lambda: self._changed(given))
        return profile

    # --- keeping

    def _given(self, stored: str) -> Members:
        """What is given now: as stored, and what the command line says unless it is already part of that."""
        if not stored:
            return rules.merged(self._first, self._flags)
        fact: Any = jsontext.load(stored)
        return fact["given"] if fact["run"] == self._run else rules.merged(fact["given"], self._flags)

    def _changed(self, given: Members) -> None:
        self._settle(given)
        for act in self._listeners:
            act()

    def _settle(self, given: Members) -> None:
        profile = rules.normalised(given)
        self._profile = profile
        self._sync_policy = derived.sync_policy(profile)
        self._habitat_roles = derived.habitat_roles(profile)
        self._continuity = derived.continuity_capabilities(profile)
        self._treaties = derived.treaty_capabilities(profile)

    def _from_file(self, log: Log) -> Members:
        """What the file gives, where another program or another database left one."""
        raw = files.read(self._path)
        if raw is None:
            return {}
        try:
            document = jsontext.parse(raw)
        except Malformed:
            document = None
        if not isinstance(document, dict):
            log.warning("device_profile.unreadable", path=str(self._path))
            return {}
        return rules.given_of(document)

    def export(self, payload: Mapping[str, object]) -> None:
        """The file holds the profile as it is stored, readable by its owner alone; memory may be a moment behind."""
        with self._core.reader.snapshot() as connection:
            profile = rules.normalised(self._given(facts.get(connection, FACT)))
        raw = (json.dumps(profile, indent=2, sort_keys=True) + "\n").encode()
        files.replace(self._path, raw, self._core.ids)


def build(core: Core, rooms: Rooms) -> DeviceProfile:
    """The room, with the profile that is stored."""
    room = DeviceProfile(core)
    core.outbox.on(EXPORT, room.export)
    return room


def show(room: DeviceProfile, call: Call) -> Reply:
    """GET /mesh/device-profile."""
    return Reply({"status": "ok", "device_profile": room.profile()})


def update(room: DeviceProfile, call: Call) -> Write:
    """POST /mesh/device-profile: merged with what was given before."""
    changes = call.body.device_profile

    def change(connection: WriteConnection) -> Members:
        profile = room.change(connection, changes)
        return {"status": "ok", "device_profile": profile, "updated_at": connection.clock.text()}

    return Write(change, Reply)
