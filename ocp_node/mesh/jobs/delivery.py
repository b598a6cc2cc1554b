"""The variables a run is given, secrets included, and how each secret got there (OCP 0.1 environment and secrets at run time).

A run starts with nothing.  Values of secrets stand in what is handed to the run, and nowhere else: what is told of them is a
digest that says nothing to who lacks this node's key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .environment import OWN
from .failure import RunFailed

Members = dict[str, Any]

SECRET_FILE_BYTES_MAX = 64 * 1024
HIDDEN_LENGTH_MIN = 6                 # shorter values would hide ordinary words
HIDDEN = "***"


class Store(NamedTuple):
    """What a stored secret is, as the secrets' room gives it."""
    value: str
    secret_id: str


class Sources(NamedTuple):
    """Where the values come from."""
    local: bool                       # the job is this node's own: only then host variables and files
    host: Mapping[str, str]           # the node's own environment
    workspace: Path
    inline: Mapping[str, str]
    stored: Any                       # (scope, name) -> Store | None
    digest: Any                       # (value, scope, name) -> its keyed digest


class Delivered(NamedTuple):
    """What a run is given."""
    plain: dict[str, str]             # without secrets
    secrets: dict[str, str]
    records: list[Members]            # one per binding

    @property
    def together(self) -> dict[str, str]:
        return {**self.plain, **self.secrets}


def deliver(spec: Mapping[str, Any], sources: Sources) -> Delivered:
    """The variables of this run; `RunFailed` when a required secret is missing."""
    policy = spec["runtime_environment"]["env_policy"]
    plain = {}
    if policy["inherit_host_env"] and sources.local:
        plain = {name: sources.host[name] for name in policy["inherit_env_allowlist"] if name in sources.host
                 and not name.startswith(OWN)}
    for name, value in (spec["execution"].get("env") or {}).items():
        if policy["allow_env_override"] or name not in plain:
            plain[name] = value
    secrets: dict[str, str] = {}
    records = []
    for binding in spec["runtime_environment"]["secrets"]["bindings"]:
        found = _value(binding, sources)
        if found is None and binding["required"]:
            raise RunFailed(f"required secret binding missing value: {binding['env_var']}")
        if found is not None:
            secrets[binding["env_var"]] = found.value
        records.append(_record(binding, found, sources))
    return Delivered(plain, secrets, records)


def _record(binding: Mapping[str, Any], found: Store | None, sources: Sources) -> Members:
    named = {name: binding[name] for name in ("env_var", "scope", "required", "source", "provider_ref")}
    named |= {"delivery": "env", "resolved": found is not None,
              "value_digest": _digest(binding, found.value, sources) if found is not None else ""}
    named |= {name: binding[name] for name in ("name", "path") if name in binding}
    return named | ({"secret_id": found.secret_id} if found is not None and found.secret_id else {})


def _digest(binding: Mapping[str, Any], value: str, sources: Sources) -> str:
    name = binding["name"] if binding["source"] == "store" else binding["env_var"]
    return str(sources.digest(value, binding["scope"], name))


def _value(binding: Mapping[str, Any], sources: Sources) -> Store | None:
    source = binding["source"]
    if source == "inline":
        value = sources.inline.get(binding["env_var"])
    elif source == "store":
        found: Store | None = sources.stored(binding["scope"], binding["name"])
        return found
    elif not sources.local:
        raise RunFailed(f"secret source not allowed for this peer: {source}")
    elif source == "env":
        value = None if binding["name"].startswith(OWN) else sources.host.get(binding["name"])
    else:
        value = _from_file(binding["path"], sources.workspace)
    return None if value is None else Store(value, "")


def _from_file(name: str, workspace: Path) -> str:
    path = inside(workspace, name)
    if path is None:
        raise RunFailed("file secret path must stay inside workspace_root")
    if not path.exists():
        raise RunFailed("file secret path does not exist")
    if not path.is_file():
        raise RunFailed("file secret path must be a file")
    try:
        with open(path, "rb") as file:
            raw = file.read(SECRET_FILE_BYTES_MAX + 1)
    except OSError:
        raise RunFailed("file secret path cannot be read") from None
    if len(raw) > SECRET_FILE_BYTES_MAX:
        raise RunFailed("file secret is too large")
    return raw.decode("utf-8", "replace").rstrip("\r\n")


def inside(workspace: Path, name: str) -> Path | None:
    """The place that `name` means, links followed, if it is inside the workspace."""
    root = os.path.realpath(workspace)
    place = os.path.realpath(os.path.join(root, name))
    return Path(place) if place == root or place.startswith(root + os.sep) else None


def hidden(text: str, values: Iterable[str]) -> str:
    """The text with the secret values in it made unreadable."""
    for value in sorted({each for each in values if len(each) >= HIDDEN_LENGTH_MIN}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
