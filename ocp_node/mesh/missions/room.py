"""Missions: what somebody wants done, whichever jobs, here or at peers, do it (OCP 0.1 missions).

A mission's state is that of its jobs: it is written down in the change that changes a job (`tracking`), never by a reader.

Other rooms: `missions.listed(limit)`, `missions.shown(mission_id)`, and the test missions of `trials`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...base.errors import Refusal
from ...contract.route import Call, Caller, Reply, Write
from ...core import Core, Rooms
from ...http.lanes import gather
from ..lists import bounded
from ..redaction import redacted
from ..values import boolean, integer, members, text, wrong
from . import rules
from .control import Control, Order
from .launching import Launching
from .showing import FULL_JOBS_MAX, Showing, listed

if TYPE_CHECKING:
    from .trials import Trials

__all__ = ["Missions", "build"]

Members = dict[str, Any]

LIST_USUAL = 25
DECK_SHOWN = 6
TEST_TARGETS = 24                    # devices of one test mission
TEST_SECONDS = 120.0
REASON_LENGTH_MAX = 2_000


class Missions:
    """Starts missions, shows them, and hands orders on to their jobs."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self.showing = Showing(core, rooms)
        self.launching = Launching(core, rooms, self)
        self.control = Control(core, rooms, self)
        self.offers: dict[str, Any] = {"missions": (lambda: self.listed(DECK_SHOWN), None)}

    @property
    def trials(self) -> Trials:
        """Who launches test missions."""
        from .trials import Trials
        return Trials(self._core, self._rooms, self)

    def test_mesh_launch(self, request_id: str, include_local: bool = True, loopback: bool | None = None,
                         seconds: float = TEST_SECONDS) -> Members:
        """A test mission on every device, for rooms that prove the mesh.  `Refusal` when no device took its part, or when it was
        not over within `seconds`: then it goes on.  Blocks."""
        name = request_id[-rules.REQUEST_ID_LENGTH_MAX:]
        outcome = gather([lambda: self.trials.every(name, include_local, TEST_TARGETS, "", loopback)], 1, seconds)[0]
        if isinstance(outcome, TimeoutError):
            raise Refusal("peer_timeout", "the test mission was not over in time")
        if isinstance(outcome, BaseException):
            raise outcome
        found: Members = outcome
        return found

    def shown(self, mission_id: str, ask_peers: bool = False) -> Members:
        """The mission as operators see it; `Refusal("not_found")` when there is none."""
        found = self.showing.one(mission_id, ask_peers) if mission_id else None
        if found is None:
            raise Refusal("not_found", "mission not found")
        return found

    def listed(self, limit: int, status: str = "", full_jobs: int = 0, ask_peers: bool = False) -> Members:
        """The missions in that state, or in any, latest change first, with their jobs as last seen."""
        found = self.showing.several(limit, status, full_jobs, ask_peers)
        return listed(self._core.identity.node_id, found, self._core.clock.text())


def build(core: Core, rooms: Rooms) -> Missions:
    """The room; the latest missions are a part of the control deck."""
    return Missions(core, rooms)


def _seen(answer: Members, caller: Caller) -> Reply:
    return Reply(answer if caller.trusted_view else redacted(answer))


def list_all(room: Missions, call: Call) -> Reply:
    """GET /mesh/missions."""
    query = call.query
    found = room.listed(bounded(query.limit, LIST_USUAL), rules.state_filter(query.status), FULL_JOBS_MAX,
                        ask_peers=call.caller.trusted_view)
    return _seen(found, call.caller)


def show(room: Missions, call: Call) -> Reply:
    """GET /mesh/missions/{mission_id}."""
    return _seen(_looked_at(room, call), call.caller)


def _looked_at(room: Missions, call: Call) -> Members:
    """The mission; strangers do not make this node call its peers."""
    return room.shown(call.path["mission_id"], ask_peers=call.caller.trusted_view)


def launch(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/launch."""
    return _seen(room.launching.launch(rules.wanted(call.body.document), call.caller.loopback or None), call.caller)


def continuity(room: Missions, call: Call) -> Reply:
    """GET /mesh/missions/{mission_id}/continuity."""
    return _seen(room._rooms["mesh.continuity"].summary(_looked_at(room, call)), call.caller)


def export_continuity(room: Missions, call: Call) -> Write:
    """POST /mesh/missions/{mission_id}/continuity/export."""
    made: Write = room._rooms["mesh.continuity"].asked_export(room.shown(call.path["mission_id"]), call.body)
    return made


def _order(call: Call, action: str, reason: str) -> Order:
    body = call.body
    return Order(action, text(body.operator_id, "operator_id"), text(body.reason, "reason", REASON_LENGTH_MAX) or reason,
                 metadata=members(body.metadata, "metadata"),
                 request_id=text(body.request_id, "request_id", rules.REQUEST_ID_LENGTH_MAX))


def cancel(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/{mission_id}/cancel."""
    return _seen(room.control.cancel(call.path["mission_id"], _order(call, "cancel", "mission_cancelled"),
                                     call.caller.loopback or None), call.caller)


def resume(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/{mission_id}/resume."""
    return _recovered(room, call, _order(call, "resume_latest", "mission_resume_latest"))


def _recovered(room: Missions, call: Call, order: Order) -> Reply:
    return _seen(room.control.recover(call.path["mission_id"], order, call.caller.loopback or None), call.caller)


def resume_from_checkpoint(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/{mission_id}/resume-from-checkpoint."""
    reference = members(call.body.checkpoint_ref, "checkpoint_ref")
    named = (text(call.body.checkpoint_artifact_id, "checkpoint_artifact_id") or text(reference.get("id"), "checkpoint_ref.id")
             or text(reference.get("artifact_id"), "checkpoint_ref.artifact_id"))
    return _recovered(room, call, _order(call, "resume_checkpoint", "mission_resume_checkpoint")._replace(checkpoint_id=named))


def restart(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/{mission_id}/restart."""
    return _recovered(room, call, _order(call, "restart", "mission_restart"))


# --- test missions

def test_launch(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/test-launch."""
    from ..peers.rules import operator_tier
    body = call.body
    peer_id, url = text(body.peer_id, "peer_id", 128), text(body.base_url, "base_url", 2048)
    found = room.trials.one(peer_id, url, operator_tier(text(body.trust_tier, "trust_tier", 40)), _seconds(body.timeout),
                            text(body.request_id, "request_id", rules.REQUEST_ID_LENGTH_MAX),
                            text(body.intent, "intent", rules.INTENT_LENGTH_MAX), call.caller.loopback)
    return _seen(found, call.caller)


def _seconds(value: object) -> float:
    if value is None:
        return 3.0
    if type(value) not in (int, float) or not 0 < value < 3600:       # type: ignore[operator]
        raise wrong("timeout", "a number of seconds")
    return float(value)                                               # type: ignore[arg-type]


def test_mesh_launch(room: Missions, call: Call) -> Reply:
    """POST /mesh/missions/test-mesh-launch."""
    body = call.body
    found = room.trials.every(text(body.request_id, "request_id", rules.REQUEST_ID_LENGTH_MAX),
                              boolean(body.include_local, "include_local", True),
                              bounded(integer(body.limit, "limit"), TEST_TARGETS),
                              text(body.intent, "intent", rules.INTENT_LENGTH_MAX), call.caller.loopback)
    return _seen(found, call.caller)
