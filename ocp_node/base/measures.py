"""What the node measures of itself: each measure is named once, where it is taken, and read when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Labels = tuple[tuple[str, str], ...]
Value = float | Mapping[Labels, float]


class Measure:
    """One family of the Prometheus text format: name, kind (`counter` or `gauge`), and how it is read."""

    __slots__ = ("name", "about", "kind", "read")

    def __init__(self, name: str, about: str, kind: str, read: Callable[[], Value | None]) -> None:
        self.name = name
        self.about = about
        self.kind = kind
        self.read = read


class Measures:
    """All measures of a node.  Labels must be bounded: route ids and states, never paths or names of strangers."""

    def __init__(self) -> None:
        self._measures: dict[str, Measure] = {}

    def counter(self, name: str, about: str, read: Callable[[], Value | None]) -> None:
        """A number that only grows."""
        self._measures[name] = Measure(name, about, "counter", read)

    def gauge(self, name: str, about: str, read: Callable[[], Value | None]) -> None:
        """A number that goes up and down; None when it is not known on this machine."""
        self._measures[name] = Measure(name, about, "gauge", read)

    def text(self) -> str:
        """All of them in the Prometheus text format, version 0.0.4."""
        return "".join(_family(self._measures[name]) for name in sorted(self._measures))


def _family(measure: Measure) -> str:
    value = measure.read()
    if value is None:
        return ""
    lines = [f"# HELP {measure.name} {measure.about}\n# TYPE {measure.name} {measure.kind}\n"]
    rows = value.items() if isinstance(value, Mapping) else [((), value)]
    lines.extend(f"{measure.name}{_labels(labels)} {_number(amount)}\n" for labels, amount in rows)
    return "".join(lines)


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels) + "}" if labels else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
