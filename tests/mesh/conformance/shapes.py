"""Comparing a captured answer with ours: fields, types and the words that say what happened; never ids, times or counts."""

from __future__ import annotations

import re
from typing import Any

TRIMMED = re.compile(r"[\[<](trimmed )?(object|array)(: \d+ (keys|items))?[\]>]\Z|\[HTML page omitted")
WORDS = frozenset({"status", "reason", "decision", "action", "mode", "recovery_state", "blocker_code"})
WORD_DEPTH = 2               # words are compared this deep: at the top, and one object below
# Objects whose member names are data.
FREE = frozenset({"trust_tiers", "device_classes", "counts_by_status", "payload", "jobs", "card", "resources", "schemas",
                  "groups",
                  "constraints", "result", "annotations", "document", "compact", "payload_inline", "value"})
SECRET = frozenset({"lock_token", "registry_lock"})
# Members without a value while there is nothing to tell.
NULLABLE = frozenset({"backlog_ratio", "success_rate", "utilization", "latency_ms", "age_seconds", "ended_at", "active_session"})
# Objects that one side leaves empty while it knows nothing yet.
MAY_BE_EMPTY = frozenset({"metadata", "heartbeat", "governance_summary", "treaty_capabilities", "result_ref", "recovery_hint",
                          "lease", "queue",
                          "mission", "last_run", "primary_peer", "latest_checkpoint_ref", "resume_checkpoint_ref", "proof",
                          "resolution"})


def differences(captured: Any, ours: Any, path: str = "$", depth: int = 0) -> list[str]:
    """What the captured value has and ours has not, or has in another type: one line each."""
    if isinstance(captured, str) and TRIMMED.match(captured):
        wanted = list if "array" in captured else dict
        return [] if isinstance(ours, wanted) or ours is None or captured.startswith("[HTML") else [f"{path}: not {captured}"]
    if captured is None or ours is None and path.rpartition(".")[2] in NULLABLE:
        return []
    if kind(captured) != kind(ours):
        return [f"{path}: {kind(captured)} expected, {kind(ours)} found"]
    if isinstance(captured, dict):
        return _members(captured, ours, path, depth)
    if isinstance(captured, list):
        return [line for index, (before, now) in enumerate(zip(captured, ours)) if isinstance(before, (dict, list))
                for line in differences(before, now, f"{path}[{index}]", depth + 1)][:20]
    return _word(captured, ours, path, depth)


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "array", dict: "object", type(None): "null"}[type(value)]


def _members(captured: dict[str, Any], ours: dict[str, Any], path: str, depth: int) -> list[str]:
    name = path.rpartition(".")[2]
    if name in FREE or name in MAY_BE_EMPTY and not (captured and ours):
        return []
    found = []
    for member, value in captured.items():
        here = f"{path}.{member}"
        if member in SECRET and ".lease" in path:
            continue                    # a lease inside another object shows neither its token nor its lock
        if member not in ours:
            found.append(f"{here}: missing")
        else:
            found += differences(value, ours[member], here, depth + 1)
    return found


def _word(captured: Any, ours: Any, path: str, depth: int) -> list[str]:
    name = path.rpartition(".")[2]
    if depth <= WORD_DEPTH and name in WORDS and isinstance(captured, str) and captured != ours:
        return [f"{path}: {captured!r} expected, {ours!r} found"]
    return []


ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")


def pairs(captured: Any, ours: Any) -> dict[str, str]:
    """Names that the captured node gave, and the names ours gave to the same things."""
    found: dict[str, str] = {}
    if isinstance(captured, dict) and isinstance(ours, dict):
        for member, value in captured.items():
            if member in ours:
                found |= pairs(value, ours[member])
    elif isinstance(captured, list) and isinstance(ours, list):
        for before, now in zip(captured, ours):
            found |= pairs(before, now)
    elif isinstance(captured, str) and isinstance(ours, str) and captured != ours and ID.fullmatch(captured):
        found[captured] = ours
    return found
