"""What callers see who are neither on loopback nor operators: the same values without code, commands, tokens and local paths
(OCP 0.1 reads).  A peer can still follow the job it sent: status, references, attempts stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import jsontext
from ..store.events import Event, event_json, event_text

NEVER = frozenset({"payload_inline", "lock_token", "registry_lock"})
OF_BASE_JOBS = frozenset({"kind", "dispatch_mode", "requirements", "policy", "placement"})     # of a task's job, nothing else
OF_EXECUTION = frozenset({"command", "inline_code", "env", "payload"})
# Members of events that say more than the list of the same things shows to strangers.
OF_EVENTS = {"mesh.secret.stored": frozenset({"scope", "name"}), "mesh.identity.rotated": frozenset({"reason"})}


def redacted(value: Any, within: str = "") -> Any:
    """A copy of `value` without what only operators see; the value itself is left as it is.

    Gone are inline payloads, a job's command, code, environment and payload, lock tokens, and absolute paths of files.
    """
    if isinstance(value, dict):
        return {name: redacted(member, name) for name, member in value.items() if not _hidden(name, member, within)}
    if isinstance(value, (list, tuple)):
        return [redacted(member, within) for member in value]
    return value


def _hidden(name: str, member: Any, within: str) -> bool:
    return (name in NEVER or within == "execution" and name in OF_EXECUTION or within == "job_spec" and name == "execution"
            or within == "base_job" and name not in OF_BASE_JOBS
            or name == "path" and isinstance(member, str) and _absolute(member))


def _absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:3] in (":\\", ":/")


def events_json(events: Sequence[Event], trusted: bool) -> list[dict[str, Any]]:
    """The events as this kind of caller sees them."""
    made: list[dict[str, Any]] = [event_json(event) for event in events]
    return made if trusted else [_strangers(each) for each in made]


def events_text(events: Sequence[Event], trusted: bool) -> bytes:
    """`events_json` as JSON."""
    if trusted:
        return f"[{','.join([event_text(event) for event in events])}]".encode()
    return jsontext.compact(events_json(events, trusted))


def _strangers(event: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = redacted(event)
    hidden = OF_EVENTS.get(shown["event_type"], frozenset())
    if hidden:
        shown["payload"] = {name: member for name, member in shown["payload"].items() if name not in hidden}
    return shown
