"""Where a job may go, best place first (OCP 0.1 placement): this node and its peers, scored as they are known now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...core import Core, Rooms
from . import scoring
from .placement import Job
from .scoring import Candidate, Node

if TYPE_CHECKING:
    from ..peers.peer import Peer

Members = dict[str, Any]

PEERS_MAX = 500                      # the most recently seen
PREFERRED_POINTS = 500


class Choosing:
    """Looks at every place that there is."""

    def __init__(self, core: Core, rooms: Rooms) -> None:
        self._core = core
        self._rooms = rooms
        self._node_id = core.identity.node_id

    def candidates(self, job: Job, allow_local: bool = True, allow_remote: bool = True,
                   preferred_peer_id: str = "") -> list[Candidate]:
        """Every place that was looked at, the best first and this node before peers of as many points; refused ones last."""
        found = [scoring.local(self.node(job), job)] if allow_local else []
        now = self._core.clock.time()
        peers: list[Peer] = self._rooms["mesh.peers"].all()[:PEERS_MAX] if allow_remote else []
        found += [preferred(scoring.peer(peer, job, now), preferred_peer_id) for peer in peers]
        return sorted(found, key=lambda each: (each.score, each.target_type == "local"), reverse=True)

    def node(self, job: Job) -> Node:
        """This node as a place for the job."""
        rooms, profile = self._rooms, self._rooms["mesh.device_profile"]
        matching, free = rooms["mesh.workers"].matching(job.kind, job.capabilities, job.resources)
        return Node(self._node_id, profile.profile(), profile.habitat_roles(), profile.continuity_capabilities(),
                    frozenset(rooms["mesh.manifest"].available_names()), rooms["mesh.queue"].metrics(),
                    rooms["mesh.jobs"].reliability(), matching, free)


def preferred(candidate: Candidate, peer_id: str) -> Candidate:
    """The candidate with the points of the peer that the caller prefers; a refused one stays refused."""
    if not peer_id or candidate.peer_id != peer_id or candidate.refused:
        return candidate
    return candidate._replace(score=candidate.score + PREFERRED_POINTS, reasons=[*candidate.reasons, "preferred_peer"])


def shown(candidate: Candidate) -> Members:
    """The candidate as decisions show it."""
    return candidate._asdict()


def placed(decision_id: str, request_id: str, kind: str, placement: Mapping[str, Any], candidates: list[Candidate],
           chosen: Candidate | None, created_at: str, kept: int) -> Members:
    """The decision for this candidate, or that there is none; with the best `kept` of those that were looked at."""
    best = [each._replace(selected=each is chosen) for each in candidates[:kept]]
    return {"id": decision_id, "request_id": request_id, "job_id": "", "job_kind": kind,
            "status": "placed" if chosen else "unplaced", "strategy": "trust-capability-load-v1.2",
            "target_type": chosen.target_type if chosen else "",
            "peer_id": chosen.peer_id if chosen else "", "score": chosen.score if chosen else 0, "placement": dict(placement),
            "selected": shown(chosen._replace(selected=True)) if chosen else {}, "candidates": [shown(each) for each in best],
            "created_at": created_at}


def explicit(decision_id: str, request_id: str, kind: str, placement: Mapping[str, Any], peer_id: str, barred: str,
             created_at: str) -> Members:
    """The decision for the peer that the job itself names; `barred` says why it may not go there."""
    selected = {"target_type": "peer", "peer_id": peer_id, "score": 800, "reasons": ["explicit_target"], "selected": True}
    if barred:
        selected.update(score=scoring.REFUSED, reasons=["explicit_target", barred], selected=False)
    return {"id": decision_id, "request_id": request_id, "job_id": "", "job_kind": kind,
            "status": "unplaced" if barred else "placed", "strategy": "explicit-target", "target_type": "peer",
            "peer_id": peer_id, "score": selected["score"], "placement": dict(placement), "selected": selected, "candidates": [],
            "created_at": created_at}
