"""What surrounds a run: folder, variables, network, and which secrets are bound to which variable (OCP 0.1 runtime environment).

Pure; values of secrets that are not in the document itself are looked up when the job runs (`delivery.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...base.errors import Refusal
from ..values import boolean, first, members, pick, text, truthy, unique, words, wrong

Members = dict[str, Any]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
RESERVED = "OCP_RESUME_"
OWN = "OCP_"                          # the node's own variables: never handed to anybody
SOURCES = ("inline", "env", "store", "file")
PROFILES = ("workspace", "isolated", "custom")
VARIABLES_MAX = 512
VALUE_LENGTH_MAX = 128 * 1024         # characters of one variable; Linux takes no longer one
BINDINGS_MAX = 64
PATH_LENGTH_MAX = 4096


def surroundings(payload: Mapping[str, Any], runtime: Mapping[str, Any], metadata: Mapping[str, Any],
                 policy: Mapping[str, Any]) -> tuple[Members, dict[str, str]]:
    """The runtime environment of the spec, and the values of its inline secrets by variable."""
    cwd = first(*(source.get(name) for source in (payload, runtime) for name in ("cwd", "working_dir")))
    bindings, inline = _bindings(payload, runtime, policy)
    return {"cwd": text(cwd, "cwd", PATH_LENGTH_MAX),
            "env_policy": _env_policy(first(*_three("env_policy", runtime, payload, metadata))),
            "filesystem": _filesystem(first(*_three("filesystem", runtime, payload, metadata)), metadata),
            "network": {"mode": _network(payload, runtime, metadata)},
            "secrets": {"delivery": "env" if bindings else "none", "bindings": bindings,
                        "scope_count": len({each["scope"] for each in bindings if each["scope"]}),
                        "provider_count": len({each["provider_ref"] for each in bindings}),
                        "sources": sorted({each["source"] for each in bindings}), "redacted": bool(bindings)}}, inline


def _three(name: str, *sources: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(source.get(name) for source in sources)


def _env_policy(value: object) -> Members:
    given = members(value, "env_policy")
    allowed = given.get("inherit_env_allowlist")
    listed = allowed.split(",") if isinstance(allowed, str) else words(allowed, "inherit_env_allowlist")
    names = unique(name.strip() for name in listed if name.strip())
    for name in names:
        check_name(name)
    return {"inherit_host_env": truthy(given.get("inherit_host_env")),
            "allow_env_override": truthy(given["allow_env_override"]) if given.get("allow_env_override") is not None else True,
            "inherit_env_allowlist": names}


def _filesystem(value: object, metadata: Mapping[str, Any]) -> Members:
    given = members(value, "filesystem")
    profile = (text(given.get("profile"), "filesystem.profile")
               or text(metadata.get("filesystem_profile"), "filesystem_profile")).lower()
    profile = profile if profile in PROFILES else "workspace"
    return {"profile": profile, "workspace_root_required": profile != "custom",
            "writable_paths": words(given.get("writable_paths"), "filesystem.writable_paths", length_max=PATH_LENGTH_MAX)}


def _network(payload: Mapping[str, Any], runtime: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    resources = first(metadata.get("resources"), runtime.get("resources"), payload.get("resources"))
    for value in (payload.get("network"), runtime.get("network"),
                  resources.get("network") if isinstance(resources, dict) else None):
        named = value.get("mode") if isinstance(value, dict) else value
        if named not in (None, ""):
            return text(named, "network.mode", 64).lower()
    return "default"


# --- variables

def check_name(name: str) -> None:
    """The name can be a variable's."""
    if not NAME.match(name):
        raise Refusal("invalid_request", f"invalid environment variable name: {name[:200]}")


def variables(value: object) -> dict[str, str]:
    """The job's own variables."""
    given = members(value, "env")
    if len(given) > VARIABLES_MAX:
        raise wrong("env", f"an object of at most {VARIABLES_MAX} members")
    for name in given:
        check_name(name)
    return {name: plain(member, f"env.{name}") for name, member in given.items()}


def plain(value: object, field: str) -> str:
    """A text, or a number or truth value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value or len(value) > VALUE_LENGTH_MAX:
        raise wrong(field, "a string")
    return value


# --- secrets

def _bindings(payload: Mapping[str, Any], runtime: Mapping[str, Any],
              policy: Mapping[str, Any]) -> tuple[list[Members], dict[str, str]]:
    """One entry for each bound variable, in their order; and the inline values."""
    given = members(runtime.get("secrets") or payload.get("secrets"), "payload.secrets")
    scopes = policy["secret_scopes"]
    if given and not scopes:
        raise Refusal("invalid_request", "payload.secrets requires explicit policy.secret_scopes")
    if len(given) > BINDINGS_MAX:
        raise wrong("payload.secrets", f"an object of at most {BINDINGS_MAX} members")
    bindings, inline = [], {}
    for variable, value in given.items():
        binding, secret = _binding(variable, value if isinstance(value, dict) else {"value": value}, scopes)
        bindings.append(binding)
        if secret is not None:
            inline[variable] = secret
    return bindings, inline


def _binding(variable: str, given: Mapping[str, Any], scopes: list[str]) -> tuple[Members, str | None]:
    check_name(variable)
    if variable.startswith(RESERVED):
        raise Refusal("invalid_request", f"secret binding cannot override reserved runtime env: {variable}")
    source = text(given.get("source"), "source").lower() or "inline"
    if source not in SOURCES:
        raise Refusal("invalid_request", f"unsupported secret source: {source}")
    scope = text(given.get("scope"), "scope") or (scopes[0] if len(scopes) == 1 else "")
    if scope and scope not in scopes:
        raise Refusal("policy_denied", f"secret scope not allowed by policy: {scope}")
    binding: Members = {"env_var": variable, "scope": scope, "required": boolean(given.get("required"), "required", True),
                        "source": source}
    name = text(pick(given, "name", "env"), "name")
    if source == "env":
        name = name or variable
        check_name(name)
        return binding | {"provider_ref": f"env:{name}", "name": name}, None
    if source == "store":
        if not scope:
            raise Refusal("invalid_request", f"store secret binding requires scope: {variable}")
        name = name or variable.lower()
        return binding | {"provider_ref": f"store:{scope}/{name}", "name": name}, None
    if source == "file":
        path = text(pick(given, "path", "file"), "path", PATH_LENGTH_MAX)
        if not path:
            raise Refusal("invalid_request", f"file secret binding requires path: {variable}")
        return binding | {"provider_ref": f"file:{path}", "path": path}, None
    value = given.get("value")
    return binding | {"provider_ref": "inline"}, None if value in (None, "") else plain(value, f"payload.secrets.{variable}")


def without_values(payload: Mapping[str, Any], inline: Mapping[str, str]) -> Members:
    """The payload as it may be kept and shown: inline values are gone, what was said about them stays."""
    if not isinstance(payload.get("secrets"), dict):
        return dict(payload)
    kept: Members = {}
    for variable, given in payload["secrets"].items():
        named = given if isinstance(given, dict) else {}
        is_inline = not named or (text(named.get("source"), "source").lower() or "inline") == "inline"
        shown = {name: member for name, member in named.items() if name != "value"}
        kept[variable] = {**shown, "source": "inline", "redacted": True} if is_inline else shown
    return {**payload, "secrets": kept}


# --- WASM components

def component(payload: Mapping[str, Any]) -> Members:
    """Which component is meant: by artifact id, digest, or path in the workspace; {} when none is named."""
    named = members(payload.get("component_ref"), "component_ref")
    path = pick(named, "path") or pick(payload, "module_path", "component_path")
    found = {name: text(named.get(name), f"component_ref.{name}") for name in ("id", "digest")}
    found["path"] = text(path, "component_ref.path", PATH_LENGTH_MAX)
    return {name: value for name, value in found.items() if value}
