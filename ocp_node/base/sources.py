"""Where values of settings come from: flags, the environment, `ocp.toml`, defaults; the first that names a setting counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .setting import Setting, WrongUse
from .settings import BY_NAME, SETTINGS, Settings, default_data_dir, settled

FILE_NAME = "ocp.toml"
FILE_BYTES_MAX = 1_048_576


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings that flags, environment and `ocp.toml` give.

    `WrongUse` names the first wrong one, where it stands and what is allowed.
    """
    flags, rest = take_flags(argv)
    if rest:
        raise WrongUse(unknown_argument(rest[0]))
    return from_sources(flags, environ)


def take_flags(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The settings named by flags, and the arguments that name none.

    Forms: `--name=value`, `--name value`; a switch also `--name` and `--no-name`; everything behind `--` names none.
    """
    given: dict[str, str] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest.extend(words)
            break
        name, equals, text = word[2:].partition("=") if word.startswith("--") else ("", "", "")
        setting, negated = _flagged(name)
        if setting is None:
            rest.append(word)
            continue
        given[setting.name] = _flag_text(setting, negated, text if equals else None, words)
    return given, rest


def _flagged(name: str) -> tuple[Setting | None, bool]:
    """The setting whose flag `--name` is, and whether it says no."""
    setting = BY_NAME.get(name.replace("-", "_")) if "_" not in name else None
    negated = setting is None and name.startswith("no-")
    if negated:
        setting = BY_NAME.get(name[3:].replace("-", "_"))
    if setting is None or negated and setting.kind != "bool":
        return None, False
    if setting.secret:
        raise WrongUse(f"--{name}: a secret on the command line can be read by every user of this machine; use {setting.variable}"
                       + (f" or --{name}-file" if setting.name + "_file" in BY_NAME else f" or {FILE_NAME}"))
    return setting, negated


def _flag_text(setting: Setting, negated: bool, text: str | None, words: Iterator[str]) -> str:
    if setting.kind == "bool" and text is None:
        return "off" if negated else "on"
    if negated:
        raise WrongUse(f"--no-{setting.flag[2:]} takes no value")
    value = next(words, None) if text is None else text
    if value is None or text is None and value.startswith("--"):
        raise WrongUse(f"{setting.flag} needs a value: {setting.allowed()}")
    return value


def from_sources(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """As `load`, for flags that are already taken apart."""
    found = _Found(os.getcwd(), environ)
    for name, text in flags.items():
        found.put(BY_NAME[name], f"flag {BY_NAME[name].flag}", text)
    for setting, variable in _variables(environ, found.warnings):
        found.put(setting, f"variable {variable}", environ[variable])
    found.folder = found.values["data_dir"] = found.values.get("data_dir") or default_data_dir(environ)
    path = os.path.join(found.folder, FILE_NAME)
    for setting, value in _file(path, found.warnings):
        found.put(setting, f"file {path}", value)
    return settled(found.values, found.origins, found.warnings)


class _Found:
    """Values met so far with their origins; the first of a setting stays.  `folder` is where relative paths begin."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.warnings: list[str] = []
        self.folder = folder
        self._environ = environ

    def put(self, setting: Setting, origin: str, value: Any) -> None:
        if setting.name in self.values:
            return
        try:
            self.values[setting.name] = setting.read(value, self.folder, self._environ)
        except ValueError as fault:
            raise WrongUse(f"{setting.name} ({origin}): {fault}; allowed is {setting.allowed()}") from None
        self.origins[setting.name] = origin


def _variables(environ: Mapping[str, str], warnings: list[str]) -> Iterator[tuple[Setting, str]]:
    """The settings that the environment names, each by its first variable that is not empty."""
    ours = [name for name in environ if name.startswith("OCP_")]
    if not ours:
        return
    by_variable = {variable: setting for setting in SETTINGS for variable in setting.variables}
    for setting in SETTINGS:
        for variable in setting.variables:
            if environ.get(variable, "").strip():
                yield setting, variable
                break
    for name in ours:
        if name not in by_variable and (near := nearest(name, by_variable, 0.85)):
            warnings.append(f"{name} in the environment is no setting; did you mean {near}?")


def _file(path: str, warnings: list[str]) -> Iterator[tuple[Setting, Any]]:
    """The settings that `ocp.toml` names; a key that is none becomes a warning."""
    document = _toml(path)
    if not document:
        return
    found_secret = False
    for name, value in _members(document, ""):
        setting = BY_NAME.get(name)
        if setting is None:
            near = nearest(name, BY_NAME, 0.6)
            warnings.append(f"{path}: {name} is no setting" + (f"; did you mean {near}?" if near else ""))
        elif name == "data_dir":
            warnings.append(f"{path}: data_dir cannot stand here, this file lies in it")
        else:
            found_secret = found_secret or setting.secret
            yield setting, value
    if found_secret and os.stat(path).st_mode & 0o077:
        warnings.append(f"{path} holds a secret and can be read by others; chmod 600 it")


def _toml(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as fault:
        raise WrongUse(f"{path} cannot be read: {fault.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise WrongUse(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    import tomllib
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as fault:
        raise WrongUse(f"{path} is not TOML: {str(fault)[:200]}") from None


def _members(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = prefix + key.replace("-", "_")
        if isinstance(value, dict) and name not in BY_NAME:
            yield from _members(value, name + "_")
        else:
            yield name, value


def nearest(word: str, words: Mapping[str, object], likeness: float) -> str:
    """The word most like `word`, or ""."""
    import difflib
    return next(iter(difflib.get_close_matches(word, list(words), 1, likeness)), "")


def unknown_argument(word: str) -> str:
    """What to say of an argument that nothing understands."""
    if not word.startswith("-"):
        return f"{word[:60]!r} is not understood here; a verb comes first"
    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    near = nearest(name, BY_NAME, 0.6)
    return f"{word[:60]} is no flag" + (f"; did you mean {BY_NAME[near].flag or BY_NAME[near].variable}?" if near else "")
