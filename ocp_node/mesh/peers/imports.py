"""What a peer's stream told us, made safe to keep: claims of that peer and nothing more (OCP 0.1 peer sync); pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...base import jsontext
from ...base.errors import Refusal
from ..device_profile.rules import lenient, normalised
from .peer import Members

PAYLOAD_BYTES_MAX = 65_536
TOLD_BYTES_MAX = 65_536
WORD_LENGTH_MAX = 200
SEQ_MAX = 2**53
REMOTE_EVENTS_KEPT = 2_000            # newest events of each peer's log
RELIABILITY_EVENTS = 40
RELIABILITY_TYPES = ("mesh.job.completed", "mesh.job.failed", "mesh.job.retry_scheduled")


class Import(NamedTuple):
    """One answer of a peer's stream."""
    events: list[Members]             # in order, each with a number above the cursor it was asked with
    next_cursor: int
    log_id: str                       # "" for a peer that names none
    latest_seq: int | None            # None for a peer that does not tell


def read(stream: Mapping[str, Any], cursor: int, limit: int) -> Import:
    """The events of the answer that are new, at most `limit`, and where its log stands.  What is no event is left out."""
    found = stream.get("events")
    events: list[Members] = []
    for item in found[:limit] if isinstance(found, list) else ():
        event = _event(item)
        if event is not None and event["seq"] > (events[-1]["seq"] if events else cursor):
            events.append(event)
    latest = stream.get("latest_seq")
    return Import(events, events[-1]["seq"] if events else cursor, _text(stream.get("log_id")),
                  latest if type(latest) is int and 0 <= latest < SEQ_MAX else None)


def _event(item: object) -> Members | None:
    if not isinstance(item, Mapping):
        return None
    seq, kind, payload = item.get("seq"), _text(item.get("event_type")), item.get("payload")
    if type(seq) is not int or not 0 < seq < SEQ_MAX or not kind:
        return None
    text = jsontext.ascii_text(payload) if isinstance(payload, dict) else "{}"
    if len(text) > PAYLOAD_BYTES_MAX:
        text = jsontext.ascii_text({"truncated": True, "bytes": len(text)})
    return {"seq": seq, "id": _text(item.get("id")), "event_type": kind, "request_id": _text(item.get("request_id")),
            "payload": text,
            "created_at": _text(item.get("created_at"))[:64]}


def was_reset(imported: Import, cursor: int, known_log_id: str) -> bool:
    """Has the peer's log begun anew since we last read it?  Told by its name, or by a newest event below our cursor."""
    if imported.log_id and known_log_id and imported.log_id != known_log_id:
        return True
    return imported.latest_seq is not None and imported.latest_seq < cursor


def must_look(imported: Import, cursor: int) -> bool:
    """Only by asking for the event at our cursor can be found out whether a peer that names neither log nor newest event has
    begun a new log: it answers an old cursor with nothing, for ever."""
    return cursor > 0 and not imported.events and not imported.log_id and imported.latest_seq is None


def told(stream: Mapping[str, Any], manifest: Mapping[str, Any] | None) -> Members:
    """The metadata that follows from the answer, and from the manifest when it was fetched anew."""
    made: Members = {"remote_agent_presence": _objects(stream.get("agent_presence"), 50),
                     "remote_beacons": _objects(stream.get("beacons"), 12), "remote_workers": _objects(stream.get("workers"), 50),
                     "remote_queue_metrics": _object(stream.get("queue_metrics")),
                     "remote_sync_policy": _object(stream.get("sync_policy")),
                     "remote_generated_at": _text(stream.get("generated_at")),
                     "remote_transport": _object(stream.get("transport"))}
    profile = stream.get("device_profile") or (manifest or {}).get("device_profile")
    if isinstance(profile, dict):
        made["remote_device_profile"] = normalised(lenient(profile))
    return made


def heartbeat(metadata: Mapping[str, Any], sync_policy: Mapping[str, Any], checked_at: str) -> Members:
    """How alive the peer is, from who is at work there."""
    agents, beacons = metadata.get("remote_agent_presence") or [], metadata.get("remote_beacons") or []
    active = sum(agent.get("status") == "active" for agent in agents)
    quiet = "intermittent_idle" if sync_policy["mode"] == "intermittent" else "quiet"
    return {"status": "active" if active else "idle" if agents or beacons else quiet, "active_agents": active,
            "agent_count": len(agents),
            "beacon_count": len(beacons), "sync_mode": sync_policy["mode"], "sleep_capable": sync_policy["sleep_capable"],
            "preferred_sync_interval_seconds": sync_policy["preferred_sync_interval_seconds"],
            "remote_generated_at": metadata.get("remote_generated_at", ""), "checked_at": checked_at}


def same_node(found: object, wanted: str) -> None:
    """The node that answered is the wanted one; `Refusal("peer_unreachable")` otherwise."""
    if found != wanted:
        raise Refusal("peer_unreachable", f"route reached {_text(found) or 'an unnamed node'}, expected {wanted}",
                      {"peer_id": wanted})


def _text(value: object) -> str:
    return "".join(letter for letter in value[:WORD_LENGTH_MAX] if letter.isprintable()) if isinstance(value, str) else ""


def _object(value: object) -> Members:
    return value if isinstance(value, dict) and len(jsontext.ascii_text(value)) <= TOLD_BYTES_MAX else {}


def _objects(value: object, count_max: int) -> list[Members]:
    kept, room = [], TOLD_BYTES_MAX
    for item in value[:count_max] if isinstance(value, list) else ():
        if isinstance(item, dict):
            room -= len(jsontext.ascii_text(item))
            if room < 0:
                break
            kept.append(item)
    return kept
