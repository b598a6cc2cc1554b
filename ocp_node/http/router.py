"""Method and path to a route.  Pure: exact paths by one look-up, others among the few that share their first two segments.

`{name}` is one segment.  `{name...}`, behind two literal ones, is one or more: an id with slashes that nobody encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from ..contract.route import Route


class Match:
    """A route and what its path names."""

    __slots__ = ("route", "values")

    def __init__(self, route: Route, values: dict[str, str]) -> None:
        self.route = route
        self.values = values


class NoMatch:
    """No route.  `allowed` holds the methods that this path does know (empty: unknown path)."""

    __slots__ = ("allowed",)

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed


class Router:
    """All routes of a node.  Building it fails on two routes for one request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._open: dict[str, list[tuple[list[str], dict[str, Route]]]] = {}
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            methods = self._exact.setdefault(route.path, {})
        else:
            parts = route.path.split("/")
            if "...}" in route.path and _group(parts) != "/".join(parts[1:3]):
                raise ValueError(f"a long segment needs two literal ones before it: {route.path}")
            group = self._open.setdefault(_group(parts) if "{" not in _group(parts) else parts[1] + _ANY, [])
            methods = next((known for shape, known in group if _same_shape(shape, parts)), {})
            if not methods:
                group.append((parts, methods))
                group.sort(key=lambda entry: _openness(entry[0]))
        if route.method in methods:
            raise ValueError(f"two routes for {route.method} {route.path}")
        methods[route.method] = route

    def match(self, method: str, path: str) -> Match | NoMatch:
        """The route for one request; HEAD is answered by the route for GET."""
        wanted = "GET" if method == "HEAD" else method
        exact = self._exact.get(path)
        if exact is not None and wanted in exact:
            return Match(exact[wanted], {})
        allowed = set(exact or ())
        parts = path.split("/")
        for shape, methods in (*self._open.get(_group(parts), ()), *self._open.get(parts[1] + _ANY if len(parts) > 3 else _ANY,
                                                                                   ())):
            values = _values(shape, parts)
            if values is None:
                continue
            if wanted in methods:
                return Match(methods[wanted], values)
            allowed.update(methods)
        if "GET" in allowed:
            allowed.add("HEAD")
        return NoMatch(tuple(sorted(allowed)))


_ANY = "/{}"             # the group of paths whose second of more than two segments is open: `/cap/{node_id}/{capability_id}`


def _group(parts: list[str]) -> str:
    """The first segment and the second when it is literal: `/mesh/jobs`, `/adv`."""
    return parts[1] + "/" + parts[2] if len(parts) > 3 else parts[1] if len(parts) > 1 else ""


def _openness(shape: list[str]) -> tuple[int, int, int]:
    """Order of shapes: those without a long segment first, then the most literal, then the longest."""
    opened = [part for part in shape if part[:1] == "{"]
    return sum(part.endswith("...}") for part in opened), len(opened), -len(shape)


def _same_shape(one: list[str], other: list[str]) -> bool:
    return len(one) == len(other) and all(a == b or (a[:1] == "{" and b[:1] == "{") for a, b in zip(one, other))


def _values(shape: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(shape) != len(parts):
        return _long_values(shape, parts) if len(shape) < len(parts) else None
    values: dict[str, str] = {}
    for want, have in zip(shape, parts):
        if want[:1] == "{":
            if not have:
                return None
            values[want[1:-1].removesuffix("...")] = decoded(have) if "%" in have else have
        elif want != have:
            return None
    return values


def _long_values(shape: list[str], parts: list[str]) -> dict[str, str] | None:
    """The values when one segment of the shape stands for several of the path; they begin and end with none that is empty."""
    place = next((place for place, part in enumerate(shape) if part.endswith("...}")), -1)
    if place < 0:
        return None
    end = len(parts) - (len(shape) - place - 1)
    values = _values([*shape[:place], *shape[place + 1:]], [*parts[:place], *parts[end:]])
    if values is None or not parts[place] or not parts[end - 1]:
        return None
    return {**values, shape[place][1:-4]: "/".join(decoded(part) if "%" in part else part for part in parts[place:end])}


def decoded(segment: str) -> str:
    """A path segment percent-decoded once.  One that is not UTF-8 stays as sent: no id looks like it."""
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        return segment


def query_texts(query: str) -> dict[str, str]:
    """Query members, the first of each name; `+` is a blank.  Members that are not UTF-8 are left out."""
    texts: dict[str, str] = {}
    for member in query.split("&")[:256]:
        name, _, value = member.partition("=")
        if "%" in member or "+" in member:
            try:
                name = unquote_to_bytes(name.replace("+", " ")).decode("utf-8")
                value = unquote_to_bytes(value.replace("+", " ")).decode("utf-8")
            except UnicodeDecodeError:
                continue
        if name and name not in texts:
            texts[name] = value
    return texts
