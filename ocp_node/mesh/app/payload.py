"""A status as it is kept with a sample (OCP 0.1 app status history): what the numbers do not say, without secrets; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..fitting import Members, fitted

PAYLOAD_BYTES_MAX = 8_192
ROUTES_MAX = 24
KEPT = frozenset({"token_status"})                   # says whether there is a token, not which
SECRET_WORDS = ("token", "secret", "authorization")
REDACTED = "[redacted]"
_TOKEN = re.compile(r"(?i)(ocp_operator_token=)[^&#\s\"']+")


def compacted(status: Mapping[str, Any]) -> Members:
    """What is kept of a status."""
    setup, run = status["setup"], status["autonomy"]["last_run"]
    routes = [{name: route[name] for name in ("peer_id", "status", "freshness", "failure_count")}
              for route in status["route_health"]["routes"]]
    made = {"status": status["status"], "node": status["node"],
            "app_urls": {name: status["app_urls"][name] for name in ("base_url", "phone_url", "sharing_mode")},
            "mesh_quality": {name: status["mesh_quality"][name] for name in ("status", "label", "peer_count", "route_count",
                                                                             "healthy_routes")},
            "setup": {name: setup[name] for name in (
                "status", "label", "bind_mode", "token_status", "recovery_state", "blocker_code", "blocking_issue", "next_fix",
                "primary_peer")},
            "autonomy": {"mode": status["autonomy"]["mode"],
                         "last_run": {name: run[name] for name in ("id", "request_id", "status", "summary", "updated_at")
                                      if name in run}},
            "routes": routes[:ROUTES_MAX],
            "execution_readiness": {name: status["execution_readiness"][name] for name in ("status", "local")},
            "artifact_sync": {name: status["artifact_sync"][name] for name in ("status", "replicated_count", "verified_count")},
            "latest_proof": {name: status["latest_proof"][name] for name in ("status", "mission_id", "request_id", "title",
                                                                             "updated_at")},
            "approvals": {"pending_count": status["approvals"]["pending_count"]}, "next_actions": status["next_actions"],
            "generated_at": status["generated_at"]}
    return fitted(scrubbed(made), PAYLOAD_BYTES_MAX, (
        lambda whole: {**whole, "routes": whole["routes"][:8]},
        lambda whole: {**whole, "next_actions": [],
                       "setup": {**whole["setup"], "primary_peer": {}, "blocking_issue": "", "next_fix": ""}},
        lambda whole: {name: whole[name] for name in ("status", "mesh_quality", "approvals", "generated_at")}))


def scrubbed(value: Any) -> Any:
    """The value without what may be a secret: members by their names, tokens in links by their form."""
    if isinstance(value, dict):
        return {name: _hidden(member) if _secret(name) else scrubbed(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(member) for member in value]
    return _TOKEN.sub(rf"\g<1>{REDACTED}", value) if isinstance(value, str) else value


def _secret(name: str) -> bool:
    return name not in KEPT and any(word in name.lower() for word in SECRET_WORDS)


def _hidden(value: object) -> str:
    return REDACTED if value else ""
