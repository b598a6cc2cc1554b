"""One setting: its kind, its bounds, and how a text or a value of `ocp.toml` becomes its value.

The table of all settings stands in `settings.py`; where a value came from, and which source wins, is decided there too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from .errors import Unusable

TEXT_LENGTH_MAX = 4096           # characters of one text, path or word
WORDS_MAX = 256                  # words of one list, objects of one list
NUMBER_MAX = 10**18              # also keeps out infinity and not-a-number, which TOML can spell
TRUE_WORDS = ("1", "true", "yes", "on", "enabled")
FALSE_WORDS = ("0", "false", "no", "off", "disabled")
_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}


class WrongUse(Unusable):
    """A setting or an argument is not what it must be; the command line answers with exit code 2."""


class Setting:
    """One row of the table.

    `kind` is text, int, float, bytes, bool, path, choice, words or objects.  A `default` of "" (or None for a number) means
    that the value is derived when nobody gives one; `shown` tells how.  A `secret` has no flag, since a command line can be
    read by every user of the machine, and is never shown.
    """

    __slots__ = ("name", "kind", "default", "about", "surface", "minimum", "maximum", "choices", "pattern", "check", "secret",
                 "shown", "aliases")

    def __init__(self, name: str, kind: str, default: Any, about: str, *, minimum: float | None = None,
                 maximum: float | None = None, choices: tuple[str, ...] = (), pattern: str = "",
                 check: Callable[[Any], str] | None = None, secret: bool = False, shown: str = "",
                 aliases: tuple[str, ...] = ()) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.about = about
        self.surface = "node"           # whose it is; `settings.py` says
        self.minimum = minimum
        self.maximum = maximum
        self.choices = choices
        self.pattern = pattern
        self.check = check              # what is wrong with a value, or ""
        self.secret = secret
        self.shown = shown
        self.aliases = aliases          # further names of the environment variable

    @property
    def flag(self) -> str:
        return "" if self.secret else "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "OCP_" + self.name.upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment variable; the first that is set counts."""
        return (self.variable, *self.aliases)

    def default_text(self) -> str:
        """The default as a person reads it."""
        if self.shown:
            return self.shown
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default)) or "none"
        return str(self.default) if self.default not in ("", None) else "none"

    def allowed(self) -> str:
        """What a right value looks like, in words."""
        if self.choices:
            many = "a comma list of " if self.kind == "words" else "one of "
            return many + " ".join(self.choices)
        if self.kind in ("int", "float", "bytes"):
            return _KINDS[self.kind] + _range(self.minimum, self.maximum)
        return _KINDS[self.kind] + (f" of the form {self.pattern}" if self.pattern else "")

    def read(self, value: Any, folder: str, environ: Mapping[str, str]) -> Any:
        """The value that a text, or a member of `ocp.toml`, spells; ValueError says what is wrong.

        A relative path is taken from `folder`.
        """
        if isinstance(value, str):
            return self._from_text(value, folder, environ)
        if self.kind == "choice" and isinstance(value, bool):
            return self._checked(self._word("on" if value else "off"))
        if self.kind == "bool" and isinstance(value, bool):
            return value
        if self.kind in ("int", "bytes") and type(value) is int:
            return self._checked(value)
        if self.kind == "float" and type(value) in (int, float):
            return self._checked(float(value))
        if self.kind == "words" and isinstance(value, list) and all(isinstance(word, str) for word in value):
            return self._checked(tuple(self._word(word.strip()) for word in value))
        if self.kind == "objects" and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return self._checked(tuple(value))
        raise ValueError(f"it is {_toml_word(value)}")

    def _from_text(self, text: str, folder: str, environ: Mapping[str, str]) -> Any:
        text = text.strip()
        if len(text) > TEXT_LENGTH_MAX and self.kind != "objects":
            raise ValueError(f"it is longer than {TEXT_LENGTH_MAX} characters")
        if self.kind == "words":
            return self._checked(tuple(self._word(word) for word in text.replace(",", " ").split()))
        if self.kind == "path":
            return self._checked(_path(text, folder, environ))
        if self.kind == "objects":
            return self._checked(_objects(text))
        return self._checked(_READERS[self.kind](text) if self.kind != "choice" else self._word(text))

    def _word(self, word: str) -> str:
        """The choice that `word` names in any case; on and off also by their other words."""
        if not self.choices:
            return word
        lower = word.lower()
        if lower not in self.choices and {"on", "off"} <= set(self.choices):
            lower = "on" if lower in TRUE_WORDS else "off" if lower in FALSE_WORDS else lower
        for choice in self.choices:
            if choice.lower() == lower:
                return choice
        raise ValueError(f"{word[:40]!r} is none of them")

    def _checked(self, value: Any) -> Any:
        if self.kind in ("int", "float", "bytes"):
            _in_range(value, self.minimum, self.maximum)
        elif self.kind in ("words", "objects"):
            if len(value) > WORDS_MAX:
                raise ValueError(f"it has more than {WORDS_MAX} members")
        elif isinstance(value, str) and any(ord(letter) < 32 or letter == "\x7f" for letter in value):
            raise ValueError("it has a control character")
        if self.pattern and value and not re.fullmatch(self.pattern, value):
            raise ValueError(f"{value[:40]!r} does not have the right form")
        if self.check and value and (wrong := self.check(value)):
            raise ValueError(wrong)
        return value


_KINDS = {"text": "a text", "int": "a whole number", "float": "a number", "bytes": "a number of bytes (64MiB and the like too)",
          "bool": "on or off", "path": "a path", "choice": "a word", "words": "a comma list of words",
          "objects": "a list of objects"}


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f" from {minimum:g} to {maximum:.12g}"
    if minimum is not None:
        return f" of at least {minimum:g}"
    return "" if maximum is None else f" of at most {maximum:.12g}"


def _in_range(value: float, minimum: float | None, maximum: float | None) -> None:
    least, most = -NUMBER_MAX if minimum is None else minimum, NUMBER_MAX if maximum is None else maximum
    if not least <= value <= most:
        raise ValueError("it is out of range")


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("it is not a whole number")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        raise ValueError("it is not a number")
    return float(text)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]{0,3})", text)
    if not found or found[2].lower() not in _UNITS:
        raise ValueError("it is not a number of bytes")
    return int(found[1]) * _UNITS[found[2].lower()]


def _switch(text: str) -> bool:
    lower = text.lower()
    if lower not in TRUE_WORDS and lower not in FALSE_WORDS:
        raise ValueError("it is neither on nor off")
    return lower in TRUE_WORDS


_READERS: dict[str, Callable[[str], Any]] = {"text": str, "int": _whole, "float": _number, "bytes": _bytes, "bool": _switch}


def _path(text: str, folder: str, environ: Mapping[str, str]) -> str:
    """An absolute path without dots; a leading `~/` is the home folder."""
    if "\0" in text:
        raise ValueError("it has a control character")
    if text == "~" or text.startswith("~/"):
        text = home(environ) + text[1:]
    return os.path.normpath(os.path.join(folder, text)) if text else ""


def home(environ: Mapping[str, str]) -> str:
    """The home folder: `HOME`, else what the system knows of this user."""
    named = environ.get("HOME", "")
    if os.path.isabs(named):
        return named
    import pwd
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise ValueError("the home folder is not known") from None


def _objects(text: str) -> tuple[Any, ...]:
    from .errors import Malformed
    from .jsontext import parse_text
    try:
        value = parse_text(text)
    except Malformed:
        raise ValueError("it is not JSON") from None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("it is not a JSON list of objects")
    return tuple(value)


def _toml_word(value: object) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return words.get(type(value), "a date or time")
