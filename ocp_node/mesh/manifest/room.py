"""Who this node is and what it offers (OCP 0.1 manifest).

The document is built from memory, once per commit: the edge keeps its bytes, other rooms get the same value from here.
"""

from __future__ import annotations

import os
from typing import Any

from ...contract.route import Call, Reply
from ...core import Core, Rooms
from ..parts import Parts, Provider
from . import rules

Members = dict[str, Any]
PRESENT_MAX = 50
BEACONS_MAX = 12
WORKERS_SHOWN = 20
# Which rooms provide which part of the manifest, and what stands there while they do not.
HOMES = {"queue_metrics": "mesh.queue", "workers": "mesh.workers", "governance_summary": "mesh.treaties",
         "reliability": "mesh.jobs"}


class Manifest:
    """The manifest and the cards of this node."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._profile = rooms["mesh.device_profile"]
        self._agents = rooms["mesh.agents"]
        node_id = core.identity.node_id
        empty: dict[str, Provider] = {"queue_metrics": lambda: rules.no_queue_metrics(node_id), "workers": list,
                 "governance_summary": rules.no_governance,
                 "reliability": lambda: rules.reliability("local_jobs", 0, 0, 0)}
        self.parts = Parts(rooms, core.log, HOMES, empty)
        self._docker, self._wasm = enabled(core, "docker"), enabled(core, "wasm")
        self._kept: tuple[int, Any, Members] = (-1, None, {})
        self._cards: tuple[Any, list[Members]] = (None, [])

    def part(self, name: str, provider: Provider, public: Provider | None = None) -> None:
        """`provider` gives a part of the manifest from now on: queue_metrics, workers, governance_summary or reliability."""
        self.parts.part(name, provider, public)

    def capability_cards(self) -> list[Members]:
        """The 17 cards; nobody changes them."""
        profile = self._profile.profile()
        if self._cards[0] is not profile:
            self._cards = (profile, rules.capability_cards(profile, self._docker, self._wasm))
        return self._cards[1]

    def available_names(self) -> list[str]:
        """What a job may require of this node."""
        return rules.available_names(self.capability_cards())

    def card(self, trust_tier: str = "self") -> Members:
        """The organism card; in a handshake it asks to be treated as `trust_tier`."""
        identity, room, url = self._core.identity, self._profile, self._core.base_url
        return {"organism_id": identity.node_id, "node_id": identity.node_id, "display_name": identity.display_name,
                "public_key": identity.public_key_hex, "signature_scheme": identity.signature_scheme, "endpoint_url": url,
                "stream_url": f"{url}/mesh/stream", "protocol_version": rules.WIRE_VERSION, "trust_tier": trust_tier,
                "reachability": "local-first", "supported_features": list(rules.FEATURES), "transports": list(rules.TRANSPORTS),
                "capability_cards": self.capability_cards(), "policy_summary": rules.policy_summary(),
                "device_profile": room.profile(),
                "habitat_roles": room.habitat_roles(), "continuity_capabilities": room.continuity_capabilities(),
                "treaty_capabilities": room.treaty_capabilities(), "governance_summary": self.parts.value("governance_summary")}

    def document(self) -> Members:
        """The whole manifest as of the last commit; nobody changes it."""
        version, identity = self._core.writer.commits, self._core.identity
        kept = self._kept
        if kept[0] != version or kept[1] is not identity:
            kept = self._kept = (version, identity, self._made())
        return kept[2]

    def _made(self) -> Members:
        room, card = self._profile, self.card()
        return {"protocol": rules.PROTOCOL, "protocol_short_name": rules.SHORT_NAME, "protocol_release": rules.RELEASE,
                "spec_status": "draft", "protocol_version": rules.WIRE_VERSION,
                "implementation": {"name": IMPLEMENTATION, "wire_protocol_version": rules.WIRE_VERSION},
                "device_profile": room.profile(), "sync_policy": room.sync_policy(), "habitat_roles": room.habitat_roles(),
                "continuity_capabilities": room.continuity_capabilities(), "treaty_capabilities": room.treaty_capabilities(),
                "governance_summary": card["governance_summary"], "continuity_overlay_fields": list(rules.OVERLAY_FIELDS),
                "organism_card": card, "reliability": self.parts.value("reliability"),
                "queue_metrics": self.parts.value("queue_metrics"),
                "agent_presence": self._agents.present(PRESENT_MAX), "beacons": self._agents.beacons(BEACONS_MAX),
                "workers": self.parts.value("workers", trusted=False)[:WORKERS_SHOWN]}


IMPLEMENTATION = "Sovereign Mesh"        # OCP 0.1 lets an implementation name itself; peers of the reference expect this one


def enabled(core: Core, kind: str) -> bool:
    """Is the lane for `docker` or `wasm` jobs switched on: by its setting, or because its program is there."""
    setting = getattr(core.settings, f"enable_{kind}")
    if setting != "auto":
        return bool(setting == "on")
    return found("docker" if kind == "docker" else core.settings.wasm_runtime, core.environment.get("PATH", ""))


def found(program: str, path: str) -> bool:
    """Can the program be started, by its path or by its name in PATH?"""
    places = [program] if os.sep in program else [os.path.join(folder, program) for folder in path.split(os.pathsep) if folder]
    return bool(program) and any(os.path.isfile(place) and os.access(place, os.X_OK) for place in places)


def build(core: Core, rooms: Rooms) -> Manifest:
    """The room."""
    return Manifest(core, rooms)


def show(room: Manifest, call: Call) -> Reply:
    """GET /mesh/manifest: the same for every caller."""
    return Reply(room.document())
